//! Whom alerts are meant for, as who wrote the routes says it in a file of its own (`drill.yaml`): no rule, no unit test and no
//! route says it, so that a route which leads elsewhere looks right without it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::alertmanager::Configuration;
use super::reading::{Reading, Texts, in_words, scalar, text_of};
use super::rules::Rule;
use crate::failure::Finding;
use crate::monitoring::located::{self, Node, Value};
use crate::nearest;

/// Alerts, who must be told of them, and what must keep them quiet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedReceivers {
    pub file: PathBuf,
    pub line: usize,
    pub alert: String,
    /// Those of its alerts that have all of these; all of them where there are none.
    pub labels: Texts,
    /// Just these; where there are none, nothing is said of it.
    pub receivers: Vec<String>,
    /// Names of alerts that must keep it quiet whenever they fire beside it.
    pub inhibited_by: Vec<String>,
}

/// Whether a file is one, by its name.
pub fn is_called_so(path: &Path) -> bool {
    ["drill.yaml", "drill.yml"].iter().any(|name| path.file_name().is_some_and(|own| own == *name))
}

/// Whether a file that is not called so seems to be meant for one, by its name: `Drill.yaml`, `drill.yaml.bak`, `.drill.yml`.
pub fn is_nearly_called_so(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.trim_start_matches(['.', '_', '#', '~']);
    ["drill.yaml", "drill.yml", "drill.json"].iter().any(|begins| name.starts_with(begins)) && !is_called_so(path)
}

/// Whether a document says whom alerts are meant for, whatever its file is called.
pub fn says_so(document: &Node) -> bool {
    let is_one = |item: &Node| {
        item.get("alertname").is_some() && (item.get("receivers").is_some() || item.get("inhibited_by").is_some())
    };
    document.items_of("expected").iter().any(is_one)
}

/// Reads one. A key that is none of its own is a slip, and told: what is not read would be green.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Vec<ExpectedReceivers>, Vec<Finding>> {
    let (mut reading, document) = Reading::of_texts(path, bytes);
    // Programs in Go read the first and say nothing of another; what is in it would be green.
    if let Some(line) = located::second_document(bytes) {
        reading.find(line, "a second document begins here; write all of it into one list, `expected`");
    }
    let read = document.map(|document| {
        are_known(&mut reading, &document, &["expected"]);
        let items = document.items_of("expected");
        if items.is_empty() {
            reading.find(document.line, "it expects nothing; `expected` lists alerts with their receivers");
        }
        items.iter().map(|item| one(&mut reading, item)).collect()
    });
    reading.done(read)
}

fn one(reading: &mut Reading, node: &Node) -> ExpectedReceivers {
    are_known(reading, node, &["alertname", "labels", "receivers", "inhibited_by"]);
    let alert = text_of(node, "alertname").unwrap_or_default();
    if alert.is_empty() {
        reading.find(node.line, "it is about no alert: `alertname` is missing");
    }
    let mut names = |key: &str| -> Vec<String> {
        let items = node.items_of(key);
        for item in items.iter().filter(|item| scalar(item).is_none_or(|name| name.is_empty())) {
            reading.find(item.line, format!("`{key}` holds what is no name"));
        }
        let names: Vec<String> = items.iter().filter_map(scalar).collect();
        if node.get(key).is_some() && names.is_empty() {
            reading.find(node.line_of(key), format!("`{key}` names nothing; write `{key}: [NAME]`"));
        }
        names
    };
    let (receivers, inhibited_by) = (names("receivers"), names("inhibited_by"));
    if node.get("receivers").or(node.get("inhibited_by")).is_none() {
        reading.find(node.line, "it expects nothing; `receivers: [NAME]` says who must be told");
    }
    let labels = reading.texts(node, "labels");
    ExpectedReceivers { file: reading.file.to_owned(), line: node.line, alert, labels, receivers, inhibited_by }
}

fn are_known(reading: &mut Reading, node: &Node, keys: &[&str]) {
    if !matches!(node.value, Value::Map(_)) {
        reading.find(node.line, format!("it is {}, and has no {}", node.kind(), keys.join(", ")));
    }
    for entry in node.entries().iter().filter(|entry| !keys.contains(&entry.key.as_str())) {
        reading.find(entry.line, format!("`{}` is none of {}", entry.key, keys.join(", ")));
    }
}

/// Names that nothing has: what says so would be about nothing. Receivers are those of the configuration, where there is one.
pub fn unknown(expected: &[ExpectedReceivers], rules: &[&Rule], configuration: Option<&Configuration>) -> Vec<Finding> {
    let rules: Vec<&&Rule> = rules.iter().filter(|rule| rule.alert.is_some()).collect();
    let alerts: BTreeSet<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    let receivers: Option<Vec<&str>> = configuration.map(|one| one.receivers().collect());
    let mut unknown = Vec::new();
    for one in expected {
        let mut find = |what: String, remedy: String| {
            unknown.push(Finding { file: one.file.clone(), line: one.line, what, remedy });
        };
        for name in one.inhibited_by.iter().chain([&one.alert]).filter(|name| !alerts.contains(name.as_str())) {
            find(format!("no alert is called {name}"), nearest::remedy(name, "alerts", alerts.iter().copied()));
        }
        let mut named = rules.iter().filter(|rule| rule.name == one.alert).peekable();
        if named.peek().is_some() && !named.any(|rule| rule.may_give(&one.labels)) {
            let what = format!("no rule of {} gives an alert {}", one.alert, in_words(&one.labels));
            find(what, "its `labels` are some of those that the alert has".to_owned());
        }
        let Some(receivers) = &receivers else { continue };
        for name in one.receivers.iter().filter(|name| !receivers.contains(&name.as_str())) {
            find(
                format!("no receiver is called {name}"),
                nearest::remedy(name, "receivers", receivers.iter().copied()),
            );
        }
    }
    unknown
}

impl ExpectedReceivers {
    /// Whether it is about an alert of these labels, its name among them.
    pub fn is_about(&self, labels: &Texts) -> bool {
        let has = |name: &str, value: &str| labels.get(name).map_or("", String::as_str) == value;
        has("alertname", &self.alert) && self.labels.iter().all(|(name, value)| has(name, value))
    }

    /// `drill.yaml:3`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.line)
    }
}

#[cfg(test)]
mod of_itself {
    use super::*;

    fn of(text: &str) -> Result<Vec<ExpectedReceivers>, Vec<Finding>> {
        read(Path::new("drill.yaml"), text.as_bytes())
    }

    #[test]
    fn an_alert_is_meant_by_its_name_and_the_labels_that_are_named() {
        let text = "expected:\n  - {alertname: Down, labels: {v: 1.10, team: ''}, receivers: [page, mail]}\n  - {alertname: Up, receivers: [no]}\n";
        let [down, up] = &of(text).unwrap()[..] else { panic!() };
        assert_eq!((down.place(), &down.receivers[..]), ("drill.yaml:2".into(), &["page".into(), "mail".into()][..]));
        assert_eq!(up.receivers, ["no"]);
        let quiet = &of("expected: [{alertname: A, inhibited_by: [B]}]").unwrap()[0];
        assert_eq!((quiet.receivers.len(), &quiet.inhibited_by[..]), (0, &["B".into()][..]));
        let labels = |text: &str| -> Texts {
            text.split(',').filter_map(|one| one.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect()
        };
        for (of, is) in [
            ("alertname=Down,v=1.10,job=a", true),
            ("alertname=Down,v=1.1", false),
            ("alertname=Down", false),
            ("alertname=Down,v=1.10,team=a", false),
            ("alertname=Up,v=1.10", false),
        ] {
            assert_eq!(down.is_about(&labels(of)), is, "{of}");
        }
        assert!(up.is_about(&labels("alertname=Up,any=thing")));
    }

    #[test]
    fn what_would_expect_nothing_is_told_with_its_line() {
        for (text, line, says) in [
            ("", 1, "has no expected"),
            ("expected: []\n", 1, "expects nothing"),
            ("expect: []\n", 1, "`expect` is none of expected"),
            ("expected:\n  - {alertname: A}\n", 2, "it expects nothing"),
            ("expected:\n  - {alertname: A, inhibited_by: []}\n", 2, "`inhibited_by` names nothing"),
            ("expected:\n  - {alertname: A,\n     receivers: a}\n", 3, "`receivers` names nothing"),
            ("expected:\n  - {receivers: [a]}\n", 2, "about no alert"),
            ("expected:\n  - alertname: A\n    reciever: [a]\n    receivers: [a]\n", 3, "`reciever` is none of"),
            ("expected:\n  - A\n", 2, "has no alertname"),
            ("expected:\n  - alertname: A\n    receivers: [a]\n    labels: [severity]\n", 4, "labels: it is a list"),
            ("expected:\n  - alertname: A\n    receivers: [a]\n    labels: severity\n", 4, "labels: it is a text"),
            ("expected:\n  - {alertname: A,\n     receivers: [a, [b]]}\n", 3, "`receivers` holds what is no name"),
            ("expected:\n  - {alertname: A,\n     receivers: [~]}\n", 3, "`receivers` holds what is no name"),
            ("expected: []\nexpected: []\n", 2, "expected"),
            ("expected: [\n", 1, "unclosed"),
        ] {
            let found = of(text).unwrap_err();
            assert!(found.iter().any(|one| one.line == line && one.what.contains(says)), "{text}: {found:?}");
        }
    }

    #[test]
    fn a_file_is_known_by_its_name() {
        assert!(is_called_so(Path::new("a/drill.yaml")) && is_called_so(Path::new("drill.yml")));
        assert!(!is_called_so(Path::new("a/fire-drill.yaml")));
        for near in ["Drill.yaml", "a/drill.yaml.yml", "DRILL.YML", "drill.yml~", ".drill.yaml", "drill.json"] {
            assert!(is_nearly_called_so(Path::new(near)) && !is_called_so(Path::new(near)), "{near}");
        }
        for other in ["drill.yaml", "fire-drill.yaml", "drill.sh", "drills.yaml"] {
            assert!(!is_nearly_called_so(Path::new(other)), "{other}");
        }
        let says = |text: &str| says_so(&located::read(text.as_bytes()).unwrap());
        assert!(
            says("expected: [{alertname: A, receivers: [a]}]") && says("expected: [{alertname: A, inhibited_by: [B]}]")
        );
        assert!(!says("expected: [{alertname: A}]") && !says("expected: 3") && !says("groups: []"));
    }
}

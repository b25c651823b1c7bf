//! Whom alerts are meant for, as who wrote the routes says it in a file of its own (`drill.yaml`): no rule, no unit test and no
//! route says it, so that a route which leads elsewhere looks right without it.

use std::path::{Path, PathBuf};

use super::reading::{Reading, Texts, scalar, text_of};
use crate::failure::Finding;
use crate::monitoring::located::{self, Node, Value};

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
        let names: Vec<String> = node.items_of(key).iter().filter_map(scalar).collect();
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
    }
}

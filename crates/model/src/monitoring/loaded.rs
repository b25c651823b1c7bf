//! Whether the rules a Prometheus has loaded are the rules of a rendered copy: compared as syntax trees.
//!
//! Prometheus answers with its own print of each expression and durations in seconds, so text can't be compared. What
//! is compared: groups by name with their interval, rules in their order with kind, name, expression, `for`,
//! `keep_firing_for`, labels and annotations. What is not: state, health, times of evaluation.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::layout::{PROMETHEUS, RULES, duration_of, texts_of};
use super::located::{self, Node};
use super::promql;

/// A group in the terms both sides have: its interval in seconds, and its rules.
#[derive(Debug)]
struct Group {
    seconds: f64,
    rules: Vec<Rule>,
}

/// A rule in the terms both sides have.
#[derive(Debug)]
struct Rule {
    name: String,
    is_alert: bool,
    expr: String,
    hold_seconds: f64,
    keep_firing_seconds: f64,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// Compares what `/api/v1/rules` answered (the whole answer, or its `data`) with files that
/// [`render`](super::Monitoring::render) made, by paths relative to monitoring/. Every difference is reported.
pub fn rules_equal(loaded_json: &Value, files: &BTreeMap<PathBuf, Vec<u8>>) -> Result<(), Vec<String>> {
    let mut differences = Vec::new();
    let rendered = rendered_groups(files, &mut differences);
    let loaded = loaded_groups(loaded_json, &mut differences);
    for (key @ (name, _), group) in &rendered {
        match loaded.get(key) {
            Some(loaded) => compare_groups(name, loaded, group, &mut differences),
            None => differences.push(format!("the group `{name}` is not loaded")),
        }
    }
    let unknown = loaded.keys().filter(|key| !rendered.contains_key(*key));
    differences.extend(unknown.map(|(name, _)| format!("the group `{name}` is loaded and in no file")));
    if differences.is_empty() { Ok(()) } else { Err(differences) }
}

fn compare_groups(name: &str, loaded: &Group, file: &Group, differences: &mut Vec<String>) {
    if !same_seconds(loaded.seconds, file.seconds) {
        let (loaded, file) = (loaded.seconds, file.seconds);
        differences.push(format!("the group `{name}` is evaluated every {loaded} s, in the file every {file} s"));
    }
    if loaded.rules.len() != file.rules.len() {
        let (loaded, file) = (loaded.rules.len(), file.rules.len());
        differences.push(format!("the group `{name}` has {loaded} rules loaded and {file} in the file"));
        return;
    }
    for (loaded, file) in loaded.rules.iter().zip(&file.rules) {
        if (&loaded.name, loaded.is_alert) != (&file.name, file.is_alert) {
            differences.push(format!("in `{name}`, `{}` is loaded in the place of `{}`", loaded.name, file.name));
            continue;
        }
        let rule = &file.name;
        if !promql::same(&loaded.expr, &file.expr) {
            differences.push(format!("`{rule}` has the expression `{}`, in the file `{}`", loaded.expr, file.expr));
        }
        if !same_seconds(loaded.hold_seconds, file.hold_seconds) {
            let (loaded, file) = (loaded.hold_seconds, file.hold_seconds);
            differences.push(format!("`{rule}` has `for` {loaded} s, in the file {file} s"));
        }
        if !same_seconds(loaded.keep_firing_seconds, file.keep_firing_seconds) {
            let (loaded, file) = (loaded.keep_firing_seconds, file.keep_firing_seconds);
            differences.push(format!("`{rule}` has `keep_firing_for` {loaded} s, in the file {file} s"));
        }
        if loaded.labels != file.labels {
            differences.push(format!("`{rule}` has the labels {:?}, in the file {:?}", loaded.labels, file.labels));
        }
        if loaded.annotations != file.annotations {
            let (loaded, file) = (&loaded.annotations, &file.annotations);
            differences.push(format!("`{rule}` has the annotations {loaded:?}, in the file {file:?}"));
        }
    }
}

/// Seconds of whole milliseconds, whatever their last bit.
fn same_seconds(one: f64, other: f64) -> bool {
    (one - other).abs() < 0.0005
}

/// By a group's name and that of its file: groups of two files may have one name. Where the folder of rules lies is not asked.
type Groups = BTreeMap<(String, String), Group>;

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn rendered_groups(files: &BTreeMap<PathBuf, Vec<u8>>, differences: &mut Vec<String>) -> Groups {
    let mut read = |path: &Path, bytes: &[u8]| match located::read(bytes) {
        Ok(node) => Some(node),
        Err((_, error)) => {
            differences.push(format!("{} can't be read: {error}", path.display()));
            None
        }
    };
    let interval = files
        .get(Path::new(PROMETHEUS))
        .and_then(|bytes| read(Path::new(PROMETHEUS), bytes))
        .and_then(|node| node.get("global").map(|global| duration_of(global, "evaluation_interval")))
        .unwrap_or_default();
    let mut groups = BTreeMap::new();
    let rules = files.iter().filter(|(path, _)| {
        path.parent() == Some(Path::new(RULES))
            && path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml")
    });
    for (path, bytes) in rules {
        let Some(document) = read(path, bytes) else { continue };
        for group in document.items_of("groups") {
            let interval = if group.get("interval").is_some() { duration_of(group, "interval") } else { interval };
            let rules = group.items_of("rules").iter().map(rule_of_file).collect();
            let name = group.text_of("name").unwrap_or_default().to_owned();
            groups.insert((name, file_name(path)), Group { seconds: interval.as_secs_f64(), rules });
        }
    }
    groups
}

fn rule_of_file(node: &Node) -> Rule {
    let alert = node.text_of("alert");
    let seconds = |key| Duration::as_secs_f64(&duration_of(node, key));
    Rule {
        name: alert.or(node.text_of("record")).unwrap_or_default().to_owned(),
        is_alert: alert.is_some(),
        expr: node.text_of("expr").unwrap_or_default().to_owned(),
        hold_seconds: seconds("for"),
        keep_firing_seconds: seconds("keep_firing_for"),
        labels: texts_of(node, "labels"),
        annotations: texts_of(node, "annotations"),
    }
}

fn loaded_groups(json: &Value, differences: &mut Vec<String>) -> Groups {
    let Some(groups) = json.get("data").unwrap_or(json).get("groups").and_then(Value::as_array) else {
        differences.push("the answer lists no groups".to_owned());
        return BTreeMap::new();
    };
    let mut loaded = BTreeMap::new();
    for group in groups {
        let rules = group.get("rules").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let (name, file) = (text(group, "name"), file_name(Path::new(&text(group, "file"))));
        let seconds = seconds(group, "interval");
        let group = Group { seconds, rules: rules.iter().map(rule_of_answer).collect() };
        if loaded.insert((name.clone(), file), group).is_some() {
            differences.push(format!("two groups of the name `{name}` are loaded"));
        }
    }
    loaded
}

fn rule_of_answer(rule: &Value) -> Rule {
    Rule {
        name: text(rule, "name"),
        is_alert: text(rule, "type") == "alerting",
        expr: text(rule, "query"),
        hold_seconds: seconds(rule, "duration"),
        keep_firing_seconds: seconds(rule, "keepFiringFor"),
        labels: texts(rule, "labels"),
        annotations: texts(rule, "annotations"),
    }
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn seconds(value: &Value, key: &str) -> f64 {
    value.get(key).and_then(Value::as_f64).unwrap_or_default()
}

fn texts(value: &Value, key: &str) -> BTreeMap<String, String> {
    let texts = value.get(key).and_then(Value::as_object);
    texts.into_iter().flatten().map(|(key, text)| (key.clone(), text.as_str().unwrap_or_default().to_owned())).collect()
}

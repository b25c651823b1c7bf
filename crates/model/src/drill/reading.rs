//! What the files of a drill have in common when they are read: findings with file and line, scalars of any spelling.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use aiclipx_base::duration;

use crate::failure::Finding;
use crate::monitoring::located::{self, Node, Value};

/// Labels, or annotations: names and texts.
pub type Texts = BTreeMap<String, String>;

type Read = fn(&[u8]) -> Result<Node, (usize, String)>;

/// A file that is being read: what is wrong in it is gathered.
pub(super) struct Reading<'a> {
    pub(super) file: &'a Path,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Reading<'a> {
    /// The document in a file, every scalar the text that was written; nothing where it can't be read as one.
    pub(super) fn of_texts(file: &'a Path, bytes: &[u8]) -> (Reading<'a>, Option<Node>) {
        Reading::by(located::read_texts, file, bytes)
    }

    /// The same, read in a way of its own.
    pub(super) fn by(read: Read, file: &'a Path, bytes: &[u8]) -> (Reading<'a>, Option<Node>) {
        let mut reading = Reading { file, findings: Vec::new() };
        match read(bytes) {
            Ok(node) => (reading, Some(node)),
            Err((line, what)) => {
                reading.find(line, what);
                (reading, None)
            }
        }
    }

    pub(super) fn find(&mut self, line: usize, what: impl Into<String>) {
        let (file, what) = (self.file.to_owned(), what.into());
        self.findings.push(Finding { file, line, what, remedy: String::new() });
    }

    /// A key's duration; none where it is absent, and a finding where it is none.
    pub(super) fn duration(&mut self, node: &Node, key: &str) -> Option<Duration> {
        let value = node.get(key)?;
        let text = scalar(value).unwrap_or_default();
        match duration::parse(&text) {
            Ok(duration) => Some(duration),
            Err(error) => {
                self.find(value.line, format!("{key}: {error}"));
                None
            }
        }
    }

    /// A key's whole number; 0 where it is absent, and a finding where it is none.
    pub(super) fn count(&mut self, node: &Node, key: &str) -> u64 {
        let Some(value) = node.get(key) else { return 0 };
        let text = scalar(value).unwrap_or_default();
        if text.is_empty() {
            return 0;
        }
        text.parse().unwrap_or_else(|_| {
            self.find(value.line, format!("{key}: `{text}` is no whole number"));
            0
        })
    }

    /// A key's names and texts; a finding where something else stands there.
    pub(super) fn texts(&mut self, node: &Node, key: &str) -> Texts {
        let mut texts = Texts::new();
        let Some(map) = node.get(key) else { return texts };
        if !matches!(map.value, Value::Map(_)) && scalar(map).is_none_or(|text| !text.is_empty()) {
            self.find(
                map.line,
                format!("{key}: it is {}, and must be names with texts: `{key}: {{NAME: TEXT}}`", map.kind()),
            );
        }
        for entry in map.entries() {
            match scalar(&entry.node) {
                Some(text) => drop(texts.insert(entry.key.clone(), text)),
                None => self.find(entry.line, format!("{key}: `{}` is {}", entry.key, entry.node.kind())),
            }
        }
        texts
    }

    pub(super) fn done<T>(self, read: Option<T>) -> Result<T, Vec<Finding>> {
        match read {
            Some(read) if self.findings.is_empty() => Ok(read),
            _ => Err(self.findings),
        }
    }
}

/// `{a="b", c="d"}`, its name left out.
pub fn in_words(labels: &Texts) -> String {
    let told = labels.iter().filter(|(name, _)| *name != "alertname").map(|(name, value)| format!("{name}={value:?}"));
    format!("{{{}}}", told.collect::<Vec<_>>().join(", "))
}

/// A scalar as YAML's readers take it where a text is asked for; none of a list or a map.
pub(super) fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::Null => Some(String::new()),
        Value::Switch(switch) => Some(switch.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Infinite(number) => Some(number.to_string()),
        Value::Text(text) => Some(text.clone()),
        Value::List(_) | Value::Map(_) => None,
    }
}

/// A key's scalar as text.
pub(super) fn text_of(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(scalar)
}

/// Whether a switch is on, in YAML's older spellings, too.
pub(super) fn is_on(node: &Node, key: &str) -> bool {
    text_of(node, key).is_some_and(|text| ["true", "yes", "on", "y"].contains(&text.to_ascii_lowercase().as_str()))
}

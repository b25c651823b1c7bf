//! A dashboard's JSON read key by key, so that everything that does not fit is noted, each with its line.
//!
//! No derived reading: serde stops at the first field that it does not know, and `serde_json` tells no line of a value. The
//! tree that knows its lines ([`located`]) is read instead. A key that nobody asked a [`Map`] for is a finding.

use std::cell::{Cell, RefCell};
use std::path::Path;

use aiclipx_model::failure::Finding;
use aiclipx_model::monitoring::datasources::Sources;
use aiclipx_model::monitoring::located::{self, Node, Value};

/// The file being read, and what was found in it.
pub(super) struct Reader<'a> {
    file: &'a Path,
    findings: RefCell<Vec<(Option<u32>, Finding)>>,
    /// What is being read, in words.
    pub(super) place: RefCell<String>,
    /// The panel being read, once its id is known.
    pub(super) panel: Cell<Option<u32>>,
    /// Whom its parts ask.
    pub(super) sources: Sources,
    /// The variables by which whoever looks says which data source is meant: here it is the one there is.
    pub(super) choices: Vec<String>,
    /// The next id for a panel that has none of its own.
    pub(super) next_id: Cell<u32>,
}

impl<'a> Reader<'a> {
    /// Of a dashboard.
    pub(super) fn new(file: &'a Path, dashboard: &Node) -> Reader<'a> {
        let variables = dashboard.get("templating").map_or(&[][..], |templating| templating.items_of("list"));
        let choices = variables.iter().filter(|variable| variable.text_of("type") == Some("datasource"));
        Reader {
            file,
            findings: RefCell::default(),
            place: RefCell::new("the dashboard".to_owned()),
            panel: Cell::new(None),
            sources: Sources::of(dashboard),
            choices: choices.filter_map(|variable| variable.text_of("name")).map(str::to_owned).collect(),
            next_id: Cell::new(largest_id(dashboard).map_or(1, |largest| largest.saturating_add(1))),
        }
    }

    /// Findings with the panel that each is of.
    pub(super) fn found(self) -> Vec<(Option<u32>, Finding)> {
        self.findings.into_inner()
    }
}

/// The largest id that a panel has, wherever it stands.
fn largest_id(node: &Node) -> Option<u32> {
    let panels = node.items_of("panels").iter().chain(node.items_of("rows"));
    panels.filter_map(|panel| id_of(panel).max(largest_id(panel))).max()
}

/// A panel's own id.
pub(super) fn id_of(panel: &Node) -> Option<u32> {
    match &panel.get("id")?.value {
        Value::Number(number) => number.as_u64().and_then(|id| u32::try_from(id).ok()).filter(|id| *id > 0),
        _ => None,
    }
}

/// JSON as a tree with lines; the error is a line and what is wrong there. The tree's reader knows more than JSON, which Grafana
/// would not.
pub(super) fn tree(text: &str) -> Result<Node, (usize, String)> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| (error.line(), error.to_string()))?;
    located::read(text.as_bytes())
}

/// A place in the file, and what stands there; null is nothing.
#[derive(Clone)]
pub(super) struct At<'r> {
    reader: &'r Reader<'r>,
    path: String,
    line: usize,
    node: Option<&'r Node>,
}

impl<'r> At<'r> {
    pub(super) fn whole_file(reader: &'r Reader<'r>, node: &'r Node) -> At<'r> {
        At { reader, path: String::new(), line: node.line, node: Some(node) }
    }

    /// The same under another name.
    pub(super) fn called(self, path: impl Into<String>) -> At<'r> {
        At { path: path.into(), ..self }
    }

    pub(super) fn note(&self, what: &str) {
        let field = if self.path.is_empty() { "(whole file)" } else { &self.path };
        let finding = Finding {
            file: self.reader.file.to_owned(),
            line: self.line,
            what: format!("{}, field `{field}`: {what}", self.reader.place.borrow()),
            remedy: "use what crates/dashboard/src/model.rs reads, or teach it and the drawing this field".to_owned(),
        };
        self.reader.findings.borrow_mut().push((self.reader.panel.get(), finding));
    }

    /// Whatever stands here is a finding, unless it is as Grafana has it by default.
    pub(super) fn outside_unless(&self, is_default: bool) {
        if self.is_there() && !is_default {
            self.note("is outside what is drawn here");
        }
    }

    pub(super) fn is_there(&self) -> bool {
        self.node.is_some()
    }

    pub(super) fn is_map(&self) -> bool {
        self.node.is_some_and(|node| matches!(node.value, Value::Map(_)))
    }

    pub(super) fn is_list(&self) -> bool {
        self.node.is_some_and(|node| matches!(node.value, Value::List(_)))
    }

    /// How messages call it: `fieldConfig.defaults.unit`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn as_text(&self) -> Option<&'r str> {
        self.node?.as_text()
    }

    pub(super) fn as_flag(&self) -> Option<bool> {
        match self.node?.value {
            Value::Switch(flag) => Some(flag),
            _ => None,
        }
    }

    pub(super) fn as_number(&self) -> Option<f64> {
        self.node?.as_number()
    }

    /// What is asked of the value; a note where there is one and it is something else.
    fn read<T>(&self, expected: &str, value: Option<T>) -> Option<T> {
        if self.is_there() && value.is_none() {
            self.note(&format!("must be {expected}"));
        }
        value
    }

    pub(super) fn map(&self) -> Map<'r> {
        let node = self.node.filter(|node| matches!(node.value, Value::Map(_)));
        let node = self.read("an object", node);
        Map { at: At { node, ..self.clone() }, known: RefCell::default() }
    }

    pub(super) fn items(&self) -> Vec<At<'r>> {
        let list = self.node.filter(|node| matches!(node.value, Value::List(_)));
        let items = self.read("a list", list).map(Node::items).unwrap_or_default();
        items.iter().map(|node| At { line: node.line, node: there(node), ..self.clone() }).collect()
    }

    pub(super) fn text(&self) -> String {
        self.read("a text", self.as_text()).unwrap_or_default().to_owned()
    }

    /// A text, none where it is empty.
    pub(super) fn words(&self) -> Option<String> {
        Some(self.text()).filter(|text| !text.is_empty())
    }

    pub(super) fn flag(&self) -> bool {
        self.read("true or false", self.as_flag()).unwrap_or_default()
    }

    pub(super) fn number(&self) -> Option<f64> {
        self.read("a number", self.as_number())
    }

    /// A whole number, as large as `most` at most.
    pub(super) fn whole(&self, most: u32) -> Option<u32> {
        let number = self.node.and_then(|node| match &node.value {
            Value::Number(number) => number.as_u64(),
            _ => None,
        });
        let number = number.and_then(|number| u32::try_from(number).ok()).filter(|number| *number <= most);
        self.read(&format!("a whole number from 0 to {most}"), number)
    }

    /// One of a few words; the first is the default when nothing is said.
    pub(super) fn word(&self, known: &[&'static str]) -> &'static str {
        let Some(node) = self.node else { return known[0] };
        known.iter().find(|known| node.as_text() == Some(**known)).copied().unwrap_or_else(|| {
            self.note(&format!("{} is not drawn here; {} is", self.shown(), known.join(", ")));
            known[0]
        })
    }

    /// As the file has it.
    pub(super) fn shown(&self) -> String {
        self.node.and_then(|node| serde_json::to_string(node).ok()).unwrap_or_else(|| "null".to_owned())
    }
}

fn there(node: &Node) -> Option<&Node> {
    Some(node).filter(|node| node.value != Value::Null)
}

/// An object, and which keys it was asked for.
pub(super) struct Map<'r> {
    at: At<'r>,
    known: RefCell<Vec<&'static str>>,
}

impl<'r> Map<'r> {
    /// The same under another name: messages say the panel or the variable instead of a list of them.
    pub(super) fn called(self, path: impl Into<String>) -> Map<'r> {
        Map { at: self.at.called(path), ..self }
    }

    pub(super) fn at(&self, key: &'static str) -> At<'r> {
        self.known.borrow_mut().push(key);
        match self.at.node.into_iter().flat_map(Node::entries).find(|entry| entry.key == key) {
            Some(entry) => self.entry(key, entry.line, there(&entry.node)),
            None => self.entry(key, self.at.line, None),
        }
    }

    fn entry(&self, key: &str, line: usize, node: Option<&'r Node>) -> At<'r> {
        let path = if self.at.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.at.path) };
        At { reader: self.at.reader, path, line, node }
    }

    pub(super) fn node(&self) -> Option<&'r Node> {
        self.at.node
    }

    /// Every key and what stands there, of an object whose keys are names.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'r str, At<'r>)> {
        let entries = self.at.node.into_iter().flat_map(Node::entries);
        entries.map(|entry| (entry.key.as_str(), self.entry(&entry.key, entry.line, there(&entry.node))))
    }

    /// Notes every key that nobody asked for, but those that have no bearing on a picture: `version tags style`.
    pub(super) fn only(&self, irrelevant: &str) {
        let known = self.known.borrow();
        let is_known = |key: &str| known.contains(&key) || irrelevant.split_whitespace().any(|one| one == key);
        for (_, at) in self.entries().filter(|(key, _)| !is_known(key)) {
            at.note("is outside what is drawn here");
        }
    }
}

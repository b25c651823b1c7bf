//! Nodes that stand in no file: what is put into a document, and what is made of none.

use super::{Entry, Node, Value};

impl Node {
    /// A value that stands nowhere.
    pub(in crate::monitoring) fn made(value: Value) -> Node {
        Node { line: 0, span: 0..0, value }
    }

    pub(in crate::monitoring) fn text(text: impl Into<String>) -> Node {
        Node::made(Value::Text(text.into()))
    }

    pub(in crate::monitoring) fn number(number: impl Into<serde_json::Number>) -> Node {
        Node::made(Value::Number(number.into()))
    }

    pub(in crate::monitoring) fn switch(switch: bool) -> Node {
        Node::made(Value::Switch(switch))
    }

    pub(in crate::monitoring) fn list(items: impl IntoIterator<Item = Node>) -> Node {
        Node::made(Value::List(items.into_iter().collect()))
    }

    pub(in crate::monitoring) fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Node)>) -> Node {
        Node::made(Value::Map(entries.into_iter().map(|(key, node)| Entry::made(key, node)).collect()))
    }

    /// Sets a key of a map.
    pub(in crate::monitoring) fn set(&mut self, key: &str, node: Node) {
        let entries = self.entries_mut();
        entries.retain(|entry| entry.key != key);
        entries.push(Entry::made(key, node));
    }

    /// The value of a key, made where there is none.
    pub(in crate::monitoring) fn at(&mut self, key: &str) -> &mut Node {
        let entries = self.entries_mut();
        let index = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
            entries.push(Entry::made(key, Node::made(Value::Null)));
            entries.len() - 1
        });
        &mut entries[index].node
    }

    /// Adds an item to a list; what is none becomes one.
    pub(in crate::monitoring) fn push(&mut self, item: Node) {
        match &mut self.value {
            Value::List(items) => items.push(item),
            nothing => *nothing = Value::List(vec![item]),
        }
    }

    /// Of what is no map yet, too: it becomes one.
    pub(in crate::monitoring) fn entries_mut(&mut self) -> &mut Vec<Entry> {
        if !matches!(self.value, Value::Map(_)) {
            self.value = Value::Map(Vec::new());
        }
        match &mut self.value {
            Value::Map(entries) => entries,
            _ => unreachable!("it was made a map"),
        }
    }

    /// Of what is no list yet, too: it becomes one.
    pub(in crate::monitoring) fn items_mut(&mut self) -> &mut Vec<Node> {
        if !matches!(self.value, Value::List(_)) {
            self.value = Value::List(Vec::new());
        }
        match &mut self.value {
            Value::List(items) => items,
            _ => unreachable!("it was made a list"),
        }
    }
}

impl Entry {
    pub(in crate::monitoring) fn made(key: impl Into<String>, node: Node) -> Entry {
        Entry { key: key.into(), line: 0, node }
    }
}

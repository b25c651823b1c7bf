//! Times that a file leaves to its program: they are written out where a speed divides, for a default is lived k times too slowly.
//!
//! What hangs on nothing but a network (a scrape's time-out, `resolve_timeout`) stays the program's.

use super::located::{Entry, Node, Value};
use super::role::Role;

/// Writes out what is not there.
pub(super) fn write_out(role: Role, document: &mut Node) {
    let (below, times): (_, &[(&str, &str)]) = match role {
        Role::RuleTests => (None, &[("evaluation_interval", "1m")]),
        Role::Prometheus => (Some("global"), &[("scrape_interval", "1m"), ("evaluation_interval", "1m")]),
        Role::Alertmanager => {
            (Some("route"), &[("group_wait", "30s"), ("group_interval", "5m"), ("repeat_interval", "4h")])
        }
        _ => return,
    };
    let line = document.line.max(1);
    let lacks_global = below == Some("global") && document.get("global").is_none();
    if let (true, Value::Map(entries)) = (lacks_global, &mut document.value) {
        let node = Node { line, span: 0..0, value: Value::Map(Vec::new()) };
        entries.insert(0, Entry { key: "global".to_owned(), line, node });
    }
    let place = match below {
        Some(key) => document.get_mut(key),
        None => Some(document),
    };
    let Some(Node { value: Value::Map(entries), .. }) = place else { return };
    for (key, time) in times {
        if !entries.iter().any(|entry| entry.key == *key) {
            let node = Node { line, ..Node::text((*time).to_owned()) };
            entries.push(Entry { key: (*key).to_owned(), line, node });
        }
    }
}

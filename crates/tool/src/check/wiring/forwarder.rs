//! The forwarder's transforms are such as we know, and each of its parts takes from what is there, and is taken from.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::finding::Findings;
use super::super::tree::file_of;
use super::glob::fits;
use aiclipx_model::monitoring::Monitoring;
use aiclipx_model::monitoring::located::{Entry, Node, Value};

const VECTOR: &str = "vector/vector.yaml";

/// The forwarder's transforms by their types, and the keys that are ours to know, beside `type` and `inputs`.
const TRANSFORMS: [(&str, &[&str]); 5] = [
    ("filter", &["condition"]),
    ("log_to_metric", &["metrics"]),
    (
        "remap",
        &["drop_on_abort", "drop_on_error", "file", "metric_tag_values", "reroute_dropped", "source", "timezone"],
    ),
    ("route", &["reroute_unmatched", "route"]),
    ("sample", &["exclude", "group_by", "key_field", "rate", "ratio", "sample_rate_key"]),
];

pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    let Some(document) = monitoring.document(Path::new(VECTOR)) else { return };
    for entry in parts(document, &["transforms"]) {
        transform(entry, findings);
    }
    for entry in parts(document, &["transforms", "sinks"]) {
        inputs(entry, document, findings);
    }
    connected(document, findings);
}

/// The parts of these kinds, each a name and what it is.
fn parts<'a>(document: &'a Node, kinds: &'a [&str]) -> impl Iterator<Item = &'a Entry> {
    kinds.iter().flat_map(|kind| document.get(kind).map_or(&[][..], Node::entries))
}

/// A transform is of a type that we know, and so is each of its keys.
fn transform(entry: &Entry, findings: &mut Findings) {
    let Some((_, keys)) = TRANSFORMS.iter().find(|(name, _)| entry.node.text_of("type") == Some(name)) else {
        let known: Vec<&str> = TRANSFORMS.iter().map(|(name, _)| *name).collect();
        let what = format!("the `type` of `{}` is none that we know", entry.key);
        findings.find("vector/type", file_of(VECTOR), entry.line, what, format!("known are {}", known.join(", ")));
        return;
    };
    let is_unknown = |key: &str| !["type", "inputs"].contains(&key) && !keys.contains(&key);
    for unknown in entry.node.entries().iter().filter(|part| is_unknown(&part.key)) {
        let what = format!("`{}` has an unknown key `{}`", entry.key, unknown.key);
        findings.find("vector/key", file_of(VECTOR), unknown.line, what, format!("known here: {}", keys.join(", ")));
    }
}

/// A part takes from something, and what it takes from is there.
fn inputs(entry: &Entry, document: &Node, findings: &mut Findings) {
    let mut find = |line, what, remedy: &str| findings.find("vector/input", file_of(VECTOR), line, what, remedy);
    if entry.node.items_of("inputs").is_empty() {
        find(entry.line, format!("`{}` takes from nobody", entry.key), "name its `inputs`");
    }
    for input in entry.node.items_of("inputs") {
        let name = input.as_text().unwrap_or_default();
        let (maker, output) = name.split_once('.').map_or((name, None), |(maker, output)| (maker, Some(output)));
        if name.contains('*') {
            continue;
        }
        if !parts(document, &["sources", "transforms"]).any(|one| one.key == maker) {
            let what = format!("`{}` takes from `{name}`, which is neither a source nor a transform", entry.key);
            find(input.line, what, "");
        } else if !outputs(document, maker).contains(&output) {
            let what = format!("`{}` takes from `{name}`, and `{maker}` has no such output", entry.key);
            find(input.line, what, "");
        }
    }
}

/// Somebody takes from each source and transform, and a source leads to each.
fn connected(document: &Node, findings: &mut Findings) {
    let takes = |entry: &Entry| -> Vec<String> {
        let inputs = entry.node.items_of("inputs").iter().filter_map(Node::as_text);
        inputs.map(|name| name.split('.').next().unwrap_or_default().to_owned()).collect()
    };
    let asked_for: Vec<String> = parts(document, &["transforms", "sinks"]).flat_map(takes).collect();
    let mut fed: BTreeSet<&str> = parts(document, &["sources"]).map(|entry| entry.key.as_str()).collect();
    for _ in parts(document, &["transforms"]) {
        let is_fed = |entry: &&Entry| takes(entry).iter().any(|name| fed.iter().any(|fed| fits(name, fed)));
        let more: Vec<&str> = parts(document, &["transforms"]).filter(is_fed).map(|entry| entry.key.as_str()).collect();
        fed.extend(more);
    }
    for entry in parts(document, &["sources", "transforms"]) {
        if !asked_for.iter().any(|pattern| fits(pattern, &entry.key)) {
            let what = format!("nobody takes from `{}`", entry.key);
            findings.find("vector/unread", file_of(VECTOR), entry.line, what, "");
        }
        if !fed.contains(entry.key.as_str()) {
            let what = format!("no source leads to `{}`", entry.key);
            findings.find("vector/unfed", file_of(VECTOR), entry.line, what, "");
        }
    }
}

/// What a part of the forwarder gives, by name: without one its main output.
fn outputs<'a>(document: &'a Node, maker: &str) -> Vec<Option<&'a str>> {
    let Some(node) = document.get("transforms").and_then(|node| node.get(maker)) else { return vec![None] };
    match node.text_of("type") {
        Some("route") => {
            let routes = node.get("route").map_or(&[][..], Node::entries).iter().map(|entry| Some(entry.key.as_str()));
            routes.chain([Some("_unmatched")]).collect()
        }
        Some("remap") if node.get("reroute_dropped").is_some_and(|node| node.value == Value::Switch(true)) => {
            vec![None, Some("dropped")]
        }
        _ => vec![None],
    }
}

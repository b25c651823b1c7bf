//! Every query to Prometheus in the tree, and which metrics with which labels there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::pasted;
use super::tree::{Tree, file_of};
use aiclipx_model::monitoring::datasources::{Source, Sources};
use aiclipx_model::monitoring::located::{self, Node, Value};
use aiclipx_model::monitoring::{RULES, without_variables};
use aiclipx_stack::viewer;

/// Metrics by name, with the labels that their series may have, where known.
pub(super) type Known = BTreeMap<String, Option<BTreeSet<String>>>;

/// Every expression, with its file and line.
pub(super) fn expressions(tree: &Tree) -> Vec<(PathBuf, usize, String)> {
    let mut found = Vec::new();
    let monitoring = &tree.monitoring;
    for (path, node) in monitoring.documents_in(RULES).chain(monitoring.documents_in("prometheus/rules/tests")) {
        collect(node, &file_of(path), &mut found);
    }
    for dashboard in &tree.dashboards {
        collect_of(&dashboard.node, &dashboard.file, Some(&dashboard.sources), &mut found);
    }
    found.extend(pasted::asked(monitoring).into_iter().map(|query| (query.file, query.line, query.expr)));
    found
}

fn collect(node: &Node, file: &Path, found: &mut Vec<(PathBuf, usize, String)>) {
    collect_of(node, file, None, found);
}

/// The values of `expr` and `series` that are queries to Prometheus, at any depth; also those in links to Grafana's Explore.
fn collect_of(node: &Node, file: &Path, sources: Option<&Sources>, found: &mut Vec<(PathBuf, usize, String)>) {
    let named = sources.map_or_else(|| Sources::default().named(node), |sources| sources.named(node));
    if named.is_some_and(|source| !matches!(source, Source::Prometheus(_) | Source::Mixed)) {
        return;
    }
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                match entry.node.as_text() {
                    Some(text) if ["expr", "series"].contains(&entry.key.as_str()) => {
                        found.push((file.to_owned(), entry.line, without_variables(text)));
                    }
                    Some(url) if url.contains("/explore?") => {
                        let queries = viewer::explored(url).and_then(|left| located::read(left.as_bytes()).ok());
                        let first = found.len();
                        if let Some(queries) = &queries {
                            collect_of(queries, file, sources, found);
                        }
                        found[first..].iter_mut().for_each(|(_, line, _)| *line = entry.line);
                    }
                    _ => collect_of(&entry.node, file, sources, found),
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| collect_of(item, file, sources, found)),
        _ => {}
    }
}

//! What is checked: monitoring and its dashboards, each read once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::finding::{Finding, Findings};
use aiclipx_base::duration;
use aiclipx_dashboard::model::{self, Dashboard};
use aiclipx_model::failure;
use aiclipx_model::monitoring::Monitoring;
use aiclipx_model::monitoring::datasources::{Source, Sources};
use aiclipx_model::monitoring::located::{Entry, Node, Value};

/// Where scenarios lie, below the repository's root.
pub(super) const SCENARIOS: &str = "scripts/traffic";

/// Where dashboards lie, below monitoring/.
pub(super) const DASHBOARDS: &str = "grafana/dashboards";

pub(super) const COMPOSE: &str = "compose.yaml";

/// What is held against each other.
pub(super) struct Tree {
    pub(super) monitoring: Monitoring,
    pub(super) dashboards: Vec<DashboardFile>,
}

impl Tree {
    /// Every panel that asks Prometheus something, as `uid/id`, with its dashboard and itself.
    pub(super) fn panels(&self) -> impl Iterator<Item = (String, &DashboardFile, &Node)> {
        asking_panels(&self.dashboards)
    }
}

/// Panels of Prometheus: one of logs asks another.
pub(super) fn asking_panels(dashboards: &[DashboardFile]) -> impl Iterator<Item = (String, &DashboardFile, &Node)> {
    dashboards.iter().flat_map(|dashboard| {
        dashboard
            .panels()
            .into_iter()
            .filter(move |panel| dashboard.asks_prometheus(panel))
            .map(move |panel| (panel_name(dashboard, panel), dashboard, panel))
    })
}

/// How a panel is named: `uid/id`.
pub(super) fn panel_name(dashboard: &DashboardFile, panel: &Node) -> String {
    let id = panel.get("id").and_then(Node::as_number).unwrap_or_default();
    format!("{}/{id}", dashboard.node.text_of("uid").unwrap_or_default())
}

/// A dashboard: as its file has it, with lines, and as it is drawn.
pub(super) struct DashboardFile {
    /// Relative to the repository's root.
    pub(super) file: PathBuf,
    pub(super) node: Node,
    /// Whom its parts ask.
    pub(super) sources: Sources,
    /// None where it can't be read; that is told.
    pub(super) model: Option<Dashboard>,
}

impl DashboardFile {
    /// Panels and rows, what rows hold in place.
    pub(super) fn panels(&self) -> Vec<&Node> {
        let rows = self.node.items_of("rows").iter().flat_map(|row| row.items_of("panels"));
        let top = self.node.items_of("panels").iter().chain(rows);
        top.flat_map(|panel| [panel].into_iter().chain(panel.items_of("panels"))).collect()
    }

    pub(super) fn panel(&self, id: &str) -> Option<&Node> {
        let is_it = |panel: &&Node| panel.get("id").and_then(Node::as_number).map(|number| number.to_string());
        self.panels().into_iter().find(|panel| is_it(panel).as_deref() == Some(id))
    }

    /// What the reader tells.
    fn finding(&self, found: failure::Finding) -> Finding {
        let line = if found.line == 0 { self.line_of(&found.what) } else { found.line };
        Finding { line, ..Finding::of_reader("dashboard/file", found) }
    }

    /// Whether a panel asks Prometheus.
    pub(super) fn asks_prometheus(&self, panel: &Node) -> bool {
        let queries = panel.items_of("targets").iter();
        queries.map(|query| self.sources.of_query(panel, query)).any(|source| matches!(source, Source::Prometheus(_)))
    }

    /// The line of what a message of the reader speaks of: the panel it names, and in it the last key of the field.
    fn line_of(&self, message: &str) -> usize {
        let named = |from: &str, to: char| message.split_once(from).and_then(|(_, rest)| rest.split(to).next());
        let panel = named(", panel ", ' ').and_then(|id| self.panel(id)).unwrap_or(&self.node);
        let key = named("field `", '`').and_then(|field| field.rsplit('.').next()).unwrap_or_default();
        entry_of(panel, key).map_or(panel.line, |entry| entry.line)
    }
}

/// The first entry of a key, at any depth.
fn entry_of<'a>(node: &'a Node, key: &str) -> Option<&'a Entry> {
    let inside = |node: &'a Node| entry_of(node, key);
    match &node.value {
        Value::Map(entries) => entries
            .iter()
            .find(|entry| entry.key == key)
            .or_else(|| entries.iter().find_map(|entry| inside(&entry.node))),
        Value::List(items) => items.iter().find_map(inside),
        _ => None,
    }
}

pub(super) fn read_dashboards(monitoring: &Monitoring, findings: &mut Findings) -> Vec<DashboardFile> {
    let read = |(path, node): (&Path, &Node)| {
        let file = Path::new("monitoring").join(path);
        let text = String::from_utf8_lossy(&monitoring.files()[path]).into_owned();
        let mut dashboard =
            DashboardFile { file: file.clone(), node: node.clone(), sources: Sources::of(node), model: None };
        match model::read(&file, &text) {
            Ok(model) => {
                let undrawn = model.undrawn().cloned().map(|found| dashboard.finding(found));
                findings.0.extend(undrawn);
                dashboard.model = Some(model);
            }
            Err(found) => findings.0.extend(found.into_iter().map(|found| dashboard.finding(found))),
        }
        dashboard
    };
    monitoring.documents_in(DASHBOARDS).map(read).collect()
}

/// The line of the first text that holds this; 0 for none.
pub(super) fn line_with(text: &str, needle: &str) -> usize {
    text.lines().position(|line| line.contains(needle)).map_or(0, |index| index + 1)
}

/// A file of monitoring/, from the repository's root.
pub(super) fn file_of(path: impl AsRef<Path>) -> PathBuf {
    Path::new("monitoring").join(path)
}

/// A key's duration and its line.
pub(super) fn timing(node: &Node, key: &str) -> Option<(Duration, usize)> {
    Some((duration::parse(node.text_of(key)?).ok()?, node.line_of(key)))
}

//! monitoring/exceptions.toml: what is excepted from a check, each with its reason.
//!
//! The list may not outlive what it excuses: an entry for what does not exist, or for what is proven after all, is a
//! finding like what it would have hidden.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::pasted::{self, Query};
use super::tree::{Findings, Tree, line_with};
use aiclipx_model::monitoring::Monitoring;
use aiclipx_model::scenario::Scenario;

/// Below monitoring/.
const FILE: &str = "exceptions.toml";

/// Entries by name: the line they stand at.
type Entries = BTreeMap<String, usize>;

/// The list.
#[derive(Default)]
pub(super) struct Exceptions {
    /// Alerts that no scenario expects: proven by their unit tests only.
    pub(super) alerts: Entries,
    /// Panels (`uid/id`, or `uid` for all of a dashboard) that no scenario holds to a measure.
    pub(super) panels: Entries,
    /// Panels whose queries may be empty under traffic.
    pub(super) empty: Entries,
    /// Queries of runbooks (as they stand there, or a page's name for all of it) that may be empty under traffic.
    pub(super) queries: Entries,
}

impl Exceptions {
    /// Reads the list; without a file nothing is excepted.
    pub(super) fn read(monitoring: &Monitoring, findings: &mut Findings) -> Exceptions {
        let mut exceptions = Exceptions::default();
        let Some(bytes) = monitoring.files().get(Path::new(FILE)) else { return exceptions };
        let text = String::from_utf8_lossy(bytes);
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        let (table, errors) = DeTable::parse_recoverable(&text);
        for error in errors {
            let at = error.span().map_or(0, |span| line(span.start));
            findings.find(file(), at, format!("not TOML: {}", error.message()), "");
        }
        for (key, value) in table.get_ref() {
            let entries = match key.get_ref().as_ref() {
                "alerts" => &mut exceptions.alerts,
                "panels" => &mut exceptions.panels,
                "empty" => &mut exceptions.empty,
                "queries" => &mut exceptions.queries,
                other => {
                    let what = format!("there is no list `{other}`");
                    findings.find(
                        file(),
                        line(key.span().start),
                        what,
                        "the lists are alerts, panels, empty and queries",
                    );
                    continue;
                }
            };
            let DeValue::Table(table) = value.get_ref() else { continue };
            for (name, reason) in table {
                let at = line(name.span().start);
                if reason.get_ref().as_str().is_none_or(|reason| reason.trim().is_empty()) {
                    findings.find(
                        file(),
                        at,
                        format!("`{}` has no reason", name.get_ref()),
                        "write why, in a sentence",
                    );
                }
                entries.insert(name.get_ref().to_string(), at);
            }
        }
        exceptions
    }

    /// Whether this query, or the whole page it stands on, may be empty.
    pub(super) fn excuses(&self, query: &Query) -> bool {
        self.queries.contains_key(&query.expr) || self.queries.contains_key(&query.page)
    }

    /// Whether a panel, or its whole dashboard, is on a list.
    pub(super) fn holds(entries: &Entries, panel: &str) -> bool {
        entries.contains_key(panel) || panel.split_once('/').is_some_and(|(uid, _)| entries.contains_key(uid))
    }
}

pub(super) fn file() -> PathBuf {
    Path::new("monitoring").join(FILE)
}

/// What no scenario proves is on the list, and nothing else.
pub(super) fn check(tree: &Tree, listed: &Exceptions, scenarios: &[Scenario], findings: &mut Findings) {
    // One that is inhibited fires, too: nobody is told.
    let fires_in = |scenario: &Scenario, name: &str| {
        scenario.expect.fires.iter().chain(&scenario.expect.inhibits).any(|fires| fires == name)
    };
    let expected = |name: &str| scenarios.iter().find(|scenario| fires_in(scenario, name));
    for alert in tree.monitoring.alerts() {
        if expected(&alert.name).is_none() && !listed.alerts.contains_key(&alert.name) {
            let what = format!("no scenario expects {} to fire", alert.name);
            findings.at(
                alert,
                what,
                format!(
                    "name it in a scenario's `fires` or `inhibits`, or under [alerts] in {} with a reason",
                    file().display()
                ),
            );
        }
    }
    for (name, line) in &listed.alerts {
        if tree.monitoring.alert(name).is_none() {
            findings.find(file(), *line, format!("there is no alert {name}"), "");
        } else if let Some(scenario) = expected(name) {
            let what = format!("{name} is proven: {} expects it", scenario.id());
            findings.find(file(), *line, what, "take it off the list");
        }
    }

    let shown_by = |panel: &str| scenarios.iter().find(|scenario| scenario.expect.panels.contains_key(panel));
    for (panel, dashboard, node) in tree.panels() {
        if shown_by(&panel).is_none() && !Exceptions::holds(&listed.panels, &panel) {
            let what = format!("no scenario holds panel {panel} to a measure");
            let remedy =
                format!("name it in a scenario's `panels`, or under [panels] in {} with a reason", file().display());
            findings.find(&dashboard.file, node.line, what, remedy);
        }
    }
    let panels: Vec<String> = tree.panels().map(|(name, ..)| name).collect();
    let exists = |name: &str| {
        panels.iter().any(|panel| panel == name || panel.split_once('/').is_some_and(|(uid, _)| uid == name))
    };
    for (name, line) in listed.panels.iter().chain(&listed.empty) {
        if !exists(name) {
            findings.find(file(), *line, format!("there is no panel {name}"), "");
        }
    }
    let queries = pasted::queries(&tree.monitoring);
    for (name, line) in &listed.queries {
        if !queries.iter().any(|query| query.expr == *name || query.page == *name) {
            let what = format!("no runbook asks `{name}`, and none is called so");
            findings.find(file(), *line, what, "a query as it stands there, or a page's name without .md");
        }
    }
    for (name, line) in &listed.panels {
        if let Some(scenario) = shown_by(name) {
            let at = line_with(&scenario.text, name);
            let what = format!("panel {name} is proven: {}, line {at}, expects it", scenario.id());
            findings.find(file(), *line, what, "take it off the list");
        }
    }
}

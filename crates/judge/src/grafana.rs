//! Grafana's own page of the dashboards that a scenario has panels on: its picture, and the data it was given, judged.
//!
//! The panels of the report are ours, drawn from the same queries; this is what a person in front of Grafana saw. Where
//! there is no Grafana there is no such page, and the claim says so.

use std::collections::BTreeSet;

use super::artifacts::GRAFANA_PAGE;
use super::experiment::Experiment;
use super::files::read_json;
use aiclipx_model::scenario::Scenario;
use serde::{Deserialize, Serialize};

/// `grafana/UID.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The page's address.
    pub url: String,
    /// When its picture was taken, Unix milliseconds.
    pub taken_ms: i64,
    /// Grafana's own version; older bundles don't have it.
    #[serde(default)]
    pub version: String,
    /// What the page asked, and what it was answered.
    pub exchanges: Vec<Exchange>,
    /// The panels that show an error, whatever became of their queries.
    #[serde(default)]
    pub failed: Vec<String>,
    /// Why there is no picture, if there is none.
    pub missing: Option<String>,
}

/// The dashboards that a scenario expects something of, by uid.
pub fn dashboards(scenario: &Scenario) -> BTreeSet<&str> {
    scenario.expect.panels.keys().filter_map(|panel| Some(panel.split_once('/')?.0)).collect()
}

/// What was seen of a dashboard, where there was a Grafana.
pub(crate) fn seen(experiment: &Experiment, dashboard: &str) -> anyhow::Result<Option<Seen>> {
    let path = experiment.folder().join(GRAFANA_PAGE.named(dashboard));
    if !super::files::is_there(&path) {
        return Ok(None);
    }
    read_json(&path).map(Some).map_err(|error| experiment.here(&error))
}

/// A request that a page made for its data, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// What was asked.
    pub url: String,
    /// What was posted with it; empty where nothing was.
    pub posted: String,
    /// The HTTP status; 0 without an answer.
    pub status: i64,
    /// The answer.
    pub body: String,
}

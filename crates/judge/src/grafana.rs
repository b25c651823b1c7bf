//! Grafana's own page of the dashboards that a scenario has panels on: its picture, and the data it was given, judged.
//!
//! The panels of the report are ours, drawn from the same queries; this is what a person in front of Grafana saw. Where
//! there is no Grafana there is no such page, and the claim says so.

use std::collections::BTreeSet;

use super::artifacts::{GRAFANA_PAGE, dashboard_picture};
use super::experiment::Experiment;
use super::files::read_json;
use super::judge::Finding;
use aiclipx_model::prom::grafana::{leaves_out, values_in};
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
    /// What Grafana says it is; bundles of before that mattered don't tell.
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
pub fn seen(experiment: &Experiment, dashboard: &str) -> anyhow::Result<Option<Seen>> {
    let path = experiment.folder().join(GRAFANA_PAGE.named(dashboard));
    if !super::files::is_there(&path) {
        return Ok(None);
    }
    read_json(&path).map(Some).map_err(|error| experiment.here(&error))
}

/// The page was pictured, every query of it was answered without an error, and at least one with values.
pub(super) fn shows(experiment: &Experiment, dashboard: &str) -> anyhow::Result<Finding> {
    let mut finding = Finding {
        expected: "a picture, every query answered, and values among the answers".to_owned(),
        artifacts: vec![GRAFANA_PAGE.named(dashboard), dashboard_picture(dashboard)],
        ..Finding::default()
    };
    let open = |why: String| Finding {
        expected: finding.expected.clone(),
        observed: "no picture".to_owned(),
        not_proven: Some(why),
        ..Finding::default()
    };
    let Some(seen) = seen(experiment, dashboard)? else {
        return Ok(open("no Grafana served the dashboards of this stack".to_owned()));
    };
    if let Some(why) = seen.missing {
        return Ok(open(why));
    }
    if experiment.ledger.entries.iter().all(|entry| entry.status().is_none()) {
        return Ok(open("the client saw no answer, so there was nothing to show".to_owned()));
    }
    let mut wrong = Vec::new();
    let mut with_values = 0;
    for exchange in &seen.exchanges {
        match values_in(exchange.status, exchange.body.as_bytes()) {
            Ok(values) => with_values += usize::from(values > 0),
            Err(why) => wrong.push(why),
        }
    }
    wrong.extend(seen.failed.iter().map(|panel| format!("the panel \"{panel}\" shows an error")));
    if with_values == 0 {
        wrong.push("no answer holds a value".to_owned());
    }
    let bytes = std::fs::read(experiment.folder().join(dashboard_picture(dashboard))).unwrap_or_default();
    if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        wrong.push("there is no picture".to_owned());
    }
    finding.population = seen.exchanges.len();
    finding.observed = format!("{} queries answered, {with_values} with values", seen.exchanges.len());
    if let Some(left_out) = leaves_out(&seen.version) {
        finding.observed = format!("{}; Grafana {} leaves out {left_out}", finding.observed, seen.version);
    }
    finding.fails = (!wrong.is_empty()).then(|| super::judge::first_of(wrong));
    Ok(finding)
}

/// A request that a page made for its data, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// What was asked.
    pub url: String,
    /// What was posted with it; empty where nothing was.
    pub posted: String,
    /// 200, …; 0 where nobody answered.
    pub status: i64,
    /// The answer.
    pub body: String,
}

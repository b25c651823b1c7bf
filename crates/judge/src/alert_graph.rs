//! The graph of an expected alert's expression over the run, as Prometheus answered it: what its graph page shows, for the
//! report to draw where that page could not be pictured. For people: no claim rests on it, and a run is whole without it.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::artifacts::GRAPH;
use super::experiment::Experiment;
use super::files::{is_there, read_json};
use super::run::Run;
use aiclipx_dashboard::query::{self, PlannedQuery, TimeRange};
use aiclipx_model::monitoring::promql;
use aiclipx_model::prom::answer::{self, Series};

/// `graphs/ALERT.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertGraph {
    pub plan: PlannedQuery,
    /// The answer, as JSON; Prometheus' own.
    pub answer: Box<RawValue>,
}

/// The expression of a loaded alert without its comparison, out of an answer of `/api/v1/rules`.
pub fn expression(rules: &Value, alert: &str) -> Option<String> {
    let groups = rules["data"]["groups"].as_array().into_iter().flatten();
    let mut rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
    let rule = rules.find(|rule| rule["type"] == "alerting" && rule["name"] == alert)?;
    rule["query"].as_str().map(promql::compared)
}

/// The query of its graph over a run.
pub fn plan(expression: &str, run: &Run, step: Duration) -> PlannedQuery {
    query::over(expression, TimeRange { from_millis: run.quiet_ms, to_millis: run.end_ms }, step)
}

/// What was kept of an alert, held against what was loaded and the run: another question's answer is an error.
pub(super) fn read(experiment: &Experiment, alert: &str) -> anyhow::Result<Option<(PlannedQuery, Vec<Series>)>> {
    let path = experiment.folder().join(GRAPH.named(alert));
    if !is_there(&path) {
        return Ok(None);
    }
    let graph: AlertGraph = read_json(&path).map_err(|error| experiment.here(&error))?;
    let asked = || format!("{} is not the graph of {alert}", GRAPH.named(alert));
    let expression = expression(&experiment.loaded("rules")?, alert).with_context(asked)?;
    let query::QueryKind::Range { step_millis, .. } = graph.plan.kind else { anyhow::bail!(asked()) };
    ensure!(graph.plan == plan(&expression, &experiment.run, Duration::from_millis(step_millis)), asked());
    // A question that was refused is an answer, too: one without a series.
    let series =
        answer::parse(graph.answer.get().as_bytes()).map(|answer| answer.data.into_series()).unwrap_or_default();
    Ok(Some((graph.plan, series)))
}

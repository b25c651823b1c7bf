//! The graph of an expected alert's expression over the run, as Prometheus answered it: what its graph page shows, for the
//! report to draw where that page could not be pictured. For people: no claim rests on it, and a run is whole without it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::enact::ASK_LIMIT;
use super::experiment::{Experiment, Run, is_there, read_json, write};
use crate::dashboard::query::{self, PlannedQuery, TimeRange};
use crate::http::client;
use crate::monitoring::promql;
use crate::prom::answer::{self, Series};
use crate::prom::client::Api;

/// `graphs/ALERT.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertGraph {
    /// What was asked.
    plan: PlannedQuery,
    /// The answer, as JSON; Prometheus' own.
    answer: Box<RawValue>,
}

/// Its place below an experiment's folder.
pub(super) fn file(alert: &str) -> String {
    format!("graphs/{alert}.json")
}

/// The expression of a loaded alert without its comparison, out of an answer of `/api/v1/rules`.
pub(super) fn expression(rules: &Value, alert: &str) -> Option<String> {
    let groups = rules["data"]["groups"].as_array().into_iter().flatten();
    let mut rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
    let rule = rules.find(|rule| rule["type"] == "alerting" && rule["name"] == alert)?;
    rule["query"].as_str().map(promql::compared)
}

fn plan(expression: &str, run: &Run, step: Duration) -> PlannedQuery {
    query::over(expression, TimeRange { from_millis: run.quiet_ms, to_millis: run.end_ms }, step)
}

/// Asks for the graph of each alert, a point an evaluation, and keeps what was answered.
pub(super) async fn collect(prometheus: &Api, alerts: &[String], run: &Run, evaluation: Duration, target: &Path) {
    let Ok(rules) = read_json::<Value>(&target.join("loaded/rules.json")) else { return };
    for alert in alerts {
        let Some(expression) = expression(&rules, alert) else { continue };
        let plan = plan(&expression, run, evaluation);
        let answered = client::get(&prometheus.address, &plan.path_and_query, ASK_LIMIT).await;
        let answer = answered.ok().and_then(|answer| serde_json::from_slice(&answer.body).ok());
        let kept = answer.and_then(|answer| serde_json::to_vec(&AlertGraph { plan, answer }).ok());
        // What is only to be looked at ends nothing: a disk that is full ends it at the next file that counts.
        let _ = kept.map(|kept| write(&target.join(file(alert)), &kept));
    }
}

/// What was kept of an alert, held against what was loaded and the run: another question's answer is an error.
pub(super) fn read(experiment: &Experiment, alert: &str) -> anyhow::Result<Option<(PlannedQuery, Vec<Series>)>> {
    let path = experiment.folder().join(file(alert));
    if !is_there(&path) {
        return Ok(None);
    }
    let graph: AlertGraph = read_json(&path).map_err(|error| experiment.here(&error))?;
    let asked = || format!("{} is not the graph of {alert}", file(alert));
    let expression = expression(&experiment.loaded("rules")?, alert).with_context(asked)?;
    let query::QueryKind::Range { step_millis, .. } = graph.plan.kind else { anyhow::bail!(asked()) };
    ensure!(graph.plan == plan(&expression, &experiment.run, Duration::from_millis(step_millis)), asked());
    // A question that was refused is an answer, too: one without a series.
    let series =
        answer::parse(graph.answer.get().as_bytes()).map(|answer| answer.data.into_series()).unwrap_or_default();
    Ok(Some((graph.plan, series)))
}

//! Asks for the graphs of expected alerts: what [`alert_graph`](aiclipx_judge::alert_graph) reads.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::environment::ASK_LIMIT;
use aiclipx_http::client;
use aiclipx_judge::alert_graph::{AlertGraph, expression, plan};
use aiclipx_judge::artifacts::{GRAPH, LOADED};
use aiclipx_judge::files::{read_json, write};
use aiclipx_judge::run::Run;
use aiclipx_stack::prom::client::Api;

/// Asks for the graph of each alert, a point an evaluation, and keeps what was answered.
pub(super) async fn collect(prometheus: &Api, alerts: &[String], run: &Run, evaluation: Duration, target: &Path) {
    let Ok(rules) = read_json::<Value>(&target.join(LOADED.named("rules"))) else { return };
    for alert in alerts {
        let Some(expression) = expression(&rules, alert) else { continue };
        let plan = plan(&expression, run, evaluation);
        let answered = client::get(&prometheus.address, &plan.path_and_query, ASK_LIMIT).await;
        let answer = answered.ok().and_then(|answer| serde_json::from_slice(&answer.body).ok());
        let kept = answer.and_then(|answer| serde_json::to_vec(&AlertGraph { plan, answer }).ok());
        // What is only to be looked at ends nothing: a disk that is full ends it at the next file that counts.
        let _ = kept.map(|kept| write(&target.join(GRAPH.named(alert)), &kept));
    }
}

//! Grafana's own page of the dashboards that a scenario has panels on: its picture, and the data it was given, judged.
//!
//! The panels of the report are ours, drawn from the same queries; this is what a person in front of Grafana saw. Where
//! there is no Grafana there is no such page, and the claim says so.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::experiment::{Experiment, Run, read_json, write_json};
use super::judge::Finding;
use super::panels;
use super::provenance::now_ms;
use super::tree::Tree;
use crate::browser::grafana::DashboardPage;
use crate::browser::{Browser, Exchange};
use crate::http::client::Address;
use crate::scenario::Scenario;

/// Grafana's scripts are some ten megabytes; on a cold start their compilation takes longer than the queries.
const PATIENCE: Duration = Duration::from_secs(45);

/// `grafana/UID.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The page's address.
    pub url: String,
    /// When its picture was taken, Unix milliseconds.
    pub taken_ms: i64,
    /// What the page asked, and what it was answered.
    pub exchanges: Vec<Exchange>,
    /// Why there is no picture, if there is none.
    pub missing: Option<String>,
}

/// The dashboards that a scenario expects something of, by uid.
pub fn dashboards(scenario: &Scenario) -> BTreeSet<&str> {
    scenario.expect.panels.keys().filter_map(|panel| Some(panel.split_once('/')?.0)).collect()
}

/// The picture of a dashboard's page, below an experiment's folder.
pub fn picture(dashboard: &str) -> String {
    format!("screens/dashboard-{dashboard}.png")
}

/// What was seen of it, likewise.
pub fn file(dashboard: &str) -> String {
    format!("grafana/{dashboard}.json")
}

/// Pictures the dashboards of a run. What can't be pictured is told in its file; only a disk ends it.
pub async fn collect(
    address: &Address,
    tree: &Tree,
    scenario: &Scenario,
    run: &Run,
    target: &Path,
) -> anyhow::Result<()> {
    let wanted = dashboards(scenario);
    if wanted.is_empty() {
        return Ok(());
    }
    let browser = match Browser::find() {
        Some(program) => Browser::start(&program).await.map_err(|failure| failure.to_string()),
        None => Err("Chromium is not on PATH (Debian: apt install chromium)".to_owned()),
    };
    std::fs::create_dir_all(target.join("screens")).with_context(|| format!("cannot create {}", target.display()))?;
    for dashboard in wanted {
        let model = tree.dashboards.iter().find(|known| known.uid == dashboard);
        let bottoms = model.iter().flat_map(|model| &model.panels).map(|panel| panel.grid.y + panel.grid.h);
        let range = panels::time_range(run);
        let page = DashboardPage {
            address,
            uid: dashboard,
            rows: bottoms.max().unwrap_or(0),
            from_ms: range.from_millis,
            to_ms: range.to_millis,
            patience: PATIENCE,
        };
        let taken = match &browser {
            Ok(browser) => {
                page.picture(browser, &target.join(picture(dashboard))).await.map_err(|failure| failure.to_string())
            }
            Err(why) => Err(why.clone()),
        };
        let (exchanges, missing) = match taken {
            Ok(exchanges) => (exchanges, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let seen = Seen { url: page.url(), taken_ms: now_ms(), exchanges, missing };
        write_json(&target.join(file(dashboard)), &seen)?;
    }
    if let Ok(browser) = browser {
        // Its process is killed with the value anyway; a browser that ends badly takes no picture back.
        let _ = browser.close().await;
    }
    Ok(())
}

/// What was seen of a dashboard, where there was a Grafana.
pub fn seen(experiment: &Experiment, dashboard: &str) -> anyhow::Result<Option<Seen>> {
    let path = experiment.folder().join(file(dashboard));
    if !super::experiment::is_there(&path) {
        return Ok(None);
    }
    read_json(&path).map(Some).map_err(|error| experiment.here(&error))
}

/// The page was pictured, every query of it was answered without an error, and at least one with values.
pub(super) fn shows(experiment: &Experiment, dashboard: &str) -> anyhow::Result<Finding> {
    let mut finding = Finding {
        expected: "a picture, every query answered, and values among the answers".to_owned(),
        exhibits: vec![file(dashboard), picture(dashboard)],
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
    let mut wrong: Vec<String> = seen.exchanges.iter().filter_map(error_of).collect();
    let with_values = seen.exchanges.iter().filter(|exchange| has_values(exchange)).count();
    if with_values == 0 {
        wrong.push("no answer holds a value".to_owned());
    }
    let bytes = std::fs::read(experiment.folder().join(picture(dashboard))).unwrap_or_default();
    if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        wrong.push("there is no picture".to_owned());
    }
    finding.population = seen.exchanges.len();
    finding.observed = format!("{} queries answered, {with_values} with values", seen.exchanges.len());
    finding.fails = (!wrong.is_empty()).then(|| super::judge::first_of(wrong));
    Ok(finding)
}

/// What is wrong with an answer, by its status, or by what it says of a query.
fn error_of(exchange: &Exchange) -> Option<String> {
    if exchange.status != 200 {
        let said: String = exchange.body.chars().take(200).collect();
        return Some(format!("a query was answered {}: {said}", exchange.status));
    }
    let answer: Value = match serde_json::from_str(&exchange.body) {
        Ok(answer) => answer,
        Err(error) => return Some(format!("an answer is no JSON: {error}")),
    };
    let Some(results) = answer["results"].as_object() else { return Some("an answer has no results".to_owned()) };
    results.iter().find_map(|(query, result)| {
        let status = result["status"].as_i64().unwrap_or(200);
        let error = result["error"].as_str();
        (status != 200 || error.is_some()).then(|| format!("query {query}: {status} {}", error.unwrap_or_default()))
    })
}

fn has_values(exchange: &Exchange) -> bool {
    let answer: Value = serde_json::from_str(&exchange.body).unwrap_or_default();
    let results = answer["results"].as_object().into_iter().flat_map(serde_json::Map::values);
    let mut frames = results.flat_map(|result| result["frames"].as_array().into_iter().flatten());
    frames.any(|frame| {
        let columns = frame["data"]["values"].as_array();
        columns.into_iter().flatten().any(|column| column.as_array().is_some_and(|column| !column.is_empty()))
    })
}

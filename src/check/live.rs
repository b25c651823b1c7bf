//! What no file knows: whether a running stack answers every panel's every query with something, and evaluates every
//! rule. Meant for a stack under traffic: `just traffic 01` in another terminal.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;

use super::exceptions::{self, Exceptions};
use super::{Findings, Tree, read_dashboards};
use crate::dashboard::query::{self, PlannedQuery, TimeRange, View};
use crate::duration::Speed;
use crate::failure::{Failure, Finding};
use crate::http::client::Address;
use crate::monitoring::Monitoring;
use crate::prom::answer;
use crate::prom::client::Api;

/// What a dashboard shows by default, in production time.
const SHOWN: Duration = Duration::from_mins(15);
/// Pixels: Grafana's step depends on the width.
const WIDTH: u32 = 800;

/// Asks the Prometheus at an address, of a stack of that speed, for everything the dashboards of the tree at `root` show.
pub async fn check(root: &Path, prometheus: &Address, speed: Speed) -> Result<Vec<Finding>, Failure> {
    let monitoring = Monitoring::read(&root.join("monitoring"))?;
    let mut findings = Findings::default();
    let exceptions = Exceptions::read(&monitoring, &mut findings);
    let tree = Tree { dashboards: read_dashboards(&monitoring, &mut findings), exceptions, monitoring };
    let api = Api::new(prometheus);
    rules(&api, &tree, &mut findings).await?;
    let view = View {
        range: last(speed.real(SHOWN).context("the range shown")?)?,
        width: WIDTH,
        min_interval: speed.real(tree.monitoring.scrape_interval()).context("the scrape interval")?,
        chosen: &BTreeMap::new(),
    };
    for dashboard in &tree.dashboards {
        let Some(model) = &dashboard.model else { continue };
        for panel in &model.panels {
            let name = format!("{}/{}", model.uid, panel.id);
            for planned in query::plan(model, panel, &view) {
                let empty = is_empty(&api, &planned).await;
                if matches!(empty, Ok(false)) || (empty.is_ok() && Exceptions::holds(&tree.exceptions.empty, &name)) {
                    continue;
                }
                let node = dashboard.panel(&panel.id.to_string());
                let target = node.and_then(|panel| {
                    panel.items_of("targets").iter().find(|target| target.text_of("refId") == Some(&planned.ref_id))
                });
                let line = target.map_or(0, |target| target.line_of("expr"));
                let what = format!(
                    "panel {name} \"{}\", query {}, {}: {} answers {}",
                    panel.title,
                    planned.ref_id,
                    in_words(view.range)?,
                    planned.expr,
                    empty.map_or_else(|error| format!("{error:#}"), |_| "nothing".to_owned())
                );
                let remedy =
                    format!("is there traffic? what may be empty stands in {}, [empty]", exceptions::file().display());
                findings.find(&dashboard.file, line, what, remedy);
            }
        }
    }
    Ok(findings.0)
}

/// Every rule is evaluated, and without an error.
async fn rules(api: &Api, tree: &Tree, findings: &mut Findings) -> Result<(), Failure> {
    let answer = api.json("/api/v1/rules").await?;
    let groups = answer["data"]["groups"].as_array().context("Prometheus' list of rule groups is no list")?;
    let loaded = || groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
    let alerts = tree.monitoring.alerts().iter().map(|alert| (&alert.name, &alert.file, alert.line));
    let recordings = tree.monitoring.recordings().iter().map(|rule| (&rule.name, &rule.file, rule.line));
    for (name, file, line) in recordings.chain(alerts) {
        match loaded().find(|rule| rule["name"] == name.as_str()) {
            None => findings.find(
                file,
                line,
                format!("{name} is not loaded"),
                "start the stack anew: `just down`, `just up`",
            ),
            Some(rule) if rule["health"] == "err" => {
                findings.find(file, line, format!("{name} can't be evaluated: {}", rule["lastError"]), "");
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Whether a query is answered with no sample that is a number.
async fn is_empty(api: &Api, planned: &PlannedQuery) -> anyhow::Result<bool> {
    let series = answer::parse(&api.get(&planned.path_and_query).await?)?.data.into_series();
    Ok(!series.iter().flat_map(|series| &series.samples).any(|sample| sample.value.is_finite()))
}

/// The time until now.
fn last(length: Duration) -> anyhow::Result<TimeRange> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock")?;
    let millis = |time: Duration| i64::try_from(time.as_millis()).context("the clock");
    Ok(TimeRange { from_millis: millis(now.saturating_sub(length))?, to_millis: millis(now)? })
}

fn in_words(range: TimeRange) -> anyhow::Result<String> {
    let moment = |millis| jiff::Timestamp::from_millisecond(millis).context("the clock");
    let (from, to) = (moment(range.from_millis)?, moment(range.to_millis)?);
    Ok(format!("{} to {} UTC", from.strftime("%H:%M:%S"), to.strftime("%H:%M:%S")))
}

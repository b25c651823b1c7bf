//! What no file knows: whether a running stack answers every panel's every query with something, and evaluates every
//! rule. Meant for a stack under traffic: `just traffic 01` in another terminal.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;

use super::exceptions::{self, Exceptions};
use super::{Findings, Tree, read_dashboards};
use crate::dashboard::query::{self, PlannedQuery, QueryKind, TimeRange, View};
use crate::duration::Speed;
use crate::failure::{Failure, Finding};
use crate::http::client::Address;
use crate::monitoring::Monitoring;
use crate::prom::answer;
use crate::prom::client::Api;
use crate::prom::grafana::{Question, Source};

/// What a dashboard shows by default, in production time.
const SHOWN: Duration = Duration::from_mins(15);
/// Pixels: Grafana's step depends on the width.
const WIDTH: u32 = 800;

/// Longer looks at a Grafana, whose steps grow with them.
const LONGER: [Duration; 3] = [Duration::from_mins(15), Duration::from_hours(1), Duration::from_hours(24)];
/// A query over a day of a small stack takes milliseconds.
const LIMIT: Duration = Duration::from_secs(20);

/// Asks the Prometheus at an address, of a stack of that speed, for everything the dashboards of the tree at `root` show;
/// and a Grafana, where there is one, as its pages would ask it.
pub async fn check(
    root: &Path,
    prometheus: &Address,
    grafana: Option<&Address>,
    speed: Speed,
) -> Result<Vec<Finding>, Failure> {
    let monitoring = Monitoring::read(&root.join("monitoring"))?;
    let mut findings = Findings::default();
    let exceptions = Exceptions::read(&monitoring, &mut findings);
    let tree = Tree { dashboards: read_dashboards(&monitoring, &mut findings), exceptions, monitoring };
    let api = Api::new(prometheus);
    rules(&api, &tree, &mut findings).await?;
    let view = View {
        range: last(speed.real(SHOWN).context("the range shown")?)?,
        width: WIDTH,
        min_interval: tree.monitoring.panel_interval(speed).context("the panels' interval")?,
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
    if let Some(grafana) = grafana {
        for length in [view.range.length()].into_iter().chain(LONGER) {
            through(grafana, &tree, &View { range: last(length)?, ..view }, &mut findings).await?;
        }
    }
    Ok(findings.0)
}

/// Every panel's every query is answered through Grafana. Whether with something is what Prometheus tells.
async fn through(grafana: &Address, tree: &Tree, view: &View<'_>, findings: &mut Findings) -> Result<(), Failure> {
    for dashboard in &tree.dashboards {
        let Some(model) = &dashboard.model else { continue };
        for panel in model.panels.iter().filter(|panel| !panel.targets.is_empty()) {
            let line = dashboard.panel(&panel.id.to_string()).map_or(0, |node| node.line);
            let name = format!("panel {}/{} \"{}\"", model.uid, panel.id, panel.title);
            let source = match Source::find(grafana, panel.datasource.as_deref(), LIMIT).await {
                Ok(source) => source,
                Err(error) => {
                    findings.find(&dashboard.file, line, format!("{name}: {error:#}"), "what does Grafana's log say?");
                    continue;
                }
            };
            for planned in query::plan(model, panel, view) {
                let target = panel.targets.iter().find(|target| target.ref_id == planned.ref_id);
                let target = target.context("a query that no target asks for")?;
                let (instant, interval_ms) = match planned.kind {
                    QueryKind::Instant { .. } => (true, 1000),
                    QueryKind::Range { step_millis, .. } => (false, step_millis),
                };
                let question = Question {
                    template: &query::template(model, target, view),
                    filled_in: &planned.path_and_query,
                    instant,
                    range_ms: (view.range.from_millis, view.range.to_millis),
                    interval_ms,
                    points: view.width,
                };
                if let Err(error) = source.ask(&question, LIMIT).await {
                    let what = format!(
                        "{name}, query {}, through Grafana {}, {}: {error:#}",
                        planned.ref_id,
                        source.version,
                        in_words(view.range)?
                    );
                    findings.find(&dashboard.file, line, what, "");
                }
            }
        }
    }
    Ok(())
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

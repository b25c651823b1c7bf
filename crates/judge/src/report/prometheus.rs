//! What Prometheus' own pages would have shown when an alert began to fire, drawn from recorded answers: for those pages of
//! which there is no picture, so that a reader sees them anyway.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};

use super::words::utc;
use crate::alert_graph;
use crate::claims::pictured::PAGES;
use crate::experiment::Experiment;
use crate::timeline;
use crate::timeline::millis;
use crate::tree::Tree;
use aiclipx_dashboard::draw::theme::Theme;
use aiclipx_dashboard::draw::{self, Canvas, Frame, Mark};
use aiclipx_dashboard::model::{Asking, Calculation, Columns, Field, Grid, Kind, Panel, Threshold};
use aiclipx_dashboard::query::TimeRange;
use aiclipx_model::prom::answer::Series;

/// As wide as the page, as high as a dashboard's panel.
const GRAPH: (u32, u32) = (1040, 300);

/// Every page of every expected alert that fired and of which there is no picture.
pub(super) fn pages(experiment: &Experiment, tree: &Tree) -> anyhow::Result<Markup> {
    let mut drawn = Vec::new();
    for alert in &experiment.scenario.expect.fires {
        let lacking = lacking(experiment, alert);
        let Some(at_ms) = timeline::cycle_of(experiment, tree, alert)?.firing_ms.filter(|_| !lacking.is_empty()) else {
            continue;
        };
        let mut parts = Vec::new();
        for page in &lacking {
            parts.push(match *page {
                "targets" => targets(&experiment.samples("up")?, at_ms),
                "alerts" => active_alerts(experiment, tree, at_ms)?,
                _ => graph(experiment, tree, alert)?,
            });
        }
        drawn.push(html! {
            h3 { "What Prometheus answered when " (alert) " began to fire" }
            p.soft { "At " (utc(at_ms)) ", drawn from the recorded answers: " (without(experiment, alert, &lacking)) }
            @for part in parts { (part) }
        });
    }
    Ok(html! { @for part in drawn { (part) } })
}

/// Pages of which nothing was pictured for an alert.
fn lacking(experiment: &Experiment, alert: &str) -> Vec<&'static str> {
    let pictured =
        |page: &&str| experiment.run.pictures.iter().any(|picture| picture.alert == alert && picture.page == **page);
    PAGES.into_iter().filter(|page| !pictured(page)).collect()
}

/// Why there are no pictures, each reason once.
fn without(experiment: &Experiment, alert: &str, lacking: &[&str]) -> String {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for page in lacking {
        let missing = experiment.run.missing_pictures.iter().find(|one| one.alert == alert && one.page == *page);
        reasons.entry(missing.map_or("nothing tells why", |one| &one.why)).or_default().push(page);
    }
    let told = reasons.into_iter().map(|(why, pages)| format!("no picture of {}: {why}", pages.join(", ")));
    told.collect::<Vec<_>>().join("; ") + "."
}

/// The sample that was the newest at a time.
fn newest(series: &Series, at_ms: i64) -> Option<(i64, f64)> {
    let sample = series.samples.iter().rfind(|sample| millis(sample.seconds) <= at_ms)?;
    Some((millis(sample.seconds), sample.value))
}

fn label<'a>(series: &'a Series, name: &str) -> &'a str {
    series.labels.get(name).map_or("", String::as_str)
}

fn targets(up: &[Series], at_ms: i64) -> Markup {
    let mut rows: Vec<_> =
        up.iter().map(|series| (label(series, "job"), label(series, "instance"), newest(series, at_ms))).collect();
    rows.sort_by(|one, other| (one.0, one.1).cmp(&(other.0, other.1)));
    html! {
        div.wide { table {
            thead { tr { th { "Target" } th { "Instance" } th { "State" } th { "Last scrape" } } }
            tbody {
                @for (job, instance, newest) in rows {
                    tr {
                        td { (job) }
                        td { (instance) }
                        @match newest {
                            Some((at, value)) => {
                                td { @if value > 0.0 { "up" } @else { span.mark.fails { "down" } } }
                                td { (timeline::seconds(at_ms - at)) " before" }
                            }
                            None => { td.soft { "not scraped yet" } td {} }
                        }
                    }
                }
            }
        } }
    }
}

/// The alerts that were active at a time: groups are evaluated one after the other, each once an interval.
fn active_alerts(experiment: &Experiment, tree: &Tree, at_ms: i64) -> anyhow::Result<Markup> {
    let samples = experiment.samples("alerts")?;
    let is_active = |series: &&Series| {
        let evaluation = timeline::evaluation_ms(experiment, tree, label(series, "alertname"));
        newest(series, at_ms).is_some_and(|(at, _)| at > at_ms - evaluation)
    };
    let active: Vec<&Series> = samples.iter().filter(is_active).collect();
    let mut rows = Vec::new();
    for alert in tree.monitoring.alerts() {
        let is_of_it = |series: &&&Series| label(series, "alertname") == alert.name;
        let instances: Vec<&&Series> = active.iter().filter(is_of_it).collect();
        if !instances.is_empty() {
            rows.push((alert, instances));
        }
    }
    let silent = tree.monitoring.alerts().len() - rows.len();
    Ok(html! {
        div.wide { table {
            thead { tr { th { "Alert" } th { "State" } th { "Labels" } th { "Rule" } } }
            tbody {
                @for (alert, instances) in rows {
                    @for series in instances {
                        @let state = label(series, "alertstate");
                        tr {
                            td { (alert.name) }
                            td { @if state == "firing" { span.mark.fails { (state) } } @else { span.mark.notproven { (state) } } }
                            td { @for (name, value) in own_labels(series) { code { (name) "=" (value) } " " } }
                            td { code { (alert.expr) } " for " (aiclipx_base::duration::print(alert.hold)) }
                        }
                    }
                }
            }
        } }
        p.soft { (silent) " other alerts were inactive." }
    })
}

/// Without what the other columns say.
fn own_labels(series: &Series) -> impl Iterator<Item = (&String, &String)> {
    series.labels.iter().filter(|(name, _)| !["__name__", "alertname", "alertstate"].contains(&name.as_str()))
}

fn graph(experiment: &Experiment, tree: &Tree, alert: &str) -> anyhow::Result<Markup> {
    let Some((plan, series)) = alert_graph::read(experiment, alert)? else {
        return Ok(html! { p.soft { "Nothing was recorded of its graph." } });
    };
    let rule = tree.monitoring.alert(alert);
    let threshold = rule.and_then(|rule| tree.monitoring.threshold_of(rule));
    let steps = [f64::NEG_INFINITY].into_iter().chain(threshold);
    let thresholds = steps.zip(["green", "red"]).map(|(value, color)| Threshold { value, color: color.to_owned() });
    let panel = Panel {
        id: 0,
        title: plan.expr.clone(),
        description: String::new(),
        kind: Kind::Timeseries,
        grid: Grid::default(),
        within: None,
        folded: false,
        datasource: None,
        targets: Vec::new(),
        elsewhere: Vec::new(),
        asking: Asking::default(),
        undrawn: Vec::new(),
        defaults: Field {
            thresholds: thresholds.collect(),
            threshold_lines: threshold.is_some(),
            line_width: 2.0,
            ..Field::default()
        },
        overrides: Vec::new(),
        calculations: Vec::new(),
        legend: Some(vec![Calculation::Max]),
        sparkline: false,
        plain: false,
        columns: Columns::default(),
        links: Vec::new(),
    };
    let run = &experiment.run;
    let cycle = timeline::cycle_of(experiment, tree, alert)?;
    let fires = cycle.firing_ms.zip(cycle.resolved_ms.or(cycle.last_firing_ms));
    let fires: Vec<Mark> = fires
        .map(|(from_millis, to_millis)| Mark { from_millis, to_millis, label: alert.to_owned() })
        .into_iter()
        .collect();
    let canvas = Canvas {
        width: GRAPH.0,
        height: GRAPH.1,
        theme: Theme::Light,
        range: TimeRange { from_millis: run.quiet_ms, to_millis: run.end_ms },
        dated: true,
        phases: &[],
        faults: &[],
        alerts: &fires,
    };
    let svg = draw::panel_svg(&panel, &[Frame { query: plan, series }], &canvas);
    Ok(html! { figure { (PreEscaped(svg)) figcaption {
        "The alert's expression, without its comparison" @if threshold.is_some() { "; the line is what it is compared with" } "."
    } } })
}

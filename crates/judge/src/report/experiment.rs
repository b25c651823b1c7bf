//! report.html's section on one experiment.

use base64::Engine;
use maud::{Markup, PreEscaped, html};

use super::judgements::claims;
use super::strip::{self, Lane};
use super::words::utc;
use crate::artifacts::{dashboard_picture, panel_drawing};
use crate::claims::Kind;
use crate::claims::alert_cycle::{AlertCycle, Step};
use crate::experiment::Experiment;
use crate::faults::fault_window;
use crate::outcome::Outcome;
use crate::panels::Drawings;
use crate::reconcile::{Family, Row, reconcile};
use crate::tree::Tree;
use crate::{grafana, timeline};
use aiclipx_dashboard::model::{Dashboard, Panel};
use aiclipx_model::monitoring::WATCHDOG;
use aiclipx_model::service::Service;
use aiclipx_model::traffic::ledger::Quantiles;

pub(super) fn section(outcome: &Outcome, experiment: &Experiment, drawings: &Drawings) -> anyhow::Result<Markup> {
    let run = &experiment.run;
    let disturbed = outcome.disturbances(&experiment.name);
    let mut in_grafana = Vec::new();
    for dashboard in grafana::dashboards(&experiment.scenario) {
        in_grafana.extend(grafana::seen(experiment, dashboard)?.map(|seen| (dashboard, seen)));
    }
    Ok(html! {
        h2 id=(experiment.name) { (experiment.scenario.title) }
        p.soft {
            "Experiment " (experiment.name) " · scenario " code { (run.scenario) } " · " (utc(run.quiet_ms)) " to " (utc(run.end_ms))
            " · schedule " code { (experiment.ledger.head.schedule_sha256.get(..16).unwrap_or("?")) }
        }
        @if !disturbed.is_empty() {
            div.open-list { strong { "Disturbed" } ul { @for line in disturbed { li { (line) } } } }
        }
        figure {
            div.timeline { (strip::draw(experiment, &lanes(outcome, experiment)?)) }
            figcaption {
                "Seconds since the first request could leave. Red ground: what the alerts are about happens. "
                @if !experiment.scenario.expect.fires.is_empty() {
                    "Yellow: pending; red: firing; dashed: must fire before; triangles: the receiver is told of firing (red), of the end (green)."
                }
            }
        }
        h3 { "Claims" }
        (claims(outcome, experiment))
        (requests(experiment, outcome.tree.service()))
        (generator(experiment))
        (panels(&outcome.tree, experiment, drawings))
        (pictures(experiment))
        (super::prometheus::pages(experiment, &outcome.tree)?)
        @for (dashboard, seen) in &in_grafana {
            @if seen.missing.is_none() {
                p.soft {
                    a href=(format!("experiments/{}/{}", experiment.name, dashboard_picture(dashboard))) { "Grafana's page of " (dashboard) }
                    ", " (utc(seen.taken_ms)) ", " (seen.url)
                }
            }
        }
    })
}

/// What the client counted, beside what Prometheus did.
fn requests(experiment: &Experiment, service: &Service) -> Markup {
    html! {
        h3 { "Requests, client and Prometheus" }
        @match reconcile(experiment, service, Family::Requests) {
            Ok(reconciliation) if reconciliation.rows.is_empty() => {
                p { "None was sent, and none was counted in " (reconciliation.series) " series." }
            },
            Ok(reconciliation) => {
                div.wide { table {
                    thead { tr { th { "Request" } th.number { "Client" } th.number { "Prometheus" } th.number { "Difference" } } }
                    tbody {
                        @for row in &reconciliation.rows {
                            tr {
                                td { code { (row.what) } }
                                td.number { (row.ledger) }
                                td.number { (row.prometheus) }
                                td.number { @if row.agrees() { "0" } @else { span.mark.fails { (difference(row)) } } }
                            }
                        }
                    }
                } }
                @for line in &reconciliation.explained { p.soft { (line) } }
            },
            Err(error) => {
                p { "There is no table: what Prometheus counted can't be told." }
                p.why { (format!("{error:#}")) }
            },
        }
    }
}

fn panels(tree: &Tree, experiment: &Experiment, drawings: &Drawings) -> Markup {
    // The page people came for, and what the scenario is about; the others are files.
    let expected = &experiment.scenario.expect.panels;
    let is_shown = |(panel, _): &&(String, String)| {
        expected.contains_key(panel) || panel.split_once('/').map(|(uid, _)| uid) == tree.home()
    };
    let (shown, beside): (Vec<_>, Vec<_>) = drawings.iter().partition(is_shown);
    html! {
        h3 { "Dashboard panels, drawn from their own queries" }
        div.panels { @for (_, svg) in &shown { figure { (PreEscaped(svg)) } } }
        @if !beside.is_empty() {
            div.beside {
                p { "Drawn as well, in files beside this page:" }
                @for dashboard in &tree.dashboards { (links(dashboard, experiment, &beside)) }
            }
        }
    }
}

/// Links to the drawings of a dashboard's panels that are not shown here, by title.
fn links(dashboard: &Dashboard, experiment: &Experiment, beside: &[&(String, String)]) -> Markup {
    let id = |panel: &Panel| format!("{}/{}", dashboard.uid, panel.id);
    let drawn = |panel: &&Panel| beside.iter().any(|(drawn, _)| *drawn == id(panel));
    let panels: Vec<&Panel> = dashboard.panels.iter().filter(drawn).collect();
    html! {
        @if !panels.is_empty() {
            p {
                strong { (dashboard.title) } ": "
                @for (at, panel) in panels.into_iter().enumerate() {
                    @if at > 0 { " · " }
                    a href=(format!("experiments/{}/{}", experiment.name, panel_drawing(&id(panel)))) { (panel.title) }
                }
            }
        }
    }
}

fn pictures(experiment: &Experiment) -> Markup {
    html! {
        @if !experiment.run.pictures.is_empty() {
            h3 { "Pictures taken while the alert fired" }
            div.shots {
                @for picture in &experiment.run.pictures {
                    // Always the same four lines: the file will do.
                    @if picture.page == "targets" {
                        p.soft { a href=(format!("experiments/{}/{}", experiment.name, picture.file)) { "The targets page" } " for " (picture.alert) ", " (utc(picture.taken_ms)) }
                    } @else if let Some(bytes) = experiment.picture(picture) {
                        figure {
                            img alt=(format!("Prometheus: {}", picture.page)) src=(format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(bytes)));
                            figcaption { (picture.page) " for " (picture.alert) ", " (utc(picture.taken_ms)) ", " (picture.url) }
                        }
                    }
                }
            }
        }
    }
}

/// The generator's check of itself: how late requests left.
fn generator(experiment: &Experiment) -> Markup {
    let totals = experiment.ledger.totals();
    if totals.scheduled == 0 {
        return html! {};
    }
    let lag =
        Quantiles::of(experiment.ledger.entries.iter().filter_map(|e| Some(e.sent_us?.saturating_sub(e.intended_us))));
    #[allow(clippy::cast_precision_loss)] // microseconds of a run
    let millis = |us: u64| format!("{:.1} ms", us as f64 / 1000.0);
    html! {
        p.soft {
            "Generator: " (totals.sent) " of " (totals.scheduled) " scheduled requests sent, behind their intended times by "
            (millis(lag.p50_us)) " (median), " (millis(lag.p99_us)) " (p99), " (millis(lag.max_us)) " (max). "
            @if totals.answered < totals.sent {
                (totals.sent - totals.answered) " of them got no answer: "
                (totals.failed.iter().map(|(kind, count)| format!("{count} {}", kind.words())).collect::<Vec<_>>().join(", ")) "."
            }
        }
    }
}

#[allow(clippy::cast_precision_loss)] // a ledger holds far less than 2^53 lines
fn difference(row: &Row) -> f64 {
    row.prometheus - row.ledger as f64
}

fn lanes(outcome: &Outcome, experiment: &Experiment) -> anyhow::Result<Vec<Lane>> {
    let fault = fault_window(experiment);
    let mut lanes = Vec::new();
    for alert in outcome.tree.monitoring.alerts().iter().filter(|alert| alert.name != WATCHDOG) {
        let cycle = timeline::cycle_of(experiment, &outcome.tree, &alert.name)?;
        let expected = experiment.scenario.expect.fires.contains(&alert.name);
        if !expected && cycle.pending_ms.is_none() {
            continue;
        }
        let within = outcome.judgements.iter().find_map(|judgement| match &judgement.claim.kind {
            Kind::AlertCycle(AlertCycle { alert: name, step: Step::Fires, not_after_ms, .. })
                if *name == alert.name && judgement.claim.experiment == experiment.name =>
            {
                Some(*not_after_ms)
            }
            _ => None,
        });
        let deadline_ms = fault.zip(within).map(|((start, _), within)| start + within);
        lanes.push(Lane { alert: alert.name.clone(), cycle, deadline_ms });
    }
    Ok(lanes)
}

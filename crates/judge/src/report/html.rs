//! report.html: one file, opens from a disk, prints.

use base64::Engine;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::strip::{self, Lane};
use super::words::{image, made, not_proven, revision, seeds, sign, utc};
use crate::artifacts::{dashboard_picture, panel_drawing};
use crate::claims::Kind;
use crate::claims::alert_cycle::{AlertCycle, Step};
use crate::experiment::Experiment;
use crate::faults::fault_window;
use crate::judge::{Judgement, Verdict};
use crate::outcome::Outcome;
use crate::panels::Drawings;
use crate::provenance::Mode;
use crate::reconcile::{Family, reconcile};
use crate::{grafana, timeline};
use aiclipx_model::monitoring::WATCHDOG;
use aiclipx_model::traffic::ledger::Quantiles;

/// The whole page.
pub(super) fn page(outcome: &Outcome, drawings: &[Drawings]) -> anyhow::Result<String> {
    let provenance = &outcome.provenance;
    let experiments = outcome.experiments.iter().zip(drawings);
    let experiments: Vec<Markup> = experiments
        .map(|(experiment, drawings)| section(outcome, experiment, drawings))
        .collect::<anyhow::Result<_>>()?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Evidence " (provenance.id) }
                style { (PreEscaped(include_str!("../report.css"))) }
            }
            body {
                h1 { "aiclipx · evidence" }
                (card(outcome))
                nav {
                    a href="#glance" { "At a glance" }
                    a href="#alerts" { "Scenarios and alerts" }
                    @for experiment in &outcome.experiments { a href=(format!("#{}", experiment.name)) { (experiment.name) } }
                    @if outcome.mutants.is_some() { a href="#mutants" { "Mutants" } }
                    a href="#provenance" { "Provenance" }
                    a href="#verify" { "Verify it" }
                }
                (not_holding(outcome))
                (glance(outcome)?)
                (matrix(outcome)?)
                @for section in experiments { (section) }
                @if let Some(mutants) = &outcome.mutants { (super::mutants::section(mutants)) }
                (provenance_section(outcome))
                (limits(outcome))
                (verify_section(outcome))
            }
        }
    };
    Ok(page.into_string())
}

fn card(outcome: &Outcome) -> Markup {
    let provenance = &outcome.provenance;
    let (class, sentence) = (outcome.class(), outcome.headline());
    let open = not_proven(outcome);
    html! {
        section.card.(class) {
            p.headline { (sentence) }
            p.count { (outcome.tally()) }
            dl.facts {
                (fact("Run", &provenance.id))
                (fact("Revision", &revision(outcome)))
                (fact("Recorded", &utc(provenance.began_ms)))
                (fact("Duration", &timeline::seconds(provenance.ended_ms - provenance.began_ms)))
                (fact("Speed", &format!("{}× production time", provenance.speed)))
                (fact("Seed", &seeds(outcome)))
                (fact("Made", made(outcome)))
                (fact("Service image", image(outcome)))
            }
            @if !open.is_empty() {
                div.open-list {
                    strong { "Not proven" }
                    ul { @for line in open { li { (line) } } }
                }
            }
        }
    }
}

fn fact(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// Every experiment in one line: what happened, what was counted, what the alert did, what holds.
fn glance(outcome: &Outcome) -> anyhow::Result<Markup> {
    let mut rows = Vec::new();
    for experiment in &outcome.experiments {
        let of_it: Vec<&Judgement> = of(outcome, experiment).collect();
        let holds = of_it.iter().filter(|judgement| judgement.verdict == Verdict::Holds).count();
        let worst = of_it.iter().map(|judgement| &judgement.verdict).min_by_key(|verdict| gravity(verdict));
        let mut alerts = Vec::new();
        for alert in &experiment.scenario.expect.fires {
            let cycle = timeline::cycle_of(experiment, &outcome.tree, alert)?;
            let after =
                |from: Option<i64>, at: Option<i64>| from.zip(at).map(|(from, at)| timeline::seconds(at - from));
            let window = fault_window(experiment);
            let fired = after(window.map(|(start, _)| start), cycle.firing_ms);
            let resolved = after(window.map(|(_, end)| end), cycle.resolved_ms);
            alerts.push((alert, fired, resolved));
        }
        let lacks_its_alert = experiment.scenario.expect.fires.iter().any(|alert| is_open(outcome, experiment, alert));
        let totals = experiment.ledger.totals();
        let superseded = outcome.provenance.superseded.contains(&experiment.name);
        rows.push(html! {
            tr {
                td.name { a href=(format!("#{}", experiment.name)) { (experiment.name) } @if superseded { div.soft { "repeated" } } }
                td { (experiment.scenario.title) }
                td.number data-label="Requests" { (totals.sent) }
                td data-label="Alert" {
                    @for (alert, fired, resolved) in alerts {
                        div { (alert) ": "
                            @match fired {
                                Some(after) => { "fired after " (after) }
                                None if is_open(outcome, experiment, alert) => { "not proven" }
                                None => { "did not fire" }
                            }
                            @if let Some(after) = resolved { ", over " (after) " after the fault's end" }
                        }
                    }
                    @if experiment.scenario.expect.fires.is_empty() { span.soft { "none may fire" } }
                }
                td.number data-label="Claims held" { (holds) " of " (of_it.len()) }
                td.verdict {
                    @match worst {
                        // What was shown holds; that something was not is no reason to doubt it, unless it is what this is about.
                        Some(Verdict::NotProven(_)) if holds > 0 && !lacks_its_alert => {
                            (mark(&Verdict::Holds)) div.soft { (of_it.len() - holds) " not proven" }
                        }
                        Some(worst @ Verdict::NotProven(_)) => { (mark(worst)) div.soft { "the alert it is about" } }
                        Some(worst) => { (mark(worst)) }
                        None => {}
                    }
                }
            }
        });
    }
    Ok(html! {
        h2 #glance { "At a glance" }
        div.wide { table.rows.glance {
            thead { tr { th { "Experiment" } th { "What happens" } th.number { "Requests" } th { "Alert" } th.number { "Claims held" } th { "Verdict" } } }
            tbody { @for row in rows { (row) } }
        } }
    })
}

fn of<'a>(outcome: &'a Outcome, experiment: &'a Experiment) -> impl Iterator<Item = &'a Judgement> {
    outcome.judgements.iter().filter(|judgement| judgement.claim.experiment == experiment.name)
}

/// Failures first, then what says nothing, what is open, and what holds.
fn gravity(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Fails(_) => 0,
        Verdict::Invalid(_) => 1,
        Verdict::NotProven(_) => 2,
        Verdict::Holds => 3,
    }
}

/// What a reader must see before anything else; nothing where all holds. What is not proven stands above, by reason.
fn not_holding(outcome: &Outcome) -> Markup {
    let wrong = |judgement: &&Judgement| matches!(judgement.verdict, Verdict::Fails(_) | Verdict::Invalid(_));
    let mut open: Vec<&Judgement> = outcome.judgements.iter().filter(wrong).collect();
    open.sort_by_key(|judgement| gravity(&judgement.verdict));
    html! {
        @if !open.is_empty() {
            h2 #open { "What does not hold" }
            (claim_table(&open, true))
        }
    }
}

/// The claims of one experiment. Of the quiet alerts and the panels that answer, those that hold and those that are not
/// proven are a line each.
fn claims(outcome: &Outcome, experiment: &Experiment) -> Markup {
    let mut told = Vec::new();
    let mut lines: Vec<(bool, &str, Vec<&str>)> = Vec::new();
    for judgement in of(outcome, experiment) {
        let holds = judgement.verdict == Verdict::Holds;
        match judgement.claim.kind.rules().folded() {
            Some(folded) if holds || matches!(judgement.verdict, Verdict::NotProven(_)) => {
                let words = if holds { folded.hold } else { folded.open };
                match lines.iter_mut().find(|(_, known, _)| *known == words) {
                    Some((.., about)) => about.push(folded.about),
                    None => lines.push((holds, words, vec![folded.about])),
                }
            }
            _ => told.push(judgement),
        }
    }
    lines.sort_by_key(|(holds, ..)| !holds);
    html! {
        (claim_table(&told, false))
        @for (holds, words, about) in lines {
            p.soft {
                (mark(&if holds { Verdict::Holds } else { Verdict::NotProven(String::new()) }))
                " " (about.len()) " " (words) ": " (about.join(", ")) "."
            }
        }
    }
}

fn claim_table(judgements: &[&Judgement], with_experiment: bool) -> Markup {
    html! {
        div.wide { table.rows {
            thead { tr {
                @if with_experiment { th { "Experiment" } }
                th { "Claim" } th { "Must be" } th { "Was" } th { "Verdict" }
            } }
            tbody {
                @for judgement in judgements {
                    tr {
                        @if with_experiment { td.name { (judgement.claim.experiment) } }
                        td { (judgement.claim.says) @if !judgement.verdict.why().is_empty() { div class=(why_class(&judgement.verdict)) { (judgement.verdict.why()) } } }
                        td data-label="Must be" { (judgement.expected) }
                        td data-label="Was" { (judgement.observed) }
                        td.verdict { (mark(&judgement.verdict)) }
                    }
                }
            }
        } }
    }
}

/// Red is for what failed.
fn why_class(verdict: &Verdict) -> &'static str {
    if matches!(verdict, Verdict::NotProven(_)) { "why open" } else { "why" }
}

fn mark(verdict: &Verdict) -> Markup {
    let class = match verdict {
        Verdict::Holds => "holds",
        Verdict::Fails(_) => "fails",
        Verdict::NotProven(_) => "notproven",
        Verdict::Invalid(_) => "invalid",
    };
    html! { span.mark.(class) { (sign(verdict)) } }
}

/// Whether nothing is known of an alert in an experiment: quiet because nobody was asked is not the quiet of an alert that could
/// have spoken.
fn is_open(outcome: &Outcome, experiment: &Experiment, alert: &str) -> bool {
    of(outcome, experiment).any(|judged| {
        let is_it = judged.claim.kind.rules().tells_of() == Some(alert);
        is_it && matches!(judged.verdict, Verdict::NotProven(_))
    })
}

/// Which alert fired in which experiment, and whether it should have.
fn matrix(outcome: &Outcome) -> anyhow::Result<Markup> {
    let mut rows = Vec::new();
    for alert in outcome.tree.monitoring.alerts().iter().filter(|alert| alert.name != WATCHDOG) {
        let mut cells = Vec::new();
        for experiment in &outcome.experiments {
            let fired = timeline::firing_samples(&alert.name, &experiment.samples("alerts")?) > 0;
            let expect = &experiment.scenario.expect;
            let inhibited = expect.inhibits.contains(&alert.name);
            let (class, text) = match (expect.fires.contains(&alert.name), expect.may_fire.contains(&alert.name), fired)
            {
                _ if inhibited => {
                    if fired {
                        ("holds", "fired, not told")
                    } else {
                        ("fails", "did not fire")
                    }
                }
                (true, _, true) => ("holds", "fired"),
                (true, _, false) if is_open(outcome, experiment, &alert.name) => ("", "not proven"),
                (true, _, false) => ("fails", "did not fire"),
                (_, true, true) => ("", "fired, as it may"),
                (_, true, false) => ("", "quiet; may fire"),
                (_, _, true) => ("fails", "fired"),
                (_, _, false) if is_open(outcome, experiment, &alert.name) => ("", "not proven"),
                (_, _, false) => ("", "quiet"),
            };
            cells.push((class, text));
        }
        rows.push((&alert.name, cells));
    }
    Ok(html! {
        h2 #alerts { "Scenarios and alerts" }
        div.wide { table.matrix {
            thead { tr { th { "Alert" } @for experiment in &outcome.experiments { th { (experiment.name) } } } }
            tbody {
                @for (alert, cells) in rows {
                    tr {
                        td { (alert) }
                        @for (class, text) in cells {
                            td { @if class.is_empty() { span.soft { (text) } } @else { span.mark.(class) { (text) } } }
                        }
                    }
                }
            }
        } }
    })
}

fn section(outcome: &Outcome, experiment: &Experiment, drawings: &Drawings) -> anyhow::Result<Markup> {
    let run = &experiment.run;
    let reconciliation = reconcile(experiment, Family::Requests);
    // The page people came for, and what the scenario is about; the others are files.
    let expected = &experiment.scenario.expect.panels;
    let is_shown = |(panel, _): &&(String, String)| expected.contains_key(panel) || panel.starts_with("app-overview/");
    let (shown, beside): (Vec<_>, Vec<_>) = drawings.iter().partition(is_shown);
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
        @match reconciliation {
            Ok(reconciliation) if reconciliation.rows.is_empty() => {
                h3 { "Requests, client and Prometheus" }
                p { "None was sent, and none was counted in " (reconciliation.series) " series." }
            },
            Ok(reconciliation) => {
                h3 { "Requests, client and Prometheus" }
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
            Err(error) => { p.why { (format!("{error:#}")) } },
        }
        (generator(experiment))
        h3 { "Dashboard panels, drawn from their own queries" }
        div.panels { @for (_, svg) in &shown { figure { (PreEscaped(svg)) } } }
        p.soft {
            "Beside this page, drawn as well: "
            @for (panel, _) in &beside {
                a href=(format!("experiments/{}/{}", experiment.name, panel_drawing(panel))) { (panel) } " "
            }
        }
        @if !run.pictures.is_empty() {
            h3 { "Pictures taken while the alert fired" }
            div.shots {
                @for picture in &run.pictures {
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
fn difference(row: &crate::reconcile::Row) -> f64 {
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

fn provenance_section(outcome: &Outcome) -> Markup {
    let provenance = &outcome.provenance;
    html! {
        h2 #provenance { "Provenance" }
        dl.facts {
            (fact("Commit", provenance.revision.as_deref().unwrap_or("none")))
            (fact("Uncommitted changes, SHA-256", provenance.dirty.as_deref().unwrap_or("none")))
            (fact("flake.lock, SHA-256", provenance.flake_lock_sha256.as_deref().unwrap_or("none")))
            (fact("Machine", &provenance.machine))
            (fact("aiclipx", &provenance.tool))
            @for (name, version) in &provenance.versions { (fact(name, version)) }
        }
    }
}

fn limits(outcome: &Outcome) -> Markup {
    html! {
        h2 { "Limits" }
        ul {
            @if outcome.provenance.speed.factor() > 1 {
                li { "The stack lived " (outcome.provenance.speed) " times faster than production: every duration of the monitoring was divided by it, rates, shares and latencies were not." }
            }
            li { "Alert times are times of evaluations: exact to one evaluation interval." }
            li { "The revision is the tree's. That the programs were built from it, nothing here shows." }
            @if outcome.provenance.mode == Mode::Foreign {
                li { "Somebody else started the stack: what ran there is what it says of itself, and its clock agreed with the client's when evidence was collected." }
            } @else {
                li { "Client, service and Prometheus shared one machine and one clock." }
            }
            li { "The sums show that nothing changed since the bundle was sealed, and the derivation that its verdicts follow from its exhibits. Neither shows who made it." }
        }
    }
}

fn verify_section(outcome: &Outcome) -> Markup {
    let provenance = &outcome.provenance;
    html! {
        h2 #verify { "Verify it" }
        p { "In the folder that holds this report, offline, with nothing but the tool or nothing but coreutils:" }
        pre { "aiclipx evidence verify .\nsha256sum -c SHA256SUMS" }
        p { "The first judges every exhibit again and compares; the second checks only that no listed file changed." }
        @if provenance.dirty.is_some() {
            p { "It was made with uncommitted changes: to run it again, lay what " code { "tree/" } " holds over the revision first." }
        }
        p { "To run it again from the same revision and seed:" }
        pre {
            @if let Some(commit) = &provenance.revision { "git checkout " (&commit[..commit.len().min(12)]) "\n" }
            @for seed in &provenance.seeds {
                "./dev just prove --seed " (seed) " --speed " (provenance.speed)
                @if !outcome.not_run().is_empty() {
                    @for experiment in outcome.experiments.iter().filter(|one| one.ledger.head.seed == *seed) { " --only " (experiment.run.scenario) }
                }
                "\n"
            }
        }
    }
}

//! report.html: one file, opens from a disk, prints.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::breaks::breakable;
use super::experiment::section;
use super::judgements::{claim_table, is_open, mark, of};
use super::words::{image, made, not_proven, revision, seeds, utc};
use crate::claims::Kind;
use crate::claims::alert_cycle::{AlertCycle, Step};
use crate::experiment::Experiment;
use crate::faults::fault_window;
use crate::judge::{Judgement, Verdict};
use crate::outcome::Outcome;
use crate::panels::Drawings;
use crate::provenance::Mode;
use crate::timeline;
use aiclipx_model::monitoring::WATCHDOG;

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
                    ul { @for line in open { li { (breakable(&line)) } } }
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
                        div { (breakable(&format!("{alert}:"))) " "
                            @match fired {
                                Some(after) => { "fired after " (after) }
                                None if is_open(outcome, experiment, alert) => { "not proven" }
                                None => { "did not fire" }
                            }
                            @if let Some(after) = resolved { ", resolved " (after) " after the fault ended" }
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

/// Failures first, then what is inconclusive, what is open, and what holds.
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

/// More experiments than that stand in narrow columns, their names upright.
const FEW: usize = 6;

/// What the column of names takes, in widths of an M: names are in `DejaVu` Sans, whose letters are some 0.58 of one wide.
fn names_width(names: &[(&String, impl Sized)]) -> f64 {
    const MOST: usize = 46;
    let longest = names.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(MOST);
    // At most 46.
    f64::from(u8::try_from(longest).unwrap_or(u8::MAX)) * 0.58 + 1.0
}

/// What came of the claim that this alert fires, in time.
fn fires_claim<'a>(outcome: &'a Outcome, experiment: &'a Experiment, alert: &str) -> Option<&'a Verdict> {
    let is_it = |judgement: &&Judgement| match &judgement.claim.kind {
        Kind::AlertCycle(AlertCycle { alert: name, step: Step::Fires, .. }) => name == alert,
        _ => false,
    };
    of(outcome, experiment).find(is_it).map(|judgement| &judgement.verdict)
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
                (true, _, true) => match fires_claim(outcome, experiment, &alert.name) {
                    Some(Verdict::Fails(_)) => ("fails", "fired, not in time"),
                    Some(Verdict::Invalid(_)) => ("invalid", "fired; invalid"),
                    Some(Verdict::NotProven(_)) => ("", "fired; not proven"),
                    Some(Verdict::Holds) | None => ("holds", "fired"),
                },
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
        p.soft.sideways { "Swipe sideways: a column for each scenario →" }
        div.wide { table.matrix.many[outcome.experiments.len() > FEW] {
            colgroup { col.alert style={ "width: " (names_width(&rows)) "em" }; }
            thead { tr { th { "Alert" } @for experiment in &outcome.experiments { th { span { (experiment.name) } } } } }
            tbody {
                @for (alert, cells) in rows {
                    tr {
                        td { (breakable(alert)) }
                        @for (class, text) in cells {
                            td { @if class.is_empty() { span.soft { (text) } } @else { span.mark.(class) { (text) } } }
                        }
                    }
                }
            }
        } }
    })
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
            @if outcome.provenance.mode == Mode::External {
                li { "Somebody else started the stack: what ran there is what it says of itself, and its clock agreed with the client's when evidence was collected." }
            } @else {
                li { "Client, service and Prometheus shared one machine and one clock." }
            }
            li { "The sums show that nothing changed since the bundle was sealed, and the derivation that its verdicts follow from its artifacts. Neither shows who made it." }
        }
    }
}

fn verify_section(outcome: &Outcome) -> Markup {
    let provenance = &outcome.provenance;
    // The recipes are of our own tree.
    let prove = if outcome.tree.service().is_ours() { "./dev just prove" } else { "aiclipx prove" };
    html! {
        h2 #verify { "Verify it" }
        p { "In the folder that holds this report, offline, with nothing but the tool or nothing but coreutils:" }
        pre { "aiclipx verify .\nsha256sum -c SHA256SUMS" }
        p { "The first judges every artifact again and compares; the second checks only that no listed file changed." }
        @if provenance.dirty.is_some() {
            p { "It was made with uncommitted changes: to run it again, lay what " code { "tree/" } " holds over the revision first." }
        }
        p { "To run it again from the same revision and seed:" }
        pre {
            @if let Some(commit) = &provenance.revision { "git checkout " (&commit[..commit.len().min(12)]) "\n" }
            @for seed in &provenance.seeds {
                (prove) " --seed " (seed) " --speed " (provenance.speed)
                @if !outcome.not_run().is_empty() {
                    @for experiment in outcome.experiments.iter().filter(|one| one.ledger.head.seed == *seed) { " --only " (experiment.run.scenario) }
                }
                "\n"
            }
        }
    }
}

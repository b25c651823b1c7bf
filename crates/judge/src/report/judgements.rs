//! Judgements as report.html shows them: a table of claims, a mark for a verdict, the claims of one experiment.

use maud::{Markup, html};

use super::breaks::breakable;
use super::words::sign;
use crate::experiment::Experiment;
use crate::judge::{Judgement, Verdict};
use crate::outcome::Outcome;

pub(super) fn of<'a>(outcome: &'a Outcome, experiment: &'a Experiment) -> impl Iterator<Item = &'a Judgement> {
    outcome.judgements.iter().filter(|judgement| judgement.claim.experiment == experiment.name)
}

/// The claims of one experiment. Of the quiet alerts and the panels that answer, those that hold and those that are not
/// proven are a line each.
pub(super) fn claims(outcome: &Outcome, experiment: &Experiment) -> Markup {
    let mut told = Vec::new();
    let mut lines: Vec<(bool, (&str, &str), Vec<&str>)> = Vec::new();
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
                " " (about.len()) " " (if about.len() == 1 { words.0 } else { words.1 }) ": " (breakable(&about.join(", "))) "."
            }
        }
    }
}

pub(super) fn claim_table(judgements: &[&Judgement], with_experiment: bool) -> Markup {
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
                        td { (breakable(&judgement.claim.says)) @if !judgement.verdict.why().is_empty() { div class=(why_class(&judgement.verdict)) { (breakable(judgement.verdict.why())) } } }
                        @if judgement.expected.is_empty() {
                            td.unlooked { "—" }
                        } @else {
                            td data-label="Must be" { (breakable(&judgement.expected)) }
                        }
                        td data-label="Was" { (breakable(&judgement.observed)) }
                        td.verdict { (mark(&judgement.verdict)) }
                    }
                }
            }
        } }
    }
}

/// Red is for what failed.
pub(crate) fn why_class(verdict: &Verdict) -> &'static str {
    if matches!(verdict, Verdict::NotProven(_)) { "why open" } else { "why" }
}

pub(crate) fn mark(verdict: &Verdict) -> Markup {
    let class = match verdict {
        Verdict::Holds => "holds",
        Verdict::Fails(_) => "fails",
        Verdict::NotProven(_) => "notproven",
        Verdict::Invalid(_) => "invalid",
    };
    html! { span.mark.(class) { (sign(verdict)) } }
}

/// Whether a claim on an alert is not proven in an experiment: that it did not fire then shows nothing.
pub(super) fn is_open(outcome: &Outcome, experiment: &Experiment, alert: &str) -> bool {
    of(outcome, experiment).any(|judged| {
        let is_it = judged.claim.kind.rules().alert() == Some(alert);
        is_it && matches!(judged.verdict, Verdict::NotProven(_))
    })
}

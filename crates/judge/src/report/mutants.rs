//! The section on mutants: what was broken on purpose, what must find it, what came of it.
//!
//! It repeats what `just mutants` reported; the bundle holds no artifacts of that run, and the section says so.

use std::fmt::Write;

use maud::{Markup, html};

use super::breaks::breakable;
use super::words::{cell, utc};
use crate::mutants::outcome::MutantStatus;
use crate::mutants::outcome::Outcome;

/// Why a reader should care, and what it rests on.
fn says(mutants: &Outcome) -> String {
    format!(
        "Each is one wrong, done on purpose to a private stack of this revision; it is killed when its claim fails with it \
         and holds without it. {}. That is what the run of {} told that tried them; its artifacts are not in this bundle.",
        mutants.tally(),
        utc(mutants.began_ms)
    )
}

/// For report.html.
pub(super) fn section(mutants: &Outcome) -> Markup {
    let class = |status: &MutantStatus| match status {
        MutantStatus::Killed(_) => "holds",
        MutantStatus::Survived(_) | MutantStatus::DidNotApply(_) => "fails",
        MutantStatus::Invalid(_) => "invalid",
        MutantStatus::NotTried(_) => "notproven",
    };
    html! {
        h2 #mutants { "Mutants" }
        p { (says(mutants)) }
        div.wide { table {
            thead { tr { th { "What would be wrong" } th { "Must be found by" } th { "Told by it" } th { "Status" } } }
            tbody {
                @for tried in &mutants.mutants {
                    tr {
                        td { strong { (tried.id) } div.soft { (tried.breaks) } }
                        td { (breakable(&tried.found_by)) }
                        td { (breakable(&tried.status.brief())) }
                        td.verdict { span.mark.(class(&tried.status)) { (tried.status.sign()) " " (tried.status.word()) } }
                    }
                }
            }
        } }
    }
}

/// For report.md.
pub(super) fn text(mutants: &Outcome) -> anyhow::Result<String> {
    let mut text = format!(
        "\n## Mutants\n\n{}\n\n| what would be wrong | must be found by | status |\n|---|---|---|\n",
        says(mutants)
    );
    for tried in &mutants.mutants {
        let (sign, word) = (tried.status.sign(), tried.status.word());
        let why = if let MutantStatus::NotTried(why) = &tried.status { format!(", {why}") } else { String::new() };
        let status = cell(&format!("{sign} {word}{why}"));
        writeln!(text, "| {} | {} | {status} |", cell(&tried.breaks), cell(&tried.found_by))?;
    }
    Ok(text)
}

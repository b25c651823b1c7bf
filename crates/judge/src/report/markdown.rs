//! report.md: the same in a form for a pull request, without pictures; what is quiet and answers is counted, not listed.

use std::fmt::{self, Write};

use super::words::{cell, image, made, not_proven, revision, seeds, sign, utc};
use crate::judge::{Judgement, Verdict};
use crate::outcome::Outcome;
use crate::reconcile::{Family, reconcile};
use crate::timeline::seconds;

pub(super) fn page(outcome: &Outcome) -> anyhow::Result<String> {
    let mut text = String::new();
    head(outcome, &mut text)?;
    claims(outcome, &mut text)?;
    requests(outcome, &mut text)?;
    if let Some(mutants) = &outcome.mutants {
        text += &super::mutants::text(mutants)?;
    }
    writeln!(text, "\nVerify: `aiclipx verify .` in this folder, offline.")?;
    Ok(text)
}

/// The verdict over all, where it comes from, and what is not proven.
fn head(outcome: &Outcome, text: &mut String) -> fmt::Result {
    let provenance = &outcome.provenance;
    writeln!(text, "# Evidence {}\n", provenance.id)?;
    writeln!(text, "**{}.** {}.\n", outcome.headline(), outcome.tally())?;
    writeln!(text, "| | |\n|---|---|")?;
    for (name, value) in [
        ("revision", revision(outcome)),
        ("recorded", utc(provenance.began_ms)),
        ("duration", seconds(provenance.ended_ms - provenance.began_ms)),
        ("speed, seed", format!("{}, {}", provenance.speed, seeds(outcome))),
        ("made", made(outcome).to_owned()),
        ("service image", image(outcome).to_owned()),
        ("machine", provenance.machine.clone()),
    ] {
        writeln!(text, "| {name} | {} |", cell(&value))?;
    }
    for (name, version) in &provenance.versions {
        writeln!(text, "| {name} | {} |", cell(version))?;
    }
    let open = not_proven(outcome);
    if !open.is_empty() {
        writeln!(text, "\nNot proven:\n")?;
        for line in open {
            writeln!(text, "- {}", cell(&line))?;
        }
    }
    Ok(())
}

fn claims(outcome: &Outcome, text: &mut String) -> fmt::Result {
    writeln!(text, "\n## Claims\n\n| experiment | claim | must be | was | verdict |\n|---|---|---|---|---|")?;
    // What is quiet and answers fills pages; it is in verdicts.json, and here where it is not as it should be.
    let is_folded = |judgement: &&Judgement| {
        let is_dull = judgement.claim.kind.rules().folded().is_some();
        is_dull && matches!(judgement.verdict, Verdict::Holds | Verdict::NotProven(_))
    };
    let (folded, listed): (Vec<_>, Vec<_>) = outcome.judgements.iter().partition(is_folded);
    for judgement in listed {
        let why = judgement.verdict.why();
        writeln!(
            text,
            "| {} | {}{} | {} | {} | {} |",
            judgement.claim.experiment,
            cell(&judgement.claim.says),
            if why.is_empty() { String::new() } else { format!(" — **{}**", cell(why)) },
            cell(&judgement.expected),
            cell(&judgement.observed),
            sign(&judgement.verdict)
        )?;
    }
    writeln!(
        text,
        "\n{} more claims, of alerts that stay quiet and of panels that answer, hold or are not proven as said above; \
         they are in verdicts.json.",
        folded.len()
    )
}

/// What the client counted, beside what Prometheus did.
fn requests(outcome: &Outcome, text: &mut String) -> fmt::Result {
    for experiment in &outcome.experiments {
        let Ok(reconciliation) = reconcile(experiment, outcome.tree.service(), Family::Requests) else { continue };
        if reconciliation.rows.is_empty() {
            continue;
        }
        writeln!(text, "\n## {}: requests\n\n| request | client | Prometheus |\n|---|--:|--:|", experiment.name)?;
        for row in reconciliation.rows {
            writeln!(text, "| `{}` | {} | {} |", row.what, row.ledger, row.prometheus)?;
        }
    }
    Ok(())
}

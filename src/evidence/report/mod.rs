//! What people read: report.html (self-contained, no script) and report.md, out of what was judged; and report.pdf, the
//! first of them printed.
//!
//! Pure but for the print, and deterministic: `verify` writes the reports again and compares, so a number in them that no exhibit gives
//! rise to is found. Nothing is said here that was not recorded in this run.

mod html;
mod markdown;
mod mutants;
pub mod pdf;
mod strip;

use std::collections::BTreeMap;

use super::bundle::Outcome;
use super::judge::Verdict;

/// The files that tell people: path below the bundle, and text.
pub fn write(outcome: &Outcome) -> anyhow::Result<Vec<(String, String)>> {
    let mut files =
        vec![("report.html".to_owned(), html::page(outcome)?), ("report.md".to_owned(), markdown::page(outcome)?)];
    for experiment in &outcome.experiments {
        for (panel, svg) in super::panels::drawings(experiment, &outcome.tree)? {
            files.push((format!("experiments/{}/panels/{}.svg", experiment.name, panel.replace('/', "-")), svg));
        }
    }
    Ok(files)
}

/// What is not proven, each reason once with the claims it covers: one that is open in many experiments is one.
fn not_proven(outcome: &Outcome) -> Vec<String> {
    let mut reasons: BTreeMap<&str, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for judgement in outcome.counting() {
        if let Verdict::NotProven(why) = &judgement.verdict {
            let (experiment, claim) = judgement.claim.id.split_once('/').unwrap_or((&judgement.claim.id, ""));
            reasons.entry(why).or_default().entry(claim).or_default().push(experiment);
        }
    }
    let told = |(claim, experiments): (&str, Vec<&str>)| match experiments[..] {
        [experiment] => format!("{experiment}/{claim}"),
        _ => format!("{claim} in {} experiments", experiments.len()),
    };
    let mut list: Vec<String> = reasons
        .into_iter()
        .map(|(why, claims)| format!("{} — {why}", claims.into_iter().map(told).collect::<Vec<_>>().join(", ")))
        .collect();
    list.extend(outcome.provenance.unfinished.iter().map(|(name, why)| format!("{name} could not be recorded: {why}")));
    list.extend(outcome.provenance.broken_off.iter().map(|run| format!("{run} was broken off, and is not judged")));
    list.extend(outcome.provenance.absent.iter().cloned());
    list
}

/// `2026-11-24 03:30:00 UTC`.
fn utc(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis)
        .map_or_else(|_| "?".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// `Holds`, `Fails`, … as a word for people with its sign, so that colour is not alone.
fn sign(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "✓ holds",
        Verdict::Fails(_) => "✗ fails",
        Verdict::NotProven(_) => "○ not proven",
        Verdict::Invalid(_) => "! invalid",
    }
}

/// `42`, or `7, 8`.
fn seeds(outcome: &Outcome) -> String {
    outcome.provenance.seeds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The commit and whether the tree was clean.
fn revision(outcome: &Outcome) -> String {
    match (&outcome.provenance.revision, &outcome.provenance.dirty) {
        (None, _) => "not in a repository".to_owned(),
        (Some(commit), None) => format!("{}, clean", &commit[..commit.len().min(12)]),
        (Some(commit), Some(_)) => format!("{}, with uncommitted changes", &commit[..commit.len().min(12)]),
    }
}

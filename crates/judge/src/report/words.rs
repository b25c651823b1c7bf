//! What both forms of the report say in the same words.

use std::collections::BTreeMap;

use crate::judge::Verdict;
use crate::outcome::Outcome;
use crate::provenance::Mode;

/// What is not proven: each reason once, with all the claims it covers, and each list of what they are about once.
pub(super) fn not_proven(outcome: &Outcome) -> Vec<String> {
    let mut list: Vec<String> = reasons(outcome)
        .into_iter()
        .map(|(why, places)| {
            let parts = places.into_iter().map(|(experiments, kinds)| {
                let place = match experiments[..] {
                    [experiment] => experiment.to_owned(),
                    _ => format!("{} experiments", experiments.len()),
                };
                format!("{}, in {place}", by_subject(kinds))
            });
            format!("{why} — {}", parts.collect::<Vec<_>>().join("; "))
        })
        .collect();
    let not_run = outcome.not_run();
    if !not_run.is_empty() {
        let alerts = outcome.not_provoked();
        let alerts =
            if alerts.is_empty() { String::new() } else { format!("; so nobody saw {} fire", alerts.join(", ")) };
        list.push(format!("not run: {}{alerts}", not_run.join(", ")));
    }
    list.extend(outcome.provenance.superseded.iter().map(|name| format!("{name} was invalid, repeated and put aside")));
    list.extend(outcome.provenance.unfinished.iter().map(|(name, why)| format!("{name} could not be recorded: {why}")));
    let broken_off = outcome.provenance.broken_off.iter();
    list.extend(broken_off.map(|one| format!("{} is not judged: {}", one.run, one.end.why)));
    list.extend(outcome.provenance.absent.iter().cloned());
    list
}

/// By kind of claim: what those claims are about.
type Kinds<'a> = BTreeMap<&'a str, Vec<&'a str>>;

/// By reason, and then by experiments: the claims that are not proven.
fn reasons(outcome: &Outcome) -> BTreeMap<&str, BTreeMap<Vec<&str>, Kinds<'_>>> {
    let mut open: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for judgement in outcome.counting() {
        if let Verdict::NotProven(why) = &judgement.verdict {
            let claim = judgement.claim.id.split_once('/').map_or("", |(_, claim)| claim);
            open.entry((why, claim)).or_default().push(&judgement.claim.experiment);
        }
    }
    let mut reasons: BTreeMap<&str, BTreeMap<Vec<&str>, Kinds>> = BTreeMap::new();
    for ((why, claim), experiments) in open {
        let (kind, about) = claim.split_once('/').unwrap_or((claim, ""));
        reasons.entry(why).or_default().entry(experiments).or_default().entry(kind).or_default().push(about);
    }
    reasons
}

/// `alert-fires, alert-resolves of AppDown`: kinds that are about the same stand beside each other.
fn by_subject(kinds: Kinds) -> String {
    let mut subjects: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    for (kind, about) in kinds {
        match subjects.iter_mut().find(|(known, _)| *known == about) {
            Some((_, kinds)) => kinds.push(kind),
            None => subjects.push((about, vec![kind])),
        }
    }
    let told = subjects.into_iter().map(|(about, kinds)| match &about[..] {
        [""] => kinds.join(", "),
        about => format!("{} of {}", kinds.join(", "), about.join(", ")),
    });
    told.collect::<Vec<_>>().join("; ")
}

/// `2026-11-24 03:30:00 UTC`.
pub(crate) fn utc(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis)
        .map_or_else(|_| "?".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// `Holds`, `Fails`, … as a word for people with its sign, so that colour is not alone.
pub(crate) fn sign(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "✓ holds",
        Verdict::Fails(_) => "✗ fails",
        Verdict::NotProven(_) => "○ not proven",
        Verdict::Invalid(_) => "! invalid",
    }
}

/// On what kind of stack.
pub(super) fn made(outcome: &Outcome) -> &'static str {
    match outcome.provenance.mode {
        Mode::Attached => "on the stack that was up",
        Mode::Private => "every experiment on a stack of its own",
        Mode::External => "on a stack that somebody else started",
    }
}

pub(super) fn image(outcome: &Outcome) -> &str {
    outcome.provenance.image.as_deref().unwrap_or(match outcome.provenance.mode {
        Mode::External => "not told by the service",
        Mode::Attached | Mode::Private => "none: the service ran as a process",
    })
}

/// `42`, or `7, 8`.
pub(super) fn seeds(outcome: &Outcome) -> String {
    outcome.provenance.seeds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The commit and whether the tree was clean.
pub(super) fn revision(outcome: &Outcome) -> String {
    match (&outcome.provenance.revision, &outcome.provenance.dirty) {
        (None, _) => "none is known".to_owned(),
        (Some(commit), None) => format!("{}, clean", &commit[..commit.len().min(12)]),
        (Some(commit), Some(_)) => format!("{}, with uncommitted changes", &commit[..commit.len().min(12)]),
    }
}

/// A text as it may stand in a table's cell of report.md.
pub(crate) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_kinds_are_about_is_named_once() {
        let both = || vec!["AppDown", "AppSlow"];
        let kinds = Kinds::from([
            ("alert-fires", both()),
            ("alert-quiet", vec!["AppDown"]),
            ("alert-resolves", both()),
            ("schedule", vec![""]),
        ]);
        assert_eq!(
            by_subject(kinds),
            "alert-fires, alert-resolves of AppDown, AppSlow; alert-quiet of AppDown; schedule"
        );
    }
}

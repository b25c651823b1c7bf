//! A mutant's status, from what was found with it and without it. Pure.

use std::collections::BTreeMap;

use super::parts::{self, Part};
use aiclipx_judge::judge::{Judgement, Verdict};
use aiclipx_judge::mutants::outcome::MutantStatus;
use aiclipx_judge::mutants::outcome::Tried;
use aiclipx_judge::mutants::table::{FoundBy, Mutant};

/// What was found in an experiment: its judgements, what disturbed it, and what its stack lacked.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    pub(super) judgements: Vec<Judgement>,
    pub(super) disturbances: Vec<String>,
    pub(super) lacking: Vec<Part>,
}

/// By scenario or mutant; `Err` holds the status of one that could not be recorded.
pub(super) type Findings = BTreeMap<String, Result<Found, MutantStatus>>;

/// Whether the run was disturbed as the mutant must disturb it.
pub(super) fn is_wanted(mutant: &Mutant, found: &Found) -> bool {
    match &mutant.found_by {
        FoundBy::Disturbance { words, .. } => found.disturbances.iter().any(|told| told.contains(words)),
        FoundBy::Claim(_) => false,
    }
}

/// A mutant's status, from its own experiment and the sound one of its scenario.
pub(super) fn judged(mutant: &Mutant, found: &Findings) -> Tried {
    let nothing = |why: &str| Tried::new(mutant, MutantStatus::Invalid(why.to_owned()), Vec::new());
    let experiment = mutant.found_by.experiment();
    let sound = match found.get(experiment) {
        Some(Ok(sound)) if sound.disturbances.is_empty() => sound,
        Some(Ok(sound)) => return nothing(&format!("{experiment} as it stands: {}", sound.disturbances.join("; "))),
        Some(Err(status)) => return nothing(&format!("{experiment} as it stands: {}", status.why())),
        None => return nothing(&format!("{experiment} was not enacted as it stands")),
    };
    if let FoundBy::Claim(claim) = &mutant.found_by {
        match verdict(sound, claim) {
            Some(Verdict::Holds) => {}
            Some(other) => {
                return match parts::wanting(mutant, &sound.judgements, &sound.lacking) {
                    Some(why) => Tried::new(mutant, MutantStatus::NotTried(why), Vec::new()),
                    None => nothing(&format!("{claim} {} without it: {}", other.word(), other.why())),
                };
            }
            None => {
                return Tried::new(
                    mutant,
                    MutantStatus::DidNotApply(format!("no claim {claim} is derived")),
                    Vec::new(),
                );
            }
        }
    }
    let broken = match found.get(&mutant.id) {
        Some(Ok(broken)) => broken,
        Some(Err(status)) => return Tried::new(mutant, status.clone(), Vec::new()),
        None => return nothing("it was not tried"),
    };
    let status = alone(mutant, broken);
    let named = mutant.found_by.to_string();
    let fails = broken.judgements.iter().filter(|judged| matches!(judged.verdict, Verdict::Fails(_)));
    let also = fails.map(|judged| judged.claim.id.clone()).filter(|id| *id != named).collect();
    Tried::new(mutant, status, also)
}

/// What its own experiment says of a mutant: the claim is taken to hold without it.
pub(super) fn alone(mutant: &Mutant, broken: &Found) -> MutantStatus {
    let told = || broken.disturbances.join("; ");
    match &mutant.found_by {
        FoundBy::Disturbance { words, .. } => match broken.disturbances.iter().find(|told| told.contains(words)) {
            Some(disturbance) => MutantStatus::Killed(disturbance.clone()),
            None if broken.disturbances.is_empty() => MutantStatus::Survived("nothing disturbed the run".to_owned()),
            None => MutantStatus::Invalid(told()),
        },
        FoundBy::Claim(_) if !broken.disturbances.is_empty() => MutantStatus::Invalid(told()),
        FoundBy::Claim(claim) => match verdict(broken, claim) {
            Some(Verdict::Fails(why)) => MutantStatus::Killed(why.clone()),
            Some(other) => {
                MutantStatus::Survived(format!("{claim} {} {}", other.word(), other.why()).trim().to_owned())
            }
            None => MutantStatus::DidNotApply(format!("no claim {claim} is derived")),
        },
    }
}

/// The same in a line, before its scenario was seen as it stands: a claim that is not proven for want of a part says nothing
/// of the mutant.
pub(super) fn so_far(mutant: &Mutant, found: &Found) -> String {
    let status = match parts::wanting(mutant, &found.judgements, &found.lacking) {
        Some(why) => MutantStatus::NotTried(why),
        None => alone(mutant, found),
    };
    match status {
        MutantStatus::Killed(_) => format!("found by {}: {}", mutant.found_by, status.brief()),
        _ => format!("{}: {}", status.word(), status.brief()),
    }
}

fn verdict<'a>(found: &'a Found, claim: &str) -> Option<&'a Verdict> {
    found.judgements.iter().find(|judged| judged.claim.id == claim).map(|judged| &judged.verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aiclipx_judge::claims::alert_quiet::AlertQuiet;
    use aiclipx_judge::claims::dashboard_pictured::DashboardPictured;
    use aiclipx_judge::claims::loaded_equals_tree::LoadedEqualsTree;
    use aiclipx_judge::claims::logs_equal_ledger::LogsEqualLedger;
    use aiclipx_judge::claims::pictured::Pictured;
    use aiclipx_judge::claims::{Claim, Kind};
    use aiclipx_judge::mutants::exposition::Rewriting;
    use aiclipx_judge::mutants::table::Edit;

    const CLAIM: &str = "quiet/loaded";

    fn mutant(found_by: FoundBy) -> Mutant {
        let (id, breaks) = ("m".to_owned(), "It.".to_owned());
        Mutant { id, breaks, edit: Edit::Exposition(Rewriting::GoStale), found_by }
    }

    fn by_claim() -> Mutant {
        mutant(FoundBy::Claim(CLAIM.to_owned()))
    }

    fn by_disturbance() -> Mutant {
        mutant(FoundBy::Disturbance { experiment: "quiet".to_owned(), words: "scrapes failed".to_owned() })
    }

    fn fails() -> Verdict {
        Verdict::Fails("it differs".to_owned())
    }

    fn found(verdict: Verdict, other: Verdict) -> Found {
        found_of(Kind::LoadedEqualsTree(LoadedEqualsTree {}), verdict, other)
    }

    /// An experiment in which the claim, of this kind, and another came out like this.
    fn found_of(kind: Kind, verdict: Verdict, other: Verdict) -> Found {
        let judgement = |id: &str, kind, verdict| Judgement {
            claim: Claim { id: id.to_owned(), experiment: "quiet".to_owned(), says: String::new(), kind },
            population: 1,
            expected: String::new(),
            observed: String::new(),
            artifacts: Vec::new(),
            verdict,
        };
        let judgements = vec![
            judgement(CLAIM, kind, verdict),
            judgement("quiet/log", Kind::LogsEqualLedger(LogsEqualLedger {}), other),
        ];
        Found { judgements, disturbances: Vec::new(), lacking: Vec::new() }
    }

    fn disturbed(words: &str) -> Found {
        let invalid = || Verdict::Invalid(words.to_owned());
        Found { disturbances: vec![words.to_owned()], ..found(invalid(), invalid()) }
    }

    fn status_of(mutant: &Mutant, sound: Found, broken: Found) -> Tried {
        judged(mutant, &Findings::from([("quiet".to_owned(), Ok(sound)), (mutant.id.clone(), Ok(broken))]))
    }

    #[test]
    fn a_kill_is_a_claim_that_fails_with_it_and_holds_without() {
        let tried = status_of(&by_claim(), found(Verdict::Holds, Verdict::Holds), found(fails(), fails()));
        assert_eq!(tried.status, MutantStatus::Killed("it differs".to_owned()));
        assert_eq!(tried.also_fail, ["quiet/log"]);
    }

    #[test]
    fn another_claim_that_fails_is_no_kill() {
        let tried = status_of(&by_claim(), found(Verdict::Holds, Verdict::Holds), found(Verdict::Holds, fails()));
        assert_eq!(tried.status.word(), "survived");
    }

    #[test]
    fn what_is_not_proven_was_not_found() {
        let unproven = Verdict::NotProven("no picture".to_owned());
        let tried = status_of(&by_claim(), found(Verdict::Holds, Verdict::Holds), found(unproven, Verdict::Holds));
        assert_eq!(tried.status, MutantStatus::Survived("quiet/loaded not proven no picture".to_owned()));
    }

    #[test]
    fn a_claim_that_does_not_hold_without_it_says_nothing_of_it() {
        let unproven = || Verdict::NotProven("no browser".to_owned());
        for sound in
            [found(fails(), Verdict::Holds), found(unproven(), Verdict::Holds), disturbed("a scrape was missed")]
        {
            let tried = status_of(&by_claim(), sound, found(fails(), Verdict::Holds));
            assert_eq!(tried.status.word(), "invalid", "{tried:?}");
        }
        let without = Findings::from([("m".to_owned(), Ok(found(fails(), Verdict::Holds)))]);
        assert_eq!(judged(&by_claim(), &without).status.word(), "invalid", "nothing was enacted without it");
    }

    #[test]
    fn a_claim_that_is_not_proven_for_want_of_a_part_leaves_its_mutant_untried() {
        let graph = || Kind::Pictured(Pictured { alert: "AppDown".to_owned(), page: "graph".to_owned() });
        let dashboard = || Kind::DashboardPictured(DashboardPictured { dashboard: "slo".to_owned() });
        let dropped = || Kind::AlertQuiet(AlertQuiet { alert: "MonitoringLogsDropped".to_owned() });
        let none = "there is none";
        let vector = "vector is not part of this stack";
        for (kind, why, lacking, told) in [
            (graph(), none, &[Part::Pages][..], Some("for want of Prometheus' own pages: there is none")),
            (graph(), none, &[Part::Grafana, Part::Browser], Some("for want of Chromium: there is none")),
            (dashboard(), none, &[Part::Pages, Part::Grafana], Some("for want of Grafana: there is none")),
            (
                dropped(),
                vector,
                &[Part::Loki, Part::Vector],
                Some("for want of Vector: vector is not part of this stack"),
            ),
            // All is there, or what is not there is no reason: that it is not proven is the run's fault.
            (graph(), "it came late", &[], None),
            (graph(), "it came late", &[Part::Grafana, Part::Vector], None),
            (dropped(), "the run was shortened", &[Part::Vector], None),
        ] {
            let sound = found_of(kind.clone(), Verdict::NotProven(why.to_owned()), Verdict::Holds);
            let sound = Found { lacking: lacking.to_vec(), ..sound };
            let tried = status_of(&by_claim(), sound, found_of(kind, fails(), Verdict::Holds));
            match told {
                Some(told) => assert_eq!(tried.status, MutantStatus::NotTried(told.to_owned())),
                None => assert_eq!(tried.status.word(), "invalid", "{tried:?}"),
            }
        }
        // What it lacks is no excuse for a claim that is decided.
        for (verdict, word) in [(Verdict::Holds, "killed"), (fails(), "invalid")] {
            let sound = Found { lacking: vec![Part::Pages], ..found_of(graph(), verdict, Verdict::Holds) };
            assert_eq!(status_of(&by_claim(), sound, found_of(graph(), fails(), Verdict::Holds)).status.word(), word);
        }
    }

    #[test]
    fn while_it_goes_on_a_mutant_is_not_said_to_survive_for_want_of_a_part() {
        let absent = || Verdict::NotProven("loki is not part of this stack".to_owned());
        let broken = |verdict: Verdict, lacking: &[Part]| Found {
            lacking: lacking.to_vec(),
            ..found_of(Kind::LogsEqualLedger(LogsEqualLedger {}), verdict, Verdict::Holds)
        };
        let told = |found: Found| so_far(&by_claim(), &found);
        assert_eq!(
            told(broken(absent(), &[Part::Loki])),
            "not tried: for want of Loki: loki is not part of this stack"
        );
        assert_eq!(told(broken(Verdict::Holds, &[Part::Loki])), "survived: quiet/loaded holds");
        assert_eq!(told(broken(fails(), &[Part::Loki])), "found by quiet/loaded: it differs");
        assert!(told(broken(absent(), &[])).starts_with("survived: quiet/loaded not proven"), "nothing is wanting");
    }

    #[test]
    fn a_disturbed_run_kills_only_what_must_disturb_it() {
        let sound = || found(Verdict::Holds, Verdict::Holds);
        let told = || disturbed("3 scrapes failed");
        assert_eq!(status_of(&by_claim(), sound(), told()).status.word(), "invalid");
        assert_eq!(
            status_of(&by_disturbance(), sound(), told()).status,
            MutantStatus::Killed("3 scrapes failed".to_owned())
        );
        assert_eq!(status_of(&by_disturbance(), sound(), disturbed("the clock stepped")).status.word(), "invalid");
        assert_eq!(status_of(&by_disturbance(), sound(), sound()).status.word(), "survived");
        assert_eq!(status_of(&by_disturbance(), told(), told()).status.word(), "invalid", "so was the sound one");
        assert!(is_wanted(&by_disturbance(), &told()) && !is_wanted(&by_claim(), &told()));
    }

    #[test]
    fn an_edit_that_did_not_apply_and_a_claim_nobody_derives_are_told() {
        let sound = || found(Verdict::Holds, Verdict::Holds);
        let unapplied = MutantStatus::DidNotApply("it is not there".to_owned());
        let tried = Findings::from([("quiet".to_owned(), Ok(sound())), ("m".to_owned(), Err(unapplied.clone()))]);
        assert_eq!(judged(&by_claim(), &tried).status, unapplied);
        let gone = mutant(FoundBy::Claim("quiet/gone".to_owned()));
        assert_eq!(status_of(&gone, sound(), sound()).status.word(), "did not apply");
    }
}

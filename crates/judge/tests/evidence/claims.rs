//! The sound worlds: which claims there are, and that each holds on something.
//!
//! Which claims a scenario gives rise to is asked of `small/`, a monitoring of four alerts and two dashboards: an alert more in the
//! repository's own is a claim more, and no change of what claims there are.

use std::fs;
use std::path::Path;

use aiclipx_judge::artifacts::{self, Needed};
use aiclipx_judge::judge::{self, Verdict};
use aiclipx_judge::tree::Tree;

use crate::fixture::Fixture;

/// Compares with a golden list, one id a line.
fn are_the_claims_of(fixture: &Fixture, golden: &str) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evidence");
    let small = Tree::read(&here.join("small")).unwrap_or_else(|failure| panic!("{failure}"));
    let judged = judge::judge(&fixture.experiment(), &small);
    let ids: String = judged.iter().map(|judgement| format!("{}\n", judgement.claim.id)).collect();
    let file = here.join("golden").join(golden);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &ids).unwrap();
    }
    let listed = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(ids, listed, "UPDATE_GOLDEN=1 writes {golden} anew; look at it before it is committed");
}

#[test]
fn a_scenario_with_faults_gives_rise_to_exactly_these_claims() {
    are_the_claims_of(&Fixture::with_errors(), "error-rate.txt");
}

#[test]
fn a_silent_scenario_gives_rise_to_exactly_these_claims() {
    are_the_claims_of(&Fixture::silent(), "quiet.txt");
}

#[test]
fn on_a_sound_run_with_faults_every_claim_holds() {
    Fixture::with_errors().judged().fails_exactly("a sound run", &[]);
}

#[test]
fn on_a_sound_silent_run_every_claim_holds() {
    Fixture::silent().judged().fails_exactly("a sound silent run", &[]);
}

#[test]
fn a_claim_that_holds_was_decided_on_something_and_names_its_artifacts() {
    for fixture in [Fixture::with_errors(), Fixture::silent()] {
        for judgement in fixture.judged().0 {
            let id = &judgement.claim.id;
            assert!(judgement.verdict == Verdict::Holds && judgement.population > 0, "{id} on nothing");
            assert!(!judgement.artifacts.is_empty(), "{id} rests on no artifact");
            for artifact in &judgement.artifacts {
                assert!(fixture.folder.join(artifact).is_file(), "{id} rests on {artifact}, which is not there");
                let kind = artifacts::of(artifact).expect("a kind of file that the table has");
                assert_ne!(kind.needed_by, Needed::ByPeople, "{id} rests on {artifact}");
            }
        }
    }
}

#[test]
fn judging_twice_says_the_same() {
    let fixture = Fixture::with_errors();
    assert_eq!(fixture.judged().0, fixture.judged().0);
}

#[test]
fn ids_are_unique() {
    let judged = Fixture::with_errors().judged();
    let mut ids: Vec<&str> = judged.0.iter().map(|judgement| judgement.claim.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), judged.0.len());
}

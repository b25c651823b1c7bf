//! What a bundle tells of the mutants of its tree: the report shows it, and it can't be another tree's, or shortened.

use std::fs;

use aiclipx_base::duration::Speed;
use aiclipx_judge::mutants::outcome::MutantStatus;
use aiclipx_judge::mutants::outcome::{Outcome, SCHEMA, Tried, take};
use aiclipx_judge::mutants::table::Table;
use aiclipx_model::failure::Kind;

use crate::bundle::Archive;
use crate::world;

/// All mutants of the tree, killed, but for the first, which nothing found, and the second, which could not be tried.
fn outcome(archive: &Archive) -> Outcome {
    let provenance = archive.derived().provenance;
    let table = Table::read(&world::tree().root).unwrap();
    let status = |at: usize| match at {
        0 => MutantStatus::Survived("it holds".to_owned()),
        1 => MutantStatus::NotTried("for want of Grafana: there is none".to_owned()),
        _ => MutantStatus::Killed("found".to_owned()),
    };
    Outcome {
        schema: SCHEMA,
        tool: provenance.tool,
        revision: provenance.revision,
        dirty: provenance.dirty,
        seed: world::SEED,
        speed: Speed::new(world::SPEED).unwrap(),
        began_ms: world::QUIET,
        ended_ms: world::QUIET + 1,
        complete: true,
        mutants: table.mutants.iter().enumerate().map(|(at, m)| Tried::new(m, status(at), Vec::new())).collect(),
    }
}

fn told(outcome: &Outcome) -> String {
    serde_json::to_string_pretty(outcome).unwrap()
}

#[test]
fn the_reports_show_them_and_no_verdict_rests_on_them() {
    let archive = Archive::sound();
    let outcome = outcome(&archive);
    let sealed = archive.file("mutants.json", &told(&outcome)).sealed();
    let verified = sealed.verify().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(verified.exit_code(&[]), 0, "a survivor is the mutants' run's failure, not this one's");
    assert_eq!(verified.mutants.as_ref(), Some(&outcome));
    for report in ["report.html", "report.md"] {
        let text = fs::read_to_string(sealed.path(report)).unwrap();
        assert!(text.contains(&outcome.tally()) && text.contains("✗ survived"), "{report}");
        assert!(text.contains("1 not tried") && text.contains("○ not tried"), "{report}");
        assert!(text.contains("for want of Grafana: there is none"), "{report}");
        for tried in &outcome.mutants {
            assert!(text.contains(tried.breaks.split(['`', '\'', '"']).next().unwrap()), "{report}: {}", tried.id);
        }
    }
}

#[test]
fn without_them_the_reports_do_not_speak_of_them() {
    let sealed = Archive::sound().sealed();
    assert!(sealed.verify().unwrap().mutants.is_none());
    for report in ["report.html", "report.md"] {
        let text = fs::read_to_string(sealed.path(report)).unwrap();
        assert!(!text.contains("Mutants") && !text.contains("#mutants"), "{report}");
    }
}

/// What was done to `mutants.json`, and what the failure must name.
type Forgery = (&'static str, fn(&mut Outcome), &'static str);

#[test]
fn those_of_another_tree_or_too_few_or_mended_are_found() {
    let cases: [Forgery; 5] = [
        ("another revision", |outcome| outcome.revision = Some("f".repeat(40)), "another revision"),
        ("a dirty tree's", |outcome| outcome.dirty = Some("f".repeat(64)), "another revision"),
        ("one left out", |outcome| drop(outcome.mutants.remove(0)), "other mutants"),
        ("another claim", |outcome| outcome.mutants[1].found_by = "quiet/log".to_owned(), "other mutants"),
        (
            "a survivor called dead",
            |outcome| outcome.mutants[0].status = MutantStatus::Killed("found".to_owned()),
            "report.",
        ),
    ];
    let archive = Archive::sound();
    let sound = outcome(&archive);
    let sealed = archive.file("mutants.json", &told(&sound)).sealed();
    for (what, change, named) in cases {
        let mut other = sound.clone();
        change(&mut other);
        fs::write(sealed.path("mutants.json"), told(&other)).unwrap();
        sealed.resum();
        let failure = sealed.verify().expect_err(what);
        assert_eq!(failure.kind(), Kind::InvalidBundle, "{what}");
        assert!(failure.to_string().contains(named), "{what}: {failure}");
    }
}

#[test]
fn a_bundle_takes_the_newest_that_tried_all_on_its_very_tree() {
    let archive = Archive::sound();
    let provenance = archive.derived().provenance;
    let sound = outcome(&archive);
    let place = tempfile::tempdir().unwrap();
    let (runs, bundle) = (place.path().join("runs"), place.path().join("bundle"));
    let run = |name: &str, change: fn(&mut Outcome)| {
        let mut outcome = sound.clone();
        change(&mut outcome);
        outcome.write(&runs.join(name)).unwrap();
    };
    take(&runs, &bundle, &provenance).unwrap();
    assert!(!bundle.exists(), "where there is none, nothing is taken");
    run("a-newest-of-another-tree", |outcome| (outcome.began_ms, outcome.dirty) = (9, Some("f".repeat(64))));
    run("b-newest-of-some", |outcome| (outcome.began_ms, outcome.complete) = (8, false));
    fs::create_dir_all(runs.join("c-no-outcome")).unwrap();
    fs::write(runs.join("c-no-outcome/mutants.json"), "{}").unwrap();
    take(&runs, &bundle, &provenance).unwrap();
    assert!(!bundle.exists(), "none of these is of it");
    run("d-newer", |outcome| outcome.began_ms = 7);
    run("e-older", |outcome| outcome.began_ms = 6);
    take(&runs, &bundle, &provenance).unwrap();
    assert_eq!(Outcome::read(&bundle.join("mutants.json")).unwrap().began_ms, 7);
    let nowhere = aiclipx_judge::provenance::Provenance { revision: None, ..provenance };
    run("f-of-no-repository", |outcome| outcome.revision = None);
    fs::remove_dir_all(&bundle).unwrap();
    take(&runs, &bundle, &nowhere).unwrap();
    assert!(!bundle.exists(), "without a commit trees can't be told apart");
}

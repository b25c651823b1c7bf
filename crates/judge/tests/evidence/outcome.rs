//! The verdict over several experiments, and its exit code: a failure weighs more than an invalid run, and what could
//! not be shown counts only where it was required.

use crate::bundle::Archive;
use crate::fixture::Fixture;

fn failing() -> Fixture {
    Fixture::with_errors().stored("errors", &[], 1.0)
}

fn invalid() -> Fixture {
    Fixture::with_errors().ledger(|ledger| ledger.head.limited = Some("late".to_owned()))
}

fn dead() -> Fixture {
    Fixture::with_errors().run(|run| run.processes[0].at_end.pid = None)
}

fn unpictured() -> Fixture {
    Fixture::with_errors().run(|run| {
        run.pictures.clear();
        run.missing_pictures = crate::world::missing_pictures("AppHigh5xxErrorRate", "Chromium is not on PATH");
    })
}

/// The rooms of an archive, those put aside, what is required, and the exit code with its word.
type Case = (&'static str, &'static [(&'static str, fn() -> Fixture)], &'static [&'static str], u8, &'static str);

#[test]
fn the_exit_code_says_what_came_of_all_experiments() {
    let cases: &[Case] = &[
        ("all sound", &[("error-rate", Fixture::with_errors), ("quiet", Fixture::silent)], &[], 0, "holds"),
        ("a claim fails", &[("error-rate", failing), ("quiet", Fixture::silent)], &[], 1, "fails"),
        ("a run is invalid", &[("error-rate", invalid), ("quiet", Fixture::silent)], &[], 3, "invalid"),
        ("one fails, one is invalid", &[("error-rate", failing), ("errors-2", invalid)], &[], 1, "fails"),
        ("not proven", &[("error-rate", unpictured)], &[], 0, "holds"),
        (
            "an invalid try put aside",
            &[("error-rate-try-1", invalid), ("error-rate", Fixture::with_errors)],
            &["error-rate-try-1"],
            0,
            "holds",
        ),
        (
            "a death in a try put aside",
            &[("error-rate-try-1", dead), ("error-rate", Fixture::with_errors)],
            &["error-rate-try-1"],
            3,
            "invalid",
        ),
        (
            "a death in a try put aside, and then a failure",
            &[("error-rate-try-1", dead), ("error-rate", failing)],
            &["error-rate-try-1"],
            1,
            "fails",
        ),
        (
            "invalid twice",
            &[("error-rate-try-1", invalid), ("error-rate", invalid)],
            &["error-rate-try-1"],
            3,
            "invalid",
        ),
    ];
    for (what, rooms, superseded, code, class) in cases {
        let mut archive = Archive::new();
        for (name, fixture) in *rooms {
            archive = archive.with(name, &fixture());
        }
        let outcome = archive.superseded(superseded).derived();
        assert_eq!((outcome.exit_code(&[]), outcome.class()), (*code, *class), "{what}: {}", outcome.headline());
    }
}

#[test]
fn what_could_not_be_shown_counts_where_it_is_required() {
    let outcome = Archive::new().with("error-rate", &unpictured()).derived();
    for (required, code) in [("pictured-graph", 1), ("error-rate/pictured-alerts", 1), ("alert-fires", 0)] {
        assert_eq!(outcome.exit_code(&[required.to_owned()]), code, "--require {required}");
    }
    let run = format!(", 3 not proven; 1 of {} scenarios was run", crate::world::tree().scenarios.len());
    assert!(outcome.tally().ends_with(&run), "{}", outcome.tally());
}

#[test]
fn a_try_put_aside_is_neither_counted_nor_forgotten() {
    let archive = Archive::new().with("error-rate-try-1", &dead()).with("error-rate", &Fixture::with_errors());
    let outcome = archive.superseded(&["error-rate-try-1"]).derived();
    assert!(outcome.counting().all(|judgement| judgement.claim.experiment == "error-rate"));
    assert_eq!(outcome.judgements.len(), 2 * outcome.counting().count());
    assert_eq!(outcome.deaths_put_aside(), ["app was not running at the end"]);
    assert!(outcome.headline().contains("app was not running at the end"), "{}", outcome.headline());
}

#[test]
fn the_headline_counts_what_fails() {
    let headline = |rooms: [Fixture; 2]| {
        let archive = Archive::new().with("one", &rooms[0]).with("two", &rooms[1]);
        archive.derived().headline()
    };
    assert_eq!(headline([Fixture::with_errors(), Fixture::silent()]), "Every claim that could be shown holds");
    assert_eq!(headline([failing(), Fixture::silent()]), "One claim fails");
    assert_eq!(headline([failing(), failing()]), "2 claims fail");
    assert!(headline([invalid(), Fixture::silent()]).starts_with("The run is inconclusive: "));
}

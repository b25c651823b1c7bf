//! Verdicts as JUnit's XML, which is what CI systems show: a suite an experiment, a case a claim. The run that recorded it is a
//! property of the suite; both are called as in the events.
//!
//! A case fails where its claim fails, is an error where the run is no evidence for it, and is skipped where it is not proven: so
//! all is green where the exit code is 0, and nowhere else.

use std::time::Duration;

use anyhow::Context;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use aiclipx_judge::drill::outcome as drill;
use aiclipx_judge::judge::{Judgement, Verdict};
use aiclipx_judge::mutants::outcome::{self, MutantStatus};
use aiclipx_judge::outcome::Outcome;
use aiclipx_model::failure::Failure;

/// What a bundle shows. Of `require`, a claim that is not proven fails, as it does for the exit code.
pub fn of_bundle(outcome: &Outcome, require: &[String]) -> anyhow::Result<String> {
    let mut report = Report::new(&outcome.provenance.id);
    for experiment in &outcome.experiments {
        if outcome.provenance.superseded.contains(&experiment.name) {
            continue;
        }
        let mut suite = TestSuite::new(&experiment.name);
        let length = u64::try_from(experiment.run.end_ms - experiment.run.quiet_ms).unwrap_or(0);
        suite.set_time(Duration::from_millis(length));
        suite.add_property(("run", experiment.run.id.as_str()));
        let judged = outcome.counting().filter(|judgement| judgement.claim.experiment == experiment.name);
        suite.add_test_cases(judged.map(|judgement| of_claim(judgement, require)));
        report.add_test_suite(suite);
    }
    let unfinished = outcome.provenance.unfinished.iter();
    report.add_test_suites(unfinished.map(|(name, why)| of_one(name, "recorded", NonSuccessKind::Error, why)));
    let deaths = outcome.deaths_put_aside();
    if !deaths.is_empty() {
        report.add_test_suite(of_one("first tries", "undisturbed", NonSuccessKind::Error, &deaths.join("; ")));
    }
    let unmatched = outcome.unmatched(require);
    if !unmatched.is_empty() {
        let why = format!("no claim here is called {}", unmatched.join(", or "));
        report.add_test_suite(of_one("required", "named", NonSuccessKind::Error, &why));
    }
    written(&report)
}

/// What a drill shows: a suite an alert, a case a claim.
pub fn of_drill(outcome: &drill::Outcome, require: &[String]) -> anyhow::Result<String> {
    let mut report = Report::new(&outcome.made.id);
    for row in &outcome.plan.rows {
        let mut suite = TestSuite::new(&row.name);
        suite.add_test_cases(outcome.row(&row.name).map(|cell| {
            let is_required = require.iter().any(|wanted| cell.id.contains(wanted.as_str()));
            let mut status = of_verdict(&cell.verdict, is_required);
            status.set_description(format!("expected: {}\nobserved: {}", cell.expected, cell.observed));
            case(&row.name, &cell.id, status)
        }));
        report.add_test_suite(suite);
    }
    let unfinished = outcome.made.unfinished.iter();
    report.add_test_suites(unfinished.map(|(name, why)| of_one(name, "recorded", NonSuccessKind::Error, why)));
    let unmatched = outcome.unmatched(require);
    if !unmatched.is_empty() {
        let why = format!("no claim here is called {}", unmatched.join(", or "));
        report.add_test_suite(of_one("required", "named", NonSuccessKind::Error, &why));
    }
    written(&report)
}

/// What came of the mutants: a case each.
pub fn of_mutants(outcome: &outcome::Outcome) -> anyhow::Result<String> {
    let mut report = Report::new("mutants");
    let mut suite = TestSuite::new("mutants");
    let taken = u64::try_from(outcome.ended_ms - outcome.began_ms).unwrap_or(0);
    suite.set_time(Duration::from_millis(taken));
    for tried in &outcome.mutants {
        let kind = match tried.status {
            MutantStatus::Killed(_) => None,
            MutantStatus::Survived(_) | MutantStatus::DidNotApply(_) => Some(NonSuccessKind::Failure),
            MutantStatus::Invalid(_) => Some(NonSuccessKind::Error),
            MutantStatus::NotTried(_) => {
                suite.add_test_case(case("mutants", &tried.id, skipped(tried.status.why())));
                continue;
            }
        };
        let status = kind.map_or_else(TestCaseStatus::success, |kind| {
            let mut status = not_good(kind, tried.status.word(), tried.status.why());
            status.set_description(format!("{}\n{} should find it.", tried.breaks, tried.found_by));
            status
        });
        suite.add_test_case(case("mutants", &tried.id, status));
    }
    report.add_test_suite(suite);
    written(&report)
}

/// What stopped a command before it came to a verdict: an error, so that no CI system takes an earlier report for this one's.
pub fn of_failure(failure: &Failure) -> anyhow::Result<String> {
    let mut report = Report::new("aiclipx");
    report.add_test_suite(of_one("aiclipx", "verdict", NonSuccessKind::Error, &failure.to_string()));
    written(&report)
}

fn of_claim(judgement: &Judgement, require: &[String]) -> TestCase {
    let id = &judgement.claim.id;
    let is_required = require.iter().any(|wanted| id.contains(wanted.as_str()));
    let mut status = of_verdict(&judgement.verdict, is_required);
    // Of one that holds nothing is written but that it does.
    status.set_description(format!("expected: {}\nobserved: {}", judgement.expected, judgement.observed));
    case(&judgement.claim.experiment, id, status)
}

fn of_verdict(verdict: &Verdict, is_required: bool) -> TestCaseStatus {
    match verdict {
        Verdict::Holds => TestCaseStatus::success(),
        Verdict::NotProven(why) if !is_required => skipped(why),
        Verdict::Fails(why) | Verdict::NotProven(why) => not_good(NonSuccessKind::Failure, verdict.word(), why),
        Verdict::Invalid(why) => not_good(NonSuccessKind::Error, verdict.word(), why),
    }
}

fn of_one(suite: &str, name: &str, kind: NonSuccessKind, why: &str) -> TestSuite {
    let mut one = TestSuite::new(suite);
    one.add_test_case(case(suite, name, not_good(kind, "invalid", why)));
    one
}

fn case(class: &str, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case
}

fn not_good(kind: NonSuccessKind, word: &str, why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(word).set_message(why);
    status
}

fn skipped(why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(why);
    status
}

fn written(report: &Report) -> anyhow::Result<String> {
    let text = report.to_string().context("writing JUnit's XML")?;
    // XML has no place for these two, and the library lets them through.
    Ok(text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use aiclipx_base::duration::Speed;
    use aiclipx_judge::bundle::Bundle;
    use aiclipx_judge::mutants::outcome::Tried;
    use aiclipx_judge::provenance::{BrokenOff, End};

    use super::*;

    fn sample() -> Outcome {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../evidence/sample"));
        Bundle::open(folder).unwrap().verify().unwrap()
    }

    fn read(text: &str) -> Report {
        Report::deserialize_from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Suites by name, each with how many cases, skipped, errors, failures.
    fn told(report: &Report) -> Vec<(&str, [usize; 4])> {
        let counts = |suite: &TestSuite| [suite.tests, suite.skipped, suite.errors, suite.failures];
        report.test_suites.iter().map(|suite| (suite.name.as_str(), counts(suite))).collect()
    }

    #[test]
    fn a_suite_is_an_experiment_and_a_case_a_claim() {
        let outcome = sample();
        let report = read(&of_bundle(&outcome, &[]).unwrap());
        let unproven = outcome.count(|verdict| matches!(verdict, Verdict::NotProven(_)));
        assert!(unproven > 0);
        assert_eq!(told(&report), [("request-rate", [outcome.judgements.len(), unproven, 0, 0])]);
        let run = &report.test_suites[0].properties[0];
        assert_eq!((run.name.as_str(), run.value.as_str()), ("run", outcome.experiments[0].run.id.as_str()));
        let cases: Vec<&str> = report.test_suites[0].test_cases.iter().map(|case| case.name.as_str()).collect();
        let claims: Vec<&str> = outcome.judgements.iter().map(|judgement| judgement.claim.id.as_str()).collect();
        assert_eq!(cases, claims);
        let at = outcome.judgements.iter().position(|one| matches!(one.verdict, Verdict::NotProven(_))).unwrap();
        let TestCaseStatus::Skipped { message: Some(why), .. } = &report.test_suites[0].test_cases[at].status else {
            panic!("{:?}", report.test_suites[0].test_cases[at])
        };
        assert_eq!(why.as_str(), outcome.judgements[at].verdict.why());
    }

    #[test]
    fn all_is_green_where_the_exit_code_is_0_and_nowhere_else() {
        let of = |change: &dyn Fn(&mut Outcome), require: &[String]| {
            let mut outcome = sample();
            change(&mut outcome);
            let report = read(&of_bundle(&outcome, require).unwrap());
            assert_eq!(report.errors + report.failures > 0, outcome.exit_code(require) > 0);
            let told: Vec<_> = told(&report)
                .into_iter()
                .map(|(name, [.., errors, failures])| (name.to_owned(), errors, failures))
                .collect();
            (told, outcome.exit_code(require))
        };
        let one = |name: &str, errors, failures| (name.to_owned(), errors, failures);
        let why = || "<&\"\u{1b}[31m".to_owned();
        let mine = |errors, failures| one("request-rate", errors, failures);
        assert_eq!(of(&|_| {}, &[]), (vec![mine(0, 0)], 0));
        assert_eq!(of(&|it| it.judgements[0].verdict = Verdict::Fails(why()), &[]), (vec![mine(0, 1)], 1));
        assert_eq!(of(&|it| it.judgements[0].verdict = Verdict::Invalid(why()), &[]), (vec![mine(1, 0)], 3));
        let unproven = |it: &mut Outcome| it.judgements[0].verdict = Verdict::NotProven(why());
        assert_eq!(of(&unproven, &[]), (vec![mine(0, 0)], 0));
        let id = sample().judgements[0].claim.id.clone();
        let required = it_and_others(&sample(), &id);
        assert_eq!(of(&unproven, &[id]), (vec![mine(0, required)], 1));
        let no_such = of_bundle(&sample(), &["no-such".to_owned()]).unwrap();
        assert_eq!(read(&no_such).errors, 1);
        let unfinished = |it: &mut Outcome| drop(it.provenance.unfinished.insert("app-down".to_owned(), why()));
        assert_eq!(of(&unfinished, &[]), (vec![mine(0, 0), one("app-down", 1, 0)], 3));
        let died = BrokenOff { run: "x-try-1".to_owned(), end: End { why: why(), died: true } };
        let death = |it: &mut Outcome| it.provenance.broken_off.push(died.clone());
        assert_eq!(of(&death, &[]), (vec![mine(0, 0), one("first tries", 1, 0)], 3));
        // What was put aside is no suite: it was repeated.
        let aside = |it: &mut Outcome| it.provenance.superseded.push("request-rate".to_owned());
        assert_eq!(of(&aside, &[]), (vec![], 0));
    }

    /// Ids are matched by their parts: how many claims have this in theirs.
    fn it_and_others(outcome: &Outcome, id: &str) -> usize {
        outcome.judgements.iter().filter(|judgement| judgement.claim.id.contains(id)).count()
    }

    #[test]
    fn a_mutant_is_a_case_that_fails_where_it_lives() {
        let why = || "why".to_owned();
        let fates = [
            MutantStatus::Killed(why()),
            MutantStatus::Survived(why()),
            MutantStatus::DidNotApply(why()),
            MutantStatus::Invalid(why()),
            MutantStatus::NotTried(why()),
        ];
        let tried = |status| Tried {
            id: "m".to_owned(),
            breaks: "Something.".to_owned(),
            found_by: "quiet/loaded".to_owned(),
            also_fail: Vec::new(),
            status,
        };
        let outcome = outcome::Outcome {
            schema: outcome::SCHEMA,
            tool: "0".to_owned(),
            revision: None,
            dirty: None,
            seed: 42,
            speed: Speed::PRODUCTION,
            began_ms: 0,
            ended_ms: 1500,
            complete: true,
            mutants: fates.into_iter().map(tried).collect(),
        };
        let report = read(&of_mutants(&outcome).unwrap());
        assert_eq!(told(&report), [("mutants", [5, 1, 1, 2])]);
    }

    #[test]
    fn what_stopped_the_command_is_an_error() {
        let report = read(&of_failure(&Failure::usage("no <such> thing").remedy("make it")).unwrap());
        assert_eq!(told(&report), [("aiclipx", [1, 0, 1, 0])]);
    }
}

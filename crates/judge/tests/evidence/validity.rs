//! A disturbed run is inconclusive: every claim is invalid, none fails and none holds.

use aiclipx_judge::files::read_json;
use aiclipx_judge::judge::Verdict;
use aiclipx_judge::run::StepTime;
use aiclipx_judge::validity::Disturbance;
use aiclipx_model::scenario::Action;
use aiclipx_model::traffic::ledger::Outcome;
use serde_json::{Value, json};

use crate::fixture::{Fixture, has};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sort {
    Death,
    Noise,
}
use Sort::{Death, Noise};

/// What disturbed the run, of which sort it is, and a part of what is told of it.
type Case = (&'static str, fn(Fixture) -> Fixture, Sort, &'static str);

fn disturb(cases: &[Case]) {
    for (what, edit, sort, told) in cases {
        let fixture = edit(Fixture::with_errors());
        let disturbances = fixture.disturbances();
        let [found] = disturbances.as_slice() else { panic!("{what}: {disturbances:?}") };
        let is = if matches!(found, Disturbance::Death(_)) { Death } else { Noise };
        assert_eq!(is, *sort, "{what}: {found}");
        assert!(found.to_string().contains(told), "{what}: {found}");
        for judgement in fixture.judged().0 {
            let why = found.to_string();
            assert_eq!(judgement.verdict, Verdict::Invalid(why), "{what}: {}", judgement.claim.id);
        }
    }
}

#[test]
fn a_sound_run_was_disturbed_by_nothing() {
    assert_eq!(Fixture::with_errors().disturbances(), []);
    assert_eq!(Fixture::silent().disturbances(), []);
}

#[test]
fn a_process_that_died_or_was_replaced_makes_every_claim_invalid() {
    disturb(&[
        (
            "another process at the end",
            |fixture| fixture.run(|run| run.processes[0].at_end.pid = Some(1)),
            Death,
            "app was restarted",
        ),
        (
            "the same number, another life",
            |fixture| fixture.run(|run| run.processes[2].at_end.started_ms = Some(1)),
            Death,
            "alertmanager was restarted",
        ),
        (
            "no process at the end",
            |fixture| fixture.run(|run| run.processes[1].at_end.pid = None),
            Death,
            "prometheus was not running at the end",
        ),
        (
            "another start time between two scrapes",
            |fixture| {
                fixture.series("process_start", |all| {
                    let app = all.iter_mut().find(|series| has(series, &[("job", "app")])).unwrap();
                    app["values"][40][1] = json!("1795000009.5");
                })
            },
            Death,
            "app at 127.0.0.1:18000 shows 2 different start times",
        ),
    ]);
}

#[test]
fn a_machine_that_was_in_the_way_makes_every_claim_invalid() {
    disturb(&[
        (
            "two scrapes missed",
            |fixture| {
                fixture.series("up", |all| {
                    all[1]["values"].as_array_mut().unwrap().drain(20..22);
                })
            },
            Noise,
            "a scrape of prometheus at 127.0.0.1:18001 was missed: nothing for 1500 ms, due every 500 ms",
        ),
        (
            "one scrape missed",
            |fixture| fixture.series("up", |all| drop(all[0]["values"].as_array_mut().unwrap().remove(20))),
            Noise,
            "nothing for 1000 ms",
        ),
        (
            "scrapes that end before the window does",
            |fixture| {
                fixture.series("up", |all| {
                    let samples = all[3]["values"].as_array_mut().unwrap();
                    samples.truncate(samples.len() - 3);
                })
            },
            Noise,
            "a scrape of receiver",
        ),
        (
            "a scrape that failed",
            |fixture| fixture.series("up", |all| all[0]["values"][30][1] = json!("0")),
            Noise,
            "1 scrapes of app at 127.0.0.1:18000 failed",
        ),
        (
            "evaluations missed",
            |fixture| {
                fixture.series("iterations_missed", |all| {
                    for sample in &mut all[0]["values"].as_array_mut().unwrap()[30..] {
                        sample[1] = json!("2");
                    }
                })
            },
            Noise,
            "Prometheus missed 2 evaluations",
        ),
        (
            "a step that was done only in the next phase",
            |fixture| {
                fixture.run(|run| {
                    let phase = &run.phases[0];
                    let (start_ms, end_ms) = (phase.start_ms, phase.end_ms + 393);
                    run.steps =
                        vec![StepTime { action: Action::Pause, component: "viewer".to_owned(), start_ms, end_ms }];
                })
            },
            Noise,
            "to pause viewer was done only 393 ms after the phase",
        ),
        (
            "a generator that could not keep up",
            |fixture| fixture.ledger(|ledger| ledger.head.limited = Some("1 200 ms late".to_owned())),
            Noise,
            "GENERATOR_LIMITED: 1 200 ms late",
        ),
        (
            "requests that never left",
            |fixture| {
                fixture.ledger(|ledger| {
                    for entry in &mut ledger.entries[..2] {
                        (entry.sent_us, entry.ended_us) = (None, None);
                        entry.outcome = Outcome::NotSent { why: "too late".to_owned() };
                    }
                })
            },
            Noise,
            "2 scheduled requests were not sent",
        ),
        (
            "a clock that stepped forth",
            |fixture| fixture.ledger(|ledger| ledger.head.ended_unix_us += 150_000),
            Noise,
            "the wall clock moved by 150 ms",
        ),
        (
            "a clock that stepped back",
            |fixture| fixture.ledger(|ledger| ledger.head.elapsed_us += 150_000),
            Noise,
            "the wall clock moved by -149 ms",
        ),
        (
            "what the enactment saw",
            |fixture| fixture.run(|run| run.disturbances.push("no scrape after the last request".to_owned())),
            Noise,
            "no scrape after the last request",
        ),
    ]);
}

#[test]
fn a_scrape_that_is_a_little_late_disturbs_nothing() {
    let fixture = Fixture::with_errors().series("up", |all| {
        let at = &mut all[0]["values"][20][0];
        *at = json!(at.as_f64().unwrap() + 0.4);
    });
    assert_eq!(fixture.disturbances(), []);
}

#[test]
fn a_target_that_was_never_scraped_disturbs_the_run() {
    let fixture = Fixture::with_errors().series("up", Vec::clear);
    assert_eq!(fixture.disturbances(), [Disturbance::Noise("Prometheus scraped nothing".to_owned())]);
}

#[test]
fn what_nobody_looked_at_was_not_sound() {
    disturb(&[
        (
            "a process that nobody saw",
            |fixture| fixture.run(|run| run.processes.retain(|process| process.component != "receiver")),
            Noise,
            "nobody looked whether receiver lived",
        ),
        (
            "a target in no answer",
            |fixture| fixture.series("up", |all| all.truncate(3)),
            Noise,
            "samples/up.json is of 3 targets; there are 4",
        ),
        (
            "components that tell no start",
            |fixture| fixture.series("process_start", |all| all.truncate(2)),
            Noise,
            "samples/process_start.json is of 2 targets; there are 3",
        ),
        (
            "evaluations that are no numbers",
            |fixture| {
                fixture.series("iterations_missed", |all| {
                    for sample in all[0]["values"].as_array_mut().unwrap() {
                        sample[1] = json!("NaN");
                    }
                })
            },
            Noise,
            "holds no numbers",
        ),
        (
            "a run broken off",
            |fixture| fixture.ledger(|ledger| ledger.head.interrupted = true),
            Noise,
            "broke the traffic off",
        ),
    ]);
}

#[test]
fn several_disturbances_are_all_told() {
    let fixture = Fixture::with_errors()
        .run(|run| run.processes[0].at_end.pid = Some(1))
        .ledger(|ledger| ledger.head.limited = Some("late".to_owned()));
    let why = fixture.judged().0[0].verdict.why().to_owned();
    assert!(why.contains("app was restarted") && why.contains("GENERATOR_LIMITED"), "{why}");
}

#[test]
fn a_service_that_died_does_not_fail_its_claims() {
    // A restart sets counters back; what they say afterwards is nobody's fault.
    let fixture = Fixture::with_errors().run(|run| run.processes[0].at_end.pid = Some(1)).stored(
        "requests",
        &[("endpoint", "/items"), ("http_status", "200")],
        -3.0,
    );
    assert!(fixture.judged().0.iter().all(|judgement| matches!(judgement.verdict, Verdict::Invalid(_))));
}

/// The service's counters as if it had begun again at zero between two scrapes in the middle.
fn restarted(mut fixture: Fixture) -> Fixture {
    for samples in ["requests", "latency_count", "latency_inf", "errors"] {
        fixture = fixture.series(samples, |all| {
            for series in all {
                let values = series["values"].as_array_mut().unwrap();
                let number = |value: &Value| value[1].as_str().unwrap().parse::<f64>().unwrap();
                let lost = number(&values[40]);
                for value in &mut values[41..] {
                    value[1] = (number(value) - lost).to_string().into();
                }
            }
        });
    }
    fixture
}

#[test]
fn a_service_that_was_restarted_on_purpose_is_counted_across_it_and_no_other() {
    let counters =
        ["counters/requests", "counters/latency-count", "counters/latency-inf", "counters/errors", "exposed"];
    restarted(Fixture::with_errors()).judged().fails_exactly("counters that begin again", &counters);

    let fixture = restarted(Fixture::with_errors());
    let requests: Value = read_json(&fixture.folder.join("samples/requests.json")).unwrap();
    let at = |n: usize| (requests["data"]["result"][0]["values"][n][0].as_f64().unwrap() * 1000.0) as i64;
    let (before, after) = (at(40), at(41));
    let step = |action, start_ms| StepTime { action, component: "app".to_owned(), start_ms, end_ms: start_ms + 1 };
    let ordered = fixture.run(|run| run.steps = vec![step(Action::Stop, before + 10), step(Action::Start, after - 10)]);
    // What it exposes at the end was written for a service that never began again.
    ordered.judged().fails_exactly("the same, as ordered", &["exposed"]);
}

#[test]
fn who_was_away_can_be_told_from_the_order_on_that_brings_it_back() {
    let step = |action, start_ms| StepTime { action, component: "receiver".to_owned(), start_ms, end_ms: start_ms + 5 };
    let mut run = Fixture::silent().experiment().run;
    assert_eq!(run.ordered_back("receiver", 50), None);
    run.steps =
        vec![step(Action::Stop, 100), step(Action::Start, 200), step(Action::Pause, 300), step(Action::Resume, 400)];
    let told = |at| run.ordered_back("receiver", at);
    assert_eq!(
        [told(99), told(100), told(199), told(200), told(350), told(400)],
        [None, Some(200), Some(200), None, Some(400), None]
    );
    assert_eq!(run.ordered_back("app", 150), None);
    run.steps.pop();
    assert_eq!(run.ordered_back("receiver", 350), None, "who never comes back is never told");
}

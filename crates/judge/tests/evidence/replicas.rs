//! Several replicas: together they counted what was sent, each what was sent to it, and what began anew is known.

use aiclipx_judge::judge::Verdict;
use aiclipx_judge::run::{Process, StepTime};
use aiclipx_model::scenario::Action;
use aiclipx_model::traffic::ledger::{FailureKind, Ledger, Outcome};
use serde_json::Value;

use crate::fixture::{Fixture, has};
use crate::kills::{ITEMS_GOOD, Sent};
use crate::world::{ERROR_RATE, World};

/// Where the second one is scraped.
const OTHER: &str = "127.0.0.1:18010";

/// An answer came from another replica: what each counted adds up to what the client saw.
fn with_two_replicas() -> Fixture {
    // No more than is counted from one scrape to the next: a counter never goes down.
    const MOVED: f64 = 1.0;
    let mut moved = 1;
    let mut fixture = Fixture::with_errors()
        .run(|run| {
            run.addresses.app.push("127.0.0.1:18011".parse().unwrap());
            run.addresses.app_admin = vec![run.addresses.app[0].clone(), OTHER.parse().unwrap()];
            let app = run.processes.iter_mut().find(|process| process.component == "app").unwrap();
            "app-1".clone_into(&mut app.component);
            let other = Process { component: "app-2".to_owned(), ..app.clone() };
            run.processes.push(other);
        })
        .ledger(|ledger| {
            for entry in &mut ledger.entries {
                let is_it = moved > 0 && entry.endpoint == "/items" && entry.status() == Some(200);
                entry.replica = Some(if is_it { 2 } else { 1 });
                moved -= u32::from(is_it);
            }
        });
    for name in ["requests", "latency_count", "latency_inf", "errors", "up", "scrape_duration", "process_start"] {
        fixture = fixture.series(name, |all| {
            let of_app: Vec<Value> = all.iter().filter(|series| has(series, &[("job", "app")])).cloned().collect();
            for mut series in of_app {
                series["metric"]["instance"] = OTHER.into();
                if !["up", "scrape_duration", "process_start"].contains(&name) {
                    let values = series["values"].as_array_mut().unwrap();
                    let first = values[0][1].clone();
                    for sample in values {
                        sample[1] = first.clone();
                    }
                }
                all.push(series);
            }
        });
    }
    let series = r#"app_requests_total{endpoint="/items",http_status="200",method="GET"}"#;
    let of_other = [&ITEMS_GOOD[..], &[("instance", OTHER)]].concat();
    let before = std::fs::read_to_string(fixture.folder.join("exposition/before-0.prom")).unwrap();
    let after: String = before
        .lines()
        .map(|line| match line.strip_prefix(series) {
            Some(value) => format!("{series} {}\n", value.trim().parse::<f64>().unwrap() + MOVED),
            None => format!("{line}\n"),
        })
        .collect();
    std::fs::write(fixture.folder.join("exposition/before-1.prom"), before).unwrap();
    std::fs::write(fixture.folder.join("exposition/after-1.prom"), after).unwrap();
    for name in ["latency_count", "latency_inf"] {
        let (of_items, of_other) = (("endpoint", "/items"), ("instance", OTHER));
        fixture = fixture.stored(name, &[of_items], -MOVED).stored(name, &[of_items, of_other], MOVED);
    }
    fixture.stored("requests", &ITEMS_GOOD, -MOVED).exposed(series, -MOVED).stored("requests", &of_other, MOVED)
}

#[test]
fn replicas_are_counted_together_and_one_that_is_missed_is_found() {
    with_two_replicas().judged().fails_exactly("two replicas", &[]);
    let other = |series: &Value| has(series, &[("instance", OTHER)]);
    let missed = with_two_replicas().series("requests", |all| all.retain(|series| !other(series)));
    missed.judged().fails_exactly("a replica that nobody scraped", &["counters/requests", "exposed"]);
    let faulty = [("instance", OTHER)];
    let counts_more = with_two_replicas().stored("errors", &faulty, 1.0);
    counts_more.judged().fails_exactly("a fault that the second counted alone", &["counters/errors"]);
    // All together is right still: only what each was sent tells.
    let sent_elsewhere = with_two_replicas().ledger(|ledger| {
        let other = ledger.entries.iter_mut().find(|entry| entry.replica == Some(2)).unwrap();
        other.replica = Some(1);
    });
    sent_elsewhere.judged().fails_exactly(
        "the first is told to have served it",
        &["counters/requests", "counters/latency-count", "counters/latency-inf"],
    );
    let swapped = with_two_replicas().series("requests", |all| {
        for series in all {
            let instance = &mut series["metric"]["instance"];
            *instance = if *instance == OTHER { "127.0.0.1:18000".into() } else { OTHER.into() };
        }
    });
    swapped.judged().fails_exactly("each has the other's", &["counters/requests", "exposed"]);
}

/// The experiment of a scenario that asks for no loss, which the tree's does not: so its first claim fails, too.
fn of_no_loss(change: fn(&mut Ledger)) -> Fixture {
    let world = World::new("02-error-rate", ERROR_RATE, change);
    let asked = |text: &str| text.replace("within = \"8m\"\n", "within = \"8m\"\nloses_none = true\n");
    Fixture::of("error-rate", &world.files()).text("scenario.toml", asked)
}

#[test]
fn a_request_that_is_lost_is_found_where_none_may_be() {
    // Errors that were asked for are no loss.
    of_no_loss(|_| {}).judged().fails_exactly("nothing is lost", &["scenario"]);
    let lost: &[Sent] = &[
        ("refused", |ledger| {
            let entry = &mut ledger.entries[5];
            (entry.sent_us, entry.outcome) = (None, Outcome::Failed { kind: FailureKind::Refused });
        }),
        ("an error that nobody asked for", |ledger| {
            let entry = ledger.entries.iter_mut().find(|entry| entry.fault.is_none()).unwrap();
            entry.outcome = Outcome::Answered { status: 500 };
        }),
    ];
    for (what, change) in lost {
        of_no_loss(*change).judged().fails_exactly(what, &["scenario", "nothing-lost"]);
    }
}

#[test]
fn what_was_to_be_restarted_and_lived_on_shows_no_restart_without_a_loss() {
    let restarted = |lives_on: bool| {
        of_no_loss(|_| {}).run(|run| {
            let (start_ms, end_ms) = (run.phases[0].start_ms, run.phases[0].start_ms + 1);
            run.steps = vec![StepTime { action: Action::Restart, component: "app".to_owned(), start_ms, end_ms }];
            let app = run.processes.iter_mut().find(|process| process.component == "app").unwrap();
            app.at_end.pid = app.at_start.pid.map(|pid| pid + u32::from(!lives_on));
        })
    };
    let of = |fixture: Fixture| fixture.judged().of("nothing-lost").verdict.clone();
    assert_eq!(of(restarted(false)), Verdict::Holds);
    let why = "app is the process that it was, and nothing was restarted";
    assert_eq!(of(restarted(true)), Verdict::Fails(why.to_owned()));
}

#[test]
fn a_restart_of_one_replica_explains_no_death_of_another() {
    let died = |step: Option<(Action, &'static str)>| {
        let fixture = with_two_replicas().run(|run| {
            let other = run.processes.iter_mut().find(|process| process.component == "app-2").unwrap();
            other.at_end.pid = Some(99);
            let (start_ms, end_ms) = (run.phases[0].start_ms, run.phases[0].start_ms + 1);
            run.steps = step
                .into_iter()
                .map(|(action, component)| StepTime { action, component: component.to_owned(), start_ms, end_ms })
                .collect();
        });
        fixture.disturbances().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for step in [None, Some((Action::Restart, "app-1")), Some((Action::Kill, "app-1"))] {
        assert_eq!(died(step), ["app-2 was restarted during the run"], "{step:?}");
    }
    for step in [(Action::Restart, "app-2"), (Action::Kill, "app-2"), (Action::Kill, "app")] {
        assert_eq!(died(Some(step)), Vec::<String>::new(), "{step:?}");
    }
}

/// Restarted, it had as many by the next scrape as before.
#[test]
fn a_replica_that_began_anew_is_known_by_the_time_of_its_start_and_not_by_its_numbers() {
    let other = |series: &Value| has(series, &[("instance", OTHER)]);
    let restarted = |told: bool| {
        let mut from = 0.0;
        let fixture = with_two_replicas().series("process_start", |all| {
            let series = all.iter_mut().find(|series| other(series)).unwrap();
            let values = series["values"].as_array_mut().unwrap();
            // Later than what was moved to it is counted.
            let later_on = values.len() * 3 / 4;
            from = values[later_on][0].as_f64().unwrap();
            // The same number, written otherwise, is the same start.
            let later = if told { "1794999999.25" } else { "1794999000.250" };
            for sample in &mut values[later_on..] {
                sample[1] = later.into();
            }
        });
        fixture.run(|run| {
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this century")]
            let at_ms = (from * 1000.0) as i64;
            let (start_ms, end_ms) = (at_ms - 100, at_ms - 50);
            let component = "app-2".to_owned();
            run.steps = vec![StepTime { action: Action::Restart, component, start_ms, end_ms }];
        })
    };
    // Its counters stand where they stood: of a new process that is as many again.
    let why = |fixture: Fixture| fixture.judged().of("counters/latency-count").verdict.why().to_owned();
    assert_eq!(why(restarted(false)), "");
    let told = why(restarted(true));
    assert!(told.contains("client 1368, Prometheus 1377"), "nine that it had counted, once more: {told}");
}

//! On a stack that somebody else started, what was out of reach is not proven, with the reason; the rest is judged as ever.

use aiclipx_judge::judge::{Judgement, Verdict};
use aiclipx_judge::provenance::Mode;
use aiclipx_judge::run::Unseen;
use aiclipx_model::traffic::ledger::{FailureKind, Outcome};

use crate::bundle::Archive;
use crate::fixture::{Fixture, has};

const WHY: &str = "it does not answer";

fn unseen(fixture: Fixture, what: &[Unseen]) -> Fixture {
    let told = what.iter().map(|what| (*what, WHY.to_owned())).collect();
    fixture.run(|run| run.unseen = told)
}

/// The claims of a fixture that are not proven.
fn not_proven(fixture: &Fixture) -> Vec<String> {
    let open = |verdict: &Verdict| match verdict {
        Verdict::Holds => false,
        Verdict::NotProven(why) => {
            assert_eq!(why, WHY);
            true
        }
        other => panic!("{other:?}"),
    };
    let judged = fixture.judged().0.into_iter();
    judged.filter(|judgement| open(&judgement.verdict)).map(|judgement| judgement.claim.id).collect()
}

#[test]
fn each_thing_out_of_reach_leaves_open_what_rests_on_it_and_nothing_else() {
    let without_logs = unseen(Fixture::with_errors().without("logs/app.log"), &[Unseen::Logs]);
    assert_eq!(not_proven(&without_logs), ["error-rate/log"]);
    let fixture = Fixture::with_errors().without("loaded/alertmanager.json");
    assert_eq!(not_proven(&unseen(fixture, &[Unseen::Alertmanager])), ["error-rate/config/alertmanager"]);
    let deaf = unseen(Fixture::with_errors().lines("notifications.jsonl", Vec::clear), &[Unseen::Notifications]);
    assert_eq!(
        not_proven(&deaf),
        [
            "error-rate/watchdog",
            "error-rate/alert-notified/AppHigh5xxErrorRate",
            "error-rate/alert-resolved-notified/AppHigh5xxErrorRate"
        ]
    );
}

#[test]
fn a_request_without_an_answer_is_open_where_the_log_that_would_tell_is_out_of_reach() {
    let unanswered = |fixture: Fixture| {
        fixture.ledger(|ledger| {
            let entry = ledger.entries.iter_mut().rev().find(|entry| entry.status() == Some(200)).unwrap();
            entry.outcome = Outcome::Failed { kind: FailureKind::Broken };
        })
    };
    let counters = |fixture: &Fixture| {
        let mut judged = fixture.judged().0;
        judged.retain(|judgement| judgement.claim.id.contains("counters/"));
        judged
    };
    // The log says that it was counted.
    let seen = counters(&unanswered(Fixture::with_errors()));
    assert!(seen.iter().all(|judgement| judgement.verdict == Verdict::Holds), "{seen:?}");
    let unseen_counters = |fixture: Fixture| counters(&unseen(fixture.without("logs/app.log"), &[Unseen::Logs]));
    let unseen = unseen_counters(unanswered(Fixture::with_errors()));
    // One more than the answers is what it may have counted; two more, or one less, it can't explain.
    let off = |by: i64| {
        let fixture = unanswered(Fixture::with_errors()).series("requests", |all| {
            let is_it = |series: &&mut serde_json::Value| has(series, &[("endpoint", "/"), ("http_status", "200")]);
            let samples = all.iter_mut().find(is_it).unwrap()["values"].as_array_mut().unwrap();
            let counted = samples.last().unwrap()[1].clone();
            let other: i64 = counted.as_str().unwrap().parse::<i64>().unwrap() + by;
            samples
                .iter_mut()
                .filter(|sample| sample[1] == counted)
                .for_each(|sample| sample[1] = other.to_string().into());
        });
        unseen_counters(fixture)
    };
    for by in [1, -2] {
        assert!(matches!(off(by)[0].verdict, Verdict::Fails(_)), "{by}: {:?}", off(by)[0]);
    }
    let open = |judgement: &&Judgement| matches!(&judgement.verdict, Verdict::NotProven(why) if why.contains("1 requests got no answer"));
    let open: Vec<&str> = unseen.iter().filter(open).map(|judgement| judgement.claim.id.as_str()).collect();
    assert_eq!(open, ["requests", "latency-count", "latency-inf"].map(|id| format!("error-rate/counters/{id}")));
    assert_eq!(unseen.last().unwrap().verdict, Verdict::Holds, "no fault is in question");
}

#[test]
fn nothing_of_a_stack_of_ours_is_out_of_reach() {
    let archive = || Archive::new().with("error-rate", &unseen(Fixture::with_errors(), &[Unseen::Logs]));
    let (_place, sealed) = archive().seal(&[]);
    assert!(sealed.unwrap_err().to_string().contains("it ran on a stack of ours"));
    let (_place, sealed) = archive().made(Mode::External).seal(&[]);
    sealed.unwrap();
}

/// A stack whose Vector answered its scrapes so.
fn with_vector(ups: &[&str]) -> Fixture {
    with_optional("vector", ups)
}

/// A stack with an optional component that answered its scrapes so, in Vector's place.
fn with_optional(job: &str, ups: &[&str]) -> Fixture {
    Fixture::with_errors().series("up", |all| {
        let vector = all.iter_mut().find(|series| has(series, &[("job", "vector")])).unwrap();
        vector["metric"]["job"] = job.into();
        for (index, sample) in vector["values"].as_array_mut().unwrap().iter_mut().enumerate() {
            sample[1] = ups[index % ups.len()].into();
        }
    })
}

#[test]
fn what_a_stack_may_lack_disturbs_no_run_when_it_is_not_scraped() {
    for job in ["probe", "vector", "loki"] {
        assert_eq!(with_optional(job, &["0"]).disturbances(), [], "{job}");
        assert_eq!(with_optional(job, &["1", "0"]).disturbances(), [], "{job}");
    }
    assert_ne!(with_optional("receiver", &["1", "0"]).disturbances(), []);
}

#[test]
fn a_vector_that_was_there_and_never_answered_is_not_called_absent() {
    let why = |fixture: Fixture| fixture.judged().of("panel-answers/logs/1").verdict.clone();
    let absent = || Fixture::with_errors().series("up", |all| all.retain(|series| !has(series, &[("job", "vector")])));
    assert_eq!(why(absent()), Verdict::NotProven("vector is not part of this stack".to_owned()));
    let mute = "vector was there to be scraped and never answered";
    assert_eq!(why(with_vector(&["0"])), Verdict::NotProven(mute.to_owned()));
    assert_eq!(why(with_vector(&["0", "1"])), Verdict::Holds);
    // So where others are asked as well, and nothing can come of it without this one.
    let quiet = |fixture: Fixture| fixture.judged().of("alert-quiet/MonitoringLogsNotRead").verdict.clone();
    assert_eq!(quiet(absent()), Verdict::NotProven("vector is not part of this stack".to_owned()));
    assert_eq!(quiet(with_vector(&["0", "1"])), Verdict::Holds);
    // What is sealed already said it in the words of its version.
    let older = with_vector(&["0"]).run(|run| run.schema = 3);
    assert_eq!(why(older), Verdict::NotProven("vector is not part of this stack".to_owned()));
}

//! Requests without an answer are not guessed at: the service's log says whether it saw them and what it counted.

use aiclipx_model::traffic::ledger::{FailureKind, Outcome};
use serde_json::Value;

use crate::fixture::Fixture;
use crate::world::WITH_ERRORS;

const COUNTED: [&str; 3] = ["counters/requests", "counters/latency-count", "counters/latency-inf"];
const GOOD: [(&str, &str); 3] = [("method", "GET"), ("endpoint", "/items"), ("http_status", "200")];

/// The id of a good answer near the end.
fn a_request() -> &'static str {
    let entries = WITH_ERRORS.ledger.entries.iter().rev();
    let mut good = entries.filter(|entry| entry.method == "GET" && entry.endpoint == "/items");
    &good.find(|entry| entry.status() == Some(200)).expect("there are hundreds").id
}

/// The client had no answer to that request.
fn without_an_answer(kind: FailureKind) -> Fixture {
    Fixture::with_errors().ledger(|ledger| {
        let entry = ledger.entries.iter_mut().find(|entry| entry.id == a_request()).unwrap();
        entry.outcome = Outcome::Failed { kind };
    })
}

/// The service counted and logged it with another status.
fn counted_as(fixture: Fixture, status: u16) -> Fixture {
    let text = status.to_string();
    let exposed =
        |status: &str| format!(r#"app_requests_total{{endpoint="/items",http_status="{status}",method="GET"}}"#);
    let fixture = fixture
        .stored("requests", &GOOD, -1.0)
        .exposed(&exposed("200"), -1.0)
        .stored("requests", &[GOOD[0], GOOD[1], ("http_status", &text)], 1.0)
        .exposed(&exposed(&text), 1.0);
    fixture.lines("logs/app.log", |lines| {
        let line = lines.iter_mut().find(|line| of_it(line)).unwrap();
        *line = line.replace("\"status\":200", &format!("\"status\":{status}"));
    })
}

/// The service never saw it.
fn never_seen(fixture: Fixture) -> Fixture {
    let exposed = r#"app_requests_total{endpoint="/items",http_status="200",method="GET"}"#;
    fixture
        .stored("requests", &GOOD, -1.0)
        .exposed(exposed, -1.0)
        .stored("latency_count", &[("endpoint", "/items")], -1.0)
        .stored("latency_inf", &[("endpoint", "/items")], -1.0)
        .lines("logs/app.log", |lines| lines.retain(|line| !of_it(line)))
}

fn of_it(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|line| line["request_id"] == a_request())
}

#[test]
fn a_broken_request_that_the_service_counted_as_abandoned_agrees_and_is_named() {
    let judged = counted_as(without_an_answer(FailureKind::Broken), 499).judged();
    judged.fails_exactly("abandoned", &[]);
    let observed = &judged.of("counters/requests").observed;
    let explained = format!("{} had no answer; the service's log has it as 499", a_request());
    assert!(observed.contains(&explained), "{observed}");
}

#[test]
fn a_broken_request_that_the_service_never_saw_agrees_and_is_named() {
    let judged = never_seen(without_an_answer(FailureKind::Broken)).judged();
    judged.fails_exactly("never seen", &[]);
    let observed = &judged.of("counters/requests").observed;
    assert!(observed.contains("is not in the service's log"), "{observed}");
}

#[test]
fn a_request_the_client_gave_up_is_a_server_fault_where_the_service_timed_it_out_too() {
    let fixture = counted_as(without_an_answer(FailureKind::TimedOut), 500).stored("errors", &[], 1.0);
    fixture.judged().fails_exactly("timed out at both ends", &[]);
}

#[test]
fn an_unanswered_request_that_was_counted_and_not_logged_is_found() {
    let fixture = without_an_answer(FailureKind::Broken);
    let fixture = fixture.lines("logs/app.log", |lines| lines.retain(|line| !of_it(line)));
    fixture.judged().fails_exactly("counted, not logged", &COUNTED);
}

#[test]
fn an_unanswered_request_that_was_logged_and_not_counted_is_found() {
    let log = without_an_answer(FailureKind::Broken);
    let line = std::fs::read_to_string(log.folder.join("logs/app.log")).unwrap();
    let line = line.lines().find(|line| of_it(line)).unwrap().to_owned();
    let fixture = never_seen(log).lines("logs/app.log", |lines| lines.push(line));
    fixture.judged().fails_exactly("logged, not counted", &COUNTED);
}

#[test]
fn a_request_that_was_refused_and_yet_counted_is_found() {
    let fixture = Fixture::with_errors().ledger(|ledger| {
        let entry = ledger.entries.iter_mut().find(|entry| entry.id == a_request()).unwrap();
        entry.sent_us = None;
        entry.outcome = Outcome::Failed { kind: FailureKind::Refused };
    });
    fixture.judged().fails_exactly("refused, yet counted", &COUNTED);
}

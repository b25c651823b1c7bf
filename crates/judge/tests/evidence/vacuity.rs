//! Nothing shown is nothing proven: a claim never holds on an empty artifact, an empty ledger, or a fault nobody saw.

use std::fs;

use aiclipx_judge::judge::Verdict;
use aiclipx_model::traffic::ledger::{Ledger, Outcome};

use crate::fixture::{Fixture, Judged};
use crate::world::{ERROR_RATE, World};

const COUNTERS: [&str; 4] = ["counters/requests", "counters/latency-count", "counters/latency-inf", "counters/errors"];
const CYCLE: [&str; 5] =
    ["alert-pending", "alert-fires", "alert-notified", "alert-resolves", "alert-resolved-notified"];

fn none_holds<'a>(judged: &Judged, what: &str, claims: impl IntoIterator<Item = &'a str>) {
    let mut any = false;
    for part in claims {
        for judgement in judged.0.iter().filter(|one| format!("{}/", one.claim.id).contains(part)) {
            any = true;
            assert_ne!(judgement.verdict, Verdict::Holds, "{what}: {}", judgement.claim.id);
        }
    }
    assert!(any, "{what}: no such claim");
}

fn rooms() -> [Fixture; 2] {
    [Fixture::with_errors(), Fixture::silent()]
}

#[test]
fn nothing_holds_on_samples_that_are_empty() {
    for (samples, claims) in [
        ("requests", &["counters/requests", "exposed"][..]),
        ("latency_count", &["counters/latency-count"]),
        ("latency_inf", &["counters/latency-inf"]),
        ("errors", &["counters/errors"]),
        ("scrape_duration", &COUNTERS),
        // Whether it was scraped at all, and what fired, is what everything rests on.
        ("up", &[""]),
        ("process_start", &[""]),
        ("iterations_missed", &[""]),
        ("alerts", &["watchdog", "alert-"]),
    ] {
        for fixture in rooms() {
            none_holds(&fixture.series(samples, Vec::clear).judged(), &format!("no {samples}"), claims.iter().copied());
        }
    }
}

#[test]
fn nothing_holds_on_an_artifact_that_is_not_there_or_not_what_it_should_be() {
    for (file, claims) in [
        ("samples/requests.json", &["counters/requests", "exposed"][..]),
        ("samples/latency_count.json", &["counters/latency-count"]),
        ("samples/latency_inf.json", &["counters/latency-inf"]),
        ("samples/errors.json", &["counters/errors"]),
        ("samples/up.json", &[""]),
        ("samples/process_start.json", &[""]),
        ("samples/iterations_missed.json", &[""]),
        ("samples/alerts.json", &["watchdog", "alert-"]),
        ("exposition/before-0.prom", &["buckets"]),
        ("exposition/after-0.prom", &["exposed", "buckets"]),
        ("loaded/config.json", &["config/prometheus"]),
        ("loaded/alertmanager.json", &["config/alertmanager"]),
        ("loaded/rules.json", &["loaded"]),
        ("logs/app.log", &["/log/"]),
    ] {
        for fixture in rooms() {
            none_holds(&fixture.without(file).judged(), &format!("no {file}"), claims.iter().copied());
        }
        for fixture in rooms() {
            fs::write(fixture.folder.join(file), "").unwrap();
            none_holds(&fixture.judged(), &format!("an empty {file}"), claims.iter().copied());
        }
        for fixture in rooms() {
            fs::write(fixture.folder.join(file), "<html>502 Bad Gateway</html>").unwrap();
            none_holds(&fixture.judged(), &format!("an error page for {file}"), claims.iter().copied());
        }
    }
}

#[test]
fn a_client_that_sent_nothing_proves_nothing_of_a_scenario_that_sends() {
    let world = World::new("02-error-rate", ERROR_RATE, |ledger| {
        ledger.entries.clear();
        ledger.head.scheduled = 0;
    });
    let judged = Fixture::of("error-rate", &world.files()).judged();
    let claims = ["schedule", "/log/", "/faults/", "pictured", "panel-shows", "buckets"];
    none_holds(&judged, "nothing sent", claims.into_iter().chain(COUNTERS).chain(CYCLE));
}

/// The service takes no faults: what was to fail was answered well, and counted so.
fn unmoved(ledger: &mut Ledger) {
    for entry in ledger.entries.iter_mut().filter(|entry| entry.fault.is_some()) {
        entry.outcome = Outcome::Answered { status: if entry.method == "POST" { 201 } else { 200 } };
    }
}

#[test]
fn a_fault_that_the_client_did_not_see_leaves_alerts_and_errors_open() {
    let world = World::new("02-error-rate", ERROR_RATE, unmoved);
    let judged = Fixture::of("error-rate", &world.files()).judged();
    for claim in CYCLE.into_iter().chain(["counters/errors"]) {
        let judgement = judged.0.iter().find(|judgement| judgement.claim.id.contains(claim)).unwrap();
        let open = matches!(&judgement.verdict, Verdict::NotProven(why) if why.contains("the client saw no"));
        assert!(open, "{claim}: {:?}", judgement.verdict);
    }
    // That it takes none is a failure of its own, whatever panels the scenario lists.
    let faults = judged.of("faults");
    let why = faults.verdict.why();
    assert!(matches!(faults.verdict, Verdict::Fails(_)) && why.contains("asked for error, answered 20"), "{faults:?}");
}

#[test]
fn an_alert_that_fires_without_a_fault_the_client_saw_is_no_proof_of_the_alert() {
    let mut world = World::new("02-error-rate", ERROR_RATE, unmoved);
    world.lives.clone_from(&crate::world::WITH_ERRORS.lives);
    world.run.end_ms = crate::world::WITH_ERRORS.run.end_ms;
    let judged = Fixture::of("error-rate", &world.files()).judged();
    none_holds(&judged, "no fault seen", CYCLE);
}

#[test]
fn a_delay_that_the_client_did_not_see_leaves_the_alert_open() {
    let text = ERROR_RATE.replace("fault = \"error\"", "fault = \"delay=750ms\"");
    let world = World::new("02-error-rate", &text, unmoved);
    let judged = Fixture::of("error-rate", &world.files()).judged();
    none_holds(&judged, "no delay seen", CYCLE.into_iter().chain(["/faults/"]));
    assert!(matches!(judged.of("alert-fires/AppHigh5xxErrorRate").verdict, Verdict::NotProven(_)), "{}", judged.whys());
}

#[test]
fn a_panel_without_a_point_inside_a_phase_shows_nothing() {
    let fixture = Fixture::with_errors().json("panels/app-overview-1-A.json", |kept| {
        kept["answer"]["data"]["result"][0]["values"].as_array_mut().unwrap().truncate(2);
    });
    fixture.judged().fails_exactly("points before the traffic only", &["panel-shows/app-overview/1"]);
}

#[test]
fn a_scenario_of_somebodys_own_leaves_it_open_whether_it_is_the_trees() {
    let world = World::new("90-own", ERROR_RATE, |_| {});
    let judged = Fixture::of("own", &world.files()).judged();
    let open: Vec<&str> =
        judged.0.iter().filter(|j| j.verdict != Verdict::Holds).map(|j| j.claim.id.as_str()).collect();
    assert_eq!(open, ["own/scenario"]);
    assert!(judged.0[0].verdict.why().contains("the tree has no scenario 90-own"), "{:?}", judged.0[0]);
}

#[test]
fn a_run_cut_short_proves_no_alert_and_no_panel_and_refutes_none() {
    let shortened =
        Fixture::with_errors().ledger(|ledger| ledger.head.length_us -= 5_000_000).series("alerts", |all| {
            all.retain(|series| series["metric"]["alertname"] == "Watchdog");
        });
    for judgement in shortened.judged().0.iter().filter(|judgement| judgement.claim.id.contains("/alert-fires/")) {
        assert!(matches!(&judgement.verdict, Verdict::NotProven(why) if why.contains("shortened")), "{judgement:?}");
    }
}

//! Grafana's page of a dashboard: the claim rests on its picture and on the data it was given, and is open without them.

use std::fs;

use aiclipx_judge::files::write_json;
use aiclipx_judge::grafana::Exchange;
use aiclipx_judge::grafana::Seen;
use aiclipx_judge::judge::Verdict;
use aiclipx_judge::provenance::Mode;
use serde_json::{Value, json};

use crate::bundle::Archive;
use crate::fixture::Fixture;
use crate::world;

const PICTURE: &str = "screens/dashboard-app-overview.png";
const CLAIM: &str = "error-rate/pictured-dashboard/app-overview";

pub(crate) fn answered(status: i64, body: &Value) -> Exchange {
    let url = "http://127.0.0.1:3000/api/ds/query?ds_type=prometheus".to_owned();
    Exchange { url, posted: r#"{"queries":[{"refId":"A","expr":"up"}]}"#.to_owned(), status, body: body.to_string() }
}

pub(crate) fn with_values() -> Value {
    let frame = json!({ "schema": {}, "data": { "values": [[1_795_489_200_000_u64], [1.5]] } });
    json!({ "results": { "A": { "status": 200, "frames": [frame] } } })
}

fn empty() -> Value {
    json!({ "results": { "A": { "status": 200, "frames": [{ "schema": {}, "data": { "values": [] } }] } } })
}

/// What was seen of a Grafana that answered so.
pub(crate) fn seen(exchanges: Vec<Exchange>, missing: Option<&str>) -> Seen {
    let url = "http://127.0.0.1:3000/d/app-overview?orgId=1".to_owned();
    let (version, missing) = ("13.0.7".to_owned(), missing.map(str::to_owned));
    Seen { url, taken_ms: world::QUIET + 60_000, version, exchanges, failed: Vec::new(), missing }
}

/// An experiment whose stack had such a Grafana.
fn fixture(exchanges: Vec<Exchange>, missing: Option<&str>) -> Fixture {
    let fixture = Fixture::with_errors();
    write_json(&fixture.folder.join("grafana/app-overview.json"), &seen(exchanges, missing)).unwrap();
    match missing {
        None => fixture,
        Some(_) => fixture.without(PICTURE),
    }
}

fn verdict(fixture: &Fixture) -> Verdict {
    let judged = fixture.judged().0;
    judged.into_iter().find(|judgement| judgement.claim.id == CLAIM).expect("the claim is derived").verdict
}

#[test]
fn a_picture_whose_queries_were_answered_with_values_holds() {
    // A panel may have nothing to show, as errors have before the first.
    let sound = fixture(vec![answered(200, &with_values()), answered(200, &empty())], None);
    assert_eq!(verdict(&sound), Verdict::Holds);
}

#[test]
fn without_grafana_or_without_a_picture_the_claim_is_open_and_says_why() {
    let Verdict::NotProven(why) = verdict(&Fixture::with_errors().without("grafana/app-overview.json")) else {
        panic!("not open")
    };
    assert!(why.contains("no Grafana"), "{why}");
    let Verdict::NotProven(why) = verdict(&fixture(Vec::new(), Some("it went to /login"))) else { panic!("not open") };
    assert_eq!(why, "it went to /login");
}

#[test]
fn an_error_behind_the_picture_fails_it() {
    let refused = json!({ "results": { "B": { "status": 400, "error": "parse error" } } });
    for (what, exchanges, told) in [
        ("a status", vec![answered(200, &with_values()), answered(502, &json!("bad gateway"))], "answered 502"),
        ("nobody answered", vec![answered(200, &with_values()), answered(0, &json!(""))], "answered 0"),
        ("a refused query", vec![answered(200, &with_values()), answered(200, &refused)], "query B: 400 parse error"),
        ("no values", vec![answered(200, &empty())], "no answer holds a value"),
        ("no results", vec![answered(200, &json!({}))], "no results"),
        ("no query", Vec::new(), "no answer holds a value"),
    ] {
        let Verdict::Fails(why) = verdict(&fixture(exchanges, None)) else { panic!("{what} does not fail") };
        assert!(why.contains(told), "{what}: {why}");
    }
    let lost = fixture(vec![answered(200, &with_values())], None).without(PICTURE);
    assert_eq!(verdict(&lost), Verdict::Fails("there is no picture".to_owned()));
}

/// Before 8.3 a page asks Prometheus itself, through Grafana, and some panels may not have come so far.
#[test]
fn an_older_page_is_judged_by_what_prometheus_answered_it_and_by_what_its_panels_say() {
    let proxied = |status, body: &Value| Exchange {
        url: "http://127.0.0.1:3000/api/datasources/proxy/2/api/v1/query_range".to_owned(),
        posted: "query=up&step=1".to_owned(),
        ..answered(status, body)
    };
    let matrix = json!({ "resultType": "matrix", "result": [{ "metric": {}, "values": [[1_795_489_200, "1.5"]] }] });
    let good = proxied(200, &json!({ "status": "success", "data": matrix }));
    let bad = proxied(400, &json!({ "status": "error", "errorType": "bad_data", "error": "not a valid duration" }));
    let older = |exchanges: &[&Exchange], failed: &[&str]| {
        let exchanges = exchanges.iter().map(|exchange| (*exchange).clone()).collect();
        let failed = failed.iter().map(|panel| (*panel).to_owned()).collect();
        let seen = Seen { version: "7.5.17".to_owned(), failed, ..seen(exchanges, None) };
        let fixture = Fixture::with_errors();
        write_json(&fixture.folder.join("grafana/app-overview.json"), &seen).unwrap();
        let judged = fixture.judged().0;
        judged.into_iter().find(|judgement| judgement.claim.id == CLAIM).expect("the claim is derived")
    };
    let held = older(&[&good], &[]);
    assert_eq!(held.verdict, Verdict::Holds);
    assert!(held.observed.contains("7.5.17 leaves out"), "{}", held.observed);
    let Verdict::Fails(why) = older(&[&good, &bad], &[]).verdict else { panic!("a refused query is shown") };
    assert!(why.contains("not a valid duration"), "{why}");
    let Verdict::Fails(why) = older(&[&good], &["Request rate"]).verdict else { panic!("an error is shown") };
    assert_eq!(why, "the panel \"Request rate\" shows an error");
}

#[test]
fn a_bundle_has_a_place_for_it() {
    let sound = fixture(vec![answered(200, &with_values())], None);
    let sealed = Archive::new().with("error-rate", &sound).made(Mode::Private).sealed();
    let judgements = sealed.verify().unwrap_or_else(|failure| panic!("{failure}")).judgements;
    assert!(judgements.iter().any(|judgement| judgement.claim.id == CLAIM && judgement.verdict == Verdict::Holds));
    let report = fs::read_to_string(sealed.path("report.html")).unwrap();
    assert!(report.contains("Grafana's page of") && report.contains(PICTURE));
}

//! Every request exactly once, whatever happens to it; the number of series a constant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aiclipx_app::endpoint::{Endpoint, Verb};
use percent_encoding::{CONTROLS, utf8_percent_encode};
use tokio::io::AsyncReadExt;
use tokio::sync::Barrier;

use crate::exposition::{Exposition, whole};
use crate::harness::{App, Client, JSON, eventually, request, tally};

/// Method, target, header, body, and the endpoint it must be counted under.
const MIX: [(&str, &str, &str, &str, &str); 14] = [
    ("GET", "/", "accept: */*", "", "/"),
    ("HEAD", "/items", "accept: */*", "", "/items"),
    ("GET", "/items?limit=5", "accept: */*", "", "/items"),
    ("POST", "/items", JSON, r#"{"name":"tea"}"#, "/items"),
    ("POST", "/items", JSON, r#"{"name":"#, "/items"),
    ("GET", "/items/3", "accept: */*", "", "/items/{id}"),
    ("DELETE", "/items/3", "accept: */*", "", "/items/{id}"),
    ("PUT", "/items", "accept: */*", "", "/items"),
    ("GET", "/nowhere", "accept: */*", "", "unmatched"),
    ("GET", "/", "x-fault: error", "", "/"),
    ("GET", "/", "x-fault: panic", "", "/"),
    ("POST", "/items", "x-fault: delay=1ms", r#"{"name":"tea"}"#, "/items"),
    ("GET", "/health/ready", "accept: */*", "", "/health/ready"),
    ("GET", "/metrics", "accept: */*", "", "/metrics"),
];

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_with_mixed_requests_are_counted_to_the_request() {
    const CLIENTS: usize = 8;
    const REQUESTS: usize = 280;
    let app = App::with_faults().await;
    let start = Arc::new(Barrier::new(CLIENTS));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (address, start) = (app.address, Arc::clone(&start));
            tokio::spawn(async move {
                let mut connection = Client::connect(address).await;
                let mut seen: BTreeMap<String, u64> = BTreeMap::new();
                start.wait().await;
                for turn in 0..REQUESTS {
                    let (method, target, header, body, endpoint) = MIX[(client + turn) % MIX.len()];
                    let answer = connection.ask(method, target, &[header], body).await;
                    *seen.entry(format!("{method} {endpoint} {}", answer.status)).or_default() += 1;
                    if endpoint == "/metrics" {
                        let scrape = Exposition::parse(&answer.body).unwrap();
                        assert!(scrape.value("app_requests_in_flight", &[]) >= 1.0, "the scrape itself is in flight");
                    }
                }
                seen
            })
        })
        .collect();
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for client in clients {
        for (series, count) in client.await.unwrap() {
            *seen.entry(series).or_default() += count;
        }
    }

    assert_eq!(seen.values().sum::<u64>(), (CLIENTS * REQUESTS) as u64);
    assert_eq!(app.counted(), seen);
    let metrics = app.metrics();
    assert!(metrics.value("app_requests_in_flight", &[]).abs() < f64::EPSILON);
    for endpoint in Endpoint::ALL {
        let observed = metrics.value("app_request_latency_seconds_count", &[("endpoint", endpoint.label())]);
        let counted: f64 = metrics
            .all("app_requests_total")
            .filter(|(labels, _)| labels["endpoint"] == endpoint.label())
            .map(|(_, value)| value)
            .sum();
        assert_eq!(whole(observed), whole(counted), "{endpoint:?}");
    }
    let faults: u64 = seen.iter().filter(|(series, _)| series.ends_with(" 500")).map(|(_, count)| count).sum();
    assert_eq!(whole(metrics.value("app_errors_total", &[])), faults);
}

#[tokio::test]
async fn a_client_that_leaves_when_its_answer_has_begun_is_counted_once_with_its_status() {
    let app = App::start().await;
    let mut client = app.connect().await;
    client.write(&request("GET", "/metrics", &[], "")).await;
    client.stream.read_u8().await.unwrap();
    drop(client);
    eventually("ended", || app.connections("closed") + app.connections("aborted") > 0.0).await;
    assert_eq!(app.counted(), tally([("GET /metrics 200", 1)]));
}

#[tokio::test]
async fn a_panic_is_500_once_and_the_connection_lives_on() {
    let app = App::with_faults().await;
    let mut client = app.connect().await;
    assert_eq!(client.ask("GET", "/items", &["x-fault: panic"], "").await.status, 500);
    assert_eq!(client.ask("GET", "/items", &[], "").await.status, 200);
    assert_eq!(app.counted(), tally([("GET /items 200", 1), ("GET /items 500", 1)]));
    assert_eq!(whole(app.metrics().value("app_errors_total", &[])), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_counted_each() {
    let app = App::start().await;
    let mut client = app.connect().await;
    let targets = ["/", "/nowhere", "/items", "/health/live", "/"];
    client.write(&targets.map(|target| request("GET", target, &[], "")).concat()).await;
    for (target, status) in targets.into_iter().zip([200, 404, 200, 200, 200]) {
        assert_eq!(client.answer("GET").await.status, status, "{target}");
    }
    let expected =
        tally([("GET / 200", 2), ("GET /health/live 200", 1), ("GET /items 200", 1), ("GET unmatched 404", 1)]);
    assert_eq!(app.counted(), expected);
}

#[tokio::test]
async fn every_series_exists_at_zero_before_the_first_request() {
    let app = App::start().await;
    let metrics = app.metrics();
    let mut series = 0;
    for endpoint in Endpoint::ALL {
        for verb in Verb::ALL {
            for status in endpoint.statuses(verb) {
                let status = status.to_string();
                let labels =
                    [("method", verb.label()), ("endpoint", endpoint.label()), ("http_status", status.as_str())];
                assert_eq!(whole(metrics.value("app_requests_total", &labels)), 0);
                series += 1;
            }
        }
        assert_eq!(whole(metrics.value("app_request_latency_seconds_count", &[("endpoint", endpoint.label())])), 0);
    }
    assert_eq!(metrics.all("app_requests_total").count(), series);
    for name in ["app_errors_total", "app_log_records_dropped_total", "app_requests_in_flight"] {
        assert_eq!(whole(metrics.value(name, &[])), 0);
    }
    for outcome in ["closed", "malformed", "timed_out", "aborted", "cut"] {
        assert_eq!(whole(app.connections(outcome) as f64), 0);
    }
    assert_eq!(whole(metrics.value("app_build_info", &[("version", "0.0.0"), ("revision", "test")])), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_of_random_paths_and_methods_makes_no_series_and_every_path_is_classified_as_answered() {
    let app = App::start().await;
    let before = app.metrics().series();
    let mut random = Random(7);
    let mut client = app.connect().await;
    let pieces =
        ["items", "/", "//", "health", "live", "ready", "metrics", "1", "0", "..", "%2f", "%69", "é", "{id}", "-"];
    let mut unmatched = 0;
    for _ in 0..20_000 {
        let path: String = (0..=random.below(4)).map(|_| pieces[random.below(pieces.len())]).collect();
        let path = utf8_percent_encode(&format!("/{path}"), CONTROLS).to_string();
        let answer = client.ask("GET", &path, &[], "").await;
        let nowhere = answer.body == r#"{"error":"not found"}"#;
        assert_eq!(nowhere, Endpoint::of(&path) == Endpoint::Unmatched, "{path}");
        unmatched += u64::from(nowhere);
    }
    assert!((1_000..20_000).contains(&unmatched), "the scan must hit and miss: {unmatched}");
    for number in 0..500 {
        assert_eq!(client.ask(&format!("M{number}"), "/items", &[], "").await.status, 405);
    }
    let long = "x".repeat(8 << 10);
    assert_eq!(client.ask("GET", &format!("/{long}"), &[], "").await.status, 404);
    assert_eq!(app.metrics().series(), before);
    assert_eq!(app.counted()["OTHER /items 405"], 500);
    assert_eq!(app.counted()["GET unmatched 404"], unmatched + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_under_load_loses_no_request_of_a_client_that_heeds_readiness() {
    // Long enough for each client to ask once more, on an emulated machine, too.
    let mut app = App::with(|config| config.drain_delay = Duration::from_secs(2)).await;
    let address = app.address;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            tokio::spawn(async move {
                let (mut items, mut ready, mut unready) = (0, 0, 0);
                while unready == 0 {
                    let mut client = Client::connect(address).await;
                    let answer = client.ask("GET", "/items", &[], "").await;
                    items += u64::from(answer.status == 200);
                    if answer.header("connection") == Some("close") {
                        client = Client::connect(address).await;
                    }
                    match client.ask("GET", "/health/ready", &[], "").await.status {
                        200 => ready += 1,
                        _ => unready += 1,
                    }
                }
                (items, ready, unready)
            })
        })
        .collect();
    eventually("load", || app.counted().get("GET /items 200") > Some(&50)).await;
    app.tell_to_stop();
    let mut seen = (0, 0, 0);
    for client in clients {
        let (items, ready, unready) = client.await.unwrap();
        seen = (seen.0 + items, seen.1 + ready, seen.2 + unready);
    }
    let metrics = Arc::clone(&app.metrics);
    app.stopped().await;
    let counted = Exposition::parse(&metrics.encode()).unwrap().requests();
    let expected =
        tally([("GET /items 200", seen.0), ("GET /health/ready 200", seen.1), ("GET /health/ready 503", seen.2)]);
    assert_eq!(counted, expected);
}

/// A small generator with a fixed start: the same scan every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

//! What each route answers, to the header.

use std::time::Duration;

use aiclipx_app::endpoint::{Endpoint, Verb};
use log::LevelFilter;
use serde_json::json;

use crate::harness::{App, Client, JSON};

/// A path of each endpoint. `/items/1` exists once an item was posted.
fn path(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Item => "/items/1",
        Endpoint::Unmatched => "/nowhere",
        _ => endpoint.label(),
    }
}

#[tokio::test]
async fn the_store_keeps_gives_lists_and_forgets() {
    let app = App::start().await;
    let created = app.send("POST", "/items", &[JSON], r#"{"name":" tea "}"#).await;
    assert_eq!((created.status, created.header("location")), (201, Some("/items/1")));
    assert_eq!(created.json(), json!({"id": 1, "name": "tea"}));
    app.send("POST", "/items", &["Content-Type: Application/JSON; charset=utf-8"], r#"{"name":"rice"}"#).await;

    assert_eq!(app.get("/items/1").await.json(), json!({"id": 1, "name": "tea"}));
    let page = app.get("/items?limit=1").await;
    assert_eq!(page.json(), json!({"items": [{"id": 1, "name": "tea"}], "next": 1}));
    let last = app.get("/items?limit=1&after=1").await;
    assert_eq!(last.json(), json!({"items": [{"id": 2, "name": "rice"}], "next": null}));

    let gone = app.send("DELETE", "/items/1", &[], "").await;
    assert_eq!((gone.status, gone.body.as_str()), (204, ""));
    assert_eq!(app.get("/items/1").await.status, 404);
    assert_eq!(app.send("DELETE", "/items/1", &[], "").await.status, 404);
    assert!((app.metrics().value("app_items", &[]) - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn the_originals_answers_are_the_originals() {
    let app = App::start().await;
    assert_eq!(app.get("/").await.json(), json!({"service": "aiClipx-trial", "status": "ok"}));
    assert_eq!(app.get("/health/live").await.json(), json!({"live": true}));
    assert_eq!(app.get("/health/ready").await.json(), json!({"ready": true}));
    let nameless = app.send("POST", "/items", &[JSON], "{}").await;
    assert_eq!((nameless.status, nameless.json()), (400, json!({"error": "name is required"})));
    let metrics = app.get("/metrics").await;
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4"));
}

#[tokio::test]
async fn the_monitorings_door_leads_to_what_it_asks_and_nowhere_else() {
    let app = App::with_faults().await;
    for endpoint in Endpoint::ALL {
        for (method, is_read) in [("GET", true), ("HEAD", true), ("POST", false), ("OPTIONS", false)] {
            let mut client = Client::connect(app.admin).await;
            let answer = client.ask(method, path(endpoint), &["x-fault: error"], "").await;
            let expected = match (endpoint, is_read) {
                (Endpoint::Live | Endpoint::Ready | Endpoint::Metrics, true) => 200,
                (Endpoint::Live | Endpoint::Ready | Endpoint::Metrics, false) => 405,
                _ => 404,
            };
            assert_eq!(answer.status, expected, "{method} {endpoint:?}");
        }
        // What the original serves on its one port is there as ever.
        assert_eq!(
            app.get(path(endpoint)).await.status == 404,
            matches!(endpoint, Endpoint::Item | Endpoint::Unmatched)
        );
    }
    let counted = app.counted();
    assert_eq!((counted["GET unmatched 404"], counted["GET /metrics 200"], counted.get("POST / 405")), (5, 2, None));
}

#[tokio::test]
async fn a_bad_request_is_refused_in_our_words_and_never_in_the_clients() {
    let app = App::with(|config| {
        config.faults = true;
        config.max_body_bytes = 100;
    })
    .await;
    let long = format!(r#"{{"name":"{}"}}"#, "s3cr3t".repeat(100));
    let enormous = format!("content-length: {}", 5 << 20);
    let requests: [(u16, &str, &str, &[&str], &str); 15] = [
        (400, "POST", "/items", &[JSON], r#"{"name":"s3cr3t""#),
        (400, "POST", "/items", &[JSON], r#"["s3cr3t"]"#),
        (400, "POST", "/items", &[JSON], r#"{"name":["s3cr3t"]}"#),
        (400, "POST", "/items", &[JSON], r#""s3cr3t""#),
        (400, "POST", "/items", &[JSON], "null"),
        (400, "POST", "/items", &[JSON], ""),
        (415, "POST", "/items", &["content-type: text/s3cr3t"], r#"{"name":"a"}"#),
        (415, "POST", "/items", &[], r#"{"name":"a"}"#),
        (413, "POST", "/items", &[JSON], &long),
        (413, "POST", "/items", &[JSON, &enormous], ""),
        (400, "GET", "/items?limit=s3cr3t", &[], ""),
        (400, "GET", "/items?after=s3cr3t", &[], ""),
        (404, "GET", "/s3cr3t", &[], ""),
        (405, "S3CR3T", "/items", &["x-s3cr3t: s3cr3t"], ""),
        (400, "GET", "/items", &["x-fault: s3cr3t", "x-request-id: \"s3cr3t\""], ""),
    ];
    for (status, method, target, headers, body) in requests {
        let answer = app.send(method, target, headers, body).await;
        assert_eq!(answer.status, status, "{method} {target} {body}: {answer:?}");
        assert!(answer.json()["error"].is_string());
        assert!(!format!("{answer:?}").to_lowercase().contains("s3cr3t"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_chunked_upload_is_taken_and_its_limit_runs_along() {
    let app = App::with(|config| config.max_body_bytes = 20).await;
    let chunked = [JSON, "transfer-encoding: chunked"];
    for (status, chunks) in [
        (201, "5\r\n{\"nam\r\nb\r\ne\":\"sugar\"}\r\n0\r\n\r\n"),
        (413, "5\r\n{\"nam\r\n10\r\ne\":\"sugar sugar\"\r\n0\r\n\r\n"),
        (400, "5\r\n{\"nam\r\nno number\r\n"),
    ] {
        let mut client = app.connect().await;
        client.write(&crate::harness::request("POST", "/items", &chunked, "")).await;
        client.write(chunks).await;
        assert_eq!(client.answer("POST").await.status, status, "{chunks}");
    }
}

/// hyper sees to it: a proxy that believes the length would take the rest for another request.
#[tokio::test]
async fn a_chunked_upload_keeps_its_connection_unless_it_names_a_length_too() {
    let app = App::start().await;
    for (header, kept) in [("a: b", true), ("content-length: 3", false)] {
        let mut client = app.connect().await;
        client
            .write(&crate::harness::request("POST", "/items", &[JSON, "transfer-encoding: chunked", header], ""))
            .await;
        client.write("e\r\n{\"name\":\"tea\"}\r\n0\r\n\r\n").await;
        let answer = client.answer("POST").await;
        assert_eq!((answer.status, answer.header("connection").is_none()), (201, kept), "{header}");
    }
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_408_and_a_request_that_takes_too_long_503() {
    let app = App::with(|config| {
        config.faults = true;
        config.header_timeout = Duration::from_millis(200);
        config.request_timeout = Duration::from_millis(400);
    })
    .await;
    let mut client = app.connect().await;
    client
        .write("POST /items HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{")
        .await;
    let answer = client.answer("POST").await;
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
    assert_eq!(app.send("GET", "/", &["x-fault: delay=1h"], "").await.status, 503);
    let expected = crate::harness::tally([("GET / 503", 1), ("POST /items 408", 1)]);
    assert_eq!(app.counted(), expected);
    assert!((app.metrics().value("app_errors_total", &[]) - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn what_bodies_and_answers_share_is_503_when_it_is_spent_and_returns() {
    const LENGTH: usize = 40_000;
    let app = App::with(|config| config.max_buffered_bytes = 64 << 10).await;
    let length = format!("content-length: {LENGTH}");
    let head = crate::harness::request("POST", "/items", &[JSON, &length], "");
    let mut holder = app.connect().await;
    holder.write(&head).await;
    holder.write(&" ".repeat(LENGTH - 1)).await;
    // As soon as the holder's bytes have been taken in, another body as large finds no room.
    let refused = async {
        loop {
            let mut other = app.connect().await;
            other.write(&head).await;
            // Refused in the middle of it, the service goes on reading what it throws away.
            other.write(&" ".repeat(LENGTH)).await;
            let answer = other.answer("POST").await;
            if answer.status != 400 {
                return answer;
            }
        }
    };
    let refused = crate::harness::soon(refused).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{refused:?}");
    assert_eq!(app.send("POST", "/items", &[JSON], r#"{"name":"tea"}"#).await.status, 201, "a small one has room");
    // Nor does what the monitoring asks at its own listener need any of it.
    let mut rest = app.connect().await;
    let length = format!("content-length: {}", 20_000);
    rest.write(&crate::harness::request("POST", "/items", &[JSON, &length], "")).await;
    rest.write(&" ".repeat(19_999)).await;
    let spent = async { while app.get("/metrics").await.status != 503 {} };
    crate::harness::soon(spent).await;
    let mut admin = Client::connect(app.admin).await;
    let seen = admin.ask("GET", "/metrics", &[], "").await;
    assert_eq!(seen.status, 200);
    let gauge = |name: &str| {
        let line = seen.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).parse::<usize>().unwrap()
    };
    let (taken, most) = (gauge("app_buffered_bytes"), gauge("app_buffered_bytes_max"));
    assert!(most == 64 << 10 && (LENGTH - 1 + 19_999..=most).contains(&taken), "{taken} of {most} bytes");
    drop(rest);
    holder.write("x").await;
    assert_eq!(holder.answer("POST").await.status, 400);
    let mut other = app.connect().await;
    other.write(&head).await;
    other.write(&" ".repeat(LENGTH)).await;
    assert_eq!(other.answer("POST").await.status, 400, "there is room again");
    let counted = app.counted();
    assert_eq!((counted["POST /items 503"], counted["POST /items 201"]), (1, 1));
    assert_eq!(crate::exposition::whole(app.metrics().value("app_errors_total", &[])), 1 + counted["GET /metrics 503"]);
}

#[tokio::test]
async fn a_full_store_is_409() {
    let app = App::with(|config| config.max_items = 1).await;
    for status in [201, 409] {
        assert_eq!(app.send("POST", "/items", &[JSON], r#"{"name":"a"}"#).await.status, status);
    }
    assert_eq!(crate::exposition::whole(app.metrics().value("app_items_max", &[])), 1);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let app = App::start().await;
    app.send("POST", "/items", &[JSON], r#"{"name":"a"}"#).await;
    for endpoint in Endpoint::ALL.into_iter().filter(|endpoint| *endpoint != Endpoint::Metrics) {
        let mut client = app.connect().await;
        let get = client.ask("GET", path(endpoint), &["x-request-id: a"], "").await;
        let head = client.ask("HEAD", path(endpoint), &["x-request-id: a"], "").await;
        let without_date = |mut headers: std::collections::BTreeMap<String, String>| {
            headers.remove("date");
            headers
        };
        assert_eq!((head.status, without_date(head.headers)), (get.status, without_date(get.headers)));
        assert_eq!(client.ask("GET", "/", &[], "").await.status, 200, "no body was left on the connection");
    }
    assert_eq!(app.send("HEAD", "/metrics", &[], "").await.status, 200);
}

#[tokio::test]
async fn a_method_a_route_does_not_take_is_405_and_names_those_it_takes() {
    let app = App::start().await;
    let allowed = [
        (Endpoint::Index, "GET, HEAD"),
        (Endpoint::Items, "GET, HEAD, POST"),
        (Endpoint::Item, "GET, HEAD, DELETE"),
        (Endpoint::Live, "GET, HEAD"),
        (Endpoint::Ready, "GET, HEAD"),
        (Endpoint::Metrics, "GET, HEAD"),
    ];
    for (endpoint, allowed) in allowed {
        for verb in Verb::ALL.into_iter().filter(|verb| !allowed.contains(verb.label())) {
            let answer = app.send(verb.label(), path(endpoint), &[], "").await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{verb:?} {endpoint:?}");
        }
    }
}

/// hyper lets them through; a proxy in front of us may read them in another way.
#[tokio::test]
async fn what_a_proxy_may_read_in_another_way_is_refused_and_makes_no_series() {
    let app = App::start().await;
    let before = app.metrics().series();
    let chunks = "0\r\n\r\n";
    for (status, head, body) in [
        ("400", "GET / HTTP/1.1\r\n", ""),
        ("400", "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n", ""),
        ("400", "GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n", ""),
        ("200", "GET / HTTP/1.0\r\n", ""),
        ("400", "GET example.org:80 HTTP/1.1\r\nhost: a\r\n", ""),
        ("400", "POST example.org:80 HTTP/1.1\r\nhost: a\r\n", ""),
        ("400", "X example.org:80 HTTP/1.1\r\nhost: a\r\n", ""),
        ("404", "OPTIONS * HTTP/1.1\r\nhost: a\r\n", ""),
        ("501", "POST /items HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n", chunks),
        (
            "501",
            "POST /items HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            chunks,
        ),
        ("501", "X / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n", chunks),
        ("405", "PUT /items HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\ncontent-length: 3\r\n", chunks),
    ] {
        let mut client = app.connect().await;
        client.write(&format!("{head}\r\n{body}")).await;
        tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
        let answer = client.rest().await;
        assert_eq!(answer.get(9..12), Some(status), "{head}: {answer}");
        let closes = answer.contains("connection: close") || head.contains("HTTP/1.0") || status == "404";
        assert!(closes, "{head}: {answer}");
    }
    assert_eq!(app.metrics().series(), before);
    assert_eq!(app.counted().values().sum::<u64>(), 12);
    assert_eq!(app.counted()["POST unmatched 501"], 2);
    assert!(app.metrics().value("app_errors_total", &[]).abs() < f64::EPSILON, "no fault of the service's");
}

#[tokio::test]
async fn the_listener_of_those_who_watch_has_health_and_metrics_and_nothing_else() {
    let app = App::with_faults().await;
    let mut admin = Client::connect(app.admin).await;
    for (target, status) in [
        ("/health/live", 200),
        ("/health/ready", 200),
        ("/metrics", 200),
        ("/", 404),
        ("/items", 404),
        ("/items/1", 404),
        ("/nowhere", 404),
    ] {
        assert_eq!(admin.ask("GET", target, &["x-fault: error"], "").await.status, status, "{target}");
    }
    assert_eq!(admin.ask("POST", "/items", &[JSON], r#"{"name":"tea"}"#).await.status, 404);
    let expected = crate::harness::tally([
        ("GET /health/live 200", 1),
        ("GET /health/ready 200", 1),
        ("GET /metrics 200", 1),
        ("GET unmatched 404", 4),
        ("POST unmatched 404", 1),
    ]);
    assert_eq!(app.counted(), expected);
}

#[tokio::test]
async fn a_page_is_bounded_in_bytes_and_its_next_tells_the_rest() {
    let app = App::start().await;
    let name = "\\u0001".repeat(256);
    for _ in 0..100 {
        assert_eq!(app.send("POST", "/items", &[JSON], &format!(r#"{{"name":"{name}"}}"#)).await.status, 201);
    }
    let (mut after, mut ids, mut pages) = (0, Vec::new(), 0);
    loop {
        let page = app.get(&format!("/items?limit=1000&after={after}")).await;
        assert!(page.body.len() <= aiclipx_app::MAX_PAGE_BYTES);
        let page = page.json();
        ids.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()));
        pages += 1;
        let Some(next) = page["next"].as_u64() else { break };
        after = next;
    }
    assert_eq!((ids, pages), ((1..=100).collect(), 3));
}

#[tokio::test]
async fn odd_targets_are_answered() {
    let app = App::start().await;
    for (method, target, status) in [
        ("CONNECT", "example.org:443", 405),
        ("GET", "http://example.org/items", 200),
        ("GET", "http://example.org", 200),
        ("OPTIONS", "*", 404),
        ("GET", "/items/", 404),
        ("GET", "//items", 404),
        ("GET", "/%69tems", 404),
        ("GET", "/items/../items", 404),
        ("GET", "/items/18446744073709551616", 404),
        ("GET", "/items/18446744073709551615", 404),
    ] {
        assert_eq!(app.send(method, target, &[], "").await.status, status, "{method} {target}");
    }
}

#[tokio::test]
async fn a_request_id_is_echoed_if_it_is_one_and_made_if_not() {
    let app = App::start().await;
    let echoed = app.send("GET", "/", &["x-request-id: run-1.a_B"], "").await;
    assert_eq!(echoed.header("x-request-id"), Some("run-1.a_B"));
    let [first, second] = [app.get("/").await, app.get("/nowhere").await].map(|mut a| a.headers.remove("x-request-id"));
    assert!(first.is_some() && first != second);
}

#[tokio::test]
async fn faults_do_what_the_header_says() {
    let app = App::with_faults().await;
    for (fault, status) in [("error", 500), ("panic", 500), ("delay=1ms", 200), ("delay=1ms,error", 500), ("x", 400)] {
        let header = format!("x-fault: {fault}");
        assert_eq!(app.send("GET", "/items", &[&header], "").await.status, status, "{fault}");
    }
    assert!((app.metrics().value("app_errors_total", &[]) - 3.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn what_watches_the_service_is_never_made_to_fail() {
    let app = App::with_faults().await;
    for endpoint in [Endpoint::Live, Endpoint::Ready, Endpoint::Metrics] {
        assert_eq!(app.send("GET", path(endpoint), &["x-fault: error"], "").await.status, 200);
    }
}

#[tokio::test]
async fn without_the_setting_the_fault_header_means_nothing() {
    let app = App::start().await;
    for fault in ["x-fault: error", "x-fault: panic", "x-fault: nonsense"] {
        assert_eq!(app.send("GET", "/", &[fault], "").await.status, 200);
    }
    assert!(app.metrics().value("app_faults_enabled", &[]).abs() < f64::EPSILON);
}

#[tokio::test]
async fn whether_each_request_is_logged_can_be_asked() {
    for (access_log, log, told) in [
        (true, LevelFilter::Info, 1.0),
        (true, LevelFilter::Trace, 1.0),
        (true, LevelFilter::Warn, 0.0),
        (false, LevelFilter::Info, 0.0),
    ] {
        let app = App::with(|config| (config.access_log, config.log) = (access_log, log)).await;
        app.get("/health/live").await; // it serves by then
        let enabled = app.metrics().value("app_access_log_enabled", &[]);
        assert!((enabled - told).abs() < f64::EPSILON, "{access_log} {log}: {enabled}");
    }
}

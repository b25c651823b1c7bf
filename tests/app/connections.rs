//! Slow, silent, greedy and broken clients; draining.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use aiclipx_http::serve::{Drained, Incoming, Limits, Plain, serve};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use tokio::net::TcpListener;

use crate::exposition::Exposition;
use crate::harness::{App, Client, JSON, eventually, request, soon, tally};

const SHORT: Duration = Duration::from_millis(200);
const FOR_EVER: Duration = Duration::from_hours(1);

#[tokio::test]
async fn silent_and_slow_clients_are_closed_and_their_slot_returns() {
    let app = App::with(|config| {
        config.header_timeout = SHORT;
        config.max_connections = 1;
    })
    .await;
    for beginning in ["", "GET / HTTP/1.1\r\nhost: te"] {
        let mut client = app.connect().await;
        client.write(beginning).await;
        assert_eq!(client.rest().await, "");
    }
    // A byte at a time, each well within the limit, and still the whole head must be there in time.
    let mut client = app.connect().await;
    let dripping = async {
        for byte in request("GET", "/", &[], "").repeat(100).chars() {
            if tokio::io::AsyncWriteExt::write_all(&mut client.stream, byte.to_string().as_bytes()).await.is_err() {
                return;
            }
            tokio::time::sleep(SHORT / 10).await;
        }
        panic!("the whole head was taken");
    };
    soon(dripping).await;
    // Idle after an answer.
    let mut client = app.connect().await;
    client.ask("GET", "/", &[], "").await;
    assert_eq!(client.rest().await, "");

    assert_eq!(app.get("/").await.status, 200, "the one slot is free again");
    eventually("all told", || app.connections("timed_out") > 3.0).await;
    assert_eq!(app.counted(), tally([("GET / 200", 2)]));
}

#[tokio::test]
async fn a_client_that_never_reads_its_answers_is_closed_and_its_slot_returns() {
    let app = App::with(|config| {
        config.header_timeout = SHORT;
        config.max_connections = 1;
    })
    .await;
    let greedy = app.connect().await;
    let flood = request("GET", "/metrics", &[], "").repeat(1000);
    // As much as goes in while nothing comes out; the service stops reading when its own writes stall.
    let writing = async {
        loop {
            greedy.stream.get_ref().writable().await.unwrap();
            if greedy
                .stream
                .get_ref()
                .try_write(flood.as_bytes())
                .is_err_and(|e| e.kind() != std::io::ErrorKind::WouldBlock)
            {
                return;
            }
        }
    };
    soon(writing).await;
    assert_eq!(app.get("/").await.status, 200, "the one slot is free again");
    assert!(app.connections("timed_out") > 0.0);
}

/// A service of two slots, the clients that hold them, and one that has asked and waits.
async fn full() -> (App, [Client; 2], Client) {
    let app = App::with(|config| config.max_connections = 2).await;
    let mut held = [app.connect().await, app.connect().await];
    for client in &mut held {
        client.ask("GET", "/", &[], "").await;
    }
    let mut third = app.connect().await;
    third.write(&request("GET", "/items", &[], "")).await;
    (app, held, third)
}

#[tokio::test]
async fn more_connections_than_slots_wait_until_one_returns() {
    let (app, held, mut third) = full().await;
    tokio::time::sleep(SHORT).await;
    assert_eq!(app.counted(), tally([("GET / 200", 2)]), "the third was not accepted");
    drop(held);
    assert_eq!(third.answer("GET").await.status, 200);
}

#[tokio::test]
async fn with_every_slot_held_the_monitoring_is_answered_at_its_own_listener() {
    let (app, held, mut third) = full().await;
    for target in ["/metrics", "/health/ready", "/health/live"] {
        let asked = async { Client::connect(app.admin).await.ask("GET", target, &[], "").await.status };
        assert_eq!(soon(asked).await, 200, "{target}");
    }
    drop(held);
    assert_eq!(third.answer("GET").await.status, 200);
}

#[tokio::test]
async fn the_monitorings_listener_has_a_cap_of_its_own_which_idle_ones_do_not_hold_for_ever() {
    let app = App::with(|config| config.header_timeout = SHORT).await;
    let mut idle = Vec::new();
    for _ in 0..16 {
        let mut client = Client::connect(app.admin).await;
        client.ask("GET", "/health/live", &[], "").await;
        idle.push(client);
    }
    assert_eq!(app.get("/metrics").await.status, 200, "the clients' listener is another");
    assert_eq!(Client::connect(app.admin).await.ask("GET", "/metrics", &[], "").await.status, 200);
    assert!(app.connections("timed_out") > 0.0, "the seventeenth waited for a slot");
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_is_a_connection_but_no_request() {
    let app = App::start().await;
    for (bytes, status) in [
        ("\x16\x03\x01\x02\r\n\r\n".to_owned(), "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_owned(), "400"),
        (request("GET", "/", &[&format!("x: {}", "y".repeat(64 << 10))], ""), "431"),
        (request("GET", "/", &vec!["x: y"; 200], ""), "431"),
    ] {
        let mut client = app.connect().await;
        client.write(&bytes).await;
        let answer = client.rest().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
    }
    eventually("all told", || app.connections("malformed") > 4.0).await;
    assert_eq!(app.counted(), tally([]));
}

#[tokio::test]
async fn a_request_in_the_air_is_answered_while_draining_and_nothing_new_is_taken() {
    let mut app = App::with(|config| {
        config.faults = true;
        config.drain_timeout = FOR_EVER;
        config.header_timeout = FOR_EVER;
    })
    .await;
    let silent = app.connect().await;
    let mut idle = app.connect().await;
    idle.ask("GET", "/", &[], "").await;
    let mut busy = app.connect().await;
    busy.write(&request("GET", "/items", &["x-fault: delay=500ms"], "")).await;
    eventually("in flight", || app.in_flight() > 0.0).await;
    app.tell_to_stop();
    assert_eq!(busy.answer("GET").await.status, 200);
    let address = app.address;
    app.stopped().await; // neither the idle nor the silent connection holds it up
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    drop(silent);
}

/// On the test's own thread nothing is accepted meanwhile: they all wait in the kernel's queue.
fn queue_up(app: &App, clients: usize, words: &str) -> Vec<std::net::TcpStream> {
    let connect = || {
        let mut stream = std::net::TcpStream::connect(app.address).unwrap();
        stream.write_all(words.as_bytes()).unwrap();
        stream
    };
    (0..clients).map(|_| connect()).collect()
}

#[tokio::test]
async fn who_had_connected_when_it_was_told_to_stop_is_served() {
    for slots in [1024, 8] {
        let mut app = App::with(|config| config.max_connections = slots).await;
        app.get("/").await; // it accepts by now
        let waiting = queue_up(&app, 120, &request("GET", "/items", &[], ""));
        app.tell_to_stop();
        let metrics = Arc::clone(&app.metrics);
        app.stopped().await;
        for mut stream in waiting {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(
                answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\r\nconnection: close\r\n"),
                "{answer}"
            );
        }
        let counted = Exposition::parse(&metrics.encode()).unwrap().requests();
        assert_eq!(counted, tally([("GET / 200", 1), ("GET /items 200", 120)]), "{slots} slots");
    }
}

/// A body that was read to its end leaves nothing to wait for, though its client keeps the connection open.
#[tokio::test]
async fn who_posts_waits_for_nobody_else_who_has_posted() {
    let mut app = App::with(|config| config.max_connections = 1).await;
    app.get("/").await;
    let waiting = queue_up(&app, 120, &request("POST", "/items", &[JSON], r#"{"name":"tea"}"#));
    app.tell_to_stop();
    let metrics = Arc::clone(&app.metrics);
    app.stopped().await;
    drop(waiting);
    let counted = Exposition::parse(&metrics.encode()).unwrap().requests();
    assert_eq!(counted, tally([("GET / 200", 1), ("POST /items 201", 120)]));
}

#[tokio::test]
async fn who_had_connected_when_it_was_told_to_stop_and_speaks_a_little_later_is_served() {
    let mut app = App::start().await;
    let mut client = app.connect().await;
    eventually("accepted", || app.metrics().value("app_connections_open", &[("listener", "clients")]) > 0.0).await;
    app.tell_to_stop();
    eventually("told", || app.metrics().value("app_ready", &[]) < 1.0).await;
    client.write(&request("GET", "/", &[], "")).await;
    assert_eq!(client.answer("GET").await.status, 200);
    app.stopped().await;
}

#[tokio::test]
async fn a_hung_request_is_cut_at_the_deadline_and_counted_once() {
    let mut app = App::with(|config| {
        config.faults = true;
        config.drain_timeout = SHORT;
        config.request_timeout = FOR_EVER;
    })
    .await;
    let mut client = app.connect().await;
    client.write(&request("GET", "/", &["x-fault: delay=1h"], "")).await;
    eventually("in flight", || app.in_flight() > 0.0).await;
    app.tell_to_stop();
    assert_eq!(client.rest().await, "");
    eventually("told", || app.connections("cut") > 0.0).await;
    assert_eq!(app.counted(), tally([("GET / 499", 1)]));
    app.stopped().await;
}

#[tokio::test]
async fn while_draining_it_is_alive_not_ready_and_scraped() {
    let mut app = App::with(|config| config.drain_delay = FOR_EVER).await;
    app.tell_to_stop();
    eventually("not ready", || app.metrics().value("app_ready", &[]).abs() < f64::EPSILON).await;
    let ready = app.get("/health/ready").await;
    assert_eq!((ready.status, ready.body.as_str()), (503, r#"{"ready":false}"#));
    assert_eq!(ready.header("connection"), Some("close"), "who is answered asks somebody else next");
    assert_eq!(app.get("/health/live").await.status, 200);
    assert_eq!(app.get("/metrics").await.status, 200);
    assert_eq!(app.get("/items").await.status, 200);
}

#[tokio::test]
async fn the_monitoring_is_served_until_the_last_client_is() {
    let mut app = App::with(|config| {
        config.faults = true;
        config.drain_timeout = FOR_EVER;
    })
    .await;
    let mut busy = app.connect().await;
    busy.write(&request("GET", "/items", &["x-fault: delay=1s"], "")).await;
    eventually("in flight", || app.in_flight() > 0.0).await;
    let mut kept = Client::connect(app.admin).await;
    kept.ask("GET", "/health/live", &[], "").await;
    app.tell_to_stop();
    while tokio::net::TcpStream::connect(app.address).await.is_ok() {}
    assert_eq!(kept.ask("GET", "/health/ready", &[], "").await.status, 503);
    assert_eq!(Client::connect(app.admin).await.ask("GET", "/metrics", &[], "").await.status, 200);
    assert_eq!(busy.answer("GET").await.status, 200);
    let admin = app.admin;
    app.stopped().await; // an idle scraper does not hold it up
    assert!(tokio::net::TcpStream::connect(admin).await.is_err());
}

/// What the receiver and the viewer stand behind.
#[tokio::test]
async fn a_plain_handler_is_contained_too() {
    fn handler(request: Request<Incoming>) -> impl Future<Output = Response<Full<Bytes>>> + Send {
        assert_ne!(request.uri().path(), "/panic-at-once", "on purpose, before there is a future to poll");
        async move {
            match request.uri().path() {
                "/panic" => panic!("on purpose"),
                "/hang" => std::future::pending().await,
                _ => Response::new(Full::from("fine")),
            }
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits { connections: 4, patience: FOR_EVER, crowded: None, drain: FOR_EVER };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let service = Arc::new(Plain::new(SHORT, handler));
    let running = tokio::spawn(serve(listener, limits, service, async { drop(stopped.await) }));
    let mut client = Client::connect(address).await;
    for (target, status) in [("/", 200), ("/panic", 500), ("/panic-at-once", 500), ("/hang", 503), ("/", 200)] {
        assert_eq!(client.ask("GET", target, &[], "").await.status, status, "{target}");
    }
    drop(stop);
    assert_eq!(soon(running).await.unwrap(), Drained { cut: 0 });
}

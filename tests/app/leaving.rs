//! Clients that send and leave, end their side, reset, or send more than anybody wants: every request whose head arrived
//! is counted once, and every answer reaches who waits for it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::harness::{App, JSON, LIMIT, eventually, request, tally};

/// Clients that do the same, one after the other.
const CLIENTS: u64 = 2000;

/// Two requests as clients send them, and what each is counted as.
fn requests() -> [(String, &'static str); 2] {
    [
        (request("GET", "/items?limit=1", &[], ""), "GET /items 200"),
        (request("POST", "/items", &[JSON], r#"{"name":"tea"}"#), "POST /items 201"),
    ]
}

/// A service with room for all that are posted, on other threads than its clients'.
async fn roomy() -> App {
    App::with(|config| config.max_items = 10_000).await
}

/// A client that blocks, as the simplest do, away from the service's own threads.
async fn block<T: Send + 'static>(client: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(client).await.unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// All that comes until the other side ends, or the reset that came instead.
fn rest(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8(answer).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_and_leaves_at_once_is_counted_as_often_as_it_sent() {
    for (request, series) in requests() {
        let app = roomy().await;
        let address = app.address;
        block(move || {
            for _ in 0..CLIENTS {
                connect(address).write_all(request.as_bytes()).unwrap();
            }
        })
        .await;
        eventually(series, || app.counted().values().sum::<u64>() == CLIENTS).await;
        assert_eq!(app.counted(), tally([(series, CLIENTS)]));
        assert!(app.in_flight().abs() < f64::EPSILON);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_its_side_and_waits_is_answered_and_counted() {
    for (request, series) in requests() {
        let app = roomy().await;
        let address = app.address;
        let status = format!("HTTP/1.1 {} ", series.rsplit_once(' ').unwrap().1);
        block(move || {
            for _ in 0..CLIENTS {
                let mut stream = connect(address);
                stream.write_all(request.as_bytes()).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                let answer = rest(&mut stream).unwrap();
                assert!(answer.starts_with(&status) && answer.ends_with('}'), "{answer}");
            }
        })
        .await;
        assert_eq!(app.counted(), tally([(series, CLIENTS)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_its_side_and_leaves_is_counted_as_often_as_it_sent() {
    for (request, series) in requests() {
        let app = roomy().await;
        let address = app.address;
        block(move || {
            for _ in 0..CLIENTS {
                let mut stream = connect(address);
                stream.write_all(request.as_bytes()).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            }
        })
        .await;
        eventually(series, || app.counted().values().sum::<u64>() == CLIENTS).await;
        assert_eq!(app.counted(), tally([(series, CLIENTS)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_pipelined_requests_and_an_end_are_a_thousand_answers() {
    for (request, series) in requests() {
        let app = roomy().await;
        let address = app.address;
        let answers = block(move || {
            let mut stream = connect(address);
            let mut reading = stream.try_clone().unwrap();
            let writing = std::thread::spawn(move || {
                stream.write_all(request.repeat(1000).as_bytes()).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            });
            let answers = rest(&mut reading).unwrap();
            writing.join().unwrap();
            answers.matches("HTTP/1.1 20").count()
        })
        .await;
        assert_eq!(answers, 1000);
        assert_eq!(app.counted(), tally([(series, 1000)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_resets_is_counted_once_at_most() {
    for (request, _) in requests() {
        let app = roomy().await;
        for _ in 0..200 {
            let mut client = app.connect().await;
            client.write(&request).await;
            client.stream.get_ref().set_zero_linger().unwrap();
        }
        eventually("all ended", || {
            app.connections("closed") + app.connections("aborted") > 199.0 && app.in_flight() < 1.0
        })
        .await;
        assert!(app.counted().values().sum::<u64>() <= 200, "{:?}", app.counted());
    }
}

/// A handler doesn't look at the connection, so the connection has to.
#[tokio::test]
async fn who_resets_while_its_request_is_handled_is_counted_once_as_499() {
    let app = App::with_faults().await;
    let mut client = app.connect().await;
    client.write(&request("GET", "/items", &["x-fault: delay=1h"], "")).await;
    eventually("in flight", || app.in_flight() > 0.0).await;
    client.stream.get_ref().set_zero_linger().unwrap();
    drop(client);
    eventually("ended", || app.in_flight() < 1.0).await;
    assert_eq!(app.counted(), tally([("GET /items 499", 1)]));
    assert!(app.metrics().value("app_errors_total", &[]).abs() < f64::EPSILON);
}

#[tokio::test]
async fn who_ends_its_side_while_its_request_is_handled_is_answered() {
    let app = App::with_faults().await;
    let mut client = app.connect().await;
    client.write(&request("GET", "/items", &["x-fault: delay=300ms"], "")).await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
    assert_eq!(client.answer("GET").await.status, 200);
    assert_eq!(app.counted(), tally([("GET /items 200", 1)]));
}

#[tokio::test]
async fn who_ends_its_side_in_the_middle_of_its_body_is_told_and_counted_once_as_499() {
    let app = App::start().await;
    for framing in ["content-length: 100", "transfer-encoding: chunked"] {
        let mut client = app.connect().await;
        client.write(&request("POST", "/items", &[JSON, framing], "")).await;
        client.write("10\r\n{").await;
        tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 499 Client Closed Request\r\n"), "{answer}");
    }
    assert_eq!(app.counted(), tally([("POST /items 499", 2)]));
}

/// The answer is there before the body is: a socket that is closed with something unread resets its connection.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_request_that_was_not_read_to_its_end_arrives() {
    let app = App::with(|config| config.header_timeout = LIMIT).await;
    let address = app.address;
    for megabytes in [1, 3, 20] {
        let body = vec![b'x'; megabytes << 20];
        for (method, target, header, status) in [
            ("POST", "/nowhere", JSON, "404"),
            ("PUT", "/", JSON, "405"),
            ("DELETE", "/items/1", JSON, "404"),
            ("GET", "/items", JSON, "200"),
            ("POST", "/items", JSON, "413"),
            ("POST", "/items", "content-type: text/plain", "415"),
        ] {
            let body = body.clone();
            let answers = block(move || {
                let head = request(method, target, &[header, &format!("content-length: {}", body.len())], "");
                let once = || {
                    let mut stream = connect(address);
                    stream.write_all(head.as_bytes())?;
                    stream.write_all(&body)?;
                    rest(&mut stream)
                };
                (0..10)
                    .map(|_| once())
                    .filter(|answer| answer.as_ref().is_ok_and(|a| a[9..].starts_with(status)))
                    .count()
            })
            .await;
            assert_eq!(answers, 10, "{method} {target} {megabytes} MB");
        }
    }
}

#[tokio::test]
async fn who_goes_on_sending_after_its_answer_is_cut_in_the_end() {
    let app = App::with(|config| {
        config.header_timeout = Duration::from_millis(500);
        config.max_connections = 1;
    })
    .await;
    let mut client = app.connect().await;
    client.write(&request("POST", "/items", &[JSON, "content-length: 1000000000000"], "")).await;
    assert_eq!(client.answer("POST").await.status, 413);
    let sending = async {
        while tokio::io::AsyncWriteExt::write_all(&mut client.stream, &[0; 1 << 10]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    crate::harness::soon(sending).await;
    assert_eq!(app.get("/").await.status, 200, "the one slot is free again");
}

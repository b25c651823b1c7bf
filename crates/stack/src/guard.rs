//! A front before programs that have no gate: Prometheus, Alertmanager, the blackbox exporter, Vector and Loki answer whoever
//! asks, by whatever name; Alertmanager and Loki take orders from pages of every origin, and the exporter asks whomever a page
//! tells it to ask.
//!
//! The program listens on an address of loopback that no page can guess (who runs programs here can look it up), and where it
//! is looked for a front, a reverse proxy of ours, hands on what the gate admits. Both are supervisord's: who kills, pauses or
//! asks after the program means the program itself, and a front that dies is started again, of whatever stack it is.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, UPGRADE};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};

use aiclipx_base::address::Address;
use aiclipx_http::gate::Gate;
use aiclipx_http::serve::{Incoming, Limits, Service, serve};
use aiclipx_model::failure::Failure;

/// As many as Prometheus allows itself.
const MAX_CONNECTIONS: usize = 512;
/// Longer than Prometheus and Alertmanager keep a connection they may use again: it is theirs to close.
const PATIENCE: Duration = Duration::from_mins(6);
/// For who idles while others have no place: whoever fills them keeps nobody of the stack's waiting for longer.
const CROWDED: Duration = Duration::from_secs(1);
/// For a request's body to be there: it comes from this machine. While it is sent on, its place is nobody else's.
const BODY_LIMIT: Duration = Duration::from_secs(5);
/// For the requests in hand once the end was asked for.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);
/// Hands on to `to` what the gate admits at `listener`, until `shutdown` comes.
pub async fn front(listener: TcpListener, to: Address, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
    let limits =
        Limits { connections: MAX_CONNECTIONS, patience: PATIENCE, crowded: Some(CROWDED), drain: DRAIN_LIMIT };
    bounded(listener, to, limits, BODY_LIMIT, shutdown).await
}

async fn bounded(
    listener: TcpListener,
    to: Address,
    limits: Limits,
    body_limit: Duration,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let own = listener.local_addr().context("cannot tell the front's own address")?;
    let host = HeaderValue::from_str(&own.to_string()).context("an address is a header's value")?;
    serve(listener, limits, Arc::new(Front { to, host, body_limit, gate: Gate::of(own, Vec::new()) }), shutdown).await;
    Ok(())
}

struct Front {
    to: Address,
    /// What it is called by who names nobody.
    host: HeaderValue,
    body_limit: Duration,
    gate: Gate,
}

/// A body that must have come by a moment.
struct InTime {
    body: Incoming,
    until: Pin<Box<Sleep>>,
}

impl Body for InTime {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx).map_err(io::Error::other);
        if frame.is_pending() && self.until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, "its body did not come in time"))));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

type Answer = Response<Either<Full<Bytes>, hyper::body::Incoming>>;

impl Service for Front {
    type Body = Either<Full<Bytes>, hyper::body::Incoming>;

    async fn call(&self, request: Request<hyper::body::Incoming>, _: Instant) -> Result<Answer, Infallible> {
        let (head, body) = Incoming::of(request).into_parts();
        if let Err((status, why)) = self.gate.admits(&head) {
            return Ok(refusal(status, why));
        }
        let body = InTime { body, until: Box::pin(sleep(self.body_limit)) };
        Ok(self.handed_on(head, body).await.unwrap_or_else(|error| {
            let is_late = |cause: &io::Error| cause.kind() == io::ErrorKind::TimedOut;
            let is_late = error.chain().filter_map(|cause| cause.downcast_ref()).any(is_late);
            let status = if is_late { StatusCode::REQUEST_TIMEOUT } else { StatusCode::BAD_GATEWAY };
            refusal(status, &format!("{error:#}"))
        }))
    }
}

impl Front {
    async fn handed_on(&self, mut head: Parts, body: InTime) -> anyhow::Result<Answer> {
        head.uri = head.uri.path_and_query().cloned().map(Uri::from).context("the target is no path")?;
        head.version = Version::HTTP_11;
        for of_the_connection in [CONNECTION, UPGRADE] {
            head.headers.remove(of_the_connection);
        }
        // HTTP/1.0 needs none, and what it is handed on as does.
        head.headers.entry(HOST).or_insert_with(|| self.host.clone());
        let stream = TcpStream::connect((self.to.host.as_str(), self.to.port)).await.context("it does not listen")?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // It lives as long as the answer's body is read.
        tokio::spawn(connection);
        let mut answer = sender.send_request(Request::from_parts(head, body)).await.context("it does not answer")?;
        answer.headers_mut().remove(CONNECTION);
        Ok(answer.map(Either::Right))
    }
}

fn refusal(status: StatusCode, why: &str) -> Answer {
    let mut response = Response::new(Either::Left(Full::from(format!("{why}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // Whoever is refused keeps no place.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const MOMENT: Duration = Duration::from_millis(20);

    /// A front with two places before a program that answers with the head it was asked with, and closes.
    async fn front() -> Address {
        let program = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = Address::loopback(program.local_addr().unwrap().port());
        tokio::spawn(async move {
            while let Ok((mut asked, _)) = program.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(asked.read_u8().await.unwrap());
                }
                let begin = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", head.len());
                asked.write_all(&[begin.as_bytes(), &head].concat()).await.unwrap();
            }
        });
        before(to).await
    }

    async fn before(to: Address) -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = Address::loopback(listener.local_addr().unwrap().port());
        let crowded = Some(MOMENT);
        let limits = Limits { connections: 2, patience: PATIENCE, crowded, drain: DRAIN_LIMIT };
        tokio::spawn(bounded(listener, to, limits, 10 * MOMENT, std::future::pending()));
        own
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_keeps_no_place() {
        // It waits for all of the body, as programs do.
        let program = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = before(Address::loopback(program.local_addr().unwrap().port())).await;
        let request = format!("POST / HTTP/1.1\r\nHost: {front}\r\nContent-Length: 100\r\n\r\nx");
        let answers = tokio::join!(said(&front, &request), said(&front, &request));
        for answer in [answers.0, answers.1] {
            assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("did not come in time"), "{answer}");
        }
        drop(program);
        let answer = said(&front, &format!("GET / HTTP/1.0\r\nHost: {front}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.0 502 "), "{answer}");
    }

    /// All that is answered until the front closes.
    async fn said(front: &Address, request: &str) -> String {
        let mut stream = TcpStream::connect((front.host.as_str(), front.port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn an_old_client_that_names_no_host_is_answered_and_one_that_is_new_is_not() {
        let front = front().await;
        let answer = said(&front, "GET /-/ready HTTP/1.0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
        assert!(answer.contains(&format!("GET /-/ready HTTP/1.1\r\nhost: {front}\r\n")), "{answer}");
        for (host, status) in [("127.0.0.1:1", "HTTP/1.0 200 "), ("evil.example", "HTTP/1.0 403 ")] {
            let answer = said(&front, &format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n")).await;
            assert!(answer.starts_with(status), "{host}: {answer}");
        }
        // Nobody asks it to: who is refused is not kept.
        let answer = said(&front, "GET / HTTP/1.1\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("connection: close"), "{answer}");
    }

    #[tokio::test]
    async fn what_is_said_of_a_connection_is_of_that_one_alone() {
        let front = front().await;
        let asks =
            format!("GET /1 HTTP/1.1\r\nHost: {front}\r\nConnection: Upgrade, keep-alive\r\nUpgrade: h2c\r\n\r\n");
        // The program ends its own after each answer; ours goes on until we end it.
        let last = format!("GET /2 HTTP/1.1\r\nHost: {front}\r\nConnection: close\r\n\r\n");
        let answer = said(&front, &(asks + &last)).await;
        for path in ["/1", "/2"] {
            assert!(answer.contains(&format!("GET {path} HTTP/1.1\r\nhost: {front}\r\n")), "{path}: {answer}");
        }
        let programs_saw = answer.to_lowercase();
        assert!(!programs_saw.contains("upgrade"), "{answer}");
        assert!(!programs_saw.contains("keep-alive"), "{answer}");
        assert_eq!(programs_saw.matches("connection: close").count(), 1, "our own end: {answer}");
    }

    #[tokio::test]
    async fn a_head_of_any_length_is_answered_and_the_next_one_is_served() {
        let front = front().await;
        let long = |bytes: usize| format!("GET /?{} HTTP/1.0\r\nHost: {front}\r\n\r\n", "x".repeat(bytes));
        for (bytes, status) in [(12 << 10, "HTTP/1.0 200 "), (20 << 10, "HTTP/1.1 431 "), (1 << 20, "HTTP/1.1 431 ")] {
            let answer = said(&front, &long(bytes)).await;
            assert!(answer.starts_with(status), "{bytes}: {}", answer.lines().next().unwrap_or_default());
        }
    }

    #[tokio::test]
    async fn who_idles_in_every_place_keeps_nobody_out() {
        let front = front().await;
        let connect = async || TcpStream::connect((front.host.as_str(), front.port)).await.unwrap();
        let mut idle = [connect().await, connect().await];
        // One in the middle of its head, one that may ask again.
        idle[0].write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        idle[1].write_all(format!("GET / HTTP/1.1\r\nHost: {front}\r\n\r\n").as_bytes()).await.unwrap();
        let asked = said(&front, "GET / HTTP/1.0\r\n\r\n");
        let answer = tokio::time::timeout(PATIENCE / 6, asked).await.expect("it has its place long before their time");
        assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    }
}

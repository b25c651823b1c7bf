//! What serves, within which limits, and how a connection ended.

use bytes::Bytes;
use hyper::body::Body;
use hyper::{Request, Response};
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;

/// What a listener grants its clients.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections open at once, at least 1.
    pub connections: usize,
    /// For a whole request head, for an idle connection to speak again, for a stalled client to read on.
    pub patience: Duration,
    /// The patience while every place is taken, so that nobody who idles keeps others out; none where it is the same.
    pub crowded: Option<Duration>,
    /// From the stop signal until what is still open is cut.
    pub drain: Duration,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionOutcome {
    /// In order, by either side.
    Closed,
    /// What came was no HTTP, or its head was too large: answered 400, 414 or 431 without ever being a request.
    Malformed,
    /// The client kept us waiting too long: a head, an idle connection, or an answer it did not read.
    TimedOut,
    /// The client went in the middle of something.
    Aborted,
    /// We ended it: the drain's deadline came, or its task panicked.
    Cut,
}

impl ConnectionOutcome {
    /// All of them, in the order of their declaration.
    pub const ALL: [ConnectionOutcome; 5] = [
        ConnectionOutcome::Closed,
        ConnectionOutcome::Malformed,
        ConnectionOutcome::TimedOut,
        ConnectionOutcome::Aborted,
        ConnectionOutcome::Cut,
    ];

    /// The outcome as a metric label.
    pub fn label(self) -> &'static str {
        match self {
            ConnectionOutcome::Closed => "closed",
            ConnectionOutcome::Malformed => "malformed",
            ConnectionOutcome::TimedOut => "timed_out",
            ConnectionOutcome::Aborted => "aborted",
            ConnectionOutcome::Cut => "cut",
        }
    }

    pub(super) fn of(result: Result<(), hyper::Error>) -> ConnectionOutcome {
        let Err(error) = result else { return ConnectionOutcome::Closed };
        if error.is_parse() { ConnectionOutcome::Malformed } else { ConnectionOutcome::Aborted }
    }
}

/// What stands behind a listener.
pub trait Service: Send + Sync + 'static {
    /// The bodies it answers with.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;

    /// Takes one request, whose head was read `now`, and answers it in the future that it returns. What must have happened
    /// for every request whose head was read happens in the call: the future is dropped, looked at or not, when the
    /// connection breaks before the answer exists. A panic that leaves it costs the connection, so see [`super::contain()`].
    /// Its body is to be read by [`super::Incoming::of`], so that the connection knows what is left of it.
    fn call(
        &self,
        request: Request<hyper::body::Incoming>,
        now: Instant,
    ) -> impl Future<Output = Result<Response<Self::Body>, Infallible>> + Send;

    /// Told once for every connection that was accepted.
    fn opened(&self) {}

    /// Told once for every connection that was accepted, when it is no more.
    fn ended(&self, outcome: ConnectionOutcome) {
        let _ = outcome;
    }
}

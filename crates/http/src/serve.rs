//! The accept loop that the service, the receiver and the viewer share: HTTP/1.1 on hyper, bounded in everything.
//!
//! - A connection takes a slot *before* it is accepted; what has no slot waits in the kernel's queue (`acceptor`).
//! - A head must arrive, and an idle connection must speak again, within [`Limits::patience`]; an answer that its
//!   client doesn't read may stall as long. Then the connection is closed and its slot returns (`idle`).
//! - A client that has ended its side is answered; an answer to a request that was not read to its end arrives
//!   (`connection`).
//! - Out of file descriptors, the loop waits and tries again instead of spinning or ending.
//! - On the stop signal, who had connected by then is served, the listener closes, requests in the air are answered, and
//!   what is left at [`Limits::drain`] is cut.
//!
//! It knows nothing of routes, metrics or logs: a [`Service`] answers requests and is told how connections ended.
//! A service contains its own panics and time-outs with [`contain`], because only it knows how to count them;
//! [`Plain`] is that for an ordinary `async fn`. No TLS, no HTTP/2: a proxy's work.

mod acceptor;
mod connection;
mod contain;
mod idle;
mod incoming;

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;
use hyper::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use acceptor::Acceptor;
pub use acceptor::QUEUED;
pub use connection::BUFFER_BYTES;
pub use contain::{Broken, Contained, Plain, contain};
pub use incoming::Incoming;

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

    fn of(result: Result<(), hyper::Error>) -> ConnectionOutcome {
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
    /// connection breaks before the answer exists. A panic that leaves it costs the connection, so see [`contain`].
    /// Its body is to be read by [`Incoming::of`], so that the connection knows what is left of it.
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

/// How a loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still open at the deadline, and cut.
    pub cut: usize,
}

/// Accepts and serves until `stop` resolves, then drains. Never fails: what can go wrong with a listener that is
/// bound passes.
pub async fn serve<S: Service>(
    listener: TcpListener,
    limits: Limits,
    service: Arc<S>,
    stop: impl Future<Output = ()>,
) -> Drained {
    let mut acceptor = Acceptor::new(listener, limits.connections);
    // The receiver never looks: a copy of it learns of a stop that was before the copy.
    let (stopping, not_stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let open = |connections: &mut JoinSet<()>, (stream, slot)| {
        connections.spawn(connection::run(stream, slot, limits.clone(), Arc::clone(&service), not_stopped.clone()));
    };

    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = acceptor.accept() => open(&mut connections, accepted),
        }
    }
    stopping.send_replace(());
    let mut queue = acceptor.close();
    let all_closed = async {
        loop {
            tokio::select! {
                biased;
                Some(accepted) = queue.accept() => open(&mut connections, accepted),
                Some(_) = connections.join_next() => {}
                else => break,
            }
        }
    };
    if timeout(limits.drain, all_closed).await.is_ok() {
        return Drained { cut: 0 };
    }
    let cut = connections.len();
    connections.shutdown().await;
    Drained { cut }
}

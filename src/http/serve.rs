//! The accept loop that the service, the receiver and the viewer share: HTTP/1.1 on hyper, bounded in everything.
//!
//! - A connection takes a slot *before* it is accepted; what has no slot waits in the kernel's queue.
//! - A head must arrive, and an idle connection must speak again, within [`Limits::patience`]; an answer that its
//!   client doesn't read may stall as long. Then the connection is closed and its slot returns.
//! - Out of file descriptors, the loop waits and tries again instead of spinning or ending.
//! - On the stop signal the listener closes, requests in the air are answered, and what is left at
//!   [`Limits::drain`] is cut.
//!
//! It knows nothing of routes, metrics or logs: a [`Service`] answers requests and is told how connections ended.
//! A service contains its own panics and time-outs with [`contain`], because only it knows how to count them;
//! [`Plain`] is that for an ordinary `async fn`. No TLS, no HTTP/2: a proxy's work.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// A request's head and the pieces of its body pass through a buffer of at most this size: longer heads are 431.
const BUFFER_BYTES: usize = 32 << 10;

/// The pauses after a failed accept: doubled from the first to the last while it goes on failing.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// A trouble that lasts is told again after this long, however often accepting fails meanwhile.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// What a listener grants its clients.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections open at once, at least 1.
    pub connections: usize,
    /// For a whole request head, for an idle connection to speak again, for a stalled client to read on.
    pub patience: Duration,
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

    /// Answers one request. The future is dropped when the client goes before the answer exists; a panic that leaves
    /// it costs the connection, so see [`contain`].
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Told once for every connection that was accepted.
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
    let mut door = Door { listener, slots: Arc::new(Semaphore::new(limits.connections)), told: None };
    let stopping = watch::Sender::new(());
    let mut connections = JoinSet::new();
    let open = |connections: &mut JoinSet<()>, (stream, slot)| {
        connections.spawn(connection(stream, slot, limits.clone(), Arc::clone(&service), stopping.subscribe()));
    };

    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = door.accept() => open(&mut connections, accepted),
        }
    }
    // Who connected before the stop is served; the kernel would reset what still waits in its queue.
    while let Some(accepted) = door.accept().now_or_never() {
        open(&mut connections, accepted);
    }
    drop(door);

    stopping.send_replace(());
    let all_closed = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.drain, all_closed).await.is_ok() {
        return Drained { cut: 0 };
    }
    let cut = connections.len();
    connections.shutdown().await;
    Drained { cut }
}

/// Where connections come in.
struct Door {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    /// When trouble was told last. It outlives a call of [`Door::accept`], which ends whenever a connection does.
    told: Option<Instant>,
}

impl Door {
    /// The next connection, with its slot.
    async fn accept(&mut self) -> (TcpStream, OwnedSemaphorePermit) {
        let slot = Arc::clone(&self.slots).acquire_owned().await.expect("the semaphore is never closed");
        let mut pause = BACK_OFF.0;
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return (stream, slot),
                // The client left while it queued: its loss, and no sign of trouble here.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted
                            | io::ErrorKind::ConnectionReset
                            | io::ErrorKind::ConnectionRefused
                    ) => {}
                // Most likely no file descriptors: accepting again at once would spin, since the client still waits.
                Err(error) => {
                    if self.told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
                        self.told = Some(Instant::now());
                        log::warn!("Cannot accept connections, trying again and again: {error}");
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(BACK_OFF.1);
                }
            }
        }
    }
}

/// One connection from its first byte to its last.
async fn connection<S: Service>(
    stream: TcpStream,
    slot: OwnedSemaphorePermit,
    limits: Limits,
    service: Arc<S>,
    mut stopping: watch::Receiver<()>,
) {
    let end = End { service: Arc::clone(&service), outcome: ConnectionOutcome::Cut, _slot: slot };
    // Answers are small: waiting to fill a segment would only delay them. A socket that can't is served all the same.
    let _ = stream.set_nodelay(true);
    let turns = Arc::new(Turns::new(limits.patience));
    let stream = Watched { stream, turns: Arc::clone(&turns) };
    let answer = {
        let turns = Arc::clone(&turns);
        service_fn(move |request| {
            let (service, turns) = (Arc::clone(&service), Arc::clone(&turns));
            async move {
                turns.take();
                let response = service.handle(request).await;
                turns.give();
                Ok::<_, Infallible>(response)
            }
        })
    };
    let http = http1::Builder::new()
        .header_read_timeout(None) // `Turns` bounds more than heads, and makes no timer for every request
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), answer);
    let mut http = pin!(http);

    let served = async {
        tokio::select! {
            biased; // what has arrived is read before a stop is heeded: hyper closes a connection that said nothing yet
            result = &mut http => result,
            // An error says that the loop itself is gone: stop as well.
            _ = stopping.changed() => {
                http.as_mut().graceful_shutdown();
                http.await
            }
        }
    };
    let outcome = tokio::select! {
        biased; // an answer that is done counts before the time it took
        result = served => ConnectionOutcome::of(result),
        () = turns.run_out() => ConnectionOutcome::TimedOut,
    };
    end.with(outcome);
}

/// Tells the service how a connection ended, also when its task is aborted; then the slot returns.
struct End<S: Service> {
    service: Arc<S>,
    outcome: ConnectionOutcome,
    _slot: OwnedSemaphorePermit,
}

impl<S: Service> End<S> {
    fn with(mut self, outcome: ConnectionOutcome) {
        self.outcome = outcome;
    }
}

impl<S: Service> Drop for End<S> {
    fn drop(&mut self) {
        self.service.ended(self.outcome);
    }
}

/// Whose turn it is on a connection. The service's while it works on a request, which is bounded elsewhere; else the
/// client's, to send a whole head, to speak again, or to read on, and it has `patience` for each.
struct Turns {
    patience: Duration,
    turn: Mutex<Turn>,
}

struct Turn {
    /// When the client's turn began.
    since: Instant,
    working: bool,
    /// The client does not take what is written. Then it is its turn, whatever else goes on.
    stalled: bool,
}

impl Turns {
    /// The client begins.
    fn new(patience: Duration) -> Turns {
        Turns { patience, turn: Mutex::new(Turn { since: Instant::now(), working: false, stalled: false }) }
    }

    /// A head is there: the service works on it.
    fn take(&self) {
        self.lock().working = true;
    }

    /// The answer exists.
    fn give(&self) {
        let mut turn = self.lock();
        turn.working = false;
        if !turn.stalled {
            turn.since = Instant::now();
        }
    }

    /// A write went through, or found no room.
    fn wrote(&self, through: bool) {
        let mut turn = self.lock();
        if through || !turn.stalled {
            turn.since = Instant::now();
        }
        turn.stalled = !through;
    }

    /// Resolves when the client has let its time pass. While all is well it wakes once in `patience`.
    async fn run_out(&self) {
        loop {
            let until = {
                let turn = self.lock();
                // A turn that ends while we sleep begins the client's anew: its end is no earlier than this.
                let since = if turn.working && !turn.stalled { Instant::now() } else { turn.since };
                since + self.patience
            };
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().expect("nothing panics while it is held")
    }
}

/// A stream that tells how its writes fare.
struct Watched {
    stream: TcpStream,
    turns: Arc<Turns>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.turns.wrote(written.is_ready());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.turns.wrote(written.is_ready());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Why work has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// It panicked; the panic hook has told where.
    Panicked,
    /// It was not done in time, and was dropped.
    TimedOut,
}

/// Does `work` within `limit`, and survives its panic. `work` is called inside the barrier, so that what it does
/// before its first await is contained too (warp runs its filters there).
pub async fn contain<W: Future>(limit: Duration, work: impl FnOnce() -> W) -> Result<W::Output, Broken> {
    let mut work = pin!(AssertUnwindSafe(async move { work().await }).catch_unwind());
    // Most work is done at the first look, and pays for no timer.
    let done = match (&mut work).now_or_never() {
        Some(done) => Ok(done),
        None => timeout(limit, work).await,
    };
    match done {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(_)) => Err(Broken::Panicked),
        Err(_) => Err(Broken::TimedOut),
    }
}

/// An `async fn(Request<Incoming>) -> Response<Full<Bytes>>` as a [`Service`]: a panic is 500, a time-out 503.
pub struct Plain<H> {
    handler: H,
    limit: Duration,
}

impl<H> Plain<H> {
    /// A request may take `limit`.
    pub fn new(limit: Duration, handler: H) -> Plain<H> {
        Plain { handler, limit }
    }
}

impl<H, F> Service for Plain<H>
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send,
{
    type Body = Full<Bytes>;

    async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        contain(self.limit, || (self.handler)(request)).await.unwrap_or_else(|broken| {
            let (status, body) = match broken {
                Broken::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, r#"{"error":"internal error"}"#),
                Broken::TimedOut => (StatusCode::SERVICE_UNAVAILABLE, r#"{"error":"the request took too long"}"#),
            };
            let mut response = Response::new(Full::from(body));
            *response.status_mut() = status;
            response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
            response
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    type Event = fn(&Turns);

    /// After how many seconds a client has let its time pass on whose connection this happened, each at its second.
    async fn runs_out(events: &[(u64, Event)]) -> u64 {
        let began = Instant::now();
        let turns = Turns::new(PATIENCE);
        let events = async {
            for (at, event) in events {
                sleep_until(began + Duration::from_secs(*at)).await;
                event(&turns);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = events => {}
            () = turns.run_out() => {}
        }
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_has_its_patience_for_each_of_its_turns_and_none_of_the_services() {
        let (take, give): (Event, Event) = (Turns::take, Turns::give);
        assert_eq!(runs_out(&[]).await, 10, "no head");
        assert_eq!(runs_out(&[(1, take), (2, give)]).await, 12, "idle after an answer");
        assert_eq!(runs_out(&[(3, take), (25, give)]).await, 35, "the service took long");
        assert_eq!(runs_out(&[(3, take), (4, give), (9, take), (35, give)]).await, 45, "it spoke again in time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_out_in_time_whatever_else_it_sends() {
        let (take, give): (Event, Event) = (Turns::take, Turns::give);
        let through: Event = |turns| turns.wrote(true);
        let stalled: Event = |turns| turns.wrote(false);
        assert_eq!(runs_out(&[(1, take), (1, give), (1, stalled), (8, stalled)]).await, 11, "still no room");
        assert_eq!(runs_out(&[(1, stalled), (5, take), (9, give)]).await, 11, "pipelined requests buy no time");
        assert_eq!(runs_out(&[(1, stalled), (5, take)]).await, 11, "nor does one that is worked on");
        assert_eq!(runs_out(&[(1, stalled), (9, through), (9, stalled), (18, through)]).await, 28, "it reads, slowly");
    }
}

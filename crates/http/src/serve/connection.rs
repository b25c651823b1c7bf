//! One connection from its first byte to its last: hyper speaks HTTP on it, and this decides when it has to end.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::idle::{IdleTimer, Watched};
use super::incoming;
use super::service::{ConnectionOutcome, Limits, Service};

/// A request's head and the pieces of its body pass through a buffer of at most this size: longer heads are 431.
pub const BUFFER_BYTES: usize = 16 << 10;

/// What a client that connected before the stop may still take to send its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// What a closing connection waits for its client's next byte, or its end.
const LINGER_SILENCE: Duration = Duration::from_secs(1);

/// What a closing connection reads and throws away of what its client is still sending, at most.
const LINGER_BYTES: usize = 64 << 20;

/// What hyper answers to what is no HTTP.
const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What happens to a connection that hyper doesn't know of.
enum Event {
    /// The listener was told to stop.
    Stopped,
    /// A client that had sent no request by then still has not.
    NoRequest,
    /// The client has let its time pass.
    TimedOut,
    /// An answer is waited for: hyper may look for a reset.
    CheckReset,
}

/// Serves a connection; its slot returns when it has ended.
pub(super) async fn run<S: Service>(
    stream: TcpStream,
    slot: OwnedSemaphorePermit,
    limits: Limits,
    service: Arc<S>,
    mut stopping: watch::Receiver<()>,
) {
    let mut end = End::new(Arc::clone(&service), slot);
    // Answers are small: waiting to fill a segment would only delay them. A socket that can't is served all the same.
    let _ = stream.set_nodelay(true);
    let timer = IdleTimer::new(limits.patience);
    let unread = Arc::new(AtomicBool::new(false));
    // Not in the future it returns: a request has begun when its head was read, whether or not it is ever looked at.
    let answer = service_fn(|mut request: Request<hyper::body::Incoming>| {
        let now = timer.work_begins();
        incoming::note(&mut request, &unread);
        Working { work: service.call(request, now), timer: &timer }
    });
    let mut http = http1::Builder::new()
        .header_read_timeout(None) // the timer bounds more than heads, and makes no timer for every request
        .writev(false) // answers are small: one copy of a body is cheaper than a list of buffers
        .half_close(true) // who has nothing more to ask still waits for the answer
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(Watched { stream, timer: &timer, unread: &unread }), answer);

    let mut events = pin!(events(&timer, &mut stopping, limits.crowded, end.slot.semaphore()));
    let result = loop {
        tokio::select! {
            biased; // what has arrived is read before a stop is heeded, and an answer that is done counts before its time
            result = &mut http => break result,
            Some(event) = events.next() => match event {
                Event::TimedOut => return end.outcome = ConnectionOutcome::TimedOut,
                Event::Stopped if !timer.sent_request() => {
                    let patience = if end.others_wait() { FIRST_REQUEST / 20 } else { FIRST_REQUEST };
                    events.push(Box::pin(sleep(patience).map(|()| Event::NoRequest)));
                }
                Event::Stopped | Event::NoRequest => {
                    Pin::new(&mut http).graceful_shutdown();
                }
                Event::CheckReset => events.push(check_reset(&timer)),
            },
        }
    };
    // hyper leaves these without an answer, for whoever speaks HTTP/2.
    let begins_http2 = matches!(&result, Err(error) if error.is_parse_version_h2());
    end.outcome = ConnectionOutcome::of(result);
    if end.outcome != ConnectionOutcome::Aborted && !timer.client_ended() {
        let parts = http.into_parts();
        let is_unread =
            unread.load(Ordering::Relaxed) || end.outcome == ConnectionOutcome::Malformed || !parts.read_buf.is_empty();
        drop(parts.read_buf);
        let mut stream = parts.io.into_inner().stream;
        let ends = async {
            if !begins_http2 || stream.write_all(BAD_REQUEST).await.is_ok() {
                linger(stream, is_unread, || end.others_wait()).await;
            }
        };
        let _ = timeout(limits.patience, ends).await;
    }
}

/// A set of futures-util's, because it looks at them only when they were woken: most wakes are hyper's.
type Events<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Event> + Send + 'a>>>;

/// What is waited for beside hyper. A connection that waits in vain for as long as `crowded` makes room where none of the `slots`
/// is left.
fn events<'a>(
    timer: &'a IdleTimer,
    stopping: &'a mut watch::Receiver<()>,
    crowded: Option<Duration>,
    slots: &Arc<Semaphore>,
) -> Events<'a> {
    let events = Events::new();
    events.push(Box::pin(async {
        // An error says that the loop itself is gone: stop as well.
        let _ = stopping.changed().await;
        Event::Stopped
    }));
    events.push(Box::pin(timer.run_out().map(|()| Event::TimedOut)));
    if let Some(crowded) = crowded {
        let slots = Arc::clone(slots);
        events.push(Box::pin(async move {
            loop {
                sleep(crowded).await;
                if slots.available_permits() == 0 && timer.has_waited(crowded) {
                    return Event::TimedOut;
                }
            }
        }));
    }
    events.push(check_reset(timer));
    events
}

fn check_reset(timer: &IdleTimer) -> Pin<Box<dyn Future<Output = Event> + Send + '_>> {
    Box::pin(timer.check_reset().map(|()| Event::CheckReset))
}

pin_project! {
    /// Work on a request, which tells the timer when it is done. Not a map, which would copy the answer.
    struct Working<'a, W> {
        #[pin]
        work: W,
        timer: &'a IdleTimer,
    }
}

impl<W: Future> Future for Working<'_, W> {
    type Output = W::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<W::Output> {
        let this = self.project();
        let answer = this.work.poll(cx);
        if answer.is_ready() {
            this.timer.work_ends();
        }
        answer
    }
}

/// Ends our side, and reads until the client has seen that, or has been silent for too long: closed with something unread, a
/// socket resets its connection, and so it does for what arrives later, and what was not sent by then is lost. Where nothing
/// `is_unread` and others wait for the slot, they come first.
async fn linger(mut stream: TcpStream, mut is_unread: bool, others_wait: impl Fn() -> bool) {
    let mut left = LINGER_BYTES;
    let mut goes_on = stream.shutdown().await.is_ok() && discard(&stream, &mut left);
    while goes_on {
        is_unread |= left < LINGER_BYTES;
        if !is_unread && others_wait() {
            return;
        }
        goes_on = matches!(timeout(LINGER_SILENCE, stream.readable()).await, Ok(Ok(()))) && discard(&stream, &mut left);
    }
}

/// Throws away what can be read now; whether more may come.
fn discard(stream: &TcpStream, left: &mut usize) -> bool {
    let mut pieces = [0; 16 << 10]; // on the stack of the moment: a thousand connections that linger have no buffers
    while *left > 0 {
        match stream.try_read(&mut pieces) {
            Ok(0) => return false,
            Ok(length) => *left = left.saturating_sub(length),
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
    false
}

/// Tells the service how a connection ended, also when its task is aborted; then the slot returns.
struct End<S: Service> {
    service: Arc<S>,
    outcome: ConnectionOutcome,
    slot: OwnedSemaphorePermit,
}

impl<S: Service> End<S> {
    fn new(service: Arc<S>, slot: OwnedSemaphorePermit) -> End<S> {
        service.opened();
        End { service, outcome: ConnectionOutcome::Cut, slot }
    }

    /// Whether the next connection may have to wait for this one's slot.
    fn others_wait(&self) -> bool {
        self.slot.semaphore().available_permits() == 0
    }
}

impl<S: Service> Drop for End<S> {
    fn drop(&mut self) {
        self.service.ended(self.outcome);
    }
}

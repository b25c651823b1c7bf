//! One connection from its first byte to its last: hyper speaks HTTP on it, and this decides when it has to end.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{sleep, timeout};

use super::idle::{IdleTimer, Watched};
use super::{ConnectionOutcome, Limits, Service};

/// A request's head and the pieces of its body pass through a buffer of at most this size: longer heads are 431.
pub const BUFFER_BYTES: usize = 16 << 10;

/// What a client that connected before the stop may still take to say its first word.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// What a closing connection waits for its client's next byte, or its end.
const LINGER_SILENCE: Duration = Duration::from_secs(2);

/// What a closing connection reads and throws away of what its client is still sending, at most.
const LINGER_BYTES: usize = 64 << 20;

/// What happens to a connection that hyper doesn't know of.
enum Event {
    /// The listener was told to stop.
    Stopped,
    /// A client that had not spoken by then still has not.
    NoFirstWord,
    /// The client has let its time pass.
    TimedOut,
    /// An answer is waited for: hyper may look for a reset.
    Look,
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
    // Not in the future it returns: a request has begun when its head was read, whether or not it is ever looked at.
    let answer = service_fn(|request: Request<Incoming>| {
        let now = timer.work_begins(!request.body().is_end_stream());
        service.call(request, now).map(|response| {
            timer.work_ends();
            Ok::<_, Infallible>(response)
        })
    });
    let mut http = http1::Builder::new()
        .header_read_timeout(None) // the timer bounds more than heads, and makes no timer for every request
        .writev(false) // answers are small: one copy of a body is cheaper than a list of buffers
        .half_close(true) // who has nothing more to ask still waits for the answer
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(Watched { stream, timer: &timer }), answer);

    // A set of futures-util's, because it looks at them only when they were woken: most wakes are hyper's.
    let events = FuturesUnordered::<Pin<Box<dyn Future<Output = Event> + Send + '_>>>::new();
    events.push(Box::pin(async {
        // An error says that the loop itself is gone: stop as well.
        let _ = stopping.changed().await;
        Event::Stopped
    }));
    events.push(Box::pin(async {
        timer.run_out().await;
        Event::TimedOut
    }));
    let look = || Box::pin(timer.look_again().map(|()| Event::Look));
    events.push(look());
    let mut events = pin!(events);
    let mut was_idle = false;
    let result = loop {
        tokio::select! {
            biased; // what has arrived is read before a stop is heeded, and an answer that is done counts before its time
            result = &mut http => break result,
            Some(event) = events.next() => match event {
                Event::TimedOut => return end.outcome = ConnectionOutcome::TimedOut,
                Event::Stopped if !timer.spoke() => events.push(Box::pin(async {
                    sleep(FIRST_WORD).await;
                    Event::NoFirstWord
                })),
                Event::Stopped | Event::NoFirstWord => {
                    was_idle = timer.is_idle();
                    Pin::new(&mut http).graceful_shutdown();
                }
                Event::Look => events.push(look()),
            },
        }
    };
    end.outcome = ConnectionOutcome::of(result);
    // Closed with something unread, a socket resets its connection, and the answer that is under way is lost.
    let may_send_on = (timer.had_body() && !was_idle) || end.outcome == ConnectionOutcome::Malformed;
    if may_send_on && end.outcome != ConnectionOutcome::Aborted && !timer.client_ended() {
        let _ = timeout(limits.patience, linger(http.into_parts().io.into_inner().stream)).await;
    }
}

/// Ends our side, and reads what the client is still sending until it has seen that, or has been silent for too long.
async fn linger(mut stream: TcpStream) {
    let mut left = LINGER_BYTES;
    let mut goes_on = stream.shutdown().await.is_ok();
    while goes_on {
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
    _slot: OwnedSemaphorePermit,
}

impl<S: Service> End<S> {
    fn new(service: Arc<S>, slot: OwnedSemaphorePermit) -> End<S> {
        service.opened();
        End { service, outcome: ConnectionOutcome::Cut, _slot: slot }
    }
}

impl<S: Service> Drop for End<S> {
    fn drop(&mut self) {
        self.service.ended(self.outcome);
    }
}

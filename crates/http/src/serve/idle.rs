//! How long a connection may keep us waiting.
//!
//! A connection is the service's while a request is worked on, which is bounded elsewhere; else it is the client's, to
//! send a whole head, to speak again, or to read on, and for each it has the listener's patience.

use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

/// How often a connection looks whether its client has reset it, while a request takes long.
const CHECK_RESET: Duration = Duration::from_millis(250);

/// Bytes of a body taken from a socket at once: a little less than hyper makes room for at first. It doubles the room for
/// a connection that fills it, and keeps it; a thousand connections would.
const READ_BYTES: usize = (8 << 10) - 1;

/// A request is worked on.
const WORKING: u8 = 1;
/// The work on it goes on beyond the connection's first look.
const SLOW: u8 = 2;
/// The client does not take what is written.
const STALLED: u8 = 4;
/// The client has ended its side.
const ENDED: u8 = 8;
/// The client has sent a request head.
const REQUESTED: u8 = 16;

const UNPOISONED: &str = "nothing panics while it is held";

/// What one connection waits for, and since when. Its task alone uses it: atomics and mutex are for the compiler, which
/// can't know, and cost little where nobody else wants them.
pub(super) struct IdleTimer {
    patience: Duration,
    /// When the client's turn began.
    since: Mutex<Instant>,
    state: AtomicU8,
    /// Told when work turns out to be slow.
    slow: Notify,
}

impl IdleTimer {
    /// The client begins.
    pub(super) fn new(patience: Duration) -> IdleTimer {
        IdleTimer { patience, since: Mutex::new(Instant::now()), state: AtomicU8::new(0), slow: Notify::new() }
    }

    /// A head is there: the service works on it from now on.
    pub(super) fn work_begins(&self) -> Instant {
        let now = Instant::now();
        self.set(WORKING | REQUESTED);
        if !self.is(STALLED) {
            self.restart(now);
        }
        now
    }

    /// The answer exists. What was done at the first look is as old as its request, which saves a look at the clock.
    pub(super) fn work_ends(&self) {
        if self.is(SLOW) && !self.is(STALLED) {
            self.restart(Instant::now());
        }
        self.clear(WORKING | SLOW);
    }

    /// The connection has nothing to do but wait for an answer: work is slow.
    fn work_is_slow(&self) {
        if !self.is(SLOW) {
            self.set(SLOW);
            self.slow.notify_one();
        }
    }

    /// Resolves from time to time while work is slow.
    pub(super) async fn check_reset(&self) {
        loop {
            self.slow.notified().await;
            sleep(CHECK_RESET).await;
            if self.is(SLOW) {
                self.slow.notify_one();
                return;
            }
        }
    }

    /// A write went through, or found no room. What went through at once needs no new time: the answer is as old.
    fn wrote(&self, through: bool) {
        match (through, self.is(STALLED)) {
            (true, true) => {
                self.clear(STALLED);
                self.restart(Instant::now());
            }
            (false, false) => {
                self.set(STALLED);
                self.restart(Instant::now());
            }
            _ => {}
        }
    }

    /// Whether the client has sent a request yet.
    pub(super) fn sent_request(&self) -> bool {
        self.is(REQUESTED)
    }

    /// Whether the client has ended its side: nothing more will come.
    pub(super) fn client_ended(&self) -> bool {
        self.is(ENDED)
    }

    /// Resolves when the client has let its time pass. While all is well it wakes once in `patience`.
    pub(super) async fn run_out(&self) {
        loop {
            let now = Instant::now();
            // A turn that ends while we sleep begins the client's anew: its end is no earlier than this.
            let until = self.turn_began(now) + self.patience;
            if until <= now {
                return;
            }
            sleep_until(until).await;
        }
    }

    /// Whether the client has kept us waiting for as long.
    pub(super) fn has_waited(&self, long: Duration) -> bool {
        let now = Instant::now();
        self.turn_began(now) + long <= now
    }

    /// When the client's turn began; no earlier than now while it is the service's.
    fn turn_began(&self, now: Instant) -> Instant {
        if self.is(WORKING) && !self.is(STALLED) { now } else { *self.since.lock().expect(UNPOISONED) }
    }

    fn restart(&self, now: Instant) {
        *self.since.lock().expect(UNPOISONED) = now;
    }

    fn is(&self, flags: u8) -> bool {
        self.state.load(Ordering::Relaxed) & flags != 0
    }

    fn set(&self, flags: u8) {
        self.state.store(self.state.load(Ordering::Relaxed) | flags, Ordering::Relaxed);
    }

    fn clear(&self, flags: u8) {
        self.state.store(self.state.load(Ordering::Relaxed) & !flags, Ordering::Relaxed);
    }
}

/// A stream that tells the timer how it fares.
pub(super) struct Watched<'a> {
    pub(super) stream: TcpStream,
    pub(super) timer: &'a IdleTimer,
    /// Whether a body is on its way.
    pub(super) unread: &'a AtomicBool,
}

impl Watched<'_> {
    /// Whether the client has reset the connection. hyper doesn't read while it waits for an answer, so it would not know.
    fn is_reset(&self) -> bool {
        let look = pin!(self.stream.ready(Interest::ERROR)).poll(&mut Context::from_waker(Waker::noop()));
        look.is_ready()
    }

    /// Reads into a buffer of the moment, so that hyper's is never filled. Not inline: every read would make room for it.
    #[inline(never)]
    fn read_a_little(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let room = buffer.remaining().min(READ_BYTES);
        let mut piece = ReadBuf::uninit(&mut space[..room]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut piece))?;
        buffer.put_slice(piece.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Watched<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.unread.load(Ordering::Relaxed) {
            ready!(self.read_a_little(cx, buffer))?;
        } else {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        }
        if buffer.filled().len() == before {
            self.timer.set(ENDED);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.timer.wrote(written.is_ready());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.timer.wrote(written.is_ready());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// A socket holds nothing back; but hyper comes by here whenever it was woken and has done what it could.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.timer.is(WORKING) {
            self.timer.work_is_slow();
            if self.is_reset() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Left to whoever opened the connection, who may have to wait for its client.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    type Event = fn(&IdleTimer);

    /// After how many seconds a client has let its time pass on whose connection this happened, each at its second.
    async fn runs_out(events: &[(u64, Event)]) -> u64 {
        let began = Instant::now();
        let timer = IdleTimer::new(PATIENCE);
        let events = async {
            for (at, event) in events {
                sleep_until(began + Duration::from_secs(*at)).await;
                event(&timer);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = events => {}
            () = timer.run_out() => {}
        }
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_has_its_patience_for_each_of_its_turns_and_none_of_the_services() {
        let (begins, ends): (Event, Event) = (
            |timer| {
                timer.work_begins();
            },
            IdleTimer::work_ends,
        );
        assert_eq!(runs_out(&[]).await, 10, "no head");
        let waits: Event = IdleTimer::work_is_slow;
        assert_eq!(runs_out(&[(2, begins), (2, ends)]).await, 12, "idle after an answer");
        assert_eq!(runs_out(&[(3, begins), (3, waits), (25, ends)]).await, 35, "the service took long");
        let again = [(3, begins), (3, ends), (9, begins), (9, waits), (35, ends)];
        assert_eq!(runs_out(&again).await, 45, "it spoke again in time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_out_in_time_whatever_else_it_sends() {
        let (begins, ends): (Event, Event) = (
            |timer| {
                timer.work_begins();
            },
            IdleTimer::work_ends,
        );
        let waits: Event = IdleTimer::work_is_slow;
        let through: Event = |timer| timer.wrote(true);
        let stalled: Event = |timer| timer.wrote(false);
        assert_eq!(runs_out(&[(1, begins), (1, ends), (1, stalled), (8, stalled)]).await, 11, "still no room");
        assert_eq!(
            runs_out(&[(1, stalled), (5, begins), (5, waits), (9, ends)]).await,
            11,
            "pipelined requests buy no time"
        );
        assert_eq!(runs_out(&[(1, stalled), (5, begins)]).await, 11, "nor does one that is worked on");
        assert_eq!(runs_out(&[(1, stalled), (9, through), (9, stalled), (18, through)]).await, 28, "it reads, slowly");
    }
}

//! Where connections come in: a slot first, then a connection, and no spinning when there is nothing left to accept with.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

/// The pauses after a failed accept: doubled from the first to the last while it goes on failing.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// Minimum interval between log messages while accepting keeps failing.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// Connections that wait to be accepted, at most, before the kernel lets more of them try again: what to listen with; the
/// usual 128 are soon there. As many are accepted after the stop, since a crowd that keeps coming would never be done.
pub const QUEUED: u32 = 1024;

/// A listener with as many slots as it may have connections.
pub(super) struct Acceptor {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    /// Time of the last warning. A field because [`Acceptor::accept`] is cancelled whenever a connection ends.
    told: Option<Instant>,
}

/// A connection and its slot, which returns when it is dropped.
pub(super) type Accepted = (TcpStream, OwnedSemaphorePermit);

impl Acceptor {
    /// An acceptor of at most `connections` at once.
    pub(super) fn new(listener: TcpListener, connections: usize) -> Acceptor {
        Acceptor { listener, slots: Arc::new(Semaphore::new(connections)), told: None }
    }

    /// The next connection. It takes its slot *before* it is accepted; what has none waits in the kernel's queue.
    pub(super) async fn accept(&mut self) -> Accepted {
        let slot = Arc::clone(&self.slots).acquire_owned().await.expect("the semaphore is never closed");
        let mut pause = BACK_OFF.0;
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return (stream, slot),
                Err(error) if left_the_queue(&error) => {}
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

    /// No more than what waits already: the kernel would reset it when the listener closes.
    pub(super) fn close(self) -> Queue {
        // Asked directly, since what tokio knows of the socket may be older than the last client.
        let listener = self.listener.into_std().ok();
        Queue { listener, slots: self.slots, left: QUEUED }
    }
}

/// What waited to be accepted when the acceptor closed.
pub(super) struct Queue {
    /// None once it is empty.
    listener: Option<std::net::TcpListener>,
    slots: Arc<Semaphore>,
    left: u32,
}

impl Queue {
    /// The next connection as soon as it has a slot; none when all that waited were accepted.
    pub(super) async fn accept(&mut self) -> Option<Accepted> {
        while let Some(listener) = &self.listener {
            let slot = Arc::clone(&self.slots).acquire_owned().await.expect("the semaphore is never closed");
            if self.left == 0 {
                self.listener = None;
                break;
            }
            self.left -= 1;
            match listener.accept() {
                Ok((stream, _)) => {
                    if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
                        return Some((stream, slot));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.listener = None,
                Err(error) if left_the_queue(&error) => {}
                Err(_) => sleep(BACK_OFF.0).await,
            }
        }
        None
    }
}

/// The client left while it queued: its loss, and no sign of trouble here.
fn left_the_queue(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

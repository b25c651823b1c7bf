//! Waits for an instant more finely than the runtime's timer, which ticks once a millisecond, without keeping a thread of the
//! runtime from its work.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

/// A thread that bridges the last milliseconds.
pub(super) struct PreciseTimer {
    requests: std::sync::mpsc::Sender<(Instant, oneshot::Sender<()>)>,
}

/// What the thread is left to bridge: the timer rounds up to its tick, and so does the wait for it.
const TICKS: Duration = Duration::from_millis(3);

impl PreciseTimer {
    pub(super) fn new() -> PreciseTimer {
        let (requests, received) = std::sync::mpsc::channel::<(Instant, oneshot::Sender<()>)>();
        // It ends with its sender, after one more sleep of a few milliseconds at most.
        std::thread::spawn(move || {
            for (at, done) in received {
                std::thread::sleep(at.into_std().saturating_duration_since(std::time::Instant::now()));
                // Whoever no longer waits was stopped.
                let _ = done.send(());
            }
        });
        PreciseTimer { requests }
    }

    pub(super) async fn wait(&self, at: Instant) {
        let remaining = at.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            // The pacer is behind; the tasks it launched must get their turn all the same.
            return tokio::task::consume_budget().await;
        }
        if remaining > TICKS {
            sleep_until(at - TICKS).await;
        }
        let (done, rung) = oneshot::channel();
        if self.requests.send((at, done)).is_err() || rung.await.is_err() {
            sleep_until(at).await;
        }
    }
}

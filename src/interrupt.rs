//! Ctrl-C, SIGTERM and a closed terminal as a value: whoever works for long takes one and stops in its own good order.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::failure::{Failure, tell};

/// Tells, once and for all its clones, that the user wants to stop.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Listens to SIGINT, SIGTERM and SIGHUP from here on. A second one only hears that the stop is under way: every stop
    /// has a limit of its own, and a process that ended in the middle of one would leave a stack behind.
    pub fn listen() -> Result<Interrupt, Failure> {
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
        let mut hang_up = signal(SignalKind::hangup()).context("cannot listen to SIGHUP")?;
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            for seen in 0.. {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hang_up.recv() => {}
                }
                if seen > 0 {
                    tell(
                        "aiclipx: stopping already, within half a minute; Ctrl-\\ ends at once and may leave processes",
                    );
                }
                // Nobody listening any more is nobody to tell.
                let _ = sender.send(true);
            }
        });
        Ok(Interrupt(receiver))
    }

    /// Whether the user asked to stop.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when the user asked to stop; at once if that was before.
    pub async fn requested(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|requested| *requested).await.is_err() {
            // The listener is gone with the runtime: nobody will ask any more.
            std::future::pending::<()>().await;
        }
    }

    /// Does the work, unless the user asks to stop first.
    pub async fn or<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            result = work => result,
            () = self.requested() => Err(Failure::interrupted()),
        }
    }
}

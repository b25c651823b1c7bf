//! Ctrl-C, SIGTERM and a closed terminal: they end a command at once, unless it has something to stop first.
//!
//! Whoever works on what must not be left behind half done (a stack, traffic, a draft) takes an [`Interrupt`] and stops in its
//! own good order. While nobody holds one the process just ends.

use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use aiclipx_model::failure::{Failure, Kind, tell};

/// The signals that ask a command to end.
#[derive(Debug, Clone)]
pub struct Signals(Arc<watch::Sender<bool>>);

/// Tells that the user wants to stop. As long as one is held, its holders see to the end.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<bool>);

impl Signals {
    /// Listens to SIGINT, SIGTERM and SIGHUP from here on, but for those that whoever started us lets us ignore: `nohup` and a
    /// shell's background jobs live on that.
    ///
    /// A second one only hears that the stop is under way: every stop has a limit of its own, and a process that ended in the
    /// middle of one would leave a stack behind.
    pub fn listen() -> Result<Signals, Failure> {
        let ignored = ignored();
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let heard = kinds.into_iter().filter(|kind| ignored & (1 << (kind.as_raw_value() - 1)) == 0);
        let mut heard = heard.map(signal).collect::<Result<Vec<_>, _>>().context("cannot listen to signals")?;
        let told = Arc::new(watch::Sender::new(false));
        let signals = Signals(Arc::clone(&told));
        tokio::spawn(async move {
            while any(&mut heard).await {
                if told.receiver_count() == 0 {
                    let failure = Failure::interrupted();
                    tell(&format!("aiclipx: {failure}"));
                    std::process::exit(Kind::Interrupted as i32);
                }
                if told.send_replace(true) {
                    tell(
                        "aiclipx: stopping already, within half a minute; Ctrl-\\ ends at once and may leave processes",
                    );
                }
            }
        });
        Ok(signals)
    }

    /// None: only [`Signals::ask`] asks to end. For who has no terminal, as tests.
    pub fn unheard() -> Signals {
        Signals(Arc::new(watch::Sender::new(false)))
    }

    /// Asks as a signal does.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// From here on there is something to stop.
    pub fn held(&self) -> Interrupt {
        Interrupt(self.0.subscribe())
    }

    /// Whether the user asked to stop.
    pub fn were_heard(&self) -> bool {
        *self.0.borrow()
    }
}

/// Waits for the next of these signals; false when there are none to come.
async fn any(signals: &mut [Signal]) -> bool {
    if signals.is_empty() {
        return false;
    }
    let next = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
    futures_util::future::select_all(next).await.0.is_some()
}

/// The signals that are ignored, a bit each, the first one lowest. Known where there is a /proc.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

impl Interrupt {
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

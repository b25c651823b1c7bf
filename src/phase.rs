//! The service's life: starting, ready, draining, stopped. It goes one way.
//!
//! Readiness is true in one phase only; `app_ready` is set where the phase changes, so the two can't disagree.
//! Liveness is no phase: a process that can answer is alive.

use std::sync::atomic::{AtomicU8, Ordering};

use prometheus::IntGauge;

/// Where in its life the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not serving yet.
    Starting,
    /// Serving, and to be sent traffic.
    Ready,
    /// Told to stop: still serving, to be sent nothing new.
    Draining,
    /// Nothing is served any more.
    Stopped,
}

/// The current [`Phase`], which only moves forward.
pub struct Lifecycle {
    phase: AtomicU8,
    ready: IntGauge,
}

impl Lifecycle {
    /// A life that begins; `ready` shows 1 while it is [`Phase::Ready`], else 0.
    pub fn starting(ready: IntGauge) -> Lifecycle {
        ready.set(0);
        Lifecycle { phase: AtomicU8::new(Phase::Starting as u8), ready }
    }

    /// Starting → ready, unless it was told to stop meanwhile.
    pub fn ready(&self) {
        self.advance(Phase::Ready);
    }

    /// Any earlier phase → draining.
    pub fn draining(&self) {
        self.advance(Phase::Draining);
    }

    /// Any earlier phase → stopped.
    pub fn stopped(&self) {
        self.advance(Phase::Stopped);
    }

    /// Whether traffic should be sent.
    pub fn is_ready(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == Phase::Ready as u8
    }

    /// Whether it was told to stop: who is answered now had better ask somebody else next.
    pub fn is_draining(&self) -> bool {
        self.phase.load(Ordering::SeqCst) > Phase::Ready as u8
    }

    fn advance(&self, to: Phase) {
        self.phase.fetch_max(to as u8, Ordering::SeqCst);
        self.ready.set(i64::from(self.is_ready()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_lasts_from_ready_to_draining_and_never_returns() {
        let gauge = IntGauge::new("ready", "ready").unwrap();
        let life = Lifecycle::starting(gauge.clone());
        assert!(!life.is_ready());
        life.ready();
        assert!(life.is_ready());
        assert_eq!(gauge.get(), 1);
        life.draining();
        life.ready();
        assert!(!life.is_ready());
        assert_eq!(gauge.get(), 0);
        life.stopped();
        assert!(!life.is_ready());
    }
}

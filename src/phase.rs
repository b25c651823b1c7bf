//! The service's life cycle: starting, ready, draining, stopped, in this order only.
//!
//! Readiness is true in one phase only, and there while the store can do its work; `app_ready` is set where either changes, so
//! that they can't disagree.
//! Liveness is no phase: a process that can answer is alive.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use prometheus::IntGauge;

/// Where in its life the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
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
pub(super) struct Lifecycle {
    phase: AtomicU8,
    store: AtomicBool,
    /// Set by one at a time, or an older value might be the last.
    ready: Mutex<IntGauge>,
}

impl Lifecycle {
    /// Starting; `ready` shows 1 while it is [`Phase::Ready`] and its store can do its work, which is known at the start, too.
    pub(super) fn starting(ready: IntGauge, store_available: bool) -> Lifecycle {
        ready.set(0);
        let phase = AtomicU8::new(Phase::Starting as u8);
        Lifecycle { phase, store: AtomicBool::new(store_available), ready: Mutex::new(ready) }
    }

    /// Starting → ready, unless it was told to stop meanwhile.
    pub(super) fn ready(&self) {
        self.advance(Phase::Ready);
    }

    /// Any earlier phase → draining.
    pub(super) fn draining(&self) {
        self.advance(Phase::Draining);
    }

    /// Any earlier phase → stopped.
    pub(super) fn stopped(&self) {
        self.advance(Phase::Stopped);
    }

    /// The store can do its work, or can't: what is ready follows it.
    #[cfg(any(test, feature = "postgres"))]
    pub(super) fn store_available(&self, available: bool) {
        self.store.store(available, Ordering::SeqCst);
        self.show();
    }

    /// Whether traffic should be sent.
    pub(super) fn is_ready(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == Phase::Ready as u8 && self.store.load(Ordering::SeqCst)
    }

    /// Whether it was told to stop: a client that is answered now should close its connection.
    pub(super) fn is_draining(&self) -> bool {
        self.phase.load(Ordering::SeqCst) > Phase::Ready as u8
    }

    fn advance(&self, to: Phase) {
        self.phase.fetch_max(to as u8, Ordering::SeqCst);
        self.show();
    }

    fn show(&self) {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.set(i64::from(self.is_ready()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_lasts_from_ready_to_draining_and_never_returns() {
        let gauge = IntGauge::new("ready", "ready").unwrap();
        let life = Lifecycle::starting(gauge.clone(), true);
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

    #[test]
    fn while_its_store_is_away_it_is_not_ready_and_it_comes_back_only_where_it_was_ready() {
        let gauge = IntGauge::new("ready", "ready").unwrap();
        let life = Lifecycle::starting(gauge.clone(), true);
        life.store_available(true);
        assert_eq!((life.is_ready(), gauge.get()), (false, 0), "it has not begun");
        life.ready();
        life.store_available(false);
        assert_eq!((life.is_ready(), gauge.get()), (false, 0));
        assert!(!life.is_draining(), "it goes on");
        life.store_available(true);
        assert_eq!((life.is_ready(), gauge.get()), (true, 1));
        life.draining();
        life.store_available(true);
        assert_eq!((life.is_ready(), gauge.get()), (false, 0));
    }

    #[test]
    fn one_that_begins_without_its_store_is_ready_when_that_is_there_and_at_no_moment_before() {
        let gauge = IntGauge::new("ready", "ready").unwrap();
        let life = Lifecycle::starting(gauge.clone(), false);
        life.ready();
        assert_eq!((life.is_ready(), gauge.get()), (false, 0));
        life.store_available(true);
        assert_eq!((life.is_ready(), gauge.get()), (true, 1));
    }
}

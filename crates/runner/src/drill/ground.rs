//! What all scenes of a drill share.

use std::sync::atomic::AtomicUsize;

use super::amtool::Amtool;
use crate::events::Events;
use aiclipx_judge::drill::given::Given;
use aiclipx_stack::interrupt::Interrupt;
use aiclipx_stack::pair::Programs;

/// What every scene needs.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) given: Given,
    pub(super) programs: Programs,
    pub(super) amtool: Amtool,
    pub(super) events: Events,
    pub(super) interrupt: Interrupt,
    /// How this Prometheus hashes labels, as far as it is known.
    pub(super) hashing: AtomicUsize,
}

//! Whether another command is starting or stopping the stack of a state directory, and how that is told.

use std::path::Path;

use super::layout;
use super::lock::Lock;
use aiclipx_model::failure::Failure;

/// Whether a command is starting or stopping a stack there.
pub(super) fn is_busy(state: &Path) -> bool {
    Lock::is_held(&state.join(layout::LOCK))
}

pub(super) fn being_changed(state: &Path) -> Failure {
    Failure::usage(format!("another command is starting or stopping the stack of {}", state.display()))
        .remedy("wait until it has ended; a start that gets Ctrl-C stops what it started")
}

//! A state directory as a place to work in: whether its path will do, whether another command is at work there, whether there is
//! room.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::layout;
use super::lock::Lock;
use super::mark::Mark;
use aiclipx_model::failure::{Failure, is_full};

/// Who only looks whether the lock is held holds it for a moment.
const LOOKED_AT: Duration = Duration::from_millis(200);
/// Between two tries.
const TICK: Duration = Duration::from_millis(20);

/// Whether a command is starting or stopping a stack there.
pub(super) fn is_busy(state: &Path) -> bool {
    Lock::is_held(&state.join(layout::LOCK))
}

pub(super) fn being_changed(state: &Path) -> Failure {
    Failure::usage(format!("another command is starting or stopping the stack of {}", state.display()))
        .remedy("wait until it has ended; a start that gets Ctrl-C stops what it started")
}

/// Refuses a path that a component would not take for what it is.
pub(super) fn is_understood(state: &Path) -> Result<(), Failure> {
    let why = match (state.to_str(), state.to_string_lossy().chars().find(|sign| matches!(sign, '[' | '\\' | '$'))) {
        (None, _) => "is not in UTF-8".to_owned(),
        (Some(path), _) if path.contains(char::is_control) => "holds a control character".to_owned(),
        (_, Some('$')) => "holds `$`, which Grafana and Vector take for a variable's".to_owned(),
        (_, Some(sign)) => format!("holds `{sign}`, which Prometheus takes for a pattern's"),
        (_, None) => return Ok(()),
    };
    Err(Failure::usage(format!("the path {} of the state directory {why}", state.display()))
        .remedy("choose another with --state or AICLIPX_STATE"))
}

/// Held while a stack is started or stopped, so that two commands don't do it at once. The state directory is made, and
/// ours from here on.
pub(super) async fn lock(state: &Path) -> Result<Lock, Failure> {
    let unusable = |error: std::io::Error| {
        Failure::usage(format!("the state directory {} is not writable: {error}", state.display()))
            .remedy("choose another with --state or AICLIPX_STATE")
    };
    Mark::State.claim(state)?;
    let file = state.join(layout::LOCK);
    let deadline = Instant::now() + LOOKED_AT;
    loop {
        if let Some(lock) = Lock::try_take(&file).map_err(unusable)? {
            return Ok(lock);
        }
        if Instant::now() > deadline {
            return Err(being_changed(state));
        }
        tokio::time::sleep(TICK).await;
    }
}

/// A state directory without room ends whoever writes there: the user's to mend.
pub fn no_room(state: &Path) -> Option<Failure> {
    is_full(state).then(|| {
        Failure::usage(format!("there is no room left in {}", state.display()))
            .remedy("make room there, or choose another place with --state or TMPDIR")
    })
}

//! A span of time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// From when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// Unix milliseconds.
    pub from_millis: i64,
    /// Unix milliseconds, not before `from_millis`.
    pub to_millis: i64,
}

impl TimeRange {
    /// How long it is.
    pub fn length(self) -> Duration {
        Duration::from_millis(u64::try_from(self.to_millis.saturating_sub(self.from_millis)).unwrap_or(0))
    }
}

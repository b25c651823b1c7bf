//! Which process it is: one start of a component.

use serde::{Deserialize, Serialize};

/// Two that differ mean a restart in between, asked for or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// `None` when it does not run.
    pub pid: Option<u32>,
    /// When it was started, in milliseconds since the machine's; `None` when it does not run or there is no /proc.
    pub started_ms: Option<u64>,
}

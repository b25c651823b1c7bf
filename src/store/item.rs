//! What a store keeps, and why it did not do what was asked.

use serde::Serialize;

/// The longest name an item may have: what the store holds is then bounded in bytes, too.
pub(crate) const MAX_NAME_BYTES: usize = 256;

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Item<'a> {
    /// From 1, and never reused.
    pub id: u64,
    /// Trimmed.
    pub name: &'a str,
}

/// Why the store did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "memory is never away"))]
pub(crate) enum StoreError {
    /// It holds as many items as it may.
    Full,
    /// It could not, in time; nothing was changed.
    Unavailable,
    /// It was lost before it answered: an item may have been kept, or removed, or not.
    Unknown,
}

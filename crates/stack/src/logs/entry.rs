//! A line as it is shown: understood, and with what it has of the lines before it.

use jiff::Timestamp;

use super::line::{Level, Line};

/// A line of a component, with what it takes over from the line before it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Where it belongs among the others.
    pub(super) place: Timestamp,
    /// When it was written, as far as that is known.
    pub(super) at: Option<Timestamp>,
    pub(super) level: Option<Level>,
    pub(super) endpoint: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) line: Line,
    pub(super) bytes: Vec<u8>,
}

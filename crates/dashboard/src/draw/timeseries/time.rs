//! From time to pixels.

use super::super::canvas::{Area, Mark};
use crate::query::TimeRange;

/// From time to pixels.
pub(super) struct Time {
    pub(super) range: TimeRange,
    pub(super) across: Area,
}

impl Time {
    pub(super) fn x(&self, millis: f64) -> f64 {
        // Unix milliseconds: exact as a float.
        #[allow(clippy::cast_precision_loss)]
        let (from, to) = (self.range.from_millis as f64, self.range.to_millis as f64);
        if to <= from {
            return self.across.x;
        }
        self.across.x + (millis - from) / (to - from) * self.across.w
    }

    /// The part of a mark that is in the picture.
    pub(super) fn span(&self, mark: &Mark) -> Option<(f64, f64)> {
        if mark.to_millis < self.range.from_millis || mark.from_millis > self.range.to_millis {
            return None;
        }
        #[allow(clippy::cast_precision_loss)]
        let (from, to) = (self.x(mark.from_millis as f64), self.x(mark.to_millis as f64));
        Some((from.max(self.across.x), to.min(self.across.right()).max(from.max(self.across.x) + 1.0)))
    }
}

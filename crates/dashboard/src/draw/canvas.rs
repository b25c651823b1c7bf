//! What a panel is drawn on, and how a value is written there.

use super::theme::{Paint, Theme, resolved};
use crate::format;
use crate::model::{Field, Mapping};
use crate::query::{PlannedQuery, TimeRange};
use aiclipx_model::prom::answer::{Sample, Series};
use std::collections::BTreeMap;

/// What a query was answered with.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The question.
    pub query: PlannedQuery,
    /// The answer's series.
    pub series: Vec<Series>,
}

/// A time in which something was so: a fault was injected, an alert was firing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Unix milliseconds.
    pub from_millis: i64,
    /// Unix milliseconds.
    pub to_millis: i64,
    /// A few words: `30 % errors`, `AppHigh5xxErrorRate`.
    pub label: String,
}

/// What a panel is drawn on.
#[derive(Debug, Clone, PartialEq)]
pub struct Canvas<'a> {
    /// Pixels; at least 120.
    pub width: u32,
    /// Pixels; at least 60.
    pub height: u32,
    /// Light or dark.
    pub theme: Theme,
    /// The time shown.
    pub range: TimeRange,
    /// The day is written at the headline; not needed where the page says it.
    pub dated: bool,
    /// What went on, one thing after the other: named above the plot, which is not tinted for it.
    pub phases: &'a [Mark],
    /// When faults were injected.
    pub faults: &'a [Mark],
    /// When alerts were firing.
    pub alerts: &'a [Mark],
}

/// One series, ready to be drawn.
#[derive(Clone)]
pub(super) struct Curve<'a> {
    pub(super) name: String,
    pub(super) field: Field,
    pub(super) color: String,
    pub(super) samples: &'a [Sample],
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) ref_id: &'a str,
    /// Samples further apart than this are not joined.
    pub(super) step_seconds: Option<f64>,
}

impl Curve<'_> {
    pub(super) fn values(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.value).collect()
    }
}

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) w: f64,
    pub(super) h: f64,
}

impl Area {
    pub(super) fn right(self) -> f64 {
        self.x + self.w
    }

    pub(super) fn bottom(self) -> f64 {
        self.y + self.h
    }

    pub(super) fn middle(self) -> f64 {
        self.x + self.w / 2.0
    }
}

/// The first mapping of a value, as Grafana compares.
fn mapped(field: &Field, value: f64) -> Option<&Mapping> {
    field.mappings.iter().find(|mapping| mapping.of.covers(value))
}

/// A value as its field writes it: a word where one is mapped, else a number with its unit.
pub(super) fn shown(field: &Field, value: f64) -> String {
    match mapped(field, value) {
        Some(mapping) if !mapping.text.is_empty() => clean(&mapping.text),
        _ => format::value(&field.unit, value, field.decimals),
    }
}

/// What stands where there is no number: a word where one is mapped, else a dash.
pub(super) fn missing(field: &Field) -> String {
    mapped(field, f64::NAN).map_or_else(|| "–".to_owned(), |mapping| clean(&mapping.text))
}

/// The colour of a value: a mapping's, a fixed one, or its threshold's.
pub(super) fn value_color(field: &Field, value: f64, paint: &Paint) -> String {
    if let Some(color) = mapped(field, value).and_then(|mapping| mapping.color.as_ref()) {
        return resolved(color, paint);
    }
    if let Some(color) = &field.color {
        return resolved(color, paint);
    }
    let step = field.thresholds.iter().rev().find(|step| value >= step.value);
    match step.or(field.thresholds.first()) {
        Some(step) if field.color_by_threshold => resolved(&step.color, paint),
        _ => paint.series(0),
    }
}

/// A coordinate with at most two digits behind the point, and none for nothing.
pub(super) fn n(value: f64) -> String {
    let rounded = libm::round(value * 100.0) / 100.0;
    // A negative zero would be written as such.
    format!("{}", if rounded == 0.0 || !rounded.is_finite() { 0.0 } else { rounded })
}

/// The text without what XML 1.0 can't hold, and without line breaks.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\t' | '\n' | '\r' => ' ',
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}'
            // Marks that turn the reading direction can make one value read as another.
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            other => other,
        })
        .collect()
}

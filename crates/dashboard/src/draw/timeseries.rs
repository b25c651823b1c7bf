//! Lines over time: axes in round numbers, gaps where there are no samples, thresholds, marks of faults and alerts, and
//! a legend with numbers.

mod lanes;
mod legend;
mod lines;

use maud::{Markup, html};

use super::super::model::Panel;
use super::canvas::{Area, Canvas, Curve, Mark, n};
use super::font;
use super::scale::{ValueAxis, time_ticks};
use super::theme::{Paint, resolved};
use crate::format;
use crate::query::TimeRange;
use lanes::{bars, lanes, shading, strip};
use legend::Legend;
use lines::{line, stacked};

const LABEL: f64 = 10.0;
const LANE: f64 = 15.0;
const MOST_LANES: f64 = 3.0;
/// More areas than that hide one another.
const MOST_AREAS: usize = 4;
const TIME_LABELS: f64 = 20.0;

pub(super) fn draw(panel: &Panel, curves: &[Curve], canvas: &Canvas, body: Area, paint: &Paint) -> Markup {
    let unit = &panel.defaults.unit;
    let legend = Legend::new(panel, curves, body);
    let stack = if panel.defaults.stacked { stacked(curves) } else { Vec::new() };
    let piled: Vec<Curve> =
        curves.iter().zip(&stack).map(|(curve, (samples, _))| Curve { samples, ..curve.clone() }).collect();
    let drawn = if stack.is_empty() { curves } else { &piled };
    let wanted = plot_bounds(panel, drawn);
    // The width of the labels decides the plot's, and the plot's decides the lanes: labels first, by a guess at the
    // height that only the number of ticks depends on.
    let guess = body.h - legend.height - TIME_LABELS;
    // A handful of ticks.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let count = (guess / 38.0).clamp(2.0, 6.0) as usize;
    let axis = ValueAxis::new(wanted.low, wanted.high, (wanted.low_fixed, wanted.high_fixed), unit, count);
    let widest = axis.ticks.iter().map(|(_, label)| font::width(label, LABEL, false)).fold(0.0, f64::max);
    let lane = if canvas.phases.is_empty() { "fault" } else { "phase" };
    let left = body.x + widest.max(font::width(lane, 9.0, false)) + 8.0;
    let across = Area { x: left, w: body.right() - left - 2.0, ..body };
    let time = Time { range: canvas.range, across };
    // Marks explain the lines: they must leave them room.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let most = (body.h * 0.18 / LANE).clamp(1.0, MOST_LANES) as usize;
    let phases = strip(canvas.phases, &time);
    let faults = lanes(canvas.faults, &time, most);
    let alerts = lanes(canvas.alerts, &time, most);
    // A count of rows: small.
    #[allow(clippy::cast_precision_loss)]
    let lanes_height = (phases.rows + faults.rows + alerts.rows) as f64 * LANE;
    // The last row's name, or the headline, and the axis' top label stand one above the other.
    let lanes_height = lanes_height + 6.0;
    let plot = Area { y: body.y + lanes_height, h: body.h - lanes_height - legend.height - TIME_LABELS, ..across };
    let y = |value: f64| plot.bottom() - axis.share(value) * plot.h;
    #[allow(clippy::cast_precision_loss)]
    let faults_top = body.y + phases.rows as f64 * LANE;
    #[allow(clippy::cast_precision_loss)]
    let alerts_top = faults_top + faults.rows as f64 * LANE;
    html! {
        (shading(canvas.faults, &time, plot, paint.fault, "0.10"))
        (shading(canvas.alerts, &time, plot, paint.alert, "0.06"))
        @for (value, label) in &axis.ticks {
            line x1=(n(plot.x)) x2=(n(plot.right())) y1=(n(y(*value))) y2=(n(y(*value))) stroke=(paint.grid) {}
            text x=(n(plot.x - 6.0)) y=(n(y(*value) + 3.5)) font-size=(n(LABEL)) text-anchor="end" fill=(paint.muted) {
                (label)
            }
        }
        (time_axis(&time, plot, paint))
        (bars(&phases, body.y, "phase", plot, (paint.muted, paint.muted), paint))
        (bars(&faults, faults_top, "fault", plot, (paint.fault, paint.fault_ink), paint))
        (bars(&alerts, alerts_top, "alert", plot, (paint.alert, paint.alert_ink), paint))
        @for (at, curve) in drawn.iter().enumerate() {
            @let under = stack.get(at).map(|(_, under)| under);
            (line(curve, &time, &y, plot, curves.len() <= MOST_AREAS || under.is_some(), under))
        }
        (threshold_lines(panel, &axis, plot, paint))
        (legend.draw(curves, body, paint))
    }
}

/// What the value axis must cover, and which ends the dashboard fixes.
struct Bounds {
    low: f64,
    high: f64,
    low_fixed: bool,
    high_fixed: bool,
}

/// Zero is on the axis unless values are below it, and so are thresholds that are drawn.
fn plot_bounds(panel: &Panel, curves: &[Curve]) -> Bounds {
    let finite =
        || curves.iter().flat_map(|curve| curve.samples).map(|sample| sample.value).filter(|value| value.is_finite());
    let low = panel.defaults.min.unwrap_or_else(|| finite().fold(0.0, f64::min));
    let mut high = finite().fold(f64::NEG_INFINITY, f64::max);
    if panel.defaults.threshold_lines {
        let thresholds = panel.defaults.thresholds.iter().map(|step| step.value).filter(|value| value.is_finite());
        // Headroom, for the threshold's own label.
        high = thresholds.map(|value| value * 1.1).fold(high, f64::max);
    }
    Bounds {
        low,
        high: panel.defaults.max.unwrap_or(high.max(low)),
        low_fixed: panel.defaults.min.is_some(),
        high_fixed: panel.defaults.max.is_some(),
    }
}

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

fn time_axis(time: &Time, plot: Area, paint: &Paint) -> Markup {
    let ticks = time_ticks(time.range, plot.w, |text| font::width(text, LABEL, false));
    html! {
        line x1=(n(plot.x)) x2=(n(plot.right())) y1=(n(plot.bottom())) y2=(n(plot.bottom())) stroke=(paint.muted)
            stroke-opacity="0.5" {}
        @for (millis, label) in &ticks {
            // Unix milliseconds: exact as a float.
            @let x = time.x({ #[allow(clippy::cast_precision_loss)] let millis = *millis as f64; millis });
            @let half = font::width(label, LABEL, false) / 2.0;
            line x1=(n(x)) x2=(n(x)) y1=(n(plot.bottom())) y2=(n(plot.bottom() + 4.0)) stroke=(paint.muted)
                stroke-opacity="0.5" {}
            // A label at an end is moved inwards rather than left out or cut.
            text x=(n(x.clamp(plot.x - 8.0 + half, plot.right() + 8.0 - half))) y=(n(plot.bottom() + 15.0))
                font-size=(n(LABEL)) text-anchor="middle" fill=(paint.muted) { (label) }
        }
    }
}

fn threshold_lines(panel: &Panel, axis: &ValueAxis, plot: Area, paint: &Paint) -> Markup {
    let field = &panel.defaults;
    let in_view = |value: f64| value >= axis.low && value <= axis.high;
    let lines = field.thresholds.iter().skip(1).map(|step| (step.value, resolved(&step.color, paint)));
    html! {
        @if field.threshold_lines {
            @for (value, color) in lines.filter(|(value, _)| in_view(*value)) {
                @let y = plot.bottom() - axis.share(value) * plot.h;
                @let label = format::exact(&field.unit, value);
                @let width = font::width(&label, 9.5, true) + 8.0;
                // Above the line, or below it where the plot ends.
                @let top = if y - 15.0 < plot.y { y + 2.0 } else { y - 15.0 };
                line x1=(n(plot.x)) x2=(n(plot.right())) y1=(n(y)) y2=(n(y)) stroke=(color) stroke-width="1.2"
                    stroke-dasharray="6 4" {}
                rect x=(n(plot.right() - width)) y=(n(top)) width=(n(width)) height="13" rx="2" fill=(paint.paper)
                    fill-opacity="0.85" {}
                text x=(n(plot.right() - 4.0)) y=(n(top + 9.8)) font-size="9.5" font-weight="bold" text-anchor="end"
                    fill=(color) { (label) }
            }
        }
    }
}

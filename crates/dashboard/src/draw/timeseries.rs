//! Lines over time: axes in round numbers, gaps where there are no samples, thresholds, marks of faults and alerts, and
//! a legend with numbers.

mod lanes;
mod legend;
mod lines;
mod time;

use maud::{Markup, html};

use super::super::model::Panel;
use super::canvas::{Area, Canvas, Curve, n};
use super::font;
use super::scale::{ValueAxis, time_ticks};
use super::theme::{Paint, resolved};
use crate::format;
use lanes::{LANE, bars, lanes, shading, strip};
use legend::Legend;
use lines::{line, stacked};
use time::Time;

const LABEL: f64 = 10.0;
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
    let mut lines: Vec<(f64, String, String)> = field
        .thresholds
        .iter()
        .skip(1)
        .filter(|step| in_view(step.value))
        .map(|step| (step.value, format::exact(&field.unit, step.value), resolved(&step.color, paint)))
        .collect();
    // From above.
    lines.sort_by(|a, b| b.0.total_cmp(&a.0));
    let y = |value: f64| plot.bottom() - axis.share(value) * plot.h;
    let width = |label: &str| font::width(label, 9.5, true) + 8.0;
    let sizes: Vec<(f64, f64)> = lines.iter().map(|(value, label, _)| (y(*value), width(label))).collect();
    let places = beside_lines(&sizes, plot);
    html! {
        @if field.threshold_lines {
            @for ((value, label, color), (right, top)) in lines.iter().zip(places) {
                @let y = y(*value);
                @let width = width(label);
                line x1=(n(plot.x)) x2=(n(plot.right())) y1=(n(y)) y2=(n(y)) stroke=(color) stroke-width="1.2"
                    stroke-dasharray="6 4" {}
                rect x=(n(right - width)) y=(n(top)) width=(n(width)) height="13" rx="2" fill=(paint.paper)
                    fill-opacity="0.85" {}
                text x=(n(right - 4.0)) y=(n(top + 9.8)) font-size="9.5" font-weight="bold" text-anchor="end"
                    fill=(color) { (label) }
            }
        }
    }
}

/// Where the labels of lines stand, given by height and width, from above: each at the plot's right end above its line, or
/// below it where the plot ends or another's label stands, or else beside that. Right edge and top of each.
fn beside_lines(lines: &[(f64, f64)], plot: Area) -> Vec<(f64, f64)> {
    const HEIGHT: f64 = 13.0;
    let mut placed: Vec<(f64, f64, f64)> = Vec::new();
    for (y, width) in lines {
        let (above, below) = (y - 15.0, y + 2.0);
        let is_free = |right: f64, top: f64| {
            placed.iter().all(|(other, other_width, other_top)| {
                right <= other - other_width || other <= &(right - width) || (top - other_top).abs() >= HEIGHT
            })
        };
        let mut right = plot.right();
        let (right, top) = loop {
            let tops = if above < plot.y { [below, above] } else { [above, below] };
            let inside = |top: &&f64| **top >= plot.y && **top + HEIGHT <= plot.bottom() + 2.0;
            if let Some(top) = tops.iter().filter(inside).find(|top| is_free(right, **top)) {
                break (right, *top);
            }
            right -= width + 4.0;
            if right - width < plot.x {
                break (plot.right(), tops[0]);
            }
        };
        placed.push((right, *width, top));
    }
    placed.into_iter().map(|(right, _, top)| (right, top)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_of_a_line_lies_on_another() {
        let plot = Area { x: 0.0, y: 100.0, w: 300.0, h: 60.0 };
        assert_eq!(beside_lines(&[(130.0, 20.0), (150.0, 20.0)], plot), [(300.0, 115.0), (300.0, 135.0)], "apart");
        assert_eq!(beside_lines(&[(130.0, 20.0), (136.0, 20.0)], plot), [(300.0, 115.0), (300.0, 138.0)], "close");
        assert_eq!(beside_lines(&[(104.0, 20.0)], plot), [(300.0, 106.0)], "at the top");
        let three = beside_lines(&[(130.0, 20.0), (132.0, 20.0), (134.0, 20.0)], plot);
        assert_eq!(three, [(300.0, 115.0), (300.0, 134.0), (276.0, 119.0)]);
    }
}

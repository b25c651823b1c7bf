//! Lines over time: axes in round numbers, gaps where there are no samples, thresholds, marks of faults and alerts, and
//! a legend with numbers.

use maud::{Markup, html};

use super::super::model::{Calculation, Interpolation, Panel};
use super::canvas::{Area, Canvas, Curve, Mark, clean, n, shown};
use super::font;
use super::scale::{ValueAxis, time_ticks};
use super::theme::{Paint, resolved};
use crate::format;
use crate::query::TimeRange;

const LABEL: f64 = 10.0;
const LANE: f64 = 15.0;
const MOST_LANES: f64 = 3.0;
/// More areas than that hide one another.
const MOST_AREAS: usize = 4;
const LEGEND_ROW: f64 = 17.0;
const TIME_LABELS: f64 = 20.0;

pub(super) fn draw(panel: &Panel, curves: &[Curve], canvas: &Canvas, body: Area, paint: &Paint) -> Markup {
    let unit = &panel.defaults.unit;
    let legend = Legend::new(panel, curves, body);
    let wanted = plot_bounds(panel, curves);
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
        @for curve in curves { (line(curve, &time, &y, plot, curves.len() <= MOST_AREAS)) }
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
struct Time {
    range: TimeRange,
    across: Area,
}

impl Time {
    fn x(&self, millis: f64) -> f64 {
        // Unix milliseconds: exact as a float.
        #[allow(clippy::cast_precision_loss)]
        let (from, to) = (self.range.from_millis as f64, self.range.to_millis as f64);
        if to <= from {
            return self.across.x;
        }
        self.across.x + (millis - from) / (to - from) * self.across.w
    }

    /// The part of a mark that is in the picture.
    fn span(&self, mark: &Mark) -> Option<(f64, f64)> {
        if mark.to_millis < self.range.from_millis || mark.from_millis > self.range.to_millis {
            return None;
        }
        #[allow(clippy::cast_precision_loss)]
        let (from, to) = (self.x(mark.from_millis as f64), self.x(mark.to_millis as f64));
        Some((from.max(self.across.x), to.min(self.across.right()).max(from.max(self.across.x) + 1.0)))
    }
}

/// Which mark lies in which row, and where its label stands.
struct Lanes {
    rows: usize,
    placed: Vec<Placed>,
    /// Marks for which there was no room.
    hidden: usize,
}

struct Placed {
    label: String,
    row: usize,
    from: f64,
    to: f64,
    /// Where the label begins; none when there is no room for it.
    label_at: Option<f64>,
}

impl Placed {
    /// Whether its label stands anywhere between these.
    fn names(&self, from: f64, to: f64) -> bool {
        self.label_at.is_some_and(|at| from < at + font::width(&self.label, MARK_LABEL, false) && at < to)
    }
}

const MARK_LABEL: f64 = 9.5;

/// Marks that follow one another, in one row: each label as far as its own bar goes.
fn strip(marks: &[Mark], time: &Time) -> Lanes {
    let mut told_until = f64::NEG_INFINITY;
    let placed: Vec<Placed> = marks
        .iter()
        .filter_map(|mark| {
            let (from, to) = time.span(mark)?;
            let whole = clean(&mark.label);
            // What two runs at once did lies on one another: the first name stays to be read.
            let room = if from < told_until { 0.0 } else { to - from - 8.0 };
            // `error-rate: recovery`: what is at the end tells it from its neighbours.
            let fits = font::width(&whole, MARK_LABEL, false) <= room;
            let told = if fits { whole.as_str() } else { whole.rsplit(": ").next().unwrap_or(&whole) };
            let label = font::fitted(told, MARK_LABEL, false, room);
            if !label.is_empty() {
                told_until = from + 5.0 + font::width(&label, MARK_LABEL, false);
            }
            Some(Placed { label_at: (!label.is_empty()).then_some(from + 5.0), label, row: 0, from, to })
        })
        .collect();
    Lanes { rows: usize::from(!placed.is_empty()), placed, hidden: 0 }
}

/// Puts every mark and its label into the first row where they touch nobody: behind the bar's beginning, or before it
/// when the picture ends too soon. What finds no row stands in that of its own name, if there is one; else it
/// has no bar, for that would lie under another's name: it is counted, and the plot is tinted where it was.
fn lanes(marks: &[Mark], time: &Time, most: usize) -> Lanes {
    let mut taken: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut placed: Vec<Placed> = Vec::new();
    let mut hidden = 0;
    for mark in marks {
        let Some((from, to)) = time.span(mark) else { continue };
        let label = clean(&mark.label);
        let width = font::width(&label, MARK_LABEL, false) + 10.0;
        let (start, end, label_at) = if from + width <= time.across.right() {
            (from, to.max(from + width), Some(from + 5.0))
        } else if from - width >= time.across.x {
            (from - width, to, Some(from - width + 5.0))
        } else {
            (from, to, None)
        };
        let free = |row: &Vec<(f64, f64)>| row.iter().all(|(a, b)| end + 4.0 <= *a || *b + 4.0 <= start);
        let row = taken.iter().position(free).or_else(|| {
            (taken.len() < most).then(|| {
                taken.push(Vec::new());
                taken.len() - 1
            })
        });
        if let Some(row) = row {
            taken[row].push((start, end));
            placed.push(Placed { label, row, from, to, label_at });
            continue;
        }
        // Where nobody else is, its name stands already.
        let own = placed.iter().find(|one| one.label == label).map(|one| one.row);
        match own.filter(|row| placed.iter().all(|one| one.row != *row || one.label == label)) {
            Some(row) => {
                taken[row].push((from, to));
                placed.push(Placed { label, row, from, to, label_at: None });
            }
            None => hidden += 1,
        }
    }
    Lanes { rows: taken.len(), placed, hidden }
}

fn bars(lanes: &Lanes, top: f64, name: &str, plot: Area, (fill, ink): (&str, &str), paint: &Paint) -> Markup {
    html! {
        @if lanes.rows > 0 {
            text x=(n(plot.x - 6.0)) y=(n(top + 9.5)) font-size="9" text-anchor="end" fill=(paint.muted) {
                @if lanes.hidden > 0 && lanes.rows == 1 { "+" (lanes.hidden) } @else { (name) }
            }
            @if lanes.hidden > 0 && lanes.rows > 1 {
                text x=(n(plot.x - 6.0)) y=(n(top + LANE + 9.5)) font-size="9" text-anchor="end" fill=(paint.muted) {
                    "+" (lanes.hidden)
                }
            }
        }
        @for one in &lanes.placed {
            // A row's number: small.
            @let y = top + f64::from(u8::try_from(one.row).unwrap_or(0)) * LANE;
            rect x=(n(one.from)) y=(n(y)) width=(n(one.to - one.from)) height="12" rx="2" fill=(fill)
                fill-opacity="0.22" {}
            // Where another's name stands it would strike that through.
            @if !lanes.placed.iter().any(|other| other.row == one.row && other.names(one.from, one.from + 2.0)) {
                rect x=(n(one.from)) y=(n(y)) width="2" height="12" fill=(fill) {}
            }
        }
        // Above all bars, with a rim: a second bar of the same name may begin under it.
        @for one in &lanes.placed {
            @if let Some(at) = one.label_at {
                @let y = top + f64::from(u8::try_from(one.row).unwrap_or(0)) * LANE;
                text x=(n(at)) y=(n(y + 9.3)) font-size=(n(MARK_LABEL)) fill=(ink) stroke=(paint.paper)
                    stroke-width="2.5" stroke-linejoin="round" paint-order="stroke" {
                    (one.label)
                }
            }
        }
    }
}

/// Tints the plot where any of the marks is, and draws where each begins. Marks that overlap tint once: a darker place
/// would say something that isn't so.
fn shading(marks: &[Mark], time: &Time, plot: Area, fill: &str, opacity: &str) -> Markup {
    let mut spans: Vec<(f64, f64)> = marks.iter().filter_map(|mark| time.span(mark)).collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut merged: Vec<(f64, f64)> = Vec::new();
    for (from, to) in &spans {
        match merged.last_mut() {
            Some(last) if *from <= last.1 => last.1 = last.1.max(*to),
            _ => merged.push((*from, *to)),
        }
    }
    html! {
        @for (from, to) in &merged {
            rect x=(n(*from)) y=(n(plot.y)) width=(n(to - from)) height=(n(plot.h)) fill=(fill) fill-opacity=(opacity) {}
        }
        @for (from, _) in &spans {
            line x1=(n(*from)) x2=(n(*from)) y1=(n(plot.y)) y2=(n(plot.bottom())) stroke=(fill) stroke-opacity="0.7"
                stroke-dasharray="2 3" {}
        }
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

fn line(curve: &Curve, time: &Time, y: &impl Fn(f64) -> f64, plot: Area, filled: bool) -> Markup {
    let runs = runs(curve);
    let base = y(0.0);
    let opacity = if filled { curve.field.fill_opacity / 100.0 } else { 0.0 };
    let width = n(curve.field.line_width.max(1.0));
    html! {
        @for run in &runs {
            @let points: Vec<(f64, f64)> = run.iter().map(|(seconds, value)| (time.x(seconds * 1000.0), y(*value)))
                .filter(|(x, _)| *x >= plot.x - 0.5 && *x <= plot.right() + 0.5).collect();
            @if let ([(x, y)], true) = (points.as_slice(), points.len() == 1) {
                // A sample with no neighbour is a line of no length: a dot shows it.
                circle cx=(n(*x)) cy=(n(*y)) r="2" fill=(curve.color) {}
            } @else if let (Some(first), Some(last)) = (points.first(), points.last()) {
                @let path = path(&points, curve.field.interpolation);
                @if opacity > 0.0 {
                    path d={ (path) "L" (n(last.0)) " " (n(base)) "L" (n(first.0)) " " (n(base)) "Z" }
                        fill=(curve.color) fill-opacity=(n(opacity)) {}
                }
                path d=(path) fill="none" stroke=(curve.color) stroke-width=(width) stroke-linejoin="round"
                    stroke-linecap="round" {}
            }
        }
    }
}

/// Stretches of samples that are joined: a sample that is no number ends one, and so does a missing one.
fn runs(curve: &Curve) -> Vec<Vec<(f64, f64)>> {
    let mut runs: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    let mut last: Option<f64> = None;
    for sample in curve.samples {
        let missing = match (last, curve.step_seconds) {
            (Some(last), Some(step)) => sample.seconds - last > step * 1.5,
            _ => false,
        };
        let ends = !curve.field.span_nulls && (missing || sample.value.is_nan());
        if ends && runs.last().is_some_and(|run| !run.is_empty()) {
            runs.push(Vec::new());
        }
        if !sample.value.is_nan()
            && let Some(run) = runs.last_mut()
        {
            run.push((sample.seconds, sample.value));
        }
        last = Some(sample.seconds);
    }
    runs
}

fn path(points: &[(f64, f64)], interpolation: Interpolation) -> String {
    let mut path = String::with_capacity(points.len() * 14);
    let to = |path: &mut String, x: String, y: String| path.extend(["L", &x, " ", &y]);
    let mut before: Option<(f64, f64)> = None;
    for (x, y) in points {
        match before {
            None => path = format!("M{} {}", n(*x), n(*y)),
            Some(before) => {
                match interpolation {
                    Interpolation::Linear => {}
                    Interpolation::StepAfter => to(&mut path, n(*x), n(before.1)),
                    Interpolation::StepBefore => to(&mut path, n(before.0), n(*y)),
                }
                to(&mut path, n(*x), n(*y));
            }
        }
        before = Some((*x, *y));
    }
    path
}

/// The table under the plot: a name and a few numbers a series.
struct Legend {
    columns: Vec<Calculation>,
    rows: usize,
    more: usize,
    height: f64,
}

impl Legend {
    fn new(panel: &Panel, curves: &[Curve], body: Area) -> Legend {
        let none = Legend { columns: Vec::new(), rows: 0, more: 0, height: 0.0 };
        let Some(columns) = panel.legend.clone() else { return none };
        // A third of the panel is the plot's friend; more is its rival.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let most = ((body.h * 0.38 - LEGEND_ROW) / LEGEND_ROW).max(0.0) as usize;
        if most == 0 || curves.is_empty() {
            return none;
        }
        let rows = if curves.len() <= most { curves.len() } else { (most - 1).max(1) };
        let more = curves.len() - rows;
        // A count of rows: small.
        #[allow(clippy::cast_precision_loss)]
        let height = (rows + 1 + usize::from(more > 0)) as f64 * LEGEND_ROW;
        Legend { columns, rows, more, height }
    }

    fn draw(&self, curves: &[Curve], body: Area, paint: &Paint) -> Markup {
        const SIZE: f64 = 10.5;
        let cells: Vec<Vec<String>> = curves
            .iter()
            .take(self.rows)
            .map(|curve| {
                let values = curve.values();
                let cell =
                    |one: &Calculation| one.of(&values).map_or("–".to_owned(), |value| shown(&curve.field, value));
                self.columns.iter().map(cell).collect()
            })
            .collect();
        let widths: Vec<f64> = (0..self.columns.len())
            .map(|at| {
                let widest = cells.iter().map(|row| font::width(&row[at], SIZE, false)).fold(0.0, f64::max);
                widest.max(font::width(self.columns[at].title(), 9.5, false)) + 16.0
            })
            .collect();
        // The numbers stand beside the names, not across the picture from them.
        let names = curves.iter().take(self.rows).map(|curve| font::width(&curve.name, SIZE, false));
        let room = names.fold(0.0, f64::max).min(body.w - widths.iter().sum::<f64>() - 16.0) + 1.0;
        // The right edge of each column.
        let mut edge = body.x + 16.0 + room;
        let edges: Vec<f64> = widths
            .iter()
            .map(|width| {
                edge += width;
                edge
            })
            .collect();
        let top = body.bottom() - self.height + 13.0;
        html! {
            @if self.rows > 0 {
                @for (column, edge) in self.columns.iter().zip(&edges) {
                    text x=(n(*edge)) y=(n(top)) font-size="9.5" text-anchor="end" fill=(paint.muted) {
                        (column.title())
                    }
                }
                @for (at, (curve, row)) in curves.iter().zip(&cells).enumerate() {
                    // A row's number: small.
                    @let y = top + LEGEND_ROW * f64::from(u8::try_from(at + 1).unwrap_or(u8::MAX));
                    rect x=(n(body.x)) y=(n(y - 6.5)) width="10" height="4" rx="2" fill=(curve.color) {}
                    text x=(n(body.x + 16.0)) y=(n(y)) font-size=(n(SIZE)) fill=(paint.ink) {
                        (font::fitted(&curve.name, SIZE, false, room))
                    }
                    @for (cell, edge) in row.iter().zip(&edges) {
                        text x=(n(*edge)) y=(n(y)) font-size=(n(SIZE)) text-anchor="end" fill=(paint.ink) { (cell) }
                    }
                }
                @if self.more > 0 {
                    @let y = top + LEGEND_ROW * f64::from(u8::try_from(self.rows + 1).unwrap_or(u8::MAX));
                    text x=(n(body.x + 16.0)) y=(n(y)) font-size=(n(SIZE)) fill=(paint.muted) {
                        "and " (self.more) " more"
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bar_lies_under_the_name_of_another() {
        let time = Time {
            range: TimeRange { from_millis: 0, to_millis: 1000 },
            across: Area { x: 0.0, y: 0.0, w: 300.0, h: 100.0 },
        };
        let mark = |label: &str, from_millis, to_millis| Mark { from_millis, to_millis, label: label.to_owned() };
        let marks = [
            mark("AppTrafficDrop", 0, 900),
            mark("AppHighExceptionRate", 100, 200),
            mark("AppHigh5xxErrorRate", 150, 250),
            mark("AppHighExceptionRate", 240, 300),
        ];
        let drawn = lanes(&marks, &time, 2);
        let rows: Vec<(&str, usize)> = drawn.placed.iter().map(|one| (one.label.as_str(), one.row)).collect();
        assert_eq!(rows, [("AppTrafficDrop", 0), ("AppHighExceptionRate", 1), ("AppHighExceptionRate", 1)]);
        assert_eq!((drawn.rows, drawn.hidden), (2, 1));
        // The second bar of a name takes its place, too: what comes later stands beside neither.
        let later = mark("AppDown", 300, 310);
        let drawn = lanes(&[&marks[..], &[later]].concat(), &time, 2);
        assert_eq!((drawn.placed.len(), drawn.hidden), (3, 2));
    }

    #[test]
    fn of_phases_that_overlap_the_first_name_can_be_read() {
        let time = Time {
            range: TimeRange { from_millis: 0, to_millis: 1000 },
            across: Area { x: 0.0, y: 0.0, w: 500.0, h: 100.0 },
        };
        let mark = |label: &str, from_millis, to_millis| Mark { from_millis, to_millis, label: label.to_owned() };
        let drawn = strip(&[mark("one: busy", 0, 600), mark("other: quiet", 50, 700), mark("last", 750, 900)], &time);
        let told: Vec<&str> = drawn.placed.iter().map(|one| one.label.as_str()).collect();
        assert_eq!(told, ["one: busy", "", "last"]);
    }
}

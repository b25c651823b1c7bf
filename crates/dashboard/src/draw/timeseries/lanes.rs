//! What went on above and across the plot: marks of phases, faults and alerts in rows, each named where there is room.

use maud::{Markup, html};

use super::super::canvas::{Area, Mark, clean, n};
use super::super::font;
use super::super::theme::Paint;
use super::time::Time;

/// Which mark lies in which row, and where its label stands.
pub(super) struct Lanes {
    pub(super) rows: usize,
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

/// A row's height.
pub(super) const LANE: f64 = 15.0;

impl Lanes {
    /// Where a mark's bar begins to be seen: behind the name of an earlier one, where it began under that. The plot is tinted
    /// from its true beginning.
    fn seen_from(&self, one: &Placed) -> f64 {
        let earlier = self.placed.iter().filter(|other| other.row == one.row && other.from < one.from);
        let over = earlier.filter(|other| other.names(one.from, one.from + 2.0));
        let end = |other: &Placed| other.label_at.map(|at| at + font::width(&other.label, MARK_LABEL, false) + 3.0);
        over.filter_map(end).fold(one.from, f64::max)
    }
}

const MARK_LABEL: f64 = 9.5;

/// Marks that follow one another, in one row: each label as far as its own bar goes.
pub(super) fn strip(marks: &[Mark], time: &Time) -> Lanes {
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
pub(super) fn lanes(marks: &[Mark], time: &Time, most: usize) -> Lanes {
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

pub(super) fn bars(
    lanes: &Lanes,
    top: f64,
    name: &str,
    plot: Area,
    (fill, ink): (&str, &str),
    paint: &Paint,
) -> Markup {
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
            @let from = lanes.seen_from(one);
            @if from < one.to {
                rect x=(n(from)) y=(n(y)) width=(n(one.to - from)) height="12" rx="2" fill=(fill) fill-opacity="0.22" {}
            }
            // Where another's name stands it would strike that through.
            @if !lanes.placed.iter().any(|other| other.row == one.row && other.names(one.from, one.from + 2.0)) {
                rect x=(n(one.from)) y=(n(y)) width="2" height="12" fill=(fill) {}
            }
        }
        // With a rim: the bar that it begins in may end under it.
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
pub(super) fn shading(marks: &[Mark], time: &Time, plot: Area, fill: &str, opacity: &str) -> Markup {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::TimeRange;

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
        // The second one begins, to be seen, where the name ends.
        let [_, first, second] = &drawn.placed[..] else { panic!("three are drawn") };
        assert!(drawn.seen_from(second) > second.from && drawn.seen_from(first) <= first.from);
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

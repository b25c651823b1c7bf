//! Curves: what is joined and how, what is filled, and what stands on what.

use std::collections::BTreeMap;

use aiclipx_model::prom::answer::Sample;
use maud::{Markup, html};

use super::super::canvas::{Area, Curve, n};
use super::time::Time;
use crate::model::Interpolation;

/// A curve. It is filled down to zero, or, where it stands on others, to what is under it at each time.
pub(super) fn line(
    curve: &Curve,
    time: &Time,
    y: &impl Fn(f64) -> f64,
    plot: Area,
    filled: bool,
    under: Option<&BTreeMap<i64, f64>>,
) -> Markup {
    let runs = runs(curve);
    let base = y(0.0);
    let ground = |run: &[(f64, f64)]| -> Vec<(f64, f64)> {
        let at = |seconds: f64| under.and_then(|under| under.get(&key(seconds))).copied().unwrap_or(0.0);
        run.iter().rev().map(|(seconds, _)| (time.x(seconds * 1000.0), y(at(*seconds)))).collect()
    };
    let opacity = if filled { curve.field.fill_opacity / 100.0 } else { 0.0 };
    let width = n(curve.field.line_width.max(1.0));
    html! {
        @for run in &runs {
            @let points = run.iter().map(|(seconds, value)| (time.x(seconds * 1000.0), y(*value))).collect();
            @let points = in_plot(points, plot);
            @if let ([(x, y)], true) = (points.as_slice(), points.len() == 1) {
                // A sample with no neighbour is a line of no length: a dot shows it.
                circle cx=(n(*x)) cy=(n(*y)) r="2" fill=(curve.color) {}
            } @else if let (Some(first), Some(last)) = (points.first(), points.last()) {
                @let drawn = path(&points, curve.field.interpolation);
                @if opacity > 0.0 && under.is_some() {
                    @let ground = path(&in_plot(ground(run), plot), curve.field.interpolation.mirrored());
                    path d={ (drawn) (ground.replacen('M', "L", 1)) "Z" } fill=(curve.color) fill-opacity=(n(opacity)) {}
                } @else if opacity > 0.0 {
                    path d={ (drawn) "L" (n(last.0)) " " (n(base)) "L" (n(first.0)) " " (n(base)) "Z" }
                        fill=(curve.color) fill-opacity=(n(opacity)) {}
                }
                path d=(drawn) fill="none" stroke=(curve.color) stroke-width=(width) stroke-linejoin="round"
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

fn in_plot(mut points: Vec<(f64, f64)>, plot: Area) -> Vec<(f64, f64)> {
    points.retain(|(x, _)| *x >= plot.x - 0.5 && *x <= plot.right() + 0.5);
    points
}

fn path(points: &[(f64, f64)], interpolation: Interpolation) -> String {
    if interpolation == Interpolation::Smooth {
        return smooth(points);
    }
    let mut path = String::with_capacity(points.len() * 14);
    let to = |path: &mut String, x: String, y: String| path.extend(["L", &x, " ", &y]);
    let mut before: Option<(f64, f64)> = None;
    for (x, y) in points {
        match before {
            None => path = format!("M{} {}", n(*x), n(*y)),
            Some(before) => {
                match interpolation {
                    Interpolation::Linear | Interpolation::Smooth => {}
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

/// Through every point, and never higher or lower than the two it joins: the monotone cubic that Grafana draws.
fn smooth(points: &[(f64, f64)]) -> String {
    let Some((first, rest)) = points.split_first() else { return String::new() };
    let slope = |at: usize| (points[at + 1].1 - points[at].1) / (points[at + 1].0 - points[at].0);
    let tangent = |at: usize| -> f64 {
        if at == 0 {
            return slope(0);
        }
        if at == points.len() - 1 {
            return slope(at - 1);
        }
        let (before, after) = (slope(at - 1), slope(at));
        // Where it turns it is level.
        if before * after <= 0.0 {
            return 0.0;
        }
        let (left, right) = (points[at].0 - points[at - 1].0, points[at + 1].0 - points[at].0);
        let mean = 3.0 * (left + right) / ((2.0 * right + left) / before + (right + 2.0 * left) / after);
        if mean.is_finite() { mean } else { 0.0 }
    };
    let mut path = format!("M{} {}", n(first.0), n(first.1));
    for (at, (x, y)) in rest.iter().enumerate() {
        let (from, third) = (points[at], (x - points[at].0) / 3.0);
        let (leave, arrive) = (from.1 + tangent(at) * third, y - tangent(at + 1) * third);
        for (sign, (x, y)) in [("C", (from.0 + third, leave)), (" ", (x - third, arrive)), (" ", (*x, *y))] {
            path.extend([sign, &n(x), " ", &n(y)]);
        }
    }
    path
}

/// A time that tells samples apart.
fn key(seconds: f64) -> i64 {
    // Unix milliseconds: exact as a float.
    #[allow(clippy::cast_possible_truncation)]
    let millis = (seconds * 1000.0).round() as i64;
    millis
}

/// Samples that stand on one another, and what is under each curve at each time. What is below zero hangs from zero.
pub(super) type Stack = Vec<(Vec<Sample>, BTreeMap<i64, f64>)>;

/// Puts each curve on those before it.
pub(super) fn stacked(curves: &[Curve]) -> Stack {
    let (mut above, mut below): (BTreeMap<i64, f64>, BTreeMap<i64, f64>) = Default::default();
    let put = |curve: &Curve| {
        let is_negative = curve.samples.iter().all(|sample| sample.value.is_nan() || sample.value <= 0.0)
            && curve.samples.iter().any(|sample| sample.value < 0.0);
        let ground = if is_negative { &mut below } else { &mut above };
        let under = ground.clone();
        let on = |sample: &Sample| {
            let so_far = ground.entry(key(sample.seconds)).or_insert(0.0);
            if sample.value.is_finite() {
                *so_far += sample.value;
                Sample { value: *so_far, ..*sample }
            } else {
                *sample
            }
        };
        (curve.samples.iter().map(on).collect(), under)
    };
    curves.iter().map(put).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smooth_line_goes_through_every_point_and_beyond_none() {
        let path = smooth(&[(0.0, 0.0), (3.0, 9.0), (6.0, 9.0), (9.0, 0.0)]);
        assert_eq!(path, "M0 0C1 3 2 9 3 9C4 9 5 9 6 9C7 9 8 3 9 0");
        assert_eq!(smooth(&[(0.0, 0.0), (3.0, 3.0)]), "M0 0C1 1 2 2 3 3");
        assert_eq!((smooth(&[(1.0, 2.0)]), smooth(&[])), ("M1 2".to_owned(), String::new()));
        let rising = smooth(&[(0.0, 0.0), (3.0, 3.0), (6.0, 12.0)]);
        assert_eq!(rising, "M0 0C1 1 2 1.5 3 3C4 4.5 5 9 6 12");
    }
}

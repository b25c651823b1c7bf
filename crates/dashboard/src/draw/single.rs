//! One number a series: stat and bar gauge.

use maud::{Markup, html};

use super::super::model::Panel;
use super::canvas::{Area, Curve, missing, n, shown, value_color};
use super::font;
use super::scale::ValueAxis;
use super::theme::Paint;

/// What is shown of a curve; a curve without a number shows a dash.
fn reduced(panel: &Panel, curve: &Curve) -> Option<f64> {
    panel.calculations.first().and_then(|calculation| calculation.of(&curve.values())).filter(|value| !value.is_nan())
}

/// The scale's ends: the dashboard's, else what the unit suggests, else a round number above every value.
fn ends(panel: &Panel, curves: &[Curve]) -> (f64, f64) {
    let field = &panel.defaults;
    let largest = curves.iter().filter_map(|curve| reduced(panel, curve)).filter(|value| value.is_finite());
    let largest = largest.fold(0.0, f64::max);
    let low = field.min.unwrap_or(0.0);
    let high = field.max.unwrap_or_else(|| match field.unit.as_str() {
        "percentunit" => 1.0,
        "percent" => 100.0,
        unit => ValueAxis::new(low.min(0.0), largest.max(low), (true, false), unit, 4).high,
    });
    (low, if high > low { high } else { low + 1.0 })
}

/// Divides an area into equal tiles, as close as can be to a ratio of width to height.
fn tiles(count: usize, area: Area, wanted: f64) -> Vec<Area> {
    // A count of tiles: small.
    #[allow(clippy::cast_precision_loss)]
    let number = |count: usize| count as f64;
    let columns = (1..=count.max(1))
        .min_by(|a, b| {
            let stretch = |columns: usize| {
                let rows = count.div_ceil(columns);
                let ratio = (area.w / number(columns)) / (area.h / number(rows)) / wanted;
                libm::log(ratio.max(1e-6)).abs()
            };
            stretch(*a).total_cmp(&stretch(*b))
        })
        .unwrap_or(1);
    let rows = count.div_ceil(columns).max(1);
    let (w, h) = (area.w / number(columns), area.h / number(rows));
    let tile = |at: usize| Area { x: area.x + number(at % columns) * w, y: area.y + number(at / columns) * h, w, h };
    (0..count).map(tile).collect()
}

/// The largest size at which a text fits.
fn fitting_size(text: &str, width: f64, height: f64) -> f64 {
    let at_one = font::width(text, 1.0, true).max(0.1);
    (width / at_one).min(height).clamp(9.0, 64.0)
}

pub(super) fn stats(panel: &Panel, curves: &[Curve], body: Area, paint: &Paint) -> Markup {
    let named = curves.len() > 1;
    html! {
        @for (curve, tile) in curves.iter().zip(tiles(curves.len(), body, 2.2)) {
            @let inner = Area { x: tile.x + 3.0, y: tile.y + 3.0, w: tile.w - 6.0, h: tile.h - 6.0 };
            @let value = reduced(panel, curve);
            @let text = value.map_or_else(|| missing(&curve.field), |value| shown(&curve.field, value));
            @let color = value.map_or(paint.muted.to_owned(), |value| value_color(&curve.field, value, paint));
            @let ink = if panel.plain { paint.ink } else { &color };
            @let drawn = panel.sparkline && curve.samples.len() > 1 && inner.h > 60.0;
            @let graph = Area { y: inner.bottom() - inner.h * 0.36, h: inner.h * 0.36, ..inner };
            @let upper = if drawn { inner.h * 0.64 } else { inner.h };
            @let name_height = if named { 16.0 } else { 0.0 };
            @let size = fitting_size(&text, inner.w - 16.0, (upper - name_height) * 0.62);
            @let baseline = inner.y + name_height + (upper - name_height) / 2.0 + size * 0.36;
            @if drawn { (sparkline(curve, graph, &color)) }
            @if named {
                text x=(n(inner.middle())) y=(n(inner.y + 14.0)) font-size="11" text-anchor="middle" fill=(paint.muted) {
                    (font::fitted(&curve.name, 11.0, false, inner.w - 8.0))
                }
            }
            text x=(n(inner.middle())) y=(n(baseline)) font-size=(n(size)) font-weight="bold" text-anchor="middle"
                fill=(ink) { (text) }
        }
    }
}

fn sparkline(curve: &Curve, area: Area, color: &str) -> Markup {
    let samples: Vec<_> = curve.samples.iter().filter(|sample| sample.value.is_finite()).collect();
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return html! {} };
    let low = samples.iter().map(|sample| sample.value).fold(0.0, f64::min);
    let high = samples.iter().map(|sample| sample.value).fold(f64::NEG_INFINITY, f64::max);
    let length = (last.seconds - first.seconds).max(1e-9);
    let height = if high > low { high - low } else { 1.0 };
    let points: Vec<String> = samples
        .iter()
        .map(|sample| {
            let x = area.x + (sample.seconds - first.seconds) / length * area.w;
            format!("{} {}", n(x), n(area.bottom() - (sample.value - low) / height * (area.h - 2.0)))
        })
        .collect();
    let path = format!("M{}", points.join("L"));
    html! {
        path d={ (path) "L" (n(area.right())) " " (n(area.bottom())) "L" (n(area.x)) " " (n(area.bottom())) "Z" }
            fill=(color) fill-opacity="0.12" {}
        path d=(path) fill="none" stroke=(color) stroke-width="1.5" stroke-linejoin="round" {}
    }
}

pub(super) fn bars(panel: &Panel, curves: &[Curve], body: Area, paint: &Paint) -> Markup {
    const NAME: f64 = 11.5;
    let (low, high) = ends(panel, curves);
    // A count of rows: small.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let most = ((body.h / 20.0) as usize).max(1);
    let rows = if curves.len() <= most { curves.len() } else { most - 1 };
    let more = curves.len() - rows;
    #[allow(clippy::cast_precision_loss)]
    let height = ((body.h - if more > 0 { 18.0 } else { 0.0 }) / rows.max(1) as f64).min(46.0);
    let value = |curve: &Curve| reduced(panel, curve);
    let text = |curve: &Curve| value(curve).map_or_else(|| missing(&curve.field), |value| shown(&curve.field, value));
    let shown_curves = || curves.iter().take(rows);
    let names = shown_curves().map(|curve| font::width(&curve.name, NAME, false)).fold(0.0, f64::max);
    let names = names.min(body.w * 0.38);
    let values = shown_curves().map(|curve| font::width(&text(curve), NAME, true)).fold(0.0, f64::max);
    let track = Area { x: body.x + names + 10.0, w: (body.w - names - values - 20.0).max(10.0), ..body };
    html! {
        @for (at, curve) in shown_curves().enumerate() {
            // A row's number: small.
            @let top = body.y + height * f64::from(u8::try_from(at).unwrap_or(u8::MAX));
            @let middle = top + height / 2.0;
            @let bar = (height * 0.56).clamp(8.0, 22.0);
            @let color = value(curve).map_or(paint.muted.to_owned(), |value| {
                value_color(&curve.field, value, paint)
            });
            @let share = value(curve).map_or(0.0, |value| ((value - low) / (high - low)).clamp(0.0, 1.0));
            text x=(n(body.x)) y=(n(middle + 4.0)) font-size=(n(NAME)) fill=(paint.ink) {
                (font::fitted(&curve.name, NAME, false, names + 1.0))
            }
            rect x=(n(track.x)) y=(n(middle - bar / 2.0)) width=(n(track.w)) height=(n(bar)) rx="3" fill=(paint.track) {}
            @if share > 0.0 {
                rect x=(n(track.x)) y=(n(middle - bar / 2.0)) width=(n((track.w * share).max(2.0))) height=(n(bar))
                    rx="3" fill=(color) {}
            }
            text x=(n(body.right())) y=(n(middle + 4.0)) font-size=(n(NAME)) font-weight="bold" text-anchor="end"
                fill=(paint.ink) { (text(curve)) }
        }
        @if more > 0 {
            text x=(n(body.x)) y=(n(body.bottom() - 2.0)) font-size="10.5" fill=(paint.muted) { "and " (more) " more" }
        }
    }
}

//! A panel and what Prometheus answered, as one SVG.
//!
//! Deterministic: the same panel, frames and canvas give the same bytes on every machine, because text is measured by a
//! table and numbers are written by us. Self-contained: presentation attributes only, no style sheet, no script, no
//! id, no request; so many of them share a page, under any content policy. Texts come from labels and may be hostile:
//! they are escaped, and characters XML can't hold are replaced. A panel without data says so in its place, and one of whose looks something is
//! not drawn here says what.

mod canvas;
mod font;
mod scale;
mod single;
mod table;
pub mod theme;
mod timeseries;

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::model::{Kind, Panel};
use super::query;
use canvas::{Area, Curve, n};
pub use canvas::{Canvas, Frame, Mark, clean};
pub use scale::written;
use theme::{Paint, resolved};

const PADDING: f64 = 12.0;
const TITLE_SIZE: f64 = 13.0;
const HEAD_HEIGHT: f64 = 34.0;

/// Draws a panel.
pub fn panel_svg(panel: &Panel, frames: &[Frame], canvas: &Canvas) -> String {
    let paint = canvas.theme.paint();
    let (width, height) = (f64::from(canvas.width.max(120)), f64::from(canvas.height.max(60)));
    let curves = curves(panel, frames, &paint);
    let body = Area { x: PADDING, y: HEAD_HEIGHT, w: width - 2.0 * PADDING, h: height - HEAD_HEIGHT - PADDING };
    let has_data = curves.iter().any(|curve| curve.samples.iter().any(|sample| !sample.value.is_nan()));
    let dated = canvas.dated && panel.kind != Kind::Row;
    let date = if dated { dates(canvas, panel) } else { String::new() };
    let date_width = font::width(&date, 10.0, false);
    let title = font::fitted(&panel.title, TITLE_SIZE, true, body.w - date_width - 12.0);
    let content = match &panel.kind {
        Kind::Row => html! {},
        Kind::Logs(_) => words("Logs are not drawn here: `aiclipx logs` shows them", body, &paint),
        Kind::Undrawn(kind) => words(&format!("A panel of type “{}” is not drawn here", clean(kind)), body, &paint),
        _ if !panel.undrawn.is_empty() => words(&clean(&undrawn(panel)), body, &paint),
        _ if !has_data => words(&clean(panel.defaults.no_value.as_deref().unwrap_or("No data")), body, &paint),
        Kind::Timeseries => timeseries::draw(panel, &curves, canvas, body, &paint),
        Kind::Stat => single::stats(panel, &curves, body, &paint),
        Kind::BarGauge => single::bars(panel, &curves, body, &paint),
        Kind::Table => table::draw(panel, &curves, body, &paint),
    };
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (n(width)) " " (n(height)) } width=(n(width))
            height=(n(height)) role="img" aria-label=(clean(&panel.title)) font-family=(font::FAMILY) {
            title { (clean(&panel.title)) }
            @if !panel.description.is_empty() { desc { (clean(&panel.description)) } }
            rect x="0.5" y="0.5" width=(n(width - 1.0)) height=(n(height - 1.0)) rx="6" fill=(paint.paper)
                stroke=(paint.border) {}
            text x=(n(PADDING)) y="22" font-size=(n(TITLE_SIZE)) font-weight="bold" fill=(paint.ink) { (clean(&title)) }
            @if dated {
                text x=(n(width - PADDING)) y="22" font-size="10" text-anchor="end" fill=(paint.muted) { (date) }
            }
            (content)
        }
    }
    .into_string()
}

/// Why a panel is not drawn, in a line.
fn undrawn(panel: &Panel) -> String {
    let first = panel.undrawn.first().map_or("", |finding| finding.what.as_str());
    let what = first.split_once(", field ").map_or(first, |(_, what)| what);
    match panel.undrawn.len() {
        0 | 1 => format!("Not drawn here: {what}"),
        many => format!("Not drawn here: {what} (and {} more)", many - 1),
    }
}

/// The day, or days, and the time of a value that has no axis.
fn dates(canvas: &Canvas, panel: &Panel) -> String {
    let day = |millis| written(millis, "%Y-%m-%d");
    let (from, to) = (day(canvas.range.from_millis), day(canvas.range.to_millis));
    match &panel.kind {
        Kind::Undrawn(_) | Kind::Logs(_) => String::new(),
        _ if !panel.undrawn.is_empty() => String::new(),
        Kind::Timeseries if from == to => format!("{to} UTC"),
        Kind::Timeseries => format!("{from} – {to} UTC"),
        _ => written(canvas.range.to_millis, "%Y-%m-%d %H:%M:%S UTC"),
    }
}

fn curves<'a>(panel: &Panel, frames: &'a [Frame], paint: &Paint) -> Vec<Curve<'a>> {
    let mut curves: Vec<Curve> = Vec::new();
    for frame in frames {
        let all: Vec<&BTreeMap<String, String>> = frame.series.iter().map(|series| &series.labels).collect();
        // A step is at most days: exact as a float.
        #[allow(clippy::cast_precision_loss)]
        let step_seconds = match frame.query.kind {
            query::QueryKind::Range { step_millis, .. } => Some(step_millis as f64 / 1000.0),
            query::QueryKind::Instant { .. } => None,
        };
        for series in &frame.series {
            let own = query::legend(&frame.query, &series.labels, &all);
            let field = panel.field(&own, &frame.query.ref_id);
            let color = match &field.color {
                Some(color) => resolved(color, paint),
                None => paint.series(curves.len()),
            };
            let name = clean(field.display_name.as_ref().unwrap_or(&own));
            curves.push(Curve {
                name,
                field,
                color,
                samples: &series.samples,
                labels: &series.labels,
                ref_id: &frame.query.ref_id,
                step_seconds,
            });
        }
    }
    curves
}

/// A few muted words in the middle of an area.
fn words(what: &str, area: Area, paint: &Paint) -> Markup {
    let fitted = font::fitted(what, 13.0, false, area.w);
    html! {
        text x=(n(area.middle())) y=(n(area.y + area.h / 2.0)) font-size="13" text-anchor="middle" fill=(paint.muted) {
            (fitted)
        }
    }
}

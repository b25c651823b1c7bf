//! A row a series: its labels, then its values.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::model::Panel;
use super::canvas::{Area, Curve, clean, missing, n, shown};
use super::font;
use super::theme::Paint;

const SIZE: f64 = 11.0;
const ROW: f64 = 20.0;
const GAP: f64 = 14.0;

struct Column {
    title: String,
    numeric: bool,
    cells: Vec<String>,
    /// What rows are sorted by: the number of a numeric column.
    keys: Vec<f64>,
}

/// A row: its labels, and the value of each query that has one.
type Row<'a> = (&'a BTreeMap<String, String>, BTreeMap<&'a str, f64>);

pub(super) fn draw(panel: &Panel, curves: &[Curve], body: Area, paint: &Paint) -> Markup {
    let mut columns = columns(panel, curves);
    let count = columns.first().map_or(0, |column| column.cells.len());
    sort(panel, &mut columns, count);
    // A count of rows: small.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let most = (((body.h - ROW) / ROW).max(1.0)) as usize;
    let rows = if count <= most { count } else { most - 1 };
    let widths = widths(&columns, rows, body.w);
    let mut starts = Vec::new();
    let mut x = body.x;
    for width in &widths {
        starts.push(x);
        x += width + GAP;
    }
    html! {
        @for ((column, width), start) in columns.iter().zip(&widths).zip(&starts) {
            @let (x, anchor) = if column.numeric { (start + width, "end") } else { (*start, "start") };
            text x=(n(x)) y=(n(body.y + 12.0)) font-size="10.5" font-weight="bold" text-anchor=(anchor)
                fill=(paint.muted) { (font::fitted(&column.title, 10.5, true, *width)) }
            @for (at, cell) in column.cells.iter().take(rows).enumerate() {
                @let y = body.y + ROW * f64::from(u16::try_from(at + 1).unwrap_or(u16::MAX)) + 14.0;
                text x=(n(x)) y=(n(y)) font-size=(n(SIZE)) text-anchor=(anchor) fill=(paint.ink) {
                    (font::fitted(cell, SIZE, false, *width))
                }
            }
        }
        @for at in 0..=rows {
            @let y = body.y + ROW * f64::from(u16::try_from(at + 1).unwrap_or(u16::MAX));
            line x1=(n(body.x)) x2=(n(body.right())) y1=(n(y)) y2=(n(y)) stroke=(paint.grid) {}
        }
        @if rows < count {
            text x=(n(body.x)) y=(n(body.bottom() - 3.0)) font-size="10.5" fill=(paint.muted) {
                "and " (count - rows) " more"
            }
        }
    }
}

/// A series' labels without its name, which a plain selector keeps and a function drops.
fn told(labels: &BTreeMap<String, String>) -> impl Iterator<Item = (&String, &String)> {
    labels.iter().filter(|(key, _)| *key != "__name__")
}

/// The labels as columns, then a value column a query; series with the same labels share a row.
fn columns(panel: &Panel, curves: &[Curve]) -> Vec<Column> {
    let mut rows: Vec<Row> = Vec::new();
    let mut queries: Vec<&str> = Vec::new();
    for curve in curves {
        if !queries.contains(&curve.ref_id) {
            queries.push(curve.ref_id);
        }
        let Some(value) = panel.calculations.first().and_then(|one| one.of(&curve.values())) else { continue };
        match rows.iter_mut().find(|(labels, values)| {
            // One query never shares a row with itself: its series are different ones.
            told(labels).eq(told(curve.labels)) && !values.contains_key(curve.ref_id)
        }) {
            Some((_, values)) => _ = values.insert(curve.ref_id, value),
            None => rows.push((curve.labels, BTreeMap::from([(curve.ref_id, value)]))),
        }
    }
    let mut labels: Vec<&String> = Vec::new();
    for (key, _) in rows.iter().flat_map(|(labels, _)| told(labels)) {
        if !labels.contains(&key) {
            labels.push(key);
        }
    }
    let shown_name = |own: &str| clean(panel.columns.renamed.get(own).map_or(own, String::as_str));
    let hidden = |own: &str| panel.columns.hidden.iter().any(|hidden| hidden == own);
    let order = |own: &str| panel.columns.order.get(own).copied().unwrap_or(u32::MAX);
    let mut columns: Vec<(u32, Column)> = Vec::new();
    for label in labels.into_iter().filter(|label| !hidden(label)) {
        let cells = rows.iter().map(|(labels, _)| clean(labels.get(label).map_or("", String::as_str))).collect();
        columns.push((order(label), Column { title: shown_name(label), numeric: false, cells, keys: Vec::new() }));
    }
    for query in &queries {
        let own = if queries.len() > 1 { format!("Value #{query}") } else { "Value".to_owned() };
        if hidden(&own) {
            continue;
        }
        let title = shown_name(&own);
        let mut field = panel.field(&own, query);
        if title != own {
            // Overrides go by the name shown; both are honoured, the shown one last.
            let by_title = panel.field(&title, query);
            if by_title != panel.defaults {
                field = by_title;
            }
        }
        let value = |values: &BTreeMap<&str, f64>| values.get(query).copied();
        let cells =
            rows.iter().map(|(_, values)| value(values).map_or_else(|| missing(&field), |one| shown(&field, one)));
        let keys = rows.iter().map(|(_, values)| value(values).unwrap_or(f64::NEG_INFINITY)).collect();
        let title = field.display_name.as_deref().map_or(title, clean);
        columns.push((order(&own), Column { title, numeric: true, cells: cells.collect(), keys }));
    }
    columns.sort_by_key(|(order, _)| *order);
    columns.into_iter().map(|(_, column)| column).collect()
}

fn sort(panel: &Panel, columns: &mut [Column], count: usize) {
    let Some((title, down)) = &panel.columns.sort else { return };
    let Some(by) = columns.iter().find(|column| column.title == *title) else { return };
    let mut rows: Vec<usize> = (0..count).collect();
    rows.sort_by(|a, b| {
        let order = if by.numeric { by.keys[*a].total_cmp(&by.keys[*b]) } else { by.cells[*a].cmp(&by.cells[*b]) };
        if *down { order.reverse() } else { order }
    });
    for column in columns {
        column.cells = rows.iter().map(|row| column.cells[*row].clone()).collect();
    }
}

/// Every column as wide as its widest cell; when that is too much, the widest give way first. What is left goes to the
/// columns alike.
fn widths(columns: &[Column], rows: usize, room: f64) -> Vec<f64> {
    let widths: Vec<f64> = columns
        .iter()
        .map(|column| {
            let cells = column.cells.iter().take(rows).map(|cell| font::width(cell, SIZE, false));
            cells.fold(font::width(&column.title, 10.5, true), f64::max) + 1.0
        })
        .collect();
    // A count of columns: small.
    #[allow(clippy::cast_precision_loss)]
    let number = columns.len().max(1) as f64;
    let room = room - GAP * (number - 1.0);
    let total: f64 = widths.iter().sum();
    if total <= room {
        return widths.into_iter().map(|width| width + (room - total) / number).collect();
    }
    let mut sorted = widths.clone();
    sorted.sort_by(f64::total_cmp);
    // The width that, as everybody's most, makes them fit.
    let (mut left, mut many) = (room.max(0.0), number);
    let mut most = left / many;
    for width in sorted {
        if width <= left / many {
            left -= width;
            many -= 1.0;
        }
        most = left / many.max(1.0);
    }
    widths.into_iter().map(|width| width.min(most)).collect()
}

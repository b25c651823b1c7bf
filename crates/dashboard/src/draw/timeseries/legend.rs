//! The table under the plot.

use maud::{Markup, html};

use super::super::canvas::{Area, Curve, n, shown};
use super::super::font;
use super::super::theme::Paint;
use crate::model::{Calculation, Panel};

const LEGEND_ROW: f64 = 17.0;

/// The table under the plot: a name and a few numbers a series.
pub(super) struct Legend {
    columns: Vec<Calculation>,
    rows: usize,
    more: usize,
    pub(super) height: f64,
}

impl Legend {
    pub(super) fn new(panel: &Panel, curves: &[Curve], body: Area) -> Legend {
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

    pub(super) fn draw(&self, curves: &[Curve], body: Area, paint: &Paint) -> Markup {
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

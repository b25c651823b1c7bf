//! Panels and rows that stand there once for each value of a variable.

use std::collections::BTreeMap;

use super::{Dashboard, Grid, Kind, Panel};

impl Dashboard {
    /// With every repeated panel and row as often as there are values chosen, each for one of them; what stands below moves down.
    /// The first of them keeps its id, and the others get some that nobody has.
    #[must_use]
    pub fn repeated(&self, chosen: &BTreeMap<String, Vec<String>>) -> Dashboard {
        let values = |panel: &Panel| {
            let repeat = panel.asking.repeat.as_ref()?;
            chosen.get(&repeat.variable).filter(|values| !values.is_empty() && !values.contains(&super::ALL.to_owned()))
        };
        let mut repeated = self.clone();
        let mut next = self.panels.iter().map(|panel| panel.id).max().unwrap_or(0);
        for row in self.panels.iter().filter(|panel| panel.kind == Kind::Row) {
            if let Some(values) = values(row) {
                repeat_row(&mut repeated.panels, row, values, &mut next);
            }
        }
        for panel in repeated.panels.clone().iter().filter(|panel| panel.kind != Kind::Row) {
            let own =
                panel.asking.repeat.as_ref().is_some_and(|one| panel.asking.stands_for.contains_key(&one.variable));
            if let Some(values) = values(panel).filter(|_| !own) {
                repeat_panel(&mut repeated.panels, panel, values, &mut next);
            }
        }
        repeated
    }
}

/// A copy of a panel that stands for one value.
fn copy(panel: &Panel, variable: &str, value: &str, id: u32) -> Panel {
    let mut copy = panel.clone();
    copy.id = id;
    copy.asking.stands_for.insert(variable.to_owned(), value.to_owned());
    copy
}

fn new_id(next: &mut u32) -> u32 {
    *next = next.saturating_add(1);
    *next
}

/// Moves down what stands beside one another in the same row or in none, from a height on.
fn make_room(panels: &mut [Panel], within: Option<u32>, from: u32, by: u32) {
    for panel in panels.iter_mut().filter(|panel| panel.within == within && panel.grid.y >= from) {
        panel.grid.y = panel.grid.y.saturating_add(by);
    }
}

fn repeat_panel(panels: &mut Vec<Panel>, panel: &Panel, values: &[String], next: &mut u32) {
    let Some(repeat) = &panel.asking.repeat else { return };
    let Some(at) = panels.iter().position(|one| one.id == panel.id) else { return };
    let Grid { y, h, w, .. } = panels[at].grid;
    let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
    let (width, beside) = if repeat.is_vertical {
        (w, 1)
    } else {
        let beside = count.min(repeat.per_row).clamp(1, 24);
        (24 / beside, beside)
    };
    let more = count.div_ceil(beside).saturating_sub(1);
    make_room(panels, panel.within, y.saturating_add(h.max(1)), more.saturating_mul(h));
    let mut copies = Vec::new();
    for (index, value) in (0..).zip(values) {
        let id = if index == 0 { panel.id } else { new_id(next) };
        let mut copy = copy(&panels[at], &repeat.variable, value, id);
        copy.grid.w = width;
        copy.grid.x = if repeat.is_vertical { copy.grid.x } else { index % beside * width };
        copy.grid.y = y.saturating_add((index / beside).saturating_mul(h));
        copies.push(copy);
    }
    panels.splice(at..=at, copies);
}

/// A row with what stands under it: what it holds, or what follows it down to the next row.
fn repeat_row(panels: &mut Vec<Panel>, row: &Panel, values: &[String], next: &mut u32) {
    let Some(repeat) = &row.asking.repeat else { return };
    let Some(own) = panels.iter().find(|panel| panel.id == row.id).cloned() else { return };
    let rows = panels.iter().filter(|panel| panel.kind == Kind::Row && panel.grid.y > own.grid.y);
    let end = rows.map(|row| row.grid.y).min().unwrap_or(u32::MAX);
    let is_under = |panel: &Panel| {
        let follows = panel.within.is_none() && panel.kind != Kind::Row;
        panel.within == Some(own.id) || follows && (own.grid.y..end).contains(&panel.grid.y)
    };
    let under: Vec<Panel> = panels.iter().filter(|panel| is_under(panel)).cloned().collect();
    let low =
        under.iter().filter(|panel| panel.within.is_none()).map(|panel| panel.grid.y.saturating_add(panel.grid.h));
    let height = low.max().unwrap_or(0).max(own.grid.y.saturating_add(1)) - own.grid.y;
    let more = u32::try_from(values.len()).unwrap_or(u32::MAX).saturating_sub(1);
    make_room(panels, None, end, height.saturating_mul(more));
    for panel in panels.iter_mut().filter(|panel| panel.id == own.id || under.iter().any(|one| one.id == panel.id)) {
        panel.asking.stands_for.insert(repeat.variable.clone(), values[0].clone());
    }
    for (index, value) in (1..).zip(&values[1..]) {
        let down = height.saturating_mul(index);
        let mut head = copy(&own, &repeat.variable, value, new_id(next));
        head.grid.y = head.grid.y.saturating_add(down);
        let id = head.id;
        panels.push(head);
        for panel in &under {
            let mut copy = copy(panel, &repeat.variable, value, new_id(next));
            if copy.within.is_some() {
                copy.within = Some(id);
            } else {
                copy.grid.y = copy.grid.y.saturating_add(down);
            }
            panels.push(copy);
        }
    }
}

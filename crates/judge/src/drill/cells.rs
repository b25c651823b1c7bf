//! What must hold of each alert: the cells of its row.
//!
//! Each is decided on all scenes in which a test asks about the alert. What is shown to be false fails, whatever else could not be
//! seen; a cell of which a part could not be lived is not proven; one about nothing is never green.

use std::collections::{BTreeMap, BTreeSet};

use super::course::{Course, as_seen, as_told};
use super::given::Given;
use super::plan::{Plan, Scene, no_rule};
use super::record::Record;
use super::rows::{Row, Whose};
use super::stage::Stage;
use super::tally::{Cell, Column, Tally};
use crate::finding::first_of;
use aiclipx_model::drill::grid;
use aiclipx_model::drill::reading::in_words;
use aiclipx_model::drill::scene::millis;

/// A scene with what was recorded of it; none where nothing was.
pub type Seen<'a> = (&'a Scene, Option<&'a Record>);

/// What cells are decided on.
pub struct Basis<'a> {
    pub given: &'a Given,
    pub plan: &'a Plan,
    pub scenes: &'a [Seen<'a>],
    /// Why nothing was recorded of a scene.
    pub unfinished: &'a BTreeMap<String, String>,
}

/// Every cell of a row.
pub fn of_row(basis: &Basis<'_>, row: &Row) -> Vec<Cell> {
    Column::of(row).map(|column| cell(basis, row, column)).collect()
}

fn cell(basis: &Basis<'_>, row: &Row, column: Column) -> Cell {
    let Basis { given, plan, scenes, unfinished } = *basis;
    let mut tally = Tally::default();
    let concerns = |file: usize| row.is_among(&plan.rules[file]);
    let refused = plan.refused.iter().filter(|one| one.alert == row.alert && concerns(one.file));
    tally.open.extend(refused.map(|one| one.why.clone()));
    for (scene, record) in scenes.iter().filter(|(one, _)| one.alerts.contains(&row.alert) && concerns(one.file)) {
        let Some(record) = record else {
            let why = unfinished.get(&scene.name).map_or("nothing was recorded", String::as_str);
            tally.disturbed.push(format!("{}: {why}", scene.place(given)));
            continue;
        };
        let disturbances = record.disturbances(scene.asked(given).map(|one| millis(one.at)));
        if !disturbances.is_empty() {
            tally.disturbed.push(format!("{}: {}", scene.place(given), first_of(disturbances)));
            continue;
        }
        let rules = &plan.rules[scene.file];
        if !grid::is_on_it(rules, &BTreeSet::from([row.alert.as_str()]), &record.run.stretch, record.run.origin_ms) {
            let place = scene.place(given);
            tally.open.push(format!("{place}: it began where its subqueries see other points than promtool's"));
            continue;
        }
        let stage = Stage::of((given, scene, record), row, rules);
        tally.open.extend(stage.unknown());
        match column {
            Column::Fires => stage.fires(&mut tally),
            Column::ToldTo => stage.told_to(&mut tally),
            Column::Text => stage.text(&mut tally),
            Column::Resolves => stage.resolves(&mut tally),
        }
    }
    if column == Column::Fires
        && let Some(why) = no_rule(given, row)
    {
        if tally.fails.is_empty() { tally.open.push(why) } else { tally.fails.insert(0, why) }
    }
    if tally.population == 0 && tally.open.is_empty() && tally.disturbed.is_empty() {
        tally.open.push(nothing_shown(basis, row, column).to_owned());
    }
    if column == Column::ToldTo {
        tally.open.extend(unseen(basis, row));
    }
    tally.decided(row, column)
}

/// What is said of whom the row's alerts are meant for, and of what keeps them quiet, that no scene shows anything of.
fn unseen(basis: &Basis<'_>, row: &Row) -> Vec<String> {
    let Basis { given, plan, scenes, .. } = *basis;
    let mut unseen = Vec::new();
    for meant in given.expected.iter().filter(|one| one.alert == row.alert && row.may_have(&one.labels)) {
        let (mut is_seen, mut beside) = (false, BTreeSet::new());
        for (scene, record) in scenes {
            let external = &scene.group(given).external_labels;
            let about = scene.asked(given).flat_map(|test| &test.expected);
            for expected in about.filter(|one| meant.is_about(&as_told(&one.labels, external))) {
                is_seen = true;
                let Some(record) = record else { continue };
                let labels = as_seen(record, &plan.rules[scene.file], &expected.labels, 0);
                let course = Course::of(record, &given.configuration, external, &labels);
                let is_beside = |by: &&String| !course.beside(record, &given.configuration, external, by)[0].is_empty();
                beside.extend(meant.inhibited_by.iter().filter(is_beside));
            }
        }
        let place = meant.place();
        if !is_seen {
            unseen.push(format!("{place}: no unit test expects it with {}", in_words(&meant.labels)));
        }
        let never = meant.inhibited_by.iter().filter(|by| is_seen && !beside.contains(by));
        unseen.extend(never.map(|by| format!("{place}: no unit test has it fire beside {by}")));
    }
    unseen
}

/// Why nothing is shown of a row in a column.
fn nothing_shown(basis: &Basis<'_>, row: &Row, column: Column) -> &'static str {
    let files = basis.given.tests.iter().zip(&basis.plan.rules).filter(|(_, rules)| row.is_among(rules));
    let asked = files.flat_map(|(file, rules)| {
        let asked = file.tests.iter().flat_map(|test| &test.alerts).filter(|one| one.alert == row.alert);
        asked.map(move |one| one.expected.iter().any(|one| row.whose(rules, &one.labels) == Whose::Own))
    });
    let asked: Vec<bool> = asked.collect();
    if asked.is_empty() {
        return "no unit test asks about it";
    }
    if !asked.contains(&true) {
        return "no unit test expects it to fire";
    }
    match column {
        Column::Fires | Column::Text => "it does not fire as its tests say",
        Column::ToldTo => "as its tests say, it does not fire long enough for Alertmanager to tell of it",
        Column::Resolves => "nobody was told of it, so nobody waits for its end",
    }
}

//! What must hold of each alert: the four cells of its row.
//!
//! Each is decided on all scenes in which a test asks about the alert. What is shown to be false fails, whatever else could not be
//! seen; a cell of which a part could not be lived is not proven; one about nothing is never green.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::course::{Course, as_told, says_the_same};
use super::given::Given;
use super::layout::{ALERTS, AMTOOL, NOTIFICATIONS, STATES};
use super::plan::{Plan, Scene};
use super::record::{Record, time};
use super::rows::{Row, Whose, in_words};
use crate::finding::first_of;
use crate::judge::Verdict;
use aiclipx_model::drill::reading::Texts;
use aiclipx_model::drill::rules::Rule;
use aiclipx_model::drill::scene::millis;
use aiclipx_model::drill::tests::Expected;
use aiclipx_model::monitoring::promql;
use aiclipx_model::monitoring::promql::clock::{awaited, measures_change};
use aiclipx_model::notification::Status;

/// A column of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Column {
    Fires,
    ToldTo,
    Text,
    Resolves,
}

impl Column {
    /// In the order in which they are shown.
    pub const ALL: [Column; 4] = [Column::Fires, Column::ToldTo, Column::Text, Column::Resolves];

    /// As ids and headings have it.
    pub fn name(self) -> &'static str {
        match self {
            Column::Fires => "fires",
            Column::ToldTo => "told-to",
            Column::Text => "text",
            Column::Resolves => "resolves",
        }
    }

    /// What it claims of a row is called so.
    pub fn claim(self, row: &Row) -> String {
        format!("{}/{}", self.name(), row.name)
    }

    fn says(self, alert: &str) -> String {
        match self {
            Column::Fires => format!(
                "{alert} fires when its tests say so and with their labels, and at no other time they ask about"
            ),
            Column::ToldTo => format!(
                "{alert} is told to the receivers that its labels are routed to, to nobody else, and not while it is inhibited"
            ),
            Column::Text => {
                format!("{alert} says what its tests say, and the messages made of it come out without an error")
            }
            Column::Resolves => format!(
                "{alert} ends when its reason does, and whoever was told of it is told so where send_resolved is on"
            ),
        }
    }
}

/// A cell, decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// `fires/NodeDown`: stable, unique in a bundle.
    pub id: String,
    /// The row's name.
    pub alert: String,
    pub column: Column,
    /// In words a reader understands.
    pub says: String,
    /// So many times, alerts, texts it was decided on.
    pub population: usize,
    pub expected: String,
    pub observed: String,
    /// Files of the bundle it rests on.
    pub artifacts: Vec<String>,
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What is said of a receiver without integrations.
pub const TELLS_NOBODY: &str = "which tells nobody";

/// What is gathered for a cell.
#[derive(Debug, Default)]
struct Tally {
    population: usize,
    expected: BTreeSet<String>,
    observed: BTreeSet<String>,
    fails: Vec<String>,
    open: Vec<String>,
    disturbed: Vec<String>,
    artifacts: Vec<String>,
}

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
    Column::ALL.into_iter().map(|column| cell(basis, row, column)).collect()
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
        let stage = Stage { given, scene, record, row, rules: &plan.rules[scene.file] };
        tally.open.extend(stage.unknown());
        match column {
            Column::Fires => stage.fires(&mut tally),
            Column::ToldTo => stage.told_to(&mut tally),
            Column::Text => stage.text(&mut tally),
            Column::Resolves => stage.resolves(&mut tally),
        }
    }
    if tally.population == 0 && tally.open.is_empty() && tally.disturbed.is_empty() {
        tally.open.push(nothing_shown(basis, row, column).to_owned());
    }
    tally.decided(row, column)
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

impl Tally {
    fn decided(self, row: &Row, column: Column) -> Cell {
        let nothing = || "nothing could be seen".to_owned();
        let told = |mut all: Vec<String>| {
            let mut known = BTreeSet::new();
            all.retain(|one| known.insert(one.clone()));
            first_of(all)
        };
        let joined =
            |all: BTreeSet<String>| if all.is_empty() { nothing() } else { first_of(all.into_iter().collect()) };
        let verdict = if !self.fails.is_empty() {
            Verdict::Fails(told(self.fails))
        } else if !self.disturbed.is_empty() {
            Verdict::Invalid(told(self.disturbed))
        } else if !self.open.is_empty() {
            Verdict::NotProven(told(self.open))
        } else if self.population == 0 {
            Verdict::NotProven(nothing())
        } else {
            Verdict::Holds
        };
        Cell {
            id: column.claim(row),
            alert: row.name.clone(),
            column,
            says: column.says(&row.name),
            population: self.population,
            expected: joined(self.expected),
            observed: joined(self.observed),
            artifacts: self.artifacts,
            verdict,
        }
    }
}

/// One alert in one scene.
struct Stage<'a> {
    given: &'a Given,
    scene: &'a Scene,
    record: &'a Record,
    row: &'a Row,
    /// Those that were evaluated.
    rules: &'a [Rule],
}

impl Stage<'_> {
    fn asked(&self) -> impl Iterator<Item = &aiclipx_model::drill::tests::AlertTest> {
        self.scene.asked(self.given).filter(|one| one.alert == self.row.alert)
    }

    fn whose(&self, labels: &Texts) -> Whose {
        self.row.whose(self.rules, labels)
    }

    /// Why nothing of what is expected shows something of this row alone.
    fn unknown(&self) -> Option<String> {
        self.asked().flat_map(|test| test.expected.iter().map(|one| (test.line, one))).find_map(
            |(line, one)| match self.whose(&one.labels) {
                Whose::Unknown(why) => Some(format!("{}: {why}", self.place(line))),
                _ => None,
            },
        )
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.scene.file(self.given).display())
    }

    fn course(&self, expected: &Expected) -> Course {
        let external = &self.scene.group(self.given).external_labels;
        Course::of(self.record, &self.given.configuration, external, &expected.labels)
    }

    /// Every alert of this row that a test of the scene expects, once, with the place that says so.
    fn expected(&self) -> Vec<(&Expected, String)> {
        let mut all: Vec<(&Expected, String)> = Vec::new();
        for test in self.asked() {
            for expected in test.expected.iter().filter(|one| self.whose(&one.labels) == Whose::Own) {
                if !all.iter().any(|(known, _)| known.labels == expected.labels) {
                    all.push((expected, self.place(test.line)));
                }
            }
        }
        all
    }

    /// Receivers, and which of them tell nobody.
    fn in_words(&self, receivers: &[&str]) -> String {
        let tells = |name: &str| self.given.configuration.receiver(name).is_some_and(|one| one.tells);
        let word = |name: &&str| if tells(name) { (*name).to_owned() } else { format!("{name}, {TELLS_NOBODY}") };
        receivers.iter().map(word).collect::<Vec<_>>().join(", ")
    }

    fn fires(&self, tally: &mut Tally) {
        let (stretch, mut fired) = (&self.record.run.stretch, 0);
        for test in self.asked() {
            let at = stretch.evaluation_of(millis(test.at));
            let firing = self.record.alerts.iter().filter(|one| one.is_firing && one.times.contains(&at));
            let firing = firing.filter(|one| one.labels.get("alertname").is_some_and(|name| *name == self.row.alert));
            let is_ours = |labels: &&Texts| self.whose(labels) != Whose::Another;
            let seen: BTreeSet<_> = firing.map(|one| &one.labels).filter(is_ours).collect();
            let expected: BTreeSet<_> = test.expected.iter().map(|one| &one.labels).filter(is_ours).collect();
            fired += expected.iter().filter(|labels| self.whose(labels) == Whose::Own).count();
            let told = |all: &BTreeSet<&Texts>| match all.len() {
                0 => "nothing".to_owned(),
                _ => all.iter().map(|labels| in_words(labels)).collect::<Vec<_>>().join(" and "),
            };
            tally.expected.insert(format!("at {}: {}", time(millis(test.at)), told(&expected)));
            tally.observed.insert(format!("at {}: {}", time(millis(test.at)), told(&seen)));
            if seen != expected {
                let (place, at) = (self.place(test.line), time(millis(test.at)));
                let pending = self.record.alerts.iter().any(|one| {
                    !one.is_firing
                        && one.times.contains(&stretch.evaluation_of(millis(test.at)))
                        && expected.contains(&one.labels)
                });
                let pending = if pending { " (it is pending)" } else { "" };
                tally.fails.push(format!(
                    "{place}: at {at} {} fires{pending}, and the test says {}",
                    told(&seen),
                    told(&expected)
                ));
            }
        }
        // That nothing fires shows nothing by itself.
        tally.population += fired;
        tally.artifacts.push(self.record.file(ALERTS));
    }

    fn told_to(&self, tally: &mut Tally) {
        let (stretch, configuration) = (&self.record.run.stretch, &self.given.configuration);
        for (expected, place) in self.expected() {
            let course = self.course(expected);
            let routed = self.record.amtool.routes.iter().find(|one| one.labels == course.labels);
            let own = configuration.receivers_of(&course.labels);
            let Some(routed) = routed else {
                tally.open.push(format!("amtool was not asked about {}", in_words(&course.labels)));
                continue;
            };
            if routed.receivers.iter().map(String::as_str).collect::<BTreeSet<_>>() != own.iter().copied().collect() {
                let (theirs, own) = (routed.receivers.join(", "), own.join(", "));
                tally.fails.push(format!(
                    "amtool routes {} to {theirs}, and by our reading it is {own}",
                    in_words(&course.labels)
                ));
                continue;
            }
            let firing = course.told_to(Status::Firing);
            let shown = in_words(&course.labels);
            for receiver in firing.iter().filter(|told| !own.contains(told)) {
                tally.fails.push(format!("{receiver} was told of {shown}, which is routed to {}", own.join(", ")));
            }
            let slack = course.told_within_ms(self.record, configuration);
            if let Some(first) = course.firing.first() {
                let began = stretch.at(self.record.run.origin_ms, *first);
                let early = course.told.iter().find(|(_, status, at)| *status == Status::Firing && *at < began);
                tally
                    .fails
                    .extend(early.map(|(receiver, ..)| format!("{receiver} was told of {shown} before it fired")));
            }
            let unquiet = course.told_though_inhibited(self.record);
            for receiver in &unquiet {
                let by: BTreeSet<&String> = course.inhibited.values().collect();
                let by = by.into_iter().cloned().collect::<Vec<_>>().join(", ");
                tally.fails.push(format!("{receiver} was told of {shown} while {by} fired and inhibits it"));
            }
            match course.heard(stretch.step_ms) {
                None if course.firing.is_empty() => {}
                None => {
                    let by: BTreeSet<&String> = course.inhibited.values().collect();
                    let by = by.into_iter().cloned().collect::<Vec<_>>().join(", ");
                    tally.population += 1;
                    tally.expected.insert(format!("nobody, for {by} inhibits it"));
                    tally.observed.insert(names(&firing));
                    for receiver in firing.difference(&unquiet) {
                        tally.fails.push(format!("{receiver} was told of {shown}, and {by} inhibits it all the time"));
                    }
                }
                Some((first, last)) => {
                    if stretch.real_ms(last - first) < slack && firing.is_empty() {
                        continue;
                    }
                    tally.population += 1;
                    tally.expected.insert(self.in_words(&own));
                    tally.observed.insert(match firing.len() {
                        0 => names(&firing),
                        _ => self.in_words(&firing.iter().copied().collect::<Vec<_>>()),
                    });
                    for receiver in own.iter().filter(|receiver| !firing.contains(*receiver)) {
                        let fired = time(last - first);
                        tally
                            .fails
                            .push(format!("{receiver} was not told of {shown}, which fired for {fired} ({place})"));
                    }
                }
            }
        }
        tally.artifacts.extend([self.record.file(NOTIFICATIONS), self.record.file(AMTOOL)]);
    }

    fn text(&self, tally: &mut Tally) {
        let stretch = &self.record.run.stretch;
        // A text may say what another rule recorded.
        let measures_change = self.rules.iter().any(|rule| rule.tree().is_ok_and(|expr| measures_change(&expr)));
        for test in self.asked() {
            let Some(states) = self.record.states.get(&stretch.evaluation_of(millis(test.at))) else { continue };
            for expected in test.expected.iter().filter(|one| self.whose(&one.labels) == Whose::Own) {
                let found = states.iter().find(|one| one.labels == expected.labels && one.state == "firing");
                // That it does not fire is said elsewhere.
                let Some(found) = found else { continue };
                tally.population += 1;
                let names: BTreeSet<&String> = found.annotations.keys().chain(expected.annotations.keys()).collect();
                for name in names {
                    let (seen, told) = (found.annotations.get(name), expected.annotations.get(name));
                    let (seen_text, told_text) = (seen.map_or("", String::as_str), told.map_or("", String::as_str));
                    if seen.is_none() != told.is_none() || !says_the_same(seen_text, told_text, measures_change) {
                        let (place, at) = (self.place(test.line), time(millis(test.at)));
                        tally
                            .fails
                            .push(format!("{place}: at {at} {name} is {seen_text:?}, and the test says {told_text:?}"));
                    }
                }
                tally.expected.insert(format!("{} annotations as the tests say", expected.annotations.len()));
                tally.observed.insert(format!("{} annotations", found.annotations.len()));
            }
        }
        let external = &self.scene.group(self.given).external_labels;
        let own: Vec<_> = self.expected().iter().map(|(one, _)| as_told(&one.labels, external)).collect();
        self.are_rendered(&own, tally);
        for message in &self.record.amtool.messages {
            let notification = self.record.notifications.get(message.notification);
            let is_about =
                notification.is_some_and(|one| one.body.alerts.iter().any(|told| own.contains(&told.labels)));
            if is_about {
                tally.population += 1;
                tally.observed.insert("messages rendered by amtool".to_owned());
                if let Err(why) = &message.came {
                    tally.fails.push(format!("{} of {} can't be rendered: {why}", message.place, message.receiver));
                }
            }
        }
        tally.artifacts.extend([self.record.file(STATES), self.record.file(AMTOOL)]);
    }

    /// Each template of a receiver that was told of it must have been filled in.
    fn are_rendered(&self, own: &[Texts], tally: &mut Tally) {
        let told = self
            .record
            .notifications
            .iter()
            .filter(|one| one.body.alerts.iter().any(|alert| own.contains(&alert.labels)));
        let receivers: BTreeSet<&String> = told.map(|one| &one.body.receiver).collect();
        for receiver in receivers.into_iter().filter_map(|name| self.given.configuration.receiver(name)) {
            for (place, _) in &receiver.texts {
                tally.open.extend(self.record.unrendered(&receiver.name, place, own));
            }
        }
    }

    fn resolves(&self, tally: &mut Tally) {
        let stretch = &self.record.run.stretch;
        for (expected, _) in self.expected() {
            let course = self.course(expected);
            let shown = in_words(&course.labels);
            let Some(last) = course.firing.last() else { continue };
            if *last >= stretch.over_ms - stretch.step_ms {
                match self.row.rule.as_ref().and_then(endless) {
                    Some(why) => tally.open.push(why),
                    None => tally.fails.push(format!(
                        "{shown} still fires at {}, and its series ended at {}",
                        time(*last),
                        time(stretch.ends_ms)
                    )),
                }
                continue;
            }
            let (firing, resolved) = (course.told_to(Status::Firing), course.told_to(Status::Resolved));
            // Of what was kept quiet all the time nobody need be told that it is over.
            if firing.is_empty() && course.heard(stretch.step_ms).is_some() {
                continue;
            }
            tally.population += 1;
            let asks =
                |name: &str| self.given.configuration.receiver(name).is_none_or(|one| one.tells_of_ends || !one.tells);
            let (waiting, others): (BTreeSet<&str>, BTreeSet<&str>) =
                firing.iter().copied().partition(|name| asks(name));
            tally.expected.insert(names(&waiting));
            tally.observed.insert(names(&resolved));
            let untold = others.iter().map(|name| format!("it ends, and {name} is not told: send_resolved is false"));
            tally.observed.extend(untold);
            for receiver in waiting.difference(&resolved) {
                tally.fails.push(format!("{receiver} was told of {shown}, and never that it is over"));
            }
        }
        tally.artifacts.extend([self.record.file(ALERTS), self.record.file(NOTIFICATIONS)]);
    }
}

fn names(receivers: &BTreeSet<&str>) -> String {
    match receivers.len() {
        0 => "nobody".to_owned(),
        _ => receivers.iter().copied().collect::<Vec<_>>().join(", "),
    }
}

/// Why an alert can't be ended by ending its series, where it can't: it asks for none, or fires where there are none and no sample
/// is known that would end it.
fn endless(rule: &Rule) -> Option<String> {
    let expr = rule.tree().ok()?;
    if promql::selectors(&expr).is_empty() {
        return Some("it asks for no series, and so fires always".to_owned());
    }
    let is_absence = promql::nodes(&expr).iter().any(|node| match node {
        promql_parser::parser::Expr::Call(call) => call.func.name.starts_with("absent") || call.func.name == "vector",
        _ => false,
    });
    let can_be_given = !awaited(&expr).is_empty();
    is_absence.then(|| {
        if can_be_given {
            "it fires where there is nothing, and what would end it is more than one sample".to_owned()
        } else {
            "it fires where there is nothing, and no sample is known that would end it".to_owned()
        }
    })
}

//! What one scene shows of one alert, for each column of the matrix.

use std::collections::BTreeSet;

use super::course::{Course, are_close, as_seen, as_told, measured, says_the_same};
use super::given::Given;
use super::layout::{ALERTS, AMTOOL, NOTIFICATIONS, STATES};
use super::plan::Scene;
use super::record::{Message, Record, time};
use super::rows::{Row, Whose};
use super::tally::Tally;
use aiclipx_model::drill::alertmanager::Place;
use aiclipx_model::drill::expected::ExpectedReceivers;
use aiclipx_model::drill::reading::{Texts, in_words};
use aiclipx_model::drill::rules::Rule;
use aiclipx_model::drill::scene::millis;
use aiclipx_model::drill::tests::{AlertTest, Expected};
use aiclipx_model::monitoring::promql;
use aiclipx_model::monitoring::promql::clock::awaited;
use aiclipx_model::notification::Status;

/// What is said of a receiver without integrations.
pub(super) const TELLS_NOBODY: &str = "which tells nobody";

/// One alert in one scene.
pub(super) struct Stage<'a> {
    pub(super) given: &'a Given,
    pub(super) scene: &'a Scene,
    pub(super) record: &'a Record,
    pub(super) row: &'a Row,
    /// Those that were evaluated.
    pub(super) rules: &'a [Rule],
    /// What is asked about the alert, with the labels by which it was seen.
    asked: Vec<AlertTest>,
}

impl<'a> Stage<'a> {
    pub(super) fn of(
        (given, scene, record): (&'a Given, &'a Scene, &'a Record),
        row: &'a Row,
        rules: &'a [Rule],
    ) -> Stage<'a> {
        let asked = scene.asked(given).filter(|one| one.alert == row.alert).map(|test| {
            let at = record.run.stretch.evaluation_of(millis(test.at));
            let seen = |one: &Expected| Expected { labels: as_seen(record, rules, &one.labels, at), ..one.clone() };
            AlertTest { expected: test.expected.iter().map(seen).collect(), ..test.clone() }
        });
        Stage { given, scene, record, row, rules, asked: asked.collect() }
    }
}

impl Stage<'_> {
    fn asked(&self) -> impl Iterator<Item = &AlertTest> {
        self.asked.iter()
    }

    fn whose(&self, labels: &Texts) -> Whose {
        self.row.whose(self.rules, labels)
    }

    /// Why nothing of what is expected shows something of this row alone.
    pub(super) fn unknown(&self) -> Option<String> {
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

    pub(super) fn fires(&self, tally: &mut Tally) {
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

    pub(super) fn told_to(&self, tally: &mut Tally) {
        let (stretch, configuration) = (&self.record.run.stretch, &self.given.configuration);
        for (expected, place) in self.expected() {
            let course = self.course(expected);
            // amtool was asked about the labels that the test has.
            let own = configuration.receivers_of(&course.labels);
            let asked = &self.record.amtool.routes;
            let routed = asked.iter().find(|one| one.labels == course.labels);
            let routed = routed.or_else(|| asked.iter().find(|one| are_close(&one.labels, &course.labels)));
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
            self.as_meant(&course, &own, tally);
            self.at_no_time(&course, tally);
            let firing = course.told_to(Status::Firing);
            let shown = in_words(&course.labels);
            for receiver in firing.iter().filter(|told| !own.contains(told)) {
                tally.fails.push(format!("{receiver} was told of {shown}, which is routed to {}", own.join(", ")));
            }
            if let Some(first) = course.firing.first() {
                let began = stretch.at(self.record.run.origin_ms, *first);
                let early = course.told.iter().find(|(_, status, at)| *status == Status::Firing && *at < began);
                tally
                    .fails
                    .extend(early.map(|(receiver, ..)| format!("{receiver} was told of {shown} before it fired")));
            }
            self.heard(&course, &own, &place, tally);
        }
        tally.artifacts.extend([self.record.file(NOTIFICATIONS), self.record.file(AMTOOL)]);
    }

    /// Whether it is routed to those whom it is meant for, and kept quiet by what should, where somebody says so.
    fn as_meant(&self, course: &Course, own: &[&str], tally: &mut Tally) {
        let shown = in_words(&course.labels);
        let routed: BTreeSet<&str> = own.iter().copied().collect();
        for meant in self.given.expected.iter().filter(|one| one.is_about(&course.labels)) {
            let place = meant.place();
            let receivers: BTreeSet<&str> = meant.receivers.iter().map(String::as_str).collect();
            if !receivers.is_empty() {
                tally.expected.insert(format!("{} ({place})", names(&receivers)));
            }
            if !receivers.is_empty() && receivers != routed {
                let (receivers, routed) = (names(&receivers), names(&routed));
                tally.fails.push(format!("{place}: {shown} is to be told to {receivers}, and is routed to {routed}"));
            }
            let external = &self.scene.group(self.given).external_labels;
            for by in &meant.inhibited_by {
                let [beside, quiet] = course.beside(self.record, &self.given.configuration, external, by);
                if let Some(at) = beside.difference(&quiet).next() {
                    let at = time(*at);
                    tally
                        .fails
                        .push(format!("{place}: {shown} fires beside {by} at {at}, and {by} does not inhibit it"));
                }
            }
        }
    }

    /// Whether the calendar, which is not lived, leaves no moment at which a receiver is told of it: then nobody is, whatever was
    /// told here.
    fn at_no_time(&self, course: &Course, tally: &mut Tally) {
        let (configuration, shown) = (&self.given.configuration, in_words(&course.labels));
        let year = year(self.record.run.began_ms);
        let is_silent = |place: &&Place| place.calendar.as_ref().is_some_and(|calendar| !calendar.lets_tell(year));
        let (silent, heard): (Vec<&Place>, Vec<&Place>) =
            configuration.places(&course.labels).into_iter().partition(is_silent);
        let is_heard = |place: &Place| heard.iter().any(|other| other.receiver == place.receiver);
        for place in silent.into_iter().filter(|place| !is_heard(place)) {
            let Some(calendar) = &place.calendar else { continue };
            let is_about_it =
                |one: &&ExpectedReceivers| one.is_about(&course.labels) && one.receivers.contains(&place.receiver);
            let why = format!(
                "{}:{}: {} leaves no moment at which {} is told of {shown}",
                self.given.alertmanager.display(),
                calendar.line,
                calendar.named,
                place.receiver
            );
            match self.given.expected.iter().find(is_about_it) {
                Some(meant) => {
                    tally.fails.push(format!("{}: {} is to be told, and {why}", meant.place(), place.receiver));
                }
                None => tally.open.push(why),
            }
        }
    }

    /// Whether it was told while nothing kept it quiet, and not while something did.
    fn heard(&self, course: &Course, own: &[&str], place: &str, tally: &mut Tally) {
        let stretch = &self.record.run.stretch;
        let (firing, shown) = (course.told_to(Status::Firing), in_words(&course.labels));
        let by: BTreeSet<&str> = course.inhibited.values().map(String::as_str).collect();
        let by = names(&by);
        let [unquiet, at_its_edge] = course.told_though_inhibited(self.record);
        for receiver in &unquiet {
            tally.fails.push(format!("{receiver} was told of {shown} while {by} fired and inhibits it"));
        }
        if self.is_kept_quiet(course) {
            tally.population += 1;
            tally.expected.insert(format!("nobody, for {by} inhibits it"));
            tally.observed.insert(names(&firing));
            for receiver in firing.difference(&unquiet) {
                if at_its_edge.contains(receiver) {
                    let why = format!(
                        "{receiver} was told of {shown} at the moment when {by} began or ended, which says nothing"
                    );
                    tally.open.push(why);
                } else {
                    tally.fails.push(format!("{receiver} was told of {shown}, and {by} inhibits it all the time"));
                }
            }
        } else if let Some((first, last)) = course.heard(stretch.step_ms)
            && (stretch.real_ms(last - first) >= self.slack_ms(course) || !firing.is_empty())
        {
            tally.population += 1;
            tally.expected.insert(self.in_words(own));
            tally.observed.insert(match firing.len() {
                0 => names(&firing),
                _ => self.in_words(&firing.iter().copied().collect::<Vec<_>>()),
            });
            for receiver in own.iter().filter(|receiver| !firing.contains(*receiver)) {
                let fired = time(last - first);
                tally.fails.push(format!("{receiver} was not told of {shown}, which fired for {fired} ({place})"));
            }
        }
    }

    /// Whether another alert inhibits it: all the time, or but for so short a time that nobody need have been told, and was.
    fn is_kept_quiet(&self, course: &Course) -> bool {
        let stretch = &self.record.run.stretch;
        !course.inhibited.is_empty()
            && course.heard(stretch.step_ms).is_none_or(|(first, last)| {
                course.told_to(Status::Firing).is_empty() && stretch.real_ms(last - first) < self.slack_ms(course)
            })
    }

    fn slack_ms(&self, course: &Course) -> i64 {
        course.told_within_ms(self.record, &self.given.configuration)
    }

    pub(super) fn text(&self, tally: &mut Tally) {
        let stretch = &self.record.run.stretch;
        let measures_change = measured(self.rules);
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
        self.say_something(&own, tally);
        tally.artifacts.extend([self.record.file(STATES), self.record.file(AMTOOL)]);
    }

    /// A message of which nothing comes out says nothing to anybody: Alertmanager sends it as it is.
    fn say_something(&self, own: &[Texts], tally: &mut Tally) {
        for (index, notification) in self.record.notifications.iter().enumerate() {
            let body = &notification.body;
            let Some(alert) = body.alerts.iter().find(|alert| own.contains(&alert.labels)) else { continue };
            let Some(receiver) = self.given.configuration.receiver(&body.receiver) else { continue };
            let messages = || {
                let of_it = |one: &&Message| one.notification == index && one.receiver == receiver.name;
                self.record.amtool.messages.iter().filter(of_it)
            };
            // Of what was told before to the same end nothing was rendered anew.
            for places in receiver.worded.iter().filter(|_| messages().next().is_some()) {
                let came = |place: &String| messages().find(|one| one.place == *place).map(|one| &one.came);
                let is_nothing = |place: &String| matches!(came(place), Some(Ok(text)) if text.trim().is_empty());
                if places.iter().all(is_nothing) {
                    let state = if alert.status == Status::Firing { "fires" } else { "is over" };
                    tally.fails.push(format!(
                        "{} is told nothing as {} {state}: {} comes out empty",
                        receiver.name,
                        in_words(&alert.labels),
                        if places.is_empty() { "its message".to_owned() } else { places.join(" and ") }
                    ));
                }
            }
        }
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
            for text in &receiver.texts {
                tally.open.extend(self.record.unrendered(&receiver.name, text, own));
            }
        }
    }

    pub(super) fn resolves(&self, tally: &mut Tally) {
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
            // Of what was kept quiet nobody need be told that it is over.
            if firing.is_empty() && !self.is_kept_quiet(&course) {
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

/// The year in which it was lived.
fn year(unix_ms: i64) -> i16 {
    jiff::Timestamp::from_millisecond(unix_ms).map_or(1970, |at| at.to_zoned(jiff::tz::TimeZone::UTC).year())
}

fn names(receivers: &BTreeSet<&str>) -> String {
    match receivers.len() {
        0 => "nobody".to_owned(),
        _ => receivers.iter().copied().collect::<Vec<_>>().join(", "),
    }
}

/// Why an alert can't be ended by ending its series, where it can't: it fires where there are none, and no sample is known that
/// would end it.
fn endless(rule: &Rule) -> Option<String> {
    let expr = rule.tree().ok()?;
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

//! What became of one alert in a scene: when it was pending, fired, was kept quiet, was told, and to whom.

use std::collections::{BTreeMap, BTreeSet};

use super::record::Record;
use super::stretches::TELLING_MS;
use aiclipx_model::drill::alertmanager::Configuration;
use aiclipx_model::drill::reading::Texts;
use aiclipx_model::drill::rules::Rule;
use aiclipx_model::drill::scene::millis;
use aiclipx_model::monitoring::promql::clock::measures_change;
use aiclipx_model::notification::Status;

/// An alert's course in a scene. Times are the test's, in milliseconds, but those of messages.
#[derive(Debug)]
pub struct Course {
    /// As it was told: with the external labels.
    pub labels: Texts,
    pub pending: BTreeSet<i64>,
    pub firing: BTreeSet<i64>,
    /// When it fired and another that fired kept it quiet, by whom.
    pub inhibited: BTreeMap<i64, String>,
    /// When another that would keep it quiet fired, whether it did itself or not.
    inhibitors: BTreeSet<i64>,
    /// To whom it was told firing and resolved, and when, Unix milliseconds.
    pub told: Vec<(String, Status, i64)>,
}

/// What an alert is called where it is told: external labels are added, and change none of its own.
pub fn as_told(labels: &Texts, external: &Texts) -> Texts {
    let mut told = external.clone();
    told.extend(labels.clone());
    told
}

impl Course {
    /// Of the alert with these labels, its name among them.
    pub fn of(record: &Record, configuration: &Configuration, external: &Texts, labels: &Texts) -> Course {
        let of = |is_firing: bool| {
            let own = record.alerts.iter().filter(|one| one.labels == *labels && one.is_firing == is_firing);
            own.flat_map(|one| one.times.iter().copied()).collect::<BTreeSet<_>>()
        };
        let (pending, firing) = (of(false), of(true));
        let told_as = as_told(labels, external);
        let (mut inhibited, mut inhibitors) = (BTreeMap::new(), BTreeSet::new());
        for other in record.alerts.iter().filter(|other| other.is_firing && other.labels != *labels) {
            if configuration.inhibits(&as_told(&other.labels, external), &told_as) {
                inhibitors.extend(&other.times);
                let name = other.labels.get("alertname").cloned().unwrap_or_default();
                inhibited.extend(other.times.intersection(&firing).map(|at| (*at, name.clone())));
            }
        }
        let told = record.notifications.iter().flat_map(|one| {
            let of_it = one.body.alerts.iter().filter(|alert| alert.labels == told_as);
            of_it.map(|alert| (one.body.receiver.clone(), alert.status, one.received_ms))
        });
        Course { pending, firing, inhibited, inhibitors, told: told.collect(), labels: told_as }
    }

    /// Who was told that it fires, though another kept it quiet: had fired for long enough for Alertmanager to know of it, and still
    /// did. And who was told when one of the two had just begun or ended, of which Alertmanager hears in no order.
    pub fn told_though_inhibited(&self, record: &Record) -> [BTreeSet<&str>; 2] {
        let stretch = &record.run.stretch;
        let mut told = [BTreeSet::new(), BTreeSet::new()];
        for (receiver, _, at_ms) in self.told.iter().filter(|(_, status, _)| *status == Status::Firing) {
            let until = stretch.test_ms(at_ms - record.run.origin_ms);
            let from = until - stretch.test_ms(TELLING_MS).max(stretch.step_ms);
            let mut lately = stretch.evaluations().filter(|at| (from..=until).contains(at)).peekable();
            let is_known = lately.peek().is_some() && lately.all(|at| self.inhibitors.contains(&at));
            let is_told_of_then = self.firing.range(from..=until).next().is_some();
            let is_about_to = self.inhibitors.range(from..=until).next().is_some();
            if is_known && is_told_of_then {
                told[0].insert(receiver.as_str());
            } else if is_about_to {
                told[1].insert(receiver.as_str());
            }
        }
        told
    }

    /// When it fires beside another alert of that name, and when one of these inhibits it.
    pub fn beside(
        &self,
        record: &Record,
        configuration: &Configuration,
        external: &Texts,
        name: &str,
    ) -> [BTreeSet<i64>; 2] {
        let mut found = [BTreeSet::new(), BTreeSet::new()];
        let others = record
            .alerts
            .iter()
            .filter(|one| one.is_firing && one.labels.get("alertname").is_some_and(|own| own == name));
        for other in others {
            let labels = as_told(&other.labels, external);
            let is_kept_quiet = configuration.inhibits(&labels, &self.labels);
            if labels != self.labels {
                let times: Vec<i64> = other.times.intersection(&self.firing).copied().collect();
                found[0].extend(&times);
                found[1].extend(times.iter().filter(|_| is_kept_quiet));
            }
        }
        found
    }

    /// Whom it was told to, in that state.
    pub fn told_to(&self, status: Status) -> BTreeSet<&str> {
        self.told.iter().filter(|(_, is, _)| *is == status).map(|(receiver, ..)| receiver.as_str()).collect()
    }

    /// The longest time for which it fired and nothing kept it quiet, in the test's time: its first and its last evaluation.
    pub fn heard(&self, step_ms: i64) -> Option<(i64, i64)> {
        let heard = self.firing.iter().copied().filter(|at| !self.inhibited.contains_key(at));
        let mut runs: Vec<(i64, i64)> = Vec::new();
        for at in heard {
            match runs.last_mut() {
                Some((_, last)) if at == *last + step_ms => *last = at,
                _ => runs.push((at, at)),
            }
        }
        runs.into_iter().max_by_key(|(first, last)| last - first)
    }

    /// How long Alertmanager may take until it tells of it, really: what is configured, divided, and what telling takes.
    pub fn told_within_ms(&self, record: &Record, configuration: &Configuration) -> i64 {
        let places = configuration.places(&self.labels);
        let longest = places.iter().map(|place| millis(place.group_wait.max(place.group_interval))).max().unwrap_or(0);
        record.run.stretch.real_ms(longest) + TELLING_MS
    }
}

/// The labels by which an alert was seen that a test expects with these. Where a rule measures how fast something changes and a
/// label says the number, they are those that say the same; at that time, where there are several.
pub fn as_seen(record: &Record, rules: &[Rule], labels: &Texts, at: i64) -> Texts {
    let is_there = record.alerts.iter().any(|one| one.labels == *labels);
    if is_there || !measured(rules) {
        return labels.clone();
    }
    let close = record.alerts.iter().filter(|one| are_close(&one.labels, labels));
    let seen = close.max_by_key(|one| (one.times.contains(&at), one.is_firing));
    seen.map_or_else(|| labels.clone(), |one| one.labels.clone())
}

/// Whether a rule measures how fast something changes: a text may say what another rule recorded.
pub fn measured(rules: &[Rule]) -> bool {
    rules.iter().any(|rule| rule.tree().is_ok_and(|expr| measures_change(&expr)))
}

/// Whether labels are the same, and what they say of measured numbers, too.
pub fn are_close(one: &Texts, other: &Texts) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|((name, value), (its_name, its))| name == its_name && says_the_same(value, its, true))
}

/// Whether two texts say the same, letter by letter. Where a rule measures how fast something changes, numbers with a long row of
/// decimals are compared by what they are worth: on a clock that runs faster they have other last bits.
pub fn says_the_same(one: &str, other: &str, measures_change: bool) -> bool {
    if one == other || !measures_change {
        return one == other;
    }
    let (one, other) = (parts(one), parts(other));
    one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| one == other || is_close(one, other))
}

/// A text in its numbers and what stands between them.
fn parts(text: &str) -> Vec<&str> {
    let is_of_a_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let kind = is_of_a_number(first);
        let end = rest.find(|c| is_of_a_number(c) != kind).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        parts.push(part);
        rest = behind;
    }
    parts
}

/// Nobody writes so many decimals: a computer did. Versions, counts and what is rounded have fewer.
const LONG: usize = 10;

fn is_close(one: &str, other: &str) -> bool {
    let decimals = |text: &str| text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    if decimals(one).max(decimals(other)) < LONG {
        return false;
    }
    let (Ok(one), Ok(other)) = (one.parse::<f64>(), other.parse::<f64>()) else { return false };
    (one - other).abs() <= 1e-9 * one.abs().max(other.abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::record::{Amtool, Body, Notification, Run, Samples, Told};
    use aiclipx_model::drill::scene::Stretch;

    const MINUTE: i64 = 60_000;
    const ORIGIN: i64 = 1_700_000_000_000;

    /// What of an alert B that A inhibits is told at a real time, where both fire for these minutes of a test, at 600 ms each.
    fn told(source: std::ops::Range<i64>, target: std::ops::Range<i64>, real_ms: i64) -> [bool; 2] {
        let file = b"{route: {receiver: r}, receivers: [{name: r}], inhibit_rules: [{source_matchers: [alertname=A], target_matchers: [alertname=B]}]}";
        let configuration = Configuration::read(std::path::Path::new("am.yml"), file).unwrap();
        let labels = |name: &str| Texts::from([("alertname".to_owned(), name.to_owned())]);
        let firing = |name: &str, minutes: std::ops::Range<i64>| Samples {
            labels: labels(name),
            is_firing: true,
            times: minutes.map(|minute| minute * MINUTE).collect(),
        };
        let told = Notification {
            received_ms: ORIGIN + real_ms,
            body: Body {
                receiver: "r".to_owned(),
                alerts: vec![Told { status: Status::Firing, labels: labels("B"), annotations: Texts::new() }],
            },
        };
        let record = record(vec![firing("A", source), firing("B", target)], vec![told]);
        let course = Course::of(&record, &configuration, &Texts::new(), &labels("B"));
        course.told_though_inhibited(&record).map(|receivers| receivers.contains("r"))
    }

    fn record(alerts: Vec<Samples>, notifications: Vec<Notification>) -> Record {
        let stretch = Stretch {
            speed: aiclipx_base::duration::Speed::new(100).unwrap(),
            step_ms: MINUTE,
            begins_ms: 0,
            asked_until_ms: 0,
            ends_ms: 0,
            over_ms: 30 * MINUTE,
            forgets: false,
        };
        let nobody: aiclipx_base::address::Address = "127.0.0.1:9".parse().unwrap();
        Record {
            name: String::new(),
            run: Run {
                schema: 0,
                stretch,
                group: String::new(),
                origin_ms: ORIGIN,
                began_ms: ORIGIN,
                ended_ms: ORIGIN,
                alertmanager: nobody.clone(),
                receiver: nobody,
                disturbances: Vec::new(),
            },
            files: <[String; 3]>::default(),
            loaded: Vec::new(),
            sent: Vec::new(),
            evaluated: BTreeSet::new(),
            alerts,
            states: BTreeMap::new(),
            notifications,
            amtool: Amtool::default(),
        }
    }

    #[test]
    fn a_measured_number_in_a_label_is_the_tests_where_it_says_the_same() {
        let rules = |expr: &str| {
            let text = format!("groups: [{{rules: [{{alert: A, expr: '{expr}'}}]}}]");
            aiclipx_model::drill::rules::read(std::path::Path::new("r.yml"), text.as_bytes()).unwrap()
        };
        let labels = |v: &str| Texts::from([("alertname".to_owned(), "A".to_owned()), ("v".to_owned(), v.to_owned())]);
        let at = |v: &str, time: i64| Samples { labels: labels(v), is_firing: true, times: BTreeSet::from([time]) };
        let seen =
            record(vec![at("0.333333333333", 0), at("0.3333333333331", MINUTE), at("0.3343333333333", 0)], Vec::new());
        let (measured, counted) = (rules("count_values(\"v\", rate(x[5m])) > 0"), rules("count_values(\"v\", x) > 0"));
        let of = |rules: &[Rule], v: &str, time: i64| as_seen(&seen, rules, &labels(v), time)["v"].clone();
        assert_eq!(of(&measured, "0.3333333333333333", 0), "0.333333333333");
        assert_eq!(of(&measured, "0.3333333333333333", MINUTE), "0.3333333333331");
        for (rules, v) in [(&counted, "0.3333333333333333"), (&measured, "0.3333"), (&measured, "0.3343333333333")] {
            assert_eq!(of(rules, v, 0), v);
        }
    }

    #[test]
    fn who_is_told_of_what_is_kept_quiet_is_told_from_who_is_told_as_that_begins_or_ends() {
        // A fires from 5 to 20, B from 10 on: told at 10.5, at 15.
        for real_ms in [6_300, 9_000] {
            assert_eq!(told(5..20, 10..20, real_ms), [true, false], "{real_ms}");
        }
        // Both for one evaluation, told at the next; both begin; both have ended, and A is not long over.
        for (source, target, real_ms) in [(10..11, 10..11, 6_620), (10..20, 10..20, 6_100), (5..20, 10..20, 12_050)] {
            assert_eq!(told(source, target, real_ms), [false, true], "{real_ms}");
        }
        // A is over for long; A has not begun.
        assert_eq!(told(5..8, 10..20, 9_000), [false, false]);
        assert_eq!(told(20..25, 10..20, 9_000), [false, false]);
    }

    #[test]
    fn texts_are_compared_by_their_letters_and_only_the_last_bits_of_what_is_measured_are_not() {
        let rounded = ("is 0.333333333333 (of 3)", "is 0.3333333333333333 (of 3)");
        assert!(says_the_same("0.05 of a", "0.05 of a", false) && says_the_same(rounded.0, rounded.1, true));
        assert!(says_the_same("4.999999999999", "5", true));
        assert!(!says_the_same(rounded.0, rounded.1, false));
        for (one, other) in [
            ("0.05", "0.06"),
            ("a 1", "b 1"),
            ("1", "1 "),
            ("10%", "11%"),
            ("1.2.3", "1.2.4"),
            ("version 1.10", "version 1.1"),
            ("order 1234567890123", "order 1234567890124"),
            ("0.5", "0.50"),
            ("0.3333333333333333", "0.3333334333333333"),
        ] {
            assert!(!says_the_same(one, other, true), "{one} {other}");
        }
    }
}

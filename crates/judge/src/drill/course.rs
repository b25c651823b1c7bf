//! What became of one alert in a scene: when it was pending, fired, was kept quiet, was told, and to whom.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::TELLING_MS;
use super::record::Record;
use aiclipx_model::drill::alertmanager::Configuration;
use aiclipx_model::drill::reading::Texts;
use aiclipx_model::drill::scene::millis;
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
        let mut inhibited = BTreeMap::new();
        for other in record.alerts.iter().filter(|other| other.is_firing && other.labels != *labels) {
            if configuration.inhibits(&as_told(&other.labels, external), &told_as) {
                let name = other.labels.get("alertname").cloned().unwrap_or_default();
                inhibited.extend(other.times.intersection(&firing).map(|at| (*at, name.clone())));
            }
        }
        let told = record.notifications.iter().flat_map(|one| {
            let of_it = one.body.alerts.iter().filter(|alert| alert.labels == told_as);
            of_it.map(|alert| (one.body.receiver.clone(), alert.status, one.received_ms))
        });
        Course { pending, firing, inhibited, told: told.collect(), labels: told_as }
    }

    /// Who was told that it fires while another that fired kept it quiet, and had for a while.
    pub fn told_though_inhibited(&self, record: &Record) -> BTreeSet<&str> {
        let stretch = &record.run.stretch;
        let is_quiet = |at_ms: i64| {
            let until = stretch.test_ms(at_ms - record.run.origin_ms);
            let mut lately = self.firing.range(until - stretch.test_ms(TELLING_MS)..=until).peekable();
            lately.peek().is_some() && lately.all(|at| self.inhibited.contains_key(at))
        };
        let fires = self.told.iter().filter(|(_, status, at)| *status == Status::Firing && is_quiet(*at));
        fires.map(|(receiver, ..)| receiver.as_str()).collect()
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

//! When nobody may be told: the time intervals of a configuration, and what a route takes of them.
//!
//! A drill does not live the calendar. Of a route that has one it says so; of one that tells nobody at any time, that, too.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};

use super::reading::{scalar, text_of};
use crate::calendar_names::{MONTHS, WEEKDAYS};
use crate::monitoring::located::Node;

/// All intervals of a configuration, by name.
pub(super) type Intervals = BTreeMap<String, Vec<Interval>>;

/// A stretch of the calendar: all that it says of a moment must be so. A list is what it must be one of, first and last; what it
/// says nothing of is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interval {
    /// Minutes of a day, the last not in it.
    times: Option<Vec<(i64, i64)>>,
    /// From Sunday, which is 0.
    weekdays: Option<Vec<(i64, i64)>>,
    /// From the first, which is 1, or from the last, which is -1.
    days: Option<Vec<(i64, i64)>>,
    months: Option<Vec<(i64, i64)>>,
    years: Option<Vec<(i64, i64)>>,
    /// Of which zone the times are.
    location: String,
}

/// The time intervals of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// The line that names them.
    pub line: usize,
    /// What stands there: `mute_time_intervals [weekend]`.
    pub named: String,
    muted: Vec<Interval>,
    /// None where it is active always.
    active: Option<Vec<Interval>>,
}

const MUTE: &str = "mute_time_intervals";
const ACTIVE: &str = "active_time_intervals";
/// Minutes of a day.
const DAY: i64 = 1440;

/// The intervals that a configuration defines, in its older way, too.
pub(super) fn intervals(document: &Node) -> Intervals {
    let defined = ["time_intervals", MUTE].into_iter().flat_map(|key| document.items_of(key));
    let of = |node: &Node| {
        let all = node.items_of("time_intervals").iter().filter_map(interval).collect();
        (text_of(node, "name").unwrap_or_default(), all)
    };
    defined.map(of).collect()
}

/// None of one that can't be read: whether Alertmanager takes it, amtool says.
fn interval(node: &Node) -> Option<Interval> {
    let ranges = |key: &str, names: &[&str], first: i64| match node.get(key) {
        None => Some(None),
        Some(list) => {
            list.items().iter().map(|one| range(&scalar(one)?, names, first)).collect::<Option<_>>().map(Some)
        }
    };
    let minutes = |one: &Node| Some((minute(&text_of(one, "start_time")?)?, minute(&text_of(one, "end_time")?)?));
    let times = match node.get("times") {
        None => None,
        Some(list) => Some(list.items().iter().map(minutes).collect::<Option<_>>()?),
    };
    Some(Interval {
        times,
        weekdays: ranges("weekdays", &WEEKDAYS, 0)?,
        days: ranges("days_of_month", &[], 0)?,
        months: ranges("months", &MONTHS, 1)?,
        years: ranges("years", &[], 0)?,
        location: text_of(node, "location").filter(|zone| !zone.is_empty()).unwrap_or_else(|| "UTC".to_owned()),
    })
}

/// `monday:friday`, `-7:-1`, `2026`: names count from `first`.
fn range(text: &str, names: &[&str], first: i64) -> Option<(i64, i64)> {
    let one = |text: &str| {
        let text = text.trim().to_ascii_lowercase();
        let place = names.iter().position(|name| *name == text).and_then(|at| i64::try_from(at).ok());
        place.map(|at| at + first).or_else(|| text.parse().ok())
    };
    match text.split_once(':') {
        Some((from, to)) => Some((one(from)?, one(to)?)),
        None => one(text).map(|at| (at, at)),
    }
}

/// `23:59`, of a day; `24:00` is its end.
fn minute(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    Some(hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?).filter(|minute| (0..=DAY).contains(minute))
}

impl Calendar {
    /// That of a route; none of one that has none.
    pub(super) fn of(route: &Node, intervals: &Intervals) -> Option<Calendar> {
        let list = |key: &str| route.get(key).map(|list| list.items().iter().filter_map(scalar).collect::<Vec<_>>());
        let (mute, active) = (list(MUTE).unwrap_or_default(), list(ACTIVE).filter(|names| !names.is_empty()));
        let both = [Some((MUTE, &mute)), active.as_ref().map(|names| (ACTIVE, names))];
        let both: Vec<_> = both.into_iter().flatten().filter(|(_, names)| !names.is_empty()).collect();
        let (first, _) = both.first()?;
        let told = |(key, names): &(&str, &Vec<String>)| format!("{key} [{}]", names.join(", "));
        let defined =
            |names: &Vec<String>| names.iter().filter_map(|name| intervals.get(name)).flatten().cloned().collect();
        Some(Calendar {
            line: route.line_of(first),
            named: both.iter().map(told).collect::<Vec<_>>().join(" and "),
            muted: defined(&mute),
            active: active.as_ref().map(defined),
        })
    }

    /// Whether somebody may be told at some time of a year, or of the next. Where times of several zones meet, somebody may.
    pub fn lets_tell(&self, year: i16) -> bool {
        if self.muted.iter().any(Interval::is_always) {
            return false;
        }
        let all = || self.muted.iter().chain(self.active.iter().flatten());
        let mut zones = all().filter(|one| !one.is_always()).map(|one| &one.location);
        if zones.next().is_some_and(|first| zones.any(|other| other != first)) {
            return true;
        }
        let edges: Vec<i64> = all().flat_map(Interval::edges).chain([0]).filter(|minute| *minute < DAY).collect();
        let days = std::iter::successors(Some(date(year, 1, 1)), |day| day.tomorrow().ok());
        let mut days = days.take_while(|day| day.year() <= year + 1);
        days.any(|day| {
            edges.iter().any(|minute| {
                let is_in = |all: &[Interval]| all.iter().any(|one| one.holds(day, *minute));
                !is_in(&self.muted) && self.active.as_deref().is_none_or(is_in)
            })
        })
    }
}

impl Interval {
    /// Whether it leaves out no time, in whatever zone.
    fn is_always(&self) -> bool {
        let Interval { times, weekdays, days, months, years, location: _ } = self;
        times.is_none() && [weekdays, days, months, years].into_iter().all(Option::is_none)
    }

    /// The minutes of a day at which something changes.
    fn edges(&self) -> impl Iterator<Item = i64> {
        self.times.iter().flatten().flat_map(|(from, to)| [*from, *to])
    }

    fn holds(&self, day: Date, minute: i64) -> bool {
        let is_of = |list: &Option<Vec<(i64, i64)>>, value: i64| {
            list.as_ref().is_none_or(|all| all.iter().any(|(first, last)| (*first..=*last).contains(&value)))
        };
        let (of_month, length) = (i64::from(day.day()), i64::from(day.days_in_month()));
        let counted = |at: i64| if at < 0 { length + at + 1 } else { at };
        let is_of_days = self
            .days
            .as_ref()
            .is_none_or(|all| all.iter().any(|(first, last)| (counted(*first)..=counted(*last)).contains(&of_month)));
        let is_in_time =
            self.times.as_ref().is_none_or(|all| all.iter().any(|(from, to)| (*from..*to).contains(&minute)));
        is_in_time
            && is_of_days
            && is_of(&self.weekdays, i64::from(day.weekday().to_sunday_zero_offset()))
            && is_of(&self.months, i64::from(day.month()))
            && is_of(&self.years, i64::from(day.year()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitoring::located;

    const DEFINED: &str = "\
time_intervals:
- {name: always, time_intervals: [{times: [{start_time: '00:00', end_time: '24:00'}]}]}
- {name: anytime, time_intervals: [{}]}
- {name: halves, time_intervals: [{times: [{start_time: '00:00', end_time: '12:00'}]}, {times: [{start_time: '12:00', end_time: '24:00'}]}]}
- {name: nearly, time_intervals: [{times: [{start_time: '00:00', end_time: '23:59'}]}]}
- {name: week, time_intervals: [{weekdays: ['monday:friday']}]}
- {name: weekend, time_intervals: [{weekdays: [saturday, Sunday]}]}
- {name: saidweek, time_intervals: [{weekdays: ['monday:friday'], location: UTC}]}
- {name: year, time_intervals: [{months: ['1:6', 'july:december'], days_of_month: ['1:15', '16:-1']}]}
- {name: ends, time_intervals: [{years: ['2020:2026']}]}
- {name: never, time_intervals: []}
- {name: far, time_intervals: [{weekdays: ['monday:friday'], location: Australia/Sydney}]}
mute_time_intervals:
- {name: older, time_intervals: [{days_of_month: ['1:28', '-3:-1']}]}
";

    fn of(route: &str) -> Option<Calendar> {
        let defined = intervals(&located::read(DEFINED.as_bytes()).unwrap());
        Calendar::of(&located::read(route.as_bytes()).unwrap(), &defined)
    }

    #[test]
    fn a_route_is_told_with_the_line_and_the_names_of_its_intervals() {
        let calendar = of("receiver: a\nactive_time_intervals: [week]\nmute_time_intervals: [ends, never]").unwrap();
        let named = "mute_time_intervals [ends, never] and active_time_intervals [week]";
        assert_eq!((calendar.line, calendar.named.as_str()), (3, named));
        assert_eq!((of("receiver: a"), of("mute_time_intervals: []")), (None, None));
    }

    #[test]
    fn what_leaves_no_moment_is_told_from_what_leaves_one() {
        let tells = |route: &str| of(route).unwrap().lets_tell(2026);
        for never in [
            "mute_time_intervals: [always]",
            "mute_time_intervals: [anytime]",
            "mute_time_intervals: [halves]",
            "mute_time_intervals: [week, weekend]",
            // No zone is UTC.
            "mute_time_intervals: [saidweek, weekend]",
            // What holds always does so in each zone.
            "mute_time_intervals: [anytime, far]",
            "mute_time_intervals: [year]",
            "mute_time_intervals: [older]",
            "active_time_intervals: [never]",
            "{mute_time_intervals: [week], active_time_intervals: [week]}",
        ] {
            assert!(!tells(never), "{never}");
        }
        for sometimes in [
            "mute_time_intervals: [nearly]",
            "mute_time_intervals: [week]",
            "mute_time_intervals: [never]",
            // It is over with the year.
            "mute_time_intervals: [ends]",
            "active_time_intervals: [weekend]",
            "{mute_time_intervals: [weekend], active_time_intervals: [week]}",
            "{mute_time_intervals: [week], active_time_intervals: [far]}",
            "mute_time_intervals: [week, far]",
        ] {
            assert!(tells(sometimes), "{sometimes}");
        }
    }
}

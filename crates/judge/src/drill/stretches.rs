//! How much of a test's time is lived for what it asks, and how fast: the slowest speed at which it takes less than a minute, its
//! durations come out in whole milliseconds, and its subqueries see the points that promtool's do.

use std::collections::BTreeSet;
use std::time::Duration;

use super::given::Given;
use super::record::time;
use aiclipx_base::duration::Speed;
use aiclipx_model::drill::grid;
use aiclipx_model::drill::rules::{self, Rule};
use aiclipx_model::drill::scene::{self, Stretch, millis};
use aiclipx_model::drill::tests::{AlertTest, TestFile, TestGroup};

/// A scene should take less than a minute, of which starting it and telling take a while.
pub(super) const LIVED_MS: i64 = 40_000;
/// No evaluation comes sooner behind another: a busy machine would miss some.
const LEAST_STEP_MS: i64 = 240;
/// Nor later, where it can be chosen.
const MOST_STEP_MS: i64 = 1_000;
/// What a notification takes beside what is configured.
pub(super) const TELLING_MS: i64 = 1_500;
/// Prometheus takes samples that are a day old, and no older.
const MOST_REAL_MS: i64 = 20 * 3_600_000;
/// A file of the bundle that is read as JSON has no more.
#[allow(clippy::cast_possible_wrap)] // some megabytes
const LARGEST_JSON: i64 = crate::files::LARGEST_JSON as i64;
/// As many digits as any of this century.
const SOME_ORIGIN_MS: i64 = 1_700_000_000_000;
/// Windows that end sooner are waited for; what longer ones have seen is deleted.
const WAITED_MS: i64 = 8_000;

/// Whether a time that is asked about is in a stretch.
pub(super) fn is_in(stretch: &Stretch, test_ms: i64) -> bool {
    stretch.evaluation_of(test_ms) >= stretch.begins_ms && test_ms <= stretch.asked_until_ms
}

/// The stretches in which all that is asked is seen, and their speed.
pub(super) fn stretches(
    given: &Given,
    speed: Option<Speed>,
    (tests, group): (&TestFile, &TestGroup),
    rules: &[Rule],
    asked: &[&AlertTest],
) -> Result<Vec<Stretch>, String> {
    let names: BTreeSet<&str> = asked.iter().map(|one| one.alert.as_str()).collect();
    let speeds = speeds(speed, tests.evaluation_interval);
    // All rules if that can be, for one may inhibit another; else those on which it depends.
    let mut why = String::new();
    for needed in [rules.iter().collect(), rules::deciding(rules, &names)] {
        let mut slowest_that_fits = None;
        for speed in &speeds {
            match at_speed(given, (tests, group), rules, &needed, asked, *speed) {
                Ok(found) => {
                    let is_short = |one: &Stretch| {
                        one.real_ms(one.over_ms - one.begins_ms) <= LIVED_MS
                            && grid::period(rules, &names, one).is_ok_and(|period| period <= grid::SHORT_PERIOD_MS)
                    };
                    let fits = found.iter().all(is_short);
                    slowest_that_fits = Some(found);
                    if fits {
                        break;
                    }
                }
                Err(refused) => why = refused,
            }
        }
        if let Some(found) = slowest_that_fits {
            return Ok(found);
        }
    }
    Err(why)
}

/// The speeds to try, the slowest first: they divide a thousand, and so every duration of whole seconds.
fn speeds(asked: Option<Speed>, step: Duration) -> Vec<Speed> {
    if let Some(speed) = asked {
        return vec![speed];
    }
    let fitting = |k: &u32| {
        let (step, k) = (millis(step), i64::from(*k));
        step % k == 0 && step / k >= LEAST_STEP_MS && step / k <= MOST_STEP_MS
    };
    let of = |k: u32| Speed::new(k).ok();
    let found: Vec<Speed> = (1..=1000).filter(|k| 1000 % k == 0).filter(fitting).filter_map(of).collect();
    if found.is_empty() { vec![Speed::PRODUCTION] } else { found }
}

fn at_speed(
    given: &Given,
    (tests, group): (&TestFile, &TestGroup),
    rules: &[Rule],
    needed: &[&Rule],
    asked: &[&AlertTest],
    speed: Speed,
) -> Result<Vec<Stretch>, String> {
    let k = i64::from(speed.factor());
    let (step_ms, interval_ms) = (millis(tests.evaluation_interval), millis(group.interval));
    if step_ms % k != 0 || interval_ms % k != 0 {
        return Err(format!("its intervals divided by the speed {speed} are no whole milliseconds"));
    }
    let nobody = "127.0.0.1:9".parse().map_err(|_| "no address".to_owned())?;
    let refused = |all: Vec<String>| all.into_iter().next().unwrap_or_default();
    given.configuration.lived(speed, &nobody, &[]).map_err(refused)?;
    let draft = Stretch { speed, step_ms, begins_ms: 0, asked_until_ms: 0, ends_ms: 0, over_ms: 0, forgets: false };
    if let Some(why) = scene::unlived(needed.iter().copied(), speed).into_iter().next() {
        return Err(why);
    }
    let names: BTreeSet<&str> = asked.iter().map(|one| one.alert.as_str()).collect();
    grid::period(rules, &names, &draft)?;
    let looked_at: Vec<&Rule> =
        rules.iter().filter(|rule| rule.alert.is_some() && names.contains(rule.name.as_str())).collect();
    let alerting = || looked_at.iter().filter_map(|rule| rule.alert.as_ref());
    let before = alerting().map(|one| millis(one.hold) + millis(one.keep_firing_for)).max().unwrap_or(0) + 2 * step_ms;
    let keeps = alerting().map(|one| millis(one.keep_firing_for)).max().unwrap_or(0);
    let window = looked_at.iter().map(|rule| millis(scene::looks_back(rules, rule))).max().unwrap_or(0);
    let forgets = window / k > WAITED_MS;
    let hold = up_to(told_within(given, asked) + k * TELLING_MS, step_ms) + step_ms;
    let rest = up_to(keeps + if forgets { 0 } else { window }, step_ms) + 3 * step_ms;
    let stretch = |from: i64, until: i64| {
        let ends_ms = up_to(until, step_ms) + hold;
        Stretch {
            begins_ms: from.max(0),
            asked_until_ms: until,
            ends_ms,
            over_ms: ends_ms + rest + hold,
            forgets,
            ..draft
        }
    };
    let mut times: Vec<i64> = asked.iter().map(|one| millis(one.at)).collect();
    times.sort_unstable();
    times.dedup();
    let mut found: Vec<(i64, i64)> = Vec::new();
    for at in times {
        let from = draft.evaluation_of(at) - up_to(before, step_ms);
        match found.last_mut() {
            // What lies between costs less than another start.
            Some((_, until)) if from <= *until + 2 * hold + rest => *until = at,
            _ => found.push((from, at)),
        }
    }
    let found: Vec<Stretch> = found.into_iter().map(|(from, until)| stretch(from, until)).collect();
    found.iter().try_for_each(|stretch| can_be_sent(group, rules, stretch))?;
    Ok(found)
}

/// Whether a stretch, its history and all, is no more than a drill can take.
fn can_be_sent(group: &TestGroup, rules: &[Rule], stretch: &Stretch) -> Result<(), String> {
    let real = stretch.real_ms(stretch.over_ms);
    if real > MOST_REAL_MS {
        return Err(format!(
            "it would take {} with its history at speed {}, and {} is the most; ask at earlier times",
            time(real),
            stretch.speed,
            time(MOST_REAL_MS)
        ));
    }
    let samples = scene::samples(group, rules, stretch);
    // The least and the most letters that a sample takes.
    let (least, most) = (LARGEST_JSON / 20, LARGEST_JSON / 45);
    let is_too_much = samples > least
        || samples > most && {
            let all = serde_json::to_vec(&scene::sent(group, rules, stretch, SOME_ORIGIN_MS)).unwrap_or_default();
            i64::try_from(all.len()).is_ok_and(|length| length > LARGEST_JSON)
        };
    if is_too_much {
        return Err(format!(
            "its series have {samples} samples until then, more than a drill sends; ask at earlier times, or give it fewer \
             series or a longer `interval`"
        ));
    }
    Ok(())
}

/// How long it may take until somebody is told of what fires, by what Alertmanager is configured to.
fn told_within(given: &Given, asked: &[&AlertTest]) -> i64 {
    let labels = asked.iter().flat_map(|one| &one.expected).map(|one| &one.labels);
    let places = labels.flat_map(|labels| given.configuration.places(labels));
    places.map(|place| millis(place.group_wait.max(place.group_interval))).max().unwrap_or(0)
}

/// The next whole number of steps.
fn up_to(ms: i64, step_ms: i64) -> i64 {
    ms + (-ms).rem_euclid(step_ms)
}

//! On which moments Prometheus evaluates a group: every interval, at an offset that it computes of the group's name and file.
//!
//! A subquery is asked at whole multiples of its step, whatever the group's offset. In promtool a test begins at zero, and so on
//! one; so must a drill, or a subquery sees other points than the test's. The offset is zero where the name is chosen so.

use std::collections::BTreeSet;
use std::time::Duration;

use promql_parser::parser::Expr;
use xxhash_rust::xxh64::xxh64;

use super::rules::{self, Rule};
use super::scene::{Stretch, millis};
use crate::monitoring::promql;
use aiclipx_base::duration;

/// How many ways there are in which Prometheus hashes labels: with separators, and with lengths (its `stringlabels`).
pub const VARIANTS: usize = 2;

/// A group's name whose evaluations come at whole multiples of an interval, in a file of that name, where labels are hashed so.
pub fn name(file: &str, interval_ms: i64, variant: usize) -> String {
    let nanos = interval_ms.unsigned_abs().max(1) * 1_000_000;
    let names = (0..100_000).map(|number| format!("drill-{number}"));
    let is_on_it = |name: &String| hash(file, name, variant) % nanos < 1_000_000;
    names.into_iter().find(is_on_it).unwrap_or_else(|| "drill".to_owned())
}

fn hash(file: &str, name: &str, variant: usize) -> u64 {
    let mut bytes = Vec::new();
    for word in ["file", file, "name", name] {
        if variant == 0 {
            bytes.extend(word.as_bytes());
            bytes.push(0xff);
        } else {
            // None is so long that its length takes more than a byte.
            bytes.push(u8::try_from(word.len()).unwrap_or(u8::MAX));
            bytes.extend(word.as_bytes());
        }
    }
    xxh64(&bytes, 0)
}

/// What the beginning of a test must be a multiple of, in real milliseconds, so that alerts of these names see the points that the
/// test's do: the interval, and the steps of all subqueries on which they depend. Where that is more than a scene waits for, which
/// rule is why.
pub fn period(rules: &[Rule], alerts: &BTreeSet<&str>, stretch: &Stretch) -> Result<i64, String> {
    let mut period = stretch.real_ms(stretch.step_ms);
    let mut steps = Vec::new();
    for rule in rules::deciding(rules, alerts) {
        for step in steps_of(rule, stretch) {
            let real_ms = stretch.real_ms(step).max(1);
            period = period / greatest_divisor(period, real_ms) * real_ms;
            steps.push(step);
            if period > LONGEST_PERIOD_MS {
                steps.sort_unstable();
                steps.dedup();
                let steps: Vec<String> = steps.iter().map(|step| in_words(*step)).collect();
                return Err(format!(
                    "{}: subqueries with steps of {}, evaluated every {}, see the points that promtool's do at a common multiple of \
                     these, which at speed {} comes every {}, and a drill waits for {} at most; take steps that are multiples of \
                     each other",
                    rule.place(),
                    steps.join(" and "),
                    in_words(stretch.step_ms),
                    stretch.speed,
                    in_words(period),
                    in_words(LONGEST_PERIOD_MS)
                ));
            }
        }
    }
    Ok(period)
}

/// Whether a test that began then is one in which alerts of these names see the points that the test's do.
pub fn is_on_it(rules: &[Rule], alerts: &BTreeSet<&str>, stretch: &Stretch, origin_ms: i64) -> bool {
    let asks = |rule: &&Rule| !steps_of(rule, stretch).is_empty();
    !rules::deciding(rules, alerts).iter().any(asks)
        || period(rules, alerts, stretch).is_ok_and(|period| origin_ms.rem_euclid(period) == 0)
}

/// The steps of a rule's subqueries, in the test's time: one that names none has the interval, as in promtool.
fn steps_of(rule: &Rule, stretch: &Stretch) -> Vec<i64> {
    let Ok(tree) = rule.tree() else { return Vec::new() };
    let step = |node: &Expr| match node {
        Expr::Subquery(subquery) => Some(subquery.step.map_or(stretch.step_ms, millis)),
        _ => None,
    };
    promql::nodes(&tree).into_iter().filter_map(step).collect()
}

fn in_words(ms: i64) -> String {
    duration::print(Duration::from_millis(ms.unsigned_abs()))
}

/// So long is waited at most for a moment that suits all.
const LONGEST_PERIOD_MS: i64 = 60_000;
/// So long it is waited where a faster clock would not shorten it.
pub const SHORT_PERIOD_MS: i64 = 15_000;

fn greatest_divisor(one: i64, other: i64) -> i64 {
    if other == 0 { one } else { greatest_divisor(other, one % other) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::drill::rules;
    use aiclipx_base::duration::Speed;

    /// Seen: 2.42 evaluates the first, and 3.12 the second, at whole multiples of 600 ms.
    #[test]
    fn names_are_those_that_prometheus_was_seen_to_evaluate_on_the_grid() {
        assert_eq!([0, 1].map(|variant| name("rules.yml", 600, variant)), ["drill-67", "drill-1173"]);
    }

    #[test]
    fn a_name_is_found_for_every_interval_and_way() {
        for (interval, variant) in [(240, 0), (480, 1), (600, 0), (1000, 1)] {
            let name = name("rules.yml", interval, variant);
            assert_ne!(name, "drill");
            assert!(hash("rules.yml", &name, variant) % (interval.unsigned_abs() * 1_000_000) < 1_000_000);
        }
    }

    const RULES: &str = "\
groups:
- rules:
  - {record: a, expr: 'max_over_time(x[1h:5m]) + max_over_time(z[1h:])'}
  - {alert: A, expr: 'a + max_over_time(y[1h:90s]) > 1'}
  - {alert: Odd, expr: 'count_over_time((x > 1)[10m:7s]) > 1'}
  - {alert: Both, expr: 'ALERTS{alertname=\"A\"} and on () max_over_time(x[1h:2m])'}
";

    fn stretch(k: u32) -> Stretch {
        let speed = Speed::new(k).unwrap();
        Stretch { speed, step_ms: 60_000, begins_ms: 0, asked_until_ms: 0, ends_ms: 0, over_ms: 0, forgets: false }
    }

    #[test]
    fn the_period_suits_every_subquery_that_decides_and_no_other() {
        let rules = rules::read(Path::new("r.yml"), RULES.as_bytes()).unwrap();
        let of = |alert: &str| period(&rules, &BTreeSet::from([alert]), &stretch(100));
        assert_eq!((of("A"), of("Odd"), of("None")), (Ok(9_000), Ok(4_200), Ok(600)));
        // What another alert asks for counts where that alert is asked for, and every alert is.
        let why = of("Both").unwrap_err();
        assert!(why.contains(" 7s ") && why.contains("speed 100"), "{why}");
    }

    #[test]
    fn steps_that_no_scene_can_wait_for_are_told_with_their_rule() {
        let rules = rules::read(Path::new("r.yml"), RULES.as_bytes()).unwrap();
        let both = BTreeSet::from(["A", "Odd"]);
        let why = period(&rules, &both, &stretch(100)).unwrap_err();
        assert!(why.starts_with("r.yml:5: subqueries with steps of 7s and 1m and 1m30s and 5m"), "{why}");
        // A faster clock brings the moments closer.
        assert_eq!(period(&rules, &both, &stretch(250)), Ok(25_200));
    }

    #[test]
    fn a_beginning_that_suits_none_is_known() {
        let rules = rules::read(Path::new("r.yml"), RULES.as_bytes()).unwrap();
        let of = |alert: &str, origin| is_on_it(&rules, &BTreeSet::from([alert]), &stretch(100), origin);
        assert!(of("A", 9_000) && !of("A", 9_600) && of("Odd", 8_400) && !of("Odd", 9_000));
        // Without a subquery all moments are alike.
        assert!(of("None", 7));
    }
}

//! On which moments Prometheus evaluates a group: every interval, at an offset that it computes of the group's name and file.
//!
//! A subquery is asked at whole multiples of its step, whatever the group's offset. In promtool a test begins at zero, and so on
//! one; so must a drill, or a subquery sees other points than the test's. The offset is zero where the name is chosen so.

use promql_parser::parser::Expr;
use xxhash_rust::xxh64::xxh64;

use super::rules::Rule;
use super::scene::{Stretch, millis};
use crate::monitoring::promql;

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

/// What the beginning of a test must be a multiple of, in real milliseconds: the interval, and the steps of all subqueries, as
/// far as it can be waited for.
pub fn period(rules: &[Rule], stretch: &Stretch) -> i64 {
    let step = stretch.real_ms(stretch.step_ms);
    let trees: Vec<Expr> = rules.iter().filter_map(|rule| rule.tree().ok()).collect();
    let steps = trees.iter().flat_map(promql::nodes).filter_map(|node| match node {
        Expr::Subquery(subquery) => subquery.step,
        _ => None,
    });
    let steps = steps.map(|one| stretch.real_ms(millis(one))).filter(|one| *one > 0);
    steps.fold(step, |period, one| {
        let both = period / greatest_divisor(period, one) * one;
        if both <= LONGEST_PERIOD_MS { both } else { period }
    })
}

/// So long is waited at most for a moment that suits all.
const LONGEST_PERIOD_MS: i64 = 15_000;

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

    #[test]
    fn the_period_suits_every_subquery() {
        let text = "groups: [{rules: [{record: a, expr: 'max_over_time(x[1h:5m]) + max_over_time(y[1h:90s]) + max_over_time(z[1h:])'}]}]";
        let rules = rules::read(Path::new("r.yml"), text.as_bytes()).unwrap();
        let speed = Speed::new(100).unwrap();
        let stretch =
            Stretch { speed, step_ms: 60_000, begins_ms: 0, asked_until_ms: 0, ends_ms: 0, over_ms: 0, forgets: false };
        assert_eq!(period(&rules, &stretch), 9_000);
    }
}

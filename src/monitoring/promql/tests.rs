//! Division, hazards and windows by example; printing by a thousand made-up expressions.

use std::fmt::Write;
use std::process::Command;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;

fn expr(text: &str) -> Expr {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn recorded() -> Recorded {
    let rules = [
        ("job:x:rate5m", "sum by (job) (rate(x[5m]))"),
        ("job:x:increase5m", "sum by (job) (increase(x[5m]))"),
        ("job:y_per_x:ratio", "sum(rate(y[5m])) / job:x:rate5m"),
        ("job:p95", "histogram_quantile(0.95, sum by (le) (rate(b[5m])))"),
    ];
    rules.into_iter().map(|(name, text)| (name.to_owned(), expr(text))).collect()
}

#[test]
fn every_duration_is_divided_wherever_it_stands() {
    let mut tree = expr(
        "topk(scalar(count_over_time(a[1h])), -rate(b[5m] offset -2m)) + on (job) \
         max_over_time(sum(c offset 1m)[30m:90s] @ end() offset 10m) > bool 300",
    );
    divide(&mut tree, Speed::new(30).expect("a speed")).expect("it divides");
    assert_eq!(
        print(&tree),
        print(&expr(
            "topk(scalar(count_over_time(a[2m])), -rate(b[10s] offset -4s)) + on (job) \
             max_over_time(sum(c offset 2s)[1m:3s] @ end() offset 20s) > bool 300"
        ))
    );
}

#[test]
fn a_fraction_of_a_millisecond_is_refused_and_all_are_told() {
    let refused = divide(&mut expr("rate(a[1m]) / rate(b[5m] offset 100ms)"), Speed::new(7).expect("a speed"));
    assert_eq!(refused.expect_err("no whole milliseconds").len(), 3);
}

#[test]
fn a_duration_in_a_number_s_place_is_refused() {
    for text in ["x > 5m", "time() - t > 1h30m", "5m < x", "x[5m] > 5m", "x offset 5m > 10s", "x * -5m"] {
        assert!(duration_as_number(text).is_some(), "{text}");
    }
    for text in [
        "x[5m]",
        "x offset 5m",
        "x offset -5m",
        "x[1h:5m] offset 2m",
        "x{a=\"> 5m\"} # 5m",
        "x1m > 0x1f",
        "x5m:rate1m > 1e3",
        "y{a='\\'5m'}",
    ] {
        assert_eq!(duration_as_number(text), None, "{text}");
    }
}

#[test]
fn what_shrinks_with_the_window_may_not_be_compared_with_a_number() {
    for text in [
        "increase(x[5m]) > 10",
        "sum(increase(x[5m])) / 2 >= 10",
        "10 < sum by (job) (changes(x[5m]))",
        "job:x:increase5m > 10",
        "(time() - process_start_time_seconds) > 300",
        "y and (increase(x[5m]) > 10)",
        "topk(3, increase(x[5m]) > 1)",
        "predict_linear(x[1h], 3600) < 0",
        "x @ 1600000000 > 1",
    ] {
        assert!(!hazards(&expr(text), &recorded()).is_empty(), "{text}");
    }
}

#[test]
fn rates_ratios_quantiles_and_zero_may() {
    for text in [
        "rate(x[5m]) > 10",
        "increase(x[5m]) > 0",
        "increase(y[5m]) / increase(x[5m]) > 0.05",
        "increase(y[5m]) > increase(x[5m])",
        "histogram_quantile(0.9, sum by (le) (increase(b[5m]))) > 0.5",
        "count(increase(x[5m]) > 0) > 3",
        "job:y_per_x:ratio > 0.05 and job:x:rate5m > 0.5",
        "max_over_time(job:x:rate5m[30m]) > 0.5",
        "x @ start() > 1",
    ] {
        assert_eq!(hazards(&expr(text), &recorded()), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn the_window_is_the_longest_range_through_recording_rules() {
    for (text, minutes) in [
        ("up == 0", 0),
        ("rate(x[5m]) > 1", 5),
        ("job:y_per_x:ratio > 0.05 and job:x:rate5m > 0.5", 5),
        ("avg_over_time(job:x:rate5m[30m]) > 1", 35),
        ("job:x:rate5m offset 10m", 15),
        ("avg_over_time(rate(x[5m])[30m:1m] offset 5m)", 40),
        ("rate(x[1h]) > 1 and rate(x[5m]) > 1", 60),
        ("(job:x:rate5m or 0 * max_over_time(job:x:rate5m[30m])) < 0.05 and max_over_time(job:x:rate5m[30m]) > 1", 5),
    ] {
        assert_eq!(window(&expr(text), &recorded()), Duration::from_secs(minutes * 60), "{text}");
    }
}

#[test]
fn the_compared_side_is_what_to_look_at() {
    assert_eq!(compared("(a / b > 0.05) and c > 1"), "a / b");
    assert_eq!(compared("vector(1)"), "vector(1)");
}

#[test]
fn the_share_that_fires_follows_from_ratios_and_quantiles_only() {
    let share = |text| share_threshold(&expr(text), &recorded());
    assert_eq!(share("job:y_per_x:ratio > 0.05"), Some(0.05));
    assert!(share("job:y_per_x:ratio / 0.005 > 14.4").is_some_and(|share| (share - 0.072).abs() < 1e-9));
    assert!(share("job:p95 > 0.5").is_some_and(|share| (share - 0.05).abs() < 1e-9));
    assert_eq!(share("job:x:rate5m > 0.5"), None);
    assert_eq!(share("job:y_per_x:ratio < 0.05"), None);
}

#[test]
fn all_that_must_hold_is_found_whatever_the_parentheses() {
    let tree = expr("(a > 1 and (b > 2)) and on (job) c < 3 or d");
    assert_eq!(conjuncts(&tree).len(), 1, "an alternative is one");
    let tree = expr("(a > 1 and (b > 2)) and on (job) c < 3");
    let texts: Vec<String> = conjuncts(&tree).into_iter().map(print).collect();
    assert_eq!(texts, ["a > 1", "b > 2", "c < 3"]);
}

#[test]
fn layout_is_forgiven_and_nothing_else() {
    assert!(same("sum(rate(x[5m]))by(job)", "sum by (job) (\n  rate(x[300s])\n)"));
    assert!(!same("x > 0.05", "x > 0.5"));
    assert!(!same("x{a=\"b\"}", "x{a!=\"b\"}"));
}

#[test]
fn a_matcher_of_alertmanager_reads() {
    let matcher = parse_matcher("alertname=~\"App.+\"").expect("it reads");
    assert!(matcher.is_match("AppDown") && !matcher.is_match("Watchdog"));
    assert!(parse_matcher("a=\"b\",c=\"d\"").is_err());
    assert!(parse_matcher("severity").is_err());
}

/// Durations that divide by every speed the tests use.
fn ranges() -> impl Strategy<Value = String> {
    (1u64..10_000).prop_map(|n| duration::print(Duration::from_secs(n * 15)))
}

fn selectors() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["up", "a_total", "job:b:rate5m", "c_bucket"]);
    let matchers =
        prop::sample::select(vec!["", "{job=\"app\"}", "{a!=\"b\",c=~\"5..\"}", "{e!~\"/(m|h/.*)\",f=\"\\\\d 5m\"}"]);
    (name, matchers).prop_map(|(name, matchers)| format!("{name}{matchers}"))
}

fn offsets() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(String::new()),
        1 => ranges().prop_map(|range| format!(" offset {range}")),
        1 => ranges().prop_map(|range| format!(" offset -{range}")),
        1 => Just(" @ end()".to_owned()),
    ]
}

/// Instant vectors of the grammar's every kind of node.
fn vectors() -> impl Strategy<Value = String> {
    let ranged = (
        selectors(),
        ranges(),
        offsets(),
        prop::sample::select(vec!["rate", "increase", "max_over_time", "absent_over_time"]),
    )
        .prop_map(|(selector, range, offset, function)| format!("{function}({selector}[{range}]{offset})"));
    let leaf = prop_oneof![(selectors(), offsets()).prop_map(|(selector, offset)| selector + &offset), ranged];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (
                inner.clone(),
                prop::sample::select(vec!["sum", "max by (job)", "count without (instance,le)", "avg by (a,b)"])
            )
                .prop_map(|(inner, aggregate)| format!("{aggregate} ({inner})")),
            (inner.clone(), inner.clone()).prop_map(|(parameter, inner)| format!("topk(scalar({parameter}), {inner})")),
            (inner.clone(), 0.0f64..1.0).prop_map(|(inner, q)| format!("histogram_quantile({q}, {inner})")),
            (
                inner.clone(),
                inner.clone(),
                prop::sample::select(vec![
                    "+",
                    "-",
                    "*",
                    "/",
                    "%",
                    "^",
                    "> bool",
                    "==",
                    "<=",
                    "and",
                    "or",
                    "unless on (job)",
                    "/ ignoring (a)",
                    "* on (job) group_left (c)",
                    "> on (job)",
                ])
            )
                .prop_map(|(left, right, operator)| format!("({left}) {operator} ({right})")),
            (inner.clone(), inner.clone(), prop::sample::select(vec!["+", "*", "^", ">", "and", "or", "-"]))
                .prop_map(|(left, right, operator)| format!("{left} {operator} {right}")),
            (inner.clone(), -1e6f64..1e6).prop_map(|(inner, number)| format!("{inner} > {number}")),
            (inner.clone(), ranges(), prop_oneof![Just(String::new()), ranges()], offsets())
                .prop_map(|(inner, range, step, offset)| format!("max_over_time(({inner})[{range}:{step}]{offset})")),
            inner.clone().prop_map(|inner| format!("-({inner})")),
            inner.prop_map(|inner| format!("clamp_max(label_replace({inner}, \"x\", \"$1\", \"y\", \"(.*)\"), 5)")),
        ]
    })
}

/// Our printer's word is not enough: what it prints after a division must be an expression to Prometheus.
#[test]
fn prometheus_accepts_what_is_printed() {
    let mut runner = TestRunner::deterministic();
    let mut rules = "groups:\n- name: generated\n  rules:\n".to_owned();
    for number in 0..400 {
        let text = vectors().new_tree(&mut runner).expect("a text").current();
        let mut tree = expr(&text);
        divide(&mut tree, Speed::new(30).expect("a speed")).expect("it divides");
        // JSON's quoting is YAML's too.
        let printed = serde_json::to_string(&print(&tree)).expect("a text");
        writeln!(rules, "  - record: generated_{number}\n    expr: {printed}").expect("memory");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("rules.yml");
    std::fs::write(&file, rules).expect("a file is written");
    let checked = Command::new("promtool").args(["check", "rules"]).arg(&file).output();
    let checked = checked.unwrap_or_else(|error| {
        panic!("cannot run promtool ({error}); it comes with Debian's prometheus, or `nix develop`")
    });
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

proptest! {
    #[test]
    fn dividing_and_printing_is_stable(text in vectors(), k in prop::sample::select(vec![1u32, 5, 15, 30])) {
        let mut tree = parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        let before = durations(&tree);
        divide(&mut tree, Speed::new(k).expect("a speed")).map_err(|error| TestCaseError::fail(error.join("; ")))?;
        let printed = print(&tree);
        let again = parse(&printed).map_err(|error| TestCaseError::fail(format!("{printed}: {error}")))?;
        prop_assert_eq!(print(&again), printed);
        prop_assert_eq!(durations(&again), before.iter().map(|duration| *duration / k).collect::<Vec<_>>());
    }
}

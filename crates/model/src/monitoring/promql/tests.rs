//! Division, hazards and windows by example; printing by a thousand made-up expressions.

use std::fmt::Write;
use std::process::Command;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use aiclipx_base::duration;

mod worlds;

fn expr(text: &str) -> Expr {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn recorded() -> Recorded {
    let rules = [
        ("job:x:rate5m", "sum by (job) (rate(x[5m]))"),
        ("job:x:increase5m", "sum by (job) (increase(x[5m]))"),
        ("job:y_per_x:ratio", "sum(rate(y[5m])) / job:x:rate5m"),
        ("job:x:mean", "avg_over_time(x[5m]) + 1"),
        ("job:p95", "histogram_quantile(0.95, sum by (le) (rate(b[5m])))"),
    ];
    rules.into_iter().map(|(name, text)| (name.to_owned(), Arc::new(expr(text)))).collect()
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

/// The parser leaves out a number that is too large for it.
#[test]
fn a_duration_is_read_whole_or_refused() {
    assert_eq!(durations(&expr("rate(x[1h5000000000ms])")), [Duration::from_secs(5_003_600)]);
    assert_eq!(durations(&expr("x offset -5000000000ms")), [Duration::from_secs(5_000_000)]);
    for text in
        ["rate(x[300000000y])", "rate(x[293y])", "x offset 99999999999s", "x offset 0s", "rate(x[1h1h])", "x[1h:0s]"]
    {
        assert!(parse(text).is_err(), "{text}");
    }
}

/// promtool takes them, and the rule's evaluation fails.
#[test]
fn what_gives_no_vector_is_refused() {
    for text in ["x[5m]", "(x)[5m:]", "\"x\"", "x{__name__=\"y\"}", "x{__name__=~\"y\"}"] {
        assert!(parse(text).is_err(), "{text}");
    }
    assert!(same("{__name__=\"x\",a=\"b\"}", "x{a=\"b\"}"));
}

#[test]
fn a_duration_in_a_number_s_place_and_a_number_in_a_duration_s_are_refused() {
    for text in [
        "x > 5m",
        "time() - t > 1h30m",
        "5m < x",
        "x[5m] > 5m",
        "x offset 5m > 10s",
        "x * -5m",
        "rate(x[300])",
        "max_over_time(x[1h:300])",
        "x offset 300",
        "x offset -300",
    ] {
        let refused = parse(text).expect_err(text);
        assert!(refused.contains("place; Prometheus 2.42 can't read it"), "{text}: {refused}");
    }
    for text in [
        "rate(x[5m])",
        "x offset 5m",
        "x offset -5m",
        "max_over_time(x[1h:5m] offset 2m)",
        "x{a=\"> 5m\"} # 5m\n",
        "x1m > 0x1f",
        "x > 1.5e-3 + 1e+3 - .5",
        "x5m:rate1m > 1e3",
        "y{a='\\'5m'}",
        "y{a=`5m`} > 5 # `300` [\n",
    ] {
        assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
    }
}

/// Between backticks a backslash is one, whatever follows.
#[test]
fn raw_texts_are_read_as_prometheus_reads_them() {
    let value = |text: &str| super::selectors(&expr(text))[0].matchers.matchers[0].value.clone();
    for (text, wanted) in [
        (r"x{path=~`/api/\d+`}", r"/api/\d+"),
        (r"x{path=~`\.\w\b`}", r"\.\w\b"),
        (r"x{path=`\n`}", r"\n"),
        ("x{path=`a\nb`}", "a\nb"),
        (r#"x{path=`"quoted" 'twice' \`}"#, r#""quoted" 'twice' \"#),
        (r#"x{path="`\\d`"}"#, r"`\d`"),
        (r"x{path='a\'`\x41\101'}", "a'`AA"),
        ("x{path=\"ä\"}", "ä"),
    ] {
        assert_eq!(value(text), wanted, "{text}");
        assert_eq!(value(&print(&expr(text))), wanted, "{text} printed");
    }
    for text in [r#"x{path="\d"}"#, "x{path=`open}", r#"x{path="\xff"}"#, r#"x{path="\\\377"}"#, r#"x{path="\ud800"}"#]
    {
        assert!(parse(text).is_err(), "{text}");
    }
    assert!(parse(r#"x{path="\\xff"}"#).is_ok(), "the backslash is escaped");
}

#[test]
fn what_prometheus_2_42_does_not_know_is_refused() {
    for text in [
        "limitk(3, x)",
        "limit_ratio(0.5, x)",
        "mad_over_time(x[5m])",
        "info(x)",
        "double_exponential_smoothing(x[5m], 0.5, 0.5)",
        "sort_by_label(x, \"a\")",
        "x{a=\"1\" or b=\"2\"}",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}

/// What is printed is read again, and a name that needs no quotes has none.
#[test]
fn names_in_quotes_are_read_and_told() {
    for (text, printed, quoted) in [
        (r#"{"a.b"}"#, r#"{__name__="a.b"}"#, r#""a.b""#),
        (r#"{"a"}"#, "a", r#""a""#),
        (r#"{x="y", 'a.b'="c"}"#, r#"{"a.b"="c",x="y"}"#, "'a.b'"),
        (r#"sum by (x, "a.b") (rate(y[5m]))"#, r#"sum by (x, "a.b") (rate(y[5m]))"#, r#""a.b""#),
        (r#"x + on("a b") group_left ("c") y"#, r#"x + on ("a b") group_left (c) y"#, r#""a b""#),
    ] {
        assert_eq!(print(&expr(text)), printed, "{text}");
        assert_eq!(print(&expr(printed)), printed);
        assert_eq!(quoted_name(text), Some(quoted), "{text}");
    }
    for text in [r#"a{b="c", d=~"e"}"#, r#"count_values("a.b", x)"#, r#"label_join(x, "a", "b") # "c""#] {
        assert_eq!(quoted_name(text), None, "{text}");
    }
    assert!(parse(r#"x{"a.b"}"#).is_err(), "it would have two names");
}

/// As a selector by itself it would be a number, or nothing at all.
#[test]
fn a_name_that_does_not_stand_alone_stays_a_matcher() {
    for name in ["inf", "nan", "5m", "1a", "", "bool"] {
        let text = format!("{{__name__=\"{name}\",a=\"b\"}}");
        assert_eq!(print(&expr(&text)), text);
    }
}

/// The list is in the parser's source, and nowhere in what it offers.
#[test]
fn the_table_has_every_function_of_the_parser_once() {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", &platform])
        .output()
        .expect("cargo runs");
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata = metadata.stdout;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).expect("JSON");
    let package = metadata["packages"].as_array().expect("packages").iter().find(|one| one["name"] == "promql-parser");
    let manifest = std::path::Path::new(package.expect("it is built")["manifest_path"].as_str().expect("a path"));
    let source = std::fs::read_to_string(manifest.with_file_name("src/parser/function.rs")).expect("its source");
    let mut known: Vec<&str> = source
        .split("function!(")
        .skip(1)
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
        .collect();
    assert!(known.len() > 80, "{known:?}");
    // The parser knows the name that Prometheus 3 gives it, and this one by us.
    known.push("holt_winters");
    known.sort_unstable();
    let mut ours: Vec<&str> = functions::FUNCTIONS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    ours.sort_unstable();
    assert_eq!(ours, known);
}

/// Prometheus 2 alone has it.
#[test]
fn a_function_that_is_gone_is_read_and_printed_by_its_name() {
    let tree = parse("holt_winters(up[5m], 0.5, 0.1) > 0").expect("it reads");
    assert_eq!(print(&tree), "holt_winters(up[5m], 0.5, 0.1) > 0");
    assert!(parse("holt_winters(up[5m])").is_err() && parse("double_exponential_smoothing(up[5m], 0.5, 0.1)").is_err());
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
        // A horizon that is computed is a horizon.
        "predict_linear(x[6h], 24*60*60) < 0",
        "predict_linear(x[6h], (86400)) < 0",
        "predict_linear(x[6h], -(3600)) < 0",
        "predict_linear(x[6h], scalar(y)) < 0",
        // A number added to a moment is a duration; so is one a moment is divided with the rest of, or held against.
        "timestamp(x) < time() - 300",
        "time() - (timestamp(x) + 300) > 0",
        "x_timestamp_seconds + 300 < time()",
        "time() - (x + 300) > 0",
        "vector(time()) > 1600000000",
        "vector(time()) - vector(300) > x",
        "vector(time()) % 86400 > 3600",
        "-timestamp(x) > -1600000000",
        "x_timestamp_seconds - y_timestamp_seconds > 300",
        "x_uptime_seconds < 300",
        // The number on the left, and what comes out of the comparison.
        "0 <= (expiry - time())/86400 < 3",
        "(0 < increase(x[5m])) > 10",
        "(vector(0) or increase(x[5m])) > 10",
        // Not linear.
        "increase(x[5m]) ^ 2 > 4",
        "increase(x[5m]) % 7 > 1",
        "ln(increase(x[5m])) > 1",
        "round(increase(x[5m])) > 0",
        "sqrt(increase(x[5m])) > 2",
        "stdvar_over_time(increase(x[5m])[1h:]) > 4",
        "clamp_max(increase(x[5m]), 10) / increase(y[5m]) > 0.5",
        "clamp_min(vector(0), scalar(increase(x[5m]))) > 10",
        "sum_over_time(vector(5)[1h:]) - 5 < increase(x[5m])",
        "topk(scalar(increase(x[5m])), y) > 0",
        "sum(increase(x[5m])) + 10 > sum(increase(y[5m]))",
        "1 / increase(x[5m]) < 0.1",
        // The calendar.
        "hour() > 8",
        "minute(x) > 8",
        "x > 1 and on () day_of_week() < 6",
        // A raw counter counts since its source started; a gauge's change is a level's or a stock's.
        "x_total > 10",
        "delta(x[5m]) > 10",
        "deriv(x[5m]) > 0.1",
        "idelta(x[5m]) > 10",
        "x - x offset 5m > 10",
        "x > x offset 5m + 10",
        "x > 1.5 * x offset 1h",
        "x / x offset 1h > 1.2",
        "x + -(x offset 5m) > 10",
        "sum(x) - sum(x offset 5m) > 10",
        "x - x @ start() > 10",
        "count(x > 1) - count(x offset 5m > 1) > 3",
        "max_over_time(x[5m]) - min_over_time(x[5m]) > 10",
        "max_over_time(x[5m]) / min_over_time(x[5m]) > 2",
        "quantile_over_time(0.9, x[5m]) - quantile_over_time(0.1, x[5m]) > 10",
        "x - job:x:mean > 10",
        "abs(job:x:mean - avg_over_time(x[1h])) > 1",
        "delta(job:x:mean[5m]) > 10",
        "delta((x + 1)[5m:]) > 10",
        "increase((x + 1)[5m:]) > 10",
        "stddev_over_time(x[1h]) > 4",
        "stddev(x or x offset 5m) > 4",
        "predict_linear(x[6h], scalar(time() - y)) - x > 10",
        // By whatever name.
        "{__name__=\"job:x:increase5m\"} > 10",
        "{__name__=~\"job:x:increase5m\"} > 10",
        "{__name__=~\"job:x:(increase|rate)5m\"} > 10",
        "{__name__=~\"job:x:increase5m|job:x:rate5m\"} > 10",
        "{__name__=~\".+\"} > 10",
        "{job=\"x\"} > 10",
        "{__name__=\"x_total\"} > 10",
        "rate({__name__=~\"job:x:.*\"}[5m]) > 10",
        "histogram_count(x) > 10",
        "ALERTS_FOR_STATE > 1600000000",
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
        "predict_linear(x[6h], 0) < 10",
        "predict_linear(x[6h], 24*0) < 10",
        "predict_linear(x[6h], scalar(time() - y)) < 0",
        "timestamp(x) < time() - (time() - y)",
        "x_timestamp_seconds > time()",
        "max(x_timestamp_seconds) - min(y_start_time_seconds) > 0",
        "(time() - x_timestamp_seconds) / (time() - y_timestamp_seconds) > 0.5",
        "timestamp(x) * on (pod) group_left (node) y < time()",
        "increase(x[5m]) ^ 0 > 0.5",
        "(increase(x[5m]) / increase(y[5m])) ^ 2 > 4",
        "sqrt(increase(x[5m]) ^ 2) / increase(y[5m]) > 4",
        "sqrt(rate(x[5m])) > 2",
        "x % 7 > 1",
        "2 ^ 10 * rate(x[5m]) > 300 * 4",
        "0 < increase(x[5m])",
        "10 < rate(x[5m])",
        "increase(x[5m]) > -1 * 0",
        "increase(x[5m]) < +Inf",
        "delta(x[5m]) < 0",
        "deriv(x[5m]) < 0",
        "x_sum / x_count > 0.5",
        "stddev_over_time(job:x:rate5m[1h]) > 4",
        "x > x offset 5m",
        "x - x offset 5m > 0",
        "avg_over_time(x[1h]) < bool x",
        "sum by (job) (x) > sum by (job) (max_over_time(x[1h] offset 1d))",
        "x{a=\"b\"} - x{a=\"c\"} > 10",
        "x - y offset 5m > 10",
        "(x or x offset 5m) > 10",
        "job:x:rate5m / job:x:rate5m offset 1h > 1.2",
        "job:x:rate5m - avg_over_time(job:x:rate5m[1h]) > 1.2",
        "x_total / x_total offset 5m > 1.2",
        "timestamp(x) > timestamp(x offset 5m)",
        "{__name__=\"job:x:rate5m\"} > 10",
        "{__name__=~\"job:x:rate5m|job:y_per_x:ratio\"} > 10",
        "rate({__name__=~\"x|y\"}[5m]) > 10",
        "rate({__name__=~\"x.*\"}[5m]) > 10",
        "count({job=\"x\"}) > 10",
        "histogram_count(rate(x[5m])) > 10",
        "histogram_quantile(0.9, rate(x_bucket[5m])) > 0.5",
        "clamp_max(rate(x[5m]), 10) > 5",
        "clamp_min(increase(x[5m]), 0) > 0",
        "(increase(x[5m]) > 0) or (rate(y[5m]) > 1)",
        "count_over_time(x[5m]) < 10",
        "changes(x_start_time_seconds[1h]) > 2",
        "absent(x) == 1",
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
        ("avg_over_time(rate(x[5m])[30m:1m])", 35),
        ("job:x:rate5m < 0.1 * quantile_over_time(0.5, job:x:rate5m[30m] offset 5m)", 5),
        ("changes(x[10m]) > 0 and changes(x[10m] offset 10m) > 0", 20),
        ("avg_over_time({__name__=\"job:x:rate5m\"}[30m]) > 1", 35),
        ("avg_over_time({__name__=~\"job:x:.*\"}[30m]) > 1", 35),
        ("rate(x[1h]) > 1 and rate(x[5m]) > 1", 60),
        ("(job:x:rate5m or 0 * max_over_time(job:x:rate5m[30m])) < 0.05 and max_over_time(job:x:rate5m[30m]) > 1", 5),
        ("job:x:rate5m < 0.1 * avg_over_time(job:x:rate5m[30m] offset 5m)", 5),
        ("rate(x[1m]) > 1 and avg_over_time(job:x:rate5m[30m] offset 5m) > 1", 1),
        ("rate(x[1m]) < avg_over_time(job:x:rate5m[30m])", 35),
        ("rate(x[1m]) > 1 and (x offset 1h > 1 or rate(x[5m]) > 1)", 60),
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
    assert!(same("sum(up == on () 0)", "sum(up == 0)") && same("up == bool on () 0", "up == bool 0"));
    assert!(!same("up == on () x", "up == x") && !same("up == bool on () 0", "up == 0"));
    assert!(!same("x{a=\"b\"}", "x{a!=\"b\"}"));
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

#[test]
fn what_an_alert_compares_is_found_behind_guards_counts_and_alternatives() {
    for (text, found) in [
        ("a > 0.05 and b > 0.02", &["a > 0.05"][..]),
        ("long > 14.4 and short > 14.4 and sum_over_time(c[1h]) / 240 > 10 / 3600", &["long > 14.4", "short > 14.4"]),
        ("(a or 0 * b) < 0.1 * b and b > 0.5", &["a < 0.1 * b"]),
        ("count by (job) (avg_over_time(up[5m]) < 0.8) > 0", &["avg_over_time(up[5m]) < 0.8"]),
        ("count by (job) (up) > 2", &["count by (job) (up) > 2"]),
        ("max by (job) (a) == 0 or b < 0.7 and c < 0.7 and d", &["max by (job) (a) == 0", "b < 0.7", "c < 0.7"]),
        (r#"absent(up{job="app"}) unless on () absent(up)"#, &[r#"absent(up{job="app"})"#]),
        ("vector(1)", &["vector(1)"]),
    ] {
        let tree = parse(text).unwrap();
        let told = comparisons(&tree).into_iter().map(|one| match (one.bound, one.value) {
            (Some(bound), value) => (print(value), print(bound)),
            (None, value) => (print(value), String::new()),
        });
        let wanted = found.iter().map(|text| match parse(text).unwrap() {
            Expr::Binary(binary) => (print(&binary.lhs), print(&binary.rhs)),
            other => (print(&other), String::new()),
        });
        assert_eq!(told.collect::<Vec<_>>(), wanted.collect::<Vec<_>>(), "{text}");
    }
}

#[test]
fn two_forms_are_one_but_for_what_chooses_among_curves() {
    let form = |text: &str| Bare::of(&parse(text).unwrap(), "unknown");
    let alert = form(r#"max by (job) (up{job="app", zone="a"} / (b))"#);
    for same in [
        r#"max by (job) ((up{zone="a", job=~"unknown"}) / b{instance=~"unknown_variable"})"#,
        r#"max by (job) (up{zone="a"} / b)"#,
        r#"max by (job) (up{zone="a", job="app", job=~"unknown"} / b)"#,
    ] {
        assert!(form(same).has(&alert), "{same}");
    }
    for other in [
        r#"max by (job) (up{zone="b"} / b)"#,
        "max by (job) (up / b)",
        r#"min by (job) (up{zone="a"} / b)"#,
        r#"max by (job) (up{zone="a"} / b offset 5m)"#,
        // Of another job, and of one alone of what the alert asks of all.
        r#"max by (job) (up{zone="a", job="web"} / b)"#,
        r#"max by (job) (up{zone="a", job="app"} / b{job="app"})"#,
        r#"max by (job) (up{zone="a", job!="app"} / b)"#,
    ] {
        assert!(!form(other).has(&alert), "{other}");
    }
}

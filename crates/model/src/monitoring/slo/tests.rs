use std::collections::BTreeSet;

use super::*;
use crate::monitoring::FOLDER;

fn ours() -> String {
    read(TABLE)
}

fn read(path: &str) -> String {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(FOLDER).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn made_of(table: &str, records: &str) -> Result<Option<String>, Vec<Finding>> {
    rules(&[(TABLE, table), (RECORDS, records)].map(|(path, text)| (path.into(), text.into())).into())
}

/// What is made when one text of the table is another; it must be there.
fn edited(from: &str, to: &str) -> Result<String, Vec<Finding>> {
    let table = ours();
    assert!(table.contains(from), "{TABLE} does not contain {from}");
    made_of(&table.replacen(from, to, 1), &read(RECORDS)).map(Option::unwrap_or_default)
}

#[test]
fn the_committed_file_is_what_the_table_gives() {
    let made = made_of(&ours(), &read(RECORDS)).expect("the table is right").expect("there is a table");
    assert_eq!(differs(&read(MADE), &made), None, "`just slo` makes it");
}

/// Which lines of the file are others, without what they have in common.
fn changed(made: &str) -> Vec<String> {
    let before = read(MADE);
    let there: BTreeSet<&str> = before.lines().collect();
    made.lines().filter(|line| !there.contains(line)).map(|line| line.trim().to_owned()).collect()
}

#[test]
fn a_cell_of_the_table_is_changed_wherever_it_stands() {
    let factor = changed(&edited("factor = 14.4", "factor = 13.5").expect("it is right"));
    assert_eq!(
        factor.len(),
        9,
        "an expression and a sentence of each objective, and of time the next page's: {factor:#?}"
    );
    assert!(factor.iter().all(|line| line.contains("13.5")), "{factor:#?}");

    let hold = changed(&edited("for = \"5m\"", "for = \"20m\"").expect("it is right"));
    assert_eq!(hold, ["for: 20m"; 4]);

    // Of time nothing is kept.
    let kept = changed(&edited("keep_firing_for = \"9m\"", "keep_firing_for = \"10m\"").expect("it is right"));
    assert_eq!(kept, ["keep_firing_for: 10m"; 3]);

    // Of time `now` is the pair's before, so both are another.
    let table = ours().replacen("short = \"5m\"", "short = \"3m\"", 1).replacen("now = \"5m\"", "now = \"3m\"", 1);
    let now = changed(&made_of(&table, &read(RECORDS)).expect("it is right").expect("there is a table"));
    for line in ["and job:app_error_budget:burnrate3m > 6", "and job:app_availability_budget:burnrate3m > 14.4"] {
        assert!(now.iter().any(|changed| changed == line), "{line} is not among {now:#?}");
    }

    let window = changed(&edited("long = \"6h\"", "long = \"8h\"").expect("it is right"));
    for line in [
        "- record: job:app_error_budget:burnrate8h",
        "/ avg_over_time(job:app_requests:rate5m[8h]) / 0.01",
        "expr: sum_over_time(job:app_unavailable:min[8h]) / 1920 / 0.005",
        "- alert: AppLatencyBudgetBurn8h",
        "and avg_over_time(job:app_requests_failed:rate5m[8h]) > 10 / 28800",
        "and max_over_time(job:app_requests_answered:rate5m[1d] offset 8h) >= 0",
        "long_window: 8h",
    ] {
        assert!(window.iter().any(|changed| changed == line), "{line} is not among {window:#?}");
    }

    let objective = changed(
        &edited("\"99 % of the requests end within 0.5 s\"\npercent = 99\n", "\"99.9 %\"\npercent = 99.9\n")
            .expect("it is right"),
    );
    assert!(objective.iter().any(|line| line.contains("vector(0.999)")), "{objective:#?}");
    let decimal = objective.iter().filter(|line| line.ends_with("/ 0.001")).count();
    assert_eq!(decimal, 8, "seven windows and what remains: {objective:#?}");
}

/// How many evaluations a window has is not written anywhere: it follows from how often the group is evaluated, which it
/// says, whatever a configuration says of all groups.
#[test]
fn windows_are_counted_in_the_evaluations_of_their_group() {
    for (interval, counts) in
        [("30s", ["/ 120 >", "/ 120 / 0.005", "/ 86400\n"]), ("1m", ["/ 60 >", "/ 60 / 0.005", "/ 43200\n"])]
    {
        let table = ours().replacen("interval = \"15s\"", &format!("interval = \"{interval}\""), 1);
        let records = read(RECORDS).replacen("interval: 15s", &format!("interval: {interval}"), 1);
        let made = made_of(&table, &records).expect("it is right").expect("there is a table");
        assert!(made.contains(&format!("  - name: slo\n    interval: {interval}\n    rules:\n")), "{made}");
        for count in counts {
            assert!(made.contains(count), "{interval}: {count}");
        }
    }
}

#[test]
fn what_is_recorded_in_another_rhythm_than_it_is_counted_in_is_told() {
    for (records, every) in [("", "as the configuration says"), ("    interval: 1m\n", "every 1m")] {
        let records = read(RECORDS).replacen("    interval: 15s\n", records, 1);
        let findings = made_of(&ours(), &records).expect_err("it counts another rhythm's");
        let what =
            format!("`job:app_requests_failed:rate5m` is recorded {every} (monitoring/prometheus/rules/app.yml)");
        let finding = findings.iter().find(|finding| finding.what.starts_with(&what));
        let line = finding.and_then(|finding| ours().lines().nth(finding.line - 1).map(str::to_owned));
        assert_eq!(line.as_deref(), Some("failed = \"job:app_requests_failed:rate5m\""), "{findings:#?}");
    }
}

#[test]
fn what_is_wrong_with_the_table_is_told_with_its_line() {
    for (from, to, what, at) in [
        ("factor = 6\n", "factors = 6\n", "unknown field `factors`", "factors"),
        ("severity = \"warning\"\n", "", "missing field `severity`", "[[pair]]"),
        ("factor = 6\n", "factor = \"6\"\n", "invalid type: string", "factor = \"6\""),
        ("period = \"30d\"", "period = 30", "invalid type: integer", "period"),
        ("period = \"30d\"", "period = \"30\"", "`30` is not a duration", "period"),
        ("period = \"30d\"", "period = \"2d\"", "both within the 2d", "short = \"6h\""),
        ("long = \"1d\"", "long = \"24h\"", "write it as 1d", "24h"),
        ("long = \"6h\"", "long = \"50m\"", "from the shortest long window", "50m"),
        ("long = \"6h\"", "long = \"6h10s\"", "no whole number of evaluations", "6h10s"),
        ("short = \"30m\"", "short = \"6h\"", "a pair is a short window, a longer one", "short = \"6h\""),
        ("for = \"5m\"", "for = \"5 m\"", "`5 m` is not a duration", "5 m"),
        ("interval = \"15s\"", "interval = \"15\"", "`15` is not a duration", "interval"),
        ("now = \"5m\"", "now = \"30m\"", "asked of a window shorter than 30m", "now = \"30m\""),
        ("now = \"5m\"", "now = \"\"", "not a duration", "now = \"\""),
        ("now = \"5m\"", "now = \"10m\"", "only if it asks the same window `now`: 5m", "now = \"10m\""),
        ("keep_firing_for = \"4m\"", "keep_firing_for = \"4\"", "`4` is not a duration", "\"4\""),
        (
            "keep_firing_for = \"9m\"",
            "keep_firing_for = \"8m\"",
            "1h keeps 6h from being told and ends before it, which pages when all is well again: `keep_firing_for` of 9m",
            "\"8m\"",
        ),
        ("keep_firing_for = \"9m\"\n", "", "`keep_firing_for` of 9m at least", "long = \"1h\""),
        ("now = \"5m\"\n", "", "`keep_firing_for` of 34m at least", "\"9m\""),
        ("percent = 99.5", "percent = 100", "100 % leave no budget", "100"),
        ("percent = 99.5", "percent = 99", "the promise does not say 99 %", "promise = \"99.5 %"),
        ("\"99 % of the requests", "\"99.9 % of the requests", "the promise does not say 99 %", "promise = \"99.9 %"),
        ("slo = \"latency\"", "slo = \"errors\"", "a second objective whose `slo` is `errors`", "slo = \"errors\""),
        ("budget = \"latency\"", "budget = \"error\"", "whose `budget` is `error`", "budget = \"error\""),
        ("factor = 6\n", "factor = -1\n", "above 0", "factor = -1"),
        ("severity = \"warning\"", "severity = \"warn\"", "`warn` is no severity", "severity = \"warn\""),
        ("budget = \"error\"", "budget = \"errors-\"", "`errors-` is a part of names", "errors-"),
        ("least = 10\n", "", "has `of` and `least`; one of time has `is`", "slo = \"errors\""),
        ("is = \"1 - job:app_available:max\"\n", "", "one of time has `is`", "slo = \"availability\""),
        ("[[objective]]\n", "[[objective]\n", "", "[[objective]"),
    ] {
        let table = ours().replacen(from, to, 1);
        let findings = edited(from, to).expect_err(what);
        let finding = findings.iter().find(|finding| finding.what.contains(what));
        let finding = finding.unwrap_or_else(|| panic!("{to}: {what} is not among {findings:#?}"));
        assert_eq!(finding.file, Path::new(FOLDER).join(TABLE));
        let line = table.lines().nth(finding.line.wrapping_sub(1)).unwrap_or_default();
        assert!(line.contains(at), "{to}: line {} is `{line}`", finding.line);
    }
}

#[test]
fn without_a_table_nothing_is_made() {
    assert_eq!(rules(&BTreeMap::new()), Ok(None));
}

#[test]
fn the_first_line_that_differs_is_told() {
    assert_eq!(differs("a\nb\n", "a\nb\n"), None);
    assert_eq!(differs("a\nb\n", "a\nc\n"), Some(2));
    assert_eq!(differs("a\nb\n", "a\nb"), Some(3));
    assert_eq!(differs("a\nb", "a\nb\nc"), Some(3));
}

//! Grafana's query plan: what it would ask Prometheus for a panel of a given width and time range.
//!
//! Follows `pkg/promlib/models/query.go`, `intervalv2.go` and the frontend's `calculateInterval`: the browser divides
//! the range by the panel's width, rounds and raises to the scrape interval, which gives `$__interval` its floor; the
//! backend divides again, keeps below 11 000 points, floors start and end to the step and fills in the variables. The
//! same dashboard on another width asks another question: the plan is kept with the answer. Pure; sends nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::model::{self, Annotation, Dashboard, Panel, Target, Variable};
use aiclipx_model::prom::answer::percent_encoded;

/// Prometheus refuses more points a series; Grafana stays below.
const SAFE_RESOLUTION: u64 = 11_000;

/// From when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// Unix milliseconds.
    pub from_millis: i64,
    /// Unix milliseconds, not before `from_millis`.
    pub to_millis: i64,
}

impl TimeRange {
    /// How long it is.
    pub fn length(self) -> Duration {
        Duration::from_millis(u64::try_from(self.to_millis.saturating_sub(self.from_millis)).unwrap_or(0))
    }
}

/// How a dashboard is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct View<'a> {
    /// The time shown.
    pub range: TimeRange,
    /// The panel's width in pixels: Grafana asks for no more points than that.
    pub width: u32,
    /// The data source's `timeInterval`: the scrape interval.
    pub min_interval: Duration,
    /// What is chosen for each variable; what isn't here has the dashboard's own default.
    pub chosen: &'a BTreeMap<String, Vec<String>>,
}

/// One request to Prometheus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedQuery {
    /// The panel's id.
    pub panel: u32,
    /// `A`, `B`, ….
    pub ref_id: String,
    /// `PromQL` without variables.
    pub expr: String,
    /// Over a range, or at one time.
    pub kind: QueryKind,
    /// The legend template.
    pub legend: String,
    /// To be sent to Prometheus with `GET`.
    pub path_and_query: String,
}

/// Over a range, or at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryKind {
    /// `/api/v1/query_range`; Unix milliseconds and milliseconds.
    Range {
        /// A multiple of the step.
        start_millis: i64,
        /// A multiple of the step.
        end_millis: i64,
        /// Above zero.
        step_millis: u64,
    },
    /// `/api/v1/query`; Unix milliseconds.
    Instant {
        /// The end of the range, not floored.
        time_millis: i64,
    },
}

/// The lengths Grafana puts in for its variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    /// The step of a range query, and `$__interval`.
    pub step: Duration,
    /// `$__rate_interval`: the step and one scrape more, at least four scrapes.
    pub rate: Duration,
    /// `$__range`.
    pub range: Duration,
}

impl Intervals {
    /// As Grafana computes them for a range, a width and a scrape interval.
    pub fn of(range: TimeRange, width: u32, min_interval: Duration) -> Intervals {
        let points = u64::from(width.max(1));
        let nanos = u64::try_from(range.length().as_nanos()).unwrap_or(u64::MAX);
        let share = Duration::from_nanos(nanos / points);
        // The browser rounds a tie up, the backend down; between them the step is never below either's minimum.
        let asked = rounded(share, true).max(min_interval);
        let calculated = if share < asked { asked } else { rounded(share, false) };
        let safe = rounded(Duration::from_nanos(nanos / SAFE_RESOLUTION), false);
        let rate = (asked + min_interval).max(min_interval * 4);
        Intervals { step: calculated.max(safe), rate, range: range.length() }
    }

    /// The expression with every variable of time filled in, `$__x` and `${__x}` alike.
    fn filled_in(self, expr: &str) -> String {
        let whole_seconds = (self.range.as_millis() + 500) / 1000;
        let mut filled = expr.to_owned();
        // The longer names first: `$__interval` begins `$__interval_ms`.
        for (name, text) in [
            ("__interval_ms", self.step.as_millis().to_string()),
            ("__interval", interval_text(self.step)),
            ("__range_ms", self.range.as_millis().to_string()),
            ("__range_s", whole_seconds.to_string()),
            ("__range", format!("{whole_seconds}s")),
            ("__rate_interval_ms", self.rate.as_millis().to_string()),
            ("__rate_interval", go_text(self.rate)),
        ] {
            filled = filled.replace(&format!("${name}"), &text).replace(&format!("${{{name}}}"), &text);
        }
        filled
    }
}

/// What Grafana would ask for a panel. A target that is both instant and range asks twice.
pub fn plan(dashboard: &Dashboard, panel: &Panel, view: &View) -> Vec<PlannedQuery> {
    let intervals = Intervals::of(view.range, view.width, view.min_interval);
    let mut planned = Vec::new();
    for target in &panel.targets {
        let expr = intervals.filled_in(&template(dashboard, target, view));
        if target.range || !target.instant {
            planned.push(range_query(panel.id, target, &expr, view.range, intervals.step));
        }
        if target.instant {
            planned.push(instant_query(panel.id, target, &expr, view.range.to_millis));
        }
    }
    planned
}

/// A query with what is chosen filled in, and the intervals left to who asks.
pub fn template(dashboard: &Dashboard, target: &Target, view: &View) -> String {
    with_variables(&target.expr, &dashboard.variables, view.chosen)
}

/// What is asked for an annotation. Grafana's own plan, a hundred points whatever the width, misses what is shorter than
/// a hundredth of the range; here the view's width decides.
pub fn plan_annotation(dashboard: &Dashboard, annotation: &Annotation, view: &View) -> PlannedQuery {
    let intervals = Intervals::of(view.range, view.width, annotation.step.unwrap_or(view.min_interval));
    let target = Target {
        ref_id: annotation.name.clone(),
        expr: annotation.expr.clone(),
        legend: annotation.title_format.clone(),
        instant: false,
        range: true,
    };
    let expr = intervals.filled_in(&with_variables(&target.expr, &dashboard.variables, view.chosen));
    range_query(0, &target, &expr, view.range, intervals.step)
}

/// What a store of logs is asked for a panel's query: its newest lines of the range, so many at most.
pub fn plan_lines(dashboard: &Dashboard, query: &str, view: &View, most: usize) -> String {
    let expr = with_variables(query, &dashboard.variables, view.chosen);
    let expr = Intervals::of(view.range, view.width, view.min_interval).filled_in(&expr);
    let nanos = |millis: i64| i128::from(millis) * 1_000_000;
    // Its end is not part of what is asked for.
    let (start, end) = (nanos(view.range.from_millis), nanos(view.range.to_millis) + 1);
    format!(
        "/loki/api/v1/query_range?query={}&start={start}&end={end}&limit={most}&direction=backward",
        percent_encoded(&expr)
    )
}

/// A query of no panel, over a range with a step.
pub fn over(expr: &str, range: TimeRange, step: Duration) -> PlannedQuery {
    let (ref_id, legend) = ("A".to_owned(), String::new());
    let target = Target { ref_id, expr: expr.to_owned(), legend, instant: false, range: true };
    range_query(0, &target, expr, range, step)
}

fn range_query(panel: u32, target: &Target, expr: &str, range: TimeRange, step: Duration) -> PlannedQuery {
    let step_millis = u64::try_from(step.as_millis()).unwrap_or(u64::MAX).max(1);
    let step = i64::try_from(step_millis).unwrap_or(i64::MAX);
    let floored = |millis: i64| millis.div_euclid(step) * step;
    let (start_millis, end_millis) = (floored(range.from_millis), floored(range.to_millis));
    let path_and_query = format!(
        "/api/v1/query_range?query={}&start={}&end={}&step={}",
        percent_encoded(expr),
        seconds_text(start_millis),
        seconds_text(end_millis),
        seconds_text(step)
    );
    let kind = QueryKind::Range { start_millis, end_millis, step_millis };
    planned(panel, target, expr, kind, path_and_query)
}

fn instant_query(panel: u32, target: &Target, expr: &str, time_millis: i64) -> PlannedQuery {
    let path_and_query = format!("/api/v1/query?query={}&time={}", percent_encoded(expr), seconds_text(time_millis));
    planned(panel, target, expr, QueryKind::Instant { time_millis }, path_and_query)
}

fn planned(panel: u32, target: &Target, expr: &str, kind: QueryKind, path_and_query: String) -> PlannedQuery {
    PlannedQuery {
        panel,
        ref_id: target.ref_id.clone(),
        expr: expr.to_owned(),
        kind,
        legend: target.legend.clone(),
        path_and_query,
    }
}

/// A selector with what is chosen filled in.
pub fn filled_in(selector: &str, variables: &[Variable], chosen: &BTreeMap<String, Vec<String>>) -> String {
    with_variables(selector, variables, chosen)
}

/// Puts the chosen values in for `$name`, `${name}` and `${name:regex}`. Several values become one regular
/// expression; "all" becomes the variable's own `allValue`, else everything.
fn with_variables(expr: &str, variables: &[Variable], chosen: &BTreeMap<String, Vec<String>>) -> String {
    let mut variables: Vec<&Variable> = variables.iter().collect();
    // The longer names first: `$job` begins `$job_name`.
    variables.sort_by_key(|variable| std::cmp::Reverse(variable.name.len()));
    let mut filled = expr.to_owned();
    for variable in variables {
        let values = chosen.get(&variable.name).unwrap_or(&variable.current);
        let text = match values.as_slice() {
            [] => variable.all_value.clone().unwrap_or_else(|| ".*".to_owned()),
            [all] if all == model::ALL => variable.all_value.clone().unwrap_or_else(|| ".*".to_owned()),
            // What can be several stands in a regular expression, also when it is one.
            [one] if variable.multi || variable.include_all => quoted(&escaped(one)),
            [one] => quoted(one),
            many => format!("({})", many.iter().map(|one| quoted(&escaped(one))).collect::<Vec<_>>().join("|")),
        };
        let name = &variable.name;
        for spelling in [format!("${{{name}:regex}}"), format!("${{{name}}}"), format!("${name}")] {
            filled = filled.replace(&spelling, &text);
        }
    }
    filled
}

/// A value inside a `PromQL` string.
fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
}

/// A value inside a regular expression.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        if r"\^$.*+?()[]{}|".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// Grafana's round lengths, each with the bound below which it is chosen, in milliseconds.
const ROUND: [(u64, u64); 29] = [
    (10, 1),
    (15, 10),
    (35, 20),
    (75, 50),
    (150, 100),
    (350, 200),
    (750, 500),
    (1_500, 1_000),
    (3_500, 2_000),
    (7_500, 5_000),
    (12_500, 10_000),
    (17_500, 15_000),
    (25_000, 20_000),
    (45_000, 30_000),
    (90_000, 60_000),
    (210_000, 120_000),
    (450_000, 300_000),
    (750_000, 600_000),
    (1_050_000, 900_000),
    (1_500_000, 1_200_000),
    (2_700_000, 1_800_000),
    (5_400_000, 3_600_000),
    (9_000_000, 7_200_000),
    (16_200_000, 10_800_000),
    (32_400_000, 21_600_000),
    (86_400_000, 43_200_000),
    (604_800_000, 86_400_000),
    (1_814_400_000, 604_800_000),
    (3_628_800_000, 2_592_000_000),
];

/// From six weeks on, the backend too rounds a tie up.
const TIES_GO_UP_FROM: u64 = 3_628_800_000;

fn rounded(length: Duration, ties_go_up: bool) -> Duration {
    let found = ROUND.iter().find(|(bound, _)| {
        let bound_length = Duration::from_millis(*bound);
        // Ten milliseconds and less is the backend's; the browser's table begins behind it, and its tie agrees.
        let up = (ties_go_up && *bound > 10) || *bound >= TIES_GO_UP_FROM;
        if up { length < bound_length } else { length <= bound_length }
    });
    Duration::from_millis(found.map_or(31_536_000_000, |(_, round)| *round))
}

/// One unit, whole: what Grafana writes for `$__interval`.
fn interval_text(length: Duration) -> String {
    let millis = length.as_millis();
    for (unit, size) in [("y", 31_536_000_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if millis >= size {
            return format!("{}{unit}", millis / size);
        }
    }
    format!("{}ms", millis.max(1))
}

/// Go's spelling, which Grafana uses for `$__rate_interval`: `1m0s`, `2m15s`. Of a datasource whose `timeInterval` has a
/// fraction it is `1.5s`, which Prometheus refuses: what Grafana's panels would say, a panel here says, too.
fn go_text(length: Duration) -> String {
    let (millis, seconds) = (length.as_millis(), length.as_secs());
    if (1..1000).contains(&millis) {
        return format!("{millis}ms");
    }
    let mut text = String::new();
    if seconds >= 3600 {
        write!(text, "{}h", seconds / 3600).expect("writing to a String does not fail");
    }
    if seconds >= 60 {
        write!(text, "{}m", seconds / 60 % 60).expect("writing to a String does not fail");
    }
    let below_a_minute = i64::try_from(millis % 60_000).unwrap_or_default();
    text + &seconds_text(below_a_minute) + "s"
}

/// Milliseconds as seconds, without needless digits: `1700000000.5`.
fn seconds_text(millis: i64) -> String {
    let sign = if millis < 0 { "-" } else { "" };
    let (whole, rest) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
    let text = format!("{sign}{whole}.{rest:03}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The name a series is shown under.
///
/// A template's `{{label}}` becomes the label's value, or nothing; no template gives the metric and its labels;
/// `__auto` what tells this series from the others of its query.
pub fn legend(query: &PlannedQuery, labels: &BTreeMap<String, String>, all: &[&BTreeMap<String, String>]) -> String {
    let template = query.legend.trim();
    let name = match template {
        "" => full_name(labels),
        "__auto" => auto_name(labels, all),
        _ => from_template(template, labels),
    };
    if name.is_empty() || name == "{}" { query.expr.clone() } else { name }
}

/// `{{label}}` filled in.
pub fn from_template(template: &str, labels: &BTreeMap<String, String>) -> String {
    let mut name = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((label, behind)) = after.split_once("}}") else { break };
        name.push_str(before);
        name.push_str(labels.get(label.trim()).map_or("", String::as_str));
        rest = behind;
    }
    name.push_str(rest);
    name
}

fn full_name(labels: &BTreeMap<String, String>) -> String {
    let metric = labels.get("__name__").map_or("", String::as_str);
    let pairs: Vec<String> =
        labels.iter().filter(|(key, _)| *key != "__name__").map(|(key, value)| format!("{key}={value:?}")).collect();
    if pairs.is_empty() && !metric.is_empty() { metric.to_owned() } else { format!("{metric}{{{}}}", pairs.join(", ")) }
}

fn auto_name(labels: &BTreeMap<String, String>, all: &[&BTreeMap<String, String>]) -> String {
    let differs = |key: &String| all.iter().any(|other| other.get(key) != labels.get(key));
    let telling: Vec<&String> = labels.keys().filter(|key| *key != "__name__" && differs(key)).collect();
    match telling.as_slice() {
        [key] => labels[*key].clone(),
        [] if all.len() == 1 => full_name(labels),
        keys => {
            let pairs: Vec<String> = keys.iter().map(|key| format!("{key}={:?}", labels[*key])).collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn intervals(length_millis: i64, width: u32, min_millis: u64) -> Intervals {
        let range = TimeRange { from_millis: 0, to_millis: length_millis };
        Intervals::of(range, width, Duration::from_millis(min_millis))
    }

    /// The first four are Grafana's own `query_test.go` (whose width is the backend's default, 1500); the rest is worked
    /// out from the rules.
    #[test]
    fn the_step_is_grafanas() {
        for (length, width, min, step) in [
            (12 * HOUR, 1500, 15_000, 30_000),
            (HOUR, 1500, 15_000, 15_000),
            (48 * HOUR, 1500, 15_000, 120_000),
            (48 * HOUR, 1500, 240_000, 240_000),
            //
            (2 * 60_000, 860, 500, 500),
            (30 * 60_000, 420, 500, 5_000),
            (30 * 60_000, 860, 15_000, 15_000),
            // 45 s is a tie: the browser says a minute, and the backend does not go below it.
            (45_000 * 100, 100, 15_000, 60_000),
            // 17 s is rounded to 15 s, below a scrape of 16 s: the backend rounds its own division, as Grafana does.
            (17_000 * 100, 100, 16_000, 15_000),
            // Eleven thousand points are enough, however wide the panel.
            (30 * 24 * HOUR, 100_000, 1_000, 300_000),
            (0, 860, 15_000, 15_000),
        ] {
            let step = u64::try_from(step).unwrap();
            assert_eq!(intervals(length, width, min).step, Duration::from_millis(step), "{length} ms on {width} px");
        }
    }

    #[test]
    fn the_rate_interval_is_a_step_and_a_scrape_and_at_least_four_scrapes() {
        assert_eq!(intervals(HOUR, 1500, 15_000).rate, Duration::from_mins(1));
        // Grafana's own: two minutes asked for, fifteen seconds scraped.
        assert_eq!(intervals(48 * HOUR, 1500, 15_000).rate, Duration::from_secs(135));
        assert_eq!(intervals(120_000, 860, 500).rate, Duration::from_secs(2));
    }

    #[test]
    fn every_spelling_of_a_variable_is_filled_in() {
        let intervals = intervals(48 * HOUR, 1500, 15_000);
        for (template, filled) in [
            ("rate(a[$__interval])", "rate(a[2m])"),
            ("rate(a[${__interval}])", "rate(a[2m])"),
            ("$__interval_ms + ${__interval_ms}", "120000 + 120000"),
            ("a[$__range] $__range_s ${__range_s}s $__range_ms", "a[172800s] 172800 172800s 172800000"),
            ("a[$__rate_interval] ${__rate_interval} $__rate_interval_ms", "a[2m15s] 2m15s 135000"),
        ] {
            assert_eq!(intervals.filled_in(template), filled);
        }
        assert_eq!(Intervals { range: Duration::from_millis(800), ..intervals }.filled_in("$__range_s"), "1");
        assert_eq!(go_text(Duration::from_mins(1)), "1m0s");
        assert_eq!(go_text(Duration::from_hours(1)), "1h0m0s");
        for (millis, text) in
            [(500, "500ms"), (1500, "1.5s"), (3_601_500, "1h0m1.5s"), (80_025, "1m20.025s"), (0, "0s")]
        {
            assert_eq!(go_text(Duration::from_millis(millis)), text);
        }
    }

    fn target(expr: &str, instant: bool, range: bool) -> Target {
        Target { ref_id: "A".to_owned(), expr: expr.to_owned(), legend: String::new(), instant, range }
    }

    #[test]
    fn start_and_end_are_floored_to_the_step() {
        let range = TimeRange { from_millis: 1_700_000_003_700, to_millis: 1_700_001_803_700 };
        let query = range_query(7, &target("up", false, true), "up{a=\"b\"}", range, Duration::from_secs(5));
        let kind =
            QueryKind::Range { start_millis: 1_700_000_000_000, end_millis: 1_700_001_800_000, step_millis: 5000 };
        assert_eq!(query.kind, kind);
        assert_eq!(
            query.path_and_query,
            "/api/v1/query_range?query=up%7Ba%3D%22b%22%7D&start=1700000000&end=1700001800&step=5"
        );
        let half = range_query(7, &target("up", false, true), "up", range, Duration::from_millis(500));
        assert!(half.path_and_query.ends_with("start=1700000003.5&end=1700001803.5&step=0.5"), "{half:?}");
    }

    #[test]
    fn an_instant_is_the_end_itself() {
        let query = instant_query(7, &target("up", true, false), "up", 1_700_001_803_750);
        assert_eq!(query.path_and_query, "/api/v1/query?query=up&time=1700001803.75");
    }

    #[test]
    fn a_legend_takes_its_labels_in() {
        let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let one = labels(&[("__name__", "up"), ("job", "app"), ("instance", "a:1")]);
        let two = labels(&[("__name__", "up"), ("job", "app"), ("instance", "b:1")]);
        let named = |template: &str, labels: &BTreeMap<String, String>, all: &[&BTreeMap<String, String>]| {
            let mut query = instant_query(1, &target("up", true, false), "sum(up)", 0);
            template.clone_into(&mut query.legend);
            legend(&query, labels, all)
        };
        assert_eq!(named("{{job}} on {{ instance }}{{gone}}", &one, &[&one, &two]), "app on a:1");
        assert_eq!(named("{{job", &one, &[&one]), "{{job");
        assert_eq!(named("fixed", &one, &[&one]), "fixed");
        assert_eq!(named("", &one, &[&one]), "up{instance=\"a:1\", job=\"app\"}");
        assert_eq!(named("__auto", &one, &[&one, &two]), "a:1");
        assert_eq!(named("__auto", &labels(&[]), &[&labels(&[])]), "sum(up)");
        assert_eq!(named("", &labels(&[]), &[&labels(&[])]), "sum(up)");
    }

    #[test]
    fn chosen_values_are_filled_in_and_cannot_leave_their_string() {
        let variable = |name: &str, all: Option<&str>| Variable {
            name: name.to_owned(),
            label: name.to_owned(),
            kind: model::VariableKind::Interval(Vec::new()),
            current: vec!["$__all".to_owned()],
            all_value: all.map(str::to_owned),
            include_all: all.is_some(),
            multi: false,
        };
        let variables = [variable("job", Some(".+")), variable("job_name", None)];
        let expr = r#"up{job=~"$job", n=~"${job_name}"}"#;
        let filled = |chosen: &[(&str, &[&str])]| {
            let chosen = chosen
                .iter()
                .map(|(name, values)| ((*name).to_owned(), values.iter().map(|one| (*one).to_owned()).collect()))
                .collect();
            with_variables(expr, &variables, &chosen)
        };
        assert_eq!(filled(&[]), r#"up{job=~".+", n=~".*"}"#);
        assert_eq!(filled(&[("job", &["app"])]), r#"up{job=~"app", n=~".*"}"#);
        assert_eq!(filled(&[("job", &["a.b"]), ("job_name", &["a.b"])]), r#"up{job=~"a\\.b", n=~"a.b"}"#);
        assert_eq!(filled(&[("job", &["a.b", "c"])]), r#"up{job=~"(a\\.b|c)", n=~".*"}"#);
        assert_eq!(filled(&[("job", &["\"} or up{"])]), r#"up{job=~"\"\\} or up\\{", n=~".*"}"#);
    }
}

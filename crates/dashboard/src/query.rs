//! Grafana's query plan: what it would ask Prometheus for a panel of a given width and time range.
//!
//! Follows `pkg/promlib/models/query.go`, `intervalv2.go` and the frontend's `calculateInterval`: the browser divides
//! the range by the panel's width, rounds and raises to the scrape interval, which gives `$__interval` its floor; the
//! backend divides again, keeps below 11 000 points, floors start and end to the step and fills in the variables. The
//! same dashboard on another width asks another question: the plan is kept with the answer. Pure; sends nothing.

mod fill;
mod formats;
mod intervals;
mod legend;
mod range;
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::model::{Annotation, Dashboard, Panel, Target, Variable, VariableKind};
use aiclipx_model::monitoring::promql;
use aiclipx_model::prom::answer::percent_encoded;
pub use fill::{Filling, unknown_variables};
pub use intervals::Intervals;
use intervals::{MinStep, Resolution, interval, seconds_text};
pub use legend::{from_template, legend};
pub use range::TimeRange;
pub use values::{possible, series_text};

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

/// What Grafana would ask for a panel. A target that is both instant and range asks twice.
pub fn plan(dashboard: &Dashboard, panel: &Panel, view: &View) -> Vec<PlannedQuery> {
    targets(dashboard, panel).iter().flat_map(|target| plan_target(dashboard, panel, target, view)).collect()
}

/// A panel's queries: its own, or those of the panel whose answers it shows.
pub fn targets<'a>(dashboard: &'a Dashboard, panel: &'a Panel) -> &'a [Target] {
    let shown = panel.asking.shows.and_then(|id| dashboard.panel(id));
    if panel.targets.is_empty() { shown.map_or(&[], |shown| &shown.targets) } else { &panel.targets }
}

/// The same of one target, whose data source may be another.
pub fn plan_target(dashboard: &Dashboard, panel: &Panel, target: &Target, view: &View) -> Vec<PlannedQuery> {
    let filling = Filling::of(dashboard, panel, view.chosen, view.range);
    let resolution = Resolution {
        points: panel.asking.max_points.unwrap_or(view.width),
        scrape: view.min_interval,
        panel: interval(&filling.query(&panel.asking.min_interval)),
        query: min_step(&target.min_step, &filling),
        factor: target.factor,
    };
    let intervals = Intervals::asked(view.range, resolution);
    let expr = conditioned(&intervals.filled_in(&filling.query(&target.expr)), &dashboard.variables);
    let mut planned = Vec::new();
    if target.range || !target.instant {
        planned.push(range_query(panel.id, target, &expr, view.range, intervals.step));
    }
    if target.instant {
        planned.push(instant_query(panel.id, target, &expr, view.range.to_millis));
    }
    for query in &mut planned {
        query.legend = filling.words(&query.legend);
    }
    planned
}

fn min_step(text: &str, filling: &Filling<'_>) -> MinStep {
    match text {
        "" => MinStep::None,
        "$__interval" | "${__interval}" => MinStep::Interval,
        "$__rate_interval" | "${__rate_interval}" => MinStep::RateInterval,
        text => match filling.query(text).as_str() {
            "$__interval" | "${__interval}" => MinStep::Interval,
            "$__rate_interval" | "${__rate_interval}" => MinStep::RateInterval,
            filled => interval(filled).map_or(MinStep::None, MinStep::Given),
        },
    }
}

/// With the dashboard's own conditions in every selector, where it has any.
fn conditioned(expr: &str, variables: &[Variable]) -> String {
    let conditions = variables.iter().filter_map(|variable| match &variable.kind {
        VariableKind::Filters(conditions) => Some(conditions.as_slice()),
        _ => None,
    });
    let conditions: Vec<_> = conditions.flatten().cloned().collect();
    if conditions.is_empty() {
        return expr.to_owned();
    }
    promql::with_conditions(expr, &conditions).unwrap_or_else(|_| expr.to_owned())
}

/// The time a panel shows where the dashboard's goes with the clock: how far back it looks by itself, and by how much earlier. What
/// Grafana would not read changes nothing.
pub fn own_range(
    dashboard: &Dashboard,
    panel: &Panel,
    chosen: &BTreeMap<String, Vec<String>>,
    range: TimeRange,
) -> TimeRange {
    let filling = Filling::of(dashboard, panel, chosen, range);
    let length = |text: &str| {
        let filled = filling.query(text);
        let bare = filled.trim_start_matches("now").trim_start_matches('-');
        interval(bare).and_then(|length| i64::try_from(length.as_millis()).ok())
    };
    let TimeRange { mut from_millis, mut to_millis } = range;
    if let Some(back) = length(&panel.asking.time_from) {
        from_millis = to_millis.saturating_sub(back);
    }
    if let Some(by) = length(&panel.asking.time_shift) {
        (from_millis, to_millis) = (from_millis.saturating_sub(by), to_millis.saturating_sub(by));
    }
    TimeRange { from_millis, to_millis }
}

/// A query with what is chosen filled in, and the intervals left to who asks.
pub fn template(dashboard: &Dashboard, target: &Target, view: &View) -> String {
    of_no_panel(dashboard, view.chosen, view.range).query(&target.expr)
}

/// What a variable's values are asked with, filled in.
pub fn filled_in(
    text: &str,
    dashboard: &Dashboard,
    chosen: &BTreeMap<String, Vec<String>>,
    range: TimeRange,
) -> String {
    Intervals::of(range, 1, Duration::ZERO).filled_in(&of_no_panel(dashboard, chosen, range).query(text))
}

/// A query of no panel at the end of a range.
pub fn at_end(expr: &str, range: TimeRange) -> PlannedQuery {
    instant_query(0, &alone("A", expr, ""), expr, range.to_millis)
}

/// What fills in what belongs to no panel.
fn of_no_panel<'a>(
    dashboard: &'a Dashboard,
    chosen: &'a BTreeMap<String, Vec<String>>,
    range: TimeRange,
) -> Filling<'a> {
    const NOTHING: &BTreeMap<String, String> = &BTreeMap::new();
    Filling { variables: &dashboard.variables, chosen, stands_for: NOTHING, title: &dashboard.title, range }
}

/// What is asked for an annotation. Grafana's own plan, a hundred points whatever the width, misses what is shorter than
/// a hundredth of the range; here the view's width decides.
pub fn plan_annotation(dashboard: &Dashboard, annotation: &Annotation, view: &View) -> PlannedQuery {
    let intervals = Intervals::of(view.range, view.width, annotation.step.unwrap_or(view.min_interval));
    let target = alone(&annotation.name, &annotation.expr, &annotation.title_format);
    let expr = intervals.filled_in(&of_no_panel(dashboard, view.chosen, view.range).query(&target.expr));
    range_query(0, &target, &expr, view.range, intervals.step)
}

/// What a store of logs is asked for a panel's query: its newest lines of the range, so many at most.
pub fn plan_lines(dashboard: &Dashboard, query: &str, view: &View, most: usize) -> String {
    let expr = of_no_panel(dashboard, view.chosen, view.range).query(query);
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
    range_query(0, &alone("A", expr, ""), expr, range, step)
}

/// A query over a range that asks as its data source has it.
fn alone(ref_id: &str, expr: &str, legend: &str) -> Target {
    Target {
        ref_id: ref_id.to_owned(),
        expr: expr.to_owned(),
        legend: legend.to_owned(),
        instant: false,
        range: true,
        datasource: None,
        min_step: String::new(),
        factor: 1,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn target(expr: &str, instant: bool, range: bool) -> Target {
        Target { instant, range, ..alone("A", expr, "") }
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
}

//! What panels ask, held against what Grafana asks.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use aiclipx_dashboard::model::{self, Dashboard, VariableKind};
use aiclipx_dashboard::query::{QueryKind, TimeRange, View, own_range, plan, plan_annotation};
use serde_json::{Value, json};

use super::{FROM, RANGE, example, planned};

#[test]
fn an_interval_is_chosen_from_its_list() {
    let dashboard = example();
    let listed = ["1m", "5m", "15m"].map(str::to_owned).to_vec();
    assert_eq!(dashboard.variables[1].kind, VariableKind::Interval(listed));
    assert_eq!(planned(&dashboard, 12, 420)[0].expr, "sum(increase(app_requests_total[5m]))");
}

#[test]
fn annotations_are_asked_for_with_their_own_least_step() {
    let dashboard = example();
    let chosen = BTreeMap::new();
    let view = View { range: RANGE, width: 1000, min_interval: Duration::from_secs(15), chosen: &chosen };
    let steps: Vec<QueryKind> =
        dashboard.annotations.iter().map(|one| plan_annotation(&dashboard, one, &view).kind).collect();
    let step = |step_millis, start_millis, end_millis| QueryKind::Range { start_millis, end_millis, step_millis };
    assert_eq!(steps, [step(15_000, FROM - 10_000, FROM + 230_000), step(500, FROM, FROM + 240_000)]);
}

/// A dashboard of one panel of queries, with these variables.
fn asking(panel: &Value, variables: &Value) -> Dashboard {
    let mut whole = json!({ "id": 1, "type": "timeseries", "title": "A" });
    for (key, value) in panel.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let text = json!({ "title": "T", "uid": "t", "panels": [whole], "templating": { "list": variables } }).to_string();
    model::read(Path::new("t.json"), &text).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

/// Facts, one case a line.
fn cases(text: &str) -> Vec<Value> {
    let read: Value = serde_json::from_str(text).unwrap();
    let cases = read["cases"].as_array().unwrap().clone();
    assert!(cases.len() > 100, "{} cases are too few to tell", cases.len());
    cases
}

/// But where Grafana lets a value end the string it stands in, or puts backslashes before `'` that nothing takes away again.
#[test]
fn values_are_filled_in_as_grafana_fills_them_in() {
    let mut unlike = 0;
    for case in cases(include_str!("grafana/variables.json")) {
        let variables = case["vars"].as_array().unwrap().iter().map(|one| {
            json!({
                "name": one["name"], "type": "query", "query": "label_values(up, job)", "multi": one["multi"],
                "includeAll": one["includeAll"], "allValue": one["allValue"], "current": { "value": one["value"] },
            })
        });
        let expr = case["expr"].as_str().unwrap();
        let panel = json!({ "targets": [{ "refId": "A", "expr": expr }] });
        let dashboard = asking(&panel, &variables.collect());
        let chosen = BTreeMap::new();
        let view = View { range: RANGE, width: 800, min_interval: Duration::from_secs(15), chosen: &chosen };
        let filled = &plan(&dashboard, &dashboard.panels[0], &view)[0].expr;
        let wanted = case["filled"].as_str().unwrap();
        let values = case["vars"].to_string();
        let names_a_format = expr.contains(':') || expr.contains(".text");
        let is_unlike =
            !names_a_format && (values.contains("\\\"") || values.contains('\'')) || wanted.contains("undefined");
        if expr.contains("$__") {
            assert!(!filled.contains('$'), "{case}: {filled}");
        } else if is_unlike && filled != wanted {
            unlike += 1;
            let quotes = filled.replace("\\\\", "").replace("\\\"", "").matches('"').count();
            assert!(quotes.is_multiple_of(2), "{case}: {filled}");
        } else {
            assert_eq!(filled, wanted, "{case}");
        }
    }
    assert!((1..30).contains(&unlike), "{unlike} are filled in otherwise");
}

/// But for a scrape interval of several units, of which Grafana's browser reads the first alone, and ties of a day and more.
#[test]
fn steps_and_lengths_are_those_of_grafana() {
    let text = include_str!("grafana/plan.json");
    let template = serde_json::from_str::<Value>(text).unwrap()["template"].clone();
    let dashboard = asking(&json!({ "targets": [{ "refId": "A", "expr": template, "range": true }] }), &json!([]));
    let mut unlike = 0;
    for case in cases(text) {
        let number = |key: &str| case[key].as_i64().unwrap();
        // Grafana's own, where a data source says none.
        let scrape = case["timeInterval"].as_str().filter(|text| !text.is_empty()).unwrap_or("15s");
        let min_interval = aiclipx_base::duration::parse(scrape).unwrap();
        let range = TimeRange { from_millis: number("from"), to_millis: number("to") };
        let width = u32::try_from(number("width")).unwrap();
        let chosen = BTreeMap::new();
        let planned = &plan(&dashboard, &dashboard.panels[0], &View { range, width, min_interval, chosen: &chosen })[0];
        let QueryKind::Range { step_millis, .. } = planned.kind else { panic!("{planned:?}") };
        let is_tie = case["cls"].as_str().unwrap().contains("tie") && step_millis >= 43_200_000;
        if scrape == "1m30s" || is_tie {
            unlike += 1;
        } else {
            assert_eq!(i64::try_from(step_millis).unwrap(), number("stepMs"), "{case}");
            assert_eq!(planned.expr, case["expr"].as_str().unwrap(), "{case}");
        }
    }
    assert!(unlike < 20, "{unlike} are planned otherwise");
}

/// From Grafana's backend: a query's own least step takes the place of the panel's and is what `$__rate_interval` looks back by.
#[test]
fn least_steps_and_resolutions_are_honoured() {
    let ask = |panel: Value, target: Value| {
        let mut panel = panel;
        let mut target = target;
        target["refId"] = "A".into();
        target["expr"] = "rate(a[$__rate_interval]) * $__interval_ms".into();
        panel["targets"] = json!([target]);
        let interval = json!([{ "name": "i", "type": "interval", "query": "1m,10m", "current": { "value": "10m" } }]);
        let dashboard = asking(&panel, &interval);
        let chosen = BTreeMap::new();
        let range = TimeRange { from_millis: FROM, to_millis: FROM + 3_600_000 };
        let view = View { range, width: 800, min_interval: Duration::from_secs(15), chosen: &chosen };
        let planned = plan(&dashboard, &dashboard.panels[0], &view).remove(0);
        let QueryKind::Range { step_millis, .. } = planned.kind else { panic!("{planned:?}") };
        (step_millis / 1000, planned.expr)
    };
    for (panel, target, step, expr) in [
        (json!({}), json!({}), 15, "rate(a[1m0s]) * 15000"),
        (json!({ "interval": "2m" }), json!({}), 120, "rate(a[2m15s]) * 120000"),
        (json!({ "interval": ">1m" }), json!({}), 60, "rate(a[1m15s]) * 60000"),
        (json!({ "maxDataPoints": 60 }), json!({}), 60, "rate(a[1m15s]) * 60000"),
        (json!({}), json!({ "interval": "5m" }), 300, "rate(a[20m0s]) * 300000"),
        (json!({ "interval": "2m" }), json!({ "interval": "30s" }), 30, "rate(a[2m30s]) * 30000"),
        (json!({}), json!({ "interval": "$i" }), 600, "rate(a[40m0s]) * 600000"),
        (json!({}), json!({ "intervalFactor": 4 }), 60, "rate(a[1m0s]) * 60000"),
        (json!({}), json!({ "interval": "$__rate_interval" }), 60, "rate(a[1m0s]) * 60000"),
        (json!({}), json!({ "interval": "$__interval", "intervalFactor": 2 }), 30, "rate(a[2m0s]) * 30000"),
    ] {
        let told = format!("{panel} {target}");
        assert_eq!(ask(panel, target), (step, expr.to_owned()), "{told}");
    }
}

#[test]
fn a_panel_looks_at_its_own_time() {
    let own = |panel: Value| {
        let window = json!([{ "name": "w", "type": "custom", "query": "30m,2h" }]);
        let dashboard = asking(&panel, &window);
        let range = own_range(&dashboard, &dashboard.panels[0], &BTreeMap::new(), RANGE);
        (range.from_millis - RANGE.to_millis, range.to_millis - RANGE.to_millis)
    };
    for (panel, from, to) in [
        (json!({}), -240_000, 0),
        (json!({ "timeFrom": "1h" }), -3_600_000, 0),
        (json!({ "timeFrom": "now-1h", "timeShift": "1h" }), -7_200_000, -3_600_000),
        (json!({ "timeShift": "1m" }), -300_000, -60_000),
        (json!({ "timeFrom": "$w" }), -1_800_000, 0),
        (json!({ "timeFrom": "1d/d" }), -240_000, 0),
    ] {
        let told = panel.to_string();
        assert_eq!(own(panel), (from, to), "{told}");
    }
}

#[test]
fn what_a_dashboard_asks_with_is_divided_at_a_speed_or_refused() {
    let panel = json!({
        "interval": "1m", "timeFrom": "2h",
        "targets": [{ "refId": "A", "expr": "rate(a[$i]) + topk($n, b offset 1h)", "interval": "$c" }],
    });
    let variables = |interval: &str| {
        json!([
            { "name": "i", "type": "interval", "query": interval, "current": { "value": "5m" } },
            { "name": "c", "type": "custom", "query": "short : 1m,30m", "current": { "value": "30m" } },
            { "name": "n", "type": "custom", "query": "3,5" },
        ])
    };
    let dashboard = asking(&panel, &variables("5m,1h"));
    let speed = aiclipx_base::duration::Speed::new(30).unwrap();
    let divided = dashboard.at(speed).unwrap();
    let only = &divided.panels[0];
    assert_eq!((only.asking.min_interval.as_str(), only.asking.time_from.as_str()), ("2s", "4m"));
    assert_eq!(divided.variables[0].kind, VariableKind::Interval(vec!["10s".to_owned(), "2m".to_owned()]));
    let texts = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(divided.variables[1].kind, VariableKind::Listed(texts(&[("short", "2s"), ("30m", "1m")])));
    assert_eq!(divided.variables[2].kind, VariableKind::Listed(texts(&[("3", "3"), ("5", "5")])));
    let chosen = BTreeMap::new();
    let view = View { range: RANGE, width: 800, min_interval: Duration::from_secs(1), chosen: &chosen };
    let planned = &plan(&divided, only, &view)[0];
    assert_eq!(planned.expr, "rate(a[10s]) + topk(3, b offset 2m)");
    assert!(matches!(planned.kind, QueryKind::Range { step_millis: 60_000, .. }), "{planned:?}");
    let refused = asking(&panel, &variables("1s,5m")).at(speed).unwrap_err();
    assert!(refused[0].contains("1s divided by the speed 30"), "{refused:?}");
}

#[test]
fn conditions_of_a_dashboard_stand_in_every_selector() {
    let filters =
        json!([{ "name": "f", "type": "adhoc", "filters": [{ "key": "job", "operator": "=~", "value": "a|b" }] }]);
    let dashboard = asking(&json!({ "targets": [{ "refId": "A", "expr": "rate(a[5m]) / b" }] }), &filters);
    let chosen = BTreeMap::new();
    let view = View { range: RANGE, width: 800, min_interval: Duration::from_secs(1), chosen: &chosen };
    assert_eq!(plan(&dashboard, &dashboard.panels[0], &view)[0].expr, "rate(a{job=~\"a|b\"}[5m]) / b{job=~\"a|b\"}");
}

#[test]
fn legends_have_what_is_chosen_in_them() {
    let variables =
        json!([{ "name": "v", "type": "custom", "multi": true, "query": "a,b", "current": { "value": ["a", "b"] } }]);
    let targets = json!([{ "refId": "A", "expr": "up", "legendFormat": "$v {{job}} [[v]]" }]);
    let dashboard = asking(&json!({ "targets": targets }), &variables);
    let chosen = BTreeMap::new();
    let view = View { range: RANGE, width: 800, min_interval: Duration::from_secs(1), chosen: &chosen };
    assert_eq!(plan(&dashboard, &dashboard.panels[0], &view)[0].legend, "{a,b} {{job}} {a,b}");
}

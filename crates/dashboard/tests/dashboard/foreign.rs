//! Dashboards as others write them, each kind anew and small: rows of before Grafana 5, folded rows, panels of a library, repeats,
//! data sources in every form.

use std::collections::BTreeMap;
use std::path::Path;

use aiclipx_dashboard::draw::panel_svg;
use aiclipx_dashboard::draw::theme::Theme;
use aiclipx_dashboard::model::{self, Dashboard, Grid, Kind, Panel, VariableKind};
use aiclipx_dashboard::query::targets;
use serde_json::{Value, json};

use super::{assert_sound, canvas, text_of};

fn read(dashboard: &Value) -> Dashboard {
    model::read(Path::new("theirs.json"), &dashboard.to_string()).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

fn ids(panels: &[Panel]) -> Vec<u32> {
    panels.iter().map(|panel| panel.id).collect()
}

#[test]
fn rows_of_before_grafana_5_become_a_grid() {
    let panel = |id: u32, span: u32| json!({ "id": id, "type": "graph", "span": span, "targets": [{ "expr": "up" }] });
    let dashboard = read(&json!({
        "title": "Old", "rows": [
            { "title": "First", "showTitle": true, "height": "380px", "panels": [panel(3, 8), panel(4, 4), panel(5, 12)] },
            { "title": "Second", "collapse": true, "height": 190, "panels": [panel(6, 6)] },
        ],
    }));
    let places: Vec<(u32, Grid)> = dashboard.panels.iter().map(|panel| (panel.id, panel.grid)).collect();
    let grid = |x, y, w, h| Grid { x, y, w, h };
    assert_eq!(
        places,
        [
            (7, grid(0, 0, 24, 1)),
            (3, grid(0, 1, 16, 10)),
            (4, grid(16, 1, 8, 10)),
            (5, grid(0, 11, 24, 10)),
            (8, grid(0, 21, 24, 1)),
            (6, grid(0, 22, 12, 5)),
        ]
    );
    assert_eq!((dashboard.panels[4].folded, dashboard.panels[5].within), (true, Some(8)));
    assert!(dashboard.panels.iter().filter(|panel| panel.kind != Kind::Row).all(|panel| panel.targets.len() == 1));
    let bare =
        read(&json!({ "title": "Old", "rows": [{ "panels": [panel(1, 4)] }, { "panels": [{ "type": "text" }] }] }));
    assert_eq!(ids(&bare.panels), [1, 2], "rows that show no title are none");
}

#[test]
fn ids_that_are_missing_or_taken_are_given() {
    let panel = |id: Value| json!({ "id": id, "type": "stat", "title": "A" });
    let panels = [panel(json!(5)), panel(Value::Null), panel(json!(5)), panel(json!("6"))];
    assert_eq!(ids(&read(&json!({ "title": "A", "panels": panels })).panels), [5, 6, 7, 8]);
}

#[test]
fn a_panel_of_a_library_and_one_that_asks_another_say_so_in_their_place() {
    let logs = json!({ "type": "loki", "uid": "l" });
    let cloud = json!({ "type": "cloudwatch", "uid": "c" });
    let own = json!({ "type": "prometheus", "uid": "p" });
    let computed = json!({ "refId": "B", "datasource": { "type": "__expr__", "uid": "__expr__" }, "expression": "$A" });
    let dashboard = read(&json!({
        "title": "A", "panels": [
            { "id": 1, "title": "Theirs", "libraryPanel": { "uid": "x", "name": "Theirs" } },
            { "id": 2, "type": "timeseries", "datasource": cloud, "targets": [{ "refId": "A", "region": "x" }] },
            { "id": 3, "type": "timeseries", "datasource": own, "targets": [{ "refId": "A", "expr": "up" }, computed] },
            { "id": 4, "type": "timeseries", "datasource": { "uid": "-- Mixed --" }, "targets": [
                { "refId": "A", "expr": "up", "datasource": own }, { "refId": "B", "expr": "{a=\"b\"}", "datasource": logs },
            ] },
            { "id": 5, "type": "heatmap", "datasource": own, "targets": [{ "refId": "A", "expr": "up", "format": "heatmap" }] },
        ],
    }));
    for (id, asks, told) in [
        (1, 0, "“library panel” is not drawn here"),
        (2, 0, "it asks `cloudwatch`, which is not Prometheus"),
        (3, 1, "it asks what Grafana computes of its other queries"),
        (4, 1, "it asks `loki`, which is not Prometheus"),
        (5, 1, "“heatmap” is not drawn here"),
    ] {
        let panel = dashboard.panel(id).unwrap();
        let svg = panel_svg(panel, &[], &canvas(860, 200, Theme::Light, &[], &[]));
        assert_sound(&svg);
        assert!(panel.targets.len() == asks && text_of(&svg).contains(told), "{id}: {}", text_of(&svg));
    }
    assert_eq!(dashboard.panel(4).unwrap().targets[0].datasource.as_deref(), Some("p"));
}

#[test]
fn a_panel_can_show_what_another_asks() {
    let shared = json!({ "type": "datasource", "uid": "-- Dashboard --" });
    let dashboard = read(&json!({
        "title": "A", "panels": [
            { "id": 1, "type": "timeseries", "targets": [{ "refId": "A", "expr": "up" }, { "refId": "B", "expr": "b" }] },
            { "id": 2, "type": "stat", "datasource": shared, "targets": [{ "panelId": 1, "refId": "A", "datasource": shared }] },
        ],
    }));
    let shown = dashboard.panel(2).unwrap();
    assert_eq!((targets(&dashboard, shown).len(), shown.elsewhere.len()), (2, 0));
    assert_eq!(shown.undrawn, []);
}

#[test]
fn queries_that_grafana_does_not_send_are_none() {
    let targets = json!([
        { "refId": "A", "expr": "" }, { "refId": "B", "expr": "hidden", "hide": true }, { "refId": "C", "expr": "up", "hide": false },
    ]);
    let dashboard = read(&json!({ "title": "A", "panels": [{ "id": 1, "type": "graph", "targets": targets }] }));
    let asked: Vec<&str> = dashboard.panels[0].targets.iter().map(|target| target.expr.as_str()).collect();
    assert_eq!(asked, ["up"]);
}

#[test]
fn every_kind_of_variable_is_read() {
    let query = |query: Value| json!({ "type": "query", "query": query, "current": {} });
    for (variable, kind) in [
        (query(json!("label_values(job)")), VariableKind::LabelValues { metric: None, label: "job".to_owned() }),
        (
            query(json!({ "query": "label_values(up{a=\"b,c\"} , job)", "refId": "X" })),
            VariableKind::LabelValues { metric: Some("up{a=\"b,c\"}".to_owned()), label: "job".to_owned() },
        ),
        (query(json!("label_names()")), VariableKind::LabelNames(None)),
        (query(json!("metrics(node_.*)")), VariableKind::Metrics("node_.*".to_owned())),
        (query(json!("query_result(topk(3, up))")), VariableKind::QueryResult("topk(3, up)".to_owned())),
        (query(json!("up{job=\"a\"}")), VariableKind::Series("up{job=\"a\"}".to_owned())),
        (
            json!({ "type": "custom", "query": "a, shown : b, c\\,d" }),
            VariableKind::Listed(
                [("a", "a"), ("shown", "b"), ("c,d", "c,d")].map(|(a, b)| (a.into(), b.into())).to_vec(),
            ),
        ),
        (json!({ "type": "interval", "query": "1m,\"5m\"" }), VariableKind::Interval(vec!["1m".into(), "5m".into()])),
        (json!({ "type": "constant", "query": "x" }), VariableKind::Constant("x".to_owned())),
        (json!({ "type": "textbox", "query": "" }), VariableKind::Text),
        (json!({ "type": "datasource", "query": "prometheus" }), VariableKind::Datasource("prometheus".to_owned())),
        (json!({ "type": "adhoc" }), VariableKind::Filters(Vec::new())),
        (
            json!({ "type": "query", "datasource": { "type": "loki" }, "query": "label_values(x)" }),
            VariableKind::Other("loki".to_owned()),
        ),
        (json!({ "type": "of the future" }), VariableKind::Other("of the future".to_owned())),
    ] {
        let mut variable = variable;
        variable["name"] = "v".into();
        let dashboard = read(&json!({ "title": "A", "templating": { "list": [variable] } }));
        assert_eq!(dashboard.variables[0].kind, kind, "{variable}");
        assert_eq!(dashboard.undrawn.is_empty(), !matches!(kind, VariableKind::Other(_)), "{:?}", dashboard.undrawn);
    }
}

#[test]
fn panels_are_repeated_beside_and_below_one_another_and_rows_with_what_is_under_them() {
    let at = |x: u32, y: u32| json!({ "x": x, "y": y, "w": 24, "h": 4 });
    let values = |names: &[&str]| names.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let dashboard = read(&json!({
        "title": "A", "panels": [
            { "id": 1, "type": "stat", "title": "$v", "repeat": "v", "maxPerRow": 2, "gridPos": at(0, 0) },
            { "id": 2, "type": "stat", "repeat": "w", "repeatDirection": "v", "gridPos": at(0, 4) },
            { "id": 3, "type": "row", "title": "$w", "repeat": "w", "gridPos": at(0, 8) },
            { "id": 4, "type": "stat", "gridPos": at(0, 9) },
            { "id": 5, "type": "row", "gridPos": at(0, 20) },
        ],
    }));
    let chosen = BTreeMap::from([("v".to_owned(), values(&["a", "b", "c"])), ("w".to_owned(), values(&["x", "y"]))]);
    let repeated = dashboard.repeated(&chosen);
    let mut places: Vec<_> = repeated
        .panels
        .iter()
        .map(|panel| {
            let stands_for: Vec<&str> = panel.asking.stands_for.values().map(String::as_str).collect();
            (panel.grid.y, panel.grid.x, panel.grid.w, stands_for.join(","))
        })
        .collect();
    places.sort();
    let wanted = [
        (0, 0, 12, "a"),
        (0, 12, 12, "b"),
        (4, 0, 12, "c"),
        (8, 0, 24, "x"),
        (12, 0, 24, "y"),
        (16, 0, 24, "x"),
        (17, 0, 24, "x"),
        (21, 0, 24, "y"),
        (22, 0, 24, "y"),
        (33, 0, 24, ""),
    ];
    let places: Vec<_> = places.iter().map(|(y, x, w, value)| (*y, *x, *w, value.as_str())).collect();
    assert_eq!(places, wanted);
    let mut own = ids(&repeated.panels);
    own.sort_unstable();
    own.dedup();
    assert_eq!(own.len(), repeated.panels.len(), "every panel has an id of its own");
    assert!((1..=5).all(|id| own.contains(&id)));
    assert_eq!(dashboard.repeated(&BTreeMap::new()), dashboard);
}

//! Dashboards as others write them, each kind anew and small: rows of before Grafana 5, folded rows, panels of a library, repeats,
//! data sources in every form.

use std::collections::BTreeMap;
use std::path::Path;

use aiclipx_dashboard::draw::theme::Theme;
use aiclipx_dashboard::draw::{Frame, panel_svg};
use aiclipx_dashboard::model::{self, Dashboard, Grid, Kind, Panel, VariableKind};
use aiclipx_dashboard::query::targets;
use aiclipx_model::prom::answer::{Sample, Series};
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

/// One panel of the example's kind with these looks, answered with these values of two queries.
fn drawn(kind: &str, looks: &Value, options: &Value, values: [[f64; 4]; 2]) -> String {
    let targets =
        json!([{ "refId": "A", "expr": "a", "legendFormat": "a" }, { "refId": "B", "expr": "b", "legendFormat": "b" }]);
    let panel = json!({ "id": 1, "type": kind, "targets": targets, "fieldConfig": looks, "options": options });
    let dashboard = read(&json!({ "title": "A", "panels": [panel] }));
    let shown = dashboard.panel(1).unwrap();
    assert_eq!(shown.undrawn, []);
    let frames = super::planned(&dashboard, 1, 420).into_iter().zip(values).map(|(query, values)| {
        let from = super::FROM as f64 / 1000.0;
        let samples = (0..).zip(values).map(|(at, value)| Sample { seconds: from + f64::from(at) * 80.0, value });
        let labels = super::labels(&[("job", "a")]);
        Frame { query, series: vec![Series { labels, samples: samples.collect() }] }
    });
    let svg = panel_svg(shown, &frames.collect::<Vec<_>>(), &canvas(420, 280, Theme::Light, &[], &[]));
    assert_sound(&svg);
    svg
}

/// The heights of the points that a line of this kind goes through, by curve.
fn lines(svg: &str) -> Vec<Vec<f64>> {
    let document = roxmltree::Document::parse(svg).unwrap();
    let curves = document.descendants().filter(|node| node.attribute("stroke-linecap") == Some("round"));
    let points = |path: &str| {
        let points = path.split(['M', 'L', 'C']).filter(|point| !point.is_empty());
        points.map(|point| point.rsplit(' ').next().unwrap().parse().unwrap()).collect()
    };
    curves.map(|node| points(node.attribute("d").unwrap())).collect()
}

#[test]
fn lines_that_stand_on_one_another_are_drawn_where_their_sum_is() {
    let looks = |stacking: &str| {
        let custom = json!({ "stacking": { "mode": stacking }, "spanNulls": true, "fillOpacity": 50 });
        json!({ "defaults": { "custom": custom } })
    };
    let values = [[1.0, 2.0, 1.0, 2.0], [1.0, 1.0, 3.0, 0.0]];
    let apart = lines(&drawn("timeseries", &looks("none"), &json!({}), values));
    assert_eq!(apart.len(), 2);
    let svg = drawn("timeseries", &looks("normal"), &json!({}), values);
    let stacked = lines(&svg);
    // From the axis to a height of the first: of one, of two.
    let one = stacked[0][0] - stacked[0][1];
    let sums: Vec<f64> = stacked[1].iter().map(|y| (2.0 + (stacked[0][1] - y) / one).round()).collect();
    assert_eq!(sums, [2.0, 3.0, 4.0, 2.0], "{svg}");
    assert_eq!(svg.matches("fill-opacity=\"0.5\"").count(), 2, "{svg}");
    let hanging = lines(&drawn("timeseries", &looks("normal"), &json!({}), [values[0], [-1.0, -1.0, -1.0, -1.0]]));
    assert!(hanging[1].iter().all(|y| *y > hanging[0][0]), "what is below zero hangs from zero: {hanging:?}");
}

#[test]
fn smooth_lines_are_drawn_as_curves() {
    let looks = json!({ "defaults": { "custom": { "lineInterpolation": "smooth", "spanNulls": true } } });
    let svg = drawn("timeseries", &looks, &json!({}), [[1.0, 2.0, 1.0, 2.0]; 2]);
    assert!(lines(&svg).iter().all(|line| line.len() == 4) && svg.contains('C'), "{svg}");
}

#[test]
fn values_have_the_words_that_are_mapped_to_them() {
    let words = json!([
        { "type": "value", "options": { "1": { "text": "one", "color": "red" }, "x": { "text": "never" } } },
        { "type": "range", "options": { "from": 2, "to": null, "result": { "text": "many" } } },
        { "type": "special", "options": { "match": "null+nan", "result": { "text": "none at all" } } },
        { "type": "regex", "options": { "pattern": ".*", "result": { "text": "never" } } },
    ]);
    let looks = json!({ "defaults": { "mappings": words } });
    let nan = f64::NAN;
    let text = text_of(&drawn("stat", &looks, &json!({ "colorMode": "none" }), [[1.0; 4], [5.0; 4]]));
    assert!(text.contains("one") && text.contains("many") && !text.contains("never"), "{text}");
    let text = text_of(&drawn("stat", &looks, &json!({}), [[0.0; 4], [nan; 4]]));
    assert!(text.contains("none at all") && text.contains('0'), "{text}");
}

#[test]
fn what_is_said_of_a_query_holds_for_what_it_was_answered_with() {
    let of_b =
        json!({ "matcher": { "id": "byFrameRefID", "options": "B" }, "properties": [{ "id": "unit", "value": "s" }] });
    let text = text_of(&drawn("stat", &json!({ "overrides": [of_b] }), &json!({}), [[2.0; 4], [3.0; 4]]));
    assert!(text.contains("3 s") && !text.contains("2 s"), "{text}");
}

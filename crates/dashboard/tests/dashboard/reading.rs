//! From a file to the model: what is refused, what is kept apart because it is not drawn, each with its line.

use std::path::Path;

use aiclipx_dashboard::draw::panel_svg;
use aiclipx_dashboard::draw::theme::Theme;
use aiclipx_dashboard::model::{self, Dashboard, Marking, VariableKind};
use aiclipx_model::failure::Finding;
use proptest::prelude::*;
use serde_json::Value;

use super::{EXAMPLE, assert_sound, canvas, example, frames, planned, text_of};

#[test]
fn the_example_is_read_as_it_stands() {
    let dashboard = example();
    assert_eq!((dashboard.uid.as_str(), dashboard.panels.len()), ("example", 12));
    let metric = Some("up".to_owned());
    assert_eq!(dashboard.variables[0].kind, VariableKind::LabelValues { metric, label: "job".to_owned() });
    // Grafana's own and what is not enabled stay out.
    let told: Vec<_> = dashboard.annotations.iter().map(|one| (one.name.as_str(), one.marking())).collect();
    assert_eq!(told, [("Alerts firing", Marking::Alerts), ("Faults", Marking::Faults)]);
    let queries = planned(&dashboard, 1, 860);
    assert_eq!(queries[0].expr, "sum by (method) (rate(app_requests_total{job=~\".+\"}[2s]))");
    let stat = dashboard.panel(5).unwrap();
    assert!(!stat.sparkline);
}

#[test]
fn a_folded_row_holds_its_panels_and_an_open_one_heads_what_follows() {
    let dashboard = example();
    let sections: Vec<(Option<u32>, Vec<u32>)> = dashboard
        .sections()
        .iter()
        .map(|section| (section.row.map(|row| row.id), section.panels.iter().map(|panel| panel.id).collect()))
        .collect();
    assert_eq!(sections, [(Some(10), vec![1, 2, 3, 4, 5, 6, 7, 8, 9]), (Some(11), vec![12])]);
    let (open, folded) = (dashboard.panel(10).unwrap(), dashboard.panel(11).unwrap());
    assert_eq!((open.folded, folded.folded), (false, true));
}

/// A page of its own names the datasource that there is; one that is imported lets one choose.
#[test]
fn a_datasource_that_one_can_choose_is_the_one_there_is() {
    let mut value: Value = serde_json::from_str(EXAMPLE).unwrap();
    let list = value["templating"]["list"].as_array_mut().unwrap();
    list.insert(0, serde_json::json!({"name": "source", "type": "datasource", "query": "prometheus", "hide": 0}));
    value["panels"][1]["links"] = serde_json::json!([{"title": "A", "url": "/explore?left=${source}&to=${__to}"}]);
    let text = value.to_string().replace(r#""uid":"prometheus""#, r#""uid":"${source}""#);
    let chosen = model::read(Path::new("a.json"), &text).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let own = example();
    assert!(own.panels.iter().any(|panel| panel.datasource.as_deref() == Some("prometheus")));
    assert!(chosen.panels.iter().all(|panel| panel.datasource.as_deref() != Some("prometheus")));
    let others = chosen.variables.iter().filter(|one| !matches!(one.kind, VariableKind::Datasource(_)));
    assert!(others.eq(&own.variables) && chosen.variables.len() == own.variables.len() + 1);
    let links = chosen.panels.iter().flat_map(|panel| &panel.links).map(|link| link.url.as_str());
    assert_eq!(links.collect::<Vec<_>>(), ["/explore?left=&to=${__to}"]);
}

#[test]
fn what_is_outside_the_subset_is_kept_apart_by_panel_and_refuses_nothing() {
    let mut dashboard: Value = serde_json::from_str(EXAMPLE).unwrap();
    dashboard["panels"][1]["fieldConfig"]["defaults"]["unit"] = Value::from("furlongs");
    dashboard["panels"][10]["panels"][0]["targets"][0]["expr"] = Value::from(7);
    dashboard["templating"]["list"][0]["type"] = Value::from("of the future");
    let read = model::read(Path::new("a.json"), &dashboard.to_string()).unwrap();
    let undrawn: Vec<u32> = read.panels.iter().filter(|one| !one.undrawn.is_empty()).map(|one| one.id).collect();
    assert_eq!((undrawn, read.panels.len()), (vec![1, 12], 12));
    assert!(read.undrawn.len() == 1 && read.undrawn[0].what.contains("`of the future`"), "{:?}", read.undrawn);
    let svg = panel_svg(read.panel(1).unwrap(), &frames(&read, 1, 860), &canvas(860, 200, Theme::Light, &[], &[]));
    assert_sound(&svg);
    assert!(text_of(&svg).contains("Not drawn here: `fieldConfig.defaults.unit`: the unit `furlongs`"), "{svg}");
    assert!(!svg.contains("<path"), "what would be drawn otherwise is drawn: {svg}");
}

/// The example with one field set.
fn with(pointer: &str, value: Value) -> Result<Dashboard, String> {
    let mut dashboard: Value = serde_json::from_str(EXAMPLE).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = dashboard.pointer_mut(parent).expect("the example has this place");
    match parent {
        Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
        other => other[key] = value,
    }
    let read = model::read(Path::new("a.json"), &dashboard.to_string());
    let told = |findings: Vec<&Finding>| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    match read {
        Ok(dashboard) if dashboard.undrawn().count() > 0 => Err(told(dashboard.undrawn().collect())),
        Ok(dashboard) => Ok(dashboard),
        Err(findings) => Err(told(findings.iter().collect())),
    }
}

#[test]
fn what_is_outside_the_subset_is_told_with_dashboard_panel_and_field() {
    for (pointer, value, told) in [
        ("/panels/1/fieldConfig/defaults/unit", Value::from("furlongs"), "fieldConfig.defaults.unit"),
        ("/panels/1/fieldConfig/defaults/custom/stacking", serde_json::json!({"mode": "percent"}), "stacking.mode"),
        ("/panels/1/fieldConfig/defaults/custom/drawStyle", Value::from("bars"), "custom.drawStyle"),
        ("/panels/1/fieldConfig/defaults/custom/lineInterpolation", Value::from("wavy"), "lineInterpolation"),
        ("/panels/1/fieldConfig/defaults/custom/showValues", Value::from(true), "custom.showValues"),
        ("/panels/1/fieldConfig/defaults/custom/hideFrom", serde_json::json!({"viz": true}), "custom.hideFrom"),
        ("/panels/1/fieldConfig/defaults/unitScale", Value::from(false), "defaults.unitScale"),
        ("/panels/2/fieldConfig/defaults/thresholds/mode", Value::from("percentage"), "thresholds.mode"),
        ("/panels/1/fieldConfig/defaults/custom/thresholdsStyle/mode", Value::from("dashed"), "thresholdsStyle.mode"),
        ("/panels/5/options/colorMode", Value::from("background"), "options.colorMode"),
        ("/panels/5/options/textMode", Value::from("name"), "options.textMode"),
        ("/panels/1/targets/0/expr", Value::from(7), "targets.expr"),
        ("/panels/1/datasource/type", Value::from("influxdb"), "datasource.type"),
        ("/panels/1/options/legend", serde_json::json!({"calcs": ["stdDev"]}), "options.legend.calcs"),
        ("/panels/1/transformations", serde_json::json!([{"id": "merge"}]), "transformations.id"),
        ("/panels/1/links", serde_json::json!([{"title": "A", "url": "javascript:alert(1)"}]), "links.url"),
        ("/panels/1/links", serde_json::json!([{"title": "A", "url": "//example.org/"}]), "links.url"),
        ("/panels/1/links", serde_json::json!([{"title": "A", "url": "/d/a?var-job=$job"}]), "links.url"),
    ] {
        let error = with(pointer, value).expect_err(told);
        assert!(error.contains(told) && error.contains("dashboard `example`, panel"), "{error}");
    }
    let error = with("/templating/list/0/type", Value::from("groupby")).unwrap_err();
    assert!(error.contains("templating.job.type"), "{error}");
}

#[test]
fn every_finding_has_the_line_of_its_field_and_all_are_told_at_once() {
    let line = |text: &str, what: &str| 1 + text[..text.find(what).unwrap()].matches('\n').count();
    let text = EXAMPLE
        .replacen("\"description\":", "\"descriptoin\": \"\",\n \"description\":", 1)
        .replacen("\"unit\": \"", "\"unit\": \"furlongs", 1)
        .replacen("\"gridPos\": {", "\"gridPos\": {\n\"z\": 1, ", 1);
    let read = model::read(Path::new("a.json"), &text).unwrap();
    let told: Vec<(usize, &str)> =
        read.undrawn().map(|finding| (finding.line, finding.what.split('`').nth(3).unwrap())).collect();
    let at = |key, field| (line(&text, key), field);
    let wanted = [
        at("\"descriptoin\"", "descriptoin"),
        at("furlongs", "fieldConfig.defaults.unit"),
        at("\"z\": 1", "gridPos.z"),
    ];
    assert!(wanted.iter().all(|one| told.contains(one)) && told.len() == 3, "{told:?}, not {wanted:?}");
}

#[test]
fn names_are_matched_as_far_as_overrides_need_it() {
    for (pattern, name, found) in [
        ("/^app.*/", "app-1", Some(true)),
        ("/^app.*/", "an app", Some(false)),
        ("5..", "503", Some(true)),
        ("5..", "http 503", Some(false)),
        ("/5../", "http 503", Some(true)),
        ("/HTTP/i", "http 503", Some(true)),
        ("", "a", Some(false)),
        ("/^(GET|POST)$/", "POST", Some(true)),
        ("/^(GET|POST)$/", "POSTS", Some(false)),
        ("a\\.b", "a.b", Some(true)),
        ("a\\.b", "axb", Some(false)),
        ("a+", "aa", Some(true)),
        ("/[[b]/", "[", Some(true)),
        ("/{id}/", "/items/{id}", Some(true)),
        ("/^\\d{2,}$/", "12", Some(true)),
        ("/a(?!b)/", "ac", None),
        ("/(a)\\1/", "aa", None),
    ] {
        assert_eq!(model::pattern_matches(pattern, name), found, "{pattern} on {name}");
    }
}

#[test]
fn what_grafana_refuses_is_refused_with_its_line_and_nothing_else() {
    for (text, line, why) in [
        ("{\n  \"uid\": oops", 2, "no JSON"),
        ("[1]", 1, "not an object"),
        ("{\n\"title\": \" \"}", 2, "needs a `title`"),
        ("{\"title\": \"A\",\n\"uid\": \"a b\"}", 2, "`uid` must be"),
        ("{\"title\": \"A\", \"elements\": {}}", 1, "v2 schema"),
    ] {
        let refused = model::read(Path::new("a.json"), text).unwrap_err();
        assert!(refused.len() == 1 && refused[0].line == line && refused[0].what.contains(why), "{refused:?}");
    }
    let bare = model::read(Path::new("some folder/of mine.json"), "{\"title\": \"A\"}").unwrap();
    assert_eq!((bare.uid.as_str(), bare.panels.len()), ("of mine", 0));
}

/// Every place in a JSON value, as a pointer.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    let mut child = |key: &str, value: &Value| {
        let pointer = format!("{at}/{key}");
        all.push(pointer.clone());
        places(value, &pointer, all);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| child(key, value)),
        Value::Array(list) => list.iter().enumerate().for_each(|(at, value)| child(&at.to_string(), value)),
        _ => {}
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("(id|type|value|options|[a-z]{1,5})", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever is changed in a dashboard, it is read or refused; and what is read is drawn, as sound XML.
    #[test]
    fn a_mutated_dashboard_is_read_or_refused_and_never_a_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any_json(), any::<bool>()), 1..4),
    ) {
        let mut dashboard: Value = serde_json::from_str(EXAMPLE).unwrap();
        for (index, value, remove) in changes {
            let mut all = Vec::new();
            places(&dashboard, "", &mut all);
            if all.is_empty() { break; }
            let pointer = &all[index.index(all.len())];
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            match dashboard.pointer_mut(parent) {
                Some(Value::Object(map)) if remove => { map.remove(key); }
                Some(Value::Object(map)) => { map.insert(key.to_owned(), value); }
                Some(Value::Array(list)) => if let Ok(at) = key.parse::<usize>() { list[at] = value },
                _ => {}
            }
        }
        if let Ok(dashboard) = model::read(Path::new("a.json"), &dashboard.to_string()) {
            for panel in &dashboard.panels {
                let frames = frames(&dashboard, panel.id, 420);
                let svg = panel_svg(panel, &frames, &canvas(420, 200, Theme::Light, &[], &[]));
                roxmltree::Document::parse(&svg).map_err(|error| TestCaseError::fail(format!("{error}: {svg}")))?;
            }
        }
    }
}

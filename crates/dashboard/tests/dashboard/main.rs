//! Dashboards from JSON to pictures: one panel of every kind against golden files, and what must never become one.
//!
//! `UPDATE_GOLDEN=1 cargo test --test dashboard` writes the golden files anew; look at them before they are committed.

// Helpers of tests are tests: what they can't have ends the test; and its times are small numbers.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::cast_possible_wrap, clippy::similar_names)]

mod asking;
mod foreign;
mod reading;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aiclipx_dashboard::draw::theme::{self, Theme};
use aiclipx_dashboard::draw::{Canvas, Frame, Mark, panel_svg};
use aiclipx_dashboard::model::{self, Dashboard, Kind};
use aiclipx_dashboard::query::{PlannedQuery, QueryKind, TimeRange, View, plan};
use aiclipx_model::prom::answer::{Sample, Series};
use serde_json::Value;

const EXAMPLE: &str = include_str!("example.json");
const FROM: i64 = 1_795_000_000_000;
const RANGE: TimeRange = TimeRange { from_millis: FROM, to_millis: FROM + 240_000 };

fn example() -> Dashboard {
    model::read(Path::new("example.json"), EXAMPLE).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

fn planned(dashboard: &Dashboard, panel: u32, width: u32) -> Vec<PlannedQuery> {
    let chosen = BTreeMap::new();
    let view = View { range: RANGE, width, min_interval: Duration::from_millis(500), chosen: &chosen };
    plan(dashboard, dashboard.panel(panel).expect("the example has this panel"), &view)
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Samples a step apart over the query's range, the value by the place (0…1) in it; none where there is none.
fn sampled(query: &PlannedQuery, value: impl Fn(f64, f64) -> Option<f64>) -> Vec<Sample> {
    match query.kind {
        QueryKind::Instant { time_millis } => {
            let value = value(1.0, 0.5).expect("an instant has a value");
            vec![Sample { seconds: time_millis as f64 / 1000.0, value }]
        }
        QueryKind::Range { start_millis, end_millis, step_millis } => {
            let count = (end_millis - start_millis) / step_millis as i64;
            (0..=count)
                .filter_map(|at| {
                    // A fixed, rough noise, the same on every machine.
                    let noise = ((at * 7919 + 104_729) % 101) as f64 / 101.0;
                    let seconds = (start_millis + at * step_millis as i64) as f64 / 1000.0;
                    value(at as f64 / count as f64, noise).map(|value| Sample { seconds, value })
                })
                .collect()
        }
    }
}

fn one(query: &PlannedQuery, pairs: &[(&str, &str)], value: impl Fn(f64, f64) -> Option<f64>) -> Series {
    Series { labels: labels(pairs), samples: sampled(query, value) }
}

/// What Prometheus might have answered for a panel of the example.
fn frames(dashboard: &Dashboard, panel: u32, width: u32) -> Vec<Frame> {
    let bump = |at: f64| if (0.35..0.62).contains(&at) { 1.0 } else { 0.0 };
    let query_frames = planned(dashboard, panel, width).into_iter().map(|query| {
        let q = &query;
        let series = match (panel, q.ref_id.as_str()) {
            (1, _) => vec![
                one(q, &[("method", "GET")], |at, noise| Some(38.0 + 4.0 * noise + 6.0 * at)),
                one(q, &[("method", "POST")], |at, noise| Some(11.0 + 2.0 * noise - 3.0 * bump(at))),
                one(q, &[("method", "DELETE")], |at, noise| (!(0.5..0.6).contains(&at)).then_some(2.0 + noise)),
            ],
            (2, _) => vec![one(q, &[("job", "app")], |at, noise| {
                if (0.7..0.74).contains(&at) { Some(f64::NAN) } else { Some(0.041 + 0.02 * noise + 0.71 * bump(at)) }
            })],
            (3, _) => vec![one(q, &[("job", "app")], |at, noise| Some((0.28 + 0.03 * noise) * bump(at)))],
            (4, _) => [("/items", 31.5), ("/items/{id}", 12.25), ("/", 8.0), ("unmatched", 0.4), ("/health/live", 0.2)]
                .iter()
                .map(|(endpoint, rate)| one(q, &[("endpoint", endpoint)], |_, _| Some(*rate)))
                .collect(),
            (5, _) => vec![
                one(q, &[("instance", "app-1:8080")], |_, _| Some(1.0)),
                one(q, &[("instance", "app-2:8080")], |_, _| Some(0.0)),
            ],
            (6, _) => vec![one(q, &[], |at, _| Some(0.93 - 0.25 * at))],
            (8, "A") => vec![
                one(q, &[("__name__", "up"), ("job", "app"), ("instance", "app:8080")], |_, _| Some(1.0)),
                one(q, &[("__name__", "up"), ("job", "receiver"), ("instance", "receiver:9095")], |_, _| Some(0.0)),
            ],
            (8, _) => vec![
                one(q, &[("job", "app"), ("instance", "app:8080")], |_, _| Some(0.0023)),
                one(q, &[("job", "receiver"), ("instance", "receiver:9095")], |_, _| Some(0.0121)),
            ],
            _ => Vec::new(),
        };
        Frame { query, series }
    });
    query_frames.collect()
}

fn mark(from: i64, to: i64, label: &str) -> Mark {
    Mark { from_millis: FROM + from * 1000, to_millis: FROM + to * 1000, label: label.to_owned() }
}

fn canvas<'a>(width: u32, height: u32, theme: Theme, faults: &'a [Mark], alerts: &'a [Mark]) -> Canvas<'a> {
    Canvas { width, height, theme, range: RANGE, dated: true, phases: &[], faults, alerts }
}

/// Parses as XML, needs nothing from outside, and holds nothing that runs.
fn assert_sound(svg: &str) {
    let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let name = node.tag_name().name();
        assert!(!["script", "image", "use", "style", "foreignObject", "a"].contains(&name), "{name}");
        assert!(node.attributes().all(|one| !one.name().starts_with("on") && !one.name().contains("href")), "{svg}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "a coordinate is no number: {svg}");
}

#[test]
fn every_kind_of_panel_is_drawn_as_its_golden_file() {
    let dashboard = example();
    let faults = [mark(84, 149, "fault: 30 % errors")];
    let alerts = [mark(97, 163, "AppHigh5xxErrorRate"), mark(104, 155, "AppHighP95Latency")];
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/dashboard/golden");
    let mut differs = Vec::new();
    for (panel, width, height, theme) in [
        (1, 860, 300, Theme::Light),
        (1, 420, 280, Theme::Light),
        (2, 860, 300, Theme::Dark),
        (2, 420, 280, Theme::Light),
        (3, 860, 300, Theme::Light),
        (4, 420, 240, Theme::Light),
        (4, 860, 240, Theme::Dark),
        (5, 420, 140, Theme::Light),
        (6, 420, 200, Theme::Light),
        (7, 420, 260, Theme::Light),
        (8, 860, 160, Theme::Light),
        (8, 420, 160, Theme::Light),
        (9, 420, 120, Theme::Light),
        (10, 420, 60, Theme::Light),
    ] {
        let shown = dashboard.panel(panel).unwrap();
        let canvas = canvas(width, height, theme, &faults, &alerts);
        let svg = panel_svg(shown, &frames(&dashboard, panel, width), &canvas);
        assert_sound(&svg);
        let theme = if theme == Theme::Light { "light" } else { "dark" };
        let name = format!("panel-{panel}-{width}-{theme}.svg");
        let file = golden.join(&name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, &svg).unwrap();
        } else if std::fs::read_to_string(&file).unwrap_or_default() != svg {
            differs.push(name);
        }
    }
    assert!(
        differs.is_empty(),
        "not as in crates/dashboard/tests/dashboard/golden: {differs:?}; see the head of this file"
    );
}

fn text_of(svg: &str) -> String {
    let document = roxmltree::Document::parse(svg).unwrap();
    document
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .filter_map(|node| node.text())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_panel_without_data_says_so() {
    let dashboard = example();
    for panel in [1, 2, 3, 4, 5, 6, 8] {
        let shown = dashboard.panel(panel).unwrap();
        let mut frames = frames(&dashboard, panel, 420);
        for frame in &mut frames {
            frame.series.clear();
        }
        let svg = panel_svg(shown, &frames, &canvas(420, 200, Theme::Light, &[], &[]));
        assert_sound(&svg);
        assert!(text_of(&svg).contains("No data"), "panel {panel}");
        let mut shown = shown.clone();
        shown.defaults.no_value = Some("Nothing yet".to_owned());
        let svg = panel_svg(&shown, &frames, &canvas(420, 200, Theme::Light, &[], &[]));
        assert!(text_of(&svg).contains("Nothing yet") && !text_of(&svg).contains("No data"), "panel {panel}");
    }
}

#[test]
fn a_panel_that_is_not_drawn_says_so_in_its_place() {
    let mut example: Value = serde_json::from_str(EXAMPLE).unwrap();
    let panels = example["panels"].as_array_mut().unwrap();
    let panel = panels.iter_mut().find(|panel| panel["id"] == 9).unwrap();
    panel["datasource"]["type"] = "prometheus".into();
    let dashboard = model::read(Path::new("example.json"), &example.to_string()).unwrap();
    assert_eq!(dashboard.panel(9).unwrap().kind, Kind::Undrawn("logs".to_owned()));
    let svg = panel_svg(dashboard.panel(9).unwrap(), &[], &canvas(420, 200, Theme::Light, &[], &[]));
    assert!(text_of(&svg).contains("“logs” is not drawn here"));
}

#[test]
fn a_panel_of_logs_is_no_query_and_says_where_else_they_are() {
    let file = "monitoring/grafana/dashboards/logs.json";
    let text = std::fs::read_to_string(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(file)).unwrap();
    // A picture we could draw, of data that we can't ask for: the datasource decides, not the picture.
    for text in [text.clone(), text.replace("\"type\": \"logs\"", "\"type\": \"timeseries\"")] {
        let dashboard = model::read(Path::new(file), &text).unwrap();
        let of_logs: Vec<_> = dashboard.panels.iter().filter(|panel| matches!(panel.kind, Kind::Logs(_))).collect();
        assert_eq!(of_logs.iter().map(|panel| panel.id).collect::<Vec<_>>(), [6, 7, 8]);
        for panel in of_logs {
            assert!(panel.targets.is_empty());
            let svg = panel_svg(panel, &[], &canvas(860, 200, Theme::Light, &[], &[]));
            assert_sound(&svg);
            assert!(text_of(&svg).contains("`aiclipx logs` shows them"), "{}", text_of(&svg));
        }
    }
}

#[test]
fn hostile_labels_are_shown_and_never_executed() {
    let dashboard = example();
    let hostile = "</text><script>alert(1)</script>\u{0}\u{1b}[31m\u{202e}&lt;\"'";
    for panel in [1, 4, 5, 7, 8] {
        let mut frames = frames(&dashboard, panel, 860);
        for series in frames.iter_mut().flat_map(|frame| &mut frame.series) {
            for value in series.labels.values_mut() {
                hostile.clone_into(value);
            }
        }
        let mut shown = dashboard.panel(panel).unwrap().clone();
        shown.title = hostile.to_owned();
        let alerts = [mark(10, 200, hostile)];
        let svg = panel_svg(&shown, &frames, &canvas(860, 300, Theme::Light, &[], &alerts));
        assert_sound(&svg);
        assert!(text_of(&svg).contains("</text><script>"), "panel {panel}: {svg}");
    }
}

#[test]
fn a_gap_in_the_samples_is_a_gap_in_the_line() {
    let dashboard = example();
    let lines = |svg: &str| svg.matches("stroke-linecap=\"round\"").count();
    let svg =
        |frames: &[Frame]| panel_svg(dashboard.panel(2).unwrap(), frames, &canvas(860, 300, Theme::Light, &[], &[]));
    let mut frames = frames(&dashboard, 2, 860);
    assert_eq!(lines(&svg(&frames)), 2, "NaN parts the line");
    frames[0].series[0].samples.retain(|sample| !sample.value.is_nan());
    assert_eq!(lines(&svg(&frames)), 2, "missing samples part the line");
    let count = frames[0].series[0].samples.len();
    frames[0].series[0].samples.truncate(count / 2);
    assert_eq!(lines(&svg(&frames)), 1);
}

#[test]
fn strange_values_are_drawn_without_a_strange_coordinate() {
    let dashboard = example();
    for panel in 1..=8 {
        for value in [f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, -5.0, 1e300, 1e-300, f64::MAX, f64::MIN] {
            let mut frames = frames(&dashboard, panel, 420);
            for sample in frames.iter_mut().flat_map(|frame| &mut frame.series).flat_map(|series| &mut series.samples) {
                sample.value = value;
            }
            for (width, height) in [(1, 1), (420, 280)] {
                let svg =
                    panel_svg(dashboard.panel(panel).unwrap(), &frames, &canvas(width, height, Theme::Dark, &[], &[]));
                assert_sound(&svg);
            }
        }
    }
}

#[test]
fn many_series_and_marks_stay_inside_the_picture() {
    let dashboard = example();
    for (width, height) in [(420, 280), (860, 300)] {
        let mut frames = frames(&dashboard, 1, width);
        let first = frames[0].series[0].clone();
        let series = (0..60).map(|at| {
            let name = format!("METHOD-WITH-A-NAME-THAT-IS-TOO-LONG-FOR-A-LEGEND-BESIDE-THREE-NUMBERS-{at}");
            let samples = first.samples.iter().map(|sample| Sample { value: sample.value * f64::from(at), ..*sample });
            Series { labels: labels(&[("method", &name)]), samples: samples.collect() }
        });
        frames[0].series = series.collect();
        let marks: Vec<Mark> = (0..12).map(|at| mark(at * 18, at * 18 + 60, "AppSomethingIsWrong")).collect();
        let svg = panel_svg(dashboard.panel(1).unwrap(), &frames, &canvas(width, height, Theme::Light, &marks, &marks));
        assert_sound(&svg);
        assert!(text_of(&svg).contains("and 5"), "{}", text_of(&svg));
        let document = roxmltree::Document::parse(&svg).unwrap();
        for node in document.descendants().filter(|node| node.has_tag_name("text")) {
            let number = |name: &str| node.attribute(name).and_then(|one| one.parse::<f64>().ok()).unwrap();
            let inside = (0.0..=f64::from(width)).contains(&number("x"));
            assert!(inside && (0.0..=f64::from(height)).contains(&number("y")), "{node:?}");
        }
        // Set to look at the picture.
        if let Some(folder) = std::env::var_os("KEEP_PICTURES") {
            std::fs::write(PathBuf::from(folder).join(format!("crowded-{width}.svg")), &svg).unwrap();
        }
    }
}

#[test]
fn no_name_of_a_mark_is_struck_through_by_where_another_begins() {
    let dashboard = example();
    let alerts = [
        mark(20, 26, "AppHighExceptionRate"),
        mark(34, 44, "AppHighExceptionRate"),
        mark(150, 160, "AppHighExceptionRate"),
        mark(22, 30, "AppHigh5xxErrorRate"),
        mark(36, 60, "AppHigh5xxErrorRate"),
        mark(200, 236, "AppHighP95Latency"),
        mark(230, 239, "AppHighP95Latency"),
    ];
    let phases = [mark(10, 140, "error-rate: errors"), mark(24, 160, "latency: slow"), mark(170, 200, "recovery")];
    for (panel, width, height) in [(1, 420, 280), (2, 860, 300), (3, 420, 280)] {
        let canvas = Canvas { phases: &phases, ..canvas(width, height, Theme::Light, &[], &alerts) };
        let svg = panel_svg(dashboard.panel(panel).unwrap(), &frames(&dashboard, panel, width), &canvas);
        assert_sound(&svg);
        if let Some(folder) = std::env::var_os("KEEP_PICTURES") {
            std::fs::write(PathBuf::from(folder).join(format!("marks-{panel}-{width}.svg")), &svg).unwrap();
        }
        let document = roxmltree::Document::parse(&svg).unwrap();
        let number = |node: &roxmltree::Node, name: &str| {
            node.attribute(name).and_then(|one| one.parse::<f64>().ok()).unwrap_or_else(|| panic!("{node:?}"))
        };
        let is_begin = |node: &roxmltree::Node| {
            node.has_tag_name("rect") && node.attribute("width") == Some("2") && node.attribute("height") == Some("12")
        };
        let begins: Vec<_> = document.descendants().filter(is_begin).collect();
        let names: Vec<_> = document.descendants().filter(|node| node.attribute("paint-order").is_some()).collect();
        assert!(begins.len() > 3 && names.len() > 3, "{svg}");
        for name in names {
            let text = name.text().unwrap();
            // Narrower than any of these fonts has it.
            let (from, to) = (number(&name, "x"), number(&name, "x") + 4.0 * text.chars().count() as f64);
            let is_struck = |begin: &&roxmltree::Node| {
                (number(begin, "y") + 9.3 - number(&name, "y")).abs() < 1.0 && (from..to).contains(&number(begin, "x"))
            };
            assert!(!begins.iter().any(|begin| is_struck(&begin)), "panel {panel}: {text} is struck through: {svg}");
        }
    }
}

#[test]
fn phases_are_named_as_far_as_they_go_and_tint_nothing() {
    let dashboard = example();
    let phases = [mark(10, 70, "error-rate: baseline"), mark(70, 80, "error-rate: errors"), mark(80, 200, "recovery")];
    let drawn = |phases: &[Mark]| {
        let canvas = Canvas { phases, ..canvas(420, 280, Theme::Light, &[], &[]) };
        panel_svg(dashboard.panel(2).unwrap(), &frames(&dashboard, 2, 420), &canvas)
    };
    let svg = drawn(&phases);
    assert_sound(&svg);
    let text = text_of(&svg);
    assert!(text.contains("phase") && text.contains("\nbaseline\n") && text.contains("recovery"), "{text}");
    assert!(!text.contains("errors") && !drawn(&[]).contains("phase"), "{text}");
    assert!(!svg.contains("stroke-dasharray=\"2 3\""), "the plot is marked: {svg}");
}

#[test]
fn a_page_defines_every_colour_its_pictures_use() {
    let dashboard = example();
    let marks = [mark(10, 60, "x")];
    let (light, dark) = (theme::variables(Theme::Light), theme::variables(Theme::Dark));
    for panel in &dashboard.panels {
        let svg = panel_svg(panel, &frames(&dashboard, panel.id, 420), &canvas(420, 260, Theme::Page, &marks, &marks));
        for used in svg.split("var(").skip(1).filter_map(|rest| rest.split(')').next()) {
            let defined = format!("{used}:#");
            assert!(light.contains(&defined) && dark.contains(&defined), "panel {}: {used}", panel.id);
        }
        assert!(!svg.contains("=\"#"), "panel {} has a colour of its own: {svg}", panel.id);
    }
    assert_ne!(light, dark);
}

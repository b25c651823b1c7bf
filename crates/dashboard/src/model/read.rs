//! From JSON to the model: a dashboard, its annotations, the rows of before Grafana 5. Variables, panels, their queries and their
//! looks are read in the files beside.
//!
//! An object is asked for what is read, and told what has no bearing on a picture. A key that is neither is a finding.

mod looks;
mod panel;
mod queries;
mod variables;

use std::path::Path;

use super::fields::{self, At, Map, Reader};
use super::{Annotation, Dashboard};
use aiclipx_base::duration;
use aiclipx_model::failure::Finding;
use aiclipx_model::monitoring::datasources::Source;
use aiclipx_model::monitoring::located::{Node, Value};

/// Reads a dashboard, or says why Grafana would not. What it shows and we don't stands in it, panel by panel.
pub fn read(file: &Path, text: &str) -> Result<Dashboard, Vec<Finding>> {
    let node = fields::tree(text).map_err(|(line, error)| {
        let what = format!("the dashboard is no JSON: {error}");
        vec![Finding { file: file.to_owned(), line, what, remedy: String::new() }]
    })?;
    let refused = refused(&node);
    if !refused.is_empty() {
        let finding = |(line, what): (usize, &str)| {
            let what = format!("no dashboard that is read: {what}");
            Finding { file: file.to_owned(), line, what, remedy: String::new() }
        };
        return Err(refused.into_iter().map(finding).collect());
    }
    let reader = Reader::new(file, &node);
    let mut dashboard = dashboard(&reader, &At::whole_file(&reader, &node), file);
    for (id, finding) in reader.found() {
        match dashboard.panels.iter_mut().find(|panel| Some(panel.id) == id) {
            Some(panel) => panel.undrawn.push(finding),
            None => dashboard.undrawn.push(finding),
        }
    }
    Ok(dashboard)
}

/// Grafana's own limit.
const LONGEST_UID: usize = 40;

/// What Grafana would refuse, and the format that we don't read, each with its line.
fn refused(node: &Node) -> Vec<(usize, &'static str)> {
    let mut refused = Vec::new();
    if !matches!(node.value, Value::Map(_)) {
        refused.push((node.line, "it is not an object"));
    } else if node.get("spec").is_some() || node.get("elements").is_some() {
        refused.push((node.line, "this is the v2 schema; export it as classic JSON"));
    } else {
        if node.text_of("title").is_none_or(|title| title.trim().is_empty()) {
            refused.push((node.line_of("title"), "it needs a `title`"));
        }
        let uid = node.text_of("uid").unwrap_or_default();
        if uid.len() > LONGEST_UID || !uid.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
            refused.push((node.line_of("uid"), "its `uid` must be up to 40 letters, digits, - and _"));
        }
    }
    refused
}

/// What a dashboard has that no picture shows: some of it Grafana does not read any more.
const OF_NO_BEARING: &str = "id version schemaVersion tags editable graphTooltip style links timepicker weekStart \
    fiscalYearStartMonth liveNow preload gnetId iteration __inputs __requires __elements hideControls sharedCrosshair \
    originalTitle revision overwrite scopeMeta";

fn dashboard(reader: &Reader<'_>, file: &At<'_>, path: &Path) -> Dashboard {
    let map = file.map();
    // Where it has none, Grafana makes one up.
    let stem = || path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let uid = map.at("uid").words().unwrap_or_else(stem);
    *reader.place.borrow_mut() = format!("dashboard `{uid}`");
    let place = reader.place.borrow().clone();
    // Everything here is drawn in UTC, and says so.
    map.at("timezone").word(&["utc", "browser", "", "default", "UTC"]);
    let time = map.at("time").map();
    let range = (time.at("from").text(), time.at("to").text());
    time.only("");
    let refresh = map.at("refresh");
    let refresh = if refresh.as_flag() == Some(false) { String::new() } else { refresh.text() };
    let list = map.at("templating").map().at("list").items();
    let variables = list.iter().filter_map(|one| variables::read(reader, one)).collect();
    let list = map.at("annotations").map().at("list").items();
    let annotations = list.iter().filter_map(|one| annotation(reader, one)).collect();
    let mut panels = Vec::new();
    for one in map.at("panels").items() {
        panel::read(reader, &place, &one, None, &mut panels);
    }
    panel::read_rows(reader, &place, &map.at("rows").items(), &mut panels);
    *reader.place.borrow_mut() = place;
    reader.panel.set(None);
    let (title, description) = (map.at("title").text(), map.at("description").text());
    map.only(OF_NO_BEARING);
    Dashboard { uid, title, description, range, refresh, variables, annotations, panels, undrawn: Vec::new() }
}

fn annotation(reader: &Reader<'_>, at: &At<'_>) -> Option<Annotation> {
    let map = at.map();
    // Grafana's own annotations live in its database: nothing to draw.
    if map.at("builtIn").as_number() == Some(1.0) || map.at("enable").as_flag() == Some(false) {
        return None;
    }
    let name = map.at("name").text();
    let map = map.called(format!("annotations.{name}"));
    if let Some(source) = map.node().and_then(|node| reader.sources.named(node))
        && !matches!(source, Source::Prometheus(_))
    {
        map.at("datasource").note("annotations are asked of Prometheus here, and of nothing else");
        return None;
    }
    expression(&map, name)
}

fn expression(map: &Map<'_>, name: String) -> Option<Annotation> {
    map.only(
        "name expr target titleFormat step datasource useValueForTime enable hide iconColor type tagKeys textFormat filter \
         builtIn showIn limit tags rawQuery query",
    );
    let (own, target) = (map.at("expr"), map.at("target").map().at("expr"));
    let expr = if own.is_there() { own.text() } else { target.called(own.path()).text() };
    if expr.is_empty() {
        own.note("must be there");
        return None;
    }
    let by_value = map.at("useValueForTime");
    by_value.outside_unless(!by_value.flag());
    let title_format = map.at("titleFormat").text();
    let step = map.at("step");
    let step = step.words().and_then(|text| duration::parse(&text).map_err(|error| step.note(&error.to_string())).ok());
    Some(Annotation { name, expr, title_format, step })
}

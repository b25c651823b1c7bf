//! From JSON to the model, noting everything that does not fit: a dashboard, its variables and annotations. Panels are in `panel`.
//!
//! An object is asked for what is read, and told what has no bearing on a picture. A key that is neither is a finding.

mod panel;

use std::collections::BTreeMap;
use std::path::Path;

use super::fields::{self, At, Map, Reader};
use super::{ALL, Annotation, Dashboard, Panel, Variable, VariableKind};
use aiclipx_base::duration;
use aiclipx_model::failure::Finding;

/// A dashboard of which some panels may be outside the subset.
#[derive(Debug, Clone, PartialEq)]
pub struct Partly {
    /// All of it; of a refused panel only place, title and description can be relied on.
    pub dashboard: Dashboard,
    /// By panel, what is outside the subset.
    pub refused: BTreeMap<u32, Vec<Finding>>,
}

/// Reads a dashboard, or says everything in it that we can't show as Grafana would.
pub fn read(file: &Path, text: &str) -> Result<Dashboard, Vec<Finding>> {
    let Partly { dashboard, refused } = read_partly(file, text)?;
    if refused.is_empty() { Ok(dashboard) } else { Err(refused.into_values().flatten().collect()) }
}

/// Reads a dashboard and keeps apart which panels we can't show as Grafana would. What is wrong outside of panels
/// refuses the whole.
pub fn read_partly(file: &Path, text: &str) -> Result<Partly, Vec<Finding>> {
    let node = fields::tree(text).map_err(|(line, error)| {
        let what = format!("the dashboard is no JSON: {error}");
        vec![Finding { file: file.to_owned(), line, what, remedy: String::new() }]
    })?;
    let reader = Reader::new(file);
    let dashboard = dashboard(&reader, &At::whole_file(&reader, &node));
    let mut refused: BTreeMap<u32, Vec<Finding>> = BTreeMap::new();
    let mut all = Vec::new();
    let mut spoilt = false;
    for (panel, finding) in reader.found() {
        match panel {
            Some(panel) => refused.entry(panel).or_default().push(finding.clone()),
            None => spoilt = true,
        }
        all.push(finding);
    }
    if spoilt { Err(all) } else { Ok(Partly { dashboard, refused }) }
}

/// What a dashboard has that no picture shows.
const OF_NO_BEARING: &str = "id version schemaVersion tags editable graphTooltip style links timepicker weekStart \
    fiscalYearStartMonth liveNow preload gnetId iteration __inputs __requires";

fn dashboard(reader: &Reader<'_>, file: &At<'_>) -> Dashboard {
    let map = file.map();
    if map.has("spec") || map.has("elements") {
        map.at("spec").note("this is the v2 schema; classic JSON is read");
    }
    let uid = map.at("uid").text();
    if uid.is_empty() {
        map.at("uid").note("must be there: it is the dashboard's address");
    } else {
        *reader.place.borrow_mut() = format!("dashboard `{uid}`");
    }
    let place = reader.place.borrow().clone();
    // Everything here is drawn in UTC, and says so.
    map.at("timezone").word(&["utc", "browser", ""]);
    let time = map.at("time").map();
    let range = (time.at("from").text(), time.at("to").text());
    time.only("");
    let refresh = map.at("refresh");
    let refresh = if refresh.as_flag() == Some(false) { String::new() } else { refresh.text() };
    let list = map.at("templating").map().at("list").items();
    let variables = list.iter().filter_map(|one| variable(reader, one)).collect();
    let list = map.at("annotations").map().at("list").items();
    let annotations = list.iter().filter_map(annotation).collect();
    let mut panels = Vec::new();
    for one in map.at("panels").items() {
        panel::read(reader, &place, &one, None, &mut panels);
    }
    *reader.place.borrow_mut() = place;
    reader.panel.set(None);
    for (at, panel) in panels.iter().enumerate() {
        if panels[..at].iter().any(|other: &Panel| other.id == panel.id) {
            map.at("panels").note(&format!("two panels have the id {}", panel.id));
        }
    }
    let (title, description) = (map.at("title").text(), map.at("description").text());
    map.only(OF_NO_BEARING);
    Dashboard { uid, title, description, range, refresh, variables, annotations, panels }
}

fn variable(reader: &Reader<'_>, at: &At<'_>) -> Option<Variable> {
    let map = at.map();
    let name = map.at("name").text();
    let map = map.called(format!("templating.{name}"));
    map.at("regex").outside_unless(map.at("regex").as_text() == Some(""));
    map.at("auto").outside_unless(map.at("auto").as_flag() == Some(false));
    let kind = map.at("type").word(&["query", "interval", "textbox", "datasource"]);
    let variable = match kind {
        "datasource" => {
            reader.sources.borrow_mut().push(name.clone());
            None
        }
        "interval" => {
            let list = query_of(&map).split(',').map(|one| one.trim().to_owned()).collect();
            Some(VariableKind::Interval(list))
        }
        "textbox" => Some(VariableKind::Text),
        _ => label_values(&map),
    }
    .map(|kind| chosen(&map, name, kind));
    map.only(
        "label query definition current allValue includeAll multi hide refresh sort options datasource \
         skipUrlSync description auto_min auto_count allowCustomValue",
    );
    variable
}

fn query_of(map: &Map<'_>) -> String {
    let query = map.at("query");
    if query.is_map() { query.map().at("query").text() } else { query.text() }
}

fn label_values(map: &Map<'_>) -> Option<VariableKind> {
    let query = query_of(map);
    let Some(inner) = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')) else {
        map.at("query").note("must be label_values(metric, label)");
        return None;
    };
    let (metric, label) = inner.rsplit_once(',').map_or((None, inner), |(metric, label)| (Some(metric), label));
    Some(VariableKind::LabelValues { metric: metric.map(|one| one.trim().to_owned()), label: label.trim().to_owned() })
}

/// A variable and what is chosen of it by default.
fn chosen(map: &Map<'_>, name: String, kind: VariableKind) -> Variable {
    let include_all = map.at("includeAll").flag();
    let value = map.at("current").map().at("value");
    let current = if value.is_list() {
        value.items().iter().map(At::text).collect()
    } else if value.is_there() {
        vec![value.text()]
    } else if include_all {
        vec![ALL.to_owned()]
    } else {
        Vec::new()
    };
    let (all_value, multi) = (map.at("allValue").words(), map.at("multi").flag());
    let label = map.at("label").words().unwrap_or_else(|| name.clone());
    Variable { name, label, kind, current, all_value, include_all, multi }
}

fn annotation(at: &At<'_>) -> Option<Annotation> {
    let map = at.map();
    // Grafana's own annotations live in its database: nothing to draw.
    if map.at("builtIn").as_number() == Some(1.0) || map.at("enable").as_flag() == Some(false) {
        return None;
    }
    let name = map.at("name").text();
    let map = map.called(format!("annotations.{name}"));
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
    map.prometheus();
    let by_value = map.at("useValueForTime");
    by_value.outside_unless(!by_value.flag());
    let title_format = map.at("titleFormat").text();
    let step = map.at("step");
    let step = step.words().and_then(|text| duration::parse(&text).map_err(|error| step.note(&error.to_string())).ok());
    Some(Annotation { name, expr, title_format, step })
}

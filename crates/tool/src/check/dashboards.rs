//! Dashboards: what Grafana needs to load and show one as it is meant; their panels ([`panel`], [`units`]), what alerts that
//! lead to them ask of them ([`alerts_shown`]), and what Grafana is given beside them ([`provisioning`]).

use std::collections::BTreeMap;

use super::alerts::leads_somewhere;
use super::finding::Findings;
use super::labels;
use super::tree::{DashboardFile, Tree, panel_name};
use aiclipx_base::duration;
use aiclipx_model::monitoring::located::{Node, Value};

mod alerts_shown;
mod panel;
mod provisioning;
mod units;

/// The last of the classic schema; 13 still reads it, and what comes later is another format.
const LAST_SCHEMA: f64 = 42.0;

/// Grafana's own limit.
const LONGEST_UID: usize = 40;

pub(super) fn check(tree: &Tree, findings: &mut Findings) {
    let mut uids = BTreeMap::new();
    for dashboard in &tree.dashboards {
        let uid = dashboard.node.text_of("uid").unwrap_or_default();
        if let Some(other) = uids.insert(uid, &dashboard.file) {
            let what = format!("the uid `{uid}` is that of {}, too", other.display());
            findings.find(
                "dashboard/uid",
                &dashboard.file,
                dashboard.node.line_of("uid"),
                what,
                "one of them would not be there",
            );
        }
        whole(dashboard, findings);
        ids(dashboard, findings);
        labels::variables(dashboard, findings);
        times(dashboard, findings);
        layout(dashboard, findings);
        references(&dashboard.node, dashboard, tree, findings);
        for panel in dashboard.panels() {
            panel::check(panel, dashboard, tree, findings);
        }
    }
    alerts_shown::check(tree, findings);
    provisioning::check(tree, findings);
}

fn whole(dashboard: &DashboardFile, findings: &mut Findings) {
    let node = &dashboard.node;
    let mut demand = |holds: bool, name, key: &str, what: &str, remedy: &str| {
        if !holds {
            findings.find(name, &dashboard.file, node.line_of(key), what, remedy);
        }
    };
    let schema = node.get("schemaVersion").and_then(Node::as_number);
    demand(
        schema.is_some_and(|schema| schema <= LAST_SCHEMA),
        "dashboard/schema",
        "schemaVersion",
        "`schemaVersion` is above 42, or missing",
        "what comes later is not the classic format",
    );
    let uid = node.text_of("uid").unwrap_or_default();
    demand(
        !uid.is_empty(),
        "dashboard/uid",
        "uid",
        "the dashboard has no uid",
        "Grafana makes one up, and no link leads there",
    );
    demand(uid.len() <= LONGEST_UID, "dashboard/uid", "uid", "the uid is longer than 40 characters", "Grafana cuts it");
    demand(
        node.get("id").is_some_and(|id| id.value == Value::Null),
        "dashboard/id",
        "id",
        "`id` is not null",
        "it is the database's to give",
    );
    demand(
        node.get("editable").is_some_and(|one| one.value == Value::Switch(false)),
        "dashboard/editable",
        "editable",
        "the dashboard is editable",
        "a change in the browser would be lost",
    );
    demand(
        node.text_of("timezone") == Some("utc"),
        "dashboard/timezone",
        "timezone",
        "the time zone is not `utc`",
        "logs and notifications tell UTC",
    );
    demand(
        node.text_of("description").is_some_and(|text| !text.is_empty()),
        "dashboard/description",
        "description",
        "the dashboard has no description",
        "",
    );
}

/// No two panels have one id.
fn ids(dashboard: &DashboardFile, findings: &mut Findings) {
    let id_of = |panel: &Node| panel.get("id").and_then(Node::as_number);
    let ids: Vec<_> = dashboard.panels().into_iter().filter_map(id_of).collect();
    for panel in dashboard.panels() {
        let id = id_of(panel).unwrap_or_default();
        if ids.iter().filter(|other| other.total_cmp(&id).is_eq()).count() > 1 {
            let (name, line) = (panel_name(dashboard, panel), panel.line_of("id"));
            findings.about("panel/id", &name, &dashboard.file, line, format!("two panels have the id {id}"), "");
        }
    }
}

/// Times are such as Grafana reads.
fn times(dashboard: &DashboardFile, findings: &mut Findings) {
    let mut find = |line, what, remedy: &str| findings.find("dashboard/time", &dashboard.file, line, what, remedy);
    let node = &dashboard.node;
    let is_refresh = |text: &str| ["", "auto"].contains(&text) || duration::parse(text).is_ok();
    if let Some(refresh) = node.text_of("refresh").filter(|text| !is_refresh(text)) {
        find(node.line_of("refresh"), format!("`{refresh}` is no time to refresh after"), "like 5s");
    }
    for entry in node.get("time").map_or(&[][..], Node::entries) {
        let text = entry.node.as_text().unwrap_or_default();
        // Of a moment there are many forms.
        if text.strip_prefix("now").is_some_and(|rest| !is_relative(rest)) {
            find(entry.line, format!("`{text}` is no time that Grafana reads"), "like now-15m");
        }
    }
}

/// What follows `now`: steps from it, `-15m`, and roundings, `/d`.
fn is_relative(rest: &str) -> bool {
    const UNITS: [&str; 10] = ["ms", "s", "m", "h", "d", "w", "M", "Q", "y", "fy"];
    let is_unit = |part: &str| UNITS.contains(&part.trim_start_matches(|c: char| c.is_ascii_digit() || c == 'f'));
    let mut parts = rest.split(['-', '+', '/']);
    parts.next() == Some("") && parts.all(is_unit)
}

/// Panels lie beside each other. What a row holds while it is closed is laid out when it opens.
fn layout(dashboard: &DashboardFile, findings: &mut Findings) {
    let mut taken: Vec<([f64; 4], &str)> = Vec::new();
    for panel in dashboard.node.items_of("panels") {
        let title = panel.text_of("title").unwrap_or_default();
        let side = |key: &str| panel.get("gridPos").and_then(|grid| grid.get(key)).and_then(Node::as_number);
        let [Some(x), Some(y), Some(w), Some(h)] = ["x", "y", "w", "h"].map(side) else { continue };
        let meets =
            |[left, top, wide, high]: &[f64; 4]| x < left + wide && *left < x + w && y < top + high && *top < y + h;
        if let Some((_, other)) = taken.iter().find(|(place, _)| meets(place)) {
            let what = format!("panel \"{title}\" lies on panel \"{other}\"");
            let (name, line) = (panel_name(dashboard, panel), panel.line_of("gridPos"));
            findings.about("panel/overlap", &name, &dashboard.file, line, what, "");
        }
        taken.push(([x, y, w, h], title));
    }
}

/// Datasources can be chosen, and links lead somewhere, wherever they stand.
fn references(node: &Node, dashboard: &DashboardFile, tree: &Tree, findings: &mut Findings) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| references(item, dashboard, tree, findings)),
        Value::Map(entries) => {
            for entry in entries {
                if entry.key == "datasource" {
                    let uid = entry.node.text_of("uid").unwrap_or_default();
                    // Grafana has some of its own.
                    let is_own = uid == "grafana" || uid.starts_with("--");
                    if !is_own && !is_chosen(uid, entry.node.text_of("type"), dashboard) {
                        findings.find(
                            "dashboard/datasource",
                            &dashboard.file,
                            entry.line,
                            format!("the datasource `{uid}` is no variable of this dashboard's of that type"),
                            "`${datasource}`: who imports the dashboard has one of another uid, or several",
                        );
                    }
                }
                let url = entry.node.as_text().unwrap_or_default();
                // What lies elsewhere nobody here knows.
                let is_ours = ["/d/", "http://localhost:3000/d/", "monitoring/", "/monitoring/"]
                    .iter()
                    .any(|begin| url.starts_with(begin));
                if entry.key == "url" && is_ours && !leads_somewhere(url, tree) {
                    let what = format!("`{url}` leads nowhere");
                    findings.find("dashboard/link", &dashboard.file, entry.line, what, "");
                }
                references(&entry.node, dashboard, tree, findings);
            }
        }
        _ => {}
    }
}

/// Whether a datasource is one that a variable of this dashboard's lets one choose among those of its type.
fn is_chosen(uid: &str, kind: Option<&str>, dashboard: &DashboardFile) -> bool {
    let list = dashboard.node.get("templating").map_or(&[][..], |node| node.items_of("list"));
    let mut choices = list.iter().filter(|variable| variable.text_of("type") == Some("datasource"));
    let is_it = |variable: &Node| {
        variable.text_of("name").is_some_and(|name| uid == format!("${{{name}}}")) && variable.text_of("query") == kind
    };
    choices.any(is_it)
}

//! A panel by itself: its title and description, its datasource, and a unit that fits what its queries give.

use std::collections::BTreeSet;

use super::super::alerts::leads_somewhere;
use super::super::finding::Findings;
use super::super::tree::{DashboardFile, Tree, panel_name};
use super::units::units;
use aiclipx_dashboard::format;
use aiclipx_dashboard::model::Kind;
use aiclipx_model::monitoring::located::{Node, Value};
use aiclipx_model::monitoring::{promql, without_variables};

pub(super) fn check(panel: &Node, dashboard: &DashboardFile, tree: &Tree, findings: &mut Findings) {
    queries(panel, dashboard, findings);
    let is_row = panel.text_of("type") == Some("row");
    // A text, a list of dashboards: it shows what it is.
    if !is_row && panel.items_of("targets").is_empty() {
        return;
    }
    let title = panel.text_of("title").unwrap_or_default();
    let subject = panel_name(dashboard, panel);
    let mut find =
        |name, line, what: String, remedy: &str| findings.about(name, &subject, &dashboard.file, line, what, remedy);
    if title.is_empty() {
        find("panel/title", panel.line, "a panel without a title".to_owned(), "");
    }
    if is_row {
        return;
    }
    let description = panel.text_of("description").unwrap_or_default();
    if !description.ends_with('.') {
        find(
            "panel/description",
            panel.line_of("description"),
            format!("panel \"{title}\" does not say what it shows"),
            "a sentence or two as `description`",
        );
    }
    for word in description.split_whitespace().filter(|word| word.starts_with("monitoring/")) {
        if !leads_somewhere(word.trim_end_matches(['.', ',']), tree) {
            find("panel/link", panel.line_of("description"), format!("`{word}` leads nowhere"), "");
        }
    }
    if panel.get("datasource").is_none() {
        find(
            "panel/datasource",
            panel.line,
            format!("panel \"{title}\" names no datasource"),
            "by its variable: the default one may be of another type",
        );
    }
    // A line of a log has no unit.
    if dashboard.asks_prometheus(panel) {
        unit(panel, dashboard, tree, findings);
    }
}

/// Each query is shown, and asks for a range or a moment.
fn queries(panel: &Node, dashboard: &DashboardFile, findings: &mut Findings) {
    let (name, title) = (panel_name(dashboard, panel), panel.text_of("title").unwrap_or_default());
    let mut find = |line, what: String, remedy: &str| {
        findings.about("panel/query", &name, &dashboard.file, line, what, remedy);
    };
    let is =
        |target: &Node, key: &str, wanted: bool| target.get(key).is_some_and(|one| one.value == Value::Switch(wanted));
    for target in panel.items_of("targets") {
        if is(target, "hide", true) {
            find(target.line_of("hide"), format!("a query of panel \"{title}\" is hidden"), "remove it");
        }
        if is(target, "range", false) && !is(target, "instant", true) {
            let what = format!("a query of panel \"{title}\" asks for neither a range nor a moment");
            find(target.line_of("range"), what, "");
        }
    }
}

/// It is drawn here, and has a unit that fits each query's value.
fn unit(panel: &Node, dashboard: &DashboardFile, tree: &Tree, findings: &mut Findings) {
    let title = panel.text_of("title").unwrap_or_default();
    let subject = panel_name(dashboard, panel);
    let mut find =
        |name, line, what: String, remedy: &str| findings.about(name, &subject, &dashboard.file, line, what, remedy);
    let id = panel.get("id").and_then(Node::as_number).map(|id| id.to_string());
    let drawn =
        dashboard.model.as_ref().and_then(|model| model.panels.iter().find(|one| Some(one.id.to_string()) == id));
    if let Some(Kind::Undrawn(kind)) = drawn.map(|drawn| &drawn.kind) {
        let what = format!("panel \"{title}\" is of type `{kind}`, which is not drawn here");
        return find("panel/type", panel.line_of("type"), what, "take another type, or except it: Grafana may draw it");
    }
    let defaults = panel.get("fieldConfig").and_then(|config| config.get("defaults"));
    let Some((unit, line)) = defaults.and_then(|node| Some((node.text_of("unit")?, node.line_of("unit")))) else {
        return find("panel/unit", panel.line, format!("panel \"{title}\" has no unit"), "`short` where there is none");
    };
    if !format::is_known(unit) {
        find("panel/unit", line, format!("`{unit}` is no unit that we know"), "see crates/dashboard/src/format.rs");
    }
    for target in panel.items_of("targets") {
        let expr = without_variables(target.text_of("expr").unwrap_or_default());
        let Ok(expr) = promql::parse(&expr) else { continue };
        // What its legend says beside the labels is what an override goes by.
        let legend = target.text_of("legendFormat").unwrap_or_default();
        let ref_id = target.text_of("refId").unwrap_or_default();
        let unit = drawn.map_or_else(|| unit.to_owned(), |drawn| drawn.field(legend, ref_id).unit);
        if let Some(fitting) = units(&expr, &tree.monitoring, &BTreeSet::new())
            && !fitting.contains(&unit.as_str())
        {
            find(
                "panel/unit",
                line,
                format!("panel \"{title}\" shows `{unit}`, and its query's value is in {}", fitting.join(" or ")),
                "",
            );
        }
    }
}

//! Panels against what they show: datasource, unit, what the alerts that lead to them compare and with what, links,
//! descriptions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use promql_parser::parser::{BinaryExpr, Expr};

use super::alerts::{leads_somewhere, panel_of};
use super::finding::Findings;
use super::labels;
use super::tree::{DashboardFile, Tree, panel_name};
use aiclipx_base::duration;
use aiclipx_dashboard::format;
use aiclipx_dashboard::model::Kind;
use aiclipx_model::monitoring::located::{Node, Value};
use aiclipx_model::monitoring::promql::Bare;
use aiclipx_model::monitoring::{DATASOURCES, Monitoring, UNKNOWN, holds_logs, promql, without_variables};

/// The last of the classic schema; 13 still reads it, and what comes later is another format.
const LAST_SCHEMA: f64 = 42.0;
/// Grafana's own limit.
const LONGEST_UID: usize = 40;

/// Settings whose loss would let Grafana fetch, report, or let strangers in.
const SETTINGS: [(&str, &str, &str); 16] = [
    ("paths", "provisioning", "/etc/grafana/provisioning"),
    ("auth.anonymous", "enabled", "true"),
    ("dashboards", "default_home_dashboard_path", "/etc/grafana/dashboards/app-overview.json"),
    ("security", "admin_password", "$__file{/run/secrets/grafana_admin_password}"),
    ("security", "disable_gravatar", "true"),
    ("users", "allow_sign_up", "false"),
    ("server", "http_addr", "127.0.0.1"),
    ("auth.anonymous", "org_role", "Viewer"),
    ("analytics", "reporting_enabled", "false"),
    ("analytics", "check_for_updates", "false"),
    ("analytics", "check_for_plugin_updates", "false"),
    ("plugins", "preinstall_disabled", "true"),
    ("plugins", "preinstall_auto_update", "false"),
    ("plugins", "plugin_admin_enabled", "false"),
    ("plugins", "public_key_retrieval_disabled", "true"),
    ("news", "news_feed_enabled", "false"),
];

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
        labels::variables(dashboard, findings);
        places(dashboard, findings);
        references(&dashboard.node, dashboard, tree, findings);
        for panel in dashboard.panels() {
            self::panel(panel, dashboard, tree, findings);
        }
    }
    alerts_shown(tree, findings);
    linked(tree, findings);
    steps(&tree.monitoring, findings);
    settings(&tree.monitoring, findings);
}

/// Panels lie beside each other, and ask something; times are times.
fn places(dashboard: &DashboardFile, findings: &mut Findings) {
    let mut find = |name, line, what: String, remedy: &str| findings.find(name, &dashboard.file, line, what, remedy);
    let node = &dashboard.node;
    let is_refresh = |text: &str| ["", "auto"].contains(&text) || duration::parse(text).is_ok();
    if let Some(refresh) = node.text_of("refresh").filter(|text| !is_refresh(text)) {
        find("dashboard/time", node.line_of("refresh"), format!("`{refresh}` is no time to refresh after"), "like 5s");
    }
    for entry in node.get("time").map_or(&[][..], Node::entries) {
        let text = entry.node.as_text().unwrap_or_default();
        // Of a moment there are many forms.
        if text.strip_prefix("now").is_some_and(|rest| !is_relative(rest)) {
            find("dashboard/time", entry.line, format!("`{text}` is no time that Grafana reads"), "like now-15m");
        }
    }
    let mut taken: Vec<([f64; 4], String)> = Vec::new();
    for panel in dashboard.panels() {
        let title = panel.text_of("title").unwrap_or_default();
        let name = panel_name(dashboard, panel);
        let targets = panel.items_of("targets");
        let is = |target: &Node, key: &str, wanted: bool| {
            target.get(key).is_some_and(|one| one.value == Value::Switch(wanted))
        };
        for target in targets {
            if is(target, "hide", true) {
                findings.about(
                    "panel/query",
                    &name,
                    &dashboard.file,
                    target.line_of("hide"),
                    format!("a query of panel \"{title}\" is hidden"),
                    "remove it",
                );
            }
            if is(target, "range", false) && !is(target, "instant", true) {
                findings.about(
                    "panel/query",
                    &name,
                    &dashboard.file,
                    target.line_of("range"),
                    format!("a query of panel \"{title}\" asks for neither a range nor a moment"),
                    "",
                );
            }
        }
    }
    // What a row holds while it is closed is laid out when it opens.
    for panel in node.items_of("panels") {
        let title = panel.text_of("title").unwrap_or_default();
        let side = |key: &str| panel.get("gridPos").and_then(|grid| grid.get(key)).and_then(Node::as_number);
        let [Some(x), Some(y), Some(w), Some(h)] = ["x", "y", "w", "h"].map(side) else { continue };
        let meets =
            |[left, top, wide, high]: &[f64; 4]| x < left + wide && *left < x + w && y < top + high && *top < y + h;
        if let Some((_, other)) = taken.iter().find(|(place, _)| meets(place)) {
            findings.about(
                "panel/overlap",
                &panel_name(dashboard, panel),
                &dashboard.file,
                panel.line_of("gridPos"),
                format!("panel \"{title}\" lies on panel \"{other}\""),
                "",
            );
        }
        taken.push(([x, y, w, h], title.to_owned()));
    }
}

/// What follows `now`: steps from it, `-15m`, and roundings, `/d`.
fn is_relative(rest: &str) -> bool {
    const UNITS: [&str; 10] = ["ms", "s", "m", "h", "d", "w", "M", "Q", "y", "fy"];
    let is_unit = |part: &str| UNITS.contains(&part.trim_start_matches(|c: char| c.is_ascii_digit() || c == 'f'));
    let mut parts = rest.split(['-', '+', '/']);
    parts.next() == Some("") && parts.all(is_unit)
}

/// What a line of a log leads to is there, where that is one of our dashboards.
fn linked(tree: &Tree, findings: &mut Findings) {
    for (path, document) in tree.monitoring.documents_in(DATASOURCES) {
        let data = document.items_of("datasources").iter().filter_map(|source| source.get("jsonData"));
        for field in data.flat_map(|data| data.items_of("derivedFields")) {
            let url = field.text_of("url").unwrap_or_default();
            let (page, query) = url.split_once('?').unwrap_or((url, ""));
            let Some(uid) = page.strip_prefix("/d/") else { continue };
            let dashboard = tree.dashboards.iter().find(|one| one.node.text_of("uid") == Some(uid));
            let made =
                dashboard.and_then(|one| one.node.get("templating")).map_or(&[][..], |node| node.items_of("list"));
            let asked = query.split('&').filter_map(|pair| pair.strip_prefix("var-")?.split('=').next());
            let strange =
                asked.into_iter().find(|name| made.iter().all(|variable| variable.text_of("name") != Some(name)));
            if dashboard.is_none() || strange.is_some() {
                findings.find(
                    "datasource/link",
                    Path::new("monitoring").join(path),
                    field.line_of("url"),
                    format!("`{url}` leads nowhere"),
                    "",
                );
            }
        }
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
    let ids: Vec<_> =
        dashboard.panels().into_iter().filter_map(|panel| panel.get("id").and_then(Node::as_number)).collect();
    for panel in dashboard.panels() {
        let id = panel.get("id").and_then(Node::as_number).unwrap_or_default();
        if ids.iter().filter(|other| other.total_cmp(&id).is_eq()).count() > 1 {
            findings.about(
                "panel/id",
                &panel_name(dashboard, panel),
                &dashboard.file,
                panel.line_of("id"),
                format!("two panels have the id {id}"),
                "",
            );
        }
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

fn panel(panel: &Node, dashboard: &DashboardFile, tree: &Tree, findings: &mut Findings) {
    let title = panel.text_of("title").unwrap_or_default();
    let subject = panel_name(dashboard, panel);
    let mut find =
        |name, line, what: String, remedy: &str| findings.about(name, &subject, &dashboard.file, line, what, remedy);
    let is_row = panel.text_of("type") == Some("row");
    // A text, a list of dashboards: it shows what it is.
    if !is_row && panel.items_of("targets").is_empty() {
        return;
    }
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
    if !dashboard.asks_prometheus(panel) {
        return;
    }
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

/// Which units fit a value, where its form tells: seconds, bytes, events a second, a share.
fn units(expr: &Expr, monitoring: &Monitoring, seen: &BTreeSet<&str>) -> Option<&'static [&'static str]> {
    let of = |expr: &Expr| units(expr, monitoring, seen);
    match expr {
        Expr::Paren(paren) => of(&paren.expr),
        Expr::Unary(unary) => of(&unary.expr),
        Expr::Aggregate(aggregate) if aggregate.op.to_string() == "count" => Some(&["short"]),
        Expr::Aggregate(aggregate) => of(&aggregate.expr),
        Expr::Subquery(subquery) => of(&subquery.expr),
        Expr::Call(call) if promql::OF_COUNTERS.contains(&call.func.name) => {
            let selectors = promql::selectors(expr);
            let name = selectors.first()?.name.as_deref()?;
            Some(if name.contains("_seconds_total") { &["short", "percentunit"] } else { &["reqps", "ops"] })
        }
        Expr::Call(call) if call.func.name == "histogram_quantile" => {
            promql::selectors(expr).first()?.name.as_deref()?.contains("_seconds_").then_some(&["s"])
        }
        Expr::Call(call) if ["changes", "resets", "count_over_time"].contains(&call.func.name) => Some(&["short"]),
        Expr::Call(call) if call.func.name == "time" => Some(&["s"]),
        Expr::Call(call) => call.args.args.iter().find_map(|argument| of(argument)),
        Expr::Binary(binary) => units_of_binary(binary, monitoring, seen),
        Expr::VectorSelector(_) | Expr::MatrixSelector(_) => {
            let selectors = promql::selectors(expr);
            let name = selectors.first()?.name.as_deref()?;
            match monitoring.followed(name, seen) {
                Some((recorded, seen)) => units(recorded, monitoring, &seen),
                _ if name.ends_with("_seconds") => Some(&["s"]),
                _ if name.ends_with("_bytes") => Some(&["bytes", "decbytes"]),
                _ => None,
            }
        }
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => None,
    }
}

fn units_of_binary(
    binary: &BinaryExpr,
    monitoring: &Monitoring,
    seen: &BTreeSet<&str>,
) -> Option<&'static [&'static str]> {
    let is_number = |expr: &Expr| matches!(expr, Expr::NumberLiteral(_));
    match binary.op.to_string().as_str() {
        "/" if is_number(&binary.rhs) => Some(&["short", "percentunit"]),
        "/" => Some(&["percentunit"]),
        _ if is_number(&binary.lhs) => units(&binary.rhs, monitoring, seen),
        _ => units(&binary.lhs, monitoring, seen),
    }
}

/// A panel with the numbers at which the alerts that lead to it fire, and their names.
struct LedTo<'a> {
    dashboard: &'a DashboardFile,
    panel: &'a Node,
    numbers: Vec<(f64, &'a str)>,
}

/// The panel an alert leads to names it, links its runbook, and draws what it compares: the same expression, for a curve
/// like it crosses the line at other times. Its lines are the numbers of the alerts that lead to it, no more and no less.
fn alerts_shown(tree: &Tree, findings: &mut Findings) {
    let mut led_to: Vec<LedTo> = Vec::new();
    for alert in tree.monitoring.alerts() {
        let url = alert.annotations.get("dashboard_url").map_or("", String::as_str);
        if !leads_somewhere(url, tree) {
            findings.at(
                "alert/dashboard",
                alert,
                format!("the dashboard of {}, `{url}`, is not there", alert.name),
                "/d/<uid>, or with ?viewPanel=<id>",
            );
        }
        let Some((dashboard, panel)) = panel_of(alert, tree) else { continue };
        let name = panel_name(dashboard, panel);
        let runbook = alert.annotations.get("runbook_url").map_or("", String::as_str);
        let links = panel.items_of("links").iter().filter_map(|link| link.text_of("url"));
        let is_linked = links.map(|url| url.trim_start_matches('/')).any(|url| url == runbook);
        if !is_linked {
            let what = format!("{} leads to this panel, which does not lead to {runbook}", alert.name);
            findings.about(
                "panel/runbook",
                &name,
                &dashboard.file,
                panel.line_of("links"),
                what,
                "one of its `links`: /monitoring/runbooks/… (named in a sentence, it can't be followed)",
            );
        }
        let Ok(expr) = promql::parse(&alert.expr) else { continue };
        let drawn = Drawn::of(panel, &tree.monitoring);
        for comparison in promql::comparisons(&expr) {
            for missing in drawn.lacks(&comparison, &tree.monitoring) {
                let what = format!("{} leads to this panel, which does not draw `{missing}`", alert.name);
                let remedy = "the expression that the alert compares, and no other like it";
                findings.about("panel/drawn", &name, &dashboard.file, panel.line_of("targets"), what, remedy);
            }
            // A line at zero would colour zero itself.
            let Some(number) = comparison.number().filter(|number| *number != 0.0) else { continue };
            match led_to.iter_mut().find(|led| std::ptr::eq(led.panel, panel)) {
                Some(led) => led.numbers.push((number, &alert.name)),
                None => led_to.push(LedTo { dashboard, panel, numbers: vec![(number, &alert.name)] }),
            }
        }
    }
    for led in &led_to {
        lines(led, findings);
    }
}

/// A panel's lines against the alerts' numbers.
fn lines(LedTo { dashboard, panel, numbers }: &LedTo, findings: &mut Findings) {
    let name = panel_name(dashboard, panel);
    let config = panel.get("fieldConfig").and_then(|config| config.get("defaults")?.get("thresholds"));
    let steps = config.map_or(&[][..], |thresholds| thresholds.items_of("steps"));
    let lines: Vec<(f64, usize)> =
        steps.iter().filter_map(|step| Some((step.get("value")?.as_number()?, step.line_of("value")))).collect();
    let same = |one: f64, other: f64| one.total_cmp(&other).is_eq();
    for (number, alert) in numbers {
        if !lines.iter().any(|(line, _)| same(*line, *number)) {
            let line = config.map_or(panel.line, |node| node.line_of("steps"));
            findings.about(
                "panel/threshold",
                &name,
                &dashboard.file,
                line,
                format!("no line at {number}, where {alert} fires"),
                "",
            );
        }
    }
    for (line, at) in &lines {
        if !numbers.iter().any(|(number, _)| same(*line, *number)) {
            let alerts: Vec<String> =
                numbers.iter().map(|(number, alert)| format!("{alert} fires at {number}")).collect();
            let what = format!("a line at {line}, where no alert fires");
            findings.about("panel/threshold", &name, &dashboard.file, *at, what, alerts.join(", "));
        }
    }
}

/// What a panel's queries draw.
struct Drawn {
    /// Each query, the choices of variables left out.
    expressions: Vec<Bare>,
    /// What they come from.
    series: BTreeSet<String>,
}

impl Drawn {
    fn of(panel: &Node, monitoring: &Monitoring) -> Drawn {
        let mut drawn = Drawn { expressions: Vec::new(), series: BTreeSet::new() };
        for target in panel.items_of("targets") {
            let Ok(expr) = promql::parse(&without_variables(target.text_of("expr").unwrap_or_default())) else {
                continue;
            };
            drawn.expressions.push(Bare::of(&expr, UNKNOWN));
            // A filter leaves curves out, and moves none.
            if let Expr::Binary(binary) = &expr
                && binary.op.is_comparison_operator()
                && !binary.modifier.as_ref().is_some_and(|modifier| modifier.return_bool)
            {
                drawn.expressions.push(Bare::of(&binary.lhs, UNKNOWN));
            }
            sources(&expr, monitoring, &BTreeSet::new(), &mut drawn.series);
        }
        drawn
    }

    /// What of a comparison is not drawn. Where any at all is too much, or none, every rate of it shows that, and there is
    /// no line to cross: then some of what it comes from is enough.
    fn lacks(&self, comparison: &promql::Comparison, monitoring: &Monitoring) -> Vec<String> {
        if comparison.bound.is_none() || comparison.number() == Some(0.0) {
            let mut asked = BTreeSet::new();
            sources(comparison.value, monitoring, &BTreeSet::new(), &mut asked);
            let is_drawn = asked.is_empty() || asked.iter().any(|name| self.series.contains(name));
            return if is_drawn { Vec::new() } else { asked.into_iter().collect() };
        }
        let bound = comparison.bound.filter(|_| comparison.number().is_none());
        let both = [comparison.value].into_iter().chain(bound);
        let forms = both.map(|expr| Bare::of(expr, UNKNOWN));
        forms.filter(|form| !self.expressions.iter().any(|own| own.has(form))).map(|form| form.shown).collect()
    }
}

/// The series that an expression comes from in the end, recorded names followed.
fn sources(expr: &Expr, monitoring: &Monitoring, seen: &BTreeSet<&str>, found: &mut BTreeSet<String>) {
    for name in promql::selectors(expr).into_iter().filter_map(|selector| selector.name.as_deref()) {
        match monitoring.followed(name, seen) {
            Some((recorded, seen)) => sources(recorded, monitoring, &seen, found),
            None => drop(found.insert(name.to_owned())),
        }
    }
}

/// `$__rate_interval` is at least four times a datasource's `timeInterval`: enough for a rate of what is scraped that
/// often, and no less often.
fn steps(monitoring: &Monitoring, findings: &mut Findings) {
    for (path, document) in monitoring.documents_in(DATASOURCES) {
        let sources = document.items_of("datasources").iter();
        for settings in sources.filter(|source| !holds_logs(source.text_of("type").unwrap_or_default())) {
            let Some(settings) = settings.get("jsonData") else { continue };
            let Some(written) = settings.text_of("timeInterval") else { continue };
            let slowest = monitoring.slowest_scrape();
            if duration::parse(written).is_ok_and(|interval| interval < slowest) {
                let what = format!("a panel's rate is taken every {written}, and some targets are scraped more rarely");
                let remedy = format!("`timeInterval` must be at least {}", duration::print(slowest));
                findings.find(
                    "datasource/interval",
                    Path::new("monitoring").join(path),
                    settings.line_of("timeInterval"),
                    what,
                    remedy,
                );
            }
        }
    }
}

fn settings(monitoring: &Monitoring, findings: &mut Findings) {
    let path = Path::new("grafana/grafana.ini");
    let Some(bytes) = monitoring.files().get(path) else { return };
    let text = String::from_utf8_lossy(bytes);
    let mut section = "";
    let mut there = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with(';')) {
            there.insert((section, key.trim()), (value.trim(), index + 1));
        }
    }
    for (section, key, value) in SETTINGS {
        let (is, line) = there.get(&(section, key)).copied().unwrap_or(("missing", 0));
        if is != value {
            let what = format!("[{section}] {key} is {is}");
            findings.find(
                "grafana/setting",
                Path::new("monitoring").join(path),
                line,
                what,
                format!("it must be {value}"),
            );
        }
    }
}

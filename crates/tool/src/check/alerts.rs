//! What every alert has, says and leads to: labels, sentences, a runbook, a panel, a receiver.

use std::collections::BTreeMap;
use std::path::Path;

use promql_parser::label::Matcher;
use promql_parser::parser::Expr;

use super::finding::Findings;
use super::known;
use super::tree::{DashboardFile, Tree, file_of, line_with};
use aiclipx_base::duration;
use aiclipx_model::monitoring::located::Node;
use aiclipx_model::monitoring::{ALERTMANAGER, Alert, Monitoring, WATCHDOG, promql};

/// Each has a route of its own; another severity would go to the default receiver.
pub(super) const SEVERITIES: [&str; 3] = ["critical", "warning", "none"];
/// Allowed values of the label `service`, which inhibition matches on, and what the names of that service's alerts begin with:
/// the program's own name where mixins of others have one, else one for all of the monitoring.
const SERVICES: [(&str, &[&str]); 2] =
    [("app", &["App"]), ("monitoring", &["Alertmanager", "Monitoring", "Prometheus", WATCHDOG])];
/// What a runbook says, in this order.
const SECTIONS: [&str; 10] = [
    "Stop the bleeding",
    "Meaning",
    "Impact",
    "How to see it",
    "False alarm",
    "Likely causes",
    "What to do",
    "Tell and silence",
    "Escalate",
    "Reproduce",
];

pub(super) fn check(tree: &Tree, findings: &mut Findings) {
    let monitoring = &tree.monitoring;
    for alert in monitoring.alerts() {
        labels(alert, monitoring, findings);
        sentences(alert, findings);
        runbook(alert, monitoring, findings);
    }
    let names: Vec<&str> = monitoring.alerts().iter().map(|alert| alert.name.as_str()).collect();
    for (index, alert) in monitoring.alerts().iter().enumerate() {
        if names[..index].contains(&alert.name.as_str()) {
            findings.at(
                "alert/twice",
                alert,
                format!("a second alert of the name {}", alert.name),
                "claims and tests go by the name",
            );
        }
    }
    for path in monitoring.files().keys().filter(|path| path.starts_with("runbooks")) {
        let page = file_of(path);
        let is_of = |alert: &Alert| alert.annotations.get("runbook_url").is_some_and(|url| Path::new(url) == page);
        if !monitoring.alerts().iter().any(is_of) {
            findings.find(
                "runbook/unused",
                page,
                0,
                "a runbook of no alert",
                "name it in a rule's `runbook_url`, or remove it",
            );
        }
    }
    routes(monitoring, findings);
    jobs(tree, findings);
}

/// Metrics that every program exposes are asked for by job, and by a matcher that takes a second job of the service, too: in
/// rules, in panels and their links, and in what a page has pasted. Only `absent()` names one job, for the alert takes its
/// labels from that matcher; its page asks for the same job.
fn jobs(tree: &Tree, findings: &mut Findings) {
    let monitoring = &tree.monitoring;
    let alerts = monitoring.alerts().iter().map(|alert| (alert.file.clone(), alert.line, alert.expr.clone()));
    let recordings = monitoring.recordings().iter().map(|rule| (rule.file.clone(), rule.line, rule.expr.clone()));
    let of_one = monitoring.alerts().iter().filter(|alert| !of_one_job(&alert.expr, true).is_empty());
    let pages: Vec<&str> = of_one.filter_map(|alert| Some(alert.annotations.get("runbook_url")?.as_str())).collect();
    let is_looked_at = |file: &Path| {
        let folders = ["monitoring/runbooks", "monitoring/grafana"];
        folders.iter().any(|folder| file.starts_with(folder)) && !pages.iter().any(|page| Path::new(page) == file)
    };
    let looked_at = known::expressions(tree).into_iter().filter(|(file, ..)| is_looked_at(file));
    for (file, line, expr) in alerts.chain(recordings).chain(looked_at) {
        for selector in of_one_job(&expr, false) {
            let what = format!("`{selector}` takes one job of the service, and not a second, like app-canary");
            findings.find("query/one-job", &file, line, what, "job=~\"app(-.+)?\"");
        }
    }
}

/// What of an expression takes one job of the service: where it is absent, or where it is not.
fn of_one_job(expr: &str, is_absent: bool) -> Vec<String> {
    let Ok(tree) = promql::parse(expr) else { return Vec::new() };
    let nodes = promql::nodes(&tree);
    let absent = nodes.iter().filter(|node| matches!(node, Expr::Call(call) if call.func.name == "absent"));
    let missing: Vec<_> = absent.flat_map(|node| promql::selectors(node)).collect();
    let is_job = |matcher: &&Matcher| ["job", "probed"].contains(&matcher.name.as_str());
    let takes_one = |matcher: &Matcher| matcher.is_match("app") && !matcher.is_match("app-canary");
    let all = promql::selectors(&tree).into_iter();
    all.filter(|selector| selector.matchers.matchers.iter().filter(is_job).any(takes_one))
        .filter(|selector| missing.iter().any(|one| std::ptr::eq(*one, *selector)) == is_absent)
        .map(ToString::to_string)
        .collect()
}

fn labels(alert: &Alert, monitoring: &Monitoring, findings: &mut Findings) {
    let name = &alert.name;
    let services = SERVICES.map(|(service, _)| service);
    for (label, known) in [("severity", &SEVERITIES[..]), ("service", &services[..])] {
        if !alert.labels.get(label).is_some_and(|value| known.contains(&value.as_str())) {
            findings.at(
                "alert/label",
                alert,
                format!("the label `{label}` of {name} is none of {}", known.join(", ")),
                "",
            );
        }
    }
    for (label, value) in &alert.labels {
        if value.contains("{{") {
            let what = format!("the label `{label}` of {name} is a template: a value that changes makes another alert");
            findings.at("alert/label", alert, what, "put it in an annotation");
        }
    }
    for (service, prefixes) in SERVICES {
        let is_its = alert.labels.get("service").is_some_and(|value| value == service);
        if is_its && !prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            let what = format!("{name} begins with none of {}, and is of the service {service}", prefixes.join(", "));
            findings.at("alert/name", alert, what, "a reader goes by the name, inhibition by both");
        }
    }
    // What its windows are must be what it says they are.
    let Ok(tree) = promql::parse(&alert.expr) else { return };
    let ranges = |expr: &Expr| -> Vec<String> {
        let recorded =
            promql::selectors(expr).into_iter().filter_map(|selector| monitoring.recording(selector.name.as_ref()?));
        recorded.filter_map(|rule| rule.name.rsplit_once(":burnrate").map(|(_, window)| window.to_owned())).collect()
    };
    for key in ["long_window", "short_window"] {
        if let Some(window) = alert.labels.get(key)
            && !ranges(&tree).contains(window)
        {
            findings.at("alert/window", alert, format!("{name} says `{key}: {window}` and asks no such window"), "");
        }
    }
}

fn sentences(alert: &Alert, findings: &mut Findings) {
    let name = &alert.name;
    let text = |key: &str| alert.annotations.get(key).map_or("", String::as_str);
    for key in ["summary", "description"] {
        let text = text(key);
        let begins = text.starts_with(|c: char| c.is_uppercase() || c == '{');
        if !(begins && text.ends_with('.')) {
            findings.at(
                "alert/sentence",
                alert,
                format!("the {key} of {name} is no sentence"),
                "a capital, and a full stop",
            );
        }
    }
    if text("summary").contains("{{") {
        findings.at(
            "alert/summary",
            alert,
            format!("the summary of {name} is a template"),
            "it heads a group: values go in the description",
        );
    }
    let is_humanize = |word: &str| word == "humanize";
    if text("description").split(|c: char| !c.is_alphanumeric()).any(is_humanize) {
        findings.at(
            "alert/humanize",
            alert,
            format!("the description of {name} writes what is below 1 in thousandths: `humanize` prints 0.93 as 930m"),
            "write `printf \"%.2f\"`, or another form for what is below 10",
        );
    }
    let depends = promql::parse(&alert.expr).is_ok_and(|tree| !promql::selectors(&tree).is_empty());
    if depends && !text("description").contains("{{") {
        findings.at(
            "alert/description",
            alert,
            format!("the description of {name} tells nothing of the case"),
            "say which job, and its value",
        );
    }
    if text("dashboard_url").is_empty() {
        findings.at("alert/dashboard", alert, format!("{name} has no `dashboard_url`"), "");
    }
}

fn runbook(alert: &Alert, monitoring: &Monitoring, findings: &mut Findings) {
    let name = &alert.name;
    let url = alert.annotations.get("runbook_url").map_or("", String::as_str);
    let page = Path::new(url).strip_prefix("monitoring").ok().and_then(|path| monitoring.files().get_key_value(path));
    let Some((path, bytes)) = page.filter(|(path, _)| path.starts_with("runbooks")) else {
        return findings.at(
            "alert/runbook",
            alert,
            format!("{name} has no runbook `{url}`"),
            "a page under monitoring/runbooks",
        );
    };
    let text = String::from_utf8_lossy(bytes);
    let page = file_of(path);
    if !text.contains(name.as_str()) {
        findings.find("runbook/alert", &page, 1, format!("this page does not name {name}, whose runbook it is"), "");
    }
    let mut after = 0;
    for section in SECTIONS {
        match text.find(&format!("**{section}")) {
            Some(at) if at >= after => after = at,
            Some(at) => findings.find(
                "runbook/section",
                &page,
                line_with(&text, &text[at..at + section.len()]),
                format!("**{section}** is out of place"),
                "",
            ),
            None => findings.find("runbook/section", &page, 1, format!("the section **{section}** is missing"), ""),
        }
    }
    let overview = monitoring.files().get(Path::new("README.md")).map(|bytes| String::from_utf8_lossy(bytes));
    if overview.is_some_and(|text| !text.lines().any(|line| is_row_of(alert, line))) {
        findings.find("alert/overview", "monitoring/README.md", 0, format!("{name} is not in the table of alerts"), "");
    }
}

/// Whether a line is an alert's row in the table of all: `| [AppDown](…`, or where several share one, `· [6h](… "AppDown6h")`.
pub(super) fn is_row_of(alert: &Alert, line: &str) -> bool {
    let name = &alert.name;
    line.starts_with('|') && [format!("[{name}]"), format!("\"{name}\"")].iter().any(|named| line.contains(named))
}

/// Every severity has a receiver of its own, and so has the Watchdog.
fn routes(monitoring: &Monitoring, findings: &mut Findings) {
    let file = file_of(ALERTMANAGER);
    let Some(document) = monitoring.document(Path::new(ALERTMANAGER)) else { return };
    let line = document.get("route").map_or(0, |route| route.line_of("routes"));
    let mut reached: BTreeMap<&str, &Alert> = BTreeMap::new();
    for alert in monitoring.alerts() {
        let timings = monitoring.group_timings(alert);
        let receiver = timings.receiver.as_str();
        let severity = |alert: &Alert| alert.labels.get("severity").cloned().unwrap_or_default();
        if receiver == monitoring.default_receiver() {
            let what = format!("no route is for {} (severity {})", alert.name, severity(alert));
            findings.find("route/default", &file, line, what, "the default receiver is for what nobody thought of");
        }
        let first = *reached.entry(receiver).or_insert(alert);
        if severity(first) != severity(alert) {
            let what = format!(
                "{} ({}) and {} ({}) go to one receiver, `{receiver}`",
                first.name,
                severity(first),
                alert.name,
                severity(alert)
            );
            findings.find("route/severity", &file, line, what, "a severity is where its route leads");
        }
        if alert.name == WATCHDOG && timings.repeat_interval >= timings.group_interval {
            let (repeat, group) = (duration::print(timings.repeat_interval), duration::print(timings.group_interval));
            let what = format!("the Watchdog is repeated every {repeat}, its group looked at every {group}");
            findings.find(
                "route/watchdog",
                &file,
                line,
                what,
                "a repeat that is not shorter than the interval skips some",
            );
        }
    }
    let receivers = document.items_of("receivers").iter();
    for receiver in receivers {
        let name = receiver.text_of("name").unwrap_or_default();
        if name != monitoring.default_receiver() && !reached.contains_key(name) {
            findings.find(
                "receiver/unreached",
                &file,
                receiver.line,
                format!("no alert reaches the receiver `{name}`"),
                "",
            );
        }
    }
}

/// Whether a node of a dashboard leads somewhere: a path below the dashboards, or a page of this repository.
pub(super) fn leads_somewhere(url: &str, tree: &Tree) -> bool {
    let address = url.strip_prefix("http://localhost:3000").unwrap_or(url);
    if let Some(rest) = address.strip_prefix("/d/") {
        let (uid, query) = rest.split_once('?').unwrap_or((rest, ""));
        let Some(dashboard) = tree.dashboards.iter().find(|one| one.node.text_of("uid") == Some(uid)) else {
            return false;
        };
        let panel = query.split('&').find_map(|pair| pair.strip_prefix("viewPanel="));
        return panel.is_none_or(|id| dashboard.panel(id).is_some_and(|panel| panel.get("targets").is_some()));
    }
    Path::new(url.trim_start_matches('/'))
        .strip_prefix("monitoring")
        .is_ok_and(|path| tree.monitoring.files().contains_key(path))
}

/// The panel an alert leads to, if it leads to one.
pub(super) fn panel_of<'a>(alert: &Alert, tree: &'a Tree) -> Option<(&'a DashboardFile, &'a Node)> {
    let url = alert.annotations.get("dashboard_url")?;
    let (uid, id) = url.split_once("/d/")?.1.split_once("?viewPanel=")?;
    let dashboard = tree.dashboards.iter().find(|one| one.node.text_of("uid") == Some(uid))?;
    Some((dashboard, dashboard.panel(id)?))
}

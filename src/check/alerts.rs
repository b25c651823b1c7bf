//! What every alert has, says and leads to: labels, sentences, a runbook, a panel, a receiver; what it
//! silences; how recorded names read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use promql_parser::label::Matcher;
use promql_parser::parser::{Expr, LabelModifier};

use super::{Findings, Tree, cases, line_with};
use crate::duration;
use crate::monitoring::located::Node;
use crate::monitoring::{Alert, Monitoring, matcher, promql};

/// What a severity means is decided by its route; another one would reach nobody in particular.
pub(super) const SEVERITIES: [&str; 3] = ["critical", "warning", "none"];
/// Whose trouble an alert tells of, which inhibition goes by, and what its name begins with: that of the program whose
/// trouble it is, where others have a name for the same, or of all of them together.
const SERVICES: [(&str, &[&str]); 2] =
    [("app", &["App"]), ("monitoring", &["Alertmanager", "Monitoring", "Prometheus", WATCHDOG])];
/// The alert that always fires: its route is its own.
pub(super) const WATCHDOG: &str = "Watchdog";
/// What a runbook says, in this order.
const SECTIONS: [&str; 9] = [
    "Stop the bleeding",
    "Meaning",
    "Impact",
    "How to see it",
    "False alarm",
    "Likely causes",
    "What to do",
    "Tell and silence",
    "Reproduce",
];

pub(super) const ALERTMANAGER: &str = "alertmanager/alertmanager.yml";

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
            findings.at(alert, format!("a second alert of the name {}", alert.name), "claims and tests go by the name");
        }
    }
    for path in monitoring.files().keys().filter(|path| path.starts_with("runbooks")) {
        let page = Path::new("monitoring").join(path);
        let is_of = |alert: &Alert| alert.annotations.get("runbook_url").is_some_and(|url| Path::new(url) == page);
        if !monitoring.alerts().iter().any(is_of) {
            findings.find(page, 0, "a runbook of no alert", "name it in a rule's `runbook_url`, or remove it");
        }
    }
    routes(monitoring, findings);
    recordings(monitoring, findings);
}

fn labels(alert: &Alert, monitoring: &Monitoring, findings: &mut Findings) {
    let name = &alert.name;
    let services = SERVICES.map(|(service, _)| service);
    for (label, known) in [("severity", &SEVERITIES[..]), ("service", &services[..])] {
        if !alert.labels.get(label).is_some_and(|value| known.contains(&value.as_str())) {
            findings.at(alert, format!("the label `{label}` of {name} is none of {}", known.join(", ")), "");
        }
    }
    for (label, value) in &alert.labels {
        if value.contains("{{") {
            let what = format!("the label `{label}` of {name} is a template: a value that changes makes another alert");
            findings.at(alert, what, "put it in an annotation");
        }
    }
    for (service, prefixes) in SERVICES {
        let is_its = alert.labels.get("service").is_some_and(|value| value == service);
        if is_its && !prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            let what = format!("{name} begins with none of {}, and is of the service {service}", prefixes.join(", "));
            findings.at(alert, what, "a reader goes by the name, inhibition by both");
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
            findings.at(alert, format!("{name} says `{key}: {window}` and asks no such window"), "");
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
            findings.at(alert, format!("the {key} of {name} is no sentence"), "a capital, and a full stop");
        }
    }
    if text("summary").contains("{{") {
        findings.at(
            alert,
            format!("the summary of {name} is a template"),
            "it heads a group: values go in the description",
        );
    }
    let is_humanize = |word: &str| word == "humanize";
    if text("description").split(|c: char| !c.is_alphanumeric()).any(is_humanize) {
        findings.at(
            alert,
            format!("the description of {name} writes what is below 1 in thousandths: `humanize` prints 0.93 as 930m"),
            "write `printf \"%.2f\"`, or another form for what is below 10",
        );
    }
    let depends = promql::parse(&alert.expr).is_ok_and(|tree| !promql::selectors(&tree).is_empty());
    if depends && !text("description").contains("{{") {
        findings.at(
            alert,
            format!("the description of {name} tells nothing of the case"),
            "say which job, and its value",
        );
    }
    if text("dashboard_url").is_empty() {
        findings.at(alert, format!("{name} has no `dashboard_url`"), "");
    }
}

fn runbook(alert: &Alert, monitoring: &Monitoring, findings: &mut Findings) {
    let name = &alert.name;
    let url = alert.annotations.get("runbook_url").map_or("", String::as_str);
    let page = Path::new(url).strip_prefix("monitoring").ok().and_then(|path| monitoring.files().get_key_value(path));
    let Some((path, bytes)) = page.filter(|(path, _)| path.starts_with("runbooks")) else {
        return findings.at(alert, format!("{name} has no runbook `{url}`"), "a page under monitoring/runbooks");
    };
    let text = String::from_utf8_lossy(bytes);
    let page = Path::new("monitoring").join(path);
    if !text.contains(name.as_str()) {
        findings.find(&page, 1, format!("this page does not name {name}, whose runbook it is"), "");
    }
    let mut after = 0;
    for section in SECTIONS {
        match text.find(&format!("**{section}")) {
            Some(at) if at >= after => after = at,
            Some(at) => findings.find(
                &page,
                line_with(&text, &text[at..at + section.len()]),
                format!("**{section}** is out of place"),
                "",
            ),
            None => findings.find(&page, 1, format!("the section **{section}** is missing"), ""),
        }
    }
    let overview = monitoring.files().get(Path::new("README.md")).map(|bytes| String::from_utf8_lossy(bytes));
    if overview.is_some_and(|text| !text.lines().any(|line| is_row_of(alert, line))) {
        findings.find("monitoring/README.md", 0, format!("{name} is not in the table of alerts"), "");
    }
}

/// Whether a line is an alert's row in the table of all: `| [AppDown](…`, or where several share one, `· [6h](… "AppDown6h")`.
pub(super) fn is_row_of(alert: &Alert, line: &str) -> bool {
    let name = &alert.name;
    line.starts_with('|') && [format!("[{name}]"), format!("\"{name}\"")].iter().any(|named| line.contains(named))
}

/// Every severity goes to a receiver of its own, and the Watchdog to its own.
fn routes(monitoring: &Monitoring, findings: &mut Findings) {
    let file = Path::new("monitoring").join(ALERTMANAGER);
    let Some(document) = monitoring.document(Path::new(ALERTMANAGER)) else { return };
    let line = document.get("route").map_or(0, |route| route.line_of("routes"));
    let mut reached: BTreeMap<&str, &Alert> = BTreeMap::new();
    for alert in monitoring.alerts() {
        let timings = monitoring.group_timings(alert);
        let receiver = timings.receiver.as_str();
        let severity = |alert: &Alert| alert.labels.get("severity").cloned().unwrap_or_default();
        if receiver == monitoring.default_receiver() {
            let what = format!("no route is for {} (severity {})", alert.name, severity(alert));
            findings.find(&file, line, what, "the default receiver is for what nobody thought of");
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
            findings.find(&file, line, what, "a severity is where its route leads");
        }
        if alert.name == WATCHDOG && timings.repeat_interval >= timings.group_interval {
            let (repeat, group) = (duration::print(timings.repeat_interval), duration::print(timings.group_interval));
            let what = format!("the Watchdog is repeated every {repeat}, its group looked at every {group}");
            findings.find(&file, line, what, "a repeat that is not shorter than the interval skips some");
        }
    }
    inhibitions(document, monitoring, findings);
    let receivers = document.items_of("receivers").iter();
    for receiver in receivers {
        let name = receiver.text_of("name").unwrap_or_default();
        if name != monitoring.default_receiver() && !reached.contains_key(name) {
            findings.find(&file, receiver.line, format!("no alert reaches the receiver `{name}`"), "");
        }
    }
}

/// What a recording rule records, and the names followed so far. None for another name, or one that was followed already: one
/// may remember itself.
pub(super) fn meaning<'a>(
    name: &str,
    monitoring: &'a Monitoring,
    seen: &BTreeSet<&'a str>,
) -> Option<(Expr, BTreeSet<&'a str>)> {
    let rule = monitoring.recording(name).filter(|rule| !seen.contains(rule.name.as_str()))?;
    let tree = promql::parse(&rule.expr).ok()?;
    Some((tree, seen.iter().copied().chain([rule.name.as_str()]).collect()))
}

/// The least that an expression looks back on, recording rules followed: for so long it may hold after its cause is gone.
fn least_memory(expr: &Expr, monitoring: &Monitoring, seen: &BTreeSet<&str>) -> Duration {
    let before = |name: Option<&String>| {
        let meaning = name.and_then(|name| meaning(name, monitoring, seen));
        meaning.map_or(Duration::ZERO, |(tree, seen)| least_memory(&tree, monitoring, &seen))
    };
    let memories = promql::nodes(expr).into_iter().filter_map(|node| match node {
        Expr::MatrixSelector(matrix) => Some(matrix.range + before(matrix.vs.name.as_ref())),
        Expr::VectorSelector(selector) => Some(before(selector.name.as_ref())),
        _ => None,
    });
    memories.min().unwrap_or_default()
}

/// An alert silences its like of the same service and job alone, and if it is named as the cause of others, it outlasts them.
/// What is worse than another (by severity, by window) need not: when the worse is over, the other is what is left.
fn inhibitions(document: &Node, monitoring: &Monitoring, findings: &mut Findings) {
    let mut told = BTreeSet::new();
    for rule in document.items_of("inhibit_rules") {
        for label in ["service", "job"] {
            if !rule.items_of("equal").iter().any(|node| node.as_text() == Some(label)) {
                let what = format!("this inhibition is not for the same `{label}`");
                let remedy = "one's outage must not silence another's";
                findings.find(Path::new("monitoring").join(ALERTMANAGER), rule.line_of("equal"), what, remedy);
            }
        }
        let matchers = |key: &str| -> Vec<Matcher> {
            let texts = rule.items_of(key).iter().filter_map(Node::as_text);
            texts.flat_map(|text| matcher::parse(text).unwrap_or_default()).collect()
        };
        let value = |alert: &Alert, label: &str| match label {
            "alertname" => alert.name.clone(),
            label => alert.labels.get(label).cloned().unwrap_or_default(),
        };
        let of = |matchers: &[Matcher]| -> Vec<&Alert> {
            let fits = |alert: &&Alert| matchers.iter().all(|one| one.is_match(&value(alert, &one.name)));
            monitoring.alerts().iter().filter(fits).collect()
        };
        let causes = matchers("source_matchers");
        if !causes.iter().any(|matcher| matcher.name == "alertname") {
            continue;
        }
        let targets = of(&matchers("target_matchers"));
        for source in of(&causes) {
            let memory = |target: &&Alert| {
                promql::parse(&target.expr)
                    .map_or(Duration::ZERO, |tree| least_memory(&tree, monitoring, &BTreeSet::new()))
            };
            // A label that a rule does not give may come with the series.
            let meets = |target: &&Alert| {
                let differs = |label: &Node| {
                    let given = |alert: &Alert| alert.labels.get(label.as_text()?).cloned();
                    given(source).zip(given(target)).is_some_and(|(one, other)| one != other)
                };
                target.name != source.name && !rule.items_of("equal").iter().any(differs)
            };
            let others = targets.iter().copied().filter(meets);
            let Some((longest, target)) =
                others.map(|target| (memory(&target), target)).max_by_key(|(memory, _)| *memory)
            else {
                continue;
            };
            let ends_first = source.keep_firing_for <= longest || source.keep_firing_for.is_zero();
            if ends_first && told.insert(&source.name) {
                let what = format!(
                    "{} ends before {}, which it inhibits, has forgotten what was: that would be told when all is well again",
                    source.name, target.name
                );
                let remedy = format!("`keep_firing_for` of more than {}", duration::print(longest));
                findings.at(source, what, remedy);
            }
        }
    }
}

/// Recorded names read `level:metric:operations`, somebody asks for them, and no ratio is averaged.
fn recordings(monitoring: &Monitoring, findings: &mut Findings) {
    let rules = || {
        let alerts = monitoring.alerts().iter().map(|alert| (&alert.expr, &alert.file, alert.line));
        alerts.chain(monitoring.recordings().iter().map(|rule| (&rule.expr, &rule.file, rule.line)))
    };
    let panels = monitoring.files().iter().filter(|(path, _)| path.starts_with(super::DASHBOARDS));
    let panels: Vec<_> = panels.map(|(_, bytes)| String::from_utf8_lossy(bytes)).collect();
    for rule in monitoring.recordings() {
        let parts: Vec<&str> = rule.name.split(':').collect();
        if parts.len() != 3 || parts.iter().any(|part| part.is_empty()) || parts[1].ends_with("_total") {
            let what = format!("`{}` is not level:metric:operations", rule.name);
            findings.find(&rule.file, rule.line, what, "as job:app_requests:rate5m, without _total");
        }
        let asks = |text: &str| {
            promql::parse(text).is_ok_and(|tree| {
                promql::selectors(&tree).iter().any(|selector| selector.name.as_deref() == Some(rule.name.as_str()))
            })
        };
        if !rules().any(|(expr, ..)| asks(expr)) && !panels.iter().any(|text| text.contains(&rule.name)) {
            findings.find(&rule.file, rule.line, format!("nobody asks for `{}`", rule.name), "remove it");
        }
    }
    for (expr, file, line) in rules() {
        let Ok(tree) = promql::parse(expr) else { continue };
        for node in promql::nodes(&tree) {
            let (is_mean, keeps_job) = match node {
                Expr::Call(call) => (call.func.name == "avg_over_time", true),
                Expr::Aggregate(aggregate) => {
                    let by_job = match &aggregate.modifier {
                        Some(LabelModifier::Include(labels)) => labels.labels.iter().any(|label| label == "job"),
                        Some(LabelModifier::Exclude(labels)) => labels.labels.iter().all(|label| label != "job"),
                        None => false,
                    };
                    (aggregate.op.to_string() == "avg", by_job)
                }
                _ => continue,
            };
            let ratio = |name: &str| name.contains("ratio") || name.contains("burn") || name.contains(":p9");
            if is_mean && promql::selectors(node).iter().filter_map(|selector| selector.name.as_deref()).any(ratio) {
                findings.find(
                    file,
                    line,
                    format!("`{}` is a mean of ratios", promql::print(node)),
                    "average both sides, then divide",
                );
            }
            if !keeps_job {
                findings.find(
                    file,
                    line,
                    format!("`{}` does not aggregate by job", promql::print(node)),
                    "several services would be one",
                );
            }
            if let Expr::Call(call) = node
                && cases::OF_COUNTERS.contains(&call.func.name)
                && promql::selectors(node)
                    .iter()
                    .any(|selector| monitoring.recording(selector.name.as_deref().unwrap_or_default()).is_some())
            {
                findings.find(
                    file,
                    line,
                    format!("`{}` is the rate of what is recorded", promql::print(node)),
                    "rate first, then aggregate",
                );
            }
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
pub(super) fn panel_of<'a>(alert: &Alert, tree: &'a Tree) -> Option<(&'a super::DashboardFile, &'a Node)> {
    let url = alert.annotations.get("dashboard_url")?;
    let (uid, id) = url.split_once("/d/")?.1.split_once("?viewPanel=")?;
    let dashboard = tree.dashboards.iter().find(|one| one.node.text_of("uid") == Some(uid))?;
    Some((dashboard, dashboard.panel(id)?))
}

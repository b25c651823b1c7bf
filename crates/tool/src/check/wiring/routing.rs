//! Alertmanager: routes and their rhythm, receivers, matchers that take an alert, and the Watchdog, which nothing inhibits.

use std::collections::BTreeSet;
use std::path::Path;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token::T_EQL_REGEX;

use super::super::finding::Findings;
use super::super::tree::{file_of, timing};
use aiclipx_base::duration;
use aiclipx_model::monitoring::located::{Node, Value};
use aiclipx_model::monitoring::{ALERTMANAGER, Alert, GroupTimings, Monitoring, WATCHDOG, matcher};

pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    let Some(document) = monitoring.document(Path::new(ALERTMANAGER)) else { return };
    let watchdog = monitoring.alert(WATCHDOG).map(|alert| monitoring.group_timings(alert).receiver.as_str());
    if let Some(route) = document.get("route") {
        routes(route, &GroupTimings::default(), watchdog, findings);
    }
    receivers(document, findings);
    inhibitions(document, monitoring, findings);
    asked_of_alerts(monitoring, findings);
}

/// Matchers of Alertmanager's configuration, wherever it lies, with the alerts beside it.
pub(super) fn asked_of_alerts(monitoring: &Monitoring, findings: &mut Findings) {
    let Some((path, document)) = monitoring.alertmanager() else { return };
    if monitoring.alerts().is_empty() {
        return;
    }
    for line_and_text in matchers_of(document) {
        names(monitoring, &monitoring.named(path), line_and_text, findings);
    }
}

/// The Watchdog is never inhibited.
fn inhibitions(document: &Node, monitoring: &Monitoring, findings: &mut Findings) {
    for rule in document.items_of("inhibit_rules") {
        let of = |key: &str| -> Vec<&Alert> {
            let matchers = rule.items_of(key).iter().filter_map(Node::as_text);
            let matchers: Vec<Matcher> = matchers.flat_map(|text| matcher::parse(text).unwrap_or_default()).collect();
            let value = |alert: &Alert, label: &str| match label {
                "alertname" => alert.name.clone(),
                label => alert.labels.get(label).cloned().unwrap_or_default(),
            };
            let fits = |alert: &&Alert| matchers.iter().all(|one| one.is_match(&value(alert, &one.name)));
            monitoring.alerts().iter().filter(fits).collect()
        };
        let (sources, targets) = (of("source_matchers"), of("target_matchers"));
        // A label that a rule does not give may come with the series.
        let is_same = |one: &Alert, other: &Alert, label: &str| {
            let given = |alert: &Alert| alert.labels.get(label).cloned();
            given(one).zip(given(other)).is_none_or(|(one, other)| one == other)
        };
        let equal: Vec<&str> = rule.items_of("equal").iter().filter_map(Node::as_text).collect();
        let is_met = |target: &Alert| {
            sources
                .iter()
                .any(|source| source.name != target.name && equal.iter().all(|label| is_same(source, target, label)))
        };
        if targets.iter().any(|alert| alert.name == WATCHDOG && is_met(alert)) {
            let what = "the Watchdog is inhibited, and its silence is an alarm";
            findings.find("inhibition/watchdog", file_of(ALERTMANAGER), rule.line_of("target_matchers"), what, "");
        }
    }
}

/// No route's rhythm is one that Alertmanager does not keep, and each alert goes to one receiver.
fn routes(route: &Node, parent: &GroupTimings, watchdog: Option<&str>, findings: &mut Findings) {
    let of = |key, inherited| timing(route, key).unwrap_or((inherited, route.line));
    let (group_interval, _) = of("group_interval", parent.group_interval);
    let (repeat_interval, repeat_line) = of("repeat_interval", parent.repeat_interval);
    let receiver = route.text_of("receiver").unwrap_or(&parent.receiver).to_owned();
    if repeat_interval < group_interval && watchdog != Some(receiver.as_str()) {
        let (repeat, group) = (duration::print(repeat_interval), duration::print(group_interval));
        let what = format!("repeated every {repeat}, and looked at every {group} only");
        findings.find(
            "route/repeat",
            file_of(ALERTMANAGER),
            repeat_line,
            what,
            "a repeat is not shorter than the group's interval",
        );
    }
    if route.get("continue").is_some_and(|node| node.value == Value::Switch(true)) {
        let what = "a route that continues: an alert would go to several receivers, and each claim is about one";
        findings.find(
            "route/continue",
            file_of(ALERTMANAGER),
            route.line_of("continue"),
            what,
            "give the receiver several channels",
        );
    }
    let timings = GroupTimings { receiver, group_interval, repeat_interval, ..parent.clone() };
    for child in route.items_of("routes") {
        routes(child, &timings, watchdog, findings);
    }
}

/// Each receiver tells somebody, of the end, too.
fn receivers(document: &Node, findings: &mut Findings) {
    for receiver in document.items_of("receivers") {
        let name = receiver.text_of("name").unwrap_or_default();
        let channels = receiver.items_of("webhook_configs");
        if channels.is_empty() {
            findings.find(
                "receiver/silent",
                file_of(ALERTMANAGER),
                receiver.line,
                format!("the receiver `{name}` tells nobody"),
                "",
            );
        }
        for channel in channels {
            if channel.get("send_resolved").is_some_and(|node| node.value == Value::Switch(false)) {
                let what = format!("the receiver `{name}` is not told when an alert ends");
                findings.find(
                    "receiver/resolved",
                    file_of(ALERTMANAGER),
                    channel.line_of("send_resolved"),
                    what,
                    "send_resolved: true",
                );
            }
        }
    }
}

/// Every matcher of routes and inhibitions, with its line.
fn matchers_of(document: &Node) -> Vec<(usize, &str)> {
    fn of_route<'a>(route: &'a Node, found: &mut Vec<&'a Node>) {
        found.extend(route.items_of("matchers"));
        route.items_of("routes").iter().for_each(|child| of_route(child, found));
    }
    let mut found = Vec::new();
    document.get("route").into_iter().for_each(|route| of_route(route, &mut found));
    for rule in document.items_of("inhibit_rules") {
        found.extend(rule.items_of("source_matchers").iter().chain(rule.items_of("target_matchers")));
    }
    found.into_iter().filter_map(|node| Some((node.line, node.as_text()?))).collect()
}

/// A matcher asks for what some alert has. Of the name that is known, and of a label that each rule has; another may come with
/// the series.
fn names<'a>(monitoring: &'a Monitoring, file: &Path, (line, text): (usize, &str), findings: &mut Findings) {
    for matcher in matcher::parse(text).unwrap_or_default() {
        let values: Option<Vec<&str>> = match matcher.name.as_str() {
            "alertname" => Some(monitoring.alerts().iter().map(|alert| alert.name.as_str()).collect()),
            // What a template makes of a label is known of no rule.
            label => {
                let own =
                    |alert: &'a Alert| alert.labels.get(label).map(String::as_str).filter(|one| !one.contains("{{"));
                monitoring.alerts().iter().map(own).collect()
            }
        };
        let Some(values) = values else { continue };
        let is_of_none = |wanted: &String| {
            let pattern = Matcher::new_matcher(T_EQL_REGEX, matcher.name.clone(), wanted.clone());
            match matcher.op {
                MatchOp::Equal | MatchOp::NotEqual => !values.contains(&wanted.as_str()),
                _ => pattern.is_ok_and(|pattern| !values.iter().any(|value| pattern.is_match(value))),
            }
        };
        let alternatives = match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => vec![matcher.value.clone()],
            _ => alternatives(&matcher.value).unwrap_or_else(|| vec![matcher.value.clone()]),
        };
        for wanted in alternatives.iter().filter(|wanted| is_of_none(wanted)) {
            let remedy = if wanted.starts_with('\'') {
                "Alertmanager takes single quotes for a part of the value: write double ones".to_owned()
            } else {
                format!(
                    "the alerts have {}",
                    values.iter().collect::<BTreeSet<_>>().into_iter().copied().collect::<Vec<_>>().join(", ")
                )
            };
            let what = format!("no alert has the {} `{wanted}` of `{text}`", matcher.name);
            findings.find("route/matcher", file, line, what, remedy);
        }
    }
}

/// What a pattern stands for, its alternatives one by one: of `A(b|c)|D.+` that is `Ab`, `Ac`, `D.+`. None where more than that
/// is in it.
fn alternatives(pattern: &str) -> Option<Vec<String>> {
    if pattern.contains(['\\', '[', '{']) || pattern.contains("(?") {
        return None;
    }
    let (found, rest) = either(pattern)?;
    rest.is_empty().then_some(found)
}

/// Alternatives up to a `)` or the end.
fn either(mut rest: &str) -> Option<(Vec<String>, &str)> {
    let mut found = Vec::new();
    let mut begun = vec![String::new()];
    loop {
        let Some(c) = rest.chars().next().filter(|c| *c != ')') else {
            found.append(&mut begun);
            return Some((found, rest));
        };
        rest = &rest[c.len_utf8()..];
        match c {
            '|' => found.append(&mut std::mem::replace(&mut begun, vec![String::new()])),
            '(' => {
                let (inner, after) = either(rest)?;
                rest = after.strip_prefix(')')?;
                if rest.starts_with(['*', '+', '?']) {
                    return None;
                }
                if begun.len() * inner.len() > 1000 {
                    return None;
                }
                begun = begun.iter().flat_map(|one| inner.iter().map(move |other| format!("{one}{other}"))).collect();
            }
            c => begun.iter_mut().for_each(|one| one.push(c)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_s_alternatives_are_looked_at_one_by_one() {
        let of = |pattern| alternatives(pattern).map(|found| found.join(" "));
        assert_eq!(of("A"), Some("A".to_owned()));
        assert_eq!(of("A(b|c(d|e))|F.+"), Some("Ab Acd Ace F.+".to_owned()));
        assert_eq!(of("(A|B)(c|)"), Some("Ac A Bc B".to_owned()));
        for pattern in ["(A|B)+", "[AB]", "A{2}", "\\(A", "(?:A|B)", "(A", "A)"] {
            assert_eq!(of(pattern), None, "{pattern}");
        }
    }
}

//! Inhibitions: an alert inhibits others of the same service and job only, and fires until those have forgotten their cause.
//! The examples of real channels have the same inhibitions as this stack.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use promql_parser::label::Matcher;
use promql_parser::parser::token::{T_LAND, T_LUNLESS};
use promql_parser::parser::{Expr, VectorSelector};

use super::finding::Findings;
use super::tree::file_of;
use aiclipx_base::duration;
use aiclipx_model::monitoring::located::Node;
use aiclipx_model::monitoring::{ALERTMANAGER, Alert, Monitoring, matcher, promql};

pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    let Some(document) = monitoring.document(Path::new(ALERTMANAGER)) else { return };
    let rules = document.items_of("inhibit_rules");
    let mut told = BTreeSet::new();
    for rule in rules {
        of_one_service(rule, findings);
        outlasts(rule, monitoring, &mut told, findings);
    }
    for (path, example) in monitoring.documents_in("alertmanager/examples") {
        if said(example.items_of("inhibit_rules")) != said(rules) {
            let file = file_of(path);
            let what = format!("its `inhibit_rules` are not those of {ALERTMANAGER}");
            findings.find(
                "inhibition/example",
                file,
                example.line_of("inhibit_rules"),
                what,
                "who takes it loses what is silenced there",
            );
        }
    }
}

/// Inhibitions in a form that can be compared: order and notation left out.
fn said(rules: &[Node]) -> Vec<[Vec<String>; 3]> {
    let one = |rule: &Node| {
        let matchers = |key| matcher::written_one_way(rule.items_of(key));
        let mut equal: Vec<String> =
            rule.items_of("equal").iter().filter_map(Node::as_text).map(str::to_owned).collect();
        equal.sort();
        [matchers("source_matchers"), matchers("target_matchers"), equal]
    };
    let mut said: Vec<_> = rules.iter().map(one).collect();
    said.sort();
    said
}

fn of_one_service(rule: &Node, findings: &mut Findings) {
    for label in ["service", "job"] {
        if !rule.items_of("equal").iter().any(|node| node.as_text() == Some(label)) {
            let what = format!("this inhibition is not for the same `{label}`");
            let remedy = "one's outage must not silence another's";
            findings.find("inhibition/equal", file_of(ALERTMANAGER), rule.line_of("equal"), what, remedy);
        }
    }
}

/// An alert that is named as the cause of others outlasts them. One that inhibits a milder form of itself (by severity, by
/// window) need not: when the worse is over, the milder one is still true.
fn outlasts<'a>(rule: &Node, monitoring: &'a Monitoring, told: &mut BTreeSet<&'a str>, findings: &mut Findings) {
    let matchers = |key: &str| -> Vec<Matcher> {
        let texts = rule.items_of(key).iter().filter_map(Node::as_text);
        texts.flat_map(|text| matcher::parse(text).unwrap_or_default()).collect()
    };
    // A label that no rule gives comes with the series, with any value; one that others give is not there.
    let is_given = |label: &str| monitoring.alerts().iter().any(|alert| alert.labels.contains_key(label));
    let fits_one = |alert: &Alert, one: &Matcher| match (one.name.as_str(), alert.labels.get(&one.name)) {
        ("alertname", _) => one.is_match(&alert.name),
        (_, Some(value)) => one.is_match(value),
        (label, None) => !is_given(label) || one.is_match(""),
    };
    let of = |matchers: &[Matcher]| -> Vec<&'a Alert> {
        let fits = |alert: &&Alert| matchers.iter().all(|one| fits_one(alert, one));
        monitoring.alerts().iter().filter(fits).collect()
    };
    let causes = matchers("source_matchers");
    if !causes.iter().any(|matcher| matcher.name == "alertname") {
        return;
    }
    let targets = of(&matchers("target_matchers"));
    for source in of(&causes) {
        let meets = |target: &&Alert| {
            let differs = |label: &Node| {
                let given = |alert: &Alert| alert.labels.get(label.as_text()?).cloned();
                given(source).zip(given(target)).is_some_and(|(one, other)| one != other)
            };
            target.name != source.name && !rule.items_of("equal").iter().any(differs)
        };
        let others = targets.iter().copied().filter(meets);
        let Some((longest, target)) =
            others.map(|target| (outlives(target, monitoring), target)).max_by_key(|(memory, _)| *memory)
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
            findings.at("inhibition/outlasts", source, what, remedy);
        }
    }
}

/// For how long an alert may fire after its cause is gone.
fn outlives(alert: &Alert, monitoring: &Monitoring) -> Duration {
    let memory = promql::parse(&alert.expr).ok().and_then(|tree| memory(&tree, monitoring, &BTreeSet::new()));
    memory.unwrap_or_default() + alert.keep_firing_for
}

/// For how long an expression may hold after its cause is gone, recording rules followed: the shortest look-back of conditions
/// that must hold together; the longest of the sides of an `or`, and of what a value is computed from. None for an expression
/// without a selector, which looks back on nothing.
fn memory(expr: &Expr, monitoring: &Monitoring, seen: &BTreeSet<&str>) -> Option<Duration> {
    let of = |expr: &Expr| memory(expr, monitoring, seen);
    let before = |selector: &VectorSelector| {
        let followed = selector.name.as_deref().and_then(|name| monitoring.followed(name, seen));
        let recorded = followed.and_then(|(tree, seen)| memory(tree, monitoring, &seen));
        recorded.unwrap_or_default() + promql::backward(selector.offset.as_ref())
    };
    match expr {
        Expr::VectorSelector(selector) => Some(before(selector)),
        Expr::MatrixSelector(matrix) => Some(matrix.range + before(&matrix.vs)),
        Expr::Subquery(subquery) => {
            let offset = promql::backward(subquery.offset.as_ref());
            Some(subquery.range + offset + of(&subquery.expr).unwrap_or_default())
        }
        nothing if promql::is_nothing(nothing) => None,
        Expr::Binary(binary) if binary.op.id() == T_LUNLESS => of(&binary.lhs),
        Expr::Binary(binary) if binary.op.id() == T_LAND || binary.op.is_comparison_operator() => {
            [of(&binary.lhs), of(&binary.rhs)].into_iter().flatten().min()
        }
        other => promql::children(other).into_iter().filter_map(of).max(),
    }
}

//! Whether one event is an alert: what is above zero after it stays so for as long as its window has it.

use std::collections::BTreeSet;
use std::time::Duration;

use promql_parser::parser::token::{T_GTR, T_LAND, T_LOR, T_LSS, T_LUNLESS, T_NEQ};
use promql_parser::parser::{BinaryExpr, Expr};

use super::Findings;
use super::recordings::meaning;
use crate::duration;
use crate::monitoring::{Alert, Monitoring, promql};

/// The alerts on a rate that are meant to tell of one event. A line that is lost does not come back, and nobody else tells of it.
pub(super) const OF_ONE_EVENT: [&str; 1] = ["MonitoringLogsDropped"];
/// Functions that are above zero after one event, for as long as their window has it.
pub(super) const REMEMBER_AN_EVENT: [&str; 5] = ["changes", "increase", "irate", "rate", "resets"];
pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    for alert in monitoring.alerts() {
        one_event(alert, monitoring, findings);
    }
}

/// An alert that holds as soon as something happened once holds for as long as its window has it: with a `for` that is no
/// shorter one event is no alert.
fn one_event(alert: &Alert, monitoring: &Monitoring, findings: &mut Findings) {
    let Ok(tree) = promql::parse(&alert.expr) else { return };
    let window = after_one_event(&tree, monitoring);
    if let Some(window) = window.filter(|window| alert.hold < *window && !OF_ONE_EVENT.contains(&alert.name.as_str())) {
        let window = duration::print(window);
        let what = format!("{} fires at one event: it holds for {window} after it", alert.name);
        findings.at(alert, what, format!("`for: {window}` or more, or compare with what is more than one event"));
    }
}

/// For how long a condition holds after one event, where that is enough for it: what is above zero, or not zero, and rises by an
/// event. What is behind `and` or `unless` only narrows it.
fn after_one_event(expr: &Expr, monitoring: &Monitoring) -> Option<Duration> {
    match expr {
        Expr::Paren(paren) => after_one_event(&paren.expr, monitoring),
        Expr::Aggregate(aggregate) => after_one_event(&aggregate.expr, monitoring),
        Expr::Binary(BinaryExpr { lhs, rhs, op, .. }) => match op.id() {
            T_LAND => {
                let (value, gate) = (after_one_event(lhs, monitoring)?, after_one_event(rhs, monitoring));
                Some(gate.map_or(value, |gate| gate.min(value)))
            }
            T_LUNLESS => after_one_event(lhs, monitoring),
            T_LOR => after_one_event(lhs, monitoring).max(after_one_event(rhs, monitoring)),
            T_GTR | T_NEQ if is_zero(rhs) => remembers_an_event(lhs, monitoring, &BTreeSet::new()),
            T_LSS | T_NEQ if is_zero(lhs) => remembers_an_event(rhs, monitoring, &BTreeSet::new()),
            _ => None,
        },
        _ => None,
    }
}

fn is_zero(expr: &Expr) -> bool {
    match expr {
        Expr::Paren(paren) => is_zero(&paren.expr),
        Expr::NumberLiteral(number) => number.val == 0.0,
        _ => false,
    }
}

/// The longest window in which a value counts events, recording rules followed.
fn remembers_an_event(expr: &Expr, monitoring: &Monitoring, seen: &BTreeSet<&str>) -> Option<Duration> {
    let nodes = promql::nodes(expr).into_iter();
    let windows = nodes.filter_map(|node| match node {
        Expr::Call(call) if REMEMBER_AN_EVENT.contains(&call.func.name) => {
            let ranges = call.args.args.iter().filter_map(|argument| match argument.as_ref() {
                Expr::MatrixSelector(matrix) => Some(matrix.range),
                Expr::Subquery(subquery) => Some(subquery.range),
                _ => None,
            });
            ranges.max()
        }
        Expr::VectorSelector(selector) => {
            let (tree, seen) = meaning(selector.name.as_deref()?, monitoring, seen)?;
            remembers_an_event(&tree, monitoring, &seen)
        }
        _ => None,
    });
    windows.max()
}

//! Which units fit a query's value, where its form tells.

use std::collections::BTreeSet;

use promql_parser::parser::{BinaryExpr, Expr};

use aiclipx_model::monitoring::{Monitoring, promql};

/// Those that fit: seconds, bytes, events a second, a share.
pub(super) fn units(expr: &Expr, monitoring: &Monitoring, seen: &BTreeSet<&str>) -> Option<&'static [&'static str]> {
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

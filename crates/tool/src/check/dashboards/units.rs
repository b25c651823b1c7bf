//! Which units fit a query's value, where its form tells.

use std::collections::BTreeSet;

use promql_parser::parser::{BinaryExpr, Expr};

use aiclipx_model::monitoring::{Monitoring, promql};

/// Those that fit: seconds, bytes, events or bytes a second, a share.
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
            Some(match name {
                name if name.contains("_seconds_total") => &["short", "percentunit"],
                name if name.contains("_bytes_total") => &["Bps", "binBps"],
                _ => &["reqps", "ops"],
            })
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_rate_is_of_what_is_counted() {
        let monitoring = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../monitoring"));
        let monitoring = Monitoring::read(monitoring).unwrap_or_else(|failure| panic!("{failure}"));
        for (expr, fitting) in [
            ("sum by (job) (rate(app_requests_total[5m]))", &["reqps", "ops"][..]),
            ("sum by (instance) (rate(node_network_receive_bytes_total[5m]))", &["Bps", "binBps"]),
            ("rate(process_cpu_seconds_total[5m])", &["short", "percentunit"]),
            ("app_buffered_bytes", &["bytes", "decbytes"]),
        ] {
            let tree = promql::parse(expr).unwrap_or_else(|error| panic!("{expr}: {error:?}"));
            assert_eq!(units(&tree, &monitoring, &BTreeSet::new()), Some(fitting), "{expr}");
        }
    }
}

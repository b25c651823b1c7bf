//! Expressions that give nothing for want of an optional component: one that a stack may be without, or that never answered.

use std::collections::BTreeSet;

use promql_parser::label::MatchOp;
use promql_parser::parser::token::{T_LOR, T_LUNLESS};
use promql_parser::parser::{Expr, VectorSelector};

use super::promql;

/// Why an expression gives nothing whatever else is there, where it is for want of one of these components. `why` says of a
/// component why it tells nothing, and nothing of one that does.
pub fn why_nothing(
    expr: &Expr,
    optional: &[&'static str],
    why: &dyn Fn(&'static str) -> Option<String>,
) -> Option<String> {
    let of = |expr: &Expr| why_nothing(expr, optional, why);
    match expr {
        Expr::Paren(paren) => of(&paren.expr),
        Expr::Aggregate(aggregate) => of(&aggregate.expr),
        Expr::Binary(binary) if binary.op.id() == T_LUNLESS => of(&binary.lhs),
        Expr::Binary(binary) if binary.op.id() == T_LOR => of(&binary.lhs).and_then(|_| of(&binary.rhs)),
        // What is held against each other, added or divided gives nothing where one side is nothing.
        Expr::Binary(binary) => of(&binary.lhs).or_else(|| of(&binary.rhs)),
        _ => why(source(expr, optional)?),
    }
}

/// The component that all of an expression comes from, if it is one of these.
fn source(expr: &Expr, optional: &[&'static str]) -> Option<&'static str> {
    let among = |is: &dyn Fn(&str) -> bool| optional.iter().copied().find(|name| is(name));
    let of = |selector: &VectorSelector| match selector.name.as_deref()? {
        "aiclipx_log_lines_total" | "aiclipx_log_lines_left_out_total" => among(&|name| name == "vector"),
        // What the service says of it.
        name if name.starts_with("app_database_") => among(&|name| name == "database"),
        "up" => {
            let job = selector.matchers.matchers.iter().find(|matcher| matcher.name == "job")?;
            among(&|name| job.op == MatchOp::Equal && job.value == name)
        }
        name => among(&|job| name.strip_prefix(job).is_some_and(|rest| rest.starts_with('_'))),
    };
    let sources: BTreeSet<_> = promql::selectors(expr).into_iter().map(of).collect();
    if sources.len() == 1 { sources.into_iter().next()? } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_gives_nothing_where_what_it_must_have_is_not_there() {
        let is_lost = |expression: &str| {
            let tree = promql::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
            why_nothing(&tree, &["vector", "loki", "database"], &|name| {
                (name != "loki").then(|| "no vector".to_owned())
            })
            .is_some()
        };
        for (expression, lost) in [
            ("sum by (job) (rate(vector_component_errors_total[5m]))", true),
            ("aiclipx_log_lines_total", true),
            ("up{job=\"vector\"}", true),
            ("up{job=~\"vector\"}", false),
            ("loki_build_info", false),
            ("app_requests_total", false),
            ("rate(app_requests_total[5m]) - rate(aiclipx_log_lines_total[5m])", true),
            ("vector_a or app_b", false),
            ("vector_a or vector_b", true),
            ("app_b unless vector_a", false),
            ("avg by (job) (last_over_time(app_database_up[1m])) < 0.5", true),
            ("app_databases", false),
        ] {
            assert_eq!(is_lost(expression), lost, "{expression}");
        }
    }
}

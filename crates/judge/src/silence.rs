//! Optional components (the probe, Vector, Loki) that were not there, or never answered: expressions about them show nothing.

use std::collections::BTreeSet;

use promql_parser::label::MatchOp;
use promql_parser::parser::token::{T_LOR, T_LUNLESS};
use promql_parser::parser::{Expr, VectorSelector};

use super::experiment::Experiment;
use super::validity::OPTIONAL;
use aiclipx_model::monitoring::promql;

/// Why nothing is known of these expressions, where each needs an optional component that was not there or never answered.
pub(crate) fn why_unanswered<'a>(
    experiment: &Experiment,
    expressions: impl IntoIterator<Item = &'a str>,
) -> anyhow::Result<Option<String>> {
    if !experiment.is_since(5) {
        return asked_one_that_is_silent(experiment, expressions);
    }
    let mut why = None;
    for expression in expressions {
        let tree = promql::parse(expression).map_err(|error| anyhow::anyhow!("{expression}: {error}"))?;
        let Some(silent) = silence_in(experiment, &tree) else { return Ok(None) };
        why = why.or(Some(silent));
    }
    Ok(why)
}

/// As it was decided before version 5: where all of the expressions come from one optional component.
fn asked_one_that_is_silent<'a>(
    experiment: &Experiment,
    expressions: impl IntoIterator<Item = &'a str>,
) -> anyhow::Result<Option<String>> {
    let source = |name: &str| match name {
        "aiclipx_log_lines_total" | "aiclipx_log_lines_left_out_total" => Some("vector"),
        _ => OPTIONAL.into_iter().find(|job| name.strip_prefix(job).is_some_and(|rest| rest.starts_with('_'))),
    };
    let mut sources = BTreeSet::new();
    for expression in expressions {
        let tree = promql::parse(expression).map_err(|error| anyhow::anyhow!("{expression}: {error}"))?;
        sources.extend(promql::selectors(&tree).into_iter().map(|one| one.name.as_deref().and_then(source)));
    }
    let [Some(only)] = sources.into_iter().collect::<Vec<_>>()[..] else { return Ok(None) };
    Ok(silence_of(experiment, only))
}

/// Why an expression gives nothing whatever else is there, for want of an optional component.
fn silence_in(experiment: &Experiment, expr: &Expr) -> Option<String> {
    let of = |expr: &Expr| silence_in(experiment, expr);
    match expr {
        Expr::Paren(paren) => of(&paren.expr),
        Expr::Aggregate(aggregate) => of(&aggregate.expr),
        Expr::Binary(binary) if binary.op.id() == T_LUNLESS => of(&binary.lhs),
        Expr::Binary(binary) if binary.op.id() == T_LOR => of(&binary.lhs).and_then(|_| of(&binary.rhs)),
        // What is held against each other, added or divided gives nothing where one side is nothing.
        Expr::Binary(binary) => of(&binary.lhs).or_else(|| of(&binary.rhs)),
        _ => silence_of(experiment, source(expr)?),
    }
}

/// The optional component that all of an expression comes from, if it is one.
fn source(expr: &Expr) -> Option<&'static str> {
    let of = |selector: &VectorSelector| match selector.name.as_deref()? {
        "aiclipx_log_lines_total" | "aiclipx_log_lines_left_out_total" => Some("vector"),
        "up" => {
            let job = selector.matchers.matchers.iter().find(|matcher| matcher.name == "job")?;
            OPTIONAL.into_iter().find(|name| job.op == MatchOp::Equal && job.value == *name)
        }
        name => OPTIONAL.into_iter().find(|job| name.strip_prefix(job).is_some_and(|rest| rest.starts_with('_'))),
    };
    let sources: BTreeSet<_> = promql::selectors(expr).into_iter().map(of).collect();
    if sources.len() == 1 { sources.into_iter().next()? } else { None }
}

/// Why an optional component has no series: it was not there, or never answered.
pub(crate) fn silence_of(experiment: &Experiment, component: &str) -> Option<String> {
    match experiment.scraped.get(component) {
        Some(true) => None,
        Some(false) if experiment.is_since(4) => {
            Some(format!("{component} was there to be scraped and never answered"))
        }
        Some(false) | None => Some(not_part_of_the_stack(component)),
    }
}

/// Why nothing is proven of what only an optional component could show.
pub fn not_part_of_the_stack(component: &str) -> String {
    format!("{component} is not part of this stack")
}

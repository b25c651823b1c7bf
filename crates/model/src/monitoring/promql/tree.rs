//! An expression as a tree: its nodes, its printed form, and the recording rules that its selectors name.

use std::collections::BTreeMap;
use std::sync::Arc;

use promql_parser::parser::{Expr, MatrixSelector, VectorSelector};

/// What the recording rules record: an expression may name another's result. Shared, for each place where one is followed has
/// a map of its own without it.
pub type Recorded = BTreeMap<String, Arc<Expr>>;

/// Whether every Prometheus takes a name for a series'; one with a colon is no label's.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

/// The recording rules whose results a selector gives, by their name or by what it asks of names.
pub(super) fn recordings<'a>(selector: &VectorSelector, recorded: &'a Recorded) -> Vec<(&'a str, &'a Expr)> {
    let all = |(name, expr): (&'a String, &'a Arc<Expr>)| (name.as_str(), &**expr);
    if let Some(name) = &selector.name {
        return recorded.get_key_value(name).map(all).into_iter().collect();
    }
    recorded.iter().map(all).filter(|(name, _)| gives(selector, name)).collect()
}

/// The one printed form of an expression: what is compared and what is written.
pub fn print(expr: &Expr) -> String {
    expr.to_string()
}

/// The children of an expression. Unlike the parser's own walk, it visits the parameter of an aggregation, which may
/// hold a range: `topk(scalar(count_over_time(x[5m])), y)`.
pub fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Aggregate(aggregate) => aggregate.param.iter().map(AsRef::as_ref).chain([&*aggregate.expr]).collect(),
        Expr::Unary(unary) => vec![&*unary.expr],
        Expr::Binary(binary) => vec![&*binary.lhs, &*binary.rhs],
        Expr::Paren(paren) => vec![&*paren.expr],
        Expr::Subquery(subquery) => vec![&*subquery.expr],
        Expr::Call(call) => call.args.args.iter().map(AsRef::as_ref).collect(),
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => Vec::new(),
    }
}

/// A recording rule that names itself would be followed for ever.
pub(super) fn without(recorded: &Recorded, name: &str) -> Recorded {
    recorded.iter().filter(|(key, _)| *key != name).map(|(key, expr)| (key.clone(), Arc::clone(expr))).collect()
}

/// Whether a selector gives series of this name.
pub fn gives(selector: &VectorSelector, name: &str) -> bool {
    let mut asks = selector.matchers.matchers.iter().filter(|matcher| matcher.name == "__name__");
    match &selector.name {
        Some(own) => own == name,
        None => asks.all(|matcher| matcher.is_match(name)),
    }
}

pub(super) fn children_mut(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::Aggregate(aggregate) => {
            aggregate.param.iter_mut().map(AsMut::as_mut).chain([&mut *aggregate.expr]).collect()
        }
        Expr::Unary(unary) => vec![&mut *unary.expr],
        Expr::Binary(binary) => vec![&mut *binary.lhs, &mut *binary.rhs],
        Expr::Paren(paren) => vec![&mut *paren.expr],
        Expr::Subquery(subquery) => vec![&mut *subquery.expr],
        Expr::Call(call) => call.args.args.iter_mut().map(AsMut::as_mut).collect(),
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => Vec::new(),
    }
}

/// Every node of an expression, outermost first.
pub fn nodes(expr: &Expr) -> Vec<&Expr> {
    [expr].into_iter().chain(children(expr).into_iter().flat_map(nodes)).collect()
}

/// Every selector of an expression.
pub fn selectors(expr: &Expr) -> Vec<&VectorSelector> {
    let mut selectors = Vec::new();
    for node in nodes(expr) {
        if let Expr::VectorSelector(selector) | Expr::MatrixSelector(MatrixSelector { vs: selector, .. }) = node {
            selectors.push(selector);
        }
    }
    selectors
}

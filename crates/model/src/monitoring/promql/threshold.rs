//! The number an alert's value is held against, and the share of faulty requests that it means.

use promql_parser::parser::Expr;
use promql_parser::parser::token::{T_DIV, T_GTE, T_GTR, T_LAND, TokenType};

use super::tree::Recorded;

/// The number an expression's value is compared with: that of the first comparison, gates behind `and` left aside.
pub(in crate::monitoring) fn threshold(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Paren(paren) => threshold(&paren.expr),
        Expr::Binary(binary) if binary.op.id() == T_LAND => threshold(&binary.lhs),
        Expr::Binary(binary) if binary.op.is_comparison_operator() => match &*binary.rhs {
            Expr::NumberLiteral(number) => Some(number.val),
            _ => None,
        },
        _ => None,
    }
}

/// What all must hold for an expression to: the operands of `and`, parentheses undone.
pub(in crate::monitoring) fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Paren(paren) => conjuncts(&paren.expr),
        Expr::Binary(binary) if binary.op.id() == T_LAND => [conjuncts(&binary.lhs), conjuncts(&binary.rhs)].concat(),
        other => vec![other],
    }
}

/// The share of faulty requests from which on an expression `value > threshold` holds, where one follows from its form:
/// of a ratio the threshold itself, of a ratio over a number that many times it, of a quantile q what lies above it,
/// 1 − q. `None` for anything else.
pub(in crate::monitoring) fn share_threshold(expr: &Expr, recorded: &Recorded) -> Option<f64> {
    match expr {
        Expr::Paren(paren) => share_threshold(&paren.expr, recorded),
        Expr::Binary(binary) if is_above(binary.op) => match &*binary.rhs {
            Expr::NumberLiteral(threshold) => share_above(&binary.lhs, threshold.val, recorded),
            _ => None,
        },
        _ => None,
    }
}

fn share_above(expr: &Expr, threshold: f64, recorded: &Recorded) -> Option<f64> {
    match meaning(expr, recorded) {
        Expr::Binary(ratio) if ratio.op.id() == T_DIV => match &*ratio.rhs {
            Expr::NumberLiteral(number) => share_above(&ratio.lhs, threshold * number.val, recorded),
            _ => Some(threshold),
        },
        Expr::Call(call) if call.func.name == "histogram_quantile" => match call.args.args.first().map(AsRef::as_ref) {
            Some(Expr::NumberLiteral(quantile)) => Some(1.0 - quantile.val),
            _ => None,
        },
        _ => None,
    }
}

fn is_above(op: TokenType) -> bool {
    [T_GTR, T_GTE].contains(&op.id())
}

/// What an expression stands for, recorded names and parentheses undone.
fn meaning<'a>(expr: &'a Expr, recorded: &'a Recorded) -> &'a Expr {
    let mut expr = expr;
    // A name that leads back to itself ends here too.
    for _ in 0..=recorded.len() {
        expr = match expr {
            Expr::Paren(paren) => &paren.expr,
            Expr::VectorSelector(selector) => match selector.name.as_ref().and_then(|name| recorded.get(name)) {
                Some(recording) => recording,
                None => return expr,
            },
            _ => return expr,
        };
    }
    expr
}

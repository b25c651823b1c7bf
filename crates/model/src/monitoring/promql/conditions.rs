//! Conditions put into every selector of an expression, as a dashboard's ad hoc filters are, or as a rule is held to a namespace.

use promql_parser::label::Matcher;
use promql_parser::parser::token::{T_EQL, T_EQL_REGEX, T_NEQ, T_NEQ_REGEX};
use promql_parser::parser::{Expr, MatrixSelector, VectorSelector};

use super::tree::children_mut;
use super::{parse, print};

/// The function that asks whether there is nothing.
const NOTHING: &str = "absent";

/// An expression with conditions in each of its selectors: label, operator, value.
pub fn with_conditions(text: &str, conditions: &[(String, String, String)]) -> Result<String, String> {
    let matchers = conditions.iter().map(|(label, operator, value)| {
        let token = match operator.as_str() {
            "=" => T_EQL,
            "!=" => T_NEQ,
            "=~" => T_EQL_REGEX,
            "!~" => T_NEQ_REGEX,
            other => return Err(format!("`{other}` is no operator of a selector")),
        };
        Matcher::new_matcher(token, label.clone(), value.clone())
    });
    let matchers = matchers.collect::<Result<Vec<_>, _>>()?;
    let mut expr = parse(text)?;
    put(&mut expr, &matchers, &|_| true);
    Ok(print(&expr))
}

/// A rule's expression, held to the series that have a label of this value. Left alone is what asks whether there is anything at
/// all (`absent(up)`): a Prometheus that scrapes others, and nothing of ours, is not one that has just started.
pub(in crate::monitoring) fn held_to(text: &str, label: &str, value: &str) -> Result<String, String> {
    let matcher = Matcher::new_matcher(T_EQL, label.to_owned(), value.to_owned())?;
    let mut expr = parse(text)?;
    put(&mut expr, &[matcher], &|expr| !asks_for_anything(expr));
    Ok(print(&expr))
}

fn asks_for_anything(expr: &Expr) -> bool {
    let Expr::Call(call) = expr else { return false };
    let [argument] = &call.args.args[..] else { return false };
    let is_bare =
        matches!(&**argument, Expr::VectorSelector(VectorSelector { matchers, .. }) if matchers.matchers.is_empty());
    call.func.name == NOTHING && is_bare
}

/// Into each selector below what is to be entered.
fn put(expr: &mut Expr, matchers: &[Matcher], enters: &dyn Fn(&Expr) -> bool) {
    if !enters(expr) {
        return;
    }
    if let Expr::VectorSelector(selector) | Expr::MatrixSelector(MatrixSelector { vs: selector, .. }) = expr {
        selector.matchers.matchers.extend(matchers.iter().cloned());
    }
    for child in children_mut(expr) {
        put(child, matchers, enters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selector_gets_the_conditions_and_none_is_put_where_it_means_nothing() {
        let condition = |operator: &str| vec![("job".to_owned(), operator.to_owned(), "a|b".to_owned())];
        let with = |text: &str, operator: &str| with_conditions(text, &condition(operator));
        let text = "sum(rate(a{x=\"y\"}[5m])) / sum(b) > 1";
        let wanted = r#"sum(rate(a{job=~"a|b",x="y"}[5m])) / sum(b{job=~"a|b"}) > 1"#;
        assert_eq!(with(text, "=~").as_deref(), Ok(wanted));
        assert_eq!(with("a", "!=").as_deref(), Ok(r#"a{job!="a|b"}"#));
        assert!(with("a", "<").is_err() && with("a{", "=").is_err());
    }

    #[test]
    fn a_rule_is_held_to_a_namespace_but_for_whether_there_is_anything_at_all() {
        let held = |text: &str| held_to(text, "namespace", "shop").expect("it is an expression");
        assert_eq!(
            held(r#"absent(up{job="app"}) unless on () absent(up)"#),
            r#"absent(up{job="app",namespace="shop"}) unless on () absent(up)"#
        );
        assert_eq!(
            held("max by (job) (max_over_time(up[5m:15s]))"),
            r#"max by (job) (max_over_time(up{namespace="shop"}[5m:15s]))"#
        );
    }
}

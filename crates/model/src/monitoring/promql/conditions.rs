//! Conditions put into every selector of an expression, as a dashboard's ad hoc filters are.

use promql_parser::label::Matcher;
use promql_parser::parser::token::{T_EQL, T_EQL_REGEX, T_NEQ, T_NEQ_REGEX};
use promql_parser::parser::{Expr, MatrixSelector};

use super::tree::children_mut;
use super::{parse, print};

/// An expression with conditions in each of its selectors: label, operator, value.
pub fn with_conditions(text: &str, conditions: &[(String, String, String)]) -> Result<String, String> {
    fn put(expr: &mut Expr, matchers: &[Matcher]) {
        if let Expr::VectorSelector(selector) | Expr::MatrixSelector(MatrixSelector { vs: selector, .. }) = expr {
            selector.matchers.matchers.extend(matchers.iter().cloned());
        }
        for child in children_mut(expr) {
            put(child, matchers);
        }
    }
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
    put(&mut expr, &matchers);
    Ok(print(&expr))
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
}

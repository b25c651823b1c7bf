//! Alerts that compare a counter itself: once above a number it stays there until its process starts again, and so does the alert.
//!
//! A name that ends with `_total` is no proof of a counter. What the files do with it is: who takes its rate takes it for one, who
//! takes its delta or asks whether it is small does not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use promql_parser::parser::token::{T_AVG, T_GTE, T_GTR, T_LSS, T_LTE, T_MAX, T_MIN, T_SUM};
use promql_parser::parser::{Expr, VectorSelector};

use super::anywhere::conditions;
use super::finding::Findings;
use aiclipx_model::monitoring::located::Node;
use aiclipx_model::monitoring::{Alert, Monitoring, promql};

/// Functions of what goes up and down.
const OF_GAUGES: [&str; 6] =
    ["delta", "deriv", "double_exponential_smoothing", "holt_winters", "idelta", "predict_linear"];
/// What is counted where nothing but the name says so: what went wrong, or was asked for.
const EVENTS: [&str; 10] = [
    "errors_total",
    "exceptions_total",
    "failed_total",
    "failures_total",
    "rejected_total",
    "requests_total",
    "restarts_total",
    "retries_total",
    "timeouts_total",
    "dropped_total",
];

/// What the files take names for.
#[derive(Default)]
struct Taken {
    counters: BTreeSet<String>,
    gauges: BTreeSet<String>,
}

pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    let taken = Taken::of(monitoring);
    for alert in monitoring.alerts() {
        if let Ok(tree) = promql::parse(&alert.expr) {
            endless(alert, &tree, &taken, findings);
        }
    }
}

fn endless(alert: &Alert, tree: &Expr, taken: &Taken, findings: &mut Findings) {
    // A guard beside what it fires by may be what it likes.
    for node in conditions(tree) {
        let Expr::Binary(binary) = node else { continue };
        let (large, limit) = match binary.op.id() {
            T_GTR | T_GTE => (&binary.lhs, &binary.rhs),
            T_LSS | T_LTE => (&binary.rhs, &binary.lhs),
            _ => continue,
        };
        let grows = promql::number(limit).is_some();
        let Some(selector) = called_total(large).filter(|_| grows) else { continue };
        let name = selector.name.clone().unwrap_or_default();
        let what = if taken.gauges.contains(&name) {
            continue;
        } else if taken.counters.contains(&name) {
            format!("{} compares the counter `{selector}` itself, which never falls", alert.name)
        } else if EVENTS.iter().any(|ending| name.ends_with(ending)) {
            format!(
                "{} compares `{selector}` itself, which never falls if it is the counter that its name says",
                alert.name
            )
        } else {
            continue;
        };
        findings.at("alert/endless", alert, what, "it ends when the process does: compare its rate or increase");
    }
}

/// The selector of something that is called like a counter, by itself or summed, averaged, its largest or its smallest.
fn called_total(expr: &Expr) -> Option<&VectorSelector> {
    let is_it = |name: &str| name.ends_with("_total") && !name.contains(':');
    bare(expr).filter(|selector| selector.name.as_deref().is_some_and(is_it))
}

fn bare(expr: &Expr) -> Option<&VectorSelector> {
    match expr {
        Expr::Paren(paren) => bare(&paren.expr),
        Expr::Aggregate(aggregate) if [T_SUM, T_MAX, T_MIN, T_AVG].contains(&aggregate.op.id()) => {
            bare(&aggregate.expr)
        }
        Expr::VectorSelector(selector) => Some(selector),
        _ => None,
    }
}

/// The types of what somebody else's service exposes, as it says, where its answer is recorded.
pub(super) fn types(monitoring: &Monitoring) -> BTreeMap<String, String> {
    let file = monitoring.service().recorded.as_ref().map(Path::new);
    let text = file.and_then(|file| monitoring.files().get(file)).map(|bytes| String::from_utf8_lossy(bytes));
    let of = |line: &str| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        Some((name.to_owned(), kind.to_owned()))
    };
    text.unwrap_or_default().lines().filter_map(of).collect()
}

impl Taken {
    fn of(monitoring: &Monitoring) -> Taken {
        let mut taken = Taken::default();
        for (name, kind) in types(monitoring) {
            match kind.as_str() {
                "counter" => drop(taken.counters.insert(name)),
                "gauge" => drop(taken.gauges.insert(name)),
                _ => {}
            }
        }
        let rules = monitoring.alerts().iter().map(|one| one.expr.as_str());
        let rules = rules.chain(monitoring.recordings().iter().map(|one| one.expr.as_str()));
        let tests = monitoring.rule_tests().flat_map(|(_, document)| document.items_of("tests"));
        let tests =
            tests.flat_map(|test| test.items_of("promql_expr_test")).filter_map(|one: &Node| one.text_of("expr"));
        for tree in rules.chain(tests).filter_map(|expr| promql::parse(expr).ok()) {
            for node in promql::nodes(&tree) {
                taken.by_use(node);
            }
        }
        taken
    }

    fn by_use(&mut self, node: &Expr) {
        match node {
            Expr::Call(call) => {
                let names =
                    call.args.args.iter().flat_map(|one| promql::selectors(one)).filter_map(|one| one.name.clone());
                if promql::OF_COUNTERS.contains(&call.func.name) {
                    self.counters.extend(names);
                } else if OF_GAUGES.contains(&call.func.name) {
                    self.gauges.extend(names);
                }
            }
            Expr::Binary(binary) => {
                let (small, other) = match binary.op.id() {
                    T_LSS | T_LTE => (&binary.lhs, &binary.rhs),
                    T_GTR | T_GTE => (&binary.rhs, &binary.lhs),
                    _ => return,
                };
                let name = |expr| bare(expr).and_then(|one| one.name.clone());
                // One that is below what it was has started again.
                self.gauges.extend(name(small).filter(|small| name(other).as_ref() != Some(small)));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn found(rules: &[&str]) -> Vec<String> {
        let rules: Vec<String> = rules.iter().map(|one| format!("  - {one}\n")).collect();
        let text = format!("groups:\n- name: a\n  rules:\n{}", rules.concat());
        let files = BTreeMap::from([(PathBuf::from("a.yml"), text.into_bytes())]);
        let monitoring = Monitoring::from_any(files).unwrap_or_else(|found| panic!("{found:#?}"));
        let mut findings = Findings::default();
        check(&monitoring, &mut findings);
        findings.0.iter().map(|one| format!("{}: {}", one.line, one.what)).collect()
    }

    #[test]
    fn a_counter_that_is_compared_itself_is_found_and_what_looks_like_one_is_not() {
        let rate = "{record: 'a:b', expr: 'sum(increase(x_total{a=\"b\"}[5m]))'}";
        for wrong in
            ["sum by (job) (x_total) > 5", "x_total >= 1 or up == 0", "(max(x_total) > 5) and up == 1", "5 < x_total"]
        {
            let alert = format!("{{alert: A, expr: '{wrong}'}}");
            assert_eq!(
                found(&[&alert, rate]),
                ["4: A compares the counter `x_total` itself, which never falls"],
                "{wrong}"
            );
        }
        for right in [
            "rate(x_total[5m]) > 5",
            "x > 5 and x_total > 0",
            "x_total - x_total offset 5m > 5",
            "x_total > y",
            "count(x_total) > 5",
        ] {
            assert_eq!(found(&[&format!("{{alert: A, expr: '{right}'}}"), rate]), [""; 0], "{right}");
        }
    }

    #[test]
    fn what_is_called_total_is_a_gauge_where_somebody_takes_it_for_one_and_nothing_where_nobody_says() {
        let alert = "{alert: A, expr: 'x_total > 5'}";
        assert_eq!(found(&[alert]), [""; 0]);
        let rate = "{record: 'a:b', expr: 'rate(x_total[5m])'}";
        for gauge in ["delta(x_total[5m])", "x_total < 3", "max(x_total) <= y_total", "7 > x_total"] {
            assert_eq!(found(&[alert, rate, &format!("{{record: 'a:c', expr: '{gauge}'}}")]), [""; 0], "{gauge}");
        }
        // One that is below what it was has started again.
        let falls = "{record: 'a:c', expr: 'x_total < x_total offset 5m'}";
        assert_eq!(found(&[alert, rate, falls]).len(), 1);
        let told = found(&["{alert: A, expr: 'x_errors_total > 5'}"]);
        assert_eq!(
            told,
            ["4: A compares `x_errors_total` itself, which never falls if it is the counter that its name says"]
        );
    }
}

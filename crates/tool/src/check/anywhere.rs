//! What is wrong in anybody's rules and routes, whatever the habits of a house: what fires at nothing, what nobody can reach, what
//! nothing tests.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token::{T_EQLC, T_LAND, T_LOR, T_LSS, T_LTE, T_LUNLESS, T_NEQ, TokenId};
use promql_parser::parser::{Expr, MatrixSelector};

use super::finding::Findings;
use super::known::Known;
use super::labels;
use aiclipx_base::duration;
use aiclipx_model::monitoring::located::{Node, Value};
use aiclipx_model::monitoring::{Alert, Monitoring, matcher, promql};

/// A rate takes two samples; four scrapes are there when one is lost and another is late.
const SCRAPES: u32 = 4;

pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    let says = says_severity(monitoring);
    let tested = tested(monitoring);
    for alert in monitoring.alerts() {
        if let Ok(tree) = promql::parse(&alert.expr) {
            absent(alert, &tree, findings);
            hold(alert, &tree, findings);
        }
        if says && !alert.labels.contains_key("severity") {
            let what = format!("{} has no `severity`, which other rules and routes go by", alert.name);
            findings.at("alert/severity", alert, what, "who is told of it is what routes say of anything else");
        }
        if tested.as_ref().is_some_and(|tested| !tested.iter().any(|name| name.is_match(&alert.name))) {
            let what = format!("no unit test asks for {}", alert.name);
            findings.at("alert/untested", alert, what, "write one: that it fires is shown by nothing else");
        }
    }
    windows(monitoring, findings);
    if let Some((path, document)) = monitoring.alertmanager()
        && let Some(route) = document.get("route")
    {
        shadowed(route, &monitoring.named(path), findings);
    }
}

/// Annotations of rules that stand alone: what is known of a value's labels is what its expression keeps.
pub(super) fn annotations(monitoring: &Monitoring, findings: &mut Findings) {
    labels::annotations(monitoring, &Known::new(), findings);
}

/// Whether a severity is what rules or routes go by.
fn says_severity(monitoring: &Monitoring) -> bool {
    monitoring.alerts().iter().any(|alert| alert.labels.contains_key("severity"))
}

/// `absent(x{job=~"a|b"})` is nothing while one of the two is there.
fn absent(alert: &Alert, tree: &Expr, findings: &mut Findings) {
    for node in promql::nodes(tree) {
        let Expr::Call(call) = node else { continue };
        if !["absent", "absent_over_time"].contains(&call.func.name) {
            continue;
        }
        for selector in promql::selectors(node) {
            let several = |one: &&Matcher| matches!(one.op, MatchOp::Re(_)) && one.value.contains('|');
            if let Some(matcher) = selector.matchers.matchers.iter().find(several) {
                let what =
                    format!("`{}({selector})` is there only when none of `{}` is", call.func.name, matcher.value);
                findings.at("alert/absent", alert, what, "ask for each by itself, with `or` between");
            }
        }
    }
}

/// What is so after one lost scrape.
fn hold(alert: &Alert, tree: &Expr, findings: &mut Findings) {
    if !alert.hold.is_zero() {
        return;
    }
    let is_up = |expr: &Expr| matches!(expr, Expr::VectorSelector(one) if one.name.as_deref() == Some("up"));
    let is_of_one = |node: &&Expr| match *node {
        Expr::Binary(binary) => is_up(&binary.lhs) && is_down(binary.op.id(), promql::number(&binary.rhs)),
        Expr::Call(call) => call.func.name == "absent" && call.args.args.iter().any(|one| is_up(one)),
        _ => false,
    };
    if conditions(tree).iter().any(is_of_one) {
        let what = format!("{} has no `for`, and fires at one scrape that is lost", alert.name);
        findings.at("alert/hold", alert, what, "`for: 1m` or more: some are lost on any network");
    }
}

/// Whether such a comparison of `up` holds of a target that did not answer.
fn is_down(op: TokenId, number: Option<f64>) -> bool {
    match op {
        T_EQLC => number == Some(0.0),
        T_NEQ => number == Some(1.0),
        op => [T_LSS, T_LTE].contains(&op),
    }
}

/// What an expression fires by, each by itself: guards left out.
pub(super) fn conditions(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Paren(paren) => conditions(&paren.expr),
        Expr::Binary(binary) if binary.op.id() == T_LOR => [conditions(&binary.lhs), conditions(&binary.rhs)].concat(),
        Expr::Binary(binary) if [T_LAND, T_LUNLESS].contains(&binary.op.id()) => conditions(&binary.lhs),
        expr => vec![expr],
    }
}

/// Ranges of rates in rules, where a configuration beside them says how often is scraped.
fn windows(monitoring: &Monitoring, findings: &mut Findings) {
    if monitoring.prometheus().is_none() {
        return;
    }
    let scrape = monitoring.scrape_interval();
    let alerts = monitoring.alerts().iter().map(|alert| (&alert.file, alert.line, &alert.name, &alert.expr));
    let recordings = monitoring.recordings().iter().map(|rule| (&rule.file, rule.line, &rule.name, &rule.expr));
    for (file, line, name, expr) in alerts.chain(recordings) {
        let Ok(tree) = promql::parse(expr) else { continue };
        for (function, range) in rates(&tree).into_iter().filter(|(_, range)| *range < scrape * SCRAPES) {
            let (range, scrape) = (duration::print(range), duration::print(scrape));
            let what = format!("`{function}` over {range}, and a scrape comes every {scrape}");
            let remedy = format!("{SCRAPES} scrapes or more: with fewer one that is lost leaves nothing");
            findings.about("query/window", name, file, line, what, remedy);
        }
    }
}

fn rates(tree: &Expr) -> Vec<(&'static str, Duration)> {
    let of_node = |node: &Expr| {
        let Expr::Call(call) = node else { return None };
        let Some(Expr::MatrixSelector(MatrixSelector { range, .. })) = call.args.args.first().map(AsRef::as_ref) else {
            return None;
        };
        promql::OF_COUNTERS.contains(&call.func.name).then_some((call.func.name, *range))
    };
    promql::nodes(tree).into_iter().filter_map(of_node).collect()
}

/// What unit tests ask for by name; none where there is no test.
fn tested(monitoring: &Monitoring) -> Option<Vec<Matcher>> {
    let tests: Vec<&Node> = monitoring.rule_tests().flat_map(|(_, document)| document.items_of("tests")).collect();
    let named = |name: &str| Matcher::new(MatchOp::Equal, "alertname", name);
    let mut asked = Vec::new();
    for test in &tests {
        asked.extend(test.items_of("alert_rule_test").iter().filter_map(|one| one.text_of("alertname")).map(named));
        for node in test.items_of("promql_expr_test") {
            let Ok(tree) = promql::parse(node.text_of("expr").unwrap_or_default()) else { continue };
            for selector in promql::selectors(&tree) {
                let matchers = selector.matchers.matchers.iter();
                asked.extend(matchers.filter(|matcher| matcher.name == "alertname").cloned());
            }
        }
    }
    (!tests.is_empty()).then_some(asked)
}

/// A route behind one that takes all that it would take, and does not continue.
fn shadowed(route: &Node, file: &Path, findings: &mut Findings) {
    let children = route.items_of("routes");
    let asks: Vec<_> = children.iter().map(asks).collect();
    for (at, child) in children.iter().enumerate() {
        let takes_all = |before: &usize| {
            let goes_on = children[*before].get("continue").is_some_and(|node| node.value == Value::Switch(true));
            !goes_on && asks[*before].is_subset(&asks[at])
        };
        if let Some(before) = (0..at).find(takes_all) {
            let what =
                format!("no alert comes here: the route of line {} takes all that this would", children[before].line);
            findings.find("route/shadowed", file, child.line, what, "put it before that one, or let that one continue");
        }
        shadowed(child, file, findings);
    }
}

/// What a route asks of an alert: all of these.
fn asks(route: &Node) -> BTreeSet<String> {
    let texts = route.items_of("matchers").iter().filter_map(Node::as_text);
    let mut asks: BTreeSet<String> =
        texts.flat_map(|text| matcher::parse(text).unwrap_or_default()).map(|one| one.to_string()).collect();
    for (key, op) in [("match", "="), ("match_re", "=~")] {
        let entries = route.get(key).map_or(&[][..], Node::entries);
        asks.extend(entries.iter().map(|one| format!("{}{op}\"{}\"", one.key, one.node.as_text().unwrap_or_default())));
    }
    asks
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: BTreeMap<PathBuf, Vec<u8>> =
            files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect();
        let monitoring = Monitoring::from_any(files).unwrap_or_else(|found| panic!("{found:#?}"));
        let mut findings = Findings::default();
        check(&monitoring, &mut findings);
        annotations(&monitoring, &mut findings);
        findings.0.iter().map(|one| format!("{}:{} {}", one.file.display(), one.line, one.name)).collect()
    }

    fn rule(rule: &str) -> Vec<String> {
        found(&[("a.yml", &format!("groups:\n- name: a\n  rules:\n  - {rule}\n"))])
    }

    #[test]
    fn what_fires_at_nothing_is_found_and_what_looks_like_it_is_not() {
        for (wrong, name) in [
            ("{alert: A, expr: 'absent(up{job=~\"a|b\"})', for: 1m}", "alert/absent"),
            ("{alert: A, expr: 'up{job=\"a\"} == 0'}", "alert/hold"),
            ("{alert: A, expr: 'absent(up)'}", "alert/hold"),
            ("{alert: A, expr: 'sum by (job) (x) > 5', annotations: {a: '{{ $labels.pod }}'}}", "alert/annotation"),
        ] {
            assert_eq!(rule(wrong), [format!("a.yml:4 {name}")], "{wrong}");
        }
        for right in [
            "{alert: A, expr: 'absent(up{job=\"a\"}) or absent(up{job=~\"b.+\"})', for: 1m}",
            "{alert: A, expr: 'up == 0', for: 1m}",
            "{alert: A, expr: 'up == 1'}",
            "{alert: A, expr: '(x > 5 unless up == 0) or y > 1'}",
            "{alert: A, expr: 'up == 1 and x > 5', annotations: {a: '{{ $labels.pod }}'}, for: 1s}",
            "{alert: A, expr: 'sum by (job) (x) > 5', annotations: {a: '{{ $labels.job }}{{ with $labels.pod }}{{ . }}{{ end }}'}}",
            "{alert: A, expr: 'label_replace(sum(x), \"pod\", \"a\", \"\", \"\") > 5', annotations: {a: '{{ $labels.pod }}'}}",
        ] {
            assert_eq!(rule(right), [""; 0], "{right}");
        }
    }

    #[test]
    fn a_severity_is_asked_for_where_others_have_one() {
        let one = "groups:\n- name: a\n  rules:\n  - {alert: A, expr: x > 1}\n";
        assert_eq!(found(&[("a.yml", one)]), [""; 0]);
        let both = format!("{one}  - {{alert: B, expr: x > 1, labels: {{severity: page}}}}\n");
        assert_eq!(found(&[("a.yml", &both)]), ["a.yml:4 alert/severity"]);
    }

    #[test]
    fn an_alert_that_no_test_asks_for_is_found_where_there_are_tests() {
        let rules = "groups:\n- name: a\n  rules:\n  - {alert: A, expr: x > 1}\n  - {alert: B, expr: x > 2}\n  - {alert: C, expr: x > 3}\n";
        let tests = "rule_files: [a.yml]\ntests:\n- alert_rule_test: [{eval_time: 1m, alertname: A}]\n  promql_expr_test: [{expr: 'ALERTS{alertname=~\"B|D\"}', eval_time: 1m}]\n";
        assert_eq!(found(&[("a.yml", rules)]), [""; 0]);
        assert_eq!(found(&[("a.yml", rules), ("t.yml", tests)]), ["a.yml:6 alert/untested"]);
    }

    #[test]
    fn a_rate_over_few_scrapes_is_found_where_scrapes_are_known() {
        let rules = "groups:\n- name: a\n  rules:\n  - {record: 'a:b', expr: 'rate(x_total[1m])'}\n  - {record: 'a:c', expr: 'rate(x_total[2m])'}\n";
        let scrapes = "global: {scrape_interval: 30s}\nscrape_configs: []\n";
        assert_eq!(found(&[("a.yml", rules)]), [""; 0]);
        assert_eq!(found(&[("a.yml", rules), ("prometheus.yml", scrapes)]), ["a.yml:4 query/window"]);
    }

    #[test]
    fn a_route_behind_one_that_takes_all_is_found() {
        let routes = |second: &str| {
            format!(
                "receivers:\n- name: a\nroute:\n  receiver: a\n  routes:\n  - matchers: [severity=page]\n  - {second}\n"
            )
        };
        let behind = |second: &str| found(&[("am.yml", &routes(second))]);
        assert_eq!(behind("{match: {severity: page, team: x}}"), ["am.yml:7 route/shadowed"]);
        assert_eq!(behind("{matchers: ['team=\"x\"', 'severity=\"page\"']}"), ["am.yml:7 route/shadowed"]);
        for right in ["matchers: [team=x]", "matchers: [severity=~page]", "{}"] {
            assert_eq!(behind(right), [""; 0], "{right}");
        }
        let open = routes("{}").replace("[severity=page]", "[severity=page]\n    continue: true");
        assert_eq!(found(&[("am.yml", &open)]), [""; 0]);
    }
}

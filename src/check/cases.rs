//! Whether the unit tests of the rules test what they should, both ways: promtool passes in silence on a name that no
//! rule has, and on a rule that no test names.
//!
//! What a test holds is read from its data, not from its name. For each alert there is a test in which it
//!
//! - fires, with its labels and annotations written out;
//! - is pending before that, where it has a `for`;
//! - resolves: is absent later in the same test;
//! - stays quiet: is absent whenever asked for, from what lies just below its threshold;
//! - is asked for when its target dies: a series ends in `stale`.
//!
//! An alert without a selector (the Watchdog) can only fire. For each counter that a rule takes the rate of there is a
//! series that starts again, and one that is born with a count.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use promql_parser::label::MatchOp;
use promql_parser::parser::Expr;

use super::Findings;
use crate::duration;
use crate::monitoring::located::Node;
use crate::monitoring::{Alert, Monitoring, promql};

/// Functions of counters.
pub(super) const OF_COUNTERS: [&str; 3] = ["rate", "increase", "irate"];

/// A test asks for an alert once.
struct Question {
    alert: String,
    at: Duration,
    state: State,
    /// Whether it must be there, or must not.
    present: bool,
    /// Whether its labels and annotations are written out.
    written_out: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Pending,
    Firing,
    /// Whether pending or firing.
    Any,
}

/// One unit test.
struct Test {
    questions: Vec<Question>,
    a_series_dies: bool,
}

pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    let mut tests = Vec::new();
    let (mut restarted, mut born) = (BTreeSet::new(), BTreeSet::new());
    for (path, document) in monitoring.documents_in("prometheus/rules/tests") {
        let file = Path::new("monitoring").join(path);
        for test in document.items_of("tests") {
            tests.push(read(test, monitoring, &file, findings));
            for series in test.items_of("input_series") {
                let name =
                    series.text_of("series").unwrap_or_default().split('{').next().unwrap_or_default().to_owned();
                let values = series.text_of("values").unwrap_or_default();
                if falls(values) {
                    restarted.insert(name.clone());
                }
                if values.starts_with('_') {
                    born.insert(name);
                }
            }
        }
    }
    for alert in monitoring.alerts() {
        for missing in missing_cases(alert, &tests) {
            let what = format!("no unit test in which {} {missing}", alert.name);
            findings.at(alert, what, "add one to monitoring/prometheus/rules/tests");
        }
    }
    for (name, file, line) in counters(monitoring) {
        for (what, there) in [("starts again", &restarted), ("is born with a count", &born)] {
            if !there.contains(&name) {
                let what = format!("no unit test in which the counter {name} {what}");
                findings.find(&file, line, what, "add a series of it to monitoring/prometheus/rules/tests");
            }
        }
    }
}

fn missing_cases(alert: &Alert, tests: &[Test]) -> Vec<&'static str> {
    let about = |question: &&Question| question.alert == alert.name;
    let any =
        |holds: &dyn Fn(&Question) -> bool| tests.iter().flat_map(|test| &test.questions).filter(about).any(holds);
    let here = |question: &Question| question.present && question.state != State::Pending;
    let gone = |question: &Question| !question.present && question.state != State::Pending;
    let resolves = |test: &Test| {
        let mine: Vec<&Question> = test.questions.iter().filter(about).collect();
        // What ends with its target tells nothing of a fault that ends.
        !test.a_series_dies
            && mine.iter().any(|first| here(first) && mine.iter().any(|later| later.at > first.at && gone(later)))
    };
    let stays_quiet = |test: &Test| {
        let mut mine = test.questions.iter().filter(about).peekable();
        mine.peek().is_some() && mine.all(|question| !question.present)
    };
    let dies = |test: &Test| test.a_series_dies && test.questions.iter().any(|question| about(&question));
    let depends = promql::parse(&alert.expr).is_ok_and(|tree| !promql::selectors(&tree).is_empty());
    let mut missing = Vec::new();
    if !any(&|question: &Question| question.written_out) {
        missing.push("fires, its labels and annotations written out");
    }
    if !alert.hold.is_zero() && !any(&|question: &Question| question.present && question.state == State::Pending) {
        missing.push("is pending before its `for` has passed");
    }
    if depends && !tests.iter().any(resolves) {
        missing.push("resolves");
    }
    if depends && !tests.iter().any(stays_quiet) {
        missing.push("stays quiet");
    }
    if !tests.iter().any(dies) {
        missing.push("is asked for when a series ends in `stale`");
    }
    missing
}

fn read(test: &Node, monitoring: &Monitoring, file: &Path, findings: &mut Findings) -> Test {
    let mut questions = Vec::new();
    let at = |node: &Node| node.text_of("eval_time").and_then(|text| duration::parse(text).ok()).unwrap_or_default();
    for node in test.items_of("alert_rule_test") {
        let alert = node.text_of("alertname").unwrap_or_default().to_owned();
        if monitoring.alert(&alert).is_none() {
            findings.find(file, node.line_of("alertname"), format!("a test of {alert}, which no rule has"), "");
        }
        let present = !node.items_of("exp_alerts").is_empty();
        questions.push(Question { alert, at: at(node), state: State::Firing, present, written_out: present });
    }
    for node in test.items_of("promql_expr_test") {
        let Ok(tree) = promql::parse(node.text_of("expr").unwrap_or_default()) else { continue };
        let present = node
            .items_of("exp_samples")
            .iter()
            .any(|sample| sample.get("value").and_then(Node::as_number).is_some_and(|value| value > 0.0));
        let line = node.line_of("expr");
        for selector in
            promql::selectors(&tree).into_iter().filter(|selector| selector.name.as_deref() == Some("ALERTS"))
        {
            let matchers = &selector.matchers.matchers;
            let named: Vec<_> = matchers.iter().filter(|matcher| matcher.name == "alertname").collect();
            let is_state =
                |state| matchers.iter().any(|matcher| matcher.name == "alertstate" && matcher.is_match(state));
            let state = match (is_state("pending"), is_state("firing")) {
                (true, false) => State::Pending,
                (false, true) => State::Firing,
                _ => State::Any,
            };
            let fits = |alert: &&Alert| named.iter().all(|matcher| matcher.is_match(&alert.name));
            let mut alerts: Vec<&Alert> = monitoring.alerts().iter().filter(fits).collect();
            if alerts.is_empty() {
                findings.find(file, line, format!("`{selector}` is of no alert"), "the rules have none of that name");
            }
            // A pattern fits alerts that its writer did not know of: it is a question about those alone that it spells out.
            alerts.retain(|alert| {
                named.iter().any(|matcher| match matcher.op {
                    MatchOp::Equal => true,
                    MatchOp::Re(_) => matcher.value.split('|').any(|name| name == alert.name),
                    MatchOp::NotEqual | MatchOp::NotRe(_) => false,
                })
            });
            // Of several at once, nothing is known of one, unless none is there.
            if alerts.len() > 1 && present {
                continue;
            }
            for alert in alerts {
                questions.push(Question {
                    alert: alert.name.clone(),
                    at: at(node),
                    state,
                    present,
                    written_out: false,
                });
            }
        }
    }
    let a_series_dies = test
        .items_of("input_series")
        .iter()
        .filter_map(|series| series.text_of("values"))
        .any(|values| values.split_whitespace().next_back() == Some("stale"));
    Test { questions, a_series_dies }
}

/// Whether a value is followed by a lower one.
fn falls(values: &str) -> bool {
    let mut last = f64::NEG_INFINITY;
    for item in values.split_whitespace() {
        let (start, times) = item.split_once('x').unwrap_or((item, "0"));
        let at = start.char_indices().skip(1).find(|(_, c)| ['+', '-'].contains(c)).map(|(at, _)| at);
        let (first, step) = start.split_at(at.unwrap_or(start.len()));
        let Ok(first) = first.parse::<f64>() else { continue };
        let step: f64 = step.parse().unwrap_or(0.0);
        if first < last || step < 0.0 {
            return true;
        }
        last = first + step * times.parse::<f64>().unwrap_or(0.0);
    }
    false
}

/// Every counter that a rule takes the rate of, with the first rule that does.
fn counters(monitoring: &Monitoring) -> Vec<(String, PathBuf, usize)> {
    let alerts = monitoring.alerts().iter().map(|alert| (&alert.expr, &alert.file, alert.line));
    let recordings = monitoring.recordings().iter().map(|rule| (&rule.expr, &rule.file, rule.line));
    let mut counters: Vec<(String, PathBuf, usize)> = Vec::new();
    for (expr, file, line) in recordings.chain(alerts) {
        let Ok(tree) = promql::parse(expr) else { continue };
        for node in promql::nodes(&tree) {
            let Expr::Call(call) = node else { continue };
            if !OF_COUNTERS.contains(&call.func.name) {
                continue;
            }
            let names = call.args.args.iter().flat_map(|argument| promql::selectors(argument));
            for name in names.filter_map(|selector| selector.name.clone()) {
                if monitoring.recording(&name).is_none() && counters.iter().all(|(known, ..)| *known != name) {
                    counters.push((name, file.clone(), line));
                }
            }
        }
    }
    counters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_that_starts_again_is_seen() {
        for values in ["5000x40 0x80", "0+150x40 0+150x80", "5 3", "10-1x3", "1 stale 0"] {
            assert!(falls(values), "{values}");
        }
        for values in ["0+150x40 6000x80", "0x39 0+30x40 1200", "_x40 5000x80", "0+10x40 stale", "-1+1x3"] {
            assert!(!falls(values), "{values}");
        }
    }
}

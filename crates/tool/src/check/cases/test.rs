//! Unit tests of the rules: what each asks, of which alert, and its series.

use std::path::Path;
use std::time::Duration;

use promql_parser::label::MatchOp;
use promql_parser::parser::VectorSelector;

use super::super::finding::Findings;
use super::input::Input;
use aiclipx_base::duration;
use aiclipx_model::monitoring::located::Node;
use aiclipx_model::monitoring::{Alert, Monitoring, promql};

/// promtool's, of a test that names none.
const DEFAULT_INTERVAL: Duration = Duration::from_mins(1);

/// A test asks for an alert once.
pub(super) struct Question {
    alert: String,
    /// The one job it asks for, where it asks for one, or for what it expects of it.
    pub(super) job: Option<String>,
    pub(super) at: Duration,
    pub(super) state: State,
    /// Whether it must be there, or must not.
    pub(super) present: bool,
    /// Whether its labels and annotations are written out.
    pub(super) written_out: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum State {
    Pending,
    Firing,
    /// Whether pending or firing.
    Any,
}

/// One unit test.
pub(super) struct Test {
    questions: Vec<Question>,
    pub(super) series: Vec<Input>,
}

impl Test {
    /// A test of that file; a question about what no rule has is a finding.
    pub(super) fn read(test: &Node, monitoring: &Monitoring, file: &Path, findings: &mut Findings) -> Test {
        let mut questions = Vec::new();
        for node in test.items_of("alert_rule_test") {
            questions.push(of_alert(node, monitoring, file, findings));
        }
        for node in test.items_of("promql_expr_test") {
            let Ok(tree) = promql::parse(node.text_of("expr").unwrap_or_default()) else { continue };
            let selectors = promql::selectors(&tree).into_iter();
            for selector in selectors.filter(|selector| selector.name.as_deref() == Some("ALERTS")) {
                questions.extend(of_selector(selector, node, monitoring, file, findings));
            }
        }
        let interval = test.text_of("interval").and_then(|text| duration::parse(text).ok()).unwrap_or(DEFAULT_INTERVAL);
        let series = test.items_of("input_series").iter().map(|series| Input::read(series, interval)).collect();
        Test { questions, series }
    }

    pub(super) fn a_series_dies(&self) -> bool {
        self.series.iter().any(Input::dies)
    }

    /// Its questions about an alert.
    pub(super) fn about(&self, alert: &Alert) -> Vec<&Question> {
        self.questions.iter().filter(|question| question.alert == alert.name).collect()
    }
}

/// When it is asked.
fn time_of(node: &Node) -> Duration {
    node.text_of("eval_time").and_then(|text| duration::parse(text).ok()).unwrap_or_default()
}

/// What promtool's own form asks.
fn of_alert(node: &Node, monitoring: &Monitoring, file: &Path, findings: &mut Findings) -> Question {
    let alert = node.text_of("alertname").unwrap_or_default().to_owned();
    if monitoring.alert(&alert).is_none() {
        let what = format!("a test of {alert}, which no rule has");
        findings.find("test/alert", file, node.line_of("alertname"), what, "");
    }
    let expected = node.items_of("exp_alerts");
    let present = !expected.is_empty();
    let job = expected.first().and_then(|first| first.get("exp_labels")?.text_of("job")).map(str::to_owned);
    Question { alert, job, at: time_of(node), state: State::Firing, present, written_out: present }
}

/// What an expression's selector of `ALERTS` asks, a question for each alert that it is about.
fn of_selector(
    selector: &VectorSelector,
    node: &Node,
    monitoring: &Monitoring,
    file: &Path,
    findings: &mut Findings,
) -> Vec<Question> {
    let is_there = |sample: &Node| sample.get("value").and_then(Node::as_number).is_some_and(|value| value > 0.0);
    let present = node.items_of("exp_samples").iter().any(is_there);
    let matchers = &selector.matchers.matchers;
    let named: Vec<_> = matchers.iter().filter(|matcher| matcher.name == "alertname").collect();
    let fits = |alert: &&Alert| named.iter().all(|matcher| matcher.is_match(&alert.name));
    let mut alerts: Vec<&Alert> = monitoring.alerts().iter().filter(fits).collect();
    if alerts.is_empty() {
        let what = format!("`{selector}` is of no alert");
        findings.find("test/alert", file, node.line_of("expr"), what, "the rules have none of that name");
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
        return Vec::new();
    }
    let mut of_job = matchers.iter().filter(|matcher| matcher.name == "job" && matcher.op == MatchOp::Equal);
    let job = of_job.next().map(|matcher| matcher.value.clone());
    let is_state = |state| matchers.iter().any(|matcher| matcher.name == "alertstate" && matcher.is_match(state));
    let state = match (is_state("pending"), is_state("firing")) {
        (true, false) => State::Pending,
        (false, true) => State::Firing,
        _ => State::Any,
    };
    let question = |alert: &Alert| Question {
        alert: alert.name.clone(),
        job: job.clone(),
        at: time_of(node),
        state,
        present,
        written_out: false,
    };
    alerts.into_iter().map(question).collect()
}

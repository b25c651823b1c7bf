//! Whether the unit tests of the rules test what they should, both ways: promtool passes in silence on a name that no
//! rule has, and on a rule that no test names.
//!
//! What a test holds is read from its data, not from its name. For each alert there is a test in which it
//!
//! - fires, with its labels and annotations written out;
//! - is pending before that, where it has a `for`;
//! - resolves: is absent later in the same test;
//! - stays quiet: is absent whenever asked for, from what lies just below its threshold;
//! - is asked for when its target dies: a series ends in `stale`;
//! - is asked for when its target has come back after that;
//! - fires on, and stays quiet, over a scrape that is lost: its series are `stale` for one sample, or `up` is 0 for one;
//! - does not fire at one event, where its rule looks at a counter, unless it is meant to;
//! - fires for one job and not for another.
//!
//! An alert without a selector (the Watchdog) can only fire, one of lost scrapes fires on over one more, and one whose rule
//! names its job knows no other. For each counter that a rule takes the rate of there is a series that starts again, and one that is
//! born with a count.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::Expr;

use super::events::OF_ONE_EVENT;
use super::finding::Findings;
use aiclipx_base::duration;
use aiclipx_model::monitoring::located::Node;
use aiclipx_model::monitoring::{Alert, Monitoring, promql};

mod input;

use input::Input;

/// A test asks for an alert once.
struct Question {
    alert: String,
    /// The one job it asks for, where it asks for one, or for what it expects of it.
    job: Option<String>,
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
    series: Vec<Input>,
}

impl Test {
    fn a_series_dies(&self) -> bool {
        self.series.iter().any(Input::dies)
    }

    /// Its questions about an alert.
    fn about(&self, alert: &Alert) -> Vec<&Question> {
        self.questions.iter().filter(|question| question.alert == alert.name).collect()
    }

    /// Its series that an alert's rule looks at, by itself or through what is recorded.
    fn read_by(&self, looks: &Looks) -> Vec<&Input> {
        self.series.iter().filter(|series| looks.names.contains(&series.name)).collect()
    }
}

pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    let mut tests = Vec::new();
    let (mut restarted, mut born) = (BTreeSet::new(), BTreeSet::new());
    for (path, document) in monitoring.documents_in("prometheus/rules/tests") {
        let file = Path::new("monitoring").join(path);
        for test in document.items_of("tests") {
            let test = read(test, monitoring, &file, findings);
            restarted.extend(test.series.iter().filter(|series| series.falls()).map(|series| series.name.clone()));
            born.extend(test.series.iter().filter(|series| series.is_born()).map(|series| series.name.clone()));
            tests.push(test);
        }
    }
    for alert in monitoring.alerts() {
        for missing in missing_cases(alert, &Looks::of(alert, monitoring), &tests) {
            let what = format!("no unit test in which {} {missing}", alert.name);
            findings.at("test/case", alert, what, "add one to monitoring/prometheus/rules/tests");
        }
    }
    for (name, file, line) in counters(monitoring) {
        for (what, there) in [("starts again", &restarted), ("is born with a count", &born)] {
            if !there.contains(&name) {
                let what = format!("no unit test in which the counter {name} {what}");
                findings.find(
                    "test/counter",
                    &file,
                    line,
                    what,
                    "add a series of it to monitoring/prometheus/rules/tests",
                );
            }
        }
    }
}

/// What an alert's rule looks at, through what is recorded.
#[derive(Default)]
struct Looks {
    /// Names of series, recorded ones among them.
    names: BTreeSet<String>,
    /// Whether it looks at what an event leaves behind: how a counter grows, how often something changes.
    at_events: bool,
    /// Whether it looks for what is absent.
    at_absence: bool,
    /// Whether some selector leaves the job open.
    at_any_job: bool,
    /// Names of what a target exposes: whether it can be scraped is none of that.
    exposed: BTreeSet<String>,
}

impl Looks {
    fn of(alert: &Alert, monitoring: &Monitoring) -> Looks {
        let mut looks = Looks::default();
        looks.follow(&alert.expr, monitoring);
        looks
    }

    fn follow(&mut self, expr: &str, monitoring: &Monitoring) {
        let Ok(tree) = promql::parse(expr) else { return };
        for node in promql::nodes(&tree) {
            let Expr::Call(call) = node else { continue };
            self.at_events |= promql::REMEMBER_AN_EVENT.contains(&call.func.name);
            self.at_absence |= call.func.name == "absent";
        }
        for selector in promql::selectors(&tree) {
            let Some(name) = &selector.name else { continue };
            let recording = monitoring.recording(name);
            if recording.is_none() && name != "up" {
                self.exposed.insert(name.clone());
            }
            let names_a_job = |matcher: &Matcher| matcher.name == "job" && matcher.op == MatchOp::Equal;
            self.at_any_job |= recording.is_none() && !selector.matchers.matchers.iter().any(names_a_job);
            if self.names.insert(name.clone())
                && let Some(recording) = recording
            {
                self.follow(&recording.expr, monitoring);
            }
        }
    }
}

fn missing_cases(alert: &Alert, looks: &Looks, tests: &[Test]) -> Vec<&'static str> {
    let any = |holds: &dyn Fn(&Question) -> bool| tests.iter().flat_map(|test| test.about(alert)).any(holds);
    let here = |question: &Question| question.present && question.state != State::Pending;
    let gone = |question: &Question| !question.present && question.state != State::Pending;
    let never_fires = |test: &Test| {
        let mine = test.about(alert);
        mine.iter().any(|question| gone(question)) && !mine.iter().any(|question| here(question))
    };
    let resolves = |test: &Test| {
        let mine = test.about(alert);
        // What ends with its target tells nothing of a fault that ends.
        !test.a_series_dies()
            && mine.iter().any(|first| {
                // That it is not there for another job is no end of this one's.
                let same = |later: &Question| later.job.is_none() || first.job.is_none() || later.job == first.job;
                here(first) && mine.iter().any(|later| later.at > first.at && gone(later) && same(later))
            })
    };
    let stays_quiet = |test: &Test| {
        let mine = test.about(alert);
        !mine.is_empty() && mine.iter().all(|question| !question.present)
    };
    let dies = |test: &Test| {
        let mut series = test.read_by(looks).into_iter();
        // What looks at nothing can only fire, whatever dies.
        let dies = if looks.names.is_empty() { test.a_series_dies() } else { series.any(Input::dies) };
        dies && !test.about(alert).is_empty()
    };
    let over_a_loss = |expected: &dyn Fn(&Question) -> bool| {
        tests.iter().any(|test| {
            let series = test.read_by(looks);
            test.about(alert).iter().any(|question| {
                let of_it = |input: &&&Input| question.job.is_none() || question.job == input.job;
                let mut lost = series.iter().filter(of_it).flat_map(|input| input.lost());
                expected(question) && lost.any(|lost| (lost..=lost + SOON).contains(&question.at))
            })
        })
    };
    let one_event = |test: &Test| {
        let event = test.read_by(looks).into_iter().find_map(Input::one_event);
        event.is_some_and(|event| never_fires(test) && test.about(alert).iter().any(|question| question.at >= event))
    };
    let returns = |test: &Test| {
        let back: Vec<Duration> = test.read_by(looks).iter().filter_map(|series| series.returns()).collect();
        test.about(alert).iter().any(|question| back.iter().any(|back| question.at >= *back))
    };
    let apart = |test: &Test| {
        let jobs: BTreeSet<&str> = test.read_by(looks).into_iter().filter_map(|series| series.job.as_deref()).collect();
        let mine = test.about(alert);
        jobs.len() > 1
            && mine.iter().filter(|question| here(question)).any(|one| {
                one.job.is_some()
                    && (one.written_out
                        || mine.iter().any(|other| gone(other) && other.job.is_some() && other.job != one.job))
            })
    };

    let depends = !looks.names.is_empty();
    let mut missing = Vec::new();
    if !any(&|question: &Question| question.written_out) {
        missing.push("fires, its labels and annotations written out");
    }
    if !alert.hold.is_zero() && !any(&|question: &Question| question.present && question.state == State::Pending) {
        missing.push("is pending before its `for` has passed");
    }
    if !tests.iter().any(dies) {
        missing.push("is asked for when a series ends in `stale`");
    }
    if !depends {
        return missing;
    }
    if !tests.iter().any(resolves) {
        missing.push("resolves");
    }
    if !tests.iter().any(stays_quiet) {
        missing.push("stays quiet");
    }
    if !tests.iter().any(returns) {
        missing.push("is asked for after its target has come back (a series with `stale _x9` in its middle)");
    }
    if !looks.exposed.is_empty() && !over_a_loss(&here) {
        missing.push("fires on over a scrape that is lost (`stale` for one sample; of `up` a 0)");
    }
    if !over_a_loss(&gone) {
        missing.push("stays quiet over a scrape that is lost (`stale` for one sample; of `up` a 0)");
    }
    let is_of_one = OF_ONE_EVENT.contains(&alert.name.as_str());
    if looks.at_events && !is_of_one && !tests.iter().any(one_event) {
        missing.push("does not fire at one event (a counter that rises by one, once)");
    }
    if looks.at_any_job && !looks.at_absence && !tests.iter().any(apart) {
        missing.push("fires for one job and not for another");
    }
    missing
}

/// A question so soon after a lost scrape is about it: the longest a sample counts.
const SOON: Duration = Duration::from_mins(5);

fn read(test: &Node, monitoring: &Monitoring, file: &Path, findings: &mut Findings) -> Test {
    let mut questions = Vec::new();
    let at = |node: &Node| node.text_of("eval_time").and_then(|text| duration::parse(text).ok()).unwrap_or_default();
    for node in test.items_of("alert_rule_test") {
        let alert = node.text_of("alertname").unwrap_or_default().to_owned();
        if monitoring.alert(&alert).is_none() {
            findings.find(
                "test/alert",
                file,
                node.line_of("alertname"),
                format!("a test of {alert}, which no rule has"),
                "",
            );
        }
        let expected = node.items_of("exp_alerts");
        let present = !expected.is_empty();
        let job = expected.first().and_then(|first| first.get("exp_labels")?.text_of("job")).map(str::to_owned);
        questions.push(Question { alert, job, at: at(node), state: State::Firing, present, written_out: present });
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
            let of_job = |matcher: &&Matcher| matcher.name == "job" && matcher.op == MatchOp::Equal;
            let job = matchers.iter().find(of_job).map(|matcher| matcher.value.clone());
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
                findings.find(
                    "test/alert",
                    file,
                    line,
                    format!("`{selector}` is of no alert"),
                    "the rules have none of that name",
                );
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
                    job: job.clone(),
                    at: at(node),
                    state,
                    present,
                    written_out: false,
                });
            }
        }
    }
    let interval = test.text_of("interval").and_then(|text| duration::parse(text).ok()).unwrap_or(DEFAULT_INTERVAL);
    let series = test.items_of("input_series").iter().map(|series| Input::read(series, interval)).collect();
    Test { questions, series }
}

/// promtool's, of a test that names none.
const DEFAULT_INTERVAL: Duration = Duration::from_mins(1);

/// Every counter that a rule takes the rate of, with the first rule that does.
fn counters(monitoring: &Monitoring) -> Vec<(String, PathBuf, usize)> {
    let alerts = monitoring.alerts().iter().map(|alert| (&alert.expr, &alert.file, alert.line));
    let recordings = monitoring.recordings().iter().map(|rule| (&rule.expr, &rule.file, rule.line));
    let mut counters: Vec<(String, PathBuf, usize)> = Vec::new();
    for (expr, file, line) in recordings.chain(alerts) {
        let Ok(tree) = promql::parse(expr) else { continue };
        for node in promql::nodes(&tree) {
            let Expr::Call(call) = node else { continue };
            if !promql::OF_COUNTERS.contains(&call.func.name) {
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

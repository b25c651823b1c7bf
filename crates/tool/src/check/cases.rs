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
//! names its job knows no other. For each counter that a rule takes the rate of there is a series that starts again, and one
//! that is born with a count.

use std::collections::BTreeSet;
use std::path::PathBuf;

use promql_parser::parser::Expr;

use super::finding::Findings;
use super::tree::file_of;
use aiclipx_model::monitoring::{Monitoring, promql};

mod input;
mod needed;
mod test;

use test::Test;

pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    let mut tests = Vec::new();
    let (mut restarted, mut born) = (BTreeSet::new(), BTreeSet::new());
    for (path, document) in monitoring.documents_in("prometheus/rules/tests") {
        let file = file_of(path);
        for test in document.items_of("tests") {
            let test = Test::read(test, monitoring, &file, findings);
            restarted.extend(test.series.iter().filter(|series| series.falls()).map(|series| series.name.clone()));
            born.extend(test.series.iter().filter(|series| series.is_born()).map(|series| series.name.clone()));
            tests.push(test);
        }
    }
    for alert in monitoring.alerts() {
        for missing in needed::missing(alert, monitoring, &tests) {
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

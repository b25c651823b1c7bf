//! The cases that an alert needs, and which of them no test has.

use std::collections::BTreeSet;
use std::time::Duration;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::Expr;

use super::super::events::OF_ONE_EVENT;
use super::input::Input;
use super::test::{Question, State, Test};
use aiclipx_model::monitoring::{Alert, Monitoring, promql};

/// A question so soon after a lost scrape is about it: the longest a sample counts.
const SOON: Duration = Duration::from_mins(5);

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

/// What the cases that an alert has no test of say: what would happen in one.
pub(super) fn missing(alert: &Alert, monitoring: &Monitoring, tests: &[Test]) -> Vec<&'static str> {
    Cases { alert, looks: Looks::of(alert, monitoring), tests }.missing()
}

/// The tests, read as an alert's.
struct Cases<'a> {
    alert: &'a Alert,
    looks: Looks,
    tests: &'a [Test],
}

fn is_here(question: &Question) -> bool {
    question.present && question.state != State::Pending
}

fn is_gone(question: &Question) -> bool {
    !question.present && question.state != State::Pending
}

impl Cases<'_> {
    fn missing(&self) -> Vec<&'static str> {
        let Cases { alert, looks, .. } = self;
        let depends = !looks.names.is_empty();
        let is_of_one = OF_ONE_EVENT.contains(&alert.name.as_str());
        let is_pending = |one: &Question| one.present && one.state == State::Pending;
        // Whether it needs the case, has it, and what the case is.
        let cases = [
            (true, self.any(|one| one.written_out), "fires, its labels and annotations written out"),
            (!alert.hold.is_zero(), self.any(is_pending), "is pending before its `for` has passed"),
            (true, self.has(Self::dies), "is asked for when a series ends in `stale`"),
            (depends, self.has(Self::resolves), "resolves"),
            (depends, self.has(Self::stays_quiet), "stays quiet"),
            (
                depends,
                self.has(Self::returns),
                "is asked for after its target has come back (a series with `stale _x9` in its middle)",
            ),
            (
                depends && !looks.exposed.is_empty(),
                self.has(|cases, test| cases.over_a_loss(test, is_here)),
                "fires on over a scrape that is lost (`stale` for one sample; of `up` a 0)",
            ),
            (
                depends,
                self.has(|cases, test| cases.over_a_loss(test, is_gone)),
                "stays quiet over a scrape that is lost (`stale` for one sample; of `up` a 0)",
            ),
            (
                depends && looks.at_events && !is_of_one,
                self.has(Self::one_event),
                "does not fire at one event (a counter that rises by one, once)",
            ),
            (
                depends && looks.at_any_job && !looks.at_absence,
                self.has(Self::apart),
                "fires for one job and not for another",
            ),
        ];
        cases.into_iter().filter(|(needs, has, _)| *needs && !has).map(|(.., case)| case).collect()
    }

    fn any(&self, holds: impl Fn(&Question) -> bool) -> bool {
        self.tests.iter().flat_map(|test| test.about(self.alert)).any(holds)
    }

    fn has(&self, case: impl Fn(&Self, &Test) -> bool) -> bool {
        self.tests.iter().any(|test| case(self, test))
    }

    /// A test's series that the rule looks at, by itself or through what is recorded.
    fn read<'a>(&self, test: &'a Test) -> impl Iterator<Item = &'a Input> {
        test.series.iter().filter(|series| self.looks.names.contains(&series.name))
    }

    fn resolves(&self, test: &Test) -> bool {
        let mine = test.about(self.alert);
        // What ends with its target tells nothing of a fault that ends.
        !test.a_series_dies()
            && mine.iter().any(|first| {
                // That it is not there for another job is no end of this one's.
                let same = |later: &Question| later.job.is_none() || first.job.is_none() || later.job == first.job;
                is_here(first) && mine.iter().any(|later| later.at > first.at && is_gone(later) && same(later))
            })
    }

    fn stays_quiet(&self, test: &Test) -> bool {
        let mine = test.about(self.alert);
        !mine.is_empty() && mine.iter().all(|question| !question.present)
    }

    fn dies(&self, test: &Test) -> bool {
        // What looks at nothing can only fire, whatever dies.
        let dies = if self.looks.names.is_empty() { test.a_series_dies() } else { self.read(test).any(Input::dies) };
        dies && !test.about(self.alert).is_empty()
    }

    fn over_a_loss(&self, test: &Test, expected: fn(&Question) -> bool) -> bool {
        test.about(self.alert).into_iter().filter(|question| expected(question)).any(|question| {
            let of_it = |input: &&Input| question.job.is_none() || question.job == input.job;
            let mut lost = self.read(test).filter(of_it).flat_map(Input::lost);
            lost.any(|lost| (lost..=lost + SOON).contains(&question.at))
        })
    }

    fn one_event(&self, test: &Test) -> bool {
        let mine = test.about(self.alert);
        let never_fires = mine.iter().any(|one| is_gone(one)) && !mine.iter().any(|one| is_here(one));
        let event = self.read(test).find_map(Input::one_event);
        never_fires && event.is_some_and(|event| mine.iter().any(|question| question.at >= event))
    }

    fn returns(&self, test: &Test) -> bool {
        let back: Vec<Duration> = self.read(test).filter_map(Input::returns).collect();
        test.about(self.alert).iter().any(|question| back.iter().any(|back| question.at >= *back))
    }

    fn apart(&self, test: &Test) -> bool {
        let jobs: BTreeSet<&str> = self.read(test).filter_map(|series| series.job.as_deref()).collect();
        let mine = test.about(self.alert);
        let is_other = |one: &Question, other: &Question| is_gone(other) && other.job.is_some() && other.job != one.job;
        let is_apart = |one: &Question| one.written_out || mine.iter().any(|other| is_other(one, other));
        jobs.len() > 1 && mine.iter().any(|one| is_here(one) && one.job.is_some() && is_apart(one))
    }
}

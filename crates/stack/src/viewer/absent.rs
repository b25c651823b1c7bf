//! Why a panel is empty that a part would fill which this stack goes without.

use super::ask::{self, QueryError};
use crate::component::Component;
use aiclipx_base::address::Address;
use aiclipx_dashboard::draw::Frame;
use aiclipx_dashboard::query::TimeRange;
use aiclipx_model::monitoring::{optional, promql};

/// Optional parts that Prometheus knew nothing of in a time.
#[derive(Debug, Default)]
pub(super) struct Absent(Vec<&'static str>);

impl Absent {
    /// Asks only where an answer is empty.
    pub(super) async fn of(address: &Address, range: TimeRange, answers: &[Result<Frame, QueryError>]) -> Absent {
        let is_empty = |answer: &Result<Frame, QueryError>| answer.as_ref().is_ok_and(|frame| frame.series.is_empty());
        if !answers.iter().any(is_empty) {
            return Absent::default();
        }
        // What can't be known explains nothing.
        let Ok(jobs) = ask::jobs(address, range).await else { return Absent::default() };
        let optional = Component::ALL.into_iter().filter(|one| one.is_optional()).map(Component::name);
        Absent(optional.filter(|name| !jobs.iter().any(|job| job == name)).collect())
    }

    /// Why all of these are empty, if each is for want of a part.
    pub(super) fn why(&self, frames: &[Frame]) -> Option<String> {
        let why_nothing = |frame: &Frame| {
            let expr = promql::parse(&frame.query.expr).ok().filter(|_| frame.series.is_empty())?;
            optional::why_nothing(&expr, &self.0, &|name| Some(words(name)))
        };
        frames.iter().map(why_nothing).collect::<Option<Vec<String>>>()?.into_iter().next()
    }
}

fn words(name: &str) -> String {
    let mut letters = name.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{} is not part of this stack", letters.as_str())
}

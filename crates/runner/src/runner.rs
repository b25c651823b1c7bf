//! Runs experiments, some of them side by side: the one loop of `prove`, `evidence` and `aiclipx-mutants`.
//!
//! Each is a task of its own, so that nothing one does makes another's requests late. What the machine disturbed is tried once
//! more; a run whose claims fail is not: that would be trying until it holds. What ends one experiment, be it a panic, neither
//! ends nor deletes the others, and what came of all is returned in the order in which they were given.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use futures_util::FutureExt;
use tokio::task::JoinSet;

use crate::events::{Event, Events};
use aiclipx_base::duration::Speed;
use aiclipx_model::failure::{Failure, Kind};
use aiclipx_stack::interrupt::Interrupt;

/// What to do on private stacks, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names of scenarios (`error-rate`), or ids of mutants; all where empty.
    pub only: Vec<String>,
    /// Seed of every schedule.
    pub seed: u64,
    /// Speed of every stack.
    pub speed: Speed,
    /// Stacks side by side.
    pub jobs: usize,
    /// The folder in which the outcome gets a folder of its own.
    pub out: PathBuf,
    /// Whether every stack has a database for the items.
    pub database: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// It is repeated if it was disturbed.
    First,
    /// What comes of it stays.
    Second,
}

/// What came of a try, and what disturbed it, in words.
pub(super) struct Try<T> {
    pub(super) came: T,
    pub(super) disturbed: Option<String>,
}

/// Disturbances in one line; none where there are none.
pub(super) fn invalid(disturbances: impl Iterator<Item = String>) -> Option<String> {
    let told: Vec<String> = disturbances.collect();
    (!told.is_empty()).then(|| format!("invalid ({})", told.join("; ")))
}

/// Why a first try is repeated: the machine disturbed it or failed us. What is wrong with the input stays so, and who interrupts
/// does not want it again.
pub(super) fn why_again<T>(tried: &Result<Try<T>, Failure>) -> Option<String> {
    match tried {
        Ok(tried) => tried.disturbed.clone(),
        Err(failure) => (failure.kind() == Kind::Infrastructure).then(|| failure.to_string()),
    }
}

/// An experiment that is to be run. It gathers in itself what is to be known of its tries, for it is returned.
pub(super) trait Job: Send + 'static {
    /// What a try leaves.
    type Came: Send + 'static;

    /// Its name in what is told.
    fn name(&self) -> &str;

    fn attempt(&mut self, which: Which) -> impl Future<Output = Result<Try<Self::Came>, Failure>> + Send;

    /// Whether a disturbed first try is repeated.
    fn is_repeatable(&self) -> bool {
        true
    }

    /// Takes away what the last try left that can't be judged, for it failed.
    fn clear(&mut self) {}
}

/// An experiment that has ended.
pub(super) struct Ended<J: Job> {
    pub(super) job: J,
    pub(super) came: Result<J::Came, Failure>,
}

/// Runs jobs, so many at a time, in their order. `ended` is told of each when it ends, and how many have.
///
/// Once the user asks to stop no other begins; those that did not come as interrupted.
pub(super) async fn run<J: Job>(
    jobs: Vec<J>,
    at_once: usize,
    events: &Events,
    interrupt: &Interrupt,
    mut ended: impl FnMut(&Ended<J>, usize),
) -> Vec<Ended<J>> {
    let mut waiting = jobs.into_iter().enumerate();
    let mut tasks = JoinSet::new();
    let mut all: Vec<(usize, Ended<J>)> = Vec::new();
    loop {
        while tasks.len() < at_once.max(1) && !interrupt.is_requested() {
            let Some((index, mut job)) = waiting.next() else { break };
            let events = events.clone();
            tasks.spawn(async move {
                let tried = AssertUnwindSafe(once_or_twice(&mut job, &events)).catch_unwind().await;
                let came = tried.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
                if came.is_err() {
                    job.clear();
                }
                (index, Ended { job, came })
            });
        }
        let Some(joined) = tasks.join_next().await else { break };
        let (index, one) = joined.expect("nobody cancels it, and it catches panics");
        ended(&one, all.len() + 1);
        all.push((index, one));
    }
    all.extend(waiting.map(|(index, job)| (index, Ended { job, came: Err(Failure::interrupted()) })));
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, one)| one).collect()
}

async fn once_or_twice<J: Job>(job: &mut J, events: &Events) -> Result<J::Came, Failure> {
    let first = job.attempt(Which::First).await;
    let Some(why) = why_again(&first).filter(|_| job.is_repeatable()) else { return Ok(first?.came) };
    events.tell(job.name(), Event::TriedAgain { why });
    Ok(job.attempt(Which::Second).await?.came)
}

/// A fault of this program's, told where it was met; here it ends one experiment.
fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let what = text.unwrap_or_else(|| "without a message".to_owned());
    Failure::infrastructure(format!("this tool panicked: {what}")).remedy("please report it; the others go on")
}

/// What of these failures ends the command, if one must: an interruption explains whatever else went wrong at that moment.
pub(super) fn gravest(failures: impl Iterator<Item = Failure>) -> Option<Failure> {
    failures.min_by_key(|failure| failure.kind() != Kind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, channel};

    use tokio::sync::{Barrier, Semaphore};

    use super::*;
    use aiclipx_stack::interrupt::Signals;

    /// What a try of a stand-in does.
    enum Does {
        Ends,
        /// Ends, disturbed.
        IsDisturbed,
        /// Once others have come so far, too.
        Meets(Arc<Barrier>),
        /// Once it is let.
        IsLet(Arc<Semaphore>),
        FailsWith(Kind),
        Panics,
        AsksToStop(Signals),
        WaitsForTheEnd(Interrupt),
    }

    /// An experiment without a stack: what its tries do, one after the other.
    struct StandIn {
        name: &'static str,
        does: VecDeque<Does>,
        is_repeatable: bool,
        tries: Vec<Which>,
        cleared: usize,
    }

    fn stand_in(name: &'static str, does: impl Into<VecDeque<Does>>) -> StandIn {
        StandIn { name, does: does.into(), is_repeatable: true, tries: Vec::new(), cleared: 0 }
    }

    impl Job for StandIn {
        type Came = usize;

        fn name(&self) -> &str {
            self.name
        }

        async fn attempt(&mut self, which: Which) -> Result<Try<usize>, Failure> {
            self.tries.push(which);
            let mut disturbed = None;
            match self.does.pop_front().expect("it is not tried so often") {
                Does::Ends => {}
                Does::IsDisturbed => disturbed = invalid(["a scrape was missed".to_owned()].into_iter()),
                Does::Meets(barrier) => _ = barrier.wait().await,
                Does::IsLet(semaphore) => semaphore.acquire().await.expect("it stays open").forget(),
                Does::FailsWith(Kind::Infrastructure) => return Err(Failure::infrastructure("a component died")),
                Does::FailsWith(Kind::Interrupted) => return Err(Failure::interrupted()),
                Does::FailsWith(_) => return Err(Failure::usage("no such thing")),
                Does::Panics => panic!("a fault of ours"),
                Does::AsksToStop(signals) => signals.ask(),
                Does::WaitsForTheEnd(interrupt) => {
                    interrupt.requested().await;
                    return Err(Failure::interrupted());
                }
            }
            Ok(Try { came: self.tries.len(), disturbed })
        }

        fn is_repeatable(&self) -> bool {
            self.is_repeatable
        }

        fn clear(&mut self) {
            self.cleared += 1;
        }
    }

    /// What is told goes where it can be read.
    fn kept() -> (Events, Receiver<(Option<String>, Event)>) {
        let (to, from) = channel();
        (Events::to(move |told| drop(to.send((told.experiment.clone(), told.event.clone())))), from)
    }

    /// Name, tries, and what came: the number of the try, or why not.
    fn told(ended: &[Ended<StandIn>]) -> Vec<(&'static str, usize, Result<usize, Kind>)> {
        let came = |one: &Ended<StandIn>| one.came.as_ref().copied().map_err(Failure::kind);
        ended.iter().map(|one| (one.job.name, one.job.tries.len(), came(one))).collect()
    }

    async fn run_all(jobs: Vec<StandIn>, at_once: usize, signals: &Signals) -> Vec<Ended<StandIn>> {
        run(jobs, at_once, &kept().0, &signals.held(), |_, _| {}).await
    }

    #[tokio::test]
    async fn only_what_the_machine_did_is_tried_again_and_only_once() {
        use Does::{Ends, FailsWith, IsDisturbed};
        let died = || FailsWith(Kind::Infrastructure);
        for (does, tries, came) in [
            (vec![Ends], 1, Ok(1)),
            (vec![IsDisturbed, Ends], 2, Ok(2)),
            (vec![IsDisturbed, IsDisturbed], 2, Ok(2)),
            (vec![died(), Ends], 2, Ok(2)),
            (vec![IsDisturbed, died()], 2, Err(Kind::Infrastructure)),
            (vec![died(), died()], 2, Err(Kind::Infrastructure)),
            (vec![FailsWith(Kind::Usage)], 1, Err(Kind::Usage)),
            (vec![FailsWith(Kind::Interrupted)], 1, Err(Kind::Interrupted)),
        ] {
            let (events, heard) = kept();
            let jobs = vec![stand_in("a", does)];
            let ended = run(jobs, 1, &events, &Signals::unheard().held(), |_, _| {}).await;
            assert_eq!(told(&ended), [("a", tries, came)]);
            assert_eq!(ended[0].job.tries, [Which::First, Which::Second][..tries]);
            // What failed left nothing that looks like an experiment.
            assert_eq!(ended[0].job.cleared, usize::from(came.is_err()));
            drop(events);
            let again = heard
                .iter()
                .filter(|(name, event)| name.as_deref() == Some("a") && matches!(event, Event::TriedAgain { .. }));
            assert_eq!(again.count(), tries - 1);
        }
    }

    #[tokio::test]
    async fn what_is_not_to_be_repeated_is_not() {
        let mut job = stand_in("a", [Does::FailsWith(Kind::Infrastructure)]);
        job.is_repeatable = false;
        let ended = run_all(vec![job], 1, &Signals::unheard()).await;
        assert_eq!(told(&ended), [("a", 1, Err(Kind::Infrastructure))]);
    }

    #[tokio::test]
    async fn what_ends_one_neither_ends_nor_deletes_the_others() {
        let jobs = vec![
            stand_in("a", [Does::Ends]),
            stand_in("b", [Does::Panics]),
            stand_in("c", [Does::FailsWith(Kind::Usage)]),
            stand_in("d", [Does::IsDisturbed, Does::Panics]),
            stand_in("e", [Does::Ends]),
        ];
        let ended = run_all(jobs, 2, &Signals::unheard()).await;
        let infrastructure = Kind::Infrastructure;
        assert_eq!(
            told(&ended),
            [
                ("a", 1, Ok(1)),
                ("b", 1, Err(infrastructure)),
                ("c", 1, Err(Kind::Usage)),
                ("d", 2, Err(infrastructure)),
                ("e", 1, Ok(1))
            ]
        );
        let failure = ended[1].came.as_ref().unwrap_err();
        assert_eq!(failure.in_one_line(), "this tool panicked: a fault of ours");
        assert_eq!(ended.iter().map(|one| one.job.cleared).collect::<Vec<_>>(), [0, 1, 1, 1, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_run_side_by_side() {
        // Two must meet, or neither ends. The clock stands still as long as anything goes on.
        let meeting = Arc::new(Barrier::new(2));
        let meets = || [Does::Meets(Arc::clone(&meeting))];
        let jobs = vec![stand_in("a", meets()), stand_in("b", meets()), stand_in("c", meets()), stand_in("d", meets())];
        let signals = Signals::unheard();
        let all = run_all(jobs, 2, &signals);
        let ended = tokio::time::timeout(std::time::Duration::from_secs(1), all).await.expect("they meet");
        assert_eq!(ended.len(), 4);
    }

    #[tokio::test]
    async fn they_come_in_their_order_and_are_told_in_that_of_their_ends() {
        let let_go = Arc::new(Semaphore::new(0));
        let jobs = vec![stand_in("slow", [Does::IsLet(Arc::clone(&let_go))]), stand_in("fast", [Does::Ends])];
        let mut order = Vec::new();
        let (events, interrupt) = (kept().0, Signals::unheard().held());
        let ended = run(jobs, 2, &events, &interrupt, |one, number| {
            order.push((one.job.name, number));
            let_go.add_permits(1);
        });
        let ended = ended.await;
        assert_eq!(told(&ended), [("slow", 1, Ok(1)), ("fast", 1, Ok(1))]);
        assert_eq!(order, [("fast", 1), ("slow", 2)]);
    }

    #[tokio::test]
    async fn an_interruption_leaves_what_came_stops_what_runs_and_begins_no_other() {
        let signals = Signals::unheard();
        let jobs = vec![
            stand_in("came", [Does::Ends]),
            stand_in("runs", [Does::WaitsForTheEnd(signals.held())]),
            stand_in("asks", [Does::AsksToStop(signals.clone())]),
            stand_in("waits", [Does::Ends]),
        ];
        let ended = run_all(jobs, 2, &signals).await;
        let interrupted = Err(Kind::Interrupted);
        assert_eq!(
            told(&ended),
            [("came", 1, Ok(1)), ("runs", 1, interrupted), ("asks", 1, Ok(1)), ("waits", 0, interrupted)]
        );
    }

    #[test]
    fn an_interruption_explains_what_else_went_wrong() {
        let failures = [Failure::usage("first"), Failure::interrupted(), Failure::infrastructure("third")];
        assert_eq!(gravest(failures.into_iter()).unwrap().kind(), Kind::Interrupted);
        let failures = [Failure::usage("first"), Failure::infrastructure("second")];
        assert_eq!(gravest(failures.into_iter()).unwrap().kind(), Kind::Usage);
        assert!(gravest([].into_iter()).is_none());
    }
}

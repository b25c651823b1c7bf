//! What a run looks like while it runs: counters that the sender keeps, and one line that shows them.
//!
//! On a terminal the line stays in place; elsewhere (a log, CI) a plain line comes every few seconds. Nothing here
//! decides anything: the ledger is the truth, and a reader of stderr that stalls must not slow the sender down.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use aiclipx_model::failure::tell;
use aiclipx_model::traffic::ledger::Quantiles;
use aiclipx_model::traffic::schedule::{PlannedPhase, Schedule};

/// How often the line in place is drawn again.
const REDRAW: Duration = Duration::from_millis(200);
/// Of so many answers the line in place shows the percentile: it is drawn five times a second, on the sender's processor.
const SHOWN: usize = 4096;
/// How often a plain line comes.
const PLAIN: Duration = Duration::from_secs(5);

/// Counters of a run, shared between the sender and whoever shows them.
#[derive(Debug)]
pub struct Progress {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    shown: Snapshot,
    started: Option<Instant>,
    /// In microseconds, of what has ended since the phase began; the last [`SHOWN`] of them.
    latencies: VecDeque<u64>,
}

/// The counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Id of the scenario.
    pub scenario: String,
    /// The phase being sent; empty before the first.
    pub phase: String,
    /// Since the start of the run.
    pub elapsed: Duration,
    /// How long the run takes.
    pub length: Duration,
    /// Requests whose time has come.
    pub launched: u64,
    /// Of those, the ones not ended yet.
    pub in_flight: u64,
    /// Answers of 500 and above, and attempts without a whole answer.
    pub failed: u64,
    /// 95th percentile of latency of the phase's last [`SHOWN`] answers, in microseconds; none while nothing has ended in it.
    pub p95_us: Option<u64>,
}

impl Progress {
    pub fn new(schedule: &Schedule) -> Arc<Progress> {
        let shown = Snapshot {
            scenario: schedule.scenario.clone(),
            phase: String::new(),
            elapsed: Duration::ZERO,
            length: schedule.length(),
            launched: 0,
            in_flight: 0,
            failed: 0,
            p95_us: None,
        };
        Arc::new(Progress {
            state: Mutex::new(State { shown, started: None, latencies: VecDeque::with_capacity(SHOWN) }),
        })
    }

    pub fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        let elapsed = state.started.map_or(Duration::ZERO, |started| started.elapsed());
        let (shown, latencies) = (state.shown.clone(), state.latencies.clone());
        // The sender waits for nothing but the copy.
        drop(state);
        let Quantiles { count, p95_us, .. } = Quantiles::of(latencies);
        Snapshot { elapsed, p95_us: (count > 0).then_some(p95_us), ..shown }
    }

    pub(super) fn phase_began(&self, phase: &PlannedPhase) {
        let mut state = self.lock();
        state.started.get_or_insert_with(Instant::now);
        state.shown.phase.clone_from(&phase.name);
        state.latencies.clear();
    }

    pub(super) fn launched(&self) {
        let mut state = self.lock();
        state.shown.launched += 1;
        state.shown.in_flight += 1;
    }

    pub(super) fn ended(&self, latency_us: Option<u64>, is_error: bool) {
        let mut state = self.lock();
        state.shown.in_flight -= 1;
        state.shown.failed += u64::from(is_error);
        if let Some(latency_us) = latency_us {
            if state.latencies.len() == SHOWN {
                state.latencies.pop_front();
            }
            state.latencies.push_back(latency_us);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the counters on stderr for as long as it is polled; ends only by being dropped, and then leaves no half a
    /// line behind.
    pub async fn show(self: Arc<Self>) {
        let terminal = std::io::stderr().is_terminal();
        let mut before = (Instant::now(), self.snapshot().launched);
        let bar = terminal.then(|| Bar::new(self.snapshot().length));
        loop {
            tokio::time::sleep(if terminal { REDRAW } else { PLAIN }).await;
            let snapshot = self.snapshot();
            let now = Instant::now();
            let rate = per_second(snapshot.launched - before.1, now - before.0);
            match &bar {
                Some(Bar(bar)) => {
                    bar.set_position(u64::try_from(snapshot.elapsed.as_millis()).unwrap_or(u64::MAX));
                    bar.set_message(snapshot.line(rate));
                    // The rate of a single redraw jumps: it is taken over a second.
                    if now - before.0 < Duration::from_secs(1) {
                        continue;
                    }
                }
                None => tell(&format!("{}: {}", snapshot.scenario, snapshot.line(rate))),
            }
            before = (now, snapshot.launched);
        }
    }
}

/// A line in place that is wiped when it goes.
struct Bar(ProgressBar);

impl Bar {
    fn new(length: Duration) -> Bar {
        let bar = ProgressBar::new(u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
        let style = ProgressStyle::with_template("{bar:12} {wide_msg}").expect("the template is right");
        bar.set_style(style.progress_chars("━╸─"));
        Bar(bar)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Snapshot {
    /// One line; with the bar before it, it fits 80 columns for what names and numbers usually are.
    pub fn line(&self, rate: f64) -> String {
        format!(
            "{} · {}/{} s · {rate:.1}/s · {} in flight · {} failed · p95 {}",
            self.phase,
            self.elapsed.as_secs(),
            self.length.as_secs(),
            self.in_flight,
            self.failed,
            self.p95_us.map_or_else(|| "–".to_owned(), super::table::milliseconds),
        )
    }
}

fn per_second(count: u64, span: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
    let count = count as f64;
    if span.is_zero() { 0.0 } else { count / span.as_secs_f64() }
}

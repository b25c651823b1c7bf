//! Sends a schedule, and does meanwhile what the scenario does to components; the receiver is told of each phase.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::spec::{RunSpec, Say};
use crate::environment::{ASK_LIMIT, Environment};
use crate::events::{Doing, STILL_AT_IT};
use crate::surroundings::now_ms;
use crate::traffic::balance::Balanced;
use crate::traffic::connection::Tcp;
use crate::traffic::progress::Progress;
use crate::traffic::send::{Limits, Named, Sent, send};
use aiclipx_http::client;
use aiclipx_judge::run::StepTime;
use aiclipx_model::failure::Failure;
use aiclipx_model::scenario::{Action, Step};
use aiclipx_model::traffic::schedule::Schedule;
use aiclipx_stack::interrupt::Interrupt;

/// Sends the schedule while phases are posted.
pub(super) async fn traffic(
    what: RunSpec<'_>,
    schedule: &Schedule,
    id: &str,
    say: &Say<'_>,
    interrupt: &Interrupt,
) -> Result<(Sent, Vec<StepTime>), Failure> {
    let app = what.environment.app();
    let progress = Progress::new(schedule);
    let (phases, mut began) = mpsc::unbounded_channel::<Option<String>>();
    let mut steps = Steps { environment: what.environment, done: Vec::new(), failure: None };
    let posting = async {
        while let Some(phase) = began.recv().await {
            let planned = what.scenario.phases.iter().filter(|planned| Some(&planned.name) == phase.as_ref());
            steps.take(planned.flat_map(|planned| &planned.steps)).await;
            // Phases are for graphs; a receiver that misses one makes no run invalid.
            let body = serde_json::json!({"run": id, "scenario": what.scenario.id(), "phase": phase}).to_string();
            if let Some(receiver) = what.environment.receiver() {
                let _ = client::post_json(receiver, "/phase", body, ASK_LIMIT).await;
            }
        }
    };
    let sending = async {
        let tell = phases.clone();
        let sent = send(
            schedule,
            &Named { run: id, service: what.tree.service() },
            Balanced::over(try_join_all(app.iter().map(Tcp::resolve)).await?),
            &Limits::default(),
            &progress,
            move |phase| {
                let _ = tell.send(Some(phase.name.clone()));
            },
            interrupt.requested(),
        )
        .await;
        let _ = phases.send(None);
        drop(phases);
        sent
    };
    let is_shown = what.show && !schedule.requests.is_empty();
    let sent = tokio::select! {
        (sent, ()) = async { tokio::join!(sending, posting) } => sent,
        never = shown(&progress, is_shown, say) => match never {},
    };
    steps.put_back().await;
    match (sent, steps.failure) {
        // An interruption may meet a step half way: then it is the interruption that counts.
        (Ok(sent), Some(failure)) if !sent.ledger.head.interrupted => Err(failure),
        (sent, _) => Ok((sent?, steps.done)),
    }
}

/// Shows how far the traffic is, until it is over: in a line of its own, or as a run beside others.
async fn shown(progress: &Arc<Progress>, in_a_line: bool, say: &Say<'_>) -> Infallible {
    if in_a_line {
        Arc::clone(progress).show().await;
    }
    loop {
        sleep(STILL_AT_IT).await;
        let now = progress.snapshot();
        let (seconds, of_seconds) = (now.elapsed.as_secs(), now.length.as_secs());
        say(Doing::InPhase { phase: now.phase, seconds, of_seconds });
    }
}

/// What a scenario does to components, and that none of them stays down for it.
struct Steps<'a> {
    environment: Environment<'a>,
    done: Vec<StepTime>,
    failure: Option<Failure>,
}

impl Steps<'_> {
    async fn take(&mut self, steps: impl Iterator<Item = &Step>) {
        for step in steps {
            // What is claimed of an optional component that is not there says so itself.
            if self.environment.lacks(&step.component) {
                continue;
            }
            let action = step.action;
            for component in self.environment.turns(action, &step.component) {
                let start_ms = now_ms();
                let done = self.environment.order(action, &component).await;
                self.done.push(StepTime { action, component: component.clone(), start_ms, end_ms: now_ms() });
                if let Err(failure) = done {
                    let what = format!("cannot {} {component}", action.name());
                    self.failure.get_or_insert(failure.context(what));
                    // Of replicas that are restarted, who comes next is not taken away as well.
                    break;
                }
            }
        }
    }

    /// Whatever ended the run: a component that it stopped and did not start again is started.
    async fn put_back(&mut self) {
        let mut away: BTreeMap<String, Action> = BTreeMap::new();
        for step in &self.done {
            match step.action {
                Action::Stop => drop(away.insert(step.component.clone(), Action::Start)),
                Action::Pause => drop(away.insert(step.component.clone(), Action::Resume)),
                Action::Start | Action::Resume | Action::Restart => drop(away.remove(&step.component)),
                Action::Kill => {}
            }
        }
        for (component, action) in away {
            self.take([Step { action, component }].iter()).await;
        }
    }
}

//! Lets a scenario happen on a stack, and leaves a run folder.
//!
//! The order is what makes counting exact: the stack falls quiet; a scrape is seen that began after that (the
//! baseline); everything is sent; a scrape is seen that began after the last request ended (the final one). What an
//! alert does is only watched, for the pictures and to know when all is over: nothing is judged here.
//!
//! `run.json` is written last. A folder without it is of a run that goes on or did not come to its end; then
//! `broken-off.json` says why, and its ledger is whole all the same.

mod sending;
pub mod spec;
mod waiting;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::environment::{ASK_LIMIT, Environment, not_ours};
use super::pictures::{PATIENCE, Screenshots};
use crate::events::Doing;
use crate::planted;
use crate::surroundings::now_ms;
use aiclipx_base::address::Address;
use aiclipx_http::client;
use aiclipx_judge::artifacts::{self, LEDGER, RUN, SCENARIO};
use aiclipx_judge::files::{write, write_json};
use aiclipx_judge::provenance::{End, compact_utc};
use aiclipx_judge::run::{PhaseTime, Process, Run, SCHEMA};
use aiclipx_model::counted::counted;
use aiclipx_model::failure::{Failure, Kind};
use aiclipx_model::process_identity::ProcessIdentity;
use aiclipx_model::replica::Replicas;
use aiclipx_model::scenario::Scenario;
use aiclipx_model::service::{Part, Service};
use aiclipx_model::traffic::schedule::{PlannedPhase, Schedule};
use aiclipx_stack::Component;
use aiclipx_stack::interrupt::Interrupt;
use aiclipx_stack::layout::{RUNS, RUNS_LOCK};
use aiclipx_stack::lock::Lock;
use sending::traffic;
use spec::{RunResult, RunSpec, Say};
use waiting::Waiting;

/// Enacts a scenario once.
///
/// One at a time on a stack: two runs at once would each count the other's requests. A component that died is named.
pub async fn enact(what: RunSpec<'_>, say: &Say<'_>, interrupt: &Interrupt) -> Result<RunResult, Failure> {
    if let (Environment::External(_), Some(step)) =
        (what.environment, what.scenario.phases.iter().find_map(|p| p.steps.first()))
    {
        return Err(not_ours(&format!("{} {} for {}", step.action.name(), step.component, what.scenario.id())));
    }
    if let Some(wanted) = what.scenario.replicas.filter(|wanted| wanted.count() != what.environment.replicas()) {
        return Err(other_replicas(what.scenario, wanted, what.environment.replicas()));
    }
    let _turn = turn(what.environment.state())?;
    let mut begun = None;
    let failure = match enacted(what, say, interrupt, &mut begun).await {
        Ok(enacted) => return Ok(enacted),
        Err(failure) => failure,
    };
    let died = failure.kind() == Kind::Infrastructure && what.environment.dead().await.is_some();
    let failure = what.environment.blame(failure).await;
    if let Some(folder) = begun {
        // Without it nobody is told why, and no more than that.
        let _ = write_json(&folder.join(END), &End { why: failure.in_one_line(), died });
    }
    Err(failure)
}

/// A scenario about so many replicas says nothing of a stack that has another number of them.
pub fn other_replicas(scenario: &Scenario, wanted: Replicas, there: usize) -> Failure {
    let there = counted(there, "replica");
    Failure::usage(format!("{} is about {wanted} replicas of the service, and this stack has {there}", scenario.id()))
        .remedy(format!("start one with `just up --replicas {wanted}`, or let `just prove` start its own"))
}

/// What ended a run that has no `run.json`, in its folder.
pub const END: &str = "broken-off.json";

/// Whether a run goes on at this moment.
pub(super) fn goes_on(state: &Path) -> bool {
    Lock::is_held(&runs_lock(state))
}

fn runs_lock(state: &Path) -> PathBuf {
    state.join(RUNS_LOCK)
}

/// The run lock: one run at a time per stack.
fn turn(state: &Path) -> Result<Lock, Failure> {
    let file = runs_lock(state);
    let lock = Lock::try_take(&file);
    let lock = lock.map_err(|error| Failure::usage(format!("cannot write {}: {error}", file.display())))?;
    lock.ok_or_else(|| {
        Failure::usage("another run is under way on this stack, and would be counted with this one")
            .remedy("wait until it has ended")
    })
}

async fn enacted(
    what: RunSpec<'_>,
    say: &Say<'_>,
    interrupt: &Interrupt,
    begun: &mut Option<PathBuf>,
) -> Result<RunResult, Failure> {
    let (environment, service) = (what.environment, what.tree.service());
    let schedule = Schedule::new(what.scenario, what.seed, environment.speed(), what.length)?;
    if schedule.injects_faults() {
        interrupt.or(faults_are_on(environment.app_metrics(), service)).await?;
    }
    let alerts = if what.pictures { &what.scenario.expect.fires[..] } else { &[] };
    let screenshots = async { Ok(Screenshots::open(alerts, environment.prometheus(), PATIENCE).await) };
    let screenshots = interrupt.or(screenshots).await?;
    let waiting = Waiting::new(what, say);
    let (quiet, quiet_ms) = interrupt.or(waiting.until_baseline()).await?;

    let id = format!("{}-{}-s{}", compact_utc(quiet_ms)?, what.scenario.id(), what.seed);
    let folder = environment.state().join(RUNS).join(&id);
    write(&SCENARIO.below(&folder), what.scenario.text.as_bytes())?;
    *begun = Some(folder.clone());
    let mut disturbances = expositions(environment.app_metrics(), &service.metrics, &folder, "before").await?;
    let at_start = environment.identities().await?;
    plant(what, &id)?;

    say(Doing::Sending);
    let mut screenshots = screenshots.start(folder.clone());
    let (sent, steps) = traffic(what, &schedule, &id, say, interrupt).await?;
    screenshots.traffic_is_over();
    sent.ledger.write(&LEDGER.below(&folder))?;
    if sent.ledger.head.interrupted {
        return Err(Failure::interrupted());
    }
    disturbances.extend(interrupt.or(waiting.until_over(&sent.ledger.head)).await?);
    disturbances.extend(expositions(environment.app_metrics(), &service.metrics, &folder, "after").await?);
    let at_end = environment.identities().await?;

    say(Doing::WaitingForLastPictures);
    let album = interrupt.or(async { Ok(screenshots.done().await?) }).await?;
    let (end_ms, stepped) = ended(quiet_ms, now_ms(), quiet.elapsed());
    disturbances.extend(stepped);
    let run = Run {
        schema: SCHEMA,
        id,
        scenario: what.scenario.id(),
        addresses: environment.configured(),
        quiet_ms,
        end_ms,
        phases: phases(&schedule, sent.ledger.head.started_unix_us),
        steps,
        processes: processes(&at_start, &at_end),
        pictures: album.pictures,
        missing_pictures: album.missing,
        disturbances,
        unseen: environment.unseen(),
    };
    keep_notifications(environment, &run, &folder, say).await;
    write_json(&RUN.below(&folder), &run)?;
    Ok(RunResult { folder, sent })
}

/// A receiver that can't be asked now is asked when the run is collected.
async fn keep_notifications(environment: Environment<'_>, run: &Run, folder: &Path, say: &Say<'_>) {
    if let Err(error) = super::collect::notifications(environment, run, folder).await {
        say(Doing::NotificationsNotKept { why: format!("{error:#}") });
    }
}

/// Secrets go into a log where the scenario is about them and there is a Vector to leave them out.
fn plant(what: RunSpec<'_>, id: &str) -> Result<(), Failure> {
    if what.scenario.expect.redacts
        && let Environment::Managed(stack) = what.environment
        && stack.programs().contains_key(&Component::Vector)
    {
        planted::plant(&stack.plan().logs(), id)?;
    }
    Ok(())
}

/// When the phases were, by the wall clock, of what was begun then.
fn phases(schedule: &Schedule, started_unix_us: u64) -> Vec<PhaseTime> {
    let wall = |us: u64| i64::try_from((started_unix_us + us) / 1000).unwrap_or(i64::MAX);
    let time = |phase: &PlannedPhase| PhaseTime {
        name: phase.name.clone(),
        faulty: phase.faulty,
        start_ms: wall(phase.start_us),
        end_ms: wall(phase.end_us),
    };
    schedule.phases.iter().map(time).collect()
}

/// A wall clock that moves by more against the monotonic one, from quiet to the end, was set: slewing takes half an hour for it.
const LARGEST_STEP_MS: i64 = 1000;

/// When a window ended that began then and lasted so long: by the wall clock, unless that was set back; and that it was set.
fn ended(quiet_ms: i64, now_ms: i64, lasted: Duration) -> (i64, Option<String>) {
    let due_ms = quiet_ms + i64::try_from(lasted.as_millis()).unwrap_or(0).max(1);
    let step = now_ms - due_ms;
    let stepped = (step.abs() > LARGEST_STEP_MS).then(|| format!("the wall clock was set by {step} ms during the run"));
    (now_ms.max(due_ms), stepped)
}

/// A scenario with faults against a service that takes none would show nothing: a usage failure says so.
pub async fn faults_are_on(app: &[Address], service: &Service) -> Result<(), Failure> {
    let Some(faults) = &service.faults else {
        return Err(Failure::usage(service.without(Part::Faults).unwrap_or_default())
            .remedy("let a phase fail by what it asks for, with provokes = true, and not by `faults`"));
    };
    let Some(gauge) = &faults.gauge else { return Ok(()) };
    for address in app {
        let answer = client::get(address, &service.metrics, ASK_LIMIT)
            .await
            .with_context(|| format!("cannot ask whether the service at {address} takes faults"))
            .map_err(Failure::usage)?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if !text.lines().any(|line| line.trim() == format!("{gauge} 1")) {
            return Err(Failure::usage(format!("the service at {address} takes no faults"))
                .remedy(format!("start it so that it says {gauge} 1 (ours: APP_FAULTS=on; `just up` does)")));
        }
    }
    Ok(())
}

/// What the replicas expose now. Who does not answer, or not with that, disturbs the run: nothing was shown of what it counts.
async fn expositions(app: &[Address], path: &str, folder: &Path, when: &str) -> anyhow::Result<Vec<String>> {
    let mut unanswered = Vec::new();
    for (index, address) in app.iter().enumerate() {
        match client::get(address, path, ASK_LIMIT).await {
            Ok(answer) if answer.status.is_success() => {
                write(&folder.join(artifacts::exposition(when, index)), &answer.body)?;
            }
            Ok(answer) => unanswered.push(format!("GET {path} of {address}, {when}: {}", answer.status)),
            Err(error) => unanswered.push(format!("GET {path} of {address}, {when}: {error:#}")),
        }
    }
    Ok(unanswered)
}

fn processes(at_start: &BTreeMap<String, ProcessIdentity>, at_end: &BTreeMap<String, ProcessIdentity>) -> Vec<Process> {
    let gone = ProcessIdentity { pid: None, started_ms: None };
    at_start
        .iter()
        .map(|(component, identity)| Process {
            component: component.clone(),
            at_start: *identity,
            at_end: at_end.get(component).copied().unwrap_or(gone),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::stand_in;
    use aiclipx_stack::interrupt::Signals;

    #[test]
    fn a_clock_that_is_set_back_makes_no_window_that_ends_before_it_begins() {
        let lasted = Duration::from_mins(1);
        assert_eq!(ended(1_000, 61_040, lasted), (61_040, None));
        let (end_ms, told) = ended(1_000, 1_000 + 60_000 - 72_000, lasted);
        assert_eq!((end_ms, told.as_deref()), (61_000, Some("the wall clock was set by -72000 ms during the run")));
        assert!(ended(1_000, 91_000, lasted).1.is_some());
        assert!(ended(1_000, 1_000, Duration::ZERO).0 > 1_000);
    }

    #[test]
    fn a_run_goes_on_while_its_turn_lasts() {
        let state = tempfile::tempdir().unwrap();
        assert!(!goes_on(state.path()), "nobody ever ran anything");
        let turn = turn(state.path()).unwrap();
        assert!(goes_on(state.path()));
        drop(turn);
        assert!(!goes_on(state.path()));
    }

    #[tokio::test]
    async fn of_two_that_send_traffic_at_one_stack_the_second_is_refused_and_asks_it_nothing() {
        let state = tempfile::tempdir().unwrap();
        // A Prometheus that is asked, and never answers.
        let prometheus = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stack = stand_in::external(prometheus.local_addr().unwrap(), state.path());
        let tree = stand_in::tree();
        let what = RunSpec {
            environment: Environment::External(&stack),
            tree: &tree,
            scenario: tree.scenarios.iter().find(|scenario| scenario.name == "request-rate").unwrap(),
            seed: 42,
            length: None,
            show: false,
            pictures: false,
            from_quiet: false,
        };
        let (signals, unheard) = (Signals::unheard(), Signals::unheard());
        let (interrupt, not_interrupted) = (signals.held(), unheard.held());
        let mut first = std::pin::pin!(enact(what, &|_| {}, &interrupt));
        let _asks = tokio::select! {
            ended = &mut first => panic!("it waits for scrapes: {ended:?}"),
            asks = prometheus.accept() => asks.unwrap(),
        };
        let refused = enact(what, &|_| {}, &not_interrupted).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Usage);
        assert!(refused.to_string().starts_with("another run is under way on this stack"), "{refused}");
        assert!(prometheus.accept().now_or_never().is_none(), "the second asks nothing");
        assert!(goes_on(state.path()), "and takes nothing from the first");
        turn(tempfile::tempdir().unwrap().path()).expect("another stack is another's");
        signals.ask();
        assert_eq!(first.await.unwrap_err().kind(), Kind::Interrupted);
        assert!(!goes_on(state.path()));
    }

    /// Seen on a machine that stood still for ten seconds: a claim failed for want of an exposition.
    #[tokio::test]
    async fn a_service_that_does_not_answer_for_its_metrics_disturbs_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        drop(listener);
        let told = expositions(std::slice::from_ref(&address), "/metrics", folder.path(), "after").await.unwrap();
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with(&format!("GET /metrics of {address}, after: ")), "{told:?}");
        assert!(!folder.path().join("exposition").exists());
    }
}

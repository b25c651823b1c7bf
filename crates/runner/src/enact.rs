//! Lets a scenario happen on a stack, and leaves a run folder.
//!
//! The order is what makes counting exact: the stack falls quiet; a scrape is seen that began after that (the
//! baseline); everything is sent; a scrape is seen that began after the last request ended (the final one). What an
//! alert does is only watched, for the pictures and to know when all is over: nothing is judged here.
//!
//! `run.json` is written last. A folder without it is of a run that goes on or did not come to its end; then
//! `broken-off.json` says why, and its ledger is whole all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::environment::{ASK_LIMIT, Environment, not_ours};
use super::pictures::{PATIENCE, Screenshots};
use crate::events::Doing;
use crate::planted;
use crate::surroundings::now_ms;
use crate::traffic::progress::Progress;
use crate::traffic::send::{Limits, Sent, Tcp, send};
use aiclipx_base::address::Address;
use aiclipx_http::client;
use aiclipx_judge::artifacts::{self, LEDGER, RUN, SCENARIO};
use aiclipx_judge::files::{write, write_json};
use aiclipx_judge::provenance::{End, compact_utc};
use aiclipx_judge::run::{PhaseTime, Process, Run, SCHEMA, StepTime};
use aiclipx_judge::timeline::millis;
use aiclipx_judge::tree::Tree;
use aiclipx_model::failure::{Failure, Kind};
use aiclipx_model::monitoring::WATCHDOG;
use aiclipx_model::process_identity::ProcessIdentity;
use aiclipx_model::scenario::{Action, Scenario, Step};
use aiclipx_model::traffic::schedule::Schedule;
use aiclipx_stack::Component;
use aiclipx_stack::interrupt::Interrupt;
use aiclipx_stack::layout::{RUNS, RUNS_LOCK};
use aiclipx_stack::lock::Lock;
use aiclipx_stack::prom::client::{ActiveAlert, Api};

/// How often a run beside others shows that it goes on.
pub(super) const STILL_AT_IT: Duration = Duration::from_secs(8);
/// How often we look while waiting.
const LOOK: Duration = Duration::from_millis(100);
/// Prometheus scrapes a new target about five seconds after its start, whatever the interval (2.42, measured).
const FIRST_SCRAPE: Duration = Duration::from_secs(20);

/// Is told what a run does, or waits for.
pub type Say<'a> = dyn Fn(Doing) + Sync + 'a;

/// What is enacted, and how.
#[derive(Debug, Clone, Copy)]
pub struct RunSpec<'a> {
    /// The stack it happens on.
    pub environment: Environment<'a>,
    /// The rules, for how long an alert may take.
    pub tree: &'a Tree,
    /// The scenario.
    pub scenario: &'a Scenario,
    /// The seed of its schedule.
    pub seed: u64,
    /// Real length of the traffic, where it is not the scenario's own.
    pub length: Option<Duration>,
    /// Whether to show a progress line of the traffic on stderr.
    pub show: bool,
    /// Whether to take pictures of the alerts that are expected.
    pub pictures: bool,
    /// Whether to wait first until no alert is active. A stack broken on purpose may never get there.
    pub from_quiet: bool,
}

/// A run that ended by itself.
#[derive(Debug)]
pub struct RunResult {
    /// Its folder, below the stack's `runs/`.
    pub folder: PathBuf,
    /// What was sent.
    pub sent: Sent,
}

/// Enacts a scenario once.
///
/// One at a time on a stack: two runs at once would each count the other's requests. A component that died is named.
pub async fn enact(what: RunSpec<'_>, say: &Say<'_>, interrupt: &Interrupt) -> Result<RunResult, Failure> {
    if let (Environment::External(_), Some(step)) =
        (what.environment, what.scenario.phases.iter().find_map(|p| p.steps.first()))
    {
        return Err(not_ours(&format!("{} {} for {}", step.action.name(), step.component, what.scenario.id())));
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
    let environment = what.environment;
    let schedule = Schedule::new(what.scenario, what.seed, environment.speed(), what.length)?;
    let prometheus = Api::new(environment.prometheus());
    if schedule.injects_faults() {
        interrupt.or(faults_are_on(environment.app_metrics())).await?;
    }

    let alerts: Vec<String> = if what.pictures { what.scenario.expect.fires.clone() } else { Vec::new() };
    let screenshots =
        interrupt.or(async { Ok(Screenshots::open(&alerts, environment.prometheus(), PATIENCE).await) }).await?;
    if what.from_quiet {
        interrupt.or(until_quiet(what, &prometheus, say)).await?;
    }
    let targets = environment.app().len() + 3;
    let scrape = environment.speed().real(what.tree.monitoring.scrape_interval()).context("the scrape interval")?;
    let first_scrape = FIRST_SCRAPE + scrape;
    // A new stack's first scrape comes seconds after its start: a window that began before would look like one missed.
    say(Doing::WaitingForFirstScrapes);
    interrupt.or(async { Ok(scraped_after(&prometheus, targets, 0, first_scrape).await?) }).await?;
    let (quiet, quiet_ms) = (Instant::now(), now_ms());
    let id = format!("{}-{}-s{}", compact_utc(quiet_ms)?, what.scenario.id(), what.seed);
    let folder = environment.state().join(RUNS).join(&id);
    interrupt.or(async { Ok(scraped_after(&prometheus, targets, quiet_ms, first_scrape).await?) }).await?;
    write(&SCENARIO.below(&folder), what.scenario.text.as_bytes())?;
    *begun = Some(folder.clone());
    let mut disturbances = expositions(environment.app_metrics(), &folder, "before").await?;
    let at_start = environment.epochs().await?;

    if what.scenario.expect.redacts
        && let Environment::Managed(stack) = environment
        && stack.programs().contains_key(&Component::Vector)
    {
        planted::plant(&stack.plan().logs(), &id)?;
    }

    say(Doing::Sending);
    let mut screenshots = screenshots.start(folder.clone());
    let (sent, steps) = traffic(what, &schedule, &id, say, interrupt).await?;
    screenshots.traffic_is_over();
    sent.ledger.write(&LEDGER.below(&folder))?;
    if sent.ledger.head.interrupted {
        return Err(Failure::interrupted());
    }
    let after = After { what, prometheus: &prometheus, targets, sent: &sent };
    disturbances.extend(interrupt.or(after.until_over(say)).await?);
    disturbances.extend(expositions(environment.app_metrics(), &folder, "after").await?);
    let at_end = environment.epochs().await?;

    say(Doing::WaitingForLastPictures);
    let album = interrupt.or(async { Ok(screenshots.done().await?) }).await?;
    let (end_ms, stepped) = ended(quiet_ms, now_ms(), quiet.elapsed());
    disturbances.extend(stepped);
    let started_us = sent.ledger.head.started_unix_us;
    let wall = |us: u64| i64::try_from((started_us + us) / 1000).unwrap_or(i64::MAX);
    let run = Run {
        schema: SCHEMA,
        id,
        scenario: what.scenario.id(),
        addresses: environment.configured(),
        quiet_ms,
        end_ms,
        phases: schedule
            .phases
            .iter()
            .map(|phase| PhaseTime {
                name: phase.name.clone(),
                faulty: phase.faulty,
                start_ms: wall(phase.start_us),
                end_ms: wall(phase.end_us),
            })
            .collect(),
        steps,
        processes: processes(&at_start, &at_end),
        pictures: album.pictures,
        missing_pictures: album.missing,
        disturbances,
        unseen: environment.unseen(),
    };
    // A receiver that can't be asked now is asked when the run is collected.
    if let Err(error) = super::collect::notifications(environment, &run, &folder).await {
        say(Doing::NotificationsNotKept { why: format!("{error:#}") });
    }
    write_json(&RUN.below(&folder), &run)?;
    Ok(RunResult { folder, sent })
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

/// Sends the schedule while phases are posted.
async fn traffic(
    what: RunSpec<'_>,
    schedule: &Schedule,
    id: &str,
    say: &Say<'_>,
    interrupt: &Interrupt,
) -> Result<(Sent, Vec<StepTime>), Failure> {
    let app = what.environment.app().first().context("the stack has no service")?;
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
            id,
            Tcp::resolve(app).await?,
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
    let showing = async {
        if what.show && !schedule.requests.is_empty() {
            std::sync::Arc::clone(&progress).show().await;
        }
        loop {
            sleep(STILL_AT_IT).await;
            let now = progress.snapshot();
            let (seconds, of_seconds) = (now.elapsed.as_secs(), now.length.as_secs());
            say(Doing::InPhase { phase: now.phase, seconds, of_seconds });
        }
    };
    let sent = tokio::select! {
        (sent, ()) = async { tokio::join!(sending, posting) } => sent,
        () = showing => unreachable!("showing ends only with the traffic"),
    };
    steps.put_back().await;
    match (sent, steps.failure) {
        // An interruption may meet a step half way: then it is the interruption that counts.
        (Ok(sent), Some(failure)) if !sent.ledger.head.interrupted => Err(failure),
        (sent, _) => Ok((sent?, steps.done)),
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
            let start_ms = now_ms();
            if let Err(failure) = self.environment.order(step.action, &step.component).await {
                let what = format!("cannot {} {}", step.action.name(), step.component);
                self.failure.get_or_insert(failure.context(what));
            }
            let (action, component) = (step.action, step.component.clone());
            self.done.push(StepTime { action, component, start_ms, end_ms: now_ms() });
        }
    }

    /// Whatever ended the run: a component that it stopped and did not start again is started.
    async fn put_back(&mut self) {
        let mut away: BTreeMap<String, Action> = BTreeMap::new();
        for step in &self.done {
            match step.action {
                Action::Stop => drop(away.insert(step.component.clone(), Action::Start)),
                Action::Pause => drop(away.insert(step.component.clone(), Action::Resume)),
                Action::Start | Action::Resume => drop(away.remove(&step.component)),
                Action::Kill => {}
            }
        }
        for (component, action) in away {
            self.take([Step { action, component }].iter()).await;
        }
    }
}

/// A scenario with faults against a service that takes none would show nothing: a usage failure says so.
pub async fn faults_are_on(app: &[Address]) -> Result<(), Failure> {
    for address in app {
        let answer = client::get(address, "/metrics", ASK_LIMIT)
            .await
            .with_context(|| format!("cannot ask whether the service at {address} takes faults"))
            .map_err(Failure::usage)?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if !text.lines().any(|line| line.trim() == "app_faults_enabled 1") {
            return Err(Failure::usage(format!("the service at {address} takes no faults"))
                .remedy("start it with APP_FAULTS=on; `just up` does"));
        }
    }
    Ok(())
}

/// A wait is told again after this long.
const MUTE: Duration = Duration::from_secs(5);

/// Waits until no alert but the watchdog is active: what fires later is then this scenario's doing.
async fn until_quiet(what: RunSpec<'_>, prometheus: &Api, say: &Say<'_>) -> Result<(), Failure> {
    // The longest memory of those that are waited for: half an hour, of AppTrafficDrop and of the pairs of six hours.
    let longest = what.environment.speed().real(Duration::from_mins(45)).context("waiting for quiet")?;
    let began = Instant::now();
    let (mut told, mut spoke) = (String::new(), began);
    loop {
        let active = active_alerts(prometheus).await?;
        let names: Vec<&str> = active.iter().map(String::as_str).filter(|name| *name != WATCHDOG).collect();
        if names.is_empty() {
            return Ok(());
        }
        let names = names.join(", ");
        if began.elapsed() > longest + FIRST_SCRAPE {
            // A rule that fires at everything is the monitoring's fault, and a claim's to find.
            say(Doing::NotQuiet { alerts: names, seconds: began.elapsed().as_secs() });
            return Ok(());
        }
        if names != told || spoke.elapsed() >= MUTE {
            let seconds = (names == told).then(|| began.elapsed().as_secs());
            say(Doing::WaitingForQuiet { alerts: names.clone(), seconds });
            (told, spoke) = (names, Instant::now());
        }
        sleep(LOOK * 3).await;
    }
}

/// Names of active alerts. Those that look back over days are left out: they end hours after their reason, and nobody can wait
/// for that. The pair of six hours ends with its half hour.
async fn active_alerts(prometheus: &Api) -> anyhow::Result<BTreeSet<String>> {
    let looks_back_for_days =
        |alert: &ActiveAlert| alert.labels.get("long_window").is_some_and(|window| window.ends_with('d'));
    let active = prometheus.active_alerts().await?;
    Ok(active.iter().filter(|alert| !looks_back_for_days(alert)).map(|alert| alert.name().to_owned()).collect())
}

/// Waits until every target has been scraped by a scrape that began after `after_ms`.
async fn scraped_after(prometheus: &Api, targets: usize, after_ms: i64, limit: Duration) -> anyhow::Result<()> {
    let scraped = async {
        loop {
            let series = prometheus.query("timestamp(up)", None).await?.into_series();
            let fresh = series
                .iter()
                .filter(|series| series.samples.last().is_some_and(|sample| millis(sample.value) > after_ms))
                .count();
            if fresh >= targets && fresh == series.len() {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    };
    match timeout(limit, scraped).await {
        Ok(scraped) => scraped,
        Err(_) => bail!("Prometheus did not scrape all {targets} targets within {limit:?}"),
    }
}

/// What the replicas expose now. Who does not answer, or not with that, disturbs the run: nothing was shown of what it counts.
async fn expositions(app: &[Address], folder: &Path, when: &str) -> anyhow::Result<Vec<String>> {
    let mut unanswered = Vec::new();
    for (index, address) in app.iter().enumerate() {
        match client::get(address, "/metrics", ASK_LIMIT).await {
            Ok(answer) if answer.status.is_success() => {
                write(&folder.join(artifacts::exposition(when, index)), &answer.body)?;
            }
            Ok(answer) => unanswered.push(format!("GET /metrics of {address}, {when}: {}", answer.status)),
            Err(error) => unanswered.push(format!("GET /metrics of {address}, {when}: {error:#}")),
        }
    }
    Ok(unanswered)
}

fn processes(at_start: &BTreeMap<String, ProcessIdentity>, at_end: &BTreeMap<String, ProcessIdentity>) -> Vec<Process> {
    let gone = ProcessIdentity { pid: None, started_ms: None };
    at_start
        .iter()
        .map(|(component, epoch)| Process {
            component: component.clone(),
            at_start: *epoch,
            at_end: at_end.get(component).copied().unwrap_or(gone),
        })
        .collect()
}

/// Waiting for the end after the last request.
struct After<'a> {
    what: RunSpec<'a>,
    prometheus: &'a Api,
    targets: usize,
    sent: &'a Sent,
}

impl After<'_> {
    /// Waits for the last notification and the final scrape; what did not come in time is told, and judged later.
    async fn until_over(&self, say: &Say<'_>) -> Result<Vec<String>, Failure> {
        let speed = self.what.environment.speed();
        let mut disturbances = Vec::new();
        let ended_ms = i64::try_from(self.sent.ledger.head.ended_unix_us.div_ceil(1000)).unwrap_or(i64::MAX);
        say(Doing::WaitingForFinalScrape);
        let scrape = speed.real(self.what.tree.monitoring.scrape_interval()).context("the scrape interval")?;
        let limit = scrape * 3 + Duration::from_secs(2);
        if let Err(error) = scraped_after(self.prometheus, self.targets, ended_ms, limit).await {
            disturbances.push(format!("no scrape after the last request: {error:#}"));
        }
        // What a shortened run could not make fire is not waited for, nor what was not done to a component that is not there:
        // it is not proven anyway.
        let mut steps = self.what.scenario.phases.iter().flat_map(|phase| &phase.steps);
        let is_whole = self.what.length.is_none() && !steps.any(|step| self.what.environment.lacks(&step.component));
        let awaited = self.what.scenario.expect.fires.iter().filter(|_| is_whole);
        for alert in awaited {
            let share = self.what.scenario.fault_share();
            let monitoring = &self.what.tree.monitoring;
            let Some(bounds) = monitoring.alert(alert).map(|alert| monitoring.bounds(alert, share)) else { continue };
            let limit = bounds.latest_resolved_notified / speed.factor() + Duration::from_secs(2);
            // Not in time is not our verdict: the claim says so from what was recorded.
            let _ = timeout(limit, self.until_resolved(alert, say)).await;
        }
        // So that the evaluation after the last firing one lies inside the window.
        let evaluation =
            speed.real(self.what.tree.monitoring.evaluation_interval()).context("the evaluation interval")?;
        sleep(evaluation * 2).await;
        Ok(disturbances)
    }

    async fn until_resolved(&self, alert: &str, say: &Say<'_>) {
        let environment = self.what.environment;
        let waiting = |seconds| Doing::WaitingUntilResolved { alert: alert.to_owned(), seconds };
        say(waiting(None));
        let (began, mut spoke) = (Instant::now(), Instant::now());
        let began_ms = i64::try_from(self.sent.ledger.head.started_unix_us / 1000).unwrap_or(i64::MAX);
        loop {
            // Who does not answer says nothing yet. The receiver is asked only when there is something to be told.
            if active_alerts(self.prometheus).await.is_ok_and(|active| !active.contains(alert))
                && (environment.receiver().is_none()
                    || environment.notifications(began_ms).await.is_ok_and(|lines| tells_resolved(&lines, alert)))
            {
                return;
            }
            if spoke.elapsed() >= MUTE {
                say(waiting(Some(began.elapsed().as_secs())));
                spoke = Instant::now();
            }
            sleep(LOOK).await;
        }
    }
}

fn tells_resolved(lines: &str, alert: &str) -> bool {
    let mut notifications = lines.lines().rev().filter_map(|line| serde_json::from_str(line).ok());
    notifications.any(|notification: aiclipx_model::notification::Notification| {
        aiclipx_judge::timeline::says(&notification, alert, "resolved")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// Seen on a machine that stood still for ten seconds: a claim failed for want of an exposition.
    #[tokio::test]
    async fn a_service_that_does_not_answer_for_its_metrics_disturbs_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        drop(listener);
        let told = expositions(std::slice::from_ref(&address), folder.path(), "after").await.unwrap();
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with(&format!("GET /metrics of {address}, after: ")), "{told:?}");
        assert!(!folder.path().join("exposition").exists());
    }
}

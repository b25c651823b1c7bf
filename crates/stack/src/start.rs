//! A plan becomes a running stack: start, readiness, stop.
//!
//! Nothing is started before everything has been looked at; whatever ends a start early, what it started is stopped
//! before the caller hears of it. A stack that runs is found again by its state directory.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::process::Child;
use tokio::time::Instant;

use super::busy::{being_changed, is_busy};
use super::component::Component;
use super::layout;
use super::life::is_paused;
use super::mark::Mark;
use super::plan::{Lifetime, Plan, Process};
use super::preflight::{Preflight, held_by_others, preflight, present};
use super::readiness::ready;
use super::supervisor::{self, Control, News, Program, SOCKET, SOCKET_FOLDER_PREFIX, SupervisorLogTail, front_of};
use super::table::{Row, State, Watch};
use super::tools::Tool;
use super::{holder, logs, secrets};
use crate::lock::Lock;
use aiclipx_model::failure::{Failure, is_full};
use aiclipx_model::files;
use aiclipx_model::monitoring::{with_datasources_by_uid, without_links_to_logs};
use aiclipx_model::prom::grafana;

/// A component that is not ready by then won't be: the slowest, a Grafana that makes its database, takes some 10 s.
pub(super) const READY_LIMIT: Duration = Duration::from_mins(1);
/// Between two looks.
pub(super) const TICK: Duration = Duration::from_millis(80);
/// supervisord gives each program 20 s to end, then kills it.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Lines of its log that a component which died at start is told with.
const LAST_LINES: usize = 12;

/// What the state directory keeps of a stack that runs, as `stack.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(flatten)]
    plan: Plan,
    /// RFC 3339, UTC.
    started: String,
    /// The tree's revision, `-dirty` when it differs.
    revision: String,
    /// The programs that run and what they said they are.
    programs: BTreeMap<Component, Tool>,
    /// What is not there, and what is missed without it.
    absent: BTreeMap<Component, String>,
    supervisord: Tool,
    /// The folder of supervisord's socket.
    socket_folder: PathBuf,
    /// Whether a killed supervisord takes its programs with it.
    dies_together: bool,
}

/// A plan that runs.
#[derive(Debug)]
pub struct Stack {
    record: Record,
    /// Of a private stack: supervisord, which is killed when this is dropped.
    child: Option<Child>,
    /// Of a private stack: removed when dropped.
    _socket_folder: Option<tempfile::TempDir>,
}

/// What a state directory tells.
#[derive(Debug)]
pub enum Found {
    /// A stack runs.
    Running(Box<Stack>),
    /// One ran and was not stopped by us; what is left of it.
    Stale(Box<StaleStack>),
    /// None.
    Absent,
}

/// What a stack that was killed left behind.
#[derive(Debug)]
pub struct StaleStack(Record);

/// What `down` found to do.
#[derive(Debug)]
pub enum Down {
    /// A stack ran and is stopped.
    Stopped,
    /// A stack was killed earlier; its traces are removed. With the ports somebody still holds, and who.
    Cleaned(Vec<String>),
    /// There was none.
    Absent,
}

/// The right to start a stack in a state directory where none runs. One command has it at a time, and what others ask of the
/// stack meanwhile is told so; taken before anything is looked at, for that takes a while.
#[derive(Debug)]
pub struct Turn {
    _lock: Lock,
}

impl Turn {
    /// Waits for nobody: usage failures name who has it, or the stack that runs.
    pub async fn take(state: &Path) -> Result<Turn, Failure> {
        is_understood(state)?;
        let turn = Turn { _lock: lock(state).await? };
        match Stack::find_locked(state).await? {
            Found::Running(stack) => return Err(stack.already_running().await),
            Found::Stale(leftovers) => leftovers.remove(),
            Found::Absent => {}
        }
        Ok(turn)
    }
}

impl Stack {
    /// Starts what the plan wants and returns when all of it is ready.
    ///
    /// `rendered` is the configuration by path below `etc/`, `prometheus_flags` what Prometheus must be told beside
    /// it. When `shutdown` comes first, or a component dies, everything started is stopped again. Usage failures
    /// (exit 2) mean that nothing was started.
    pub async fn start(
        plan: Plan,
        rendered: BTreeMap<PathBuf, Vec<u8>>,
        prometheus_flags: Vec<String>,
        watch: &mut dyn Watch,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Stack, Failure> {
        let turn = Turn::take(&plan.state).await?;
        Stack::start_in(turn, plan, |_| Ok(rendered), prometheus_flags, watch, shutdown).await
    }

    /// The same for who has taken the turn, in the state directory of the plan. The configuration is rendered once it is known
    /// what there is: the plan's components are those that will run, or are absent.
    pub async fn start_in(
        _turn: Turn,
        plan: Plan,
        render: impl FnOnce(&mut Plan) -> Result<BTreeMap<PathBuf, Vec<u8>>, Failure>,
        prometheus_flags: Vec<String>,
        watch: &mut dyn Watch,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Stack, Failure> {
        let mut shutdown = pin!(shutdown);
        watch.show(&rows(&plan, &BTreeMap::new(), &BTreeMap::new(), State::Waiting));
        let preflight = tokio::select! {
            biased;
            () = &mut shutdown => Err(Failure::interrupted()),
            preflight = preflight(&plan) => preflight,
        };
        let preflight = preflight.inspect_err(|_| watch.finish(&[]))?;
        let mut plan = Plan { components: preflight.components.clone(), ..plan };
        let rendered = render(&mut plan).inspect_err(|_| watch.finish(&[]))?;
        let has_rules = rendered.keys().any(|file| file.starts_with("prometheus/rules"));
        prepare_state_dir(&plan, &preflight, &rendered).inspect_err(|_| watch.finish(&[]))?;
        let log_ends = log_ends(&plan);
        let journal = SupervisorLogTail::from_now(&plan);

        let began = Instant::now();
        let mut rows = rows(&plan, &preflight.programs, &preflight.absent, State::Starting);
        watch.show(&rows);
        let launched = Stack::launch(plan, preflight, &prometheus_flags).await;
        let mut stack = launched.inspect_err(|_| watch.finish(&[]))?;
        let outcome = tokio::select! {
            biased;
            () = &mut shutdown => Err(Unready::Interrupted),
            outcome = stack.until_ready(journal, began, has_rules, &mut rows, watch) => outcome,
        };
        let Err(unready) = outcome else {
            watch.finish(&rows);
            return Ok(stack);
        };
        // A command on the same ports may have been faster since they were looked at.
        let may_be_late = stack.record.plan.lifetime == Lifetime::Attached && !matches!(unready, Unready::Interrupted);
        let processes = stack.processes();
        let failure = unready.tell(&stack.record.plan, &log_ends);
        let stopped = stack.stop_locked().await;
        for row in rows.iter_mut().filter(|row| matches!(row.state, State::Starting | State::Ready)) {
            row.state = State::Stopped;
        }
        watch.finish(&rows);
        Err(match stopped {
            Ok(()) if may_be_late => held_by_others("everything is stopped again", &processes).unwrap_or(failure),
            Ok(()) => failure,
            Err(second) => failure.context(format!("stopping the rest failed, too ({second})")),
        })
    }

    /// The stack that runs from this state directory, or a usage failure that says how to start one.
    pub async fn attach(state: &Path) -> Result<Stack, Failure> {
        match Stack::find(state).await? {
            Found::Running(stack) => Ok(*stack),
            Found::Stale(_) => Err(Failure::infrastructure(format!("the stack of {} was killed", state.display()))
                .remedy("`just up` cleans up and starts it anew")),
            Found::Absent => {
                Err(Failure::usage(format!("no stack runs from {}", state.display())).remedy("`just up` starts one"))
            }
        }
    }

    /// What this state directory tells. Where no stack is recorded and a command is about to change that, a usage failure.
    pub async fn find(state: &Path) -> Result<Found, Failure> {
        // In this order: a record that comes meanwhile is found.
        let busy = is_busy(state);
        match Stack::find_locked(state).await? {
            Found::Absent if busy => Err(being_changed(state)),
            found => Ok(found),
        }
    }

    /// The same for who holds the lock.
    async fn find_locked(state: &Path) -> Result<Found, Failure> {
        let file = record_file(state);
        let text = match files::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Absent),
            Err(error) => return Err(Failure::usage(format!("cannot read {}: {error}", file.display()))),
        };
        let mut record: Record = serde_json::from_slice(&text).map_err(|error| {
            Failure::usage(format!("{} is not what this version writes: {error}", file.display()))
                .remedy("stop that stack with the version that started it, or remove the file if none runs")
        })?;
        let here = std::path::absolute(state).with_context(|| format!("{} is no usable path", state.display()))?;
        let is_same = |other: &Path| {
            other == here
                || here.canonicalize().ok().is_some_and(|here| other.canonicalize().is_ok_and(|other| other == here))
        };
        if !is_same(&record.plan.state) {
            // Moved or copied since. Under its old path it would be looked for in vain, or another's be stopped.
            if let Some(pid) = supervisor::running_in(&here, &record.plan).await {
                let was = record.plan.state.display();
                return Err(Failure::usage(format!(
                    "the stack that {} tells of was started in {was}, and still runs (supervisord {pid})",
                    file.display()
                ))
                .remedy("move it back there and `just down`; if this is a copy, remove its state directory"));
            }
            record.plan.state = here;
        }
        let running = supervisor::running(&record.plan).await;
        if let Some((pid, owner)) = running.and_then(|pid| Some((pid, supervisor::foreign_owner(pid)?))) {
            return Err(Failure::usage(format!(
                "the stack of {} is another user's (supervisord {pid}, user id {owner})",
                state.display()
            ))
            .remedy("ask as that user, or as root"));
        }
        Ok(match running {
            Some(_) => Found::Running(Box::new(Stack { record, child: None, _socket_folder: None })),
            None => Found::Stale(Box::new(StaleStack(record))),
        })
    }

    /// Whether its state directory still tells of it: not after a stop that was ordered.
    pub fn is_recorded(&self) -> bool {
        record_file(&self.record.plan.state).exists()
    }

    /// The plan that runs.
    pub fn plan(&self) -> &Plan {
        &self.record.plan
    }

    /// The tree's revision at the start, `-dirty` when it differed, `unknown` without git.
    pub fn revision(&self) -> &str {
        &self.record.revision
    }

    /// When it was started: RFC 3339, UTC, with milliseconds.
    pub fn started(&self) -> &str {
        &self.record.started
    }

    /// The programs that run and the versions they said they are.
    pub fn programs(&self) -> &BTreeMap<Component, Tool> {
        &self.record.programs
    }

    /// The components that are not there, with what is missed.
    pub fn absent(&self) -> &BTreeMap<Component, String> {
        &self.record.absent
    }

    /// The texts of its secrets, for making sure that they are nowhere else.
    pub fn secrets(&self) -> Result<Vec<String>, Failure> {
        secrets::texts(&self.record.plan)
    }

    /// Whether a killed supervisord takes its programs with it. Only where there is a `setpriv` that can see to it.
    pub fn dies_together(&self) -> bool {
        self.record.dies_together
    }

    /// The processes that run, or should.
    pub fn processes(&self) -> Vec<Process> {
        present(&self.record.plan, &self.record.absent)
    }

    /// Stops everything and returns when every process is gone and every port is free.
    pub async fn stop(self) -> Result<(), Failure> {
        let _lock = lock(&self.record.plan.state).await?;
        self.stop_locked().await
    }

    pub(super) fn control(&self) -> Control<'_> {
        Control { supervisord: &self.record.supervisord.path, plan: &self.record.plan }
    }

    async fn already_running(&self) -> Failure {
        let pid =
            supervisor::running(&self.record.plan).await.map_or_else(String::new, |pid| format!(", supervisord {pid}"));
        let state = &self.record.plan.state;
        Failure::usage(format!(
            "a stack is already running from {} (since {}{pid})",
            state.display(),
            self.record.started
        ))
        .remedy("`just status` shows it, `just down` stops it")
    }

    /// supervisord, with its configuration. When this returns it runs, and so do its programs, ready or not.
    async fn launch(plan: Plan, preflight: Preflight, prometheus_flags: &[String]) -> Result<Stack, Failure> {
        let processes = present(&plan, &preflight.absent);
        let mut programs = Vec::new();
        for process in &processes {
            let tool = &preflight.programs[&process.component];
            let environment = process.component.environment(process, &plan, &preflight.revision);
            let arguments = process.component.arguments(process, &plan, tool, prometheus_flags);
            let command = supervisor::command(&preflight.death_prefix, environment, &tool.path, arguments);
            programs.push(Program { name: process.name.clone(), command });
            if let Some(name) = front_of(process) {
                let (looked_for, to) = (process.address.to_string(), plan.listens(process).to_string());
                let arguments = ["front", "--listen", &looked_for, "--to", &to].map(str::to_owned).to_vec();
                let command = supervisor::command(&preflight.death_prefix, Vec::new(), &plan.tool_program, arguments);
                programs.push(Program { name, command });
            }
        }
        let folder = supervisor::socket_folder()?;
        let text = supervisor::configuration(&plan, &programs, &folder.path().join(SOCKET));
        replace(&supervisor::configuration_file(&plan), text.as_bytes())?;
        let _ = std::fs::remove_file(plan.state.join(layout::SUPERVISORD_PID));

        let is_private = plan.lifetime == Lifetime::Private;
        let record = Record {
            plan,
            started: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            revision: preflight.revision,
            programs: preflight.programs,
            absent: preflight.absent,
            supervisord: preflight.supervisord,
            socket_folder: folder.path().to_owned(),
            dies_together: !preflight.death_prefix.is_empty(),
        };
        // Before anything runs: whatever happens to us from here, `down` finds what there is to stop.
        let text = serde_json::to_vec_pretty(&record).context("a stack's record is plain data")?;
        replace(&record_file(&record.plan.state), &text)?;

        let program = record.supervisord.path.clone();
        if is_private {
            let child = supervisor::start_private(&program, &record.plan, &preflight.death_prefix)?;
            return Ok(Stack { record, child: Some(child), _socket_folder: Some(folder) });
        }
        let _ = folder.keep();
        let stack = Stack { record, child: None, _socket_folder: None };
        if let Err(failure) = supervisor::start_attached(&program, &stack.record.plan).await {
            stack.remove_traces();
            return Err(failure);
        }
        Ok(stack)
    }

    async fn until_ready(
        &mut self,
        mut journal: SupervisorLogTail,
        began: Instant,
        has_rules: bool,
        rows: &mut [Row],
        watch: &mut dyn Watch,
    ) -> Result<(), Unready> {
        let processes = self.processes();
        let mut running = BTreeSet::new();
        let mut answered = vec![None; processes.len()];
        loop {
            for ((row, process), answered) in rows.iter_mut().zip(&processes).zip(&answered) {
                if row.state == State::Starting {
                    row.time = answered.or_else(|| Some(began.elapsed()));
                }
                debug_assert_eq!(row.name, process.name, "rows begin with the processes, in their order");
            }
            watch.show(rows);
            let waiting: Vec<usize> =
                (0..processes.len()).filter(|&index| rows[index].state == State::Starting).collect();
            let answers = join_all(waiting.iter().map(|&index| ready(&processes[index], has_rules))).await;
            // After the look: who answered may be somebody else, if ours died of a port taken meanwhile.
            for (name, news) in journal.news() {
                match news {
                    News::Running => drop(running.insert(name)),
                    News::Died(why) => {
                        if let Some(row) = rows.iter_mut().find(|row| row.name == name) {
                            row.state = State::Failed;
                        }
                        return Err(Unready::Died { name, why });
                    }
                }
            }
            for (&index, answer) in waiting.iter().zip(&answers) {
                if answer.is_ok() {
                    rows[index].time = Some(*answered[index].get_or_insert_with(|| began.elapsed()));
                    if running.contains(&processes[index].name) {
                        rows[index].state = State::Ready;
                    }
                }
            }
            self.supervisor_lives(began).await?;
            if rows.iter().all(|row| row.state != State::Starting) {
                return Ok(());
            }
            if began.elapsed() > READY_LIMIT {
                let late = waiting.iter().zip(answers).filter(|&(&index, _)| rows[index].state == State::Starting);
                let name = |(&index, answer): (&usize, Result<(), String>)| (rows[index].name.clone(), answer.err());
                return Err(Unready::TooLate(late.map(name).collect()));
            }
            tokio::time::sleep(TICK).await;
        }
    }

    async fn supervisor_lives(&mut self, began: Instant) -> Result<(), Unready> {
        // The file with its process id comes a moment after the start.
        const GRACE: Duration = Duration::from_secs(5);
        let lives = match &mut self.child {
            Some(child) => child.try_wait().is_ok_and(|ended| ended.is_none()),
            None => supervisor::running(&self.record.plan).await.is_some() || began.elapsed() < GRACE,
        };
        if lives { Ok(()) } else { Err(Unready::NoSupervisor) }
    }

    async fn stop_locked(mut self) -> Result<(), Failure> {
        let plan = &self.record.plan;
        let supervisord = match &self.child {
            Some(child) => child.id(),
            None => self.await_pid().await,
        };
        let mut pids = Vec::new();
        // It ends after all that it started: who holds a port of ours for longer than what those started is somebody else.
        let mut in_order = supervisord.is_some();
        if let Some(supervisord) = supervisord {
            // A paused process hears nothing, no TERM either.
            if is_paused(supervisord) {
                supervisor::signal(Signal::Cont, &[supervisord]);
            }
            if let Ok(states) = self.control().states().await {
                pids.extend(states.into_iter().filter_map(|program| program.pid));
            }
            let paused: Vec<u32> = pids.iter().copied().filter(|pid| is_paused(*pid)).collect();
            supervisor::signal(Signal::Cont, &paused);
            // Its own end is one program after the other, each waited for, and of one that is long dead a second: all at
            // once take as long as the slowest.
            let _ = self.control().order(&["stop", "all"]).await;
            if self.control().order(&["shutdown"]).await.is_err() {
                // Not listening yet, or no longer: the signal means the same to it.
                supervisor::signal(Signal::Term, &[supervisord]);
            }
        }
        if let Some(child) = &mut self.child {
            if tokio::time::timeout(STOP_LIMIT, child.wait()).await.is_err() {
                in_order = false;
                let _ = child.kill().await;
            }
        } else if let Some(pid) = supervisord
            && !all_gone(&[pid], STOP_LIMIT).await
        {
            in_order = false;
            supervisor::signal(Signal::Kill, &[pid]);
        }
        if !all_gone(&pids, Duration::from_secs(2)).await {
            supervisor::signal(Signal::Kill, &pids);
            all_gone(&pids, Duration::from_secs(2)).await;
        }
        let limit = Duration::from_secs(if in_order { 2 } else { 5 });
        let held = held_ports(plan, &self.record.absent, limit).await;
        if let Some(pid) = supervisord
            && supervisor::is_alive(pid).await
        {
            // The record stays: without it nobody would find what still runs.
            return Err(Failure::infrastructure(format!(
                "supervisord ({pid}) could not be stopped; its stack runs on"
            )));
        }
        self.remove_traces();
        is_stopped(in_order, &held)
    }

    /// The process id of a supervisord that has just detached itself, or has long.
    async fn await_pid(&self) -> Option<u32> {
        let deadline = Instant::now() + Duration::from_secs(2);
        loop {
            let pid = supervisor::running(&self.record.plan).await;
            if pid.is_some() || Instant::now() > deadline {
                return pid;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn remove_traces(&self) {
        remove_traces(&self.record);
    }
}

impl StaleStack {
    /// Removes them. What ran was killed with its supervisor.
    fn remove(self) {
        remove_traces(&self.0);
    }
}

fn remove_traces(record: &Record) {
    let is_ours = record.socket_folder.file_name().and_then(|name| name.to_str());
    if is_ours.is_some_and(|name| name.starts_with(SOCKET_FOLDER_PREFIX)) {
        let _ = std::fs::remove_dir_all(&record.socket_folder);
    }
    let _ = std::fs::remove_file(record.plan.state.join(layout::SUPERVISORD_PID));
    let _ = std::fs::remove_file(record_file(&record.plan.state));
}

/// Stops the stack of this state directory, if one runs, and removes what a killed one left.
pub async fn down(state: &Path) -> Result<Down, Failure> {
    let busy = is_busy(state);
    if !record_file(state).exists() {
        return if busy { Err(being_changed(state)) } else { Ok(Down::Absent) };
    }
    let _lock = lock(state).await?;
    down_locked(state).await
}

async fn down_locked(state: &Path) -> Result<Down, Failure> {
    match Stack::find_locked(state).await? {
        Found::Running(stack) => stack.stop_locked().await.map(|()| Down::Stopped),
        Found::Stale(leftovers) => {
            let held = held_ports(&leftovers.0.plan, &leftovers.0.absent, Duration::ZERO).await;
            leftovers.remove();
            Ok(Down::Cleaned(held))
        }
        Found::Absent => Ok(Down::Absent),
    }
}

/// Stops the stack of this state directory, if one runs, and removes all that is ours there.
pub async fn clean(state: &Path) -> Result<Down, Failure> {
    if !Mark::State.is_ours(state) {
        let is_empty = !std::fs::read_dir(state).is_ok_and(|mut entries| entries.next().is_some());
        return if is_empty { Ok(Down::Absent) } else { Err(Mark::State.not_ours(state)) };
    }
    let _lock = lock(state).await?;
    let attached = std::fs::read_dir(state.join(layout::ATTACHED)).into_iter().flatten().flatten();
    for place in std::iter::once(state.to_owned()).chain(attached.map(|entry| entry.path())) {
        if Lock::is_held(&place.join(layout::RUNS_LOCK)) {
            return Err(Failure::usage(format!("a run is under way on the stack of {}", place.display()))
                .remedy("wait until it has ended, or interrupt it"));
        }
    }
    let down = down_locked(state).await?;
    let entries = std::fs::read_dir(state).into_iter().flatten().flatten().map(|entry| entry.file_name());
    for name in layout::ours(entries.filter_map(|name| name.into_string().ok())) {
        let path = state.join(name);
        let removed = match path.symlink_metadata() {
            Ok(there) if there.is_dir() => std::fs::remove_dir_all(&path),
            Ok(_) => std::fs::remove_file(&path),
            Err(_) => Ok(()),
        };
        removed.map_err(|error| Failure::usage(format!("cannot remove {}: {error}", path.display())))?;
    }
    // What is somebody else's stays, and the folder with it.
    let _ = std::fs::remove_dir(state);
    Ok(down)
}

/// Why a start ended before all were ready.
enum Unready {
    Died {
        name: String,
        why: String,
    },
    /// With what each lacked at the last look.
    TooLate(Vec<(String, Option<String>)>),
    NoSupervisor,
    Interrupted,
}

impl Unready {
    fn tell(self, plan: &Plan, log_ends: &BTreeMap<String, u64>) -> Failure {
        let last_lines = |name: &str| {
            let from = log_ends.get(name).copied().unwrap_or(0);
            let lines = logs::last_lines(&plan.log(name), from, LAST_LINES);
            let log = plan.log(name);
            if lines.is_empty() {
                let from = log_ends.get("supervisord").copied().unwrap_or(0);
                let heard = logs::last_lines(&plan.log("supervisord"), from, LAST_LINES);
                let heard: Vec<_> =
                    heard.into_iter().filter(|line| line.contains(name) || line.contains("err")).collect();
                let log = log.display();
                return format!("\n  it wrote nothing to {log}; supervisord says:\n    {}", heard.join("\n    "));
            }
            format!("\n  its last lines, of {}:\n    {}", log.display(), lines.join("\n    "))
        };
        // Who is told only that a program ended would look for a fault in it.
        if !matches!(self, Unready::Interrupted)
            && let Some(failure) = no_room(&plan.state)
        {
            return failure.context("not everything could start, and what did is stopped again");
        }
        match self {
            Unready::Died { name, why } => {
                let lines = last_lines(&name);
                let told = format!("{name} ended before it was ready ({why}); everything is stopped again{lines}");
                // Of two starts at once on the same ports both may lose one: then nobody holds it any more who could be named.
                if plan.lifetime == Lifetime::Attached && lines.to_lowercase().contains("address already in use") {
                    return Failure::usage(told)
                        .remedy("wait for another start that is under way, or use --free-ports");
                }
                Failure::infrastructure(told)
            }
            Unready::TooLate(late) => {
                let told = late.iter().map(|(name, why)| {
                    let why = why.as_deref().unwrap_or("supervisord does not call it running");
                    format!("\n  {name}: {why}{}", last_lines(name))
                });
                let names: Vec<&str> = late.iter().map(|(name, _)| name.as_str()).collect();
                Failure::infrastructure(format!(
                    "not ready within {READY_LIMIT:?}: {}; everything is stopped again{}",
                    names.join(", "),
                    told.collect::<String>()
                ))
            }
            Unready::NoSupervisor => {
                let complaints = std::fs::read_to_string(plan.logs().join("supervisord.err")).unwrap_or_default();
                Failure::infrastructure(format!(
                    "supervisord ended during the start; everything is stopped again{}\n  {}",
                    last_lines("supervisord"),
                    complaints.trim()
                ))
            }
            Unready::Interrupted => {
                Failure::interrupted().context("the start was given up and everything stopped again")
            }
        }
    }
}

/// A state directory without room ends whoever writes there: the user's to mend.
pub fn no_room(state: &Path) -> Option<Failure> {
    is_full(state).then(|| {
        Failure::usage(format!("there is no room left in {}", state.display()))
            .remedy("make room there, or choose another place with --state or TMPDIR")
    })
}

fn record_file(state: &Path) -> PathBuf {
    state.join(layout::RECORD)
}

/// Refuses a path that a component would not take for what it is.
fn is_understood(state: &Path) -> Result<(), Failure> {
    let why = match (state.to_str(), state.to_string_lossy().chars().find(|sign| matches!(sign, '[' | '\\' | '$'))) {
        (None, _) => "is not in UTF-8".to_owned(),
        (Some(path), _) if path.contains(char::is_control) => "holds a control character".to_owned(),
        (_, Some('$')) => "holds `$`, which Grafana and Vector take for a variable's".to_owned(),
        (_, Some(sign)) => format!("holds `{sign}`, which Prometheus takes for a pattern's"),
        (_, None) => return Ok(()),
    };
    Err(Failure::usage(format!("the path {} of the state directory {why}", state.display()))
        .remedy("choose another with --state or AICLIPX_STATE"))
}

/// Held while a stack is started or stopped, so that two commands don't do it at once. The state directory is made, and
/// ours from here on.
async fn lock(state: &Path) -> Result<Lock, Failure> {
    let unusable = |error: std::io::Error| {
        Failure::usage(format!("the state directory {} is not writable: {error}", state.display()))
            .remedy("choose another with --state or AICLIPX_STATE")
    };
    Mark::State.claim(state)?;
    let file = state.join(layout::LOCK);
    let deadline = Instant::now() + LOOKED_AT;
    loop {
        if let Some(lock) = Lock::try_take(&file).map_err(unusable)? {
            return Ok(lock);
        }
        if Instant::now() > deadline {
            return Err(being_changed(state));
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Who only looks whether the lock is held holds it for a moment.
const LOOKED_AT: Duration = Duration::from_millis(200);

/// The table of a start: what is to run, in this state, then what is absent.
fn rows(
    plan: &Plan,
    programs: &BTreeMap<Component, Tool>,
    absent: &BTreeMap<Component, String>,
    state: State,
) -> Vec<Row> {
    let remark = |process: &Process| {
        let url = process.told();
        let version = programs.get(&process.component).map_or("", |tool| tool.version.as_str());
        match grafana::leaves_out(version).filter(|_| process.component == Component::Grafana) {
            Some(left_out) => format!("{url} ({version} leaves out {left_out})"),
            None => url,
        }
    };
    let present = present(plan, absent).into_iter().map(|process| Row {
        remark: remark(&process),
        name: process.name,
        state,
        time: None,
    });
    let absent = absent.iter().map(|(component, why)| Row {
        name: component.name().to_owned(),
        state: State::Absent,
        time: None,
        remark: why.clone(),
    });
    present.chain(absent).collect()
}

/// Folders, configuration and secrets in the state directory.
fn prepare_state_dir(plan: &Plan, preflight: &Preflight, rendered: &BTreeMap<PathBuf, Vec<u8>>) -> Result<(), Failure> {
    let etc = plan.etc();
    match std::fs::remove_dir_all(&etc) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Failure::usage(format!("cannot replace {}: {error}", etc.display())));
        }
        _ => {}
    }
    let make =
        |folder: &Path| std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()));
    make(&plan.logs())?;
    for (component, tool) in &preflight.programs {
        match component {
            Component::Prometheus => make(&plan.prometheus_data(&tool.version))?,
            Component::Alertmanager => {
                make(&plan.data(*component))?;
                // Whom the last stack told of an alert that it did not live to see resolved, this one must tell again.
                let told = plan.data(*component).join("nflog");
                match std::fs::remove_file(&told) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(Failure::usage(format!("cannot remove {}: {error}", told.display())));
                    }
                    _ => {}
                }
            }
            Component::Grafana | Component::Vector | Component::Loki => make(&plan.data(*component))?,
            Component::App | Component::Receiver | Component::Viewer | Component::Probe => {}
        }
    }
    let page = preflight.programs.get(&Component::Grafana);
    let is_older = page.is_some_and(|tool| !grafana::reads_objects(&tool.version));
    if page.is_some() {
        secrets::prepare(plan)?;
        // Each of these that is not there it calls an error.
        for kind in ["plugins", "notifiers", "alerting"] {
            make(&etc.join("grafana/provisioning").join(kind))?;
        }
    }
    let lacks = |component| preflight.absent.contains_key(&component);
    for (path, content) in rendered {
        let file = etc.join(path);
        // Whoever is not there is no target: nothing is missed that was never to come. Nor does anything lead there.
        let mut content = Cow::Borrowed(&content[..]);
        if is_targets_of(path, &preflight.absent) {
            content = Cow::Borrowed(NO_TARGETS);
        } else if path == Path::new(STORE_OF_LOGS) && lacks(Component::Loki) && lacks(Component::Grafana) {
            // The viewer, which has nothing but these files, then says that there is none, and does not ask.
            content = Cow::Borrowed(NO_DATASOURCE);
        } else if path.starts_with("grafana/dashboards") {
            if lacks(Component::Loki) {
                content = Cow::Owned(without_links_to_logs(&content));
            }
            if is_older {
                content = Cow::Owned(with_datasources_by_uid(&content));
            }
        }
        make(file.parent().unwrap_or(&etc))?;
        std::fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// An empty list of targets.
const NO_TARGETS: &[u8] = b"[]\n";
/// Where dashboards are told of Loki, and what tells them of nothing.
const STORE_OF_LOGS: &str = "grafana/provisioning/datasources/loki.yml";
const NO_DATASOURCE: &[u8] = b"datasources: []\n";

/// Whether a file tells others where to find a component that is absent.
fn is_targets_of(path: &Path, absent: &BTreeMap<Component, String>) -> bool {
    let folder = path.parent().unwrap_or(Path::new(""));
    let tells = folder == Path::new("prometheus/targets");
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    tells && absent.keys().any(|component| component.name() == stem)
}

/// No reader sees half of it.
fn replace(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    let written = files::replace(file, |to| to.write_all(content));
    written.with_context(|| format!("cannot write {}", file.display()))
}

/// Where each log ends now: what comes behind is of this start.
fn log_ends(plan: &Plan) -> BTreeMap<String, u64> {
    let processes = plan.processes();
    let names = processes.iter().map(|process| process.name.clone()).chain(processes.iter().filter_map(front_of));
    names
        .chain(["supervisord".to_owned()])
        .map(|name| (name.clone(), plan.log(&name).metadata().map_or(0, |meta| meta.len())))
        .collect()
}

/// What came of a stop. Of one that went in order, who holds a port is somebody else.
fn is_stopped(in_order: bool, held: &[String]) -> Result<(), Failure> {
    if in_order || held.is_empty() {
        return Ok(());
    }
    Err(Failure::infrastructure(format!("everything was told to stop, but {}", held.join(", "))))
}

/// Waits until none of these processes is left; false when the limit came first.
async fn all_gone(pids: &[u32], limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        let mut alive = false;
        for pid in pids {
            alive |= supervisor::is_alive(*pid).await;
        }
        if !alive || Instant::now() > deadline {
            return !alive;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The ports of the plan that are still held when the limit is over, and by whom.
async fn held_ports(plan: &Plan, absent: &BTreeMap<Component, String>, limit: Duration) -> Vec<String> {
    let deadline = Instant::now() + limit;
    loop {
        let processes = present(plan, absent);
        let listeners = processes.iter().flat_map(Process::listeners);
        let held: Vec<(String, u16)> = listeners
            .filter(|(.., address)| holder::is_taken(address))
            .map(|(_, name, address)| (name, address.port))
            .collect();
        if held.is_empty() || Instant::now() >= deadline {
            let tell =
                |(name, port): &(String, u16)| format!("port {port} ({name}) is held by {}", holder::holder(*port));
            return held.iter().map(tell).collect();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aiclipx_base::duration::Speed;
    use aiclipx_model::failure::Kind;

    #[test]
    fn a_port_that_is_held_is_ours_to_tell_only_of_a_stop_that_did_not_go_in_order() {
        let held = ["port 9090 (prometheus) is held by prometheus (7)".to_owned()];
        for (in_order, held) in [(true, &[][..]), (true, &held), (false, &[])] {
            is_stopped(in_order, held).unwrap_or_else(|failure| panic!("{in_order} {held:?}: {failure}"));
        }
        let failure = is_stopped(false, &held).unwrap_err();
        assert_eq!(failure.kind(), Kind::Infrastructure);
        let told = "everything was told to stop, but port 9090 (prometheus) is held by prometheus (7)";
        assert_eq!(failure.to_string(), told);
    }

    #[test]
    fn of_what_alertmanager_keeps_a_start_removes_whom_it_told_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let plan =
            Plan::attached(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")), place.path(), Speed::PRODUCTION)
                .unwrap();
        let tool = |name: &str| Tool { path: name.into(), version: "3.5.0".to_owned() };
        let preflight = Preflight {
            components: plan.components.clone(),
            programs: [Component::Prometheus, Component::Alertmanager].map(|one| (one, tool(one.name()))).into(),
            absent: BTreeMap::new(),
            supervisord: tool("supervisord"),
            death_prefix: Vec::new(),
            revision: "unknown".to_owned(),
        };
        let start = || prepare_state_dir(&plan, &preflight, &BTreeMap::new());
        start().unwrap();
        let (alerts, samples) = (plan.data(Component::Alertmanager), plan.prometheus_data("3.5.0"));
        let kept =
            [alerts.join("silences"), alerts.join("nflog.1"), samples.join("chunk"), plan.logs().join("app.log")];
        for file in kept.iter().chain([&alerts.join("nflog")]) {
            std::fs::write(file, "before").unwrap();
        }
        start().unwrap();
        assert!(!alerts.join("nflog").exists());
        assert!(kept.iter().all(|file| file.exists()), "{kept:?}");
        // One that can't be removed would keep an alert from being told again.
        std::fs::create_dir(alerts.join("nflog")).unwrap();
        assert_eq!(start().unwrap_err().kind(), Kind::Usage);
    }
}

//! A plan becomes a running stack: start, and readiness.
//!
//! Nothing is started before everything has been looked at; whatever ends a start early, what it started is stopped
//! before the caller hears of it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::component::Component;
use super::database;
use super::layout;
use super::lock::Lock;
use super::plan::{Lifetime, Plan, Process};
use super::preflight::{Preflight, held_by_others, preflight, present};
use super::prepare::prepare_state_dir;
use super::readiness::{READY_LIMIT, TICK, ready};
use super::stack::{Found, Record, Stack, record_file};
use super::state::{is_understood, lock};
use super::supervisor;
use super::supervisor::configuration::{self, Program, SOCKET, front_of};
use super::supervisor::log_tail::{News, SupervisorLogTail};
use super::table::{Row, State, Watch};
use super::tools::Tool;
use super::unready::{Unready, log_ends};
use aiclipx_model::failure::Failure;
use aiclipx_model::files;
use aiclipx_model::prom::grafana;

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
            Found::Stale(killed) => killed.0.remove_traces(),
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
        let tail = SupervisorLogTail::from_now(&plan);

        let began = Instant::now();
        let mut rows = rows(&plan, &preflight.programs, &preflight.absent, State::Starting);
        watch.show(&rows);
        let launched = Stack::launch(plan, preflight, &prometheus_flags).await;
        let mut stack = launched.inspect_err(|_| watch.finish(&[]))?;
        let outcome = tokio::select! {
            biased;
            () = &mut shutdown => Err(Unready::Interrupted),
            outcome = stack.until_ready(tail, began, has_rules, &mut rows, watch) => outcome,
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

    /// supervisord, with its configuration. When this returns it runs, and so do its programs, ready or not.
    async fn launch(plan: Plan, preflight: Preflight, prometheus_flags: &[String]) -> Result<Stack, Failure> {
        let processes = present(&plan, &preflight.absent);
        let mut programs = Vec::new();
        for process in &processes {
            let tool = &preflight.programs[&process.component];
            let environment = process.component.environment(process, &plan, &preflight.revision);
            let arguments = process.component.arguments(process, &plan, tool, prometheus_flags, &preflight.revision);
            let folder = plan.service.start.as_ref().and_then(|start| start.folder.as_ref());
            let folder = folder.filter(|_| process.component == Component::App).map(|folder| plan.tree.join(folder));
            let program = configuration::ProgramWords { folder: folder.as_deref(), program: &tool.path, arguments };
            let prefix = match process.component {
                Component::Database => database::prefix(&preflight.death_prefix),
                _ => preflight.death_prefix.clone(),
            };
            let command = configuration::command(&prefix, environment, program);
            programs.push(Program { name: process.name.clone(), command });
            if let Some(name) = front_of(process) {
                let (looked_for, to) = (process.address.to_string(), plan.listens(process).to_string());
                let arguments = ["front", "--listen", &looked_for, "--to", &to].map(str::to_owned).to_vec();
                let program = configuration::ProgramWords { folder: None, program: &plan.tool_program, arguments };
                let command = configuration::command(&preflight.death_prefix, Vec::new(), program);
                programs.push(Program { name, command });
            }
        }
        let folder = configuration::socket_folder()?;
        let text = configuration::text(&plan, &programs, &folder.path().join(SOCKET));
        replace(&configuration::file(&plan), text.as_bytes())?;
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
            stack.record.remove_traces();
            return Err(failure);
        }
        Ok(stack)
    }

    async fn until_ready(
        &mut self,
        mut tail: SupervisorLogTail,
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
            for (name, news) in tail.news() {
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
}

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

/// No reader sees half of it.
fn replace(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    let written = files::replace(file, |to| to.write_all(content));
    written.with_context(|| format!("cannot write {}", file.display()))
}

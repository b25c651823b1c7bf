//! A stack that runs: what its state directory records of it, how it is found again, and what it tells of itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::process::Child;

use super::component::Component;
use super::layout;
use super::life::foreign_owner;
use super::lock::Lock;
use super::plan::{Plan, Process};
use super::preflight::present;
use super::secrets;
use super::state::{being_changed, is_busy, lock};
use super::supervisor;
use super::supervisor::configuration::SOCKET_FOLDER_PREFIX;
use super::supervisor::supervisorctl::Control;
use super::tools::Tool;
use aiclipx_model::failure::Failure;
use aiclipx_model::files;

/// What the state directory keeps of a stack that runs, as `stack.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(flatten)]
    pub(super) plan: Plan,
    /// RFC 3339, UTC.
    pub(super) started: String,
    /// The tree's revision, `-dirty` when it differs.
    pub(super) revision: String,
    /// The programs that run and what they said they are.
    pub(super) programs: BTreeMap<Component, Tool>,
    /// What is not there, and what is missed without it.
    pub(super) absent: BTreeMap<Component, String>,
    pub(super) supervisord: Tool,
    /// The folder of supervisord's socket.
    pub(super) socket_folder: PathBuf,
    /// Whether a killed supervisord takes its programs with it.
    pub(super) dies_together: bool,
}

/// A plan that runs.
#[derive(Debug)]
pub struct Stack {
    pub(super) record: Record,
    /// Of a private stack: supervisord, which is killed when this is dropped.
    pub(super) child: Option<Child>,
    /// Of a private stack: removed when dropped.
    pub(super) _socket_folder: Option<tempfile::TempDir>,
}

/// What a state directory tells.
#[derive(Debug)]
pub enum Found {
    Running(Box<Stack>),
    /// One ran and was not stopped by us; what is left of it.
    Stale(Box<StaleStack>),
    Absent,
}

/// What a stack that was killed left behind.
#[derive(Debug)]
pub struct StaleStack(pub(super) Record);

impl Found {
    fn running(self, state: &Path) -> Result<Stack, Failure> {
        match self {
            Found::Running(stack) => Ok(*stack),
            Found::Stale(_) => Err(Failure::infrastructure(format!("the stack of {} was killed", state.display()))
                .remedy("`just up` cleans up and starts it anew")),
            Found::Absent => {
                Err(Failure::usage(format!("no stack runs from {}", state.display())).remedy("`just up` starts one"))
            }
        }
    }
}

impl Stack {
    /// The stack that runs from this state directory, or a usage failure that says how to start one.
    pub async fn attach(state: &Path) -> Result<Stack, Failure> {
        Stack::find(state).await?.running(state)
    }

    /// The same, to change it: nobody else starts or stops anything of it until the lock is dropped.
    pub async fn attach_locked(state: &Path) -> Result<(Stack, Lock), Failure> {
        // First, so that where no stack runs nothing is made.
        Stack::attach(state).await?;
        let lock = lock(state).await?;
        Ok((Stack::find_locked(state).await?.running(state)?, lock))
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
    pub(super) async fn find_locked(state: &Path) -> Result<Found, Failure> {
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
        if let Some((pid, owner)) = running.and_then(|pid| Some((pid, foreign_owner(pid)?))) {
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

    pub(super) fn control(&self) -> Control<'_> {
        Control { supervisord: &self.record.supervisord.path, plan: &self.record.plan }
    }

    pub(super) async fn already_running(&self) -> Failure {
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
}

impl Record {
    /// Removes what a stack leaves that runs no more.
    pub(super) fn remove_traces(&self) {
        let is_ours = self.socket_folder.file_name().and_then(|name| name.to_str());
        if is_ours.is_some_and(|name| name.starts_with(SOCKET_FOLDER_PREFIX)) {
            let _ = std::fs::remove_dir_all(&self.socket_folder);
        }
        let _ = std::fs::remove_file(self.plan.state.join(layout::SUPERVISORD_PID));
        let _ = std::fs::remove_file(record_file(&self.plan.state));
    }
}

pub(super) fn record_file(state: &Path) -> PathBuf {
    state.join(layout::RECORD)
}

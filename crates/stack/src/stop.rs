//! A stack is stopped: in order, or by force; and what a killed one left is removed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use super::component::Component;
use super::holder;
use super::layout;
use super::life::{self, is_paused};
use super::lock::Lock;
use super::mark::Mark;
use super::plan::{Plan, Process};
use super::preflight::present;
use super::stack::{Found, Stack, record_file};
use super::state::{being_changed, is_busy, lock};
use super::supervisor;
use aiclipx_model::failure::Failure;

/// supervisord gives each program 20 s to end, then kills it.
const STOP_LIMIT: Duration = Duration::from_secs(30);

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

impl Stack {
    /// Stops everything and returns when every process is gone and every port is free.
    pub async fn stop(self) -> Result<(), Failure> {
        let _lock = lock(&self.record.plan.state).await?;
        self.stop_locked().await
    }

    pub(super) async fn stop_locked(mut self) -> Result<(), Failure> {
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
                life::signal(Signal::Cont, &[supervisord]);
            }
            if let Ok(states) = self.control().states().await {
                pids.extend(states.into_iter().filter_map(|program| program.pid));
            }
            let paused: Vec<u32> = pids.iter().copied().filter(|pid| is_paused(*pid)).collect();
            life::signal(Signal::Cont, &paused);
            // Its own end is one program after the other, each waited for, and of one that is long dead a second: all at
            // once take as long as the slowest.
            let _ = self.control().order(&["stop", "all"]).await;
            if self.control().order(&["shutdown"]).await.is_err() {
                // Not listening yet, or no longer: the signal means the same to it.
                life::signal(Signal::Term, &[supervisord]);
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
            life::signal(Signal::Kill, &[pid]);
        }
        if !all_gone(&pids, Duration::from_secs(2)).await {
            life::signal(Signal::Kill, &pids);
            all_gone(&pids, Duration::from_secs(2)).await;
        }
        let limit = Duration::from_secs(if in_order { 2 } else { 5 });
        let held = held_ports(plan, &self.record.absent, limit).await;
        if let Some(pid) = supervisord
            && life::is_alive(pid).await
        {
            // The record stays: without it nobody would find what still runs.
            return Err(Failure::infrastructure(format!(
                "supervisord ({pid}) could not be stopped; its stack runs on"
            )));
        }
        self.record.remove_traces();
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
        Found::Stale(killed) => {
            let held = held_ports(&killed.0.plan, &killed.0.absent, Duration::ZERO).await;
            killed.0.remove_traces();
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
            alive |= life::is_alive(*pid).await;
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
}

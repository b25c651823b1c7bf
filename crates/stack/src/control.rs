//! Status of a running stack; kill, stop, start, pause, resume one process.

use std::collections::BTreeMap;

use anyhow::Context;
use futures_util::future::join_all;

use super::life::{is_paused, started_ms};
use super::plan::Process;
use super::readiness::{READY_LIMIT, TICK, ready, watchdog_silence};
use super::stack::Stack;
use super::supervisor::configuration::front_of;
use super::supervisor::supervisorctl::ProgramState;
use super::table::{Health, StatusRow};
use aiclipx_model::failure::Failure;
use aiclipx_model::process_identity::ProcessIdentity;
use aiclipx_model::replica;

impl Stack {
    /// Ends a process as a crash would. In an attached stack supervisord starts it again.
    pub async fn kill_one(&self, name: &str) -> Result<(), Failure> {
        self.known(name)?;
        self.control().order(&["signal", "KILL", name]).await
    }

    /// Ends a process in its own time; it stays down. One that is down is as it should be.
    pub async fn stop_one(&self, name: &str) -> Result<(), Failure> {
        self.known(name)?;
        self.control().order_unless(&["stop", name], "(not running)").await
    }

    /// Starts a process, unless it runs, and waits until it is ready.
    pub async fn start_one(&self, name: &str) -> Result<(), Failure> {
        let process = self.known(name)?;
        self.control().order_unless(&["start", name], "(already started)").await?;
        let ready = async {
            while ready(&process, false).await.is_err() {
                tokio::time::sleep(TICK).await;
            }
        };
        Ok(tokio::time::timeout(READY_LIMIT, ready)
            .await
            .with_context(|| format!("{name} was not ready within {READY_LIMIT:?} of its start"))?)
    }

    /// Ends a process in its own time, starts it, and waits until it is ready.
    pub async fn restart_one(&self, name: &str) -> Result<(), Failure> {
        self.stop_one(name).await?;
        self.start_one(name).await
    }

    /// The processes of this name: a component's, all its replicas, or one of these. A usage failure says which there are.
    pub fn named(&self, name: &str) -> Result<Vec<Process>, Failure> {
        let mut processes = self.processes();
        let names: Vec<_> = processes.iter().map(|process| process.name.clone()).collect();
        processes.retain(|process| replica::is_of(&process.name, name));
        if processes.is_empty() {
            return Err(Failure::usage(format!("this stack runs no `{name}`; it runs {}", names.join(", "))));
        }
        Ok(processes)
    }

    /// Does something to each of these at once, and tells the first failure.
    pub async fn each<'a, F>(processes: &'a [Process], order: impl Fn(&'a Process) -> F) -> Result<(), Failure>
    where
        F: Future<Output = Result<(), Failure>>,
    {
        join_all(processes.iter().map(order)).await.into_iter().collect()
    }

    /// Whether each of these is ready now.
    pub async fn are_ready(processes: &[Process]) -> Vec<bool> {
        let looks = join_all(processes.iter().map(|process| ready(process, false))).await;
        looks.iter().map(Result::is_ok).collect()
    }

    /// Stops a process in its tracks: it keeps its port and its memory and answers nothing.
    pub async fn pause_one(&self, name: &str) -> Result<(), Failure> {
        self.known(name)?;
        self.control().order(&["signal", "STOP", name]).await
    }

    /// Lets a paused process go on.
    pub async fn resume_one(&self, name: &str) -> Result<(), Failure> {
        self.known(name)?;
        self.control().order(&["signal", "CONT", name]).await
    }

    /// The life each process is in now. Taken before and after, equal ones say that nothing was restarted.
    pub async fn identities(&self) -> Result<BTreeMap<String, ProcessIdentity>, Failure> {
        let mut states = self.control().states().await?;
        // A front's death changes nothing that anybody kept; what it cost is seen where it was asked.
        let fronts: Vec<String> = self.processes().iter().filter_map(front_of).collect();
        states.retain(|program| !fronts.contains(&program.name));
        let identity = |pid: Option<u32>| ProcessIdentity { pid, started_ms: pid.and_then(started_ms) };
        Ok(states.into_iter().map(|program| (program.name, identity(program.pid))).collect())
    }

    /// Every process and how it is, and whether all are up.
    pub async fn status(&self) -> Result<(Vec<StatusRow>, bool), Failure> {
        let states = self.control().states().await?;
        let processes = self.processes();
        let ready = join_all(processes.iter().map(|process| ready(process, false))).await;
        let silences = join_all(processes.iter().map(watchdog_silence)).await;
        let of = |name: &str| states.iter().find(|program| program.name == name);
        let looks = processes.iter().zip(ready.into_iter().zip(silences));
        let mut rows: Vec<StatusRow> = looks
            .map(|(process, (ready, silent_since))| {
                let front = front_of(process);
                let seen = Seen {
                    program: of(&process.name),
                    front: front.as_deref().and_then(of),
                    is_ready: ready.is_ok(),
                    silent_since,
                };
                seen.row(process, is_paused)
            })
            .collect();
        let all_up = rows.iter().all(|row| row.health == Health::Up);
        rows.extend(self.absent().iter().map(|(component, why)| StatusRow {
            name: component.name().to_owned(),
            health: Health::Absent,
            pid: None,
            uptime: None,
            remark: why.clone(),
        }));
        Ok((rows, all_up))
    }

    fn known(&self, name: &str) -> Result<Process, Failure> {
        let named = self.named(name)?.into_iter().find(|process| process.name == name);
        named.ok_or_else(|| Failure::usage(format!("`{name}` is several processes of this stack")))
    }
}

/// What was seen of a process at one look.
struct Seen<'a> {
    program: Option<&'a ProgramState>,
    /// What stands before it, where anything does.
    front: Option<&'a ProgramState>,
    is_ready: bool,
    /// Since when the receiver misses the Watchdog.
    silent_since: Option<String>,
}

impl Seen<'_> {
    fn row(self, process: &Process, is_paused: impl Fn(u32) -> bool) -> StatusRow {
        let Seen { program, front, is_ready, silent_since } = self;
        // What nobody can reach is as good as down, and who looks must hear of the front.
        let lost = front.filter(|front| front.pid.is_none());
        let paused = [program, front].into_iter().flatten().find_map(|one| {
            let pid = one.pid.filter(|pid| is_paused(*pid))?;
            Some((one.name.as_str(), pid))
        });
        let is_running = lost.is_none() && program.is_some_and(|program| program.pid.is_some());
        StatusRow {
            name: process.name.clone(),
            health: match (is_running, is_ready) {
                (true, _) if paused.is_some() => Health::Paused,
                (true, true) if silent_since.is_some() => Health::Silent,
                (true, true) => Health::Up,
                (true, false) => Health::Unready,
                _ => match lost.or(program) {
                    Some(program) if program.state == "STARTING" => Health::Unready,
                    program => Health::Down(program.map_or_else(|| "unknown".to_owned(), |one| one.state.clone())),
                },
            },
            pid: program.and_then(|program| program.pid),
            uptime: program.and_then(|program| program.uptime.clone()),
            remark: match (lost, paused, silent_since) {
                (Some(front), ..) => format!("nobody reaches it: {} does not run", front.name),
                (None, Some((name, pid)), _) => {
                    format!("{name} was stopped in its tracks and answers nobody; `kill -CONT {pid}` lets it go on")
                }
                (None, None, Some(since)) => format!("the Watchdog is silent since {since}: no alert arrives"),
                (None, None, None) => process.told(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Component, Plan};
    use aiclipx_base::duration::Speed;

    #[test]
    fn who_is_paused_is_named_be_it_the_program_or_its_front() {
        let plan = Plan::attached(Path::new("/tree"), Path::new("/state"), Speed::PRODUCTION).unwrap();
        let process = plan.processes().into_iter().find(|process| process.component == Component::Prometheus).unwrap();
        let running = |name: &str, pid: Option<u32>| ProgramState {
            name: name.to_owned(),
            state: if pid.is_none() { "FATAL" } else { "RUNNING" }.to_owned(),
            pid,
            uptime: None,
        };
        let row = |program, front, is_ready, paused: &[u32]| {
            let (program, front) = (running("prometheus", program), running("prometheus-front", front));
            let seen = Seen { program: Some(&program), front: Some(&front), is_ready, silent_since: None };
            seen.row(&process, |pid| paused.contains(&pid))
        };
        let (program, front) = (Some(7), Some(8));
        assert_eq!(row(program, front, true, &[]).health, Health::Up);
        assert_eq!(row(program, front, false, &[]).health, Health::Unready);
        for (paused, name) in [(7, "prometheus"), (8, "prometheus-front")] {
            // Whether it answered before it was paused or not.
            for is_ready in [true, false] {
                let row = row(program, front, is_ready, &[paused]);
                assert_eq!((row.health, row.pid), (Health::Paused, program), "{name}");
                let told = format!("{name} was stopped in its tracks and answers nobody; `kill -CONT {paused}`");
                assert!(row.remark.starts_with(&told), "{}", row.remark);
            }
        }
        let lost = row(program, None, false, &[7]);
        assert_eq!(lost.health, Health::Down("FATAL".to_owned()));
        assert_eq!(lost.remark, "nobody reaches it: prometheus-front does not run");
    }
}

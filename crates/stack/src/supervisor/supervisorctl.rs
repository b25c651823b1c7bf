//! supervisorctl: how the programs of one stack are, and orders to them.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::Context;

use super::configuration;
use super::running;
use crate::life::is_paused;
use crate::plan::Plan;
use crate::tools::helper;
use aiclipx_model::failure::Failure;

/// supervisorctl waits for a program's end as long as supervisord does; beyond that it hangs.
const CONTROL_LIMIT: Duration = Duration::from_mins(1);

/// A program as supervisord sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProgramState {
    /// The process's name in the plan.
    pub(crate) name: String,
    /// `RUNNING`, `STARTING`, `STOPPED`, `EXITED`, `BACKOFF`, `FATAL`, ….
    pub(crate) state: String,
    /// While it runs.
    pub(crate) pid: Option<u32>,
    /// `0:01:07`, while it runs.
    pub(crate) uptime: Option<String>,
}

/// supervisorctl for one stack.
pub(crate) struct Control<'a> {
    /// The supervisord it belongs to.
    pub(crate) supervisord: &'a Path,
    /// Whose configuration names the socket.
    pub(crate) plan: &'a Plan,
}

impl Control<'_> {
    async fn run(&self, arguments: &[&str]) -> Result<Output, Failure> {
        if let Some(pid) = running(self.plan).await.filter(|pid| is_paused(*pid)) {
            return Err(Failure::infrastructure(format!(
                "supervisord ({pid}) was stopped in its tracks, and hears nothing"
            ))
            .remedy(format!("`kill -CONT {pid}` lets it go on, `just down` ends it")));
        }
        // The two come together, under Nix and from PyPI alike.
        let beside = self.supervisord.with_file_name("supervisorctl");
        let program = if beside.is_file() { beside } else { PathBuf::from("supervisorctl") };
        let output = helper(&program).arg("-c").arg(configuration::file(self.plan)).args(arguments).output();
        let output = tokio::time::timeout(CONTROL_LIMIT, output).await;
        let what = || format!("supervisorctl {}", arguments.join(" "));
        Ok(output
            .with_context(|| format!("{} did not end within {CONTROL_LIMIT:?}", what()))?
            .with_context(|| format!("cannot run {}", program.display()))?)
    }

    /// Does something to a program; an error says what supervisorctl said.
    pub(crate) async fn order(&self, arguments: &[&str]) -> Result<(), Failure> {
        self.order_unless(arguments, "\0").await
    }

    /// The same; where it says `done` of a program that is so already, all is well.
    pub(crate) async fn order_unless(&self, arguments: &[&str], done: &str) -> Result<(), Failure> {
        let output = self.run(arguments).await?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if said.contains(done) || output.status.success() && !said.contains("ERROR") {
            return Ok(());
        }
        Err(Failure::infrastructure(format!("supervisorctl {}: {}", arguments.join(" "), said.trim())))
    }

    /// Every program and how it is.
    pub(crate) async fn states(&self) -> Result<Vec<ProgramState>, Failure> {
        let output = self.run(&["status"]).await?;
        let said = String::from_utf8_lossy(&output.stdout);
        // 3 says that not all are running; more is that nobody answered.
        match output.status.code() {
            Some(0 | 3) => Ok(said.lines().filter_map(program_state).collect()),
            code => {
                let said = [said.trim(), String::from_utf8_lossy(&output.stderr).trim()].join(" ");
                let code = code.map_or_else(String::new, |code| format!(" (supervisorctl ended with {code})"));
                Err(Failure::infrastructure(format!("supervisord does not answer{code}: {}", said.trim())))
            }
        }
    }
}

/// Reads `app    RUNNING   pid 4711, uptime 0:01:07`.
fn program_state(line: &str) -> Option<ProgramState> {
    let mut words = line.split_whitespace();
    let (name, state) = (words.next()?.to_owned(), words.next()?.to_owned());
    let rest = words.collect::<Vec<_>>().join(" ");
    let running = rest.strip_prefix("pid ").and_then(|rest| rest.split_once(", uptime "));
    Some(ProgramState {
        name,
        state,
        pid: running.and_then(|(pid, _)| pid.parse().ok()),
        uptime: running.map(|(_, uptime)| uptime.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_read_as_supervisorctl_prints_them() {
        assert_eq!(
            program_state("app                              RUNNING   pid 4711, uptime 1 day, 0:01:07"),
            Some(ProgramState {
                name: "app".to_owned(),
                state: "RUNNING".to_owned(),
                pid: Some(4711),
                uptime: Some("1 day, 0:01:07".to_owned()),
            })
        );
        let stopped = program_state("app                              STOPPED   Nov 24 03:00 AM").unwrap();
        assert_eq!((stopped.state.as_str(), stopped.pid), ("STOPPED", None));
    }
}

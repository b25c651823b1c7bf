//! Orders to single components of the stack: stop, start, restart. `app` is the service with all its replicas, `app-2` one of them.
//! One command at a time: of two, each would undo what the other waits for.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use aiclipx_model::failure::{Failure, tell};
use aiclipx_model::service::APP;
use aiclipx_stack::interrupt::Signals;
use aiclipx_stack::{Process, Stack};
use clap::Args;

/// What is restarted, and how.
#[derive(Args)]
pub(super) struct Restart {
    /// Components, or replicas; with --rolling the service where none is named.
    #[arg(value_name = "NAME", required_unless_present = "rolling")]
    names: Vec<String>,
    /// One replica after the other: it drains, ends, is started and waited for, and then comes the next.
    #[arg(long)]
    rolling: bool,
}

pub(super) async fn stop(state: &Path, names: &[String], signals: &Signals) -> Result<ExitCode, Failure> {
    // Half done helps nobody: Ctrl-C changes the exit code, not what is done.
    let _held = signals.held();
    let (stack, _lock) = Stack::attach_locked(state).await?;
    let processes = named(&stack, names)?;
    Stack::each(&processes, |process| stack.stop_one(&process.name)).await?;
    tell(&format!("Stopped: {}.", listed(&processes)));
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn start(state: &Path, names: &[String], signals: &Signals) -> Result<ExitCode, Failure> {
    let _held = signals.held();
    let (stack, _lock) = Stack::attach_locked(state).await?;
    let processes = named(&stack, names)?;
    Stack::each(&processes, |process| stack.start_one(&process.name)).await?;
    tell(&format!("Ready: {}.", listed(&processes)));
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn restart(state: &Path, asked: &Restart, signals: &Signals) -> Result<ExitCode, Failure> {
    let interrupt = signals.held();
    let (stack, _lock) = Stack::attach_locked(state).await?;
    let service = [APP.to_owned()];
    let processes = named(&stack, if asked.names.is_empty() { &service } else { &asked.names })?;
    if !asked.rolling {
        Stack::each(&processes, |process| stack.restart_one(&process.name)).await?;
        tell(&format!("Restarted, and ready: {}.", listed(&processes)));
        return Ok(ExitCode::SUCCESS);
    }
    for process in &processes {
        // What is under way is finished; nobody else is taken away.
        if interrupt.is_requested() {
            return Err(Failure::interrupted());
        }
        others_are_ready(&stack, process).await?;
        let began = Instant::now();
        stack.restart_one(&process.name).await.map_err(|failure| {
            failure.context(format!("{} did not come back, and the rest was left as it is", process.name))
        })?;
        tell(&format!("  · {} was restarted, and is ready after {:.1} s", process.name, began.elapsed().as_secs_f64()));
    }
    tell(&format!("Restarted one after the other: {}.", listed(&processes)));
    Ok(ExitCode::SUCCESS)
}

/// Whether somebody serves while this one does not: else it would be an outage, which nobody asked for.
async fn others_are_ready(stack: &Stack, process: &Process) -> Result<(), Failure> {
    let mut others = stack.named(process.component.name())?;
    others.retain(|other| other.name != process.name);
    if others.is_empty() {
        return Err(Failure::usage(format!(
            "there is one {} alone, and nobody serves while it restarts",
            process.name
        ))
        .remedy("leave --rolling out; or start the stack with `just up --replicas 2`, or more"));
    }
    if Stack::are_ready(&others).await.contains(&true) {
        return Ok(());
    }
    Err(Failure::infrastructure(format!("none of {} is ready, so {} stays up", listed(&others), process.name))
        .remedy("see `just status` and `just logs`"))
}

/// The processes of these names, each once.
fn named(stack: &Stack, names: &[String]) -> Result<Vec<Process>, Failure> {
    let mut processes: Vec<Process> = Vec::new();
    for name in names {
        let new: Vec<_> = stack.named(name)?.into_iter().filter(|process| !processes.contains(process)).collect();
        processes.extend(new);
    }
    Ok(processes)
}

fn listed(processes: &[Process]) -> String {
    processes.iter().map(|process| process.name.as_str()).collect::<Vec<_>>().join(", ")
}

//! Commands on the stack: up, down, clean, status, logs.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use aiclipx_base::duration::Speed;
use aiclipx_model::failure::{Failure, tell};
use aiclipx_model::monitoring::addresses::ExternalUrl;
use aiclipx_model::monitoring::{Monitoring, prometheus_flags};
use aiclipx_model::replica::Replicas;
use aiclipx_stack::interrupt::{Interrupt, Signals};
use aiclipx_stack::{Found, Plan, Stack, logs, remote, start, stop, table};
use aiclipx_stack::{PortChoice, find_tree};

use crate::remote::RemoteOptions;
use aiclipx_model::failure::print;
use aiclipx_tool::program::as_called_here;
use clap::Args;

/// Lines of each log that `logs` shows unless told otherwise.
const LINES: usize = 50;

/// The options of `logs`.
#[derive(Args)]
pub(super) struct Logs {
    /// Components; also supervisord, whose log is shown only when it is named.
    #[arg(value_name = "COMPONENT")]
    pub(super) components: Vec<String>,
    /// One component; may be said several times.
    #[arg(long = "component", value_name = "COMPONENT")]
    pub(super) named: Vec<String>,
    /// Lines of this level or graver: error, warn, info, debug, trace.
    #[arg(long)]
    pub(super) level: Option<logs::Level>,
    /// Requests to one endpoint, as metrics name it: '/items/{id}'.
    #[arg(long)]
    pub(super) endpoint: Option<String>,
    /// One request: what its answer said in x-request-id, and the ledger, too.
    #[arg(long)]
    pub(super) request_id: Option<String>,
    /// Nothing older: 5m (real time) or 2026-11-26T18:00:00Z.
    #[arg(long)]
    pub(super) since: Option<logs::Since>,
    /// Go on until interrupted.
    #[arg(long, short)]
    pub(super) follow: bool,
    /// The last so many lines of each [default: 50; all, with a filter].
    #[arg(long, short = 'n')]
    pub(super) lines: Option<usize>,
}

/// Where a stack is reached, as the command line says it.
pub(super) struct Places<'a> {
    pub(super) ports: &'a [PortChoice],
    pub(super) free_ports: bool,
    pub(super) replicas: Replicas,
    pub(super) external_url: &'a Option<ExternalUrl>,
    pub(super) remote: &'a RemoteOptions,
    /// The service keeps its items in a database that is part of the stack.
    pub(super) database: bool,
}

pub(super) async fn up(
    state: &Path,
    speed: Speed,
    Places { ports, free_ports, replicas, external_url, remote, database }: &Places<'_>,
    signals: &Signals,
) -> Result<ExitCode, Failure> {
    let began = std::time::Instant::now();
    // Whoever could write to what supervisord reads would have commands of their own run.
    let mask = rustix::process::umask(rustix::fs::Mode::all());
    rustix::process::umask(mask | rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);
    let root = find_tree()?;
    let remote = remote.asked()?;
    let mut plan = Plan::attached(&root, state, speed)?;
    plan.replicate(*replicas)?;
    if *database {
        plan.add_database();
    }
    if *free_ports {
        plan.free_ports()?;
    }
    for (index, choice) in ports.iter().enumerate() {
        if let Some(other) = ports[..index].iter().find(|other| other.listener == choice.listener) {
            let (listener, one, two) = (choice.listener, other.port, choice.port);
            return Err(Failure::usage(format!("{listener} can't be on port {one} and on port {two}")));
        }
        plan.choose_port(*choice);
    }
    let turn = start::Turn::take(&plan.state).await?;
    plan.addresses.remote_write =
        remote.map(|remote| remote::settled(remote, &root, &plan.state)).transpose()?.map(Box::new);
    let monitoring = Monitoring::read(&root.join("monitoring"))?;
    let render = |plan: &mut Plan| {
        plan.addresses.external = Option::clone(external_url).or_else(|| plan.viewer_as_external());
        Ok(monitoring.render(&plan.rendered_with(), speed)?)
    };
    let mut live = table::Live::new();
    let interrupt = signals.held();
    let flags = prometheus_flags(speed);
    let stack = Stack::start_in(turn, plan, render, flags, &mut live, interrupt.requested()).await?;
    let ready = table::all_ready(stack.plan().speed, stack.dies_together(), began.elapsed());
    tell(as_called_here(&ready).trim_end());
    if let Some(remote) = &stack.plan().addresses.remote_write {
        let labels: Vec<_> = remote.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        tell(&format!("  Every sample is also written to {}, with {}.", remote.url, labels.join(", ")));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn down(state: &Path, signals: &Signals) -> Result<ExitCode, Failure> {
    // Half stopped helps nobody: Ctrl-C changes the exit code, not what is done.
    let _held = signals.held();
    stopped(state, stop::down(state).await?)
}

pub(super) async fn clean(state: &Path, signals: &Signals) -> Result<ExitCode, Failure> {
    let _held = signals.held();
    stopped(state, stop::clean(state).await?)?;
    tell(&format!("Nothing of a stack is left in {}.", state.display()));
    Ok(ExitCode::SUCCESS)
}

fn stopped(state: &Path, down: stop::Down) -> Result<ExitCode, Failure> {
    tell(&match down {
        stop::Down::Stopped => "The stack is stopped; nothing is left running.".to_owned(),
        stop::Down::Cleaned(held) if held.is_empty() => "The stack had been killed; its traces are removed.".to_owned(),
        stop::Down::Cleaned(held) => {
            let what = format!("the stack had been killed; its traces are removed, but {}", held.join(", "));
            return Err(Failure::infrastructure(what).remedy("if that is left of the stack, end it with `kill`"));
        }
        stop::Down::Absent => format!("No stack runs from {}.", state.display()),
    });
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn status(state: &Path) -> Result<ExitCode, Failure> {
    let stack = match Stack::find(state).await? {
        Found::Running(stack) => stack,
        Found::Stale(_) => return Err(killed(state)),
        Found::Absent => {
            let what = format!("no stack runs from {}", state.display());
            return Err(Failure::usage(what).remedy("`just up` starts one"));
        }
    };
    let (status, alarms) = tokio::join!(stack.status(), stack.alarms());
    let (rows, all_up) = status?;
    let paint = table::Paint::for_stdout();
    print(table::status(&rows, paint).trim_end())?;
    print(&format!("\n{}", alarms.table(paint).trim_end()))?;
    Ok(if all_up { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

pub(super) async fn show_logs(state: &Path, wanted: &Logs, interrupt: &Interrupt) -> Result<ExitCode, Failure> {
    let Logs { components, named, level, endpoint, request_id, since, follow, lines } = wanted;
    let filters = level.is_some() || endpoint.is_some() || request_id.is_some() || since.is_some();
    let request = logs::Request {
        names: [&components[..], named].concat(),
        level: *level,
        endpoint: endpoint.clone(),
        request_id: request_id.clone(),
        since: *since,
        lines: lines.or((!filters).then_some(LINES)),
        follow: *follow,
    };
    let format = if std::io::stdout().is_terminal() {
        logs::Format::People(table::Paint::for_stdout())
    } else {
        logs::Format::Programs
    };
    // Locked never, buffered always: a long log is a million short lines.
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let shown = interrupt.or(logs::print(state, &request, &mut out, format)).await?;
    if shown.lines == 0 && filters {
        tell("No log line matches.");
    }
    if let (Some(_), Some((from, to)), Found::Running(stack)) = (request_id, shown.between, Stack::find(state).await?) {
        tell(&format!("The panels around it: {}", table::panels_around(stack.plan(), from, to)));
    }
    Ok(ExitCode::SUCCESS)
}

/// The failure where the stack of this state directory was killed, so that its components answer no more.
pub(super) fn killed(state: &Path) -> Failure {
    Failure::infrastructure(format!("the stack of {} was killed", state.display()))
        .remedy("`just down` clears what is left, `just up` starts anew, `just prove` needs no stack")
}

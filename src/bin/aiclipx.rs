//! The operator's command line: each command is one call into the library, and one exit code.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aiclipx::dashboard::viewer;
use aiclipx::duration::{self, Speed};
use aiclipx::evidence::bundle::{Bundle, Outcome};
use aiclipx::evidence::claims::Kind;
use aiclipx::evidence::enact::{Enactment, faults_are_on};
use aiclipx::evidence::experiment::SCHEMA;
use aiclipx::evidence::ground::Ground;
use aiclipx::evidence::judge::Verdict;
use aiclipx::evidence::tree::Tree;
use aiclipx::evidence::{attached, attest, loaded, mutants, prove};
use aiclipx::failure::{self, Failure, tell, without_just};
use aiclipx::files;
use aiclipx::http::client::Address;
use aiclipx::interrupt::{Interrupt, Signals};
use aiclipx::monitoring::addresses::Addresses;
use aiclipx::monitoring::{Monitoring, prometheus_flags};
use aiclipx::scenario::{self, Scenario, Volume};
use aiclipx::stack::plan::{PortChoice, find_tree};
use aiclipx::stack::{
    Component, Foreign, Found, Mark, Plan, Stack, Whereabouts, bundles_folder, logs, secrets, start, state_folder,
    table,
};
use aiclipx::traffic::ledger::Ledger;
use aiclipx::traffic::progress::Progress;
use aiclipx::traffic::schedule::Schedule;
use aiclipx::traffic::send::{Limits, Sent, Tcp, send};
use aiclipx::traffic::table::Summary;
use aiclipx::{check, guard, receiver};
use anyhow::Context;
use clap::{Args, Parser, Subcommand};

/// An observability stack that proves itself.
///
/// Exit codes: 0 all is well; 1 a claim or a check fails; 2 bad input or a missing precondition; 3 the run says
/// nothing; 4 a bundle that can't be trusted; 130 interrupted.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The stack's directory; else what `AICLIPX_STATE` names, else state/ at the repository's root; aiclipx/ in
    /// `XDG_STATE_HOME` (~/.local/state) where that can't be written.
    #[arg(long, global = true)]
    state: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the stack and wait until all of it is ready.
    Up {
        /// How many times faster than production it lives.
        #[arg(long, default_value = "30")]
        speed: Speed,
        /// Move one component: prometheus=9190; or another place of one: app-admin=8181, vector-metrics=9698, loki-grpc=9196.
        #[arg(long = "port", value_name = "NAME=PORT")]
        ports: Vec<PortChoice>,
        /// Move all components to ports nobody uses.
        #[arg(long)]
        free_ports: bool,
    },
    /// Stop the stack; its data stays.
    Down,
    /// Stop the stack and remove its state directory: data, logs, secrets, runs; evidence stays.
    Clean,
    /// Show what runs.
    Status,
    /// Show the components' logs, merged by time; JSON lines where stdout is no terminal.
    Logs(Logs),
    /// Write the monitoring configuration as a stack of a speed gets it.
    Render {
        /// How many times faster than production.
        #[arg(long, default_value = "30")]
        speed: Speed,
        /// The folder to write to; without it, the files are listed with their text.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Check scenarios, rules, routes and dashboards without running anything.
    Check {
        /// Ask the running stack instead whether every panel shows something and every rule is evaluated.
        #[arg(long)]
        live: bool,
    },
    /// Serve the provisioned dashboards live, drawn here; `up` does where Grafana is absent.
    Dashboard {
        /// Where to listen: an address of this machine's loopback.
        #[arg(long, default_value = "127.0.0.1:3000")]
        listen: Address,
        /// The folder Grafana would be provisioned from [default: that of the stack].
        #[arg(long)]
        folder: Option<PathBuf>,
        /// Where Prometheus is, if not where the folder says.
        #[arg(long, value_name = "URL")]
        prometheus: Option<Address>,
    },
    /// Seeded traffic.
    #[command(subcommand)]
    Traffic(Traffic),
    /// Evidence: collect it, make it, verify it.
    #[command(subcommand)]
    Evidence(Evidence),
    /// Hand on what no page of another origin asks to a program that listens elsewhere (before what has no gate).
    #[command(hide = true)]
    Front {
        /// Where to listen.
        #[arg(long)]
        listen: Address,
        /// To whom.
        #[arg(long)]
        to: Address,
    },
    /// Receive notifications and traffic phases (a component of the stack).
    #[command(hide = true)]
    Receiver {
        /// Where to listen.
        #[arg(long)]
        listen: Address,
        /// The file to append to.
        #[arg(long, required_unless_present = "check")]
        notifications: Option<PathBuf>,
        /// Ask the receiver that listens there whether it is well, and end.
        #[arg(long)]
        check: bool,
        /// What it is called by, beside this machine's own names; a browser that asks for another is refused.
        #[arg(long = "host", value_name = "NAME")]
        names: Vec<String>,
        /// How long the Watchdog may be silent, real time.
        #[arg(long, default_value = "5m", value_parser = duration::parse)]
        patience: Duration,
    },
    /// Write Grafana's secrets for a user of another container (a step of compose.yaml).
    #[command(hide = true)]
    Secrets {
        /// The file that may name a password; it need not exist.
        #[arg(long, value_name = "FILE")]
        env_file: PathBuf,
        /// The folder they go to.
        #[arg(long)]
        folder: PathBuf,
        /// The number of the user who alone reads them.
        #[arg(long)]
        owner: Option<u32>,
    },
}

#[derive(Args)]
struct Logs {
    /// Components; also supervisord, whose log is shown only when it is named.
    #[arg(value_name = "COMPONENT")]
    components: Vec<String>,
    /// One component; may be said several times.
    #[arg(long = "component", value_name = "COMPONENT")]
    named: Vec<String>,
    /// Lines of this level or graver: error, warn, info, debug, trace.
    #[arg(long)]
    level: Option<logs::Level>,
    /// Requests to one endpoint, as metrics name it: '/items/{id}'.
    #[arg(long)]
    endpoint: Option<String>,
    /// One request: what its answer said in x-request-id, and the ledger, too.
    #[arg(long)]
    request_id: Option<String>,
    /// Nothing older: 5m (real time) or 2026-11-26T18:00:00Z.
    #[arg(long)]
    since: Option<logs::Since>,
    /// Go on until interrupted.
    #[arg(long, short)]
    follow: bool,
    /// The last so many lines of each [default: 50; all, with a filter].
    #[arg(long, short = 'n')]
    lines: Option<usize>,
}

#[derive(Subcommand)]
enum Traffic {
    /// Run scenarios against the running stack, one after the other; all where none is named.
    Run(TrafficRun),
    /// Print the schedule that a scenario and a seed give rise to, and its hash.
    Schedule {
        /// Number, name or path.
        scenario: String,
        /// What it is computed from.
        #[arg(long, default_value_t = SEED, value_parser = seed)]
        seed: u64,
        /// How many times faster than production.
        #[arg(long, default_value = "30")]
        speed: Speed,
    },
}

#[derive(Args)]
struct TrafficRun {
    /// Numbers, names or paths.
    scenarios: Vec<String>,
    /// List the scenarios and send nothing.
    #[arg(long)]
    list: bool,
    /// Send there and don't look at any stack.
    #[arg(long, value_name = "URL")]
    base_url: Option<Address>,
    /// Run on a stack that this tool did not start: a host, where each component is on its usual port, or
    /// app=URL,prometheus=URL[,alertmanager=URL][,receiver=URL].
    #[arg(long, value_name = "WHERE", conflicts_with = "base_url")]
    attach: Option<Whereabouts>,
    /// What the schedules are computed from.
    #[arg(long, default_value_t = SEED, value_parser = seed)]
    seed: u64,
    /// Real length of each scenario's traffic, in place of its own.
    #[arg(long, value_parser = duration::parse)]
    duration: Option<Duration>,
    /// With one scenario: write the ledger here too.
    #[arg(long)]
    ledger: Option<PathBuf>,
    /// With one scenario: write the table as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Evidence {
    /// Judge every run on the stack that is up; where none is up, run everything on private stacks.
    Collect {
        /// Judge the runs on a stack that this tool did not start, as `traffic run` takes it.
        #[arg(long, value_name = "WHERE")]
        attach: Option<Whereabouts>,
        /// Where bundles go [default: evidence/runs at the repository's root,
        /// ./aiclipx-evidence where that can't be written].
        #[arg(long)]
        out: Option<PathBuf>,
        /// Claims (by a part of their id) that must be proven, else exit 1.
        #[arg(long, value_name = "CLAIM", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        require: Vec<String>,
    },
    /// Enact every experiment on a private stack, judge, and seal.
    Run {
        /// Only these experiments.
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
        #[command(flatten)]
        how: OnPrivateStacks,
        /// Claims (by a part of their id) that must be proven, else exit 1.
        #[arg(long, value_name = "CLAIM", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        require: Vec<String>,
    },
    /// Break the monitoring on purpose, one thing at a time on private stacks: a named claim must find each.
    Mutants {
        /// Only these mutants, by their id in monitoring/mutants.toml.
        #[arg(long, value_name = "ID")]
        only: Vec<String>,
        #[command(flatten)]
        how: OnPrivateStacks,
    },
    /// Check a bundle, offline: that nothing changed, and that its verdicts follow from its exhibits.
    Verify {
        /// The bundle's folder.
        bundle: PathBuf,
        /// A clone of the repository: the bundle's tree must be that of its revision.
        #[arg(long, value_name = "DIR")]
        repo: Option<PathBuf>,
        /// Who may have signed it, in OpenSSH's form of allowed signers.
        #[arg(long, value_name = "FILE")]
        signers: Option<PathBuf>,
        /// Claims (by a part of their id) that must be proven, else exit 1.
        #[arg(long, value_name = "CLAIM", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        require: Vec<String>,
    },
    /// Sign a bundle with an SSH key, once it verifies.
    Sign {
        /// The bundle's folder.
        bundle: PathBuf,
        /// The private key, or the public one of a key that the agent holds.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
}

#[derive(Args)]
struct OnPrivateStacks {
    /// What the schedules are computed from.
    #[arg(long, default_value_t = SEED, value_parser = seed)]
    seed: u64,
    /// How many times faster than production.
    #[arg(long, default_value = "30")]
    speed: Speed,
    /// Stacks side by side.
    #[arg(long, default_value_t = JOBS, value_parser = clap::value_parser!(u8).range(1..=16))]
    jobs: u8,
    /// Where the outcome gets a folder of its own [default: evidence/runs at the repository's root,
    /// ./aiclipx-evidence where that can't be written].
    #[arg(long)]
    out: Option<PathBuf>,
}

impl OnPrivateStacks {
    fn options(self, root: &Path, only: Vec<String>) -> prove::Options {
        let OnPrivateStacks { seed, speed, jobs, out } = self;
        prove::Options { only, seed, speed, jobs: usize::from(jobs), out: out.unwrap_or_else(|| bundles_folder(root)) }
    }
}

/// As `--seed` takes it.
fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a seed; write a whole number like {SEED}"))
}

/// Any number does; the same one for everybody makes runs comparable.
const SEED: u64 = 42;
/// Lines of each log that `logs` shows unless told otherwise.
const LINES: usize = 50;
/// Stacks side by side: on two idle processors three keep a whole `prove` under three minutes, and requests leave on time.
const JOBS: u8 = 3;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (code, was_interrupted) = match Signals::listen() {
        Ok(signals) => (run(arguments, &signals).await, signals.were_heard()),
        Err(failure) => (Err(failure), false),
    };
    let code = code.unwrap_or_else(|failure| {
        tell(&as_called_here(&format!("aiclipx: {failure}")));
        failure.exit_code()
    });
    // Whatever it came to in the moment that was left.
    if was_interrupted { ExitCode::from(failure::Kind::Interrupted as u8) } else { code }
}

/// Messages name commands by their recipes; beside a tree without a justfile there is only the tool.
fn as_called_here(text: &str) -> String {
    let has_recipes = find_tree().is_ok_and(|root| root.join("justfile").is_file());
    if has_recipes { text.to_owned() } else { without_just(text) }
}

async fn run(arguments: Arguments, signals: &Signals) -> Result<ExitCode, Failure> {
    let state = || -> Result<PathBuf, Failure> {
        match &arguments.state {
            Some(state) => Ok(state.clone()),
            None => state_folder(),
        }
    };
    match arguments.command {
        Command::Up { speed, ref ports, free_ports } => up(&state()?, speed, ports, free_ports, signals).await,
        Command::Down => {
            // Half stopped helps nobody: Ctrl-C changes the exit code, not what is done.
            let _held = signals.held();
            stopped(&state()?, start::down(&state()?).await?)
        }
        Command::Clean => {
            let _held = signals.held();
            stopped(&state()?, start::clean(&state()?).await?)?;
            tell(&format!("Nothing of a stack is left in {}.", state()?.display()));
            Ok(ExitCode::SUCCESS)
        }
        Command::Status => status(&state()?).await,
        Command::Logs(ref wanted) => show_logs(&state()?, wanted, &signals.held()).await,
        Command::Render { speed, out } => render(speed, out.as_deref()),
        Command::Check { live } => {
            let root = find_tree()?;
            let findings = if live {
                let stack = Stack::attach(&state()?).await?;
                let plan = stack.plan();
                let addresses = &plan.addresses;
                let has_grafana = stack.programs().contains_key(&Component::Grafana);
                let grafana = has_grafana.then_some(&addresses.dashboards);
                check::live::check(&root, &addresses.prometheus, grafana, plan.speed).await?
            } else {
                check::check(&root)?
            };
            for finding in &findings {
                print(&as_called_here(&finding.to_string()))?;
            }
            tell(&match findings.len() {
                0 => "Nothing found.".to_owned(),
                1 => "1 finding".to_owned(),
                found => format!("{found} findings"),
            });
            Ok(ExitCode::from(u8::from(!findings.is_empty())))
        }
        Command::Traffic(Traffic::Run(TrafficRun { list: true, .. })) => {
            for scenario in scenario::all(&find_tree()?.join(SCENARIOS))? {
                print(&format!("{:<18} {}", scenario.id(), scenario.title))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Traffic(Traffic::Run(ref run)) => match run.base_url {
            Some(ref address) => traffic_to(address, run, signals).await,
            None => traffic(&state()?, run, signals).await,
        },
        Command::Traffic(Traffic::Schedule { scenario, seed, speed }) => {
            let scenario = scenario::find(&find_tree()?.join(SCENARIOS), &scenario)?;
            let schedule = Schedule::new(&scenario, seed, speed, None)?;
            print(schedule.to_jsonl().trim_end())?;
            tell(&format!("{} requests, sha256 {}", schedule.requests.len(), schedule.sha256()));
            Ok(ExitCode::SUCCESS)
        }
        Command::Evidence(Evidence::Collect { ref attach, ref out, ref require }) => {
            let root = find_tree()?;
            let out = out.clone().unwrap_or_else(|| bundles_folder(&root));
            if let Some(whereabouts) = attach {
                let foreign = Foreign::find(whereabouts, &state()?).await?;
                return collect(&root, Ground::Theirs(&foreign), &out, require, signals).await;
            }
            match Stack::find(&state()?).await? {
                Found::Running(stack) => return collect(&root, Ground::Ours(&stack), &out, require, signals).await,
                Found::Stale(_) => return Err(killed(&state()?)),
                Found::Absent => {}
            }
            tell("No stack is up: every experiment runs on a private stack.");
            let speed = "30".parse().context("the default speed")?;
            let how = OnPrivateStacks { seed: SEED, speed, jobs: JOBS, out: Some(out) };
            let (bundle, outcome) = prove::prove(&root, &how.options(&root, Vec::new()), &signals.held()).await?;
            conclude(&bundle, &outcome, require)
        }
        Command::Evidence(Evidence::Run { only, how, require }) => {
            let root = find_tree()?;
            let (bundle, outcome) = prove::prove(&root, &how.options(&root, only), &signals.held()).await?;
            conclude(&bundle, &outcome, &require)
        }
        Command::Evidence(Evidence::Mutants { only, how }) => {
            let root = find_tree()?;
            let (folder, outcome) = mutants::run::try_all(&root, &how.options(&root, only), &signals.held()).await?;
            print(outcome.table().trim_end())?;
            tell(&format!("{}.", outcome.tally()));
            print(&folder.join(mutants::outcome::FILE).display().to_string())?;
            Ok(ExitCode::from(outcome.exit_code()))
        }
        Command::Evidence(Evidence::Verify { ref bundle, ref repo, ref signers, ref require }) => {
            verify(bundle, repo.as_deref(), signers.as_deref(), require)
        }
        Command::Evidence(Evidence::Sign { ref bundle, ref key }) => {
            print(&attest::sign(&Bundle::open(bundle)?, key)?.display().to_string())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Dashboard { ref listen, ref folder, ref prometheus } => {
            let folder = match folder {
                Some(folder) => folder.clone(),
                None => Stack::attach(&state()?).await?.plan().etc().join("grafana"),
            };
            if !folder.is_dir() {
                return Err(Failure::usage(format!("{} is no folder", folder.display())).remedy(
                    "--folder names one that holds provisioning/ and dashboards/, as `aiclipx render` writes grafana/",
                ));
            }
            let listener = bound(listen).await?;
            tell(&format!("Dashboards at {}", listen.url("/")));
            let sources = viewer::Sources { folder, prometheus: prometheus.clone() };
            viewer::run(listener, sources, signals.held().requested()).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Front { listen, to } => {
            guard::front(bound(&listen).await?, to, signals.held().requested()).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Receiver { listen, check: true, .. } => {
            receiver::check(&listen).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Receiver { listen, notifications, patience, names, .. } => {
            let notifications = notifications.context("clap demands it")?;
            if notifications.metadata().map_or_else(
                |_| !notifications.parent().is_some_and(|folder| folder == Path::new("") || folder.is_dir()),
                |there| !there.is_file(),
            ) {
                let what = format!("{} is neither a regular file nor can it be made one", notifications.display());
                return Err(Failure::usage(what).remedy("--notifications names a file in a folder that is there"));
            }
            let listener = bound(&listen).await?;
            receiver::run(listener, &notifications, patience, names, signals.held().requested()).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Secrets { env_file, folder, owner } => {
            secrets::make(&env_file, &folder, owner)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn bound(address: &Address) -> Result<tokio::net::TcpListener, Failure> {
    let bound = tokio::net::TcpListener::bind((address.host.as_str(), address.port)).await;
    bound.with_context(|| format!("cannot listen on {address}")).map_err(Failure::usage)
}

/// Where scenarios lie, below the repository's root.
const SCENARIOS: &str = "scripts/traffic";

async fn up(
    state: &Path,
    speed: Speed,
    ports: &[PortChoice],
    free_ports: bool,
    signals: &Signals,
) -> Result<ExitCode, Failure> {
    let began = std::time::Instant::now();
    // Whoever could write to what supervisord reads would have commands of their own run.
    let mask = rustix::process::umask(rustix::fs::Mode::all());
    rustix::process::umask(mask | rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);
    let root = find_tree()?;
    let mut plan = Plan::attached(&root, state, speed)?;
    if free_ports {
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
    let rendered = Monitoring::read(&root.join("monitoring"))?.render(&plan.rendered_with(), speed)?;
    let mut live = table::Live::new();
    let interrupt = signals.held();
    let flags = prometheus_flags(speed);
    let stack = Stack::start_in(turn, plan, rendered, flags, &mut live, interrupt.requested()).await?;
    let ready = table::all_ready(&stack, began.elapsed(), table::Paint::for_stderr());
    tell(as_called_here(&ready).trim_end());
    Ok(ExitCode::SUCCESS)
}

fn stopped(state: &Path, down: start::Down) -> Result<ExitCode, Failure> {
    tell(&match down {
        start::Down::Stopped => "The stack is stopped; nothing is left running.".to_owned(),
        start::Down::Cleaned(held) if held.is_empty() => {
            "The stack had been killed; its traces are removed.".to_owned()
        }
        start::Down::Cleaned(held) => {
            let what = format!("the stack had been killed; its traces are removed, but {}", held.join(", "));
            return Err(Failure::infrastructure(what).remedy("if that is left of the stack, end it with `kill`"));
        }
        start::Down::Absent => format!("No stack runs from {}.", state.display()),
    });
    Ok(ExitCode::SUCCESS)
}

async fn status(state: &Path) -> Result<ExitCode, Failure> {
    let stack = match Stack::find(state).await? {
        Found::Running(stack) => stack,
        Found::Stale(_) => return Err(killed(state)),
        Found::Absent => {
            let what = format!("no stack runs from {}", state.display());
            return Err(Failure::usage(what).remedy("`just up` starts one"));
        }
    };
    let (rows, all_up) = stack.status().await?;
    print(table::status(&rows, table::Paint::for_stdout()).trim_end())?;
    Ok(if all_up { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

async fn show_logs(state: &Path, wanted: &Logs, interrupt: &Interrupt) -> Result<ExitCode, Failure> {
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
        tell("No line is like that.");
    }
    if let (Some(_), Some((from, to)), Found::Running(stack)) = (request_id, shown.between, Stack::find(state).await?) {
        tell(&format!("The panels around it: {}", table::panels_around(stack.plan(), from, to)));
    }
    Ok(ExitCode::SUCCESS)
}

/// The stack of this state directory ended without being told to: what it recorded can't be asked for any more.
fn killed(state: &Path) -> Failure {
    Failure::infrastructure(format!("the stack of {} was killed", state.display()))
        .remedy("`just down` clears what is left, `just up` starts anew, `just prove` needs no stack")
}

fn render(speed: Speed, out: Option<&Path>) -> Result<ExitCode, Failure> {
    let root = find_tree()?;
    let source = root.join("monitoring");
    let files = Monitoring::read(&source)?.render(&Addresses::canonical(), speed)?;
    if let Some(out) = out {
        if is_within(out, &source) || is_within(&source, out) {
            return Err(Failure::usage(format!("{} holds what is rendered, or lies in it", out.display()))
                .remedy("choose another folder with --out"));
        }
        Mark::Rendered.claim(out)?;
    }
    for (path, bytes) in &files {
        match out {
            Some(out) => {
                let file = out.join(path);
                // The mark says that the folder is ours, and nothing of what a link in it leads to.
                let inside = path.ancestors().filter(|inside| !inside.as_os_str().is_empty());
                if let Some(link) = inside.map(|inside| out.join(inside)).find(|inside| inside.is_symlink()) {
                    return Err(Failure::usage(format!(
                        "{} is a link, and what it leads to is not ours",
                        link.display()
                    ))
                    .remedy("remove the link, or choose another folder with --out"));
                }
                std::fs::create_dir_all(file.parent().unwrap_or(out))
                    .and_then(|()| files::replace(&file, |to| to.write_all(bytes)))
                    .with_context(|| format!("cannot write {}", file.display()))
                    .map_err(Failure::usage)?;
            }
            None => print(&format!("# {}\n{}", path.display(), String::from_utf8_lossy(bytes).trim_end()))?,
        }
    }
    tell(&format!("{} files at speed {speed}", files.len()));
    Ok(ExitCode::SUCCESS)
}

/// Whether a path is that of a folder or lies below it, by whatever links; the end of it need not exist.
fn is_within(path: &Path, folder: &Path) -> bool {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = path.ancestors().find_map(|above| above.canonicalize().ok());
    folder.canonicalize().is_ok_and(|folder| there.is_some_and(|there| there.starts_with(folder)))
}

async fn traffic(state: &Path, run: &TrafficRun, signals: &Signals) -> Result<ExitCode, Failure> {
    let root = find_tree()?;
    let scenarios = scenarios(&root, run)?;
    // A shortened run is for looking at traffic, and proves no alert anyway.
    if run.duration.is_none() {
        let findings = check::check_scenarios(&root, &scenarios)?;
        if !findings.is_empty() {
            return Err(Failure::from(findings));
        }
    }
    let tree = Tree::read(&root)?;
    let (ours, theirs);
    let ground = if let Some(whereabouts) = &run.attach {
        theirs = Foreign::find(whereabouts, state).await?;
        for why in theirs.absent.values() {
            tell(&format!("  · {why}"));
        }
        Ground::Theirs(&theirs)
    } else {
        ours = Stack::attach(state).await?;
        Ground::Ours(&ours)
    };
    loaded::is_the_tree(ground, &tree).await?;
    let interrupt = &signals.held();
    let mut mute = Vec::new();
    for (index, scenario) in scenarios.iter().enumerate() {
        tell(&format!("{}{}: {}", nth(index, scenarios.len()), scenario.id(), scenario.title));
        let what = Enactment {
            ground,
            tree: &tree,
            scenario,
            seed: run.seed,
            length: run.duration,
            show: true,
            pictures: true,
            from_quiet: true,
        };
        let say = |waiting: &str| tell(&format!("  · {waiting}"));
        let disturbed = attached::enact(what, &say, &|sent| report(sent, run), interrupt).await?;
        if !disturbed.is_empty() {
            tell(&format!("  ! {}: invalid again ({})", scenario.name, disturbed.join("; ")));
            mute.push(format!("{}: {}", scenario.id(), disturbed.join("; ")));
        }
    }
    if mute.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::infrastructure(format!("disturbed twice, this says nothing: {}", mute.join("; ")))
        .remedy("see `just logs` and `just status`, and give the machine less else to do; then run it again"))
}

/// `scenario 2 of 9, `; of one, nothing.
fn nth(index: usize, of: usize) -> String {
    if of == 1 { String::new() } else { format!("scenario {} of {of}, ", index + 1) }
}

/// Traffic to any address, with nothing looked at but the answers.
async fn traffic_to(address: &Address, run: &TrafficRun, signals: &Signals) -> Result<ExitCode, Failure> {
    let scenarios = scenarios(&find_tree()?, run)?;
    for (index, scenario) in scenarios.iter().enumerate() {
        tell(&format!("{}{}: {}", nth(index, scenarios.len()), scenario.id(), scenario.title));
        let schedule = Schedule::new(scenario, run.seed, Speed::PRODUCTION, run.duration)?;
        if scenario.orders_components() {
            return Err(Failure::usage(format!("{} stops components, and at a URL there is no stack", scenario.id()))
                .remedy("run it without --base-url on a stack that is up, or with `just prove`"));
        }
        if schedule.injects_faults() {
            faults_are_on(std::slice::from_ref(address)).await?;
        }
        let progress = Progress::new(&schedule);
        let id = format!("{}-s{}", scenario.id(), run.seed);
        let connect = Tcp::resolve(address).await?;
        let limits = Limits::default();
        let interrupt = signals.held();
        let sending = send(&schedule, &id, connect, &limits, &progress, |_| {}, interrupt.requested());
        let sent = tokio::select! {
            sent = sending => sent?,
            () = std::sync::Arc::clone(&progress).show() => unreachable!("showing ends only with the traffic"),
        };
        drop(interrupt);
        report(&sent, run)?;
        if let Some(failure) = sent.failure() {
            return Err(failure);
        }
        let totals = sent.ledger.totals();
        if totals.sent > 0 && totals.answered == 0 {
            return Err(Failure::infrastructure(format!("nothing was answered at {address}"))
                .remedy("is the service there? --base-url says where"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn scenarios(root: &Path, run: &TrafficRun) -> Result<Vec<Scenario>, Failure> {
    let folder = root.join(SCENARIOS);
    if run.scenarios.is_empty() {
        let mut all = scenario::all(&folder)?;
        // Of somebody else's stack nothing is stopped.
        all.retain(|one| !one.phases.iter().all(is_silent) && (run.attach.is_none() || !one.orders_components()));
        return Ok(all);
    }
    if run.scenarios.len() > 1 && (run.ledger.is_some() || run.json.is_some()) {
        return Err(Failure::usage("--ledger and --json are of one run").remedy("name one scenario"));
    }
    if run.ledger.is_some() && run.ledger == run.json {
        return Err(Failure::usage("--ledger and --json name the same file").remedy("name two"));
    }
    // Not when the traffic ran for minutes.
    for (option, path) in [("--ledger", &run.ledger), ("--json", &run.json)] {
        if let Some(Err(error)) = path.as_deref().map(files::is_replaceable) {
            let path = path.as_deref().unwrap_or(Path::new("")).display();
            return Err(Failure::usage(format!("cannot write {path}: {error}"))
                .remedy(format!("{option} names a file in a folder that is there and can be written")));
        }
    }
    run.scenarios.iter().map(|name| scenario::find(&folder, name)).collect()
}

fn is_silent(phase: &scenario::Phase) -> bool {
    phase.volume == Volume::Silent
}

fn report(sent: &Sent, run: &TrafficRun) -> Result<(), Failure> {
    let summary = Summary::new(&sent.ledger, sent.lag);
    print(&summary.to_string())?;
    if let Some(path) = &run.ledger {
        Ledger::write(&sent.ledger, path)?;
    }
    if let Some(path) = &run.json {
        let text = serde_json::to_string_pretty(&summary).context("cannot encode the table")?;
        files::replace(path, |to| writeln!(to, "{text}"))
            .with_context(|| format!("cannot write {}", path.display()))
            .map_err(Failure::usage)?;
    }
    Ok(())
}

/// Evidence of what ran on a stack. That its tree was edited meanwhile is said first, and judged all the same.
async fn collect(
    root: &Path,
    ground: Ground<'_>,
    out: &Path,
    require: &[String],
    signals: &Signals,
) -> Result<ExitCode, Failure> {
    match loaded::is_the_tree(ground, &Tree::read(root)?).await {
        Err(failure) if failure.kind() == failure::Kind::Usage => {
            tell(&as_called_here(&format!("  ! {failure}, `just traffic` runs on it")));
        }
        loaded => loaded?,
    }
    let (bundle, outcome) = attached::collect(root, ground, out, &signals.held()).await?;
    conclude(&bundle, &outcome, require)
}

/// Each level that was asked for, in order; the first that fails ends it, exit 4.
fn verify(bundle: &Path, repo: Option<&Path>, signers: Option<&Path>, require: &[String]) -> Result<ExitCode, Failure> {
    let bundle = Bundle::open(bundle)?;
    let outcome = bundle.verify()?;
    tell("L0 integrity: every file is as it was sealed, none is missing, none is extra.");
    tell(&format!("L1 derivation: claims and verdicts follow from the exhibits. {}", presentation(&outcome)));
    let (version, newest) = (outcome.provenance.schema, SCHEMA);
    if version < newest {
        tell(&format!(
            "   Its statement is of version {version}, and was judged by what that version asks for: one of version {newest}, as \
             this tool makes them, is asked for more."
        ));
    }
    tell(
        "   By the sums alone are bound: report.pdf, pictures, tsdb.tar.gz, the logs of all but the service, and what of tree/",
    );
    tell("   no claim reads (runbooks, tests of rules, titles).");
    match repo {
        Some(repo) => {
            let files = attest::bound_to(&bundle, &outcome.provenance, repo)?;
            let revision = outcome.provenance.revision.as_deref().unwrap_or_default();
            tell(&format!("L2 binding: the {files} files of tree/ are those of {revision}."));
        }
        None => tell("L2 binding: not attempted; --repo DIR names a clone."),
    }
    match signers {
        Some(signers) => tell(&format!("L3 signature: by {}.", attest::signed_by(&bundle, signers)?)),
        None if bundle.folder().join(attest::SIGNATURE).exists() => {
            tell("L3 signature: there is one; by whom was not looked at; --signers FILE names who may sign.");
        }
        None => tell("L3 signature: not attempted; the bundle is not signed."),
    }
    conclude(&bundle, &outcome, require)
}

/// What is known of what people read first.
fn presentation(outcome: &Outcome) -> String {
    match &outcome.others[..] {
        [] => "report.html, report.md and the drawings are what this tool writes of them.".to_owned(),
        [first, others @ ..] => {
            let others = match others {
                [] => String::new(),
                [other] => format!(" and {other}"),
                others => format!(" and {} others", others.len()),
            };
            format!(
                "Version {} of the tool wrote the reports, another program than this one: by the sums alone are bound \
                 {first}{others}, which this one writes otherwise.",
                outcome.provenance.tool
            )
        }
    }
}

/// Says what came of it; the bundle's path is the last line on stdout.
fn conclude(bundle: &Bundle, outcome: &Outcome, require: &[String]) -> Result<ExitCode, Failure> {
    // One reason often covers many claims: it is told once.
    let mut told: BTreeMap<(bool, &str, &str), Vec<&str>> = BTreeMap::new();
    for judgement in outcome.counting().filter(|judgement| judgement.verdict != Verdict::Holds) {
        let sign = match judgement.verdict {
            Verdict::NotProven(_) => "○",
            Verdict::Invalid(_) => "!",
            Verdict::Holds | Verdict::Fails(_) => "✗",
        };
        // Where something else was loaded than is judged by, that explains the rest: it comes first.
        let explains = matches!(judgement.claim.kind, Kind::LoadedEqualsTree | Kind::ConfigEqualsTree { .. });
        told.entry((!explains, sign, judgement.verdict.why())).or_default().push(&judgement.claim.id);
    }
    for ((_, sign, why), claims) in told {
        let claims =
            if claims.len() > 4 { format!("{} and {} more", claims[0], claims.len() - 1) } else { claims.join(", ") };
        tell(&format!("{sign} {claims}: {why}"));
    }
    for name in &outcome.provenance.superseded {
        tell(&format!("! {name}: invalid, repeated and put aside"));
    }
    tell(&format!("{}. {}.", outcome.headline(), outcome.tally()));
    let unmatched = outcome.unmatched(require);
    if !unmatched.is_empty() {
        print(&bundle.folder().display().to_string())?;
        return Err(Failure::usage(format!(
            "no claim here is called {}, which --require names",
            unmatched.join(", or ")
        ))
        .remedy("verdicts.json of the bundle has the ids of all claims"));
    }
    print(&bundle.folder().display().to_string())?;
    Ok(ExitCode::from(outcome.exit_code(require)))
}

/// To whoever reads our output. A reader that has gone away (`| head`) is no error.
fn print(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::usage(format!("cannot write to standard output: {error}"))
                .remedy("let it go where there is room"))
        }
        _ => Ok(()),
    }
}

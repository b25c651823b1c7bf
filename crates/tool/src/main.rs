//! The operator's command line: each command is one call into the library, and one exit code.

mod checks;
mod components;
mod drill;
mod evidence;
mod init;
mod orders;
mod remote;
mod render;
mod sizing;
mod stack;
mod traffic;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use aiclipx_base::address::{Address, Target};
use aiclipx_base::duration::{self, Speed};
use aiclipx_judge::bundle::Bundle;
use aiclipx_judge::{attest, summary};
use aiclipx_model::failure::{Failure, print};
use aiclipx_model::monitoring::addresses::ExternalUrl;
use aiclipx_model::monitoring::kubernetes::Namespace;
use aiclipx_model::replica::Replicas;
use aiclipx_runner::prove;
use aiclipx_stack::interrupt::Signals;
use aiclipx_stack::{Endpoints, bundles_folder, secrets, state_folder};
use aiclipx_stack::{PortChoice, find_tree};
use aiclipx_tool::outputs::{Events, Verdicts};
use aiclipx_tool::program::{self, OnPrivateStacks};
use anyhow::Context;
use clap::{Parser, Subcommand};
use remote::RemoteOptions;

/// An observability stack that proves itself.
///
/// Exit codes: 0 all is well; 1 a claim or a check fails; 2 bad input or a missing precondition; 3 the run is
/// inconclusive; 4 a bundle that can't be trusted; 130 interrupted.
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
        /// How many times faster than production it runs.
        #[arg(long, default_value = "30")]
        speed: Speed,
        /// Move one component: prometheus=9190; or another place of one: app-admin=8181, vector-metrics=9698, loki-grpc=9196.
        #[arg(long = "port", value_name = "NAME=PORT")]
        ports: Vec<PortChoice>,
        /// Move all components to ports nobody uses.
        #[arg(long)]
        free_ports: bool,
        /// So many processes of the service, 1 to 16: the first at its usual ports, the others at ports nobody uses.
        #[arg(long, default_value_t = Replicas::ONE, value_name = "N")]
        replicas: Replicas,
        /// Where people find dashboards (URL/d/…) and runbooks (URL/monitoring/runbooks/…) from elsewhere: what the links
        /// of alerts and panels begin with.
        #[arg(long, value_name = "URL")]
        external_url: Option<ExternalUrl>,
        #[command(flatten)]
        remote: Box<RemoteOptions>,
        /// Keep the items in a PostgreSQL that is part of the stack; takes a service built with the feature `postgres`.
        #[arg(long)]
        database: bool,
    },
    /// Stop the stack; its data stays.
    Down,
    /// Stop the stack and remove its state directory: data, logs, secrets, runs; evidence stays.
    Clean,
    /// Stop components of the stack, in their own time; they stay down.
    Stop {
        /// Components; `app` is the service with all its replicas, `app-2` one of them.
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
    /// Start components of the stack, and wait until they are ready.
    Start {
        /// Components, or replicas.
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
    /// Stop components of the stack and start them again, all at once or one replica after the other.
    Restart(orders::Restart),
    /// Show what runs, which alerts are active, and which silences are set.
    Status,
    /// Show the components' logs, merged by time; JSON lines where stdout is no terminal.
    Logs(stack::Logs),
    /// Write the monitoring configuration as a stack of this speed gets it.
    Render {
        /// How many times faster than production.
        #[arg(long, default_value = "30")]
        speed: Speed,
        /// The folder to write to; without it, the files are listed with their text.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Instead, generate the rules of the objectives anew: monitoring/prometheus/rules/slo.yml from monitoring/slo.toml.
        #[arg(long, conflicts_with_all = ["speed", "out", "external_url", "remote_write"])]
        slo: bool,
        /// Instead, make what a cluster can't take as it is: how Prometheus finds targets there, and the service's rules as the
        /// operator's objects. In deploy/kubernetes anew; with `--out` for your own cluster, as components for your
        /// kustomization.yaml: operator, and with `--remote-write` remote-write.
        #[arg(long, conflicts_with_all = ["speed", "slo"])]
        kubernetes: bool,
        /// The namespace of your cluster in which the operator's rules hold.
        #[arg(long, value_name = "NAME", requires_all = ["kubernetes", "out"])]
        namespace: Option<Namespace>,
        /// What the links of alerts and panels begin with, as for `up`.
        #[arg(long, value_name = "URL")]
        external_url: Option<ExternalUrl>,
        #[command(flatten)]
        remote: Box<RemoteOptions>,
    },
    /// Say what a Prometheus takes for so many replicas of a service, from what the service exposes.
    Sizing(Box<sizing::Sizing>),
    /// Check scenarios, rules, routes and dashboards without running anything.
    Check {
        /// Ask the running stack instead whether every panel shows something and every rule is evaluated.
        #[arg(long)]
        live: bool,
        /// For editors: each finding an object in a line of its own, with `file`, `line`, `name`, `subject`, `what` and
        /// `remedy`.
        #[arg(long)]
        json: bool,
        /// Instead, look at somebody else's rules, their unit tests, configurations of Prometheus and Alertmanager, however they
        /// lie in this folder; a check.toml in it says what else is looked for.
        #[arg(long, value_name = "DIR", conflicts_with = "live")]
        rules: Option<PathBuf>,
        /// Instead, list the names that findings have: monitoring/check.toml switches them on and off, and excepts by them.
        #[arg(long, conflicts_with_all = ["live", "json", "rules"])]
        names: bool,
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
    /// Write a first monitoring/service.toml, scenario, rule and panel for a service that runs, from its metrics.
    Init {
        /// Where its metrics are.
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/metrics")]
        url: String,
        /// Where its clients call it, if not there.
        #[arg(long, value_name = "URL")]
        clients: Option<Target>,
        /// What Prometheus is to call it.
        #[arg(long, value_name = "NAME", default_value = "service")]
        job: String,
        /// The folder to write to; what is there already stays.
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
    /// Run scenarios against the running stack, one after the other; all where none is named.
    Traffic(Box<traffic::Traffic>),
    /// Collect and judge every run on the stack that is up; where none is up, prove.
    Evidence {
        /// Judge the runs on a stack that this tool did not start, as `traffic` takes it.
        #[arg(long, value_name = "WHERE")]
        attach: Option<Endpoints>,
        /// Where bundles go [default: evidence/runs at the repository's root,
        /// ./aiclipx-evidence where that can't be written].
        #[arg(long)]
        out: Option<PathBuf>,
        #[command(flatten)]
        told: Events,
        #[command(flatten)]
        verdicts: Verdicts,
        /// Claims (by a part of their id) that must be proven, else exit 1.
        #[arg(long, value_name = "CLAIM", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        require: Vec<String>,
    },
    /// Run every experiment on a private stack, judge it, and seal the bundle.
    Prove {
        /// Only these experiments.
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
        #[command(flatten)]
        how: OnPrivateStacks,
        #[command(flatten)]
        told: Events,
        #[command(flatten)]
        verdicts: Verdicts,
        /// Claims (by a part of their id) that must be proven, else exit 1.
        #[arg(long, value_name = "CLAIM", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        require: Vec<String>,
    },
    /// Live the unit tests of rules on a real Prometheus and a real Alertmanager: does each alert fire, is it told, does it end?
    Drill(drill::Drill),
    /// Check a bundle, offline: that nothing changed, and that its verdicts follow from its artifacts.
    Verify {
        #[command(flatten)]
        asked: summary::Asked,
        #[command(flatten)]
        verdicts: Verdicts,
    },
    /// Sign a bundle with an SSH key, once it verifies.
    Sign {
        /// The bundle's folder.
        bundle: PathBuf,
        /// The private key, or the public one of a key that the agent holds.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Replace a signature by another key.
        #[arg(long)]
        force: bool,
    },
    /// Forward requests to a program that has no gate of its own, but none that a page of another origin made.
    #[command(hide = true)]
    Front {
        /// Where to listen.
        #[arg(long)]
        listen: Address,
        /// Where that program listens.
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
        /// A host name it is reached by, beside this machine's own; a request for another is refused.
        #[arg(long = "host", value_name = "NAME")]
        names: Vec<String>,
        /// How long the Watchdog may be silent, real time.
        #[arg(long, default_value = "5m", value_parser = duration::parse)]
        patience: Duration,
    },
    /// Write Grafana's secrets, and the database's, for users of other containers (a step of compose.yaml).
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
        /// The folder for the database's.
        #[arg(long, requires = "database_owner", requires = "service_owner")]
        database_folder: Option<PathBuf>,
        /// The number of the user who alone reads its password.
        #[arg(long)]
        database_owner: Option<u32>,
        /// The number of the user who alone reads the file with it that the service is told of.
        #[arg(long)]
        service_owner: Option<u32>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse_from(as_spelled_now(std::env::args_os()));
    program::run("aiclipx", async |signals| Box::pin(run(arguments, signals)).await).await
}

/// Bundles made until November 2026 have people type aiclipx evidence verify; that and its neighbours are verbs of their own
/// since.
fn as_spelled_now(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    if arguments.get(1).is_some_and(|verb| verb == "evidence") {
        match arguments.get(2).and_then(|verb| verb.to_str()) {
            Some("collect") => drop(arguments.remove(2)),
            Some("run") => drop(arguments.splice(1..3, ["prove".into()])),
            Some("verify" | "sign") => drop(arguments.remove(1)),
            _ => {}
        }
    }
    arguments
}

async fn run(arguments: Arguments, signals: &Signals) -> Result<ExitCode, Failure> {
    let state = || -> Result<PathBuf, Failure> { arguments.state.clone().map_or_else(state_folder, Ok) };
    match arguments.command {
        Command::Up { speed, ref ports, free_ports, replicas, ref external_url, ref remote, database } => {
            let places = stack::Places { ports, free_ports, replicas, external_url, remote, database };
            stack::up(&state()?, speed, &places, signals).await
        }
        Command::Stop { ref names } => orders::stop(&state()?, names, signals).await,
        Command::Start { ref names } => orders::start(&state()?, names, signals).await,
        Command::Restart(ref asked) => orders::restart(&state()?, asked, signals).await,
        Command::Down => stack::down(&state()?, signals).await,
        Command::Clean => stack::clean(&state()?, signals).await,
        Command::Status => stack::status(&state()?).await,
        Command::Logs(ref wanted) => stack::show_logs(&state()?, wanted, &signals.held()).await,
        Command::Render { slo: true, .. } => render::slo(),
        Command::Render { kubernetes: true, out, namespace, external_url, ref remote, .. } => {
            render::kubernetes(out.as_deref(), namespace, external_url, remote)
        }
        Command::Render { speed, out, external_url, ref remote, .. } => {
            render::render(speed, out.as_deref(), external_url, remote)
        }
        Command::Sizing(ref asked) => asked.run().await,
        Command::Check { names: true, .. } => checks::names(),
        Command::Check { live, json, ref rules, .. } => {
            let stack = if live { Some(state()?) } else { None };
            let what = match (rules, &stack) {
                (Some(folder), _) => checks::What::Folder(folder),
                (None, Some(stack)) => checks::What::Stack(stack),
                (None, None) => checks::What::Tree,
            };
            checks::run(what, if json { checks::Form::Json } else { checks::Form::Text }).await
        }
        Command::Init { ref url, ref clients, ref job, ref out } => init::init(url, clients.as_ref(), job, out).await,
        Command::Traffic(ref asked) => traffic::traffic(&state, asked, signals).await,
        Command::Evidence { ref attach, ref out, ref require, ref told, ref verdicts } => {
            let (verdicts, events) = (verdicts.reserve(Some(told), None)?, told.open()?);
            let root = find_tree()?;
            let out = out.clone().unwrap_or_else(|| bundles_folder(&root));
            let judged = evidence::collect(&root, attach.as_ref(), &state, &out, &events, signals).await;
            verdicts.of_bundle(judged, require, signals)
        }
        Command::Prove { only, how, require, told, verdicts } => {
            let (verdicts, events) = (verdicts.reserve(Some(&told), None)?, told.open()?);
            let root = find_tree()?;
            let judged = prove::prove(&root, &how.options(&root, only), &events, &signals.held()).await;
            verdicts.of_bundle(judged, &require, signals)
        }
        Command::Drill(ref what) => what.run(signals).await,
        Command::Verify { ref asked, ref verdicts } => {
            let verdicts = verdicts.reserve(None, Some(&asked.bundle))?;
            verdicts.of_verified(summary::verified(asked), &asked.require, signals)
        }
        Command::Sign { ref bundle, ref key, force } => {
            print(&attest::sign(&Bundle::open(bundle)?, key, force)?.display().to_string())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Dashboard { ref listen, folder, prometheus } => {
            components::dashboards(listen, folder, prometheus, &state, signals).await
        }
        Command::Front { listen, to } => components::front(&listen, to, signals).await,
        Command::Receiver { listen, check: true, .. } => components::receiver_is_well(&listen).await,
        Command::Receiver { listen, notifications, patience, names, .. } => {
            let notifications = notifications.context("clap demands it")?;
            components::receiver(&listen, &notifications, patience, names, signals).await
        }
        Command::Secrets { env_file, folder, owner, database_folder, database_owner, service_owner } => {
            secrets::make(&env_file, &folder, owner)?;
            if let (Some(folder), Some(server), Some(service)) = (database_folder, database_owner, service_owner) {
                secrets::make_for_database(&folder, server, service)?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

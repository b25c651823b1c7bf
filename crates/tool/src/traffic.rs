//! Commands on scenarios: run them on a stack or against any address, list them, print their schedule; merge what generators
//! on several machines left, and hold a service's counters against a ledger.

mod counters;
mod merge;
mod start;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aiclipx_base::address::{Address, Target};
use aiclipx_base::duration::{self, Speed};
use aiclipx_judge::tree::Tree;
use aiclipx_model::counted::counted;
use aiclipx_model::failure::{Failure, tell};
use aiclipx_model::files::{self, Reserved};
use aiclipx_model::scenario::{self, Scenario, Volume};
use aiclipx_model::service::{self, Service};
use aiclipx_model::traffic::part::Part;
use aiclipx_model::traffic::schedule::Schedule;
use aiclipx_model::traffic::shard::{Shard, Share};
use aiclipx_runner::attached;
use aiclipx_runner::counted::{Told, together};
use aiclipx_runner::enact::spec::{RunResult, RunSpec};
use aiclipx_runner::enact::{faults_are_on, other_replicas};
use aiclipx_runner::environment::Environment;
use aiclipx_runner::events::{Doing, Events};
use aiclipx_runner::traffic::connection::Tcp;
use aiclipx_runner::traffic::progress::Progress;
use aiclipx_runner::traffic::send::{Limits, Named, Sent, send};
use aiclipx_runner::traffic::table::Summary;
use aiclipx_stack::find_tree;
use aiclipx_stack::interrupt::Signals;
use aiclipx_stack::{Endpoints, ExternalStack, Stack};
use aiclipx_tool::check;
use anyhow::Context;

use aiclipx_model::failure::print;
use aiclipx_runner::asked;
use aiclipx_tool::program::{SEED, as_called_here, seed};
use clap::{Args, Subcommand};
use jiff::Timestamp;

/// Where scenarios lie, below the repository's root.
const SCENARIOS: &str = "scripts/traffic";

/// What is asked of `traffic`: a run, unless another verb is named.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Traffic {
    #[command(flatten)]
    run: TrafficRun,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// The same; the word may be left out.
    Run(TrafficRun),
    /// Make one ledger of the parts that `run --shard` left: that of a single generator, but for times.
    ///
    /// Parts that were cut short, or are of two runs, are refused. A part's sum is no signature: whoever edits a part and writes its
    /// sum anew is not found here, but by `check`, where the service counted something else.
    Merge {
        /// The parts, all of one run.
        #[arg(required = true)]
        parts: Vec<PathBuf>,
        /// The ledger's file.
        #[arg(long, value_name = "LEDGER")]
        out: PathBuf,
    },
    /// Hold a service's counters, scraped before and after, against a ledger: exit 0 where it counted the same, to the request.
    #[command(override_usage = "aiclipx traffic check <LEDGER> --metrics-before <FILE>... --metrics-after <FILE>...")]
    Check {
        /// Of a run, or merged.
        ledger: PathBuf,
        /// What /metrics answered before the first request; of several replicas a file each.
        #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
        metrics_before: Vec<PathBuf>,
        /// What it answered after the last one; in the same order.
        #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
        metrics_after: Vec<PathBuf>,
    },
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
    #[arg(long, visible_alias = "target", value_name = "URL")]
    base_url: Option<Target>,
    /// Run on a stack that this tool did not start: a host, where each component is on its usual port, or
    /// `app=URL,prometheus=URL[,alertmanager=URL][,receiver=URL]`.
    #[arg(long, value_name = "WHERE", conflicts_with = "base_url")]
    attach: Option<Endpoints>,
    /// What the schedules are computed from.
    #[arg(long, default_value_t = SEED, value_parser = seed)]
    seed: u64,
    /// Real length of each scenario's traffic, in place of its own.
    #[arg(long, value_parser = duration::parse)]
    duration: Option<Duration>,
    /// With one scenario: write the ledger here too.
    #[arg(long, visible_alias = "out", value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// With one scenario at a URL: send part I of N alone, from 0/N; these are the requests I, I+N, I+2N …, each at its time.
    /// --ledger is then the part's file, of which `traffic merge` makes one ledger with the others.
    #[arg(long, value_name = "I/N", requires = "base_url", requires = "ledger")]
    shard: Option<Shard>,
    /// When all parts start, by RFC 3339 (2026-11-30T23:05:00Z), at most a day ahead; else, and where it is past, at once.
    #[arg(long, value_name = "TIME", requires = "shard", value_parser = start::time)]
    start_at: Option<Timestamp>,
    /// With one scenario: write the table as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

pub(super) async fn traffic(
    state: &dyn Fn() -> Result<PathBuf, Failure>,
    asked: &Traffic,
    signals: &Signals,
) -> Result<ExitCode, Failure> {
    match &asked.verb {
        None => run(state, &asked.run, signals).await,
        Some(Verb::Run(typed)) => run(state, typed, signals).await,
        Some(Verb::Merge { parts, out }) => merge::merge(parts, out),
        Some(Verb::Check { ledger, metrics_before, metrics_after }) => {
            counters::check(ledger, metrics_before, metrics_after)
        }
        Some(Verb::Schedule { scenario, seed, speed }) => schedule(scenario, *seed, *speed),
    }
}

/// Runs scenarios on a stack or at an address, or lists them.
async fn run(
    state: &dyn Fn() -> Result<PathBuf, Failure>,
    run: &TrafficRun,
    signals: &Signals,
) -> Result<ExitCode, Failure> {
    if run.list {
        for scenario in scenario::all(&find_tree()?.join(SCENARIOS))? {
            print(&format!("{:<18} {}", scenario.id(), scenario.title))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    match &run.base_url {
        // On the heap: main's own future would be a large one.
        Some(address) => Box::pin(to(address, run, signals)).await,
        None => Box::pin(on_stack(&state()?, run, signals)).await,
    }
}

/// Prints what a scenario and a seed give rise to.
fn schedule(scenario: &str, drawn_from: u64, speed: Speed) -> Result<ExitCode, Failure> {
    let scenario = scenario::find(&find_tree()?.join(SCENARIOS), scenario)?;
    let schedule = Schedule::new(&scenario, drawn_from, speed, None)?;
    print(schedule.to_jsonl().trim_end())?;
    tell(&format!("{}, sha256 {}", counted(schedule.requests.len(), "request"), schedule.sha256()));
    Ok(ExitCode::SUCCESS)
}

async fn on_stack(state: &Path, run: &TrafficRun, signals: &Signals) -> Result<ExitCode, Failure> {
    let root = find_tree()?;
    let mut scenarios = scenarios(&root, run)?;
    let _places = places(run)?;
    // A shortened run is for looking at traffic, and proves no alert anyway.
    if run.duration.is_none() {
        let findings = check::check_scenarios(&root, &scenarios)?;
        if !findings.is_empty() {
            return Err(check::refusal(findings));
        }
    }
    let tree = Tree::read(&root)?;
    let (ours, theirs);
    let environment = if let Some(endpoints) = &run.attach {
        theirs = ExternalStack::find(endpoints, tree.service(), state).await?;
        for why in theirs.absent.values() {
            tell(&format!("  · {why}"));
        }
        Environment::External(&theirs)
    } else {
        ours = Stack::attach(state).await?;
        Environment::Managed(&ours)
    };
    asked::is_the_tree(environment, &tree).await?;
    of_so_many_replicas(&mut scenarios, environment.replicas(), run)?;
    // Of each scenario its last try.
    let told = RefCell::new(BTreeMap::new());
    let enacted = each(environment, &tree, &scenarios, run, &told, signals).await;
    // What stopped the others is no reason to keep back what came of these.
    conclude(&told.into_inner().into_values().collect::<Vec<_>>())?;
    let mute = enacted?;
    if mute.is_empty() {
        tell(&as_called_here("`just evidence` says what Prometheus, its alerts and the panels made of it."));
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::infrastructure(format!("disturbed twice, so this is inconclusive: {}", mute.join("; ")))
        .remedy("see `just logs` and `just status`, and give the machine less else to do; then run it again"))
}

/// Of all that there are, those about another number of replicas are left out, and told; one that was named is refused.
fn of_so_many_replicas(scenarios: &mut Vec<Scenario>, there: usize, run: &TrafficRun) -> Result<(), Failure> {
    let others = scenarios.extract_if(.., |one| one.replicas.is_some_and(|wanted| wanted.count() != there));
    for (scenario, wanted) in others.filter_map(|scenario| scenario.replicas.map(|wanted| (scenario, wanted))) {
        if !run.scenarios.is_empty() {
            return Err(other_replicas(&scenario, wanted, there));
        }
        tell(&format!("  · {} is left out: it is about {wanted} replicas, and there is {there}", scenario.id()));
    }
    Ok(())
}

/// Runs the scenarios, one after the other; returns those that were disturbed twice.
async fn each(
    environment: Environment<'_>,
    tree: &Tree,
    scenarios: &[Scenario],
    run: &TrafficRun,
    told: &RefCell<BTreeMap<usize, Told>>,
    signals: &Signals,
) -> Result<Vec<String>, Failure> {
    let (events, interrupt) = (Events::open(None)?, &signals.held());
    let mut mute = Vec::new();
    for (index, scenario) in scenarios.iter().enumerate() {
        tell(&format!("{}{}: {}", nth(index, scenarios.len()), scenario.id(), scenario.title));
        let what = RunSpec {
            environment,
            tree,
            scenario,
            seed: run.seed,
            length: run.duration,
            show: true,
            pictures: true,
            from_quiet: true,
        };
        let say = |waiting: Doing| tell(&format!("  · {waiting}"));
        let ended = |enacted: &RunResult| {
            let line =
                Told::of_run(&enacted.folder, environment.app_metrics().len(), tree.service(), &enacted.sent.ledger);
            told.borrow_mut().insert(index, line);
            report(&enacted.sent, enacted.sent.ledger.head.scheduled, run)
        };
        let disturbed = attached::enact(what, &say, &ended, &events, interrupt).await?;
        if !disturbed.is_empty() {
            tell(&format!("  ! {}: invalid again ({})", scenario.name, disturbed.join("; ")));
            mute.push(format!("{}: {}", scenario.id(), disturbed.join("; ")));
        }
    }
    Ok(mute)
}

/// What was sent, and whether the service counted the same: a line for each scenario, and of several one for all.
fn conclude(told: &[Told]) -> Result<(), Failure> {
    for one in told {
        print(&one.to_string())?;
    }
    if told.len() > 1 {
        print(&together(told))?;
    }
    Ok(())
}

/// `scenario 2 of 9, `; of one, nothing.
fn nth(index: usize, of: usize) -> String {
    if of == 1 { String::new() } else { format!("scenario {} of {of}, ", index + 1) }
}

/// Traffic to any address, with nothing looked at but the answers.
async fn to(target: &Target, run: &TrafficRun, signals: &Signals) -> Result<ExitCode, Failure> {
    let root = find_tree()?;
    let scenarios = scenarios(&root, run)?;
    let mut service = service::of_tree(&root)?;
    if !target.base.is_empty() {
        service.base.clone_from(&target.base);
    }
    // Before anything is sent, and not when those before it were.
    if let Some(scenario) = scenarios.iter().find(|one| one.orders_components()) {
        return Err(Failure::usage(format!("{} stops components, and at a URL there is no stack", scenario.id()))
            .remedy("run it without --base-url on a stack that is up, or with `just prove`"));
    }
    let _places = places(run)?;
    let mut told = Vec::new();
    let sent = each_to(&target.address, &service, &scenarios, run, &mut told, signals).await;
    // What stopped the others is no reason to keep back what came of these.
    conclude(&told)?;
    sent?;
    Ok(ExitCode::SUCCESS)
}

/// Sends the scenarios, one after the other, until one fails.
async fn each_to(
    address: &Address,
    service: &Service,
    scenarios: &[Scenario],
    run: &TrafficRun,
    told: &mut Vec<Told>,
    signals: &Signals,
) -> Result<(), Failure> {
    for (index, scenario) in scenarios.iter().enumerate() {
        let part = run.shard.map_or_else(String::new, |shard| format!(", part {shard}"));
        tell(&format!("{}{}{part}: {}", nth(index, scenarios.len()), scenario.id(), scenario.title));
        let schedule = Schedule::new(scenario, run.seed, Speed::PRODUCTION, run.duration)?;
        if schedule.injects_faults() {
            faults_are_on(std::slice::from_ref(address), service).await?;
        }
        let progress = Progress::new(&schedule);
        let id = format!("{}-s{}", scenario.id(), run.seed);
        let connect = Tcp::resolve(address).await?;
        let limits = Limits::default();
        let share = Share::new(&schedule, run.shard.unwrap_or(Shard::WHOLE));
        if let Some(at) = run.start_at {
            start::wait_until(at).await;
        }
        let interrupt = signals.held();
        let named = Named { run: &id, service };
        let sending = send(share, &named, connect, &limits, &progress, |_| {}, interrupt.requested());
        let sent = tokio::select! {
            sent = sending => sent?,
            () = std::sync::Arc::clone(&progress).show() => unreachable!("showing ends only with the traffic"),
        };
        drop(interrupt);
        told.push(Told::of_answers(&sent.ledger, run.why_not_compared()));
        report(&sent, schedule.requests.len() as u64, run)?;
        if let Some(failure) = sent.failure() {
            return Err(failure);
        }
        let totals = sent.ledger.totals();
        if totals.sent > 0 && totals.answered == 0 {
            return Err(Failure::infrastructure(format!("nothing was answered at {address}"))
                .remedy("is the service there? --base-url says where"));
        }
    }
    Ok(())
}

fn scenarios(root: &Path, run: &TrafficRun) -> Result<Vec<Scenario>, Failure> {
    let folder = root.join(SCENARIOS);
    let chosen: Vec<Scenario> = if run.scenarios.is_empty() {
        let mut all = scenario::all(&folder)?;
        // Of somebody else's stack nothing is stopped, and at a URL there is none.
        let may_stop = run.attach.is_none() && run.base_url.is_none();
        all.retain(|one| !one.phases.iter().all(is_silent) && (may_stop || !one.orders_components()));
        all
    } else {
        run.scenarios.iter().map(|name| scenario::find(&folder, name)).collect::<Result<_, _>>()?
    };
    if chosen.len() > 1 && run.shard.is_some() {
        return Err(Failure::usage("--shard is of one run").remedy("name one scenario"));
    }
    if chosen.len() > 1 && (run.ledger.is_some() || run.json.is_some()) {
        return Err(Failure::usage("--ledger and --json are of one run").remedy("name one scenario"));
    }
    if let (Some(ledger), Some(json)) = (&run.ledger, &run.json)
        && files::are_one(ledger, json)
    {
        return Err(Failure::usage("--ledger and --json name the same file").remedy("name two"));
    }
    Ok(chosen)
}

/// Opens the files that the run is written to, before anything is sent rather than after minutes of traffic; kept open until
/// they are written.
fn places(run: &TrafficRun) -> Result<Vec<Reserved>, Failure> {
    let mut reserved = Vec::new();
    let ledger = if run.shard.is_some() { "--out" } else { "--ledger" };
    for (option, path) in [(ledger, &run.ledger), ("--json", &run.json)] {
        let Some(path) = path else { continue };
        reserved.push(files::reserve(path).map_err(|error| {
            Failure::usage(format!("cannot write {}: {error}", path.display())).remedy(format!(
                "{option} names a file in a folder that is there and can be written, or a pipe that is read"
            ))
        })?);
    }
    Ok(reserved)
}

fn is_silent(phase: &scenario::Phase) -> bool {
    phase.volume == Volume::Silent
}

impl TrafficRun {
    /// Why nothing is said of what the service at a URL counted.
    fn why_not_compared(&self) -> &'static str {
        if self.shard.is_some() {
            "it is one part; `aiclipx traffic merge` makes one ledger of all, and `aiclipx traffic check` compares"
        } else {
            "--base-url looks at nothing but answers"
        }
    }
}

/// Prints what was sent, and writes what is asked for; so many requests are in the whole schedule.
fn report(sent: &Sent, scheduled: u64, run: &TrafficRun) -> Result<(), Failure> {
    let summary = Summary::new(&sent.ledger, sent.lag);
    print(&summary.to_string())?;
    match (&run.ledger, run.shard) {
        (Some(path), None) => sent.ledger.write(path)?,
        (Some(path), Some(shard)) => {
            let start_at_unix_us = run.start_at.map(start::unix_us);
            Part { shard, start_at_unix_us, scheduled, sent: &sent.ledger }.write(path)?;
        }
        (None, _) => {}
    }
    if let Some(path) = &run.json {
        let text = serde_json::to_string_pretty(&summary).context("cannot encode the table")?;
        files::replace(path, |to| writeln!(to, "{text}"))
            .with_context(|| format!("cannot write {}", path.display()))
            .map_err(Failure::usage)?;
    }
    Ok(())
}

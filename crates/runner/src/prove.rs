//! Every experiment on a stack of its own, some of them side by side; stopped whatever happens.
//!
//! Both tries of a disturbed run are kept, as far as each came.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::collect;
use super::enact::spec::{RunSpec, Say};
use super::enact::{self, enact};
use super::environment::Environment;
use super::publish::{begun, publish};
use super::runner::{self, Ended, Job, Options, Try, Which, gravest, invalid};
use crate::events::{self, Doing, Event, Events};
use crate::surroundings::{self, asked_of};
use aiclipx_judge::artifacts::LOG;
use aiclipx_judge::bundle::{Bundle, Draft};
use aiclipx_judge::consistency::FIRST_TRY;
use aiclipx_judge::experiment::Experiment;
use aiclipx_judge::files;
use aiclipx_judge::judge::{self, Verdict};
use aiclipx_judge::outcome::Outcome;
use aiclipx_judge::provenance::{BrokenOff, End, Mode, Provenance};
use aiclipx_judge::tree::{Tree, copy_folder};
use aiclipx_model::failure::{Failure, Kind, temporary_folder};
use aiclipx_model::monitoring::prometheus_flags;
use aiclipx_model::replica::Replicas;
use aiclipx_model::scenario::Scenario;
use aiclipx_stack::interrupt::Interrupt;
use aiclipx_stack::layout::RUNS;
use aiclipx_stack::table::Silent;
use aiclipx_stack::{Plan, Stack};

/// Proves on private stacks, and seals.
pub async fn prove(
    root: &Path,
    options: &Options,
    events: &Events,
    interrupt: &Interrupt,
) -> Result<(Bundle, Outcome), Failure> {
    let tree = Arc::new(Tree::read(root)?);
    let scenarios = chosen(&tree, &options.only)?;
    surroundings::look_for_a_browser().await;
    let revision = asked_of(root, events).await?;
    let (began_ms, id, draft) = begun(&options.out, revision.commit.as_deref(), &[options.seed], &tree).await?;

    // Once for all: a file that is edited meanwhile is not in what was read.
    let host = Arc::new(PrivateStacks {
        root: root.to_owned(),
        tree: Arc::clone(&tree),
        options: options.clone(),
        revision: revision.label(),
        events: events.clone(),
        interrupt: interrupt.clone(),
    });
    let jobs = scenarios.iter().map(|scenario| Proof::new(&host, &tree, scenario, &draft, events)).collect();
    let told = |ended: &Ended<Proof<_>>, _| tell(ended, events);
    // Of a service that runs elsewhere there is one: side by side each experiment would count the other's requests.
    let side_by_side = if tree.service().start.is_some() { options.jobs } else { 1 };
    let ended = runner::run(jobs, side_by_side, events, interrupt, told).await;
    let (facts, failures) = gathered(ended);
    // What went wrong with some is told of them in the bundle of the others, if there are any.
    let nothing_to_judge = files::files_in(&draft.folder().join("experiments"), "")?.is_empty();
    if let Some(failure) = gravest(failures.into_iter())
        && (failure.kind() == Kind::Interrupted || nothing_to_judge)
    {
        events.settle();
        return Err(failure);
    }

    let (seeds, speed) = (vec![options.seed], options.speed);
    let known = surroundings::provenance(root, id, Mode::Private, &revision, seeds, speed, began_ms)?;
    let Facts { versions, absent, superseded, unfinished, broken_off, secrets } = facts;
    let absent = known.absent.into_iter().chain(absent).collect();
    let provenance = Provenance { versions, superseded, unfinished, broken_off, absent, ..known };
    aiclipx_judge::mutants::outcome::take(&options.out, draft.folder(), &provenance)?;
    publish(draft, &provenance, &secrets, events, interrupt).await
}

/// What the stacks told, for the provenance of all.
#[derive(Debug, Default)]
struct Facts {
    versions: BTreeMap<String, String>,
    absent: BTreeSet<String>,
    superseded: Vec<String>,
    unfinished: BTreeMap<String, String>,
    broken_off: Vec<BrokenOff>,
    secrets: Vec<String>,
}

impl Facts {
    fn add(&mut self, other: Facts) {
        self.versions.extend(other.versions);
        self.absent.extend(other.absent);
        self.superseded.extend(other.superseded);
        self.unfinished.extend(other.unfinished);
        self.broken_off.extend(other.broken_off);
        self.secrets.extend(other.secrets);
    }
}

/// What all experiments told of their stacks, and why some could not be recorded.
fn gathered<H: Host>(ended: Vec<Ended<Proof<H>>>) -> (Facts, Vec<Failure>) {
    let (mut facts, mut failures) = (Facts::default(), Vec::new());
    for Ended { job, came } in ended {
        let name = job.scenario.name;
        facts.add(job.facts);
        if let Err(failure) = came {
            if failure.kind() != Kind::Interrupted {
                facts.unfinished.insert(name.clone(), failure.to_string());
            }
            failures.push(failure.context(format!("experiment {name}")));
        }
    }
    (facts, failures)
}

/// Tells how an experiment ended.
fn tell<H: Host>(ended: &Ended<Proof<H>>, events: &Events) {
    let event = match &ended.came {
        Ok(recorded) => {
            let (holds, claims) = (recorded.holds, recorded.claims);
            // To the nearest second.
            let seconds = (ended.job.began.elapsed() + Duration::from_millis(500)).as_secs();
            Event::Judged { result: recorded.result, holds, claims, seconds }
        }
        // It is told once, of the command.
        Err(failure) if failure.kind() == Kind::Interrupted => return,
        // What the user must mend keeps each from starting: the command says it once, whole.
        Err(failure) if failure.kind() == Kind::Usage => Event::Unfinished { why: failure.in_one_line() },
        Err(failure) => Event::Unfinished { why: failure.to_string() },
    };
    events.tell(ended.job.name(), event);
}

/// Where experiments are run: on private stacks, or on what stands in for them.
trait Host: Send + Sync + 'static {
    type Stack: Send + Sync;

    /// A stack for a scenario.
    fn start(&self, scenario: &Scenario, say: &Say<'_>) -> impl Future<Output = Result<Self::Stack, Failure>> + Send;

    /// What a stack tells of itself, for the provenance.
    fn facts(&self, stack: &Self::Stack) -> Result<Facts, Failure>;

    /// Enacts a scenario, and collects what was recorded into a folder.
    fn record(
        &self,
        stack: &Self::Stack,
        scenario: &Scenario,
        folder: &Path,
        say: &Say<'_>,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Whether a component died that nobody stopped.
    fn has_died(&self, stack: &Self::Stack) -> impl Future<Output = bool> + Send;

    /// What it leaves until it is stopped: the folder of its runs, and its logs by name.
    fn leaves(&self, stack: &Self::Stack) -> (PathBuf, Vec<(String, PathBuf)>);

    fn stop(&self, stack: Self::Stack) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// A stack of its own for each experiment.
struct PrivateStacks {
    root: PathBuf,
    tree: Arc<Tree>,
    options: Options,
    revision: String,
    events: Events,
    interrupt: Interrupt,
}

/// A stack, and the folder that goes with it.
struct PrivateStack {
    stack: Stack,
    _state: tempfile::TempDir,
}

impl Host for PrivateStacks {
    type Stack = PrivateStack;

    async fn start(&self, scenario: &Scenario, say: &Say<'_>) -> Result<PrivateStack, Failure> {
        let state = temporary_folder()?;
        let mut plan = Plan::private(&self.root, state.path(), self.options.speed)?;
        plan.replicate(scenario.replicas.unwrap_or(Replicas::ONE))?;
        plan.settled_revision = Some(self.revision.clone());
        if self.options.database {
            plan.add_database();
        }
        let rendered = self.tree.monitoring.render(&plan.rendered_with(), plan.speed)?;
        say(Doing::StartingAStack);
        let flags = prometheus_flags(plan.speed);
        let stack = Stack::start(plan, rendered, flags, &mut Silent, self.interrupt.requested()).await?;
        Ok(PrivateStack { stack, _state: state })
    }

    fn facts(&self, PrivateStack { stack, .. }: &PrivateStack) -> Result<Facts, Failure> {
        let (versions, absent) = Environment::Managed(stack).told();
        Ok(Facts { versions, absent: absent.into_iter().collect(), secrets: stack.secrets()?, ..Facts::default() })
    }

    async fn record(
        &self,
        PrivateStack { stack, .. }: &PrivateStack,
        scenario: &Scenario,
        folder: &Path,
        say: &Say<'_>,
    ) -> Result<(), Failure> {
        let environment = Environment::Managed(stack);
        let what = RunSpec {
            environment,
            tree: &self.tree,
            scenario,
            seed: self.options.seed,
            length: None,
            show: false,
            pictures: true,
            from_quiet: true,
        };
        let enacted = enact(what, say, &self.interrupt).await?;
        say(Doing::Collecting);
        let tell = |event| self.events.tell(&scenario.name, event);
        self.interrupt.or(collect::collect(environment, &self.tree, &enacted.folder, folder, &tell)).await
    }

    async fn has_died(&self, PrivateStack { stack, .. }: &PrivateStack) -> bool {
        Environment::Managed(stack).dead().await.is_some()
    }

    fn leaves(&self, PrivateStack { stack, .. }: &PrivateStack) -> (PathBuf, Vec<(String, PathBuf)>) {
        let plan = stack.plan();
        let logs = stack.processes().into_iter().map(|process| (process.name.clone(), plan.log(&process.name)));
        (plan.state.join(RUNS), logs.collect())
    }

    async fn stop(&self, PrivateStack { stack, .. }: PrivateStack) -> Result<(), Failure> {
        stack.stop().await
    }
}

/// What came of an experiment whose record stays.
#[derive(Debug, Clone, Copy)]
struct Recorded {
    result: events::Result,
    holds: usize,
    claims: usize,
}

/// An experiment, and where it is kept.
struct Proof<H: Host> {
    host: Arc<H>,
    tree: Arc<Tree>,
    events: Events,
    scenario: Scenario,
    began: Instant,
    folder: PathBuf,
    /// A disturbed first try's.
    aside: PathBuf,
    /// What is left of a try that did not end, by try.
    broken_off: [PathBuf; 2],
    facts: Facts,
}

impl<H: Host> Job for Proof<H> {
    type Came = Recorded;

    fn name(&self) -> &str {
        &self.scenario.name
    }

    /// A disturbed first try is kept under a name of its own.
    async fn attempt(&mut self, which: Which) -> Result<Try<Recorded>, Failure> {
        if which == Which::First {
            self.began = Instant::now();
        } else {
            self.clear();
        }
        self.once(which).await?;
        let (tree, folder) = (Arc::clone(&self.tree), self.folder.clone());
        let judged = tokio::task::spawn_blocking(move || judged(&folder, &tree));
        let (recorded, disturbed) = judged.await.context("judging an experiment")??;
        if which == Which::First && disturbed.is_some() {
            std::fs::rename(&self.folder, &self.aside).context("cannot keep the first try")?;
            self.facts.superseded.push(format!("{}{FIRST_TRY}", self.scenario.name));
        }
        Ok(Try { came: recorded, disturbed })
    }

    /// What can't be judged must not look like an experiment, nor keep the others from being sealed.
    fn clear(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What an experiment's folder shows, and what disturbed it.
fn judged(folder: &Path, tree: &Tree) -> anyhow::Result<(Recorded, Option<String>)> {
    let experiment = Experiment::read(folder)?;
    let disturbed = invalid(judge::disturbances(&experiment, tree).iter().map(ToString::to_string));
    let judgements = judge::judge(&experiment, tree);
    let holds = judgements.iter().filter(|judgement| judgement.verdict == Verdict::Holds).count();
    let fails = judgements.iter().any(|judgement| matches!(judgement.verdict, Verdict::Fails(_)));
    let result = match (fails, &disturbed) {
        (true, _) => events::Result::Fails,
        (false, Some(_)) => events::Result::Invalid,
        (false, None) => events::Result::Holds,
    };
    Ok((Recorded { result, holds, claims: judgements.len() }, disturbed))
}

impl<H: Host> Proof<H> {
    fn new(host: &Arc<H>, tree: &Arc<Tree>, scenario: &Scenario, draft: &Draft, events: &Events) -> Proof<H> {
        let first = format!("{}{FIRST_TRY}", scenario.name);
        Proof {
            host: Arc::clone(host),
            tree: Arc::clone(tree),
            events: events.clone(),
            folder: draft.experiment(&scenario.name),
            aside: draft.experiment(&first),
            broken_off: [draft.broken_off(&first), draft.broken_off(&scenario.name)],
            scenario: scenario.clone(),
            began: Instant::now(),
            facts: Facts::default(),
        }
    }

    async fn once(&mut self, which: Which) -> Result<(), Failure> {
        let (host, events, name) = (Arc::clone(&self.host), self.events.clone(), self.scenario.name.clone());
        let say = |step| events.tell(&name, Event::Doing(step));
        let stack = host.start(&self.scenario, &say).await?;
        let done = match host.facts(&stack) {
            Ok(facts) => {
                self.facts.add(facts);
                host.record(&stack, &self.scenario, &self.folder, &say).await
            }
            Err(failure) => Err(failure),
        };
        if let Err(failure) = &done
            && failure.kind() == Kind::Infrastructure
        {
            let end = End { why: failure.in_one_line(), died: host.has_died(&stack).await };
            self.keep(which, &stack, end)?;
        }
        let stopped = host.stop(stack).await;
        done.and(stopped)
    }

    /// Keeps what is left of a try that did not come to its end, before its stack's folder goes: its run, and the log of
    /// who died. That of a second try is told as what could not be recorded.
    fn keep(&mut self, which: Which, stack: &H::Stack, end: End) -> anyhow::Result<()> {
        let [first, second] = &self.broken_off;
        let kept = if which == Which::First { first } else { second };
        if which == Which::First {
            self.facts.broken_off.push(BrokenOff { run: format!("{}{FIRST_TRY}", self.scenario.name), end });
        }
        let (runs, logs) = self.host.leaves(stack);
        for run in files::files_in(&runs, "")? {
            copy_folder(&run, kept)?;
        }
        let _ = std::fs::remove_file(kept.join(enact::END));
        for (name, log) in logs {
            // Who never wrote has no log.
            if let Ok(log) = aiclipx_stack::logs::joined(&log, collect::LONGEST_LOG) {
                files::write(&kept.join(LOG.named(&name)), &log)?;
            }
        }
        Ok(())
    }
}

/// The scenarios to prove, the longest first: side by side, that ends soonest.
fn chosen<'a>(tree: &'a Tree, only: &[String]) -> Result<Vec<&'a Scenario>, Failure> {
    let mut chosen: Vec<&Scenario> = Vec::new();
    for name in only {
        let known = || tree.scenarios.iter().map(|scenario| scenario.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = tree.scenarios.iter().find(|scenario| scenario.name == *name || scenario.id() == *name);
        let found = found.ok_or_else(|| {
            Failure::usage(format!("there is no experiment `{name}`")).remedy(format!("there are {}", known()))
        })?;
        if !chosen.iter().any(|scenario| scenario.name == found.name) {
            chosen.push(found);
        }
    }
    if only.is_empty() {
        chosen.extend(&tree.scenarios);
    }
    let length = |scenario: &Scenario| scenario.phases.iter().map(|phase| phase.duration).sum::<Duration>();
    chosen.sort_by_key(|scenario| std::cmp::Reverse(length(scenario)));
    Ok(chosen)
}

#[cfg(test)]
mod tests;

//! Every experiment on a stack of its own, some of them side by side; stopped whatever happens.
//!
//! Both tries of a disturbed run are kept, as far as each came.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::collect;
use super::enact::{self, Enactment, enact};
use super::ground::Ground;
use super::publish::publish;
use super::runner::{self, Ended, Job, Options, Try, Which, gravest, invalid};
use crate::events::{self, Doing, Event, Events};
use crate::publish::in_a_second_of_its_own;
use crate::surroundings;
use crate::surroundings::asked_of;
use aiclipx_judge::artifacts::LOG;
use aiclipx_judge::bundle::{Bundle, Draft};
use aiclipx_judge::coherence::FIRST_TRY;
use aiclipx_judge::experiment::Experiment;
use aiclipx_judge::files;
use aiclipx_judge::judge::{self, Verdict};
use aiclipx_judge::outcome::Outcome;
use aiclipx_judge::provenance;
use aiclipx_judge::provenance::{BrokenOff, End, Mode, Provenance, now_ms};
use aiclipx_judge::run::SCHEMA;
use aiclipx_judge::tree::{Tree, copy_folder};
use aiclipx_model::failure::{Failure, Kind, no_temporary_folder};
use aiclipx_model::monitoring::prometheus_flags;
use aiclipx_model::revision;
use aiclipx_model::revision::Revision;
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
    let Revision { commit, dirty, untold } = asked_of(root, events).await?;
    let (began_ms, id, draft) = in_a_second_of_its_own(|now_ms| {
        let id = provenance::bundle_id(now_ms, commit.as_deref(), &[options.seed])?;
        Ok(Draft::begin(&options.out, &id)?.map(|draft| (now_ms, id, draft)))
    })
    .await?;
    draft.take(&tree)?;

    // Once for all: a file that is edited meanwhile is not in what was read.
    let label = revision::label(commit.as_deref(), dirty.as_deref());
    let common = Arc::new(Common {
        root: root.to_owned(),
        tree: Arc::clone(&tree),
        options: options.clone(),
        revision: label,
        events: events.clone(),
        interrupt: interrupt.clone(),
    });
    let jobs = scenarios.iter().map(|scenario| Proof::new(&common, scenario, &draft)).collect();
    let told = |ended: &Ended<Proof>, _| tell(ended, events);
    let ended = runner::run(jobs, options.jobs, events, interrupt, told).await;
    let (facts, failures) = gathered(ended);
    // What went wrong with some is told of them in the bundle of the others, if there are any.
    let nothing_to_judge = files::files_in(&draft.folder().join("experiments"), "")?.is_empty();
    if let Some(failure) = gravest(failures.into_iter())
        && (failure.kind() == Kind::Interrupted || nothing_to_judge)
    {
        events.settle();
        return Err(failure);
    }

    let provenance = Provenance {
        schema: SCHEMA,
        id,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        program: provenance::program(),
        revision: commit,
        dirty,
        flake_lock_sha256: provenance::flake_lock(root)?,
        mode: Mode::Private,
        seeds: vec![options.seed],
        speed: options.speed,
        began_ms,
        ended_ms: now_ms(),
        versions: facts.versions,
        image: None,
        machine: provenance::machine(),
        superseded: facts.superseded,
        unfinished: facts.unfinished,
        broken_off: facts.broken_off,
        absent: untold.iter().map(|why| provenance::of_unknown(why)).chain(facts.absent).collect(),
    };
    aiclipx_judge::mutants::outcome::take(&options.out, draft.folder(), &provenance)?;
    publish(draft, &provenance, &facts.secrets, events, interrupt).await
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
fn gathered(ended: Vec<Ended<Proof>>) -> (Facts, Vec<Failure>) {
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
fn tell(ended: &Ended<Proof>, events: &Events) {
    let event = match &ended.came {
        Ok(recorded) => {
            let (holds, claims) = (recorded.holds, recorded.claims);
            // To the nearest second.
            let seconds = (ended.job.began.elapsed() + Duration::from_millis(500)).as_secs();
            Event::Judged { result: recorded.result, holds, claims, seconds }
        }
        // It is told once, of the command.
        Err(failure) if failure.kind() == Kind::Interrupted => return,
        Err(failure) => Event::Unfinished { why: failure.to_string() },
    };
    events.tell(ended.job.name(), event);
}

/// What all experiments are run with.
struct Common {
    root: PathBuf,
    tree: Arc<Tree>,
    options: Options,
    revision: String,
    events: Events,
    interrupt: Interrupt,
}

/// What came of an experiment whose record stays.
#[derive(Debug, Clone, Copy)]
struct Recorded {
    result: events::Result,
    holds: usize,
    claims: usize,
}

/// An experiment on a private stack, and where it is kept.
struct Proof {
    common: Arc<Common>,
    scenario: Scenario,
    began: Instant,
    folder: PathBuf,
    /// A disturbed first try's.
    aside: PathBuf,
    /// What is left of a try that did not end, by try.
    broken_off: [PathBuf; 2],
    facts: Facts,
}

impl Job for Proof {
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
        let (tree, folder) = (Arc::clone(&self.common.tree), self.folder.clone());
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

impl Proof {
    fn new(common: &Arc<Common>, scenario: &Scenario, draft: &Draft) -> Proof {
        let first = format!("{}{FIRST_TRY}", scenario.name);
        Proof {
            common: Arc::clone(common),
            folder: draft.experiment(&scenario.name),
            aside: draft.experiment(&first),
            broken_off: [draft.broken_off(&first), draft.broken_off(&scenario.name)],
            scenario: scenario.clone(),
            began: Instant::now(),
            facts: Facts::default(),
        }
    }

    fn say(&self, step: Doing) {
        self.common.events.tell(&self.scenario.name, Event::Doing(step));
    }

    async fn once(&mut self, which: Which) -> Result<(), Failure> {
        let Common { root, tree, options, revision, interrupt, .. } = &*Arc::clone(&self.common);
        let state = tempfile::Builder::new().prefix("aiclipx-").tempdir();
        let state = state.map_err(|error| no_temporary_folder(&error))?;
        let mut plan = Plan::private(root, state.path(), options.speed)?;
        plan.settled_revision = Some(revision.clone());
        let rendered = tree.monitoring.render(&plan.rendered_with(), plan.speed)?;
        self.say(Doing::StartingAStack);
        let flags = prometheus_flags(plan.speed);
        let stack = Stack::start(plan, rendered, flags, &mut Silent, interrupt.requested()).await?;
        let done = self.on(&stack).await;
        if let Err(failure) = &done
            && failure.kind() == Kind::Infrastructure
        {
            let died = Ground::Ours(&stack).dead().await.is_some();
            self.keep(which, &stack, End { why: failure.in_one_line(), died })?;
        }
        let stopped = stack.stop().await;
        done.and(stopped)
    }

    /// Keeps what is left of a try that did not come to its end, before its stack's folder goes: its run, and the log of
    /// who died. That of a second try is told as what could not be recorded.
    fn keep(&mut self, which: Which, stack: &Stack, end: End) -> anyhow::Result<()> {
        let [first, second] = &self.broken_off;
        let kept = if which == Which::First { first } else { second };
        if which == Which::First {
            self.facts.broken_off.push(BrokenOff { run: format!("{}{FIRST_TRY}", self.scenario.name), end });
        }
        for run in files::files_in(&stack.plan().state.join(RUNS), "")? {
            copy_folder(&run, kept)?;
        }
        let _ = std::fs::remove_file(kept.join(enact::END));
        for process in stack.processes() {
            // Who never wrote has no log.
            if let Ok(log) = aiclipx_stack::logs::joined(&stack.plan().log(&process.name), collect::LONGEST_LOG) {
                files::write(&kept.join(LOG.named(&process.name)), &log)?;
            }
        }
        Ok(())
    }

    async fn on(&mut self, stack: &Stack) -> Result<(), Failure> {
        let (versions, absent) = Ground::Ours(stack).told();
        self.facts.versions.extend(versions);
        self.facts.absent.extend(absent);
        self.facts.secrets.extend(stack.secrets()?);
        let Common { tree, options, events, interrupt, .. } = &*self.common;
        let what = Enactment {
            ground: Ground::Ours(stack),
            tree,
            scenario: &self.scenario,
            seed: options.seed,
            length: None,
            show: false,
            pictures: true,
            from_quiet: true,
        };
        let enacted = enact(what, &|step| self.say(step), interrupt).await?;
        self.say(Doing::Collecting);
        interrupt.or(collect::collect(Ground::Ours(stack), tree, &enacted.folder, &self.folder, events)).await
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

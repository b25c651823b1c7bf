//! Every experiment on a stack of its own, some of them side by side; stopped whatever happens.
//!
//! A run that the machine disturbed is repeated once and both tries are kept, as far as each came. A run whose claims fail
//! is never repeated: that would be trying until it holds. What ends one experiment neither ends nor takes the others.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::collect;
use super::enact::{self, Enactment, enact};
use super::ground::Ground;
use super::publish::publish;
use super::retry::{Try, Which, invalid, once_or_twice};
use crate::publish::in_a_second_of_its_own;
use crate::surroundings;
use crate::surroundings::asked_of;
use aiclipx_base::duration::Speed;
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
use aiclipx_model::failure::{Failure, Kind, no_temporary_folder, tell};
use aiclipx_model::monitoring::prometheus_flags;
use aiclipx_model::revision;
use aiclipx_model::revision::Revision;
use aiclipx_model::scenario::Scenario;
use aiclipx_stack::interrupt::Interrupt;
use aiclipx_stack::layout::RUNS;
use aiclipx_stack::table::Silent;
use aiclipx_stack::{Plan, Stack};

/// What to do on private stacks, and how: of experiments here, of mutants in `mutants::run`.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names of scenarios (`error-rate`), or ids of mutants; all where empty.
    pub only: Vec<String>,
    /// Seed of every schedule.
    pub seed: u64,
    /// Speed of every stack.
    pub speed: Speed,
    /// Stacks side by side.
    pub jobs: usize,
    /// The folder in which the outcome gets a folder of its own.
    pub out: PathBuf,
}

/// Proves on private stacks, and seals. Progress goes to stderr.
pub async fn prove(root: &Path, options: &Options, interrupt: &Interrupt) -> Result<(Bundle, Outcome), Failure> {
    let tree = Arc::new(Tree::read(root)?);
    let scenarios = chosen(&tree, &options.only)?;
    surroundings::look_for_a_browser().await;
    let Revision { commit, dirty, untold } = asked_of(root).await?;
    let (began_ms, id, draft) = in_a_second_of_its_own(|now_ms| {
        let id = provenance::bundle_id(now_ms, commit.as_deref(), &[options.seed])?;
        Ok(Draft::begin(&options.out, &id)?.map(|draft| (now_ms, id, draft)))
    })
    .await?;
    draft.take(&tree)?;

    // Once for all: a file that is edited meanwhile is not in what was read.
    let label = revision::label(commit.as_deref(), dirty.as_deref());
    let facts = Mutex::new(Facts::default());
    let slots = Semaphore::new(options.jobs.max(1));
    let runs = scenarios.iter().map(|scenario| async {
        let _slot = slots.acquire().await.context("waiting for a turn")?;
        if interrupt.is_requested() {
            return Err(Failure::interrupted());
        }
        let work = Work { root, tree: &tree, scenario, options, revision: &label, draft: &draft, facts: &facts };
        work.experiment(interrupt).await.map_err(|failure| failure.context(format!("experiment {}", scenario.name)))
    });
    let mut failures: Vec<Failure> = join_all(runs).await.into_iter().filter_map(Result::err).collect();
    // An interruption explains whatever else went wrong at that moment.
    failures.sort_by_key(|failure| failure.kind() != Kind::Interrupted);
    // What went wrong with some is told of them in the bundle of the others, if there are any.
    let nothing_to_judge = files::files_in(&draft.folder().join("experiments"), "")?.is_empty();
    if let Some(failure) = failures.into_iter().next()
        && (failure.kind() == Kind::Interrupted || nothing_to_judge)
    {
        return Err(failure);
    }

    let facts = facts.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
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
    publish(draft, &provenance, &facts.secrets, interrupt).await
}

/// What the stacks told, for the provenance of all.
#[derive(Debug, Default)]
struct Facts {
    versions: std::collections::BTreeMap<String, String>,
    absent: std::collections::BTreeSet<String>,
    superseded: Vec<String>,
    unfinished: std::collections::BTreeMap<String, String>,
    broken_off: Vec<BrokenOff>,
    secrets: Vec<String>,
}

struct Work<'a> {
    root: &'a Path,
    tree: &'a Arc<Tree>,
    scenario: &'a Scenario,
    options: &'a Options,
    revision: &'a str,
    draft: &'a Draft,
    facts: &'a Mutex<Facts>,
}

impl Work<'_> {
    /// One experiment, and again if the machine disturbed it.
    async fn experiment(&self, interrupt: &Interrupt) -> Result<(), Failure> {
        let name = self.scenario.name.as_str();
        let began = Instant::now();
        let tried = once_or_twice(name, async |which| self.tried(which, interrupt).await).await;
        let (experiment, is_disturbed) = match tried {
            Ok(tried) => tried,
            Err(failure) => {
                if failure.kind() != Kind::Interrupted {
                    tell(&format!("  ! {name}: {failure}"));
                    self.facts().unfinished.insert(name.to_owned(), failure.to_string());
                }
                return Err(failure);
            }
        };
        let tree = Arc::clone(self.tree);
        let judged = tokio::task::spawn_blocking(move || judge::judge(&experiment, &tree));
        let judgements = judged.await.context("judging an experiment")?;
        let holds = judgements.iter().filter(|judgement| judgement.verdict == Verdict::Holds).count();
        let failed = judgements.iter().any(|judgement| matches!(judgement.verdict, Verdict::Fails(_)));
        let sign = match (failed, is_disturbed) {
            (true, _) => "✗",
            (false, true) => "!",
            (false, false) => "✓",
        };
        let took = began.elapsed().as_secs_f64();
        tell(&format!("  {sign} {name}: {holds} of {} claims hold ({took:.0} s)", judgements.len()));
        Ok(())
    }

    /// The experiment, whether the machine disturbed it, and how. A disturbed first try is kept under a name of its own.
    async fn tried(&self, which: Which, interrupt: &Interrupt) -> Result<Try<(Experiment, bool)>, Failure> {
        let name = self.scenario.name.as_str();
        let folder = self.draft.experiment(name);
        let looked = async {
            self.once(which, &folder, interrupt).await?;
            // Off the task on which the others send: what lasts there makes their requests late.
            let (tree, read) = (Arc::clone(self.tree), folder.clone());
            let looked = tokio::task::spawn_blocking(move || {
                let experiment = Experiment::read(&read)?;
                let disturbances = judge::disturbances(&experiment, &tree);
                anyhow::Ok((experiment, disturbances))
            });
            Ok::<_, Failure>(looked.await.context("looking at an experiment")??)
        };
        let (experiment, disturbances) = match looked.await {
            Ok(looked) => looked,
            Err(failure) => {
                // What can't be judged must not look like an experiment, nor keep the others from being sealed.
                let _ = std::fs::remove_dir_all(&folder);
                return Err(failure);
            }
        };
        let disturbed = invalid(disturbances.iter().map(ToString::to_string));
        if which == Which::First && disturbed.is_some() {
            let kept = format!("{name}{FIRST_TRY}");
            std::fs::rename(&folder, self.draft.experiment(&kept)).context("cannot keep the first try")?;
            self.facts().superseded.push(kept);
        }
        Ok(Try { came: (experiment, disturbed.is_some()), disturbed })
    }

    async fn once(&self, which: Which, folder: &Path, interrupt: &Interrupt) -> Result<(), Failure> {
        let name = self.scenario.name.as_str();
        let say = |what: &str| tell(&format!("  · {name}: {what}"));
        let state = tempfile::Builder::new().prefix("aiclipx-").tempdir();
        let state = state.map_err(|error| no_temporary_folder(&error))?;
        let mut plan = Plan::private(self.root, state.path(), self.options.speed)?;
        plan.settled_revision = Some(self.revision.to_owned());
        let rendered = self.tree.monitoring.render(&plan.rendered_with(), plan.speed)?;
        say("starting a stack");
        let flags = prometheus_flags(plan.speed);
        let stack = Stack::start(plan, rendered, flags, &mut Silent, interrupt.requested()).await?;
        let done = self.on(&stack, folder, &say, interrupt).await;
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
    fn keep(&self, which: Which, stack: &Stack, end: End) -> anyhow::Result<()> {
        let mut name = self.scenario.name.clone();
        if which == Which::First {
            name += FIRST_TRY;
            self.facts().broken_off.push(BrokenOff { run: name.clone(), end });
        }
        let kept = self.draft.broken_off(&name);
        for run in files::files_in(&stack.plan().state.join(RUNS), "")? {
            copy_folder(&run, &kept)?;
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

    async fn on(&self, stack: &Stack, folder: &Path, say: &dyn Fn(&str), interrupt: &Interrupt) -> Result<(), Failure> {
        {
            let mut facts = self.facts();
            let (versions, absent) = Ground::Ours(stack).told();
            facts.versions.extend(versions);
            facts.absent.extend(absent);
            facts.secrets.extend(stack.secrets()?);
        }
        let what = Enactment {
            ground: Ground::Ours(stack),
            tree: self.tree,
            scenario: self.scenario,
            seed: self.options.seed,
            length: None,
            show: false,
            pictures: true,
            from_quiet: true,
        };
        let enacted = enact(what, say, interrupt).await?;
        say("collecting");
        interrupt.or(collect::collect(Ground::Ours(stack), self.tree, &enacted.folder, folder)).await
    }

    fn facts(&self) -> std::sync::MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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

//! Every mutant on a private stack, some of them side by side; stopped whatever happens.
//!
//! A scenario in use is enacted once as it stands: without a claim that holds there, one that fails with a mutant says
//! nothing about the mutant. What is asked of a dashboard or done to a record needs no other stack than that one: the
//! queries are asked there, the record is a copy of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::fate::{self, Findings, Found};
use super::parts;
use super::proxy::Proxy;
use crate::collect::collect;
use crate::enact::{Enactment, enact};
use crate::ground::Ground;
use crate::prove::Options;
use crate::publish::in_a_second_of_its_own;
use crate::retry::{Try, invalid, once_or_twice};
use crate::surroundings::{asked_of, look_for_a_browser};
use aiclipx_judge::bundle::{PARTIAL, made_in};
use aiclipx_judge::experiment::Experiment;
use aiclipx_judge::files::{read_text, write};
use aiclipx_judge::judge::{self, Verdict};
use aiclipx_judge::mutants::outcome::Fate;
use aiclipx_judge::mutants::outcome::{Outcome, SCHEMA, Tried};
use aiclipx_judge::mutants::table::{Change, Edit, Mutant, Table};
use aiclipx_judge::provenance::{compact_utc, now_ms};
use aiclipx_judge::tree::{Tree, copy_folder};
use aiclipx_model::failure::{Failure, Kind, tell};
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::monitoring::prometheus_flags;
use aiclipx_model::revision::Revision;
use aiclipx_model::scenario::Scenario;
use aiclipx_stack::interrupt::Interrupt;
use aiclipx_stack::table::Silent;
use aiclipx_stack::{Plan, Stack};

/// Tries mutants, and writes `mutants.json` into a folder of its own below `out`, which is returned. Progress goes to
/// stderr. The experiments of what was not killed are kept beside it.
pub async fn try_all(root: &Path, options: &Options, interrupt: &Interrupt) -> Result<(PathBuf, Outcome), Failure> {
    let tree = Arc::new(Tree::read(root)?);
    let table = Table::read(root)?;
    let chosen = chosen(&table, &options.only)?;
    look_for_a_browser().await;
    let Revision { commit, dirty, .. } = asked_of(root).await?;
    let name = commit.as_deref().map_or("norev", |commit| &commit[..commit.len().min(7)]);
    let (began_ms, folder) = in_a_second_of_its_own(|now_ms| {
        let folder = options.out.join(format!("mutants-{}-{name}", compact_utc(now_ms)?));
        Ok(made_in(&options.out, &folder)?.then_some((now_ms, folder)))
    })
    .await?;

    let tried = Attempt { root, tree: &tree, options, folder: &folder, began: Instant::now() };
    let mutants = match tried.all(&chosen, interrupt).await {
        Ok(mutants) => mutants,
        Err(failure) => {
            // Half a run is no outcome, and must not look like one; what was recorded of it stays. Of nothing nothing does.
            let left = PathBuf::from(format!("{}{PARTIAL}", folder.display()));
            if fs::remove_dir(&folder).is_err() && fs::rename(&folder, &left).is_ok() {
                tell(&format!("  · no outcome; what was recorded stays in {}", left.display()));
            }
            return Err(failure);
        }
    };
    let outcome = Outcome {
        schema: SCHEMA,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        revision: commit,
        dirty,
        seed: options.seed,
        speed: options.speed,
        began_ms,
        ended_ms: now_ms(),
        complete: chosen.len() == table.mutants.len(),
        mutants,
    };
    outcome.write(&folder)?;
    Ok((folder, outcome))
}

fn chosen<'a>(table: &'a Table, only: &[String]) -> Result<Vec<&'a Mutant>, Failure> {
    if let Some(unknown) = only.iter().find(|id| !table.mutants.iter().any(|mutant| mutant.id == **id)) {
        let known: Vec<&str> = table.mutants.iter().map(|mutant| mutant.id.as_str()).collect();
        return Err(
            Failure::usage(format!("there is no mutant `{unknown}`")).remedy(format!("there are {}", known.join(", ")))
        );
    }
    Ok(table.mutants.iter().filter(|mutant| only.is_empty() || only.contains(&mutant.id)).collect())
}

/// What one stack is for.
enum Job<'a> {
    /// A scenario as it stands, with the mutants that need no stack of their own.
    Sound(&'a Scenario, Vec<&'a Mutant>),
    /// A mutant of the stack itself, and its scenario.
    Broken(&'a Scenario, &'a Mutant),
}

impl Job<'_> {
    fn scenario(&self) -> &Scenario {
        match self {
            Job::Sound(scenario, _) | Job::Broken(scenario, _) => scenario,
        }
    }

    /// The folder of its experiments, and its name in what is told.
    fn name(&self) -> &str {
        match self {
            Job::Sound(scenario, _) => &scenario.name,
            Job::Broken(_, mutant) => &mutant.id,
        }
    }
}

struct Attempt<'a> {
    root: &'a Path,
    tree: &'a Arc<Tree>,
    options: &'a Options,
    folder: &'a Path,
    began: Instant,
}

impl Attempt<'_> {
    async fn all(&self, mutants: &[&Mutant], interrupt: &Interrupt) -> Result<Vec<Tried>, Failure> {
        let speed = self.options.speed;
        let rendered = self.tree.monitoring.render(&Addresses::canonical(), speed)?;
        let mut unapplied: BTreeMap<&str, String> = BTreeMap::new();
        let mut sound: BTreeMap<&str, Vec<&Mutant>> = BTreeMap::new();
        let mut jobs = Vec::new();
        for &mutant in mutants {
            let scenario = match mutant.check(self.tree, &rendered, speed) {
                Ok(_) => mutant.scenario(self.tree),
                Err(why) => Err(why),
            };
            let scenario = match scenario {
                Ok(scenario) => scenario,
                Err(why) => {
                    tell(&format!("  ✗ {}: did not apply: {why}", mutant.id));
                    unapplied.insert(&mutant.id, why);
                    continue;
                }
            };
            let free = sound.entry(&scenario.name).or_default();
            if needs_a_stack(mutant) {
                jobs.push(Job::Broken(scenario, mutant));
            } else {
                free.push(mutant);
            }
        }
        for scenario in &self.tree.scenarios {
            if let Some(mutants) = sound.remove(scenario.name.as_str()) {
                jobs.push(Job::Sound(scenario, mutants));
            }
        }
        // The longest first: side by side, that ends soonest.
        let length = |scenario: &Scenario| scenario.phases.iter().map(|phase| phase.duration).sum::<Duration>();
        jobs.sort_by_key(|job| std::cmp::Reverse(length(job.scenario())));

        let found = Mutex::new(Findings::new());
        let done = Mutex::new(0_usize);
        let slots = Semaphore::new(self.options.jobs.max(1));
        let runs = jobs.iter().map(|job| async {
            let _slot = slots.acquire().await.context("waiting for a turn")?;
            if interrupt.is_requested() {
                return Err(Failure::interrupted());
            }
            let findings = self.job(job, interrupt).await?;
            let number = {
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                *done += 1;
                *done
            };
            self.tell(job, &findings, number, jobs.len());
            found.lock().unwrap_or_else(PoisonError::into_inner).extend(findings);
            Ok(())
        });
        let mut failures: Vec<Failure> = join_all(runs).await.into_iter().filter_map(Result::err).collect();
        failures.sort_by_key(|failure| failure.kind() != Kind::Interrupted);
        if let Some(failure) = failures.into_iter().next() {
            return Err(failure);
        }
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let tried: Vec<Tried> = mutants
            .iter()
            .map(|mutant| match unapplied.remove(mutant.id.as_str()) {
                Some(why) => Tried::new(mutant, Fate::DidNotApply(why), Vec::new()),
                None => fate::judged(mutant, &found),
            })
            .collect();
        self.clear(&tried)?;
        Ok(tried)
    }

    /// One stack, and again if the machine disturbed it.
    async fn job(&self, job: &Job<'_>, interrupt: &Interrupt) -> Result<Findings, Failure> {
        let alone = |fate| Findings::from([(job.name().to_owned(), Err(fate))]);
        let tried = once_or_twice(job.name(), async |_| {
            let _ = fs::remove_dir_all(self.experiment(job.name(), job.scenario()));
            let findings = self.once(job, interrupt).await?;
            let disturbed = match &findings[job.name()] {
                Err(Fate::Invalid(why)) => Some(why.clone()),
                Ok(found) if !is_wanted(job, found) => invalid(found.disturbances.iter().cloned()),
                _ => None,
            };
            Ok(Try { came: findings, disturbed })
        });
        match tried.await {
            Err(failure) if failure.kind() == Kind::Infrastructure => Ok(alone(Fate::Invalid(failure.to_string()))),
            tried => tried.map_err(|failure| failure.context(format!("mutants, {}", job.name()))),
        }
    }

    async fn once(&self, job: &Job<'_>, interrupt: &Interrupt) -> Result<Findings, Failure> {
        let speed = self.options.speed;
        let state = tempfile::Builder::new().prefix("aiclipx-").tempdir().context("cannot make a temporary folder")?;
        let mut plan = Plan::private(self.root, &state.path().join("state"), speed)?;
        let mut scraped = plan.rendered_with();
        let mut proxy = None;
        let unapplied = |why: String| Ok(Findings::from([(job.name().to_owned(), Err(Fate::DidNotApply(why)))]));
        let mut change: Option<&Change> = None;
        if let Job::Broken(_, mutant) = job {
            match &mutant.edit {
                Edit::Configuration(configuration) => change = Some(configuration),
                Edit::Setting { name, value } => {
                    plan.app_program = wrapped(&plan.app_program, name, value, state.path())?;
                }
                Edit::Exposition(rewriting) => {
                    let app = plan.addresses.scraped_app().first().context("the stack has no service")?.clone();
                    let started = Proxy::start(app, *rewriting).await?;
                    scraped.app_admin = vec![started.address().clone()];
                    proxy = Some(started);
                }
                Edit::Dashboard(_) | Edit::Record(_) | Edit::Loss(_) => {}
            }
        }
        let mut rendered = self.tree.monitoring.render(&scraped, speed)?;
        if let Some(change) = change {
            rendered = match change.apply_to(&rendered, speed) {
                Ok(changed) => changed,
                Err(why) => return unapplied(why),
            };
        }
        let stack = Stack::start(plan, rendered, prometheus_flags(speed), &mut Silent, interrupt.requested()).await?;
        let unread = match change {
            Some(Change { file, .. }) => parts::unread(file, &parts::lacking(&stack).await),
            None => None,
        };
        let findings = match unread {
            Some(why) => Ok(Findings::from([(job.name().to_owned(), Err(Fate::NotTried(why)))])),
            None => self.on(&stack, job, interrupt).await,
        };
        let stopped = stack.stop().await;
        if let Some(proxy) = proxy {
            proxy.stop().await;
        }
        stopped?;
        findings
    }

    /// Enacts on a stack that runs, collects, and looks at what came of it.
    async fn on(&self, stack: &Stack, job: &Job<'_>, interrupt: &Interrupt) -> Result<Findings, Failure> {
        let scenario = job.scenario();
        let what = Enactment {
            ground: Ground::Ours(stack),
            tree: self.tree,
            scenario,
            seed: self.options.seed,
            length: None,
            show: false,
            // A mutant of the stack is found by what was recorded; what pictures prove is shown by the sound one.
            pictures: matches!(job, Job::Sound(..)),
            from_quiet: matches!(job, Job::Sound(..)),
        };
        let enacted = enact(what, &|_| {}, interrupt).await?;
        let folder = self.experiment(job.name(), scenario);
        interrupt.or(collect(Ground::Ours(stack), self.tree, &enacted.folder, &folder)).await?;
        let mut found = self.look(&folder).await?;
        found.lacking = parts::lacking(stack).await;
        let Job::Sound(_, mutants) = job else { return Ok(Findings::from([(job.name().to_owned(), Ok(found))])) };
        let mut findings = Findings::from([(job.name().to_owned(), Ok(found))]);
        for mutant in mutants {
            let copy = self.experiment(&mutant.id, scenario);
            let _ = fs::remove_dir_all(&copy);
            let made = match &mutant.edit {
                Edit::Dashboard(change) => match change.dashboards(self.tree) {
                    Ok(dashboards) => {
                        let tree = self.tree.with_dashboards(dashboards);
                        interrupt.or(collect(Ground::Ours(stack), &tree, &enacted.folder, &copy)).await?;
                        Ok(())
                    }
                    Err(why) => Err(why),
                },
                Edit::Record(change) => {
                    copy_folder(&folder, &copy)?;
                    let file = copy.join(&change.file);
                    let edited = read_text(&file).map_err(|error| format!("{error:#}"));
                    match edited.and_then(|text| change.apply(&text, self.options.speed)) {
                        Ok(text) => write(&file, text.as_bytes()).map_err(|error| format!("{error:#}")),
                        Err(why) => Err(why),
                    }
                }
                Edit::Loss(lost) => {
                    copy_folder(&folder, &copy)?;
                    fs::remove_file(copy.join(lost)).map_err(|error| format!("{}: {error}", lost.display()))
                }
                Edit::Configuration(_) | Edit::Exposition(_) | Edit::Setting { .. } => {
                    unreachable!("these have a stack of their own")
                }
            };
            let found = match made {
                Ok(()) => Ok(self.look(&copy).await?),
                Err(why) => Err(Fate::DidNotApply(why)),
            };
            findings.insert(mutant.id.clone(), found);
        }
        Ok(findings)
    }

    /// Judges an experiment's folder against the tree as it is, whatever was done to the stack.
    ///
    /// Off the task on which the others send: what lasts there makes their requests late.
    async fn look(&self, folder: &Path) -> anyhow::Result<Found> {
        let (tree, folder) = (Arc::clone(self.tree), folder.to_owned());
        let looked = tokio::task::spawn_blocking(move || {
            let experiment = Experiment::read(&folder)?;
            let disturbances = judge::disturbances(&experiment, &tree).iter().map(ToString::to_string).collect();
            Ok(Found { judgements: judge::judge(&experiment, &tree), disturbances, lacking: Vec::new() })
        });
        looked.await.context("looking at an experiment")?
    }

    /// Where an experiment is recorded. The last folder's name is the experiment's, and begins its claims' ids.
    fn experiment(&self, name: &str, scenario: &Scenario) -> PathBuf {
        self.folder.join(name).join(&scenario.name)
    }

    /// What is told when a stack is done with.
    fn tell(&self, job: &Job<'_>, findings: &Findings, number: usize, of: usize) {
        let at = self.began.elapsed().as_secs();
        let what = match (&findings[job.name()], job) {
            (Err(fate), _) => format!("{}: {}", fate.word(), fate.brief()),
            (Ok(found), _) if !found.disturbances.is_empty() && !is_wanted(job, found) => {
                format!("says nothing: {}", found.disturbances.join("; "))
            }
            (Ok(found), Job::Sound(_, mutants)) => {
                let holds = found.judgements.iter().filter(|judged| judged.verdict == Verdict::Holds).count();
                let free =
                    if mutants.is_empty() { String::new() } else { format!("; {} mutants asked on it", mutants.len()) };
                format!("as it stands, {holds} of {} claims hold{free}", found.judgements.len())
            }
            (Ok(found), Job::Broken(_, mutant)) => fate::so_far(mutant, found),
        };
        tell(&format!("  {number}/{of} {}: {what} ({at} s)", job.name()));
    }

    /// Keeps the experiments of what lives, with those of the sound stacks; nobody looks at a mutant that is dead, and one
    /// that was not tried has nothing to show.
    fn clear(&self, tried: &[Tried]) -> anyhow::Result<()> {
        let lives = |tried: &Tried| !matches!(tried.fate, Fate::Killed(_) | Fate::NotTried(_));
        let living = |name: &str| tried.iter().any(|tried| tried.id == name && lives(tried));
        let none_lives = !tried.iter().any(lives);
        for entry in fs::read_dir(self.folder).with_context(|| format!("cannot read {}", self.folder.display()))? {
            let path = entry.with_context(|| format!("cannot read {}", self.folder.display()))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let of_a_mutant = tried.iter().any(|tried| tried.id == name);
            if none_lives || (of_a_mutant && !living(&name)) {
                fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }
}

/// Whether a mutant is done to the stack itself, and not to what is asked of it or was recorded on it.
fn needs_a_stack(mutant: &Mutant) -> bool {
    match mutant.edit {
        Edit::Configuration(_) | Edit::Exposition(_) | Edit::Setting { .. } => true,
        Edit::Dashboard(_) | Edit::Record(_) | Edit::Loss(_) => false,
    }
}

/// Whether the run was disturbed as its mutant must disturb it.
fn is_wanted(job: &Job<'_>, found: &Found) -> bool {
    match job {
        Job::Broken(_, mutant) => fate::is_wanted(mutant, found),
        Job::Sound(..) => false,
    }
}

/// A program that starts the service with a setting of its own: it becomes the service, so there is one process.
fn wrapped(app: &Path, name: &str, value: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let script = format!("#!/bin/sh\n{name}={} exec {} \"$@\"\n", quoted(value), quoted(&app.to_string_lossy()));
    let file = folder.join("service-with-another-setting");
    write(&file, script.as_bytes())?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).context("cannot make the service's program one")?;
    Ok(file)
}

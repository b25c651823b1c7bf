//! Every mutant on a private stack, some of them side by side; stopped whatever happens.
//!
//! A scenario in use is enacted once as it stands: without a claim that holds there, one that fails with a mutant says
//! nothing about the mutant. What is asked of a dashboard or done to a record needs no other stack than that one: the
//! queries are asked there, the record is a copy of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::parts;
use super::proxy::Proxy;
use super::status::{self, Findings, Found};
use crate::collect::collect;
use crate::enact::enact;
use crate::enact::spec::RunSpec;
use crate::environment::Environment;
use crate::events::{Event, Events};
use crate::publish::in_a_second_of_its_own;
use crate::runner::{self, Ended, Job, Options, Try, Which, gravest, invalid};
use crate::surroundings::{asked_of, look_for_a_browser, now_ms};
use aiclipx_judge::bundle::{PARTIAL, made_in};
use aiclipx_judge::experiment::Experiment;
use aiclipx_judge::files::{read_text, write};
use aiclipx_judge::judge::{self, Verdict};
use aiclipx_judge::mutants::outcome::MutantStatus;
use aiclipx_judge::mutants::outcome::{Outcome, SCHEMA, Tried};
use aiclipx_judge::mutants::table::{Change, Edit, Mutant, Table};
use aiclipx_judge::provenance::compact_utc;
use aiclipx_judge::tree::{Rendered, Tree, copy_folder};
use aiclipx_model::failure::{Failure, Kind, temporary_folder};
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::monitoring::prometheus_flags;
use aiclipx_model::replica::Replicas;
use aiclipx_model::revision::Revision;
use aiclipx_model::scenario::Scenario;
use aiclipx_stack::interrupt::Interrupt;
use aiclipx_stack::table::Silent;
use aiclipx_stack::{Plan, Stack};

/// Tries mutants, and writes `mutants.json` into a folder of its own below `out`, which is returned. The experiments of what
/// was not killed are kept beside it.
pub async fn try_all(
    root: &Path,
    options: &Options,
    events: &Events,
    interrupt: &Interrupt,
) -> Result<(PathBuf, Outcome), Failure> {
    let tree = Arc::new(Tree::read(root)?);
    let table = Table::read(root)?;
    let chosen = chosen(&table, &options.only)?;
    look_for_a_browser().await;
    let Revision { commit, dirty, .. } = asked_of(root, events).await?;
    let name = commit.as_deref().map_or("norev", |commit| &commit[..commit.len().min(7)]);
    let (began_ms, folder) = in_a_second_of_its_own(|now_ms| {
        let folder = options.out.join(format!("mutants-{}-{name}", compact_utc(now_ms)?));
        Ok(made_in(&options.out, &folder)?.then_some((now_ms, folder)))
    })
    .await?;

    let common = Arc::new(Common {
        root: root.to_owned(),
        tree,
        options: options.clone(),
        folder: folder.clone(),
        began: Instant::now(),
        events: events.clone(),
        interrupt: interrupt.clone(),
    });
    let mutants = match all(&common, &chosen).await {
        Ok(mutants) => mutants,
        Err(failure) => {
            // Half a run is no outcome, and must not look like one; what was recorded of it stays. Of nothing nothing does.
            let left = PathBuf::from(format!("{}{PARTIAL}", folder.display()));
            if fs::remove_dir(&folder).is_err() && fs::rename(&folder, &left).is_ok() {
                events.tell_all(Event::NoOutcome { kept_in: left.display().to_string() });
            }
            events.settle();
            return Err(failure);
        }
    };
    events.settle();
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

/// Tries mutants; what came of each, in their order.
async fn all(common: &Arc<Common>, mutants: &[&Mutant]) -> Result<Vec<Tried>, Failure> {
    let speed = common.options.speed;
    let rendered = common.tree.monitoring.render(&Addresses::canonical(), speed)?;
    let (trials, mut unapplied) = trials(common, mutants, &rendered);
    let of = trials.len();
    let told = |ended: &Ended<Trial>, number| tell(ended, number, of, common);
    let ended = runner::run(trials, common.options.jobs, &common.events, &common.interrupt, told).await;
    let (mut found, mut failures) = (Findings::new(), Vec::new());
    for Ended { job, came } in ended {
        match came {
            Ok(findings) => found.extend(findings),
            Err(failure) if failure.kind() == Kind::Infrastructure => {
                found.insert(job.name().to_owned(), Err(MutantStatus::Invalid(failure.to_string())));
            }
            Err(failure) => failures.push(failure.context(format!("mutants, {}", job.name()))),
        }
    }
    if let Some(failure) = gravest(failures.into_iter()) {
        return Err(failure);
    }
    let tried: Vec<Tried> = mutants
        .iter()
        .map(|mutant| match unapplied.remove(mutant.id.as_str()) {
            Some(why) => Tried::new(mutant, MutantStatus::DidNotApply(why), Vec::new()),
            None => status::judged(mutant, &found),
        })
        .collect();
    clear(&common.folder, &tried)?;
    Ok(tried)
}

/// The stacks that these mutants take, and why some of them can't be made.
fn trials<'a>(
    common: &Arc<Common>,
    mutants: &[&'a Mutant],
    rendered: &Rendered,
) -> (Vec<Trial>, BTreeMap<&'a str, String>) {
    let (tree, speed) = (&common.tree, common.options.speed);
    let mut unapplied = BTreeMap::new();
    let mut sound: BTreeMap<&str, Vec<Mutant>> = BTreeMap::new();
    let mut trials = Vec::new();
    let trial = |scenario: &Scenario, what| Trial { common: Arc::clone(common), scenario: scenario.clone(), what };
    for &mutant in mutants {
        let scenario = match mutant.check(tree, rendered, speed).and_then(|_| mutant.scenario(tree)) {
            Ok(scenario) => scenario,
            Err(why) => {
                common.events.tell(&mutant.id, Event::DidNotApply { why: why.clone() });
                unapplied.insert(mutant.id.as_str(), why);
                continue;
            }
        };
        let free = sound.entry(&scenario.name).or_default();
        if needs_a_stack(mutant) {
            trials.push(trial(scenario, What::Broken(mutant.clone())));
        } else {
            free.push(mutant.clone());
        }
    }
    for scenario in &tree.scenarios {
        if let Some(mutants) = sound.remove(scenario.name.as_str()) {
            trials.push(trial(scenario, What::Sound(mutants)));
        }
    }
    // The longest first: side by side, that ends soonest.
    let length = |scenario: &Scenario| scenario.phases.iter().map(|phase| phase.duration).sum::<Duration>();
    trials.sort_by_key(|trial| std::cmp::Reverse(length(&trial.scenario)));
    (trials, unapplied)
}

/// What is told when a stack is done with.
fn tell(ended: &Ended<Trial>, number: usize, of: usize, common: &Common) {
    let trial = &ended.job;
    let of_status = |status: &MutantStatus| format!("{}: {}", status.word(), status.brief());
    let told = match &ended.came {
        Err(failure) if failure.kind() == Kind::Infrastructure => {
            of_status(&MutantStatus::Invalid(failure.to_string()))
        }
        // It is told once, of the command.
        Err(_) => return,
        Ok(findings) => match (&findings[trial.name()], &trial.what) {
            (Err(status), _) => of_status(status),
            (Ok(found), _) if !found.disturbances.is_empty() && !trial.is_wanted(found) => {
                format!("inconclusive: {}", found.disturbances.join("; "))
            }
            (Ok(found), What::Sound(mutants)) => {
                let holds = found.judgements.iter().filter(|judged| judged.verdict == Verdict::Holds).count();
                let free =
                    if mutants.is_empty() { String::new() } else { format!("; {} mutants asked on it", mutants.len()) };
                format!("as it stands, {holds} of {} claims hold{free}", found.judgements.len())
            }
            (Ok(found), What::Broken(mutant)) => status::so_far(mutant, found),
        },
    };
    let seconds = common.began.elapsed().as_secs();
    common.events.tell(trial.name(), Event::Tried { told, number, of, seconds });
}

/// Keeps the experiments of what lives, with those of the sound stacks; nobody looks at a mutant that is dead, and one
/// that was not tried has nothing to show.
fn clear(folder: &Path, tried: &[Tried]) -> anyhow::Result<()> {
    let lives = |tried: &Tried| !matches!(tried.status, MutantStatus::Killed(_) | MutantStatus::NotTried(_));
    let living = |name: &str| tried.iter().any(|tried| tried.id == name && lives(tried));
    let none_lives = !tried.iter().any(lives);
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let of_a_mutant = tried.iter().any(|tried| tried.id == name);
        if none_lives || (of_a_mutant && !living(&name)) {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// What all stacks are run with.
struct Common {
    root: PathBuf,
    tree: Arc<Tree>,
    options: Options,
    folder: PathBuf,
    began: Instant,
    events: Events,
    interrupt: Interrupt,
}

/// What one stack is for.
enum What {
    /// A scenario as it stands, with the mutants that need no stack of their own.
    Sound(Vec<Mutant>),
    /// A mutant of the stack itself.
    Broken(Mutant),
}

/// A scenario on a stack of its own.
struct Trial {
    common: Arc<Common>,
    scenario: Scenario,
    what: What,
}

impl Job for Trial {
    type Came = Findings;

    /// The folder of its experiments is called so, too.
    fn name(&self) -> &str {
        match &self.what {
            What::Sound(_) => &self.scenario.name,
            What::Broken(mutant) => &mutant.id,
        }
    }

    async fn attempt(&mut self, _: Which) -> Result<Try<Findings>, Failure> {
        let _ = fs::remove_dir_all(self.experiment(self.name()));
        let findings = self.once().await?;
        let disturbed = self.disturbed(&findings[self.name()]);
        Ok(Try { came: findings, disturbed })
    }
}

impl Trial {
    async fn once(&self) -> Result<Findings, Failure> {
        let Common { root, tree, options, interrupt, .. } = &*self.common;
        let speed = options.speed;
        let state = temporary_folder()?;
        let mut plan = Plan::private(root, &state.path().join("state"), speed)?;
        plan.replicate(self.scenario.replicas.unwrap_or(Replicas::ONE))?;
        if options.database {
            plan.add_database();
        }
        let mut scraped = plan.rendered_with();
        let mut proxy = None;
        let unapplied =
            |why: String| Ok(Findings::from([(self.name().to_owned(), Err(MutantStatus::DidNotApply(why)))]));
        let mut change: Option<&Change> = None;
        if let What::Broken(mutant) = &self.what {
            match &mutant.edit {
                Edit::Configuration(configuration) => change = Some(configuration),
                Edit::Setting { name, value } => {
                    plan.app_program = wrapped(&plan.app_program, name, value, state.path())?;
                }
                Edit::Exposition(rewriting) => {
                    let app = plan.addresses.scraped_app().first().context("the stack has no service")?.clone();
                    let started = Proxy::start(app, tree.service(), *rewriting).await?;
                    scraped.app_admin.resize(1.max(scraped.app_admin.len()), started.address().clone());
                    scraped.app_admin[0] = started.address().clone();
                    proxy = Some(started);
                }
                Edit::Dashboard { .. } | Edit::Record(_) | Edit::Loss(_) => {}
            }
        }
        let mut rendered = tree.monitoring.render(&scraped, speed)?;
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
            Some(why) => Ok(Findings::from([(self.name().to_owned(), Err(MutantStatus::NotTried(why)))])),
            None => self.on(&stack).await,
        };
        let stopped = stack.stop().await;
        if let Some(proxy) = proxy {
            proxy.stop().await;
        }
        stopped?;
        findings
    }

    /// Enacts on a stack that runs, collects, and looks at what came of it.
    async fn on(&self, stack: &Stack) -> Result<Findings, Failure> {
        let Common { tree, options, events, interrupt, .. } = &*self.common;
        let is_sound = matches!(self.what, What::Sound(_));
        let what = RunSpec {
            environment: Environment::Managed(stack),
            tree,
            scenario: &self.scenario,
            seed: options.seed,
            length: None,
            show: false,
            // A mutant of the stack is found by what was recorded; what pictures prove is shown by the sound one.
            pictures: is_sound,
            from_quiet: is_sound,
        };
        let enacted = enact(what, &|_| {}, interrupt).await?;
        let folder = self.experiment(self.name());
        let tell = |event| events.tell(self.name(), event);
        interrupt.or(collect(Environment::Managed(stack), tree, &enacted.folder, &folder, &tell)).await?;
        let mut found = self.look(&folder).await?;
        found.lacking = parts::lacking(stack).await;
        let mut findings = Findings::from([(self.name().to_owned(), Ok(found))]);
        let What::Sound(mutants) = &self.what else { return Ok(findings) };
        for mutant in mutants {
            let copy = self.experiment(&mutant.id);
            let _ = fs::remove_dir_all(&copy);
            let made = match &mutant.edit {
                Edit::Dashboard { change, panel } => match change.dashboards(*panel, tree) {
                    Ok(dashboards) => {
                        let tree = tree.with_dashboards(dashboards);
                        let tell = |event| events.tell(&mutant.id, event);
                        interrupt
                            .or(collect(Environment::Managed(stack), &tree, &enacted.folder, &copy, &tell))
                            .await?;
                        Ok(())
                    }
                    Err(why) => Err(why),
                },
                _ => self.edited(mutant, &folder, &copy).await?,
            };
            let found = match made {
                Ok(()) => Ok(self.look(&copy).await?),
                Err(why) => Err(MutantStatus::DidNotApply(why)),
            };
            findings.insert(mutant.id.clone(), found);
        }
        Ok(findings)
    }

    /// Makes a copy of an experiment's folder with a mutant of its record in it, or says why that can't be made.
    async fn edited(&self, mutant: &Mutant, folder: &Path, copy: &Path) -> anyhow::Result<Result<(), String>> {
        let (edit, speed) = (mutant.edit.clone(), self.common.options.speed);
        let (folder, copy) = (folder.to_owned(), copy.to_owned());
        let made = tokio::task::spawn_blocking(move || {
            copy_folder(&folder, &copy)?;
            anyhow::Ok(match edit {
                Edit::Record(change) => {
                    let file = copy.join(&change.file);
                    let edited = read_text(&file).map_err(|error| format!("{error:#}"));
                    edited
                        .and_then(|text| change.apply(&text, speed))
                        .and_then(|text| write(&file, text.as_bytes()).map_err(|error| format!("{error:#}")))
                }
                Edit::Loss(lost) => {
                    fs::remove_file(copy.join(&lost)).map_err(|error| format!("{}: {error}", lost.display()))
                }
                Edit::Dashboard { .. } | Edit::Configuration(_) | Edit::Exposition(_) | Edit::Setting { .. } => {
                    unreachable!("these are no edits of a record")
                }
            })
        });
        made.await.context("copying an experiment")?
    }

    /// Judges an experiment's folder against the tree as it is, whatever was done to the stack.
    async fn look(&self, folder: &Path) -> anyhow::Result<Found> {
        let (tree, folder) = (Arc::clone(&self.common.tree), folder.to_owned());
        let looked = tokio::task::spawn_blocking(move || {
            let experiment = Experiment::read(&folder)?;
            let disturbances = judge::disturbances(&experiment, &tree).iter().map(ToString::to_string).collect();
            Ok(Found { judgements: judge::judge(&experiment, &tree), disturbances, lacking: Vec::new() })
        });
        looked.await.context("looking at an experiment")?
    }

    /// Where an experiment is recorded. The last folder's name is the experiment's, and begins its claims' ids.
    fn experiment(&self, name: &str) -> PathBuf {
        self.common.folder.join(name).join(&self.scenario.name)
    }

    /// Why it is tried again, where it is not its mutant that disturbed the run.
    fn disturbed(&self, found: &Result<Found, MutantStatus>) -> Option<String> {
        match found {
            Err(MutantStatus::Invalid(why)) => Some(why.clone()),
            Ok(found) if !self.is_wanted(found) => invalid(found.disturbances.iter().cloned()),
            _ => None,
        }
    }

    /// Whether the run was disturbed as its mutant must disturb it.
    fn is_wanted(&self, found: &Found) -> bool {
        match &self.what {
            What::Broken(mutant) => status::is_wanted(mutant, found),
            What::Sound(_) => false,
        }
    }
}

/// Whether a mutant is done to the stack itself, and not to what is asked of it or was recorded on it.
fn needs_a_stack(mutant: &Mutant) -> bool {
    match mutant.edit {
        Edit::Configuration(_) | Edit::Exposition(_) | Edit::Setting { .. } => true,
        Edit::Dashboard { .. } | Edit::Record(_) | Edit::Loss(_) => false,
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

#[cfg(test)]
mod tests;

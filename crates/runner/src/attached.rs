//! Evidence of what the user ran: every run on the stack that is up, ours or somebody else's, collected, judged, sealed.
//!
//! As on private stacks, a run that the machine disturbed is repeated once and both tries are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};

use super::collect;
use super::enact::spec::{RunResult, RunSpec, Say};
use super::enact::{self, END, goes_on};
use super::environment::{Environment, Held};
use super::publish::{begun, publish};
use super::runner::{self, Ended, Job, Try, Which, gravest, invalid, why_again};
use crate::events::{Event, Events};
use crate::surroundings::{self, asked_of, look_for_a_browser};
use aiclipx_judge::artifacts::{LEDGER, RUN};
use aiclipx_judge::bundle::{Bundle, Draft};
use aiclipx_judge::consistency::FIRST_TRY;
use aiclipx_judge::experiment::Experiment;
use aiclipx_judge::files::{files_in, read_json};
use aiclipx_judge::judge;
use aiclipx_judge::outcome::Outcome;
use aiclipx_judge::provenance::{self, BrokenOff, End, Mode, Provenance, compact_utc};
use aiclipx_judge::run::{SCHEMA, read_run};
use aiclipx_judge::tree::Tree;
use aiclipx_model::failure::{Failure, Kind};
use aiclipx_model::process_identity::ProcessIdentity;
use aiclipx_model::traffic::ledger::{Head, Ledger};
use aiclipx_stack::Component;
use aiclipx_stack::interrupt::Interrupt;
use aiclipx_stack::layout::RUNS;

/// Lets a scenario happen on the stack that is up, and once more if the machine disturbed it.
///
/// What disturbed the last try is returned, in words; nothing for a run that can be judged. `ended` is told of each try.
/// Both leave a run, and [`collect()`] puts the first aside.
pub async fn enact(
    what: RunSpec<'_>,
    say: &Say<'_>,
    ended: &dyn Fn(&RunResult) -> Result<(), Failure>,
    events: &Events,
    interrupt: &Interrupt,
) -> Result<Vec<String>, Failure> {
    let attempt = async || {
        let enacted = enact::enact(what, say, interrupt).await?;
        events.settle();
        ended(&enacted)?;
        let found = interrupt.or(collect::disturbances(what.environment, what.tree, &enacted.folder)).await?;
        Ok(Try { disturbed: invalid(found.iter().cloned()), came: found })
    };
    let mut tried = attempt().await;
    if let Some(why) = why_again(&tried) {
        events.tell(&what.scenario.name, Event::TriedAgain { why });
        events.settle();
        tried = attempt().await;
    }
    events.settle();
    Ok(tried?.came)
}

/// Collects every run since the stack came up.
///
/// A component that is down, dies or is restarted meanwhile ends it, exit 3: what was recorded could no longer be compared
/// with what runs. One that a stack may do without is told as absent. A run that can't be collected takes no other with it.
pub async fn collect(
    root: &Path,
    held: Arc<Held>,
    out: &Path,
    events: &Events,
    interrupt: &Interrupt,
) -> Result<(Bundle, Outcome), Failure> {
    let environment = held.environment();
    let tree = Arc::new(Tree::read(root)?);
    let runs = runs_of(environment)?;
    if runs.ended.is_empty() {
        return Err(nothing_ended(environment, !runs.broken_off.is_empty()));
    }
    for one in &runs.broken_off {
        events.tell_run(&one.run, Event::NotJudged { why: one.end.why.clone() });
    }
    look_for_a_browser().await;
    let seeds: Vec<u64> = runs.ended.iter().map(|(_, one)| one.seed).collect::<BTreeSet<_>>().into_iter().collect();
    let revision = asked_of(root, events).await?;
    let label = revision.label();
    let before = environment.identities().await?;
    let (versions, mut absent) = environment.told();
    absent.extend(is_down(&before)?.iter().map(|name| format!("{name} was not running when this was collected")));
    let (_, id, draft) = begun(out, revision.commit.as_deref(), &seeds, &tree).await?;

    let began_ms = read_run(&runs.ended[0].0)?.quiet_ms;
    let ended = collect_all(&held, &tree, &draft, runs.ended, events, interrupt).await;
    let Taken { tries, disturbed, others, unfinished } = taken(ended, &label)?;
    absent.extend(others.into_iter().map(|built| provenance::of_another_revision(&built, &label)));
    let superseded = name_experiments(&draft, &tries, &disturbed, events)?;
    absent.extend(changed(&before, &environment.identities().await?)?);

    let mode = match environment {
        Environment::Managed(_) => Mode::Attached,
        Environment::External(_) => Mode::External,
    };
    let known = surroundings::provenance(root, id, mode, &revision, seeds, environment.speed(), began_ms)?;
    absent.extend(known.absent);
    let broken_off = runs.broken_off;
    let provenance = Provenance { versions, superseded, unfinished, broken_off, absent, ..known };
    aiclipx_judge::mutants::outcome::take(out, draft.folder(), &provenance)?;
    publish(draft, &provenance, &environment.secrets()?, events, interrupt).await
}

/// Collects the runs one after the other, for they ask the same Prometheus.
async fn collect_all(
    held: &Arc<Held>,
    tree: &Arc<Tree>,
    draft: &Draft,
    runs: Vec<(PathBuf, Earlier)>,
    events: &Events,
    interrupt: &Interrupt,
) -> Vec<Ended<Collecting>> {
    let of = runs.len();
    let jobs = runs.into_iter().zip(1..).map(|((run, one), number)| Collecting {
        held: Arc::clone(held),
        tree: Arc::clone(tree),
        folder: draft.experiment(&one.run),
        run,
        one,
        place: (number, of),
        events: events.clone(),
        interrupt: interrupt.clone(),
    });
    let told = |ended: &Ended<Collecting>, _| {
        if let Err(failure) = &ended.came
            && is_left_out(failure)
        {
            events.tell_run(ended.job.name(), Event::Unfinished { why: failure.to_string() });
        }
    };
    let ended = runner::run(jobs.collect(), 1, events, interrupt, told).await;
    events.settle();
    ended
}

/// Gives each experiment its name, in the draft and in what is told; those that are put aside.
fn name_experiments(
    draft: &Draft,
    tries: &[Earlier],
    disturbed: &[bool],
    events: &Events,
) -> anyhow::Result<Vec<String>> {
    let (names, superseded) = names(&tries.iter().collect::<Vec<_>>(), disturbed);
    for (one, name) in tries.iter().zip(&names) {
        std::fs::rename(draft.experiment(&one.run), draft.experiment(name)).context("cannot name an experiment")?;
        events.tell(name, Event::Recorded { run: one.run.clone() });
    }
    events.settle();
    Ok(superseded)
}

/// The processes that ran and were not the same throughout, in words; a failure for one that the stack can't do without.
fn changed(
    before: &BTreeMap<String, ProcessIdentity>,
    after: &BTreeMap<String, ProcessIdentity>,
) -> Result<Vec<String>, Failure> {
    let ran = before.iter().filter(|(_, identity)| identity.pid.is_some());
    let changed = ran.filter(|(name, identity)| after.get(*name) != Some(*identity)).map(|(name, _)| name);
    let told = changed.map(|name| {
        if may_lack(name) {
            return Ok(format!("{name} was restarted or died while this was collected"));
        }
        Err(Failure::infrastructure(format!("{name} died or was restarted while evidence was collected"))
            .remedy("see `just logs`; run `just traffic` and `just evidence` again"))
    });
    told.collect()
}

fn nothing_ended(environment: Environment<'_>, was_broken_off: bool) -> Failure {
    Failure::usage("nothing has run to its end on this stack since it came up").remedy(match environment {
        _ if was_broken_off => "a run is under way or was broken off: let `just traffic` end, or run it again",
        Environment::Managed(_) => "run `just traffic` first; evidence is about what ran",
        Environment::External(_) => "run `just traffic` with the same --attach first; evidence is about what ran",
    })
}

/// A run that is collected into an experiment's folder.
struct Collecting {
    held: Arc<Held>,
    tree: Arc<Tree>,
    run: PathBuf,
    one: Earlier,
    folder: PathBuf,
    /// Which of how many.
    place: (usize, usize),
    events: Events,
    interrupt: Interrupt,
}

/// Of a run that was collected: whether the machine disturbed it, and the revisions its service was built from.
type Collected = (bool, Vec<String>);

impl Job for Collecting {
    type Came = Collected;

    fn name(&self) -> &str {
        &self.one.run
    }

    async fn attempt(&mut self, _: Which) -> Result<Try<Collected>, Failure> {
        let (number, of) = self.place;
        self.events.tell_run(self.name(), Event::Collecting { scenario: self.one.scenario.clone(), number, of });
        let tell = |event| self.events.tell_run(self.name(), event);
        let collected = async {
            collect::collect(self.held.environment(), &self.tree, &self.run, &self.folder, &tell).await?;
            let (tree, folder) = (Arc::clone(&self.tree), self.folder.clone());
            let looked = tokio::task::spawn_blocking(move || {
                let experiment = Experiment::read(&folder)?;
                let built = experiment.built_from(tree.service());
                anyhow::Ok((!judge::disturbances(&experiment, &tree).is_empty(), built))
            });
            Ok(looked.await.context("looking at an experiment")??)
        };
        Ok(Try { came: self.interrupt.or(collected).await?, disturbed: None })
    }

    /// The run lies where it lay: whoever wants it again collects again.
    fn is_repeatable(&self) -> bool {
        false
    }

    /// Half an experiment can't be judged.
    fn clear(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// One run that may not be read is no reason to lose the others.
fn is_left_out(failure: &Failure) -> bool {
    failure.kind() == Kind::Infrastructure || failure.is_denied()
}

/// What was collected, in order of time.
struct Taken {
    tries: Vec<Earlier>,
    disturbed: Vec<bool>,
    /// Revisions that a service was built from, and that are not the tree's.
    others: BTreeSet<String>,
    /// Why the other runs are not among them.
    unfinished: BTreeMap<String, String>,
}

/// What came of all; a failure where that is nothing, or one that concerns more than its run.
fn taken(ended: Vec<Ended<Collecting>>, label: &str) -> Result<Taken, Failure> {
    let mut taken =
        Taken { tries: Vec::new(), disturbed: Vec::new(), others: BTreeSet::new(), unfinished: BTreeMap::new() };
    let (mut left_out, mut grave) = (Vec::new(), Vec::new());
    for Ended { job, came } in ended {
        match came {
            Ok((is_disturbed, built)) => {
                taken.others.extend(built.into_iter().filter(|built| built != label));
                taken.disturbed.push(is_disturbed);
                taken.tries.push(job.one);
            }
            Err(failure) if is_left_out(&failure) => {
                taken.unfinished.insert(job.one.run, failure.to_string());
                left_out.push(failure);
            }
            Err(failure) => grave.push(failure),
        }
    }
    match gravest(grave.into_iter()) {
        Some(failure) => Err(failure),
        None if taken.tries.is_empty() => Err(left_out.swap_remove(0)),
        None => Ok(taken),
    }
}

/// Whether a stack may do without a process of this name.
fn may_lack(name: &str) -> bool {
    Component::ALL.into_iter().any(|one| one.name() == name && one.is_optional())
}

/// The processes that do not run, of those that a stack may do without; one of the others ends it before anything is asked.
fn is_down(identities: &BTreeMap<String, ProcessIdentity>) -> Result<Vec<String>, Failure> {
    let down = identities.iter().filter(|(_, identity)| identity.pid.is_none()).map(|(name, _)| name.clone());
    let (optional, needed): (Vec<_>, Vec<_>) = down.partition(|name| may_lack(name));
    if needed.is_empty() {
        return Ok(optional);
    }
    let what = format!("{} is not running, so nothing was collected", needed.join(", "));
    Err(Failure::infrastructure(what).remedy("see `just status` and `just logs`; `just down && just up` begins anew"))
}

/// A run, and what makes it another try of an earlier one.
struct Earlier {
    run: String,
    scenario: String,
    seed: u64,
    schedule: String,
}

impl Earlier {
    fn of(ledger: Ledger) -> Earlier {
        let Head { run, scenario, seed, schedule_sha256: schedule, .. } = ledger.head;
        Earlier { run, scenario, seed, schedule }
    }
}

/// The experiments' names, run by run, and those that are put aside: a scenario's own, then with a number. A disturbed run
/// that was followed by the same again is a first try, and the next bears the name.
fn names(tries: &[&Earlier], disturbed: &[bool]) -> (Vec<String>, Vec<String>) {
    let own = |one: &Earlier| one.scenario.split_once('-').map_or(one.scenario.as_str(), |(_, name)| name).to_owned();
    // A scenario's own name is nobody else's, whatever number it ends in.
    let owned: BTreeSet<String> = tries.iter().map(|one| own(one)).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut repeated = BTreeSet::new();
    let (mut names, mut aside) = (Vec::new(), Vec::new());
    for (index, one) in tries.iter().enumerate() {
        let is_second = repeated.remove(&one.scenario);
        let count = counts.entry(&one.scenario).or_default();
        *count += usize::from(!is_second);
        let mut name = own(one);
        if *count > 1 {
            while owned.contains(&format!("{name}-{count}")) {
                *count += 1;
            }
            name = format!("{name}-{count}");
        }
        let next = tries[index + 1..].iter().find(|other| other.scenario == one.scenario);
        if !is_second && disturbed[index] && next.is_some_and(|next| next.schedule == one.schedule) {
            repeated.insert(&one.scenario);
            name += FIRST_TRY;
            aside.push(name.clone());
        }
        names.push(name);
    }
    (names, aside)
}

/// Runs without an end, and what each said of it, if it said anything; whether one goes on at this moment.
fn not_ended(mut runs: Vec<(String, Option<End>)>, one_goes_on: bool) -> Vec<BrokenOff> {
    runs.sort_by(|(one, _), (other, _)| one.cmp(other));
    // There is never more than one at a time.
    let newest = runs.iter().rposition(|(_, end)| end.is_none()).filter(|_| one_goes_on);
    let told = runs.into_iter().enumerate().map(|(index, (run, end))| {
        let goes_on = newest == Some(index);
        let why = if goes_on { "it was under way when this was collected" } else { "it was broken off" };
        BrokenOff { run, end: end.unwrap_or_else(|| End { why: why.to_owned(), died: false }) }
    });
    told.collect()
}

/// The runs since the stack came up, in order of time.
struct Runs {
    /// Those that ended by themselves: the folder, and what it is a run of.
    ended: Vec<(PathBuf, Earlier)>,
    /// The others.
    broken_off: Vec<BrokenOff>,
}

fn runs_of(environment: Environment<'_>) -> anyhow::Result<Runs> {
    let started_ms = environment.started_ms()?;
    let (mut ended, mut broken_off) = (Vec::new(), Vec::new());
    for folder in files_in(&environment.state().join(RUNS), "")? {
        // Its name begins with the time, as `compact_utc` writes it: so they compare as texts.
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !folder.is_dir() || name.as_str() < compact_utc(started_ms)?.as_str() {
            continue;
        }
        if RUN.below(&folder).is_file() {
            let read = || {
                let run = read_run(&folder)?;
                ensure!(run.schema == SCHEMA, "an older version of this tool enacted it");
                Ok((
                    run.quiet_ms,
                    Earlier::of(
                        Ledger::read(&LEDGER.below(&folder))
                            .map_err(|failure| anyhow::anyhow!("{}", failure.in_one_line()))?,
                    ),
                ))
            };
            match read() {
                Ok((quiet_ms, one)) => ended.push((quiet_ms, folder, one)),
                Err(error) => {
                    let why = format!("it can't be read: {error:#}");
                    broken_off.push((name, Some(End { why, died: false })));
                }
            }
        } else {
            // A word that can't be read says nothing.
            broken_off.push((name, read_json::<End>(&folder.join(END)).ok()));
        }
    }
    ended.sort_by_key(|(quiet_ms, ..)| *quiet_ms);
    let broken_off = not_ended(broken_off, goes_on(environment.state()));
    Ok(Runs { ended: ended.into_iter().map(|(_, folder, one)| (folder, one)).collect(), broken_off })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stand_in;
    use aiclipx_stack::interrupt::Signals;

    /// A run that is to be collected from where nobody answers.
    fn collecting(run: &str, place: &Path, events: &Events) -> Collecting {
        let (scenario, schedule) = ("01-a".to_owned(), String::new());
        Collecting {
            held: Arc::new(Held::External(Box::new(stand_in::external(stand_in::nobody(), place)))),
            tree: Arc::new(stand_in::tree()),
            run: stand_in::experiment(),
            one: Earlier { run: run.to_owned(), scenario, seed: 42, schedule },
            folder: place.join(run),
            place: (1, 1),
            events: events.clone(),
            interrupt: Signals::unheard().held(),
        }
    }

    #[tokio::test]
    async fn a_run_that_cannot_be_collected_is_tried_once_and_leaves_no_half_of_an_experiment() {
        let place = tempfile::tempdir().unwrap();
        let (to, heard) = std::sync::mpsc::channel();
        let events = Events::to(move |told| drop(to.send((told.run.clone(), told.event.clone()))));
        let job = collecting("1", place.path(), &events);
        // As one that was broken off leaves it.
        std::fs::create_dir(&job.folder).unwrap();
        let ended = runner::run(vec![job], 1, &events, &Signals::unheard().held(), |_, _| {}).await;
        assert_eq!(ended[0].came.as_ref().unwrap_err().kind(), Kind::Infrastructure);
        assert!(!ended[0].job.folder.exists());
        drop((events, ended));
        let told: Vec<_> = heard.iter().collect();
        let once = Event::Collecting { scenario: "01-a".to_owned(), number: 1, of: 1 };
        assert_eq!(told, [(Some("1".to_owned()), once)]);
    }

    #[test]
    fn one_run_that_cannot_be_had_is_left_out_and_what_concerns_all_ends_it() {
        let (place, events) = (tempfile::tempdir().unwrap(), Events::to(|_| {}));
        let ended = |run: &str, came| Ended { job: collecting(run, place.path(), &events), came };
        let sound = |run: &str| ended(run, Ok((false, vec!["tree".to_owned(), "other".to_owned()])));
        let lost = |run: &str| ended(run, Err(Failure::infrastructure("Prometheus does not answer")));
        let denied = || {
            let error = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
            Failure::from(anyhow::Error::new(error).context("cannot read run.json"))
        };
        assert_eq!(denied().kind(), Kind::Usage, "and is left out all the same");
        let all = vec![sound("1"), lost("2"), ended("3", Err(denied())), ended("4", Ok((true, Vec::new())))];
        let came = taken(all, "tree").unwrap();
        assert_eq!(came.tries.iter().map(|one| one.run.as_str()).collect::<Vec<_>>(), ["1", "4"]);
        assert_eq!(came.disturbed, [false, true]);
        assert!(came.others.iter().eq(["other"]));
        assert!(came.unfinished.keys().eq(["2", "3"]));
        for grave in [Failure::usage("no such tree"), Failure::interrupted()] {
            let kind = grave.kind();
            let failure = taken(vec![sound("1"), lost("2"), ended("3", Err(grave))], "tree").err().unwrap();
            assert_eq!(failure.kind(), kind);
        }
        let nothing = taken(vec![lost("1"), lost("2")], "tree").err().unwrap();
        assert_eq!(nothing.kind(), Kind::Infrastructure);
    }

    #[test]
    fn what_was_restarted_meanwhile_ends_it_unless_a_stack_may_do_without() {
        let identity = |pid| ProcessIdentity { pid: Some(pid), started_ms: Some(1) };
        let stack =
            |app, loki| BTreeMap::from([("app".to_owned(), identity(app)), ("loki".to_owned(), identity(loki))]);
        assert_eq!(changed(&stack(1, 2), &stack(1, 2)).unwrap(), [""; 0]);
        let told = changed(&stack(1, 2), &stack(1, 3)).unwrap();
        assert_eq!(told, ["loki was restarted or died while this was collected"]);
        assert_eq!(changed(&stack(1, 2), &stack(4, 2)).unwrap_err().kind(), Kind::Infrastructure);
        assert!(changed(&stack(1, 2), &BTreeMap::new()).is_err(), "who is gone is not the same");
    }

    #[test]
    fn a_run_that_goes_on_is_not_called_broken_off_and_one_that_ended_says_why() {
        let died = End { why: "prometheus died".to_owned(), died: true };
        let runs = || vec![("3".to_owned(), Some(died.clone())), ("2".to_owned(), None), ("1".to_owned(), None)];
        let told = |goes_on| -> Vec<String> {
            let told = not_ended(runs(), goes_on).into_iter();
            told.map(|one| format!("{} {} {}", one.run, one.end.why, one.end.died)).collect()
        };
        let broken_off = "1 it was broken off false";
        let last = "3 prometheus died true";
        assert_eq!(told(true), [broken_off, "2 it was under way when this was collected false", last]);
        assert_eq!(told(false), [broken_off, "2 it was broken off false", last]);
    }

    #[test]
    fn who_was_down_before_is_told_before_anything_is_asked() {
        let identity = |pid| ProcessIdentity { pid, started_ms: pid.map(u64::from) };
        let stack = |down: &[&str]| -> BTreeMap<String, ProcessIdentity> {
            let names = ["app", "prometheus", "alertmanager", "receiver", "vector", "loki", "viewer"];
            names.map(|name| (name.to_owned(), identity((!down.contains(&name)).then_some(7)))).into()
        };
        assert_eq!(is_down(&stack(&[])).unwrap(), [""; 0]);
        assert_eq!(is_down(&stack(&["loki"])).unwrap(), ["loki"]);
        let failure = is_down(&stack(&["loki", "receiver"])).unwrap_err();
        assert_eq!(failure.kind(), Kind::Infrastructure);
        assert_eq!(failure.in_one_line(), "receiver is not running, so nothing was collected");
    }

    #[test]
    fn of_a_disturbed_run_and_the_same_again_the_second_counts() {
        let one = |name: &str, schedule: &str| Earlier {
            run: String::new(),
            scenario: format!("01-{name}"),
            seed: 42,
            schedule: schedule.to_owned(),
        };
        let named = |runs: &[(&str, bool)]| {
            let (tries, disturbed): (Vec<Earlier>, Vec<bool>) =
                runs.iter().map(|(name, is)| (one(name, ""), *is)).unzip();
            let (names, aside) = names(&tries.iter().collect::<Vec<_>>(), &disturbed);
            (names.join(" "), aside.join(" "))
        };
        let (sound, bad) = (false, true);
        for (runs, expected, aside) in [
            (&[("a", sound), ("b", sound), ("a", sound)][..], "a b a-2", ""),
            (&[("a", bad), ("b", sound), ("a", sound)], "a-try-1 b a", "a-try-1"),
            (&[("a", bad), ("a", bad)], "a-try-1 a", "a-try-1"),
            (&[("a", bad), ("a", bad), ("a", sound)], "a-try-1 a a-2", "a-try-1"),
            (&[("a", sound), ("a", bad), ("a", sound)], "a a-2-try-1 a-2", "a-2-try-1"),
            (&[("a", bad), ("b", sound)], "a b", ""),
            (&[("a", sound), ("a-2", sound), ("a", sound)], "a a-2 a-3", ""),
        ] {
            assert_eq!(named(runs), (expected.to_owned(), aside.to_owned()), "{runs:?}");
        }
        // Another seed, or another length, is another schedule, and not the same again.
        let others = [one("a", "short"), one("a", "long")];
        assert_eq!(
            names(&others.iter().collect::<Vec<_>>(), &[bad, sound]),
            (vec!["a".to_owned(), "a-2".to_owned()], vec![])
        );
    }
}

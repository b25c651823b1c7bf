//! Evidence of what the user ran: every run on the stack that is up, ours or somebody else's, collected, judged, sealed.
//!
//! As on private stacks, a run that the machine disturbed is repeated once and both tries are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::collect;
use super::enact::{self, END, Enacted, Enactment, goes_on};
use super::ground::Ground;
use super::publish::publish;
use super::retry::{Try, invalid, once_or_twice};
use crate::publish::in_a_second_of_its_own;
use crate::surroundings::asked_of;
use aiclipx_judge::artifacts::{LEDGER, RUN};
use aiclipx_judge::bundle::{Bundle, Draft};
use aiclipx_judge::coherence::FIRST_TRY;
use aiclipx_judge::experiment::Experiment;
use aiclipx_judge::files::{files_in, read_json};
use aiclipx_judge::judge;
use aiclipx_judge::outcome::Outcome;
use aiclipx_judge::provenance::{self, BrokenOff, End, Mode, Provenance, compact_utc, now_ms};
use aiclipx_judge::run::{SCHEMA, read_run};
use aiclipx_judge::tree::Tree;
use aiclipx_model::epoch::Epoch;
use aiclipx_model::failure::{Failure, Kind, tell};
use aiclipx_model::revision::{Revision, label};
use aiclipx_model::traffic::ledger::{Head, Ledger};
use aiclipx_stack::Component;
use aiclipx_stack::interrupt::Interrupt;
use aiclipx_stack::layout::RUNS;

/// Lets a scenario happen on the stack that is up, and once more if the machine disturbed it.
///
/// What disturbed the last try is returned, in words; nothing for a run that can be judged. `ended` is told of each try.
/// Both leave a run, and [`collect`] puts the first aside.
pub async fn enact(
    what: Enactment<'_>,
    say: &dyn Fn(&str),
    ended: &dyn Fn(&Enacted) -> Result<(), Failure>,
    interrupt: &Interrupt,
) -> Result<Vec<String>, Failure> {
    let enacted = once_or_twice(&what.scenario.name, async |_| {
        let enacted = enact::enact(what, say, interrupt).await?;
        ended(&enacted)?;
        let found = interrupt.or(collect::disturbances(what.ground, what.tree, &enacted.folder)).await?;
        Ok(Try { disturbed: invalid(found.iter().cloned()), came: found })
    });
    enacted.await
}

/// Collects every run since the stack came up. Progress goes to stderr.
///
/// A component that is down, dies or is restarted meanwhile ends it, exit 3: what was recorded could no longer be compared
/// with what runs. One that a stack may do without is told as absent. A run that can't be collected takes no other with it.
pub async fn collect(
    root: &Path,
    ground: Ground<'_>,
    out: &Path,
    interrupt: &Interrupt,
) -> Result<(Bundle, Outcome), Failure> {
    let tree = Tree::read(root)?;
    let runs = runs_of(ground)?;
    if runs.ended.is_empty() {
        let what = "nothing has run to its end on this stack since it came up";
        return Err(Failure::usage(what).remedy(match ground {
            _ if !runs.broken_off.is_empty() => {
                "a run is under way or was broken off: let `just traffic` end, or run it again"
            }
            Ground::Ours(_) => "run `just traffic` first; evidence is about what ran",
            Ground::Theirs(_) => "run `just traffic` with the same --attach first; evidence is about what ran",
        }));
    }
    for one in &runs.broken_off {
        tell(&format!("  · {}: not judged: {}", one.run, one.end.why));
    }
    let seeds: Vec<u64> = runs.ended.iter().map(|(_, one)| one.seed).collect::<BTreeSet<_>>().into_iter().collect();
    let Revision { commit, dirty, untold } = asked_of(root).await?;
    let label = label(commit.as_deref(), dirty.as_deref());
    let mut before = ground.epochs().await?;
    let (versions, mut absent) = ground.told();
    for name in is_down(&before)? {
        absent.push(format!("{name} was not running when this was collected"));
        before.remove(&name);
    }
    absent.extend(untold.iter().map(|why| provenance::of_unknown(why)));
    let (id, draft) = in_a_second_of_its_own(|now_ms| {
        let id = provenance::bundle_id(now_ms, commit.as_deref(), &seeds)?;
        Ok(Draft::begin(out, &id)?.map(|draft| (id, draft)))
    })
    .await?;
    draft.take(&tree)?;

    let (mut tries, mut disturbed, mut unfinished) = (Vec::new(), Vec::new(), BTreeMap::new());
    let (mut others, mut failures) = (BTreeSet::new(), Vec::new());
    for (index, (run, one)) in runs.ended.iter().enumerate() {
        tell(&format!("  · {}: collecting ({} of {})", one.scenario, index + 1, runs.ended.len()));
        let folder = draft.experiment(&one.run);
        let collected = async {
            collect::collect(ground, &tree, run, &folder).await?;
            Ok(Experiment::read(&folder)?)
        };
        match interrupt.or(collected).await {
            Ok(experiment) => {
                others.extend(experiment.built_from().filter(|built| *built != label));
                disturbed.push(!judge::disturbances(&experiment, &tree).is_empty());
                tries.push(one);
            }
            // One run that may not be read is no reason to lose the others.
            Err(failure) if failure.kind() == Kind::Infrastructure || failure.is_denied() => {
                tell(&format!("  ! {}: {failure}", one.run));
                // Half an experiment can't be judged, and the run itself lies where it lay.
                let _ = std::fs::remove_dir_all(&folder);
                unfinished.insert(one.run.clone(), failure.to_string());
                failures.push(failure);
            }
            Err(failure) => return Err(failure),
        }
    }
    if tries.is_empty() {
        return Err(failures.remove(0));
    }
    absent.extend(others.into_iter().map(|built| provenance::of_another_revision(&built, &label)));
    let (names, superseded) = names(&tries, &disturbed);
    for (one, name) in tries.iter().zip(&names) {
        std::fs::rename(draft.experiment(&one.run), draft.experiment(name)).context("cannot name an experiment")?;
    }
    let after = ground.epochs().await?;
    let changed = before.iter().filter(|(name, epoch)| after.get(*name) != Some(*epoch)).map(|(name, _)| name);
    for name in changed {
        if may_lack(name) {
            absent.push(format!("{name} was restarted or died while this was collected"));
            continue;
        }
        return Err(Failure::infrastructure(format!("{name} died or was restarted while evidence was collected"))
            .remedy("see `just logs`; run `just traffic` and `just evidence` again"));
    }

    let provenance = Provenance {
        schema: SCHEMA,
        id,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        program: provenance::program(),
        revision: commit,
        dirty,
        flake_lock_sha256: provenance::flake_lock(root)?,
        mode: match ground {
            Ground::Ours(_) => Mode::Attached,
            Ground::Theirs(_) => Mode::Foreign,
        },
        seeds,
        speed: ground.speed(),
        began_ms: read_run(&runs.ended[0].0)?.quiet_ms,
        ended_ms: now_ms(),
        versions,
        image: None,
        machine: provenance::machine(),
        superseded,
        unfinished,
        broken_off: runs.broken_off,
        absent,
    };
    aiclipx_judge::mutants::outcome::take(out, draft.folder(), &provenance)?;
    publish(draft, &provenance, &ground.secrets()?, interrupt).await
}

/// Whether a stack may do without a process of this name.
fn may_lack(name: &str) -> bool {
    Component::ALL.into_iter().any(|one| one.name() == name && one.is_optional())
}

/// The processes that do not run, of those that a stack may do without; one of the others ends it before anything is asked.
fn is_down(epochs: &BTreeMap<String, Epoch>) -> Result<Vec<String>, Failure> {
    let down = epochs.iter().filter(|(_, epoch)| epoch.pid.is_none()).map(|(name, _)| name.clone());
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

fn runs_of(ground: Ground<'_>) -> anyhow::Result<Runs> {
    let started_ms = ground.started_ms()?;
    let (mut ended, mut broken_off) = (Vec::new(), Vec::new());
    for folder in files_in(&ground.state().join(RUNS), "")? {
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
    let broken_off = not_ended(broken_off, goes_on(ground.state()));
    Ok(Runs { ended: ended.into_iter().map(|(_, folder, one)| (folder, one)).collect(), broken_off })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let epoch = |pid| Epoch { pid, started_ms: pid.map(u64::from) };
        let stack = |down: &[&str]| -> BTreeMap<String, Epoch> {
            let names = ["app", "prometheus", "alertmanager", "receiver", "vector", "loki", "viewer"];
            names.map(|name| (name.to_owned(), epoch((!down.contains(&name)).then_some(7)))).into()
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

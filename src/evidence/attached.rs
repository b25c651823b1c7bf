//! Evidence of what the user ran: every run on the stack that is up, ours or somebody else's, collected, judged, sealed.
//!
//! As on private stacks, a run that the machine disturbed is repeated once and both tries are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::bundle::{Bundle, Draft, Outcome};
use super::coherence::FIRST_TRY;
use super::enact::{self, Enactment};
use super::experiment::{Experiment, SCHEMA, files_in, read_run};
use super::ground::Ground;
use super::provenance::{self, Mode, Provenance, compact_utc, now_ms, revision};
use super::tree::Tree;
use super::twice::{Try, invalid, once_or_twice};
use super::{collect, judge};
use crate::failure::{Failure, tell};
use crate::interrupt::Interrupt;
use crate::traffic::ledger::{Head, Ledger};
use crate::traffic::send::Sent;

/// Lets a scenario happen on the stack that is up, and once more if the machine disturbed it.
///
/// What disturbed the last try is returned, in words; nothing for a run that can be judged. `ended` is told what each try
/// sent. Both leave a run, and [`collect`] puts the first aside.
pub async fn enact(
    what: Enactment<'_>,
    say: &dyn Fn(&str),
    ended: &dyn Fn(&Sent) -> Result<(), Failure>,
    interrupt: &Interrupt,
) -> Result<Vec<String>, Failure> {
    let enacted = once_or_twice(&what.scenario.name, async |_| {
        let enacted = enact::enact(what, say, interrupt).await?;
        ended(&enacted.sent)?;
        let found = interrupt.or(collect::disturbances(what.ground, what.tree, &enacted.folder)).await?;
        Ok(Try { disturbed: invalid(found.iter().cloned()), came: found })
    });
    enacted.await
}

/// Collects every run since the stack came up. Progress goes to stderr.
///
/// A component that dies or is restarted meanwhile ends it, exit 3: what was recorded could no longer be compared with
/// what runs.
pub async fn collect(
    root: &Path,
    ground: Ground<'_>,
    out: &Path,
    interrupt: &Interrupt,
) -> Result<(Bundle, Outcome), Failure> {
    let tree = Tree::read(root)?;
    let began_ms = now_ms();
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
    for run in &runs.broken_off {
        tell(&format!("  · {run}: broken off, not judged"));
    }
    let tries = runs.ended.iter().map(|run| Ledger::read(&run.join("ledger.jsonl")).map(Earlier::of));
    let tries = tries.collect::<Result<Vec<_>, _>>()?;
    let seeds: Vec<u64> = tries.iter().map(|one| one.seed).collect::<BTreeSet<_>>().into_iter().collect();
    let (commit, dirty) = revision(root);
    let id = provenance::bundle_id(began_ms, commit.as_deref(), &seeds)?;
    let draft = Draft::create(out, &id)?;
    tree.copy_to(&draft.folder().join("tree"))?;

    let before = ground.epochs().await?;
    let mut disturbed = Vec::new();
    for (run, one) in runs.ended.iter().zip(&tries) {
        tell(&format!("  · {}: collecting ({} of {})", one.scenario, disturbed.len() + 1, tries.len()));
        let folder = draft.experiment(&one.run);
        interrupt.or(collect::collect(ground, &tree, run, &folder)).await?;
        disturbed.push(!judge::disturbances(&Experiment::read(&folder)?, &tree).is_empty());
    }
    let (names, superseded) = names(&tries, &disturbed);
    for (one, name) in tries.iter().zip(&names) {
        std::fs::rename(draft.experiment(&one.run), draft.experiment(name)).context("cannot name an experiment")?;
    }
    let after = ground.epochs().await?;
    for (name, epoch) in &before {
        if epoch.pid.is_none() || after.get(name) != Some(epoch) {
            return Err(Failure::infrastructure(format!("{name} died or was restarted while evidence was collected"))
                .remedy("see `just logs`; run `just traffic` and `just evidence` again"));
        }
    }

    let (versions, absent) = ground.told();
    let provenance = Provenance {
        schema: SCHEMA,
        id,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        revision: commit,
        dirty,
        flake_lock_sha256: provenance::flake_lock(root)?,
        mode: match ground {
            Ground::Ours(_) => Mode::Attached,
            Ground::Theirs(_) => Mode::Foreign,
        },
        seeds,
        speed: ground.speed(),
        began_ms: read_run(&runs.ended[0])?.quiet_ms,
        ended_ms: now_ms(),
        versions,
        image: None,
        machine: provenance::machine(),
        superseded,
        unfinished: BTreeMap::new(),
        broken_off: runs.broken_off,
        absent,
    };
    super::mutants::outcome::take(out, draft.folder(), &provenance)?;
    draft.publish(&provenance, &ground.secrets()?, interrupt).await
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
fn names(tries: &[Earlier], disturbed: &[bool]) -> (Vec<String>, Vec<String>) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut repeated = BTreeSet::new();
    let (mut names, mut aside) = (Vec::new(), Vec::new());
    for (index, one) in tries.iter().enumerate() {
        let is_second = repeated.remove(&one.scenario);
        let count = counts.entry(&one.scenario).or_default();
        *count += usize::from(!is_second);
        let mut name = one.scenario.split_once('-').map_or(one.scenario.as_str(), |(_, name)| name).to_owned();
        if *count > 1 {
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

/// The runs since the stack came up, in order of time.
struct Runs {
    /// Folders of those that ended by themselves.
    ended: Vec<PathBuf>,
    /// Names of the others.
    broken_off: Vec<String>,
}

fn runs_of(ground: Ground<'_>) -> anyhow::Result<Runs> {
    let started_ms = ground.started_ms()?;
    let (mut ended, mut broken_off) = (Vec::new(), Vec::new());
    for folder in files_in(&ground.state().join("runs"), "")? {
        if folder.join("run.json").is_file() {
            let run = read_run(&folder)?;
            if run.quiet_ms >= started_ms {
                ended.push((run.quiet_ms, folder));
            }
        } else if folder.is_dir() {
            // Its name begins with the time, as `compact_utc` writes it: so they compare as texts.
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.as_str() >= compact_utc(started_ms)?.as_str() {
                broken_off.push(name);
            }
        }
    }
    ended.sort();
    Ok(Runs { ended: ended.into_iter().map(|(_, folder)| folder).collect(), broken_off })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let (names, aside) = names(&tries, &disturbed);
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
        ] {
            assert_eq!(named(runs), (expected.to_owned(), aside.to_owned()), "{runs:?}");
        }
        // Another seed, or another length, is another schedule, and not the same again.
        let others = [one("a", "short"), one("a", "long")];
        assert_eq!(names(&others, &[bad, sound]), (vec!["a".to_owned(), "a-2".to_owned()], vec![]));
    }
}

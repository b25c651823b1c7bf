//! Evidence of what the user ran: every run on the stack that is up, ours or somebody else's, collected, judged, sealed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::bundle::{Bundle, Draft, Outcome};
use super::collect;
use super::experiment::{SCHEMA, files_in, read_run};
use super::ground::Ground;
use super::provenance::{self, Mode, Provenance, compact_utc, now_ms, revision};
use super::tree::Tree;
use crate::failure::{Failure, tell};
use crate::interrupt::Interrupt;
use crate::traffic::ledger::Ledger;

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
    let mut seeds = Vec::new();
    for run in &runs.ended {
        seeds.push(Ledger::read(&run.join("ledger.jsonl"))?.head.seed);
    }
    seeds.sort_unstable();
    seeds.dedup();
    let (commit, dirty) = revision(root);
    let id = provenance::bundle_id(began_ms, commit.as_deref(), &seeds)?;
    let draft = Draft::create(out, &id)?;
    tree.copy_to(&draft.folder().join("tree"))?;

    let before = ground.epochs().await?;
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for run in &runs.ended {
        let scenario = read_run(run)?.scenario;
        let name = scenario.split_once('-').map_or(scenario.as_str(), |(_, name)| name).to_owned();
        let nth = names.entry(name.clone()).and_modify(|n| *n += 1).or_insert(1);
        let name = if *nth == 1 { name } else { format!("{name}-{nth}") };
        tell(&format!("  · {name}: collecting"));
        interrupt.or(collect::collect(ground, &tree, run, &draft.experiment(&name))).await?;
    }
    let after = ground.epochs().await?;
    for (name, epoch) in &before {
        if epoch.pid.is_none() || after.get(name) != Some(epoch) {
            return Err(Failure::infrastructure(format!("{name} died or was restarted while evidence was collected"))
                .remedy("see `aiclipx logs`; run `just traffic` and `just evidence` again"));
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
        superseded: Vec::new(),
        unfinished: BTreeMap::new(),
        broken_off: runs.broken_off,
        absent,
    };
    super::mutants::outcome::take(out, draft.folder(), &provenance)?;
    draft.publish(&provenance, &ground.secrets()?, interrupt).await
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

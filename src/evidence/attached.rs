//! Evidence of what the user ran: every run on the stack that is up, collected, judged, sealed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::bundle::{Bundle, Draft, Outcome};
use super::collect;
use super::experiment::{SCHEMA, files_in, read_run};
use super::provenance::{self, Mode, Provenance, compact_utc, now_ms, revision};
use super::tree::Tree;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::stack::Stack;
use crate::traffic::ledger::Ledger;

/// Collects every run since the stack came up. Progress goes to stderr.
///
/// A component that dies or is restarted meanwhile ends it, exit 3: what was recorded could no longer be compared with
/// what runs.
pub async fn collect(
    root: &Path,
    stack: &Stack,
    out: &Path,
    interrupt: &Interrupt,
) -> Result<(Bundle, Outcome), Failure> {
    let tree = Tree::read(root)?;
    let began_ms = now_ms();
    let runs = runs_of(stack)?;
    let Some(last) = runs.last() else {
        return Err(Failure::usage("nothing has run on this stack since it came up")
            .remedy("run `just traffic` first; evidence is about what ran"));
    };
    let seed = Ledger::read(&last.join("ledger.jsonl"))?.head.seed;
    let (commit, dirty) = revision(root);
    let short = commit.as_deref().map_or("norev", |commit| &commit[..commit.len().min(7)]);
    let id = format!("{}-{short}-s{seed}", compact_utc(began_ms)?);
    let draft = Draft::create(out, &id)?;
    tree.copy_to(&draft.folder().join("tree"))?;

    let before = stack.epochs().await?;
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for run in &runs {
        let scenario = read_run(run)?.scenario;
        let name = scenario.split_once('-').map_or(scenario.as_str(), |(_, name)| name).to_owned();
        let nth = names.entry(name.clone()).and_modify(|n| *n += 1).or_insert(1);
        let name = if *nth == 1 { name } else { format!("{name}-{nth}") };
        eprintln!("  · {name}: collecting");
        interrupt.or(collect::collect(stack, &tree, run, &draft.experiment(&name))).await?;
    }
    let after = stack.epochs().await?;
    for (name, epoch) in &before {
        if epoch.pid.is_none() || after.get(name) != Some(epoch) {
            return Err(Failure::infrastructure(format!("{name} died or was restarted while evidence was collected"))
                .remedy("see `aiclipx logs`; run `just traffic` and `just evidence` again"));
        }
    }

    let (versions, absent) = provenance::of_stack(stack);
    let provenance = Provenance {
        schema: SCHEMA,
        id,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        revision: commit,
        dirty,
        flake_lock_sha256: provenance::flake_lock(root)?,
        mode: Mode::Attached,
        seed,
        speed: stack.plan().speed,
        began_ms: read_run(&runs[0])?.quiet_ms,
        ended_ms: now_ms(),
        versions,
        image: None,
        machine: provenance::machine(),
        superseded: Vec::new(),
        absent,
    };
    draft.seal(&provenance, &stack.secrets()?)
}

/// The folders of the runs that ended by themselves since the stack came up, in order of time.
fn runs_of(stack: &Stack) -> anyhow::Result<Vec<PathBuf>> {
    let started: jiff::Timestamp = stack.started().parse().context("the time at which the stack came up")?;
    let mut runs = Vec::new();
    for folder in files_in(&stack.plan().state.join("runs"), "")? {
        if folder.join("run.json").is_file() {
            let run = read_run(&folder)?;
            if run.quiet_ms >= started.as_millisecond() {
                runs.push((run.quiet_ms, folder));
            }
        }
    }
    runs.sort();
    Ok(runs.into_iter().map(|(_, folder)| folder).collect())
}

//! `traffic merge`: one ledger of the parts that several generators left.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aiclipx_model::failure::{Failure, print, tell};
use aiclipx_model::traffic::merge::{self, Merged};
use aiclipx_runner::counted::amounts;
use aiclipx_runner::traffic::send::Limits;

use super::start::seconds;

/// Merges, says what came of it, and that a run which did not come to its end says nothing.
pub(super) fn merge(parts: &[PathBuf], out: &Path) -> Result<ExitCode, Failure> {
    let merged = merge::merge(parts, out)?;
    let spread = Duration::from_micros(merged.spread_us);
    if spread > Limits::default().max_lag {
        tell(&format!(
            "  ! phases are blurred by as much as the parts' starts are apart; --start-at gives them one start, and their clocks \
             must agree ({})",
            seconds(spread)
        ));
    }
    print(&line(&merged))?;
    did_end(&merged, out)?;
    Ok(ExitCode::SUCCESS)
}

/// `02-error-rate: 4 parts, 600 sent, …`.
fn line(merged: &Merged) -> String {
    let Merged { head, parts, totals, statuses, spread_us, late_us, .. } = merged;
    let late = late_us.map(|us| format!(", the last {} after --start-at", seconds(Duration::from_micros(us))));
    format!(
        "{}: {parts} parts, {}; started within {}{}; seed {}, speed {}, schedule {}",
        head.scenario,
        amounts(totals, statuses),
        seconds(Duration::from_micros(*spread_us)),
        late.unwrap_or_default(),
        head.seed,
        head.speed,
        head.schedule_sha256.get(..16).unwrap_or(&head.schedule_sha256),
    )
}

/// The ledger is there all the same: what was sent can still be held against counters.
fn did_end(merged: &Merged, out: &Path) -> Result<(), Failure> {
    let mut why: Vec<String> = merged.interrupted.iter().map(|shard| format!("part {shard}: interrupted")).collect();
    why.extend(merged.head.limited.as_ref().map(|limited| format!("GENERATOR_LIMITED: {limited}")));
    if why.is_empty() {
        return Ok(());
    }
    Err(Failure::infrastructure(format!("not all was sent, so the run is inconclusive: {}", why.join("; ")))
        .remedy(format!("{} says so, too; run all parts anew", out.display())))
}

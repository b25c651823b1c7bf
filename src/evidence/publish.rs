//! What ends a run: the draft is reported, printed and sealed; and how one begins in a second of its own.

use std::fs;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::bundle::{BROKEN_OFF, Bundle, Draft, Outcome};
use super::enact::STILL_AT_IT;
use super::experiment;
use super::provenance::{Provenance, now_ms};
use super::report::{PDF, pdf};
use crate::failure::{Failure, tell};
use crate::interrupt::Interrupt;

/// Reports, prints, seals: all that is done with a draft once everything is recorded. Progress goes to stderr.
pub async fn publish(
    draft: Draft,
    provenance: &Provenance,
    secrets: &[String],
    interrupt: &Interrupt,
) -> Result<(Bundle, Outcome), Failure> {
    for place in ["experiments", BROKEN_OFF] {
        for folder in experiment::files_in(&draft.folder().join(place), "")? {
            experiment::pack(&folder)?;
        }
    }
    let judging = Telling::of("judging");
    let outcome = draft.report(provenance)?;
    drop(judging);
    let _printing = Telling::of("printing the report");
    let print = async { Ok(pdf::print(draft.folder(), &provenance.id).await) };
    if let Err(why) = interrupt.or(print).await? {
        tell(&format!("  · no {}: {why}", PDF));
        // Half a print is none.
        let _ = fs::remove_file(draft.folder().join(PDF));
    }
    if interrupt.is_requested() {
        return Err(Failure::interrupted());
    }
    Ok((draft.seal(secrets)?, outcome))
}

/// Begins what is named by the second in which it begins; of two commands in the same one, the later waits for the next.
pub async fn in_a_second_of_its_own<T>(begin: impl Fn(i64) -> Result<Option<T>, Failure>) -> Result<T, Failure> {
    loop {
        let now = now_ms();
        if let Some(begun) = begin(now)? {
            return Ok(begun);
        }
        sleep(Duration::from_millis(1000 - now.rem_euclid(1000).unsigned_abs())).await;
    }
}

/// Says what is being done, and again every few seconds until it is dropped.
struct Telling(tokio::task::JoinHandle<()>);

impl Telling {
    fn of(what: &'static str) -> Telling {
        tell(&format!("  · {what}"));
        let began = Instant::now();
        Telling(tokio::spawn(async move {
            loop {
                sleep(STILL_AT_IT).await;
                tell(&format!("  · {what} ({} s)", began.elapsed().as_secs()));
            }
        }))
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

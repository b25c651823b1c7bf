//! What ends a run: the draft is reported, printed and sealed; and how one begins in a second of its own.

use std::fs;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::enact::STILL_AT_IT;
use crate::pdf;
use aiclipx_judge::bundle::{BROKEN_OFF, Bundle, Draft};
use aiclipx_judge::files;
use aiclipx_judge::outcome::Outcome;
use aiclipx_judge::provenance::{Provenance, now_ms};
use aiclipx_judge::report::PDF;
use aiclipx_model::failure::{Failure, tell};
use aiclipx_stack::interrupt::Interrupt;

/// Reports, prints, seals: all that is done with a draft once everything is recorded. Progress goes to stderr.
pub async fn publish(
    draft: Draft,
    provenance: &Provenance,
    secrets: &[String],
    interrupt: &Interrupt,
) -> Result<(Bundle, Outcome), Failure> {
    for place in ["experiments", BROKEN_OFF] {
        for folder in files::files_in(&draft.folder().join(place), "")? {
            files::pack(&folder)?;
        }
    }
    let judging = Telling::of("judging");
    let outcome = draft.report(provenance)?;
    drop(judging);
    let _printing = Telling::of("printing the report");
    let print = async { Ok(pdf::print(draft.folder(), &provenance.id).await) };
    if let Err(why) = interrupt.or(print).await? {
        tell(&format!("  · no {PDF}: {why}"));
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn of_two_that_begin_in_one_second_the_later_gets_a_name_of_its_own_and_nothing_is_overwritten() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("there")).unwrap();
        let being_written = Draft::begin(place.path(), "begun").unwrap().unwrap();
        for taken in ["there", "begun"] {
            let names = std::cell::RefCell::new(["free", taken].to_vec());
            let draft = in_a_second_of_its_own(|_| Draft::begin(place.path(), names.borrow_mut().pop().unwrap())).await;
            assert!(draft.unwrap().folder().ends_with("free.partial"), "{taken}");
        }
        assert_eq!(names(place.path()), ["begun.partial", "there"], "{:?}", being_written.folder());
    }
}

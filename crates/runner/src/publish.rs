//! What ends a run: the draft is reported, printed and sealed; and how one begins in a second of its own.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep};

use crate::events::{Event, Events, STILL_AT_IT};
use crate::pdf;
use crate::surroundings::now_ms;
use aiclipx_judge::artifacts::{BROKEN_OFF, EXPERIMENTS};
use aiclipx_judge::bundle::{Bundle, Draft};
use aiclipx_judge::files;
use aiclipx_judge::outcome::Outcome;
use aiclipx_judge::provenance::{self, Provenance};
use aiclipx_judge::report::PDF;
use aiclipx_judge::tree::Tree;
use aiclipx_model::failure::Failure;
use aiclipx_stack::interrupt::Interrupt;

/// Reports, prints, seals: all that is done with a draft once everything is recorded.
pub(super) async fn publish(
    draft: Draft,
    provenance: &Provenance,
    secrets: &[String],
    events: &Events,
    interrupt: &Interrupt,
) -> Result<(Bundle, Outcome), Failure> {
    let judging = Telling::of("judging", events);
    events.settle();
    let told = provenance.clone();
    let reported = tokio::task::spawn_blocking(move || {
        for place in [EXPERIMENTS, BROKEN_OFF] {
            for folder in files::files_in(&draft.folder().join(place), "")? {
                files::pack(&folder)?;
            }
        }
        let outcome = draft.report(&told)?;
        Ok::<_, Failure>((draft, outcome))
    });
    let (draft, outcome) = reported.await.context("judging")??;
    drop(judging);
    print(&draft, &provenance.id, events, interrupt).await?;
    let secrets = secrets.to_vec();
    let sealed = tokio::task::spawn_blocking(move || draft.seal(&secrets)).await.context("sealing")??;
    Ok((sealed, outcome))
}

/// Prints the report of a draft, where there is a browser.
pub(super) async fn print(draft: &Draft, title: &str, events: &Events, interrupt: &Interrupt) -> Result<(), Failure> {
    let printing = Telling::of("printing the report", events);
    let print = async { Ok(pdf::print(draft.folder(), title).await) };
    if let Err(why) = interrupt.or(print).await? {
        events.tell_all(Event::NotPrinted { why });
        // Half a print is none.
        let _ = fs::remove_file(draft.folder().join(PDF));
    }
    if interrupt.is_requested() {
        return Err(Failure::interrupted());
    }
    drop(printing);
    events.settle();
    Ok(())
}

/// Begins a bundle of this tree: when, its id, and its draft.
pub(super) async fn begun(
    out: &Path,
    commit: Option<&str>,
    seeds: &[u64],
    tree: &Tree,
) -> Result<(i64, String, Draft), Failure> {
    let (began_ms, id, draft) = in_a_second_of_its_own(|now_ms| {
        let id = provenance::bundle_id(now_ms, commit, seeds)?;
        Ok(Draft::begin(out, &id)?.map(|draft| (now_ms, id, draft)))
    })
    .await?;
    draft.take(tree)?;
    Ok((began_ms, id, draft))
}

/// Begins what is named by the second in which it begins; of two commands in the same one, the later waits for the next.
pub(super) async fn in_a_second_of_its_own<T>(begin: impl Fn(i64) -> Result<Option<T>, Failure>) -> Result<T, Failure> {
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
    fn of(work: &'static str, events: &Events) -> Telling {
        let events = events.clone();
        events.tell_all(Event::Concluding { work, seconds: None });
        let began = Instant::now();
        Telling(tokio::spawn(async move {
            loop {
                sleep(STILL_AT_IT).await;
                events.tell_all(Event::Concluding { work, seconds: Some(began.elapsed().as_secs()) });
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

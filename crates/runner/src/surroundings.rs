//! What a run has around it: the tree's revision, this program and machine, the clock, the browser.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

use crate::browser::Browser;
use crate::events::{Event, Events};
use aiclipx_base::duration::Speed;
use aiclipx_judge::provenance::{self, Mode, Provenance, of_unknown};
use aiclipx_judge::run::SCHEMA;
use aiclipx_model::revision::Revision;
use aiclipx_model::sum;

/// Now, in Unix milliseconds of the wall clock.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// The provenance of a bundle that is made here and now, of which nothing is told yet: what it was made of, and by whom.
pub(crate) fn provenance(
    root: &Path,
    id: String,
    mode: Mode,
    revision: &Revision,
    seeds: Vec<u64>,
    speed: Speed,
    began_ms: i64,
) -> anyhow::Result<Provenance> {
    let lock = root.join("flake.lock");
    Ok(Provenance {
        schema: SCHEMA,
        id,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        program: provenance::program(),
        revision: revision.commit.clone(),
        dirty: revision.dirty.clone(),
        flake_lock_sha256: if lock.exists() { Some(sum::of_file(&lock)?) } else { None },
        mode,
        seeds,
        speed,
        began_ms,
        ended_ms: now_ms(),
        versions: BTreeMap::new(),
        image: None,
        machine: machine(),
        superseded: Vec::new(),
        unfinished: BTreeMap::new(),
        broken_off: Vec::new(),
        absent: revision.untold.iter().map(|why| of_unknown(why)).collect(),
    })
}

/// `linux x86_64, 2 processors`.
pub(crate) fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{} {}, {processors} processors", std::env::consts::OS, std::env::consts::ARCH)
}

/// A tree's revision, asked off the task that others share. That git could not say it is told at once.
pub(super) async fn asked_of(tree: &Path, events: &Events) -> anyhow::Result<Revision> {
    let tree = tree.to_owned();
    let revision = tokio::task::spawn_blocking(move || Revision::of(&tree)).await.context("asking git")?;
    if let Some(why) = &revision.untold {
        events.tell_all(Event::Warning { why: of_unknown(why) });
    }
    Ok(revision)
}

/// Looks for the browser before anything is timed: it is started to say its version, once, and what lasts a second then makes
/// requests late that are sent on the same task.
pub(super) async fn look_for_a_browser() {
    let _ = tokio::task::spawn_blocking(Browser::find).await;
}

/// The browser that takes the pictures, if there is one: its name and version.
pub(super) fn browser() -> Option<(String, String)> {
    let mut words = Browser::says()?.split_whitespace();
    let version = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(("chromium".to_owned(), version.to_owned()))
}

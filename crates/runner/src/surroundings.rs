//! What a run has around it: the tree's revision, and the browser.

use std::path::Path;

use anyhow::Context;

use crate::browser::Browser;
use crate::events::{Event, Events};
use aiclipx_judge::provenance::of_unknown;
use aiclipx_model::revision::Revision;

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

//! Where a bundle comes from: revision, versions, seed, speed, machine. `run.json` at its top.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::bundle::{hex, sha256_of};
use crate::browser::Browser;
use crate::duration::Speed;
use crate::stack::plan::told_revision;

/// `run.json` of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Version of the bundle's layout.
    pub schema: u32,
    /// The bundle's name: `<UTC>-<revision>-s<seed>`, all seeds where there were several.
    pub id: String,
    /// Version of the tool that wrote it.
    pub tool: String,
    /// The commit: git's word, or `AICLIPX_REVISION`'s where there is no git; none without either.
    pub revision: Option<String>,
    /// SHA-256 of the uncommitted difference against it (untracked files by name and content), `unknown` where there was
    /// one and no git to tell it, or none if clean.
    pub dirty: Option<String>,
    /// SHA-256 of flake.lock, which pins every tool under Nix.
    pub flake_lock_sha256: Option<String>,
    /// How it was made.
    pub mode: Mode,
    /// What the schedules were computed from, each once.
    pub seeds: Vec<u64>,
    /// How much faster than production the stacks lived.
    pub speed: Speed,
    /// Unix milliseconds.
    pub began_ms: i64,
    /// Unix milliseconds.
    pub ended_ms: i64,
    /// Versions, as each component tells its own.
    pub versions: BTreeMap<String, String>,
    /// Digest of the service's image, where it ran from one.
    pub image: Option<String>,
    /// Operating system, architecture, processors.
    pub machine: String,
    /// Experiments that were invalid and repeated; kept, and not counted.
    pub superseded: Vec<String>,
    /// Experiments of which nothing could be recorded, twice, and why: the run says nothing of them.
    pub unfinished: BTreeMap<String, String>,
    /// Runs that were broken off by the user, and so are not judged.
    pub broken_off: Vec<String>,
    /// What the stack did not have, and what is not shown for it.
    pub absent: Vec<String>,
}

/// The name of a bundle of these seeds.
pub fn bundle_id(began_ms: i64, commit: Option<&str>, seeds: &[u64]) -> anyhow::Result<String> {
    let revision = commit.map_or("norev", |commit| &commit[..commit.len().min(7)]);
    let seeds: Vec<String> = seeds.iter().map(ToString::to_string).collect();
    Ok(format!("{}-{revision}-s{}", compact_utc(began_ms)?, seeds.join("-")))
}

/// The time in the name of a bundle, Unix milliseconds.
pub fn time_of_id(id: &str) -> Option<i64> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", id.split('-').next()?).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// How a bundle was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// From the runs on the stack that was up.
    Attached,
    /// Every experiment on a stack of its own.
    Private,
    /// From the runs on a stack that somebody else started.
    Foreign,
}

/// A tree's revision: the commit and, where it is dirty, a hash of what differs.
pub fn revision(tree: &Path) -> (Option<String>, Option<String>) {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(tree).args(arguments).output().ok()?;
        output.status.success().then_some(output.stdout)
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return without_git(told_revision().as_deref()) };
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    let difference = git(&["diff", "--binary", "HEAD"]).unwrap_or_default();
    let untracked = git(&["ls-files", "--others", "--exclude-standard", "-z"]).unwrap_or_default();
    if difference.is_empty() && untracked.is_empty() {
        return (Some(commit), None);
    }
    let mut hasher = Sha256::new();
    hasher.update(&difference);
    for name in untracked.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        hasher.update(name);
        let file = tree.join(String::from_utf8_lossy(name).as_ref());
        hasher.update(sha256_of(&file).unwrap_or_default());
    }
    (Some(commit), Some(hex(&hasher.finalize())))
}

/// Stands for the hash of a difference that nobody could see.
pub const UNTOLD: &str = "unknown";

/// The same of a tree that has no history, as whoever copied it tells it ([`label`]'s words). What it differed in nobody
/// can say any more, so that stands in the place of the hash.
fn without_git(told: Option<&str>) -> (Option<String>, Option<String>) {
    match told.map(|told| told.strip_suffix("-dirty").ok_or(told)) {
        Some(Ok(commit)) => (Some(commit.to_owned()), Some(UNTOLD.to_owned())),
        Some(Err(commit)) => (Some(commit.to_owned()), None),
        None => (None, None),
    }
}

/// A revision as the service says it: the commit, `-dirty` behind it when the tree differs; `unknown` without one.
pub fn label(commit: Option<&str>, dirty: Option<&str>) -> String {
    match (commit, dirty) {
        (None, _) => "unknown".to_owned(),
        (Some(commit), None) => commit.to_owned(),
        (Some(commit), Some(_)) => format!("{commit}-dirty"),
    }
}

/// SHA-256 of the tree's flake.lock, if it has one.
pub fn flake_lock(tree: &Path) -> anyhow::Result<Option<String>> {
    let file = tree.join("flake.lock");
    if file.exists() { sha256_of(&file).map(Some) } else { Ok(None) }
}

/// `linux x86_64, 2 processors`.
pub fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{} {}, {processors} processors", std::env::consts::OS, std::env::consts::ARCH)
}

/// Unix milliseconds as `20261124T033000Z`, for names of files and folders.
pub fn compact_utc(millis: i64) -> anyhow::Result<String> {
    let at = jiff::Timestamp::from_millisecond(millis).context("a time outside the calendar")?;
    Ok(at.strftime("%Y%m%dT%H%M%SZ").to_string())
}

/// Now, in Unix milliseconds of the wall clock.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// The browser that takes the pictures, if there is one: its name and version.
pub fn browser() -> Option<(String, String)> {
    let mut words = Browser::says()?.split_whitespace();
    let version = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(("chromium".to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_without_git_is_of_the_revision_that_is_told() {
        let of = |told: Option<&str>| {
            let (commit, dirty) = without_git(told);
            label(commit.as_deref(), dirty.as_deref())
        };
        for told in ["0123abc", "0123abc-dirty"] {
            assert_eq!(of(Some(told)), told, "the service says the same");
        }
        assert_eq!(of(None), "unknown");
        assert_eq!(without_git(Some("0123abc")), (Some("0123abc".to_owned()), None));
    }
}

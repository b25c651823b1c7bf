//! Where a bundle comes from: revision, versions, seed, speed, machine. `run.json` at its top.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use aiclipx_base::duration::Speed;
use aiclipx_model::sum;

/// `run.json` of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Version of the statement: of the layout, the claims, and how they are decided.
    pub schema: u32,
    /// The bundle's name: `<UTC>-<revision>-s<seed>`, all seeds where there were several.
    pub id: String,
    /// Version of the tool that judged and wrote it.
    pub tool: String,
    /// SHA-256 of that very program, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The commit: git's word, or `AICLIPX_REVISION`'s where there is no git; none without either.
    pub revision: Option<String>,
    /// SHA-256 of the uncommitted difference against it (untracked files by name and content), `unknown` where there was
    /// one and no git to tell it, or none if clean.
    pub dirty: Option<String>,
    /// SHA-256 of flake.lock, which pins every tool under Nix.
    pub flake_lock_sha256: Option<String>,
    pub mode: Mode,
    /// What the schedules were computed from, each once.
    pub seeds: Vec<u64>,
    /// How much faster than production the stacks lived.
    pub speed: Speed,
    pub began_ms: i64,
    pub ended_ms: i64,
    /// Versions, as each component reports its own.
    pub versions: BTreeMap<String, String>,
    /// Digest of the service's image, where it ran from one.
    pub image: Option<String>,
    /// Operating system, architecture, processors.
    pub machine: String,
    /// Experiments that were invalid and repeated; kept, and not counted.
    pub superseded: Vec<String>,
    /// Experiments of which nothing could be recorded, twice, and why.
    pub unfinished: BTreeMap<String, String>,
    /// Tries that did not come to their end, and so are not judged; in order of time.
    pub broken_off: Vec<BrokenOff>,
    /// What the stack did not have, and what is not shown for it.
    pub absent: Vec<String>,
}

/// A try that did not come to its end: a component died, the machine failed us, the user stopped it, or it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokenOff {
    /// The run's name; of a private stack the experiment's, with the number of the try.
    pub run: String,
    #[serde(flatten)]
    pub end: End,
}

/// What ended a try before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    pub why: String,
    /// Whether a component died unasked: no later try explains that.
    pub died: bool,
}

/// The name of a bundle of these seeds.
pub fn bundle_id(began_ms: i64, commit: Option<&str>, seeds: &[u64]) -> anyhow::Result<String> {
    let revision = commit.map_or("norev", |commit| &commit[..commit.len().min(7)]);
    let seeds: Vec<String> = seeds.iter().map(ToString::to_string).collect();
    Ok(format!("{}-{revision}-s{}", compact_utc(began_ms)?, seeds.join("-")))
}

/// The time in the name of a bundle, Unix milliseconds.
pub(crate) fn time_of_id(id: &str) -> Option<i64> {
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
    /// From the runs on a stack that somebody else started; bundles have called it so since the first.
    #[serde(rename = "foreign")]
    External,
}

/// That the revision, or what differs from it, is not known.
pub fn of_unknown(why: &str) -> String {
    format!("whether the tree is that of a commit is not known: {why}")
}

/// That the service that ran was built from another revision than the tree's.
pub fn of_another_revision(built: &str, tree: &str) -> String {
    format!("the service that ran says it is of {built}; the tree is {tree}")
}

/// SHA-256 of the program that runs now.
pub fn program() -> Option<String> {
    static PROGRAM: OnceLock<Option<String>> = OnceLock::new();
    // By its process: a file of that name may be a newer one.
    PROGRAM.get_or_init(|| sum::of_file(Path::new("/proc/self/exe")).ok()).clone()
}

/// Unix milliseconds as `20261124T033000Z`, for names of files and folders.
pub fn compact_utc(millis: i64) -> anyhow::Result<String> {
    let at = jiff::Timestamp::from_millisecond(millis).context("a time outside the calendar")?;
    Ok(at.strftime("%Y%m%dT%H%M%SZ").to_string())
}

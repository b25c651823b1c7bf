//! What came of the mutants: `mutants.json`, a table for people, an exit code.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::table::{Mutant, Table};
use crate::files::{files_in, read_json, write_json};
use crate::provenance::Provenance;
use aiclipx_base::duration::Speed;
use aiclipx_model::counted::share;
use aiclipx_model::revision::UNTOLD;

/// The layout of `mutants.json`.
pub const SCHEMA: u32 = 1;
pub const FILE: &str = "mutants.json";

/// One mutant with what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    pub id: String,
    pub breaks: String,
    /// What must find it: a claim's id, or a disturbance in words.
    pub found_by: String,
    /// The other claims that fail with it, by id. They say how loud it is; nothing rests on them.
    pub also_fail: Vec<String>,
    #[serde(flatten)]
    pub status: MutantStatus,
}

impl Tried {
    pub fn new(mutant: &Mutant, status: MutantStatus, also_fail: Vec<String>) -> Tried {
        let (id, breaks) = (mutant.id.clone(), mutant.breaks.clone());
        Tried { id, breaks, found_by: mutant.found_by.to_string(), also_fail, status }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    pub schema: u32,
    pub tool: String,
    /// The commit, or none outside a repository.
    pub revision: Option<String>,
    /// SHA-256 of the uncommitted difference against it, or none if clean.
    pub dirty: Option<String>,
    /// What the schedules were computed from.
    pub seed: u64,
    /// How much faster than production the stacks lived.
    pub speed: Speed,
    pub began_ms: i64,
    pub ended_ms: i64,
    /// Whether all mutants of the table were to be tried; some may have been left for want of a part.
    pub complete: bool,
    /// In the table's order.
    pub mutants: Vec<Tried>,
}

impl Outcome {
    /// Reads a `mutants.json`; another schema is an error.
    pub fn read(file: &Path) -> anyhow::Result<Outcome> {
        let outcome: Outcome = read_json(file)?;
        ensure!(outcome.schema == SCHEMA, "{} is of schema {}", file.display(), outcome.schema);
        Ok(outcome)
    }

    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        write_json(&folder.join(FILE), self)
    }

    /// How many have a status of this word.
    pub(crate) fn count(&self, word: &str) -> usize {
        self.mutants.iter().filter(|tried| tried.status.word() == word).count()
    }

    /// 1: one survived or did not apply; 3: a run is inconclusive, or nothing was tried; 0: all that could be tried are killed.
    pub fn exit_code(&self) -> u8 {
        if self.count("survived") + self.count("did not apply") > 0 {
            1
        } else if self.count("invalid") > 0 || self.count("killed") == 0 {
            3
        } else {
            0
        }
    }

    /// `20 of 22 mutants are killed, 1 survived, 1 not tried`.
    pub fn tally(&self) -> String {
        let mut text = share(self.count("killed"), self.mutants.len(), "mutant", ["is killed", "are killed"]);
        for word in ["survived", "did not apply", "invalid", "not tried"] {
            let count = self.count(word);
            if count > 0 {
                write!(text, ", {count} {word}").expect("writing to a String does not fail");
            }
        }
        text
    }

    /// A table for a terminal: two lines a mutant, and why where it is not killed.
    pub fn table(&self) -> String {
        let width =
            |of: fn(&Tried) -> &str| self.mutants.iter().map(|tried| of(tried).chars().count()).max().unwrap_or(0);
        let (ids, words) = (width(|tried| &tried.id), width(|tried| tried.status.word()));
        let line = |tried: &Tried| {
            let (sign, word) = (tried.status.sign(), tried.status.word());
            let why = match &tried.status {
                MutantStatus::Killed(_) => String::new(),
                other => format!("  {:ids$}  → {}\n", "", other.why()),
            };
            let (id, found_by, breaks) = (&tried.id, &tried.found_by, &tried.breaks);
            format!("{sign} {id:<ids$}  {word:<words$}  {found_by}\n  {:ids$}  {breaks}\n{why}", "")
        };
        self.mutants.iter().map(line).collect::<Vec<_>>().concat()
    }
}

/// Copies the newest outcome below a folder of runs into a bundle's: of all mutants, on the very tree the bundle is about.
/// Where there is none, or no commit to compare trees by, nothing is copied.
pub fn take(runs: &Path, bundle: &Path, provenance: &Provenance) -> anyhow::Result<()> {
    // Two trees with unknown changes may differ.
    if provenance.revision.is_none() || provenance.dirty.as_deref() == Some(UNTOLD) {
        return Ok(());
    }
    let mut newest: Option<Outcome> = None;
    for folder in files_in(runs, "")? {
        // What is no outcome, or of another version's, is none for us.
        let Ok(outcome) = Outcome::read(&folder.join(FILE)) else { continue };
        let is_of_it =
            outcome.complete && (&outcome.revision, &outcome.dirty) == (&provenance.revision, &provenance.dirty);
        // A bundle's copy is as old as what it was copied from.
        if is_of_it && newest.as_ref().is_none_or(|newest| newest.began_ms < outcome.began_ms) {
            newest = Some(outcome);
        }
    }
    match newest {
        Some(outcome) => outcome.write(bundle),
        None => Ok(()),
    }
}

/// A bundle's `mutants.json`, if it has one. It must be of the bundle's revision, and of all mutants of its tree.
pub(crate) fn of_bundle(bundle: &Path, provenance: &Provenance) -> anyhow::Result<Option<Outcome>> {
    let file = bundle.join(FILE);
    if !file.exists() {
        return Ok(None);
    }
    let outcome = Outcome::read(&file)?;
    ensure!(
        (&outcome.revision, &outcome.dirty) == (&provenance.revision, &provenance.dirty)
            && outcome.dirty.as_deref() != Some(UNTOLD),
        "{FILE} is of another revision than run.json"
    );
    let table = Table::read(&bundle.join("tree")).map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let told = outcome.mutants.iter().map(|tried| (&*tried.id, &*tried.breaks, tried.found_by.clone()));
    let known = table.mutants.iter().map(|mutant| (&*mutant.id, &*mutant.breaks, mutant.found_by.to_string()));
    ensure!(told.eq(known), "{FILE} tells of other mutants than those of the tree");
    Ok(Some(outcome))
}

/// What came of one mutant; `mutants.json` has called it `fate` since its first version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", content = "why", rename_all = "snake_case")]
pub enum MutantStatus {
    /// Its claim fails with it and holds without it; what the claim says.
    Killed(String),
    /// Nothing found it; what the claim says instead.
    Survived(String),
    /// Its text was not there exactly once, or what must find it does not exist.
    DidNotApply(String),
    /// The run is inconclusive, with it or without it.
    Invalid(String),
    /// Its claim is not proven without it, for want of a part of the stack; which, and why.
    NotTried(String),
}

impl MutantStatus {
    pub fn word(&self) -> &'static str {
        match self {
            MutantStatus::Killed(_) => "killed",
            MutantStatus::Survived(_) => "survived",
            MutantStatus::DidNotApply(_) => "did not apply",
            MutantStatus::Invalid(_) => "invalid",
            MutantStatus::NotTried(_) => "not tried",
        }
    }

    /// The same as a sign.
    pub(crate) fn sign(&self) -> &'static str {
        match self {
            MutantStatus::Killed(_) => "✓",
            MutantStatus::Survived(_) | MutantStatus::DidNotApply(_) => "✗",
            MutantStatus::Invalid(_) => "!",
            MutantStatus::NotTried(_) => "○",
        }
    }
    pub fn why(&self) -> &str {
        match self {
            MutantStatus::Killed(why)
            | MutantStatus::Survived(why)
            | MutantStatus::DidNotApply(why)
            | MutantStatus::Invalid(why)
            | MutantStatus::NotTried(why) => why,
        }
    }

    /// Why, short enough for a line or a table's cell: some claims list every series. Cut between words, and marked as cut.
    pub fn brief(&self) -> String {
        const LENGTH: usize = 200;
        let line = self.why().lines().next().unwrap_or_default();
        let mut kept = line;
        if let Some((end, _)) = line.char_indices().nth(LENGTH) {
            kept = &line[..end];
            if !line[end..].starts_with(' ') {
                kept = kept.rsplit_once(' ').map_or(kept, |(whole, _)| whole);
            }
        }
        if kept.len() < self.why().len() { format!("{} …", kept.trim_end()) } else { kept.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(statuses: &[MutantStatus]) -> Outcome {
        let tried = |(index, status): (usize, &MutantStatus)| Tried {
            id: format!("m{index}"),
            breaks: "Something.".to_owned(),
            found_by: "quiet/loaded".to_owned(),
            also_fail: Vec::new(),
            status: status.clone(),
        };
        Outcome {
            schema: SCHEMA,
            tool: "0".to_owned(),
            revision: None,
            dirty: None,
            seed: 42,
            speed: Speed::PRODUCTION,
            began_ms: 0,
            ended_ms: 1,
            complete: true,
            mutants: statuses.iter().enumerate().map(tried).collect(),
        }
    }

    #[test]
    fn only_all_killed_that_could_be_tried_is_success() {
        let why = || "why".to_owned();
        let (killed, survived) = (MutantStatus::Killed(why()), MutantStatus::Survived(why()));
        let (unapplied, invalid) = (MutantStatus::DidNotApply(why()), MutantStatus::Invalid(why()));
        let untried = MutantStatus::NotTried(why());
        for (statuses, code) in [
            (&[killed.clone(), killed.clone()][..], 0),
            (&[killed.clone(), survived.clone()], 1),
            (&[killed.clone(), unapplied], 1),
            (&[killed.clone(), invalid.clone()], 3),
            (&[untried.clone(), killed.clone()], 0),
            (&[untried.clone(), invalid.clone(), killed.clone()], 3),
            (&[untried.clone(), survived.clone()], 1),
            (&[invalid, survived, killed], 1),
            (&[untried], 3),
            (&[], 3),
        ] {
            assert_eq!(outcome(statuses).exit_code(), code, "{statuses:?}");
        }
    }

    #[test]
    fn it_reads_back_and_says_why_where_a_mutant_lives() {
        let folder = tempfile::tempdir().unwrap();
        let outcome =
            outcome(&[MutantStatus::Killed("found".to_owned()), MutantStatus::Survived("it holds".to_owned())]);
        outcome.write(folder.path()).unwrap();
        assert_eq!(Outcome::read(&folder.path().join(FILE)).unwrap(), outcome);
        assert_eq!(outcome.tally(), "1 of 2 mutants is killed, 1 survived");
        let table = outcome.table();
        assert!(table.contains("✗ m1  survived  quiet/loaded") && table.contains("→ it holds"), "{table}");
        assert!(!table.contains("found"), "{table}");
    }

    #[test]
    fn a_long_reason_is_cut_and_a_short_one_is_not() {
        assert_eq!(MutantStatus::Killed("ü".repeat(200)).brief(), "ü".repeat(200));
        assert_eq!(MutantStatus::Killed("ü".repeat(201)).brief(), format!("{} …", "ü".repeat(200)));
        assert_eq!(MutantStatus::Invalid("it ended\nits last lines".to_owned()).brief(), "it ended …");
        let words =
            |last: &str| MutantStatus::Killed(format!("{} {last} twelve", "word ".repeat(39).trim_end())).brief();
        assert_eq!(words("whole"), format!("{}whole …", "word ".repeat(39)));
        assert_eq!(words("halved"), format!("{}…", "word ".repeat(39)));
    }
}

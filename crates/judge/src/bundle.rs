//! A Draft is written, a Bundle is read: what was shown, sealed so that anyone can check it later, offline.
//!
//! What lies in it is in one table, [`artifacts`]; evidence/README.md says it for people.
//!
//! A draft is a folder `NAME.partial` beside the place of the bundle, flushed to disk and renamed last: whatever goes
//! wrong before leaves nothing that looks complete, and nothing that was recorded is lost with it. There is no verifying a
//! draft and no writing to a bundle: two types.
//!
//! Verifying trusts nothing stored: L0, integrity: nothing changed, missing, extra, and no links. L1, derivation: claims
//! are derived and judged again, by the version of the statement that the bundle is of, and compared; reports are written
//! again, and must be the same where this very program wrote them: another one may show the same otherwise. Hashes show that
//! nothing changed since the sealing; who sealed, and from which revision, is [`attest`](super::attest)'s to say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::artifacts::{self, BROKEN_OFF, EXPERIMENTS, OF_A_BUNDLE, PACKED};
use super::consistency;
use super::drill::layout;
use super::files::{self, json_text, read_json, read_text, write, write_json};
use super::judge::Judgement;
use super::outcome::Outcome;
use super::provenance::{self, Provenance};
use super::report;
use super::run;
use super::tree::Tree;
use aiclipx_model::failure::{self, Failure, tell};
use aiclipx_model::sum;

/// The file that names every other with its sum.
pub const SUMS: &str = "SHA256SUMS";

/// The signature of that file, where there is one, as `ssh-keygen -Y sign` names it: see `attest`.
pub const SIGNATURE: &str = "SHA256SUMS.sig";

/// What a draft's folder ends in.
pub const PARTIAL: &str = ".partial";

/// A bundle that is being written.
#[derive(Debug)]
pub struct Draft {
    folder: PathBuf,
    target: PathBuf,
    sealed: bool,
}

impl Draft {
    /// Begins a bundle that will be `parent/name`; none where that is taken, or begun: nothing is ever overwritten.
    pub fn begin(parent: &Path, name: &str) -> Result<Option<Draft>, Failure> {
        let (folder, target) = (parent.join(format!("{name}{PARTIAL}")), parent.join(name));
        if !made_in(parent, &folder)? {
            return Ok(None);
        }
        let draft = Draft { folder, target, sealed: false };
        // Looked for last: one that is begun, and sealed a moment ago, is there by now.
        Ok((!draft.target.exists()).then_some(draft))
    }

    /// Copies what the evidence is about. What no bundle can hold is refused now, not once all is recorded.
    pub fn take(&self, tree: &Tree) -> Result<(), Failure> {
        tree.copy_to(&self.folder.join("tree")).and_then(|()| remove_empty(&self.folder)).map_err(Failure::usage)?;
        list(&self.folder).map(drop).map_err(Failure::usage)
    }

    /// Where files are written.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of an experiment, not created.
    pub fn experiment(&self, name: &str) -> PathBuf {
        self.folder.join(EXPERIMENTS).join(name)
    }

    /// The folder of what is left of a try, not created.
    pub fn broken_off(&self, name: &str) -> PathBuf {
        self.folder.join(BROKEN_OFF).join(name)
    }

    /// Whether anything was recorded in it.
    pub(crate) fn holds_anything(&self) -> bool {
        let holds = |folder: &str| fs::read_dir(self.folder.join(folder)).is_ok_and(|mut found| found.next().is_some());
        holds(EXPERIMENTS) || holds(BROKEN_OFF) || holds(layout::SCENES)
    }

    /// Judges everything in the draft and writes the reports.
    pub fn report(&self, provenance: &Provenance) -> Result<Outcome, Failure> {
        write_json(&self.folder.join("run.json"), provenance)?;
        let outcome = Outcome::derive(&self.folder)?;
        consistency::check(&outcome)?;
        self.leave_out(&outcome)?;
        write_json(&self.folder.join("verdicts.json"), &outcome.judgements)?;
        let reports = report::write(&outcome)?;
        for (file, text) in &reports {
            write(&self.folder.join(file), text.as_bytes())?;
        }
        // What `verify` would refuse is not sealed either.
        let drawn = reports.into_iter().map(|(file, _)| file).collect();
        consistency::no_file_more(&outcome, &list(&self.folder)?, &drawn)?;
        Ok(outcome)
    }

    /// Removes what nothing asked for: an editor's copy in a run's folder is no reason to lose the run.
    fn leave_out(&self, outcome: &Outcome) -> anyhow::Result<()> {
        for (place, asked) in consistency::asked(outcome) {
            let folder = self.folder.join(&place);
            let name = folder.file_name().unwrap_or_default().display();
            for file in consistency::unasked(&asked, &folder)? {
                tell(&format!("  · {name}: {} is left out: nothing asked for it", file.display()));
                let path = folder.join(&file);
                let gone = if path.is_dir() && !path.is_symlink() {
                    fs::remove_dir_all(&path)
                } else {
                    fs::remove_file(&path)
                };
                gone.with_context(|| format!("cannot leave out {}", path.display()))?;
            }
        }
        remove_empty(&self.folder)
    }

    /// Writes the sums over a draft that is reported, and turns it into a bundle.
    ///
    /// `secrets` are texts that must not be in any file: one that is stops the sealing.
    pub fn seal(mut self, secrets: &[String]) -> Result<Bundle, Failure> {
        scan_for_secrets(&self.folder, secrets)?;
        files::within_bounds(list(&self.folder)?.iter().map(|file| self.folder.join(file)))?;
        let mut sums = String::new();
        for file in list(&self.folder)? {
            if !is_of_a_bundle(&file) {
                return Err(anyhow::anyhow!("{file} is no file of a bundle; nothing was sealed").into());
            }
            writeln!(sums, "{}  {file}", sum::of_file(&self.folder.join(&file))?).context("writing sums")?;
        }
        write(&self.folder.join(SUMS), sums.as_bytes())?;
        flush(&self.folder)?;
        fs::rename(&self.folder, &self.target)
            .with_context(|| format!("cannot rename {} to {}", self.folder.display(), self.target.display()))?;
        self.sealed = true;
        if let Some(parent) = self.target.parent() {
            File::open(parent).and_then(|folder| folder.sync_all()).context("cannot flush the evidence folder")?;
        }
        Ok(Bundle { folder: self.target.clone() })
    }
}

/// Makes the folder of an outcome in the one it goes to, which may not be there yet; false where something has that name.
pub fn made_in(parent: &Path, folder: &Path) -> Result<bool, Failure> {
    let unwritable = |what: &dyn std::fmt::Display, path: &Path| {
        Failure::usage(format!("cannot write evidence to {}: {what}", path.display()))
            .remedy("choose another folder with --out DIR")
    };
    if let Some(file) = parent.ancestors().find(|above| above.exists()).filter(|above| !above.is_dir()) {
        return Err(unwritable(&format!("{} is no folder", file.display()), parent));
    }
    fs::create_dir_all(parent).map_err(|error| unwritable(&error, parent))?;
    match fs::create_dir(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(unwritable(&error, folder)),
    }
}

/// What was not sealed is no evidence, and its name says so; but what was recorded in minutes is not thrown away.
impl Drop for Draft {
    fn drop(&mut self) {
        if self.sealed {
            return;
        }
        if self.holds_anything() {
            tell(&format!("  · not sealed; what was recorded stays in {}", self.folder.display()));
        } else {
            // Nothing can be done about a folder that does not go.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// A sealed bundle.
#[derive(Debug)]
pub struct Bundle {
    folder: PathBuf,
}

impl Bundle {
    /// A folder that says it is a bundle.
    pub fn open(folder: &Path) -> Result<Bundle, Failure> {
        let look = |path: &Path| match fs::metadata(path) {
            Ok(there) => Ok(Some(there)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(anyhow::Error::new(error).context(format!("cannot read {}", path.display()))),
        };
        let seen = || match look(folder)? {
            None => Ok(Some("there is nothing there".to_owned())),
            Some(is) if !is.is_dir() => Ok(Some("it is a file".to_owned())),
            Some(_) => {
                let has_sums = look(&folder.join(SUMS))?.is_some_and(|is| is.is_file());
                Ok((!has_sums).then(|| format!("it has no {SUMS}")))
            }
        };
        let why = match seen() {
            Ok(None) => return Ok(Bundle { folder: folder.to_owned() }),
            Ok(Some(why)) => why,
            Err(error) if failure::is_of_the_system(&error) => return Err(error.into()),
            Err(error) => format!("{error:#}"),
        };
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let is_packed =
            [".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".zip"].iter().any(|end| name.ends_with(end));
        let remedy = if is_packed && folder.is_file() {
            "unpack it first, and name the folder that was in it"
        } else {
            "a bundle is the folder whose path `just evidence` prints last"
        };
        Err(Failure::usage(format!("{} is no bundle: {why}", folder.display())).remedy(remedy))
    }

    /// The bundle's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every file but the sums and their signature, as `a/b`, sorted.
    pub fn files(&self) -> anyhow::Result<Vec<String>> {
        list(&self.folder)
    }

    /// L0 and L1. An error means that the bundle can't be trusted, and why; a usage failure, that this tool can't judge it, or
    /// that this user may not read it; an infrastructure failure, that it could not be read.
    pub fn verify(&self) -> Result<Outcome, Failure> {
        self.integrity().map_err(|error| self.refused(error, "L0, integrity"))?;
        self.is_judged_here()?;
        self.derivation().map_err(|error| match self.refused(error, "L1, derivation") {
            failure if failure.kind() == failure::Kind::InvalidBundle => {
                failure.remedy("if another revision of this tool made it, verify it with that one")
            }
            failure => failure,
        })
    }

    /// What keeps it from being trusted, and on which level; or from being read.
    pub(crate) fn refused(&self, error: anyhow::Error, level: &'static str) -> Failure {
        if failure::is_of_the_system(&error) {
            return Failure::from(error).context(format!("{} was not verified", self.folder.display()));
        }
        Failure::invalid_bundle(error.context(level).context(format!("{} can't be trusted", self.folder.display())))
    }

    /// Whether its statement is of a version that can be judged here. What says nothing of a version is no statement.
    fn is_judged_here(&self) -> Result<(), Failure> {
        let told = read_json::<serde_json::Value>(&self.folder.join("run.json")).unwrap_or_default();
        match told["schema"].as_u64().map(u32::try_from) {
            Some(schema) if !schema.is_ok_and(run::is_judged) => {
                let (oldest, newest) = (run::OLDEST, run::SCHEMA);
                let what = format!(
                    "{} makes a statement of version {}, and this tool judges by versions {oldest} to {newest}; L0, integrity, \
                     holds",
                    self.folder.display(),
                    told["schema"]
                );
                let by = told["tool"].as_str().unwrap_or("another");
                Err(Failure::usage(what).remedy(format!("verify it with the tool that made it, {by}, or a later one")))
            }
            _ => Ok(()),
        }
    }

    /// L0: every file is as its sum says, none is missing, none is more.
    pub(crate) fn integrity(&self) -> anyhow::Result<()> {
        let mut stored = BTreeMap::new();
        for (index, line) in read_text(&self.folder.join(SUMS))?.lines().enumerate() {
            let (sum, file) =
                line.split_once("  ").with_context(|| format!("{SUMS}:{}: not `sum  file`", index + 1))?;
            let plain = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
            ensure!(plain, "{SUMS}:{}: {file} is not a plain path below the bundle", index + 1);
            ensure!(stored.insert(file.to_owned(), sum.to_owned()).is_none(), "{SUMS} names {file} twice");
        }
        let found = list(&self.folder)?;
        for file in &found {
            let Some(sum) = stored.remove(file) else { bail!("{file} is in the bundle but not in {SUMS}") };
            ensure!(sum::of_file(&self.folder.join(file))? == sum, "{file} has changed since the bundle was sealed");
            ensure!(is_of_a_bundle(file), "{file} is no file of a bundle");
            // Only one of the two would be read.
            let twice = file.strip_suffix(PACKED).is_some_and(|plain| found.iter().any(|other| other == plain));
            ensure!(!twice, "{file} is there unpacked as well");
        }
        if let Some((file, _)) = stored.pop_first() {
            bail!("{file} is missing");
        }
        // Behind the sums: what was changed is that first, and not a packed file that can't be unpacked.
        files::within_bounds(found.iter().map(|file| self.folder.join(file)))?;
        Ok(())
    }

    fn derivation(&self) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::derive(&self.folder).map_err(Failure::into_chain)?;
        consistency::check(&outcome)?;
        let text = read_text(&self.folder.join("verdicts.json"))?;
        let stored: Vec<Judgement> = serde_json::from_str(&text).context("verdicts.json")?;
        for derived in &outcome.judgements {
            let id = &derived.claim.id;
            let Some(told) = stored.iter().find(|told| told.claim.id == *id) else {
                bail!("the claim {id} was removed from verdicts.json");
            };
            ensure!(told == derived, "{id}: {}", difference(told, derived)?);
        }
        ensure!(stored.len() == outcome.judgements.len(), "verdicts.json holds claims that nothing gives rise to");
        ensure!(text == json_text(&outcome.judgements)?, "verdicts.json says more than the artifacts give rise to");
        let reports = report::write(&outcome)?;
        let mut drawn = BTreeSet::new();
        for (file, text) in reports {
            let path = self.folder.join(&file);
            match read_text(&path) {
                Ok(stored) if stored == text => {}
                Err(_) if fs::symlink_metadata(&path).is_err_and(|error| error.kind() == ErrorKind::NotFound) => {
                    outcome.lacking.push(file.clone());
                }
                Err(error) if failure::is_of_the_system(&error) => return Err(error),
                _ => outcome.others.push(file.clone()),
            }
            drawn.insert(file);
        }
        let files = list(&self.folder)?;
        if !outcome.others.is_empty() || !outcome.lacking.is_empty() {
            let told = &outcome.provenance.program;
            let is_by_us = told.is_some() && *told == provenance::program();
            let (other, lacking) = (outcome.others.first(), outcome.lacking.first());
            if let Some(file) = lacking.filter(|_| is_by_us) {
                bail!("{file}, which the tool that made it writes, is not in the bundle");
            }
            if let Some(file) = other.filter(|_| is_by_us) {
                bail!("{file} does not say what the artifacts say");
            }
            // Another program may have drawn more.
            drawn.extend(files.iter().filter(|file| consistency::is_drawn(file)).cloned());
        }
        consistency::no_file_more(&outcome, &files, &drawn)?;
        Ok(outcome)
    }
}

/// In what two judgements of one claim differ, which they do.
fn difference(told: &Judgement, derived: &Judgement) -> anyhow::Result<String> {
    if told.verdict.word() != derived.verdict.word() {
        let (told, (is, why)) = (told.verdict.word(), (derived.verdict.word(), derived.verdict.why()));
        return Ok(format!("verdicts.json says {told}, the artifacts say {is} ({}) {why}", derived.observed));
    }
    let (told, derived) = (serde_json::to_value(told)?, serde_json::to_value(derived)?);
    let keys = derived.as_object().into_iter().chain(told.as_object()).flat_map(serde_json::Map::keys);
    let differs = keys.into_iter().find(|key| told.get(key) != derived.get(key)).context("they differ in nothing")?;
    let of = |judgement: &serde_json::Value| judgement.get(differs).map_or("nothing".to_owned(), ToString::to_string);
    Ok(format!("as `{differs}` verdicts.json says {}, and the artifacts say {}", of(&told), of(&derived)))
}

/// Whether the layout has a place for a file.
fn is_of_a_bundle(file: &str) -> bool {
    let packed = file.strip_suffix(PACKED);
    let plain = packed.unwrap_or(file);
    if layout::is_of_a_drill(plain, packed.is_some()) {
        return true;
    }
    match plain.splitn(3, '/').collect::<Vec<_>>()[..] {
        [EXPERIMENTS | BROKEN_OFF, _, place] => {
            artifacts::of(place).is_some_and(|artifact| artifact.packed || packed.is_none())
        }
        _ if packed.is_some() => false,
        ["tree", ..] => super::tree::FOLDERS.iter().any(|folder| file.starts_with(&format!("tree/{folder}/"))),
        [name] => OF_A_BUNDLE.contains(&name),
        _ => false,
    }
}

/// Every file below a folder but the sums and their signature, as `a/b`, sorted by bytes. A link, or anything else, is an error.
fn list(folder: &Path) -> anyhow::Result<Vec<String>> {
    fn walk(root: &Path, folder: &Path, files: &mut Vec<String>) -> anyhow::Result<()> {
        let mut empty = true;
        for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
            empty = false;
            let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
            let path = entry.path();
            let kind = entry.file_type().with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.strip_prefix(root).context("outside the folder")?;
            let name = name.to_str().with_context(|| format!("{} is not UTF-8", name.display()))?.to_owned();
            ensure!(!name.contains(['\n', '\\']), "{name:?} is no name for a file of a bundle");
            if kind.is_dir() {
                walk(root, &path, files)?;
            } else {
                ensure!(kind.is_file(), "{name} is not a regular file");
                if name != SUMS && name != SIGNATURE {
                    files.push(name);
                }
            }
        }
        ensure!(!empty, "{} is an empty folder", folder.strip_prefix(root).unwrap_or(folder).display());
        Ok(())
    }
    let mut files = Vec::new();
    walk(folder, folder, &mut files)?;
    files.sort();
    Ok(files)
}

/// Removes the folders below one in which nothing lies.
fn remove_empty(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path())?;
            // One that is not empty stays.
            let _ = fs::remove_dir(entry.path());
        }
    }
    Ok(())
}

fn scan_for_secrets(folder: &Path, secrets: &[String]) -> anyhow::Result<()> {
    for file in list(folder)? {
        // Packed, a secret would not be recognised.
        let bytes = files::read_bytes(&folder.join(file.strip_suffix(PACKED).unwrap_or(&file)))?;
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            ensure!(!found, "{file} holds a secret of the stack; nothing was sealed");
        }
    }
    Ok(())
}

/// Flushes files, then the folders that name them.
fn flush(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        if path.is_dir() {
            flush(&path)?;
        } else {
            File::open(&path)
                .and_then(|file| file.sync_all())
                .with_context(|| format!("cannot flush {}", path.display()))?;
        }
    }
    File::open(folder).and_then(|file| file.sync_all()).with_context(|| format!("cannot flush {}", folder.display()))
}

//! A tree's revision: one notion of it for the service that is started, the bundle and the mutants.
//!
//! git is asked for what is there and nothing else: neither the environment of a hook, nor the user's programs for showing
//! differences, may answer in its place. Where git fails, that is reported: a tree that could not be looked at is not called clean.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::files;
use crate::sum::{self, Sum};

/// Stands for the hash of a difference that could not be read.
pub const UNTOLD: &str = "unknown";

/// What a tree is a copy of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revision {
    /// The commit: git's word, or `AICLIPX_REVISION`'s where git has none.
    pub commit: Option<String>,
    /// SHA-256 of the uncommitted difference against it (untracked files by name and content), [`UNTOLD`] where it
    /// could not be read, or none if the tree is clean.
    pub dirty: Option<String>,
    /// Why git could not say it, where there is a repository.
    pub untold: Option<String>,
}

impl Revision {
    /// Asks git about a tree; blocks while it looks.
    pub fn of(tree: &Path) -> Revision {
        let commit = match said(tree, &["rev-parse", "--verify", "HEAD"]) {
            Ok(commit) => String::from_utf8_lossy(&commit).trim().to_owned(),
            Err(why) => return Revision::without_git(told_revision().as_deref(), why),
        };
        match difference(tree) {
            Ok(dirty) => Revision { commit: Some(commit), dirty, untold: None },
            Err(why) => Revision { commit: Some(commit), dirty: Some(UNTOLD.to_owned()), untold: Some(why) },
        }
    }

    /// The same of a tree without history, from what its copier says ([`label`]'s words). In what it differed is not known any more.
    fn without_git(told: Option<&str>, why: String) -> Revision {
        match told.map(|told| told.strip_suffix("-dirty").ok_or(told)) {
            Some(Ok(commit)) => {
                Revision { commit: Some(commit.to_owned()), dirty: Some(UNTOLD.to_owned()), untold: None }
            }
            Some(Err(commit)) => Revision { commit: Some(commit.to_owned()), dirty: None, untold: None },
            None => Revision { untold: Some(why).filter(|why| !why.is_empty()), ..Revision::default() },
        }
    }

    /// As the service says it.
    pub fn label(&self) -> String {
        label(self.commit.as_deref(), self.dirty.as_deref())
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

/// SHA-256 of what is not committed; none where all is. The error names what can't be read.
fn difference(tree: &Path) -> Result<Option<String>, String> {
    let mut sum = Sum::new();
    let shown = ["diff", "--no-ext-diff", "--no-textconv", "--no-color", "--no-relative", "--binary", "HEAD"];
    let changed = answered(tree, &shown, &mut sum)?;
    let untracked = said(tree, &["ls-files", "--others", "--exclude-standard", "-z"])?;
    if changed == 0 && untracked.is_empty() {
        return Ok(None);
    }
    add_files(&mut sum, tree, &untracked)?;
    Ok(Some(sum.hex()))
}

/// Files by name and content, as git lists them: each name with a NUL behind it.
fn add_files(sum: &mut Sum, tree: &Path, names: &[u8]) -> Result<(), String> {
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        sum.add(name);
        let file = tree.join(OsStr::from_bytes(name));
        if let Some(content) = content_of(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))? {
            sum.add(content.as_bytes());
        }
    }
    Ok(())
}

/// The sum of a regular file; none of what git saw there and is gone, and none of a link, which counts by its name: what it
/// leads to may have no end.
fn content_of(file: &Path) -> io::Result<Option<String>> {
    match file.symlink_metadata() {
        Ok(there) if there.is_file() => sum::of(&mut files::open(file)?).map(Some),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// git in a folder, as everybody asks it here.
pub fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    // A hook's variables name another repository; its configuration may name programs of any kind.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_")) {
        git.env_remove(name);
    }
    git.env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C").stdin(Stdio::null());
    git.args(["-c", "core.fsmonitor=false", "-C"]).arg(folder);
    git
}

/// What git answers; else why not, in one line, which is empty where there is no repository.
fn said(tree: &Path, arguments: &[&str]) -> Result<Vec<u8>, String> {
    let mut answer = Vec::new();
    answered(tree, arguments, &mut answer).map(|_| answer)
}

/// The same, handed on as it comes, for it may be long; its length.
fn answered(tree: &Path, arguments: &[&str], to: &mut impl Write) -> Result<u64, String> {
    let mut git = match git(tree).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
        Ok(git) => git,
        Err(error) if tree.join(".git").exists() => return Err(format!("git can't be asked: {error}")),
        Err(_) => return Err(String::new()),
    };
    let (mut answer, mut complaints) =
        (git.stdout.take().expect("it is piped"), git.stderr.take().expect("it is piped"));
    // Meanwhile: who is not listened to waits.
    let complaints = std::thread::spawn(move || {
        let mut said = Vec::new();
        let _ = complaints.read_to_end(&mut said);
        String::from_utf8_lossy(&said).trim().to_owned()
    });
    let length = io::copy(&mut answer, to);
    drop(answer);
    let status = git.wait();
    let said = complaints.join().unwrap_or_default();
    if said.contains("not a git repository") {
        return Err(String::new());
    }
    // It goes on without what it may not look at, and calls that a success.
    let unseen = said.lines().find(|line| line.contains("could not open directory"));
    let why = match (length, status, unseen) {
        (Ok(length), Ok(status), None) if status.success() => return Ok(length),
        (Err(error), ..) | (_, Err(error), _) => error.to_string(),
        (.., Some(unseen)) => unseen.to_owned(),
        _ => said.lines().next().unwrap_or("it failed without a word").to_owned(),
    };
    Err(format!("git {}: {why}", arguments[0]))
}

/// Says what commit the tree is of, `-dirty` behind it, where no git can: what Nix copies has no history.
pub(crate) const REVISION_VARIABLE: &str = "AICLIPX_REVISION";

/// What [`REVISION_VARIABLE`] says, for who has asked git in vain.
pub(crate) fn told_revision() -> Option<String> {
    std::env::var(REVISION_VARIABLE).ok().filter(|revision| !revision.is_empty() && revision != "unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_without_git_is_of_the_revision_that_is_told() {
        let of = |told: Option<&str>| Revision::without_git(told, String::new());
        for told in ["0123abc", "0123abc-dirty"] {
            assert_eq!(of(Some(told)).label(), told, "the service says the same");
        }
        assert_eq!(of(None), Revision::default());
        assert_eq!(of(None).label(), "unknown");
        assert_eq!(of(Some("0123abc")).dirty, None);
        assert_eq!(Revision::without_git(None, "why".to_owned()).untold.as_deref(), Some("why"));
    }

    /// A repository with one commit.
    fn repository() -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("file"), "one\n").unwrap();
        let author = ["-c", "user.name=A Tester", "-c", "user.email=tester@localhost"];
        said(place.path(), &["init", "--quiet"]).unwrap();
        said(place.path(), &["add", "file"]).unwrap();
        let mut commit = author.to_vec();
        commit.extend(["-c", "commit.gpgsign=false", "commit", "--quiet", "--no-verify", "-m", "One"]);
        said(place.path(), &commit).unwrap();
        place
    }

    #[test]
    fn what_differs_is_told_whatever_the_user_shows_differences_with() {
        let place = repository();
        let of = || Revision::of(place.path());
        let clean = of();
        assert_eq!((clean.dirty.as_deref(), clean.untold.as_deref()), (None, None));
        assert_eq!(clean.commit.as_deref().map(str::len), Some(40));
        said(place.path(), &["config", "diff.external", "/nonexistent/difft"]).unwrap();
        said(place.path(), &["config", "core.fsmonitor", "/nonexistent/monitor"]).unwrap();
        assert_eq!(of(), clean);
        std::fs::write(place.path().join("file"), "two\n").unwrap();
        let changed = of();
        assert_eq!(changed.dirty.as_deref().map(str::len), Some(64), "{changed:?}");
        std::fs::write(place.path().join("file"), "one\n").unwrap();
        // What no commit holds is a difference, too; where it leads to is not read.
        std::os::unix::fs::symlink("/dev/zero", place.path().join("link")).unwrap();
        assert!(of().dirty.is_some_and(|dirty| Some(dirty) != changed.dirty));
        assert!(of().label().ends_with("-dirty"));
    }

    #[test]
    fn a_file_of_any_name_counts_by_what_it_holds() {
        let place = repository();
        let name = |bytes: &[u8]| place.path().join(OsStr::from_bytes(bytes));
        let mut seen = std::collections::BTreeSet::new();
        for (file, content) in [(&b"new"[..], "1"), (b"new", "2"), (b"\xff\n", "1"), (b"\xff\n", "2")] {
            std::fs::write(name(file), content).unwrap();
            let revision = Revision::of(place.path());
            assert_eq!(revision.untold, None);
            assert!(seen.insert(revision.dirty.unwrap()), "{file:?} {content}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_empty_file_but_named() {
        let place = repository();
        let added = |names: &str| add_files(&mut Sum::new(), place.path(), names.as_bytes());
        assert_eq!(added("gone\0file\0"), Ok(()));
        // Nor may root read these.
        for name in ["file/below", &"x".repeat(300)] {
            let why = added(&format!("file\0{name}\0")).unwrap_err();
            assert!(why.starts_with("cannot read ") && why.contains(name), "{why}");
        }
    }

    #[test]
    fn a_git_that_fails_is_told_and_never_clean() {
        let place = repository();
        let clean = Revision::of(place.path());
        std::fs::write(place.path().join(".git/index"), "no index").unwrap();
        let broken = Revision::of(place.path());
        assert_eq!((broken.commit, broken.dirty.as_deref()), (clean.commit, Some(UNTOLD)));
        assert!(broken.untold.as_deref().is_some_and(|why| why.starts_with("git diff: ")), "{:?}", broken.untold);
        std::fs::write(place.path().join(".git/HEAD"), "ref: refs/heads/nothing\n").unwrap();
        let unborn = Revision::of(place.path());
        assert_eq!((unborn.commit, unborn.dirty), (None, None));
        assert!(unborn.untold.is_some());
    }
}

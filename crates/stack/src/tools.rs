//! Programs of others: found on PATH and recognised by what `--version` says, not by their name.
//!
//! A name proves nothing (Debian's `loki` is a genetics program) and one program has several names (Debian's
//! Alertmanager is `prometheus-alertmanager`).

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Command;

/// A program that hangs on `--version` is not the one we look for.
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// A program we look for.
#[derive(Debug)]
pub struct Wanted {
    /// Its names, the usual one first.
    pub names: &'static [&'static str],
    /// What its `--version` says right before the version; empty when it says nothing but the version.
    pub marker: &'static str,
    /// What it was called before, where it was.
    pub elder: Option<Elder>,
    /// The command that brings it where there is Nix.
    pub nix: &'static str,
    /// The command that brings it on Debian, if one does.
    pub debian: Option<&'static str>,
}

/// An older program of the same use, which is taken where the newer one is not there.
#[derive(Debug)]
pub struct Elder {
    pub name: &'static str,
    /// What makes it tell its version.
    pub flag: &'static str,
    /// What it says right before it.
    pub marker: &'static str,
}

impl Wanted {
    /// Every name it goes by, with what makes it tell its version and what stands before it there.
    pub(super) fn spellings(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        let names = self.names.iter().map(|name| (*name, "--version", self.marker));
        names.chain(self.elder.iter().map(|elder| (elder.name, elder.flag, elder.marker)))
    }

    /// The commands that bring it, in one line.
    pub fn remedy(&self) -> String {
        match self.debian {
            Some(debian) => format!("`{}`, or on Debian `{debian}`", self.nix),
            None => format!("`{}`", self.nix),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Absolute.
    pub path: PathBuf,
    /// As it says itself: `2.42.0+ds`.
    pub version: String,
}

impl Tool {
    /// The first number of the version, 0 when it has none.
    pub fn major(&self) -> u32 {
        major(&self.version)
    }
}

/// The first number of a version, 0 when it has none.
pub(super) fn major(version: &str) -> u32 {
    version.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Looks along `path` (as in the environment) and asks each candidate what it is; the first that says the right thing.
pub(super) async fn find(wanted: &Wanted, path: &OsStr) -> Option<Tool> {
    for (name, flag, marker) in wanted.spellings() {
        for candidate in executables(name, path) {
            if let Some(version) = ask(&candidate, flag, marker).await {
                return Some(Tool { path: candidate, version });
            }
        }
    }
    None
}

/// Executable files of this name along `path`, in its order.
pub(super) fn executables(name: &str, path: &OsStr) -> Vec<PathBuf> {
    std::env::split_paths(path)
        .map(|folder| folder.join(name))
        .filter(|file| is_executable(file))
        .filter_map(|file| std::path::absolute(file).ok())
        .collect()
}

/// Whether this is a file that somebody may execute.
pub(super) fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// A helper's command: a Ctrl-C at the terminal goes to the whole foreground group, and a helper that died of it would
/// look like one that failed. So it has a group of its own, and dies when we stop waiting for it.
pub(super) fn helper(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    command
}

async fn ask(program: &Path, flag: &str, marker: &str) -> Option<String> {
    let output = helper(program).arg(flag).output();
    let output = tokio::time::timeout(VERSION_LIMIT, output).await.ok()?.ok()?;
    // Some print their version on standard error, as Go's flag package does.
    [output.stdout, output.stderr].iter().find_map(|text| version_in(&String::from_utf8_lossy(text), marker))
}

/// The version that follows `marker`; with an empty marker the whole text must be one.
fn version_in(text: &str, marker: &str) -> Option<String> {
    let rest = if marker.is_empty() { text.trim() } else { text.split_once(marker)?.1 };
    let version = if marker.is_empty() { rest } else { rest.split_whitespace().next()? };
    let is_version = version.starts_with(|c: char| c.is_ascii_digit())
        && version.contains('.')
        && version.chars().all(|c| c.is_ascii_alphanumeric() || ".+-~_".contains(c));
    is_version.then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executable;

    #[test]
    fn a_program_is_what_its_version_says() {
        let debian = "prometheus, version 2.42.0+ds (branch: debian/sid, revision: 2.42.0)\n  go version: go1.19.8";
        assert_eq!(version_in(debian, "prometheus, version "), Some("2.42.0+ds".to_owned()));
        assert_eq!(version_in("alertmanager, version 0.25.0 (…)", "prometheus, version "), None);
        let vector = "vector 0.55.0 (x86_64-unknown-linux-gnu 6a2c4ff 2026-04-20 12:00:00.000000000)";
        assert_eq!(version_in(vector, "vector "), Some("0.55.0".to_owned()));
        assert_eq!(version_in("vector graphics, version 2.0", "vector "), None);
        assert_eq!(version_in("4.3.0\n", ""), Some("4.3.0".to_owned()));
        for other in ["", "usage: supervisord [options]", "4.3.0 of something else", "four"] {
            assert_eq!(version_in(other, ""), None, "{other}");
        }
    }

    #[test]
    fn the_major_version_is_the_first_number() {
        assert_eq!((major("2.42.0+ds"), major("3.12.0"), major("")), (2, 3, 0));
    }

    #[tokio::test]
    async fn a_namesake_that_says_something_else_is_passed_over() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for (folder, says) in folders.iter().zip(["loki, a genetics program", "loki, version 3.7.7 (branch)"]) {
            let file = folder.path().join("loki");
            executable::script(&file, &format!("echo '{says}'\n"));
        }
        let path = std::env::join_paths(folders.iter().map(tempfile::TempDir::path)).unwrap();
        let wanted = Wanted { names: &["loki"], marker: "loki, version ", elder: None, nix: "", debian: None };
        let found = find(&wanted, &path).await;
        assert_eq!(found, Some(Tool { path: folders[1].path().join("loki"), version: "3.7.7".to_owned() }));
    }

    #[tokio::test]
    async fn an_older_program_is_asked_in_its_own_way_and_taken_where_the_newer_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let program = |name: &str, text: &str| {
            let file = folder.path().join(name);
            executable::script(&file, text);
            file
        };
        let elder = Elder { name: "grafana-server", flag: "-v", marker: "Version " };
        let wanted =
            Wanted { names: &["grafana"], marker: "grafana version ", elder: Some(elder), nix: "", debian: None };
        let says = "[ \"$1\" = -v ] && echo 'Version 7.5.17 (commit: 8eaa7acca5, branch: main)'";
        let old = program("grafana-server", says);
        let path = folder.path().as_os_str();
        assert_eq!(find(&wanted, path).await, Some(Tool { path: old, version: "7.5.17".to_owned() }));
        let new = program("grafana", "[ \"$1\" = --version ] && echo 'grafana version 13.0.7'");
        assert_eq!(find(&wanted, path).await, Some(Tool { path: new, version: "13.0.7".to_owned() }));
    }
}

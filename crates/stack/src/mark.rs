//! Whose a folder is. What lies in one is replaced and removed only where our mark says that we made it.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::Path;

use super::layout;
use aiclipx_model::failure::Failure;
use aiclipx_model::files;

/// What a folder of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A stack's state.
    State,
    /// A rendered copy of the configuration.
    Rendered,
}

/// The first line of a stack's supervisord.conf: a state directory older than the marks is known by it.
pub(super) const RENDERED_LINE: &str = "; Rendered from the component table at every start; edits are lost.";

impl Mark {
    /// The file that is the mark.
    pub const fn file(self) -> &'static str {
        match self {
            Mark::State => layout::STATE_MARK,
            Mark::Rendered => ".aiclipx-rendered",
        }
    }

    fn option(self) -> &'static str {
        match self {
            Mark::State => "--state or AICLIPX_STATE",
            Mark::Rendered => "--out",
        }
    }

    /// Makes a folder ours that is not there or empty; one that holds anything must be ours already. Usage failures mean that
    /// nothing was touched.
    pub fn claim(self, folder: &Path) -> Result<(), Failure> {
        let unusable = |error: std::io::Error| {
            Failure::usage(format!("the folder {} can't be used: {error}", folder.display()))
                .remedy(format!("choose another with {}", self.option()))
        };
        if !self.is_ours(folder) {
            match std::fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
                Ok(true) => {}
                Ok(false) => return Err(self.not_ours(folder)),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    std::fs::create_dir_all(folder).map_err(unusable)?;
                }
                Err(error) => return Err(unusable(error)),
            }
        }
        let made = std::fs::OpenOptions::new().write(true).create_new(true).open(folder.join(self.file()));
        match made
            .and_then(|mut mark| mark.write_all(b"aiclipx made this folder, and replaces and removes what is in it.\n"))
        {
            // Another command's, of this moment.
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(unusable(error)),
            _ => Ok(()),
        }
    }

    /// Whether the folder has the mark, or is the state directory of a version that made none.
    pub fn is_ours(self, folder: &Path) -> bool {
        let is_file = |name: &str| folder.join(name).symlink_metadata().is_ok_and(|there| there.is_file());
        is_file(self.file())
            || self == Mark::State
                && (has_our_configuration(folder) || has_our_record(folder) || has_only_locks(folder))
    }

    /// Says that a folder is somebody else's.
    pub fn not_ours(self, folder: &Path) -> Failure {
        let what = match self {
            Mark::State => "a stack's state directory",
            Mark::Rendered => "a rendered configuration",
        };
        let mark = folder.join(self.file());
        Failure::usage(format!("{} holds something else than {what}; nothing was touched", folder.display())).remedy(
            format!(
                "choose another with {}, one that is empty or not there; if it is ours, say so: touch '{}'",
                self.option(),
                mark.display()
            ),
        )
    }
}

fn has_our_configuration(folder: &Path) -> bool {
    let Ok(file) = files::open(&folder.join(layout::SUPERVISORD_CONF)) else { return false };
    BufReader::new(file).lines().next().is_some_and(|line| line.is_ok_and(|line| line == RENDERED_LINE))
}

fn has_our_record(folder: &Path) -> bool {
    let record = files::read(&folder.join(layout::RECORD)).unwrap_or_default();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap_or_default();
    record["socket_folder"].is_string() && record["supervisord"].is_object()
}

/// As a start leaves it that ended before it made anything.
fn has_only_locks(folder: &Path) -> bool {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten().peekable();
    entries.peek().is_some()
        && entries.all(|entry| {
            let is_lock = layout::LOCKS.iter().any(|name| entry.file_name() == *name);
            is_lock && entry.metadata().is_ok_and(|there| there.is_file() && there.len() == 0)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aiclipx_model::failure::Kind;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_is_ours_that_is_new_or_empty_or_was_ours() {
        let empty = folder(&[]);
        let new = empty.path().join("a/b");
        Mark::State.claim(&new).unwrap();
        assert!(Mark::State.is_ours(&new) && !Mark::Rendered.is_ours(&new));
        std::fs::write(new.join("more"), "").unwrap();
        Mark::State.claim(&new).unwrap();
        let configuration = format!("{RENDERED_LINE}\n[supervisord]\n");
        for older in [
            folder(&[("supervisord.conf", &configuration), ("data", "")]),
            folder(&[("stack.json", r#"{"socket_folder":"/tmp/x","supervisord":{},"more":1}"#), ("data", "")]),
            folder(&[("lock", ""), ("runs.lock", "")]),
        ] {
            Mark::State.claim(older.path()).unwrap();
            assert!(older.path().join(".aiclipx-state").is_file());
        }
    }

    #[test]
    fn a_folder_that_holds_anything_else_is_refused_and_stays_as_it_is() {
        let twice = [("lock", "4711")];
        for (mark, others) in [
            (Mark::State, &[("etc", "")][..]),
            (Mark::State, &[("supervisord.conf", "[supervisord]\n")]),
            (Mark::State, &[("stack.json", "{}")]),
            (Mark::State, &[(".aiclipx-rendered", "")]),
            (Mark::State, &twice),
            (Mark::Rendered, &[("lock", "")]),
            (Mark::Rendered, &[("prometheus.yml", "")]),
        ] {
            let folder = folder(others);
            let failure = mark.claim(folder.path()).unwrap_err();
            assert_eq!(failure.kind(), Kind::Usage);
            let (shown, told) = (folder.path().display(), failure.to_string());
            assert!(told.starts_with(&format!("{shown} holds something else than")), "{told}");
            assert!(told.contains(&format!("touch '{shown}/.aiclipx-")), "{told}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), others.len());
        }
        let failure = Mark::State.claim(Path::new("/dev/null")).unwrap_err();
        assert_eq!(failure.kind(), Kind::Usage);
    }
}

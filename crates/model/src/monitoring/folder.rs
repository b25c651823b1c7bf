//! What lies in a folder, as a program would find it there: links are followed, hidden files read where a pattern finds them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::layout::KUSTOMIZATION;
use super::remark::Found;
use super::role::{Layout, is_read};
use crate::files;

/// Bytes of a file: a thousand times what any of ours has.
const LARGEST: u64 = 16 << 20;

/// Files of all folders together, and folders within folders: a link to `/` is no folder of configuration.
const MOST_FILES: usize = 20_000;
const DEEPEST: usize = 32;

/// What lies in a folder.
pub(super) struct Collected {
    layout: Layout,
    pub(super) files: BTreeMap<PathBuf, Vec<u8>>,
    pub(super) found: Found,
    /// Those we are in, as they are without links.
    above: Vec<PathBuf>,
    /// Folders that a link leads to, likewise: a folder that lies there itself is not read a second time by its link.
    seen: BTreeSet<PathBuf>,
}

impl Collected {
    pub(super) fn new(layout: Layout) -> Collected {
        let (files, found) = (BTreeMap::new(), Found::default());
        Collected { layout, files, found, above: Vec::new(), seen: BTreeSet::new() }
    }

    fn refuse(&mut self, path: &Path, what: impl Into<String>, remedy: &str) {
        self.found.refuse(self.layout.named(path), 0, what, remedy);
    }

    fn remark(&mut self, name: &'static str, path: &Path, what: &str, remedy: &str) {
        self.found.remark(name, &self.layout.named(path), 0, what, remedy);
    }

    fn unread(&mut self, path: &Path, error: &std::io::Error) {
        self.found.refused.push(files::unread(&self.layout.named(path), error));
    }

    /// The folder itself without links.
    pub(super) fn collect(&mut self, root: &Path, inside: &Path) -> std::io::Result<()> {
        let real = std::fs::canonicalize(root.join(inside))?;
        self.above.push(real);
        let entries = std::fs::read_dir(root.join(inside)).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = entries.map(|mut entries| {
            entries.sort_by_key(std::fs::DirEntry::file_name);
            for entry in entries {
                let path = inside.join(entry.file_name());
                if let Err(error) = self.entry(root, &entry, &path) {
                    self.unread(&path, &error);
                }
            }
        });
        self.above.pop();
        entries
    }

    fn entry(&mut self, root: &Path, entry: &std::fs::DirEntry, path: &Path) -> std::io::Result<()> {
        let name = entry.file_name().to_string_lossy().into_owned();
        // What editors leave has other names, or begins so.
        if name.starts_with('.') && (!is_read(path) || name.starts_with(".#")) {
            return Ok(());
        }
        // Which files a cluster gets; nothing that a component reads.
        if name == KUSTOMIZATION && self.layout == Layout::Stack {
            return Ok(());
        }
        let is_link = entry.file_type()?.is_symlink();
        let metadata = match std::fs::metadata(entry.path()) {
            Ok(metadata) => metadata,
            Err(_) if is_link && is_read(path) => {
                self.refuse(path, "a link that leads nowhere", "");
                return Ok(());
            }
            Err(_) if is_link => {
                self.remark("files/link", path, "a link that leads nowhere", "remove it");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if is_link {
            let real = std::fs::canonicalize(entry.path())?;
            if !self.above.first().is_some_and(|root| real.starts_with(root)) {
                let remedy = "put the file itself there: a container has nothing else";
                self.remark("files/link", path, "a link that leads out of the folder", remedy);
            }
            if metadata.is_dir() && (self.above.contains(&real) || !self.seen.insert(real)) {
                self.remark("files/link", path, "a link to a folder that is read already", "");
                return Ok(());
            }
        }
        if metadata.is_dir() {
            if self.above.len() >= DEEPEST {
                self.refuse(path, format!("a folder within {DEEPEST} others"), "");
                return Ok(());
            }
            return self.collect(root, path);
        }
        self.file(entry, path, &metadata)
    }

    fn file(&mut self, entry: &std::fs::DirEntry, path: &Path, metadata: &std::fs::Metadata) -> std::io::Result<()> {
        if self.files.len() >= MOST_FILES {
            return Err(std::io::Error::other(format!("there are more than {MOST_FILES} files")));
        }
        if !metadata.is_file() {
            self.unusable(path, "no regular file", "remove it");
        } else if metadata.len() > LARGEST {
            let what = format!("a file of {} bytes; the largest that is read has {LARGEST}", metadata.len());
            self.unusable(path, &what, "");
        } else {
            if entry.file_name().to_string_lossy().starts_with('.') {
                let what = "a hidden file, which Prometheus reads where a pattern finds it";
                self.remark("files/hidden", path, what, "rename or remove it");
            }
            let bytes = files::read(&entry.path())?;
            self.files.insert(path.to_owned(), bytes);
        }
        Ok(())
    }

    /// Refused where somebody reads it.
    fn unusable(&mut self, path: &Path, what: &str, remedy: &str) {
        if is_read(path) {
            self.refuse(path, what, remedy);
        } else {
            self.remark("files/unread", path, what, remedy);
        }
    }
}

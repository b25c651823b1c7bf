//! Kustomize's lists: what they name is there, what is there they name, and a `ConfigMap` of a folder's files has all of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::finding::Findings;
use super::deployment::{Deployment, List};
use aiclipx_model::monitoring::KUSTOMIZATION;

pub(super) fn check(deployment: &Deployment, root: &Path, findings: &mut Findings) {
    let mut listed = BTreeSet::new();
    for list in &deployment.lists {
        let generated = list.generators().flat_map(|(_, files)| files);
        for (line, path) in list.resources().chain(list.patches()).chain(generated) {
            // Of a folder it is the list in it.
            if !root.join(&path).is_file() && !root.join(&path).join(KUSTOMIZATION).is_file() {
                let what = format!("{} is not there", path.display());
                findings.find("kubernetes/missing", &list.file, line, what, "");
            }
            listed.insert(path);
        }
        for (line, files) in list.generators() {
            whole(list, line, &files.into_iter().map(|(_, path)| path).collect(), root, findings);
        }
    }
    // What people read is not applied.
    let is_read = |file: &PathBuf| file.extension().is_some_and(|end| end == "md");
    for file in deployment.files.iter().filter(|file| !listed.contains(*file) && !is_read(file)) {
        let what = "no kustomization.yaml names it: it is in no cluster";
        findings.find("kubernetes/unlisted", file, 0, what, "list it, or remove it");
    }
}

/// A list that has some of a folder's files of a kind has all of them.
fn whole(list: &List, line: usize, listed: &BTreeSet<PathBuf>, root: &Path, findings: &mut Findings) {
    let kinds: BTreeSet<_> = listed.iter().map(|path| (path.parent(), path.extension())).collect();
    for (folder, extension) in kinds {
        let Some(folder) = folder else { continue };
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else { continue };
        let mut there: Vec<PathBuf> = entries.flatten().map(|entry| folder.join(entry.file_name())).collect();
        there.sort();
        let is_left_out = |path: &&PathBuf| {
            path.extension() == extension && !listed.contains(*path) && !path.ends_with(KUSTOMIZATION)
        };
        for path in there.iter().filter(is_left_out).filter(|path| root.join(path).is_file()) {
            let what = format!("{} is not in this list: no cluster gets it", path.display());
            findings.find("kubernetes/unlisted", &list.file, line, what, "a line in `files`");
        }
    }
}

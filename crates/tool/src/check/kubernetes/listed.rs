//! Kustomize's lists: what they name is there, what is there they name, and a ConfigMap of a folder's files has all of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::finding::Findings;
use super::{Deployment, List};
use aiclipx_model::monitoring::kubernetes::KUSTOMIZATION;
use aiclipx_model::monitoring::located::Node;

pub(super) fn check(deployment: &Deployment, root: &Path, findings: &mut Findings) {
    let mut listed = BTreeSet::new();
    for list in &deployment.lists {
        let generated: Vec<(usize, PathBuf)> = generators(list).flat_map(|(_, files)| of_generator(list, files)).collect();
        for (line, path) in resources(list).chain(patches(list)).chain(generated) {
            // Of a folder it is the list in it.
            let is_there = root.join(&path).is_file() || root.join(&path).join(KUSTOMIZATION).is_file();
            if !is_there {
                let what = format!("{} is not there", path.display());
                findings.find("kubernetes/missing", &list.file, line, what, "");
            }
            listed.insert(path);
        }
        for (line, files) in generators(list) {
            whole(list, line, files, root, findings);
        }
    }
    for file in deployment.files.iter().filter(|file| !listed.contains(*file)) {
        findings.find("kubernetes/unlisted", file, 0, "no kustomization.yaml names it: it is in no cluster", "list it, or remove it");
    }
}

/// Objects and folders of them.
fn resources(list: &List) -> impl Iterator<Item = (usize, PathBuf)> {
    let named = ["resources", "components"].into_iter().flat_map(|key| list.node.items_of(key));
    named.filter_map(|node| Some((node.line, list.leads(node.as_text()?))))
}

/// Files of what is laid over others.
pub(super) fn patches(list: &List) -> impl Iterator<Item = (usize, PathBuf)> {
    let paths = list.node.items_of("patches").iter().filter_map(|patch| patch.get("path"));
    paths.filter_map(|node| Some((node.line, list.leads(node.as_text()?))))
}

/// Of each ConfigMap that is made of files: its line, and they.
fn generators(list: &List) -> impl Iterator<Item = (usize, &[Node])> {
    list.node.items_of("configMapGenerator").iter().map(|made| (made.line, made.items_of("files")))
}

/// Whether a name is one of a ConfigMap that is made.
pub(super) fn makes(list: &List, name: &str) -> bool {
    list.node.items_of("configMapGenerator").iter().any(|made| made.text_of("name") == Some(name))
}

fn of_generator<'a>(list: &'a List, files: &'a [Node]) -> impl Iterator<Item = (usize, PathBuf)> + 'a {
    files.iter().filter_map(|node| {
        let text = node.as_text()?;
        Some((node.line, list.leads(text.split_once('=').map_or(text, |(_, path)| path))))
    })
}

/// A list that has some of a folder's files of a kind has all of them.
fn whole(list: &List, line: usize, files: &[Node], root: &Path, findings: &mut Findings) {
    let listed: BTreeSet<PathBuf> = of_generator(list, files).map(|(_, path)| path).collect();
    let kinds: BTreeSet<_> = listed.iter().map(|path| (path.parent(), path.extension())).collect();
    for (folder, extension) in kinds {
        let Some(folder) = folder else { continue };
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else { continue };
        let mut there: Vec<PathBuf> = entries.flatten().map(|entry| folder.join(entry.file_name())).collect();
        there.sort();
        let is_left_out = |path: &&PathBuf| {
            path.extension() == extension && !listed.contains(*path) && path.file_name().is_some_and(|name| name != KUSTOMIZATION)
        };
        for path in there.iter().filter(is_left_out).filter(|path| root.join(path).is_file()) {
            let what = format!("{} is not in this list: no cluster gets it", path.display());
            findings.find("kubernetes/unlisted", &list.file, line, what, "a line in `files`");
        }
    }
}

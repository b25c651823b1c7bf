//! What is checked of deploy/kubernetes: its objects and its lists, those that lie among the files of other folders, and compose.yaml.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::super::finding::Findings;
use super::super::tree::COMPOSE;
use aiclipx_model::files;
use aiclipx_model::monitoring::KUSTOMIZATION;
use aiclipx_model::monitoring::kubernetes::DEPLOYMENT;
use aiclipx_model::monitoring::located::{self, Node};

/// A file and a document in it.
pub(super) struct Object {
    /// From the repository's root.
    pub(super) file: PathBuf,
    pub(super) node: Node,
    /// A part of an object, which a list lays over another.
    pub(super) is_patch: bool,
}

impl Object {
    pub(super) fn kind(&self) -> &str {
        self.node.text_of("kind").unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        self.node.get("metadata").and_then(|metadata| metadata.text_of("name")).unwrap_or_default()
    }

    /// What its pods are made by, labels and all; a pod is its own.
    pub(super) fn template(&self) -> Option<&Node> {
        if self.kind() == "Pod" {
            return Some(&self.node);
        }
        self.node.get("spec").and_then(|spec| spec.get("template"))
    }
}

/// A kustomization.yaml.
pub(super) struct List {
    /// From the repository's root.
    pub(super) file: PathBuf,
    pub(super) node: Node,
}

impl List {
    /// Where a path in it leads, from the root.
    fn leads(&self, path: &str) -> PathBuf {
        straight(&self.file.parent().unwrap_or(Path::new("")).join(path))
    }

    /// Objects and folders of them, with the lines.
    pub(super) fn resources(&self) -> impl Iterator<Item = (usize, PathBuf)> {
        let named = ["resources", "components"].into_iter().flat_map(|key| self.node.items_of(key));
        named.filter_map(|node| Some((node.line, self.leads(node.as_text()?))))
    }

    /// Files of what is laid over others.
    pub(super) fn patches(&self) -> impl Iterator<Item = (usize, PathBuf)> {
        let paths = self.node.items_of("patches").iter().filter_map(|patch| patch.get("path"));
        paths.filter_map(|node| Some((node.line, self.leads(node.as_text()?))))
    }

    /// Of each `ConfigMap` that is made: its line, and the files that it is made of, with theirs.
    pub(super) fn generators(&self) -> impl Iterator<Item = (usize, Vec<(usize, PathBuf)>)> {
        self.node.items_of("configMapGenerator").iter().map(|made| {
            let path = |text: &str| self.leads(text.split_once('=').map_or(text, |(_, path)| path));
            let files = made.items_of("files").iter();
            (made.line, files.filter_map(|node| Some((node.line, path(node.as_text()?)))).collect())
        })
    }

    /// Whether a name is one of a `ConfigMap` that is made.
    pub(super) fn makes(&self, name: &str) -> bool {
        self.node.items_of("configMapGenerator").iter().any(|made| made.text_of("name") == Some(name))
    }
}

/// The containers of a pod, those that prepare it first.
pub(super) fn containers(template: &Node) -> impl Iterator<Item = &Node> {
    let spec = template.get("spec");
    ["initContainers", "containers"].into_iter().flat_map(move |key| spec.map_or(&[][..], |spec| spec.items_of(key)))
}

/// All of it.
pub(super) struct Deployment {
    pub(super) objects: Vec<Object>,
    pub(super) lists: Vec<List>,
    /// Every file below [`DEPLOYMENT`].
    pub(super) files: Vec<PathBuf>,
    /// compose.yaml, where there is one.
    pub(super) compose: Option<Node>,
}

impl Deployment {
    /// Whether there is an object of this kind that is called so, by itself or behind what a list puts before all names of its own.
    pub(super) fn has(&self, kind: &str, name: &str) -> bool {
        self.objects.iter().filter(|object| object.kind() == kind).any(|object| {
            let before = name.strip_suffix(object.name());
            before.is_some_and(|before| {
                let is_put_before = |list: &&List| {
                    list.node.text_of("namePrefix") == Some(before) && object.file.parent() == list.file.parent()
                };
                before.is_empty() || self.lists.iter().any(|list| is_put_before(&list))
            })
        })
    }

    pub(super) fn read(root: &Path, findings: &mut Findings) -> Deployment {
        let mut deployment = Deployment { objects: Vec::new(), lists: Vec::new(), files: Vec::new(), compose: None };
        let compose = files::read(&root.join(COMPOSE)).ok();
        // What is wrong with it is told by its own check.
        deployment.compose = compose.and_then(|bytes| located::read(&bytes).ok());
        for file in below(root, Path::new(DEPLOYMENT), findings) {
            let is_list = file.file_name().is_some_and(|name| name == KUSTOMIZATION);
            if !is_list {
                deployment.files.push(file.clone());
            }
            if file.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            for node in documents(root, &file, findings) {
                if is_list {
                    deployment.lists.push(List { file: file.clone(), node });
                } else {
                    deployment.objects.push(Object { file: file.clone(), node, is_patch: false });
                }
            }
        }
        // Those that lie among the files they list.
        for folder in ["monitoring", "scripts"] {
            for file in below(root, Path::new(folder), findings) {
                if file.file_name().is_some_and(|name| name == KUSTOMIZATION) {
                    let nodes = documents(root, &file, findings);
                    deployment.lists.extend(nodes.into_iter().map(|node| List { file: file.clone(), node }));
                }
            }
        }
        let patches: Vec<PathBuf> = deployment.lists.iter().flat_map(List::patches).map(|(_, path)| path).collect();
        for object in &mut deployment.objects {
            object.is_patch = patches.contains(&object.file);
        }
        deployment
    }
}

/// The files below a folder, by their paths from the root, in order.
pub(super) fn below(root: &Path, folder: &Path, findings: &mut Findings) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(root.join(folder)).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match entries {
        Ok(entries) => {
            for entry in entries {
                let path = folder.join(entry.file_name());
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    found.extend(below(root, &path, findings));
                } else {
                    found.push(path);
                }
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => findings.read("kubernetes/file", vec![files::unread(folder, &error)]),
    }
    found.sort();
    found
}

/// The documents of a file, each with its lines in the file.
fn documents(root: &Path, file: &Path, findings: &mut Findings) -> Vec<Node> {
    let text = match files::read_to_string(&root.join(file)) {
        Ok(text) => text,
        Err(error) => {
            findings.read("kubernetes/file", vec![files::unread(file, &error)]);
            return Vec::new();
        }
    };
    let mut nodes = Vec::new();
    for document in parted(&text) {
        match located::read(document.as_bytes()) {
            Ok(node) if node.entries().is_empty() => findings.find("kubernetes/file", file, node.line, "no object", ""),
            Ok(node) => nodes.push(node),
            Err((line, what)) => findings.find("kubernetes/file", file, line, what, ""),
        }
    }
    nodes
}

/// A text's documents, each behind as many empty lines as there are lines before it.
fn parted(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for (number, line) in text.lines().enumerate() {
        if line == "---" {
            parts.push("\n".repeat(number + 1));
        } else if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts.retain(|part| part.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#')));
    parts
}

/// A path without its ways up.
fn straight(path: &Path) -> PathBuf {
    let mut straight = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                straight.pop();
            }
            Component::CurDir => {}
            part => straight.push(part),
        }
    }
    straight
}

/// The value below these keys.
pub(super) fn at<'a>(node: &'a Node, keys: &str) -> Option<&'a Node> {
    keys.split('.').try_fold(node, |node, key| node.get(key))
}

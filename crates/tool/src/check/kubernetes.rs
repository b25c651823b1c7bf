//! deploy/kubernetes: its objects are such as Kubernetes knows ([`schema`]), each file is in a list and each list has all of a
//! folder ([`listed`]), pods are held back and stop as compose.yaml's services do ([`pods`]), what selects and names something finds
//! it ([`named`]), and what is made of monitoring/ is what monitoring/ gives.
//!
//! The operator's own kinds (ServiceMonitor, PrometheusRule) are read as YAML and no further: no crate has their schemas.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::finding::Findings;
use super::tree::COMPOSE;
use aiclipx_model::files;
use aiclipx_model::monitoring::kubernetes::{DEPLOYMENT, KUSTOMIZATION};
use aiclipx_model::monitoring::located::{self, Node};
use aiclipx_model::monitoring::{Monitoring, slo};

mod listed;
mod named;
mod pods;
mod schema;

/// A file and a document in it.
struct Object {
    /// From the repository's root.
    file: PathBuf,
    node: Node,
    /// A part of an object, which a list lays over another.
    is_patch: bool,
}

impl Object {
    fn kind(&self) -> &str {
        self.node.text_of("kind").unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.node.get("metadata").and_then(|metadata| metadata.text_of("name")).unwrap_or_default()
    }

    /// What its pods are made by, labels and all.
    fn template(&self) -> Option<&Node> {
        self.node.get("spec").and_then(|spec| spec.get("template"))
    }
}

/// A kustomization.yaml.
struct List {
    /// From the repository's root.
    file: PathBuf,
    node: Node,
}

impl List {
    /// Where a path in it leads, from the root.
    fn leads(&self, path: &str) -> PathBuf {
        straight(&self.file.parent().unwrap_or(Path::new("")).join(path))
    }
}

/// All of it.
struct Deployment {
    objects: Vec<Object>,
    lists: Vec<List>,
    /// Every file below [`DEPLOYMENT`].
    files: Vec<PathBuf>,
    /// compose.yaml, where there is one.
    compose: Option<Node>,
}

/// Where there is none, as beside an installed tool, nothing is checked.
pub(super) fn check(root: &Path, monitoring: &Monitoring, findings: &mut Findings) {
    if !root.join(DEPLOYMENT).is_dir() {
        return;
    }
    let deployment = Deployment::read(root, findings);
    for object in &deployment.objects {
        schema::check(object, findings);
    }
    listed::check(&deployment, root, findings);
    pods::check(&deployment, findings);
    named::check(&deployment, findings);
    made(root, monitoring, findings);
}

impl Deployment {
    fn read(root: &Path, findings: &mut Findings) -> Deployment {
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
        let patches: Vec<PathBuf> = deployment.lists.iter().flat_map(listed::patches).map(|(_, path)| path).collect();
        for object in &mut deployment.objects {
            object.is_patch = patches.contains(&object.file);
        }
        deployment
    }
}

/// The files below a folder, by their paths from the root, in order.
fn below(root: &Path, folder: &Path, findings: &mut Findings) -> Vec<PathBuf> {
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
fn at<'a>(node: &'a Node, keys: &str) -> Option<&'a Node> {
    keys.split('.').try_fold(node, |node, key| node.get(key))
}

/// What is made of monitoring/ is what it gives, to the byte.
fn made(root: &Path, monitoring: &Monitoring, findings: &mut Findings) {
    // What it can't be made of is told where that is checked.
    let made = match monitoring.for_kubernetes() {
        Ok(made) => made,
        Err(found) => return findings.read("kubernetes/rendered", found),
    };
    for (path, given) in made {
        let file = Path::new(DEPLOYMENT).join(path);
        let there = files::read_to_string(&root.join(&file)).unwrap_or_default();
        if let Some(line) = slo::differs(&there, &given) {
            let given = given.split('\n').nth(line - 1).map_or("nothing", str::trim);
            let what = format!("monitoring/ gives another line here: `{given}`");
            let remedy = "`aiclipx render --kubernetes` makes it anew; what was changed by hand in it belongs into monitoring/";
            findings.find("kubernetes/rendered", file, line, what, remedy);
        }
    }
}

#[cfg(test)]
mod tests;

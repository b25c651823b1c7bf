//! What of monitoring/ a cluster can't take as it is: (files, cluster) → files.
//!
//! Prometheus finds targets in the cluster, each replica by itself, where our configuration reads them from files
//! ([`discovery`]); an operator takes rules, a probe and inhibitions as objects of its own, which hold for one namespace
//! ([`operator`]); a store elsewhere is one more part of Prometheus' configuration ([`remote`]). All else goes there unchanged, by
//! the kustomization.yaml that lie among the files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::located::{self, Node};
use super::{KUSTOMIZATION, Monitoring};
use crate::failure::Finding;
pub use cluster::{Cluster, NAMESPACE, Namespace};

mod cluster;
mod discovery;
mod operator;
mod remote;

/// Where what is made for nobody's cluster in particular lies, below the repository's root.
pub const DEPLOYMENT: &str = "deploy/kubernetes";
/// Prometheus' configuration, below [`DEPLOYMENT`].
pub const CONFIGURATION: &str = "base/prometheus/prometheus.yml";
/// The operator's objects, likewise.
const OPERATORS: &str = "overlays/operator/made";
/// What lets Prometheus write elsewhere, too.
const REMOTE: &str = "components/remote-write";

/// What begins every file that is made.
const HOW: &str = "aiclipx render --kubernetes";

type Files = BTreeMap<PathBuf, String>;

impl Monitoring {
    /// What the tree has of it, by paths below [`DEPLOYMENT`].
    pub fn for_kubernetes(&self) -> Result<Files, Vec<Finding>> {
        let configuration = self.in_a_cluster().and_then(|made| {
            let made = made.into_iter().map(|(source, node)| Ok((CONFIGURATION.into(), self.printed(&source, &node)?)));
            made.collect()
        });
        let objects = self.operators_files(&Cluster::default());
        let remote = self.writes_elsewhere(&remote::example());
        together([(Path::new(""), configuration), (Path::new(OPERATORS), objects), (Path::new(REMOTE), remote)])
    }

    /// What a cluster of somebody's has in the place of that: components of kustomize, one a folder.
    pub fn for_cluster(&self, cluster: &Cluster) -> Result<Files, Vec<Finding>> {
        let objects = self.operators_files(cluster).map(|mut files| {
            let patches: Vec<String> = files.keys().map(|name| format!("  - path: {}\n", name.display())).collect();
            let list = format!(
                "# Made by `{HOW}` for the namespace {}: laid over overlays/operator.\n\
                 apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n{}",
                cluster.namespace,
                patches.concat()
            );
            files.insert(KUSTOMIZATION.into(), list);
            files
        });
        let remote =
            cluster.remote_write.as_ref().map_or_else(|| Ok(Files::new()), |remote| self.writes_elsewhere(remote));
        together([(Path::new("operator"), objects), (Path::new("remote-write"), remote)])
    }

    /// The operator's objects, a file each.
    fn operators_files(&self, cluster: &Cluster) -> Result<Files, Vec<Finding>> {
        let objects = self.operators_objects(cluster)?;
        objects
            .into_iter()
            .map(|(name, source, node)| Ok((format!("{name}.yaml").into(), self.printed(&source, &node)?)))
            .collect()
    }

    /// A file that is made of one of monitoring/.
    fn printed(&self, source: &Path, node: &Node) -> Result<String, Vec<Finding>> {
        let file = self.named(source);
        let origin = format!("# Made from {} by `{HOW}`: change that file, not this one.\n", file.display());
        match located::print_yaml(node) {
            Ok(yaml) => Ok(origin + &yaml),
            Err(what) => Err(vec![Finding { file, line: 0, what, remedy: String::new() }]),
        }
    }
}

/// All of it, each below its folder; or all that is wrong.
fn together<const N: usize>(parts: [(&Path, Result<Files, Vec<Finding>>); N]) -> Result<Files, Vec<Finding>> {
    let (mut made, mut findings) = (Files::new(), Vec::new());
    for (folder, part) in parts {
        match part {
            Ok(files) => made.extend(files.into_iter().map(|(name, text)| (folder.join(name), text))),
            Err(found) => findings.extend(found),
        }
    }
    findings.sort();
    // What two parts are made of is wrong once.
    findings.dedup();
    if findings.is_empty() { Ok(made) } else { Err(findings) }
}

#[cfg(test)]
mod tests;

//! How a cluster's Prometheus finds whom it scrapes and tells: pods by their labels, in its own namespace, where a stack's reads files.
//!
//! A target is called by its pod's name: that is what an alert names, what `kubectl` takes, and what is left when the pod is gone.

use std::path::{Path, PathBuf};

use super::cluster::{COMPONENT, STACK};
use crate::failure::Finding;
use crate::monitoring::located::{Entry, Node, Value};
use crate::monitoring::{Monitoring, PROMETHEUS};

/// Labels of a target that are not the series' own.
const ADDRESS: &str = "__address__";
/// What a target is called.
const INSTANCE: &str = "instance";

impl Monitoring {
    /// Prometheus' configuration, if there is one, whose targets are found by asking the cluster for pods; and its path.
    pub(super) fn in_a_cluster(&self) -> Result<Option<(PathBuf, Node)>, Vec<Finding>> {
        let Some(mut configuration) = self.document(Path::new(PROMETHEUS)).cloned() else { return Ok(None) };
        let mut findings = Vec::new();
        for (list, inside) in [("scrape_configs", None), ("alerting", Some("alertmanagers"))] {
            let found = configuration.get_mut(list);
            let found = match inside {
                Some(key) => found.and_then(|node| node.get_mut(key)),
                None => found,
            };
            let Some(Node { value: Value::List(items), .. }) = found else { continue };
            for item in items {
                if let Err(found) = self.discover(item, inside.is_none()) {
                    findings.push(found);
                }
            }
        }
        if findings.is_empty() { Ok(Some((PROMETHEUS.into(), configuration))) } else { Err(findings) }
    }

    /// Puts a discovery of pods in the place of one of files: those of the component that its file of targets names, at that port,
    /// with the labels that stand there.
    fn discover(&self, item: &mut Node, is_scraped: bool) -> Result<(), Finding> {
        let line = item.line_of("file_sd_configs");
        let Value::Map(entries) = &mut item.value else { return Ok(()) };
        let Some(at) = entries.iter().position(|entry| entry.key == "file_sd_configs") else { return Ok(()) };
        let refused = |what: String| Finding {
            file: self.named(Path::new(PROMETHEUS)),
            line,
            what,
            remedy: "a job of a cluster has one file of targets, with one group of one target, host and port"
                .to_owned(),
        };
        let files: Vec<&str> =
            entries[at].node.items().iter().flat_map(|one| one.items_of("files")).filter_map(Node::as_text).collect();
        let [file] = files[..] else { return Err(refused(format!("it has {} files of targets", files.len()))) };
        let targets = self.document(&Path::new("prometheus").join(file));
        let targets = targets.ok_or_else(|| refused(format!("{file} is not there")))?;
        let [group] = targets.items() else {
            return Err(refused(format!("{file} has {} groups", targets.items().len())));
        };
        let [target] = group.items_of("targets") else { return Err(refused(format!("{file} has not one target"))) };
        let (component, port) = target
            .as_text()
            .and_then(|text| text.rsplit_once(':'))
            .ok_or_else(|| refused(format!("{file} has a target without a port")))?;
        let labels = group.get("labels").map_or(&[][..], Node::entries);
        let relabelled = entries.iter().position(|entry| entry.key == "relabel_configs").map(|own| entries.remove(own));
        let mut relabelling = found_as(port, labels, is_scraped);
        relabelling.extend(relabelled.map(|own| own.node.items().to_vec()).unwrap_or_default());
        let at = entries.iter().position(|entry| entry.key == "file_sd_configs").unwrap_or(at);
        entries[at] = Entry::made("kubernetes_sd_configs", Node::list([pods(component)]));
        entries.insert(at + 1, Entry::made("relabel_configs", Node::list(relabelling)));
        Ok(())
    }
}

/// The pods of a component, in Prometheus' own namespace: the least that it may ask for.
fn pods(component: &str) -> Node {
    let label = Node::text(format!("{COMPONENT}={component},{STACK}=aiclipx"));
    let selector = Node::map([("role", Node::text("pod")), ("label", label)]);
    let own = Node::map([("own_namespace", Node::switch(true))]);
    Node::map([("role", Node::text("pod")), ("namespaces", own), ("selectors", Node::list([selector]))])
}

/// Of a pod that port alone, unless the pod has ended: what ended answers nobody, and is nobody's fault. Of what is scraped its name;
/// then the labels.
fn found_as(port: &str, labels: &[Entry], is_scraped: bool) -> Vec<Node> {
    let meta = |name: &str| Node::list([Node::text(format!("__meta_kubernetes_pod_{name}"))]);
    let rule = |source, regex: &str, action: &str| {
        Node::map([("source_labels", source), ("regex", Node::text(regex)), ("action", Node::text(action))])
    };
    let mut rules =
        vec![rule(meta("container_port_number"), port, "keep"), rule(meta("phase"), "Failed|Succeeded", "drop")];
    if is_scraped {
        rules.push(Node::map([("source_labels", meta("name")), ("target_label", Node::text(INSTANCE))]));
    }
    for label in labels.iter().filter(|label| label.key != ADDRESS) {
        // A dollar sign would begin the name of a group.
        let value = label.node.value.plain().replace('$', "$$");
        rules.push(Node::map([("target_label", Node::text(label.key.clone())), ("replacement", Node::text(value))]));
    }
    rules
}

//! What of monitoring/ a cluster can't take as it is: (files) → files, below deploy/kubernetes.
//!
//! Prometheus finds targets in the cluster, each replica by itself, where our configuration reads them from files; an operator takes
//! rules as objects of its own. All else goes there unchanged, by the kustomization.yaml that lie among the files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::layout::{PROMETHEUS, RULES};
use super::located::{self, Entry, Node, Value};
use super::{Document, Monitoring};
use crate::failure::Finding;

/// Where what is made lies, below the repository's root.
pub const DEPLOYMENT: &str = "deploy/kubernetes";

/// The file by which a cluster's own tool knows which files it gets.
pub const KUSTOMIZATION: &str = "kustomization.yaml";

/// The label of pods that says which component they are, and the one that says that they are of this stack.
const COMPONENT: &str = "app.kubernetes.io/name";
const STACK: &str = "app.kubernetes.io/part-of";

/// Below [`DEPLOYMENT`].
const CONFIGURATION: &str = "base/prometheus/prometheus.yml";
const OPERATORS_RULES: &str = "overlays/operator/rules";

/// Labels of a target that are not the series' own.
const ADDRESS: &str = "__address__";

impl Monitoring {
    /// Prometheus' configuration for a cluster, and each file of the service's rules as a `PrometheusRule`; by their paths below
    /// [`DEPLOYMENT`]. Alerts on the monitoring itself are not among those: where there is an operator, so are its own.
    pub fn for_kubernetes(&self) -> Result<BTreeMap<PathBuf, String>, Vec<Finding>> {
        let mut made = BTreeMap::new();
        let mut findings = Vec::new();
        let mut add = |at: PathBuf, source: &Path, node: Result<Node, Vec<Finding>>| {
            let file = self.named(source);
            let printed = node.and_then(|node| {
                let of_print = |what| vec![Finding { file: file.clone(), line: 0, what, remedy: String::new() }];
                located::print_yaml(&node).map_err(of_print)
            });
            match printed {
                Ok(yaml) => {
                    let origin = format!(
                        "# Made from {} by `aiclipx render --kubernetes`: change that file, not this one.\n",
                        file.display()
                    );
                    made.insert(at, origin + &yaml);
                }
                Err(found) => findings.extend(found),
            }
        };
        if let Some(Document { node, .. }) = self.documents.get(Path::new(PROMETHEUS)) {
            add(CONFIGURATION.into(), Path::new(PROMETHEUS), self.in_a_cluster(node));
        }
        for (path, node) in self.rule_files().filter(|(path, _)| self.is_of_the_service(path)) {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            add(Path::new(OPERATORS_RULES).join(format!("{stem}.yaml")), path, Ok(rule_object(&stem, node)));
        }
        if findings.is_empty() { Ok(made) } else { Err(findings) }
    }

    /// Whether a file of rules has alerts, and none on the monitoring itself.
    fn is_of_the_service(&self, path: &Path) -> bool {
        let file = self.named(path);
        let mut alerts = self.alerts().iter().filter(|alert| alert.file == file).peekable();
        let is_on_monitoring = |label: Option<&String>| label.is_some_and(|service| service == MONITORING);
        path.starts_with(RULES) && alerts.peek().is_some() && !alerts.any(|alert| is_on_monitoring(alert.labels.get("service")))
    }

    /// The same configuration, whose targets are found by asking the cluster for pods.
    fn in_a_cluster(&self, configuration: &Node) -> Result<Node, Vec<Finding>> {
        let mut configuration = configuration.clone();
        let mut findings = Vec::new();
        for (list, inside) in [("scrape_configs", None), ("alerting", Some("alertmanagers"))] {
            let found = configuration.get_mut(list);
            let found = match inside {
                Some(key) => found.and_then(|node| node.get_mut(key)),
                None => found,
            };
            let Some(Node { value: Value::List(items), .. }) = found else { continue };
            for item in items {
                if let Err(found) = self.discover(item) {
                    findings.push(found);
                }
            }
        }
        if findings.is_empty() { Ok(configuration) } else { Err(findings) }
    }

    /// Puts a discovery of pods in the place of one of files: those of the component that its file of targets names, at that port,
    /// with the labels that stand there.
    fn discover(&self, item: &mut Node) -> Result<(), Finding> {
        let line = item.line_of("file_sd_configs");
        let Value::Map(entries) = &mut item.value else { return Ok(()) };
        let Some(at) = entries.iter().position(|entry| entry.key == "file_sd_configs") else { return Ok(()) };
        let refused = |what: String| Finding {
            file: self.named(Path::new(PROMETHEUS)),
            line,
            what,
            remedy: "a job of a cluster has one file of targets, with one group of one target, host and port".to_owned(),
        };
        let files: Vec<&str> = entries[at].node.items().iter().flat_map(|one| one.items_of("files")).filter_map(Node::as_text).collect();
        let [file] = files[..] else { return Err(refused(format!("it has {} files of targets", files.len()))) };
        let targets = self.document(&Path::new("prometheus").join(file));
        let targets = targets.ok_or_else(|| refused(format!("{file} is not there")))?;
        let [group] = targets.items() else { return Err(refused(format!("{file} has {} groups", targets.items().len()))) };
        let [target] = group.items_of("targets") else { return Err(refused(format!("{file} has not one target"))) };
        let (component, port) = target
            .as_text()
            .and_then(|text| text.rsplit_once(':'))
            .ok_or_else(|| refused(format!("{file} has a target without a port")))?;
        let labels = group.get("labels").map_or(&[][..], Node::entries);
        let relabelled = entries.iter().position(|entry| entry.key == "relabel_configs").map(|own| entries.remove(own));
        let mut relabelling = found_as(port, labels);
        relabelling.extend(relabelled.map(|own| own.node.items().to_vec()).unwrap_or_default());
        let at = entries.iter().position(|entry| entry.key == "file_sd_configs").unwrap_or(at);
        entries[at] = entry("kubernetes_sd_configs", list([pods(component)]));
        entries.insert(at + 1, entry("relabel_configs", list(relabelling)));
        Ok(())
    }
}

/// The label `service` of alerts on the monitoring itself.
const MONITORING: &str = "monitoring";

/// The pods of a component, in Prometheus' own namespace: the least that it may ask for.
fn pods(component: &str) -> Node {
    let selector = map([("role", Node::text("pod")), ("label", Node::text(format!("{COMPONENT}={component},{STACK}=aiclipx")))]);
    let own = Node { line: 0, span: 0..0, value: Value::Switch(true) };
    map([
        ("role", Node::text("pod")),
        ("namespaces", map([("own_namespace", own)])),
        ("selectors", list([selector])),
    ])
}

/// Of a pod that port alone, unless the pod has ended: what ended answers nobody, and is nobody's fault. Then the labels.
fn found_as(port: &str, labels: &[Entry]) -> Vec<Node> {
    let meta = |name: &str| list([Node::text(format!("__meta_kubernetes_pod_{name}"))]);
    let rule = |source, regex: &str, action: &str| {
        map([("source_labels", source), ("regex", Node::text(regex)), ("action", Node::text(action))])
    };
    let mut rules = vec![
        rule(meta("container_port_number"), port, "keep"),
        rule(meta("phase"), "Failed|Succeeded", "drop"),
    ];
    for label in labels.iter().filter(|label| label.key != ADDRESS) {
        // A dollar sign would begin the name of a group.
        let value = label.node.value.plain().replace('$', "$$");
        rules.push(map([("target_label", Node::text(label.key.clone())), ("replacement", Node::text(value))]));
    }
    rules
}

/// A file of rules as the operator's object.
fn rule_object(name: &str, rules: &Node) -> Node {
    let labels = map([("app.kubernetes.io/name", Node::text("app"))]);
    map([
        ("apiVersion", Node::text("monitoring.coreos.com/v1")),
        ("kind", Node::text("PrometheusRule")),
        ("metadata", map([("name", Node::text(name)), ("labels", labels)])),
        ("spec", rules.clone()),
    ])
}

fn map<const N: usize>(entries: [(&str, Node); N]) -> Node {
    let entries = entries.into_iter().map(|(key, node)| entry(key, node)).collect();
    Node { line: 0, span: 0..0, value: Value::Map(entries) }
}

fn list(items: impl IntoIterator<Item = Node>) -> Node {
    Node { line: 0, span: 0..0, value: Value::List(items.into_iter().collect()) }
}

fn entry(key: &str, node: Node) -> Entry {
    Entry { key: key.to_owned(), line: 0, node }
}

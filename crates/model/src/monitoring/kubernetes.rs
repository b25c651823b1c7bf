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

/// The label of pods that says which component they are, and the one that says that they are of this stack.
const COMPONENT: &str = "app.kubernetes.io/name";
const STACK: &str = "app.kubernetes.io/part-of";

/// Prometheus' configuration, below [`DEPLOYMENT`].
pub const CONFIGURATION: &str = "base/prometheus/prometheus.yml";
/// The operator's objects, likewise.
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
        path.starts_with(RULES)
            && alerts.peek().is_some()
            && !alerts.any(|alert| is_on_monitoring(alert.labels.get("service")))
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
    let selector =
        map([("role", Node::text("pod")), ("label", Node::text(format!("{COMPONENT}={component},{STACK}=aiclipx")))]);
    let own = Node { line: 0, span: 0..0, value: Value::Switch(true) };
    map([("role", Node::text("pod")), ("namespaces", map([("own_namespace", own)])), ("selectors", list([selector]))])
}

/// Of a pod that port alone, unless the pod has ended: what ended answers nobody, and is nobody's fault. Then the labels.
fn found_as(port: &str, labels: &[Entry]) -> Vec<Node> {
    let meta = |name: &str| list([Node::text(format!("__meta_kubernetes_pod_{name}"))]);
    let rule = |source, regex: &str, action: &str| {
        map([("source_labels", source), ("regex", Node::text(regex)), ("action", Node::text(action))])
    };
    let mut rules =
        vec![rule(meta("container_port_number"), port, "keep"), rule(meta("phase"), "Failed|Succeeded", "drop")];
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> BTreeMap<PathBuf, Vec<u8>> {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../monitoring"));
        Monitoring::read(folder).unwrap_or_else(|failure| panic!("{failure}")).files().clone()
    }

    fn made_of(files: BTreeMap<PathBuf, Vec<u8>>) -> Result<BTreeMap<PathBuf, String>, Vec<Finding>> {
        Monitoring::from_files(files).unwrap_or_else(|found| panic!("{found:?}")).for_kubernetes()
    }

    #[test]
    fn all_but_how_targets_are_found_stays() {
        let made = made_of(ours()).expect("it is made");
        let read = |text: &[u8]| located::read(text).expect("it reads");
        let (mut there, here) = (read(made[Path::new(CONFIGURATION)].as_bytes()), read(&ours()[Path::new(PROMETHEUS)]));
        // Put back, it is the file that it was made of.
        let back = |items: &mut Node, ours: &[Node]| {
            let Value::List(items) = &mut items.value else { panic!("no list") };
            assert_eq!(items.len(), ours.len());
            for (item, own) in items.iter_mut().zip(ours) {
                let Value::Map(entries) = &mut item.value else { panic!("no map") };
                entries.retain(|entry| entry.key != "relabel_configs");
                for entry in entries.iter_mut().filter(|entry| entry.key == "kubernetes_sd_configs") {
                    *entry = Entry {
                        key: "file_sd_configs".to_owned(),
                        line: 0,
                        node: own.get("file_sd_configs").expect("ours").clone(),
                    };
                }
            }
        };
        back(there.get_mut("scrape_configs").expect("jobs"), here.items_of("scrape_configs"));
        let alertmanagers = here.get("alerting").expect("alerting").items_of("alertmanagers");
        back(
            there.get_mut("alerting").and_then(|node| node.get_mut("alertmanagers")).expect("alertmanagers"),
            alertmanagers,
        );
        let printed = |node: &Node| located::print_yaml(node).expect("it prints");
        assert_eq!(printed(&there), printed(&here));
    }

    #[test]
    fn a_job_finds_the_pods_of_its_component_at_the_port_of_its_target_with_its_labels() {
        let mut files = ours();
        let labelled = br#"[{"targets": ["app:8181"], "labels": {"zone": "a$b"}}]"#;
        files.insert("prometheus/targets/app.json".into(), labelled.to_vec());
        let made = made_of(files).expect("it is made");
        let node = located::read(made[Path::new(CONFIGURATION)].as_bytes()).expect("it reads");
        let job =
            node.items_of("scrape_configs").iter().find(|job| job.text_of("job_name") == Some("app")).expect("app");
        let printed = located::print_json(job).expect("it prints");
        let job: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
        assert_eq!(job["kubernetes_sd_configs"][0]["namespaces"]["own_namespace"], true);
        let selector = &job["kubernetes_sd_configs"][0]["selectors"][0]["label"];
        assert_eq!(selector, "app.kubernetes.io/name=app,app.kubernetes.io/part-of=aiclipx");
        assert_eq!(
            (&job["relabel_configs"][0]["regex"], &job["relabel_configs"][0]["action"]),
            (&"8181".into(), &"keep".into())
        );
        assert_eq!(
            (&job["relabel_configs"][2]["target_label"], &job["relabel_configs"][2]["replacement"]),
            (&"zone".into(), &"a$$b".into())
        );
    }

    #[test]
    fn what_no_selector_of_pods_can_say_is_refused_with_its_line() {
        for (targets, what) in [
            (r#"[{"targets": ["app:8081", "other:8081"]}]"#, "not one target"),
            (r#"[{"targets": ["app:8081"]}, {"targets": ["b:1"]}]"#, "has 2 groups"),
        ] {
            let mut files = ours();
            files.insert("prometheus/targets/app.json".into(), targets.as_bytes().to_vec());
            let found = made_of(files).expect_err("it can't be made");
            assert!(found.len() == 1 && found[0].line > 1 && found[0].what.contains(what), "{found:?}");
        }
    }

    #[test]
    fn an_operator_gets_the_rules_of_the_service_and_none_on_the_monitoring() {
        let made = made_of(ours()).expect("it is made");
        let rules =
            made.keys().filter(|path| path.starts_with(OPERATORS_RULES)).map(|path| path.file_name().expect("a name"));
        assert_eq!(rules.collect::<Vec<_>>(), ["app.yaml", "database.yaml", "probe.yaml", "slo.yaml"]);
        let app = located::read(made[&Path::new(OPERATORS_RULES).join("app.yaml")].as_bytes()).expect("it reads");
        let ours = located::read(&ours()[Path::new("prometheus/rules/app.yml")]).expect("it reads");
        let printed = |node: &Node| located::print_yaml(node).expect("it prints");
        assert_eq!(printed(app.get("spec").expect("a spec")), printed(&ours));
    }
}

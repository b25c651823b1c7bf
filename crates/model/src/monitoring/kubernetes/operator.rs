//! What an operator takes as objects of its own: the service's rules, whom the blackbox exporter asks, and what holds back what.
//!
//! A cluster's Prometheus scrapes everybody, so a rule is held to one namespace: each selector asks for it, and what is recorded and
//! what fires has it as a label. So two installations of this tree are two, and an operator can match alerts by it. Alerts on the
//! monitoring itself are not among the rules: where there is an operator, so are its own.

use std::path::{Path, PathBuf};

use super::cluster::{COMPONENT, Cluster};
use crate::failure::Finding;
use crate::monitoring::addresses::Addresses;
use crate::monitoring::located::Node;
use crate::monitoring::remark::Found;
use crate::monitoring::role::Role;
use crate::monitoring::walk::{Rendering, Walk};
use crate::monitoring::{ALERTMANAGER, Monitoring, PROMETHEUS, RULES, matcher, promql};
use aiclipx_base::duration::Speed;

/// What the operator calls the namespace of what it scrapes.
const LABEL: &str = "namespace";
/// The label `service` of alerts on the monitoring itself.
const MONITORING: &str = "monitoring";
/// Annotations that are links.
const LINKS: [&str; 2] = ["dashboard_url", "runbook_url"];
/// Labels of a target that tell the exporter whom to ask, and how.
const PROBED: [&str; 2] = ["__param_target", "__param_module"];

/// An object: its name, the file that it is made of, and what it is.
type Object = (String, PathBuf, Node);

impl Monitoring {
    pub(super) fn operators_objects(&self, cluster: &Cluster) -> Result<Vec<Object>, Vec<Finding>> {
        let mut objects = Vec::new();
        let mut findings = Vec::new();
        for (path, node) in self.rule_files().filter(|(path, _)| self.is_of_the_service(path)) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            match self.held(path, node, cluster) {
                Ok(rules) => {
                    let rules = object("monitoring.coreos.com/v1", "PrometheusRule", &name, rules);
                    objects.push((name, path.to_owned(), rules));
                }
                Err(found) => findings.extend(found),
            }
        }
        if let Some(rules) = self.document(Path::new(ALERTMANAGER)).and_then(|node| node.get("inhibit_rules")) {
            let spec = Node::map([(
                "inhibitRules",
                Node::list(rules.items().iter().map(|rule| inhibition(rule, cluster.namespace.as_ref()))),
            )]);
            let config = object("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig", "app", spec);
            objects.push(("inhibitions".to_owned(), ALERTMANAGER.into(), config));
        }
        if let Some(configuration) = self.document(Path::new(PROMETHEUS)) {
            for job in configuration.items_of("scrape_configs") {
                objects.extend(self.probe(configuration, job, cluster));
            }
        }
        if findings.is_empty() { Ok(objects) } else { Err(findings) }
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

    /// Rules that hold in the cluster's namespace alone, with links that lead where it says, or none.
    fn held(&self, path: &Path, node: &Node, cluster: &Cluster) -> Result<Node, Vec<Finding>> {
        let file = self.named(path);
        let addresses = Addresses { external: cluster.external.clone(), ..Addresses::canonical() };
        let rendering = Rendering { addresses: &addresses, speed: Speed::PRODUCTION, recorded: &self.recorded };
        let mut walk = Walk {
            file: &file,
            source: None,
            layout: self.layout,
            rendering: Some(rendering),
            found: Found::default(),
        };
        let mut rules = node.clone();
        walk.visit(Role::Rules.shape(), &mut rules);
        let mut findings = walk.found.refused;
        let namespace = cluster.namespace.as_ref();
        for rule in rules.at("groups").items_mut().iter_mut().flat_map(|group| group.at("rules").items_mut()) {
            let expr = rule.at("expr");
            match promql::held_to(expr.as_text().unwrap_or_default(), LABEL, namespace) {
                Ok(text) => *expr = Node { line: expr.line, ..Node::text(text) },
                Err(what) => {
                    findings.push(Finding { file: file.clone(), line: expr.line, what, remedy: String::new() });
                }
            }
            rule.at("labels").set(LABEL, Node::text(namespace));
            if let Some(annotations) = rule.get_mut("annotations").filter(|_| cluster.external.is_none()) {
                annotations.entries_mut().retain(|entry| !LINKS.contains(&entry.key.as_str()));
            }
        }
        if findings.is_empty() { Ok(rules) } else { Err(findings) }
    }

    /// Whom the exporter asks, of each target of a job that says so in its labels.
    fn probe(&self, configuration: &Node, job: &Node, cluster: &Cluster) -> Option<Object> {
        let [by_file] = job.items_of("file_sd_configs") else { return None };
        let file = by_file.items_of("files").first()?.as_text()?;
        let group = self.document(&Path::new("prometheus").join(file))?.items().first()?;
        let labels = group.get("labels")?;
        let [target, module] = PROBED.map(|label| labels.text_of(label));
        let target = target?;
        let (exporter, port) = group.items_of("targets").first()?.as_text()?.rsplit_once(':')?;
        let time = |key| job.text_of(key).or_else(|| configuration.get("global")?.text_of(key));
        let mut prober = Node::map([("url", Node::text(format!("{exporter}.{}.svc:{port}", cluster.namespace)))]);
        if let Some(path) = job.text_of("metrics_path") {
            prober.set("path", Node::text(path));
        }
        let name = job.text_of("job_name")?;
        let mut spec = Node::map([("jobName", Node::text(name))]);
        for (key, time) in [("interval", time("scrape_interval")), ("scrapeTimeout", time("scrape_timeout"))] {
            spec.set(key, Node::text(time?));
        }
        spec.set("prober", prober);
        spec.set("module", Node::text(module?));
        let mut asked = Node::map([("static", Node::list([Node::text(target)]))]);
        for entry in labels.entries().iter().filter(|entry| !entry.key.starts_with("__")) {
            if entry.key == "instance" {
                // The operator calls it by the whole address.
                let named = [("targetLabel", Node::text("instance")), ("replacement", entry.node.clone())];
                asked.at("relabelingConfigs").push(Node::map(named));
            } else {
                asked.at("labels").set(&entry.key, entry.node.clone());
            }
        }
        spec.set("targets", Node::map([("staticConfig", asked)]));
        let kept = job.items_of("metric_relabel_configs").iter().map(relabelling);
        spec.set("metricRelabelings", Node::list(kept));
        Some((format!("{name}s"), PROMETHEUS.into(), object("monitoring.coreos.com/v1", "Probe", "app", spec)))
    }
}

/// A step of relabelling, whose keys the operator writes in its own way.
fn relabelling(step: &Node) -> Node {
    let key = |key: &str| match key {
        "source_labels" => "sourceLabels".to_owned(),
        "target_label" => "targetLabel".to_owned(),
        other => other.to_owned(),
    };
    Node::map(step.entries().iter().map(|entry| (key(&entry.key), entry.node.clone())))
}

/// Alertmanager's rule as the operator has it, both sides held to the namespace: that the operator does so by itself is a setting of
/// its own.
fn inhibition(rule: &Node, namespace: &str) -> Node {
    let own = || {
        let part = [("name", "namespace"), ("value", namespace), ("matchType", "=")];
        Node::map(part.map(|(key, text)| (key, Node::text(text))))
    };
    let matchers = |key: &str| {
        let read = rule.items_of(key).iter().filter_map(Node::as_text).filter_map(|text| matcher::parse(text).ok());
        Node::list(std::iter::once(own()).chain(read.flatten().map(|one| {
            let part = [("name", one.name), ("value", one.value), ("matchType", one.op.to_string())];
            Node::map(part.map(|(key, text)| (key, Node::text(text))))
        })))
    };
    Node::map([
        ("sourceMatch", matchers("source_matchers")),
        ("targetMatch", matchers("target_matchers")),
        ("equal", Node::list(rule.items_of("equal").iter().cloned())),
    ])
}

fn object(version: &str, kind: &str, name: &str, spec: Node) -> Node {
    let labels = Node::map([(COMPONENT, Node::text("app"))]);
    Node::map([
        ("apiVersion", Node::text(version)),
        ("kind", Node::text(kind)),
        ("metadata", Node::map([("name", Node::text(name)), ("labels", labels)])),
        ("spec", spec),
    ])
}

//! What selects pods selects some, ports have names that they have, and what a pod mounts or runs as is there.

use std::collections::{BTreeMap, BTreeSet};

use super::super::finding::Findings;
use super::deployment::{Deployment, Object, at, containers};
use aiclipx_model::monitoring::located::Node;

/// What every pod has: the lists of the overlays give it.
const STACK: (&str, &str) = ("app.kubernetes.io/part-of", "aiclipx");

type Labels<'a> = BTreeMap<&'a str, &'a str>;

pub(super) fn check(deployment: &Deployment, findings: &mut Findings) {
    let whole = || deployment.objects.iter().filter(|object| !object.is_patch);
    let pods: Vec<(Labels<'_>, &Node)> = whole()
        .filter_map(Object::template)
        .map(|template| (labels(at(template, "metadata.labels"), Some(STACK)), template))
        .collect();
    let services: Vec<(Labels<'_>, &Node)> = whole()
        .filter(|object| object.kind() == "Service")
        .map(|object| (labels(at(&object.node, "metadata.labels"), Some(STACK)), &object.node))
        .collect();
    for object in &deployment.objects {
        let chosen = if object.kind() == "ServiceMonitor" { &services } else { &pods };
        selectors(object, &object.node, chosen, findings);
        match object.kind() {
            "Service" => service(object, &pods, findings),
            "HorizontalPodAutoscaler" => scaled(object, deployment, findings),
            "StatefulSet" if !object.is_patch => headless(object, deployment, findings),
            _ => {}
        }
        if let Some(template) = object.template().filter(|_| !object.is_patch) {
            mounted(object, template, deployment, findings);
            probes(object, template, findings);
        }
    }
}

fn labels<'a>(node: Option<&'a Node>, more: Option<(&'a str, &'a str)>) -> Labels<'a> {
    let own = node.map_or(&[][..], Node::entries).iter();
    own.filter_map(|entry| Some((entry.key.as_str(), entry.node.as_text()?))).chain(more).collect()
}

/// Every selector below, but those of other namespaces.
fn selectors(object: &Object, node: &Node, chosen: &[(Labels<'_>, &Node)], findings: &mut Findings) {
    let selects = |wanted: &Labels<'_>| {
        chosen.iter().any(|(labels, _)| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
    };
    for entry in node.entries() {
        if entry.key == "namespaceSelector" || entry.key == "podSelector" && node.get("namespaceSelector").is_some() {
            continue;
        }
        if entry.key == "matchLabels" && !selects(&labels(Some(&entry.node), None)) {
            nobody(object, entry.line, &entry.node, findings);
        }
        if entry.key == "matchExpressions" {
            for expression in entry.node.items().iter().filter(|one| one.text_of("operator") == Some("In")) {
                let key = expression.text_of("key").unwrap_or_default();
                for value in expression.items_of("values") {
                    let wanted = value.as_text().map(|value| (key, value)).into_iter().collect();
                    if !selects(&wanted) {
                        nobody(object, value.line, value, findings);
                    }
                }
            }
        }
        selectors(object, &entry.node, chosen, findings);
    }
    for item in node.items() {
        selectors(object, item, chosen, findings);
    }
}

fn nobody(object: &Object, line: usize, selector: &Node, findings: &mut Findings) {
    let wanted = match selector.as_text() {
        Some(value) => value.to_owned(),
        None => labels(Some(selector), None)
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>()
            .join(","),
    };
    let what = format!("`{}` selects `{wanted}`, and nothing has these labels", object.name());
    findings.about("kubernetes/selector", object.name(), &object.file, line, what, "");
}

fn service(object: &Object, pods: &[(Labels<'_>, &Node)], findings: &mut Findings) {
    let Some(selector) = at(&object.node, "spec.selector") else { return };
    let wanted = labels(Some(selector), None);
    let selected: Vec<&Node> = pods
        .iter()
        .filter(|(labels, _)| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
        .map(|(_, template)| *template)
        .collect();
    if selected.is_empty() {
        nobody(object, selector.line, selector, findings);
    }
    for port in at(&object.node, "spec.ports").map_or(&[][..], Node::items) {
        let target = port.text_of("targetPort").unwrap_or_default();
        if !selected.iter().any(|template| containers(template).any(|container| has_port(container, target))) {
            let what = format!("`{}` leads to the port `{target}`, which its pods don't have", object.name());
            findings.about("kubernetes/selector", object.name(), &object.file, port.line_of("targetPort"), what, "");
        }
    }
}

fn has_port(container: &Node, name: &str) -> bool {
    container.items_of("ports").iter().any(|port| port.text_of("name") == Some(name))
}

/// The Service by which a set's pods have names of their own is there, and has no address.
fn headless(object: &Object, deployment: &Deployment, findings: &mut Findings) {
    let Some(named) = at(&object.node, "spec.serviceName") else { return };
    let is_it = |one: &&Object| one.kind() == "Service" && Some(one.name()) == named.as_text();
    let service = deployment.objects.iter().find(is_it);
    if service.and_then(|service| at(&service.node, "spec.clusterIP")?.as_text()) != Some("None") {
        let what = format!("`{}` names its pods by a Service that is not there, or not headless", object.name());
        findings.about("kubernetes/selector", object.name(), &object.file, named.line, what, "clusterIP: None");
    }
}

/// An autoscaler's target is there.
fn scaled(object: &Object, deployment: &Deployment, findings: &mut Findings) {
    let Some(target) = at(&object.node, "spec.scaleTargetRef") else { return };
    let is_it =
        |one: &&Object| Some(one.kind()) == target.text_of("kind") && Some(one.name()) == target.text_of("name");
    if !deployment.objects.iter().any(|one| is_it(&one)) {
        let what = format!("`{}` scales what is not there", object.name());
        findings.about("kubernetes/selector", object.name(), &object.file, target.line, what, "");
    }
}

fn probes(object: &Object, template: &Node, findings: &mut Findings) {
    for container in containers(template) {
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let Some(get) = container.get(probe).and_then(|probe| probe.get("httpGet")) else { continue };
            let Some(port) = get.text_of("port").filter(|port| !has_port(container, port)) else { continue };
            let what = format!("`{probe}` asks at the port `{port}`, which the container doesn't have");
            findings.about("kubernetes/selector", object.name(), &object.file, get.line_of("port"), what, "");
        }
    }
}

/// `ConfigMap`s, Secrets, claims and accounts that a pod names.
fn mounted(object: &Object, template: &Node, deployment: &Deployment, findings: &mut Findings) {
    let Some(spec) = template.get("spec") else { return };
    let is_made =
        |name: &str| deployment.lists.iter().any(|list| list.makes(name)) || deployment.has("ConfigMap", name);
    let mut missing =
        |line, what: String| findings.about("kubernetes/missing", object.name(), &object.file, line, what, "");
    match spec.text_of("serviceAccountName") {
        Some(name) if deployment.has("ServiceAccount", name) => {}
        Some(name) => missing(spec.line_of("serviceAccountName"), format!("there is no ServiceAccount `{name}`")),
        None => missing(spec.line, "it runs as the namespace's own account: it has no `serviceAccountName`".to_owned()),
    }
    let claims = at(&object.node, "spec.volumeClaimTemplates").map_or(&[][..], Node::items);
    let claims = claims.iter().filter_map(|claim| at(claim, "metadata.name")?.as_text());
    let mut volumes: BTreeSet<&str> = claims.collect();
    for volume in spec.items_of("volumes") {
        volumes.extend(volume.text_of("name"));
        if let Some(map) = volume.get("configMap").and_then(|map| map.text_of("name")).filter(|name| !is_made(name)) {
            missing(volume.line, format!("there is no ConfigMap `{map}`"));
        }
        let claim = at(volume, "persistentVolumeClaim.claimName").and_then(Node::as_text);
        if let Some(claim) = claim.filter(|name| !deployment.has("PersistentVolumeClaim", name)) {
            missing(volume.line, format!("there is no PersistentVolumeClaim `{claim}`"));
        }
    }
    for container in containers(template) {
        for mount in container.items_of("volumeMounts") {
            let name = mount.text_of("name").unwrap_or_default();
            if !volumes.contains(name) {
                missing(mount.line, format!("there is no volume `{name}`"));
            }
        }
    }
}

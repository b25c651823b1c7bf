//! Pods are held back as compose.yaml's services are, whose table of images and limits this is held to; and they stop in time.

use std::time::Duration;

use super::super::compose::or_else;
use super::super::environment::{self, Given};
use super::super::finding::Findings;
use super::deployment::{Deployment, Object, at, containers};
use aiclipx_base::duration;
use aiclipx_model::monitoring::located::{Node, Value};

/// What holds of each pod, and of each container.
const OF_POD: [(&str, &str); 3] = [
    ("enableServiceLinks", "false"),
    ("securityContext.runAsNonRoot", "true"),
    ("securityContext.seccompProfile.type", "RuntimeDefault"),
];
const OF_CONTAINER: [(&str, &str); 2] =
    [("securityContext.allowPrivilegeEscalation", "false"), ("securityContext.readOnlyRootFilesystem", "true")];
/// What takes a pod's walls away.
const OPEN: [&str; 4] = ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"];
/// The one that asks the cluster something, and so has a token.
const ASKS: &str = "prometheus";
/// The service's container.
const SERVICE: &str = "app";
/// As long as Kubernetes waits where nothing is said.
const GRACE: Duration = Duration::from_secs(30);
/// What a service that has drained takes to write its last lines.
const LAST_LINES: Duration = Duration::from_secs(5);

/// What is wrong with one object.
struct Pods<'a> {
    object: &'a Object,
    findings: &'a mut Findings,
}

pub(super) fn check(deployment: &Deployment, findings: &mut Findings) {
    for object in deployment.objects.iter().filter(|object| !object.is_patch) {
        let Some(template) = object.template() else { continue };
        let mut pods = Pods { object, findings };
        pods.pod(template);
        for container in containers(template) {
            pods.container(container);
            if let Some(compose) = &deployment.compose {
                pods.as_compose_has_it(container, compose);
            }
        }
        pods.stop(template, deployment.compose.as_ref());
        pods.readiness(template);
        pods.shards();
    }
}

impl Pods<'_> {
    fn find(&mut self, name: &'static str, line: usize, what: String, remedy: &str) {
        let Object { file, .. } = self.object;
        self.findings.about(name, self.object.name(), file, line, what, remedy);
    }

    /// A value that has to be there.
    fn must(&mut self, node: &Node, line: usize, keys: &str, wanted: &str) {
        let there = at(node, keys);
        if there.map(plain).as_deref() != Some(wanted) {
            let line = there.map_or(line, |node| node.line);
            let what = format!("`{}` has no `{keys}: {wanted}`", self.object.name());
            self.find("kubernetes/open", line, what, "a pod may do no more than it has to");
        }
    }

    fn pod(&mut self, template: &Node) {
        let Some(spec) = template.get("spec") else { return };
        let line = template.line_of("spec");
        for (keys, wanted) in OF_POD {
            self.must(spec, line, keys, wanted);
        }
        if spec.text_of("serviceAccountName") != Some(ASKS) {
            self.must(spec, line, "automountServiceAccountToken", "false");
        }
        for entry in
            spec.entries().iter().filter(|entry| OPEN.contains(&entry.key.as_str()) && plain(&entry.node) != "false")
        {
            let what = format!("`{}` has `{}`", self.object.name(), entry.key);
            self.find("kubernetes/open", entry.line, what, "a pod without walls");
        }
        for volume in spec.items_of("volumes").iter().filter(|volume| volume.get("hostPath").is_some()) {
            let what = format!("`{}` mounts a folder of its node", self.object.name());
            self.find("kubernetes/open", volume.line_of("hostPath"), what, "");
        }
    }

    fn container(&mut self, container: &Node) {
        for (keys, wanted) in OF_CONTAINER {
            self.must(container, container.line, keys, wanted);
        }
        let name = container.text_of("name").unwrap_or_default();
        let capabilities = at(container, "securityContext.capabilities");
        let dropped = capabilities.map_or(&[][..], |node| node.items_of("drop"));
        if !dropped.iter().any(|one| one.as_text() == Some("ALL"))
            || capabilities.is_some_and(|node| node.get("add").is_some())
        {
            let what = format!("`{name}` keeps capabilities");
            self.find(
                "kubernetes/open",
                capabilities.map_or(container.line, |node| node.line),
                what,
                "capabilities: {drop: [ALL]}",
            );
        }
        for held in ["cpu", "memory"] {
            if at(container, &format!("resources.limits.{held}")).is_none() {
                let what = format!("`{name}` has no limit of {held}");
                self.find("kubernetes/limit", container.line, what, "it could take all there is");
            }
        }
        if is_service(container) {
            for (line, what) in environment::wrong(&given(container), container.line) {
                self.find("kubernetes/setting", line, what, "aiclipx-app --help");
            }
        }
    }

    /// The image is one of compose.yaml's, and the limits are those of its service of that name.
    fn as_compose_has_it(&mut self, container: &Node, compose: &Node) {
        let services = compose.get("services").map_or(&[][..], Node::entries);
        let images: Vec<&str> =
            services.iter().filter_map(|service| service.node.text_of("image").map(or_else)).collect();
        let image = container.text_of("image").unwrap_or_default();
        if !images.contains(&image) {
            let what = format!("`{image}` is none of the images that compose.yaml names");
            self.find("kubernetes/image", container.line_of("image"), what, "that file is the one table of them");
        }
        let name = container.text_of("name").unwrap_or_default();
        let Some(service) = services.iter().find(|service| service.key == name) else { return };
        let limit = |key: &str| at(container, "resources.limits").and_then(|limits| limits.get(key));
        for (key, told) in [("memory", "mem_limit"), ("cpu", "cpus")] {
            let wanted = service.node.get(told).map(plain).and_then(|text| quantity(or_else(&text), Of::Compose));
            let Some(limit) = limit(key) else { continue };
            let there = quantity(&plain(limit), Of::Kubernetes);
            if there.is_none() || wanted.is_some() && wanted != there {
                let wanted = service.node.get(told).map(plain).unwrap_or_default();
                let what = format!(
                    "the limit of {key} of `{name}` is `{}`, and compose.yaml has `{told}: {wanted}`",
                    plain(limit)
                );
                self.find("kubernetes/limit", limit.line, what, "");
            }
        }
    }

    /// It is not killed before it has had the time that it may take.
    fn stop(&mut self, template: &Node, compose: Option<&Node>) {
        let Some(spec) = template.get("spec") else { return };
        let grace = spec.get("terminationGracePeriodSeconds");
        let seconds = grace.and_then(Node::as_number).map_or(GRACE, Duration::from_secs_f64);
        let line = grace.map_or_else(|| template.line_of("spec"), |node| node.line);
        // What prepares a pod has ended by then.
        for container in spec.items_of("containers") {
            let name = container.text_of("name").unwrap_or_default();
            let told = compose.and_then(|compose| at(compose, &format!("services.{name}.stop_grace_period")));
            let told = told.and_then(Node::as_text).and_then(|text| duration::parse(text).ok()).unwrap_or_default();
            // That of the service follows from what it is told here.
            let wanted = match environment::read(&given(container)) {
                Ok(config) if is_service(container) => config.drain_delay + config.drain_timeout + LAST_LINES,
                _ => told,
            };
            if seconds < wanted {
                let (wanted, seconds) = (wanted.as_secs(), seconds.as_secs());
                let what = format!("`{name}` may take {wanted} s to stop, and is killed after {seconds}");
                let remedy = "APP_DRAIN_DELAY + APP_DRAIN_TIMEOUT + 5 s; of others stop_grace_period in compose.yaml";
                self.find("kubernetes/drain", line, what, remedy);
            }
        }
    }

    /// One answer that is late takes nobody out; and of the service, who asks has seen that it isn't ready before it serves no more.
    fn readiness(&mut self, template: &Node) {
        for container in containers(template) {
            let Some(probe) = container.get("readinessProbe") else { continue };
            let told = |key: &str, usual: f64| probe.get(key).and_then(Node::as_number).unwrap_or(usual);
            let (times, line) = (told("failureThreshold", 3.0), probe.line_of("failureThreshold"));
            if times < 2.0 {
                let what = "one answer that is late takes it out: `failureThreshold` of `readinessProbe`".to_owned();
                self.find(
                    "kubernetes/readiness",
                    line,
                    what,
                    "two or more; all replicas may be short of a processor at once",
                );
            }
            let seen = Duration::from_secs_f64(told("periodSeconds", 10.0) * times + told("timeoutSeconds", 1.0));
            match environment::read(&given(container)) {
                Ok(config) if is_service(container) && seen > config.drain_delay => {
                    let (seen, delay) = (seen.as_secs(), config.drain_delay.as_secs());
                    let what = format!("that it isn't ready is seen after {seen} s, and it serves on for {delay}");
                    self.find("kubernetes/readiness", line, what, "a longer APP_DRAIN_DELAY, or probes more often");
                }
                _ => {}
            }
        }
    }

    /// A Job has as many pods as its traffic has shards, and they begin together.
    fn shards(&mut self) {
        let Some(completions) = at(&self.object.node, "spec.completions") else { return };
        let shards =
            self.object.template().into_iter().flat_map(containers).flat_map(|container| container.items_of("env"));
        let shards = shards.filter(|variable| variable.text_of("name") == Some("SHARDS"));
        for told in shards.filter_map(|variable| variable.get("value")).filter(|told| plain(told) != plain(completions))
        {
            let what = format!("{} shards, and {} pods", plain(told), plain(completions));
            self.find("kubernetes/shards", told.line, what, "`completions` is as many as SHARDS");
        }
        for container in self.object.template().into_iter().flat_map(containers) {
            let has = |option: &str| {
                container.items_of("args").iter().filter_map(Node::as_text).any(|one| one.starts_with(option))
            };
            if has("--shard=") && !has("--start-at=") {
                let what = "its pods begin when each comes up, and not together".to_owned();
                self.find("kubernetes/shards", container.line_of("args"), what, "--start-at=$(START_AT)");
            }
        }
    }
}

/// Whether the service runs in it, rather than what prepares a pod or stands beside it.
fn is_service(container: &Node) -> bool {
    container.text_of("name") == Some(SERVICE)
}

/// The variables that a container is given by value: what comes from a Secret nobody knows here.
pub(super) fn given(container: &Node) -> Vec<Given> {
    let variables = container.items_of("env").iter();
    let by_value = variables.filter_map(|variable| {
        let (name, value) = (variable.text_of("name")?, variable.get("value")?);
        Some(Given { name: name.to_owned(), value: plain(value), line: value.line })
    });
    by_value.collect()
}

/// A scalar as text; nothing of anything else.
fn plain(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Switch(switch) => switch.to_string(),
        _ => String::new(),
    }
}

/// Whose units.
#[derive(Clone, Copy)]
enum Of {
    /// `m` is a megabyte of 1024 kilobytes.
    Compose,
    /// `m` is a thousandth.
    Kubernetes,
}

/// Bytes, or processors, in thousandths.
fn quantity(text: &str, of: Of) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let thousandths = match (of, unit) {
        (_, "") => 1000.0,
        (Of::Kubernetes, "m") => 1.0,
        (Of::Compose, "k") | (Of::Kubernetes, "Ki") => 1000.0 * 1024.0,
        (Of::Compose, "m") | (Of::Kubernetes, "Mi") => 1000.0 * 1024.0 * 1024.0,
        (Of::Compose, "g") | (Of::Kubernetes, "Gi") => 1000.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let all = number.parse::<f64>().ok()? * thousandths;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "no sign was read, and it is far below"
    )]
    let all = all.round() as u64;
    Some(all)
}

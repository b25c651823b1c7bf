//! A service by itself: reachable from this machine alone, held back, of a version, and its files where they are looked for.

use super::super::environment::{self, Given};
use super::super::finding::Findings;
use super::super::tree::COMPOSE;
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::monitoring::located::{Entry, Node, Value};

/// Those of root, for what they are: one gives a file to another user, one reads the engine's files.
const OF_ROOT: [&str; 2] = ["secrets", "vector"];
/// To read a .env that is its owner's alone, and to give files away; `secrets` has these, and nobody else any.
const GIVEN: [&str; 2] = ["CHOWN", "DAC_OVERRIDE"];
/// What takes a container's walls away.
const OPEN: [&str; 6] = ["privileged", "devices", "pid", "ipc", "userns_mode", "cgroup_parent"];
/// What holds a service back.
const HELD: [&str; 7] = ["read_only", "cap_drop", "security_opt", "restart", "mem_limit", "cpus", "pids_limit"];
const CONDITIONS: [&str; 3] = ["service_started", "service_healthy", "service_completed_successfully"];

/// A service by its name.
pub(super) struct Service<'a> {
    pub(super) name: &'a str,
    pub(super) node: &'a Node,
    pub(super) line: usize,
}

impl Service<'_> {
    pub(super) fn check(&self, findings: &mut Findings) {
        let named = self.node.get("image").is_some() || self.node.get("build").is_some();
        if !named {
            let what = format!("`{}` has neither `image` nor `build`", self.name);
            self.find(findings, "compose/image", self.line, what, "");
        }
        self.published(findings);
        self.held(findings);
        self.powers(findings);
        self.memory(findings);
        self.version(findings);
        self.conditions(findings);
        self.mounts(findings);
        self.network(findings);
        if self.name == "app" {
            self.settings(findings);
        }
    }

    pub(super) fn find(&self, findings: &mut Findings, code: &'static str, line: usize, what: String, remedy: &str) {
        findings.about(code, self.name, COMPOSE, line, what, remedy);
    }

    /// What a list or a map names, with the lines.
    pub(super) fn names_of(&self, key: &str) -> Vec<(usize, &str)> {
        let listed = self.node.items_of(key).iter().filter_map(|node| Some((node.line, node.as_text()?)));
        let mapped = self.node.get(key).map_or(&[][..], Node::entries).iter();
        listed.chain(mapped.map(|entry| (entry.line, entry.key.as_str()))).collect()
    }

    /// Its ports: for this machine alone, and such as it listens on.
    fn published(&self, findings: &mut Findings) {
        let Service { name, node, .. } = self;
        for port in node.items_of("ports") {
            let text = port.as_text().or_else(|| port.text_of("host_ip")).unwrap_or_default();
            let host = if text.starts_with("${") { or_else(text) } else { text };
            if !["127.", "[::1]", "::1"].iter().any(|loopback| host.starts_with(loopback)) {
                let what = format!("`{name}` is published beyond this machine: `{text}`");
                self.find(findings, "compose/published", port.line, what, "127.0.0.1:");
            }
            let inside =
                port.as_text().and_then(|text| text.rsplit(':').next()?.split('/').next()?.parse::<u16>().ok());
            let wanted = ports().into_iter().find(|(known, _)| known == name).map(|(_, port)| port);
            if let (Some(inside), Some(wanted)) = (inside, wanted)
                && inside != wanted
            {
                let what = format!("`{name}` listens on {wanted}: `{text}`");
                self.find(findings, "compose/port", port.line, what, "");
            }
        }
    }

    /// What holds it back is there, and it comes back when it ends.
    fn held(&self, findings: &mut Findings) {
        let Service { name, node, line } = self;
        // What it may take can stand there, too.
        let is_deployed =
            |key: &&str| node.get("deploy").is_some() && ["mem_limit", "cpus", "pids_limit"].contains(key);
        for key in HELD.into_iter().filter(|key| node.get(key).is_none() && !is_deployed(key)) {
            let what = format!("`{name}` has no `{key}`");
            self.find(findings, "compose/limit", *line, what, "it could take all there is");
        }
        if node.text_of("restart") == Some("no") && *name != "secrets" {
            let what = format!("`{name}` does not come back");
            self.find(findings, "compose/restart", node.line_of("restart"), what, "restart: unless-stopped");
        }
    }

    /// It may do no more than it has to.
    fn powers(&self, findings: &mut Findings) {
        let Service { name, node, .. } = self;
        for key in OPEN.into_iter().filter(|key| node.get(key).is_some()) {
            let what = format!("`{name}` has `{key}`");
            self.find(findings, "compose/open", node.line_of(key), what, "a container that is none");
        }
        if node.get("read_only").is_some_and(|one| one.value == Value::Switch(false)) {
            let what = format!("`{name}` may write to its image");
            self.find(findings, "compose/writable", node.line_of("read_only"), what, "");
        }
        let is_all = |one: &Node| one.as_text().is_some_and(|text| text.eq_ignore_ascii_case("all"));
        if !node.items_of("cap_drop").iter().any(is_all) && node.get("cap_drop").is_some() {
            let what = format!("`{name}` keeps capabilities");
            self.find(findings, "compose/capabilities", node.line_of("cap_drop"), what, "cap_drop: [ALL]");
        }
        for given in node.items_of("cap_add") {
            let power = given.as_text().unwrap_or_default();
            if *name != "secrets" || !GIVEN.contains(&power) {
                let what = format!("`{name}` is given `{power}`");
                self.find(findings, "compose/capabilities", given.line, what, "take it off: what needs it?");
            }
        }
        // Without one it is the image's.
        let user = node.text_of("user").and_then(|user| user.split(':').next());
        if user.is_some_and(|user| ["0", "root"].contains(&user)) && !OF_ROOT.contains(name) {
            self.find(findings, "compose/root", node.line_of("user"), format!("`{name}` runs as root"), "");
        }
    }

    /// Its limit of memory is a size.
    fn memory(&self, findings: &mut Findings) {
        let Some(memory) = self.node.text_of("mem_limit").map(or_else) else { return };
        let lower = memory.to_ascii_lowercase();
        let digits = lower.strip_suffix('b').unwrap_or(&lower);
        let digits = digits.strip_suffix('i').unwrap_or(digits);
        let digits = digits.strip_suffix(['k', 'm', 'g', 't', 'p']).unwrap_or(digits).trim_end();
        if !memory.contains('$') && digits.parse::<f64>().is_err() {
            let line = self.node.line_of("mem_limit");
            self.find(findings, "compose/size", line, format!("`{memory}` is no size"), "like 64m");
        }
    }

    /// Its image is of a version, unless it is built here.
    fn version(&self, findings: &mut Findings) {
        let Some(image) = self.node.text_of("image").map(or_else) else { return };
        let tag = image.split('@').next().and_then(|name| name.rsplit('/').next()?.split_once(':')).map(|(_, tag)| tag);
        let is_known = image.starts_with("localhost/") || image.contains(['@', '$']);
        if !is_known && tag.is_none_or(|tag| tag == "latest") {
            let line = self.node.line_of("image");
            let what = format!("`{image}` is of no version");
            self.find(findings, "compose/version", line, what, "name one: the next pull brings another");
        }
    }

    /// What it waits for can come true.
    fn conditions(&self, findings: &mut Findings) {
        for wanted in self.node.get("depends_on").map_or(&[][..], Node::entries) {
            if let Some(condition) = wanted.node.text_of("condition").filter(|text| !CONDITIONS.contains(text)) {
                let line = wanted.node.line_of("condition");
                let what = format!("`{condition}` is no condition");
                self.find(findings, "compose/condition", line, what, &CONDITIONS.join(", "));
            }
        }
    }

    /// What of monitoring/ it has is where its program looks, and to be read alone; the engine's socket it has not.
    fn mounts(&self, findings: &mut Findings) {
        let Service { name, node, .. } = self;
        for volume in node.items_of("volumes") {
            let text = volume.as_text().unwrap_or_default();
            let parts: Vec<&str> = text.split(':').collect();
            if text.contains("docker.sock") || text.contains("podman.sock") {
                let what = format!("`{name}` has the engine's socket: it is root on this machine");
                self.find(findings, "compose/socket", volume.line, what, "");
            }
            let Some(below) = parts[0].strip_prefix("./monitoring/") else { continue };
            let wanted = format!("/etc/{below}");
            if parts.get(1) != Some(&wanted.as_str()) {
                let what = format!("`{name}` has {below} at {}", parts.get(1).unwrap_or(&""));
                self.find(findings, "compose/mount", volume.line, what, &wanted);
            }
            if !parts.get(2).is_some_and(|options| options.split(',').any(|one| one == "ro")) {
                let what = format!("`{name}` may write to {}", parts[0]);
                self.find(findings, "compose/writable", volume.line, what, ":ro");
            }
        }
    }

    /// It is where the others reach it.
    fn network(&self, findings: &mut Findings) {
        let is_inside = self.names_of("networks").iter().any(|(_, network)| *network == "monitoring");
        if self.node.get("network_mode").is_none() && !is_inside {
            let what = format!("`{}` is not in the network `monitoring`: nobody reaches it there", self.name);
            self.find(findings, "compose/network", self.node.line_of("networks"), what, "");
        }
    }

    /// The service's own settings are such as it has.
    fn settings(&self, findings: &mut Findings) {
        let entries = self.node.get("environment").map_or(&[][..], Node::entries);
        let value = |entry: &Entry| or_else(entry.node.as_text().unwrap_or_default()).to_owned();
        let given: Vec<Given> =
            entries.iter().map(|one| Given { name: one.key.clone(), value: value(one), line: one.line }).collect();
        for (line, what) in environment::wrong(&given, self.line) {
            self.find(findings, "compose/setting", line, what, "aiclipx-app --help");
        }
    }
}

/// Of `${NAME:-this}` this, which holds where the environment names nothing.
pub(in super::super) fn or_else(text: &str) -> &str {
    text.split_once(":-").map_or(text, |(_, rest)| rest.trim_end_matches('}'))
}

/// What is published, by its service, and the port it listens on.
fn ports() -> [(&'static str, u16); 5] {
    let at = Addresses::canonical();
    [
        ("app", at.app[0].port),
        ("receiver", at.receiver.port),
        ("prometheus", at.prometheus.port),
        ("alertmanager", at.alertmanager.port),
        ("grafana", at.dashboards.port),
    ]
}

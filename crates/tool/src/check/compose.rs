//! compose.yaml: what its services mount, join, wait for and share is there, and no key is one that engines leave out in silence.

use std::path::Path;

use super::finding::Findings;
use aiclipx_app::config;
use aiclipx_model::failure::Failure;
use aiclipx_model::files;
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::monitoring::located::{self, Entry, Node, Value};

pub(super) const FILE: &str = "compose.yaml";
const KEYS: [&str; 8] = ["configs", "include", "models", "name", "networks", "secrets", "services", "volumes"];
/// A service's, as the Compose Specification has them.
const OF_SERVICE: [&str; 92] = [
    "annotations",
    "attach",
    "blkio_config",
    "build",
    "cap_add",
    "cap_drop",
    "cgroup",
    "cgroup_parent",
    "command",
    "configs",
    "container_name",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpus",
    "cpuset",
    "credential_spec",
    "depends_on",
    "deploy",
    "develop",
    "device_cgroup_rules",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "driver_opts",
    "entrypoint",
    "env_file",
    "environment",
    "expose",
    "extends",
    "external_links",
    "extra_hosts",
    "gpus",
    "group_add",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "ipc",
    "isolation",
    "label_file",
    "labels",
    "links",
    "logging",
    "mac_address",
    "mem_limit",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "models",
    "network_mode",
    "networks",
    "oom_kill_disable",
    "oom_score_adj",
    "pid",
    "pids_limit",
    "platform",
    "ports",
    "post_start",
    "pre_stop",
    "privileged",
    "profiles",
    "provider",
    "pull_policy",
    "read_only",
    "restart",
    "runtime",
    "scale",
    "secrets",
    "security_opt",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "storage_opt",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "use_api_socket",
    "user",
    "userns_mode",
    "uts",
    "volumes",
    "volumes_from",
    "working_dir",
];

/// Where there is none, as beside an installed tool, nothing is checked.
pub(super) fn check(root: &Path, findings: &mut Findings) -> Result<(), Failure> {
    let bytes = match files::read(&root.join(FILE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::usage(format!("cannot read {FILE}: {error}"))),
    };
    match located::read(&bytes) {
        Ok(document) => of(root, &document, findings),
        Err((line, what)) => findings.find("compose/file", FILE, line, what, ""),
    }
    Ok(())
}

fn of(root: &Path, document: &Node, findings: &mut Findings) {
    let entries = |key| document.get(key).map_or(&[][..], Node::entries);
    let has = |key, name: &str| entries(key).iter().any(|entry| entry.key == name);
    for entry in document.entries() {
        if !KEYS.contains(&entry.key.as_str()) && !entry.key.starts_with("x-") {
            findings.find(
                "compose/key",
                FILE,
                entry.line,
                format!("unknown key `{}`", entry.key),
                format!("known here: {}", KEYS.join(", ")),
            );
        }
    }
    if entries("services").is_empty() {
        findings.find("compose/file", FILE, 0, "no service", "");
    }
    if document.get("networks").and_then(|node| node.get("monitoring")?.get("internal")).map(|node| &node.value)
        != Some(&Value::Switch(true))
    {
        let line = document.get("networks").map_or(0, |node| node.line_of("monitoring"));
        findings.find("compose/network", FILE, line, "the network `monitoring` leads outside", "internal: true");
    }
    for service in entries("services") {
        let (name, node) = (&service.key, &service.node);
        for entry in node.entries() {
            if !OF_SERVICE.contains(&entry.key.as_str()) && !entry.key.starts_with("x-") {
                findings.about(
                    "compose/key",
                    name,
                    FILE,
                    entry.line,
                    format!("`{name}` has an unknown key `{}`", entry.key),
                    "",
                );
            }
        }
        if node.get("image").is_none() && node.get("build").is_none() {
            findings.about(
                "compose/image",
                name,
                FILE,
                service.line,
                format!("`{name}` has neither `image` nor `build`"),
                "",
            );
        }
        safe(name, node, service.line, findings);
        for (key, where_) in [("networks", "networks"), ("depends_on", "services")] {
            for (line, wanted) in names_of(node, key) {
                if !has(where_, wanted) {
                    findings.about(
                        "compose/missing",
                        name,
                        FILE,
                        line,
                        format!("`{name}` names `{wanted}`, which is not among the {where_}"),
                        "",
                    );
                }
            }
        }
        for (line, path) in paths_of(node) {
            if !root.join(&path).exists() {
                findings.about(
                    "compose/missing",
                    name,
                    FILE,
                    line,
                    format!("`{name}` is told of {path}, which is not there"),
                    "",
                );
            }
        }
        for volume in node.items_of("volumes") {
            let Some(source) = volume.as_text().and_then(|text| text.split(':').next()) else { continue };
            let is_path = source.starts_with(['.', '/', '~', '$']);
            if let Some(inside) = source.strip_prefix("./")
                && !root.join(inside).exists()
            {
                // An engine would make an empty folder of that name.
                findings.about(
                    "compose/missing",
                    name,
                    FILE,
                    volume.line,
                    format!("`{name}` mounts {source}, which is not there"),
                    "",
                );
            } else if !is_path && !has("volumes", source) {
                findings.about(
                    "compose/missing",
                    name,
                    FILE,
                    volume.line,
                    format!("`{name}` mounts `{source}`, which is not among the volumes"),
                    "",
                );
            }
        }
    }
}

/// Those of root, for what they are: one gives a file to another user, one reads the engine's files.
const OF_ROOT: [&str; 2] = ["secrets", "vector"];
/// What takes a container's walls away.
const OPEN: [&str; 6] = ["privileged", "devices", "pid", "ipc", "userns_mode", "cgroup_parent"];
/// What holds a service back.
const HELD: [&str; 7] = ["read_only", "cap_drop", "security_opt", "restart", "mem_limit", "cpus", "pids_limit"];
const CONDITIONS: [&str; 3] = ["service_started", "service_healthy", "service_completed_successfully"];

/// Nothing is reachable from elsewhere or may do more than it has to; files lie where they are looked for.
fn safe(name: &str, node: &Node, line: usize, findings: &mut Findings) {
    let mut find = |code, line, what: String, remedy: &str| findings.about(code, name, FILE, line, what, remedy);
    for port in node.items_of("ports") {
        let text = port.as_text().or_else(|| port.text_of("host_ip")).unwrap_or_default();
        let host = text.strip_prefix("${").and_then(|rest| Some(rest.split_once(":-")?.1)).unwrap_or(text);
        if !["127.", "[::1]", "::1"].iter().any(|loopback| host.starts_with(loopback)) {
            find(
                "compose/published",
                port.line,
                format!("`{name}` is published beyond this machine: `{text}`"),
                "127.0.0.1:",
            );
        }
        let inside = port.as_text().and_then(|text| text.rsplit(':').next()?.split('/').next()?.parse::<u16>().ok());
        let wanted = ports().into_iter().find(|(known, _)| *known == name).map(|(_, port)| port);
        if let (Some(inside), Some(wanted)) = (inside, wanted)
            && inside != wanted
        {
            find("compose/port", port.line, format!("`{name}` listens on {wanted}: `{text}`"), "");
        }
    }
    // What it may take can stand there, too.
    let is_deployed = |key: &&str| node.get("deploy").is_some() && ["mem_limit", "cpus", "pids_limit"].contains(key);
    for key in HELD.into_iter().filter(|key| node.get(key).is_none() && !is_deployed(key)) {
        find("compose/limit", line, format!("`{name}` has no `{key}`"), "it could take all there is");
    }
    for key in OPEN.into_iter().filter(|key| node.get(key).is_some()) {
        find("compose/open", node.line_of(key), format!("`{name}` has `{key}`"), "a container that is none");
    }
    if node.get("read_only").is_some_and(|one| one.value == Value::Switch(false)) {
        find("compose/writable", node.line_of("read_only"), format!("`{name}` may write to its image"), "");
    }
    let is_all = |one: &Node| one.as_text().is_some_and(|text| text.eq_ignore_ascii_case("all"));
    if !node.items_of("cap_drop").iter().any(is_all) && node.get("cap_drop").is_some() {
        find(
            "compose/capabilities",
            node.line_of("cap_drop"),
            format!("`{name}` keeps capabilities"),
            "cap_drop: [ALL]",
        );
    }
    // Without one it is the image's.
    let user = node.text_of("user").and_then(|user| user.split(':').next());
    if user.is_some_and(|user| ["0", "root"].contains(&user)) && !OF_ROOT.contains(&name) {
        find("compose/root", node.line_of("user"), format!("`{name}` runs as root"), "");
    }
    if node.text_of("restart") == Some("no") && name != "secrets" {
        find(
            "compose/restart",
            node.line_of("restart"),
            format!("`{name}` does not come back"),
            "restart: unless-stopped",
        );
    }
    if let Some(memory) = node.text_of("mem_limit") {
        let memory = memory.split_once(":-").map_or(memory, |(_, rest)| rest.trim_end_matches('}'));
        let lower = memory.to_ascii_lowercase();
        let digits = lower.strip_suffix('b').unwrap_or(&lower);
        let digits = digits.strip_suffix('i').unwrap_or(digits);
        let digits = digits.strip_suffix(['k', 'm', 'g', 't', 'p']).unwrap_or(digits).trim_end();
        if !memory.contains('$') && digits.parse::<f64>().is_err() {
            find("compose/size", node.line_of("mem_limit"), format!("`{memory}` is no size"), "like 64m");
        }
    }
    if let Some(image) = node.text_of("image") {
        let image = image.split_once(":-").map_or(image, |(_, rest)| rest.trim_end_matches('}'));
        let tag = image.split('@').next().and_then(|name| name.rsplit('/').next()?.split_once(':')).map(|(_, tag)| tag);
        let is_known = image.starts_with("localhost/") || image.contains(['@', '$']);
        if !is_known && tag.is_none_or(|tag| tag == "latest") {
            find(
                "compose/version",
                node.line_of("image"),
                format!("`{image}` is of no version"),
                "name one: the next pull brings another",
            );
        }
    }
    for wanted in node.get("depends_on").map_or(&[][..], Node::entries) {
        if let Some(condition) = wanted.node.text_of("condition").filter(|text| !CONDITIONS.contains(text)) {
            find(
                "compose/condition",
                wanted.node.line_of("condition"),
                format!("`{condition}` is no condition"),
                &CONDITIONS.join(", "),
            );
        }
    }
    for volume in node.items_of("volumes") {
        let text = volume.as_text().unwrap_or_default();
        let parts: Vec<&str> = text.split(':').collect();
        if text.contains("docker.sock") || text.contains("podman.sock") {
            find(
                "compose/socket",
                volume.line,
                format!("`{name}` has the engine's socket: it is root on this machine"),
                "",
            );
        }
        let Some(below) = parts[0].strip_prefix("./monitoring/") else { continue };
        if parts.get(1) != Some(&format!("/etc/{below}").as_str()) {
            find(
                "compose/mount",
                volume.line,
                format!("`{name}` has {below} at {}", parts.get(1).unwrap_or(&"")),
                &format!("/etc/{below}"),
            );
        }
        if !parts.get(2).is_some_and(|options| options.split(',').any(|one| one == "ro")) {
            find("compose/writable", volume.line, format!("`{name}` may write to {}", parts[0]), ":ro");
        }
    }
    let networks = names_of(node, "networks");
    if node.get("network_mode").is_none() && !networks.iter().any(|(_, network)| *network == "monitoring") {
        find(
            "compose/network",
            node.line_of("networks"),
            format!("`{name}` is not in the network `monitoring`: nobody reaches it there"),
            "",
        );
    }
    if name == "app" {
        let entries = node.get("environment").map_or(&[][..], Node::entries);
        let value = |entry: &Entry| {
            let text = entry.node.as_text().unwrap_or_default();
            text.split_once(":-").map_or(text, |(_, rest)| rest.trim_end_matches('}')).to_owned()
        };
        if let Some(strange) = config::unknown_variables(entries.iter().map(|one| (one.key.clone(), value(one)))) {
            let line = entries.iter().find(|entry| strange.contains(&entry.key)).map_or(line, |entry| entry.line);
            find("compose/setting", line, format!("{strange}: the service has no such setting"), "aiclipx-app --help");
        }
        let given = |key: &str| entries.iter().find(|entry| entry.key == key).map(value);
        for error in config::Config::read(given).err().unwrap_or_default() {
            let line = entries.iter().find(|entry| error.starts_with(&entry.key)).map_or(line, |entry| entry.line);
            find("compose/setting", line, error, "");
        }
    }
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

/// Files of the tree that a service's command names by where they are mounted, with the lines.
fn paths_of(service: &Node) -> Vec<(usize, String)> {
    let mounts: Vec<(&str, &str)> = service
        .items_of("volumes")
        .iter()
        .filter_map(|volume| volume.as_text()?.strip_prefix("./")?.split_once(':'))
        .map(|(source, target)| (source, target.split(':').next().unwrap_or_default()))
        .collect();
    let mut found = Vec::new();
    for word in service.items_of("command") {
        let text = word.as_text().unwrap_or_default();
        let path = text.split_once('=').map_or(text, |(_, path)| path);
        for (source, target) in &mounts {
            if let Some(inside) =
                path.strip_prefix(target).filter(|inside| inside.is_empty() || inside.starts_with('/'))
            {
                found.push((word.line, format!("{source}{inside}")));
            }
        }
    }
    found
}

/// What a list or a map names, with the lines.
fn names_of<'a>(service: &'a Node, key: &str) -> Vec<(usize, &'a str)> {
    let listed = service.items_of(key).iter().filter_map(|node| Some((node.line, node.as_text()?)));
    let mapped = service.get(key).map_or(&[][..], Node::entries).iter().map(|entry| (entry.line, entry.key.as_str()));
    listed.chain(mapped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    /// What is found in a file like ours with this text, beside its tree.
    fn found(text: &str) -> Vec<super::super::finding::Finding> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::os::unix::fs::symlink(root().join("monitoring"), folder.path().join("monitoring"))
            .expect("a link is made");
        std::fs::write(folder.path().join(FILE), text).expect("a file is written");
        let mut findings = Findings::default();
        check(folder.path(), &mut findings).unwrap_or_else(|failure| panic!("{failure}"));
        findings.0
    }

    #[test]
    fn what_may_rightly_be_done_is_not_found() {
        let text = std::fs::read_to_string(root().join(FILE)).expect("ours");
        let already = found(&text);
        let port = "\"127.0.0.1:${PROMETHEUS_PORT:-9090}:9090\"";
        for (from, to) in [
            ("restart: unless-stopped", "restart: always"),
            ("docker.io/grafana/grafana:13.0.7", "docker.io/grafana/grafana@sha256:0123"),
            ("mem_limit: 128m", "mem_limit: 128M"),
            ("mem_limit: 128m", "mem_limit: 128mb"),
            ("mem_limit: 128m", "mem_limit: 128MiB"),
            ("mem_limit: 128m", "mem_limit: 0.5g"),
            ("mem_limit: 128m", "mem_limit: 134217728"),
            (port, "\"127.0.0.1:9090:9090\""),
            (port, "\"127.0.0.1:9091:9090/tcp\""),
            (port, "\"[::1]:9090:9090\""),
            (port, "\"${BIND:-127.0.0.1}:9090:9090\""),
            (port, "{ target: 9090, published: 9090, host_ip: 127.0.0.1 }"),
            ("    user: \"65534:65534\"\n", ""),
        ] {
            assert!(text.contains(from), "{from}");
            assert_eq!(found(&text.replacen(from, to, 1)), already, "{to}");
        }
    }

    #[test]
    fn a_file_that_is_none_or_too_large_is_refused_at_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = std::fs::File::create(folder.path().join(FILE)).expect("a file is made");
        file.set_len(20 << 30).expect("a sparse one");
        check(folder.path(), &mut Findings::default()).expect_err("it is too large");
        std::fs::remove_file(folder.path().join(FILE)).expect("it is removed");
        let mode = rustix::fs::Mode::RUSR;
        let (at, kind) = (folder.path().join(FILE), rustix::fs::FileType::Fifo);
        rustix::fs::mknodat(rustix::fs::CWD, at, kind, mode, 0).expect("a pipe is made");
        check(folder.path(), &mut Findings::default()).expect_err("nobody writes to it");
    }

    #[test]
    fn what_is_broken_is_found_with_its_line() {
        let text = std::fs::read_to_string(root().join(FILE)).expect("ours");
        for (from, to, what) in [
            ("    mem_limit: 64m\n", "    mem_limits: 64m\n", "`app` has an unknown key `mem_limits`"),
            ("volumes:\n  prometheus-data: {}", "volums:\n  prometheus-data: {}", "unknown key `volums`"),
            (
                "networks: [edge, monitoring]",
                "networks: [edge, monitorin]",
                "`monitorin`, which is not among the networks",
            ),
            ("prometheus-data:/prometheus", "prometheus:/prometheus", "`prometheus`, which is not among the volumes"),
            ("./monitoring/loki:", "./monitoring/lokki:", "mounts ./monitoring/lokki, which is not there"),
            (
                "      secrets:\n        condition",
                "      secret:\n        condition",
                "`secret`, which is not among the services",
            ),
            (
                "    user: \"65532:65532\"\n",
                "    user: \"65532:65532\"\n    user: root\n",
                "the key `user` stands twice",
            ),
            ("/etc/prometheus/prometheus.yml", "/etc/prometheus/prom.yml", "told of monitoring/prometheus/prom.yml"),
            (
                "[-config.file=/etc/loki/loki.yaml]",
                "[-config.file=/etc/loki/loki.yml]",
                "told of monitoring/loki/loki.yml",
            ),
            ("x-tool: &tool", "x-tool: &tools", "anchor"),
            ("127.0.0.1:${PROMETHEUS_PORT", "${PROMETHEUS_PORT", "published beyond this machine"),
            ("127.0.0.1:${GRAFANA_PORT", "0.0.0.0:${GRAFANA_PORT", "published beyond this machine"),
            ("${PROMETHEUS_PORT:-9090}:9090", "${PROMETHEUS_PORT:-9090}:9091", "`prometheus` listens on 9090"),
            ("docker.io/grafana/grafana:13.0.7", "docker.io/grafana/grafana:latest", "is of no version"),
            ("docker.io/grafana/grafana:13.0.7", "docker.io/grafana/grafana", "is of no version"),
            ("    mem_limit: 128m\n", "", "has no `mem_limit`"),
            ("mem_limit: 128m", "mem_limit: 128x", "`128x` is no size"),
            ("    cpus: 0.5\n", "    cpus: 0.5\n    privileged: true\n", "has `privileged`"),
            ("  alertmanager:\n    <<: *hardened\n", "  alertmanager:\n", "`alertmanager` has no `read_only`"),
            ("    user: \"65534:65534\"\n", "    user: \"0:0\"\n", "`prometheus` runs as root"),
            (
                "./monitoring/prometheus:/etc/prometheus",
                "./monitoring/prometheus:/etc/prom",
                "has prometheus at /etc/prom",
            ),
            (":/etc/prometheus:ro,z", ":/etc/prometheus:rw,z", "may write to ./monitoring/prometheus"),
            ("- vector-data:/var/lib/vector", "- /var/run/docker.sock:/var/run/docker.sock", "the engine's socket"),
            ("APP_DRAIN_DELAY: 5s", "APP_DRIAN_DELAY: 5s", "the service has no such setting"),
            ("APP_DRAIN_DELAY: 5s", "APP_DRAIN_DELAY: soon", "APP_DRAIN_DELAY is `soon`"),
            ("service_completed_successfully", "service_healthyy", "is no condition"),
            ("networks: [edge, monitoring]", "networks: [edge]", "is not in the network `monitoring`"),
            ("internal: true", "internal: false", "the network `monitoring` leads outside"),
            ("restart: unless-stopped", "restart: \"no\"", "does not come back"),
        ] {
            assert!(text.contains(from), "{from}");
            let findings = found(&text.replacen(from, to, 1));
            let is_found = findings.iter().any(|finding| finding.line > 0 && finding.what.contains(what));
            assert!(is_found, "{to}: {findings:#?}");
        }
    }
}

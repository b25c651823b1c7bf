//! compose.yaml: what its services mount, join, wait for and share is there, and no key is one that engines leave out in silence.

use std::path::Path;

use super::Findings;
use crate::failure::Failure;
use crate::monitoring::located::{self, Node};

const FILE: &str = "compose.yaml";
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
    let bytes = match std::fs::read(root.join(FILE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::usage(format!("cannot read {FILE}: {error}"))),
    };
    match located::read(&bytes) {
        Ok(document) => of(root, &document, findings),
        Err((line, what)) => findings.find(FILE, line, what, ""),
    }
    Ok(())
}

fn of(root: &Path, document: &Node, findings: &mut Findings) {
    let entries = |key| document.get(key).map_or(&[][..], Node::entries);
    let has = |key, name: &str| entries(key).iter().any(|entry| entry.key == name);
    for entry in document.entries() {
        if !KEYS.contains(&entry.key.as_str()) && !entry.key.starts_with("x-") {
            findings.find(
                FILE,
                entry.line,
                format!("unknown key `{}`", entry.key),
                format!("known here: {}", KEYS.join(", ")),
            );
        }
    }
    if entries("services").is_empty() {
        findings.find(FILE, 0, "no service", "");
    }
    for service in entries("services") {
        let (name, node) = (&service.key, &service.node);
        for entry in node.entries() {
            if !OF_SERVICE.contains(&entry.key.as_str()) && !entry.key.starts_with("x-") {
                findings.find(FILE, entry.line, format!("`{name}` has an unknown key `{}`", entry.key), "");
            }
        }
        if node.get("image").is_none() && node.get("build").is_none() {
            findings.find(FILE, service.line, format!("`{name}` has neither `image` nor `build`"), "");
        }
        for (key, where_) in [("networks", "networks"), ("depends_on", "services")] {
            for (line, wanted) in names_of(node, key) {
                if !has(where_, wanted) {
                    findings.find(
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
                findings.find(FILE, line, format!("`{name}` is told of {path}, which is not there"), "");
            }
        }
        for volume in node.items_of("volumes") {
            let Some(source) = volume.as_text().and_then(|text| text.split(':').next()) else { continue };
            let is_path = source.starts_with(['.', '/', '~', '$']);
            if let Some(inside) = source.strip_prefix("./")
                && !root.join(inside).exists()
            {
                // An engine would make an empty folder of that name.
                findings.find(FILE, volume.line, format!("`{name}` mounts {source}, which is not there"), "");
            } else if !is_path && !has("volumes", source) {
                findings.find(
                    FILE,
                    volume.line,
                    format!("`{name}` mounts `{source}`, which is not among the volumes"),
                    "",
                );
            }
        }
    }
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
        Path::new(env!("CARGO_MANIFEST_DIR"))
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
        ] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            std::os::unix::fs::symlink(root().join("monitoring"), folder.path().join("monitoring"))
                .expect("a link is made");
            assert!(text.contains(from), "{from}");
            std::fs::write(folder.path().join(FILE), text.replacen(from, to, 1)).expect("a file is written");
            let mut findings = Findings::default();
            check(folder.path(), &mut findings).unwrap_or_else(|failure| panic!("{failure}"));
            let found = findings.0.iter().any(|finding| finding.line > 0 && finding.what.contains(what));
            assert!(found, "{to}: {:#?}", findings.0);
        }
    }
}

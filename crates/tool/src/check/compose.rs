//! compose.yaml: no key is one that engines leave out in silence ([`keys`]), what its services mount, join, wait for and share
//! is there ([`references`]), and each is as safe as it can be ([`service`]).

use std::io::ErrorKind;
use std::path::Path;

use super::finding::Findings;
use super::tree::COMPOSE;
use aiclipx_model::files;
use aiclipx_model::monitoring::located::{self, Node, Value};

mod keys;
mod references;
mod service;

use keys::{OF_FILE, OF_SERVICE, is_known};
use service::Service;
pub(super) use service::or_else;

/// Where there is none, as beside an installed tool, nothing is checked.
pub(super) fn check(root: &Path, findings: &mut Findings) {
    let bytes = match files::read(&root.join(COMPOSE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        Err(error) => return findings.read("compose/file", vec![files::unread(Path::new(COMPOSE), &error)]),
    };
    match located::read(&bytes) {
        Ok(document) => of(root, &document, findings),
        Err((line, what)) => findings.find("compose/file", COMPOSE, line, what, ""),
    }
}

fn of(root: &Path, document: &Node, findings: &mut Findings) {
    for entry in document.entries().iter().filter(|entry| !is_known(&entry.key, OF_FILE)) {
        let what = format!("unknown key `{}`", entry.key);
        findings.find("compose/key", COMPOSE, entry.line, what, format!("known here: {OF_FILE}"));
    }
    let services = document.get("services").map_or(&[][..], Node::entries);
    if services.is_empty() {
        findings.find("compose/file", COMPOSE, 0, "no service", "");
    }
    let networks = document.get("networks");
    let is_internal = networks.and_then(|node| node.get("monitoring")?.get("internal")).map(|node| &node.value);
    if is_internal != Some(&Value::Switch(true)) {
        let line = networks.map_or(0, |node| node.line_of("monitoring"));
        findings.find("compose/network", COMPOSE, line, "the network `monitoring` leads outside", "internal: true");
    }
    for entry in services {
        let service = Service { name: &entry.key, node: &entry.node, line: entry.line };
        for unknown in entry.node.entries().iter().filter(|one| !is_known(&one.key, OF_SERVICE)) {
            let what = format!("`{}` has an unknown key `{}`", entry.key, unknown.key);
            service.find(findings, "compose/key", unknown.line, what, "");
        }
        service.check(findings);
        references::check(&service, document, root, findings);
    }
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
        std::fs::write(folder.path().join(COMPOSE), text).expect("a file is written");
        let mut findings = Findings::default();
        check(folder.path(), &mut findings);
        findings.0
    }

    #[test]
    fn what_may_rightly_be_done_is_not_found() {
        let text = std::fs::read_to_string(root().join(COMPOSE)).expect("ours");
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
    fn a_file_that_is_none_or_too_large_is_found_at_once() {
        let refused = |folder: &Path| {
            let mut findings = Findings::default();
            check(folder, &mut findings);
            findings.0.into_iter().map(|finding| (finding.name, finding.what)).collect::<Vec<_>>()
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = std::fs::File::create(folder.path().join(COMPOSE)).expect("a file is made");
        file.set_len(20 << 30).expect("a sparse one");
        let what = "it can't be read: it is larger than 16 MiB".to_owned();
        assert_eq!(refused(folder.path()), [("compose/file", what)]);
        std::fs::remove_file(folder.path().join(COMPOSE)).expect("it is removed");
        let mode = rustix::fs::Mode::RUSR;
        let (at, kind) = (folder.path().join(COMPOSE), rustix::fs::FileType::Fifo);
        rustix::fs::mknodat(rustix::fs::CWD, at, kind, mode, 0).expect("a pipe is made");
        let what = "it can't be read: it is not a regular file".to_owned();
        assert_eq!(refused(folder.path()), [("compose/file", what)]);
    }

    #[test]
    fn what_is_broken_is_found_with_its_line() {
        let text = std::fs::read_to_string(root().join(COMPOSE)).expect("ours");
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
            ("cap_add: [CHOWN, ", "cap_add: [SYS_ADMIN, ", "`secrets` is given `SYS_ADMIN`"),
            ("    cpus: 0.5\n", "    cpus: 0.5\n    cap_add: [CHOWN]\n", "is given `CHOWN`"),
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

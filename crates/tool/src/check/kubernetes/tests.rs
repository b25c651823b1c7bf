//! deploy/kubernetes as it is, and broken on purpose in one place: what is found, and where.

use std::path::Path;

use super::super::finding::{Finding, Findings};
use super::super::tree::COMPOSE;
use super::deployment::below;
use super::*;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A copy of what is looked at.
fn copied() -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a temporary folder");
    for folder in [DEPLOYMENT, "monitoring", "scripts"] {
        for file in below(root(), Path::new(folder), &mut Findings::default()) {
            let to = place.path().join(&file);
            std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder is made");
            std::fs::copy(root().join(&file), to).expect("a file is copied");
        }
    }
    std::fs::copy(root().join(COMPOSE), place.path().join(COMPOSE)).expect("a file is copied");
    place
}

fn found(root: &Path) -> Vec<Finding> {
    let monitoring = Monitoring::read(&root.join("monitoring")).unwrap_or_else(|failure| panic!("{failure}"));
    let mut findings = Findings::default();
    check(root, &monitoring, &mut findings);
    findings.0
}

#[test]
fn nothing_is_found_as_it_is() {
    assert_eq!(found(root()), []);
}

/// A file, a text in it, what it becomes; the finding's name, and a part of what it says.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);

const APP: &str = "deploy/kubernetes/base/app/deployment.yaml";
const GRAFANA: &str = "deploy/kubernetes/base/grafana/deployment.yaml";
const STORE: &str = "deploy/kubernetes/base/prometheus/statefulset.yaml";
const TRAFFIC: &str = "deploy/kubernetes/jobs/traffic/job.yaml";
const BASE: &str = "deploy/kubernetes/base/kustomization.yaml";
const RULES: &str = "monitoring/prometheus/rules/kustomization.yaml";
const LOCAL: &str = "deploy/kubernetes/overlays/local/no-disks.yaml";
const SCALING: &str = "deploy/kubernetes/components/database/scaling.yaml";
const DATABASE: &str = "deploy/kubernetes/components/database/deployment.yaml";
const REMOTE: &str = "deploy/kubernetes/components/remote-write/prometheus.yml";
const OPERATOR: &str = "deploy/kubernetes/overlays/operator/kustomization.yaml";
const BUNDLES: &str = "deploy/kubernetes/jobs/drill-bundles/pod.yaml";
const STORE_SERVICE: &str = "deploy/kubernetes/base/prometheus/service.yaml";
const SERVICES: &str = "deploy/kubernetes/base/app/services.yaml";
const NETWORK: &str = "deploy/kubernetes/base/common/network.yaml";
const MONITOR: &str = "deploy/kubernetes/overlays/operator/servicemonitor.yaml";
const MADE: &str = "deploy/kubernetes/base/prometheus/prometheus.yml";
const SLO: &str = "deploy/kubernetes/overlays/operator/made/slo.yaml";

const ROWS: [Row; 53] = [
    // A field that is misspelt, is elsewhere, is of another type, or is not there.
    (APP, "minReadySeconds: 5", "minReadySecond: 5", "kubernetes/field", "`spec` has no field `minReadySecond`"),
    (
        APP,
        "            failureThreshold: 60",
        "            failureTreshold: 60",
        "kubernetes/field",
        "`failureTreshold`",
    ),
    (
        APP,
        "          imagePullPolicy: IfNotPresent",
        "          restartPolice: Always",
        "kubernetes/field",
        "`restartPolice`",
    ),
    (APP, "maxSurge: 1", "maxSurge: [1]", "kubernetes/field", "spec.strategy.rollingUpdate.maxSurge"),
    (
        APP,
        "terminationGracePeriodSeconds: 35",
        "terminationGracePeriodSeconds: 35s",
        "kubernetes/field",
        "terminationGracePeriodSeconds`: invalid type",
    ),
    (APP, "containerPort: 8081", "containerPort: admin", "kubernetes/field", "ports[1].containerPort`"),
    (
        APP,
        "  selector:\n    matchLabels:\n      app.kubernetes.io/name: app\n  template",
        "  template",
        "kubernetes/field",
        "must have `selector`",
    ),
    (SCALING, "  maxReplicas: 10\n", "", "kubernetes/field", "must have `maxReplicas`"),
    (SCALING, "averageValue: 700m", "avarageValue: 700m", "kubernetes/field", "`avarageValue`"),
    (NETWORK, "port: 53, protocol: TCP", "port: 53, protcol: TCP", "kubernetes/field", "`protcol`"),
    (LOCAL, "    spec:\n      volumes:", "    spec:\n      volume:", "kubernetes/field", "`volume`"),
    (SERVICES, "apiVersion: v1", "apiVersion: v2", "kubernetes/kind", "`Service` of `v2`"),
    (SERVICES, "  clusterIP: None\n", "  clusterIP: None\n  clusterIP: None\n", "kubernetes/file", "stands twice"),
    // Lists.
    (BASE, "  - receiver\n", "  - reciever\n", "kubernetes/missing", "base/reciever is not there"),
    (
        "deploy/kubernetes/base/app/kustomization.yaml",
        "  - network.yaml\n",
        "",
        "kubernetes/unlisted",
        "no kustomization.yaml names it",
    ),
    (RULES, "      - slo.yml\n", "", "kubernetes/unlisted", "monitoring/prometheus/rules/slo.yml is not in this list"),
    (RULES, "      - slo.yml\n", "      - slos.yml\n", "kubernetes/missing", "rules/slos.yml is not there"),
    // What is named.
    (
        STORE,
        "configMap: {name: prometheus-rules}",
        "configMap: {name: rules}",
        "kubernetes/missing",
        "no ConfigMap `rules`",
    ),
    (
        STORE,
        "{name: data, mountPath: /prometheus}",
        "{name: disk, mountPath: /prometheus}",
        "kubernetes/missing",
        "no volume `disk`",
    ),
    (
        APP,
        "serviceAccountName: app",
        "serviceAccountName: service",
        "kubernetes/missing",
        "no ServiceAccount `service`",
    ),
    (
        SERVICES,
        "  selector:\n    app.kubernetes.io/name: app",
        "  selector:\n    app.kubernetes.io/name: api",
        "kubernetes/selector",
        "`app.kubernetes.io/name=api`",
    ),
    (SERVICES, "targetPort: admin", "targetPort: metrics", "kubernetes/selector", "the port `metrics`"),
    (
        APP,
        "path: /health/ready, port: admin",
        "path: /health/ready, port: monitoring",
        "kubernetes/selector",
        "at the port `monitoring`",
    ),
    (
        SCALING,
        "    name: app\n  minReplicas",
        "    name: api\n  minReplicas",
        "kubernetes/selector",
        "scales what is not there",
    ),
    (NETWORK, "values: [prometheus, ", "values: [prom, ", "kubernetes/selector", "`prom`"),
    (
        "deploy/kubernetes/base/app/network.yaml",
        "app.kubernetes.io/name: prometheus",
        "app.kubernetes.io/name: prom",
        "kubernetes/selector",
        "name=prom`",
    ),
    (MONITOR, "component: admin", "component: metrics", "kubernetes/selector", "component=metrics"),
    // Pods.
    (
        APP,
        "terminationGracePeriodSeconds: 35",
        "terminationGracePeriodSeconds: 34",
        "kubernetes/drain",
        "may take 35 s to stop, and is killed after 34",
    ),
    (APP, "value: 20s", "value: 26s", "kubernetes/drain", "may take 41 s"),
    (
        STORE,
        "      terminationGracePeriodSeconds: 60\n",
        "",
        "kubernetes/drain",
        "may take 60 s to stop, and is killed after 30",
    ),
    (APP, "value: 20s", "value: soon", "kubernetes/setting", "APP_DRAIN_DELAY is `soon`"),
    (
        APP,
        "- name: APP_DRAIN_TIMEOUT",
        "- name: APP_DRAIN_TIMEOUTS",
        "kubernetes/setting",
        "the service has no such setting",
    ),
    (
        APP,
        "limits: {cpu: \"1\", memory: 64Mi}",
        "limits: {cpu: \"1\", memory: 64M}",
        "kubernetes/limit",
        "the limit of memory of `app` is `64M`",
    ),
    (
        GRAFANA,
        "limits: {cpu: \"1\", memory: 512Mi}",
        "limits: {memory: 512Mi}",
        "kubernetes/limit",
        "`grafana` has no limit of cpu",
    ),
    (GRAFANA, "grafana/grafana:13.0.7", "grafana/grafana:13.0.8", "kubernetes/image", "grafana:13.0.8` is none"),
    (APP, "      enableServiceLinks: false\n", "", "kubernetes/open", "`app` has no `enableServiceLinks: false`"),
    (APP, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "kubernetes/open", "readOnlyRootFilesystem"),
    (APP, "drop: [ALL]", "drop: [NET_RAW]", "kubernetes/open", "`app` keeps capabilities"),
    (TRAFFIC, "completions: 4", "completions: 5", "kubernetes/shards", "4 shards, and 5 pods"),
    (TRAFFIC, "            - --start-at=$(START_AT)\n", "", "kubernetes/shards", "begin when each comes up"),
    // As many as have their items together, and room in the database.
    (APP, "  replicas: 1\n", "", "kubernetes/replicas", "there is not one"),
    (APP, "  replicas: 1\n", "  replicas: 2\n", "kubernetes/replicas", "there is not one"),
    (DATABASE, "  replicas: null\n", "", "kubernetes/replicas", "each apply puts it back"),
    (DATABASE, "value: \"4\"", "value: \"5\"", "kubernetes/connections", "18 pods of a rollout take 108 connections"),
    (
        SCALING,
        "maxReplicas: 10",
        "maxReplicas: 12",
        "kubernetes/connections",
        "20 pods of a rollout take 100 connections",
    ),
    (APP, "failureThreshold: 2", "failureThreshold: 1", "kubernetes/readiness", "one answer that is late takes it out"),
    (
        APP,
        "failureThreshold: 2",
        "failureThreshold: 4",
        "kubernetes/readiness",
        "seen after 22 s, and it serves on for 20",
    ),
    (STORE_SERVICE, "  clusterIP: None\n", "", "kubernetes/selector", "not headless"),
    (
        BUNDLES,
        "claimName: drill-bundles",
        "claimName: bundle",
        "kubernetes/missing",
        "no PersistentVolumeClaim `bundle`",
    ),
    // What is made of monitoring/.
    (OPERATOR, "namespace: aiclipx", "namespace: shop", "kubernetes/rendered", "would fire for nothing in another"),
    (REMOTE, "max_shards: 10", "max_shards: 200", "kubernetes/rendered", "another line here: `max_shards: 10`"),
    (MADE, "regex: \"8081\"", "regex: \"8080\"", "kubernetes/rendered", "another line here: `regex: \"8081\"`"),
    (
        SLO,
        "kind: PrometheusRule",
        "kind: PrometheusRules",
        "kubernetes/rendered",
        "another line here: `kind: PrometheusRule`",
    ),
];

#[test]
fn what_is_broken_is_found_with_file_and_line() {
    let place = copied();
    for (file, from, to, name, what) in ROWS {
        let path = place.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(from), "{file} does not contain {from}");
        std::fs::write(&path, text.replacen(from, to, 1)).expect("a file is written");
        let findings = found(place.path());
        std::fs::write(&path, text).expect("it is put back");
        let says = |finding: &Finding| finding.what.contains(what);
        let is_found = |finding: &&Finding| finding.name == name && says(finding);
        let finding = findings.iter().find(is_found).unwrap_or_else(|| panic!("{file}: {to}: {findings:#?}"));
        // A file that no list names is meant as a whole.
        assert!(finding.line > 0 || finding.what.starts_with("no kustomization.yaml"), "{finding:?}");
    }
    assert_eq!(found(place.path()), [], "each was put back");
}

#[test]
fn a_finding_stands_where_the_field_does() {
    let place = copied();
    let line_of = |file: &str, from: &str, to: &str| {
        let path = place.path().join(file);
        let text = std::fs::read_to_string(&path).expect("it is read");
        let broken = text.replacen(from, to, 1);
        std::fs::write(&path, &broken).expect("a file is written");
        // Of the file itself: what follows from it elsewhere is found there.
        let findings: Vec<Finding> =
            found(place.path()).into_iter().filter(|one| one.file == Path::new(file)).collect();
        std::fs::write(&path, text).expect("it is put back");
        let [finding] = &findings[..] else { panic!("{findings:#?}") };
        broken.lines().nth(finding.line - 1).unwrap_or_default().trim().to_owned()
    };
    assert_eq!(line_of(APP, "minReadySeconds: 5", "minReadySecond: 5"), "minReadySecond: 5");
    assert_eq!(line_of(APP, "maxSurge: 1", "maxSurge: [1]"), "maxSurge: [1]");
    // In the second document of a file.
    assert_eq!(line_of(SERVICES, "clusterIP: None", "clusterIp: None"), "clusterIp: None");
    assert!(line_of(SERVICES, "targetPort: admin", "targetPort: admins").contains("targetPort: admins"));
}

#[test]
fn a_file_of_rules_that_is_new_is_missed_where_it_is_not_listed() {
    let place = copied();
    let rules = place.path().join("monitoring/prometheus/rules");
    std::fs::copy(rules.join("watchdog.yml"), rules.join("other.yml")).expect("a file is copied");
    let findings = found(place.path());
    assert!(
        findings.iter().any(|one| one.name == "kubernetes/unlisted" && one.what.contains("rules/other.yml")),
        "{findings:#?}"
    );
}

#[test]
fn beside_an_installed_tool_there_is_nothing_to_check() {
    let place = copied();
    std::fs::remove_dir_all(place.path().join("deploy")).expect("it is removed");
    assert_eq!(found(place.path()), []);
}

#[test]
fn an_autoscaler_is_for_replicas_that_share_a_database() {
    let place = copied();
    let app = place.path().join("deploy/kubernetes/base/app");
    std::fs::copy(root().join(SCALING), app.join("scaling.yaml")).expect("a file is copied");
    let list = app.join("kustomization.yaml");
    let text = std::fs::read_to_string(&list).expect("it is read") + "  - scaling.yaml\n";
    std::fs::write(&list, text).expect("a file is written");
    let findings = found(place.path());
    let told: Vec<&str> =
        findings.iter().filter(|one| one.name == "kubernetes/replicas").map(|one| one.what.as_str()).collect();
    assert_eq!(told.len(), 2, "{findings:#?}");
    assert!(told[0].contains("PodDisruptionBudget") != told[1].contains("PodDisruptionBudget"), "{told:?}");
}

//! What is made of monitoring/ as it is, and of others.

use std::collections::BTreeMap;

use super::super::located::{Entry, Value};
use super::super::promql;
use super::super::remote_write::{Credentials, RemoteWrite};
use super::super::{Monitoring, PROMETHEUS};
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
    let job = node.items_of("scrape_configs").iter().find(|job| job.text_of("job_name") == Some("app")).expect("app");
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
        (&job["relabel_configs"][2]["source_labels"][0], &job["relabel_configs"][2]["target_label"]),
        (&"__meta_kubernetes_pod_name".into(), &"instance".into())
    );
    assert_eq!(
        (&job["relabel_configs"][3]["target_label"], &job["relabel_configs"][3]["replacement"]),
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

/// An operator's object, as JSON.
fn made_object(made: &BTreeMap<PathBuf, String>, name: &str) -> serde_json::Value {
    let node = located::read(made[&Path::new(OPERATORS).join(name)].as_bytes()).expect("it reads");
    serde_json::from_str(&located::print_json(&node).expect("it prints")).expect("JSON")
}

#[test]
fn an_operator_gets_the_rules_of_the_service_and_none_on_the_monitoring() {
    let made = made_of(ours()).expect("it is made");
    let names = made.keys().filter(|path| path.starts_with(OPERATORS)).map(|path| path.file_name().expect("a name"));
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["app.yaml", "database.yaml", "inhibitions.yaml", "probe.yaml", "probes.yaml", "slo.yaml"]
    );
}

#[test]
fn every_selector_of_an_operators_rule_asks_for_the_namespace_and_what_is_recorded_or_fires_has_it() {
    let made = made_of(ours()).expect("it is made");
    let mut rules = 0;
    for name in ["app.yaml", "database.yaml", "probe.yaml", "slo.yaml"] {
        for group in made_object(&made, name)["spec"]["groups"].as_array().expect("groups") {
            for rule in group["rules"].as_array().expect("rules") {
                rules += 1;
                assert_eq!(rule["labels"]["namespace"], "aiclipx", "{rule}");
                let expr = promql::parse(rule["expr"].as_str().expect("an expression")).expect("it is one");
                let open: Vec<String> = promql::selectors(&expr)
                    .into_iter()
                    .filter(|selector| selector.matchers.find_matchers("namespace").is_empty())
                    .map(ToString::to_string)
                    .collect();
                // AppTargetMissing asks whether Prometheus knows of anything yet.
                let wanted: &[&str] = if rule["alert"] == "AppTargetMissing" { &["up"] } else { &[] };
                assert_eq!(open, wanted, "{rule}");
            }
        }
    }
    assert!(rules > 80, "{rules} rules");
}

#[test]
fn links_lead_where_the_cluster_says_and_nowhere_else() {
    let monitoring = Monitoring::from_files(ours()).expect("ours");
    assert!(monitoring.for_kubernetes().expect("it is made").values().all(|text| !text.contains("_url:")));
    let external = Some("https://watch.example/x".parse().expect("an address"));
    let cluster = Cluster { namespace: "shop".parse().expect("a name"), external, remote_write: None };
    let made = monitoring.for_cluster(&cluster).expect("it is made");
    let app = &made[Path::new("operator/app.yaml")];
    assert!(app.contains("dashboard_url: https://watch.example/x/d/app-overview?viewPanel=3\n"), "{app}");
    assert!(app.contains("runbook_url: https://watch.example/x/monitoring/runbooks/AppDown.md\n"), "{app}");
    assert!(app.contains("namespace=\"shop\"") && !made.values().any(|text| text.contains("namespace=\"aiclipx\"")));
    let list = &made[Path::new("operator/kustomization.yaml")];
    for name in
        made.keys().filter_map(|path| path.strip_prefix("operator").ok()).filter(|name| !name.ends_with(KUSTOMIZATION))
    {
        assert!(list.contains(&format!("  - path: {}\n", name.display())), "{list}");
    }
}

#[test]
fn whom_the_exporter_asks_and_what_holds_back_what_are_an_operators_objects() {
    let made = made_of(ours()).expect("it is made");
    let probe = made_object(&made, "probes.yaml");
    let spec = &probe["spec"];
    assert_eq!((&spec["prober"]["url"], &spec["prober"]["path"]), (&"probe.aiclipx.svc:9115".into(), &"/probe".into()));
    assert_eq!((&spec["module"], &spec["jobName"]), (&"http_200".into(), &"probe".into()));
    let asked = &spec["targets"]["staticConfig"];
    assert_eq!(asked["static"], serde_json::json!(["http://app:8080/health/live"]));
    assert_eq!(asked["labels"], serde_json::json!({"probed": "app"}));
    assert_eq!(asked["relabelingConfigs"], serde_json::json!([{"targetLabel": "instance", "replacement": "app:8080"}]));
    assert_eq!(spec["metricRelabelings"][0]["sourceLabels"], serde_json::json!(["__name__"]));
    let rules = made_object(&made, "inhibitions.yaml")["spec"]["inhibitRules"].clone();
    assert_eq!(rules.as_array().map(Vec::len), Some(5));
    assert_eq!(
        rules[2],
        serde_json::json!({
            "sourceMatch": [
                {"name": "namespace", "value": "aiclipx", "matchType": "="},
                {"name": "severity", "value": "critical", "matchType": "="},
            ],
            "targetMatch": [
                {"name": "namespace", "value": "aiclipx", "matchType": "="},
                {"name": "severity", "value": "warning", "matchType": "="},
                {"name": "alertname", "value": "AppRestarting|AppInstance.+|App.+NearLimit", "matchType": "!~"},
            ],
            "equal": ["service", "job"],
        })
    );
}

#[test]
fn a_store_elsewhere_is_what_up_makes_of_it_and_the_way_is_open_to_its_port() {
    let monitoring = Monitoring::from_files(ours()).expect("ours");
    let tree = monitoring.for_kubernetes().expect("it is made");
    let (base, more) = (&tree[Path::new(CONFIGURATION)], &tree[&Path::new(REMOTE).join("prometheus.yml")]);
    assert!(!base.contains("remote_write") && more.contains("url: http://victoriametrics:8428/api/v1/write"), "{more}");
    assert!(more.contains("max_shards: 10") && more.contains("stack: aiclipx") && more.contains("action: labeldrop"));
    let remote = |url: &str| RemoteWrite {
        url: url.parse().expect("an address"),
        credentials: Some(Credentials::Bearer { token_file: "/run/secrets/remote-write/token".into() }),
        labels: BTreeMap::from([("stack".to_owned(), "shop".to_owned())]),
    };
    for (url, port) in [("https://mimir.example/api/v1/push", 443), ("http://[::1]:9009/api/v1/push", 9009)] {
        let cluster = Cluster { remote_write: Some(remote(url)), ..Cluster::default() };
        let made = monitoring.for_cluster(&cluster).expect("it is made");
        let file = |name: &str| &made[&Path::new("remote-write").join(name)];
        assert!(file("network.yaml").contains(&format!("- port: {port}\n")), "{}", file("network.yaml"));
        assert!(file("prometheus.yml").contains("credentials_file: /run/secrets/remote-write/token"));
        assert!(file("secret.yaml").contains("mountPath: /run/secrets/remote-write,"));
        assert!(file(KUSTOMIZATION).contains("kind: Component"));
    }
}

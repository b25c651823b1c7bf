//! The module as its neighbours use it, on the files of this repository and on files broken on purpose.

use super::addresses::{Addresses, ExternalUrl, Logging};
use super::remote_write::{Credentials, RemoteWrite};
use super::*;
use aiclipx_base::address::Address;

fn folder() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(FOLDER)
}

fn ours() -> Monitoring {
    Monitoring::read(&folder()).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Our files with one text of one file replaced, which must be there.
fn edited(path: &str, from: &str, to: &str) -> Result<Monitoring, Vec<Finding>> {
    let mut files = ours().files;
    let bytes = files.get_mut(Path::new(path)).unwrap_or_else(|| panic!("{path} is not there"));
    let text = String::from_utf8(bytes.clone()).expect("it is UTF-8");
    assert!(text.contains(from), "{path} does not contain {from}");
    *bytes = text.replacen(from, to, 1).into_bytes();
    Monitoring::from_files(files)
}

/// Every finding of an edit, at speed 30.
fn findings(path: &str, from: &str, to: &str) -> Vec<Finding> {
    let speed = Speed::new(30).expect("a speed");
    match edited(path, from, to) {
        Ok(monitoring) => monitoring.render(&Addresses::canonical(), speed).err().unwrap_or_default(),
        Err(findings) => findings,
    }
}

fn line_of(path: &str, text: &str) -> usize {
    let content = std::fs::read_to_string(folder().join(path)).expect("it is there");
    content.lines().position(|line| line.contains(text)).expect("the text is there") + 1
}

fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::to_value(located::read(bytes).expect("it reads")).expect("it is JSON")
}

#[test]
fn rendered_in_production_the_files_mean_what_they_meant() {
    let monitoring = ours();
    let rendered = monitoring.render(&Addresses::canonical(), Speed::PRODUCTION).expect("it renders");
    for (path, bytes) in monitoring.files() {
        if path.starts_with("runbooks") {
            assert_eq!(&rendered[path], bytes);
            continue;
        }
        if path.extension().is_some_and(|extension| extension == "md" || extension == "toml")
            || path.starts_with("alertmanager/examples")
            || path == Path::new("vector/vector-tests.yaml")
        {
            assert!(!rendered.contains_key(path), "{} is for people", path.display());
            continue;
        }
        if path.extension().is_some_and(|extension| extension == "ini" || extension == "tmpl") {
            assert_eq!(&rendered[path], bytes);
            continue;
        }
        let as_it_stands = plain(json(samples_quoted(bytes).as_bytes()));
        let difference = first_difference(&plain(json(&rendered[path])), &as_it_stands, "");
        assert_eq!(difference, None, "{}: the copy, and the file", path.display());
    }
}

/// A unit test's samples are a text for promtool: `values: 0x160` is no number in base 16.
fn samples_quoted(bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    let quoted = |line: &str| match line.split_once("values: ") {
        Some((before, samples)) if samples.starts_with(|c: char| c.is_ascii_digit()) => {
            let (samples, rest) = samples.split_at(samples.find(['}', ',']).unwrap_or(samples.len()));
            format!("{before}values: '{samples}'{rest}\n")
        }
        _ => format!("{line}\n"),
    };
    text.lines().map(quoted).collect()
}

/// Where two documents differ first, with what stands in each.
fn first_difference(one: &serde_json::Value, other: &serde_json::Value, at: &str) -> Option<String> {
    use serde_json::Value as Json;
    let missing = &Json::Null;
    match (one, other) {
        _ if one == other => None,
        (Json::Object(map), Json::Object(others)) => map.keys().chain(others.keys()).find_map(|key| {
            let of = |map: &serde_json::Map<String, Json>| map.get(key).unwrap_or(missing).clone();
            first_difference(&of(map), &of(others), &format!("{at}.{key}"))
        }),
        (Json::Array(items), Json::Array(others)) => (0..items.len().max(others.len())).find_map(|index| {
            let of = |items: &[Json]| items.get(index).unwrap_or(missing).clone();
            first_difference(&of(items), &of(others), &format!("{at}[{index}]"))
        }),
        _ => Some(format!("{at}: {one}, and {other}")),
    }
}

#[test]
fn where_two_documents_differ_is_told_by_its_place() {
    let json = |text: &str| serde_json::from_str(text).expect("it is JSON");
    let (one, other) = (json(r#"{"a": [1, {"b": "x"}]}"#), json(r#"{"a": [1, {"b": "y"}, 3]}"#));
    assert_eq!(first_difference(&one, &other, "").as_deref(), Some(".a[1].b: \"x\", and \"y\""));
    let shorter = json(r#"{"a": [1]}"#);
    assert_eq!(first_difference(&shorter, &json(r#"{"a": [1, 2]}"#), "").as_deref(), Some(".a[1]: null, and 2"));
    assert_eq!(first_difference(&one, &one, ""), None);
}

#[test]
fn samples_are_a_text_whether_they_are_quoted_or_not() {
    let text = "- values: 0x160\n- values: '1 2'\n- {series: up, values: 1x2 0x3}\n";
    let quoted = "- values: '0x160'\n- values: '1 2'\n- {series: up, values: '1x2 0x3'}\n";
    assert_eq!(samples_quoted(text.as_bytes()), quoted);
}

/// Expressions in their one printed form, samples in one spelling of numbers.
fn plain(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Json::Object(map) => Json::Object(
            map.into_iter()
                .map(|(key, value)| match (key.as_str(), value) {
                    ("expr", Json::String(text)) => {
                        // A query of logs is not Prometheus', nor is one with Grafana's variables: copied to the letter.
                        let printed = promql::parse(&text).map_or(text, |tree| promql::print(&tree));
                        (key, Json::String(printed))
                    }
                    (_, value) => (key, plain(value)),
                })
                .collect(),
        ),
        Json::Array(items) => Json::Array(items.into_iter().map(plain).collect()),
        other => other,
    }
}

#[test]
fn a_place_that_is_reached_from_elsewhere_is_what_links_begin_with_and_nothing_else() {
    let external = Some("https://mon.example.org/a/".parse().expect("an address"));
    let rendered = ours().render(&Addresses { external, ..Addresses::canonical() }, Speed::PRODUCTION);
    let rendered = rendered.expect("it renders");
    let text = |path: &str| String::from_utf8(rendered[Path::new(path)].clone()).expect("UTF-8");
    for path in ["prometheus/rules/app.yml", "prometheus/rules/tests/app.yml"] {
        let text = text(path);
        assert!(text.contains("dashboard_url: https://mon.example.org/a/d/app-overview?viewPanel=3"), "{text}");
        assert!(text.contains("runbook_url: https://mon.example.org/a/monitoring/runbooks/AppDown.md"), "{text}");
        assert!(!text.contains("http://localhost") && !text.contains("runbook_url: monitoring/"), "{text}");
    }
    let overview = text("grafana/dashboards/app-overview.json");
    assert!(overview.contains("\"https://mon.example.org/a/monitoring/runbooks/AppTrafficDrop.md\""), "{overview}");
    assert!(overview.contains("\"/d/slo\"") && !overview.contains("\"/monitoring/"), "{overview}");
    assert!(text("grafana/provisioning/datasources/prometheus.yml").contains("http://prometheus:9090"));
    for wrong in [
        "mon.example.org",
        "https://",
        "https:///a",
        "https://a b",
        "https://a?b",
        "https://a/{{b}}",
        "https://a/$b",
        "https://a:notaport",
        "https://a:/b",
        "https://a:0",
        "https://a:65536/b",
        "https://:8443",
        "https://[::1",
        "https://::1",
        "https://[localhost]",
        "https://[]:80",
        "https://[::1]a",
        "https://[::1]a:80",
        "https://u@",
        "https://u@:80",
        "https://@/",
        "https://u@[::1",
        "https://a]",
        "https://a:80:90",
        "https://a:+80",
        "https://a%20b",
    ] {
        assert!(wrong.parse::<ExternalUrl>().is_err(), "{wrong}");
    }
    for right in [
        "https://a",
        "http://a:3000/",
        "https://a:443/b:c",
        "https://a/b@c:0/[d]%20e",
        "http://[::1]",
        "http://[::1]:3000/a",
        "https://u@a:1",
        "https://u:p%40ss@[::ffff:127.0.0.1]:1",
        "https://a_b.example.org.",
    ] {
        assert!(right.parse::<ExternalUrl>().is_ok(), "{right}");
    }
}

#[test]
fn a_copy_writes_to_a_store_elsewhere_where_one_is_named_and_only_there() {
    let labels = [("stack", "shop"), ("replica", "b")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let remote = RemoteWrite {
        url: "https://store.test/api/v1/push".parse().expect("an address"),
        credentials: Some(Credentials::Basic { user: "me".to_owned(), password_file: "/run/a secret".into() }),
        labels: labels.into(),
    };
    let of = |credentials: Option<Credentials>| {
        let remote_write = Some(Box::new(RemoteWrite { credentials, ..remote.clone() }));
        let rendered =
            ours().render(&Addresses { remote_write, ..Addresses::canonical() }, Speed::new(30).expect("a speed"));
        json(&rendered.expect("it renders")[Path::new(PROMETHEUS)])
    };
    let made = of(remote.credentials.clone());
    let labels = serde_json::json!({ "speed": "30", "stack": "shop", "replica": "b" });
    assert_eq!(made["global"]["external_labels"], labels);
    assert_eq!(made["remote_write"].as_array().map(Vec::len), Some(1));
    let entry = &made["remote_write"][0];
    assert_eq!((&entry["name"], &entry["url"]), (&"remote".into(), &"https://store.test/api/v1/push".into()));
    assert_eq!(entry["basic_auth"], serde_json::json!({ "username": "me", "password_file": "/run/a secret" }));
    // A network lives in real time, at any speed.
    assert_eq!(entry["queue_config"]["batch_send_deadline"], "5s");
    assert!(entry["queue_config"].get("sample_age_limit").is_none(), "2.42 refuses it");
    // A pair's alerts are one.
    let dropped = serde_json::json!([{ "regex": "replica", "action": "labeldrop" }]);
    assert_eq!(made["alerting"]["alert_relabel_configs"], dropped);
    let bearer = of(Some(Credentials::Bearer { token_file: "/run/token".into() }));
    assert_eq!(bearer["remote_write"][0]["authorization"], serde_json::json!({ "credentials_file": "/run/token" }));
    let plain = of(None);
    assert!(["basic_auth", "authorization"].iter().all(|key| plain["remote_write"][0].get(key).is_none()));
    // And where nobody asked for one, all is as it stands.
    let without = ours().render(&Addresses::canonical(), Speed::PRODUCTION).expect("it renders");
    let without = json(&without[Path::new(PROMETHEUS)]);
    assert!(without.get("remote_write").is_none() && without["alerting"].get("alert_relabel_configs").is_none());
    assert_eq!(without["global"]["external_labels"], serde_json::json!({ "speed": "1" }));
}

#[test]
fn a_copy_has_the_stack_s_addresses_speed_and_folder() {
    let addresses = Addresses {
        app: vec![Address::loopback(18080), Address::loopback(18082)],
        app_admin: vec![Address::loopback(18081), Address::loopback(18083)],
        prometheus: Address::loopback(19090),
        alertmanager: Address::loopback(19093),
        receiver: Address::loopback(19095),
        dashboards: Address::loopback(13000),
        probe: Address::loopback(19115),
        folder: "/srv/a stack/etc".into(),
        external: None,
        remote_write: None,
        logging: Logging {
            vector: Address::loopback(18686),
            vector_metrics: Address::loopback(19598),
            loki: Address::loopback(13100),
            loki_grpc: Address::loopback(19096),
            files: "/srv/a stack/logs".into(),
            data: "/srv/a stack/data".into(),
        },
    };
    let rendered = ours().render(&addresses, Speed::new(30).expect("a speed")).expect("it renders");
    let file = |path: &str| json(&rendered[Path::new(path)]);
    let at = |path: &str, pointer: &str| file(path).pointer(pointer).cloned().unwrap_or_default();

    let prometheus = |pointer| at("prometheus/prometheus.yml", pointer);
    assert_eq!(prometheus("/global/scrape_interval"), "500ms");
    assert_eq!(prometheus("/global/evaluation_interval"), "500ms");
    assert_eq!(prometheus("/global/external_labels/speed"), "30");
    assert_eq!(
        file("prometheus/targets/app.json")[0]["targets"],
        serde_json::json!(["127.0.0.1:18081", "127.0.0.1:18083"])
    );
    let of_an_older_bundle = Addresses { app_admin: Vec::new(), ..addresses.clone() };
    let older = ours().render(&of_an_older_bundle, Speed::PRODUCTION).expect("it renders");
    assert_eq!(
        json(&older[Path::new("prometheus/targets/app.json")])[0]["targets"],
        serde_json::json!(["127.0.0.1:18080", "127.0.0.1:18082"])
    );
    assert_eq!(file("prometheus/targets/receiver.json")[0]["targets"], serde_json::json!(["127.0.0.1:19095"]));
    let alertmanager = |pointer| at("alertmanager/alertmanager.yml", pointer);
    assert_eq!(alertmanager("/receivers/0/webhook_configs/0/url"), "http://127.0.0.1:19095/alerts");
    assert_eq!(alertmanager("/route/group_wait"), "500ms");
    assert_eq!(alertmanager("/route/group_interval"), "2s");
    assert_eq!(alertmanager("/route/repeat_interval"), "8m");
    assert_eq!(alertmanager("/route/routes/0/repeat_interval"), "1s500ms");
    let source = |pointer| at("grafana/provisioning/datasources/prometheus.yml", pointer);
    assert_eq!(source("/datasources/0/url"), "http://127.0.0.1:19090");
    assert_eq!(source("/datasources/0/jsonData/timeInterval"), "1s");
    let provider = at("grafana/provisioning/dashboards/files.yml", "/providers/0/options/path");
    assert_eq!(provider, "/srv/a stack/etc/grafana/dashboards");
    let vector = |pointer| at("vector/vector.yaml", pointer);
    assert_eq!(vector("/data_dir"), "/srv/a stack/data/vector");
    assert_eq!(vector("/api/address"), "127.0.0.1:18686");
    assert_eq!(vector("/sources/logs/include/0"), "/srv/a stack/logs/*.log");
    assert_eq!(vector("/sinks/loki/endpoint"), "http://127.0.0.1:13100");
    assert_eq!(vector("/sinks/metrics/address"), "127.0.0.1:19598");
    let program = json(&ours().files[Path::new("vector/vector.yaml")])["transforms"].clone();
    assert_eq!(vector("/transforms"), program, "what is no address is copied to the letter");
    assert_eq!(file("prometheus/targets/vector.json")[0]["targets"], serde_json::json!(["127.0.0.1:19598"]));
    assert_eq!(file("prometheus/targets/loki.json")[0]["targets"], serde_json::json!(["127.0.0.1:13100"]));
    // Each says where the replica that it asks is scraped.
    let probed = |port: u16, scraped: u16| {
        serde_json::json!({"targets": ["127.0.0.1:19115"], "labels": {
            "__param_module": "http_200", "__param_target": format!("http://127.0.0.1:{port}/health/live"),
            "instance": format!("127.0.0.1:{port}"), "probed": "app", "scraped": format!("127.0.0.1:{scraped}")
        }})
    };
    let both = serde_json::json!([probed(18080, 18081), probed(18082, 18083)]);
    assert_eq!(file("prometheus/targets/probe.json"), both);
    assert_eq!(at("grafana/provisioning/datasources/loki.yml", "/datasources/0/url"), "http://127.0.0.1:13100");

    let rules = file("prometheus/rules/app.yml");
    let rules = rules["groups"][0]["rules"].as_array().expect("rules");
    let drop = rules.iter().find(|rule| rule["alert"] == "AppTrafficDrop").expect("the alert");
    assert_eq!(drop["for"], "4s");
    assert!(drop["expr"].as_str().is_some_and(|expr| expr.contains("> 0.5")), "{drop}");
    let usual = rules.iter().find(|rule| rule["record"] == "job:app_requests:p75_over_30m").expect("the recording");
    assert!(usual["expr"].as_str().is_some_and(|expr| expr.contains("[1m] offset 10s")), "{usual}");
    assert_eq!(drop["annotations"]["dashboard_url"], "http://127.0.0.1:13000/d/app-overview?viewPanel=1");
    assert_eq!(rules[0]["record"], "job:app_requests:rate5m");
    assert!(rules[0]["expr"].as_str().is_some_and(|expr| expr.contains("[10s]")));
}

#[test]
fn every_finding_is_told_with_its_line() {
    let broken = "groups:\n  - name: one\n    interva: 1m\n    rules:\n      - alert: A\n        expr: up ==\n        for: soon\n      - record: a\n        alert: b\n        expr: x > 5m\n        labels: {n: [1]}\n";
    let mut files = ours().files;
    files.insert("prometheus/rules/broken.yml".into(), broken.into());
    let findings = Monitoring::from_files(files).expect_err("it is broken");
    let told: Vec<(&str, usize)> =
        findings.iter().map(|finding| (finding.file.to_str().expect("UTF-8"), finding.line)).collect();
    let file = "monitoring/prometheus/rules/broken.yml";
    assert_eq!(told, [(file, 3), (file, 6), (file, 7), (file, 8), (file, 10), (file, 11)], "{findings:#?}");
}

#[test]
fn what_can_t_be_divided_truthfully_is_refused_with_file_and_line() {
    let app = "prometheus/rules/app.yml";
    let prometheus = "prometheus/prometheus.yml";
    let dashboard = "grafana/dashboards/app-overview.json";
    for (path, from, to, what) in [
        (app, "rate5m > 0.5\n        for: 2m", "rate5m > 0.5\n        for: 100ms", "whole number of milliseconds"),
        (app, "(rate(app_errors_total[5m]))", "(rate(app_errors_total[100ms]))", "whole number of milliseconds"),
        (
            prometheus,
            "- job_name: app\n",
            "- job_name: app\n    scrape_interval: 12s\n    scrape_timeout: 12s\n",
            "under 500ms",
        ),
        (app, "job:app_errors:rate5m > 0.5", "increase(app_errors_total[5m]) > 10", "shrinks with time"),
        (app, "(rate(app_errors_total[5m]))", "(increase(app_errors_total[5m]))", "shrinks with time"),
        (app, "max by (job) (up{job=~\"app(-.+)?\"}) == 0", "time() - app_ready > 300", "shrinks with time"),
        (app, "max by (job) (up{job=~\"app(-.+)?\"}) == 0", "up > 5m", "a duration in a number's place"),
        (
            app,
            "max by (job) (up{job=~\"app(-.+)?\"}) == 0",
            "predict_linear(app_ready[6h], 24 * 3600) < 0",
            "looks ahead",
        ),
        (app, "max by (job) (up{job=~\"app(-.+)?\"}) == 0", "timestamp(up) < time() - 300", "adds up what shrinks"),
        (app, "max by (job) (up{job=~\"app(-.+)?\"}) == 0", "up == 0 and on () hour() > 8", "asks the calendar"),
        (dashboard, "job:app_errors:rate5m{", "predict_linear(up[1h], 3600) or up{", "looks ahead by"),
        (dashboard, "job:app_errors:rate5m{", "rate(app_errors_total[100ms]) or up{", "whole number of milliseconds"),
    ] {
        let findings = findings(path, from, to);
        let found = findings.iter().find(|finding| finding.what.contains(what));
        let found = found.unwrap_or_else(|| panic!("{to}: {findings:?}"));
        assert_eq!(found.file, Path::new(FOLDER).join(path));
        assert!(found.line > 0, "{found}");
    }
}

/// Its program reads it, and so do we; `check` tells it.
#[test]
fn what_is_ours_alone_is_a_remark() {
    let app = "prometheus/rules/app.yml";
    let alertmanager = "alertmanager/alertmanager.yml";
    for (path, from, to, name, what) in [
        (app, "Every scrape of", "For 5 minutes, every scrape of", "alert/duration", "tells a duration"),
        (app, "http://localhost:3000/d", "http://localhost:3001/d", "alert/dashboard", "does not lead to"),
        (
            alertmanager,
            "http://receiver:9095/alerts",
            "http://else:9095/alerts",
            "address/elsewhere",
            "does not lead to",
        ),
        (
            "prometheus/prometheus.yml",
            "[targets/app.json]",
            "[targets/no.json]",
            "target/missing",
            "no targets/no.json",
        ),
    ] {
        let read = edited(path, from, to).unwrap_or_else(|findings| panic!("{to}: {findings:?}"));
        let found = read.remarks().iter().find(|remark| remark.name == name && remark.finding.what.contains(what));
        let found = found.unwrap_or_else(|| panic!("{to}: {:?}", read.remarks()));
        assert_eq!(found.finding.file, Path::new(FOLDER).join(path));
        assert!(found.finding.line > 0, "{found:?}");
    }
    assert_eq!(ours().remarks(), []);
}

#[test]
fn a_count_over_a_window_is_no_matter_in_production_time() {
    let monitoring =
        edited("prometheus/rules/app.yml", "job:app_errors:rate5m > 0.5", "increase(app_errors_total[5m]) > 10");
    let rendered = monitoring.expect("it reads").render(&Addresses::canonical(), Speed::PRODUCTION);
    assert!(rendered.is_ok());
}

#[test]
fn a_key_that_nobody_knows_and_a_receiver_that_is_missing_are_found() {
    for (path, from, to, what) in [
        ("prometheus/prometheus.yml", "rule_files:", "scrape_config_file: [a]\nrule_files:", "unknown key"),
        ("alertmanager/alertmanager.yml", "- receiver: watchdog", "- receiver: watchcat", "no receiver is called"),
        (
            "alertmanager/alertmanager.yml",
            "'alertname=~\"AppDown|AppTargetMissing|AppNotReady|AppProbeFailing\"'",
            "'alertname'",
            "is no matcher of Alertmanager's",
        ),
        ("prometheus/rules/tests/app.yml", "0+270x160", "0+270xx160", "is no sample"),
        ("grafana/dashboards/app-overview.json", "\"uid\": \"app-overview\"", "\"uid\": \"app overview\"", "is no uid"),
    ] {
        let findings = findings(path, from, to);
        assert!(findings.iter().any(|finding| finding.what.contains(what)), "{to}: {findings:?}");
    }
}

/// Rules of one group that has this in it.
fn with_rule(rule: &str) -> Result<Monitoring, Vec<Finding>> {
    let mut files = ours().files;
    files.insert("prometheus/rules/more.yml".into(), format!("groups:\n- name: more\n  rules:\n{rule}").into());
    Monitoring::from_files(files)
}

#[test]
fn what_prometheus_refuses_is_refused_with_its_line() {
    for (rule, line, what) in [
        ("  - record: a:b:c\n    expr: up\n    labels: {\"\": x}\n", 6, "`` is no name of a label"),
        ("  - alert: A\n    expr: up\n    labels: {__name__: x}\n", 6, "`__name__` is no name of a label"),
        ("  - alert: A\n    expr: up\n    annotations: {\"\": x}\n", 6, "`` is no name of a label"),
        ("  - record: a{b}\n    expr: up\n", 4, "`a{b}` is no name of a series"),
        ("  - record: ''\n    expr: up\n", 4, "`` is no name of a series"),
        ("  - alert: ''\n    expr: up\n", 4, "a name that is empty"),
        ("  - alert:\n    expr: up\n", 4, "a name that is empty"),
        ("  - alert: A\n    expr:\n", 5, "not an expression"),
        (
            "  - alert: A\n    expr: up\n    annotations:\n      a: '{{ $labels.job | nosuch }}'\n",
            7,
            "no function `nosuch`",
        ),
        ("  - alert: A\n    expr: up\n    annotations:\n      a: '{{ $labels.job '\n", 7, "no template"),
        ("  - alert: A\n    expr: up\n    labels:\n      a: '{{ $x }}'\n", 7, "no variable $x"),
        ("  - alert: A\n    expr: up\n    alert: B\n", 6, "the key `alert` stands twice"),
    ] {
        let findings = with_rule(rule).err().unwrap_or_default();
        let found = findings.iter().any(|finding| finding.line == line && finding.what.contains(what));
        assert!(found, "{rule}: {findings:#?}");
    }
    let mut files = ours().files;
    files.insert("prometheus/rules/more.yml".into(), "groups:\n- name: ''\n  rules: []\n".into());
    let findings = Monitoring::from_files(files).expect_err("the group has no name");
    assert!(findings[0].line == 2 && findings[0].what == "a name that is empty", "{findings:#?}");
}

#[test]
fn recording_rules_that_can_t_be_followed_to_an_end_are_refused_at_a_speed() {
    let chain = |length: usize, expr: &dyn Fn(usize) -> String| {
        let rules = (1..=length).map(|number| format!("{{record: \"a:b:c{number}\", expr: '{}'}}", expr(number)));
        with_rule(&format!("  - {}\n", rules.collect::<Vec<_>>().join("\n  - ")))
    };
    let twice = |number: usize| format!("a:b:c{0} + a:b:c{0}", number - 1);
    let once = |number: usize| format!("a:b:c{} * 2", number - 1);
    let ring = |number: usize| format!("a:b:c{}", 3 - number);
    let itself = |number: usize| format!("up or a:b:c{number}");
    let speed = Speed::new(30).expect("a speed");
    for (what, read) in [("doubled", chain(60, &twice)), ("deep", chain(5000, &once)), ("a ring", chain(2, &ring))] {
        // Prometheus reads it.
        let read = read.unwrap_or_else(|findings| panic!("{what}: {findings:?}"));
        assert!(read.render(&Addresses::canonical(), Speed::PRODUCTION).is_ok(), "{what}");
        let findings = read.render(&Addresses::canonical(), speed).expect_err(what);
        let said = format!("{findings:?}");
        assert!(findings[0].line > 0 && said.contains("stands for too much"), "{what}: {said}");
    }
    for (what, read) in [("doubled", chain(8, &twice)), ("deep", chain(50, &once)), ("itself", chain(3, &itself))] {
        read.unwrap_or_else(|findings| panic!("{what}: {findings:?}"));
    }
}

/// Go's reader makes a text of what is written where a text belongs.
#[test]
fn what_prometheus_reads_is_read() {
    let read = with_rule(
        "  - alert: A\n    expr: 1\n    for: 0\n    labels: {a: 1, b: true, c: yes, d: 0x1f, e: 0.50, f: , g: 1e3}\n\
         \x20   annotations:\n  - alert: B\n    expr: 0.50\n    labels:\n    annotations: {a: ~, b: 007}\n",
    );
    let read = read.unwrap_or_else(|findings| panic!("{findings:#?}"));
    let alert = read.alert("A").expect("it is there");
    assert_eq!((alert.expr.as_str(), alert.hold), ("1", Duration::ZERO));
    let values: Vec<&str> = alert.labels.values().map(String::as_str).collect();
    assert_eq!(values, ["1", "true", "yes", "0x1f", "0.50", "", "1e3"]);
    let alert = read.alert("B").expect("it is there");
    assert_eq!(alert.annotations.values().map(String::as_str).collect::<Vec<_>>(), ["", "007"]);
    for empty in ["", "# nothing yet\n", "groups:\n", "groups:\n- name: a\n", "groups:\n- name: a\n  rules:\n"] {
        let mut files = ours().files;
        files.insert("prometheus/rules/more.yml".into(), empty.into());
        assert!(Monitoring::from_files(files).is_ok(), "{empty}");
    }
}

#[test]
fn a_template_that_asks_is_refused_where_it_would_be_divided() {
    let rule =
        "  - alert: A\n    expr: up\n    annotations:\n      a: '{{ with query \"rate(x[5m])\" }}{{ . }}{{ end }}'\n";
    let monitoring = with_rule(rule).expect("it reads");
    assert!(monitoring.render(&Addresses::canonical(), Speed::PRODUCTION).is_ok());
    let findings = monitoring.render(&Addresses::canonical(), Speed::new(30).expect("a speed")).expect_err("refused");
    assert!(findings[0].line == 7 && findings[0].what.contains("asks by itself"), "{findings:#?}");
}

#[test]
fn the_speeds_that_are_offered_divide() {
    let found = findings("prometheus/prometheus.yml", "scrape_interval: 15s", "scrape_interval: 20s");
    let found =
        found.iter().find(|finding| finding.what.starts_with("20s divided")).expect("20s ÷ 30 is no whole number");
    assert!(found.remedy.contains(" 25, 32,") && !found.remedy.contains("30"), "{found}");
}

/// As it is in a mount of a `ConfigMap`, in a folder that Nix made, and where somebody shares one file.
#[test]
fn a_link_is_followed_to_a_file_or_told() {
    use std::os::unix::fs::symlink;
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = temporary.path().join("monitoring");
    for (path, bytes) in ours().files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder is made");
        std::fs::write(path, bytes).expect("a file is written");
    }
    let rules = folder.join("prometheus/rules");
    let text = "groups:\n- name: more\n  rules: [{record: 'a:b:c', expr: up}]\n";
    std::fs::create_dir(rules.join("..data")).expect("a folder is made");
    std::fs::write(rules.join("..data/more.yml"), text).expect("a file is written");
    symlink("..data/more.yml", rules.join("more.yml")).expect("a link is made");
    let read = Monitoring::read(&folder).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(read.recording("a:b:c").is_some(), "a link to a file of the folder is that file");

    let elsewhere = temporary.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a folder is made");
    let other = |name: &str| text.replace("name: more", &format!("name: {name}")).replace("a:b:c", name);
    std::fs::write(elsewhere.join("out.yml"), other("a:b:out")).expect("a file is written");
    symlink("../../../elsewhere/out.yml", rules.join("out.yml")).expect("a link is made");
    symlink("..", rules.join("up")).expect("a link is made");
    std::fs::write(rules.join(".hidden.yml"), other("a:b:hidden")).expect("a file is written");
    std::fs::write(rules.join(".more.yml.swp"), text).expect("a file is written");
    symlink("nobody@host", rules.join(".#more.yml")).expect("a link is made");
    let read = Monitoring::read(&folder).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(["a:b:c", "a:b:out", "a:b:hidden"].iter().all(|name| read.recording(name).is_some()));
    let told: Vec<String> = read.remarks().iter().map(|one| format!("{} {}", one.name, one.finding)).collect();
    for (name, what) in [
        ("files/link", "rules/out.yml: a link that leads out"),
        ("files/link", "rules/up: a link to a folder that is read already"),
        ("files/hidden", "rules/.hidden.yml: a hidden file"),
    ] {
        assert!(told.iter().any(|told| told.starts_with(name) && told.contains(what)), "{what}: {told:?}");
    }
    assert_eq!(told.len(), 3, "{told:?}");

    symlink("nothing.yml", rules.join("lost.yml")).expect("a link is made");
    symlink("loop.yml", rules.join("loop.yml")).expect("a link is made");
    let pipe = rules.join("pipe.yml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    std::fs::File::create(rules.join("large.yml")).and_then(|file| file.set_len(3 << 30)).expect("a file is made");
    let failure = Monitoring::read(&folder).expect_err("it is told").to_string();
    for told in [
        "rules/lost.yml: a link that leads nowhere",
        "rules/loop.yml: a link that leads nowhere",
        "rules/pipe.yml: no regular file",
        "rules/large.yml: a file of",
    ] {
        assert!(failure.contains(told), "{told}: {failure}");
    }
    assert!(!failure.contains("swp"), "{failure}");
}

#[test]
fn alerts_are_read_with_all_they_have() {
    let monitoring = ours();
    let names: Vec<&str> = monitoring.alerts().iter().map(|alert| alert.name.as_str()).collect();
    // The original four first; files by name.
    assert_eq!(names[..4], ["AppHigh5xxErrorRate", "AppHighP95Latency", "AppHighExceptionRate", "AppTrafficDrop"]);
    assert_eq!(names.last(), Some(&"Watchdog"));
    let written = std::fs::read_dir(folder().join("prometheus/rules")).expect("it is there");
    let written = written.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_file());
    let written = written.map(|path| std::fs::read_to_string(path).expect("UTF-8"));
    let written: usize = written.map(|text| text.matches("- alert: ").count()).sum();
    assert_eq!(names.len(), written);
    let down = monitoring.alert("AppDown").expect("it is there");
    assert_eq!(down.hold, Duration::from_mins(1));
    assert_eq!(down.labels["severity"], "critical");
    assert_eq!(down.line, line_of("prometheus/rules/app.yml", "alert: AppDown"));
    assert_eq!(down.file, Path::new("monitoring/prometheus/rules/app.yml"));
}

#[test]
fn the_dashboard_begins_with_the_five_panels_in_their_order() {
    let dashboard = json(&ours().files()[Path::new("grafana/dashboards/app-overview.json")]);
    let panels: Vec<(u64, &str)> = dashboard["panels"]
        .as_array()
        .expect("panels")
        .iter()
        .map(|panel| (panel["id"].as_u64().expect("an id"), panel["title"].as_str().expect("a title")))
        .collect();
    assert_eq!(
        panels[..5],
        [
            (1, "Request rate"),
            (2, "p95 latency"),
            (3, "Error rate (5xx share)"),
            (4, "Top endpoints"),
            (5, "Exceptions rate")
        ]
    );
    assert_eq!((&dashboard["uid"], dashboard["schemaVersion"].as_u64()), (&"app-overview".into(), Some(39)));
}

#[test]
fn bounds_follow_from_window_scrape_evaluations_and_for() {
    let monitoring = ours();
    let seconds = Duration::from_secs;
    let alert = |name| monitoring.alert(name).expect("it is there");
    // The first three are kept, so that they end after the page that mutes them.
    for (name, kept) in
        [("AppHigh5xxErrorRate", 660), ("AppHighP95Latency", 660), ("AppHighExceptionRate", 660), ("AppTrafficDrop", 0)]
    {
        let bounds = monitoring.bounds(alert(name), None);
        assert_eq!(monitoring.window_of(alert(name)), seconds(300), "{name}");
        assert_eq!(bounds.earliest_firing, seconds(120), "{name}");
        assert_eq!(bounds.latest_firing, seconds(300 + 15 + 30 + 120), "{name}");
        assert_eq!(bounds.latest_notified, bounds.latest_firing + seconds(60), "{name}");
        assert_eq!(bounds.latest_resolved, seconds(300 + 15 + 30 + kept), "{name}");
        assert_eq!(bounds.latest_resolved_notified, bounds.latest_resolved + seconds(60), "{name}");
    }
    assert_eq!(monitoring.bounds(alert("AppDown"), None).latest_firing, seconds(15 + 30 + 60));
    // Half of the requests fail and a twentieth is enough: a tenth of the window to cross, nine to come back.
    let half = monitoring.bounds(alert("AppHigh5xxErrorRate"), Some(0.5));
    assert_eq!(half.latest_firing, seconds(30 + 15 + 30 + 120));
    assert_eq!(half.latest_resolved, seconds(270 + 15 + 30 + 660));
    // Of the two windows of a budget the long one fires and the short one resolves: 65 minutes, as the hour is one of
    // five-minute rates, of which a seventh must be spent; five minutes, of which six sevenths must be forgotten. It is
    // kept for nine more.
    let budget = monitoring.bounds(alert("AppErrorBudgetBurn1h"), Some(0.504));
    assert_eq!(budget.latest_firing.as_secs(), 65 * 60 / 7 + 15 + 30 + 120);
    assert_eq!(budget.latest_resolved.as_secs(), 300 * 6 / 7 + 15 + 30 + 9 * 60);
    // A share that never reaches the threshold narrows nothing.
    assert_eq!(monitoring.bounds(alert("AppHigh5xxErrorRate"), Some(0.01)).latest_firing, seconds(465));
}

#[test]
fn the_watchdog_has_its_own_rhythm() {
    let monitoring = ours();
    let timings = |name| monitoring.group_timings(monitoring.alert(name).expect("it is there"));
    assert_eq!(timings("Watchdog").receiver, "watchdog");
    assert_eq!(timings("Watchdog").group_wait, Duration::ZERO);
    assert_eq!(timings("AppDown").receiver, "critical");
    assert_eq!(timings("AppTrafficDrop").receiver, "warning");
    assert_eq!(timings("AppDown").group_wait, Duration::from_secs(15));
}

#[test]
fn flags_are_durations_too() {
    let flags = prometheus_flags(Speed::new(30).expect("a speed"));
    assert_eq!(
        flags,
        ["--query.lookback-delta=10s", "--rules.alert.resend-delay=2s", "--rules.alert.for-grace-period=20s"]
    );
}

/// What Prometheus would answer had it loaded these rules.
fn answer() -> serde_json::Value {
    serde_json::json!({"status": "success", "data": {"groups": [{
        "name": "watchdog", "file": "/etc/prometheus/rules/watchdog.yml", "interval": 15, "limit": 0,
        "rules": [{
            "type": "alerting", "name": "Watchdog", "query": "vector(1)", "duration": 0, "keepFiringFor": 0,
            "labels": {"severity": "none", "service": "monitoring"},
            "annotations": ours().alert("Watchdog").expect("it is there").annotations,
            "alerts": [], "health": "ok", "state": "firing"
        }]
    }]}})
}

fn watchdog_files() -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = ours().render(&Addresses::canonical(), Speed::PRODUCTION).expect("it renders");
    files.retain(|path, _| path.parent() != Some(Path::new("prometheus/rules")) || path.ends_with("watchdog.yml"));
    files
}

#[test]
fn loaded_rules_equal_the_files_they_came_from() {
    assert_eq!(rules_equal(&answer(), &watchdog_files()), Ok(()));
}

#[test]
fn any_difference_of_what_is_loaded_is_told() {
    let rule = "/data/groups/0/rules/0";
    for (pointer, value) in [
        ("/data/groups/0/interval".to_owned(), serde_json::json!(0.5)),
        ("/data/groups/0/name".to_owned(), serde_json::json!("other")),
        (format!("{rule}/query"), serde_json::json!("vector(2)")),
        (format!("{rule}/duration"), serde_json::json!(1)),
        (format!("{rule}/keepFiringFor"), serde_json::json!(0.25)),
        (format!("{rule}/name"), serde_json::json!("Watchcat")),
        (format!("{rule}/type"), serde_json::json!("recording")),
        (format!("{rule}/labels/severity"), serde_json::json!("critical")),
        (format!("{rule}/annotations/summary"), serde_json::json!("All is well.")),
        ("/data/groups/0/rules".to_owned(), serde_json::json!([])),
        ("/data/groups".to_owned(), serde_json::json!([])),
        ("/data".to_owned(), serde_json::json!(null)),
    ] {
        let mut answer = answer();
        *answer.pointer_mut(&pointer).expect("it is there") = value;
        assert!(rules_equal(&answer, &watchdog_files()).is_err(), "{pointer}");
    }
}

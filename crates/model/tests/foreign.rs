//! Somebody else's files: each kind that there is, read as their programs read it, refused as they refuse it, divided or refused
//! with a line. What is right is what promtool and amtool say.
#![allow(clippy::unwrap_used)] // a test file throughout: what can't be read fails the test

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use aiclipx_base::duration::Speed;
use aiclipx_model::failure::Finding;
use aiclipx_model::monitoring::Monitoring;
use aiclipx_model::monitoring::addresses::Addresses;

fn read(name: &str, text: &str) -> Result<Monitoring, Vec<Finding>> {
    Monitoring::from_any(BTreeMap::from([(PathBuf::from(name), text.as_bytes().to_vec())]))
}

fn at(monitoring: &Monitoring, name: &str, k: u32) -> Result<String, Vec<Finding>> {
    let rendered = monitoring.render(&Addresses::canonical(), Speed::new(k).unwrap());
    rendered.map(|mut files| String::from_utf8(files.remove(Path::new(name)).unwrap()).unwrap())
}

/// Whether who reads it in production takes it.
fn is_taken(arguments: &[&str], text: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.yml");
    std::fs::write(&file, text).unwrap();
    let output = Command::new(arguments[0]).args(&arguments[1..]).arg(&file).output().unwrap_or_else(|error| {
        panic!("cannot run {} ({error}); Debian's prometheus packages bring it, or `nix develop`", arguments[0])
    });
    output.status.success()
}

const RULES: [&str; 4] = ["promtool", "check", "rules", "--lint=none"];
const PROMETHEUS: [&str; 5] = ["promtool", "check", "config", "--syntax-only", "--lint=none"];
const ALERTMANAGER: [&str; 2] = ["amtool", "check-config"];

/// Every kind of key that a Prometheus of 2.42 has, and what each is at a speed.
const A_PROMETHEUS: &str = "\
global:
  scrape_interval: 1m
  evaluation_interval: 30s
  external_labels: {cluster: one}
  query_log_file: /var/log/queries
rule_files: [rules/*.yml, '/etc/more/*.rules']
storage:
  exemplars: {max_exemplars: 10}
  tsdb: {out_of_order_time_window: 30m}
tracing: {endpoint: 'tempo:4317', client_type: grpc, sampling_fraction: 0.5, insecure: true, timeout: 7s}
remote_write:
- url: https://store.example.org/write
  remote_timeout: 30s
  headers: {x-tenant: a}
  basic_auth: {username: me, password_file: /run/secret}
  queue_config: {max_shards: 10, batch_send_deadline: 5s, min_backoff: 30ms}
  write_relabel_configs:
  - {source_labels: [__name__], regex: 'go_.*', action: drop}
remote_read:
- {url: 'http://store/read', read_recent: yes, required_matchers: {job: x}}
alerting:
  alert_relabel_configs:
  - {regex: replica, action: labeldrop}
  alertmanagers:
  - {scheme: https, path_prefix: /am, timeout: 10s, api_version: v2, static_configs: [{targets: ['am:9093']}]}
scrape_configs:
- job_name: static
  honor_timestamps: false
  sample_limit: 5000
  body_size_limit: 10MB
  scheme: https
  metrics_path: /m
  params: {'match[]': ['{job=~\".+\"}']}
  scrape_timeout: 30s
  tls_config: {ca_file: ca.pem, insecure_skip_verify: on, min_version: TLS12}
  authorization: {credentials_file: /run/token}
  static_configs:
  - targets: ['a:80', 'b:80']
    labels: {site: 1}
  relabel_configs:
  - {source_labels: [__address__], target_label: shard, modulus: 4, action: hashmod}
  - {source_labels: [a, b], separator: '-', regex: '(.*)-(.*)', replacement: '$2', target_label: c}
  - {action: labelmap, regex: '__meta_(.+)', replacement: '$1'}
- job_name: found
  dns_sd_configs:
  - {names: [a.example.org], type: A, port: 9100, refresh_interval: 10s}
  file_sd_configs:
  - {files: ['targets/*.yaml', one.json], refresh_interval: 5m}
  http_sd_configs:
  - {url: 'http://lists/targets', refresh_interval: 45s, basic_auth: {username: a, password: b}}
  oauth2: {client_id: a, client_secret: b, token_url: 'http://auth/token', scopes: [c], endpoint_params: {d: e}}
  metric_relabel_configs:
  - {source_labels: [__name__], regex: 'a|b', action: keep}
";

/// Discoveries that Debian's build leaves out.
const MORE: &str = "  kubernetes_sd_configs:
  - {role: pod, namespaces: {names: [a]}, selectors: [{role: pod, label: app=x}]}
  consul_sd_configs:
  - {server: 'consul:8500', services: [], tags: [a], node_meta: {rack: 1}, refresh_interval: 30s, allow_stale: true}
";

#[test]
fn a_prometheus_of_any_kind_is_read_and_divided_where_time_is_its_own() {
    assert!(is_taken(&PROMETHEUS, A_PROMETHEUS));
    let monitoring = read("prometheus.yml", A_PROMETHEUS).unwrap_or_else(|found| panic!("{found:#?}"));
    assert_eq!(monitoring.remarks(), []);
    assert_eq!(at(&monitoring, "prometheus.yml", 1).unwrap(), A_PROMETHEUS, "in production it is what it is");
    let divided = at(&monitoring, "prometheus.yml", 30).unwrap_or_else(|found| panic!("{found:#?}"));
    for line in [
        "scrape_interval: 2s",
        "evaluation_interval: 1s",
        "scrape_timeout: 1s",
        // Others live in real time.
        "out_of_order_time_window: 30m",
        "timeout: 7s",
        "remote_timeout: 30s",
        "batch_send_deadline: 5s",
        "min_backoff: 30ms",
        "timeout: 10s",
        "refresh_interval: 10s",
        "refresh_interval: 5m",
        "refresh_interval: 45s",
        // What is not ours stays, too.
        "- am:9093",
        "cluster: one",
    ] {
        assert!(divided.lines().any(|one| one.trim() == line), "{line}: {divided}");
    }
    assert!(!divided.contains("speed:"), "{divided}");
    let more = A_PROMETHEUS.replace("  dns_sd_configs:\n", &format!("{MORE}  dns_sd_configs:\n"));
    let monitoring = read("prometheus.yml", &more).unwrap_or_else(|found| panic!("{found:#?}"));
    assert!(at(&monitoring, "prometheus.yml", 30).unwrap().contains("refresh_interval: 30s"));
    assert!(is_taken(&PROMETHEUS, &divided), "{divided}");
}

/// What is refused, with the line at which it is.
fn refused(name: &str, text: &str, line: usize, what: &str) {
    let found = read(name, text).err().unwrap_or_default();
    let is_it = |finding: &Finding| finding.line == line && finding.what.contains(what);
    assert!(found.iter().any(is_it), "{text}: {found:#?}");
}

#[test]
fn what_a_prometheus_refuses_is_refused_with_its_line() {
    let job = |text: &str| format!("scrape_configs:\n- job_name: a\n{text}");
    for (text, line, what) in [
        (job("  scrape_intervall: 1m\n"), 3, "unknown key `scrape_intervall`"),
        (job("- job_name: a\n"), 3, "a second job of the name `a`"),
        ("scrape_configs:\n- metrics_path: /a\n".to_owned(), 2, "`job_name` is missing"),
        ("scrape_configs:\n-\n".to_owned(), 2, "nothing in it"),
        (job("  scrape_interval: 10s\n  scrape_timeout: 11s\n"), 4, "may last 11s"),
        (job("  scrape_interval: 1.5m\n"), 3, "is not a duration"),
        (job("  static_configs:\n  - targets:\n    - http://a:80\n"), 5, "no host and port"),
        (job("  static_configs:\n  - targets: a:80\n"), 4, "a list is expected"),
        (job("  file_sd_configs:\n  - files: [a.txt]\n"), 4, "names no file of targets"),
        (job("  kubernetes_sd_configs:\n  - role: pods\n"), 4, "`role` is none of"),
        (job("  relabel_configs:\n  - action: replaces\n"), 4, "`replaces` is none of"),
        (job("  relabel_configs:\n  - regex: 'a('\n    action: keep\n"), 4, "a("),
        (job("  relabel_configs:\n  - action: hashmod\n    target_label: b\n"), 4, "needs a `modulus`"),
        (job("  relabel_configs:\n  - source_labels: [b]\n"), 4, "needs a `target_label`"),
        (
            job("  relabel_configs:\n  - action: labeldrop\n    regex: b\n    replacement: c\n"),
            6,
            "takes no `replacement`",
        ),
        (job("  basic_auth: {username: b}\n  bearer_token: c\n"), 4, "one way to sign a request"),
        (job("  body_size_limit: 10\n"), 3, "no number of bytes"),
        (job("  honor_labels: 'yes'\n"), 3, "true or false is expected"),
        ("remote_write:\n- name: a\n".to_owned(), 2, "`url` is missing"),
        ("global:\n  external_labels: {'': c}\nscrape_configs: []\n".to_owned(), 2, "no name of a label"),
        ("global:\n  scrape_interval: 1m\n  scrape_interval: 2m\nscrape_configs: []\n".to_owned(), 3, "stands twice"),
    ] {
        assert!(!is_taken(&PROMETHEUS, &text), "{text}");
        refused("prometheus.yml", &text, line, what);
    }
}

#[test]
fn an_interval_that_a_target_brings_is_divided_or_refused() {
    let label = "scrape_configs:\n- job_name: a\n  scrape_interval: 1m\n  static_configs:\n  - targets: [b:1]\n    labels: {__scrape_interval__: 30s}\n";
    assert!(is_taken(&PROMETHEUS, label));
    let monitoring = read("prometheus.yml", label).unwrap();
    let divided = at(&monitoring, "prometheus.yml", 30).unwrap();
    assert!(divided.contains("__scrape_interval__: 1s"), "{divided}");
    let step = "scrape_configs:\n- job_name: a\n  scrape_interval: 1m\n  relabel_configs:\n  - {source_labels: [b], regex: '(.+)', replacement: $1, target_label: __scrape_interval__}\n";
    let found = at(&read("prometheus.yml", step).unwrap(), "prometheus.yml", 30).unwrap_err();
    assert!(found[0].line == 5 && found[0].what.contains("__scrape_interval__"), "{found:?}");
    let step = step.replace("replacement: $1", "replacement: 30s");
    let divided = at(&read("prometheus.yml", &step).unwrap(), "prometheus.yml", 30).unwrap();
    assert!(divided.contains("replacement: 1s"), "{divided}");
}

/// Receivers of every kind that 0.25 has, matchers of every way, and intervals of the calendar.
const AN_ALERTMANAGER: &str = "\
global:
  resolve_timeout: 5m
  smtp_smarthost: mail.example.org:587
  smtp_from: a@example.org
  slack_api_url: https://hooks.example.org/services/a
  opsgenie_api_key: b
  http_config: {follow_redirects: false}
templates: [templates/*.tmpl]
route:
  receiver: default
  group_by: [alertname, '...']
  routes:
  - match: {severity: critical}
    match_re: {service: 'a|b'}
    receiver: pager
    continue: true
  - matchers: [severity=critical, 'team =~ \"x|y\"', '{zone!=\"\",area!~n.*}']
    receiver: chat
    group_wait: 0s
    group_interval: 3m
    repeat_interval: 3h
    routes:
    - matchers: ['quiet=\"yes\"']
      receiver: 'null'
  - match: {severity: warning}
    receiver: mail
receivers:
- name: 'null'
- name: default
  webhook_configs:
  - {url: 'https://hooks.example.org/a', max_alerts: 5, http_config: {basic_auth: {username: a, password: b}}}
- name: pager
  pagerduty_configs:
  - {routing_key: a, details: {x: y}, links: [{href: 'http://a', text: b}]}
  opsgenie_configs:
  - {responders: [{name: a, type: team}], priority: P1}
  victorops_configs:
  - {api_key: a, routing_key: b}
  pushover_configs:
  - {user_key: a, token: b, retry: 90s, expire: 1h}
  sns_configs:
  - {topic_arn: 'arn:a', sigv4: {region: b}}
- name: chat
  slack_configs:
  - {channel: '#a', send_resolved: yes, fields: [{title: a, value: b, short: true}], actions: [{type: button, text: c, url: 'http://d'}]}
  telegram_configs:
  - {bot_token: a, chat_id: -5, parse_mode: HTML}
  wechat_configs:
  - {corp_id: a, api_secret: b, to_user: c}
  discord_configs:
  - webhook_url: https://hooks.example.org/d
  webex_configs:
  - {room_id: a, http_config: {authorization: {credentials: b}}}
- name: mail
  email_configs:
  - {to: 'a@example.org', headers: {Subject: b}, require_tls: no}
inhibit_rules:
- source_match: {severity: critical}
  target_match_re: {severity: 'warning|info'}
  equal: [alertname]
- source_matchers: [alertname=Down]
  target_matchers: [severity!=critical]
";

fn an_alertmanager() -> String {
    AN_ALERTMANAGER.replace("[alertname, '...']", "[alertname, job]")
}

#[test]
fn an_alertmanager_of_any_kind_is_read_and_its_rhythm_divided() {
    let text = an_alertmanager();
    assert!(is_taken(&ALERTMANAGER, &text));
    let monitoring = read("am.yaml", &text).unwrap_or_else(|found| panic!("{found:#?}"));
    assert_eq!(monitoring.remarks(), []);
    assert_eq!(at(&monitoring, "am.yaml", 1).unwrap(), text);
    let divided = at(&monitoring, "am.yaml", 30).unwrap_or_else(|found| panic!("{found:#?}"));
    for line in ["resolve_timeout: 10s", "group_interval: 6s", "repeat_interval: 6m", "retry: 90s", "expire: 1h"] {
        assert!(divided.lines().any(|one| one.trim() == line), "{line}: {divided}");
    }
    assert!(is_taken(&ALERTMANAGER, &divided), "{divided}");
    refused("am.yaml", AN_ALERTMANAGER, 11, "`...` is every label");
}

#[test]
fn an_alert_reaches_whom_amtool_says_it_reaches() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("am.yml");
    let text = an_alertmanager();
    std::fs::write(&file, &text).unwrap();
    let monitoring = read("am.yaml", &text).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for severity in ["", "critical", "warning", "info"] {
        for service in ["", "a", "b", "ab"] {
            for (team, zone, area, quiet) in [
                ("", "", "", ""),
                ("x", "1", "south", ""),
                ("y", "1", "north", ""),
                ("x", "1", "", "yes"),
                ("z", "", "", ""),
            ] {
                let labels = [
                    ("severity", severity),
                    ("service", service),
                    ("team", team),
                    ("zone", zone),
                    ("area", area),
                    ("quiet", quiet),
                ];
                let labels: BTreeMap<String, String> = labels
                    .into_iter()
                    .filter(|(_, value)| !value.is_empty())
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect();
                let ours: Vec<&str> =
                    monitoring.reached(&labels).iter().map(|timings| timings.receiver.as_str()).collect();
                let output = Command::new("amtool")
                    .args(["config", "routes", "test", "--config.file"])
                    .arg(&file)
                    .args(labels.iter().map(|(name, value)| format!("{name}={value}")))
                    .output()
                    .unwrap();
                let told = String::from_utf8(output.stdout).unwrap();
                let theirs: Vec<&str> = told.trim().lines().next_back().unwrap_or_default().split(',').collect();
                assert_eq!(ours, theirs, "{labels:?}");
                seen.insert(told);
            }
        }
    }
    assert!(seen.len() >= 5, "the labels tell no routes apart: {seen:?}");
}

#[test]
fn what_an_alertmanager_refuses_is_refused_with_its_line() {
    let with = |text: &str| format!("route: {{receiver: a}}\nreceivers:\n- name: a\n{text}");
    for (text, line, what) in [
        (with("- name: a\n"), 4, "a second receiver"),
        (with("  slack_configs:\n  - channel: b\n"), 5, "has no `api_url`"),
        (with("  slack_configs:\n  - api_url: b\n"), 5, "no address to call"),
        (with("  email_configs:\n  - to: b\n"), 5, "has no `smarthost`"),
        (with("  webhook_configs:\n  - send_resolved: true\n"), 5, "has no `url`"),
        (with("  webhook_configs:\n  - {url: 'http://b', urls: c}\n"), 5, "unknown key `urls`"),
        (with("  pushover_configs:\n  - {user_key: b, token: c, retry: 1d}\n"), 5, "the longest unit is h"),
        (with("inhibit_rules:\n- source_matchers: [b]\n"), 5, "is no matcher"),
        (with("inhibit_rules:\n- source_match_re: {b: '('}\n"), 5, "("),
        ("route:\n  receiver: b\nreceivers:\n- name: a\n".to_owned(), 2, "no receiver is called `b`"),
        ("route:\n  group_by: [b]\nreceivers:\n- name: a\n".to_owned(), 2, "has no receiver"),
        ("route:\n  receiver: a\n  match: {b: c}\nreceivers:\n- name: a\n".to_owned(), 3, "is for every alert"),
        ("route:\n  receiver: a\n  group_interval: 0s\nreceivers:\n- name: a\n".to_owned(), 3, "is nothing"),
        (
            "route:\n  receiver: a\n  routes:\n  - mute_time_intervals: [b]\nreceivers:\n- name: a\n".to_owned(),
            4,
            "no time interval",
        ),
        (with("time_intervals:\n- name: b\n  time_intervals:\n  - weekdays: [mon]\n"), 7, "no range of weekdays"),
        (
            with(
                "time_intervals:\n- name: b\n  time_intervals:\n  - times:\n    - {start_time: 9:00, end_time: '17:00'}\n",
            ),
            8,
            "no time of the day",
        ),
    ] {
        assert!(!is_taken(&ALERTMANAGER, &text), "{text}");
        refused("am.yaml", &text, line, what);
    }
}

#[test]
fn the_calendar_stops_a_speed_and_nothing_else() {
    let text = "route:\n  receiver: a\n  routes:\n  - receiver: a\n    active_time_intervals: [work]\nreceivers:\n- name: a\n\
        time_intervals:\n- name: work\n  time_intervals:\n  - times: [{start_time: '09:00', end_time: '24:00'}]\n    weekdays: ['monday:friday', Sunday]\n    days_of_month: ['1:7', '-3:-1']\n    months: ['may:august', '1:3', december]\n    years: ['2026:2028']\n    location: Europe/Berlin\n";
    assert!(is_taken(&ALERTMANAGER, text));
    let monitoring = read("am.yaml", text).unwrap_or_else(|found| panic!("{found:#?}"));
    assert!(at(&monitoring, "am.yaml", 1).is_ok());
    let found = at(&monitoring, "am.yaml", 30).unwrap_err();
    assert!(found[0].line == 5 && found[0].what.contains("the calendar"), "{found:?}");
}

/// Of YAML as Go reads it, and of rules that mixins are made of.
const SOME_RULES: &str = "\
groups:
- name: a
  interval: 1m
  limit: 0
  rules: &rules
  - &down
    alert: Down
    expr: up == 0
    for: 15m
    labels: {severity: page, tier: 1, y: no}
    annotations:
      summary: '{{ $labels.instance }} is down for more than 15 minutes'
      dashboard_url: https://grafana.example.org/d/abc
  - <<: *down
    alert: Downer
  - record: r
    expr: sum(rate(x{path=~`/api/\\d+`}[5m]))
    labels:
  - record: r
    expr: |
      sum(rate(y[5m]))
  - {alert: Twice, expr: 'holt_winters(x[30m], 0.5, 0.1) > 1'}
- name: b
  rules:
---
whatever: stands here
";

/// Names of any letters, which Prometheus takes from 3.0 on: in labels, annotations, series and expressions.
const NAMES: &str = "\
groups:
- name: a
  labels: {team-name: x}
  rules:
  - record: http.requests:rate5m
    expr: sum by (job, \"service.name\") (rate({\"http.requests_total\", \"service.name\"=~\".+\"}[5m]))
    labels: {plug-l1: x, äöü: y}
  - alert: Down
    expr: up == 0
    annotations: {run-book: x}
";

#[test]
fn names_that_only_prometheus_3_takes_are_read_and_said() {
    let monitoring = read("names.yml", NAMES).unwrap_or_else(|found| panic!("{found:#?}"));
    let remarks: Vec<(&str, usize)> =
        monitoring.remarks().iter().map(|remark| (remark.name, remark.finding.line)).collect();
    let of_names = [3, 5, 7, 7, 10].map(|line| ("name/version", line));
    assert_eq!(remarks, [&of_names[..2], &[("query/version", 6)], &of_names[2..]].concat());
    let divided = at(&monitoring, "names.yml", 30).unwrap_or_else(|found| panic!("{found:#?}"));
    assert!(divided.contains(r#"rate({"service.name"=~".+",__name__="http.requests_total"}[10s])"#), "{divided}");
    for (wrong, line) in [("record: 'a{b}'", 5), ("labels: {'': x}", 7), ("labels: {__name__: x}", 7)] {
        let key = wrong.split(' ').next().unwrap();
        let mut lines: Vec<String> = NAMES.lines().map(str::to_owned).collect();
        let at = lines[line - 1].find(key).unwrap();
        lines[line - 1].replace_range(at.., wrong);
        refused("names.yml", &lines.join("\n"), line, "is no name");
    }
    let text = "scrape_configs:\n- job_name: a\n  relabel_configs:\n  - {source_labels: [c.d], target_label: a.b}\n";
    let monitoring = read("prometheus.yml", text).unwrap_or_else(|found| panic!("{found:#?}"));
    let remarks: Vec<_> = monitoring.remarks().iter().map(|remark| (remark.name, remark.finding.line)).collect();
    assert_eq!(remarks, [("name/version", 4); 2]);
}

#[test]
fn rules_of_any_house_are_read() {
    assert!(is_taken(&RULES, SOME_RULES));
    let monitoring = read("alerts.rules", SOME_RULES).unwrap_or_else(|found| panic!("{found:#?}"));
    let names: Vec<&str> = monitoring.alerts().iter().map(|alert| alert.name.as_str()).collect();
    assert_eq!(names, ["Down", "Downer", "Twice"]);
    assert_eq!(monitoring.alerts()[0].labels["y"], "no");
    assert_eq!(monitoring.alerts()[1].labels["tier"], "1", "what is merged in counts");
    let remarks: Vec<(&str, usize)> =
        monitoring.remarks().iter().map(|remark| (remark.name, remark.finding.line)).collect();
    assert!(remarks.contains(&("files/document", 25)) && remarks.contains(&("recording/twice", 19)), "{remarks:?}");
    assert!(remarks.contains(&("alert/duration", 12)) && remarks.contains(&("query/version", 22)), "{remarks:?}");
    assert_eq!(at(&monitoring, "alerts.rules", 1).unwrap(), SOME_RULES);
    let divided = at(&monitoring, "alerts.rules", 30).unwrap_or_else(|found| panic!("{found:#?}"));
    assert!(divided.contains("for: 30s") && divided.contains("x[1m]") && divided.contains("[10s]"), "{divided}");
    assert!(is_taken(&RULES, &divided), "{divided}");
}

#[test]
fn groups_of_two_files_may_have_one_name_and_of_one_file_may_not() {
    let group = "groups:\n- name: a\n  rules: [{record: b, expr: up}]\n";
    let files = ["one.yml", "two/one.yaml"].map(|name| (PathBuf::from(name), group.into()));
    let monitoring = Monitoring::from_any(BTreeMap::from(files)).unwrap();
    assert_eq!(monitoring.recordings().len(), 2);
    assert!(monitoring.remarks().iter().any(|remark| remark.name == "rule/group"));
    let twice = format!("{group}- name: a\n  rules: []\n");
    assert!(!is_taken(&RULES, &twice));
    refused("one.yml", &twice, 4, "a second group");
}

/// A file of unit tests as promtool has them.
const SOME_TESTS: &str = "\
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
- interval: 1m
  external_labels: {cluster: a}
  input_series:
  - {series: 'x_total{a=\"b\"}', values: '0+6x10 1e-3 _ _x2 stale 5x3 -1e+2 0x1f Inf NaN'}
  - {series: h, values: '{{schema:1 sum:5 count:5 buckets:[1 2 2]}}x3 {{schema:1}}+{{count:1}}x2'}
  promql_expr_test:
  - expr: sum(x_total)
    eval_time: 5m
    exp_samples:
    - {labels: '{}', value: 3E+1}
  - {expr: vector(1) / 0, eval_time: 0, exp_samples: [{labels: '{}', value: .inf}]}
  alert_rule_test:
  - {alertname: A, eval_time: 10m, exp_alerts: [{exp_labels: {a: 1}, exp_annotations: {s: up for 10 minutes}}]}
  - {alertname: B, eval_time: 1h30m}
- name: nothing in it
";

#[test]
fn unit_tests_of_any_kind_are_read_and_divided() {
    let monitoring = read("some_tests.yml", SOME_TESTS).unwrap_or_else(|found| panic!("{found:#?}"));
    assert_eq!(at(&monitoring, "some_tests.yml", 1).unwrap(), SOME_TESTS);
    let found = at(&monitoring, "some_tests.yml", 30).unwrap_err();
    assert!(found.len() == 1 && found[0].line == 8 && found[0].what.contains("histograms"), "{found:#?}");
    let without = SOME_TESTS.replace("  - {series: h, ", "  # {series: h, ");
    let monitoring = read("some_tests.yml", &without).unwrap();
    let divided = at(&monitoring, "some_tests.yml", 30).unwrap_or_else(|found| panic!("{found:#?}"));
    for part in ["interval: 2s", "0 0.2 0.4", " _ _x2 stale ", "eval_time: 3m", "eval_time: 10s", "value: .inf"] {
        assert!(divided.contains(part), "{part}: {divided}");
    }
    refused("t.yml", "tests:\n- input_series:\n  - {series: x, values: '1+x5'}\n", 3, "no sample");
    refused("t.yml", "tests:\n- input_series:\n  - {series: x, values: '{{count:1}'}\n", 3, "no histogram");
    refused("t.yml", "tests:\n- intervall: 1m\n", 2, "unknown key");
}

#[test]
fn a_folder_is_read_however_it_lies_and_what_is_not_ours_is_copied() {
    use std::os::unix::fs::symlink;
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("mine");
    let write = |name: &str, text: &str| {
        let file = folder.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    write("conf/prom.yaml", "scrape_configs: []\n");
    write("conf/am.yml", "route: {receiver: a}\nreceivers: [{name: a}]\n");
    write("rules.d/a/one.rules", "groups: [{name: a, rules: [{alert: A, expr: up}]}]\n");
    write("rules.d/tests/one.yml", "tests: []\n");
    write("compose.yaml", "services: {a: {image: b}}\n");
    write("chart/templates/x.yaml", "a: {{ .Values.b }}: c\n");
    write("message.tmpl", "{{ define \"a\" }}{{ end }}\n");
    let elsewhere = temporary.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("two.yml"), "groups: [{name: b, rules: [{record: c, expr: up}]}]\n").unwrap();
    symlink(&elsewhere, folder.join("rules.d/linked")).unwrap();
    let monitoring = Monitoring::read_any(&folder).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(monitoring.alerts()[0].file, Path::new("rules.d/a/one.rules"));
    assert!(monitoring.recording("c").is_some());
    assert_eq!(monitoring.prometheus().unwrap().0, Path::new("conf/prom.yaml"));
    assert_eq!(monitoring.alertmanager().unwrap().0, Path::new("conf/am.yml"));
    assert_eq!((monitoring.rule_files().count(), monitoring.rule_tests().count()), (2, 1));
    let link = monitoring.remarks().iter().find(|remark| remark.name == "files/link").unwrap();
    assert_eq!(link.finding.file, Path::new("rules.d/linked"));
    for k in [1, 30] {
        let copy = monitoring.render(&Addresses::canonical(), Speed::new(k).unwrap()).unwrap();
        for name in ["compose.yaml", "chart/templates/x.yaml", "message.tmpl"] {
            assert_eq!(copy[Path::new(name)], monitoring.files()[Path::new(name)], "{name} at {k}");
        }
    }
}

#[test]
fn a_test_that_asks_for_the_clock_is_refused_at_a_speed() {
    let text = "tests:\n- promql_expr_test:\n  - {expr: 'time()', eval_time: 1m, exp_samples: [{value: 60}]}\n  - {expr: 'x', eval_time: 1m}\n";
    let monitoring = read("t.yml", text).unwrap_or_else(|found| panic!("{found:#?}"));
    assert!(at(&monitoring, "t.yml", 1).is_ok());
    let found = at(&monitoring, "t.yml", 30).unwrap_err();
    assert!(found.len() == 1 && found[0].line == 3 && found[0].what.contains("clock"), "{found:?}");
}

/// A default would be lived as long as ever.
#[test]
fn a_time_that_is_left_to_its_program_is_divided_too() {
    for (name, text, times) in [
        ("t.yml", "tests:\n- interval: 1m\n", &["evaluation_interval: 2s"][..]),
        ("prometheus.yml", "scrape_configs:\n- job_name: a\n", &["scrape_interval: 2s", "evaluation_interval: 2s"]),
        (
            "am.yml",
            "route: {receiver: a, group_wait: 1m}\nreceivers:\n- name: a\n",
            &["group_wait: 2s", "group_interval: 10s", "repeat_interval: 8m"],
        ),
    ] {
        let monitoring = read(name, text).unwrap_or_else(|found| panic!("{found:#?}"));
        let divided = at(&monitoring, name, 30).unwrap_or_else(|found| panic!("{found:#?}"));
        for time in times {
            assert_eq!(divided.matches(time).count(), 1, "{time}: {divided}");
        }
        assert_eq!(at(&monitoring, name, 1).unwrap(), text);
        assert!(at(&monitoring, name, 7).is_err_and(|found| found.iter().all(|finding| finding.line > 0)));
    }
}

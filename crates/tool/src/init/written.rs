//! What `init` writes: service.toml of a guess, a first scenario, a first rule and panel, and the files that a stack needs around
//! them. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use aiclipx_base::address::{Address, Target};
use aiclipx_model::service::Metric;
use serde_json::{Value, json};

use super::guess::Guess;

/// Where the service was asked, and how it is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) job: &'a str,
    /// Where its clients call it.
    pub(super) address: &'a Target,
    /// Where it is asked for its metrics, if not there.
    pub(super) monitoring: Option<&'a Address>,
    /// The path of its metrics.
    pub(super) metrics: &'a str,
    /// The path that answered 200, of those that are usual for it.
    pub(super) ready: &'a str,
}

/// What it exposed when it was asked, in monitoring/.
const RECORDED: &str = "metrics.txt";

/// All files, by their paths from the tree.
pub(super) fn files(asked: &Asked<'_>, guess: &Guess) -> BTreeMap<PathBuf, String> {
    let port = asked.monitoring.unwrap_or(&asked.address.address).port;
    let targets = |name: &str, port: u16| format!("[{{\"targets\": [\"{name}:{port}\"]}}]\n");
    let mut files = BTreeMap::new();
    let mut add = |path: &str, text: String| drop(files.insert(PathBuf::from(path), text));
    add("monitoring/service.toml", service(asked, guess));
    add(&format!("monitoring/{RECORDED}"), guess.recorded.clone());
    add("scripts/traffic/01-first.toml", scenario(guess));
    let prometheus = include_str!("tree/prometheus.yml").replace("JOB", asked.job);
    add("monitoring/prometheus/prometheus.yml", prometheus.replace("METRICS", &Value::from(asked.metrics).to_string()));
    for (name, port) in [("app", port), ("prometheus", 9090), ("alertmanager", 9093), ("receiver", 9095)] {
        add(&format!("monitoring/prometheus/targets/{name}.json"), targets(name, port));
    }
    add("monitoring/prometheus/rules/watchdog.yml", include_str!("tree/watchdog.yml").to_owned());
    add("monitoring/prometheus/rules/service.yml", rules(asked, guess));
    add("monitoring/alertmanager/alertmanager.yml", include_str!("tree/alertmanager.yml").to_owned());
    add("monitoring/grafana/provisioning/datasources/prometheus.yml", include_str!("tree/datasources.yml").to_owned());
    add("monitoring/grafana/provisioning/dashboards/dashboards.yml", include_str!("tree/dashboards.yml").to_owned());
    add("monitoring/grafana/dashboards/service.json", dashboard(asked, guess));
    files
}

fn service(asked: &Asked<'_>, guess: &Guess) -> String {
    let mut text = String::from(
        "# What the service calls its things, as guessed from its metrics: read it, and mend it. A section that is not there is\n\
         # something the service does not have, and what rests on it is not proven.\n\n",
    );
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name} = {}", quoted(value));
    };
    line("job", asked.job);
    line("address", &asked.address.to_string());
    if let Some(monitoring) = asked.monitoring {
        line("monitoring", &monitoring.to_string());
    }
    line("ready", asked.ready);
    line("metrics", asked.metrics);
    line("recorded", RECORDED);
    if guess.requests.as_ref().is_some_and(|requests| requests.route.is_some()) {
        let _ = writeln!(text, "internal = {}", Value::from(internal(asked)));
    }
    if let Some(start) = &guess.process_start {
        let _ = writeln!(text, "process_start = {}", quoted(start));
    }
    text += "\n# Instead of `address`, how a stack starts it; {address}, {host} and {port} are where it is to listen. It runs in\n\
             # the stack's own folder, unless `folder` names one from the tree: a file among its words begins with {tree}/.\n\
             # [start]\n# program = \"./server\"\n# arguments = [\"--listen={address}\", \"--config={tree}/server.toml\"]\n";
    text += &section("requests", "counter", guess.requests.as_ref(), "http_requests_total");
    text += &section("latency", "histogram", guess.latency.as_ref(), "http_request_duration_seconds");
    text += &section("errors", "counter", guess.errors.as_ref(), "errors_total");
    if let Some(build) = &guess.build {
        let _ = write!(text, "\n[build]\ninfo = {}\n", quoted(&build.info));
        if let Some(version) = &build.version {
            let _ = writeln!(text, "version = {}", quoted(version));
        }
    }
    text += "\n# Metrics don't tell of these:\n# [request_id]\n# header = \"x-request-id\"\n\
             # [faults]\n# header = \"x-fail-on-purpose\"\n\
             # [log]\n# format = \"json\"\n# time = \"ts\"\n# request_id = \"request_id\"\n# status = \"status\"\n";
    text
}

/// A section of a metric; in comments, with what it might be, where none was found.
fn section(name: &str, key: &str, metric: Option<&Metric>, example: &str) -> String {
    let Some(metric) = metric else { return format!("\n# [{name}]\n# {key} = \"{example}\"\n") };
    let mut text = format!("\n[{name}]\n{key} = {}\n", quoted(&metric.name));
    for (name, label) in [("method", &metric.method), ("route", &metric.route), ("code", &metric.code)] {
        if let Some(label) = label {
            let _ = writeln!(text, "{name} = {}", quoted(label));
        }
    }
    if metric.by_class {
        text += "by_class = true\n";
    }
    if !metric.only.is_empty() {
        let only: Vec<String> = metric.only.iter().map(|(name, value)| format!("{name} = {}", quoted(value))).collect();
        let _ = writeln!(text, "only = {{ {} }}", only.join(", "));
    }
    text
}

/// As TOML and JSON both write a text.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Reading alone: what else a service takes its owner knows.
fn scenario(guess: &Guess) -> String {
    let routes: Vec<&str> = guess.routes.iter().take(3).map(String::as_str).collect();
    let routes = if routes.is_empty() { vec!["/"] } else { routes };
    let lines: Vec<String> = routes.iter().map(|path| format!("  {{ path = {} }},\n", Value::from(*path))).collect();
    let panels = if guess.requests.is_some() { "panels = { \"service/1\" = \"request_rate\" }\n" } else { "" };
    format!(
        "title = \"Steady reading: the rate shows, and nothing fires\"\n\n\
         # Add what your clients do. A path under a route's template says so: {{ path = \"/items/{{seq}}\", endpoint = \"/items/{{id}}\" }}.\n\
         requests = [\n{}]\n\n[[phase]]\nname = \"steady\"\nduration = \"6m\"\nrate = 20\n\n[expect]\n{panels}",
        lines.concat()
    )
}

/// What probes and scrapes ask for, where that is a route of its own.
fn internal<'a>(asked: &Asked<'a>) -> Vec<&'a str> {
    let mut internal = vec![asked.metrics, asked.ready];
    internal.retain(|path| *path != "/");
    internal.dedup();
    internal
}

/// The series that clients' requests are in: none of those that probes and scrapes make.
fn meant(asked: &Asked<'_>, metric: &Metric, ending: &str, more: Option<(&str, &str, &str)>) -> String {
    let internal: Vec<String> = internal(asked).into_iter().map(literally).collect();
    let internal = internal.join("|");
    let route = metric.route.as_deref().filter(|_| !internal.is_empty());
    let matchers: Vec<_> = route.map(|route| (route, "!~", internal.as_str())).into_iter().chain(more).collect();
    metric.selector(asked.job, ending, &matchers)
}

/// As a regular expression of nothing but itself.
fn literally(text: &str) -> String {
    let escaped = |c: char| if r"\.+*?()|[]{}^$".contains(c) { format!("\\{c}") } else { c.to_string() };
    text.chars().map(escaped).collect()
}

fn rates(asked: &Asked<'_>, metric: &Metric, window: &str) -> (String, Option<String>) {
    let rate = |more| format!("sum by (job) (rate({}[{window}]))", meant(asked, metric, "", more));
    let failed = metric.code.as_deref().map(|code| rate(Some((code, "=~", "5.."))));
    (rate(None), failed)
}

fn rules(asked: &Asked<'_>, guess: &Guess) -> String {
    let mut text = format!(
        "# Begin here: an alert that a scenario can make fire is worth ten that nobody has seen.\n\
         groups:\n  - name: service\n    rules:\n      - alert: ServiceDown\n        expr: up{{job=\"{}\"}} == 0\n        for: 1m\n        \
         labels:\n          severity: critical\n        annotations:\n          summary: Nobody answers a scrape.\n",
        asked.job
    );
    if let Some((all, Some(failed))) = guess.requests.as_ref().map(|metric| rates(asked, metric, "2m")) {
        let _ = write!(
            text,
            "      - alert: ServiceHighErrorShare\n        expr: |\n          {failed}\n            / {all} > 0.05\n        for: 1m\n        \
             labels:\n          severity: warning\n        annotations:\n          summary: More than one answer in twenty is an error.\n"
        );
    }
    text
}

fn dashboard(asked: &Asked<'_>, guess: &Guess) -> String {
    let mut panels: Vec<Value> = Vec::new();
    let mut panel = |title: &str, expr: String, unit: &str| {
        let source = json!({"type": "prometheus", "uid": "prometheus"});
        let at = panels.len();
        panels.push(json!({
            "id": at + 1, "type": "timeseries", "title": title, "datasource": source,
            "gridPos": {"h": 8, "w": 12, "x": 12 * (at % 2), "y": 8 * (at / 2)},
            "targets": [{"refId": "A", "datasource": source, "expr": expr, "legendFormat": "{{job}}", "range": true, "instant": false}],
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
                "tooltip": {"mode": "multi", "sort": "desc"}},
        }));
    };
    if let Some(metric) = &guess.requests {
        let (all, failed) = rates(asked, metric, "$__rate_interval");
        panel("Requests per second", all.clone(), "reqps");
        if let Some(failed) = failed {
            panel("Share of errors", format!("({failed} or 0 * {all}) / {all}"), "percentunit");
        }
    }
    if let Some(metric) = &guess.latency {
        let of = meant(asked, metric, "_bucket", None);
        panel("p95 latency", format!("histogram_quantile(0.95, sum by (job, le) (rate({of}[$__rate_interval])))"), "s");
    }
    panel("Scrapes answered", format!("up{{job=\"{}\"}}", asked.job), "short");
    let dashboard = json!({
        "id": null, "uid": "service", "title": "The service", "tags": [], "schemaVersion": 39, "version": 1, "editable": false,
        "timezone": "utc", "refresh": "15s", "time": {"from": "now-15m", "to": "now"},
        "annotations": {"list": []}, "templating": {"list": []}, "panels": panels,
    });
    format!("{dashboard:#}\n")
}

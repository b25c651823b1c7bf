//! A world written down: the files of an experiment's folder, in the formats of those who would have written them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aiclipx_base::duration;
use aiclipx_dashboard::query::{PlannedQuery, QueryKind, View, plan};
use aiclipx_judge::artifacts::{LOADED_ANSWERS, LoadedAnswer, Sample, dashboard_picture, samples_of};
use aiclipx_judge::experiment::PanelAnswer;
use aiclipx_judge::grafana;
use aiclipx_judge::panels::{PANEL_SIZE, time_range};
use aiclipx_model::monitoring::prometheus_flags;
use aiclipx_model::monitoring::promql::looks_back;
use aiclipx_model::service::Service;
use aiclipx_model::traffic::ledger::Ledger;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::world::REVISION;
use crate::world::{Counter, INTERVAL, Life, QUIET, SERVICE_TIME_US, World, evaluations, scrapes, targets};

/// The files of an experiment's folder.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

impl World {
    /// Everything an experiment's folder holds.
    pub(crate) fn files(&self) -> Files {
        let mut files = Files::new();
        let mut text = |name: &str, text: String| files.insert(name.to_owned(), text.into_bytes());
        text("scenario.toml", self.scenario.text.clone());
        text("run.json", pretty(&self.run));
        text("ledger.jsonl", ledger_lines(&self.ledger));
        text("exposition/before-0.prom", self.exposition(QUIET));
        text("exposition/after-0.prom", self.exposition(self.run.end_ms));
        text("logs/app.log", self.log());
        text("logs/prometheus.log", "ts=2026-11-18T10:13:20Z level=info msg=\"Server is ready\"\n".to_owned());
        for Sample { name, selector } in samples_of(Service::ours()) {
            text(&format!("samples/{name}.json"), self.samples(name, &selector));
        }
        for LoadedAnswer { name, .. } in LOADED_ANSWERS {
            let answer = match name {
                "rules" => self.rules(),
                "config" => json!({"status": "success", "data": {"yaml": self.rendered("prometheus/prometheus.yml")}}),
                "alertmanager" => json!({"config": {"original": self.rendered("alertmanager/alertmanager.yml")},
                    "versionInfo": {"version": "0.25.0"}}),
                "prometheus" => json!({"status": "success", "data": {"version": "2.42.0"}}),
                "flags" => {
                    let flags = prometheus_flags(self.ledger.head.speed);
                    let flag = |flag: String| {
                        let (name, value) = flag.trim_start_matches("--").split_once('=').unwrap();
                        (name.to_owned(), json!(value))
                    };
                    let flags: serde_json::Map<_, _> = flags.into_iter().map(flag).collect();
                    json!({"status": "success", "data": flags})
                }
                _ => json!({"status": "success", "data": {}}),
            };
            text(&format!("loaded/{name}.json"), answer.to_string());
        }
        // More words than metrics, and every metric among them.
        let asked = self.panels().into_iter().map(|kept| kept.plan.expr).collect::<Vec<_>>().join(" ");
        let words: std::collections::BTreeSet<&str> = asked
            .split(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c)))
            .filter(|word| !word.is_empty())
            .collect();
        text("loaded/names.json", json!({"status": "success", "data": words}).to_string());
        for kept in self.panels() {
            text(&kept.file(), pretty(&kept));
        }
        for picture in &self.run.pictures {
            files.insert(picture.file.clone(), b"\x89PNG\r\n\x1a\n and so on".to_vec());
        }
        for dashboard in grafana::dashboards(&self.scenario) {
            let seen = crate::grafana::seen(vec![crate::grafana::answered(200, &crate::grafana::with_values())], None);
            files.insert(format!("grafana/{dashboard}.json"), pretty(&seen).into_bytes());
            files.insert(dashboard_picture(dashboard), b"\x89PNG\r\n\x1a\n of a dashboard".to_vec());
        }
        files.extend(self.alert_files(&self.lives));
        files
    }

    /// What Prometheus and the receiver recorded of alerts that lived so.
    pub(crate) fn alert_files(&self, lives: &BTreeMap<String, Life>) -> Files {
        let mut series = vec![matrix_of(
            &json!({"__name__": "ALERTS", "alertname": "Watchdog", "alertstate": "firing", "severity": "none"}),
            evaluations(QUIET, self.run.end_ms).map(|at| (at, 1.0)),
        )];
        let beat = |at: &i64| notification(*at + 9, "Watchdog", "firing");
        let mut notifications: Vec<(i64, Value)> =
            evaluations(QUIET, self.run.end_ms).step_by(4).collect::<Vec<_>>().iter().map(beat).collect();
        for (alert, life) in lives {
            let end = self.run.end_ms;
            let pending = life.pending.unwrap_or(end)..life.firing.unwrap_or(end);
            let firing = life.firing.unwrap_or(end)..life.last.map_or(end, |last| last + 1);
            for (state, lasted) in [("pending", pending), ("firing", firing)] {
                let times: Vec<i64> = evaluations(QUIET, self.run.end_ms).filter(|at| lasted.contains(at)).collect();
                let labels = json!({"__name__": "ALERTS", "alertname": alert, "alertstate": state, "job": "app", "service": "app"});
                if !times.is_empty() {
                    series.push(matrix_of(&labels, times.into_iter().map(|at| (at, 1.0))));
                }
            }
            let webhooks = [(life.notified, "firing"), (life.told_resolved, "resolved")];
            notifications.extend(webhooks.iter().filter_map(|(at, status)| Some(notification((*at)?, alert, status))));
        }
        notifications.retain(|(at, _)| *at <= self.run.end_ms);
        notifications.sort_by_key(|(at, _)| *at);
        let told: String = notifications.into_iter().map(|(_, line)| format!("{line}\n")).collect();
        Files::from([
            ("samples/alerts.json".to_owned(), matrix(&series).to_string().into_bytes()),
            ("notifications.jsonl".to_owned(), told.into_bytes()),
        ])
    }

    fn samples(&self, name: &str, selector: &str) -> String {
        let end = self.run.end_ms;
        let of_targets = |metric: &str, value: &dyn Fn(usize) -> f64| -> Vec<Value> {
            targets()
                .iter()
                .enumerate()
                .map(|(index, (job, instance))| {
                    let labels = json!({"__name__": metric, "job": job, "instance": instance});
                    matrix_of(&labels, scrapes(index, QUIET, end).map(|at| (at, value(index))))
                })
                .collect()
        };
        let of_groups = |metric: &str, each: f64| -> Vec<Value> {
            ["app", "watchdog"]
                .iter()
                .map(|group| {
                    let labels = json!({"__name__": metric, "rule_group": format!("/etc/rules/{group}.yml;{group}")});
                    let counted = scrapes(1, QUIET, end).zip(0u32..);
                    matrix_of(&labels, counted.map(|(at, n)| (at, f64::from(n) * each)))
                })
                .collect()
        };
        let metric = selector.split('{').next().unwrap();
        let series = match name {
            "up" => of_targets("up", &|_| 1.0),
            "process_start" => of_targets(metric, &|index| 1_794_999_000.25 + index as f64),
            "scrape_duration" => of_targets(metric, &|_| 0.004)[..1].to_vec(),
            "iterations_missed" => of_groups(metric, 0.0),
            "alerts" => return String::new(), // `alert_files` writes it
            _ => self
                .counters
                .iter()
                .filter(|counter| counter.name == metric)
                .map(|counter| {
                    let mut labels = json!(counter.labels);
                    labels["__name__"] = json!(metric);
                    matrix_of(&labels, scrapes(0, QUIET, end).map(|at| (at, counter.at(at))))
                })
                .collect(),
        };
        matrix(&series).to_string()
    }

    fn exposition(&self, at: i64) -> String {
        let mut text = String::new();
        let mut typed = "";
        for counter in &self.counters {
            let family = counter.name.trim_end_matches("_count").trim_end_matches("_bucket");
            if family != typed {
                let kind = if family == counter.name { "counter" } else { "histogram" };
                text += &format!("# TYPE {family} {kind}\n");
                typed = family;
            }
            let labels: Vec<String> = counter
                .labels
                .iter()
                .filter(|(name, _)| !["job", "instance"].contains(name))
                .map(|(name, value)| format!("{name}=\"{value}\""))
                .collect();
            text += &format!("{}{{{}}} {}\n", counter.name, labels.join(","), counter.at(at));
            // The bounds around the service time: what a panel's quantile is held to.
            if labels.contains(&"le=\"+Inf\"".to_owned()) {
                for (bound, below) in [("0.018", 0.0), ("0.022", counter.at(at))] {
                    let labels = labels.join(",").replace("+Inf", bound);
                    text += &format!("{}{{{labels}}} {below}\n", counter.name);
                }
            }
        }
        text +=
            &format!("# TYPE app_build_info gauge\napp_build_info{{revision=\"{REVISION}\",version=\"0.1.0\"}} 1\n");
        text
    }

    fn log(&self) -> String {
        let line = |at_us: u64, fields: Value| {
            let at = jiff::Timestamp::from_microsecond(at_us as i64).unwrap();
            let mut line = json!({"ts": format!("{at:.3}"), "level": "info", "target": "app"});
            line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            format!("{line}\n")
        };
        let mut text = line(QUIET as u64 * 1000, json!({"msg": "probe", "request_id": "f00d", "status": 200}));
        for entry in &self.ledger.entries {
            let (Some(status), Some(ended)) = (entry.status(), entry.ended_us) else { continue };
            let at = self.ledger.head.started_unix_us + ended - 300;
            text += &line(
                at,
                json!({"msg": "request", "method": entry.method, "endpoint": entry.endpoint, "status": status,
                       "seconds": 0.0197, "bytes": 44, "request_id": entry.id}),
            );
        }
        text
    }

    fn rendered(&self, file: &str) -> String {
        let rendered = self.tree.monitoring.render(&self.run.addresses, self.ledger.head.speed).expect("it renders");
        String::from_utf8(rendered[Path::new(file)].clone()).unwrap()
    }

    /// The rendered rules as `/api/v1/rules` tells them.
    fn rules(&self) -> Value {
        let rendered = self.tree.monitoring.render(&self.run.addresses, self.ledger.head.speed).expect("it renders");
        let yaml = |path: &Path| -> Value {
            serde_saphyr::from_str(std::str::from_utf8(&rendered[path]).unwrap()).expect("rendered YAML")
        };
        let seconds = |value: &Value| value.as_str().map_or(0.0, |text| duration::parse(text).unwrap().as_secs_f64());
        let interval = seconds(&yaml(Path::new("prometheus/prometheus.yml"))["global"]["evaluation_interval"]);
        let is_rules = |path: &&PathBuf| path.parent() == Some(Path::new("prometheus/rules"));
        let mut groups = Vec::new();
        for path in rendered.keys().filter(is_rules) {
            for group in yaml(path)["groups"].as_array().unwrap() {
                let rules: Vec<Value> = group["rules"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|rule| {
                        let or_empty = |value: &Value| if value.is_null() { json!({}) } else { value.clone() };
                        let query = rule["expr"].as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
                        let (kind, name) = match rule["alert"].as_str() {
                            Some(name) => ("alerting", name),
                            None => ("recording", rule["record"].as_str().unwrap()),
                        };
                        json!({"type": kind, "name": name, "query": query, "duration": seconds(&rule["for"]),
                               "keepFiringFor": seconds(&rule["keep_firing_for"]), "labels": or_empty(&rule["labels"]),
                               "annotations": or_empty(&rule["annotations"]), "health": "ok", "alerts": []})
                    })
                    .collect();
                let interval = if group["interval"].is_null() { interval } else { seconds(&group["interval"]) };
                groups.push(json!({"name": group["name"], "file": path, "interval": interval, "rules": rules}));
            }
        }
        json!({"status": "success", "data": {"groups": groups}})
    }

    fn panels(&self) -> Vec<PanelAnswer> {
        let chosen = BTreeMap::new();
        let range = time_range(&self.run);
        let min_interval = std::time::Duration::from_millis(INTERVAL as u64);
        let view = View { range, width: PANEL_SIZE.0, min_interval, chosen: &chosen };
        let mut kept = Vec::new();
        for dashboard in &self.tree.dashboards {
            for plan in dashboard.panels.iter().flat_map(|panel| plan(dashboard, panel, &view)) {
                let answer = self.panel(&format!("{}/{}", dashboard.uid, plan.panel), &plan);
                kept.push(PanelAnswer {
                    dashboard: dashboard.uid.clone(),
                    plan,
                    answer: to_raw_value(&answer).unwrap(),
                });
            }
        }
        kept
    }

    fn panel(&self, panel: &str, plan: &PlannedQuery) -> Value {
        let window = looks_back(&plan.expr).unwrap().as_millis() as i64;
        let shown = |counter: &Counter| counter.name == "app_requests_total" && !counter.is_internal();
        let value = |at: i64| match panel {
            "app-overview/1" => self.rate(at - window, at, shown),
            "app-overview/2" if self.rate(at - window, at, shown) > 0.0 => SERVICE_TIME_US as f64 / 1e6,
            "app-overview/3" => self.error_share(at - window, at),
            "app-overview/5" => self.rate(at - window, at, |counter| counter.name == "app_errors_total"),
            _ => f64::NAN,
        };
        match plan.kind {
            QueryKind::Range { start_millis, end_millis, step_millis } => {
                let times = (start_millis..=end_millis).step_by(step_millis as usize);
                matrix(&[matrix_of(&json!({"job": "app"}), times.map(|at| (at, value(at))))])
            }
            QueryKind::Instant { time_millis: at } => {
                let endpoints = ["/", "/items"].map(|endpoint| {
                    let of = |counter: &Counter| shown(counter) && counter.is("endpoint", endpoint);
                    json!({"metric": {"job": "app", "endpoint": endpoint},
                           "value": [at as f64 / 1000.0, self.rate(at - window, at, of).to_string()]})
                });
                let result = if panel == "app-overview/4" { json!(endpoints) } else { json!([]) };
                json!({"status": "success", "data": {"resultType": "vector", "result": result}})
            }
        }
    }
}

/// Alertmanager's webhook as the receiver keeps it.
fn notification(at: i64, alert: &str, status: &str) -> (i64, Value) {
    let alerts = json!([{"status": status, "labels": {"alertname": alert, "service": "app"}, "annotations": {},
                         "startsAt": "2026-11-18T10:13:20Z", "endsAt": "0001-01-01T00:00:00Z"}]);
    let body = json!({"version": "4", "status": status, "receiver": "receiver", "alerts": alerts});
    (at, json!({"received_ms": at, "body": body}))
}

/// A ledger as its file has it.
pub(crate) fn ledger_lines(ledger: &Ledger) -> String {
    let mut text = serde_json::to_string(&ledger.head).unwrap() + "\n";
    for entry in &ledger.entries {
        text += &(serde_json::to_string(entry).unwrap() + "\n");
    }
    text
}

fn matrix_of(metric: &Value, samples: impl Iterator<Item = (i64, f64)>) -> Value {
    let values: Vec<Value> = samples.map(|(at, value)| json!([at as f64 / 1000.0, value.to_string()])).collect();
    json!({"metric": metric, "values": values})
}

fn matrix(series: &[Value]) -> Value {
    json!({"status": "success", "data": {"resultType": "matrix", "result": series}})
}

fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

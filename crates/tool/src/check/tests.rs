//! Every check on the files of this repository, broken on purpose in one place: what is found, and where.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::tree::DASHBOARDS;
use super::*;
use aiclipx_dashboard::query::{self, Intervals, TimeRange, View};
use aiclipx_model::monitoring::promql;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn files() -> BTreeMap<PathBuf, Vec<u8>> {
    let monitoring = Monitoring::read(&root().join("monitoring")).unwrap_or_else(|failure| panic!("{failure}"));
    monitoring.files().clone()
}

fn scenarios() -> Vec<Scenario> {
    scenario::all(&root().join("scripts/traffic")).unwrap_or_else(|failure| panic!("{failure}"))
}

fn found(files: BTreeMap<PathBuf, Vec<u8>>) -> Vec<Finding> {
    match Monitoring::from_files(files) {
        Ok(monitoring) => of(monitoring, &scenarios(), Findings::default()).expect("it can be checked"),
        Err(findings) => findings.into_iter().map(|read| Finding::of_reader("monitoring/file", read)).collect(),
    }
}

fn text_of(files: &BTreeMap<PathBuf, Vec<u8>>, path: &str) -> String {
    String::from_utf8(files.get(Path::new(path)).unwrap_or_else(|| panic!("{path} is not there")).clone())
        .expect("UTF-8")
}

/// What is found when one text of one file is another; it must be there.
fn edited(path: &str, from: &str, to: &str) -> Vec<Finding> {
    let mut files = files();
    let text = text_of(&files, path);
    assert!(text.contains(from), "{path} does not contain {from}");
    files.insert(path.into(), text.replacen(from, to, 1).into_bytes());
    found(files)
}

const APP: &str = "prometheus/rules/app.yml";
const SLO: &str = "prometheus/rules/slo.yml";
const OVERVIEW: &str = "grafana/dashboards/app-overview.json";
const SOURCE: &str = "grafana/provisioning/datasources/prometheus.yml";
const ROUTES: &str = "alertmanager/alertmanager.yml";
const PROMETHEUS: &str = "prometheus/prometheus.yml";
const EXCEPTIONS: &str = "check.toml";

/// What Grafana's pages do at a speed: each query is one that Prometheus takes, and a rate has two scrapes to be one of.
#[test]
fn at_every_speed_step_and_width_a_panel_asks_what_prometheus_takes() {
    let monitoring = Monitoring::from_files(files()).unwrap_or_else(|findings| panic!("{findings:?}"));
    let dashboards = read_dashboards(&monitoring, &mut Findings::default());
    assert!(promql::parse("rate(a[2.5s])").is_err(), "a fraction of a second would not be noticed");
    let mut speeds = Vec::new();
    let mut rates = BTreeSet::new();
    for k in 1..=100 {
        let speed = Speed::new(k).unwrap();
        if monitoring.render(&Addresses::canonical(), speed).is_err() {
            continue;
        }
        speeds.push(k);
        let min_interval = monitoring.panel_interval(speed).unwrap();
        let scrape = speed.real(monitoring.slowest_scrape()).unwrap();
        let (mut seen, mut asked) = (BTreeSet::new(), BTreeSet::new());
        for width in [1, 240, 420, 520, 800, 860, 1280, 1888, 3840, 20_000] {
            // From a second to a year and a half.
            for length in (0..100).map(|power| 1000.0 * 1.2_f64.powi(power)) {
                #[expect(clippy::cast_possible_truncation, reason = "far below what an i64 holds")]
                let range = TimeRange { from_millis: 0, to_millis: length as i64 };
                let view = View { range, width, min_interval, chosen: &BTreeMap::new() };
                let intervals = Intervals::of(range, width, min_interval);
                if !seen.insert((intervals.step, intervals.rate)) {
                    continue;
                }
                rates.insert(intervals.rate);
                for model in dashboards.iter().filter_map(|dashboard| dashboard.model.as_ref()) {
                    for planned in model.panels.iter().flat_map(|panel| query::plan(model, panel, &view)) {
                        let expr = &planned.expr;
                        if !asked.insert(expr.clone()) {
                            continue;
                        }
                        let tree = promql::parse(expr).unwrap_or_else(|error| panic!("speed {k}: {expr}: {error}"));
                        for window in promql::durations(&tree) {
                            assert_eq!(window.subsec_nanos(), 0, "speed {k}: {expr}");
                            assert!(window == range_length(range) || window >= 2 * scrape, "speed {k}: {expr}");
                        }
                    }
                }
            }
        }
    }
    assert!(speeds.starts_with(&[1, 2, 3]) && speeds.ends_with(&[30]), "{speeds:?}");
    assert!(rates.len() > 50, "{} rate intervals are too few to tell", rates.len());
}

/// As `$__range` has it.
fn range_length(range: TimeRange) -> Duration {
    Duration::from_secs(u64::try_from((range.length().as_millis() + 500) / 1000).expect("seconds of years"))
}

#[test]
fn nothing_is_found_in_the_files_as_they_are() {
    assert_eq!(check(root()).unwrap_or_else(|failure| panic!("{failure}")), []);
}

/// A row: the file, a text in it, what it becomes; the file and a part of what is found; the text on its line.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

#[test]
fn what_is_broken_is_found_with_file_and_line() {
    let rows: [Row; 54] = [
        // A threshold, and the line that shows it.
        (
            APP,
            "ratio_rate5m > 0.05\n",
            "ratio_rate5m > 0.06\n",
            OVERVIEW,
            "no line at 0.06, where AppHigh5xxErrorRate",
            "\"steps\"",
        ),
        (OVERVIEW, "\"value\": 0.5\n", "\"value\": 0.7\n", OVERVIEW, "a line at 0.7, where no alert fires", "0.7"),
        (
            SLO,
            "burnrate6h > 6 and",
            "burnrate6h > 7 and",
            "grafana/dashboards/slo.json",
            "no line at 7, where AppErrorBudgetBurn6h",
            "\"steps\"",
        ),
        // What an alert compares, and what is drawn.
        (
            OVERVIEW,
            "\"expr\": \"job:app_requests_failed_per_answered:ratio_rate5m{",
            "\"expr\": \"job:app_errors:rate5m / job:app_requests:rate5m{",
            OVERVIEW,
            "AppHigh5xxErrorRate leads to this panel, which does not draw `job:app_requests_failed_per_answered:ratio_rate5m`",
            "\"targets\"",
        ),
        (
            APP,
            "expr: job:app_errors:rate5m > 0.5",
            "expr: sum by (job) (rate(app_errors_total[10m])) > 0.5",
            OVERVIEW,
            "AppHighExceptionRate leads to this panel, which does not draw `sum by (job) (rate(app_errors_total[10m]))`",
            "\"targets\"",
        ),
        (
            OVERVIEW,
            "avg_over_time(up{job=~\\\"app(-.+)?\\\"",
            "avg_over_time(up{job=\\\"prometheus\\\"",
            OVERVIEW,
            "AppInstanceDown leads to this panel, which does not draw `max by (job, instance) (avg_over_time(up{job=~\"app(-.+)?\"}[5m]))`",
            "\"targets\"",
        ),
        (
            OVERVIEW,
            "/monitoring/runbooks/AppHighP95Latency.md",
            "/monitoring/runbooks/AppHigh5xxErrorRate.md",
            OVERVIEW,
            "AppHighP95Latency leads to this panel, which does not lead to monitoring/runbooks/AppHighP95Latency.md",
            "\"links\": [",
        ),
        (
            OVERVIEW,
            "/monitoring/runbooks/AppTrafficDrop.md",
            "/monitoring/runbooks/AppTrafficDropp.md",
            OVERVIEW,
            "`/monitoring/runbooks/AppTrafficDropp.md` leads nowhere",
            "Dropp",
        ),
        // Names.
        (
            APP,
            "rate(app_errors_total[5m])",
            "rate(app_error_total[5m])",
            APP,
            "nobody exposes `app_error_total`",
            "app_error_total",
        ),
        (
            OVERVIEW,
            "rate(app_errors_total{job",
            "rate(app_error_total{job",
            OVERVIEW,
            "nobody exposes `app_error_total`",
            "app_error_total",
        ),
        (
            "grafana/dashboards/slo.json",
            "le=\\\"0.5\\\"",
            "le=\\\"1\\\"",
            "grafana/dashboards/slo.json",
            "`le=\"1\"` is not found by every Prometheus",
            "le=\\\"1",
        ),
        (
            "grafana/dashboards/slo.json",
            "le=\\\"0.5\\\"",
            "le=~\\\"0.5|1\\\"",
            "grafana/dashboards/slo.json",
            "`le=~\"0.5|1\"` is not found by every Prometheus: 2.x stores 1, 3.x stores 1.0",
            "le=~\\\"0.5|1",
        ),
        (OVERVIEW, "http_status=~\\\"5..\\\"}", "status=~\\\"5..\\\"}", OVERVIEW, "has no label `status`", "status=~"),
        ("runbooks/AppDown.md", "\nup{job=", "\nupp{job=", "runbooks/AppDown.md", "nobody exposes `upp`", "upp{"),
        (
            "prometheus/rules/tests/app.yml",
            "- series: up{job=\"app\"",
            "- series: down{job=\"app\"",
            "prometheus/rules/tests/app.yml",
            "nobody exposes `down`",
            "down{",
        ),
        (
            APP,
            "rate(app_errors_total[5m])",
            "rate(app_items[5m])",
            APP,
            "`rate` of `app_items`, which is no counter",
            "app_items",
        ),
        (
            APP,
            "record: job:app_errors:rate5m",
            "record: app_errors_rate",
            APP,
            "is not level:metric:operations",
            "app_errors_rate",
        ),
        (
            APP,
            "sum by (job) (rate(app_errors_total[5m]))",
            "sum(rate(app_errors_total[5m]))",
            APP,
            "does not aggregate by job",
            "record: job:app_errors:rate5m",
        ),
        (
            SLO,
            "avg_over_time(job:app_requests_failed:rate5m[30m])",
            "avg_over_time(job:app_requests_failed_per_answered:ratio_rate5m[30m])",
            SLO,
            "is a mean of ratios",
            "record: job:app_error_budget:burnrate30m",
        ),
        // Unit tests, both ways.
        (
            "prometheus/rules/tests/app.yml",
            "alertname: AppDown\n",
            "alertname: AppDwon\n",
            "prometheus/rules/tests/app.yml",
            "a test of AppDwon, which no rule has",
            "AppDwon",
        ),
        (
            "prometheus/rules/tests/app.yml",
            "ALERTS{alertname=\"AppDown\",alertstate=\"pending\"}",
            "ALERTS{alertname=\"AppDwon\",alertstate=\"pending\"}",
            "prometheus/rules/tests/app.yml",
            "is of no alert",
            "AppDwon",
        ),
        (
            "prometheus/rules/tests/app.yml",
            "ALERTS{alertname=\"AppDown\",alertstate=\"pending\"}",
            "up",
            APP,
            "in which AppDown is pending before",
            "alert: AppDown",
        ),
        (
            "prometheus/rules/tests/slo-long.yml",
            "- eval_time: 8h45m\n        alertname: AppLatencyBudgetBurn6h\n",
            "",
            SLO,
            "in which AppLatencyBudgetBurn6h resolves",
            "alert: AppLatencyBudgetBurn6h",
        ),
        // A pattern that fits an alert is no question about it.
        (
            "prometheus/rules/tests/app.yml",
            "{alertname=\"AppRestarting\",alertstate=\"firing\"})', eval_time: 42m, exp_samples: [{labels: '{}', value: 1}]}\n      \
             - {expr: 'count(ALERTS{alertname=~\"AppInstanceDown|AppRestarting\"}) or vector(0)",
            "{alertname=~\"App.+ing\",alertstate=\"firing\"})', eval_time: 42m, exp_samples: [{labels: '{}', value: 1}]}\n      \
             - {expr: 'count(ALERTS{alertname=~\"App.+Down|App.+ing\"}) or vector(0)",
            APP,
            "in which AppRestarting is asked for when a series ends in `stale`",
            "alert: AppRestarting",
        ),
        // Routes.
        (ROUTES, "severity=\"critical\"", "severity=\"urgent\"", ROUTES, "no route is for AppDown", "routes:"),
        (ROUTES, "alertname=\"Watchdog\"", "alertname=\"Watchcat\"", ROUTES, "no route is for Watchdog", "routes:"),
        (ROUTES, "receiver: warning", "receiver: critical", ROUTES, "go to one receiver, `critical`", "routes:"),
        (ROUTES, "repeat_interval: 45s", "repeat_interval: 1m", ROUTES, "the Watchdog is repeated every 1m", "routes:"),
        (ROUTES, "equal: [service, job]", "equal: [job]", ROUTES, "not for the same `service`", "equal: [job]"),
        (
            EXCEPTIONS,
            "probe_success = ",
            "probe_successes = ",
            EXCEPTIONS,
            "there is nothing called `probe_successes`",
            "probe_successes",
        ),
        // What an alert says.
        (
            APP,
            "severity: critical",
            "severity: severe",
            APP,
            "the label `severity` of AppNoTraffic",
            "alert: AppNoTraffic",
        ),
        (
            APP,
            "summary: Most of the traffic to the service has ceased.",
            "summary: most of the traffic has ceased",
            APP,
            "the summary of AppTrafficDrop is no sentence",
            "alert: AppTrafficDrop",
        ),
        (
            APP,
            "fails {{ $value | printf \"%.2f\" }} times",
            "fails {{ $value | humanize }} times",
            APP,
            "the description of AppHighExceptionRate writes what is below 1 in thousandths",
            "alert: AppHighExceptionRate",
        ),
        (
            APP,
            "service: app\n",
            "service: app\n          value: '{{ $value }}'\n",
            APP,
            "is a template",
            "alert: AppHigh5xxErrorRate",
        ),
        (
            SLO,
            "long_window: 6h",
            "long_window: 8h",
            SLO,
            "says `long_window: 8h` and asks no such window",
            "alert: AppErrorBudgetBurn6h",
        ),
        (
            APP,
            "runbooks/AppDown.md",
            "runbooks/Down.md",
            APP,
            "has no runbook `monitoring/runbooks/Down.md`",
            "alert: AppDown",
        ),
        (
            APP,
            "app-overview?viewPanel=5",
            "app-overview?viewPanel=55",
            APP,
            "the dashboard of AppHighExceptionRate",
            "alert: AppHighExceptionRate",
        ),
        (
            "runbooks/AppDown.md",
            "**What to do.**",
            "**Then.**",
            "runbooks/AppDown.md",
            "the section **What to do** is missing",
            "# AppDown",
        ),
        // Dashboards.
        (
            OVERVIEW,
            "\"unit\": \"s\"",
            "\"unit\": \"bytes\"",
            OVERVIEW,
            "shows `bytes`, and its query's value is in s",
            "\"unit\": \"bytes\"",
        ),
        (
            OVERVIEW,
            "\"unit\": \"s\"",
            "\"unit\": \"secs\"",
            OVERVIEW,
            "`secs` is no unit that we know",
            "\"unit\": \"secs\"",
        ),
        (
            OVERVIEW,
            "\"unit\": \"percentunit\"",
            "\"unit\": \"percent\"",
            OVERVIEW,
            "value is in percentunit",
            "\"unit\": \"percent\"",
        ),
        (
            OVERVIEW,
            "\"uid\": \"${datasource}\"",
            "\"uid\": \"prometheus\"",
            OVERVIEW,
            "the datasource `prometheus` is no variable of this dashboard's",
            "datasource",
        ),
        (
            OVERVIEW,
            "\"query\": \"prometheus\"",
            "\"query\": \"loki\"",
            OVERVIEW,
            "the datasource `${datasource}` is no variable of this dashboard's of that type",
            "datasource",
        ),
        (OVERVIEW, "\"schemaVersion\": 39", "\"schemaVersion\": 43", OVERVIEW, "above 42", "schemaVersion"),
        (
            OVERVIEW,
            "\"uid\": \"app-overview\"",
            "\"uid\": \"slo\"",
            "grafana/dashboards/slo.json",
            "the uid `slo` is that of",
            "\"uid\": \"slo\"",
        ),
        (OVERVIEW, "\"url\": \"/d/slo\"", "\"url\": \"/d/slow\"", OVERVIEW, "`/d/slow` leads nowhere", "/d/slow"),
        (
            "grafana/grafana.ini",
            "allow_sign_up = false",
            "allow_sign_up = true",
            "grafana/grafana.ini",
            "[users] allow_sign_up is true",
            "allow_sign_up",
        ),
        (SOURCE, "timeInterval: 15s", "timeInterval: 10s", SOURCE, "a panel's rate is taken every 10s", "timeInterval"),
        (
            SOURCE,
            "timeInterval: 15s",
            "timeInterval: 15s500ms",
            SOURCE,
            "15s500ms is not in whole seconds",
            "timeInterval",
        ),
        // What is excepted.
        (
            EXCEPTIONS,
            "AppTargetMissing = ",
            "AppTargetMising = ",
            EXCEPTIONS,
            "`AppTargetMising` excepts nothing",
            "AppTargetMising",
        ),
        (
            EXCEPTIONS,
            "[\"panel/unproven\"]\n",
            "[\"panel/unproven\"]\n\"app-overview/1\" = \"Why not.\"\n",
            EXCEPTIONS,
            "`app-overview/1` excepts nothing",
            "app-overview/1",
        ),
        (
            EXCEPTIONS,
            "[\"panel/unproven\"]",
            "[\"panel/unprovable\"]",
            EXCEPTIONS,
            "no finding is called `panel/unprovable`",
            "unprovable",
        ),
        (EXCEPTIONS, "[\"alert/unproven\"]", "panels = 1\n[\"alert/unproven\"]", EXCEPTIONS, "is no table", "panels"),
        (EXCEPTIONS, "\"What the service says of itself.\"", "\"\"", EXCEPTIONS, "has no reason", "\"\""),
    ];
    for (path, from, to, found_in, what, at) in rows {
        let findings = edited(path, from, to);
        let file = Path::new("monitoring").join(found_in);
        let finding = findings.iter().find(|finding| finding.file == file && finding.what.contains(what));
        let finding = finding.unwrap_or_else(|| panic!("{path}: {to}: {what} is not among {findings:#?}"));
        let mut files = files();
        let text = text_of(&files, path).replacen(from, to, 1);
        files.insert(path.into(), text.into_bytes());
        let line = text_of(&files, found_in).lines().nth(finding.line.wrapping_sub(1)).unwrap_or_default().to_owned();
        assert!(line.contains(at), "{finding}\n  is at `{line}`, not at `{at}`");
    }
}

/// A row: the file, a text in it, what it becomes; a part of what is found there, and the text on its line.
type Quiet = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// All of these load, and do nothing or something else.
#[test]
fn what_would_load_and_do_nothing_is_found_with_its_line() {
    const LOKI: &str = "loki/loki.yaml";
    const VECTOR: &str = "vector/vector.yaml";
    let rows: [Quiet; 28] = [
        (PROMETHEUS, "rules/*.yml", "rules/*.yaml", "`rules/*.yaml` finds no file", "rules/"),
        (PROMETHEUS, "targets/app.json", "targets/apps*.json", "`targets/apps*.json` finds no file", "apps*"),
        (ROUTES, "templates/*.tmpl", "template/*.tmpl", "`template/*.tmpl` finds no file", "templates:"),
        ("prometheus/rules/tests/app.yml", "../app.yml", "../apps.yml", "`../apps.yml` finds no file", "apps"),
        (PROMETHEUS, "scrape_interval: 15s", "scrape_interval: 10m", "a sample counts for 5m", "scrape_interval"),
        (
            PROMETHEUS,
            "- job_name: app\n",
            "- job_name: app\n    scrape_timeout: 20s\n",
            "a scrape may last 20s",
            "scrape_timeout",
        ),
        (PROMETHEUS, "job_name: receiver", "job_name: app", "a second job of the name `app`", "job_name: app"),
        (ROUTES, "severity=\"critical\"", "\"severity\"=\"critical\"", "by Alertmanager from 0.27 on", "matchers"),
        (ROUTES, "severity=\"critical\"", "severity=crit", "no alert has the severity `crit`", "severity=crit"),
        (ROUTES, "AppDown|AppTargetMissing|", "AppDwon|AppTargetMissing|", "the alertname `AppDwon`", "AppDwon"),
        (ROUTES, "!~\"AppRestarting|", "!~\"AppRestating|", "the alertname `AppRestating`", "AppRestating"),
        (ROUTES, "|App.+NearLimit", "|App(.+NearLimit|Starting)", "the alertname `AppStarting`", "Starting"),
        (ROUTES, "App.*Traffic", "Apps.*Traffic", "the alertname `Apps.*Traffic.*`", "Apps"),
        (ROUTES, "group_interval: 1m", "group_interval: 0s", "`group_interval` is nothing", "group_interval"),
        (ROUTES, "repeat_interval: 4h", "repeat_interval: 30s", "repeated every 30s", "repeat_interval"),
        (
            ROUTES,
            "repeat_interval: 12h",
            "repeat_interval: 12h\n      continue: true",
            "a route that continues",
            "continue",
        ),
        (ROUTES, "send_resolved: true", "send_resolved: false", "is not told when an alert ends", "send_resolved"),
        (LOKI, "analytics:", "analytic:", "unknown key `analytic`", "analytic:"),
        (LOKI, "retention_period: 744h", "retention_perod: 744h", "unknown key `retention_perod`", "perod"),
        (LOKI, "retention_period: 744h", "retention_period: a month", "is not a duration", "month"),
        (LOKI, "auth_enabled: false", "auth_enabled: [", "", ""),
        (VECTOR, "inputs: [parted.noise]", "inputs: [part.noise]", "takes from `part.noise`", "part.noise"),
        (VECTOR, "inputs: [itself, counted, ", "inputs: [itself, count, ", "takes from `count`", "count,"),
        (VECTOR, "    inputs: [understood]\n", "", "`ours` takes from nobody", "ours"),
        (VECTOR, "drop_on_error: true", "drop_on_eror: true", "unknown key `drop_on_eror`", "eror"),
        (VECTOR, "type: sample", "type: sampel", "the `type` of `sampled` is none", "sampled:"),
        ("vector/vector-tests.yaml", "tests:\n", "tests: [\n", "", ""),
        ("alertmanager/examples/channels.yml", "receivers:\n", "receivers: {\n", "", ""),
    ];
    for (path, from, to, what, at) in rows {
        let mut files = files();
        let text = text_of(&files, path);
        assert!(text.contains(from), "{path} does not contain {from}");
        let text = text.replacen(from, to, 1);
        files.insert(path.into(), text.clone().into_bytes());
        let findings = found(files);
        let file = Path::new("monitoring").join(path);
        let finding = findings.iter().find(|finding| finding.file == file && finding.what.contains(what));
        let finding = finding.unwrap_or_else(|| panic!("{path}: {to}: {what} is not among {findings:#?}"));
        let line = text.lines().nth(finding.line.wrapping_sub(1)).unwrap_or_default();
        assert!(finding.line > 0 && line.contains(at), "{finding}\n  is at `{line}`, not at `{at}`");
    }
}

/// What somebody breaks by hand, and every program takes.
#[test]
fn what_a_hand_breaks_is_found_with_its_line() {
    const LOKI: &str = "loki/loki.yaml";
    const VECTOR: &str = "vector/vector.yaml";
    const INI: &str = "grafana/grafana.ini";
    const OF_LOKI: &str = "grafana/provisioning/datasources/loki.yml";
    const TESTS: &str = "prometheus/rules/tests/app.yml";
    const PROBE: &str = "prometheus/targets/probe.json";
    const BLACKBOX: &str = "blackbox/blackbox.yml";
    let rows: [Quiet; 76] = [
        ("prometheus/targets/app.json", "app:8081", "app:9999", "app does not answer at app:9999", "9999"),
        ("prometheus/targets/app.json", "app:8081", "receiver:9095", "app does not answer at receiver:9095", "9095"),
        (
            PROMETHEUS,
            "targets/receiver.json",
            "targets/app.json",
            "the targets of receiver are asked for in",
            "app.json",
        ),
        (PROMETHEUS, "[targets/alertmanager.json]", "[targets/loki.json]", "the targets of alertmanager", "loki.json"),
        (PROMETHEUS, "- job_name: receiver\n", "- job_name: webhook\n", "no job is for receiver", "scrape_configs"),
        (PROMETHEUS, "vector_buffer_size_bytes|", "", "`vector_buffer_size_bytes` is asked for and not kept", "regex"),
        (PROMETHEUS, "regex: process_start_time_seconds", "regex: \"process_(\"", "regex", "regex"),
        (PROMETHEUS, "action: keep", "action: drop", "is asked for and not kept", "regex"),
        (
            PROMETHEUS,
            "- job_name: app\n",
            "- job_name: app\n    honor_labels: true\n",
            "/honor_labels` is true",
            "honor",
        ),
        (PROMETHEUS, "- job_name: app\n", "- job_name: app\n    metrics_path: /metric\n", "is /metric, not", "metric"),
        (PROMETHEUS, "metrics_path: /probe", "metrics_path: /metrics", "is /metrics, not /probe", "metrics"),
        (PROBE, "/health/live", "/items", "what is asked there counts as a client's", "/items"),
        (PROBE, "\"instance\": \"app:8080\"", "\"instance\": \"app\"", "the answers would be one series", "instance"),
        (PROBE, "http_200", "http_2xx", "blackbox.yml has no such module", "http_2xx"),
        (PROBE, "\"probed\": \"app\"", "\"probed\": \"ap\"", "there is no such job", "probed"),
        (BLACKBOX, "method: GET", "method: POST", "`modules/http_200/http/method` is POST", "POST"),
        (BLACKBOX, "follow_redirects: false", "follow_redirects: true", "follow_redirects` is true", "true"),
        (BLACKBOX, "[200]", "[200, 302]", "valid_status_codes/*` is 302", "302"),
        (APP, "(up{job=~\"app(-.+)?\"}) == 0", "(up{job=\"ap\"}) == 0", "`job=\"ap\"` finds nothing", "ap"),
        (APP, "(up{job=~\"app(-.+)?\"}) == 0", "(up{job=\"app\"}) == 0", "takes one job of the service", "AppDown"),
        (APP, "probed=~\"app(-.+)?\"", "probed=\"app\"", "takes one job of the service", "job:app_available:max"),
        (APP, "http_status=~\"5..\"", "http_status=~\"5xx\"", "`http_status=~\"5xx\"` finds nothing", ""),
        (APP, "{le=\"0.5\"}", "{le=\"0.55\"}", "`le=\"0.55\"` finds nothing", ""),
        (
            APP,
            "Every scrape of {{ $labels.job }}",
            "Every scrape of {{ $labels.instance }}",
            "the label `instance`",
            "AppDown",
        ),
        (APP, "  - name: app\n", "  - name: app\n    limit: 1\n", "/limit` is 1, not 0", "limit"),
        (TESTS, "  - ../app.yml\n", "  - ../slo.yml\n", "which is not loaded here", "alertname"),
        (
            ROUTES,
            "target_matchers: ['severity=\"warning\"', 'alertname!~\"AppRestarting|AppInstance.+|App.+NearLimit\"']\n    equal: [service, job]",
            "target_matchers: ['alertname=\"Watchdog\"']\n    equal: []",
            "the Watchdog is inhibited",
            "target",
        ),
        (ROUTES, "group_by: [alertname, job]", "group_by: [alertname, jobb]", "grouped by `jobb`", "group_by"),
        (ROUTES, "  group_by: [alertname, job]\n", "", "no `group_by`", "receiver"),
        (ROUTES, ":9095/alerts", ":9095/alert", "is http://receiver:9095/alert, not", "url"),
        (ROUTES, "send_resolved: true", "max_alerts: 1", "/max_alerts` is 1, not 0", "max_alerts"),
        (LOKI, "max_line_size: 512KB", "max_line_size: 0", "/max_line_size` is 0, not", "max_line_size"),
        (
            LOKI,
            "retention_period: 744h",
            "retention_period: 0s",
            "/retention_period` is 0s, not 24h at least",
            "retention",
        ),
        (LOKI, "retention_period: 744h", "retention_period: 23h", "/retention_period` is 23h, not", "retention"),
        (LOKI, "  retention_period: 744h\n", "", "/retention_period` is missing, not 24h at least", "limits_config"),
        (LOKI, "rate_mb: 16", "rate_mb: 0", "/ingestion_rate_mb` is 0, not 2 at least", "rate_mb"),
        (LOKI, "burst_size_mb: 32", "burst_size_mb: 0", "/ingestion_burst_size_mb` is 0, not", "burst_size"),
        (LOKI, "rate_limit: 16MB", "rate_limit: 1MB", "/per_stream_rate_limit` is 1MB, not", "rate_limit:"),
        (LOKI, "limit_burst: 32MB", "limit_burst: 0", "/per_stream_rate_limit_burst` is 0, not", "limit_burst"),
        (OVERVIEW, "\"x\": 12,", "\"x\": 11,", "lies on panel", "gridPos"),
        (OVERVIEW, "\"now-15m\"", "\"now-15x\"", "`now-15x` is no time", "from"),
        (OVERVIEW, "\"refresh\": \"15s\"", "\"refresh\": \"5\"", "`5` is no time to refresh after", "refresh"),
        (OVERVIEW, "\"refId\": \"A\",", "\"refId\": \"A\", \"hide\": true,", "is hidden", "hide"),
        (OVERVIEW, "\"range\": true", "\"range\": false", "neither a range nor a moment", "range"),
        (OVERVIEW, "\"{{job}}\"", "\"{{instance}}\"", "the legend asks for the label `instance`", "legendFormat"),
        (OVERVIEW, "app_requests_total{", "app_requests_total{job=\\\"$jobb\\\",", "`$jobb` is no variable", "expr"),
        (OVERVIEW, "alertstate=\\\"firing\\\"", "alertstate=\\\"fireing\\\"", "finds nothing", "fireing"),
        (INI, "app-overview.json", "app-overwiew.json", "default_home_dashboard_path is", "overwiew"),
        (
            INI,
            "provisioning = /etc/grafana/provisioning",
            "provisioning = /etc",
            "[paths] provisioning is /etc",
            "/etc",
        ),
        (SOURCE, "access: proxy", "access: direct", "/access` is direct, not proxy", "access"),
        (SOURCE, "type: prometheus", "type: promtheus", "/type` is promtheus", "type"),
        (SOURCE, "isDefault: true", "isDefault: false", "0 datasources are the default", "isDefault"),
        (OF_LOKI, "isDefault: false", "isDefault: true", "", "isDefault"),
        (
            OF_LOKI,
            "url: http://loki:3100",
            "url: http://prometheus:9090",
            "its type is loki, and another is there",
            "url",
        ),
        (OF_LOKI, "/d/logs?var-request_id", "/d/log?var-request_id", "leads nowhere", "url"),
        (OF_LOKI, "var-request_id=", "var-requestid=", "leads nowhere", "url"),
        (LOKI, "http_listen_port: 3100", "http_listen_port: 3101", "is 3101, not 3100", "3101"),
        (LOKI, "replication_factor: 1", "replication_factor: 3", "is 3, not 1", "replication"),
        (LOKI, "period: 24h", "period: 168h", "is 168h, not 24h", "period"),
        (LOKI, "object_store: filesystem", "object_store: s3", "is s3, not filesystem", "s3"),
        (LOKI, "  delete_request_store: filesystem\n", "", "delete_request_store` is missing", "compactor"),
        (LOKI, "path_prefix: /loki", "path_prefix: /tmp/loki", "is /tmp/loki, not /loki", "path_prefix"),
        (VECTOR, "      - /var/log/aiclipx/vector.log\n", "", "not a list with /var/log/aiclipx/vector.log", "exclude"),
        (VECTOR, "when_full: block", "when_full: drop_newest", "is drop_newest, not block", "when_full"),
        (VECTOR, "max_size: 268435488", "max_size: 1000", "is 1000, not 268435488 at least", "max_size"),
        (VECTOR, "codec: json", "codec: jsn", "is jsn, not json", "codec"),
        (VECTOR, "rate: 50", "rate: 0", "is 0, not 1 at least", "rate"),
        (
            VECTOR,
            "\"endpoint\":\"{{ endpoint }}\"}'",
            "\"id\":\"{{ request_id }}\"}'",
            "`request_id` as a label",
            "request_id",
        ),
        (VECTOR, "flush_period_secs: 86400", "flush_period_secs: 60", "is 60, not 86400 at least", "flush"),
        (VECTOR, "parted._unmatched, sampled]", "parted._unmatched]", "nobody takes from `sampled`", "sampled"),
        (VECTOR, "parted._unmatched", "parted._unmached", "`parted` has no such output", "_unmached"),
        (VECTOR, "[understood.dropped]", "[unreadable]", "no source leads to `unreadable`", "unreadable"),
        (VECTOR, "name: log_lines_total", "name: log_line_total", "is log_line_total", "name"),
        (VECTOR, "read_from: beginning", "read_from: end", "is end, not beginning", "read_from"),
        (
            VECTOR,
            "address: 127.0.0.1:8686",
            "address: 0.0.0.0:8686",
            "is 0.0.0.0:8686, not 127.0.0.1:8686",
            "address: 0.0.0.0:8686",
        ),
        ("grafana/provisioning/dashboards/files.yml", "type: file", "type: files", "is files, not file", "type"),
    ];
    let mut missed = Vec::new();
    for (path, from, to, what, at) in rows {
        let mut files = files();
        let text = text_of(&files, path);
        assert!(text.contains(from), "{path} does not contain {from}");
        let text = text.replacen(from, to, 1);
        files.insert(path.into(), text.clone().into_bytes());
        let findings = found(files);
        let file = Path::new("monitoring").join(path);
        let finding = findings.iter().find(|finding| finding.file == file && finding.what.contains(what));
        let line = finding.and_then(|finding| text.lines().nth(finding.line.checked_sub(1)?));
        if line.is_none_or(|line| !line.contains(at)) {
            missed.push(format!("{path}: {to}: {what} is not among {findings:?}, at {line:?}"));
        }
    }
    assert_eq!(missed, [""; 0]);
}

#[test]
fn what_may_rightly_be_done_is_not_found() {
    const LOKI: &str = "loki/loki.yaml";
    const VECTOR: &str = "vector/vector.yaml";
    const OF_LOKI: &str = "grafana/provisioning/datasources/loki.yml";
    const MADE: &str = r#""templating": {"list": [
        {"name": "q", "type": "textbox", "query": "0.9"}, {"name": "by", "type": "textbox", "query": "job"}, "#;
    const ROW: &str = r#""panels": [{"id": 97, "type": "row", "title": "More", "collapsed": true,
        "gridPos": {"x": 0, "y": 90, "w": 24, "h": 1}, "panels": [
        {"id": 98, "type": "text", "title": "One", "gridPos": {"x": 0, "y": 91, "w": 4, "h": 4}},
        {"id": 99, "type": "text", "title": "Other", "gridPos": {"x": 0, "y": 91, "w": 4, "h": 4}}]},"#;
    const OWN: &str = "\"templating\": {\n    \"list\": [";
    let with_variables = |expr: &str| format!("\"expr\": {}", serde_json::Value::from(expr));
    let overview = text_of(&files(), OVERVIEW);
    let query = overview.lines().find(|line| line.contains("app_requests_total{")).expect("a query").trim();
    let query = query.trim_end_matches(',');
    let panel = |kind: &str| {
        format!(
            "\"panels\": [\n{{\"id\": 98, \"type\": \"{kind}\", \"gridPos\": {{\"x\": 0, \"y\": 90, \"w\": 4, \"h\": 4}}}},"
        )
    };
    let mut missed = Vec::new();
    for expr in [
        "sum by (job) (rate(app_requests_total{job=\"$job\"}[$__rate_interval]))",
        "sum by (job) (rate(app_requests_total{job=~\"${job:regex}\"}[$__rate_interval]))",
        "sum by (job) (rate(app_requests_total{endpoint=~\"[[job]]\"}[$__rate_interval]))",
        "sum by ($by) (rate(app_requests_total[$__rate_interval]))",
        "round(sum by (job) (rate(app_requests_total[$__rate_interval])), $q)",
        "sum by (job) (rate(app_${job}_total[$__rate_interval]))",
        r#"label_replace(sum by (job) (rate(app_requests_total[$__rate_interval])), "of", "$team", "job", "(?P<team>.+)")"#,
        "sum by (job) (rate(app_requests_total{job!=\"grafana\"}[$__rate_interval]))",
    ] {
        let text = overview.replacen(query, &with_variables(expr), 1).replacen(OWN, MADE, 1);
        assert!(text.contains(MADE), "the dashboard has variables of its own");
        let mut files = files();
        files.insert(OVERVIEW.into(), text.into_bytes());
        missed.extend(found(files).into_iter().map(|finding| format!("{expr}: {finding}")));
    }
    let rows: [(&str, &str, &str); 32] = [
        (OVERVIEW, "up{job=~\\\"app(-.+)?\\\", job=~", "up{job=~"),
        (APP, "(up{job=~\"app(-.+)?\"}) == 0", "(up{job=~\"app(-.+)?\",job!=\"grafana\"}) == 0"),
        ("prometheus/targets/app.json", "\"targets\"", "\"labels\": {\"zone\": \"a\"}, \"targets\""),
        ("prometheus/targets/app.json", "app:8081", "app:8080"),
        (ROUTES, "group_by: [alertname, job]", "group_by: ['...']"),
        (ROUTES, "group_by: [alertname, job]", "group_by: [job]"),
        (ROUTES, "group_by: [alertname, job]", "group_by: [alertname, speed]"),
        (ROUTES, "'long_window=\"1h\"'", "'alertname=\"MonitoringTargetMissing\"'"),
        (ROUTES, "'long_window=\"6h\"'", "'alertname=~\".+\"'"),
        (OVERVIEW, "\"now-15m\"", "\"now/d\""),
        (OVERVIEW, "\"now-15m\"", "\"now-1d/d\""),
        (OVERVIEW, "\"now-15m\"", "\"now-1M\""),
        (OVERVIEW, "\"now-15m\"", "\"2026-11-30T00:00:00.000Z\""),
        (OVERVIEW, "\"to\": \"now\"", "\"to\": \"now+5m\""),
        (OVERVIEW, "\"refresh\": \"15s\"", "\"refresh\": \"auto\""),
        (OVERVIEW, "\"panels\": [", &panel("text")),
        (OVERVIEW, "\"panels\": [", &panel("dashlist")),
        (OVERVIEW, "\"panels\": [", &panel("grafana-clock-panel")),
        (OVERVIEW, "\"panels\": [", ROW),
        (OVERVIEW, "\"url\": \"/d/slo\"", "\"url\": \"https://wiki.example.org/app\""),
        (OF_LOKI, "/d/logs?var-request_id", "https://traces.example.org/?id"),
        (LOKI, "max_line_size: 512KB", "max_line_size: 1MB"),
        (LOKI, "retention_period: 744h", "retention_period: 7d"),
        (
            LOKI,
            "  configs:\n",
            "  configs:\n    - from: 2024-01-01\n      store: tsdb\n\
             \x20     object_store: filesystem\n      schema: v13\n      index: { prefix: a_, period: 24h }\n",
        ),
        (VECTOR, "inputs: [itself, counted, ", "inputs: [itself, \"count*\", "),
        (VECTOR, "inputs: [itself, counted, ", "inputs: [\"it*\", counted, "),
        (
            PROMETHEUS,
            "scrape_configs:\n",
            "scrape_configs:\n  - job_name: app-twice\n    metrics_path: /probe\n\
             \x20   honor_labels: true\n    file_sd_configs:\n      - files: [targets/app.json]\n",
        ),
        (
            PROMETHEUS,
            "- job_name: app\n",
            "- job_name: app\n    metric_relabel_configs:\n      - { source_labels: [__name__], regex: go_.+, action: drop }\n",
        ),
        (
            PROMETHEUS,
            "- job_name: receiver\n",
            "- job_name: receiver\n    metric_relabel_configs:\n      - { source_labels: [path], regex: /x, action: drop }\n",
        ),
        (APP, "p95_rate5m > 0.5", "p95_rate5m{job!=\"grafana\"} > 0.5"),
        (APP, "  - name: app\n", "  - name: app\n    limit: 0\n"),
        (ROUTES, "send_resolved: true", "max_alerts: 0"),
    ];
    for (path, from, to) in rows {
        // The examples would be changed with it.
        let findings = edited(path, from, to).into_iter().filter(|one| !one.what.contains("its `inhibit_rules`"));
        missed.extend(findings.map(|finding| format!("{path}: {to}: {finding}")));
    }
    assert_eq!(missed, [""; 0]);
}

/// A change by hand would be lost, and a changed table says nothing until the rules are made of it.
#[test]
fn rules_that_are_not_what_their_table_gives_are_found_with_the_line_that_differs() {
    for (path, from, to, at) in [
        (SLO, "burnrate6h > 6 and", "burnrate6h > 7 and", "burnrate6h > 7 and"),
        (SLO, "# Made of", "# Written of", "# Written of"),
        (SLO, "      - record: slo:objective:ratio\n", "\n      - record: slo:objective:ratio\n", "rules:"),
        ("slo.toml", "factor = 14.4", "factor = 14.3", "burnrate1h > 14.4 and"),
    ] {
        let mut files = files();
        files.insert(path.into(), text_of(&files, path).replacen(from, to, 1).into_bytes());
        let findings = found(files.clone());
        let finding =
            findings.iter().find(|finding| finding.what.contains("monitoring/slo.toml gives another line here"));
        let finding = finding.unwrap_or_else(|| panic!("{to}: {findings:#?}"));
        assert_eq!(
            (finding.file.as_path(), finding.remedy.contains("`just slo`")),
            (&*Path::new("monitoring").join(SLO), true)
        );
        let text = text_of(&files, SLO);
        let before = if at == "rules:" { finding.line - 1 } else { finding.line };
        assert!(text.lines().nth(before - 1).is_some_and(|line| line.contains(at)), "{to}: line {}", finding.line);
    }
    let findings = edited("slo.toml", "factor = 14.4", "factors = 14.4");
    assert!(findings.iter().any(|finding| finding.what.contains("unknown field `factors`")), "{findings:#?}");
}

/// Alertmanager reads it, as a value with quotes in it.
#[test]
fn a_matcher_in_single_quotes_is_found() {
    let findings = edited(ROUTES, "'severity=\"critical\"'", "\"severity='critical'\"");
    let told = findings.iter().find(|finding| finding.what.contains("no alert has the severity `'critical'`"));
    assert!(told.is_some_and(|finding| finding.line > 0 && finding.remedy.contains("single quotes")), "{findings:#?}");
    for matcher in
        ["'severity=critical'", "'severity = critical'", "'{severity=\"critical\"}'", "'severity=~critical|page'"]
    {
        let findings = edited(ROUTES, "'severity=\"critical\"'", matcher);
        assert!(findings.iter().all(|finding| finding.what.contains("`page`")), "{matcher}: {findings:#?}");
    }
}

#[test]
fn rules_that_nobody_loads_and_a_receiver_that_tells_nobody_are_found() {
    let mut files = files();
    let text = text_of(&files, PROMETHEUS).replace("rules/*.yml", "rules/[a-m]*.yml");
    files.insert(PROMETHEUS.into(), text.into_bytes());
    let text = text_of(&files, ROUTES).replace("receivers:\n", "receivers:\n  - name: nobody\n");
    files.insert(ROUTES.into(), text.into_bytes());
    let findings = found(files);
    for (file, what) in [
        ("prometheus/rules/slo.yml", "nobody loads it"),
        ("prometheus/rules/watchdog.yml", "nobody loads it"),
        (ROUTES, "the receiver `nobody` tells nobody"),
    ] {
        assert!(
            findings.iter().any(|one| one.file.ends_with(file) && one.what.contains(what)),
            "{file}: {findings:#?}"
        );
    }
}

#[test]
fn an_alert_that_a_scenario_says_is_inhibited_exists() {
    let mut scenario = scenarios().into_iter().find(|scenario| scenario.name == "app-down").expect("it is there");
    scenario.expect.inhibits.push("AppNoSuch".to_owned());
    let findings = check_scenarios(root(), &[scenario]).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(findings.iter().any(|finding| finding.what == "there is no alert AppNoSuch"), "{findings:#?}");
}

#[test]
fn a_query_of_logs_is_not_read_as_prometheus_is() {
    let findings = edited("grafana/dashboards/logs.json", "| json | line_format", "|~ `[5m]` | line_format");
    assert_eq!(findings, []);
    // And the same text in a panel of Prometheus' is.
    let findings = edited("grafana/dashboards/logs.json", "sum by (level)", "{level=\\\"error\\\"} |= sum by (level)");
    assert!(findings.iter().any(|finding| finding.what.contains("not an expression")), "{findings:#?}");
}

#[test]
fn what_nobody_could_place_in_the_forwarders_configuration_is_found() {
    for (from, to, what) in [
        ("address: 127.0.0.1:8686", "address: 127.0.0.1:8687", "is not 0.0.0.0:8686"),
        ("address: 0.0.0.0:9598", "address: 127.0.0.1:9598", "is not 0.0.0.0:9598"),
        ("- /var/log/aiclipx/*.log\n", "- /var/log/*.log\n", "does not lie in /var/log/aiclipx"),
        ("endpoint: http://loki:3100", "endpoint: http://elsewhere:3100", "does not lead to http://loki:3100"),
        ("    buffer:\n", "    proxy:\n", "unknown key `proxy`"),
    ] {
        let findings = edited("vector/vector.yaml", from, to);
        assert!(findings.iter().any(|finding| finding.what.contains(what) && finding.line > 0), "{to}: {findings:#?}");
    }
}

#[test]
fn a_page_of_no_alert_and_an_alert_without_a_row_are_found() {
    let mut files = files();
    files.insert("runbooks/AppLost.md".into(), b"# AppLost\n".to_vec());
    // Prose that names it is no row.
    let readme = text_of(&files, "README.md").replace("[MonitoringLogsNotRead](", "[Another](");
    assert!(readme.contains("MonitoringLogsNotRead"), "{readme}");
    files.insert("README.md".into(), readme.into_bytes());
    let findings = found(files);
    assert!(findings.iter().any(|finding| finding.file.ends_with("AppLost.md")), "{findings:#?}");
    assert!(
        findings.iter().any(|finding| finding.what == "MonitoringLogsNotRead is not in the table of alerts"),
        "{findings:#?}"
    );
}

#[test]
fn a_dropped_test_is_missed_at_its_alert() {
    let mut files = files();
    files.insert(
        "prometheus/rules/tests/monitoring.yml".into(),
        b"rule_files: []\nevaluation_interval: 15s\ntests: [{name: nothing, interval: 15s, input_series: []}]\n"
            .to_vec(),
    );
    let findings = found(files);
    let at = |what: &str| findings.iter().filter(|finding| finding.what.contains(what) && finding.line > 0).count();
    // Each alert and each counter of the file.
    for (what, times) in [
        ("MonitoringTargetMissing fires, its labels", 1),
        ("PrometheusBadConfig resolves", 1),
        ("is asked for when", 15),
        ("is born with", 9),
    ] {
        assert_eq!(at(what), times, "{what}: {findings:#?}");
    }
}

/// It would be drowned by what leads to the rules that are gone.
#[test]
fn a_file_without_a_rule_or_a_test_is_told_alone() {
    for (path, text, what) in [
        (APP, "", "there is no rule in it"),
        (APP, "groups: []", "there is no rule in it"),
        (APP, "groups:\n- name: app\n  rules: []", "there is no rule in it"),
        (
            "prometheus/rules/tests/app.yml",
            "rule_files: []\nevaluation_interval: 15s\ntests: []",
            "there is no test in it",
        ),
    ] {
        let mut files = files();
        files.insert(path.into(), text.as_bytes().to_vec());
        let findings = found(files);
        let told: Vec<(&Path, &str)> = findings.iter().map(|finding| (&*finding.file, &*finding.what)).collect();
        assert!(
            matches!(told[..], [(file, told)] if file.ends_with(path) && told.starts_with(what)),
            "{text}: {told:?}"
        );
    }
}

/// One alert with all its unit tests, and each case taken out of them in turn.
#[test]
fn each_case_that_an_alerts_tests_lack_is_told() {
    const RULE: &str = "groups:\n- name: extra\n  rules:\n  - alert: AppExtra\n    expr: sum by (job) (rate(extra_total[5m])) > 1\n    for: 5m\n";
    const TESTS: &str = r#"
rule_files: [../extra.yml]
evaluation_interval: 15s
tests:
- name: it fires on over a lost scrape, for one job alone, and resolves
  interval: 15s
  input_series:
  - {series: 'extra_total{job="a"}', values: '0+30x60 stale 1860+30x20 2460x60'}
  - {series: 'extra_total{job="b"}', values: '0x140'}
  promql_expr_test:
  - {expr: 'count(ALERTS{alertname="AppExtra",alertstate="pending"})', eval_time: 3m, exp_samples: [{labels: '{}', value: 1}]}
  - {expr: 'count(ALERTS{alertname="AppExtra",job="b"}) or vector(0)', eval_time: 16m, exp_samples: [{labels: '{}', value: 0}]}
  - {expr: 'count(ALERTS{alertname="AppExtra",job="a"})', eval_time: 16m, exp_samples: [{labels: '{}', value: 1}]}
  alert_rule_test:
  - {eval_time: 20m, alertname: AppExtra, exp_alerts: [{exp_labels: {}, exp_annotations: {}}]}
  - {eval_time: 30m, alertname: AppExtra}
- name: it is quiet at one event, and over a lost scrape
  interval: 15s
  input_series: [{series: 'extra_total{job="a"}', values: '3x40 4x20 stale 4x20'}]
  promql_expr_test:
  - {expr: 'count(ALERTS{alertname="AppExtra"}) or vector(0)', eval_time: 16m, exp_samples: [{labels: '{}', value: 0}]}
- name: its target goes, and comes back
  interval: 15s
  input_series: [{series: 'extra_total{job="a"}', values: '9x20 _x20 0x20 _x2 7x9 stale'}]
  promql_expr_test:
  - {expr: 'count(ALERTS{alertname="AppExtra"}) or vector(0)', eval_time: 18m, exp_samples: [{labels: '{}', value: 0}]}
"#;
    let missing = |rule: &str, tests: &str| -> Vec<String> {
        let mut files = files();
        files.insert("prometheus/rules/extra.yml".into(), rule.as_bytes().to_vec());
        files.insert("prometheus/rules/tests/extra.yml".into(), tests.as_bytes().to_vec());
        let told = found(files).into_iter().map(|finding| finding.what);
        told.filter_map(|what| Some(what.strip_prefix("no unit test in which AppExtra ")?.to_owned())).collect()
    };
    assert_eq!(missing(RULE, TESTS), Vec::<String>::new());
    for (from, to, expected) in [
        ("exp_alerts: [{exp_labels: {}, exp_annotations: {}}]", "exp_alerts: []", &["fires, its labels"][..]),
        ("alertstate=\"pending\"", "alertstate=\"firing\"", &["is pending"]),
        ("eval_time: 30m", "eval_time: 10m", &["resolves"]),
        ("0x20 _x2 7x9 stale", "0x20 7x9", &["is asked for when a series ends"]),
        ("9x20 _x20 0x20 _x2 7x9", "9x20 0x20 7x9", &["is asked for after its target"]),
        ("0+30x60 stale 1860+30x20", "0+30x60 1830 1860+30x20", &["fires on over a scrape"]),
        ("3x40 4x20 stale 4x20", "3x40 4x41", &["stays quiet over a scrape"]),
        ("3x40 4x20 stale 4x20", "3x61 stale 3x20", &["does not fire at one event"]),
        ("3x40 4x20 stale 4x20", "3x40 5x20 stale 5x20", &["does not fire at one event"]),
        (
            "'count(ALERTS{alertname=\"AppExtra\",job=\"b\"}) or",
            "'count(ALERTS{alertname=\"AppExtra\",job=\"a\"} offset 1h) or",
            &["fires for one job"],
        ),
    ] {
        assert!(TESTS.contains(from), "{from}");
        let told = missing(RULE, &TESTS.replace(from, to));
        let as_expected =
            told.len() == expected.len() && told.iter().zip(expected).all(|(one, other)| one.starts_with(other));
        assert!(as_expected, "{from} → {to}: {told:?}");
    }
    // One without a `for` needs it all the more.
    let told = missing(&RULE.replace("    for: 5m\n", ""), &TESTS.replace("3x40 4x20 stale 4x20", "3x61 stale 3x20"));
    assert!(matches!(&told[..], [told] if told.starts_with("does not fire at one event")), "{told:?}");
    // What names its job needs no test of another.
    let of_one = RULE.replace("extra_total[5m]", "extra_total{job=\"a\"}[5m]");
    assert_eq!(missing(&of_one, &TESTS.replace("job=\"b\"}) or", "job=\"a\"} offset 1h) or")), Vec::<String>::new());
}

#[test]
fn an_alert_of_one_event_is_found_unless_it_is_meant_to_be_one() {
    const OURS: &str = "prometheus/rules/monitoring.yml";
    const FAILURES: &str = "sum by (job, rule_group) (rate(prometheus_rule_evaluation_failures_total[5m])) > 0";
    let held = |expr: &str, hold: &str| format!("{expr}\n        for: {hold}");
    for (expr, hold, holds_for) in [
        (FAILURES, "15m", None),
        (FAILURES, "5m", None),
        (FAILURES, "4m45s", Some("5m")),
        ("sum by (job, rule_group) (rate(prometheus_rule_evaluation_failures_total[20m])) > 0", "15m", Some("20m")),
        ("0 < sum by (job, rule_group) (increase(prometheus_rule_evaluation_failures_total[20m]))", "15m", Some("20m")),
        ("(sum by (job, rule_group) (rate(prometheus_rule_evaluation_failures_total[20m])) != 0)", "15m", Some("20m")),
        ("sum by (job, rule_group) (rate(prometheus_rule_evaluation_failures_total[20m]) > 0)", "15m", Some("20m")),
        // More than one event, whatever the window.
        ("sum by (job, rule_group) (rate(prometheus_rule_evaluation_failures_total[20m])) > 0.01", "15m", None),
        // Either is enough, both are needed, and what is only a gate does not fire.
        (
            "sum by (job, rule_group) (rate(prometheus_rule_evaluation_failures_total[20m])) > 0.01 or \
             sum by (job, rule_group) (rate(prometheus_rule_evaluation_failures_total[20m])) > 0",
            "15m",
            Some("20m"),
        ),
        (
            "sum by (job, rule_group) (rate(prometheus_rule_evaluation_failures_total[20m])) > 0 and \
             sum by (job, rule_group) (rate(prometheus_rule_evaluation_failures_total[5m])) > 0",
            "15m",
            None,
        ),
        (
            "sum by (job, rule_group) (rate(prometheus_rule_evaluation_failures_total[20m])) > 0.01 and \
             sum by (job, rule_group) (rate(prometheus_rule_evaluation_failures_total[20m])) > 0",
            "15m",
            None,
        ),
    ] {
        let findings = edited(OURS, &held(FAILURES, "15m"), &held(expr, hold));
        let told: Vec<&str> = findings.iter().map(|one| &*one.what).filter(|what| what.contains("one event")).collect();
        let expected = holds_for
            .map(|window| format!("PrometheusRuleFailures fires at one event: it holds for {window} after it"));
        assert_eq!(told, expected.iter().map(String::as_str).collect::<Vec<_>>(), "{expr} for {hold}");
        assert!(findings.iter().all(|one| !one.what.contains("one event") || one.line > 0), "{findings:#?}");
    }
    // Through what is recorded.
    let findings = edited(APP, "expr: job:app_errors:rate5m > 0.5", "expr: job:app_errors:rate5m > 0");
    let told = |name: &str, findings: &[Finding]| {
        findings.iter().any(|one| one.what.starts_with(&format!("{name} fires at one event")))
    };
    assert!(told("AppHighExceptionRate", &findings), "{findings:#?}");
    // By another name it is not among those that are meant.
    for name in events::OF_ONE_EVENT {
        let findings = edited("prometheus/rules/logs.yml", &format!("alert: {name}\n"), &format!("alert: {name}Too\n"));
        assert!(told(&format!("{name}Too"), &findings), "{findings:#?}");
        assert!(!told(name, &findings), "{findings:#?}");
    }
}

/// At the first scrape after an outage what it made others say would be told, and be wrong.
#[test]
fn a_cause_that_ends_before_what_it_inhibits_is_found() {
    const NAMES: &str = "AppDown|AppTargetMissing|AppNotReady|AppProbeFailing";
    const CAUSES: usize = 4;
    let rules = text_of(&files(), APP);
    assert!(text_of(&files(), ROUTES).contains(NAMES));
    let (before, after) = rules.split_once("- alert: AppTargetMissing\n").expect("the alert");
    let line = after.lines().find(|line| line.contains("keep_firing_for")).expect("it outlasts what it inhibits");
    let with = |line: &str, rules: &dyn Fn(&str) -> String, routes: &dyn Fn(&str) -> String| -> Vec<String> {
        let mut files = files();
        let held = after.lines().find(|line| line.contains("keep_firing_for")).expect("a line");
        let text = format!("{before}- alert: AppTargetMissing\n{}", after.replacen(held, line, 1));
        // What warnings are kept for is another matter; lines stay where they are.
        let text = rules(&text.replace("        keep_firing_for: 11m\n", "        #\n"));
        files.insert(APP.into(), text.into_bytes());
        let text = routes(&text_of(&files, ROUTES));
        files.insert(ROUTES.into(), text.into_bytes());
        let told = found(files).into_iter().filter(|one| one.what.contains("which it inhibits"));
        told.map(|one| format!("{}:{}: {} ({})", one.file.display(), one.line, one.what, one.remedy)).collect()
    };
    let same = |text: &str| text.to_owned();
    assert_eq!(with(line, &same, &same), Vec::<String>::new());
    let at = format!("monitoring/{APP}:{}: AppTargetMissing ends before ", before.lines().count());
    for line in ["", "        keep_firing_for: 2m", "        keep_firing_for: 5m"] {
        let told = with(line, &same, &same);
        let [told] = &told[..] else { panic!("{line}: {told:#?}") };
        assert!(told.starts_with(&at) && told.ends_with("(`keep_firing_for` of more than 5m30s)"), "{line}: {told}");
    }
    // What remembers for an hour, and the slow burns, are not for it to inhibit.
    let longer = |text: &str| text.replace("rate(app_errors_total[5m])", "rate(app_errors_total[1h])");
    assert_eq!(with(line, &longer, &same), Vec::<String>::new());
    let wide = |text: &str| text.replace("AppAvailabilityBudgetBurn(1h|6h)|App.*Traffic.*", "AppHighExceptionRate");
    let told = with(line, &longer, &wide);
    assert!(told.len() == CAUSES && told.iter().all(|one| one.contains("AppHighExceptionRate")), "{told:#?}");
    let told = with(line, &same, &|text| text.replace("Burn(1h|6h)", "Burn.+"));
    assert!(told.len() == CAUSES && told.iter().all(|one| one.contains("BudgetBurn3d")), "{told:#?}");
    // Of an `or` either side is enough, and goes on for as long as the longer one remembers; what stands in at zero is none.
    let either = |other: &str| {
        let expr = "expr: job:app_errors:rate5m > 0.5\n";
        let other = format!("expr: job:app_errors:rate5m > 0.5 or {other} > 0.5\n");
        with(line, &|text| text.replace(expr, &other), &wide)
    };
    let told = either("rate(app_errors_total[1h])");
    assert!(told.len() == CAUSES && told[0].contains("AppHighExceptionRate") && told[0].contains("1h)"), "{told:#?}");
    assert_eq!(either("(job:app_errors:rate5m or 0 * rate(app_errors_total[1h]))"), Vec::<String>::new());
    // What is silenced may go on by itself.
    let kept = |text: &str| {
        let hold = "expr: job:app_errors:rate5m > 0.5\n        for: 2m\n";
        assert!(text.contains(hold), "{text}");
        text.replace(hold, &format!("{hold}        keep_firing_for: 1m30s\n"))
    };
    let told = with(line, &kept, &wide);
    assert!(told.len() == CAUSES && told[0].ends_with("(`keep_firing_for` of more than 6m30s)"), "{told:#?}");
    // A matcher on what the series bring is met; one on what the rule gives must be.
    let also = |matcher: &str| {
        with("", &same, &|text| text.replace("AppProbeFailing\"']", &format!("AppProbeFailing\"', '{matcher}']")))
    };
    assert_eq!(also("job=~\"app(-.+)?\"").len(), 1);
    assert_eq!(also("severity=\"none\""), Vec::<String>::new());
    assert_eq!(also("long_window=\"1h\""), Vec::<String>::new());
    // A value goes on for as long as either side that it is computed of; a condition ends with the first that all of it takes.
    let instead = |expr: &str| -> Option<String> {
        let own = "expr: job:app_errors:rate5m > 0.5\n";
        let told = with(line, &|text| text.replace(own, &format!("expr: {expr}\n")), &wide);
        assert!(told.is_empty() || told.len() == CAUSES, "{expr}: {told:#?}");
        Some(told.first()?.rsplit_once("more than ")?.1.trim_end_matches(')').to_owned())
    };
    let mut missed = Vec::new();
    for (expr, longest) in [
        ("rate(app_errors_total[1h]) / rate(app_requests_total[5m]) > 0.5", Some("1h")),
        ("0.5 < rate(app_errors_total[5m]) + rate(app_errors_total[1h])", Some("1h")),
        ("clamp_min(rate(app_errors_total[5m]), scalar(rate(app_errors_total[1h]))) > 0.5", Some("1h")),
        ("rate(app_errors_total[1h]) > 0.5 and rate(app_errors_total[5m]) > 0.5", None),
        ("rate(app_errors_total[5m] offset 1h) > 0.5", Some("1h5m")),
        ("max_over_time(app_ready[5m:] offset 1h) > 0.5", Some("1h5m")),
        ("app_ready offset 1h > 0.5", Some("1h")),
        ("rate(app_errors_total[1h]) > 0.5 unless rate(app_requests_total[5m]) > 5", Some("1h")),
        ("rate(app_errors_total[5m]) > 0.5 unless rate(app_requests_total[1h]) > 5", None),
    ] {
        let told = instead(expr);
        if told.as_deref() != longest {
            missed.push(format!("{expr}: {told:?}, not {longest:?}"));
        }
    }
    assert_eq!(missed, [""; 0]);
    // What is named by its weight is no cause: it may end first. Nor does it inhibit another service's alert, or itself.
    let by_weight = |text: &str| text.replace(&format!("'alertname=~\"{NAMES}\"'"), "'severity=\"critical\"'");
    assert_eq!(with("", &same, &by_weight), Vec::<String>::new());
    let of_others = |text: &str| {
        text.replace("AppAvailabilityBudgetBurn(1h|6h)|App.*Traffic.*|AppMostInstancesDown", "Prometheus.+")
    };
    assert_eq!(with("", &same, &of_others), Vec::<String>::new());
}

#[test]
fn examples_of_channels_silence_what_is_silenced_here() {
    const CHANNELS: &str = "alertmanager/examples/channels.yml";
    let told = |path: &str, from: &str, to: &str| -> Vec<String> {
        let findings = edited(path, from, to).into_iter().filter(|one| one.what.contains("its `inhibit_rules`"));
        findings.map(|one| format!("{}:{}", one.file.display(), one.line)).collect()
    };
    let line = text_of(&files(), CHANNELS).lines().position(|line| line == "inhibit_rules:").expect("they are there");
    let at = [format!("monitoring/{CHANNELS}:{}", line + 1)];
    assert_eq!(told(CHANNELS, "|App.+NearLimit", ""), at);
    assert_eq!(told(ROUTES, "|App.+NearLimit", ""), at);
    assert_eq!(told(CHANNELS, "inhibit_rules:", "mute_time_intervals:").len(), 1);
    // One thing is said in many ways.
    let channels = text_of(&files(), CHANNELS);
    let rules = channels.split("inhibit_rules:\n").nth(1).expect("they are there");
    let turned: Vec<&str> = rules.rsplit("  - ").filter(|rule| !rule.is_empty()).collect();
    let turned = format!("  - {}", turned.join("  - "));
    assert!(turned.len() == rules.len() && turned != rules, "{turned}");
    for (from, to) in [
        ("['severity=\"critical\"']\n    target", "[ 'severity=\"critical\"' ]\n    target"),
        ("['severity=\"critical\"']\n    target", "[severity=critical]\n    target"),
        ("['severity=\"critical\"']\n    target", "['{severity = \"critical\"}']\n    target"),
        (
            "['severity=\"warning\"', 'alertname!~\"AppRestarting|AppInstance.+|App.+NearLimit\"']",
            "['alertname!~\"AppRestarting|AppInstance.+|App.+NearLimit\"', 'severity=\"warning\"']",
        ),
        ("equal: [service, job]\n", "equal: [job, service]\n"),
        (rules, &turned),
    ] {
        assert_eq!(told(CHANNELS, from, to), [""; 0], "{to}");
    }
    assert_eq!(told(CHANNELS, "equal: [service, job]\n", "equal: [service]\n"), at);
    assert_eq!(told(CHANNELS, "['severity=\"critical\"']\n    target", "['severity!=\"critical\"']\n    target"), at);
}

/// The name of another that begins with it, a sentence and itself are nobody.
#[test]
fn a_recording_that_nobody_asks_for_is_found() {
    const RULES: &str = "groups:\n- name: extra\n  rules:\n\
        \x20 - {record: 'job:app_own:sum', expr: 'job:app_own:sum or sum by (job) (app_ready)'}\n\
        \x20 - {record: 'job:app_errors:rate', expr: 'sum by (job) (app_ready)'}\n\
        \x20 - {record: 'job:app_told:sum', expr: 'sum by (job) (app_ready)'}\n\
        \x20 - {record: 'job:app_drawn:sum', expr: 'sum by (job) (app_ready)'}\n\
        \x20 - {record: 'job:app_chosen:sum', expr: 'sum by (job) (app_ready)'}\n\
        \x20 - {record: 'job:app_once:sum', expr: 'job:app_more:sum'}\n\
        \x20 - {record: 'job:app_more:sum', expr: 'sum by (job) (app_ready)'}\n\
        \x20 - {record: 'job:app_picked:sum', expr: 'sum by (job) (app_ready)'}\n";
    const LIST: &str = "\"templating\": {\n    \"list\": [";
    const PICKED: &str = r#"{"name": "one", "type": "query", "query": "label_values(job:app_picked:sum, job)"},"#;
    let mut files = files();
    files.insert("prometheus/rules/extra.yml".into(), RULES.as_bytes().to_vec());
    let overview = text_of(&files, OVERVIEW);
    let query = overview.lines().find(|line| line.contains("app_requests_total{")).expect("a query").trim();
    let drawn = r#""expr": "job:app_drawn:sum{job=~\"$job\"} and job:app_chosen:sum{job=~\"${job:regex}\"}","#;
    let overview = overview.replacen(query, drawn, 1);
    assert!(overview.contains(LIST), "the dashboard has variables of its own");
    let overview = overview.replacen(LIST, &format!("{LIST}{PICKED}"), 1);
    let overview = overview.replacen("\"description\": \"", "\"description\": \"It is job:app_told:sum. ", 1);
    files.insert(OVERVIEW.into(), overview.into_bytes());
    let told: Vec<(usize, String)> = found(files)
        .into_iter()
        .filter(|finding| finding.file.ends_with("extra.yml"))
        .filter_map(|finding| Some((finding.line, finding.what.strip_prefix("nobody asks for ")?.to_owned())))
        .collect();
    let expected =
        [(4, "`job:app_own:sum`"), (5, "`job:app_errors:rate`"), (6, "`job:app_told:sum`"), (9, "`job:app_once:sum`")];
    assert_eq!(told, expected.map(|(line, name)| (line, name.to_owned())));
}

/// Who is paged for app-canary pastes what is on the page, and clicks what is at the panel.
#[test]
fn a_query_of_a_page_or_a_link_that_takes_one_job_is_found() {
    const DOWN: &str = "runbooks/AppDown.md";
    const MISSING: &str = "runbooks/AppTargetMissing.md";
    const ONE: &str = "job=\"app\"";
    const ALL: &str = "job=~\"app(-.+)?\"";
    // As they are where every query takes all of them.
    let mut mended = files();
    for (path, bytes) in &mut mended {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if path.starts_with("runbooks") && !path.ends_with("AppTargetMissing.md") {
            *bytes = text.replace(ONE, ALL).into_bytes();
        } else if path.starts_with(DASHBOARDS) {
            *bytes = text.replace("job%3D%5C%22app%5C%22", "job%3D~%5C%22app%28-.%2B%29%3F%5C%22").into_bytes();
        }
    }
    let told = |path: &str, from: &str, to: &str| -> Vec<String> {
        let mut files = mended.clone();
        let text = text_of(&files, path);
        assert!(text.contains(from), "{path} does not contain {from}");
        let text = text.replacen(from, to, 1);
        files.insert(path.into(), text.clone().into_bytes());
        let told = found(files).into_iter().filter(|one| one.what.contains("takes one job of the service"));
        told.map(|one| {
            assert!(one.file.ends_with(path), "{one}");
            text.lines().nth(one.line.wrapping_sub(1)).unwrap_or_default().to_owned()
        })
        .collect()
    };
    let query = format!("up{{{ALL}}}");
    let at = |path: &str, from: &str, to: &str| {
        let told = told(path, from, to);
        assert!(matches!(&told[..], [line] if line.contains(to.trim())), "{path}: {to}: {told:#?}");
    };
    at(DOWN, &format!("\n{query}\n"), &format!("\nup{{{ONE}}}\n"));
    at(DOWN, &format!("\n{query}\n"), "\nup{job=~\"app|api\"}\n");
    let asked = format!("'avg_over_time(up{{{ALL}}}");
    at("runbooks/AppInstanceDown.md", &asked, &asked.replace(ALL, ONE));
    at(OVERVIEW, "%22expr%22%3A%22", "%22expr%22%3A%22up%7Bjob%3D%5C%22app%5C%22%7D%20or%20");
    at(OVERVIEW, "\"expr\": \"", &format!("\"expr\": \"up{{{}}} and ", ONE.replace('"', "\\\"")));
    for (path, from, to) in [
        (DOWN, "# AppDown\n", "# AppDown\n\n`up{job=\"app\"}` is 0.\n"),
        (DOWN, "amtool", "amtool alert query job=app; amtool"),
        // A second one that is missing would not stand in the alert.
        (MISSING, "absent(up{job=\"app\"})", "max_over_time(up{job=\"app\"}[1h])"),
        (DOWN, &format!("\n{query}\n"), "\nabsent(up{job=\"app\"})\n"),
        (DOWN, &format!("\n{query}\n"), "\nup{job=\"prometheus\"}\n"),
    ] {
        assert_eq!(told(path, from, to), [""; 0], "{path}: {to}");
    }
}

/// What an Explore link asks is asked.
#[test]
fn a_name_that_nobody_exposes_is_found_in_a_link_too() {
    let findings = edited(OVERVIEW, "%22app_items", "%22app_itens");
    assert!(findings.iter().any(|one| one.line > 0 && one.what.contains("nobody exposes `app_itens")), "{findings:#?}");
}

#[test]
fn the_receiver_knows_the_watchdog_by_its_name() {
    assert_eq!(aiclipx_stack::receiver::WATCHDOG, aiclipx_model::monitoring::WATCHDOG);
}

#[test]
fn a_warning_that_ends_before_the_page_that_inhibits_it_is_found() {
    let rules = text_of(&files(), APP);
    let (before, after) = rules.split_once("- alert: AppHigh5xxErrorRate\n").expect("the alert");
    let kept_for = |time: &str| -> Vec<String> {
        let mut files = files();
        let after = after.replacen("keep_firing_for: 11m", time, 1);
        files.insert(APP.into(), format!("{before}- alert: AppHigh5xxErrorRate\n{after}").into_bytes());
        let told = found(files).into_iter().filter(|one| one.name == "inhibition/unheard");
        told.map(|one| format!("{}:{}: {} ({})", one.file.display(), one.line, one.what, one.remedy)).collect()
    };
    assert_eq!(kept_for("keep_firing_for: 11m"), Vec::<String>::new());
    let at = format!("monitoring/{APP}:{}: AppHigh5xxErrorRate ends before App", before.lines().count());
    // A page of the budget looks back over five minutes, as the warning does, and is kept for nine.
    for time in ["#", "keep_firing_for: 2m", "keep_firing_for: 9m"] {
        let told = kept_for(time);
        let [told] = &told[..] else { panic!("{time}: {told:#?}") };
        assert!(told.starts_with(&at) && told.ends_with("(`keep_firing_for` of more than 9m)"), "{time}: {told}");
    }
}

/// A job more has its targets, is scraped, and who tells when they are gone?
#[test]
fn a_job_that_no_alert_watches_is_found() {
    let unwatched = |job: &str| -> Vec<String> {
        let mut files = files();
        let text = text_of(&files, PROMETHEUS).replacen("scrape_configs:\n", &format!("scrape_configs:\n{job}"), 1);
        files.insert(PROMETHEUS.into(), text.into_bytes());
        let told = found(files).into_iter().filter(|one| one.name == "scrape/unwatched");
        told.map(|one| format!("{}:{}: {}", one.file.display(), one.line, one.what)).collect()
    };
    let job =
        |name: &str| format!("  - job_name: {name}\n    file_sd_configs:\n      - files: [targets/receiver.json]\n");
    let line =
        text_of(&files(), PROMETHEUS).lines().position(|line| line == "scrape_configs:").expect("it is there") + 2;
    let told = format!(
        "monitoring/{PROMETHEUS}:{line}: no alert watches the job node: its targets may be gone, and nobody is told"
    );
    assert_eq!(unwatched(&job("node")), [told]);
    // A second job of the service is asked for by the alerts of the first.
    assert_eq!(unwatched(&job("app-canary")), Vec::<String>::new());
}

#[test]
fn an_inhibition_is_for_one_service_and_one_job() {
    for (equal, lacks) in [("[service]", &["job"][..]), ("[job]", &["service"]), ("[]", &["job", "service"])] {
        let findings = edited(ROUTES, "equal: [service, job]", &format!("equal: {equal}"));
        let told: Vec<&str> = findings.iter().filter_map(|one| one.what.strip_prefix("this inhibition is ")).collect();
        let expected: Vec<String> = lacks.iter().map(|label| format!("not for the same `{label}`")).collect();
        assert_eq!(told, expected, "{equal}");
    }
}

#[test]
fn an_alert_s_name_begins_as_those_of_its_service_do() {
    for (path, from, to, prefixes) in [
        (APP, "alert: AppDown\n", "alert: PrometheusDown\n", "App, and is of the service app"),
        (
            "prometheus/rules/monitoring.yml",
            "alert: PrometheusBadConfig\n",
            "alert: AppBadConfig\n",
            "Alertmanager, Monitoring, Prometheus, Watchdog, and is of the service monitoring",
        ),
    ] {
        let findings = edited(path, from, to);
        let expected = format!("begins with none of {prefixes}");
        assert!(findings.iter().any(|one| one.what.ends_with(&expected) && one.line > 0), "{findings:#?}");
    }
}

#[test]
fn a_scenario_that_gives_too_little_time_or_expects_what_is_not_there_is_found() {
    let text = "title = \"Too short.\"\n\n[[phase]]\nname = \"a\"\nduration = \"3m\"\nrate = 10\nrequests = [{ path = \"/\" }]\nfaults = [{ fault = \"error\", count = 1, per = 10 }]\n\n[expect]\nfires = [\"AppHighExceptionRate\", \"AppHigh\"]\nwithin = \"3m\"\npanels = { \"app-overview/99\" = \"request_rate\" }\n";
    let scenario = Scenario::from_text(Path::new("42-short.toml"), text).expect("it reads");
    let monitoring = Monitoring::from_files(files()).expect("they read");
    let mut all = scenarios();
    all.push(scenario);
    let findings = of(monitoring, &all, Findings::default()).expect("it can be checked");
    let told: Vec<(usize, &str)> = findings
        .iter()
        .filter(|finding| finding.file.ends_with("42-short.toml"))
        .map(|finding| (finding.line, finding.what.as_str()))
        .collect();
    assert_eq!(told.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [11, 11, 11, 13], "{told:#?}");
}

#[test]
fn a_path_that_is_no_route_is_found_unless_a_404_is_what_is_meant() {
    let found = |request: &str| -> Vec<(usize, String)> {
        let text = format!(
            "title = \"Somewhere.\"\n[[phase]]\nname = \"a\"\nduration = \"3m\"\nrate = 1\nrequests = [\n  {request},\n]\n[expect]\n"
        );
        let scenario = Scenario::from_text(Path::new("42-somewhere.toml"), &text).expect("it reads");
        let findings = check_scenarios(root(), &[scenario]).unwrap_or_else(|failure| panic!("{failure}"));
        findings.into_iter().map(|finding| (finding.line, finding.what)).collect()
    };
    for request in [
        r#"{ path = "/items?limit=10" }"#,
        r#"{ path = "/items/{seq}", endpoint = "/items/{id}" }"#,
        r#"{ path = "/nowhere", endpoint = "unmatched" }"#,
    ] {
        assert_eq!(found(request), [], "{request}");
    }
    for (request, says) in [
        (r#"{ path = "/item" }"#, "no route `/item`"),
        (r#"{ path = "/items/" }"#, "no route `/items/`"),
        (r#"{ path = "/items/{seq}", endpoint = "/items" }"#, "is counted as `/items/{id}`, not as `/items`"),
        (r#"{ path = "/items", endpoint = "unmatched" }"#, "is counted as `/items`, not as `unmatched`"),
    ] {
        let found = found(request);
        assert!(matches!(&found[..], [(7, what)] if what.contains(says)), "{request}: {found:?}");
    }
}

#[test]
fn a_scenario_of_ones_own_is_held_to_what_there_is_before_anything_is_sent() {
    let mut scenario = scenarios().into_iter().find(|scenario| scenario.name == "error-rate").expect("it is there");
    let check = |scenario: &Scenario| {
        check_scenarios(root(), std::slice::from_ref(scenario)).unwrap_or_else(|failure| panic!("{failure}"))
    };
    assert_eq!(check(&scenario), []);

    scenario.file = PathBuf::from("mine/02-error-rate.toml");
    scenario.expect.fires.push("AppNoSuch".to_owned());
    scenario.expect.within = Some(Duration::from_secs(1));
    let told: Vec<String> =
        check(&scenario).iter().map(|finding| format!("{}: {}", finding.file.display(), finding.what)).collect();
    assert!(
        told.iter().any(|line| line.starts_with("mine/02-error-rate.toml: there is no alert AppNoSuch")),
        "{told:?}"
    );
    assert!(
        told.iter().any(|line| line.contains("may fire as late as") && line.contains("`within` is 1s")),
        "{told:?}"
    );
}

/// By its file, its subject, the dashboard of its subject; and by nothing else.
#[test]
fn a_finding_is_excepted_by_its_name_and_what_it_is_about() {
    const BROKEN: (&str, &str) = ("\"unit\": \"reqps\"", "\"unit\": \"bytes\"");
    let units = |exception: &str| {
        let mut files = files();
        for (path, from, to) in [(OVERVIEW, BROKEN.0, BROKEN.1), (EXCEPTIONS, "[\"panel/unproven\"]", exception)] {
            let text = text_of(&files, path);
            assert!(text.contains(from), "{path} does not contain {from}");
            files.insert(path.into(), text.replacen(from, to, 1).into_bytes());
        }
        let found = found(files).into_iter().map(|finding| (finding.name, finding.subject));
        found.filter(|(name, _)| *name != "panel/unproven").collect::<Vec<_>>()
    };
    let with = |name: &str, about: &str| units(&format!("[\"{name}\"]\n\"{about}\" = \"So.\"\n[\"panel/unproven\"]"));
    let all = units("[\"panel/unproven\"]");
    let subject = all[0].1.clone();
    assert!(all.iter().all(|found| *found == ("panel/unit", subject.clone())), "{all:?}");
    assert!(subject.starts_with("app-overview/"), "{subject}");
    for about in [subject.as_str(), "app-overview", "monitoring/grafana/dashboards/app-overview.json"] {
        assert_eq!(with("panel/unit", about), [], "{about}");
    }
    let idle = ("exception/idle", String::new());
    let both: Vec<_> = [idle].into_iter().chain(all).collect();
    for (name, about) in [("panel/unit", "app"), ("panel/title", "app-overview"), ("panel/unit", "app-overview/1000")] {
        assert_eq!(with(name, about), both, "{name} {about}");
    }
}

/// An exception takes away one finding, and never the search for others; nor what is wrong with the list of exceptions.
#[test]
fn what_hides_others_can_not_be_excepted_and_nothing_is_excepted_of_everything() {
    let with = |name: &str, about: &str, reason: &str| {
        let mut files = files();
        let text = text_of(&files, EXCEPTIONS);
        files.insert(EXCEPTIONS.into(), format!("[\"{name}\"]\n\"{about}\" = \"{reason}\"\n{text}").into_bytes());
        files.insert("prometheus/rules/empty.yml".into(), b"groups: []\n".to_vec());
        found(files).into_iter().map(|finding| finding.name).collect::<BTreeSet<_>>()
    };
    for name in ["rule/none", "exception/name", "exception/reason"] {
        let about = if name == "rule/none" { "prometheus/rules/empty.yml" } else { EXCEPTIONS };
        let found = with(name, &format!("monitoring/{about}"), "");
        let wanted = BTreeSet::from(["exception/name", "exception/reason", "rule/none"]);
        assert!(found.is_superset(&wanted), "{name}: {found:?}");
    }
    assert!(with("runbook/place", "", "So.").contains("check/file"));
}

/// Of each panel, whatever its query and unit: nothing else is said of what nobody sees.
#[test]
fn a_panel_of_a_type_that_is_not_drawn_is_found_as_that() {
    let mut files = files();
    let text = text_of(&files, OVERVIEW);
    let panels = text.matches("\"type\": \"timeseries\"").count();
    files.insert(OVERVIEW.into(), text.replace("\"type\": \"timeseries\"", "\"type\": \"heatmap\"").into_bytes());
    let found = found(files);
    let of = |name: &str| found.iter().filter(|finding| finding.name == name).count();
    assert!(panels > 10 && of("panel/type") == panels, "{panels} panels: {found:?}");
    assert_eq!(of("panel/unit"), 0, "{found:?}");
    assert!(found.iter().all(|finding| finding.name != "panel/type" || finding.line > 0), "{found:?}");
}

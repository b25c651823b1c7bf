//! How long the viewer takes for twelve panels over an hour of data, beside its peer in the same run: the same queries,
//! as many at once, answered by the same Prometheus and thrown away undrawn.
//!
//! Prints what it measured and asserts nothing but that every panel was drawn. Made for the profile a local stack runs
//! (`just bench-dashboard`). Needs `prometheus` and `promtool` on PATH; leaves nothing.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement by hand: what is missing ends it")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aiclipx_base::address::Address;
use aiclipx_dashboard::model::{self, Dashboard};
use aiclipx_dashboard::query::{PlannedQuery, TimeRange, View, plan};
use aiclipx_http::client::get;
use aiclipx_stack::viewer::{Sources, run};
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

const ROUNDS: usize = 50;
/// Production's: an hour is 241 samples a series.
const SCRAPE: Duration = Duration::from_secs(15);
/// The hour looked at, in Unix seconds; long past, so that it is in no running Prometheus' way.
const FROM: i64 = 1_700_000_100;
const TO: i64 = FROM + 3_600;
/// As the viewer places three panels side by side where nobody told it a width.
const PANEL_WIDTH: u32 = 384;
/// As the viewer asks.
const AT_ONCE: usize = 8;
const LIMIT: Duration = Duration::from_secs(30);

const RATE: &str = "sum by (KEY) (rate(app_requests_total{endpoint!~\"/(metrics|health/.*)\"}[$__rate_interval]))";
const P95: &str =
    "histogram_quantile(0.95, sum by (KEY, le) (rate(app_request_latency_seconds_bucket[$__rate_interval])))";

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hour.txt"), an_hour()).unwrap();
    let blocks = ["tsdb", "create-blocks-from", "openmetrics", "hour.txt", "data"];
    let made = Command::new("promtool").args(blocks).current_dir(folder.path()).output().expect("promtool is on PATH");
    assert!(made.status.success(), "{made:?}");
    let address = free_address();
    let _prometheus = Killed(prometheus(folder.path(), &address));
    while !get(&address, "/-/ready", LIMIT).await.is_ok_and(|answer| answer.status.is_success()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let text = twelve_panels();
    let dashboard = model::read(Path::new("twelve.json"), &text).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let grafana = folder.path().join("grafana");
    for (name, content) in [
        ("dashboards/twelve.json", text.as_str()),
        ("provisioning/datasources/p.yml", "datasources: [{name: P, type: prometheus, url: ''}]"),
    ] {
        let file = grafana.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let viewer = Address::loopback(listener.local_addr().unwrap().port());
    let sources = Sources { folder: grafana, prometheus: Some(address.clone()) };
    tokio::spawn(run(listener, sources, std::future::pending()));

    let queries = queries(&dashboard);
    let page = format!("/d/twelve?from={FROM}000&to={TO}000");
    let (mut drawn, mut bare) = (Vec::new(), Vec::new());
    let (mut page_bytes, mut answer_bytes) = (0, 0);
    // By turns, so that whatever else the machine does meets both. The first round warms up and does not count.
    for round in 0..=ROUNDS {
        let began = Instant::now();
        let answer = get(&viewer, &page, LIMIT).await.unwrap();
        let took = began.elapsed();
        let html = String::from_utf8_lossy(&answer.body);
        assert_eq!(html.matches("data-state=\"drawn\"").count(), 12, "{html}");
        assert!(!html.contains("No data"), "{html}");
        page_bytes = html.len();

        let began = Instant::now();
        let answers = queries.iter().map(|query| get(&address, &query.path_and_query, LIMIT));
        let answers: Vec<_> = stream::iter(answers).buffered(AT_ONCE).collect().await;
        let took_bare = began.elapsed();
        answer_bytes = answers.into_iter().map(|answer| answer.unwrap().body.len()).sum();
        if round > 0 {
            drawn.push(took);
            bare.push(took_bare);
        }
    }
    println!("{ROUNDS} rounds by turns; {} queries over an hour at a scrape of {SCRAPE:?}", queries.len());
    println!("{}", line("viewer, page of 12 panels", &mut drawn, page_bytes));
    println!("{}", line("bare answers, undrawn", &mut bare, answer_bytes));
}

fn line(what: &str, times: &mut [Duration], bytes: usize) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    format!(
        "{what:<28} median {:6.1} ms   p95 {:6.1} ms   max {:6.1} ms   {} kB",
        at(50),
        at(95),
        at(100),
        bytes / 1000
    )
}

/// Ended with the measurement, however that ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> Address {
    Address::loopback(std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port())
}

fn prometheus(folder: &Path, address: &Address) -> Child {
    std::fs::write(folder.join("prometheus.yml"), "scrape_configs: []\n").unwrap();
    Command::new("prometheus")
        .current_dir(folder)
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--storage.tsdb.retention.time=100y"])
        .arg(format!("--web.listen-address={address}"))
        .stderr(Stdio::null())
        .spawn()
        .expect("prometheus is on PATH")
}

fn queries(dashboard: &Dashboard) -> Vec<PlannedQuery> {
    let range = TimeRange { from_millis: FROM * 1000, to_millis: TO * 1000 };
    let view = View { range, width: PANEL_WIDTH, min_interval: SCRAPE, chosen: &BTreeMap::new() };
    dashboard.panels.iter().flat_map(|panel| plan(dashboard, panel, &view)).collect()
}

/// What the service would have exposed in an hour of traffic, as `OpenMetrics`.
fn an_hour() -> String {
    const BOUNDS: [&str; 12] =
        ["0.0001", "0.00025", "0.0005", "0.001", "0.005", "0.01", "0.05", "0.1", "0.25", "0.5", "1", "+Inf"];
    let endpoints = ["/", "/items", "/items/{id}", "/health/live", "/health/ready", "/metrics", "unmatched"];
    let mut families = [
        ("app_requests", String::new()),
        ("app_request_latency_seconds", String::new()),
        ("app_errors", String::new()),
    ];
    let mut series = |family: usize, name: &str, rate: i64| {
        for at in 0..=(TO - FROM + 600) / 15 {
            let (time, noise) = (FROM - 600 + at * 15, (at * 7919 + rate) % 11);
            writeln!(families[family].1, "{name} {} {time}", at * 15 * rate + noise).unwrap();
        }
    };
    for (number, endpoint) in (1..).zip(endpoints) {
        for (at, (method, status)) in
            (0..).zip([("GET", 200), ("GET", 404), ("POST", 201), ("POST", 400), ("DELETE", 204), ("GET", 500)])
        {
            let labels = format!("job=\"app\",method=\"{method}\",endpoint=\"{endpoint}\",http_status=\"{status}\"");
            series(0, &format!("app_requests_total{{{labels}}}"), number * 3 + at);
        }
        for (at, bound) in (1..).zip(BOUNDS) {
            let labels = format!("job=\"app\",endpoint=\"{endpoint}\",le=\"{bound}\"");
            series(1, &format!("app_request_latency_seconds_bucket{{{labels}}}"), number * at);
        }
    }
    series(2, "app_errors_total{job=\"app\"}", 2);
    let kinds = ["counter", "histogram", "counter"];
    let mut text = String::new();
    for ((family, samples), kind) in families.iter().zip(kinds) {
        write!(text, "# TYPE {family} {kind}\n{samples}").unwrap();
    }
    text + "# EOF\n"
}

fn twelve_panels() -> String {
    let panel = |id: u32, kind: &str, unit: &str, expr: &str, key: &str| {
        let instant = ["bargauge", "table"].contains(&kind);
        json!({
            "id": id, "type": kind, "title": format!("Panel {id}"),
            "gridPos": {"x": (id - 1) % 3 * 8, "y": (id - 1) / 3 * 8, "w": 8, "h": 8},
            "targets": [{"refId": "A", "expr": expr.replace("KEY", key), "legendFormat": format!("{{{{{key}}}}}"),
                         "instant": instant, "range": !instant}],
            "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        })
    };
    let panels: Vec<Value> = vec![
        panel(1, "timeseries", "reqps", RATE, "job"),
        panel(2, "timeseries", "reqps", RATE, "endpoint"),
        panel(3, "timeseries", "reqps", RATE, "http_status"),
        panel(4, "timeseries", "reqps", RATE, "method"),
        panel(5, "timeseries", "s", P95, "job"),
        panel(6, "timeseries", "s", P95, "endpoint"),
        panel(7, "timeseries", "s", &P95.replace("0.95", "0.5"), "endpoint"),
        panel(8, "timeseries", "reqps", "sum by (KEY) (rate(app_errors_total[$__rate_interval]))", "job"),
        panel(9, "stat", "reqps", RATE, "job"),
        panel(10, "gauge", "s", P95, "job"),
        panel(11, "bargauge", "reqps", RATE, "endpoint"),
        panel(12, "table", "reqps", RATE, "endpoint"),
    ];
    json!({"uid": "twelve", "title": "Twelve", "panels": panels}).to_string()
}

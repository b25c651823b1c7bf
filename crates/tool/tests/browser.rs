//! The browser against real pages: needs Chromium, and says so when it isn't there.

// Helpers of tests are tests: what they can't have ends the test; and its times are small numbers.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::cast_possible_wrap, clippy::similar_names)]

#[path = "../../stack/tests/executable/mod.rs"]
mod executable;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aiclipx_base::address::Address;
use aiclipx_base::duration::Speed;
use aiclipx_dashboard::draw::theme::Theme;
use aiclipx_dashboard::draw::{Canvas, Frame, panel_svg};
use aiclipx_dashboard::format;
use aiclipx_dashboard::model;
use aiclipx_dashboard::query::{PlannedQuery, TimeRange, View, plan};
use aiclipx_http::client::get;
use aiclipx_model::monitoring::{Monitoring, prometheus_flags};
use aiclipx_model::prom::answer;
use aiclipx_runner::browser::Browser;
use aiclipx_runner::browser::grafana::{DashboardPage, Shown};
use aiclipx_runner::browser::page::{PageOptions, file_url};
use aiclipx_runner::browser::prometheus::PrometheusPages;
use aiclipx_stack::prom::client::Api;
use aiclipx_stack::table::Silent;
use aiclipx_stack::viewer;
use aiclipx_stack::{Plan, Stack};

const LIMIT: Duration = Duration::from_secs(20);

async fn browser() -> Browser {
    let path = Browser::find().expect("no Chromium on PATH: install the package `chromium`");
    Browser::start(&path).await.unwrap_or_else(|failure| panic!("{failure}"))
}

fn small() -> PageOptions {
    PageOptions { width: 320, height: 200, scale: 1.0 }
}

/// Answers every request to a path with a status and a page; the thread ends with the test process.
fn serve(answers: &'static [(&'static str, &'static str, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                let read = stream.read(&mut request).unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or("/").to_owned();
                // A page that asks with a query is served by its path.
                let bare = path.split('?').next().unwrap_or_default();
                let found = answers.iter().find(|(served, _, _)| *served == path || *served == bare);
                let (status, body) =
                    found.map_or(("404 Not Found", "nothing here"), |(_, status, body)| (status, body));
                // Prometheus 3 takes no metrics that call themselves a page.
                let kind = if bare == "/metrics" { "text/plain; version=0.0.4" } else { "text/html; charset=utf-8" };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
                     Connection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    format!("http://{address}")
}

/// Width and height out of a PNG's header.
fn png_size(path: &Path) -> (u32, u32) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_shows_what_it_must_becomes_a_picture_and_a_pdf() {
    let site = serve(&[(
        "/",
        "200 OK",
        "<!doctype html><link rel=icon href=data:><style>@page{size:100mm 50mm;margin:0}body,p{margin:0}body{height:1000px}</style><p>wait</p>\
         <script>setTimeout(() => document.querySelector('p').innerText = 'ready now', 200)</script>",
    )]);
    let folder = tempfile::Builder::new().prefix("with space ").tempdir().unwrap();
    let browser = browser().await;
    let mut page = browser.page(PageOptions { scale: 2.0, ..small() }).await.unwrap();
    page.open(&site).await.unwrap();
    page.wait_until("document.body.innerText.includes('ready now')", LIMIT).await.unwrap();
    assert_eq!(page.text().await.unwrap().trim(), "ready now");

    let viewport = folder.path().join("viewport.png");
    page.picture(&viewport, false).await.unwrap();
    assert_eq!(png_size(&viewport), (640, 400));
    let whole = folder.path().join("whole.png");
    page.picture(&whole, true).await.unwrap();
    assert_eq!(png_size(&whole), (640, 2000));

    let pdf = folder.path().join("page.pdf");
    page.pdf(&pdf, "a title").await.unwrap();
    let bytes = std::fs::read(&pdf).unwrap();
    assert!(bytes.starts_with(b"%PDF-"));
    // 100 mm by 50 mm in points, as the page's own style asks.
    let text = String::from_utf8_lossy(&bytes);
    let size = text.split("/MediaBox").nth(1).unwrap_or_default();
    assert!(size.trim_start().starts_with("[0 0 282."), "the page size of the style is not used: {size:.40}");
    assert_eq!(page.console_errors(), Vec::<String>::new().as_slice());
    page.close().await.unwrap();
    browser.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_a_wait_in_vain_and_an_empty_page_never_become_a_picture() {
    let site = serve(&[
        ("/error", "500 Internal Server Error", "<p>ready</p>"),
        ("/login", "401 Unauthorized", "<p>ready</p>"),
        ("/good", "200 OK", "<p>ready</p>"),
        ("/empty", "200 OK", "<!doctype html><p> </p>"),
        ("/leaves", "200 OK", "<p>ready</p><script>setTimeout(() => location = '/login', 300)</script>"),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("never.png");
    let browser = browser().await;
    let mut page = browser.page(small()).await.unwrap();
    for path in ["/error", "/login", "/missing"] {
        page.open(&format!("{site}{path}")).await.unwrap();
        page.wait_until("true", LIMIT).await.unwrap();
        let failure = page.picture(&file, false).await.unwrap_err().to_string();
        assert!(failure.contains("status") && failure.contains(path), "{failure}");
    }

    page.open(&format!("{site}/good")).await.unwrap();
    let failure = page.picture(&file, false).await.unwrap_err().to_string();
    assert!(failure.contains("not waited for"), "{failure}");
    let failure = page.wait_until("document.body.innerText.includes('steady')", Duration::from_millis(300)).await;
    let failure = failure.unwrap_err().to_string();
    assert!(failure.contains("/good") && failure.contains("steady") && failure.contains("says: ready"), "{failure}");
    assert!(page.picture(&file, false).await.is_err());
    let failure = page.wait_until("nonsense.of.it", Duration::from_millis(200)).await.unwrap_err().to_string();
    assert!(failure.contains("nonsense is not defined"), "{failure}");

    page.open(&format!("{site}/empty")).await.unwrap();
    page.wait_until("true", LIMIT).await.unwrap();
    assert!(page.picture(&file, false).await.is_err());

    page.open(&format!("{site}/leaves")).await.unwrap();
    page.wait_until("true", LIMIT).await.unwrap();
    let deadline = std::time::Instant::now() + LIMIT;
    while page.status() != Some(401) {
        assert!(std::time::Instant::now() < deadline, "it left for a page of {:?}", page.status());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(page.picture(&file, false).await.is_err());
    assert!(!file.exists());
    browser.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_from_a_file_becomes_a_pdf() {
    let folder = tempfile::Builder::new().prefix("with space ").tempdir().unwrap();
    let report = folder.path().join("report.html");
    std::fs::write(&report, "<!doctype html><p>a report</p>").unwrap();
    let browser = browser().await;
    let mut page = browser.page(small()).await.unwrap();
    page.open(&file_url(&report)).await.unwrap();
    page.wait_until("document.body.innerText.includes('a report')", LIMIT).await.unwrap();
    page.pdf(&folder.path().join("report.pdf"), "a title").await.unwrap_or_else(|failure| panic!("{failure}"));
    let failure = page.open(&file_url(&folder.path().join("missing.html"))).await.unwrap_err();
    assert!(failure.to_string().contains("ERR_FILE_NOT_FOUND"), "{failure}");
    browser.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_printed_beside_itself_or_it_is_said_why_not() {
    let folder = tempfile::Builder::new().prefix("with space ").tempdir().unwrap();
    let why = aiclipx_runner::pdf::print(folder.path(), "a <title> & more").await.unwrap_err();
    assert!(why.contains("report.html"), "{why}");
    std::fs::write(folder.path().join("report.html"), "<!doctype html><p>a report").unwrap();
    aiclipx_runner::pdf::print(folder.path(), "a <title> & more").await.unwrap();
    assert!(std::fs::read(folder.path().join("report.pdf")).unwrap().starts_with(b"%PDF-"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_on_a_page_is_collected() {
    let site = serve(&[(
        "/",
        "200 OK",
        "<link rel=icon href=data:><p>x</p><script>console.error('told', 7); undefined.field</script><img src=/gone>",
    )]);
    let browser = browser().await;
    let mut page = browser.page(small()).await.unwrap();
    page.open(&site).await.unwrap();
    let errors = page.console_errors().join("\n");
    for expected in ["told 7", "TypeError", "/gone"] {
        assert!(errors.contains(expected), "{errors}");
    }
    browser.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answering_is_told_with_the_address() {
    let browser = browser().await;
    let mut page = browser.page(small()).await.unwrap();
    let failure = page.open("http://127.0.0.1:1/").await.unwrap_err().to_string();
    assert!(failure.contains("http://127.0.0.1:1/"), "{failure}");
    browser.close().await.unwrap();
}

/// Process ids whose command line names the profile folder.
fn processes_of(profile: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(profile)
    })
    .collect()
}

/// The profile folder of the one browser in this process's children.
fn profile_of(browser: &Browser) -> PathBuf {
    browser.profile().expect("a running browser has a profile").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_or_dropped_it_leaves_no_process_and_no_folder() {
    for close in [true, false] {
        let browser = browser().await;
        let mut page = browser.page(small()).await.unwrap();
        page.open("data:text/html,<p>x").await.unwrap();
        let profile = profile_of(&browser);
        let name = profile.to_str().unwrap().to_owned();
        assert!(!processes_of(&name).is_empty());
        if close {
            browser.close().await.unwrap();
        } else {
            drop(browser);
        }
        assert!(!profile.exists(), "close = {close}");
        for _ in 0..100 {
            if processes_of(&name).is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(processes_of(&name), Vec::<u32>::new(), "close = {close}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_dies_is_told_with_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("chromium");
    executable::script(&script, "echo 'no usable display' >&2\nexit 1\n");
    let failure = Browser::start(&script).await.err().expect("it can't start").to_string();
    assert!(failure.contains("no usable display"), "{failure}");

    let browser = browser().await;
    let mut page = browser.page(small()).await.unwrap();
    let main = std::process::Command::new("sh")
        .args(["-c", &format!("kill -KILL {}", browser.process_id().unwrap())])
        .status()
        .unwrap();
    assert!(main.success());
    let failure = page.open("data:text/html,<p>x").await.unwrap_err().to_string();
    assert!(failure.contains("Chromium died"), "{failure}");
}

/// A Prometheus of its own, killed with the test.
struct ScratchPrometheus {
    child: std::process::Child,
    address: Address,
    folder: tempfile::TempDir,
}

impl Drop for ScratchPrometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// It scrapes itself, a target that is gone, and, with an address, what answers there.
fn scratch_prometheus(target: Option<&str>) -> ScratchPrometheus {
    let folder = tempfile::Builder::new().prefix("with space ").tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = Address::loopback(port);
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "prometheus.yml",
        &format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\nscrape_configs:\n\
             - {{job_name: prometheus, static_configs: [{{targets: ['{address}']}}]}}\n\
             - {{job_name: gone, static_configs: [{{targets: ['127.0.0.1:1']}}]}}\n{}",
            target.map_or_else(String::new, |at| format!(
                "- {{job_name: target, static_configs: [{{targets: ['{at}']}}]}}\n"
            ))
        ),
    );
    write(
        "rules.yml",
        "groups:\n- name: app\n  rules:\n  - {record: 'job:up:sum', expr: sum by (job) (up)}\n\
         \x20 - {alert: TargetGone, expr: up == 0, labels: {severity: critical}}\n\
         \x20 - {alert: NeverFires, expr: up > 1}\n",
    );
    let child = std::process::Command::new("prometheus")
        .current_dir(folder.path())
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
        .arg(format!("--web.listen-address={address}"))
        .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
        .spawn()
        .expect("no Prometheus on PATH: install the package `prometheus`");
    ScratchPrometheus { child, address, folder }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_prometheus_becomes_a_picture_while_an_alert_fires() {
    let prometheus = scratch_prometheus(None);
    let deadline = std::time::Instant::now() + LIMIT;
    let pages = loop {
        match PrometheusPages::probe(&prometheus.address).await {
            Ok(Some(pages)) => break pages,
            Ok(None) => {
                eprintln!("NOT RUN: this Prometheus serves no pages of its own (Debian's package from 3.5 on)");
                return;
            }
            Err(failure) => assert!(std::time::Instant::now() < deadline, "{failure}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let browser = browser().await;
    let mut page = browser.page(PageOptions::default()).await.unwrap();
    // Set to keep and look at the pictures.
    let keep = std::env::var_os("KEEP_PICTURES").map(PathBuf::from);
    let folder = keep.as_deref().unwrap_or(prometheus.folder.path());

    let mut shots = vec![pages.targets(), pages.alerts(&["TargetGone"]), pages.rules()];
    // The first scrape comes some 5 s after the start: a graph needs a few samples.
    pages.alerts(&["TargetGone"]).show(&mut page, LIMIT).await.unwrap_or_else(|failure| panic!("{failure}"));
    // count_over_time(up[1m]) > 3
    let enough = "/api/v1/query?query=count_over_time(up%5B1m%5D)%3E3";
    let deadline = std::time::Instant::now() + LIMIT;
    loop {
        let answer = get(&prometheus.address, enough, LIMIT).await.unwrap();
        if !answer::parse(&answer.body).unwrap().data.into_series().is_empty() {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "it does not scrape");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let now = unix_seconds();
    shots.push(pages.graph("up", Duration::from_mins(1), now).unwrap());
    for shot in &shots {
        shot.show(&mut page, LIMIT).await.unwrap_or_else(|failure| panic!("{failure}"));
        let file = folder.join(format!("{}.png", shot.name));
        page.picture(&file, true).await.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(png_size(&file).0 == 2560);
    }

    // What can't come true is told, and no picture is taken.
    let vain = pages.alerts(&["NeverFires"]);
    assert!(vain.show(&mut page, Duration::from_secs(2)).await.is_err());
    let vain = pages.graph("no_such_metric", Duration::from_mins(1), now).unwrap();
    assert!(vain.show(&mut page, Duration::from_secs(2)).await.is_err());
    assert!(page.picture(&folder.join("never.png"), true).await.is_err());
    browser.close().await.unwrap();
}

fn unix_seconds() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

const OWN_DASHBOARD: &str = r#"{"uid": "own", "title": "Prometheus", "timezone": "utc", "panels": [
  {"id": 1, "type": "timeseries", "title": "Requests", "gridPos": {"x": 0, "y": 0, "w": 12, "h": 8},
   "targets": [{"refId": "A", "range": true, "legendFormat": "{{handler}}",
                "expr": "sum by (handler) (rate(prometheus_http_requests_total{handler=~\"/metrics|/api/v1/query.*\"}[$__rate_interval]))"}],
   "fieldConfig": {"defaults": {"unit": "reqps", "custom": {"lineWidth": 2, "fillOpacity": 10}}, "overrides": []}},
  {"id": 2, "type": "table", "title": "Targets", "gridPos": {"x": 12, "y": 0, "w": 12, "h": 8},
   "targets": [{"refId": "A", "instant": true, "expr": "up"}],
   "fieldConfig": {"defaults": {"unit": "bool_yes_no"}, "overrides": []}}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_is_asked_for_answered_and_drawn_in_the_browser() {
    let prometheus = scratch_prometheus(None);
    let dashboard = model::read(Path::new("own.json"), OWN_DASHBOARD).unwrap_or_else(|told| panic!("{told:?}"));
    let ask = async |query: &PlannedQuery| {
        let answer = get(&prometheus.address, &query.path_and_query, LIMIT).await.ok()?;
        // Not ready yet: it listens before it has opened its storage.
        if answer.status == 503 {
            return None;
        }
        Some(answer::parse(&answer.body).unwrap_or_else(|error| panic!("{query:?}: {error}")).data.into_series())
    };
    let deadline = std::time::Instant::now() + LIMIT;
    let (range, frames) = loop {
        let range = TimeRange { from_millis: (unix_seconds() - 20) * 1000, to_millis: unix_seconds() * 1000 };
        let chosen = BTreeMap::new();
        let view = View { range, width: 600, min_interval: Duration::from_secs(1), chosen: &chosen };
        let mut frames = Vec::new();
        for query in dashboard.panels.iter().flat_map(|panel| plan(&dashboard, panel, &view)) {
            let series = ask(&query).await.unwrap_or_default();
            frames.push(Frame { query, series });
        }
        let longest = |frame: &Frame| frame.series.iter().map(|series| series.samples.len()).max().unwrap_or(0);
        if longest(&frames[0]) >= 4 && longest(&frames[1]) == 1 {
            break (range, frames);
        }
        assert!(std::time::Instant::now() < deadline, "Prometheus answered no data: {frames:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    let canvas = Canvas {
        width: 600,
        height: 260,
        theme: Theme::Light,
        range,
        dated: true,
        phases: &[],
        faults: &[],
        alerts: &[],
    };
    let drawn = dashboard
        .panels
        .iter()
        .zip(&frames)
        .map(|(panel, frame)| panel_svg(panel, std::slice::from_ref(frame), &canvas));
    // Under a policy that allows nothing: the picture needs no style, no script and no request.
    let policy = "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\">";
    let html = format!("<!doctype html><meta charset=utf-8>{policy}{}", drawn.collect::<String>());
    let file = prometheus.folder.path().join("own.html");
    std::fs::write(&file, html).unwrap();

    let browser = browser().await;
    let mut page = browser.page(PageOptions { width: 640, height: 600, scale: 1.0 }).await.unwrap();
    page.open(&file_url(&file)).await.unwrap();
    page.wait_until("document.querySelectorAll('svg').length === 2", LIMIT).await.unwrap();
    let keep = std::env::var_os("KEEP_PICTURES").map(PathBuf::from);
    let folder = keep.as_deref().unwrap_or(prometheus.folder.path());
    page.picture(&folder.join("dashboard.png"), true).await.unwrap_or_else(|failure| panic!("{failure}"));
    // Nothing runs off its panel, by the browser's own measure of its own font.
    page.wait_until(
        "[...document.querySelectorAll('svg text')].every(text => { const box = text.getBBox(), panel = \
         text.ownerSVGElement.viewBox.baseVal; return box.x >= 0 && box.y >= 0 && box.x + box.width <= panel.width \
         && box.y + box.height <= panel.height })",
        Duration::from_secs(1),
    )
    .await
    .unwrap_or_else(|failure| panic!("{failure}"));
    let text =
        page.run("if (!document.querySelector('svg').textContent.includes('/api/v1/query')) throw 'no series'").await;
    text.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(page.console_errors(), Vec::<String>::new().as_slice());
    browser.close().await.unwrap();
}

/// As on Ubuntu, whose `AppArmor` says no: what dies with that word is started once more, without its sandbox.
#[tokio::test(flavor = "multi_thread")]
async fn a_chromium_that_may_not_make_its_sandbox_is_started_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("chromium");
    let real = Browser::find().expect("no Chromium on PATH: install the package `chromium`");
    let script = format!(
        "if mkdir '{}/tried' 2>/dev/null; then\n\
         echo '[1:1:0723/1.5:FATAL:zygote_host_impl_linux.cc(127)] No usable sandbox! Update your kernel' >&2\n\
         for i in 0 1 2 3 4 5 6 7 8 9 a b c d e f g h i j k l m; do echo \"#$i 0x5 (/chromium+0x5)\" >&2; done\n\
         exit 133\n\
         fi\n\
         case \" $* \" in *' --no-sandbox '*) exec '{}' \"$@\" ;; esac\n\
         echo 'once more in its sandbox' >&2\n",
        folder.path().display(),
        real.display()
    );
    executable::script(&program, &script);
    let browser = Browser::start(&program).await.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(browser.version().contains("Chrome"), "{}", browser.version());
    browser.close().await.unwrap();
}

/// Nothing runs off the window sideways, and no text runs off its panel, by the browser's own measure.
const FITS: &str = "document.scrollingElement.scrollWidth <= document.documentElement.clientWidth \
    && [...document.querySelectorAll('article > svg text')].every(text => { const box = text.getBBox(), panel = \
    text.ownerSVGElement.viewBox.baseVal; return box.x >= -1 && box.x + box.width <= panel.width + 1 && box.y >= 0 && \
    box.y + box.height <= panel.height + 1 })";

/// Every panel there is has been drawn, the script has told the window's width, and no picture is stretched.
fn drawn_for(window: u32) -> String {
    let width = window - if window <= 700 { 16 } else { 32 };
    format!(
        "document.querySelector('main').dataset.width === '{width}' && [...document.querySelectorAll('article')].every(\
         panel => panel.dataset.state === 'drawn') && [...document.querySelectorAll('article > svg')].every(svg => \
         Math.abs(svg.clientWidth - svg.viewBox.baseVal.width) <= 2)"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_provisioned_dashboard_is_drawn_with_what_prometheus_answers_under_traffic() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let folder = tempfile::tempdir().unwrap();
    let mut place = Plan::private(root, &folder.path().join("state"), "30".parse::<Speed>().unwrap()).unwrap();
    place.tool_program = env!("CARGO_BIN_EXE_aiclipx").into();
    place.app_program = Path::new(env!("CARGO_BIN_EXE_aiclipx")).with_file_name("aiclipx-app");
    let (address, prometheus) = (place.addresses.dashboards.clone(), Api::new(&place.addresses.prometheus));
    let speed = place.speed;
    let rendered = Monitoring::read(&root.join("monitoring")).unwrap().render(&place.rendered_with(), speed).unwrap();
    let app = place.addresses.app[0].url("");
    let stack =
        Stack::start(place, rendered, prometheus_flags(speed), &mut Silent, std::future::pending()).await.unwrap();
    // The first scrape comes some 5 s after the start, and rates need a few.
    let traffic = tokio::process::Command::new(env!("CARGO_BIN_EXE_aiclipx"))
        .args(["traffic", "02", "--duration", "15s", "--base-url", &app])
        .env("AICLIPX_HOME", root)
        .output()
        .await
        .unwrap();
    assert!(traffic.status.success(), "{traffic:?}");
    let (to, from) = (unix_seconds() - 2, unix_seconds() - 12);

    let browser = browser().await;
    let mut files: Vec<_> = std::fs::read_dir(root.join("monitoring/grafana/dashboards")).unwrap().flatten().collect();
    files.retain(|file| file.path().extension().is_some_and(|end| end == "json"));
    files.sort_by_key(std::fs::DirEntry::path);
    // Set to keep and look at the pictures.
    let keep = std::env::var_os("KEEP_PICTURES").map(PathBuf::from);
    let pictures = keep.as_deref().unwrap_or(folder.path());
    for file in &files {
        let text = std::fs::read_to_string(file.path()).unwrap();
        let dashboard = model::read(&file.path(), &text).unwrap_or_else(|findings| panic!("{findings:#?}"));
        let uid = &dashboard.uid;
        for (window, height) in [(1200, 1000), (390, 844)] {
            let mut page = browser.page(PageOptions { width: window, height, scale: 1.0 }).await.unwrap();
            page.open(&address.url(&format!("/d/{uid}?from={from}000&to={to}000"))).await.unwrap();
            page.wait_until(&drawn_for(window), LIMIT).await.unwrap_or_else(|failure| panic!("{uid}: {failure}"));
            let picture = pictures.join(format!("{uid}-{window}.png"));
            page.picture(&picture, true).await.unwrap_or_else(|failure| panic!("{uid}: {failure}"));
            page.wait_until(FITS, Duration::from_secs(1)).await.unwrap_or_else(|failure| panic!("{uid}: {failure}"));
            if uid == "app-overview" {
                let text = page.text().await.unwrap();
                // Items are in memory here: of a database there is nothing to draw, and of that alone.
                let is_of_a_database = |panel: &&model::Panel| {
                    !panel.targets.is_empty()
                        && panel.targets.iter().all(|target| target.expr.contains("app_database_"))
                };
                let empty = dashboard.panels.iter().filter(is_of_a_database).count();
                assert_eq!(text.matches("No data").count(), empty, "{text}");
                // Asked by hand: a second is the least a data source tells of its scrapes, and a rate looks back on four.
                for panel in dashboard.panels.iter().filter(|panel| panel.kind == model::Kind::Timeseries) {
                    let expr = panel.targets[0].expr.replace("$__rate_interval", "4s");
                    let expr = expr.replace("$job", ".*").replace("$instance", ".*");
                    let answer = prometheus.query(&expr, Some(to as f64)).await.unwrap().into_series();
                    // A quantile of an endpoint that nobody called is no number, and has no place on the panel.
                    let mut values = answer.iter().map(|series| series.samples[0].value);
                    // Nobody asks from outside here, and there is no database.
                    let Some(value) = values.find(|value| value.is_finite()) else {
                        let is_absent = expr.contains("probe_") || is_of_a_database(&panel);
                        assert!(is_absent, "{}: no series has a value", panel.title);
                        continue;
                    };
                    let shown = format::value(&panel.defaults.unit, value, panel.defaults.decimals);
                    let script = format!(
                        "if (![...document.querySelectorAll('#panel-{} text')].some(text => text.textContent === {shown:?})) throw 'it does not show {shown}'",
                        panel.id
                    );
                    page.run(&script).await.unwrap_or_else(|failure| panic!("{}: {failure}", panel.title));
                }
            }
            assert_eq!(page.console_errors(), Vec::<String>::new().as_slice(), "{uid}");
            page.close().await.unwrap();
        }
    }

    // Live, it goes on by itself, without a new page; and when nobody answers any more, it says so.
    let mut page = browser.page(PageOptions { width: 1200, height: 1000, scale: 1.0 }).await.unwrap();
    page.open(&address.url("/d/app-overview?refresh=1s&viewPanel=1")).await.unwrap();
    page.run("window.same = true; window.first = document.querySelector('.shown').textContent").await.unwrap();
    page.wait_until("window.same && document.querySelector('.shown').textContent !== window.first", LIMIT)
        .await
        .unwrap();
    assert_eq!(page.console_errors(), Vec::<String>::new().as_slice());
    stack.stop().await.unwrap();
    page.wait_until("!document.querySelector('.lost').hidden", LIMIT).await.unwrap();
    browser.close().await.unwrap();
}

/// Scaled into a phone's width, the words of the timeline would be five pixels high.
#[tokio::test]
async fn the_timeline_of_a_report_can_be_read_on_a_phone() {
    let browser = browser().await;
    let report = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("evidence/sample/report.html");
    let mut page = browser.page(PageOptions { width: 390, height: 844, scale: 1.0 }).await.unwrap();
    page.open(&file_url(&report)).await.unwrap();
    let legible = "document.querySelectorAll('.timeline text').length > 5 && \
                   [...document.querySelectorAll('.timeline text')].every(text => text.getBoundingClientRect().height > 9)";
    page.wait_until(legible, Duration::from_secs(1)).await.unwrap_or_else(|failure| panic!("{failure}"));
    page.wait_until(FITS, Duration::from_secs(1)).await.unwrap_or_else(|failure| panic!("{failure}"));
    browser.close().await.unwrap();
}

const HOSTILE_METRICS: &str =
    "hostile{name=\"</text></svg><script>window.pwned=1</script><img src=x onerror=window.pwned=1>\"} 7\n";

const HOSTILE_DASHBOARD: &str = r#"{"uid": "hostile", "title": "<img src=x onerror=window.pwned=1>", "timezone": "utc",
  "refresh": "1s", "time": {"from": "now-20s", "to": "now"},
  "templating": {"list": [{"name": "name", "type": "query", "query": "label_values(hostile, name)", "includeAll": true,
    "allValue": ".+"}]},
  "annotations": {"list": [{"name": "x", "expr": "hostile{name=~\"$name\"}", "titleFormat": "{{name}}"}]},
  "panels": [
  {"id": 1, "type": "timeseries", "title": "<script>window.pwned=1</script>", "gridPos": {"x": 0, "y": 0, "w": 12, "h": 8},
   "targets": [{"refId": "A", "range": true, "legendFormat": "{{name}}", "expr": "hostile{name=~\"$name\"}"}]},
  {"id": 2, "type": "table", "title": "t", "gridPos": {"x": 12, "y": 0, "w": 12, "h": 8},
   "targets": [{"refId": "A", "instant": true, "expr": "hostile"}]},
  {"id": 3, "type": "bargauge", "title": "b", "gridPos": {"x": 0, "y": 8, "w": 24, "h": 4},
   "targets": [{"refId": "A", "instant": true, "legendFormat": "{{name}}", "expr": "hostile"}]}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn hostile_labels_from_prometheus_to_the_browser_are_shown_and_never_executed() {
    let target = serve(&[("/metrics", "200 OK", HOSTILE_METRICS)]);
    let prometheus = scratch_prometheus(target.strip_prefix("http://"));
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("dashboards/hostile.json", HOSTILE_DASHBOARD),
        (
            "provisioning/datasources/p.yml",
            "datasources: [{name: P, type: prometheus, url: '', jsonData: {timeInterval: 1s}}]",
        ),
    ] {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::loopback(listener.local_addr().unwrap().port());
    let sources = viewer::Sources { folder: folder.path().to_owned(), prometheus: Some(prometheus.address.clone()) };
    tokio::spawn(viewer::run(listener, sources, std::future::pending()));

    let browser = browser().await;
    let mut page = browser.page(PageOptions { width: 1200, height: 800, scale: 1.0 }).await.unwrap();
    page.open(&address.url("/d/hostile")).await.unwrap();
    // In every panel, drawn anew until the first samples are there.
    let told = "[...document.querySelectorAll('article')].every(panel => panel.textContent.includes('onerror=window') || \
                panel.textContent.includes('</text></svg>')) && document.querySelector('select').textContent.includes('onerror')";
    page.wait_until(&format!("document.querySelectorAll('article').length === 3 && {told}"), LIMIT).await.unwrap();
    page.wait_until("window.pwned === undefined && !document.querySelector('img, article script')", LIMIT)
        .await
        .unwrap();
    page.picture(&folder.path().join("hostile.png"), true).await.unwrap();
    assert_eq!(page.console_errors(), Vec::<String>::new().as_slice());
    // The policy holds by itself: what were inline would not run.
    let inline = "const script = document.createElement('script'); script.textContent = 'window.pwned = 1'; \
                  document.body.append(script); if (window.pwned) throw 'it ran'";
    page.run(inline).await.unwrap();
    browser.close().await.unwrap();
}

/// What a dashboard's page of Grafana does: it draws its frame, asks, shows that it is loading, asks once more, is done.
const LIKE_GRAFANA: &str = r#"<!doctype html><link rel=icon href=data:>
<section data-testid="data-testid Panel header Requests">Requests</section><div aria-label="Panel loading bar"></div>
<script>
  const ask = query => fetch('/api/ds/query?ds_type=prometheus', { method: 'POST', body: query }).then(answer => answer.json());
  setTimeout(async () => {
    await ask('{"queries":[{"refId":"A"}]}');
    setTimeout(async () => {
      await ask('{"queries":[{"refId":"B"}]}');
      document.querySelector('[aria-label]').remove();
      document.querySelector('section').innerText = 'Requests 42';
    }, 400);
  }, 300);
</script>"#;

fn dashboard<'a>(address: &'a Address, uid: &'a str, patience: Duration) -> DashboardPage<'a> {
    DashboardPage { address, uid, rows: 10, from_ms: 1_795_489_200_000, to_ms: 1_795_489_260_000, patience }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_of_grafana_is_pictured_when_its_queries_are_done_and_their_answers_are_kept() {
    let site = serve(&[
        ("/d/app-overview", "200 OK", LIKE_GRAFANA),
        ("/api/ds/query", "200 OK", r#"{"results":{"A":{"status":200,"frames":[]}}}"#),
    ]);
    let address: Address = site.parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dashboard.png");
    let browser = browser().await;
    let Shown { exchanges, failed } =
        dashboard(&address, "app-overview", LIMIT).picture(&browser, &file).await.unwrap();
    assert!(failed.is_empty(), "{failed:?}");
    let mut posted: Vec<&str> = exchanges.iter().map(|exchange| exchange.posted.as_str()).collect();
    posted.sort_unstable();
    assert_eq!(posted, [r#"{"queries":[{"refId":"A"}]}"#, r#"{"queries":[{"refId":"B"}]}"#]);
    for exchange in &exchanges {
        assert_eq!(exchange.status, 200);
        assert!(exchange.body.starts_with(r#"{"results""#), "{}", exchange.body);
    }
    // As high as its ten rows want it, so that no panel waits below the edge.
    assert_eq!(png_size(&file), (1280, 580));
    browser.close().await.unwrap();
}

/// What 7.5's page does: it asks Prometheus through its proxy, and says of a panel that it loads, and that it failed.
const LIKE_AN_OLDER_GRAFANA: &str = r#"<!doctype html><link rel=icon href=data:>
<div class=panel-container><div aria-label="Panel header title item Requests">Requests</div><div class=panel-loading></div></div>
<div class=panel-container><div aria-label="Panel header title item Errors">Errors</div></div>
<script>
  setTimeout(async () => {
    await fetch('/api/datasources/proxy/2/api/v1/query_range', { method: 'POST', body: 'query=up&step=1' });
    await fetch('/api/datasources/proxy/2/api/v1/query_exemplars');
    document.querySelector('.panel-loading').remove();
    document.querySelectorAll('.panel-container')[1].insertAdjacentHTML('beforeend', '<i aria-label="Panel header error"></i>');
  }, 300);
</script>"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_of_an_older_grafana_is_pictured_with_what_its_panels_say() {
    let site = serve(&[
        ("/d/app-overview", "200 OK", LIKE_AN_OLDER_GRAFANA),
        ("/api/datasources/proxy/2/api/v1/query_range", "200 OK", r#"{"status":"success"}"#),
        ("/api/datasources/proxy/2/api/v1/query_exemplars", "200 OK", "{}"),
    ]);
    let address: Address = site.parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dashboard.png");
    let browser = browser().await;
    let shown = dashboard(&address, "app-overview", LIMIT).picture(&browser, &file).await.unwrap();
    assert_eq!(shown.exchanges.iter().map(|one| one.posted.as_str()).collect::<Vec<_>>(), ["query=up&step=1"]);
    assert_eq!(shown.failed, ["Errors"]);
    assert_eq!(png_size(&file), (1280, 580));
    browser.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_a_page_that_asks_nothing_and_one_that_never_ends_loading_are_no_picture_of_a_dashboard() {
    let asks = "<script>fetch('/api/ds/query', { method: 'POST', body: '{}' })</script>";
    let login: &'static str =
        Box::leak(format!("<p>Log in</p><script>history.replaceState(0, '', '/login')</script>{asks}").into());
    let loads: &'static str = Box::leak(
        format!("<p data-testid='data-testid Panel header A'>A<p aria-label='Panel loading bar'>{asks}").into(),
    );
    let unknown: &'static str = Box::leak(format!("<p data-testid='header-1'>A{asks}").into());
    let lacking: &'static str = Box::leak(
        format!("<p aria-label='Panel header title item A'>A<p>Panel plugin not found: heatmap{asks}").into(),
    );
    let answers: &'static [(&str, &str, &str)] = Box::leak(Box::new([
        ("/d/unknown", "200 OK", unknown),
        ("/d/lacking", "200 OK", lacking),
        ("/d/login", "200 OK", login),
        ("/d/loads", "200 OK", loads),
        ("/d/mute", "200 OK", "<p data-testid='data-testid Panel header A'>A"),
        ("/api/ds/query", "200 OK", "{}"),
    ]));
    let address: Address = serve(answers).parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("never.png");
    let browser = browser().await;
    let patience = Duration::from_secs(3);
    for (uid, told) in [
        ("login", "Grafana sent the page to /login"),
        ("loads", "after 3s, 1 of 1 panels were still loading"),
        ("mute", "it asked for no data"),
        ("nowhere", "it asked for no data"),
        ("unknown", "marks its panels in a way that isn't known"),
        ("lacking", "this Grafana can't draw all panels: Panel plugin not found: heatmap"),
    ] {
        let failure = dashboard(&address, uid, patience).picture(&browser, &file).await.unwrap_err().to_string();
        assert!(failure.contains(told), "{uid}: {failure}");
        assert!(!file.exists(), "{uid}");
    }
    browser.close().await.unwrap();
}

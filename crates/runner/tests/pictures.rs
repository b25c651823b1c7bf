//! Pictures of a Prometheus that shows some pages, too late, or none: each costs itself and nothing else. Needs Chromium.

#![allow(clippy::unwrap_used)] // what these tests can't have ends them

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aiclipx_base::address::Address;
use aiclipx_judge::run::MissingPicture;
use aiclipx_runner::browser::Browser;
use aiclipx_runner::browser::page::PageOptions;
use aiclipx_runner::browser::prometheus::PrometheusPages;
use aiclipx_runner::pictures::{Album, AtWork, PATIENCE, Screenshots};

const ALERT: &str = "AppDown";
/// Pages that show nothing are given up after that.
const SHORT: Duration = Duration::from_secs(2);

const TARGETS: &str = "<script src=/classic/static/a.js></script><div class=table-container><table><tr>\
    <td class=state>UP</td></tr></table></div>";
const ALERTS: &str =
    "<table><tr></tr><tr class=alert_header><td><b>AppDown</b></td></tr><tr><td>FIRING</td></tr></table>";
const GRAPH: &str = "<script>jQuery = () => ({ data: () => ({ date() {} }) }); moment = time => time</script>\
    <div class=rickshaw_graph><svg><path></path></svg></div><div class=legend><div class=line>a</div></div>";
/// Mantine's list of alerts: one that always fires, and ours, firing or not; a click unfolds the instances.
macro_rules! mantine {
    ($ours:literal) => {
        concat!(
            "<div id=\"root\"></div><script>document.body.onclick = event => { const head = event.target.closest('button'); \
             head.setAttribute('aria-expanded', 'true'); head.nextElementSibling.hidden = false }</script>\
             <div class=mantine-Accordion-item><button class=mantine-Accordion-control><div>Watchdog</div>\
             <div>FIRING (1)</div></button><div class=mantine-Accordion-panel hidden>AppDown FIRING (1)</div></div>\
             <div class=mantine-Accordion-item><button class=mantine-Accordion-control><div>AppDown</div>",
            $ours,
            "</button><div class=mantine-Accordion-panel hidden><table><tr><td>an instance</td>\
             <td><span class=mantine-Badge-label>FIRING</span></td></tr></table></div></div>"
        )
    };
}

/// The same of React's.
macro_rules! react {
    ($class:literal) => {
        concat!(
            "<div id=\"root\"></div><script>document.body.onclick = event => { \
             const body = event.target.closest('.alert').nextElementSibling; body.className = 'collapse show'; \
             body.innerHTML = '<pre class=alert-cell>rule</pre><table><tbody><tr><td>an instance</td>' + \
             '<td><span class=badge>firing</span></td></tr></tbody></table>' }</script>\
             <div class='alert alert-danger'><strong>Watchdog</strong> (1 active) AppDown firing</div><div class=collapse></div>\
             <div class='alert ",
            $class,
            "'><strong>AppDown</strong> (1 active)</div><div class=collapse></div>"
        )
    };
}

const PLACEHOLDER: &str = "<!doctype html><p>There is no user interface in this package.</p>";

/// A Prometheus whose alert fires while `fires` says so, and whose pages `page` gives: after that long, this.
fn prometheus(
    fires: &Arc<AtomicBool>,
    page: impl Fn(&str) -> Option<(Duration, &'static str)> + Send + Sync + 'static,
) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (fires, page) = (Arc::clone(fires), Arc::new(page));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let (fires, page) = (Arc::clone(&fires), Arc::clone(&page));
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                let read = stream.read(&mut request).unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let path = request.split([' ', '?']).nth(1).unwrap_or("/").to_owned();
                let (kind, body) = match path.as_str() {
                    "/api/v1/status/buildinfo" => ("json", r#"{"data": {"version": "9.9.9"}}"#.to_owned()),
                    "/api/v1/rules" => ("json", r#"{"data": {"groups": []}}"#.to_owned()),
                    "/api/v1/alerts" => {
                        let alert = format!(r#"{{"labels": {{"alertname": "{ALERT}"}}, "state": "firing"}}"#);
                        let alert = if fires.load(Ordering::Relaxed) { alert } else { String::new() };
                        ("json", format!(r#"{{"data": {{"alerts": [{alert}]}}}}"#))
                    }
                    _ => match page(&path) {
                        Some((after, page)) => {
                            std::thread::sleep(after);
                            ("html", page.to_owned())
                        }
                        None => ("none", String::new()),
                    },
                };
                let status = if kind == "none" { "404 Not Found" } else { "200 OK" };
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/{kind}\r\nContent-Length: {length}\r\n");
                let _ = stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes());
            });
        }
    });
    Address::loopback(port)
}

async fn started(address: &Address, folder: &Path, patience: Duration) -> AtWork {
    Screenshots::open(&[ALERT.to_owned()], address, patience).await.start(folder.to_owned())
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sorted, as `page` and why there is none.
fn missing(album: &Album) -> Vec<(&str, &str)> {
    let mut missing: Vec<(&str, &str)> =
        album.missing.iter().map(|MissingPicture { page, why, .. }| (page.as_str(), why.as_str())).collect();
    missing.sort_unstable();
    missing
}

fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = folder.join("screens").read_dir() else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_never_shows_costs_its_own_picture_and_tells_why_in_a_sentence() {
    let fires = Arc::new(AtomicBool::new(true));
    let address = prometheus(&fires, |path| match path {
        "/classic/targets" => Some((Duration::ZERO, TARGETS)),
        "/classic/alerts" => Some((Duration::ZERO, "<p>Nothing fires here, and the &#123;page&#125; says so.</p>")),
        _ => None,
    });
    let folder = tempfile::tempdir().unwrap();
    let at_work = started(&address, folder.path(), SHORT).await;
    eventually("a picture is there", || !files(folder.path()).is_empty()).await;
    let album = at_work.done().await.unwrap();
    assert_eq!(album.pictures.iter().map(|picture| picture.page.as_str()).collect::<Vec<_>>(), ["targets"]);
    assert_eq!(files(folder.path()), ["AppDown-targets.png"]);
    let [(alerts, why_alerts), (graph, why_graph)] = missing(&album)[..] else { panic!("{album:?}") };
    assert_eq!((alerts, graph), ("alerts", "graph"));
    let expected = "Prometheus' alerts page did not show AppDown firing within 2 s; \
                    it said: Nothing fires here, and the {page} says so.";
    assert_eq!(why_alerts, expected);
    assert!(why_graph.starts_with("Prometheus' graph page: ") && why_graph.contains("can't be opened"), "{why_graph}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_under_way_when_the_traffic_ends_is_pictured_still() {
    let fires = Arc::new(AtomicBool::new(true));
    let slow = Duration::from_millis(1500);
    let address = prometheus(&fires, move |path| match path {
        "/classic/targets" => Some((Duration::ZERO, TARGETS)),
        "/classic/alerts" => Some((slow, ALERTS)),
        "/classic/graph" => Some((Duration::ZERO, GRAPH)),
        _ => None,
    });
    let folder = tempfile::tempdir().unwrap();
    let mut at_work = started(&address, folder.path(), PATIENCE).await;
    // The pages that are quick are there, the slow one is not.
    eventually("a picture is there", || !files(folder.path()).is_empty()).await;
    at_work.traffic_is_over();
    let album = at_work.done().await.unwrap();
    assert_eq!(missing(&album), []);
    assert_eq!(files(folder.path()), ["AppDown-alerts.png", "AppDown-graph.png", "AppDown-targets.png"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_shows_when_the_alert_is_over_is_no_picture_of_it() {
    let fires = Arc::new(AtomicBool::new(true));
    let ends = Arc::clone(&fires);
    let address = prometheus(&fires, move |path| match path {
        "/classic/targets" => Some((Duration::ZERO, TARGETS)),
        "/classic/graph" => {
            ends.store(false, Ordering::Relaxed);
            Some((Duration::ZERO, GRAPH))
        }
        _ => None,
    });
    let folder = tempfile::tempdir().unwrap();
    let at_work = started(&address, folder.path(), SHORT).await;
    eventually("the graph is asked for", || !fires.load(Ordering::Relaxed)).await;
    let album = at_work.done().await.unwrap();
    let why = missing(&album).into_iter().find(|(page, _)| *page == "graph").unwrap().1;
    assert_eq!(why, "Prometheus' graph page was ready only when AppDown no longer fired");
    assert!(!files(folder.path()).contains(&"AppDown-graph.png".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_without_pages_and_an_alert_that_never_fires_leave_nothing_but_their_reasons() {
    let placeholder =
        |path: &str| ["/targets", "/alerts", "/query"].contains(&path).then_some((Duration::ZERO, PLACEHOLDER));
    let fires = Arc::new(AtomicBool::new(true));
    let folder = tempfile::tempdir().unwrap();
    let album = started(&prometheus(&fires, placeholder), folder.path(), PATIENCE).await.done().await.unwrap();
    let why = "this Prometheus serves no pages of its own";
    assert_eq!(missing(&album), [("alerts", why), ("graph", why), ("targets", why)]);

    let fires = Arc::new(AtomicBool::new(false));
    let pages = |path: &str| (path == "/classic/targets").then_some((Duration::ZERO, TARGETS));
    let album = started(&prometheus(&fires, pages), folder.path(), PATIENCE).await.done().await.unwrap();
    let why = "AppDown was not seen firing while enacting";
    assert_eq!(missing(&album), [("alerts", why), ("graph", why), ("targets", why)]);
    assert!(!folder.path().join("screens").exists(), "a folder without a picture would lose the bundle");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_page_of_alerts_it_is_the_alert_itself_that_must_fire_and_be_unfolded() {
    let cases = [
        ("/query", mantine!(""), mantine!("<div>FIRING (1)</div>")),
        ("/graph", react!("alert-warning"), react!("alert-danger")),
    ];
    let browser = Browser::start(&Browser::find().expect("no Chromium on PATH")).await.unwrap();
    for (known_by, quiet, firing) in cases {
        let fires = Arc::new(AtomicBool::new(false));
        let now = Arc::clone(&fires);
        let address = prometheus(&fires, move |path| {
            let page = if now.load(Ordering::Relaxed) { firing } else { quiet };
            [known_by, "/alerts"].contains(&path).then_some((Duration::ZERO, page))
        });
        let pages = PrometheusPages::probe(&address).await.unwrap().expect("it has pages");
        let mut page = browser.page(PageOptions::default()).await.unwrap();
        let shot = pages.alerts(&[ALERT]);
        let refused = shot.show(&mut page, SHORT).await.expect_err("another one fires").to_string();
        assert!(refused.contains("did not show AppDown firing"), "{known_by}: {refused}");
        assert!(!page.text().await.unwrap().contains("an instance"), "{known_by}: nothing else is unfolded");
        fires.store(true, Ordering::Relaxed);
        shot.show(&mut page, SHORT).await.unwrap_or_else(|failure| panic!("{known_by}: {failure}"));
        assert!(page.text().await.unwrap().contains("an instance"), "{known_by}: it is unfolded");
    }
    browser.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_sent_away_amid_a_page_leaves_no_browser() {
    let fires = Arc::new(AtomicBool::new(true));
    let asked = Arc::new(AtomicBool::new(false));
    let hears = Arc::clone(&asked);
    let address = prometheus(&fires, move |path| match path {
        "/classic/targets" => Some((Duration::ZERO, TARGETS)),
        "/classic/alerts" => {
            hears.store(true, Ordering::Relaxed);
            Some((Duration::from_secs(3), ALERTS))
        }
        _ => None,
    });
    let folder = tempfile::tempdir().unwrap();
    let children = || {
        let own = std::process::id().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let stat = |process: std::fs::DirEntry| std::fs::read_to_string(process.path().join("stat")).ok();
        // Behind the name in brackets: the state, and the parent.
        let parent = |stat: String| stat.rsplit_once(')')?.1.split_whitespace().nth(1).map(str::to_owned);
        processes.filter_map(stat).filter_map(parent).filter(|parent| *parent == own).count()
    };
    let before = children();
    let at_work = started(&address, folder.path(), PATIENCE).await;
    eventually("the page is asked for", || asked.load(Ordering::Relaxed)).await;
    assert!(children() > before, "a browser runs");
    drop(at_work);
    eventually("the browser is gone", || children() <= before).await;
    assert_eq!(files(folder.path()), [] as [&str; 0]);
}

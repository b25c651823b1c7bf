//! The viewer's pages, asked for over HTTP, with a Prometheus that answers what the test wants.

#![allow(clippy::unwrap_used)] // a helper that can't go on fails its test

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aiclipx_base::address::Address;
use aiclipx_http::client::{Answer, get};
use aiclipx_model::failure::Kind;
use aiclipx_model::prom::answer::percent_encoded;
use aiclipx_stack::viewer::{Sources, run};
use serde_json::json;

/// The dashboards' own example.
const EXAMPLE: &str = include_str!("../../dashboard/tests/dashboard/example.json");

const LIMIT: Duration = Duration::from_secs(20);

/// Answers every query with `answer(path and query)`; the thread ends with the test process.
fn prometheus(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::loopback(listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 8192];
            let read = stream.read(&mut request).unwrap_or(0);
            let path = String::from_utf8_lossy(&request[..read]).split(' ').nth(1).unwrap_or_default().to_owned();
            let body = answer(&path);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    address
}

/// One series with this label wherever a series is asked for.
fn answering(label: &'static str) -> Address {
    prometheus(move |path| {
        let metric = json!({"method": label, "job": label, "endpoint": label, "alertname": label, "phase": label});
        let time = |name: &str| {
            let text = path.split(&format!("{name}=")).nth(1).unwrap_or_default();
            text.split('&').next().unwrap_or_default().parse::<f64>().unwrap_or_default()
        };
        let data = if path.contains("/label/") {
            json!([label])
        } else if path.contains("query_range") {
            let values = (0..5).map(|at| json!([time("end") - time("step") * f64::from(4 - at), "7.25"]));
            json!({"resultType": "matrix", "result": [{"metric": metric, "values": values.collect::<Vec<_>>()}]})
        } else {
            json!({"resultType": "vector", "result": [{"metric": metric, "value": [time("time"), "7.25"]}]})
        };
        json!({"status": "success", "data": data}).to_string()
    })
}

/// A viewer of these dashboards, for as long as the test runs.
struct Viewer {
    address: Address,
    folder: tempfile::TempDir,
}

impl Viewer {
    async fn of(dashboards: &[(&str, &str)], prometheus: &Address) -> Viewer {
        Viewer::beside(dashboards, prometheus, "{name: Logs, type: loki, url: 'http://loki:3100'}").await
    }

    /// With this store of logs.
    async fn beside(dashboards: &[(&str, &str)], prometheus: &Address, store: &str) -> Viewer {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join("grafana").join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        write(
            "provisioning/datasources/p.yml",
            &format!(
                "datasources:\n- {store}\n- {{name: P, uid: prometheus, \
                 type: prometheus, url: 'http://{prometheus}', isDefault: true, jsonData: {{timeInterval: 500ms}}}}\n"
            ),
        );
        for (name, text) in dashboards {
            write(&format!("dashboards/{name}"), text);
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::loopback(listener.local_addr().unwrap().port());
        let sources = Sources { folder: folder.path().join("grafana"), prometheus: None };
        tokio::spawn(run(listener, sources, std::future::pending()));
        Viewer { address, folder }
    }

    async fn get(&self, path: &str) -> Answer {
        get(&self.address, path, LIMIT).await.unwrap()
    }

    async fn page(&self, path: &str) -> String {
        String::from_utf8(self.get(path).await.body.to_vec()).unwrap()
    }

    /// The status of a request written by hand.
    fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect((self.address.host.as_str(), self.address.port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }
}

/// What stands in a panel's place.
fn panel(page: &str, id: u32) -> &str {
    let from = page.find(&format!("<article id=\"panel-{id}\"")).unwrap_or_else(|| panic!("no panel {id}: {page}"));
    &page[from..from + page[from..].find("</article>").unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_is_drawn_at_its_place_under_a_policy_that_lets_nothing_in() {
    let viewer = Viewer::of(&[("e.json", EXAMPLE)], &answering("app")).await;
    let answer = viewer.get("/d/example").await;
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self' 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let page = String::from_utf8(answer.body.to_vec()).unwrap();
    for id in 1..=8 {
        let drawn = panel(&page, id);
        assert!(drawn.contains("data-state=\"drawn\"") && !drawn.contains("No data"), "{drawn}");
    }
    assert!(panel(&page, 1).contains("7.25 req/s"), "{page}");
    assert!(panel(&page, 9).contains("No such store of logs is provisioned. `aiclipx logs` shows the lines."));
    assert!(page.contains("#panel-3{grid-area:9/1/span 8/span 24}"), "{page}");
    // Nothing inline, nothing from elsewhere.
    assert_eq!(page.matches("<script").count(), 1);
    assert!(page.contains("<script src=\"/view.js\" defer></script>"));
    assert!(!page.contains(" style=") && !page.contains(" on"), "{page}");
    let sources = page
        .split("src=\"")
        .skip(1)
        .chain(page.split("<link rel=").skip(1).filter_map(|link| link.split("href=\"").nth(1)));
    assert!(sources.clone().count() >= 3 && sources.into_iter().all(|source| source.starts_with('/')), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_windows_width_decides_the_pictures_and_the_steps() {
    let viewer = Viewer::of(&[("e.json", EXAMPLE)], &answering("app")).await;
    let usual = viewer.page("/d/example").await;
    assert!(panel(&usual, 1).contains("viewBox=\"0 0 580 296\""), "{}", panel(&usual, 1));
    let request = "GET /d/example HTTP/1.1\r\nHost: localhost\r\nCookie: a=b; width=390\r\nConnection: close\r\n\r\n";
    let mut stream = TcpStream::connect((viewer.address.host.as_str(), viewer.address.port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut narrow = String::new();
    stream.read_to_string(&mut narrow).unwrap();
    assert!(panel(&narrow, 1).contains("viewBox=\"0 0 374 296\""), "{narrow}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_panel_by_itself_is_what_an_alert_links_to() {
    let viewer = Viewer::of(&[("e.json", EXAMPLE)], &answering("app")).await;
    for path in ["/d/example?viewPanel=3", "/d/example/its-title?orgId=1&viewPanel=panel-3&from=now-15m&to=now"] {
        let page = viewer.page(path).await;
        assert!(page.contains("id=\"panel-3\"") && !page.contains("id=\"panel-1\""), "{page}");
        assert!(panel(&page, 3).contains("viewBox=\"0 0 1168 480\""), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folded_row_is_asked_for_when_it_is_opened() {
    let viewer = Viewer::of(&[("e.json", EXAMPLE)], &answering("app")).await;
    let page = viewer.page("/d/example").await;
    assert!(page.contains("Folded") && !page.contains("id=\"panel-12\""), "{page}");
    assert!(page.contains("href=\"/d/example?row-11=open\""), "{page}");
    assert!(viewer.page("/d/example?row-11=open").await.contains("id=\"panel-12\""));
    assert!(!viewer.page("/d/example?row-10=folded").await.contains("id=\"panel-1\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_are_chosen_from_what_there_is() {
    let queries = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&queries);
    let prometheus = prometheus(move |path| {
        seen.lock().unwrap().push(path.to_owned());
        let data = if path.contains("/label/") {
            json!(["app", "receiver"])
        } else {
            json!({"resultType": "matrix", "result": []})
        };
        json!({"status": "success", "data": data}).to_string()
    });
    let viewer = Viewer::of(&[("e.json", EXAMPLE)], &prometheus).await;
    let page = viewer.page("/d/example?var-job=app&var-job=receiver&var-window=1m&row-11=open&from=now-5m").await;
    for shown in [
        "<option value=\"app\" selected>app</option>",
        "<option value=\"$__all\">All</option>",
        "<option value=\"1m\" selected>1m</option>",
        "<input type=\"hidden\" name=\"from\" value=\"now-5m\">",
    ] {
        assert!(page.contains(shown), "{shown} is not in {page}");
    }
    let asked = queries.lock().unwrap().join("\n");
    assert!(asked.contains("match%5B%5D=up") && asked.contains("job%3D~%22%28app%7Creceiver%29%22"), "{asked}");
    assert!(asked.contains("increase%28app_requests_total%5B1m%5D"), "{asked}");
    assert!(panel(&page, 1).contains("No data"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_chosen_of_one_variable_is_what_there_is_to_choose_of_the_next() {
    let queries = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&queries);
    let prometheus = prometheus(move |path| {
        seen.lock().unwrap().push(decoded(path));
        let data = if path.contains("/label/") { json!(["a"]) } else { json!({"resultType": "matrix", "result": []}) };
        json!({"status": "success", "data": data}).to_string()
    });
    let mut dashboard: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap();
    let instance = json!({"name": "instance", "type": "query", "query": "label_values(up{job=~\"$job\"}, instance)",
        "includeAll": true, "multi": true, "allValue": ".*", "current": {"value": ["$__all"]}});
    dashboard["templating"]["list"][1] = instance;
    dashboard["panels"][1]["targets"][0]["expr"] = "up{job=~\"$job\", instance=~\"$instance\"}".into();
    let viewer = Viewer::of(&[("e.json", &dashboard.to_string())], &prometheus).await;
    let asked = async |path: &str| {
        queries.lock().unwrap().clear();
        viewer.page(path).await;
        queries.lock().unwrap().join("\n")
    };
    // All of both is everything, whatever there is.
    let all = asked("/d/example").await;
    assert!(all.contains("/label/instance/values") && all.contains("match[]=up{job=~\".+\"}"), "{all}");
    assert!(all.contains("query=up{job=~\".+\", instance=~\".*\"}&"), "{all}");
    let some = asked("/d/example?var-job=a.b&var-instance=h:1&var-instance=h:2").await;
    assert!(some.contains("match[]=up{job=~\"a\\\\.b\"}"), "{some}");
    assert!(some.contains("query=up{job=~\"a\\\\.b\", instance=~\"(h:1|h:2)\"}&"), "{some}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panel_leads_to_its_runbook_and_its_queries_to_prometheus() {
    let prometheus = answering("app");
    let mut dashboard: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap();
    let left = r#"{"queries":[{"expr":"a"},{"expr":"b{c=\"d e\"}"}],"range":{"from":"${__from}","to":"${__to}"}}"#;
    dashboard["panels"][1]["links"] = json!([
        {"title": "Runbook: App<Down>", "url": "/monitoring/runbooks/AppDown.md", "targetBlank": true},
        {"title": "Explore", "url": format!("/explore?left={left}").replace('"', "%22").replace(' ', "%20")},
        {"title": "Lines", "url": "/d/logs?${__url_time_range}"},
        {"title": "Elsewhere", "url": "https://example.org/"},
    ]);
    let viewer = Viewer::of(&[("e.json", &dashboard.to_string())], &prometheus).await;
    let page = viewer.page("/d/example?from=1794999000000&to=1795000100000").await;
    let links = panel(&page, 1);
    let runbook = "<a href=\"/monitoring/runbooks/AppDown.md\">Runbook: App&lt;Down&gt;</a>";
    assert!(links.contains(runbook) && links.contains("<a href=\"https://example.org/\">"), "{links}");
    assert!(links.contains("<a href=\"/d/logs?from=1794999000000&amp;to=1795000100000\">Lines</a>"), "{links}");
    let explore = links.split("href=\"").find(|part| part.starts_with("/explore")).expect("a link to Explore");
    let explore = explore.split('"').next().unwrap_or_default().replace("&amp;", "&");
    let answer = viewer.get(&explore).await;
    assert_eq!(
        answer.headers["location"].to_str().unwrap(),
        format!(
            "http://{prometheus}/graph?g0.expr=a&g0.tab=0&g0.range_input=1100s&g0.end_input=2026-11-18%2011%3A08%3A20\
             &g1.expr=b%7Bc%3D%22d%20e%22%7D&g1.tab=0&g1.range_input=1100s&g1.end_input=2026-11-18%2011%3A08%3A20"
        )
    );
    assert_eq!(viewer.get("/explore?left=%7B%7D").await.status, 400);

    assert_eq!(viewer.get("/monitoring/runbooks/AppDown.md").await.status, 404);
    let runbooks = viewer.folder.path().join("runbooks");
    std::fs::create_dir(&runbooks).unwrap();
    std::fs::write(runbooks.join("AppDown.md"), "# AppDown\n\n**Meaning.** `<script>` is down.\n").unwrap();
    let page = viewer.page("/monitoring/runbooks/AppDown.md").await;
    assert!(page.contains("<p><strong>Meaning.</strong> <code>&lt;script&gt;</code> is down.</p>"), "{page}");
    for elsewhere in ["../grafana/dashboards/e.json", "..%2fa.md", "AppDown", ".md"] {
        assert_eq!(viewer.get(&format!("/monitoring/runbooks/{elsewhere}")).await.status, 404, "{elsewhere}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_labels_titles_and_addresses_are_shown_and_never_executed() {
    const HOSTILE: &str = "</text></svg><script>alert(1)</script><img src=x onerror=alert(1)>\"'";
    let mut dashboard: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap();
    for title in ["/title", "/panels/1/title", "/panels/1/description", "/panels/0/title", "/templating/list/0/label"] {
        *dashboard.pointer_mut(title).unwrap() = HOSTILE.into();
    }
    let viewer = Viewer::of(&[("e.json", &dashboard.to_string())], &answering(HOSTILE)).await;
    let hostile = "%3C%2Fstyle%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    for path in [
        "/d/example".to_owned(),
        format!("/d/example?var-job={hostile}&{hostile}={hostile}"),
        format!("/d/example?from={hostile}"),
        format!("/d/example?viewPanel={hostile}"),
        format!("/d/{hostile}"),
        "/".to_owned(),
    ] {
        let page = viewer.page(&path).await;
        let scripts = page.matches("<script").count();
        assert_eq!(scripts, page.matches("<script src=\"/view.js\" defer></script>").count(), "{path}: {page}");
        assert!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<img"), "{path}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_shown_says_so_in_its_place_beside_what_can() {
    let mut dashboard: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap();
    dashboard["panels"][1]["fieldConfig"]["defaults"]["unit"] = "furlongs".into();
    dashboard["panels"][2]["datasource"]["uid"] = "elsewhere".into();
    let prometheus = prometheus(|path| {
        // Panel 3's query is refused, as Prometheus refuses.
        if path.contains("5..") {
            return r#"{"status":"error","errorType":"bad_data","error":"1:4: parse error <here>"}"#.to_owned();
        }
        r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#.to_owned()
    });
    let viewer = Viewer::of(&[("e.json", &dashboard.to_string()), ("n.json", "{oops")], &prometheus).await;
    let page = viewer.page("/d/example").await;
    for (id, state, told) in [
        (1, "refused", "the unit `furlongs` is outside what is written here"),
        (2, "refused", "no Prometheus of the uid `elsewhere` is provisioned"),
        (3, "failed", "(bad_data): 1:4: parse error &lt;here&gt;"),
        (4, "drawn", "No data"),
    ] {
        let shown = panel(&page, id);
        assert!(shown.contains(&format!("data-state=\"{state}\"")) && shown.contains(told), "{shown}");
    }
    assert!(viewer.page("/").await.contains("n.json:1: the dashboard is no JSON"));
}

/// A dashboard as others write them: no uid, a data source by a variable, chained variables, a panel for each value, a list of one's
/// own, a panel of a type that is not drawn.
const THEIRS: &str = include_str!("theirs.json");

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_of_somebody_else_s_opens_and_its_variables_are_chosen() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let questions = Arc::clone(&asked);
    let prometheus = prometheus(move |path| {
        questions.lock().unwrap().push(path.to_owned());
        let data = match path {
            path if path.contains("/label/job/") => json!(["b", "c"]),
            path if path.contains("/label/instance/") && path.contains(&percent_encoded("job=\"c\"")) => {
                json!(["c1:80"])
            }
            path if path.contains("/label/instance/") => json!(["b1:80", "b2:80", "none"]),
            _ => json!({"resultType": "matrix", "result": []}),
        };
        json!({"status": "success", "data": data}).to_string()
    });
    let viewer = Viewer::of(&[("theirs.json", THEIRS)], &prometheus).await;
    let page = viewer.page("/d/theirs").await;
    for (id, title) in [(8, "CPU of b1"), (9, "CPU of b2")] {
        let shown = panel(&page, id);
        assert!(shown.contains("data-state=\"drawn\"") && shown.contains(title), "{shown}");
    }
    assert!(panel(&page, 7).contains("“heatmap” is not drawn here"), "{page}");
    for option in ["<option value=\"b1\"", "<option value=\"c\"", "<option value=\"1m\" selected>short</option>"] {
        assert!(page.contains(option), "{option}: {page}");
    }
    assert!(page.contains("name=\"var-least\" value=\"3\"") && !page.contains("var-secret"), "{page}");
    assert!(page.contains("its values come from `loki`, which is not asked here"), "{page}");
    let told = |what: &str| asked.lock().unwrap().iter().any(|path| path.contains(&percent_encoded(what)));
    assert!(told("rate(a{instance=~\"b1\",job=\"b\"}[1m]) > 3"), "{:?}", asked.lock().unwrap());
    assert!(!asked.lock().unwrap().iter().any(|path| path.contains("query=b&")), "what is not drawn is not asked for");
    let page = viewer.page("/d/theirs?var-job=c&var-window=1h&var-least=9").await;
    assert!(panel(&page, 8).contains("CPU of c1") && !page.contains("panel-9"), "{page}");
    assert!(told("rate(a{instance=~\"c1\",job=\"c\"}[1h]) > 9"), "{:?}", asked.lock().unwrap());
    assert_eq!(viewer.get("/d/theirs?viewPanel=99").await.status, 400);
    assert!(viewer.page("/d/theirs?viewPanel=9").await.contains("CPU of b2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_that_does_not_answer_is_said_on_the_page() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let viewer = Viewer::of(&[("e.json", EXAMPLE)], &Address::loopback(gone)).await;
    let answer = viewer.get("/d/example").await;
    assert!(answer.status.is_success());
    let page = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(page.contains(&format!("Prometheus at http://127.0.0.1:{gone} does not answer: cannot connect")), "{page}");
    assert!(panel(&page, 1).contains("Prometheus did not answer."), "{page}");
    // It is well itself.
    assert!(viewer.get("/api/health").await.status.is_success());
    // And a folder that is gone is no reason to be.
    std::fs::remove_dir_all(viewer.folder.path()).unwrap();
    assert!(viewer.page("/").await.contains("cannot read"));
    assert_eq!(viewer.get("/d/example").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_else_is_asked_for_is_refused_with_its_reason() {
    let viewer = Viewer::of(&[("e.json", EXAMPLE)], &answering("app")).await;
    for (path, status, told) in [
        ("/d/other", 404, "no dashboard “other”"),
        ("/nothing", 404, "no such page"),
        ("/d/example?from=yesterday", 400, "`yesterday` is no time"),
        ("/d/example?viewPanel=77", 400, "no panel 77"),
    ] {
        let answer = viewer.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(String::from_utf8_lossy(&answer.body).contains(told), "{path}");
        assert!(answer.headers.contains_key("content-security-policy"), "{path}");
    }
    let end = "\r\nConnection: close\r\n\r\n";
    assert!(viewer.raw(&format!("POST / HTTP/1.1\r\nHost: localhost{end}")).contains(" 405 "));
    // A name of somebody else's that leads here: its page must not read along.
    assert!(viewer.raw(&format!("GET / HTTP/1.1\r\nHost: evil.example:3000{end}")).contains(" 403 "));
    assert!(viewer.raw(&format!("GET / HTTP/1.1\r\nHost: localhost:3000{end}")).contains(" 200 "));
}

#[tokio::test]
async fn it_listens_on_loopback_or_not_at_all() {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let sources = Sources { folder: Path::new("/nowhere").to_owned(), prometheus: None };
    let failure = run(listener, sources, std::future::ready(())).await.unwrap_err();
    assert_eq!(failure.kind(), Kind::Usage);
}

/// The dashboard of logs as it is in the tree: read and not included, for it is no part of what this crate is built from.
fn logs() -> String {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("monitoring/grafana/dashboards/logs.json");
    std::fs::read_to_string(file).unwrap()
}

fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    let byte = |part: &str| char::from(u8::from_str_radix(&part[..2], 16).unwrap());
    parts.fold(first, |all, part| format!("{all}{}{}", byte(part), &part[2..]))
}

/// A store of logs that answers every query with these lines of one stream, and the queries it was asked.
fn store(lines: serde_json::Value) -> (String, std::sync::mpsc::Receiver<String>) {
    let (asked, queries) = std::sync::mpsc::channel();
    let address = prometheus(move |path| {
        asked.send(decoded(path)).unwrap();
        let stream = json!({"level": "error", "component": "app"});
        let result = json!([{"stream": stream, "values": lines}]);
        json!({"status": "success", "data": {"resultType": "streams", "result": result}}).to_string()
    });
    (format!("{{name: Loki, uid: loki, type: loki, url: 'http://{address}'}}"), queries)
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_shown_where_a_store_has_them_and_lead_to_their_request() {
    let hostile = "</li><script>alert(1)</script>\u{1b}[31m\u{202e}";
    let object = json!({"message": hostile, "request_id": "r-1\"><b>", "status": 500}).to_string();
    let (store, queries) = store(json!([["1795000000123000000", object], ["1795000001000000000", "plain words"]]));
    let viewer = Viewer::beside(&[("logs.json", &logs())], &answering("app"), &store).await;
    let page = viewer.page("/d/logs?from=1794999000000&to=1795000100000").await;
    let errors = panel(&page, 6);
    assert!(errors.contains("data-state=\"lines\""), "{errors}");
    let shown = "<time>11:06:40.123</time> <b>error</b> <span>app</span>";
    assert!(errors.contains(shown), "{errors}");
    assert!(errors.find("plain words") < errors.find(shown), "the newest is not the first: {errors}");
    assert!(errors.contains("&lt;/li&gt;&lt;script&gt;alert(1)") && errors.contains("status=500"), "{errors}");
    assert!(!page.contains("<script>alert") && !page.contains(['\u{1b}', '\u{202e}']), "{page}");
    // Its request's lines are one step away; nobody has chosen one yet, so nothing was asked for it.
    let link = "var-request_id=r-1%22%3E%3Cb%3E#panel-7";
    assert!(errors.contains(link), "{errors}");
    assert!(panel(&page, 7).contains("Write it above, as Request, or follow a line’s link."), "{}", panel(&page, 7));
    let asked: Vec<String> = queries.try_iter().collect();
    assert_eq!(asked.len(), 2, "one question for each panel: {asked:?}");
    assert!(
        asked.iter().all(|one| one.contains("start=1794999000000000000&end=1795000100000000001&limit=200")),
        "{asked:?}"
    );

    let page = viewer.page("/d/logs?from=1794999000000&to=1795000100000&var-request_id=r-1%22%3E%3Cb%3E").await;
    assert!(panel(&page, 7).contains("plain words"), "{}", panel(&page, 7));
    assert!(page.contains("<input name=\"var-request_id\" value=\"r-1&quot;&gt;&lt;b&gt;\""), "{page}");
    // It stays inside its quotes.
    let asked = queries.try_iter().find(|one| one.contains("|=")).unwrap();
    assert!(asked.contains("|= \"r-1\\\"><b>\" | json | request_id=\"r-1\\\"><b>\""), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_store_answers_the_row_of_lines_is_one_line() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let source = |kind: &str| format!("{{name: Loki, uid: another, type: {kind}, url: 'http://127.0.0.1:{gone}'}}");
    for (store, told) in [
        // By whatever uid: the dashboard lets one choose.
        (source("loki"), format!("Loki at http://127.0.0.1:{gone} does not answer: cannot connect")),
        (source("tempo"), "Loki is not part of this stack".to_owned()),
    ] {
        let viewer = Viewer::beside(&[("logs.json", &logs())], &answering("app"), &store).await;
        let page = viewer.page("/d/logs").await;
        let row = &page[page.find("Line by line, where Loki runs").unwrap()..];
        let row = &row[..row.find("</h2>").unwrap()];
        assert!(row.contains(&told) && row.ends_with(". `aiclipx logs` shows the lines.</span>"), "{row}");
        for id in [6, 7, 8] {
            assert!(!page.contains(&format!("<article id=\"panel-{id}\"")), "{page}");
        }
        assert!(!page.contains("var-request_id"), "nothing takes it: {page}");
        assert!(panel(&page, 5).contains("data-state=\"drawn\""));
        // By itself it says so in its place.
        assert!(panel(&viewer.page("/d/logs?viewPanel=8").await, 8).contains(&told));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_refuses_is_told_in_the_panels_place() {
    let matrix = prometheus(|_| r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#.to_owned());
    let store = format!("{{name: Loki, uid: loki, type: loki, url: 'http://{matrix}'}}");
    let viewer = Viewer::beside(&[("logs.json", &logs())], &answering("app"), &store).await;
    let page = viewer.page("/d/logs").await;
    assert!(panel(&page, 8).contains("it asks for a matrix, and lines are shown here"), "{}", panel(&page, 8));
    assert!(panel(&page, 8).contains("data-state=\"failed\""));
}

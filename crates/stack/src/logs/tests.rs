use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::table::Paint;
use aiclipx_model::failure::Kind;

/// A state directory with logs in it.
struct State(tempfile::TempDir);

impl State {
    fn new() -> State {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("logs")).unwrap();
        State(folder)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("logs/{name}.log"))
    }

    fn says(&self, name: &str, text: &str) {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(self.log(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    async fn printed(&self, request: &Request, format: Format) -> String {
        let mut out = Vec::new();
        print(self.0.path(), request, &mut out, format).await.unwrap();
        String::from_utf8(out).unwrap()
    }

    /// What programs get, as component and message.
    async fn told(&self, request: &Request) -> Vec<String> {
        let text = self.printed(request, Format::Programs).await;
        let object = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("an object a line");
        text.lines()
            .map(object)
            .map(|line| format!("{}: {}", line["component"].as_str().unwrap(), line["msg"].as_str().unwrap()))
            .collect()
    }
}

/// A stack that has said something: a request that failed, one that did not, and a panic.
fn said() -> State {
    let state = State::new();
    let request = |second: u32, level: &str, status: u32, endpoint: &str, id: &str| {
        format!(
            "{{\"ts\":\"2026-11-26T18:00:0{second}.000Z\",\"level\":\"{level}\",\"target\":\"aiclipx::access\",\
             \"msg\":\"{status}\",\"endpoint\":\"{endpoint}\",\"request_id\":\"{id}\"}}\n"
        )
    };
    state.says("app", &request(1, "INFO", 200, "/items", "a-1"));
    state.says("app", &request(3, "ERROR", 500, "/items/{id}", "a-2"));
    state.says("app", "panic: oh\n  at the_place\n");
    state.says("app", &request(5, "INFO", 204, "/items/{id}", "a-3"));
    state.says(
        "prometheus",
        "ts=2026-11-26T18:00:02.000Z caller=main.go:1 level=info component=tsdb msg=\"old form\"\n",
    );
    state.says("prometheus", "time=2026-11-26T18:00:04.000Z level=WARN source=main.go:1 msg=\"new form\"\n");
    state.says("supervisord", "2026-11-26 18:00:00,123 INFO spawned: 'app' with pid 12\n");
    state
}

fn request() -> Request {
    Request::default()
}

fn since(text: &str) -> Since {
    text.parse().unwrap()
}

#[tokio::test]
async fn components_are_merged_by_time_and_what_tells_none_stays_where_it_was() {
    let told = said().told(&request()).await;
    let expected = [
        "app: 200",
        "prometheus: old form",
        "app: 500",
        "app: panic: oh",
        "app:   at the_place",
        "prometheus: new form",
        "app: 204",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn filters_combine_and_a_trace_shares_the_fate_of_its_line() {
    let state = said();
    let told = async |request: Request| state.told(&request).await;
    let level = |level| Request { level: Some(level), ..request() };
    assert_eq!(
        told(level(Level::Warn)).await,
        ["app: 500", "app: panic: oh", "app:   at the_place", "prometheus: new form"]
    );
    let of_endpoint = |endpoint: &str| Request { endpoint: Some(endpoint.to_owned()), ..request() };
    assert_eq!(told(of_endpoint("/items")).await, ["app: 200"]);
    let one = Request { request_id: Some("a-2".to_owned()), ..request() };
    assert_eq!(told(one.clone()).await, ["app: 500", "app: panic: oh", "app:   at the_place"]);
    assert!(told(Request { endpoint: Some("/items".to_owned()), ..one }).await.is_empty());
    let late = Request { since: Some(since("2026-11-26T20:00:04+02:00")), ..request() };
    assert_eq!(told(late.clone()).await, ["prometheus: new form", "app: 204"]);
    assert_eq!(told(Request { names: vec!["app".to_owned()], ..late }).await, ["app: 204"]);
    assert_eq!(told(Request { lines: Some(1), ..request() }).await, ["prometheus: new form", "app: 204"]);
    let last_error = Request { lines: Some(1), names: vec!["app".to_owned()], ..level(Level::Error) };
    assert_eq!(told(last_error).await, ["app:   at the_place"]);
}

#[tokio::test]
async fn the_last_lines_of_a_long_log_are_found_however_far_back_they_are() {
    let state = State::new();
    let line = |at: u32, level: &str| {
        let at = Timestamp::from_second(i64::from(at)).unwrap();
        format!("{{\"ts\":\"{at}\",\"level\":\"{level}\",\"msg\":\"{level} {at}\",\"x\":\"{}\"}}\n", "y".repeat(200))
    };
    let levels = |at: u32| if at.is_multiple_of(10_000) { "ERROR" } else { "INFO" };
    state.says("app", &(0..20_001).map(|at| line(at, levels(at))).collect::<String>());
    assert!(state.log("app").metadata().unwrap().len() > 4 * END);
    let errors = |lines| Request { level: Some(Level::Error), lines: Some(lines), ..request() };
    let said = |at: i64| format!("app: ERROR {}", Timestamp::from_second(at).unwrap());
    assert_eq!(state.told(&errors(1)).await, [said(20_000)]);
    assert_eq!(state.told(&errors(2)).await, [said(10_000), said(20_000)]);
    assert_eq!(state.told(&errors(9)).await, [said(0), said(10_000), said(20_000)]);
    assert_eq!(state.told(&Request { lines: Some(3), ..request() }).await.len(), 3);
    assert_eq!(state.told(&request()).await.len(), 20_001);
}

#[tokio::test]
async fn a_panic_is_graver_than_the_line_it_belongs_to() {
    let state = State::new();
    state.says("app", "{\"ts\":\"2026-11-26T18:00:01Z\",\"level\":\"INFO\",\"msg\":\"fine\"}\nat ease\n");
    state.says("app", "thread 'main' panicked at src/x.rs:1:2:\nnote: run with\n");
    let told = state.told(&Request { level: Some(Level::Error), ..request() }).await;
    assert_eq!(told, ["app: thread 'main' panicked at src/x.rs:1:2:", "app: note: run with"]);
}

#[tokio::test]
async fn a_component_is_its_replicas_and_an_unknown_one_is_told_those_there_are() {
    let state = said();
    state.says("app-2", "{\"ts\":\"2026-11-26T18:00:02Z\",\"level\":\"INFO\",\"msg\":\"second\"}\n");
    state.says("apple", "not asked for\n");
    let of = |name: &str| Request { names: vec![name.to_owned()], lines: Some(1), ..request() };
    assert_eq!(state.told(&of("app")).await, ["app-2: second", "app: 204"]);
    assert_eq!(state.told(&of("app-2")).await, ["app-2: second"]);
    assert_eq!(state.told(&of("supervisord")).await, ["supervisord: spawned: 'app' with pid 12"]);
    let failure = print(state.0.path(), &of("loki"), &mut Vec::new(), Format::Programs).await.unwrap_err();
    assert!(failure.to_string().contains("there are app, app-2, prometheus, apple, supervisord"), "{failure}");
    assert_eq!(failure.kind(), Kind::Usage);
}

#[tokio::test]
async fn what_is_no_log_is_left_out_and_costs_the_others_nothing() {
    let state = said();
    let whole = state.told(&request()).await;
    std::fs::create_dir(state.log("folder")).unwrap();
    std::os::unix::fs::symlink("nowhere", state.log("link")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", state.log("device")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(state.log("pipe")).status().unwrap().success());
    assert_eq!(state.told(&request()).await, whole);
    // What supervisord has rotated away is a part of a log.
    std::fs::create_dir(state.0.path().join("logs/prometheus.log.1")).unwrap();
    let of_app: Vec<String> = whole.into_iter().filter(|line| line.starts_with("app: ")).collect();
    assert_eq!(state.told(&request()).await, of_app);
    for name in ["folder", "link", "device", "pipe", "prometheus"] {
        let of = Request { names: vec![name.to_owned()], ..request() };
        let failure = print(state.0.path(), &of, &mut Vec::new(), Format::Programs).await.unwrap_err();
        assert_eq!(failure.kind(), Kind::Usage, "{failure}");
        assert!(failure.to_string().contains(&format!("{name}.log")), "{failure}");
    }
}

#[test]
fn what_is_left_out_is_told_with_what_to_do() {
    let state = State::new();
    let logs = state.0.path().join("logs");
    std::fs::create_dir(state.log("folder")).unwrap();
    std::os::unix::fs::symlink("nowhere", state.log("link")).unwrap();
    state.says("app", "fine");
    std::fs::create_dir(logs.join("app.log.2")).unwrap();
    for (name, file, told) in [
        ("folder", "folder.log", "it is not a regular file; move it elsewhere"),
        ("link", "link.log", "it is a link that leads nowhere; remove it"),
        ("app", "app.log.2", "it is not a regular file; move it elsewhere"),
    ] {
        let error = history(name.to_owned(), &state.log(name), &request(), &TimeZone::UTC).err().unwrap();
        let left_out = LeftOut::of(&state.log(name), &error).to_string();
        assert_eq!(left_out, format!("{} is left out: {told}", logs.join(file).display()));
    }
}

#[tokio::test]
async fn programs_get_the_services_lines_as_they_are() {
    let state = State::new();
    state.says(
        "app",
        "{\"ts\":\"2026-11-26T18:00:01.000Z\",\"level\":\"INFO\",\"seconds\":1.0e-4,\"z\":1,\"a\":2}\n{}\n",
    );
    let text = state.printed(&request(), Format::Programs).await;
    let expected = "{\"component\":\"app\",\"ts\":\"2026-11-26T18:00:01.000Z\",\"level\":\"INFO\",\"seconds\":1.0e-4,\"z\":1,\"a\":2}\n\
                    {\"component\":\"app\"}\n";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn programs_get_other_lines_under_the_same_names() {
    let state = said();
    state.says(
        "alertmanager",
        "ts=2026-11-26T18:00:00.5Z caller=x.go:1 level=error component=cluster msg=no\n\u{fffd}\u{1b}[2J\n",
    );
    let of = Request { names: vec!["alertmanager".to_owned()], ..request() };
    let text = state.printed(&of, Format::Programs).await;
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines[0],
        serde_json::json!({
            "component": "alertmanager", "ts": "2026-11-26T18:00:00.5Z", "level": "ERROR", "msg": "no",
            "subsystem": "cluster", "caller": "x.go:1",
        })
    );
    assert_eq!(
        lines[1],
        serde_json::json!({
            "component": "alertmanager", "ts": "2026-11-26T18:00:00.5Z", "level": "ERROR", "msg": "\u{fffd}\u{1b}[2J",
            "continues": true,
        })
    );
    assert!(!text.contains('\u{1b}'));
}

#[tokio::test]
async fn people_get_columns_and_nothing_that_moves_their_cursor() {
    let state = said();
    state.says("app", "\u{1b}[2Jhidden\n");
    let plain = state.printed(&Request { lines: Some(2), ..request() }, Format::People(Paint(false))).await;
    let expected = "11-26 18:00:02.000 prometheus │ INFO  old form caller=main.go:1 component=tsdb\n\
                    11-26 18:00:04.000 prometheus │ WARN  new form source=main.go:1\n\
                    11-26 18:00:05.000 app        │ INFO  204 target=aiclipx::access endpoint=/items/{id} request_id=a-3\n";
    assert!(plain.starts_with(expected), "{plain}");
    assert!(plain.ends_with("app        │       \\u{1b}[2Jhidden\n"), "{plain}");
    // What JSON tells is written out again, with signs of control above ASCII as they are; and text can be turned round.
    state.says("app", "{\"msg\":\"\u{202e}\",\"o\":{\"a\":[\"\u{9b}2J\u{7f}\"]}}\n");
    let plain = state.printed(&Request { lines: Some(1), ..request() }, Format::People(Paint(false))).await;
    assert!(plain.ends_with("       \\u{202e} o={\"a\":[\"\\u{9b}2J\\u{7f}\"]}\n"), "{plain}");
    let coloured =
        state.printed(&Request { level: Some(Level::Error), ..request() }, Format::People(Paint(true))).await;
    assert!(coloured.contains("\u{1b}[31mERROR\u{1b}[0m"), "{coloured}");
}

#[test]
fn a_moment_is_written_as_one_or_as_the_time_since() {
    let Since(ago) = "5m".parse().unwrap();
    assert!(ago < Timestamp::now());
    assert_eq!("2026-11-26T18:00:00+02:00".parse(), "2026-11-26T16:00:00Z".parse::<Since>());
    for text in ["", "yesterday", "5", "-5m", "2026-11-26"] {
        assert!(text.parse::<Since>().unwrap_err().contains("like 5m"), "{text}");
    }
}

#[test]
fn the_last_lines_are_counted_from_the_end() {
    let text = b"one\ntwo\nthree";
    assert_eq!(last(text, 1), b"three");
    assert_eq!(last(text, 2), b"two\nthree");
    assert_eq!(last(text, 9), text);
    assert_eq!(last(b"one\ntwo\n", 1), b"two\n");
    assert_eq!(last(text, 0), b"");
    assert_eq!(last(b"", 3), b"");
}

/// What a follower has been shown so far.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_sees_whole_lines_merged_within_a_look() {
    let state = said();
    let screen = Screen::default();
    let (folder, mut out) = (state.0.path().to_owned(), screen.clone());
    let following =
        Request { names: vec!["app".to_owned(), "prometheus".to_owned()], lines: Some(0), follow: true, ..request() };
    let follower = tokio::spawn(async move { print(&folder, &following, &mut out, Format::Programs).await });
    // Never at the moment of a look, so that it is known what each sees: time stands still but for these two.
    tokio::time::sleep(LOOK / 2).await;
    // The younger is read first; the older comes a look later, and its end later still.
    state.says("app", "{\"ts\":\"2026-11-26T18:00:09Z\",\"msg\":\"younger\"}\n");
    tokio::time::sleep(LOOK).await;
    state.says("prometheus", "ts=2026-11-26T18:00:08Z level=info msg=older\nts=2026-11-26T18:00:10Z level=info ");
    tokio::time::sleep(LOOK * 3).await;
    let messages = || -> Vec<String> {
        let text = screen.text();
        let message =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["msg"].as_str().unwrap().to_owned();
        text.lines().map(message).collect()
    };
    assert_eq!(messages(), ["older", "younger"]);
    state.says("prometheus", "msg=whole\n");
    tokio::time::sleep(LOOK * 3).await;
    assert_eq!(messages(), ["older", "younger", "whole"]);
    follower.abort();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Merging loses nothing, keeps each log's order, and orders what is in order by time.
    #[test]
    fn merging_keeps_every_logs_own_order(logs in prop::collection::vec(prop::collection::vec(0i64..50, 0..20), 1..4)) {
        let mut merged = Vec::new();
        for (number, seconds) in logs.iter().enumerate() {
            let line = |(index, second): (usize, &i64)| {
                format!("{{\"ts\":\"{}\",\"msg\":\"{index}\"}}", Timestamp::from_second(*second).unwrap())
            };
            let text = seconds.iter().enumerate().map(line).collect::<Vec<_>>().join("\n");
            merged.extend(Head::NONE.clone().entries(text.as_bytes(), &TimeZone::UTC).into_iter().map(|entry| (number, entry)));
        }
        merge(&mut merged);
        for (number, seconds) in logs.iter().enumerate() {
            let own: Vec<_> = merged.iter().filter(|(of, _)| *of == number).map(|(_, entry)| entry.line.message.clone()).collect();
            prop_assert_eq!(own, (0..seconds.len()).map(|index| index.to_string()).collect::<Vec<_>>());
        }
        prop_assert!(merged.is_sorted_by_key(|(_, entry)| entry.place));
    }
}

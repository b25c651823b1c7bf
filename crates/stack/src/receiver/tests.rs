use super::*;
use aiclipx_http::client::Answer;

const LIMIT: Duration = Duration::from_secs(10);

/// A running receiver with its file.
struct Running {
    address: Address,
    folder: tempfile::TempDir,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Running {
    async fn start() -> Running {
        let folder = tempfile::tempdir().unwrap();
        Running::start_in(folder, Duration::from_mins(5)).await
    }

    async fn start_in(folder: tempfile::TempDir, patience: Duration) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::loopback(listener.local_addr().unwrap().port());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let file = folder.path().join("notifications.jsonl");
        tokio::spawn(async move {
            run(listener, &file, patience, Vec::new(), 24, async {
                let _ = stopped.await;
            })
            .await
        });
        Running { address, folder, _stop: stop }
    }

    async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        client::post_json(&self.address, path, body, LIMIT).await.unwrap()
    }

    async fn metrics(&self) -> String {
        let answer = client::get(&self.address, "/metrics", LIMIT).await.unwrap();
        assert_eq!(answer.headers[header::CONTENT_TYPE], "text/plain; version=0.0.4");
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    fn lines(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.folder.path().join("notifications.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Waits for something that comes at once where it comes at all.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waiting).await.unwrap_or_else(|_| panic!("{what} never came"));
}

fn payload(status: &str, alert: &str) -> String {
    format!(
        "{{\n  \"version\": \"4\",\n  \"status\": \"{status}\",\r\n  \"alerts\": [{{\"status\": \"{status}\", \
         \"labels\": {{\"alertname\": \"{alert}\"}}, \"x\": 1.10}}]\n}}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_groups_are_told_at_once_as_the_caller_says() {
    let running = Running::start().await;
    let mut open = Vec::new();
    for _ in 0..23 {
        open.push(tokio::net::TcpStream::connect(running.address.to_string()).await.unwrap());
    }
    let answer = client::get(&running.address, "/health", LIMIT).await.unwrap();
    assert!(answer.status.is_success(), "the last place is taken");
}

#[tokio::test]
async fn a_notification_is_in_the_file_before_it_is_answered() {
    let receiver = Running::start().await;
    let body = payload("firing", "AppDown");
    assert_eq!(receiver.post("/alerts", body.clone()).await.status, StatusCode::OK);
    let lines = receiver.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["body"], serde_json::from_str::<serde_json::Value>(&body).unwrap());
    let when: jiff::Timestamp = lines[0]["received"].as_str().unwrap().parse().unwrap();
    assert_eq!(Some(when.as_millisecond()), lines[0]["received_ms"].as_i64());
    // As it came, to the digit.
    let text = std::fs::read_to_string(receiver.folder.path().join("notifications.jsonl")).unwrap();
    assert!(text.contains("\"x\": 1.10"), "{text}");
}

#[tokio::test]
async fn notifications_are_counted_and_the_watchdog_is_seen() {
    let receiver = Running::start().await;
    receiver.post("/alerts", payload("firing", "AppDown")).await;
    let metrics = receiver.metrics().await;
    assert!(metrics.contains("aiclipx_notifications_total{status=\"firing\"} 1\n"), "{metrics}");
    assert!(metrics.contains("aiclipx_notifications_total{status=\"resolved\"} 0\n"), "{metrics}");
    assert!(metrics.contains("\naiclipx_last_notification_timestamp_seconds 1"), "{metrics}");
    assert!(!metrics.contains("\naiclipx_watchdog_last_seen_timestamp_seconds "), "{metrics}");
    receiver.post("/alerts", payload("resolved", "Watchdog")).await;
    assert!(!receiver.metrics().await.contains("\naiclipx_watchdog_last_seen_timestamp_seconds "));
    receiver.post("/alerts", payload("firing", "Watchdog")).await;
    assert!(receiver.metrics().await.contains("\naiclipx_watchdog_last_seen_timestamp_seconds 1"));
}

/// What a receiver says that listens for so long, and last heard the Watchdog so long ago.
async fn silence(patience: Duration, heard: bool, ago: Duration) -> Option<String> {
    let mut seen = Seen::new(Instant::now().checked_sub(ago).unwrap(), 1_795_489_200_123);
    seen.watchdog_ms = heard.then_some(seen.heard.1);
    let gate = Gate::of(([127, 0, 0, 1], 0).into(), Vec::new());
    let kept = tokio::sync::Mutex::new(Kept::open(Path::new("/dev/null")).await.unwrap());
    Receiver { path: PathBuf::new(), gate, kept, patience, seen: Mutex::new(seen) }.silent_since()
}

#[tokio::test]
async fn a_watchdog_that_stays_away_is_missed_and_one_that_never_came_a_while_later() {
    let seconds = Duration::from_secs;
    assert_eq!(silence(seconds(10), true, seconds(9)).await, None);
    assert_eq!(silence(seconds(10), true, seconds(11)).await.as_deref(), Some("2026-11-24T03:00:00.123Z"));
    assert_eq!(silence(seconds(10), false, seconds(11)).await, None);
    assert!(silence(seconds(10), false, seconds(31)).await.is_some());
    assert_eq!(silence(seconds(300), false, seconds(299)).await, None);
}

#[tokio::test]
async fn silence_is_in_the_gauge_and_in_the_health_until_the_watchdog_is_heard_again() {
    let receiver = Running::start_in(tempfile::tempdir().unwrap(), Duration::from_millis(300)).await;
    let health = async || client::get(&receiver.address, "/health", LIMIT).await.unwrap();
    receiver.post("/alerts", payload("firing", "Watchdog")).await;
    eventually("silence", async || receiver.metrics().await.contains("\naiclipx_watchdog_silent 1\n")).await;
    let answer = health().await;
    assert_eq!(answer.status, StatusCode::OK, "it works; what is silent is not it");
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(said["watchdog"], "silent");
    assert!(said["since"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    // Notifications of others are no sign of life: the Watchdog's path may be another.
    receiver.post("/alerts", payload("firing", "AppDown")).await;
    assert!(receiver.metrics().await.contains("\naiclipx_watchdog_silent 1\n"));
    // Until it is seen to be heard: on a slow machine the patience may be over at once.
    eventually("the Watchdog is heard", async || {
        receiver.post("/alerts", payload("firing", "Watchdog")).await;
        receiver.metrics().await.contains("\naiclipx_watchdog_silent 0\n")
    })
    .await;
}

#[tokio::test]
async fn what_was_received_is_told_again_from_a_time_on() {
    let receiver = Running::start().await;
    let told = async |query: &str| {
        let answer = client::get(&receiver.address, &format!("/notifications{query}"), LIMIT).await.unwrap();
        (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
    };
    assert_eq!(told("").await, (StatusCode::OK, String::new()));
    receiver.post("/alerts", payload("firing", "AppDown")).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    receiver.post("/alerts", payload("resolved", "AppDown")).await;
    let file = std::fs::read_to_string(receiver.folder.path().join("notifications.jsonl")).unwrap();
    assert_eq!(told("").await, (StatusCode::OK, file.clone()));
    let lines = receiver.lines();
    let (first, second) = (&lines[0]["received_ms"], &lines[1]["received_ms"]);
    assert_ne!(first, second);
    assert_eq!(told(&format!("?since={first}")).await.1, file);
    assert_eq!(told(&format!("?since={second}")).await.1, file.split_inclusive('\n').nth(1).unwrap());
    for query in ["?since=", "?since=yesterday", "?from=1"] {
        assert_eq!(told(query).await.0, StatusCode::BAD_REQUEST, "{query}");
    }
    assert_eq!(receiver.post("/notifications", "").await.status, StatusCode::METHOD_NOT_ALLOWED);
    std::fs::write(receiver.folder.path().join("notifications.jsonl"), "oh\n").unwrap();
    assert_eq!(told("").await.0, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn more_than_an_answer_holds_is_refused_and_not_cut() {
    let receiver = Running::start().await;
    let line = format!("{{\"received_ms\":5,\"body\":\"{}\"}}\n", "x".repeat(1 << 20));
    std::fs::write(receiver.folder.path().join("notifications.jsonl"), line.repeat(17)).unwrap();
    let status = async |since: &str| {
        client::get(&receiver.address, &format!("/notifications?since={since}"), LIMIT).await.unwrap().status
    };
    assert_eq!(status("5").await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(status("6").await, StatusCode::OK);
}

#[tokio::test]
async fn its_health_check_asks_it_and_says_when_nobody_is_there() {
    let receiver = Running::start().await;
    check(&receiver.address).await.unwrap();
    check(&Address { host: "0.0.0.0".to_owned(), port: receiver.address.port }).await.unwrap();
    let nobody = check(&Address::loopback(1)).await.unwrap_err();
    assert!(nobody.to_string().contains("the receiver is not well"), "{nobody}");
}

#[tokio::test]
async fn a_phase_is_shown_while_it_lasts() {
    let receiver = Running::start().await;
    let phase = |run: &str, phase: &str| format!(r#"{{"run":"{run}","scenario":"02-\"x\"","phase":{phase}}}"#);
    receiver.post("/phase", phase("a", "\"warm-up\"")).await;
    receiver.post("/phase", phase("b", "\"fault\"")).await;
    receiver.post("/phase", phase("a", "\"fault\"")).await;
    let series = |metrics: &str| {
        metrics.lines().filter(|line| line.starts_with("aiclipx_traffic_phase{")).map(str::to_owned).collect::<Vec<_>>()
    };
    let shown = series(&receiver.metrics().await);
    assert_eq!(shown, [r#"aiclipx_traffic_phase{scenario="02-\"x\"",phase="fault"} 1"#]);
    receiver.post("/phase", phase("a", "null")).await;
    receiver.post("/phase", phase("b", "null")).await;
    assert!(series(&receiver.metrics().await).is_empty());
}

#[tokio::test]
async fn what_is_no_notification_is_refused_and_leaves_no_trace() {
    let receiver = Running::start().await;
    for body in ["", "{", "[]", "{}", r#"{"status":"firing"}"#, r#"{"status":"perhaps","alerts":[]}"#] {
        assert_eq!(receiver.post("/alerts", body).await.status, StatusCode::BAD_REQUEST, "{body}");
    }
    let mut invalid = payload("firing", "X").into_bytes();
    let place = invalid.iter().position(|byte| *byte == b'X').unwrap();
    invalid[place] = 0xff;
    assert_eq!(receiver.post("/alerts", invalid).await.status, StatusCode::BAD_REQUEST);
    let large = format!("{}{}", payload("firing", "X"), " ".repeat(MAX_BODY_BYTES));
    assert_eq!(receiver.post("/alerts", large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(receiver.post("/phase", r#"{"run":"a"}"#).await.status, StatusCode::BAD_REQUEST);
    assert!(receiver.lines().is_empty());
}

/// The status of a request as a browser, or anybody, would write it.
async fn raw(receiver: &Running, request: &str) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(receiver.address.to_string()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_web_page_can_neither_write_nor_read() {
    let receiver = Running::start().await;
    let own = receiver.address.to_string();
    let send = async |method: &str, path: &str, headers: &str, body: &str| {
        let length = body.len();
        let request =
            format!("{method} {path} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        raw(&receiver, &request).await
    };
    let alert = payload("firing", "Watchdog");
    let phase = r#"{"run":"a","scenario":"b","phase":"c"}"#;
    let json = "Content-Type: application/json\r\n";
    for (path, body) in [("/alerts", alert.as_str()), ("/phase", phase)] {
        for (headers, status) in [
            (format!("Host: {own}\r\nOrigin: http://evil.example\r\n{json}"), 403),
            (format!("Host: {own}\r\nSec-Fetch-Site: cross-site\r\n{json}"), 403),
            (format!("Host: evil.example\r\n{json}"), 403),
            (json.to_owned(), 400),
            (format!("Host: {own}\r\nContent-Type: text/plain\r\n"), 415),
            (format!("Host: {own}\r\n"), 415),
        ] {
            assert_eq!(send("POST", path, &headers, body).await, status, "{headers}");
        }
    }
    assert_eq!(send("GET", "/notifications", "Host: evil.example:9095\r\n", "").await, 403);
    assert!(receiver.lines().is_empty());
    let metrics = receiver.metrics().await;
    assert!(!metrics.contains("aiclipx_traffic_phase{") && metrics.contains("aiclipx_watchdog_silent 0"), "{metrics}");
    // As Alertmanager sends it.
    assert_eq!(send("POST", "/alerts", &format!("Host: {own}\r\n{json}"), &alert).await, 200);
}

#[tokio::test]
async fn whatever_is_kept_is_read_back_however_deep_it_is() {
    let receiver = Running::start().await;
    let deep = payload("firing", "X").replace("1.10", &("[".repeat(100_000) + &"]".repeat(100_000)));
    assert_eq!(receiver.post("/alerts", deep).await.status, StatusCode::OK);
    let told = since(&receiver.folder.path().join("notifications.jsonl"), 0, usize::MAX).unwrap().unwrap();
    assert!(Notification::read(&told).unwrap().says("X", "firing"));
}

#[tokio::test]
async fn runs_and_their_names_are_bounded_and_who_was_silent_longest_goes_first() {
    let receiver = Running::start().await;
    let phase = |run: &str| format!(r#"{{"run":"{run}","scenario":"{run}","phase":"p"}}"#);
    let long = "x".repeat(129);
    assert_eq!(receiver.post("/phase", phase(&long)).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(receiver.post("/phase", phase(&long[1..])).await.status, StatusCode::OK);
    receiver.post("/phase", phase("early")).await;
    for number in 0..15 {
        receiver.post("/phase", phase(&format!("r{number}"))).await;
    }
    receiver.post("/phase", phase("early")).await;
    receiver.post("/phase", phase("last")).await;
    let metrics = receiver.metrics().await;
    assert_eq!(metrics.matches("aiclipx_traffic_phase{").count(), 16, "{metrics}");
    let shows = |run: &str| metrics.contains(&format!("scenario=\"{run}\""));
    assert!(shows("early") && shows("last") && shows("r1") && !shows("r0") && !shows("xx"), "{metrics}");
}

#[tokio::test]
async fn who_opens_its_address_reads_what_it_is_and_what_can_be_asked() {
    let receiver = Running::start().await;
    let get = async |path: String| client::get(&receiver.address, &path, LIMIT).await.unwrap();
    let answer = get("/".to_owned()).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert_eq!(
        (answer.status, &answer.headers[header::CONTENT_TYPE]),
        (StatusCode::OK, &"text/plain; charset=utf-8".parse().unwrap())
    );
    // Every path that it tells of is there, be it for another method.
    let told: Vec<&str> = text.split_whitespace().filter(|word| word.starts_with('/')).collect();
    assert_eq!(told.len(), 6, "{text}");
    for path in told {
        assert_ne!(get(path.replace("MS", "0")).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(receiver.post("/", "{}").await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn paths_and_methods_it_does_not_know_are_said_to_be_so() {
    let receiver = Running::start().await;
    let get = async |path| client::get(&receiver.address, path, LIMIT).await.unwrap();
    assert_eq!(get("/health").await.status, StatusCode::OK);
    assert_eq!(get("/nothing").await.status, StatusCode::NOT_FOUND);
    let answer = get("/alerts").await;
    assert_eq!(
        (answer.status, &answer.headers[header::ALLOW]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
    );
}

#[tokio::test]
async fn notifications_side_by_side_keep_their_lines_whole() {
    let receiver = Running::start().await;
    let posts = (0..40).map(|number| receiver.post("/alerts", payload("firing", &format!("A{number}"))));
    for answer in futures_util::future::join_all(posts).await {
        assert_eq!(answer.status, StatusCode::OK);
    }
    assert_eq!(receiver.lines().len(), 40);
}

#[tokio::test]
async fn a_notification_that_cannot_be_kept_is_not_acknowledged() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join("notifications.jsonl")).unwrap();
    let receiver = Running::start_in(folder, Duration::from_mins(5)).await;
    let answer = receiver.post("/alerts", payload("firing", "X")).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(receiver.metrics().await.contains("{status=\"firing\"} 0\n"));
}

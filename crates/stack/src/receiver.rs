//! Notifications and traffic phases in; JSON lines and gauges out.
//!
//! | route | does |
//! |---|---|
//! | `GET /` | says what this is and what can be asked, in words |
//! | `POST /alerts` | takes Alertmanager's webhook payload (version 4); one JSON line is in the file before the answer |
//! | `GET /notifications?since=MS` | the lines received from that Unix time on, as they are in the file; all without `since` |
//! | `POST /phase` | `{"run":…,"scenario":…,"phase":…}`: what traffic a run is sending; a `null` phase ends it |
//! | `GET /metrics` | Prometheus text: notifications, when the last came, the Watchdog (when last seen, silent?), phases |
//! | `GET /health` | 200 `{"status":"ok","watchdog":"heard"}`, or `"silent"` and `"since"` |
//!
//! A line is `{"received":"2026-11-24T03:00:00.123Z","received_ms":1795489200123,"body":…}` with the payload as it
//! came, save that a line's end between its tokens becomes a space; one that evidence could not read is refused ([`kept`]).
//! A notification that could not be written is answered 500, so that Alertmanager sends it again; what is half written is
//! taken back. Nothing is forwarded.
//!
//! No page of another origin is answered, and what is to be kept must be said to be JSON, which no form can send
//! ([`gate`](aiclipx_http::gate)). Everything that is kept is bounded: the file, the runs, and the names of what they do.
//!
//! The Watchdog's notifications come all the time. When they stay away for longer than the caller says, no other alert
//! would arrive either: then the alarm is raised here, for nobody else can, in the log, in the gauge
//! `aiclipx_watchdog_silent` and in `/health`, which `aiclipx status` reads.

mod kept;
mod seen;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{Method, Request, Response, StatusCode, header};
use tokio::net::TcpListener;

use aiclipx_base::address::Address;
use aiclipx_http::client;
use aiclipx_http::gate::{Gate, is_read, says_json};
use aiclipx_http::serve::{Incoming, Limits, Plain, serve};
use aiclipx_model::failure::Failure;
pub use aiclipx_model::notification::{Alert, Notification, Status, Webhook};
use kept::Kept;
pub use kept::since;
pub use seen::metric_names;
use seen::{PhaseChange, Seen};

/// The alert that always fires, as `monitoring` has it: what is below that module can't ask it, and `check`'s tests hold the two alike.
pub const WATCHDOG: &str = "Watchdog";

/// For who opens its address to see what it is.
const ABOUT: &str = "\
The receiver of this stack's notifications: Alertmanager tells it of every alert, and it keeps what it was told. It forwards nothing.

  GET  /notifications            every notification, a JSON line each, as it came and with the time
  GET  /notifications?since=MS   those from this Unix time on, in milliseconds
  GET  /health                   whether it is well, and whether the Watchdog is heard
  GET  /metrics                  for Prometheus: notifications, the Watchdog, what traffic is being sent
  POST /alerts                   Alertmanager's webhook
  POST /phase                    what traffic a run is sending
";

/// A group of some thousand alerts. Understood, one may take twenty times as much, hence one at a time.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Of notifications in one answer: days of a small stack, and a fraction of what the container may use.
const MAX_TOLD_BYTES: usize = 16 << 20;
/// Alertmanager, Prometheus, the traffic and a browser need five; each may hold a body.
const MAX_CONNECTIONS: usize = 16;
/// For a request's head, also between two requests of a connection.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// For a whole request, what it writes included.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);
/// For a request's body.
const BODY_LIMIT: Duration = Duration::from_secs(10);
/// What a health check waits for an answer.
const CHECK_LIMIT: Duration = Duration::from_secs(2);
/// For the requests in hand once the end was asked for.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// A Watchdog not heard yet is not missed before that: Prometheus looks for an Alertmanager every five seconds only,
/// whatever the stack's speed.
const FIRST_PATIENCE: Duration = Duration::from_secs(30);
/// How often the alarm looks; a tenth of its patience where that is less.
const LOOK: Duration = Duration::from_secs(1);

/// Receives until `shutdown`; the caller owns the listener. Fails when the file can't be opened for appending.
///
/// `patience` is how long the Watchdog may be silent, in real time. `names` is what it is called by beside this machine's
/// own names: of a listener that others reach, and that is told none, any name will do.
pub async fn run(
    listener: TcpListener,
    notifications: &Path,
    patience: Duration,
    names: Vec<String>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let what = || format!("cannot append to {}", notifications.display());
    let kept = Kept::open(notifications).await.with_context(what)?;
    let address = listener.local_addr().context("cannot tell the receiver's own address")?;
    let receiver = Arc::new(Receiver {
        path: notifications.to_owned(),
        gate: Gate::of(address, names),
        kept: tokio::sync::Mutex::new(kept),
        patience,
        seen: Mutex::new(Seen::new(Instant::now(), now_ms())),
    });
    let alarm = Arc::clone(&receiver);
    let service = Plain::new(REQUEST_LIMIT, move |request| {
        let receiver = Arc::clone(&receiver);
        async move { receiver.answer(request).await }
    });
    let limits = Limits { connections: MAX_CONNECTIONS, patience: HEAD_LIMIT, crowded: None, drain: DRAIN_LIMIT };
    tokio::select! {
        _ = serve(listener, limits, Arc::new(service), shutdown) => Ok(()),
        () = alarm.listen() => unreachable!("who listens for silence never ends"),
    }
}

struct Receiver {
    path: PathBuf,
    gate: Gate,
    kept: tokio::sync::Mutex<Kept>,
    patience: Duration,
    seen: Mutex<Seen>,
}

impl Receiver {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        if let Err((status, why)) = self.gate.admits(&head) {
            return error(status, why);
        }
        let reads = is_read(&head.method);
        let read = async || {
            says_json(&head.headers).map_err(|(status, why)| error(status, why))?;
            read(body).await
        };
        match (head.uri.path(), &head.method) {
            ("/alerts", &Method::POST) => match read().await {
                Ok(body) => self.alerts(&body).await,
                Err(response) => response,
            },
            ("/phase", &Method::POST) => match read().await {
                Ok(body) => self.phase(&body),
                Err(response) => response,
            },
            ("/metrics", _) if reads => {
                let silent = self.silent_since().is_some();
                let text = self.seen().exposition(silent);
                respond(StatusCode::OK, "text/plain; version=0.0.4", text)
            }
            ("/health", _) if reads => {
                let health = match self.silent_since() {
                    None => serde_json::json!({"status": "ok", "watchdog": "heard"}),
                    Some(since) => serde_json::json!({"status": "ok", "watchdog": "silent", "since": since}),
                };
                json(StatusCode::OK, &health.to_string())
            }
            ("/notifications", _) if reads => self.notifications(head.uri.query()).await,
            ("/", _) if reads => respond(StatusCode::OK, "text/plain; charset=utf-8", ABOUT.to_owned()),
            ("/alerts" | "/phase", _) => not_allowed("POST"),
            ("/" | "/metrics" | "/health" | "/notifications", _) => not_allowed("GET, HEAD"),
            _ => error(StatusCode::NOT_FOUND, "no such path"),
        }
    }

    async fn alerts(&self, body: &[u8]) -> Response<Full<Bytes>> {
        let refused = || error(StatusCode::BAD_REQUEST, "not a payload of Alertmanager's webhook");
        let Ok(payload) = std::str::from_utf8(body) else { return refused() };
        let mut kept = self.kept.lock().await;
        let now_ms = now_ms();
        let received = rfc_3339(now_ms);
        // Between tokens a line's end is white space, and inside a string JSON has none.
        let payload = payload.replace(['\n', '\r'], " ");
        let line = format!("{{\"received\":\"{received}\",\"received_ms\":{now_ms},\"body\":{}}}\n", payload.trim());
        let Ok(notification) = Notification::read(&line) else { return refused() };
        if let Err(cause) = kept.append(line.as_bytes()).await {
            report(&format!("cannot write to {}: {cause}", self.path.display()));
            return error(StatusCode::INTERNAL_SERVER_ERROR, "the notification could not be kept");
        }
        drop(kept);
        let mut seen = self.seen();
        match notification.body.status {
            Status::Firing => seen.firing += 1,
            Status::Resolved => seen.resolved += 1,
        }
        seen.last_ms = Some(now_ms);
        if notification.says(WATCHDOG, "firing") {
            seen.watchdog_ms = Some(now_ms);
            seen.heard = (Instant::now(), now_ms);
        }
        json(StatusCode::OK, r#"{"status":"kept"}"#)
    }

    /// What was received since a time, for who can't read the file.
    async fn notifications(&self, query: Option<&str>) -> Response<Full<Bytes>> {
        let since = match query.map(|query| query.strip_prefix("since=").map(str::parse::<i64>)) {
            None => i64::MIN,
            Some(Some(Ok(since))) => since,
            Some(_) => return error(StatusCode::BAD_REQUEST, "write it like ?since=1795489200123, Unix milliseconds"),
        };
        let path = self.path.clone();
        let told = tokio::task::spawn_blocking(move || kept::since(&path, since, MAX_TOLD_BYTES)).await;
        match told.map_err(std::io::Error::other).flatten() {
            Ok(Some(lines)) => respond(StatusCode::OK, "application/x-ndjson", lines),
            Ok(None) => {
                error(StatusCode::UNPROCESSABLE_ENTITY, "more than one answer holds: ask for less with a later since")
            }
            Err(cause) => {
                report(&format!("cannot read {}: {cause}", self.path.display()));
                error(StatusCode::INTERNAL_SERVER_ERROR, "the notifications could not be read")
            }
        }
    }

    fn phase(&self, body: &[u8]) -> Response<Full<Bytes>> {
        let Ok(change) = serde_json::from_slice::<PhaseChange>(body) else {
            return error(
                StatusCode::BAD_REQUEST,
                "write it like {\"run\":\"…\",\"scenario\":\"…\",\"phase\":\"…\" or null}",
            );
        };
        if !change.is_plain() {
            return error(StatusCode::BAD_REQUEST, "a name is too long");
        }
        self.seen().change(change);
        json(StatusCode::OK, r#"{"status":"ok"}"#)
    }

    /// Says in the log when silence begins and when it ends.
    async fn listen(&self) {
        let mut silent = None;
        loop {
            tokio::time::sleep(LOOK.min(self.patience / 10)).await;
            match (&silent, self.silent_since()) {
                (None, Some(since)) => {
                    report(&format!("ALARM: the Watchdog has been silent since {since}: no alert arrives any more"));
                    silent = Some(since);
                }
                (Some(since), None) => {
                    report(&format!("the Watchdog is heard again; it was silent from {since}"));
                    silent = None;
                }
                _ => {}
            }
        }
    }

    /// Since when the Watchdog is silent, RFC 3339, if it is.
    fn silent_since(&self) -> Option<String> {
        let seen = self.seen();
        let (heard, heard_ms) = seen.heard;
        let patience = if seen.watchdog_ms.is_some() { self.patience } else { self.patience.max(FIRST_PATIENCE) };
        (heard.elapsed() > patience).then(|| rfc_3339(heard_ms))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Counters stay true whatever happened to who held them.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the receiver at an address whether it is well, as a container's health check does.
///
/// A listener on every address is asked on loopback. Fails saying what was answered.
pub async fn check(listen: &Address) -> Result<(), Failure> {
    let host = match listen.host.as_str() {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    let address = Address { host: host.to_owned(), port: listen.port };
    let answer = client::get(&address, "/health", CHECK_LIMIT).await.context("the receiver is not well")?;
    if answer.status.is_success() {
        return Ok(());
    }
    Err(Failure::infrastructure(format!("the receiver is not well: {address} answered {}", answer.status)))
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// UTC with milliseconds.
fn rfc_3339(ms: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    moment.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

async fn read(body: Incoming) -> Result<Bytes, Response<Full<Bytes>>> {
    let collected = tokio::time::timeout(BODY_LIMIT, Limited::new(body, MAX_BODY_BYTES).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(cause)) if cause.is::<LengthLimitError>() => Err(error(StatusCode::PAYLOAD_TOO_LARGE, "too large")),
        Ok(Err(_)) => Err(error(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => Err(error(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}

fn error(status: StatusCode, what: &str) -> Response<Full<Bytes>> {
    json(status, &serde_json::json!({ "error": what }).to_string())
}

fn not_allowed(allow: &'static str) -> Response<Full<Bytes>> {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allow));
    response
}

fn json(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    respond(status, "application/json", body.to_owned())
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

/// To the log supervisord keeps, in the service's own form. A log that can't be written must not stop us.
fn report(what: &str) {
    use std::io::Write as _;
    let line = serde_json::json!({
        "ts": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        "level": "WARN",
        "target": "aiclipx::receiver",
        "msg": what,
    });
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
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
                run(listener, &file, patience, Vec::new(), async {
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
            metrics
                .lines()
                .filter(|line| line.starts_with("aiclipx_traffic_phase{"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
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
            let request = format!(
                "{method} {path} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
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
        assert!(
            !metrics.contains("aiclipx_traffic_phase{") && metrics.contains("aiclipx_watchdog_silent 0"),
            "{metrics}"
        );
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
}

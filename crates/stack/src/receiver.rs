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
pub const MAX_CONNECTIONS: usize = 16;
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
/// own names: of a listener that others reach, and that is told none, any name will do. `connections` is how many may be open
/// at once: Alertmanager opens one for each group that it tells at the same time, and waits where there is no place.
pub async fn run(
    listener: TcpListener,
    notifications: &Path,
    patience: Duration,
    names: Vec<String>,
    connections: usize,
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
    let limits = Limits { connections, patience: HEAD_LIMIT, crowded: None, drain: DRAIN_LIMIT };
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
mod tests;

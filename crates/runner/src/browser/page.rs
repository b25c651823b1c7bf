//! One page: opened, waited for, asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::last_words::{LastWords, failed};
use super::pipe::{CallError, Event, Pipe};
use aiclipx_judge::grafana::Exchange;
use aiclipx_model::failure::Failure;
use aiclipx_model::prom::answer::percent_encoded;

/// A command's answer comes at once unless the machine is overloaded; a picture of a long page takes seconds.
const CALL_LIMIT: Duration = Duration::from_mins(1);
/// From the request to the load event.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// An orderly end.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// How often a predicate is asked.
pub(super) const POLL: Duration = Duration::from_millis(50);
/// Characters of a page's text that a message quotes.
const EXCERPT: usize = 200;

/// The `file://` URL of a path, which may hold a space; made absolute on the working directory.
pub fn file_url(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let parts: Vec<String> = absolute.to_string_lossy().split('/').map(percent_encoded).collect();
    format!("file://{}", parts.join("/"))
}

/// How large a page is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PageOptions {
    /// CSS pixels.
    pub width: u32,
    /// CSS pixels; a full-page picture grows beyond it.
    pub height: u32,
    /// Device pixels per CSS pixel; 2 is sharp in print.
    pub scale: f64,
}

impl Default for PageOptions {
    fn default() -> PageOptions {
        PageOptions { width: 1280, height: 800, scale: 2.0 }
    }
}

/// An exchange under way: its number with Chromium is its key.
struct Heard {
    exchange: Exchange,
    ended: bool,
}

/// One page of a [browser](crate::browser::Browser).
pub struct Page {
    pipe: Arc<Pipe>,
    stderr: LastWords,
    target: String,
    session: String,
    /// The main frame; Chromium gives it the target's id.
    frame: String,
    events: mpsc::UnboundedReceiver<Event>,
    pub(super) options: PageOptions,
    pub(super) url: String,
    pub(super) document: Document,
    errors: Vec<String>,
    /// Requests whose address holds one of these are listened to.
    wanted: &'static [&'static str],
    heard: BTreeMap<String, Heard>,
    crashed: bool,
    closed: bool,
}

/// What is known of the document in the main frame.
#[derive(Default)]
pub(super) struct Document {
    loader: String,
    /// The status of the main response, with the loader it belongs to.
    response: Option<(String, i64)>,
    loaded: bool,
    /// The predicate that held last; gone when the frame goes elsewhere.
    pub(super) held: Option<String>,
}

impl Page {
    /// A new, empty page in a window of its own: of several tabs in one, only the one in front is ever drawn, and the others would
    /// wait for it.
    pub(super) async fn new(pipe: &Arc<Pipe>, stderr: &LastWords, options: PageOptions) -> Result<Page, Failure> {
        let call = async |session: Option<&str>, method: &str, params: Value| {
            let answer = pipe.call(session, method, params, CALL_LIMIT).await;
            answer.map_err(|error| failed(&error, &format!("opening an empty page ({method})"), stderr))
        };
        let created = call(None, "Target.createTarget", json!({ "url": "about:blank", "newWindow": true })).await?;
        let target = created["targetId"].as_str().unwrap_or_default().to_owned();
        // A page from here on: whatever ends us on the way, its window is closed.
        let mut page = Page {
            pipe: Arc::clone(pipe),
            stderr: stderr.clone(),
            frame: target.clone(),
            target,
            session: String::new(),
            events: mpsc::unbounded_channel().1,
            options,
            url: "about:blank".to_owned(),
            document: Document::default(),
            errors: Vec::new(),
            wanted: &[],
            heard: BTreeMap::new(),
            crashed: false,
            closed: false,
        };
        let attach = json!({ "targetId": page.target, "flatten": true });
        let attached = call(None, "Target.attachToTarget", attach).await?;
        attached["sessionId"].as_str().unwrap_or_default().clone_into(&mut page.session);
        page.events = pipe.listen(&page.session);
        for domain in ["Page.enable", "Runtime.enable", "Network.enable", "Log.enable", "Inspector.enable"] {
            call(Some(&page.session), domain, json!({})).await?;
        }
        page.resize(options.height).await?;
        Ok(page)
    }

    /// Opens a URL and waits for its load event. A document that could not be had at all is a failure; one that was
    /// answered with an error status is opened, and refused as a picture.
    pub async fn open(&mut self, url: &str) -> Result<(), Failure> {
        self.drain();
        url.clone_into(&mut self.url);
        self.document = Document::default();
        self.errors.clear();
        self.heard.clear();
        let answer = self.call("Page.navigate", json!({ "url": url })).await?;
        if let Some(reason) = answer["errorText"].as_str() {
            return Err(self.failure(&format!("the page can't be opened: {reason}")));
        }
        answer["loaderId"].as_str().unwrap_or_default().clone_into(&mut self.document.loader);
        let deadline = Instant::now() + OPEN_LIMIT;
        while !self.document.loaded {
            match tokio::time::timeout_at(deadline, self.events.recv()).await {
                Ok(Some(event)) => self.absorb(event),
                Ok(None) => return Err(failed(&CallError::Gone, &format!("opening {url}"), &self.stderr)),
                Err(_) => return Err(self.failure(&format!("the page did not load within {OPEN_LIMIT:?}"))),
            }
            self.check_alive()?;
        }
        Ok(())
    }

    /// The status of the document's response; none before one came, and none for a file.
    pub fn status(&mut self) -> Option<i64> {
        self.drain();
        let (loader, status) = self.document.response.as_ref()?;
        (*loader == self.document.loader).then_some(*status)
    }

    /// Asks until a JavaScript expression is true (a promise is awaited), or tells after `limit` what the page shows
    /// instead.
    pub async fn wait_until(&mut self, predicate: &str, limit: Duration) -> Result<(), Failure> {
        match self.shows_within(predicate, limit).await? {
            Ok(()) => Ok(()),
            Err(last) => {
                let shown = self.excerpt().await;
                Err(self.failure(&format!(
                    "did not show what it must within {limit:?}: {last}: `{predicate}`; the page says: {shown}"
                )))
            }
        }
    }

    /// The same for who tells the failure in words of their own: in vain is no failure, but why the expression was not true.
    pub(super) async fn shows_within(
        &mut self,
        predicate: &str,
        limit: Duration,
    ) -> Result<Result<(), String>, Failure> {
        self.document.held = None;
        let deadline = Instant::now() + limit;
        let mut last = String::from("it was false");
        loop {
            match self.evaluate(predicate).await? {
                Ok(Value::Bool(true)) => {
                    self.document.held = Some(predicate.to_owned());
                    return Ok(Ok(()));
                }
                Ok(Value::Bool(false)) => "it was false".clone_into(&mut last),
                Ok(other) => last = format!("it was {other}, not true or false"),
                Err(reason) => last = reason,
            }
            self.drain();
            self.check_alive()?;
            if Instant::now() + POLL > deadline {
                return Ok(Err(last));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The beginning of the text a reader sees, whole words on one line.
    pub(super) async fn excerpt(&mut self) -> String {
        let text = self.text().await.unwrap_or_default();
        let mut kept = String::new();
        for word in text.split_whitespace() {
            if kept.chars().count() + word.chars().count() > EXCERPT {
                kept.push('…');
                break;
            }
            kept += word;
            kept.push(' ');
        }
        kept.trim_end().to_owned()
    }

    /// Runs a script for what it does to the page, a promise awaited.
    pub async fn run(&mut self, script: &str) -> Result<(), Failure> {
        match self.evaluate(script).await? {
            Ok(_) => Ok(()),
            Err(reason) => Err(self.failure(&format!("the script failed: {reason}: `{script}`"))),
        }
    }

    /// The text a reader sees.
    pub async fn text(&mut self) -> Result<String, Failure> {
        let script = "(document.body ?? document.documentElement).innerText ?? document.documentElement.textContent";
        match self.evaluate(script).await? {
            Ok(Value::String(text)) => Ok(text),
            Ok(_) => Ok(String::new()),
            Err(reason) => Err(self.failure(&format!("its text can't be read: {reason}"))),
        }
    }

    /// From the next [`Page::open`] on, keeps the requests whose address holds one of these texts.
    pub(super) fn listen_for(&mut self, wanted: &'static [&'static str]) {
        self.wanted = wanted;
    }

    /// What was listened for, once there was at least one such request, all have ended, and none came for `quiet`; or
    /// after `limit` a failure.
    pub async fn exchanges(&mut self, quiet: Duration, limit: Duration) -> Result<Vec<Exchange>, Failure> {
        let deadline = Instant::now() + limit;
        let (mut count, mut since) = (0, Instant::now());
        loop {
            self.drain();
            self.check_alive()?;
            let ended = self.heard.values().filter(|heard| heard.ended).count();
            if ended != count || ended < self.heard.len() {
                (count, since) = (ended, Instant::now());
            }
            if count > 0 && since.elapsed() >= quiet {
                break;
            }
            if Instant::now() > deadline {
                let begun = self.heard.len();
                return Err(self.failure(&match begun {
                    0 => format!("it asked for no data within {limit:?}"),
                    _ => format!("{ended} of its {begun} queries were answered within {limit:?}"),
                }));
            }
            tokio::time::sleep(POLL).await;
        }
        let mut exchanges = Vec::new();
        for (id, heard) in std::mem::take(&mut self.heard) {
            let mut exchange = heard.exchange;
            if exchange.status != 0 {
                let answer = self.call("Network.getResponseBody", json!({ "requestId": id })).await?;
                let body = answer["body"].as_str().unwrap_or_default();
                exchange.body = if answer["base64Encoded"] == true {
                    String::from_utf8_lossy(&STANDARD.decode(body).unwrap_or_default()).into_owned()
                } else {
                    body.to_owned()
                };
            }
            exchanges.push(exchange);
        }
        Ok(exchanges)
    }

    /// Errors the page wrote to its console, threw, or met in loading, since it was opened.
    pub fn console_errors(&mut self) -> &[String] {
        self.drain();
        &self.errors
    }

    /// Closes the page, and says whether it could be. One that is dropped is closed, too, and nobody is told.
    pub async fn close(mut self) -> Result<(), Failure> {
        let closed = self.pipe.call(None, "Target.closeTarget", json!({ "targetId": self.target }), CALL_LIMIT).await;
        self.closed = true;
        self.pipe.forget(&self.session);
        closed.map(|_| ()).map_err(|error| failed(&error, &format!("closing {}", self.url), &self.stderr))
    }

    /// The value of an expression, or why the page has none.
    pub(super) async fn evaluate(&mut self, expression: &str) -> Result<Result<Value, String>, Failure> {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.pipe.call(Some(&self.session), "Runtime.evaluate", params, CALL_LIMIT).await;
        match answer {
            Ok(answer) => Ok(match answer.get("exceptionDetails") {
                Some(details) => Err(exception(details)),
                None => Ok(answer["result"]["value"].clone()),
            }),
            // The page is on its way elsewhere: there is no value now, and may be one in a moment.
            Err(CallError::Refused(reason)) => Ok(Err(reason)),
            Err(error) => Err(failed(&error, &format!("asking {}", self.url), &self.stderr)),
        }
    }

    pub(super) async fn resize(&self, height: u32) -> Result<(), Failure> {
        let PageOptions { width, scale, .. } = self.options;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", metrics).await.map(|_| ())
    }

    pub(super) async fn call(&self, method: &str, params: Value) -> Result<Value, Failure> {
        let answer = self.pipe.call(Some(&self.session), method, params, CALL_LIMIT).await;
        answer.map_err(|error| failed(&error, &format!("{} ({method})", self.url), &self.stderr))
    }

    fn drain(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.absorb(event);
        }
    }

    fn absorb(&mut self, (method, params): Event) {
        let is_main = |frame: &Value| frame.as_str() == Some(&self.frame);
        match method.as_str() {
            "Network.responseReceived" if params["type"] == "Document" && is_main(&params["frameId"]) => {
                let loader = params["loaderId"].as_str().unwrap_or_default().to_owned();
                self.document.response = params["response"]["status"].as_i64().map(|status| (loader, status));
            }
            "Network.requestWillBeSent" => {
                let request = &params["request"];
                let url = request["url"].as_str().unwrap_or_default();
                if self.wanted.iter().any(|wanted| url.contains(wanted)) {
                    let posted = request["postData"].as_str().unwrap_or_default().to_owned();
                    let exchange = Exchange { url: url.to_owned(), posted, status: 0, body: String::new() };
                    let id = params["requestId"].as_str().unwrap_or_default().to_owned();
                    self.heard.insert(id, Heard { exchange, ended: false });
                }
            }
            "Network.responseReceived" => {
                if let Some(heard) = self.heard_of(&params) {
                    heard.exchange.status = params["response"]["status"].as_i64().unwrap_or(0);
                }
            }
            "Network.loadingFinished" => {
                if let Some(heard) = self.heard_of(&params) {
                    heard.ended = true;
                }
            }
            "Network.loadingFailed" => {
                if let Some(heard) = self.heard_of(&params) {
                    (heard.ended, heard.exchange.status) = (true, 0);
                }
            }
            "Page.frameNavigated" if is_main(&params["frame"]["id"]) => {
                let loader = params["frame"]["loaderId"].as_str().unwrap_or_default();
                if loader != self.document.loader {
                    loader.clone_into(&mut self.document.loader);
                    self.document.held = None;
                }
            }
            "Page.loadEventFired" => self.document.loaded = true,
            "Inspector.targetCrashed" => self.crashed = true,
            "Runtime.exceptionThrown" => self.errors.push(exception(&params["exceptionDetails"])),
            "Runtime.consoleAPICalled" if params["type"] == "error" || params["type"] == "assert" => {
                let words = params["args"].as_array().into_iter().flatten().map(|argument| {
                    let shown = argument.get("value").or_else(|| argument.get("description"));
                    shown.map_or_else(String::new, |value| value.as_str().map_or(value.to_string(), str::to_owned))
                });
                self.errors.push(words.collect::<Vec<_>>().join(" "));
            }
            "Log.entryAdded" if params["entry"]["level"] == "error" => {
                let entry = &params["entry"];
                let text = entry["text"].as_str().unwrap_or_default();
                let url = entry["url"].as_str().unwrap_or_default();
                self.errors.push(format!("{text} {url}").trim_end().to_owned());
            }
            _ => {}
        }
    }

    fn heard_of(&mut self, params: &Value) -> Option<&mut Heard> {
        self.heard.get_mut(params["requestId"].as_str()?)
    }

    pub(super) fn check_alive(&self) -> Result<(), Failure> {
        if self.crashed { Err(self.failure("the page crashed")) } else { Ok(()) }
    }

    pub(super) fn failure(&self, what: &str) -> Failure {
        Failure::infrastructure(format!("{}: {what}", self.url))
    }
}

impl Drop for Page {
    /// A page that failed on the way is closed as well: each that stays open takes memory, and time from the others.
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        self.pipe.forget(&self.session);
        let (pipe, target) = (Arc::clone(&self.pipe), std::mem::take(&mut self.target));
        // Outside a runtime the browser is going, too.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = pipe.call(None, "Target.closeTarget", json!({ "targetId": target }), CLOSE_LIMIT).await;
            });
        }
    }
}

fn exception(details: &Value) -> String {
    let described = details["exception"]["description"].as_str().or_else(|| details["text"].as_str());
    described.unwrap_or("an exception without a text").lines().next().unwrap_or_default().to_owned()
}

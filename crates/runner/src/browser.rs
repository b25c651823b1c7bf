//! Chromium without a window: open a page, wait for what it must show, take its picture or its PDF.
//!
//! Driven over `--remote-debugging-pipe`: no port, no WebSocket, nobody else can connect. A login, error or empty page
//! never becomes a picture: [`Page::picture`] and [`Page::pdf`] refuse unless the document was answered with 200 (or
//! read from a file) and the last [`Page::wait_until`] still holds. Each browser has a fresh profile that goes with
//! it. What is on the page is not judged here.

pub mod grafana;
mod pipe;
pub mod prometheus;

use std::collections::{BTreeMap, VecDeque};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::Instant;

use aiclipx_judge::grafana::Exchange;
use aiclipx_model::failure::Failure;
use aiclipx_model::prom::answer::percent_encoded;
use pipe::{CallError, Event, Pipe};

/// What Chromium is called where; Debian's and nixpkgs' names first.
const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/// A command's answer comes at once unless the machine is overloaded; a picture of a long page takes seconds.
const CALL_LIMIT: Duration = Duration::from_mins(1);
/// A first start on a cold disk reads some 300 MB.
const START_LIMIT: Duration = Duration::from_mins(1);
/// From the request to the load event.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// `--version` takes some 50 ms.
const VERSION_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of what it answers.
const LONGEST_VERSION: u64 = 1024;
/// An orderly end, before the process is killed.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// How often a predicate is asked.
const POLL: Duration = Duration::from_millis(50);
/// A page that never stops moving is taken as it is after so many pictures.
const SETTLE_ATTEMPTS: usize = 6;
/// Characters of a page's text that a message quotes.
const EXCERPT: usize = 200;
/// What is kept of Chromium's chatter, for the day it dies.
const STDERR_LINES: usize = 20;
/// What marks the line in which Chromium says why it dies; some twenty of its stack follow.
const FATAL: &str = ":FATAL:";
/// What it says where it may not make its sandbox.
const NO_SANDBOX: &str = "No usable sandbox";

/// Chromium, running. [`Browser::close`] ends it in order; dropped, it is killed. Either way no process and no
/// profile folder is left.
pub struct Browser {
    pipe: Arc<Pipe>,
    stderr: Lines,
    version: String,
    // In this order: the process must be gone before its folder is removed.
    process: Process,
    profile: Option<TempDir>,
}

impl Browser {
    /// The first program on PATH that says it is Chromium or Google Chrome: a name alone promises nothing. Asked once.
    pub fn find() -> Option<PathBuf> {
        Some(Browser::found()?.0.clone())
    }

    /// What that program says of itself: `Chromium 156.0.8078.79 …`.
    pub fn says() -> Option<&'static str> {
        Some(&Browser::found()?.1)
    }

    fn found() -> Option<&'static (PathBuf, String)> {
        static FOUND: OnceLock<Option<(PathBuf, String)>> = OnceLock::new();
        let look = || {
            let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
            let paths = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
            paths.into_iter().find_map(|path| Some((chromium_says(&path)?, path)).map(|(says, path)| (path, says)))
        };
        FOUND.get_or_init(look).as_ref()
    }

    /// Starts the program at `path`, or says what is wrong with it.
    ///
    /// In Chromium's own sandbox where it can have one, and else without, for the pages are the stack's and our own:
    /// Ubuntu's `AppArmor` forbids what it is made of to every Chromium it has no profile for.
    pub async fn start(path: &Path) -> Result<Browser, Failure> {
        match Browser::attempt(path, false).await {
            Err(failure) if failure.to_string().contains(NO_SANDBOX) => Browser::attempt(path, true).await,
            started => started,
        }
    }

    async fn attempt(path: &Path, bare: bool) -> Result<Browser, Failure> {
        let profile = tempfile::Builder::new()
            .prefix("aiclipx-browser-")
            .tempdir()
            .context("cannot make a folder for Chromium's profile")?;
        let root = profile.path().metadata().context("cannot read the profile folder")?.uid() == 0;
        // The debugging pipe is file descriptors 3 and 4, which a safe program can't hand to a child: the shell moves
        // them there and becomes Chromium.
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >&2"#, "sh"])
            .arg(path)
            .args(flags(bare || root))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("TZ", "UTC")
            .env("LANGUAGE", "en")
            .env("HOME", profile.path())
            // Where it keeps the socket of its lock, which a killed browser would leave behind.
            .env("TMPDIR", profile.path())
            .env("XDG_CONFIG_HOME", profile.path().join("config"))
            .env("XDG_CACHE_HOME", profile.path().join("cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C is for us, and ending the group ends the renderers too.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", path.display()))?;
        let pipes = child.stdin.take().zip(child.stdout.take()).zip(child.stderr.take());
        let ((stdin, stdout), chatter) = pipes.context("Chromium was started without pipes")?;
        let stderr = Lines::default();
        let chatter = tokio::spawn(keep_last_lines(chatter, stderr.clone()));
        let mut browser = Browser {
            pipe: Arc::new(Pipe::new(stdin, stdout, chatter)),
            stderr,
            version: String::new(),
            process: Process(child),
            profile: Some(profile),
        };
        let answer = browser.pipe.call(None, "Browser.getVersion", json!({}), START_LIMIT).await;
        match answer {
            Ok(answer) => {
                answer["product"].as_str().unwrap_or_default().clone_into(&mut browser.version);
                Ok(browser)
            }
            Err(error) => Err(told(&error, &format!("starting {}", path.display()), &browser.stderr)),
        }
    }

    /// What Chromium calls itself: `HeadlessChrome/156.0.8078.79`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The folder that holds its profile while it runs.
    pub fn profile(&self) -> Option<&Path> {
        self.profile.as_ref().map(TempDir::path)
    }

    /// The browser's process, until it has ended.
    pub fn process_id(&self) -> Option<u32> {
        self.process.0.id()
    }

    /// A new, empty page.
    pub async fn page(&self, options: PageOptions) -> Result<Page, Failure> {
        let call = async |session: Option<&str>, method: &str, params: Value| {
            let answer = self.pipe.call(session, method, params, CALL_LIMIT).await;
            answer.map_err(|error| told(&error, &format!("opening an empty page ({method})"), &self.stderr))
        };
        // A window each: of several tabs in one, only the one in front is ever drawn, and the others would wait for it.
        let created = call(None, "Target.createTarget", json!({ "url": "about:blank", "newWindow": true })).await?;
        let target = created["targetId"].as_str().unwrap_or_default().to_owned();
        // A page from here on: whatever ends us on the way, its window is closed.
        let mut page = Page {
            pipe: Arc::clone(&self.pipe),
            stderr: self.stderr.clone(),
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
        page.events = self.pipe.listen(&page.session);
        for domain in ["Page.enable", "Runtime.enable", "Network.enable", "Log.enable", "Inspector.enable"] {
            call(Some(&page.session), domain, json!({})).await?;
        }
        page.resize(options.height).await?;
        Ok(page)
    }

    /// Ends Chromium in order, waits until it is gone, and removes its profile.
    pub async fn close(mut self) -> Result<(), Failure> {
        // Chromium may close the pipe before it has answered; what counts is that the process ends.
        let _ = self.pipe.call(None, "Browser.close", json!({}), CLOSE_LIMIT).await;
        let ended = tokio::time::timeout(CLOSE_LIMIT, self.process.0.wait()).await;
        if ended.is_err() {
            self.process.kill_group();
            self.process.0.wait().await.context("cannot end Chromium")?;
        }
        match self.profile.take() {
            Some(profile) => Ok(remove(profile).context("cannot remove Chromium's profile")?),
            None => Ok(()),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.process.kill_group();
        if let Some(profile) = self.profile.take() {
            // Nobody is left to tell; the folder lies in the temporary folder of the machine.
            let _ = remove(profile);
        }
    }
}

/// The browser process, whose group holds everything it started.
struct Process(Child);

impl Process {
    /// Kills the whole group at once and waits for the browser itself. Does nothing once it is gone.
    fn kill_group(&mut self) {
        let Some(group) = self.0.id() else { return };
        if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::Kill);
        }
        let _ = self.0.start_kill();
        for _ in 0..200 {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Helpers of Chromium may still write for a moment after it is gone; then the folder isn't empty when it is removed.
fn remove(profile: TempDir) -> std::io::Result<()> {
    let path = profile.keep();
    for _ in 0..40 {
        if std::fs::remove_dir_all(&path).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    match std::fs::remove_dir_all(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn flags(bare: bool) -> Vec<&'static str> {
    let mut flags = vec![
        "--headless",
        "--remote-debugging-pipe",
        // The picture is the page and nothing of this machine: its screen, language, keys, extensions.
        "--force-device-scale-factor=1",
        "--hide-scrollbars",
        "--font-render-hinting=none",
        "--lang=en-US",
        "--disable-gpu",
        "--disable-extensions",
        "--mute-audio",
        // Every window is drawn as if it were in front.
        "--disable-backgrounding-occluded-windows",
        "--disable-renderer-backgrounding",
        "--password-store=basic",
        "--use-mock-keychain",
        // No request but ours.
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-domain-reliability",
        "--disable-quic",
        "--disable-sync",
        "--no-first-run",
        "--no-default-browser-check",
        "--no-pings",
        // A crash is told in our words, and its handler would outlive the browser.
        "--disable-breakpad",
        "--disable-crash-reporter",
        // Containers give 64 MB of shared memory, less than one long page needs.
        "--disable-dev-shm-usage",
    ];
    if bare {
        // Chromium refuses its sandbox to root; the pages are our own.
        flags.push("--no-sandbox");
    }
    flags
}

/// What a program that is Chromium says of itself.
fn chromium_says(path: &Path) -> Option<String> {
    if !path.is_file() {
        return None;
    }
    let mut command = std::process::Command::new(path);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    // It blocks, once in the life of a process; and who hangs on such a question is no browser for us.
    let deadline = std::time::Instant::now() + VERSION_LIMIT;
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if std::time::Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                break false;
            }
        }
    };
    let mut text = Vec::new();
    // What it started may hold the other end: no more is read than is there.
    std::io::Read::take(child.stdout.take().filter(|_| ended)?, LONGEST_VERSION).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    (text.starts_with("Chromium ") || text.starts_with("Google Chrome ")).then_some(text)
}

/// The last lines of standard error, shared with the task that reads them.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<VecDeque<String>>>);

impl Lines {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == STDERR_LINES {
            let oldest = lines.iter().position(|line| !line.contains(FATAL)).unwrap_or_default();
            lines.remove(oldest);
        }
        lines.push_back(line);
    }

    fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n  ")
    }
}

async fn keep_last_lines(stderr: tokio::process::ChildStderr, lines: Lines) {
    let mut reader = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = reader.next_line().await {
        lines.push(line);
    }
}

fn told(error: &CallError, doing: &str, stderr: &Lines) -> Failure {
    let what = match error {
        CallError::Refused(reason) => anyhow!("Chromium refused: {reason}"),
        CallError::Gone => match stderr.text() {
            text if text.is_empty() => anyhow!("Chromium died without a word"),
            text => anyhow!("Chromium died\n  its last lines:\n  {text}"),
        },
        CallError::TimedOut(limit) => anyhow!("Chromium did not answer within {limit:?}"),
    };
    Failure::infrastructure(what).context(doing.to_owned())
}

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

/// One page of a [`Browser`].
pub struct Page {
    pipe: Arc<Pipe>,
    stderr: Lines,
    target: String,
    session: String,
    /// The main frame; Chromium gives it the target's id.
    frame: String,
    events: mpsc::UnboundedReceiver<Event>,
    options: PageOptions,
    url: String,
    document: Document,
    errors: Vec<String>,
    /// Requests whose address holds one of these are listened to.
    wanted: &'static [&'static str],
    heard: BTreeMap<String, Heard>,
    crashed: bool,
    closed: bool,
}

/// What is known of the document in the main frame.
#[derive(Default)]
struct Document {
    loader: String,
    /// The status of the main response, with the loader it belongs to.
    response: Option<(String, i64)>,
    loaded: bool,
    /// The predicate that held last; gone when the frame goes elsewhere.
    held: Option<String>,
}

impl Page {
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
                Ok(None) => return Err(told(&CallError::Gone, &format!("opening {url}"), &self.stderr)),
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
    pub async fn shows_within(&mut self, predicate: &str, limit: Duration) -> Result<Result<(), String>, Failure> {
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
    pub async fn excerpt(&mut self) -> String {
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
    pub fn listen_for(&mut self, wanted: &'static [&'static str]) {
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

    /// Writes a PNG of the viewport, or of the whole page whatever its length.
    ///
    /// Taken when two pictures in a row are the same, so that no half-drawn page is kept; a page that never stops
    /// moving is taken as it is.
    pub async fn picture(&mut self, path: &Path, full_page: bool) -> Result<(), Failure> {
        let bytes = self.png(full_page).await?;
        write(path, &bytes).await
    }

    /// The same, for who writes it: nothing lies anywhere before it is kept.
    pub async fn png(&mut self, full_page: bool) -> Result<Vec<u8>, Failure> {
        self.check_presentable().await?;
        if full_page {
            let metrics = self.call("Page.getLayoutMetrics", json!({})).await?;
            let height = metrics["cssContentSize"]["height"].as_f64().unwrap_or_default().ceil();
            // A whole number of at most five digits: beyond it, Chromium has no texture for it either.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let height = height.clamp(f64::from(self.options.height), 32_000.0) as u32;
            self.resize(height).await?;
        }
        let taken = self.settled_picture().await;
        if full_page {
            self.resize(self.options.height).await?;
        }
        let bytes = taken?;
        // The picture shows what held a moment ago; if it no longer does, which of the two was taken is open.
        self.check_presentable().await?;
        Ok(bytes)
    }

    /// Writes a PDF: backgrounds printed, page size and margins from the page's own `@page`; in the lower margin of each
    /// page the title, and which of how many it is. The margin must have room for a line of 7 pt.
    pub async fn pdf(&mut self, path: &Path, title: &str) -> Result<(), Failure> {
        self.check_presentable().await?;
        let title = title.replace('&', "&amp;").replace('<', "&lt;");
        let footer = format!(
            "<div style=\"width:100%;margin:0 14mm;display:flex;justify-content:space-between;\
             font:7pt 'DejaVu Sans',sans-serif;color:#5b6675\"><span>{title}</span>\
             <span><span class=pageNumber></span> / <span class=totalPages></span></span></div>"
        );
        let settings = json!({
            "printBackground": true, "preferCSSPageSize": true, "displayHeaderFooter": true,
            "headerTemplate": "<span></span>", "footerTemplate": footer,
            "generateTaggedPDF": true, "generateDocumentOutline": true,
        });
        let answer = self.call("Page.printToPDF", settings).await?;
        let bytes = self.decoded(&answer)?;
        write(path, &bytes).await
    }

    /// Closes the page, and says whether it could be. One that is dropped is closed, too, and nobody is told.
    pub async fn close(mut self) -> Result<(), Failure> {
        let closed = self.pipe.call(None, "Target.closeTarget", json!({ "targetId": self.target }), CALL_LIMIT).await;
        self.closed = true;
        self.pipe.forget(&self.session);
        closed.map(|_| ()).map_err(|error| told(&error, &format!("closing {}", self.url), &self.stderr))
    }

    async fn settled_picture(&mut self) -> Result<Vec<u8>, Failure> {
        let drawn = "document.fonts.ready.then(() => new Promise(done => \
            requestAnimationFrame(() => requestAnimationFrame(() => done(true)))))";
        let mut last = Value::Null;
        for _ in 0..SETTLE_ATTEMPTS {
            if let Err(reason) = self.evaluate(drawn).await? {
                return Err(self.failure(&format!("it can't be drawn: {reason}")));
            }
            let answer = self.call("Page.captureScreenshot", json!({ "format": "png" })).await?;
            let same = answer["data"] == last["data"];
            last = answer;
            if same {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        self.decoded(&last)
    }

    fn decoded(&self, answer: &Value) -> Result<Vec<u8>, Failure> {
        let text = answer["data"].as_str().unwrap_or_default();
        match STANDARD.decode(text).ok() {
            Some(bytes) if !bytes.is_empty() => Ok(bytes),
            _ => Err(self.failure("Chromium sent no picture")),
        }
    }

    /// Refuses what must not become a picture.
    async fn check_presentable(&mut self) -> Result<(), Failure> {
        match self.status() {
            Some(200) => {}
            Some(status) => return Err(self.failure(&format!("no picture of an answer with status {status}"))),
            None if self.url.starts_with("file:") => {}
            None => return Err(self.failure("no picture of a page nobody answered for")),
        }
        let Some(predicate) = self.document.held.clone() else {
            return Err(self.failure("no picture of a page that was not waited for, or went elsewhere since"));
        };
        if !matches!(self.evaluate(&predicate).await?, Ok(Value::Bool(true))) {
            return Err(self.failure("no picture: what it had to show is no longer there"));
        }
        if self.text().await?.trim().is_empty() {
            return Err(self.failure("no picture of a page without a word on it"));
        }
        self.check_alive()
    }

    /// The value of an expression, or why the page has none.
    async fn evaluate(&mut self, expression: &str) -> Result<Result<Value, String>, Failure> {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.pipe.call(Some(&self.session), "Runtime.evaluate", params, CALL_LIMIT).await;
        match answer {
            Ok(answer) => Ok(match answer.get("exceptionDetails") {
                Some(details) => Err(exception(details)),
                None => Ok(answer["result"]["value"].clone()),
            }),
            // The page is on its way elsewhere: there is no value now, and may be one in a moment.
            Err(CallError::Refused(reason)) => Ok(Err(reason)),
            Err(error) => Err(told(&error, &format!("asking {}", self.url), &self.stderr)),
        }
    }

    async fn resize(&self, height: u32) -> Result<(), Failure> {
        let PageOptions { width, scale, .. } = self.options;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", metrics).await.map(|_| ())
    }

    async fn call(&self, method: &str, params: Value) -> Result<Value, Failure> {
        let answer = self.pipe.call(Some(&self.session), method, params, CALL_LIMIT).await;
        answer.map_err(|error| told(&error, &format!("{} ({method})", self.url), &self.stderr))
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

    fn check_alive(&self) -> Result<(), Failure> {
        if self.crashed { Err(self.failure("the page crashed")) } else { Ok(()) }
    }

    fn failure(&self, what: &str) -> Failure {
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

async fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = tokio::fs::write(path, bytes).await;
    written.map_err(|error| Failure::usage(anyhow!(error).context(format!("cannot write {}", path.display()))))
}

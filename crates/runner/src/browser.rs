//! Chromium without a window: open a page, wait for what it must show, take its picture or its PDF.
//!
//! Driven over `--remote-debugging-pipe`: no port, no WebSocket, nobody else can connect. Each browser has a fresh profile that
//! goes with it. What is on a page is not judged here.

pub mod grafana;
mod installed;
mod last_words;
pub mod page;
mod picture;
mod pipe;
pub mod prometheus;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use aiclipx_model::failure::Failure;
use last_words::{LastWords, failed, keep};
use page::{Page, PageOptions};
use pipe::Pipe;

/// A first start on a cold disk reads some 300 MB.
const START_LIMIT: Duration = Duration::from_mins(1);
/// An orderly end, before the process is killed.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// What it says where it may not make its sandbox.
const NO_SANDBOX: &str = "No usable sandbox";

/// Chromium, running. [`Browser::close`] ends it in order; dropped, it is killed. Either way no process and no
/// profile folder is left.
pub struct Browser {
    pipe: Arc<Pipe>,
    stderr: LastWords,
    version: String,
    // In this order: the process must be gone before its folder is removed.
    process: Process,
    profile: Option<TempDir>,
}

impl Browser {
    /// The first program on PATH that says it is Chromium or Google Chrome: a name alone promises nothing. Asked once.
    pub fn find() -> Option<PathBuf> {
        Some(installed::found()?.0.clone())
    }

    /// What that program says of itself: `Chromium 156.0.8078.79 …`.
    pub fn says() -> Option<&'static str> {
        Some(&installed::found()?.1)
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
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
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
        let stderr = LastWords::default();
        let chatter = tokio::spawn(keep(chatter, stderr.clone()));
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
            Err(error) => Err(failed(&error, &format!("starting {}", path.display()), &browser.stderr)),
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
        Page::new(&self.pipe, &self.stderr, options).await
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

//! The Chromium that is installed: found on PATH, by what it says of itself.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

/// What Chromium is called where; Debian's and nixpkgs' names first.
const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/// `--version` takes some 50 ms.
const VERSION_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of what it answers.
const LONGEST_VERSION: u64 = 1024;

/// The first program on PATH that says it is Chromium or Google Chrome, and what it says: a name alone promises nothing. Asked
/// once.
pub(super) fn found() -> Option<&'static (PathBuf, String)> {
    static FOUND: OnceLock<Option<(PathBuf, String)>> = OnceLock::new();
    let look = || {
        let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
        let mut paths = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        paths.find_map(|path| Some((chromium_says(&path)?, path)).map(|(says, path)| (path, says)))
    };
    FOUND.get_or_init(look).as_ref()
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
    child.stdout.take().filter(|_| ended)?.take(LONGEST_VERSION).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    (text.starts_with("Chromium ") || text.starts_with("Google Chrome ")).then_some(text)
}

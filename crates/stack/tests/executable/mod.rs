//! A program for a test to start.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes an executable shell script, by a process of its own: were it open for writing here, whatever another test starts at
/// that moment would hold it open as well, and a file that anybody may write to can't be started ("Text file busy").
///
/// Its shell is the one on PATH: a Nix sandbox need not have a `/bin/sh`.
pub(crate) fn script(file: &Path, text: &str) {
    let mut writer = Command::new("sh")
        .args(["-c", r##"{ echo "#!$(command -v sh)" && cat; } >"$0" && chmod 755 "$0""##])
        .arg(file)
        .stdin(Stdio::piped())
        .spawn()
        .expect("there is a shell");
    writer.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("the shell reads");
    assert!(writer.wait().expect("the shell ends").success(), "{} is written", file.display());
}

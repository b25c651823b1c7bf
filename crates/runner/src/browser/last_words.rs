//! What Chromium writes to its standard error, kept for the day it dies.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::anyhow;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::pipe::CallError;
use aiclipx_model::failure::Failure;

/// So many lines.
const STDERR_LINES: usize = 20;
/// What marks the line in which Chromium says why it dies; some twenty of its stack follow.
const FATAL: &str = ":FATAL:";

/// The last lines of standard error, shared with the task that reads them.
#[derive(Clone, Default)]
pub(super) struct LastWords(Arc<Mutex<VecDeque<String>>>);

impl LastWords {
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

pub(super) async fn keep(stderr: tokio::process::ChildStderr, lines: LastWords) {
    let mut reader = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = reader.next_line().await {
        lines.push(line);
    }
}

/// Why a call has no answer, and what was to be done by it.
pub(super) fn failed(error: &CallError, doing: &str, stderr: &LastWords) -> Failure {
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

//! Plants lines with secrets in a stack's logs, in a file of their own: the forwarder takes every file there.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context;

use aiclipx_judge::planted::lines;

const LOG: &str = "planted.log";

pub(crate) fn plant(logs: &Path, run: &str) -> anyhow::Result<()> {
    let file = logs.join(LOG);
    let opened = OpenOptions::new().create(true).append(true).open(&file);
    opened
        .and_then(|mut log| log.write_all(lines(run).as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))
}

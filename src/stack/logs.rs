//! The components' log files, read as what they are: one stream of bytes each, which supervisord cuts into files.
//!
//! A cut falls anywhere, usually inside a line, so the rotated files (`app.log.4` … `app.log.1`, `app.log`) are joined
//! before lines are told apart. Lines are passed on as they are; nothing is parsed.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::component::Component;
use super::table::Paint;
use crate::failure::Failure;

/// More rotated files than supervisord is told to keep.
const MOST_ROTATED: usize = 20;
/// How often a followed log is looked at.
const LOOK: Duration = Duration::from_millis(150);

/// What to show.
#[derive(Debug, Clone)]
pub struct Request {
    /// One process (`app`, also `supervisord`); all components' when none is named.
    pub name: Option<String>,
    /// The last so many lines of each; all when not said.
    pub lines: Option<usize>,
    /// Go on with what is written from now on, until interrupted.
    pub follow: bool,
}

/// Writes the logs of a state directory's stack, running or not, to `out`. A reader that goes away ends it quietly.
pub async fn print(state: &Path, request: &Request, out: &mut (dyn Write + Send), paint: Paint) -> Result<(), Failure> {
    match print_all(state, request, out, paint).await? {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::infrastructure(format!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}

async fn print_all(
    state: &Path,
    request: &Request,
    out: &mut (dyn Write + Send),
    paint: Paint,
) -> Result<std::io::Result<()>, Failure> {
    let folder = state.join("logs");
    let names = names(&folder, request.name.as_deref())?;
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let mut streams = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let prefix = paint.numbered(number, &format!("{name:<width$} │ "));
        let path = folder.join(format!("{name}.log"));
        let (mut stream, history) = Stream::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let shown = last(&history, request.lines.unwrap_or(usize::MAX));
        // A follower shows a line when it is whole; who looks once sees all there is.
        let (shown, rest) = if request.follow { split_whole(shown) } else { (shown, &[][..]) };
        stream.partial = rest.to_vec();
        if let Err(error) = write_lines(out, &prefix, shown) {
            return Ok(Err(error));
        }
        streams.push((prefix, stream));
    }
    if !request.follow {
        return Ok(out.flush());
    }
    loop {
        for (prefix, stream) in &mut streams {
            let fresh = stream.fresh();
            if let Err(error) = write_lines(out, prefix, &fresh) {
                return Ok(Err(error));
            }
        }
        if let Err(error) = out.flush() {
            return Ok(Err(error));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The logs there are, in the components' order; or the one asked for, if it is there.
fn names(folder: &Path, wanted: Option<&str>) -> Result<Vec<String>, Failure> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.strip_suffix(".log")).map(str::to_owned))
        .collect();
    let place = |name: &str| {
        let of = |component: &Component| name == component.name() || name.starts_with(&format!("{component}-"));
        Component::ALL.iter().position(of).unwrap_or(usize::MAX)
    };
    names.sort_by_key(|name| (place(name), name.clone()));
    if names.is_empty() {
        return Err(Failure::usage(format!("no logs in {}", folder.display())).remedy("`just up` starts a stack"));
    }
    match wanted {
        None => names.retain(|name| name != "supervisord"),
        Some(wanted) if names.iter().any(|name| name == wanted) => names = vec![wanted.to_owned()],
        Some(wanted) => return Err(Failure::usage(format!("no log of `{wanted}`; there are {}", names.join(", ")))),
    }
    Ok(names)
}

/// The last lines of a file from an offset on, for a person: what is no UTF-8 is replaced.
pub(super) fn last_lines(path: &Path, from: u64, count: usize) -> Vec<String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        // A file shorter than it was has been rotated meanwhile; then all of it is new.
        let from = if file.metadata()?.len() < from { 0 } else { from };
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut bytes)
    });
    match read {
        Ok(_) => String::from_utf8_lossy(last(&bytes, count)).lines().map(str::to_owned).collect(),
        Err(_) => Vec::new(),
    }
}

/// Everything a log holds, oldest byte first: the rotated files and the current one, joined.
pub fn joined(path: &Path) -> std::io::Result<Vec<u8>> {
    Stream::open(path).map(|(_, history)| history)
}

fn rotated(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// The last `count` lines, a last one without its end counted.
fn last(bytes: &[u8], count: usize) -> &[u8] {
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut ends = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(index, _)| index);
    match count.checked_sub(1) {
        None => &[],
        Some(skipped) => ends.nth(skipped).map_or(bytes, |end| &bytes[end + 1..]),
    }
}

/// What ends with a line's end, and the beginning of a line behind it.
fn split_whole(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1))
}

fn write_lines(out: &mut (dyn Write + Send), prefix: &str, bytes: &[u8]) -> std::io::Result<()> {
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        out.write_all(prefix.as_bytes())?;
        out.write_all(line.strip_suffix(b"\n").unwrap_or(line))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// A log being followed through its rotations.
struct Stream {
    path: PathBuf,
    /// The file last read, wherever rotation has moved it.
    file: File,
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
}

impl Stream {
    /// Opens a log and reads what it holds so far.
    fn open(path: &Path) -> std::io::Result<(Stream, Vec<u8>)> {
        loop {
            // The current file first: if it is rotated while the older ones are read, its name is another's, and we begin again.
            let mut file = File::open(path)?;
            let mut older = VecDeque::new();
            for number in 1..=MOST_ROTATED {
                match std::fs::read(rotated(path, number)) {
                    Ok(bytes) => older.push_front(bytes),
                    Err(error) if error.kind() == ErrorKind::NotFound => break,
                    Err(error) => return Err(error),
                }
            }
            let mut history: Vec<u8> = older.into_iter().flatten().collect();
            file.read_to_end(&mut history)?;
            if inode(path) == Some(file.metadata()?.ino()) {
                return Ok((Stream { path: path.to_owned(), file, partial: Vec::new() }, history));
            }
        }
    }

    /// The whole lines written since the last call.
    fn fresh(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.partial);
        let _ = self.file.read_to_end(&mut bytes);
        let ours = self.file.metadata().map(|meta| meta.ino()).ok();
        if inode(&self.path).is_some_and(|current| Some(current) != ours) {
            // Rotated, so nothing more is written to ours: read its rest, then those that came after it.
            let _ = self.file.read_to_end(&mut bytes);
            let place = (1..=MOST_ROTATED).find(|number| inode(&rotated(&self.path, *number)) == ours);
            for number in (1..place.unwrap_or(1)).rev() {
                bytes.extend(std::fs::read(rotated(&self.path, number)).unwrap_or_default());
            }
            if let Ok(file) = File::open(&self.path) {
                self.file = file;
                let _ = self.file.read_to_end(&mut bytes);
            }
        }
        let (whole, rest) = split_whole(&bytes);
        self.partial = rest.to_vec();
        whole.to_vec()
    }
}

fn inode(path: &Path) -> Option<u64> {
    path.metadata().map(|meta| meta.ino()).ok()
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    fn append(path: &Path, text: &str) {
        OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// What supervisord does when a log is full.
    fn rotate(path: &Path) {
        for number in (1..MOST_ROTATED).rev() {
            let _ = std::fs::rename(rotated(path, number), rotated(path, number + 1));
        }
        std::fs::rename(path, rotated(path, 1)).unwrap();
        append(path, "");
    }

    #[test]
    fn a_line_cut_by_rotation_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("app.log");
        append(&log, "one\ntw");
        rotate(&log);
        append(&log, "o\nthr");
        rotate(&log);
        append(&log, "ee\n");
        assert_eq!(joined(&log).unwrap(), b"one\ntwo\nthree\n");
    }

    #[test]
    fn a_follower_loses_nothing_in_rotations() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("app.log");
        append(&log, "one\n");
        let (mut stream, history) = Stream::open(&log).unwrap();
        assert_eq!(history, b"one\n");
        append(&log, "two\nthr");
        assert_eq!(stream.fresh(), b"two\n");
        append(&log, "ee\nfo");
        rotate(&log);
        append(&log, "ur\n");
        rotate(&log);
        append(&log, "five\n");
        assert_eq!(stream.fresh(), b"three\nfour\nfive\n");
        assert_eq!(stream.fresh(), b"");
    }

    #[test]
    fn the_last_lines_are_counted_from_the_end() {
        let text = b"one\ntwo\nthree";
        assert_eq!(last(text, 1), b"three");
        assert_eq!(last(text, 2), b"two\nthree");
        assert_eq!(last(text, 9), text);
        assert_eq!(last(b"one\ntwo\n", 1), b"two\n");
        assert_eq!(last(text, 0), b"");
        assert_eq!(last(b"", 3), b"");
    }

    #[tokio::test]
    async fn each_line_carries_its_components_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("logs")).unwrap();
        append(&folder.path().join("logs/receiver.log"), "r1\n");
        append(&folder.path().join("logs/app.log"), "a1\na2\n");
        append(&folder.path().join("logs/supervisord.log"), "not asked for\n");
        let mut out = Vec::new();
        let request = Request { name: None, lines: Some(1), follow: false };
        print(folder.path(), &request, &mut out, Paint::for_stdout()).await.unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "app      │ a2\nreceiver │ r1\n");
        let request = Request { name: Some("loki".to_owned()), ..request };
        let failure = print(folder.path(), &request, &mut Vec::new(), Paint::for_stdout()).await.unwrap_err();
        assert!(failure.to_string().contains("there are app, receiver, supervisord"), "{failure}");
    }
}

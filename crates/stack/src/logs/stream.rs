//! A component's log as what it is: one stream of bytes, which supervisord cuts into files.
//!
//! A cut falls anywhere, usually inside a line, so the rotated files (`app.log.4` … `app.log.1`, `app.log`) are joined
//! before lines are told apart. supervisord renames them one after the other while we look: files are taken by handle, and
//! a look during which a name moved is done again, so that no byte is read twice or passed over.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aiclipx_model::files;

/// More rotated files than supervisord is told to keep.
pub(super) const MOST_ROTATED: usize = 20;
/// A rotation is some renames; a name that is missing for longer is not coming.
const LOOKS: usize = 200;
/// Between two looks at names that moved.
const PAUSE: Duration = Duration::from_millis(1);

/// A log being followed through its rotations.
pub(super) struct Stream {
    path: PathBuf,
    /// The file last read, wherever rotation has moved it. Held open, so that its number is nobody else's.
    file: File,
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
}

/// What was written since the last look.
pub(super) struct Fresh {
    /// Whole lines.
    pub(super) lines: Vec<u8>,
    /// The log was rotated away more often than files are kept: what lay between is gone.
    pub(super) gap: bool,
}

impl Stream {
    /// Opens a log and reads the last `most` bytes of what it holds so far, oldest first: from the beginning of a line, and
    /// whether that is all there is.
    pub(super) fn open(path: &Path, most: u64) -> io::Result<(Stream, Vec<u8>, bool)> {
        let mut files = files(path)?;
        let mut pieces = Vec::new();
        let (mut left, mut is_all) = (most, true);
        for (_, file) in files.iter_mut().rev() {
            let length = file.metadata()?.len();
            let skipped = length.saturating_sub(left);
            left = left.saturating_sub(length);
            is_all &= skipped == 0;
            file.seek(SeekFrom::Start(skipped))?;
            if skipped < length {
                let mut piece = Vec::new();
                file.read_to_end(&mut piece)?;
                pieces.push(piece);
            }
        }
        pieces.reverse();
        let mut history = pieces.concat();
        if !is_all {
            let begins = history.iter().position(|byte| *byte == b'\n').map_or(history.len(), |end| end + 1);
            history.drain(..begins);
        }
        let (_, file) = files.pop().ok_or(ErrorKind::NotFound)?;
        Ok((Stream { path: path.to_owned(), file, partial: Vec::new() }, history, is_all))
    }

    /// Splits the beginning of a last line off what [`open`](Stream::open) read, to be shown once it is whole.
    pub(super) fn keep_partial(&mut self, history: &mut Vec<u8>) {
        self.partial = history.split_off(whole(history));
    }

    /// The whole lines written since the last call. A log that can't be looked at now is looked at the next time.
    pub(super) fn fresh(&mut self) -> Fresh {
        let mut bytes = std::mem::take(&mut self.partial);
        let mut gap = false;
        // What is appended to a file in vain is read again from there: `read_to_end` keeps the bytes before an error.
        let _ = self.file.read_to_end(&mut bytes);
        let ours = self.file.metadata().map(|meta| number(&meta)).ok();
        if inode(&self.path).is_some_and(|current| Some(current) != ours)
            && let Ok(mut files) = files(&self.path)
        {
            // Rotated, so nothing more is written to ours: its rest, then those that came after it.
            let _ = self.file.read_to_end(&mut bytes);
            let place = files.iter().position(|(inode, _)| Some(*inode) == ours);
            gap = place.is_none();
            for (_, file) in files.iter_mut().skip(place.map_or(0, |place| place + 1)) {
                let _ = file.read_to_end(&mut bytes);
            }
            if let Some((_, file)) = files.pop() {
                self.file = file;
            }
        }
        self.partial = bytes.split_off(whole(&bytes));
        Fresh { lines: bytes, gap }
    }
}

/// The files of a log, oldest first, the current one last, as they all were at one moment.
fn files(path: &Path) -> io::Result<Vec<(u64, File)>> {
    let mut looks = 0;
    loop {
        looks += 1;
        let before = names(path)?;
        // In the middle of a rotation a name is missing: the current one, or one between two others.
        let settled = before.keys().copied().eq(0..before.len());
        if settled || (looks >= LOOKS && before.contains_key(&0)) {
            let opened: io::Result<Vec<_>> = before
                .keys()
                .rev()
                .map(|place| files::open(&name(path, *place)).and_then(|file| Ok((number(&file.metadata()?), file))))
                .collect();
            match opened {
                Ok(files)
                    if files.iter().map(|(inode, _)| inode).eq(before.values().rev()) && names(path)? == before =>
                {
                    return Ok(files);
                }
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if before.is_empty() || looks >= 2 * LOOKS {
            return Err(ErrorKind::NotFound.into());
        }
        std::thread::sleep(PAUSE);
    }
}

/// What each place holds now: 0 is the current file, higher is older.
fn names(path: &Path) -> io::Result<BTreeMap<usize, u64>> {
    let mut names = BTreeMap::new();
    for place in 0..=MOST_ROTATED {
        match name(path, place).metadata() {
            Ok(meta) => {
                names.insert(place, number(&meta));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(names)
}

pub(super) fn name(path: &Path, place: usize) -> PathBuf {
    if place == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{place}"));
    PathBuf::from(name)
}

fn inode(path: &Path) -> Option<u64> {
    path.metadata().map(|meta| number(&meta)).ok()
}

fn number(meta: &Metadata) -> u64 {
    meta.ino()
}

/// Where the last whole line ends.
fn whole(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn append(path: &Path, bytes: &[u8]) {
        OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(bytes).unwrap();
    }

    /// What supervisord does when a log is full and `kept` old ones may stay: `RotatingFileHandler.doRollover`.
    fn rotate(path: &Path, kept: usize) {
        for place in (1..kept).rev() {
            if name(path, place).exists() {
                std::fs::rename(name(path, place), name(path, place + 1)).unwrap();
            }
        }
        std::fs::rename(path, name(path, 1)).unwrap();
        append(path, b"");
    }

    fn joined(path: &Path) -> Vec<u8> {
        Stream::open(path, u64::MAX).unwrap().1
    }

    #[test]
    fn the_end_of_a_log_is_read_without_what_is_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("app.log");
        append(&log, b"one\ntwo\n");
        rotate(&log, 4);
        append(&log, b"three\n");
        for (most, end, is_all) in [
            (0, "", false),
            (3, "", false),
            (6, "", false),
            (8, "three\n", false),
            (12, "two\nthree\n", false),
            (14, "one\ntwo\nthree\n", true),
            (u64::MAX, "one\ntwo\nthree\n", true),
        ] {
            let (mut stream, history, all) = Stream::open(&log, most).unwrap();
            assert_eq!((String::from_utf8(history).unwrap().as_str(), all), (end, is_all), "{most}");
            assert_eq!(stream.fresh().lines, b"", "what was skipped is not new");
        }
    }

    #[test]
    fn a_line_cut_by_rotation_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("app.log");
        append(&log, b"one\ntw");
        rotate(&log, 4);
        append(&log, b"o\nthr");
        rotate(&log, 4);
        append(&log, b"ee\n");
        assert_eq!(joined(&log), b"one\ntwo\nthree\n");
    }

    #[test]
    fn a_follower_loses_nothing_in_rotations() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("app.log");
        append(&log, b"one\n");
        let (mut stream, history, _) = Stream::open(&log, u64::MAX).unwrap();
        assert_eq!(history, b"one\n");
        append(&log, b"two\nthr");
        assert_eq!(stream.fresh().lines, b"two\n");
        append(&log, b"ee\nfo");
        rotate(&log, 4);
        append(&log, b"ur\n");
        rotate(&log, 4);
        append(&log, b"five\n");
        let fresh = stream.fresh();
        assert_eq!((&fresh.lines[..], fresh.gap), (&b"three\nfour\nfive\n"[..], false));
        assert_eq!(stream.fresh().lines, b"");
    }

    #[test]
    fn a_follower_that_was_overtaken_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("app.log");
        append(&log, b"one\n");
        let (mut stream, ..) = Stream::open(&log, u64::MAX).unwrap();
        for _ in 0..4 {
            append(&log, b"more\n");
            rotate(&log, 2);
        }
        append(&log, b"last\n");
        // The first file is still held open, so its rest is not lost; what lay between is.
        let fresh = stream.fresh();
        assert_eq!((&fresh.lines[..], fresh.gap), (&b"more\nmore\nmore\nlast\n"[..], true));
    }

    #[test]
    fn a_log_whose_name_is_missing_for_a_moment_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("app.log");
        append(&name(&log, 2), b"one\n");
        append(&log, b"two\n");
        let late = (name(&log, 2), name(&log, 1));
        let rename = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            std::fs::rename(late.0, late.1).unwrap();
        });
        assert_eq!(joined(&log), b"one\ntwo\n");
        rename.join().unwrap();
        assert!(Stream::open(&folder.path().join("no.log"), u64::MAX).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is written, wherever it is cut, whenever it is read: the same bytes, in their order, once.
        #[test]
        fn joined_files_are_the_bytes_that_were_written(
            steps in prop::collection::vec((prop::collection::vec(prop::num::u8::ANY, 0..40), any::<bool>(), any::<bool>()), 0..16),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let log = folder.path().join("app.log");
            append(&log, b"");
            let (mut stream, mut followed, _) = Stream::open(&log, u64::MAX).unwrap();
            let mut written: Vec<u8> = Vec::new();
            for (bytes, rotates, reads) in &steps {
                append(&log, bytes);
                written.extend(bytes);
                if *rotates {
                    rotate(&log, MOST_ROTATED);
                }
                if *reads {
                    followed.extend(stream.fresh().lines);
                }
            }
            prop_assert_eq!(joined(&log), &written[..]);
            followed.extend(stream.fresh().lines);
            followed.extend(&stream.partial);
            prop_assert_eq!(followed, written);
        }
    }
}

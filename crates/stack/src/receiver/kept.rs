//! What was notified, as it is kept: a JSON object a line, in a file that is put aside when it is full.
//!
//! One old file is kept, `….1`: so there are always the last [`FULL`] bytes at least, and never much more than twice as
//! many. Who reads begins at the end and stops where the time asked for begins: that costs as much as was received since,
//! however old the stack is. A line is kept only if [`Notification::read`](aiclipx_model::notification::Notification::read) reads it; evidence reads with nothing else.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt;

/// A file of so many bytes is put aside: half a day of what a stack is notified of at thirty times production speed.
const FULL: u64 = 32 << 20;
/// Read at once from the end.
const PIECE: u64 = 64 << 10;

/// The file that notifications are appended to.
pub(super) struct Kept {
    pub(super) path: PathBuf,
    file: tokio::fs::File,
    full: u64,
}

impl Kept {
    pub(super) async fn open(path: &Path) -> io::Result<Kept> {
        Kept::open_until(path, FULL).await
    }

    async fn open_until(path: &Path, full: u64) -> io::Result<Kept> {
        Ok(Kept { path: path.to_owned(), file: appended(path).await?, full })
    }

    /// One line, with its end: all of it or nothing.
    pub(super) async fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let mut before = self.file.metadata().await?.len();
        if before > 0 && before + line.len() as u64 > self.full {
            tokio::fs::rename(&self.path, aside(&self.path)).await?;
            self.file = appended(&self.path).await?;
            before = 0;
        }
        let written = match self.file.write_all(line).await {
            Ok(()) => self.file.flush().await,
            Err(error) => Err(error),
        };
        let Err(error) = written else { return Ok(()) };
        match self.file.set_len(before).await {
            Ok(()) => Err(error),
            Err(second) => Err(io::Error::other(format!("{error}; what was half written stays: {second}"))),
        }
    }
}

async fn appended(path: &Path) -> io::Result<tokio::fs::File> {
    OpenOptions::new().create(true).append(true).open(path).await
}

/// Where a full file is put.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

/// The lines received from a time on, oldest first, each with its end; nothing where they are more than `most` bytes. Fails
/// where what is kept does not reach back to that time, or holds a line that tells none.
///
/// Lines are in the order they came in. A clock that was set back meanwhile does no harm while what came before it catches
/// up is less than a piece.
pub fn since(path: &Path, since_ms: i64, most: usize) -> io::Result<Option<String>> {
    // Newest first.
    let mut told: Vec<String> = Vec::new();
    let mut bytes = 0;
    let mut known = None;
    let mut reaches_back = false;
    let in_order = |told: Vec<String>| Ok(Some(told.into_iter().rev().collect()));
    for (path, is_aside) in [(path.to_owned(), false), (aside(path), true)] {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        // Put aside between the two looks, it is the same file twice.
        let inode = file.metadata()?.ino();
        if known.replace(inode) == Some(inode) {
            continue;
        }
        let wrong = |why: String| io::Error::new(ErrorKind::InvalidData, why);
        let mut pieces = Backwards { at: file.metadata()?.len(), file, rest: Vec::new(), settled: false };
        while let Some(piece) = pieces.next()? {
            let piece = String::from_utf8(piece).map_err(|error| wrong(error.to_string()))?;
            let before = told.len();
            for line in piece.split_inclusive('\n').rev() {
                if received_ms(line).map_err(|error| wrong(format!("a line tells no time: {error}")))? >= since_ms {
                    bytes += line.len();
                    told.push(line.to_owned());
                } else {
                    reaches_back = true;
                }
                if bytes > most {
                    return Ok(None);
                }
            }
            if told.len() == before {
                return in_order(told);
            }
        }
        if is_aside && !reaches_back && since_ms > i64::MIN {
            return Err(wrong("it does not reach back that far; what is older is no longer kept".to_owned()));
        }
    }
    in_order(told)
}

fn received_ms(line: &str) -> serde_json::Result<i64> {
    #[derive(Deserialize)]
    struct Line {
        received_ms: i64,
    }
    serde_json::from_str(line).map(|Line { received_ms }| received_ms)
}

/// A file's whole lines from its end to its beginning, some at once.
struct Backwards {
    file: File,
    /// What lies before is not read yet.
    at: u64,
    /// The end of a line whose beginning is not read yet.
    rest: Vec<u8>,
    /// Whether the last line's end was found: what is being written at this moment is none yet.
    settled: bool,
}

impl Backwards {
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        while self.at > 0 {
            let length = self.at.min(PIECE);
            self.at -= length;
            let mut piece = vec![0; usize::try_from(length).map_err(io::Error::other)?];
            self.file.read_exact_at(&mut piece, self.at)?;
            piece.append(&mut self.rest);
            if !self.settled {
                piece.truncate(piece.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
                self.settled = !piece.is_empty();
            }
            if self.at > 0 {
                let begins = piece.iter().position(|byte| *byte == b'\n').map_or(piece.len(), |end| end + 1);
                self.rest = piece;
                piece = self.rest.split_off(begins);
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn line(received_ms: i64, length: usize) -> String {
        format!("{{\"received_ms\":{received_ms},\"body\":\"{}\"}}\n", "x".repeat(length))
    }

    fn all(path: &Path, since_ms: i64) -> String {
        since(path, since_ms, usize::MAX).unwrap().unwrap()
    }

    #[tokio::test]
    async fn what_is_full_is_put_aside_and_a_window_is_whole_across_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notifications.jsonl");
        let mut kept = Kept::open_until(&path, 1000).await.unwrap();
        for at in 0..100 {
            kept.append(line(at, 60).as_bytes()).await.unwrap();
        }
        let files: Vec<u64> = [path.clone(), aside(&path)].map(|file| file.metadata().unwrap().len()).to_vec();
        assert!(files.iter().all(|bytes| *bytes <= 1000) && files[1] > 900, "{files:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        let first_kept = received_ms(std::fs::read_to_string(aside(&path)).unwrap().lines().next().unwrap()).unwrap();
        assert!(first_kept > 70);
        let window = first_kept + 1;
        assert_eq!(all(&path, window), (window..100).map(|at| line(at, 60)).collect::<String>());
        assert_eq!(all(&path, 200), "");
        // Of what was before nobody knows whether there was more.
        let lost = since(&path, first_kept, usize::MAX).unwrap_err();
        assert!(lost.to_string().contains("no longer kept"), "{lost}");
        assert_eq!(since(&path, window, 100).unwrap(), None);
    }

    #[test]
    fn a_file_that_is_put_aside_between_the_two_looks_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n.jsonl");
        std::fs::write(&path, line(1, 5) + &line(2, 5)).unwrap();
        // As it is seen when it is renamed after it was opened: by both names the same.
        std::fs::hard_link(&path, aside(&path)).unwrap();
        assert_eq!(all(&path, i64::MIN), line(1, 5) + &line(2, 5));
        assert_eq!(all(&path, 2), line(2, 5));
        // Nor is it then said that something older was lost.
        assert_eq!(all(&path, 0), line(1, 5) + &line(2, 5));
    }

    #[test]
    fn a_line_that_is_being_written_is_none_yet_and_one_without_a_time_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n.jsonl");
        assert_eq!(all(&path, 0), "", "nothing was ever notified");
        let mut file = File::create(&path).unwrap();
        write!(file, "{}{}{{\"received_ms\":", line(1, 5), line(2, 5)).unwrap();
        assert_eq!(all(&path, 2), line(2, 5));
        writeln!(file, "oh").unwrap();
        assert!(since(&path, 2, usize::MAX).unwrap_err().to_string().contains("a line tells no time"));
    }

    /// The bytes that were looked at are not counted in time but in what would have stopped the reader.
    #[test]
    fn what_is_older_than_the_window_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n.jsonl");
        let old = "no line at all\n".repeat(10_000);
        let older = line(1, 100).repeat(2 * usize::try_from(PIECE).unwrap() / 100);
        std::fs::write(&path, old + &older + &line(7, 10)).unwrap();
        assert_eq!(all(&path, 5), line(7, 10));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_is_written_is_told_from_its_time_on(
            lengths in prop::collection::vec(prop_oneof![0usize..200, 60_000usize..70_000], 1..12),
            from in 0usize..14,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("n.jsonl");
            let lines: Vec<String> = lengths.iter().enumerate().map(|(at, length)| line(i64::try_from(at).unwrap(), *length)).collect();
            std::fs::write(&path, lines.concat()).unwrap();
            let expected = lines.iter().skip(from).map(String::as_str).collect::<String>();
            prop_assert_eq!(all(&path, i64::try_from(from).unwrap()), expected);
        }
    }
}

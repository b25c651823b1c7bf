//! What one of several generators leaves: the lines of the ledger that are of its own requests.
//!
//! JSON lines: the part's head, then one a request in the order of their numbers, as the ledger will have them, then the
//! SHA-256 of all before it. A file that was cut short on its way, or changed, is told by it; that nobody changed file and sum
//! together is not.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::ledger::{self, Entry, Head, Ledger, write_line};
use super::shard::Shard;
use crate::failure::{Failure, Finding};
use crate::files;
use crate::sum::Sum;

/// No line of a part is longer: a file without an end of line does not take all memory.
const LONGEST_LINE: u64 = 1 << 20;

/// What the first line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartHead {
    pub(super) shard: Shard,
    /// When all were to start, Unix microseconds, if not each when it came up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start_at_unix_us: Option<u64>,
    /// The head of the whole run's ledger, with this generator's own times.
    pub(super) run: Head,
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    sha256: String,
}

/// What a generator has to leave.
#[derive(Debug)]
pub struct Part<'a> {
    pub shard: Shard,
    /// When all were to start, Unix microseconds, if not each when it came up.
    pub start_at_unix_us: Option<u64>,
    /// How many requests the whole schedule holds.
    pub scheduled: u64,
    /// Of its own requests.
    pub sent: &'a Ledger,
}

impl Part<'_> {
    /// Writes the part: one that is there is whole.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let run = Head { scheduled: self.scheduled, ..self.sent.head.clone() };
        let head = PartHead { shard: self.shard, start_at_unix_us: self.start_at_unix_us, run };
        ledger::write_to(path, |out| {
            let mut out = Summed { out, sum: Sum::new() };
            write_line(&mut out, &head)?;
            self.sent.entries.iter().try_for_each(|entry| write_line(&mut out, entry))?;
            let Summed { out, sum } = out;
            write_line(out, &Seal { sha256: sum.hex() })
        })
    }
}

/// Writes, and sums what it wrote.
struct Summed<'a> {
    out: &'a mut dyn Write,
    sum: Sum,
}

impl Write for Summed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sum.add(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A part that is being read, a line at a time, however long it is.
pub(super) struct Reader {
    pub(super) path: PathBuf,
    pub(super) head: PartHead,
    lines: BufReader<File>,
    sum: Sum,
    /// Lines read.
    line: usize,
    /// Entries read.
    place: u64,
}

impl Reader {
    /// Reads its head.
    pub(super) fn open(path: &Path) -> Result<Reader, Failure> {
        let file = files::open(path).with_context(|| format!("cannot read the part {}", path.display()));
        let mut lines = BufReader::new(file.map_err(Failure::usage)?);
        let mut sum = Sum::new();
        let read = next_line(&mut lines, &mut sum).and_then(|text| {
            let text = text.ok_or("an empty file is no part of a ledger")?;
            let head = serde_json::from_str::<PartHead>(&text);
            let head = head.map_err(|error| match serde_json::from_str::<Head>(&text) {
                Ok(_) => "it is a whole ledger, and no part of one: `--shard` makes parts".to_owned(),
                Err(_) => format!("not the head of a part: {error}"),
            })?;
            head.run.check()?;
            Ok(head)
        });
        let wrong = |what| vec![Finding { file: path.to_owned(), line: 1, what, remedy: String::new() }];
        let head = read.map_err(wrong)?;
        Ok(Reader { path: path.to_owned(), head, lines, sum, line: 1, place: 0 })
    }

    /// The next request and its line; none once all are read, and are what was written.
    pub(super) fn next(&mut self) -> Result<Option<(Entry, String)>, Finding> {
        self.line += 1;
        self.read().map_err(|what| self.wrong(what))
    }

    /// Something wrong in the line that was read last.
    pub(super) fn wrong(&self, what: String) -> Finding {
        let remedy = "have the part copied again, or the run made anew".to_owned();
        Finding { file: self.path.clone(), line: self.line, what, remedy }
    }

    fn read(&mut self) -> Result<Option<(Entry, String)>, String> {
        let PartHead { shard, run, .. } = &self.head;
        let own = shard.count(run.scheduled);
        let before = self.sum.clone();
        let cut = || format!("it ends after {} of {own} requests: it was cut short", self.place);
        let text = next_line(&mut self.lines, &mut self.sum)?.ok_or_else(cut)?;
        if self.place < own {
            if serde_json::from_str::<Seal>(&text).is_ok() {
                return Err(format!("{} of {own} requests have a line", self.place));
            }
            let entry = Entry::from_line(&text, run, shard.seq(self.place))?;
            self.place += 1;
            return Ok(Some((entry, text)));
        }
        let Ok(seal) = serde_json::from_str::<Seal>(&text) else {
            return Err(format!("its {own} requests have a line, and this is one more"));
        };
        if seal.sha256 != before.hex() {
            return Err("its lines are not those that were written: it was changed since".to_owned());
        }
        self.line += 1;
        match next_line(&mut self.lines, &mut self.sum)? {
            Some(_) => Err("the sum is its last line, and more follows".to_owned()),
            None => Ok(None),
        }
    }
}

/// A line without its end; one that has no end was cut short. None at the end of the file.
fn next_line(lines: &mut impl BufRead, sum: &mut Sum) -> Result<Option<String>, String> {
    let mut bytes = Vec::new();
    lines.take(LONGEST_LINE).read_until(b'\n', &mut bytes).map_err(|error| format!("it can't be read: {error}"))?;
    sum.add(&bytes);
    match bytes.pop() {
        None => Ok(None),
        Some(b'\n') => String::from_utf8(bytes).map(Some).map_err(|error| error.utf8_error().to_string()),
        Some(_) => Err("this line has no end: the file was cut short".to_owned()),
    }
}

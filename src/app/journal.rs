//! Logs: one JSON object a line on stdout, panics included, and never a request that waits for their reader.
//!
//! `env_logger` formats and filters; lines go into a bounded queue, and one thread owns stdout and writes what waits there,
//! whole lines only, never more than a pipe takes at once. A full queue drops the line and counts it. What third parties log
//! is kept at warn and above.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use env_logger::fmt::Formatter;
use log::kv::{self, Key, Value, VisitSource, VisitValue};
use log::{LevelFilter, Record};
use once_cell::sync::OnceCell;
use prometheus::IntCounter;
use serde::ser::{SerializeMap, Serializer};

/// Lines that may wait for stdout. At some 250 bytes a line, 1 MB.
const QUEUE_LINES: usize = 4096;

/// `PIPE_BUF`: a write of no more is never torn by a pipe, so whoever reads sees whole lines even if we are killed.
const WRITE_BYTES: usize = 4096;

/// Between two looks into the queue. Waking a thread and a write cost more than a request: a busy service pays for them a
/// thousand times a second at most, and not for every line.
const NAP: Duration = Duration::from_millis(1);

/// The writer that logger and panic hook share: the service's one global. Of `once_cell`, because making it can fail
/// and std's `OnceLock` has no stable `get_or_try_init`.
static JOURNAL: OnceCell<Journal> = OnceCell::new();

/// The way to stdout.
pub struct Journal {
    queue: SyncSender<Entry>,
}

enum Entry {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

impl Journal {
    /// Installs the process's logger and panic hook; once, a second call returns what stands. `dropped` counts the
    /// lines that nobody read in time. Fails when the process has another logger or no thread left.
    pub fn install(level: LevelFilter, dropped: &IntCounter) -> io::Result<&'static Journal> {
        JOURNAL.get_or_try_init(|| {
            let (queue, entries) = sync_channel(QUEUE_LINES);
            let lost = dropped.clone();
            std::thread::Builder::new()
                .name("journal".to_owned())
                .spawn(move || write_out(&entries, io::stdout(), &lost))?;
            let pipe = Pipe { queue: queue.clone(), dropped: dropped.clone() };
            let logger = env_logger::Builder::new()
                .filter_level(level.min(LevelFilter::Warn))
                .filter_module("aiclipx", level)
                .format(write_line)
                .target(env_logger::Target::Pipe(Box::new(pipe)))
                .build();
            log::set_max_level(logger.filter());
            log::set_boxed_logger(Box::new(logger)).map_err(io::Error::other)?;
            std::panic::set_hook(Box::new(|panic| {
                // Where, and not what: a payload may quote the client.
                let place = panic.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
                let thread = std::thread::current();
                let thread = thread.name().unwrap_or("unnamed");
                log::error!(target: "aiclipx::panic", place, thread; "Panicked.");
                // The end of the main thread is the end of the process.
                if let Some(journal) = JOURNAL.get().filter(|_| thread == "main") {
                    journal.flush(Duration::from_secs(1));
                }
            }));
            Ok(Journal { queue })
        })
    }

    /// Waits until everything logged so far is written, but no longer than `limit`. Whether it is.
    pub fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let (done, written) = sync_channel(1);
        let mut flush = Entry::Flush(done);
        loop {
            match self.queue.try_send(flush) {
                Ok(()) => return written.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok(),
                Err(TrySendError::Full(back)) if Instant::now() < deadline => flush = back,
                Err(_) => return false,
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The thread that owns stdout.
fn write_out(entries: &Receiver<Entry>, mut out: impl Write, lost: &IntCounter) {
    let mut lines = Lines::default();
    let mut next = entries.recv();
    while let Ok(entry) = next {
        match entry {
            Entry::Line(line) => {
                if lines.bytes.len() + line.len() > WRITE_BYTES {
                    lines.write(&mut out, lost);
                }
                lines.bytes.extend(line);
                lines.count += 1;
            }
            Entry::Flush(done) => {
                lines.write(&mut out, lost);
                // Who asked may have stopped waiting.
                let _ = done.try_send(());
            }
        }
        next = entries.try_recv().map_err(|_| RecvError).or_else(|_| {
            lines.write(&mut out, lost);
            std::thread::sleep(NAP);
            entries.recv()
        });
    }
    lines.write(&mut out, lost);
}

/// Whole lines that wait to be written together.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    count: u64,
}

impl Lines {
    fn write(&mut self, out: &mut impl Write, lost: &IntCounter) {
        if out.write_all(&self.bytes).and_then(|()| out.flush()).is_err() {
            lost.inc_by(self.count);
        }
        self.bytes.clear();
        self.count = 0;
    }
}

/// What `env_logger` writes to: it hands over a whole line at a time.
struct Pipe {
    queue: SyncSender<Entry>,
    dropped: IntCounter,
}

impl Write for Pipe {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Entry::Line(line.to_vec())).is_err() {
            self.dropped.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // called for every record; `Journal::flush` is the one that waits
    }
}

/// The keys every line has; a field of the same name would make two.
const FIXED: [&str; 4] = ["ts", "level", "target", "msg"];

fn write_line(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let time = out.timestamp_millis().to_string();
    write_json(&mut *out, &time, record)?;
    out.write_all(b"\n")
}

fn write_json(out: impl Write, time: &str, record: &Record<'_>) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::new(out);
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("ts", time)?;
    map.serialize_entry("level", record.level().as_str())?;
    map.serialize_entry("target", record.target())?;
    map.serialize_entry("msg", record.args())?;
    record.key_values().visit(&mut Fields(&mut map)).map_err(io::Error::other)?;
    map.end()?;
    Ok(())
}

/// Writes a record's fields, numbers as numbers.
struct Fields<'a, M>(&'a mut M);

impl<'kvs, M: SerializeMap> VisitSource<'kvs> for Fields<'_, M> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        if FIXED.contains(&key.as_str()) {
            return Ok(());
        }
        self.0.serialize_key(key.as_str()).map_err(|_| kv::Error::msg("a key was not written"))?;
        value.visit(FieldValue(self.0))
    }
}

struct FieldValue<'a, M>(&'a mut M);

impl<M: SerializeMap> FieldValue<'_, M> {
    fn write(self, value: &(impl serde::Serialize + ?Sized)) -> Result<(), kv::Error> {
        self.0.serialize_value(value).map_err(|_| kv::Error::msg("a value was not written"))
    }
}

impl<M: SerializeMap> VisitValue<'_> for FieldValue<'_, M> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        FieldValue(self.0).write(&value.to_string())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        FieldValue(self.0).write(&())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        FieldValue(self.0).write(&value)
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        FieldValue(self.0).write(&value)
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        FieldValue(self.0).write(&value)
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        FieldValue(self.0).write(&value)
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        FieldValue(self.0).write(value)
    }
}

#[cfg(test)]
mod tests {
    use log::Level;

    use super::*;

    fn line(record: &Record<'_>) -> serde_json::Value {
        let mut out = Vec::new();
        write_json(&mut out, "2026-01-02T03:04:05.678Z", record).unwrap();
        assert!(!out.contains(&b'\n'));
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn numbers_stay_numbers_and_no_text_can_forge_a_line() {
        let fields = [
            ("status", Value::from(200u16)),
            ("seconds", Value::from(0.25)),
            ("path", Value::from("a\n{\"level\":\"ERROR\"}\u{1b}[31m")),
            ("level", Value::from("forged")),
        ];
        let record = Record::builder()
            .args(format_args!("two\nlines"))
            .level(Level::Info)
            .target("aiclipx::access")
            .key_values(&fields)
            .build();
        let expected = serde_json::json!({
            "ts": "2026-01-02T03:04:05.678Z", "level": "INFO", "target": "aiclipx::access", "msg": "two\nlines",
            "status": 200, "seconds": 0.25, "path": "a\n{\"level\":\"ERROR\"}\u{1b}[31m",
        });
        assert_eq!(line(&record), expected);
    }

    #[test]
    fn a_queue_nobody_reads_drops_lines_and_counts_them() {
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let (queue, entries) = sync_channel(2);
        let mut pipe = Pipe { queue, dropped: dropped.clone() };
        for _ in 0..5 {
            pipe.write_all(b"line\n").unwrap();
        }
        assert_eq!(dropped.get(), 3);
        drop(pipe);
        let mut out = Vec::new();
        write_out(&entries, &mut out, &dropped);
        assert_eq!(out, b"line\nline\n");
    }

    /// Remembers each write; refuses all after the first so many.
    struct Writes(Vec<Vec<u8>>, usize);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.len() == self.1 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_waits_is_written_in_whole_lines_and_what_is_not_written_is_counted() {
        let lost = IntCounter::new("lost", "lost").unwrap();
        let (queue, entries) = sync_channel(100);
        let line = [[b'x'; 999].as_slice(), b"\n"].concat();
        for _ in 0..10 {
            queue.send(Entry::Line(line.clone())).unwrap();
        }
        drop(queue);
        let mut out = Writes(Vec::new(), 2);
        write_out(&entries, &mut out, &lost);
        assert_eq!(out.0, [line.repeat(4), line.repeat(4)]);
        assert_eq!(lost.get(), 2);
    }
}

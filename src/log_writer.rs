//! Logs: one JSON object a line on stdout, panics included. No request ever waits for whoever reads them.
//!
//! `env_logger` formats and filters all but the access log, which [`access`](super::access) formats. Lines go into one bounded
//! queue; one thread owns stdout and writes what is queued. Lines that the full queue or stdout (a full disk) does not take are
//! dropped and counted; a line that stdout took in part is finished before any other. Libraries are logged from warn upwards.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use env_logger::fmt::Formatter;
use hyper::header::HeaderValue;
use log::kv::{self, Key, Value, VisitSource, VisitValue};
use log::{LevelFilter, Record};
use once_cell::sync::OnceCell;
use prometheus::IntCounter;
use serde::ser::{SerializeMap, Serializer};

/// Lines that may wait, and as many again may be on their way to stdout: at some 220 bytes a line, 2300.
const QUEUE_BYTES: usize = 512 << 10;

/// `PIPE_BUF`: a write of no more is never torn by a pipe, so whoever reads sees whole lines even if we are killed.
const PIPE_BYTES: usize = 4096;

/// What a file takes at once: it gets all or, out of room, a part, but is never killed in the middle.
const FILE_BYTES: usize = 64 << 10;

/// Between two looks into the queue, at most and at least. To wake a thread and to write cost more than a request, and where
/// there is one processor requests wait for both: a busy service pays for them 200 to 1000 times a second, not for every line.
const LONGEST_NAP: Duration = Duration::from_millis(5);
const SHORTEST_NAP: Duration = Duration::from_millis(1);

/// Nor may requests wait long for one large write: if more bytes than this come in one pause, the next pause is shorter.
const BATCH_BYTES: usize = 32 << 10;

/// Between two tries at a stdout that is full for the moment.
const FULL: Duration = Duration::from_millis(1);

/// Between two tries to finish a line that is written in part, while no other line comes.
const RETRY: Duration = Duration::from_millis(100);

/// The writer that logger, access log and panic hook share: the service's one global. Of `once_cell`, because making it can
/// fail and std's `OnceLock` has no stable `get_or_try_init`.
static WRITER: OnceCell<LogWriter> = OnceCell::new();

thread_local! {
    /// What this thread works on, for the panic hook; of no request, empty.
    static REQUEST: Cell<HeaderValue> = const { Cell::new(nobody()) };
}

const fn nobody() -> HeaderValue {
    HeaderValue::from_static("")
}

/// Does `work` on the request of this name, which a panic's line then has. The name is lent and comes back, so that nothing is
/// copied; the caller makes sure that `work` does not unwind.
pub(super) fn named<T>(id: &mut HeaderValue, work: impl FnOnce() -> T) -> T {
    let outer = REQUEST.replace(std::mem::replace(id, nobody()));
    let done = work();
    *id = REQUEST.replace(outer);
    done
}

/// The way to stdout.
pub struct LogWriter {
    queue: Arc<Queue>,
}

impl LogWriter {
    /// Installs the process's logger and panic hook; once, a second call returns what stands. `dropped` counts the
    /// lines that nobody took in time. Fails when the process has another logger or no thread left.
    pub fn install(level: LevelFilter, dropped: &IntCounter) -> io::Result<&'static LogWriter> {
        WRITER.get_or_try_init(|| {
            // Not `io::stdout`: it keeps the rest of a line that was not taken whole, and says it was.
            let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            if last_line_is_torn(Path::new("/proc/self/fd/1")) {
                let _ = stdout.write_all(b"\n"); // a full disk is told of soon enough
            }
            let at_once = if stdout.metadata()?.is_file() { FILE_BYTES } else { PIPE_BYTES };
            let queue = Arc::new(Queue::new(QUEUE_BYTES, dropped.clone()));
            let entries = Arc::clone(&queue);
            std::thread::Builder::new()
                .name("log-writer".to_owned())
                .spawn(move || write_out(&entries, Lines::to(stdout, at_once)))?;
            let logger = env_logger::Builder::new()
                .filter_level(level.min(LevelFilter::Warn))
                .filter_module("aiclipx", level)
                .format(write_line)
                .target(env_logger::Target::Pipe(Box::new(Pipe(Arc::clone(&queue)))))
                .build();
            log::set_max_level(logger.filter());
            log::set_boxed_logger(Box::new(logger)).map_err(io::Error::other)?;
            std::panic::set_hook(Box::new(|panic| {
                // Where, and not what: a payload may quote the client.
                let place = panic.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
                let thread = std::thread::current();
                let thread = thread.name().unwrap_or("unnamed");
                let request = REQUEST.try_with(|own| own.replace(nobody())).unwrap_or_else(|_| nobody());
                match request.to_str() {
                    Ok("") | Err(_) => log::error!(target: "aiclipx::panic", place, thread; "Panicked."),
                    Ok(request_id) => log::error!(target: "aiclipx::panic", place, thread, request_id; "Panicked."),
                }
                let _ = REQUEST.try_with(|own| own.set(request));
                // The end of the main thread is the end of the process.
                if let Some(writer) = WRITER.get().filter(|_| thread == "main") {
                    writer.flush(Duration::from_secs(1));
                }
            }));
            Ok(LogWriter { queue })
        })
    }

    /// What [`LogWriter::install`] made, if it did.
    pub(super) fn installed() -> Option<&'static LogWriter> {
        WRITER.get()
    }

    /// Queues a line, its end included, for stdout. The caller has looked whether its level is logged.
    pub(super) fn put(&self, line: &[u8]) {
        self.queue.put(line);
    }

    /// Waits until everything logged so far is written, or given up, but no longer than `limit`. Whether it is.
    pub fn flush(&self, limit: Duration) -> bool {
        let waiting = self.queue.lock();
        let all = waiting.put;
        let behind = |waiting: &mut Waiting| waiting.settled < all;
        let waited = self.queue.settled.wait_timeout_while(waiting, limit, behind);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// Whether a file ends in the middle of a line, as a full disk leaves it when the process before us ended. One that can't be
/// read counts as whole.
fn last_line_is_torn(path: &Path) -> bool {
    let last = || {
        let mut file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|data| data.is_file()))?;
        file.seek(SeekFrom::End(-1)).ok()?;
        let mut byte = [0];
        file.read_exact(&mut byte).ok()?;
        Some(byte[0])
    };
    last().is_some_and(|byte| byte != b'\n')
}

/// Lines in the order they were logged. One lock for all threads: it is held for the copy of a line, and keeps what was logged
/// later behind what was logged before it.
struct Queue {
    waiting: Mutex<Waiting>,
    bytes: usize,
    /// Signals a line to a writer that sleeps.
    filled: Condvar,
    /// Signals that the writer has written or given up what it took.
    settled: Condvar,
    dropped: IntCounter,
}

struct Waiting {
    lines: Vec<u8>,
    /// Bytes that were ever put in, and those of them that were written or given up.
    put: u64,
    settled: u64,
    /// The writer waits to be woken.
    asleep: bool,
    /// The writer shall end when it has written what waits.
    closed: bool,
}

impl Queue {
    fn new(bytes: usize, dropped: IntCounter) -> Queue {
        let lines = Vec::with_capacity(bytes);
        let waiting = Waiting { lines, put: 0, settled: 0, asleep: false, closed: false };
        Queue { waiting: Mutex::new(waiting), bytes, filled: Condvar::new(), settled: Condvar::new(), dropped }
    }

    fn put(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if line.len() > self.bytes - waiting.lines.len() {
            drop(waiting);
            self.dropped.inc();
            return;
        }
        waiting.lines.extend_from_slice(line);
        waiting.put += line.len() as u64;
        // One call of the kernel for all that comes while it wakes.
        if std::mem::take(&mut waiting.asleep) {
            drop(waiting);
            self.filled.notify_one();
        }
    }

    /// Takes all that wait.
    fn take(&self, into: &mut Vec<u8>) {
        into.clear();
        std::mem::swap(&mut self.lock().lines, into);
    }

    /// Sleeps until there is a line, or for `limit`. Whether there will ever be one.
    fn sleep(&self, limit: Option<Duration>) -> bool {
        let mut waiting = self.lock();
        waiting.asleep = waiting.lines.is_empty();
        let empty = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.closed;
        waiting = match limit {
            None => self.filled.wait_while(waiting, empty).unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                self.filled.wait_timeout_while(waiting, limit, empty).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        waiting.asleep = false;
        !(waiting.lines.is_empty() && waiting.closed)
    }

    /// What was taken is written or given up.
    fn settle(&self, bytes: usize) {
        self.lock().settled += bytes as u64;
        self.settled.notify_all();
    }

    #[cfg(test)]
    fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it is held; and a log that panics would end the process.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that owns stdout.
fn write_out(queue: &Queue, mut out: Lines<impl Write>) {
    let mut batch = Vec::with_capacity(queue.bytes);
    let mut nap = LONGEST_NAP;
    loop {
        // Also behind a sleep: what wakes the writer is the first line of several.
        std::thread::sleep(nap);
        queue.take(&mut batch);
        nap = next_nap(nap, batch.len());
        if batch.is_empty() && !queue.sleep(out.is_torn().then_some(RETRY)) {
            return;
        }
        queue.dropped.inc_by(out.write(&batch));
        queue.settle(batch.len());
    }
}

/// The nap after one in which so many bytes came.
fn next_nap(nap: Duration, bytes: usize) -> Duration {
    let next = if bytes > BATCH_BYTES {
        nap / 2
    } else if bytes < BATCH_BYTES / 4 {
        nap * 2
    } else {
        nap
    };
    next.clamp(SHORTEST_NAP, LONGEST_NAP)
}

/// Writes whole lines, or tells how many it could not write.
struct Lines<W> {
    out: W,
    /// Bytes of a write, unless a single line is longer.
    at_once: usize,
    /// What is missing of a line of which a part is written.
    rest: Vec<u8>,
}

impl<W: Write> Lines<W> {
    fn to(out: W, at_once: usize) -> Lines<W> {
        Lines { out, at_once, rest: Vec::new() }
    }

    fn is_torn(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Writes these lines, behind what is missing of the last one. Returns how many of them are given up, because nothing more
    /// is taken; one of which a part is written is not: its rest is kept.
    fn write(&mut self, mut lines: &[u8]) -> u64 {
        let written = write_most(&mut self.out, &self.rest);
        self.rest.drain(..written);
        while !self.is_torn() && !lines.is_empty() {
            let (some, others) = lines.split_at(whole_lines(lines, self.at_once));
            let written = write_most(&mut self.out, some);
            lines = others;
            if written < some.len() {
                let torn =
                    if some[..written].ends_with(b"\n") || written == 0 { 0 } else { line_length(&some[written..]) };
                let (rest, lost) = some[written..].split_at(torn);
                self.rest.extend_from_slice(rest);
                return count(lost) + count(others);
            }
        }
        count(lines)
    }
}

/// Length of as many whole lines as fit, of one at least.
fn whole_lines(lines: &[u8], limit: usize) -> usize {
    if lines.len() <= limit {
        return lines.len();
    }
    lines[..limit].iter().rposition(|&byte| byte == b'\n').map_or_else(|| line_length(lines), |end| end + 1)
}

/// Length of the first line, its end included.
fn line_length(lines: &[u8]) -> usize {
    lines.iter().position(|&byte| byte == b'\n').map_or(lines.len(), |end| end + 1)
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().map(|&byte| u64::from(byte == b'\n')).sum()
}

/// Writes until everything is written or an error says that no more will be. Returns how many bytes are.
fn write_most(out: &mut impl Write, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match out.write(&bytes[written..]) {
            Ok(0) => break,
            Ok(some) => written += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A pipe of somebody who reads slowly and made it non-blocking: the same as one that blocks.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(FULL),
            Err(_) => break,
        }
    }
    written
}

/// What `env_logger` writes to: it hands over a whole line at a time.
struct Pipe(Arc<Queue>);

impl Write for Pipe {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // called for every record; `LogWriter::flush` is the one that waits
    }
}

/// The keys every line has; a field of the same name would make two.
const FIXED: [&str; 4] = ["ts", "level", "target", "msg"];

fn write_line(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let time = out.timestamp_millis().to_string();
    write_json(&mut *out, &time, record)?;
    out.write_all(b"\n")
}

pub(super) fn write_json(out: impl Write, time: &str, record: &Record<'_>) -> io::Result<()> {
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
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn line(record: &Record<'_>) -> serde_json::Value {
        let mut out = Vec::new();
        write_json(&mut out, "2026-01-02T03:04:05.678Z", record).unwrap();
        assert!(!out.contains(&b'\n'));
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn many_lines_shorten_the_nap_and_few_make_it_long_again() {
        let naps = |first: Duration, bytes: usize| {
            std::iter::successors(Some(first), move |nap| Some(next_nap(*nap, bytes))).take(8).last().unwrap()
        };
        assert_eq!(naps(LONGEST_NAP, BATCH_BYTES + 1), SHORTEST_NAP);
        assert_eq!(naps(SHORTEST_NAP, 0), LONGEST_NAP);
        // In between it stays, and does not swing.
        assert_eq!(naps(Duration::from_millis(2), BATCH_BYTES / 2), Duration::from_millis(2));
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

    fn queue(bytes: usize) -> Arc<Queue> {
        Arc::new(Queue::new(bytes, IntCounter::new("dropped", "dropped").unwrap()))
    }

    #[test]
    fn a_queue_nobody_reads_drops_lines_and_counts_them() {
        let queue = queue(10);
        let mut pipe = Pipe(Arc::clone(&queue));
        for _ in 0..5 {
            pipe.write_all(b"line\n").unwrap();
        }
        assert_eq!(queue.dropped.get(), 3);
        queue.close();
        let mut out = Vec::new();
        write_out(&queue, Lines::to(&mut out, 100));
        assert_eq!(out, b"line\nline\n");
    }

    #[test]
    fn what_waits_is_written_in_whole_lines() {
        let line = [[b'x'; 999].as_slice(), b"\n"].concat();
        let longer = [[b'x'; 5000].as_slice(), b"\n"].concat();
        let mut out = Plan { writes: Vec::new(), steps: Vec::new() };
        let lines = [line.repeat(10), longer.clone(), line.clone()].concat();
        assert_eq!(Lines::to(&mut out, PIPE_BYTES).write(&lines), 0);
        assert_eq!(out.writes, [line.repeat(4), line.repeat(4), line.repeat(2), longer, line]);
    }

    #[test]
    fn flushing_waits_for_what_was_logged_and_no_longer_than_it_may() {
        let writer = LogWriter { queue: queue(100) };
        writer.put(b"line\n");
        assert!(!writer.flush(Duration::from_millis(1)), "nobody writes");
        let thread = {
            let queue = Arc::clone(&writer.queue);
            std::thread::spawn(move || {
                let mut out = Vec::new();
                write_out(&queue, Lines::to(&mut out, 100));
                out
            })
        };
        assert!(writer.flush(Duration::from_hours(1)));
        writer.put(b"later\n");
        assert!(writer.flush(Duration::from_hours(1)));
        writer.queue.close();
        assert_eq!(thread.join().unwrap(), b"line\nlater\n");
    }

    /// What happens to a write.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        /// It takes as many bytes at most.
        Takes(usize),
        Fails(io::ErrorKind),
    }

    /// Remembers each write. Does one step of its plan for each, the last first, and behind them takes all.
    #[derive(Debug)]
    struct Plan {
        writes: Vec<Vec<u8>>,
        steps: Vec<Step>,
    }

    impl Write for &mut Plan {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = match self.steps.pop() {
                Some(Step::Takes(most)) => most.min(bytes.len()),
                Some(Step::Fails(kind)) => return Err(kind.into()),
                None => bytes.len(),
            };
            self.writes.push(bytes[..taken].to_vec());
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    proptest! {
        /// Whatever a stdout does: every line is in it whole, in order, or given up; and in between, too, but for the one line
        /// of which a part is written.
        #[test]
        fn every_line_is_written_whole_or_counted(
            batches in vec((vec(0..40_usize, 0..6), vec(step(), 0..4)), 1..12),
            at_once in 1..100_usize,
        ) {
            let mut out = Plan { writes: Vec::new(), steps: Vec::new() };
            let mut lines = Lines::to(&mut out, at_once);
            let (mut put, mut lost) = (0, 0);
            let is_whole = |lines: &Lines<&mut Plan>, put, lost| {
                let text = String::from_utf8(lines.out.writes.concat()).unwrap();
                let numbers: Vec<u64> = text.lines().map(|line| line.trim_matches('.').parse().unwrap_or(u64::MAX)).collect();
                prop_assert_eq!(text.is_empty() || text.ends_with('\n'), !lines.is_torn());
                prop_assert!(numbers.is_sorted_by(|one, next| one < next || lines.is_torn()), "{text}");
                prop_assert_eq!(numbers.len() as u64 + lost, put);
                Ok(())
            };
            for (lengths, steps) in batches {
                let line = |(length, number): (&usize, u64)| format!("{number}{}\n", ".".repeat(*length));
                let batch: Vec<String> = lengths.iter().zip(put..).map(line).collect();
                put += lengths.len() as u64;
                lines.out.steps = steps;
                lost += lines.write(batch.concat().as_bytes());
                is_whole(&lines, put, lost)?;
            }
            lines.out.steps.clear();
            lost += lines.write(b"");
            prop_assert!(!lines.is_torn());
            is_whole(&lines, put, lost)?;
        }
    }

    fn step() -> impl Strategy<Value = Step> {
        use io::ErrorKind::{BrokenPipe, Interrupted, StorageFull, WouldBlock};
        let fails = [Interrupted, WouldBlock, StorageFull, BrokenPipe].map(Step::Fails).to_vec();
        prop_oneof![(0..60_usize).prop_map(Step::Takes), select(fails)]
    }
}

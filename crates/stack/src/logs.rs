//! The components' logs, merged by time, filtered, followed: what everybody gets, with no forwarder and no store.
//!
//! [`stream`] joins the files supervisord cuts a log into, [`line`](mod@line) understands a line, [`show`] writes it out. A line that
//! tells no time of its own (a panic, a stack trace) belongs to the line before it: it has its time and shares its fate under
//! a filter. Within a component the order is the log's own, whatever its clock says; between components it is time's, and of
//! the same time the component's place in the table. Logs are read from the state directory, whether a stack runs or not.

use std::collections::VecDeque;
use std::fmt;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::component::Component;
use super::layout;
use super::state::{being_changed, is_busy};
use aiclipx_base::duration;
use aiclipx_model::failure::Failure;
use aiclipx_model::files;

mod entry;
mod line;
mod show;
mod stream;

pub use line::Level;
pub use show::Format;

use entry::Entry;
use stream::{Fresh, Stream};

/// How often a followed log is looked at, and so how long a line waits for an older one of another component.
const LOOK: Duration = Duration::from_millis(150);
/// Bytes of a log's end that are read where the last lines are wanted; where they are not in it, eight times as many.
const END: u64 = 1 << 20;
/// Lines read before the first one shown, so that a stack trace keeps its first line.
const BEFORE: usize = 1000;

#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Processes by name (`app-2`, also `supervisord`), a component's name for all its replicas; all components where
    /// none is named.
    pub names: Vec<String>,
    /// Lines as grave as this or graver.
    pub level: Option<Level>,
    /// Requests to this endpoint: a route's template, as metrics name it.
    pub endpoint: Option<String>,
    /// One request.
    pub request_id: Option<String>,
    /// Nothing older.
    pub since: Option<Since>,
    /// The last so many lines of each; all when not said.
    pub lines: Option<usize>,
    /// Go on with what is written from now on, until interrupted.
    pub follow: bool,
}

/// A moment, written as one (`2026-11-26T18:00:00Z`) or as the time since it (`5m`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since(Timestamp);

impl std::str::FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Since, String> {
        let ago = duration::parse(text).ok().and_then(|ago| Timestamp::now().checked_sub(ago).ok());
        ago.or_else(|| text.parse().ok())
            .map(Since)
            .ok_or_else(|| format!("`{text}` is neither a duration like 5m nor a moment like 2026-11-26T18:00:00Z"))
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shown {
    pub lines: usize,
    /// The earliest and the latest time among them.
    pub between: Option<(Timestamp, Timestamp)>,
}

impl Request {
    fn wants(&self, entry: &Entry) -> bool {
        self.level.is_none_or(|least| entry.level.is_some_and(|level| level >= least))
            && self.endpoint.as_ref().is_none_or(|wanted| entry.endpoint.as_ref() == Some(wanted))
            && self.request_id.as_ref().is_none_or(|wanted| entry.request_id.as_ref() == Some(wanted))
            && self.since.is_none_or(|Since(since)| entry.at.is_some_and(|at| at >= since))
    }

    /// Whether some lines are not shown because of what they are.
    fn filters(&self) -> bool {
        self.level.is_some() || self.endpoint.is_some() || self.request_id.is_some() || self.since.is_some()
    }
}

struct Source {
    name: String,
    stream: Stream,
    /// What lines without a time inherit from the last line that had one.
    head: Head,
}

/// An entry, and which of the logs has it.
type Numbered = (usize, Entry);

#[derive(Clone)]
struct Head {
    place: Timestamp,
    at: Option<Timestamp>,
    level: Option<Level>,
    endpoint: Option<String>,
    request_id: Option<String>,
}

impl Head {
    const NONE: Head = Head { place: Timestamp::MIN, at: None, level: None, endpoint: None, request_id: None };

    /// Understands a line, and becomes what the next one takes over from.
    fn entry(&mut self, bytes: &[u8], zone: &TimeZone) -> Entry {
        let line = line::read(bytes, zone);
        if line.at.is_some() {
            *self = Head {
                place: self.place.max(line.at.unwrap_or(Timestamp::MIN)),
                at: line.at,
                level: line.level,
                endpoint: line.text("endpoint").map(str::to_owned),
                request_id: line.text("request_id").map(str::to_owned),
            };
        } else if line.level.is_some() {
            // A panic is graver than what the program said before it, and so is its trace.
            self.level = line.level;
        }
        let Head { place, at, level, endpoint, request_id } = self.clone();
        Entry { place, at, level, endpoint, request_id, line, bytes: bytes.to_vec() }
    }

    fn entries(&mut self, bytes: &[u8], zone: &TimeZone) -> Vec<Entry> {
        lines(bytes).map(|line| self.entry(line, zone)).collect()
    }
}

/// Writes the logs of a state directory's stack, running or not, to `out`. A reader that goes away ends it quietly.
pub async fn print(
    state: &Path,
    request: &Request,
    out: &mut (dyn Write + Send),
    format: Format,
) -> Result<Shown, Failure> {
    let zone = TimeZone::system();
    let (sources, mut entries) = opened(&state.join(layout::LOGS), request, &zone)?;
    let width = sources.iter().map(|source| source.name.len()).max().unwrap_or(0);
    let mut printer = Printer { out, format, width, shown: Shown::default() };
    merge(&mut entries);
    let mut written = printer.write(&sources, entries);
    if written.is_ok() && request.follow {
        written = Err(printer.follow(sources, request, &zone).await);
    }
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::infrastructure(format!("cannot write: {error}")))
        }
        _ => Ok(printer.shown),
    }
}

/// The logs that can be read, and what of them is wanted; of the others it is said why not, and a failure where that is all.
fn opened(folder: &Path, request: &Request, zone: &TimeZone) -> Result<(Vec<Source>, Vec<Numbered>), Failure> {
    let (mut sources, mut all, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for name in names(folder, &request.names)? {
        let path = folder.join(format!("{name}.log"));
        match history(name, &path, request, zone) {
            Ok((source, entries)) => {
                let number = sources.len();
                all.extend(entries.into_iter().map(|entry| (number, entry)));
                sources.push(source);
            }
            Err(error) => left_out.push(LeftOut::of(&path, &error)),
        }
    }
    if sources.is_empty() {
        return Err(left_out.swap_remove(0).into());
    }
    for log in &left_out {
        tell(&log.to_string());
    }
    Ok((sources, all))
}

/// Where lines go, and what has gone there.
struct Printer<'a> {
    out: &'a mut (dyn Write + Send),
    format: Format,
    /// Of the longest name.
    width: usize,
    shown: Shown,
}

impl Printer<'_> {
    fn write(&mut self, sources: &[Source], entries: Vec<Numbered>) -> std::io::Result<()> {
        for (number, entry) in entries {
            show::write(self.out, self.format, self.width, &sources[number].name, number, &entry)?;
            self.shown.lines += 1;
            if let Some(at) = entry.at {
                let (first, last) = self.shown.between.unwrap_or((at, at));
                self.shown.between = Some((first.min(at), last.max(at)));
            }
        }
        self.out.flush()
    }

    /// Goes on with what is written from now on, until it can't be shown any more: why is returned.
    async fn follow(&mut self, mut sources: Vec<Source>, request: &Request, zone: &TimeZone) -> std::io::Error {
        let mut waiting = Vec::new();
        loop {
            tokio::time::sleep(LOOK).await;
            let seen = waiting.len();
            for (number, source) in sources.iter_mut().enumerate() {
                let Fresh { lines, gap } = source.stream.fresh();
                if gap {
                    let name = &source.name;
                    tell(&format!("{name}.log was rotated away faster than it was read; lines of it are missing here"));
                }
                let entries = source.head.entries(&lines, zone);
                waiting.extend(entries.into_iter().filter(|entry| request.wants(entry)).map(|entry| (number, entry)));
            }
            let due = due(&mut waiting, seen);
            if let Err(error) = self.write(&sources, due) {
                return error;
            }
        }
    }
}

/// Nobody to tell is no reason to stop.
fn tell(what: &str) {
    drop(writeln!(std::io::stderr(), "aiclipx: {what}"));
}

/// A log that can't be read: the others are shown without it.
struct LeftOut {
    /// The first of its files that is none; the log itself where each of them is.
    file: PathBuf,
    why: String,
    remedy: &'static str,
}

/// What is not for a user to mend.
const BAD_DISK: &str = "look at its disk";

impl LeftOut {
    fn of(log: &Path, error: &std::io::Error) -> LeftOut {
        let is_odd = |file: &PathBuf| file.symlink_metadata().is_ok() && files::open(file).is_err();
        let file = (0..=stream::MOST_ROTATED).map(|place| stream::name(log, place)).find(is_odd);
        let file = file.unwrap_or_else(|| log.to_owned());
        let (why, remedy) = match file.metadata() {
            Ok(meta) if !meta.is_file() => ("it is not a regular file".to_owned(), "move it elsewhere"),
            Err(error) if file.is_symlink() && error.kind() != ErrorKind::PermissionDenied => {
                ("it is a link that leads nowhere".to_owned(), "remove it")
            }
            _ if error.kind() == ErrorKind::PermissionDenied => {
                (error.to_string(), "let this user read it, or ask as one who may")
            }
            _ => (error.to_string(), BAD_DISK),
        };
        LeftOut { file, why, remedy }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is left out: {}; {}", self.file.display(), self.why, self.remedy)
    }
}

impl From<LeftOut> for Failure {
    fn from(LeftOut { file, why, remedy }: LeftOut) -> Failure {
        let what = format!("cannot read {}: {why}", file.display());
        let failure = if remedy == BAD_DISK { Failure::infrastructure(what) } else { Failure::usage(what) };
        failure.remedy(remedy)
    }
}

/// A log, and of what it holds so far what is wanted: of its end only as much is read as that takes.
fn history(name: String, path: &Path, request: &Request, zone: &TimeZone) -> std::io::Result<(Source, Vec<Entry>)> {
    let wanted = request.lines.unwrap_or(usize::MAX);
    let mut most = if request.lines.is_some() { END } else { u64::MAX };
    loop {
        let (mut stream, mut history, is_all) = Stream::open(path, most)?;
        if request.follow {
            // A follower shows a line when it is whole; who looks once sees all there is.
            stream.keep_partial(&mut history);
        }
        let mut head = Head::NONE;
        // Lines before the first that tells a time have lost what they belong to: they are the last ones wanted only where
        // nothing is filtered, and then there are enough before them.
        let enough = wanted.saturating_add(if request.filters() { 0 } else { BEFORE });
        let understood = if request.filters() { &history[..] } else { last(&history, enough) };
        let mut entries = VecDeque::new();
        let mut found = 0;
        for entry in lines(understood).map(|line| head.entry(line, zone)).filter(|entry| request.wants(entry)) {
            found += 1;
            entries.push_back(entry);
            if entries.len() > wanted {
                entries.pop_front();
            }
        }
        if is_all || found >= enough {
            return Ok((Source { name, stream, head }, entries.into()));
        }
        most = most.saturating_mul(8);
    }
}

/// By time; what is equal stays as it is, which is in the components' order and in each log's own.
fn merge(entries: &mut [Numbered]) {
    entries.sort_by_key(|(number, entry)| (entry.place, *number));
}

/// Takes what has waited for a look, the first `seen`, and what is older than that; the rest waits for one more.
fn due(waiting: &mut Vec<Numbered>, seen: usize) -> Vec<Numbered> {
    let last = waiting[..seen].iter().map(|(number, entry)| (entry.place, *number)).max();
    merge(waiting);
    let ends = waiting.partition_point(|(number, entry)| last.is_some_and(|last| (entry.place, *number) <= last));
    let rest = waiting.split_off(ends);
    std::mem::replace(waiting, rest)
}

/// The logs there are, in the components' order; or those asked for, if they are there.
fn names(folder: &Path, wanted: &[String]) -> Result<Vec<String>, Failure> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.strip_suffix(".log")).map(str::to_owned))
        .collect();
    let place = |name: &str| {
        let of = |component: &Component| is_of(name, component.name());
        Component::ALL.iter().position(of).unwrap_or(usize::MAX)
    };
    names.sort_by_key(|name| (place(name), name.clone()));
    if let Some(state) = folder.parent().filter(|state| names.is_empty() && is_busy(state)) {
        return Err(being_changed(state));
    }
    if names.is_empty() {
        return Err(Failure::usage(format!("no logs in {}", folder.display())).remedy("`just up` starts a stack"));
    }
    if let Some(unknown) = wanted.iter().find(|wanted| !names.iter().any(|name| is_of(name, wanted))) {
        return Err(Failure::usage(format!("no log of `{unknown}`; there are {}", names.join(", "))));
    }
    if wanted.is_empty() {
        names.retain(|name| name != SUPERVISORD);
    } else {
        names.retain(|name| wanted.iter().any(|wanted| is_of(name, wanted)));
    }
    Ok(names)
}

/// Its log is beside the components'; shown when asked for.
const SUPERVISORD: &str = "supervisord";

/// Whether a process is the one named, or a replica of it.
fn is_of(process: &str, name: &str) -> bool {
    process.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The last lines of a file from an offset on, for a person: what is no UTF-8 is replaced.
pub(super) fn last_lines(path: &Path, from: u64, count: usize) -> Vec<String> {
    let mut bytes = Vec::new();
    let read = files::open(path).and_then(|mut file| {
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

/// The last `most` bytes of what a log holds, oldest first and from the beginning of a line: the rotated files and the current
/// one, joined.
pub fn joined(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    Stream::open(path, most).map(|(_, history, _)| history)
}

/// Lines without their ends; a last one that has none is one, too.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
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

#[cfg(test)]
mod tests;

//! What a run tells while it goes on, as typed events: for people a line each on stderr, for programs a line of JSON each in the
//! file that `--events` names.
//!
//! Whoever tells hands the event over and goes on: one thread writes to the terminal and another to the file, so that a terminal
//! that stalls, or a pipe that nobody reads, makes no request late. How an event reads is said in one place, [`Event::line`].

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;

use aiclipx_judge::report::PDF;
use aiclipx_model::counted::{counted, share};
use aiclipx_model::failure::{Failure, tell};
use aiclipx_model::files;

/// How often one that goes on beside others shows it.
pub(super) const STILL_AT_IT: Duration = Duration::from_secs(8);

/// What an experiment does, or waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Doing {
    StartingAStack,
    WaitingForQuiet {
        /// Names, with commas between them.
        alerts: String,
        /// So long already, once it is said again.
        seconds: Option<u64>,
    },
    /// Alerts that outlast the wait: the run goes on.
    NotQuiet {
        alerts: String,
        seconds: u64,
    },
    WaitingForFirstScrapes,
    Sending,
    /// Traffic goes on.
    InPhase {
        phase: String,
        seconds: u64,
        of_seconds: u64,
    },
    WaitingForFinalScrape,
    WaitingUntilResolved {
        alert: String,
        seconds: Option<u64>,
    },
    WaitingForLastPictures,
    NotificationsNotKept {
        why: String,
    },
    Collecting,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let so_far = |seconds: &Option<u64>| seconds.map_or_else(String::new, |seconds| format!(" ({seconds} s)"));
        match self {
            Doing::StartingAStack => f.write_str("starting a stack"),
            Doing::WaitingForQuiet { alerts, seconds } => {
                write!(
                    f,
                    "waiting for the end of {alerts}, left by the stack's start or the run before{}",
                    so_far(seconds)
                )
            }
            Doing::NotQuiet { alerts, seconds } => {
                write!(f, "{alerts} still active after {seconds} s: going on, and the claims will tell")
            }
            Doing::WaitingForFirstScrapes => f.write_str("waiting for Prometheus' first scrapes"),
            Doing::Sending => f.write_str("sending"),
            Doing::InPhase { phase, seconds, of_seconds } => write!(f, "{phase}, {seconds} of {of_seconds} s"),
            Doing::WaitingForFinalScrape => f.write_str("waiting for the final scrape"),
            Doing::WaitingUntilResolved { alert, seconds } => {
                write!(f, "waiting until {alert} is resolved and told so{}", so_far(seconds))
            }
            Doing::WaitingForLastPictures => f.write_str("waiting for the last pictures"),
            Doing::NotificationsNotKept { why } => write!(f, "what was notified is not kept with the run: {why}"),
            Doing::Collecting => f.write_str("collecting"),
        }
    }
}

/// What a judged experiment comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Result {
    Holds,
    /// A claim fails.
    Fails,
    /// The machine disturbed it.
    Invalid,
}

/// What is told of an experiment, of a run, or of the command as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Doing(Doing),
    /// Of the runs on a stack that is up, this one's turn.
    Collecting {
        scenario: String,
        number: usize,
        of: usize,
    },
    /// A run that did not end by itself.
    NotJudged {
        why: String,
    },
    /// The experiment that a run became.
    Recorded {
        run: String,
    },
    /// Something that the record goes without.
    Lacks {
        scenario: String,
        why: String,
    },
    /// The machine disturbed the first try.
    TriedAgain {
        why: String,
    },
    /// It could not be recorded.
    Unfinished {
        why: String,
    },
    Judged {
        result: Result,
        holds: usize,
        claims: usize,
        seconds: u64,
    },
    /// A drill begins: what is ahead, and how long that should take.
    Planned {
        alerts: usize,
        scenes: usize,
        at_once: usize,
        seconds: u64,
    },
    /// A scene of a drill, to its end: what it shows is told of all of them together.
    Lived {
        what: String,
        seconds: u64,
    },
    /// A mutant, or a scenario as it stands: so far as its own stack tells.
    Tried {
        told: String,
        number: usize,
        of: usize,
        seconds: u64,
    },
    /// A mutant that can't be made.
    DidNotApply {
        why: String,
    },
    /// Said of the tree or the machine.
    Warning {
        why: String,
    },
    /// What is done with the record as a whole.
    Concluding {
        work: &'static str,
        seconds: Option<u64>,
    },
    NotPrinted {
        why: String,
    },
    /// An interrupted trial of mutants.
    NoOutcome {
        kept_in: String,
    },
}

impl Event {
    /// The line for people.
    fn line(&self, experiment: &str) -> String {
        match self {
            Event::Doing(step) => format!("  · {experiment}: {step}"),
            Event::Collecting { scenario, number, of } => format!("  · {scenario}: collecting ({number} of {of})"),
            Event::NotJudged { why } => format!("  · {experiment}: not judged: {why}"),
            Event::Recorded { run } => format!("  · {experiment}: recorded by {run}"),
            Event::Lacks { scenario, why } => format!("  · {scenario}: {why}"),
            Event::TriedAgain { why } => format!("  ! {experiment}, once more: {why}"),
            Event::Unfinished { why } => format!("  ! {experiment}: {why}"),
            Event::Judged { result, holds, claims, seconds } => {
                let sign = match result {
                    Result::Holds => "✓",
                    Result::Fails => "✗",
                    Result::Invalid => "!",
                };
                format!("  {sign} {experiment}: {} ({seconds} s)", share(*holds, *claims, "claim", ["holds", "hold"]))
            }
            Event::Planned { alerts, scenes, at_once, seconds } => {
                let takes =
                    if *seconds < 120 { format!("{seconds} s") } else { format!("{} minutes", seconds.div_ceil(60)) };
                let (alerts, scenes) = (counted(*alerts, "alert"), counted(*scenes, "scene"));
                format!("  · {alerts} in {scenes}, {at_once} at once: about {takes}")
            }
            Event::Lived { what, seconds } => format!("  · {experiment}: {what} ({seconds} s)"),
            Event::Tried { told, number, of, seconds } => {
                format!("  {number}/{of} {experiment}: {told} ({seconds} s)")
            }
            Event::DidNotApply { why } => format!("  ✗ {experiment}: did not apply: {why}"),
            Event::Warning { why } => format!("  ! {why}"),
            Event::Concluding { work, seconds: None } => format!("  · {work}"),
            Event::Concluding { work, seconds: Some(seconds) } => format!("  · {work} ({seconds} s)"),
            Event::NotPrinted { why } => format!("  · no {PDF}: {why}"),
            Event::NoOutcome { kept_in } => format!("  · no outcome; what was recorded stays in {kept_in}"),
        }
    }
}

/// An event, when it was told, and of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// RFC 3339, UTC, with milliseconds.
    pub time: String,
    /// The experiment's name, as the bundle and JUnit's suites have it, or the mutant's; none of the command as a whole.
    pub experiment: Option<String>,
    /// The run's, where it is no experiment yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    #[serde(flatten)]
    pub event: Event,
}

enum Message {
    Told(Told),
    /// Answered once all before it is written.
    Settle(SyncSender<()>),
}

/// Where events go. Cheap to clone; the last one to go waits until all is written, but for no reader of the file that stalls.
#[derive(Debug, Clone)]
pub struct Events(Arc<Writer>);

/// How long who reads the file may take for what is left, when all else is done.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Writer {
    to: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
    file: Option<ToFile>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.to.take());
        let _ = self.thread.take().map(JoinHandle::join);
        if let Some(ToFile { to, written, path }) = self.file.take() {
            drop(to);
            let written = written.into_inner().unwrap_or_else(PoisonError::into_inner);
            if written.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                tell(&format!("  ! {} is not read: its last events are not written", path.display()));
            }
        }
    }
}

/// A file that is written on a thread of its own: a pipe whose reader stalls delays neither the terminal nor a run.
#[derive(Debug)]
struct ToFile {
    to: Sender<Told>,
    /// Nothing is ever sent: it ends with the thread.
    written: Mutex<Receiver<()>>,
    path: PathBuf,
}

impl ToFile {
    fn open(path: &Path) -> std::result::Result<ToFile, Failure> {
        Ok(ToFile::of(Lines::open(path)?, path))
    }

    fn of(mut lines: Lines, path: &Path) -> ToFile {
        let (to, from) = channel::<Told>();
        let (ends, written) = sync_channel::<()>(1);
        std::thread::spawn(move || {
            for told in from {
                if let Err(why) = lines.write(&told) {
                    tell(&format!("  ! no more events are written: {why}"));
                    break;
                }
            }
            drop(ends);
        });
        ToFile { to, written: Mutex::new(written), path: path.to_owned() }
    }
}

impl Events {
    /// To people, and to a file, if one is named: it is opened before anything is told, and emptied by the first event.
    pub fn open(file: Option<&Path>) -> std::result::Result<Events, Failure> {
        let file = file.map(ToFile::open).transpose()?;
        let take = |told: &Told| {
            let name = told.experiment.as_deref().or(told.run.as_deref());
            tell(&told.event.line(name.unwrap_or_default()));
        };
        Ok(Events::both(take, file))
    }

    /// To whoever takes them, one after the other, on a thread of its own.
    pub fn to(take: impl FnMut(&Told) + Send + 'static) -> Events {
        Events::both(take, None)
    }

    fn both(mut take: impl FnMut(&Told) + Send + 'static, file: Option<ToFile>) -> Events {
        let (to, from) = channel();
        let thread = std::thread::spawn(move || {
            for message in from {
                match message {
                    Message::Told(told) => take(&told),
                    Message::Settle(done) => drop(done.send(())),
                }
            }
        });
        Events(Arc::new(Writer { to: Some(to), thread: Some(thread), file }))
    }

    /// Tells something of an experiment.
    pub fn tell(&self, experiment: &str, event: Event) {
        self.send(Some(experiment), None, event);
    }

    /// Tells something of a run that has no name as an experiment yet.
    pub fn tell_run(&self, run: &str, event: Event) {
        self.send(None, Some(run), event);
    }

    /// Tells something of the command as a whole.
    pub fn tell_all(&self, event: Event) {
        self.send(None, None, event);
    }

    fn send(&self, experiment: Option<&str>, run: Option<&str>, event: Event) {
        let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let told = Told { time, experiment: experiment.map(str::to_owned), run: run.map(str::to_owned), event };
        // A writer that is gone said why.
        if let Some(file) = &self.0.file {
            let _ = file.to.send(told.clone());
        }
        if let Some(to) = &self.0.to {
            let _ = to.send(Message::Told(told));
        }
    }

    /// Waits until all that was told is on the terminal: before others write to the same terminal.
    pub fn settle(&self) {
        let (done, settled) = sync_channel(1);
        if self.0.to.as_ref().is_some_and(|to| to.send(Message::Settle(done)).is_ok()) {
            let _ = settled.recv();
        }
    }
}

/// A file of JSON lines. What was in it goes with the first of them: a command that tells none leaves it as it was.
struct Lines {
    file: File,
    is_emptied: bool,
}

impl Lines {
    fn open(path: &Path) -> std::result::Result<Lines, Failure> {
        // A pipe that nobody reads would be waited for without end.
        let opened = files::reserve(path)
            .and_then(|_reserved| OpenOptions::new().write(true).create(true).truncate(false).open(path));
        let opened = opened.map_err(|error| {
            Failure::usage(format!("cannot write {}: {error}", path.display()))
                .remedy("--events names a file in a folder that is there and can be written, or a pipe that is read")
        });
        Ok(Lines { file: opened?, is_emptied: false })
    }

    fn write(&mut self, told: &Told) -> std::io::Result<()> {
        // One write a line, so that who follows the file never reads half of one.
        let mut line = serde_json::to_vec(told)?;
        line.push(b'\n');
        if !std::mem::replace(&mut self.is_emptied, true) && self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(&line)
    }
}

#[cfg(test)]
mod tests {
    use aiclipx_model::failure::Kind;

    use super::*;

    /// Every kind of event, with the line for people that it had before there were types.
    fn all() -> Vec<(Option<&'static str>, Event, &'static str)> {
        let name = Some("error-rate");
        let why = || "a scrape was missed".to_owned();
        let doing = |step, line| (name, Event::Doing(step), line);
        let judged = |result, line| (name, Event::Judged { result, holds: 9, claims: 10, seconds: 62 }, line);
        let concluding = |seconds, line| (None, Event::Concluding { work: "judging", seconds }, line);
        let quiet = |seconds| Doing::WaitingForQuiet { alerts: "AppDown, AppTrafficDrop".to_owned(), seconds };
        let resolved = |seconds| Doing::WaitingUntilResolved { alert: "AppDown".to_owned(), seconds };
        vec![
            doing(Doing::StartingAStack, "  · error-rate: starting a stack"),
            doing(
                quiet(None),
                "  · error-rate: waiting for the end of AppDown, AppTrafficDrop, left by the stack's start or the run before",
            ),
            doing(
                quiet(Some(5)),
                "  · error-rate: waiting for the end of AppDown, AppTrafficDrop, left by the stack's start or the run before (5 s)",
            ),
            doing(
                Doing::NotQuiet { alerts: "AppDown".to_owned(), seconds: 111 },
                "  · error-rate: AppDown still active after 111 s: going on, and the claims will tell",
            ),
            doing(Doing::WaitingForFirstScrapes, "  · error-rate: waiting for Prometheus' first scrapes"),
            doing(Doing::Sending, "  · error-rate: sending"),
            doing(
                Doing::InPhase { phase: "errors".to_owned(), seconds: 8, of_seconds: 34 },
                "  · error-rate: errors, 8 of 34 s",
            ),
            doing(Doing::WaitingForFinalScrape, "  · error-rate: waiting for the final scrape"),
            doing(resolved(None), "  · error-rate: waiting until AppDown is resolved and told so"),
            doing(resolved(Some(5)), "  · error-rate: waiting until AppDown is resolved and told so (5 s)"),
            doing(Doing::WaitingForLastPictures, "  · error-rate: waiting for the last pictures"),
            doing(
                Doing::NotificationsNotKept { why: why() },
                "  · error-rate: what was notified is not kept with the run: a scrape was missed",
            ),
            doing(Doing::Collecting, "  · error-rate: collecting"),
            (
                name,
                Event::Collecting { scenario: "02-error-rate".to_owned(), number: 2, of: 6 },
                "  · 02-error-rate: collecting (2 of 6)",
            ),
            (name, Event::NotJudged { why: why() }, "  · error-rate: not judged: a scrape was missed"),
            (
                name,
                Event::Lacks { scenario: "02-error-rate".to_owned(), why: why() },
                "  · 02-error-rate: a scrape was missed",
            ),
            (name, Event::TriedAgain { why: why() }, "  ! error-rate, once more: a scrape was missed"),
            (name, Event::Unfinished { why: why() }, "  ! error-rate: a scrape was missed"),
            judged(Result::Holds, "  ✓ error-rate: 9 of 10 claims hold (62 s)"),
            judged(Result::Fails, "  ✗ error-rate: 9 of 10 claims hold (62 s)"),
            judged(Result::Invalid, "  ! error-rate: 9 of 10 claims hold (62 s)"),
            (
                name,
                Event::Tried { told: "killed".to_owned(), number: 2, of: 6, seconds: 62 },
                "  2/6 error-rate: killed (62 s)",
            ),
            (
                None,
                Event::Planned { alerts: 55, scenes: 61, at_once: 4, seconds: 500 },
                "  · 55 alerts in 61 scenes, 4 at once: about 9 minutes",
            ),
            (
                None,
                Event::Planned { alerts: 1, scenes: 1, at_once: 1, seconds: 17 },
                "  · 1 alert in 1 scene, 1 at once: about 17 s",
            ),
            (name, Event::Lived { what: why(), seconds: 62 }, "  · error-rate: a scrape was missed (62 s)"),
            (
                name,
                Event::Recorded { run: "20261130T164000Z-01".to_owned() },
                "  · error-rate: recorded by 20261130T164000Z-01",
            ),
            (name, Event::DidNotApply { why: why() }, "  ✗ error-rate: did not apply: a scrape was missed"),
            (None, Event::Warning { why: why() }, "  ! a scrape was missed"),
            concluding(None, "  · judging"),
            concluding(Some(8), "  · judging (8 s)"),
            (None, Event::NotPrinted { why: why() }, "  · no report.pdf: a scrape was missed"),
            (
                None,
                Event::NoOutcome { kept_in: "x.partial".to_owned() },
                "  · no outcome; what was recorded stays in x.partial",
            ),
        ]
    }

    #[test]
    fn each_event_reads_as_it_is_known_and_is_an_object_of_its_own() {
        let mut objects = std::collections::BTreeSet::new();
        for (experiment, event, line) in all() {
            assert_eq!(event.line(experiment.unwrap_or_default()), line);
            let time = "2026-11-30T16:40:00.000Z".to_owned();
            let told = Told { time, experiment: experiment.map(str::to_owned), run: None, event };
            let object = serde_json::to_value(&told).unwrap();
            assert_eq!(object["time"], "2026-11-30T16:40:00.000Z");
            assert_eq!(object["experiment"].as_str(), experiment);
            assert!(object["event"].is_string(), "{object}");
            assert!(objects.insert(object.to_string()));
        }
        let first = objects.iter().find(|object| object.contains("in_phase")).unwrap();
        assert_eq!(
            first,
            r#"{"event":"doing","experiment":"error-rate","of_seconds":34,"phase":"errors","seconds":8,"step":"in_phase","time":"2026-11-30T16:40:00.000Z"}"#
        );
    }

    #[test]
    fn a_file_has_a_line_for_each_event_in_their_order_once_the_last_has_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.jsonl");
        std::fs::write(&file, "of an earlier run\n".repeat(1000)).unwrap();
        let events = Events::open(Some(&file)).unwrap();
        let count = 20;
        for number in 0..count {
            events.tell("quiet", Event::Collecting { scenario: "00-quiet".to_owned(), number, of: count });
        }
        drop(events);
        let text = std::fs::read_to_string(&file).unwrap();
        let numbers =
            text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["number"].as_u64());
        assert!(numbers.eq((0..20).map(Some)), "{text}");
    }

    #[test]
    fn what_is_told_of_a_run_names_the_run_and_the_experiment_that_it_became() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.jsonl");
        let events = Events::open(Some(&file)).unwrap();
        events.tell_run("1-x", Event::Collecting { scenario: "01-x".to_owned(), number: 1, of: 1 });
        events.tell("x", Event::Recorded { run: "1-x".to_owned() });
        drop(events);
        let text = std::fs::read_to_string(&file).unwrap();
        let told: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |at: usize| (told[at]["experiment"].as_str(), told[at]["run"].as_str());
        assert_eq!([of(0), of(1)], [(None, Some("1-x")), (Some("x"), Some("1-x"))]);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_told_with_its_path_before_anything_starts() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("no/such/folder")] {
            let failure = Events::open(Some(&path)).unwrap_err();
            assert_eq!(failure.kind(), Kind::Usage);
            assert!(failure.to_string().contains(&format!("cannot write {}", path.display())), "{failure}");
        }
    }

    /// A pipe takes some 64 KiB; who tells more than that to nobody goes on all the same, and so does the terminal.
    #[test]
    fn a_pipe_whose_reader_stalls_delays_neither_the_terminal_nor_who_tells() {
        let (stalls, pipe) = std::io::pipe().unwrap();
        let lines = Lines { file: File::from(std::os::fd::OwnedFd::from(pipe)), is_emptied: false };
        let (to, shown) = channel();
        let take = move |told: &Told| to.send(told.event.clone()).unwrap();
        let events = Events::both(take, Some(ToFile::of(lines, Path::new("a pipe"))));
        let long = || Event::Warning { why: "x".repeat(1000) };
        for _ in 0..200 {
            events.tell_all(long());
        }
        events.settle();
        assert_eq!(shown.try_iter().count(), 200);
        // It is not waited for in the end: nobody is there any more.
        drop(stalls);
    }
}

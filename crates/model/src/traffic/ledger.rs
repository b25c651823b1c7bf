//! The client's truth: one line for every request that was scheduled, whatever became of it.
//!
//! JSON lines: one about the run, then one a request in sequence order. `sent + not_sent == scheduled` by construction:
//! a request that never left has a line that says why. Everything asked of a ledger here is pure; quantiles are exact
//! (nearest rank over all values), measures are what a panel must agree with.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::schedule::Schedule;
use crate::failure::{Failure, Finding, Kind};
use crate::files;
use crate::scenario::{Measure, Scenario};
use crate::service::Service;
use aiclipx_base::duration::Speed;

/// A run's requests and what it takes to place them in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    pub head: Head,
    /// One for each scheduled request, by `seq`.
    pub entries: Vec<Entry>,
}

/// What the first line of a ledger says about the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// What request ids begin with.
    pub run: String,
    pub scenario: String,
    pub seed: u64,
    /// Speed of the stack it was sent to.
    pub speed: Speed,
    /// The schedule's length in real time, microseconds.
    pub length_us: u64,
    /// SHA-256 of the schedule's JSON lines.
    pub schedule_sha256: String,
    /// How many requests the schedule holds, and how many lines follow.
    pub scheduled: u64,
    /// Wall clock at the run's start, Unix microseconds: the instant from which entries count.
    pub started_unix_us: u64,
    /// Wall clock at the run's end.
    pub ended_unix_us: u64,
    /// The run's length on the monotonic clock; against the wall clock it shows a clock that stepped.
    pub elapsed_us: u64,
    /// Why the generator could not keep up, if it could not: then the run is inconclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited: Option<String>,
    /// Whether the user stopped it.
    pub interrupted: bool,
    /// Of a run that several generators shared: the wall clock at each one's start, by its shard. Its entries' times are counted
    /// from there, so that latency is what its callers saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts_unix_us: Vec<u64>,
}

/// One scheduled request and what became of it. Times are microseconds since the run's start on a monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Place in the schedule, from 0.
    pub seq: u64,
    /// As its header was sent: `<run>-<seq>`.
    pub id: String,
    /// Name of the scenario's phase.
    pub phase: String,
    pub method: String,
    /// Path as sent.
    pub path: String,
    /// Route template the service must count it under.
    pub endpoint: String,
    /// As its header was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Whom it was sent to, of several replicas: 2 is `app-2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<u32>,
    /// When the schedule wanted it sent.
    pub intended_us: u64,
    /// When it was sent: the connection was there and the first byte was handed to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_us: Option<u64>,
    /// When the last byte of the answer came, or the attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_us: Option<u64>,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a scheduled request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// A whole answer came.
    Answered { status: u16 },
    /// It was sent, or tried, and no whole answer came.
    Failed { kind: FailureKind },
    /// It never left.
    NotSent { why: String },
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No connection: the service never saw it.
    Refused,
    /// Sent, and the connection ended before the answer did: the service may have counted it.
    Broken,
    /// Sent, and no whole answer came in time: the service may have counted it.
    TimedOut,
}

impl Outcome {
    /// Whether it was sent and got no answer, so that the service alone knows if it counted it.
    pub fn may_be_counted(&self) -> bool {
        matches!(self, Outcome::Failed { kind: FailureKind::Broken | FailureKind::TimedOut })
    }

    /// Whether it says how long a caller waited: an answer does, and a time-out, which took at least so long.
    pub fn has_latency(&self) -> bool {
        matches!(self, Outcome::Answered { .. } | Outcome::Failed { kind: FailureKind::TimedOut })
    }
}

impl FailureKind {
    /// As a table shows it.
    pub fn words(self) -> &'static str {
        match self {
            FailureKind::Refused => "refused",
            FailureKind::Broken => "broken",
            FailureKind::TimedOut => "timed out",
        }
    }
}

impl Entry {
    /// The status of a whole answer.
    pub fn status(&self) -> Option<u16> {
        match self.outcome {
            Outcome::Answered { status } => Some(status),
            _ => None,
        }
    }

    /// From the intended time to the end, in microseconds: the latency a caller sees. For answers, and for time-outs,
    /// which took at least so long; a refused or broken attempt has none.
    pub fn latency_us(&self) -> Option<u64> {
        self.outcome.has_latency().then(|| Some(self.ended_us?.saturating_sub(self.intended_us)))?
    }

    /// From the first byte sent to the end, in microseconds: what the service and the wire took, queueing left out.
    pub(crate) fn service_time_us(&self) -> Option<u64> {
        self.status().and(Some(self.ended_us?.saturating_sub(self.sent_us?)))
    }
}

/// What became of all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// `sent + not_sent`.
    pub scheduled: u64,
    /// Attempted, whatever came of it.
    pub sent: u64,
    /// Never left.
    pub not_sent: u64,
    /// Whole answers.
    pub answered: u64,
    /// Attempts without a whole answer.
    pub failed: BTreeMap<FailureKind, u64>,
}

impl Totals {
    pub(super) fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::NotSent { .. } => self.not_sent += 1,
            Outcome::Answered { .. } => self.answered += 1,
            Outcome::Failed { kind } => *self.failed.entry(*kind).or_default() += 1,
        }
        self.sent += u64::from(!matches!(outcome, Outcome::NotSent { .. }));
    }
}

/// Exact quantiles, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Quantiles {
    /// Over how many values.
    pub count: u64,
    pub p50_us: u64,
    /// 95 of 100 are at most this.
    pub p95_us: u64,
    /// 99 of 100 are at most this.
    pub p99_us: u64,
    pub max_us: u64,
}

impl Quantiles {
    /// Nearest rank: the smallest value that at least the given share of all values does not exceed. All 0 of none.
    pub fn of(values: impl IntoIterator<Item = u64>) -> Quantiles {
        let mut values: Vec<u64> = values.into_iter().collect();
        values.sort_unstable();
        let at = |percent: usize| match (values.len() * percent).div_ceil(100) {
            0 => 0,
            rank => values[rank - 1],
        };
        Quantiles { count: values.len() as u64, p50_us: at(50), p95_us: at(95), p99_us: at(99), max_us: at(100) }
    }
}

/// A measure's value over a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// In the measure's unit: 1/s, a share, or seconds.
    pub value: f64,
    /// The endpoint, for the measure that names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// How many answers it rests on.
    pub population: u64,
}

impl Ledger {
    /// What became of all requests.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals { scheduled: self.head.scheduled, ..Totals::default() };
        self.entries.iter().for_each(|entry| totals.count(&entry.outcome));
        totals
    }

    /// Whole answers by method, endpoint and status: what the service's counters must have grown by.
    pub fn counts(&self) -> BTreeMap<(&str, &str, u16), u64> {
        let mut counts = BTreeMap::new();
        for entry in &self.entries {
            if let Some(status) = entry.status() {
                *counts.entry((entry.method.as_str(), entry.endpoint.as_str(), status)).or_default() += 1;
            }
        }
        counts
    }

    /// Requests of which the client can't know whether the service counted them: sent, and no whole answer.
    pub fn unsettled(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| {
            matches!(entry.outcome, Outcome::Failed { kind: FailureKind::Broken | FailureKind::TimedOut })
        })
    }

    /// The schedule this is the ledger of, computed again from the scenario. An error is another hash, or a line
    /// that is not what was scheduled.
    pub fn schedule(&self, scenario: &Scenario) -> Result<Schedule, Failure> {
        let head = &self.head;
        let length = Duration::from_micros(head.length_us);
        let schedule = Schedule::new(scenario, head.seed, head.speed, Some(length))?;
        let other = |what: String| Failure::usage(format!("this is no ledger of {}: {what}", scenario.id()));
        if schedule.sha256() != head.schedule_sha256 {
            return Err(other(format!("its schedule is {}, not {}", head.schedule_sha256, schedule.sha256())));
        }
        for (entry, intended) in self.entries.iter().zip(&schedule.requests) {
            let phase = &schedule.phases[intended.phase].name;
            let same = (&entry.phase, &entry.method, &entry.path, &entry.endpoint, &entry.fault, entry.intended_us)
                == (
                    phase,
                    &intended.method,
                    &intended.path,
                    &intended.endpoint,
                    &intended.fault,
                    super::schedule::micros(intended.at),
                );
            if !same {
                return Err(other(format!("request {} is not the one that was scheduled", entry.seq)));
            }
        }
        if self.entries.len() != schedule.requests.len() {
            return Err(other(format!("{} requests were scheduled", schedule.requests.len())));
        }
        Ok(schedule)
    }

    /// A wall-clock time (Unix microseconds) on the run's clock; before the start is 0.
    pub fn since_start_us(&self, unix_us: u64) -> u64 {
        unix_us.saturating_sub(self.head.started_unix_us)
    }

    /// How far the wall clock moved against the monotonic one during the run, in microseconds.
    pub fn clock_drift_us(&self) -> i128 {
        self.head.clock_drift_us()
    }

    /// A measure over the answers that ended within a window of the run's clock (microseconds). What probes and scrapes ask for,
    /// too, does not count, as in rules and panels. None where it has no value: a share, a quantile or a maximum of nothing,
    /// a rate over no time.
    pub fn measure(&self, measure: Measure, window: Range<u64>, service: &Service) -> Option<Measured> {
        let answers: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|entry| {
                let is_shown = !service.is_internal(&entry.endpoint) && entry.status().is_some();
                is_shown && entry.ended_us.is_some_and(|at| window.contains(&at))
            })
            .collect();
        let population = answers.len() as u64;
        let errors = answers.iter().filter(|entry| entry.status() >= Some(500)).count() as u64;
        let seconds = as_f64(window.end.checked_sub(window.start)?) / 1e6;
        let rate = |count: u64| (seconds > 0.0).then(|| as_f64(count) / seconds);
        let measured = |value: f64| Measured { value, endpoint: None, population };
        match measure {
            Measure::RequestRate => rate(population).map(measured),
            Measure::ErrorRate => rate(errors).map(measured),
            Measure::ErrorShare => (population > 0).then(|| measured(as_f64(errors) / as_f64(population))),
            Measure::LatencyP95 => (population > 0).then(|| {
                let quantiles = Quantiles::of(answers.iter().filter_map(|entry| entry.service_time_us()));
                measured(as_f64(quantiles.p95_us) / 1e6)
            }),
            Measure::TopEndpoint => {
                let mut by_endpoint: BTreeMap<&str, u64> = BTreeMap::new();
                for entry in &answers {
                    *by_endpoint.entry(&entry.endpoint).or_default() += 1;
                }
                let (endpoint, count) = by_endpoint.into_iter().max_by_key(|(_, count)| *count)?;
                Some(Measured { endpoint: Some(endpoint.to_owned()), ..measured(rate(count)?) })
            }
        }
    }

    /// Writes the ledger: one that is there is whole.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        write_to(path, |out| {
            write_line(out, &self.head)?;
            self.entries.iter().try_for_each(|entry| write_line(out, entry))
        })
    }

    /// Reads a ledger and checks that it is one: every scheduled request has its line, in order.
    pub fn read(path: &Path) -> Result<Ledger, Failure> {
        let cannot_read = || format!("cannot read the ledger {}", path.display());
        let file = files::open(path).with_context(cannot_read).map_err(Failure::usage)?;
        Ok(Ledger::from_lines(path, BufReader::new(file)).map_err(|finding| vec![finding])?)
    }

    /// Reads a ledger's lines; `path` stands in the finding.
    pub fn from_lines(path: &Path, lines: impl BufRead) -> Result<Ledger, Finding> {
        let wrong = |line: usize, what: String| Finding { file: path.to_owned(), line, what, remedy: String::new() };
        let mut head: Option<Head> = None;
        let mut entries: Vec<Entry> = Vec::new();
        let mut count = 0;
        for text in lines.lines() {
            count += 1;
            let text = text.map_err(|error| wrong(count, error.to_string()))?;
            let Some(head) = &head else {
                head = Some(Head::from_line(&text).map_err(|what| Finding {
                    remedy: if text.starts_with(PART) {
                        "it is a part of one: `aiclipx traffic merge` makes a ledger of all parts".to_owned()
                    } else {
                        String::new()
                    },
                    ..wrong(count, what)
                })?);
                continue;
            };
            entries.push(Entry::from_line(&text, head, entries.len() as u64).map_err(|what| wrong(count, what))?);
        }
        let head = head.ok_or_else(|| wrong(0, "an empty file is no ledger".to_owned()))?;
        if entries.len() as u64 != head.scheduled {
            let what = format!("{} requests were scheduled, and {} have a line", head.scheduled, entries.len());
            return Err(wrong(count, what));
        }
        Ok(Ledger { head, entries })
    }
}

/// How a file begins that is a part of a ledger.
pub(super) const PART: &str = "{\"shard\":";

/// Writes a ledger or a part of one: whole or not at all.
pub(super) fn write_to(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let written = files::replace(path, write).with_context(|| format!("cannot write the ledger {}", path.display()));
    written.map_err(|error| match Failure::from(error) {
        // A disk that is full, or can't be written, has its own remedy.
        known if known.kind() == Kind::Usage => known,
        other => Failure::usage(other.into_chain()).remedy("name a folder that exists and can be written"),
    })
}

pub(super) fn write_line(out: &mut dyn Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// Microseconds until the year 2100: no run is later, so that adding times never overflows.
const LATEST_US: u64 = 4_102_444_800_000_000;

impl Head {
    fn from_line(line: &str) -> Result<Head, String> {
        let head: Head = serde_json::from_str(line).map_err(|error| format!("not the head of a ledger: {error}"))?;
        head.check()?;
        Ok(head)
    }

    /// See [`Ledger::clock_drift_us`].
    pub(super) fn clock_drift_us(&self) -> i128 {
        i128::from(self.ended_unix_us) - i128::from(self.started_unix_us) - i128::from(self.elapsed_us)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let times = [self.length_us, self.started_unix_us, self.ended_unix_us, self.elapsed_us];
        match times.iter().chain(&self.starts_unix_us).find(|time| **time > LATEST_US) {
            Some(time) => Err(format!("{time} is no time of a run")),
            None => Ok(()),
        }
    }
}

impl Entry {
    /// A line that stands at this place of this ledger.
    pub(super) fn from_line(line: &str, head: &Head, seq: u64) -> Result<Entry, String> {
        let entry: Entry = serde_json::from_str(line).map_err(|error| format!("not a ledger's entry: {error}"))?;
        entry.check(head, seq)?;
        entry.is_all_of(line)?;
        Ok(entry)
    }

    /// Whether a line has no unknown field. (serde can't deny them beside one that is flattened.)
    fn is_all_of(&self, line: &str) -> Result<(), String> {
        let told: serde_json::Map<String, Value> = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let read = serde_json::to_value(self).map_err(|error| error.to_string())?;
        match told.keys().find(|name| read.get(name).is_none()) {
            Some(more) => Err(format!("request {} says `{more}`, which is no part of a ledger", self.seq)),
            None => Ok(()),
        }
    }

    /// Whether this can stand at this place of this ledger.
    fn check(&self, head: &Head, seq: u64) -> Result<(), String> {
        if self.seq != seq {
            return Err(format!("this is request {}, and {seq} comes here", self.seq));
        }
        if self.id != request_id(&head.run, seq) {
            return Err(format!("request {seq} of run {} has the id {}", head.run, self.id));
        }
        let times = (self.sent_us, self.ended_us);
        if let Some(late) = self.ended_us.filter(|ended| *ended > head.elapsed_us) {
            return Err(format!("request {seq} ended at {late} µs, and the run at {} µs", head.elapsed_us));
        }
        let fits = match self.outcome {
            Outcome::NotSent { .. } => times == (None, None),
            Outcome::Failed { kind: FailureKind::Refused } => matches!(times, (None, Some(_))),
            _ => matches!(times, (Some(sent), Some(ended)) if sent <= ended),
        };
        if fits { Ok(()) } else { Err(format!("request {seq}: these times don't go with this outcome")) }
    }
}

/// The id of one request of a run.
pub fn request_id(run: &str, seq: u64) -> String {
    format!("{run}-{seq}")
}

#[expect(clippy::cast_precision_loss, reason = "counts and microseconds of a run are far below 2^53")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Kind;

    /// A run of one request a millisecond, with these outcomes; answers end after 5 ms, time-outs after 1 s.
    fn ledger(outcomes: &[(&str, Outcome)]) -> Ledger {
        let entry = |(seq, (endpoint, outcome)): (u64, &(&str, Outcome))| {
            let intended_us = seq * 1000;
            let (sent_us, ended_us) = match outcome {
                Outcome::Answered { .. } => (Some(intended_us + 100), Some(intended_us + 5000)),
                Outcome::Failed { kind: FailureKind::Refused } => (None, Some(intended_us + 200)),
                Outcome::Failed { .. } => (Some(intended_us + 100), Some(intended_us + 1_000_000)),
                Outcome::NotSent { .. } => (None, None),
            };
            Entry {
                seq,
                id: request_id("r1", seq),
                phase: "steady".to_owned(),
                method: "GET".to_owned(),
                path: (*endpoint).to_owned(),
                endpoint: (*endpoint).to_owned(),
                fault: None,
                replica: None,
                intended_us,
                sent_us,
                ended_us,
                outcome: outcome.clone(),
            }
        };
        Ledger {
            head: Head {
                run: "r1".to_owned(),
                scenario: "01-request-rate".to_owned(),
                seed: 1,
                speed: Speed::PRODUCTION,
                length_us: 8000,
                schedule_sha256: "00".to_owned(),
                scheduled: outcomes.len() as u64,
                started_unix_us: 1_000_000_000,
                ended_unix_us: 1_002_000_000,
                elapsed_us: 1_999_000,
                limited: None,
                interrupted: false,
                starts_unix_us: Vec::new(),
            },
            entries: (0..).zip(outcomes).map(entry).collect(),
        }
    }

    fn answered(status: u16) -> Outcome {
        Outcome::Answered { status }
    }

    fn failed(kind: FailureKind) -> Outcome {
        Outcome::Failed { kind }
    }

    fn mixed() -> Ledger {
        ledger(&[
            ("/", answered(200)),
            ("/items", answered(500)),
            ("/items", answered(200)),
            ("/items", failed(FailureKind::Refused)),
            ("/", failed(FailureKind::Broken)),
            ("/", failed(FailureKind::TimedOut)),
            ("/metrics", answered(200)),
            ("/", Outcome::NotSent { why: "interrupted".to_owned() }),
        ])
    }

    #[test]
    fn every_scheduled_request_is_sent_or_not_sent() {
        let totals = mixed().totals();
        assert_eq!((totals.scheduled, totals.sent, totals.not_sent, totals.answered), (8, 7, 1, 4));
        assert_eq!(totals.failed.values().sum::<u64>(), 3);
        assert_eq!(mixed().unsettled().map(|entry| entry.seq).collect::<Vec<_>>(), [4, 5]);
    }

    #[test]
    fn answers_are_counted_by_method_endpoint_and_status() {
        let ledger = mixed();
        let counts = ledger.counts();
        assert_eq!(counts.values().sum::<u64>(), 4);
        assert_eq!(counts[&("GET", "/items", 500)], 1);
    }

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::Builder::new().prefix("two words").tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        mixed().write(&path).unwrap();
        assert_eq!(Ledger::read(&path).unwrap(), mixed());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_folder_that_is_not_there_is_a_usage_failure() {
        let failure = mixed().write(Path::new("no-such-folder/ledger.jsonl")).unwrap_err();
        assert_eq!(failure.kind(), Kind::Usage);
        assert!(failure.to_string().contains("no-such-folder/ledger.jsonl"), "{failure}");
    }

    #[test]
    fn a_ledger_that_was_tampered_with_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        mixed().write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        let missing_last = lines[..8].join("\n");
        let missing_third = [&lines[..3], &lines[4..]].concat().join("\n");
        let without_end = text.replacen(",\"ended_us\":5000", "", 1);
        let other_run = text.replacen("r1-2", "r2-2", 1);
        lines[2] = "{";
        for (text, line, says) in [
            (missing_last, 8, "8 requests were scheduled, and 7 have a line"),
            (missing_third, 4, "this is request 3, and 2 comes here"),
            (lines.join("\n"), 3, "not a ledger's entry"),
            (without_end, 2, "don't go with this outcome"),
            (other_run, 4, "has the id r2-2"),
            (String::new(), 0, "an empty file is no ledger"),
            ("[]".to_owned(), 1, "not the head of a ledger"),
        ] {
            let finding = Ledger::from_lines(&path, text.as_bytes()).unwrap_err();
            assert_eq!(finding.line, line, "{finding}");
            assert!(finding.what.contains(says), "{finding}");
        }
    }

    #[test]
    fn quantiles_are_exact() {
        let quantiles = Quantiles::of((1..=1000).rev());
        assert_eq!((quantiles.p50_us, quantiles.p95_us, quantiles.p99_us, quantiles.max_us), (500, 950, 990, 1000));
        assert_eq!(Quantiles::of([7]).p50_us, 7);
        assert_eq!(Quantiles::of([]), Quantiles::default());
    }

    #[test]
    fn a_time_out_took_at_least_the_time_out_and_a_broken_attempt_has_no_latency() {
        let ledger = mixed();
        assert_eq!(ledger.entries[5].latency_us(), Some(1_000_000));
        assert_eq!(ledger.entries[4].latency_us(), None);
        assert_eq!(ledger.entries[0].service_time_us(), Some(4900));
    }

    fn value(ledger: &Ledger, measure: Measure, window: Range<u64>) -> Option<f64> {
        ledger.measure(measure, window, Service::ours()).map(|measured| measured.value)
    }

    #[test]
    fn a_line_that_says_more_than_is_read_is_no_ledgers() {
        let mut lines: Vec<String> = vec![serde_json::to_string(&mixed().head).unwrap()];
        lines.extend(mixed().entries.iter().map(|entry| serde_json::to_string(entry).unwrap()));
        let read = |lines: &[String]| Ledger::from_lines(Path::new("l"), lines.join("\n").as_bytes());
        assert_eq!(read(&lines).unwrap(), mixed());
        for line in [0, 1, lines.len() - 1] {
            let mut more = lines.clone();
            more[line] = more[line].replacen('{', r#"{"note":"trust me","#, 1);
            let found = read(&more).unwrap_err();
            assert!(found.line == line + 1 && found.what.contains("`note`"), "{found}");
        }
    }

    #[test]
    fn measures_are_what_the_answers_of_a_window_say() {
        let ledger = mixed();
        let second = 0..1_000_000;
        assert_eq!(value(&ledger, Measure::RequestRate, second.clone()), Some(3.0), "without /metrics");
        assert_eq!(value(&ledger, Measure::ErrorRate, second.clone()), Some(1.0));
        assert_eq!(value(&ledger, Measure::ErrorShare, second.clone()), Some(1.0 / 3.0));
        assert_eq!(value(&ledger, Measure::LatencyP95, second.clone()), Some(0.0049));
        let top = ledger.measure(Measure::TopEndpoint, second, Service::ours()).unwrap();
        assert_eq!((top.endpoint.as_deref(), top.value, top.population), (Some("/items"), 2.0, 3));
    }

    #[test]
    fn a_window_takes_its_start_and_leaves_its_end() {
        let ledger = mixed();
        assert_eq!(value(&ledger, Measure::RequestRate, 5000..6000), Some(1000.0));
        assert_eq!(ledger.measure(Measure::RequestRate, 5000..6000, Service::ours()).unwrap().population, 1);
    }

    #[test]
    fn nothing_has_a_rate_of_zero_and_no_share() {
        let ledger = mixed();
        let later = 10_000_000..11_000_000;
        assert_eq!(value(&ledger, Measure::RequestRate, later.clone()), Some(0.0));
        for measure in [Measure::ErrorShare, Measure::LatencyP95, Measure::TopEndpoint] {
            assert_eq!(ledger.measure(measure, later.clone(), Service::ours()), None, "{measure:?}");
        }
        assert_eq!(ledger.measure(Measure::RequestRate, 5..5, Service::ours()), None);
    }

    #[test]
    fn wall_clock_and_run_clock_meet() {
        let ledger = mixed();
        assert_eq!(ledger.since_start_us(1_000_500_000), 500_000);
        assert_eq!(ledger.since_start_us(5), 0);
        assert_eq!(ledger.clock_drift_us(), 1000);
    }
}

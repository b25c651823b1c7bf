//! Makes one ledger of the parts that several generators left of one run.
//!
//! What follows is that of a single generator to the byte, but for times: the same requests in the same order, and what each
//! was answered. It is read and written a line at a time, so that memory does not grow with it. A request's times count from
//! its own generator's start, as latency does; the head says when each one started, and how far they were apart is told.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::ledger::{self, Head, Totals, write_line};
use super::part::Reader;
use super::shard::Shard;
use crate::failure::{Failure, Finding};
use crate::files;

/// A ledger that was made of parts.
#[derive(Debug)]
pub struct Merged {
    pub head: Head,
    pub parts: u32,
    pub totals: Totals,
    /// Whole answers, by status.
    pub statuses: BTreeMap<u16, u64>,
    /// From the first generator's start to the last one's, microseconds.
    pub spread_us: u64,
    /// From when all were to start to the last one's start, where a time was given.
    pub late_us: Option<u64>,
    /// Which of them were stopped by the user.
    pub interrupted: Vec<Shard>,
}

/// Reads parts, in whatever order, and writes the ledger of their run. Refused, with nothing written: parts that are not of one
/// run, one that is there twice or is missing, a file that is cut short or changed.
pub fn merge(parts: &[PathBuf], out: &Path) -> Result<Merged, Failure> {
    if let Some(part) = parts.iter().find(|part| files::are_one(part, out)) {
        let what = format!("{} is a part, and the ledger would replace it", part.display());
        return Err(Failure::usage(what).remedy("name another file with --out"));
    }
    let mut readers = parts.iter().map(|part| Reader::open(part)).collect::<Result<Vec<_>, _>>()?;
    are_of_one_run(&readers)?;
    are_all_and_once(&readers)?;
    readers.sort_by_key(|reader| reader.head.shard);
    were_under_way_together(&readers)?;
    let mut merged = Merged::of_heads(&readers);
    let mut wrong = None;
    let written = ledger::write_to(out, |out| {
        write_line(out, &merged.head)?;
        merged.take(&mut readers, out, &mut wrong)
    });
    match wrong {
        Some(finding) => Err(vec![finding].into()),
        None => written.map(|()| merged),
    }
}

const OF_ONE_RUN: &str = "name the parts of one run: same scenario, seed, speed, length, N and --start-at";

/// Every head says the same of the run as the first one's.
fn are_of_one_run(readers: &[Reader]) -> Result<(), Failure> {
    let Some(first) = readers.first() else { return Err(Failure::usage("no part is named").remedy(OF_ONE_RUN)) };
    let mut found = Vec::new();
    for reader in &readers[1..] {
        let (one, other) = (&first.head, &reader.head);
        let (run, its) = (&one.run, &other.run);
        let start_at = |time: Option<u64>| time.map_or_else(|| "none".to_owned(), |us| us.to_string());
        let said = [
            ("the run", run.run.clone(), its.run.clone()),
            ("the scenario", run.scenario.clone(), its.scenario.clone()),
            ("the seed", run.seed.to_string(), its.seed.to_string()),
            ("the speed", run.speed.to_string(), its.speed.to_string()),
            ("the length in µs", run.length_us.to_string(), its.length_us.to_string()),
            ("the number of parts", one.shard.of().to_string(), other.shard.of().to_string()),
            ("the number of requests", run.scheduled.to_string(), its.scheduled.to_string()),
            ("the schedule", run.schedule_sha256.clone(), its.schedule_sha256.clone()),
            ("the common start in Unix µs", start_at(one.start_at_unix_us), start_at(other.start_at_unix_us)),
        ];
        // What differs first is why the others do.
        let Some((what, here, there)) = said.into_iter().find(|(_, here, there)| here != there) else { continue };
        let what = format!("{what} is {there}, and in {} {here}", first.path.display());
        found.push(Finding { file: reader.path.clone(), line: 1, what, remedy: OF_ONE_RUN.to_owned() });
    }
    if found.is_empty() { Ok(()) } else { Err(found.into()) }
}

/// Each shard has its part.
fn are_all_and_once(readers: &[Reader]) -> Result<(), Failure> {
    let mut there: BTreeMap<Shard, &Path> = BTreeMap::new();
    let mut found = Vec::new();
    for reader in readers {
        let shard = reader.head.shard;
        if let Some(first) = there.insert(shard, &reader.path) {
            let what = format!("it is part {shard}, and so is {}", first.display());
            found.push(Finding { file: reader.path.clone(), line: 1, what, remedy: "name each once".to_owned() });
        }
    }
    if !found.is_empty() {
        return Err(found.into());
    }
    let missing: Vec<String> =
        readers[0].head.shard.all().filter(|shard| !there.contains_key(shard)).map(|shard| shard.to_string()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let of = readers[0].head.shard.of();
    Err(Failure::usage(format!("of {of} parts {} are named; missing: {}", there.len(), missing.join(", "))).remedy(
        "name all of them; a part that was never written is of a generator that died, and the run is to be made anew",
    ))
}

/// None had ended when another one began: the parts of two runs of one schedule would pass for one, and so would generators
/// that waited for each other.
fn were_under_way_together(readers: &[Reader]) -> Result<(), Failure> {
    let last = readers.iter().max_by_key(|reader| reader.head.run.started_unix_us);
    let first = readers.iter().min_by_key(|reader| reader.head.run.ended_unix_us);
    let (Some(last), Some(first)) = (last, first) else { return Ok(()) };
    let (began, ended) = (last.head.run.started_unix_us, first.head.run.ended_unix_us);
    if began <= ended {
        return Ok(());
    }
    let what =
        format!("it began {} ms after {} had ended: that is not one run", (began - ended) / 1000, first.path.display());
    let remedy = "take the parts of one run; its generators must all be under way at the same time".to_owned();
    Err(vec![Finding { file: last.path.clone(), line: 1, what, remedy }].into())
}

impl Merged {
    /// What the heads say together; sorted by shard.
    fn of_heads(readers: &[Reader]) -> Merged {
        let runs = || readers.iter().map(|reader| &reader.head.run);
        let starts: Vec<u64> = runs().map(|run| run.started_unix_us).collect();
        let bounds = (starts.iter().min().copied(), starts.iter().max().copied());
        let (first, last) = (bounds.0.unwrap_or_default(), bounds.1.unwrap_or_default());
        let ended_unix_us = runs().map(|run| run.ended_unix_us).max().unwrap_or_default();
        let of_each = |of: fn(&Head) -> Option<String>| {
            let told = readers
                .iter()
                .filter_map(|reader| Some(format!("part {}: {}", reader.head.shard, of(&reader.head.run)?)));
            told.collect::<Vec<_>>().join("; ")
        };
        let limited = of_each(|run| run.limited.clone());
        let one = &readers[0].head;
        let head = Head {
            started_unix_us: first,
            ended_unix_us,
            elapsed_us: elapsed_us(runs(), first, ended_unix_us),
            limited: (!limited.is_empty()).then_some(limited),
            interrupted: runs().any(|run| run.interrupted),
            starts_unix_us: if starts.len() > 1 { starts } else { Vec::new() },
            ..one.run.clone()
        };
        let interrupted = readers.iter().filter(|reader| reader.head.run.interrupted).map(|reader| reader.head.shard);
        Merged {
            parts: one.shard.of(),
            totals: Totals { scheduled: head.scheduled, ..Totals::default() },
            statuses: BTreeMap::new(),
            spread_us: last - first,
            late_us: one.start_at_unix_us.map(|at| last.saturating_sub(at)),
            interrupted: interrupted.collect(),
            head,
        }
    }

    /// Writes the requests of all, one of each in turn, and reads each part to its end. What is wrong with one is put aside: the
    /// error only says that there is something.
    fn take(&mut self, readers: &mut [Reader], out: &mut dyn Write, wrong: &mut Option<Finding>) -> io::Result<()> {
        let mut told = |finding: Finding| {
            let error = io::Error::other(finding.what.clone());
            *wrong = Some(finding);
            error
        };
        let mut before_us = 0;
        // Sorted by shard, and as many as the head says: request k is the next one of part k mod N.
        let turns = (0..readers.len()).cycle();
        for (_, turn) in (0..self.head.scheduled).zip(turns) {
            let reader = &mut readers[turn];
            let Some((entry, line)) = reader.next().map_err(&mut told)? else { break };
            if entry.intended_us < before_us {
                let what = format!("request {} is to leave before the one that comes before it", entry.seq);
                return Err(told(reader.wrong(what)));
            }
            before_us = entry.intended_us;
            self.totals.count(&entry.outcome);
            if let Some(status) = entry.status() {
                *self.statuses.entry(status).or_default() += 1;
            }
            out.write_all(line.as_bytes())?;
            out.write_all(b"\n")?;
        }
        readers.iter_mut().try_for_each(|reader| reader.next().map(|_| ())).map_err(told)
    }
}

/// How long the run took by a clock that moved against the wall clock as the worst of theirs did, so that a clock that stepped on
/// one machine is seen in the whole as it is in the part. No shorter than any of them.
fn elapsed_us<'a>(runs: impl Iterator<Item = &'a Head> + Clone, started_us: u64, ended_us: u64) -> u64 {
    let longest = runs.clone().map(|run| run.elapsed_us).max().unwrap_or_default();
    let worst = runs.map(Head::clock_drift_us).max_by_key(|drift| drift.abs()).unwrap_or_default();
    let steady = i128::from(ended_us) - i128::from(started_us) - worst;
    u64::try_from(steady).unwrap_or_default().max(longest)
}

#[cfg(test)]
mod tests;

//! Parts of a made-up run, merged as they are and after something was done to them.

use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::failure::Kind;
use crate::traffic::ledger::{Entry, FailureKind, Ledger, Outcome, request_id};
use crate::traffic::part::Part;
use aiclipx_base::duration::Speed;

/// A run of one request a millisecond, each with one of these outcomes, answered after 5 ms.
fn ledger(outcomes: &[Outcome]) -> Ledger {
    let entry = |(seq, outcome): (u64, &Outcome)| {
        let times = match outcome {
            Outcome::NotSent { .. } => (None, None),
            Outcome::Failed { kind: FailureKind::Refused } => (None, Some(seq * 1000 + 5000)),
            _ => (Some(seq * 1000 + 100), Some(seq * 1000 + 5000)),
        };
        let said = json!({
            "seq": seq,
            "id": request_id("r1", seq),
            "phase": "steady",
            "method": "POST",
            "path": format!("/items?n={seq}"),
            "endpoint": "/items",
            "fault": seq.is_multiple_of(3).then_some("error"),
            "intended_us": seq * 1000,
            "outcome": "not_sent",
            "why": "to be said",
        });
        let entry: Entry = serde_json::from_value(said).unwrap();
        Entry { sent_us: times.0, ended_us: times.1, outcome: outcome.clone(), ..entry }
    };
    let head = json!({
        "run": "r1",
        "scenario": "01-request-rate",
        "seed": 1,
        "speed": 1,
        "length_us": 8000,
        "schedule_sha256": "ab".repeat(32),
        "scheduled": outcomes.len(),
        "started_unix_us": 1_000_000_000,
        "ended_unix_us": 1_002_000_000,
        "elapsed_us": 2_000_000,
        "interrupted": false,
    });
    Ledger { head: serde_json::from_value(head).unwrap(), entries: (0..).zip(outcomes).map(entry).collect() }
}

fn outcomes() -> Vec<Outcome> {
    [200, 201, 500, 404, 200, 503, 201]
        .map(|status| Outcome::Answered { status })
        .into_iter()
        .chain([FailureKind::Refused, FailureKind::TimedOut].map(|kind| Outcome::Failed { kind }))
        .collect()
}

/// What a shard's generator has of this run; its clock and start are its own.
fn own(whole: &Ledger, shard: Shard) -> Ledger {
    let entries: Vec<Entry> = whole.entries.iter().skip(shard.index()).step_by(shard.of() as usize).cloned().collect();
    Ledger { head: Head { scheduled: entries.len() as u64, ..whole.head.clone() }, entries }
}

/// A folder with the parts of a run, and what may be done to them.
struct Parts {
    folder: tempfile::TempDir,
    whole: Ledger,
    of: u32,
}

impl Parts {
    fn new(of: u32) -> Parts {
        let parts = Parts { folder: tempfile::tempdir().unwrap(), whole: ledger(&outcomes()), of };
        (0..of).for_each(|index| parts.write(index, |_| {}));
        parts
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn shard(&self, index: u32) -> Shard {
        format!("{index}/{}", self.of).parse().unwrap()
    }

    /// Writes one anew, changed.
    fn write(&self, index: u32, change: impl FnOnce(&mut Ledger)) {
        self.write_to(index, None, change);
    }

    fn write_to(&self, index: u32, start_at_unix_us: Option<u64>, change: impl FnOnce(&mut Ledger)) {
        let shard = self.shard(index);
        let mut sent = own(&self.whole, shard);
        change(&mut sent);
        let scheduled = self.whole.head.scheduled;
        let part = Part { shard, start_at_unix_us, scheduled, sent: &sent };
        part.write(&self.at(&index.to_string())).unwrap();
    }

    /// Changes the text of one.
    fn edit(&self, index: u32, change: impl FnOnce(&str) -> String) {
        let path = self.at(&index.to_string());
        let text = fs::read_to_string(&path).unwrap();
        let edited = change(&text);
        assert_ne!(text, edited);
        fs::write(path, edited).unwrap();
    }

    fn merge(&self, names: &[&str]) -> Result<Merged, Failure> {
        let parts: Vec<PathBuf> = names.iter().map(|name| self.at(name)).collect();
        merge(&parts, &self.at("ledger"))
    }

    /// That merging these is refused: which file it says, and why; and that nothing is written.
    fn refused(&self, names: &[&str], file: &str, says: &str) {
        let failure = self.merge(names).unwrap_err();
        assert_eq!(failure.kind(), Kind::Usage, "{failure}");
        let told = failure.to_string();
        assert!(told.contains(says), "{says}: {told}");
        assert!(told.contains(&self.at(file).display().to_string()), "{file}: {told}");
        assert!(!self.at("ledger").exists(), "{told}");
    }
}

#[test]
fn parts_in_any_order_make_the_very_ledger_and_one_part_that_of_a_single_generator() {
    let parts = Parts::new(4);
    parts.write(2, |sent| sent.head.started_unix_us += 7_000);
    let merged = parts.merge(&["3", "1", "0", "2"]).unwrap();
    assert_eq!((merged.parts, merged.spread_us, merged.late_us), (4, 7_000, None));
    assert_eq!(merged.totals, parts.whole.totals());
    assert_eq!(merged.statuses, BTreeMap::from([(200, 2), (201, 2), (404, 1), (500, 1), (503, 1)]));
    let read = Ledger::read(&parts.at("ledger")).unwrap();
    assert_eq!(read.entries, parts.whole.entries);
    let starts = [0, 0, 7_000, 0].map(|late| parts.whole.head.started_unix_us + late);
    let expected = Head { starts_unix_us: starts.to_vec(), elapsed_us: 2_007_000, ..parts.whole.head.clone() };
    assert_eq!(read.head, expected);

    let one = Parts::new(1);
    one.merge(&["0"]).unwrap();
    one.whole.write(&one.at("whole")).unwrap();
    assert_eq!(fs::read(one.at("ledger")).unwrap(), fs::read(one.at("whole")).unwrap());
}

#[test]
fn more_generators_than_requests_leave_parts_of_nothing() {
    let parts = Parts::new(12);
    let names: Vec<String> = (0..12).map(|index| index.to_string()).collect();
    let merged = parts.merge(&names.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    assert_eq!(merged.totals.scheduled, 9);
    assert_eq!(Ledger::read(&parts.at("ledger")).unwrap().entries, parts.whole.entries);
}

#[test]
fn how_late_the_last_one_was_is_told_against_the_common_start() {
    let parts = Parts::new(2);
    let at = parts.whole.head.started_unix_us - 1_000;
    parts.write_to(0, Some(at), |_| {});
    parts.write_to(1, Some(at), |sent| sent.head.started_unix_us += 300_000);
    let merged = parts.merge(&["0", "1"]).unwrap();
    assert_eq!((merged.spread_us, merged.late_us), (300_000, Some(301_000)));
}

#[test]
fn what_one_part_says_of_its_end_the_ledger_says_of_the_whole() {
    let parts = Parts::new(3);
    parts.write(1, |sent| sent.head.interrupted = true);
    parts.write(2, |sent| sent.head.limited = Some("late".to_owned()));
    let merged = parts.merge(&["0", "1", "2"]).unwrap();
    assert_eq!(merged.interrupted, [parts.shard(1)]);
    let head = Ledger::read(&parts.at("ledger")).unwrap().head;
    assert!(head.interrupted);
    assert_eq!(head.limited.as_deref(), Some("part 2/3: late"));
}

#[test]
fn a_clock_that_stepped_on_one_machine_is_seen_in_the_whole() {
    let parts = Parts::new(3);
    parts.write(1, |sent| sent.head.ended_unix_us -= 900_000);
    parts.write(2, |sent| sent.head.started_unix_us += 10_000);
    parts.merge(&["0", "1", "2"]).unwrap();
    assert_eq!(Ledger::read(&parts.at("ledger")).unwrap().clock_drift_us(), -900_000);
}

#[test]
fn parts_of_another_run_are_refused_by_what_is_other() {
    type Change = fn(&mut Head);
    let changes: [(Change, &str); 7] = [
        (|head| head.run.push('x'), "the run is r1x, and in"),
        (|head| head.scenario.push('x'), "the scenario is 01-request-ratex"),
        (|head| head.seed = 2, "the seed is 2"),
        (|head| head.speed = Speed::new(30).unwrap(), "the speed is 30"),
        (|head| head.length_us += 1, "the length in µs is 8001"),
        (|head| head.schedule_sha256.replace_range(..2, "cd"), "the schedule is cdab"),
        (|head| head.started_unix_us += 60_000_000, "it began 58000 ms after"),
    ];
    for (change, says) in changes {
        let parts = Parts::new(2);
        parts.write(1, |sent| {
            change(&mut sent.head);
            let run = sent.head.run.clone();
            sent.entries.iter_mut().for_each(|entry| entry.id = request_id(&run, entry.seq));
        });
        parts.refused(&["0", "1"], "1", says);
    }
    let parts = Parts::new(2);
    parts.write_to(1, Some(1), |_| {});
    parts.refused(&["0", "1"], "1", "the common start in Unix µs is 1, and in");
    let (parts, four) = (Parts::new(2), Parts::new(4));
    fs::copy(four.at("1"), parts.at("1")).unwrap();
    parts.refused(&["0", "1"], "1", "the number of parts is 4");
    let (parts, mut more) = (Parts::new(2), Parts::new(2));
    more.whole = ledger(&outcomes()[1..]);
    more.write(1, |_| {});
    fs::copy(more.at("1"), parts.at("1")).unwrap();
    parts.refused(&["0", "1"], "1", "the number of requests is 8");
}

#[test]
fn each_part_is_wanted_and_each_once() {
    let parts = Parts::new(4);
    fs::copy(parts.at("1"), parts.at("copy")).unwrap();
    let failure = parts.merge(&["0", "2"]).unwrap_err().to_string();
    assert!(failure.contains("of 4 parts 2 are named; missing: 1/4, 3/4"), "{failure}");
    parts.refused(&["0", "1", "2", "3", "copy"], "copy", "it is part 1/4, and so is");
    parts.refused(&["0", "1", "copy", "3"], "copy", "it is part 1/4, and so is");
    parts.refused(&["0", "1", "2", "3", "3"], "3", "it is part 3/4, and so is");
    assert_eq!(parts.merge(&[]).unwrap_err().kind(), Kind::Usage);
    assert!(!parts.at("ledger").exists());
}

type Edit<'a> = &'a dyn Fn(&str) -> String;

#[test]
fn a_file_that_was_cut_short_or_changed_is_told_with_its_line() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let joined = |lines: &[String]| lines.join("\n") + "\n";
    // Part 0 of 2 has a head, five lines and a seal.
    let cases: [(Edit, usize, &str); 12] = [
        (&|_| String::new(), 1, "an empty file is no part"),
        (&|text| joined(&lines(text)[1..]), 1, "not the head of a part"),
        (&|text| text[..text.len() / 2].to_owned(), 3, "this line has no end"),
        (&|text| joined(&lines(text)[..3]), 4, "it ends after 2 of 5 requests"),
        (&|text| joined(&lines(text)[..6]), 7, "it ends after 5 of 5 requests"),
        (&|text| text[..text.len() - 1].to_owned(), 7, "this line has no end"),
        (&|text| joined(&[&lines(text)[..3], &lines(text)[4..]].concat()), 4, "this is request 6, and 4 comes here"),
        (&|text| joined(&[&lines(text)[..5], &lines(text)[6..]].concat()), 6, "4 of 5 requests have a line"),
        (&|text| text.replacen("\"status\":200", "\"status\":500", 1), 7, "it was changed since"),
        (&|text| text.replacen("\"seed\":1", "\"seed\":01", 1), 1, "not the head of a part"),
        (&|text| text.replacen("\"started_unix_us\":1000000000", "\"started_unix_us\":1000000001", 1), 7, "changed"),
        (&|text| format!("{text}\n"), 8, "the sum is its last line, and more follows"),
    ];
    for (edit, line, says) in cases {
        let parts = Parts::new(2);
        parts.edit(0, edit);
        parts.refused(&["0", "1"], "0", says);
        parts.refused(&["0", "1"], "0", &format!("0:{line}: "));
    }
    let parts = Parts::new(2);
    parts.edit(0, |text| format!("{text}{}\n", lines(text)[5]));
    parts.refused(&["1", "0"], "0", "the sum is its last line, and more follows");
    let parts = Parts::new(2);
    parts.edit(0, |text| joined(&[&lines(text)[..6], &lines(text)[5..]].concat()));
    parts.refused(&["1", "0"], "0", "its 5 requests have a line, and this is one more");
    let parts = Parts::new(2);
    parts.write(1, |sent| sent.entries[1].intended_us = 0);
    parts.refused(&["1", "0"], "1", "1:3: request 3 is to leave before the one that comes before it");
}

#[test]
fn a_file_of_another_kind_is_called_what_it_is() {
    let parts = Parts::new(2);
    parts.whole.write(&parts.at("whole")).unwrap();
    parts.refused(&["0", "whole"], "whole", "it is a whole ledger, and no part of one");
    parts.refused(&["0", "nowhere"], "nowhere", "cannot read the part");
    let part = Ledger::read(&parts.at("0")).unwrap_err().to_string();
    assert!(part.contains("not the head of a ledger") && part.contains("`aiclipx traffic merge` makes"), "{part}");
    // A line without an end is not read to it.
    fs::File::create(parts.at("sparse")).unwrap().set_len(20 << 30).unwrap();
    parts.refused(&["0", "sparse"], "sparse", "this line has no end");
}

#[test]
fn no_part_is_replaced_and_an_earlier_ledger_only_by_a_whole_one() {
    let parts = Parts::new(2);
    let before = fs::read(parts.at("1")).unwrap();
    let failure = merge(&[parts.at("0"), parts.at("1")], &parts.at("./1")).unwrap_err().to_string();
    assert!(failure.contains("is a part, and the ledger would replace it"), "{failure}");
    assert_eq!(fs::read(parts.at("1")).unwrap(), before);
    fs::write(parts.at("ledger"), "precious").unwrap();
    parts.edit(1, |text| text.replacen("\"status\":201", "\"status\":200", 1));
    assert!(parts.merge(&["0", "1"]).unwrap_err().to_string().contains("it was changed since"));
    assert_eq!(fs::read_to_string(parts.at("ledger")).unwrap(), "precious");
    assert_eq!(fs::read_dir(parts.folder.path()).unwrap().count(), 3, "nothing is left beside it");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn whatever_was_answered_and_however_many_sent_it_the_ledger_is_that_of_one(
        statuses in prop::collection::vec(prop_oneof![
            (100_u16..600).prop_map(|status| Outcome::Answered { status }),
            Just(Outcome::Failed { kind: FailureKind::Refused }),
            Just(Outcome::Failed { kind: FailureKind::Broken }),
            Just(Outcome::NotSent { why: "generator limited".to_owned() }),
        ], 0..60),
        of in 1_u32..9,
    ) {
        let mut parts = Parts { folder: tempfile::tempdir().unwrap(), whole: ledger(&statuses), of };
        parts.whole.head.starts_unix_us = if of > 1 { vec![parts.whole.head.started_unix_us; of as usize] } else { Vec::new() };
        (0..of).for_each(|index| parts.write(index, |sent| sent.head.starts_unix_us.clear()));
        let names: Vec<String> = (0..of).rev().map(|index| index.to_string()).collect();
        let merged = parts.merge(&names.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        prop_assert_eq!(&merged.totals, &parts.whole.totals());
        parts.whole.write(&parts.at("whole")).unwrap();
        prop_assert_eq!(fs::read(parts.at("ledger")).unwrap(), fs::read(parts.at("whole")).unwrap());
    }
}

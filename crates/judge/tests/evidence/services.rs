//! Another service than ours in the tree: what it does without is not proven, with the reason; what it calls otherwise is found by the
//! name in its file; and a series that comes later has grown from nothing, unless its file says that none does.

use std::fs;

use aiclipx_judge::judge::{self, Verdict};
use aiclipx_judge::tree::{FOLDERS, Tree, copy_folder};
use serde_json::Value;
use tempfile::TempDir;

use crate::fixture::{Fixture, Judged, has};
use crate::world;

/// The world's tree, with another service.toml.
fn tree(edit: impl FnOnce(&str) -> String) -> (TempDir, Tree) {
    let place = tempfile::tempdir().unwrap();
    for folder in FOLDERS {
        copy_folder(&world::tree().root.join(folder), &place.path().join(folder)).unwrap();
    }
    let file = place.path().join("monitoring/service.toml");
    let text = fs::read_to_string(&file).unwrap();
    let edited = edit(&text);
    assert_ne!(edited, text, "the edit changes nothing");
    fs::write(&file, edited).unwrap();
    let tree = Tree::read(place.path()).unwrap_or_else(|failure| panic!("{failure}"));
    (place, tree)
}

/// The text without these sections.
fn without(text: &str, sections: &[&str]) -> String {
    let mut keeps = true;
    let lines = text.lines().filter(|line| {
        if line.starts_with('[') {
            keeps = !sections.iter().any(|section| line.starts_with(&format!("[{section}]")));
        }
        keeps
    });
    lines.map(|line| format!("{line}\n")).collect()
}

fn judged(fixture: &Fixture, tree: &Tree) -> Judged {
    Judged(judge::judge(&fixture.experiment(), tree))
}

#[test]
fn what_a_service_does_without_is_not_proven_with_the_section_it_would_be_in() {
    let (_place, tree) = tree(|text| without(text, &["errors", "latency", "log", "build"]));
    let judged = judged(&Fixture::with_errors(), &tree);
    for (claim, section) in [
        ("counters/errors", "errors"),
        ("counters/latency-count", "latency"),
        ("counters/latency-inf", "latency"),
        ("buckets", "latency"),
        ("panel-shows/app-overview/2", "latency"),
        ("log", "log"),
    ] {
        let Verdict::NotProven(why) = &judged.of(claim).verdict else { panic!("{claim}: {}", judged.whys()) };
        assert!(why.starts_with("the service has no ") && why.contains(&format!("no [{section}]")), "{claim}: {why}");
    }
    let open = judged.0.iter().filter(|judgement| judgement.verdict != Verdict::Holds).count();
    assert_eq!(open, 6, "{}", judged.whys());
}

#[test]
fn a_service_that_counts_nothing_has_no_counter_that_could_be_right() {
    let (_place, tree) = tree(|text| without(text, &["requests"]));
    let judged = judged(&Fixture::with_errors(), &tree);
    for claim in ["counters/requests", "exposed"] {
        let verdict = &judged.of(claim).verdict;
        assert!(matches!(verdict, Verdict::NotProven(why) if why.contains("no [requests]")), "{claim}: {verdict:?}");
    }
}

#[test]
fn what_no_label_tells_is_counted_together_and_said_beside_the_numbers() {
    let (_place, tree) = tree(|text| text.replacen("method = \"method\"\n", "", 1));
    let judged = judged(&Fixture::with_errors(), &tree);
    let requests = judged.of("counters/requests");
    assert_eq!(requests.verdict, Verdict::Holds, "{}", judged.whys());
    assert!(requests.observed.ends_with("told by route, status: it has no label of method"), "{}", requests.observed);
    // One too many is found all the same, by what is told.
    let one_more = Fixture::with_errors().stored("requests", &[("method", "POST"), ("http_status", "201")], 1.0);
    let Verdict::Fails(why) = &self::judged(&one_more, &tree).of("counters/requests").verdict.clone() else {
        panic!("one more is not found")
    };
    assert!(why.starts_with("/items 201: client "), "{why}");
}

/// The first scrapes did not have it: it came with the first request of its kind.
fn born_late(fixture: Fixture) -> Fixture {
    let sending = fixture.experiment().sending_ms() as f64 / 1000.0;
    fixture.series("requests", |all| {
        let series = all.iter_mut().find(|series| has(series, &[("method", "POST"), ("http_status", "201")])).unwrap();
        let samples = series["values"].as_array_mut().unwrap();
        let before = samples.len();
        samples.retain(|sample: &Value| sample[0].as_f64().unwrap() > sending);
        assert!(samples.len() < before);
    })
}

#[test]
fn a_series_that_comes_later_has_grown_from_nothing_where_the_service_does_not_say_that_all_are_there() {
    let late = born_late(Fixture::with_errors());
    let Verdict::Fails(why) = &late.judged().of("counters/requests").verdict.clone() else {
        panic!("ours has them all")
    };
    assert!(why.contains("no scrape between quiet and the first request"), "{why}");
    let (_place, tree) = tree(|text| text.replacen("from_zero = true\n", "", 1));
    let found = judged(&late, &tree);
    assert_eq!(found.of("counters/requests").verdict, Verdict::Holds, "{}", found.whys());
    // What it was born with counts.
    let more = born_late(Fixture::with_errors()).stored("requests", &[("method", "POST"), ("http_status", "201")], 1.0);
    assert!(matches!(judged(&more, &tree).of("counters/requests").verdict, Verdict::Fails(_)));
}

#[test]
fn a_bucket_that_comes_later_has_grown_from_nothing_likewise() {
    let late = || {
        Fixture::with_errors().lines("exposition/before-0.prom", |lines| {
            lines.retain(|line| !(line.starts_with("app_request_latency_seconds") && line.contains("\"/items\"")));
        })
    };
    let Verdict::Fails(why) = &late().judged().of("buckets").verdict.clone() else { panic!("ours has them all") };
    assert!(why.contains("before or after the run only"), "{why}");
    let (_place, tree) = tree(|text| text.replacen("from_zero = true\n", "", 1));
    let found = judged(&late(), &tree);
    assert_eq!(found.of("buckets").verdict, Verdict::Holds, "{}", found.whys());
}

#[test]
fn a_name_that_is_in_no_exposition_is_not_passed_over() {
    let (_place, tree) = tree(|text| text.replace("app_request_latency_seconds", "http_request_duration_seconds"));
    let found = judged(&Fixture::with_errors(), &tree);
    let verdict = &found.of("buckets").verdict;
    assert!(matches!(verdict, Verdict::Fails(_)), "{verdict:?}");
}

//! The page of sizes says what the command says: each of its blocks that begins with `$ aiclipx sizing` is typed again, and
//! must be answered in the same words. So a metric more, or a number measured anew, turns this red until the page is written anew, by
//! `UPDATE_GOLDEN=1 cargo test --test sizing`; look at it before it is committed.

#![expect(clippy::unwrap_used, reason = "a test file throughout: what can't be read fails the test")]

use std::path::Path;
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn sizing(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aiclipx"));
    command.arg("sizing").args(arguments).current_dir(root()).output().unwrap()
}

fn said(arguments: &[&str]) -> String {
    let output = sizing(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The number behind a row's name, its spaces taken out.
fn number(told: &str, row: &str) -> u64 {
    let line = told.lines().find_map(|line| line.strip_prefix(row)).unwrap_or_else(|| panic!("no {row} in:\n{told}"));
    line.trim_start().split("   ").next().unwrap().replace(' ', "").parse().unwrap()
}

#[test]
fn the_page_says_what_the_command_says() {
    let file = root().join("monitoring/SIZING.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (mut typed, mut anew) = (0, page.clone());
    for block in page.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
        let Some((arguments, _)) = block.strip_prefix("$ aiclipx sizing").and_then(|rest| rest.split_once('\n')) else {
            continue;
        };
        let words: Vec<&str> = arguments.split_whitespace().collect();
        anew = anew.replace(block, &format!("$ aiclipx sizing{arguments}\n{}", said(&words)));
        typed += 1;
    }
    assert!(typed >= 2, "the page quotes {typed} answers");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &anew).unwrap();
    } else {
        assert_eq!(anew, page, "UPDATE_GOLDEN=1 writes monitoring/SIZING.md anew; look at it before it is committed");
    }
}

/// What the service says of itself in text is what the command counts without asking it.
#[test]
fn what_is_counted_without_asking_is_what_the_service_exposes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics");
    let metrics = aiclipx_app::metrics::Metrics::new("1", "r").unwrap();
    let text = metrics.encode();
    std::fs::write(&file, &text).unwrap();
    // Of a machine without limits two are not there.
    let known: Vec<String> = metrics.gather().iter().map(|family| family.name().to_owned()).collect();
    let limits = ["app_memory_limit_bytes", "app_cpu_limit_cores"];
    assert!(limits.iter().all(|limit| known.iter().any(|name| name == limit)), "{known:?}");
    let limits = limits.iter().filter(|name| !text.contains(**name)).count();
    let asked = number(&said(&["--metrics", file.to_str().unwrap()]), "series a replica");
    assert_eq!(asked + limits as u64, number(&said(&[]), "series a replica"));
    assert!(asked > 300, "{asked}");
}

/// Three replicas share a database: then these are there, too.
#[test]
fn with_a_database_each_series_of_it_is_counted() {
    let (statements, bounds) = (["page", "get", "insert", "remove", "look"].len(), 16);
    let histogram = bounds + ["+Inf", "_sum", "_count"].len();
    let kinds = ["unreachable", "pool", "timeout", "lost", "unknown", "error"].len();
    let gauges = ["up", "connections idle", "connections used", "connections_max"].len();
    let of_it = statements * histogram + histogram + kinds + gauges;
    let with = number(&said(&["--database"]), "series a replica");
    assert_eq!(with, number(&said(&[]), "series a replica") + of_it as u64);
}

#[test]
fn sizes_grow_with_what_they_are_of_and_more_than_one_prometheus_is_told() {
    let (one, ten) = (said(&[]), said(&["--replicas", "10"]));
    assert_eq!(number(&ten, "their series"), 10 * number(&one, "their series"));
    let (often, seldom) = (said(&["--interval", "15s"]), said(&["--interval", "1m"]));
    assert_eq!(number(&often, "samples a replica, a day"), 4 * number(&seldom, "samples a replica, a day"));
    assert!(one.contains("one Prometheus is enough") && !one.contains("\nPrometheus "));
    let most = number(&one, "replicas in 8 GiB");
    for (replicas, prometheus) in [(most, None), (most + 1, Some(2)), (3 * most, Some(3))] {
        let told = said(&["--replicas", &replicas.to_string()]);
        let needed = told.contains("\nPrometheus ").then(|| number(&told, "Prometheus "));
        assert_eq!(needed, prometheus, "{replicas} replicas:\n{told}");
    }
}

#[test]
fn what_exposes_nothing_or_can_not_be_asked_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    for (arguments, says) in [
        (vec!["--metrics".to_owned(), file("page", "<html>")], "holds no text of Prometheus'"),
        (vec!["--metrics".to_owned(), file("empty", "")], "exposes no series"),
        (vec!["--metrics".to_owned(), folder.path().join("none").to_str().unwrap().to_owned()], "cannot read"),
        (vec!["--metrics".to_owned(), "http://127.0.0.1:1/metrics".to_owned()], "cannot read"),
        (vec!["--interval".to_owned(), "0".to_owned()], "--interval is more than nothing"),
    ] {
        let output = sizing(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && told.contains(says), "{arguments:?}: {told}");
    }
}

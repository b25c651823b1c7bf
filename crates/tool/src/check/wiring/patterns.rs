//! Patterns of file names: each finds a file, and every file of rules is found by one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::finding::Findings;
use super::super::tree::file_of;
use super::glob::{finds, plain};
use aiclipx_model::monitoring::located::Node;
use aiclipx_model::monitoring::{ALERTMANAGER, Alert, Monitoring, PROMETHEUS, RULES};

const TESTS: &str = "prometheus/rules/tests";

pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    let mut loaded = BTreeSet::new();
    if let Some(document) = monitoring.document(Path::new(PROMETHEUS)) {
        let rules = document.items_of("rule_files").iter();
        loaded = found(monitoring, Path::new(PROMETHEUS), rules, "no rule would be loaded", findings);
        let alertmanagers = document.get("alerting").map_or(&[][..], |node| node.items_of("alertmanagers"));
        for job in document.items_of("scrape_configs").iter().chain(alertmanagers) {
            for files in job.items_of("file_sd_configs") {
                // A plain name that is not there is the reader's to refuse.
                let is_pattern = |node: &&Node| node.as_text().is_some_and(|text| text.contains(['*', '?', '[']));
                let patterns = files.items_of("files").iter().filter(is_pattern);
                found(monitoring, Path::new(PROMETHEUS), patterns, "nobody would be scraped", findings);
            }
        }
    }
    if let Some(document) = monitoring.document(Path::new(ALERTMANAGER)) {
        let templates = document.items_of("templates").iter();
        found(monitoring, Path::new(ALERTMANAGER), templates, "messages would be without it", findings);
    }
    tests(monitoring, findings);
    for (path, _) in monitoring.documents_in(RULES).filter(|(path, _)| !loaded.contains(*path)) {
        let what = "no `rule_files` finds this file: nobody loads it";
        findings.find("rule/not-loaded", file_of(path), 0, what, "name it, or remove it");
    }
}

/// Each test finds the rules that it tests.
fn tests(monitoring: &Monitoring, findings: &mut Findings) {
    for (path, document) in monitoring.documents_in(TESTS) {
        let rules = document.items_of("rule_files").iter();
        let tested = found(monitoring, path, rules, "what it tests is not there", findings);
        // What is not loaded is not there, and a test that it does not fire passes.
        for question in document.items_of("tests").iter().flat_map(|test| test.items_of("alert_rule_test")) {
            let Some(alert) = question.text_of("alertname").and_then(|name| monitoring.alert(name)) else { continue };
            if !tested.iter().any(|file| alert.file.ends_with(file)) {
                let Alert { name, file, .. } = alert;
                let what = format!("{name} is asked for, and is in {}, which is not loaded here", file.display());
                let line = question.line_of("alertname");
                findings.find("test/not-loaded", file_of(path), line, what, "name it in `rule_files`");
            }
        }
    }
}

/// The files that these patterns of a file find; one that finds none is a finding, with what comes of it.
fn found<'a>(
    monitoring: &'a Monitoring,
    path: &Path,
    patterns: impl Iterator<Item = &'a Node>,
    comes: &str,
    findings: &mut Findings,
) -> BTreeSet<&'a Path> {
    let mut all = BTreeSet::new();
    for pattern in patterns {
        let Some(text) = pattern.as_text() else { continue };
        let wanted = plain(&path.with_file_name(text));
        let files = monitoring.files().keys().map(PathBuf::as_path);
        let found: Vec<&Path> = files.filter(|file| finds(&wanted, file)).collect();
        if found.is_empty() {
            let remedy = format!("it is looked for from {}", file_of(path).with_file_name("").display());
            let what = format!("`{text}` finds no file: {comes}");
            findings.find("files/pattern", file_of(path), pattern.line, what, remedy);
        }
        all.extend(found);
    }
    all
}

//! An operator's rules before promtool: in their namespace they pass the very tests that ours pass, and what another namespace
//! exposes under the same names is nothing to them.
#![allow(clippy::unwrap_used)] // a test file throughout: what can't be read fails the test

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use aiclipx_model::monitoring::kubernetes::NAMESPACE;
use aiclipx_model::monitoring::{Monitoring, located};
use serde_json::{Value, json};

/// Months of the same rules as in slo.yml.
const LONG: &str = "slo-long.yml";
/// What asks whether Prometheus knows of anything yet: another namespace is something.
const ANYTHING: &str = "AppTargetMissing";

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../monitoring")
}

fn read(bytes: &[u8]) -> Value {
    serde_json::to_value(located::read(bytes).unwrap()).unwrap()
}

/// A series' text in a namespace.
fn within(namespace: &str, series: &str) -> String {
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.trim_end_matches('}').trim();
    let comma = if labels.is_empty() { "" } else { "," };
    format!("{name}{{{labels}{comma}namespace=\"{namespace}\"}}")
}

/// The rules as the operator gives them to Prometheus; the names of their files.
fn rules(folder: &Path) -> BTreeSet<String> {
    let made = Monitoring::read(&monitoring()).unwrap().for_kubernetes().unwrap();
    let mut names = BTreeSet::new();
    for (path, text) in made {
        let object = read(text.as_bytes());
        if object["kind"] == "PrometheusRule" {
            let name = format!("{}.yml", path.file_stem().unwrap().to_str().unwrap());
            fs::write(folder.join(&name), object["spec"].to_string()).unwrap();
            names.insert(name);
        }
    }
    names
}

/// A file of tests as it is in the namespace, with another beside that exposes the same series, all 0.
fn tested(tests: &mut Value) {
    for test in tests["tests"].as_array_mut().unwrap() {
        let is_alone = test["name"].as_str().is_some_and(|name| name.contains(ANYTHING));
        let mut beside = Vec::new();
        for series in test["input_series"].as_array_mut().into_iter().flatten() {
            let name = series["series"].as_str().unwrap().to_owned();
            if !is_alone {
                beside.push(json!({"series": within("other", &name), "values": "0x3000"}));
            }
            series["series"] = within(NAMESPACE, &name).into();
        }
        if let Some(series) = test["input_series"].as_array_mut() {
            series.extend(beside);
        }
        let alerts = test["alert_rule_test"].as_array_mut().into_iter().flatten();
        for alert in alerts.flat_map(|one| one["exp_alerts"].as_array_mut().into_iter().flatten()) {
            alert["exp_labels"]["namespace"] = NAMESPACE.into();
            alert["exp_annotations"].as_object_mut().unwrap().retain(|name, _| !name.ends_with("_url"));
        }
        for asked in test["promql_expr_test"].as_array_mut().into_iter().flatten() {
            // What the test itself sums is of no namespace.
            if asked["expr"].as_str().is_some_and(|expr| expr.contains(" by (")) {
                continue;
            }
            for sample in asked["exp_samples"].as_array_mut().into_iter().flatten() {
                if let Some(labels) = sample["labels"].as_str().filter(|labels| *labels != "{}") {
                    sample["labels"] = within(NAMESPACE, labels).into();
                }
            }
        }
    }
}

#[test]
fn in_their_namespace_they_pass_the_tests_of_ours_whatever_another_exposes() {
    let place = tempfile::tempdir().unwrap();
    let names = rules(place.path());
    fs::create_dir(place.path().join("tests")).unwrap();
    let mut files = Vec::new();
    for entry in fs::read_dir(monitoring().join("prometheus/rules/tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yml") || path.ends_with(LONG) {
            continue;
        }
        let mut tests = read(&fs::read(&path).unwrap());
        let wanted = tests["rule_files"].as_array().unwrap().iter();
        let wanted: Vec<&str> = wanted.map(|file| file.as_str().unwrap().trim_start_matches("../")).collect();
        if !wanted.iter().all(|file| names.contains(*file)) {
            continue;
        }
        tested(&mut tests);
        let to = place.path().join("tests").join(path.file_name().unwrap());
        fs::write(&to, tests.to_string()).unwrap();
        files.push(to);
    }
    assert!(names.len() == 4 && files.len() > 6, "{names:?}, {files:?}");
    // One takes its files one after the other.
    let each = |file: &PathBuf| {
        let said = (Stdio::piped(), Stdio::piped());
        Command::new("promtool").args(["test", "rules"]).arg(file).stdout(said.0).stderr(said.1).spawn().unwrap()
    };
    let running: Vec<Child> = files.iter().map(each).collect();
    for (file, child) in files.iter().zip(running) {
        let output = child.wait_with_output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.contains("SUCCESS"), "{}: {said}", file.display());
    }
}

//! examples/ as far as no service need run for it: each is a tree that is rendered, whose rules pass their unit tests. That its page
//! names claims there are is a test of the judge's.
#![allow(clippy::unwrap_used)] // a test file throughout: what can't be read fails the test

use std::path::{Path, PathBuf};
use std::process::Command;

use aiclipx_base::duration::Speed;
use aiclipx_judge::tree::Tree;
use aiclipx_model::monitoring::addresses::Addresses;

fn examples() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let trees = entries.filter(|path| path.is_dir());
    let mut found: Vec<_> =
        trees.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path)).collect();
    found.sort();
    found
}

fn tree(path: &Path) -> Tree {
    Tree::read(path).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn there_are_two_and_each_says_what_its_service_is_called() {
    let found = examples();
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["caddy", "flask"]);
    for (name, path) in &found {
        let tree = tree(path);
        assert_eq!(tree.service().job, *name);
        assert!(tree.service().start.is_some() && !tree.service().is_ours());
        for speed in [1, 30] {
            let speed = Speed::new(speed).unwrap();
            let rendered = tree.monitoring.render(&Addresses::canonical(), speed);
            assert!(rendered.is_ok(), "{name}: {rendered:?}");
        }
    }
}

#[test]
fn their_rules_pass_their_unit_tests() {
    for (name, path) in examples() {
        let tests = path.join("monitoring/prometheus/rules/tests").join(format!("{name}.yml"));
        let said = Command::new("promtool").args(["test", "rules"]).arg(&tests).output();
        let said = said.expect("promtool is on PATH, as for the other rules");
        let text = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{name}: {text}");
    }
}

#[test]
fn nothing_is_found_in_them_that_is_no_habit_of_this_repository() {
    for (name, path) in examples() {
        let found = aiclipx_tool::check::check(&path).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(told, [""; 0], "{name}");
    }
}

/// What the service does wrong is what its page says: whoever mends one of these in passing takes the counter-example away.
#[test]
fn the_faults_of_the_original_are_in_its_service() {
    let service = examples().into_iter().find(|(name, _)| name == "flask").unwrap().1.join("service.py");
    let text = std::fs::read_to_string(service).unwrap();
    for fault in ["os.fork()", "REQUESTS.labels(request.method, request.path,", "REQUESTS.labels(\"GET\", \"/items\""] {
        assert!(text.contains(fault), "{fault}");
    }
}

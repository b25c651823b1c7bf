//! What a stack has loaded is held against the tree before anything is sent, as the claims hold it afterwards.

use aiclipx_judge::artifacts::LOADED_ANSWERS;
use aiclipx_judge::files::read_json;
use aiclipx_judge::loaded::Loaded;

use crate::bundle::Archive;
use crate::fixture::Fixture;
use crate::world;

/// What a fixture's stack answered, against the tree; without some of it.
fn differences(fixture: &Fixture, without: &[&str]) -> Vec<String> {
    let names = LOADED_ANSWERS.iter().map(|answer| answer.name).filter(|name| !without.contains(name));
    let answer = |name: &str| read_json(&fixture.folder.join(format!("loaded/{name}.json"))).unwrap();
    let loaded = Loaded(names.map(|name| (name.to_owned(), answer(name))).collect());
    let run = fixture.experiment().run;
    loaded.differences(world::tree(), &run.addresses, fixture.experiment().speed()).unwrap()
}

#[test]
fn a_stack_that_runs_the_tree_differs_in_nothing() {
    assert_eq!(differences(&Fixture::with_errors(), &[]), Vec::<String>::new());
    // An Alertmanager that can't be asked is not proven later, and no reason to send nothing.
    let mute = Fixture::with_errors().text("loaded/alertmanager.json", |text| text.replacen("critical", "severe", 1));
    assert_eq!(differences(&mute, &["alertmanager"]), Vec::<String>::new());
}

#[test]
fn an_edited_rule_route_scrape_or_flag_is_named() {
    for (file, from, to, says) in [
        ("rules", "> 0.05", "> 0.04", "`AppHigh5xxErrorRate` has the expression"),
        ("config", "500ms", "1s", "Prometheus' configuration: `"),
        ("flags", "\"10s\"", "\"20s\"", "Prometheus' configuration: --"),
        ("alertmanager", "critical", "severe", "Alertmanager's: `"),
    ] {
        let fixture = Fixture::with_errors().text(&format!("loaded/{file}.json"), |text| text.replacen(from, to, 1));
        let differences = differences(&fixture, &[]);
        assert!(differences.iter().any(|what| what.starts_with(says)), "{file}: {differences:?}");
    }
}

#[test]
fn that_something_else_was_loaded_is_told_before_what_may_follow_from_it() {
    let fixture = Fixture::with_errors().stored("requests", &[("endpoint", "unmatched")], 1.0);
    let fixture = fixture.text("loaded/rules.json", |text| text.replacen("> 0.05", "> 0.04", 1));
    let sealed = Archive::new().with("error-rate", &fixture).sealed();
    let verify = std::process::Command::new(env!("CARGO_BIN_EXE_aiclipx-verify")).arg(&sealed.folder).output().unwrap();
    let said = String::from_utf8_lossy(&verify.stderr).into_owned();
    assert_eq!(verify.status.code(), Some(1), "{said}");
    let fails: Vec<&str> = said.lines().filter(|line| line.starts_with('✗')).collect();
    assert!(fails.len() > 1 && fails[0].starts_with("✗ error-rate/loaded: "), "{said}");
}

//! monitoring/ before the programs that read it: promtool, amtool and Prometheus itself, on the files as they stand and
//! on the copies of stacks that live faster.
//!
//! A missing program fails the test and names the package; nothing is passed over. The copies lie in a folder whose
//! path has a space.
#![cfg(feature = "tools")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use aiclipx::duration::Speed;
use aiclipx::http::client::{self, Address};
use aiclipx::monitoring::addresses::Addresses;
use aiclipx::monitoring::{Monitoring, prometheus_flags, rules_equal};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("monitoring")
}

fn ours() -> Monitoring {
    Monitoring::read(&folder()).unwrap_or_else(|failure| panic!("{failure}"))
}

fn speed(k: u32) -> Speed {
    Speed::new(k).expect("a speed")
}

/// Runs a program; one that is not there is told with the package that brings it.
fn run(program: &str, package: &str, arguments: &[&str], files: &[PathBuf]) -> Output {
    let ran = Command::new(program).args(arguments).args(files).output();
    ran.unwrap_or_else(|error| {
        panic!("cannot run {program} ({error}); it comes with Debian's {package}, or `nix develop`")
    })
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn promtool(arguments: &[&str], files: &[PathBuf]) -> Output {
    run("promtool", "prometheus", arguments, files)
}

fn amtool(arguments: &[&str], files: &[PathBuf]) -> Output {
    run("amtool", "prometheus-alertmanager", arguments, files)
}

fn assert_accepts(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

/// The `.yml` files of a folder, in order; at least one.
fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("it is listed").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    files.sort();
    assert!(!files.is_empty(), "{} has no .yml file", folder.display());
    files
}

/// A copy on disk, in a folder whose path has a space.
struct Copy {
    _temporary: tempfile::TempDir,
    folder: PathBuf,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

fn copy(files: BTreeMap<PathBuf, Vec<u8>>) -> Copy {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = temporary.path().join("a stack");
    for (path, bytes) in &files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder is made");
        std::fs::write(path, bytes).expect("a file is written");
    }
    Copy { _temporary: temporary, folder, files }
}

fn rendered(k: u32) -> Copy {
    let files = ours().render(&Addresses::canonical(), speed(k)).unwrap_or_else(|findings| panic!("{findings:#?}"));
    copy(files)
}

fn assert_programs_accept(folder: &Path) {
    let prometheus = folder.join("prometheus");
    assert_accepts(&promtool(&["check", "config", "--lint=all", "--lint-fatal"], &[prometheus.join("prometheus.yml")]));
    assert_accepts(&promtool(
        &["check", "rules", "--lint=all", "--lint-fatal"],
        &yaml_files(&prometheus.join("rules")),
    ));
    assert_accepts(&amtool(&["check-config"], &[folder.join("alertmanager/alertmanager.yml")]));
}

fn run_rule_tests(folder: &Path) -> Output {
    promtool(&["test", "rules"], &yaml_files(&folder.join("prometheus/rules/tests")))
}

#[test]
fn the_files_are_valid_and_pass_their_tests_as_they_stand() {
    assert_programs_accept(&folder());
    assert_accepts(&run_rule_tests(&folder()));
}

#[test]
fn copies_of_faster_stacks_are_valid_and_pass_the_tests_divided_likewise() {
    for k in [1, 5, 30] {
        let copy = rendered(k);
        assert_programs_accept(&copy.folder);
        let output = run_rule_tests(&copy.folder);
        assert!(output.status.success(), "at speed {k}: {}", said(&output));
    }
}

/// What the division must not miss: rules left in production time do not pass tests that were divided.
#[test]
fn divided_tests_fail_on_rules_that_were_not_divided() {
    let mut files = rendered(30).files;
    let production = rendered(1).files;
    let rules = Path::new("prometheus/rules/app.yml");
    files.insert(rules.to_owned(), production[rules].clone());
    assert!(!run_rule_tests(&copy(files).folder).status.success());
}

#[test]
fn a_changed_threshold_does_not_pass_the_tests() {
    let mut files = rendered(1).files;
    let rules = files.get_mut(Path::new("prometheus/rules/app.yml")).expect("our rules");
    let text = String::from_utf8(rules.clone()).expect("it is UTF-8");
    assert!(text.contains("ratio_rate5m > 0.05"), "{text}");
    *rules = text.replace("ratio_rate5m > 0.05", "ratio_rate5m > 0.12").into_bytes();
    assert!(!run_rule_tests(&copy(files).folder).status.success());
}

/// promtool passes in silence on a name no rule has, and on a rule no test names.
#[test]
fn tests_name_every_alert_and_nothing_else() {
    let monitoring = ours();
    let tests: String = yaml_files(&folder().join("prometheus/rules/tests"))
        .iter()
        .map(|path| std::fs::read_to_string(path).expect("it is there"))
        .collect();
    let named: Vec<&str> = tests.lines().filter_map(|line| line.trim().strip_prefix("alertname: ")).collect();
    for alert in monitoring.alerts() {
        assert!(named.contains(&alert.name.as_str()), "no test of {}", alert.name);
    }
    for name in named {
        assert!(monitoring.alert(name).is_some(), "a test of {name}, which no rule has");
    }
}

#[test]
fn alerts_go_where_amtool_says_they_go() {
    let monitoring = ours();
    let configuration = format!("--config.file={}", folder().join("alertmanager/alertmanager.yml").display());
    for alert in monitoring.alerts() {
        let labels: Vec<String> = alert.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let name = format!("alertname={}", alert.name);
        let mut arguments = vec!["config", "routes", "test", &configuration, &name];
        arguments.extend(labels.iter().map(String::as_str));
        let output = amtool(&arguments, &[]);
        assert_accepts(&output);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            monitoring.group_timings(alert).receiver,
            "{}",
            alert.name
        );
    }
}

/// A Prometheus that loaded a copy says the same rules back, and only those.
#[tokio::test]
async fn prometheus_loads_what_was_rendered() {
    let copy = rendered(30);
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        Address::loopback(listener.local_addr().expect("its port").port())
    };
    let _prometheus = tokio::process::Command::new("prometheus")
        .arg(format!("--config.file={}", copy.folder.join("prometheus/prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", copy.folder.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .args(prometheus_flags(speed(30)))
        .stderr(std::fs::File::create(copy.folder.join("log")).expect("a log file"))
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run prometheus ({error}); Debian's package is prometheus"));
    let answer = loaded_rules(&address, &copy.folder.join("log")).await;
    assert_eq!(rules_equal(&answer, &copy.files), Ok(()), "{answer:#}");

    let production = rendered(1).files;
    let differences = rules_equal(&answer, &production).expect_err("it lives thirty times faster");
    assert!(differences.iter().any(|difference| difference.contains("AppDown")), "{differences:?}");
}

/// What `/api/v1/rules` answers once Prometheus is ready.
async fn loaded_rules(address: &Address, log: &Path) -> serde_json::Value {
    for _ in 0..300 {
        if let Ok(answer) = client::get(address, "/api/v1/rules", Duration::from_secs(5)).await
            && answer.status.is_success()
            && let Ok(rules) = serde_json::from_slice::<serde_json::Value>(&answer.body)
            && rules.pointer("/data/groups").and_then(|groups| groups.as_array()).is_some_and(|groups| groups.len() > 1)
        {
            return rules;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("prometheus loads no rules: {}", std::fs::read_to_string(log).unwrap_or_default());
}

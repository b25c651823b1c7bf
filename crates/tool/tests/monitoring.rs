//! monitoring/ before the programs that read it: promtool, amtool and Prometheus itself, on the files as they stand and
//! on the copies of stacks that live faster.
//!
//! A missing program fails the test and names the package; nothing is passed over, but for a full disk where the kernel
//! lets nobody mount one. The copies lie in a folder whose path has a space.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use aiclipx_base::address::Address;
use aiclipx_base::duration::{self, Speed};
use aiclipx_http::client;
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::monitoring::{Monitoring, prometheus_flags, rules_equal};
use aiclipx_tool::check::metrics::{OF_ALERTMANAGER, OF_PROBE, OF_PROMETHEUS, OF_VECTOR};
use rustix::process::{Pid, Signal, kill_process};

fn folder() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("monitoring")
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

#[test]
fn the_examples_of_real_channels_are_valid() {
    assert_accepts(&amtool(&["check-config"], &yaml_files(&folder().join("alertmanager/examples"))));
}

/// As Alertmanager would fill it in: a critical alert that fires and a warning that is over.
#[test]
fn a_message_says_what_where_since_when_and_what_to_do() {
    let alert = |status: &str, description: &str| {
        serde_json::json!({
            "status": status, "startsAt": "2026-11-24T03:00:00Z", "endsAt": "2026-11-24T03:07:30Z",
            "labels": {"alertname": "AppDown"}, "annotations": {"description": description}
        })
    };
    let data = |status: &str, alerts: Vec<serde_json::Value>| {
        serde_json::json!({
            "status": status, "alerts": alerts, "groupLabels": {"alertname": "AppDown"},
            "commonLabels": {"severity": "critical", "service": "app"},
            "commonAnnotations": {"summary": "No instance can be scraped.", "runbook_url": "the page"}
        })
    };
    let rendered = |data: serde_json::Value| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("data.json");
        std::fs::write(&file, data.to_string()).expect("a file is written");
        let templates = format!("--template.glob={}", self::folder().join("alertmanager/templates/*.tmpl").display());
        let data = format!("--template.data={}", file.display());
        let text = "--template.text={{ template \"aiclipx.title\" . }}\n{{ template \"aiclipx.text\" . }}";
        let output = amtool(&["template", "render", &templates, &data, text], &[]);
        assert_accepts(&output);
        String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
    };
    assert_eq!(
        rendered(data("firing", vec![alert("firing", "Every scrape of app fails.")])),
        "CRITICAL: AppDown (app)\nNo instance can be scraped.\n\n\
         • Every scrape of app fails. Since 2026-11-24 03:00:00 UTC.\n\nWhat to do: the page"
    );
    let mut of_a_channel = data("firing", vec![]);
    of_a_channel["commonLabels"]["job"] = "alertmanager".into();
    assert!(rendered(of_a_channel.clone()).starts_with("CRITICAL: AppDown (alertmanager)\n"));
    of_a_channel["commonLabels"]["integration"] = "webhook".into();
    assert!(rendered(of_a_channel).starts_with("CRITICAL: AppDown (alertmanager, webhook)\n"));
    let over = rendered(data("resolved", vec![alert("resolved", "Every scrape of app fails.")]));
    assert!(over.starts_with("RESOLVED: AppDown (app)\n"), "{over}");
    assert!(over.contains("• Over: Every scrape of app fails. From 2026-11-24 03:00:00 to 03:07:30 UTC."), "{over}");
}

/// Whatever an alert's value is: promtool fills in the templates, and tells what came of it where a test expects nothing.
#[test]
fn a_number_in_a_message_is_written_as_a_person_would() {
    const VALUES: [f64; 5] = [0.0034, 0.0523, 0.9262, 12.34, 34_567.8];
    let monitoring = ours();
    let (mut rules, mut questions, mut due) = (String::new(), String::new(), 0);
    for alert in monitoring.alerts().iter().filter(|alert| alert.annotations["description"].contains("$value")) {
        let text = serde_json::Value::from(marked(&alert.annotations["description"]));
        writeln!(rules, "  - {{alert: {}, expr: value, annotations: {{text: {text}}}}}", alert.name)
            .expect("writing to a String does not fail");
        for (at, value) in VALUES.iter().enumerate() {
            // A share is never more than the whole.
            if *value <= 1.0 || !alert.annotations["description"].contains("humanizePercentage") {
                writeln!(questions, "  - {{eval_time: {at}m, alertname: {}}}", alert.name)
                    .expect("writing to a String does not fail");
                due += 1;
            }
        }
    }
    let values = VALUES.map(|value| value.to_string()).join(" ");
    let series = format!("{{series: 'value{{job=\"app\"}}', values: {values}}}");
    let tests = format!(
        "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series: [{series}]\n  \
         alert_rule_test:\n{questions}"
    );
    let rules = format!("groups:\n- name: messages\n  rules:\n{rules}");
    let files = [("rules.yml", rules), ("tests.yml", tests)];
    let files = copy(files.map(|(name, text)| (name.into(), text.into_bytes())).into());
    let said = said(&promtool(&["test", "rules"], &[files.folder.join("tests.yml")]));
    let messages: Vec<&str> = said.split("text=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(due > 50 && messages.len() == due, "{due} messages: {said}");
    for message in messages {
        let numbers: Vec<&str> = message.split('⟦').skip(1).filter_map(|rest| rest.split('⟧').next()).collect();
        assert!(numbers.iter().any(|number| !number.is_empty()), "{message}");
        for number in numbers {
            // `humanizeDuration` knows the units a person uses.
            let units: &[&str] = if message.contains("percentile") { &["ms", "s", "m", "h"] } else { &["%"] };
            for word in number.split_whitespace() {
                let bare = units.iter().find_map(|unit| word.strip_suffix(unit)).unwrap_or(word);
                assert!(bare.chars().all(|c| c.is_ascii_digit() || c == '.'), "{word} in: {message}");
            }
        }
    }
}

/// A description with a mark on both sides of each template of its value: what is between them no person wrote. Branches (`if`, `else`, `end`)
/// print nothing.
fn marked(description: &str) -> String {
    let of_value = |template: &str| template.contains("$value") && !template.trim_start().starts_with("if ");
    let mut parts = description.split("{{");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| match part.split_once("}}") {
        Some((template, rest)) if of_value(template) => format!("{text}⟦{{{{{template}}}}}⟧{rest}"),
        _ => format!("{text}{{{{{part}"),
    })
}

#[test]
fn only_what_a_template_wrote_is_taken_for_a_number() {
    let description =
        "Of 100 answers {{ if lt $value 1.0 }}{{ printf \"%.2g\" $value }}{{ else }}{{ $value }}{{ end }} are 4xx.";
    assert_eq!(
        marked(description),
        "Of 100 answers {{ if lt $value 1.0 }}⟦{{ printf \"%.2g\" $value }}⟧{{ else }}⟦{{ $value }}⟧{{ end }} are 4xx."
    );
}

/// By the promtool on PATH, and by that of every folder in `AICLIPX_PROMTOOL`: the first that finds something, or the last.
fn run_rule_tests(folder: &Path) -> Output {
    let files = yaml_files(&folder.join("prometheus/rules/tests"));
    let others = std::env::var_os("AICLIPX_PROMTOOL").unwrap_or_default();
    let mut outcome = test_rules(Path::new("promtool"), &files);
    for other in std::env::split_paths(&others).filter(|other| !other.as_os_str().is_empty()) {
        if outcome.status.success() {
            outcome = test_rules(&other.join("promtool"), &files);
        }
    }
    outcome
}

/// How many files are tested at once, whoever asks: one takes a processor, and some 370 MB.
static FREE: (Mutex<usize>, Condvar) = (Mutex::new(2), Condvar::new());

/// Tests each file by itself, the longest first; what came of the first that fails, or of one. promtool takes one after the
/// other, so the last of three such runs had one processor to itself and left the other idle.
fn test_rules(program: &Path, files: &[PathBuf]) -> Output {
    let mut files = files.to_vec();
    files.sort_by_key(|file| std::cmp::Reverse(file.metadata().expect("it is there").len()));
    let test = |file: &PathBuf| {
        let mut free = FREE.1.wait_while(FREE.0.lock().expect("a number"), |free| *free == 0).expect("a number");
        *free -= 1;
        drop(free);
        let mut command = Command::new(program);
        // Each test is a database of its own: without this a quarter of its time goes into collecting what is soon gone.
        let output = command.args(["test", "rules"]).arg(file).env("GOGC", "800").output();
        *FREE.0.lock().expect("a number") += 1;
        FREE.1.notify_one();
        output.unwrap_or_else(|error| {
            panic!("cannot run {} ({error}); it comes with Debian's prometheus, or `nix develop`", program.display())
        })
    };
    let outputs: Vec<Output> = std::thread::scope(|scope| {
        let running: Vec<_> = files.iter().map(|file| scope.spawn(|| test(file))).collect();
        running.into_iter().map(|one| one.join().expect("it was run")).collect()
    });
    let failed = outputs.iter().position(|output| !output.status.success()).unwrap_or(0);
    outputs.into_iter().nth(failed).expect("there are tests")
}

/// Those of app.yml alone, for whom it is enough.
fn run_tests_of_the_service(folder: &Path) -> Output {
    promtool(&["test", "rules"], &[folder.join("prometheus/rules/tests/app.yml")])
}

#[test]
fn the_files_are_valid_and_pass_their_tests_as_they_stand() {
    assert_programs_accept(&folder());
    assert_accepts(&run_rule_tests(&folder()));
}

#[test]
fn copies_of_faster_stacks_are_valid_and_pass_the_tests_divided_likewise() {
    for k in [1, 5, 30] {
        assert_programs_accept(&rendered(k).folder);
    }
    // At the speed that is used: some fifty seconds of processor time for each.
    let output = run_rule_tests(&rendered(30).folder);
    assert!(output.status.success(), "{}", said(&output));
}

/// Prometheus 2 takes the sample on a range's left edge in, Prometheus 3 leaves it out: a range that is a millisecond shorter
/// here, or longer there, is the other's. The one that is here has run them as they stand.
#[test]
fn no_test_rests_on_the_sample_on_a_ranges_left_edge() {
    let millisecond = Duration::from_millis(1);
    let change = |range: Duration| {
        if takes_the_left_edge() { range.saturating_sub(millisecond) } else { range + millisecond }
    };
    let mut files = rendered(1).files;
    let mut ranges = 0;
    for (_, bytes) in files.iter_mut().filter(|(path, _)| path.starts_with("prometheus/rules")) {
        let (text, changed) = with_ranges(&String::from_utf8_lossy(bytes), &change);
        ranges += changed;
        *bytes = text.into_bytes();
    }
    assert!(ranges > 30, "only {ranges} ranges were found");
    let output = run_rule_tests(&copy(files).folder);
    assert!(output.status.success(), "the other side of the edge: {}", said(&output));
}

/// Whether a sample on a range's left edge belongs to it, asked of the promtool that is here: of two samples a minute apart
/// both are in a window of a minute, or one is.
fn takes_the_left_edge() -> bool {
    let counts = |samples: u32| {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!(
            "rule_files: []\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series: [{{series: a, values: '1 1'}}]\n  \
             promql_expr_test: [{{expr: 'count_over_time(a[1m])', eval_time: 1m, exp_samples: [{{labels: '{{}}', value: {samples}}}]}}]\n"
        );
        let file = folder.path().join("edge.yml");
        std::fs::write(&file, text).expect("a file");
        promtool(&["test", "rules"], &[file]).status.success()
    };
    let both = counts(2);
    assert_ne!(both, counts(1), "one of the two is so");
    both
}

/// The text with another duration in every `[5m]`, and how many there were. A subquery chooses its own moments.
fn with_ranges(text: &str, change: &dyn Fn(Duration) -> Duration) -> (String, usize) {
    let mut parts = text.split('[');
    let mut result = parts.next().unwrap_or_default().to_owned();
    let mut changed = 0;
    for part in parts {
        let range = part.split_once(']').and_then(|(inside, rest)| Some((duration::parse(inside).ok()?, rest)));
        match range {
            Some((range, rest)) => {
                changed += 1;
                write!(result, "[{}]{rest}", duration::print(change(range)))
                    .expect("writing to a String does not fail");
            }
            None => write!(result, "[{part}").expect("writing to a String does not fail"),
        }
    }
    (result, changed)
}

/// What the division must not miss: rules left in production time do not pass tests that were divided.
#[test]
fn divided_tests_fail_on_rules_that_were_not_divided() {
    let mut files = rendered(30).files;
    let production = rendered(1).files;
    let rules = Path::new("prometheus/rules/app.yml");
    files.insert(rules.to_owned(), production[rules].clone());
    assert!(!run_tests_of_the_service(&copy(files).folder).status.success());
}

#[test]
fn a_changed_threshold_does_not_pass_the_tests() {
    let mut files = rendered(1).files;
    let rules = files.get_mut(Path::new("prometheus/rules/app.yml")).expect("our rules");
    let text = String::from_utf8(rules.clone()).expect("it is UTF-8");
    assert!(text.contains("ratio_rate5m > 0.05"), "{text}");
    *rules = text.replace("ratio_rate5m > 0.05", "ratio_rate5m > 0.12").into_bytes();
    assert!(!run_tests_of_the_service(&copy(files).folder).status.success());
}

/// Written by hand, so that a route that is lost is missed here whatever the files say.
fn receiver_of(alert: &str) -> &'static str {
    match alert {
        "Watchdog" => "watchdog",
        "AppDown"
        | "AppTargetMissing"
        | "AppMostInstancesDown"
        | "AppNotReady"
        | "AppProbeFailing"
        | "AppDatabaseUnavailable"
        | "AppNoTraffic"
        | "AppErrorBudgetBurn1h"
        | "AppErrorBudgetBurn6h"
        | "AppLatencyBudgetBurn1h"
        | "AppLatencyBudgetBurn6h"
        | "AppAbandonmentBudgetBurn1h"
        | "AppAbandonmentBudgetBurn6h"
        | "AppAvailabilityBudgetBurn1h"
        | "AppAvailabilityBudgetBurn6h"
        | "MonitoringTargetMissing"
        | "PrometheusRuleFailures"
        | "PrometheusErrorSendingAlertsToAnyAlertmanager"
        | "PrometheusNotConnectedToAlertmanagers"
        | "AlertmanagerClusterFailedToSendAlerts" => "critical",
        _ => "warning",
    }
}

#[test]
fn alerts_go_where_amtool_says_they_go() {
    let monitoring = ours();
    let nobodys = amtool(
        &[
            "config",
            "routes",
            "test",
            &format!("--config.file={}", folder().join("alertmanager/alertmanager.yml").display()),
            "severity=unheard-of",
        ],
        &[],
    );
    assert_eq!(String::from_utf8_lossy(&nobodys.stdout).trim(), monitoring.default_receiver());
    let configuration = format!("--config.file={}", folder().join("alertmanager/alertmanager.yml").display());
    for alert in monitoring.alerts() {
        let labels: Vec<String> = alert.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let name = format!("alertname={}", alert.name);
        let mut arguments = vec!["config", "routes", "test", &configuration, &name];
        arguments.extend(labels.iter().map(String::as_str));
        let output = amtool(&arguments, &[]);
        assert_accepts(&output);
        let reached = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let file = alert.file.display();
        assert_eq!(reached, receiver_of(&alert.name), "{file}:{}: {}", alert.line, alert.name);
        assert_eq!(reached, monitoring.group_timings(alert).receiver, "{file}:{}: {}", alert.line, alert.name);
    }
}

/// A Prometheus on a copy, that dies with the value.
struct Prometheus {
    address: Address,
    log: PathBuf,
    process: tokio::process::Child,
}

impl Prometheus {
    /// Starts one; `before` is a command that ends in running another.
    fn start(copy: &Copy, data: &Path, before: &[&str]) -> Prometheus {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = Address::loopback(listener.local_addr().expect("its port").port());
        drop(listener);
        let log = copy.folder.join("log");
        let command: Vec<&str> = before.iter().copied().chain(["prometheus"]).collect();
        let process = tokio::process::Command::new(command[0])
            .args(&command[1..])
            .arg(format!("--config.file={}", copy.folder.join("prometheus/prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={address}"))
            .args(prometheus_flags(speed(30)))
            .stderr(std::fs::File::create(&log).expect("a log file"))
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run prometheus ({error}); Debian's package is prometheus"));
        Prometheus { address, log, process }
    }

    async fn query(&self, expr: &str, seconds: Option<f64>) -> Vec<aiclipx_model::prom::answer::Series> {
        let data = aiclipx_stack::prom::client::Api::new(&self.address).query(expr, seconds).await;
        data.map(aiclipx_model::prom::answer::Data::into_series).unwrap_or_default()
    }

    /// Waits until a query has an answer that is more than nothing, and gives the first value.
    async fn until(&self, expr: &str) -> f64 {
        for _ in 0..600 {
            if let Some(sample) = self.query(expr, None).await.first().and_then(|series| series.samples.last()) {
                return sample.value;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("`{expr}` stays empty: {}", std::fs::read_to_string(&self.log).unwrap_or_default());
    }

    async fn end(mut self, signal: Signal) {
        let pid = self.process.id().and_then(|pid| Pid::from_raw(pid.cast_signed())).expect("it runs");
        kill_process(pid, signal).expect("it takes a signal");
        let ended = tokio::time::timeout(Duration::from_mins(1), self.process.wait()).await;
        ended.expect("it ends within a minute").expect("it was started");
    }
}

/// The Watchdog's samples are history as good as any, and need no target.
const HISTORY: &str = "ALERTS{alertname=\"Watchdog\"}";

/// Lets history be made, and says when: a moment at which there was some.
async fn made_history(prometheus: &Prometheus) -> f64 {
    prometheus.until(&format!("count_over_time({HISTORY}[10s]) > 3")).await;
    prometheus.until(&format!("timestamp({HISTORY})")).await
}

async fn remembers(prometheus: &Prometheus, moment: f64) {
    prometheus.until(HISTORY).await;
    assert!(!prometheus.query(HISTORY, Some(moment)).await.is_empty(), "what was before is gone");
}

#[tokio::test]
async fn history_survives_an_orderly_end_and_a_kill() {
    let copy = rendered(30);
    let data = copy.folder.join("data");
    let first = Prometheus::start(&copy, &data, &[]);
    let moment = made_history(&first).await;
    first.end(Signal::Term).await;
    let second = Prometheus::start(&copy, &data, &[]);
    remembers(&second, moment).await;
    let later = made_history(&second).await;
    second.end(Signal::Kill).await;
    let third = Prometheus::start(&copy, &data, &[]);
    remembers(&third, moment).await;
    remembers(&third, later).await;
}

/// On a disk of some hundred kilobytes, that somebody else has filled: what is known is still told, and nothing of it is
/// lost once there is room again.
#[tokio::test]
async fn a_full_disk_costs_what_comes_and_not_what_was() {
    let copy = rendered(30);
    let disk = copy.folder.join("disk");
    std::fs::create_dir(&disk).expect("a folder is made");
    // In a mount namespace of its own, which ends with the process.
    let mount = "mount -t tmpfs -o size=400k full \"$0\"";
    let inside = ["unshare", "--mount", "--map-root-user", "sh", "-c"];
    let disk_text = disk.to_string_lossy().into_owned();
    if !Command::new(inside[0])
        .args(&inside[1..])
        .args([mount, &disk_text])
        .output()
        .is_ok_and(|output| output.status.success())
    {
        eprintln!("not tested: the kernel lets nobody mount a small disk here");
        return;
    }
    let script = format!("{mount} && exec \"$@\"");
    let before: Vec<&str> = inside.iter().copied().chain([script.as_str(), &disk_text]).collect();
    let first = Prometheus::start(&copy, &disk.join("data"), &before);
    let moment = made_history(&first).await;
    let seen = format!("/proc/{}/root{disk_text}", first.process.id().expect("it runs"));
    let filler = run("dd", "coreutils", &["if=/dev/zero", &format!("of={seen}/filler"), "bs=4k"], &[]);
    assert!(said(&filler).contains("No space left"), "{}", said(&filler));
    let mut log = String::new();
    for _ in 0..600 {
        log = std::fs::read_to_string(&first.log).unwrap_or_default();
        if log.contains("no space left on device") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(log.contains("no space left on device"), "{log}");
    assert!(!first.query(HISTORY, Some(moment)).await.is_empty(), "it no longer tells what it knew");
    // The disk is seen through the process, and goes with it.
    let saved = copy.folder.join("saved");
    assert_accepts(&run("cp", "coreutils", &["-r", &format!("{seen}/data")], std::slice::from_ref(&saved)));
    first.end(Signal::Term).await;

    let second = Prometheus::start(&copy, &saved, &[]);
    remembers(&second, moment).await;
}

/// A Prometheus that loaded a copy says the same rules back, and only those.
#[tokio::test]
async fn prometheus_loads_what_was_rendered() {
    let copy = rendered(30);
    let prometheus = Prometheus::start(&copy, &copy.folder.join("data"), &[]);
    let answer = loaded_rules(&prometheus.address, &prometheus.log).await;
    assert_eq!(rules_equal(&answer, &copy.files), Ok(()), "{answer:#}");

    let production = rendered(1).files;
    let differences = rules_equal(&answer, &production).expect_err("it lives thirty times faster");
    assert!(differences.iter().any(|difference| difference.contains("AppDown")), "{differences:?}");
}

/// What the static check believes of others' metrics is true of the Prometheus and the Alertmanager that are here.
#[tokio::test]
async fn prometheus_and_alertmanager_expose_what_is_asked_of_them() {
    let copy = rendered(30);
    let prometheus = Prometheus::start(&copy, &copy.folder.join("data"), &[]);
    // What is counted for each Alertmanager is exposed once one is known.
    prometheus.until(HISTORY).await;
    let mut missing = Vec::new();
    for _ in 0..600 {
        let names = exposed(&prometheus.address).await;
        missing = OF_PROMETHEUS.into_iter().filter(|name| !names.contains(name)).collect();
        if missing.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(missing.is_empty(), "Prometheus does not expose {missing:?}");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = Address::loopback(listener.local_addr().expect("its port").port());
    drop(listener);
    let find =
        |name: &&&str| Command::new(**name).arg("--version").output().is_ok_and(|output| output.status.success());
    let program = ["alertmanager", "prometheus-alertmanager"];
    let program =
        program.iter().find(find).expect("Alertmanager is there; Debian's package is prometheus-alertmanager");
    let _alertmanager = tokio::process::Command::new(program)
        .arg(format!("--config.file={}", copy.folder.join("alertmanager/alertmanager.yml").display()))
        .arg(format!("--storage.path={}", copy.folder.join("am").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it runs");
    let names = exposed(&address).await;
    for name in OF_ALERTMANAGER {
        assert!(names.contains(name), "Alertmanager does not expose {name}");
    }
}

/// The text of /metrics once there is one.
async fn exposed(address: &Address) -> String {
    for _ in 0..300 {
        if let Ok(answer) = client::get(address, "/metrics", Duration::from_secs(5)).await {
            return String::from_utf8_lossy(&answer.body).into_owned();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing answers at {address}");
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

fn vector(file: &str) -> (String, serde_json::Value) {
    let text = std::fs::read_to_string(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("monitoring/vector").join(file),
    )
    .expect("a file of the tree");
    let value = serde_saphyr::from_str(&text).expect("YAML");
    (text, value)
}

/// Vector 0.55 and 0.56 expand variables of the environment, 0.57 to 0.59 don't: what both read alike holds none.
#[test]
fn the_forwarders_configuration_means_the_same_to_every_vector() {
    for file in ["vector.yaml", "vector-tests.yaml"] {
        let (text, _) = vector(file);
        for (number, line) in text.lines().enumerate() {
            let expands = line
                .split('$')
                .skip(1)
                .any(|rest| rest.starts_with(|c: char| c == '{' || c == '$' || c == '_' || c.is_alphanumeric()));
            assert!(!expands, "{file}:{}: {line}", number + 1);
        }
    }
    let (_, configuration) = vector("vector.yaml");
    // 0.57 refuses a label that is a template from its first letter on.
    for (label, template) in configuration["sinks"]["loki"]["labels"].as_object().unwrap() {
        for text in [label.as_str(), template.as_str().unwrap()] {
            assert!(!text.starts_with("{{"), "{label}: {template}");
        }
    }
    // 0.55 knows no `expected_event_count`.
    assert!(!vector("vector-tests.yaml").0.contains("expected_event_count"));
}

/// Debian's name and upstream's.
#[test]
fn the_exporter_accepts_what_it_is_told() {
    let configuration = format!("--config.file={}", folder().join("blackbox/blackbox.yml").display());
    let check = |name: &str| Command::new(name).args(["--config.check", &configuration]).output().ok();
    let checked = ["blackbox_exporter", "prometheus-blackbox-exporter"].into_iter().find_map(check);
    assert_accepts(&checked.expect("it comes with Debian's prometheus-blackbox-exporter, or `nix develop`"));
}

/// What is asked of Vector, or of the exporter, and not kept would be asked of nobody.
#[test]
fn of_who_tells_much_those_series_are_kept_that_are_asked_for() {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("monitoring/prometheus/prometheus.yml");
    let text = std::fs::read_to_string(file).expect("a file of the tree");
    let configuration: serde_json::Value = serde_saphyr::from_str(&text).expect("YAML");
    let jobs = configuration["scrape_configs"].as_array().unwrap();
    for (name, asked) in [("vector", &OF_VECTOR[..]), ("probe", &OF_PROBE)] {
        let job = jobs.iter().find(|job| job["job_name"] == name).unwrap();
        let kept = job["metric_relabel_configs"][0]["regex"].as_str().unwrap();
        assert_eq!(kept.split('|').collect::<Vec<_>>(), asked, "{name}");
    }
}

#[test]
fn every_transform_of_the_forwarder_has_a_unit_test_and_every_component_a_line() {
    let (_, configuration) = vector("vector.yaml");
    let (text, tests) = vector("vector-tests.yaml");
    let tests = tests["tests"].as_array().unwrap();
    for transform in configuration["transforms"].as_object().unwrap().keys() {
        let looks = |test: &&serde_json::Value| {
            let outputs = test["outputs"].as_array().into_iter().flatten();
            outputs
                .filter_map(|output| output["extract_from"].as_str())
                .any(|from| from.split('.').next() == Some(transform))
        };
        assert!(tests.iter().any(|test| looks(&test)), "no unit test looks at what {transform} makes");
    }
    for component in aiclipx_stack::Component::ALL {
        // Its own log would feed itself.
        let is_read = component != aiclipx_stack::Component::Vector;
        assert_eq!(text.contains(&format!("/{component}.log")), is_read, "a line of {component}");
    }
    let names: std::collections::BTreeSet<_> = tests.iter().map(|test| test["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), tests.len());
}

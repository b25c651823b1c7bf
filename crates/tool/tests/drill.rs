//! Fire drills on real Prometheus and Alertmanager: one over alerts of every kind, right ones and such as are wrong in one thing
//! each. What is wrong must be found, in its own cell; that is the proof that a drill can fail.
#![allow(clippy::unwrap_used)] // a test file throughout

use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use aiclipx_judge::drill::layout::{ALERTS, NOTIFICATIONS, STATES};
use aiclipx_judge::drill::outcome::{OLDEST, Outcome, SCHEMA};
use aiclipx_judge::drill::tally::Cell;
use aiclipx_judge::files;
use aiclipx_judge::judge::Verdict;
use aiclipx_judge::tree::copy_folder;
use aiclipx_model::failure::Failure;

/// What is drilled.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drill")
}

fn aiclipx(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_aiclipx")).args(arguments).env_remove("AICLIPX_HOME").output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The drill that most tests here look at, lived once.
struct Drilled {
    code: Option<i32>,
    told: String,
    bundle: PathBuf,
    junit: String,
    _folder: tempfile::TempDir,
}

static DRILLED: LazyLock<Drilled> = LazyLock::new(|| {
    // Nothing that is static is dropped: what it leaves is left where `cargo clean` finds it.
    let out = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let place = |name: &str| out.path().join(name).to_str().unwrap().to_owned();
    let (bundles, junit) = (place("out"), place("junit.xml"));
    let drilled = folder();
    let output = aiclipx(&["drill", drilled.to_str().unwrap(), "--jobs", "8", "--out", &bundles, "--junit", &junit]);
    let bundle = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(!bundle.is_empty(), "there is no bundle: {}", told(&output));
    Drilled {
        code: output.status.code(),
        told: told(&output),
        bundle: bundle.into(),
        junit: std::fs::read_to_string(junit).unwrap(),
        _folder: out,
    }
});

fn cells() -> Vec<Cell> {
    let text = std::fs::read_to_string(DRILLED.bundle.join("verdicts.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn cell(id: &str) -> Cell {
    cells().into_iter().find(|cell| cell.id == id).unwrap_or_else(|| panic!("there is no {id}"))
}

/// An alert's row, a letter a cell: holds, fails, open, invalid.
fn row(alert: &str) -> String {
    let letter = |cell: Cell| match cell.verdict {
        Verdict::Holds => 'h',
        Verdict::Fails(_) => 'f',
        Verdict::NotProven(_) => 'o',
        Verdict::Invalid(_) => 'i',
    };
    cells().into_iter().filter(|cell| cell.alert == alert).map(letter).collect()
}

fn why(id: &str) -> String {
    cell(id).verdict.why().to_owned()
}

#[test]
fn each_right_alert_holds_in_every_cell() {
    for alert in ["Down", "Slow", "Both", "BackupMissing", "DiskFills", "Sampled", "Measured", "Workdays"] {
        assert_eq!(row(alert), "hhhh", "{alert}: {:?}\n{}", cells(), DRILLED.told);
    }
    assert_eq!(cell("told-to/Both").observed, "chat, mail");
    assert_eq!(cell("told-to/Down").expected, "page; page (drill.yaml:2)");
    assert!(cell("told-to/Slow").expected.contains("nobody, for Down inhibits it"), "{:?}", cell("told-to/Slow"));
}

#[test]
fn each_wrong_alert_fails_in_the_cell_that_its_wrong_is_about() {
    for (alert, cells) in [
        ("Early", "fhhh"),
        ("Never", "fooo"),
        ("WrongLabels", "fooo"),
        ("WrongText", "hhfh"),
        ("WrongMessage", "hhfh"),
        ("WrongOwnText", "hhfh"),
        ("Misrouted", "hfhh"),
        ("Uninhibited", "hfhh"),
        ("Endless", "hhhf"),
        ("UntestedToo", "fooo"),
        ("Muted", "hfhh"),
        ("Wordless", "hhfh"),
    ] {
        assert_eq!(row(alert), cells, "{alert}: {:?}", self::cells());
    }
    assert_eq!(DRILLED.code, Some(1), "{}", DRILLED.told);
    for (id, says) in [
        ("fires/Early", "rules_test.yml:81: at 4m {job=\"a\", severity=\"warning\"} fires, and the test says nothing"),
        ("fires/Never", "nothing fires"),
        ("text/WrongText", "summary is \"a is at 7.\", and the test says \"a is at 8.\""),
        ("text/WrongMessage", "slack_configs/0/title of broken can't be rendered"),
        ("text/WrongOwnText", "NoSuchThing"),
        (
            "told-to/Misrouted",
            "drill.yaml:5: {job=\"a\", severity=\"warning\"} is to be told to page, and is routed to mail",
        ),
        ("told-to/Uninhibited", "drill.yaml:8: {job=\"a\", severity=\"warning\"} fires beside Early at "),
        ("resolves/Endless", "still fires"),
        (
            "told-to/Muted",
            "drill.yaml:10: mail is to be told, and alertmanager.yml:14: mute_time_intervals [always] leaves no moment",
        ),
        ("text/Wordless", "wordless is told nothing as {job=\"a\", severity=\"warning\", team=\"wordless\"} fires"),
        ("fires/UntestedToo", "no rule is called UntestedToo, did the test mean Untested?"),
    ] {
        assert!(why(id).contains(says), "{id}: {}", why(id));
    }
}

#[test]
fn what_no_test_shows_is_not_proven_and_says_why() {
    for (id, says) in [
        ("fires/Untested", "no unit test asks about it"),
        ("fires/NeverExpected", "no unit test expects it to fire"),
        ("fires/Histogram", "native histograms"),
        ("told-to/Errors", "drill.yaml:9: no unit test has it fire beside Down"),
        ("told-to/Gone", "drill.yaml:6: no unit test expects it with {job=\"other\"}"),
        (
            "told-to/MutedToo",
            "alertmanager.yml:14: mute_time_intervals [always] leaves no moment at which mail is told",
        ),
        ("fires/Ahead", "rules.yml:134: `offset -1m` asks for what is still to come"),
    ] {
        assert!(matches!(cell(id).verdict, Verdict::NotProven(_)) && why(id).contains(says), "{:?}", cell(id));
    }
    assert_eq!(
        (row("Untested"), row("NeverExpected"), row("Histogram"), row("Gone"), row("Errors")),
        ("oooo".into(), "oooo".into(), "oooo".into(), "hohh".into(), "hohh".into())
    );
    assert_eq!((row("MutedToo"), row("Ahead")), ("hohh".into(), "oooo".into()));
    let left_out = "left out, and its test lived without it: rules.yml:134: `offset -1m`";
    assert!(DRILLED.told.contains(left_out), "{}", DRILLED.told);
}

/// When nobody may be told is not lived; whose route says so is told, in the terminal and in the report.
#[test]
fn calendars_that_are_not_lived_are_told_with_their_line() {
    let says = "alertmanager.yml:15: active_time_intervals [workdays] is not lived: at which times mail is told of Workdays, nothing \
                here shows";
    assert!(DRILLED.told.lines().any(|line| line == format!("! {says}")), "{}", DRILLED.told);
    let report = std::fs::read_to_string(DRILLED.bundle.join("report.md")).unwrap();
    assert!(report.contains(says), "{report}");
}

#[test]
fn of_what_fires_always_no_end_is_claimed() {
    assert_eq!(row("Always"), "hhh");
    let outcome = Outcome::derive(&DRILLED.bundle).unwrap();
    assert!(
        outcome.remarks().iter().any(|one| one.starts_with("Always asks for no series")),
        "{:?}",
        outcome.remarks()
    );
    let report = std::fs::read_to_string(DRILLED.bundle.join("report.md")).unwrap();
    let told = report.lines().find(|line| line.starts_with("| Always |")).unwrap();
    assert!(told.ends_with("| – |"), "{told}");
}

/// What a receiver is told with where its configuration says nothing is rendered where amtool has it.
#[test]
fn texts_of_alertmanagers_own_are_rendered_or_said_not_to_be() {
    let outcome = Outcome::derive(&DRILLED.bundle).unwrap();
    let knows = outcome.records.values().all(|record| record.amtool.knows_own_texts);
    let told = cell("text/OwnText");
    match &told.verdict {
        Verdict::Holds if knows => {
            let messages = outcome.records.values().flat_map(|record| &record.amtool.messages);
            let own: Vec<_> =
                messages.filter(|one| one.receiver == "own").map(|one| one.came.clone().unwrap()).collect();
            assert!(own.iter().any(|text| text.contains("[FIRING:1]") && text.contains("OwnText")), "{own:?}");
        }
        Verdict::NotProven(why) if !knows => {
            assert!(why.contains("slack_configs/0") && why.contains("amtool has from 0.26 on"), "{why}");
        }
        _ => panic!("{told:?}"),
    }
}

#[test]
fn its_bundle_verifies_says_the_same_and_is_told_as_junit() {
    let verified = aiclipx(&["verify", DRILLED.bundle.to_str().unwrap()]);
    assert_eq!(verified.status.code(), Some(1), "{}", told(&verified));
    let headline = DRILLED.told.lines().last().unwrap();
    assert!(told(&verified).contains(headline), "{headline}\n{}", told(&verified));
    let failing = cells().iter().filter(|cell| matches!(cell.verdict, Verdict::Fails(_))).count();
    assert!(DRILLED.junit.contains(&format!("failures=\"{failing}\"")), "{}", DRILLED.junit);
    for file in ["report.html", "report.md", "given/rules.yml", "given/templates/title.tmpl"] {
        assert!(DRILLED.bundle.join(file).is_file(), "{file}");
    }
}

/// What the drill's folder shows once one of its files says something else, in every scene.
fn with(file: &str, change: impl Fn(&str) -> String) -> Outcome {
    derived_with(file, change).unwrap()
}

fn derived_with(file: &str, change: impl Fn(&str) -> String) -> Result<Outcome, Failure> {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&DRILLED.bundle, copy.path()).unwrap();
    for scene in files::files_in(&copy.path().join("scenes"), "").unwrap() {
        let file = scene.join(file);
        let text = files::read_text(&file).unwrap();
        std::fs::remove_file(file.with_extension(format!("{}.gz", file.extension().unwrap().to_str().unwrap())))
            .unwrap();
        std::fs::write(&file, change(&text)).unwrap();
    }
    Outcome::derive(copy.path())
}

fn verdict(outcome: &Outcome, id: &str) -> Verdict {
    outcome.cells.iter().find(|cell| cell.id == id).unwrap().verdict.clone()
}

fn fails(outcome: &Outcome, id: &str, says: &str) {
    let verdict = verdict(outcome, id);
    assert!(matches!(&verdict, Verdict::Fails(why) if why.contains(says)), "{id}: {verdict:?}");
}

#[test]
fn no_secret_is_kept_and_other_rules_than_those_that_were_given_are_found() {
    let kept = std::fs::read_to_string(DRILLED.bundle.join("given/alertmanager.yml")).unwrap();
    assert!(!kept.contains("127.0.0.1") && kept.contains("no such thing"), "{kept}");
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&DRILLED.bundle, copy.path()).unwrap();
    let rules = copy.path().join("given/rules.yml");
    let text = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, text.replace("{{ $labels.job }} is down.", "{{ $labels.job }} is well.")).unwrap();
    let refused = Outcome::derive(copy.path()).unwrap_err();
    assert!(refused.to_string().contains("other rules were loaded"), "{refused}");
}

#[test]
fn who_is_told_instead_of_another_is_found() {
    let outcome = with(NOTIFICATIONS, |text| text.replace(r#""receiver":"page""#, r#""receiver":"mail""#));
    fails(&outcome, "told-to/Down", "mail was told of");
    fails(&outcome, "told-to/Down", "page was not told of");
    assert_eq!(verdict(&outcome, "told-to/BackupMissing"), Verdict::Holds);
}

#[test]
fn who_is_told_of_what_is_inhibited_or_not_told_of_an_end_is_found() {
    let b_is_a = |text: &str| text.replace(r#""job":"b""#, r#""job":"a""#);
    fails(&with(NOTIFICATIONS, b_is_a), "told-to/Slow", "while Down fired and inhibits it");
    let no_end = with(NOTIFICATIONS, |text| text.replace(r#""status":"resolved""#, r#""status":"firing""#));
    fails(&no_end, "resolves/Down", "never that it is over");
}

#[test]
fn an_evaluation_that_is_missing_makes_it_inconclusive() {
    let outcome = with(ALERTS, |text| text.replace(r#""drill:evaluated""#, r#""ALERTS""#));
    assert!(matches!(verdict(&outcome, "fires/Down"), Verdict::Invalid(_)), "{:?}", verdict(&outcome, "fires/Down"));
    assert_eq!(outcome.exit_code(&[]), 3);
}

/// A copy of the drill's folder, its `run.json` changed.
fn made_otherwise(change: impl Fn(&mut serde_json::Value)) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&DRILLED.bundle, copy.path()).unwrap();
    let run = copy.path().join("run.json");
    let mut made = serde_json::from_str(&std::fs::read_to_string(&run).unwrap()).unwrap();
    change(&mut made);
    std::fs::write(&run, made.to_string()).unwrap();
    copy
}

#[test]
fn what_promtool_itself_fails_is_never_green() {
    let said = |alert: &str| {
        let copy = made_otherwise(|made| {
            made["promtool"] =
                serde_json::json!({ "rules_test.yml": format!("FAILED:\nalertname: {alert}, time: 5m,") });
        });
        Outcome::derive(copy.path()).unwrap()
    };
    let outcome = said("Down");
    for id in ["fires/Down", "text/Down"] {
        let verdict = verdict(&outcome, id);
        assert!(matches!(&verdict, Verdict::NotProven(why) if why.contains("promtool itself fails")), "{verdict:?}");
    }
    assert_eq!(verdict(&outcome, "told-to/Down"), Verdict::Holds);
    assert_eq!(verdict(&outcome, "fires/Errors"), Verdict::Holds);
    // Where the drill finds what is wrong, there is nothing to doubt.
    assert_eq!(verdict(&said("WrongText"), "fires/WrongText"), Verdict::Holds);
}

#[test]
fn what_is_said_of_files_and_scenes_that_there_are_not_is_refused() {
    for (key, value, says) in [
        ("promtool", serde_json::json!({ "../../x": "FAILED" }), "promtool is said to fail ../../x"),
        ("promtool", serde_json::json!({ "alertmanager.yml": "FAILED" }), "no file of rules or tests"),
        ("repeated", serde_json::json!(["999-none"]), "nothing gives rise to the scene 999-none"),
    ] {
        let copy = made_otherwise(|made| made[key] = value.clone());
        let refused = Outcome::derive(copy.path()).unwrap_err();
        assert!(refused.to_string().contains(says), "{refused}");
    }
}

/// It was lived from what we read of it, and no Prometheus would load it.
#[test]
fn a_rule_of_a_file_that_promtool_refuses_fails() {
    let copy = made_otherwise(|made| {
        made["promtool"] =
            serde_json::json!({ "rules.yml": "rules.yml: yaml: unmarshal errors:\nfield fro not found" });
    });
    let outcome = Outcome::derive(copy.path()).unwrap();
    fails(&outcome, "fires/Down", "promtool refuses the file of its rule: field fro not found");
    assert_eq!(outcome.exit_code(&[]), 1);
}

#[test]
fn the_receivers_are_told_with_what_they_heard_of() {
    let outcome = Outcome::derive(&DRILLED.bundle).unwrap();
    let told = outcome.told();
    assert!(told["page"].contains("Down") && !told["page"].contains("Both"), "{told:?}");
    assert!(told["chat"].contains("Both") && told["mail"].contains("Both"), "{told:?}");
    let nobody = with(NOTIFICATIONS, |text| text.replace(r#""receiver":"page""#, r#""receiver":"mail""#));
    let says = "page was told of no alert";
    assert!(nobody.remarks().iter().any(|remark| remark.starts_with(says)), "{:?}", nobody.remarks());
    assert!(!outcome.remarks().iter().any(|remark| remark.starts_with(says)), "{:?}", outcome.remarks());
}

#[test]
fn a_drill_in_which_nothing_is_proven_says_so_and_ends_with_2() {
    let copy = made_otherwise(|made| made["only"] = serde_json::json!(["Untested"]));
    std::fs::remove_dir_all(copy.path().join("scenes")).unwrap();
    std::fs::create_dir(copy.path().join("scenes")).unwrap();
    let outcome = Outcome::derive(copy.path()).unwrap();
    assert_eq!((outcome.headline().as_str(), outcome.exit_code(&[])), ("Nothing was proven", 2));
}

/// A bundle whose `run.json` says that it is of another version, its sums made anew, verified.
fn of_version(schema: u32) -> Output {
    let copy = made_otherwise(|made| made["schema"] = schema.into());
    let sums = copy.path().join("SHA256SUMS");
    let sum = aiclipx_model::sum::of_file(&copy.path().join("run.json")).unwrap();
    let text = std::fs::read_to_string(&sums).unwrap();
    let line =
        |line: &str| if line.ends_with("  run.json") { format!("{sum}  run.json\n") } else { format!("{line}\n") };
    std::fs::write(&sums, text.lines().map(line).collect::<String>()).unwrap();
    aiclipx(&["verify", copy.path().to_str().unwrap()])
}

#[test]
fn a_drill_of_a_version_that_is_not_judged_here_is_said_to_be_so_and_not_untrustworthy() {
    let newer = of_version(SCHEMA + 1);
    assert_eq!(newer.status.code(), Some(2), "{}", told(&newer));
    assert!(told(&newer).contains(&format!("is a drill of version {}, newer than", SCHEMA + 1)), "{}", told(&newer));
    let older = of_version(OLDEST - 1);
    assert_eq!(older.status.code(), Some(2), "{}", told(&older));
    let says = format!("is a drill of version {}, older than", OLDEST - 1);
    assert!(told(&older).contains(&says) && told(&older).contains("drill again"), "{}", told(&older));
    // One whose scenes are of another version is none of its own.
    let copy = made_otherwise(|_| {});
    for scene in files::files_in(&copy.path().join("scenes"), "").unwrap() {
        let run = scene.join("run.json");
        let text = std::fs::read_to_string(&run).unwrap();
        std::fs::write(&run, text.replace(&format!("\"schema\": {SCHEMA}"), "\"schema\": 9")).unwrap();
    }
    let refused = Outcome::derive(copy.path()).unwrap_err();
    assert!(refused.to_string().contains("of a drill of version 9"), "{refused}");
}

/// A bundle is anybody's: its times are counted with.
#[test]
fn a_record_whose_times_are_none_is_refused() {
    for (file, key) in [(NOTIFICATIONS, "received_ms"), (STATES, "test_ms")] {
        for time in [i64::MIN, i64::MAX] {
            let edited = |text: &str| {
                let (before, after) = text.split_once(&format!("\"{key}\":")).expect("it tells times");
                let rest = after.trim_start_matches(|sign: char| sign == '-' || sign.is_ascii_digit());
                format!("{before}\"{key}\":{time}{rest}")
            };
            let refused = derived_with(file, edited).unwrap_err();
            assert!(format!("{refused:#}").contains(&format!("{file} holds a time that is none")), "{refused:#}");
        }
    }
}

#[test]
fn what_is_nothing_to_a_drill_has_no_place_in_its_bundle() {
    let copy = made_otherwise(|_| {});
    std::fs::write(copy.path().join("given/x.sh"), "rm").unwrap();
    let refused = Outcome::derive(copy.path()).unwrap_err();
    assert!(refused.to_string().contains("given/x.sh"), "{refused}");
}

#[test]
fn a_drill_over_nothing_is_none() {
    let place = tempfile::tempdir().unwrap();
    let drill = |more: &[&str]| {
        let folder = place.path().to_str().unwrap();
        let output = aiclipx(&[&["drill", folder, "--out", folder], more].concat());
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        told(&output)
    };
    assert!(drill(&[]).contains("there is no configuration of Alertmanager here"));
    std::fs::write(place.path().join("alertmanager.yml"), "route: {receiver: a}\nreceivers: [\n").unwrap();
    assert!(drill(&[]).contains("alertmanager.yml:2"), "{}", drill(&[]));
    std::fs::copy(folder().join("alertmanager.yml"), place.path().join("alertmanager.yml")).unwrap();
    assert!(drill(&[]).contains("there is no alerting rule here"));
    std::fs::copy(folder().join("rules.yml"), place.path().join("rules.yml")).unwrap();
    assert!(drill(&[]).contains("has a unit test: nothing to drill"));
    std::fs::copy(folder().join("rules_test.yml"), place.path().join("rules_test.yml")).unwrap();
    assert!(drill(&["--only", "Nobody"]).contains("no alert is called Nobody"));
    assert!(drill(&["--require", "nosuch"]).contains("no claim of this drill would be called nosuch"));
    std::fs::write(place.path().join("rules.yml"), "groups:\n  - rules:\n      - {alert: Down, expr: up == }\n")
        .unwrap();
    let refused = drill(&["--only", "Down"]);
    assert!(refused.contains("rules.yml:3"), "{refused}");
}

/// Whose command line names a folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let name = folder.to_str().unwrap().to_owned();
    let all = std::fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let lines = all.filter_map(|process| std::fs::read_to_string(process.join("cmdline")).ok());
    lines.filter(|line| line.contains(&name)).collect()
}

#[test]
fn an_interrupted_drill_leaves_nothing_running_and_no_bundle() {
    let place = tempfile::tempdir().unwrap();
    let (temporary, out) = (place.path().join("tmp"), place.path().join("out"));
    std::fs::create_dir(&temporary).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_aiclipx"))
        .arg("drill")
        .arg(folder())
        .args(["--only", "Down", "--out", out.to_str().unwrap()])
        .env("TMPDIR", &temporary)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    lines.next().expect("it says what is ahead").unwrap();
    // Not by a line of progress: there is one each few seconds, and the last may come when all is lived.
    let until = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while !processes_of(&temporary).iter().any(|process| process.contains("--storage.tsdb.path")) {
        assert!(std::time::Instant::now() < until, "nothing was started");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::Int).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(processes_of(&temporary).is_empty(), "{:?}", processes_of(&temporary));
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    let left: Vec<_> = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name.to_str().unwrap().ends_with(".partial")), "{left:?}");
}

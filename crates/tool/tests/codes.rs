//! The command line's exit codes, one table over every verb: arguments and a state directory → the code, and what is said last.
//! And the signals, which end every command the same way. The real program; no stack is started.

#![expect(clippy::unwrap_used, reason = "a test file throughout: what can't be written fails the test")]

use std::fs::File;
use std::io::{BufRead, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use aiclipx_base::duration::Speed;
use aiclipx_judge::tree::copy_folder;
use aiclipx_stack::Plan;
use rustix::process::{Pid, Signal};

/// Longer than anything takes; reaching it is a failure, not a measurement.
const LIMIT: Duration = Duration::from_mins(2);

/// A place whose folders are in every state that a command may meet.
struct Place {
    folder: tempfile::TempDir,
    /// Of a start that is under way.
    _lock: File,
    /// A port that somebody holds.
    held: TcpListener,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::Builder::new().prefix("a \"b\" 'c' ").tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for made in
            ["empty", "busy", "killed", "odd/logs/folder.log", "theirs/etc", "theirs/data", "clone/scripts/traffic"]
        {
            std::fs::create_dir_all(at(made)).unwrap();
        }
        std::fs::write(at("theirs/etc/precious"), "theirs").unwrap();
        std::fs::write(at("theirs/data/precious"), "theirs").unwrap();
        std::fs::write(at("file"), "theirs").unwrap();
        std::fs::create_dir(at("linked")).unwrap();
        std::fs::write(at("linked/.aiclipx-rendered"), "").unwrap();
        std::os::unix::fs::symlink(at("theirs/etc"), at("linked/prometheus")).unwrap();
        std::fs::write(at("odd/logs/app.log"), "fine\n").unwrap();
        // Rules of somebody's: with a finding, with that switched off, with a wrong switch, and none that can be read.
        for (name, expr, profile) in [
            ("shop", "increase(lost_total[5m]) > 0", ""),
            ("shop-off", "increase(lost_total[5m]) > 0", "[findings]\nalert = \"off\"\n"),
            ("shop-odd", "up == 0", "[findings]\n\"alert/no-such\" = \"off\"\n"),
            ("shop-broken", "up == (", ""),
        ] {
            std::fs::create_dir(at(name)).unwrap();
            let rules = format!("groups: [{{name: a, rules: [{{alert: A, for: 1m, expr: '{expr}'}}]}}]\n");
            std::fs::write(at(name).join("rules.yml"), rules).unwrap();
            std::fs::write(at(name).join("check.toml"), profile).unwrap();
        }
        for pipe in ["pipe", "odd/logs/pipe.log", "clone/scripts/traffic/01-pipe.toml"] {
            assert!(Command::new("mkfifo").arg(at(pipe)).status().unwrap().success());
        }
        copy_folder(&repository().join("monitoring"), &at("clone/monitoring")).unwrap();
        copy_folder(&repository().join("evidence/sample"), &at("bundle")).unwrap();
        copy_folder(&at("bundle"), &at("tampered")).unwrap();
        std::fs::write(at("tampered/report.md"), "All is well.").unwrap();
        let mut record =
            serde_json::to_value(Plan::attached(repository(), &at("killed"), Speed::PRODUCTION).unwrap()).unwrap();
        for (key, value) in [
            ("started", "2026-11-29T00:00:00.000Z".into()),
            ("revision", "unknown".into()),
            ("programs", serde_json::json!({})),
            ("absent", serde_json::json!({})),
            ("supervisord", serde_json::json!({"path": "/no/supervisord", "version": "4.3.0"})),
            ("socket_folder", "/tmp/aiclipx-none".into()),
            ("dies_together", true.into()),
        ] {
            record[key] = value;
        }
        // Its ports are nobody's: a stack may run on this machine.
        for address in record["addresses"].as_object_mut().unwrap().values_mut() {
            closed(address);
        }
        std::fs::write(at("killed/stack.json"), record.to_string()).unwrap();
        let lock = File::create(at("busy/lock")).unwrap();
        lock.lock().unwrap();
        Place { folder, _lock: lock, held: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Words with what they name put in: `{NAME}` is a path of this place, `{held}` an address that is taken.
    fn words(&self, arguments: &str) -> Vec<String> {
        let place = self.folder.path().display().to_string();
        let held = self.held.local_addr().unwrap().to_string();
        // To listen on every address of this machine's, with nobody there.
        let free = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port().to_string();
        let filled = |word: &str| {
            word.replace("{free}", &free).replace("{held}", &held).replace('{', &format!("{place}/")).replace('}', "")
        };
        arguments.split_whitespace().map(|word| if word == "''" { String::new() } else { filled(word) }).collect()
    }

    /// Of the tool; or of the program that comes first.
    fn command(&self, state: &str, arguments: &str) -> Command {
        let mut words = self.words(arguments);
        let is_another = words.first().is_some_and(|word| word.starts_with("aiclipx-"));
        let name = if is_another { words.remove(0) } else { "aiclipx".to_owned() };
        // All lie in one folder; that of another package is not named to us.
        let program = Path::new(env!("CARGO_BIN_EXE_aiclipx")).with_file_name(&name);
        assert!(program.is_file(), "{name} is not built: `cargo build`");
        let mut command = Command::new(program);
        command.args(words).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("AICLIPX_HOME", repository()).env("AICLIPX_STATE", self.at(state));
        command
    }

    /// What lies in the folder that is somebody else's.
    fn theirs(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.at("theirs")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        found
    }
}

/// Every port in it becomes 1, where nobody listens.
fn closed(addresses: &mut serde_json::Value) {
    match addresses {
        serde_json::Value::Object(keys) => {
            for (key, value) in keys {
                if key == "port" { *value = 1.into() } else { closed(value) }
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(closed),
        serde_json::Value::String(text) => {
            if let Some((host, port)) = text.rsplit_once(':')
                && port.parse::<u16>().is_ok()
            {
                *text = format!("{host}:1");
            }
        }
        _ => {}
    }
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn ended(child: Child, what: &str) -> Output {
    let pid = Pid::from_child(&child);
    let (tell, told) = std::sync::mpsc::channel();
    // On a thread of its own, for who says much must be read meanwhile.
    std::thread::spawn(move || tell.send(child.wait_with_output()));
    told.recv_timeout(LIMIT).map_or_else(
        |_| {
            let _ = rustix::process::kill_process(pid, Signal::Kill);
            panic!("{what}: it does not end")
        },
        Result::unwrap,
    )
}

/// To its end, with all that it says.
fn output(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    ended(child, &format!("{command:?}"))
}

/// The last line said; to a person, or else on standard output.
fn last_line(output: &Output) -> String {
    let (said, printed) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    said.lines().last().or(printed.lines().last()).unwrap_or_default().to_owned()
}

const BUSY: &str = "wait until it has ended; a start that gets Ctrl-C stops what it started";
const NOT_OURS: &str = "/theirs/.aiclipx-state'";
const NO_STACK: &str = "`just up` starts one";
const NO_POSTGRES: &str = "is built without PostgreSQL; `just up --database` builds one with it";
const KILLED: &str = "`just down` clears what is left, `just up` starts anew, `just prove` needs no stack";

/// Arguments, the state directory, the code, and what is in the last line.
const TABLE: [(&str, &str, u8, &str); 153] = [
    ("", "empty", 2, "Print version"),
    ("--help", "empty", 0, "Print version"),
    ("no-such-verb", "empty", 2, "For more information, try '--help'."),
    ("up", "theirs", 2, NOT_OURS),
    ("up", "busy", 2, BUSY),
    ("up", "file", 2, "choose another with --state or AICLIPX_STATE"),
    ("up --speed 0", "empty", 2, "For more information, try '--help'."),
    ("up --port app=1 --port app=2", "empty", 2, "app can't be on port 1 and on port 2"),
    ("up --database --free-ports", "missing", 2, NO_POSTGRES),
    ("up --replicas 0", "empty", 2, "For more information, try '--help'."),
    ("up --replicas 17", "empty", 2, "For more information, try '--help'."),
    ("stop", "empty", 2, "For more information, try '--help'."),
    ("stop app", "missing", 2, NO_STACK),
    ("start app-2", "theirs", 2, NO_STACK),
    ("restart", "empty", 2, "For more information, try '--help'."),
    ("restart --rolling", "busy", 2, BUSY),
    ("down", "missing", 0, "No stack runs from "),
    ("down", "empty", 0, "No stack runs from "),
    ("down", "theirs", 0, "No stack runs from "),
    ("down", "busy", 2, BUSY),
    ("clean", "missing", 0, "Nothing of a stack is left in "),
    ("clean", "empty", 0, "Nothing of a stack is left in "),
    ("clean", "theirs", 2, NOT_OURS),
    ("clean", "busy", 2, BUSY),
    ("status", "missing", 2, NO_STACK),
    ("status", "theirs", 2, NO_STACK),
    ("status", "busy", 2, BUSY),
    ("status", "killed", 3, KILLED),
    ("logs", "missing", 2, "`just up` starts a stack"),
    ("logs", "busy", 2, BUSY),
    ("logs", "odd", 0, "/odd/logs/pipe.log is left out: it is not a regular file; move it elsewhere"),
    ("logs pipe", "odd", 2, "move it elsewhere"),
    ("render", "empty", 0, "74 files at speed 30"),
    ("render --out {rendered}", "empty", 0, "74 files at speed 30"),
    ("render --out {rendered}", "empty", 0, "74 files at speed 30"),
    ("render --out {linked}", "empty", 2, "remove the link, or choose another folder with --out"),
    ("render --out {theirs}", "empty", 2, "/theirs/.aiclipx-rendered'"),
    ("render --out {file}", "empty", 2, "choose another with --out"),
    ("render --speed 7", "empty", 2, "… and "),
    ("render --remote-write http://a:1/api/v1/write", "empty", 0, "74 files at speed 30"),
    (
        "render --remote-write http://me:hunter2@a/write",
        "empty",
        2,
        "--remote-write-password-file, and change that password",
    ),
    ("render --remote-write http://a/write --remote-write-token-file token", "empty", 2, "give the whole path"),
    ("render --remote-write http://a/write --remote-write-token-file /dev/zero", "empty", 2, "and nothing else"),
    (
        "render --remote-write http://a/write --remote-write-token-file /nowhere/token",
        "empty",
        0,
        "74 files at speed 30",
    ),
    ("sizing --database --replicas 3", "missing", 0, "one Prometheus is enough"),
    ("up --remote-write http://a:8428", "missing", 2, "its path is missing: VictoriaMetrics"),
    ("up --remote-write-user me", "missing", 2, "For more information, try '--help'."),
    ("up --external-label a=b", "missing", 2, "For more information, try '--help'."),
    ("sizing", "missing", 0, "one Prometheus is enough"),
    ("sizing --replicas 9000000", "missing", 2, "For more information, try '--help'."),
    ("sizing --metrics {nowhere}", "missing", 2, "--metrics names a URL"),
    ("check", "empty", 0, "Nothing found."),
    ("check --json", "empty", 0, "Nothing found."),
    ("check --names", "empty", 0, "vector/unread"),
    ("check --rules {shop}", "missing", 1, "1 finding"),
    ("check --rules {shop-off}", "missing", 0, "Nothing found."),
    ("check --rules {shop-odd}", "missing", 1, "1 finding"),
    ("check --rules {shop-broken}", "missing", 2, "rules.yml:1: not an expression"),
    ("check --rules {empty}", "missing", 2, "--rules names a folder of rules"),
    ("check --rules {nowhere}", "missing", 2, "cannot read "),
    ("check --live", "missing", 2, NO_STACK),
    ("check --live", "killed", 3, "`just up` cleans up and starts it anew"),
    ("dashboard", "missing", 2, NO_STACK),
    ("dashboard --folder {nowhere} --listen {held}", "missing", 2, "--folder names one"),
    ("dashboard --folder {empty} --listen 0.0.0.0:{free}", "missing", 2, "listen on 127.0.0.1"),
    ("dashboard --folder {empty} --listen {held}", "missing", 2, "cannot listen on 127.0.0.1:"),
    ("init --url 127.0.0.1:1/metrics", "missing", 2, "--url says where the service's metrics are"),
    ("init --url https://127.0.0.1/metrics", "missing", 2, "wants TLS, which is not spoken here"),
    ("init --job a/b", "missing", 2, "letters, digits, `-`, `_` and `.`"),
    ("traffic --list", "missing", 0, "14-database-away"),
    ("traffic", "missing", 2, NO_STACK),
    ("traffic", "busy", 2, BUSY),
    ("traffic run 01", "killed", 3, "`just up` cleans up and starts it anew"),
    ("traffic no-such", "missing", 2, "name one by number, name or path"),
    ("traffic {pipe}", "missing", 2, "it is not a regular file"),
    ("traffic 01 02 --ledger {ledger}", "missing", 2, "name one scenario"),
    ("traffic --base-url 127.0.0.1:1 --duration 100ms --ledger {ledger}", "missing", 2, "name one scenario"),
    ("traffic 01 --ledger {one} --json {one}", "missing", 2, "name two"),
    ("traffic 01 --ledger {one} --json {empty/../one}", "missing", 2, "name two"),
    ("traffic 01 --json {nowhere}/", "missing", 2, "--json names a file in a folder"),
    (
        "traffic 01 --duration 100ms --base-url 127.0.0.1:1 --json {empty}",
        "missing",
        2,
        "--json names a file in a folder",
    ),
    (
        "traffic 01 --duration 100ms --base-url 127.0.0.1:1 --ledger {nowhere/x}",
        "missing",
        2,
        "--ledger names a file in a folder",
    ),
    ("traffic 01 --json {empty}", "missing", 2, "--json names a file in a folder"),
    ("traffic 01 --json /dev/full", "missing", 2, "--json names a file in a folder"),
    ("traffic 01 --ledger {pipe}", "missing", 2, "--ledger names a file in a folder"),
    (
        "traffic 01 --duration 100ms --base-url 127.0.0.1:1 --ledger /dev/full",
        "missing",
        2,
        "--ledger names a file in a folder",
    ),
    (
        "traffic 01 --duration 100ms --base-url 127.0.0.1:1 --json {pipe}",
        "missing",
        2,
        "--json names a file in a folder",
    ),
    ("traffic 01 --duration 100ms --base-url 127.0.0.1:1", "missing", 3, "--base-url says where"),
    ("traffic 01 09 --duration 100ms --base-url 127.0.0.1:1", "missing", 2, "run it without --base-url"),
    ("traffic --attach 127.0.0.1 --base-url 127.0.0.1:1", "missing", 2, "For more information, try '--help'."),
    ("traffic --attach app=127.0.0.1:1,prometheus=127.0.0.1:1", "missing", 2, "--attach"),
    ("traffic run 01 --shard 0/2 --base-url 127.0.0.1:1", "missing", 2, "For more information, try '--help'."),
    ("traffic run 01 --shard 0/2 --out {part}", "missing", 2, "For more information, try '--help'."),
    ("traffic 01 --shard 2/2 --base-url 127.0.0.1:1 --out {part}", "missing", 2, "For more information, try '--help'."),
    ("traffic 01 02 --shard 0/2 --base-url 127.0.0.1:1 --out {part}", "missing", 2, "name one scenario"),
    (
        "traffic 01 --duration 100ms --shard 0/2 --target 127.0.0.1:1 --out {pipe}",
        "missing",
        2,
        "--out names a file in a folder",
    ),
    ("traffic merge {file} --out {merged}", "missing", 2, "/file:1: this line has no end: the file was cut short"),
    ("traffic merge {nowhere} --out {merged}", "missing", 2, "cannot read the part "),
    ("traffic merge {file} --out {file}", "missing", 2, "name another file with --out"),
    ("traffic check {nowhere} --metrics-before {file} --metrics-after {file}", "missing", 2, "cannot read the ledger "),
    (
        "traffic check {nowhere} --metrics-before {file} --metrics-after {file} {file}",
        "missing",
        2,
        "in the same order; ",
    ),
    ("traffic schedule 01", "missing", 0, " requests, sha256 "),
    ("traffic schedule no-such", "missing", 2, "name one by number, name or path"),
    ("evidence", "busy", 2, BUSY),
    ("evidence", "killed", 3, KILLED),
    ("evidence --require ''", "missing", 2, "For more information, try '--help'."),
    ("prove --only no-such", "missing", 2, "there are "),
    ("prove --only error-rate --out {file}", "missing", 2, "choose another folder with --out DIR"),
    ("prove --only no-such --events {nowhere/x}", "missing", 2, "--events names a file in a folder"),
    ("prove --only no-such --events {pipe}", "missing", 2, "--events names a file in a folder"),
    ("prove --only no-such --events {one} --junit {empty/../one}", "missing", 2, "name two"),
    ("drill {empty}", "missing", 2, "--alertmanager FILE names one"),
    ("drill {nowhere}", "missing", 2, "is no folder"),
    ("drill --only no-such", "missing", 2, "--only names one of them"),
    ("drill --tests {nowhere} --alertmanager {file}", "missing", 2, "cannot read"),
    ("evidence --junit {empty}", "missing", 2, "--junit names a file in a folder"),
    ("verify {tampered} --junit /dev/full", "missing", 2, "--junit names a file in a folder"),
    ("verify {tampered} --junit {one}", "missing", 4, "report.md has changed since the bundle was sealed"),
    ("verify {bundle} --junit {one}", "missing", 0, "claims hold"),
    ("verify {bundle} --junit {bundle/SHA256SUMS}", "missing", 2, "--junit names a file elsewhere"),
    ("verify {bundle}", "missing", 0, "claims hold"),
    ("evidence verify {bundle}", "missing", 0, "claims hold"),
    ("evidence run --only no-such", "missing", 2, "there are "),
    ("verify {bundle} --require ''", "missing", 2, "For more information, try '--help'."),
    ("verify {bundle} --require no-such", "missing", 2, "verdicts.json"),
    ("verify {bundle} --require pictured", "missing", 1, "claims hold"),
    ("verify {bundle} --repo {empty}", "missing", 2, "--repo names a clone"),
    ("verify {bundle} --signers {file}", "missing", 4, "it is not signed"),
    ("verify {tampered}", "missing", 4, "report.md has changed since the bundle was sealed"),
    ("verify {nowhere}", "missing", 2, "a bundle is the folder"),
    ("verify {pipe}", "missing", 2, "a bundle is the folder"),
    ("sign {bundle} --key {nowhere}", "missing", 2, "--key names a private key"),
    ("sign {bundle} --key {pipe}", "missing", 2, "--key names a private key"),
    ("sign {tampered} --key {nowhere}", "missing", 4, "report.md has changed since the bundle was sealed"),
    ("receiver --listen {held} --notifications {new}", "missing", 2, "cannot listen on 127.0.0.1:"),
    ("receiver --listen {held} --notifications {nowhere/x}", "missing", 2, "--notifications names a file"),
    ("receiver --listen {held} --notifications {pipe}", "missing", 2, "--notifications names a file"),
    ("receiver --listen 127.0.0.1:1 --check", "missing", 3, "127.0.0.1:1"),
    ("front --listen {held} --to 127.0.0.1:1", "missing", 2, "cannot listen on 127.0.0.1:"),
    ("front --listen {held}", "missing", 2, "For more information, try '--help'."),
    ("secrets --env-file {nowhere} --folder {secrets}", "missing", 0, ""),
    ("secrets --env-file {pipe} --folder {secrets}", "missing", 2, "then a password is generated"),
    ("aiclipx-mutants --only rules-not-loaded --out {file}", "missing", 2, "choose another folder with --out DIR"),
    ("aiclipx-mutants --only no-such", "missing", 2, "there "),
    ("aiclipx-mutants --jobs 0", "missing", 2, "For more information, try '--help'."),
    ("aiclipx-verify {bundle}", "missing", 0, "claims hold"),
    ("aiclipx-verify {bundle} --require pictured", "missing", 1, "claims hold"),
    ("aiclipx-verify {bundle} --require no-such", "missing", 2, "verdicts.json"),
    ("aiclipx-verify {nowhere}", "missing", 2, "a bundle is the folder"),
    ("aiclipx-verify", "missing", 2, "For more information, try '--help'."),
    ("aiclipx-verify {tampered}", "missing", 4, "report.md has changed since the bundle was sealed"),
    ("aiclipx-verify {bundle} --signers {file}", "missing", 4, "it is not signed"),
    // Last: what it clears is not there afterwards.
    ("down", "killed", 0, "The stack had been killed; its traces are removed."),
];

#[test]
fn every_verb_ends_with_the_code_of_what_came_of_it_and_touches_nothing_of_others() {
    let place = Place::new();
    let theirs = place.theirs();
    let mut wrong = Vec::new();
    for (arguments, state, code, last) in TABLE {
        let output = output(&mut place.command(state, arguments));
        let said = last_line(&output);
        if output.status.code() != Some(code.into()) || !said.contains(last) {
            wrong.push(format!("{arguments} ({state}): {:?}, {said:?}", output.status.code()));
        }
    }
    assert!(wrong.is_empty(), "not as the table has it:\n{}", wrong.join("\n"));
    assert_eq!(place.theirs(), theirs);
    assert!(!place.at("missing").exists() && place.at("empty").is_dir());
    assert_eq!(std::fs::read_to_string(place.at("file")).unwrap(), "theirs");
}

/// What a program can be told to do, as its own help has it, and below each what that can be told.
fn verbs(program: &Place, before: &str) -> Vec<String> {
    let output = output(&mut program.command("missing", &format!("{before} --help")));
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some((_, listed)) = help.split_once("\nCommands:\n") else { return vec![before.trim().to_owned()] };
    let name = |line: &str| line.strip_prefix("  ")?.split_whitespace().next().map(str::to_owned);
    let listed = listed.lines().take_while(|line| !line.is_empty()).filter_map(name).filter(|name| name != "help");
    listed.flat_map(|name| verbs(program, &format!("{before} {name}"))).collect()
}

/// What helps it do its work, and is in no help.
const HIDDEN: [&str; 3] = ["front", "receiver", "secrets"];

#[test]
fn no_verb_is_missing_from_the_table_and_each_is_in_it_with_success_or_a_failure_of_its_own() {
    let verbs = verbs(&Place::new(), "");
    assert!(verbs.len() > 12 && verbs.contains(&"verify".to_owned()), "{verbs:?}");
    let programs = ["aiclipx-mutants", "aiclipx-verify"].map(str::to_owned);
    for verb in verbs.into_iter().chain(HIDDEN.map(str::to_owned)).chain(programs) {
        let is_its = |arguments: &str| arguments == verb || arguments.starts_with(&format!("{verb} "));
        let own = |last: &str| last != "For more information, try '--help'.";
        let rows = TABLE.iter().filter(|(arguments, _, _, last)| is_its(arguments) && own(last));
        assert!(rows.count() > 0, "{verb} is not in the table");
    }
}

/// The address of a server that answers 200 whatever it is asked, and so takes no faults.
fn answering() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let (mut asked, mut part) = (Vec::<u8>::new(), [0; 4096]);
                while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut part) {
                        Ok(read) if read > 0 => asked.extend(&part[..read]),
                        _ => return,
                    }
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            });
        }
    });
    address
}

#[test]
fn what_was_sent_to_a_url_is_told_also_when_the_next_scenario_is_refused() {
    let place = Place::new();
    let run = |names: &str| {
        let arguments = format!("traffic {names} --duration 300ms --base-url {}", answering());
        let output = output(&mut place.command("missing", &arguments));
        let [printed, said] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        (output.status.code(), printed, said)
    };
    let (code, printed, said) = run("01 11");
    assert!(code == Some(2) && said.contains("takes no faults"), "{code:?} {said}");
    assert!(printed.lines().last().unwrap_or_default().starts_with("○ 01-request-rate: "), "{printed}");
    // What is refused whatever was sent before it is refused before anything is sent.
    let (code, printed, said) = run("01 09");
    assert!(code == Some(2) && said.contains("09-receiver-lost stops components"), "{code:?} {said}");
    assert_eq!(printed, "");
    // Of all there are, none that stops components is meant.
    let (code, printed, said) = run("");
    assert!(code == Some(2) && said.contains("takes no faults"), "{code:?} {said}");
    assert!(printed.contains("\n○ 01-request-rate: "), "{printed}");
}

/// What the service whose metrics these are would have counted, had it answered 200 to so many requests for `/`.
fn exposed(place: &Place, name: &str, started: u32, counted: u64) {
    let text = format!(
        "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {started}\n# TYPE app_requests_total counter\n\
         app_requests_total{{method=\"GET\",endpoint=\"/\",http_status=\"200\"}} {counted}\n"
    );
    std::fs::write(place.at(name), text).unwrap();
}

#[test]
fn generators_leave_parts_that_make_a_ledger_which_is_held_against_counters() {
    let place = Place::new();
    let scenario =
        "title = \"t\"\n[[phase]]\nname = \"a\"\nduration = \"300ms\"\ncount = 9\nrequests = [{ path = \"/\" }]\n";
    std::fs::write(place.at("90-test.toml"), scenario).unwrap();
    let run = |arguments: &str| {
        let output = output(&mut place.command("missing", arguments));
        let [printed, said] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        (output.status.code().unwrap(), printed.lines().last().unwrap_or_default().to_owned(), said)
    };
    let to = answering();
    let send = |arguments: &str| run(&format!("traffic run {{90-test.toml}} --base-url {to} {arguments}"));
    let past = "--start-at 2026-11-30T00:00:00Z";
    let (code, told, said) = send(&format!("--shard 0/2 --out {{0}} {past}"));
    assert!(code == 0 && told.starts_with("○ 90-test: 5 sent, 5 answered (200: 5)"), "{told} {said}");
    assert!(said.contains("90-test, part 0/2: ") && said.contains(" after --start-at\n"), "{said}");
    let (code, _, said) = run("traffic merge {0} --out {ledger}");
    assert!(code == 2 && said.contains("of 2 parts 1 are named; missing: 1/2"), "{code} {said}");
    let (code, _, said) = send("--shard 1/2 --out {1} --start-at 2999-01-01T00:00:00Z");
    assert!(code == 2 && said.contains("more than a day ahead"), "{code} {said}");
    let (code, _, said) = run("traffic merge {0} {1} --out {ledger}");
    assert!(code == 2 && said.contains("cannot read the part "), "nothing was sent, and no part is there: {said}");

    // These two are under way at the same time.
    let [one, other] = ["--shard 0/2 --out {0}", "--shard 1/2 --out {1}"].map(|shard| {
        let arguments = format!("traffic {{90-test.toml}} --target {to} --seed 7 {shard} {past}");
        let mut command = place.command("missing", &arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    for child in [one, other] {
        let output = ended(child, "a shard");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let (code, told, said) = run("traffic merge {1} {0} --out {ledger}");
    assert!(
        code == 0 && told.starts_with("90-test: 2 parts, 9 sent, 9 answered (200: 9); started within "),
        "{told} {said}"
    );
    let (code, _, said) = run("traffic check {0} --metrics-before {file} --metrics-after {file}");
    assert!(code == 2 && said.contains("`aiclipx traffic merge` makes"), "{code} {said}");

    for (name, started, counted) in
        [("a0", 1, 3), ("a1", 1, 8), ("b0", 2, 0), ("b1", 2, 4), ("b2", 2, 5), ("again", 3, 4)]
    {
        exposed(&place, name, started, counted);
    }
    let check = |before: &str, after: &str| {
        run(&format!("traffic check {{ledger}} --metrics-before {before} --metrics-after {after}"))
    };
    let (code, told, said) = check("{a0} {b0}", "{a1} {b1}");
    assert!(code == 0 && told.ends_with("; the service counted the same"), "{code} {told} {said}");
    let (code, told, said) = check("{a0} {b0}", "{a1} {b2}");
    assert!(code == 1 && told.contains("GET / 200: 10 counted, 9 answered"), "{code} {told} {said}");
    for after in ["{a1} {again}", "{b1} {a1}"] {
        let (code, _, said) = check("{a0} {b0}", after);
        assert!(code == 3 && said.contains("started anew"), "{code} {said}");
    }
    let (code, _, said) = check("{a0} {b0}", "{a1} {file}");
    assert!(code == 2 && said.contains("/file: not what a service exposes: "), "{code} {said}");
}

/// A shard that was stopped leaves its part, and the ledger says so of the whole.
#[test]
fn a_generator_that_is_stopped_makes_the_merged_run_inconclusive() {
    let place = Place::new();
    // So little is sent that no load of the machine's makes it late.
    let scenario =
        "title = \"t\"\n[[phase]]\nname = \"a\"\nduration = \"1m\"\ncount = 2\nrequests = [{ path = \"/\" }]\n";
    std::fs::write(place.at("90-test.toml"), scenario).unwrap();
    let to = answering();
    let [one, other] = ["0", "1"].map(|index| {
        let arguments = format!("traffic {{90-test.toml}} --base-url {to} --shard {index}/2 --out {{{index}}}");
        let mut command = place.command("missing", &arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    // They say how far they are, every few seconds.
    for mut child in [one, other] {
        let mut told = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
        told.find(|line| line.as_ref().is_ok_and(|line| line.contains(" in flight "))).unwrap().unwrap();
        send(&child, Signal::Int);
        std::thread::spawn(move || told.for_each(drop));
        assert_eq!(ended(child, "a shard").status.code(), Some(130));
    }
    let output = output(&mut place.command("missing", "traffic merge {0} {1} --out {ledger}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("part 0/2: interrupted; part 1/2: interrupted"), "{said}");
    assert!(place.at("ledger").is_file());
}

/// As somebody whom the modes of files bind: root is, once it has given up what it may do beyond them.
#[cfg(target_os = "linux")]
fn bound_by_modes(command: &Command) -> Command {
    let mut bound = Command::new("setpriv");
    if rustix::process::geteuid().is_root() {
        bound.args(["--bounding-set", "-all", "--inh-caps", "-all"]);
    }
    bound.arg("--").arg(command.get_program()).args(command.get_args());
    bound.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    bound.current_dir(command.get_current_dir().unwrap()).stdin(Stdio::null());
    bound
}

/// Nobody forged what may not be looked at.
#[cfg(target_os = "linux")]
#[test]
fn a_bundle_that_may_not_be_read_is_not_called_untrustworthy() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let close = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let signers = place.at("signers");
    std::fs::write(&signers, "").unwrap();
    std::fs::write(place.at("bundle/SHA256SUMS.sig"), "no signature").unwrap();
    for (closed, arguments) in [
        ("bundle/report.md", "verify {bundle}"),
        ("bundle/SHA256SUMS", "verify {bundle}"),
        ("bundle/experiments", "verify {bundle}"),
        ("bundle", "verify {bundle}"),
        ("bundle/SHA256SUMS.sig", "verify {bundle} --signers {signers}"),
        ("bundle/tree", "sign {bundle} --key {nowhere}"),
    ] {
        let closed = place.at(closed);
        let was = closed.metadata().unwrap().permissions().mode();
        close(&closed, 0);
        let output = output(&mut bound_by_modes(&place.command("missing", arguments)));
        close(&closed, was);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments}, {}: {said}", closed.display());
        assert!(said.contains(&format!("cannot read {}", closed.display())), "{said}");
        assert_eq!(said.lines().last(), Some("  → let this user read and write it, or ask as one who may"), "{said}");
    }
}

/// Whether a signal is in one of the masks of a process: `SigCgt`, `SigIgn`.
#[cfg(target_os = "linux")]
fn is_in(mask: &str, child: &Child, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix(mask)?.strip_prefix(':'));
    mask.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << (signal as u32 - 1)) != 0)
}

#[cfg(target_os = "linux")]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "it never came true that {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(target_os = "linux")]
fn send(child: &Child, signal: Signal) {
    rustix::process::kill_process(Pid::from_child(child), signal).unwrap();
}

/// With these signals as a terminal's shell has them, or ignored, whatever they are for this test.
#[cfg(target_os = "linux")]
fn started(command: &Command, signals: &str) -> Child {
    let mut env = Command::new("env");
    env.arg(format!("--{signals}-signal=INT,HUP"))
        .arg("--default-signal=TERM")
        .arg(command.get_program())
        .args(command.get_args());
    env.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(command.get_current_dir().unwrap());
    let child = env.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("it listens to SIGTERM", || is_in("SigCgt", &child, Signal::Term));
    child
}

/// A tree with more rules than are checked in a moment.
#[cfg(target_os = "linux")]
fn long_work(place: &Place) -> Command {
    use std::fmt::Write as _;
    let mut rules = "groups:\n".to_owned();
    for group in 0..20_000 {
        writeln!(rules, "- {{name: g{group}, rules: [{{record: \"a:b:c{group}\", expr: vector(1)}}]}}").unwrap();
    }
    std::fs::write(place.at("clone/monitoring/prometheus/rules/many.yml"), rules).unwrap();
    let mut check = place.command("missing", "check");
    check.env("AICLIPX_HOME", place.at("clone"));
    check
}

/// From its first moment a start is one: what is asked meanwhile is not told that no stack runs.
#[cfg(target_os = "linux")]
#[test]
fn a_start_that_still_reads_its_files_is_under_way() {
    let place = Place::new();
    let check = long_work(&place);
    // So that it ends where it has read them.
    std::fs::write(place.at("clone/monitoring/prometheus/rules/wrong.yml"), "groups: 1\n").unwrap();
    let mut up = place.command("new", "up --free-ports");
    up.envs(
        check.get_envs().filter_map(|(name, value)| Some((name, value?))).filter(|(name, _)| *name != "AICLIPX_STATE"),
    );
    let mut up = up.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lock = place.at("new/lock");
    let is_held = || File::open(&lock).is_ok_and(|lock| lock.try_lock_shared().is_err());
    let mut has_ended = false;
    eventually("the start was under way", || {
        has_ended = up.try_wait().unwrap().is_some();
        has_ended || is_held()
    });
    assert!(!has_ended, "it read its files before it took its turn");
    // However fast it reads: it goes on when all were asked.
    send(&up, Signal::Stop);
    for verb in ["down", "status", "up", "clean", "logs"] {
        let output = output(&mut place.command("new", verb));
        assert_eq!((output.status.code(), last_line(&output).as_str()), (Some(2), &*format!("  → {BUSY}")), "{verb}");
    }
    send(&up, Signal::Term);
    send(&up, Signal::Cont);
    assert_eq!(ended(up, "up").status.code(), Some(130));
    let output = output(&mut place.command("new", "down"));
    assert_eq!((output.status.code(), last_line(&output).starts_with("No stack runs")), (Some(0), true));
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_what_has_nothing_to_stop_at_once() {
    let place = Place::new();
    let check = long_work(&place);
    for signal in [Signal::Int, Signal::Term, Signal::Hup] {
        let child = started(&check, "default");
        send(&child, signal);
        let output = ended(child, &format!("{signal:?}"));
        assert_eq!(
            (output.status.code(), last_line(&output).as_str()),
            (Some(130), "aiclipx: interrupted"),
            "{signal:?}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let place = Place::new();
    let check = long_work(&place);
    let child = started(&check, "ignore");
    for signal in [Signal::Hup, Signal::Int] {
        assert!(is_in("SigIgn", &child, signal) && !is_in("SigCgt", &child, signal), "{signal:?}");
        send(&child, signal);
    }
    // One that were heard would have ended it by the time this one comes.
    send(&child, Signal::Term);
    let output = ended(child, "TERM");
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "aiclipx: interrupted\n");
}

/// What serves until it is told to stop is no exception, nor is one whose folder holds what can't be read.
#[cfg(target_os = "linux")]
#[test]
fn a_viewer_whose_folder_holds_a_pipe_answers_and_ends() {
    use std::io::{Read, Write};
    let place = Place::new();
    std::fs::create_dir_all(place.at("grafana/dashboards")).unwrap();
    assert!(Command::new("mkfifo").arg(place.at("grafana/dashboards/pipe.json")).status().unwrap().success());
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let child =
        started(&place.command("missing", &format!("dashboard --folder {{grafana}} --listen {free}")), "default");
    for path in ["/", "/", "/api/health"] {
        eventually("it listens", || std::net::TcpStream::connect(free).is_ok());
        let mut stream = std::net::TcpStream::connect(free).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {free}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(path != "/" || answer.contains("it is not a regular file"), "{answer}");
    }
    send(&child, Signal::Term);
    assert_eq!(ended(child, "TERM").status.code(), Some(130));
}

#[test]
fn what_is_found_is_told_with_its_name_and_to_editors_as_an_object_a_line() {
    let place = Place::new();
    let clone = place.at("clone");
    std::fs::remove_dir_all(clone.join("scripts")).unwrap();
    copy_folder(&repository().join("scripts/traffic"), &clone.join("scripts/traffic")).unwrap();
    let check = |arguments: &str| {
        let output = output(place.command("empty", arguments).env("AICLIPX_HOME", &clone));
        let [printed, said] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        let json = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let found = if arguments.contains("--json") { printed.lines().map(json).collect() } else { Vec::new() };
        (output.status.code(), printed, said, found)
    };
    let edit = |path: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(clone.join(path)).unwrap();
        assert!(text.contains(from), "{path} has no {from}");
        std::fs::write(clone.join(path), text.replacen(from, to, 1)).unwrap();
    };
    let overview = "monitoring/grafana/dashboards/app-overview.json";
    edit(overview, "\"unit\": \"reqps\"", "\"unit\": \"bytes\"");
    let (code, printed, said, _) = check("check");
    let first = printed.lines().next().unwrap_or_default();
    assert!(code == Some(1) && said == "1 finding\n", "{code:?} {said} {printed}");
    assert!(first.starts_with(&format!("{overview}:")) && first.ends_with(" (panel/unit)"), "{printed}");
    let (code, _, said, found) = check("check --json");
    let [finding] = &found[..] else { panic!("{found:#?}") };
    assert!(code == Some(1) && said == "1 finding\n", "{code:?} {said}");
    assert_eq!([&finding["file"], &finding["name"], &finding["subject"]], [overview, "panel/unit", "app-overview/1"]);
    assert!(finding["line"].as_u64().is_some_and(|line| line > 1), "{finding}");
    assert!(finding["what"].as_str().is_some_and(|what| what.contains("shows `bytes`")), "{finding}");
    assert!(finding["remedy"].is_string(), "{finding}");
    // What can't be read stops the check, with the code of bad input, and is told in the same form.
    edit("monitoring/prometheus/prometheus.yml", "scrape_interval: 15s", "scrape_interval: soon");
    let (code, printed, said, _) = check("check");
    assert!(code == Some(2) && printed.is_empty() && said.contains(" (monitoring/file)"), "{code:?} {printed} {said}");
    let (code, _, _, found) = check("check --json");
    assert_eq!(code, Some(2));
    assert!(!found.is_empty() && found.iter().all(|finding| finding["name"] == "monitoring/file"), "{found:#?}");
    edit("monitoring/prometheus/prometheus.yml", "scrape_interval: soon", "scrape_interval: 15s");
    // So it is with what can't be read at all.
    for (name, path, code) in [
        ("compose/file", "compose.yaml", 1),
        ("runbook/recipe", "justfile", 1),
        ("scenario/file", "scripts/traffic/90-pipe.toml", 2),
    ] {
        assert!(Command::new("mkfifo").arg(clone.join(path)).status().unwrap().success());
        let (is, _, said, found) = check("check --json");
        let about: Vec<_> = found.iter().filter(|finding| finding["name"] == name).collect();
        let [finding] = &about[..] else { panic!("{path}: {found:#?} {said}") };
        assert_eq!((is, &finding["file"]), (Some(code), &path.into()), "{said}");
        assert!(finding["what"].as_str().is_some_and(|what| what.contains("it is not a regular file")), "{finding}");
        let (is, printed, said, _) = check("check");
        assert!(is == Some(code) && (printed + &said).contains(&format!("({name})")), "{said}");
        std::fs::remove_file(clone.join(path)).unwrap();
    }
}

/// Who shows the report must not show an earlier one, nor a green one of a command that failed.
#[test]
fn a_report_is_green_where_the_exit_code_is_0_and_no_earlier_one_is_left() {
    let place = Place::new();
    let report = place.at("report.xml");
    for (arguments, code) in [
        ("verify {bundle}", 0),
        ("verify {bundle} --require no-such", 2),
        ("verify {tampered}", 4),
        ("prove --only no-such", 2),
        ("prove --only no-such --events {empty}", 2),
    ] {
        std::fs::write(&report, "<testsuites/>").unwrap();
        let output = output(&mut place.command("missing", &format!("{arguments} --junit {{report.xml}}")));
        assert_eq!(output.status.code(), Some(code), "{arguments}");
        let text = std::fs::read_to_string(&report).unwrap();
        let is_red = text.contains("<error") || text.contains("<failure");
        assert_eq!(is_red, code != 0, "{arguments}: {text}");
        assert!(text.contains("<testcase"), "{arguments}: {text}");
    }
    let events = place.at("events");
    std::fs::write(&events, "precious").unwrap();
    output(&mut place.command("missing", "prove --only no-such --events {events}"));
    assert_eq!(std::fs::read_to_string(&events).unwrap(), "precious", "nothing was told, and nothing is emptied");
}

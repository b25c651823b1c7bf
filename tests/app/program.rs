//! The program itself: logs, signals, exit codes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::exposition::{Exposition, whole};
use crate::harness::{Client, JSON, request, soon};

const PROGRAM: &str = env!("CARGO_BIN_EXE_aiclipx-app");

/// The running program.
pub(crate) struct Program {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
    /// Where the monitoring asks.
    admin: SocketAddr,
}

impl Program {
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Program {
        Program::of(Command::new(PROGRAM), settings).await
    }

    async fn of(mut command: Command, settings: &[(&str, &str)]) -> Program {
        command.env_clear().env("PORT", "0").env("APP_ADMIN_LISTEN", "127.0.0.1:0").envs(settings.iter().copied());
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        soon(stdout.read_line(&mut first)).await.unwrap();
        let first: Value = serde_json::from_str(&first).unwrap();
        let [address, admin] = ["address", "admin"].map(|key| first[key].as_str().unwrap().parse().unwrap());
        Program { child, stdout, address, admin }
    }

    pub(crate) async fn ask(&self, method: &str, target: &str, headers: &[&str], body: &str) -> crate::harness::Answer {
        Client::connect(self.address).await.ask(method, target, headers, body).await
    }

    /// What it takes of the machine's memory, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let kib =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap() << 10
    }

    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let kill = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]).status();
        assert!(soon(kill).await.unwrap().success());
    }

    /// Every line it still writes, each of which must be one JSON object, and its exit code.
    pub(crate) async fn end(mut self) -> (Vec<Value>, Option<i32>) {
        let mut text = String::new();
        soon(self.stdout.read_to_string(&mut text)).await.unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().all(Value::is_object));
        (lines, soon(self.child.wait()).await.unwrap().code())
    }
}

fn access(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| line["target"] == "aiclipx::access").collect()
}

pub(crate) async fn run(arguments: &[&str], settings: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_clear().envs(settings.iter().copied()).kill_on_drop(true);
    let output = soon(command.output()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn every_line_is_json_with_its_fields_and_no_line_holds_a_secret() {
    let program = Program::start(&[("APP_FAULTS", "on")]).await;
    let secrets = ["authorization: Bearer s3cr3t", "cookie: s3cr3t", "user-agent: s3cr3t"];
    program.ask("POST", "/items?token=s3cr3t", &[JSON, secrets[0]], r#"{"name":"s3cr3t"}"#).await;
    program.ask("POST", "/items", &[JSON, secrets[1]], r#"{"s3cr3t":"#).await;
    program.ask("GET", "/s3cr3t%0a{%22level%22:%22ERROR%22}", &[secrets[2], "x-request-id: s3cr3t\""], "").await;
    program.ask("GET", "/items", &["x-fault: panic", "x-request-id: run-7"], "").await;
    program.signal("TERM").await;
    let (lines, code) = program.end().await;

    assert_eq!(code, Some(0));
    assert!(lines.iter().all(|line| !line.to_string().contains("s3cr3t")), "{lines:#?}");
    for line in &lines {
        for key in ["ts", "level", "target", "msg"] {
            assert!(line[key].is_string(), "{line}");
        }
        let ts = line["ts"].as_str().unwrap();
        assert!(ts.len() == 24 && ts.ends_with('Z'), "{ts}");
    }
    let statuses: Vec<_> =
        access(&lines).iter().map(|line| (line["endpoint"].clone(), line["status"].clone())).collect();
    let expected = [("/items", 201), ("/items", 400), ("unmatched", 404), ("/items", 500)];
    assert_eq!(statuses, expected.map(|(endpoint, status)| (endpoint.into(), status.into())));
    let last = access(&lines)[3];
    assert_eq!((&last["method"], &last["request_id"]), (&"GET".into(), &"run-7".into()));
    assert!(last["seconds"].as_f64().is_some_and(|seconds| seconds >= 0.0) && last["bytes"].is_u64());
    let panic = lines.iter().find(|line| line["target"] == "aiclipx::panic").expect("the panic is logged");
    assert!(panic["place"].as_str().unwrap().contains("fault.rs"));
    assert_eq!(panic["request_id"], "run-7", "a panic leads to its request");
}

#[tokio::test]
async fn told_to_stop_it_drains_logs_the_totals_its_clients_saw_and_ends_with_0() {
    let program = Program::start(&[("APP_DRAIN_DELAY", "300ms"), ("APP_FAULTS", "on")]).await;
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut late = Client::connect(program.address).await;
    for (method, target, fault) in
        [("GET", "/items", "x-fault: error"), ("GET", "/items", "a: b"), ("GET", "/", "a: b"), ("HEAD", "/", "a: b")]
    {
        let status = program.ask(method, target, &[fault], "").await.status;
        *seen.entry(format!("{method} {target} {status}")).or_default() += 1;
    }
    late.write(&request("GET", "/items", &["x-fault: delay=600ms"], "")).await;
    while whole(scrape(&program, &mut seen).await.value("app_requests_in_flight", &[])) < 2 {}
    program.signal("TERM").await;
    assert_eq!(late.answer("GET").await.status, 200);
    *seen.get_mut("GET /items 200").unwrap() += 1;
    let (lines, code) = program.end().await;

    assert_eq!(code, Some(0));
    let totals: BTreeMap<String, u64> = lines
        .iter()
        .filter(|line| line["msg"] == "Final total.")
        .map(|line| {
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            (format!("{} {} {}", text("method"), text("endpoint"), line["status"]), line["requests"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(totals, seen);
    let stopped = lines.last().unwrap();
    assert_eq!((&stopped["msg"], &stopped["errors"]), (&"Stopped.".into(), &1.into()));
    assert_eq!(stopped["requests"].as_u64(), Some(seen.values().sum()));
    assert_eq!(access(&lines).len() as u64, seen.values().sum::<u64>());
}

/// The metrics over the wire, counted in `seen` like everything else.
async fn scrape(program: &Program, seen: &mut BTreeMap<String, u64>) -> Exposition {
    let answer = program.ask("GET", "/metrics", &[], "").await;
    *seen.entry("GET /metrics 200".to_owned()).or_default() += 1;
    Exposition::parse(&answer.body).unwrap()
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_with_130() {
    let program = Program::start(&[("APP_DRAIN_DELAY", "1h")]).await;
    program.signal("TERM").await;
    // The handler of the second signal stands once readiness has dropped.
    while program.ask("GET", "/health/ready", &[], "").await.status == 200 {}
    program.signal("INT").await;
    let (lines, code) = program.end().await;
    assert_eq!(code, Some(130));
    assert_eq!(lines.last().unwrap()["level"], "WARN");
}

#[tokio::test]
async fn nobody_reading_stdout_stalls_no_request_and_every_lost_line_is_counted() {
    const REQUESTS: usize = 8_000;
    let program = Program::start(&[]).await;
    let mut client = Client::connect(program.address).await;
    for _ in 0..REQUESTS {
        assert_eq!(client.ask("GET", "/", &[], "").await.status, 200);
    }
    let pid = program.child.id().unwrap().to_string();
    let reading = tokio::spawn(program.end());
    // Once somebody reads again the queue empties, and what is logged from then on is not lost.
    // Each look is logged, too: when two agree, the line of the first was not lost.
    let looking = async {
        let mut before = None;
        loop {
            let scraped = client.ask("GET", "/metrics", &[], "").await;
            let lost = whole(Exposition::parse(&scraped.body).unwrap().value("app_log_records_dropped_total", &[]));
            if before.replace(lost) == Some(lost) {
                return lost;
            }
        }
    };
    let dropped = soon(looking).await;
    assert!(dropped > 0, "the queue never filled");
    drop(client);
    let kill = Command::new("sh").args(["-c", "kill -s TERM \"$0\"", &pid]).status();
    assert!(soon(kill).await.unwrap().success());
    let (lines, code) = soon(reading).await.unwrap();
    assert_eq!(code, Some(0));
    let requests = lines.last().unwrap()["requests"].as_u64().unwrap();
    assert_eq!(access(&lines).len() as u64 + dropped, requests);
}

/// With `limits` of the shell's set first.
async fn limited(limits: &str, settings: &[(&str, &str)]) -> Program {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limits}; exec \"$0\""), PROGRAM]);
    Program::of(command, &[settings, &[("PATH", "/usr/bin:/bin")]].concat()).await
}

/// What the monitoring asks.
async fn monitored(program: &Program) -> Exposition {
    let asked =
        async |target| soon(async { Client::connect(program.admin).await.ask("GET", target, &[], "").await }).await;
    assert_eq!(asked("/health/ready").await.status, 200);
    Exposition::parse(&asked("/metrics").await.body).unwrap()
}

fn warnings(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| line["level"] == "WARN").collect()
}

#[tokio::test]
async fn with_more_clients_than_descriptors_the_monitoring_is_answered_and_the_cap_is_told_once() {
    const LIMIT: u64 = 80;
    let program = limited(&format!("ulimit -n {LIMIT}"), &[("APP_HEADER_TIMEOUT", "1h")]).await;
    let clients = |scraped: &Exposition, name: &str| whole(scraped.value(name, &[("listener", "clients")]));
    let served = clients(&monitored(&program).await, "app_connections_max");
    // So many as may come in are answered and hold their connections; the others wait.
    let mut held = Vec::new();
    for _ in 0..served {
        let mut client = Client::connect(program.address).await;
        assert_eq!(client.ask("GET", "/", &[], "").await.status, 200);
        held.push(client);
    }
    assert!(served >= LIMIT / 4, "{served} of {LIMIT}: the reserve is most of it");
    for _ in 0..2 * LIMIT {
        held.push(Client::connect(program.address).await);
    }
    let scraped = monitored(&program).await;
    assert_eq!(clients(&scraped, "app_connections_open"), served);
    for name in ["process_open_fds", "process_resident_memory_bytes", "process_start_time_seconds"] {
        assert!(scraped.value(name, &[]) > 0.0, "{name}: its own use is read in files, for which there must be room");
    }
    // As many scrapers as have room, at once.
    let mut many = Vec::new();
    for _ in 0..16 {
        let mut one = Client::connect(program.admin).await;
        one.write(&request("GET", "/metrics", &["connection: close"], "")).await;
        many.push(one);
    }
    for one in &mut many {
        let answer = Exposition::parse(&one.answer("GET").await.body).unwrap();
        assert!(answer.value("process_open_fds", &[]) > 0.0);
    }
    drop(held);
    assert_eq!(program.ask("GET", "/", &[], "").await.status, 200);
    program.signal("TERM").await;
    let (lines, code) = program.end().await;
    assert_eq!(code, Some(0));
    let [warning] = warnings(&lines)[..] else { panic!("{:#?}", warnings(&lines)) };
    assert_eq!((warning["connections"].as_u64(), warning["wanted"].as_u64()), (Some(served), Some(1024)));
    assert_eq!(warning["descriptors"].as_u64(), Some(LIMIT));
}

#[tokio::test]
async fn the_soft_limit_is_raised_to_the_hard_one_and_then_nothing_is_told() {
    let program = limited("ulimit -Sn 64", &[]).await;
    let scraped = monitored(&program).await;
    assert!(scraped.value("process_max_fds", &[]) > 1024.0);
    program.signal("TERM").await;
    let (lines, _) = program.end().await;
    assert!(warnings(&lines).is_empty(), "{lines:#?}");
}

#[tokio::test]
async fn with_hardly_any_descriptors_it_serves_one_client_at_a_time_or_says_what_it_needs() {
    let program = limited("ulimit -n 24", &[]).await;
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(Client::connect(program.address).await);
    }
    monitored(&program).await;
    drop(held);
    assert_eq!(program.ask("GET", "/", &[], "").await.status, 200);
    program.signal("TERM").await;
    assert_eq!(program.end().await.1, Some(0));
    for limit in [4, 10, 23] {
        let (code, out, error) = shell(&format!("ulimit -n {limit}; exec \"$0\"")).await;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{limit}: {error}");
        assert!(error.contains("24") && error.contains("ulimit") && !error.contains("panic"), "{error}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn out_of_file_descriptors_it_waits_and_goes_on() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    // Fewer than it has counted on: taken from it while it runs.
    let mut program = Program::start(&[]).await;
    let few = Rlimit { current: Some(20), maximum: Some(20) };
    prlimit(Pid::from_raw(program.child.id().unwrap().cast_signed()), Resource::Nofile, few).unwrap();
    let mut many = Vec::new();
    for _ in 0..60 {
        many.push(Client::connect(program.address).await);
    }
    // Its line of that is there before they leave.
    let mut line = String::new();
    while !line.contains("\"WARN\"") {
        line.clear();
        assert!(soon(program.stdout.read_line(&mut line)).await.unwrap() > 0, "it ended");
    }
    drop(many);
    assert_eq!(program.ask("GET", "/", &[], "").await.status, 200);
    program.signal("TERM").await;
    let (lines, code) = program.end().await;
    assert_eq!(code, Some(0));
    let warnings = 1 + warnings(&lines).len();
    // Every connection that ends makes room for one that meets the same trouble; the trouble is one.
    assert!((1..=2).contains(&warnings), "it must be told, and not in a loop: {warnings}");
}

#[tokio::test]
async fn bad_settings_are_all_told_and_end_with_2() {
    let (code, out, error) = run(&[], &[("APP_FAULTS", "yes"), ("APP_DRAIN_DELAY", "soon"), ("PORT", "http")]).await;
    assert_eq!((code, out.as_str()), (Some(2), ""));
    for name in ["APP_FAULTS", "APP_DRAIN_DELAY", "PORT"] {
        assert!(error.contains(name), "{error}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_and_ends_with_2() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    let (taken, port) = (address.to_string(), address.port().to_string());
    for (name, settings) in [
        ("PORT or APP_LISTEN", [("PORT", port.as_str()), ("APP_ADMIN_LISTEN", "127.0.0.1:0")]),
        ("APP_ADMIN_LISTEN", [("PORT", "0"), ("APP_ADMIN_LISTEN", taken.as_str())]),
    ] {
        let (code, _, error) = run(&[], &settings).await;
        assert_eq!(code, Some(2));
        assert!(error.contains(&taken) && error.contains(&format!("with {name}.")), "{error}");
    }
}

#[tokio::test]
async fn the_health_check_says_0_when_ready_and_1_when_not() {
    // One slot, held: it is the monitoring's listener that is asked, at which nobody queues behind clients.
    let program = Program::start(&[("APP_ADMIN_LISTEN", "0.0.0.0:0"), ("APP_MAX_CONNECTIONS", "1")]).await;
    let held = Client::connect(program.address).await;
    let wildcard = format!("0.0.0.0:{}", program.admin.port());
    let settings = [("APP_ADMIN_LISTEN", wildcard.as_str())];
    assert_eq!(run(&["healthcheck"], &settings).await.0, Some(0));
    program.signal("TERM").await;
    drop(held);
    program.end().await;
    let (code, _, error) = run(&["healthcheck"], &settings).await;
    assert_eq!(code, Some(1));
    assert!(error.contains(wildcard.trim_start_matches("0.0.0.0")), "{error}");
}

#[tokio::test]
async fn help_and_version_are_told_and_other_arguments_refused() {
    let (code, help, _) = run(&["--help"], &[]).await;
    assert!(code == Some(0) && help.contains("APP_MAX_CONNECTIONS") && help.contains("healthcheck"));
    let besides = if cfg!(feature = "postgres") { " (with postgres)" } else { "" };
    let version = format!("aiclipx-app {}{besides}", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["--version"], &[]).await.1.trim(), version);
    assert_eq!(run(&["serve"], &[]).await.0, Some(2));
}

/// The program under a shell's redirections: its exit code, and what it said.
async fn shell(script: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new("sh");
    command.args(["-c", script, PROGRAM]).env_clear().env("PATH", "/usr/bin:/bin").kill_on_drop(true);
    command.envs([("PORT", "0"), ("APP_ADMIN_LISTEN", "127.0.0.1:0")]);
    let output = soon(command.output()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn where_it_can_not_write_the_exit_code_speaks_and_nothing_panics() {
    for (script, code, says) in [
        (r#""$0" --help >/dev/full"#, 1, "cannot write to stdout"),
        (r#""$0" --version >/dev/full"#, 1, "cannot write to stdout"),
        (r#""$0" --help >/dev/full 2>/dev/full"#, 1, ""),
        (r#""$0" --help >&- 2>&-"#, 0, ""),
        (r#"{ "$0" --help; echo $? >&2; } | true"#, 0, "0\n"),
        (r#""$0" -x 2>/dev/full"#, 2, ""),
        (r#""$0" -x 2>&-"#, 2, ""),
        (r#"PORT=x "$0" 2>/dev/full"#, 2, ""),
        (r#"APP_ADMIN_LISTEN=192.0.2.1:1 "$0" 2>/dev/full"#, 2, ""),
        (r#"APP_ADMIN_LISTEN=127.0.0.1:1 "$0" healthcheck 2>/dev/full"#, 1, ""),
        (r#"APP_ADMIN_LISTEN=127.0.0.1:1 "$0" healthcheck 2>&-"#, 1, ""),
    ] {
        let (ended, _, error) = shell(script).await;
        assert_eq!(ended, Some(code), "{script}: {error}");
        assert!(if says.is_empty() { error.is_empty() } else { error.contains(says) }, "{script}: {error}");
    }
}

#[tokio::test]
async fn of_a_bad_setting_nothing_reaches_the_terminal_raw() {
    let raw = "\u{1b}]0;pwned\u{7}\r\n\u{202e}\u{9b}2J";
    for name in ["PORT", "APP_ADMIN_LISTEN", "APP_LOG"] {
        let (code, out, error) = run(&[], &[(name, raw)]).await;
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(error.contains(name) && error.contains(r"\u{1b}]0;pwned\u{7}\r\n\u{202e}\u{9b}2J"), "{error}");
        assert!(!error.contains(|c: char| c != '\n' && c.is_control() || c == '\u{202e}'), "{error:?}");
    }
    // Bytes that are no text at all.
    let (code, _, error) = shell(r#"APP_LOG=$(printf '\377\033[2J') exec "$0""#).await;
    assert!(code == Some(2) && error.contains("APP_LOG") && !error.contains('\u{1b}'), "{error:?}");
}

#[tokio::test]
async fn variables_that_look_like_settings_and_are_none_are_named_in_one_warning() {
    // As Kubernetes sets for every pod beside a service that is called `app`.
    let program = Program::start(&[
        ("APP_PORT", "tcp://10.0.0.1:80"),
        ("APP_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("APP_SERVICE_HOST", "10.0.0.1"),
        ("APP_MAXITEMS", "3"),
        ("APP_\u{1b}\u{202e}", "1"),
        ("APP_MAX_ITEMS", "3"),
        ("HOME", "/root"),
    ])
    .await;
    program.signal("TERM").await;
    let (lines, code) = program.end().await;
    assert_eq!(code, Some(0));
    let [warning] = warnings(&lines)[..] else { panic!("{:#?}", warnings(&lines)) };
    let names = r"APP_MAXITEMS, APP_PORT, APP_PORT_80_TCP_ADDR, APP_SERVICE_HOST, APP_\u{1b}\u{202e}";
    assert_eq!(warning["names"], names);
}

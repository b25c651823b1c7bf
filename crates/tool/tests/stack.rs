//! Real stacks: Prometheus, Alertmanager, the receiver and the service under supervisord, started, hurt and stopped.
//!
//! Needs the stack's programs on PATH (`prometheus`, `alertmanager`, `supervisord`); without them these tests fail,
//! saying which is missing. The service is the one built with this package, or the one `AICLIPX_APP` names. Every
//! stack lies in a folder whose path holds what usually breaks: a space, quotes, `%`, `#` and `;`.

#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, but does not see that these helpers are such")]

#[path = "../../stack/tests/executable/mod.rs"]
mod executable;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use aiclipx_base::address::Address;
use aiclipx_base::duration::Speed;
use aiclipx_http::client;
use aiclipx_model::failure::{Failure, Kind};
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_stack::stop::{Down, down};
use aiclipx_stack::table::{Health, Paint, Row, Silent, State, Watch};
use aiclipx_stack::{Component, Found, Lifetime, Plan, Process, Stack, logs};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::Command;

/// Longer than anything takes; reaching it is a failure, not a measurement.
const LIMIT: Duration = Duration::from_mins(1);

/// A folder of its own for one stack.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place { folder: tempfile::Builder::new().prefix("a \"b\" 'c' 50% #d ;e ").tempdir().unwrap() }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn plan(&self, lifetime: Lifetime) -> Plan {
        let mut plan = Plan::private(self.folder.path(), &self.state(), Speed::PRODUCTION).unwrap();
        plan.lifetime = lifetime;
        // Of what may be on PATH, `rendered` configures no forwarding of logs, and no probe.
        let unconfigured = [Component::Probe, Component::Vector, Component::Loki];
        plan.components.retain(|component| !unconfigured.contains(component));
        plan.tool_program = env!("CARGO_BIN_EXE_aiclipx").into();
        plan.app_program = std::env::var_os("AICLIPX_APP")
            .map_or_else(|| Path::new(env!("CARGO_BIN_EXE_aiclipx")).with_file_name("aiclipx-app"), PathBuf::from);
        plan
    }
}

/// The smallest configuration in which every component does its work.
fn rendered(addresses: &Addresses) -> BTreeMap<PathBuf, Vec<u8>> {
    let Addresses { app_admin, alertmanager, receiver, .. } = addresses;
    let prometheus = format!(
        "global: {{scrape_interval: 500ms, evaluation_interval: 500ms}}\n\
         rule_files: [rules/*.yml]\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager}']}}]}}]}}\n\
         scrape_configs:\n\
         - {{job_name: app, static_configs: [{{targets: ['{}']}}]}}\n\
         - {{job_name: receiver, static_configs: [{{targets: ['{receiver}']}}]}}\n",
        app_admin[0]
    );
    let rules = "groups: [{name: g, rules: [{alert: Watchdog, expr: vector(1), labels: {service: monitoring}}]}]\n";
    let alertmanager = format!(
        "route: {{receiver: r, group_wait: 100ms, group_interval: 1s}}\n\
         receivers: [{{name: r, webhook_configs: [{{url: 'http://{receiver}/alerts'}}]}}]\n"
    );
    BTreeMap::from([
        ("prometheus/prometheus.yml".into(), prometheus.into_bytes()),
        ("prometheus/rules/watchdog.yml".into(), rules.as_bytes().to_vec()),
        ("alertmanager/alertmanager.yml".into(), alertmanager.into_bytes()),
        // Where no Grafana is, the viewer reads its folder.
        ("grafana/provisioning/datasources/none.yml".into(), b"datasources: []\n".to_vec()),
    ])
}

async fn start(plan: &Plan) -> Result<Stack, Failure> {
    let rendered = rendered(&plan.addresses);
    Stack::start(plan.clone(), rendered, Vec::new(), &mut Silent, std::future::pending()).await
}

async fn started(plan: &Plan) -> Stack {
    start(plan).await.unwrap_or_else(|failure| panic!("{failure}"))
}

fn is_free(address: &Address) -> bool {
    TcpListener::bind((address.host.as_str(), address.port)).is_ok()
}

/// The ports of the plan that somebody holds.
fn held(plan: &Plan) -> Vec<String> {
    let processes = plan.processes();
    let listeners = processes.iter().flat_map(Process::listeners);
    listeners.filter(|(.., address)| !is_free(address)).map(|(_, name, _)| name).collect()
}

/// Command lines of living processes that name this place or work in it, as everything supervisord starts does.
fn left_running(place: &Place) -> Vec<String> {
    let folder = place.folder.path();
    let of_a_process = |entry: std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let works_here = std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        (!line.is_empty() && (works_here || line.contains(&*folder.to_string_lossy()))).then_some(line)
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(of_a_process).collect()
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds().await {
        assert!(Instant::now() < deadline, "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A program that stands where another should.
fn program(place: &Place, script: &str) -> PathBuf {
    let file = place.folder.path().join("program");
    executable::script(&file, script);
    file
}

fn send(pid: u32, signal: Signal) {
    kill_process(of(pid), signal).unwrap();
}

fn of(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().unwrap()).unwrap()
}

fn supervisord(plan: &Plan) -> u32 {
    std::fs::read_to_string(plan.state.join("supervisord.pid")).unwrap().trim().parse().unwrap()
}

/// Runs a command of the tool on the stack of this place to its end.
async fn tool(place: &Place, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aiclipx"));
    command
        .args(arguments)
        .arg("--state")
        .arg(place.state())
        .env("AICLIPX_HOME", concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    ended(&mut command).await
}

/// To its end, with all that it says.
async fn ended(command: &mut Command) -> std::process::Output {
    tokio::time::timeout(LIMIT, command.kill_on_drop(true).output()).await.expect("it ends").unwrap()
}

/// `aiclipx up` on the plan's ports; what else is on PATH, Vector and Loki, gets free ones, for tests run side by side.
fn up(plan: &Plan) -> Command {
    // By its path: some tests give the start another PATH.
    let path = std::env::var_os("PATH").unwrap();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join("env"));
    let mut up = Command::new(places.find(|env| env.is_file()).unwrap());
    // Whoever runs these tests in the background ignores Ctrl-C, and so would all that they start.
    up.args(["--default-signal=INT", env!("CARGO_BIN_EXE_aiclipx"), "up", "--free-ports", "--state"]).arg(&plan.state);
    for (listener, _, address) in plan.processes().iter().flat_map(Process::listeners) {
        up.arg("--port").arg(format!("{listener}={}", address.port));
    }
    up.env("AICLIPX_HOME", concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).stderr(Stdio::piped());
    up
}

/// Remembers the table as it ended.
#[derive(Default)]
struct Remember(Vec<Row>);

impl Watch for Remember {
    fn show(&mut self, _rows: &[Row]) {}

    fn finish(&mut self, rows: &[Row]) {
        self.0 = rows.to_vec();
    }
}

#[test]
fn promtool_finds_nothing_to_say_about_the_services_exposition() {
    let meter = aiclipx_app::metrics::Metrics::new("1.2.3", "abc").unwrap();
    let mut promtool = std::process::Command::new("promtool");
    let mut promtool =
        promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("promtool");
    Write::write_all(&mut promtool.stdin.take().unwrap(), meter.encode().as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[tokio::test]
async fn a_private_stack_works_and_leaves_nothing() {
    let place = Place::new();
    let plan = place.plan(Lifetime::Private);
    let mut watch = Remember::default();
    // The first sending comes before Prometheus knows its Alertmanager; the next must not wait a minute.
    let flags = vec!["--rules.alert.resend-delay=1s".to_owned()];
    let stack =
        Stack::start(plan.clone(), rendered(&plan.addresses), flags, &mut watch, std::future::pending()).await.unwrap();

    let processes = stack.processes();
    for (row, process) in watch.0.iter().zip(&processes) {
        assert_eq!((row.state, &row.name), (State::Ready, &process.name));
    }
    for (component, tool) in stack.programs() {
        assert!(!tool.version.is_empty(), "{component} said no version");
    }
    // The rules are loaded, and the alert goes all the way.
    let notifications = plan.notifications();
    eventually("the Watchdog's notification arrived", async || {
        std::fs::read_to_string(&notifications).is_ok_and(|text| text.contains("\"alertname\":\"Watchdog\""))
    })
    .await;
    no_page_of_another_origin_is_answered(&plan);

    stack.stop().await.unwrap();
    assert_eq!((left_running(&place), held(&plan)), (vec![], vec![]));
    assert!(!plan.state.join("stack.json").exists());
}

/// Stands for a service that was built for it: what it would do with a database, its own tests show.
const WITH_POSTGRES: &str = r#"[ "$1" = --version ] && echo 'aiclipx-app 0 (with postgres)' && exit
printf '%s' "$APP_DATABASE_URL" >"$0.url"
exec env -u APP_DATABASE_URL "APP" "$@""#;

#[tokio::test]
async fn a_database_is_part_of_a_stack_that_asks_for_one_keeps_its_data_and_comes_back() {
    let place = Place::new();
    let mut plan = place.plan(Lifetime::Private);
    let app = plan.app_program.clone();
    plan.app_program = program(&place, &WITH_POSTGRES.replace("APP\"", &format!("{}\"", app.display())));
    plan.add_database();
    let stack = match start(&plan).await {
        Err(failure) if failure.to_string().contains("database: not on PATH") => {
            let _ = writeln!(std::io::stderr(), "skipped: {failure}");
            return;
        }
        started => started.unwrap_or_else(|failure| panic!("{failure}")),
    };
    // Nobody but the user reads the password, and no command line or environment has it.
    let secrets = plan.secrets();
    let password = std::fs::read_to_string(secrets.join("database_password")).unwrap();
    assert!(password.len() >= 32);
    for file in ["database_password", "database_passfile"] {
        assert_eq!(secrets.join(file).metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    let url = std::fs::read_to_string(place.folder.path().join("program.url")).unwrap();
    let at = format!("postgres://aiclipx@{}/aiclipx?sslmode=disable&passfile=", plan.database);
    assert!(url.starts_with(&at) && !url.contains(&password), "{url}");
    assert!(stack.secrets().unwrap().contains(&password), "evidence looks that it is nowhere");
    assert!(left_running(&place).iter().all(|line| !line.contains(&password)));

    let asked = |sql: &'static str| ask(&plan, &secrets, sql);
    assert_eq!(asked("CREATE TABLE kept AS SELECT 7 AS seven").await, "SELECT 1");
    stack.stop_one("database").await.unwrap();
    assert!(is_free(&plan.database), "it is away");
    stack.start_one("database").await.unwrap();
    assert_eq!(asked("SELECT seven FROM kept").await, "7");
    stack.stop().await.unwrap();
    assert_eq!((left_running(&place), held(&plan)), (vec![], vec![]));
    let again = started(&plan).await;
    assert_eq!(asked("SELECT seven FROM kept").await, "7", "its data stays");
    again.stop().await.unwrap();
}

/// What the database answers who has the file with the password.
async fn ask(plan: &Plan, secrets: &Path, sql: &str) -> String {
    let Address { host, port } = &*plan.database;
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--no-password", "--host", host, "--username", "aiclipx"]);
    psql.args(["--port", &port.to_string(), "--command", sql, "aiclipx"]);
    let output = ended(psql.env("PGPASSFILE", secrets.join("database_passfile"))).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A service that was not built for it is named before anything is started.
#[tokio::test]
async fn a_database_for_a_service_that_can_not_use_one_starts_nothing() {
    let place = Place::new();
    let mut plan = place.plan(Lifetime::Private);
    plan.app_program = program(&place, "echo 'aiclipx-app 0'");
    plan.add_database();
    let failure = start(&plan).await.expect_err("nothing is started");
    assert_eq!(failure.kind(), Kind::Usage);
    assert!(failure.to_string().contains("is built without PostgreSQL; `just up --database`"), "{failure}");
}

/// What everything that people's browsers find answers to a page of somebody else's.
fn no_page_of_another_origin_is_answered(plan: &Plan) {
    let addresses = &plan.addresses;
    let silence = r#"{"matchers":[{"name":"alertname","value":".+","isRegex":true}],"startsAt":"2026-01-01T00:00:00Z",
        "endsAt":"2099-01-01T00:00:00Z","createdBy":"a page","comment":"none"}"#;
    let alert = r#"{"status":"firing","alerts":[]}"#;
    for (address, method, path, body) in [
        (&addresses.prometheus, "GET", "/api/v1/query?query=up", ""),
        (&addresses.prometheus, "POST", "/api/v1/admin/tsdb/delete_series?match[]=up", ""),
        (&addresses.alertmanager, "GET", "/api/v2/status", ""),
        (&addresses.alertmanager, "OPTIONS", "/api/v2/silences", ""),
        (&addresses.alertmanager, "POST", "/api/v2/silences", silence),
        (&addresses.alertmanager, "POST", "/-/reload", ""),
        (&addresses.receiver, "GET", "/notifications", ""),
        (&addresses.receiver, "POST", "/alerts", alert),
        (&addresses.dashboards, "GET", "/", ""),
    ] {
        for headers in [
            format!("Host: {address}\r\nOrigin: http://evil.example\r\n"),
            format!("Host: {address}\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"),
            "Host: evil.example\r\n".to_owned(),
        ] {
            let head =
                format!("{method} {path} HTTP/1.1\r\n{headers}Content-Type: application/json\r\nConnection: close\r\n");
            let answer = said(address, &format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()));
            assert!(answer.starts_with("HTTP/1.1 403 "), "{method} {address}{path}, {headers}: {answer}");
            assert!(!answer.to_lowercase().contains("access-control-allow"), "{answer}");
        }
    }
    // Their own pages, and programs.
    let own = format!("Host: {0}\r\nOrigin: http://{0}\r\nSec-Fetch-Site: same-origin\r\n", addresses.alertmanager);
    for headers in [own, format!("Host: {}\r\n", addresses.alertmanager)] {
        let head = format!(
            "POST /api/v2/silences HTTP/1.1\r\n{headers}Content-Type: application/json\r\nConnection: close\r\n"
        );
        let silence = silence.replace(".+", "Nothing");
        let answer =
            said(&addresses.alertmanager, &format!("{head}Content-Length: {}\r\n\r\n{silence}", silence.len()));
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("silenceID"), "{answer}");
    }
}

/// What is answered to a request written by hand.
fn said(address: &Address, request: &str) -> String {
    let mut stream = TcpStream::connect((address.host.as_str(), address.port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn an_attached_stack_is_found_again_and_taken_down() {
    let place = Place::new();
    let plan = place.plan(Lifetime::Attached);
    drop(started(&plan).await);

    let stack = Stack::attach(&place.state()).await.unwrap();
    // What stands in for something absent comes by the start.
    let components = stack.plan().components.clone();
    assert_eq!(stack.plan(), &Plan { components, ..plan.clone() });
    let (rows, all_up) = stack.status().await.unwrap();
    assert!(all_up, "{rows:?}");
    // The service's second place is Prometheus', and people's who look at it.
    let [app, admin] = [&plan.addresses.app[0], &plan.addresses.app_admin[0]];
    assert!(rows[0].remark.contains(&app.url("")) && rows[0].remark.contains(&admin.url("")), "{rows:?}");
    for (address, path, status) in [(admin, "/metrics", 200), (admin, "/items", 404), (app, "/items", 200)] {
        assert_eq!(client::get(address, path, LIMIT).await.unwrap().status, status, "{address}{path}");
    }
    eventually("Prometheus scrapes it there", async || {
        let targets = client::get(&plan.addresses.prometheus, "/api/v1/targets?state=active", LIMIT).await.unwrap();
        let text = String::from_utf8(targets.body.to_vec()).unwrap();
        text.contains(&format!(r#""scrapeUrl":"{}""#, admin.url("/metrics"))) && text.contains(r#""health":"up""#)
    })
    .await;

    let failure = start(&plan).await.expect_err("a second start must be refused");
    assert_eq!(failure.kind(), Kind::Usage);
    assert!(failure.to_string().contains("already running"), "{failure}");

    assert!(matches!(down(&place.state()).await.unwrap(), Down::Stopped));
    assert_eq!((left_running(&place), held(&plan)), (vec![], vec![]));
    assert!(matches!(down(&place.state()).await.unwrap(), Down::Absent));
}

#[tokio::test]
async fn a_busy_port_is_named_with_its_holder_and_nothing_starts() {
    let place = Place::new();
    let plan = place.plan(Lifetime::Private);
    for (name, port) in
        [("prometheus", plan.addresses.prometheus.port), ("app-admin", plan.addresses.app_admin[0].port)]
    {
        let _holder = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let failure = start(&plan).await.expect_err("the port is taken");
        assert_eq!(failure.kind(), Kind::Usage);
        let text = failure.to_string();
        let us = format!("(pid {})", std::process::id());
        for expected in
            [format!("port {port}, wanted by {name}"), us, format!("--port {name}="), "--free-ports".to_owned()]
        {
            assert!(text.contains(&expected), "`{expected}` is not in: {text}");
        }
        assert!(!plan.logs().exists() && !plan.state.join("stack.json").exists(), "something was started");
    }
}

/// Takes a port when everything was looked at and nothing is started yet, as another start does that is a moment faster.
struct Faster(Address, Option<TcpListener>);

impl Watch for Faster {
    fn show(&mut self, rows: &[Row]) {
        if rows.iter().any(|row| row.state == State::Starting) && self.1.is_none() {
            self.1 = Some(TcpListener::bind((self.0.host.as_str(), self.0.port)).unwrap());
        }
    }

    fn finish(&mut self, _rows: &[Row]) {}
}

#[tokio::test]
async fn a_start_that_lost_its_port_to_a_faster_one_names_the_holder_and_leaves_nothing() {
    let place = Place::new();
    let plan = place.plan(Lifetime::Attached);
    let address = plan.addresses.receiver.clone();
    let mut faster = Faster(address.clone(), None);
    let failure =
        Stack::start(plan.clone(), rendered(&plan.addresses), vec![], &mut faster, std::future::pending()).await;
    let failure = failure.expect_err("its port is held");
    assert_eq!(failure.kind(), Kind::Usage, "{failure}");
    let held_by = format!("port {}, wanted by receiver, is held by", address.port);
    let told = failure.to_string();
    assert!(told.starts_with("everything is stopped again:\n") && told.contains(&held_by), "{told}");
    assert!(told.contains(&format!("(pid {})", std::process::id())), "{told}");
    assert_eq!((left_running(&place), held(&plan)), (vec![], vec!["receiver".to_owned()]));
    assert!(matches!(down(&place.state()).await.unwrap(), Down::Absent));
}

#[tokio::test]
async fn a_missing_program_is_named_with_what_brings_it() {
    let place = Place::new();
    let mut plan = place.plan(Lifetime::Private);
    plan.app_program = place.folder.path().join("nowhere");
    let failure = start(&plan).await.expect_err("there is no service to start");
    assert_eq!(failure.kind(), Kind::Usage);
    assert!(failure.to_string().contains("cargo build"), "{failure}");
    assert_eq!(left_running(&place), Vec::<String>::new());
}

#[tokio::test]
async fn every_missing_tool_is_named_at_once_with_what_brings_it() {
    let place = Place::new();
    let plan = place.plan(Lifetime::Attached);
    let output = ended(up(&plan).env("PATH", place.folder.path())).await;
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    for expected in [
        "prometheus: not on PATH",
        "alertmanager or prometheus-alertmanager",
        "supervisord: not on PATH",
        "apt-get install",
    ] {
        assert!(text.contains(expected), "`{expected}` is not in: {text}");
    }
    assert!(!plan.logs().exists(), "something was started");
}

#[tokio::test]
async fn a_start_asks_a_program_once_what_it_is() {
    let place = Place::new();
    let programs = place.folder.path().join("bin");
    std::fs::create_dir(&programs).unwrap();
    executable::script(&programs.join("grafana"), "echo \"$*\" >>\"$0.asked\"\n");
    let output = ended(up(&place.plan(Lifetime::Attached)).env("PATH", &programs)).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "the others are missing: {said}");
    let asked = std::fs::read_to_string(programs.join("grafana.asked")).unwrap();
    assert_eq!(asked.lines().filter(|arguments| *arguments == "--version").count(), 1, "{asked}");
}

#[tokio::test]
async fn no_secret_of_ours_reaches_a_component() {
    let place = Place::new();
    let plan = place.plan(Lifetime::Attached);
    let app = program(&place, "env; exit 7");
    let output = up(&plan)
        .env("AICLIPX_APP", app)
        .env("GF_SECURITY_ADMIN_PASSWORD", "swordfish")
        .env("AWS_SECRET_ACCESS_KEY", "swordfish")
        .env("APP_MAX_ITEMS", "77")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let seen = std::fs::read_to_string(plan.log("app")).unwrap();
    assert!(seen.contains("APP_MAX_ITEMS=77") && seen.contains("APP_FAULTS=on"), "{seen}");
    assert!(!seen.contains("swordfish"), "{seen}");
}

#[tokio::test]
async fn a_component_that_dies_at_start_ends_it_with_its_last_words() {
    for lifetime in [Lifetime::Private, Lifetime::Attached] {
        let place = Place::new();
        let mut plan = place.plan(lifetime);
        plan.app_program = program(&place, "echo 'cannot go on: no such table'; exit 7");
        let failure = start(&plan).await.expect_err("the service dies");
        assert_eq!(failure.kind(), Kind::Infrastructure);
        let text = failure.to_string();
        for expected in ["app ended before it was ready", "exit status 7", "cannot go on: no such table"] {
            assert!(text.contains(expected), "`{expected}` is not in: {text}");
        }
        assert_eq!((left_running(&place), held(&plan)), (vec![], vec![]));
        assert!(!plan.state.join("stack.json").exists());
    }
}

#[tokio::test]
async fn an_interrupted_start_stops_everything() {
    let place = Place::new();
    let mut plan = place.plan(Lifetime::Attached);
    // Never ready, so that the start is under way for as long as it takes to interrupt it.
    plan.app_program = program(&place, "exec sleep 600");
    let prometheus = plan.addresses.prometheus.clone();
    let prometheus_is_up = eventually("Prometheus was up", async || {
        client::get(&prometheus, "/-/ready", LIMIT).await.is_ok_and(|answer| answer.status.is_success())
    });
    let failure =
        Box::pin(Stack::start(plan.clone(), rendered(&plan.addresses), vec![], &mut Silent, prometheus_is_up))
            .await
            .expect_err("it was interrupted");
    assert_eq!(failure.kind(), Kind::Interrupted);
    assert_eq!((left_running(&place), held(&plan)), (vec![], vec![]));
}

#[tokio::test]
async fn ctrl_c_at_any_moment_ends_a_start_with_130_and_leaves_nothing() {
    for millis in [0, 100, 300, 600, 1500] {
        let place = Place::new();
        let plan = place.plan(Lifetime::Attached);
        let app = program(&place, "exec sleep 600");
        // A group of its own, as a shell gives it, all of which hears the Ctrl-C.
        let child = up(&plan).env("AICLIPX_APP", app).process_group(0).spawn().unwrap();
        let group = of(child.id().unwrap());
        let lock = plan.state.join("lock");
        eventually("the start was under way", async || lock.exists()).await;
        tokio::time::sleep(Duration::from_millis(millis)).await;
        kill_process_group(group, Signal::Int).unwrap();
        let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "after {millis} ms: {said}");
        assert_eq!((left_running(&place), held(&plan)), (vec![], vec![]), "after {millis} ms");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_killed_supervisor_leaves_nothing_and_down_says_so() {
    let place = Place::new();
    let plan = place.plan(Lifetime::Attached);
    drop(started(&plan).await);

    send(supervisord(&plan), Signal::Kill);
    eventually("nothing was left", async || left_running(&place).is_empty() && held(&plan).is_empty()).await;
    assert!(matches!(Stack::find(&place.state()).await.unwrap(), Found::Stale(_)));
    let failure = Stack::attach(&place.state()).await.expect_err("it was killed");
    assert_eq!(failure.kind(), Kind::Infrastructure);

    assert!(matches!(down(&place.state()).await.unwrap(), Down::Cleaned(held) if held.is_empty()));
    assert!(matches!(down(&place.state()).await.unwrap(), Down::Absent));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_stack_that_was_killed_can_be_started_again() {
    let place = Place::new();
    let plan = place.plan(Lifetime::Attached);
    drop(started(&plan).await);
    send(supervisord(&plan), Signal::Kill);
    eventually("nothing was left", async || left_running(&place).is_empty() && held(&plan).is_empty()).await;
    let stack = started(&plan).await;
    stack.stop().await.unwrap();
    assert_eq!((left_running(&place), held(&plan)), (vec![], vec![]));
}

#[tokio::test]
async fn a_private_stack_dies_with_its_owner() {
    let place = Place::new();
    let plan = place.plan(Lifetime::Private);
    drop(started(&plan).await);
    eventually("nothing was left", async || left_running(&place).is_empty() && held(&plan).is_empty()).await;
}

#[tokio::test]
async fn a_death_in_a_private_stack_stays_one_and_shows_in_its_epoch() {
    let place = Place::new();
    let plan = place.plan(Lifetime::Private);
    let stack = started(&plan).await;
    let before = stack.identities().await.unwrap();
    assert!(before.values().all(|epoch| epoch.pid.is_some()), "{before:?}");
    assert_eq!(stack.identities().await.unwrap(), before);

    stack.kill_one("receiver").await.unwrap();
    eventually("the receiver was gone", async || stack.identities().await.unwrap()["receiver"].pid.is_none()).await;
    let (rows, all_up) = stack.status().await.unwrap();
    let receiver = rows.iter().find(|row| row.name == "receiver").unwrap();
    assert!(!all_up && matches!(receiver.health, Health::Down(_)), "{receiver:?}");

    stack.start_one("receiver").await.unwrap();
    let after = stack.identities().await.unwrap();
    assert_ne!(after["receiver"], before["receiver"]);
    assert_eq!(after["prometheus"], before["prometheus"]);
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn a_death_in_an_attached_stack_is_mended() {
    let place = Place::new();
    let plan = place.plan(Lifetime::Attached);
    let stack = started(&plan).await;
    let before = stack.identities().await.unwrap();
    stack.kill_one("receiver").await.unwrap();
    eventually("the receiver was restarted", async || {
        let epoch = stack.identities().await.unwrap()["receiver"];
        epoch.pid.is_some() && epoch != before["receiver"]
    })
    .await;
    stack.stop().await.unwrap();
    assert_eq!((left_running(&place), held(&plan)), (vec![], vec![]));
}

/// The process of the front before Prometheus.
#[cfg(target_os = "linux")]
fn front(plan: &Plan) -> Option<u32> {
    let listens = format!("front\0--listen\0{}\0", plan.addresses.prometheus);
    let is_it = |folder: &Path| {
        std::fs::read(folder.join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&listens))
    };
    let mut processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let folder = processes.find(|folder| is_it(folder))?;
    folder.file_name()?.to_str()?.parse().ok()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_front_that_is_killed_is_started_again_and_what_stands_behind_it_lives_on() {
    for lifetime in [Lifetime::Attached, Lifetime::Private] {
        let place = Place::new();
        let plan = place.plan(lifetime);
        let stack = started(&plan).await;
        let (before, killed) = (stack.identities().await.unwrap(), front(&plan).unwrap());
        // The second one at once: it had no time to count as one that runs.
        for _ in 0..2 {
            let old = front(&plan).unwrap();
            send(old, Signal::Kill);
            eventually("another one answers", async || {
                let answer = client::get(&plan.addresses.prometheus, "/-/ready", LIMIT).await;
                answer.is_ok_and(|answer| answer.status.is_success()) && front(&plan).is_some_and(|new| new != old)
            })
            .await;
        }
        assert_ne!(front(&plan), Some(killed));
        assert_eq!(stack.identities().await.unwrap(), before);
        eventually("all is up", async || stack.status().await.unwrap().1).await;
        stack.stop().await.unwrap();
        assert_eq!((left_running(&place), held(&plan)), (vec![], vec![]));
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_paused_front_goes_with_its_killed_supervisor_and_one_that_is_stopped_is_told() {
    let place = Place::new();
    let plan = place.plan(Lifetime::Attached);
    let stack = started(&plan).await;
    stack.stop_one("alertmanager").await.unwrap();
    let paused = front(&plan).unwrap();
    send(paused, Signal::Stop);
    let (rows, all_up) = stack.status().await.unwrap();
    let row = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
    let health = |name: &str| row(name).health.clone();
    assert_eq!([health("prometheus"), health("alertmanager")], [Health::Paused, Health::Down("STOPPED".to_owned())]);
    let told = &row("prometheus").remark;
    assert!(told.contains("prometheus-front was stopped") && told.contains(&format!("kill -CONT {paused}")), "{told}");
    assert!(!all_up);
    let began = Instant::now();
    let alarms = stack.alarms().await.table(Paint::for_stdout());
    assert!(began.elapsed() < Duration::from_secs(4), "nobody waits for who hangs: {:?}", began.elapsed());
    for who in ["alerts there are is not known: Prometheus", "silences there are is not known: Alertmanager"] {
        assert!(alarms.contains(who), "{alarms}");
    }
    send(supervisord(&plan), Signal::Kill);
    eventually("nothing was left", async || left_running(&place).is_empty() && held(&plan).is_empty()).await;
    assert!(matches!(down(&place.state()).await.unwrap(), Down::Cleaned(held) if held.is_empty()));
}

#[tokio::test]
async fn a_paused_component_is_told_goes_on_and_can_be_stopped() {
    let place = Place::new();
    let plan = place.plan(Lifetime::Private);
    let stack = started(&plan).await;
    let health = async || {
        let (rows, _) = stack.status().await.unwrap();
        rows.into_iter().find(|row| row.name == "receiver").unwrap().health
    };
    stack.pause_one("receiver").await.unwrap();
    // Without a /proc nobody sees more than that it does not answer.
    let paused = if cfg!(target_os = "linux") { Health::Paused } else { Health::Unready };
    assert_eq!(health().await, paused);
    stack.resume_one("receiver").await.unwrap();
    assert_eq!(health().await, Health::Up);
    let failure = stack.pause_one("nothing").await.expect_err("there is no such component");
    assert_eq!(failure.kind(), Kind::Usage);

    stack.pause_one("prometheus").await.unwrap();
    stack.stop().await.unwrap();
    assert_eq!((left_running(&place), held(&plan)), (vec![], vec![]));
}

#[tokio::test]
async fn replicas_are_restarted_one_after_the_other_and_another_order_waits_its_turn() {
    let place = Place::new();
    let mut plan = place.plan(Lifetime::Attached);
    plan.speed = "30".parse().unwrap();
    plan.replicate("2".parse().unwrap()).unwrap();
    drop(started(&plan).await);
    let both = [plan.addresses.app[0].clone(), plan.addresses.app[1].clone()];
    let ordered = async |arguments: &[&str]| {
        let output = tool(&place, arguments).await;
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let rolled = async {
        let rolled = ordered(&["restart", "--rolling"]).await;
        is_over.store(true, std::sync::atomic::Ordering::SeqCst);
        rolled
    };
    let refused = async {
        let lock = place.state().join("lock");
        eventually("the roll has begun", async || aiclipx_stack::lock::Lock::is_held(&lock)).await;
        ordered(&["stop", "app-2"]).await
    };
    let served = async {
        while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
            let one = [
                client::get(&both[0], "/health/ready", LIMIT).await,
                client::get(&both[1], "/health/ready", LIMIT).await,
            ];
            let is_ready = |answer: &Result<client::Answer, _>| answer.as_ref().is_ok_and(|one| one.status == 200);
            assert!(one.iter().any(is_ready), "nobody is ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (rolled, refused, ()) = tokio::join!(rolled, refused, served);
    assert!(rolled.0 == Some(0) && rolled.1.contains("app-1, app-2"), "{rolled:?}");
    assert!(refused.0 == Some(2) && refused.1.contains("another command is starting or stopping"), "{refused:?}");

    assert_eq!(ordered(&["stop", "app-2"]).await.0, Some(0));
    let alone = ordered(&["restart", "--rolling"]).await;
    assert!(alone.0 == Some(3) && alone.1.contains("app-1 stays up"), "{alone:?}");
    assert_eq!(ordered(&["start", "app-2"]).await.0, Some(0));
    assert_eq!(client::get(&both[1], "/health/ready", LIMIT).await.unwrap().status, 200);
    assert!(matches!(down(&place.state()).await.unwrap(), Down::Stopped));
}

#[tokio::test]
async fn a_paused_supervisor_is_told_at_once_and_can_be_stopped() {
    let place = Place::new();
    let plan = place.plan(Lifetime::Attached);
    let stack = started(&plan).await;
    let pid = supervisord(&plan);
    send(pid, Signal::Stop);
    eventually("it is paused", async || stack.status().await.is_err()).await;
    let failure = stack.status().await.unwrap_err().to_string();
    assert!(failure.contains("stopped in its tracks") && failure.contains(&format!("kill -CONT {pid}")), "{failure}");
    assert!(matches!(down(&plan.state).await.unwrap(), Down::Stopped));
    assert_eq!(held(&plan), [""; 0]);
    assert_eq!(left_running(&place), [""; 0]);
}

#[tokio::test]
async fn a_state_directory_that_was_moved_says_where_its_stack_was_started() {
    let place = Place::new();
    let plan = place.plan(Lifetime::Attached);
    started(&plan).await;
    let elsewhere = place.folder.path().join("elsewhere");
    std::fs::rename(&plan.state, &elsewhere).unwrap();
    for failure in [down(&elsewhere).await.unwrap_err(), Stack::attach(&elsewhere).await.unwrap_err()] {
        assert_eq!(failure.kind(), Kind::Usage);
        let said = failure.to_string();
        assert!(said.contains(&*plan.state.to_string_lossy()) && said.contains("still runs"), "{said}");
    }
    std::fs::rename(&elsewhere, &plan.state).unwrap();
    assert!(matches!(down(&plan.state).await.unwrap(), Down::Stopped));
    // What is left of one that was killed lies where it lies now.
    started(&plan).await;
    send(supervisord(&plan), Signal::Kill);
    eventually("all are gone", async || held(&plan).is_empty()).await;
    std::fs::rename(&plan.state, &elsewhere).unwrap();
    assert!(matches!(down(&elsewhere).await.unwrap(), Down::Cleaned(held) if held.is_empty()));
    assert!(matches!(down(&elsewhere).await.unwrap(), Down::Absent));
}

#[tokio::test]
async fn a_path_that_env_would_take_for_a_setting_works_and_one_that_means_something_else_to_a_component_is_refused() {
    let place = Place::new();
    let mut plan = place.plan(Lifetime::Private);
    let folder = place.folder.path().join("a=b");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(&plan.app_program, folder.join("app")).unwrap();
    plan.app_program = folder.join("app");
    started(&plan).await.stop().await.unwrap();

    for sign in ["[", "\\", "$"] {
        let state = place.folder.path().join(format!("x{sign}y"));
        let plan = Plan::private(place.folder.path(), &state, Speed::PRODUCTION).unwrap();
        let failure = start(&plan).await.unwrap_err();
        assert_eq!(failure.kind(), Kind::Usage);
        assert!(failure.to_string().contains(&format!("holds `{sign}`")), "{failure}");
    }
    let state = place.folder.path().join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"x\xffy"));
    let plan = Plan::private(place.folder.path(), &state, Speed::PRODUCTION).unwrap();
    let failure = start(&plan).await.unwrap_err();
    assert!(failure.kind() == Kind::Usage && failure.to_string().contains("not in UTF-8"), "{failure}");
}

#[tokio::test]
async fn stacks_stand_side_by_side() {
    let places = [Place::new(), Place::new()];
    let plans: Vec<Plan> = places.iter().map(|place| place.plan(Lifetime::Private)).collect();
    let (one, other) = tokio::join!(started(&plans[0]), started(&plans[1]));
    assert_eq!(one.processes().len(), other.processes().len());
    let (one, other) = tokio::join!(one.stop(), other.stop());
    one.unwrap();
    other.unwrap();
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_written_is_a_usage_error() {
    let place = Place::new();
    let mut plan = place.plan(Lifetime::Private);
    plan.state = Path::new("/proc/nowhere").to_owned();
    let failure = start(&plan).await.expect_err("/proc takes no folders");
    assert_eq!(failure.kind(), Kind::Usage);
    assert!(failure.to_string().contains("--state"), "{failure}");
}

#[tokio::test]
async fn without_grafana_the_viewer_stands_at_its_address_and_what_is_said_and_linked_fits_the_stack() {
    let place = Place::new();
    let plan = place.plan(Lifetime::Attached);
    // The PATH as it is, but for Grafana: a folder that holds it is replaced by links to all else in it.
    let mut folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
    let is_grafana = |name: &std::ffi::OsStr| name == "grafana" || name == "grafana-server";
    let holds = |folder: &Path| ["grafana", "grafana-server"].iter().any(|name| folder.join(name).exists());
    for (number, folder) in folders.iter_mut().enumerate().filter(|(_, folder)| holds(folder)) {
        let links = place.folder.path().join(format!("bin-{number}"));
        std::fs::create_dir(&links).unwrap();
        for program in std::fs::read_dir(&folder).unwrap().flatten().filter(|one| !is_grafana(&one.file_name())) {
            std::os::unix::fs::symlink(program.path(), links.join(program.file_name())).unwrap();
        }
        *folder = links;
    }
    let path = std::env::join_paths(folders).unwrap();
    let output = ended(up(&plan).env("PATH", &path)).await;
    let table = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{table}");
    // Where alerts lead to.
    let page = client::get(&plan.addresses.dashboards, "/d/app-overview?viewPanel=3", LIMIT).await;
    let runbook = client::get(&plan.addresses.dashboards, "/monitoring/runbooks/AppDown.md", LIMIT).await;
    let logs = client::get(&plan.addresses.dashboards, "/d/logs", LIMIT).await;
    let traffic = tool(&place, &["traffic", "01", "--duration", "2s"]).await;
    let silence = serde_json::json!({
        "matchers": [{ "name": "alertname", "value": "AppDown", "isRegex": false, "isEqual": true }],
        "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2126-01-01T00:00:00Z", "createdBy": "ann", "comment": "known",
    });
    let silenced =
        client::post_json(&plan.addresses.alertmanager, "/api/v2/silences", silence.to_string(), LIMIT).await;
    let status = tool(&place, &["status"]).await;
    assert!(matches!(down(&place.state()).await.unwrap(), Down::Stopped));

    let line = |name: &str| table.lines().find(|line| line.split_whitespace().nth(1) == Some(name)).unwrap_or_default();
    let url = plan.addresses.dashboards.url("");
    assert!(line("viewer").contains("ready") && line("viewer").ends_with(&url), "{table}");
    assert!(line("grafana").contains("absent") && line("grafana").contains("not on PATH"), "{table}");
    // Vector and Loki are optional as well: who is absent is named, and is no target.
    for name in ["vector", "loki"] {
        let targets =
            std::fs::read_to_string(place.state().join(format!("etc/prometheus/targets/{name}.json"))).unwrap();
        let is_absent = line(name).contains("absent") && line(name).contains("`just logs`");
        assert!(is_absent || line(name).contains("ready"), "{table}");
        assert_eq!(targets == "[]\n", is_absent, "{targets}");
    }
    let page = page.unwrap();
    let html = String::from_utf8_lossy(&page.body);
    assert!(page.status.is_success(), "{html}");
    // Nothing leads to log lines where nobody keeps any.
    let has_loki = line("loki").contains("ready");
    assert_eq!(html.contains("/d/logs"), has_loki, "{html}");
    let logs = logs.unwrap();
    let logs = String::from_utf8_lossy(&logs.body);
    assert_eq!(logs.contains("Loki is not part of this stack. `aiclipx logs` shows the lines."), !has_loki, "{logs}");
    assert!(logs.contains("Line by line") && !logs.contains("Loki at http"), "{logs}");
    let rules = std::fs::read_to_string(place.state().join("etc/prometheus/rules/app.yml")).unwrap();
    assert!(rules.contains(&format!("runbook_url: {url}/monitoring/runbooks/AppDown.md")), "{rules}");
    assert!(runbook.unwrap().status.is_success());
    // What was sent, and that the service counted it, is what the last line says.
    let sent = String::from_utf8_lossy(&traffic.stdout);
    let last = sent.lines().last().unwrap_or_default();
    assert!(last.starts_with("✓ 01-request-rate: 100 sent, 100 answered (200: "), "{sent}");
    assert!(last.ends_with("; the service counted the same"), "{sent}");
    assert!(silenced.unwrap().status.is_success());
    let status = String::from_utf8_lossy(&status.stdout);
    assert!(status.contains("alertname=AppDown") && status.contains("ann: known"), "{status}");
    assert!(status.contains("Watchdog, which always fires"), "{status}");
    assert!(html.contains("id=\"panel-3\"") && !html.contains("id=\"panel-1\""), "{html}");
    assert_eq!((left_running(&place), held(&plan)), (vec![], vec![]));
}

/// A tree that was edited since `up` would make claims fail that the traffic is not to blame for: it is told first.
#[tokio::test]
async fn on_a_stack_that_has_loaded_something_else_than_the_tree_nothing_is_sent() {
    let place = Place::new();
    let plan = place.plan(Lifetime::Attached);
    let output = ended(&mut up(&plan)).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = place.folder.path().join("edited");
    for folder in aiclipx_judge::tree::FOLDERS {
        let from = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(folder);
        aiclipx_judge::tree::copy_folder(&from, &tree.join(folder)).unwrap();
    }
    let rules = tree.join("monitoring/prometheus/rules/app.yml");
    let edited = std::fs::read_to_string(&rules).unwrap().replace("ratio_rate5m > 0.05\n", "ratio_rate5m > 0.04\n");
    std::fs::write(&rules, edited).unwrap();
    let traffic = Command::new(env!("CARGO_BIN_EXE_aiclipx"))
        .args(["traffic", "01", "--duration", "1s", "--state"])
        .arg(place.state())
        .env("AICLIPX_HOME", &tree)
        .output()
        .await
        .unwrap();
    assert!(matches!(down(&place.state()).await.unwrap(), Down::Stopped));
    let said = String::from_utf8_lossy(&traffic.stderr);
    assert_eq!(traffic.status.code(), Some(2), "{said}");
    assert!(said.contains("`AppHigh5xxErrorRate` has the expression") && said.contains("0.04"), "{said}");
    assert!(said.contains("aiclipx down && aiclipx up"), "{said}");
    assert!(!place.state().join("runs").exists(), "something was sent");
    assert_eq!((left_running(&place), held(&plan)), (vec![], vec![]));
}

/// What a follower of the logs has been shown: one line a record, read by the writer's own numbers.
#[derive(Clone, Default)]
struct Screen(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes numbered lines of many lengths in batches, as fast as it can, but never further ahead of its reader than
/// supervisord keeps files.
const WRITER: &str = r#"
number=0
while [ "$number" -lt "$1" ]; do
  while [ $((number - $(cat shown))) -gt 2000 ]; do sleep 0.01; done
  awk -v from="$number" 'BEGIN {
    for (n = from; n < from + 500; n++)
      printf "{\"ts\":\"2026-11-26T18:00:00Z\",\"level\":\"INFO\",\"msg\":\"%d\",\"pad\":\"%*s\"}\n", n, n % 200, ""
  }'
  number=$((number + 500))
done
"#;

#[tokio::test]
async fn a_follower_of_a_log_that_supervisord_rotates_is_shown_every_line_once() {
    // Ten seconds of 5 000 lines each, in files that hold less than a fifth of a second.
    const LINES: usize = 50_000;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::create_dir(file("logs")).unwrap();
    for (name, text) in [("writer.sh", WRITER), ("shown", "0"), ("logs/app.log", "")] {
        std::fs::write(file(name), text).unwrap();
    }
    let configuration = format!(
        "[supervisord]\nlogfile=supervisord.out\npidfile=supervisord.pid\n\
         [program:app]\ncommand=sh writer.sh {LINES}\nautorestart=false\nstartsecs=0\n\
         stdout_logfile=logs/app.log\nstdout_logfile_maxbytes=150KB\nstdout_logfile_backups=4\n"
    );
    std::fs::write(file("supervisord.conf"), configuration).unwrap();
    let screen = Screen::default();
    let (state, mut out) = (folder.path().to_owned(), screen.clone());
    let request = logs::Request { names: vec!["app".to_owned()], follow: true, ..logs::Request::default() };
    let following = tokio::spawn(async move { logs::print(&state, &request, &mut out, logs::Format::Programs).await });
    let mut supervisord = Command::new("supervisord")
        .args(["-n", "-c", "supervisord.conf"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("supervisord");
    eventually("every line was shown", async || {
        let shown = screen.0.lock().unwrap().split(|byte| *byte == b'\n').count() - 1;
        std::fs::write(file("aside"), shown.to_string()).unwrap();
        std::fs::rename(file("aside"), file("shown")).unwrap();
        shown >= LINES
    })
    .await;
    supervisord.kill().await.unwrap();
    following.abort();
    let text = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
    let numbers = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect("a whole line");
        assert!(line.get("continues").is_none(), "a part of a line: {line}");
        line["msg"].as_str().unwrap().parse::<usize>().unwrap()
    });
    assert!(numbers.eq(0..LINES), "every line, once, in order");
    assert!(file("logs/app.log.4").exists(), "it was rotated often");
}

/// A folder with programs of PATH, each under a name of its own, for a PATH that holds nothing else.
fn only(place: &Place, programs: &[(&str, &Path)]) -> PathBuf {
    let folder = place.folder.path().join("only");
    std::fs::create_dir(&folder).unwrap();
    for (name, program) in programs {
        // A script that looks for something beside itself must be called by its own path.
        if name.starts_with("supervisor") {
            executable::script(&folder.join(name), &format!("exec '{}' \"$@\"\n", program.display()));
        } else {
            std::os::unix::fs::symlink(program, folder.join(name)).unwrap();
        }
    }
    folder
}

/// What a stack starts and asks, wherever it is on PATH.
fn usual() -> Vec<(&'static str, PathBuf)> {
    let ours = ["prometheus", "alertmanager", "prometheus-alertmanager", "supervisord", "supervisorctl"];
    let systems = ["setpriv", "env", "sh", "dirname", "git"];
    ours.into_iter().chain(systems).filter_map(|name| Some((name, on_path(name)?))).collect()
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// The value of an expression that has one.
async fn value_of(prometheus: &Address, expression: &str) -> Option<String> {
    let path = format!("/api/v1/query?query={}", aiclipx_model::prom::answer::percent_encoded(expression));
    let answer = client::get(prometheus, &path, LIMIT).await.ok()?;
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    Some(answer["data"]["result"][0]["value"][1].as_str()?.to_owned())
}

/// Under the name that it does not have here: it has two.
#[tokio::test]
async fn where_the_exporter_is_the_service_is_asked_from_outside_at_no_cost_to_what_is_counted() {
    const NAMES: [&str; 2] = ["blackbox_exporter", "prometheus-blackbox-exporter"];
    let Some((here, exporter)) = NAMES.into_iter().find_map(|name| Some((name, on_path(name)?))) else {
        eprintln!("NOT RUN: the blackbox exporter is not on PATH; nix develop and Debian have it");
        return;
    };
    let other = NAMES.into_iter().find(|name| *name != here).unwrap();
    let place = Place::new();
    let usual = usual();
    let mut programs: Vec<(&str, &Path)> = usual.iter().map(|(name, program)| (*name, &**program)).collect();
    programs.push((other, &exporter));
    let path = only(&place, &programs);
    let came = ended(up(&place.plan(Lifetime::Attached)).args(["--speed", "30"]).env("PATH", path)).await;
    assert!(came.status.success(), "{}", String::from_utf8_lossy(&came.stderr));
    let stack = Stack::attach(&place.state()).await.unwrap();
    let addresses = stack.plan().addresses.clone();
    let (rows, all_up) = stack.status().await.unwrap();
    let row = rows.iter().find(|row| row.name == "probe").unwrap();
    assert!(all_up && row.health == Health::Up && row.remark.contains(&addresses.probe.url("")), "{rows:?}");
    assert!(std::fs::read_to_string(stack.plan().log("probe")).unwrap().contains("blackbox_exporter"));

    let success = format!("probe_success{{probed=\"app\",instance=\"{}\"}}", addresses.app[0]);
    eventually("a probe has succeeded", async || {
        value_of(&addresses.prometheus, &success).await.as_deref() == Some("1")
    })
    .await;
    let exposed = client::get(&addresses.app_admin[0], "/metrics", LIMIT).await.unwrap();
    let exposed = String::from_utf8(exposed.body.to_vec()).unwrap();
    let counted: Vec<&str> = exposed
        .lines()
        .filter(|line| line.starts_with("app_requests_total{") && !line.ends_with(" 0"))
        .filter(|line| !line.contains("endpoint=\"/health/") && !line.contains("endpoint=\"/metrics\""))
        .collect();
    assert_eq!(counted, Vec::<&str>::new(), "no request is counted that a client could have sent");
    // It asks whomever it is told to, and no page tells it.
    let stranger = format!("GET /probe?target={} HTTP/1.1\r\nHost: evil.example\r\n\r\n", addresses.alertmanager);
    assert!(said(&addresses.probe, &stranger.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).contains(" 403 "));

    // Stopped, the service answers nobody, and that is told of both sides.
    let app = stack.plan().processes().into_iter().find(|process| process.component == Component::App).unwrap();
    stack.stop_one(&app.name).await.unwrap();
    eventually("a probe has failed", async || value_of(&addresses.prometheus, &success).await.as_deref() == Some("0"))
        .await;
    let is_up = value_of(&addresses.prometheus, "up{job=\"probe\"}").await;
    assert_eq!(is_up.as_deref(), Some("1"), "the exporter answered, that nobody answers");
    assert!(matches!(down(&place.state()).await.unwrap(), Down::Stopped));
    assert_eq!(left_running(&place), Vec::<String>::new());
}

#[tokio::test]
async fn without_the_exporter_nobody_is_probed_and_up_says_what_that_costs_and_what_brings_it() {
    let place = Place::new();
    let usual = usual();
    let path = only(&place, &usual.iter().map(|(name, program)| (*name, &**program)).collect::<Vec<_>>());
    let came = ended(up(&place.plan(Lifetime::Attached)).args(["--speed", "30"]).env("PATH", path)).await;
    let told = String::from_utf8(came.stderr).unwrap();
    assert!(came.status.success(), "{told}");
    let line = told.lines().find(|line| line.contains("probe ")).unwrap_or_else(|| panic!("{told}"));
    for expected in [
        "absent",
        "nobody asks from outside whether the service answers",
        "not on PATH as blackbox_exporter or prometheus-blackbox-exporter",
        "apt-get install --no-install-recommends prometheus-blackbox-exporter",
    ] {
        assert!(line.contains(expected), "`{expected}` is not in: {line}");
    }
    let stack = Stack::attach(&place.state()).await.unwrap();
    let targets = stack.plan().etc().join("prometheus/targets/probe.json");
    assert_eq!(std::fs::read_to_string(targets).unwrap(), "[]\n");
    let (rows, all_up) = stack.status().await.unwrap();
    assert!(all_up && rows.iter().any(|row| row.name == "probe" && row.health == Health::Absent), "{rows:?}");
    let prometheus = stack.plan().addresses.prometheus.clone();
    eventually("Prometheus scrapes the others", async || {
        value_of(&prometheus, "count(up == 1)").await.as_deref() == Some("4")
    })
    .await;
    assert_eq!(value_of(&prometheus, "count(up)").await.as_deref(), Some("4"));
    assert!(matches!(down(&place.state()).await.unwrap(), Down::Stopped));
    assert_eq!(left_running(&place), Vec::<String>::new());
}

/// As `nix run` has it: the tree lies where nothing can be written, and there is no justfile.
/// A line as somebody tells it: whose, when (in milliseconds), what, of which request.
type Told = (String, i64, String, String);

fn told(component: &str, at_millis: i64, line: &serde_json::Value) -> Option<Told> {
    // Of probes that are answered as they should be, Loki is not sent every one.
    let is_probe = line["target"] == "aiclipx::access" && line["status"] == 200;
    let text = |names: &[&str]| names.iter().find_map(|name| line[name].as_str()).unwrap_or_default().to_owned();
    (!is_probe || text(&["request_id"]).starts_with("agree-"))
        .then(|| (component.to_owned(), at_millis, text(&["msg", "message"]), text(&["request_id"])))
}

#[tokio::test]
async fn aiclipx_logs_and_loki_tell_the_same_lines() {
    let place = Place::new();
    let came = ended(&mut up(&place.plan(Lifetime::Attached))).await;
    assert!(came.status.success(), "{}", String::from_utf8_lossy(&came.stderr));
    let stack = Stack::attach(&place.state()).await.unwrap();
    let addresses = &stack.plan().addresses;
    if ![Component::Vector, Component::Loki].iter().all(|one| stack.programs().contains_key(one)) {
        eprintln!("NOT RUN: Vector and Loki are not on PATH; nix develop has them");
        assert!(matches!(down(&place.state()).await.unwrap(), Down::Stopped));
        return;
    }
    for number in 0..100 {
        let fault = if number % 10 == 0 { "panic" } else { "delay=1ms" };
        let request = format!(
            "GET /items HTTP/1.1\r\nHost: a\r\nx-request-id: agree-{number}\r\nx-fault: {fault}\r\nConnection: close\r\n\r\n"
        );
        assert!(said(&addresses.app[0], &request).starts_with("HTTP/1.1 "));
    }

    // Vector's own log is not shipped: it would feed itself.
    let names: Vec<String> =
        stack.processes().into_iter().map(|process| process.name).chain(["supervisord".to_owned()]).collect();
    let names = names.iter().filter(|name| *name != "vector");
    let query = aiclipx_model::prom::answer::percent_encoded(r#"{component=~".+"}"#);
    let mut logs = std::process::Command::new(env!("CARGO_BIN_EXE_aiclipx"));
    logs.args(["logs", "--lines", "1000000", "--state"]).arg(place.state()).args(names);
    let (mut files, mut store) = (Vec::new(), Vec::new());
    eventually("Loki has what the files have", async || {
        let printed = String::from_utf8(logs.output().unwrap().stdout).unwrap();
        let lines = printed.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        files = lines
            .filter_map(|line| {
                // A line without a time has that of the one before it here, and that of its reading there.
                let at = ["ts", "time", "timestamp"]
                    .iter()
                    .find_map(|name| line[name].as_str())
                    .filter(|_| line["continues"].is_null());
                let at = at.map_or(0, |at| at.parse::<jiff::Timestamp>().unwrap().as_millisecond());
                told(line["component"].as_str().unwrap(), at, &line)
            })
            .collect();
        let answer = client::get(
            &addresses.logging.loki,
            &format!("/loki/api/v1/query_range?query={query}&limit=5000&since=1h"),
            LIMIT,
        )
        .await
        .unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        store = answer["data"]["result"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|stream| {
                stream["values"].as_array().unwrap().iter().filter_map(|value| {
                    let line: serde_json::Value = serde_json::from_str(value[1].as_str().unwrap()).unwrap();
                    let at = value[0].as_str().unwrap().parse::<i64>().unwrap() / 1_000_000;
                    told(
                        stream["stream"]["component"].as_str().unwrap(),
                        if line["form"] == "text" { 0 } else { at },
                        &line,
                    )
                })
            })
            .collect();
        files.sort();
        store.sort();
        files == store
    })
    .await;
    let of_requests = store.iter().filter(|(.., request)| request.starts_with("agree-")).count();
    assert_eq!(of_requests, 100 + 10, "every request, and every panic");
    assert!(matches!(down(&place.state()).await.unwrap(), Down::Stopped));
}

#[test]
fn beside_a_tree_that_cannot_be_written_status_and_down_name_the_users_state_and_the_tools_commands() {
    let place = tempfile::tempdir().unwrap();
    let tree = place.path().join("share");
    std::fs::create_dir_all(tree.join("monitoring/prometheus")).unwrap();
    std::fs::write(tree.join("monitoring/prometheus/prometheus.yml"), "").unwrap();
    std::fs::set_permissions(&tree, PermissionsExt::from_mode(0o555)).unwrap();
    let said = |verb: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_aiclipx"));
        command.arg(verb).env_remove("AICLIPX_STATE").env("AICLIPX_HOME", &tree);
        let output = command.env("XDG_STATE_HOME", place.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let state = place.path().join("aiclipx");
    let none = format!("no stack runs from {}", state.display());
    assert_eq!(said("status"), (Some(2), format!("aiclipx: {none}\n  → `aiclipx up` starts one\n")));
    assert_eq!(said("down"), (Some(0), format!("No stack runs from {}.\n", state.display())));
    std::fs::set_permissions(&tree, PermissionsExt::from_mode(0o755)).unwrap();
}

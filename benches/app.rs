//! `just bench-app`: the service beside its peers, in one run, as ratios.
//!
//! Peers: bare hyper answering the same bytes on the same runtime and the same allocator, bare warp doing so (this program
//! itself, in other roles: the second tells how much of the distance is the framework's), and a Flask service with the same
//! routes under gunicorn (benches/flask, where `scripts/bench-app.sh` has brought it).
//!
//! - Instructions a request in user space, where valgrind is: callgrind counts those of a run and of a longer one, and what
//!   differs is the requests'. They hold on a busy machine, too, and on every one alike.
//! - Rates, measured in turns, subject and peer one after the other; the median of the turns' ratios is told: what the
//!   machine does meanwhile meets both. Where there are two processors, servers have the first and the load the second, so
//!   that the rate is the server's and not the load's. The load is closed: so many connections, each with one request at a
//!   time, as fast as they are answered; its p99 tells how even the service is, not what users would wait. Beside each rate
//!   stands the processor time a request costs its server, in user space and in the kernel.
//! - The same on all processors, and what a request costs where there are two workers instead of one.
//!
//! It asserts nothing but that subject and peer answer alike: a number beside its target is for people to look at.
#![allow(clippy::print_stdout, clippy::cast_precision_loss, clippy::unwrap_used)] // it prints, divides, and may just end

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio::task::JoinSet;
use warp::Filter;

/// Connections of the load.
const CONNECTIONS: usize = 32;
/// Length of a turn.
const TURN: Duration = Duration::from_secs(1);
/// Turns of a comparison.
const TURNS: usize = 9;
/// Requests of the two runs whose instructions are subtracted, and their connections.
const COUNTED: (u64, u64, usize) = (1_000, 6_000, 8);
/// After how many requests memory is looked at.
const MILESTONES: [u64; 4] = [10_000, 250_000, 500_000, 1_000_000];
/// Starts that are timed.
const STARTS: usize = 21;
/// Scrapes that are timed.
const SCRAPES: usize = 301;
/// Says to this program that it is a peer, and which, and what it answers.
const ROLE: &str = "AICLIPX_BENCH_PEER";
const ANSWER: &str = "AICLIPX_BENCH_ANSWER";
/// The folder with the Python environment for the Flask peer.
const FLASK: &str = "AICLIPX_BENCH_FLASK";

/// What is asked: its name here, its target, whether the client gives it an id, and what it is answered.
struct Question {
    name: &'static str,
    target: &'static str,
    has_id: bool,
    answer: &'static str,
}

const INDEX: Question =
    Question { name: "GET /", target: "/", has_id: true, answer: r#"{"service":"aiClipx-trial","status":"ok"}"# };
const NO_ID: Question = Question { name: "GET / without x-request-id", has_id: false, ..INDEX };
const ITEMS: Question =
    Question { name: "GET /items", target: "/items", has_id: true, answer: r#"{"items":[],"next":null}"# };

fn main() {
    match std::env::var(ROLE).as_deref() {
        Ok("hyper") => return bare_hyper(),
        Ok("warp") => return bare_warp(),
        _ => {}
    }
    let machine = Machine::look();
    let place = tempfile::tempdir().expect("a temporary folder");
    let programs = Programs {
        hyper: Program::peer("hyper", &INDEX),
        hyper_items: Program::peer("hyper", &ITEMS),
        warp: Program::peer("warp", &INDEX),
        quiet: Program::service(&[("APP_ACCESS_LOG", "off")], None),
        logging: Program::service(&[], Some(place.path().join("access.log"))),
    };
    machine.place_load(LOAD);
    let load = runtime::Builder::new_current_thread().enable_all().build().unwrap();

    instructions(&load, &machine, &programs, place.path());
    rates(&load, &machine, &programs, place.path());
    by_itself(&load, &machine, &programs);
    all_processors(&machine, &programs);
}

/// What is measured, and beside what.
struct Programs {
    hyper: Program,
    hyper_items: Program,
    warp: Program,
    /// The service without its access log, and with it, to a file.
    quiet: Program,
    logging: Program,
}

// --- comparing ------------------------------------------------------------------------------------------------------------

fn instructions(load: &Runtime, machine: &Machine, programs: &Programs, place: &Path) {
    let says = Command::new("valgrind").arg("--version").output();
    if !says.is_ok_and(|says| says.status.success()) {
        return println!(
            "instructions a request: not here; valgrind counts them, and `./dev just bench-app` brings it\n"
        );
    }
    println!("{:<42} {:>8} {:>8} {:>6} {:>7}", "instructions a request", "subject", "peer", "ratio", "target");
    let count = |program: &Program, question: &Question| count(load, machine, program, question, place);
    for (question, hyper) in [(INDEX, &programs.hyper), (NO_ID, &programs.hyper), (ITEMS, &programs.hyper_items)] {
        println!("{}", question.name);
        let hyper = count(hyper, &question);
        let row = |name: &str, program: &Program, target: &str| {
            let subject = count(program, &question);
            println!("{:<42} {subject:>8.0} {hyper:>8.0} {:>6.2} {target:>7}", format!("  {name}"), subject / hyper);
        };
        let targets = if question.name == INDEX.name { ["≤ 1.27", "≤ 1.45"] } else { ["", ""] };
        row("metrics / bare hyper", &programs.quiet, targets[0]);
        row("metrics and access log / bare hyper", &programs.logging, targets[1]);
        if question.name == INDEX.name {
            row("bare warp / bare hyper", &programs.warp, "");
        }
    }
    println!();
}

/// Instructions of a request in user space. What a program does to start and to end is in both runs.
fn count(load: &Runtime, machine: &Machine, program: &Program, question: &Question, place: &Path) -> f64 {
    let counts = place.join("callgrind.out");
    let mut valgrind: Vec<OsString> = machine.on(SERVERS);
    valgrind.extend(["valgrind", "--quiet", "--tool=callgrind"].map(OsString::from));
    valgrind.push(format!("--callgrind-out-file={}", counts.display()).into());
    let total = |requests| {
        let server = program.start(&valgrind);
        load.block_on(run(server.address, COUNTED.2, vec![question.request()], Until::Count(requests)));
        drop(server);
        let counts = std::fs::read_to_string(&counts).expect("callgrind writes when its program ends");
        let total = counts.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse::<f64>().ok());
        total.expect("the sum of all instructions")
    };
    let (few, many) = (total(COUNTED.0), total(COUNTED.1));
    (many - few) / (COUNTED.1 - COUNTED.0) as f64
}

fn rates(load: &Runtime, machine: &Machine, programs: &Programs, place: &Path) {
    let servers = machine.on(SERVERS);
    println!(
        "{CONNECTIONS} connections, {TURNS} turns of {} s each; {}",
        TURN.as_secs(),
        if machine.pinned {
            "servers on processor 0, load on processor 1"
        } else {
            "servers and load share the processors"
        }
    );
    heading();
    let hyper = programs.hyper.start(&servers);
    let quiet = programs.quiet.start(&servers);
    let logging = programs.logging.start(&servers);
    for question in [INDEX, NO_ID] {
        println!("{}", question.name);
        compare(load, "metrics / bare hyper", &question, &quiet, &hyper, "≥ 0.95");
        compare(load, "metrics and access log / bare hyper", &question, &logging, &hyper, "≥ 0.88");
        if question.has_id {
            let warp = programs.warp.start(&servers);
            compare(load, "bare warp / bare hyper", &question, &warp, &hyper, "");
            compare(load, "metrics / bare warp", &question, &quiet, &warp, "");
        }
    }
    drop(hyper);
    println!("{}", ITEMS.name);
    let hyper = programs.hyper_items.start(&servers);
    compare(load, "metrics / bare hyper", &ITEMS, &quiet, &hyper, "");
    compare(load, "metrics and access log / bare hyper", &ITEMS, &logging, &hyper, "");
    drop((hyper, quiet));
    println!("{}", INDEX.name);
    match std::env::var_os(FLASK).map(PathBuf::from) {
        Some(environment) => {
            let flask = Program::gunicorn(&environment, place).start(&servers);
            compare(load, "metrics and access log / Flask, gunicorn -w 2", &INDEX, &logging, &flask, "≥ 20");
        }
        None => println!("  Flask: not here; `just bench-app` brings it"),
    }
}

fn heading() {
    println!(
        "{:<42} {:>8} {:>8} {:>6} {:>7} {:>6} {:>7} {:>7} {:>7}",
        "requests a second", "subject", "peer", "ratio", "target", "p99", "target", "CPU µs", "peer"
    );
}

fn compare(load: &Runtime, name: &str, question: &Question, subject: &Server, peer: &Server, target: &str) {
    // Flask says more than the others.
    if !name.contains("Flask") {
        assert_eq!(shape(subject, question), shape(peer, question), "subject and peer answer alike");
    }
    // A turn each that nobody looks at: caches, connections, branch predictors.
    let _ = (turn(load, subject, question), turn(load, peer, question));
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for number in 0..TURNS {
        // Who goes first changes: the second turn of a pair must not always be the warm one.
        if number % 2 == 0 {
            ones.push(turn(load, subject, question));
            others.push(turn(load, peer, question));
        } else {
            others.push(turn(load, peer, question));
            ones.push(turn(load, subject, question));
        }
    }
    let ratios = |of: fn(&Turn) -> f64| median(ones.iter().zip(&others).map(|(one, other)| of(one) / of(other)));
    let own = |turns: &[Turn], of: fn(&Turn) -> f64| median(turns.iter().map(of));
    let cost = |server: &Server, turns: &[Turn]| {
        // gunicorn's work is done by its children.
        if server.forks { "-".to_owned() } else { format!("{:.2}", own(turns, |turn| turn.cost)) }
    };
    println!(
        "{:<42} {:>8.0} {:>8.0} {:>6.2} {target:>7} {:>6.2} {:>7} {:>7} {:>7}",
        format!("  {name}"),
        own(&ones, |turn| turn.rate),
        own(&others, |turn| turn.rate),
        ratios(|turn| turn.rate),
        ratios(|turn| turn.p99),
        if target.starts_with("≥ 0") { "≤ 1.15" } else { "" },
        cost(subject, &ones),
        cost(peer, &others),
    );
}

/// A turn of one server.
struct Turn {
    /// Requests a second.
    rate: f64,
    /// Seconds.
    p99: f64,
    /// Microseconds of processor time a request.
    cost: f64,
}

fn turn(load: &Runtime, server: &Server, question: &Question) -> Turn {
    let before = server.processor_seconds();
    let measured = load.block_on(run(server.address, CONNECTIONS, vec![question.request()], Until::Over(TURN)));
    let used = server.processor_seconds() - before;
    if let Some(log) = &server.log {
        log.set_len(0).expect("a log that is read by nobody");
    }
    Turn { rate: measured.rate(), p99: measured.p99(), cost: used * 1e6 / measured.waits.len() as f64 }
}

/// An answer without what differs in every one.
fn shape(server: &Server, question: &Question) -> Vec<String> {
    let mut stream = std::net::TcpStream::connect(server.address).unwrap();
    let mut request = question.request();
    request.truncate(request.len() - 2);
    request.extend(b"connection: close\r\n\r\n");
    stream.write_all(&request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let plain = |line: &str| {
        if line.starts_with("x-request-id") || line.starts_with("date") {
            line[..4].to_owned()
        } else {
            line.to_owned()
        }
    };
    let mut lines: Vec<String> = answer.lines().map(plain).collect();
    lines.sort();
    lines
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// On all processors, servers and load alike; and what a request costs where two workers serve instead of one.
fn all_processors(machine: &Machine, programs: &Programs) {
    let Some(all) = machine.all() else { return println!("\nall processors: there is one, or no taskset") };
    machine.place_load(&all);
    let load = runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("\n{} processors for servers and load alike", machine.processors);
    heading();
    println!("{}", INDEX.name);
    let everywhere = machine.on(&all);
    let hyper = programs.hyper.start(&everywhere);
    for (name, program, target) in [
        ("metrics / bare hyper", &programs.quiet, "≥ 0.95"),
        ("metrics and access log / bare hyper", &programs.logging, "≥ 0.88"),
    ] {
        compare(&load, name, &INDEX, &program.start(&everywhere), &hyper, target);
    }
    drop(hyper);

    println!("\n{:<42} {:>8} {:>8} {:>6} {:>7}", "CPU µs a request", "two", "one", "ratio", "target");
    println!("{}, workers on processors 0 and 1 beside one on 0", INDEX.name);
    for (name, program, target) in [
        ("bare hyper", &programs.hyper, ""),
        ("metrics", &programs.quiet, "≤ hyper's"),
        ("metrics and access log", &programs.logging, ""),
    ] {
        let (two, one) = (program.start(&machine.on("0,1")), program.start(&machine.on(SERVERS)));
        let mut costs = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            costs.0.push(turn(&load, &two, &INDEX).cost);
            costs.1.push(turn(&load, &one, &INDEX).cost);
        }
        let ratio = median(costs.0.iter().zip(&costs.1).map(|(two, one)| two / one));
        let (two, one) = (median(costs.0.into_iter()), median(costs.1.into_iter()));
        println!("{:<42} {two:>8.2} {one:>8.2} {ratio:>6.2} {target:>7}", format!("  {name}"));
    }
}

// --- the service by itself ------------------------------------------------------------------------------------------------

fn by_itself(load: &Runtime, machine: &Machine, programs: &Programs) {
    println!("\n{:<42} target", "the service by itself");
    let servers = machine.on(SERVERS);
    let quiet = programs.quiet.start(&servers);
    memory(load, &quiet);
    drop(quiet);
    starts(&servers);
    scrapes(load, &programs.quiet.start(&servers));
}

fn memory(load: &Runtime, server: &Server) {
    let requests = vec![INDEX.request(), ITEMS.request(), get("/nowhere", true), post("/items", r#"{"name":7}"#)];
    let mut done = 0;
    let mut seen = Vec::new();
    for milestone in MILESTONES {
        load.block_on(run(server.address, CONNECTIONS, requests.clone(), Until::Count(milestone - done)));
        done = milestone;
        seen.push(format!("{:.1} after {milestone}", resident_mib(server.child.id())));
    }
    row("resident memory, MiB", &seen.join(", "), "≤ 12, flat");
}

fn starts(servers: &[OsString]) {
    let program = Program { announces: true, ..Program::service(&[], None) };
    let times = (0..STARTS).map(|_| {
        let began = Instant::now();
        let server = program.start(servers);
        let took = began.elapsed().as_secs_f64() * 1000.0;
        drop(server);
        took
    });
    row("start to ready", &format!("{:.1} ms (median of {STARTS})", median(times)), "≤ 30 ms");
}

fn scrapes(load: &Runtime, server: &Server) {
    let (times, bytes) = load.block_on(async {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let request = get("/metrics", true);
        let (mut times, mut bytes, mut buffer) = (Vec::new(), 0, Vec::new());
        for _ in 0..SCRAPES {
            let began = Instant::now();
            stream.write_all(&request).await.unwrap();
            bytes = answer(&mut stream, &mut buffer).await.expect("it answers").length;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        (times, bytes)
    });
    row("a scrape", &format!("{:.2} ms, {} KiB (median of {SCRAPES})", median(times.into_iter()), bytes / 1024), "");
}

fn row(name: &str, value: &str, target: &str) {
    println!("  {name:<22} {value}  {target}");
}

fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("/proc");
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    kib.expect("a resident size") / 1024.0
}

// --- the machine ----------------------------------------------------------------------------------------------------------

/// The servers' processor, and the load's.
const SERVERS: &str = "0";
const LOAD: &str = "1";

struct Machine {
    processors: usize,
    /// Programs can be given processors, and there are enough of them.
    pinned: bool,
}

impl Machine {
    fn look() -> Machine {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let can = |processor| quietly(Command::new("taskset").args(["--cpu-list", processor, "true"]));
        Machine { processors, pinned: processors > 1 && can(SERVERS) && can(LOAD) }
    }

    /// All of them, as `taskset` says it, where there are several.
    fn all(&self) -> Option<String> {
        self.pinned.then(|| format!("0-{}", self.processors - 1))
    }

    /// What a command begins with that runs on these processors.
    fn on(&self, processors: &str) -> Vec<OsString> {
        if self.pinned { ["taskset", "--cpu-list", processors].map(OsString::from).to_vec() } else { Vec::new() }
    }

    /// Moves this thread, which is the load, and those that it will have.
    fn place_load(&self, processors: &str) {
        if self.pinned {
            quietly(Command::new("taskset").args(["--cpu-list", "--pid", processors, &std::process::id().to_string()]));
        }
    }
}

fn quietly(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

// --- servers --------------------------------------------------------------------------------------------------------------

/// What can be started as a server.
struct Program {
    command: Vec<OsString>,
    settings: Vec<(&'static str, OsString)>,
    place: Option<PathBuf>,
    /// Where its stdout goes, if anywhere.
    log: Option<PathBuf>,
    /// Its first line on stdout says that it is ready.
    announces: bool,
    forks: bool,
}

impl Program {
    fn new(command: Vec<OsString>) -> Program {
        Program { command, settings: Vec::new(), place: None, log: None, announces: false, forks: false }
    }

    fn service(settings: &[(&'static str, &str)], log: Option<PathBuf>) -> Program {
        let settings = settings.iter().map(|(name, value)| (*name, value.into())).collect();
        Program { settings, log, ..Program::new(vec![env!("CARGO_BIN_EXE_aiclipx-app").into()]) }
    }

    fn peer(role: &str, question: &Question) -> Program {
        let settings = vec![(ROLE, role.into()), (ANSWER, question.answer.into())];
        Program { settings, ..Program::new(vec![std::env::current_exe().unwrap().into()]) }
    }

    fn gunicorn(environment: &Path, place: &Path) -> Program {
        let script = format!(
            r#"exec "$0" -m gunicorn -w 2 -b "$BENCH_BIND" --log-level warning app:app 2>'{}'"#,
            place.join("flask.log").display()
        );
        let python = environment.join("bin/python");
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/flask");
        let command = vec!["sh".into(), "-c".into(), script.into(), python.into()];
        Program { place: Some(place), forks: true, ..Program::new(command) }
    }

    /// Starts it behind a wrapper's command, and waits until it listens. A free port is asked for beforehand: gunicorn
    /// can't say which it got.
    fn start(&self, wrapper: &[OsString]) -> Server {
        let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
        let words: Vec<&OsString> = wrapper.iter().chain(&self.command).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.env("APP_LISTEN", address.to_string()).env("BENCH_BIND", address.to_string());
        command.env("APP_ADMIN_LISTEN", "127.0.0.1:0");
        if let Some(place) = &self.place {
            command.current_dir(place);
        }
        let log = self.log.as_ref().map(|log| OpenOptions::new().create(true).append(true).open(log).unwrap());
        command.stdin(Stdio::null()).stdout(match &log {
            Some(log) => log.try_clone().unwrap().into(),
            None if self.announces => Stdio::piped(),
            None => Stdio::null(),
        });
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        if let Some(out) = child.stdout.take() {
            let _ = BufReader::new(out).read_line(&mut String::new());
        }
        let deadline = Instant::now() + Duration::from_mins(1);
        while std::net::TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "{command:?} does not listen");
            std::thread::sleep(Duration::from_micros(200));
        }
        Server { child, address, log, forks: self.forks }
    }
}

/// A server in a process of its own, ended when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
    log: Option<File>,
    /// Its work is done by its children.
    forks: bool,
}

impl Server {
    /// User and system time of all its threads: the 14th and 15th fields, in hundredths of a second. The second is the
    /// program's name in parentheses.
    fn processor_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("/proc");
        let fields = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().skip(11).take(2);
        fields.map(|field| field.parse::<f64>().unwrap()).sum::<f64>() / 100.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // gunicorn's workers end with their master only when that is asked, not killed; and callgrind writes at the end.
        quietly(Command::new("kill").arg(self.child.id().to_string()));
        let _ = self.child.wait();
    }
}

// --- peers ----------------------------------------------------------------------------------------------------------------

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What this peer answers: the same bytes as the service, and nothing else is done for them.
fn peers_answer() -> &'static [u8] {
    std::env::var(ANSWER).unwrap().into_bytes().leak()
}

/// On the runtime that the service has, too.
#[tokio::main]
async fn bare_hyper() {
    let body = peers_answer();
    accept(service_fn(move |_: Request<Incoming>| async move {
        let mut response = Response::new(Full::new(Bytes::from_static(body)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(REQUEST_ID, HeaderValue::from_static("bench"));
        Ok::<_, Infallible>(response)
    }))
    .await;
}

/// The same by a warp of one route.
#[tokio::main]
async fn bare_warp() {
    let body = peers_answer();
    let index = warp::path::end().map(move || {
        let mut response = warp::reply::Response::new(Bytes::from_static(body).into());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(REQUEST_ID, HeaderValue::from_static("bench"));
        response
    });
    accept(TowerToHyperService::new(warp::service(index))).await;
}

/// Accepts for ever, and serves each connection with a copy of the service.
async fn accept<S, B>(service: S)
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: hyper::body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let listener = TcpListener::bind(std::env::var("APP_LISTEN").unwrap()).await.unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone()));
    }
}

// --- load -----------------------------------------------------------------------------------------------------------------

impl Question {
    fn request(&self) -> Vec<u8> {
        get(self.target, self.has_id)
    }
}

fn get(target: &str, has_id: bool) -> Vec<u8> {
    let id = if has_id { "x-request-id: bench\r\n" } else { "" };
    format!("GET {target} HTTP/1.1\r\nhost: bench\r\n{id}\r\n").into_bytes()
}

fn post(target: &str, body: &str) -> Vec<u8> {
    let head = "host: bench\r\nx-request-id: bench\r\ncontent-type: application/json";
    format!("POST {target} HTTP/1.1\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// When a load ends.
#[derive(Clone, Copy)]
enum Until {
    Over(Duration),
    Count(u64),
}

/// What a load saw.
struct Measured {
    waits: Vec<Duration>,
    took: Duration,
}

impl Measured {
    fn rate(&self) -> f64 {
        self.waits.len() as f64 / self.took.as_secs_f64()
    }

    fn p99(&self) -> f64 {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        waits[waits.len() * 99 / 100].as_secs_f64()
    }
}

async fn run(address: SocketAddr, connections: usize, requests: Vec<Vec<u8>>, until: Until) -> Measured {
    let began = Instant::now();
    let share = |index: usize| match until {
        Until::Over(_) => u64::MAX,
        Until::Count(count) => (count + index as u64) / connections as u64,
    };
    let deadline = match until {
        Until::Over(length) => began + length,
        Until::Count(_) => began + Duration::from_hours(1),
    };
    let requests: Arc<[Vec<u8>]> = requests.into();
    let clients: JoinSet<_> =
        (0..connections).map(|index| client(address, Arc::clone(&requests), deadline, share(index))).collect();
    let waits = clients.join_all().await.concat();
    Measured { waits, took: began.elapsed() }
}

/// One connection, one request at a time. A server that closes after an answer (gunicorn's sync workers) is called
/// again, on its time.
async fn client(address: SocketAddr, requests: Arc<[Vec<u8>]>, deadline: Instant, count: u64) -> Vec<Duration> {
    let mut waits = Vec::new();
    let mut buffer = Vec::with_capacity(4096);
    let mut stream: Option<TcpStream> = None;
    for (request, _) in requests.iter().cycle().zip(0..count) {
        let began = Instant::now();
        if began >= deadline {
            break;
        }
        let mut open = match stream.take() {
            Some(open) => open,
            None => TcpStream::connect(address).await.expect("it accepts"),
        };
        open.write_all(request).await.expect("it reads");
        let answer = answer(&mut open, &mut buffer).await.expect("it answers");
        waits.push(began.elapsed());
        if !answer.closes {
            stream = Some(open);
        }
    }
    waits
}

/// What a client looks for in an answer.
#[derive(Clone, Copy)]
struct Answer {
    /// In bytes, head and body.
    length: usize,
    closes: bool,
}

/// Reads one whole answer into the buffer.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Answer> {
    buffer.clear();
    let mut answer = None;
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if answer.is_none() {
            answer = read_head(buffer);
        }
        if let Some(answer) = answer.filter(|answer| buffer.len() >= answer.length) {
            return Ok(answer);
        }
    }
}

/// Of an answer, once its head is there. Its lines are looked at once: the load must not be slower than what it measures.
fn read_head(buffer: &[u8]) -> Option<Answer> {
    let (mut length, mut closes, mut at) = (0, false, 0);
    loop {
        let line = &buffer[at..at + buffer[at..].iter().position(|&byte| byte == b'\n')?];
        at += line.len() + 1;
        if line == b"\r" {
            return Some(Answer { length: at + length, closes });
        }
        if begins(line, b"connection: close") {
            closes = true;
        } else if begins(line, b"content-length: ") {
            let digits = line.iter().filter(|byte| byte.is_ascii_digit());
            length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
        }
    }
}

fn begins(line: &[u8], with: &[u8]) -> bool {
    line.get(..with.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(with))
}

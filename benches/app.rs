//! `just bench-app`: the service beside its peers, in one run, as ratios.
//!
//! Peers: bare hyper answering the same bytes on the same runtime, bare warp doing so (this program itself, in other
//! roles: the second tells how much of the distance is the framework's), and a Flask service with the same routes under
//! gunicorn (benches/flask, where `scripts/bench-app.sh` has brought it). Rates are
//! measured in turns, subject and peer one after the other, and the median of the turns' ratios is told: what the
//! machine does meanwhile meets both. Where there are two processors, servers have the first and the load the second,
//! so that the rate is the server's and not the load's. The load is closed: so many connections, each with one request
//! at a time, as fast as they are answered; its p99 tells how even the service is, not what users would wait.
//!
//! It asserts nothing: a number below its target is for people to look at.
#![allow(clippy::print_stdout, clippy::cast_precision_loss, clippy::unwrap_used)] // it prints, divides, and may just end

use std::convert::Infallible;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use warp::Filter;

/// Connections of the load.
const CONNECTIONS: usize = 32;
/// Length of a turn.
const TURN: Duration = Duration::from_secs(2);
/// Turns of a comparison.
const TURNS: usize = 7;
/// After how many requests memory is looked at.
const MILESTONES: [u64; 4] = [10_000, 250_000, 500_000, 1_000_000];
/// Starts that are timed.
const STARTS: usize = 21;
/// Scrapes that are timed.
const SCRAPES: usize = 301;
/// Says to this program that it is a peer, and which.
const ROLE: &str = "AICLIPX_BENCH_PEER";
/// The folder with the Python environment for the Flask peer.
const FLASK: &str = "AICLIPX_BENCH_FLASK";

fn main() {
    match std::env::var(ROLE).as_deref() {
        Ok("hyper") => return bare_hyper(),
        Ok("warp") => return bare_warp(),
        _ => {}
    }
    let pinned = pin();
    println!(
        "{CONNECTIONS} connections, {TURNS} turns of {} s each; {}\n",
        TURN.as_secs(),
        if pinned { "servers on processor 0, load on processor 1" } else { "servers and load share the processors" }
    );
    let place = tempfile::tempdir().expect("a temporary folder");
    let load = runtime::Builder::new_current_thread().enable_all().build().unwrap();

    let bare = Server::start(peer("hyper"));
    let warp = Server::start(peer("warp"));
    let quiet = Server::start(service(&[("APP_ACCESS_LOG", "off")], Stdio::null()));
    let log = place.path().join("access.log");
    let logging = Server::start(service(&[], File::create(&log).unwrap().into()));

    println!(
        "{:<44} {:>10} {:>10} {:>7} {:>8} {:>8}",
        "requests a second, GET /", "subject", "peer", "ratio", "target", "p99"
    );
    let rows = [
        ("metrics only / bare hyper", &quiet, &bare, "≥ 0.90"),
        ("metrics and access log / bare hyper", &logging, &bare, "≥ 0.75"),
        ("bare warp / bare hyper", &warp, &bare, ""),
        ("metrics only / bare warp", &quiet, &warp, ""),
    ];
    for (name, subject, peer, target) in rows {
        compare(&load, name, subject, peer, target);
    }
    match std::env::var_os(FLASK).map(PathBuf::from) {
        Some(environment) => {
            let flask = Server::start(gunicorn(&environment, place.path()));
            compare(&load, "metrics and access log / Flask, gunicorn -w 2", &logging, &flask, "≥ 20");
        }
        None => println!("Flask: not here; `just bench-app` brings it"),
    }
    drop((bare, warp, logging));

    println!("\n{:<44} {:>10}  target", "the service by itself", "");
    memory(&load, &quiet);
    drop(quiet);
    starts();
    scrapes(&load);
}

// --- comparing ------------------------------------------------------------------------------------------------------------

fn compare(load: &runtime::Runtime, name: &str, subject: &Server, peer: &Server, target: &str) {
    let request = get("/");
    let measure =
        |server: &Server| load.block_on(run(server.address, std::slice::from_ref(&request), Until::Over(TURN)));
    // A turn each that nobody looks at: caches, connections, branch predictors.
    let _ = (measure(subject), measure(peer));
    let mut ratios = Vec::new();
    let (mut rates, mut waits) = ((Vec::new(), Vec::new()), Vec::new());
    for turn in 0..TURNS {
        // Who goes first changes: the second turn of a pair must not always be the warm one.
        let (one, other) = if turn % 2 == 0 {
            (measure(subject), measure(peer))
        } else {
            let other = measure(peer);
            (measure(subject), other)
        };
        ratios.push(one.rate() / other.rate());
        rates.0.push(one.rate());
        rates.1.push(other.rate());
        waits.push(one.p99() / other.p99());
    }
    println!(
        "{name:<44} {:>10.0} {:>10.0} {:>7.2} {target:>8} {:>7.2}×",
        median(&mut rates.0),
        median(&mut rates.1),
        median(&mut ratios),
        median(&mut waits)
    );
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

// --- the service by itself ------------------------------------------------------------------------------------------------

fn memory(load: &runtime::Runtime, server: &Server) {
    let requests = [get("/"), get("/items"), get("/nowhere"), post("/items", r#"{"name":7}"#)];
    let mut done = 0;
    let mut seen = Vec::new();
    for milestone in MILESTONES {
        load.block_on(run(server.address, &requests, Until::Count(milestone - done)));
        done = milestone;
        seen.push(format!("{:.1} after {milestone}", resident_mib(server.child.id())));
    }
    row("resident memory, MiB", &seen.join(", "), "≤ 12, flat");
}

fn starts() {
    let mut times: Vec<f64> = (0..STARTS)
        .map(|_| {
            let began = Instant::now();
            let server = Server::start(service(&[], Stdio::piped()));
            let took = began.elapsed().as_secs_f64() * 1000.0;
            drop(server);
            took
        })
        .collect();
    row("start to ready", &format!("{:.1} ms (median of {STARTS})", median(&mut times)), "≤ 30 ms");
}

fn scrapes(load: &runtime::Runtime) {
    let server = Server::start(service(&[("APP_ACCESS_LOG", "off")], Stdio::null()));
    let (mut times, bytes) = load.block_on(async {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let request = get("/metrics");
        let (mut times, mut bytes, mut buffer) = (Vec::new(), 0, Vec::new());
        for _ in 0..SCRAPES {
            let began = Instant::now();
            stream.write_all(&request).await.unwrap();
            bytes = answer(&mut stream, &mut buffer).await.expect("it answers");
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        (times, bytes)
    });
    row("a scrape", &format!("{:.2} ms, {} KiB (median of {SCRAPES})", median(&mut times), bytes / 1024), "");
}

fn row(name: &str, value: &str, target: &str) {
    println!("{name:<24} {value}  {target}");
}

fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("/proc");
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    kib.expect("a resident size") / 1024.0
}

// --- servers --------------------------------------------------------------------------------------------------------------

/// A server in a process of its own, ended when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts it and waits until `/health/ready` (of the peer, anything) answers. A free port is asked for beforehand:
    /// gunicorn can't say which it got.
    fn start(mut command: Command) -> Server {
        let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
        command.env("APP_LISTEN", address.to_string()).env("BENCH_BIND", address.to_string());
        let mut child = command.stdin(Stdio::null()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        // Nobody reads a pipe: its first line says that the service listens.
        if let Some(out) = child.stdout.take() {
            let _ = BufReader::new(out).read_line(&mut String::new());
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "{command:?} does not listen");
            std::thread::sleep(Duration::from_micros(200));
        }
        Server { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // gunicorn's workers end with their master only when that is asked, not killed.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").arg(&pid).status();
        let _ = self.child.wait();
    }
}

/// A program on the servers' processor.
fn on_servers_processor(program: impl AsRef<std::ffi::OsStr>) -> Command {
    if processors() < 2 || !has_taskset() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "0"]).arg(program);
    command
}

fn service(settings: &[(&str, &str)], stdout: Stdio) -> Command {
    let mut command = on_servers_processor(env!("CARGO_BIN_EXE_aiclipx-app"));
    command.envs(settings.iter().copied()).stdout(stdout);
    command
}

fn peer(role: &str) -> Command {
    let mut command = on_servers_processor(std::env::current_exe().unwrap());
    command.env(ROLE, role);
    command
}

fn gunicorn(environment: &Path, place: &Path) -> Command {
    let mut command = on_servers_processor("sh");
    let log = File::create(place.join("flask.log")).unwrap();
    command
        .args(["-c", r#"exec "$0" -m gunicorn -w 2 -b "$BENCH_BIND" --log-level warning app:app"#])
        .arg(environment.join("bin/python"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/flask"))
        .stdout(Stdio::null())
        .stderr(log);
    command
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn has_taskset() -> bool {
    Command::new("taskset").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Moves this program, the load, to the second processor, before it has threads.
fn pin() -> bool {
    let pid = std::process::id().to_string();
    processors() > 1
        && Command::new("taskset")
            .args(["--cpu-list", "--pid", "1", &pid])
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}

/// The body of the service's `GET /`.
const ANSWER: &str = r#"{"service":"aiClipx-trial","status":"ok"}"#;

/// The peer: the same runtime and the same bytes as the service's `GET /`, and nothing else.
#[tokio::main]
async fn bare_hyper() {
    accept(service_fn(|_: Request<Incoming>| async {
        let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        response.headers_mut().insert("x-request-id", HeaderValue::from_static("bench"));
        Ok::<_, Infallible>(response)
    }))
    .await;
}

/// The same by a warp of one route.
#[tokio::main]
async fn bare_warp() {
    let index = warp::path::end().map(|| {
        let mut response = warp::reply::Response::new(Bytes::from_static(ANSWER.as_bytes()).into());
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        response.headers_mut().insert("x-request-id", HeaderValue::from_static("bench"));
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

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nhost: bench\r\nx-request-id: bench\r\n\r\n").into_bytes()
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

async fn run(address: SocketAddr, requests: &[Vec<u8>], until: Until) -> Measured {
    let began = Instant::now();
    let share = |index: usize| match until {
        Until::Over(_) => u64::MAX,
        Until::Count(count) => (count + index as u64) / CONNECTIONS as u64,
    };
    let deadline = match until {
        Until::Over(length) => began + length,
        Until::Count(_) => began + Duration::from_hours(1),
    };
    let clients = (0..CONNECTIONS).map(|index| client(address, requests, deadline, share(index)));
    let waits = futures_util::future::join_all(clients).await.concat();
    Measured { waits, took: began.elapsed() }
}

/// One connection, one request at a time. A server that closes after an answer (gunicorn's sync workers) is called
/// again, on its time.
async fn client(address: SocketAddr, requests: &[Vec<u8>], deadline: Instant, count: u64) -> Vec<Duration> {
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
        answer(&mut open, &mut buffer).await.expect("it answers");
        waits.push(began.elapsed());
        if !buffer.windows(17).any(|window| window.eq_ignore_ascii_case(b"connection: close")) {
            stream = Some(open);
        }
    }
    waits
}

/// Reads one whole answer into the buffer; its length in bytes.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<usize> {
    buffer.clear();
    let mut whole = None;
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if whole.is_none() {
            whole = length_of(buffer);
        }
        if whole.is_some_and(|whole| buffer.len() >= whole) {
            return Ok(buffer.len());
        }
    }
}

/// Of an answer, head and body, once its head is there.
fn length_of(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let name = b"content-length: ";
    let at = buffer[..head].windows(name.len()).position(|window| window.eq_ignore_ascii_case(name))? + name.len();
    let digits = buffer[at..head].iter().take_while(|byte| byte.is_ascii_digit());
    Some(head + digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0')))
}

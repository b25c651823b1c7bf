//! What becomes of the log where stdout takes no more: the line of each request is there, whole, or it is counted.

use std::fs::OpenOptions;
use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::exposition::{Exposition, whole};
use crate::harness::{Client, LIMIT, eventually, soon};

const PROGRAM: &str = env!("CARGO_BIN_EXE_aiclipx-app");

/// The program, writing somewhere.
struct Writing {
    child: Child,
    client: Client,
    /// Requests that were answered.
    requests: u64,
}

impl Writing {
    /// Starts it. `first_line` waits for the first line of its log and reads it.
    async fn to(mut command: Command, stdout: impl Into<Stdio>, first_line: impl FnOnce() -> String) -> Writing {
        command.env_clear().env("PORT", "0").env("APP_ADMIN_LISTEN", "127.0.0.1:0").stdout(stdout).kill_on_drop(true);
        let child = command.spawn().unwrap();
        let first: Value = serde_json::from_str(&first_line()).unwrap();
        let address: SocketAddr = first["address"].as_str().unwrap().parse().unwrap();
        Writing { child, client: Client::connect(address).await, requests: 0 }
    }

    async fn ask(&mut self, target: &str) -> String {
        let answer = self.client.ask("GET", target, &[], "").await;
        assert_eq!(answer.status, 200);
        self.requests += 1;
        answer.body
    }

    async fn ask_many(&mut self, times: usize) {
        for _ in 0..times {
            self.ask("/").await;
        }
    }

    /// Lines that are lost by now; a look is a request like any other.
    async fn lost(&mut self) -> u64 {
        let metrics = self.ask("/metrics").await;
        whole(Exposition::parse(&metrics).unwrap().value("app_log_records_dropped_total", &[]))
    }

    /// Lines that are lost, once lines are written again: then two looks agree, of which the second one would see what became
    /// of the first one's line.
    async fn lost_in_all(&mut self) -> u64 {
        soon(async {
            let mut before = None;
            loop {
                let lost = self.lost().await;
                if before.replace(lost) == Some(lost) {
                    return lost;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await
    }
}

/// Ends a program in order.
async fn terminate(child: &mut Child) {
    let pid = child.id().unwrap().to_string();
    let kill = Command::new("sh").args(["-c", "kill -s TERM \"$0\"", &pid]).status();
    assert!(soon(kill).await.unwrap().success());
    assert_eq!(soon(child.wait()).await.unwrap().code(), Some(0));
}

/// The lines of requests in a log, each of whose lines must be one JSON object.
fn access_lines(log: &str) -> u64 {
    assert!(log.ends_with('\n'), "the last line is torn");
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    lines.filter(|line: &Value| line["target"] == "aiclipx::access").count() as u64
}

fn first_line_of(file: &Path) -> String {
    let deadline = Instant::now() + LIMIT;
    loop {
        let text = std::fs::read_to_string(file).unwrap();
        if let Some((first, _)) = text.split_once('\n') {
            return first.to_owned();
        }
        assert!(Instant::now() < deadline, "it writes no line");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A file that may grow no further behaves like a full disk: a write is short, and the next fails. Emptying it makes room.
#[tokio::test]
async fn a_full_disk_tears_no_line_and_every_lost_one_is_counted() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("access.log");
    let log = OpenOptions::new().create(true).append(true).open(&path).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$0\"", PROGRAM]);
    let mut program = Writing::to(command, log.try_clone().unwrap(), || first_line_of(&path)).await;

    let mut written = String::new();
    let mut tears = 0;
    for round in 0..8 {
        // How many lines fit nobody here knows; from the first that is lost on, the file holds to the byte what it may.
        let before = program.lost().await;
        while program.lost().await == before {
            program.ask_many(100 + round).await;
        }
        let full = std::fs::read_to_string(&path).unwrap();
        tears += u32::from(!full.ends_with('\n'));
        written.push_str(&full);
        log.set_len(0).unwrap();
    }
    program.ask_many(10).await;
    let lost = program.lost_in_all().await;
    let requests = program.requests;
    terminate(&mut program.child).await;
    written.push_str(&std::fs::read_to_string(&path).unwrap());

    assert!(tears > 0, "no round ended in the middle of a line");
    assert_eq!(access_lines(&written) + lost, requests);
}

#[tokio::test]
async fn a_reader_that_is_gone_costs_lines_and_every_one_is_counted() {
    let (mut reader, stdout) = std::io::pipe().unwrap();
    let mut program = Writing::to(Command::new(PROGRAM), stdout, || {
        let mut text = Vec::new();
        while !text.ends_with(b"\n") {
            let mut byte = [0];
            reader.read_exact(&mut byte).unwrap();
            text.extend(byte);
        }
        String::from_utf8(text).unwrap()
    })
    .await;
    drop(reader);
    program.ask_many(300).await;
    // Each look is a request as well, and so is the one that is being answered.
    soon(async {
        loop {
            let lost = program.lost().await;
            assert!(lost < program.requests);
            if lost == program.requests - 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    terminate(&mut program.child).await;
}

/// A stdout that says "not now" instead of letting the writer wait, and takes lines in part: a socket that somebody else made
/// non-blocking, as one may with a pipe.
#[tokio::test]
async fn a_stdout_that_does_not_block_loses_no_more_than_one_that_does() {
    let (mut reader, stdout) = UnixStream::pair().unwrap();
    stdout.set_nonblocking(true).unwrap();
    let mut log = Vec::new();
    let mut program = Writing::to(Command::new(PROGRAM), OwnedFd::from(stdout), || {
        let mut byte = [0];
        while !log.ends_with(b"\n") {
            reader.read_exact(&mut byte).unwrap();
            log.extend(byte);
        }
        String::from_utf8(log.clone()).unwrap()
    })
    .await;
    program.ask_many(9_000).await;
    let reading = std::thread::spawn(move || {
        reader.read_to_end(&mut log).unwrap();
        log
    });
    let lost = program.lost_in_all().await;
    let requests = program.requests;
    terminate(&mut program.child).await;
    let log = String::from_utf8(reading.join().unwrap()).unwrap();
    assert!(lost > 0, "the queue never filled");
    assert_eq!(access_lines(&log) + lost, requests);
}

#[tokio::test]
async fn the_level_that_is_logged_holds_for_requests_too() {
    // What says where it listens is not logged either.
    let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
    let (mut reader, stdout) = std::io::pipe().unwrap();
    let mut command = Command::new(PROGRAM);
    command.env_clear().envs([("APP_LOG", "error"), ("APP_FAULTS", "on"), ("APP_LISTEN", &address.to_string())]);
    command.env("APP_ADMIN_LISTEN", "127.0.0.1:0");
    let mut child = command.stdout(stdout).kill_on_drop(true).spawn().unwrap();
    drop(command);
    eventually("listening", || std::net::TcpStream::connect(address).is_ok()).await;
    let mut client = Client::connect(address).await;
    assert_eq!(client.ask("GET", "/", &[], "").await.status, 200);
    assert_eq!(client.ask("GET", "/", &["x-fault: error"], "").await.status, 500);
    terminate(&mut child).await;
    let mut log = String::new();
    reader.read_to_string(&mut log).unwrap();
    let only: Value = serde_json::from_str(&log).unwrap();
    assert_eq!((&only["level"], &only["status"]), (&"ERROR".into(), &500.into()));
}

/// What a disk that was full left of a line when another process ended: nothing is glued to it.
#[tokio::test]
async fn a_log_that_ends_in_the_middle_of_a_line_is_gone_on_with_on_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    for (before, torn) in [("{\"torn\":", 1), ("{}\n", 0), ("", 0)] {
        std::fs::write(&path, before).unwrap();
        let mut command = Command::new(PROGRAM);
        command.env_clear().env("PORT", "0").env("APP_ADMIN_LISTEN", "127.0.0.1:0").kill_on_drop(true);
        let log = OpenOptions::new().append(true).open(&path).unwrap();
        let mut child = command.stdout(log).spawn().unwrap();
        let text = || std::fs::read_to_string(&path).unwrap();
        eventually("logged", || text().contains("Listening")).await;
        terminate(&mut child).await;
        let text = text();
        let bad = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).count();
        assert_eq!(bad, torn, "{text}");
        assert!(text.lines().all(|line| !line.is_empty()), "{text}");
    }
}

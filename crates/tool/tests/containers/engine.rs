//! The engine that is tried, podman or Docker, and what the kernel says of a container's process.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything takes; reaching it is a failure, not a measurement.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);

pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Runs a program to its end, whatever that is.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Runs a program that must succeed; what it says on stdout.
pub(crate) fn said(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{}", output.status, text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

/// `podman` or `docker`, as scripts/containers.sh says.
pub(crate) fn engine() -> String {
    std::env::var("AICLIPX_ENGINE").unwrap_or_else(|_| "podman".to_owned())
}

pub(crate) fn is_docker() -> bool {
    engine() == "docker"
}

/// What the engine's program says, which must succeed.
pub(crate) fn tell(arguments: &[&str]) -> String {
    said(&engine(), arguments)
}

/// Compose's program of this engine, to be given a command.
pub(crate) fn compose() -> Command {
    if is_docker() {
        let mut docker = Command::new("docker");
        docker.arg("compose");
        docker
    } else {
        Command::new("podman-compose")
    }
}

/// An image by the Containerfile, from what lies in dist/. Without a cache: podman 4.3 takes from it what was built with other
/// arguments.
pub(crate) fn build(target: &str, tag: &str, arguments: &[&str]) {
    let mut all = vec!["build", "--no-cache", "--file", "Containerfile", "--target", target, "--tag", tag];
    if !is_docker() {
        all.extend(["--format", "docker"]);
    }
    all.extend(arguments);
    all.push(".");
    tell(&all);
}

/// Runs a container's own health check now: podman has a command for it, Docker's way is to do what the image says.
pub(crate) fn check_health(container: &str) -> Option<i32> {
    if !is_docker() {
        return run("podman", &["healthcheck", "run", container]).status.code();
    }
    let check = inspect("container", container)["Config"]["Healthcheck"]["Test"].clone();
    let mut words = check.as_array().unwrap().iter().map(|word| word.as_str().unwrap());
    assert_eq!(words.next(), Some("CMD"), "{check}");
    let command: Vec<&str> = ["exec", container].into_iter().chain(words).collect();
    run("docker", &command).status.code()
}

/// Ends a container at once and forgets it; one that is not there is no fault.
pub(crate) fn remove(container: &str) {
    run(&engine(), &["kill", container]);
    run(&engine(), &["rm", "--force", container]);
}

/// One object of the engine's `inspect`.
pub(crate) fn inspect(what: &str, name: &str) -> Value {
    let all: Value = serde_json::from_str(&tell(&["inspect", "--type", what, name])).unwrap();
    all[0].clone()
}

/// Tries again until there is something, or fails saying what it waited for.
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(began.elapsed() < LIMIT, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A port nobody uses at this moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Status and body of one GET; nothing when nobody answers.
pub(crate) fn get(port: u16, path: &str, header: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{header}Connection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())?;
    Some((status, body))
}

/// A container's first process, as this machine's kernel sees it.
pub(crate) struct Process {
    pub(crate) pid: u32,
    status: BTreeMap<String, String>,
}

impl Process {
    pub(crate) fn of(container: &str) -> Process {
        let pid = inspect("container", container)["State"]["Pid"].as_u64().unwrap();
        let pid = u32::try_from(pid).unwrap();
        assert_ne!(pid, 0, "{container} does not run:\n{}", tell(&["logs", container]));
        let status = read(format!("/proc/{pid}/status"));
        let status = status.lines().filter_map(|line| line.split_once(':'));
        Process { pid, status: status.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect() }
    }

    /// Real, effective, saved and file-system user, all the same.
    pub(crate) fn user(&self) -> u32 {
        let ids: Vec<u32> = self.status["Uid"].split_whitespace().map(|id| id.parse().unwrap()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "users {ids:?}");
        ids[0]
    }

    /// Has it no capability, and no way to one?
    pub(crate) fn is_powerless(&self) -> bool {
        self.capabilities() == 0 && self.gains_no_privileges()
    }

    /// Those that any of its sets holds, a bit each.
    pub(crate) fn capabilities(&self) -> u64 {
        let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
        sets.iter().map(|set| u64::from_str_radix(&self.status[*set], 16).unwrap()).fold(0, |all, set| all | set)
    }

    pub(crate) fn gains_no_privileges(&self) -> bool {
        self.status["NoNewPrivs"] == "1"
    }

    pub(crate) fn root_is_read_only(&self) -> bool {
        let mounts = read(format!("/proc/{}/mountinfo", self.pid));
        let root =
            mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|fields| fields[4] == "/").unwrap();
        root[5].split(',').any(|option| option == "ro")
    }

    /// Bytes of memory its group may use: of cgroup 2, else of 1.
    pub(crate) fn memory_limit(&self) -> u64 {
        self.group("memory", "memory.max", "memory.limit_in_bytes").parse().unwrap()
    }

    /// Processes its group may hold.
    pub(crate) fn process_limit(&self) -> u64 {
        self.group("pids", "pids.max", "pids.max").parse().unwrap()
    }

    /// Processors' share of time its group may use.
    pub(crate) fn processors(&self) -> f64 {
        let number = |text: &str| text.trim().parse::<f64>().unwrap();
        let joined = self.group("cpu", "cpu.max", "cpu.cfs_quota_us");
        match joined.split_once(' ') {
            Some((quota, period)) => number(quota) / number(period),
            None => number(&joined) / number(&self.group("cpu", "cpu.max", "cpu.cfs_period_us")),
        }
    }

    /// Files it may hold open.
    pub(crate) fn file_limit(&self) -> u64 {
        let limits = read(format!("/proc/{}/limits", self.pid));
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        line.split_whitespace().nth(4).unwrap().parse().unwrap()
    }

    fn group(&self, controller: &str, second: &str, first: &str) -> String {
        for line in read(format!("/proc/{}/cgroup", self.pid)).lines() {
            let fields: Vec<&str> = line.splitn(3, ':').collect();
            let path = fields[2].trim_start_matches('/');
            let file = if fields[1].is_empty() {
                Path::new("/sys/fs/cgroup").join(path).join(second)
            } else if fields[1].split(',').any(|name| name == controller) {
                Path::new("/sys/fs/cgroup").join(controller).join(path).join(first)
            } else {
                continue;
            };
            if file.is_file() {
                return read(file).trim().to_owned();
            }
        }
        panic!("no group of process {} limits {controller}", self.pid);
    }
}

pub(crate) fn read(path: impl Into<PathBuf>) -> String {
    let path = path.into();
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

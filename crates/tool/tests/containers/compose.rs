//! compose.yaml as it stands, with monitoring/ as it stands, brought up by the engine's own compose.
//!
//! Upstream's images can't be fetched where only a distribution is reachable: Prometheus and Alertmanager are then the
//! distribution's own programs in images from scratch, and in place of Grafana busybox answers its health path. They stand
//! in for the programs, not for what is tried here: the wiring, the secrets, the limits. Vector and Loki no distribution has:
//! the profile `logs` is tried where both are on PATH, and NOT RUN elsewhere.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use aiclipx_model::prom::answer::percent_encoded;
use serde_json::Value;

use crate::engine::{
    Process, build, check_health, compose, engine, eventually, free_port, get, inspect, is_docker, remove, root, run,
    said, tell,
};

/// What Debian's Alertmanager reads from its package; upstream's holds it.
const DEFAULT: &str = "/usr/share/prometheus/alertmanager/default.tmpl";
const EMAIL: &str = "/usr/share/prometheus/alertmanager/email.tmpl";
const PASSWORD: &str = "not-to-be-seen-anywhere";

/// An image being made: a root of programs and files of this machine, with the libraries they load, laid out as upstream's.
struct StandIn {
    root: tempfile::TempDir,
    folders: Vec<(&'static str, &'static str)>,
}

impl StandIn {
    fn new() -> StandIn {
        StandIn { root: tempfile::tempdir().unwrap(), folders: Vec::new() }
    }

    fn path(&self, inside: &str) -> std::path::PathBuf {
        let path = self.root.path().join(inside.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// A file by its path, where there is one.
    fn file(self, path: &str) -> StandIn {
        if Path::new(path).is_file() {
            std::fs::copy(path, self.path(path)).unwrap();
        }
        self
    }

    fn text(self, inside: &str, text: &str) -> StandIn {
        std::fs::write(self.path(inside), text).unwrap();
        std::fs::set_permissions(self.path(inside), PermissionsExt::from_mode(0o755)).unwrap();
        self
    }

    /// Of a program's names, the first that is on PATH.
    fn program(self, names: &[&str], inside: &str) -> StandIn {
        let found = names.iter().map(|name| format!("command -v {name}")).collect::<Vec<_>>().join(" || ");
        let found = said("sh", &["-c", &found]);
        std::fs::copy(&found, self.path(inside)).unwrap();
        let libraries = String::from_utf8(run("ldd", &[&found]).stdout).unwrap();
        libraries.split_whitespace().filter(|word| word.starts_with('/')).fold(self, StandIn::file)
    }

    /// An empty folder of a user of its own, for a volume to take its owner from.
    fn folder(mut self, inside: &'static str, user: &'static str) -> StandIn {
        std::fs::create_dir_all(self.path(inside)).unwrap();
        self.folders.push((inside.trim_start_matches('/'), user));
        self
    }

    /// One layer, so that an engine that keeps each layer whole keeps it once.
    fn image(self, name: &str, changes: &[&str]) -> String {
        let tag = format!("localhost/aiclipx-stand-in-{name}:tested");
        let archive = tempfile::NamedTempFile::new().unwrap();
        let file = archive.path().to_str().unwrap();
        let place = self.root.path().to_str().unwrap();
        let pack = |first: &[&str], user: &str, what: &str| {
            let owner = format!("--owner={user}");
            // Whatever this machine's umask made of them.
            let rest =
                ["--mode=a+rX", "--numeric-owner", &owner, "--group=0", "--file", file, "--directory", place, what];
            said("tar", &[first, &rest].concat());
        };
        let excluded: Vec<String> = self.folders.iter().map(|(folder, _)| format!("--exclude=./{folder}")).collect();
        let mut create = vec!["--create"];
        create.extend(excluded.iter().map(String::as_str));
        pack(&create, "0", ".");
        for (folder, user) in &self.folders {
            pack(&["--append"], user, folder);
        }
        let changes: Vec<&str> = changes.iter().flat_map(|change| ["--change", change]).collect();
        tell(&[&["import"][..], &changes[..], &[file, &tag]].concat());
        tag
    }
}

/// Upstream's four, stood in for: Prometheus, Alertmanager, the blackbox exporter, Grafana.
fn stand_ins() -> [String; 4] {
    let prometheus = StandIn::new()
        .program(&["prometheus"], "/bin/prometheus")
        .program(&["promtool"], "/bin/promtool")
        .folder("/prometheus", "65534")
        .image("prometheus", &["ENTRYPOINT [\"/bin/prometheus\"]"]);
    let alertmanager = StandIn::new()
        .program(&["alertmanager", "prometheus-alertmanager"], "/bin/alertmanager")
        .program(&["amtool"], "/bin/amtool")
        .file(DEFAULT)
        .file(EMAIL)
        .folder("/alertmanager", "65534")
        .image("alertmanager", &["ENTRYPOINT [\"/bin/alertmanager\"]"]);
    let probe = StandIn::new()
        .program(&["blackbox_exporter", "prometheus-blackbox-exporter"], "/bin/blackbox_exporter")
        .image("probe", &["ENTRYPOINT [\"/bin/blackbox_exporter\"]"]);
    let grafana = StandIn::new()
        .program(&["busybox"], "/bin/busybox")
        .text("/www/api/health", "{}")
        .text(
            "/bin/grafana",
            "#!/bin/sh\nset -e\ntest -s /run/secrets/grafana_admin_password\ncat /run/secrets/* > /dev/null\n\
             exec busybox httpd -f -p 3000 -h /www\n",
        )
        .folder("/var/lib/grafana", "472");
    for name in ["sh", "cat", "wget"] {
        symlink("busybox", grafana.path(&format!("/bin/{name}"))).unwrap();
    }
    [prometheus, alertmanager, probe, grafana.image("grafana", &["ENV PATH=/bin"])]
}

/// The two of the profile `logs`, stood in for: Loki, Vector.
fn log_stand_ins() -> [String; 2] {
    let loki = StandIn::new().program(&["loki"], "/bin/loki").folder("/loki", "10001");
    let vector = StandIn::new().program(&["vector"], "/bin/vector").folder("/var/lib/vector", "0");
    [loki.image("loki", &["ENTRYPOINT [\"/bin/loki\"]"]), vector.image("vector", &["ENTRYPOINT [\"/bin/vector\"]"])]
}

/// What `up` needs of a clone, in a folder of its own.
fn clone_into(folder: &Path) {
    for part in ["compose.yaml", "podman-compose.yaml", "monitoring", "scripts", ".env.example"] {
        said("cp", &["-r", root().join(part).to_str().unwrap(), folder.to_str().unwrap()]);
    }
}

/// The stack, in a folder of its own that holds what a clone holds; gone when the test is.
struct Stack {
    folder: tempfile::TempDir,
    project: String,
    /// What compose is told before each of its commands.
    options: &'static [&'static str],
    prometheus: u16,
    alertmanager: u16,
    receiver: u16,
    app: u16,
    grafana: u16,
}

impl Stack {
    fn up() -> Stack {
        Stack::up_with(&[], "")
    }

    /// With Vector and Loki, too.
    fn up_with_logs() -> Stack {
        let [loki, vector] = log_stand_ins();
        // The engine's own folder, which is the usual one only where nobody gave it another.
        let logs = tell(&["info", "--format", "{{.DockerRootDir}}/containers"]);
        let settings = format!("LOKI_IMAGE={loki}\nVECTOR_IMAGE={vector}\nDOCKER_LOGS={logs}\n");
        Stack::up_with(&["--profile", "logs"], &settings)
    }

    fn up_with(options: &'static [&'static str], more: &str) -> Stack {
        let folder = tempfile::tempdir().unwrap();
        let stack = Stack {
            project: format!("aiclipx-test-{}", std::process::id()),
            options,
            prometheus: free_port(),
            alertmanager: free_port(),
            receiver: free_port(),
            app: free_port(),
            grafana: free_port(),
            folder,
        };
        clone_into(stack.folder.path());
        for (target, program) in [("app", "aiclipx-app"), ("receiver", "aiclipx-receiver")] {
            build(&format!("dist-{target}"), &format!("localhost/{program}:tested"), &[]);
        }
        let [prometheus, alertmanager, probe, grafana] = stand_ins();
        let settings = format!(
            "GF_SECURITY_ADMIN_PASSWORD={PASSWORD}\nAPP_FAULTS=on\nAPP_PORT={}\nPROMETHEUS_PORT={}\n\
             ALERTMANAGER_PORT={}\nRECEIVER_PORT={}\nGRAFANA_PORT={}\nAPP_IMAGE=localhost/aiclipx-app:tested\nRECEIVER_IMAGE=localhost/aiclipx-receiver:tested\n\
             PROMETHEUS_IMAGE={prometheus}\nALERTMANAGER_IMAGE={alertmanager}\nPROBE_IMAGE={probe}\nGRAFANA_IMAGE={grafana}\n{more}",
            stack.app, stack.prometheus, stack.alertmanager, stack.receiver, stack.grafana
        );
        let file = stack.folder.path().join(".env");
        std::fs::write(&file, settings).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        let output = stack.compose(&["up", "--detach", "--no-build"]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "compose up: {}\n{text}", output.status);
        stack
    }

    fn compose(&self, arguments: &[&str]) -> Output {
        compose()
            .args(["--project-name", &self.project])
            .args(self.options)
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    fn container(&self, service: &str) -> String {
        let filter = format!("label=com.docker.compose.service={service}");
        let project = format!("label=com.docker.compose.project={}", self.project);
        tell(&["ps", "--all", "--filter", &filter, "--filter", &project, "--format", "{{.Names}}"])
    }

    /// What a shell says that sees one named volume, and may read whatever lies there.
    fn in_volume(&self, name: &str, script: &str) -> String {
        let volume = format!("{}_{name}:/volume:ro", self.project);
        let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"];
        let shell = ["--entrypoint", "/bin/busybox", "localhost/aiclipx-stand-in-grafana:tested", "sh", "-c", script];
        let start = ["run", "--rm", "--network", "none", "--user", "0", "--volume", &volume];
        tell(&[&start[..], &limits, &shell].concat())
    }

    /// The value of a query that has one.
    fn query(&self, expression: &str) -> Option<f64> {
        let (_, body) = get(self.prometheus, &format!("/api/v1/query?query={expression}"), "")?;
        let answer: Value = serde_json::from_str(&body).ok()?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    /// What Loki has of the lines that hold a text, each with its component; nothing where it does not answer. It publishes no
    /// port, so it is asked from where Grafana would ask.
    fn stored(&self, text: &str) -> Option<Vec<(String, Value)>> {
        let query = percent_encoded(&format!("{{component=~\".+\"}} |= \"{text}\""));
        let address = format!("http://loki:3100/loki/api/v1/query_range?since=1h&limit=5000&query={query}");
        let answer = run(&engine(), &["exec", &self.container("grafana"), "wget", "-q", "-O", "-", &address]);
        let answer: Value = serde_json::from_slice(&answer.stdout).ok()?;
        let lines = |stream: &Value| {
            let component = stream["stream"]["component"].as_str().unwrap().to_owned();
            let values = stream["values"].as_array().unwrap().clone();
            let line = |value: Value| serde_json::from_str(value[1].as_str().unwrap()).unwrap();
            values.into_iter().map(line).map(|line| (component.clone(), line)).collect::<Vec<_>>()
        };
        Some(answer["data"]["result"].as_array()?.iter().flat_map(lines).collect())
    }

    /// Requests that can be told from any other by their ids.
    fn requests(&self, ids: &[String]) {
        for id in ids {
            assert_eq!(get(self.app, "/items", &format!("x-request-id: {id}\r\n")).unwrap().0, 200);
        }
    }

    /// What the engine still knows of this project, of any kind.
    fn remains(&self) -> String {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let list = |kind: &[&str]| tell(&[kind, &["--quiet", "--filter", &project]].concat());
        list(&["ps", "--all"]) + &list(&["volume", "ls"]) + &list(&["network", "ls"])
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "what the containers said explains the panic")]
            {
                eprintln!("{}", String::from_utf8_lossy(&self.compose(&["logs", "--tail", "5"]).stdout));
            }
        }
        self.compose(&["down", "--volumes", "--timeout", "5"]);
    }
}

#[test]
#[ignore = "needs an engine: just containers"]
fn the_stack_comes_up_and_holds_what_compose_yaml_promises() {
    let stack = Stack::up();
    // As compose.yaml has them: user, bytes of memory, processors, processes.
    let promised = [
        ("app", 65532, 64_u64 << 20, 1.0, 64),
        ("receiver", 65532, 64 << 20, 0.5, 64),
        ("prometheus", 65534, 512 << 20, 1.0, 256),
        ("alertmanager", 65534, 128 << 20, 0.5, 128),
        ("probe", 65534, 64 << 20, 0.5, 64),
        ("grafana", 472, 512 << 20, 1.0, 256),
    ];
    for (service, user, memory, processors, processes) in promised {
        let process = Process::of(&stack.container(service));
        assert_eq!(process.user(), user, "{service}: user");
        assert!(process.is_powerless(), "{service}: capabilities");
        assert!(process.root_is_read_only(), "{service}: root");
        assert_eq!(process.memory_limit(), memory, "{service}: memory");
        assert!((process.processors() - processors).abs() < 0.001, "{service}: processors {}", process.processors());
        assert_eq!(process.process_limit(), processes, "{service}: processes");
        assert_eq!(process.file_limit(), 16384, "{service}: open files");
    }

    scrapes_and_notifies(&stack);
    // The service says itself what it may have.
    for (limit, promised) in [("app_memory_limit_bytes", f64::from(64 << 20)), ("app_cpu_limit_cores", 1.0)] {
        assert_eq!(stack.query(limit), Some(promised), "{limit}");
    }
    keeps_its_secrets(&stack);
    publishes_on_loopback_only(&stack);
    has_no_way_out(&stack);
    if is_docker() {
        names_whose_line_it_is(&stack);
    }

    for service in ["app", "receiver", "prometheus", "alertmanager", "grafana"] {
        let container = stack.container(service);
        eventually(&format!("{service} to be healthy"), || (check_health(&container) == Some(0)).then_some(()));
        if is_docker() {
            // It asks by itself, too.
            eventually(&format!("Docker to call {service} healthy"), || {
                (inspect("container", &container)["State"]["Health"]["Status"] == "healthy").then_some(())
            });
        }
    }
}

/// Why the profile `logs` can't be tried here.
fn no_logs_here() -> Option<String> {
    if !is_docker() {
        return Some("Vector reads the files of Docker's json-file driver, and the engine is podman".to_owned());
    }
    let is_here = |name: &&str| run("sh", &["-c", &format!("command -v {name}")]).status.success();
    let missing: Vec<&str> = ["vector", "loki"].into_iter().filter(|name| !is_here(name)).collect();
    (!missing.is_empty()).then(|| format!("not on PATH: {}", missing.join(", ")))
}

/// A container that is not of the project, has said one line, and is gone when the test is.
struct Stranger(String);

impl Stranger {
    fn says(name: String, options: &[&str], line: &str) -> Stranger {
        let start = ["run", "--name", &name, "--network", "none", "--log-driver", "json-file"];
        let said = ["--entrypoint", "/bin/busybox", "localhost/aiclipx-stand-in-grafana:tested", "echo", line];
        let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"];
        assert_eq!(tell(&[&start[..], options, &limits, &said].concat()), line);
        Stranger(name)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Log forwarding as compose.yaml has it, from the engine's files to Loki.
#[test]
#[ignore = "needs an engine: just containers"]
fn the_profile_logs_brings_the_lines_of_this_project_to_loki_and_no_others() {
    if let Some(why) = no_logs_here() {
        // Past the harness, which shows what a test prints only when it fails.
        writeln!(std::io::stderr(), "\n*** NOT RUN: log forwarding in containers (compose's profile `logs`): {why}")
            .unwrap();
        return;
    }
    let stack = Stack::up_with_logs();
    // As compose.yaml has them: user, bytes of memory, processes.
    for (service, user, memory, processes) in [("loki", 10001, 512_u64 << 20, 256), ("vector", 0, 256 << 20, 128)] {
        let process = Process::of(&stack.container(service));
        assert_eq!(process.user(), user, "{service}: user");
        assert_eq!(process.capabilities(), 0, "{service}: capabilities");
        assert!(process.gains_no_privileges(), "{service}: privileges");
        assert!(process.root_is_read_only(), "{service}: root");
        assert_eq!(process.memory_limit(), memory, "{service}: memory");
        assert!((process.processors() - 1.0).abs() < 0.001, "{service}: processors {}", process.processors());
        assert_eq!(process.process_limit(), processes, "{service}: processes");
        assert_eq!(process.file_limit(), 16384, "{service}: open files");
        let ports = inspect("container", &stack.container(service))["HostConfig"]["PortBindings"].clone();
        assert!(ports.as_object().is_none_or(serde_json::Map::is_empty), "{service}: {ports}");
        eventually(&format!("Prometheus to scrape {service}"), || {
            stack.query(&format!("up%7Bjob=%22{service}%22%7D")).filter(|up| *up > 0.0)
        });
    }

    let ids = |part: &str| (0..40).map(|number| format!("forwarded-{part}-{number:02}")).collect::<Vec<_>>();
    let stored = || {
        let mut stored: Vec<(String, String)> = stack
            .stored("forwarded-")?
            .into_iter()
            .map(|(component, line)| (component, line["request_id"].as_str().unwrap_or_default().to_owned()))
            .collect();
        stored.sort();
        Some(stored)
    };
    let of_app = |ids: Vec<String>| {
        let mut expected: Vec<(String, String)> = ids.into_iter().map(|id| ("app".to_owned(), id)).collect();
        expected.sort();
        expected
    };
    stack.requests(&ids("at-once"));
    eventually("the requests' lines in Loki", || stored().filter(|stored| stored.len() >= 40));

    // What is written while Vector is away it finds when it is back, whichever file it reads first.
    assert!(stack.compose(&["stop", "vector"]).status.success());
    stack.requests(&ids("while-away"));
    let other_project = format!("{}-other-app-1", stack.project);
    let _strangers = [
        Stranger::says(other_project, &["--log-opt", "tag={{.Name}}"], r#"{"level":"INFO","msg":"strangers-line"}"#),
        Stranger::says(format!("{}-untagged", stack.project), &[], "strangers-line"),
    ];
    let planted = "echo 'logger=planted level=info msg=planted-line password=hunter2' > /proc/1/fd/1";
    tell(&["exec", &stack.container("grafana"), "sh", "-c", planted]);
    assert!(stack.compose(&["start", "vector"]).status.success());
    eventually("the lines of Vector's absence in Loki", || stored().filter(|stored| stored.len() >= 80));
    // Behind all of these.
    stack.requests(&["forwarded-last".to_owned()]);
    let all = eventually("the last line in Loki", || stored().filter(|stored| stored.len() > 80));
    assert_eq!(all, of_app([ids("at-once"), ids("while-away"), vec!["forwarded-last".to_owned()]].concat()));

    let planted =
        eventually("the planted line in Loki", || stack.stored("planted-line").filter(|found| !found.is_empty()));
    assert_eq!(planted.len(), 1, "{planted:?}");
    assert_eq!((planted[0].0.as_str(), planted[0].1["password"].as_str()), ("grafana", Some("[redacted]")));
    assert_eq!(stack.stored("hunter2"), Some(Vec::new()));
    assert_eq!(stack.stored("strangers-line"), Some(Vec::new()));

    let output = stack.compose(&["down", "--volumes", "--timeout", "5"]);
    assert!(output.status.success(), "compose down: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(stack.remains(), "");
}

/// Prometheus reaches the service over the network, and the Watchdog's notification gets all the way to the receiver's volume.
fn scrapes_and_notifies(stack: &Stack) {
    for job in ["app", "prometheus", "alertmanager", "receiver", "probe"] {
        eventually(&format!("Prometheus to scrape {job}"), || {
            stack.query(&format!("up%7Bjob=%22{job}%22%7D")).filter(|up| *up > 0.0)
        });
    }
    eventually("a probe to succeed", || {
        stack.query("probe_success%7Bprobed=%22app%22%7D").filter(|success| *success > 0.0)
    });
    let before = get(stack.app, "/items", "").unwrap().0;
    assert_eq!(before, 200);
    eventually("a notification", || {
        get(stack.receiver, "/notifications", "").filter(|(_, text)| text.contains("\"Watchdog\""))
    });
}

/// A stack that this tool did not start gives evidence, too: what it lets be seen is judged, the rest is not proven.
#[test]
#[ignore = "needs an engine: just containers"]
fn evidence_is_collected_from_the_stack_in_containers() {
    let stack = Stack::up();
    scrapes_and_notifies(&stack);
    let place = tempfile::tempdir().unwrap();
    let there = format!(
        "127.0.0.1,app=http://127.0.0.1:{},prometheus=http://127.0.0.1:{},alertmanager=http://127.0.0.1:{},\
         receiver=http://127.0.0.1:{},grafana=http://127.0.0.1:{}",
        stack.app, stack.prometheus, stack.alertmanager, stack.receiver, stack.grafana
    );
    let aiclipx = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_aiclipx"))
            .arg("--state")
            .arg(place.path().join("state"))
            .args(arguments)
            .current_dir(root())
            .output()
            .unwrap();
        let said = [output.stdout.clone(), output.stderr].concat();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(said).unwrap())
    };
    // At production speed: a minute of traffic with faults is enough for all that is counted, and for no alert.
    let (code, _, said) = aiclipx(&["traffic", "02", "--duration", "60s", "--attach", &there]);
    assert_eq!(code, Some(0), "{said}");
    let out = place.path().join("bundles");
    let (code, path, said) = aiclipx(&["evidence", "--attach", &there, "--out", out.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let bundle = Path::new(path.trim());
    let verdicts = std::fs::read_to_string(bundle.join("verdicts.json")).unwrap();
    let verdicts: Vec<Value> = serde_json::from_str(&verdicts).unwrap();
    let verdict = |id: &str| {
        let claim = verdicts.iter().find(|claim| claim["id"] == format!("error-rate/{id}"));
        claim.unwrap_or_else(|| panic!("no claim {id}"))["verdict"].as_str().unwrap().to_owned()
    };
    for id in ["counters/requests", "counters/errors", "buckets", "exposed", "loaded", "config/prometheus", "watchdog"]
    {
        assert_eq!(verdict(id), "holds", "{id}\n{said}");
    }
    assert_eq!(verdict("config/alertmanager"), "holds", "{said}");
    assert_eq!(verdict("log"), "not_proven", "its files are the engine's");
    assert_eq!(verdict("alert-fires/AppHigh5xxErrorRate"), "not_proven", "a minute is too short for it");
    let (code, _, said) = aiclipx(&["verify", bundle.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    // What somebody else started nobody stops from here.
    let (code, _, said) = aiclipx(&["traffic", "07", "--attach", &there]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("did not start this stack"), "{said}");
}

/// The password is in one file that Grafana's user can read, and in nothing an engine would tell.
fn keeps_its_secrets(stack: &Stack) {
    for name in ["grafana_admin_password", "grafana_secret_key"] {
        let facts = stack.in_volume("grafana-secrets", &format!("busybox stat -c '%u %a' /volume/{name}"));
        assert_eq!(facts, "472 600", "{name}");
    }
    assert_eq!(stack.in_volume("grafana-secrets", "busybox stat -c '%u %a' /volume"), "472 700");
    assert_eq!(stack.in_volume("grafana-secrets", "cat /volume/grafana_admin_password"), PASSWORD);
    for service in ["app", "receiver", "prometheus", "alertmanager", "secrets", "grafana"] {
        let told = inspect("container", &stack.container(service)).to_string();
        assert!(!told.contains(PASSWORD), "{service}: inspect tells the password");
    }
    eventually("Grafana's place to answer", || {
        get(stack.grafana, "/api/health", "").filter(|(status, _)| *status == 200)
    });
    assert_eq!(inspect("container", &stack.container("secrets"))["State"]["ExitCode"], 0);
}

fn publishes_on_loopback_only(stack: &Stack) {
    for service in ["app", "receiver", "prometheus", "alertmanager", "grafana"] {
        let ports = inspect("container", &stack.container(service))["HostConfig"]["PortBindings"].clone();
        let bindings: Vec<&Value> = ports.as_object().unwrap().values().filter_map(Value::as_array).flatten().collect();
        assert!(!bindings.is_empty(), "{service}: {ports}");
        assert!(bindings.iter().all(|binding| binding["HostIp"] == "127.0.0.1"), "{service}: {ports}");
        // One each: the service's port for the monitoring stays on the containers' networks.
        assert_eq!(bindings.len(), 1, "{service}: {ports}");
    }
}

/// podman's networks always translate; Docker's has the word for it.
fn has_no_way_out(stack: &Stack) {
    let network = |name: &str| inspect("network", &format!("{}_{name}", stack.project));
    if is_docker() {
        assert_eq!(network("edge")["Options"]["com.docker.network.bridge.enable_ip_masquerade"], "false");
    }
    let internal = network("monitoring");
    assert!(internal["Internal"] == true || internal["internal"] == true, "{internal}");
}

/// Docker's own files, as Vector reads them: with one power, and knowing by the tag whose line each is.
fn names_whose_line_it_is(stack: &Stack) {
    // The receiver, while all is well, has nothing to say.
    for service in ["app", "prometheus", "alertmanager"] {
        let container = stack.container(service);
        let log = inspect("container", &container)["LogPath"].as_str().unwrap().to_owned();
        let (folder, name) = log.rsplit_once('/').unwrap();
        let mount = format!("{folder}:/log:ro");
        let start = ["run", "--rm", "--network", "none", "--user", "0", "--cap-drop", "ALL", "--cap-add"];
        let rest = ["DAC_READ_SEARCH", "--volume", &mount, "--entrypoint", "/bin/cat"];
        let file = format!("/log/{name}");
        let text = tell(&[&start[..], &rest, &["localhost/aiclipx-stand-in-grafana:tested", &file]].concat());
        assert!(!text.is_empty(), "{service}: {log} is empty");
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["attrs"]["tag"], container, "{service}: {line}");
            let said = line["log"].as_str().unwrap();
            assert!(said.ends_with('\n'), "{service}: {line}");
            let is_json = serde_json::from_str::<Value>(said).is_ok_and(|said| said["msg"].is_string());
            assert!(is_json || service != "app", "{service}: {line}");
        }
    }
}

/// Compose reads .env for its variables, the tool reads it for the password: what one takes for a value, so does the other.
#[test]
#[ignore = "needs an engine: just containers"]
fn an_environment_file_is_read_one_way() {
    let place = tempfile::tempdir().unwrap();
    clone_into(place.path());
    for line in [
        "{}=plain",
        "  {} = spaced-out \t",
        "export {}='single # kept'",
        "{}=\"double # kept\"   # gone",
        "{}=a#b # gone",
        "{}=#at-first",
        "{}=a=b",
        "{}=first\n{}=last",
        "{}=crlf\r",
    ] {
        let line = |name: &str| line.replace("{}", name);
        let text = format!("{}\n{}\n", line("PROMETHEUS_RETENTION_SIZE"), line("GF_SECURITY_ADMIN_PASSWORD"));
        let file = place.path().join(".env");
        std::fs::write(&file, &text).unwrap();
        let secrets = place.path().join("secrets");
        let [file, folder] = [&file, &secrets].map(|path| path.to_str().unwrap());
        said(env!("CARGO_BIN_EXE_aiclipx"), &["secrets", "--env-file", file, "--folder", folder]);
        let ours = std::fs::read_to_string(secrets.join("grafana_admin_password")).unwrap();

        let resolved = compose().arg("config").current_dir(place.path()).output().unwrap();
        let resolved = String::from_utf8(resolved.stdout).unwrap();
        let resolved: Value = serde_saphyr::from_str(&resolved).unwrap();
        let words = resolved["services"]["prometheus"]["command"].as_array().unwrap();
        let theirs =
            words.iter().find_map(|word| word.as_str()?.strip_prefix("--storage.tsdb.retention.size=")).unwrap();
        assert_eq!(ours, theirs, "{text}");
    }
}

/// Containers run as users of their own. Bound files of a clone that only its owner reads stop them, one after the other.
#[test]
fn a_clone_that_only_its_owner_reads_is_refused_with_what_to_type() {
    let place = tempfile::tempdir().unwrap();
    clone_into(place.path());
    // All that the script may find: no engine among it, so that nothing is started whatever it decides.
    let path = place.path().join("bin");
    std::fs::create_dir(&path).unwrap();
    for name in ["bash", "dirname", "find"] {
        symlink(said("sh", &["-c", &format!("command -v {name}")]), path.join(name)).unwrap();
    }
    let up = || {
        let mut script = Command::new(path.join("bash"));
        let output = script.arg(place.path().join("scripts/compose.sh")).arg("up").env("PATH", &path).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let file = place.path().join("monitoring/prometheus/rules/app.yml");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let (code, said) = up();
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("monitoring/prometheus/rules/app.yml") && said.contains("chmod -R go+rX monitoring"),
        "{said}"
    );
    let chmod = Command::new("chmod").args(["-R", "go+rX", "monitoring"]).current_dir(place.path()).status().unwrap();
    assert!(chmod.success());
    let (code, said) = up();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("neither podman with podman-compose nor docker compose"), "{said}");
}

/// Log forwarding is asked for; nothing else waits for it, publishes for it, or is given more than it needs.
#[test]
fn log_forwarding_stands_under_a_profile() {
    let text = std::fs::read_to_string(Path::new(root()).join("compose.yaml")).unwrap();
    let compose: Value = serde_saphyr::from_str(&text).unwrap();
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        let is_optional = ["vector", "loki", "database"].contains(&name.as_str());
        let profile = if name == "database" { "database" } else { "logs" };
        let profiles = if is_optional { serde_json::json!([profile]) } else { Value::Null };
        assert_eq!(service.get("profiles").cloned().unwrap_or_default(), profiles, "{name}");
        assert!(!is_optional || service.get("ports").is_none(), "{name} is published");
        let waits = service["depends_on"].to_string();
        assert!(!waits.contains("vector") && !waits.contains("loki"), "{name} waits for what is optional");
    }
    assert_eq!(services["vector"].get("cap_add"), None, "the owner of the engine's files needs no power to read them");
    let volumes = services["vector"]["volumes"].as_array().unwrap();
    let (named, bound): (Vec<_>, Vec<_>) = volumes.iter().partition(|volume| **volume == "vector-data:/var/lib/vector");
    assert_eq!(named.len(), 1);
    let is_read_only = |volume: &&Value| {
        volume["read_only"] == true || volume.as_str().is_some_and(|volume| volume.ends_with(":ro,z"))
    };
    assert!(bound.iter().all(is_read_only), "{bound:?}");
    let of_the_engine = bound.iter().find(|volume| volume["target"] == "/var/log/aiclipx/containers").unwrap();
    assert_eq!(of_the_engine["bind"]["create_host_path"], false, "made empty, it would be read for ever");
}

/// A tag means what its publisher says today; a digest is the image. `just update` writes them, where the registry answers.
#[test]
fn every_image_of_a_registry_is_named_once_and_by_its_digest() {
    /// Where nobody who pinned them could ask, nor find the digest in two places that don't copy each other.
    const WITHOUT: [&str; 2] = ["docker.io/grafana/grafana", "docker.io/timberio/vector"];
    let read = |name: &str| std::fs::read_to_string(root().join(name)).unwrap();
    let text = read("compose.yaml") + &read("Containerfile");
    let images: Vec<&str> = text
        .split(|separator: char| separator.is_whitespace() || separator == '}')
        .filter_map(|word| word.find("docker.io/").map(|at| &word[at..]))
        .collect();
    assert_eq!(images.len(), 8, "{images:?}");
    let mut names = Vec::new();
    for image in images {
        let (name, rest) = image.split_once(':').unwrap();
        let (tag, digest) = rest.split_once('@').unwrap_or((rest, ""));
        assert!(!names.contains(&name), "{name} is named twice");
        names.push(name);
        assert!(tag.starts_with(|first: char| first == 'v' || first.is_ascii_digit()), "{image}");
        if WITHOUT.contains(&name) {
            assert_eq!(digest, "", "{name} has a digest now: take it off this list");
            continue;
        }
        let digits = digest.strip_prefix("sha256:").unwrap_or_else(|| panic!("{image} has no digest"));
        assert!(digits.len() == 64 && digits.chars().all(|digit| digit.is_ascii_hexdigit()), "{image}");
    }
}

/// Where compose.yaml and the others name one thing twice, they name it alike.
#[test]
fn every_variable_of_compose_yaml_is_explained_in_the_example() {
    let read = |name: &str| std::fs::read_to_string(Path::new(root()).join(name)).unwrap();
    let (compose, example) = (read("compose.yaml"), read(".env.example"));
    // `$$` is compose's own way to leave a `$` to a shell.
    let compose = compose.replace("$$", "");
    let mut variables: Vec<&str> =
        compose.split("${").skip(1).filter_map(|rest| rest.split([':', '}']).next()).collect();
    variables.sort_unstable();
    variables.dedup();
    assert!(variables.len() > 8, "{variables:?}");
    for variable in variables {
        let line = format!("{variable}=");
        assert!(
            example.lines().any(|explained| explained.trim_start_matches('#').starts_with(&line)),
            ".env.example says nothing of {variable}"
        );
    }
}

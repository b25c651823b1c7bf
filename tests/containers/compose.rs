//! compose.yaml as it stands, with monitoring/ as it stands, brought up by podman-compose.
//!
//! Upstream's images can't be fetched where only a distribution is reachable: Prometheus and Alertmanager are then the
//! distribution's own programs in images from scratch, and in place of Grafana busybox answers its health path. They stand
//! in for the programs, not for what is tried here: the wiring, the secrets, the limits.

use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::engine::{Process, eventually, free_port, get, inspect, root, run, said};

/// What Debian's Alertmanager reads from its package; upstream's holds it.
const DEFAULT: &str = "/usr/share/prometheus/alertmanager/default.tmpl";
const EMAIL: &str = "/usr/share/prometheus/alertmanager/email.tmpl";
const PASSWORD: &str = "not-to-be-seen-anywhere";

/// Programs and files of this machine, with the libraries they load, as an image with upstream's layout.
fn stand_in(name: &str, programs: &[(&str, &str)], folders: &[(&str, &str)], extra: &str) -> String {
    let context = tempfile::tempdir().unwrap();
    let mut recipe = "FROM scratch\n".to_owned();
    for (names, inside) in programs {
        // A file by its path is taken where there is one; of a program's names, the first that is on PATH.
        let found = match names.strip_prefix('/') {
            Some(_) if Path::new(names).is_file() => (*names).to_owned(),
            Some(_) => continue,
            None => said("sh", &["-c", &format!("command -v {}", names.replace('|', " || command -v "))]),
        };
        let mut files = vec![(found.clone(), (*inside).to_owned())];
        let libraries = run("ldd", &[&found]);
        for word in String::from_utf8(libraries.stdout).unwrap().split_whitespace().filter(|word| word.starts_with('/'))
        {
            files.push((word.to_owned(), word.to_owned()));
        }
        for (from, to) in files {
            let aside = context.path().join(to.trim_start_matches('/'));
            std::fs::create_dir_all(aside.parent().unwrap()).unwrap();
            std::fs::copy(&from, &aside).unwrap();
            writeln!(recipe, "COPY .{to} {to}").unwrap();
        }
    }
    for (folder, owner) in folders {
        let aside = format!("empty{}", folder.replace('/', "-"));
        std::fs::create_dir_all(context.path().join(&aside)).unwrap();
        writeln!(recipe, "COPY --chown={owner} {aside} {folder}").unwrap();
    }
    recipe.push_str(extra);
    std::fs::write(context.path().join("Containerfile"), recipe).unwrap();
    let tag = format!("localhost/aiclipx-stand-in-{name}:tested");
    said("podman", &["build", "--format", "docker", "--tag", &tag, context.path().to_str().unwrap()]);
    tag
}

/// The stack, in a folder of its own that holds what a clone holds; gone when the test is.
struct Stack {
    folder: tempfile::TempDir,
    project: String,
    prometheus: u16,
    alertmanager: u16,
    receiver: u16,
    app: u16,
    grafana: u16,
}

impl Stack {
    fn up() -> Stack {
        let folder = tempfile::tempdir().unwrap();
        let stack = Stack {
            project: format!("aiclipx-test-{}", std::process::id()),
            prometheus: free_port(),
            alertmanager: free_port(),
            receiver: free_port(),
            app: free_port(),
            grafana: free_port(),
            folder,
        };
        for part in ["compose.yaml", "monitoring"] {
            said("cp", &["-r", root().join(part).to_str().unwrap(), stack.folder.path().to_str().unwrap()]);
        }
        for (target, program) in [("app", "aiclipx-app"), ("receiver", "aiclipx-receiver")] {
            let build = format!("build --format docker --target dist-{target} --tag localhost/{program}:tested .");
            said("podman", &build.split(' ').collect::<Vec<_>>());
        }
        let prometheus = stand_in(
            "prometheus",
            &[("prometheus", "/bin/prometheus"), ("promtool", "/bin/promtool")],
            &[("/prometheus", "65534:65534")],
            "ENTRYPOINT [\"/bin/prometheus\"]\n",
        );
        let alertmanager = stand_in(
            "alertmanager",
            &[
                ("alertmanager|prometheus-alertmanager", "/bin/alertmanager"),
                ("amtool", "/bin/amtool"),
                (DEFAULT, DEFAULT),
                (EMAIL, EMAIL),
            ],
            &[("/alertmanager", "65534:65534")],
            "ENTRYPOINT [\"/bin/alertmanager\"]\n",
        );
        let grafana = stand_in(
            "grafana",
            &[("busybox", "/bin/busybox")],
            &[("/var/lib/grafana", "472:0")],
            "SHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n\
             RUN /bin/busybox --install -s /bin && mkdir -p /www/api && echo '{}' > /www/api/health && \
             printf '#!/bin/sh\\nset -e\\ntest -s /run/secrets/grafana_admin_password\\ncat /run/secrets/* > /dev/null\\nexec busybox httpd -f -p 3000 -h /www\\n' \
             > /bin/grafana && chmod 755 /bin/grafana\nENV PATH=/bin\n",
        );
        let settings = format!(
            "GF_SECURITY_ADMIN_PASSWORD={PASSWORD}\nAPP_FAULTS=on\nAPP_PORT={}\nPROMETHEUS_PORT={}\n\
             ALERTMANAGER_PORT={}\nRECEIVER_PORT={}\nGRAFANA_PORT={}\nAPP_IMAGE=localhost/aiclipx-app:tested\nRECEIVER_IMAGE=localhost/aiclipx-receiver:tested\n\
             PROMETHEUS_IMAGE={prometheus}\nALERTMANAGER_IMAGE={alertmanager}\nGRAFANA_IMAGE={grafana}\n",
            stack.app, stack.prometheus, stack.alertmanager, stack.receiver, stack.grafana
        );
        let file = stack.folder.path().join(".env");
        std::fs::write(&file, settings).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        let output = stack.compose(&["up", "--detach", "--no-build"]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "podman-compose up: {}\n{text}", output.status);
        stack
    }

    fn compose(&self, arguments: &[&str]) -> Output {
        Command::new("podman-compose")
            .args(["--project-name", &self.project])
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    fn container(&self, service: &str) -> String {
        let filter = format!("label=com.docker.compose.service={service}");
        let project = format!("label=com.docker.compose.project={}", self.project);
        said("podman", &["ps", "--all", "--filter", &filter, "--filter", &project, "--format", "{{.Names}}"])
    }

    /// Where the engine keeps a named volume.
    fn volume(&self, name: &str) -> PathBuf {
        said("podman", &["volume", "inspect", "--format", "{{.Mountpoint}}", &format!("{}_{name}", self.project)])
            .into()
    }

    /// The value of a query that has one.
    fn query(&self, expression: &str) -> Option<f64> {
        let (_, body) = get(self.prometheus, &format!("/api/v1/query?query={expression}"), "")?;
        let answer: Value = serde_json::from_str(&body).ok()?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
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
    keeps_its_secrets(&stack);
    publishes_on_loopback_only(&stack);

    for service in ["app", "receiver", "prometheus", "alertmanager", "grafana"] {
        let container = stack.container(service);
        eventually(&format!("{service} to be healthy"), || {
            run("podman", &["healthcheck", "run", &container]).status.success().then_some(())
        });
    }
}

/// Prometheus reaches the service over the network, and the Watchdog's notification gets all the way to the receiver's volume.
fn scrapes_and_notifies(stack: &Stack) {
    for job in ["app", "prometheus", "alertmanager", "receiver"] {
        eventually(&format!("Prometheus to scrape {job}"), || {
            stack.query(&format!("up%7Bjob=%22{job}%22%7D")).filter(|up| *up > 0.0)
        });
    }
    let before = get(stack.app, "/items", "").unwrap().0;
    assert_eq!(before, 200);
    let notifications = stack.volume("receiver-data").join("notifications.jsonl");
    eventually("a notification", || {
        std::fs::read_to_string(&notifications).ok().filter(|text| text.contains("\"Watchdog\""))
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
    let (code, _, said) = aiclipx(&["traffic", "run", "02", "--duration", "60s", "--attach", &there]);
    assert_eq!(code, Some(0), "{said}");
    let out = place.path().join("bundles");
    let (code, path, said) = aiclipx(&["evidence", "collect", "--attach", &there, "--out", out.to_str().unwrap()]);
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
    let (code, _, said) = aiclipx(&["evidence", "verify", bundle.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    // What somebody else started nobody stops from here.
    let (code, _, said) = aiclipx(&["traffic", "run", "07", "--attach", &there]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("did not start this stack"), "{said}");
}

/// The password is in one file that Grafana's user can read, and in nothing an engine would tell.
fn keeps_its_secrets(stack: &Stack) {
    let volume = stack.volume("grafana-secrets");
    for name in ["grafana_admin_password", "grafana_secret_key"] {
        let file = volume.join(name);
        let facts = std::fs::metadata(&file).unwrap();
        assert_eq!((facts.uid(), facts.mode() & 0o777), (472, 0o400), "{name}");
    }
    assert_eq!(std::fs::read_to_string(volume.join("grafana_admin_password")).unwrap(), PASSWORD);
    for service in ["app", "receiver", "prometheus", "alertmanager", "secrets", "grafana"] {
        let told = inspect("container", &stack.container(service)).to_string();
        assert!(!told.contains(PASSWORD), "{service}: podman inspect tells the password");
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
    }
}

/// Log forwarding is asked for; nothing else waits for it, publishes for it, or is given more than it needs.
#[test]
fn log_forwarding_stands_under_a_profile() {
    let text = std::fs::read_to_string(Path::new(root()).join("compose.yaml")).unwrap();
    let compose: Value = serde_saphyr::from_str(&text).unwrap();
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        let is_optional = ["vector", "loki"].contains(&name.as_str());
        let profiles = if is_optional { serde_json::json!(["logs"]) } else { Value::Null };
        assert_eq!(service.get("profiles").cloned().unwrap_or_default(), profiles, "{name}");
        assert!(!is_optional || service.get("ports").is_none(), "{name} is published");
        let waits = service["depends_on"].to_string();
        assert!(!waits.contains("vector") && !waits.contains("loki"), "{name} waits for what is optional");
    }
    assert_eq!(services["vector"]["cap_add"], serde_json::json!(["DAC_READ_SEARCH"]));
    let read_only = |volume: &Value| volume.as_str().is_some_and(|volume| volume.ends_with(":ro"));
    let volumes = services["vector"]["volumes"].as_array().unwrap();
    assert!(
        volumes
            .iter()
            .filter(|volume| volume.to_string().contains('/'))
            .filter(|volume| !read_only(volume))
            .eq(["vector-data:/var/lib/vector"])
    );
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

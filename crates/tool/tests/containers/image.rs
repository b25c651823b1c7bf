//! The service's image: what it says of itself, and how it behaves alone.

use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::engine::{
    Process, build, check_health, engine, eventually, free_port, get, inspect, remove, run, said, tell,
};

/// The image that is tried: the Containerfile's, made from `just dist`'s binary; or one that was made elsewhere and loaded.
fn image() -> String {
    static IMAGE: OnceLock<String> = OnceLock::new();
    let make = || {
        let tag = "localhost/aiclipx-app:described";
        build("dist-app", tag, &["--build-arg", "REVISION=tested"]);
        tag.to_owned()
    };
    IMAGE.get_or_init(|| std::env::var("AICLIPX_IMAGE").unwrap_or_else(|_| make())).clone()
}

/// A container of the service, hardened as compose.yaml hardens it, that is gone when the test is.
struct Service {
    name: String,
    port: u16,
}

impl Service {
    fn start(name: &str, options: &[&str]) -> Service {
        let service = Service { name: format!("aiclipx-test-{name}-{}", std::process::id()), port: free_port() };
        let publish = format!("127.0.0.1:{}:8080", service.port);
        let mut arguments = vec!["run", "--detach", "--name", &service.name, "--publish", &publish];
        arguments.extend(["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]);
        arguments.extend([
            "--memory",
            "64m",
            "--pids-limit",
            "64",
            "--ulimit",
            "nofile=1024:1024",
            "--ulimit",
            "nproc=4096:4096",
        ]);
        arguments.extend(options);
        let image = image();
        arguments.push(&image);
        tell(&arguments);
        service.wait_until_ready();
        service
    }

    fn get(&self, path: &str, header: &str) -> Option<(u16, String)> {
        get(self.port, path, header)
    }

    fn wait_until_ready(&self) {
        eventually("the service to be ready", || self.get("/health/ready", "").filter(|(status, _)| *status == 200));
    }

    fn health(&self) -> Option<i32> {
        check_health(&self.name)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

#[test]
#[ignore = "needs an engine: just containers"]
fn both_makers_say_the_same_of_the_image() {
    let found = inspect("image", &image())["Config"].clone();
    let revision = match std::env::var("AICLIPX_IMAGE") {
        Ok(_) => found["Labels"]["org.opencontainers.image.revision"].as_str().unwrap().to_owned(),
        Err(_) => "tested".to_owned(),
    };
    let expression = format!(
        "import ./nix/image-config.nix {{ version = \"{}\"; revision = \"{revision}\"; }}",
        env!("CARGO_PKG_VERSION")
    );
    let expected = said("nix-instantiate", &["--eval", "--strict", "--json", "--expr", &expression]);
    let expected: Value = serde_json::from_str(&expected).unwrap();

    for (field, expected) in expected.as_object().unwrap() {
        let mut found = found[field].clone();
        match field.as_str() {
            // The builder's own: the path it would look programs up in, and its version.
            "Env" => found.as_array_mut().unwrap().retain(|entry| !entry.as_str().unwrap().starts_with("PATH=")),
            "Labels" => drop(found.as_object_mut().unwrap().remove("io.buildah.version")),
            // podman tells it beside the configuration.
            "Healthcheck" if found.is_null() => found = inspect("image", &image())["Healthcheck"].clone(),
            _ => {}
        }
        assert_eq!(&found, expected, "{field}");
    }
    for field in ["Cmd", "Volumes", "OnBuild"] {
        assert!(matches!(&found[field], Value::Null) || found[field] == json!({}), "{field}: {}", found[field]);
    }
}

#[test]
#[ignore = "needs an engine: just containers"]
fn it_serves_as_nobody_without_privileges_on_a_read_only_root_in_64_mib() {
    let service = Service::start("hardened", &[]);
    let process = Process::of(&service.name);
    assert_eq!(process.user(), 65532);
    assert!(process.is_powerless());
    assert!(process.root_is_read_only());
    assert_eq!(process.memory_limit(), 64 << 20);
    assert_eq!(process.process_limit(), 64);

    assert_eq!(service.get("/", "").unwrap().0, 200);
    let metrics = service.get("/metrics", "").unwrap().1;
    assert!(metrics.contains("app_ready 1"), "{metrics}");
    assert!(metrics.contains("\napp_memory_limit_bytes 67108864\n"), "{metrics}");
}

#[test]
#[ignore = "needs an engine: just containers"]
fn it_holds_no_shell_and_nothing_but_the_program() {
    let service = Service::start("bare", &[]);
    let listing =
        Command::new("sh").arg("-c").arg(format!("{} export {} | tar -t", engine(), service.name)).output().unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    // What the engine puts in by itself; a name that ends in `/` is a folder.
    let files: Vec<&str> = listing
        .lines()
        .filter(|name| {
            !name.ends_with('/')
                && ![".dockerenv", "dev", "etc", "proc", "run", "sys"].contains(&name.split('/').next().unwrap())
        })
        .collect();
    assert!(
        files.contains(&"bin/aiclipx-app") && files.iter().all(|name| name.ends_with("bin/aiclipx-app")),
        "{files:?}"
    );
    assert!(!run(&engine(), &["exec", &service.name, "/bin/sh", "-c", "true"]).status.success());
}

#[test]
#[ignore = "needs an engine: just containers"]
fn its_health_check_passes_while_it_is_ready_and_fails_while_it_drains() {
    let service = Service::start("health", &["--env", "APP_DRAIN_DELAY=60s"]);
    assert_eq!(service.health(), Some(0));
    tell(&["kill", "--signal", "TERM", &service.name]);
    eventually("readiness to be withdrawn", || service.get("/health/ready", "").filter(|(status, _)| *status == 503));
    assert_eq!(service.health(), Some(1));
}

#[test]
#[ignore = "needs an engine: just containers"]
fn told_to_stop_it_answers_what_it_has_begun_and_ends_with_0() {
    let service = Service::start("drain", &["--env", "APP_FAULTS=on"]);
    let port = service.port;
    let slow = std::thread::spawn(move || get(port, "/items", "x-fault: delay=3s\r\n"));
    eventually("the slow request to be in its hands", || {
        service.get("/metrics", "").filter(|(_, body)| body.contains("app_requests_in_flight 2"))
    });
    tell(&["stop", "--time", "30", &service.name]);
    assert_eq!(slow.join().unwrap().map(|(status, _)| status), Some(200));
    assert_eq!(inspect("container", &service.name)["State"]["ExitCode"], 0);
}

#[test]
#[ignore = "needs an engine: just containers"]
fn killed_it_is_started_again() {
    let service = Service::start("restart", &["--restart", "on-failure"]);
    let killed = Process::of(&service.name).pid;
    said("kill", &["-KILL", &killed.to_string()]);
    eventually("another process", || {
        let pid = inspect("container", &service.name)["State"]["Pid"].as_u64().unwrap();
        (pid != 0 && pid != u64::from(killed)).then_some(())
    });
    service.wait_until_ready();
}

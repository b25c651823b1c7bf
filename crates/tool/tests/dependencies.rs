//! Who may depend on what, as cargo tells it: the service on the user's crates and what carries them, the pure crates on nothing
//! that waits.

#![expect(clippy::unwrap_used, reason = "a test file throughout: what can't be read fails the test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The crates the service is built from, each a direct dependency.
const SERVICE: [&str; 8] = ["warp", "tokio", "prometheus", "log", "env_logger", "serde", "serde_json", "once_cell"];

/// What carries them; another direct dependency is somebody's decision, and a line here.
const CARRIERS: [&str; 11] = [
    "aiclipx-base",
    "aiclipx-http",
    "hyper",
    "hyper-util",
    "http-body-util",
    "pin-project-lite",
    "tower-service",
    "bytes",
    "futures-util",
    "percent-encoding",
    "rustix",
];

/// Never in the service, however they might come in: the tool's own, a second server stack, TLS, clients of other protocols.
const FOREIGN: [&str; 24] = [
    "aiclipx-model",
    "anyhow",
    "clap",
    "clap_builder",
    "maud",
    "promql-parser",
    "serde-saphyr",
    "toml",
    "h2",
    "rustls",
    "native-tls",
    "openssl",
    "openssl-sys",
    "ring",
    "aws-lc-rs",
    "tungstenite",
    "tokio-tungstenite",
    "headless_chrome",
    "chromiumoxide",
    "reqwest",
    "ureq",
    "tempfile",
    "tokio-postgres",
    "deadpool",
];

/// What a service with PostgreSQL has besides, and may have: TLS in Rust.
const POSTGRES: [&str; 4] = ["tokio-postgres", "deadpool", "rustls", "ring"];

/// They read a folder, and nothing else.
const PURE: [&str; 4] = ["aiclipx-base", "aiclipx-model", "aiclipx-dashboard", "aiclipx-judge"];

/// What waits, or speaks to anybody.
const WAITS: [&str; 5] = ["tokio", "hyper", "aiclipx-http", "aiclipx-stack", "aiclipx-runner"];

/// The names of a package's dependencies, those of its tests left out.
fn tree(package: &str, depth: &str) -> BTreeSet<String> {
    tree_with(package, depth, "")
}

/// The same, with more arguments.
fn tree_with(package: &str, depth: &str, more: &str) -> BTreeSet<String> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let arguments = format!(
        "tree --frozen --edges normal,build --prefix none --format {{p}} --depth {depth} --package {package} {more}"
    );
    let output = Command::new(env!("CARGO")).args(arguments.split_whitespace()).current_dir(root).output().unwrap();
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    told.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_service_is_built_from_its_own_crates_and_from_nothing_of_the_tools() {
    let direct = tree("aiclipx-app", "1");
    let missing: Vec<_> = SERVICE.into_iter().filter(|name| !direct.contains(*name)).collect();
    assert!(missing.is_empty(), "no direct dependencies of the service: {missing:?}");
    let known = |name: &str| name == "aiclipx-app" || SERVICE.contains(&name) || CARRIERS.contains(&name);
    let strange: Vec<_> = direct.iter().filter(|name| !known(name)).collect();
    assert!(strange.is_empty(), "direct dependencies of the service that nobody asked for: {strange:?}");
    let all = tree("aiclipx-app", "99");
    let found: Vec<_> = FOREIGN.into_iter().filter(|name| all.contains(*name)).collect();
    assert!(
        found.is_empty(),
        "the service's tree holds {found:?}; see `cargo tree -p aiclipx-app -e normal,build -i NAME`"
    );
}

#[test]
fn with_postgres_the_service_has_its_client_besides_and_nothing_else_that_is_foreign() {
    let (all, without) = (tree_with("aiclipx-app", "99", "--features postgres"), tree("aiclipx-app", "99"));
    for name in POSTGRES {
        assert!(all.contains(name) && !without.contains(name), "{name}");
    }
    let found: Vec<_> = FOREIGN.into_iter().filter(|name| all.contains(*name) && !POSTGRES.contains(name)).collect();
    assert!(found.is_empty(), "the service's tree with PostgreSQL holds {found:?}");
}

#[test]
fn what_is_pure_depends_on_nothing_that_waits() {
    for package in PURE {
        let all = tree(package, "99");
        assert!(all.contains("serde"), "cargo tree answered something else: {all:?}");
        let found: Vec<_> = WAITS.into_iter().filter(|name| all.contains(*name)).collect();
        assert!(found.is_empty(), "{package} holds {found:?}; see `cargo tree -p {package} -e normal,build -i NAME`");
    }
}

//! supervisord: starting it, and whether it runs. It restarts, signals, keeps log files and rotates them; nothing of that is
//! done here.

pub(super) mod configuration;
pub(super) mod log_tail;
pub(super) mod supervisorctl;

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use anyhow::Context;
use tokio::process::{Child, Command};

use super::layout::SUPERVISORD_PID;
use super::life::command_line;
use super::plan::Plan;
use super::tools::{Wanted, executables, helper};
use aiclipx_model::failure::Failure;

/// supervisord says its bare version.
pub(super) const SUPERVISORD: Wanted =
    Wanted { names: &["supervisord"], marker: "", elder: None, nix: "nix develop", debian: Some("./dev just up") };

/// Set in the programs' environment if it is set in ours: what programs need to run, and the service's settings.
/// Everything else stays out, because an environment is readable in /proc and ours may hold secrets.
const PASSED: [&str; 13] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "GOMEMLIMIT",
    "GOMAXPROCS",
    "GOGC",
    "RUST_BACKTRACE",
];
const PASSED_PREFIXES: [&str; 5] = ["APP_", "LC_", "NIX_", "PYENV_", "PYTHON"];

/// `setpriv --pdeathsig KILL --`, where it works: what follows is then killed when its parent dies, even by SIGKILL.
pub(super) async fn death_prefix() -> Vec<String> {
    if !cfg!(target_os = "linux") {
        return Vec::new();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    for setpriv in executables("setpriv", &path) {
        // Busybox has a setpriv that does not know the option.
        let tried = helper(&setpriv)
            .args(["--pdeathsig", "KILL", "--", "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if tried.await.is_ok_and(|status| status.success()) {
            let words = ["--pdeathsig", "KILL", "--"].map(str::to_owned);
            return std::iter::once(setpriv.to_string_lossy().into_owned()).chain(words).collect();
        }
    }
    Vec::new()
}

pub(super) fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        PASSED.contains(&&*name) || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

/// Starts a supervisord that outlives us. It has detached itself and opened its socket when this returns.
pub(super) async fn start_attached(supervisord: &Path, plan: &Plan) -> Result<(), Failure> {
    let output = helper(supervisord)
        .arg("-c")
        .arg(configuration::file(plan))
        .current_dir(&plan.state)
        .env_clear()
        .envs(environment())
        .output()
        .await
        .with_context(|| format!("cannot run {}", supervisord.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(Failure::infrastructure(format!("supervisord did not start: {}", String::from_utf8_lossy(&said).trim())))
}

/// Starts a supervisord that dies with us: killed when dropped, and on Linux when this *thread* ends, so this must
/// run on a thread that lives as long as the stack (a runtime's worker or its `block_on`, not `spawn_blocking`).
pub(super) fn start_private(supervisord: &Path, plan: &Plan, death_prefix: &[String]) -> Result<Child, Failure> {
    let complaints = plan.logs().join("supervisord.err");
    let complaints = File::create(&complaints).with_context(|| format!("cannot write {}", complaints.display()))?;
    let program = supervisord.to_string_lossy().into_owned();
    let mut words = death_prefix.iter().chain(std::iter::once(&program));
    let first = words.next().expect("the program itself is a word");
    let child = Command::new(first)
        .args(words)
        .arg("-n")
        .arg("-c")
        .arg(configuration::file(plan))
        .current_dir(&plan.state)
        .env_clear()
        .envs(environment())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(complaints)
        // Ctrl-C goes to the whole foreground group; ours to handle, in our order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    Ok(child.with_context(|| format!("cannot run {first}"))?)
}

/// The process id of this plan's supervisord, if it is alive.
pub(super) async fn running(plan: &Plan) -> Option<u32> {
    running_in(&plan.state, plan).await
}

/// The same, where the state directory lies elsewhere now than when it was started.
pub(super) async fn running_in(state: &Path, plan: &Plan) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(state.join(SUPERVISORD_PID)).ok()?.trim().parse().ok()?;
    // Process ids are used again: it is ours if it was started with our configuration.
    let command_line = command_line(pid).await?;
    command_line.contains(&*configuration::file(plan).to_string_lossy()).then_some(pid)
}

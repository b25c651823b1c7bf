//! Prometheus and Alertmanager alone, for some seconds: what a fire drill lives on.
//!
//! Children of this process, at addresses nobody else knows, in a folder that the caller owns; killed with us, whatever happens,
//! and without more ado: what they have in hand is asked for before. No supervisor, no restarts, no scrapes.
//!
//! Not for: what they load, and what is sent to them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::component::{Component, Source};
use super::logs::last_lines;
use super::ports::hidden_address;
use super::readiness::{READY_LIMIT, TICK};
use super::supervisor::{death_prefix, environment};
use super::tools::{self, Tool, Wanted, helper};
use aiclipx_base::address::Address;
use aiclipx_http::client;
use aiclipx_model::failure::Failure;

/// The programs, found on PATH.
#[derive(Debug, Clone)]
pub struct Programs {
    pub prometheus: Tool,
    pub alertmanager: Tool,
    pub amtool: Tool,
    pub promtool: Tool,
    death_prefix: Vec<String>,
}

const AMTOOL: Wanted = Wanted {
    names: &["amtool"],
    marker: "amtool, version ",
    elder: None,
    nix: "nix develop",
    debian: Some("apt-get install --no-install-recommends prometheus-alertmanager"),
};

const PROMTOOL: Wanted = Wanted {
    names: &["promtool"],
    marker: "promtool, version ",
    elder: None,
    nix: "nix develop",
    debian: Some("apt-get install --no-install-recommends prometheus"),
};

impl Programs {
    /// Looks for all of them; what is not there is told with what brings it.
    pub async fn find() -> Result<Programs, Failure> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let find = async |wanted: &Wanted| {
            tools::find(wanted, &path).await.ok_or_else(|| {
                Failure::usage(format!("there is no {} on PATH", wanted.names[0]))
                    .remedy(format!("{} brings it", wanted.remedy()))
            })
        };
        let of = |component: Component| match component.source() {
            Source::Path(wanted) => wanted,
            Source::Service | Source::Tool => unreachable!("the two are programs of others"),
        };
        Ok(Programs {
            prometheus: find(of(Component::Prometheus)).await?,
            alertmanager: find(of(Component::Alertmanager)).await?,
            amtool: find(&AMTOOL).await?,
            promtool: find(&PROMTOOL).await?,
            death_prefix: death_prefix().await,
        })
    }
}

/// Runs a helper to its end: whether it was content, and what it said, on standard output and then on standard error.
pub async fn asked(program: &Path, arguments: &[String], limit: Duration) -> anyhow::Result<(bool, String, String)> {
    let output = helper(program).args(arguments).output();
    let output = tokio::time::timeout(limit, output).await;
    let name = program.display();
    let output = output.with_context(|| format!("{name} did not end within {limit:?}"))?;
    let output = output.with_context(|| format!("cannot run {name}"))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    Ok((output.status.success(), text(output.stdout), text(output.stderr)))
}

/// The same, unless what it says is no longer wanted first: then it is gone when this returns. What it writes for itself it writes
/// in that folder, and what it says in a file there.
pub async fn asked_unless(
    program: &Path,
    arguments: &[String],
    folder: &Path,
    unwanted: impl Future<Output = ()>,
) -> anyhow::Result<Option<(bool, String)>> {
    let name = program.display();
    let said = tempfile::NamedTempFile::new_in(folder).context("a file for what a helper says")?;
    let to = said.reopen().context("a file for what a helper says")?;
    let mut child = helper(program)
        .args(arguments)
        .env("TMPDIR", folder)
        .stdout(to.try_clone().context("a file for what a helper says")?)
        .stderr(to)
        .spawn()
        .with_context(|| format!("cannot run {name}"))?;
    tokio::select! {
        status = child.wait() => {
            let status = status.with_context(|| format!("cannot wait for {name}"))?;
            let text = std::fs::read(said.path()).with_context(|| format!("what {name} said"))?;
            Ok(Some((status.success(), String::from_utf8_lossy(&text).into_owned())))
        }
        () = unwanted => {
            // One that is gone already is what is wanted.
            let _ = child.kill().await;
            Ok(None)
        }
    }
}

/// Where the two will listen: chosen before they are configured.
#[derive(Debug, Clone)]
pub struct Places {
    pub prometheus: Address,
    pub alertmanager: Address,
}

impl Places {
    /// Two that are free.
    pub fn free() -> anyhow::Result<Places> {
        let free = || hidden_address().context("no free port on loopback");
        Ok(Places { prometheus: free()?, alertmanager: free()? })
    }
}

/// Both, running.
#[derive(Debug)]
pub struct Pair {
    children: [(&'static str, Child, PathBuf); 2],
    pub places: Places,
}

impl Pair {
    /// Starts both in a folder that holds `prometheus.yml` and `alertmanager.yml`.
    pub fn start(
        programs: &Programs,
        places: Places,
        folder: &Path,
        prometheus_flags: &[String],
    ) -> anyhow::Result<Pair> {
        for data in ["data-prometheus", "data-alertmanager"] {
            // What an earlier pair left there would be taken for this one's.
            let _ = std::fs::remove_dir_all(folder.join(data));
        }
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let mut of_prometheus = vec![
            // Not the whole path: of that of the rules Prometheus computes when they are evaluated.
            "--config.file=prometheus.yml".to_owned(),
            format!("--storage.tsdb.path={}", path("data-prometheus")),
            format!("--web.listen-address={}", places.prometheus),
            // No page of somebody else's reads the answers.
            "--web.cors.origin=nobody".to_owned(),
        ];
        of_prometheus.extend_from_slice(prometheus_flags);
        let of_alertmanager = [
            format!("--config.file={}", path("alertmanager.yml")),
            format!("--storage.path={}", path("data-alertmanager")),
            format!("--web.listen-address={}", places.alertmanager),
            "--cluster.listen-address=".to_owned(),
        ];
        let spawn = |name: &'static str, tool: &Tool, arguments: &[String]| {
            let log = folder.join(format!("{name}.log"));
            let to = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
            let program = tool.path.to_string_lossy().into_owned();
            let mut words = programs.death_prefix.iter().chain(std::iter::once(&program));
            let first = words.next().context("the program itself is a word")?;
            let child = Command::new(first)
                .args(words)
                .args(arguments)
                .current_dir(folder)
                .env_clear()
                .envs(environment())
                .stdin(Stdio::null())
                .stdout(to.try_clone().context("a log")?)
                .stderr(to)
                .process_group(0)
                .kill_on_drop(true)
                .spawn();
            Ok::<_, anyhow::Error>((name, child.with_context(|| format!("cannot run {program}"))?, log))
        };
        let alertmanager = spawn("alertmanager", &programs.alertmanager, &of_alertmanager)?;
        let prometheus = spawn("prometheus", &programs.prometheus, &of_prometheus)?;
        Ok(Pair { children: [prometheus, alertmanager], places })
    }

    /// Waits until both say they are ready; who dies instead is told with its last words.
    pub async fn ready(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        for address in [self.places.prometheus.clone(), self.places.alertmanager.clone()] {
            loop {
                self.lives()?;
                let answer = client::get(&address, "/-/ready", Duration::from_millis(500)).await;
                if answer.is_ok_and(|answer| answer.status.is_success()) {
                    break;
                }
                if began.elapsed() > READY_LIMIT {
                    return Err(Failure::infrastructure(format!("{address} was not ready within {READY_LIMIT:?}")));
                }
                sleep(TICK).await;
            }
        }
        Ok(())
    }

    /// Whether both still run.
    pub fn lives(&mut self) -> Result<(), Failure> {
        for (name, child, log) in &mut self.children {
            if let Ok(Some(status)) = child.try_wait() {
                let said = last_lines(log, 0, 4).join("\n  ");
                return Err(Failure::infrastructure(format!("{name} died ({status})\n  its last lines:\n  {said}")));
            }
        }
        Ok(())
    }

    /// Ends both, and returns when they are gone.
    pub async fn stop(mut self) {
        for (_, child, _) in &mut self.children {
            // One that is gone already is what is wanted.
            let _ = child.kill().await;
        }
    }
}

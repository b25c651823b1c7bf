//! `aiclipx init`: a first monitoring/service.toml and a first scenario from a live /metrics, and what a stack needs around them.
//!
//! It asks the service a few questions, says what it took for what and why, and never overwrites a file.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use aiclipx_base::address::{Address, Target};
use aiclipx_http::client;
use aiclipx_model::failure::{Failure, print, tell};
use aiclipx_model::files;
use aiclipx_model::prom::exposition;
use aiclipx_model::service::Service;
use anyhow::Context;

use guess::{Exposed, Guess};
use written::Asked;

mod guess;
#[cfg(test)]
mod tests;
mod written;

/// One question to the service.
const ASK_LIMIT: Duration = Duration::from_secs(5);
/// As often it is asked for its metrics: several processes behind one address show in it.
const LOOKS: usize = 6;
/// Where services say that they are ready, the usual ways; at last whether they answer at all.
const READY: [&str; 8] =
    ["/health/ready", "/readyz", "/ready", "/healthz", "/health", "/-/ready", "/actuator/health", "/"];

/// Writes what is not there yet below `out`; the last line is the next command.
pub(super) async fn init(url: &str, clients: Option<&Target>, job: &str, out: &Path) -> Result<ExitCode, Failure> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if job.is_empty() || !job.chars().all(is_name) {
        return Err(Failure::usage(format!("`{job}` is no name of a job")).remedy("letters, digits, `-`, `_` and `.`"));
    }
    let target: Target = url.parse().map_err(|why: String| Failure::usage(why))?;
    let metrics = if target.base.is_empty() { "/metrics" } else { target.base.as_str() };
    let looks = looks(&target.address, metrics).await?;
    let text = looks.last().map(String::as_str).unwrap_or_default();
    let series = exposition::parse(text)
        .with_context(|| format!("{}{metrics} is no text of Prometheus'", target.address.url("")))
        .map_err(Failure::usage)?;
    let mut guess = guess::guess(&Exposed::new(text, series));
    several(&looks, &mut guess);
    if let Some(failure) = nothing(&guess, url) {
        return Err(failure);
    }
    let ready = ready(&target.address).await;
    // What the monitoring asks is no client's.
    guess.routes.retain(|route| route != metrics && !READY[..READY.len() - 1].contains(&route.as_str()));
    if guess.routes.is_empty() {
        guess.why.push("no route of a client's is counted yet, so the first scenario reads /".to_owned());
    }
    let there = Target { address: target.address.clone(), base: String::new() };
    let address = clients.unwrap_or(&there);
    let monitoring = Some(&target.address).filter(|monitoring| **monitoring != address.address);
    let asked = Asked { job, address, monitoring, metrics, ready: &ready };
    for why in &guess.why {
        tell(&format!("  · {why}"));
    }
    tell(&format!("  · ready = {ready}: it answers 200"));
    let files = written::files(&asked, &guess);
    // Whatever was guessed must be a file that can be read.
    let service = &files[Path::new(aiclipx_model::service::FILE)];
    Service::from_text(service).map_err(|findings| {
        Failure::infrastructure(format!("what was guessed makes no service: {}", Failure::from(findings)))
    })?;
    let (mut made, mut left) = (0, Vec::new());
    for (path, text) in &files {
        if write_new(&out.join(path), text)? {
            print(&out.join(path).display().to_string())?;
            made += 1;
        } else {
            left.push(path.display().to_string());
        }
    }
    if made > 0 && !left.is_empty() {
        tell(&format!("  · what is there already stays as it is: {}", left.join(", ")));
    }
    if made == 0 {
        return Err(Failure::usage(format!("nothing was written: every file is there already in {}", out.display()))
            .remedy("name another folder with --out, or move away what is to be made anew"));
    }
    tell(&format!(
        "Read {}, then: cd {} && aiclipx prove",
        out.join("monitoring/service.toml").display(),
        out.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Its metrics, asked for several times, each on a connection of its own.
async fn looks(address: &Address, path: &str) -> Result<Vec<String>, Failure> {
    let mut looks = Vec::new();
    for _ in 0..LOOKS {
        let answer = client::get(address, path, ASK_LIMIT)
            .await
            .with_context(|| format!("cannot ask {}", address.url(path)))
            .map_err(|error| {
                Failure::usage(error).remedy("--url says where the service's metrics are: http://HOST:PORT/metrics")
            })?;
        if !answer.status.is_success() {
            return Err(Failure::usage(format!("{} answers {}", address.url(path), answer.status))
                .remedy("--url says where the service's metrics are: http://HOST:PORT/metrics"));
        }
        looks.push(String::from_utf8_lossy(&answer.body).into_owned());
    }
    Ok(looks)
}

/// Whether different processes answered: then none of them counts everything.
fn several(looks: &[String], guess: &mut Guess) {
    let parsed: Vec<_> = looks.iter().filter_map(|look| exposition::parse(look).ok()).collect();
    let of = |name: &str, look: &exposition::Exposition| -> Option<f64> {
        look.iter().filter(|(series, _)| series.name == name).map(|(_, value)| *value).reduce(|one, other| one + other)
    };
    let start = guess.process_start.clone().unwrap_or_default();
    let starts: BTreeSet<u64> = parsed.iter().filter_map(|look| of(&start, look)).map(f64::to_bits).collect();
    let name = guess.requests.as_ref().map(|requests| requests.name.clone()).unwrap_or_default();
    let counts: Vec<f64> = parsed.iter().map(|look| of(&name, look).unwrap_or_default()).collect();
    let falls = counts.windows(2).any(|pair| pair[1] < pair[0]);
    if starts.len() > 1 || falls {
        guess.process_start = None;
        guess.why.retain(|why| !why.starts_with("process_start"));
        guess.why.push(
            "several processes answer in turn, each with counters of its own: what Prometheus scrapes of one address goes up and \
             down, and no counter of it is right. process_start is left out, since it would look like restarts"
                .to_owned(),
        );
    }
}

async fn ready(address: &Address) -> String {
    for path in READY {
        if client::get(address, path, ASK_LIMIT).await.is_ok_and(|answer| answer.status.is_success()) {
            return path.to_owned();
        }
    }
    "/".to_owned()
}

/// Why nothing can be written; a tree of a service that has counted nothing yet would have to be made anew.
fn nothing(guess: &Guess, url: &str) -> Option<Failure> {
    if !guess.silent.is_empty() {
        let (names, has) = (guess.silent.join(", "), if guess.silent.len() == 1 { "has" } else { "have" });
        return Some(
            Failure::usage(format!(
                "nothing was written: {names} at {url} {has} no series yet, so its labels aren't known"
            ))
            .remedy("send the service a request of every kind it answers, then run the same command again"),
        );
    }
    (guess.requests.is_none() && guess.latency.is_none()).then(|| {
        let none = || "no counter and no histogram there is of requests, by type, name and labels".to_owned();
        let why = guess.why.iter().find(|why| why.starts_with("no [")).cloned().unwrap_or_else(none);
        Failure::usage(format!("nothing was written: {url} tells nothing of the service's requests ({why})")).remedy(
            "ask the service for something and try again; or name its metrics yourself, as monitoring/OWN.md says",
        )
    })
}

/// Whether it was written; not where a file is there.
fn write_new(path: &Path, text: &str) -> Result<bool, Failure> {
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let cannot = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(cannot).map_err(Failure::usage)?;
    }
    files::replace(path, |to| to.write_all(text.as_bytes())).with_context(cannot).map_err(Failure::usage)?;
    Ok(true)
}

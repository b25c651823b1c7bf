//! `aiclipx init`: a first monitoring/service.toml and a first scenario from a live /metrics, and what a stack needs around them.
//!
//! It asks the service a few questions, says what it took for what and why, and never overwrites a file.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

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

/// Jobs that the stack around a service has: a second of the name is one that Prometheus refuses.
const TAKEN: [&str; 3] = ["prometheus", "alertmanager", "receiver"];
/// One question to the service.
const ASK_LIMIT: Duration = Duration::from_secs(5);
/// The same of its metrics, which may be many.
const METRICS_LIMIT: Duration = Duration::from_secs(30);
/// A scrape every 15s comes every 500ms at speed 30; what answers in less than half of that is in time.
const SCRAPE: Duration = Duration::from_secs(15);
const QUICK: Duration = Duration::from_millis(250);
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
    if TAKEN.contains(&job) {
        return Err(Failure::usage(format!("`{job}` is what the stack calls a job of its own"))
            .remedy("name the service otherwise: --job shop"));
    }
    let target: Target = url.parse().map_err(|why: String| Failure::usage(why))?;
    let metrics = if target.base.is_empty() { "/metrics" } else { target.base.as_str() };
    let first = look(&target.address, metrics).await?;
    let series = exposition::parse(&first.text)
        .with_context(|| format!("{} is no text of Prometheus'{}", target.address.url(metrics), first.kind))
        .map_err(|error| {
            Failure::usage(error).remedy("--url says where the service's metrics are: http://HOST:PORT/metrics")
        })?;
    let count = series.len();
    let exposed = Exposed::new(&first.text, series);
    tell(&format!("  · {count} series of {} metrics, in {} kB", exposed.kinds.len(), first.text.len().div_ceil(1000)));
    let mut guess = guess::guess(&exposed);
    drop(exposed);
    if let Some(failure) = nothing(&guess, url) {
        return Err(failure);
    }
    if let Some(slow) = slow(first.took) {
        guess.why.push(slow);
    }
    let mut seen = vec![Seen::of(&first.text, &guess)];
    drop(first);
    for _ in 1..LOOKS {
        seen.push(Seen::of(&look(&target.address, metrics).await?.text, &guess));
    }
    several(&seen, &mut guess);
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
    write_all(&files, out)?;
    tell(&format!(
        "Read {}, then: cd {} && aiclipx prove",
        out.join("monitoring/service.toml").display(),
        for_a_shell(out)
    ));
    Ok(ExitCode::SUCCESS)
}

/// Writes what is not there yet, and says what is; nothing where no folder can be.
fn write_all(files: &BTreeMap<PathBuf, String>, out: &Path) -> Result<(), Failure> {
    if let Some(there) = files.keys().find_map(|path| in_the_way(&out.join(path))) {
        return Err(Failure::usage(format!("nothing was written: {there}"))
            .remedy("move it away, or name another folder with --out"));
    }
    let (mut made, mut left) = (0, Vec::new());
    for (path, text) in files {
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
    Ok(())
}

/// An answer with its metrics.
struct Look {
    text: String,
    /// In words, what it says to be, where that is no plain text.
    kind: String,
    took: Duration,
}

/// Asks for its metrics, on a connection of its own.
async fn look(address: &Address, path: &str) -> Result<Look, Failure> {
    let remedy = "--url says where the service's metrics are: http://HOST:PORT/metrics";
    let began = Instant::now();
    let answer = client::get(address, path, METRICS_LIMIT)
        .await
        .with_context(|| format!("cannot ask {}", address.url(path)))
        .map_err(|error| Failure::usage(error).remedy(remedy))?;
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
    if !answer.status.is_success() {
        let to = header("location").filter(|_| answer.status.is_redirection());
        let to = to.map_or_else(String::new, |to| format!(" to {to}, and nobody follows"));
        let what = format!("{} answers {}{to}", address.url(path), answer.status);
        return Err(Failure::usage(what).remedy(remedy));
    }
    let kind = header("content-type").filter(|kind| !kind.starts_with("text/plain"));
    Ok(Look {
        text: String::from_utf8_lossy(&answer.body).into_owned(),
        kind: kind.map_or_else(String::new, |kind| format!(" (it says that it is {kind})")),
        took: began.elapsed(),
    })
}

/// At which speed there is time for a scrape.
fn slow(took: Duration) -> Option<String> {
    (took > QUICK).then(|| {
        let speed = (SCRAPE.as_millis() / took.as_millis().max(1) / 2).clamp(1, 30);
        format!(
            "an answer with the metrics took {} ms, and at speed 30 it is scraped every 500 ms: prove it with --speed {speed}",
            took.as_millis()
        )
    })
}

/// What of an answer tells whether one process gives them all.
#[derive(Debug, Clone, Copy)]
struct Seen {
    start: Option<f64>,
    count: f64,
}

impl Seen {
    fn of(text: &str, guess: &Guess) -> Seen {
        let start = guess.process_start.as_ref().and_then(|start| exposition::sum(text, start));
        let count = guess.requests.as_ref().and_then(|requests| exposition::sum(text, &requests.name));
        Seen { start, count: count.unwrap_or_default() }
    }
}

/// Whether different processes answered: then none of them counts everything.
fn several(seen: &[Seen], guess: &mut Guess) {
    let starts: BTreeSet<u64> = seen.iter().filter_map(|look| look.start).map(f64::to_bits).collect();
    let falls = seen.windows(2).any(|pair| pair[1].count < pair[0].count);
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
        let is_why = |why: &&String| why.starts_with("no [") || why.starts_with(guess::LEFT_OUT);
        let why = guess.why.iter().find(is_why).cloned().unwrap_or_else(none);
        Failure::usage(format!("nothing was written: {url} tells nothing of the service's requests ({why})")).remedy(
            "ask the service for something and try again; or name its metrics yourself, as monitoring/OWN.md says",
        )
    })
}

/// A path as a shell takes it: in quotes where it has to be.
fn for_a_shell(path: &Path) -> String {
    let text = path.display().to_string();
    // What begins with a dash would be taken for an option.
    let text = if text.starts_with('-') { format!("./{text}") } else { text };
    shlex::try_quote(&text).map_or_else(|_| text.clone(), Cow::into_owned)
}

/// What stands where a folder of a file's path must be and is none.
fn in_the_way(path: &Path) -> Option<String> {
    let folders: Vec<&Path> = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).collect();
    let first = folders.into_iter().rev().find(|folder| folder.symlink_metadata().is_ok() && !folder.is_dir())?;
    let is_link = first.is_symlink();
    let what = match first.metadata().map(|there| there.file_type()) {
        Err(_) if is_link => {
            let to = first.read_link().unwrap_or_default();
            return Some(format!("{} is a link that leads nowhere: there is no {}", first.display(), to.display()));
        }
        Ok(kind) if kind.is_fifo() => "a named pipe (FIFO)",
        Ok(kind) if kind.is_socket() => "a socket",
        Ok(kind) if kind.is_block_device() || kind.is_char_device() => "a device",
        _ => "a file",
    };
    let link = if is_link { "leads to " } else { "is " };
    Some(format!("{} {link}{what}, and must be a folder", first.display()))
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

//! Adds to a run what the monitoring recorded about it, as it answered: then the folder is an experiment's.
//!
//! Nothing is judged here, and nothing is left out because of what it says. Everything is asked for by absolute times,
//! so a run can be collected minutes after it ended, and again.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::environment::{ASK_LIMIT, Environment};
use crate::dashboard_pages;
use crate::events::Event;
use crate::graphs;
use aiclipx_base::duration::Speed;
use aiclipx_dashboard::query::{self, View};
use aiclipx_http::client;
use aiclipx_judge::artifacts::{
    HELD_BY_LOKI, LOADED, LOADED_ANSWERS, LOG, LoadedAnswer, NAMES, NOTIFICATIONS, PLANTED, SAMPLE, SNAPSHOT, Sample,
    samples_of,
};
use aiclipx_judge::experiment::{Experiment, PanelAnswer, read_scenario};
use aiclipx_judge::files::write;
use aiclipx_judge::run::{Run, read_run};
use aiclipx_judge::tree::{Tree, copy_folder};
use aiclipx_judge::{judge, planted};
use aiclipx_model::failure::{Failure, temporary_folder};
use aiclipx_model::monitoring::Loader;
use aiclipx_model::notification::Notification;
use aiclipx_model::prom::answer::percent_encoded;
use aiclipx_model::service::{APP, Log, Service};
use aiclipx_stack::prom::client::{Api, query_path};
use aiclipx_stack::{Component, Lifetime, Stack};

/// Copies a run folder to `target` and adds samples, loaded configuration, notifications, logs and panels.
///
/// A component that died is named. What is lacking is told.
pub(super) async fn collect(
    environment: Environment<'_>,
    tree: &Tree,
    run_folder: &Path,
    target: &Path,
    tell: &(dyn Fn(Event) + Sync),
) -> Result<(), Failure> {
    match collected(environment, tree, run_folder, target, tell).await {
        Ok(()) => Ok(()),
        Err(failure) => Err(environment.blame(failure).await),
    }
}

async fn collected(
    environment: Environment<'_>,
    tree: &Tree,
    run_folder: &Path,
    target: &Path,
    tell: &(dyn Fn(Event) + Sync),
) -> Result<(), Failure> {
    let prometheus = Api::new(environment.prometheus());
    let run = begun(environment, tree.service(), &prometheus, run_folder, target).await?;
    for LoadedAnswer { name, of, path } in LOADED_ANSWERS {
        let api = if of == Loader::Alertmanager {
            environment.alertmanager().map(Api::new)
        } else {
            Some(prometheus.clone())
        };
        if let Some(api) = api {
            write(&target.join(LOADED.named(name)), &api.get(path).await?)?;
        }
    }
    let lacks = |why: String| tell(Event::Lacks { scenario: run.scenario.clone(), why });
    if let Environment::Managed(stack) = environment {
        logs(stack, tree.service().log.as_ref(), &run, target).await?;
        if stack.programs().contains_key(&Component::Loki) && stack.programs().contains_key(&Component::Vector) {
            // The files hold the same lines; a Loki that does not answer takes them from nobody.
            if let Some(log) = &tree.service().log
                && let Err(error) = store_of_logs(log, &run, target).await
            {
                lacks(format!("{error:#}"));
            }
            if read_scenario(target, &run)?.expect.redacts
                && let Err(error) = planted_lines(&run, target).await
            {
                lacks(format!("{error:#}"));
            }
        }
        // A stack that outlives us does not let anybody write to Prometheus' folder.
        if stack.plan().lifetime == Lifetime::Private {
            // It is for people: no claim rests on it.
            if let Err(error) = snapshot(stack, target).await {
                lacks(format!("no {}: {error:#}", SNAPSHOT.path));
            }
        }
    }
    let window = format!("start={}&end={}", seconds(run.quiet_ms), seconds(run.end_ms));
    write(&target.join(NAMES), &prometheus.get(&format!("/api/v1/label/__name__/values?{window}")).await?)?;
    panels(&prometheus, tree, environment.speed(), &run, target).await?;
    let scenario = read_scenario(target, &run)?;
    let evaluation =
        environment.speed().real(tree.monitoring.evaluation_interval()).context("the evaluation interval")?;
    graphs::collect(&prometheus, &scenario.expect.fires, &run, evaluation, target).await;
    if let Some(address) = environment.grafana() {
        dashboard_pages::collect(address, tree, &scenario, &run, target).await?;
    }
    Ok(())
}

/// What disturbed a run, in words, as its samples tell; empty for one that can be judged.
pub(super) async fn disturbances(
    environment: Environment<'_>,
    tree: &Tree,
    run_folder: &Path,
) -> Result<Vec<String>, Failure> {
    let aside = temporary_folder()?;
    begun(environment, tree.service(), &Api::new(environment.prometheus()), run_folder, aside.path()).await?;
    let found = judge::disturbances(&Experiment::read(aside.path())?, tree);
    Ok(found.iter().map(ToString::to_string).collect())
}

/// The run's folder with raw samples and notifications: an experiment as far as what disturbed it can be told.
async fn begun(
    environment: Environment<'_>,
    service: &Service,
    prometheus: &Api,
    run_folder: &Path,
    target: &Path,
) -> anyhow::Result<Run> {
    copy_folder(run_folder, target)?;
    let run = read_run(target)?;
    let window = run.end_ms - run.quiet_ms;
    ensure!(window > 0, "it ended at {}, before it began at {}: the clock was set back", run.end_ms, run.quiet_ms);
    for Sample { name, selector } in samples_of(service) {
        let path = query_path(&format!("{selector}[{window}ms]"), Some(seconds(run.end_ms)));
        let answer = prometheus.get(&path).await?;
        write(&target.join(SAMPLE.named(name)), &answer)?;
    }
    notifications(environment, &run, target).await?;
    Ok(run)
}

/// The receiver's lines of the window, kept with the run: the receiver itself keeps them for so long and no longer.
pub(super) async fn notifications(environment: Environment<'_>, run: &Run, target: &Path) -> anyhow::Result<()> {
    let file = NOTIFICATIONS.below(target);
    if file.exists() {
        return Ok(());
    }
    let mut kept = String::new();
    for line in environment.notifications(run.quiet_ms).await?.lines() {
        let notification = Notification::read(line).context("a line of the receiver's")?;
        if notification.received_ms <= run.end_ms {
            kept += line;
            kept.push('\n');
        }
    }
    write(&file, kept.as_bytes())
}

/// Of a log that is for people: as much as a stack writes in days.
pub(super) const LONGEST_LOG: u64 = 16 << 20;

/// The service's log of the window, line by line by its own times, and the end of the other components' logs.
///
/// A line of the service that tells no time is kept: whether it may be there is for the judge.
async fn logs(stack: &Stack, log: Option<&Log>, run: &Run, target: &Path) -> anyhow::Result<()> {
    let processes: Vec<_> = stack.processes().into_iter().map(|one| (stack.plan().log(&one.name), one)).collect();
    let (log, run, target) = (log.cloned(), run.clone(), target.to_owned());
    let written = tokio::task::spawn_blocking(move || {
        for (file, process) in processes {
            let is_service = process.component == Component::App;
            let most = if is_service && log.is_some() { u64::MAX } else { LONGEST_LOG };
            let bytes =
                aiclipx_stack::logs::joined(&file, most).with_context(|| format!("cannot read {}", file.display()))?;
            let text = String::from_utf8_lossy(&bytes);
            let kept: String = match log.as_ref().filter(|_| is_service) {
                Some(log) => text.split_inclusive('\n').filter(|line| in_window(line, log, &run)).collect(),
                None => text.into_owned(),
            };
            write(&target.join(LOG.named(&process.name)), kept.as_bytes())?;
        }
        anyhow::Ok(())
    });
    written.await.context("copying the logs")?
}

/// How many lines of this run's requests Loki holds, as it answers: asked again until it is as many as the files hold, or
/// forwarding has had its time. What it says last is kept, whatever it is.
async fn store_of_logs(log: &Log, run: &Run, target: &Path) -> anyhow::Result<()> {
    let prefix = format!("{}-", run.id);
    let of_run = |line: &&aiclipx_judge::experiment::LogLine| line.request_id.starts_with(&prefix);
    let expected = aiclipx_judge::experiment::service_log(target, log)?.0.iter().filter(of_run).count();
    let window = run.end_ms - run.quiet_ms;
    // The names a run is made of hold no sign that means something to a regular expression but the full stop.
    let pattern = prefix.replace('.', "[.]");
    let id = &log.request_id;
    let query = format!(r#"sum(count_over_time({{component="{APP}"}} | json | {id}=~"{pattern}.*" [{window}ms]))"#);
    let path =
        format!("/loki/api/v1/query?query={}&time={}", percent_encoded(&query), i128::from(run.end_ms) * 1_000_000);
    let loki = Api::new(&run.addresses.logging.loki);
    let deadline = tokio::time::Instant::now() + FORWARDING;
    let answer = loop {
        let answer = loki.get(&path).await.context("how many lines of this run Loki holds")?;
        let held = aiclipx_judge::experiment::held_by_loki(&answer)?;
        if held == expected as u64 || tokio::time::Instant::now() > deadline {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    write(&target.join(HELD_BY_LOKI), &answer)
}

/// What Loki holds of the secrets that were planted for this run: asked again until every line is there, or forwarding has
/// had its time.
async fn planted_lines(run: &Run, target: &Path) -> anyhow::Result<()> {
    let until = run.end_ms + i64::try_from(FORWARDING.as_millis()).unwrap_or(0);
    let loki = Api::new(&run.addresses.logging.loki);
    ask_for_planted(&loki, &run.id, run.quiet_ms..until, target).await
}

/// The last answers are kept, and only whole: of a Loki that falls silent while lines are on their way, what it said before
/// would look like lines that are missing.
async fn ask_for_planted(loki: &Api, run: &str, window_ms: Range<i64>, target: &Path) -> anyhow::Result<()> {
    let path = |query: &str| {
        format!(
            "/loki/api/v1/query_range?query={}&start={}&end={}&limit={}",
            percent_encoded(query),
            i128::from(window_ms.start) * 1_000_000,
            i128::from(window_ms.end) * 1_000_000,
            planted::MOST,
        )
    };
    let questions = planted::questions(run);
    let deadline = tokio::time::Instant::now() + FORWARDING;
    let answers = loop {
        let mut have_arrived = true;
        let mut answers = Vec::new();
        for (file, query) in &questions {
            let answer = loki.get(&path(query)).await.context("which of the planted lines Loki holds")?;
            have_arrived &= *file != PLANTED || planted::have_arrived(run, &answer)?;
            answers.push((*file, answer));
        }
        if have_arrived || tokio::time::Instant::now() > deadline {
            break answers;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    for (file, answer) in answers {
        write(&target.join(file), &answer)?;
    }
    Ok(())
}

/// Vector looks at a file at least this often, sends what it read a second later, and Loki answers of it at once.
const FORWARDING: Duration = Duration::from_secs(20);

fn in_window(line: &str, log: &Log, run: &Run) -> bool {
    let at = serde_json::from_str::<serde_json::Value>(line)
        .ok()
        .and_then(|value| value[&log.time].as_str()?.parse::<jiff::Timestamp>().ok());
    at.is_none_or(|at| (run.quiet_ms..=run.end_ms).contains(&at.as_millisecond()))
}

/// Prometheus' data as it is now, for people who want to ask what nobody asked: unpacked, another Prometheus serves it.
///
/// Its own snapshot takes an interface that deletes as well, for any page that knows the port. Copied while it is written,
/// the write-ahead log is as after a crash, and holds all that is in no block yet.
async fn snapshot(stack: &Stack, target: &Path) -> anyhow::Result<()> {
    let version = stack.programs().get(&Component::Prometheus).map_or("", |tool| tool.version.as_str());
    let folder = stack.plan().prometheus_data(version);
    let what = format!("cannot keep {}", folder.display());
    let bytes = tokio::task::spawn_blocking(move || archived(&folder)).await.context("copying it")?.context(what)?;
    write(&SNAPSHOT.below(target), &bytes)
}

/// The log and the blocks of a folder of Prometheus' as one archive.
fn archived(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut folders = vec![folder.to_owned()];
    while let Some(here) = folders.pop() {
        let entries: std::io::Result<Vec<_>> = std::fs::read_dir(&here)?.collect();
        let mut paths: Vec<_> = entries?.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let name = path.strip_prefix(folder)?;
            let is_wanted = here != folder || name == Path::new("wal") || path.join("meta.json").is_file();
            if path.is_dir() && is_wanted {
                folders.push(path);
            } else if here != folder {
                // Read before it is measured: it may be growing.
                let bytes = std::fs::read(&path)?;
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                header.set_mode(0o644);
                archive.append_data(&mut header, name, bytes.as_slice())?;
            }
        }
    }
    Ok(archive.into_inner()?)
}

/// Every query of every dashboard, planned as Grafana would, with its answer.
async fn panels(prometheus: &Api, tree: &Tree, speed: Speed, run: &Run, target: &Path) -> anyhow::Result<()> {
    let min_interval = tree.monitoring.panel_interval(speed).context("the panels' interval at this speed")?;
    let view = View {
        range: aiclipx_judge::panels::time_range(run),
        width: aiclipx_judge::panels::PANEL_SIZE.0,
        min_interval,
        chosen: &BTreeMap::new(),
    };
    for dashboard in &tree.dashboards {
        let dashboard = &dashboard.at(speed).map_err(|refused| anyhow::anyhow!(refused.join("; ")))?;
        for plan in dashboard.panels.iter().flat_map(|panel| query::plan(dashboard, panel, &view)) {
            let panel = format!("{}/{}", dashboard.uid, plan.panel);
            // A refused query is an answer too: it is kept, and the claim on this panel fails.
            let answer = client::get(&prometheus.address, &plan.path_and_query, ASK_LIMIT)
                .await
                .with_context(|| format!("panel {panel}"))?;
            let answer =
                serde_json::from_slice(&answer.body).with_context(|| format!("the answer to panel {panel}"))?;
            let kept = PanelAnswer { dashboard: dashboard.uid.clone(), plan, answer };
            // Compact: people look at the picture that is drawn of it.
            write(&target.join(kept.file()), &serde_json::to_vec(&kept).context("encoding a panel's answer")?)?;
        }
    }
    Ok(())
}

/// Unix milliseconds as the seconds that Prometheus' API takes.
pub(super) fn seconds(millis: i64) -> f64 {
    #[allow(clippy::cast_precision_loss)] // milliseconds of this century lie far below 2^53
    let seconds = millis as f64 / 1000.0;
    seconds
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use aiclipx_base::address::Address;

    #[tokio::test]
    async fn of_a_loki_that_falls_silent_between_two_askings_nothing_is_kept() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let loki = Api::new(&Address::loopback(listener.local_addr().unwrap().port()));
        tokio::spawn(async move {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut question = Vec::new();
                while !question.ends_with(b"\r\n\r\n") {
                    assert!(stream.read_buf(&mut question).await.unwrap() > 0);
                }
                let body = r#"{"data":{"result":[]}}"#;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                stream.write_all((head + body).as_bytes()).await.unwrap();
            }
        });
        let target = tempfile::tempdir().unwrap();
        let error = ask_for_planted(&loki, "run", 0..1000, target.path()).await.unwrap_err();
        assert!(format!("{error:#}").contains("which of the planted lines Loki holds"), "{error:#}");
        assert_eq!(std::fs::read_dir(target.path()).unwrap().count(), 0);
    }
}

//! What disturbed a run. A disturbed run is inconclusive: its claims are invalid, not failed.
//!
//! A claim that fails on a sound run is the monitoring's or the service's fault. A run in which a process died unasked, a
//! scrape or an evaluation was missed, the generator lagged or the clock stepped shows nothing of either.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::experiment::Experiment;
use super::run::{PROMETHEUS, Process, Run};
use super::timeline::millis;
use aiclipx_model::prom::answer::Series;
use aiclipx_model::service::{APP, Service};
use aiclipx_model::traffic::ledger::{Ledger, Outcome};

/// A clock that moved by more against the monotonic one has stepped; slewing stays far below.
const MAX_CLOCK_DRIFT_US: i128 = 100_000;

/// Scrapes are this many intervals apart when one was missed: less than two, for scrapes start with some jitter.
const MISSED_SCRAPE_INTERVALS: f64 = 1.9;

/// Jobs that a stack may do without: the files of monitoring/ name them all the same. Not asked of the stack's table, for a bundle is
/// judged by them for as long as it is read, whatever the stack is then.
///
/// A new optional component adds its name, which changes no older verdict: no older bundle has a job of it. A name that is here
/// stays, though the component goes: bundles have it. `crates/runner/src/environment.rs` has the test that these are the optional
/// components which Prometheus scrapes.
pub const OPTIONAL: [&str; 3] = ["probe", "vector", "loki"];

/// A component that a stack has only where somebody asked for it, and that nobody scrapes: the service tells how it is.
pub const DATABASE: &str = "database";

/// The components without which there is no stack.
pub const NEEDED: [&str; 4] = [APP, "prometheus", "alertmanager", "receiver"];
/// All of them but the receiver expose when they were started.
const TELL_THEIR_START: usize = 3;

/// Something that disturbed a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disturbance {
    /// A process died or was replaced unasked: worth a look even when a repeated run is sound.
    Death(String),
    /// The machine was in the way: a run repeated says what this one could not.
    Noise(String),
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Disturbance::Death(what) | Disturbance::Noise(what) => f.write_str(what),
        }
    }
}

/// Everything that disturbed a run; empty for a sound one. `scrape_ms` is the real scrape interval.
pub(crate) fn disturbances(
    experiment: &Experiment,
    service: &Service,
    scrape_ms: i64,
) -> anyhow::Result<Vec<Disturbance>> {
    let run = &experiment.run;
    let mut found: Vec<Disturbance> = run.disturbances.iter().cloned().map(Disturbance::Noise).collect();
    sending(&experiment.ledger, &mut found);
    found.extend(late_steps(run));
    found.extend(deaths(run));
    // No process of an external stack is seen.
    let names = if run.unseen.is_empty() { &NEEDED[..] } else { &[] };
    // Nor of a service that somebody else starts.
    let is_ours = |name: &&&str| **name != APP || service.start.is_some();
    let processes = names.iter().filter(is_ours).flat_map(|name| match *name {
        APP => run.replicas().collect(),
        name => vec![name.to_owned()],
    });
    for name in processes.filter(|name| !run.processes.iter().any(|process| process.component == *name)) {
        found.push(Disturbance::Noise(format!("nobody looked whether {name} lived")));
    }
    let starts = experiment.samples("process_start")?;
    let missed = experiment.samples("iterations_missed")?;
    let up = experiment.samples("up")?;
    // What was not recorded can't show that nothing happened.
    for (name, recorded) in [("process_start", &starts), ("iterations_missed", &missed)] {
        if recorded.iter().all(|series| series.samples.is_empty()) {
            found.push(Disturbance::Noise(format!("Prometheus recorded nothing for samples/{name}.json")));
        }
    }
    // A target missing from the answer must not pass as healthy. Targets are counted, not named: a wrong name is a claim's to find.
    let tell_their_start = TELL_THEIR_START - usize::from(service.process_start.is_none());
    let more = if run.tells_replicas_apart() { run.addresses.app.len() - 1 } else { 0 };
    for (name, recorded, least) in
        [("up", &up, NEEDED.len() + more), ("process_start", &starts, tell_their_start + more)]
    {
        let targets = recorded.iter().map(target).collect::<BTreeSet<_>>().len();
        if (1..least).contains(&targets) {
            found.push(Disturbance::Noise(format!("samples/{name}.json is of {targets} targets; there are {least}")));
        }
    }
    restarts(run, service, &starts, &mut found);
    scrapes(run, service, &up, scrape_ms, &mut found);
    evaluations(&missed, &mut found);
    found.sort();
    found.dedup();
    Ok(found)
}

/// The generator kept up, sent everything, and its clock did not step.
fn sending(ledger: &Ledger, found: &mut Vec<Disturbance>) {
    if let Some(why) = &ledger.head.limited {
        found.push(Disturbance::Noise(format!("GENERATOR_LIMITED: {why}")));
    }
    if ledger.head.interrupted {
        found.push(Disturbance::Noise("the user broke the traffic off".to_owned()));
    }
    let unsent = ledger.entries.iter().filter(|entry| matches!(entry.outcome, Outcome::NotSent { .. })).count();
    if unsent > 0 {
        found.push(Disturbance::Noise(format!("{unsent} scheduled requests were not sent")));
    }
    let drift_us = ledger.clock_drift_us();
    if drift_us.abs() > MAX_CLOCK_DRIFT_US {
        let drift = drift_us / 1000;
        found.push(Disturbance::Noise(format!("the wall clock moved by {drift} ms against the monotonic clock")));
    }
}

/// Steps that were done only when the phase they belong to was over: who was to be away in the next one was still there.
fn late_steps(run: &Run) -> impl Iterator<Item = Disturbance> + '_ {
    run.steps.iter().filter_map(|step| {
        // What is put back when all is over belongs to none.
        let phase = run.phases.iter().rfind(|phase| phase.start_ms <= step.start_ms)?;
        let phase = Some(phase).filter(|phase| step.start_ms < phase.end_ms)?;
        let late_ms = step.end_ms - phase.end_ms;
        let (what, component) = (step.action.name(), &step.component);
        let told =
            || format!("to {what} {component} was done only {late_ms} ms after the phase {} had ended", phase.name);
        (late_ms > 0).then(|| Disturbance::Noise(told()))
    })
}

/// Processes that are not those of the start.
pub(crate) fn deaths(run: &Run) -> Vec<Disturbance> {
    let death = |process: &Process| {
        let name = &process.component;
        match (process.at_start.pid, process.at_end.pid) {
            (Some(_), Some(_)) if process.at_start == process.at_end => None,
            (Some(_), Some(_)) if run.restarts_of(name) > 0 => None,
            (_, None) => Some(Disturbance::Death(format!("{name} was not running at the end"))),
            (_, Some(_)) => Some(Disturbance::Death(format!("{name} was restarted during the run"))),
        }
    };
    run.processes.iter().filter_map(death).collect()
}

/// One target must be one process: more than one start time is a restart, or a second process behind it.
fn restarts(run: &Run, service: &Service, series: &[Series], found: &mut Vec<Disturbance>) {
    for series in series {
        let ordered = run.restarts_of(&process_of(run, service, series));
        let mut starts: Vec<u64> = series.samples.iter().map(|sample| sample.value.to_bits()).collect();
        starts.sort_unstable();
        starts.dedup();
        if starts.len() > 1 + ordered {
            found.push(Disturbance::Death(format!(
                "{} shows {} different start times: it was restarted",
                target(series),
                starts.len()
            )));
        }
    }
}

/// Every target is scraped, successfully, all through the run.
fn scrapes(run: &Run, service: &Service, up: &[Series], scrape_ms: i64, found: &mut Vec<Disturbance>) {
    // By target, and the process that it is.
    let mut by_target: BTreeMap<(String, String), Vec<(i64, f64)>> = BTreeMap::new();
    for series in up {
        by_target
            .entry((target(series), process_of(run, service, series)))
            .or_default()
            .extend(series.samples.iter().map(|s| (millis(s.seconds), s.value)).filter(|(at, _)| *at >= run.quiet_ms));
    }
    if by_target.is_empty() {
        found.push(Disturbance::Noise("Prometheus scraped nothing".to_owned()));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // intervals are small
    let longest = (scrape_ms as f64 * MISSED_SCRAPE_INTERVALS) as i64;
    for ((target, process), samples) in by_target {
        let job = target.split(' ').next().unwrap_or_default();
        // What may be missing altogether may be missing once: what is claimed of it says so itself.
        if OPTIONAL.contains(&job) {
            continue;
        }
        let outages = run.outages(&[process.as_str(), PROMETHEUS]);
        let wanted = |from: i64, to: i64| outages.iter().any(|outage| from < outage.1 && to > outage.0);
        let failed = samples.iter().filter(|(at, up)| *up < 1.0 && !wanted(*at, *at)).count();
        if failed > 0 {
            found.push(Disturbance::Noise(format!("{failed} scrapes of {target} failed")));
        }
        let mut times: Vec<i64> = vec![run.quiet_ms];
        times.extend(samples.iter().map(|(at, _)| *at));
        times.push(run.end_ms);
        times.sort_unstable();
        let gaps = times.windows(2).filter(|pair| !wanted(pair[0], pair[1])).map(|pair| pair[1] - pair[0]);
        let gap = gaps.max().unwrap_or(0);
        if gap > longest {
            found.push(Disturbance::Noise(format!(
                "a scrape of {target} was missed: nothing for {gap} ms, due every {scrape_ms} ms"
            )));
        }
    }
}

/// No group of rules was left out.
fn evaluations(missed: &[Series], found: &mut Vec<Disturbance>) {
    for series in missed {
        if series.samples.iter().any(|sample| !sample.value.is_finite()) {
            found.push(Disturbance::Noise("samples/iterations_missed.json holds no numbers".to_owned()));
        }
        let mut values = series.samples.iter().map(|sample| sample.value);
        if let (Some(first), Some(last)) = (values.next(), values.next_back())
            && last > first
        {
            let group = series.labels.get("rule_group").map_or("?", String::as_str);
            found.push(Disturbance::Noise(format!("Prometheus missed {} evaluations of {group}", last - first)));
        }
    }
}

/// The process of the stack that was scraped.
fn process_of(run: &Run, service: &Service, series: &Series) -> String {
    let component = service.component_of(series.labels.get("job").map_or("", String::as_str));
    let replica = (component == APP).then(|| run.replica_at(series.labels.get("instance"))).flatten();
    replica.unwrap_or_else(|| component.to_owned())
}

fn target(series: &Series) -> String {
    let label = |name| series.labels.get(name).map_or("?", String::as_str);
    format!("{} at {}", label("job"), label("instance"))
}

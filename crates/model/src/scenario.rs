//! What happens and what the monitoring must say about it: `scripts/traffic/NN-name.toml` as types.
//!
//! Times are production time; a stack of speed k lives them k times faster. Rates are real. The format, key by key, is
//! in scripts/README.md; [`file`] reads it. Whether an alert or a panel named here exists is not known here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::failure::{Failure, Finding};
use crate::files;

mod file;

/// One scenario file.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The file, as given or found.
    pub file: PathBuf,
    /// The file's text, byte for byte: what a run folder keeps and a verifier reads again.
    pub text: String,
    /// `02` of `02-error-rate.toml`.
    pub number: u32,
    /// `error-rate` of `02-error-rate.toml`.
    pub name: String,
    /// One line, a sentence.
    pub title: String,
    /// What follows on what, at least one.
    pub phases: Vec<Phase>,
    /// What the monitoring must show.
    pub expect: Expect,
}

impl Scenario {
    /// `02-error-rate`: how a scenario is called in folders and in Prometheus.
    pub fn id(&self) -> String {
        format!("{:02}-{}", self.number, self.name)
    }

    /// Reads one scenario file; everything wrong in it is told at once.
    pub fn read(file: &Path) -> Result<Scenario, Failure> {
        let text = files::read_to_string(file)
            .with_context(|| format!("cannot read the scenario {}", file.display()))
            .map_err(Failure::usage)?;
        Ok(Scenario::from_text(file, &text)?)
    }

    /// Reads a scenario's text; `file` gives number and name (`02-error-rate.toml`) and stands in every finding.
    pub fn from_text(file: &Path, text: &str) -> Result<Scenario, Vec<Finding>> {
        file::read(file, text)
    }

    /// The share of a faulty phase's requests that fail, 0…1; the smallest, where phases differ; none without errors.
    pub fn fault_share(&self) -> Option<f64> {
        let fails = |quota: &&FaultQuota| quota.fault.split(',').any(|fault| matches!(fault.trim(), "error" | "panic"));
        self.phases
            .iter()
            .map(|phase| {
                phase
                    .faults
                    .iter()
                    .filter(fails)
                    .map(|quota| f64::from(quota.count) / f64::from(quota.per))
                    .sum::<f64>()
            })
            .filter(|share| *share > 0.0)
            .min_by(f64::total_cmp)
    }

    /// Whether it does something to components: then it needs a stack whose components can be ordered about.
    pub fn orders_components(&self) -> bool {
        self.phases.iter().any(|phase| !phase.steps.is_empty())
    }

    /// Whether it asks the service to fail on purpose: then the service must run with `APP_FAULTS=on`.
    pub fn injects_faults(&self) -> bool {
        self.phases.iter().any(|phase| !phase.faults.is_empty())
    }
}

/// Every scenario of a folder, by number. All that is wrong in all of them is told at once.
pub fn all(folder: &Path) -> Result<Vec<Scenario>, Failure> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    let mut findings = Vec::new();
    for file in files(folder)? {
        let text = files::read_to_string(&file)
            .with_context(|| format!("cannot read the scenario {}", file.display()))
            .map_err(Failure::usage)?;
        match Scenario::from_text(&file, &text) {
            Ok(scenario) => scenarios.push(scenario),
            Err(found) => findings.extend(found),
        }
    }
    scenarios.sort_by_key(|scenario| scenario.number);
    for (index, scenario) in scenarios.iter().enumerate() {
        let earlier = &scenarios[..index];
        if let Some(other) = earlier.iter().find(|other| other.number == scenario.number || other.name == scenario.name)
        {
            findings.push(Finding {
                file: scenario.file.clone(),
                line: 0,
                what: format!("{} has the same number or name", other.file.display()),
                remedy: "give every scenario a number and a name of its own".to_owned(),
            });
        }
    }
    if findings.is_empty() { Ok(scenarios) } else { Err(findings.into()) }
}

/// The scenario a user named: by number (`02`, `2`), name (`error-rate`), id (`02-error-rate`) or path.
///
/// A name is a path when it ends in `.toml` or holds a slash. Other files of the folder need not be right.
pub fn find(folder: &Path, name: &str) -> Result<Scenario, Failure> {
    if name.contains('/') || Path::new(name).extension().is_some_and(|extension| extension == "toml") {
        return Scenario::read(Path::new(name));
    }
    let files = files(folder)?;
    let mut ids = Vec::new();
    for file in &files {
        let Ok((number, called)) = file::number_and_name(file) else { continue };
        let id = format!("{number:02}-{called}");
        if id == name || called == name || name.parse() == Ok(number) {
            return Scenario::read(file);
        }
        ids.push(id);
    }
    let there_is = if ids.is_empty() { "there is none".to_owned() } else { format!("there is {}", ids.join(", ")) };
    Err(Failure::usage(format!("no scenario `{name}` in {}: {there_is}", folder.display()))
        .remedy("name one by number, name or path, like 02, error-rate or ./mine/09-mine.toml"))
}

/// The `.toml` files of a folder, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let look = || -> std::io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    };
    look()
        .with_context(|| format!("cannot list the scenarios in {}", folder.display()))
        .map_err(|error| Failure::usage(error).remedy("scenarios are scripts/traffic/NN-name.toml"))
}

/// A stretch of steady traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Unique in its scenario, `[a-z0-9-]+`.
    pub name: String,
    /// Production time, above zero.
    pub duration: Duration,
    /// How much is sent.
    pub volume: Volume,
    /// How intended times are spread.
    pub arrival: Arrival,
    /// What is sent, by weight; empty only in a silent phase.
    pub requests: Vec<RequestTemplate>,
    /// What fails on purpose. All have the same `per`, and no request carries two.
    pub faults: Vec<FaultQuota>,
    /// The phase itself is what goes wrong, as when traffic falls to nothing.
    pub provokes: bool,
    /// What is done to the stack's components when it begins, in this order.
    pub steps: Vec<Step>,
}

/// Something done to a component of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub action: Action,
    /// To which, by its name in the stack's table; to all its replicas.
    pub component: String,
}

/// What can be done to a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Ended as by a crash. Where a supervisor watches, it comes back by itself.
    Kill,
    /// Ended in its own time; it stays down.
    Stop,
    /// Started, and waited for.
    Start,
    /// Stopped in its tracks.
    Pause,
    /// Let go on.
    Resume,
}

impl Action {
    /// All there are, in the order in which one phase does them: what starts comes last.
    pub const ALL: [Action; 5] = [Action::Kill, Action::Stop, Action::Pause, Action::Resume, Action::Start];

    /// As a scenario writes it.
    pub fn name(self) -> &'static str {
        match self {
            Action::Kill => "kill",
            Action::Stop => "stop",
            Action::Start => "start",
            Action::Pause => "pause",
            Action::Resume => "resume",
        }
    }
}

impl Phase {
    /// Whether alerts are to fire in this phase: it injects faults, or is itself what goes wrong.
    pub fn is_faulty(&self) -> bool {
        self.provokes || !self.faults.is_empty()
    }
}

/// How much a phase sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volume {
    /// Nothing.
    Silent,
    /// Requests a second of real time, in thousandths, above zero: faster stacks get fewer of them.
    Rate(u64),
    /// So many requests, at least one, over the phase: the same number at every speed.
    Count(u32),
}

/// How the intended times of a phase are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// At even distances.
    Uniform,
    /// Exponential gaps of mean 1/rate.
    Poisson,
    /// So many at the same instant, the bursts spaced so that the rate holds.
    Bursts(u32),
}

/// One kind of request of a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestTemplate {
    /// Its share is weight over the sum of weights, exact over a block of that sum.
    pub weight: u32,
    /// `GET`, `POST`, ….
    pub method: String,
    /// The path to send; `{seq}` becomes the request's sequence number.
    pub path: String,
    /// The route template under which the service must count it; the path itself unless said otherwise.
    pub endpoint: String,
    /// A JSON body to send; `{seq}` as in the path.
    pub body: Option<String>,
}

/// A fault with an exact quota: `count` of every `per` requests of the phase, their places drawn by the seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultQuota {
    /// The value of the `x-fault` header: `error`, `panic`, `delay=750ms`, or several with commas.
    pub fault: String,
    /// At least 1, at most `per`.
    pub count: u32,
    /// The length of a block.
    pub per: u32,
}

/// `[expect]`: what the monitoring must say. Alerts in neither list must stay quiet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expect {
    /// Alerts that must go pending, firing, notified, resolved, notified again.
    pub fires: Vec<String>,
    /// Alerts that may do what they like: a side effect of the fault.
    pub may_fire: Vec<String>,
    /// Alerts that must fire and of which nobody must be told: another one says it already.
    pub inhibits: Vec<String>,
    /// From the start of the first faulty phase to firing, at most; production time. Required with `fires`.
    pub within: Option<Duration>,
    /// Dashboard panels (`uid/panel id`) that must show a measure of the ledger.
    pub panels: BTreeMap<String, Measure>,
    /// Secrets are planted in a log before the traffic, and the store of logs holds none of them.
    pub redacts: bool,
}

/// A quantity computed from the ledger alone, which a panel must agree with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Answered requests a second.
    RequestRate,
    /// Answers of 500 and above over all answers, 0…1.
    ErrorShare,
    /// Answers of 500 and above a second: what handler errors, panics and time-outs look like from outside.
    ErrorRate,
    /// The 95th percentile, in seconds, of the time from sending a request to the last byte of its answer.
    LatencyP95,
    /// The endpoint with the highest rate, and that rate.
    TopEndpoint,
}

impl Measure {
    /// All there are.
    pub const ALL: [Measure; 5] =
        [Measure::RequestRate, Measure::ErrorShare, Measure::ErrorRate, Measure::LatencyP95, Measure::TopEndpoint];

    /// As a scenario writes it: `request_rate`.
    pub fn name(self) -> &'static str {
        match self {
            Measure::RequestRate => "request_rate",
            Measure::ErrorShare => "error_share",
            Measure::ErrorRate => "error_rate",
            Measure::LatencyP95 => "latency_p95",
            Measure::TopEndpoint => "top_endpoint",
        }
    }
}

#[cfg(test)]
mod tests;

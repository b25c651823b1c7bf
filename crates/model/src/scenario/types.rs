//! A scenario as types: phases, what is sent and done in each, and what the monitoring must show.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::replica::Replicas;

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
    /// How many replicas of the service it is about; any number will do where it does not say.
    pub replicas: Option<Replicas>,
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

/// A stretch of steady traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Unique in its scenario, `[a-z0-9-]+`.
    pub name: String,
    /// Production time, above zero.
    pub duration: Duration,
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
    pub action: Action,
    /// To which, by its name in the stack's table; to all its replicas, or to one of them (`app-2`).
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
    /// Frozen (SIGSTOP).
    Pause,
    /// Continued (SIGCONT).
    Resume,
    /// Of several replicas one after the other: ended in its own time, started, waited for, and then the next.
    Restart,
}

impl Action {
    /// All there are, in the order in which one phase does them: what starts comes last.
    pub(crate) const ALL: [Action; 6] =
        [Action::Kill, Action::Stop, Action::Pause, Action::Resume, Action::Restart, Action::Start];

    /// As a scenario writes it.
    pub fn name(self) -> &'static str {
        match self {
            Action::Kill => "kill",
            Action::Stop => "stop",
            Action::Start => "start",
            Action::Pause => "pause",
            Action::Resume => "resume",
            Action::Restart => "restart",
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
    /// What its header says: `error`, `panic`, `delay=750ms`, or several with commas.
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
    /// Alerts that must fire without being notified: another one inhibits them.
    pub inhibits: Vec<String>,
    /// From the start of the first faulty phase to firing, at most; production time. Required with `fires`.
    pub within: Option<Duration>,
    /// Dashboard panels (`uid/panel id`) that must show a measure of the ledger.
    pub panels: BTreeMap<String, Measure>,
    /// Every request is answered, and none with a server error that it did not ask for.
    pub loses_none: bool,
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
    pub(crate) const ALL: [Measure; 5] =
        [Measure::RequestRate, Measure::ErrorShare, Measure::ErrorRate, Measure::LatencyP95, Measure::TopEndpoint];

    /// As a scenario writes it: `request_rate`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Measure::RequestRate => "request_rate",
            Measure::ErrorShare => "error_share",
            Measure::ErrorRate => "error_rate",
            Measure::LatencyP95 => "latency_p95",
            Measure::TopEndpoint => "top_endpoint",
        }
    }
}

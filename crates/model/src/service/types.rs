//! A service by the names of its things, as types; and how its series and the client's requests are told alike.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use aiclipx_base::address::{Address, Target};

/// Its place in a tree.
pub const FILE: &str = "monitoring/service.toml";

/// What a stack calls the service among its components, whatever its own name is.
pub const APP: &str = "app";

/// A service, by the names of its things.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// As prometheus.yml calls what it scrapes of it.
    pub job: String,
    /// The path that answers 200 once it can do its work.
    pub ready: String,
    /// The path of its metrics.
    pub metrics: String,
    /// Whether it listens to the monitoring at an address of its own.
    pub own_listener: bool,
    /// What every path of a scenario begins with at it; empty, or `/like/this`.
    pub base: String,
    /// Routes that probes and scrapes ask for, a `*` at the end for whatever follows.
    pub internal: Vec<String>,
    /// Whether every series it can ever have is there at 0 from the first scrape; else one that appears has grown from nothing.
    pub from_zero: bool,
    /// The gauge that tells when its process was started.
    pub process_start: Option<String>,
    /// How it is started; none of one that somebody else starts.
    pub start: Option<Start>,
    /// Where it is, of one that somebody else starts.
    pub address: Option<Target>,
    /// Where it is asked for its metrics, of such a one, if not there.
    pub monitoring: Option<Address>,
    pub requests: Option<Metric>,
    pub latency: Option<Metric>,
    /// Grows by one with every answer of 500 and above.
    pub errors: Option<Metric>,
    /// The header that carries a request's id.
    pub request_id: Option<String>,
    pub faults: Option<Faults>,
    pub log: Option<Log>,
    pub build: Option<Build>,
    /// A file in monitoring/ with a recorded answer of its /metrics: the names that may be asked of it.
    pub recorded: Option<String>,
}

/// How a service is started: words in which `{address}` and the others of [`PLACES`] stand for what only the stack knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// A name, or a path from the tree.
    pub program: String,
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
    /// The folder it runs in, from the tree; the stack's own where there is none.
    pub folder: Option<String>,
}

/// What a stack puts in its place in the words that start a service.
pub const PLACES: [&str; 12] = [
    "address",
    "host",
    "port",
    "monitoring",
    "monitoring_host",
    "monitoring_port",
    "faults",
    "drain",
    "revision",
    "tree",
    "data",
    "database",
];

/// A counter, or a histogram, and those of its labels that say of which requests a series is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// Of a histogram without `_bucket`, `_count`, `_sum`.
    pub name: String,
    pub method: Option<String>,
    pub route: Option<String>,
    pub code: Option<String>,
    /// Whether a code is told as its class: `2xx`.
    pub by_class: bool,
    /// Labels, and the one value of each, of the series that are meant, where there are others.
    pub only: BTreeMap<String, String>,
}

/// How a request is asked to fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    pub header: String,
    /// 1 while the header is obeyed.
    pub gauge: Option<String>,
}

/// Its log: a JSON object a line, and the keys in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// RFC 3339.
    pub time: String,
    pub request_id: String,
    pub status: String,
}

/// The metric whose labels say what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    pub info: String,
    pub version: Option<String>,
    pub revision: Option<String>,
}

/// What a service may do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Requests,
    Latency,
    Errors,
    RequestId,
    Faults,
    Log,
    Build,
}

impl Part {
    /// Its section of the file, and what it is in words.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Part::Requests => ("requests", "counter of requests"),
            Part::Latency => ("latency", "histogram of latency"),
            Part::Errors => ("errors", "counter of errors"),
            Part::RequestId => ("request_id", "header for a request's id"),
            Part::Faults => ("faults", "header that makes a request fail"),
            Part::Log => ("log", "log that tells of requests"),
            Part::Build => ("build", "metric that says what was built"),
        }
    }
}

impl Service {
    /// Why what rests on this part is not proven; none where it is there.
    pub fn without(&self, part: Part) -> Option<String> {
        let is_there = match part {
            Part::Requests => self.requests.is_some(),
            Part::Latency => self.latency.is_some(),
            Part::Errors => self.errors.is_some(),
            Part::RequestId => self.request_id.is_some(),
            Part::Faults => self.faults.is_some(),
            Part::Log => self.log.is_some(),
            Part::Build => self.build.is_some(),
        };
        let (section, words) = part.words();
        (!is_there).then(|| format!("the service has no {words}: {FILE} has no [{section}]"))
    }

    /// The component of a stack that a job scrapes, as steps of scenarios call it.
    pub fn component_of<'a>(&self, job: &'a str) -> &'a str {
        if job == self.job { APP } else { job }
    }

    /// Whether probes and scrapes ask for this route, too.
    pub fn is_internal(&self, route: &str) -> bool {
        self.internal.iter().any(|internal| match internal.strip_suffix('*') {
            Some(begins) => route.starts_with(begins),
            None => route == internal,
        })
    }

    /// What a series of one of its metrics is told by, `GET /items 200`; none for one that is not meant, or is internal.
    pub fn key_of(&self, metric: &Metric, labels: &BTreeMap<String, String>) -> Option<String> {
        let label = |name: &Option<String>| name.as_ref().map(|name| labels.get(name).map_or("", String::as_str));
        let route = label(&metric.route);
        if !metric.is_meant(labels) || route.is_some_and(|route| self.is_internal(route)) {
            return None;
        }
        // Go's own counters write methods small.
        let method = label(&metric.method).map(str::to_ascii_uppercase);
        Some(joined(method.as_deref(), route, label(&metric.code)))
    }
}

impl Metric {
    /// Its selector in `PromQL`, with what follows its name (`_count`) and matchers beside: label, operator, value.
    pub fn selector(&self, job: &str, ending: &str, more: &[(&str, &str, &str)]) -> String {
        let only = self.only.iter().map(|(name, value)| (name.as_str(), "=", value.as_str()));
        let labels = [("job", "=", job)].into_iter().chain(only).chain(more.iter().copied());
        let labels: Vec<String> = labels.map(|(name, is, value)| format!("{name}{is}{}", quoted(value))).collect();
        format!("{}{ending}{{{}}}", self.name, labels.join(","))
    }

    /// Whether a series of these labels is one of those that are meant.
    pub fn is_meant(&self, labels: &BTreeMap<String, String>) -> bool {
        self.only.iter().all(|(name, value)| labels.get(name) == Some(value))
    }

    /// What the series is told by under which such a request is counted.
    pub fn key_for(&self, method: &str, route: &str, status: &str) -> String {
        let class = self.by_class && status.len() == 3;
        let status = if class { format!("{}xx", &status[..1]) } else { status.to_owned() };
        let if_told = |name: &Option<String>, value| name.is_some().then_some(value);
        joined(if_told(&self.method, method), if_told(&self.route, route), if_told(&self.code, &status))
    }

    /// By what its series tell requests apart, in words.
    pub fn told_by(&self) -> String {
        let names = [("method", &self.method), ("route", &self.route), ("status", &self.code)];
        let (has, lacks): (Vec<_>, Vec<_>) = names.into_iter().partition(|(_, name)| name.is_some());
        let words = |these: Vec<(&'static str, _)>| these.into_iter().map(|(word, _)| word).collect::<Vec<_>>();
        match (words(has), words(lacks)) {
            (has, lacks) if lacks.is_empty() => has.join(", "),
            (has, lacks) if has.is_empty() => format!("as one number: it has no label of {}", lacks.join(", ")),
            (has, lacks) => format!("by {}: it has no label of {}", has.join(", "), lacks.join(", ")),
        }
    }
}

fn joined(method: Option<&str>, route: Option<&str>, code: Option<&str>) -> String {
    let told: Vec<&str> = [method, route, code].into_iter().flatten().collect();
    if told.is_empty() { "requests".to_owned() } else { told.join(" ") }
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

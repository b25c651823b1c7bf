//! What Prometheus counted, held against what the client did: exactly, per series, from raw samples.
//!
//! `increase()` and `rate()` extrapolate and lose a new series' first value, so they can't be the judge. Counted here
//! is a difference of two stored samples: the *baseline*, scraped when nothing was in flight and nothing had been sent,
//! and the *final* one, the first scraped after the last request had ended. A sample's timestamp is the start of its
//! scrape (moved by Prometheus by at most 2 ms, and only earlier), so both bounds are sound. f64 is exact to 2^53.
//!
//! A request without an answer is not guessed at: its id is looked up in the service's log, which says whether the
//! service saw it and what it counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use super::experiment::Experiment;
use super::timeline::{millis, utc_exact};
use aiclipx_model::prom::answer::Series;
use aiclipx_model::service::{APP, Metric, Part, Service};
use aiclipx_model::traffic::ledger::{Entry, Outcome};

/// One line of the reconciliation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// What was counted: `GET /items 200`, or an endpoint.
    pub what: String,
    /// By the client.
    pub ledger: u64,
    /// By Prometheus, over all instances.
    pub prometheus: f64,
}

impl Row {
    /// Whether both counted the same.
    #[allow(clippy::cast_precision_loss)] // a ledger holds far less than 2^53 lines
    pub(crate) fn agrees(&self) -> bool {
        self.prometheus.to_bits() == (self.ledger as f64).to_bits()
    }
}

/// A reconciliation: its rows and how many series stand behind them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reconciliation {
    /// One row per label set that either side counted; sets that are zero on both sides are left out.
    pub rows: Vec<Row>,
    /// The same of each replica by itself, told by its name; none where it is not known which served what.
    pub replicas: Vec<Row>,
    /// Series that had a baseline and a final sample.
    pub series: usize,
    /// Requests without an answer, with what the service's log says of each.
    pub explained: Vec<String>,
}

/// The counters that are reconciled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Of requests.
    Requests,
    /// The histogram's `_count`.
    LatencyCount,
    /// The histogram's last bucket.
    LatencyInf,
    /// Of the service's own faults.
    Errors,
}

impl Family {
    /// What a service needs for it.
    pub fn part(self) -> Part {
        match self {
            Family::Requests => Part::Requests,
            Family::LatencyCount | Family::LatencyInf => Part::Latency,
            Family::Errors => Part::Errors,
        }
    }

    fn metric(self, service: &Service) -> anyhow::Result<&Metric> {
        let metric = match self {
            Family::Requests => &service.requests,
            Family::LatencyCount | Family::LatencyInf => &service.latency,
            Family::Errors => &service.errors,
        };
        metric.as_ref().with_context(|| service.without(self.part()).unwrap_or_default())
    }

    /// The name of its samples.
    pub(crate) fn sample(self) -> &'static str {
        match self {
            Family::Requests => "requests",
            Family::LatencyCount => "latency_count",
            Family::LatencyInf => "latency_inf",
            Family::Errors => "errors",
        }
    }
}

/// The reconciliation of a family, as claims and the report show it.
pub(crate) fn reconcile(experiment: &Experiment, service: &Service, family: Family) -> anyhow::Result<Reconciliation> {
    let metric = family.metric(service)?;
    let (requests, explained) = expected_requests(experiment, service)?;
    let mut expected: BTreeMap<Told, u64> = BTreeMap::new();
    for (Request { replica, method, endpoint, status }, count) in requests {
        let what = match family {
            // Answers of 500 and above, whatever they were of.
            Family::Errors if status.starts_with('5') => FAULTS.to_owned(),
            Family::Errors => continue,
            _ => metric.key_for(&method, &endpoint, &status),
        };
        *expected.entry((replica, what)).or_default() += count;
    }
    let (deltas, series) = deltas(experiment, service, family.sample(), |labels| match family {
        Family::Errors => metric.is_meant(labels).then(|| FAULTS.to_owned()),
        _ => service.key_of(metric, labels),
    })?;
    let replicas =
        if experiment.run.tells_replicas_apart() { join(&named(&expected), &named(&deltas)) } else { Vec::new() };
    Ok(Reconciliation { rows: join(&together(&expected), &together(&deltas)), replicas, series, explained })
}

/// By the replica's name, as far as it is known, and what was counted.
type Told = (Option<String>, String);

/// What all replicas counted together.
fn together<T: Copy + Default + AddAssign>(told: &BTreeMap<Told, T>) -> BTreeMap<String, T> {
    let mut sums = BTreeMap::new();
    for ((_, what), count) in told {
        *sums.entry(what.clone()).or_default() += *count;
    }
    sums
}

/// What each counted, `app-2: GET /items 200`.
fn named<T: Copy>(told: &BTreeMap<Told, T>) -> BTreeMap<String, T> {
    let name = |replica: &Option<String>| replica.clone().unwrap_or_else(|| "no replica".to_owned());
    told.iter().map(|((replica, what), count)| (format!("{}: {what}", name(replica)), *count)).collect()
}

/// What errors are counted under.
const FAULTS: &str = "server faults";

/// What came of holding the latency histogram against the client's own times.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Histogram {
    /// Buckets looked at, over all endpoints.
    pub buckets: usize,
    /// Requests the service put into them.
    pub observed: f64,
    /// What can't be, in words.
    pub wrong: Vec<String>,
}

/// The growth of every bucket over the run, as the service exposes it, against the client's times.
///
/// A service is done before its client hears of it. So at every bound it has put at least as many requests below as the
/// client saw answered within that time; each bucket holds the one below it, and the last one everything.
#[allow(clippy::cast_precision_loss)] // a ledger holds far less than 2^53 lines
pub(crate) fn histogram(experiment: &Experiment, service: &Service) -> anyhow::Result<Histogram> {
    let metric = Family::LatencyCount.metric(service)?;
    let mut grown: BTreeMap<(String, String), f64> = BTreeMap::new();
    let mut balances = BTreeMap::new();
    for (sign, expositions) in [(-1, experiment.expositions_before()?), (1, experiment.expositions_after()?)] {
        for (series, value) in expositions.iter().flatten() {
            let le = match series.name.strip_prefix(&metric.name) {
                Some("_bucket") => label(&series.labels, "le"),
                Some("_count") => "",
                _ => continue,
            };
            let Some(of) = service.key_of(metric, &series.labels) else { continue };
            let name = (of, le.to_owned());
            *balances.entry(name.clone()).or_insert(0) += sign;
            *grown.entry(name).or_default() += f64::from(sign) * value;
        }
    }
    // A series without a beginning would have grown from nothing.
    let has_grown = |balance: i32| balance > 0 && !service.from_zero;
    let lost = balances.iter().filter(|(_, balance)| **balance != 0 && !has_grown(**balance));
    let lost =
        lost.map(|((endpoint, le), _)| format!("{endpoint}: a bucket up to `{le}` before or after the run only"));
    let mut found = Histogram { buckets: 0, observed: 0.0, wrong: lost.collect() };
    let endpoints: BTreeSet<&String> = grown.keys().map(|(endpoint, _)| endpoint).collect();
    for endpoint in endpoints {
        let of_it = grown.iter().filter(|((of, le), _)| of == endpoint && !le.is_empty());
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for ((_, le), count) in of_it {
            buckets.push((le.parse().with_context(|| format!("{endpoint}: a bucket up to `{le}`"))?, *count));
        }
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        let answered = experiment.ledger.entries.iter().filter(|entry| {
            let counted = |status: u16| metric.key_for(&entry.method, &entry.endpoint, &status.to_string());
            entry.status().map(counted).as_ref() == Some(endpoint)
        });
        let took: Vec<f64> =
            answered.filter_map(|entry| Some((entry.ended_us? - entry.sent_us?) as f64 / 1e6)).collect();
        let mut below = 0.0;
        for (bound, count) in &buckets {
            let seen = took.iter().filter(|seconds| *seconds <= bound).count() as f64;
            if *count < seen {
                found
                    .wrong
                    .push(format!("{endpoint}: {count} within {bound} s, and the client saw {seen} answered by then"));
            }
            if *count < below {
                found.wrong.push(format!("{endpoint}: {count} within {bound} s, and {below} within less"));
            }
            below = *count;
        }
        let count = grown.get(&(endpoint.clone(), String::new())).copied().unwrap_or_default();
        if buckets.last().is_none_or(|(bound, all)| bound.is_finite() || all.to_bits() != count.to_bits()) {
            found.wrong.push(format!("{endpoint}: {count} observations, and {below} in the last bucket"));
        }
        found.buckets += buckets.len();
        found.observed += count;
    }
    Ok(found)
}

/// What a request is counted as, and by whom.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    replica: Option<String>,
    method: String,
    endpoint: String,
    status: String,
}

type Requests = BTreeMap<Request, u64>;

/// What the client knows the service must have counted; requests without an answer as the service's log has them.
fn expected_requests(experiment: &Experiment, service: &Service) -> anyhow::Result<(Requests, Vec<String>)> {
    let mut expected = Requests::new();
    let names: Vec<String> = experiment.run.replicas().collect();
    let replica = |entry: &Entry| names.get(usize::try_from(entry.replica?).ok()?.checked_sub(1)?).cloned();
    let key = |entry: &Entry, status: String| {
        let (method, endpoint) = (entry.method.clone(), entry.endpoint.clone());
        Request { replica: replica(entry), method, endpoint, status }
    };
    let mut explained = Vec::new();
    let mut unknown: BTreeMap<&str, &Entry> = BTreeMap::new();
    for entry in &experiment.ledger.entries {
        match &entry.outcome {
            Outcome::Answered { status } => {
                *expected.entry(key(entry, status.to_string())).or_default() += 1;
            }
            outcome if outcome.may_be_counted() => {
                unknown.insert(&entry.id, entry);
            }
            Outcome::Failed { .. } | Outcome::NotSent { .. } => {}
        }
    }
    if !unknown.is_empty() {
        let lines = service.log.as_ref().map(|log| experiment.service_log(log)).transpose()?;
        for line in lines.map(|(lines, _)| lines).unwrap_or_default() {
            let Some(entry) = unknown.remove(line.request_id.as_str()) else { continue };
            let status = line.status.map_or_else(|| "null".to_owned(), |status| status.to_string());
            explained.push(format!("{} had no answer; the service's log has it as {status}", entry.id));
            *expected.entry(key(entry, status)).or_default() += 1;
        }
        explained.extend(unknown.keys().map(|id| format!("{id} had no answer and is not in the service's log")));
    }
    Ok((expected, explained))
}

/// A counter fell while nobody restarted its service: its samples are there, and no number comes of them.
#[derive(Debug)]
pub(crate) struct WentDown {
    what: String,
    /// Unix seconds of the two scrapes.
    from: f64,
    to: f64,
}

impl fmt::Display for WentDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WentDown { what, from, to } = self;
        write!(f, "{what}: the counter went down between the scrapes of {} and {}", utc_exact(*from), utc_exact(*to))
    }
}

impl std::error::Error for WentDown {}

/// Final minus baseline for every series, summed for each replica under a name; `None` leaves a series out.
fn deltas(
    experiment: &Experiment,
    service: &Service,
    name: &str,
    group: impl Fn(&BTreeMap<String, String>) -> Option<String>,
) -> anyhow::Result<(BTreeMap<Told, f64>, usize)> {
    let scrape_durations = experiment.samples("scrape_duration")?;
    let up = experiment.samples("up")?;
    let run = &experiment.run;
    let starts = if run.tells_replicas_apart() { experiment.samples("process_start")? } else { Arc::default() };
    let mut sums: BTreeMap<Told, f64> = BTreeMap::new();
    let mut count = 0;
    for series in experiment.samples(name)?.iter() {
        let Some(what) = group(&series.labels) else { continue };
        let replica = run.replica_at(series.labels.get("instance"));
        let outages = run.outages(&[replica.as_deref().unwrap_or(APP)]);
        let starts = of_instance(&starts, series);
        let unborn = || if service.from_zero { None } else { unborn(experiment, series, &scrape_durations, &up) };
        let baseline = baseline(experiment, series, &scrape_durations)
            .or_else(unborn)
            .with_context(|| format!("{what}: no scrape between quiet and the first request"))?;
        let last = last(experiment, series, &up)
            .with_context(|| format!("{what}: no scrape after the last request had ended"))?;
        let mut grown = 0.0;
        let mut before = baseline;
        for sample in series.samples.iter().filter(|sample| sample.seconds > baseline.0 && sample.seconds <= last.0) {
            // A service that was restarted on purpose begins at zero again; no other counter may go down.
            let restarted = outages.iter().any(|(from, to)| millis(before.0) < *to && millis(sample.seconds) > *from);
            let down = sample.value < before.1;
            if down && !restarted && !experiment.is_since(6) {
                bail!("{what}: the counter went down between {} and {}", before.0, sample.seconds);
            }
            ensure!(!down || restarted, WentDown { what, from: before.0, to: sample.seconds });
            // What has begun anew may have reached where it was by the next scrape.
            let is_anew = down || restarted && started(starts, before.0) != started(starts, sample.seconds);
            grown += if is_anew { sample.value } else { sample.value - before.1 };
            before = (sample.seconds, sample.value);
        }
        *sums.entry((replica, what)).or_default() += grown;
        count += 1;
    }
    Ok((sums, count))
}

/// When the process that was scraped then had been started, by its own word.
fn started(starts: Option<&Series>, seconds: f64) -> Option<u64> {
    let at = starts?.samples.iter().find(|start| millis(start.seconds) == millis(seconds))?;
    Some(at.value.to_bits())
}

/// The last sample that was scraped whole while nothing was in flight and nothing had been sent.
fn baseline(experiment: &Experiment, series: &Series, scrape_durations: &[Series]) -> Option<(f64, f64)> {
    let durations = of_instance(scrape_durations, series)?;
    series.samples.iter().rev().map(|s| (s.seconds, s.value)).find(|(seconds, _)| {
        let at = millis(*seconds);
        let took =
            durations.samples.iter().find(|s| millis(s.seconds) == at).map(|s| millis(s.value).saturating_add(1));
        at >= experiment.run.quiet_ms && took.is_some_and(|took| at.saturating_add(took) < experiment.sending_ms())
    })
}

/// The last whole scrape of its target before anything was sent, of a series that was not there yet: it grew from nothing.
fn unborn(experiment: &Experiment, series: &Series, scrape_durations: &[Series], up: &[Series]) -> Option<(f64, f64)> {
    let answered = of_instance(up, series)?;
    let (seconds, up) = baseline(experiment, answered, scrape_durations)?;
    let was_there = series.samples.iter().any(|sample| sample.seconds <= seconds);
    (up > 0.0 && !was_there).then_some((seconds, 0.0))
}

/// The first sample of a successful scrape that began after the last request had ended.
fn last(experiment: &Experiment, series: &Series, up: &[Series]) -> Option<(f64, f64)> {
    let up = of_instance(up, series)?;
    series.samples.iter().map(|s| (s.seconds, s.value)).find(|(seconds, _)| {
        let at = millis(*seconds);
        at > experiment.ended_ms() && up.samples.iter().any(|s| millis(s.seconds) == at && s.value > 0.0)
    })
}

fn of_instance<'a>(all: &'a [Series], series: &Series) -> Option<&'a Series> {
    all.iter().find(|other| ["job", "instance"].iter().all(|name| other.labels.get(*name) == series.labels.get(*name)))
}

fn label<'a>(labels: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    labels.get(name).map_or("", String::as_str)
}

/// One row for each name that either side has and that is not zero on both.
#[allow(clippy::cast_precision_loss)] // a ledger holds far less than 2^53 lines
fn join(expected: &BTreeMap<String, u64>, deltas: &BTreeMap<String, f64>) -> Vec<Row> {
    let names: BTreeSet<&String> = expected.keys().chain(deltas.keys()).collect();
    names
        .into_iter()
        .map(|what| Row {
            what: what.clone(),
            ledger: expected.get(what).copied().unwrap_or(0),
            prometheus: deltas.get(what).copied().unwrap_or(0.0),
        })
        .filter(|row| row.ledger > 0 || row.prometheus != 0.0)
        .collect()
}

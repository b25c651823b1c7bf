//! `aiclipx sizing`: what a Prometheus takes for so many replicas of a service, from what the service exposes.
//!
//! Arithmetic, and four measured numbers: monitoring/SIZING.md says how they were measured, and quotes this command, which a test
//! holds to it. Not for: what rules record and the monitoring exposes of itself, which does not grow with the service.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use aiclipx_app::metrics::Metrics;
use aiclipx_base::address::Target;
use aiclipx_base::duration;
use aiclipx_http::client;
use aiclipx_model::failure::{Failure, print};
use aiclipx_model::files;
use aiclipx_model::prom::exposition;
use anyhow::Context;
use clap::Args;

/// `up`, and four that begin with `scrape_`.
const ADDED: usize = 5;
/// Of a block of an hour, its index with it; larger blocks have less of that.
const DISK_BYTES_A_SAMPLE: f64 = 1.7;
/// As the remote write is packed.
const WIRE_BYTES_A_SAMPLE: f64 = 20.0;
/// Of the write-ahead log, three hours of which lie beside the blocks.
const LOG_BYTES_A_SAMPLE: f64 = 6.0;
const LOG: Duration = Duration::from_hours(3);
/// Up to which Prometheus' heap grows for a series that it scrapes, and what it has without any.
const MEMORY_BYTES_A_SERIES: f64 = 4_600.0;
const MEMORY_BYTES: f64 = 65e6;
/// A rollout replaces every series by another within the two hours that both are in memory; and somebody has to ask, too.
const HEADROOM: f64 = 2.0;
/// Names that are told by themselves, the largest first.
const LARGEST: usize = 3;
/// One question to a service.
const ASK_LIMIT: Duration = Duration::from_secs(5);
const GIBIBYTE: f64 = 1024.0 * 1024.0 * 1024.0;

/// The options.
#[derive(Args)]
pub(super) struct Sizing {
    /// What the service exposes: its URL, or a file that holds it [default: what the service of this repository does].
    #[arg(long, value_name = "URL|FILE")]
    metrics: Option<String>,
    /// That service keeps its items in PostgreSQL, of which it exposes more.
    #[arg(long, conflicts_with = "metrics")]
    database: bool,
    /// Instances of the service.
    #[arg(long, default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    replicas: u32,
    /// How long samples are kept.
    #[arg(long, default_value = "31d", value_parser = duration::parse)]
    retention: Duration,
    /// How often the service is scraped.
    #[arg(long, default_value = "15s", value_parser = duration::parse)]
    interval: Duration,
    /// What one Prometheus may have, in GiB.
    #[arg(long, value_name = "GIB", default_value = "8", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    memory: u32,
}

impl Sizing {
    pub(super) async fn run(&self) -> Result<ExitCode, Failure> {
        if self.interval.is_zero() || self.retention < self.interval {
            let (interval, retention) = (duration::print(self.interval), duration::print(self.retention));
            return Err(Failure::usage(format!("scraped every {interval} and kept for {retention}"))
                .remedy("--interval is more than nothing, and --retention more than that"));
        }
        let exposed = match &self.metrics {
            Some(place) => of_text(&text_of(place).await?, place)?,
            None => ours(self.database)?,
        };
        print(self.told(&exposed).trim_end())?;
        Ok(ExitCode::SUCCESS)
    }

    fn told(&self, exposed: &BTreeMap<String, usize>) -> String {
        let count: usize = exposed.values().sum();
        let needs = Needs::of(count + ADDED, self);
        let interval = duration::print(self.interval);
        let mut told = String::new();
        let mut row = |what: &str, value: &str, why: &str| {
            let _ = writeln!(told, "{}", format!("{what:<36}{value:>10}   {why}").trim_end());
        };
        row(
            "series a replica",
            &whole(needs.series),
            &format!("{count} that it exposes, {ADDED} that Prometheus adds"),
        );
        for (name, count) in largest(exposed) {
            row(&format!("  {name}"), &whole(count_of(count)), "");
        }
        row("samples a replica, a day", &whole(needs.samples_a_day), &format!("one of each every {interval}"));
        row("replicas", &whole(f64::from(self.replicas)), "");
        row("their series", &whole(needs.all_series), "");
        row("samples a second", &whole(needs.samples_a_second), "");
        row("disk a day", &bytes(needs.disk_a_day), &format!("{DISK_BYTES_A_SAMPLE} bytes a sample"));
        let kept = format!("disk for {}", duration::print(self.retention));
        row(&kept, &bytes(needs.disk), &format!("and {} of write-ahead log", duration::print(LOG)));
        row("memory", &bytes(needs.memory), "twice the series: a rollout, and queries");
        row("remote write", &format!("{}/s", bytes(needs.wire)), &format!("{WIRE_BYTES_A_SAMPLE} bytes a sample"));
        let most = format!("replicas in {} GiB", self.memory);
        row(
            &most,
            &whole(needs.most_replicas),
            if needs.fits { "one Prometheus is enough" } else { "more than one is needed" },
        );
        if !needs.fits {
            row("Prometheus", &whole(needs.shards), &format!("each with {} GiB", self.memory));
        }
        told
    }
}

/// What follows from a number of series.
struct Needs {
    series: f64,
    samples_a_day: f64,
    all_series: f64,
    samples_a_second: f64,
    disk_a_day: f64,
    disk: f64,
    memory: f64,
    wire: f64,
    /// As many as fit into the memory of one Prometheus.
    most_replicas: f64,
    fits: bool,
    shards: f64,
}

impl Needs {
    fn of(series: usize, asked: &Sizing) -> Needs {
        let (series, replicas) = (count_of(series), f64::from(asked.replicas));
        let day = Duration::from_hours(24).as_secs_f64();
        let samples_a_day = series * day / asked.interval.as_secs_f64();
        let all_series = series * replicas;
        let samples_a_second = all_series / asked.interval.as_secs_f64();
        let disk_a_day = samples_a_day * replicas * DISK_BYTES_A_SAMPLE;
        let log = samples_a_second * LOG.as_secs_f64() * LOG_BYTES_A_SAMPLE;
        let a_series = MEMORY_BYTES_A_SERIES * HEADROOM;
        let most_replicas = ((f64::from(asked.memory) * GIBIBYTE - MEMORY_BYTES) / (series * a_series)).floor();
        Needs {
            series,
            samples_a_day,
            all_series,
            samples_a_second,
            disk_a_day,
            disk: disk_a_day * asked.retention.as_secs_f64() / day + log,
            memory: MEMORY_BYTES + all_series * a_series,
            wire: samples_a_second * WIRE_BYTES_A_SAMPLE,
            most_replicas,
            fits: replicas <= most_replicas,
            shards: (replicas / most_replicas.max(1.0)).ceil(),
        }
    }
}

/// How many series of each name the service of this repository exposes.
fn ours(with_database: bool) -> Result<BTreeMap<String, usize>, Failure> {
    let metrics = Metrics::new("", "").context("the service's own metrics")?;
    of_text(&metrics.encode_all(with_database), "the service")
}

fn of_text(text: &str, place: &str) -> Result<BTreeMap<String, usize>, Failure> {
    let series = exposition::parse(text).with_context(|| format!("{place} holds no text of Prometheus'"));
    let mut exposed = BTreeMap::new();
    for name in series.map_err(Failure::usage)?.into_keys() {
        *exposed.entry(name.name).or_insert(0) += 1;
    }
    if exposed.is_empty() {
        return Err(
            Failure::usage(format!("{place} exposes no series")).remedy("--metrics names what Prometheus scrapes")
        );
    }
    Ok(exposed)
}

async fn text_of(place: &str) -> Result<String, Failure> {
    let cannot = |why: String| {
        Failure::usage(format!("cannot read {place}: {why}"))
            .remedy("--metrics names a URL like http://127.0.0.1:8081/metrics, or a file that holds what is there")
    };
    if !place.contains("://") {
        let bytes = files::read(Path::new(place)).map_err(|error| cannot(error.to_string()))?;
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    let target: Target = place.parse().map_err(Failure::usage)?;
    let path = if target.base.is_empty() { "/metrics" } else { &target.base };
    let answer = client::get(&target.address, path, ASK_LIMIT).await.map_err(|error| cannot(error.to_string()))?;
    if !answer.status.is_success() {
        return Err(cannot(format!("it answers {}", answer.status)));
    }
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

fn largest(exposed: &BTreeMap<String, usize>) -> Vec<(&str, usize)> {
    let mut names: Vec<(&str, usize)> = exposed.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    names.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    names.truncate(LARGEST);
    names
}

#[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 series")]
fn count_of(count: usize) -> f64 {
    count as f64
}

/// With a space before each third digit.
fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut spaced = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            spaced.push(' ');
        }
        spaced.push(digit);
    }
    spaced
}

/// Two digits, or as many as stand before the point.
fn bytes(number: f64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let (unit, name) = units.into_iter().find(|(unit, _)| number >= *unit).unwrap_or((1.0, "B"));
    let number = number / unit;
    if number < 10.0 && unit > 1.0 { format!("{number:.1} {name}") } else { format!("{number:.0} {name}") }
}

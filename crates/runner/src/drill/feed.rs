//! Sends samples to Prometheus by its receiver of remote writes: with the test's own labels and times, and the mark of staleness,
//! which no file of samples can hold.

use std::time::Duration;

use anyhow::{Context, bail};

use crate::remote_write::{HEADERS, Label, Sample, TimeSeries, WriteRequest};
use aiclipx_base::address::Address;
use aiclipx_http::client;
use aiclipx_model::drill::scene::{Number, Sent};

/// The NaN by which Prometheus marks that a series ended.
const STALE: u64 = 0x7ff0_0000_0000_0002;
/// Samples in one request.
const AT_ONCE: usize = 20_000;
/// What an answer may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Sends all samples, in order of time: what is older than what a Prometheus has seen, it may refuse.
pub(super) async fn send(to: &Address, all: &[Sent]) -> anyhow::Result<usize> {
    let mut samples: Vec<(i64, usize, f64)> = Vec::new();
    for (index, series) in all.iter().enumerate() {
        let value = |value: &Option<Number>| value.as_ref().map_or(f64::from_bits(STALE), Number::value);
        samples.extend(series.samples.iter().map(|(at, told)| (*at, index, value(told))));
    }
    samples.sort_by_key(|(at, index, _)| (*at, *index));
    for batch in samples.chunks(AT_ONCE) {
        let mut requested: Vec<TimeSeries> =
            all.iter().map(|one| TimeSeries { labels: labels(one), samples: Vec::new() }).collect();
        for (timestamp, index, value) in batch {
            requested[*index].samples.push(Sample { value: *value, timestamp: *timestamp });
        }
        requested.retain(|series| !series.samples.is_empty());
        write(to, &WriteRequest { timeseries: requested }).await?;
    }
    Ok(samples.len())
}

/// In order of their names, as the protocol demands.
fn labels(series: &Sent) -> Vec<Label> {
    series.labels.iter().map(|(name, value)| Label { name: name.clone(), value: value.clone() }).collect()
}

async fn write(to: &Address, request: &WriteRequest) -> anyhow::Result<()> {
    let answer =
        client::post(to, "/api/v1/write", &HEADERS, request.packed()?, LIMIT).await.context("sending samples")?;
    if !answer.status.is_success() {
        bail!("Prometheus refused samples ({}): {}", answer.status, String::from_utf8_lossy(&answer.body).trim());
    }
    Ok(())
}

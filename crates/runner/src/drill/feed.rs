//! Sends samples to Prometheus by its receiver of remote writes: with the test's own labels and times, and the mark of staleness,
//! which no file of samples can hold.

use std::time::Duration;

use anyhow::{Context, bail};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use prost::Message;

use aiclipx_base::address::Address;
use aiclipx_http::client;
use aiclipx_model::drill::scene::{Number, Sent};

/// Prometheus' `WriteRequest`, as much of it as is sent.
#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

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
    let packed = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).context("packing samples")?;
    let headers = [
        (CONTENT_ENCODING, "snappy"),
        (CONTENT_TYPE, "application/x-protobuf"),
        (HeaderName::from_static("x-prometheus-remote-write-version"), "0.1.0"),
    ];
    let answer = client::post(to, "/api/v1/write", &headers, packed, LIMIT).await.context("sending samples")?;
    if !answer.status.is_success() {
        bail!("Prometheus refused samples ({}): {}", answer.status, String::from_utf8_lossy(&answer.body).trim());
    }
    Ok(())
}

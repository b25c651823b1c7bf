//! Prometheus' remote write, protocol 1.0: its messages, as they are packed and unpacked. Not for sending or taking them.

use anyhow::Context;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use prost::Message;

/// As much of a `WriteRequest` as is sent here, or looked at.
#[derive(Clone, PartialEq, Message)]
pub struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TimeSeries {
    /// In order of their names, as the protocol demands.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Label {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Sample {
    #[prost(double, tag = "1")]
    pub value: f64,
    /// Unix milliseconds.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

/// What a request says of its body.
pub(crate) const HEADERS: [(HeaderName, &str); 3] = [
    (CONTENT_ENCODING, "snappy"),
    (CONTENT_TYPE, "application/x-protobuf"),
    (HeaderName::from_static("x-prometheus-remote-write-version"), "0.1.0"),
];

impl WriteRequest {
    pub(crate) fn packed(&self) -> anyhow::Result<Vec<u8>> {
        snap::raw::Encoder::new().compress_vec(&self.encode_to_vec()).context("packing samples")
    }

    /// Reads a request's body.
    pub fn unpacked(body: &[u8]) -> anyhow::Result<WriteRequest> {
        let plain = snap::raw::Decoder::new().decompress_vec(body).context("unpacking samples")?;
        WriteRequest::decode(&plain[..]).context("reading samples")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        let label = Label { name: "__name__".to_owned(), value: "x_total".to_owned() };
        let sample = Sample { value: f64::from_bits(0x7ff0_0000_0000_0002), timestamp: -7 };
        let series =
            TimeSeries { labels: vec![label], samples: vec![sample, Sample { value: 0.1, timestamp: 1 << 50 }] };
        let there = WriteRequest { timeseries: vec![series] };
        let back = WriteRequest::unpacked(&there.packed().unwrap()).unwrap();
        let bits = |request: &WriteRequest| -> Vec<(i64, u64)> {
            request.timeseries[0].samples.iter().map(|one| (one.timestamp, one.value.to_bits())).collect()
        };
        assert_eq!((&back.timeseries[0].labels, bits(&back)), (&there.timeseries[0].labels, bits(&there)));
        assert!(WriteRequest::unpacked(b"no snappy").is_err());
    }
}

//! A request in the air. It is counted when it lands, or when it is dropped because its client left: exactly once,
//! and logged there and then, so that the line and the count can't drift.
//!
//! Landing takes the flight by value. A flight with a status to set would be a trap: an `async move` block captures
//! the fields it writes, not the whole, and the guard would drop before its request is handled.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::header::{HeaderMap, HeaderValue};
use hyper::{StatusCode, header::HeaderName};
use tokio::time::Instant;

use super::access::Ended;
use super::endpoint::{ABANDONED, Endpoint, Verb};
use super::meter::Meter;

/// The header that names a request, in both directions.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Where requests take off: what their flights share.
pub(super) struct Flights {
    meter: Arc<Meter>,
    access_log: bool,
    /// Makes our ids unique among processes, 16 digits and a dash; the count does within this one.
    prefix: String,
    count: AtomicU64,
}

impl Flights {
    /// Flights counted by `meter` and, if `access_log`, logged.
    pub(super) fn new(meter: Arc<Meter>, access_log: bool) -> Flights {
        let prefix = format!("{:016x}-", RandomState::new().build_hasher().finish());
        Flights { meter, access_log, prefix, count: AtomicU64::new(0) }
    }

    /// A request begins: in flight from here on.
    pub(super) fn take_off(&self, endpoint: Endpoint, verb: Verb, headers: &HeaderMap) -> Flight {
        self.meter.took_off();
        let id = headers.get(REQUEST_ID).filter(|id| is_valid(id)).cloned().unwrap_or_else(|| self.new_id());
        Flight {
            meter: Arc::clone(&self.meter),
            endpoint,
            verb,
            id,
            access_log: self.access_log,
            started: Instant::now(),
            landed: false,
        }
    }

    fn new_id(&self) -> HeaderValue {
        let mut id = [0; 33]; // on the stack: every request has one
        let mut rest = &mut id[..];
        write!(rest, "{}{:x}", self.prefix, self.count.fetch_add(1, Ordering::Relaxed)).expect("there is room");
        let length = 33 - rest.len();
        HeaderValue::from_bytes(&id[..length]).expect("hexadecimal digits and a dash are a header value")
    }
}

/// A request that has taken off.
pub(super) struct Flight {
    meter: Arc<Meter>,
    endpoint: Endpoint,
    verb: Verb,
    id: HeaderValue,
    access_log: bool,
    started: Instant,
    landed: bool,
}

impl Flight {
    /// The answer exists. Returns what the request is called: by its client if that gave it a valid name, else by us.
    pub(super) fn land(mut self, status: StatusCode, bytes: u64, at_fault: bool) -> HeaderValue {
        self.landed = true;
        self.record(status.as_u16(), bytes, at_fault);
        std::mem::replace(&mut self.id, HeaderValue::from_static(""))
    }

    fn record(&self, status: u16, bytes: u64, at_fault: bool) {
        let seconds = self.started.elapsed().as_secs_f64();
        self.meter.landed(self.endpoint, self.verb, status, seconds, at_fault);
        if self.access_log {
            let (method, endpoint) = (self.verb.label(), self.endpoint.label());
            Ended { at_fault, method, endpoint, status, seconds, bytes, request_id: self.id.as_bytes() }.log();
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.landed {
            self.record(ABANDONED, 0, false);
        }
    }
}

/// 1–64 of `[A-Za-z0-9._-]`: nothing that could forge a header or a log line.
fn is_valid(id: &HeaderValue) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    (1..=64).contains(&id.len()) && id.as_bytes().iter().all(plain)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn flight(meter: &Arc<Meter>) -> Flight {
        Flights::new(Arc::clone(meter), false).take_off(Endpoint::Index, Verb::Get, &HeaderMap::new())
    }

    fn counted(meter: &Meter) -> Vec<(u16, u64)> {
        meter.totals().filter(|total| total.requests > 0).map(|total| (total.status, total.requests)).collect()
    }

    #[test]
    fn landing_counts_once_and_dropping_counts_once_as_abandoned() {
        let meter = Arc::new(Meter::new("0", "test").unwrap());
        flight(&meter).land(StatusCode::OK, 0, false);
        assert_eq!(counted(&meter), [(200, 1)]);
        drop(flight(&meter));
        assert_eq!(counted(&meter), [(200, 1), (499, 1)]);
        assert_eq!(meter.errors(), 0);
        assert!(meter.encode().contains("app_requests_in_flight 0"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_in_the_air_is_what_is_observed() {
        let meter = Arc::new(Meter::new("0", "test").unwrap());
        let flight = flight(&meter);
        tokio::time::advance(Duration::from_millis(300)).await;
        flight.land(StatusCode::OK, 0, false);
        let text = meter.encode();
        assert!(text.contains(r#"app_request_latency_seconds_bucket{endpoint="/",le="0.25"} 0"#));
        assert!(text.contains(r#"app_request_latency_seconds_bucket{endpoint="/",le="0.5"} 1"#));
        assert!(text.contains(r#"app_request_latency_seconds_sum{endpoint="/"} 0.3"#));
    }

    #[test]
    fn only_a_plain_short_id_is_taken_over() {
        for (id, valid) in [("run-1.a_B", true), ("", false), ("a b", false), ("a\"b", false), ("é", false)] {
            assert_eq!(is_valid(&HeaderValue::from_bytes(id.as_bytes()).unwrap()), valid, "{id}");
        }
        assert!(is_valid(&HeaderValue::try_from("x".repeat(64)).unwrap()));
        assert!(!is_valid(&HeaderValue::try_from("x".repeat(65)).unwrap()));
        let flights = Flights::new(Arc::new(Meter::new("0", "test").unwrap()), false);
        let id = flights.new_id();
        assert!(is_valid(&id));
        assert_ne!(id, flights.new_id());
    }
}

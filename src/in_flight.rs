//! The guard of a request in flight. It is made when the head was read, and counts and logs the request exactly once: when the
//! last byte of its answer was handed to the connection, or when it is dropped before that because the connection broke. Line
//! and count are made in one place, so they can't drift apart.
//!
//! The guard moves from the handler's future into the answer's body. Whatever hyper does with either, it drops them.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::time::Instant;

use super::access::Ended;
use super::endpoint::{ABANDONED, Endpoint, Verb};
use super::log_writer;
use super::metrics::Metrics;

/// The header that names a request, in both directions.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A long body is handed over in pieces of this size, each written before the next. So a request ends when the kernel has taken
/// nearly all of its answer, not when hyper has queued it; and a connection whose client reads never keeps a large buffer.
/// Where the kernel takes no more, hyper queues pieces up to its own bound.
pub(super) const PIECE_BYTES: usize = 4 << 10;

/// Makes the guards; holds what they share.
pub(super) struct Requests {
    metrics: Arc<Metrics>,
    access_log: bool,
    /// Makes our ids unique among processes, 16 digits and a dash; the count does within this one.
    prefix: [u8; 17],
    count: AtomicU64,
}

impl Requests {
    /// Requests counted by `metrics` and, if `access_log`, logged.
    pub(super) fn new(metrics: Arc<Metrics>, access_log: bool) -> Requests {
        let mut prefix = [b'-'; 17];
        hexadecimal(RandomState::new().build_hasher().finish(), &mut prefix[..16]);
        Requests { metrics, access_log, prefix, count: AtomicU64::new(0) }
    }

    /// A request begins: in flight from here on. `id` is what its client calls it, if that [is one](is_valid).
    pub(super) fn begin(&self, endpoint: Endpoint, verb: Verb, id: Option<HeaderValue>, now: Instant) -> InFlight {
        self.metrics.request_begins();
        let id = id.unwrap_or_else(|| self.new_id());
        InFlight {
            metrics: Arc::clone(&self.metrics),
            endpoint,
            verb,
            id,
            access_log: self.access_log,
            started: now,
            ended: false,
        }
    }

    fn new_id(&self) -> HeaderValue {
        let mut id = [0; 33]; // on the stack: every request has one
        id[..17].copy_from_slice(&self.prefix);
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let digits = (16 - count.leading_zeros() as usize / 4).max(1);
        hexadecimal(count, &mut id[17..17 + digits]);
        HeaderValue::from_bytes(&id[..17 + digits]).expect("hexadecimal digits and a dash are a header value")
    }
}

/// The last digits of a number.
fn hexadecimal(mut number: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

/// A request that has begun and not ended.
pub(super) struct InFlight {
    metrics: Arc<Metrics>,
    endpoint: Endpoint,
    verb: Verb,
    id: HeaderValue,
    access_log: bool,
    started: Instant,
    ended: bool,
}

impl InFlight {
    /// The answer exists: it is named like its request, and its body takes the guard along. `at_fault` says that the
    /// service failed.
    pub(super) fn answered<B: Body<Data = Bytes> + Unpin>(
        mut self,
        mut response: Response<B>,
        at_fault: bool,
    ) -> Response<Counted<B>> {
        let (status, is_head) = (response.status(), self.verb == Verb::Head);
        let nobody = HeaderValue::from_static("");
        let id = if self.access_log { self.id.clone() } else { std::mem::replace(&mut self.id, nobody) };
        response.headers_mut().insert(REQUEST_ID, id);
        response.map(|body| {
            let mut body =
                Counted { body, rest: Bytes::new(), pauses: false, bytes: 0, status, at_fault, request: Some(self) };
            // hyper writes the head at once, and never looks at a body that has no bytes or may not be sent.
            if is_head || body.is_end_stream() {
                body.end();
            }
            body
        })
    }

    /// Does a part of its work; a panic there, which must be contained, is logged under its name.
    pub(super) fn named<T>(&mut self, work: impl FnOnce() -> T) -> T {
        log_writer::named(&mut self.id, work)
    }

    fn record(&self, status: u16, bytes: u64, at_fault: bool) {
        let seconds = self.started.elapsed().as_secs_f64();
        self.metrics.request_ends(self.endpoint, self.verb, status, seconds, at_fault);
        if self.access_log {
            let (method, endpoint) = (self.verb.label(), self.endpoint.label());
            Ended { at_fault, method, endpoint, status, seconds, bytes, request_id: self.id.as_bytes() }.log();
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.ended {
            self.record(ABANDONED, 0, false);
        }
    }
}

/// An answer's body with its request: handed over piece by piece, and ended with the last.
pub(super) struct Counted<B> {
    body: B,
    /// The rest of the body's last frame, not handed over yet.
    rest: Bytes,
    /// A piece was handed over, and is to be written before the next.
    pauses: bool,
    /// Handed over.
    bytes: u64,
    status: StatusCode,
    at_fault: bool,
    /// Until it ended.
    request: Option<InFlight>,
}

impl<B> Counted<B> {
    fn end(&mut self) {
        if let Some(mut request) = self.request.take() {
            request.ended = true;
            request.record(self.status.as_u16(), self.bytes, self.at_fault);
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if std::mem::take(&mut self.pauses) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut piece = std::mem::take(&mut self.rest);
        if piece.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => piece = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                Some(Err(error)) => {
                    // It breaks off, by a fault of ours.
                    (self.status, self.at_fault) = (StatusCode::INTERNAL_SERVER_ERROR, true);
                    self.end();
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.end();
                    return Poll::Ready(None);
                }
            }
        }
        if piece.len() > PIECE_BYTES {
            self.rest = piece.split_off(PIECE_BYTES);
        }
        self.bytes += piece.len() as u64;
        if self.is_end_stream() {
            self.end();
        }
        self.pauses = true;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    /// Asked before the first piece, so what is left of it is nothing.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// 1–64 of `[A-Za-z0-9._-]`: nothing that could forge a header or a log line.
pub(super) fn is_valid(id: &HeaderValue) -> bool {
    (1..=64).contains(&id.len()) && id.as_bytes().iter().all(|&byte| PLAIN[usize::from(byte)])
}

/// The bytes an id may have.
const PLAIN: [bool; 256] = {
    let bytes = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    let mut plain = [false; 256];
    let mut at = 0;
    while at < bytes.len() {
        plain[bytes[at] as usize] = true;
        at += 1;
    }
    plain
};

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::{BodyExt, Full};

    use super::*;

    fn begun(metrics: &Arc<Metrics>, verb: Verb) -> InFlight {
        Requests::new(Arc::clone(metrics), false).begin(Endpoint::Index, verb, None, Instant::now())
    }

    fn answer(body: Vec<u8>) -> Response<Full<Bytes>> {
        Response::new(Full::from(body))
    }

    fn counted(metrics: &Metrics) -> Vec<(&'static str, u16, u64)> {
        let moved = metrics.totals().filter(|total| total.requests > 0);
        moved.map(|total| (total.method, total.status, total.requests)).collect()
    }

    fn in_flight(metrics: &Metrics) -> bool {
        !metrics.encode().contains("app_requests_in_flight 0")
    }

    #[test]
    fn a_request_that_is_dropped_before_its_answer_is_counted_once_as_abandoned() {
        let metrics = Arc::new(Metrics::new("0", "test").unwrap());
        let request = begun(&metrics, Verb::Get);
        assert!(in_flight(&metrics));
        drop(request);
        assert_eq!(counted(&metrics), [("GET", 499, 1)]);
        assert_eq!(metrics.errors(), 0);
        assert!(!in_flight(&metrics));
    }

    #[tokio::test]
    async fn a_request_ends_with_the_last_piece_of_its_answer() {
        let metrics = Arc::new(Metrics::new("0", "test").unwrap());
        let mut body = begun(&metrics, Verb::Get).answered(answer(vec![b'x'; 2 * PIECE_BYTES + 1]), false).into_body();
        for (piece, ended) in [(PIECE_BYTES, false), (PIECE_BYTES, false), (1, true)] {
            assert!(in_flight(&metrics));
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), piece);
            assert_eq!(in_flight(&metrics), !ended);
        }
        assert_eq!(counted(&metrics), [("GET", 200, 1)]);
        drop(body);
        assert_eq!(counted(&metrics), [("GET", 200, 1)]);
    }

    #[tokio::test]
    async fn a_request_whose_answer_breaks_off_is_counted_once_as_abandoned() {
        let metrics = Arc::new(Metrics::new("0", "test").unwrap());
        let mut body = begun(&metrics, Verb::Get).answered(answer(vec![b'x'; 2 * PIECE_BYTES]), true).into_body();
        body.frame().await;
        drop(body);
        assert_eq!(counted(&metrics), [("GET", 499, 1)]);
        assert_eq!(metrics.errors(), 0);
    }

    #[test]
    fn an_answer_without_a_body_ends_its_request_at_once() {
        let metrics = Arc::new(Metrics::new("0", "test").unwrap());
        drop(begun(&metrics, Verb::Get).answered(answer(Vec::new()), false));
        drop(begun(&metrics, Verb::Head).answered(answer(vec![b'x'; 10]), false));
        assert_eq!(counted(&metrics), [("GET", 200, 1), ("HEAD", 200, 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_in_flight_is_what_is_observed() {
        let metrics = Arc::new(Metrics::new("0", "test").unwrap());
        let body = begun(&metrics, Verb::Get).answered(answer(vec![b'x']), false).into_body();
        tokio::time::advance(Duration::from_millis(300)).await;
        body.collect().await.unwrap();
        let text = metrics.encode();
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
    }

    #[test]
    fn our_own_ids_are_valid_and_distinct() {
        let requests = Requests::new(Arc::new(Metrics::new("0", "test").unwrap()), false);
        let ids: Vec<_> = (0..300).map(|_| requests.new_id()).collect();
        assert!(ids.iter().all(is_valid));
        let text = |at: usize| ids[at].to_str().unwrap()[17..].to_owned();
        assert_eq!([0, 1, 15, 16, 255, 256].map(text), ["0", "1", "f", "10", "ff", "100"]);
    }
}

//! Work that a panic or a time-out can't take further than its own request.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::CatchUnwind;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, header};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::{Incoming, Service};

/// Why work has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// It panicked; the panic hook has told where.
    Panicked,
    /// It was not done in time, and was dropped.
    TimedOut,
}

/// Does `work` within `limit`, and survives its panic.
pub fn contain<W: Future>(limit: Duration, work: W) -> Contained<W> {
    Contained { work: AssertUnwindSafe(work).catch_unwind(), limit, timer: None }
}

pin_project! {
    /// Contained work. Not an `async fn`: that would hold the work twice, as it came and where it is done, and a service's
    /// work is a request, which would be copied from the one place to the other.
    pub struct Contained<W> {
        #[pin]
        work: CatchUnwind<AssertUnwindSafe<W>>,
        limit: Duration,
        // Most work is done at the first look, and pays for no timer.
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<W: Future> Future for Contained<W> {
    type Output = Result<W::Output, Broken>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(done) = this.work.poll(cx) {
            return Poll::Ready(done.map_err(|_| Broken::Panicked));
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(*this.limit)));
        timer.as_mut().poll(cx).map(|()| Err(Broken::TimedOut))
    }
}

/// An `async fn(Request<Incoming>) -> Response<Full<Bytes>>` as a [`Service`]: a panic is 500, a time-out 503.
pub struct Plain<H> {
    handler: H,
    limit: Duration,
}

impl<H> Plain<H> {
    /// A request may take `limit`.
    pub fn new(limit: Duration, handler: H) -> Plain<H> {
        Plain { handler, limit }
    }
}

impl<H, F> Service for Plain<H>
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send,
{
    type Body = Full<Bytes>;

    async fn call(&self, request: Request<hyper::body::Incoming>, _: Instant) -> Response<Full<Bytes>> {
        // The handler is called inside, so that what it does before its first await is contained, too.
        contain(self.limit, async { (self.handler)(Incoming::of(request)).await }).await.unwrap_or_else(|broken| {
            let (status, body) = match broken {
                Broken::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, r#"{"error":"internal error"}"#),
                Broken::TimedOut => (StatusCode::SERVICE_UNAVAILABLE, r#"{"error":"the request took too long"}"#),
            };
            let mut response = Response::new(Full::from(body));
            *response.status_mut() = status;
            response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
            response
        })
    }
}

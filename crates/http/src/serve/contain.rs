//! Work that a panic or a time-out can't take further than its own request.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, header};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::incoming::Incoming;
use super::service::Service;

/// Why work has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// It panicked; the panic hook has told where.
    Panicked,
    /// It was not done in time, and was dropped.
    TimedOut,
}

/// Does `work` within `limit`, and survives its panic: then there is what `broken` makes of it.
pub fn contain<W: Future>(limit: Duration, work: W, broken: fn(Broken) -> W::Output) -> Contained<W> {
    Contained { work, broken, limit, timer: None }
}

pin_project! {
    /// Contained work. Not an `async fn`: that would hold the work twice, as it came and where it is done, and a service's
    /// work is a request, which would be copied from the one place to the other. Nor a `Result`: an answer would be copied
    /// into it, and out of it.
    pub struct Contained<W: Future> {
        #[pin]
        work: W,
        broken: fn(Broken) -> W::Output,
        limit: Duration,
        // Most work is done at the first look, and pays for no timer.
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<W: Future> Future for Contained<W> {
    type Output = W::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match catch_unwind(AssertUnwindSafe(|| this.work.poll(cx))) {
            Ok(Poll::Pending) => {}
            Ok(done) => return done,
            Err(_) => return Poll::Ready((this.broken)(Broken::Panicked)),
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(*this.limit)));
        timer.as_mut().poll(cx).map(|()| (this.broken)(Broken::TimedOut))
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

    async fn call(
        &self,
        request: Request<hyper::body::Incoming>,
        _: Instant,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        // The handler is called inside, so that what it does before its first await is contained, too.
        Ok(contain(self.limit, async { (self.handler)(Incoming::of(request)).await }, plain).await)
    }
}

fn plain(broken: Broken) -> Response<Full<Bytes>> {
    let (status, body) = match broken {
        Broken::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, r#"{"error":"internal error"}"#),
        Broken::TimedOut => (StatusCode::SERVICE_UNAVAILABLE, r#"{"error":"the request took too long"}"#),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

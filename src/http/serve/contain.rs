//! Work that a panic or a time-out can't take further than its own request.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode, header};
use tokio::time::timeout;

use super::Service;

/// Why work has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// It panicked; the panic hook has told where.
    Panicked,
    /// It was not done in time, and was dropped.
    TimedOut,
}

/// Does `work` within `limit`, and survives its panic. `work` is called inside the barrier, so that what it does
/// before its first await is contained too (warp runs its filters there).
pub async fn contain<W: Future>(limit: Duration, work: impl FnOnce() -> W) -> Result<W::Output, Broken> {
    let mut work = pin!(AssertUnwindSafe(async move { work().await }).catch_unwind());
    // Most work is done at the first look, and pays for no timer.
    let done = match (&mut work).now_or_never() {
        Some(done) => Ok(done),
        None => timeout(limit, work).await,
    };
    match done {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(_)) => Err(Broken::Panicked),
        Err(_) => Err(Broken::TimedOut),
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

    async fn call(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        contain(self.limit, || (self.handler)(request)).await.unwrap_or_else(|broken| {
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

//! A request's body that tells its connection when it was read to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::Request;
use hyper::body::{Body, Frame, SizeHint};

/// In a request's extensions: set as long as some of its body was not read.
#[derive(Clone)]
struct Unread(Arc<AtomicBool>);

/// Notes in `unread` whether a request has a body. Most have none, and pay for nothing else.
pub(super) fn note(request: &mut Request<hyper::body::Incoming>, unread: &Arc<AtomicBool>) {
    let has_body = !request.body().is_end_stream();
    unread.store(has_body, Ordering::Relaxed);
    if has_body {
        request.extensions_mut().insert(Unread(Arc::clone(unread)));
    }
}

/// A request's body, as hyper reads it.
pub struct Incoming {
    body: hyper::body::Incoming,
    /// None where there is no body, or no more of it.
    unread: Option<Unread>,
}

impl Incoming {
    /// The request with a body that its connection learns about. One that is read without counts as not read.
    pub fn of(mut request: Request<hyper::body::Incoming>) -> Request<Incoming> {
        let unread = request.extensions_mut().remove();
        request.map(|body| Incoming { body, unread })
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let is_last = matches!(frame, Poll::Ready(None)) || (frame.is_ready() && self.body.is_end_stream());
        if let Some(Unread(unread)) = self.unread.take_if(|_| is_last) {
            unread.store(false, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

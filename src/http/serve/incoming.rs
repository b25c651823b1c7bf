//! A request's body that tells its connection when it was read to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// A request's body, as hyper reads it.
pub struct Incoming {
    body: hyper::body::Incoming,
    /// Whether some of it was not read yet; none where there is no body.
    unread: Option<Arc<AtomicBool>>,
}

impl Incoming {
    /// hyper's body. `unread` is set until it was read to its end.
    pub(super) fn new(body: hyper::body::Incoming, unread: &Arc<AtomicBool>) -> Incoming {
        let has_body = !body.is_end_stream();
        unread.store(has_body, Ordering::Relaxed);
        Incoming { body, unread: has_body.then(|| Arc::clone(unread)) }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let is_last = matches!(frame, Poll::Ready(None)) || (frame.is_ready() && self.body.is_end_stream());
        if let Some(unread) = self.unread.take_if(|_| is_last) {
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

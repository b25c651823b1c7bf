//! A request body with a running limit: chunked uploads count as they come, and none waits for ever.
//!
//! A body that is too long is read on and thrown away up to [`DISCARDED_BYTES`]: closing a socket with unread bytes in
//! it resets the connection, and the client would lose the 413 that tells it why.

use std::error::Error;
use std::io;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use hyper::HeaderMap;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde::de::DeserializeOwned;
use warp::Buf;

use super::handlers::Refusal;

/// Read beyond the limit, at most, before answering that the body is too long.
const DISCARDED_BYTES: usize = 1 << 20;

/// What a body may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// Its length.
    pub(super) bytes: usize,
    /// From the request's head to its last byte.
    pub(super) time: Duration,
}

/// Reads a body of JSON of one shape.
pub(super) async fn json<T, S, B>(headers: &HeaderMap, body: S, allowance: Allowance) -> Result<T, Refusal>
where
    T: DeserializeOwned,
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    let whole = tokio::time::timeout(allowance.time, read(headers, body, allowance.bytes));
    let bytes = whole.await.map_err(|_| Refusal::BodyTooSlow)??;
    // After reading, so that the refusal is not lost either.
    if !is_json(headers) {
        return Err(Refusal::NotJson);
    }
    // serde_json's messages quote what the client sent.
    serde_json::from_slice(&bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Refusal::Bad("the body has another shape than expected"),
        _ => Refusal::Bad("the body is not valid JSON"),
    })
}

async fn read<S, B>(headers: &HeaderMap, body: S, limit: usize) -> Result<Vec<u8>, Refusal>
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    let declared: Option<usize> = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length| length > limit + DISCARDED_BYTES) {
        return Err(Refusal::BodyTooLong);
    }
    let mut body = std::pin::pin!(body);
    let mut bytes = Vec::with_capacity(declared.unwrap_or(0).min(limit));
    let mut length = 0;
    while let Some(piece) = body.next().await {
        let mut piece = piece.map_err(|error| why_broken(&error))?;
        length += piece.remaining();
        if length > limit + DISCARDED_BYTES {
            return Err(Refusal::BodyTooLong);
        }
        while piece.has_remaining() {
            let chunk = piece.chunk();
            if length <= limit {
                bytes.extend_from_slice(chunk);
            }
            let read = chunk.len();
            piece.advance(read);
        }
    }
    if length > limit { Err(Refusal::BodyTooLong) } else { Ok(bytes) }
}

/// A body ends early because its client went, or because its chunks are no chunks.
fn why_broken(error: &warp::Error) -> Refusal {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
        {
            return Refusal::Bad("the body is not framed as its head says");
        }
        source = error.source();
    }
    Refusal::Abandoned
}

/// Whether the media type is `application/json`, whatever its parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()?.split(';').next());
    media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
}

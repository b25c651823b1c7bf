//! A request body, limited while it is read: chunked uploads count as they come, none waits for ever, and all bodies under way
//! share one [`Budget`].
//!
//! A refused body is not read any further; the connection makes sure that the refusal arrives.

use std::error::Error;
use std::io;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use hyper::HeaderMap;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde::de::DeserializeOwned;
use warp::Buf;

use super::budget::Budget;
use super::refusal::Refusal;

/// What is reserved at first for a body of unknown length.
const FIRST_BYTES: usize = 1 << 10;

/// What a body may be.
pub(super) struct BodyLimit {
    /// Its length.
    pub(super) bytes: usize,
    /// From the request's head to its last byte.
    pub(super) time: Duration,
    /// Of all bodies together.
    pub(super) budget: Budget,
}

/// Reads a body of JSON of one shape.
pub(super) async fn json<T, S, B>(headers: &HeaderMap, body: S, allowance: &BodyLimit) -> Result<T, Refusal>
where
    T: DeserializeOwned,
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    if !is_json(headers) {
        return Err(Refusal::NotJson);
    }
    let whole = tokio::time::timeout(allowance.time, read(headers, body, allowance));
    whole.await.map_err(|_| Refusal::BodyTooSlow)?
}

async fn read<T, S, B>(headers: &HeaderMap, body: S, allowance: &BodyLimit) -> Result<T, Refusal>
where
    T: DeserializeOwned,
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    let declared: Option<usize> = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length| length > allowance.bytes) {
        return Err(Refusal::BodyTooLong);
    }
    let mut body = std::pin::pin!(body);
    let mut bytes: Vec<u8> = Vec::new();
    let mut reserved = allowance.budget.reserve_nothing();
    while let Some(piece) = body.next().await {
        let mut piece = piece.map_err(|error| why_broken(&error))?;
        let length = bytes.len() + piece.remaining();
        if length > allowance.bytes {
            return Err(Refusal::BodyTooLong);
        }
        if length > bytes.capacity() {
            // By what has come, not by the declared length: a client that announces much and sends nothing takes nothing.
            let capacity = length.next_power_of_two().max(FIRST_BYTES).min(declared.unwrap_or(allowance.bytes));
            let capacity = capacity.max(length);
            reserved.grow(capacity - bytes.capacity())?;
            bytes.reserve_exact(capacity - bytes.len());
        }
        while piece.has_remaining() {
            let chunk = piece.chunk();
            bytes.extend_from_slice(chunk);
            let read = chunk.len();
            piece.advance(read);
        }
    }
    // serde_json's messages quote what the client sent.
    serde_json::from_slice(&bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Refusal::Bad("the body has another shape than expected"),
        _ => Refusal::Bad("the body is not valid JSON"),
    })
}

/// A body that ended early: its client left, or its chunks are malformed.
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

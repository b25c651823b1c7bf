//! Answers of JSON, and the type of warp's bodies.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use warp::reply::Response;

/// A value of ours as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    fixed(status, serde_json::to_vec(value).expect("our own types have string keys and no failing serializers"))
}

/// JSON that is written already.
pub(super) fn fixed(status: StatusCode, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into().into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The body type of warp's responses, which warp does not name in public.
pub(super) type BodyOf<T> = <T as HasBody>::Body;

/// Of what it has a body.
pub(super) trait HasBody {
    /// The body's type.
    type Body;
}

impl<B> HasBody for hyper::Response<B> {
    type Body = B;
}

//! How a request is refused: each refusal is one status and one sentence of ours. Nothing the client sent comes back.

use hyper::StatusCode;
use hyper::ext::ReasonPhrase;
use hyper::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER};
use warp::reply::Response;

use super::budget::Exhausted;
use super::endpoint::{self, Verb};
use super::reply::json;
use super::store::StoreError;

/// Why a request is not answered as asked. Each is one status and one sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 400, with what was expected.
    Bad(&'static str),
    /// 400: a head that a proxy might read differently.
    Malformed(&'static str),
    /// 404: no such path.
    NotFound,
    /// 404: no such item.
    NoItem,
    /// 405, with what is allowed.
    MethodNotAllowed(&'static [Verb]),
    /// 408
    BodyTooSlow,
    /// 409
    StoreFull,
    /// 413
    BodyTooLong,
    /// 415
    NotJson,
    /// 499: the client closed its side before its body was whole. It hardly ever reads the answer; it is for the count.
    Abandoned,
    /// 500: a panic, or a fault that was asked for.
    Internal,
    /// 501: a transfer coding that is not supported.
    UnknownCoding,
    /// 503: over the request's time-out.
    TookTooLong,
    /// 503: the byte budget has no room for another body or answer now.
    Overloaded,
    /// 503: the store is away or too slow, and nothing was changed.
    StoreUnavailable,
    /// 503: the store was lost before it said whether it did what was asked.
    OutcomeUnknown,
}

impl Refusal {
    fn status(self) -> u16 {
        match self {
            Refusal::Bad(_) | Refusal::Malformed(_) => 400,
            Refusal::NotFound | Refusal::NoItem => 404,
            Refusal::MethodNotAllowed(_) => 405,
            Refusal::BodyTooSlow => 408,
            Refusal::StoreFull => 409,
            Refusal::BodyTooLong => 413,
            Refusal::NotJson => 415,
            Refusal::Abandoned => endpoint::ABANDONED,
            Refusal::Internal => 500,
            Refusal::UnknownCoding => 501,
            Refusal::TookTooLong | Refusal::Overloaded | Refusal::StoreUnavailable | Refusal::OutcomeUnknown => 503,
        }
    }

    /// Whether the request may have more to come that nobody will read.
    fn leaves_a_body(self) -> bool {
        matches!(
            self,
            Refusal::Malformed(_)
                | Refusal::UnknownCoding
                | Refusal::BodyTooSlow
                | Refusal::BodyTooLong
                | Refusal::Overloaded
        )
    }

    fn message(self) -> &'static str {
        match self {
            Refusal::Bad(expected) | Refusal::Malformed(expected) => expected,
            Refusal::NotFound => "not found",
            Refusal::NoItem => "no such item",
            Refusal::MethodNotAllowed(_) => "method not allowed",
            Refusal::BodyTooSlow => "the body took too long",
            Refusal::StoreFull => "the store is full",
            Refusal::BodyTooLong => "the body is too long",
            Refusal::NotJson => "the body must be application/json",
            Refusal::Abandoned => "the body ended early",
            Refusal::Internal => "internal error",
            Refusal::UnknownCoding => "the body's transfer coding must be chunked",
            Refusal::TookTooLong => "the request took too long",
            Refusal::Overloaded => "too much is under way, try again",
            Refusal::StoreUnavailable => "the store is not available, and nothing was changed: try again",
            Refusal::OutcomeUnknown => {
                "the store was lost before it answered: look whether it was done, then try again"
            }
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        match error {
            StoreError::Full => Refusal::StoreFull,
            StoreError::Unavailable => Refusal::StoreUnavailable,
            StoreError::Unknown => Refusal::OutcomeUnknown,
        }
    }
}

impl From<Exhausted> for Refusal {
    fn from(Exhausted: Exhausted) -> Refusal {
        Refusal::Overloaded
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Response {
        let status = StatusCode::from_u16(refusal.status()).expect("every status has three digits");
        let mut response = json(status, &serde_json::json!({ "error": refusal.message() }));
        match refusal {
            Refusal::MethodNotAllowed(allowed) => {
                let allowed: Vec<&str> = allowed.iter().map(|verb| verb.label()).collect();
                let allowed = HeaderValue::try_from(allowed.join(", ")).expect("methods are tokens");
                response.headers_mut().insert(ALLOW, allowed);
            }
            Refusal::Overloaded | Refusal::StoreUnavailable | Refusal::OutcomeUnknown => {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // Not in the registry, so hyper has no words for it.
            Refusal::Abandoned => {
                response.extensions_mut().insert(ReasonPhrase::from_static(b"Client Closed Request"));
            }
            _ => {}
        }
        if refusal.leaves_a_body() {
            // What is left of the body would be taken for the next request.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

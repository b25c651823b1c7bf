//! What the service reads of a request's head, and which heads it refuses.

use hyper::body::Incoming;
use hyper::header::{HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use hyper::{Method, Request, Version};

use super::in_flight::{self, REQUEST_ID};
use super::refusal::Refusal;

/// Values of so many bytes are those of an ordinary client.
const SHORT_HEAD: usize = 1 << 10;

/// What the service reads of a head, in one pass over its headers: a look-up for each would cost more.
#[derive(Default)]
pub(super) struct Head<'a> {
    hosts: usize,
    request_id: Option<&'a HeaderValue>,
    /// The first of its transfer codings, and how many lines name some.
    coding: Option<&'a HeaderValue>,
    codings: usize,
    /// The values' length together.
    bytes: usize,
}

impl<'a> Head<'a> {
    /// Looks once over all headers.
    pub(super) fn of(headers: &'a HeaderMap) -> Head<'a> {
        let mut head = Head::default();
        for (name, value) in headers {
            head.bytes += value.len();
            if name == HOST {
                head.hosts += 1;
            } else if name == TRANSFER_ENCODING {
                head.coding.get_or_insert(value);
                head.codings += 1;
            } else if name == REQUEST_ID {
                head.request_id.get_or_insert(value);
            }
        }
        head
    }

    /// What the client calls its request. The value is a piece of the head's own memory, all of which it keeps for as long
    /// as the request lasts: of a long head, it is a copy.
    pub(super) fn request_id(&self) -> Option<HeaderValue> {
        let id = self.request_id.filter(|id| in_flight::is_valid(id))?;
        if self.bytes <= SHORT_HEAD { Some(id.clone()) } else { HeaderValue::from_bytes(id.as_bytes()).ok() }
    }

    /// Refuses a head that hyper and a proxy in front of us may read as different requests (request smuggling).
    pub(super) fn well_formed(&self, request: &Request<Incoming>) -> Result<(), Refusal> {
        // `GET example.org:80` asks for a host, too, and there is a method for that.
        if request.uri().path_and_query().is_none() && request.method() != Method::CONNECT {
            return Err(Refusal::Malformed("the target is no path"));
        }
        if self.hosts > 1 || (self.hosts == 0 && request.version() == Version::HTTP_11) {
            return Err(Refusal::Malformed("a request has one Host"));
        }
        // hyper undoes `chunked`, and hands on what any other coding made of a body.
        let is_chunked = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
        if self.codings > 1 || !self.coding.is_none_or(is_chunked) {
            return Err(Refusal::UnknownCoding);
        }
        Ok(())
    }
}

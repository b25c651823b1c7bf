//! What each endpoint answers, and how it refuses.
//!
//! warp's filters decide which handler sees a request; a handler decides everything else and never rejects, because
//! warp prints rejections it doesn't know to the client. Every refusal is `{"error": …}` in words of ours: nothing
//! the client sent comes back.

use std::future::ready;
use std::sync::Arc;

use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use hyper::{Method, StatusCode};
use prometheus::TEXT_FORMAT;
use serde::Serialize;
use warp::filters::BoxedFilter;
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Buf, Filter, Rejection, Stream};

use super::body::{self, Allowance};
use super::config::Config;
use super::endpoint::{self, Endpoint, Verb};
use super::meter::Meter;
use super::phase::Lifecycle;
use super::store::{Full, Store};

/// The longest name an item may have: what the store holds is then bounded in bytes, too.
const MAX_NAME_BYTES: usize = 256;

/// Items on a page, unless asked otherwise.
const DEFAULT_PAGE: usize = 100;

/// Items on a page, at most.
const MAX_PAGE: usize = 1000;

/// Why a request is not answered as asked. Each is one status and one sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 400, with what was expected.
    Bad(&'static str),
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
    /// 499: the client went before its body was whole. Nobody reads the answer; the count is what matters.
    Abandoned,
    /// 500: a panic, or a fault that was asked for.
    Internal,
    /// 503: over the request's time-out.
    TookTooLong,
}

impl Refusal {
    fn status(self) -> u16 {
        match self {
            Refusal::Bad(_) => 400,
            Refusal::NotFound | Refusal::NoItem => 404,
            Refusal::MethodNotAllowed(_) => 405,
            Refusal::BodyTooSlow => 408,
            Refusal::StoreFull => 409,
            Refusal::BodyTooLong => 413,
            Refusal::NotJson => 415,
            Refusal::Abandoned => endpoint::ABANDONED,
            Refusal::Internal => 500,
            Refusal::TookTooLong => 503,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Refusal::Bad(expected) => expected,
            Refusal::NotFound => "not found",
            Refusal::NoItem => "no such item",
            Refusal::MethodNotAllowed(_) => "method not allowed",
            Refusal::BodyTooSlow => "the body took too long",
            Refusal::StoreFull => "the store is full",
            Refusal::BodyTooLong => "the body is too long",
            Refusal::NotJson => "the body must be application/json",
            Refusal::Abandoned => "the body ended early",
            Refusal::Internal => "internal error",
            Refusal::TookTooLong => "the request took too long",
        }
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Response {
        let status = StatusCode::from_u16(refusal.status()).expect("every status has three digits");
        let mut response = json(status, &serde_json::json!({ "error": refusal.words() }));
        match refusal {
            Refusal::MethodNotAllowed(allowed) => {
                let allowed: Vec<&str> = allowed.iter().map(|verb| verb.label()).collect();
                let allowed = HeaderValue::try_from(allowed.join(", ")).expect("methods are tokens");
                response.headers_mut().insert(ALLOW, allowed);
            }
            // What is left of the body would be taken for the next request.
            Refusal::BodyTooSlow | Refusal::BodyTooLong => {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

/// What the handlers share.
pub(super) struct Handlers {
    store: Store,
    meter: Arc<Meter>,
    lifecycle: Arc<Lifecycle>,
    body: Allowance,
}

impl Handlers {
    /// Handlers over an empty store.
    pub(super) fn new(config: &Config, meter: Arc<Meter>, lifecycle: Arc<Lifecycle>) -> Handlers {
        Handlers {
            store: Store::new(config.max_items, meter.items()),
            meter,
            lifecycle,
            body: Allowance { bytes: config.max_body_bytes, time: config.header_timeout },
        }
    }

    async fn list(&self, query: Vec<(String, String)>) -> Result<Response, Refusal> {
        let range = PageRange::read(&query)?;
        Ok(json(StatusCode::OK, &self.store.page(range.after, range.limit).await))
    }

    async fn create<B: Buf>(
        &self,
        headers: HeaderMap,
        body: impl Stream<Item = Result<B, warp::Error>>,
    ) -> Result<Response, Refusal> {
        let name = name_of(&body::json(&headers, body, self.body).await?)?;
        let item = self.store.insert(name).await.map_err(|Full| Refusal::StoreFull)?;
        let mut response = json(StatusCode::CREATED, &item);
        let location = HeaderValue::try_from(format!("/items/{}", item.id)).expect("a number is a header value");
        response.headers_mut().insert(LOCATION, location);
        Ok(response)
    }

    async fn get(&self, id: u64) -> Result<Response, Refusal> {
        self.store.get(id).await.map(|item| json(StatusCode::OK, &item)).ok_or(Refusal::NoItem)
    }

    async fn remove(&self, id: u64) -> Result<Response, Refusal> {
        if !self.store.remove(id).await {
            return Err(Refusal::NoItem);
        }
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }

    fn readiness(&self) -> Response {
        if self.lifecycle.is_ready() {
            fixed(StatusCode::OK, r#"{"ready":true}"#)
        } else {
            fixed(StatusCode::SERVICE_UNAVAILABLE, r#"{"ready":false}"#)
        }
    }

    fn metrics(&self) -> Response {
        let mut response = Response::new(self.meter.encode().into());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT_FORMAT));
        response
    }
}

/// The routes. Methods that an endpoint doesn't take, and paths that are no endpoint's, have been refused before.
pub(super) fn routes(handlers: &Arc<Handlers>) -> BoxedFilter<(Response,)> {
    let shared = || {
        let handlers = Arc::clone(handlers);
        warp::any().map(move || Arc::clone(&handlers))
    };
    let id = warp::path::full().map(|path: FullPath| endpoint::item_id(path.as_str()).unwrap_or_default());

    let index = at(Endpoint::Index).map(|| fixed(StatusCode::OK, r#"{"service":"aiClipx-trial","status":"ok"}"#));
    let create = at(Endpoint::Items)
        .and(warp::post())
        .and(shared())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(|handlers: Arc<Handlers>, headers, body| async move { either(handlers.create(headers, body).await) });
    let list = at(Endpoint::Items)
        .and(shared())
        .and(warp::query::query())
        .then(|handlers: Arc<Handlers>, query| async move { either(handlers.list(query).await) });
    let item = at(Endpoint::Item).and(warp::method()).and(shared()).and(id).then(
        |method, handlers: Arc<Handlers>, id| async move {
            either(if method == Method::DELETE { handlers.remove(id).await } else { handlers.get(id).await })
        },
    );
    let live = at(Endpoint::Live).map(|| fixed(StatusCode::OK, r#"{"live":true}"#));
    let ready = at(Endpoint::Ready).and(shared()).map(|handlers: Arc<Handlers>| handlers.readiness());
    let metrics = at(Endpoint::Metrics).and(shared()).map(|handlers: Arc<Handlers>| handlers.metrics());
    let nowhere = warp::any().map(|| Response::from(Refusal::NotFound));

    // Boxed, since every request clones what it may still be matched against: a pointer, and not the filters.
    let items = create.or(list).unify().or(item).unify().boxed();
    let others = metrics.or(live).unify().or(ready).unify().or(nowhere).unify().boxed();
    index.or(items).unify().or(others).unify().boxed()
}

/// Lets the endpoint's own paths pass.
fn at(endpoint: Endpoint) -> impl Filter<Extract = (), Error = Rejection> + Copy {
    warp::path::full()
        .and_then(move |path: FullPath| {
            ready(if endpoint.matches(path.as_str()) { Ok(()) } else { Err(warp::reject::not_found()) })
        })
        .untuple_one()
}

fn either(result: Result<Response, Refusal>) -> Response {
    result.unwrap_or_else(Response::from)
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    fixed(status, serde_json::to_vec(value).expect("our own types have string keys and no failing serializers"))
}

/// JSON that is written already.
fn fixed(status: StatusCode, body: impl Into<bytes::Bytes>) -> Response {
    let mut response = Response::new(body.into().into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The name in the body of `POST /items`. The body is any JSON object, so that a name that is no text is told like one
/// that is missing; a struct with serde's derive would also take `["tea"]`.
fn name_of(item: &serde_json::Map<String, serde_json::Value>) -> Result<String, Refusal> {
    let name = item.get("name").and_then(serde_json::Value::as_str).map(str::trim).filter(|name| !name.is_empty());
    let name = name.ok_or(Refusal::Bad("name is required"))?;
    if name.len() > MAX_NAME_BYTES {
        return Err(Refusal::Bad("name is longer than 256 bytes"));
    }
    Ok(name.to_owned())
}

/// `?limit=&after=` of `GET /items`.
#[derive(Debug, PartialEq, Eq)]
struct PageRange {
    after: u64,
    limit: usize,
}

impl PageRange {
    /// Parameters of other names are ignored; one of these given twice is refused.
    fn read(query: &[(String, String)]) -> Result<PageRange, Refusal> {
        let limit = only(query, "limit", "limit is given once, a whole number from 1 to 1000")?;
        let after = only(query, "after", "after is given once, the id of an item")?;
        let limit = usize::try_from(limit.unwrap_or(DEFAULT_PAGE as u64)).unwrap_or(usize::MAX);
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(Refusal::Bad("limit is a whole number from 1 to 1000"));
        }
        Ok(PageRange { after: after.unwrap_or(0), limit })
    }
}

fn only(query: &[(String, String)], name: &str, expected: &'static str) -> Result<Option<u64>, Refusal> {
    let mut values = query.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
    let Some(value) = values.next() else { return Ok(None) };
    value.parse().ok().filter(|_| values.next().is_none()).map(Some).ok_or(Refusal::Bad(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(query: &[(&str, &str)]) -> Result<PageRange, Refusal> {
        let query: Vec<_> = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        PageRange::read(&query)
    }

    #[test]
    fn a_page_is_of_1_to_1000_items() {
        assert_eq!(range(&[]), Ok(PageRange { after: 0, limit: 100 }));
        assert_eq!(range(&[("limit", "1000"), ("after", "7"), ("x", "y")]), Ok(PageRange { after: 7, limit: 1000 }));
        for query in
            [("limit", "0"), ("limit", "1001"), ("limit", "-1"), ("limit", ""), ("after", "x"), ("after", "-1")]
        {
            assert!(range(&[query]).is_err(), "{query:?}");
        }
        assert!(range(&[("limit", "1"), ("limit", "1")]).is_err());
    }

    #[test]
    fn a_name_is_a_text_of_1_to_256_bytes_without_blanks_around() {
        let name = |json: &str| name_of(&serde_json::from_str(json).unwrap());
        assert_eq!(name(r#"{"name":" a b "}"#), Ok("a b".to_owned()));
        for json in ["{}", r#"{"name":null}"#, r#"{"name":7}"#, r#"{"name":["a"]}"#, r#"{"name":" "}"#] {
            assert_eq!(name(json), Err(Refusal::Bad("name is required")), "{json}");
        }
        let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(257));
        assert!(name(&long).is_err());
    }
}

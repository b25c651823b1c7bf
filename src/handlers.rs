//! What each endpoint answers.
//!
//! warp's filters take a request apart and decide which handler sees it; a handler decides everything else and never
//! rejects, because warp prints rejections it doesn't know to the client.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{Either, ready};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use hyper::{Method, Request, StatusCode, Uri};
use prometheus::TEXT_FORMAT;
use tower_service::Service;
use warp::reply::Response;
use warp::{Buf, Filter, Stream};

use super::body::{self, BodyLimit};
use super::budget::Budget;
use super::config::Config;
use super::endpoint::{Endpoint, Verb};
use super::metrics::Metrics;
use super::phase::Lifecycle;
use super::refusal::Refusal;
use super::reply::{fixed, json};
use super::store::Store;
use super::store::item::{Item, MAX_NAME_BYTES};
use aiclipx_http::serve;

/// Items on a page, unless asked otherwise.
const DEFAULT_PAGE: usize = 100;

/// Items on a page, at most.
const MAX_PAGE: usize = 1000;

/// Bytes of a page, at most: what does not fit is on the next.
pub const MAX_PAGE_BYTES: usize = 64 << 10;

/// Answers up to this size are not worth a place in the budget: a connection has one at a time.
const SMALL_BYTES: usize = 2 << 10;

/// What the handlers share.
pub(super) struct Handlers {
    store: Store,
    metrics: Arc<Metrics>,
    lifecycle: Arc<Lifecycle>,
    body: BodyLimit,
}

impl Handlers {
    /// Handlers over this store.
    pub(super) fn new(
        config: &Config,
        store: Store,
        budget: Budget,
        metrics: Arc<Metrics>,
        lifecycle: Arc<Lifecycle>,
    ) -> Handlers {
        let body = BodyLimit { bytes: config.max_body_bytes, time: config.header_timeout, budget };
        Handlers { store, metrics, lifecycle, body }
    }

    /// Looks after the store, which what is ready follows; ends only where the store can't be had at all: why.
    pub(super) async fn watch(&self) -> String {
        self.store.watch(&self.lifecycle).await
    }

    async fn list(&self, query: &[(String, String)]) -> Result<Response, Refusal> {
        let range = PageRange::read(query)?;
        let page = self.store.page(range.after, range.limit, MAX_PAGE_BYTES).await?;
        Ok(fixed(StatusCode::OK, charged(page, &self.body.budget)?))
    }

    async fn create<B: Buf>(
        &self,
        headers: HeaderMap,
        body: impl Stream<Item = Result<B, warp::Error>>,
    ) -> Result<Response, Refusal> {
        let name = name_of(&body::json(&headers, body, &self.body).await?)?;
        let id = self.store.insert(&name).await?;
        let mut response = json(StatusCode::CREATED, &Item { id, name: &name });
        let location = HeaderValue::try_from(format!("/items/{id}")).expect("a number is a header value");
        response.headers_mut().insert(LOCATION, location);
        Ok(response)
    }

    async fn get(&self, id: u64) -> Result<Response, Refusal> {
        self.store.get(id, |item| json(StatusCode::OK, item)).await?.ok_or(Refusal::NoItem)
    }

    async fn remove(&self, id: u64) -> Result<Response, Refusal> {
        if !self.store.remove(id).await? {
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

    fn metrics(&self, budget: &Budget) -> Result<Response, Refusal> {
        self.store.show();
        self.metrics.buffered(self.body.budget.taken(), self.body.budget.bytes());
        let mut text = self.metrics.encode();
        text.shrink_to_fit();
        let mut response = Response::new(charged(text.into_bytes(), budget)?.into());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT_FORMAT));
        Ok(response)
    }
}

/// An answer's bytes, which count against the budget until their client has taken them.
fn charged(bytes: Vec<u8>, budget: &Budget) -> Result<Bytes, Refusal> {
    if bytes.len() <= SMALL_BYTES { Ok(bytes.into()) } else { Ok(budget.keep(bytes)?) }
}

/// The routes. Methods that an endpoint doesn't take, and paths that are no endpoint's, have been refused before: a route
/// is asked only for what the table says is its, so that none has to be tried in vain. The metrics take their bytes from
/// `budget`.
pub(super) fn routes(handlers: &Arc<Handlers>, budget: Budget) -> impl Route + use<> {
    let items = || warp::path("items");
    let health = || warp::path("health");
    let end = warp::path::end;
    let [list, create, item, ready, metrics] = std::array::from_fn(|_| Arc::clone(handlers));

    Routes {
        index: warp::service(end().map(|| fixed(StatusCode::OK, r#"{"service":"aiClipx-trial","status":"ok"}"#))),
        list: warp::service(items().and(end()).and(warp::query()).then(move |query: Vec<(String, String)>| {
            let list = Arc::clone(&list);
            async move { into_response(list.list(&query).await) }
        })),
        create: warp::service(items().and(end()).and(warp::header::headers_cloned()).and(warp::body::stream()).then(
            move |headers, body| {
                let create = Arc::clone(&create);
                async move { into_response(create.create(headers, body).await) }
            },
        )),
        item: warp::service(items().and(warp::path::param()).and(end()).and(warp::method()).then(
            move |id: u64, method| {
                let item = Arc::clone(&item);
                async move {
                    into_response(if method == Method::DELETE { item.remove(id).await } else { item.get(id).await })
                }
            },
        )),
        live: warp::service(
            health().and(warp::path("live")).and(end()).map(|| fixed(StatusCode::OK, r#"{"live":true}"#)),
        ),
        ready: warp::service(health().and(warp::path("ready")).and(end()).map(move || ready.readiness())),
        metrics: warp::service(warp::path("metrics").and(end()).map(move || into_response(metrics.metrics(&budget)))),
    }
}

/// What answers the requests that the gate has let through.
pub(super) trait Route: Send + Sync + 'static {
    /// Answers a request that is this endpoint's, with a method it takes.
    fn route(
        &self,
        endpoint: Endpoint,
        verb: Verb,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response> + Send;
}

/// A route of warp's for each line of the table.
struct Routes<Index, List, Create, Item, Live, Ready, Metrics> {
    index: Index,
    list: List,
    create: Create,
    item: Item,
    live: Live,
    ready: Ready,
    metrics: Metrics,
}

impl<Index, List, Create, Item, Live, Ready, Metrics> Route for Routes<Index, List, Create, Item, Live, Ready, Metrics>
where
    Index: Answers<Empty<Bytes>>,
    List: Answers<Empty<Bytes>>,
    Create: Answers<serve::Incoming>,
    Item: Answers<Empty<Bytes>>,
    Live: Answers<Empty<Bytes>>,
    Ready: Answers<Empty<Bytes>>,
    Metrics: Answers<Empty<Bytes>>,
{
    fn route(
        &self,
        endpoint: Endpoint,
        verb: Verb,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response> + Send {
        if verb == Verb::Post && endpoint == Endpoint::Items {
            // Its future is several times the others', which would all be as large.
            return Either::Right(ask(&self.create, without_its_head(request)).boxed());
        }
        // A body that nobody asked for; warp would put it in a box.
        let request = request.map(|_| Empty::<Bytes>::new());
        match endpoint {
            Endpoint::Index => Either::Left(Either::Left(ask(&self.index, request))),
            Endpoint::Items => Either::Left(Either::Right(Either::Left(ask(&self.list, request)))),
            Endpoint::Item => Either::Left(Either::Right(Either::Right(ask(&self.item, request)))),
            // Boxed, for these are asked a few times a minute.
            Endpoint::Live => Either::Right(ask(&self.live, request).boxed()),
            Endpoint::Ready => Either::Right(ask(&self.ready, request).boxed()),
            Endpoint::Metrics => Either::Right(ask(&self.metrics, request).boxed()),
            Endpoint::Unmatched => Either::Right(ready(Refusal::NotFound.into()).boxed()),
        }
    }
}

/// A request to create an item, with copies of the two headers that are read: the whole head takes up to 32 kB when it is
/// parsed, and would be kept for as long as the body is in coming.
fn without_its_head(request: Request<Incoming>) -> Request<serve::Incoming> {
    let (head, body) = serve::Incoming::of(request).into_parts();
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("/items");
    for name in [CONTENT_TYPE, CONTENT_LENGTH] {
        if let Some(value) = head.headers.get(&name) {
            let copy = HeaderValue::from_bytes(value.as_bytes()).expect("it was a header value before");
            request.headers_mut().insert(name, copy);
        }
    }
    request
}

/// A warp service for requests with bodies `B`.
trait Answers<B>:
    Service<Request<B>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S, B> Answers<B> for S where
    S: Service<Request<B>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

/// Calls a copy, since `call` takes the service by `&mut`: copying a filter copies a pointer at most. warp's services are
/// always ready.
fn ask<B, S: Answers<B>>(service: &S, request: Request<B>) -> impl Future<Output = Response> + Send + use<B, S> {
    service.clone().call(request).map(|answer| answer.unwrap_or_else(|never| match never {}))
}

fn into_response(result: Result<Response, Refusal>) -> Response {
    result.unwrap_or_else(Response::from)
}

/// The name in the body of `POST /items`. Read from any JSON object, so that a name that is not a string gets the same 400 as a
/// missing one; a struct with serde's derive would also take `["tea"]`.
fn name_of(item: &serde_json::Map<String, serde_json::Value>) -> Result<String, Refusal> {
    let name = item.get("name").and_then(serde_json::Value::as_str).map(str::trim).filter(|name| !name.is_empty());
    let name = name.ok_or(Refusal::Bad("name is required"))?;
    if name.len() > MAX_NAME_BYTES {
        return Err(Refusal::Bad("name is longer than 256 bytes"));
    }
    if name.contains('\0') {
        return Err(Refusal::Bad("name holds a NUL, which not every store can keep"));
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
        assert!(name(r#"{"name":"a\u0000b"}"#).is_err());
    }
}

//! The service: a small item store whose counters can be trusted to the request.
//!
//! - `GET /` -- what this is.
//! - `GET /items`, `POST /items`, `GET` and `DELETE /items/{id}` -- the store.
//! - `GET /health/live`, `GET /health/ready` -- the state machine of [`phase`].
//! - `GET /metrics` -- [`meter`], in Prometheus' text format.
//!
//! warp routes, hyper carries (`http::serve`). Every request is counted and logged exactly once, from its head to the last
//! byte of its answer ([`in_flight`]). Those who watch the service have a listener of their own, with the same `/health`
//! and `/metrics`: clients that hold every connection can't blind them. Nothing here reads the environment, binds a
//! socket, installs a logger or listens for signals: the binary does, and tests do otherwise.

mod access;
mod body;
mod budget;
pub mod config;
pub mod descriptors;
pub mod endpoint;
mod fault;
mod handlers;
pub mod heap;
mod in_flight;
pub mod journal;
pub mod meter;
pub mod phase;
mod refusal;
mod reply;
mod store;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::{self, Either};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use hyper::{Method, Request, StatusCode, Version};
use pin_project_lite::pin_project;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::Instant;
use warp::reply::Response;

use crate::duration;
use crate::http::serve::{self, Broken, ConnectionOutcome, Contained, Limits, Service};
use config::Config;
use endpoint::{Endpoint, Verb};
use fault::Fault;
pub use handlers::MAX_PAGE_BYTES;
use handlers::{Handlers, Route};
use in_flight::{Counted, InFlight, REQUEST_ID, Requests};
use meter::{Connections, Meter};
use phase::Lifecycle;
use refusal::Refusal;
use reply::BodyOf;

/// Connections of the listener for those who watch: a few Prometheus, a few probes, somebody who looks.
pub const ADMIN_CONNECTIONS: usize = 16;

/// From the end of the clients' connections until those of who watches are cut.
const ADMIN_DRAIN: Duration = Duration::from_millis(500);

/// Where the service listens.
#[derive(Debug)]
pub struct Listeners {
    /// For everybody: every endpoint.
    pub clients: TcpListener,
    /// For those who watch: `/health` and `/metrics`.
    pub admin: TcpListener,
}

/// Serves until `stop` resolves: then not ready, still serving for the drain delay, then draining to the deadline.
/// Logs the final totals when nothing is in flight any more.
///
/// The counters live in `meter`, which the caller keeps.
pub async fn run(listeners: Listeners, config: Config, meter: Arc<Meter>, stop: impl Future<Output = ()>) {
    let lifecycle = Arc::new(Lifecycle::starting(meter.ready()));
    meter.faults_enabled().set(i64::from(config.faults));
    let limits =
        Limits { connections: config.max_connections, patience: config.header_timeout, drain: config.drain_timeout };
    let admin_limits = Limits { connections: ADMIN_CONNECTIONS, drain: ADMIN_DRAIN, ..limits.clone() };
    let drain_delay = config.drain_delay;
    let handlers = Handlers::new(&config, Arc::clone(&meter), Arc::clone(&lifecycle));
    let app = Arc::new(App {
        requests: Requests::new(Arc::clone(&meter), config.access_log),
        routes: handlers::routes(&Arc::new(handlers)),
        lifecycle: Arc::clone(&lifecycle),
        config,
    });
    let front = |audience, limits: &Limits| {
        let connections = meter.connections(audience, limits.connections);
        Arc::new(Front { app: Arc::clone(&app), audience, connections })
    };
    let (clients, admin) = (front(Audience::Clients, &limits), front(Audience::Admin, &admin_limits));

    let stop = async {
        stop.await;
        lifecycle.draining();
        log::info!("Told to stop: not ready any more, serving on for {}.", duration::print(drain_delay));
        tokio::time::sleep(drain_delay).await;
    };
    lifecycle.ready();
    let (served, all_served) = oneshot::channel::<()>();
    let (drained, _) = tokio::join!(
        async {
            let drained = serve::serve(listeners.clients, limits, clients, stop).await;
            drop(served);
            drained
        },
        // Watched to the end.
        serve::serve(listeners.admin, admin_limits, admin, async { drop(all_served.await) }),
    );
    lifecycle.stopped();

    if drained.cut > 0 {
        log::warn!(connections = drained.cut; "Connections were still open at the deadline, and cut.");
    }
    for total in meter.totals().filter(|total| total.requests > 0) {
        log::info!(
            method = total.method, endpoint = total.endpoint, status = total.status, requests = total.requests;
            "Final total."
        );
    }
    log::info!(requests = meter.requests(), errors = meter.errors(); "Stopped.");
}

/// Who is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Everybody.
    Clients,
    /// Those who watch the service.
    Admin,
}

impl Audience {
    /// Both, in the order of their declaration.
    pub const ALL: [Audience; 2] = [Audience::Clients, Audience::Admin];

    /// The metric label `listener`.
    pub fn label(self) -> &'static str {
        match self {
            Audience::Clients => "clients",
            Audience::Admin => "admin",
        }
    }
}

/// What stands behind both listeners.
struct App<R> {
    config: Config,
    requests: Requests,
    routes: R,
    lifecycle: Arc<Lifecycle>,
}

impl<R: Route> App<R> {
    /// Refuses before routing what no route takes, so that a route never has to reject and 405 can name what it allows;
    /// else the fault that the request asks for.
    fn admit(&self, endpoint: Endpoint, verb: Verb, request: &Request<Incoming>) -> Result<Option<Fault>, Refusal> {
        match endpoint {
            // It names a host, and not a path.
            Endpoint::Unmatched if request.method() == Method::CONNECT => Err(Refusal::MethodNotAllowed(&[])),
            Endpoint::Unmatched => Err(Refusal::NotFound),
            _ if !endpoint.allows(verb) => Err(Refusal::MethodNotAllowed(endpoint.verbs())),
            _ if self.config.faults && endpoint.takes_faults() => fault::asked(request.headers()),
            _ => Ok(None),
        }
    }
}

/// What the service has to know of a head, found in one look over its headers: asking for each costs more than a look.
#[derive(Default)]
struct Head<'a> {
    hosts: usize,
    request_id: Option<&'a HeaderValue>,
    /// The first of its transfer codings, and how many lines name some.
    coding: Option<&'a HeaderValue>,
    codings: usize,
}

impl<'a> Head<'a> {
    fn of(headers: &'a HeaderMap) -> Head<'a> {
        let mut head = Head::default();
        for (name, value) in headers {
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

    /// Refuses what hyper takes for a request, and a proxy in front of us may take for another.
    fn well_formed(&self, request: &Request<Incoming>) -> Result<(), Refusal> {
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

/// One of the two listeners' side of the service.
struct Front<R> {
    app: Arc<App<R>>,
    audience: Audience,
    connections: Connections,
}

impl<R: Route> Service for Front<R> {
    type Body = Counted<BodyOf<Response>>;

    fn call(
        &self,
        request: Request<Incoming>,
        now: Instant,
    ) -> impl Future<Output = hyper::Response<Self::Body>> + Send {
        let app = &*self.app;
        let head = Head::of(request.headers());
        let well_formed = head.well_formed(&request);
        let mut endpoint = Endpoint::of(request.uri().path());
        if well_formed.is_err() || (self.audience == Audience::Admin && !endpoint.is_monitoring()) {
            endpoint = Endpoint::Unmatched;
        }
        let verb = Verb::of(request.method());
        let begun = app.requests.begin(endpoint, verb, head.request_id, now);
        // hyper hides whether the head gave a length beside the chunks; RFC 9112 has such a connection closed.
        let closes = head.codings > 0;

        // A future is as large as the largest it may be, and moved as a whole: what is rare is in a box.
        let work = match well_formed.and_then(|()| app.admit(endpoint, verb, &request)) {
            Ok(None) => Either::Left(app.routes.route(endpoint, verb, request)),
            Ok(Some(fault)) => Either::Right(Either::Left(Box::pin(async move {
                match fault.inject().await {
                    Ok(()) => app.routes.route(endpoint, verb, request).await,
                    Err(refusal) => refusal.into(),
                }
            }))),
            Err(refusal) => Either::Right(Either::Right(future::ready(refusal.into()))),
        };
        Answering {
            work: serve::contain(app.config.request_timeout, work),
            begun: Some(begun),
            endpoint,
            closes,
            lifecycle: &app.lifecycle,
        }
    }

    fn opened(&self) {
        self.connections.opened();
    }

    fn ended(&self, outcome: ConnectionOutcome) {
        self.connections.ended(outcome);
    }
}

pin_project! {
    /// A request that is worked on. A future of its own, for the same reason as [`serve::Contained`].
    struct Answering<'a, W> {
        #[pin]
        work: Contained<W>,
        // Until its answer exists.
        begun: Option<InFlight>,
        endpoint: Endpoint,
        closes: bool,
        lifecycle: &'a Lifecycle,
    }
}

impl<W: Future<Output = Response>> Future for Answering<'_, W> {
    type Output = hyper::Response<Counted<BodyOf<Response>>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut response, at_fault) = match ready!(this.work.poll(cx)) {
            Ok(response) => {
                // Not ready is no failure, and a coding that is not ours is the client's.
                let failed = match response.status() {
                    StatusCode::INTERNAL_SERVER_ERROR => true,
                    StatusCode::SERVICE_UNAVAILABLE => *this.endpoint != Endpoint::Ready,
                    _ => false,
                };
                (response, failed)
            }
            Err(Broken::Panicked) => (Refusal::Internal.into(), true),
            Err(Broken::TimedOut) => (Refusal::TookTooLong.into(), true),
        };
        if *this.closes || this.lifecycle.is_draining() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let begun = this.begun.take().expect("an answer that was given is not asked for again");
        Poll::Ready(begun.answered(response, at_fault))
    }
}

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
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use hyper::{Method, Request, StatusCode, Version};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use warp::reply::Response;

use crate::duration;
use crate::http::serve::{self, Broken, ConnectionOutcome, Limits, Service};
use config::Config;
use endpoint::{Endpoint, Verb};
pub use handlers::MAX_PAGE_BYTES;
use handlers::{Handlers, Route};
use in_flight::{Counted, Requests};
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
    async fn answer(&self, endpoint: Endpoint, verb: Verb, request: Request<Incoming>) -> Response {
        if let Err(refusal) = gate(endpoint, verb, request.method()) {
            return refusal.into();
        }
        if self.config.faults
            && endpoint.takes_faults()
            && let Err(refusal) = fault::inject(request.headers()).await
        {
            return refusal.into();
        }
        self.routes.route(endpoint, verb, request).await
    }
}

/// Refuses before routing what no route takes, so that a route never has to reject and 405 can name what it allows.
fn gate(endpoint: Endpoint, verb: Verb, method: &Method) -> Result<(), Refusal> {
    match endpoint {
        // It names a host, and not a path.
        Endpoint::Unmatched if method == Method::CONNECT => Err(Refusal::MethodNotAllowed(&[])),
        Endpoint::Unmatched => Err(Refusal::NotFound),
        _ if endpoint.allows(verb) => Ok(()),
        _ => Err(Refusal::MethodNotAllowed(endpoint.verbs())),
    }
}

/// What hyper takes for a request, and a proxy in front of us may take for another.
fn well_formed(request: &Request<Incoming>) -> Result<(), Refusal> {
    // `GET example.org:80` asks for a host, too, and there is a method for that.
    if request.uri().path_and_query().is_none() && request.method() != Method::CONNECT {
        return Err(Refusal::Malformed("the target is no path"));
    }
    let headers = request.headers();
    let mut hosts = headers.get_all(HOST).iter();
    let is_named = hosts.next().is_some();
    if hosts.next().is_some() || (!is_named && request.version() == Version::HTTP_11) {
        return Err(Refusal::Malformed("a request has one Host"));
    }
    if !request.body().is_end_stream() && !is_coding_known(headers) {
        return Err(Refusal::UnknownCoding);
    }
    Ok(())
}

/// hyper undoes `chunked`, and hands on what any other coding made of a body.
fn is_coding_known(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(only), None) => only.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        _ => false,
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

    fn call(&self, request: Request<Incoming>) -> impl Future<Output = hyper::Response<Self::Body>> + Send {
        let app = &*self.app;
        let well_formed = well_formed(&request);
        let mut endpoint = Endpoint::of(request.uri().path());
        if well_formed.is_err() || (self.audience == Audience::Admin && !endpoint.is_monitoring()) {
            endpoint = Endpoint::Unmatched;
        }
        let verb = Verb::of(request.method());
        let begun = app.requests.begin(endpoint, verb, request.headers());
        async move {
            // hyper hides whether the head gave a length beside the chunks; RFC 9112 has such a connection closed.
            let closes = !request.body().is_end_stream() && request.headers().contains_key(TRANSFER_ENCODING);
            let answer = match well_formed {
                Ok(()) => serve::contain(app.config.request_timeout, || app.answer(endpoint, verb, request)).await,
                Err(refusal) => Ok(refusal.into()),
            };
            let (mut response, at_fault) = match answer {
                Ok(response) => {
                    // Not ready is no failure, and a coding that is not ours is the client's.
                    let failed = match response.status() {
                        StatusCode::INTERNAL_SERVER_ERROR => true,
                        StatusCode::SERVICE_UNAVAILABLE => endpoint != Endpoint::Ready,
                        _ => false,
                    };
                    (response, failed)
                }
                Err(Broken::Panicked) => (Refusal::Internal.into(), true),
                Err(Broken::TimedOut) => (Refusal::TookTooLong.into(), true),
            };
            if closes || app.lifecycle.is_draining() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            begun.answered(response, at_fault)
        }
    }

    fn opened(&self) {
        self.connections.opened();
    }

    fn ended(&self, outcome: ConnectionOutcome) {
        self.connections.ended(outcome);
    }
}

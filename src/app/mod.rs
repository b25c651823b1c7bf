//! The service: a small item store whose counters can be trusted to the request.
//!
//! - `GET /` -- what this is.
//! - `GET /items`, `POST /items`, `GET` and `DELETE /items/{id}` -- the store.
//! - `GET /health/live`, `GET /health/ready` -- the state machine of [`phase`].
//! - `GET /metrics` -- [`meter`], in Prometheus' text format.
//!
//! The last three have a listener of their own, too, which no client can fill.
//!
//! warp routes, hyper carries (`http::serve`). Every request is a [`flight`] that is counted and logged exactly
//! once. Nothing here reads the environment, binds a socket, installs a logger or listens for signals: the binary
//! does, and tests do otherwise.

mod body;
pub mod config;
pub mod descriptors;
pub mod endpoint;
mod fault;
mod flight;
mod handlers;
pub mod journal;
pub mod meter;
pub mod phase;
mod store;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::{Request, StatusCode};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use warp::reply::Response;

use crate::duration;
use crate::http::serve::{self, Broken, ConnectionOutcome, Limits, Service};
use config::Config;
use endpoint::{Endpoint, Verb};
use flight::Flights;
use handlers::{Handlers, Refusal};
use meter::Meter;
use phase::Lifecycle;

/// The monitoring's connections: a few scrapers and a health check each, and nobody else's business.
const ADMIN_CONNECTIONS: usize = 16;

/// A scrape that is under way when nobody else is served any more has this long.
const ADMIN_DRAIN: Duration = Duration::from_secs(1);

/// Where the service is reached.
#[derive(Debug)]
pub struct Listeners {
    /// By its clients: every route.
    pub clients: TcpListener,
    /// By the monitoring, whatever clients do: `/metrics` and `/health`.
    pub admin: TcpListener,
}

/// Serves until `stop` resolves: then not ready, still serving for the drain delay, then draining to the deadline.
/// The monitoring is served until that is over. Logs the final totals when nothing is in the air any more.
///
/// The counters live in `meter`, which the caller keeps.
pub async fn run(listeners: Listeners, config: Config, meter: Arc<Meter>, stop: impl Future<Output = ()>) {
    let lifecycle = Arc::new(Lifecycle::starting(meter.ready()));
    meter.faults_enabled().set(i64::from(config.faults));
    let limits =
        Limits { connections: config.max_connections, patience: config.header_timeout, drain: config.drain_timeout };
    let drain_delay = config.drain_delay;
    let handlers = Handlers::new(&config, Arc::clone(&meter), Arc::clone(&lifecycle));
    let routes = TowerToHyperService::new(warp::service(handlers::routes(&Arc::new(handlers))));
    let flights = Flights::new(Arc::clone(&meter), config.access_log);
    let app = Arc::new(App { config, meter: Arc::clone(&meter), flights, routes });

    let stop = async {
        stop.await;
        lifecycle.draining();
        log::info!("Told to stop: not ready any more, serving on for {}.", duration::print(drain_delay));
        tokio::time::sleep(drain_delay).await;
    };
    lifecycle.ready();
    let admin_limits = Limits { connections: ADMIN_CONNECTIONS, drain: ADMIN_DRAIN.min(limits.drain), ..limits };
    let admin = Arc::new(Admin(Arc::clone(&app)));
    let (clients_gone, until_clients_gone) = oneshot::channel();
    let clients = async {
        let drained = serve::serve(listeners.clients, limits, app, stop).await;
        let _ = clients_gone.send(());
        drained
    };
    let until_clients_gone = async { drop(until_clients_gone.await) };
    let (drained, _) = tokio::join!(clients, serve::serve(listeners.admin, admin_limits, admin, until_clients_gone));
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

/// What stands behind the listener: takes a request off, lets warp answer it, lands it.
struct App<R> {
    config: Config,
    meter: Arc<Meter>,
    flights: Flights,
    routes: R,
}

impl<R> App<R>
where
    R: hyper::service::Service<Request<Incoming>, Response = Response, Error = Infallible>,
{
    /// One request to what this endpoint is on the listener it came by.
    async fn at(&self, endpoint: Endpoint, request: Request<Incoming>) -> Response {
        let verb = Verb::of(request.method());
        let flight = self.flights.take_off(endpoint, verb, request.headers());

        let answer = serve::contain(self.config.request_timeout, || self.answer(endpoint, verb, request)).await;
        let (mut response, at_fault) = match answer {
            Ok(response) => {
                let failed = response.status() == StatusCode::INTERNAL_SERVER_ERROR;
                (response, failed)
            }
            Err(Broken::Panicked) => (Refusal::Internal.into(), true),
            Err(Broken::TimedOut) => (Refusal::TookTooLong.into(), true),
        };
        let bytes = if verb == Verb::Head { 0 } else { response.body().size_hint().exact().unwrap_or(0) };
        let id = flight.land(response.status(), bytes, at_fault);
        response.headers_mut().insert(flight::REQUEST_ID, id);
        response
    }

    async fn answer(&self, endpoint: Endpoint, verb: Verb, request: Request<Incoming>) -> Response {
        if let Err(refusal) = gate(endpoint, verb, &request) {
            return refusal.into();
        }
        if self.config.faults
            && endpoint.takes_faults()
            && let Err(refusal) = fault::inject(request.headers()).await
        {
            return refusal.into();
        }
        self.routes.call(request).await.unwrap_or_else(|never| match never {})
    }
}

/// Refuses before routing what no route takes, so that a route never has to reject and 405 can name what it allows.
fn gate(endpoint: Endpoint, verb: Verb, request: &Request<Incoming>) -> Result<(), Refusal> {
    // CONNECT names a host, not a path; warp's path filters panic on it.
    if request.uri().path_and_query().is_none() || request.method() == hyper::Method::CONNECT {
        return Err(Refusal::MethodNotAllowed(&[]));
    }
    if endpoint == Endpoint::Unmatched {
        return Err(Refusal::NotFound);
    }
    if endpoint.allows(verb) { Ok(()) } else { Err(Refusal::MethodNotAllowed(endpoint.verbs())) }
}

/// The body type of warp's responses, which warp does not name in public.
type BodyOf<T> = <T as HasBody>::Body;

trait HasBody {
    type Body;
}

impl<B> HasBody for hyper::Response<B> {
    type Body = B;
}

impl<R, F> Service for App<R>
where
    R: hyper::service::Service<Request<Incoming>, Response = Response, Error = Infallible, Future = F>
        + Send
        + Sync
        + 'static,
    F: Future<Output = Result<Response, Infallible>> + Send,
{
    type Body = BodyOf<Response>;

    async fn handle(&self, request: Request<Incoming>) -> Response {
        self.at(Endpoint::of(request.uri().path()), request).await
    }

    fn ended(&self, outcome: ConnectionOutcome) {
        self.meter.connection(outcome).inc();
    }
}

/// The same service as the monitoring finds it: nothing of the clients' is there.
struct Admin<R>(Arc<App<R>>);

impl<R, F> Service for Admin<R>
where
    R: hyper::service::Service<Request<Incoming>, Response = Response, Error = Infallible, Future = F>
        + Send
        + Sync
        + 'static,
    F: Future<Output = Result<Response, Infallible>> + Send,
{
    type Body = BodyOf<Response>;

    async fn handle(&self, request: Request<Incoming>) -> Response {
        let endpoint = Endpoint::of(request.uri().path());
        let endpoint = if endpoint.is_monitoring() { endpoint } else { Endpoint::Unmatched };
        self.0.at(endpoint, request).await
    }

    fn ended(&self, outcome: ConnectionOutcome) {
        self.0.ended(outcome);
    }
}

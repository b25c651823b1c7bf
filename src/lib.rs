//! The service: a small item store whose counters can be trusted to the request.
//!
//! - `GET /` -- what this is.
//! - `GET /items`, `POST /items`, `GET` and `DELETE /items/{id}` -- the [`store`], in memory or in PostgreSQL.
//! - `GET /health/live`, `GET /health/ready` -- the state machine of `phase`.
//! - `GET /metrics` -- [`metrics`], in Prometheus' text format.
//!
//! warp routes, hyper carries (`aiclipx_http::serve`). Every request is counted and logged exactly once, from its head to the
//! last byte of its answer (`in_flight`). The monitoring has a listener of its own, with the same `/health` and `/metrics`:
//! clients that hold every connection can't blind it.
//!
//! Not for: reading the environment, binding a socket, installing a logger, listening for signals. The binary does that
//! (`src/main.rs`), and tests in their own way.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use aiclipx_app::{Listeners, config::Config, metrics::Metrics, store::Store};
//! use aiclipx_http::client;
//! use tokio::net::TcpListener;
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (clients, admin) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
//! let address = clients.local_addr()?.to_string().parse()?;
//! let metrics = Arc::new(Metrics::new("0.1.0", "a doctest")?);
//! let config = Config::default();
//! let store = Store::open(&config, &metrics)?;
//! let listeners = Listeners { clients, admin };
//! tokio::spawn(aiclipx_app::run(listeners, config, store, Arc::clone(&metrics), std::future::pending()));
//!
//! let answer = client::get(&address, "/items", Duration::from_secs(5)).await?;
//! assert_eq!(answer.status, 200);
//! // What `/metrics` shows: every series is there from the start, this one counted once.
//! let scrape = client::get(&address, "/metrics", Duration::from_secs(5)).await?;
//! let counted = r#"app_requests_total{endpoint="/items",http_status="200",method="GET"} 1"#;
//! assert!(String::from_utf8_lossy(&scrape.body).lines().any(|line| line == counted));
//! # Ok(()) }
//! ```

mod access;
mod audience;
mod body;
mod budget;
pub mod config;
mod control_group;
mod database_metrics;
pub mod database_url;
pub mod descriptors;
pub mod endpoint;
mod fault;
mod handlers;
mod head;
pub mod heap;
mod in_flight;
pub mod log_writer;
pub mod metrics;
mod phase;
mod refusal;
mod registered;
mod reply;
pub mod store;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::{self, Either};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Method, Request, StatusCode};
use pin_project_lite::pin_project;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::Instant;
use warp::reply::Response;

use aiclipx_base::duration;
use aiclipx_http::serve::{self, Broken, ConnectionOutcome, Contained, Limits, Service};
use audience::Audience;
use budget::Budget;
use config::Config;
use endpoint::{Endpoint, Verb};
use fault::Fault;
pub use handlers::MAX_PAGE_BYTES;
use handlers::{Handlers, Route};
use head::Head;
use in_flight::{Counted, InFlight, Requests};
use metrics::{Connections, Metrics};
use phase::Lifecycle;
use refusal::Refusal;
use reply::BodyOf;
use store::Store;

/// Connections of the monitoring's listener: a few Prometheus, a few probes, somebody who looks.
const ADMIN_CONNECTIONS: usize = 16;

/// Bytes that answers to the monitoring may take together: a scrape for each of its connections.
const ADMIN_BYTES: usize = ADMIN_CONNECTIONS * (64 << 10);

/// How long after the clients' connections the monitoring's are cut.
const ADMIN_DRAIN: Duration = Duration::from_millis(500);

/// Where the service listens.
#[derive(Debug)]
pub struct Listeners {
    /// For everybody: every endpoint.
    pub clients: TcpListener,
    /// For the monitoring: `/health` and `/metrics`.
    pub admin: TcpListener,
}

/// Serves until `stop` resolves: then not ready, still serving for the drain delay, then draining to the deadline.
/// Logs the final totals when nothing is in flight any more.
///
/// Fails if the database, where there is one, says when it is asked first that its URL is wrong: why.
///
/// The counters live in `metrics`, which the caller keeps, and in which the store counts, too.
pub async fn run(
    listeners: Listeners,
    config: Config,
    store: Store,
    metrics: Arc<Metrics>,
    stop: impl Future<Output = ()>,
) -> Result<(), String> {
    let lifecycle = Arc::new(Lifecycle::starting(metrics.ready(), store.is_available()));
    metrics.faults_enabled().set(i64::from(config.faults));
    // At info, as those are that did not fail.
    metrics.access_log_enabled().set(i64::from(config.access_log && config.log >= log::LevelFilter::Info));
    let limits = Limits {
        connections: config.max_connections,
        patience: config.header_timeout,
        crowded: None,
        drain: config.drain_timeout,
    };
    let admin_limits = Limits { connections: ADMIN_CONNECTIONS, drain: ADMIN_DRAIN, ..limits.clone() };
    let drain_delay = config.drain_delay;
    // What clients hold is not the monitoring's, whose connections are few.
    let (budget, admin_budget) = (Budget::new(config.max_buffered_bytes), Budget::new(ADMIN_BYTES));
    let handlers = Handlers::new(&config, store, budget.clone(), Arc::clone(&metrics), Arc::clone(&lifecycle));
    let handlers = Arc::new(handlers);
    let app = Arc::new(App {
        requests: Requests::new(Arc::clone(&metrics), config.access_log),
        lifecycle: Arc::clone(&lifecycle),
        config,
    });
    let service = |audience, limits: &Limits, budget| {
        let connections = metrics.connections(audience, limits.connections);
        let routes = handlers::routes(&handlers, budget);
        Arc::new(ListenerService { app: Arc::clone(&app), routes, audience, connections })
    };
    let clients = service(Audience::Clients, &limits, budget);
    let admin = service(Audience::Admin, &admin_limits, admin_budget);

    let stop = async {
        stop.await;
        lifecycle.draining();
        log::info!("Told to stop: not ready any more, serving on for {}.", duration::print(drain_delay));
        tokio::time::sleep(drain_delay).await;
    };
    lifecycle.ready();
    let (served, all_served) = oneshot::channel::<()>();
    let serving = future::join(
        async {
            let drained = serve::serve(listeners.clients, limits, clients, stop).await;
            drop(served);
            drained
        },
        // Watched to the end.
        serve::serve(listeners.admin, admin_limits, admin, async { drop(all_served.await) }),
    );
    let (drained, _) = tokio::select! {
        drained = serving => drained,
        why = handlers.watch() => return Err(why),
    };
    lifecycle.stopped();

    if drained.cut > 0 {
        log::warn!(connections = drained.cut; "Connections were still open at the deadline, and cut.");
    }
    for total in metrics.totals().filter(|total| total.requests > 0) {
        log::info!(
            method = total.method, endpoint = total.endpoint, status = total.status, requests = total.requests;
            "Final total."
        );
    }
    log::info!(requests = metrics.requests(), errors = metrics.errors(); "Stopped.");
    Ok(())
}

/// What stands behind both listeners.
struct App {
    config: Config,
    requests: Requests,
    lifecycle: Arc<Lifecycle>,
}

impl App {
    /// Refuses before routing what no route takes, so that no route has to reject and a 405 can name what is allowed; else
    /// returns the fault that the request asks for.
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

/// One of the two listeners' side of the service.
struct ListenerService<R> {
    app: Arc<App>,
    routes: R,
    audience: Audience,
    connections: Connections,
}

impl<R: Route> Service for ListenerService<R> {
    type Body = Counted<BodyOf<Response>>;

    fn call(
        &self,
        request: Request<Incoming>,
        now: Instant,
    ) -> impl Future<Output = Result<hyper::Response<Self::Body>, Infallible>> + Send {
        let app = &*self.app;
        let head = Head::of(request.headers());
        let well_formed = head.well_formed(&request);
        let mut endpoint = Endpoint::of(request.uri().path());
        if well_formed.is_err() || (self.audience == Audience::Admin && !endpoint.is_monitoring()) {
            endpoint = Endpoint::Unmatched;
        }
        let verb = Verb::of(request.method());
        let begun = app.requests.begin(endpoint, verb, head.request_id(), now);

        // A future is as large as the largest it may be, and moved as a whole: what is rare is in a box.
        let work = match well_formed.and_then(|()| app.admit(endpoint, verb, &request)) {
            Ok(None) => Either::Left(self.routes.route(endpoint, verb, request)),
            Ok(Some(fault)) => Either::Right(Either::Left(Box::pin(async move {
                match fault.inject().await {
                    Ok(()) => self.routes.route(endpoint, verb, request).await,
                    Err(refusal) => refusal.into(),
                }
            }))),
            Err(refusal) => Either::Right(Either::Right(future::ready(refusal.into()))),
        };
        Answering {
            work: serve::contain(app.config.request_timeout, work, |broken| match broken {
                Broken::Panicked => Refusal::Internal.into(),
                Broken::TimedOut => Refusal::TookTooLong.into(),
            }),
            begun: Some(begun),
            endpoint,
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
    struct Answering<'a, W: Future> {
        #[pin]
        work: Contained<W>,
        // Until its answer exists.
        begun: Option<InFlight>,
        endpoint: Endpoint,
        lifecycle: &'a Lifecycle,
    }
}

impl<W: Future<Output = Response>> Future for Answering<'_, W> {
    type Output = Result<hyper::Response<Counted<BodyOf<Response>>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let begun = this.begun.as_mut().expect("an answer that was given is not asked for again");
        let mut response = ready!(begun.named(|| this.work.poll(cx)));
        // Not ready is no failure, and a coding that is not ours is the client's.
        let at_fault = match response.status() {
            StatusCode::INTERNAL_SERVER_ERROR => true,
            StatusCode::SERVICE_UNAVAILABLE => *this.endpoint != Endpoint::Ready,
            _ => false,
        };
        if this.lifecycle.is_draining() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let begun = this.begun.take().expect("an answer that was given is not asked for again");
        Poll::Ready(Ok(begun.answered(response, at_fault)))
    }
}

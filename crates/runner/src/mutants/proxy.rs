//! Stands between Prometheus and the service: passes everything on, and rewrites what `/metrics` answers.
//!
//! Only Prometheus is sent here, by its file of targets; the traffic goes to the service itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, header};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use aiclipx_base::address::Address;
use aiclipx_http::client;
use aiclipx_http::serve::{Incoming, Limits, Plain, serve};
use aiclipx_judge::mutants::exposition::{Rewriter, Rewriting};
use aiclipx_model::service::Service;

/// Prometheus has one connection, and gives a scrape up after its own limit.
const LIMITS: Limits =
    Limits { connections: 16, patience: Duration::from_secs(30), crowded: None, drain: Duration::from_millis(200) };
/// For one request, there and back.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// A proxy that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Proxy {
    address: Address,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a port of this machine that nobody uses, in front of the service at `app`.
    pub async fn start(app: Address, service: &Service, rewriting: Rewriting) -> anyhow::Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen for the proxy of /metrics")?;
        let address = Address::loopback(listener.local_addr().context("the proxy's own address")?.port());
        let rewriter = Arc::new(Mutex::new(Rewriter::new(rewriting, service)));
        let scraped = service.metrics.clone();
        let service = Plain::new(REQUEST_LIMIT, move |request| {
            let (app, scraped, rewriter) = (app.clone(), scraped.clone(), Arc::clone(&rewriter));
            async move { pass_on(&app, &scraped, &rewriter, request).await }
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            serve(listener, LIMITS, Arc::new(service), stopped).await;
        });
        Ok(Proxy { address, stop: Some(stop), task })
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Stops it, and returns when it has.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        // It was aborted by nobody, and its panics are contained.
        let _ = (&mut self.task).await;
    }
}

/// Whatever ended its user: nothing goes on listening.
impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass_on(
    app: &Address,
    scraped: &str,
    rewriter: &Mutex<Rewriter>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let answer = match client::get(app, path, REQUEST_LIMIT).await {
        Ok(answer) => answer,
        Err(error) => {
            let mut response = Response::new(Full::from(error.to_string()));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            return response;
        }
    };
    let is_scrape = request.uri().path() == scraped && answer.status.is_success();
    let body = match std::str::from_utf8(&answer.body) {
        Ok(text) if is_scrape => Bytes::from(rewriter.lock().unwrap_or_else(PoisonError::into_inner).rewrite(text)),
        _ => answer.body,
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = answer.status;
    if let Some(kind) = answer.headers.get(header::CONTENT_TYPE) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service that says where it was asked.
    async fn service() -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::loopback(listener.local_addr().unwrap().port());
        let service = Plain::new(REQUEST_LIMIT, |request: Request<Incoming>| async move {
            let found = request.uri().path() == "/metrics";
            let text = format!("app_requests_total{{path=\"{}\"}} 7\n", request.uri());
            let mut response = Response::new(Full::from(text));
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; version=0.0.4"));
            if !found {
                *response.status_mut() = StatusCode::NOT_FOUND;
            }
            response
        });
        tokio::spawn(serve(listener, LIMITS, Arc::new(service), std::future::pending()));
        address
    }

    #[tokio::test]
    async fn what_is_scraped_is_rewritten_and_all_else_passes() {
        let proxy = Proxy::start(service().await, Service::ours(), Rewriting::CountTwice).await.unwrap();
        let asked = client::get(proxy.address(), "/metrics?a=b", REQUEST_LIMIT).await.unwrap();
        assert_eq!(asked.body, "app_requests_total{path=\"/metrics?a=b\"} 14\n");
        assert_eq!(asked.headers[header::CONTENT_TYPE], "text/plain; version=0.0.4");
        let other = client::get(proxy.address(), "/other", REQUEST_LIMIT).await.unwrap();
        assert_eq!((other.status.as_u16(), &*other.body), (404, &b"app_requests_total{path=\"/other\"} 7\n"[..]));
        let address = proxy.address().clone();
        proxy.stop().await;
        assert!(client::get(&address, "/metrics", REQUEST_LIMIT).await.is_err(), "it no longer listens");
    }

    #[tokio::test]
    async fn a_service_that_is_gone_is_no_exposition() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let proxy = Proxy::start(Address::loopback(gone), Service::ours(), Rewriting::GoStale).await.unwrap();
        let answer = client::get(proxy.address(), "/metrics", REQUEST_LIMIT).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        proxy.stop().await;
    }
}

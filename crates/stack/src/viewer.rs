//! The provisioned dashboards, live, in Grafana's place: plain pages, drawn here.
//!
//! | route | answers |
//! |---|---|
//! | `GET /` | the dashboards there are |
//! | `GET /d/UID` | a dashboard; `from`, `to`, `refresh`, `viewPanel`, `var-NAME` mean what they mean in Grafana |
//! | `GET /monitoring/runbooks/NAME.md` | a runbook, to which alerts and panels link |
//! | `GET /explore` | leads a panel's query to Prometheus' own page, in the place of Grafana's |
//! | `GET /api/health` | 200 |
//! | `GET /style.css`, `/view.js`, `/icon.svg` | what the pages are made with |
//!
//! Files are read and Prometheus is asked anew for every page; nothing is kept. A page says in a panel's place why it
//! can't be shown. Loki is asked for what panels of logs ask, and where it is not there their row takes one line. It needs nothing from outside and runs nothing but `view.js`, which tells us the window's width (the
//! step of a query depends on it) and draws anew in place; without it the page reloads itself. Labels are text: the
//! policy of every answer forbids whatever escaping might have missed. Only this machine may ask, by a name of its own,
//! so that no page of somebody else's can read along ([`gate`](aiclipx_http::gate)).

mod absent;
mod answer;
mod ask;
mod controls;
mod dashboard;
mod explore;
mod lines;
mod opening;
mod page;
mod provisioned;
mod runbook;
mod view_params;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use tokio::net::TcpListener;

use aiclipx_base::address::Address;
use aiclipx_dashboard::draw::theme::{self, Theme};
use aiclipx_http::gate::{Gate, is_read};
use aiclipx_http::serve::{Incoming, Limits, Plain, serve};
use aiclipx_model::failure::Failure;
use aiclipx_model::files;
use answer::respond;
pub use explore::explored;
use provisioned::Provisioned;

/// A few browsers with a few connections each.
const MAX_CONNECTIONS: usize = 64;
/// For a request's head, also between two requests of a connection.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// For a whole page; each question to Prometheus has its own, shorter one.
const PAGE_LIMIT: Duration = Duration::from_secs(45);
/// For the pages in hand once the end was asked for.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// What the viewer shows.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The folder Grafana would be provisioned from: `dashboards/`, `provisioning/datasources/`.
    pub folder: PathBuf,
    /// Where Prometheus is, if not where the folder says.
    pub prometheus: Option<Address>,
}

/// Serves until `shutdown`; the caller owns the listener, which must be of this machine's loopback.
pub async fn run(listener: TcpListener, sources: Sources, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
    let address = listener.local_addr().context("cannot tell the viewer's own address")?;
    if !address.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "{address} can be reached from elsewhere, and the viewer asks for no password"
        ))
        .remedy("listen on 127.0.0.1 and let ssh forward the port"));
    }
    let shared = Arc::new((sources, Gate::of(address, Vec::new())));
    let service = Plain::new(PAGE_LIMIT, move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { answer(&shared.0, &shared.1, &request.into_parts().0).await }
    });
    let limits = Limits { connections: MAX_CONNECTIONS, patience: HEAD_LIMIT, crowded: None, drain: DRAIN_LIMIT };
    serve(listener, limits, Arc::new(service), shutdown).await;
    Ok(())
}

async fn answer(sources: &Sources, gate: &Gate, request: &Parts) -> Response<Full<Bytes>> {
    if let Err((status, why)) = gate.admits(request) {
        return page::trouble(status, &format!("This viewer answers this machine's own pages only: {why}.")).into();
    }
    if !is_read(&request.method) {
        let mut response: Response<_> =
            page::trouble(StatusCode::METHOD_NOT_ALLOWED, "There is nothing to do here but look.").into();
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let (path, query) = (request.uri.path(), request.uri.query().unwrap_or_default());
    match path {
        "/" => page::list(&read(sources).await).into(),
        "/api/health" => respond(StatusCode::OK, "application/json", "", r#"{"status":"ok"}"#),
        "/style.css" => respond(StatusCode::OK, "text/css; charset=utf-8", "", style()),
        "/view.js" => respond(StatusCode::OK, "text/javascript; charset=utf-8", "", include_str!("viewer/view.js")),
        "/icon.svg" => respond(StatusCode::OK, "image/svg+xml", "", include_str!("viewer/icon.svg")),
        "/explore" => explore::led_on(&read(sources).await, query),
        _ => match (path.strip_prefix("/d/"), path.strip_prefix("/monitoring/runbooks/")) {
            // Grafana puts the title behind the uid.
            (Some(rest), _) => {
                let uid = view_params::decoded(rest.split('/').next().unwrap_or_default());
                dashboard::dashboard(&read(sources).await, &uid, query, &request.headers).await.into()
            }
            (None, Some(name)) => runbook_page(sources, name).await.into(),
            (None, None) => page::trouble(StatusCode::NOT_FOUND, "There is no such page.").into(),
        },
    }
}

/// A runbook, which lies beside the folder of Grafana's as it does in monitoring/.
async fn runbook_page(sources: &Sources, name: &str) -> page::Page {
    let is_name = name.strip_suffix(".md").is_some_and(|stem| stem.chars().all(|c| c.is_ascii_alphanumeric()));
    let file = sources.folder.parent().map(|monitoring| monitoring.join("runbooks").join(name)).filter(|_| is_name);
    let read = tokio::task::spawn_blocking(move || file.and_then(|file| files::read_to_string(&file).ok()));
    match read.await.expect("reading does not panic, and nobody cancels it") {
        Some(text) => page::runbook(name.trim_end_matches(".md"), &runbook::drawn(&text)),
        None => page::trouble(StatusCode::NOT_FOUND, &format!("There is no runbook {name} beside these dashboards.")),
    }
}

/// Others' pages don't wait for the disk.
async fn read(sources: &Sources) -> Provisioned {
    let (folder, prometheus) = (sources.folder.clone(), sources.prometheus.clone());
    let read = tokio::task::spawn_blocking(move || Provisioned::read(&folder, prometheus.as_ref()));
    read.await.expect("reading does not panic, and nobody cancels it")
}

fn style() -> String {
    let rules = include_str!("viewer/style.css");
    let (light, dark) = (theme::variables(Theme::Light), theme::variables(Theme::Dark));
    format!(":root{{color-scheme:light dark;{light}}}\n@media(prefers-color-scheme:dark){{:root{{{dark}}}}}\n{rules}")
}

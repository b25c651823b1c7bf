//! A link to Grafana's Explore, led on to Prometheus' page of graphs.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};

use super::answer::respond;
use super::page;
use super::provisioned::Provisioned;
use super::view_params;
use aiclipx_dashboard::draw;
use aiclipx_model::prom::answer::percent_encoded;

/// What of a link to Grafana's Explore is told on.
#[derive(serde::Deserialize)]
struct Explored {
    queries: Vec<ExploredQuery>,
    range: ExploredRange,
}

#[derive(serde::Deserialize)]
struct ExploredQuery {
    expr: String,
}

/// Unix milliseconds.
#[derive(serde::Deserialize)]
struct ExploredRange {
    from: String,
    to: String,
}

/// What a link to Grafana's Explore, or the query of one, has it look at: JSON.
pub fn explored(link: &str) -> Option<String> {
    link.split(['?', '&']).find_map(|pair| pair.strip_prefix("left=")).map(view_params::decoded)
}

/// Leads on to Prometheus' page of graphs, with the same queries over the same time.
pub(super) fn led_on(provisioned: &Provisioned, query: &str) -> Response<Full<Bytes>> {
    let left = explored(query).unwrap_or_default();
    let explored = serde_json::from_str::<Explored>(&left).ok().and_then(|explored| {
        let (from, to) = (explored.range.from.parse::<i64>().ok()?, explored.range.to.parse::<i64>().ok()?);
        Some((explored.queries, to.checked_sub(from)?.max(0) / 1000, draw::written(to, "%Y-%m-%d %H:%M:%S")))
    });
    let Some((queries, seconds, end)) = explored else {
        return page::trouble(StatusCode::BAD_REQUEST, "This link names no query and no time.").into();
    };
    let source = match provisioned.source(None) {
        Ok(source) => source,
        Err(why) => return page::trouble(StatusCode::INTERNAL_SERVER_ERROR, &format!("{why}.")).into(),
    };
    let end = percent_encoded(&end);
    let graphs: Vec<String> = (0..)
        .zip(&queries)
        .map(|(at, query)| {
            let expr = percent_encoded(&query.expr);
            format!("g{at}.expr={expr}&g{at}.tab=0&g{at}.range_input={seconds}s&g{at}.end_input={end}")
        })
        .collect();
    let mut response = respond(StatusCode::FOUND, "text/plain; charset=utf-8", "", "");
    match HeaderValue::try_from(source.address.url(&format!("/graph?{}", graphs.join("&")))) {
        Ok(address) => drop(response.headers_mut().insert(header::LOCATION, address)),
        Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}

//! Asks Prometheus and Alertmanager over HTTP and hands out the bytes as they came.
//!
//! An answer that is not 200 is an error with the server's own words. Nothing is retried: who polls, says so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use serde::Deserialize;

use super::answer::{self, Data, percent_encoded};
use crate::http::client::{self, Address};

/// A query over minutes of a small stack takes milliseconds; this only ends a hang.
const LIMIT: Duration = Duration::from_secs(20);

/// One HTTP API.
#[derive(Debug, Clone)]
pub struct Api {
    /// Where it listens.
    pub address: Address,
}

impl Api {
    /// The API at an address.
    pub fn new(address: &Address) -> Api {
        Api { address: address.clone() }
    }

    /// The body of a 200 answer to `GET path_and_query`, verbatim.
    pub async fn get(&self, path_and_query: &str) -> anyhow::Result<Bytes> {
        let url = self.address.url(path_and_query);
        let answer = client::get(&self.address, path_and_query, LIMIT).await.with_context(|| format!("GET {url}"))?;
        if !answer.status.is_success() {
            let text = String::from_utf8_lossy(&answer.body);
            bail!("GET {url} answered {}: {}", answer.status, text.trim().chars().take(300).collect::<String>());
        }
        Ok(answer.body)
    }

    /// An instant query, parsed; `seconds` is Unix time, now where it is absent.
    pub async fn query(&self, expr: &str, seconds: Option<f64>) -> anyhow::Result<Data> {
        let body = self.get(&query_path(expr, seconds)).await?;
        let answer = answer::parse(&body).with_context(|| format!("the answer to the query {expr}"))?;
        Ok(answer.data)
    }

    /// Prometheus' active alerts, each instance by itself.
    pub async fn active_alerts(&self) -> anyhow::Result<Vec<ActiveAlert>> {
        let mut answer = self.json("/api/v1/alerts").await?;
        serde_json::from_value(answer["data"]["alerts"].take()).context("Prometheus' list of alerts is no list")
    }

    /// The body of a 200 answer, as JSON.
    pub async fn json(&self, path_and_query: &str) -> anyhow::Result<serde_json::Value> {
        let body = self.get(path_and_query).await?;
        serde_json::from_slice(&body)
            .with_context(|| format!("{} did not answer JSON", self.address.url(path_and_query)))
    }
}

/// An alert that is pending or firing, as Prometheus tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ActiveAlert {
    /// Its labels, `alertname` among them.
    pub labels: BTreeMap<String, String>,
    /// `pending` or `firing`.
    pub state: String,
}

impl ActiveAlert {
    /// The alert's name; empty where it has none, which Prometheus does not let happen.
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }
}

/// Path and query of an instant query.
pub fn query_path(expr: &str, seconds: Option<f64>) -> String {
    let mut path = format!("/api/v1/query?query={}", percent_encoded(expr));
    if let Some(seconds) = seconds {
        write!(path, "&time={seconds:.3}").expect("writing to a String does not fail");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_travel_encoded() {
        assert_eq!(
            query_path(r#"rate(x{a="b"}[5m])"#, Some(1.5)),
            "/api/v1/query?query=rate%28x%7Ba%3D%22b%22%7D%5B5m%5D%29&time=1.500"
        );
    }
}

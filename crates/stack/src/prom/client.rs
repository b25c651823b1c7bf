//! Asks Prometheus and Alertmanager over HTTP and hands out the bytes as they came.
//!
//! An answer that is not 200 is an error with the server's own words. Nothing is retried: who polls, says so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use serde::Deserialize;

use aiclipx_base::address::Address;
use aiclipx_http::client;
use aiclipx_model::prom::answer::{self, Data, percent_encoded};

/// A query over minutes of a small stack takes milliseconds; this only ends a hang.
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
pub struct Api {
    pub address: Address,
    /// What an answer may take.
    limit: Duration,
}

impl Api {
    /// The API at an address.
    pub fn new(address: &Address) -> Api {
        Api::within(address, LIMIT)
    }

    /// The same for who can't wait long.
    pub fn within(address: &Address, limit: Duration) -> Api {
        Api { address: address.clone(), limit }
    }

    /// The body of a 200 answer to `GET path_and_query`, verbatim.
    pub async fn get(&self, path_and_query: &str) -> anyhow::Result<Bytes> {
        let url = self.address.url(path_and_query);
        let answer =
            client::get(&self.address, path_and_query, self.limit).await.with_context(|| format!("GET {url}"))?;
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

    /// Alertmanager's silences, those that are over included.
    pub async fn silences(&self) -> anyhow::Result<Vec<Silence>> {
        let answer = self.json("/api/v2/silences").await?;
        serde_json::from_value(answer).context("Alertmanager's list of silences is no list")
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
    /// Since when it is pending, or was before it fired; RFC 3339.
    #[serde(default, rename = "activeAt")]
    pub active_at: String,
}

impl ActiveAlert {
    /// The alert's name; empty where it has none, which Prometheus does not let happen.
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }
}

/// A silence, as Alertmanager tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Silence {
    status: SilenceStatus,
    matchers: Vec<SilenceMatcher>,
    /// When it is over; RFC 3339.
    pub ends_at: String,
    /// Who set it, in their own words.
    #[serde(default)]
    pub created_by: String,
    #[serde(default)]
    pub comment: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct SilenceStatus {
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SilenceMatcher {
    name: String,
    value: String,
    is_regex: bool,
    #[serde(default = "yes")]
    is_equal: bool,
}

fn yes() -> bool {
    true
}

impl Silence {
    /// `pending`, `active` or `expired`.
    pub fn state(&self) -> &str {
        &self.status.state
    }

    /// Which alerts it keeps quiet: `alertname=AppDown job!~a.*`.
    pub fn matchers(&self) -> String {
        let one = |matcher: &SilenceMatcher| {
            let operator = match (matcher.is_equal, matcher.is_regex) {
                (true, false) => "=",
                (true, true) => "=~",
                (false, false) => "!=",
                (false, true) => "!~",
            };
            format!("{}{operator}{}", matcher.name, matcher.value)
        };
        self.matchers.iter().map(one).collect::<Vec<_>>().join(" ")
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

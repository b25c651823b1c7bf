//! A Prometheus asked through Grafana: by its datasource, as its pages ask.
//!
//! Grafana's own health says nothing of its datasources: 200 without one, and without the plugin that would ask it. What
//! panels show is an answered query. From 8.3 on a panel's queries go to Grafana (`/api/ds/query`, or the same below
//! `/apis`), which fills in the intervals and asks; before, the page fills them in and asks through a proxy for the
//! datasource.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use serde_json::{Value, json};

use aiclipx_base::address::Address;
use aiclipx_http::client::{self, Answer};
use aiclipx_model::prom::grafana::{begin, reads_objects, values_in};

/// A datasource of a Grafana.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Grafana's.
    address: Address,
    /// Grafana's own version: `7.5.17`.
    pub version: String,
    uid: String,
    /// The database's, which an older one goes by.
    id: Option<u64>,
    /// Its proxy's path.
    proxy: String,
}

#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// With Grafana's own variables of time in it.
    pub template: &'a str,
    /// What a page that fills them in itself asks Prometheus.
    pub filled_in: &'a str,
    /// At the end of the range, and not over it.
    pub instant: bool,
    /// From and to, Unix milliseconds.
    pub range_ms: (i64, i64),
    /// What the page worked out for the panel's width, milliseconds.
    pub interval_ms: u64,
    /// The panel's width in pixels.
    pub points: u32,
}

impl Source {
    /// The Prometheus of this uid, or the default one, as anybody who opens a page is told of it.
    pub async fn find(grafana: &Address, uid: Option<&str>, limit: Duration) -> anyhow::Result<Source> {
        let path = "/api/frontend/settings";
        let settings = json_of(&client::get(grafana, path, limit).await?).with_context(|| format!("GET {path}"))?;
        let version = settings["buildInfo"]["version"].as_str().context("Grafana does not say its version")?.to_owned();
        let sources = settings["datasources"].as_object().context("Grafana lists no datasources")?;
        let mut all: Vec<&Value> = sources.values().filter(|source| source["type"] == "prometheus").collect();
        all.sort_by_key(|source| source["isDefault"] != true);
        let found = all.into_iter().find(|source| uid.is_none_or(|uid| source["uid"] == uid));
        let found = found.with_context(|| match uid {
            Some(uid) => format!("Grafana has no Prometheus of the uid `{uid}`"),
            None => "Grafana has no Prometheus".to_owned(),
        })?;
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        let (uid, proxy, id) = (text("uid"), text("url"), found["id"].as_u64());
        Ok(Source { address: grafana.clone(), version, uid, id, proxy })
    }

    /// Asks as a panel does: how many values there are in the answer, or why there is none.
    pub async fn ask(&self, question: &Question<'_>, limit: Duration) -> anyhow::Result<usize> {
        let answer = if reads_objects(&self.version) {
            self.query(question, limit).await?
        } else {
            ensure!(self.proxy.starts_with('/'), "the datasource {} has no proxy", self.uid);
            client::get(&self.address, &format!("{}{}", self.proxy, question.filled_in), limit).await?
        };
        values_in(i64::from(answer.status.as_u16()), &answer.body).map_err(anyhow::Error::msg)
    }

    async fn query(&self, question: &Question<'_>, limit: Duration) -> Result<Answer, client::ClientError> {
        let query = json!({
            "refId": "A",
            "datasource": { "type": "prometheus", "uid": self.uid },
            "datasourceId": self.id,
            "expr": question.template,
            "instant": question.instant,
            "range": !question.instant,
            "intervalMs": question.interval_ms,
            "maxDataPoints": question.points,
        });
        let (from, to) = question.range_ms;
        let posted = json!({ "queries": [query], "from": from.to_string(), "to": to.to_string() });
        client::post_json(&self.address, "/api/ds/query", Bytes::from(posted.to_string()), limit).await
    }
}

/// Whether Grafana asks its Prometheus and is answered.
pub async fn answers(grafana: &Address, limit: Duration) -> anyhow::Result<()> {
    let source = Source::find(grafana, None, limit).await?;
    let now = jiff::Timestamp::now().as_millisecond();
    let question = Question {
        template: "vector(1)",
        filled_in: "/api/v1/query?query=vector(1)",
        instant: true,
        range_ms: (now - 60_000, now),
        interval_ms: 1000,
        points: 60,
    };
    ensure!(source.ask(&question, limit).await? > 0, "its datasource {} answers with nothing", source.uid);
    Ok(())
}

fn json_of(answer: &Answer) -> anyhow::Result<Value> {
    if !answer.status.is_success() {
        bail!("answered {}: {}", answer.status, begin(&answer.body));
    }
    serde_json::from_slice(&answer.body).context("what was answered is no JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers what it is asked, by the beginning of the path, and keeps the questions.
    async fn like_grafana(
        answers: &'static [(&'static str, &'static str)],
    ) -> (Address, tokio::sync::mpsc::UnboundedReceiver<String>) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::loopback(listener.local_addr().unwrap().port());
        let (asked, questions) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                // A question is sent in one or two parts: the head, and what is posted.
                let whole = |request: &[u8]| {
                    let text = String::from_utf8_lossy(request).to_lowercase();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                    body.len() >= length.map_or(0, |length| length.trim().parse().unwrap())
                };
                while !whole(&request) {
                    let read = stream.read(&mut buffer).await.unwrap();
                    request.extend_from_slice(&buffer[..read]);
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let path = request.split_whitespace().nth(1).unwrap();
                let answer = answers.iter().find(|(begin, _)| path.starts_with(begin));
                let (status, body) = answer.map_or(("404 Not Found", "{}"), |(_, body)| ("200 OK", *body));
                let length = body.len();
                let text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                stream.write_all(text.as_bytes()).await.unwrap();
                asked.send(request).unwrap();
            }
        });
        (address, questions)
    }

    const LIMIT: Duration = Duration::from_secs(10);
    const ONE: &str = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}"#;

    #[tokio::test]
    async fn a_grafana_answers_when_its_datasource_does_and_each_is_asked_in_its_own_way() {
        let settings = r#"{"buildInfo":{"version":"7.5.17"},"datasources":{"P":{"type":"prometheus","uid":"p","id":2,
            "url":"/api/datasources/proxy/2","isDefault":true}}}"#;
        let (older, mut asked) = like_grafana(Box::leak(Box::new([
            ("/api/frontend/settings", settings),
            ("/api/datasources/proxy/2/", ONE),
        ])))
        .await;
        answers(&older, LIMIT).await.unwrap();
        asked.recv().await.unwrap();
        assert!(asked.recv().await.unwrap().starts_with("GET /api/datasources/proxy/2/api/v1/query?query=vector(1)"));

        let settings = r#"{"buildInfo":{"version":"13.0.7"},"datasources":{"P":{"type":"prometheus","uid":"p"}}}"#;
        let frames = r#"{"results":{"A":{"status":200,"frames":[{"data":{"values":[[1],[1]]}}]}}}"#;
        let (newer, mut asked) =
            like_grafana(Box::leak(Box::new([("/api/frontend/settings", settings), ("/api/ds/query", frames)]))).await;
        answers(&newer, LIMIT).await.unwrap();
        asked.recv().await.unwrap();
        let posted = asked.recv().await.unwrap();
        assert!(posted.starts_with("POST /api/ds/query") && posted.contains(r#""uid":"p""#), "{posted}");
    }

    /// Its health is 200 all the same.
    #[tokio::test]
    async fn a_grafana_without_a_datasource_or_without_its_plugin_does_not_answer() {
        let empty = r#"{"buildInfo":{"version":"13.2.0"},"datasources":{"-- Grafana --":{"type":"datasource"}}}"#;
        let (without, _asked) = like_grafana(Box::leak(Box::new([("/api/frontend/settings", empty)]))).await;
        let why = answers(&without, LIMIT).await.unwrap_err().to_string();
        assert_eq!(why, "Grafana has no Prometheus");

        let settings = r#"{"buildInfo":{"version":"13.2.0"},"datasources":{"P":{"type":"prometheus","uid":"p"}}}"#;
        let lost = r#"{"results":{"A":{"status":404,"error":"plugin not found"}}}"#;
        let (pluginless, _asked) =
            like_grafana(Box::leak(Box::new([("/api/frontend/settings", settings), ("/api/ds/query", lost)]))).await;
        let why = answers(&pluginless, LIMIT).await.unwrap_err().to_string();
        assert!(why.contains("plugin not found"), "{why}");
    }
}

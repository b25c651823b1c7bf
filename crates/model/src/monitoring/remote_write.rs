//! Where a stack's Prometheus also writes its samples: what `--remote-write` adds to its configuration.
//!
//! Nothing of it stands in monitoring/: a stack without a store elsewhere has none. It tells where the credentials lie and never
//! what they are, so a plan, a copy and a bundle may hold all of it.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use http::uri::{Authority, Uri};
use serde::{Deserialize, Serialize};

use super::located::Node;

/// The external label that tells one stack's samples from another's.
pub const STACK_LABEL: &str = "stack";
/// The one that tells a pair's two copies of the same sample apart; alerts go without it, or each would be told twice.
pub const REPLICA_LABEL: &str = "replica";

/// What its queue is called in Prometheus' own metrics (`remote_name`) and log.
const NAME: &str = "remote";

/// A store of samples elsewhere, and who writes to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteWrite {
    pub url: RemoteUrl,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// External labels beside `speed`.
    pub labels: BTreeMap<String, String>,
}

/// How Prometheus says who it is. It reads the file at each request: a password that is changed there needs no restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credentials {
    Basic { user: String, password_file: PathBuf },
    Bearer { token_file: PathBuf },
}

impl Credentials {
    /// Where the secret lies.
    pub fn file(&self) -> &Path {
        match self {
            Credentials::Basic { password_file: file, .. } | Credentials::Bearer { token_file: file } => file,
        }
    }

    /// The same, to change it.
    pub fn file_mut(&mut self) -> &mut PathBuf {
        match self {
            Credentials::Basic { password_file: file, .. } | Credentials::Bearer { token_file: file } => file,
        }
    }
}

/// An address that takes remote writes, and holds no secret: Prometheus repeats it in its log, its metrics and its answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RemoteUrl(String);

const LIKE: &str = "write it like http://127.0.0.1:8428/api/v1/write";
/// What is behind the host for each store that takes remote writes.
const PATHS: &str = "VictoriaMetrics and Prometheus take /api/v1/write, Mimir /api/v1/push, Thanos /api/v1/receive, vminsert \
     /insert/0/prometheus/api/v1/write";
/// In a query's key: what stands behind it is a secret.
const SECRETIVE: [&str; 6] = ["key", "token", "secret", "pass", "auth", "sig"];

impl FromStr for RemoteUrl {
    type Err = String;

    /// Says which part is wrong, and of one that may hold a secret nothing.
    fn from_str(text: &str) -> Result<RemoteUrl, String> {
        if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err(format!("it is empty, or holds a blank or a sign that is not ASCII; {LIKE}"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| format!("it has no scheme; {LIKE}"))?;
        // Before anything of it is repeated; a password with a `/` in it would stand in what looks like the path.
        if rest.contains('@') {
            let what =
                "it holds a user or a password, which would stand in the list of processes and in Prometheus' log";
            let remedy =
                "take them out, give --remote-write-user and --remote-write-password-file, and change that password";
            return Err(format!("{what}; {remedy}"));
        }
        if !["http", "https"].contains(&scheme) {
            return Err(format!("its scheme is `{scheme}`, and Prometheus writes by http or https; {LIKE}"));
        }
        if rest.contains('#') {
            return Err("what stands behind its `#` is sent to nobody; take it away".to_owned());
        }
        let (authority, behind) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        host_and_port(authority)?;
        let (path, query) = behind.split_once('?').unwrap_or((behind, ""));
        if path.trim_matches('/').is_empty() {
            return Err(format!("its path is missing: {PATHS}"));
        }
        // `%` in a key hides what it is called.
        let is_secret =
            |key: &str| key.contains('%') || SECRETIVE.iter().any(|word| key.to_ascii_lowercase().contains(word));
        if let Some((key, _)) = query.split('&').filter_map(|part| part.split_once('=')).find(|(key, _)| is_secret(key))
        {
            let what = format!("`{key}` in its query looks like a secret, which Prometheus would repeat in its log");
            return Err(format!("{what}; give --remote-write-token-file, or a user and --remote-write-password-file"));
        }
        if let Some(sign) = behind.chars().find(|sign| !is_of_a_url(*sign)) {
            return Err(format!("its path or query holds `{sign}`, which a URL has only as %{:02X}", sign as u32));
        }
        let is_escape = |rest: &str| rest.len() > 1 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
        if !behind.split('%').skip(1).all(is_escape) {
            return Err("its path or query holds a `%` without two hexadecimal digits behind it; as itself it is %25"
                .to_owned());
        }
        Ok(RemoteUrl(text.to_owned()))
    }
}

fn is_of_a_url(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || "-._~:/?[]!$&'()*+,;=%".contains(sign)
}

fn host_and_port(authority: &str) -> Result<(), String> {
    let (host, port) = match authority.rfind(']') {
        Some(end) => authority.split_at(end + 1),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    if host.is_empty() {
        return Err(format!("its host is missing; {LIKE}"));
    }
    let is_host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => host.parse::<Authority>().is_ok_and(|parsed| parsed.host() == host),
    };
    if !is_host {
        return Err(format!("its host `{host}` is no name and no address; {LIKE}"));
    }
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        let port = port.trim_start_matches(':');
        return Err(format!("its port `{port}` is no number from 1 to 65535; {LIKE}"));
    }
    Ok(())
}

impl RemoteUrl {
    /// The port that is written to.
    pub(super) fn port(&self) -> u16 {
        let usual = if self.0.starts_with("https:") { 443 } else { 80 };
        self.0.parse::<Uri>().ok().and_then(|uri| uri.port_u16()).unwrap_or(usual)
    }
}

impl std::fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RemoteUrl {
    type Error = String;

    fn try_from(text: String) -> Result<RemoteUrl, String> {
        text.parse()
    }
}

impl From<RemoteUrl> for String {
    fn from(url: RemoteUrl) -> String {
        url.0
    }
}

/// Labels that series and alerts have a meaning for. Prometheus adds an external label wherever there is none of its name: so a
/// counter would have a bucket's bound, and an alert without a severity somebody's route.
const TAKEN: [&str; 11] = [
    "alertname",
    "alertstate",
    "instance",
    "job",
    "le",
    "long_window",
    "quantile",
    "service",
    "severity",
    "slo",
    "speed",
];

/// An external label as the command line has it, `NAME=VALUE`.
pub fn external_label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=VALUE"))?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_part) {
        return Err(format!("`{name}` is no name of a label; letters, digits and _, no digit first"));
    }
    if TAKEN.contains(&name) || name.starts_with("__") {
        return Err(format!("the label `{name}` is not yours to set: series and alerts have it for something else"));
    }
    // Prometheus 3 puts a variable of its environment there.
    if value.is_empty() || value.contains('$') || value.contains(char::is_control) {
        return Err(format!("the value of `{name}` is empty, or holds `$` or a control character"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

impl RemoteWrite {
    /// Adds it to Prometheus' configuration, which may have others.
    pub(super) fn add_to(&self, document: &mut Node) {
        let labels = document.at("global").at("external_labels");
        for (name, value) in &self.labels {
            labels.set(name, Node::text(value));
        }
        let dropped = Node::map([("regex", Node::text(REPLICA_LABEL)), ("action", Node::text("labeldrop"))]);
        document.at("alerting").at("alert_relabel_configs").push(dropped);
        document.at("remote_write").push(self.entry());
    }

    fn entry(&self) -> Node {
        let mut entry = Node::map([("name", Node::text(NAME)), ("url", Node::text(&self.url.0))]);
        let path = |path: &Path| Node::text(path.to_string_lossy());
        match &self.credentials {
            Some(Credentials::Basic { user, password_file }) => {
                let basic = Node::map([("username", Node::text(user)), ("password_file", path(password_file))]);
                entry.set("basic_auth", basic);
            }
            Some(Credentials::Bearer { token_file }) => {
                entry.set("authorization", Node::map([("credentials_file", path(token_file))]));
            }
            None => {}
        }
        entry.set("queue_config", queue());
        entry
    }
}

/// What waits for the store, the same for Prometheus 2.42 and 3.x, whose own defaults differ. Real time: so is a network.
///
/// Left out is `sample_age_limit`: 2.42 refuses the key, and it drops what an outage left unsent though the write-ahead log still
/// has it. That log, some two hours of it, is what bounds the age of what is sent.
fn queue() -> Node {
    Node::map([
        // Of 3.x; with 500, of 2.42, a scrape of this stack is four requests. Some 100 kB packed, far below any store's limit.
        ("max_samples_per_send", Node::number(2000)),
        // Of 3.x, five requests: Prometheus' guide asks for three to ten. The log is read on while one is under way.
        ("capacity", Node::number(10_000)),
        // 200 000 samples a second where a request takes 100 ms: an hour of a thousand a second in twenty seconds. 200, as 2.42
        // has it, would bury a store that has just come back, and take twenty times the memory.
        ("max_shards", Node::number(10)),
        ("min_shards", Node::number(1)),
        // What a sample waits at most for others to go with: less than a scrape, and than the lag that is told.
        ("batch_send_deadline", Node::text("5s")),
        // A short stumble is over in milliseconds; a store that is away is asked every five seconds, and not more often.
        ("min_backoff", Node::text("30ms")),
        ("max_backoff", Node::text("5s")),
        // "Not so fast" is no refusal: without this what is answered 429 is lost.
        ("retry_on_http_429", Node::switch(true)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<RemoteUrl, String> {
        text.parse()
    }

    #[test]
    fn addresses_that_take_remote_writes_are_taken_as_they_stand() {
        for text in [
            "http://127.0.0.1:8428/api/v1/write",
            "https://mimir.example.org/api/v1/push",
            "http://[::1]:8428/api/v1/write",
            "http://influx:8086/api/v1/prom/write?db=metrics&rp=one",
        ] {
            assert_eq!(parsed(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said_of_the_part_that_it_is_wrong_in() {
        for (text, part) in [
            ("", "it is empty"),
            ("http://a b/write", "a blank"),
            ("127.0.0.1:8428/api/v1/write", "no scheme"),
            ("ftp://a/write", "its scheme is `ftp`"),
            ("http:///api/v1/write", "its host is missing"),
            ("http://:8428/write", "its host is missing"),
            ("http://a_{b}/write", "its host `a_{b}`"),
            ("http://[::g]:1/write", "its host `[::g]`"),
            ("http://a:0/write", "its port `0`"),
            ("http://a:/write", "its port ``"),
            ("http://a:70000/write", "its port `70000`"),
            ("http://a:8428", "its path is missing: VictoriaMetrics"),
            ("http://a:8428/", "its path is missing"),
            ("http://a/write#x", "behind its `#`"),
            ("http://a/wri\"te", "only as %22"),
            ("http://a/write?x=%2", "two hexadecimal digits"),
        ] {
            let refused = parsed(text).unwrap_err();
            assert!(refused.contains(part), "{text}: {refused}");
        }
    }

    #[test]
    fn a_secret_in_an_address_is_refused_and_not_repeated() {
        for text in [
            "http://me:hunter2@a/write",
            "http://me:hunter2/x@a/write",
            "gopher://hunter2@a/write",
            "https://a/write?api_key=hunter2",
            "https://a/write?db=x&X-Token=hunter2",
            "https://a/write?tok%65n=hunter2",
        ] {
            let refused = parsed(text).unwrap_err();
            assert!(!refused.contains("hunter2") && refused.contains("file"), "{text}: {refused}");
        }
    }

    #[test]
    fn a_label_is_a_name_and_a_value_that_prometheus_leaves_alone() {
        assert_eq!(external_label("stack=shop=1"), Ok(("stack".to_owned(), "shop=1".to_owned())));
        for (text, says) in [
            ("stack", "NAME=VALUE"),
            ("=x", "no name"),
            ("1a=x", "no name"),
            ("speed=1", "not yours"),
            ("instance=x", "not yours"),
            ("le=1", "not yours"),
            ("severity=critical", "not yours"),
            ("__name__=x", "not yours"),
            ("stack=", "is empty"),
            ("stack=$HOME", "`$`"),
        ] {
            let refused = external_label(text).unwrap_err();
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }
}

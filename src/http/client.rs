//! One HTTP/1.1 request on a connection of its own: no pool, no retry, no redirect, no TLS.
//!
//! What a server sees is then exactly what the caller did, which is what counting needs. Made for loopback and for
//! addresses the user named.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

/// Answers are read to the end and kept whole; a larger one is an error. A range query over a run is some MB.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A host and a port: `127.0.0.1:9090`, `[::1]:9090`, `app:8080`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// A name or an IP address, an IPv6 one without its brackets.
    pub host: String,
    /// 1…65535.
    pub port: u16,
}

impl Address {
    /// An address on this machine's loopback interface.
    pub fn loopback(port: u16) -> Address {
        Address { host: "127.0.0.1".to_owned(), port }
    }

    /// The `http://` URL of a path (which begins with a slash) at this address.
    pub fn url(&self, path_and_query: &str) -> String {
        format!("http://{self}{path_and_query}")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Reads `host:port`, also with `http://` before it and a slash behind it, as people paste it.
impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        let error = || format!("`{text}` is not an address; write it like 127.0.0.1:9090");
        let bare = text.strip_prefix("http://").unwrap_or(text);
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        let (host, port) = bare.rsplit_once(':').ok_or_else(error)?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(error)?;
        if host.is_empty() || host.contains(['/', '@', ' ', '[', ']']) {
            return Err(error());
        }
        Ok(Address { host: host.to_owned(), port })
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Address, String> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status line's code.
    pub status: StatusCode,
    /// Headers as received.
    pub headers: hyper::HeaderMap,
    /// The body, as received.
    pub body: Bytes,
}

/// Why there is no answer. Each names the address; callers add what they wanted.
#[derive(Debug)]
pub enum ClientError {
    /// No connection could be made.
    Connect(Address, std::io::Error),
    /// The connection broke, or what came was no HTTP.
    Exchange(Address, Box<dyn std::error::Error + Send + Sync>),
    /// No whole answer within the time given.
    TimedOut(Address, Duration),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Connect(address, error) => write!(f, "cannot connect to {address}: {error}"),
            ClientError::Exchange(address, error) => write!(f, "no whole answer from {address}: {error}"),
            ClientError::TimedOut(address, limit) => write!(f, "no answer from {address} within {limit:?}"),
        }
    }
}

impl std::error::Error for ClientError {}

/// Sends a `GET` and reads the whole answer, whatever its status.
pub async fn get(address: &Address, path_and_query: &str, limit: Duration) -> Result<Answer, ClientError> {
    send(address, Method::GET, path_and_query, None, limit).await
}

/// Sends a `POST` of JSON and reads the whole answer, whatever its status.
pub async fn post_json(
    address: &Address,
    path_and_query: &str,
    body: impl Into<Bytes>,
    limit: Duration,
) -> Result<Answer, ClientError> {
    send(address, Method::POST, path_and_query, Some(body.into()), limit).await
}

async fn send(
    address: &Address,
    method: Method,
    path_and_query: &str,
    json: Option<Bytes>,
    limit: Duration,
) -> Result<Answer, ClientError> {
    let exchange = |error: Box<dyn std::error::Error + Send + Sync>| ClientError::Exchange(address.clone(), error);
    let mut request = Request::builder()
        .method(method)
        .uri(path_and_query)
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close");
    if json.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request = request.body(Full::new(json.unwrap_or_default())).map_err(|error| exchange(error.into()))?;

    let answer = async {
        let stream = TcpStream::connect((address.host.as_str(), address.port))
            .await
            .map_err(|error| ClientError::Connect(address.clone(), error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| exchange(error.into()))?;
        let exchanged = async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?.to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        // The connection's own future drives the exchange; it ends with it, so nothing is left running.
        tokio::pin!(exchanged);
        let mut connection = Some(connection);
        loop {
            match &mut connection {
                Some(driver) => tokio::select! {
                    biased;
                    answer = &mut exchanged => break answer.map_err(exchange),
                    _ = driver => connection = None,
                },
                None => break exchanged.await.map_err(exchange),
            }
        }
    };
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| Err(ClientError::TimedOut(address.clone(), limit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_people_paste_them() {
        for (text, printed) in [
            ("127.0.0.1:9090", "127.0.0.1:9090"),
            ("http://localhost:9090/", "localhost:9090"),
            ("[::1]:80", "[::1]:80"),
            ("app:8080", "app:8080"),
        ] {
            assert_eq!(text.parse::<Address>().map(|a| a.to_string()), Ok(printed.to_owned()), "{text}");
        }
        for text in ["", "localhost", ":80", "a:0", "a:99999", "https://a:80", "http://a:80/x", "u@h:80"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn nobody_listening_is_told_with_the_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = get(&Address::loopback(port), "/", Duration::from_secs(5)).await.unwrap_err();
        assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
    }
}

//! One HTTP/1.1 request on a connection of its own: no pool, no retry, no redirect, no TLS.
//!
//! What a server sees is then exactly what the caller did, which is what counting needs. Made for loopback and for
//! addresses the user named.

use std::fmt;
use std::time::Duration;

use aiclipx_base::address::Address;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::HeaderName;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Answers are read to the end and kept whole; a larger one is an error. A range query over a run is some MB.
const MAX_ANSWER_BYTES: usize = 64 << 20;

#[derive(Debug, Clone)]
pub struct Answer {
    /// The status line's code.
    pub status: StatusCode,
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
    send(address, Method::GET, path_and_query, &[], Bytes::new(), limit).await
}

/// Sends a `POST` of JSON and reads the whole answer, whatever its status.
pub async fn post_json(
    address: &Address,
    path_and_query: &str,
    body: impl Into<Bytes>,
    limit: Duration,
) -> Result<Answer, ClientError> {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    send(address, Method::POST, path_and_query, &headers, body.into(), limit).await
}

/// Sends a `POST` of whatever its headers say and reads the whole answer, whatever its status.
pub async fn post(
    address: &Address,
    path_and_query: &str,
    headers: &[(HeaderName, &str)],
    body: impl Into<Bytes>,
    limit: Duration,
) -> Result<Answer, ClientError> {
    send(address, Method::POST, path_and_query, headers, body.into(), limit).await
}

async fn send(
    address: &Address,
    method: Method,
    path_and_query: &str,
    headers: &[(HeaderName, &str)],
    body: Bytes,
    limit: Duration,
) -> Result<Answer, ClientError> {
    let exchange = |error: Box<dyn std::error::Error + Send + Sync>| ClientError::Exchange(address.clone(), error);
    let mut request = Request::builder()
        .method(method)
        .uri(path_and_query)
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let request = request.body(Full::new(body)).map_err(|error| exchange(error.into()))?;

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

    #[tokio::test]
    async fn nobody_listening_is_told_with_the_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = get(&Address::loopback(port), "/", Duration::from_secs(5)).await.unwrap_err();
        assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
    }
}

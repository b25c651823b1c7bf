//! Connections: where they come from, and those that wait to be used again.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use aiclipx_base::address::Address;
use aiclipx_model::failure::Failure;

/// A connection unused for longer is not used again: well before the service's own limit on idle connections (10 s),
/// so that a request does not meet its closing.
const MAX_IDLE: Duration = Duration::from_secs(5);

/// Where connections come from.
pub trait Connect: Send + Sync + 'static {
    /// A connection's two directions.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn connect(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// What the `Host` header says.
    fn host(&self) -> &str;
}

/// Connections over TCP to one address, resolved once so that no request waits for a name.
#[derive(Debug, Clone)]
pub struct Tcp {
    host: String,
    addresses: Vec<SocketAddr>,
}

impl Tcp {
    pub async fn resolve(address: &Address) -> Result<Tcp, Failure> {
        let found = tokio::net::lookup_host((address.host.as_str(), address.port))
            .await
            .with_context(|| format!("cannot resolve {address}"))
            .map_err(Failure::usage)?;
        Ok(Tcp { host: address.to_string(), addresses: found.collect() })
    }
}

impl Connect for Tcp {
    type Stream = TcpStream;

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.addresses.as_slice()).await?;
        // A small request must not wait for the acknowledgement of the one before.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn host(&self) -> &str {
        &self.host
    }
}

/// One connection and the task that drives it; dropping it closes it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Connection {
    pub(super) async fn open<C: Connect>(connect: &C) -> io::Result<Connection> {
        let stream = connect.connect().await?;
        let (sender, served) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // Its errors are also its sender's, which is asked.
        let driver = tokio::spawn(async move { drop(served.await) }).abort_handle();
        Ok(Connection { sender, driver })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Connections that wait for a request, the one used last at the back.
#[derive(Debug, Default)]
pub(super) struct Idle(Mutex<VecDeque<(Instant, Connection)>>);

impl Idle {
    /// The connection used last, if it still is one; what was idle for too long is closed on the way.
    pub(super) fn take(&self) -> Option<Connection> {
        let mut idle = locked(&self.0);
        while idle.front().is_some_and(|(since, _)| since.elapsed() > MAX_IDLE) {
            idle.pop_front();
        }
        while let Some((_, connection)) = idle.pop_back() {
            if connection.sender.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    pub(super) fn keep(&self, connection: Connection) {
        locked(&self.0).push_back((Instant::now(), connection));
    }
}

/// What is behind the lock is valid whenever it is released: no panic can leave it half done.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

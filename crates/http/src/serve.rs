//! The accept loop that the service, the receiver and the viewer share: HTTP/1.1 on hyper, bounded in everything.
//!
//! - A connection takes a slot *before* it is accepted; what has no slot waits in the kernel's queue (`acceptor`).
//! - A head must arrive, and an idle connection must speak again, within [`Limits::patience`]; an answer that its
//!   client doesn't read may stall as long. Then the connection is closed and its slot returns (`idle`).
//! - A client that has ended its side is answered; an answer to a request that was not read to its end arrives
//!   (`connection`).
//! - Out of file descriptors, the loop waits and tries again instead of spinning or ending.
//! - On the stop signal, who had connected by then is served, the listener closes, requests in the air are answered, and
//!   what is left at [`Limits::drain`] is cut.
//!
//! It knows nothing of routes, metrics or logs: a [`Service`] answers requests and is told how connections ended.
//! A service contains its own panics and time-outs with [`contain()`], because only it knows how to count them;
//! [`Plain`] is that for an ordinary `async fn`. No TLS, no HTTP/2: a proxy's work.

mod acceptor;
mod connection;
mod contain;
mod idle;
mod incoming;
mod service;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use acceptor::Acceptor;
pub use acceptor::QUEUED;
pub use connection::BUFFER_BYTES;
pub use contain::{Broken, Contained, Plain, contain};
pub use incoming::Incoming;
pub use service::{ConnectionOutcome, Limits, Service};

/// How a loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still open at the deadline, and cut.
    pub cut: usize,
}

/// Accepts and serves until `stop` resolves, then drains. Never fails: what can go wrong with a listener that is
/// bound passes.
pub async fn serve<S: Service>(
    listener: TcpListener,
    limits: Limits,
    service: Arc<S>,
    stop: impl Future<Output = ()>,
) -> Drained {
    let mut acceptor = Acceptor::new(listener, limits.connections);
    // The receiver never looks: a copy of it learns of a stop that was before the copy.
    let (stopping, not_stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let open = |connections: &mut JoinSet<()>, (stream, slot)| {
        connections.spawn(connection::run(stream, slot, limits.clone(), Arc::clone(&service), not_stopped.clone()));
    };

    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = acceptor.accept() => open(&mut connections, accepted),
        }
    }
    stopping.send_replace(());
    let mut queue = acceptor.close();
    let all_closed = async {
        loop {
            tokio::select! {
                biased;
                Some(accepted) = queue.accept() => open(&mut connections, accepted),
                Some(_) = connections.join_next() => {}
                else => break,
            }
        }
    };
    if timeout(limits.drain, all_closed).await.is_ok() {
        return Drained { cut: 0 };
    }
    let cut = connections.len();
    connections.shutdown().await;
    Drained { cut }
}

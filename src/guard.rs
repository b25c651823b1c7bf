//! A program behind a gate, for those that have none: Prometheus and Alertmanager answer whoever asks, by whatever name, and
//! Alertmanager lets pages of every origin read, and give orders.
//!
//! The program listens on an address of loopback that nobody can guess, and where it is looked for a front of ours does,
//! which hands on what the gate admits. The process that was started becomes the program, so that who kills, pauses or asks
//! after it means the program itself, and the front is its child, which ends as soon as its own input does; the other end of
//! that is the program's. The other way round nobody watches: a front that is killed leaves a program that cannot be reached,
//! which `status` shows as not ready, until the stack is started anew.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::File;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::http::client::Address;
use crate::http::gate::Gate;
use crate::http::serve::{Incoming, Limits, Service, serve};

/// As many as Prometheus allows itself.
const MAX_CONNECTIONS: usize = 512;
/// Longer than Prometheus and Alertmanager keep a connection they may use again: it is theirs to close.
const PATIENCE: Duration = Duration::from_mins(6);
/// For the requests in hand once the end was asked for.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);
/// For a front of before to let go of the port.
const BIND_LIMIT: Duration = Duration::from_secs(3);
/// What the front says once it listens.
const LISTENS: &[u8] = b"!";

/// Becomes the program, told to listen where nobody looks for it, with a front of its own at `listen`. Returns only when that
/// fails, and says why.
pub fn become_program(listen: &Address, program: &[OsString]) -> Failure {
    match started(listen, program) {
        Ok(never) => match never {},
        Err(error) => error.into(),
    }
}

fn started(listen: &Address, program: &[OsString]) -> anyhow::Result<Infallible> {
    let (name, arguments) = program.split_first().context("no program is named")?;
    let behind = hidden_address().context("cannot find an address to hide")?;
    let (end_seen, end) = std::io::pipe().context("cannot make a pipe")?;
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let mut front = Command::new(own)
        .args(["front", "--listen", &listen.to_string(), "--to", &behind.to_string()])
        .stdin(end_seen)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the front")?;
    let mut said = [0; LISTENS.len()];
    let listens = front.stdout.take().is_some_and(|mut stdout| stdout.read_exact(&mut said).is_ok());
    anyhow::ensure!(listens, "the front at {listen} ended before it listened");
    let listen_there = format!("--web.listen-address={behind}");
    let error = Command::new(name).args(arguments).arg(listen_there).stdin(end).exec();
    Err(error).with_context(|| format!("cannot run {}", name.display()))
}

/// One of some sixteen million hosts of loopback, and a port that is free there. Where loopback has but one, its port alone.
fn hidden_address() -> std::io::Result<Address> {
    let mut random = [0; 3];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    // Neither the usual host nor the network's first and last.
    let [a, b, c] = random;
    let host = Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254));
    let free = TcpListener::bind((host, 0)).or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?.local_addr()?;
    Ok(Address { host: free.ip().to_string(), port: free.port() })
}

/// Hands on to `to` what the gate admits at `listen`, until its input ends or `shutdown` comes.
pub async fn front(listen: &Address, to: Address, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
    let listener = bound(listen).await?;
    let address = listener.local_addr().context("cannot tell the front's own address")?;
    std::io::stdout()
        .write_all(LISTENS)
        .and_then(|()| std::io::stdout().flush())
        .context("nobody waits for the front")?;
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        // At once, so that who finds the port free finds nobody left.
        std::process::exit(0);
    });
    let limits = Limits { connections: MAX_CONNECTIONS, patience: PATIENCE, drain: DRAIN_LIMIT };
    serve(listener, limits, Arc::new(Front { to, gate: Gate::of(address, Vec::new()) }), shutdown).await;
    Ok(())
}

async fn bound(listen: &Address) -> Result<tokio::net::TcpListener, Failure> {
    let until = Instant::now() + BIND_LIMIT;
    loop {
        match tokio::net::TcpListener::bind((listen.host.as_str(), listen.port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) if Instant::now() > until => {
                return Err(Failure::infrastructure(format!("cannot listen on {listen}: {error}")));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

struct Front {
    to: Address,
    gate: Gate,
}

type Answer = Response<Either<Full<Bytes>, hyper::body::Incoming>>;

impl Service for Front {
    type Body = Either<Full<Bytes>, hyper::body::Incoming>;

    async fn call(&self, request: Request<hyper::body::Incoming>, _: Instant) -> Result<Answer, Infallible> {
        let (head, body) = Incoming::of(request).into_parts();
        if let Err((status, why)) = self.gate.admits(&head) {
            return Ok(refusal(status, why));
        }
        let handed_on = self.handed_on(head, body).await;
        Ok(handed_on.unwrap_or_else(|error| refusal(StatusCode::BAD_GATEWAY, &format!("{error:#}"))))
    }
}

impl Front {
    async fn handed_on(&self, mut head: Parts, body: Incoming) -> anyhow::Result<Answer> {
        head.uri = head.uri.path_and_query().cloned().map(Uri::from).context("the target is no path")?;
        head.version = Version::HTTP_11;
        for of_the_connection in [CONNECTION, UPGRADE] {
            head.headers.remove(of_the_connection);
        }
        let stream = TcpStream::connect((self.to.host.as_str(), self.to.port)).await.context("it does not listen")?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // It lives as long as the answer's body is read.
        tokio::spawn(connection);
        let mut answer = sender.send_request(Request::from_parts(head, body)).await.context("it does not answer")?;
        answer.headers_mut().remove(CONNECTION);
        Ok(answer.map(Either::Right))
    }
}

fn refusal(status: StatusCode, why: &str) -> Answer {
    let mut response = Response::new(Either::Left(Full::from(format!("{why}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_program_hides_is_on_loopback_and_another_place_each_time() {
        let [first, second] = [(); 2].map(|()| hidden_address().unwrap());
        assert_ne!(first, second);
        for address in [first, second] {
            assert!(address.host.parse::<Ipv4Addr>().unwrap().is_loopback(), "{address}");
        }
    }
}

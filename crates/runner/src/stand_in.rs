//! What stands in for a stack in tests: addresses, and the sample's tree and record.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use aiclipx_base::address::Address;
use aiclipx_base::duration::Speed;
use aiclipx_judge::files::files_in;
use aiclipx_judge::tree::Tree;
use aiclipx_stack::ExternalStack;

/// A stack whose service and Prometheus are there, and that has nothing else.
pub(super) fn external(there: SocketAddr, state: &Path) -> ExternalStack {
    let address = Address { host: there.ip().to_string(), port: there.port() };
    ExternalStack {
        app: vec![address.clone()],
        scraped: vec![address.clone()],
        prometheus: address,
        alertmanager: None,
        receiver: None,
        grafana: None,
        speed: "30".parse().unwrap_or(Speed::PRODUCTION),
        started_ms: 0,
        versions: BTreeMap::new(),
        absent: BTreeMap::new(),
        state: state.to_owned(),
    }
}

/// Where nobody listens.
pub(super) fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback has a port")
}

fn sample() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../evidence/sample")).to_owned()
}

pub(super) fn tree() -> Tree {
    Tree::read(&sample().join("tree")).expect("the sample's tree can be read")
}

/// The folder of the sample's experiment.
pub(super) fn experiment() -> PathBuf {
    files_in(&sample().join("experiments"), "")
        .ok()
        .and_then(|mut all| all.pop())
        .expect("the sample has an experiment")
}

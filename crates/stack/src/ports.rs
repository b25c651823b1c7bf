//! Where components can listen: the places by name, and ports that are free. Asks the kernel.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::str::FromStr;
use std::sync::atomic::{AtomicU16, Ordering};

use super::component::Component;
use aiclipx_base::address::Address;
use aiclipx_model::failure::Failure;

/// A place where a component listens, as `--port` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// The one it is known by, under its own name.
    Main(Component),
    /// Where the service listens to the monitoring alone.
    AppAdmin,
    /// Where Vector is scraped.
    VectorMetrics,
    /// Where Loki talks to itself.
    LokiGrpc,
}

/// The places that are not a component's first, as they are called.
pub(super) const ASIDE: [(Listener, &str); 3] =
    [(Listener::AppAdmin, "app-admin"), (Listener::VectorMetrics, "vector-metrics"), (Listener::LokiGrpc, "loki-grpc")];

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listener::Main(component) => component.fmt(f),
            aside => f.pad(ASIDE.iter().find(|(one, _)| one == aside).map_or("", |(_, name)| name)),
        }
    }
}

impl FromStr for Listener {
    type Err = String;

    fn from_str(text: &str) -> Result<Listener, String> {
        if let Some((aside, _)) = ASIDE.iter().find(|(_, name)| *name == text) {
            return Ok(*aside);
        }
        let names = ASIDE.map(|(_, name)| name).join(", ");
        text.parse().map(Listener::Main).map_err(|error| format!("{error}, and {names}"))
    }
}

/// `prometheus=9190`: one component's port, as `--port` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortChoice {
    /// Whose, and which of them.
    pub listener: Listener,
    /// 1…65535.
    pub port: u16,
}

impl FromStr for PortChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<PortChoice, String> {
        let error = || format!("`{text}` is not a component and its port; write it like prometheus=9190");
        let (name, port) = text.split_once('=').ok_or_else(error)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(error)?;
        Ok(PortChoice { listener: name.parse()?, port })
    }
}

/// Ports handed out lie below every system's ephemeral range, so that no client connection takes one before its
/// component listens.
const FREE_PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A port of 127.0.0.1 nobody listens on. One process never gets the same one twice, so that stacks planned side by
/// side don't meet; several processes begin at different places.
pub(super) fn free_port() -> Result<u16, Failure> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = FREE_PORTS.end - FREE_PORTS.start;
    // A knuth-style spread: neighbouring process ids start far apart.
    let scattered = std::process::id().wrapping_mul(2_654_435_761) >> 16;
    let start = u16::try_from(scattered % u32::from(count)).expect("a remainder of a u16 is one");
    for _ in 0..count {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % count;
        let port = FREE_PORTS.start
            + u16::try_from((u32::from(start) + u32::from(step)) % u32::from(count)).expect("as above");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Failure::usage(format!("no free port in {FREE_PORTS:?}")))
}

/// One of some sixteen million hosts of loopback, and a port that is free there. Where loopback has but one, its port alone.
pub(super) fn hidden_address() -> std::io::Result<Address> {
    let mut random = [0; 3];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    // Neither the usual host nor the network's first and last.
    let [a, b, c] = random;
    let host = Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254));
    let free = TcpListener::bind((host, 0)).or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?.local_addr()?;
    Ok(Address { host: free.ip().to_string(), port: free.port() })
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

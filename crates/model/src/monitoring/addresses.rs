//! Where the components of one stack are reached: what makes a copy of monitoring/ that stack's own.

use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

use http::uri::Authority;
use serde::{Deserialize, Serialize};

use super::remote_write::RemoteWrite;
use aiclipx_base::address::Address;

/// Where the files of monitoring/ lie when they are used as they stand: each component's in a folder of its name here.
pub(super) const CANONICAL_FOLDER: &str = "/etc";
/// Where the components' logs lie there.
pub(super) const CANONICAL_LOGS: &str = "/var/log/aiclipx";
/// What holds a folder of each component's data there.
pub(super) const CANONICAL_DATA: &str = "/var/lib";

/// One address a component; the service may have several, one a replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The service's replicas, at least one.
    pub app: Vec<Address>,
    /// Where the monitoring reaches each of them; nowhere of its own in bundles of before there was such a place.
    #[serde(default)]
    pub app_admin: Vec<Address>,
    /// Prometheus.
    pub prometheus: Address,
    /// Alertmanager.
    pub alertmanager: Address,
    /// The receiver of notifications and traffic phases.
    pub receiver: Address,
    /// Grafana, or the built-in viewer in its place.
    pub dashboards: Address,
    /// The probe, which asks from outside whether the service answers; older bundles have none.
    #[serde(default = "canonical_probe")]
    pub probe: Address,
    /// The absolute folder the rendered copy lies in, for Grafana's configuration.
    pub folder: PathBuf,
    /// Where people find dashboards and runbooks from elsewhere; none where they look on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalUrl>,
    /// Where Prometheus also writes its samples; nowhere unless somebody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_write: Option<Box<RemoteWrite>>,
    /// Log forwarding; older bundles have none.
    #[serde(default = "Logging::canonical")]
    pub logging: Logging,
}

fn canonical_probe() -> Address {
    Address { host: "probe".to_owned(), port: 9115 }
}

/// What links begin with that are followed from elsewhere: dashboards are at `…/d/UID` there, and runbooks at
/// `…/monitoring/runbooks/NAME.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExternalUrl(String);

impl ExternalUrl {
    /// The address of a path there, which begins with a slash.
    pub(crate) fn to(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl FromStr for ExternalUrl {
    type Err = String;

    /// What a template or Grafana would read something in, or what has its end already, makes no link.
    fn from_str(text: &str) -> Result<ExternalUrl, String> {
        let rest = ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]%@".contains(c);
        if !rest.chars().all(is_plain) || !names_a_host(rest.split('/').next().unwrap_or_default()) {
            return Err(format!("`{text}` is no address to link to; write it like https://monitoring.example.org"));
        }
        Ok(ExternalUrl(text.trim_end_matches('/').to_owned()))
    }
}

/// Whether what stands before the path of a URL names a host, and, if any, a port that somebody may listen on.
fn names_a_host(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    let host = authority.host();
    // The parser looks at brackets and colons, and not at what is between them.
    let is_host = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']').is_some_and(|host| host.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty(),
    };
    let (_, behind_user) = authority.as_str().rsplit_once('@').unwrap_or(("", authority.as_str()));
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_reached = |behind_host: &str| behind_host.is_empty() || behind_host.strip_prefix(':').is_some_and(is_port);
    is_host && behind_user.strip_prefix(host).is_some_and(is_reached)
}

impl TryFrom<String> for ExternalUrl {
    type Error = String;

    fn try_from(text: String) -> Result<ExternalUrl, String> {
        text.parse()
    }
}

impl From<ExternalUrl> for String {
    fn from(url: ExternalUrl) -> String {
        url.0
    }
}

/// Where logs are read, forwarded and kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// The forwarder's own address: whether it is ready.
    pub vector: Address,
    /// Where the forwarder is scraped.
    pub vector_metrics: Address,
    /// The store.
    pub loki: Address,
    /// Where the store talks to itself.
    pub loki_grpc: Address,
    /// The absolute folder of the log files.
    pub files: PathBuf,
    /// The absolute folder that holds one of each component's data.
    pub data: PathBuf,
}

impl Logging {
    fn canonical() -> Logging {
        let at = |host: &str, port| Address { host: host.to_owned(), port };
        Logging {
            vector: Address::loopback(8686),
            vector_metrics: at("vector", 9598),
            loki: at("loki", 3100),
            loki_grpc: at("loki", 9096),
            files: CANONICAL_LOGS.into(),
            data: CANONICAL_DATA.into(),
        }
    }

    /// On this machine, at the usual ports, for a stack that keeps its files there.
    pub fn loopback(files: PathBuf, data: PathBuf) -> Logging {
        let usual = Logging::canonical();
        let here = |address: &Address| Address::loopback(address.port);
        Logging {
            vector: here(&usual.vector),
            vector_metrics: here(&usual.vector_metrics),
            loki: here(&usual.loki),
            loki_grpc: here(&usual.loki_grpc),
            files,
            data,
        }
    }
}

impl Addresses {
    /// The addresses that stand in the files: components called by name, dashboards as a person's browser finds them.
    pub fn canonical() -> Addresses {
        let at = |host: &str, port| Address { host: host.to_owned(), port };
        Addresses {
            app: vec![at("app", 8080)],
            app_admin: vec![at("app", 8081)],
            prometheus: at("prometheus", 9090),
            alertmanager: at("alertmanager", 9093),
            receiver: at("receiver", 9095),
            dashboards: at("localhost", 3000),
            probe: canonical_probe(),
            folder: CANONICAL_FOLDER.into(),
            external: None,
            remote_write: None,
            logging: Logging::canonical(),
        }
    }

    /// Where the service's replicas are scraped.
    pub fn scraped_app(&self) -> &[Address] {
        if self.app_admin.is_empty() { &self.app } else { &self.app_admin }
    }

    /// What Prometheus scrapes, by the name of its job, each with its addresses, at least one.
    pub fn scraped(&self) -> impl Iterator<Item = (&'static str, &[Address])> {
        Place::SCRAPED.into_iter().map(|(name, place)| (name, place.of(self)))
    }
}

/// Where an address in a file of monitoring/ leads: a component of the stack may have several, as the service has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Where the service is scraped.
    App,
    /// Where the service serves its clients.
    Clients,
    Prometheus,
    Alertmanager,
    Receiver,
    Dashboards,
    Probe,
    Vector,
    /// Where Vector is scraped.
    VectorMetrics,
    Loki,
}

impl Place {
    /// Those that Prometheus scrapes, by the name of their job and of their file of targets.
    const SCRAPED: [(&str, Place); 7] = [
        ("app", Place::App),
        ("prometheus", Place::Prometheus),
        ("alertmanager", Place::Alertmanager),
        ("receiver", Place::Receiver),
        ("probe", Place::Probe),
        ("vector", Place::VectorMetrics),
        ("loki", Place::Loki),
    ];

    /// The place whose targets a file of this stem lists.
    pub(super) fn of_targets(stem: &str) -> Option<Place> {
        Place::SCRAPED.into_iter().find_map(|(name, place)| (name == stem).then_some(place))
    }

    /// Its addresses, at least one.
    pub(super) fn of(self, addresses: &Addresses) -> &[Address] {
        match self {
            Place::App => addresses.scraped_app(),
            Place::Clients => &addresses.app,
            Place::Prometheus => std::slice::from_ref(&addresses.prometheus),
            Place::Alertmanager => std::slice::from_ref(&addresses.alertmanager),
            Place::Receiver => std::slice::from_ref(&addresses.receiver),
            Place::Dashboards => std::slice::from_ref(&addresses.dashboards),
            Place::Probe => std::slice::from_ref(&addresses.probe),
            Place::Vector => std::slice::from_ref(&addresses.logging.vector),
            Place::VectorMetrics => std::slice::from_ref(&addresses.logging.vector_metrics),
            Place::Loki => std::slice::from_ref(&addresses.logging.loki),
        }
    }
}

/// The label of a probe that says where the replica which it asks is scraped: rules tell by it who is down altogether. Files of
/// monitoring/ don't have it, for of one instance there is nothing to tell; a stack of several is given it.
pub const SCRAPED: &str = "scraped";

/// Whether a URL is one of this component's, as files name it.
pub(super) fn leads_to(url: &str, component: Place) -> bool {
    let canonical = Addresses::canonical();
    format!("{}/", url.trim_end_matches('/')).starts_with(&component.of(&canonical)[0].url("/"))
}

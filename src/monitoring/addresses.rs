//! Where the components of one stack are reached: what makes a copy of monitoring/ that stack's own.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::http::client::Address;

/// Where the files of monitoring/ lie when they are used as they stand: each component's in a folder of its name here.
pub(super) const CANONICAL_FOLDER: &str = "/etc";

/// One address a component; the service may have several, one a replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The service's replicas, at least one.
    pub app: Vec<Address>,
    /// Prometheus.
    pub prometheus: Address,
    /// Alertmanager.
    pub alertmanager: Address,
    /// The receiver of notifications and traffic phases.
    pub receiver: Address,
    /// Grafana, or the built-in viewer in its place.
    pub dashboards: Address,
    /// The absolute folder the rendered copy lies in; Grafana must be told it.
    pub folder: PathBuf,
}

impl Addresses {
    /// The addresses that stand in the files: components called by name, dashboards as a person's browser finds them.
    pub fn canonical() -> Addresses {
        let at = |host: &str, port| Address { host: host.to_owned(), port };
        Addresses {
            app: vec![at("app", 8080)],
            prometheus: at("prometheus", 9090),
            alertmanager: at("alertmanager", 9093),
            receiver: at("receiver", 9095),
            dashboards: at("localhost", 3000),
            folder: CANONICAL_FOLDER.into(),
        }
    }
}

/// Whom an address in a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Component {
    App,
    Prometheus,
    Alertmanager,
    Receiver,
    Dashboards,
}

impl Component {
    /// The component whose targets a file of this stem lists.
    pub(super) fn of_targets(stem: &str) -> Option<Component> {
        Some(match stem {
            "app" => Component::App,
            "prometheus" => Component::Prometheus,
            "alertmanager" => Component::Alertmanager,
            "receiver" => Component::Receiver,
            _ => return None,
        })
    }

    /// Its addresses, at least one.
    pub(super) fn of(self, addresses: &Addresses) -> &[Address] {
        match self {
            Component::App => &addresses.app,
            Component::Prometheus => std::slice::from_ref(&addresses.prometheus),
            Component::Alertmanager => std::slice::from_ref(&addresses.alertmanager),
            Component::Receiver => std::slice::from_ref(&addresses.receiver),
            Component::Dashboards => std::slice::from_ref(&addresses.dashboards),
        }
    }
}

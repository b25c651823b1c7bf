//! The components of a stack as one table: what each is called, where it listens, how it is recognised.
//!
//! Everything that must agree on a component (preflight, the supervisor's configuration, readiness, the tables people
//! read) reads it here.
//!
//! A new component:
//!
//! 1. Here its variant, its place in [`Component::ALL`] (a test asks for it), its row, and its program as a [`Wanted`]; whether a
//!    guard stands before it ([`Component::is_guarded`]). The compiler then asks for its arms in `arguments.rs` (command line and
//!    environment), `plan.rs` (its address) and `start.rs` (its folders).
//! 2. Its address, a field of `Addresses` in `crates/model/src/monitoring/addresses.rs`, with a default by which older bundles are
//!    read, a `Place`, and where Prometheus scrapes it a row of `Place::SCRAPED`. The compiler asks for the field wherever addresses
//!    are written down: the plan, and the world of the evidence tests (`crates/judge/tests/evidence/world.rs`).
//! 3. In monitoring/ its configuration, its job in `prometheus/prometheus.yml`, `prometheus/targets/NAME.json`, and an alert that asks
//!    whether it answers: `just check` finds a target at another address and a job that no alert watches.
//! 4. If a stack may do without it: its name in `OPTIONAL` of `crates/judge/src/validity.rs` (what claims may lack without it), and a
//!    `Part` of `crates/runner/src/mutants/parts.rs` (which mutants can't be tried without it). Tests hold both to this table.
//!    One that a stack has only where somebody asks for it ([`Component::is_asked_for`]) is there or the start fails; what claims may
//!    lack without it is `DATABASE` there.
//! 5. Its program in `scripts/tools.tsv`, its container in compose.yaml, and its image in nix/images.nix.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::tools::{Elder, Wanted};
use aiclipx_model::service::APP;

/// A part of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    App,
    Prometheus,
    Alertmanager,
    /// The receiver of notifications and traffic phases: this tool itself.
    Receiver,
    /// Grafana, with the provisioned dashboards.
    Grafana,
    /// The viewer of the same dashboards, at Grafana's address where Grafana is absent: this tool itself.
    Viewer,
    /// The blackbox exporter, which asks from outside whether the service answers its clients.
    Probe,
    /// Vector, which forwards logs.
    Vector,
    /// Loki, which keeps them.
    Loki,
    /// PostgreSQL, where the service's items are kept, if that was asked for.
    Database,
}

/// Where a component's program comes from.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// Built with this tool: the service.
    Service,
    Tool,
    /// A program of its own, looked for on PATH.
    Path(&'static Wanted),
}

/// The port at which the service is reached by the monitoring.
const APP_ADMIN_PORT: u16 = 8081;

/// A row of the table.
struct Row {
    name: &'static str,
    source: Source,
    port: u16,
    ready: &'static str,
    /// `None`: the stack can't do without it.
    missed: Option<&'static str>,
}

const PROMETHEUS: Wanted = Wanted {
    names: &["prometheus"],
    marker: "prometheus, version ",
    elder: None,
    nix: "nix develop",
    debian: Some("apt-get install --no-install-recommends prometheus"),
};

const ALERTMANAGER: Wanted = Wanted {
    names: &["alertmanager", "prometheus-alertmanager"],
    marker: "alertmanager, version ",
    elder: None,
    nix: "nix develop",
    debian: Some("apt-get install --no-install-recommends prometheus-alertmanager"),
};

const PROBE: Wanted = Wanted {
    names: &["blackbox_exporter", "prometheus-blackbox-exporter"],
    marker: "blackbox_exporter, version ",
    elder: None,
    nix: "nix develop",
    debian: Some("apt-get install --no-install-recommends prometheus-blackbox-exporter"),
};

/// Debian's `loki` is a program of genetics, and `vector` is anybody's name: what it says decides.
const VECTOR: Wanted = Wanted { names: &["vector"], marker: "vector ", elder: None, nix: "nix develop", debian: None };
const LOKI: Wanted = Wanted {
    names: &["loki", "grafana-loki"],
    marker: "loki, version ",
    elder: None,
    nix: "nix develop",
    debian: None,
};

const POSTGRES: Wanted = Wanted {
    names: &["postgres"],
    marker: "postgres (PostgreSQL) ",
    elder: None,
    nix: "nix shell nixpkgs#postgresql",
    debian: Some("apt-get install --no-install-recommends postgresql"),
};

/// Up to 8 there is no `grafana`, and what is there is asked otherwise.
const GRAFANA: Wanted = Wanted {
    names: &["grafana"],
    marker: "grafana version ",
    elder: Some(Elder { name: GRAFANA_SERVER, flag: "-v", marker: "Version " }),
    nix: "nix develop",
    debian: None,
};
pub(super) const GRAFANA_SERVER: &str = "grafana-server";

impl Component {
    /// All there are, in the order people read them.
    pub const ALL: [Component; 10] = [
        Component::App,
        Component::Prometheus,
        Component::Alertmanager,
        Component::Receiver,
        Component::Grafana,
        Component::Viewer,
        Component::Probe,
        Component::Vector,
        Component::Loki,
        Component::Database,
    ];

    const fn row(self) -> Row {
        match self {
            Component::App => Row { name: APP, source: Source::Service, port: 8080, ready: "/", missed: None },
            Component::Prometheus => Row {
                name: "prometheus",
                source: Source::Path(&PROMETHEUS),
                port: 9090,
                ready: "/-/ready",
                missed: None,
            },
            Component::Alertmanager => Row {
                name: "alertmanager",
                source: Source::Path(&ALERTMANAGER),
                port: 9093,
                ready: "/-/ready",
                missed: None,
            },
            Component::Receiver => {
                Row { name: "receiver", source: Source::Tool, port: 9095, ready: "/health", missed: None }
            }
            Component::Grafana => Row {
                name: "grafana",
                source: Source::Path(&GRAFANA),
                port: 3000,
                ready: "/api/health",
                missed: Some("the viewer shows its dashboards"),
            },
            Component::Viewer => {
                Row { name: "viewer", source: Source::Tool, port: 3000, ready: "/api/health", missed: None }
            }
            Component::Probe => Row {
                name: "probe",
                source: Source::Path(&PROBE),
                port: 9115,
                ready: "/-/healthy",
                missed: Some(
                    "nobody asks from outside whether the service answers: it counts as available while it is scraped",
                ),
            },
            Component::Vector => Row {
                name: "vector",
                source: Source::Path(&VECTOR),
                port: 8686,
                ready: "/health",
                missed: Some("logs stay in their files: `just logs` shows them"),
            },
            Component::Loki => Row {
                name: "loki",
                source: Source::Path(&LOKI),
                port: 3100,
                ready: "/ready",
                missed: Some("logs are not indexed: `just logs` filters them"),
            },
            Component::Database => {
                Row { name: "database", source: Source::Path(&POSTGRES), port: 5432, ready: "", missed: None }
            }
        }
    }

    /// How it is called everywhere: in tables, log files, `--port NAME=…`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Where its program comes from.
    pub fn source(self) -> Source {
        self.row().source
    }

    /// The port of an attached stack, unless moved.
    pub(super) fn default_port(self) -> u16 {
        self.row().port
    }

    /// The port of an attached stack at which the monitoring alone reaches it, unless moved; the service has one.
    pub(super) fn default_admin_port(self) -> Option<u16> {
        (self == Component::App).then_some(APP_ADMIN_PORT)
    }

    /// The path that answers 200 once it can do its work; of the service its own file says.
    pub(super) fn readiness_path(self) -> &'static str {
        self.row().ready
    }

    /// What a stack without it lacks; `None` when there is no stack without it.
    pub fn missed_without(self) -> Option<&'static str> {
        self.row().missed
    }

    /// The file of monitoring/ that it can't run without, where a tree may have none.
    pub fn configuration(self) -> Option<&'static str> {
        match self {
            Component::Probe => Some("blackbox/blackbox.yml"),
            Component::Vector => Some("vector/vector.yaml"),
            Component::Loki => Some("loki/loki.yaml"),
            Component::Grafana => Some("grafana/grafana.ini"),
            Component::App
            | Component::Prometheus
            | Component::Alertmanager
            | Component::Receiver
            | Component::Viewer
            | Component::Database => None,
        }
    }

    /// Whether a stack may do without it.
    pub fn is_optional(self) -> bool {
        self.missed_without().is_some() || self.stands_in_for().is_some()
    }

    /// Whether a stack has it only where somebody asked for it.
    pub fn is_asked_for(self) -> bool {
        self == Component::Database
    }

    /// Who is nothing without whom: half of the path of logs forwards to nobody, or keeps what nobody sends.
    pub(super) const PAIRS: [(Component, Component); 2] =
        [(Component::Vector, Component::Loki), (Component::Loki, Component::Vector)];

    /// Whose place it takes: it is started only where that one is absent, and listens there.
    pub(super) fn stands_in_for(self) -> Option<Component> {
        (self == Component::Viewer).then_some(Component::Grafana)
    }

    /// Whether it answers whoever asks, by whatever name, and so stands behind a front of ours that does not.
    pub(super) fn is_guarded(self) -> bool {
        matches!(
            self,
            Component::Prometheus | Component::Alertmanager | Component::Probe | Component::Vector | Component::Loki
        )
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Component {
    type Err = String;

    fn from_str(text: &str) -> Result<Component, String> {
        Component::ALL.into_iter().find(|component| component.name() == text).ok_or_else(|| {
            let names: Vec<_> = Component::ALL.iter().map(|component| component.name()).collect();
            format!("unknown component `{text}`; known: {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ports_are_unique_and_read_back() {
        let own = || Component::ALL.into_iter().filter(|component| component.stands_in_for().is_none());
        let mut ports: Vec<_> = own().map(Component::default_port).collect();
        ports.extend(own().filter_map(Component::default_admin_port));
        let all = ports.len();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), all);
        for component in Component::ALL {
            let port_it_takes = component.stands_in_for().map(Component::default_port);
            assert!(port_it_takes.is_none_or(|port| port == component.default_port()), "{component}");
        }
        for component in Component::ALL {
            assert_eq!(component.name().parse(), Ok(component));
        }
        assert!("loki2".parse::<Component>().unwrap_err().contains("alertmanager"));
    }

    /// The compiler asks for a row of each variant, and not for its place among all: serde tells which variants there are.
    #[test]
    fn all_are_all_that_there_are() {
        let told = serde_json::from_str::<Component>("\"?\"").unwrap_err().to_string();
        let there: Vec<&str> = told.split('`').skip(1).step_by(2).filter(|name| *name != "?").collect();
        assert_eq!(Component::ALL.map(Component::name).to_vec(), there, "Component::ALL, and the variants");
    }
}

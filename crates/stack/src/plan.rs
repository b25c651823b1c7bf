//! What shall run where: the plan of a stack, and the layout of its state directory. Making one starts nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::component::Component;
use super::layout;
use super::ports::{ASIDE, Listener, PortChoice, free_port, hidden_address};
use super::tools::{executables, is_executable, major};
use aiclipx_base::address::Address;
use aiclipx_base::duration::Speed;
use aiclipx_model::failure::Failure;
use aiclipx_model::monitoring::addresses::{Addresses, ExternalUrl, Logging};
use aiclipx_model::replica;
use aiclipx_model::service::{self, Service};

/// Names the service's program when it does not lie beside this tool.
pub(super) const APP_VARIABLE: &str = "AICLIPX_APP";

/// Who a stack lives for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifetime {
    /// It outlives the command that started it, until `down`; what dies is restarted.
    Attached,
    /// It dies with the process that started it. Nothing is restarted, so that a death is seen as one.
    Private,
}

/// What shall run where. As `stack.json` in the state directory it tells later commands what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The repository's root.
    pub tree: PathBuf,
    /// The state directory, absolute: everything a stack writes lies there.
    pub state: PathBuf,
    /// Where each component listens.
    pub addresses: Addresses,
    /// Where the database listens, if there is one.
    #[serde(default = "of_database")]
    pub database: Box<Address>,
    /// Where a component itself listens that a front stands before.
    #[serde(default)]
    pub hidden: BTreeMap<Component, Address>,
    /// What is wanted; what can be missed and is not installed stays away. Of a stack that runs, what stands in for
    /// something absent, too.
    pub components: Vec<Component>,
    /// How many times faster than production it lives.
    pub speed: Speed,
    /// Who it lives for.
    pub lifetime: Lifetime,
    /// The revision that the service says it is built from; `None`: git is asked at the start. The running stack records the
    /// result.
    #[serde(skip)]
    pub settled_revision: Option<String>,
    /// Whether the service makes requests fail that ask for it.
    pub faults: bool,
    /// What the service is called, and its things.
    #[serde(default = "our_service")]
    pub service: Box<Service>,
    pub app_program: PathBuf,
    /// This tool's program, which is also the receiver and the viewer.
    pub tool_program: PathBuf,
}

/// What the database of a stack is called, and the role that owns it.
pub(super) const DATABASE: &str = "aiclipx";

#[expect(
    clippy::unnecessary_box_returns,
    reason = "serde asks for the field as it is: a plan is part of large futures"
)]
fn of_database() -> Box<Address> {
    Box::new(Address::loopback(Component::Database.default_port()))
}

/// Of a stack that was started before a tree could name another.
fn our_service() -> Box<Service> {
    Box::new(Service::ours().clone())
}

/// One program to run: a component, or one replica of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub component: Component,
    /// `app`, `prometheus`, …; of several replicas `app-1`, `app-2`, ….
    pub name: String,
    pub address: Address,
    /// Where it listens to the monitoring alone, if it does.
    pub admin: Option<Address>,
    /// The path that answers 200 once it can do its work.
    pub ready: String,
    /// Where it listens to a part of the stack and to nobody else, without being asked there how it is.
    pub aside: Option<(Listener, Address)>,
}

impl Process {
    /// Where it listens: each place by its name, which is the process's and what it is for.
    pub fn listeners(&self) -> impl Iterator<Item = (Listener, String, &Address)> {
        let main = (Listener::Main(self.component), self.name.clone(), &self.address);
        let admin = self.admin.iter().map(|address| (Listener::AppAdmin, format!("{}-admin", self.name), address));
        let aside = self.aside.iter().map(|(listener, address)| (*listener, listener.to_string(), address));
        std::iter::once(main).chain(admin).chain(aside)
    }

    /// Where it is asked how it is: there, too, nobody's clients are before one.
    pub(super) fn monitored(&self) -> &Address {
        self.admin.as_ref().unwrap_or(&self.address)
    }

    /// Where people find it, in words.
    pub(super) fn told(&self) -> String {
        if self.component == Component::Database {
            return format!("postgres://{DATABASE}@{}/{DATABASE}", self.address);
        }
        let url = self.address.url("");
        match &self.admin {
            Some(admin) => format!("{url} (for the monitoring {})", admin.url("")),
            None => url,
        }
    }
}

impl Plan {
    /// Everything, on the usual ports, until `down`.
    pub fn attached(tree: &Path, state: &Path, speed: Speed) -> Result<Plan, Failure> {
        let port = |component: Component| Address::loopback(component.default_port());
        let mut tool_program = std::env::current_exe().context("cannot find this program's own file")?;
        // Components of ours are commands of the tool's, beside which a program for developers lies.
        if tool_program.file_name().is_some_and(|name| name == "aiclipx-mutants") {
            tool_program.set_file_name("aiclipx");
        }
        let service = service::of_tree(tree)?;
        let app_program = std::env::var_os(APP_VARIABLE).map(PathBuf::from);
        let app_program = app_program.unwrap_or_else(|| program_of(&service, tree, &tool_program));
        let admin_port = Component::App.default_admin_port().filter(|_| service.own_listener);
        Ok(Plan {
            tree: absolute(tree)?,
            state: absolute(state)?,
            addresses: Addresses {
                app: vec![service.address.as_ref().map_or_else(|| port(Component::App), |there| there.address.clone())],
                app_admin: admin_port
                    .map(Address::loopback)
                    .or_else(|| service.monitoring.clone())
                    .into_iter()
                    .collect(),
                prometheus: port(Component::Prometheus),
                alertmanager: port(Component::Alertmanager),
                receiver: port(Component::Receiver),
                dashboards: port(Component::Grafana),
                probe: port(Component::Probe),
                folder: absolute(&state.join(layout::ETC))?,
                external: None,
                remote_write: None,
                logging: Logging::loopback(absolute(&state.join(layout::LOGS))?, absolute(&state.join(layout::DATA))?),
            },
            database: of_database(),
            hidden: Component::ALL
                .into_iter()
                .filter(|one| one.is_guarded())
                .map(|one| Ok((one, hidden_address()?)))
                .collect::<std::io::Result<_>>()
                .context("cannot find an address to hide")?,
            components: Component::ALL
                .into_iter()
                .filter(|one| one.stands_in_for().is_none() && !one.is_asked_for())
                .filter(|one| *one != Component::App || service.start.is_some())
                .collect(),
            speed,
            lifetime: Lifetime::Attached,
            settled_revision: None,
            faults: true,
            service: Box::new(service),
            app_program: absolute(&app_program)?,
            tool_program,
        })
    }

    /// Where a process itself listens: where it is looked for, unless a front does there.
    pub(super) fn listens<'a>(&'a self, process: &'a Process) -> &'a Address {
        self.hidden.get(&process.component).unwrap_or(&process.address)
    }

    /// The addresses that its configuration is rendered with: Vector is told there, and nowhere else, where to listen.
    pub fn rendered_with(&self) -> Addresses {
        let mut addresses = self.addresses.clone();
        addresses.logging.vector = self.hidden.get(&Component::Vector).unwrap_or(&addresses.logging.vector).clone();
        addresses
    }

    /// Where the viewer is, as links lead there: it has the runbooks beside the dashboards. Of a stack whose programs were looked
    /// for; none where Grafana is, which has none.
    pub fn viewer_as_external(&self) -> Option<ExternalUrl> {
        let has_viewer = self.components.contains(&Component::Viewer);
        if has_viewer { self.addresses.dashboards.url("").parse().ok() } else { None }
    }

    /// Everything, on free ports, for as long as this process lives. The caller owns the state directory, usually a
    /// temporary one, and removes it.
    pub fn private(tree: &Path, state: &Path, speed: Speed) -> Result<Plan, Failure> {
        let mut plan = Plan { lifetime: Lifetime::Private, ..Plan::attached(tree, state, speed)? };
        plan.free_ports()?;
        Ok(plan)
    }

    /// The service keeps its items in a database, which is part of the stack.
    pub fn add_database(&mut self) {
        self.components.push(Component::Database);
    }

    /// Moves every component to a port nobody listens on.
    pub fn free_ports(&mut self) -> Result<(), Failure> {
        let own = Component::ALL.into_iter().filter(|one| one.stands_in_for().is_none());
        for listener in own.map(Listener::Main).chain(ASIDE.map(|(listener, _)| listener)) {
            for address in self.addresses_mut(listener) {
                address.port = free_port()?;
            }
        }
        Ok(())
    }

    /// Moves one component, or where it listens to the monitoring (of several replicas the first).
    pub fn choose_port(&mut self, choice: PortChoice) {
        if let Some(address) = self.addresses_mut(choice.listener).first_mut() {
            address.port = choice.port;
        }
    }

    fn addresses_mut(&mut self, listener: Listener) -> &mut [Address] {
        let component = match listener {
            Listener::Main(component) => component,
            Listener::AppAdmin if self.service.start.is_none() => return &mut [],
            Listener::AppAdmin => return &mut self.addresses.app_admin,
            Listener::VectorMetrics => return std::slice::from_mut(&mut self.addresses.logging.vector_metrics),
            Listener::LokiGrpc => return std::slice::from_mut(&mut self.addresses.logging.loki_grpc),
        };
        match component {
            // Where somebody else started it, there it is.
            Component::App if self.service.start.is_none() => &mut [],
            Component::App => &mut self.addresses.app,
            Component::Prometheus => std::slice::from_mut(&mut self.addresses.prometheus),
            Component::Alertmanager => std::slice::from_mut(&mut self.addresses.alertmanager),
            Component::Receiver => std::slice::from_mut(&mut self.addresses.receiver),
            Component::Grafana | Component::Viewer => std::slice::from_mut(&mut self.addresses.dashboards),
            Component::Probe => std::slice::from_mut(&mut self.addresses.probe),
            Component::Vector => std::slice::from_mut(&mut self.addresses.logging.vector),
            Component::Loki => std::slice::from_mut(&mut self.addresses.logging.loki),
            Component::Database => std::slice::from_mut(&mut *self.database),
        }
    }

    /// The programs to run, in the order people read them.
    pub fn processes(&self) -> Vec<Process> {
        let addresses = |component| match component {
            Component::App => &self.addresses.app[..],
            Component::Prometheus => std::slice::from_ref(&self.addresses.prometheus),
            Component::Alertmanager => std::slice::from_ref(&self.addresses.alertmanager),
            Component::Receiver => std::slice::from_ref(&self.addresses.receiver),
            Component::Grafana | Component::Viewer => std::slice::from_ref(&self.addresses.dashboards),
            Component::Probe => std::slice::from_ref(&self.addresses.probe),
            Component::Vector => std::slice::from_ref(&self.addresses.logging.vector),
            Component::Loki => std::slice::from_ref(&self.addresses.logging.loki),
            Component::Database => std::slice::from_ref(&*self.database),
        };
        self.components
            .iter()
            .flat_map(|&component| {
                let admins = if component == Component::App { &self.addresses.app_admin[..] } else { &[] };
                let aside = match component {
                    Component::Vector => Some((Listener::VectorMetrics, &self.addresses.logging.vector_metrics)),
                    Component::Loki => Some((Listener::LokiGrpc, &self.addresses.logging.loki_grpc)),
                    _ => None,
                };
                let addresses = addresses(component);
                addresses.iter().enumerate().map(move |(index, address)| Process {
                    component,
                    name: replica::name(component.name(), index, addresses.len()),
                    address: address.clone(),
                    admin: admins.get(index).cloned(),
                    ready: match component {
                        Component::App => self.service.ready.clone(),
                        _ => component.readiness_path().to_owned(),
                    },
                    aside: aside.map(|(listener, address)| (listener, address.clone())),
                })
            })
            .collect()
    }

    /// The configuration this stack runs with, as rendered from monitoring/.
    pub fn etc(&self) -> PathBuf {
        self.state.join(layout::ETC)
    }

    /// What a component keeps.
    pub fn data(&self, component: Component) -> PathBuf {
        self.state.join(layout::DATA).join(component.name())
    }

    /// What a process keeps: of several replicas each has a folder of its own.
    pub(super) fn data_of(&self, process: &Process) -> PathBuf {
        self.state.join(layout::DATA).join(&process.name)
    }

    /// What Prometheus keeps: 2.42 can't read what 3.x wrote, so each major version has its own.
    pub fn prometheus_data(&self, version: &str) -> PathBuf {
        self.data(Component::Prometheus).join(format!("v{}", major(version)))
    }

    /// The log files, `NAME.log` a process and `supervisord.log`.
    pub fn logs(&self) -> PathBuf {
        self.state.join(layout::LOGS)
    }

    /// One process's log file.
    pub fn log(&self, process: &str) -> PathBuf {
        self.logs().join(format!("{process}.log"))
    }

    /// Files only their owner can read.
    pub fn secrets(&self) -> PathBuf {
        self.state.join(layout::SECRETS)
    }

    /// What the receiver was told, a JSON object a line.
    pub fn notifications(&self) -> PathBuf {
        self.state.join(layout::NOTIFICATIONS)
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    Ok(std::path::absolute(path).with_context(|| format!("{} is no usable path", path.display()))?)
}

/// Ports that two processes of the plan would share, with the names of both.
pub(super) fn shared_ports(processes: &[Process]) -> Vec<(u16, String, String)> {
    let mut seen: BTreeMap<u16, String> = BTreeMap::new();
    let mut shared = Vec::new();
    for (_, name, address) in processes.iter().flat_map(Process::listeners) {
        if let Some(other) = seen.insert(address.port, name.clone()) {
            shared.push((address.port, other, name));
        }
    }
    shared
}

/// The service's program: a path is from the tree; a name is beside this tool, or else the first of that name on PATH.
fn program_of(service: &Service, tree: &Path, tool_program: &Path) -> PathBuf {
    let name = service.start.as_ref().map_or("", |start| start.program.as_str());
    if name.contains('/') {
        return tree.join(name);
    }
    let beside = tool_program.with_file_name(name);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = if is_executable(&beside) { None } else { executables(name, &path).into_iter().next() };
    on_path.unwrap_or(beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan::attached(Path::new("/tree"), Path::new("/tree/state"), Speed::PRODUCTION).unwrap()
    }

    #[test]
    fn vector_is_told_to_listen_where_it_hides_and_everybody_else_where_it_is_looked_for() {
        let plan = plan();
        let (hidden, rendered) = (&plan.hidden[&Component::Vector], plan.rendered_with());
        assert_eq!(rendered.logging.vector, *hidden);
        assert_eq!(Addresses { logging: plan.addresses.logging.clone(), ..rendered }, plan.addresses);
        assert_eq!(plan.addresses.logging.vector, Address::loopback(8686));
    }

    #[test]
    fn an_attached_plan_has_the_documented_ports() {
        let plan = plan();
        let processes = plan.processes();
        let listeners = processes.iter().flat_map(Process::listeners);
        let ports: Vec<_> = listeners.map(|(_, name, address)| format!("{name}={}", address.port)).collect();
        let expected =
            ["app=8080", "app-admin=8081", "prometheus=9090", "alertmanager=9093", "receiver=9095", "grafana=3000"];
        let logging = ["probe=9115", "vector=8686", "vector-metrics=9598", "loki=3100", "loki-grpc=9096"];
        assert_eq!(ports, [&expected[..], &logging].concat());
    }

    #[test]
    fn a_replica_is_a_process_with_a_name_of_its_own() {
        let mut plan = plan();
        plan.addresses.app.push(Address::loopback(8082));
        plan.addresses.app_admin.push(Address::loopback(8083));
        let processes = plan.processes();
        let names: Vec<_> = processes.iter().flat_map(Process::listeners).map(|(_, name, _)| name).collect();
        assert_eq!(names[..4], ["app-1", "app-1-admin", "app-2", "app-2-admin"]);
        // One that an older version of the tool started has no such place, and is asked where its clients are.
        plan.addresses.app_admin.clear();
        let app = plan.processes().remove(0);
        assert_eq!((app.admin.as_ref(), app.monitored()), (None, &app.address));
    }

    #[test]
    fn one_port_can_be_moved() {
        let mut plan = plan();
        plan.choose_port("prometheus=9190".parse().unwrap());
        assert_eq!(plan.addresses.prometheus, Address::loopback(9190));
        plan.choose_port("app-admin=8181".parse().unwrap());
        assert_eq!(plan.addresses.app_admin, [Address::loopback(8181)]);
        assert_eq!(plan.addresses.app, [Address::loopback(8080)]);
        // Of none is there a port that two stacks side by side would share.
        plan.choose_port("vector-metrics=9698".parse().unwrap());
        plan.choose_port("loki-grpc=9196".parse().unwrap());
        let Logging { vector_metrics, loki_grpc, .. } = &plan.addresses.logging;
        assert_eq!((vector_metrics.port, loki_grpc.port), (9698, 9196));
        assert!("app-2=1".parse::<PortChoice>().unwrap_err().contains("app-admin"));
        for text in ["prometheus", "prometheus=0", "prometheus=x", "nothing=80", "=80"] {
            assert!(text.parse::<PortChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn private_plans_never_meet() {
        let private = || Plan::private(Path::new("/t"), Path::new("/s"), Speed::PRODUCTION).unwrap();
        let processes: Vec<Process> = (0..20).flat_map(|_| private().processes()).collect();
        let mut ports: Vec<_> =
            processes.iter().flat_map(Process::listeners).map(|(.., address)| address.port).collect();
        let all = ports.len();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), all);
    }

    #[test]
    fn a_port_given_to_two_components_is_seen() {
        let mut plan = plan();
        plan.choose_port("alertmanager=9090".parse().unwrap());
        let shared = shared_ports(&plan.processes());
        assert_eq!(shared, [(9090, "prometheus".to_owned(), "alertmanager".to_owned())]);
        plan.choose_port("app=8081".parse().unwrap());
        assert_eq!(shared_ports(&plan.processes())[0], (8081, "app".to_owned(), "app-admin".to_owned()));
    }

    #[test]
    fn a_plan_reads_back_from_its_file() {
        let plan = plan();
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }

    #[test]
    fn data_of_two_major_versions_are_kept_apart() {
        assert_ne!(plan().prometheus_data("2.42.0+ds"), plan().prometheus_data("3.12.0"));
    }
}

//! How each component is started: its command line, and what its environment holds.

use std::path::Path;
use std::time::Duration;

use super::component::{Component, GRAFANA_SERVER};
use super::database;
use super::plan::{Plan, Process};
use super::secrets;
use super::tools::Tool;
use aiclipx_base::address::Address;
use aiclipx_base::duration;
use aiclipx_model::service::PLACES;

/// How long the Watchdog may be silent, in production time: five of its notifications.
const WATCHDOG_PATIENCE: Duration = Duration::from_mins(5);

/// How much less than its scrape a probe may take in production time, so that a failed one is told and not lost. It is the
/// exporter's own default; a faster stack's scrapes take no longer than that.
const PROBE_MARGIN: Duration = Duration::from_millis(500);

impl Component {
    /// The command line behind the program, which listens there: where it is looked for, unless a front does.
    pub(super) fn arguments(
        self,
        process: &Process,
        plan: &Plan,
        program: &Tool,
        prometheus_flags: &[String],
        revision: &str,
    ) -> Vec<String> {
        let (address, listens) = (&process.address, plan.listens(process));
        let etc = |file: &str| text(&plan.etc().join(file));
        match self {
            Component::App => {
                let start = plan.service.start.iter();
                start.flat_map(|start| &start.arguments).map(|word| filled(word, process, plan, revision)).collect()
            }
            Component::Prometheus => {
                let mut words = prometheus(plan, address, listens, program).to_vec();
                // What is still to be sent is sent for so long at the end; for a minute if nobody says, and then the supervisor, which
                // waits for 20 s, has killed it.
                words.extend(
                    plan.addresses.remote_write.iter().map(|_| "--storage.remote.flush-deadline=10s".to_owned()),
                );
                [&words[..], prometheus_flags].concat()
            }
            Component::Alertmanager => vec![
                format!("--config.file={}", etc("alertmanager/alertmanager.yml")),
                format!("--storage.path={}", text(&plan.data(self))),
                format!("--web.listen-address={listens}"),
                format!("--web.external-url={}", address.url("/")),
                // One node: no gossip, and no second port.
                "--cluster.listen-address=".to_owned(),
            ],
            Component::Receiver => {
                let patience = duration::print(WATCHDOG_PATIENCE / plan.speed.factor());
                let (listen, file) = (address.to_string(), text(&plan.notifications()));
                words(["receiver", "--listen", &listen, "--notifications", &file, "--patience", &patience])
            }
            Component::Viewer => words(["dashboard", "--listen", &address.to_string(), "--folder", &etc("grafana")]),
            Component::Probe => vec![
                format!("--config.file={}", etc("blackbox/blackbox.yml")),
                format!("--web.listen-address={listens}"),
                format!("--timeout-offset={:.3}", (PROBE_MARGIN / plan.speed.factor()).as_secs_f64()),
            ],
            // Not the whole path of its configuration: Vector takes a comma in it for the end of it. What Loki has not taken
            // within the limit is read again: it was not acknowledged.
            Component::Vector => words([
                "--config",
                "etc/vector/vector.yaml",
                "--graceful-shutdown-limit-secs",
                "1",
                "--log-format",
                "json",
                "--color",
                "never",
            ]),
            Component::Loki => loki(plan, listens),
            Component::Grafana => grafana(plan, address, program),
            Component::Database => database::arguments(plan, program),
        }
    }

    /// What its environment holds beside the supervisor's. Never a secret: an environment is readable in /proc.
    pub(super) fn environment(self, process: &Process, plan: &Plan, revision: &str) -> Vec<(String, String)> {
        match self {
            Component::App => {
                let settings = plan.service.start.iter().flat_map(|start| &start.environment);
                settings.map(|(name, word)| (name.clone(), filled(word, process, plan, revision))).collect()
            }
            Component::Prometheus
            | Component::Alertmanager
            | Component::Receiver
            | Component::Grafana
            | Component::Viewer
            | Component::Probe
            | Component::Vector
            | Component::Loki
            | Component::Database => Vec::new(),
        }
    }
}

/// A word of the service's, with what only the stack knows in its places.
fn filled(word: &str, process: &Process, plan: &Plan, revision: &str) -> String {
    let monitored = process.monitored();
    let told = |place: &str| {
        Some(match place {
            "address" => process.address.to_string(),
            "host" => process.address.host.clone(),
            "port" => process.address.port.to_string(),
            "monitoring" => monitored.to_string(),
            "monitoring_host" => monitored.host.clone(),
            "monitoring_port" => monitored.port.to_string(),
            "faults" => if plan.faults { "on" } else { "off" }.to_owned(),
            "revision" => revision.to_owned(),
            "tree" => text(&plan.tree),
            "database" => database::url(plan),
            "data" => text(&plan.data_of(process)),
            "drain" => duration::print(plan.drain()),
            _ => return None,
        })
    };
    PLACES
        .iter()
        .fold(word.to_owned(), |word, place| word.replace(&format!("{{{place}}}"), &told(place).unwrap_or_default()))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

fn prometheus(plan: &Plan, address: &Address, listens: &Address, program: &Tool) -> [String; 7] {
    [
        format!("--config.file={}", text(&plan.etc().join("prometheus/prometheus.yml"))),
        format!("--storage.tsdb.path={}", text(&plan.prometheus_data(&program.version))),
        // The error budget looks back 30 days; the size bound is what keeps a forgotten stack harmless.
        "--storage.tsdb.retention.time=31d".to_owned(),
        "--storage.tsdb.retention.size=2GB".to_owned(),
        format!("--web.listen-address={listens}"),
        format!("--web.external-url={}", address.url("/")),
        // No origin is called so: no page of somebody else's reads the answers. Its own default is every one.
        "--web.cors.origin=nobody".to_owned(),
    ]
}

fn loki(plan: &Plan, listens: &Address) -> Vec<String> {
    let (grpc, data) = (&plan.addresses.logging.loki_grpc, plan.data(Component::Loki));
    vec![
        // As Vector: of a list of files it takes the first that is there.
        "-config.file=etc/loki/loki.yaml".to_owned(),
        format!("-common.path-prefix={}", text(&data)),
        format!("-common.storage.filesystem.chunk-directory={}", text(&data.join("chunks"))),
        format!("-common.storage.filesystem.rules-directory={}", text(&data.join("rules"))),
        format!("-server.http-listen-address={}", listens.host),
        format!("-server.http-listen-port={}", listens.port),
        format!("-server.grpc-listen-address={}", grpc.host),
        format!("-server.grpc-listen-port={}", grpc.port),
    ]
}

fn grafana(plan: &Plan, address: &Address, program: &Tool) -> Vec<String> {
    let file = |name| format!("$__file{{{}}}", text(&plan.secrets().join(name)));
    let (data, etc) = (plan.data(Component::Grafana), plan.etc().join("grafana"));
    let is_elder = program.path.file_name().is_some_and(|name| name == GRAFANA_SERVER);
    let settings = [
        format!("server.http_addr={}", address.host),
        format!("server.http_port={}", address.port),
        // Who calls it by another name, as one that a page has made to resolve here, is sent to this one.
        format!("server.domain={}", address.host),
        "server.enforce_domain=true".to_owned(),
        format!("paths.data={}", text(&data)),
        format!("paths.logs={}", text(&data.join("log"))),
        format!("paths.plugins={}", text(&data.join("plugins"))),
        format!("paths.provisioning={}", text(&etc.join("provisioning"))),
        format!("dashboards.default_home_dashboard_path={}", text(&etc.join("dashboards/app-overview.json"))),
        format!("security.admin_password={}", file(secrets::GRAFANA_ADMIN_PASSWORD)),
        format!("security.secret_key={}", file(secrets::GRAFANA_SECRET_KEY)),
    ];
    let (home, config) = (text(&grafana_home(&program.path)), text(&etc.join("grafana.ini")));
    let mut arguments = words(["server", "--homepath", &home, "--config", &config]);
    if is_elder {
        arguments.remove(0);
    }
    arguments.extend(settings.map(|setting| format!("cfg:{setting}")));
    arguments
}

/// Where Grafana's own files lie: beside the program in a tarball, in `share` under Nix, in /usr/share from a package.
fn grafana_home(program: &Path) -> std::path::PathBuf {
    let program = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let prefix = program.parent().and_then(Path::parent).unwrap_or(Path::new("/")).to_owned();
    [prefix.join("share/grafana"), prefix.clone(), "/usr/share/grafana".into()]
        .into_iter()
        .find(|home| home.join("conf/defaults.ini").is_file())
        .unwrap_or(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Lifetime;
    use aiclipx_base::duration::Speed;

    fn arguments(component: Component, lifetime: Lifetime) -> Vec<String> {
        arguments_of("/opt/tool", component, lifetime)
    }

    fn arguments_of(program: &str, component: Component, lifetime: Lifetime) -> Vec<String> {
        let plan = Plan::attached(Path::new("/tree"), Path::new("/a b"), Speed::PRODUCTION).unwrap();
        let plan = Plan { lifetime, ..plan };
        let process = plan.processes().into_iter().find(|process| process.component == component).unwrap();
        let tool = Tool { path: program.into(), version: "3.12.0".to_owned() };
        component.arguments(&process, &plan, &tool, &["--query.lookback-delta=10s".to_owned()], "")
    }

    #[test]
    fn no_prometheus_takes_orders_or_lets_other_origins_read() {
        for lifetime in [Lifetime::Private, Lifetime::Attached] {
            let arguments = arguments(Component::Prometheus, lifetime);
            assert!(arguments.contains(&"--web.cors.origin=nobody".to_owned()), "{arguments:?}");
            let takes_orders = |argument: &String| argument.contains("admin-api") || argument.contains("lifecycle");
            assert!(!arguments.iter().any(takes_orders), "{arguments:?}");
        }
    }

    #[test]
    fn what_a_front_stands_before_listens_where_it_is_told_and_not_where_it_is_looked_for() {
        let plan = Plan::attached(Path::new("/tree"), Path::new("/a b"), Speed::PRODUCTION).unwrap();
        let tool = Tool { path: "/opt/tool".into(), version: "3.12.0".to_owned() };
        let mut guarded = 0;
        // Vector is told in its configuration.
        let by_arguments = |component: Component| component.is_guarded() && component != Component::Vector;
        for process in plan.processes().into_iter().filter(|process| by_arguments(process.component)) {
            let hidden = &plan.hidden[&process.component];
            let arguments = process.component.arguments(&process, &plan, &tool, &[], "");
            let listens: Vec<_> =
                arguments.iter().filter(|one| one.contains("listen-") && !one.contains("grpc")).cloned().collect();
            let told = listens.join(" ");
            assert!(
                told.contains(&hidden.host) && told.contains(&hidden.port.to_string()),
                "{}: {arguments:?}",
                process.name
            );
            assert!(!told.contains(&process.address.port.to_string()), "{}: {arguments:?}", process.name);
            guarded += 1;
        }
        assert_eq!(guarded, 4);
    }

    #[test]
    fn prometheus_keeps_a_month_and_lives_at_the_stacks_speed() {
        let arguments = arguments(Component::Prometheus, Lifetime::Attached);
        for expected in [
            "--storage.tsdb.retention.time=31d",
            "--storage.tsdb.path=/a b/data/prometheus/v3",
            "--query.lookback-delta=10s",
        ] {
            assert!(arguments.iter().any(|argument| argument == expected), "{expected} is not in {arguments:?}");
        }
    }

    #[test]
    fn grafana_is_told_where_its_secrets_lie_and_not_what_they_are() {
        let arguments = arguments(Component::Grafana, Lifetime::Attached);
        let expected = "cfg:security.admin_password=$__file{/a b/secrets/grafana_admin_password}";
        assert!(arguments.iter().any(|argument| argument == expected), "{arguments:?}");
    }

    #[test]
    fn an_older_grafana_is_its_server_and_has_no_word_for_it() {
        let first = |program| arguments_of(program, Component::Grafana, Lifetime::Attached)[0].clone();
        assert_eq!([first("/opt/grafana"), first("/opt/grafana-server")], ["server", "--homepath"]);
    }
}

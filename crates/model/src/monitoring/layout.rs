//! Where the files of monitoring/ lie, the flags that belong to them, and what is read alike of any of them.

use super::located::Node;
use aiclipx_base::duration::{self, Speed};
use std::collections::BTreeMap;
use std::time::Duration;

/// The folder's name in the repository, which findings put before a path.
pub(super) const FOLDER: &str = "monitoring";

pub const PROMETHEUS: &str = "prometheus/prometheus.yml";

pub const ALERTMANAGER: &str = "alertmanager/alertmanager.yml";

pub const RULES: &str = "prometheus/rules";

pub const DATASOURCES: &str = "grafana/provisioning/datasources";

/// The file by which a cluster's own tool knows which files it gets.
pub const KUSTOMIZATION: &str = "kustomization.yaml";

/// The flags Prometheus needs on a stack of that speed, for they are durations that no file holds: how long a sample
/// is taken for current (5m), how often a firing alert is sent again (1m), and how long `for` must be to outlast a
/// restart (10m).
///
/// A speed that leaves a fraction of a millisecond here is refused by [`super::Monitoring::render`] already, since it does not
/// divide the scrape interval either.
pub fn prometheus_flags(speed: Speed) -> Vec<String> {
    [("query.lookback-delta", 300), ("rules.alert.resend-delay", 60), ("rules.alert.for-grace-period", 600)]
        .into_iter()
        .map(|(flag, seconds)| format!("--{flag}={}", duration::print(Duration::from_secs(seconds) / speed.factor())))
        .collect()
}

/// The datasource type whose queries are not Prometheus': who walks panels asks here, and only here.
const LOGS: &str = "loki";

/// Whether a datasource of this type holds logs: its queries are `LogQL`, which Prometheus is not asked.
pub fn holds_logs(datasource_type: &str) -> bool {
    datasource_type == LOGS
}

/// Whether a part of a dashboard (a panel, a query, an annotation) asks a store of logs.
pub fn is_of_logs(node: &Node) -> bool {
    node.get("datasource").and_then(|source| source.text_of("type")).is_some_and(holds_logs)
}

/// A key's duration, zero where there is none.
pub(super) fn duration_of(node: &Node, key: &str) -> Duration {
    node.text_of(key).and_then(|text| duration::parse(text).ok()).unwrap_or_default()
}

/// A key's texts.
pub(super) fn texts_of(node: &Node, key: &str) -> BTreeMap<String, String> {
    let entries = node.get(key).map_or(&[][..], Node::entries);
    entries.iter().filter_map(|entry| Some((entry.key.clone(), entry.node.as_text()?.to_owned()))).collect()
}

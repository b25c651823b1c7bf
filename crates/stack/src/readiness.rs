//! Whether a process can do its work: one look at it, as a start, `status` and a step of a scenario take it.

use std::time::Duration;

use super::component::Component;
use super::database;
use super::plan::Process;
use crate::prom::source;
use aiclipx_http::client;

/// A component that is not ready by then won't be: the slowest, a Grafana that makes its database, takes some 10 s.
pub(super) const READY_LIMIT: Duration = Duration::from_mins(1);
/// Between two looks.
pub(super) const TICK: Duration = Duration::from_millis(80);
/// One look at a component.
const PROBE_LIMIT: Duration = Duration::from_millis(500);

/// One look at a process, or why it is not ready. Prometheus is when it has loaded its rules, too, if there are any;
/// Grafana when a query through its datasource is answered.
pub(super) async fn ready(process: &Process, has_rules: bool) -> Result<(), String> {
    let (address, component) = (process.monitored(), process.component);
    if component == Component::Database {
        return database::answers(address, PROBE_LIMIT).await;
    }
    let path = process.ready.as_str();
    let answer = client::get(address, path, PROBE_LIMIT).await.map_err(|error| error.to_string())?;
    if !answer.status.is_success() {
        return Err(format!("{} answers {}", address.url(path), answer.status));
    }
    match component {
        Component::Prometheus if has_rules => {
            let rules = client::get(address, "/api/v1/rules", PROBE_LIMIT).await.map_err(|error| error.to_string())?;
            let rules: serde_json::Value = serde_json::from_slice(&rules.body).unwrap_or_default();
            let loaded = rules["data"]["groups"].as_array().is_some_and(|groups| !groups.is_empty());
            loaded.then_some(()).ok_or_else(|| "it has not loaded its rules".to_owned())
        }
        Component::Grafana => source::answers(address, PROBE_LIMIT).await.map_err(|error| format!("{error:#}")),
        _ => Ok(()),
    }
}

/// Since when the receiver misses the Watchdog, if it does.
pub(super) async fn watchdog_silence(process: &Process) -> Option<String> {
    if process.component != Component::Receiver {
        return None;
    }
    let answer = client::get(&process.address, "/health", PROBE_LIMIT).await.ok()?;
    let health: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    Some(health["since"].as_str()?.to_owned())
}

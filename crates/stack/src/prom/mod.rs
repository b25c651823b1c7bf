//! Asks what monitors: Prometheus, Alertmanager and Grafana, by the types of `aiclipx-model`.

pub mod client;
pub mod source;

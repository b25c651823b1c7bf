//! What the monitoring answers, typed: the query client (Prometheus, Alertmanager), answers, the exposition format.
//!
//! Every answer is kept as the bytes that came: artifacts are what was received, types are how we read them.

pub mod answer;
pub mod exposition;
pub mod grafana;

//! Grafana's dashboards without Grafana: the same JSON, the same queries, drawn by us.
//!
//! [`model`] reads the classic dashboard JSON, [`query`] makes Grafana's query plan of it, [`format`] writes values in
//! Grafana's units, [`draw`] makes an SVG of a panel and what Prometheus answered. All of it is pure: who asks
//! Prometheus, and what for, is the caller's. Pixel parity with Grafana is no goal; the same numbers are.

pub mod draw;
pub mod format;
pub mod marks;
pub mod model;
pub mod query;

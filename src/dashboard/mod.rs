//! Grafana's dashboards without Grafana: the same JSON, the same queries, drawn by us.
//!
//! [`model`] reads the classic dashboard JSON, [`query`] makes Grafana's query plan of it, [`format`] writes values in
//! Grafana's units, [`marks`] finds what annotations tell, [`draw`] makes an SVG of a panel and what Prometheus
//! answered. All of that is pure: who asks Prometheus, and what for, is the caller's. One caller is [`viewer`], which
//! serves the dashboards live. Pixel parity with Grafana is no goal; the same numbers are.

pub mod draw;
pub mod format;
pub mod marks;
pub mod model;
pub mod query;
pub mod viewer;

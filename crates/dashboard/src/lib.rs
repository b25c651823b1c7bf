//! Grafana's dashboards without Grafana: the same JSON, the same queries, drawn by us.
//!
//! [`model`] reads the classic dashboard JSON, [`query`] makes Grafana's query plan of it, [`format`](mod@format) writes values in
//! Grafana's units, [`marks`] finds what annotations tell, [`draw`] makes an SVG of a panel and what Prometheus
//! answered. Pixel parity with Grafana is no goal; the same numbers are.
//!
//! Not for: asking Prometheus, and serving pages. Who asks is the caller: the viewer (`aiclipx_stack::viewer`) live, the judge's
//! report from what was recorded.
//!
//! ```
//! use aiclipx_dashboard::format;
//!
//! assert_eq!(format::value("s", 0.0042, Some(1)), "4.2 ms");
//! assert_eq!(format::value("percentunit", 0.997, Some(2)), "99.70%");
//! ```

pub mod draw;
pub mod format;
pub mod marks;
pub mod model;
pub mod query;

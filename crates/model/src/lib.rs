//! The files of aiclipx as types: scenarios, monitoring, schedules, ledgers, what Prometheus and Grafana answer.
//!
//! Synchronous: files are read, and git is asked for a tree's revision; no network, no tokio. Not for: what is claimed of these
//! files (`aiclipx-judge`), how they are drawn (`aiclipx-dashboard`), whether they agree (`aiclipx-tool`'s `check`).
//!
//! ```
//! use aiclipx_model::monitoring::promql;
//!
//! let expr = promql::parse("rate(http_requests_total[5m]) > 0.05").unwrap();
//! assert_eq!(promql::selectors(&expr).len(), 1);
//! ```

mod calendar_names;
pub mod counted;
pub mod drill;
pub mod failure;
pub mod files;
pub mod monitoring;
pub mod nearest;
pub mod notification;
pub mod process_identity;
pub mod prom;
pub mod replica;
pub mod revision;
pub mod scenario;
mod section;
pub mod service;
pub mod sum;
pub mod traffic;

//! The components as one table; a plan becomes a running stack; readiness, control, logs, stop.
//!
//! A [`Plan`] says what shall run where. [`Stack::start`] is the one way to make it run, for `up`, tests and evidence
//! alike; [`Stack::find`] gets hold of a stack an earlier command started,
//! [`Foreign::find`] of one that somebody else did. Supervision itself (restarts, log files,
//! signals) is supervisord's. Nothing here writes monitoring configuration: the rendered files come from the caller.

mod alarms;
pub mod component;
pub mod control;
pub mod foreign;
pub mod layout;
pub mod logs;
pub mod plan;
pub mod secrets;
pub mod start;
pub mod table;
pub mod tools;

mod holder;
mod mark;
mod preflight;
mod supervisor;

pub use crate::epoch::Epoch;
pub use alarms::Alarms;
pub use component::Component;
pub use foreign::{Foreign, Whereabouts};
pub use mark::Mark;
pub use plan::{Lifetime, Listener, Plan, PortChoice, Process, bundles_folder, state_folder};
pub use start::{Down, Found, Stack};

//! What runs: the [`component`]s as one table; a [`Plan`] becomes a running [`Stack`]; readiness, control, logs, stop. And the
//! programs of ours in it: [`receiver`], [`viewer`], [`guard`].
//!
//! [`Stack::start`] is the one way to make a plan run, for `up`, tests and evidence alike; [`Stack::find`] gets hold of a stack an
//! earlier command started, [`ExternalStack::find`] of one that somebody else did. Supervision itself (restarts, log files,
//! signals) is supervisord's. [`prom`] asks what monitors.
//!
//! Not for: scenarios, claims, and what monitoring files say: the rendered configuration comes from `aiclipx-model`.
//!
//! ```
//! use aiclipx_stack::Component;
//!
//! // What a stack may do without, and what that costs.
//! let optional: Vec<_> = Component::ALL.into_iter().filter(|one| one.is_optional()).collect();
//! assert!(optional.contains(&Component::Grafana) && !optional.contains(&Component::Prometheus));
//! assert!(Component::Vector.missed_without().is_some());
//! ```

mod alarms;
mod arguments;
mod busy;
pub mod component;
pub mod control;
pub mod external;
pub mod layout;
mod life;
pub mod logs;
pub mod pair;
pub mod plan;
mod readiness;
pub mod secrets;
pub mod start;
pub mod table;
pub mod tools;

pub mod guard;
mod holder;
pub mod interrupt;
pub mod lock;
mod mark;
mod preflight;
pub mod prom;
pub mod receiver;
mod supervisor;
pub mod viewer;

pub use aiclipx_model::process_identity::ProcessIdentity;
pub use alarms::Alarms;
pub use component::Component;
pub use external::{Endpoints, ExternalStack};
pub use mark::Mark;
pub use plan::{Lifetime, Listener, Plan, PortChoice, Process, bundles_folder, state_folder};
pub use start::{Down, Found, Stack};

// One for the tests here and for those of other crates.
#[cfg(test)]
#[path = "../tests/executable/mod.rs"]
mod executable;

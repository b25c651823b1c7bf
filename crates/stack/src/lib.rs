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
mod component;
mod control;
mod database;
mod external;
mod folders;
pub mod guard;
mod holder;
pub mod interrupt;
pub mod layout;
mod life;
pub mod lock;
pub mod logs;
mod mark;
pub mod pair;
mod plan;
mod ports;
mod preflight;
mod prepare;
pub mod prom;
mod readiness;
pub mod receiver;
pub mod remote;
mod replicas;
pub mod secrets;
mod stack;
pub mod start;
pub mod state;
pub mod stop;
mod supervisor;
pub mod table;
mod tools;
mod unready;
pub mod viewer;

pub use alarms::Alarms;
pub use component::Component;
pub use external::{Endpoints, ExternalStack};
pub use folders::{bundles_folder, find_tree, state_folder};
pub use mark::Mark;
pub use plan::{Lifetime, Plan, Process};
pub use ports::{Listener, PortChoice};
pub use stack::{Found, Stack};
pub use stop::Down;

// One for the tests here and for those of other crates.
#[cfg(test)]
#[path = "../tests/executable/mod.rs"]
mod executable;

//! `aiclipx`: an observability stack that proves itself.
//!
//! One small service ([`app`]), the monitoring around it, seeded traffic, and evidence: a bundle in which every claim
//! is checked and can be checked again, offline. Two programs come out of this library: `aiclipx-app`, the service,
//! and `aiclipx`, the operator's tool, which is behind the feature `tools`.
//!
//! # How the parts fit
//!
//! A *Plan* becomes a *Stack* of *Components*. A *Scenario* with a seed becomes a *Schedule*, sent, a *Ledger*. A
//! scenario enacted once is an *Experiment*, which leaves *Exhibits*. A *Claim* judged on them is a *Judgement* with a
//! *Verdict*. A *Draft* sealed is a *Bundle*. A static check gives *Findings*; what stops us is a *Failure*.
//!
//! # Laws
//!
//! - Judging reads a folder and nothing else: what `verify` can't see, no verdict rests on.
//! - Rooms that decide are pure and synchronous; rooms that touch the world are async, on one runtime.
//! - Imports go one way: who may import whom is the table `MAY_IMPORT` of `tests/house.rs`. Roughly: evidence → traffic, stack,
//!   dashboard, browser → monitoring, prom, scenario → http, duration; the service knows http and duration only.

pub mod address;
pub mod app;
pub mod duration;
pub mod http;

#[cfg(feature = "tools")]
pub mod browser;
#[cfg(feature = "tools")]
pub mod check;
#[cfg(feature = "tools")]
pub mod dashboard;
#[cfg(feature = "tools")]
pub mod epoch;
#[cfg(feature = "tools")]
pub mod evidence;
#[cfg(feature = "tools")]
pub mod failure;
#[cfg(feature = "tools")]
pub mod files;
#[cfg(feature = "tools")]
pub mod guard;
#[cfg(feature = "tools")]
pub mod interrupt;
#[cfg(feature = "tools")]
pub mod lock;
#[cfg(feature = "tools")]
pub mod monitoring;
#[cfg(feature = "tools")]
pub mod notification;
#[cfg(feature = "tools")]
pub mod prom;
#[cfg(feature = "tools")]
pub mod receiver;
#[cfg(feature = "tools")]
pub mod revision;
#[cfg(feature = "tools")]
pub mod scenario;
#[cfg(feature = "tools")]
pub mod stack;
#[cfg(feature = "tools")]
pub mod sum;
#[cfg(feature = "tools")]
pub mod traffic;

// One for the tests here and in tests/.
#[cfg(all(test, feature = "tools"))]
#[path = "../tests/executable/mod.rs"]
mod executable;

//! The judge on worlds we know whole: a synthesised experiment in which every claim holds, and what one wrong
//! artifact does to the claims.
//!
//! No stack, no clock, no network: [`world`] works out what a service, Prometheus and Alertmanager would have recorded
//! of a schedule, [`artifacts`] writes it down, [`fixture`] edits it on disk and has it judged. What a real Prometheus answers is
//! `crates/tool/tests/stack.rs`' and `just prove`'s to show.
//!
//! - [`claims`]: the sound worlds, and which claims there are.
//! - [`kills`]: for every kind of claim, an edit that makes exactly that claim fail.
//! - [`loaded`]: what a stack has loaded, before anything is sent to it.
//! - [`external`]: what is out of reach on a stack that somebody else started.
//! - [`grafana`]: its page of a dashboard, and the answers it was drawn from.
//! - [`unanswered`]: requests without an answer, which the service's log explains or does not.
//! - [`replicas`]: several instances, counted together and each by itself.
//! - [`services`]: another service than ours in the tree.
//! - [`vacuity`]: nothing shown is nothing proven.
//! - [`validity`]: what disturbs a run makes every claim invalid.
//! - [`outcome`]: the exit code over several experiments.
//! - [`attest`]: to which revision a bundle is bound, and who signed it.
//! - [`bundle`]: sealing, verifying, and every tampering found.
//! - [`mutants`]: what a bundle tells of the mutants of its tree.
//!
//! `UPDATE_GOLDEN=1 cargo test --test evidence` writes the lists of claims anew; look at them before they are committed.

// Helpers of tests are tests: what they can't have ends the test; and their times are small numbers.
#![allow(
    clippy::unwrap_used,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod artifacts;
mod attest;
mod bundle;
mod claims;
mod external;
mod fixture;

mod grafana;
mod kills;
mod loaded;
mod mutants;
mod outcome;
mod pages;
mod replicas;
mod services;
mod unanswered;
mod vacuity;
mod validity;
mod world;

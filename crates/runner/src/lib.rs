//! Enacts scenarios on stacks, collects what was recorded, and takes pictures: what becomes a bundle.
//!
//! Not for: deciding anything. What holds is `aiclipx-judge`'s to say, of the folder that is left here.
//!
//! ```no_run
//! # async fn example(prometheus: &aiclipx_base::address::Address) {
//! // Whether this Prometheus has pages to take pictures of.
//! let pages = aiclipx_runner::browser::prometheus::PrometheusPages::probe(prometheus).await;
//! # }
//! ```

pub mod asked;
pub mod attached;
pub mod browser;
mod collect;
pub mod counted;
mod dashboard_pages;
pub mod drill;
pub mod enact;
pub mod environment;
pub mod events;
mod graphs;
pub mod junit;
pub mod mutants;
pub mod pdf;
pub mod pictures;
mod planted;
pub mod prove;
mod publish;
pub mod remote_write;
pub mod runner;
#[cfg(test)]
mod stand_in;
mod surroundings;
pub mod traffic;

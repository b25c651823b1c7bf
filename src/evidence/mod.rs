//! Evidence: enact → collect → claims → judge → report → seal; verify.
//!
//! - [`ground`] is a stack to do it on: ours, or one that somebody else started.
//! - [`loaded`] holds what such a stack says it runs against the tree.
//! - [`enact`] lets a scenario happen on a stack and leaves a run folder: ledger, phases, pictures, expositions.
//! - [`pictures`] takes pictures of Prometheus' pages while an expected alert fires.
//! - [`alert_graph`] keeps the graph of an alert's expression, for the report to draw.
//! - [`collect`] adds what the monitoring recorded about that run, as it answered: then it is an experiment's folder.
//! - [`grafana`] pictures its own dashboards, where it runs, with the data they were given.
//! - [`claims`] says what must hold, from the scenario and the monitoring files alone.
//! - [`judge`] decides each claim by reading the folder, and nothing else; `verify` judges again with the same code.
//! - [`report`] tells people; [`bundle`] seals, and verifies offline.
//! - [`coherence`] holds what a bundle says of itself against its exhibits.
//! - [`attest`] says what a bundle can't say of itself: its revision's, and whose.
//! - [`prove`] does all of it on private stacks; [`attached`] on the stack that is up.
//! - [`counted`] is what `traffic` ends with: the service's own counters against what was sent.
//! - [`retry`] repeats what the machine disturbed, for all three of them.
//! - [`mutants`] breaks the monitoring on purpose, and asks whether the claims notice.

mod alert_graph;
pub mod asked;
pub mod attached;
pub mod attest;
pub mod bundle;
pub mod claims;
pub mod coherence;
pub mod collect;
pub mod counted;
pub mod dashboard_pages;
pub mod enact;
pub mod experiment;
pub mod grafana;
mod graphs;
pub mod ground;
pub mod judge;
pub mod loaded;
pub mod mutants;
pub mod panels;
pub mod pictures;
pub mod planted;
pub mod prove;
pub mod provenance;
pub mod publish;
pub mod reconcile;
pub mod report;
mod retry;
pub mod surroundings;
pub mod timeline;
pub mod tree;
pub mod validity;

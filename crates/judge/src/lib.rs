//! Judges a bundle of evidence by reading its folder, and nothing else: claims → verdicts → report → seal; and again, offline.
//!
//! Read it in this order:
//!
//! 1. [`artifacts`]: every file of a bundle, in one table; [`files`] reads and writes them, [`run`] and [`experiment`] are what an
//!    experiment's folder says, as types: scenario, ledger, samples, answers, logs.
//! 2. [`claims`]: what must hold, derived from the scenario and the monitoring files ([`tree`]) alone; a file a kind, which also
//!    decides it. What several kinds ask is beside them: [`timeline`], [`faults`], [`silence`], [`reconcile`], [`panels`], [`loaded`],
//!    [`grafana`], [`alert_graph`], [`planted`].
//! 3. [`judge`]: decides all of them; [`validity`] says what disturbed the run.
//! 4. [`outcome`]: all that a folder shows; [`bundle`]: a draft that is sealed, and a sealed one that is opened and judged again;
//!    [`consistency`] holds what it says of itself against its files, [`attest`] its revision and its signature, [`provenance`]
//!    says how it was made.
//! 5. [`report`]: for people, [`summary`]: for a terminal.
//! 6. [`mutants`]: small wrongs in the monitoring that a named claim must find, and what came of them.
//! 7. [`drill`]: the same for anybody's alerts, by their unit tests: another kind of bundle, sealed and verified alike.
//!
//! The program `aiclipx-verify` is [`summary::verified`], [`summary::conclude`] and nothing more.
//!
//! Not for: making a record. Enacting scenarios and collecting what was recorded is `aiclipx-runner`'s. No tokio, no network; git and
//! ssh-keygen are called where a clone or a signature is to be compared.
//!
//! ```
//! use std::path::Path;
//!
//! use aiclipx_judge::bundle::Bundle;
//!
//! let repository = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
//! let bundle = Bundle::open(&repository.join("evidence/sample")).unwrap();
//! // Every sum is right, every claim is derived and judged anew, and is what the bundle says it is.
//! let outcome = bundle.verify().unwrap();
//! assert_eq!(outcome.exit_code(&[]), 0);
//! ```

pub mod alert_graph;
pub mod artifacts;
pub mod attest;
pub mod bundle;
pub mod claims;
pub mod consistency;
pub mod drill;
pub mod experiment;
mod faults;
pub mod files;
mod finding;
pub mod grafana;
pub mod judge;
pub mod loaded;
pub mod mutants;
pub mod outcome;
pub mod panels;
pub mod planted;
pub mod provenance;
pub mod reconcile;
pub mod report;
pub mod run;
pub mod silence;
pub mod summary;
pub mod timeline;
pub mod tree;
pub mod validity;

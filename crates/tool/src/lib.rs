//! The operator's tool. This library is its static checks: scenarios, rules, routes, dashboards and runbooks held against each
//! other, each finding with file, line and a name. The program, `aiclipx`, is one call a command into the crates below;
//! `aiclipx-mutants` is for who develops the stack, and [`program`] what the two share.
//!
//! Not for: what a command does; each is a crate's function.
//!
//! ```
//! use std::path::Path;
//!
//! use aiclipx_tool::check;
//!
//! let repository = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
//! let findings = check::check(repository).unwrap();
//! assert!(findings.is_empty(), "{findings:?}");
//! ```

pub mod check;
pub mod outputs;
pub mod program;

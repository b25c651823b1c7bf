//! The operator's tool. This library is its static checks: scenarios, rules, routes, dashboards and runbooks held against each
//! other, each finding with file, line and a name. In the program, `aiclipx`, each command is one call into the crates below;
//! `aiclipx-mutants` is for those who develop the stack, and [`program`] is what the two share.
//!
//! Not for: the work of the other commands, which is in those crates.
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

//! Mutants of the monitoring: small wrongs, each done to a private stack, each of which a named claim must find.
//!
//! A claim that holds on a sound stack and would hold on a broken one proves nothing. So each mutant breaks one thing,
//! names the claim (or the disturbance) that must find it, and is killed only if that claim *fails* with the mutant and
//! *holds* without it: every scenario in use is enacted once more as it stands, in the same run. A mutant that nothing
//! found has survived; one whose text was not there, or not once, did not apply; both are failures. A run that the
//! machine disturbed is inconclusive, and is repeated once. Where the stack lacks what the claim rests on (a browser, Grafana),
//! the claim is not proven without the mutant either: it was not tried, for want of that part.
//!
//! - [`table`]: monitoring/mutants.toml as types, and what an edit makes of a text.
//! - [`kinds`]: that each kind of claim has a mutant.
//! - [`exposition`]: what a service would get wrong in what it exposes, as functions on the text.
//! - [`outcome`]: what came of them: `mutants.json`, a table, an exit code.
//!
//! Trying them on stacks, and deciding what became of each, is aiclipx-runner's.

pub mod exposition;
pub mod kinds;
pub mod outcome;
pub mod table;

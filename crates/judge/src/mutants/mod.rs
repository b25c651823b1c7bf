//! Mutants of the monitoring: small wrongs, each done to a private stack, each of which a named claim must find.
//!
//! A claim that holds on a sound stack and would hold on a broken one proves nothing. So each mutant breaks one thing,
//! names the claim (or the disturbance) that must tell, and is killed only if that claim *fails* with the mutant and
//! *holds* without it: every scenario in use is enacted once more as it stands, in the same run. A mutant that nothing
//! found has survived; one whose text was not there, or not once, did not apply; both are failures. A run that the
//! machine disturbed says nothing, and is repeated once. Where the stack lacks what the claim rests on (a browser, Grafana),
//! the claim is not proven without the mutant either: it was not tried, for want of that part.
//!
//! - [`table`]: monitoring/mutants.toml as types, and what an edit makes of a text. Pure.
//! - [`kinds`]: which kinds of claims there are, and that each has a mutant.
//! - [`exposition`]: what a service would get wrong in what it exposes, as functions on the text. Pure.
//! - [`proxy`]: stands between Prometheus and the service, and does that to every scrape.
//! - `parts`: what a stack may lack, so that a mutant can't be tried on it.
//! - [`run`]: all of them on private stacks, side by side.
//! - [`fate`]: what became of a mutant, from what was found with it and without it. Pure.
//! - [`outcome`]: what came of it: `mutants.json`, a table, an exit code.

pub mod exposition;
pub mod kinds;
pub mod outcome;
pub mod table;

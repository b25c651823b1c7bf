//! The kinds of claims, each of which needs a mutant that shows it can fail, or a reason why none can.

use std::collections::BTreeSet;

use super::table::Table;
use crate::claims::claims;
use crate::tree::{Rendered, Tree};
use aiclipx_base::duration::Speed;

/// Every kind that the tree's scenarios give rise to.
pub fn derived(tree: &Tree, speed: Speed) -> BTreeSet<&'static str> {
    let of = |scenario| claims("any", scenario, tree, speed).into_iter().map(|claim| claim.kind.rules().name());
    tree.scenarios.iter().flat_map(of).collect()
}

/// What is wrong with a table's cover, in words: kinds without a mutant and without a reason, reasons that are none.
pub fn uncovered(table: &Table, tree: &Tree, rendered: &Rendered, speed: Speed) -> Vec<String> {
    let claims = table.mutants.iter().filter_map(|mutant| mutant.check(tree, rendered, speed).ok().flatten());
    let covered: BTreeSet<&str> = claims.map(|claim| claim.kind.rules().name()).collect();
    let derived = derived(tree, speed);
    let mut wrong = Vec::new();
    for kind in &derived {
        if !covered.contains(kind) && !table.exempt.contains_key(*kind) {
            wrong.push(format!("no mutant shows that a claim of the kind {kind} can fail"));
        }
    }
    for kind in table.exempt.keys() {
        if covered.contains(kind.as_str()) {
            wrong.push(format!("{kind} is exempt, and has a mutant"));
        } else if !derived.contains(kind.as_str()) {
            wrong.push(format!("{kind} is exempt, and no claim is of that kind"));
        }
    }
    wrong
}

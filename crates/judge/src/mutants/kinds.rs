//! The kinds of claims, each of which needs a mutant that shows it can fail, or a reason why none can.

use std::collections::BTreeSet;

use super::table::{Rendered, Table};
use crate::claims::{Family, Kind, Step, claims};
use crate::tree::Tree;
use aiclipx_base::duration::Speed;
use aiclipx_model::monitoring::Loader;

/// A kind's name: each counter and each step in an alert's life counts as one, for each is decided by code of its own.
///
/// A new kind of claim does not compile until it has a name here, and then a mutant is asked for.
pub fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::ScenarioOfTree => "scenario-of-tree",
        Kind::ScheduleFollows => "schedule-follows",
        Kind::LoadedEqualsTree => "loaded-equals-tree",
        Kind::ConfigEqualsTree { loader } => match loader {
            Loader::Prometheus => "config-equals-tree/prometheus",
            Loader::Alertmanager => "config-equals-tree/alertmanager",
        },
        Kind::BucketsHold => "buckets-hold",
        Kind::CountersEqualLedger { family } => match family {
            Family::Requests => "counters-equal-ledger/requests",
            Family::LatencyCount => "counters-equal-ledger/latency-count",
            Family::LatencyInf => "counters-equal-ledger/latency-inf",
            Family::Errors => "counters-equal-ledger/errors",
        },
        Kind::StoredEqualsExposed => "stored-equals-exposed",
        Kind::LogsEqualLedger => "logs-equal-ledger",
        Kind::SecretsKeptOut => "secrets-kept-out",
        Kind::FaultsArrive => "faults-arrive",
        Kind::WatchdogArrives => "watchdog-arrives",
        Kind::AlertCycle { step, .. } => match step {
            Step::Pending => "alert-cycle/pending",
            Step::Fires => "alert-cycle/fires",
            Step::Notified => "alert-cycle/notified",
            Step::Resolves => "alert-cycle/resolves",
            Step::ResolvedNotified => "alert-cycle/resolved-notified",
        },
        Kind::AlertQuiet { .. } => "alert-quiet",
        Kind::AlertInhibited { .. } => "alert-inhibited",
        Kind::PanelShows { .. } => "panel-shows",
        Kind::PanelAnswers { .. } => "panel-answers",
        Kind::Pictured { .. } => "pictured",
        Kind::DashboardPictured { .. } => "dashboard-pictured",
    }
}

/// Every kind that the tree's scenarios give rise to.
pub fn derived(tree: &Tree, speed: Speed) -> BTreeSet<&'static str> {
    let of = |scenario| claims("any", scenario, tree, speed).into_iter().map(|claim| name(&claim.kind));
    tree.scenarios.iter().flat_map(of).collect()
}

/// What is wrong with a table's cover, in words: kinds without a mutant and without a reason, reasons that are none.
pub fn uncovered(table: &Table, tree: &Tree, rendered: &Rendered, speed: Speed) -> Vec<String> {
    let claims = table.mutants.iter().filter_map(|mutant| mutant.check(tree, rendered, speed).ok().flatten());
    let covered: BTreeSet<&str> = claims.map(|claim| name(&claim.kind)).collect();
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

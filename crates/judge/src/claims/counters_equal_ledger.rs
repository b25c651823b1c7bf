//! Prometheus counted exactly what the client did.

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Stated};
use crate::artifacts::{LEDGER, SAMPLE};
use crate::experiment::Experiment;
use crate::finding::{FEW, Finding, first_of};
use crate::reconcile::{Family, Row, reconcile};
use crate::run::Unseen;
use crate::tree::Tree;
use aiclipx_model::service::{Part, Service};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CountersEqualLedger {
    pub family: Family,
}

impl CountersEqualLedger {
    pub(super) fn derive() -> impl Iterator<Item = Stated<Self>> {
        [
            (
                Family::Requests,
                "requests",
                "Prometheus counted every request exactly once, as the client saw it answered",
            ),
            (Family::LatencyCount, "latency-count", "every request has exactly one latency observation"),
            (Family::LatencyInf, "latency-inf", "no latency observation is missing from the histogram's buckets"),
            (Family::Errors, "errors", "server faults were counted exactly as injected"),
        ]
        .into_iter()
        .map(|(family, id, says)| Stated::new(format!("counters/{id}"), says, CountersEqualLedger { family }))
    }
}

impl ClaimKind for CountersEqualLedger {
    fn name(&self) -> &'static str {
        match self.family {
            Family::Requests => "counters-equal-ledger/requests",
            Family::LatencyCount => "counters-equal-ledger/latency-count",
            Family::LatencyInf => "counters-equal-ledger/latency-inf",
            Family::Errors => "counters-equal-ledger/errors",
        }
    }

    fn rests_on(&self) -> Option<Part> {
        Some(self.family.part())
    }

    fn decide(&self, experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
        let family = self.family;
        let reconciliation = reconcile(experiment, tree.service(), family)?;
        let ledger: u64 = reconciliation.rows.iter().map(|row| row.ledger).sum();
        // Not `sum`, whose zero has a minus.
        let prometheus = reconciliation.rows.iter().fold(0.0, |sum, row| sum + row.prometheus);
        let each = reconciliation.rows.iter().chain(&reconciliation.replicas);
        let wrong: Vec<String> = each
            .filter(|row| !row.agrees())
            .map(|row| format!("{}: client {}, Prometheus {}", row.what, row.ledger, row.prometheus))
            .collect();
        // Whether the service counted a request that got no answer is in its log. That explains one too many each, none too few.
        let unanswered = experiment.ledger.entries.iter().filter(|entry| entry.outcome.may_be_counted()).count();
        #[allow(clippy::cast_precision_loss)] // a ledger holds far less than 2^53 lines
        let (may_be_more, ledger_of) = (unanswered as f64, |row: &Row| row.ledger as f64);
        let surplus = reconciliation.rows.iter().filter(|row| !row.agrees()).try_fold(0.0, |sum, row| {
            let more = row.prometheus - ledger_of(row);
            (more > 0.0).then_some(sum + more)
        });
        let undecided = surplus
            .filter(|surplus| (1.0..=may_be_more).contains(surplus))
            .and_then(|_| {
                let unseen = experiment.run.unseen.get(&Unseen::Logs).cloned();
                unseen.or_else(|| tree.service().without(Part::Log))
            })
            .map(|why| {
                format!("{unanswered} requests got no answer, and whether they were counted is in the log: {why}")
            });
        // Nothing equals nothing: where something was to be sent, or to fail, agreeing on none of it shows nothing.
        let vacuous = ledger == 0 && wrong.is_empty();
        let injects_errors = experiment.scenario.fault_share().is_some();
        Ok(Finding {
            population: if vacuous && experiment.sends() && family != Family::Errors {
                0
            } else {
                reconciliation.series
            },
            expected: format!("{ledger}, by the client"),
            observed: format!(
                "{prometheus}, over {} series{}{}{}",
                reconciliation.series,
                if reconciliation.replicas.is_empty() { "" } else { ", each replica's as it was sent to it" },
                told_by(tree.service(), family),
                if reconciliation.explained.is_empty() {
                    String::new()
                } else {
                    format!("; {}", reconciliation.explained.join("; "))
                }
            ),
            artifacts: vec![LEDGER.file(), SAMPLE.named(family.sample())],
            fails: (!wrong.is_empty() && undecided.is_none()).then(|| {
                if experiment.is_since(6) { which_differ(wrong, &reconciliation.rows) } else { wrong.join("; ") }
            }),
            not_proven: undecided.or_else(|| {
                (vacuous && injects_errors && family == Family::Errors)
                    .then(|| "the client saw no server fault, so there was none to count".to_owned())
            }),
        })
    }
}

/// The first of the rows that differ. Many that Prometheus counted and no client sent are mostly the client's own, each under
/// the path that was asked for.
fn which_differ(wrong: Vec<String>, rows: &[Row]) -> String {
    let never_sent = rows.iter().filter(|row| row.ledger == 0 && !row.agrees()).count();
    let asks = if never_sent > FEW {
        ": is the path as it was asked for the label, and not the route's template?"
    } else {
        ""
    };
    first_of(wrong) + asks
}

/// By what requests are told apart, of a service that has not all of it: less is held against each other then.
fn told_by(service: &Service, family: Family) -> String {
    let requests = service.requests.as_ref().filter(|_| family == Family::Requests);
    let lacking = requests.filter(|metric| metric.method.is_none() || metric.route.is_none() || metric.code.is_none());
    lacking.map_or_else(String::new, |metric| format!(", told {}", metric.told_by()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rows: &[Row]) -> String {
        which_differ(rows.iter().map(|row| row.what.clone()).collect(), rows)
    }

    fn row(what: String, ledger: u64, prometheus: f64) -> Row {
        Row { what, ledger, prometheus }
    }

    #[test]
    fn paths_as_labels_are_told_in_one_short_line() {
        let asked = (0..120).map(|id| row(format!("GET /items/{id} 200"), 0, 1.0));
        let rows: Vec<Row> = asked.chain([row("GET /items/{id} 200".to_owned(), 120, 0.0)]).collect();
        assert_eq!(
            told(&rows),
            "GET /items/0 200; GET /items/1 200; GET /items/2 200; and 118 more: is the path as it was asked for the label, \
             and not the route's template?"
        );
    }

    #[test]
    fn other_differences_are_not_called_paths() {
        let rows: Vec<Row> = (0..5).map(|id| row(format!("GET /{id} 200"), 7, 14.0)).collect();
        assert_eq!(told(&rows), "GET /0 200; GET /1 200; GET /2 200; and 2 more");
        assert_eq!(told(&rows[..2]), "GET /0 200; GET /1 200");
    }
}

//! The latency histogram's buckets can be those of the client's requests.

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Given, Stated};
use crate::artifacts::{self, LEDGER};
use crate::experiment::Experiment;
use crate::finding::{Finding, first_of};
use crate::reconcile;
use crate::tree::Tree;
use aiclipx_model::replica;
use aiclipx_model::service::{APP, Part};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BucketsHold {}

impl BucketsHold {
    pub(super) fn derive(given: &Given<'_>) -> Option<Stated<Self>> {
        // A service that is stopped on purpose begins at zero again, and what stands between is in no exposition.
        let mut steps = given.scenario.phases.iter().flat_map(|phase| &phase.steps);
        let says = "every latency bucket holds the one below it, and no less than the client saw answered in its time";
        (!steps.any(|step| replica::is_of(&step.component, APP))).then(|| Stated::new("buckets", says, BucketsHold {}))
    }
}

impl ClaimKind for BucketsHold {
    fn name(&self) -> &'static str {
        "buckets-hold"
    }

    fn rests_on(&self) -> Option<Part> {
        Some(Part::Latency)
    }

    fn decide(&self, experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
        let found = reconcile::histogram(experiment, tree.service())?;
        // Buckets in which nothing fell hold any claim.
        let vacuous = found.observed == 0.0 && experiment.sends();
        Ok(Finding {
            population: if vacuous { 0 } else { found.buckets },
            expected: "growing from bound to bound, and at each no less than the client's own times".to_owned(),
            observed: format!("{} requests in {} buckets", found.observed, found.buckets),
            artifacts: experiment
                .run
                .named_replicas()
                .flat_map(|replica| ["before", "after"].map(|when| artifacts::exposition(when, replica)))
                .chain([LEDGER.file()])
                .collect(),
            fails: (!found.wrong.is_empty()).then(|| first_of(found.wrong)),
            not_proven: None,
        })
    }
}

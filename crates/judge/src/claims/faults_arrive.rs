//! Every fault that was asked for shows in what came of its request: else there was nothing to alert on.

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Given, Stated};
use crate::artifacts::LEDGER;
use crate::experiment::Experiment;
use crate::faults::{felt_its_fault, took_us};
use crate::finding::{Finding, first_of};
use crate::tree::Tree;
use aiclipx_model::service::Part;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultsArrive {}

impl FaultsArrive {
    pub(super) fn derive(given: &Given<'_>) -> Option<Stated<Self>> {
        let says = "every fault that was asked for came: its request failed, or was late, as asked";
        given.scenario.injects_faults().then(|| Stated::new("faults", says, FaultsArrive {}))
    }
}

impl ClaimKind for FaultsArrive {
    fn name(&self) -> &'static str {
        "faults-arrive"
    }

    fn since(&self) -> u32 {
        3
    }

    fn takes_time(&self) -> bool {
        true
    }

    fn rests_on(&self) -> Option<Part> {
        Some(Part::Faults)
    }

    fn decide(&self, experiment: &Experiment, _: &Tree) -> anyhow::Result<Finding> {
        let answered =
            experiment.ledger.entries.iter().filter(|entry| entry.fault.is_some() && entry.status().is_some());
        let (came, ignored): (Vec<_>, Vec<_>) = answered.partition(|entry| felt_its_fault(entry));
        let ignored: Vec<String> = ignored
            .into_iter()
            .map(|entry| {
                let (status, took) = (entry.status().unwrap_or_default(), took_us(entry).unwrap_or_default());
                let fault = entry.fault.as_deref().unwrap_or_default();
                format!("{}: asked for {fault}, answered {status} after {} ms", entry.id, took / 1000)
            })
            .collect();
        let population = came.len() + ignored.len();
        Ok(Finding {
            population,
            expected: format!("{population} requests with a fault that came"),
            observed: format!("{} came", came.len()),
            artifacts: vec![LEDGER.file()],
            fails: (!ignored.is_empty()).then(|| first_of(ignored)),
            not_proven: None,
        })
    }
}

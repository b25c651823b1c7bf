//! What was sent is what scenario, seed and speed give rise to, computed again.

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Stated};
use crate::artifacts::{LEDGER, SCENARIO};
use crate::experiment::Experiment;
use crate::finding::Finding;
use crate::tree::Tree;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleFollows {}

impl ScheduleFollows {
    pub(super) fn derive() -> [Stated<Self>; 1] {
        [Stated::new("schedule", "what was sent is what scenario, seed and speed give rise to", ScheduleFollows {})]
    }
}

impl ClaimKind for ScheduleFollows {
    fn name(&self) -> &'static str {
        "schedule-follows"
    }

    fn decide(&self, experiment: &Experiment, _: &Tree) -> anyhow::Result<Finding> {
        let head = &experiment.ledger.head;
        let recomputed = experiment.ledger.schedule(&experiment.scenario);
        Ok(Finding {
            // A silent scenario has an empty schedule; that it has phases is what it is decided on.
            population: experiment.ledger.entries.len().max(experiment.scenario.phases.len()),
            expected: format!("the schedule of {} with seed {} at speed {}", head.scenario, head.seed, head.speed),
            observed: format!(
                "{} requests, schedule {}",
                head.scheduled,
                head.schedule_sha256.get(..12).unwrap_or("?")
            ),
            artifacts: vec![SCENARIO.file(), LEDGER.file()],
            fails: recomputed.err().map(|failure| failure.to_string()),
            not_proven: None,
        })
    }
}

//! Secrets that were written into a log are not in the store of logs, and the lines they were in are.

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Given, Stated};
use crate::artifacts::{LEAKED, PLANTED};
use crate::experiment::Experiment;
use crate::finding::{Finding, first_of};
use crate::planted::{self, lines_of};
use crate::run::Unseen;
use crate::silence::silence_of;
use crate::tree::Tree;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecretsKeptOut {}

impl SecretsKeptOut {
    pub(super) fn derive(given: &Given<'_>) -> Option<Stated<Self>> {
        let says = "no secret that was planted in a log is in the store of logs, and every line it was in is";
        given.scenario.expect.redacts.then(|| Stated::new("log-secrets", says, SecretsKeptOut {}))
    }
}

impl ClaimKind for SecretsKeptOut {
    fn name(&self) -> &'static str {
        "secrets-kept-out"
    }

    fn needs(&self) -> Option<Unseen> {
        Some(Unseen::Logs)
    }

    fn decide(&self, experiment: &Experiment, _: &Tree) -> anyhow::Result<Finding> {
        let (Some(arrived), Some(leaked)) = (experiment.bytes_of(PLANTED)?, experiment.bytes_of(LEAKED)?) else {
            let why = silence_of(experiment, "loki");
            let why = why.unwrap_or_else(|| "Loki did not say which of the planted lines it holds".to_owned());
            return Ok(Finding { observed: "no answer".to_owned(), not_proven: Some(why), ..Finding::default() });
        };
        let (arrived, leaked) = (lines_of(&arrived)?, lines_of(&leaked)?);
        let wrong = planted::leaked_or_missing(&experiment.run.id, &arrived, &leaked);
        Ok(Finding {
            population: planted::COUNT,
            expected: format!("{} lines in Loki, without their secrets", planted::COUNT),
            observed: format!("{} lines, {} that tell a secret", arrived.len(), leaked.len()),
            artifacts: vec![PLANTED.to_owned(), LEAKED.to_owned()],
            fails: (!wrong.is_empty()).then(|| first_of(wrong)),
            not_proven: None,
        })
    }
}

//! Every request was answered, and none with a server error that it did not ask for; though processes of the service were ended
//! under it, where the scenario restarts some. Only a scenario that says so has the claim, and no older bundle has one that does.

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Given, Stated};
use crate::artifacts::{LEDGER, RUN};
use crate::experiment::Experiment;
use crate::faults::felt_its_fault;
use crate::finding::{Finding, first_of};
use crate::run::Run;
use crate::tree::Tree;
use aiclipx_model::scenario::Action;
use aiclipx_model::traffic::ledger::{Entry, Outcome};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NothingLost {}

impl NothingLost {
    pub(super) fn derive(given: &Given<'_>) -> Option<Stated<Self>> {
        let says = "no request is lost: each is answered, and none by a server error that it did not ask for";
        given.scenario.expect.loses_none.then(|| Stated::new("nothing-lost", says, NothingLost {}))
    }
}

impl ClaimKind for NothingLost {
    fn name(&self) -> &'static str {
        "nothing-lost"
    }

    fn decide(&self, experiment: &Experiment, _: &Tree) -> anyhow::Result<Finding> {
        let entries = &experiment.ledger.entries;
        let lost: Vec<String> = entries.iter().filter_map(why_lost).collect();
        let lived_on = lived_on(&experiment.run);
        let whose = |name: &String| format!("{name} is the process that it was, and nothing was restarted");
        let ended = experiment.run.replicas().filter(|name| experiment.run.restarts_of(name) > 0).count();
        Ok(Finding {
            population: entries.len(),
            expected: format!("{} requests answered", entries.len()),
            observed: format!(
                "{} answered as they should be{}",
                entries.len() - lost.len(),
                match ended {
                    0 => String::new(),
                    1 => ", while one process of the service was ended".to_owned(),
                    _ => format!(", while {ended} processes of the service were ended"),
                }
            ),
            artifacts: vec![LEDGER.file(), RUN.file()],
            fails: match lived_on.first() {
                Some(name) => Some(whose(name)),
                None => (!lost.is_empty()).then(|| first_of(lost)),
            },
            not_proven: None,
        })
    }
}

/// What became of a request that is lost to its client.
fn why_lost(entry: &Entry) -> Option<String> {
    let why = match &entry.outcome {
        Outcome::Answered { status } if *status < 500 || felt_its_fault(entry) => return None,
        Outcome::Answered { status } => format!("answered {status}"),
        Outcome::Failed { kind } => kind.words().to_owned(),
        Outcome::NotSent { .. } => "not sent".to_owned(),
    };
    let by = entry.replica.map_or_else(String::new, |replica| format!(" by replica {replica}"));
    Some(format!("{}: {} {} was {why}{by}", entry.id, entry.method, entry.path))
}

/// Who was to be ended, and was not: then that nothing was lost shows nothing.
fn lived_on(run: &Run) -> Vec<String> {
    let restarts = run.steps.iter().filter(|step| step.action == Action::Restart);
    let is_same = |name: &String| {
        run.processes.iter().any(|process| process.component == *name && process.at_start == process.at_end)
    };
    restarts.map(|step| step.component.clone()).filter(is_same).collect()
}

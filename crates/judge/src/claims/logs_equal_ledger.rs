//! Each request that the service saw has one line in its log with the status that the client saw; a panic of its has a
//! line more, of its name and without one.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Stated};
use crate::artifacts::{HELD_BY_LOKI, LEDGER, LOG};
use crate::experiment::Experiment;
use crate::finding::{Finding, first_of};
use crate::run::Unseen;
use crate::tree::Tree;
use aiclipx_model::service::{APP, Part};
use aiclipx_model::traffic::ledger::{Ledger, Outcome};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogsEqualLedger {}

impl LogsEqualLedger {
    pub(super) fn derive() -> [Stated<Self>; 1] {
        [Stated::new(
            "log",
            "the service's log holds the ledger's requests, each once, with the same status",
            LogsEqualLedger {},
        )]
    }
}

impl ClaimKind for LogsEqualLedger {
    fn name(&self) -> &'static str {
        "logs-equal-ledger"
    }

    fn needs(&self) -> Option<Unseen> {
        Some(Unseen::Logs)
    }

    fn rests_on(&self) -> Option<Part> {
        Some(Part::Log)
    }

    fn decide(&self, experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
        let log = tree.service().log.as_ref().context("the service has no log")?;
        let (lines, junk) = experiment.service_log(log)?;
        let prefix = format!("{}-", experiment.run.id);
        let mut logged: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let mut written = 0;
        for line in lines.iter().filter(|line| line.request_id.starts_with(&prefix)) {
            written += 1;
            if let Some(status) = line.status {
                logged.entry(line.request_id.clone()).or_default().push(status);
            }
        }
        let mut wrong = Vec::new();
        let several = experiment.run.tells_replicas_apart();
        let names: Vec<String> = if several { experiment.run.replicas().collect() } else { vec![APP.to_owned()] };
        let logs = names.iter().map(|name| LOG.named(name));
        let mut artifacts: Vec<String> = std::iter::once(LEDGER.file()).chain(logs).collect();
        let mut in_loki = String::new();
        let mut unproven = None;
        // The same lines, a second way: what was forwarded is what was written.
        if let Some(held) = experiment.held_by_loki()? {
            if held != written {
                wrong.push(format!("Loki holds {held} lines of these requests, the files {written}"));
            }
            artifacts.push(HELD_BY_LOKI.to_owned());
            in_loki = format!(", {held} of these requests in Loki");
        } else if experiment
            .samples("up")?
            .iter()
            .any(|series| series.labels.get("job").is_some_and(|job| job == "loki"))
        {
            // It is a target, so it is part of the stack.
            unproven = Some("Loki did not say how many of these requests it holds".to_owned());
        }
        let answered = hold_against(&experiment.ledger, &mut logged, &mut wrong);
        wrong.extend(logged.keys().map(|id| format!("{id}: logged, not in the ledger")));
        if junk > 0 {
            wrong.push(format!("{junk} lines of the log are no JSON objects"));
        }
        Ok(Finding {
            // A silent scenario is decided on the log itself: it holds lines, and none of this run's.
            population: if experiment.sends() { answered } else { lines.len() },
            expected: format!("{answered} answered requests, each logged once"),
            observed: format!("{} log lines in the window{in_loki}", lines.len()),
            artifacts,
            not_proven: unproven,
            fails: (!wrong.is_empty()).then(|| first_of(wrong)),
        })
    }
}

/// Each request of the ledger against the statuses that were logged of it, which are taken out; how many were answered.
fn hold_against(ledger: &Ledger, logged: &mut BTreeMap<String, Vec<u64>>, wrong: &mut Vec<String>) -> usize {
    let mut answered = 0;
    for entry in &ledger.entries {
        let seen = logged.remove(&entry.id).unwrap_or_default();
        match &entry.outcome {
            Outcome::Answered { status } => {
                answered += 1;
                if seen != [u64::from(*status)] {
                    wrong.push(format!("{}: answered {status}, logged {seen:?}", entry.id));
                }
            }
            Outcome::Failed { .. } if seen.len() > 1 => {
                wrong.push(format!("{}: logged {} times", entry.id, seen.len()));
            }
            Outcome::NotSent { .. } if !seen.is_empty() => {
                wrong.push(format!("{}: never sent, yet logged", entry.id));
            }
            Outcome::Failed { .. } | Outcome::NotSent { .. } => {}
        }
    }
    answered
}

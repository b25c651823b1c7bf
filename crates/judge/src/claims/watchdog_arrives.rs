//! Evaluations went on all the time, and the watchdog fired through the whole chain.

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Stated};
use crate::artifacts::{NOTIFICATIONS, SAMPLE};
use crate::experiment::Experiment;
use crate::finding::Finding;
use crate::run::{PROMETHEUS, Unseen};
use crate::timeline::{self, real_ms};
use crate::tree::Tree;
use aiclipx_model::monitoring::WATCHDOG;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchdogArrives {}

impl WatchdogArrives {
    pub(super) fn derive() -> [Stated<Self>; 1] {
        [Stated::new(
            "watchdog",
            "rules were evaluated all the time, and notifications get through",
            WatchdogArrives {},
        )]
    }
}

impl ClaimKind for WatchdogArrives {
    fn name(&self) -> &'static str {
        "watchdog-arrives"
    }

    fn needs(&self) -> Option<Unseen> {
        Some(Unseen::Notifications)
    }

    fn decide(&self, experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
        let run = &experiment.run;
        let alerts = experiment.samples("alerts")?;
        let firing = timeline::firing_samples(WATCHDOG, &alerts);
        let evaluation = real_ms(tree.monitoring.evaluation_interval(), experiment.speed().factor());
        let away: i64 = run.outages(&[PROMETHEUS]).iter().map(|(from, to)| to - from).sum();
        let due = usize::try_from((run.end_ms - run.quiet_ms - away) / evaluation.max(1)).unwrap_or(0);
        let heard = experiment.notifications.iter().filter(|n| timeline::says(n, WATCHDOG, "firing")).count();
        let mut wrong = Vec::new();
        // The window does not begin on an evaluation: one at each end may lie outside.
        if firing + 2 < due {
            wrong.push(format!("{firing} evaluations recorded, {due} were due"));
        }
        if heard == 0 {
            wrong.push("no notification of it arrived".to_owned());
        }
        Ok(Finding {
            population: firing,
            expected: format!("at least {} evaluations, and a notification", due.saturating_sub(2)),
            observed: format!("{firing} evaluations, {heard} notifications"),
            artifacts: vec![SAMPLE.named("alerts"), NOTIFICATIONS.file()],
            fails: (!wrong.is_empty()).then(|| wrong.join("; ")),
            not_proven: None,
        })
    }
}

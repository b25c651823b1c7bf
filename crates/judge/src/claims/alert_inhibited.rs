//! An alert fires and is not notified: another alert inhibits it.

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Given, Stated};
use crate::artifacts::{NOTIFICATIONS, SAMPLE};
use crate::experiment::Experiment;
use crate::finding::Finding;
use crate::run::Unseen;
use crate::silence::why_unanswered;
use crate::timeline;
use crate::tree::Tree;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertInhibited {
    pub alert: String,
}

impl AlertInhibited {
    pub(super) fn derive(given: &Given<'_>, alert: &str) -> Option<Stated<Self>> {
        let expect = &given.scenario.expect;
        let says = || format!("{alert} fires too, and nobody is told: {} says it", expect.fires.join(", "));
        given.is_inhibited(alert).then(|| {
            Stated::new(format!("alert-inhibited/{alert}"), says(), AlertInhibited { alert: alert.to_owned() })
        })
    }
}

impl ClaimKind for AlertInhibited {
    fn name(&self) -> &'static str {
        "alert-inhibited"
    }

    fn needs(&self) -> Option<Unseen> {
        Some(Unseen::Notifications)
    }

    fn decide(&self, experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
        let alert = self.alert.as_str();
        let firing = timeline::firing_samples(alert, &experiment.samples("alerts")?);
        let pages = experiment.scenario.expect.fires.iter().filter_map(|page| tree.monitoring.alert(page));
        // What was not done to a component that is not there makes nothing follow from it.
        if firing == 0
            && let Some(why) = why_unanswered(experiment, pages.map(|page| page.expr.as_str()))?
        {
            return Ok(Finding::out_of_reach(why));
        }
        let told = experiment.notifications.iter().filter(|n| timeline::says(n, alert, "firing")).count();
        let fails = match (firing, told) {
            (0, _) => Some(format!("{alert} never fired, so nothing was held back")),
            (_, 0) => None,
            _ => Some(format!("the receiver was told of {alert}")),
        };
        Ok(Finding {
            population: firing,
            expected: "firing, and no notification".to_owned(),
            observed: format!("firing at {firing} evaluations, {told} notifications"),
            artifacts: vec![SAMPLE.named("alerts"), NOTIFICATIONS.file()],
            fails,
            not_proven: None,
        })
    }
}

//! An alert that the scenario does not expect does not fire.

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Folded, Given, Stated};
use crate::artifacts::{NOTIFICATIONS, SAMPLE};
use crate::experiment::Experiment;
use crate::finding::Finding;
use crate::run::Unseen;
use crate::silence::why_unanswered;
use crate::timeline;
use crate::tree::Tree;
use aiclipx_model::monitoring::WATCHDOG;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertQuiet {
    pub alert: String,
}

impl AlertQuiet {
    pub(super) fn derive(given: &Given<'_>, alert: &str) -> Option<Stated<Self>> {
        let may_fire = given.scenario.expect.may_fire.iter().any(|may| may == alert);
        let is_quiet = !given.is_expected(alert) && !given.is_inhibited(alert) && !may_fire && alert != WATCHDOG;
        is_quiet.then(|| {
            let kind = AlertQuiet { alert: alert.to_owned() };
            Stated::new(format!("alert-quiet/{alert}"), format!("{alert} stays quiet"), kind)
        })
    }
}

impl ClaimKind for AlertQuiet {
    fn name(&self) -> &'static str {
        "alert-quiet"
    }

    fn alert(&self) -> Option<&str> {
        Some(&self.alert)
    }

    fn folded(&self) -> Option<Folded<'_>> {
        Some(Folded {
            about: &self.alert,
            hold: ("alert stays quiet, as it should", "alerts stay quiet, as they should"),
            open: ("alert of whose silence nothing is known", "alerts of whose silence nothing is known"),
        })
    }

    fn decide(&self, experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
        let alert = self.alert.as_str();
        let alerts = experiment.samples("alerts")?;
        // While the last notifications are waited for nobody calls, and that is not the scenario's doing.
        let until_ms = if experiment.is_since(3) { experiment.over_ms() } else { i64::MAX };
        let firing = timeline::firing_until(alert, &alerts, until_ms);
        let told = experiment.notifications.iter().filter(|n| n.received_ms <= until_ms);
        let told = told.filter(|n| timeline::says(n, alert, "firing")).count();
        Ok(Finding {
            // Silence proves nothing unless rules were evaluated: the watchdog's samples are the evaluations.
            population: timeline::firing_until(WATCHDOG, &alerts, until_ms),
            expected: "not firing at any evaluation".to_owned(),
            observed: match experiment.run.unseen.get(&Unseen::Notifications) {
                None => format!("firing at {firing} evaluations, {told} notifications"),
                Some(_) => format!("firing at {firing} evaluations; notifications out of reach"),
            },
            artifacts: vec![SAMPLE.named("alerts"), NOTIFICATIONS.file()],
            fails: (firing > 0 || told > 0)
                .then(|| format!("{alert} fired, and nothing in the scenario should make it")),
            not_proven: if firing > 0 || told > 0 {
                None
            } else {
                why_unanswered(experiment, tree.monitoring.alert(alert).map(|alert| alert.expr.as_str()))?
            },
        })
    }
}

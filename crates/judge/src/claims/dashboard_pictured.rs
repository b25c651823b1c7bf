//! Grafana's page of a dashboard was pictured, every query of it was answered without an error, and at least one with values.

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Given, Stated};
use crate::artifacts::{GRAFANA_PAGE, dashboard_picture};
use crate::experiment::Experiment;
use crate::finding::{Finding, first_of};
use crate::grafana::{dashboards, seen};
use crate::tree::Tree;
use aiclipx_model::prom::grafana::{leaves_out, values_in};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DashboardPictured {
    /// Its uid.
    pub dashboard: String,
}

impl DashboardPictured {
    pub(super) fn derive(given: &Given<'_>) -> impl Iterator<Item = Stated<Self>> {
        dashboards(given.scenario).into_iter().map(|dashboard| {
            let says =
                format!("Grafana's page of {dashboard} was pictured over the run, and every query of it answered");
            let kind = DashboardPictured { dashboard: dashboard.to_owned() };
            Stated::new(format!("pictured-dashboard/{dashboard}"), says, kind)
        })
    }
}

impl ClaimKind for DashboardPictured {
    fn name(&self) -> &'static str {
        "dashboard-pictured"
    }

    fn takes_time(&self) -> bool {
        true
    }

    fn decide(&self, experiment: &Experiment, _: &Tree) -> anyhow::Result<Finding> {
        let dashboard = self.dashboard.as_str();
        let mut finding = Finding {
            expected: "a picture, every query answered, and values among the answers".to_owned(),
            artifacts: vec![GRAFANA_PAGE.named(dashboard), dashboard_picture(dashboard)],
            ..Finding::default()
        };
        let open = |why: String| Finding {
            expected: finding.expected.clone(),
            observed: "no picture".to_owned(),
            not_proven: Some(why),
            ..Finding::default()
        };
        let Some(seen) = seen(experiment, dashboard)? else {
            return Ok(open("no Grafana served the dashboards of this stack".to_owned()));
        };
        if let Some(why) = seen.missing {
            return Ok(open(why));
        }
        if experiment.ledger.entries.iter().all(|entry| entry.status().is_none()) {
            return Ok(open("the client saw no answer, so there was nothing to show".to_owned()));
        }
        let mut wrong = Vec::new();
        let mut with_values = 0;
        for exchange in &seen.exchanges {
            match values_in(exchange.status, exchange.body.as_bytes()) {
                Ok(values) => with_values += usize::from(values > 0),
                Err(why) => wrong.push(why),
            }
        }
        wrong.extend(seen.failed.iter().map(|panel| format!("the panel \"{panel}\" shows an error")));
        if with_values == 0 {
            wrong.push("no answer holds a value".to_owned());
        }
        let bytes = std::fs::read(experiment.folder().join(dashboard_picture(dashboard))).unwrap_or_default();
        if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            wrong.push("there is no picture".to_owned());
        }
        finding.population = seen.exchanges.len();
        finding.observed = format!("{} queries answered, {with_values} with values", seen.exchanges.len());
        if let Some(left_out) = leaves_out(&seen.version) {
            finding.observed = format!("{}; Grafana {} leaves out {left_out}", finding.observed, seen.version);
        }
        finding.fails = (!wrong.is_empty()).then(|| first_of(wrong));
        Ok(finding)
    }
}

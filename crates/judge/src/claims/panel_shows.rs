//! A dashboard panel shows what the client's ledger says: its first query, wherever the window lies inside one phase.

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Given, Stated};
use crate::artifacts::LEDGER;
use crate::experiment::Experiment;
use crate::finding::Finding;
use crate::panels::{Points, points_of};
use crate::tree::Tree;
use aiclipx_model::scenario::Measure;
use aiclipx_model::service::Part;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PanelShows {
    /// `uid/id`.
    pub panel: String,
    pub measure: Measure,
}

impl PanelShows {
    pub(super) fn derive(given: &Given<'_>) -> impl Iterator<Item = Stated<Self>> {
        given.scenario.expect.panels.iter().map(|(panel, measure)| {
            let (panel, measure) = (panel.clone(), *measure);
            let says = format!(
                "panel {} shows the {} of the client's ledger",
                given.tree.named(&panel),
                measure_name(measure)
            );
            Stated::new(format!("panel-shows/{panel}"), says, PanelShows { panel, measure })
        })
    }
}

impl ClaimKind for PanelShows {
    fn name(&self) -> &'static str {
        "panel-shows"
    }

    fn takes_time(&self) -> bool {
        true
    }

    fn rests_on(&self) -> Option<Part> {
        (self.measure == Measure::LatencyP95).then_some(Part::Latency)
    }

    fn decide(&self, experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
        let measure = self.measure;
        let Points { answer, compared, wrong, any, worst, .. } =
            points_of(experiment, tree.service(), &self.panel, measure)?;
        let observed = worst.map_or_else(
            || "no point whose window lies inside one phase".to_owned(),
            |(shown, ledger)| {
                let points = if compared == 1 { "point" } else { "points" };
                format!("{compared} {points}; the furthest off shows {shown:.3} where the ledger says {ledger:.3}")
            },
        );
        Ok(Finding {
            population: if any { compared } else { 0 },
            expected: match measure {
                Measure::LatencyP95 => {
                    "the histogram bucket of the ledger's value, wherever the window lies inside a fault"
                }
                _ => "the ledger's value wherever the window lies inside one phase, within 10 % or two requests",
            }
            .to_owned(),
            fails: if wrong > 0 {
                Some(format!("{wrong} of {compared} points differ; {observed}"))
            } else {
                (experiment.is_since(3) && (compared == 0 || !any))
                    .then(|| format!("there is nothing to decide it on: {} shows nothing", answer.plan.expr))
            },
            observed,
            artifacts: vec![answer.file(), LEDGER.file()],
            not_proven: None,
        })
    }
}

/// A measure in words.
fn measure_name(measure: Measure) -> &'static str {
    match measure {
        Measure::RequestRate => "request rate",
        Measure::ErrorShare => "share of server errors",
        Measure::ErrorRate => "rate of server faults",
        Measure::LatencyP95 => "95th percentile of latency",
        Measure::TopEndpoint => "busiest endpoint",
    }
}

//! A page of Prometheus was pictured while an expected alert fired.

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Given, Stated};
use crate::artifacts;
use crate::experiment::Experiment;
use crate::finding::Finding;
use crate::silence::why_unanswered;
use crate::timeline::{cycle_of, evaluation_ms, seconds};
use crate::tree::Tree;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pictured {
    pub alert: String,
    /// One of [`PAGES`].
    pub page: String,
}

impl Pictured {
    pub(super) fn derive(given: &Given<'_>, alert: &str) -> Vec<Stated<Self>> {
        if !given.is_expected(alert) || given.tree.monitoring.alert(alert).is_none() {
            return Vec::new();
        }
        let stated = |page: &str| {
            let says = format!("Prometheus' {page} page was pictured while {alert} fired");
            let kind = Pictured { alert: alert.to_owned(), page: page.to_owned() };
            Stated::new(format!("pictured-{page}/{alert}"), says, kind)
        };
        PAGES.map(stated).into()
    }
}

impl ClaimKind for Pictured {
    fn name(&self) -> &'static str {
        "pictured"
    }

    fn takes_time(&self) -> bool {
        true
    }

    fn decide(&self, experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
        let Pictured { alert, page } = self;
        if let Some(why) = why_unanswered(experiment, tree.monitoring.alert(alert).map(|alert| alert.expr.as_str()))? {
            return Ok(Finding::out_of_reach(why));
        }
        let run = &experiment.run;
        let mut finding = Finding { expected: "a picture taken while it fired".to_owned(), ..Finding::default() };
        let Some(picture) = run.pictures.iter().find(|picture| picture.page == *page && picture.alert == *alert) else {
            "no picture".clone_into(&mut finding.observed);
            let missing = run.missing_pictures.iter().find(|missing| missing.page == *page && missing.alert == *alert);
            finding.not_proven =
                Some(missing.map_or("nothing tells what became of it", |missing| &missing.why).to_owned());
            return Ok(finding);
        };
        finding.artifacts = vec![artifacts::picture(alert, page)];
        let bytes = experiment.picture(picture).unwrap_or_default();
        finding.population = usize::from(bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
        let cycle = cycle_of(experiment, tree, alert)?;
        // What an evaluation decides is told until the next one has run, and one that is late by a whole interval disturbs the run.
        let told_ms = 2 * evaluation_ms(experiment, tree, alert);
        let during = cycle
            .firing_ms
            .zip(cycle.last_firing_ms)
            .is_some_and(|(first, last)| (first..last + told_ms).contains(&picture.taken_ms));
        finding.observed = match cycle.firing_ms {
            Some(firing) => format!("taken {} after it began to fire", seconds(picture.taken_ms - firing)),
            None => "the alert never fired".to_owned(),
        };
        if !during {
            let why = "it was not taken while the alert fired".to_owned();
            // Of an alert that did fire, that is a browser that was slow.
            let is_late = experiment.is_since(3) && cycle.firing_ms.is_some_and(|firing| firing <= picture.taken_ms);
            *if is_late { &mut finding.not_proven } else { &mut finding.fails } = Some(why);
        }
        Ok(finding)
    }
}

/// The pages of Prometheus that are pictured while an expected alert fires.
pub const PAGES: [&str; 3] = ["targets", "alerts", "graph"];

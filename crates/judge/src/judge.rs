//! Decides each claim of an experiment by reading its folder, and nothing else.
//!
//! Pure: the same folder and the same tree give the same judgements, on any machine, offline. A claim is never decided
//! on nothing: each has a population that must not be empty, and most a precondition (the client saw the fault) without
//! which it is not proven.

use serde::{Deserialize, Serialize};

use super::claims::{self, Claim};
use super::experiment::Experiment;
use super::finding::Finding;
use super::panels;
use super::reconcile::WentDown;
use super::timeline::real_ms;
use super::tree::Tree;
use super::validity::{self, Disturbance};

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "why", rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not hold, and why.
    Fails(String),
    /// It could not be shown, and why.
    NotProven(String),
    /// The run is inconclusive, and why.
    Invalid(String),
}

impl Verdict {
    /// One word, for tables.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Fails(_) => "fails",
            Verdict::NotProven(_) => "not proven",
            Verdict::Invalid(_) => "invalid",
        }
    }

    /// Why, where there is a why.
    pub fn why(&self) -> &str {
        match self {
            Verdict::Holds => "",
            Verdict::Fails(why) | Verdict::NotProven(why) | Verdict::Invalid(why) => why,
        }
    }
}

/// A claim, decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    #[serde(flatten)]
    pub claim: Claim,
    /// What it was decided on: so many series, samples, requests, points.
    pub population: u64,
    /// What had to be seen, in words.
    pub expected: String,
    /// What was seen, in words.
    pub observed: String,
    /// Files of the experiment's folder it rests on; verdicts.json has called them so since its first version.
    #[serde(rename = "exhibits")]
    pub artifacts: Vec<String>,
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Derives the claims of an experiment and decides each.
///
/// An artifact that is missing or doesn't parse makes the claims resting on it fail: nothing was shown.
pub fn judge(experiment: &Experiment, tree: &Tree) -> Vec<Judgement> {
    judge_disturbed(experiment, tree, &disturbances(experiment, tree))
}

/// The same where it is known what disturbed it.
pub(crate) fn judge_disturbed(experiment: &Experiment, tree: &Tree, disturbances: &[Disturbance]) -> Vec<Judgement> {
    let claims = claims::claims(&experiment.name, &experiment.scenario, tree, experiment.speed());
    let claims = claims.into_iter().filter(|claim| experiment.is_since(claim.kind.rules().since()));
    let disturbed: Vec<String> = disturbances.iter().map(ToString::to_string).collect();
    let disturbed = (!disturbed.is_empty()).then(|| disturbed.join("; "));
    claims.map(|claim| decide(experiment, tree, claim, disturbed.as_deref())).collect()
}

/// What disturbed an experiment; samples that can't be read are a disturbance too.
pub fn disturbances(experiment: &Experiment, tree: &Tree) -> Vec<Disturbance> {
    let scrape_ms = real_ms(tree.monitoring.scrape_interval(), experiment.speed().factor());
    let mut found = validity::disturbances(experiment, tree.service(), scrape_ms)
        .unwrap_or_else(|error| vec![Disturbance::Noise(format!("{error:#}"))]);
    if experiment.is_since(3) {
        found.extend(panels::put_off(experiment, tree.service()).into_iter().map(Disturbance::Noise));
    }
    found
}

fn decide(experiment: &Experiment, tree: &Tree, claim: Claim, disturbed: Option<&str>) -> Judgement {
    let kind = claim.kind.rules();
    let unseen = kind.needs().and_then(|needed| experiment.run.unseen.get(&needed).cloned());
    let lacking = || tree.service().without(kind.rests_on()?);
    let finding = match unseen.or_else(lacking) {
        Some(why) => Finding::out_of_reach(why),
        None => kind.decide(experiment, tree).unwrap_or_else(|error| Finding {
            observed: if error.is::<WentDown>() { "the counter went down" } else { "the exhibits can't be read" }
                .to_owned(),
            fails: Some(format!("{error:#}")),
            ..Finding::default()
        }),
    };
    let nothing = (finding.population == 0).then(|| "there is nothing to decide it on".to_owned());
    // What shows that a claim is false is never hidden by what could not be seen.
    let verdict = match (disturbed, finding.fails, finding.not_proven, nothing) {
        (Some(why), ..) => Verdict::Invalid(why.to_owned()),
        (None, None, Some(why), _) => Verdict::NotProven(why),
        (None, Some(why), ..) | (None, None, None, Some(why)) => {
            if kind.takes_time() && experiment.was_shortened() {
                Verdict::NotProven(format!("the run was shortened: {why}"))
            } else {
                Verdict::Fails(why)
            }
        }
        (None, None, None, None) => Verdict::Holds,
    };
    Judgement {
        claim,
        population: finding.population as u64,
        expected: finding.expected,
        observed: finding.observed,
        artifacts: finding.artifacts,
        verdict,
    }
}

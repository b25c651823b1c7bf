//! The scenario that was enacted is the tree's: one made easier would prove less under the same name.

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Stated};
use crate::artifacts::SCENARIO;
use crate::experiment::Experiment;
use crate::finding::Finding;
use crate::tree::Tree;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioOfTree {}

impl ScenarioOfTree {
    pub(super) fn derive() -> [Stated<Self>; 1] {
        [Stated::new("scenario", "the scenario that was enacted is the tree's, byte for byte", ScenarioOfTree {})]
    }
}

impl ClaimKind for ScenarioOfTree {
    fn name(&self) -> &'static str {
        "scenario-of-tree"
    }

    fn decide(&self, experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
        let scenario = &experiment.scenario;
        let id = scenario.id();
        let known = tree.scenarios.iter().find(|known| known.id() == id);
        let differs = known.is_some_and(|known| known.text != scenario.text);
        Ok(Finding {
            population: scenario.text.lines().count(),
            expected: format!("scripts/traffic/{id}.toml of the tree"),
            observed: match known {
                Some(_) if differs => "another text under that name".to_owned(),
                Some(_) => "the same bytes".to_owned(),
                None => "a scenario of somebody's own".to_owned(),
            },
            artifacts: vec![SCENARIO.file()],
            fails: differs.then(|| format!("scenario.toml differs from the tree's {id}.toml")),
            not_proven: known.is_none().then(|| format!("the tree has no scenario {id}: it was given by its path")),
        })
    }
}

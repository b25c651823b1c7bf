//! The rules that Prometheus evaluates are the rules of the tree, at the declared speed.

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Stated};
use crate::artifacts::LOADED;
use crate::experiment::Experiment;
use crate::finding::Finding;
use crate::tree::Tree;
use aiclipx_model::monitoring;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadedEqualsTree {}

impl LoadedEqualsTree {
    pub(super) fn derive() -> [Stated<Self>; 1] {
        [Stated::new(
            "loaded",
            "the rules Prometheus evaluates are the rules of the tree, at the declared speed",
            LoadedEqualsTree {},
        )]
    }
}

impl ClaimKind for LoadedEqualsTree {
    fn name(&self) -> &'static str {
        "loaded-equals-tree"
    }

    fn explains_others(&self) -> bool {
        true
    }

    fn decide(&self, experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
        let loaded = experiment.loaded("rules")?;
        let files = tree
            .rendered(&experiment.run.addresses, experiment.speed())
            .map_err(|failure| anyhow::anyhow!("{failure}"))?;
        let differences = monitoring::rules_equal(&loaded, &files).err().unwrap_or_default();
        let rules: usize = loaded["data"]["groups"]
            .as_array()
            .map_or(0, |groups| groups.iter().map(|group| group["rules"].as_array().map_or(0, Vec::len)).sum());
        Ok(Finding {
            population: rules,
            expected: format!(
                "{} alerts and their recording rules, at speed {}",
                tree.monitoring.alerts().len(),
                experiment.speed()
            ),
            observed: format!("{rules} rules loaded, compared as syntax trees"),
            artifacts: vec![LOADED.named("rules")],
            fails: (!differences.is_empty()).then(|| differences.join("; ")),
            not_proven: None,
        })
    }
}

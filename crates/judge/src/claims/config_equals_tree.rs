//! The configuration that a component says it runs is the tree's, at the declared speed.

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Stated};
use crate::artifacts::LOADED;
use crate::experiment::Experiment;
use crate::finding::Finding;
use crate::loaded::configuration;
use crate::run::Unseen;
use crate::tree::Tree;
use aiclipx_model::monitoring::Loader;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigEqualsTree {
    pub loader: Loader,
}

impl ConfigEqualsTree {
    pub(super) fn derive() -> impl Iterator<Item = Stated<Self>> {
        Loader::ALL.into_iter().map(|loader| {
            let name = loader.name();
            let says = format!("the configuration that {name} runs is the tree's, at the declared speed");
            Stated::new(format!("config/{name}"), says, ConfigEqualsTree { loader })
        })
    }
}

impl ClaimKind for ConfigEqualsTree {
    fn name(&self) -> &'static str {
        match self.loader {
            Loader::Prometheus => "config-equals-tree/prometheus",
            Loader::Alertmanager => "config-equals-tree/alertmanager",
        }
    }

    fn needs(&self) -> Option<Unseen> {
        (self.loader == Loader::Alertmanager).then_some(Unseen::Alertmanager)
    }

    fn explains_others(&self) -> bool {
        true
    }

    fn decide(&self, experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
        let (file, flags) = match self.loader {
            Loader::Prometheus => ("config", Some(experiment.loaded("flags")?)),
            Loader::Alertmanager => ("alertmanager", None),
        };
        let mut artifacts = vec![LOADED.named(file)];
        artifacts.extend(flags.is_some().then(|| LOADED.named("flags")));
        let at = (&experiment.run.addresses, experiment.speed());
        let compared = configuration(self.loader, &experiment.loaded(file)?, flags.as_ref(), tree, at)?;
        Ok(Finding {
            population: compared.values,
            expected: format!("the {} values of the tree's file, at speed {}", compared.values, experiment.speed()),
            observed: match compared.differences.len() {
                0 => "each as loaded, and nothing but defaults beside them".to_owned(),
                1 => "1 difference".to_owned(),
                count => format!("{count} differences"),
            },
            artifacts,
            fails: (!compared.differences.is_empty()).then(|| compared.differences.join("; ")),
            not_proven: None,
        })
    }
}

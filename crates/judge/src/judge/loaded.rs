//! Whether what was judged by is the tree: the scenario, the rules that were loaded, the configurations.

use super::Finding;
use crate::experiment::Experiment;
use crate::loaded::{configuration, rendered};
use crate::tree::Tree;
use aiclipx_model::monitoring::{self, Loader};

/// The tree's expectations are those that were judged by: a scenario made easier would prove less under the same name.
pub(super) fn scenario_of_tree(experiment: &Experiment, tree: &Tree) -> Finding {
    let scenario = &experiment.scenario;
    let id = scenario.id();
    let known = tree.scenarios.iter().find(|known| known.id() == id);
    let differs = known.is_some_and(|known| known.text != scenario.text);
    Finding {
        population: scenario.text.lines().count(),
        expected: format!("scripts/traffic/{id}.toml of the tree"),
        observed: match known {
            Some(_) if differs => "another text under that name".to_owned(),
            Some(_) => "the same bytes".to_owned(),
            None => "a scenario of somebody's own".to_owned(),
        },
        artifacts: vec!["scenario.toml".to_owned()],
        fails: differs.then(|| format!("scenario.toml differs from the tree's {id}.toml")),
        not_proven: known.is_none().then(|| format!("the tree has no scenario {id}: it was given by its path")),
    }
}

pub(super) fn loaded_equals_tree(experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
    let loaded = experiment.loaded("rules")?;
    let files = rendered(tree, &experiment.run.addresses, experiment.speed())?;
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
        artifacts: vec!["loaded/rules.json".to_owned()],
        fails: (!differences.is_empty()).then(|| differences.join("; ")),
        not_proven: None,
    })
}

pub(super) fn config_equals_tree(experiment: &Experiment, tree: &Tree, whose: Loader) -> anyhow::Result<Finding> {
    let (file, flags) = match whose {
        Loader::Prometheus => ("config", Some(experiment.loaded("flags")?)),
        Loader::Alertmanager => ("alertmanager", None),
    };
    let mut artifacts = vec![format!("loaded/{file}.json")];
    artifacts.extend(flags.is_some().then(|| "loaded/flags.json".to_owned()));
    let files = rendered(tree, &experiment.run.addresses, experiment.speed())?;
    let compared = configuration(whose, &experiment.loaded(file)?, flags.as_ref(), &files, experiment.speed())?;
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

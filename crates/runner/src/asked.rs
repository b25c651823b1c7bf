//! Asks a stack what it has loaded, and refuses one that has loaded something else than the tree.

use std::collections::BTreeMap;

use super::environment::Environment;
use aiclipx_judge::artifacts::{LOADED_ANSWERS, LoadedAnswer};
use aiclipx_judge::loaded::Loaded;
use aiclipx_judge::tree::Tree;
use aiclipx_model::failure::Failure;
use aiclipx_model::monitoring::Loader;
use aiclipx_stack::prom::client::Api;

/// Asks for all of [`LOADED_ANSWERS`].
pub async fn loaded(environment: Environment<'_>) -> Result<Loaded, Failure> {
    let asked = async {
        let mut answers = BTreeMap::new();
        for LoadedAnswer { name, of, path } in LOADED_ANSWERS {
            let address =
                if of == Loader::Alertmanager { environment.alertmanager() } else { Some(environment.prometheus()) };
            if let Some(address) = address {
                answers.insert(name.to_owned(), Api::new(address).json(path).await?);
            }
        }
        anyhow::Ok(Loaded(answers))
    };
    match asked.await {
        Ok(loaded) => Ok(loaded),
        Err(error) => Err(environment.blame(error.into()).await),
    }
}

/// So many are read.
const TOLD: usize = 4;

/// Refuses a stack that has loaded something else than the tree.
pub async fn is_the_tree(environment: Environment<'_>, tree: &Tree) -> Result<(), Failure> {
    let loaded = loaded(environment).await?;
    let mut differences = loaded.differences(tree, &environment.configured(), environment.speed())?;
    if differences.is_empty() {
        return Ok(());
    }
    let more = differences.len().saturating_sub(TOLD);
    differences.truncate(TOLD);
    if more > 0 {
        differences.push(format!("… and {more} more"));
    }
    let what = format!("the running stack has loaded something else than the tree:\n  {}", differences.join("\n  "));
    Err(Failure::usage(what).remedy(match environment {
        Environment::Managed(_) => "`just down && just up` loads the tree as it is now",
        Environment::External(_) => {
            "start it anew with this tree's monitoring/, or work in the tree that it was started from"
        }
    }))
}

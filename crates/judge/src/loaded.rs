//! What a stack says it has loaded, held against the tree: for the judge, and before anything is sent.
//!
//! Otherwise a rule that was edited while the stack runs would be noticed after minutes of traffic, by a verdict.

use std::collections::BTreeMap;

use anyhow::Context;
use serde_json::Value;

use super::tree::{Rendered, Tree};
use aiclipx_base::duration::Speed;
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::monitoring::{self, Compared, Loader};

/// A component's configuration, out of the answer in which it gives it, against its file; of Prometheus its flags, too.
pub(super) fn configuration(
    whose: Loader,
    answer: &Value,
    flags: Option<&Value>,
    files: &Rendered,
    speed: Speed,
) -> anyhow::Result<Compared> {
    let pointer = match whose {
        Loader::Prometheus => "/data/yaml",
        Loader::Alertmanager => "/config/original",
    };
    let loaded = answer.pointer(pointer).and_then(Value::as_str);
    let loaded = loaded.with_context(|| format!("{} answered no configuration", whose.name()))?;
    let mut compared = monitoring::config_equal(whose, loaded, files);
    if let Some(flags) = flags {
        compared.flags(&flags["data"], speed);
    }
    Ok(compared)
}

/// The answers of a stack, by their names in [`super::artifacts::LOADED_ANSWERS`]; Alertmanager's only where it can be asked.
#[derive(Debug, Clone)]
pub struct Loaded(pub BTreeMap<String, Value>);

impl Loaded {
    /// What differs from a tree, in words; nothing where the claims on it will hold.
    pub fn differences(&self, tree: &Tree, addresses: &Addresses, speed: Speed) -> anyhow::Result<Vec<String>> {
        let files = tree.rendered(addresses, speed).map_err(|failure| anyhow::anyhow!("{failure}"))?;
        let answer = |name: &str| self.0.get(name).with_context(|| format!("nobody was asked for {name}"));
        let mut differences = monitoring::rules_equal(answer("rules")?, &files).err().unwrap_or_default();
        let prometheus = configuration(Loader::Prometheus, answer("config")?, Some(answer("flags")?), &files, speed)?;
        differences.extend(prometheus.differences.iter().map(|what| format!("Prometheus' configuration: {what}")));
        if let Some(answer) = self.0.get("alertmanager") {
            let alertmanager = configuration(Loader::Alertmanager, answer, None, &files, speed)?;
            differences.extend(alertmanager.differences.iter().map(|what| format!("Alertmanager's: {what}")));
        }
        Ok(differences)
    }
}

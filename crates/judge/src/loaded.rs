//! What a stack says it has loaded, held against the tree: for the judge, and before anything is sent.
//!
//! Otherwise a rule that was edited while the stack runs would be noticed after minutes of traffic, by a verdict.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use super::tree::{Rendered, Tree};
use aiclipx_base::duration::Speed;
use aiclipx_model::failure::Failure;
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::monitoring::kubernetes::CONFIGURATION;
use aiclipx_model::monitoring::{self, Compared, Loader, Monitoring};

/// A component's configuration, out of the answer in which it gives it, against its file; of Prometheus its flags, too.
pub(super) fn configuration(
    whose: Loader,
    answer: &Value,
    flags: Option<&Value>,
    tree: &Tree,
    (addresses, speed): (&Addresses, Speed),
) -> anyhow::Result<Compared> {
    let pointer = match whose {
        Loader::Prometheus => "/data/yaml",
        Loader::Alertmanager => "/config/original",
    };
    let loaded = answer.pointer(pointer).and_then(Value::as_str);
    let loaded = loaded.with_context(|| format!("{} answered no configuration", whose.name()))?;
    let rendered = |addresses| tree.rendered(addresses, speed).map_err(|failure| anyhow::anyhow!("{failure}"));
    let mut compared = if whose == Loader::Prometheus && loaded.contains("kubernetes_sd_configs") {
        // Where its targets are it asks the cluster, so no address is in its file.
        monitoring::config_equal(whose, loaded, &in_a_cluster(&*rendered(&Addresses::canonical())?)?)
    } else {
        monitoring::config_equal(whose, loaded, &*rendered(addresses)?)
    };
    if let Some(flags) = flags {
        compared.flags(&flags["data"], speed);
    }
    Ok(compared)
}

/// The files as a Prometheus in a cluster has them: how it asks for its targets is made of the tree, too.
fn in_a_cluster(files: &Rendered) -> anyhow::Result<Rendered> {
    let made = Monitoring::from_files(files.clone()).and_then(|monitoring| monitoring.for_kubernetes());
    let mut made = made.map_err(|found| anyhow::anyhow!("{}", Failure::from(found)))?;
    let configuration = made.remove(Path::new(CONFIGURATION)).context("the tree has a configuration of Prometheus")?;
    let mut files = files.clone();
    files.insert(monitoring::PROMETHEUS.into(), configuration.into_bytes());
    Ok(files)
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
        let prometheus =
            configuration(Loader::Prometheus, answer("config")?, Some(answer("flags")?), tree, (addresses, speed))?;
        differences.extend(prometheus.differences.iter().map(|what| format!("Prometheus' configuration: {what}")));
        if let Some(answer) = self.0.get("alertmanager") {
            let alertmanager = configuration(Loader::Alertmanager, answer, None, tree, (addresses, speed))?;
            differences.extend(alertmanager.differences.iter().map(|what| format!("Alertmanager's: {what}")));
        }
        Ok(differences)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aiclipx_base::address::Address;

    /// What a Prometheus in a cluster answers is its file, with defaults; so is it here, without.
    #[test]
    fn a_prometheus_of_a_cluster_is_held_to_what_a_cluster_gets() {
        let tree = Tree::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))).expect("it reads");
        let made = tree.monitoring.for_kubernetes().expect("it is made");
        let loaded = made[Path::new(CONFIGURATION)].clone();
        // Whoever attaches knows the replicas by the addresses at which they are scraped.
        let replica = |host: &str| Address { host: host.to_owned(), port: 8081 };
        let addresses = Addresses { app: vec![replica("10.0.0.1"), replica("10.0.0.2")], ..Addresses::canonical() };
        let compared = |yaml: String| {
            let answer = serde_json::json!({"data": {"yaml": yaml}});
            let of = (&addresses, Speed::PRODUCTION);
            configuration(Loader::Prometheus, &answer, None, &tree, of).expect("it is compared")
        };
        let same = compared(loaded.clone());
        assert!(same.differences.is_empty() && same.values > 40, "{same:?}");
        let other = compared(loaded.replace("regex: \"8081\"", "regex: \"8080\""));
        assert!(other.differences.len() == 1 && other.differences[0].contains("relabel_configs"), "{other:?}");
        let more = compared(loaded.replacen("  - role: pod\n", "  - role: node\n", 1));
        assert_eq!(more.differences.len(), 1, "{more:?}");
    }
}

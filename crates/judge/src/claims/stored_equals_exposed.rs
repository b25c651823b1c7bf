//! What Prometheus stored last is what the service exposes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Stated};
use crate::artifacts::{self, SAMPLE};
use crate::experiment::Experiment;
use crate::finding::Finding;
use crate::tree::Tree;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredEqualsExposed {}

impl StoredEqualsExposed {
    pub(super) fn derive() -> [Stated<Self>; 1] {
        [Stated::new("exposed", "what Prometheus stored last is what the service exposes", StoredEqualsExposed {})]
    }
}

impl ClaimKind for StoredEqualsExposed {
    fn name(&self) -> &'static str {
        "stored-equals-exposed"
    }

    fn decide(&self, experiment: &Experiment, _: &Tree) -> anyhow::Result<Finding> {
        let mut exposed: BTreeMap<String, f64> = BTreeMap::new();
        let mut stored: BTreeMap<String, f64> = BTreeMap::new();
        let key = |labels: &BTreeMap<String, String>| {
            ["method", "endpoint", "http_status"].map(|name| labels.get(name).cloned().unwrap_or_default()).join(" ")
        };
        // Scrapes and probes go on while we look; they are counted like all requests, and left out here.
        let internal = |labels: &BTreeMap<String, String>| {
            labels.get("endpoint").is_none_or(|endpoint| endpoint == "/metrics" || endpoint.starts_with("/health/"))
        };
        for exposition in experiment.expositions_after()? {
            for (series, value) in exposition {
                if series.name == "app_requests_total" && !internal(&series.labels) {
                    *exposed.entry(key(&series.labels)).or_default() += value;
                }
            }
        }
        for series in experiment.samples("requests")?.iter().filter(|series| !internal(&series.labels)) {
            if let Some(last) = series.samples.last() {
                *stored.entry(key(&series.labels)).or_default() += last.value;
            }
        }
        let told = |value: Option<&f64>| value.map_or_else(|| "not at all".to_owned(), ToString::to_string);
        let names: BTreeSet<&String> = exposed.keys().chain(stored.keys()).collect();
        let wrong: Vec<String> = names
            .into_iter()
            .map(|name| (name, exposed.get(name), stored.get(name)))
            .filter(|(_, exposed, stored)| exposed.map(|value| value.to_bits()) != stored.map(|value| value.to_bits()))
            .map(|(name, exposed, stored)| format!("{name}: exposed {}, stored {}", told(exposed), told(stored)))
            .collect();
        Ok(Finding {
            population: exposed.len(),
            expected: format!("{} series as exposed", exposed.len()),
            observed: format!("{} series as stored", stored.len()),
            artifacts: vec![artifacts::exposition("after", 0), SAMPLE.named("requests")],
            fails: (!wrong.is_empty()).then(|| wrong.join("; ")),
            not_proven: None,
        })
    }
}

//! What Prometheus stored last is what the service exposes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Stated};
use crate::artifacts::{self, SAMPLE};
use crate::experiment::Experiment;
use crate::finding::{Finding, first_of};
use crate::tree::Tree;
use aiclipx_model::service::Part;

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

    fn rests_on(&self) -> Option<Part> {
        Some(Part::Requests)
    }

    fn decide(&self, experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
        let mut exposed: BTreeMap<String, f64> = BTreeMap::new();
        let mut stored: BTreeMap<String, f64> = BTreeMap::new();
        let service = tree.service();
        let metric = service.requests.as_ref().context("the service has no counter of requests")?;
        // Scrapes and probes go on while we look; they are counted like all requests, and left out here.
        let key = |labels: &BTreeMap<String, String>| service.key_of(metric, labels);
        // Each replica by itself, where it is known by which name Prometheus knows it.
        let of = |replica: Option<String>, key: String| match replica {
            Some(replica) if experiment.run.tells_replicas_apart() => format!("{replica}: {key}"),
            _ => key,
        };
        for (exposition, replica) in experiment.expositions_after()?.into_iter().zip(experiment.run.replicas()) {
            for (series, value) in exposition {
                if series.name == metric.name
                    && let Some(key) = key(&series.labels)
                {
                    *exposed.entry(of(Some(replica.clone()), key)).or_default() += value;
                }
            }
        }
        for series in experiment.samples("requests")?.iter() {
            if let (Some(last), Some(key)) = (series.samples.last(), key(&series.labels)) {
                let replica = experiment.run.replica_at(series.labels.get("instance"));
                *stored.entry(of(replica, key)).or_default() += last.value;
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
            artifacts: experiment
                .run
                .named_replicas()
                .map(|replica| artifacts::exposition("after", replica))
                .chain([SAMPLE.named("requests")])
                .collect(),
            // Of a service that makes series as they are asked for there may be hundreds.
            fails: (!wrong.is_empty()).then(|| if service.from_zero { wrong.join("; ") } else { first_of(wrong) }),
            not_proven: None,
        })
    }
}

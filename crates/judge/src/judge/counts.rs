//! Whether what was counted is what was sent: the schedule, the counters, the buckets, the log, and what Prometheus stored.

use std::collections::{BTreeMap, BTreeSet};

use super::alerts::{felt_its_fault, took_us};
use super::{Finding, first_of, reconcile, sends};
use crate::artifacts::HELD_BY_LOKI;
use crate::claims::Family;
use crate::experiment::Experiment;
use crate::run::Unseen;
use aiclipx_model::traffic::ledger::Outcome;

/// What was sent is what scenario, seed and speed give rise to, computed again.
pub(super) fn schedule(experiment: &Experiment) -> Finding {
    let head = &experiment.ledger.head;
    let recomputed = experiment.ledger.schedule(&experiment.scenario);
    Finding {
        // A silent scenario has an empty schedule; that it has phases is what it is decided on.
        population: experiment.ledger.entries.len().max(experiment.scenario.phases.len()),
        expected: format!("the schedule of {} with seed {} at speed {}", head.scenario, head.seed, head.speed),
        observed: format!("{} requests, schedule {}", head.scheduled, head.schedule_sha256.get(..12).unwrap_or("?")),
        artifacts: vec!["scenario.toml".to_owned(), "ledger.jsonl".to_owned()],
        fails: recomputed.err().map(|failure| failure.to_string()),
        not_proven: None,
    }
}

pub(super) fn counters(experiment: &Experiment, family: Family) -> anyhow::Result<Finding> {
    let sample = match family {
        Family::Requests => "requests",
        Family::LatencyCount => "latency_count",
        Family::LatencyInf => "latency_inf",
        Family::Errors => "errors",
    };
    let reconciliation = reconcile(experiment, family)?;
    let ledger: u64 = reconciliation.rows.iter().map(|row| row.ledger).sum();
    // Not `sum`, whose zero has a minus.
    let prometheus = reconciliation.rows.iter().fold(0.0, |sum, row| sum + row.prometheus);
    let wrong: Vec<String> = reconciliation
        .rows
        .iter()
        .filter(|row| !row.agrees())
        .map(|row| format!("{}: client {}, Prometheus {}", row.what, row.ledger, row.prometheus))
        .collect();
    // Whether the service counted a request that got no answer is in its log. That explains one too many each, none too few.
    let unanswered = experiment.ledger.entries.iter().filter(|entry| entry.outcome.may_be_counted()).count();
    #[allow(clippy::cast_precision_loss)] // a ledger holds far less than 2^53 lines
    let (may_be_more, ledger_of) = (unanswered as f64, |row: &reconcile::Row| row.ledger as f64);
    let surplus = reconciliation.rows.iter().filter(|row| !row.agrees()).try_fold(0.0, |sum, row| {
        let more = row.prometheus - ledger_of(row);
        (more > 0.0).then_some(sum + more)
    });
    let undecided = surplus
        .filter(|surplus| (1.0..=may_be_more).contains(surplus))
        .and_then(|_| experiment.run.unseen.get(&Unseen::Logs))
        .map(|why| format!("{unanswered} requests got no answer, and whether they were counted is in the log: {why}"));
    // Nothing equals nothing: where something was to be sent, or to fail, agreeing on none of it shows nothing.
    let vacuous = ledger == 0 && wrong.is_empty();
    let injects_errors = experiment.scenario.fault_share().is_some();
    Ok(Finding {
        population: if vacuous && sends(experiment) && family != Family::Errors { 0 } else { reconciliation.series },
        expected: format!("{ledger}, by the client"),
        observed: format!(
            "{prometheus}, over {} series{}",
            reconciliation.series,
            if reconciliation.explained.is_empty() {
                String::new()
            } else {
                format!("; {}", reconciliation.explained.join("; "))
            }
        ),
        artifacts: vec!["ledger.jsonl".to_owned(), format!("samples/{sample}.json")],
        fails: (!wrong.is_empty() && undecided.is_none()).then(|| wrong.join("; ")),
        not_proven: undecided.or_else(|| {
            (vacuous && injects_errors && family == Family::Errors)
                .then(|| "the client saw no server fault, so there was none to count".to_owned())
        }),
    })
}

pub(super) fn buckets(experiment: &Experiment) -> anyhow::Result<Finding> {
    let found = reconcile::histogram(experiment)?;
    // Buckets in which nothing fell hold any claim.
    let vacuous = found.observed == 0.0 && sends(experiment);
    Ok(Finding {
        population: if vacuous { 0 } else { found.buckets },
        expected: "growing from bound to bound, and at each no less than the client's own times".to_owned(),
        observed: format!("{} requests in {} buckets", found.observed, found.buckets),
        artifacts: vec![
            "exposition/before-0.prom".to_owned(),
            "exposition/after-0.prom".to_owned(),
            "ledger.jsonl".to_owned(),
        ],
        fails: (!found.wrong.is_empty()).then(|| first_of(found.wrong)),
        not_proven: None,
    })
}

/// Every fault that was sent shows in what came of its request: else there was nothing to alert on.
pub(super) fn faults(experiment: &Experiment) -> Finding {
    let answered = experiment.ledger.entries.iter().filter(|entry| entry.fault.is_some() && entry.status().is_some());
    let (came, ignored): (Vec<_>, Vec<_>) = answered.partition(|entry| felt_its_fault(entry));
    let ignored: Vec<String> = ignored
        .into_iter()
        .map(|entry| {
            let (status, took) = (entry.status().unwrap_or_default(), took_us(entry).unwrap_or_default());
            let fault = entry.fault.as_deref().unwrap_or_default();
            format!("{}: asked for {fault}, answered {status} after {} ms", entry.id, took / 1000)
        })
        .collect();
    let population = came.len() + ignored.len();
    Finding {
        population,
        expected: format!("{population} requests with a fault that came"),
        observed: format!("{} came", came.len()),
        artifacts: vec!["ledger.jsonl".to_owned()],
        fails: (!ignored.is_empty()).then(|| first_of(ignored)),
        not_proven: None,
    }
}

/// Each request that the service saw has one line in its log that tells its status, the one the client saw; a panic of its has
/// a line more, of its name and without one.
pub(super) fn logs(experiment: &Experiment) -> anyhow::Result<Finding> {
    let (lines, junk) = experiment.service_log()?;
    let prefix = format!("{}-", experiment.run.id);
    let mut logged: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut written = 0;
    for line in lines.iter().filter(|line| line.request_id.starts_with(&prefix)) {
        written += 1;
        if let Some(status) = line.status {
            logged.entry(line.request_id.clone()).or_default().push(status);
        }
    }
    let mut wrong = Vec::new();
    let mut artifacts = vec!["ledger.jsonl".to_owned(), "logs/app.log".to_owned()];
    let mut in_loki = String::new();
    let mut unproven = None;
    // The same lines, a second way: what was forwarded is what was written.
    if let Some(held) = experiment.held_by_loki()? {
        if held != written {
            wrong.push(format!("Loki holds {held} lines of these requests, the files {written}"));
        }
        artifacts.push(HELD_BY_LOKI.to_owned());
        in_loki = format!(", {held} of these requests in Loki");
    } else if experiment.samples("up")?.iter().any(|series| series.labels.get("job").is_some_and(|job| job == "loki")) {
        // It is a target, so it is part of the stack.
        unproven = Some("Loki did not say how many of these requests it holds".to_owned());
    }
    let mut answered = 0;
    for entry in &experiment.ledger.entries {
        let seen = logged.remove(&entry.id).unwrap_or_default();
        match &entry.outcome {
            Outcome::Answered { status } => {
                answered += 1;
                if seen != [u64::from(*status)] {
                    wrong.push(format!("{}: answered {status}, logged {seen:?}", entry.id));
                }
            }
            Outcome::Failed { .. } if seen.len() > 1 => {
                wrong.push(format!("{}: logged {} times", entry.id, seen.len()));
            }
            Outcome::NotSent { .. } if !seen.is_empty() => wrong.push(format!("{}: never sent, yet logged", entry.id)),
            Outcome::Failed { .. } | Outcome::NotSent { .. } => {}
        }
    }
    wrong.extend(logged.keys().map(|id| format!("{id}: logged, not in the ledger")));
    if junk > 0 {
        wrong.push(format!("{junk} lines of the log are no JSON objects"));
    }
    Ok(Finding {
        // A silent scenario is decided on the log itself: it holds lines, and none of this run's.
        population: if sends(experiment) { answered } else { lines.len() },
        expected: format!("{answered} answered requests, each logged once"),
        observed: format!("{} log lines in the window{in_loki}", lines.len()),
        artifacts,
        not_proven: unproven,
        fails: (!wrong.is_empty()).then(|| first_of(wrong)),
    })
}

pub(super) fn stored_equals_exposed(experiment: &Experiment) -> anyhow::Result<Finding> {
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
        artifacts: vec!["exposition/after-0.prom".to_owned(), "samples/requests.json".to_owned()],
        fails: (!wrong.is_empty()).then(|| wrong.join("; ")),
        not_proven: None,
    })
}

//! Decides each claim of an experiment by reading its folder, and nothing else.
//!
//! Pure: the same folder and the same tree give the same judgements, on any machine, offline. A claim is never decided
//! on nothing: each has a population that must not be empty, and most a precondition (the client saw the fault) without
//! which it is not proven.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::claims::{self, Claim, Family, Kind, Step, WATCHDOG};
use super::experiment::{Experiment, PROMETHEUS, Picture, RECEIVER, Unseen};
use super::grafana;
use super::panels;
use super::reconcile::{self, Reconciliation};
use super::timeline::{self, Cycle};
use super::tree::Tree;
use super::validity::{self, Disturbance, OPTIONAL};
use crate::monitoring::{self, Loader, promql};
use crate::scenario::Volume;
use crate::traffic::ledger::{Entry, Outcome};

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "why", rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not hold, and why.
    Fails(String),
    /// It could not be shown, and why.
    NotProven(String),
    /// The run says nothing, and why.
    Invalid(String),
}

impl Verdict {
    /// One word, for tables.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Fails(_) => "fails",
            Verdict::NotProven(_) => "not proven",
            Verdict::Invalid(_) => "invalid",
        }
    }

    /// Why, where there is a why.
    pub fn why(&self) -> &str {
        match self {
            Verdict::Holds => "",
            Verdict::Fails(why) | Verdict::NotProven(why) | Verdict::Invalid(why) => why,
        }
    }
}

/// A claim, decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The claim.
    #[serde(flatten)]
    pub claim: Claim,
    /// What it was decided on: so many series, samples, requests, points.
    pub population: u64,
    /// What had to be seen, in words.
    pub expected: String,
    /// What was seen, in words.
    pub observed: String,
    /// Files of the experiment's folder it rests on.
    pub exhibits: Vec<String>,
    /// The decision.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What a kind of claim was decided on.
#[derive(Debug, Default)]
pub(super) struct Finding {
    pub population: usize,
    pub expected: String,
    pub observed: String,
    pub exhibits: Vec<String>,
    pub fails: Option<String>,
    pub not_proven: Option<String>,
}

/// Derives the claims of an experiment and decides each.
///
/// An exhibit that is missing or doesn't parse makes the claims resting on it fail: nothing was shown.
pub fn judge(experiment: &Experiment, tree: &Tree) -> Vec<Judgement> {
    let claims = claims::claims(&experiment.name, &experiment.scenario, tree, experiment.speed());
    let disturbed: Vec<String> = disturbances(experiment, tree).iter().map(ToString::to_string).collect();
    let disturbed = (!disturbed.is_empty()).then(|| disturbed.join("; "));
    claims.into_iter().map(|claim| decide(experiment, tree, claim, disturbed.as_deref())).collect()
}

/// What disturbed an experiment; samples that can't be read are a disturbance too.
pub fn disturbances(experiment: &Experiment, tree: &Tree) -> Vec<Disturbance> {
    let scrape_ms = real_ms(tree.monitoring.scrape_interval(), experiment.speed().factor());
    validity::disturbances(experiment, scrape_ms).unwrap_or_else(|error| vec![Disturbance::Noise(format!("{error:#}"))])
}

fn decide(experiment: &Experiment, tree: &Tree, claim: Claim, disturbed: Option<&str>) -> Judgement {
    let finding = find(experiment, tree, &claim.kind).unwrap_or_else(|error| Finding {
        observed: "the exhibits can't be read".to_owned(),
        fails: Some(format!("{error:#}")),
        ..Finding::default()
    });
    // A run cut short gives an alert no time to live and a panel nothing to show: that it did not is no defect.
    let timed = matches!(
        claim.kind,
        Kind::AlertCycle { .. } | Kind::Pictured { .. } | Kind::DashboardPictured { .. } | Kind::PanelShows { .. }
    );
    let nothing = (finding.population == 0).then(|| "there is nothing to decide it on".to_owned());
    let (not_proven, fails) = match (finding.not_proven, finding.fails.or(nothing)) {
        (None, Some(why)) if timed && was_shortened(experiment) => {
            (Some(format!("the run was shortened: {why}")), None)
        }
        other => other,
    };
    let verdict = match (disturbed, not_proven, fails) {
        (Some(why), ..) => Verdict::Invalid(why.to_owned()),
        (None, Some(why), _) => Verdict::NotProven(why),
        (None, None, Some(why)) => Verdict::Fails(why),
        (None, None, None) => Verdict::Holds,
    };
    Judgement {
        claim,
        population: finding.population as u64,
        expected: finding.expected,
        observed: finding.observed,
        exhibits: finding.exhibits,
        verdict,
    }
}

fn find(experiment: &Experiment, tree: &Tree, kind: &Kind) -> anyhow::Result<Finding> {
    if let Some(why) = rests_on(kind).and_then(|exhibit| experiment.run.unseen.get(&exhibit)) {
        return Ok(Finding {
            observed: "out of reach".to_owned(),
            not_proven: Some(why.clone()),
            ..Finding::default()
        });
    }
    match kind {
        Kind::CountersEqualLedger { family } => counters(experiment, *family),
        Kind::BucketsHold => buckets(experiment),
        Kind::ScenarioOfTree => Ok(scenario_of_tree(experiment, tree)),
        Kind::ScheduleFollows => Ok(schedule(experiment)),
        Kind::LogsEqualLedger => logs(experiment),
        Kind::StoredEqualsExposed => stored_equals_exposed(experiment),
        Kind::LoadedEqualsTree => loaded_equals_tree(experiment, tree),
        Kind::ConfigEqualsTree { loader } => config_equals_tree(experiment, tree, *loader),
        Kind::WatchdogArrives => watchdog(experiment, tree),
        Kind::AlertCycle { alert, step, not_before_ms, not_after_ms } => {
            alert_step(experiment, tree, alert, *step, *not_before_ms, *not_after_ms)
        }
        Kind::AlertInhibited { alert } => inhibited(experiment, alert),
        Kind::AlertQuiet { alert } => quiet(experiment, tree, alert),
        Kind::PanelShows { panel, measure } => panels::shows(experiment, panel, *measure),
        Kind::PanelAnswers { panel } => panels::answers(experiment, tree, panel),
        Kind::Pictured { alert, page } => pictured(experiment, tree, alert, page),
        Kind::DashboardPictured { dashboard } => grafana::shows(experiment, dashboard),
    }
}

/// What a kind of claim can't be decided without, of all that may be out of reach.
fn rests_on(kind: &Kind) -> Option<Unseen> {
    match kind {
        Kind::LogsEqualLedger => Some(Unseen::Logs),
        Kind::ConfigEqualsTree { loader: Loader::Alertmanager } => Some(Unseen::Alertmanager),
        Kind::WatchdogArrives
        | Kind::AlertInhibited { .. }
        | Kind::AlertCycle { step: Step::Notified | Step::ResolvedNotified, .. } => Some(Unseen::Notifications),
        _ => None,
    }
}

/// The reconciliation of a family, as the report shows it too.
pub fn reconcile(experiment: &Experiment, family: Family) -> anyhow::Result<Reconciliation> {
    match family {
        Family::Requests => reconcile::requests(experiment),
        Family::LatencyCount => reconcile::latencies(experiment, "latency_count"),
        Family::LatencyInf => reconcile::latencies(experiment, "latency_inf"),
        Family::Errors => reconcile::errors(experiment),
    }
}

/// The tree's expectations are those that were judged by: a scenario made easier would prove less under the same name.
fn scenario_of_tree(experiment: &Experiment, tree: &Tree) -> Finding {
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
        exhibits: vec!["scenario.toml".to_owned()],
        fails: differs.then(|| format!("scenario.toml differs from the tree's {id}.toml")),
        not_proven: known.is_none().then(|| format!("the tree has no scenario {id}: it was given by its path")),
    }
}

/// What was sent is what scenario, seed and speed give rise to, computed again.
fn schedule(experiment: &Experiment) -> Finding {
    let head = &experiment.ledger.head;
    let recomputed = experiment.ledger.schedule(&experiment.scenario);
    Finding {
        // A silent scenario has an empty schedule; that it has phases is what it is decided on.
        population: experiment.ledger.entries.len().max(experiment.scenario.phases.len()),
        expected: format!("the schedule of {} with seed {} at speed {}", head.scenario, head.seed, head.speed),
        observed: format!("{} requests, schedule {}", head.scheduled, head.schedule_sha256.get(..12).unwrap_or("?")),
        exhibits: vec!["scenario.toml".to_owned(), "ledger.jsonl".to_owned()],
        fails: recomputed.err().map(|failure| failure.to_string()),
        not_proven: None,
    }
}

fn counters(experiment: &Experiment, family: Family) -> anyhow::Result<Finding> {
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
    // Whether the service counted a request that got no answer is in its log.
    let unanswered =
        experiment.ledger.entries.iter().filter(|entry| matches!(entry.outcome, Outcome::Failed { .. })).count();
    let undecided = (!wrong.is_empty() && unanswered > 0)
        .then(|| experiment.run.unseen.get(&Unseen::Logs))
        .flatten()
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
        exhibits: vec!["ledger.jsonl".to_owned(), format!("samples/{sample}.json")],
        fails: (!wrong.is_empty()).then(|| wrong.join("; ")),
        not_proven: undecided.or_else(|| {
            (vacuous && injects_errors && family == Family::Errors)
                .then(|| "the client saw no server fault, so there was none to count".to_owned())
        }),
    })
}

fn buckets(experiment: &Experiment) -> anyhow::Result<Finding> {
    let found = reconcile::histogram(experiment)?;
    // Buckets in which nothing fell hold any claim.
    let vacuous = found.observed == 0.0 && sends(experiment);
    Ok(Finding {
        population: if vacuous { 0 } else { found.buckets },
        expected: "growing from bound to bound, and at each no less than the client's own times".to_owned(),
        observed: format!("{} requests in {} buckets", found.observed, found.buckets),
        exhibits: vec![
            "exposition/before-0.prom".to_owned(),
            "exposition/after-0.prom".to_owned(),
            "ledger.jsonl".to_owned(),
        ],
        fails: (!found.wrong.is_empty()).then(|| first_of(found.wrong)),
        not_proven: None,
    })
}

/// The first three, and how many more.
pub(super) fn first_of(mut told: Vec<String>) -> String {
    let more = told.len().saturating_sub(3);
    told.truncate(3);
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    told.join("; ")
}

/// Each request that the service saw has one line in its log, with the status the client saw.
fn logs(experiment: &Experiment) -> anyhow::Result<Finding> {
    let (lines, junk) = experiment.service_log()?;
    let prefix = format!("{}-", experiment.run.id);
    let mut logged: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in &lines {
        if let Some(id) = line["request_id"].as_str().filter(|id| id.starts_with(&prefix)) {
            logged.entry(id.to_owned()).or_default().push(line["status"].as_u64().unwrap_or(0));
        }
    }
    let mut wrong = Vec::new();
    let mut exhibits = vec!["ledger.jsonl".to_owned(), "logs/app.log".to_owned()];
    let mut in_loki = String::new();
    // The same lines, a second way: what was forwarded is what was written.
    if let Some(held) = experiment.held_by_loki()? {
        let written: usize = logged.values().map(Vec::len).sum();
        if held != written as u64 {
            wrong.push(format!("Loki holds {held} lines of these requests, the files {written}"));
        }
        exhibits.push(super::experiment::HELD_BY_LOKI.to_owned());
        in_loki = format!(", {held} of these requests in Loki");
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
        exhibits,
        fails: (!wrong.is_empty()).then(|| first_of(wrong)),
        not_proven: None,
    })
}

fn stored_equals_exposed(experiment: &Experiment) -> anyhow::Result<Finding> {
    use std::collections::BTreeSet;
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
        exhibits: vec!["exposition/after-0.prom".to_owned(), "samples/requests.json".to_owned()],
        fails: (!wrong.is_empty()).then(|| wrong.join("; ")),
        not_proven: None,
    })
}

fn loaded_equals_tree(experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
    let loaded = experiment.loaded("rules")?;
    let differences = monitoring::rules_equal(&loaded, &rendered(experiment, tree)?).err().unwrap_or_default();
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
        exhibits: vec!["loaded/rules.json".to_owned()],
        fails: (!differences.is_empty()).then(|| differences.join("; ")),
        not_proven: None,
    })
}

fn config_equals_tree(experiment: &Experiment, tree: &Tree, whose: Loader) -> anyhow::Result<Finding> {
    let (file, pointer) = match whose {
        Loader::Prometheus => ("config", "/data/yaml"),
        Loader::Alertmanager => ("alertmanager", "/config/original"),
    };
    let answer = experiment.loaded(file)?;
    let loaded = answer.pointer(pointer).and_then(serde_json::Value::as_str);
    let loaded = loaded.with_context(|| format!("loaded/{file}.json holds no configuration"))?;
    let mut compared = monitoring::config_equal(whose, loaded, &rendered(experiment, tree)?);
    let mut exhibits = vec![format!("loaded/{file}.json")];
    if whose == Loader::Prometheus {
        compared.flags(&experiment.loaded("flags")?["data"], experiment.speed());
        exhibits.push("loaded/flags.json".to_owned());
    }
    Ok(Finding {
        population: compared.values,
        expected: format!("the {} values of the tree's file, at speed {}", compared.values, experiment.speed()),
        observed: match compared.differences.len() {
            0 => "each as loaded, and nothing but defaults beside them".to_owned(),
            1 => "1 difference".to_owned(),
            count => format!("{count} differences"),
        },
        exhibits,
        fails: (!compared.differences.is_empty()).then(|| compared.differences.join("; ")),
        not_proven: None,
    })
}

/// The tree's monitoring files as this stack got them.
fn rendered(experiment: &Experiment, tree: &Tree) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let rendered = tree.monitoring.render(&experiment.run.addresses, experiment.speed());
    rendered.map_err(|findings| anyhow::anyhow!("{}", crate::failure::Failure::from(findings)))
}

/// The watchdog fires at every evaluation of the window, and the receiver has heard of it.
fn watchdog(experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
    let run = &experiment.run;
    let alerts = experiment.samples("alerts")?;
    let firing = timeline::firing_samples(WATCHDOG, &alerts);
    let evaluation = real_ms(tree.monitoring.evaluation_interval(), experiment.speed().factor());
    let away: i64 = run.outages(&[PROMETHEUS]).iter().map(|(from, to)| to - from).sum();
    let due = usize::try_from((run.end_ms - run.quiet_ms - away) / evaluation.max(1)).unwrap_or(0);
    let heard = experiment.notifications.iter().filter(|n| timeline::says(n, WATCHDOG, "firing")).count();
    let mut wrong = Vec::new();
    // The window does not begin on an evaluation: one at each end may lie outside.
    if firing + 2 < due {
        wrong.push(format!("{firing} evaluations recorded, {due} were due"));
    }
    if heard == 0 {
        wrong.push("no notification of it arrived".to_owned());
    }
    Ok(Finding {
        population: firing,
        expected: format!("at least {} evaluations, and a notification", due.saturating_sub(2)),
        observed: format!("{firing} evaluations, {heard} notifications"),
        exhibits: vec!["samples/alerts.json".to_owned(), "notifications.jsonl".to_owned()],
        fails: (!wrong.is_empty()).then(|| wrong.join("; ")),
        not_proven: None,
    })
}

/// From when to when the scenario gave the alerts a reason: from the first faulty request that left (where a phase as
/// such is the reason, from its start) to the end of the last such phase.
pub fn fault_window(experiment: &Experiment) -> Option<(i64, i64)> {
    let mut reasons = experiment.run.phases.iter().filter(|phase| phase.faulty);
    let first = reasons.next()?;
    let last = reasons.next_back().unwrap_or(first);
    let sent =
        experiment.ledger.entries.iter().filter(|entry| entry.fault.is_some()).filter_map(|entry| entry.sent_us).min();
    let start = sent.map_or(first.start_ms, |sent| experiment.wall_ms(sent));
    Some((start, last.end_ms))
}

/// Whether it took less than its scenario says at this speed, as `--duration` has it.
fn was_shortened(experiment: &Experiment) -> bool {
    let whole: u128 = experiment.scenario.phases.iter().map(|phase| phase.duration.as_micros()).sum();
    u128::from(experiment.ledger.head.length_us) < whole / u128::from(experiment.speed().factor())
}

/// Whether the scenario sends anything at all.
pub(super) fn sends(experiment: &Experiment) -> bool {
    experiment.scenario.phases.iter().any(|phase| phase.volume != Volume::Silent)
}

/// Whether the client saw the reason: a request that failed or was late as its fault says, or, where a phase as such is
/// the reason, traffic around it.
fn saw_the_fault(experiment: &Experiment) -> bool {
    let entries = &experiment.ledger.entries;
    if experiment.scenario.injects_faults() {
        entries.iter().any(felt_its_fault)
    } else {
        entries.iter().any(|entry| entry.status().is_some())
    }
}

/// Whether one of a request's faults shows in what came of it: a service that takes no faults answers as ever.
fn felt_its_fault(entry: &Entry) -> bool {
    let took_us = entry.sent_us.zip(entry.ended_us).map(|(sent, ended)| u128::from(ended - sent));
    entry.fault.iter().flat_map(|faults| faults.split(',')).any(|fault| match fault.trim().strip_prefix("delay=") {
        Some(delay) => crate::duration::parse(delay).is_ok_and(|delay| took_us >= Some(delay.as_micros())),
        None => entry.status() >= Some(500),
    })
}

/// An expected alert's life in the window.
pub fn cycle_of(experiment: &Experiment, tree: &Tree, alert: &str) -> anyhow::Result<Cycle> {
    let evaluation = real_ms(tree.monitoring.evaluation_interval(), experiment.speed().factor());
    let alerts = experiment.samples("alerts")?;
    Ok(timeline::cycle(alert, &alerts, &experiment.notifications, evaluation, experiment.run.end_ms))
}

fn alert_step(
    experiment: &Experiment,
    tree: &Tree,
    alert: &str,
    step: Step,
    not_before_ms: i64,
    not_after_ms: i64,
) -> anyhow::Result<Finding> {
    let mut finding = Finding {
        exhibits: vec!["samples/alerts.json".to_owned(), "notifications.jsonl".to_owned(), "ledger.jsonl".to_owned()],
        ..Finding::default()
    };
    let Some((fault_start, fault_end)) = fault_window(experiment).filter(|_| saw_the_fault(experiment)) else {
        finding.not_proven = Some("the client saw no fault, so there was nothing to alert on".to_owned());
        return Ok(finding);
    };
    let cycle = cycle_of(experiment, tree, alert)?;
    let alerts = experiment.samples("alerts")?;
    finding.population = match step {
        Step::Pending => timeline::active_samples(alert, &alerts),
        _ => timeline::firing_samples(alert, &alerts),
    };
    let (from, at, verb) = match step {
        Step::Pending => (Some(fault_start), cycle.pending_ms, "pending"),
        Step::Fires => (Some(fault_start), cycle.firing_ms, "firing"),
        Step::Notified => {
            (cycle.firing_ms.map(|firing| could_be_told(experiment, firing)), cycle.notified_ms, "notified")
        }
        Step::Resolves => (Some(fault_end), cycle.resolved_ms, "resolved"),
        Step::ResolvedNotified => (cycle.resolved_ms, cycle.resolved_notified_ms, "told resolved"),
    };
    finding.expected = format!("{verb} {}", between(not_before_ms, not_after_ms));
    let (Some(from), Some(at)) = (from, at) else {
        finding.observed = format!("never {verb} in the window");
        finding.fails = Some(format!("{alert} was never {verb}"));
        return Ok(finding);
    };
    let after = at - from;
    finding.observed = format!("{verb} after {}", seconds(after));
    let hold = cycle.firing_ms.zip(cycle.pending_ms).map(|(firing, pending)| firing - pending);
    let share = experiment.scenario.fault_share();
    let latest = tree.monitoring.alert(alert).map(|alert| tree.monitoring.bounds(alert, share).latest_firing);
    let within = experiment.scenario.expect.within.unwrap_or_default();
    if after < not_before_ms || after > not_after_ms {
        finding.fails =
            Some(format!("{verb} after {}; must be {}", seconds(after), between(not_before_ms, not_after_ms)));
    } else if step == Step::Fires && at >= fault_end {
        finding.fails = Some("it fired only when the fault was over".to_owned());
    } else if step == Step::Fires && hold.is_some_and(|hold| hold < not_before_ms) {
        let hold = seconds(hold.unwrap_or_default());
        finding.fails = Some(format!("it was pending for {hold} only; its `for` is {}", seconds(not_before_ms)));
    } else if let Some(latest) = latest.filter(|latest| step == Step::Fires && *latest > within) {
        finding.fails = Some(format!(
            "the loaded configuration allows it to fire as late as {} after the fault; the scenario promises {}",
            crate::duration::print(latest),
            crate::duration::print(within)
        ));
    }
    Ok(finding)
}

/// From when on the receiver can have been told: at once, or when it was ordered back.
fn could_be_told(experiment: &Experiment, firing_ms: i64) -> i64 {
    experiment.run.ordered_back(RECEIVER, firing_ms).unwrap_or(firing_ms)
}

fn inhibited(experiment: &Experiment, alert: &str) -> anyhow::Result<Finding> {
    let firing = timeline::firing_samples(alert, &experiment.samples("alerts")?);
    let told = experiment.notifications.iter().filter(|n| timeline::says(n, alert, "firing")).count();
    let fails = match (firing, told) {
        (0, _) => Some(format!("{alert} never fired, so nothing was held back")),
        (_, 0) => None,
        _ => Some(format!("the receiver was told of {alert}")),
    };
    Ok(Finding {
        population: firing,
        expected: "firing, and no notification".to_owned(),
        observed: format!("firing at {firing} evaluations, {told} notifications"),
        exhibits: vec!["samples/alerts.json".to_owned(), "notifications.jsonl".to_owned()],
        fails,
        not_proven: None,
    })
}

/// The optional component that everything an expression asks for would come from, if it is not part of the stack: what is
/// asked of nobody shows nothing.
pub(super) fn asks_nobody<'a>(
    experiment: &Experiment,
    expressions: impl IntoIterator<Item = &'a str>,
) -> anyhow::Result<Option<String>> {
    let source = |name: &str| match name {
        "aiclipx_log_lines_total" => Some("vector"),
        _ => OPTIONAL.into_iter().find(|job| name.strip_prefix(job).is_some_and(|rest| rest.starts_with('_'))),
    };
    let mut sources = std::collections::BTreeSet::new();
    for expression in expressions {
        let tree = promql::parse(expression).map_err(|error| anyhow::anyhow!("{expression}: {error}"))?;
        sources.extend(promql::selectors(&tree).into_iter().map(|one| one.name.as_deref().and_then(source)));
    }
    let [Some(only)] = sources.into_iter().collect::<Vec<_>>()[..] else { return Ok(None) };
    Ok((!experiment.scraped.contains(only)).then(|| format!("{only} is not part of this stack")))
}

fn quiet(experiment: &Experiment, tree: &Tree, alert: &str) -> anyhow::Result<Finding> {
    let alerts = experiment.samples("alerts")?;
    let firing = timeline::firing_samples(alert, &alerts);
    let told = experiment.notifications.iter().filter(|n| timeline::says(n, alert, "firing")).count();
    Ok(Finding {
        // Silence proves nothing unless rules were evaluated: the watchdog's samples are the evaluations.
        population: timeline::firing_samples(WATCHDOG, &alerts),
        expected: "not firing at any evaluation".to_owned(),
        observed: match experiment.run.unseen.get(&Unseen::Notifications) {
            None => format!("firing at {firing} evaluations, {told} notifications"),
            Some(_) => format!("firing at {firing} evaluations; notifications out of reach"),
        },
        exhibits: vec!["samples/alerts.json".to_owned(), "notifications.jsonl".to_owned()],
        fails: (firing > 0 || told > 0).then(|| format!("{alert} fired, and nothing in the scenario should make it")),
        not_proven: if firing > 0 || told > 0 {
            None
        } else {
            asks_nobody(experiment, tree.monitoring.alert(alert).map(|alert| alert.expr.as_str()))?
        },
    })
}

fn pictured(experiment: &Experiment, tree: &Tree, alert: &str, page: &str) -> anyhow::Result<Finding> {
    let run = &experiment.run;
    let mut finding = Finding { expected: "a picture taken while it fired".to_owned(), ..Finding::default() };
    let Some(picture) = run.pictures.iter().find(|picture| picture.page == page && picture.alert == alert) else {
        "no picture".clone_into(&mut finding.observed);
        finding.not_proven =
            Some(run.pictures_missing.clone().unwrap_or_else(|| format!("{alert} was not seen firing while enacting")));
        return Ok(finding);
    };
    finding.exhibits = vec![Picture::file(alert, page)];
    let bytes = experiment.picture(picture).unwrap_or_default();
    finding.population = usize::from(bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
    let cycle = cycle_of(experiment, tree, alert)?;
    let during = cycle
        .firing_ms
        .zip(cycle.last_firing_ms)
        .is_some_and(|(first, last)| (first..=last).contains(&picture.taken_ms));
    finding.observed = match cycle.firing_ms {
        Some(firing) => format!("taken {} after it began to fire", seconds(picture.taken_ms - firing)),
        None => "the alert never fired".to_owned(),
    };
    if !during {
        finding.fails = Some("it was not taken while the alert fired".to_owned());
    }
    Ok(finding)
}

fn real_ms(production: std::time::Duration, k: u32) -> i64 {
    i64::try_from(production.as_millis()).unwrap_or(i64::MAX) / i64::from(k)
}

/// `7.2 s`.
#[allow(clippy::cast_precision_loss)] // minutes at most
pub fn seconds(millis: i64) -> String {
    format!("{:.1} s", millis as f64 / 1000.0)
}

/// A time before the beginning is only allowed for because evaluations are a step apart: it is not worth telling.
fn between(from_ms: i64, to_ms: i64) -> String {
    if from_ms <= 0 {
        format!("within {}", seconds(to_ms))
    } else {
        format!("between {} and {}", seconds(from_ms), seconds(to_ms))
    }
}

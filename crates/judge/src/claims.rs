//! What must hold for an experiment: derived from its scenario and the monitoring files, and from nothing else.
//!
//! One pure function, used before the judging and again by `verify`: a claim that someone removed from a bundle is
//! derived again and missed. Nobody writes a list of claims by hand, so none can be forgotten.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::grafana;
use super::judge::seconds;
use super::run::{APP, RECEIVER};
use super::tree::Tree;
use aiclipx_base::duration::{self, Speed};
use aiclipx_model::monitoring::{Loader, Monitoring, WATCHDOG};
use aiclipx_model::scenario::{Measure, Scenario};

/// Something that must hold for one experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// `error-rate/alert-fires/AppHigh5xxErrorRate`: stable, unique in a bundle.
    pub id: String,
    /// The experiment's name.
    pub experiment: String,
    /// In words a reader understands.
    pub says: String,
    /// What is to be decided.
    #[serde(flatten)]
    pub kind: Kind,
}

/// The kinds of claims there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kind {
    /// Prometheus counted exactly what the client did.
    CountersEqualLedger {
        /// Which counter.
        family: Family,
    },
    /// The scenario that was enacted is the tree's, byte for byte.
    ScenarioOfTree,
    /// What was sent is what the scenario, the seed and the speed give rise to.
    ScheduleFollows,
    /// The latency histogram's buckets can be those of the client's requests.
    BucketsHold,
    /// The request ids in the service's log are those of the ledger, with the same status.
    LogsEqualLedger,
    /// Secrets that were written into a log are not in the store of logs, and the lines they were in are.
    SecretsKeptOut,
    /// What Prometheus stored last is what the service exposes.
    StoredEqualsExposed,
    /// The rules that Prometheus evaluates are the rules of the tree, at this speed.
    LoadedEqualsTree,
    /// The configuration that a component says it runs is the tree's, at this speed.
    ConfigEqualsTree {
        /// Whose.
        loader: Loader,
    },
    /// Evaluations went on and the watchdog fired through the whole chain.
    WatchdogArrives,
    /// Every fault that was asked for shows in what came of its request.
    FaultsArrive,
    /// A step in the life of an alert that the scenario expects.
    AlertCycle {
        /// The alert.
        alert: String,
        /// The step.
        step: Step,
        /// Not before, real milliseconds after the step's beginning.
        not_before_ms: i64,
        /// Not after, real milliseconds after the step's beginning.
        not_after_ms: i64,
    },
    /// An alert that nobody expects does not fire.
    AlertQuiet {
        /// The alert.
        alert: String,
    },
    /// An alert fires and nobody is told of it: another one says it already.
    AlertInhibited {
        /// The alert.
        alert: String,
    },
    /// A dashboard panel shows what the client's ledger says.
    PanelShows {
        /// `uid/id`.
        panel: String,
        /// What it must show.
        measure: Measure,
    },
    /// Every query of a dashboard panel is answered without an error.
    PanelAnswers {
        /// `uid/id`.
        panel: String,
    },
    /// A page was pictured while the alert fired.
    Pictured {
        /// The alert.
        alert: String,
        /// `targets`, `alerts` or `graph`.
        page: String,
    },
    /// Grafana's page of a dashboard was pictured, and every query of it answered.
    DashboardPictured {
        /// Its uid.
        dashboard: String,
    },
}

/// The counters that are reconciled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// `app_requests_total`.
    Requests,
    /// `app_request_latency_seconds_count`.
    LatencyCount,
    /// `app_request_latency_seconds_bucket{le="+Inf"}`.
    LatencyInf,
    /// `app_errors_total`.
    Errors,
}

/// Steps in the life of an alert; each is timed from the one it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// From the first faulty request to pending.
    Pending,
    /// From the first faulty request to firing.
    Fires,
    /// From firing to the receiver's webhook; from the order that brings the receiver back, where it was away by then.
    Notified,
    /// From the fault's end to the first evaluation at which it no longer fires.
    Resolves,
    /// From there to the receiver's webhook.
    ResolvedNotified,
}

/// Delivery runs on a machine that does other things too: what a webhook may be late by, beyond its configured waits.
const DELIVERY_SLACK: Duration = Duration::from_secs(1);

/// An Alertmanager that could not deliver goes on trying, in steps that grow, for at least this long (its least time-out
/// for a notification); then the next group interval begins anew.
const DELIVERY_RETRIES: Duration = Duration::from_secs(10);

/// Everything that must hold for a scenario enacted at a speed; `experiment` is the name of its folder in the bundle.
pub fn claims(experiment: &str, scenario: &Scenario, tree: &Tree, speed: Speed) -> Vec<Claim> {
    let monitoring = &tree.monitoring;
    let mut claims = Claims { experiment: experiment.to_owned(), list: Vec::new() };
    claims.add("scenario", "the scenario that was enacted is the tree's, byte for byte", Kind::ScenarioOfTree);
    claims.add("schedule", "what was sent is what scenario, seed and speed give rise to", Kind::ScheduleFollows);
    claims.add(
        "loaded",
        "the rules Prometheus evaluates are the rules of the tree, at the declared speed",
        Kind::LoadedEqualsTree,
    );
    for loader in Loader::ALL {
        let name = loader.name();
        let says = format!("the configuration that {name} runs is the tree's, at the declared speed");
        claims.add(&format!("config/{name}"), &says, Kind::ConfigEqualsTree { loader });
    }
    for (family, id, says) in [
        (Family::Requests, "requests", "Prometheus counted every request exactly once, as the client saw it answered"),
        (Family::LatencyCount, "latency-count", "every request has exactly one latency observation"),
        (Family::LatencyInf, "latency-inf", "no latency observation is missing from the histogram's buckets"),
        (Family::Errors, "errors", "server faults were counted exactly as injected"),
    ] {
        claims.add(&format!("counters/{id}"), says, Kind::CountersEqualLedger { family });
    }
    // A service that is stopped on purpose begins at zero again, and what stands between is in no exposition.
    if !scenario.phases.iter().flat_map(|phase| &phase.steps).any(|step| step.component == APP) {
        claims.add(
            "buckets",
            "every latency bucket holds the one below it, and no less than the client saw answered in its time",
            Kind::BucketsHold,
        );
    }
    claims.add("exposed", "what Prometheus stored last is what the service exposes", Kind::StoredEqualsExposed);
    claims.add(
        "log",
        "the service's log holds the ledger's requests, each once, with the same status",
        Kind::LogsEqualLedger,
    );
    if scenario.expect.redacts {
        let says = "no secret that was planted in a log is in the store of logs, and every line it was in is";
        claims.add("log-secrets", says, Kind::SecretsKeptOut);
    }
    if scenario.injects_faults() {
        let says = "every fault that was asked for came: its request failed, or was late, as asked";
        claims.add("faults", says, Kind::FaultsArrive);
    }
    claims.add("watchdog", "rules were evaluated all the time, and notifications get through", Kind::WatchdogArrives);

    for alert in monitoring.alerts() {
        let name = alert.name.as_str();
        if scenario.expect.fires.iter().any(|fires| fires == name) {
            for (id, says, kind) in cycle(scenario, monitoring, name, speed) {
                claims.add(&format!("{id}/{name}"), &says, kind);
            }
        } else if scenario.expect.inhibits.iter().any(|inhibited| inhibited == name) {
            let says = format!("{name} fires too, and nobody is told: {} says it", scenario.expect.fires.join(", "));
            claims.add(&format!("alert-inhibited/{name}"), &says, Kind::AlertInhibited { alert: name.to_owned() });
        } else if name != WATCHDOG && !scenario.expect.may_fire.iter().any(|may| may == name) {
            let says = format!("{name} stays quiet");
            claims.add(&format!("alert-quiet/{name}"), &says, Kind::AlertQuiet { alert: name.to_owned() });
        }
    }
    // An expected alert that no rule defines can't fire: the claim stays, and fails.
    for name in &scenario.expect.fires {
        if !monitoring.alerts().iter().any(|alert| alert.name == *name) {
            let kind = Kind::AlertCycle { alert: name.clone(), step: Step::Fires, not_before_ms: 0, not_after_ms: 0 };
            claims.add(&format!("alert-fires/{name}"), &format!("{name} fires"), kind);
        }
    }

    for panel in tree.panels() {
        let says = format!("every query of panel {} is answered", tree.named(&panel));
        claims.add(&format!("panel-answers/{panel}"), &says, Kind::PanelAnswers { panel });
    }
    for (panel, measure) in &scenario.expect.panels {
        let says = format!("panel {} shows the {} of the client's ledger", tree.named(panel), measure_name(*measure));
        claims.add(
            &format!("panel-shows/{panel}"),
            &says,
            Kind::PanelShows { panel: panel.clone(), measure: *measure },
        );
    }
    for dashboard in grafana::dashboards(scenario) {
        claims.add(
            &format!("pictured-dashboard/{dashboard}"),
            &format!("Grafana's page of {dashboard} was pictured over the run, and every query of it answered"),
            Kind::DashboardPictured { dashboard: dashboard.to_owned() },
        );
    }
    claims.list
}

/// The steps of an expected alert with the times they must keep.
fn cycle(scenario: &Scenario, monitoring: &Monitoring, name: &str, speed: Speed) -> Vec<(&'static str, String, Kind)> {
    let k = i64::from(speed.factor());
    let real = |production: Duration| i64::try_from(production.as_millis()).unwrap_or(i64::MAX) / k;
    let slack = i64::try_from(DELIVERY_SLACK.as_millis()).unwrap_or(i64::MAX);
    let Some(alert) = monitoring.alert(name) else { return Vec::new() };
    let bounds = monitoring.bounds(alert, scenario.fault_share());
    let fault: Duration = scenario.phases.iter().filter(|phase| phase.is_faulty()).map(|phase| phase.duration).sum();
    let within = scenario.expect.within.unwrap_or(fault).min(fault);
    let evaluation = real(alert.evaluation_interval);
    let reason = if scenario.phases.iter().any(|phase| phase.provokes) {
        "what provokes it began"
    } else {
        "the first faulty request"
    };
    let ratio = if k == 1 { String::new() } else { format!(" of production time ({})", seconds(real(within))) };
    let is_lost = scenario.phases.iter().flat_map(|phase| &phase.steps).any(|step| step.component == RECEIVER);
    let retries = if is_lost { i64::try_from(DELIVERY_RETRIES.as_millis()).unwrap_or(i64::MAX) } else { 0 };
    let step = |step, not_before_ms, not_after_ms| Kind::AlertCycle {
        alert: name.to_owned(),
        step,
        not_before_ms,
        not_after_ms,
    };
    let mut steps = vec![
        ("alert-pending", format!("{name} goes pending after {reason}"), step(Step::Pending, 0, real(within))),
        (
            "alert-fires",
            format!(
                "{name} fires, not before its `for`, within {}{ratio} and while the reason lasts",
                duration::print(within)
            ),
            step(Step::Fires, real(bounds.earliest_firing), real(within)),
        ),
        (
            "alert-notified",
            format!("the receiver is told that {name} fires{}", if is_lost { ", once it is there again" } else { "" }),
            step(
                Step::Notified,
                0,
                real(bounds.latest_notified.saturating_sub(bounds.latest_firing)) + slack + retries,
            ),
        ),
        (
            "alert-resolves",
            format!("{name} resolves when the reason is gone"),
            step(Step::Resolves, -evaluation, real(bounds.latest_resolved)),
        ),
        (
            "alert-resolved-notified",
            format!("the receiver is told that {name} is resolved"),
            step(
                Step::ResolvedNotified,
                -evaluation,
                real(bounds.latest_resolved_notified.saturating_sub(bounds.latest_resolved)) + slack,
            ),
        ),
    ];
    for page in PICTURED_PAGES {
        let kind = Kind::Pictured { alert: name.to_owned(), page: page.to_owned() };
        steps.push((picture_id(page), format!("Prometheus' {page} page was pictured while {name} fired"), kind));
    }
    steps
}

/// A measure in words.
pub fn measure_name(measure: Measure) -> &'static str {
    match measure {
        Measure::RequestRate => "request rate",
        Measure::ErrorShare => "share of server errors",
        Measure::ErrorRate => "rate of server faults",
        Measure::LatencyP95 => "95th percentile of latency",
        Measure::TopEndpoint => "busiest endpoint",
    }
}

/// The pages of Prometheus that are pictured while an expected alert fires.
pub const PICTURED_PAGES: [&str; 3] = ["targets", "alerts", "graph"];

fn picture_id(page: &str) -> &'static str {
    match page {
        "targets" => "pictured-targets",
        "alerts" => "pictured-alerts",
        _ => "pictured-graph",
    }
}

struct Claims {
    experiment: String,
    list: Vec<Claim>,
}

impl Claims {
    fn add(&mut self, id: &str, says: &str, kind: Kind) {
        let experiment = self.experiment.clone();
        self.list.push(Claim { id: format!("{experiment}/{id}"), experiment, says: says.to_owned(), kind });
    }
}

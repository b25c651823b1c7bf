//! A step in the life of an alert that the scenario expects: pending, firing, notified, resolved, notified again, each in its
//! time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Given, Stated};
use crate::artifacts::{LEDGER, NOTIFICATIONS, SAMPLE};
use crate::experiment::Experiment;
use crate::faults::{fault_window, saw_the_fault};
use crate::finding::Finding;
use crate::run::{RECEIVER, Unseen};
use crate::silence::why_unanswered;
use crate::timeline::{self, Cycle, cycle_of, seconds};
use crate::tree::Tree;
use aiclipx_base::duration;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertCycle {
    pub alert: String,
    pub step: Step,
    /// Not before, real milliseconds after the step's beginning.
    pub not_before_ms: i64,
    /// Not after, real milliseconds after the step's beginning.
    pub not_after_ms: i64,
}

impl AlertCycle {
    /// An expected alert that no rule defines can't fire: one claim stays, and fails.
    pub(super) fn derive(given: &Given<'_>, name: &str) -> Vec<Stated<Self>> {
        if !given.is_expected(name) {
            return Vec::new();
        }
        let stated = |id: &str, says: String, step, not_before_ms, not_after_ms| {
            let kind = AlertCycle { alert: name.to_owned(), step, not_before_ms, not_after_ms };
            Stated::new(format!("{id}/{name}"), says, kind)
        };
        let Given { scenario, tree: Tree { monitoring, .. }, speed } = given;
        let Some(alert) = monitoring.alert(name) else {
            return vec![stated("alert-fires", format!("{name} fires"), Step::Fires, 0, 0)];
        };
        let k = i64::from(speed.factor());
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let real = |production: Duration| millis(production) / k;
        let bounds = monitoring.bounds(alert, scenario.fault_share());
        let fault: Duration =
            scenario.phases.iter().filter(|phase| phase.is_faulty()).map(|phase| phase.duration).sum();
        let within = scenario.expect.within.unwrap_or(fault).min(fault);
        let evaluation = real(alert.evaluation_interval);
        let provokes = scenario.phases.iter().any(|phase| phase.provokes);
        let reason = if provokes { "what provokes it began" } else { "the first faulty request" };
        let ratio = if k == 1 { String::new() } else { format!(" of production time ({})", seconds(real(within))) };
        let is_lost = scenario.phases.iter().flat_map(|phase| &phase.steps).any(|step| step.component == RECEIVER);
        let (once_back, retries) =
            if is_lost { (", once it is there again", DELIVERY_RETRIES) } else { ("", Duration::ZERO) };
        let (notified, resolved) = (bounds.latest_notified, bounds.latest_resolved_notified);
        let delivery = real(notified.saturating_sub(bounds.latest_firing)) + millis(DELIVERY_SLACK + retries);
        let delivery_of_the_end = real(resolved.saturating_sub(bounds.latest_resolved)) + millis(DELIVERY_SLACK);
        let fires = format!(
            "{name} fires, not before its `for`, within {}{ratio} and while the reason lasts",
            duration::print(within)
        );
        vec![
            stated("alert-pending", format!("{name} goes pending after {reason}"), Step::Pending, 0, real(within)),
            stated("alert-fires", fires, Step::Fires, real(bounds.earliest_firing), real(within)),
            stated(
                "alert-notified",
                format!("the receiver is told that {name} fires{once_back}"),
                Step::Notified,
                0,
                delivery,
            ),
            stated(
                "alert-resolves",
                format!("{name} resolves when the reason is gone"),
                Step::Resolves,
                -evaluation,
                real(bounds.latest_resolved),
            ),
            stated(
                "alert-resolved-notified",
                format!("the receiver is told that {name} is resolved"),
                Step::ResolvedNotified,
                -evaluation,
                delivery_of_the_end,
            ),
        ]
    }

    /// Why an alert that fired in time is not as it should be all the same: by luck, or without its `for`.
    fn fired_wrongly(&self, experiment: &Experiment, tree: &Tree, cycle: &Cycle) -> Option<String> {
        let hold = cycle.firing_ms.zip(cycle.pending_ms).map(|(firing, pending)| firing - pending);
        if let Some(hold) = hold.filter(|hold| *hold < self.not_before_ms) {
            let due = seconds(self.not_before_ms);
            return Some(format!("it was pending for {} only; its `for` is {due}", seconds(hold)));
        }
        let scenario = &experiment.scenario;
        let within = scenario.expect.within.unwrap_or_default();
        let alert = tree.monitoring.alert(&self.alert)?;
        let latest = tree.monitoring.bounds(alert, scenario.fault_share()).latest_firing;
        (latest > within).then(|| {
            format!(
                "the loaded configuration allows it to fire as late as {} after the fault; the scenario promises {}",
                duration::print(latest),
                duration::print(within)
            )
        })
    }
}

impl ClaimKind for AlertCycle {
    fn name(&self) -> &'static str {
        match self.step {
            Step::Pending => "alert-cycle/pending",
            Step::Fires => "alert-cycle/fires",
            Step::Notified => "alert-cycle/notified",
            Step::Resolves => "alert-cycle/resolves",
            Step::ResolvedNotified => "alert-cycle/resolved-notified",
        }
    }

    fn needs(&self) -> Option<Unseen> {
        matches!(self.step, Step::Notified | Step::ResolvedNotified).then_some(Unseen::Notifications)
    }

    fn takes_time(&self) -> bool {
        true
    }

    fn alert(&self) -> Option<&str> {
        (self.step == Step::Fires).then_some(self.alert.as_str())
    }

    fn decide(&self, experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
        let AlertCycle { alert, step, not_before_ms, not_after_ms } = self;
        let (step, not_before_ms, not_after_ms) = (*step, *not_before_ms, *not_after_ms);
        if let Some(why) = why_unanswered(experiment, tree.monitoring.alert(alert).map(|alert| alert.expr.as_str()))? {
            return Ok(Finding::out_of_reach(why));
        }
        let mut finding = Finding {
            artifacts: vec![SAMPLE.named("alerts"), NOTIFICATIONS.file(), LEDGER.file()],
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
        if after < not_before_ms || after > not_after_ms {
            let must = between(not_before_ms, not_after_ms);
            finding.fails = Some(format!("{verb} after {}; must be {must}", seconds(after)));
        } else if step == Step::Fires {
            finding.fails = if at >= fault_end {
                Some("it fired only when the fault was over".to_owned())
            } else {
                self.fired_wrongly(experiment, tree, &cycle)
            };
        }
        Ok(finding)
    }
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

/// From when on the receiver can have been notified: at once, or when it was ordered back.
fn could_be_told(experiment: &Experiment, firing_ms: i64) -> i64 {
    experiment.run.ordered_back(RECEIVER, firing_ms).unwrap_or(firing_ms)
}

/// A time before the beginning is only allowed for because evaluations are a step apart: it is not worth telling.
fn between(from_ms: i64, to_ms: i64) -> String {
    if from_ms <= 0 {
        format!("within {}", seconds(to_ms))
    } else {
        format!("between {} and {}", seconds(from_ms), seconds(to_ms))
    }
}

/// Delivery runs on a machine that does other things too: what a webhook may be late by, beyond its configured waits.
const DELIVERY_SLACK: Duration = Duration::from_secs(1);

/// An Alertmanager that could not deliver goes on trying, in steps that grow, for at least this long (its least time-out
/// for a notification); then the next group interval begins anew.
const DELIVERY_RETRIES: Duration = Duration::from_secs(10);

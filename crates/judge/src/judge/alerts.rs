//! Whether alerts live as their scenario says: pending, firing, told, resolved, told again, each in its time; held back; quiet;
//! and pictured while they fire.

use super::{Finding, asks_nobody, real_ms, seconds};
use crate::artifacts;
use crate::claims::Step;
use crate::experiment::Experiment;
use crate::run::{PROMETHEUS, RECEIVER, Unseen};
use crate::timeline::{self, Cycle};
use crate::tree::Tree;
use aiclipx_model::monitoring::WATCHDOG;
use aiclipx_model::scenario::Action;
use aiclipx_model::traffic::ledger::Entry;

/// The watchdog fires at every evaluation of the window, and the receiver has heard of it.
pub(super) fn watchdog(experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
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
        artifacts: vec!["samples/alerts.json".to_owned(), "notifications.jsonl".to_owned()],
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
    // A component is back when it was started, and not when that was asked for: on a busy machine that is a second.
    let back = experiment.run.steps.iter().filter(|step| {
        matches!(step.action, Action::Start | Action::Resume) && step.start_ms >= last.end_ms && experiment.is_since(5)
    });
    let next_ms = experiment.run.phases.iter().map(|phase| phase.end_ms).find(|end| *end > last.end_ms);
    let back = back.filter(|step| next_ms.is_none_or(|next| step.start_ms < next)).map(|step| step.end_ms);
    Some((start, back.max().unwrap_or(last.end_ms)))
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

/// What a request took, microseconds.
pub(super) fn took_us(entry: &Entry) -> Option<u64> {
    entry.sent_us.zip(entry.ended_us).map(|(sent, ended)| ended.saturating_sub(sent))
}

/// By how much a request's fault delays it, microseconds.
pub fn delay_us(entry: &Entry) -> u64 {
    let faults = entry.fault.iter().flat_map(|faults| faults.split(','));
    let delays = faults.filter_map(|fault| aiclipx_base::duration::parse(fault.trim().strip_prefix("delay=")?).ok());
    delays.map(|delay| u64::try_from(delay.as_micros()).unwrap_or(u64::MAX)).sum()
}

/// Whether one of a request's faults shows in what came of it: a service that takes no faults answers as ever.
pub(super) fn felt_its_fault(entry: &Entry) -> bool {
    entry.fault.iter().flat_map(|faults| faults.split(',')).any(|fault| match fault.trim().strip_prefix("delay=") {
        Some(_) => took_us(entry) >= Some(delay_us(entry)),
        None => entry.status() >= Some(500),
    })
}

/// How often an alert's group is evaluated on the experiment's stack, in milliseconds.
pub fn evaluation_ms(experiment: &Experiment, tree: &Tree, alert: &str) -> i64 {
    let monitoring = &tree.monitoring;
    let interval = monitoring.alert(alert).map_or(monitoring.evaluation_interval(), |alert| alert.evaluation_interval);
    real_ms(interval, experiment.speed().factor())
}

/// An expected alert's life in the window.
pub fn cycle_of(experiment: &Experiment, tree: &Tree, alert: &str) -> anyhow::Result<Cycle> {
    let evaluation = evaluation_ms(experiment, tree, alert);
    let alerts = experiment.samples("alerts")?;
    Ok(timeline::cycle(alert, &alerts, &experiment.notifications, evaluation, experiment.run.end_ms))
}

pub(super) fn alert_step(
    experiment: &Experiment,
    tree: &Tree,
    alert: &str,
    step: Step,
    not_before_ms: i64,
    not_after_ms: i64,
) -> anyhow::Result<Finding> {
    let mut finding = Finding {
        artifacts: vec!["samples/alerts.json".to_owned(), "notifications.jsonl".to_owned(), "ledger.jsonl".to_owned()],
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
            aiclipx_base::duration::print(latest),
            aiclipx_base::duration::print(within)
        ));
    }
    Ok(finding)
}

/// From when on the receiver can have been told: at once, or when it was ordered back.
fn could_be_told(experiment: &Experiment, firing_ms: i64) -> i64 {
    experiment.run.ordered_back(RECEIVER, firing_ms).unwrap_or(firing_ms)
}

pub(super) fn inhibited(experiment: &Experiment, alert: &str) -> anyhow::Result<Finding> {
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
        artifacts: vec!["samples/alerts.json".to_owned(), "notifications.jsonl".to_owned()],
        fails,
        not_proven: None,
    })
}

pub(super) fn quiet(experiment: &Experiment, tree: &Tree, alert: &str) -> anyhow::Result<Finding> {
    let alerts = experiment.samples("alerts")?;
    // While the last notifications are waited for nobody calls, and that is not the scenario's doing.
    let until_ms = if experiment.is_since(3) { experiment.over_ms() } else { i64::MAX };
    let firing = timeline::firing_until(alert, &alerts, until_ms);
    let told = experiment.notifications.iter().filter(|n| n.received_ms <= until_ms);
    let told = told.filter(|n| timeline::says(n, alert, "firing")).count();
    Ok(Finding {
        // Silence proves nothing unless rules were evaluated: the watchdog's samples are the evaluations.
        population: timeline::firing_until(WATCHDOG, &alerts, until_ms),
        expected: "not firing at any evaluation".to_owned(),
        observed: match experiment.run.unseen.get(&Unseen::Notifications) {
            None => format!("firing at {firing} evaluations, {told} notifications"),
            Some(_) => format!("firing at {firing} evaluations; notifications out of reach"),
        },
        artifacts: vec!["samples/alerts.json".to_owned(), "notifications.jsonl".to_owned()],
        fails: (firing > 0 || told > 0).then(|| format!("{alert} fired, and nothing in the scenario should make it")),
        not_proven: if firing > 0 || told > 0 {
            None
        } else {
            asks_nobody(experiment, tree.monitoring.alert(alert).map(|alert| alert.expr.as_str()))?
        },
    })
}

pub(super) fn pictured(experiment: &Experiment, tree: &Tree, alert: &str, page: &str) -> anyhow::Result<Finding> {
    let run = &experiment.run;
    let mut finding = Finding { expected: "a picture taken while it fired".to_owned(), ..Finding::default() };
    let Some(picture) = run.pictures.iter().find(|picture| picture.page == page && picture.alert == alert) else {
        "no picture".clone_into(&mut finding.observed);
        let missing = run.missing_pictures.iter().find(|missing| missing.page == page && missing.alert == alert);
        finding.not_proven = Some(missing.map_or("nothing tells what became of it", |missing| &missing.why).to_owned());
        return Ok(finding);
    };
    finding.artifacts = vec![artifacts::picture(alert, page)];
    let bytes = experiment.picture(picture).unwrap_or_default();
    finding.population = usize::from(bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
    let cycle = cycle_of(experiment, tree, alert)?;
    // What an evaluation decides is told until the next one has run, and one that is late by a whole interval disturbs the run.
    let told_ms = 2 * evaluation_ms(experiment, tree, alert);
    let during = cycle
        .firing_ms
        .zip(cycle.last_firing_ms)
        .is_some_and(|(first, last)| (first..last + told_ms).contains(&picture.taken_ms));
    finding.observed = match cycle.firing_ms {
        Some(firing) => format!("taken {} after it began to fire", seconds(picture.taken_ms - firing)),
        None => "the alert never fired".to_owned(),
    };
    if !during {
        let why = "it was not taken while the alert fired".to_owned();
        // Of an alert that did fire, that is a browser that was slow.
        let is_late = experiment.is_since(3) && cycle.firing_ms.is_some_and(|firing| firing <= picture.taken_ms);
        *if is_late { &mut finding.not_proven } else { &mut finding.fails } = Some(why);
    }
    Ok(finding)
}

/// A time before the beginning is only allowed for because evaluations are a step apart: it is not worth telling.
fn between(from_ms: i64, to_ms: i64) -> String {
    if from_ms <= 0 {
        format!("within {}", seconds(to_ms))
    } else {
        format!("between {} and {}", seconds(from_ms), seconds(to_ms))
    }
}

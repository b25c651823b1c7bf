//! The reason that a scenario gives its alerts: the faults it asks for, whether they came, and from when to when.

use super::experiment::Experiment;
use aiclipx_model::scenario::Action;
use aiclipx_model::traffic::ledger::Entry;

/// From when to when the scenario gave the alerts a reason: from the first faulty request that left (where a phase as
/// such is the reason, from its start) to the end of the last such phase.
pub(crate) fn fault_window(experiment: &Experiment) -> Option<(i64, i64)> {
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
pub(crate) fn saw_the_fault(experiment: &Experiment) -> bool {
    let entries = &experiment.ledger.entries;
    if experiment.scenario.injects_faults() {
        entries.iter().any(felt_its_fault)
    } else {
        entries.iter().any(|entry| entry.status().is_some())
    }
}

/// What a request took, microseconds.
pub(crate) fn took_us(entry: &Entry) -> Option<u64> {
    entry.sent_us.zip(entry.ended_us).map(|(sent, ended)| ended.saturating_sub(sent))
}

/// By how much a request's fault delays it, microseconds.
pub(crate) fn delay_us(entry: &Entry) -> u64 {
    let faults = entry.fault.iter().flat_map(|faults| faults.split(','));
    let delays = faults.filter_map(|fault| aiclipx_base::duration::parse(fault.trim().strip_prefix("delay=")?).ok());
    delays.map(|delay| u64::try_from(delay.as_micros()).unwrap_or(u64::MAX)).sum()
}

/// Whether one of a request's faults shows in what came of it: a service that takes no faults answers as ever.
pub(crate) fn felt_its_fault(entry: &Entry) -> bool {
    entry.fault.iter().flat_map(|faults| faults.split(',')).any(|fault| match fault.trim().strip_prefix("delay=") {
        Some(_) => took_us(entry) >= Some(delay_us(entry)),
        None => entry.status() >= Some(500),
    })
}

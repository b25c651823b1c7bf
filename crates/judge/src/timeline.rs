//! When an alert went pending, fired, was notified, resolved, was notified again: from raw samples and webhooks.
//!
//! Prometheus writes one sample of `ALERTS` at every evaluation for as long as the alert is active, so the times here
//! are evaluation times, exact to the evaluation interval. The webhook's `startsAt` is not used: it is Prometheus' word again, and
//! the chain should be seen from both of its ends.

use std::time::Duration;

use super::experiment::Experiment;
use super::tree::Tree;
use aiclipx_model::notification::Notification;
use aiclipx_model::prom::answer::Series;

/// One alert's life in a window. Unix milliseconds; absent is: did not happen in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_field_names, reason = "the unit stands in the name")]
pub(crate) struct Cycle {
    /// First evaluation at which it was pending (or firing, if it has no `for`).
    pub pending_ms: Option<i64>,
    /// First evaluation at which it was firing.
    pub firing_ms: Option<i64>,
    /// Last evaluation at which it was firing.
    pub last_firing_ms: Option<i64>,
    /// First evaluation after that: it no longer fired. Absent while the window ends too early to tell.
    pub resolved_ms: Option<i64>,
    /// First webhook that said firing.
    pub notified_ms: Option<i64>,
    /// First webhook after the resolution that said resolved.
    pub resolved_notified_ms: Option<i64>,
}

/// Reads one alert's life out of the samples of `ALERTS` and the notifications of a window.
///
/// `evaluation_ms` is the real evaluation interval, `window_end_ms` the end of what was collected.
pub(crate) fn cycle(
    alert: &str,
    alerts: &[Series],
    notifications: &[Notification],
    evaluation_ms: i64,
    window_end_ms: i64,
) -> Cycle {
    let times = |state: &str| {
        let mut times: Vec<i64> = alerts
            .iter()
            .filter(|series| is(series, "alertname", alert) && is(series, "alertstate", state))
            .flat_map(|series| series.samples.iter().map(|sample| millis(sample.seconds)))
            .collect();
        times.sort_unstable();
        times
    };
    let (pending, firing) = (times("pending"), times("firing"));
    let firing_ms = firing.first().copied();
    let last_firing_ms = firing.last().copied();
    let resolved_ms =
        last_firing_ms.map(|last| last + evaluation_ms).filter(|next| next + evaluation_ms <= window_end_ms);
    let notified = |status: &'static str| {
        notifications.iter().filter(move |notification| says(notification, alert, status)).map(|n| n.received_ms)
    };
    Cycle {
        pending_ms: pending.first().copied().into_iter().chain(firing_ms).min(),
        firing_ms,
        last_firing_ms,
        resolved_ms,
        notified_ms: firing_ms.and_then(|from| notified("firing").find(|at| *at >= from)),
        resolved_notified_ms: last_firing_ms.and_then(|from| notified("resolved").find(|at| *at > from)),
    }
}

/// Number of evaluations at which an alert was firing.
pub(crate) fn firing_samples(alert: &str, alerts: &[Series]) -> usize {
    samples_in("firing", alert, alerts)
}

/// The same up to a time, Unix milliseconds.
pub(crate) fn firing_until(alert: &str, alerts: &[Series], until_ms: i64) -> usize {
    let of_it = alerts.iter().filter(|series| is(series, "alertname", alert) && is(series, "alertstate", "firing"));
    of_it.flat_map(|series| &series.samples).filter(|sample| millis(sample.seconds) <= until_ms).count()
}

/// Number of evaluations at which an alert was pending or firing.
pub(crate) fn active_samples(alert: &str, alerts: &[Series]) -> usize {
    samples_in("pending", alert, alerts) + samples_in("firing", alert, alerts)
}

fn samples_in(state: &str, alert: &str, alerts: &[Series]) -> usize {
    alerts
        .iter()
        .filter(|series| is(series, "alertname", alert) && is(series, "alertstate", state))
        .map(|series| series.samples.len())
        .sum()
}

/// Whether a webhook carries the alert with this status.
pub fn says(notification: &Notification, alert: &str, status: &str) -> bool {
    notification.says(alert, status)
}

/// Unix seconds, as Prometheus answers them, as whole milliseconds, as it stores them.
pub fn millis(seconds: f64) -> i64 {
    // Prometheus' timestamps are whole milliseconds, far inside what an f64 holds exactly.
    #[allow(clippy::cast_possible_truncation)]
    let millis = (seconds * 1000.0).round() as i64;
    millis
}

/// `2026-11-24 03:30:00.250 UTC`, of Prometheus' Unix seconds.
pub(crate) fn utc_exact(seconds: f64) -> String {
    let at = jiff::Timestamp::from_millisecond(millis(seconds));
    at.map_or_else(|_| "?".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S%.3f UTC").to_string())
}

fn is(series: &Series, label: &str, value: &str) -> bool {
    series.labels.get(label).is_some_and(|found| found == value)
}

/// An expected alert's life in the window.
pub(crate) fn cycle_of(experiment: &Experiment, tree: &Tree, alert: &str) -> anyhow::Result<Cycle> {
    let evaluation = evaluation_ms(experiment, tree, alert);
    let alerts = experiment.samples("alerts")?;
    Ok(cycle(alert, &alerts, &experiment.notifications, evaluation, experiment.run.end_ms))
}

/// How often an alert's group is evaluated on the experiment's stack, in milliseconds.
pub(crate) fn evaluation_ms(experiment: &Experiment, tree: &Tree, alert: &str) -> i64 {
    let monitoring = &tree.monitoring;
    let interval = monitoring.alert(alert).map_or(monitoring.evaluation_interval(), |alert| alert.evaluation_interval);
    real_ms(interval, experiment.speed().factor())
}

/// Production time on a stack that lives so many times faster, in whole milliseconds.
pub(crate) fn real_ms(production: Duration, k: u32) -> i64 {
    i64::try_from(production.as_millis()).unwrap_or(i64::MAX) / i64::from(k)
}

/// `7.2 s`.
#[allow(clippy::cast_precision_loss)] // minutes at most
pub(crate) fn seconds(millis: i64) -> String {
    format!("{:.1} s", millis as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use aiclipx_model::prom::answer::Sample;

    fn alerts(state: &str, seconds: &[f64]) -> Series {
        Series {
            labels: [("alertname", "A"), ("alertstate", state)].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            samples: seconds.iter().map(|s| Sample { seconds: *s, value: 1.0 }).collect(),
        }
    }

    fn webhook(received_ms: i64, alert: &str, status: &str) -> Notification {
        let body = json!({"status": status, "alerts": [{"status": status, "labels": {"alertname": alert}}]});
        Notification::read(&json!({"received_ms": received_ms, "body": body}).to_string()).unwrap()
    }

    #[test]
    fn a_whole_cycle_is_read() {
        let series = [alerts("pending", &[10.0, 10.5]), alerts("firing", &[11.0, 11.5, 12.0])];
        let webhooks =
            [webhook(9_000, "A", "firing"), webhook(11_200, "A", "firing"), webhook(13_000, "A", "resolved")];
        let cycle = cycle("A", &series, &webhooks, 500, 20_000);
        assert_eq!(cycle.pending_ms, Some(10_000));
        assert_eq!(cycle.firing_ms, Some(11_000));
        assert_eq!(cycle.resolved_ms, Some(12_500));
        assert_eq!(cycle.notified_ms, Some(11_200), "a webhook from before the firing is another firing's");
        assert_eq!(cycle.resolved_notified_ms, Some(13_000));
    }

    #[test]
    fn an_alert_that_fires_to_the_end_of_the_window_has_not_resolved() {
        let series = [alerts("firing", &[11.0, 12.0])];
        assert_eq!(cycle("A", &series, &[], 500, 12_700).resolved_ms, None);
    }

    #[test]
    fn another_alerts_samples_and_webhooks_do_not_count() {
        let series = [alerts("firing", &[11.0])];
        assert_eq!(cycle("B", &series, &[webhook(12_000, "A", "firing")], 500, 20_000), Cycle::default());
    }
}

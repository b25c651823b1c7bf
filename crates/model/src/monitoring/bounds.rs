//! When an alert must fire and resolve: derived from the rules, not guessed. Production time throughout.
//!
//! A fault that lasts turns into a firing alert by these steps, each with its longest delay:
//!
//! 1. the samples the expression looks back on fill with faulty ones: at most its window `w`; for a fault that makes a
//!    share `e` of requests faulty, and an expression that holds from a share `θ` on, `w·θ/e` at steady traffic;
//! 2. the next scrape brings the last of them: one scrape interval;
//! 3. recording rules and the alert are evaluated, in the worst case one after the other: two evaluations;
//! 4. the alert is pending for its `for`, counted in whole evaluations.
//!
//! So firing lies in `[for, w + scrape + 2·evaluation + for]` from the fault's start. Resolving runs the same way from
//! the fault's end, with `w·(1 − θ/e)`, and `keep_firing_for` in the place of `for`. These are times of a stack that
//! keeps up; what a busy machine adds is the judge's to allow, in real time.

use std::time::Duration;

use super::rule::Alert;
use super::{Monitoring, promql};

/// Where an alert's steps must lie, in production time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Not before this, from the fault's start.
    pub earliest_firing: Duration,
    /// At the latest, from the fault's start; a fault phase must be longer.
    pub latest_firing: Duration,
    /// The firing notification, from the fault's start: a new group waits `group_wait`, one that Alertmanager still
    /// remembers `group_interval`.
    pub latest_notified: Duration,
    /// Resolved, from the fault's end.
    pub latest_resolved: Duration,
    /// The resolved notification, from the fault's end.
    pub latest_resolved_notified: Duration,
}

impl Monitoring {
    /// The longest range an alert's expression fills before it is all one thing, recording rules followed: a range over
    /// a recorded rate adds to the rate's own. A range that only remembers (`max_over_time`, …) is none of it.
    ///
    /// Zero for an expression without a range.
    pub fn window_of(&self, alert: &Alert) -> Duration {
        promql::parse(&alert.expr).map(|tree| promql::window(&tree, &self.recorded)).unwrap_or_default()
    }

    /// The number an alert compares its value with, if it does: what a panel draws as its line.
    pub fn threshold_of(&self, alert: &Alert) -> Option<f64> {
        promql::parse(&alert.expr).ok().and_then(|tree| promql::threshold(&tree))
    }

    /// The bounds of an alert's cycle. `fault_share` is the share of requests (0…1) the fault makes faulty; it narrows
    /// the bounds of ratios and quantiles and is of no consequence to others. A share that can't reach the threshold
    /// narrows nothing.
    ///
    /// Of several shares that must all be reached (a long and a short window) the slowest fires and the fastest resolves.
    pub fn bounds(&self, alert: &Alert, fault_share: Option<f64>) -> Bounds {
        let tree = promql::parse(&alert.expr);
        let conjuncts = tree.as_ref().map(promql::conjuncts).unwrap_or_default();
        let crossed: Vec<(Duration, f64)> = conjuncts
            .into_iter()
            .filter_map(|part| {
                let threshold = promql::share_threshold(part, &self.recorded)?;
                let share = fault_share.filter(|share| threshold > 0.0 && threshold < *share)?;
                Some((promql::window(part, &self.recorded), threshold / share))
            })
            .collect();
        let window = self.window_of(alert);
        let filling = crossed.iter().map(|(window, crossed)| window.mul_f64(*crossed)).max().unwrap_or(window);
        let emptying = crossed.iter().map(|(window, crossed)| window.mul_f64(1.0 - crossed)).min().unwrap_or(window);
        let evaluation = alert.evaluation_interval;
        let seen = self.scrape_interval + 2 * evaluation;
        let timings = self.group_timings(alert);

        let latest_firing = filling + seen + whole_evaluations(alert.hold, evaluation);
        let latest_resolved = emptying + seen + whole_evaluations(alert.keep_firing_for, evaluation);
        Bounds {
            earliest_firing: alert.hold,
            latest_firing,
            latest_notified: latest_firing + timings.group_wait.max(timings.group_interval),
            latest_resolved,
            latest_resolved_notified: latest_resolved + timings.group_interval,
        }
    }
}

/// A time rounded up to whole evaluations: an alert changes state at one.
fn whole_evaluations(time: Duration, evaluation: Duration) -> Duration {
    if evaluation.is_zero() {
        return time;
    }
    let evaluations = time.as_nanos().div_ceil(evaluation.as_nanos());
    evaluation * u32::try_from(evaluations).unwrap_or(u32::MAX)
}

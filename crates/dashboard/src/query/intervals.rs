//! The lengths that Grafana puts into a query, and the step it asks with: the range divided by the panel's width, rounded, raised
//! to what is the least.
//!
//! The browser divides first, which gives `$__interval` its floor; the backend divides again and keeps below 11 000 points. A
//! query's own least step takes the place of the first; `$__rate_interval` looks back by it, and by the data source's without one.

use std::fmt::Write as _;
use std::time::Duration;

use super::range::TimeRange;
use aiclipx_base::duration;

/// Prometheus refuses more points a series; Grafana stays below.
const SAFE_RESOLUTION: u64 = 11_000;

/// The lengths Grafana puts in for its variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    /// The step of a range query, and `$__interval`.
    pub step: Duration,
    /// `$__rate_interval`: the step and one scrape more, at least four scrapes.
    pub rate: Duration,
    /// `$__range`.
    pub range: Duration,
}

/// What decides the step beside the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resolution {
    /// Points that are enough: the panel's width, unless it says.
    pub(super) points: u32,
    /// The data source's scrape interval.
    pub(super) scrape: Duration,
    /// The panel's least step.
    pub(super) panel: Option<Duration>,
    /// The query's.
    pub(super) query: MinStep,
    /// So many steps become one.
    pub(super) factor: u32,
}

/// A query's own least step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MinStep {
    /// The panel's.
    None,
    Given(Duration),
    /// `$__interval`: whatever comes out.
    Interval,
    /// `$__rate_interval`: the step is that.
    RateInterval,
}

impl Intervals {
    /// As Grafana computes them for a range, a width and a scrape interval.
    pub fn of(range: TimeRange, width: u32, min_interval: Duration) -> Intervals {
        let resolution =
            Resolution { points: width, scrape: min_interval, panel: None, query: MinStep::None, factor: 1 };
        Intervals::asked(range, resolution)
    }

    pub(super) fn asked(range: TimeRange, resolution: Resolution) -> Intervals {
        let Resolution { points, scrape, panel, query, factor } = resolution;
        let nanos = u64::try_from(range.length().as_nanos()).unwrap_or(u64::MAX);
        let share = Duration::from_nanos(nanos / u64::from(points.max(1)));
        // The browser rounds a tie up, the backend down; between them the step is never below either's minimum.
        let asked = rounded(share, true).max(panel.unwrap_or(scrape));
        let least = if let MinStep::Given(step) = query { step } else { asked };
        let calculated = if share < least { least } else { rounded(share, false) };
        let safe = rounded(Duration::from_nanos(nanos / SAFE_RESOLUTION), false);
        let adjusted = calculated.max(safe);
        let rate = |step: Duration, scrape: Duration| (step + scrape).max(scrape * 4);
        let range = range.length();
        if query == MinStep::RateInterval {
            let step = rate(adjusted, scrape);
            return Intervals { step, rate: step, range };
        }
        let step = adjusted.saturating_mul(factor.max(1));
        let scrape = match query {
            MinStep::Given(own) => own,
            MinStep::Interval => step,
            MinStep::None | MinStep::RateInterval => scrape,
        };
        Intervals { step, rate: rate(asked, scrape), range }
    }

    /// The expression with every variable of time filled in, `$__x` and `${__x}` alike.
    pub(super) fn filled_in(self, expr: &str) -> String {
        if !expr.contains("__") {
            return expr.to_owned();
        }
        let whole_seconds = (self.range.as_millis() + 500) / 1000;
        let mut filled = expr.to_owned();
        // The longer names first: `$__interval` begins `$__interval_ms`.
        for (name, text) in [
            ("__interval_ms", self.step.as_millis().to_string()),
            ("__interval", interval_text(self.step)),
            ("__range_ms", self.range.as_millis().to_string()),
            ("__range_s", whole_seconds.to_string()),
            ("__range", format!("{whole_seconds}s")),
            ("__rate_interval_ms", self.rate.as_millis().to_string()),
            ("__rate_interval", go_text(self.rate)),
        ] {
            filled = filled.replace(&format!("${name}"), &text).replace(&format!("${{{name}}}"), &text);
        }
        filled
    }
}

/// An interval as Grafana reads one: a length, perhaps with a sign before it, or a number of seconds.
pub(super) fn interval(text: &str) -> Option<Duration> {
    let bare = text.trim().trim_start_matches(['>', '=']);
    let length = bare.parse::<u32>().map(|seconds| Duration::from_secs(u64::from(seconds)));
    length.ok().or_else(|| duration::parse(bare).ok()).filter(|length| !length.is_zero())
}

/// What Grafana makes of a range for an interval that it computes: so many steps, not shorter than the least.
pub(super) fn computed(range: TimeRange, steps: u32, least: &str) -> String {
    let nanos = u64::try_from(range.length().as_nanos()).unwrap_or(u64::MAX);
    let share = rounded(Duration::from_nanos(nanos / u64::from(steps.max(1))), true);
    interval_text(share.max(interval(least).unwrap_or_default()))
}

/// Grafana's round lengths, each with the bound below which it is chosen, in milliseconds.
const ROUND: [(u64, u64); 29] = [
    (10, 1),
    (15, 10),
    (35, 20),
    (75, 50),
    (150, 100),
    (350, 200),
    (750, 500),
    (1_500, 1_000),
    (3_500, 2_000),
    (7_500, 5_000),
    (12_500, 10_000),
    (17_500, 15_000),
    (25_000, 20_000),
    (45_000, 30_000),
    (90_000, 60_000),
    (210_000, 120_000),
    (450_000, 300_000),
    (750_000, 600_000),
    (1_050_000, 900_000),
    (1_500_000, 1_200_000),
    (2_700_000, 1_800_000),
    (5_400_000, 3_600_000),
    (9_000_000, 7_200_000),
    (16_200_000, 10_800_000),
    (32_400_000, 21_600_000),
    (86_400_000, 43_200_000),
    (604_800_000, 86_400_000),
    (1_814_400_000, 604_800_000),
    (3_628_800_000, 2_592_000_000),
];

/// From six weeks on, the backend too rounds a tie up.
const TIES_GO_UP_FROM: u64 = 3_628_800_000;

fn rounded(length: Duration, ties_go_up: bool) -> Duration {
    let found = ROUND.iter().find(|(bound, _)| {
        let bound_length = Duration::from_millis(*bound);
        // Ten milliseconds and less is the backend's; the browser's table begins behind it, and its tie agrees.
        let up = (ties_go_up && *bound > 10) || *bound >= TIES_GO_UP_FROM;
        if up { length < bound_length } else { length <= bound_length }
    });
    Duration::from_millis(found.map_or(31_536_000_000, |(_, round)| *round))
}

/// One unit, whole: what Grafana writes for `$__interval`.
fn interval_text(length: Duration) -> String {
    let millis = length.as_millis();
    for (unit, size) in [("y", 31_536_000_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if millis >= size {
            return format!("{}{unit}", millis / size);
        }
    }
    format!("{}ms", millis.max(1))
}

/// Go's spelling, which Grafana uses for `$__rate_interval`: `1m0s`, `2m15s`. Of a datasource whose `timeInterval` has a
/// fraction it is `1.5s`, which Prometheus refuses: what Grafana's panels would say, a panel here says, too.
fn go_text(length: Duration) -> String {
    let (millis, seconds) = (length.as_millis(), length.as_secs());
    if (1..1000).contains(&millis) {
        return format!("{millis}ms");
    }
    let mut text = String::new();
    if seconds >= 3600 {
        write!(text, "{}h", seconds / 3600).expect("writing to a String does not fail");
    }
    if seconds >= 60 {
        write!(text, "{}m", seconds / 60 % 60).expect("writing to a String does not fail");
    }
    let below_a_minute = i64::try_from(millis % 60_000).unwrap_or_default();
    text + &seconds_text(below_a_minute) + "s"
}

/// Milliseconds as seconds, without needless digits: `1700000000.5`.
pub(super) fn seconds_text(millis: i64) -> String {
    let sign = if millis < 0 { "-" } else { "" };
    let (whole, rest) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
    let text = format!("{sign}{whole}.{rest:03}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn intervals(length_millis: i64, width: u32, min_millis: u64) -> Intervals {
        let range = TimeRange { from_millis: 0, to_millis: length_millis };
        Intervals::of(range, width, Duration::from_millis(min_millis))
    }

    /// The first four are Grafana's own `query_test.go` (whose width is the backend's default, 1500); the rest is worked
    /// out from the rules.
    #[test]
    fn the_step_is_grafanas() {
        for (length, width, min, step) in [
            (12 * HOUR, 1500, 15_000, 30_000),
            (HOUR, 1500, 15_000, 15_000),
            (48 * HOUR, 1500, 15_000, 120_000),
            (48 * HOUR, 1500, 240_000, 240_000),
            //
            (2 * 60_000, 860, 500, 500),
            (30 * 60_000, 420, 500, 5_000),
            (30 * 60_000, 860, 15_000, 15_000),
            // 45 s is a tie: the browser says a minute, and the backend does not go below it.
            (45_000 * 100, 100, 15_000, 60_000),
            // 17 s is rounded to 15 s, below a scrape of 16 s: the backend rounds its own division, as Grafana does.
            (17_000 * 100, 100, 16_000, 15_000),
            // Eleven thousand points are enough, however wide the panel.
            (30 * 24 * HOUR, 100_000, 1_000, 300_000),
            (0, 860, 15_000, 15_000),
        ] {
            let step = u64::try_from(step).unwrap();
            assert_eq!(intervals(length, width, min).step, Duration::from_millis(step), "{length} ms on {width} px");
        }
    }

    #[test]
    fn the_rate_interval_is_a_step_and_a_scrape_and_at_least_four_scrapes() {
        assert_eq!(intervals(HOUR, 1500, 15_000).rate, Duration::from_mins(1));
        // Grafana's own: two minutes asked for, fifteen seconds scraped.
        assert_eq!(intervals(48 * HOUR, 1500, 15_000).rate, Duration::from_secs(135));
        assert_eq!(intervals(120_000, 860, 500).rate, Duration::from_secs(2));
    }

    #[test]
    fn every_spelling_of_a_variable_is_filled_in() {
        let intervals = intervals(48 * HOUR, 1500, 15_000);
        for (template, filled) in [
            ("rate(a[$__interval])", "rate(a[2m])"),
            ("rate(a[${__interval}])", "rate(a[2m])"),
            ("$__interval_ms + ${__interval_ms}", "120000 + 120000"),
            ("a[$__range] $__range_s ${__range_s}s $__range_ms", "a[172800s] 172800 172800s 172800000"),
            ("a[$__rate_interval] ${__rate_interval} $__rate_interval_ms", "a[2m15s] 2m15s 135000"),
        ] {
            assert_eq!(intervals.filled_in(template), filled);
        }
        assert_eq!(Intervals { range: Duration::from_millis(800), ..intervals }.filled_in("$__range_s"), "1");
        assert_eq!(go_text(Duration::from_mins(1)), "1m0s");
        assert_eq!(go_text(Duration::from_hours(1)), "1h0m0s");
        for (millis, text) in
            [(500, "500ms"), (1500, "1.5s"), (3_601_500, "1h0m1.5s"), (80_025, "1m20.025s"), (0, "0s")]
        {
            assert_eq!(go_text(Duration::from_millis(millis)), text);
        }
    }
}

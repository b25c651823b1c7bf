//! Axes: round numbers for values, round times for time.

use super::super::format::{self, Scale};
use super::super::query::TimeRange;

/// A value axis: its ends and its ticks, in one scale of the unit.
#[derive(Debug, Clone)]
pub(super) struct ValueAxis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<(f64, String)>,
}

impl ValueAxis {
    /// Covers `low`…`high` with about `count` ticks; an end that is fixed stays where it is.
    pub(super) fn new(low: f64, high: f64, fixed: (bool, bool), unit: &str, count: usize) -> ValueAxis {
        let (low, high) = if high > low { (low, high) } else { (low, low + low.abs().max(1.0)) };
        let scale = format::scale_for(unit, low.abs().max(high.abs()));
        let (mut bottom, mut top) = (low / scale.divisor, high / scale.divisor);
        // A handful of ticks: exact as a float.
        #[allow(clippy::cast_precision_loss)]
        let step = round_step((top - bottom) / count.max(1) as f64);
        if !fixed.0 {
            bottom = libm::floor(bottom / step + 1e-9) * step;
        }
        if !fixed.1 {
            top = libm::ceil(top / step - 1e-9) * step;
        }
        let decimals = decimals_of(step);
        let first = libm::ceil(bottom / step - 1e-9);
        let ticks = (0..=64)
            .map(|at| (first + f64::from(at)) * step)
            .take_while(|tick| *tick <= top + step * 1e-6)
            .map(|tick| (tick * scale.divisor, label(unit, scale, tick, decimals)))
            .collect();
        ValueAxis { low: bottom * scale.divisor, high: top * scale.divisor, ticks }
    }

    /// Where a value lies between the ends, 0…1; what is outside lies at its end.
    pub(super) fn share(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

fn label(unit: &str, scale: Scale, tick: f64, decimals: u8) -> String {
    if unit.starts_with("bool") {
        // Between no and yes there is no word.
        return if tick.fract() == 0.0 { format::value(unit, tick, None) } else { String::new() };
    }
    if tick == 0.0 { "0".to_owned() } else { format::in_scale(scale, tick * scale.divisor, Some(decimals)) }
}

/// One, two or five times a power of ten, not below the share asked for.
fn round_step(share: f64) -> f64 {
    let power = libm::pow(10.0, libm::floor(libm::log10(share)));
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= share * 0.999).unwrap_or(10.0);
    digit * power
}

fn decimals_of(step: f64) -> u8 {
    // A step is a power of ten times 1, 2 or 5: its exponent is small.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let decimals = (-libm::floor(libm::log10(step * 1.0001))).clamp(0.0, 12.0) as u8;
    decimals
}

/// Round times, in seconds.
const TIME_STEPS: [i64; 22] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    2_592_000, 31_536_000,
];

/// Ticks of a time axis in UTC: Unix milliseconds and what is written there.
pub(super) fn time_ticks(range: TimeRange, pixels: f64, label_width: impl Fn(&str) -> f64) -> Vec<(i64, String)> {
    let length = range.to_millis.saturating_sub(range.from_millis);
    if length <= 0 {
        return Vec::new();
    }
    // Milliseconds of a shown range: exact as a float.
    #[allow(clippy::cast_precision_loss)]
    let pixels_of = |millis: i64| pixels * millis as f64 / length as f64;
    // Of more than a day an hour alone says nothing.
    let is_of_days = length > 86_400_000;
    let Some((step, pattern)) = TIME_STEPS.iter().find_map(|seconds| {
        let (pattern, sample) = match seconds {
            86_400.. => ("%m-%d", "00-00"),
            _ if is_of_days => ("%m-%d %H:%M", "00-00 00:00"),
            ..60 => ("%H:%M:%S", "00:00:00"),
            _ => ("%H:%M", "00:00"),
        };
        (pixels_of(seconds * 1000) >= label_width(sample) + 16.0).then_some((seconds * 1000, pattern))
    }) else {
        return Vec::new();
    };
    let first = range.from_millis.div_euclid(step) * step;
    (0..200)
        .map(|at| first + at * step)
        .filter(|at| *at >= range.from_millis)
        .take_while(|at| *at <= range.to_millis)
        .map(|at| (at, written(at, pattern)))
        .collect()
}

/// A time in UTC, or nothing when it lies beyond the calendar.
pub fn written(millis: i64, pattern: &str) -> String {
    jiff::Timestamp::from_millisecond(millis).map(|time| time.strftime(pattern).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, unit: &str) -> Vec<String> {
        ValueAxis::new(low, high, (true, false), unit, 4).ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn values_are_marked_at_round_numbers_in_one_unit() {
        assert_eq!(labels(0.0, 0.93, "s"), ["0", "500 ms", "1000 ms"]);
        assert_eq!(labels(0.0, 1.7, "s"), ["0", "0.5 s", "1.0 s", "1.5 s", "2.0 s"]);
        assert_eq!(labels(0.0, 0.31, "percentunit"), ["0", "10%", "20%", "30%", "40%"]);
        assert_eq!(labels(0.0, 48.0, "reqps"), ["0", "20 req/s", "40 req/s", "60 req/s"]);
        assert_eq!(labels(0.0, 0.0, "none"), ["0", "0.5", "1.0"]);
        assert_eq!(labels(0.0, 1.0, "bool_yes_no"), ["No", "", "Yes"]);
    }

    #[test]
    fn time_is_marked_at_round_times_that_do_not_touch() {
        let range = TimeRange { from_millis: 1_700_000_003_000, to_millis: 1_700_000_123_000 };
        let ticks = time_ticks(range, 600.0, |text| 6.0 * f64::from(u32::try_from(text.len()).unwrap()));
        assert_eq!(ticks.first().map(|tick| tick.1.as_str()), Some("22:13:30"));
        assert_eq!(ticks.len(), 8);
        assert_eq!(time_ticks(TimeRange { from_millis: 5, to_millis: 5 }, 600.0, |_| 1.0), []);
    }

    #[test]
    fn of_more_than_a_day_each_mark_says_its_day() {
        let marks = |days: i64, pixels: f64| -> Vec<String> {
            let to_millis = 1_796_040_000_000;
            let range = TimeRange { from_millis: to_millis - days * 86_400_000, to_millis };
            let width = |text: &str| 6.0 * f64::from(u32::try_from(text.len()).unwrap());
            time_ticks(range, pixels, width).into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(marks(1, 420.0), ["12:00", "15:00", "18:00", "21:00", "00:00", "03:00", "06:00", "09:00", "12:00"]);
        assert_eq!(marks(2, 420.0), ["11-28 12:00", "11-29 00:00", "11-29 12:00", "11-30 00:00", "11-30 12:00"]);
        assert_eq!(marks(7, 860.0), ["11-24", "11-25", "11-26", "11-27", "11-28", "11-29", "11-30"]);
    }
}

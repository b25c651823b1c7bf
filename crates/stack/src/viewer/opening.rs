//! The time that a dashboard opens on, where its own is far longer than there has been anything to show.

use std::time::Duration;

use super::ask;
use super::view_params::ViewParams;
use aiclipx_base::address::Address;
use aiclipx_base::duration;

/// Shorter ones open as they are.
const LONG: Duration = Duration::from_hours(1);
/// How exactly the beginning is looked for, in parts of the range.
const PARTS: u64 = 500;

/// The same, or, of a dashboard's own long range in which most is empty, the shortest of these (`15m`, `1h`, …) that has all.
pub(super) async fn opened(address: &Address, params: ViewParams, ranges: &[&str], now_millis: i64) -> ViewParams {
    let (from, to) = (params.range.from_millis, params.range.to_millis);
    let length = Duration::from_millis(to.abs_diff(from));
    if !params.is_the_dashboards() || length <= LONG {
        return params;
    }
    let Some(mut age) = age(address, &params, length).await else { return params };
    // Seen from nearer, a beginning is known more exactly.
    if age <= LONG {
        let Some(nearer) = self::age(address, &params, LONG).await else { return params };
        age = nearer;
    }
    match shortest(ranges, age, length) {
        Some(ago) => params.shortened(ago, now_millis),
        None => params,
    }
}

/// How long before the end there has been anything, as far as a window shows, and to a part of it; nothing where nobody answers.
async fn age(address: &Address, params: &ViewParams, window: Duration) -> Option<Duration> {
    let step = (window.as_secs() / PARTS).max(1);
    let first = format!("min(min_over_time(timestamp(up)[{}s:{step}s]))", window.as_secs());
    let first = ask::number(address, &first, params.range).await.ok()?;
    let to = params.range.to_millis.div_euclid(1000);
    // Nothing on the grid: all there is began since its last point.
    #[allow(clippy::cast_possible_truncation)] // seconds of a calendar
    let age = first.map_or(0, |first| to.saturating_sub(first as i64).unsigned_abs());
    Some(Duration::from_secs(age + step))
}

fn shortest<'a>(ranges: &[&'a str], least: Duration, below: Duration) -> Option<&'a str> {
    let known = ranges.iter().filter_map(|range| Some((duration::parse(range).ok()?, *range)));
    known.filter(|(length, _)| (least..below).contains(length)).min().map(|(_, range)| range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_range_that_has_all_is_taken() {
        let ranges = ["5m", "15m", "1h", "6h", "7d"];
        let of = |least, below| shortest(&ranges, Duration::from_secs(least), Duration::from_secs(below));
        assert_eq!(of(400, 604_800), Some("15m"));
        assert_eq!(of(900, 604_800), Some("15m"));
        assert_eq!(of(21_601, 604_800), None, "the dashboard's own");
        assert_eq!(of(1, 604_800), Some("5m"));
    }
}

//! The time that a dashboard opens on, where its own is far longer than there has been anything to show.

use std::time::Duration;

use super::ask;
use super::view_params::ViewParams;
use aiclipx_base::address::Address;
use aiclipx_base::duration;

/// Shorter ones open as they are.
const LONG: Duration = Duration::from_secs(3600);
/// How exactly the beginning is looked for, in parts of the range.
const PARTS: u64 = 500;

/// The same, or, of a dashboard's own long range in which most is empty, the shortest of these (`15m`, `1h`, …) that has all.
pub(super) async fn opened(address: &Address, params: ViewParams, ranges: &[&str], now_millis: i64) -> ViewParams {
    let (from, to) = (params.range.from_millis, params.range.to_millis);
    let length = Duration::from_millis(to.abs_diff(from));
    if !params.is_the_dashboards() || length <= LONG {
        return params;
    }
    let step = length.as_secs() / PARTS;
    let first = format!("min(min_over_time(timestamp(up)[{}s:{step}s]))", length.as_secs());
    let Ok(first) = ask::number(address, &first, params.range).await else { return params };
    // Nothing on the grid: all there is began since its last point.
    #[allow(clippy::cast_possible_truncation)] // seconds of a calendar
    let age = first.map_or(0, |first| to.div_euclid(1000).saturating_sub(first as i64).unsigned_abs());
    match shortest(ranges, Duration::from_secs(age + step), length) {
        Some(ago) => params.shortened(ago, now_millis),
        None => params,
    }
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

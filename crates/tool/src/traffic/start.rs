//! One start for generators on several machines: a time that each waits for by its own clock.

use std::time::Duration;

use aiclipx_model::failure::tell;
use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;

/// Nobody waits longer for a start: a time so far ahead is of another day by mistake.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);

/// How long is slept at once: a clock that is set meanwhile is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// When all start; not later than in a day.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let at: Timestamp = text.parse().map_err(|_| {
        format!("`{text}` is no time; write it like 2026-11-30T23:05:00Z (`date -u -d '+1 min' +%FT%TZ` prints one)")
    })?;
    let now = Timestamp::now();
    if at.duration_since(now) > LONGEST_WAIT {
        return Err(format!("{at} is more than a day ahead; it is {now:.0}"));
    }
    if at.as_microsecond() < 0 { Err(format!("{at} is before 1970")) } else { Ok(at) }
}

/// As heads of ledgers have times.
pub(super) fn unix_us(at: Timestamp) -> u64 {
    u64::try_from(at.as_microsecond()).unwrap_or_default()
}

/// Waits until then. Once it is past, starting is late, which is told and not refused: the part records it.
pub(super) async fn wait_until(at: Timestamp) {
    let ahead = || at.duration_since(Timestamp::now());
    if ahead().is_positive() {
        tell(&format!("  · starts at {at}, in {}", seconds(ahead().unsigned_abs())));
    } else {
        tell(&format!("  ! starts {} after --start-at", seconds(ahead().unsigned_abs())));
    }
    while let Ok(left) = Duration::try_from(ahead())
        && !left.is_zero()
    {
        sleep(left.min(LOOK_AGAIN)).await;
    }
}

/// `1.250 s`.
pub(super) fn seconds(time: Duration) -> String {
    format!("{}.{:03} s", time.as_secs(), time.subsec_millis())
}

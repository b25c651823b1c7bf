//! One spelling of time: `250ms`, `5m`, `1h30m`, `30d`, as Prometheus writes it.
//!
//! Everything that names a duration (settings, scenarios, rules, flags) is read and printed here, and a stack's
//! speed divides here. The smallest unit is a whole millisecond: a division that would leave a fraction is refused,
//! because a rule rounded in silence is another rule.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Units from large to small, with their length in milliseconds. `y` is 365 days and `w` seven, as in `PromQL`.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// In milliseconds, what Go counts as nanoseconds.
const LONGEST: u64 = i64::MAX as u64 / 1_000_000;

/// A text that is no duration, or a duration that is not a whole number of milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurationError(String);

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DurationError {}

/// Reads `1h30m`, `15s`, `250ms`, `0`. Units come from large to small, each at most once, whole numbers only.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let error = || DurationError(format!("`{text}` is not a duration; write it like 250ms, 15s, 5m or 1h30m"));
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total: u64 = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let number: u64 = rest[..digits].parse().map_err(|_| error())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(rest.len());
        let unit = UNITS.iter().position(|(name, _)| *name == &rest[..letters]).ok_or_else(error)?;
        if unit < next_unit {
            return Err(error());
        }
        next_unit = unit + 1;
        total = number.checked_mul(UNITS[unit].1).and_then(|ms| total.checked_add(ms)).ok_or_else(error)?;
        rest = &rest[letters..];
    }
    if total > LONGEST {
        return Err(DurationError(format!("`{text}` is too long; Prometheus knows 292 years at most")));
    }
    if text.is_empty() { Err(error()) } else { Ok(Duration::from_millis(total)) }
}

/// Prints what [`parse`] reads, in the fewest units and without years and weeks: `90m` comes back as `1h30m`.
pub fn print(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, length) in &UNITS[2..] {
        if rest >= *length {
            text += &(rest / length).to_string();
            text += name;
            rest %= length;
        }
    }
    text
}

/// The least number of whole seconds that is not shorter.
pub fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs() + u64::from(duration.subsec_nanos() != 0))
}

/// How many times faster than production a stack lives: 1 is production time.
///
/// Durations are divided by it; rates, ratios, thresholds and latencies are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Speed(u32);

impl Speed {
    /// Production time.
    pub const PRODUCTION: Speed = Speed(1);

    /// A speed of at least 1.
    pub fn new(k: u32) -> Result<Speed, DurationError> {
        if k == 0 {
            return Err(DurationError("a speed is a whole number of at least 1".to_owned()));
        }
        Ok(Speed(k))
    }

    /// The factor k.
    pub fn factor(self) -> u32 {
        self.0
    }

    /// The time a production duration really takes on a stack of this speed.
    ///
    /// Refused when the result is no whole millisecond.
    pub fn real(self, production: Duration) -> Result<Duration, DurationError> {
        let nanos = production.as_nanos();
        let per_millisecond = 1_000_000 * u128::from(self.0);
        if !nanos.is_multiple_of(per_millisecond) {
            return Err(DurationError(format!(
                "{} divided by the speed {} is not a whole number of milliseconds",
                print(production),
                self.0
            )));
        }
        let millis = u64::try_from(nanos / per_millisecond)
            .map_err(|_| DurationError(format!("{} is too long", print(production))))?;
        Ok(Duration::from_millis(millis))
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Speed {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Speed, DurationError> {
        text.parse()
            .map_err(|_| DurationError(format!("`{text}` is not a speed; write a whole number like 30")))
            .and_then(Speed::new)
    }
}

impl TryFrom<u32> for Speed {
    type Error = DurationError;

    fn try_from(k: u32) -> Result<Speed, DurationError> {
        Speed::new(k)
    }
}

impl From<Speed> for u32 {
    fn from(speed: Speed) -> u32 {
        speed.0
    }
}

/// `#[serde(with = "duration::text")]`: a duration written as its text.
pub mod text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the text.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::print(*duration))
    }

    /// Reads the text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        super::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, millis) in [("0", 0), ("250ms", 250), ("15s", 15_000), ("1h30m", 5_400_000), ("30d", 2_592_000_000)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in ["", "5", "m", "5 m", "-5m", "1.5h", "5m1h", "5m5m", "5minutes", "99999999999999999999s", "5m "] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_speed_divides_exactly_or_not_at_all() {
        let speed = Speed::new(30).expect("30 is a speed");
        assert_eq!(speed.real(Duration::from_secs(15)), Ok(Duration::from_millis(500)));
        assert!(speed.real(Duration::from_millis(100)).is_err());
        assert!(Speed::new(0).is_err());
        assert!("fast".parse::<Speed>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(millis in 0..=LONGEST) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&print(duration)), Ok(duration));
        }
    }
}

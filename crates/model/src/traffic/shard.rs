//! Which requests of a schedule one of several generators sends: of N, generator I sends every request k with k mod N = I.
//!
//! That is enough, for no request refers to another: method, path, body, fault and id come from the schedule and the request's
//! own number (`{seq}`), never from an answer. So N generators send what one would, each request once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::schedule::{Intended, Schedule};

/// As many files are open while their parts are merged; half of what a process usually may have.
const MOST: u32 = 500;

/// One of several generators, counted from 0; written `0/4` … `3/4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    index: u32,
    of: u32,
}

impl Shard {
    /// The one generator of a run that is not shared.
    pub const WHOLE: Shard = Shard { index: 0, of: 1 };

    /// All that share a run with this one, by their index.
    pub fn all(self) -> impl Iterator<Item = Shard> {
        (0..self.of).map(move |index| Shard { index, of: self.of })
    }

    pub(super) fn index(self) -> usize {
        self.index as usize
    }

    pub(super) fn of(self) -> u32 {
        self.of
    }

    /// How many of so many requests are its own.
    pub(super) fn count(self, scheduled: u64) -> u64 {
        scheduled.saturating_sub(u64::from(self.index)).div_ceil(u64::from(self.of))
    }

    /// The number of the request at this place among its own.
    pub(super) fn seq(self, place: u64) -> u64 {
        u64::from(self.index) + place * u64::from(self.of)
    }

    /// At which place among its own a request is that is one of them.
    pub fn place(self, seq: u64) -> u64 {
        seq / u64::from(self.of)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let error = || format!("`{text}` is no part of a run; of four write 0/4, 1/4, 2/4 and 3/4, of at most {MOST}");
        let (index, of) = text.split_once('/').ok_or_else(error)?;
        let number = |digits: &str| {
            let is_one = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| is_one).ok_or_else(error)
        };
        let shard = Shard { index: number(index)?, of: number(of)? };
        if shard.index < shard.of && shard.of <= MOST { Ok(shard) } else { Err(error()) }
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Shard, String> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> String {
        shard.to_string()
    }
}

/// What one generator sends of a schedule.
#[derive(Debug, Clone)]
pub struct Share<'a> {
    pub schedule: &'a Schedule,
    pub shard: Shard,
    /// Of the whole schedule. Computed before a start that is waited for, since it takes its time.
    pub schedule_sha256: String,
}

impl<'a> Share<'a> {
    pub fn new(schedule: &'a Schedule, shard: Shard) -> Share<'a> {
        Share { schedule, shard, schedule_sha256: schedule.sha256() }
    }

    /// Its requests, in the order of their times.
    pub fn requests(&self) -> impl Iterator<Item = &'a Intended> + use<'a> {
        self.schedule.requests.iter().skip(self.shard.index()).step_by(self.shard.of as usize)
    }
}

impl<'a> From<&'a Schedule> for Share<'a> {
    fn from(schedule: &'a Schedule) -> Share<'a> {
        Share::new(schedule, Shard::WHOLE)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::scenario::Scenario;
    use aiclipx_base::duration::Speed;

    fn schedule(requests: u32) -> Schedule {
        let text = format!(
            "title = \"t\"\n[[phase]]\nname = \"a\"\nduration = \"1m\"\ncount = {requests}\narrival = \"bursts\"\nburst = 7\n\
             requests = [{{ path = \"/{{seq}}\", endpoint = \"/\" }}]\n"
        );
        Schedule::new(&Scenario::from_text(Path::new("42-t.toml"), &text).unwrap(), 1, Speed::PRODUCTION, None).unwrap()
    }

    #[test]
    fn a_shard_is_written_as_it_is_read_and_what_is_none_is_refused() {
        for text in ["0/1", "0/4", "3/4", "499/500"] {
            assert_eq!(text.parse::<Shard>().unwrap().to_string(), text);
        }
        for text in ["", "1", "/", "4/4", "0/0", "1/", "-1/4", "+1/4", "1/+4", "0/501", "1/4/4", " 1/4", "9999999999/4"]
        {
            let why = text.parse::<Shard>().unwrap_err();
            assert!(why.contains(&format!("`{text}`")) && why.contains("of four write 0/4"), "{why}");
        }
        assert!(serde_json::from_str::<Shard>("\"4/4\"").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_request_is_of_exactly_one_shard_and_each_shard_keeps_the_order(requests in 1_u32..400, of in 1_u32..40) {
            let schedule = schedule(requests);
            let mut senders = vec![0; schedule.requests.len()];
            for shard in (Shard { index: 0, of }).all() {
                let share = Share::new(&schedule, shard);
                let own: Vec<&Intended> = share.requests().collect();
                prop_assert_eq!(own.len() as u64, shard.count(schedule.requests.len() as u64));
                prop_assert!(own.is_sorted_by_key(|request| (request.at, request.seq)));
                for (place, request) in (0..).zip(&own) {
                    prop_assert_eq!(request.seq % u64::from(of), u64::from(shard.index));
                    prop_assert_eq!((shard.place(request.seq), shard.seq(place)), (place, request.seq));
                    senders[usize::try_from(request.seq).unwrap()] += 1;
                }
                prop_assert_eq!(share.schedule_sha256, schedule.sha256());
            }
            prop_assert!(senders.iter().all(|count| *count == 1), "{:?}", senders);
        }
    }
}

//! How long a database that is away is left alone before it is asked again: any time up to a limit that doubles with each failure
//! ("full jitter"). Instances that lost it at one moment come back at different ones, and never all of them at once.

use std::time::Duration;

use fastrand::Rng;

/// The limit of the first wait.
const FIRST: Duration = Duration::from_millis(250);
/// And of every later one: whoever waits for the database has it so soon after it is back.
const LONGEST: Duration = Duration::from_secs(2);

pub(super) struct Backoff {
    random: Rng,
    failures: u32,
}

impl Backoff {
    /// Every instance has waits of its own.
    pub(super) fn new() -> Backoff {
        Backoff::of(Rng::new())
    }

    fn of(random: Rng) -> Backoff {
        Backoff { random, failures: 0 }
    }

    /// The next wait.
    pub(super) fn wait(&mut self) -> Duration {
        let limit = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        limit.mul_f64(self.random.f64())
    }

    /// It was there.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of so many instances asks, in the first half a minute after all of them lost it at once.
    fn asked(instances: u64) -> Vec<Duration> {
        let mut times = Vec::new();
        for seed in 0..instances {
            let (mut backoff, mut at) = (Backoff::of(Rng::with_seed(seed)), Duration::ZERO);
            while at < Duration::from_secs(30) {
                at += backoff.wait();
                times.push(at);
            }
        }
        times.sort();
        times
    }

    #[test]
    fn instances_that_lost_it_together_do_not_come_back_together_nor_more_often_than_it_can_take() {
        let times = asked(16);
        // The first waits are short for all; later never half of them come within a tenth of a second.
        let later: Vec<Duration> = times.iter().copied().filter(|at| *at > Duration::from_secs(2)).collect();
        let at_once = |at: &Duration| {
            later.iter().filter(|other| (*at..=*at + Duration::from_millis(100)).contains(*other)).count()
        };
        let most = later.iter().map(at_once).max().unwrap();
        assert!(most < 8, "{most} of 16 within a tenth of a second");
        // A second each on average, of which the first few are shorter.
        assert!((16 * 25..16 * 40).contains(&times.len()), "{} in half a minute", times.len());
    }

    #[test]
    fn a_wait_is_bounded_and_short_again_once_it_was_there() {
        let mut backoff = Backoff::of(Rng::with_seed(7));
        for failures in 0..100 {
            let limit = Duration::from_millis(250 << failures.min(3));
            let wait = backoff.wait();
            assert!(wait <= limit, "{wait:?} after {failures} failures");
        }
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }

    #[test]
    fn two_instances_have_two_ways() {
        let [mut one, mut other] = [Backoff::new(), Backoff::new()];
        let waits = |backoff: &mut Backoff| std::array::from_fn::<Duration, 8, _>(|_| backoff.wait());
        assert_ne!(waits(&mut one), waits(&mut other));
    }
}

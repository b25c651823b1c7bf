//! What will be sent and when, computed before anything is sent: the same scenario, seed, speed and length give the
//! same bytes on every machine.
//!
//! The generator is `ChaCha8`, which is portable by contract, keyed by SHA-256 of scenario id and seed, with a stream
//! of its own for every phase and purpose: a change to one phase moves no other. Choices are integer arithmetic; the
//! one logarithm (Poisson gaps) is `libm`'s, not the platform's. Quotas and weights are exact in every block, only
//! their places are drawn, so "three of ten fail" means 30 %, not about 30 %.

use std::io::{self, Write};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::scenario::{Arrival, FaultQuota, Phase, RequestTemplate, Scenario, Volume};
use crate::sum::Sum;
use aiclipx_base::duration::Speed;

/// More would not fit a ledger that people open.
const MAX_REQUESTS: u64 = 5_000_000;

/// A scenario with a seed: phases with their real times, and every request in the order of its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub scenario: String,
    /// What the places of faults, the order of requests and Poisson gaps are drawn from.
    pub seed: u64,
    /// How much faster than production the stack lives; durations are divided already.
    pub speed: Speed,
    /// One after the other, without gaps, the first from 0.
    pub phases: Vec<PlannedPhase>,
    /// Sorted by `at`; `seq` counts from 0.
    pub requests: Vec<Intended>,
}

/// A phase in real time since the start of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedPhase {
    pub name: String,
    /// When it begins, in microseconds.
    pub start_us: u64,
    /// When it ends and the next one begins, in microseconds.
    pub end_us: u64,
    /// How many requests it sends.
    pub requests: u64,
    /// Whether alerts are to fire in it.
    pub faulty: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intended {
    /// Place in the schedule, from 0.
    pub seq: u64,
    /// When to send it, since the start of the run; whole microseconds.
    pub at: Duration,
    /// Index into the schedule's phases.
    pub phase: usize,
    pub method: String,
    /// The path as sent, query included.
    pub path: String,
    /// The route template the service must count it under.
    pub endpoint: String,
    pub body: Option<String>,
    /// What its header says.
    pub fault: Option<String>,
}

/// The first line of a schedule's text.
#[derive(Serialize)]
struct Head<'a> {
    scenario: &'a str,
    seed: u64,
    speed: Speed,
    phases: &'a [PlannedPhase],
}

/// Every other line.
#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    at_us: u64,
    phase: &'a str,
    method: &'a str,
    path: &'a str,
    endpoint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'a str>,
}

impl Schedule {
    /// Computes the schedule. Phases take their production time divided by `speed`; with `length` (real time) the
    /// whole run takes that long instead, each phase its share. Rates stay as they are.
    ///
    /// Refused: a speed that does not divide a phase's duration into whole milliseconds, a length of nothing, more
    /// than five million requests.
    #[expect(clippy::similar_names, reason = "seed and speed are what they are called everywhere")]
    pub fn new(scenario: &Scenario, seed: u64, speed: Speed, length: Option<Duration>) -> Result<Schedule, Failure> {
        let in_scenario = |what: String| Failure::usage(format!("{}: {what}", scenario.file.display()));
        let ends = phase_ends(scenario, speed, length).map_err(in_scenario)?;
        let mut schedule = Schedule { scenario: scenario.id(), seed, speed, phases: Vec::new(), requests: Vec::new() };
        let mut start_us = 0;
        for (index, (phase, end_us)) in scenario.phases.iter().zip(ends).enumerate() {
            let draw = |purpose: Purpose| generator(&schedule.scenario, seed, index, purpose);
            let expected = match phase.volume {
                Volume::Silent => 0,
                Volume::Rate(millis) => u128::from(millis) * u128::from(end_us - start_us) / 1_000_000_000,
                Volume::Count(count) => u128::from(count),
            };
            if expected + schedule.requests.len() as u128 > u128::from(MAX_REQUESTS) {
                return Err(in_scenario(format!("more than {MAX_REQUESTS} requests"))
                    .remedy("lower the rate, or shorten the run with --duration"));
            }
            let times = arrivals(phase, end_us - start_us, draw(Purpose::Arrivals));
            let mut mix = Blocks::new(mix_block(&phase.requests), draw(Purpose::Mix));
            let mut faults = Blocks::new(fault_block(&phase.faults), draw(Purpose::Faults));
            schedule.phases.push(PlannedPhase {
                name: phase.name.clone(),
                start_us,
                end_us,
                requests: times.len() as u64,
                faulty: phase.is_faulty(),
            });
            for offset_us in times {
                let seq = schedule.requests.len() as u64;
                let template = &phase.requests[mix.next()];
                let fault = match faults.next() {
                    0 => None,
                    quota => Some(phase.faults[quota - 1].fault.clone()),
                };
                let number = |text: &str| text.replace("{seq}", &seq.to_string());
                schedule.requests.push(Intended {
                    seq,
                    at: Duration::from_micros(start_us + offset_us),
                    phase: index,
                    method: template.method.clone(),
                    path: number(&template.path),
                    endpoint: template.endpoint.clone(),
                    body: template.body.as_deref().map(number),
                    fault,
                });
            }
            start_us = end_us;
        }
        Ok(schedule)
    }

    pub fn length(&self) -> Duration {
        Duration::from_micros(self.phases.last().map_or(0, |phase| phase.end_us))
    }

    /// Whether it asks the service to fail on purpose.
    pub fn injects_faults(&self) -> bool {
        self.requests.iter().any(|request| request.fault.is_some())
    }

    /// Writes the schedule as JSON lines: one about the whole, one a request. These bytes are what is hashed.
    pub(crate) fn write_jsonl(&self, mut out: impl Write) -> io::Result<()> {
        let head = Head { scenario: &self.scenario, seed: self.seed, speed: self.speed, phases: &self.phases };
        serde_json::to_writer(&mut out, &head)?;
        out.write_all(b"\n")?;
        for request in &self.requests {
            let line = Line {
                seq: request.seq,
                at_us: micros(request.at),
                phase: &self.phases[request.phase].name,
                method: &request.method,
                path: &request.path,
                endpoint: &request.endpoint,
                body: request.body.as_deref(),
                fault: request.fault.as_deref(),
            };
            serde_json::to_writer(&mut out, &line)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// [`Schedule::write_jsonl`] as text.
    #[expect(clippy::missing_panics_doc, reason = "it does not")]
    pub fn to_jsonl(&self) -> String {
        let mut bytes = Vec::new();
        self.write_jsonl(&mut bytes).expect("memory takes what is written to it");
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }

    /// SHA-256 of the JSON lines, in hexadecimal.
    #[expect(clippy::missing_panics_doc, reason = "it does not")]
    pub fn sha256(&self) -> String {
        let mut sum = Sum::new();
        self.write_jsonl(&mut sum).expect("a sum takes what is written to it");
        sum.hex()
    }
}

/// Whole microseconds; a schedule holds no times beyond 500 000 years.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Real ends of the phases, in microseconds.
fn phase_ends(scenario: &Scenario, speed: Speed, length: Option<Duration>) -> Result<Vec<u64>, String> {
    let mut ends = Vec::new();
    if let Some(length) = length {
        if length.is_zero() {
            return Err("a run lasts longer than nothing".to_owned());
        }
        let total: u128 = scenario.phases.iter().map(|phase| phase.duration.as_micros()).sum();
        let mut passed = 0;
        for phase in &scenario.phases {
            passed += phase.duration.as_micros();
            ends.push(u64::try_from(length.as_micros() * passed / total).map_err(|_| "too long".to_owned())?);
        }
    } else {
        let mut passed = Duration::ZERO;
        for phase in &scenario.phases {
            passed += speed.real(phase.duration).map_err(|error| format!("phase `{}`: {error}", phase.name))?;
            ends.push(micros(passed));
        }
    }
    Ok(ends)
}

/// Intended times within a phase of this length, in microseconds from its start.
fn arrivals(phase: &Phase, length_us: u64, mut generator: ChaCha8Rng) -> Vec<u64> {
    // Microseconds between two requests, as a fraction, and how many there are at most.
    let (gap, most) = match phase.volume {
        Volume::Silent => return Vec::new(),
        Volume::Rate(millis) => ((1_000_000_000, millis), u64::MAX),
        Volume::Count(count) => ((length_us, u64::from(count)), u64::from(count)),
    };
    let mut times = Vec::new();
    match phase.arrival {
        Arrival::Uniform => evenly(gap, most, length_us, 1, &mut times),
        Arrival::Bursts(size) => evenly(gap, most, length_us, u64::from(size), &mut times),
        Arrival::Poisson => {
            #[expect(clippy::cast_precision_loss, reason = "a rate has at most nine digits")]
            let mean_nanos = gap.0 as f64 * 1000.0 / gap.1 as f64;
            let mut nanos: u64 = 0;
            loop {
                // 53 random bits make a number in (0, 1]: its logarithm is finite.
                #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
                let uniform = ((generator.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a gap of nanoseconds")]
                let gap = (-libm::log(uniform) * mean_nanos) as u64;
                nanos = nanos.saturating_add(gap);
                if nanos / 1000 >= length_us {
                    break;
                }
                times.push(nanos / 1000);
            }
        }
    }
    times
}

/// `size` at a time, the k-th group k · size gaps after the start.
fn evenly(gap_us: (u64, u64), most: u64, length_us: u64, size: u64, times: &mut Vec<u64>) {
    for index in 0..most {
        let first = u128::from(index / size * size);
        let at = first * u128::from(gap_us.0) / u128::from(gap_us.1);
        if at >= u128::from(length_us) {
            break;
        }
        times.push(u64::try_from(at).expect("smaller than a u64"));
    }
}

/// What a stream of random numbers is for.
#[derive(Clone, Copy)]
enum Purpose {
    Arrivals = 0,
    Mix = 1,
    Faults = 2,
}

fn generator(scenario: &str, seed: u64, phase: usize, purpose: Purpose) -> ChaCha8Rng {
    let key = Sha256::new()
        .chain_update(b"aiclipx schedule 1\0")
        .chain_update(scenario.as_bytes())
        .chain_update(b"\0")
        .chain_update(seed.to_le_bytes())
        .finalize();
    let mut generator = ChaCha8Rng::from_seed(key.into());
    generator.set_stream(phase as u64 * 4 + purpose as u64);
    generator
}

/// Each template's index as often as its weight.
fn mix_block(requests: &[RequestTemplate]) -> Vec<usize> {
    let repeated = |(index, request): (usize, &RequestTemplate)| std::iter::repeat_n(index, request.weight as usize);
    requests.iter().enumerate().flat_map(repeated).collect()
}

/// Each fault's index, counted from 1, as often as its quota; 0 for no fault.
fn fault_block(faults: &[FaultQuota]) -> Vec<usize> {
    let mut block = vec![0; faults.first().map_or(1, |quota| quota.per as usize)];
    let mut places = block.iter_mut();
    for (index, quota) in faults.iter().enumerate() {
        for place in places.by_ref().take(quota.count as usize) {
            *place = index + 1;
        }
    }
    block
}

/// A block dealt out again and again, each time in another order: exact in every block, unpredictable inside.
struct Blocks {
    block: Vec<usize>,
    dealt: usize,
    generator: ChaCha8Rng,
}

impl Blocks {
    fn new(block: Vec<usize>, generator: ChaCha8Rng) -> Blocks {
        Blocks { dealt: block.len(), block, generator }
    }

    fn next(&mut self) -> usize {
        if self.dealt == self.block.len() {
            // Fisher and Yates.
            for last in (1..self.block.len()).rev() {
                let other = below(&mut self.generator, last as u64 + 1);
                self.block.swap(last, other);
            }
            self.dealt = 0;
        }
        self.dealt += 1;
        self.block[self.dealt - 1]
    }
}

/// A number below `bound`, each as likely as the others: what would favour the small ones is drawn again.
fn below(generator: &mut ChaCha8Rng, bound: u64) -> usize {
    let fair = u64::MAX - u64::MAX % bound;
    loop {
        let drawn = generator.next_u64();
        if drawn < fair {
            return usize::try_from(drawn % bound).expect("a block's length is a usize");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    const ONE: Speed = Speed::PRODUCTION;

    fn scenario(text: &str) -> Scenario {
        Scenario::from_text(Path::new("42-golden.toml"), text)
            .unwrap_or_else(|findings| panic!("{}", Failure::from(findings)))
    }

    const GOLDEN: &str = r#"
        title = "Everything a schedule is made of"
        requests = [
          { weight = 3, path = "/" },
          { weight = 1, method = "POST", path = "/items", body = '{"name":"n{seq}"}' },
        ]
        [[phase]]
        name = "even"
        duration = "1m"
        rate = 7.5
        faults = [{ fault = "error", count = 3, per = 10 }, { fault = "delay=750ms", count = 1, per = 10 }]
        [[phase]]
        name = "silent"
        duration = "30s"
        silent = true
        [[phase]]
        name = "random"
        duration = "1m"
        rate = 9
        arrival = "poisson"
        [[phase]]
        name = "bursts"
        duration = "1m"
        rate = 10
        arrival = "bursts"
        burst = 20
    "#;

    #[test]
    fn the_same_seed_gives_the_same_bytes_on_every_machine() {
        let schedule = Schedule::new(&scenario(GOLDEN), 42, ONE, None).unwrap();
        assert_eq!(schedule.sha256(), "a3a889c4ed7f49c680651e425ef0b33e00708fa3a62c363aa192da63f885bd5f");
        let other = Schedule::new(&scenario(GOLDEN), 43, ONE, None).unwrap();
        assert_ne!(schedule.sha256(), other.sha256());
    }

    #[test]
    fn a_change_to_one_phase_moves_no_other() {
        let changed = GOLDEN.replace("rate = 7.5", "rate = 15");
        let of = |text: &str| -> Vec<(Duration, String)> {
            let schedule = Schedule::new(&scenario(text), 42, ONE, None).unwrap();
            schedule.requests.iter().filter(|r| r.phase == 2).map(|r| (r.at, r.method.clone())).collect()
        };
        assert_eq!(of(GOLDEN), of(&changed));
    }

    #[test]
    fn the_text_has_a_line_for_the_whole_and_one_for_each_request() {
        let schedule = Schedule::new(&scenario(GOLDEN), 42, ONE, None).unwrap();
        let text = schedule.to_jsonl();
        assert_eq!(text.lines().count(), schedule.requests.len() + 1);
        assert!(text.starts_with(r#"{"scenario":"42-golden","seed":42,"speed":1,"phases":[{"name":"even""#), "{text}");
    }

    #[test]
    fn a_speed_divides_durations_and_leaves_rates() {
        let slow = Schedule::new(&scenario(GOLDEN), 1, ONE, None).unwrap();
        let fast = Schedule::new(&scenario(GOLDEN), 1, Speed::new(30).unwrap(), None).unwrap();
        assert_eq!(slow.length(), Duration::from_secs(210));
        assert_eq!(fast.length(), Duration::from_secs(7));
        assert_eq!((slow.phases[0].requests, fast.phases[0].requests), (450, 15));
        let failure = Schedule::new(&scenario(GOLDEN), 1, Speed::new(7).unwrap(), None).unwrap_err();
        assert!(failure.to_string().contains("42-golden.toml: phase `even`: 1m divided by the speed 7"), "{failure}");
    }

    #[test]
    fn a_length_scales_the_phases_and_leaves_rates() {
        let length = Duration::from_secs(21);
        let schedule = Schedule::new(&scenario(GOLDEN), 1, Speed::new(7).unwrap(), Some(length)).unwrap();
        assert_eq!(schedule.length(), length);
        assert_eq!(schedule.phases[0].end_us, 6_000_000);
        assert_eq!(schedule.phases[0].requests, 45);
        assert!(Schedule::new(&scenario(GOLDEN), 1, ONE, Some(Duration::ZERO)).is_err());
    }

    #[test]
    fn its_own_length_changes_nothing() {
        let thirty = Speed::new(30).unwrap();
        let schedule = Schedule::new(&scenario(GOLDEN), 1, thirty, None).unwrap();
        assert_eq!(Schedule::new(&scenario(GOLDEN), 1, thirty, Some(schedule.length())).unwrap(), schedule);
    }

    #[test]
    fn bursts_come_together_and_keep_the_rate() {
        let schedule = Schedule::new(&scenario(GOLDEN), 1, ONE, None).unwrap();
        let mut at: BTreeMap<Duration, usize> = BTreeMap::new();
        for request in schedule.requests.iter().filter(|request| request.phase == 3) {
            *at.entry(request.at).or_default() += 1;
        }
        assert_eq!(at.len(), 30);
        assert!(at.values().all(|count| *count == 20));
    }

    #[test]
    fn poisson_gaps_are_as_random_as_they_should_be() {
        let text = "title = \"p\"\nrequests = [{ path = \"/\" }]\n[[phase]]\nname = \"p\"\nduration = \"1000s\"\n\
                    rate = 100\narrival = \"poisson\"\n";
        let schedule = Schedule::new(&scenario(text), 7, ONE, None).unwrap();
        let mut per_second = vec![0.0_f64; 1000];
        for request in &schedule.requests {
            per_second[usize::try_from(request.at.as_secs()).unwrap()] += 1.0;
        }
        let mean = per_second.iter().sum::<f64>() / 1000.0;
        let variance = per_second.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 999.0;
        assert!((mean - 100.0).abs() < 1.5, "mean {mean}");
        assert!((variance / mean - 1.0).abs() < 0.15, "index of dispersion {}", variance / mean);
    }

    #[test]
    fn too_much_is_refused_before_it_is_made() {
        let text = "title = \"p\"\nrequests = [{ path = \"/\" }]\n[[phase]]\nname = \"p\"\nduration = \"30d\"\nrate = 100000\n";
        let failure = Schedule::new(&scenario(text), 7, ONE, None).unwrap_err();
        assert!(failure.to_string().contains("more than 5000000 requests"), "{failure}");
    }

    #[test]
    fn a_count_is_the_same_at_every_speed_and_a_rate_is_not() {
        let sent = |volume: &str, k: u32| {
            let text = format!(
                "title = \"t\"\n[[phase]]\nname = \"a\"\nduration = \"1m\"\n{volume}\nrequests = [{{ path = \"/\" }}]\n"
            );
            Schedule::new(&scenario(&text), 7, Speed::new(k).unwrap(), None).unwrap().requests
        };
        assert_eq!([sent("count = 7", 1).len(), sent("count = 7", 30).len()], [7, 7]);
        assert_eq!([sent("rate = 10", 1).len(), sent("rate = 10", 30).len()], [600, 20]);
        let at: Vec<u64> = sent("count = 4", 30).iter().map(|request| micros(request.at)).collect();
        assert_eq!(at, [0, 500_000, 1_000_000, 1_500_000]);
    }

    prop_compose! {
        fn any_phase()(
            volume in prop_oneof![(1_u64..400_000).prop_map(Volume::Rate), (1_u32..4_000).prop_map(Volume::Count)],
            seconds in 1_u64..40,
            arrival in prop_oneof![Just(Arrival::Uniform), Just(Arrival::Poisson), (2_u32..30).prop_map(Arrival::Bursts)],
            weights in prop::collection::vec(1_u32..6, 1..4),
            (per, counts) in (3_u32..20).prop_flat_map(|per| {
                (Just(per), prop::collection::vec(1..=per / 3, 0..=3))
            }),
        ) -> Phase {
            let request = |(index, weight): (usize, &u32)| RequestTemplate {
                weight: *weight,
                method: "GET".to_owned(),
                path: format!("/{index}?n={{seq}}"),
                endpoint: format!("/{index}"),
                body: None,
            };
            let fault = |(index, count): (usize, &u32)| FaultQuota { fault: format!("delay={index}ms"), count: *count, per };
            Phase {
                name: "any".to_owned(),
                duration: Duration::from_secs(seconds),
                volume,
                arrival,
                requests: weights.iter().enumerate().map(request).collect(),
                faults: counts.iter().enumerate().map(fault).collect(),
                provokes: false,
                steps: Vec::new(),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn order_counts_weights_and_quotas_are_exact(phases in prop::collection::vec(any_phase(), 1..4), seed: u64) {
            let mut scenario = scenario(GOLDEN);
            scenario.phases = phases;
            let schedule = Schedule::new(&scenario, seed, ONE, None).unwrap();
            prop_assert!(schedule.requests.is_sorted_by_key(|request| request.at));
            prop_assert!(schedule.requests.iter().zip(0..).all(|(request, seq)| request.seq == seq));
            prop_assert_eq!(schedule.phases.iter().map(|p| p.requests).sum::<u64>(), schedule.requests.len() as u64);
            for (index, (phase, planned)) in scenario.phases.iter().zip(&schedule.phases).enumerate() {
                let sent: Vec<&Intended> = schedule.requests.iter().filter(|r| r.phase == index).collect();
                let span = planned.start_us..planned.end_us;
                prop_assert!(sent.iter().all(|request| span.contains(&micros(request.at))));
                match (phase.volume, phase.arrival) {
                    (Volume::Rate(millis), Arrival::Uniform) => {
                        let exact = u128::from(millis) * phase.duration.as_millis();
                        prop_assert_eq!(sent.len() as u128, exact.div_ceil(1_000_000));
                    }
                    (Volume::Count(count), Arrival::Uniform | Arrival::Bursts(_)) => {
                        prop_assert_eq!(sent.len(), count as usize);
                    }
                    _ => {}
                }
                let block: u32 = phase.requests.iter().map(|request| request.weight).sum();
                for full in sent.chunks_exact(block as usize) {
                    for template in &phase.requests {
                        let count = full.iter().filter(|request| request.endpoint == template.endpoint).count();
                        prop_assert_eq!(count, template.weight as usize);
                    }
                }
                let per = phase.faults.first().map_or(1, |quota| quota.per);
                for full in sent.chunks_exact(per as usize) {
                    for quota in &phase.faults {
                        let count = full.iter().filter(|request| request.fault.as_ref() == Some(&quota.fault)).count();
                        prop_assert_eq!(count, quota.count as usize);
                    }
                    let faults: u32 = phase.faults.iter().map(|quota| quota.count).sum();
                    prop_assert_eq!(full.iter().filter(|request| request.fault.is_some()).count(), faults as usize);
                }
            }
        }
    }
}

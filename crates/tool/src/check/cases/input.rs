//! A unit test's made-up series, sample by sample: what happens in it that a test may be about.
//!
//! The notation is promtool's: `1+2x3` is 1 3 5 7, `_` is a sample that is missing, `stale` the end of the series.

use std::time::Duration;

use aiclipx_model::monitoring::located::Node;
use aiclipx_model::monitoring::promql;

/// A series: its name, its job, its samples at the test's interval.
pub(super) struct Input {
    /// The metric's name.
    pub(super) name: String,
    /// The label `job`, where it has one.
    pub(super) job: Option<String>,
    interval: Duration,
    samples: Vec<Sample>,
}

#[derive(Clone, Copy, PartialEq)]
enum Sample {
    Value(f64),
    Missing,
    Stale,
}

use Sample::{Missing, Stale, Value};

/// Whoever writes more samples than this makes promtool as slow as us.
const MOST_SAMPLES: usize = 1_000_000;

impl Input {
    /// Reads an item of `input_series`. What is no notation of promtool's ends the samples: promtool tells of it.
    pub(super) fn read(node: &Node, interval: Duration) -> Input {
        let text = node.text_of("series").unwrap_or_default();
        let tree = promql::parse(text).ok();
        let selector = tree.as_ref().and_then(|tree| promql::selectors(tree).into_iter().next().cloned());
        let matchers = selector.map(|selector| selector.matchers.matchers).unwrap_or_default();
        Input {
            name: text.split('{').next().unwrap_or_default().to_owned(),
            job: matchers.into_iter().find(|matcher| matcher.name == "job").map(|matcher| matcher.value),
            interval,
            samples: samples(node.text_of("values").unwrap_or_default()),
        }
    }

    fn at(&self, index: usize) -> Duration {
        self.interval * u32::try_from(index).unwrap_or(u32::MAX)
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().filter_map(|sample| match sample {
            Value(value) => Some(*value),
            Missing | Stale => None,
        })
    }

    /// Whether a value is followed by a lower one: a counter starts again.
    pub(super) fn falls(&self) -> bool {
        let values: Vec<f64> = self.values().collect();
        values.windows(2).any(|pair| pair[1] < pair[0])
    }

    /// Whether it begins later than the test: with its first value a counter is born with a count.
    pub(super) fn is_born(&self) -> bool {
        self.samples.first() == Some(&Missing)
    }

    /// Whether it ends in `stale`, as when its target is gone.
    pub(super) fn dies(&self) -> bool {
        self.samples.last() == Some(&Stale)
    }

    /// When each lost scrape was due, as Prometheus has it: it ends every series of the target, and the next one goes on with
    /// them; `up` is 0 for one. A sample that is merely missing never happens.
    pub(super) fn lost(&self) -> impl Iterator<Item = Duration> {
        let is_lost = |around: &[Sample]| match around {
            [Value(_), Stale, Value(_)] => true,
            [Value(before), Value(now), Value(after)] => {
                self.name == "up" && *before > 0.5 && *now < 0.5 && *after > 0.5
            }
            _ => false,
        };
        let lost = self.samples.windows(3).enumerate().filter(move |(_, around)| is_lost(around));
        lost.map(|(index, _)| self.at(index + 1))
    }

    /// When it first has values again, after being without for longer than one scrape.
    pub(super) fn returns(&self) -> Option<Duration> {
        let is_gone = |before: &[Sample]| matches!(before, [.., Stale | Missing, Missing]);
        let first = self.samples.iter().position(|sample| matches!(sample, Value(_)))?;
        let later = (first + 1..self.samples.len()).filter(|index| matches!(self.samples[*index], Value(_)));
        later.into_iter().find(|index| is_gone(&self.samples[..*index])).map(|index| self.at(index))
    }

    /// When one thing happens, once, if that is all that does: a count that was there rises by one, a moment (`…_seconds`)
    /// moves, or a rate that a rule records is there for one sample.
    pub(super) fn one_event(&self) -> Option<Duration> {
        let values: Vec<f64> = self.values().collect();
        let steps: Vec<f64> = values.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step != 0.0).collect();
        let is_one = match steps[..] {
            [step] => step > 0.0 && (self.name.ends_with("_seconds") || (step - 1.0).abs() < 1e-9),
            [up, down] => self.name.contains(':') && up > 0.0 && (up + down).abs() < 1e-9,
            _ => false,
        };
        let first = *values.first()?;
        let moved = |sample: &Sample| matches!(sample, Value(value) if *value > first);
        self.samples.iter().position(moved).filter(|_| is_one).map(|index| self.at(index))
    }
}

fn samples(values: &str) -> Vec<Sample> {
    let mut samples = Vec::new();
    for item in values.split_whitespace() {
        let (what, times) = item.split_once('x').unwrap_or((item, "0"));
        let Ok(times) = times.parse::<usize>() else { break };
        if samples.len() + times >= MOST_SAMPLES {
            break;
        }
        match what {
            "stale" => samples.push(Stale),
            "_" => samples.extend(std::iter::repeat_n(Missing, times.max(1))),
            _ => {
                let step = what
                    .char_indices()
                    .skip(1)
                    .find(|(at, c)| ['+', '-'].contains(c) && !what[..*at].ends_with(['e', 'E']));
                let (first, step) = what.split_at(step.map_or(what.len(), |(at, _)| at));
                let (Ok(mut value), Ok(step)) =
                    (first.parse::<f64>(), if step.is_empty() { Ok(0.0) } else { step.parse() })
                else {
                    break;
                };
                for _ in 0..=times {
                    samples.push(Value(value));
                    value += step;
                }
            }
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(name: &str, values: &str) -> Input {
        Input { name: name.to_owned(), job: None, interval: Duration::from_secs(15), samples: samples(values) }
    }

    #[test]
    fn the_notation_is_promtools() {
        let values: Vec<f64> = input("x", "1+2x3 9 -2-1x1 1e-2").values().collect();
        assert_eq!(values, [1.0, 3.0, 5.0, 7.0, 9.0, -2.0, -3.0, 0.01]);
        assert_eq!(samples("_x3 5").len(), 4);
        assert_eq!(samples("5x3 _ stale").len(), 6);
    }

    #[test]
    fn a_series_that_starts_again_is_seen() {
        for values in ["5000x40 0x80", "0+150x40 0+150x80", "5 3", "10-1x3", "1 stale 0"] {
            assert!(input("x", values).falls(), "{values}");
        }
        for values in ["0+150x40 6000x80", "0x39 0+30x40 1200", "_x40 5000x80", "0+10x40 stale", "-1+1x3"] {
            assert!(!input("x", values).falls(), "{values}");
        }
    }

    #[test]
    fn a_lost_scrape_ends_a_series_for_one_sample_or_is_one_zero_of_up() {
        let lost = |name, values| input(name, values).lost().map(|at| at.as_secs()).collect::<Vec<_>>();
        assert_eq!(lost("x", "1x3 stale 1 stale 1"), [60, 90]);
        assert_eq!(lost("up", "1x3 0 1"), [60]);
        for (name, values) in [
            ("x", "1 stale _ 1"),
            ("x", "1 _ 1"),
            ("x", "1 0 1"),
            ("x", "1 _ _ 1"),
            ("x", "_ 1 1"),
            ("x", "1 _"),
            ("up", "1 0 0 1"),
            ("up", "0 0 1"),
        ] {
            assert_eq!(lost(name, values), [0; 0], "{name} {values}");
        }
    }

    #[test]
    fn a_target_comes_back_after_more_than_one_scrape() {
        assert_eq!(input("x", "1x2 stale _ 1").returns(), Some(Duration::from_secs(75)));
        assert_eq!(input("x", "1x2 _x2 1").returns(), Some(Duration::from_secs(75)));
        for values in ["_x5 1", "1 _ 1", "1 stale 1", "1x3 stale", "1x3 _x4"] {
            assert_eq!(input("x", values).returns(), None, "{values}");
        }
    }

    #[test]
    fn one_event_is_a_count_more_a_moment_that_moves_or_a_rate_of_one_sample() {
        for (name, values) in
            [("x_total", "3x9 4x9"), ("x_start_time_seconds", "100x9 900x9"), ("job:x:rate5m", "0x9 0.3 0x9")]
        {
            assert!(input(name, values).one_event().is_some(), "{name} {values}");
        }
        for (name, values) in [
            ("x_total", "3x9 5x9"),
            ("x_total", "0+1x9"),
            ("x_total", "1 0"),
            ("x_total", "5x9"),
            ("x", "0 1 0"),
            ("job:x:rate5m", "0 1 2"),
        ] {
            assert_eq!(input(name, values).one_event(), None, "{name} {values}");
        }
    }
}

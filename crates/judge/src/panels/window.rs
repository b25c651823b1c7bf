//! What a panel may show of a window: the ledger's value, stretched as `rate()` does, and by how much it may differ.

use aiclipx_model::prom::answer::Series;
use aiclipx_model::scenario::Measure;
use aiclipx_model::service::Service;
use aiclipx_model::traffic::ledger::Measured;

use crate::timeline::millis;

/// By how much a panel may differ from the ledger, of the ledger's value (or, where that is more, so many requests).
const RELATIVE_TOLERANCE: f64 = 0.10;

/// What a panel may show.
pub(super) struct Allowed {
    pub(super) expected: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Allowed {
    pub(super) fn around(expected: f64, at_the_edges: f64) -> Allowed {
        let tolerance = (expected.abs() * RELATIVE_TOLERANCE).max(at_the_edges);
        Allowed { expected, low: expected - tolerance, high: expected + tolerance }
    }

    /// By the ledger's value, and so many requests on either side of an edge. `buckets` are the upper bounds of the latency histogram: a quantile is interpolated inside
    /// the bucket it falls in, so that is all it can be held to.
    pub(super) fn by(measure: Measure, measured: &Measured, known: &Known, buckets: &[f64], edges: f64) -> Allowed {
        let around = Allowed::around;
        let stretch = known.stretch();
        #[allow(clippy::cast_precision_loss)] // requests of a window
        match measure {
            // Of two rates over the same scrapes the stretch cancels out.
            Measure::ErrorShare => around(measured.value, edges / (measured.population as f64).max(1.0)),
            Measure::RequestRate | Measure::ErrorRate | Measure::TopEndpoint => {
                around(measured.value * stretch, edges / known.seconds() * stretch)
            }
            Measure::LatencyP95 => {
                let at = buckets.partition_point(|bound| *bound < measured.value);
                let low = at.checked_sub(1).map_or(0.0, |below| buckets[below]);
                let high = buckets.get(at).copied().unwrap_or(f64::INFINITY);
                Allowed { expected: measured.value, low, high }
            }
        }
    }
}

/// What Prometheus knows of a window: the scrapes inside it. Unix milliseconds.
pub(super) struct Known {
    from: i64,
    to: i64,
    pub(super) first: i64,
    pub(super) last: i64,
    count: usize,
}

impl Known {
    /// None where fewer than two scrapes lie inside: then there is no rate.
    pub(super) fn of(scrapes: &[i64], from: i64, to: i64) -> Option<Known> {
        let inside: Vec<i64> = scrapes.iter().copied().filter(|scrape| (from..=to).contains(scrape)).collect();
        match inside[..] {
            [first, .., last] if first < last => Some(Known { from, to, first, last, count: inside.len() }),
            _ => None,
        }
    }

    #[allow(clippy::cast_precision_loss)] // milliseconds of a window
    pub(super) fn seconds(&self) -> f64 {
        (self.last - self.first) as f64 / 1000.0
    }

    /// What `rate()` makes of the rate between the scrapes: it stretches the increase to an edge of the window that is
    /// less than 1.1 scrape distances away, by half a distance to one that is further, and divides by the window.
    /// After `extrapolatedRate` in Prometheus' promql/functions.go.
    #[allow(clippy::cast_precision_loss)] // milliseconds of a window
    pub(super) fn stretch(&self) -> f64 {
        let sampled = (self.last - self.first) as f64;
        let distance = sampled / (self.count - 1) as f64;
        let towards = |edge: i64| if (edge as f64) < distance * 1.1 { edge as f64 } else { distance / 2.0 };
        (sampled + towards(self.first - self.from) + towards(self.to - self.last)) / (self.to - self.from) as f64
    }
}

/// The series of the service's targets, and when each was scraped.
pub(super) fn of_the_service<'a>(
    up: &'a [Series],
    service: &'a Service,
) -> impl Iterator<Item = (&'a Series, Vec<i64>)> {
    let own = up.iter().filter(|series| series.labels.get("job").is_some_and(|job| *job == service.job));
    own.map(|series| (series, series.samples.iter().map(|sample| millis(sample.seconds)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrapes_that_reach_the_edges_are_stretched_over_the_whole_window() {
        let known = Known::of(&[0, 500, 1000, 1500, 2000], 100, 2100).unwrap();
        assert_eq!((known.first, known.last, known.count), (500, 2000, 4));
        assert!((known.stretch() - 1.0).abs() < 1e-9);
    }

    /// Seen on a busy machine: after a late scrape the first one inside the window is far from its edge, and Prometheus
    /// 2.42 answered 49.006 where 68.7 requests a second lay between the scrapes.
    #[test]
    fn an_edge_far_from_any_scrape_gets_half_a_distance() {
        let known = Known::of(&[3370, 3480, 3980, 4480], 2610, 4610).unwrap();
        assert!((68.7 * known.stretch() - 49.0).abs() < 0.1, "{}", 68.7 * known.stretch());
    }

    #[test]
    fn a_quantile_is_held_to_its_bucket_and_no_further() {
        let known = Known::of(&[0, 500, 1000], 0, 1000).unwrap();
        let measured = |value| Measured { value, endpoint: None, population: 80 };
        let allowed = |value| Allowed::by(Measure::LatencyP95, &measured(value), &known, &[0.25, 0.5, 1.0], 2.0);
        assert_eq!((allowed(0.751).low, allowed(0.751).high), (0.5, 1.0));
        assert_eq!((allowed(0.5).low, allowed(0.5).high), (0.25, 0.5));
        assert_eq!((allowed(0.1).low, allowed(0.1).high), (0.0, 0.25));
        assert!(allowed(7.0).high.is_infinite());
    }

    #[test]
    fn one_scrape_is_no_rate() {
        assert!(Known::of(&[500], 0, 1000).is_none());
    }
}

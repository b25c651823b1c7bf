//! What a service would get wrong in what it exposes, done to the text of an exposition line by line. Pure.
//!
//! Each is a defect that was met in the field, most of them in the original of this repository.

use std::collections::BTreeMap;

use serde::Deserialize;

use aiclipx_model::service::{Metric, Service};

/// A wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rewriting {
    /// Every request is counted in its handler and once more in a hook.
    CountTwice,
    /// The path as it was asked for is the label, in the place of the route's template.
    RawPath,
    /// The series of one route is lost.
    LoseSeries,
    /// Observations above the last bucket's bound are in no bucket: `+Inf` is not there.
    LoseInfBucket,
    /// The histogram has no `_count`.
    LoseCount,
    /// Whatever is posted is counted as a fault of the server's.
    CountPostsAsFaults,
    /// What is exposed is what was so at the first scrape.
    GoStale,
    /// Two processes behind one target take turns: every second scrape meets one that has counted nothing. It says the same
    /// start time: of two, the run would be inconclusive.
    SecondProcess,
}

/// Rewrites the scrapes of one target, one after the other.
#[derive(Debug)]
pub struct Rewriter {
    rewriting: Rewriting,
    service: Service,
    scrapes: u64,
    first: Option<String>,
}

impl Rewriter {
    /// Nothing was scraped yet.
    pub fn new(rewriting: Rewriting, service: &Service) -> Rewriter {
        Rewriter { rewriting, service: service.clone(), scrapes: 0, first: None }
    }

    /// What Prometheus gets to see of an exposition.
    pub fn rewrite(&mut self, text: &str) -> String {
        self.scrapes += 1;
        let Service { requests, latency, errors, .. } = &self.service;
        let is_of = |metric: &Option<Metric>, ending: &str, line: &str| {
            let rest = metric.as_ref().and_then(|metric| line.strip_prefix(&metric.name)?.strip_prefix(ending));
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        let label_of = |name: fn(&Metric) -> &Option<String>| requests.as_ref().and_then(|one| name(one).as_deref());
        let route = label_of(|metric| &metric.route).unwrap_or_default();
        let method = label_of(|metric| &metric.method).unwrap_or_default();
        let is_request = |line: &str| is_of(requests, "", line);
        match self.rewriting {
            Rewriting::CountTwice => revalued(text, is_request, |value| value * 2.0),
            Rewriting::RawPath => text.replace(&format!("{route}=\"/items\""), &format!("{route}=\"/items?limit=10\"")),
            Rewriting::LoseSeries => without(text, |line| is_request(line) && label(line, route) == Some("/items")),
            Rewriting::LoseInfBucket => {
                without(text, |line| is_of(latency, "_bucket", line) && label(line, "le") == Some("+Inf"))
            }
            Rewriting::LoseCount => without(text, |line| is_of(latency, "_count", line)),
            Rewriting::CountPostsAsFaults => {
                let posts = text.lines().filter(|line| is_request(line) && label(line, method) == Some("POST"));
                let posts: f64 = posts.filter_map(value).sum();
                revalued(text, |line| is_of(errors, "", line), |value| value + posts)
            }
            Rewriting::GoStale => self.first.get_or_insert_with(|| text.to_owned()).clone(),
            Rewriting::SecondProcess if self.scrapes.is_multiple_of(2) => {
                let kinds = kinds(text);
                revalued(text, |line| counts(line, &kinds), |_| 0.0)
            }
            Rewriting::SecondProcess => text.to_owned(),
        }
    }
}

/// The text without the lines that are picked.
fn without(text: &str, picks: impl Fn(&str) -> bool) -> String {
    text.lines().filter(|line| !picks(line)).fold(String::new(), |text, line| text + line + "\n")
}

/// The text with other values in the samples that are picked.
fn revalued(text: &str, picks: impl Fn(&str) -> bool, change: impl Fn(f64) -> f64) -> String {
    text.lines().fold(String::new(), |text, line| match (line.rsplit_once(' '), value(line)) {
        (Some((series, _)), Some(value)) if picks(line) => format!("{text}{series} {}\n", change(value)),
        _ => text + line + "\n",
    })
}

/// A sample's value: what stands behind the last space. The service writes no timestamps.
fn value(line: &str) -> Option<f64> {
    line.rsplit_once(' ')?.1.parse().ok()
}

fn label<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (labels, _) = line.split_once('{')?.1.rsplit_once('}')?;
    labels.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'))
}

/// The type of each family.
fn kinds(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect()
}

/// Whether a line is a sample of what the service itself counts: what its process takes goes on.
fn counts(line: &str, kinds: &BTreeMap<&str, &str>) -> bool {
    let name = line.split(['{', ' ']).next().unwrap_or_default();
    let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
        let family = name.strip_suffix(suffix)?;
        kinds.contains_key(family).then_some(family)
    });
    let kind = kinds.get(family.unwrap_or(name));
    !name.starts_with("process_") && kind.is_some_and(|kind| *kind == "counter" || *kind == "histogram")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use aiclipx_model::prom::exposition::{Exposition, parse};

    const EXPOSED: &str = "\
# HELP app_errors_total Faults.
# TYPE app_errors_total counter
app_errors_total 3
# TYPE app_requests_total counter
app_requests_total{endpoint=\"/\",http_status=\"200\",method=\"GET\"} 60
app_requests_total{endpoint=\"/items\",http_status=\"200\",method=\"GET\"} 30
app_requests_total{endpoint=\"/items\",http_status=\"201\",method=\"POST\"} 10
# TYPE app_requests_in_flight gauge
app_requests_in_flight 2
# TYPE app_request_latency_seconds histogram
app_request_latency_seconds_bucket{endpoint=\"/\",le=\"0.5\"} 59
app_request_latency_seconds_bucket{endpoint=\"/\",le=\"+Inf\"} 60
app_request_latency_seconds_sum{endpoint=\"/\"} 1.5
app_request_latency_seconds_count{endpoint=\"/\"} 60
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 0.25
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1700000000
";

    fn rewritten(rewriting: Rewriting) -> Exposition {
        parse(&Rewriter::new(rewriting, Service::ours()).rewrite(EXPOSED)).expect("what comes out is an exposition")
    }

    /// What differs from the sound exposition: `name{labels} value` a series, `-` before one that is gone.
    fn differences(found: &Exposition) -> BTreeSet<String> {
        let sound = parse(EXPOSED).unwrap();
        let told = |series: &aiclipx_model::prom::exposition::SeriesName| {
            let labels: Vec<&str> = series.labels.values().map(String::as_str).collect();
            format!("{} {}", series.name, labels.join(" "))
        };
        let changed = found.iter().filter(|(series, value)| sound.get(*series) != Some(*value));
        let gone = sound.keys().filter(|series| !found.contains_key(series));
        changed
            .map(|(series, value)| format!("{} {value}", told(series)))
            .chain(gone.map(|s| format!("-{}", told(s))))
            .collect()
    }

    #[test]
    fn each_rewriting_gets_one_thing_wrong_and_nothing_else() {
        for (rewriting, expected) in [
            (
                Rewriting::CountTwice,
                &[
                    "app_requests_total / 200 GET 120",
                    "app_requests_total /items 200 GET 60",
                    "app_requests_total /items 201 POST 20",
                ][..],
            ),
            (
                Rewriting::RawPath,
                &[
                    "-app_requests_total /items 200 GET",
                    "-app_requests_total /items 201 POST",
                    "app_requests_total /items?limit=10 200 GET 30",
                    "app_requests_total /items?limit=10 201 POST 10",
                ],
            ),
            (Rewriting::LoseSeries, &["-app_requests_total /items 200 GET", "-app_requests_total /items 201 POST"]),
            (Rewriting::LoseInfBucket, &["-app_request_latency_seconds_bucket / +Inf"]),
            (Rewriting::LoseCount, &["-app_request_latency_seconds_count /"]),
            (Rewriting::CountPostsAsFaults, &["app_errors_total  13"]),
            (Rewriting::GoStale, &[]),
            (Rewriting::SecondProcess, &[]),
        ] {
            let expected: BTreeSet<String> = expected.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(differences(&rewritten(rewriting)), expected, "{rewriting:?}");
        }
    }

    #[test]
    fn what_went_stale_never_moves_again() {
        let mut rewriter = Rewriter::new(Rewriting::GoStale, Service::ours());
        assert_eq!(rewriter.rewrite(EXPOSED), EXPOSED);
        assert_eq!(rewriter.rewrite(&EXPOSED.replace(" 60", " 61")), EXPOSED);
    }

    #[test]
    fn every_second_scrape_meets_a_process_that_counted_nothing() {
        let mut rewriter = Rewriter::new(Rewriting::SecondProcess, Service::ours());
        assert_eq!(rewriter.rewrite(EXPOSED), EXPOSED);
        let other = parse(&rewriter.rewrite(EXPOSED)).unwrap();
        let sound = parse(EXPOSED).unwrap();
        for (series, value) in &other {
            let counts = series.name.starts_with("app_") && series.name != "app_requests_in_flight";
            let expected = if counts { 0.0 } else { sound[series] };
            assert_eq!(value.to_bits(), f64::to_bits(expected), "{series:?}");
        }
        assert_eq!(other.len(), sound.len());
        assert_eq!(rewriter.rewrite(EXPOSED), EXPOSED);
    }
}

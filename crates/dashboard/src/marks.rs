//! Annotations from Prometheus' answer: the windows in which something was so.
//!
//! As Grafana does it: a sample that is neither zero nor NaN is a time at which it was so, and samples no further apart
//! than a step are one window. What Grafana would show as several events of one name at one time is one mark here.

use std::collections::BTreeMap;

use super::draw::{Frame, Mark};
use super::query::{self, QueryKind};

/// The windows a range answer tells of, by name and then by time.
pub fn marks(frame: &Frame) -> Vec<Mark> {
    let step = match frame.query.kind {
        QueryKind::Range { step_millis, .. } => i64::try_from(step_millis).unwrap_or(i64::MAX),
        QueryKind::Instant { .. } => 0,
    };
    let mut times: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for series in &frame.series {
        let name = match frame.query.legend.as_str() {
            "" => frame.query.ref_id.clone(),
            template => query::from_template(template, &series.labels),
        };
        let so = series.samples.iter().filter(|sample| sample.value != 0.0 && !sample.value.is_nan());
        // Unix milliseconds: exact as a float.
        #[allow(clippy::cast_possible_truncation)]
        times.entry(name).or_default().extend(so.map(|sample| (sample.seconds * 1000.0).round() as i64));
    }
    let mut marks: Vec<Mark> = Vec::new();
    for (label, mut times) in times {
        times.sort_unstable();
        for at in times {
            match marks.last_mut() {
                Some(last) if last.label == label && at - last.to_millis <= step => last.to_millis = at,
                _ => marks.push(Mark { from_millis: at, to_millis: at, label: label.clone() }),
            }
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::PlannedQuery;
    use aiclipx_model::prom::answer::{Sample, Series};

    #[test]
    fn samples_a_step_apart_are_one_window_whatever_series_they_are_of() {
        let series = |labels: &[(&str, &str)], samples: &[(f64, f64)]| Series {
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            samples: samples.iter().map(|(seconds, value)| Sample { seconds: *seconds, value: *value }).collect(),
        };
        let mut query = PlannedQuery {
            panel: 0,
            ref_id: "Alerts firing".to_owned(),
            expr: "ALERTS".to_owned(),
            kind: QueryKind::Range { start_millis: 0, end_millis: 100_000, step_millis: 500 },
            legend: "{{alertname}}".to_owned(),
            path_and_query: String::new(),
        };
        let answered = vec![
            series(&[("alertname", "A"), ("job", "x")], &[(10.0, 1.0), (10.5, 1.0), (12.0, 1.0), (12.5, f64::NAN)]),
            series(&[("alertname", "A"), ("job", "y")], &[(10.5, 1.0), (11.0, 1.0)]),
            series(&[("alertname", "B")], &[(10.0, 0.0), (10.5, 2.0)]),
        ];
        let found = marks(&Frame { query: query.clone(), series: answered.clone() });
        let told: Vec<_> = found.iter().map(|mark| (mark.label.as_str(), mark.from_millis, mark.to_millis)).collect();
        assert_eq!(told, [("A", 10_000, 11_000), ("A", 12_000, 12_000), ("B", 10_500, 10_500)]);
        query.legend.clear();
        assert!(marks(&Frame { query, series: answered }).iter().all(|mark| mark.label == "Alerts firing"));
    }
}

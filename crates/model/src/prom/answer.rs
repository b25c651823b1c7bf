//! Answers of Prometheus' query API as types: `/api/v1/query` and `/api/v1/query_range`.
//!
//! Pure: bytes in, values out. The bytes themselves are the artifact and stay with the caller. Sample values travel as
//! strings, so that `NaN` and `+Inf` survive; they are read as such. Native histograms are refused by name: nothing
//! here exposes them, and to drop them in silence would be to show less than was answered.

use std::collections::BTreeMap;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Unix time.
    pub seconds: f64,
    /// May be `NaN` or infinite.
    pub value: f64,
}

/// One labelled series; a vector's holds exactly one sample.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// With `__name__`, where the expression kept it.
    pub labels: BTreeMap<String, String>,
    /// In time order, as Prometheus sends them.
    pub samples: Vec<Sample>,
}

/// What a query evaluated to.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// A range query, or an instant query of a range selector.
    Matrix(Vec<Series>),
    /// An instant query of an instant vector.
    Vector(Vec<Series>),
    /// An instant query of a scalar expression.
    Scalar(Sample),
    /// An instant query of a string.
    String {
        /// Unix time.
        seconds: f64,
        text: String,
    },
}

impl Data {
    /// The series of a matrix or vector; a scalar is a series without labels, a string none.
    pub fn into_series(self) -> Vec<Series> {
        match self {
            Data::Matrix(series) | Data::Vector(series) => series,
            Data::Scalar(sample) => vec![Series { labels: BTreeMap::new(), samples: vec![sample] }],
            Data::String { .. } => Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What was asked for.
    pub data: Data,
    /// Warnings, then (3.x) infos, as Prometheus words them.
    pub warnings: Vec<String>,
}

/// Why an answer holds no data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerError {
    /// Prometheus refused, in its own words.
    Refused {
        /// `bad_data`, `timeout`, `execution`, ….
        kind: String,
        message: String,
    },
    /// Not what Prometheus' API answers: where it differs.
    Malformed(String),
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnswerError::Refused { kind, message } => write!(f, "Prometheus refused the query ({kind}): {message}"),
            AnswerError::Malformed(what) => write!(f, "this is no answer of Prometheus' query API: {what}"),
        }
    }
}

impl std::error::Error for AnswerError {}

#[derive(Deserialize)]
struct Envelope<'a> {
    status: String,
    #[serde(borrow)]
    data: Option<Payload<'a>>,
    #[serde(rename = "errorType", default)]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

/// What the result is made of, its type says, which may stand behind it: until then it is text, for as a tree of values
/// text takes eighty times as much.
#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(rename = "resultType")]
    result_type: String,
    #[serde(borrow)]
    result: &'a RawValue,
}

#[derive(Deserialize)]
struct WireSeries {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    value: Option<(f64, String)>,
    histogram: Option<IgnoredAny>,
    histograms: Option<IgnoredAny>,
}

/// Reads a whole answer, whatever the HTTP status it came with.
pub fn parse(body: &[u8]) -> Result<Answer, AnswerError> {
    let envelope: Envelope = serde_json::from_slice(body).map_err(malformed)?;
    match (envelope.status.as_str(), envelope.data) {
        ("success", Some(payload)) => {
            let mut warnings = envelope.warnings;
            warnings.extend(envelope.infos);
            Ok(Answer { data: data(&payload)?, warnings })
        }
        ("error", _) => Err(AnswerError::Refused { kind: envelope.error_type, message: envelope.error }),
        (status, _) => Err(AnswerError::Malformed(format!("status `{status}` without data"))),
    }
}

fn data(payload: &Payload) -> Result<Data, AnswerError> {
    match payload.result_type.as_str() {
        "matrix" => Ok(Data::Matrix(series(payload.result)?)),
        "vector" => Ok(Data::Vector(series(payload.result)?)),
        "scalar" => {
            let (seconds, value): (f64, String) = serde_json::from_str(payload.result.get()).map_err(malformed)?;
            Ok(Data::Scalar(sample(seconds, &value)?))
        }
        "string" => {
            let (seconds, text) = serde_json::from_str(payload.result.get()).map_err(malformed)?;
            Ok(Data::String { seconds, text })
        }
        other => Err(AnswerError::Malformed(format!("unknown result type `{other}`"))),
    }
}

fn series(result: &RawValue) -> Result<Vec<Series>, AnswerError> {
    let wire: Vec<WireSeries> = serde_json::from_str(result.get()).map_err(malformed)?;
    wire.into_iter()
        .map(|series| {
            if series.histogram.is_some() || series.histograms.is_some() {
                return Err(AnswerError::Malformed("native histograms are not read here".to_owned()));
            }
            let samples = series.values.into_iter().chain(series.value);
            let samples = samples.map(|(seconds, value)| sample(seconds, &value)).collect::<Result<_, _>>()?;
            Ok(Series { labels: series.metric, samples })
        })
        .collect()
}

/// Prometheus' own times lie in this range, so that adding and subtracting them never overflows.
const LATEST_SECONDS: f64 = 1e11;

fn sample(seconds: f64, value: &str) -> Result<Sample, AnswerError> {
    if !(0.0..=LATEST_SECONDS).contains(&seconds) {
        return Err(AnswerError::Malformed(format!("{seconds} is no time of a sample")));
    }
    let value = value.parse().map_err(|_| AnswerError::Malformed(format!("`{value}` is no sample value")))?;
    Ok(Sample { seconds, value })
}

// By value, as `map_err` hands it.
#[allow(clippy::needless_pass_by_value)]
fn malformed(error: serde_json::Error) -> AnswerError {
    AnswerError::Malformed(error.to_string())
}

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as a query parameter's value.
pub fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_matrix_keeps_its_labels_and_what_is_no_number() {
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"up","job":"app"},"values":[[1.5,"1"],[2.5,"NaN"],[3.5,"+Inf"],[4.5,"-Inf"]]}]}}"#;
        let Data::Matrix(series) = parse(body).unwrap().data else { panic!("a matrix was answered") };
        assert_eq!(series[0].labels["job"], "app");
        assert_eq!(series[0].samples[0], Sample { seconds: 1.5, value: 1.0 });
        assert!(series[0].samples[1].value.is_nan());
        assert!(series[0].samples[2].value > f64::MAX);
        assert!(series[0].samples[3].value < f64::MIN);
    }

    #[test]
    fn a_vector_has_one_sample_a_series() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{},"value":[1700000000.123,"0.25"]}]},"warnings":["slow"],"infos":["is it a counter?"]}"#;
        let answer = parse(body).unwrap();
        assert_eq!(answer.warnings, ["slow", "is it a counter?"]);
        let series = answer.data.into_series();
        assert_eq!(series[0].samples, [Sample { seconds: 1_700_000_000.123, value: 0.25 }]);
    }

    #[test]
    fn scalars_and_strings_are_told_apart() {
        let scalar = br#"{"status":"success","data":{"resultType":"scalar","result":[7,"42"]}}"#;
        assert_eq!(parse(scalar).unwrap().data, Data::Scalar(Sample { seconds: 7.0, value: 42.0 }));
        let text = br#"{"status":"success","data":{"resultType":"string","result":[7,"42"]}}"#;
        assert_eq!(parse(text).unwrap().data, Data::String { seconds: 7.0, text: "42".to_owned() });
    }

    #[test]
    fn an_error_carries_prometheus_own_words() {
        let body = br#"{"status":"error","errorType":"bad_data","error":"1:3: parse error: unexpected end"}"#;
        let error = parse(body).unwrap_err();
        assert_eq!(error.to_string(), "Prometheus refused the query (bad_data): 1:3: parse error: unexpected end");
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for body in [
            "",
            "404 page not found",
            "{}",
            r#"{"status":"success"}"#,
            r#"{"status":"success","data":{"resultType":"table","result":[]}}"#,
            r#"{"status":"success","data":{"resultType":"scalar","result":[7,"many"]}}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}"#,
        ] {
            assert!(matches!(parse(body.as_bytes()), Err(AnswerError::Malformed(_))), "{body}");
        }
    }

    #[test]
    fn a_query_is_encoded_for_an_address() {
        assert_eq!(percent_encoded("a{b=~\"ü\"}+1"), "a%7Bb%3D~%22%C3%BC%22%7D%2B1");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&body);
        }
    }
}

//! The lines of a panel of logs: asked of the store, and what each tells.
//!
//! A line is what the forwarder made of it: an object with the component's message and the request's id, or, where the
//! query writes it anew (`line_format`), a text whose labels have them. Nothing of it is trusted to be either.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::ask::QueryError;
use aiclipx_base::address::Address;
use aiclipx_dashboard::draw::clean;
use aiclipx_http::client;

/// Of a query, the newest.
pub(super) const MOST: usize = 200;
/// Signs of a line that a page shows; the rest is told by its number.
const LONGEST: usize = 600;
/// A page waits no longer for lines: the other panels have theirs by then.
const LIMIT: Duration = Duration::from_secs(3);

/// Whether a query has this variable in it.
pub(super) fn asks_for(query: &str, variable: &str) -> bool {
    query.contains(&format!("${variable}")) || query.contains(&format!("${{{variable}"))
}

#[derive(Debug, PartialEq)]
pub(super) struct Line {
    /// Unix milliseconds.
    pub(super) at_millis: i64,
    /// `error`, in the store's words.
    pub(super) level: String,
    /// Whose it is.
    pub(super) component: String,
    pub(super) message: String,
    /// What else it tells: `method=GET status=500`.
    pub(super) rest: String,
    /// The request's id, or nothing.
    pub(super) request: String,
}

/// The lines of one query, in no order.
pub(super) async fn ask(address: &Address, path_and_query: &str) -> Result<Vec<Line>, QueryError> {
    let answer = client::get(address, path_and_query, LIMIT)
        .await
        .map_err(|error| QueryError::Unreachable(format!("Loki at {} does not answer: {error}", address.url(""))))?;
    if answer.status.is_success() {
        return read(&answer.body).map_err(QueryError::Refused);
    }
    let words = String::from_utf8_lossy(&answer.body).trim().chars().take(300).collect::<String>();
    Err(QueryError::Refused(format!("Loki answered {}: {words}", answer.status)))
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Vec<Value>,
}

#[derive(Deserialize)]
struct Stream {
    stream: BTreeMap<String, String>,
    /// Nanoseconds and text, and sometimes more of it.
    values: Vec<Vec<Value>>,
}

fn read(body: &[u8]) -> Result<Vec<Line>, String> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| format!("Loki's answer is none: {error}"))?;
    if answer.data.result_type != "streams" {
        return Err(format!("it asks for a {}, and lines are shown here", answer.data.result_type));
    }
    let mut lines = Vec::new();
    for stream in answer.data.result {
        let stream: Stream = serde_json::from_value(stream).map_err(|error| format!("Loki's answer: {error}"))?;
        for value in &stream.values {
            let at = value.first().and_then(Value::as_str).and_then(|nanos| nanos.parse::<i64>().ok());
            let text = value.get(1).and_then(Value::as_str);
            let (Some(at), Some(text)) = (at, text) else {
                return Err("Loki's answer holds a line without a time or a text".to_owned());
            };
            lines.push(line(at.div_euclid(1_000_000), &stream.stream, text));
        }
    }
    Ok(lines)
}

fn line(at_millis: i64, labels: &BTreeMap<String, String>, text: &str) -> Line {
    let mut told: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    let of = |name: &str| labels.get(name).map(|value| shown(value)).unwrap_or_default();
    let mut take = |name: &str| told.remove(name).map(|value| written(&value));
    let message = take("message").map_or_else(|| shown(text), |message| shown(&message));
    let request = take("request_id").map_or_else(|| of("request_id"), |id| shown(&id));
    for known in ["timestamp", "form", "replica"] {
        take(known);
    }
    let rest = told.iter().map(|(name, value)| format!("{name}={}", written(value))).collect::<Vec<_>>().join(" ");
    Line { at_millis, level: of("level"), component: of("component"), message, rest: shown(&rest), request }
}

/// A text as it is, anything else as JSON.
fn written(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// One line of a page: no sign that could pass for another, and not without end.
fn shown(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => clean(text),
        Some((end, _)) => format!("{} … {} signs more", clean(&text[..end]), text[end..].chars().count()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(stream: &Value, text: &str) -> Result<Vec<Line>, String> {
        let result = json!([{"stream": stream, "values": [["1795000000123456789", text]]}]);
        read(json!({"data": {"resultType": "streams", "result": result}}).to_string().as_bytes())
    }

    #[test]
    fn a_line_tells_what_its_object_or_its_labels_tell() {
        let object =
            r#"{"message":"Panicked.","request_id":"r-1","status":500,"form":"json","replica":"1","timestamp":"t"}"#;
        let labels = json!({"level": "error", "component": "app", "endpoint": "/"});
        let line = of(&labels, object).unwrap().remove(0);
        assert_eq!((line.at_millis, line.level.as_str(), line.component.as_str()), (1_795_000_000_123, "error", "app"));
        assert_eq!(
            (line.message.as_str(), line.rest.as_str(), line.request.as_str()),
            ("Panicked.", "status=500", "r-1")
        );
        let line = of(&json!({"request_id": "r-2"}), "written anew").unwrap().remove(0);
        assert_eq!((line.message.as_str(), line.rest.as_str(), line.request.as_str()), ("written anew", "", "r-2"));
    }

    #[test]
    fn what_is_long_is_cut_and_what_turns_the_reading_is_replaced() {
        let line = of(&json!({}), &format!("a\u{202e}\n{}", "ä".repeat(LONGEST + 5))).unwrap().remove(0);
        assert!(
            line.message.starts_with("a\u{fffd} ää") && line.message.ends_with("ä … 8 signs more"),
            "{}",
            line.message
        );
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for (data, told) in [
            (json!({"resultType": "matrix", "result": []}), "asks for a matrix"),
            (json!({"resultType": "streams", "result": [{"stream": {}, "values": [["now", "a"]]}]}), "without a time"),
            (json!({"resultType": "streams", "result": [{"values": 1}]}), "Loki's answer"),
        ] {
            let refused = read(json!({"data": data}).to_string().as_bytes()).unwrap_err();
            assert!(refused.contains(told), "{refused}");
        }
        assert!(read(b"<html>").unwrap_err().contains("Loki's answer is none"));
    }
}

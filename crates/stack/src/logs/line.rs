//! What one line of a component's log tells: when, how grave, of which request.
//!
//! | written by | form |
//! |---|---|
//! | the service, the receiver, Vector | a JSON object with `ts` or `timestamp`, `level`, `msg` or `message` |
//! | Prometheus 2, Alertmanager until 0.27, Loki | `ts=… caller=… level=info msg=…` |
//! | Prometheus 3, Alertmanager since 0.28 | `time=… level=INFO source=… msg=…` |
//! | Grafana | `logger=… t=… level=info msg=…` |
//! | supervisord | `2026-11-26 18:00:00,123 INFO …`, in the machine's own time |
//!
//! Anything else (a panic, a stack trace, a last word) tells no time: it belongs to the line before it.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// How grave a line is; the graver, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For who looks for a fault.
    Debug,
    /// What happens.
    Info,
    /// What should not happen often.
    Warn,
    /// What should not happen.
    Error,
}

impl Level {
    /// As the service writes it.
    pub fn word(self) -> &'static str {
        match self {
            Level::Trace => "TRACE",
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        }
    }

    /// The word of any component: Go's, Rust's and supervisord's.
    fn of(word: &str) -> Option<Level> {
        Some(match word.to_ascii_lowercase().as_str() {
            "trace" | "trac" | "blat" => Level::Trace,
            "debug" | "debg" | "dbug" => Level::Debug,
            "info" | "notice" => Level::Info,
            "warn" | "warning" => Level::Warn,
            "error" | "err" | "erro" | "eror" | "critical" | "crit" | "fatal" | "panic" => Level::Error,
            _ => return None,
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Level, String> {
        Level::of(text).ok_or_else(|| format!("`{text}` is no level; there are error, warn, info, debug, trace"))
    }
}

/// A line, understood as far as it can be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// Its own time.
    pub(super) at: Option<Timestamp>,
    /// Its own level.
    pub(super) level: Option<Level>,
    /// What it says, of a line without form all of it.
    pub(super) message: String,
    /// The rest it tells, in its order.
    pub(super) fields: Vec<(String, Value)>,
    /// Whether it is a JSON object: then it can be passed on as it is.
    pub(super) is_json: bool,
}

impl Line {
    /// A field that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.as_str())
    }
}

/// Reads a line, its end taken off. `zone` is the machine's own, for lines that tell no other.
pub(super) fn read(bytes: &[u8], zone: &TimeZone) -> Line {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches('\r');
    json(text).or_else(|| logfmt(text)).or_else(|| of_supervisord(text, zone)).unwrap_or_else(|| Line {
        at: None,
        level: panics(text),
        message: text.to_owned(),
        fields: Vec::new(),
        is_json: false,
    })
}

/// The names components have for the same thing.
const TIMES: [&str; 4] = ["ts", "time", "t", "timestamp"];
const MESSAGES: [&str; 2] = ["msg", "message"];

/// Takes time, level and message out of what a line tells.
fn told(mut fields: Vec<(String, Value)>, is_json: bool) -> Line {
    let mut take = |names: &[&str], fits: &dyn Fn(&str) -> bool| {
        let place =
            fields.iter().position(|(key, value)| names.contains(&key.as_str()) && value.as_str().is_some_and(fits))?;
        fields.remove(place).1.as_str().map(str::to_owned)
    };
    let at = take(&TIMES, &|text| text.parse::<Timestamp>().is_ok());
    let level = take(&["level", "lvl"], &|text| Level::of(text).is_some());
    let message = take(&MESSAGES, &|_| true).unwrap_or_default();
    Line {
        at: at.and_then(|text| text.parse().ok()),
        level: level.and_then(|word| Level::of(&word)),
        message,
        fields,
        is_json,
    }
}

fn json(text: &str) -> Option<Line> {
    /// An object with its members in their order.
    struct Members(Vec<(String, Value)>);

    impl<'de> Deserialize<'de> for Members {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
            struct Reader;
            impl<'de> Visitor<'de> for Reader {
                type Value = Members;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                    let mut members = Vec::new();
                    while let Some(member) = map.next_entry()? {
                        members.push(member);
                    }
                    Ok(Members(members))
                }
            }
            deserializer.deserialize_map(Reader)
        }
    }

    if !text.starts_with('{') {
        return None;
    }
    let members: Members = serde_json::from_str(text).ok()?;
    Some(told(members.0, true))
}

/// `key=value key="a \"value\""`, all of the line, with a time: else it is prose with an equals sign in it.
fn logfmt(text: &str) -> Option<Line> {
    let mut fields = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        if key.is_empty() || key.contains(|c: char| c <= ' ' || c == '"') {
            return None;
        }
        let end = if after.starts_with('"') { end_of_quoted(after)? } else { after.find(' ').unwrap_or(after.len()) };
        let (value, tail) = after.split_at(end);
        if !(tail.is_empty() || tail.starts_with(' ')) {
            return None;
        }
        fields.push((key.to_owned(), Value::String(unquoted(value))));
        rest = tail.trim_start();
    }
    let line = told(fields, false);
    line.at.is_some().then_some(line)
}

/// Where a quoted value ends, its quotes counted.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().skip(1).find_map(|(at, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at + 1)
    })
}

/// Go's quoting undone, which is JSON's but for rare escapes: those stay as they are written.
fn unquoted(value: &str) -> String {
    match value.strip_prefix('"').and_then(|inside| inside.strip_suffix('"')) {
        Some(inside) => serde_json::from_str(value).unwrap_or_else(|_| inside.to_owned()),
        None => value.to_owned(),
    }
}

/// `2026-11-26 18:00:00,123 INFO spawned: 'app' with pid 12`.
fn of_supervisord(text: &str, zone: &TimeZone) -> Option<Line> {
    const TIME: usize = "2026-11-26 18:00:00,123".len();
    let (time, rest) = (text.get(..TIME)?, text.get(TIME..)?.strip_prefix(' ')?);
    let (word, message) = rest.split_once(' ')?;
    let level = Level::of(word)?;
    let (seconds, millis) = time.split_once(',')?;
    let at = format!("{seconds}.{millis}").parse::<DateTime>().ok()?.to_zoned(zone.clone()).ok()?;
    Some(Line {
        at: Some(at.timestamp()),
        level: Some(level),
        message: message.to_owned(),
        fields: Vec::new(),
        is_json: false,
    })
}

/// What a dying program says first, in Go, Rust and Python; what follows is as grave.
fn panics(text: &str) -> Option<Level> {
    let says = text.starts_with("panic: ")
        || text.starts_with("fatal error: ")
        || text.starts_with("Traceback (most recent call last)")
        || (text.starts_with("thread '") && text.contains("panicked at"));
    says.then_some(Level::Error)
}

#[cfg(test)]
mod tests {
    use jiff::tz::Offset;
    use proptest::prelude::*;

    use super::*;

    fn line(text: &str) -> Line {
        read(text.as_bytes(), &TimeZone::fixed(Offset::constant(2)))
    }

    /// Time, level and message, as one text.
    fn gist(text: &str) -> String {
        let line = line(text);
        let at = line.at.map_or("-".to_owned(), |at| at.to_string());
        format!("{at} {} {}", line.level.map_or("-", Level::word), line.message)
    }

    #[test]
    fn every_component_is_understood() {
        for (text, expected) in [
            (
                r#"{"ts":"2026-11-26T18:00:00.123Z","level":"INFO","target":"aiclipx::access","msg":"Request ended.","status":200}"#,
                "2026-11-26T18:00:00.123Z INFO Request ended.",
            ),
            (
                r#"ts=2026-11-26T18:50:53.581Z caller=main.go:469 level=error msg="Error loading \"x\"" err="open /x: no"#
                    .trim_end(),
                "- - ts=2026-11-26T18:50:53.581Z caller=main.go:469 level=error msg=\"Error loading \\\"x\\\"\" err=\"open /x: no",
            ),
            (
                r#"ts=2026-11-26T18:50:53.581Z caller=main.go:469 level=error msg="Error loading \"x\"" err="open /x: no""#,
                r#"2026-11-26T18:50:53.581Z ERROR Error loading "x""#,
            ),
            (
                r#"time=2026-11-26T18:50:53.581Z level=WARN source=main.go:748 msg="Starting" component="rule manager""#,
                "2026-11-26T18:50:53.581Z WARN Starting",
            ),
            (
                r#"logger=settings t=2026-11-26T18:50:53.5812345+02:00 level=info msg="Starting Grafana" version=13.0.7"#,
                "2026-11-26T16:50:53.5812345Z INFO Starting Grafana",
            ),
            (
                r#"t=2026-11-26T18:50:53+0200 lvl=eror msg="Request Completed" logger=context userId=0 uname= status=500"#,
                "2026-11-26T16:50:53Z ERROR Request Completed",
            ),
            (
                r#"level=info ts=2026-11-26T18:50:53.581Z caller=main.go:126 msg="Starting Loki""#,
                "2026-11-26T18:50:53.581Z INFO Starting Loki",
            ),
            (
                r#"{"timestamp":"2026-11-26T18:50:53.581Z","level":"ERROR","message":"Failed.","target":"vector"}"#,
                "2026-11-26T18:50:53.581Z ERROR Failed.",
            ),
            (
                "2026-11-26 18:00:00,123 ERRO gave up: app entered FATAL state",
                "2026-11-26T16:00:00.123Z ERROR gave up: app entered FATAL state",
            ),
            ("2026-11-26 18:00:00,123 WARN x", "2026-11-26T16:00:00.123Z WARN x"),
            ("panic: runtime error: index out of range", "- ERROR panic: runtime error: index out of range"),
            ("thread 'main' (77) panicked at src/x.rs:1:2:", "- ERROR thread 'main' (77) panicked at src/x.rs:1:2:"),
            ("goroutine 1 [running]:", "- - goroutine 1 [running]:"),
            ("a=b is prose", "- - a=b is prose"),
            ("{\"ts\": torn", "- - {\"ts\": torn"),
            ("[1,2]", "- - [1,2]"),
            (r#"{"ts":"never","level":7,"msg":"odd"}"#, "- - odd"),
            ("", "- - "),
        ] {
            assert_eq!(gist(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_left_keeps_its_order_and_type() {
        let told = line(r#"{"ts":"2026-11-26T18:00:00Z","status":500,"endpoint":"/items/{id}","request_id":"x-1"}"#);
        let names: Vec<_> = told.fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["status", "endpoint", "request_id"]);
        assert_eq!((told.text("request_id"), told.text("status")), (Some("x-1"), None));
        assert_eq!(told.fields[0].1, 500);
    }

    #[test]
    fn levels_are_ordered_and_read_in_any_case() {
        assert!(Level::Error > Level::Warn && Level::Warn > Level::Info && Level::Debug > Level::Trace);
        assert_eq!("Warning".parse(), Ok(Level::Warn));
        assert!("loud".parse::<Level>().unwrap_err().contains("error, warn, info, debug, trace"));
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            read(&bytes, &TimeZone::UTC);
        }

        #[test]
        fn what_slog_quotes_reads_back(message in "\\PC{0,40}") {
            let text = format!("time=2026-11-26T18:00:00Z level=INFO msg={} n=1", serde_json::to_string(&message).unwrap());
            prop_assert_eq!(line(&text).message, message);
        }
    }
}

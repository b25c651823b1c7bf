//! The access log: one line for each request, byte for byte what the log writer's general formatter would write, at a fraction
//! of its cost.
//!
//! Nothing in it needs escaping: keys and labels are ours, and an id was checked when its request began. All lines of a
//! millisecond begin alike, so the beginning is kept.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use log::Level;
use serde::Serialize;

use super::log_writer::LogWriter;

/// A request that has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended<'a> {
    /// The service failed: an error wherever logs are read by level.
    pub(super) at_fault: bool,
    /// A metric label.
    pub(super) method: &'static str,
    /// A metric label, too.
    pub(super) endpoint: &'static str,
    pub(super) status: u16,
    pub(super) seconds: f64,
    pub(super) bytes: u64,
    /// A valid one: see `in_flight`.
    pub(super) request_id: &'a [u8],
}

thread_local! {
    static LINE: RefCell<Line> = RefCell::new(Line::new());
}

impl Ended<'_> {
    /// Logs it, if its level is logged and a log writer is installed.
    pub(super) fn log(&self) {
        if self.level() > log::max_level() {
            return;
        }
        let Some(log_writer) = LogWriter::installed() else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        LINE.with_borrow_mut(|line| log_writer.put(line.write(now, self)));
    }

    fn level(&self) -> Level {
        if self.at_fault { Level::Error } else { Level::Info }
    }
}

/// A line, and what of it is kept for the next.
struct Line {
    bytes: Vec<u8>,
    /// The second and the millisecond that it begins with.
    time: (u64, u32),
}

/// Where the digits of the millisecond stand, and where what is kept ends.
const MILLIS: std::ops::Range<usize> = BEGINNING.len() + 20..BEGINNING.len() + 23;
const KEPT: usize = MILLIS.end + b"Z".len();

const BEGINNING: &str = r#"{"ts":""#;

impl Line {
    fn new() -> Line {
        Line { bytes: Vec::with_capacity(512), time: (u64::MAX, 0) }
    }

    /// The line of a request that ended `now`, counted from 1970.
    fn write(&mut self, now: Duration, ended: &Ended<'_>) -> &[u8] {
        self.begin(now.as_secs(), now.subsec_millis());
        self.text(if ended.at_fault { "\",\"level\":\"ERROR" } else { "\",\"level\":\"INFO" });
        self.text("\",\"target\":\"aiclipx::access\",\"msg\":\"Request ended.\",\"method\":\"");
        self.text(ended.method);
        self.text("\",\"endpoint\":\"");
        self.text(ended.endpoint);
        self.text("\",\"status\":");
        self.number(ended.status);
        self.text(",\"seconds\":");
        self.number(ended.seconds);
        self.text(",\"bytes\":");
        self.number(ended.bytes);
        self.text(",\"request_id\":\"");
        self.bytes.extend_from_slice(ended.request_id);
        self.text("\"}\n");
        &self.bytes
    }

    fn begin(&mut self, second: u64, millisecond: u32) {
        if self.time.0 != second {
            self.bytes.clear();
            self.text(BEGINNING);
            self.text(&time_of(second));
            self.text(".000Z");
            self.time = (second, 0);
        }
        self.bytes.truncate(KEPT);
        if self.time.1 != millisecond {
            let digits = [millisecond / 100, millisecond / 10 % 10, millisecond % 10];
            for (place, digit) in self.bytes[MILLIS].iter_mut().zip(digits) {
                *place = b"0123456789"[digit as usize];
            }
            self.time.1 = millisecond;
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// As JSON has it, the shortest text that reads as the same number.
    fn number(&mut self, number: impl Serialize) {
        serde_json::to_writer(&mut self.bytes, &number).expect("a vector takes every number");
    }
}

/// A second since 1970 as RFC 3339, without its fraction. Each thread does it once a second, so counting years will do.
fn time_of(second: u64) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let (mut year, mut month, mut day) = (1970, 1, second / DAY);
    let is_leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let (hour, minute, second) = (second % DAY / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}", day + 1)
}

#[cfg(test)]
mod tests {
    use log::Record;
    use log::kv::Value;

    use super::*;
    use crate::endpoint::{Endpoint, Verb};
    use crate::log_writer;

    const NOW: Duration = Duration::from_millis(1_767_323_045_678);

    #[test]
    fn a_line_is_what_the_general_formatter_writes() {
        let mut line = Line::new();
        let labels = Endpoint::ALL.iter().flat_map(|endpoint| Verb::ALL.map(|verb| (endpoint.label(), verb.label())));
        let seconds = [0.0, 3.91e-7, 0.000_012_345, 0.25, 1.0, 12.000_000_001, 1e21];
        let ids: [&[u8]; 3] = [b"a", b"0123456789abcdef-7f", &[b'x'; 64]];
        for (at, (endpoint, method)) in labels.enumerate() {
            let ended = Ended {
                at_fault: at % 3 == 0,
                method,
                endpoint,
                status: [200, 404, 499, 503][at % 4],
                seconds: seconds[at % seconds.len()],
                bytes: [0, 41, 1_547_084, u64::MAX][at % 4],
                request_id: ids[at % ids.len()],
            };
            let fields = [
                ("method", Value::from(method)),
                ("endpoint", Value::from(endpoint)),
                ("status", Value::from(ended.status)),
                ("seconds", Value::from(ended.seconds)),
                ("bytes", Value::from(ended.bytes)),
                ("request_id", Value::from(std::str::from_utf8(ended.request_id).unwrap())),
            ];
            let record = Record::builder()
                .args(format_args!("Request ended."))
                .level(ended.level())
                .target("aiclipx::access")
                .key_values(&fields)
                .build();
            let mut expected = Vec::new();
            log_writer::write_json(&mut expected, "2026-01-02T03:04:05.678Z", &record).unwrap();
            expected.push(b'\n');
            assert_eq!(line.write(NOW, &ended).escape_ascii().to_string(), expected.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_line_has_the_time_of_its_own_request() {
        let mut line = Line::new();
        let ended = Ended {
            at_fault: false,
            method: "GET",
            endpoint: "/",
            status: 200,
            seconds: 0.0,
            bytes: 0,
            request_id: b"a",
        };
        let mut time_at = |now| {
            let line: serde_json::Value = serde_json::from_slice(line.write(now, &ended)).unwrap();
            line["ts"].as_str().unwrap().to_owned()
        };
        for (millisecond, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (999, "1970-01-01T00:00:00.999Z"),
            (1_000, "1970-01-01T00:00:01.000Z"),
            (951_782_399_042, "2000-02-28T23:59:59.042Z"),
            (951_868_799_042, "2000-02-29T23:59:59.042Z"),
            (951_868_800_042, "2000-03-01T00:00:00.042Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (1_735_689_600_000, "2025-01-01T00:00:00.000Z"),
            (4_107_542_400_500, "2100-03-01T00:00:00.500Z"),
            (1_735_689_600_000, "2025-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(time_at(Duration::from_millis(millisecond)), expected);
            assert_eq!(
                time_at(Duration::new(millisecond / 1000, 999_999)).split('.').next(),
                expected.split('.').next()
            );
        }
    }
}

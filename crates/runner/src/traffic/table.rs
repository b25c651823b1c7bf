//! A run in numbers: the final table by endpoint and status, and the same for machines.
//!
//! Latency counts from the intended time. What has no whole answer has a row of its own: nothing is left out.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use aiclipx_model::traffic::ledger::{Head, Ledger, Outcome, Quantiles, Totals};

/// Width of the first column; with the others the table has 80.
const REQUEST_WIDTH: usize = 24;

/// A run in numbers; `--json` is this, as it is.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Of which run.
    #[serde(flatten)]
    pub head: Head,
    /// What became of all requests.
    pub totals: Totals,
    /// By method, endpoint and result.
    pub rows: Vec<Row>,
    /// All answers and time-outs together.
    pub latency: Quantiles,
    /// How late requests left.
    pub lag: Quantiles,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// `GET`, `POST`, ….
    pub method: String,
    /// Route template.
    pub endpoint: String,
    /// A status, or why there is none: `refused`, `broken`, `timed out`, `not sent`.
    pub result: String,
    pub count: u64,
    /// From the intended time to the end. Nothing of refused, broken and unsent ones.
    pub latency: Quantiles,
}

impl Summary {
    /// Of a ledger and the generator's lag.
    pub fn new(ledger: &Ledger, lag: Quantiles) -> Summary {
        let mut groups: BTreeMap<(&str, &str, String), (u64, Vec<u64>)> = BTreeMap::new();
        for entry in &ledger.entries {
            let result = match &entry.outcome {
                Outcome::Answered { status } => status.to_string(),
                Outcome::Failed { kind } => kind.words().to_owned(),
                Outcome::NotSent { .. } => "not sent".to_owned(),
            };
            // The endpoint first: a route's methods stand together.
            let group = groups.entry((&entry.endpoint, &entry.method, result)).or_default();
            group.0 += 1;
            group.1.extend(entry.latency_us());
        }
        let row = |((endpoint, method, result), (count, latencies)): ((&str, &str, String), (u64, Vec<u64>))| Row {
            method: method.to_owned(),
            endpoint: endpoint.to_owned(),
            result,
            count,
            latency: Quantiles::of(latencies),
        };
        Summary {
            head: ledger.head.clone(),
            totals: ledger.totals(),
            rows: groups.into_iter().map(row).collect(),
            latency: Quantiles::of(ledger.entries.iter().filter_map(aiclipx_model::traffic::ledger::Entry::latency_us)),
            lag,
        }
    }
}

/// The table, its sums, and what the generator says about itself; no trailing newline.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<REQUEST_WIDTH$} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "request", "result", "count", "p50 ms", "p95 ms", "p99 ms", "max ms"
        )?;
        for row in &self.rows {
            let request = shortened(&format!("{} {}", row.method, row.endpoint));
            write_row(f, &request, &row.result, row.count, &row.latency)?;
        }
        write_row(f, "all", "", self.totals.scheduled, &self.latency)?;
        let head = &self.head;
        writeln!(
            f,
            "{} scheduled = {} sent + {} not sent",
            self.totals.scheduled, self.totals.sent, self.totals.not_sent
        )?;
        writeln!(
            f,
            "sent late by: p50 {}, p99 {}, max {}",
            milliseconds(self.lag.p50_us),
            milliseconds(self.lag.p99_us),
            milliseconds(self.lag.max_us),
        )?;
        let schedule = head.schedule_sha256.get(..16).unwrap_or(&head.schedule_sha256);
        write!(f, "{}, seed {}, speed {}, schedule {schedule}", head.scenario, head.seed, head.speed)?;
        if let Some(why) = &head.limited {
            write!(f, "\nGENERATOR_LIMITED: {why}")?;
        }
        if head.interrupted {
            write!(f, "\ninterrupted")?;
        }
        Ok(())
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, request: &str, result: &str, count: u64, latency: &Quantiles) -> fmt::Result {
    write!(f, "{request:<REQUEST_WIDTH$} {result:>9} {count:>8}")?;
    for value in [latency.p50_us, latency.p95_us, latency.p99_us, latency.max_us] {
        if latency.count == 0 {
            write!(f, " {:>8}", "–")?;
        } else {
            write!(f, " {:>8}", decimal(value))?;
        }
    }
    writeln!(f)
}

/// Fits the first column; what is cut off is shown to be.
fn shortened(text: &str) -> String {
    if text.chars().count() <= REQUEST_WIDTH {
        return text.to_owned();
    }
    text.chars().take(REQUEST_WIDTH - 1).chain(['…']).collect()
}

/// Microseconds as milliseconds with one decimal, rounded half up: `4.3`.
fn decimal(us: u64) -> String {
    let tenths = us.saturating_add(50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Microseconds as milliseconds with their unit: `4.3 ms`.
pub fn milliseconds(us: u64) -> String {
    format!("{} ms", decimal(us))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aiclipx_base::duration::Speed;
    use aiclipx_model::traffic::ledger::{Entry, FailureKind};

    fn summary() -> Summary {
        let entry = |seq: u64, method: &str, endpoint: &str, latency_us: u64, outcome: Outcome| Entry {
            seq,
            id: format!("r-{seq}"),
            phase: "steady".to_owned(),
            method: method.to_owned(),
            path: endpoint.to_owned(),
            endpoint: endpoint.to_owned(),
            fault: None,
            replica: None,
            intended_us: 0,
            sent_us: Some(0),
            ended_us: Some(latency_us),
            outcome,
        };
        let ok = Outcome::Answered { status: 200 };
        let entries = vec![
            entry(0, "GET", "/items", 1_234, ok.clone()),
            entry(1, "GET", "/items", 12_345_678, Outcome::Failed { kind: FailureKind::TimedOut }),
            entry(2, "GET", "/", 949, ok.clone()),
            entry(3, "POST", "/items", 2_000, Outcome::Answered { status: 500 }),
            entry(4, "GET", "/a-very-long-route/{with}/{parts}", 2_000, ok),
            entry(5, "GET", "/", 0, Outcome::NotSent { why: "interrupted".to_owned() }),
        ];
        let head = Head {
            run: "r".to_owned(),
            scenario: "01-request-rate".to_owned(),
            seed: 42,
            speed: Speed::PRODUCTION,
            length_us: 0,
            schedule_sha256: "0123456789abcdef".to_owned(),
            scheduled: 6,
            started_unix_us: 0,
            ended_unix_us: 0,
            elapsed_us: 0,
            limited: None,
            interrupted: true,
            starts_unix_us: Vec::new(),
        };
        Summary::new(&Ledger { head, entries }, Quantiles::of([400, 900, 1_100]))
    }

    #[test]
    fn the_table_is_aligned_and_fits_eighty_columns() {
        let expected = "\
request                     result    count   p50 ms   p95 ms   p99 ms   max ms
GET /                          200        1      0.9      0.9      0.9      0.9
GET /                     not sent        1        –        –        –        –
GET /a-very-long-route/…       200        1      2.0      2.0      2.0      2.0
GET /items                     200        1      1.2      1.2      1.2      1.2
GET /items               timed out        1  12345.7  12345.7  12345.7  12345.7
POST /items                    500        1      2.0      2.0      2.0      2.0
all                                       6      2.0  12345.7  12345.7  12345.7
6 scheduled = 5 sent + 1 not sent
sent late by: p50 0.9 ms, p99 1.1 ms, max 1.1 ms
01-request-rate, seed 42, speed 1, schedule 0123456789abcdef
interrupted";
        let printed = summary().to_string();
        assert_eq!(printed, expected);
    }

    #[test]
    fn machines_read_the_same_numbers() {
        let json = serde_json::to_value(summary()).unwrap();
        assert_eq!(json["scenario"], "01-request-rate");
        assert_eq!(json["totals"]["not_sent"], 1);
        assert_eq!(json["rows"][3]["latency"]["p99_us"], 1234);
        assert_eq!(json["rows"].as_array().unwrap().iter().map(|row| row["count"].as_u64().unwrap()).sum::<u64>(), 6);
    }
}

//! What a run sent, in a line, and whether the service counted the same: its own counters before the first request and after
//! the last, held against the ledger.
//!
//! It is what `traffic` ends with. The service is taken at its word here; what Prometheus stored of it, and what alerts and
//! panels made of that, is `evidence`'s to hold against the same ledger.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::traffic::table::milliseconds;
use aiclipx_judge::experiment::expositions;
use aiclipx_model::prom::exposition::Exposition;
use aiclipx_model::service::{Metric, Part, Service};
use aiclipx_model::traffic::ledger::{Entry, FailureKind, Ledger, Quantiles, Totals};

/// Of what differs so much is told; the rest is counted.
const MOST_TOLD: usize = 3;

/// What came of holding the service's counters against the client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// By method, endpoint and status, to the request.
    Same,
    /// What differs, in words.
    Otherwise(Vec<String>),
    /// Why nothing can be said.
    NotCompared(String),
}

/// A run in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    scenario: String,
    totals: Totals,
    statuses: BTreeMap<u16, u64>,
    /// Of answers and time-outs, from the intended time; none of nothing.
    p95_us: Option<u64>,
    counted: Counted,
}

impl Told {
    /// Of a run of which nothing but the answers is known.
    pub fn of_answers(ledger: &Ledger, why: &str) -> Told {
        Told::new(ledger, Counted::NotCompared(why.to_owned()))
    }

    /// Of a run in its folder, on a stack with so many replicas of the service.
    pub fn of_run(folder: &Path, replicas: usize, service: &Service, ledger: &Ledger) -> Told {
        let counted = match (expositions(folder, "before", replicas), expositions(folder, "after", replicas)) {
            (Ok(before), Ok(after)) => counted(ledger, service, &before, &after),
            (Err(error), _) | (_, Err(error)) => Counted::NotCompared(format!("{error:#}")),
        };
        Told::new(ledger, counted)
    }

    /// Of a run on replicas whose counters somebody else kept, each before and after, in the same order.
    pub fn of_expositions(ledger: &Ledger, service: &Service, before: &[Exposition], after: &[Exposition]) -> Told {
        Told::new(ledger, counted(ledger, service, before, after))
    }

    pub fn counted(&self) -> &Counted {
        &self.counted
    }

    fn new(ledger: &Ledger, counted: Counted) -> Told {
        let mut statuses = BTreeMap::new();
        for status in ledger.entries.iter().filter_map(Entry::status) {
            *statuses.entry(status).or_default() += 1;
        }
        let latency = Quantiles::of(ledger.entries.iter().filter_map(Entry::latency_us));
        Told {
            scenario: ledger.head.scenario.clone(),
            totals: ledger.totals(),
            statuses,
            p95_us: (latency.count > 0).then_some(latency.p95_us),
            counted,
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.counted {
            Counted::Same => "✓",
            Counted::Otherwise(_) => "✗",
            Counted::NotCompared(_) => "○",
        };
        write!(f, "{sign} {}: {}", self.scenario, amounts(&self.totals, &self.statuses))?;
        if let Some(p95) = self.p95_us {
            write!(f, ", p95 {}", milliseconds(p95))?;
        }
        match &self.counted {
            Counted::Same => write!(f, "; the service counted the same"),
            Counted::Otherwise(differences) => {
                let more = differences.len().saturating_sub(MOST_TOLD);
                let told = differences.iter().take(MOST_TOLD).map(String::as_str).collect::<Vec<_>>().join("; ");
                write!(f, "; the service counted otherwise: {told}")?;
                if more > 0 {
                    write!(f, "; and {more} more")?;
                }
                write!(f, ". Did anybody else send?")
            }
            Counted::NotCompared(why) => write!(f, "; not compared with what the service counted: {why}"),
        }
    }
}

/// `600 sent, 590 answered (200: 540, 500: 50), 10 refused`.
pub fn amounts(totals: &Totals, statuses: &BTreeMap<u16, u64>) -> String {
    let each: Vec<String> = statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
    let each = if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) };
    let mut parts = vec![format!("{} sent", totals.sent), format!("{} answered{each}", totals.answered)];
    parts.extend(totals.failed.iter().map(|(kind, count)| format!("{count} {}", kind.words())));
    parts.extend((totals.not_sent > 0).then(|| format!("{} not sent", totals.not_sent)));
    parts.join(", ")
}

/// Of several runs, what they come to together: in how many the service counted the same.
pub fn together(told: &[Told]) -> String {
    let mut totals = Totals::default();
    let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
    let mut failed: BTreeMap<FailureKind, u64> = BTreeMap::new();
    for one in told {
        totals.sent += one.totals.sent;
        totals.answered += one.totals.answered;
        totals.not_sent += one.totals.not_sent;
        one.statuses.iter().for_each(|(status, count)| *statuses.entry(*status).or_default() += count);
        one.totals.failed.iter().for_each(|(kind, count)| *failed.entry(*kind).or_default() += count);
    }
    totals.failed = failed;
    let count = |is: fn(&Counted) -> bool| told.iter().filter(|one| is(&one.counted)).count();
    let same = count(|counted| matches!(counted, Counted::Same));
    let otherwise = count(|counted| matches!(counted, Counted::Otherwise(_)));
    let open = told.len() - same - otherwise;
    let mut parts = vec![format!("the service counted the same in {same}")];
    parts.extend((otherwise > 0).then(|| format!("otherwise in {otherwise}")));
    parts.extend((open > 0).then(|| format!("not compared in {open}")));
    format!("All {}: {}; {}", told.len(), amounts(&totals, &statuses), parts.join(", "))
}

/// Each replica before and after, in the same order.
fn counted(ledger: &Ledger, service: &Service, before: &[Exposition], after: &[Exposition]) -> Counted {
    let not = |why: String| Counted::NotCompared(why);
    let Some(metric) = &service.requests else { return not(service.without(Part::Requests).unwrap_or_default()) };
    let restarted = |(before, after): (&Exposition, &Exposition)| {
        // What is restarted counts from zero again; where there is no time of its start, less than before tells it.
        let is_of_a_life = |name: &str| Some(name) == service.process_start.as_deref();
        before.iter().any(|(series, value)| {
            let now = after.get(series);
            (is_of_a_life(&series.name) && now.is_some_and(|now| now.to_bits() != value.to_bits()))
                || (series.name == metric.name && now.is_none_or(|now| now < value))
        })
    };
    if before.iter().zip(after).any(restarted) {
        return not("it was started anew meanwhile, and counts from zero since".to_owned());
    }
    let unsettled = ledger.unsettled().count();
    if unsettled > 0 {
        return not(format!("{unsettled} had no whole answer, and its log alone tells which of them it counted"));
    }
    let to_the_monitoring = ledger.entries.iter().filter(|entry| service.is_internal(&entry.endpoint)).count();
    if to_the_monitoring > 0 {
        return not(format!("{to_the_monitoring} asked for health or metrics, which probes and scrapes do, too"));
    }
    let (was, is) = (requests(before, service, metric), requests(after, service, metric));
    let mut rows: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for (what, count) in is {
        rows.entry(what.clone()).or_default().0 = count - was.get(&what).copied().unwrap_or_default();
    }
    for ((method, endpoint, status), count) in ledger.counts() {
        #[expect(clippy::cast_precision_loss, reason = "a ledger holds far less than 2^53 lines")]
        let count = count as f64;
        rows.entry(metric.key_for(method, endpoint, &status.to_string())).or_default().1 += count;
    }
    if rows.is_empty() {
        return not("it exposes no such counter".to_owned());
    }
    let differ = rows.into_iter().filter(|(_, (counted, answered))| counted.to_bits() != answered.to_bits());
    let told: Vec<String> =
        differ.map(|(what, (counted, answered))| format!("{what}: {counted} counted, {answered} answered")).collect();
    if told.is_empty() { Counted::Same } else { Counted::Otherwise(told) }
}

/// By whatever its labels tell, over all replicas; without what probes and scrapes ask.
fn requests(expositions: &[Exposition], service: &Service, metric: &Metric) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for (series, value) in expositions.iter().flatten().filter(|(series, _)| series.name == metric.name) {
        if let Some(what) = service.key_of(metric, &series.labels) {
            *sums.entry(what).or_default() += value;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use aiclipx_base::duration::Speed;
    use aiclipx_model::prom::exposition;
    use aiclipx_model::traffic::ledger::{Head, Outcome};

    fn ledger(outcomes: &[(&str, Outcome)]) -> Ledger {
        let entry = |(seq, (endpoint, outcome)): (usize, &(&str, Outcome))| Entry {
            seq: seq as u64,
            id: format!("r-{seq}"),
            phase: "steady".to_owned(),
            method: "GET".to_owned(),
            path: (*endpoint).to_owned(),
            endpoint: (*endpoint).to_owned(),
            fault: None,
            replica: None,
            intended_us: 0,
            sent_us: Some(0),
            ended_us: Some(4_321),
            outcome: outcome.clone(),
        };
        let head = Head {
            run: "r".to_owned(),
            scenario: "01-request-rate".to_owned(),
            seed: 42,
            speed: Speed::PRODUCTION,
            length_us: 0,
            schedule_sha256: String::new(),
            scheduled: outcomes.len() as u64,
            started_unix_us: 0,
            ended_unix_us: 0,
            elapsed_us: 0,
            limited: None,
            interrupted: false,
            starts_unix_us: Vec::new(),
        };
        Ledger { head, entries: outcomes.iter().enumerate().map(entry).collect() }
    }

    fn answered(status: u16) -> Outcome {
        Outcome::Answered { status }
    }

    const REQUESTS: &str = "app_requests_total";

    fn exposed(started: u32, requests: &[(&str, &str, u32)]) -> Exposition {
        let mut text = format!(
            "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {started}\n# TYPE {REQUESTS} counter\n"
        );
        text.extend(requests.iter().map(|(endpoint, status, count)| {
            format!("{REQUESTS}{{method=\"GET\",endpoint=\"{endpoint}\",http_status=\"{status}\"}} {count}\n")
        }));
        exposition::parse(&text).unwrap()
    }

    fn line(ledger: &Ledger, before: &[Exposition], after: &[Exposition]) -> String {
        Told::new(ledger, counted(ledger, Service::ours(), before, after)).to_string()
    }

    #[test]
    fn equal_counts_are_called_so_over_all_replicas_and_without_what_the_monitoring_asks() {
        let sent = ledger(&[("/", answered(200)), ("/", answered(200)), ("/items", answered(500))]);
        let before = [exposed(1, &[("/", "200", 5), ("/items", "500", 0), ("/health/live", "200", 7)])];
        let before = [before[0].clone(), exposed(2, &[("/", "200", 0), ("/items", "500", 1)])];
        let after = [
            exposed(1, &[("/", "200", 6), ("/items", "500", 0), ("/health/live", "200", 19)]),
            exposed(2, &[("/", "200", 1), ("/items", "500", 2)]),
        ];
        let told = "✓ 01-request-rate: 3 sent, 3 answered (200: 2, 500: 1), p95 4.3 ms; the service counted the same";
        assert_eq!(line(&sent, &before, &after), told);
    }

    #[test]
    fn what_differs_is_told_and_not_more_of_it_than_can_be_read() {
        let sent = ledger(&[("/", answered(200))]);
        let (before, after) = (exposed(1, &[("/", "200", 5)]), exposed(1, &[("/", "200", 7), ("/items", "404", 1)]));
        let told = line(&sent, &[before], &[after]);
        let words = "the service counted otherwise: GET / 200: 2 counted, 1 answered; GET /items 404: 1 counted, 0 answered. Did";
        assert!(told.starts_with('✗') && told.contains(words), "{told}");

        let (before, after) = (exposed(1, &[("/", "200", 5)]), exposed(1, &[("/", "200", 5)]));
        assert!(
            line(&sent, &[before], &[after]).contains("GET / 200: 0 counted, 1 answered"),
            "too few is no less wrong"
        );

        let many = ["a", "b", "c", "d", "e"].map(|status| ("/", status, 1));
        let told = line(&ledger(&[]), &[exposed(1, &[])], &[exposed(1, &many)]);
        assert!(told.contains("GET / c: 1 counted, 0 answered; and 2 more"), "{told}");
    }

    #[test]
    fn what_cannot_be_known_is_not_called_equal() {
        let sent = ledger(&[("/", answered(200))]);
        let (one, two) = (exposed(1, &[("/", "200", 0)]), exposed(1, &[("/", "200", 1)]));
        let not = |ledger: &Ledger, before: &Exposition, after: &Exposition, why: &str| {
            let told = line(ledger, std::slice::from_ref(before), std::slice::from_ref(after));
            assert!(told.starts_with('○') && told.contains("not compared") && told.contains(why), "{why}: {told}");
        };
        not(&sent, &one, &exposed(2, &[("/", "200", 1)]), "started anew");
        not(&sent, &exposed(1, &[("/", "200", 9)]), &two, "started anew");
        let broken = Outcome::Failed { kind: FailureKind::TimedOut };
        not(&ledger(&[("/", answered(200)), ("/", broken)]), &one, &two, "1 had no whole answer");
        not(&ledger(&[("/", answered(200)), ("/metrics", answered(200))]), &one, &two, "1 asked for health");
        not(&ledger(&[]), &exposed(1, &[]), &exposed(1, &[]), "no such counter");
        // Who was never reached was not counted either, and that is known.
        let refused = Outcome::Failed { kind: FailureKind::Refused };
        let told = line(&ledger(&[("/", answered(200)), ("/", refused)]), &[one], &[two]);
        assert!(told.starts_with("✓ 01-request-rate: 2 sent, 1 answered (200: 1), 1 refused, p95"), "{told}");
        let told = Told::of_run(Path::new("/nowhere"), 1, Service::ours(), &sent).to_string();
        assert!(told.contains("not compared") && told.contains("/nowhere"), "{told}");
    }

    #[test]
    fn several_are_summed_and_what_was_not_compared_is_not_hidden_among_them() {
        let sent = ledger(&[("/", answered(200)), ("/", answered(500))]);
        let told = [Counted::Same, Counted::Same, Counted::NotCompared(String::new())];
        let mut told = told.map(|counted| Told::new(&sent, counted)).to_vec();
        let expected =
            "All 3: 6 sent, 6 answered (200: 3, 500: 3); the service counted the same in 2, not compared in 1";
        assert_eq!(together(&told), expected);
        let refused = Outcome::Failed { kind: FailureKind::Refused };
        let not_sent = Outcome::NotSent { why: "interrupted".to_owned() };
        let broken = ledger(&[("/", answered(200)), ("/", refused.clone()), ("/", refused), ("/", not_sent)]);
        let more = [&told[..], &[Told::new(&broken, Counted::Same), Told::new(&broken, Counted::Same)]].concat();
        let expected = "All 5: 12 sent, 8 answered (200: 5, 500: 3), 4 refused, 2 not sent; the service";
        assert!(together(&more).starts_with(expected), "{}", together(&more));
        told[0].counted = Counted::Otherwise(Vec::new());
        assert!(together(&told).ends_with("counted the same in 1, otherwise in 1, not compared in 1"));
    }
}

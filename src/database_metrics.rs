//! What is counted of the database, where items are kept in one; elsewhere none of it is exposed.
#![cfg_attr(not(feature = "postgres"), allow(dead_code))] // there so that rules and dashboards can be checked by it

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::registered::registered;

/// What all of their names begin with.
pub(super) const PREFIX: &str = "app_database_";

/// What is asked of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Statement {
    Page,
    Get,
    Insert,
    Remove,
    /// The look, once a second, whether it answers.
    Look,
}

impl Statement {
    /// In the order of their declaration.
    const ALL: [Statement; 5] =
        [Statement::Page, Statement::Get, Statement::Insert, Statement::Remove, Statement::Look];

    /// What a series, and a line of the log, call it by.
    pub(super) fn label(self) -> &'static str {
        match self {
            Statement::Page => "page",
            Statement::Get => "get",
            Statement::Insert => "insert",
            Statement::Remove => "remove",
            Statement::Look => "look",
        }
    }

    /// Whether something may have been changed where no answer came.
    pub(super) fn changes(self) -> bool {
        matches!(self, Statement::Insert | Statement::Remove)
    }
}

/// Why a request was refused that needed the database. Each request is one of these at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// No connection could be made, or it was known to be away.
    Unreachable,
    /// All connections were busy for too long.
    Pool,
    /// A statement took too long, and was cancelled: nothing was changed.
    Timeout,
    /// A connection was lost; nothing was changed.
    Lost,
    /// A connection was lost before an item was known to be kept or removed.
    Unknown,
    /// The database answered with an error.
    Error,
}

impl Failure {
    /// In the order of their declaration.
    const ALL: [Failure; 6] =
        [Failure::Unreachable, Failure::Pool, Failure::Timeout, Failure::Lost, Failure::Unknown, Failure::Error];

    fn label(self) -> &'static str {
        match self {
            Failure::Unreachable => "unreachable",
            Failure::Pool => "pool",
            Failure::Timeout => "timeout",
            Failure::Lost => "lost",
            Failure::Unknown => "unknown",
            Failure::Error => "error",
        }
    }
}

/// The metrics of one database. Copies count together.
#[derive(Clone)]
pub(super) struct DatabaseMetrics {
    up: IntGauge,
    idle: IntGauge,
    used: IntGauge,
    most: IntGauge,
    wait: Histogram,
    /// In the order of the declaration.
    query: Vec<Histogram>,
    failures: Vec<IntCounter>,
}

impl DatabaseMetrics {
    /// All at zero, and none missing; times are counted by these upper bounds in seconds.
    pub(super) fn new(registry: &Registry, bounds: &[f64]) -> prometheus::Result<DatabaseMetrics> {
        let gauge = |name, help| registered(registry, IntGauge::new(name, help));
        let buckets = |name, help| HistogramOpts::new(name, help).buckets(bounds.to_vec());
        let help = "Connections to the database that are open, by whether a request has them.";
        let options = Opts::new("app_database_connections", help);
        let connections = registered(registry, IntGaugeVec::new(options, &["state"]))?;
        let help = "Time of a statement, by what it is for, to its answer or its failure.";
        let query =
            registered(registry, HistogramVec::new(buckets("app_database_query_seconds", help), &["statement"]))?;
        let help = "Requests that the database failed, by how: each was answered 503, unless its client had left.";
        let options = Opts::new("app_database_failures_total", help);
        let failures = registered(registry, IntCounterVec::new(options, &["kind"]))?;
        let help = "Time from a request's need of a connection to the database until it had one, or gave up.";
        Ok(DatabaseMetrics {
            up: gauge("app_database_up", "1 while the database answers what is asked of it once a second.")?,
            idle: connections.with_label_values(&["idle"]),
            used: connections.with_label_values(&["used"]),
            most: gauge("app_database_connections_max", "Connections to the database that may be open at once.")?,
            wait: registered(registry, Histogram::with_opts(buckets("app_database_wait_seconds", help)))?,
            query: Statement::ALL.map(|statement| query.with_label_values(&[statement.label()])).to_vec(),
            failures: Failure::ALL.map(|failure| failures.with_label_values(&[failure.label()])).to_vec(),
        })
    }

    pub(super) fn up(&self, up: bool) {
        self.up.set(i64::from(up));
    }

    /// Sets how many connections there are, and may be.
    pub(super) fn connections(&self, idle: usize, used: usize, most: usize) {
        for (gauge, number) in [(&self.idle, idle), (&self.used, used), (&self.most, most)] {
            gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn waited(&self, seconds: f64) {
        self.wait.observe(seconds);
    }

    pub(super) fn asked(&self, statement: Statement, seconds: f64) {
        self.query[statement as usize].observe(seconds);
    }

    /// A request is refused.
    pub(super) fn failed(&self, failure: Failure) {
        self.failures[failure as usize].inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_there_at_zero_under_its_own_place() {
        let registry = Registry::new();
        let metrics = DatabaseMetrics::new(&registry, &[1.0]).unwrap();
        for (at, statement) in Statement::ALL.into_iter().enumerate() {
            assert_eq!(statement as usize, at);
            metrics.asked(statement, 0.001);
            assert_eq!(metrics.query[at].get_sample_count(), 1, "{statement:?}");
        }
        for (at, failure) in Failure::ALL.into_iter().enumerate() {
            assert_eq!((failure as usize, metrics.failures[at].get()), (at, 0));
            metrics.failed(failure);
            assert_eq!(metrics.failures[at].get(), 1, "{failure:?}");
        }
        assert!(registry.gather().iter().all(|family| family.name().starts_with(PREFIX)));
    }
}

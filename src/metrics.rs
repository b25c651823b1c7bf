//! What the service counts about itself.
//!
//! Every label set is there at 0 from the first scrape, so that `rate()` sees the first event, and no client can add one: label
//! values come from [`endpoint`](super::endpoint)'s table.

use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, proto::MetricFamily,
};

use super::audience::Audience;
use super::control_group::{self, Limits};
use super::database_metrics::{self, DatabaseMetrics};
use super::endpoint::{Endpoint, Verb};
use super::registered::registered;
use aiclipx_http::serve::ConnectionOutcome;

/// Upper bounds of the latency buckets in seconds. Handlers take tens of microseconds, injected delays up to seconds;
/// the thresholds that alerts compare with are among them.
pub const LATENCY_BUCKETS: [f64; 16] =
    [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Exposed only where it is known: a database that was never reached may hold any number.
const ITEMS: &str = "app_items";
/// What the gauge of the items shows to nobody.
#[cfg(feature = "postgres")]
pub(super) const NOT_KNOWN: i64 = -1;

/// Exposed only where there is such a limit.
const MEMORY_LIMIT: &str = "app_memory_limit_bytes";
const CPU_LIMIT: &str = "app_cpu_limit_cores";

/// The statuses that a request may end with, and their counters.
type Children = Vec<(u16, IntCounter)>;

/// All of the service's metrics, in a registry of its own: two services in one process share nothing.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    /// By endpoint and verb, in the order of their declarations.
    children: Vec<Children>,
    latency: Vec<Histogram>,
    errors: IntCounter,
    in_flight: IntGauge,
    ready: IntGauge,
    items: IntGauge,
    items_max: IntGauge,
    buffered_bytes: IntGauge,
    buffered_bytes_max: IntGauge,
    memory_limit: IntGauge,
    cpu_limit: Gauge,
    faults_enabled: IntGauge,
    access_log_enabled: IntGauge,
    connections: Vec<IntCounter>,
    connections_open: IntGaugeVec,
    connections_max: IntGaugeVec,
    log_records_dropped: IntCounter,
    #[cfg_attr(
        not(any(test, feature = "postgres")),
        expect(dead_code, reason = "there to be known, and moved by nobody")
    )]
    database: DatabaseMetrics,
    /// There is a database, of which something is exposed.
    with_database: AtomicBool,
}

/// One series of `app_requests_total`: its labels, and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    pub method: &'static str,
    pub endpoint: &'static str,
    pub status: u16,
    pub requests: u64,
}

impl Metrics {
    /// All at zero. `version` and `revision` are what `app_build_info` shows.
    pub fn new(version: &str, revision: &str) -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let (requests, children) = requests(&registry)?;
        build_info(&registry, version, revision)?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(process::Process::new()?))?;
        let gauge = |name, help| registered(&registry, IntGauge::new(name, help));
        let counter = |name, help| registered(&registry, IntCounter::new(name, help));
        let by_listener = |name, help| by_listener(&registry, name, help);
        Ok(Metrics {
            requests,
            children,
            latency: latency(&registry)?,
            errors: counter(
                "app_errors_total",
                "Requests that failed by the service's fault: error, panic, time-out, no room.",
            )?,
            in_flight: gauge(
                "app_requests_in_flight",
                "Requests whose head was read and whose answer is not out yet.",
            )?,
            ready: gauge("app_ready", "1 while traffic should be sent here.")?,
            items: gauge(ITEMS, "Items in the store; at app_items_max, more are refused.")?,
            items_max: gauge("app_items_max", "Items that the store may hold.")?,
            buffered_bytes: gauge(
                "app_buffered_bytes",
                "Bytes of request bodies under way and answers in hand; what does not fit below app_buffered_bytes_max is refused.",
            )?,
            buffered_bytes_max: gauge(
                "app_buffered_bytes_max",
                "Bytes that request bodies under way and answers in hand may take together.",
            )?,
            memory_limit: gauge(
                MEMORY_LIMIT,
                "Bytes of memory that the process' control group may take, with those around it; not there without a limit.",
            )?,
            cpu_limit: registered(
                &registry,
                Gauge::new(
                    CPU_LIMIT,
                    "Processors that the process' control group may keep busy, with those around it; not there without a limit.",
                ),
            )?,
            faults_enabled: gauge("app_faults_enabled", "1 if requests may ask to fail.")?,
            access_log_enabled: gauge("app_access_log_enabled", "1 if each request is logged.")?,
            connections: connections(&registry)?,
            connections_open: by_listener(
                "app_connections_open",
                "Connections that are open, by listener; at app_connections_max, more wait unaccepted.",
            )?,
            connections_max: by_listener("app_connections_max", "Connections that may be open at once, by listener.")?,
            log_records_dropped: counter(
                "app_log_records_dropped_total",
                "Log lines lost because nobody took them in time.",
            )?,
            database: DatabaseMetrics::new(&registry, &LATENCY_BUCKETS)?,
            with_database: AtomicBool::new(false),
            registry,
        })
    }

    /// The metrics in Prometheus' text format.
    ///
    /// # Panics
    ///
    /// Never: a gathered family has samples, and a string takes every write.
    pub fn encode(&self) -> String {
        self.encoded(control_group::limits())
    }

    fn encoded(&self, Limits { memory, processors }: Limits) -> String {
        self.memory_limit.set(memory.map_or(0, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)));
        self.cpu_limit.set(processors.unwrap_or_default());
        let mut families = self.gather();
        families.retain(|family| match family.name() {
            MEMORY_LIMIT => memory.is_some(),
            CPU_LIMIT => processors.is_some(),
            ITEMS => self.items.get() >= 0,
            name if name.starts_with(database_metrics::PREFIX) => self.with_database.load(Ordering::Relaxed),
            _ => true,
        });
        text(&families)
    }

    /// All that a service exposes in a container, on every machine the same, with or without a database: what its size is told by.
    ///
    /// # Panics
    ///
    /// Never, as [`Metrics::encode`].
    pub fn encode_all(&self, with_database: bool) -> String {
        let mut families = self.gather();
        families.retain(|family| with_database || !family.name().starts_with(database_metrics::PREFIX));
        text(&families)
    }

    /// All metrics as values, on every machine the same ones: what rules and dashboards are checked against.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// Every pre-created series of `app_requests_total`.
    pub fn totals(&self) -> impl Iterator<Item = Total> {
        rows().zip(&self.children).flat_map(|((endpoint, verb), children)| {
            children.iter().map(move |(status, counter)| Total {
                method: verb.label(),
                endpoint: endpoint.label(),
                status: *status,
                requests: counter.get(),
            })
        })
    }

    /// Requests counted, of every kind.
    pub fn requests(&self) -> u64 {
        self.totals().map(|total| total.requests).sum()
    }

    /// `app_errors_total`
    pub fn errors(&self) -> u64 {
        self.errors.get()
    }

    /// `app_log_records_dropped_total`, for the log writer to count in.
    pub fn log_records_dropped(&self) -> IntCounter {
        self.log_records_dropped.clone()
    }

    pub(super) fn ready(&self) -> IntGauge {
        self.ready.clone()
    }

    /// The gauge of a store that holds at most so many.
    pub(super) fn items(&self, most: usize) -> IntGauge {
        self.items_max.set(gauged(most));
        self.items.clone()
    }

    /// The metrics of a database, which are exposed from here on.
    #[cfg(any(test, feature = "postgres"))]
    pub(super) fn database(&self) -> DatabaseMetrics {
        self.with_database.store(true, Ordering::Relaxed);
        self.database.clone()
    }

    /// Sets how many of the bytes that bodies and answers share are taken, and how many there are.
    pub(super) fn buffered(&self, taken: usize, most: usize) {
        self.buffered_bytes.set(gauged(taken));
        self.buffered_bytes_max.set(gauged(most));
    }

    pub(super) fn faults_enabled(&self) -> &IntGauge {
        &self.faults_enabled
    }

    pub(super) fn access_log_enabled(&self) -> &IntGauge {
        &self.access_log_enabled
    }

    /// The metrics of a listener's connections; it holds at most so many.
    pub(super) fn connections(&self, audience: Audience, most: usize) -> Connections {
        let label = [audience.label()];
        self.connections_max.with_label_values(&label).set(gauged(most));
        Connections { open: self.connections_open.with_label_values(&label), outcomes: self.connections.clone() }
    }

    /// Connections that have ended.
    pub fn connections_ended(&self) -> u64 {
        self.connections.iter().map(IntCounter::get).sum()
    }

    /// A request is in flight.
    pub(super) fn request_begins(&self) {
        self.in_flight.inc();
    }

    /// A request has ended: the only place that counts one. `at_fault` says that the service failed.
    pub(super) fn request_ends(&self, endpoint: Endpoint, verb: Verb, status: u16, seconds: f64, at_fault: bool) {
        let children = &self.children[endpoint as usize * Verb::ALL.len() + verb as usize];
        if let Some((_, counter)) = children.iter().find(|(known, _)| *known == status) {
            counter.inc();
        } else {
            // The table lacks a row: a defect of ours, but the request is counted all the same.
            log::error!(endpoint = endpoint.label(), method = verb.label(), status; "The route table lacks a status.");
            child_of(&self.requests, endpoint, verb, status).inc();
        }
        self.latency[endpoint as usize].observe(seconds);
        if at_fault {
            self.errors.inc();
        }
        self.in_flight.dec();
    }
}

/// The connections of one listener.
pub(super) struct Connections {
    open: IntGauge,
    /// Of both listeners, in the order of their declaration.
    outcomes: Vec<IntCounter>,
}

impl Connections {
    pub(super) fn opened(&self) {
        self.open.inc();
    }

    /// A connection is no more.
    pub(super) fn ended(&self, outcome: ConnectionOutcome) {
        self.outcomes[outcome as usize].inc();
        self.open.dec();
    }
}

fn text(families: &[MetricFamily]) -> String {
    let mut text = String::new();
    TextEncoder::new().encode_utf8(families, &mut text).expect("a string takes every write");
    text
}

fn gauged(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn build_info(registry: &Registry, version: &str, revision: &str) -> prometheus::Result<()> {
    let options = Opts::new("app_build_info", "What runs; always 1.");
    let build = registered(registry, IntGaugeVec::new(options, &["version", "revision"]))?;
    build.with_label_values(&[version, revision]).set(1);
    Ok(())
}

/// `app_requests_total`, and its counters by endpoint and verb.
fn requests(registry: &Registry) -> prometheus::Result<(IntCounterVec, Vec<Children>)> {
    let help = "Requests by method, route template and status; 499 is a client that left.";
    let labels = ["method", "endpoint", "http_status"];
    let requests = registered(registry, IntCounterVec::new(Opts::new("app_requests_total", help), &labels))?;
    let children = |(endpoint, verb): (Endpoint, Verb)| {
        let child = |&status| (status, child_of(&requests, endpoint, verb, status));
        endpoint.statuses(verb).iter().map(child).collect()
    };
    let children = rows().map(children).collect();
    Ok((requests, children))
}

/// Every endpoint with every verb, in the order of their declarations.
fn rows() -> impl Iterator<Item = (Endpoint, Verb)> {
    Endpoint::ALL.into_iter().flat_map(|endpoint| Verb::ALL.map(|verb| (endpoint, verb)))
}

/// By endpoint.
fn latency(registry: &Registry) -> prometheus::Result<Vec<Histogram>> {
    let help = "Time from a request's head to the last byte of its answer, or to its end without one.";
    let options = HistogramOpts::new("app_request_latency_seconds", help).buckets(LATENCY_BUCKETS.to_vec());
    let latency = registered(registry, HistogramVec::new(options, &["endpoint"]))?;
    Ok(Endpoint::ALL.map(|endpoint| latency.with_label_values(&[endpoint.label()])).to_vec())
}

/// By outcome.
fn connections(registry: &Registry) -> prometheus::Result<Vec<IntCounter>> {
    let help = "Connections that have ended, by how; malformed ones never became requests.";
    let connections = registered(registry, IntCounterVec::new(Opts::new("app_connections_total", help), &["outcome"]))?;
    Ok(ConnectionOutcome::ALL.map(|outcome| connections.with_label_values(&[outcome.label()])).to_vec())
}

/// A gauge that exists at 0 for both listeners.
fn by_listener(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntGaugeVec> {
    let gauge = registered(registry, IntGaugeVec::new(Opts::new(name, help), &["listener"]))?;
    for audience in Audience::ALL {
        gauge.with_label_values(&[audience.label()]).set(0);
    }
    Ok(gauge)
}

fn child_of(requests: &IntCounterVec, endpoint: Endpoint, verb: Verb, status: u16) -> IntCounter {
    requests.with_label_values(&[verb.label(), endpoint.label(), status.to_string().as_str()])
}

/// `process_*`: the prometheus crate's collector, but with processor time in fractions of a second.
#[cfg(target_os = "linux")]
mod process {
    use std::sync::Mutex;

    use prometheus::Counter;
    use prometheus::core::{Collector, Desc};
    use prometheus::process_collector::ProcessCollector;
    use prometheus::proto::MetricFamily;

    const CPU: &str = "process_cpu_seconds_total";

    /// The kernel reports processor time to user space in hundredths of a second on every architecture Rust's
    /// standard library has for Linux.
    const TICKS_PER_SECOND: f64 = 100.0;

    pub(super) struct Process {
        others: ProcessCollector,
        /// Locked while it catches up: two scrapes at once must not both add the same seconds.
        cpu: Mutex<Counter>,
    }

    impl Process {
        pub(super) fn new() -> Result<Process, prometheus::Error> {
            let cpu = Counter::new(CPU, "Total user and system CPU time spent in seconds.")?;
            Ok(Process { others: ProcessCollector::for_self(), cpu: Mutex::new(cpu) })
        }
    }

    impl Collector for Process {
        fn desc(&self) -> Vec<&Desc> {
            self.others.desc() // the name, the help and the labels of theirs are ours
        }

        fn collect(&self) -> Vec<MetricFamily> {
            let mut families = self.others.collect();
            families.retain(|family| family.name() != CPU);
            let cpu = self.cpu.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some(seconds) = seconds() {
                cpu.inc_by((seconds - cpu.get()).max(0.0));
            }
            families.extend(cpu.collect());
            families
        }
    }

    /// User and system time of all threads, from the 14th and 15th fields of `/proc/self/stat`. The second field is
    /// the program's name in parentheses, which may hold anything: counting begins behind the last of them.
    fn seconds() -> Option<f64> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
        let user: f64 = fields.next()?.parse().ok()?;
        let system: f64 = fields.next()?.parse().ok()?;
        Some((user + system) / TICKS_PER_SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_exposed_where_there_is_one_from_zero_and_known_everywhere() {
        let metrics = Metrics::new("0", "test").unwrap();
        assert!(!metrics.encode().contains(database_metrics::PREFIX));
        assert!(metrics.gather().iter().any(|family| family.name() == "app_database_up"));
        drop(metrics.database());
        let exposed = metrics.encode();
        for series in [r#"app_database_failures_total{kind="unknown"} 0"#, "app_database_wait_seconds_count 0"] {
            assert!(exposed.lines().any(|line| line == series), "{series}");
        }
    }

    #[test]
    fn limits_are_exposed_where_there_are_any_and_known_everywhere() {
        let metrics = Metrics::new("0", "test").unwrap();
        for (limits, memory, processors) in [
            (Limits { memory: Some(64 << 20), processors: Some(0.5) }, Some("67108864"), Some("0.5")),
            // As they are now, and not as they were.
            (Limits { memory: Some(32 << 20), processors: None }, Some("33554432"), None),
            (Limits { memory: None, processors: Some(2.0) }, None, Some("2")),
            (Limits::default(), None, None),
        ] {
            let exposed = metrics.encoded(limits);
            for (name, limit) in [(MEMORY_LIMIT, memory), (CPU_LIMIT, processors)] {
                let value = exposed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
                assert_eq!(value, limit, "{name} of {limits:?}");
                assert_eq!(exposed.contains(name), limit.is_some(), "no help without a value");
                assert!(metrics.gather().iter().any(|family| family.name() == name));
            }
        }
    }
}

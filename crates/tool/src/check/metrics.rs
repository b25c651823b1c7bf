//! Every metric that rules, unit tests, panels, their links to Explore or runbooks ask for is exposed by some component.
//!
//! The names of the service and of the receiver come from their own code, those that rules record from the rules. Of
//! Prometheus, Alertmanager, the blackbox exporter and Vector the names in use are listed here, and
//! crates/tool/tests/monitoring.rs asks real ones of the first two.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use prometheus::proto::{LabelPair, Metric, MetricType};
use promql_parser::label::Matcher;
use promql_parser::parser::token::T_EQL_REGEX;
use promql_parser::parser::{Expr, VectorSelector};

use super::counters;
use super::finding::Findings;
use super::known::{Known, expressions};
use super::labels;
use super::tree::Tree;
use aiclipx_app::metrics::Metrics;
use aiclipx_model::monitoring::addresses::SCRAPED;
use aiclipx_model::monitoring::located::Node;
use aiclipx_model::monitoring::{Monitoring, PROMETHEUS, UNKNOWN, promql};
use aiclipx_model::prom::exposition::{self, Exposition};
use aiclipx_model::service;
use aiclipx_stack::receiver;

/// What Prometheus itself adds for every target and alert.
const SYNTHETIC: [&str; 6] =
    ["up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added", "ALERTS", "ALERTS_FOR_STATE"];

/// Those of Prometheus' own metrics that we ask for; all are there in 2.42 and in 3.x.
pub const OF_PROMETHEUS: [&str; 17] = [
    "prometheus_config_last_reload_successful",
    "prometheus_notifications_alertmanagers_discovered",
    "prometheus_notifications_dropped_total",
    "prometheus_notifications_errors_total",
    "prometheus_notifications_queue_capacity",
    "prometheus_notifications_queue_length",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_rule_group_interval_seconds",
    "prometheus_rule_group_iterations_missed_total",
    "prometheus_rule_group_last_duration_seconds",
    "prometheus_tsdb_compactions_failed_total",
    "prometheus_tsdb_head_samples_appended_total",
    "prometheus_tsdb_head_series",
    "prometheus_tsdb_reloads_failures_total",
    "prometheus_tsdb_retention_limit_bytes",
    "prometheus_tsdb_storage_blocks_bytes",
    "prometheus_tsdb_wal_corruptions_total",
];

/// Those of a Prometheus that writes to a store elsewhere, in 2.42 and in 3.x; some only after the first sending, and in 3.x the
/// last one after the first loss.
pub const OF_REMOTE_WRITE: [&str; 10] = [
    "prometheus_remote_storage_highest_timestamp_in_seconds",
    "prometheus_remote_storage_queue_highest_sent_timestamp_seconds",
    "prometheus_remote_storage_samples_failed_total",
    "prometheus_remote_storage_samples_pending",
    "prometheus_remote_storage_samples_retried_total",
    "prometheus_remote_storage_sent_batch_duration_seconds_bucket",
    "prometheus_remote_storage_shards",
    "prometheus_remote_storage_shards_desired",
    "prometheus_remote_storage_shards_max",
    "prometheus_remote_storage_samples_dropped_total",
];

/// What we ask of Alertmanager's; all are there in 0.25 and later.
pub const OF_ALERTMANAGER: [&str; 5] = [
    "alertmanager_config_last_reload_successful",
    "alertmanager_notification_requests_failed_total",
    "alertmanager_notification_requests_total",
    "alertmanager_notifications_failed_total",
    "alertmanager_notifications_total",
];

/// What we ask of Vector's; looked up in its sources for 0.55 to 0.59, and asked of a 0.58. Prometheus keeps no others of it.
pub const OF_VECTOR: [&str; 10] = [
    "aiclipx_log_lines_left_out_total",
    "aiclipx_log_lines_total",
    "vector_buffer_discarded_events_total",
    "vector_buffer_size_bytes",
    "vector_buffer_size_events",
    "vector_component_discarded_events_total",
    "vector_component_errors_total",
    "vector_component_sent_events_total",
    "vector_http_client_errors_total",
    "vector_http_client_responses_total",
];

/// What we ask of the blackbox exporter's answer to a probe; all are there in 0.23 and later. Prometheus keeps no others of it.
pub const OF_PROBE: [&str; 3] = ["probe_duration_seconds", "probe_http_status_code", "probe_success"];

/// Bounds of buckets that a query may name; no bucket of a duration ends at 0.
const WHOLE_BOUNDS: std::ops::RangeInclusive<u32> = 1..=1000;

/// Labels that every scraped series has, or that Prometheus adds when it is alone with them.
const OF_TARGETS: [&str; 3] = ["job", "instance", "__name__"];

pub(super) fn check(tree: &Tree, findings: &mut Findings) -> anyhow::Result<()> {
    let known = known(&tree.monitoring)?;
    let is_unknown = is_unknown(&tree.monitoring, findings);
    let world = World { known: &known, is_unknown, counters: counters(&tree.monitoring) };
    for (file, line, text) in expressions(tree) {
        match promql::parse(&text) {
            Ok(expr) => {
                asked(&expr, &world, &file, line, findings);
                // Unit tests have targets of their own.
                if !file.starts_with("monitoring/prometheus/rules/tests") {
                    idle(&expr, &tree.monitoring, &file, line, findings);
                }
            }
            Err(error) => findings.find("query/syntax", file, line, format!("not an expression: {}", error.trim()), ""),
        }
    }
    labels::check(tree, &known, findings);
    kept(tree, findings);
    Ok(())
}

/// No matcher asks for a value that its label never has. One with a variable is left out, and so is one that excludes: to
/// exclude what is not there does no harm.
fn idle(expr: &Expr, monitoring: &Monitoring, file: &Path, line: usize, findings: &mut Findings) {
    for selector in promql::selectors(expr) {
        for matcher in &selector.matchers.matchers {
            let values = labels::values(monitoring, selector.name.as_deref(), &matcher.name);
            if let Some(values) = values.filter(|values| labels::is_idle(matcher, values)) {
                let what = format!("`{matcher}` finds nothing: `{}` is never such", matcher.name);
                let few = if values.len() > 20 { String::new() } else { format!("it is one of {}", values.join(", ")) };
                findings.find("query/matcher", file, line, what, few);
            }
        }
    }
}

/// Of a target of which only listed names are kept, only those are asked for.
fn kept(tree: &Tree, findings: &mut Findings) {
    let Some(document) = tree.monitoring.document(Path::new(PROMETHEUS)) else { return };
    let asked = labels::asked(tree);
    for job in document.items_of("scrape_configs") {
        let of_job: Vec<&str> = match job.text_of("job_name") {
            Some("vector") => OF_VECTOR.into_iter().filter(|name| asked.contains(*name)).collect(),
            Some("probe") => OF_PROBE.into_iter().filter(|name| asked.contains(*name)).collect(),
            // A restart is seen by it.
            Some("loki") => vec!["process_start_time_seconds"],
            _ => Vec::new(),
        };
        for kept in job.items_of("metric_relabel_configs") {
            let is_by_name = kept.items_of("source_labels").iter().map(Node::as_text).eq([Some("__name__")]);
            let keeps = match kept.text_of("action") {
                Some("keep") if is_by_name => true,
                Some("drop") if is_by_name => false,
                _ => continue,
            };
            let Some(regex) = kept.text_of("regex") else { continue };
            let file = Path::new("monitoring/prometheus/prometheus.yml");
            match Matcher::new_matcher(T_EQL_REGEX, "__name__".to_owned(), regex.to_owned()) {
                Ok(regex) => {
                    for name in of_job.iter().filter(|name| regex.is_match(name) != keeps) {
                        findings.find(
                            "scrape/kept",
                            file,
                            kept.line_of("regex"),
                            format!("`{name}` is asked for and not kept"),
                            "",
                        );
                    }
                }
                Err(error) => findings.find("scrape/kept", file, kept.line_of("regex"), error, ""),
            }
        }
    }
}

fn known(monitoring: &Monitoring) -> anyhow::Result<Known> {
    let mut known = Known::new();
    // Any target may be given labels of its own. What begins with two underscores no sample has.
    let groups = monitoring.documents_in("prometheus/targets").flat_map(|(_, document)| document.items());
    let given = groups.filter_map(|group| group.get("labels")).flat_map(Node::entries).map(|entry| entry.key.as_str());
    let given = given.filter(|key| !key.starts_with("__"));
    let of_all: Vec<&str> = given.chain(OF_TARGETS).chain([SCRAPED]).collect();
    let labels = |names: &[&str]| Some(names.iter().chain(&of_all).map(|name| (*name).to_owned()).collect());
    let service = monitoring.service();
    if service.is_ours() {
        own(&mut known, &labels)?;
    }
    for series in recorded_of(monitoring).unwrap_or_default().keys() {
        let names: Vec<&str> = series.labels.keys().map(String::as_str).collect();
        // Of one name there may be series with more labels and with less.
        let has = known.entry(series.name.clone()).or_insert_with(|| labels(&[]));
        if let Some(has) = has {
            has.extend(labels(&names).into_iter().flatten());
        }
    }
    known.insert("up".to_owned(), labels(&[]));
    for name in OF_PROBE {
        known.insert(name.to_owned(), labels(&[]));
    }
    for name in SYNTHETIC.iter().chain(&OF_PROMETHEUS).chain(&OF_REMOTE_WRITE).chain(&OF_ALERTMANAGER).chain(&OF_VECTOR)
    {
        known.entry((*name).to_owned()).or_insert(None);
    }
    for name in receiver::metric_names() {
        known.insert(name, None);
    }
    let recorded = |name: &String| (name.clone(), labels::recorded(monitoring, &known, name));
    let recorded: Vec<_> = monitoring.recordings().iter().map(|rule| recorded(&rule.name)).collect();
    known.extend(recorded);
    Ok(known)
}

/// What our own service exposes: it is called, not scraped.
fn own(known: &mut Known, labels: &dyn Fn(&[&str]) -> Option<BTreeSet<String>>) -> anyhow::Result<()> {
    for family in Metrics::new("", "").context("the service's own meter")?.gather() {
        let own: Vec<&str> = family.get_metric().iter().flat_map(Metric::get_label).map(LabelPair::name).collect();
        let name = family.name();
        if family.get_field_type() == MetricType::HISTOGRAM {
            for (ending, more) in [("_bucket", &["le"][..]), ("_sum", &[]), ("_count", &[])] {
                known.insert(format!("{name}{ending}"), labels(&[&own[..], more].concat()));
            }
        } else {
            known.insert(name.to_owned(), labels(&own));
        }
    }
    Ok(())
}

/// What is known of the names that are asked for.
struct World<'a> {
    known: &'a Known,
    is_unknown: bool,
    /// Of any name: counters as the service says.
    counters: BTreeSet<String>,
}

/// What somebody else's service says are counters: not all end in `_total`.
fn counters(monitoring: &Monitoring) -> BTreeSet<String> {
    counters::types(monitoring).into_iter().filter(|(_, kind)| kind == "counter").map(|(name, _)| name).collect()
}

/// What somebody else's service exposed when it was recorded; none where it was not, or can't be read.
fn recorded_of(monitoring: &Monitoring) -> Option<Exposition> {
    let bytes = monitoring.files().get(Path::new(monitoring.service().recorded.as_ref()?))?;
    exposition::parse(&String::from_utf8_lossy(bytes)).ok()
}

/// Whether nobody can know what the service exposes; then that is said, once, and no name is strange.
fn is_unknown(monitoring: &Monitoring, findings: &mut Findings) -> bool {
    let service = monitoring.service();
    if service.is_ours() || recorded_of(monitoring).is_some() {
        return false;
    }
    let what = match &service.recorded {
        Some(file) => format!("monitoring/{file} is not there, or is no text of /metrics"),
        None => "nobody knows what the service exposes, so no name that is asked for can be checked".to_owned(),
    };
    let remedy =
        format!("curl its {} into a file in monitoring/, and name that: recorded = \"metrics.txt\"", service.metrics);
    findings.find("service/recorded", Path::new(service::FILE), 1, what, remedy);
    true
}

fn asked(expr: &Expr, world: &World, file: &Path, line: usize, findings: &mut Findings) {
    let World { known, is_unknown, counters } = world;
    for selector in promql::selectors(expr) {
        for matcher in selector.matchers.matchers.iter().filter(|matcher| matcher.name == "le") {
            let tells_apart =
                |bound: &u32| matcher.is_match(&bound.to_string()) != matcher.is_match(&format!("{bound}.0"));
            if let Some(bound) = WHOLE_BOUNDS.clone().find(tells_apart) {
                let what =
                    format!("`{matcher}` is not found by every Prometheus: 2.x stores {bound}, 3.x stores {bound}.0");
                findings.find(
                    "query/bucket",
                    file,
                    line,
                    what,
                    "take both, `le=~\"1([.]0)?\"`, or a bound that is no whole number",
                );
            }
        }
        // Of a selector without a name nothing is known.
        let Some(name) = selector.name.as_deref().filter(|name| !name.contains(UNKNOWN)) else { continue };
        match known.get(name) {
            None if *is_unknown => {}
            None => findings.find("query/name", file, line, format!("nobody exposes `{name}`"), nearest(name, known)),
            Some(None) => {}
            Some(Some(labels)) => {
                for label in unknown_labels(selector, labels) {
                    let has: Vec<&str> = labels.iter().map(String::as_str).collect();
                    let what = format!("`{name}` has no label `{label}`");
                    findings.find("query/label", file, line, what, format!("it has {}", has.join(", ")));
                }
            }
        }
    }
    for node in promql::nodes(expr) {
        let Expr::Call(call) = node else { continue };
        let names = promql::selectors(node).into_iter().filter_map(|selector| selector.name.as_deref());
        let endings = ["_total", "_bucket", "_count", "_sum"];
        let grows = |name: &str| counters.contains(name) || endings.iter().any(|ending| name.ends_with(ending));
        if promql::OF_COUNTERS.contains(&call.func.name)
            && let Some(name) = names.filter(|name| known.contains_key(*name)).find(|name| !grows(name))
        {
            findings.find(
                "query/counter",
                file,
                line,
                format!("`{}` of `{name}`, which is no counter", call.func.name),
                "",
            );
        }
    }
}

fn unknown_labels<'a>(selector: &'a VectorSelector, labels: &BTreeSet<String>) -> Vec<&'a str> {
    let names = selector.matchers.matchers.iter().map(|matcher| matcher.name.as_str());
    names.filter(|name| !labels.contains(*name) && !name.contains(UNKNOWN)).collect()
}

/// The known names with the longest beginning in common with this one.
fn nearest(name: &str, known: &Known) -> String {
    let shared = |other: &str| name.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let most = known.keys().map(|other| shared(other)).max().unwrap_or(0);
    let near: Vec<&str> = known.keys().filter(|other| shared(other) == most).take(4).map(String::as_str).collect();
    if most < 4 {
        "see crates/tool/src/check/metrics.rs for what is known".to_owned()
    } else {
        format!("there is {}", near.join(", "))
    }
}

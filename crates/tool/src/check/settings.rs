//! Settings with one right value in this stack: with another everything loads, but lines are lost, notifications arrive
//! nowhere, or queries have no answer.

use std::path::Path;
use std::time::Duration;

use super::finding::Findings;
use super::tree::file_of;
use super::wiring::scrapes;
use aiclipx_base::duration;
use aiclipx_model::monitoring::located::{Node, Value};
use aiclipx_model::monitoring::{ALERTMANAGER, DATASOURCES, Monitoring, PROMETHEUS, RULES};

/// What a setting must be.
enum Must {
    Be(&'static [&'static str]),
    /// A number at least.
    Least(f64),
    /// A duration at least, in hours.
    Last(u64),
    /// A list with this in it.
    Hold(&'static str),
    /// What it must be where it is written at all.
    Stay(&'static str),
}

use Must::{Be, Hold, Last, Least, Stay};

/// File or folder, path in it (`*` is every item), what it must be, and why.
type Row = (&'static str, &'static str, Must, &'static str);

const BLACKBOX: &str = "blackbox/blackbox.yml";
const LOKI: &str = "loki/loki.yaml";
const VECTOR: &str = "vector/vector.yaml";

/// Of 300 bytes each.
const BURST: &str = "a burst of 5 000 lines a second would be refused";

const ROWS: [Row; 50] = [
    (PROMETHEUS, "scrape_configs/*/honor_labels", Stay("false"), "a target could pass for another"),
    (RULES, "groups/*/limit", Stay("0"), "above it a rule gives nothing at all"),
    (
        ALERTMANAGER,
        "receivers/*/webhook_configs/*/url",
        Be(&["http://receiver:9095/alerts"]),
        "the receiver takes alerts there",
    ),
    (ALERTMANAGER, "receivers/*/webhook_configs/*/max_alerts", Stay("0"), "of what is cut off nobody is told"),
    (DATASOURCES, "datasources/*/access", Be(&["proxy"]), "a browser does not reach it"),
    (DATASOURCES, "datasources/*/type", Be(&["prometheus", "loki"]), "there is no plugin of another name"),
    (DATASOURCES, "datasources/*/editable", Be(&["false"]), "a change in the browser would be lost"),
    (DATASOURCES, "datasources/*/jsonData/httpMethod", Stay("POST"), "a long query is refused"),
    ("grafana/provisioning/dashboards", "providers/*/type", Be(&["file"]), "no dashboard would be there"),
    (BLACKBOX, "modules/*/prober", Be(&["http"]), "the service speaks nothing else"),
    (BLACKBOX, "modules/http_200/http/method", Be(&["GET"]), "the service answers no other at its health"),
    (BLACKBOX, "modules/http_200/http/valid_status_codes/*", Be(&["200"]), "a service that is well says nothing else"),
    (BLACKBOX, "modules/http_200/http/follow_redirects", Be(&["false"]), "what is elsewhere is not the service"),
    (LOKI, "auth_enabled", Be(&["false"]), "nobody here names a tenant"),
    (LOKI, "server/http_listen_port", Be(&["3100"]), "Vector, Grafana and Prometheus ask there"),
    (LOKI, "common/instance_addr", Be(&["127.0.0.1"]), "it would look for a network of its own"),
    (LOKI, "common/path_prefix", Be(&["/loki"]), "the volume is mounted there"),
    (LOKI, "common/replication_factor", Be(&["1"]), "there is one Loki, and a write would wait for more"),
    (LOKI, "common/ring/kvstore/store", Be(&["inmemory"]), "there is no other store"),
    (LOKI, "common/storage/filesystem/chunks_directory", Be(&["/loki/chunks"]), "the volume is mounted there"),
    (LOKI, "schema_config/configs/0/from", Be(&["2024-01-01"]), "lines of before would have no schema"),
    (LOKI, "schema_config/configs/*/store", Be(&["tsdb"]), "Loki 3 keeps structured lines in no other"),
    (LOKI, "schema_config/configs/*/object_store", Be(&["filesystem"]), "there is no other store"),
    (LOKI, "schema_config/configs/*/schema", Be(&["v13"]), "Loki 3 keeps structured lines in no other"),
    (LOKI, "schema_config/configs/*/index/period", Be(&["24h"]), "retention works by the day"),
    (LOKI, "limits_config/reject_old_samples", Be(&["false"]), "what waited on disk would be refused"),
    (
        LOKI,
        "limits_config/max_line_size",
        Least(524_288.0),
        "Vector sends lines of up to 256 KiB, and what comes with them",
    ),
    (LOKI, "limits_config/ingestion_rate_mb", Least(2.0), BURST),
    (LOKI, "limits_config/ingestion_burst_size_mb", Least(2.0), BURST),
    (LOKI, "limits_config/per_stream_rate_limit", Least(2_097_152.0), BURST),
    (LOKI, "limits_config/per_stream_rate_limit_burst", Least(2_097_152.0), BURST),
    (LOKI, "limits_config/retention_period", Last(24), "it works by the day, and with none nothing is ever deleted"),
    (LOKI, "compactor/retention_enabled", Be(&["true"]), "nothing would ever be deleted"),
    (LOKI, "compactor/delete_request_store", Be(&["filesystem"]), "retention needs it: Loki does not start"),
    (VECTOR, "api/address", Be(&["127.0.0.1:8686"]), "who reaches it sees lines before they are redacted"),
    (VECTOR, "sources/logs/type", Be(&["file"]), "components write files"),
    (VECTOR, "sources/logs/read_from", Be(&["beginning"]), "what was written before Vector came would be lost"),
    (VECTOR, "sources/logs/exclude", Hold("/var/log/aiclipx/vector.log"), "each line would make another"),
    (VECTOR, "sources/itself/type", Be(&["internal_metrics"]), "alerts ask for them"),
    (VECTOR, "transforms/counted/metrics/0/name", Be(&["log_lines_total"]), "rules and panels ask for it"),
    (VECTOR, "transforms/sampled/rate", Least(1.0), "of every so many lines one is kept"),
    (VECTOR, "sinks/loki/type", Be(&["loki"]), "lines go to Loki"),
    (VECTOR, "sinks/loki/encoding/codec", Be(&["json"]), "panels read lines as JSON"),
    (VECTOR, "sinks/loki/out_of_order_action", Be(&["accept"]), "components' clocks are not one line's order"),
    (VECTOR, "sinks/loki/acknowledgements/enabled", Be(&["true"]), "what is under way at a stop would be lost"),
    (VECTOR, "sinks/loki/buffer/type", Be(&["disk"]), "what waits would be lost at a stop"),
    (VECTOR, "sinks/loki/buffer/when_full", Be(&["block"]), "lines would be dropped, and are in their files"),
    (VECTOR, "sinks/loki/buffer/max_size", Least(268_435_488.0), "Vector takes no smaller one"),
    (VECTOR, "sinks/metrics/type", Be(&["prometheus_exporter"]), "Prometheus asks there"),
    (VECTOR, "sinks/metrics/flush_period_secs", Least(86_400.0), "a counter that is forgotten seems to start again"),
];

/// Labels that a line may have in Loki: each has few values.
const STREAMS: [&str; 3] = ["component", "level", "endpoint"];

pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    for (place, path, must, why) in &ROWS {
        let of_file = monitoring.document(Path::new(place)).map(|document| (Path::new(*place), document));
        for (file, document) in monitoring.documents_in(place).chain(of_file) {
            let file = file_of(file);
            let mut found = Vec::new();
            walk(document, document.line, path, &mut found);
            for (line, node) in found {
                let is = node.map_or_else(|| "missing".to_owned(), told);
                let (holds, wanted) = match (must, node) {
                    (Stay(wanted), Some(_)) => (is == **wanted, (*wanted).to_owned()),
                    (Stay(_), None) => continue,
                    (Be(wanted), _) => (wanted.contains(&is.as_str()), wanted.join(" or ")),
                    (Least(least), node) => {
                        let number = node.and_then(|node| node.as_number().or_else(|| size(node.as_text()?)));
                        (number.is_some_and(|number| number >= *least), format!("{least} at least"))
                    }
                    (Last(hours), node) => {
                        let is = node.and_then(|node| duration::parse(node.as_text()?).ok());
                        let wanted = Duration::from_secs(hours * 3600);
                        (is.is_some_and(|is| is >= wanted), format!("{hours}h at least"))
                    }
                    (Hold(item), node) => {
                        let holds = node.is_some_and(|node| node.items().iter().any(|one| one.as_text() == Some(item)));
                        (holds, format!("a list with {item}"))
                    }
                };
                if !holds {
                    findings.find("setting/value", &file, line, format!("`{path}` is {is}, not {wanted}"), *why);
                }
            }
        }
    }
    paths(monitoring, findings);
    streams(monitoring, findings);
    default_source(monitoring, findings);
}

/// Every component is scraped at the one path where it has metrics; the blackbox exporter at `/probe`, not at its own.
fn paths(monitoring: &Monitoring, findings: &mut Findings) {
    let Some(document) = monitoring.document(Path::new(PROMETHEUS)) else { return };
    for job in document.items_of("scrape_configs") {
        let name = job.text_of("job_name").unwrap_or_default();
        let service = monitoring.service();
        let wanted = match name {
            "probe" => "/probe",
            _ if name == service.job => service.metrics.as_str(),
            _ => "/metrics",
        };
        let is = job.text_of("metrics_path").unwrap_or("/metrics");
        if (scrapes::is_component(name) || name == service.job) && is != wanted {
            let line = job.get("metrics_path").map_or(job.line, |_| job.line_of("metrics_path"));
            let what = format!("the `metrics_path` of {name} is {is}, not {wanted}");
            findings.find("scrape/path", file_of(PROMETHEUS), line, what, "it answers there and nowhere else");
        }
    }
}

/// A size as Loki writes it, in bytes.
fn size(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.strip_suffix('b').unwrap_or(&lower);
    let units = [('k', 1024.0), ('m', 1024.0 * 1024.0), ('g', 1024.0 * 1024.0 * 1024.0)];
    let (digits, unit) =
        units.into_iter().find_map(|(unit, bytes)| Some((digits.strip_suffix(unit)?, bytes))).unwrap_or((digits, 1.0));
    Some(digits.trim_end().parse::<f64>().ok()? * unit)
}

/// Every node at a path, with its line; where the last key is missing, none and its parent's line. Keys before the last are the
/// reader's to demand. Scrape jobs of programs that are not ours are left out.
fn walk<'a>(node: &'a Node, line: usize, path: &str, found: &mut Vec<(usize, Option<&'a Node>)>) {
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    if let Some(item) = first.parse().ok().and_then(|at: usize| node.items().get(at)) {
        return rest.into_iter().for_each(|rest| walk(item, item.line, rest, found));
    }
    if first == "*" {
        let is_ours = |item: &&Node| item.text_of("job_name").is_none_or(scrapes::is_component);
        for item in node.items().iter().filter(is_ours) {
            match rest {
                Some(rest) => walk(item, item.line, rest, found),
                None => found.push((item.line, Some(item))),
            }
        }
        return;
    }
    match (node.get(first), rest) {
        (Some(inside), Some(rest)) => walk(inside, node.line_of(first), rest, found),
        (inside, None) => found.push((inside.map_or(line, |_| node.line_of(first)), inside)),
        (None, Some(_)) => {}
    }
}

fn told(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Switch(is_on) => is_on.to_string(),
        _ => node.kind().to_owned(),
    }
}

/// Loki keeps a stream for each value of a label, and can't cope with a label of many.
fn streams(monitoring: &Monitoring, findings: &mut Findings) {
    let Some(document) = monitoring.document(Path::new(VECTOR)) else { return };
    let labels = document.get("sinks").and_then(|node| node.get("loki")).and_then(|node| node.get("labels"));
    for entry in labels.map_or(&[][..], Node::entries) {
        let text = entry.node.as_text().unwrap_or_default();
        let asked = text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()).map(str::trim);
        for label in asked.filter(|label| !STREAMS.contains(label)) {
            let what = format!("`{label}` as a label of Loki's: each of its values is a stream");
            findings.find(
                "vector/stream",
                file_of(VECTOR),
                entry.line,
                what,
                format!("of few values are {}", STREAMS.join(", ")),
            );
        }
    }
}

/// Exactly one datasource is the default, and each has the address of its type.
fn default_source(monitoring: &Monitoring, findings: &mut Findings) {
    let mut sources = Vec::new();
    for (path, document) in monitoring.documents_in(DATASOURCES) {
        for source in document.items_of("datasources") {
            let file = file_of(path);
            let kind = source.text_of("type").unwrap_or_default();
            if source.text_of("url").is_some_and(|url| !url.contains(kind)) {
                findings.find(
                    "datasource/type",
                    &file,
                    source.line_of("url"),
                    format!("its type is {kind}, and another is there"),
                    "",
                );
            }
            let is_default = source.get("isDefault").is_some_and(|node| node.value == Value::Switch(true));
            sources.push((file, source.line_of("isDefault"), is_default));
        }
    }
    let defaults = sources.iter().filter(|(.., is_default)| *is_default).count();
    // Where there is none, the last could be it.
    let last = sources.len().saturating_sub(1);
    let told = sources.iter().enumerate().filter(|(at, (.., is_default))| *is_default || defaults == 0 && *at == last);
    for (_, (file, line, _)) in told.filter(|_| defaults != 1) {
        findings.find("datasource/default", file, *line, format!("{defaults} datasources are the default"), "one is");
    }
}

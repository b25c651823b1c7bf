//! Jobs and their targets: each component has a job that asks where it answers, often enough, and the exporter asks the
//! service.

use std::path::Path;
use std::time::Duration;

use super::super::finding::Findings;
use super::super::tree::{file_of, timing};
use super::glob::finds;
use aiclipx_app::endpoint::Endpoint;
use aiclipx_base::duration;
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::monitoring::located::Node;
use aiclipx_model::monitoring::{Monitoring, PROMETHEUS};

/// For how long Prometheus takes a sample for the present one.
const LOOKBACK: Duration = Duration::from_mins(5);

pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    if let Some(document) = monitoring.document(Path::new(PROMETHEUS)) {
        intervals(document, findings);
        components(document, findings);
    }
    targets(monitoring, findings);
    probes(monitoring, findings);
}

/// Jobs have intervals at which there is always a sample.
fn intervals(document: &Node, findings: &mut Findings) {
    let global = document.get("global");
    let of_all =
        global.and_then(|node| timing(node, "scrape_interval")).map_or(Duration::ZERO, |(interval, _)| interval);
    for node in global.into_iter().chain(document.items_of("scrape_configs")) {
        let (interval, line) = timing(node, "scrape_interval").unwrap_or((of_all, node.line));
        if interval >= LOOKBACK && node.get("scrape_interval").is_some() {
            let what = format!(
                "scraped every {}: a sample counts for {}, and between two of them there is none",
                duration::print(interval),
                duration::print(LOOKBACK)
            );
            findings.find("scrape/interval", file_of(PROMETHEUS), line, what, "scrape at least every two minutes");
        }
        if interval.is_zero() {
            findings.find("scrape/interval", file_of(PROMETHEUS), line, "a scrape interval of nothing", "");
        }
    }
}

/// The components that every stack has, each a job of its own.
const NEEDED: [&str; 4] = ["app", "prometheus", "alertmanager", "receiver"];

/// Whether a job of this name is one of this stack's components.
pub(in crate::check) fn is_component(name: &str) -> bool {
    places().iter().any(|(known, _)| *known == name)
}

/// Each component has a job, which asks for the targets of its own name.
fn components(document: &Node, findings: &mut Findings) {
    let jobs = document.items_of("scrape_configs");
    for name in NEEDED.into_iter().filter(|name| jobs.iter().all(|job| job.text_of("job_name") != Some(name))) {
        findings.find(
            "scrape/missing",
            file_of(PROMETHEUS),
            document.line_of("scrape_configs"),
            format!("no job is for {name}"),
            "",
        );
    }
    let alertmanagers = document.get("alerting").map_or(&[][..], |node| node.items_of("alertmanagers"));
    let named = jobs.iter().map(|job| (job.text_of("job_name").unwrap_or_default(), job));
    let named = named.filter(|(name, _)| is_component(name));
    for (name, asking) in named.chain(alertmanagers.iter().map(|node| ("alertmanager", node))) {
        for file in asking.items_of("file_sd_configs").iter().flat_map(|files| files.items_of("files")) {
            let text = file.as_text().unwrap_or_default();
            if !finds(Path::new(text), Path::new(&format!("targets/{name}.json"))) {
                let what = format!("the targets of {name} are asked for in `{text}`");
                findings.find("scrape/targets", file_of(PROMETHEUS), file.line, what, format!("targets/{name}.json"));
            }
        }
    }
}

/// A component is asked where it answers.
fn targets(monitoring: &Monitoring, findings: &mut Findings) {
    let places = places();
    for (path, document) in monitoring.documents_in("prometheus/targets") {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        for target in document.items().iter().flat_map(|group| group.items_of("targets")) {
            let text = target.as_text().unwrap_or_default();
            let host = text.split(':').next().unwrap_or_default();
            let is_ours = places.iter().any(|(known, _)| *known == host);
            // Without a place of its own for it the service answers where it serves.
            let is_served = name == "app" && text == Addresses::canonical().app[0].to_string();
            if is_ours && !is_served && !places.iter().any(|(known, at)| *known == name && at == text) {
                findings.find(
                    "target/address",
                    file_of(path),
                    target.line,
                    format!("{name} does not answer at {text}"),
                    "",
                );
            }
        }
    }
}

/// Whom the exporter is told to ask, and how: the service, at a path that is not among its clients' requests (counters would no
/// longer be theirs alone), each replica by a name of its own, and for a job that is there.
fn probes(monitoring: &Monitoring, findings: &mut Findings) {
    let path = Path::new("prometheus/targets/probe.json");
    let Some(document) = monitoring.document(path) else { return };
    let modules = monitoring.document(Path::new("blackbox/blackbox.yml")).and_then(|document| document.get("modules"));
    let modules: Vec<&str> = modules.map_or(&[][..], Node::entries).iter().map(|entry| entry.key.as_str()).collect();
    let jobs = monitoring.document(Path::new(PROMETHEUS)).map_or(&[][..], |node| node.items_of("scrape_configs"));
    let jobs: Vec<&str> = jobs.iter().filter_map(|job| job.text_of("job_name")).collect();
    for group in document.items().iter().filter(|group| !group.items_of("targets").is_empty()) {
        let labels = group.get("labels");
        let label = |name: &str| labels.and_then(|labels| labels.text_of(name)).unwrap_or_default();
        let mut find = |name, key: &str, what: &str, remedy: String| {
            let line = labels.filter(|labels| labels.get(key).is_some()).map_or(group.line, |one| one.line_of(key));
            findings.find(name, file_of(path), line, format!("`{key}` is `{}`: {what}", label(key)), remedy);
        };
        let (host, asked) = label("__param_target").trim_start_matches("http://").split_once('/').unwrap_or_default();
        if !Endpoint::of(&format!("/{asked}")).is_monitoring() {
            find(
                "probe/target",
                "__param_target",
                "what is asked there counts as a client's",
                "http://app:8080/health/live".to_owned(),
            );
        }
        if label("instance") != host {
            find("probe/target", "instance", "of two replicas the answers would be one series", host.to_owned());
        }
        if !modules.contains(&label("__param_module")) {
            find("probe/target", "__param_module", "blackbox.yml has no such module", modules.join(", "));
        }
        if !jobs.contains(&label("probed")) {
            find(
                "probe/target",
                "probed",
                "there is no such job, and rules ask for the answers by it",
                jobs.join(", "),
            );
        }
    }
}

/// Where compose.yaml's components are scraped, by their names.
fn places() -> [(&'static str, String); 7] {
    let at = Addresses::canonical();
    [
        ("app", at.scraped_app()[0].to_string()),
        ("prometheus", at.prometheus.to_string()),
        ("alertmanager", at.alertmanager.to_string()),
        ("receiver", at.receiver.to_string()),
        ("probe", at.probe.to_string()),
        ("vector", at.logging.vector_metrics.to_string()),
        ("loki", at.logging.loki.to_string()),
    ]
}

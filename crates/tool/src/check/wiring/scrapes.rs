//! Jobs and their targets: each component has a job that asks where it answers, often enough, and the exporter asks the
//! service.

use std::path::Path;
use std::time::Duration;

use promql_parser::label::Matcher;
use promql_parser::parser::{BinaryExpr, Expr};

use super::super::finding::Findings;
use super::super::tree::{file_of, timing};
use super::glob::finds;
use aiclipx_app::endpoint::Endpoint;
use aiclipx_base::duration;
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::monitoring::located::Node;
use aiclipx_model::monitoring::{Monitoring, PROMETHEUS, promql};

/// For how long Prometheus takes a sample for the present one.
const LOOKBACK: Duration = Duration::from_mins(5);

pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    if let Some(document) = monitoring.document(Path::new(PROMETHEUS)) {
        intervals(document, findings);
        components(document, &monitoring.service().job, findings);
        watched(document, monitoring, findings);
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

/// The components that every stack has beside the service, each a job of its own.
const NEEDED: [&str; 3] = ["prometheus", "alertmanager", "receiver"];

/// Whether a job of this name is one of this stack's components.
pub(in crate::check) fn is_component(name: &str) -> bool {
    places().iter().any(|(known, _)| *known == name)
}

/// Each component has a job, which asks for the targets of its own name.
fn components(document: &Node, service: &str, findings: &mut Findings) {
    let jobs = document.items_of("scrape_configs");
    for name in
        NEEDED.into_iter().chain([service]).filter(|name| jobs.iter().all(|job| job.text_of("job_name") != Some(name)))
    {
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

/// Some alert asks whether the targets of a job answer: by `up` itself, for what is recorded of it may be of other jobs, too. Around
/// another service the stack's own parts need none: who brings a service brings no alerts on our receiver.
fn watched(document: &Node, monitoring: &Monitoring, findings: &mut Findings) {
    let trees = monitoring.alerts().iter().filter_map(|alert| promql::parse(&alert.expr).ok());
    let asked: Vec<Vec<Matcher>> = trees.flat_map(|tree| jobs_asked(&tree)).collect();
    let is_ours = monitoring.service().is_ours();
    for job in document.items_of("scrape_configs") {
        let name = job.text_of("job_name").unwrap_or_default();
        if !is_ours && NEEDED.contains(&name) {
            continue;
        }
        if !asked.iter().any(|jobs| jobs.iter().all(|matcher| matcher.is_match(name))) {
            let (file, line) = (file_of(PROMETHEUS), job.line_of("job_name"));
            let what = format!("no alert watches the job {name}: its targets may be gone, and nobody is told");
            let remedy =
                format!("an alert on `up{{job=\"{name}\"}}`; MonitoringOptionalTargetMissing lists what is optional");
            findings.about("scrape/unwatched", name, file, line, what, remedy);
        }
    }
}

/// The matchers by which an alert picks the jobs whose `up` it asks for. Without any it asks for all of them where it compares
/// `up` with what is less than all (`up == 0`); elsewhere that is a condition beside another.
fn jobs_asked(tree: &Expr) -> Vec<Vec<Matcher>> {
    let jobs = |expr| -> Vec<Vec<Matcher>> {
        let of_targets = promql::selectors(expr).into_iter().filter(|selector| selector.name.as_deref() == Some("up"));
        let of_job = |matcher: &&Matcher| matcher.name == "job";
        of_targets.map(|selector| selector.matchers.matchers.iter().filter(of_job).cloned().collect()).collect()
    };
    let is_gone = |binary: &BinaryExpr| match (binary.op.to_string().as_str(), &*binary.rhs) {
        ("==" | "<=", Expr::NumberLiteral(number)) => number.val < 1.0,
        ("<", Expr::NumberLiteral(number)) => number.val <= 1.0,
        _ => false,
    };
    let compared = promql::nodes(tree).into_iter().filter_map(|node| match node {
        Expr::Binary(binary) if is_gone(binary) => Some(jobs(&binary.lhs)),
        _ => None,
    });
    let of_all = compared.flatten().filter(Vec::is_empty);
    jobs(tree).into_iter().filter(|jobs| !jobs.is_empty()).chain(of_all).collect()
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
            // Without a place of its own for it the service answers where it serves; another than ours serves where it likes.
            let is_served =
                name == "app" && (text == Addresses::canonical().app[0].to_string() || !monitoring.service().is_ours());
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
fn places() -> Vec<(&'static str, String)> {
    Addresses::canonical().scraped().map(|(name, addresses)| (name, addresses[0].to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_watches_the_jobs_that_it_names_or_all_whose_up_it_compares() {
        for (expr, job, is_watched) in [
            ("up{job=\"a\"} == 0", "a", true),
            ("up{job=\"a\"} == 0", "b", false),
            ("absent(up{job=~\"a|b\"})", "b", true),
            ("max by (job) (up) == 0", "b", true),
            ("avg_over_time(up[5m]) < 0.8", "b", true),
            ("x > 1 and on (job) up == 1", "b", false),
            ("x > 1 and on (job) max by (job) (max_over_time(up[5m]))", "b", false),
        ] {
            let asked = jobs_asked(&promql::parse(expr).expect("it parses"));
            let watches = asked.iter().any(|jobs| jobs.iter().all(|matcher| matcher.is_match(job)));
            assert_eq!(watches, is_watched, "{expr}: {job}");
        }
    }
}

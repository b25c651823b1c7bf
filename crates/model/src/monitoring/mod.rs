//! monitoring/ as types: rules, routes, addresses, speed, bounds; and the one pure function that makes a stack's copy.
//!
//! [`Monitoring::read`] takes a folder, [`Monitoring::from_files`] its files from anywhere (a bundle, a test); both tell
//! every finding, not the first. [`Monitoring::render`] is (files, addresses, speed) → files: nothing else writes
//! configuration. YAML, JSON and expressions are parsed and printed, never edited as text.
//!
//! # Speed
//!
//! Files speak production time; a stack of speed k lives it k times faster. Divided by k: intervals and time-outs of
//! scrapes, evaluations, ranges, subquery ranges and steps, offsets, `for`, `keep_firing_for`, Alertmanager's
//! timings, Grafana's `timeInterval` and least steps, the unit tests' times and counter increments, and the flags of
//! [`prometheus_flags`]. Not divided: rates, ratios, thresholds, latencies. Refused: what can't be divided truthfully.
//!
//! What this room does not do: judge style (does an alert have a test, a scenario, a runbook?), which is `check`'s;
//! write files; talk to anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use promql_parser::parser::Expr;

use crate::failure::{Failure, Finding};
use crate::files;
use crate::service::{self, Service};
use aiclipx_base::duration::{self, DurationError, Speed};

mod adapted;
pub mod addresses;
mod bounds;
pub mod datasources;
mod layout;
mod loaded;
mod loaded_config;
pub mod located;
pub mod matcher;
mod memo;
pub mod optional;
mod panel_query;
pub mod promql;
mod prose;
mod render;
mod routes;
mod rule;
mod series;
mod shape;
pub mod slo;
mod template;
pub mod variables;
mod walk;

pub use adapted::{with_datasources_by_uid, without_links_to_logs};
pub use bounds::Bounds;
pub use loaded::rules_equal;
pub use loaded_config::{Compared, Loader, config_equal, speed_of};
pub use panel_query::{
    UNKNOWN, length_at, lengths_in, panel_query_at, panel_range_at, panel_shift_at, panel_step_at, without_variables,
};
pub use routes::GroupTimings;

use addresses::Place;
pub use layout::{ALERTMANAGER, DATASOURCES, PROMETHEUS, RULES, holds_logs, is_of_logs, prometheus_flags};
use layout::{duration_of, texts_of};
use located::Node;
use promql::Recorded;
pub use rule::{Alert, Recording};
use shape::Shape;
use walk::Walk;

/// The folder's name in the repository, which findings put before a path.
const FOLDER: &str = "monitoring";

/// The alert that always fires, so that its silence tells that none arrives. Its route is its own.
pub const WATCHDOG: &str = "Watchdog";

/// What lies under monitoring/, read and understood.
#[derive(Debug, Clone)]
pub struct Monitoring {
    files: BTreeMap<PathBuf, Vec<u8>>,
    documents: BTreeMap<PathBuf, (&'static Shape, Node)>,
    alerts: Vec<Alert>,
    recordings: Vec<Recording>,
    recorded: Recorded,
    route: routes::Route,
    service: Service,
    scrape_interval: Duration,
    evaluation_interval: Duration,
}

impl Monitoring {
    /// Reads a folder (monitoring/ itself). Hidden files are left out; a link is followed to a file in the folder, and whatever
    /// else a component would find there and we would not is told.
    ///
    /// Findings become a usage failure that lists them all.
    pub fn read(folder: &Path) -> Result<Monitoring, Failure> {
        let mut collected = Collected::default();
        std::fs::canonicalize(folder)
            .and_then(|root| collected.collect(&root, Path::new("")))
            .with_context(|| format!("cannot read {}", folder.display()))
            .map_err(Failure::usage)?;
        Monitoring::understood(collected.files, collected.findings).map_err(Failure::from)
    }

    /// Understands files by their paths relative to monitoring/; all findings are told.
    pub fn from_files(files: BTreeMap<PathBuf, Vec<u8>>) -> Result<Monitoring, Vec<Finding>> {
        Monitoring::understood(files, Vec::new())
    }

    fn understood(files: BTreeMap<PathBuf, Vec<u8>>, mut findings: Vec<Finding>) -> Result<Monitoring, Vec<Finding>> {
        let mut documents = BTreeMap::new();
        for (path, bytes) in &files {
            let file = Path::new(FOLDER).join(path);
            let finding = |line, what| Finding { file: file.clone(), line, what, remedy: String::new() };
            let shape = match shape::of_file(path) {
                Ok(Some(shape)) => shape,
                Ok(None) => continue,
                Err(what) => {
                    findings.push(finding(0, what));
                    continue;
                }
            };
            match located::read(bytes) {
                Ok(mut node) => {
                    let source = path.extension().is_some_and(|extension| extension != "json").then_some(&bytes[..]);
                    let mut walk = Walk { file: &file, source, rendering: None, findings: Vec::new() };
                    walk.visit(shape, &mut node);
                    findings.extend(walk.findings);
                    documents.insert(path.clone(), (shape, node));
                }
                Err((line, what)) => findings.push(finding(line, what)),
            }
        }
        let mut monitoring = Monitoring {
            files,
            documents,
            alerts: Vec::new(),
            recordings: Vec::new(),
            recorded: Recorded::new(),
            route: routes::Route::default(),
            service: Service::ours().clone(),
            scrape_interval: Duration::ZERO,
            evaluation_interval: Duration::ZERO,
        };
        monitoring.understand(&mut findings);
        if findings.is_empty() {
            return Ok(monitoring);
        }
        findings.sort();
        Err(findings)
    }

    /// Reads meaning out of documents of known shape.
    fn understand(&mut self, findings: &mut Vec<Finding>) {
        for (path, what) in
            [(PROMETHEUS, "Prometheus has no configuration"), (ALERTMANAGER, "Alertmanager has no configuration")]
        {
            if !self.files.contains_key(Path::new(path)) {
                let file = Path::new(FOLDER).join(path);
                findings.push(Finding { file, line: 0, what: what.to_owned(), remedy: String::new() });
            }
        }
        let global = self.documents.get(Path::new(PROMETHEUS)).and_then(|(_, node)| node.get("global"));
        self.scrape_interval = global.map(|node| duration_of(node, "scrape_interval")).unwrap_or_default();
        self.evaluation_interval = global.map(|node| duration_of(node, "evaluation_interval")).unwrap_or_default();
        if let Some((_, node)) = self.documents.get(Path::new(ALERTMANAGER)) {
            let file = Path::new(FOLDER).join(ALERTMANAGER);
            self.route = routes::Route::of(node.get("route"), &GroupTimings::default());
            findings.extend(self.route.unknown_receivers(node).into_iter().map(|(line, name)| Finding {
                file: file.clone(),
                line,
                what: format!("no receiver is called `{name}`"),
                remedy: String::new(),
            }));
        }
        match service::of_files(&self.files) {
            Ok(service) => self.service = service,
            Err(found) => findings.extend(found),
        }
        self.understand_rules(findings);
        self.understand_recordings(findings);
        self.understand_targets(findings);
    }

    /// Who is scraped stands in files of targets: those that are asked for are there, and those that are there are ours.
    fn understand_targets(&self, findings: &mut Vec<Finding>) {
        let configuration = self.documents.get(Path::new(PROMETHEUS)).map(|(_, node)| node);
        let jobs = configuration.map(|node| node.items_of("scrape_configs")).unwrap_or_default();
        let alerting = configuration.and_then(|node| node.get("alerting"));
        let alertmanagers = alerting.map(|node| node.items_of("alertmanagers")).unwrap_or_default();
        let asked = jobs.iter().chain(alertmanagers).flat_map(|job| job.items_of("file_sd_configs"));
        for file in asked.flat_map(|asked| asked.items_of("files")) {
            let Some(name) = file.as_text() else { continue };
            let is_pattern = name.contains(['*', '?', '[']);
            if !is_pattern && !self.files.contains_key(&Path::new(PROMETHEUS).with_file_name(name)) {
                findings.push(Finding {
                    file: Path::new(FOLDER).join(PROMETHEUS),
                    line: file.line,
                    what: format!("there is no {name}: nobody would be scraped"),
                    remedy: "add the file (it may list nobody), or take out what asks for it".to_owned(),
                });
            }
        }
        for path in self.documents.keys().filter(|path| path.starts_with("prometheus/targets")) {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if Place::of_targets(stem).is_none() {
                let what = "targets of no component we know; `render` could not address them".to_owned();
                findings.push(Finding { file: Path::new(FOLDER).join(path), line: 0, what, remedy: String::new() });
            }
        }
    }

    fn understand_rules(&mut self, findings: &mut Vec<Finding>) {
        let mut groups = BTreeSet::new();
        let rules = self.documents.iter().filter(|(path, _)| path.parent() == Some(Path::new(RULES)));
        for (path, (_, document)) in rules {
            let file = Path::new(FOLDER).join(path);
            let mut find = |line, what: String| {
                findings.push(Finding { file: file.clone(), line, what, remedy: String::new() });
            };
            for group in document.items_of("groups") {
                let group_name = group.text_of("name").unwrap_or_default().to_owned();
                if !groups.insert(group_name.clone()) {
                    find(group.line, format!("a second group of the name `{group_name}`"));
                }
                let interval = match group.get("interval") {
                    Some(_) => duration_of(group, "interval"),
                    None => self.evaluation_interval,
                };
                for rule in group.items_of("rules") {
                    let expr = rule.text_of("expr").unwrap_or_default().to_owned();
                    match (rule.text_of("record"), rule.text_of("alert")) {
                        (Some(name), None) => {
                            for key in ["for", "keep_firing_for", "annotations"] {
                                if rule.get(key).is_some() {
                                    find(rule.line, format!("the recording rule `{name}` has `{key}`"));
                                }
                            }
                            let (name, file, line) = (name.to_owned(), file.clone(), rule.line);
                            if let Ok(tree) = promql::parse(&expr)
                                && self.recorded.insert(name.clone(), Arc::new(tree)).is_some()
                            {
                                find(line, format!("a second recording rule of the name `{name}`"));
                            }
                            let labels = texts_of(rule, "labels");
                            self.recordings.push(Recording { name, expr, labels, file, line });
                        }
                        (None, Some(name)) => self.alerts.push(Alert {
                            name: name.to_owned(),
                            expr,
                            hold: duration_of(rule, "for"),
                            keep_firing_for: duration_of(rule, "keep_firing_for"),
                            labels: texts_of(rule, "labels"),
                            annotations: texts_of(rule, "annotations"),
                            group: group_name.clone(),
                            evaluation_interval: interval,
                            file: file.clone(),
                            line: rule.line,
                        }),
                        _ => find(rule.line, "a rule has either `record` or `alert`".to_owned()),
                    }
                }
            }
        }
    }

    /// What reads an expression follows the recording rules that it names.
    fn understand_recordings(&self, findings: &mut Vec<Finding>) {
        let endless = promql::endless(&self.recorded).and_then(|name| self.recording(name));
        findings.extend(endless.map(|rule| Finding {
            file: rule.file.clone(),
            line: rule.line,
            what: format!(
                "`{}` stands for too much, or for itself, once the recording rules it names are followed",
                rule.name
            ),
            remedy: "let it name fewer rules, less deep, and in no circle".to_owned(),
        }));
    }

    /// The files as read, by their paths relative to monitoring/: what a bundle keeps.
    pub fn files(&self) -> &BTreeMap<PathBuf, Vec<u8>> {
        &self.files
    }

    /// Every alerting rule, by file and then in its order.
    pub fn alerts(&self) -> &[Alert] {
        &self.alerts
    }

    /// The first alerting rule of a name.
    pub fn alert(&self, name: &str) -> Option<&Alert> {
        self.alerts.iter().find(|alert| alert.name == name)
    }

    /// Every recording rule, by file and then in its order.
    pub fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    /// What an expression stands for where it is a recording rule's name.
    pub fn recording(&self, name: &str) -> Option<&Recording> {
        self.recordings.iter().find(|recording| recording.name == name)
    }

    /// What a recording rule records, and the names followed so far with its own. None for another name, or one that was
    /// followed already: one may remember itself.
    pub fn followed<'a>(&'a self, name: &str, seen: &BTreeSet<&'a str>) -> Option<(&'a Expr, BTreeSet<&'a str>)> {
        let (name, tree) = self.recorded.get_key_value(name).filter(|(name, _)| !seen.contains(name.as_str()))?;
        Some((tree, seen.iter().copied().chain([name.as_str()]).collect()))
    }

    /// The rhythm in which an alert is notified, by the first route its static labels match.
    pub fn group_timings(&self, alert: &Alert) -> &GroupTimings {
        self.route.timings_of(alert)
    }

    /// The receiver of alerts that no route is for.
    pub fn default_receiver(&self) -> &str {
        self.route.receiver()
    }

    /// A file as a tree whose values know their lines; `None` for a file that is copied as it is.
    pub fn document(&self, path: &Path) -> Option<&Node> {
        self.documents.get(path).map(|(_, node)| node)
    }

    /// The paths of a folder's documents, relative to monitoring/.
    pub fn documents_in(&self, folder: &str) -> impl Iterator<Item = (&Path, &Node)> {
        let inside = move |path: &&PathBuf| path.parent() == Some(Path::new(folder));
        self.documents.keys().filter(inside).map(|path| (path.as_path(), &self.documents[path].1))
    }

    /// What the service is called, and its things; [ours](Service::ours) where no file says.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// How often targets are scraped; production time.
    pub fn scrape_interval(&self) -> Duration {
        self.scrape_interval
    }

    /// How often the target is scraped that is scraped most rarely; production time.
    pub fn slowest_scrape(&self) -> Duration {
        let jobs = self.document(Path::new(PROMETHEUS)).map_or(&[][..], |node| node.items_of("scrape_configs"));
        jobs.iter().map(|job| duration_of(job, "scrape_interval")).fold(self.scrape_interval, Duration::max)
    }

    /// The `timeInterval` that a stack of that speed gives Grafana's Prometheus, which every panel's step and
    /// `$__rate_interval` follow: whole seconds.
    pub fn panel_interval(&self, speed: Speed) -> Result<Duration, DurationError> {
        let sources = self.documents_in(DATASOURCES).flat_map(|(_, document)| document.items_of("datasources"));
        let source = sources
            .filter(|source| source.text_of("type") == Some("prometheus"))
            .find_map(|source| duration::parse(source.get("jsonData")?.text_of("timeInterval")?).ok());
        speed.real(source.unwrap_or(DEFAULT_PANEL_INTERVAL)).map(duration::whole_seconds)
    }

    /// How often rules are evaluated unless their group says otherwise; production time.
    pub fn evaluation_interval(&self) -> Duration {
        self.evaluation_interval
    }
}

/// Grafana's own, where a datasource says none.
pub const DEFAULT_PANEL_INTERVAL: Duration = Duration::from_secs(15);

/// Bytes of a file: a thousand times what any of ours has.
const LARGEST: u64 = 16 << 20;

/// What lies in a folder.
#[derive(Default)]
struct Collected {
    files: BTreeMap<PathBuf, Vec<u8>>,
    findings: Vec<Finding>,
}

impl Collected {
    fn find(&mut self, path: &Path, what: &str, remedy: &str) {
        let (file, what, remedy) = (Path::new(FOLDER).join(path), what.to_owned(), remedy.to_owned());
        self.findings.push(Finding { file, line: 0, what, remedy });
    }

    fn unread(&mut self, path: &Path, error: &std::io::Error) {
        self.findings.push(files::unread(&Path::new(FOLDER).join(path), error));
    }

    fn collect(&mut self, root: &Path, inside: &Path) -> std::io::Result<()> {
        for entry in std::fs::read_dir(root.join(inside))? {
            let entry = entry?;
            let path = inside.join(entry.file_name());
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                // A pattern like *.yml finds it; what editors leave has other names.
                if [".yml", ".yaml", ".json"].iter().any(|ending| name.ends_with(ending)) && !name.starts_with(".#") {
                    self.find(&path, "a hidden file: Prometheus would read it, and we don't", "rename or remove it");
                }
                continue;
            }
            let is_link = entry.file_type()?.is_symlink();
            let metadata = match std::fs::metadata(entry.path()) {
                Ok(metadata) => metadata,
                Err(_) if is_link => {
                    self.find(&path, "a link that leads nowhere", "");
                    continue;
                }
                Err(error) => return Err(error),
            };
            if is_link && !std::fs::canonicalize(entry.path())?.starts_with(root) {
                let remedy = "put the file itself there: a container and a bundle have nothing else";
                self.find(&path, "a link that leads out of the folder", remedy);
            } else if metadata.is_dir() && is_link {
                self.find(&path, "a link to a folder, which is not followed", "link the files in it, one by one");
            } else if metadata.is_dir() {
                if let Err(error) = self.collect(root, &path) {
                    self.unread(&path, &error);
                }
            } else if !metadata.is_file() {
                self.find(&path, "no regular file", "remove it");
            } else if metadata.len() > LARGEST {
                self.find(
                    &path,
                    &format!("a file of {} bytes; the largest that is read has {LARGEST}", metadata.len()),
                    "",
                );
            } else {
                match files::read(&entry.path()) {
                    Ok(bytes) => drop(self.files.insert(path, bytes)),
                    Err(error) => self.unread(&path, &error),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! monitoring/ as types: rules, routes, addresses, speed, bounds; and the one pure function that makes a stack's copy.
//!
//! [`Monitoring::read`] takes a stack's folder, [`Monitoring::from_files`] its files from anywhere (a bundle, a test);
//! [`Monitoring::read_any`] and [`Monitoring::from_any`] take somebody else's, however they lie. All tell every finding, not the
//! first. [`Monitoring::render`] is (files, addresses, speed) → files: nothing else writes configuration. YAML, JSON and
//! expressions are parsed and printed, never edited as text.
//!
//! Refused is what Prometheus, from 2.42 on, or Alertmanager, from 0.25 on, refuses. What they read and we would not have is a
//! [`Remark`], for `check` to tell.
//!
//! # Speed
//!
//! Files speak production time; a stack of speed k lives it k times faster. A result that is no whole millisecond is refused.
//!
//! | divided by k | where |
//! |---|---|
//! | `scrape_interval`, `scrape_timeout`, `evaluation_interval`, `rule_query_offset` | Prometheus, all jobs' and each job's |
//! | `interval`, `query_offset`, `for`, `keep_firing_for` | rules |
//! | ranges, subquery ranges and steps, offsets | expressions |
//! | `group_wait`, `group_interval`, `repeat_interval`, `resolve_timeout` | Alertmanager |
//! | `timeInterval`, least steps, lengths of queries | Grafana |
//! | times; counters' samples | unit tests |
//! | what these leave to a default of their program's | as above |
//! | the flags of [`prometheus_flags`] | Prometheus |
//!
//! | not divided | because |
//! |---|---|
//! | rates, ratios, thresholds, latencies | they are what they are at any speed |
//! | `refresh_interval` and every time-out of a discovery | who is asked for targets lives in real time |
//! | time-outs, queues and back-offs of remote write and read, traces, calls to receivers and Alertmanagers | so does a network |
//! | a pager's `retry`, `expire`, `ttl`; Jira's `reopen_duration` | so do people |
//! | `out_of_order_time_window`, `retention` | what is kept longer answers nothing else |
//!
//! | refused at a speed, with file and line | because |
//! |---|---|
//! | a count over a window or a span of time beside a number; a horizon of `predict_linear`; a fixed moment; the calendar | a number in it is a time that no division finds |
//! | `__scrape_interval__`, `__scrape_timeout__` that a label or a relabelling gives | as above |
//! | a route's time intervals | no speed moves the calendar |
//! | a template that asks by itself | it is asked as it stands |
//! | a unit test's question for a moment of the clock | what it expects is a number |
//! | a unit test's native histograms of a counter | their counts would have to be divided one by one |
//!
//! What this room does not do: judge style (does an alert have a test, a scenario, a runbook?), which is `check`'s;
//! write files; talk to anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use promql_parser::parser::Expr;

use crate::failure::{Failure, Finding};
use crate::service::Service;
use aiclipx_base::duration::{self, DurationError, Speed};

mod adapted;
pub mod addresses;
mod bounds;
pub mod datasources;
mod defaults;
mod folder;
pub mod kubernetes;
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
mod refused;
mod remark;
pub mod remote_write;
mod render;
mod role;
mod routes;
mod rule;
mod series;
mod shape;
pub mod slo;
mod template;
mod understood;
pub mod variables;
mod walk;

pub use adapted::{with_datasources_by_uid, without_links_to_logs};
pub use bounds::Bounds;
pub use loaded::rules_equal;
pub use loaded_config::{Compared, Loader, config_equal, speed_of};
pub use panel_query::{
    UNKNOWN, length_at, lengths_in, panel_query_at, panel_range_at, panel_shift_at, panel_step_at, without_variables,
};
pub use remark::Remark;
pub use routes::GroupTimings;

use folder::Collected;
#[cfg(test)]
use layout::FOLDER;
use layout::duration_of;
pub use layout::{
    ALERTMANAGER, DATASOURCES, KUSTOMIZATION, PROMETHEUS, RULES, holds_logs, is_of_logs, prometheus_flags,
};
use located::Node;
use promql::Recorded;
use remark::Found;
use role::{Layout, Role};
pub use rule::{Alert, Recording};

/// The alert that always fires, so that its silence tells that none arrives. Its route is its own.
pub const WATCHDOG: &str = "Watchdog";

/// What lies under monitoring/, or in somebody else's folder, read and understood.
#[derive(Debug, Clone)]
pub struct Monitoring {
    layout: Layout,
    files: BTreeMap<PathBuf, Vec<u8>>,
    documents: BTreeMap<PathBuf, Document>,
    remarks: Vec<Remark>,
    alerts: Vec<Alert>,
    recordings: Vec<Recording>,
    recorded: Recorded,
    /// Rules that can't be followed to an end: what reads an expression takes them for series of which nothing is known.
    unfollowed: Vec<Finding>,
    route: routes::Route,
    service: Service,
    scrape_interval: Duration,
    evaluation_interval: Duration,
}

/// A file as a tree.
#[derive(Debug, Clone)]
struct Document {
    role: Role,
    node: Node,
}

impl Monitoring {
    /// Reads a stack's folder (monitoring/ itself).
    ///
    /// Findings become a usage failure that lists them all.
    pub fn read(folder: &Path) -> Result<Monitoring, Failure> {
        Monitoring::in_folder(folder, Layout::Stack)
    }

    /// Reads somebody else's folder: rules, their unit tests, configurations of Prometheus and Alertmanager, files of targets are
    /// told by what is in them. Findings name a file by its path in the folder.
    pub fn read_any(folder: &Path) -> Result<Monitoring, Failure> {
        Monitoring::in_folder(folder, Layout::Any)
    }

    fn in_folder(folder: &Path, layout: Layout) -> Result<Monitoring, Failure> {
        let mut collected = Collected::new(layout);
        std::fs::canonicalize(folder)
            .and_then(|root| collected.collect(&root, Path::new("")))
            .with_context(|| format!("cannot read {}", folder.display()))
            .map_err(Failure::usage)?;
        let Collected { files, found, .. } = collected;
        Monitoring::understood(files, found, layout).map_err(Failure::from)
    }

    /// Understands a stack's files by their paths relative to monitoring/; all findings are told.
    pub fn from_files(files: BTreeMap<PathBuf, Vec<u8>>) -> Result<Monitoring, Vec<Finding>> {
        Monitoring::understood(files, Found::default(), Layout::Stack)
    }

    /// Understands somebody else's files.
    pub fn from_any(files: BTreeMap<PathBuf, Vec<u8>>) -> Result<Monitoring, Vec<Finding>> {
        Monitoring::understood(files, Found::default(), Layout::Any)
    }

    /// A file's path as findings name it: from the repository's root, or in somebody's folder.
    pub fn named(&self, path: &Path) -> PathBuf {
        self.layout.named(path)
    }

    /// What was found that stops nobody.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
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

    /// Whom alerts with these labels are told to, and in which rhythm: one for each route that they reach, in the order in which
    /// Alertmanager finds them. `continue` leads to several.
    pub fn reached(&self, labels: &BTreeMap<String, String>) -> Vec<&GroupTimings> {
        self.route.reached(labels)
    }

    /// The receiver of alerts that no route is for.
    pub fn default_receiver(&self) -> &str {
        self.route.receiver()
    }

    /// A file as a tree whose values know their lines; `None` for a file that is copied as it is.
    pub fn document(&self, path: &Path) -> Option<&Node> {
        self.documents.get(path).map(|document| &document.node)
    }

    /// The paths of a folder's documents, relative to monitoring/.
    pub fn documents_in(&self, folder: &str) -> impl Iterator<Item = (&Path, &Node)> {
        let inside = move |path: &&PathBuf| path.parent() == Some(Path::new(folder));
        self.documents.keys().filter(inside).map(|path| (path.as_path(), &self.documents[path].node))
    }

    /// What the service is called, and its things; [ours](Service::ours) where no file says.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The documents of a kind, by their paths.
    fn documents_of(&self, role: Role) -> impl Iterator<Item = (&Path, &Node)> {
        let documents = self.documents.iter().filter(move |(_, document)| document.role == role);
        documents.map(|(path, document)| (path.as_path(), &document.node))
    }

    /// Prometheus' configuration, with its path; of several the one of that name, or the first.
    pub fn prometheus(&self) -> Option<(&Path, &Node)> {
        self.first_of(Role::Prometheus, "prometheus")
    }

    /// Alertmanager's, likewise.
    pub fn alertmanager(&self) -> Option<(&Path, &Node)> {
        self.first_of(Role::Alertmanager, "alertmanager")
    }

    fn first_of(&self, role: Role, stem: &str) -> Option<(&Path, &Node)> {
        let is_named = |(path, _): &(&Path, &Node)| path.file_stem().is_some_and(|name| name == stem);
        self.documents_of(role).find(is_named).or_else(|| self.documents_of(role).next())
    }

    /// Every file of rules, with its path.
    pub fn rule_files(&self) -> impl Iterator<Item = (&Path, &Node)> {
        self.documents_of(Role::Rules)
    }

    /// Every file of unit tests of rules, with its path.
    pub fn rule_tests(&self) -> impl Iterator<Item = (&Path, &Node)> {
        self.documents_of(Role::RuleTests)
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

#[cfg(test)]
mod tests;

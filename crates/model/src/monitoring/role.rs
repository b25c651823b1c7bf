//! What a file is to who reads it: by its place in a stack's tree, by what is in it anywhere else.

use std::path::{Path, PathBuf};

use super::layout::FOLDER;
use super::located::{Node, Value};
use super::shape::{self, Shape};

/// How the files of a folder are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// A stack's: a place for each, and two configurations without which there is no stack.
    Stack,
    /// Somebody's own: whatever there is of rules, tests and configurations.
    Any,
}

impl Layout {
    /// A file's path as findings name it: from the repository's root, or in somebody's folder.
    pub(super) fn named(self, path: &Path) -> PathBuf {
        match self {
            Layout::Stack => Path::new(FOLDER).join(path),
            Layout::Any => path.to_owned(),
        }
    }
}

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Prometheus,
    Alertmanager,
    Rules,
    RuleTests,
    Targets,
    Dashboard,
    Datasources,
    Providers,
    Blackbox,
    Vector,
    Loki,
    /// For people, or for a program's own tests: it is YAML, and that is all that is asked of it.
    Example,
}

impl Role {
    pub(super) fn shape(self) -> &'static Shape {
        match self {
            Role::Prometheus => &shape::PROMETHEUS,
            Role::Alertmanager => &shape::ALERTMANAGER,
            Role::Rules => &shape::RULES,
            Role::RuleTests => &shape::TESTS,
            Role::Targets => &shape::TARGETS,
            Role::Dashboard => &Shape::Dashboard,
            Role::Datasources => &shape::DATASOURCES,
            Role::Providers => &shape::PROVIDERS,
            Role::Blackbox => &shape::BLACKBOX,
            Role::Vector => &shape::VECTOR,
            Role::Loki => &shape::LOKI,
            Role::Example => &Shape::Copied(&Shape::Own),
        }
    }

    /// By its place in a stack's tree; none for a file that is copied as it is.
    pub(super) fn of_place(path: &Path) -> Option<Role> {
        let text = path.to_string_lossy();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let folder = path.parent().unwrap_or(Path::new("")).to_string_lossy();
        Some(match (text.as_ref(), folder.as_ref(), extension) {
            ("prometheus/prometheus.yml", ..) => Role::Prometheus,
            (_, "prometheus/rules", "yml" | "yaml") => Role::Rules,
            (_, "prometheus/rules/tests", "yml" | "yaml") => Role::RuleTests,
            (_, "prometheus/targets", "json" | "yml" | "yaml") => Role::Targets,
            ("alertmanager/alertmanager.yml", ..) => Role::Alertmanager,
            (_, "grafana/provisioning/datasources", "yml" | "yaml") => Role::Datasources,
            (_, "grafana/provisioning/dashboards", "yml" | "yaml") => Role::Providers,
            (_, "grafana/dashboards", "json") => Role::Dashboard,
            ("blackbox/blackbox.yml", ..) => Role::Blackbox,
            ("vector/vector.yaml", ..) => Role::Vector,
            // What Loki is told beside its command line: no address in it, and no speed.
            ("loki/loki.yaml", ..) => Role::Loki,
            // Vector's own unit tests. Examples are for people to take from; amtool checks them.
            ("vector/vector-tests.yaml", ..) | (_, "alertmanager/examples", "yml" | "yaml") => Role::Example,
            _ => return None,
        })
    }

    /// By what is in it.
    pub(super) fn of_content(path: &Path, document: &Node) -> Option<Role> {
        let has = |keys: &[&str]| keys.iter().any(|key| document.get(key).is_some());
        if let Value::List(items) = &document.value {
            let are_targets = !items.is_empty() && items.iter().all(|item| item.get("targets").is_some());
            return are_targets.then_some(Role::Targets);
        }
        if path.extension().is_some_and(|extension| extension == "json") {
            return None;
        }
        if has(&["groups"]) {
            Some(Role::Rules)
        } else if has(&["tests"]) {
            Some(Role::RuleTests)
        } else if has(&["route", "receivers"]) {
            Some(Role::Alertmanager)
        } else if has(&["scrape_configs", "scrape_config_files", "rule_files", "alerting", "remote_write"])
            || document.get("global").is_some_and(|global| global.get("scrape_interval").is_some())
        {
            Some(Role::Prometheus)
        } else {
            None
        }
    }

    /// What a text that is no YAML was meant to be.
    pub(super) fn of_text(bytes: &[u8]) -> Option<Role> {
        let text = String::from_utf8_lossy(bytes);
        let begins = |key: &str| text.lines().any(|line| line.starts_with(key));
        // What a chart or a playbook makes files of is none itself.
        if begins("{%") || begins("{{") {
            return None;
        }
        let rows = [
            ("groups:", Role::Rules),
            ("tests:", Role::RuleTests),
            ("receivers:", Role::Alertmanager),
            ("scrape_configs:", Role::Prometheus),
        ];
        rows.into_iter().find(|(key, _)| begins(key)).map(|(_, role)| role)
    }
}

/// Whether a file of this name lies where every file has its meaning, in a stack's tree.
pub(super) fn is_of_a_room(path: &Path) -> bool {
    let rooms = ["prometheus", "alertmanager", "grafana", "blackbox", "vector", "loki"];
    is_read(path) && rooms.iter().any(|room| path.starts_with(room))
}

/// Whether files of this name are read at all.
pub(super) fn is_read(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| ["yml", "yaml", "json", "rules"].contains(&extension))
}

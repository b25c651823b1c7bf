//! Reads meaning out of files: each as what it is, rules, routes and intervals together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::addresses::Place;
use super::layout::{ALERTMANAGER, PROMETHEUS, duration_of, texts_of};
use super::located::{self, Node};
use super::promql::{self, Recorded};
use super::remark::Found;
use super::role::{self, Layout, Role};
use super::walk::Walk;
use super::{Alert, Document, GroupTimings, Monitoring, Recording, refused, routes};
use crate::failure::Finding;
use crate::service::{self, Service};

/// Prometheus' own, where a configuration says none.
const DEFAULT_INTERVAL: Duration = Duration::from_mins(1);

impl Monitoring {
    pub(super) fn understood(
        files: BTreeMap<PathBuf, Vec<u8>>,
        mut found: Found,
        layout: Layout,
    ) -> Result<Monitoring, Vec<Finding>> {
        let mut documents = BTreeMap::new();
        for (path, bytes) in &files {
            if let Some(document) = document(path, bytes, layout, &mut found) {
                documents.insert(path.clone(), document);
            }
        }
        let mut monitoring = Monitoring {
            layout,
            files,
            documents,
            remarks: Vec::new(),
            alerts: Vec::new(),
            recordings: Vec::new(),
            recorded: Recorded::new(),
            unfollowed: Vec::new(),
            route: routes::Route::default(),
            service: Service::ours().clone(),
            scrape_interval: DEFAULT_INTERVAL,
            evaluation_interval: DEFAULT_INTERVAL,
        };
        monitoring.understand(&mut found);
        let Found { mut refused, remarks } = found;
        if refused.is_empty() {
            monitoring.remarks = remarks;
            return Ok(monitoring);
        }
        refused.sort();
        refused.dedup();
        Err(refused)
    }

    /// Reads meaning out of documents of known shape.
    fn understand(&mut self, found: &mut Found) {
        if self.layout == Layout::Stack {
            for (path, what) in
                [(PROMETHEUS, "Prometheus has no configuration"), (ALERTMANAGER, "Alertmanager has no configuration")]
            {
                if !self.files.contains_key(Path::new(path)) {
                    found.refuse(self.layout.named(Path::new(path)), 0, what, "");
                }
            }
        }
        let interval = |node: Option<&Node>, key| match node.filter(|node| node.get(key).is_some()) {
            Some(node) => duration_of(node, key),
            None => DEFAULT_INTERVAL,
        };
        let global = self.prometheus().and_then(|(_, node)| node.get("global"));
        let intervals = (interval(global, "scrape_interval"), interval(global, "evaluation_interval"));
        (self.scrape_interval, self.evaluation_interval) = intervals;
        let route = self.alertmanager().map(|(_, node)| routes::Route::of(node.get("route"), &GroupTimings::default()));
        self.route = route.unwrap_or_default();
        for (path, node) in self.documents_of(Role::Prometheus) {
            refused::prometheus::check(node, &mut |line, what, remedy| {
                found.refuse(self.layout.named(path), line, what, remedy);
            });
        }
        for (path, node) in self.documents_of(Role::Alertmanager) {
            refused::alertmanager::check(node, &mut |line, what, remedy| {
                found.refuse(self.layout.named(path), line, what, remedy);
            });
        }
        self.understand_rules(found);
        self.understand_recordings();
        if self.layout == Layout::Stack {
            self.understand_targets(found);
            match service::of_files(&self.files) {
                Ok(service) => self.service = service,
                Err(refused) => found.refused.extend(refused),
            }
        }
    }

    /// Who is scraped stands in files of targets: those that are asked for are there, and those that are there are ours.
    fn understand_targets(&self, found: &mut Found) {
        let configuration = self.prometheus().map(|(_, node)| node);
        let jobs = configuration.map(|node| node.items_of("scrape_configs")).unwrap_or_default();
        let alerting = configuration.and_then(|node| node.get("alerting"));
        let alertmanagers = alerting.map(|node| node.items_of("alertmanagers")).unwrap_or_default();
        let asked = jobs.iter().chain(alertmanagers).flat_map(|job| job.items_of("file_sd_configs"));
        for file in asked.flat_map(|asked| asked.items_of("files")) {
            let Some(name) = file.as_text() else { continue };
            let is_pattern = name.contains(['*', '?', '[']);
            if !is_pattern && !self.files.contains_key(&Path::new(PROMETHEUS).with_file_name(name)) {
                found.remark(
                    "target/missing",
                    &self.layout.named(Path::new(PROMETHEUS)),
                    file.line,
                    format!("there is no {name}: nobody would be scraped"),
                    "add the file (it may list nobody), or take out what asks for it",
                );
            }
        }
        for (path, _) in self.documents_of(Role::Targets) {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if Place::of_targets(stem).is_none() {
                let what = "targets of no component we know: every stack asks them as they stand";
                found.remark("address/elsewhere", &self.layout.named(path), 0, what, "");
            }
        }
    }

    fn understand_rules(&mut self, found: &mut Found) {
        let mut groups = BTreeSet::new();
        let rules = self.documents.iter().filter(|(_, document)| document.role == Role::Rules);
        for (path, Document { node, .. }) in rules {
            let file = self.layout.named(path);
            let mut of_file = BTreeSet::new();
            for group in node.items_of("groups") {
                let name = group.text_of("name").unwrap_or_default().to_owned();
                let what = format!("a second group of the name `{name}`");
                if !of_file.insert(name.clone()) {
                    found.refuse(&file, group.line, what, "");
                } else if !groups.insert(name.clone()) {
                    found.remark("rule/group", &file, group.line, what, "call it otherwise: pages show the name alone");
                }
                let interval = match group.get("interval") {
                    Some(_) => duration_of(group, "interval"),
                    None => self.evaluation_interval,
                };
                let of_group = Group { name: &name, interval, labels: texts_of(group, "labels"), file: &file };
                for rule in group.items_of("rules") {
                    match of_group.rule(rule, found) {
                        Some(Rule::Alert(alert)) => self.alerts.push(alert),
                        Some(Rule::Recording(recording)) => self.recordings.push(recording),
                        None => {}
                    }
                }
            }
        }
        for recording in &self.recordings {
            let Ok(tree) = promql::parse(&recording.expr) else { continue };
            match self.recorded.remove(&recording.name) {
                None => drop(self.recorded.insert(recording.name.clone(), Arc::new(tree))),
                Some(before) => {
                    let (file, line, name) = (&recording.file, recording.line, &recording.name);
                    let what = format!("a second recording rule of the name `{name}`");
                    found.remark("recording/twice", file, line, what, "a reader looks one up by its name");
                    self.recorded.insert(name.clone(), Arc::new(promql::either((*before).clone(), tree)));
                }
            }
        }
    }

    /// What reads an expression follows the recording rules that it names. One that has no end is taken for any series.
    fn understand_recordings(&mut self) {
        for name in promql::endless(&self.recorded) {
            self.recorded.remove(&name);
            if let Some(rule) = self.recordings.iter().find(|recording| recording.name == name) {
                self.unfollowed.push(Finding {
                    file: rule.file.clone(),
                    line: rule.line,
                    what: format!(
                        "`{name}` stands for too much, or for itself, once the recording rules it names are followed"
                    ),
                    remedy: "let it name fewer rules, less deep, and in no circle".to_owned(),
                });
            }
        }
    }
}

/// A file as a tree; none for one that is copied as it is.
fn document(path: &Path, bytes: &[u8], layout: Layout, found: &mut Found) -> Option<Document> {
    let file = layout.named(path);
    let of_place = (layout == Layout::Stack).then(|| Role::of_place(path));
    match of_place {
        Some(None) if role::is_of_a_room(path) => {
            found.remark("files/unread", &file, 0, "nothing reads a file of this name in this folder", "");
            return None;
        }
        Some(None) => return None,
        None if !role::is_read(path) => return None,
        _ => {}
    }
    let mut node = match located::read(bytes) {
        Ok(node) => node,
        Err((line, what)) => {
            if of_place.flatten().or_else(|| Role::of_text(bytes)).is_some() {
                found.refuse(&file, line, what, "");
            }
            return None;
        }
    };
    let role = of_place.flatten().or_else(|| Role::of_content(path, &node))?;
    if let Some(line) = located::second_document(bytes) {
        found.remark("files/document", &file, line, "a second document begins, and nobody reads it", "remove it");
    }
    let source = path.extension().is_some_and(|extension| extension != "json").then_some(bytes);
    let mut walk = Walk { file: &file, source, layout, rendering: None, found: std::mem::take(found) };
    walk.visit(role.shape(), &mut node);
    *found = walk.found;
    Some(Document { role, node })
}

/// What a group gives to each of its rules.
struct Group<'a> {
    name: &'a str,
    interval: Duration,
    labels: BTreeMap<String, String>,
    file: &'a Path,
}

enum Rule {
    Alert(Alert),
    Recording(Recording),
}

impl Group<'_> {
    fn rule(&self, rule: &Node, found: &mut Found) -> Option<Rule> {
        let expr = rule.text_of("expr").unwrap_or_default().to_owned();
        let labels = || self.labels.clone().into_iter().chain(texts_of(rule, "labels")).collect();
        let (file, line) = (self.file.to_owned(), rule.line);
        match (rule.text_of("record"), rule.text_of("alert")) {
            (Some(name), None) => {
                for key in ["for", "keep_firing_for", "annotations"] {
                    let is_there = rule.get(key).is_some_and(|node| !node.value.is_zero());
                    if is_there {
                        found.refuse(self.file, line, format!("the recording rule `{name}` has `{key}`"), "");
                    }
                }
                Some(Rule::Recording(Recording { name: name.to_owned(), expr, labels: labels(), file, line }))
            }
            (None, Some(name)) => Some(Rule::Alert(Alert {
                name: name.to_owned(),
                expr,
                hold: duration_of(rule, "for"),
                keep_firing_for: duration_of(rule, "keep_firing_for"),
                labels: labels(),
                annotations: texts_of(rule, "annotations"),
                group: self.name.to_owned(),
                evaluation_interval: self.interval,
                file,
                line,
            })),
            _ => {
                found.refuse(self.file, line, "a rule has either `record` or `alert`", "");
                None
            }
        }
    }
}

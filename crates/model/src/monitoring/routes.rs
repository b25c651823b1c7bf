//! Alertmanager's routing tree: which receiver an alert reaches, and in which rhythm. Production time.
//!
//! Labels that only appear when an alert fires (`job`, …) are not known here and match as if they were empty.

use std::collections::BTreeMap;
use std::time::Duration;

use promql_parser::label::Matcher;

use super::layout::duration_of;
use super::located::Node;
use super::matcher;
use super::rule::Alert;

/// When notifications of a group of alerts are sent, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupTimings {
    /// The receiver's name.
    pub receiver: String,
    /// From a group's first alert to its first notification.
    pub group_wait: Duration,
    /// Between notifications of a group that changed.
    pub group_interval: Duration,
    /// Between notifications of a group that did not.
    pub repeat_interval: Duration,
}

/// Alertmanager's own defaults.
impl Default for GroupTimings {
    fn default() -> GroupTimings {
        GroupTimings {
            receiver: String::new(),
            group_wait: Duration::from_secs(30),
            group_interval: Duration::from_mins(5),
            repeat_interval: Duration::from_hours(4),
        }
    }
}

/// A node of the tree, with what it inherits filled in.
#[derive(Debug, Clone, Default)]
pub(super) struct Route {
    line: usize,
    matchers: Vec<Matcher>,
    timings: GroupTimings,
    routes: Vec<Route>,
}

impl Route {
    pub(super) fn of(node: Option<&Node>, parent: &GroupTimings) -> Route {
        let Some(node) = node else { return Route::default() };
        let timing = |key, inherited| if node.get(key).is_some() { duration_of(node, key) } else { inherited };
        let timings = GroupTimings {
            receiver: node.text_of("receiver").unwrap_or(&parent.receiver).to_owned(),
            group_wait: timing("group_wait", parent.group_wait),
            group_interval: timing("group_interval", parent.group_interval),
            repeat_interval: timing("repeat_interval", parent.repeat_interval),
        };
        let matchers = node.items_of("matchers").iter().filter_map(Node::as_text);
        Route {
            line: node.line,
            matchers: matchers.filter_map(|text| matcher::parse(text).ok()).flatten().collect(),
            routes: node.items_of("routes").iter().map(|child| Route::of(Some(child), &timings)).collect(),
            timings,
        }
    }

    /// The rhythm in which an alert is notified, by the first route its static labels match.
    pub(super) fn timings_of(&self, alert: &Alert) -> &GroupTimings {
        let mut labels = alert.labels.clone();
        labels.insert("alertname".to_owned(), alert.name.clone());
        &self.find(&labels).timings
    }

    /// The receiver of the root: of alerts that no route is for.
    pub(super) fn receiver(&self) -> &str {
        &self.timings.receiver
    }

    /// Depth first, the first child that matches; the node itself when none does.
    fn find(&self, labels: &BTreeMap<String, String>) -> &Route {
        let matches = |matcher: &Matcher| matcher.is_match(labels.get(&matcher.name).map_or("", String::as_str));
        match self.routes.iter().find(|route| route.matchers.iter().all(matches)) {
            Some(route) => route.find(labels),
            None => self,
        }
    }

    /// Receivers that routes name and the configuration lacks, with the route's line.
    pub(super) fn unknown_receivers(&self, configuration: &Node) -> Vec<(usize, String)> {
        let known =
            configuration.items_of("receivers").iter().any(|node| node.text_of("name") == Some(&self.timings.receiver));
        let own = (!known).then(|| (self.line, self.timings.receiver.clone()));
        own.into_iter().chain(self.routes.iter().flat_map(|route| route.unknown_receivers(configuration))).collect()
    }
}

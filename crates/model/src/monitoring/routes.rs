//! Alertmanager's routing tree: which receiver an alert reaches, and in which rhythm. Production time.
//!
//! Labels that only appear when an alert fires (`job`, …) are not known here and match as if they were empty.

use std::collections::BTreeMap;
use std::time::Duration;

use promql_parser::label::Matcher;
use promql_parser::parser::token::{T_EQL, T_EQL_REGEX};

use super::layout::duration_of;
use super::located::{Node, Value};
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
    matchers: Vec<Matcher>,
    /// Whether an alert that takes this route is looked at by the next one, too.
    goes_on: bool,
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
        let written = matchers.filter_map(|text| matcher::parse(text).ok()).flatten();
        let of = |key, operator| matcher::of_map(node.get(key), operator);
        Route {
            matchers: written.chain(of("match", T_EQL)).chain(of("match_re", T_EQL_REGEX)).collect(),
            goes_on: matches!(node.get("continue").map(|node| &node.value), Some(Value::Switch(true))),
            routes: node.items_of("routes").iter().map(|child| Route::of(Some(child), &timings)).collect(),
            timings,
        }
    }

    /// The rhythm in which an alert is notified, by the first route its static labels match.
    pub(super) fn timings_of(&self, alert: &Alert) -> &GroupTimings {
        let mut labels = alert.labels.clone();
        labels.insert("alertname".to_owned(), alert.name.clone());
        self.reached(&labels)[0]
    }

    /// The receiver of the root: of alerts that no route is for.
    pub(super) fn receiver(&self) -> &str {
        &self.timings.receiver
    }

    /// One for each route that an alert with these labels reaches, at least one: depth first, the first child that matches and
    /// those behind it as long as each goes on; the node itself when none does.
    pub(super) fn reached(&self, labels: &BTreeMap<String, String>) -> Vec<&GroupTimings> {
        let matches = |matcher: &Matcher| matcher.is_match(labels.get(&matcher.name).map_or("", String::as_str));
        let mut reached = Vec::new();
        for route in self.routes.iter().filter(|route| route.matchers.iter().all(matches)) {
            reached.extend(route.reached(labels));
            if !route.goes_on {
                break;
            }
        }
        if reached.is_empty() { vec![&self.timings] } else { reached }
    }
}

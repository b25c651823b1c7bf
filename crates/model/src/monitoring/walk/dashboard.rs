//! A dashboard: reading refuses what Grafana refuses, and rendering divides every length of time that it asks with, or says
//! where it can't.
//!
//! Lengths stand in queries, as least steps, as a panel's own range, and as the values of variables that queries look back by. The
//! range that a dashboard opens with is no part of what it asks, and stays.

use std::collections::BTreeSet;

use super::super::datasources::{Source, Sources};
use super::super::located::{Entry, Node, Value};
use super::super::panel_query::{
    VARIABLE, length_at, lengths_in, panel_query_at, panel_range_at, panel_step_at, without_variables,
};
use super::super::promql;
use super::super::variables;
use super::{Rendering, Walk};
use aiclipx_base::duration::{self, Speed};

/// Grafana's own limit.
const LONGEST_UID: usize = 40;

impl Walk<'_> {
    pub(super) fn dashboard(&mut self, node: &mut Node) {
        if node.get("spec").is_some() || node.get("elements").is_some() {
            self.find(
                node.line,
                "this is a dashboard of the v2 schema; the classic one is read",
                "export it as classic JSON",
            );
            return;
        }
        if node.text_of("title").is_none_or(|title| title.trim().is_empty()) {
            self.find(node.line_of("title"), "a dashboard needs a `title`", "");
        }
        let uid = node.text_of("uid").unwrap_or_default();
        let is_plain = uid.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if uid.len() > LONGEST_UID || !is_plain {
            let what = format!("`{uid}` is no uid that Grafana takes");
            self.find(node.line_of("uid"), what, "up to 40 letters, digits, - and _");
        }
        self.pages(node);
        if self.speed() != Speed::PRODUCTION {
            self.divide_dashboard(node);
        }
    }

    /// Where it leads, anywhere in it.
    fn pages(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.pages(item)),
            Value::Map(entries) => {
                for entry in entries {
                    match &mut entry.node.value {
                        Value::Text(text) if entry.key == "url" => self.page(text),
                        _ => self.pages(&mut entry.node),
                    }
                }
            }
            _ => {}
        }
    }

    fn divide_dashboard(&mut self, node: &mut Node) {
        let sources = Sources::of(node);
        let mut lengths = BTreeSet::new();
        asked_lengths(node, &mut lengths);
        for row in list_of(node, "rows") {
            list_of(row, "panels").iter_mut().for_each(|panel| self.divide_panel(panel, &sources));
        }
        list_of(node, "panels").iter_mut().for_each(|panel| self.divide_panel(panel, &sources));
        for variable in node.get_mut("templating").map(|node| list_of(node, "list")).into_iter().flatten() {
            self.divide_variable(variable, &sources, &lengths);
        }
        for annotation in node.get_mut("annotations").map(|node| list_of(node, "list")).into_iter().flatten() {
            if sources.named(annotation).is_none_or(|source| matches!(source, Source::Prometheus(_))) {
                self.divide_query(annotation, "step");
                if let Some(target) = annotation.get_mut("target") {
                    self.divide_query(target, "interval");
                }
            }
        }
    }

    fn divide_panel(&mut self, panel: &mut Node, sources: &Sources) {
        list_of(panel, "panels").iter_mut().for_each(|inner| self.divide_panel(inner, sources));
        let is_of_prometheus: Vec<bool> = panel
            .items_of("targets")
            .iter()
            .map(|query| matches!(sources.of_query(panel, query), Source::Prometheus(_)))
            .collect();
        for (query, _) in list_of(panel, "targets").iter_mut().zip(&is_of_prometheus).filter(|(_, is_one)| **is_one) {
            self.divide_query(query, "interval");
        }
        if is_of_prometheus.contains(&true) {
            self.in_text(panel, "interval", Walk::divide_step);
            self.in_text(panel, "timeFrom", Walk::divide_range);
            self.in_text(panel, "timeShift", Walk::divide_range);
        }
    }

    fn divide_query(&mut self, query: &mut Node, step: &str) {
        self.in_text(query, "expr", Walk::divide_expression);
        self.in_text(query, step, Walk::divide_step);
    }

    /// Changes the text of a key, where there is one that says something.
    fn in_text(&mut self, node: &mut Node, key: &str, change: fn(&mut Self, usize, &mut String)) {
        let line = node.line_of(key);
        if let Some(Node { value: Value::Text(text), .. }) = node.get_mut(key)
            && !text.trim().is_empty()
        {
            change(self, line, text);
        }
    }

    fn divide_expression(&mut self, line: usize, text: &mut String) {
        let tree = match promql::parse(&without_variables(text)) {
            Ok(tree) => tree,
            Err(error) => {
                let what = format!("not an expression, so nothing divides it: {}", error.trim());
                return self.find(line, what, "mend or remove it, or render at speed 1");
            }
        };
        match panel_query_at(text, self.speed()) {
            Ok(divided) => *text = divided,
            Err(refused) => {
                let remedy = "write $__rate_interval, or lengths alone, as the alert does";
                refused.into_iter().for_each(|error| self.find(line, error, remedy));
            }
        }
        let Some(Rendering { recorded, .. }) = self.rendering else { return };
        for hazard in promql::hazards(&tree, recorded) {
            let hazard = hazard.replace(&duration::print(VARIABLE), "$__interval");
            self.find(line, hazard, "compare a rate or a ratio, or render at speed 1");
        }
    }

    fn divide_step(&mut self, line: usize, text: &mut String) {
        match panel_step_at(text, self.speed()) {
            Ok(step) => *text = step,
            Err(error) => self.find(line, format!("a least step that nothing divides: {error}"), ""),
        }
    }

    fn divide_range(&mut self, line: usize, text: &mut String) {
        match panel_range_at(text, self.speed()) {
            Ok(range) => *text = range,
            Err(error) => self.find(line, format!("a panel's own range that nothing divides: {error}"), ""),
        }
    }

    fn divide_variable(&mut self, variable: &mut Node, sources: &Sources, lengths: &BTreeSet<String>) {
        let kind = variable.text_of("type").unwrap_or("query").to_owned();
        let is_length = variable.text_of("name").is_some_and(|name| lengths.contains(name));
        match kind.as_str() {
            "query" if sources.named(variable).is_none_or(|one| matches!(one, Source::Prometheus(_))) => {
                match variable.get_mut("query") {
                    Some(query) if query.get("query").is_some() => self.in_text(query, "query", Walk::divide_asked),
                    _ => self.in_text(variable, "query", Walk::divide_asked),
                }
            }
            "interval" | "custom" | "constant" | "textbox" if is_length || kind == "interval" => {
                self.in_text(variable, "query", Walk::divide_values);
                self.in_text(variable, "auto_min", Walk::divide_step);
                let options = list_of(variable, "options").iter_mut();
                options.for_each(|option| self.divide_option(option));
                if let Some(current) = variable.get_mut("current") {
                    self.divide_option(current);
                }
            }
            _ => {}
        }
    }

    /// What the values of a variable are asked for with.
    fn divide_asked(&mut self, line: usize, text: &mut String) {
        let inner = text.trim().strip_prefix("query_result(").and_then(|rest| rest.strip_suffix(')'));
        if let Some(mut inner) = inner.map(str::to_owned) {
            self.divide_expression(line, &mut inner);
            *text = format!("query_result({inner})");
        }
    }

    fn divide_option(&mut self, option: &mut Node) {
        for key in ["value", "text"] {
            match option.get_mut(key) {
                Some(Node { value: Value::List(items), .. }) => {
                    for item in items {
                        let line = item.line;
                        if let Value::Text(text) = &mut item.value {
                            self.divide_values(line, text);
                        }
                    }
                }
                // What a value is called can be anything.
                Some(Node { value: Value::Text(text), .. })
                    if key == "text" && duration::parse(text.trim()).is_err() => {}
                _ => self.in_text(option, key, Walk::divide_values),
            }
        }
    }

    /// Lengths separated by commas, each alone or behind what it is called: `5m,1 hour : 1h`.
    fn divide_values(&mut self, line: usize, text: &mut String) {
        let divided: Vec<String> = text.split(',').map(|one| self.divided_value(line, one)).collect();
        *text = divided.join(",");
    }

    fn divided_value(&mut self, line: usize, one: &str) -> String {
        let value = one.rsplit_once(" : ").map_or(one, |(_, value)| value);
        let bare = value.trim().trim_matches(['"', '\'']);
        match length_at(bare, self.speed()) {
            Ok(real) => one[..one.len() - value.len()].to_owned() + &value.replacen(bare, &real, 1),
            Err(error) => {
                let what =
                    format!("a query looks back by `{bare}`, a variable's value, and nothing divides it: {error}");
                self.find(line, what, "take it out, or render at a speed that divides it");
                one.to_owned()
            }
        }
    }
}

/// The variables that anything in a dashboard takes for a length of time.
fn asked_lengths(node: &Node, lengths: &mut BTreeSet<String>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| asked_lengths(item, lengths)),
        Value::Map(entries) => {
            for Entry { key, node, .. } in entries {
                match (key.as_str(), node.as_text()) {
                    ("expr", Some(text)) => lengths.extend(lengths_in(text).into_iter().map(str::to_owned)),
                    ("interval" | "timeFrom" | "timeShift", Some(text)) => {
                        lengths.extend(variables::names(text).map(str::to_owned));
                    }
                    _ => asked_lengths(node, lengths),
                }
            }
        }
        _ => {}
    }
}

fn list_of<'a>(node: &'a mut Node, key: &str) -> &'a mut [Node] {
    match node.get_mut(key).map(|node| &mut node.value) {
        Some(Value::List(items)) => items,
        _ => &mut [],
    }
}

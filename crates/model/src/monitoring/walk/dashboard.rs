//! A dashboard: reading refuses what Grafana refuses, and rendering divides every length of time that it asks with, or says
//! where it can't.
//!
//! Lengths stand in queries, as least steps, as a panel's own range, and as the values of variables that queries look back by. The
//! range that a dashboard opens with is no part of what it asks, and stays.

use std::collections::BTreeSet;

use super::super::datasources::{Source, Sources};
use super::super::located::{Entry, Node, Value};
use super::super::panel_query::{
    VARIABLE, length_at, lengths_in, panel_query_at, panel_range_at, panel_shift_at, panel_step_at, without_variables,
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
            for panel in list_of(row, "panels") {
                self.divide_panel(panel, &sources);
            }
        }
        for panel in list_of(node, "panels") {
            self.divide_panel(panel, &sources);
        }
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
        for inner in list_of(panel, "panels") {
            self.divide_panel(inner, sources);
        }
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
            self.in_text(panel, "timeShift", Walk::divide_shift);
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
                for error in refused {
                    self.find(line, error, remedy);
                }
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

    fn divide_shift(&mut self, line: usize, text: &mut String) {
        match panel_shift_at(text, self.speed()) {
            Ok(shift) => *text = shift,
            Err(error) => {
                self.find(line, format!("how much earlier a panel looks, which nothing divides: {error}"), "");
            }
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::addresses::Addresses;
    use super::super::super::located;
    use super::super::super::promql::Recorded;
    use super::*;
    use crate::failure::Finding;
    use crate::monitoring::remark::Found;
    use crate::monitoring::role::Layout;

    /// As it is at a speed, and what is found; none where it is only looked at.
    fn at(text: &str, speed: Option<u32>) -> (serde_json::Value, Vec<Finding>) {
        let (addresses, recorded) = (Addresses::canonical(), Recorded::new());
        let speed = speed.map(|factor| Speed::new(factor).unwrap());
        let rendering = speed.map(|speed| Rendering { addresses: &addresses, speed, recorded: &recorded });
        let (layout, found) = (Layout::Stack, Found::default());
        let mut walk = Walk { file: Path::new("a.json"), source: None, layout, rendering, found };
        let mut node = located::read(text.as_bytes()).unwrap();
        walk.dashboard(&mut node);
        (serde_json::to_value(&node).unwrap(), walk.found.refused)
    }

    /// Rows of before Grafana 5, what only another store is asked, lengths in every place.
    const THEIRS: &str = r#"{
        "title": "Theirs", "time": { "from": "now-6h" },
        "templating": { "list": [
            { "name": "ds", "type": "datasource", "query": "prometheus" },
            { "name": "logs", "type": "datasource", "query": "loki" },
            { "name": "window", "type": "custom", "query": "short : 1m,1h", "current": { "text": "short", "value": "1m" },
              "options": [{ "text": "short", "value": "1m" }, { "text": "1h", "value": "1h" }] },
            { "name": "step", "type": "interval", "query": "30s,5m", "auto": true, "auto_min": "90s",
              "current": { "text": "auto", "value": "$__auto_interval_step" } },
            { "name": "top", "type": "custom", "query": "3,5", "current": { "value": ["3"] } },
            { "name": "busy", "type": "query", "query": { "query": "query_result(topk($top, rate(a[5m])))" } }
        ] },
        "annotations": { "list": [{ "datasource": "$ds", "expr": "changes(a[1m])", "step": "1m" }] },
        "rows": [{ "panels": [{
            "datasource": "$ds", "interval": "1m", "timeFrom": "2h", "timeShift": "1h",
            "targets": [{ "expr": "rate(a[5m]) * $top + rate(b[$window])", "interval": "$step" }]
        }] }],
        "panels": [{ "panels": [{
            "datasource": { "uid": "$logs" }, "interval": "1m", "targets": [{ "expr": "rate({a=\"b\"}[5m])" }]
        }] }]
    }"#;

    #[test]
    fn every_length_that_prometheus_is_asked_with_is_divided_and_nothing_else() {
        let (read, found) = at(THEIRS, Some(1));
        assert_eq!((&read, found.len()), (&serde_json::from_str(THEIRS).unwrap(), 0));
        let (divided, found) = at(THEIRS, Some(30));
        assert_eq!(found, []);
        let mut wanted = read;
        for (pointer, value) in [
            ("/rows/0/panels/0/targets/0/expr", "rate(a[10s]) * $top + rate(b[$window])"),
            ("/rows/0/panels/0/interval", "2s"),
            ("/rows/0/panels/0/timeFrom", "4m"),
            ("/rows/0/panels/0/timeShift", "2m"),
            ("/annotations/list/0/expr", "changes(a[2s])"),
            ("/annotations/list/0/step", "2s"),
            ("/templating/list/2/query", "short : 2s,2m"),
            ("/templating/list/2/current/value", "2s"),
            ("/templating/list/2/options/0/value", "2s"),
            ("/templating/list/2/options/1/value", "2m"),
            ("/templating/list/2/options/1/text", "2m"),
            ("/templating/list/3/query", "1s,10s"),
            ("/templating/list/3/auto_min", "3s"),
            ("/templating/list/5/query/query", "query_result(topk($top, rate(a[10s])))"),
        ] {
            let place = wanted.pointer_mut(pointer).expect(pointer);
            assert_ne!(place, value, "{pointer}");
            *place = value.into();
        }
        assert_eq!(divided, wanted);
    }

    #[test]
    fn what_nothing_divides_is_refused_at_its_line_at_a_speed_and_only_there() {
        for (from, to, why) in [
            ("rate(a[5m]) * $top", "rate(a[5m]) $top 3", "not an expression"),
            ("rate(a[5m]) * $top", "increase(a[5m]) > 10", "shrinks with time"),
            ("short : 1m,1h", "short : 1s,1h", "nothing divides it: 1s divided"),
            ("\"query\": \"30s,5m\"", "\"query\": \"10s,5m\"", "nothing divides it: 10s divided"),
            ("\"timeFrom\": \"2h\"", "\"timeFrom\": \"1d/d\"", "own range that nothing divides"),
            (
                "\"interval\": \"1m\", \"timeFrom\"",
                "\"interval\": \"soon\", \"timeFrom\"",
                "least step that nothing divides",
            ),
        ] {
            let text = THEIRS.replacen(from, to, 1);
            let line = 1 + text[..text.find(to).unwrap()].matches('\n').count();
            let (_, found) = at(&text, Some(30));
            let told = found.iter().find(|finding| finding.what.contains(why));
            assert_eq!(told.map(|finding| finding.line), Some(line), "{to}: {found:?}");
            assert_eq!((at(&text, Some(1)).1, at(&text, None).1), (Vec::new(), Vec::new()), "{to}");
        }
    }

    #[test]
    fn reading_refuses_what_grafana_refuses_and_nothing_else() {
        for (text, why) in [
            ("{ \"panels\": [] }", "needs a `title`"),
            ("{ \"title\": \"A\", \"uid\": \"a b\" }", "is no uid"),
            ("{ \"title\": \"A\", \"spec\": {} }", "v2 schema"),
        ] {
            let (_, found) = at(text, None);
            assert!(found.len() == 1 && found[0].what.contains(why), "{found:?}");
        }
        assert_eq!(at("{ \"title\": \"A\", \"panels\": [{ \"targets\": [{ \"expr\": \"(\" }] }] }", None).1, []);
    }
}

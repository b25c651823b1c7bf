//! Dashboards: what of Grafana's format follows a stack's speed and where it is reached.

use super::{Rendering, Walk};
use crate::monitoring::layout::is_of_logs;
use crate::monitoring::located::{Node, Value};
use crate::monitoring::panel_query::{VARIABLE, length_beside_a_variable, panel_query_at, without_variables};
use crate::monitoring::promql;
use aiclipx_base::duration::{self, Speed};

impl Walk<'_> {
    /// Divides a least step of Grafana's. It makes `$__rate_interval` of it by adding and multiplying, and writes a
    /// fraction of a second in a way that Prometheus refuses: so a step is divided to whole seconds, upwards, for below
    /// the scrape interval there is nothing to see.
    pub(super) fn step(&mut self, line: usize, text: &mut String) {
        if duration::parse(text).is_ok_and(|production| production.subsec_nanos() != 0) {
            let what = format!("{text} is not in whole seconds");
            self.remark("panel/step", line, what, "Grafana would ask what Prometheus refuses");
        }
        if let Some(real) = self.duration(line, text)
            && self.rendering.is_some()
        {
            // In one unit: of `1m30s` Grafana's pages read the first part alone.
            *text = format!("{}s", duration::whole_seconds(real).as_secs());
        }
    }

    pub(super) fn dashboard(&mut self, node: &mut Node) {
        for key in ["uid", "title"] {
            if node.text_of(key).is_none_or(str::is_empty) {
                self.remark("dashboard/uid", node.line, format!("a dashboard needs a `{key}`"), "");
            }
        }
        if node.items_of("panels").is_empty() {
            self.remark("dashboard/empty", node.line, "a dashboard without panels", "");
        }
        self.dashboard_part(node);
    }

    fn dashboard_part(&mut self, node: &mut Node) {
        let line = node.line;
        if is_of_logs(node) {
            return;
        }
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.dashboard_part(item)),
            Value::Map(entries) => {
                for entry in entries {
                    match (entry.key.as_str(), &mut entry.node.value) {
                        ("expr", Value::Text(text)) => self.panel_expression(entry.line, text),
                        ("url", Value::Text(text)) => self.page(text),
                        // The least step of a panel or query; empty is Grafana's way to leave it out.
                        ("interval", Value::Text(text)) if !text.is_empty() => self.step(line, text),
                        _ => self.dashboard_part(&mut entry.node),
                    }
                }
            }
            _ => {}
        }
    }

    /// A panel looks back by Grafana's variables, which follow the datasource's interval and so the speed, or by lengths of
    /// its own, as the alert does whose value it shows: these are divided. Both in one query are refused: of what has a variable
    /// where it is no text, nothing is divided.
    fn panel_expression(&mut self, line: usize, text: &mut String) {
        match promql::parse(&without_variables(text)) {
            Ok(tree) => {
                if let Some(what) = length_beside_a_variable(text) {
                    let remedy = "write $__rate_interval, or lengths alone, as the alert does";
                    self.remark("panel/length", line, what.clone(), remedy);
                    if self.is_faster() {
                        self.find(line, what, remedy);
                    }
                } else if let Some(Rendering { speed, .. }) = self.rendering {
                    match panel_query_at(text, speed) {
                        Ok(divided) => *text = divided,
                        Err(refused) => refused.into_iter().for_each(|error| self.find(line, error, "")),
                    }
                }
                if let Some(Rendering { speed, recorded, .. }) = self.rendering
                    && speed != Speed::PRODUCTION
                {
                    for hazard in promql::hazards(&tree, recorded) {
                        let hazard = hazard.replace(&duration::print(VARIABLE), "$__interval");
                        self.find(line, hazard, "compare a rate or a ratio, or render at speed 1");
                    }
                }
            }
            Err(error) => {
                let what = format!("not an expression: {}", error.trim());
                self.remark("query/syntax", line, what.clone(), "");
                if self.is_faster() {
                    self.find(line, what, "render at speed 1");
                }
            }
        }
    }
}

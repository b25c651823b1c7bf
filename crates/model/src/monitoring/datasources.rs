//! Whom a part of a dashboard asks, as Grafana would find it: by type and uid, by a name alone (as dashboards had it before
//! Grafana 8.3), by a variable or an input that stands for one, or, where nothing is said, the default one.

use std::collections::BTreeMap;

use super::layout::holds_logs;
use super::located::Node;
use super::variables::{Part, parts};

/// Whom a panel or one of its queries asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A Prometheus, by uid or name; none for the default one, and for one that whoever imports the dashboard chooses.
    Prometheus(Option<String>),
    /// A store of logs, likewise.
    Logs(Option<String>),
    /// Every query says for itself.
    Mixed,
    /// Another panel of the dashboard, whose answer is shown.
    Panel,
    /// Something else, by Grafana's name of its kind.
    Other(String),
}

/// Types that speak Prometheus' language to a Prometheus.
const PROMETHEUS: [&str; 3] =
    ["prometheus", "grafana-amazonprometheus-datasource", "grafana-azureprometheus-datasource"];

/// Variables and inputs of a dashboard that stand for data sources, with their types.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    chosen: BTreeMap<String, String>,
}

impl Sources {
    /// Those of a dashboard.
    pub fn of(dashboard: &Node) -> Sources {
        let mut chosen = BTreeMap::new();
        for input in dashboard.items_of("__inputs") {
            if let ("datasource", Some(name)) = (input.text_of("type").unwrap_or_default(), input.text_of("name")) {
                chosen.insert(name.to_owned(), input.text_of("pluginId").unwrap_or_default().to_owned());
            }
        }
        let variables = dashboard.get("templating").map_or(&[][..], |templating| templating.items_of("list"));
        for variable in variables {
            if let ("datasource", Some(name)) = (variable.text_of("type").unwrap_or_default(), variable.text_of("name"))
            {
                chosen.insert(name.to_owned(), variable.text_of("query").unwrap_or_default().to_owned());
            }
        }
        Sources { chosen }
    }

    /// Whom a panel, a query, a variable or an annotation asks, where it says so.
    pub fn named(&self, part: &Node) -> Option<Source> {
        let source = part.get("datasource")?;
        let (kind, name) = match source.as_text() {
            Some(name) => (None, Some(name)),
            None => (source.text_of("type"), source.text_of("uid")),
        };
        let kind = kind.filter(|kind| !kind.is_empty());
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return kind.map(|kind| of_kind(kind, None));
        };
        match (self.variable(name), kind) {
            // Grafana's own.
            _ if name == "-- Mixed --" => Some(Source::Mixed),
            _ if name == "-- Dashboard --" => Some(Source::Panel),
            _ if name == "-- Grafana --" => Some(Source::Other("grafana".to_owned())),
            (Some(""), kind) => Some(of_kind(kind.unwrap_or(PROMETHEUS[0]), None)),
            (Some(chosen), _) => Some(of_kind(chosen, None)),
            (None, Some("datasource")) => Some(Source::Other("grafana".to_owned())),
            (None, Some(kind)) => Some(of_kind(kind, Some(name))),
            (None, None) if ["default", "-- Default --"].contains(&name) => None,
            (None, None) if ["__expr__", "-100", "grafana"].contains(&name) => Some(Source::Other(name.to_owned())),
            // Of what type one of this name is only who has it knows.
            (None, None) => Some(Source::Prometheus(Some(name.to_owned()))),
        }
    }

    /// Whom a query of a panel asks. Of a panel that names none, what it asks tells whether it can be Prometheus.
    pub fn of_query(&self, panel: &Node, query: &Node) -> Source {
        let of_panel = self.named(panel);
        // A panel's own data source is asked whatever its queries say, unless it is for them to say.
        let source = match of_panel {
            None | Some(Source::Mixed) => self.named(query).or(of_panel),
            Some(source) => self.own_expression(query).or(Some(source)),
        };
        let asks = query.text_of("expr").is_some();
        match source {
            None if asks => Source::Prometheus(None),
            None | Some(Source::Mixed) => Source::Other("unknown".to_owned()),
            Some(source) => source,
        }
    }

    /// What Grafana computes itself of the panel's other queries.
    fn own_expression(&self, query: &Node) -> Option<Source> {
        self.named(query).filter(|source| matches!(source, Source::Other(kind) if kind == "__expr__"))
    }

    /// The type that a variable stands for, where this is one: empty of one that nobody declares.
    fn variable(&self, name: &str) -> Option<&str> {
        let [Part::Variable(one)] = parts(name)[..] else { return None };
        Some(self.chosen.get(one.name).map_or("", String::as_str))
    }
}

fn of_kind(kind: &str, name: Option<&str>) -> Source {
    let name = name.map(str::to_owned);
    match kind {
        kind if PROMETHEUS.contains(&kind) => Source::Prometheus(name),
        kind if holds_logs(kind) => Source::Logs(name),
        kind => Source::Other(kind.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::located;
    use super::*;

    fn asked(dashboard: &serde_json::Value, panel: &serde_json::Value, query: &serde_json::Value) -> Source {
        let node = |value: &serde_json::Value| located::read(value.to_string().as_bytes()).unwrap();
        Sources::of(&node(dashboard)).of_query(&node(panel), &node(query))
    }

    #[test]
    fn a_query_asks_whom_its_panel_names_in_any_of_grafana_s_ways() {
        let dashboard = serde_json::json!({
            "__inputs": [
                { "name": "DS_PROMETHEUS", "type": "datasource", "pluginId": "prometheus" },
                { "name": "DS_ELSE", "type": "datasource", "pluginId": "cloudwatch" },
                { "name": "VAR_X", "type": "constant", "value": "1" },
            ],
            "templating": { "list": [
                { "name": "ds", "type": "datasource", "query": "prometheus" },
                { "name": "logs", "type": "datasource", "query": "loki" },
                { "name": "job", "type": "query" },
            ] },
        });
        let prometheus = |name: Option<&str>| Source::Prometheus(name.map(str::to_owned));
        let other = |kind: &str| Source::Other(kind.to_owned());
        for (source, whom) in [
            (serde_json::json!(null), prometheus(None)),
            (serde_json::json!("default"), prometheus(None)),
            (serde_json::json!({ "type": "prometheus" }), prometheus(None)),
            (serde_json::json!({ "type": "prometheus", "uid": "main" }), prometheus(Some("main"))),
            (serde_json::json!("Prometheus"), prometheus(Some("Prometheus"))),
            (serde_json::json!({ "uid": "main" }), prometheus(Some("main"))),
            (serde_json::json!("${DS_PROMETHEUS}"), prometheus(None)),
            (serde_json::json!("$ds"), prometheus(None)),
            (serde_json::json!("[[ds]]"), prometheus(None)),
            (serde_json::json!({ "uid": "$undeclared" }), prometheus(None)),
            (serde_json::json!({ "type": "prometheus", "uid": "${logs}" }), Source::Logs(None)),
            (serde_json::json!({ "type": "loki", "uid": "l" }), Source::Logs(Some("l".to_owned()))),
            (serde_json::json!({ "type": "loki", "uid": "$undeclared" }), Source::Logs(None)),
            (serde_json::json!("${DS_ELSE}"), other("cloudwatch")),
            (serde_json::json!({ "type": "datasource", "uid": "-- Dashboard --" }), Source::Panel),
            (serde_json::json!("-- Grafana --"), other("grafana")),
            (serde_json::json!({ "type": "datasource", "uid": "grafana" }), other("grafana")),
        ] {
            let panel = serde_json::json!({ "datasource": source });
            let query = serde_json::json!({ "expr": "up" });
            assert_eq!(asked(&dashboard, &panel, &query), whom, "{source}");
        }
    }

    #[test]
    fn a_query_says_for_itself_where_its_panel_is_mixed_or_says_nothing() {
        let none = serde_json::json!({});
        let query = serde_json::json!({ "expr": "up", "datasource": { "type": "loki", "uid": "l" } });
        let logs = Source::Logs(Some("l".to_owned()));
        for panel in [serde_json::json!({ "datasource": "-- Mixed --" }), none.clone()] {
            assert_eq!(asked(&none, &panel, &query), logs);
        }
        let own = serde_json::json!({ "datasource": { "type": "prometheus", "uid": "p" } });
        assert_eq!(asked(&none, &own, &query), Source::Prometheus(Some("p".to_owned())));
        let computed =
            serde_json::json!({ "datasource": { "type": "__expr__", "uid": "__expr__" }, "expression": "$A" });
        assert_eq!(asked(&none, &own, &computed), Source::Other("__expr__".to_owned()));
        assert_eq!(
            asked(&none, &none, &serde_json::json!({ "rawSql": "SELECT 1" })),
            Source::Other("unknown".to_owned())
        );
    }
}

//! A dashboard as it is given to a stack that has less than the files take for granted: an older Grafana, which before 8.3 wants
//! a datasource as a text and not as an object; no Loki, so that what leads to log lines leads to none.

use serde_json::Value;

/// A dashboard whose datasources are named by their uid alone; as it is where it is no JSON.
pub fn with_datasources_by_uid(dashboard: &[u8]) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(dashboard) else { return dashboard.to_vec() };
    name(&mut value);
    value.to_string().into_bytes()
}

/// A dashboard without the links, its own and its panels', that lead to the dashboard of logs; as it is where it has none.
pub fn without_links_to_logs(dashboard: &[u8]) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(dashboard) else { return dashboard.to_vec() };
    if !unlink(&mut value) {
        return dashboard.to_vec();
    }
    value.to_string().into_bytes()
}

/// Where the dashboard of logs is.
const LOGS: &str = "/d/logs";

/// Whether there was a link to take away.
fn unlink(value: &mut Value) -> bool {
    let mut found = false;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| found |= unlink(item)),
        Value::Object(entries) => {
            for (key, entry) in entries {
                if let (true, Value::Array(links)) = (key == "links", &mut *entry) {
                    let before = links.len();
                    links.retain(|link| !link["url"].as_str().is_some_and(leads_to_logs));
                    found |= links.len() < before;
                }
                found |= unlink(entry);
            }
        }
        _ => {}
    }
    found
}

fn leads_to_logs(url: &str) -> bool {
    url.strip_prefix(LOGS).is_some_and(|rest| rest.is_empty() || rest.starts_with(['?', '/']))
}

fn name(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(name),
        Value::Object(entries) => {
            for (key, entry) in entries {
                let uid = entry.get("uid").and_then(Value::as_str).filter(|_| key == "datasource").map(Value::from);
                match uid {
                    Some(uid) => *entry = uid,
                    None => name(entry),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_datasource_becomes_its_uid_and_nothing_else_changes() {
        let source = serde_json::json!({ "type": "prometheus", "uid": "prometheus" });
        let with = |source: &Value| {
            let target = serde_json::json!({ "datasource": source, "expr": "up" });
            serde_json::json!({
                "uid": "one", "annotations": { "list": [{ "datasource": source }] }, "time": { "from": "now-5m" },
                "panels": [{ "datasource": source, "targets": [target] }, { "panels": [{ "datasource": source }] }],
            })
        };
        let made = with_datasources_by_uid(with(&source).to_string().as_bytes());
        assert_eq!(serde_json::from_slice::<Value>(&made).unwrap(), with(&Value::from("prometheus")));
        assert_eq!(with_datasources_by_uid(b"no JSON"), b"no JSON");
    }

    #[test]
    fn what_leads_to_logs_is_taken_away_from_the_dashboard_and_its_panels_and_nothing_else() {
        let link = |url: &str| serde_json::json!({ "title": "Somewhere", "url": url });
        let with = |logs: &[Value]| {
            let links = |others: &[&str]| [logs, &others.iter().map(|url| link(url)).collect::<Vec<_>>()[..]].concat();
            serde_json::json!({
                "uid": "one", "links": links(&["/d/slo"]),
                "panels": [{ "id": 3, "links": links(&["/d/logs-of-mine", "/explore?left=/d/logs"]) }],
            })
        };
        let leading = with(&[link("/d/logs"), link("/d/logs?viewPanel=6"), link("/d/logs/logs")]).to_string();
        let made = without_links_to_logs(leading.as_bytes());
        assert_eq!(serde_json::from_slice::<Value>(&made).unwrap(), with(&[]));
        for untouched in [&b"no JSON"[..], b"{ \"links\": [ ] }"] {
            assert_eq!(without_links_to_logs(untouched), untouched);
        }
    }

    /// Elsewhere the dashboards of this repository would lead to it, and the test above would hold of nothing.
    #[test]
    fn ours_lead_to_logs_from_where_requests_fail() {
        let ours = include_str!("../../../../monitoring/grafana/dashboards/app-overview.json");
        assert!(ours.contains("\"/d/logs?"), "no panel leads to them");
        let made = String::from_utf8(without_links_to_logs(ours.as_bytes())).unwrap();
        assert!(!made.contains("/d/logs") && made.contains("\"/d/slo\""));
    }
}

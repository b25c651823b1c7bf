//! What a Grafana is given that is older than the dashboards' form: before 8.3 a datasource is a text there, no object.

use serde_json::Value;

/// A dashboard whose datasources are named by their uid alone; as it is where it is no JSON.
pub fn with_datasources_by_uid(dashboard: &[u8]) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(dashboard) else { return dashboard.to_vec() };
    name(&mut value);
    value.to_string().into_bytes()
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
}

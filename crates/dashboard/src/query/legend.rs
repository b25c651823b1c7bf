//! The name that a series is shown under.

use std::collections::BTreeMap;

use super::PlannedQuery;

/// The name a series is shown under.
///
/// A template's `{{label}}` becomes the label's value, or nothing; no template gives the metric and its labels;
/// `__auto` what tells this series from the others of its query.
pub fn legend(query: &PlannedQuery, labels: &BTreeMap<String, String>, all: &[&BTreeMap<String, String>]) -> String {
    let template = query.legend.trim();
    let name = match template {
        "" => full_name(labels),
        "__auto" => auto_name(labels, all),
        _ => from_template(template, labels),
    };
    if name.is_empty() || name == "{}" { query.expr.clone() } else { name }
}

/// `{{label}}` filled in.
pub fn from_template(template: &str, labels: &BTreeMap<String, String>) -> String {
    let mut name = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((label, behind)) = after.split_once("}}") else { break };
        name.push_str(before);
        name.push_str(labels.get(label.trim()).map_or("", String::as_str));
        rest = behind;
    }
    name.push_str(rest);
    name
}

fn full_name(labels: &BTreeMap<String, String>) -> String {
    let metric = labels.get("__name__").map_or("", String::as_str);
    let pairs: Vec<String> =
        labels.iter().filter(|(key, _)| *key != "__name__").map(|(key, value)| format!("{key}={value:?}")).collect();
    if pairs.is_empty() && !metric.is_empty() { metric.to_owned() } else { format!("{metric}{{{}}}", pairs.join(", ")) }
}

fn auto_name(labels: &BTreeMap<String, String>, all: &[&BTreeMap<String, String>]) -> String {
    let differs = |key: &String| all.iter().any(|other| other.get(key) != labels.get(key));
    let telling: Vec<&String> = labels.keys().filter(|key| *key != "__name__" && differs(key)).collect();
    match telling.as_slice() {
        [key] => labels[*key].clone(),
        [] if all.len() == 1 => full_name(labels),
        keys => {
            let pairs: Vec<String> = keys.iter().map(|key| format!("{key}={:?}", labels[*key])).collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::QueryKind;

    #[test]
    fn a_legend_takes_its_labels_in() {
        let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let one = labels(&[("__name__", "up"), ("job", "app"), ("instance", "a:1")]);
        let two = labels(&[("__name__", "up"), ("job", "app"), ("instance", "b:1")]);
        let named = |template: &str, labels: &BTreeMap<String, String>, all: &[&BTreeMap<String, String>]| {
            let query = PlannedQuery {
                panel: 1,
                ref_id: "A".to_owned(),
                expr: "sum(up)".to_owned(),
                kind: QueryKind::Instant { time_millis: 0 },
                legend: template.to_owned(),
                path_and_query: String::new(),
            };
            legend(&query, labels, all)
        };
        assert_eq!(named("{{job}} on {{ instance }}{{gone}}", &one, &[&one, &two]), "app on a:1");
        assert_eq!(named("{{job", &one, &[&one]), "{{job");
        assert_eq!(named("fixed", &one, &[&one]), "fixed");
        assert_eq!(named("", &one, &[&one]), "up{instance=\"a:1\", job=\"app\"}");
        assert_eq!(named("__auto", &one, &[&one, &two]), "a:1");
        assert_eq!(named("__auto", &labels(&[]), &[&labels(&[])]), "sum(up)");
        assert_eq!(named("", &labels(&[]), &[&labels(&[])]), "sum(up)");
    }
}

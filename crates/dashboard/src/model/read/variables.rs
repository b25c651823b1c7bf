//! A variable: where its values come from, and what is chosen of them by default.

use super::super::fields::{At, Map, Reader};
use super::super::{ALL, Variable, VariableKind};
use crate::model::pattern::expression;
use aiclipx_model::monitoring::datasources::Source;

pub(super) fn read(reader: &Reader<'_>, at: &At<'_>) -> Option<Variable> {
    let map = at.map();
    let name = map.at("name").text();
    if name.is_empty() {
        return None;
    }
    let map = map.called(format!("templating.{name}"));
    let told = map.at("type").as_text().unwrap_or("query");
    let kind = match told {
        "query" => asked(reader, &map),
        "interval" => VariableKind::Interval(intervals(&query_of(&map))),
        "custom" => VariableKind::Listed(listed(&query_of(&map))),
        "constant" => VariableKind::Constant(query_of(&map)),
        "textbox" => VariableKind::Text,
        "datasource" => VariableKind::Datasource(query_of(&map)),
        "adhoc" => VariableKind::Filters(map.at("filters").items().iter().filter_map(filter).collect()),
        other => VariableKind::Other(other.to_owned()),
    };
    if let VariableKind::Other(kind) = &kind {
        map.at("type").note(&format!("its values come from `{kind}`, which is not asked here"));
    }
    let variable = chosen(&map, name, kind);
    if !variable.regex.is_empty() && !variable.kind.is_fixed() && expression(&variable.regex).is_none() {
        map.at("regex").note("an expression that is not matched here: all values can be chosen, whole");
    }
    map.only(
        "label query definition current allValue includeAll multi hide refresh sort options datasource regex regexApplyTo \
         skipUrlSync description auto auto_min auto_count allowCustomValue filters baseFilters defaultKeys tags tagsQuery \
         tagValuesQuery useTags queryValue error id state index global rootStateKey skipUrlSync applyMode staticOptions \
         staticOptionsOrder valuesFormat",
    );
    Some(variable)
}

/// A variable's query, which is a text or has one.
fn query_of(map: &Map<'_>) -> String {
    let query = map.at("query");
    if query.is_map() {
        return query.map().at("query").as_text().unwrap_or_default().to_owned();
    }
    query.as_text().map_or_else(|| query.as_number().map(|one| one.to_string()).unwrap_or_default(), str::to_owned)
}

fn asked(reader: &Reader<'_>, map: &Map<'_>) -> VariableKind {
    match map.node().and_then(|node| reader.sources.named(node)) {
        None | Some(Source::Prometheus(_)) => {}
        Some(Source::Logs(_)) => return VariableKind::Other("loki".to_owned()),
        Some(Source::Other(kind)) => return VariableKind::Other(kind),
        Some(Source::Mixed | Source::Panel) => return VariableKind::Other("-- Mixed --".to_owned()),
    }
    let query = query_of(map);
    let query = query.trim();
    let call = |name: &str| query.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')').map(str::trim);
    if let Some(inner) = call("label_values") {
        let (metric, label) = inner.rsplit_once(',').map_or((None, inner), |(metric, label)| (Some(metric), label));
        let metric = metric.map(|one| one.trim().to_owned()).filter(|one| !one.is_empty());
        return VariableKind::LabelValues { metric, label: label.trim().to_owned() };
    }
    if let Some(inner) = call("label_names") {
        return VariableKind::LabelNames(Some(inner.to_owned()).filter(|inner| !inner.is_empty()));
    }
    if let Some(inner) = call("metrics") {
        return VariableKind::Metrics(inner.to_owned());
    }
    if let Some(inner) = call("query_result") {
        return VariableKind::QueryResult(inner.to_owned());
    }
    VariableKind::Series(query.to_owned())
}

/// `1m,10m,1h`, each perhaps in quotes.
fn intervals(query: &str) -> Vec<String> {
    let one = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    query.split(',').map(one).filter(|one| !one.is_empty()).collect()
}

/// `a, b, shown : c`; a comma behind a backslash is part of a value.
fn listed(query: &str) -> Vec<(String, String)> {
    let mut parts: Vec<String> = Vec::new();
    for piece in query.split(',') {
        match parts.last_mut().filter(|last| last.ends_with('\\')) {
            Some(last) => {
                last.pop();
                *last += ",";
                *last += piece;
            }
            None => parts.push(piece.to_owned()),
        }
    }
    let pair = |part: &String| match part.split_once(" : ") {
        Some((text, value)) => (text.trim().to_owned(), value.trim().to_owned()),
        None => (part.trim().to_owned(), part.trim().to_owned()),
    };
    parts.iter().map(pair).filter(|(_, value)| !value.is_empty()).collect()
}

fn filter(at: &At<'_>) -> Option<(String, String, String)> {
    let map = at.map();
    let text = |key| map.at(key).as_text().unwrap_or_default().to_owned();
    let operator = text("operator");
    if ["=", "!=", "=~", "!~"].contains(&operator.as_str()) {
        return Some((text("key"), operator, text("value")));
    }
    map.at("operator").note(&format!("the condition `{operator}` is not asked here"));
    None
}

/// A variable and what is chosen of it by default.
fn chosen(map: &Map<'_>, name: String, kind: VariableKind) -> Variable {
    let include_all = map.at("includeAll").as_flag() == Some(true);
    let multi = map.at("multi").as_flag() == Some(true);
    let current = map.at("current");
    let value = if current.is_map() { current.map().at("value") } else { map.at("current").called("current.value") };
    let plain = |at: &At<'_>| at.as_text().map(str::to_owned).or_else(|| at.as_number().map(|one| one.to_string()));
    let current: Vec<String> = if value.is_list() {
        value.items().iter().filter_map(plain).collect()
    } else {
        plain(&value).into_iter().collect()
    };
    let is_all = |one: &String| one == "All" && include_all || one == ALL;
    let current = if current.iter().any(is_all) || current.is_empty() && include_all {
        vec![ALL.to_owned()]
    } else if matches!(kind, VariableKind::Constant(_))
        || current.iter().all(String::is_empty) && kind != VariableKind::Text
    {
        kind.listed().into_iter().take(1).collect()
    } else {
        current
    };
    let count = map.at("auto_count").as_number().filter(|count| *count >= 1.0).unwrap_or(30.0);
    // A count of steps: small.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let auto = (
        map.at("auto_count").as_number().unwrap_or(count) as u32,
        map.at("auto_min").as_text().unwrap_or("10s").to_owned(),
    );
    Variable {
        label: map.at("label").as_text().filter(|label| !label.is_empty()).unwrap_or(&name).to_owned(),
        name,
        current,
        all_value: map.at("allValue").as_text().filter(|value| !value.is_empty()).map(str::to_owned),
        include_all,
        multi,
        auto: (map.at("auto").as_flag() == Some(true)).then_some(auto),
        hidden: map.at("hide").as_number() == Some(2.0),
        regex: map.at("regex").as_text().unwrap_or_default().to_owned(),
        // Grafana has eight orders.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        sort: map.at("sort").as_number().unwrap_or(0.0).clamp(0.0, 8.0) as u32,
        kind,
    }
}

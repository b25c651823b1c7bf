//! What can be chosen of a variable: of what Prometheus answered, as Grafana takes it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Variable, expression};
use regex::Captures;

/// The values there are to choose, each once, in the variable's order: those of the file, or what was found, of which the
/// variable's expression takes a part.
pub fn possible(variable: &Variable, found: Vec<String>) -> Vec<String> {
    if variable.kind.is_fixed() {
        let mut listed = variable.kind.listed();
        if variable.auto.is_some() {
            listed.insert(0, format!("$__auto_interval_{}", variable.name));
        }
        return listed;
    }
    let mut values: Vec<String> = match expression(&variable.regex) {
        Some(expression) if !variable.regex.is_empty() => {
            let taken = |value: String| expression.captures(&value).map(|captures| taken(&captures, &value));
            found.into_iter().filter_map(taken).collect()
        }
        _ => found,
    };
    let mut seen = BTreeSet::new();
    values.retain(|value| seen.insert(value.clone()));
    let by: fn(&String, &String) -> Ordering = match variable.sort.div_ceil(2) {
        1 => |one, other| one.cmp(other),
        2 | 4 => |one, other| number(one).total_cmp(&number(other)).then_with(|| one.cmp(other)),
        3 => |one, other| one.to_lowercase().cmp(&other.to_lowercase()),
        _ => return values,
    };
    values.sort_by(by);
    if variable.sort.is_multiple_of(2) {
        values.reverse();
    }
    values
}

/// The group `value`, else the first, else the whole value.
fn taken(captures: &Captures<'_>, whole: &str) -> String {
    let found = captures.name("value").or_else(|| captures.get(1));
    found.map_or(whole, |one| one.as_str()).to_owned()
}

/// The first number in a text, by which Grafana puts it in order.
fn number(text: &str) -> f64 {
    let from = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
    let digits = &text[from..];
    let length = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
    digits[..length].parse().unwrap_or(-1.0)
}

/// The text that a series is for a variable, whose expression takes a part of it: `up{instance="a:1"}`; of an answer with the time
/// in seconds and the value, which stand behind.
pub fn series_text(labels: &BTreeMap<String, String>, last: Option<(f64, f64)>) -> String {
    let name = labels.get("__name__").map_or("", String::as_str);
    let pairs: Vec<String> =
        labels.iter().filter(|(key, _)| *key != "__name__").map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    let text = format!("{name}{{{}}}", pairs.join(","));
    last.map_or_else(|| text.clone(), |(seconds, value)| format!("{text} {value} {}", (seconds * 1000.0).round()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::VariableKind;

    fn of(regex: &str, sort: u32, found: &[&str]) -> Vec<String> {
        let variable = Variable {
            name: "a".to_owned(),
            label: "a".to_owned(),
            kind: VariableKind::Series("up".to_owned()),
            current: Vec::new(),
            all_value: None,
            include_all: false,
            multi: false,
            auto: None,
            hidden: false,
            regex: regex.to_owned(),
            sort,
        };
        possible(&variable, found.iter().map(|one| (*one).to_owned()).collect())
    }

    #[test]
    fn of_what_was_found_the_expression_takes_a_part() {
        let found = ["up{instance=\"b:2\"}", "up{instance=\"a:1\"}", "down{}", "up{instance=\"a:1\",x=\"y\"}"];
        assert_eq!(of("/instance=\"([^\"]*)\"/", 0, &found), ["b:2", "a:1"]);
        assert_eq!(of(".*instance=\"(?<text>[^:]*):(?<value>[^\",]*)\".*", 0, &found), ["2", "1"]);
        assert_eq!(of("instance=\"([^\"]*)\"", 0, &found), [] as [&str; 0], "without slashes it is of the whole");
        assert_eq!(of("/^DOWN{/i", 0, &found), ["down{}"]);
        assert_eq!(of("(?!up).*", 0, &found).len(), 4, "what can't be told takes nothing away");
    }

    #[test]
    fn values_stand_in_the_variable_s_order() {
        let found = ["b10", "B2", "a9"];
        for (sort, wanted) in [
            (0, ["b10", "B2", "a9"]),
            (1, ["B2", "a9", "b10"]),
            (2, ["b10", "a9", "B2"]),
            (3, ["B2", "a9", "b10"]),
            (4, ["b10", "a9", "B2"]),
            (5, ["a9", "b10", "B2"]),
            (6, ["B2", "b10", "a9"]),
        ] {
            assert_eq!(of("", sort, &found), wanted, "{sort}");
        }
    }
}

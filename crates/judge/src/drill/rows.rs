//! The rows of the matrix: every alerting rule is one, and an alert that only tests name is one, too.
//!
//! Several rules may share a name (one for each severity, one for each file). What is seen of an alert counts for the rule that gave
//! it and for no other: the labels that rules set tell them apart. Where those don't, nothing is shown of any of them.

use std::collections::{BTreeMap, BTreeSet};

use aiclipx_model::drill::reading::{Texts, in_words};
use aiclipx_model::drill::rules::Rule;
use aiclipx_model::monitoring::promql;

/// A row.
#[derive(Debug, Clone)]
pub struct Row {
    /// The alert's name, and what sets the rule apart where several have that: unique.
    pub name: String,
    pub alert: String,
    /// None of an alert that only a test names.
    pub rule: Option<Rule>,
}

/// Whose an alert is.
#[derive(Debug, PartialEq, Eq)]
pub enum Whose {
    Own,
    Another,
    /// That of one of these rules, and nothing says of which.
    Unknown(String),
}

/// The rows of alerts, by name.
pub fn of(alerts: &BTreeMap<String, Vec<Rule>>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (alert, rules) in alerts {
        let apart = set_apart(rules);
        let name = |rule: &Rule| {
            let own = labels(rule, &apart);
            let is_alone = rules.iter().filter(|other| labels(other, &apart) == own).count() == 1;
            match rules.len() {
                1 => alert.clone(),
                _ if is_alone => format!("{alert}{}", in_words(&own)),
                _ => format!("{alert} ({})", rule.place()),
            }
        };
        rows.extend(rules.iter().map(|rule| Row { name: name(rule), alert: alert.clone(), rule: Some(rule.clone()) }));
        if rules.is_empty() {
            rows.push(Row { name: alert.clone(), alert: alert.clone(), rule: None });
        }
    }
    rows
}

/// The names of labels in which rules differ; what a template makes of one is known of no rule.
fn set_apart(rules: &[Rule]) -> BTreeSet<&String> {
    let names = rules.iter().flat_map(|rule| rule.labels.keys());
    names.filter(|name| rules.iter().any(|rule| rule.labels.get(*name) != rules[0].labels.get(*name))).collect()
}

fn labels(rule: &Rule, names: &BTreeSet<&String>) -> Texts {
    rule.labels.iter().filter(|(name, _)| names.contains(name)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// Whether a rule may give an alert of these labels: it has those that the rule sets.
fn gives(rule: &Rule, alert: &Texts) -> bool {
    let has = |name: &String, value: &String| alert.get(name).map_or("", String::as_str) == value;
    rule.labels.iter().all(|(name, value)| value.contains("{{") || has(name, value))
}

impl Row {
    fn is(&self, rule: &Rule) -> bool {
        self.rule.as_ref().is_some_and(|own| (&own.file, own.line) == (&rule.file, rule.line))
    }

    /// Whether its rule asks for no series: then it fires always, and never ends.
    pub fn fires_always(&self) -> bool {
        let expr = self.rule.as_ref().and_then(|rule| rule.tree().ok());
        expr.is_some_and(|expr| promql::selectors(&expr).is_empty())
    }

    /// Whether a test that has these rules can say something of it.
    pub fn is_among(&self, rules: &[Rule]) -> bool {
        self.rule.is_none() || rules.iter().any(|rule| self.is(rule))
    }

    /// Whether an alert of this row may have these labels among its own.
    pub fn may_have(&self, labels: &Texts) -> bool {
        self.rule.as_ref().is_none_or(|rule| rule.may_give(labels))
    }

    /// Whose an alert of its name is that has these labels, where these rules are evaluated.
    pub fn whose(&self, rules: &[Rule], alert: &Texts) -> Whose {
        let namesakes: Vec<&Rule> =
            rules.iter().filter(|rule| rule.alert.is_some() && rule.name == self.alert).collect();
        let may_be: Vec<&&Rule> = namesakes.iter().filter(|rule| gives(rule, alert)).collect();
        match &may_be[..] {
            // What none of them can give is wrong of each.
            [] => Whose::Own,
            _ if namesakes.len() == 1 => Whose::Own,
            [one] if self.is(one) => Whose::Own,
            all if all.iter().any(|one| self.is(one)) => {
                let places: Vec<String> = all.iter().map(|rule| rule.place()).collect();
                Whose::Unknown(format!("{} may be that of {}", in_words(alert), places.join(" or ")))
            }
            _ => Whose::Another,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use aiclipx_model::drill::rules;

    fn rules(file: &str, all: &[&str]) -> Vec<Rule> {
        let text = format!("groups: [{{name: g, rules: [{}]}}]", all.join(","));
        // Each in a line of its own, as lines are what sets them apart.
        rules::read(Path::new(file), text.replace("},{", "},\n{").as_bytes()).unwrap()
    }

    fn rows(rules: &[Rule]) -> Vec<Row> {
        of(&BTreeMap::from([("A".to_owned(), rules.to_vec())]))
    }

    fn names(rows: &[Row]) -> Vec<&str> {
        rows.iter().map(|row| row.name.as_str()).collect()
    }

    fn labels(pairs: &[(&str, &str)]) -> Texts {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn each_rule_is_a_row_and_is_called_by_what_sets_it_apart() {
        let one = rules("a.yml", &["{alert: A, expr: x, labels: {severity: page}}"]);
        assert_eq!(names(&rows(&one)), ["A"]);
        let two = [
            "{alert: A, expr: x, labels: {severity: page, team: t}}",
            "{alert: A, expr: y, labels: {severity: warn, team: t}}",
        ];
        assert_eq!(names(&rows(&rules("a.yml", &two))), [r#"A{severity="page"}"#, r#"A{severity="warn"}"#]);
        let alike = [one.clone(), rules("b.yml", &["{alert: A, expr: y, labels: {severity: page}}"])].concat();
        assert_eq!(names(&rows(&alike)), ["A (a.yml:1)", "A (b.yml:1)"]);
        assert_eq!(names(&rows(&[])), ["A"]);
    }

    #[test]
    fn what_is_seen_counts_for_the_rule_that_gave_it() {
        let two = rules(
            "a.yml",
            &[
                "{alert: A, expr: x, labels: {severity: page, n: '{{ $value }}'}}",
                "{alert: A, expr: y, labels: {severity: warn}}",
            ],
        );
        let all = rows(&two);
        let whose = |alert: &Texts| [all[0].whose(&two, alert), all[1].whose(&two, alert)];
        assert_eq!(whose(&labels(&[("severity", "page"), ("n", "5")])), [Whose::Own, Whose::Another]);
        assert_eq!(whose(&labels(&[("severity", "warn")])), [Whose::Another, Whose::Own]);
        assert_eq!(whose(&labels(&[("severity", "none")])), [Whose::Own, Whose::Own]);
        // Only one of them is evaluated.
        assert!(all[0].is_among(&two[..1]) && !all[1].is_among(&two[..1]));
        assert_eq!(all[0].whose(&two[..1], &labels(&[("severity", "warn")])), Whose::Own);
    }

    #[test]
    fn what_no_label_tells_apart_is_of_neither() {
        let two = rules("a.yml", &["{alert: A, expr: x}", "{alert: A, expr: y}"]);
        for row in rows(&two) {
            let whose = row.whose(&two, &labels(&[("job", "a")]));
            assert!(
                matches!(&whose, Whose::Unknown(why) if why.contains("a.yml:1") && why.contains("a.yml:2")),
                "{whose:?}"
            );
        }
    }
}

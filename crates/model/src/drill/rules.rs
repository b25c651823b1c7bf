//! Anybody's rules: the groups of a rule file, and all rules of a test in the order in which promtool evaluates them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use promql_parser::parser::{Expr, VectorSelector};

use super::reading::{Reading, Texts, text_of};
use crate::failure::Finding;
use crate::monitoring::located::Node;
use crate::monitoring::promql;

/// A rule as its file has it.
#[derive(Debug, Clone)]
pub struct Rule {
    pub file: PathBuf,
    pub line: usize,
    pub group: String,
    /// With more than so many alerts, or series, it gives none; 0 where there is no limit.
    pub limit: u64,
    /// The alert's name, or that of the series that it records.
    pub name: String,
    pub expr: String,
    pub labels: Texts,
    /// What an alert has more; none of a recording rule.
    pub alert: Option<Alerting>,
}

/// What an alert has more than a recording rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerting {
    /// How long the expression must hold.
    pub hold: Duration,
    pub keep_firing_for: Duration,
    pub annotations: Texts,
}

impl Rule {
    /// `rules.yml:3`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.line)
    }

    /// Whether an alert of it may have these labels among its own: those that it sets are as it sets them.
    pub fn may_give(&self, labels: &Texts) -> bool {
        let may =
            |name: &String, value: &String| self.labels.get(name).is_none_or(|own| own == value || own.contains("{{"));
        labels.iter().all(|(name, value)| may(name, value))
    }

    /// The names of the series that it gives.
    fn gives(&self) -> Vec<&str> {
        if self.alert.is_some() { vec!["ALERTS", "ALERTS_FOR_STATE"] } else { vec![&self.name] }
    }

    /// Its expression as a tree; an error is told with file and line.
    pub fn tree(&self) -> Result<Expr, String> {
        promql::parse(&self.expr).map_err(|why| format!("{}: {why}", self.place()))
    }
}

/// The rules of a file, group by group; of Kubernetes' `PrometheusRule` those of its `spec`.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Vec<Rule>, Vec<Finding>> {
    let (mut reading, document) = Reading::of_texts(path, bytes);
    let read = document.map(|document| {
        let groups = document.items_of("groups");
        let groups = if groups.is_empty() {
            document.get("spec").map_or(&[][..], |spec| spec.items_of("groups"))
        } else {
            groups
        };
        let mut rules = Vec::new();
        for group in groups {
            // Prometheus 3 has labels of a group; a rule's own win.
            let of_group = reading.texts(group, "labels");
            let name = text_of(group, "name").unwrap_or_default();
            let limit = reading.count(group, "limit");
            let of_group = Group { name, limit, labels: of_group };
            rules.extend(group.items_of("rules").iter().filter_map(|one| rule(&mut reading, &of_group, one)));
        }
        rules
    });
    reading.done(read)
}

/// Whether a document holds rules.
pub fn holds_rules(document: &Node) -> bool {
    let has = |node: &Node| node.get("groups").is_some();
    has(document) || document.get("spec").is_some_and(has)
}

/// What a group gives its rules.
struct Group {
    name: String,
    limit: u64,
    labels: Texts,
}

fn rule(reading: &mut Reading, group: &Group, node: &Node) -> Option<Rule> {
    let (record, alert) = (text_of(node, "record"), text_of(node, "alert"));
    let (Some(name), expr) = (record.clone().or(alert.clone()), text_of(node, "expr").unwrap_or_default()) else {
        reading.find(node.line, "a rule has either `record` or `alert`");
        return None;
    };
    let mut labels = group.labels.clone();
    labels.extend(reading.texts(node, "labels"));
    let alert = alert.map(|_| Alerting {
        hold: reading.duration(node, "for").unwrap_or_default(),
        keep_firing_for: reading.duration(node, "keep_firing_for").unwrap_or_default(),
        annotations: reading.texts(node, "annotations"),
    });
    let (file, limit, group) = (reading.file.to_owned(), group.limit, group.name.clone());
    Some(Rule { file, line: node.line, group, limit, name, expr, labels, alert })
}

/// Rules in the order in which promtool evaluates their groups: those that a test file orders by that order, the others before
/// them, as the files have them.
pub fn in_order(mut rules: Vec<Rule>, group_order: &[String]) -> Vec<Rule> {
    let place = |rule: &Rule| group_order.iter().position(|name| *name == rule.group);
    rules.sort_by_key(|rule| place(rule).map_or(0, |place| place + usize::from(!group_order.is_empty())));
    rules
}

/// The rules on which alerts of these names depend: their own, and all whose results those ask for.
pub fn deciding<'a>(rules: &'a [Rule], alerts: &BTreeSet<&str>) -> Vec<&'a Rule> {
    let mut decide: Vec<bool> =
        rules.iter().map(|rule| rule.alert.is_some() && alerts.contains(rule.name.as_str())).collect();
    let mut ahead: Vec<usize> = (0..rules.len()).filter(|index| decide[*index]).collect();
    while let Some(index) = ahead.pop() {
        let Ok(tree) = rules[index].tree() else { continue };
        let selectors = promql::selectors(&tree);
        for (other, rule) in rules.iter().enumerate().filter(|(other, _)| !decide[*other]).collect::<Vec<_>>() {
            let is_asked_for =
                |selector: &&VectorSelector| rule.gives().iter().any(|name| promql::gives(selector, name));
            if selectors.iter().any(is_asked_for) {
                decide[other] = true;
                ahead.push(other);
            }
        }
    }
    rules.iter().zip(decide).filter(|(_, decides)| *decides).map(|(rule, _)| rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_with_what_their_group_gives_them_and_ordered_as_asked() {
        let text = "\
groups:
  - name: a
    labels: {team: x, severity: page}
    rules:
      - {alert: Down, expr: up == 0, for: 5m, keep_firing_for: 1m, labels: {severity: warn}, annotations: {summary: it}}
  - name: b
    rules:
      - {record: 'a:b', expr: 1}
";
        let rules = read(Path::new("r.yml"), text.as_bytes()).unwrap();
        let labels: Vec<_> = rules[0].labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(labels, ["severity=warn", "team=x"]);
        assert_eq!(rules[0].alert.as_ref().unwrap().hold, Duration::from_mins(5));
        assert_eq!((rules[1].expr.as_str(), rules[1].line, rules[1].alert.is_none()), ("1", 8, true));
        let names = |rules: Vec<Rule>| rules.into_iter().map(|rule| rule.name).collect::<Vec<_>>();
        assert_eq!(names(in_order(rules.clone(), &[])), ["Down", "a:b"]);
        assert_eq!(names(in_order(rules, &["b".to_owned(), "a".to_owned()])), ["a:b", "Down"]);
    }

    #[test]
    fn the_rules_of_a_kubernetes_object_are_those_of_its_spec() {
        let text = "kind: PrometheusRule\nspec:\n  groups:\n    - name: a\n      rules: [{alert: A, expr: up == 0}]\n";
        assert_eq!(read(Path::new("r.yml"), text.as_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn what_prometheus_takes_as_a_text_is_the_text_that_was_written() {
        let scalars = [
            ("yes", "yes"),
            ("no", "no"),
            ("1.10", "1.10"),
            ("0x1F", "0x1F"),
            ("1e3", "1e3"),
            ("True", "True"),
            ("~", ""),
            ("null", ""),
            (".inf", ".inf"),
            ("-.Inf", "-.Inf"),
            (".nan", ".nan"),
            ("1_000", "1_000"),
            ("017", "017"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("2024-01-01", "2024-01-01"),
            ("1e999", "1e999"),
            ("+5", "+5"),
            ("'1.10'", "1.10"),
            ("!!str 010", "010"),
        ];
        for (written, meant) in scalars {
            let text = format!(
                "groups:\n- name: off\n  rules:\n  - alert: Off\n    expr: 1\n    labels: {{a: {written}, b: &x {written}, c: *x}}\n    annotations: {{t: {written}}}\n"
            );
            let rules = read(Path::new("r.yml"), text.as_bytes()).unwrap();
            let rule = &rules[0];
            assert_eq!((rule.name.as_str(), rule.group.as_str(), rule.expr.as_str()), ("Off", "off", "1"));
            let annotation = &rule.alert.as_ref().unwrap().annotations["t"];
            assert_eq!([&rule.labels["a"], &rule.labels["b"], &rule.labels["c"], annotation], [meant; 4], "{written}");
        }
    }

    #[test]
    fn what_is_no_rule_is_told_with_its_line() {
        let findings = read(Path::new("r.yml"), b"groups:\n  - rules:\n      - expr: up\n").unwrap_err();
        assert_eq!((findings[0].line, findings.len()), (3, 1));
    }
}

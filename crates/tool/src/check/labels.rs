//! Which labels a value has, and which values a label: a matcher that asks for others matches nothing, without an error.

use std::collections::BTreeSet;
use std::path::Path;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token::{T_BOTTOMK, T_COUNT_VALUES, T_LAND, T_LOR, T_LUNLESS, T_TOPK};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{BinaryExpr, Expr, LabelModifier, VectorMatchCardinality, VectorSelector};

use super::finding::Findings;
use super::known::{self, Known};
use super::tree::{DashboardFile, Tree, file_of, panel_name};
use aiclipx_app::endpoint::{Endpoint, Verb};
use aiclipx_app::metrics::LATENCY_BUCKETS;
use aiclipx_model::monitoring::located::{Node, Value};
use aiclipx_model::monitoring::{ALERTMANAGER, Monitoring, PROMETHEUS, UNKNOWN, promql, without_variables};
use aiclipx_model::service::Metric;

/// Through how many recorded names labels are followed, so that a circle of them ends.
const DEEPEST: usize = 8;

pub(super) fn check(tree: &Tree, known: &Known, findings: &mut Findings) {
    let world = World { monitoring: &tree.monitoring, known };
    annotations(&tree.monitoring, known, findings);
    for dashboard in &tree.dashboards {
        for panel in dashboard.panels() {
            for target in panel.items_of("targets") {
                let expr = without_variables(target.text_of("expr").unwrap_or_default());
                let Some(labels) = promql::parse(&expr).ok().and_then(|expr| world.of(&expr, 0)) else { continue };
                let legend = target.text_of("legendFormat").unwrap_or_default();
                let asked = legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()).map(str::trim);
                for asked in asked.filter(|asked| !labels.contains(*asked)) {
                    let what = format!("the legend asks for the label `{asked}`, which the query's value has not");
                    findings.about(
                        "panel/legend",
                        &panel_name(dashboard, panel),
                        &dashboard.file,
                        target.line_of("legendFormat"),
                        what,
                        has(&labels),
                    );
                }
            }
        }
    }
    groups(&world, findings);
}

/// What a text asks for by itself; behind `if` and `with` it may be missing.
pub(super) fn annotations(monitoring: &Monitoring, known: &Known, findings: &mut Findings) {
    let world = World { monitoring, known };
    for alert in monitoring.alerts() {
        let Some(labels) = promql::parse(&alert.expr).ok().and_then(|expr| world.of(&expr, 0)) else { continue };
        for (key, text) in &alert.annotations {
            let may_lack =
                |asked: &str| ["if", "with"].iter().any(|word| text.contains(&format!("{word} $labels.{asked}")));
            for asked in named(text, "$labels.").filter(|asked| !labels.contains(*asked) && !may_lack(asked)) {
                let what = format!("the {key} of {} asks for the label `{asked}`, which its value has not", alert.name);
                findings.at("alert/annotation", alert, what, has(&labels));
            }
        }
    }
}

fn has(labels: &BTreeSet<String>) -> String {
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    format!("it has {}", if labels.is_empty() { "none".to_owned() } else { labels.join(", ") })
}

/// Every name that stands right behind this text.
fn named<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(before).skip(1).map(move |rest| &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())])
}

/// Alerts are grouped, and by labels that some alert has.
fn groups(world: &World, findings: &mut Findings) {
    fn look(route: &Node, known: &BTreeSet<String>, is_known: bool, findings: &mut Findings) {
        let file = || file_of(ALERTMANAGER);
        if let Some(by) = route.get("group_by") {
            let labels: Vec<&str> = by.items().iter().filter_map(Node::as_text).collect();
            for label in labels.into_iter().filter(|label| is_known && *label != "..." && !known.contains(*label)) {
                let what = format!("grouped by `{label}`, which no alert has");
                findings.find("route/group", file(), route.line_of("group_by"), what, has(known));
            }
        }
        route.items_of("routes").iter().for_each(|child| look(child, known, is_known, findings));
    }
    let mut labels: BTreeSet<String> = BTreeSet::from(["alertname".to_owned()]);
    let document = world.monitoring.document(Path::new(PROMETHEUS));
    let external = document.and_then(|document| document.get("global")?.get("external_labels"));
    labels.extend(external.map_or(&[][..], Node::entries).iter().map(|entry| entry.key.clone()));
    let mut all_known = true;
    for alert in world.monitoring.alerts() {
        labels.extend(alert.labels.keys().cloned());
        match promql::parse(&alert.expr).ok().and_then(|expr| world.of(&expr, 0)) {
            Some(own) => labels.extend(own),
            None => all_known = false,
        }
    }
    let Some(route) = world.monitoring.document(Path::new(ALERTMANAGER)).and_then(|document| document.get("route"))
    else {
        return;
    };
    if route.get("group_by").is_none() {
        let file = file_of(ALERTMANAGER);
        findings.find(
            "route/group",
            file,
            route.line,
            "no `group_by`: all alerts are one group",
            "group_by: [alertname]",
        );
    }
    look(route, &labels, all_known, findings);
}

struct World<'a> {
    monitoring: &'a Monitoring,
    known: &'a Known,
}

impl World<'_> {
    /// The labels a value can have; none where that is not known.
    fn of(&self, expr: &Expr, depth: usize) -> Option<BTreeSet<String>> {
        let inner = |expr: &Expr| self.of(expr, depth);
        Some(match expr {
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => BTreeSet::new(),
            Expr::Paren(paren) => inner(&paren.expr)?,
            Expr::Unary(unary) => inner(&unary.expr)?,
            Expr::Subquery(subquery) => inner(&subquery.expr)?,
            Expr::VectorSelector(selector) => self.series(selector, depth)?,
            Expr::MatrixSelector(matrix) => self.series(&matrix.vs, depth)?,
            Expr::Aggregate(aggregate) if [T_TOPK, T_BOTTOMK].contains(&aggregate.op.id()) => inner(&aggregate.expr)?,
            Expr::Aggregate(aggregate) => match &aggregate.modifier {
                _ if aggregate.op.id() == T_COUNT_VALUES => return None,
                Some(LabelModifier::Include(labels)) if labels.labels.iter().any(|label| label.contains(UNKNOWN)) => {
                    return None;
                }
                Some(LabelModifier::Include(labels)) => labels.labels.iter().cloned().collect(),
                Some(LabelModifier::Exclude(labels)) => without(inner(&aggregate.expr)?, &labels.labels),
                None => BTreeSet::new(),
            },
            Expr::Call(call) => match call.func.name {
                "label_replace" | "label_join" => return None,
                "scalar" | "vector" | "time" => BTreeSet::new(),
                "absent" | "absent_over_time" => promql::selectors(expr)
                    .into_iter()
                    .flat_map(|selector| &selector.matchers.matchers)
                    .filter(|matcher| matcher.op == MatchOp::Equal)
                    .map(|matcher| matcher.name.clone())
                    .collect(),
                name => {
                    let args = || call.args.args.iter().map(AsRef::as_ref);
                    let is_series = |arg: &Expr| matches!(arg.value_type(), ValueType::Vector | ValueType::Matrix);
                    let labels = args().find(|arg| is_series(arg)).map_or(Some(BTreeSet::new()), inner)?;
                    let less: &[String] = if name == "histogram_quantile" { &["le".to_owned()] } else { &[] };
                    without(labels, less)
                }
            },
            Expr::Binary(binary) => self.binary(binary, depth)?,
            Expr::Extension(_) => return None,
        })
    }

    fn binary(&self, binary: &BinaryExpr, depth: usize) -> Option<BTreeSet<String>> {
        let of = |expr: &Expr| self.of(expr, depth);
        if binary.lhs.value_type() == ValueType::Scalar {
            return of(&binary.rhs);
        }
        if binary.rhs.value_type() == ValueType::Scalar || [T_LAND, T_LUNLESS].contains(&binary.op.id()) {
            return of(&binary.lhs);
        }
        let left = of(&binary.lhs)?;
        if binary.op.id() == T_LOR {
            return Some(left.into_iter().chain(of(&binary.rhs)?).collect());
        }
        let Some(modifier) = &binary.modifier else { return Some(left) };
        match (&modifier.card, &modifier.matching) {
            (VectorMatchCardinality::OneToOne, Some(LabelModifier::Include(labels)))
                if !labels.labels.iter().any(|label| label.contains(UNKNOWN)) =>
            {
                Some(labels.labels.iter().cloned().collect())
            }
            (VectorMatchCardinality::OneToOne, Some(LabelModifier::Exclude(labels))) => {
                Some(without(left, &labels.labels))
            }
            (VectorMatchCardinality::OneToOne, None) => Some(left),
            _ => None,
        }
    }

    fn series(&self, selector: &VectorSelector, depth: usize) -> Option<BTreeSet<String>> {
        let name = selector.name.as_deref()?;
        match self.monitoring.recording(name) {
            Some(rule) if depth < DEEPEST => {
                let labels = self.of(&promql::parse(&rule.expr).ok()?, depth + 1)?;
                Some(labels.into_iter().chain(rule.labels.keys().cloned()).collect())
            }
            Some(_) => None,
            None => self.known.get(name)?.clone(),
        }
    }
}

/// The labels that a recorded name's series can have, where they are known.
pub(super) fn recorded(monitoring: &Monitoring, known: &Known, name: &str) -> Option<BTreeSet<String>> {
    World { monitoring, known }.of(&promql::parse(name).ok()?, 0)
}

fn without(mut labels: BTreeSet<String>, less: &[String]) -> BTreeSet<String> {
    labels.retain(|label| !less.contains(label));
    labels
}

/// All values that a series' label can have, where they are known.
pub(super) fn values(monitoring: &Monitoring, series: Option<&str>, label: &str) -> Option<Vec<String>> {
    // What can be is known of our own service, whose code is at hand.
    let service = Some(monitoring.service()).filter(|service| service.is_ours());
    let metrics = service.map(|service| [&service.requests, &service.latency]);
    let own: Vec<&Metric> = metrics.into_iter().flatten().flatten().collect();
    let of_it = series.and_then(|series| own.iter().find(|metric| series.starts_with(&metric.name)));
    let is = |name: fn(&Metric) -> &Option<String>| of_it.is_some_and(|metric| name(metric).as_deref() == Some(label));
    let has_buckets =
        |metric: &&Metric| series.is_some_and(|series| series.contains(&format!("{}_bucket", metric.name)));
    Some(match label {
        "job" => {
            let document = monitoring.document(Path::new(PROMETHEUS))?;
            document
                .items_of("scrape_configs")
                .iter()
                .filter_map(|job| Some(job.text_of("job_name")?.to_owned()))
                .collect()
        }
        _ if is(|metric| &metric.code) => (100..600).map(|status: u16| status.to_string()).collect(),
        _ if is(|metric| &metric.route) => Endpoint::ALL.iter().map(|endpoint| endpoint.label().to_owned()).collect(),
        _ if is(|metric| &metric.method) => Verb::ALL.iter().map(|verb| verb.label().to_owned()).collect(),
        "le" if own.iter().any(has_buckets) => {
            let bounds = LATENCY_BUCKETS.iter().flat_map(|bound| [format!("{bound}"), format!("{bound:?}")]);
            bounds.chain(["+Inf".to_owned()]).collect()
        }
        "alertstate" => ["pending", "firing"].map(str::to_owned).into(),
        _ => return None,
    })
}

/// Whether a matcher takes none of these values.
pub(super) fn is_idle(matcher: &Matcher, values: &[String]) -> bool {
    // A series that lacks the label is asked for by one that takes nothing.
    let asks = matches!(matcher.op, MatchOp::Equal | MatchOp::Re(_)) && !matcher.is_match("");
    asks && !matcher.value.contains(UNKNOWN) && !values.iter().any(|value| matcher.is_match(value))
}

/// A dashboard's variables: each that its queries use is defined.
pub(super) fn variables(dashboard: &DashboardFile, findings: &mut Findings) {
    fn look(node: &Node, made: &BTreeSet<&str>, dashboard: &DashboardFile, findings: &mut Findings) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| look(item, made, dashboard, findings)),
            Value::Map(entries) => {
                for entry in entries {
                    if let ("expr", Some(text)) = (entry.key.as_str(), entry.node.as_text()) {
                        let plain = text.replace("${", "$");
                        let strange = named(&plain, "$").filter(|name| !name.is_empty() && !name.starts_with("__"));
                        let is_digit = |name: &str| name.starts_with(|c: char| c.is_ascii_digit());
                        // A group of a pattern is asked for in the same way.
                        let is_group = |name: &str| text.contains(&format!("<{name}>"));
                        for name in strange.filter(|name| !is_digit(name) && !is_group(name) && !made.contains(name)) {
                            let what = format!("`${name}` is no variable of this dashboard");
                            findings.find(
                                "dashboard/variable",
                                &dashboard.file,
                                entry.line,
                                what,
                                "Grafana would ask for it as it stands",
                            );
                        }
                    }
                    look(&entry.node, made, dashboard, findings);
                }
            }
            _ => {}
        }
    }
    let list = dashboard.node.get("templating").map_or(&[][..], |node| node.items_of("list"));
    let made = list.iter().filter_map(|variable| variable.text_of("name")).collect();
    look(&dashboard.node, &made, dashboard, findings);
}

/// The names that rules, panels and runbooks ask for, to compare with what a scrape keeps.
pub(super) fn asked(tree: &Tree) -> BTreeSet<String> {
    let parsed = known::expressions(tree).into_iter().filter_map(|(_, _, text)| promql::parse(&text).ok());
    let names =
        |expr: Expr| promql::selectors(&expr).into_iter().filter_map(|one| one.name.clone()).collect::<Vec<_>>();
    parsed.flat_map(names).collect()
}

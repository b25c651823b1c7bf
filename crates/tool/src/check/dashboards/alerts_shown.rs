//! The panel an alert leads to names it, links its runbook, and draws what it compares, with lines at the alerts' numbers.

use std::collections::BTreeSet;

use promql_parser::parser::Expr;

use super::super::alerts::{leads_somewhere, panel_of};
use super::super::finding::Findings;
use super::super::tree::{DashboardFile, Tree, panel_name};
use aiclipx_model::monitoring::located::Node;
use aiclipx_model::monitoring::promql::Bare;
use aiclipx_model::monitoring::{Monitoring, UNKNOWN, promql, without_variables};

/// A panel with the numbers at which the alerts that lead to it fire, and their names.
struct LedTo<'a> {
    dashboard: &'a DashboardFile,
    panel: &'a Node,
    numbers: Vec<(f64, &'a str)>,
}

/// The panel an alert leads to names it, links its runbook, and draws what it compares: the same expression, for a curve
/// like it crosses the line at other times. Its lines are the numbers of the alerts that lead to it, no more and no less.
pub(super) fn check(tree: &Tree, findings: &mut Findings) {
    let mut led_to: Vec<LedTo> = Vec::new();
    for alert in tree.monitoring.alerts() {
        let url = alert.annotations.get("dashboard_url").map_or("", String::as_str);
        if !leads_somewhere(url, tree) {
            findings.at(
                "alert/dashboard",
                alert,
                format!("the dashboard of {}, `{url}`, is not there", alert.name),
                "/d/<uid>, or with ?viewPanel=<id>",
            );
        }
        let Some((dashboard, panel)) = panel_of(alert, tree) else { continue };
        let name = panel_name(dashboard, panel);
        let runbook = alert.annotations.get("runbook_url").map_or("", String::as_str);
        let links = panel.items_of("links").iter().filter_map(|link| link.text_of("url"));
        let is_linked = links.map(|url| url.trim_start_matches('/')).any(|url| url == runbook);
        if !is_linked {
            let what = format!("{} leads to this panel, which does not lead to {runbook}", alert.name);
            findings.about(
                "panel/runbook",
                &name,
                &dashboard.file,
                panel.line_of("links"),
                what,
                "one of its `links`: /monitoring/runbooks/… (named in a sentence, it can't be followed)",
            );
        }
        let Ok(expr) = promql::parse(&alert.expr) else { continue };
        let drawn = Drawn::of(panel, &tree.monitoring);
        for comparison in promql::comparisons(&expr) {
            for missing in drawn.lacks(&comparison, &tree.monitoring) {
                let what = format!("{} leads to this panel, which does not draw `{missing}`", alert.name);
                let remedy = "the expression that the alert compares, and no other like it";
                findings.about("panel/drawn", &name, &dashboard.file, panel.line_of("targets"), what, remedy);
            }
            // A line at zero would colour zero itself.
            let Some(number) = comparison.number().filter(|number| *number != 0.0) else { continue };
            match led_to.iter_mut().find(|led| std::ptr::eq(led.panel, panel)) {
                Some(led) => led.numbers.push((number, &alert.name)),
                None => led_to.push(LedTo { dashboard, panel, numbers: vec![(number, &alert.name)] }),
            }
        }
    }
    for led in &led_to {
        lines(led, findings);
    }
}

/// A panel's lines against the alerts' numbers.
fn lines(LedTo { dashboard, panel, numbers }: &LedTo, findings: &mut Findings) {
    let name = panel_name(dashboard, panel);
    let config = panel.get("fieldConfig").and_then(|config| config.get("defaults")?.get("thresholds"));
    let steps = config.map_or(&[][..], |thresholds| thresholds.items_of("steps"));
    let lines: Vec<(f64, usize)> =
        steps.iter().filter_map(|step| Some((step.get("value")?.as_number()?, step.line_of("value")))).collect();
    let same = |one: f64, other: f64| one.total_cmp(&other).is_eq();
    for (number, alert) in numbers {
        if !lines.iter().any(|(line, _)| same(*line, *number)) {
            let line = config.map_or(panel.line, |node| node.line_of("steps"));
            findings.about(
                "panel/threshold",
                &name,
                &dashboard.file,
                line,
                format!("no line at {number}, where {alert} fires"),
                "",
            );
        }
    }
    for (line, at) in &lines {
        if !numbers.iter().any(|(number, _)| same(*line, *number)) {
            let alerts: Vec<String> =
                numbers.iter().map(|(number, alert)| format!("{alert} fires at {number}")).collect();
            let what = format!("a line at {line}, where no alert fires");
            findings.about("panel/threshold", &name, &dashboard.file, *at, what, alerts.join(", "));
        }
    }
}

/// What a panel's queries draw.
struct Drawn {
    /// Each query, the choices of variables left out.
    expressions: Vec<Bare>,
    /// What they come from.
    series: BTreeSet<String>,
}

impl Drawn {
    fn of(panel: &Node, monitoring: &Monitoring) -> Drawn {
        let mut drawn = Drawn { expressions: Vec::new(), series: BTreeSet::new() };
        for target in panel.items_of("targets") {
            let Ok(expr) = promql::parse(&without_variables(target.text_of("expr").unwrap_or_default())) else {
                continue;
            };
            drawn.expressions.push(Bare::of(&expr, UNKNOWN));
            // A filter leaves curves out, and moves none.
            if let Expr::Binary(binary) = &expr
                && binary.op.is_comparison_operator()
                && !binary.modifier.as_ref().is_some_and(|modifier| modifier.return_bool)
            {
                drawn.expressions.push(Bare::of(&binary.lhs, UNKNOWN));
            }
            sources(&expr, monitoring, &BTreeSet::new(), &mut drawn.series);
        }
        drawn
    }

    /// What of a comparison is not drawn. Where any at all is too much, or none, every rate of it shows that, and there is
    /// no line to cross: then some of what it comes from is enough.
    fn lacks(&self, comparison: &promql::Comparison, monitoring: &Monitoring) -> Vec<String> {
        if comparison.bound.is_none() || comparison.number() == Some(0.0) {
            let mut asked = BTreeSet::new();
            sources(comparison.value, monitoring, &BTreeSet::new(), &mut asked);
            let is_drawn = asked.is_empty() || asked.iter().any(|name| self.series.contains(name));
            return if is_drawn { Vec::new() } else { asked.into_iter().collect() };
        }
        let bound = comparison.bound.filter(|_| comparison.number().is_none());
        let both = [comparison.value].into_iter().chain(bound);
        let forms = both.map(|expr| Bare::of(expr, UNKNOWN));
        forms.filter(|form| !self.expressions.iter().any(|own| own.has(form))).map(|form| form.shown).collect()
    }
}

/// The series that an expression comes from in the end, recorded names followed.
fn sources(expr: &Expr, monitoring: &Monitoring, seen: &BTreeSet<&str>, found: &mut BTreeSet<String>) {
    for name in promql::selectors(expr).into_iter().filter_map(|selector| selector.name.as_deref()) {
        match monitoring.followed(name, seen) {
            Some((recorded, seen)) => sources(recorded, monitoring, &seen, found),
            None => drop(found.insert(name.to_owned())),
        }
    }
}

//! How recorded names read, who asks for them, and what is computed of them.

use std::path::Path;

use promql_parser::parser::{AggregateExpr, Expr, LabelModifier};

use super::finding::Findings;
use super::known;
use super::tree::{DASHBOARDS, Tree, file_of};
use aiclipx_model::monitoring::{Monitoring, Recording, promql};

/// Recorded names read `level:metric:operations`, somebody asks for them, and no ratio is averaged.
pub(super) fn check(tree: &Tree, findings: &mut Findings) {
    let asked = Asked::of(tree);
    for rule in tree.monitoring.recordings() {
        let mut find = |name, what: String, remedy: &str| {
            findings.about(name, &rule.name, &rule.file, rule.line, what, remedy);
        };
        let parts: Vec<&str> = rule.name.split(':').collect();
        if parts.len() != 3 || parts.iter().any(|part| part.is_empty()) || parts[1].ends_with("_total") {
            let what = format!("`{}` is not level:metric:operations", rule.name);
            find("recording/name", what, "as job:app_requests:rate5m, without _total");
        }
        if !asked.is_for(rule) {
            find("recording/unasked", format!("nobody asks for `{}`", rule.name), "remove it");
        }
    }
    for (expr, file, line) in rules(&tree.monitoring) {
        let Ok(parsed) = promql::parse(expr) else { continue };
        for node in promql::nodes(&parsed) {
            let mut find = |name, is: &str, remedy: &str| {
                findings.find(name, file, line, format!("`{}` {is}", promql::print(node)), remedy);
            };
            if is_mean_of_ratios(node) {
                find("recording/mean", "is a mean of ratios", "average both sides, then divide");
            }
            if matches!(node, Expr::Aggregate(aggregate) if !keeps_job(aggregate)) {
                find("recording/job", "does not aggregate by job", "several services would be one");
            }
            if is_rate_of_recorded(node, &tree.monitoring) {
                find("recording/rate", "is the rate of what is recorded", "rate first, then aggregate");
            }
        }
    }
}

/// The expression of every rule, and where it stands.
fn rules(monitoring: &Monitoring) -> impl Iterator<Item = (&str, &Path, usize)> {
    let alerts = monitoring.alerts().iter().map(|alert| (alert.expr.as_str(), alert.file.as_path(), alert.line));
    let recordings = monitoring.recordings().iter();
    alerts.chain(recordings.map(|rule| (rule.expr.as_str(), rule.file.as_path(), rule.line)))
}

/// Who asks for recorded names.
struct Asked<'a> {
    tree: &'a Tree,
    /// The queries of panels and annotations.
    panels: Vec<String>,
    /// Those that fill a variable.
    variables: Vec<&'a str>,
}

impl Asked<'_> {
    fn of(tree: &Tree) -> Asked<'_> {
        let folder = file_of(DASHBOARDS);
        let panels = known::expressions(tree).into_iter().filter(|(file, ..)| file.starts_with(&folder));
        let variables = tree.dashboards.iter().filter_map(|dashboard| dashboard.node.get("templating"));
        let variables = variables.flat_map(|all| all.items_of("list")).filter_map(|one| one.text_of("query"));
        Asked { tree, panels: panels.map(|(.., expr)| expr).collect(), variables: variables.collect() }
    }

    fn is_for(&self, rule: &Recording) -> bool {
        let asks = |text: &str| {
            let parsed = promql::parse(text);
            parsed.is_ok_and(|tree| promql::selectors(&tree).iter().any(|one| promql::gives(one, &rule.name)))
        };
        // What one remembers of itself is for others.
        let mut others =
            rules(&self.tree.monitoring).filter(|(_, file, line)| (*file, *line) != (rule.file.as_path(), rule.line));
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let chooses = |query: &&str| query.split(|c| !is_name(c)).any(|word| word == rule.name);
        others.any(|(expr, ..)| asks(expr))
            || self.panels.iter().any(|expr| asks(expr))
            || self.variables.iter().any(chooses)
    }
}

fn is_mean_of_ratios(node: &Expr) -> bool {
    let is_mean = match node {
        Expr::Call(call) => call.func.name == "avg_over_time",
        Expr::Aggregate(aggregate) => aggregate.op.to_string() == "avg",
        _ => false,
    };
    let is_ratio = |name: &str| name.contains("ratio") || name.contains("burn") || name.contains(":p9");
    is_mean && promql::selectors(node).iter().filter_map(|selector| selector.name.as_deref()).any(is_ratio)
}

fn keeps_job(aggregate: &AggregateExpr) -> bool {
    match &aggregate.modifier {
        Some(LabelModifier::Include(labels)) => labels.labels.iter().any(|label| label == "job"),
        Some(LabelModifier::Exclude(labels)) => labels.labels.iter().all(|label| label != "job"),
        None => false,
    }
}

fn is_rate_of_recorded(node: &Expr, monitoring: &Monitoring) -> bool {
    let is_recorded = |name: Option<&str>| monitoring.recording(name.unwrap_or_default()).is_some();
    matches!(node, Expr::Call(call) if promql::OF_COUNTERS.contains(&call.func.name))
        && promql::selectors(node).iter().any(|selector| is_recorded(selector.name.as_deref()))
}

//! How recorded names read, who asks for them, and what is computed of them.

use std::path::Path;

use promql_parser::parser::{Expr, LabelModifier};

use super::finding::Findings;
use super::known;
use super::tree::{DASHBOARDS, Tree};
use aiclipx_model::monitoring::promql;

/// Recorded names read `level:metric:operations`, somebody asks for them, and no ratio is averaged.
pub(super) fn check(tree: &Tree, findings: &mut Findings) {
    let monitoring = &tree.monitoring;
    let rules = || {
        let alerts = monitoring.alerts().iter().map(|alert| (&alert.expr, &alert.file, alert.line));
        alerts.chain(monitoring.recordings().iter().map(|rule| (&rule.expr, &rule.file, rule.line)))
    };
    let folder = Path::new("monitoring").join(DASHBOARDS);
    let panels = known::expressions(tree).into_iter().filter(|(file, ..)| file.starts_with(&folder));
    let panels: Vec<String> = panels.map(|(.., expr)| expr).collect();
    let variables = tree.dashboards.iter().filter_map(|dashboard| dashboard.node.get("templating"));
    let variables: Vec<&str> =
        variables.flat_map(|all| all.items_of("list")).filter_map(|one| one.text_of("query")).collect();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    for rule in monitoring.recordings() {
        let parts: Vec<&str> = rule.name.split(':').collect();
        if parts.len() != 3 || parts.iter().any(|part| part.is_empty()) || parts[1].ends_with("_total") {
            let what = format!("`{}` is not level:metric:operations", rule.name);
            findings.about(
                "recording/name",
                &rule.name,
                &rule.file,
                rule.line,
                what,
                "as job:app_requests:rate5m, without _total",
            );
        }
        let asks = |text: &str| {
            promql::parse(text)
                .is_ok_and(|tree| promql::selectors(&tree).iter().any(|selector| promql::gives(selector, &rule.name)))
        };
        // What one remembers of itself is for others.
        let mut others = rules().filter(|(_, file, line)| (*file, *line) != (&rule.file, rule.line));
        let chooses = |query: &&str| query.split(|c| !is_name(c)).any(|word| word == rule.name);
        let is_asked = others.any(|(expr, ..)| asks(expr)) || panels.iter().any(|expr| asks(expr));
        if !is_asked && !variables.iter().any(chooses) {
            findings.about(
                "recording/unasked",
                &rule.name,
                &rule.file,
                rule.line,
                format!("nobody asks for `{}`", rule.name),
                "remove it",
            );
        }
    }
    for (expr, file, line) in rules() {
        let Ok(tree) = promql::parse(expr) else { continue };
        for node in promql::nodes(&tree) {
            let (is_mean, keeps_job) = match node {
                Expr::Call(call) => (call.func.name == "avg_over_time", true),
                Expr::Aggregate(aggregate) => {
                    let by_job = match &aggregate.modifier {
                        Some(LabelModifier::Include(labels)) => labels.labels.iter().any(|label| label == "job"),
                        Some(LabelModifier::Exclude(labels)) => labels.labels.iter().all(|label| label != "job"),
                        None => false,
                    };
                    (aggregate.op.to_string() == "avg", by_job)
                }
                _ => continue,
            };
            let ratio = |name: &str| name.contains("ratio") || name.contains("burn") || name.contains(":p9");
            if is_mean && promql::selectors(node).iter().filter_map(|selector| selector.name.as_deref()).any(ratio) {
                findings.find(
                    "recording/mean",
                    file,
                    line,
                    format!("`{}` is a mean of ratios", promql::print(node)),
                    "average both sides, then divide",
                );
            }
            if !keeps_job {
                findings.find(
                    "recording/job",
                    file,
                    line,
                    format!("`{}` does not aggregate by job", promql::print(node)),
                    "several services would be one",
                );
            }
            if let Expr::Call(call) = node
                && promql::OF_COUNTERS.contains(&call.func.name)
                && promql::selectors(node)
                    .iter()
                    .any(|selector| monitoring.recording(selector.name.as_deref().unwrap_or_default()).is_some())
            {
                findings.find(
                    "recording/rate",
                    file,
                    line,
                    format!("`{}` is the rate of what is recorded", promql::print(node)),
                    "rate first, then aggregate",
                );
            }
        }
    }
}

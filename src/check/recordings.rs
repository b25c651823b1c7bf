//! How recorded names read, who asks for them, and what is computed of them.

use promql_parser::parser::{Expr, LabelModifier};

use super::Findings;
use crate::monitoring::{Monitoring, promql};

/// Recorded names read `level:metric:operations`, somebody asks for them, and no ratio is averaged.
pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    let rules = || {
        let alerts = monitoring.alerts().iter().map(|alert| (&alert.expr, &alert.file, alert.line));
        alerts.chain(monitoring.recordings().iter().map(|rule| (&rule.expr, &rule.file, rule.line)))
    };
    let panels = monitoring.files().iter().filter(|(path, _)| path.starts_with(super::DASHBOARDS));
    let panels: Vec<_> = panels.map(|(_, bytes)| String::from_utf8_lossy(bytes)).collect();
    for rule in monitoring.recordings() {
        let parts: Vec<&str> = rule.name.split(':').collect();
        if parts.len() != 3 || parts.iter().any(|part| part.is_empty()) || parts[1].ends_with("_total") {
            let what = format!("`{}` is not level:metric:operations", rule.name);
            findings.find(&rule.file, rule.line, what, "as job:app_requests:rate5m, without _total");
        }
        let asks = |text: &str| {
            promql::parse(text).is_ok_and(|tree| {
                promql::selectors(&tree).iter().any(|selector| selector.name.as_deref() == Some(rule.name.as_str()))
            })
        };
        if !rules().any(|(expr, ..)| asks(expr)) && !panels.iter().any(|text| text.contains(&rule.name)) {
            findings.find(&rule.file, rule.line, format!("nobody asks for `{}`", rule.name), "remove it");
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
                    file,
                    line,
                    format!("`{}` is a mean of ratios", promql::print(node)),
                    "average both sides, then divide",
                );
            }
            if !keeps_job {
                findings.find(
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
                    file,
                    line,
                    format!("`{}` is the rate of what is recorded", promql::print(node)),
                    "rate first, then aggregate",
                );
            }
        }
    }
}

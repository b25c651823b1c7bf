//! Every query of a dashboard panel was asked, and answered without an error.

use serde::{Deserialize, Serialize};

use super::kind::{ClaimKind, Folded, Given, Stated};
use crate::artifacts::NAMES;
use crate::experiment::{Experiment, PanelAnswer};
use crate::finding::Finding;
use crate::panels;
use crate::silence::why_unanswered;
use crate::tree::Tree;
use aiclipx_model::monitoring::promql;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PanelAnswers {
    /// `uid/id`.
    pub panel: String,
}

impl PanelAnswers {
    pub(super) fn derive(given: &Given<'_>) -> impl Iterator<Item = Stated<Self>> {
        given.tree.panels().into_iter().map(|panel| {
            let says = format!("every query of panel {} is answered", given.tree.named(&panel));
            Stated::new(format!("panel-answers/{panel}"), says, PanelAnswers { panel })
        })
    }
}

impl ClaimKind for PanelAnswers {
    fn name(&self) -> &'static str {
        "panel-answers"
    }

    fn folded(&self) -> Option<Folded<'_>> {
        Some(Folded {
            about: &self.panel,
            hold: ("panel answers every query", "panels answer every query"),
            open: ("panel whose answers show nothing", "panels whose answers show nothing"),
        })
    }

    fn decide(&self, experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding> {
        let panel = self.panel.as_str();
        let definition = panels::find(tree, panel)?;
        let mut wrong = Vec::new();
        let mut series = 0;
        let mut artifacts = Vec::new();
        let mut asked = Vec::new();
        let mut empty = Vec::new();
        for target in &definition.targets {
            let answer = panels::answer_of(experiment, panel, &target.ref_id);
            asked.extend(answer.map(|answer| answer.plan.expr.as_str()));
            match answer {
                None => wrong.push(format!("query {} was not asked", target.ref_id)),
                Some(answer) => {
                    artifacts.push(answer.file());
                    match panels::read(answer) {
                        Ok(found) => {
                            series += found.len();
                            empty.extend(found.is_empty().then_some(answer));
                        }
                        Err(error) => wrong.push(format!("query {}: {error:#}", target.ref_id)),
                    }
                }
            }
        }
        let mut not_proven = if wrong.is_empty() { why_unanswered(experiment, asked)? } else { None };
        // Nothing is an answer of a metric that there is, and none of one that never was.
        if wrong.is_empty() && not_proven.is_none() && !empty.is_empty() && experiment.is_since(3) {
            let mut unknown = unknown(experiment, tree, &empty)?;
            artifacts.push(NAMES.to_owned());
            // What the service counts it exposes from its start; of others some things are counted only when they happen.
            let of_the_service = |(_, name): &(&str, String)| name.starts_with("app_");
            let is_wrong = unknown.iter().any(of_the_service);
            unknown.retain(|one| !is_wrong || of_the_service(one));
            let told = unknown.iter().map(|(query, name)| format!("query {query}: Prometheus has no metric {name}"));
            let told: Vec<String> = told.collect();
            if is_wrong {
                wrong = told;
            } else {
                not_proven = (!told.is_empty()).then(|| told.join("; "));
            }
        }
        Ok(Finding {
            population: definition.targets.len(),
            expected: format!("{} queries answered", definition.targets.len()),
            observed: format!("{series} series"),
            artifacts,
            not_proven,
            fails: (!wrong.is_empty()).then(|| wrong.join("; ")),
        })
    }
}

/// What the service exposes only where the machine has it: a limit that is not set is no number.
const OF_SOME_MACHINES: [&str; 2] = ["app_memory_limit_bytes", "app_cpu_limit_cores"];

/// The metrics that queries ask for and that Prometheus never had: by query, and name. What a rule records comes when there
/// is something to record.
fn unknown<'a>(
    experiment: &Experiment,
    tree: &Tree,
    queries: &[&'a PanelAnswer],
) -> anyhow::Result<Vec<(&'a str, String)>> {
    let names = experiment.metric_names()?;
    let mut unknown = Vec::new();
    for query in queries {
        let expression = &query.plan.expr;
        let parsed = promql::parse(expression).map_err(|error| anyhow::anyhow!("{expression}: {error}"))?;
        for name in promql::selectors(&parsed).into_iter().filter_map(|selector| selector.name.as_ref()) {
            let is_known = names.contains(name) || tree.monitoring.recording(name).is_some();
            if !is_known && !OF_SOME_MACHINES.contains(&name.as_str()) {
                unknown.push((query.plan.ref_id.as_str(), name.clone()));
            }
        }
    }
    unknown.dedup();
    Ok(unknown)
}

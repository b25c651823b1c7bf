//! Optional components (the probe, Vector, Loki, the database) that were not there, or never answered: expressions about them show nothing.

use std::collections::BTreeSet;

use super::experiment::Experiment;
use super::validity::{DATABASE, OPTIONAL};
use aiclipx_model::monitoring::{optional, promql};

/// Why nothing is known of these expressions, where each needs an optional component that was not there or never answered.
pub(crate) fn why_unanswered<'a>(
    experiment: &Experiment,
    expressions: impl IntoIterator<Item = &'a str>,
) -> anyhow::Result<Option<String>> {
    if !experiment.is_since(5) {
        return asked_one_that_is_silent(experiment, expressions);
    }
    let of = |component| silence_of(experiment, component);
    let optional = [&OPTIONAL[..], &[DATABASE]].concat();
    let mut why = None;
    for expression in expressions {
        let tree = promql::parse(expression).map_err(|error| anyhow::anyhow!("{expression}: {error}"))?;
        let Some(silent) = optional::why_nothing(&tree, &optional, &of) else { return Ok(None) };
        why = why.or(Some(silent));
    }
    Ok(why)
}

/// As it was decided before version 5: where all of the expressions come from one optional component.
fn asked_one_that_is_silent<'a>(
    experiment: &Experiment,
    expressions: impl IntoIterator<Item = &'a str>,
) -> anyhow::Result<Option<String>> {
    let source = |name: &str| match name {
        "aiclipx_log_lines_total" | "aiclipx_log_lines_left_out_total" => Some("vector"),
        _ => OPTIONAL.into_iter().find(|job| name.strip_prefix(job).is_some_and(|rest| rest.starts_with('_'))),
    };
    let mut sources = BTreeSet::new();
    for expression in expressions {
        let tree = promql::parse(expression).map_err(|error| anyhow::anyhow!("{expression}: {error}"))?;
        sources.extend(promql::selectors(&tree).into_iter().map(|one| one.name.as_deref().and_then(source)));
    }
    let [Some(only)] = sources.into_iter().collect::<Vec<_>>()[..] else { return Ok(None) };
    Ok(silence_of(experiment, only))
}

/// Why an optional component has no series: it was not there, or never answered.
pub(crate) fn silence_of(experiment: &Experiment, component: &str) -> Option<String> {
    if component == DATABASE {
        let is_there = experiment.run.processes.iter().any(|process| process.component == DATABASE);
        return (!is_there).then(|| not_part_of_the_stack(DATABASE));
    }
    match experiment.scraped.get(component) {
        Some(true) => None,
        Some(false) if experiment.is_since(4) => {
            Some(format!("{component} was there to be scraped and never answered"))
        }
        Some(false) | None => Some(not_part_of_the_stack(component)),
    }
}

/// Why nothing is proven of what only an optional component could show.
pub fn not_part_of_the_stack(component: &str) -> String {
    format!("{component} is not part of this stack")
}

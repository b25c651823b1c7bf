//! Decides each claim of an experiment by reading its folder, and nothing else.
//!
//! Pure: the same folder and the same tree give the same judgements, on any machine, offline. A claim is never decided
//! on nothing: each has a population that must not be empty, and most a precondition (the client saw the fault) without
//! which it is not proven.

mod alerts;
mod counts;
mod loaded;

use std::collections::BTreeSet;

use promql_parser::label::MatchOp;
use promql_parser::parser::token::{T_LOR, T_LUNLESS};
use promql_parser::parser::{Expr, VectorSelector};
use serde::{Deserialize, Serialize};

pub use alerts::{cycle_of, delay_us, evaluation_ms, fault_window};

use super::claims::{self, Claim, Family, Kind, Step};
use super::experiment::Experiment;
use super::grafana;
use super::panels;
use super::planted;
use super::reconcile::{self, Reconciliation};
use super::run::Unseen;
use super::tree::Tree;
use super::validity::{self, Disturbance, OPTIONAL};
use aiclipx_model::monitoring::{Loader, promql};
use aiclipx_model::scenario::Volume;

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "why", rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not hold, and why.
    Fails(String),
    /// It could not be shown, and why.
    NotProven(String),
    /// The run says nothing, and why.
    Invalid(String),
}

impl Verdict {
    /// One word, for tables.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Fails(_) => "fails",
            Verdict::NotProven(_) => "not proven",
            Verdict::Invalid(_) => "invalid",
        }
    }

    /// Why, where there is a why.
    pub fn why(&self) -> &str {
        match self {
            Verdict::Holds => "",
            Verdict::Fails(why) | Verdict::NotProven(why) | Verdict::Invalid(why) => why,
        }
    }
}

/// A claim, decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The claim.
    #[serde(flatten)]
    pub claim: Claim,
    /// What it was decided on: so many series, samples, requests, points.
    pub population: u64,
    /// What had to be seen, in words.
    pub expected: String,
    /// What was seen, in words.
    pub observed: String,
    /// Files of the experiment's folder it rests on; verdicts.json has called them so since its first version.
    #[serde(rename = "exhibits")]
    pub artifacts: Vec<String>,
    /// The decision.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What a kind of claim was decided on.
#[derive(Debug, Default)]
pub(super) struct Finding {
    pub population: usize,
    pub expected: String,
    pub observed: String,
    pub artifacts: Vec<String>,
    pub fails: Option<String>,
    pub not_proven: Option<String>,
}

/// Derives the claims of an experiment and decides each.
///
/// An artifact that is missing or doesn't parse makes the claims resting on it fail: nothing was shown.
pub fn judge(experiment: &Experiment, tree: &Tree) -> Vec<Judgement> {
    let claims = claims::claims(&experiment.name, &experiment.scenario, tree, experiment.speed());
    let claims = claims.into_iter().filter(|claim| experiment.is_since(3) || claim.kind != Kind::FaultsArrive);
    let disturbed: Vec<String> = disturbances(experiment, tree).iter().map(ToString::to_string).collect();
    let disturbed = (!disturbed.is_empty()).then(|| disturbed.join("; "));
    claims.map(|claim| decide(experiment, tree, claim, disturbed.as_deref())).collect()
}

/// What disturbed an experiment; samples that can't be read are a disturbance too.
pub fn disturbances(experiment: &Experiment, tree: &Tree) -> Vec<Disturbance> {
    let scrape_ms = real_ms(tree.monitoring.scrape_interval(), experiment.speed().factor());
    let mut found = validity::disturbances(experiment, scrape_ms)
        .unwrap_or_else(|error| vec![Disturbance::Noise(format!("{error:#}"))]);
    if experiment.is_since(3) {
        found.extend(panels::put_off(experiment).into_iter().map(Disturbance::Noise));
    }
    found
}

fn decide(experiment: &Experiment, tree: &Tree, claim: Claim, disturbed: Option<&str>) -> Judgement {
    let finding = find(experiment, tree, &claim.kind).unwrap_or_else(|error| Finding {
        observed: "the exhibits can't be read".to_owned(),
        fails: Some(format!("{error:#}")),
        ..Finding::default()
    });
    // A run cut short gives an alert no time to live and a panel nothing to show: that it did not is no defect.
    let timed = matches!(
        claim.kind,
        Kind::AlertCycle { .. }
            | Kind::FaultsArrive
            | Kind::Pictured { .. }
            | Kind::DashboardPictured { .. }
            | Kind::PanelShows { .. }
    );
    let nothing = (finding.population == 0).then(|| "there is nothing to decide it on".to_owned());
    // What shows that a claim is false is never hidden by what could not be seen.
    let verdict = match (disturbed, finding.fails, finding.not_proven, nothing) {
        (Some(why), ..) => Verdict::Invalid(why.to_owned()),
        (None, None, Some(why), _) => Verdict::NotProven(why),
        (None, Some(why), ..) | (None, None, None, Some(why)) => {
            if timed && was_shortened(experiment) {
                Verdict::NotProven(format!("the run was shortened: {why}"))
            } else {
                Verdict::Fails(why)
            }
        }
        (None, None, None, None) => Verdict::Holds,
    };
    Judgement {
        claim,
        population: finding.population as u64,
        expected: finding.expected,
        observed: finding.observed,
        artifacts: finding.artifacts,
        verdict,
    }
}

fn find(experiment: &Experiment, tree: &Tree, kind: &Kind) -> anyhow::Result<Finding> {
    if let Some(why) = rests_on(kind).and_then(|artifact| experiment.run.unseen.get(&artifact)) {
        return Ok(Finding {
            observed: "out of reach".to_owned(),
            not_proven: Some(why.clone()),
            ..Finding::default()
        });
    }
    if let Kind::AlertCycle { alert, .. } | Kind::Pictured { alert, .. } = kind
        && let Some(why) = asks_nobody(experiment, tree.monitoring.alert(alert).map(|alert| alert.expr.as_str()))?
    {
        return Ok(Finding { observed: "out of reach".to_owned(), not_proven: Some(why), ..Finding::default() });
    }
    match kind {
        Kind::CountersEqualLedger { family } => counts::counters(experiment, *family),
        Kind::BucketsHold => counts::buckets(experiment),
        Kind::ScenarioOfTree => Ok(loaded::scenario_of_tree(experiment, tree)),
        Kind::ScheduleFollows => Ok(counts::schedule(experiment)),
        Kind::LogsEqualLedger => counts::logs(experiment),
        Kind::SecretsKeptOut => planted::kept_out(experiment),
        Kind::StoredEqualsExposed => counts::stored_equals_exposed(experiment),
        Kind::LoadedEqualsTree => loaded::loaded_equals_tree(experiment, tree),
        Kind::ConfigEqualsTree { loader } => loaded::config_equals_tree(experiment, tree, *loader),
        Kind::FaultsArrive => Ok(counts::faults(experiment)),
        Kind::WatchdogArrives => alerts::watchdog(experiment, tree),
        Kind::AlertCycle { alert, step, not_before_ms, not_after_ms } => {
            alerts::alert_step(experiment, tree, alert, *step, *not_before_ms, *not_after_ms)
        }
        Kind::AlertInhibited { alert } => alerts::inhibited(experiment, alert),
        Kind::AlertQuiet { alert } => alerts::quiet(experiment, tree, alert),
        Kind::PanelShows { panel, measure } => panels::shows(experiment, panel, *measure),
        Kind::PanelAnswers { panel } => panels::answers(experiment, tree, panel),
        Kind::Pictured { alert, page } => alerts::pictured(experiment, tree, alert, page),
        Kind::DashboardPictured { dashboard } => grafana::shows(experiment, dashboard),
    }
}

/// What a kind of claim can't be decided without, of all that may be out of reach.
fn rests_on(kind: &Kind) -> Option<Unseen> {
    match kind {
        Kind::LogsEqualLedger | Kind::SecretsKeptOut => Some(Unseen::Logs),
        Kind::ConfigEqualsTree { loader: Loader::Alertmanager } => Some(Unseen::Alertmanager),
        Kind::WatchdogArrives
        | Kind::AlertInhibited { .. }
        | Kind::AlertCycle { step: Step::Notified | Step::ResolvedNotified, .. } => Some(Unseen::Notifications),
        _ => None,
    }
}

/// The reconciliation of a family, as the report shows it too.
pub fn reconcile(experiment: &Experiment, family: Family) -> anyhow::Result<Reconciliation> {
    match family {
        Family::Requests => reconcile::requests(experiment),
        Family::LatencyCount => reconcile::latencies(experiment, "latency_count"),
        Family::LatencyInf => reconcile::latencies(experiment, "latency_inf"),
        Family::Errors => reconcile::errors(experiment),
    }
}

/// The first three, and how many more.
pub(super) fn first_of(mut told: Vec<String>) -> String {
    let more = told.len().saturating_sub(3);
    told.truncate(3);
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    told.join("; ")
}

/// Whether it took less than its scenario says at this speed, as `--duration` has it.
fn was_shortened(experiment: &Experiment) -> bool {
    let whole: u128 = experiment.scenario.phases.iter().map(|phase| phase.duration.as_micros()).sum();
    u128::from(experiment.ledger.head.length_us) < whole / u128::from(experiment.speed().factor())
}

/// Whether the scenario sends anything at all.
pub(super) fn sends(experiment: &Experiment) -> bool {
    experiment.scenario.phases.iter().any(|phase| phase.volume != Volume::Silent)
}

/// Why nothing is known of what expressions ask for, where nothing can come of any without one optional component and that one
/// never answered: what is asked of nobody shows nothing.
pub(super) fn asks_nobody<'a>(
    experiment: &Experiment,
    expressions: impl IntoIterator<Item = &'a str>,
) -> anyhow::Result<Option<String>> {
    if !experiment.is_since(5) {
        return asked_one_that_is_silent(experiment, expressions);
    }
    let mut why = None;
    for expression in expressions {
        let tree = promql::parse(expression).map_err(|error| anyhow::anyhow!("{expression}: {error}"))?;
        let Some(silent) = silence_in(experiment, &tree) else { return Ok(None) };
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

/// Why an expression gives nothing whatever else is there, for want of an optional component.
fn silence_in(experiment: &Experiment, expr: &Expr) -> Option<String> {
    let of = |expr: &Expr| silence_in(experiment, expr);
    match expr {
        Expr::Paren(paren) => of(&paren.expr),
        Expr::Aggregate(aggregate) => of(&aggregate.expr),
        Expr::Binary(binary) if binary.op.id() == T_LUNLESS => of(&binary.lhs),
        Expr::Binary(binary) if binary.op.id() == T_LOR => of(&binary.lhs).and_then(|_| of(&binary.rhs)),
        // What is held against each other, added or divided gives nothing where one side is nothing.
        Expr::Binary(binary) => of(&binary.lhs).or_else(|| of(&binary.rhs)),
        _ => silence_of(experiment, source(expr)?),
    }
}

/// The optional component that all of an expression comes from, if it is one.
fn source(expr: &Expr) -> Option<&'static str> {
    let of = |selector: &VectorSelector| match selector.name.as_deref()? {
        "aiclipx_log_lines_total" | "aiclipx_log_lines_left_out_total" => Some("vector"),
        "up" => {
            let job = selector.matchers.matchers.iter().find(|matcher| matcher.name == "job")?;
            OPTIONAL.into_iter().find(|name| job.op == MatchOp::Equal && job.value == *name)
        }
        name => OPTIONAL.into_iter().find(|job| name.strip_prefix(job).is_some_and(|rest| rest.starts_with('_'))),
    };
    let sources: BTreeSet<_> = promql::selectors(expr).into_iter().map(of).collect();
    if sources.len() == 1 { sources.into_iter().next()? } else { None }
}

/// Why an optional component tells nothing: it was not there, or never answered.
pub(super) fn silence_of(experiment: &Experiment, component: &str) -> Option<String> {
    match experiment.scraped.get(component) {
        Some(true) => None,
        Some(false) if experiment.is_since(4) => {
            Some(format!("{component} was there to be scraped and never answered"))
        }
        Some(false) | None => Some(not_part_of_the_stack(component)),
    }
}

/// Why nothing is proven of what only an optional component could tell.
pub fn not_part_of_the_stack(component: &str) -> String {
    format!("{component} is not part of this stack")
}

fn real_ms(production: std::time::Duration, k: u32) -> i64 {
    i64::try_from(production.as_millis()).unwrap_or(i64::MAX) / i64::from(k)
}

/// `7.2 s`.
#[allow(clippy::cast_precision_loss)] // minutes at most
pub fn seconds(millis: i64) -> String {
    format!("{:.1} s", millis as f64 / 1000.0)
}

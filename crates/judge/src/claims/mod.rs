//! What must hold for an experiment: derived from its scenario and the monitoring files, and from nothing else.
//!
//! Each kind of claim is a file here, and says all there is to say of it: which claims there are, with id and sentence; what they
//! need; when they are not proven; how they are decided; how the report names them. This file is the list. Ids and kinds are written
//! in bundles: they stay.
//!
//! A new kind:
//!
//! 1. Its file here, beside its like, and in this one its module, its variant of [`Kind`], its arm of [`Kind::rules`], its line in
//!    `claims`, and its row in `written` of the tests. The compiler asks for the arm and warns of a `derive` that nobody calls; the
//!    tests ask for the row.
//! 2. A version of the statement that has it: one more in [`SCHEMA`](crate::run::SCHEMA), with a line there that says what is new,
//!    and the same number as [`since`](ClaimKind::since) in its file. A claim of a later version than `SCHEMA` would never be judged;
//!    a test says so. The sample of the version before joins those that are verified still:
//!    `tar -czf crates/judge/tests/evidence/version-N.tar.gz -C evidence sample`, before step 6.
//! 3. What it reads must be in the world without a stack that the evidence tests judge,
//!    `crates/judge/tests/evidence/world.rs` and `artifacts.rs` (what the service exposes, what Prometheus stores): else the claim
//!    fails there in every sound run, and half of those tests with it.
//! 4. A case in `crates/judge/tests/evidence/kills.rs`: an edit that makes this claim fail, and no other.
//! 5. A mutant in monitoring/mutants.toml that shows it can fail on a stack, or a reason below `[exempt]` there: `just mutants`
//!    tries it, and `crates/judge/tests/mutants.rs` asks for it.
//! 6. `UPDATE_GOLDEN=1 cargo test --test evidence claims` writes the golden lists anew, and `just evidence-sample` the sample.
//!
//! One pure function derives all of them, before the judging and again in `verify`: a claim that someone removed from a bundle is
//! derived again and missed. Nobody writes a list of claims by hand, so none can be forgotten.

pub mod alert_cycle;
pub mod alert_inhibited;
pub mod alert_quiet;
pub mod buckets_hold;
pub mod config_equals_tree;
pub mod counters_equal_ledger;
pub mod dashboard_pictured;
pub mod faults_arrive;
pub mod kind;
pub mod loaded_equals_tree;
pub mod logs_equal_ledger;
pub mod nothing_lost;
pub mod panel_answers;
pub mod panel_shows;
pub mod pictured;
pub mod scenario_of_tree;
pub mod schedule_follows;
pub mod secrets_kept_out;
pub mod stored_equals_exposed;
pub mod watchdog_arrives;

use serde::{Deserialize, Serialize};

use aiclipx_base::duration::Speed;
use aiclipx_model::scenario::Scenario;

use crate::tree::Tree;
use alert_cycle::AlertCycle;
use alert_inhibited::AlertInhibited;
use alert_quiet::AlertQuiet;
use buckets_hold::BucketsHold;
use config_equals_tree::ConfigEqualsTree;
use counters_equal_ledger::CountersEqualLedger;
use dashboard_pictured::DashboardPictured;
use faults_arrive::FaultsArrive;
use kind::{ClaimKind, Given, Stated};
use loaded_equals_tree::LoadedEqualsTree;
use logs_equal_ledger::LogsEqualLedger;
use nothing_lost::NothingLost;
use panel_answers::PanelAnswers;
use panel_shows::PanelShows;
use pictured::Pictured;
use scenario_of_tree::ScenarioOfTree;
use schedule_follows::ScheduleFollows;
use secrets_kept_out::SecretsKeptOut;
use stored_equals_exposed::StoredEqualsExposed;
use watchdog_arrives::WatchdogArrives;

/// Something that must hold for one experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// `error-rate/alert-fires/AppHigh5xxErrorRate`: stable, unique in a bundle.
    pub id: String,
    /// The experiment's name.
    pub experiment: String,
    /// In words a reader understands.
    pub says: String,
    /// What is to be decided.
    #[serde(flatten)]
    pub kind: Kind,
}

/// The kinds of claims there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kind {
    ScenarioOfTree(ScenarioOfTree),
    ScheduleFollows(ScheduleFollows),
    LoadedEqualsTree(LoadedEqualsTree),
    ConfigEqualsTree(ConfigEqualsTree),
    CountersEqualLedger(CountersEqualLedger),
    BucketsHold(BucketsHold),
    StoredEqualsExposed(StoredEqualsExposed),
    LogsEqualLedger(LogsEqualLedger),
    SecretsKeptOut(SecretsKeptOut),
    FaultsArrive(FaultsArrive),
    NothingLost(NothingLost),
    WatchdogArrives(WatchdogArrives),
    AlertCycle(AlertCycle),
    Pictured(Pictured),
    AlertInhibited(AlertInhibited),
    AlertQuiet(AlertQuiet),
    PanelAnswers(PanelAnswers),
    PanelShows(PanelShows),
    DashboardPictured(DashboardPictured),
}

impl Kind {
    /// What its file says of it.
    pub fn rules(&self) -> &dyn ClaimKind {
        match self {
            Kind::ScenarioOfTree(kind) => kind,
            Kind::ScheduleFollows(kind) => kind,
            Kind::LoadedEqualsTree(kind) => kind,
            Kind::ConfigEqualsTree(kind) => kind,
            Kind::CountersEqualLedger(kind) => kind,
            Kind::BucketsHold(kind) => kind,
            Kind::StoredEqualsExposed(kind) => kind,
            Kind::LogsEqualLedger(kind) => kind,
            Kind::SecretsKeptOut(kind) => kind,
            Kind::FaultsArrive(kind) => kind,
            Kind::NothingLost(kind) => kind,
            Kind::WatchdogArrives(kind) => kind,
            Kind::AlertCycle(kind) => kind,
            Kind::Pictured(kind) => kind,
            Kind::AlertInhibited(kind) => kind,
            Kind::AlertQuiet(kind) => kind,
            Kind::PanelAnswers(kind) => kind,
            Kind::PanelShows(kind) => kind,
            Kind::DashboardPictured(kind) => kind,
        }
    }
}

/// Everything that must hold for a scenario enacted at a speed; `experiment` is the name of its folder in the bundle.
///
/// In the order in which verdicts and reports have them: of the run, of each alert in turn, of the dashboards.
pub(crate) fn claims(experiment: &str, scenario: &Scenario, tree: &Tree, speed: Speed) -> Vec<Claim> {
    let given = &Given { scenario, tree, speed };
    let mut claims = Claims { experiment, list: Vec::new() };
    claims.add(Kind::ScenarioOfTree, ScenarioOfTree::derive());
    claims.add(Kind::ScheduleFollows, ScheduleFollows::derive());
    claims.add(Kind::LoadedEqualsTree, LoadedEqualsTree::derive());
    claims.add(Kind::ConfigEqualsTree, ConfigEqualsTree::derive());
    claims.add(Kind::CountersEqualLedger, CountersEqualLedger::derive());
    claims.add(Kind::BucketsHold, BucketsHold::derive(given));
    claims.add(Kind::StoredEqualsExposed, StoredEqualsExposed::derive());
    claims.add(Kind::LogsEqualLedger, LogsEqualLedger::derive());
    claims.add(Kind::SecretsKeptOut, SecretsKeptOut::derive(given));
    claims.add(Kind::FaultsArrive, FaultsArrive::derive(given));
    claims.add(Kind::NothingLost, NothingLost::derive(given));
    claims.add(Kind::WatchdogArrives, WatchdogArrives::derive());
    for alert in given.alerts() {
        claims.add(Kind::AlertCycle, AlertCycle::derive(given, alert));
        claims.add(Kind::Pictured, Pictured::derive(given, alert));
        claims.add(Kind::AlertInhibited, AlertInhibited::derive(given, alert));
        claims.add(Kind::AlertQuiet, AlertQuiet::derive(given, alert));
    }
    claims.add(Kind::PanelAnswers, PanelAnswers::derive(given));
    claims.add(Kind::PanelShows, PanelShows::derive(given));
    claims.add(Kind::DashboardPictured, DashboardPictured::derive(given));
    claims.list
}

/// The claims of an experiment so far.
struct Claims<'a> {
    experiment: &'a str,
    list: Vec<Claim>,
}

impl Claims<'_> {
    fn add<K>(&mut self, kind: fn(K) -> Kind, stated: impl IntoIterator<Item = Stated<K>>) {
        let experiment = self.experiment;
        self.list.extend(stated.into_iter().map(|Stated { id, says, kind: data }| Claim {
            id: format!("{experiment}/{id}"),
            experiment: experiment.to_owned(),
            says,
            kind: kind(data),
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;
    use crate::judge::{Judgement, Verdict};
    use crate::run::{OLDEST, SCHEMA};

    /// What bundles hold, and beside it what each kind needs and how it is judged, which is a default where a file leaves it out:
    /// another spelling of one of these and an older bundle can't be judged.
    fn written() -> Vec<(Value, &'static str)> {
        vec![
            (json!({"kind": "scenario-of-tree"}), ""),
            (json!({"kind": "schedule-follows"}), ""),
            (json!({"kind": "loaded-equals-tree"}), "explains others"),
            (json!({"kind": "config-equals-tree", "loader": "alertmanager"}), "needs Alertmanager, explains others"),
            (json!({"kind": "counters-equal-ledger", "family": "latency-inf"}), ""),
            (json!({"kind": "buckets-hold"}), ""),
            (json!({"kind": "stored-equals-exposed"}), ""),
            (json!({"kind": "logs-equal-ledger"}), "needs Logs"),
            (json!({"kind": "secrets-kept-out"}), "needs Logs"),
            (json!({"kind": "faults-arrive"}), "since 3, takes time"),
            (json!({"kind": "nothing-lost"}), ""),
            (json!({"kind": "watchdog-arrives"}), "needs Notifications"),
            (
                json!({"kind": "alert-cycle", "alert": "A", "step": "resolved-notified", "not_before_ms": -1, "not_after_ms": 2}),
                "needs Notifications, takes time",
            ),
            (json!({"kind": "pictured", "alert": "A", "page": "graph"}), "takes time"),
            (json!({"kind": "alert-inhibited", "alert": "A"}), "needs Notifications"),
            (json!({"kind": "alert-quiet", "alert": "A"}), ""),
            (json!({"kind": "panel-answers", "panel": "slo/1"}), ""),
            (json!({"kind": "panel-shows", "panel": "slo/1", "measure": "error_share"}), "takes time"),
            (json!({"kind": "dashboard-pictured", "dashboard": "slo"}), "takes time"),
        ]
    }

    /// A judgement of a claim of this kind, as a bundle holds it.
    fn judgement(kind: &Value) -> Value {
        let mut judgement = json!({"id": "a/b", "experiment": "a", "says": "It.", "population": 1, "expected": "",
            "observed": "", "exhibits": ["run.json"], "verdict": "fails", "why": "so"});
        judgement.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        judgement
    }

    fn read(kind: &Value) -> Judgement {
        serde_json::from_value(judgement(kind)).unwrap()
    }

    /// As bundles write it.
    fn spelt(kind: &Kind) -> String {
        serde_json::to_value(kind).unwrap()["kind"].as_str().unwrap().to_owned()
    }

    fn tree() -> Tree {
        Tree::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")))
            .unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// Serde names all variants there are, and the compiler none that has no row here.
    #[test]
    fn every_kind_that_there_is_is_in_the_list_and_is_derived_for_some_scenario() {
        let told = serde_json::from_value::<Kind>(json!({"kind": "?"})).unwrap_err().to_string();
        let there: BTreeSet<&str> = told.split('`').skip(1).step_by(2).filter(|name| *name != "?").collect();
        let rows = written();
        let listed: BTreeSet<&str> = rows.iter().map(|(kind, _)| kind["kind"].as_str().unwrap()).collect();
        assert_eq!(listed, there, "`written`, and the variants of `Kind`");
        let tree = tree();
        let derived: BTreeSet<String> = tree
            .scenarios
            .iter()
            .flat_map(|scenario| claims("any", scenario, &tree, Speed::PRODUCTION))
            .map(|claim| spelt(&claim.kind))
            .collect();
        assert_eq!(
            derived.iter().map(String::as_str).collect::<BTreeSet<_>>(),
            there,
            "derived, and the variants of `Kind`"
        );
    }

    /// Judging leaves out what a statement's version does not have yet: in the newest, nothing.
    #[test]
    fn no_kind_is_of_a_later_version_than_the_statement() {
        let tree = tree();
        let derived = tree.scenarios.iter().flat_map(|scenario| claims("any", scenario, &tree, Speed::PRODUCTION));
        let kinds =
            derived.map(|claim| claim.kind).chain(written().into_iter().map(|(kind, _)| read(&kind).claim.kind));
        let late: BTreeSet<String> = kinds
            .filter(|kind| kind.rules().since() > SCHEMA)
            .map(|kind| format!("{} is since {}, and SCHEMA in run.rs is {SCHEMA}", spelt(&kind), kind.rules().since()))
            .collect();
        assert_eq!(late, BTreeSet::new(), "such a claim is never judged");
    }

    #[test]
    fn every_kind_is_written_into_a_bundle_as_ever_and_read_again() {
        let mut names = BTreeSet::new();
        for (kind, _) in written() {
            let read = read(&kind);
            assert_eq!(serde_json::to_value(&read).unwrap(), judgement(&kind));
            assert_eq!(read.verdict, Verdict::Fails("so".to_owned()));
            // What mutants.toml calls it begins as it is written.
            let name = read.claim.kind.rules().name();
            assert_eq!(Some(name.split('/').next().unwrap()), kind["kind"].as_str());
            names.insert(name);
        }
        assert_eq!(names.len(), written().len());
    }

    #[test]
    fn what_each_kind_needs_and_how_it_is_judged_is_written_down_twice() {
        for (kind, expected) in written() {
            let claim = read(&kind).claim;
            let rules = claim.kind.rules();
            let mut told: Vec<String> = rules.needs().map(|needs| format!("needs {needs:?}")).into_iter().collect();
            told.extend((rules.since() != OLDEST).then(|| format!("since {}", rules.since())));
            told.extend(rules.takes_time().then(|| "takes time".to_owned()));
            told.extend(rules.explains_others().then(|| "explains others".to_owned()));
            assert_eq!(told.join(", "), expected, "{kind}");
        }
    }

    /// `counters/requests` and what follows, of rows that begin with a claim in backticks.
    fn rows(page: &str) -> Vec<(&str, &str)> {
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | ")).collect()
    }

    /// scripts/example.sh holds a run to what stands there as `always`.
    #[test]
    fn an_examples_page_names_claims_that_are_derived_and_those_of_flask_that_always_fail() {
        for (name, always) in [("flask", 7), ("caddy", 0)] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
            let tree = Tree::read(&folder).unwrap_or_else(|failure| panic!("{failure}"));
            let speed = "30".parse().unwrap();
            let of = |scenario| claims("x", scenario, &tree, speed);
            let derived: BTreeSet<String> = tree.scenarios.iter().flat_map(of).map(|claim| claim.id).collect();
            let page = std::fs::read_to_string(folder.join("README.md")).unwrap();
            let rows = rows(&page);
            assert!(rows.len() >= 3, "{name}: {rows:?}");
            for (claim, _) in &rows {
                assert!(derived.contains(&format!("x/{claim}")), "{name}: there is no {claim} in {derived:#?}");
            }
            let told = rows.iter().filter(|(_, rest)| rest.starts_with("always |"));
            assert_eq!(told.count(), always, "{name}");
        }
    }
}

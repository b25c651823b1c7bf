//! `run.json` of an experiment, and the version of the statement that is made of it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::artifacts::RUN;
use super::files::read_json;
use aiclipx_base::address::Address;
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::process_identity::ProcessIdentity;
use aiclipx_model::replica;
use aiclipx_model::scenario::{Action, Step};
use aiclipx_model::service::APP;

/// The version of the statement: the layout of [`artifacts`](super::artifacts), what is claimed of it, and how that is decided,
/// word for word. Whatever changes one of them is a new version, which is asked for where it begins
/// ([`Experiment::is_since`](super::experiment::Experiment::is_since)); so a bundle is judged
/// by the version it was made under, for as long as that one is kept here. How a report looks is none of it.
///
/// 3: a scenario's faults must come; a query about a metric that never was is no answer; quiet is asked for while the scenario
/// lasts; a picture that came late is not proven; a panel that a late scrape puts off is a disturbance.
///
/// 4: an optional component that was a target and never answered is not said to be no part of the stack.
///
/// 5: a component that was away is back when it was started, and not when that was asked for; an alert that no part of its
/// expression can fire without an optional component is not quiet for want of it, however its parts are joined.
///
/// 6: a counter that went down is told as that, with times for people; of counts that differ in more than three rows, three are told.
pub const SCHEMA: u32 = 6;

/// The oldest statement that is judged still.
pub const OLDEST: u32 = 2;

/// Whether a statement of this version can be judged here.
pub(crate) fn is_judged(schema: u32) -> bool {
    (OLDEST..=SCHEMA).contains(&schema)
}

/// `run.json`: what the ledger's head does not say of an enactment. Times are Unix milliseconds of this machine's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    pub schema: u32,
    /// `<UTC>-<scenario>-s<seed>`; every request id begins with it.
    pub id: String,
    /// `02-error-rate`.
    pub scenario: String,
    /// Where the stack's components listened.
    pub addresses: Addresses,
    /// Nothing was in flight from here until the ledger's time zero: the baseline scrape lies in between, and the
    /// window begins.
    pub quiet_ms: i64,
    /// After the final scrape and the last expected notification: the window's end.
    pub end_ms: i64,
    /// The phases as they happened.
    pub phases: Vec<PhaseTime>,
    /// What the scenario did to components, in the order it was done.
    pub steps: Vec<StepTime>,
    /// Processes at the start and at the end: a component that is not the same was restarted.
    pub processes: Vec<Process>,
    /// Pictures taken.
    pub pictures: Vec<Picture>,
    /// Pictures that could not be taken.
    pub missing_pictures: Vec<MissingPicture>,
    /// What happened that nobody asked for; empty for a sound run.
    pub disturbances: Vec<String>,
    /// What an external stack did not show, and why; empty for our own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unseen: BTreeMap<Unseen, String>,
}

/// What may be out of reach on an external stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unseen {
    /// What the receiver was sent: `notifications.jsonl` is empty.
    Notifications,
    /// The components' log files: `logs/` is not there.
    Logs,
    /// What Alertmanager runs: `loaded/alertmanager.json` is not there.
    Alertmanager,
}

/// A phase as it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseTime {
    /// As in the scenario.
    pub name: String,
    /// Whether it injected faults.
    pub faulty: bool,
    pub start_ms: i64,
    pub end_ms: i64,
}

/// Something that was done to a component, as it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepTime {
    pub action: Action,
    pub component: String,
    /// When it was ordered.
    pub start_ms: i64,
    /// When it was done: a component that was started was ready.
    pub end_ms: i64,
}

/// The component that scrapes: while it is away nothing is recorded.
pub(crate) const PROMETHEUS: &str = "prometheus";

/// The component that is notified: while it is away no notification arrives.
pub(crate) const RECEIVER: &str = "receiver";

/// After its start Prometheus scrapes for the first time some five seconds later, whatever the interval (2.42, measured).
const FIRST_SCRAPE_MS: i64 = 8_000;
/// A component that is back is scraped an interval later; a supervisor needs a second to bring one back.
const BACK_MS: i64 = 2_500;

impl Run {
    /// What was done to a process: to itself, or to all replicas of its component.
    fn steps_of<'a>(&'a self, process: &'a str) -> impl Iterator<Item = &'a StepTime> + Clone {
        self.steps.iter().filter(move |step| replica::is_of(process, &step.component))
    }

    /// How often a process was ended on purpose, and so another one took its place.
    pub(crate) fn restarts_of(&self, process: &str) -> usize {
        let ended = |step: &&StepTime| matches!(step.action, Action::Kill | Action::Stop | Action::Restart);
        self.steps_of(process).filter(ended).count()
    }

    /// When processes were away because the scenario wanted it so, until they had been scraped again, or scraped themselves.
    pub(crate) fn outages(&self, processes: &[&str]) -> Vec<(i64, i64)> {
        processes.iter().flat_map(|process| self.outages_of(process)).collect()
    }

    fn outages_of<'a>(&'a self, process: &'a str) -> impl Iterator<Item = (i64, i64)> {
        let settles = if process == PROMETHEUS { FIRST_SCRAPE_MS } else { BACK_MS };
        let steps = self.steps_of(process);
        let ends =
            |step: &&StepTime| matches!(step.action, Action::Kill | Action::Stop | Action::Pause | Action::Restart);
        steps.clone().filter(ends).map(move |gone| {
            let back = steps
                .clone()
                .find(|step| step.start_ms >= gone.end_ms && matches!(step.action, Action::Start | Action::Resume));
            // Without a step that starts it, a killed component is started by its supervisor, or never.
            let until = match (gone.action, back) {
                (Action::Restart, _) | (Action::Kill, None) => gone.end_ms + settles,
                (_, Some(back)) => back.end_ms + settles,
                (_, None) => self.end_ms,
            };
            (gone.start_ms, until.min(self.end_ms))
        })
    }

    /// The service's processes by name, in their order.
    pub(crate) fn replicas(&self) -> impl Iterator<Item = String> {
        let of = self.addresses.app.len();
        (0..of).map(move |index| replica::name(APP, index, of))
    }

    /// The process of the service that Prometheus knows by this address; of one alone it is that, whatever it is called.
    pub(crate) fn replica_at(&self, instance: Option<&String>) -> Option<String> {
        let (scraped, of) = (self.addresses.scraped_app(), self.addresses.app.len());
        let at = |address: &Address| Some(&address.to_string()) == instance;
        if of < 2 { Some(APP.to_owned()) } else { Some(replica::name(APP, scraped.iter().position(at)?, of)) }
    }

    /// Whether it is known which replica served what, and by which name Prometheus knows each: on a stack of ours that has several. (No
    /// bundle of such a stack is older than that: this is no matter of a statement's version.)
    pub(crate) fn tells_replicas_apart(&self) -> bool {
        self.addresses.app.len() > 1 && self.unseen.is_empty()
    }

    /// The places of the replicas whose files a claim names: of those that can't be told apart the first one's stand for all.
    pub(crate) fn named_replicas(&self) -> std::ops::Range<usize> {
        0..if self.tells_replicas_apart() { self.addresses.app.len() } else { 1 }
    }

    /// What a step of the scenario is done to, one after the other.
    pub(crate) fn turns(&self, step: &Step) -> Vec<String> {
        if step.action == Action::Restart && step.component == APP {
            return self.replicas().collect();
        }
        vec![step.component.clone()]
    }

    /// When a component that was away at a time was ordered back; `None` when it was not away, or never came back.
    pub fn ordered_back(&self, component: &str, at_ms: i64) -> Option<i64> {
        let of_it = || self.steps.iter().filter(|step| step.component == component);
        let last = of_it().rfind(|step| step.start_ms <= at_ms)?;
        if matches!(last.action, Action::Start | Action::Resume | Action::Restart) {
            return None;
        }
        let back = |step: &&StepTime| matches!(step.action, Action::Start | Action::Resume);
        of_it().filter(|step| step.start_ms > at_ms).find(back).map(|step| step.start_ms)
    }
}

/// A component's process, seen at the start and at the end of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    pub component: String,
    /// Its life at the start of the run.
    pub at_start: ProcessIdentity,
    /// The same at its end; another one, or none, is a restart or a death.
    pub at_end: ProcessIdentity,
}

/// A picture of a page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// Below the experiment's folder.
    pub file: String,
    /// What it shows: `targets`, `alerts`, `graph`.
    pub page: String,
    /// The page's address.
    pub url: String,
    /// The alert for which it was taken.
    pub alert: String,
    /// When the page was asked for.
    pub taken_ms: i64,
}

/// A picture that could not be taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MissingPicture {
    /// The alert for which it was wanted.
    pub alert: String,
    /// What it should have shown: `targets`, `alerts`, `graph`.
    pub page: String,
    /// Why there is none.
    pub why: String,
}

/// `run.json` of a folder.
pub fn read_run(folder: &Path) -> anyhow::Result<Run> {
    let run: Run = read_json(&RUN.below(folder))?;
    ensure!(is_judged(run.schema), "run.json is of schema {}, this tool reads {OLDEST} to {SCHEMA}", run.schema);
    let phases = run.phases.iter().flat_map(|phase| [phase.start_ms, phase.end_ms]);
    let steps = run.steps.iter().flat_map(|step| [step.start_ms, step.end_ms]);
    let pictures = run.pictures.iter().map(|picture| picture.taken_ms);
    for at in phases.chain(steps).chain(pictures).chain([run.quiet_ms, run.end_ms]) {
        ensure!(is_a_time(at), "run.json holds {at}, which is no time of a run");
    }
    Ok(run)
}

/// Whether Unix milliseconds can be of a run: this century's. Whoever adds and subtracts them need not look again.
pub(crate) fn is_a_time(millis: i64) -> bool {
    (0..=4_102_444_800_000).contains(&millis)
}

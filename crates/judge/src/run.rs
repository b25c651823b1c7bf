//! `run.json` of an experiment, and the version of the statement that is made of it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::artifacts::RUN;
use super::files::read_json;
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::process_identity::ProcessIdentity;
use aiclipx_model::scenario::Action;

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
    /// How often a component was ended on purpose, and so has another process since.
    pub(crate) fn restarts_of(&self, component: &str) -> usize {
        let ended =
            |step: &&StepTime| step.component == component && matches!(step.action, Action::Kill | Action::Stop);
        self.steps.iter().filter(ended).count()
    }

    /// When a component was away because the scenario wanted it so, until it had been scraped again, or scraped itself.
    pub(crate) fn outages(&self, components: &[&str]) -> Vec<(i64, i64)> {
        let of_them = |step: &&StepTime| components.contains(&step.component.as_str());
        let ends = self
            .steps
            .iter()
            .filter(of_them)
            .filter(|step| matches!(step.action, Action::Kill | Action::Stop | Action::Pause));
        let settles = |component: &str| if component == PROMETHEUS { FIRST_SCRAPE_MS } else { BACK_MS };
        ends.map(|gone| {
            let back = self.steps.iter().filter(of_them).find(|step| {
                step.component == gone.component
                    && step.start_ms >= gone.end_ms
                    && matches!(step.action, Action::Start | Action::Resume)
            });
            // Without a step that starts it, a killed component is started by its supervisor, or never.
            let until = match (back, gone.action) {
                (Some(back), _) => back.end_ms + settles(&gone.component),
                (None, Action::Kill) => gone.end_ms + settles(&gone.component),
                (None, _) => self.end_ms,
            };
            (gone.start_ms, until.min(self.end_ms))
        })
        .collect()
    }

    /// When a component that was away at a time was ordered back; `None` when it was not away, or never came back.
    pub fn ordered_back(&self, component: &str, at_ms: i64) -> Option<i64> {
        let of_it = || self.steps.iter().filter(|step| step.component == component);
        let last = of_it().rfind(|step| step.start_ms <= at_ms)?;
        if matches!(last.action, Action::Start | Action::Resume) {
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

//! One enacted scenario as a folder: the names of its files, what `run.json` says, and reading it back.
//!
//! ```text
//! scenario.toml            what was enacted, byte for byte
//! run.json                 [`Run`]: when, how fast, by whom
//! ledger.jsonl             the client's truth
//! notifications.jsonl      what the receiver was sent, from the window's start to its end
//! exposition/{before,after}-N.prom   each replica's /metrics, around the traffic
//! samples/NAME.json        raw samples of the window, as Prometheus answered; NAME out of [`SAMPLES`]
//! loaded/NAME.json         what Prometheus and Alertmanager say they run; NAME out of [`LOADED`]
//! loaded/names.json        the names of all metrics that Prometheus had in the window
//! logs/COMPONENT.log       what the components wrote in the window
//! loki/requests.json       where Loki ran, how many lines of the run's requests it says it holds
//! loki/{planted,leaked}.json   which of the planted lines it holds, and which lines that tell a secret; see [`super::planted`]
//! panels/UID-ID-REF.json   each dashboard query: its plan, and the answer
//! panels/UID-ID.svg        the panel drawn from those answers
//! grafana/UID.json         where Grafana ran, what its page of a dashboard asked and was answered
//! graphs/ALERT.json        the graph of an expected alert's expression: to be drawn, no claim rests on it
//! screens/NAME.png         pictures taken while the expected alert fired
//! tsdb.tar                 of a private stack, a snapshot of Prometheus' data: for people, no claim rests on it
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use aiclipx_base::duration::Speed;
use aiclipx_dashboard::query::{PlannedQuery, QueryKind};
use aiclipx_model::epoch::Epoch;
use aiclipx_model::failure::Failure;
use aiclipx_model::files;
use aiclipx_model::monitoring::addresses::Addresses;
pub use aiclipx_model::notification::Notification;
use aiclipx_model::prom::answer::{self, Data, Series};
use aiclipx_model::prom::exposition::{self, Exposition};
use aiclipx_model::scenario::{Action, Scenario};
use aiclipx_model::traffic::ledger::Ledger;

/// The version of the statement: the layout above, what is claimed of it, and how that is decided, word for word. Whatever
/// changes one of them is a new version, which is asked for where it begins ([`Experiment::is_since`]); so a bundle is judged
/// by the version it was made under, for as long as that one is kept here. How a report looks is none of it.
///
/// 3: a scenario's faults must come; a query about a metric that never was is no answer; quiet is asked for while the scenario
/// lasts; a picture that came late is not proven; a panel that a late scrape puts off is a disturbance.
///
/// 4: an optional component that was a target and never answered is not said to be no part of the stack.
///
/// 5: a component that was away is back when it was started, and not when that was asked for; an alert that no part of its
/// expression can fire without an optional component is not quiet for want of it, however its parts are joined.
pub const SCHEMA: u32 = 5;

/// The oldest statement that is judged still.
pub const OLDEST: u32 = 2;

/// Whether a statement of this version can be judged here.
pub fn is_judged(schema: u32) -> bool {
    (OLDEST..=SCHEMA).contains(&schema)
}

/// Raw samples kept of every run: file name, and the selector whose window is asked for.
pub const SAMPLES: &[(&str, &str)] = &[
    ("requests", r#"app_requests_total{job="app"}"#),
    ("latency_count", r#"app_request_latency_seconds_count{job="app"}"#),
    ("latency_inf", r#"app_request_latency_seconds_bucket{job="app",le="+Inf"}"#),
    ("errors", r#"app_errors_total{job="app"}"#),
    ("up", "up"),
    ("scrape_duration", r#"scrape_duration_seconds{job="app"}"#),
    ("process_start", "process_start_time_seconds"),
    ("alerts", "ALERTS"),
    ("iterations_missed", "prometheus_rule_group_iterations_missed_total"),
];

/// What the monitoring says it runs: file name, whether Alertmanager is asked (else Prometheus), path.
pub const LOADED: &[(&str, bool, &str)] = &[
    ("config", false, "/api/v1/status/config"),
    ("rules", false, "/api/v1/rules"),
    ("flags", false, "/api/v1/status/flags"),
    ("prometheus", false, "/api/v1/status/buildinfo"),
    ("alertmanager", true, "/api/v2/status"),
];

/// The names of all metrics that Prometheus had in the window: `/api/v1/label/__name__/values`.
pub const NAMES: &str = "loaded/names.json";

/// `run.json`: what the ledger's head does not say of an enactment. Times are Unix milliseconds of this machine's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// [`SCHEMA`].
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
    /// What a stack that somebody else started did not show, and why; of our own stacks nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unseen: BTreeMap<Unseen, String>,
}

/// What may be out of reach on a stack that somebody else started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unseen {
    /// What the receiver was told: `notifications.jsonl` is empty.
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
    /// Start.
    pub start_ms: i64,
    /// End.
    pub end_ms: i64,
}

/// Something that was done to a component, as it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepTime {
    /// What.
    pub action: Action,
    /// To which component.
    pub component: String,
    /// When it was ordered.
    pub start_ms: i64,
    /// When it was done: a component that was started was ready.
    pub end_ms: i64,
}

/// The component that scrapes: while it is away nothing is recorded.
pub const PROMETHEUS: &str = "prometheus";

/// The component that is called.
pub const APP: &str = "app";

/// The component that is told: while it is away nothing is told.
pub const RECEIVER: &str = "receiver";

/// After its start Prometheus scrapes for the first time some five seconds later, whatever the interval (2.42, measured).
const FIRST_SCRAPE_MS: i64 = 8_000;
/// A component that is back is scraped an interval later; a supervisor needs a second to bring one back.
const BACK_MS: i64 = 2_500;

impl Run {
    /// How often a component was ended on purpose, and so has another process since.
    pub fn restarts_of(&self, component: &str) -> usize {
        let ended =
            |step: &&StepTime| step.component == component && matches!(step.action, Action::Kill | Action::Stop);
        self.steps.iter().filter(ended).count()
    }

    /// When a component was away because the scenario wanted it so, until it had been scraped again, or scraped itself.
    pub fn outages(&self, components: &[&str]) -> Vec<(i64, i64)> {
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
            // A killed component that nobody started is started by its supervisor, or never.
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
    /// The component.
    pub component: String,
    /// Its life at the start of the run.
    pub at_start: Epoch,
    /// The same at its end; another one, or none, is a restart or a death.
    pub at_end: Epoch,
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

impl Picture {
    /// Where the picture of a page for an alert lies, below the experiment's folder. Of a name that is no plain word
    /// nothing lies anywhere.
    pub fn file(alert: &str, page: &str) -> String {
        let word =
            |text: &str| text.chars().filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).collect::<String>();
        format!("screens/{}-{}.png", word(alert), word(page))
    }
}

/// One planned dashboard query with its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PanelAnswer {
    /// The dashboard's uid.
    pub dashboard: String,
    /// What was asked, and how Grafana would have come to ask it.
    pub plan: PlannedQuery,
    /// The answer, as JSON; Prometheus' own, to the letter.
    pub answer: Box<RawValue>,
}

impl PanelAnswer {
    /// `uid/id` of its panel.
    pub fn panel(&self) -> String {
        format!("{}/{}", self.dashboard, self.plan.panel)
    }

    /// Its place below the experiment's folder. A target may be asked over a range and for an instant.
    pub fn file(&self) -> String {
        let how = match self.plan.kind {
            QueryKind::Range { .. } => "",
            QueryKind::Instant { .. } => "-instant",
        };
        format!("panels/{}-{}-{}{how}.json", self.dashboard, self.plan.panel, self.plan.ref_id)
    }
}

/// An experiment's folder, read.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// The folder's name: the scenario's, with a number where it was enacted more than once.
    pub name: String,
    /// `run.json`.
    pub run: Run,
    /// `scenario.toml`.
    pub scenario: Scenario,
    /// `ledger.jsonl`.
    pub ledger: Ledger,
    /// `notifications.jsonl`.
    pub notifications: Vec<Notification>,
    /// `panels/*.json`, in order of file name.
    pub panels: Vec<PanelAnswer>,
    /// Jobs that had a target, and whether one of its scrapes ever succeeded, as far as `samples/up.json` can be read.
    pub scraped: BTreeMap<String, bool>,
    folder: PathBuf,
    read_before: Arc<Mutex<BTreeMap<String, Arc<Vec<Series>>>>>,
}

impl Experiment {
    /// Reads a folder that [`super::collect`] left. What is missing or doesn't parse is an error naming the file.
    pub fn read(folder: &Path) -> anyhow::Result<Experiment> {
        let run = read_run(folder)?;
        let scenario = read_scenario(folder, &run)?;
        let ledger_file = folder.join("ledger.jsonl");
        let ledger = Ledger::from_lines(&ledger_file, read_bytes(&ledger_file)?.as_slice());
        let ledger = ledger.map_err(|finding| anyhow::anyhow!("{}", Failure::from(vec![finding])))?;
        let notifications = notifications(&folder.join(NOTIFICATIONS))?;
        for at in notifications.iter().map(|notification| notification.received_ms) {
            ensure!(is_a_time(at), "notifications.jsonl holds {at}, which is no time of a run");
        }
        let mut panels = Vec::new();
        for file in files_in(&folder.join("panels"), ".json")? {
            panels.push(read_json(&file)?);
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut experiment = Experiment {
            name,
            run,
            scenario,
            ledger,
            notifications,
            panels,
            scraped: BTreeMap::new(),
            folder: folder.to_owned(),
            read_before: Arc::default(),
        };
        for series in experiment.samples("up").unwrap_or_default().iter().filter(|series| !series.samples.is_empty()) {
            let Some(job) = series.labels.get("job") else { continue };
            let answered = series.samples.iter().any(|sample| sample.value > 0.0);
            *experiment.scraped.entry(job.clone()).or_default() |= answered;
        }
        Ok(experiment)
    }

    /// Whether it is judged by a version of the statement not older than this one.
    pub fn is_since(&self, schema: u32) -> bool {
        self.run.schema >= schema
    }

    /// The names of all metrics that Prometheus had in the window.
    pub fn metric_names(&self) -> anyhow::Result<BTreeSet<String>> {
        #[derive(Deserialize)]
        struct Names {
            data: BTreeSet<String>,
        }
        let names: Names = read_json(&self.folder.join(NAMES)).map_err(|error| self.here(&error))?;
        Ok(names.data)
    }

    /// When the scenario was over: what happens while the last notifications are waited for is not its doing.
    pub fn over_ms(&self) -> i64 {
        self.run.phases.iter().map(|phase| phase.end_ms).max().unwrap_or(self.run.end_ms).max(self.ended_ms())
    }

    /// How many times faster than production the stack lived.
    pub fn speed(&self) -> Speed {
        self.ledger.head.speed
    }

    /// The ledger's time zero: nothing was sent before. Unix milliseconds, rounded down.
    pub fn sending_ms(&self) -> i64 {
        i64::try_from(self.ledger.head.started_unix_us / 1000).unwrap_or(i64::MAX)
    }

    /// Every request had ended by then. Unix milliseconds, rounded up.
    pub fn ended_ms(&self) -> i64 {
        i64::try_from(self.ledger.head.ended_unix_us.div_ceil(1000)).unwrap_or(i64::MAX)
    }

    /// A time of the ledger on the wall clock, in Unix milliseconds.
    pub fn wall_ms(&self, ledger_us: u64) -> i64 {
        i64::try_from((self.ledger.head.started_unix_us + ledger_us) / 1000).unwrap_or(i64::MAX)
    }

    /// Raw samples of the window; `name` out of [`SAMPLES`]. Samples outside the window were never asked for.
    pub fn samples(&self, name: &str) -> anyhow::Result<Arc<Vec<Series>>> {
        // Some are asked for by every claim on an alert.
        let mut read_before = self.read_before.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = read_before.get(name) {
            return Ok(Arc::clone(series));
        }
        let file = self.folder.join("samples").join(format!("{name}.json"));
        let read =
            || match answer::parse(&read_up_to(&file, LARGEST_JSON)?).with_context(|| file.display().to_string())?.data
            {
                Data::Matrix(series) => Ok(series),
                _ => anyhow::bail!("{} holds no range of samples", file.display()),
            };
        let series = Arc::new(read().map_err(|error| self.here(&error))?);
        read_before.insert(name.to_owned(), Arc::clone(&series));
        Ok(series)
    }

    /// An error that names a file by its place in the bundle: wherever the bundle lies, it says the same.
    pub(super) fn here(&self, error: &anyhow::Error) -> anyhow::Error {
        anyhow::anyhow!(format!("{error:#}").replace(&format!("{}/", self.folder.display()), ""))
    }

    /// What was loaded; `name` out of [`LOADED`].
    pub fn loaded(&self, name: &str) -> anyhow::Result<serde_json::Value> {
        let file = self.folder.join("loaded").join(format!("{name}.json"));
        let read = || serde_json::from_str(&read_tree_text(&file)?).with_context(|| file.display().to_string());
        read().map_err(|error| self.here(&error))
    }

    /// The replicas' expositions after the traffic, in order of replica.
    pub fn expositions_after(&self) -> anyhow::Result<Vec<Exposition>> {
        self.expositions("after")
    }

    /// The same from before it.
    pub fn expositions_before(&self) -> anyhow::Result<Vec<Exposition>> {
        self.expositions("before")
    }

    /// The revision each replica says it was built from, as far as it says anything.
    pub fn built_from(&self) -> impl Iterator<Item = String> + use<> {
        self.expositions_after().unwrap_or_default().into_iter().map(|exposition| {
            let build = exposition.keys().find(|series| series.name == "app_build_info");
            build.and_then(|series| series.labels.get("revision")).map_or("nothing", String::as_str).to_owned()
        })
    }

    fn expositions(&self, when: &str) -> anyhow::Result<Vec<Exposition>> {
        expositions(&self.folder, when, self.run.addresses.app.len()).map_err(|error| self.here(&error))
    }

    /// The service's log lines of the window that are of a request, replicas one after the other.
    ///
    /// Lines that are no JSON objects are counted, not hidden: the second value.
    pub fn service_log(&self) -> anyhow::Result<(Vec<LogLine>, usize)> {
        service_log(&self.folder).map_err(|error| self.here(&error))
    }

    /// Where it lies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many lines of the run's requests Loki held, where it ran.
    pub fn held_by_loki(&self) -> anyhow::Result<Option<u64>> {
        let file = self.folder.join(HELD_BY_LOKI);
        if !file.exists() {
            return Ok(None);
        }
        let held = read_text(&file).and_then(|text| held_by_loki(text.as_bytes()));
        held.map(Some).map_err(|error| self.here(&error))
    }

    /// The bytes of an exhibit, by its name without the ending of a packed one; none where it is not there.
    pub fn bytes_of(&self, exhibit: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let file = self.folder.join(exhibit);
        if !is_there(&file) {
            return Ok(None);
        }
        read_bytes(&file).map(Some).map_err(|error| self.here(&error))
    }

    /// A picture, or nothing if it isn't there, or is not where such a picture lies.
    pub fn picture(&self, picture: &Picture) -> Option<Vec<u8>> {
        if picture.file != Picture::file(&picture.alert, &picture.page) {
            return None;
        }
        read_bytes(&self.folder.join(&picture.file)).ok()
    }
}

/// Loki's answer to how many lines of the run's requests it holds; of a stack without Loki there is none.
pub const HELD_BY_LOKI: &str = "loki/requests.json";

/// The number in that answer. Of nothing Loki makes no sum, but an empty one.
pub fn held_by_loki(answer: &[u8]) -> anyhow::Result<u64> {
    let answer: serde_json::Value = serde_json::from_slice(answer).context("Loki's answer is no JSON")?;
    let result = answer["data"]["result"].as_array().context("Loki's answer has no result")?;
    let Some(series) = result.first() else { return Ok(0) };
    let value = series["value"][1].as_str().context("Loki's answer has no value")?;
    value.parse().with_context(|| format!("Loki counts {value} lines"))
}

/// What a line of the service's log says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Whose.
    pub request_id: String,
    /// How it was answered, where the line says so.
    pub status: Option<u64>,
}

impl LogLine {
    /// Nothing where it is of no request; an error where it is no JSON object.
    fn read(line: &str) -> anyhow::Result<Option<LogLine>> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(borrow)]
            request_id: Option<&'a RawValue>,
            #[serde(borrow)]
            status: Option<&'a RawValue>,
        }
        ensure!(line.trim_start().starts_with('{'), "no object");
        let Wire { request_id, status } = serde_json::from_str(line)?;
        let request_id = request_id.and_then(|id| serde_json::from_str(id.get()).ok());
        let status = status.and_then(|status| serde_json::from_str(status.get()).ok());
        Ok(request_id.map(|request_id| LogLine { request_id, status }))
    }
}

/// As [`Experiment::service_log`], of any folder.
pub fn service_log(folder: &Path) -> anyhow::Result<(Vec<LogLine>, usize)> {
    let mut lines = Vec::new();
    let mut junk = 0;
    for file in files_in(&folder.join("logs"), ".log")? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with("app") {
            continue;
        }
        for line in read_text(&file)?.lines() {
            match LogLine::read(line) {
                Ok(of_a_request) => lines.extend(of_a_request),
                Err(_) => junk += 1,
            }
        }
    }
    Ok((lines, junk))
}

/// `run.json` of a folder.
pub fn read_run(folder: &Path) -> anyhow::Result<Run> {
    let run: Run = read_json(&folder.join("run.json"))?;
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
pub fn is_a_time(millis: i64) -> bool {
    (0..=4_102_444_800_000).contains(&millis)
}

/// What was enacted in a folder.
pub fn read_scenario(folder: &Path, run: &Run) -> anyhow::Result<Scenario> {
    let text = read_text(&folder.join("scenario.toml"))?;
    let name = format!("{}.toml", run.scenario);
    let scenario = Scenario::from_text(Path::new(&name), &text)
        .map_err(|findings| anyhow::anyhow!("{}", Failure::from(findings)))?;
    ensure!(scenario.id() == run.scenario, "scenario.toml is {}, run.json says {}", scenario.id(), run.scenario);
    Ok(scenario)
}

/// What the receiver was sent in the window.
pub const NOTIFICATIONS: &str = "notifications.jsonl";

/// A packed exhibit's ending.
pub const PACKED: &str = ".gz";

/// No file of a bundle has more, packed or not: one that would is not ours.
const LARGEST: u64 = 64 << 20;
/// Nor has one that is read as JSON: understood, text may take twenty times as much.
const LARGEST_JSON: u64 = 8 << 20;
/// Nor has one that is read as a tree of values, or of the tree: there it may take eighty times as much.
const LARGEST_TREE: u64 = 2 << 20;
/// Nor have all of a bundle's together. A `prove` of everything has a tenth.
const LARGEST_BUNDLE: u64 = 256 << 20;

/// What is packed when a bundle is sealed: what Prometheus, the client and the logs said at length. It is some ten times
/// smaller so, and `zless` reads it.
const PACKED_FOLDERS: [(&str, &str); 7] = [
    ("samples", ".json"),
    ("logs", ".log"),
    ("loaded", ".json"),
    ("exposition", ".prom"),
    ("panels", ".json"),
    ("grafana", ".json"),
    ("graphs", ".json"),
];

/// And these.
const PACKED_FILES: [&str; 2] = ["ledger.jsonl", SNAPSHOT];

/// Prometheus' own data of the run, as it lies in its folder.
pub const SNAPSHOT: &str = "tsdb.tar";

/// Whether a file of an experiment's folder may be packed, by its name without [`PACKED`].
pub fn is_packed(file: &str) -> bool {
    let in_folder = |(folder, ending): &(&str, &str)| {
        file.split_once('/').is_some_and(|(of, name)| of == *folder && name.ends_with(ending))
    };
    PACKED_FILES.contains(&file) || PACKED_FOLDERS.iter().any(in_folder)
}

/// Packs an experiment's long exhibits, each in its place; the same bytes give the same file.
pub fn pack(folder: &Path) -> anyhow::Result<()> {
    let mut files: Vec<_> = PACKED_FILES.iter().map(|file| folder.join(file)).collect();
    for (of, ending) in PACKED_FOLDERS {
        files.extend(files_in(&folder.join(of), ending)?);
    }
    for file in files.iter().filter(|file| file.is_file()) {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let packed = gzip.write_all(&read_bytes(file)?).and_then(|()| gzip.finish());
        write(&packed_name(file), &packed.with_context(|| format!("cannot pack {}", file.display()))?)?;
        fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    Ok(())
}

fn packed_name(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(PACKED);
    name.into()
}

/// Whether an exhibit is there, packed or not, by its name without [`PACKED`].
pub fn is_there(file: &Path) -> bool {
    file.exists() || packed_name(file).exists()
}

/// Reads a whole file, packed or not, by its name without [`PACKED`].
pub fn read_bytes(file: &Path) -> anyhow::Result<Vec<u8>> {
    read_up_to(file, LARGEST)
}

fn read_up_to(file: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = copy_up_to(file, most, &mut bytes)?;
    debug_assert_eq!(length, bytes.len() as u64);
    Ok(bytes)
}

/// How long all these files are together, unpacked; an error where that is more than a bundle has.
pub fn within_bounds(files: impl IntoIterator<Item = PathBuf>) -> anyhow::Result<u64> {
    let mut all = 0;
    for file in files {
        let plain = file.to_str().and_then(|name| name.strip_suffix(PACKED)).map_or(file.clone(), Into::into);
        let left = LARGEST_BUNDLE - all;
        let length = copy_up_to(&plain, LARGEST.min(left), &mut std::io::sink());
        all += if left < LARGEST {
            length.with_context(|| format!("the files of a bundle have {LARGEST_BUNDLE} bytes together at most"))?
        } else {
            length?
        };
    }
    Ok(all)
}

/// Copies a file, packed or not, and tells how long it is; an error where that is more than `most`.
fn copy_up_to(file: &Path, most: u64, to: &mut impl std::io::Write) -> anyhow::Result<u64> {
    let cannot = || format!("cannot read {}", file.display());
    let packed = packed_name(file);
    let too_long = || format!("{} has more than {most} bytes", file.display());
    if file.exists() || !packed.exists() {
        let length =
            std::io::copy(&mut files::open(file).with_context(cannot)?.take(most + 1), to).with_context(cannot)?;
        ensure!(length <= most, too_long());
        return Ok(length);
    }
    let cannot = || format!("cannot read {}", packed.display());
    let stored = BufReader::new(files::open(&packed).with_context(cannot)?);
    let mut reader = flate2::bufread::GzDecoder::new(stored).take(most + 1);
    let length = std::io::copy(&mut reader, to).with_context(cannot)?;
    ensure!(length <= most, too_long());
    // Another reader would show people what stands behind.
    let rest = reader.into_inner().into_inner().fill_buf().with_context(cannot)?.len();
    ensure!(rest == 0, "{}{PACKED} goes on behind what it packs", file.display());
    Ok(length)
}

/// Where what a replica exposed lies in a run's folder; `when` is `before` or `after` the traffic.
pub fn exposition_file(folder: &Path, when: &str, replica: usize) -> PathBuf {
    folder.join("exposition").join(format!("{when}-{replica}.prom"))
}

/// What so many replicas exposed, in their order; an error names the file.
pub fn expositions(folder: &Path, when: &str, replicas: usize) -> anyhow::Result<Vec<Exposition>> {
    let read = |replica| {
        let file = exposition_file(folder, when, replica);
        exposition::parse(&read_text(&file)?).with_context(|| file.display().to_string())
    };
    (0..replicas).map(read).collect()
}

/// Reads a whole text file, packed or not.
pub fn read_text(file: &Path) -> anyhow::Result<String> {
    text(file, read_bytes(file)?)
}

/// The same of what is read as a tree of values, or is of the tree.
pub fn read_tree_text(file: &Path) -> anyhow::Result<String> {
    text(file, read_up_to(file, LARGEST_TREE)?)
}

fn text(file: &Path, bytes: Vec<u8>) -> anyhow::Result<String> {
    String::from_utf8(bytes).with_context(|| format!("{} is no UTF-8", file.display()))
}

/// Reads a JSON file.
pub fn read_json<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = text(file, read_up_to(file, LARGEST_JSON)?)?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what it should be", file.display()))
}

/// Writes a JSON file that people can read, creating its folder.
pub fn write_json(file: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let text = json_text(value).with_context(|| format!("cannot encode {}", file.display()))?;
    write(file, text.as_bytes())
}

/// The text that [`write_json`] writes.
pub fn json_text(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Writes a file, creating its folder.
pub fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

/// Read as the receiver did before it kept them.
fn notifications(file: &Path) -> anyhow::Result<Vec<Notification>> {
    text(file, read_up_to(file, LARGEST_JSON)?)?
        .lines()
        .enumerate()
        .map(|(index, line)| {
            Notification::read(line).with_context(|| format!("{}:{}: not what it should be", file.display(), index + 1))
        })
        .collect()
}

/// The files of a folder with an ending, packed or not, by name without [`PACKED`]; none where the folder is absent.
pub fn files_in(folder: &Path, ending: &str) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let name = path.to_string_lossy();
        let name = if ending.is_empty() { &name } else { name.strip_suffix(PACKED).unwrap_or(&name) };
        if name.ends_with(ending) {
            files.push(name.into());
        }
    }
    files.sort();
    Ok(files)
}

//! One enacted scenario as a folder, read: what its files say, as types. Which files there are: [`artifacts`].

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::artifacts::{self, HELD_BY_LOKI, LEDGER, LOADED, NAMES, NOTIFICATIONS, PANEL_ANSWER, SAMPLE, SCENARIO};
use super::files::{
    LARGEST_JSON, files_in, is_there, read_bytes, read_json, read_text, read_tree_text, read_up_to, text,
};
use super::run::{Picture, Run, is_a_time, read_run};
use aiclipx_base::duration::Speed;
use aiclipx_dashboard::query::{PlannedQuery, QueryKind};
use aiclipx_model::failure::Failure;
use aiclipx_model::notification::Notification;
use aiclipx_model::prom::answer::{self, Data, Series};
use aiclipx_model::prom::exposition::{self, Exposition};
use aiclipx_model::scenario::{Scenario, Volume};
use aiclipx_model::service::{APP, Log, Service};
use aiclipx_model::traffic::ledger::Ledger;

/// One planned dashboard query with its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PanelAnswer {
    pub dashboard: String,
    /// What was asked, and how Grafana would have come to ask it.
    pub plan: PlannedQuery,
    /// The answer, as JSON; Prometheus' own, to the letter.
    pub answer: Box<RawValue>,
}

impl PanelAnswer {
    /// `uid/id` of its panel.
    pub(crate) fn panel(&self) -> String {
        format!("{}/{}", self.dashboard, self.plan.panel)
    }

    /// Its place below the experiment's folder. A target may be asked over a range and for an instant.
    pub fn file(&self) -> String {
        let how = match self.plan.kind {
            QueryKind::Range { .. } => "",
            QueryKind::Instant { .. } => "-instant",
        };
        PANEL_ANSWER.named(&format!("{}-{}-{}{how}", self.dashboard, self.plan.panel, self.plan.ref_id))
    }
}

/// An experiment's folder, read.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// The folder's name: the scenario's, with a number where it was enacted more than once.
    pub name: String,
    pub run: Run,
    pub scenario: Scenario,
    pub ledger: Ledger,
    pub notifications: Vec<Notification>,
    /// `panels/*.json`, in order of file name.
    pub panels: Vec<PanelAnswer>,
    /// Jobs that had a target, and whether one of its scrapes ever succeeded, as far as `samples/up.json` can be read.
    pub scraped: BTreeMap<String, bool>,
    folder: PathBuf,
    read_before: Arc<Mutex<BTreeMap<String, Arc<Vec<Series>>>>>,
}

impl Experiment {
    /// Reads a folder that the runner collected. What is missing or doesn't parse is an error naming the file.
    pub fn read(folder: &Path) -> anyhow::Result<Experiment> {
        let run = read_run(folder)?;
        let scenario = read_scenario(folder, &run)?;
        let ledger_file = LEDGER.below(folder);
        let ledger = Ledger::from_lines(&ledger_file, read_bytes(&ledger_file)?.as_slice());
        let ledger = ledger.map_err(|finding| anyhow::anyhow!("{}", Failure::from(vec![finding])))?;
        let notifications = notifications(&NOTIFICATIONS.below(folder))?;
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
    pub(crate) fn is_since(&self, schema: u32) -> bool {
        self.run.schema >= schema
    }

    /// The names of all metrics that Prometheus had in the window.
    pub(crate) fn metric_names(&self) -> anyhow::Result<BTreeSet<String>> {
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

    /// Whether it took less than its scenario says at this speed, as `--duration` has it.
    pub(crate) fn was_shortened(&self) -> bool {
        let whole: u128 = self.scenario.phases.iter().map(|phase| phase.duration.as_micros()).sum();
        u128::from(self.ledger.head.length_us) < whole / u128::from(self.speed().factor())
    }

    /// Whether the scenario sends anything at all.
    pub(crate) fn sends(&self) -> bool {
        self.scenario.phases.iter().any(|phase| phase.volume != Volume::Silent)
    }

    /// How many times faster than production the stack lived.
    pub fn speed(&self) -> Speed {
        self.ledger.head.speed
    }

    /// The ledger's time zero: nothing was sent before. Unix milliseconds, rounded down.
    pub(crate) fn sending_ms(&self) -> i64 {
        i64::try_from(self.ledger.head.started_unix_us / 1000).unwrap_or(i64::MAX)
    }

    /// Every request had ended by then. Unix milliseconds, rounded up.
    pub(crate) fn ended_ms(&self) -> i64 {
        i64::try_from(self.ledger.head.ended_unix_us.div_ceil(1000)).unwrap_or(i64::MAX)
    }

    /// A time of the ledger on the wall clock, in Unix milliseconds.
    pub(crate) fn wall_ms(&self, ledger_us: u64) -> i64 {
        i64::try_from((self.ledger.head.started_unix_us + ledger_us) / 1000).unwrap_or(i64::MAX)
    }

    /// Raw samples of the window; `name` out of [`SAMPLES`](super::artifacts::SAMPLES). Samples outside the window were never asked for.
    pub(crate) fn samples(&self, name: &str) -> anyhow::Result<Arc<Vec<Series>>> {
        // Some are asked for by every claim on an alert.
        let mut read_before = self.read_before.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = read_before.get(name) {
            return Ok(Arc::clone(series));
        }
        let file = self.folder.join(SAMPLE.named(name));
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

    /// What was loaded; `name` out of [`LOADED_ANSWERS`](super::artifacts::LOADED_ANSWERS).
    pub(crate) fn loaded(&self, name: &str) -> anyhow::Result<serde_json::Value> {
        let file = self.folder.join(LOADED.named(name));
        let read = || serde_json::from_str(&read_tree_text(&file)?).with_context(|| file.display().to_string());
        read().map_err(|error| self.here(&error))
    }

    /// The replicas' expositions after the traffic, in order of replica.
    pub(crate) fn expositions_after(&self) -> anyhow::Result<Vec<Exposition>> {
        self.expositions("after")
    }

    /// The same from before it.
    pub(crate) fn expositions_before(&self) -> anyhow::Result<Vec<Exposition>> {
        self.expositions("before")
    }

    /// The revision each replica says it was built from, of a service that says so.
    pub fn built_from(&self, service: &Service) -> Vec<String> {
        let told = service.build.as_ref().and_then(|build| Some((build, build.revision.as_ref()?)));
        let Some((build, revision)) = told else { return Vec::new() };
        let of = |exposition: Exposition| {
            let told = exposition.keys().find(|series| series.name == build.info);
            told.and_then(|series| series.labels.get(revision)).map_or("nothing", String::as_str).to_owned()
        };
        self.expositions_after().unwrap_or_default().into_iter().map(of).collect()
    }

    fn expositions(&self, when: &str) -> anyhow::Result<Vec<Exposition>> {
        expositions(&self.folder, when, self.run.addresses.app.len()).map_err(|error| self.here(&error))
    }

    /// The service's log lines of the window that are of a request, replicas one after the other.
    ///
    /// Lines that are no JSON objects are counted, not hidden: the second value.
    pub(crate) fn service_log(&self, log: &Log) -> anyhow::Result<(Vec<LogLine>, usize)> {
        service_log(&self.folder, log).map_err(|error| self.here(&error))
    }
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many lines of the run's requests Loki held, where it ran.
    pub(crate) fn held_by_loki(&self) -> anyhow::Result<Option<u64>> {
        let file = self.folder.join(HELD_BY_LOKI);
        if !file.exists() {
            return Ok(None);
        }
        let held = read_text(&file).and_then(|text| held_by_loki(text.as_bytes()));
        held.map(Some).map_err(|error| self.here(&error))
    }

    /// The bytes of an artifact, by its name without the ending of a packed one; none where it is not there.
    pub(crate) fn bytes_of(&self, artifact: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let file = self.folder.join(artifact);
        if !is_there(&file) {
            return Ok(None);
        }
        read_bytes(&file).map(Some).map_err(|error| self.here(&error))
    }

    /// A picture, or nothing if it isn't there, or is not where such a picture lies.
    pub(crate) fn picture(&self, picture: &Picture) -> Option<Vec<u8>> {
        if picture.file != artifacts::picture(&picture.alert, &picture.page) {
            return None;
        }
        read_bytes(&self.folder.join(&picture.file)).ok()
    }
}

/// The number in Loki's answer to how many lines of the run's requests it holds. Loki answers an empty vector, not 0, when nothing matches.
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
    pub request_id: String,
    /// How it was answered, where the line says so.
    pub status: Option<u64>,
}

impl LogLine {
    /// Nothing where it is of no request; an error where it is no JSON object.
    fn read(line: &str, log: &Log) -> anyhow::Result<Option<LogLine>> {
        ensure!(line.trim_start().starts_with('{'), "no object");
        let told: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(line)?;
        let at = |key: &String| told.get(key.as_str()).map(|value| value.get());
        let request_id = at(&log.request_id).and_then(|id| serde_json::from_str(id).ok());
        let status = at(&log.status).and_then(|status| serde_json::from_str(status).ok());
        Ok(request_id.map(|request_id| LogLine { request_id, status }))
    }
}

/// As [`Experiment::service_log`], of any folder.
pub fn service_log(folder: &Path, log: &Log) -> anyhow::Result<(Vec<LogLine>, usize)> {
    let mut lines = Vec::new();
    let mut junk = 0;
    for file in files_in(&folder.join("logs"), ".log")? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with(APP) {
            continue;
        }
        for line in read_text(&file)?.lines() {
            match LogLine::read(line, log) {
                Ok(of_a_request) => lines.extend(of_a_request),
                Err(_) => junk += 1,
            }
        }
    }
    Ok((lines, junk))
}

/// What was enacted in a folder.
pub fn read_scenario(folder: &Path, run: &Run) -> anyhow::Result<Scenario> {
    let text = read_text(&SCENARIO.below(folder))?;
    let name = format!("{}.toml", run.scenario);
    let scenario = Scenario::from_text(Path::new(&name), &text)
        .map_err(|findings| anyhow::anyhow!("{}", Failure::from(findings)))?;
    ensure!(scenario.id() == run.scenario, "scenario.toml is {}, run.json says {}", scenario.id(), run.scenario);
    Ok(scenario)
}

/// What so many replicas exposed, in their order; an error names the file.
pub fn expositions(folder: &Path, when: &str, replicas: usize) -> anyhow::Result<Vec<Exposition>> {
    let read = |replica| {
        let file = folder.join(artifacts::exposition(when, replica));
        exposition::parse(&read_text(&file)?).with_context(|| file.display().to_string())
    };
    (0..replicas).map(read).collect()
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

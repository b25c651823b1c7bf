//! An experiment's folder on disk: written from a world, edited in one place, judged, and asked what came of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use aiclipx_judge::experiment::Experiment;
use aiclipx_judge::files::{read_json, write, write_json};
use aiclipx_judge::judge::{self, Judgement, Verdict};
use aiclipx_judge::run::Run;
use aiclipx_judge::validity::Disturbance;
use aiclipx_model::traffic::ledger::Ledger;
use serde_json::Value;
use tempfile::TempDir;

use crate::artifacts::{Files, ledger_lines};
use crate::world::{self, Life, WITH_ERRORS};

/// One experiment's folder, in a place whose path contains a space.
pub(crate) struct Fixture {
    _place: TempDir,
    pub(crate) folder: PathBuf,
}

impl Fixture {
    /// Three requests of ten fail; everything holds.
    pub(crate) fn with_errors() -> Fixture {
        Fixture::of("error-rate", &world::WITH_ERRORS_FILES)
    }

    /// Nobody calls; everything holds.
    pub(crate) fn silent() -> Fixture {
        Fixture::of("quiet", &world::SILENT_FILES)
    }

    pub(crate) fn of(name: &str, files: &Files) -> Fixture {
        let place = tempfile::Builder::new().prefix("a place ").tempdir().unwrap();
        let folder = place.path().join(name);
        for (file, bytes) in files {
            write(&folder.join(file), bytes).unwrap();
        }
        Fixture { _place: place, folder }
    }

    /// Edits an artifact of text.
    pub(crate) fn text(self, file: &str, edit: impl FnOnce(&str) -> String) -> Fixture {
        let path = self.folder.join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        let edited = edit(&text);
        assert_ne!(edited, text, "the edit of {file} changes nothing");
        fs::write(path, edited).unwrap();
        self
    }

    /// The same as another run: no two have one id.
    pub(crate) fn run_before(self) -> Fixture {
        let id = self.experiment().run.id;
        let other = format!("before-{id}");
        let edit = |text: &str| text.replace(&id, &other);
        self.text("run.json", edit).text("ledger.jsonl", edit).text("logs/app.log", edit)
    }

    /// Edits an artifact of JSON.
    pub(crate) fn json(self, file: &str, edit: impl FnOnce(&mut Value)) -> Fixture {
        self.text(file, |text| {
            let mut value = serde_json::from_str(text).unwrap();
            edit(&mut value);
            value.to_string()
        })
    }

    /// Edits an artifact of JSON lines.
    pub(crate) fn lines(self, file: &str, edit: impl FnOnce(&mut Vec<String>)) -> Fixture {
        self.text(file, |text| {
            let mut lines = text.lines().map(str::to_owned).collect();
            edit(&mut lines);
            lines.iter().map(|line| format!("{line}\n")).collect()
        })
    }

    pub(crate) fn run(self, edit: impl FnOnce(&mut Run)) -> Fixture {
        let path = self.folder.join("run.json");
        let mut run: Run = read_json(&path).unwrap();
        edit(&mut run);
        write_json(&path, &run).unwrap();
        self
    }

    pub(crate) fn ledger(self, edit: impl FnOnce(&mut Ledger)) -> Fixture {
        self.text("ledger.jsonl", |text| {
            let mut ledger = Ledger::from_lines(Path::new("ledger.jsonl"), text.as_bytes()).unwrap();
            edit(&mut ledger);
            ledger_lines(&ledger)
        })
    }

    /// With an artifact that was not there.
    pub(crate) fn with(self, file: &str, text: &str) -> Fixture {
        assert!(!self.folder.join(file).exists(), "{file} is there");
        write(&self.folder.join(file), text.as_bytes()).unwrap();
        self
    }

    pub(crate) fn without(self, file: &str) -> Fixture {
        fs::remove_file(self.folder.join(file)).unwrap();
        self
    }

    /// Edits the stored samples of one file, series by series.
    pub(crate) fn series(self, name: &str, edit: impl FnOnce(&mut Vec<Value>)) -> Fixture {
        self.json(&format!("samples/{name}.json"), |answer| {
            edit(answer["data"]["result"].as_array_mut().expect("a matrix"));
        })
    }

    /// The service counted otherwise than it should have from the middle of the traffic on: Prometheus stored it so.
    pub(crate) fn stored(self, name: &str, labels: &[(&str, &str)], by: f64) -> Fixture {
        self.series(name, |all| {
            let series = all.iter_mut().find(|series| has(series, labels)).expect("there is such a series");
            let samples = series["values"].as_array_mut().unwrap();
            let middle = samples.len() / 2;
            for sample in &mut samples[middle..] {
                let value: f64 = sample[1].as_str().unwrap().parse().unwrap();
                sample[1] = (value + by).to_string().into();
            }
        })
    }

    /// The same as it is exposed at the end.
    pub(crate) fn exposed(self, series: &str, by: f64) -> Fixture {
        self.lines("exposition/after-0.prom", |lines| {
            let line = lines.iter_mut().find(|line| line.starts_with(series)).expect("there is such a series");
            let (name, value) = line.rsplit_once(' ').unwrap();
            *line = format!("{name} {}", value.parse::<f64>().unwrap() + by);
        })
    }

    /// The expected alert lived otherwise; its pictures are taken while it fires, as they should be.
    pub(crate) fn alert_lived(self, change: impl FnOnce(&mut Life)) -> Fixture {
        let mut lives = WITH_ERRORS.lives.clone();
        let life = lives.get_mut("AppHigh5xxErrorRate").unwrap();
        change(life);
        let pictured = life.firing.map(|firing| world::pictures("AppHigh5xxErrorRate", firing + 60));
        for (file, bytes) in WITH_ERRORS.alert_files(&lives) {
            fs::write(self.folder.join(file), bytes).unwrap();
        }
        self.run(|run| run.pictures = pictured.unwrap_or_default())
    }

    pub(crate) fn experiment(&self) -> Experiment {
        Experiment::read(&self.folder).unwrap_or_else(|error| panic!("{error:#}"))
    }

    pub(crate) fn disturbances(&self) -> Vec<Disturbance> {
        judge::disturbances(&self.experiment(), world::tree())
    }

    pub(crate) fn judged(&self) -> Judged {
        let experiment = self.experiment();
        Judged(judge::judge(&experiment, world::tree()))
    }
}

/// Whether a stored series has these labels.
pub(crate) fn has(series: &Value, labels: &[(&str, &str)]) -> bool {
    labels.iter().all(|(name, value)| series["metric"][name] == *value)
}

/// An experiment, judged.
pub(crate) struct Judged(pub Vec<Judgement>);

impl Judged {
    /// A claim's judgement, by its id without the experiment.
    pub(crate) fn of(&self, id: &str) -> &Judgement {
        let found = self.0.iter().find(|judgement| short(judgement) == id);
        found.unwrap_or_else(|| panic!("no claim {id} among {:?}", self.0.iter().map(short).collect::<Vec<_>>()))
    }

    /// These claims fail and every other holds.
    pub(crate) fn fails_exactly(&self, what: &str, claims: &[&str]) {
        let not_holding: BTreeSet<&str> =
            self.0.iter().filter(|judgement| judgement.verdict != Verdict::Holds).map(short).collect();
        let expected: BTreeSet<&str> = claims.iter().copied().collect();
        assert_eq!(not_holding, expected, "{what}: {}", self.whys());
        for claim in claims {
            let verdict = &self.of(claim).verdict;
            assert!(matches!(verdict, Verdict::Fails(_)), "{what}: {claim} is {verdict:?}");
        }
    }

    /// These claims are not proven, for this reason, and every other holds.
    pub(crate) fn leaves_open(&self, claims: &[&str], reason: &str) {
        for judgement in &self.0 {
            let open = claims.contains(&short(judgement));
            match &judgement.verdict {
                Verdict::NotProven(why) if open => assert!(why.contains(reason), "{why}"),
                Verdict::Holds if !open => {}
                other => panic!("{}: {other:?}", short(judgement)),
            }
        }
    }

    /// Everything that does not hold, with its reason.
    pub(crate) fn whys(&self) -> String {
        let open = self.0.iter().filter(|judgement| judgement.verdict != Verdict::Holds);
        let lines: Vec<String> =
            open.map(|j| format!("\n  {} {}: {}", short(j), j.verdict.word(), j.verdict.why())).collect();
        lines.concat()
    }
}

fn short(judgement: &Judgement) -> &str {
    judgement.claim.id.strip_prefix(&format!("{}/", judgement.claim.experiment)).expect("ids begin with the experiment")
}

//! All that the folder of a drill shows: its plan, its scenes, every cell decided, and the verdict over them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use super::cells::{self, Basis, Seen};
use super::course::as_told;
use super::given::{Given, Role, role};
use super::layout::{GIVEN, RUN, SCENES};
use super::plan::{Plan, Scene, Wanted};
use super::promtool;
use super::record::Record;
use super::rows::Row;
use super::stage::TELLS_NOBODY;
use super::tally::{Cell, Column};
use crate::files::{files_in, read_json};
use crate::judge::Verdict;
use aiclipx_base::duration::Speed;
use aiclipx_model::counted::share;
use aiclipx_model::drill::scene;
use aiclipx_model::failure::Failure;
use aiclipx_model::files;
use aiclipx_model::monitoring::promql;
use aiclipx_model::notification::Status;

/// The version of a drill's statement: the [`layout`](super::layout), what is claimed of it, and how that is decided, word for word.
/// Whatever changes one of them is a new version. How a report looks is none of it.
///
/// 2: each rule has a row; who is told is held to whom an alert is meant for, where a `drill.yaml` says it; texts that an
/// integration has of itself are rendered; of what fires always no end is claimed.
/// 3: what can't be lived takes nothing else of its test with it; measured numbers in labels are the test's to a billionth; a message
/// of which nothing comes out fails; a route that is muted at all times proves nothing; subqueries have a grid in common, or the
/// alert is not proven.
pub const SCHEMA: u32 = 3;
/// The oldest that is judged still. Neither of those before lasted a day.
pub const OLDEST: u32 = 3;
/// What `run.json` of such a bundle says it is.
pub const KIND: &str = "drill";

/// `run.json`: how the drill was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// [`KIND`].
    pub kind: String,
    /// [`SCHEMA`].
    pub schema: u32,
    /// The bundle's name: `<UTC>-drill`.
    pub id: String,
    /// Version of the tool that judged and wrote it.
    pub tool: String,
    /// SHA-256 of that very program, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Where Alertmanager's configuration lies among what was given.
    pub alertmanager: PathBuf,
    /// Only these alerts; all where there are none.
    pub only: Vec<String>,
    /// The speed that was asked for; else each scene has its own.
    pub speed: Option<Speed>,
    /// Unix milliseconds.
    pub began_ms: i64,
    pub ended_ms: i64,
    pub versions: BTreeMap<String, String>,
    /// Operating system, architecture, processors.
    pub machine: String,
    /// Scenes of which nothing could be recorded, twice, and why.
    pub unfinished: BTreeMap<String, String>,
    /// Scenes that were disturbed and lived again: what is here is the second try.
    pub repeated: Vec<String>,
    /// What promtool itself says against each test file that it fails.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub promtool: BTreeMap<PathBuf, String>,
    /// What lies in the folder that was drilled and was not read, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<String>,
}

impl Made {
    pub fn wanted(&self) -> Wanted {
        Wanted { only: self.only.clone(), speed: self.speed }
    }
}

/// Everything that is derived from the folder.
#[derive(Debug)]
pub struct Outcome {
    pub made: Made,
    pub given: Given,
    pub plan: Plan,
    /// By the scene's name.
    pub records: BTreeMap<String, Record>,
    /// Alert by alert, in the order of the columns.
    pub cells: Vec<Cell>,
}

impl Outcome {
    /// Reads a folder, plans again, holds what was loaded and sent against the plan, and decides every cell.
    pub fn derive(folder: &Path) -> Result<Outcome, Failure> {
        let made: Made = read_json(&folder.join(RUN))?;
        let given = Given::from_files(read_given(&folder.join(GIVEN))?, &made.alertmanager)?;
        is_all_used(&given)?;
        is_about_given(&made, &given)?;
        let plan = Plan::of(&given, &made.wanted());
        let mut records = BTreeMap::new();
        for path in files_in(&folder.join(SCENES), "")? {
            let record = Record::read(&path).with_context(|| format!("the scene in {}", path.display()))?;
            records.insert(record.name.clone(), record);
        }
        is_of_plan(&made, &given, &plan, &records)?;
        let seen: Vec<Seen> = plan.scenes.iter().map(|scene| (scene, records.get(&scene.name))).collect();
        let basis = Basis { given: &given, plan: &plan, scenes: &seen, unfinished: &made.unfinished };
        let mut cells: Vec<Cell> = plan.rows.iter().flat_map(|row| cells::of_row(&basis, row)).collect();
        doubt(&made, &given, &plan, &mut cells);
        Ok(Outcome { made, given, plan, records, cells })
    }

    /// How many cells have a verdict like this.
    pub fn count(&self, like: impl Fn(&Verdict) -> bool) -> usize {
        self.cells.iter().filter(|cell| like(&cell.verdict)).count()
    }

    /// The row of an alert.
    pub fn row(&self, alert: &str) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(move |cell| cell.alert == alert)
    }

    /// Alerts of whose cells none fails and some hold; alerts with nothing proven; all.
    pub fn alerts(&self) -> (usize, usize, usize) {
        let all = |alert: &str, like: &dyn Fn(&Verdict) -> bool| self.row(alert).all(|cell| like(&cell.verdict));
        let names = || self.plan.rows.iter().map(|row| row.name.as_str());
        let holds = names().filter(|alert| all(alert, &|verdict| *verdict == Verdict::Holds)).count();
        let open = names().filter(|alert| all(alert, &|verdict| matches!(verdict, Verdict::NotProven(_)))).count();
        (holds, open, names().count())
    }

    /// The verdict over everything, a sentence without its full stop.
    pub fn headline(&self) -> String {
        let fails: BTreeSet<&str> = self.failing(|verdict| matches!(verdict, Verdict::Fails(_)));
        let invalid = self.failing(|verdict| matches!(verdict, Verdict::Invalid(_)));
        match (fails.len(), invalid.len()) {
            (0, 0) if !self.is_about_something() => "Nothing was proven".to_owned(),
            (0, 0) => "Every alert that has a test was told as it should be".to_owned(),
            (0, 1) => "The drill is inconclusive: one alert's was disturbed".to_owned(),
            (0, alerts) => format!("The drill is inconclusive: those of {alerts} alerts were disturbed"),
            (1, _) => format!("One alert is not as it should be: {}", fails.into_iter().collect::<String>()),
            (alerts, _) => format!("{alerts} alerts are not as they should be"),
        }
    }

    fn is_about_something(&self) -> bool {
        self.count(|verdict| *verdict == Verdict::Holds) > 0
    }

    /// What everybody should know beside the verdicts: what was not read, and what is told to nobody.
    pub fn remarks(&self) -> Vec<String> {
        let passed_over = self.made.passed_over.iter().map(|what| format!("passed over: {what}"));
        let to_nobody = self.cells.iter().filter(|cell| {
            cell.column == Column::ToldTo && cell.verdict == Verdict::Holds && cell.observed.contains(TELLS_NOBODY)
        });
        let to_nobody = to_nobody.map(|cell| format!("{} is told to {}", cell.alert, cell.observed));
        // Of a choice of alerts it says nothing that a receiver heard of none.
        let idle = self.told().into_iter().filter(|(_, alerts)| alerts.is_empty() && self.made.only.is_empty());
        let idle = idle.map(|(receiver, _)| {
            format!("{receiver} was told of no alert; a drill.yaml can say which should reach it")
        });
        let endless = self.plan.rows.iter().filter(|row| row.fires_always());
        let endless = endless.map(|row| format!("{} {FIRES_ALWAYS}", row.name));
        passed_over.chain(self.left_out()).chain(self.calendars()).chain(to_nobody).chain(idle).chain(endless).collect()
    }

    /// Rules that are in no scene of their test, for they can't be lived: what they would inhibit is told as if they were not there.
    fn left_out(&self) -> BTreeSet<String> {
        let of_scene = |scene: &Scene| scene::unlived(&self.plan.rules[scene.file], scene.stretch.speed);
        let told = self.plan.scenes.iter().flat_map(of_scene);
        told.map(|why| format!("left out, and its test lived without it: {why}")).collect()
    }

    /// The calendars of routes that lead what the tests expect to somebody: what was left out, with its line.
    fn calendars(&self) -> BTreeSet<String> {
        let mut told = BTreeSet::new();
        for scene in &self.plan.scenes {
            let external = &scene.group(&self.given).external_labels;
            for (test, expected) in
                scene.asked(&self.given).flat_map(|test| test.expected.iter().map(move |one| (test, one)))
            {
                for place in self.given.configuration.places(&as_told(&expected.labels, external)) {
                    let Some(calendar) = &place.calendar else { continue };
                    told.insert(format!(
                        "{}:{}: {} is not lived: at which times {} is told of {}, nothing here shows",
                        self.given.alertmanager.display(),
                        calendar.line,
                        calendar.named,
                        place.receiver,
                        test.alert
                    ));
                }
            }
        }
        told
    }

    /// Every receiver of the configuration, with the alerts that it was told of.
    pub fn told(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut told: BTreeMap<&str, BTreeSet<&str>> =
            self.given.configuration.receivers().map(|name| (name, BTreeSet::new())).collect();
        for notification in self.records.values().flat_map(|record| &record.notifications) {
            let fire = notification.body.alerts.iter().filter(|alert| alert.status == Status::Firing);
            let names = fire.filter_map(|alert| alert.labels.get("alertname").map(String::as_str));
            told.entry(&notification.body.receiver).or_default().extend(names);
        }
        told
    }

    fn failing(&self, like: impl Fn(&Verdict) -> bool) -> BTreeSet<&str> {
        self.cells.iter().filter(|cell| like(&cell.verdict)).map(|cell| cell.alert.as_str()).collect()
    }

    /// `20 of 22 alerts hold in every cell, 2 have no proof, 80 of 88 claims hold, 8 not proven`.
    pub fn tally(&self) -> String {
        let (holds, open, all) = self.alerts();
        let claims = self.count(|verdict| *verdict == Verdict::Holds);
        let mut parts = vec![format!("{} in every cell", share(holds, all, "alert", HOLD))];
        parts.extend((open > 0).then(|| format!("{open} {} no proof", if open == 1 { "has" } else { "have" })));
        parts.push(share(claims, self.cells.len(), "claim", HOLD));
        for (count, word) in [
            (self.count(|verdict| matches!(verdict, Verdict::Fails(_))), "failed"),
            (self.count(|verdict| matches!(verdict, Verdict::Invalid(_))), "invalid"),
            (self.count(|verdict| matches!(verdict, Verdict::NotProven(_))), "not proven"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {word}"));
            }
        }
        parts.join(", ")
    }

    /// One word: `holds`, `fails` or `invalid`.
    pub fn class(&self) -> &'static str {
        match self.exit_code(&[]) {
            0 => "holds",
            1 => "fails",
            _ => "invalid",
        }
    }

    /// Of names that must be proven, those that no claim has in its id.
    pub fn unmatched<'a>(&self, require: &'a [String]) -> Vec<&'a str> {
        let is_matched = |wanted: &&String| self.cells.iter().any(|cell| cell.id.contains(wanted.as_str()));
        require.iter().filter(|wanted| !is_matched(wanted)).map(String::as_str).collect()
    }

    /// 1 a claim fails, 3 the drill was disturbed, 2 nothing was proven, as in a drill over nothing, 0 else.
    pub fn exit_code(&self, require: &[String]) -> u8 {
        let is_required = |cell: &Cell| require.iter().any(|wanted| cell.id.contains(wanted.as_str()));
        let unproven = |cell: &&Cell| matches!(cell.verdict, Verdict::NotProven(_)) && is_required(cell);
        if self.count(|verdict| matches!(verdict, Verdict::Fails(_))) > 0
            || self.cells.iter().any(|cell| unproven(&cell))
        {
            1
        } else if self.count(|verdict| matches!(verdict, Verdict::Invalid(_))) > 0 || !self.made.unfinished.is_empty() {
            3
        } else if !self.is_about_something() {
            2
        } else {
            0
        }
    }
}

/// What is said of an alert of which no end is claimed.
pub const FIRES_ALWAYS: &str = "asks for no series, and so fires always: nothing is claimed of its end";

const HOLD: [&str; 2] = ["holds", "hold"];

/// Of names that must be proven, those that no claim of a plan will have in its id.
pub fn unmatched<'a>(plan: &Plan, require: &'a [String]) -> Vec<&'a str> {
    let claims: Vec<String> =
        plan.rows.iter().flat_map(|row| Column::of(row).map(|column| column.claim(row))).collect();
    let is_matched = |wanted: &&String| claims.iter().any(|claim| claim.contains(wanted.as_str()));
    require.iter().filter(|wanted| !is_matched(wanted)).map(String::as_str).collect()
}

/// What promtool itself says against what was given. An alert of a file of rules that it refuses is in no Prometheus, however
/// it was lived here. Where it fails an alert's test and the drill finds nothing wrong, one of both is mistaken: nothing is proven.
fn doubt(made: &Made, given: &Given, plan: &Plan, cells: &mut [Cell]) {
    for (file, said) in &made.promtool {
        if given.rules.contains_key(file) {
            let is_in_it = |row: &&Row| row.rule.as_ref().is_some_and(|rule| rule.file == *file);
            let rows: BTreeSet<&str> = plan.rows.iter().filter(is_in_it).map(|row| row.name.as_str()).collect();
            let of_it = |cell: &&mut Cell| cell.column == Column::Fires && rows.contains(cell.alert.as_str());
            for cell in cells.iter_mut().filter(of_it) {
                let why = said.lines().last().unwrap_or_default();
                cell.verdict = Verdict::Fails(format!("promtool refuses the file of its rule: {why}"));
            }
            continue;
        }
        for (alert, what) in promtool::accuses(said) {
            let rows: BTreeSet<&str> =
                plan.rows.iter().filter(|row| row.alert == alert).map(|row| row.name.as_str()).collect();
            let shown = |cell: &Cell| {
                rows.contains(cell.alert.as_str()) && [Column::Fires, Column::Text].contains(&cell.column)
            };
            if cells.iter().any(|cell| shown(cell) && matches!(cell.verdict, Verdict::Fails(_))) {
                continue;
            }
            for cell in cells.iter_mut().filter(|cell| shown(cell) && cell.verdict == Verdict::Holds) {
                let file = file.display();
                cell.verdict = Verdict::NotProven(format!("promtool itself fails its test in {file}: {what}"));
            }
        }
    }
}

/// Everything that was given is of the drill: what no program reads has no place in it.
fn is_all_used(given: &Given) -> anyhow::Result<()> {
    for (path, bytes) in &given.files {
        let is_used = *path == given.alertmanager
            || match role(path, bytes) {
                Role::Tests | Role::Rules | Role::Templates | Role::Expected => true,
                Role::Alertmanager => false,
                Role::None => given.tests.iter().any(|tests| !tests.rule_files(&[path]).is_empty()),
            };
        ensure!(is_used, "{GIVEN}/{} is nothing to a drill", path.display());
    }
    Ok(())
}

/// What promtool said is about files that were given.
fn is_about_given(made: &Made, given: &Given) -> anyhow::Result<()> {
    for file in made.promtool.keys() {
        let is_given = given.rules.contains_key(file) || given.tests.iter().any(|tests| tests.path == *file);
        ensure!(
            is_given,
            "{RUN}: promtool is said to fail {}, which is no file of rules or tests in {GIVEN}/",
            file.display()
        );
    }
    Ok(())
}

/// The files below a folder, by their path in it.
pub fn read_given(folder: &Path) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    fn walk(root: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> anyhow::Result<()> {
        for path in files_in(folder, "")? {
            if path.is_dir() {
                walk(root, &path, files)?;
            } else {
                let bytes = files::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                files.insert(path.strip_prefix(root).context("outside the folder")?.to_owned(), bytes);
            }
        }
        Ok(())
    }
    let mut files = BTreeMap::new();
    walk(folder, folder, &mut files)?;
    Ok(files)
}

/// What was lived is what the plan says: the scenes, how fast, what was loaded, what was sent.
fn is_of_plan(made: &Made, given: &Given, plan: &Plan, records: &BTreeMap<String, Record>) -> anyhow::Result<()> {
    for scene in &plan.scenes {
        let Some(record) = records.get(&scene.name) else {
            ensure!(made.unfinished.contains_key(&scene.name), "the scene {} is missing", scene.name);
            continue;
        };
        is_of_scene(given, plan, scene, record).with_context(|| format!("the scene {}", scene.name))?;
    }
    let mut named = made.unfinished.keys().chain(&made.repeated).chain(records.keys());
    if let Some(name) = named.find(|name| !plan.scenes.iter().any(|scene| scene.name == **name)) {
        bail!("nothing gives rise to the scene {name}");
    }
    Ok(())
}

fn is_of_scene(given: &Given, plan: &Plan, scene: &Scene, record: &Record) -> anyhow::Result<()> {
    let (run, stretch) = (&record.run, &scene.stretch);
    ensure!(run.schema == SCHEMA, "it is of a drill of version {}, not {SCHEMA}", run.schema);
    ensure!(run.stretch == *stretch, "it was not lived when the plan says");
    let rules = &plan.rules[scene.file];
    let planned = scene::rules_file(rules, stretch, &run.group);
    ensure!(record.files[0] == planned, "other rules were loaded than those that were given");
    let prometheus = scene::prometheus_file(scene.group(given), stretch, super::layout::RULES, &run.alertmanager);
    ensure!(record.files[1] == prometheus, "Prometheus ran another configuration");
    let templates: Vec<String> = given.templates().iter().map(|path| path.display().to_string()).collect();
    let alertmanager = given.configuration.lived(stretch.speed, &run.receiver, &templates);
    ensure!(alertmanager.is_ok_and(|text| text == record.files[2]), "Alertmanager ran another configuration");
    let asked: serde_json::Value = serde_json::from_str(&planned)?;
    let asked = asked["groups"][0]["rules"].as_array().cloned().unwrap_or_default();
    ensure!(
        asked.len() == record.loaded.len(),
        "Prometheus ran {} rules, and {} were given",
        record.loaded.len(),
        asked.len()
    );
    for (asked, (name, expr)) in asked.iter().zip(&record.loaded) {
        let of = |key: &str| asked[key].as_str().unwrap_or_default();
        let is_it = name == of("alert") || name == of("record");
        ensure!(is_it && (expr == of("expr") || promql::same(expr, of("expr"))), "Prometheus ran {name} otherwise");
    }
    let sent = scene::sent(scene.group(given), rules, stretch, run.origin_ms);
    ensure!(sent == record.sent, "other samples were sent than those of the test");
    Ok(())
}

//! monitoring/mutants.toml as types; for its format see the comment at its top. Read strictly, and applied without guessing:
//! a text that does not occur exactly once is an edit that did not apply.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::exposition::Rewriting;
use crate::claims::{Claim, claims};
use crate::tree::{Rendered, Tree};
use aiclipx_base::duration::{self, Speed};
use aiclipx_dashboard::model::{self, Dashboard};
use aiclipx_model::failure::Failure;
use aiclipx_model::files;
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::monitoring::located;
use aiclipx_model::scenario::Scenario;

/// Below the repository's root.
pub const FILE: &str = "monitoring/mutants.toml";

/// One wrong, and what must find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// A few words, unique.
    pub id: String,
    /// What it breaks, a sentence.
    pub breaks: String,
    pub edit: Edit,
    pub found_by: FoundBy,
}

/// What a mutant does, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// A text of the stack's configuration is another before the stack starts.
    Configuration(Change),
    /// A text of a provisioned dashboard is another when its queries are asked; the stack is the sound one.
    Dashboard {
        change: Change,
        /// The panel in which the text must occur exactly once, whatever others hold; or anywhere.
        panel: Option<u64>,
    },
    /// A text of the recorded experiment is another before it is judged.
    Record(Change),
    /// A file is taken out of the recorded experiment before it is judged.
    Loss(PathBuf),
    /// Prometheus scrapes the service through a proxy that rewrites what it exposes.
    Exposition(Rewriting),
    /// The service runs with a setting of its environment changed.
    Setting {
        /// `APP_ACCESS_LOG`.
        name: String,
        value: String,
    },
}

/// A text and what stands there instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file, relative to where its kind of edit happens.
    pub file: PathBuf,
    /// Must occur exactly once.
    pub text: String,
    /// Takes its place.
    pub replacement: String,
}

/// What must find a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundBy {
    /// This claim fails, by its id as it is derived.
    Claim(String),
    /// The run is inconclusive, and one of its disturbances holds the words.
    Disturbance { experiment: String, words: String },
}

impl FoundBy {
    /// The experiment that is enacted, by the scenario's name.
    pub fn experiment(&self) -> &str {
        match self {
            FoundBy::Claim(claim) => claim.split('/').next().unwrap_or_default(),
            FoundBy::Disturbance { experiment, .. } => experiment,
        }
    }
}

/// The claim's id, or the disturbance in words.
impl std::fmt::Display for FoundBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FoundBy::Claim(claim) => f.write_str(claim),
            FoundBy::Disturbance { experiment, words } => write!(f, "{experiment}, disturbed: {words} …"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// In the file's order.
    pub mutants: Vec<Mutant>,
    /// Kinds of claims that no mutant can break, each with the reason.
    pub exempt: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    mutant: Vec<Row>,
    #[serde(default)]
    exempt: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    breaks: String,
    file: Option<PathBuf>,
    text: Option<String>,
    replacement: Option<String>,
    panel: Option<u64>,
    exposition: Option<Rewriting>,
    setting: Option<String>,
    claim: Option<String>,
    disturbance: Option<String>,
}

impl Table {
    /// Reads the table of a repository.
    pub fn read(root: &Path) -> Result<Table, Failure> {
        let file = root.join(FILE);
        let text = files::read_to_string(&file)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
        Table::from_text(&text)
    }

    /// Parses the table's text; all that is wrong with it is reported at once, unless it is no TOML.
    pub(crate) fn from_text(text: &str) -> Result<Table, Failure> {
        let file: File = toml::from_str(text).map_err(|error| Failure::usage(format!("{FILE}: {error}")))?;
        let mut wrong = Vec::new();
        let mut seen = BTreeSet::new();
        let mut mutants = Vec::new();
        for row in file.mutant {
            let id = row.id.clone();
            if !seen.insert(id.clone()) {
                wrong.push(format!("{FILE}: two mutants are called {id}"));
            }
            match row.understood() {
                Ok(mutant) => mutants.push(mutant),
                Err(what) => wrong.push(format!("{FILE}: {id}: {what}")),
            }
        }
        for (kind, reason) in &file.exempt {
            if reason.trim().is_empty() {
                wrong.push(format!("{FILE}: the exemption of {kind} has no reason"));
            }
        }
        if mutants.is_empty() && wrong.is_empty() {
            wrong.push(format!("{FILE} holds no mutant"));
        }
        if wrong.is_empty() {
            Ok(Table { mutants, exempt: file.exempt })
        } else {
            Err(Failure::usage(wrong.join("\n")))
        }
    }
}

impl Row {
    fn understood(self) -> Result<Mutant, String> {
        if self.id.is_empty() || !self.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
            return Err("an id is words of small letters, with hyphens between".to_owned());
        }
        if self.breaks.trim().is_empty() {
            return Err("it does not say what it breaks".to_owned());
        }
        let mut edit = match (self.file, self.text, self.replacement, self.exposition, self.setting) {
            (Some(file), Some(text), Some(replacement), None, None) if text != replacement && !text.is_empty() => {
                changed(&file, text, replacement)?
            }
            (Some(file), Some(_), Some(_), None, None) => {
                return Err(format!("its change of {} changes nothing", file.display()));
            }
            (Some(file), None, None, None, None) => match file.strip_prefix("experiment") {
                Ok(file) => Edit::Loss(file.to_owned()),
                Err(_) => return Err("only a file of the experiment can be taken away".to_owned()),
            },
            (None, None, None, Some(rewriting), None) => Edit::Exposition(rewriting),
            (None, None, None, None, Some(setting)) => match setting.split_once('=') {
                Some((name, value)) if name.starts_with("APP_") => {
                    Edit::Setting { name: name.to_owned(), value: value.to_owned() }
                }
                _ => return Err(format!("`{setting}` is no setting of the service; write it like APP_LOG=warn")),
            },
            _ => {
                return Err(
                    "it needs file, text and replacement, or exposition, or setting, and one of them".to_owned()
                );
            }
        };
        match (&mut edit, self.panel) {
            (_, None) => {}
            (Edit::Dashboard { panel, .. }, given) => *panel = given,
            (_, Some(_)) => return Err("only a change of a dashboard is of a panel".to_owned()),
        }
        let found_by = match (self.claim, self.disturbance) {
            (Some(claim), None) => FoundBy::Claim(claim),
            (None, Some(disturbance)) => match disturbance.split_once(": ") {
                Some((experiment, words)) if !words.trim().is_empty() => {
                    FoundBy::Disturbance { experiment: experiment.to_owned(), words: words.to_owned() }
                }
                _ => return Err("a disturbance is written `experiment: part of its words`".to_owned()),
            },
            _ => return Err("it needs a claim or a disturbance that must find it, and one of them".to_owned()),
        };
        Ok(Mutant { id: self.id, breaks: self.breaks, edit, found_by })
    }
}

/// The file's first folder (`etc/` or `experiment/`) says what is changed.
fn changed(file: &Path, text: String, replacement: String) -> Result<Edit, String> {
    let change = |file: &Path| Change { file: file.to_owned(), text, replacement };
    if let Ok(record) = file.strip_prefix("experiment") {
        return Ok(Edit::Record(change(record)));
    }
    match file.strip_prefix("etc") {
        Ok(file) if file.starts_with("grafana/dashboards") => Ok(Edit::Dashboard { change: change(file), panel: None }),
        Ok(file) => Ok(Edit::Configuration(change(file))),
        Err(_) => Err(format!("{} lies in neither etc nor experiment", file.display())),
    }
}

impl Change {
    /// The text with the change made, or why it did not apply. A duration in braces, `{2m}`, is production time and
    /// stands for what it is at this speed, on both sides.
    pub fn apply(&self, original: &str, speed: Speed) -> Result<String, String> {
        let text = at_speed(&self.text, speed)?;
        let replacement = at_speed(&self.replacement, speed)?;
        match original.matches(&text).count() {
            1 => Ok(original.replacen(&text, &replacement, 1)),
            0 => Err(format!("{} does not hold the text", self.file.display())),
            many => Err(format!("{} holds the text {many} times", self.file.display())),
        }
    }

    fn original<'a>(&self, rendered: &'a Rendered) -> Result<&'a [u8], String> {
        let bytes = rendered.get(&self.file).ok_or_else(|| format!("there is no {} in etc", self.file.display()))?;
        Ok(bytes)
    }

    /// The same to a file of a rendered configuration.
    pub fn apply_to(&self, rendered: &Rendered, speed: Speed) -> Result<Rendered, String> {
        let text = String::from_utf8_lossy(self.original(rendered)?);
        let mut changed = rendered.clone();
        changed.insert(self.file.clone(), self.apply(&text, speed)?.into_bytes());
        Ok(changed)
    }

    /// That the changed file is still one that a program loads: a stack that does not start shows nothing of the mutant. YAML
    /// alone can be told so here: that a key stands twice, above all, which happens where the original has come to hold what the
    /// replacement adds.
    fn check(&self, changed: &Rendered) -> Result<(), String> {
        let is_yaml = self.file.extension().is_some_and(|end| end == "yml" || end == "yaml");
        match changed.get(&self.file).filter(|_| is_yaml).map(|bytes| located::read(bytes)) {
            Some(Err((line, why))) => {
                Err(format!("{} can't be read once it is changed: {why} (its line {line})", self.file.display()))
            }
            _ => Ok(()),
        }
    }

    /// The tree's dashboards with this one changed, in production time as the tree has them: who asks their queries
    /// divides them.
    pub fn dashboards(&self, panel: Option<u64>, tree: &Tree) -> Result<Vec<Dashboard>, String> {
        let rendered = tree.rendered(&Addresses::canonical(), Speed::PRODUCTION);
        let rendered = rendered.map_err(|failure| failure.to_string())?;
        let changed = match panel {
            None => self.apply_to(&rendered, Speed::PRODUCTION)?,
            Some(id) => {
                let mut changed = Rendered::clone(&rendered);
                changed.insert(self.file.clone(), self.apply_in_panel(id, self.original(&rendered)?)?);
                changed
            }
        };
        let folder = Path::new("grafana/dashboards");
        changed
            .iter()
            .filter(|(file, _)| file.parent() == Some(folder))
            .map(|(file, bytes)| {
                model::read(file, &String::from_utf8_lossy(bytes)).map_err(|found| Failure::from(found).to_string())
            })
            .collect()
    }

    /// A dashboard with the change made in one of its panels, which is printed as the file is: a key and its value on a line.
    fn apply_in_panel(&self, id: u64, dashboard: &[u8]) -> Result<Vec<u8>, String> {
        let refused = |error: serde_json::Error| format!("{}: {error}", self.file.display());
        let mut dashboard: serde_json::Value = serde_json::from_slice(dashboard).map_err(refused)?;
        let panel = panel_of(&mut dashboard, id).ok_or_else(|| format!("{} has no panel {id}", self.file.display()))?;
        let text = serde_json::to_string_pretty(panel).map_err(refused)?;
        let changed = self.apply(&text, Speed::PRODUCTION).map_err(|why| format!("panel {id} of {why}"))?;
        *panel = serde_json::from_str(&changed).map_err(refused)?;
        serde_json::to_vec(&dashboard).map_err(refused)
    }
}

/// The panel of an id, in a row or beside it.
fn panel_of(node: &mut serde_json::Value, id: u64) -> Option<&mut serde_json::Value> {
    let panels = node.get_mut("panels")?.as_array_mut()?;
    panels.iter_mut().find_map(|panel| if panel["id"] == id { Some(panel) } else { panel_of(panel, id) })
}

impl Mutant {
    /// What can be said without a stack: that the edit applies to this configuration, that the experiment is a scenario of
    /// the tree, and that the claim is one of those derived for it. The claim is returned; a disturbance has none.
    ///
    /// What is done to the record of a run is not looked at: it is not there yet.
    pub fn check(&self, tree: &Tree, rendered: &Rendered, speed: Speed) -> Result<Option<Claim>, String> {
        match &self.edit {
            Edit::Configuration(change) => change.check(&change.apply_to(rendered, speed)?)?,
            // It is asked at this speed: who divides its lengths must find them.
            Edit::Dashboard { change, panel } => {
                for dashboard in change.dashboards(*panel, tree)? {
                    dashboard.at(speed).map_err(|refused| format!("{}: {}", dashboard.title, refused.join("; ")))?;
                }
            }
            Edit::Record(_) | Edit::Loss(_) | Edit::Exposition(_) | Edit::Setting { .. } => {}
        }
        if tree.scenarios.iter().any(|scenario| scenario.name == self.id) {
            return Err("it is called like a scenario".to_owned());
        }
        let scenario = self.scenario(tree)?;
        let FoundBy::Claim(id) = &self.found_by else { return Ok(None) };
        let derived = claims(&scenario.name, scenario, tree, speed).into_iter().find(|claim| claim.id == *id);
        derived.map(Some).ok_or_else(|| format!("no claim {id} is derived"))
    }

    /// The tree's scenario that is enacted.
    pub fn scenario<'a>(&self, tree: &'a Tree) -> Result<&'a Scenario, String> {
        let name = self.found_by.experiment();
        let known = tree.scenarios.iter().find(|scenario| scenario.name == name);
        known.ok_or_else(|| format!("there is no scenario {name}"))
    }
}

/// Durations in braces as they are at a speed. Other braces are left alone: labels and templates have them too.
fn at_speed(text: &str, speed: Speed) -> Result<String, String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        result.push_str(before);
        let braced = after.split_once('}').and_then(|(inside, behind)| Some((duration::parse(inside).ok()?, behind)));
        if let Some((production, behind)) = braced {
            let real = speed.real(production).map_err(|error| error.to_string())?;
            result.push_str(&duration::print(real));
            rest = behind;
        } else {
            result.push('{');
            rest = after;
        }
    }
    result.push_str(rest);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str, replacement: &str) -> Change {
        Change { file: "a.yml".into(), text: text.to_owned(), replacement: replacement.to_owned() }
    }

    #[test]
    fn a_text_that_is_not_there_exactly_once_does_not_apply() {
        let at = |text: &str| change(text, "x").apply("one two two", Speed::PRODUCTION);
        assert_eq!(at("one").unwrap(), "x two two");
        assert!(at("two").unwrap_err().contains("2 times"));
        assert!(at("three").unwrap_err().contains("does not hold"));
    }

    #[test]
    fn a_text_of_a_panel_is_looked_for_in_that_panel_alone() {
        let dashboard =
            br#"{"panels": [{"id": 1, "expr": "up"}, {"id": 2, "panels": [{"id": 3, "expr": "up", "more": "up"}]}]}"#;
        let changed = |text: &str, id| change(text, "\"expr\": \"down\"").apply_in_panel(id, dashboard);
        let expr = "\"expr\": \"up\"";
        for (id, place) in [(1, "/panels/0/expr"), (3, "/panels/1/panels/0/expr")] {
            let changed: serde_json::Value = serde_json::from_slice(&changed(expr, id).unwrap()).unwrap();
            assert_eq!(changed.pointer(place).unwrap(), "down");
            assert_eq!(changed.to_string().matches("down").count(), 1, "{changed}");
        }
        assert_eq!(changed(expr, 4).unwrap_err(), "a.yml has no panel 4");
        assert_eq!(changed("up", 3).unwrap_err(), "panel 3 of a.yml holds the text 2 times");
        assert_eq!(changed("left", 1).unwrap_err(), "panel 1 of a.yml does not hold the text");
        assert!(changed("{", 1).unwrap_err().starts_with("a.yml: "), "what is left is no JSON");
    }

    #[test]
    fn a_change_after_which_its_file_is_none_is_told() {
        let change = change("for: 2m", "for: 2m\nkeep: 4m");
        let rendered = |text: &str| Rendered::from([("a.yml".into(), text.as_bytes().to_vec())]);
        let checked = |text: &str| change.check(&change.apply_to(&rendered(text), Speed::PRODUCTION).unwrap());
        assert_eq!(checked("for: 2m\n"), Ok(()));
        let why = checked("for: 2m\nkeep: 9m\n").unwrap_err();
        assert!(why.starts_with("a.yml can't be read once it is changed: ") && why.contains("keep"), "{why}");
    }

    #[test]
    fn durations_in_braces_are_production_time() {
        let speed = "30".parse().unwrap();
        let change = change("for: {2m}", r#"for: {15s} # {job="app"} {{ $value }} {}"#);
        let changed = change.apply("for: 4s", speed).unwrap();
        assert_eq!(changed, r#"for: 500ms # {job="app"} {{ $value }} {}"#);
        assert_eq!(at_speed("{10ms}", speed).unwrap_err().lines().count(), 1, "no whole millisecond is refused");
    }

    #[test]
    fn a_table_that_says_too_little_or_too_much_is_refused() {
        let row = |rest: &str| format!("[[mutant]]\nid = \"a\"\nbreaks = \"It.\"\n{rest}\n");
        let refused = |rest: &str| Table::from_text(&row(rest)).unwrap_err().to_string();
        let change = "file = \"etc/a\"\ntext = \"b\"\nreplacement = \"c\"";
        assert!(Table::from_text(&row(&format!("{change}\nclaim = \"quiet/loaded\""))).is_ok());
        for (rest, what) in [
            (change, "a claim or a disturbance"),
            ("claim = \"quiet/loaded\"", "file, text and replacement"),
            ("file = \"etc/a\"\nclaim = \"a/b\"", "only a file of the experiment"),
            ("file = \"a\"\ntext = \"b\"\nreplacement = \"c\"\nclaim = \"a/b\"", "lies in neither"),
            ("file = \"etc/a\"\ntext = \"b\"\nreplacement = \"b\"\nclaim = \"a/b\"", "changes nothing"),
            ("setting = \"PATH=/\"\nclaim = \"a/b\"", "no setting of the service"),
            ("exposition = \"go-stale\"\nsetting = \"APP_LOG=off\"\nclaim = \"a/b\"", "one of them"),
            ("exposition = \"shine\"\nclaim = \"a/b\"", "unknown variant"),
            ("exposition = \"go-stale\"\npanel = 3\nclaim = \"a/b\"", "of a panel"),
            ("exposition = \"go-stale\"\ndisturbance = \"quiet\"", "written"),
        ] {
            assert!(refused(rest).contains(what), "{rest}: {}", refused(rest));
        }
        let twice = row("exposition = \"go-stale\"\nclaim = \"a/b\"").repeat(2);
        assert!(Table::from_text(&twice).unwrap_err().to_string().contains("two mutants"));
    }
}

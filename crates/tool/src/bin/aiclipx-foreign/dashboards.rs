//! Dashboards: whether each panel of somebody else's can be asked as Grafana asks it, and at a speed.
//!
//! A dashboard is right when every query of Prometheus in it, with its variables filled in, is an expression to us and to promtool.
//! One that promtool refuses, too, is the file's own fault. At a speed it is rendered beside our own tree, and what comes of it is
//! read and planned anew. What is drawn is counted, and held to nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aiclipx_base::duration::Speed;
use aiclipx_dashboard::model::{self, Dashboard, Kind, VariableKind};
use aiclipx_dashboard::query::{self, TimeRange, View};
use aiclipx_model::failure::{Failure, Finding};
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::monitoring::{Monitoring, UNKNOWN, promql};
use anyhow::Context;

use crate::judges::Judges;
use crate::table::{Came, Row, Table};

/// As a dashboard is looked at.
const RANGE: TimeRange = TimeRange { from_millis: 1_700_000_000_000, to_millis: 1_700_003_600_000 };
const WIDTH: u32 = 800;
const SCRAPE: Duration = Duration::from_secs(15);
/// The speed of our own stack.
const SPEED: u32 = 30;
/// Where dashboards lie below monitoring/.
const FOLDER: &str = "grafana/dashboards";

/// What came of the dashboards in a folder.
pub(crate) fn dashboards(folder: &Path, judges: &Judges) -> Result<Table, Failure> {
    let mut files = Vec::new();
    if folder.is_dir() {
        collect(folder, &mut files)?;
    }
    files.sort();
    let mut before = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let read = model::read(&file, &text);
        before.insert(file, (text, read));
    }
    let read = before.iter().filter_map(|(file, (_, read))| Some((file.clone(), read.as_ref().ok()?.clone())));
    let asked = Asked::of(read.collect(), judges)?;
    let mut rows = asked.rows();
    let refused = before.iter().filter_map(|(_, (_, read))| read.as_ref().err());
    rows[0].came.extend(refused.map(|findings| Came::Wrong(told(findings))));
    rows.insert(1, divided(&before, &asked, judges)?);
    Ok(Table { kind: "dashboards", rows })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    Ok(())
}

fn told(findings: &[Finding]) -> String {
    findings.first().map(ToString::to_string).unwrap_or_default()
}

fn is_drawn(panel: &model::Panel) -> bool {
    panel.undrawn.is_empty() && !matches!(panel.kind, Kind::Undrawn(_))
}

/// What dashboards ask, and what is said of it.
struct Asked {
    by_file: BTreeMap<PathBuf, (Dashboard, BTreeSet<String>)>,
    /// What promtool refuses.
    refused: BTreeSet<String>,
}

impl Asked {
    fn of(dashboards: BTreeMap<PathBuf, Dashboard>, judges: &Judges) -> Result<Asked, Failure> {
        let with_queries = |(file, dashboard): (PathBuf, Dashboard)| {
            let asked = asked(&dashboard);
            (file, (dashboard, asked))
        };
        let by_file: BTreeMap<_, _> = dashboards.into_iter().map(with_queries).collect();
        let all: BTreeSet<&String> = by_file.values().flat_map(|(_, asked)| asked).collect();
        let refused = refused(&all.into_iter().collect::<Vec<_>>(), judges)?;
        Ok(Asked { by_file, refused })
    }

    /// Whether all that a dashboard asks is an expression, to us and to promtool.
    fn judged(&self, file: &Path) -> Came {
        let Some((_, asked)) = self.by_file.get(file) else { return Came::Wrong(file.display().to_string()) };
        let mut came = Came::Right;
        for expr in asked {
            match (promql::parse(expr), self.refused.contains(expr)) {
                (Ok(_), false) => {}
                (Err(_), true) => came = Came::RefusedRightly,
                (Ok(_), true) => return Came::Wrong(format!("{}: promtool refuses {expr}", file.display())),
                (Err(error), false) => {
                    return Came::Wrong(format!("{}: {}: {expr}", file.display(), error.trim()));
                }
            }
        }
        came
    }

    /// What is asked, and what is drawn.
    fn rows(&self) -> Vec<Row> {
        let (mut panels, mut queries, mut pictures) = (0, 0, 0);
        let (mut asked, mut drawn) = (Row::new(""), Row::new(""));
        for (file, (dashboard, queried)) in &self.by_file {
            let asking = dashboard.panels.iter().filter(|panel| !panel.targets.is_empty());
            panels += asking.clone().count();
            pictures += asking.filter(|panel| is_drawn(panel)).count();
            queries += queried.len();
            asked.came.push(self.judged(file));
            // What is not drawn is told with its line.
            let is_whole = dashboard.panels.iter().all(is_drawn);
            drawn.came.push(if is_whole { Came::Right } else { Came::RefusedWithLine });
        }
        asked.what = format!("asked: {queries} queries of {panels} panels");
        drawn.what = format!("drawn: {pictures} of these panels; whole");
        vec![asked, drawn]
    }
}

/// What its panels ask: of values that only a Prometheus knows, with a word or a number in their place.
fn asked(dashboard: &Dashboard) -> BTreeSet<String> {
    let unknown: Vec<String> = query::unknown_variables(dashboard).map(|one| one.name.clone()).collect();
    let with = |value: &str| {
        let all = unknown.iter().map(|name| (name.clone(), vec![value.to_owned()]));
        all.collect::<BTreeMap<_, _>>()
    };
    let (words, numbers, nothing) = (with(UNKNOWN), with("1"), BTreeMap::new());
    let mut asked = BTreeSet::new();
    for panel in &dashboard.panels {
        for target in &panel.targets {
            let plan = |chosen| {
                let view = View { range: RANGE, width: WIDTH, min_interval: SCRAPE, chosen };
                query::plan_target(dashboard, panel, target, &view).into_iter().map(|one| one.expr).collect::<Vec<_>>()
            };
            let mut plans = [&nothing, &words, &numbers].into_iter().map(plan);
            let first = plans.next().unwrap_or_default();
            let parses = |plan: &Vec<String>| plan.iter().all(|expr| promql::parse(expr).is_ok());
            let plan = if parses(&first) { first } else { plans.find(parses).unwrap_or(first) };
            asked.extend(plan);
        }
    }
    asked
}

/// Which of these promtool refuses, asked of as many at once as it takes.
fn refused(expressions: &[&String], judges: &Judges) -> Result<BTreeSet<String>, Failure> {
    if takes(expressions, judges)? {
        return Ok(BTreeSet::new());
    }
    if let [one] = expressions {
        return Ok(BTreeSet::from([(*one).clone()]));
    }
    let (first, second) = expressions.split_at(expressions.len() / 2);
    let mut all = refused(first, judges)?;
    all.extend(refused(second, judges)?);
    Ok(all)
}

/// Whether promtool takes all of these for expressions, as rules.
fn takes(expressions: &[&String], judges: &Judges) -> Result<bool, Failure> {
    if expressions.is_empty() {
        return Ok(true);
    }
    let rules: Vec<_> = (0..)
        .zip(expressions)
        .map(|(at, expr)| serde_json::json!({ "record": format!("r{at}"), "expr": expr }))
        .collect();
    let file = serde_json::json!({ "groups": [{ "name": "asked", "rules": rules }] });
    let folder = aiclipx_model::failure::temporary_folder()?;
    let path = folder.path().join("asked.yml");
    fs::write(&path, file.to_string()).context("cannot write the expressions for promtool")?;
    judges.takes_rules(&path)
}

/// A dashboard's text, and what came of reading it.
type Before = BTreeMap<PathBuf, (String, Result<Dashboard, Vec<Finding>>)>;

/// The dashboards beside our own tree, at the speed of our own stack.
fn divided(before: &Before, asked: &Asked, judges: &Judges) -> Result<Row, Failure> {
    let ours = Monitoring::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../monitoring"))?;
    let speed = Speed::new(SPEED).expect("it is above zero");
    let name = |at: u32| Path::new(FOLDER).join(format!("{at}.json"));
    let names: BTreeMap<PathBuf, &PathBuf> =
        (0..).zip(asked.by_file.keys()).map(|(at, file)| (name(at), file)).collect();
    let with = |left_out: &BTreeSet<PathBuf>| {
        let mut files = ours.files().clone();
        files.retain(|path, _| !path.starts_with(FOLDER));
        let theirs = names.iter().filter(|(name, _)| !left_out.contains(*name));
        files.extend(theirs.map(|(name, file)| (name.clone(), before[*file].0.clone().into_bytes())));
        Monitoring::from_files(files).and_then(|monitoring| monitoring.render(&Addresses::canonical(), speed))
    };
    let mut refused: BTreeMap<PathBuf, Finding> = BTreeMap::new();
    for finding in with(&BTreeSet::new()).err().into_iter().flatten() {
        if let Ok(name) = finding.file.strip_prefix("monitoring") {
            refused.entry(name.to_owned()).or_insert(finding);
        }
    }
    let rendered = with(&refused.keys().cloned().collect()).map_err(Failure::from)?;
    let mut again = BTreeMap::new();
    let mut row = Row::new(format!("at speed {SPEED}"));
    for (name, file) in &names {
        match (refused.get(name), rendered.get(name)) {
            (Some(finding), _) if finding.line == 0 => {
                row.came.push(Came::Wrong(format!("{}: {}", file.display(), finding.what)));
            }
            (Some(_), _) | (None, None) => row.came.push(Came::RefusedWithLine),
            (None, Some(text)) => match model::read(file, &String::from_utf8_lossy(text)) {
                Ok(dashboard) => drop(again.insert((*file).clone(), dashboard)),
                Err(findings) => row.came.push(Came::Wrong(told(&findings))),
            },
        }
    }
    let again = Asked::of(again, judges)?;
    for (file, (after, _)) in &again.by_file {
        let (before, _) = &asked.by_file[file];
        row.came.push(match (again.judged(file), asks_as_much(before, after)) {
            (_, false) => Came::Wrong(format!("{}: it asks less than before", file.display())),
            // What promtool refuses of it was refused in production, too.
            (Came::RefusedRightly, true) => Came::Right,
            (came, true) => came,
        });
    }
    Ok(row)
}

/// Whether a dashboard that was divided has as many queries as before, and as many values to choose.
fn asks_as_much(before: &Dashboard, after: &Dashboard) -> bool {
    let queries = |dashboard: &Dashboard| dashboard.panels.iter().map(|panel| panel.targets.len()).collect::<Vec<_>>();
    let values = |dashboard: &Dashboard| {
        let listed = dashboard.variables.iter().filter(|one| matches!(one.kind, VariableKind::Interval(_)));
        listed.map(|one| one.kind.listed().len()).collect::<Vec<_>>()
    };
    queries(before) == queries(after) && values(before) == values(after)
}

//! Every static check, as findings with file and line: what can be known to be wrong before anything runs.
//!
//! Each file by itself is read by its own room; here they are held against each other:
//!
//! | here | what agrees with what |
//! |---|---|
//! | [`wiring`] | patterns with files, jobs and routes with time, matchers with alerts, the forwarder's inputs |
//! | [`compose`] | compose.yaml with what it mounts, joins and waits for |
//! | [`alerts`] | labels, annotations, runbooks, routes; the jobs that rules, pages and panels ask of |
//! | [`inhibitions`] | what silences with what is silenced: whose, and for how long |
//! | [`events`] | a `for` with the window of what counts events |
//! | [`recordings`] | recorded names with how they read, and who asks for them |
//! | [`cases`] | unit tests with alerts and counters, both ways |
//! | [`dashboards`] | panels with datasource, units, thresholds of alerts, each other |
//! | [`metrics`] | every name in rules, tests, panels and runbooks with what is exposed |
//! | [`labels`] | matchers, legends, sentences and groups with the labels and values that there are |
//! | [`settings`] | what has one right value in this stack |
//! | [`runbooks`] | what a page has one paste, with what there is to ask, to call and to look at |
//! | [`exceptions`] | what is excepted from a check, with its reason |
//! | here | the rules of the objectives are what their table gives |
//! | here | what scenarios send and expect exists, and can happen in the time they give it; what can be rendered |
//!
//! [`live`] asks a running stack what no file knows: whether every panel shows something, and every query of a runbook.

use std::path::{Path, PathBuf};

use anyhow::Context;

use aiclipx_app::endpoint::Endpoint;
use aiclipx_base::duration::{self, Speed};
use aiclipx_dashboard::model::{self, Dashboard};
use aiclipx_model::failure::{Failure, Finding};
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::monitoring::located::{Entry, Node, Value};
use aiclipx_model::monitoring::{Alert, Monitoring, is_of_logs, slo};
use aiclipx_model::scenario::{self, Scenario};

mod alerts;
mod cases;
mod compose;
mod dashboards;
mod events;
mod exceptions;
mod inhibitions;
mod labels;
pub mod live;
pub mod metrics;
mod recordings;
mod runbooks;
mod settings;
#[cfg(test)]
mod tests;
mod wiring;

use exceptions::Exceptions;

/// The speeds that are promised: production, and what `up` and evidence default to.
const SPEEDS: [u32; 2] = [1, 30];

/// Where scenarios lie, below the repository's root.
const SCENARIOS: &str = "scripts/traffic";

/// Where dashboards lie, below monitoring/.
const DASHBOARDS: &str = "grafana/dashboards";

/// Checks the tree. Files that don't parse at all stop it, with everything that is wrong with them.
pub fn check(root: &Path) -> Result<Vec<Finding>, Failure> {
    let monitoring = Monitoring::read(&root.join("monitoring"))?;
    let scenarios = scenario::all(&root.join(SCENARIOS))?;
    let mut findings = Findings::default();
    let dashboards = read_dashboards(&monitoring, &mut Findings::default());
    runbooks::check(root, &monitoring, &dashboards, &mut findings)?;
    findings.0.extend(of(monitoring, &scenarios)?);
    compose::check(root, &mut findings)?;
    findings.0.sort();
    Ok(findings.0)
}

/// Checks only what these scenarios send and expect, before they are enacted: a run whose alert or panel does not exist, or
/// which ends before its alert can fire, proves nothing.
pub fn check_scenarios(root: &Path, scenarios: &[Scenario]) -> Result<Vec<Finding>, Failure> {
    let mut findings = Findings::default();
    let monitoring = Monitoring::read(&root.join("monitoring"))?;
    let dashboards = read_dashboards(&monitoring, &mut Findings::default());
    for scenario in scenarios {
        expectations(scenario, &monitoring, &dashboards, &mut findings);
    }
    Ok(findings.0)
}

/// Checks what was read.
fn of(monitoring: Monitoring, scenarios: &[Scenario]) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Findings::default();
    without_rules(&monitoring, &mut findings);
    if !findings.0.is_empty() {
        // What leads to a rule that is gone is found by the hundred, and tells nobody why.
        return Ok(findings.0);
    }
    let exceptions = Exceptions::read(&monitoring, &mut findings);
    let tree = Tree { dashboards: read_dashboards(&monitoring, &mut findings), exceptions, monitoring };
    for k in SPEEDS {
        let speed = Speed::new(k).context("a promised speed")?;
        if let Err(found) = tree.monitoring.render(&Addresses::canonical(), speed) {
            findings.0.extend(found);
        }
    }
    for scenario in scenarios {
        expectations(scenario, &tree.monitoring, &tree.dashboards, &mut findings);
    }
    exceptions::check(&tree, scenarios, &mut findings);
    alerts::check(&tree, &mut findings);
    inhibitions::check(&tree.monitoring, &mut findings);
    events::check(&tree.monitoring, &mut findings);
    recordings::check(&tree, &mut findings);
    wiring::check(&tree.monitoring, &mut findings);
    settings::check(&tree.monitoring, &mut findings);
    cases::check(&tree.monitoring, &mut findings);
    metrics::check(&tree, &mut findings)?;
    objectives(&tree.monitoring, &mut findings);
    dashboards::check(&tree, &mut findings);
    let mut findings = findings.0;
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// A file of rules, or of their tests, that has none: Prometheus and promtool load it without a word.
fn without_rules(monitoring: &Monitoring, findings: &mut Findings) {
    let none = |groups: &[Node], key| groups.iter().all(|group| group.items_of(key).is_empty());
    for (path, document) in monitoring.documents_in("prometheus/rules") {
        if none(document.items_of("groups"), "rules") {
            let file = Path::new("monitoring").join(path);
            findings.find(
                file,
                0,
                "there is no rule in it: nothing is evaluated, and nothing fires",
                "write one, or remove the file",
            );
        }
    }
    for (path, document) in monitoring.documents_in("prometheus/rules/tests") {
        if document.items_of("tests").is_empty() {
            let file = Path::new("monitoring").join(path);
            findings.find(file, 0, "there is no test in it: promtool passes it", "write one, or remove the file");
        }
    }
}

/// What is held against each other.
struct Tree {
    monitoring: Monitoring,
    dashboards: Vec<DashboardFile>,
    exceptions: Exceptions,
}

impl Tree {
    /// Every panel that asks Prometheus something, as `uid/id`, with its dashboard and itself.
    fn panels(&self) -> impl Iterator<Item = (String, &DashboardFile, &Node)> {
        asking_panels(&self.dashboards)
    }
}

/// Panels of Prometheus: one of logs asks another.
fn asking_panels(dashboards: &[DashboardFile]) -> impl Iterator<Item = (String, &DashboardFile, &Node)> {
    dashboards.iter().flat_map(|dashboard| {
        let asking = |panel: &&&Node| !panel.items_of("targets").is_empty() && !is_of_logs(panel);
        dashboard.panels().into_iter().filter(move |panel| asking(&panel)).map(move |panel| {
            let id = panel.get("id").and_then(Node::as_number).unwrap_or_default();
            (format!("{}/{id}", dashboard.node.text_of("uid").unwrap_or_default()), dashboard, panel)
        })
    })
}

/// A dashboard: as its file has it, with lines, and as it is drawn.
struct DashboardFile {
    /// Relative to the repository's root.
    file: PathBuf,
    node: Node,
    /// None where it can't be drawn; that is told.
    model: Option<Dashboard>,
}

impl DashboardFile {
    /// Panels and rows, what rows hold in place.
    fn panels(&self) -> Vec<&Node> {
        let top = self.node.items_of("panels").iter();
        top.flat_map(|panel| [panel].into_iter().chain(panel.items_of("panels"))).collect()
    }

    fn panel(&self, id: &str) -> Option<&Node> {
        let is_it = |panel: &&Node| panel.get("id").and_then(Node::as_number).map(|number| number.to_string());
        self.panels().into_iter().find(|panel| is_it(panel).as_deref() == Some(id))
    }

    /// The line of what a message of the reader speaks of: the panel it names, and in it the last key of the field.
    fn line_of(&self, message: &str) -> usize {
        let named = |from: &str, to: char| message.split_once(from).and_then(|(_, rest)| rest.split(to).next());
        let panel = named(", panel ", ' ').and_then(|id| self.panel(id)).unwrap_or(&self.node);
        let key = named("field `", '`').and_then(|field| field.rsplit('.').next()).unwrap_or_default();
        entry_of(panel, key).map_or(panel.line, |entry| entry.line)
    }
}

/// The first entry of a key, at any depth.
fn entry_of<'a>(node: &'a Node, key: &str) -> Option<&'a Entry> {
    let inside = |node: &'a Node| entry_of(node, key);
    match &node.value {
        Value::Map(entries) => entries
            .iter()
            .find(|entry| entry.key == key)
            .or_else(|| entries.iter().find_map(|entry| inside(&entry.node))),
        Value::List(items) => items.iter().find_map(inside),
        _ => None,
    }
}

fn read_dashboards(monitoring: &Monitoring, findings: &mut Findings) -> Vec<DashboardFile> {
    let read = |(path, node): (&Path, &Node)| {
        let file = Path::new("monitoring").join(path);
        let text = String::from_utf8_lossy(&monitoring.files()[path]).into_owned();
        let mut dashboard = DashboardFile { file: file.clone(), node: node.clone(), model: None };
        match model::read(&file, &text) {
            Ok(model) => dashboard.model = Some(model),
            Err(found) => findings.0.extend(found.into_iter().map(|finding| Finding {
                line: if finding.line == 0 { dashboard.line_of(&finding.what) } else { finding.line },
                ..finding
            })),
        }
        dashboard
    };
    monitoring.documents_in(DASHBOARDS).map(read).collect()
}

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn find(&mut self, file: impl Into<PathBuf>, line: usize, what: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding { file: file.into(), line, what: what.into(), remedy: remedy.into() });
    }

    /// At a rule.
    fn at(&mut self, alert: &Alert, what: impl Into<String>, remedy: impl Into<String>) {
        self.find(&alert.file, alert.line, what, remedy);
    }
}

/// The rules of the objectives are what their table gives, to the byte: a change by hand would be lost.
fn objectives(monitoring: &Monitoring, findings: &mut Findings) {
    match slo::rules(monitoring.files()) {
        Err(found) => findings.0.extend(found),
        Ok(None) if monitoring.files().contains_key(Path::new(slo::MADE)) => {
            let what = format!("it is made of monitoring/{}, which is not there", slo::TABLE);
            findings.find(
                Path::new("monitoring").join(slo::MADE),
                1,
                what,
                "bring the table back (git checkout), or remove both",
            );
        }
        Ok(None) => {}
        Ok(Some(rules)) => {
            let there = monitoring.files().get(Path::new(slo::MADE)).map(|bytes| String::from_utf8_lossy(bytes));
            if let Some(line) = slo::differs(&there.unwrap_or_default(), &rules) {
                let file = Path::new("monitoring").join(slo::MADE);
                let given = rules.split('\n').nth(line - 1).map_or("nothing", str::trim);
                let what = format!("monitoring/{} gives another line here: `{given}`", slo::TABLE);
                findings.find(
                    file,
                    line,
                    what,
                    "`just slo` makes this file anew; what was changed by hand in it belongs into the table",
                );
            }
        }
    }
}

/// The line of the first text that holds this; 0 for none.
fn line_with(text: &str, needle: &str) -> usize {
    text.lines().position(|line| line.contains(needle)).map_or(0, |index| index + 1)
}

/// What a scenario sends and expects exists, and its faults last long enough for it to come true.
fn expectations(scenario: &Scenario, monitoring: &Monitoring, dashboards: &[DashboardFile], findings: &mut Findings) {
    let ours = Path::new(SCENARIOS).join(format!("{}.toml", scenario.id()));
    let file = if scenario.file.ends_with(&ours) { ours } else { scenario.file.clone() };
    let mut find = |needle: &str, what: String, remedy: String| {
        findings.find(&file, line_with(&scenario.text, needle), what, remedy);
    };
    let expect = &scenario.expect;
    for name in expect.fires.iter().chain(&expect.may_fire).chain(&expect.inhibits) {
        if monitoring.alert(name).is_none() {
            let known: Vec<&str> = monitoring.alerts().iter().map(|alert| alert.name.as_str()).collect();
            find(name, format!("there is no alert {name}"), format!("the alerts are {}", known.join(", ")));
        }
    }
    for request in scenario.phases.iter().flat_map(|phase| &phase.requests) {
        let sent = request.path.replace("{seq}", "1");
        let counted = Endpoint::of(sent.split('?').next().unwrap_or_default());
        if counted.label() == request.endpoint {
            continue;
        }
        let path = &request.path;
        let what = if counted == Endpoint::Unmatched {
            format!("the service has no route `{path}`: it answers 404, and counts it as `unmatched`")
        } else {
            format!("`{path}` is counted as `{}`, not as `{}`", counted.label(), request.endpoint)
        };
        let remedy = if counted == Endpoint::Unmatched {
            let routes = Endpoint::ALL.iter().filter(|endpoint| **endpoint != Endpoint::Unmatched);
            let routes: Vec<&str> = routes.map(|endpoint| endpoint.label()).collect();
            format!("the routes are {}; a 404 that is meant is written endpoint = \"unmatched\"", routes.join(", "))
        } else {
            format!("endpoint = \"{}\"", counted.label())
        };
        find(&format!("\"{path}\""), what, remedy);
    }
    let panels: Vec<String> = asking_panels(dashboards).map(|(name, ..)| name).collect();
    for panel in expect.panels.keys() {
        if !panels.contains(panel) {
            find(panel, format!("there is no panel {panel}"), format!("the panels are {}", panels.join(", ")));
        }
    }
    for alert in expect.fires.iter().filter_map(|name| monitoring.alert(name)) {
        let latest = monitoring.bounds(alert, scenario.fault_share()).latest_firing;
        let fault = scenario.phases.iter().filter(|phase| phase.is_faulty()).map(|phase| phase.duration).sum();
        for (what, given) in [("`within`", expect.within.unwrap_or(fault)), ("the faulty phases together", fault)] {
            if latest > given {
                let (name, latest) = (&alert.name, duration::print(latest));
                let remedy =
                    format!("{latest} is window, scrape, two evaluations and `for` of {}", alert.file.display());
                find(
                    name,
                    format!("{name} may fire as late as {latest}; {what} is {}", duration::print(given)),
                    remedy,
                );
            }
        }
    }
}

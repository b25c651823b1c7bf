//! Every static check, as findings with file and line: what can be known to be wrong before anything runs.
//!
//! Each file by itself is read by its own module; here they are held against each other:
//!
//! | here | what agrees with what |
//! |---|---|
//! | [`wiring`] | patterns with files, jobs and routes with time, matchers with alerts, the forwarder's inputs |
//! | [`compose`] | compose.yaml with what it mounts, joins and waits for |
//! | [`kubernetes`] | deploy/kubernetes with what Kubernetes knows, with compose.yaml, with monitoring/ |
//! | [`anywhere`] | rules and routes with what fires at nothing or for ever, is reached by nobody, is tested by nothing |
//! | [`counters`] | what is compared by itself with what the files take it for |
//! | [`alerts`] | labels, annotations, runbooks, routes; the jobs that rules, pages and panels ask of |
//! | [`inhibitions`] | what silences with what is silenced: whose, and for how long |
//! | [`events`] | a `for` with the window of what counts events |
//! | [`recordings`] | recorded names with how they read, and who asks for them |
//! | [`cases`] | unit tests with alerts and counters, both ways |
//! | [`dashboards`] | panels with datasource, units, thresholds of alerts, each other |
//! | [`meant`] | whom alerts are meant for, by a drill.yaml, with the alerts and receivers that there are |
//! | [`metrics`] | every name in rules, tests, panels and runbooks with what is exposed |
//! | [`labels`] | matchers, legends, sentences and groups with the labels and values that there are |
//! | [`settings`] | what has one right value in this stack |
//! | [`runbooks`] | what a page has one paste, with what there is to ask, to call and to look at |
//! | [`mutants`] | what mutants break with what there is to break |
//! | [`profile`] | what is on or off, and what is excepted, by a finding's name ([`names`]) |
//! | [`scenarios`] | what scenarios send and expect exists, and can happen in the time they give it |
//! | here | the rules of the objectives are what their table gives; what can be rendered |
//!
//! [`tree`] is what they read, [`known`] and [`pasted`] what is asked of Prometheus in it.
//!
//! [`live`] asks a running stack what no file knows: whether every panel shows something, and every query of a runbook.

use std::path::Path;

use anyhow::Context;

use aiclipx_base::duration::Speed;
use aiclipx_model::failure::{self, Failure};
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::monitoring::located::Node;
use aiclipx_model::monitoring::{Monitoring, slo};
use aiclipx_model::scenario::{self, Scenario};

mod alerts;
mod anywhere;
mod cases;
mod compose;
mod counters;
mod dashboards;
mod environment;
mod events;
mod finding;
mod inhibitions;
mod known;
mod kubernetes;
mod labels;
pub mod live;
mod meant;
pub mod metrics;
mod mutants;
pub mod names;
mod pasted;
mod profile;
mod recordings;
mod runbooks;
mod scenarios;
mod settings;
#[cfg(test)]
mod tests;
mod tree;
mod wiring;

use finding::Findings;
pub use finding::{Finding, refusal};
use profile::{Profile, Whose};
use tree::{Tree, read_dashboards};

/// The speeds that are promised: production, and what `up` and evidence default to.
const SPEEDS: [u32; 2] = [1, 30];

/// Checks the tree. Files that don't parse at all stop it, with everything that is wrong with them.
pub fn check(root: &Path) -> Result<Vec<Finding>, Failure> {
    let monitoring = Monitoring::read(&root.join("monitoring"))?;
    let scenarios = scenario::all(&root.join(tree::SCENARIOS))?;
    let mut findings = Findings::default();
    let dashboards = read_dashboards(&monitoring, &mut Findings::default());
    runbooks::check(root, &monitoring, &dashboards, &mut findings);
    compose::check(root, &mut findings);
    kubernetes::check(root, &monitoring, &mut findings);
    mutants::check(root, &SPEEDS, &mut findings);
    Ok(of(monitoring, &scenarios, findings)?)
}

/// Checks somebody else's folder: what lies in it, however it lies there, by what holds of any monitoring. A check.toml in it
/// switches on what else they want. Files that don't parse stop it.
///
/// Findings name files by their path in the folder.
pub fn check_anybodys(folder: &Path) -> Result<Vec<Finding>, Failure> {
    let monitoring = Monitoring::read_any(folder)?;
    // Of nothing nothing is found.
    if monitoring.files().keys().all(|path| path.extension().is_none_or(|ending| ending != "yml" && ending != "yaml")) {
        let what = format!("there is no .yml and no .yaml in {}, so there is nothing to check", folder.display());
        return Err(Failure::usage(what).remedy("--rules names a folder of rules"));
    }
    let mut findings = Findings::default();
    let profile = Profile::read(&monitoring, Whose::Anybodys, &mut findings);
    remarked(&monitoring, &mut findings);
    without_rules(&monitoring, &mut findings);
    events::check(&monitoring, &mut findings);
    anywhere::check(&monitoring, &mut findings);
    counters::check(&monitoring, &mut findings);
    anywhere::annotations(&monitoring, &mut findings);
    wiring::of_alertmanager(&monitoring, &mut findings);
    meant::check(&monitoring, &mut findings);
    let tree = Tree { dashboards: Vec::new(), monitoring };
    recordings::check(&tree, &mut findings);
    let idle = profile.check(&tree, &findings.0);
    let mut left = profile.leave(findings.0);
    left.extend(idle.0);
    Ok(sorted(left))
}

/// What was found while reading.
fn remarked(monitoring: &Monitoring, findings: &mut Findings) {
    for remark in monitoring.remarks() {
        findings.read(remark.name, vec![remark.finding.clone()]);
    }
}

/// Checks only what these scenarios send and expect, before they are enacted: a run whose alert or panel does not exist, or
/// which ends before its alert can fire, proves nothing.
pub fn check_scenarios(root: &Path, scenarios: &[Scenario]) -> Result<Vec<Finding>, Failure> {
    let mut findings = Findings::default();
    let monitoring = Monitoring::read(&root.join("monitoring"))?;
    let profile = Profile::read(&monitoring, Whose::tree(&monitoring), &mut Findings::default());
    let dashboards = read_dashboards(&monitoring, &mut Findings::default());
    for scenario in scenarios {
        scenarios::check(scenario, &monitoring, &dashboards, &mut findings);
    }
    Ok(profile.leave(findings.0))
}

/// What stopped a check, where that is what is in a file.
pub fn refused(failure: &Failure) -> Vec<Finding> {
    let of = |read: &failure::Finding| {
        let is_scenario = read.file.extension().is_some_and(|extension| extension == "toml");
        let is_scenario = is_scenario && !read.file.starts_with("monitoring");
        Finding::of_reader(if is_scenario { "scenario/file" } else { "monitoring/file" }, read.clone())
    };
    failure.findings().iter().map(of).collect()
}

/// Checks what was read; beside what was found already.
fn of(monitoring: Monitoring, scenarios: &[Scenario], mut findings: Findings) -> anyhow::Result<Vec<Finding>> {
    let profile = Profile::read(&monitoring, Whose::tree(&monitoring), &mut findings);
    remarked(&monitoring, &mut findings);
    let mut none = Findings::default();
    without_rules(&monitoring, &mut none);
    if !none.0.is_empty() {
        // What leads to a rule that is gone is found by the hundred, and tells nobody why.
        findings.0.append(&mut none.0);
        return Ok(sorted(profile.leave(findings.0)));
    }
    let tree = Tree { dashboards: read_dashboards(&monitoring, &mut findings), monitoring };
    for k in SPEEDS {
        let speed = Speed::new(k).context("a promised speed")?;
        if let Err(found) = tree.monitoring.render(&Addresses::canonical(), speed) {
            findings.read("monitoring/speed", found);
        }
    }
    for scenario in scenarios {
        scenarios::check(scenario, &tree.monitoring, &tree.dashboards, &mut findings);
    }
    scenarios::unproven(&tree, scenarios, &mut findings);
    alerts::check(&tree, &mut findings);
    inhibitions::check(&tree.monitoring, &mut findings);
    events::check(&tree.monitoring, &mut findings);
    anywhere::check(&tree.monitoring, &mut findings);
    counters::check(&tree.monitoring, &mut findings);
    recordings::check(&tree, &mut findings);
    wiring::check(&tree.monitoring, &mut findings);
    settings::check(&tree.monitoring, &mut findings);
    cases::check(&tree.monitoring, &mut findings);
    meant::check(&tree.monitoring, &mut findings);
    metrics::check(&tree, &mut findings)?;
    objectives(&tree.monitoring, &mut findings);
    dashboards::check(&tree, &mut findings);
    let idle = profile.check(&tree, &findings.0);
    let mut left = profile.leave(findings.0);
    left.extend(idle.0);
    Ok(sorted(left))
}

fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort();
    findings.dedup();
    findings
}

/// A file of rules, or of their tests, that has none: Prometheus and promtool load it without a word.
fn without_rules(monitoring: &Monitoring, findings: &mut Findings) {
    let none = |groups: &[Node], key| groups.iter().all(|group| group.items_of(key).is_empty());
    for (path, document) in monitoring.rule_files() {
        if none(document.items_of("groups"), "rules") {
            let what = "there is no rule in it: nothing is evaluated, and nothing fires";
            findings.find("rule/none", monitoring.named(path), 0, what, "write one, or remove the file");
        }
    }
    for (path, document) in monitoring.rule_tests() {
        if document.items_of("tests").is_empty() {
            let what = "there is no test in it: promtool passes it";
            findings.find("test/none", monitoring.named(path), 0, what, "write one, or remove the file");
        }
    }
}

/// The rules of the objectives are what their table gives, to the byte: a change by hand would be lost.
fn objectives(monitoring: &Monitoring, findings: &mut Findings) {
    match slo::rules(monitoring.files()) {
        Err(found) => findings.read("slo/table", found),
        Ok(None) if monitoring.files().contains_key(Path::new(slo::MADE)) => {
            let what = format!("it is made of monitoring/{}, which is not there", slo::TABLE);
            findings.find(
                "slo/rules",
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
                    "slo/rules",
                    file,
                    line,
                    what,
                    "`just slo` makes this file anew; what was changed by hand in it belongs into the table",
                );
            }
        }
    }
}

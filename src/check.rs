//! Every static check, as findings with file and line: what can be known to be wrong before anything runs.
//!
//! Each file by itself is read by its own room; here they are held against each other: what scenarios expect exists,
//! and can happen in the time they give it; what the stack will be given at its speeds can be rendered.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::dashboard::model;
use crate::duration::{self, Speed};
use crate::failure::{Failure, Finding};
use crate::monitoring::Monitoring;
use crate::monitoring::addresses::Addresses;
use crate::scenario::{self, Scenario};

/// The speeds that are promised: production, and what `up` and evidence default to.
const SPEEDS: [u32; 2] = [1, 30];

/// Checks the tree. Files that don't parse at all stop it, with everything that is wrong with them.
pub fn check(root: &Path) -> Result<Vec<Finding>, Failure> {
    let monitoring = Monitoring::read(&root.join("monitoring"))?;
    let scenarios = scenario::all(&root.join("scripts/traffic"))?;
    let mut findings = Vec::new();
    let mut panels = Vec::new();
    let folder = Path::new("monitoring/grafana/dashboards");
    let entries = std::fs::read_dir(root.join(folder)).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let name = entry.with_context(|| format!("cannot read {}", folder.display()))?.file_name();
        let file = folder.join(name);
        let text =
            std::fs::read_to_string(root.join(&file)).with_context(|| format!("cannot read {}", file.display()))?;
        match model::read(&file, &text) {
            Ok(dashboard) => {
                panels.extend(dashboard.panels.iter().map(|panel| format!("{}/{}", dashboard.uid, panel.id)));
            }
            Err(found) => findings.extend(found),
        }
    }
    for k in SPEEDS {
        let speed = Speed::new(k).context("a promised speed")?;
        if let Err(found) = monitoring.render(&Addresses::canonical(), speed) {
            findings.extend(found);
        }
    }
    for scenario in &scenarios {
        expectations(scenario, &monitoring, &panels, &mut findings);
    }
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// What a scenario expects exists, and its faults last long enough for it to come true.
fn expectations(scenario: &Scenario, monitoring: &Monitoring, panels: &[String], findings: &mut Vec<Finding>) {
    let file = PathBuf::from("scripts/traffic").join(format!("{}.toml", scenario.id()));
    let mut find = |needle: &str, what: String, remedy: String| {
        let line = scenario.text.lines().position(|line| line.contains(needle)).map_or(0, |index| index + 1);
        findings.push(Finding { file: file.clone(), line, what, remedy });
    };
    let expect = &scenario.expect;
    for name in expect.fires.iter().chain(&expect.may_fire) {
        if monitoring.alert(name).is_none() {
            let known: Vec<&str> = monitoring.alerts().iter().map(|alert| alert.name.as_str()).collect();
            find(name, format!("there is no alert {name}"), format!("the alerts are {}", known.join(", ")));
        }
    }
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

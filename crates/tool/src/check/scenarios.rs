//! Scenarios against the service and the monitoring: what is sent has a route, what is expected exists, and faults last long
//! enough for it to come true.

use std::path::Path;

use super::finding::Findings;
use super::profile;
use super::tree::{DashboardFile, SCENARIOS, Tree, asking_panels, line_with};
use aiclipx_app::endpoint::Endpoint;
use aiclipx_base::duration;
use aiclipx_model::monitoring::{Alert, Monitoring};
use aiclipx_model::nearest;
use aiclipx_model::scenario::{RequestTemplate, Scenario};

pub(super) fn check(
    scenario: &Scenario,
    monitoring: &Monitoring,
    dashboards: &[DashboardFile],
    findings: &mut Findings,
) {
    let ours = Path::new(SCENARIOS).join(format!("{}.toml", scenario.id()));
    let file = if scenario.file.ends_with(&ours) { ours } else { scenario.file.clone() };
    let mut find = |name, needle: &str, what: String, remedy: String| {
        findings.find(name, &file, line_with(&scenario.text, needle), what, remedy);
    };
    let expect = &scenario.expect;
    for name in expect.fires.iter().chain(&expect.may_fire).chain(&expect.inhibits) {
        if monitoring.alert(name).is_none() {
            let known = monitoring.alerts().iter().map(|alert| alert.name.as_str());
            let remedy = nearest::remedy(name, "alerts", known);
            find("scenario/alert", name, format!("there is no alert {name}"), remedy);
        }
    }
    let service = monitoring.service();
    for request in scenario.phases.iter().filter(|phase| !phase.faults.is_empty()).flat_map(|phase| &phase.requests) {
        let path = &request.path;
        if service.is_internal(path.split('?').next().unwrap_or_default()) {
            let what = format!("no fault may fall on {path}: what watches the service must see it as it is");
            find("scenario/request", &format!("\"{path}\""), what, "give that phase `requests` of its own".to_owned());
        }
    }
    // The routes of somebody else's service are not known here.
    let of_ours = scenario.phases.iter().filter(|_| service.is_ours());
    for request in of_ours.flat_map(|phase| &phase.requests) {
        if let Some((what, remedy)) = strange(request) {
            find("scenario/request", &format!("\"{}\"", request.path), what, remedy);
        }
    }
    let panels: Vec<String> = asking_panels(dashboards).map(|(name, ..)| name).collect();
    for panel in expect.panels.keys().filter(|panel| !panels.contains(panel)) {
        let remedy = nearest::remedy(panel, "panels", panels.iter().map(String::as_str));
        find("scenario/panel", panel, format!("there is no panel {panel}"), remedy);
    }
    for alert in expect.fires.iter().filter_map(|name| monitoring.alert(name)) {
        for (what, remedy) in too_short(scenario, alert, monitoring) {
            find("scenario/length", &alert.name, what, remedy);
        }
    }
}

/// What is wrong with a request, and what to do: the service has no route for it, or counts it otherwise.
fn strange(request: &RequestTemplate) -> Option<(String, String)> {
    let path = &request.path;
    let sent = path.replace("{seq}", "1");
    let counted = Endpoint::of(sent.split('?').next().unwrap_or_default());
    if counted.label() == request.endpoint {
        return None;
    }
    if counted != Endpoint::Unmatched {
        let what = format!("`{path}` is counted as `{}`, not as `{}`", counted.label(), request.endpoint);
        return Some((what, format!("endpoint = \"{}\"", counted.label())));
    }
    let what = format!("the service has no route `{path}`: it answers 404, and counts it as `unmatched`");
    let routes = Endpoint::ALL.iter().filter(|endpoint| **endpoint != Endpoint::Unmatched);
    let routes: Vec<&str> = routes.map(|endpoint| endpoint.label()).collect();
    let remedy =
        format!("the routes are {}; a 404 that is meant is written endpoint = \"unmatched\"", routes.join(", "));
    Some((what, remedy))
}

/// What of a scenario ends before an alert that it expects may fire, and why that takes so long.
fn too_short(scenario: &Scenario, alert: &Alert, monitoring: &Monitoring) -> Vec<(String, String)> {
    let latest = monitoring.bounds(alert, scenario.fault_share()).latest_firing;
    let fault = scenario.phases.iter().filter(|phase| phase.is_faulty()).map(|phase| phase.duration).sum();
    let within = scenario.expect.within.unwrap_or(fault);
    let told = |(what, given)| {
        let (name, latest, given) = (&alert.name, duration::print(latest), duration::print(given));
        let remedy = format!("{latest} is window, scrape, two evaluations and `for` of {}", alert.file.display());
        (format!("{name} may fire as late as {latest}; {what} {given}"), remedy)
    };
    let given = [("`within` is", within), ("the faulty phases take", fault)];
    given.into_iter().filter(|(_, given)| latest > *given).map(told).collect()
}

/// Some scenario expects each alert to fire, and holds each panel to a measure.
pub(super) fn unproven(tree: &Tree, scenarios: &[Scenario], findings: &mut Findings) {
    let listed = format!("monitoring/{}", profile::FILE);
    // One that is inhibited fires, too: nobody is told.
    let fires_in = |scenario: &Scenario, name: &str| {
        scenario.expect.fires.iter().chain(&scenario.expect.inhibits).any(|fires| fires == name)
    };
    for alert in tree.monitoring.alerts() {
        if !scenarios.iter().any(|scenario| fires_in(scenario, &alert.name)) {
            let what = format!("no scenario expects {} to fire", alert.name);
            let remedy = format!("name it in a scenario's `fires` or `inhibits`, or in {listed} with a reason");
            findings.at("alert/unproven", alert, what, remedy);
        }
    }
    for (panel, dashboard, node) in tree.panels() {
        if !scenarios.iter().any(|scenario| scenario.expect.panels.contains_key(&panel)) {
            let what = format!("no scenario holds panel {panel} to a measure");
            let remedy = format!("name it in a scenario's `panels`, or in {listed} with a reason");
            findings.about("panel/unproven", &panel, &dashboard.file, node.line, what, remedy);
        }
    }
}

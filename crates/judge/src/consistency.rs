//! Whether what a bundle says of itself is what its artifacts say, and whether it holds anything that nothing asked for.
//!
//! The first screen of a report is read by many and its artifacts by few: seeds, speed, times, versions, revision and what
//! was put aside are held against the artifacts here, before sealing and again in `verify`. A picture or a panel that no
//! claim looks at could say anything, so it has no place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::alert_graph;
use super::artifacts::{
    self, BROKEN_OFF, EXPERIMENTS, GRAFANA_PAGE, GRAPH, HELD_BY_LOKI, LEAKED, LEDGER, LOADED, LOADED_ANSWERS, LOG,
    NAMES, NOTIFICATIONS, PACKED, PANEL_DRAWING, PLANTED, RUN, SAMPLE, SAMPLES, SCENARIO, SNAPSHOT,
};
use super::claims::pictured::PAGES;
use super::experiment::{Experiment, PanelAnswer};
use super::files::files_in;
use super::grafana;
use super::judge::Verdict;
use super::outcome::Outcome;
use super::provenance::{Mode, Provenance, bundle_id, of_another_revision, time_of_id};
use super::run::{Run, StepTime};
use aiclipx_model::prom::answer::Series;
use aiclipx_model::revision::label;
use aiclipx_model::scenario::Action;
use aiclipx_model::service::Service;

/// Names of the first of two tries end so.
pub const FIRST_TRY: &str = "-try-1";

/// Everything; the first thing that is not so is the error.
pub(crate) fn check(outcome: &Outcome) -> anyhow::Result<()> {
    ensure!(outcome.counting().next().is_some(), "there is no experiment to judge");
    put_aside(outcome)?;
    let mut runs = BTreeSet::new();
    for experiment in &outcome.experiments {
        let name = &experiment.name;
        ensure!(
            outcome.provenance.mode == Mode::External || experiment.run.unseen.is_empty(),
            "{name} says that something was out of reach, and it ran on a stack of ours"
        );
        ensure!(runs.insert(&experiment.run.id), "{name} is the run of another experiment, {}", experiment.run.id);
        says_what_was_recorded(&outcome.provenance, experiment, outcome.tree.service())
            .with_context(|| format!("run.json against {name}"))?;
        steps_as_planned(experiment).with_context(|| format!("run.json of {name}"))?;
        replicas_are_told(experiment).with_context(|| format!("the ledger of {name}"))?;
    }
    let seeds: BTreeSet<u64> = outcome.experiments.iter().map(|experiment| experiment.ledger.head.seed).collect();
    let told: BTreeSet<u64> = outcome.provenance.seeds.iter().copied().collect();
    // The ledger of a run that could not be collected is not here.
    let some_are_missing = !outcome.provenance.unfinished.is_empty() && seeds.is_subset(&told);
    ensure!(seeds == told || some_are_missing, "run.json tells the seeds {told:?}, the ledgers {seeds:?}");
    let Provenance { id, revision, seeds, began_ms, ended_ms, .. } = &outcome.provenance;
    let at = time_of_id(id).with_context(|| format!("run.json: {id} is no name of a bundle"))?;
    ensure!(bundle_id(at, revision.as_deref(), seeds)? == *id, "run.json: {id} is of another revision or other seeds");
    // A name is exact to the second.
    ensure!((began_ms - 1000..=*ended_ms).contains(&at), "run.json: {id} is of another time than its experiments");
    Ok(())
}

/// The steps are the scenario's, as far as it came, and what they stopped or paused is put back. A step more would explain a death
/// that nobody asked for.
fn steps_as_planned(experiment: &Experiment) -> anyhow::Result<()> {
    let (planned, done) = (experiment.scenario.phases.iter().flat_map(|phase| &phase.steps), &experiment.run.steps);
    let planned = planned.flat_map(|step| experiment.run.turns(step).into_iter().map(|name| (step.action, name)));
    let is_it =
        |((action, name), done): &((Action, String), &StepTime)| *action == done.action && *name == done.component;
    let as_planned = planned.zip(done).take_while(is_it).count();
    let (asked, put_back) = done.split_at(as_planned);
    for (at, step) in put_back.iter().enumerate() {
        let last = asked.iter().rfind(|asked| asked.component == step.component).map(|asked| asked.action);
        let is_back =
            matches!((last, step.action), (Some(Action::Stop), Action::Start) | (Some(Action::Pause), Action::Resume));
        let once = !put_back[..at].iter().any(|other| other.component == step.component);
        let (what, component) = (step.action.name(), &step.component);
        ensure!(is_back && once, "it tells of a step, {what} {component}, that the scenario does not take then");
    }
    Ok(())
}

/// Of several replicas each request that left says whom it went to; of one alone there is nothing to say. Whoever took that out of a
/// ledger would be asked for less.
fn replicas_are_told(experiment: &Experiment) -> anyhow::Result<()> {
    let many = u32::try_from(experiment.run.replicas().count()).unwrap_or(u32::MAX);
    if !experiment.run.unseen.is_empty() {
        return Ok(());
    }
    for entry in &experiment.ledger.entries {
        let is_told = match entry.replica {
            Some(replica) => many > 1 && (1..=many).contains(&replica),
            None => many < 2 || entry.sent_us.is_none(),
        };
        let told = entry.replica.map_or_else(|| "none".to_owned(), |replica| replica.to_string());
        ensure!(is_told, "request {} is told to be of replica {told}, and there are {many}", entry.seq);
    }
    Ok(())
}

/// A try may be put aside only because it was invalid and the same was tried again.
fn put_aside(outcome: &Outcome) -> anyhow::Result<()> {
    let superseded = &outcome.provenance.superseded;
    for judgement in &outcome.judgements {
        let aside = superseded.contains(&judgement.claim.experiment);
        ensure!(
            !aside || matches!(judgement.verdict, Verdict::Invalid(_)),
            "{} was put aside though it was not invalid",
            judgement.claim.experiment
        );
    }
    for one in outcome.provenance.broken_off.iter().filter(|_| outcome.provenance.mode == Mode::Private) {
        let again = one.run.strip_suffix(FIRST_TRY).unwrap_or_default();
        let is_there = outcome.experiments.iter().any(|experiment| experiment.name == again);
        let nothing_came = || outcome.provenance.unfinished.contains_key(again);
        ensure!(is_there || nothing_came(), "{} did not come to its end, and nothing was tried in its place", one.run);
        ensure!(
            one.end.died || !one.end.why.contains(" died"),
            "{} is told as no death, and why it ended as one",
            one.run
        );
    }
    for name in superseded {
        let first = outcome.experiments.iter().find(|experiment| experiment.name == *name);
        let first = first.with_context(|| format!("{name} was put aside, and is not there"))?;
        let again = name.strip_suffix(FIRST_TRY).unwrap_or_default();
        let second = outcome.experiments.iter().find(|experiment| experiment.name == again);
        let what = |one: &Experiment| (one.run.scenario.clone(), one.ledger.head.schedule_sha256.clone());
        let same = |second: &Experiment| what(second) == what(first);
        ensure!(
            second.is_some_and(same) || outcome.provenance.unfinished.contains_key(again),
            "{name} was put aside though nothing was tried again in its place"
        );
    }
    Ok(())
}

/// What run.json of the bundle says of speed, time, versions and revision, against one experiment.
fn says_what_was_recorded(provenance: &Provenance, experiment: &Experiment, service: &Service) -> anyhow::Result<()> {
    let (told, recorded) = (provenance.schema, experiment.run.schema);
    ensure!(told == recorded, "its statement is of version {recorded}, not {told}");
    // No bundle of an older version holds what only a later one has: otherwise a bundle could claim an older version, and be asked
    // for less.
    if !experiment.is_since(3) {
        let addresses = &experiment.run.addresses;
        let scraped = experiment.samples("up")?;
        let own = |series: &Series| series.labels.get("job").is_some_and(|job| *job == service.job);
        let at = |series: &Series| series.labels.get("instance").cloned().unwrap_or_default();
        let elsewhere = scraped
            .iter()
            .filter(|series| own(series))
            .map(at)
            .find(|at| !addresses.app.iter().any(|app| app.to_string() == *at));
        let later = [("program", provenance.program.is_some()), ("app_admin", !addresses.app_admin.is_empty())];
        let later = later.into_iter().find(|(_, is_there)| *is_there).map(|(name, _)| name.to_owned());
        if let Some(what) = later.or(elsewhere.filter(|_| provenance.mode != Mode::External)) {
            bail!("its statement is told to be of version {recorded}, which knew of no {what}");
        }
    }
    let speed = experiment.speed();
    ensure!(speed == provenance.speed, "the speed was {speed}, not {}", provenance.speed);
    let (from, to) = (experiment.run.quiet_ms, experiment.run.end_ms);
    ensure!(
        provenance.began_ms <= from && to <= provenance.ended_ms,
        "it lasted from {from} to {to}, and the whole from {} to {}",
        provenance.began_ms,
        provenance.ended_ms
    );
    for (component, file, pointer) in
        [("prometheus", "prometheus", "/data/version"), ("alertmanager", "alertmanager", "/versionInfo/version")]
    {
        let Some(told) = provenance.versions.get(component) else { continue };
        if provenance.mode == Mode::External && experiment.loaded(file).is_err() {
            continue;
        }
        let says = experiment.loaded(file)?;
        let says = says.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or("nothing");
        ensure!(says == told, "{component} is {told}, and says {says} of itself");
    }
    pages_as_expected(provenance, experiment)?;
    // A private stack is started with the bundle's revision; one that was up before may be of an earlier commit, and then the
    // report says so.
    let told = label(provenance.revision.as_deref(), provenance.dirty.as_deref());
    for says in experiment.built_from(service).into_iter().filter(|says| *says != told) {
        let is_told = provenance.absent.contains(&of_another_revision(&says, &told)) || !experiment.is_since(3);
        ensure!(provenance.mode != Mode::Private && is_told, "the revision is {told}, and the service says {says}");
    }
    Ok(())
}

/// Every page of every expected alert was pictured or says why not, once; a graph is the one that was to be asked for.
fn pages_as_expected(provenance: &Provenance, experiment: &Experiment) -> anyhow::Result<()> {
    let run = &experiment.run;
    let fires = &experiment.scenario.expect.fires;
    let pictured = run.pictures.iter().map(|picture| (picture.alert.as_str(), picture.page.as_str()));
    let missing = run.missing_pictures.iter().map(|missing| (missing.alert.as_str(), missing.page.as_str()));
    let mut told: Vec<_> = pictured.chain(missing).collect();
    let of_alert = |alert: &'_ String| PAGES.map(|page| (alert.clone(), page));
    let mut expected: Vec<_> = fires.iter().flat_map(of_alert).collect();
    told.sort_unstable();
    expected.sort_unstable();
    let same = told.iter().copied().eq(expected.iter().map(|(alert, page)| (alert.as_str(), *page)));
    ensure!(same, "it tells of the pages {told:?}, and those to be pictured are {expected:?}");
    // An external stack's addresses are those by which its own parts call each other.
    if provenance.mode != Mode::External {
        let own = run.addresses.prometheus.url("/");
        for picture in &run.pictures {
            ensure!(picture.url.starts_with(&own), "{} is told to be of {}", picture.file, picture.url);
        }
    }
    for alert in fires {
        alert_graph::read(experiment, alert)?;
    }
    Ok(())
}

/// That every file of the experiments, and of what is left of tries, is one that something asked for. `files` are those of
/// the bundle, packed or not; `drawn` those that its reports consist of.
pub(crate) fn no_file_more(outcome: &Outcome, files: &[String], drawn: &BTreeSet<String>) -> anyhow::Result<()> {
    let asked = asked(outcome);
    for file in files {
        let [of @ (EXPERIMENTS | BROKEN_OFF), name, place] = file.splitn(3, '/').collect::<Vec<_>>()[..] else {
            continue;
        };
        let Some(asked) = asked.get(&format!("{of}/{name}")) else {
            bail!("{file} is of a try that nothing tells of");
        };
        let place = place.strip_suffix(PACKED).unwrap_or(place);
        ensure!(asked.contains(place) || drawn.contains(file), "{file} is nothing that was asked for");
    }
    Ok(())
}

/// Whether a file of a bundle is a drawing: of those each program makes its own.
pub(crate) fn is_drawn(file: &str) -> bool {
    matches!(file.splitn(3, '/').collect::<Vec<_>>()[..], [EXPERIMENTS, _, place] if PANEL_DRAWING.is(place))
}

/// What lies in a folder, or in a folder of it, and nothing asked for: by its place there.
pub(crate) fn unasked(asked: &BTreeSet<String>, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let known = |place: &Path| {
        let place = place.to_str().unwrap_or_default();
        asked.contains(place.strip_suffix(PACKED).unwrap_or(place))
    };
    let holds = |place: &Path| asked.iter().any(|file| Path::new(file).parent() == Some(place));
    let mut unasked = Vec::new();
    for path in files_in(folder, "")? {
        let place = path.strip_prefix(folder).context("outside the folder")?.to_owned();
        let is = path.symlink_metadata().with_context(|| format!("cannot look at {}", path.display()))?;
        if is.is_dir() && holds(&place) {
            for inside in files_in(&path, "")? {
                let place = place.join(inside.file_name().unwrap_or_default());
                if !inside.symlink_metadata().is_ok_and(|is| is.is_file()) || !known(&place) {
                    unasked.push(place);
                }
            }
        } else if !is.is_file() || !known(&place) {
            unasked.push(place);
        }
    }
    Ok(unasked)
}

/// The files that each folder of a record may hold, by its place in the bundle: each file by its place there, without the ending
/// of a packed one.
pub(crate) fn asked(outcome: &Outcome) -> BTreeMap<String, BTreeSet<String>> {
    let Provenance { broken_off, unfinished, mode, .. } = &outcome.provenance;
    let experiments = outcome.experiments.iter();
    let mut asked: BTreeMap<_, _> = experiments
        .map(|experiment| (format!("{EXPERIMENTS}/{}", experiment.name), of_experiment(experiment)))
        .collect();
    if *mode == Mode::Private {
        let tries = broken_off.iter().map(|one| &one.run).chain(unfinished.keys());
        asked.extend(tries.map(|name| (format!("{BROKEN_OFF}/{name}"), of_try(outcome, name))));
    }
    asked
}

fn of_experiment(experiment: &Experiment) -> BTreeSet<String> {
    let run = &experiment.run;
    let mut asked = BTreeSet::from([SCENARIO, RUN, LEDGER, NOTIFICATIONS, SNAPSHOT].map(|artifact| artifact.file()));
    asked.insert(HELD_BY_LOKI.to_owned());
    if experiment.scenario.expect.redacts {
        asked.extend([PLANTED, LEAKED].map(str::to_owned));
    }
    if experiment.is_since(3) {
        asked.insert(NAMES.to_owned());
    }
    asked.extend(expositions(run));
    asked.extend(SAMPLES.map(|name| SAMPLE.named(name)));
    asked.extend(LOADED_ANSWERS.map(|answer| LOADED.named(answer.name)));
    asked.extend(logs(run));
    asked.extend(experiment.panels.iter().map(PanelAnswer::file));
    asked.extend(run.pictures.iter().map(|picture| picture.file.clone()));
    asked.extend(experiment.scenario.expect.fires.iter().map(|alert| GRAPH.named(alert)));
    for dashboard in grafana::dashboards(&experiment.scenario) {
        asked.extend([GRAFANA_PAGE.named(dashboard), artifacts::dashboard_picture(dashboard)]);
    }
    asked
}

/// What a try leaves that did not come to its end: what enacting its scenario writes, and the logs. Its stack was like those of
/// the experiments.
fn of_try(outcome: &Outcome, name: &str) -> BTreeSet<String> {
    let enacted = name.strip_suffix(FIRST_TRY).unwrap_or(name);
    let mut asked = BTreeSet::new();
    for scenario in outcome.tree.scenarios.iter().filter(|scenario| scenario.name == enacted) {
        asked.extend([SCENARIO, RUN, LEDGER, NOTIFICATIONS].map(|artifact| artifact.file()));
        let fires = scenario.expect.fires.iter();
        asked.extend(fires.flat_map(|alert| PAGES.map(|page| artifacts::picture(alert, page))));
        for experiment in &outcome.experiments {
            asked.extend(expositions(&experiment.run).chain(logs(&experiment.run)));
        }
    }
    asked
}

fn expositions(run: &Run) -> impl Iterator<Item = String> {
    let replicas = 0..run.addresses.app.len();
    replicas.flat_map(|replica| ["before", "after"].map(|when| artifacts::exposition(when, replica)))
}

fn logs(run: &Run) -> impl Iterator<Item = String> {
    run.processes.iter().map(|process| LOG.named(&process.component))
}

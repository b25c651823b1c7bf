//! Dashboard panels as evidence: every query answered, the measure of the ledger shown, the panel drawn.
//!
//! A panel's point at time t is an average over the window its query looks back on, and what Prometheus knows of that
//! window is what lies between its first and its last scrape; `rate()` stretches that towards the window's edges. So a
//! point is held against the ledger between those two scrapes, stretched alike, and only where the window lies inside
//! one phase: there the traffic is steady, and a difference is the panel's. Requests in flight at a scrape may fall on
//! either side of it: hence a tolerance; a quantile is held to the histogram bucket it falls in. That counters agree exactly is
//! another claim, decided on raw samples.

mod replicas;
mod window;

use std::collections::BTreeMap;

use anyhow::{Context, ensure};

use self::replicas::Replica;
use self::window::{Allowed, Known, of_the_service};
use super::experiment::{Experiment, PanelAnswer};
use super::faults::delay_us;
use super::run::{PhaseTime, Run};
use super::timeline::{self, millis};
use super::tree::Tree;
use aiclipx_dashboard::draw::theme::Theme;
use aiclipx_dashboard::draw::{self, Canvas, Frame, Mark};
use aiclipx_dashboard::model::Panel;
use aiclipx_dashboard::query::TimeRange;
use aiclipx_model::monitoring::promql;
use aiclipx_model::prom::answer::{self, Series};
use aiclipx_model::prom::exposition::SeriesName;
use aiclipx_model::scenario::Measure;
use aiclipx_model::service::Service;
use aiclipx_model::traffic::ledger::Ledger;

/// The size panels are planned for and drawn in, in pixels: two beside each other on a page. Grafana's step depends on
/// the width, so it is fixed.
pub const PANEL_SIZE: (u32, u32) = (520, 260);

/// By how many requests a panel may differ from the ledger at least: one in the air at either scrape.
const REQUESTS_AT_THE_EDGES: f64 = 2.0;

/// A panel's points held against the ledger.
pub(super) struct Points<'a> {
    pub(super) answer: &'a PanelAnswer,
    pub(super) compared: usize,
    /// Those that differ …
    pub(super) wrong: usize,
    /// … and of them those that an answer, or a scrape, that was late explains.
    pub(super) late: usize,
    /// Whether anything but nothing was to be shown.
    pub(super) any: bool,
    /// Shown, and what the ledger says, furthest off.
    pub(super) worst: Option<(f64, f64)>,
}

/// A panel's first query against the ledger, wherever its window lies inside one phase.
pub(super) fn points_of<'a>(
    experiment: &'a Experiment,
    service: &Service,
    panel: &str,
    measure: Measure,
) -> anyhow::Result<Points<'a>> {
    let answer = experiment
        .panels
        .iter()
        .find(|answer| answer.panel() == panel)
        .with_context(|| format!("no query of panel {panel} was asked"))?;
    let window = promql::looks_back(&answer.plan.expr)
        .map_err(|error| anyhow::anyhow!("the query of panel {panel}: {error}"))?;
    ensure!(!window.is_zero(), "the query of panel {panel} looks back on no window");
    let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
    let shown = points(&read(answer)?, measure);
    let recorded = Recorded::of(experiment, service, measure)?;
    // Nothing equals nothing: a panel that shows none of what never came shows no more than an empty one.
    let any = !experiment.sends();
    let mut points = Points { answer, compared: 0, wrong: 0, late: 0, any, worst: None };
    let mut furthest = -1.0;
    for (at, shown) in shown {
        // The client's latency is the server's only where an injected delay dominates both.
        let counts = |phase: &&PhaseTime| measure != Measure::LatencyP95 || phase.faulty;
        let mut phases = experiment.run.phases.iter().filter(counts);
        if !phases.any(|phase| phase.start_ms <= at - window_ms && at <= phase.end_ms) {
            continue;
        }
        let Some(allowed) = recorded.allowed(at - window_ms, at, |_, _| REQUESTS_AT_THE_EDGES) else { continue };
        points.compared += 1;
        points.any |= allowed.expected != 0.0;
        if !(allowed.low..=allowed.high).contains(&shown) {
            points.wrong += 1;
            let late = recorded.allowed(at - window_ms, at, |ledger, known| recorded.edges(ledger, known));
            points.late += usize::from(late.is_some_and(|late| (late.low..=late.high).contains(&shown)));
        }
        let difference = (shown - allowed.expected).abs();
        if difference > furthest {
            furthest = difference;
            points.worst = Some((shown, allowed.expected));
        }
    }
    Ok(points)
}

/// What a panel's measure is held against: the ledger, and when Prometheus saw the service.
struct Recorded<'a> {
    experiment: &'a Experiment,
    service: &'a Service,
    measure: Measure,
    scrapes: Vec<i64>,
    /// Of a sum over several each by itself.
    replicas: Vec<Replica>,
    buckets: Vec<f64>,
    took_ms: BTreeMap<i64, i64>,
}

impl<'a> Recorded<'a> {
    fn of(experiment: &'a Experiment, service: &'a Service, measure: Measure) -> anyhow::Result<Recorded<'a>> {
        Ok(Recorded {
            experiment,
            service,
            measure,
            scrapes: scrapes(experiment, service)?,
            replicas: replicas::replicas(experiment, service, measure)?,
            buckets: if measure == Measure::LatencyP95 { buckets(experiment, service)? } else { Vec::new() },
            took_ms: scrapes_took_ms(experiment)?,
        })
    }

    /// On the run's clock.
    fn micros(&self, at_ms: i64) -> u64 {
        self.experiment.ledger.since_start_us(u64::try_from(at_ms).unwrap_or(0) * 1000)
    }

    /// What of a window may be shown; `edges` says how many requests may be on either side of its edges.
    fn allowed(&self, from: i64, to: i64, edges: impl Fn(&Ledger, &Known) -> f64) -> Option<Allowed> {
        let measured = |ledger: &Ledger, measure: Measure, known: &Known| {
            ledger.measure(measure, self.micros(known.first)..self.micros(known.last), self.service)
        };
        if !self.replicas.is_empty() {
            return replicas::allowed(self.measure, &replicas::known(&self.replicas, from, to)?, edges, measured);
        }
        let (known, ledger) = (Known::of(&self.scrapes, from, to)?, &self.experiment.ledger);
        let of_all = measured(ledger, self.measure, &known)?;
        Some(Allowed::by(self.measure, &of_all, &known, &self.buckets, edges(ledger, &known)))
    }

    /// How many were in the air when the first and the last scrape of a window began, and until they had ended.
    #[allow(clippy::cast_precision_loss)] // requests of a scrape
    fn edges(&self, ledger: &Ledger, known: &Known) -> f64 {
        let in_the_air = [known.first, known.last].map(|edge| {
            let took_ms = self.took_ms.get(&edge).copied().unwrap_or(0);
            in_the_air(ledger, self.micros(edge), self.micros(edge + took_ms))
        });
        ((in_the_air[0] + in_the_air[1]) as f64).max(REQUESTS_AT_THE_EDGES)
    }
}

/// Panels whose points differ from the ledger by no more than a late scrape or answer explains: a disturbance of the run.
pub(super) fn put_off(experiment: &Experiment, service: &Service) -> Vec<String> {
    let mut told = Vec::new();
    for (panel, measure) in &experiment.scenario.expect.panels {
        // What can't be compared fails the claim on it.
        let Ok(points) = points_of(experiment, service, panel, *measure) else { continue };
        if points.wrong > 0 && points.wrong == points.late {
            let (late, of) = (points.late, points.compared);
            told.push(format!(
                "{late} of {of} points of panel {panel} differ by no more than was late: scrapes, or answers"
            ));
        }
    }
    told
}

/// The time at which dashboards are looked at: from quiet to the end of the traffic, when the last window is full.
pub fn time_range(run: &Run) -> TimeRange {
    let end = run.phases.iter().map(|phase| phase.end_ms).max().unwrap_or(run.end_ms);
    TimeRange { from_millis: run.quiet_ms, to_millis: end }
}

/// An experiment's panels, drawn: `uid/id` and SVG. A report shows some of them, and all lie beside it.
pub(crate) type Drawings = Vec<(String, String)>;

/// Every panel drawn from the answers that were kept.
pub(crate) fn drawings(experiment: &Experiment, tree: &Tree) -> anyhow::Result<Drawings> {
    let run = &experiment.run;
    let mark = |label: &str, from_millis, to_millis| Mark { from_millis, to_millis, label: label.to_owned() };
    let faults: Vec<Mark> = run
        .phases
        .iter()
        .filter(|phase| phase.faulty)
        .map(|phase| mark(&phase.name, phase.start_ms, phase.end_ms))
        .collect();
    let firing = experiment.samples("alerts")?;
    let mut alerts = Vec::new();
    for alert in &experiment.scenario.expect.fires {
        let cycle = timeline::cycle(alert, &firing, &[], 0, run.end_ms);
        alerts.extend(cycle.firing_ms.zip(cycle.last_firing_ms).map(|(from, to)| mark(alert, from, to)));
    }
    let range = time_range(run);
    let (width, height) = PANEL_SIZE;
    let canvas = Canvas {
        width,
        height,
        theme: Theme::Light,
        range,
        dated: true,
        phases: &[],
        faults: &faults,
        alerts: &alerts,
    };
    let mut drawings = Vec::new();
    for name in tree.panels() {
        let panel = find(tree, &name)?;
        let frames: Vec<Frame> = experiment
            .panels
            .iter()
            .filter(|answer| answer.panel() == name)
            .map(|answer| Frame { query: answer.plan.clone(), series: read(answer).unwrap_or_default() })
            .collect();
        drawings.push((name, draw::panel_svg(panel, &frames, &canvas)));
    }
    Ok(drawings)
}

/// The finite upper bounds of the service's latency histogram, as it exposes them, in order.
fn buckets(experiment: &Experiment, service: &Service) -> anyhow::Result<Vec<f64>> {
    let metric = service.latency.as_ref().context("the service has no histogram of latency")?;
    let expositions = experiment.expositions_after()?;
    let is_bucket = |series: &&SeriesName| series.name.strip_suffix("_bucket") == Some(&metric.name);
    let names = expositions.iter().flat_map(|exposition| exposition.keys());
    let mut bounds: Vec<f64> = names
        .filter(|series| is_bucket(series) && metric.is_meant(&series.labels))
        .filter_map(|series| series.labels.get("le")?.parse().ok())
        .filter(|bound: &f64| bound.is_finite())
        .collect();
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    ensure!(!bounds.is_empty(), "the service exposes no latency histogram");
    Ok(bounds)
}

/// When the service was scraped, in Unix milliseconds; of several replicas the first, for they are scraped alike.
fn scrapes(experiment: &Experiment, service: &Service) -> anyhow::Result<Vec<i64>> {
    let up = experiment.samples("up")?;
    let (_, times) = of_the_service(&up, service).next().context("the service was never scraped")?;
    Ok(times)
}

/// How long each scrape of the service took, milliseconds, by when it began: counted was what it read meanwhile.
fn scrapes_took_ms(experiment: &Experiment) -> anyhow::Result<BTreeMap<i64, i64>> {
    let took = experiment.samples("scrape_duration")?;
    let samples = took.iter().flat_map(|series| &series.samples);
    Ok(samples.map(|sample| (millis(sample.seconds), millis(sample.value))).collect())
}

/// Requests that the service may have counted before or after an edge: as far as the client knows it had read them, and had not
/// answered yet.
fn in_the_air(ledger: &Ledger, from_us: u64, to_us: u64) -> usize {
    let entries = ledger.entries.iter();
    let times = entries.filter_map(|entry| Some((entry.sent_us? + delay_us(entry), entry.ended_us?)));
    times.filter(|(counted_us, ended_us)| *counted_us <= to_us && *ended_us >= from_us).count()
}

/// One value a point in time: what the measure adds up over a panel's series.
fn points(series: &[Series], measure: Measure) -> Vec<(i64, f64)> {
    let mut sums: BTreeMap<i64, f64> = BTreeMap::new();
    for sample in series.iter().flat_map(|series| &series.samples) {
        let value = sums.entry(millis(sample.seconds)).or_insert(0.0);
        match measure {
            Measure::RequestRate | Measure::ErrorRate => *value += sample.value,
            Measure::ErrorShare | Measure::LatencyP95 | Measure::TopEndpoint => *value = value.max(sample.value),
        }
    }
    sums.into_iter().collect()
}

pub(super) fn find<'a>(tree: &'a Tree, name: &str) -> anyhow::Result<&'a Panel> {
    let (uid, id) = name.split_once('/').with_context(|| format!("`{name}` is not uid/id"))?;
    let dashboard = tree.dashboards.iter().find(|dashboard| dashboard.uid == uid);
    let dashboard = dashboard.with_context(|| format!("there is no dashboard {uid}"))?;
    let panel = dashboard.panels.iter().find(|panel| panel.id.to_string() == id);
    panel.with_context(|| format!("dashboard {uid} has no panel {id}"))
}

pub(super) fn answer_of<'a>(experiment: &'a Experiment, panel: &str, ref_id: &str) -> Option<&'a PanelAnswer> {
    experiment.panels.iter().find(|answer| answer.panel() == panel && answer.plan.ref_id == ref_id)
}

pub(super) fn read(answer: &PanelAnswer) -> anyhow::Result<Vec<Series>> {
    Ok(answer::parse(answer.answer.get().as_bytes())?.data.into_series())
}

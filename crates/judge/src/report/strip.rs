//! The timeline strip: what happened when, on one axis: phases, and each expected alert's life under them.

use maud::{Markup, html};

use crate::experiment::Experiment;
use crate::timeline::Cycle;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 190.0;
const LANE: f64 = 34.0;
const TOP: f64 = 30.0;

/// An alert's life as the strip shows it.
pub(super) struct Lane {
    pub(super) alert: String,
    pub(super) cycle: Cycle,
    /// The latest time at which it had to fire.
    pub(super) deadline_ms: Option<i64>,
}

/// Draws the strip of one experiment. Seconds count from the first moment of sending.
pub(super) fn draw(experiment: &Experiment, lanes: &[Lane]) -> Markup {
    let run = &experiment.run;
    let (from, to) = (run.quiet_ms, run.end_ms.max(run.quiet_ms + 1));
    #[allow(clippy::cast_precision_loss)] // minutes, in milliseconds
    let x = |at: i64| LEFT + (at.clamp(from, to) - from) as f64 / (to - from) as f64 * (WIDTH - LEFT - 20.0);
    #[allow(clippy::cast_precision_loss)] // a handful of lanes
    let lane_y = |index: usize| TOP + LANE * (index as f64 + 1.0);
    let height = lane_y(lanes.len()) + 34.0;
    let bar = |start: i64, end: i64, y: f64, colour: &str, class: &str| {
        html! { rect x=(number(x(start))) y=(number(y)) width=(number((x(end) - x(start)).max(1.5))) height="18" rx="3" fill=(colour) { title { (class) } } }
    };
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {WIDTH} {}", number(height))) width=(WIDTH) role="img"
            font-family="DejaVu Sans, system-ui, sans-serif" font-size="12" {
            title { "Timeline of " (experiment.name) }
            @for phase in run.phases.iter().filter(|phase| phase.faulty) {
                rect x=(number(x(phase.start_ms))) y=(number(TOP - 8.0)) height=(number(height - TOP - 18.0))
                    width=(number(x(phase.end_ms) - x(phase.start_ms))) fill="#fdecea" {}
            }
            text x="0" y=(number(TOP + 13.0)) fill="#5b6675" { "traffic" }
            @for phase in &run.phases {
                (bar(phase.start_ms, phase.end_ms, TOP, if phase.faulty { "#e0837b" } else { "#9db2cc" }, &phase.name))
                @if x(phase.end_ms) - x(phase.start_ms) > 7.5 * text_units(&phase.name) {
                    text x=(number(f64::midpoint(x(phase.start_ms), x(phase.end_ms)))) y=(number(TOP + 13.0))
                        text-anchor="middle" font-size="11" fill="#ffffff" { (phase.name) }
                }
            }
            @for (index, lane) in lanes.iter().enumerate() {
                @let y = lane_y(index);
                text x="0" y=(number(y + 13.0)) fill="#1d2430" { (lane.alert) }
                @if let (Some(pending), Some(firing)) = (lane.cycle.pending_ms, lane.cycle.firing_ms) {
                    (bar(pending, firing, y, "#f0c36a", "pending"))
                }
                @if let (Some(firing), Some(last)) = (lane.cycle.firing_ms, lane.cycle.resolved_ms.or(lane.cycle.last_firing_ms)) {
                    (bar(firing, last, y, "#c8362b", "firing"))
                }
                @if let Some(deadline) = lane.deadline_ms {
                    line x1=(number(x(deadline))) x2=(number(x(deadline))) y1=(number(y - 4.0)) y2=(number(y + 22.0))
                        stroke="#1d2430" stroke-width="1.5" stroke-dasharray="3 2" { title { "must fire before" } }
                }
                @for (at, colour, what) in [(lane.cycle.notified_ms, "#c8362b", "told: firing"), (lane.cycle.resolved_notified_ms, "#16794c", "told: resolved")] {
                    @if let Some(at) = at {
                        path d=(format!("M{0} {1}l5 8h-10z", number(x(at)), number(y + 19.0))) fill=(colour) stroke="#ffffff" stroke-width="0.75" { title { (what) } }
                    }
                }
            }
            @let axis = height - 22.0;
            line x1=(number(LEFT)) x2=(number(WIDTH - 20.0)) y1=(number(axis)) y2=(number(axis)) stroke="#d9dee6" {}
            @for tick in ticks(from - experiment.sending_ms(), to - experiment.sending_ms()) {
                @let at = x(tick + experiment.sending_ms());
                line x1=(number(at)) x2=(number(at)) y1=(number(axis)) y2=(number(axis + 4.0)) stroke="#9aa4b2" {}
                text x=(number(at)) y=(number(axis + 16.0)) text-anchor="middle" font-size="11" fill="#5b6675" { (tick / 1000) " s" }
            }
        }
    }
}

/// Whole seconds, a round step apart, at most a dozen.
fn ticks(from_ms: i64, to_ms: i64) -> Vec<i64> {
    let step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600]
        .into_iter()
        .map(|seconds| seconds * 1000)
        .find(|step| (to_ms - from_ms) / step <= 12)
        .unwrap_or(7_200_000);
    let first = from_ms.div_euclid(step) * step;
    (0..).map(|n| first + n * step).skip_while(|tick| *tick < from_ms).take_while(|tick| *tick <= to_ms).collect()
}

#[allow(clippy::cast_precision_loss)] // names of phases
fn text_units(text: &str) -> f64 {
    text.chars().count() as f64
}

/// Two decimals: the same text on every platform, and short.
fn number(value: f64) -> String {
    format!("{value:.2}")
}

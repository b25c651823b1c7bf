//! What the receiver tells Prometheus: notifications, the Watchdog's last sign of life, and what traffic is being sent.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Instant;

use serde::Deserialize;

/// Of a run's, a scenario's or a phase's name. The longest of ours has some fifty.
const MAX_NAME_BYTES: usize = 128;
/// Runs at once. One that was killed never says that it ended: the one that was silent for the longest goes first.
const MAX_RUNS: usize = 16;

/// What /metrics tells.
pub(super) struct Seen {
    pub(super) firing: u64,
    pub(super) resolved: u64,
    /// Unix time in milliseconds.
    pub(super) last_ms: Option<i64>,
    /// Unix time in milliseconds.
    pub(super) watchdog_ms: Option<i64>,
    /// When the Watchdog was last heard; before the first time, when we began to listen. The monotonic clock decides,
    /// the other tells.
    pub(super) heard: (Instant, i64),
    /// The runs that are sending, each with its phase; who spoke last is last.
    phases: Vec<Sending>,
}

struct Sending {
    run: String,
    scenario: String,
    phase: String,
}

/// What a run says when it goes over to another phase, or ends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PhaseChange {
    run: String,
    scenario: String,
    phase: Option<String>,
}

impl PhaseChange {
    /// Whether its names are no longer than names are.
    pub(super) fn is_plain(&self) -> bool {
        let names = [Some(&self.run), Some(&self.scenario), self.phase.as_ref()];
        names.into_iter().flatten().all(|name| name.len() <= MAX_NAME_BYTES)
    }
}

impl Seen {
    pub(super) fn new(now: Instant, now_ms: i64) -> Seen {
        Seen { firing: 0, resolved: 0, last_ms: None, watchdog_ms: None, heard: (now, now_ms), phases: Vec::new() }
    }

    pub(super) fn change(&mut self, PhaseChange { run, scenario, phase }: PhaseChange) {
        self.phases.retain(|known| known.run != run);
        let Some(phase) = phase else { return };
        if self.phases.len() == MAX_RUNS {
            self.phases.remove(0);
        }
        self.phases.push(Sending { run, scenario, phase });
    }

    pub(super) fn exposition(&self, silent: bool) -> String {
        let mut text = format!(
            "# HELP aiclipx_notifications_total Notifications received and kept, by status of their group.\n\
             # TYPE aiclipx_notifications_total counter\n\
             aiclipx_notifications_total{{status=\"firing\"}} {}\n\
             aiclipx_notifications_total{{status=\"resolved\"}} {}\n",
            self.firing, self.resolved
        );
        let mut time = |name: &str, help: &str, ms: Option<i64>| {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
            if let Some(ms) = ms {
                let _ = writeln!(text, "{name} {}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000));
            }
        };
        time(
            "aiclipx_last_notification_timestamp_seconds",
            "When the last notification came, Unix time.",
            self.last_ms,
        );
        time(
            "aiclipx_watchdog_last_seen_timestamp_seconds",
            "When a notification last held the firing Watchdog, Unix time.",
            self.watchdog_ms,
        );
        let _ = write!(
            text,
            "# HELP aiclipx_watchdog_silent 1 while the Watchdog's notifications stay away: no alert arrives.\n\
             # TYPE aiclipx_watchdog_silent gauge\n\
             aiclipx_watchdog_silent {}\n",
            u8::from(silent)
        );
        text.push_str(
            "# HELP aiclipx_traffic_phase What traffic is being sent: 1 while it lasts.\n\
             # TYPE aiclipx_traffic_phase gauge\n",
        );
        // Two runs of one scenario in one phase are one series.
        let sent = self.phases.iter().map(|sending| (label(&sending.scenario), label(&sending.phase)));
        for (scenario, phase) in sent.collect::<BTreeSet<_>>() {
            let _ = writeln!(text, "aiclipx_traffic_phase{{scenario=\"{scenario}\",phase=\"{phase}\"}} 1");
        }
        text
    }
}

/// The names of the metrics that are told here: what rules and dashboards may ask for.
pub fn metric_names() -> Vec<String> {
    let text = Seen::new(Instant::now(), 0).exposition(false);
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    names.map(str::to_owned).collect()
}

/// A label's value as the text format wants it.
fn label(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

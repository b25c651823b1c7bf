//! Where everything lies in the bundle of a drill.

use std::path::{Path, PathBuf};

/// What was given, as it was: rules, tests, Alertmanager's configuration and templates.
pub const GIVEN: &str = "given";
/// A folder for each scene.
pub const SCENES: &str = "scenes";
/// How the drill was made; of a scene, how it went.
pub const RUN: &str = "run.json";
/// Every cell of the matrix.
pub const VERDICTS: &str = "verdicts.json";

/// What lies in the folder of a scene.
pub const PROMETHEUS: &str = "prometheus.yml";
pub const RULES: &str = "rules.yml";
pub const ALERTMANAGER: &str = "alertmanager.yml";
/// What Prometheus says it runs: its answer to `/api/v1/rules`.
pub const LOADED: &str = "loaded.json";
/// What was sent: the test's series, history and all, and the drill's own.
pub const SENT: &str = "sent.json";
/// What recording rules made of the history, and was sent besides.
pub const RECORDED: &str = "recorded.json";
/// `ALERTS`, sample by sample, as Prometheus answered.
pub const ALERTS: &str = "alerts.json";
/// At each time that a test asks about, what Prometheus said of its alerts.
pub const STATES: &str = "states.jsonl";
/// What the receiver was sent.
pub const NOTIFICATIONS: &str = "notifications.jsonl";
/// What amtool says of routes and messages.
pub const AMTOOL: &str = "amtool.json";

/// Every file of a scene, and whether it is packed.
const OF_A_SCENE: [(&str, bool); 11] = [
    (RUN, false),
    (PROMETHEUS, false),
    (RULES, false),
    (ALERTMANAGER, false),
    (LOADED, true),
    (SENT, true),
    (RECORDED, true),
    (ALERTS, true),
    (STATES, true),
    (NOTIFICATIONS, true),
    (AMTOOL, true),
];

/// Whether the layout has a place for a file, by its path without the ending of what is packed, and whether it is packed there.
pub fn is_of_a_drill(file: &str, packed: bool) -> bool {
    match file.splitn(3, '/').collect::<Vec<_>>()[..] {
        [GIVEN, ..] => !packed,
        [SCENES, _, place] => OF_A_SCENE.iter().any(|(name, may_be)| *name == place && (*may_be || !packed)),
        _ => false,
    }
}

/// The files of a scene that are packed, in its folder.
pub fn packed(folder: &Path) -> impl Iterator<Item = PathBuf> {
    OF_A_SCENE.iter().filter(|(_, packed)| *packed).map(move |(name, _)| folder.join(name))
}

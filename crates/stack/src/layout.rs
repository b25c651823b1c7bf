//! What lies in a state directory, by name: one list for who makes it, who asks whose the folder is, and who removes it.

use aiclipx_model::files;

pub(super) const ETC: &str = "etc";
pub(super) const DATA: &str = "data";
pub(super) const LOGS: &str = "logs";
pub(super) const SECRETS: &str = "secrets";
/// Of runs on stacks that somebody else started, a state directory of its own for each.
pub(super) const ATTACHED: &str = "attached";
/// The mark of a state directory: see [`Mark`](super::mark::Mark).
pub(super) const STATE_MARK: &str = ".aiclipx-state";
/// What was started: there as long as it runs.
pub(super) const RECORD: &str = "stack.json";
pub(super) const SUPERVISORD_CONF: &str = "supervisord.conf";
pub(super) const SUPERVISORD_PID: &str = "supervisord.pid";
/// The receiver's file; what it has put aside is called so, with more behind.
pub(super) const NOTIFICATIONS: &str = "notifications.jsonl";
/// Held while a stack is started or stopped.
pub(super) const LOCK: &str = "lock";
/// What the stack is called in a store elsewhere.
pub(super) const NAME: &str = "name";
/// The runs of traffic.
pub const RUNS: &str = "runs";
/// Held while one is under way.
pub const RUNS_LOCK: &str = "runs.lock";

/// What is held, and is nothing else.
pub(super) const LOCKS: [&str; 2] = [LOCK, RUNS_LOCK];

/// In the order in which they are removed: the mark, and what others wait for, last.
const ALL: [&str; 15] = [
    ETC,
    DATA,
    LOGS,
    SECRETS,
    RUNS,
    ATTACHED,
    NAME,
    RECORD,
    SUPERVISORD_CONF,
    SUPERVISORD_PID,
    // As an older version wrote aside what it then renamed.
    "stack.new",
    "supervisord.new",
    RUNS_LOCK,
    STATE_MARK,
    LOCK,
];

/// What of these names is ours, in the order in which it is removed.
pub(super) fn ours(found: impl IntoIterator<Item = String>) -> Vec<String> {
    let place = |name: &String| ALL.iter().position(|ours| ours == name);
    let is_by_its_beginning = |name: &String| name.starts_with(NOTIFICATIONS) || name.starts_with(files::ASIDE);
    let mut ours: Vec<String> =
        found.into_iter().filter(|name| place(name).is_some() || is_by_its_beginning(name)).collect();
    ours.sort_by_key(place);
    ours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_is_known_by_name_and_the_mark_goes_last_but_for_the_lock() {
        let half_written = format!("{}Xy7", files::ASIDE);
        let found = ["lock", "theirs", "data", ".aiclipx-state", "notifications.jsonl.1", "etc.old", &half_written];
        let ours = ours(found.map(str::to_owned));
        assert_eq!(ours[ours.len() - 3..], ["data", ".aiclipx-state", "lock"]);
        assert_eq!(ours.len(), 5, "{ours:?}");
        assert!(ours.contains(&half_written) && ours.contains(&"notifications.jsonl.1".to_owned()));
    }
}

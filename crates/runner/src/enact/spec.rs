//! What is enacted, and what comes of it.

use std::path::PathBuf;
use std::time::Duration;

use crate::environment::Environment;
use crate::events::Doing;
use crate::traffic::send::Sent;
use aiclipx_judge::tree::Tree;
use aiclipx_model::scenario::Scenario;

/// Is told what a run does, or waits for.
pub type Say<'a> = dyn Fn(Doing) + Sync + 'a;

/// What is enacted, and how.
#[derive(Debug, Clone, Copy)]
pub struct RunSpec<'a> {
    /// The stack it happens on.
    pub environment: Environment<'a>,
    /// The rules, for how long an alert may take.
    pub tree: &'a Tree,
    pub scenario: &'a Scenario,
    /// The seed of its schedule.
    pub seed: u64,
    /// Real length of the traffic, where it is not the scenario's own.
    pub length: Option<Duration>,
    /// Whether to show a progress line of the traffic on stderr.
    pub show: bool,
    /// Whether to take pictures of the alerts that are expected.
    pub pictures: bool,
    /// Whether to wait first until no alert is active. A stack broken on purpose may never get there.
    pub from_quiet: bool,
}

/// A run that ended by itself.
#[derive(Debug)]
pub struct RunResult {
    /// Its folder, below the stack's `runs/`.
    pub folder: PathBuf,
    pub sent: Sent,
}

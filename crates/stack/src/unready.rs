//! Why a start ended before all were ready, and how that is told: with the last lines of who is to blame.

use std::collections::BTreeMap;

use super::logs;
use super::plan::{Lifetime, Plan};
use super::readiness::READY_LIMIT;
use super::state::no_room;
use super::supervisor::configuration::front_of;
use aiclipx_model::failure::Failure;

/// Lines of its log that a component which died at start is told with.
const LAST_LINES: usize = 12;

/// Why a start ended before all were ready.
pub(super) enum Unready {
    Died {
        name: String,
        why: String,
    },
    /// With what each lacked at the last look.
    TooLate(Vec<(String, Option<String>)>),
    NoSupervisor,
    Interrupted,
}

impl Unready {
    pub(super) fn tell(self, plan: &Plan, log_ends: &BTreeMap<String, u64>) -> Failure {
        let last_lines = |name: &str| {
            let from = log_ends.get(name).copied().unwrap_or(0);
            let lines = logs::last_lines(&plan.log(name), from, LAST_LINES);
            let log = plan.log(name);
            if lines.is_empty() {
                let from = log_ends.get("supervisord").copied().unwrap_or(0);
                let heard = logs::last_lines(&plan.log("supervisord"), from, LAST_LINES);
                let heard: Vec<_> =
                    heard.into_iter().filter(|line| line.contains(name) || line.contains("err")).collect();
                let log = log.display();
                return format!("\n  it wrote nothing to {log}; supervisord says:\n    {}", heard.join("\n    "));
            }
            format!("\n  its last lines, of {}:\n    {}", log.display(), lines.join("\n    "))
        };
        // Who is told only that a program ended would look for a fault in it.
        if !matches!(self, Unready::Interrupted)
            && let Some(failure) = no_room(&plan.state)
        {
            return failure.context("not everything could start, and what did is stopped again");
        }
        match self {
            Unready::Died { name, why } => {
                let lines = last_lines(&name);
                let told = format!("{name} ended before it was ready ({why}); everything is stopped again{lines}");
                // Of two starts at once on the same ports both may lose one: then nobody holds it any more who could be named.
                if plan.lifetime == Lifetime::Attached && lines.to_lowercase().contains("address already in use") {
                    return Failure::usage(told)
                        .remedy("wait for another start that is under way, or use --free-ports");
                }
                Failure::infrastructure(told)
            }
            Unready::TooLate(late) => {
                let told = late.iter().map(|(name, why)| {
                    let why = why.as_deref().unwrap_or("supervisord does not call it running");
                    format!("\n  {name}: {why}{}", last_lines(name))
                });
                let names: Vec<&str> = late.iter().map(|(name, _)| name.as_str()).collect();
                Failure::infrastructure(format!(
                    "not ready within {READY_LIMIT:?}: {}; everything is stopped again{}",
                    names.join(", "),
                    told.collect::<String>()
                ))
            }
            Unready::NoSupervisor => {
                let complaints = std::fs::read_to_string(plan.logs().join("supervisord.err")).unwrap_or_default();
                Failure::infrastructure(format!(
                    "supervisord ended during the start; everything is stopped again{}\n  {}",
                    last_lines("supervisord"),
                    complaints.trim()
                ))
            }
            Unready::Interrupted => {
                Failure::interrupted().context("the start was given up and everything stopped again")
            }
        }
    }
}

/// Where each log ends now: what comes behind is of this start.
pub(super) fn log_ends(plan: &Plan) -> BTreeMap<String, u64> {
    let processes = plan.processes();
    let names = processes.iter().map(|process| process.name.clone()).chain(processes.iter().filter_map(front_of));
    names
        .chain(["supervisord".to_owned()])
        .map(|name| (name.clone(), plan.log(&name).metadata().map_or(0, |meta| meta.len())))
        .collect()
}

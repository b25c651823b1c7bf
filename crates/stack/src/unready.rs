//! Why a start ended before all were ready, and how that is told: with the last lines of who is to blame.

use std::collections::BTreeMap;

use super::logs;
use super::plan::{Lifetime, Plan};
use super::readiness::READY_LIMIT;
use super::state::no_room;
use super::supervisor::configuration::front_of;
use aiclipx_model::failure::Failure;
use aiclipx_model::replica;
use aiclipx_model::service::APP;

/// Lines of its log that a component which died at start is told with.
const LAST_LINES: usize = 12;

/// What somebody can mend whose service ends at once.
const OF_START: &str = "mend [start] in monitoring/service.toml: a file in `arguments` or `environment` begins with {tree}/, \
                        since the service runs in the stack's own folder, unless `folder` names one";

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
            Unready::Died { name, why } => died(plan, &name, &why, &last_lines(&name)),
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

/// A component ended by itself; who can mend that is told.
fn died(plan: &Plan, name: &str, why: &str, lines: &str) -> Failure {
    let told = format!("{name} ended before it was ready ({why}); everything is stopped again{lines}");
    let lost_its_port = lines.to_lowercase().contains("address already in use");
    // Of two starts at once on the same ports both may lose one: then nobody holds it any more who could be named.
    if plan.lifetime == Lifetime::Attached && lost_its_port {
        return Failure::usage(told).remedy("wait for another start that is under way, or use --free-ports");
    }
    // Started again it would end again: somebody's program does not like what it was given.
    let ended_by_itself = why.starts_with("exit status") && !lost_its_port;
    if replica::is_of(name, APP) && ended_by_itself && !plan.service.is_ours() {
        return Failure::usage(told).remedy(OF_START);
    }
    Failure::infrastructure(told)
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use aiclipx_base::duration::Speed;
    use aiclipx_model::failure::Kind;
    use aiclipx_model::service::Service;

    const THEIRS: &str = "job = \"shop\"\n[start]\nprogram = \"python3\"\narguments = [\"shop.py\", \"{port}\"]\n";

    /// How it is told that this component died so, having written this to its log.
    fn told(service: Option<&str>, name: &str, why: &str, log: &str) -> Failure {
        let state = tempfile::tempdir().expect("a folder");
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut plan = Plan::private(&repository, state.path(), Speed::PRODUCTION).expect("a plan");
        if let Some(text) = service {
            *plan.service = Service::from_text(text).expect("a service");
        }
        let file = plan.log(name);
        std::fs::create_dir_all(file.parent().expect("it has a folder")).expect("a folder");
        std::fs::write(file, log).expect("a log");
        Unready::Died { name: name.to_owned(), why: why.to_owned() }.tell(&plan, &BTreeMap::new())
    }

    #[test]
    fn a_service_that_ends_by_itself_is_its_owners_to_mend() {
        let failure = told(Some(THEIRS), "app", "exit status 2", "can't open file 'shop.py'\n");
        assert_eq!(failure.kind(), Kind::Usage);
        let text = failure.to_string();
        assert!(text.contains("can't open file 'shop.py'") && text.contains("\n  → mend [start]"), "{text}");
    }

    #[test]
    fn what_may_not_happen_again_is_nobodys_to_mend() {
        for (service, name, why, log) in [
            (Some(THEIRS), "app", "terminated by SIGKILL", "Killed\n"),
            (Some(THEIRS), "app", "exit status 1", "OSError: [Errno 98] Address already in use\n"),
            (Some(THEIRS), "prometheus", "exit status 1", "a disk\n"),
            (None, "app", "exit status 1", "a fault of ours\n"),
        ] {
            assert_eq!(told(service, name, why, log).kind(), Kind::Infrastructure, "{name}, {why}, {log}");
        }
    }
}

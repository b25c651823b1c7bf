//! Where scenarios happen and records are asked for: a stack of ours, or one that somebody else started.
//!
//! Enacting and collecting go one way on both. What theirs does not allow is told here, and is not proven later.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::surroundings;
use aiclipx_base::address::Address;
use aiclipx_base::duration::Speed;
use aiclipx_http::client;
use aiclipx_judge::run::Unseen;
use aiclipx_judge::validity::{DATABASE, OPTIONAL};
use aiclipx_model::failure::{Failure, Kind, without_just};
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::process_identity::ProcessIdentity;
use aiclipx_model::scenario::Action;
use aiclipx_stack::receiver;
use aiclipx_stack::state::no_room;
use aiclipx_stack::{Component, ExternalStack, Process, Stack};

/// What a component may take to answer a small question.
pub(super) const ASK_LIMIT: Duration = Duration::from_secs(10);

/// A stack under a scenario.
#[derive(Debug, Clone, Copy)]
pub enum Environment<'a> {
    /// Started by this tool: its processes and its files are at hand.
    Managed(&'a Stack),
    /// Started by somebody else: it answers questions, and that is all.
    External(&'a ExternalStack),
}

/// The same, for who must own it: an experiment's own task.
#[derive(Debug)]
pub enum Held {
    Managed(Box<Stack>),
    External(Box<ExternalStack>),
}

impl Held {
    pub fn environment(&self) -> Environment<'_> {
        match self {
            Held::Managed(stack) => Environment::Managed(stack),
            Held::External(external) => Environment::External(external),
        }
    }
}

impl<'a> Environment<'a> {
    pub fn app(self) -> &'a [Address] {
        match self {
            Environment::Managed(stack) => &stack.plan().addresses.app,
            Environment::External(external) => &external.app,
        }
    }

    /// Where the service's replicas are asked for their metrics. Of theirs, where their clients are: what is only for the
    /// monitoring is out of reach from here.
    pub fn app_metrics(self) -> &'a [Address] {
        match self {
            Environment::Managed(stack) => stack.plan().addresses.scraped_app(),
            Environment::External(external) => &external.scraped,
        }
    }

    /// Where Prometheus is asked.
    pub fn prometheus(self) -> &'a Address {
        match self {
            Environment::Managed(stack) => &stack.plan().addresses.prometheus,
            Environment::External(external) => &external.prometheus,
        }
    }

    /// Where Alertmanager is asked, if it can be.
    pub fn alertmanager(self) -> Option<&'a Address> {
        match self {
            Environment::Managed(stack) => Some(&stack.plan().addresses.alertmanager),
            Environment::External(external) => external.alertmanager.as_ref(),
        }
    }

    /// Where the receiver is told of phases, if it can be.
    pub fn receiver(self) -> Option<&'a Address> {
        match self {
            Environment::Managed(stack) => Some(&stack.plan().addresses.receiver),
            Environment::External(external) => external.receiver.as_ref(),
        }
    }

    /// Grafana, where it serves the dashboards.
    pub fn grafana(self) -> Option<&'a Address> {
        match self {
            Environment::Managed(stack) => {
                stack.programs().contains_key(&Component::Grafana).then_some(&stack.plan().addresses.dashboards)
            }
            Environment::External(external) => external.grafana.as_ref(),
        }
    }

    /// The addresses that its configuration was rendered with.
    pub fn configured(self) -> Addresses {
        match self {
            Environment::Managed(stack) => stack.plan().addresses.clone(),
            Environment::External(external) => Addresses { app: external.app.clone(), ..Addresses::canonical() },
        }
    }

    /// How many times faster than production it lives.
    pub fn speed(self) -> Speed {
        match self {
            Environment::Managed(stack) => stack.plan().speed,
            Environment::External(external) => external.speed,
        }
    }

    /// The folder that keeps its runs, in `runs/`.
    pub fn state(self) -> &'a Path {
        match self {
            Environment::Managed(stack) => &stack.plan().state,
            Environment::External(external) => &external.state,
        }
    }

    /// When it came up, Unix milliseconds; of theirs, when its Prometheus did.
    pub fn started_ms(self) -> anyhow::Result<i64> {
        match self {
            Environment::Managed(stack) => {
                let started: jiff::Timestamp =
                    stack.started().parse().context("the time at which the stack came up")?;
                Ok(started.as_millisecond())
            }
            Environment::External(external) => Ok(external.started_ms),
        }
    }

    /// The life each process is in. Of theirs no process is seen: their start times, which Prometheus scrapes, tell.
    pub async fn identities(self) -> Result<BTreeMap<String, ProcessIdentity>, Failure> {
        match self {
            Environment::Managed(stack) => stack.identities().await,
            Environment::External(_) => Ok(BTreeMap::new()),
        }
    }

    /// Does something to every process of this name, to all at once.
    pub async fn order(self, action: Action, name: &str) -> Result<(), Failure> {
        let Environment::Managed(stack) = self else { return Err(not_ours(&format!("{} {name}", action.name()))) };
        let processes = stack.named(name)?;
        let order = async |name: &str| match action {
            Action::Kill => stack.kill_one(name).await,
            Action::Stop => stack.stop_one(name).await,
            Action::Start => stack.start_one(name).await,
            Action::Restart => stack.restart_one(name).await,
            Action::Pause => stack.pause_one(name).await,
            Action::Resume => stack.resume_one(name).await,
        };
        Stack::each(&processes, |process| order(&process.name)).await
    }

    /// What is done to these at one time: to all processes of this name, or of a restart to each by itself, one after the other.
    pub(super) fn turns(self, action: Action, name: &str) -> Vec<String> {
        let one_by_one = match self {
            Environment::Managed(stack) if action == Action::Restart => stack.named(name).ok(),
            _ => None,
        };
        let names = |processes: Vec<Process>| processes.into_iter().map(|process| process.name).collect();
        one_by_one.map_or_else(|| vec![name.to_owned()], names)
    }

    /// How many replicas of the service there are.
    pub fn replicas(self) -> usize {
        self.app().len()
    }

    /// Whether a component of this name is one that a stack may do without, and this one does.
    pub(super) fn lacks(self, component: &str) -> bool {
        let Environment::Managed(stack) = self else { return false };
        (OPTIONAL.contains(&component) || component == DATABASE)
            && !stack.processes().iter().any(|process| process.component.name() == component)
    }

    /// The receiver's lines of a time and since; none where they are out of reach.
    pub async fn notifications(self, since_ms: i64) -> anyhow::Result<String> {
        match self {
            Environment::Managed(stack) => {
                let file = stack.plan().notifications();
                let told = receiver::since(&file, since_ms, usize::MAX);
                let told = told.with_context(|| format!("what the receiver was told, in {}", file.display()))?;
                Ok(told.unwrap_or_default())
            }
            Environment::External(ExternalStack { receiver: None, .. }) => Ok(String::new()),
            Environment::External(ExternalStack { receiver: Some(receiver), .. }) => {
                let answer = client::get(receiver, &format!("/notifications?since={since_ms}"), ASK_LIMIT).await;
                let answer = answer.context("what the receiver was told")?;
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                anyhow::ensure!(answer.status.is_success(), "the receiver answered {}: {}", answer.status, text.trim());
                Ok(text)
            }
        }
    }

    /// What can't be seen of it, and why.
    pub fn unseen(self) -> BTreeMap<Unseen, String> {
        let Environment::External(external) = self else { return BTreeMap::new() };
        let out_of_reach =
            [(Unseen::Notifications, Component::Receiver), (Unseen::Alertmanager, Component::Alertmanager)];
        let why = |(what, component): (Unseen, Component)| Some((what, external.absent.get(&component)?.clone()));
        let logs = (Unseen::Logs, "somebody else started this stack, and keeps its log files".to_owned());
        out_of_reach.into_iter().filter_map(why).chain([logs]).collect()
    }

    /// A failure that a component's death explains says so first.
    pub(super) async fn blame(self, failure: Failure) -> Failure {
        let Environment::Managed(stack) = self else { return failure };
        if failure.kind() != Kind::Infrastructure {
            return failure;
        }
        if let Some(full) = no_room(&stack.plan().state) {
            return full.context(failure.in_one_line());
        }
        match self.dead().await {
            Some(who) => failure.context(who),
            None => failure,
        }
    }

    /// Who does not run and should, in words.
    pub(super) async fn dead(self) -> Option<String> {
        let Environment::Managed(stack) = self else { return None };
        let Ok(epochs) = stack.identities().await else {
            // Who is killed leaves its record, who is told to stop takes it away.
            return Some(if stack.is_recorded() {
                "supervisord died, and the stack with it".to_owned()
            } else {
                "the stack was stopped meanwhile".to_owned()
            });
        };
        let dead: Vec<&str> =
            epochs.iter().filter(|(_, epoch)| epoch.pid.is_none()).map(|(name, _)| name.as_str()).collect();
        (!dead.is_empty()).then(|| format!("{} died", dead.join(", ")))
    }

    /// Versions as its components told them, and what is not there, in words.
    pub fn told(self) -> (BTreeMap<String, String>, Vec<String>) {
        let (mut versions, absent) = match self {
            Environment::Managed(stack) => (
                stack
                    .programs()
                    .iter()
                    .map(|(component, tool)| (component.name().to_owned(), tool.version.clone()))
                    .collect::<BTreeMap<_, _>>(),
                not_there(stack.absent(), &stack.plan().tree),
            ),
            Environment::External(external) => (external.versions.clone(), external.absent.values().cloned().collect()),
        };
        versions.extend(surroundings::browser());
        (versions, absent)
    }

    /// The texts of its secrets, as far as they are known here.
    pub fn secrets(self) -> Result<Vec<String>, Failure> {
        match self {
            Environment::Managed(stack) => stack.secrets(),
            Environment::External(_) => Ok(Vec::new()),
        }
    }
}

/// What would be done to a stack that is somebody else's.
pub(super) fn not_ours(what: &str) -> Failure {
    Failure::usage(format!("cannot {what}: this tool did not start this stack, and stops nothing of it"))
        .remedy("run that scenario on a stack of ours: `just up`, or `just prove`")
}

/// What is not there, in words. All that the tree has no configuration of, so that nobody misses it, is one line.
fn not_there(absent: &BTreeMap<Component, String>, tree: &Path) -> Vec<String> {
    let is_wanted = |component: Component| {
        component.configuration().is_none_or(|file| tree.join("monitoring").join(file).is_file())
    };
    let (missed, unwanted): (Vec<_>, Vec<_>) = absent.iter().partition(|(component, _)| is_wanted(**component));
    let mut told: Vec<String> =
        missed.iter().map(|(component, why)| format!("{component} is not there: {why}")).collect();
    let names: Vec<&str> = unwanted.iter().map(|(component, _)| component.name()).collect();
    if !names.is_empty() {
        told.push(format!("monitoring/ configures none of these, and the stack does without: {}", names.join(", ")));
    }
    // A report names commands, too.
    if tree.join("justfile").is_file() { told } else { told.iter().map(|line| without_just(line)).collect() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use aiclipx_judge::validity::NEEDED;
    use aiclipx_model::monitoring::Monitoring;

    #[test]
    fn what_a_tree_does_without_is_one_line_and_what_is_missed_is_told_by_itself() {
        let tree = tempfile::tempdir().expect("a folder");
        let grafana = tree.path().join("monitoring/grafana");
        std::fs::create_dir_all(&grafana).expect("a folder");
        std::fs::write(grafana.join("grafana.ini"), "").expect("a file");
        let absent =
            [Component::Vector, Component::Loki, Component::Grafana].map(|one| (one, "see `just logs`".to_owned()));
        assert_eq!(
            not_there(&BTreeMap::from(absent), tree.path()),
            [
                "grafana is not there: see `aiclipx logs`",
                "monitoring/ configures none of these, and the stack does without: vector, loki",
            ]
        );
        std::fs::write(tree.path().join("justfile"), "").expect("a file");
        let missed = BTreeMap::from([(Component::Grafana, "see `just logs`".to_owned())]);
        assert_eq!(not_there(&missed, tree.path()), ["grafana is not there: see `just logs`"]);
        assert!(not_there(&BTreeMap::new(), tree.path()).is_empty());
    }

    #[test]
    fn the_jobs_that_may_be_absent_are_those_of_the_components_that_may() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("monitoring");
        let monitoring = Monitoring::read(&folder).unwrap_or_else(|failure| panic!("{failure}"));
        let document = monitoring.document(Path::new("prometheus/prometheus.yml")).expect("a configuration");
        let jobs: Vec<&str> =
            document.items_of("scrape_configs").iter().filter_map(|job| job.text_of("job_name")).collect();
        let scraped = |is_wanted: &dyn Fn(Component) -> bool| -> Vec<&str> {
            let components = Component::ALL.into_iter().filter(|one| is_wanted(*one));
            components.map(Component::name).filter(|name| jobs.contains(name)).collect()
        };
        assert_eq!(scraped(&Component::is_optional), OPTIONAL);
        assert_eq!(scraped(&|one| !one.is_optional()), NEEDED);
        let asked_for: Vec<_> = Component::ALL.into_iter().filter(|one| one.is_asked_for()).collect();
        assert_eq!(asked_for.iter().map(|one| one.name()).collect::<Vec<_>>(), [DATABASE]);
        assert_eq!(jobs.len(), OPTIONAL.len() + NEEDED.len(), "{jobs:?}");
    }
}

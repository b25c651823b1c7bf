//! Proving on what stands in for stacks.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::*;
use aiclipx_stack::interrupt::Signals;

/// What a try comes to on what stands in for a stack.
#[derive(Clone, Copy)]
enum Comes {
    ToItsEnd,
    /// To its end, and the machine disturbed it.
    Disturbed,
    /// A component dies half way.
    Broken,
    /// There is no such stack.
    Refused,
    /// A fault of ours, half way.
    Panicking,
    /// The user asks to stop, half way.
    Interrupted,
}

/// Records what the sample has, as often as it is told to.
struct StandIn {
    tries: Mutex<BTreeMap<String, VecDeque<Comes>>>,
    signals: Signals,
}

fn repository() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).to_owned()
}

impl Host for StandIn {
    type Stack = tempfile::TempDir;

    async fn start(&self, _: &Scenario, say: &Say<'_>) -> Result<tempfile::TempDir, Failure> {
        say(Doing::StartingAStack);
        let state = tempfile::tempdir().unwrap();
        files::write(&state.path().join("runs/it/ledger.jsonl"), b"half").unwrap();
        files::write(&state.path().join("runs/it").join(enact::END), b"{}").unwrap();
        files::write(&state.path().join("prometheus.log"), b"it fell").unwrap();
        Ok(state)
    }

    fn facts(&self, _: &tempfile::TempDir) -> Result<Facts, Failure> {
        Ok(Facts { secrets: vec!["hunter2".to_owned()], ..Facts::default() })
    }

    async fn record(
        &self,
        _: &tempfile::TempDir,
        scenario: &Scenario,
        folder: &Path,
        _: &Say<'_>,
    ) -> Result<(), Failure> {
        let next = {
            let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
            tries.get_mut(&scenario.name).and_then(VecDeque::pop_front).expect("it is not tried so often")
        };
        let sample = repository().join("evidence/sample/experiments");
        let sample = files::files_in(&sample, "").unwrap().pop().expect("the sample has an experiment");
        copy_folder(&sample, folder).unwrap();
        match next {
            Comes::ToItsEnd => Ok(()),
            Comes::Disturbed => {
                let file = folder.join("run.json");
                let mut run: serde_json::Value = files::read_json(&file).unwrap();
                run["disturbances"] = serde_json::json!(["a disk was slow"]);
                files::write_json(&file, &run).unwrap();
                Ok(())
            }
            Comes::Broken => {
                files::write(&folder.join("half"), b"of an experiment").unwrap();
                Err(Failure::infrastructure("prometheus died\nand said so"))
            }
            Comes::Refused => Err(Failure::usage("there is no room left")),
            Comes::Panicking => panic!("a fault of ours"),
            Comes::Interrupted => {
                self.signals.ask();
                Err(Failure::interrupted())
            }
        }
    }

    async fn has_died(&self, _: &tempfile::TempDir) -> bool {
        true
    }

    fn leaves(&self, state: &tempfile::TempDir) -> (PathBuf, Vec<(String, PathBuf)>) {
        let log = |name: &str| (name.to_owned(), state.path().join(format!("{name}.log")));
        (state.path().join("runs"), vec![log("prometheus"), log("mute")])
    }

    async fn stop(&self, _: tempfile::TempDir) -> Result<(), Failure> {
        Ok(())
    }
}

/// A draft, and what came of proving into it.
struct Proven {
    draft: Draft,
    facts: Facts,
    failures: Vec<Kind>,
    _place: tempfile::TempDir,
}

impl Proven {
    fn names(&self, folder: &str) -> Vec<String> {
        let found = files::files_in(&self.draft.folder().join(folder), "").unwrap();
        found.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    fn broken_off(&self) -> Vec<(&str, &str, bool)> {
        let told = self.facts.broken_off.iter();
        told.map(|one| (one.run.as_str(), one.end.why.as_str(), one.end.died)).collect()
    }
}

/// Proves scenarios whose tries come to this, one after the other.
async fn proven(tries: &[(&str, &[Comes])]) -> Proven {
    let tree = Arc::new(Tree::read(&repository().join("evidence/sample/tree")).unwrap());
    let place = tempfile::tempdir().unwrap();
    let draft = Draft::begin(place.path(), "bundle").unwrap().unwrap();
    let (events, signals) = (Events::to(|_| {}), Signals::unheard());
    let by_name = tries.iter().map(|(name, tries)| ((*name).to_owned(), tries.iter().copied().collect()));
    let host = Arc::new(StandIn { tries: Mutex::new(by_name.collect()), signals: signals.clone() });
    let proof = |(name, _): &(&str, &[Comes])| {
        let scenario = tree.scenarios.iter().find(|scenario| scenario.name == *name).unwrap();
        Proof::new(&host, &tree, scenario, &draft, &events)
    };
    let jobs = tries.iter().map(proof).collect();
    let ended = runner::run(jobs, 1, &events, &signals.held(), |_, _| {}).await;
    let (facts, failures) = gathered(ended);
    Proven { draft, facts, failures: failures.iter().map(Failure::kind).collect(), _place: place }
}

#[tokio::test]
async fn a_disturbed_first_try_is_put_aside_and_a_disturbed_second_one_stays() {
    use Comes::{Disturbed, ToItsEnd};
    let proven = proven(&[
        ("error-rate", &[Disturbed, ToItsEnd]),
        ("latency-p95", &[ToItsEnd]),
        ("top-endpoints", &[Disturbed, Disturbed]),
    ])
    .await;
    let aside = ["error-rate-try-1", "top-endpoints-try-1"];
    assert_eq!(proven.names("experiments"), ["error-rate", aside[0], "latency-p95", "top-endpoints", aside[1]]);
    assert_eq!(proven.facts.superseded, aside);
    assert_eq!(proven.facts.secrets.len(), 5);
    assert!(proven.failures.is_empty() && proven.facts.unfinished.is_empty());
}

#[tokio::test]
async fn of_a_broken_try_what_it_left_is_kept_and_nothing_that_looks_like_an_experiment() {
    use Comes::{Broken, ToItsEnd};
    let proven = proven(&[("error-rate", &[Broken, ToItsEnd]), ("latency-p95", &[Broken, Broken])]).await;
    assert_eq!(proven.names("experiments"), ["error-rate"]);
    assert!(!proven.draft.experiment("error-rate").join("half").exists(), "the second try begins with nothing");
    assert_eq!(proven.names("broken-off"), ["error-rate-try-1", "latency-p95", "latency-p95-try-1"]);
    // Its last words are not in it: they are the log's.
    let told = |run| (run, "prometheus died", true);
    assert_eq!(proven.broken_off(), [told("error-rate-try-1"), told("latency-p95-try-1")]);
    let kept = proven.draft.broken_off("latency-p95");
    assert_eq!(std::fs::read(kept.join("ledger.jsonl")).unwrap(), b"half");
    assert_eq!(std::fs::read(kept.join("logs/prometheus.log")).unwrap(), b"it fell");
    assert!(!kept.join(enact::END).exists() && !kept.join("logs/mute.log").exists());
    assert_eq!(proven.facts.unfinished.keys().collect::<Vec<_>>(), ["latency-p95"]);
    assert_eq!(proven.failures, [Kind::Infrastructure]);
}

#[tokio::test]
async fn what_ends_one_is_told_of_it_and_the_others_are_recorded() {
    use Comes::{Panicking, Refused, ToItsEnd};
    let proven =
        proven(&[("error-rate", &[Refused]), ("latency-p95", &[Panicking]), ("top-endpoints", &[ToItsEnd])]).await;
    assert_eq!(proven.names("experiments"), ["top-endpoints"]);
    assert_eq!(proven.facts.unfinished.keys().collect::<Vec<_>>(), ["error-rate", "latency-p95"]);
    assert_eq!(proven.failures, [Kind::Usage, Kind::Infrastructure]);
    // Those of the stacks that came to nothing are looked for, too.
    assert_eq!(proven.facts.secrets.len(), 3);
}

#[tokio::test]
async fn an_interruption_leaves_what_came_and_half_an_experiment_is_none() {
    use Comes::{Interrupted, ToItsEnd};
    let proven =
        proven(&[("error-rate", &[ToItsEnd]), ("latency-p95", &[Interrupted]), ("top-endpoints", &[ToItsEnd])]).await;
    assert_eq!(proven.names("experiments"), ["error-rate"]);
    assert_eq!(proven.failures, [Kind::Interrupted, Kind::Interrupted]);
    assert!(proven.facts.unfinished.is_empty() && proven.broken_off().is_empty());
}

//! What a bundle's folder shows, or a draft's: every experiment in it, every claim decided, and the verdict over all of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;

use super::artifacts::EXPERIMENTS;
use super::experiment::Experiment;
use super::files::{files_in, read_json};
use super::judge::{self, Judgement, Verdict};
use super::mutants;
use super::provenance::Provenance;
use super::tree::Tree;
use super::validity::Disturbance;
use aiclipx_model::counted::share;
use aiclipx_model::failure::Failure;

/// Everything derived from the folder of a bundle or a draft.
#[derive(Debug)]
pub struct Outcome {
    /// `run.json`.
    pub provenance: Provenance,
    /// `tree/`.
    pub tree: Tree,
    /// `experiments/`, by name.
    pub experiments: Vec<Experiment>,
    /// Every claim of every experiment, decided.
    pub judgements: Vec<Judgement>,
    /// `mutants.json`, where there is one. No verdict rests on it.
    pub mutants: Option<mutants::outcome::Outcome>,
    /// Reports and drawings that another program wrote otherwise than this one: nothing but the sums binds them. Filled by
    /// verifying.
    pub others: Vec<String>,
    /// The reports that this program writes and the bundle has not, where another program made it.
    pub lacking: Vec<String>,
    /// What disturbed which experiment. Computed once: the folder's path changes when the draft is sealed.
    disturbances: BTreeMap<String, Vec<Disturbance>>,
}

impl Outcome {
    /// Reads `run.json`, `tree/` and `experiments/`, derives the claims and decides them.
    pub fn derive(folder: &Path) -> Result<Outcome, Failure> {
        let provenance: Provenance = read_json(&folder.join("run.json"))?;
        let tree = Tree::read(&folder.join("tree"))?;
        let mut experiments = Vec::new();
        for path in files_in(&folder.join(EXPERIMENTS), "")? {
            let read = Experiment::read(&path).with_context(|| format!("the experiment in {}", path.display()))?;
            experiments.push(read);
        }
        experiments.sort_by_key(|experiment| (experiment.run.quiet_ms, experiment.name.clone()));
        let mut judgements = Vec::new();
        let mut disturbances = BTreeMap::new();
        for experiment in &experiments {
            let disturbed = judge::disturbances(experiment, &tree);
            judgements.extend(judge::judge_disturbed(experiment, &tree, &disturbed));
            disturbances.insert(experiment.name.clone(), disturbed);
        }
        let mutants = mutants::outcome::of_bundle(folder, &provenance)?;
        Ok(Outcome {
            provenance,
            tree,
            experiments,
            judgements,
            mutants,
            others: Vec::new(),
            lacking: Vec::new(),
            disturbances,
        })
    }

    /// What disturbed an experiment.
    pub(crate) fn disturbances(&self, experiment: &str) -> &[Disturbance] {
        self.disturbances.get(experiment).map_or(&[], Vec::as_slice)
    }

    /// Deaths in tries that do not count: a repeated run that is sound does not explain them.
    pub fn deaths_put_aside(&self) -> Vec<String> {
        let put_aside = self.provenance.superseded.iter().flat_map(|experiment| self.disturbances(experiment));
        let put_aside = put_aside.filter(|disturbance| matches!(disturbance, Disturbance::Death(_)));
        let broken_off = self.provenance.broken_off.iter().filter(|one| one.end.died);
        put_aside.map(ToString::to_string).chain(broken_off.map(|one| one.end.why.clone())).collect()
    }

    /// The judgements that count: not those of a try that was invalid and repeated.
    pub fn counting(&self) -> impl Iterator<Item = &Judgement> {
        self.judgements.iter().filter(|judgement| !self.provenance.superseded.contains(&judgement.claim.experiment))
    }

    /// How many of the judgements that count have a verdict like this.
    pub fn count(&self, like: impl Fn(&Verdict) -> bool) -> usize {
        self.counting().filter(|judgement| like(&judgement.verdict)).count()
    }

    /// The verdict over everything, a sentence without its full stop.
    pub fn headline(&self) -> String {
        let fails = self.count(|verdict| matches!(verdict, Verdict::Fails(_)));
        let invalid = self.count(|verdict| matches!(verdict, Verdict::Invalid(_)));
        let deaths = self.deaths_put_aside();
        match (fails, invalid) {
            (0, 0) if !self.provenance.unfinished.is_empty() => {
                let names: Vec<&str> = self.provenance.unfinished.keys().map(String::as_str).collect();
                format!("{} could not be recorded", names.join(", "))
            }
            (0, 0) if deaths.is_empty() => "Every claim that could be shown holds".to_owned(),
            (0, 0) => format!("A first try was disturbed: {}", deaths.join("; ")),
            (0, 1) => "The run is inconclusive: one claim is invalid".to_owned(),
            (0, invalid) => format!("The run is inconclusive: {invalid} claims are invalid"),
            (1, _) => "One claim fails".to_owned(),
            (fails, _) => format!("{fails} claims fail"),
        }
    }

    /// The same as one word: `holds`, `fails` or `invalid`.
    pub fn class(&self) -> &'static str {
        match self.exit_code(&[]) {
            0 => "holds",
            1 => "fails",
            _ => "invalid",
        }
    }

    /// `104 of 106 claims hold, 2 not proven`.
    pub fn tally(&self) -> String {
        let all = self.counting().count();
        let mut text = share(self.count(|verdict| *verdict == Verdict::Holds), all, "claim", ["holds", "hold"]);
        for (count, word) in [
            (self.count(|verdict| matches!(verdict, Verdict::Fails(_))), "failed"),
            (self.count(|verdict| matches!(verdict, Verdict::Invalid(_))), "invalid"),
            (self.count(|verdict| matches!(verdict, Verdict::NotProven(_))), "not proven"),
        ] {
            if count > 0 {
                write!(text, ", {count} {word}").expect("writing to a String does not fail");
            }
        }
        let (all, missing) = (self.tree.scenarios.len(), self.not_run().len());
        if missing > 0 {
            let run = all - missing;
            write!(text, "; {}", share(run, all, "scenario", ["was run", "were run"])).expect("as above");
        }
        text
    }

    /// Ids of the tree's scenarios of which there is no experiment.
    pub fn not_run(&self) -> Vec<String> {
        let was_run = |id: &String| self.experiments.iter().any(|experiment| experiment.run.scenario == *id);
        self.tree.scenarios.iter().map(aiclipx_model::scenario::Scenario::id).filter(|id| !was_run(id)).collect()
    }

    /// Alerts that only scenarios which were not run would have made fire.
    pub fn not_provoked(&self) -> Vec<&str> {
        let not_run = self.not_run();
        let (missed, run): (Vec<_>, Vec<_>) =
            self.tree.scenarios.iter().partition(|scenario| not_run.contains(&scenario.id()));
        let is_provoked = |alert: &String| run.iter().any(|scenario| scenario.expect.fires.contains(alert));
        let missed = missed.into_iter().flat_map(|scenario| &scenario.expect.fires);
        missed.filter(|alert| !is_provoked(alert)).map(String::as_str).collect()
    }

    /// Of names that must be proven, those that no claim has in its id.
    pub fn unmatched<'a>(&self, require: &'a [String]) -> Vec<&'a str> {
        let is_matched =
            |wanted: &&String| self.counting().any(|judgement| judgement.claim.id.contains(wanted.as_str()));
        require.iter().filter(|wanted| !is_matched(wanted)).map(String::as_str).collect()
    }

    /// The exit code: 1 a claim fails, 3 the run is inconclusive, 0 else. `require` names kinds (or ids) of claims that
    /// must be proven.
    pub fn exit_code(&self, require: &[String]) -> u8 {
        let unproven = |judgement: &&Judgement| {
            matches!(judgement.verdict, Verdict::NotProven(_))
                && require.iter().any(|wanted| judgement.claim.id.contains(wanted.as_str()))
        };
        if self.count(|verdict| matches!(verdict, Verdict::Fails(_))) > 0 || self.counting().any(|j| unproven(&j)) {
            1
        } else if self.count(|verdict| matches!(verdict, Verdict::Invalid(_))) > 0
            || !self.deaths_put_aside().is_empty()
            || !self.provenance.unfinished.is_empty()
        {
            3
        } else {
            0
        }
    }
}

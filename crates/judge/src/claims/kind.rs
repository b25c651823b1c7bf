//! What the list of claims asks of each kind: what it is derived from, how it is named, what it needs, how it is decided.

use aiclipx_base::duration::Speed;
use aiclipx_model::scenario::Scenario;
use aiclipx_model::service::Part;

use crate::experiment::Experiment;
use crate::finding::Finding;
use crate::run::{OLDEST, Unseen};
use crate::tree::Tree;

/// A kind of claim: one file beside this one.
///
/// Its `derive` says which claims of the kind there are, with id and sentence, and [`claims`](super::claims) calls it.
pub trait ClaimKind {
    /// As monitoring/mutants.toml names it. Each counter and each step in an alert's life has a name of its own, for each is
    /// decided by code of its own; and each name needs a mutant.
    fn name(&self) -> &'static str;

    /// What it can't be decided without, of all that may be out of reach: then it is not proven.
    fn needs(&self) -> Option<Unseen> {
        None
    }

    /// The part of a service that it is about: of one that does without, it is not proven.
    fn rests_on(&self) -> Option<Part> {
        None
    }

    /// The first version of the statement that makes such a claim.
    fn since(&self) -> u32 {
        OLDEST
    }

    /// Whether a run that was cut short gives it no time to come true: that it did not is no defect, and not proven.
    fn takes_time(&self) -> bool {
        false
    }

    /// Whether it explains others that fail with it, and so is printed before them.
    fn explains_others(&self) -> bool {
        false
    }

    /// The alert whose firing it is about.
    fn alert(&self) -> Option<&str> {
        None
    }

    /// How the report sums up many of them in one line; others have a row each.
    fn folded(&self) -> Option<Folded<'_>> {
        None
    }

    /// Decides it on what was recorded. An error is an artifact that can't be read: then it fails.
    fn decide(&self, experiment: &Experiment, tree: &Tree) -> anyhow::Result<Finding>;
}

/// The words for many claims of a kind at once: `12 alerts stay quiet, as they should: A, B, …`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folded<'a> {
    /// The alert or the panel that this one is about.
    pub about: &'a str,
    /// Of one that holds, and of several.
    pub hold: (&'static str, &'static str),
    /// Of one that is not proven, and of several.
    pub open: (&'static str, &'static str),
}

/// What claims are derived from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    /// What happens, and what the monitoring must say.
    pub scenario: &'a Scenario,
    /// Rules, routes, dashboards.
    pub tree: &'a Tree,
    /// How much faster than production the stack lives.
    pub speed: Speed,
}

impl Given<'_> {
    /// The alerts that claims are about: those of the rules, in their order, then those that are expected and no rule defines.
    pub(super) fn alerts(&self) -> Vec<&str> {
        let (monitoring, fires) = (&self.tree.monitoring, &self.scenario.expect.fires);
        let defined = monitoring.alerts().iter().map(|alert| alert.name.as_str());
        let undefined = fires.iter().map(String::as_str).filter(|name| monitoring.alert(name).is_none());
        defined.chain(undefined).collect()
    }

    /// Whether the scenario expects an alert to fire.
    pub(super) fn is_expected(&self, alert: &str) -> bool {
        self.scenario.expect.fires.iter().any(|fires| fires == alert)
    }

    /// Whether the scenario expects it to fire while another inhibits its notifications.
    pub(super) fn is_inhibited(&self, alert: &str) -> bool {
        !self.is_expected(alert) && self.scenario.expect.inhibits.iter().any(|inhibited| inhibited == alert)
    }
}

/// A claim as its kind derives it, of whatever experiment.
#[derive(Debug)]
pub(crate) struct Stated<K> {
    /// `alert-fires/AppDown`: stable, unique in an experiment.
    pub(super) id: String,
    /// In words a reader understands.
    pub(super) says: String,
    pub(super) kind: K,
}

impl<K> Stated<K> {
    pub(super) fn new(id: impl Into<String>, says: impl Into<String>, kind: K) -> Stated<K> {
        Stated { id: id.into(), says: says.into(), kind }
    }
}

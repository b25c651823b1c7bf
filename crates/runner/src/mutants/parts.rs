//! What a stack may lack. A claim that rests on it is not proven there, so a mutant that it must find can't be tried there:
//! that says nothing against the mutant, nor against the claim.

use std::path::Path;

use crate::browser::Browser;
use crate::browser::prometheus::PrometheusPages;
use crate::environment::Environment;
use aiclipx_judge::claims::Kind;
use aiclipx_judge::judge::{Judgement, Verdict};
use aiclipx_judge::mutants::table::Mutant;
use aiclipx_judge::silence::not_part_of_the_stack;
use aiclipx_stack::{Component, Stack};

/// A part that is optional.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Browser,
    /// Prometheus' own pages, which some builds leave out.
    Pages,
    Grafana,
    /// The blackbox exporter.
    Probe,
    Vector,
    Loki,
}

/// Those that are components themselves. The viewer is ours, and there wherever Grafana is not.
const OF_COMPONENTS: [(Part, Component); 4] = [
    (Part::Grafana, Component::Grafana),
    (Part::Probe, Component::Probe),
    (Part::Vector, Component::Vector),
    (Part::Loki, Component::Loki),
];

impl Part {
    /// The component that it is, if it is one.
    fn component(self) -> Option<Component> {
        OF_COMPONENTS.into_iter().find_map(|(part, component)| (part == self).then_some(component))
    }

    /// Behind "for want of".
    fn name(self) -> &'static str {
        match self {
            Part::Browser => "Chromium",
            Part::Pages => "Prometheus' own pages",
            Part::Grafana => "Grafana",
            Part::Probe => "the blackbox exporter",
            Part::Vector => "Vector",
            Part::Loki => "Loki",
        }
    }

    /// Whether it is for want of this part that a claim is not proven. What else may keep a claim from being proven passes,
    /// and is no reason to leave a mutant untried.
    fn leaves_open(self, judgement: &Judgement) -> bool {
        let Verdict::NotProven(why) = &judgement.verdict else { return false };
        match (self, &judgement.claim.kind) {
            (Part::Browser, Kind::Pictured(_) | Kind::DashboardPictured(_))
            | (Part::Pages, Kind::Pictured(_))
            | (Part::Grafana, Kind::DashboardPictured(_)) => true,
            _ => self.component().is_some_and(|component| *why == not_part_of_the_stack(component.name())),
        }
    }
}

/// What a stack lacks while it runs.
pub(super) async fn lacking(stack: &Stack) -> Vec<Part> {
    let is_there = [
        (Part::Browser, Browser::find().is_some()),
        // One that does not answer in time may have them.
        (Part::Pages, !matches!(PrometheusPages::probe(Environment::Managed(stack).prometheus()).await, Ok(None))),
    ];
    let others = is_there.into_iter().filter(|(_, is_there)| !is_there).map(|(part, _)| part);
    others.chain(absent(|component| stack.programs().contains_key(&component))).collect()
}

/// The parts that are components of which this says that they are not there.
fn absent(has: impl Fn(Component) -> bool) -> impl Iterator<Item = Part> {
    OF_COMPONENTS.into_iter().filter(move |(_, component)| !has(*component)).map(|(part, _)| part)
}

/// Why a change of this file can't be tried where these are missing: nobody there reads it.
pub(super) fn unread(file: &Path, lacking: &[Part]) -> Option<String> {
    let folders = [(Part::Probe, "blackbox"), (Part::Vector, "vector"), (Part::Loki, "loki")];
    let (part, _) = folders.into_iter().find(|(_, folder)| file.starts_with(folder))?;
    lacking.contains(&part).then(|| format!("for want of {}: nobody reads {}", part.name(), file.display()))
}

/// Why a mutant can't be tried on a stack that lacks these: `for want of Grafana: …`. None where it can.
pub(super) fn wanting(mutant: &Mutant, sound: &[Judgement], lacking: &[Part]) -> Option<String> {
    let named = mutant.found_by.to_string();
    let judgement = sound.iter().find(|judged| judged.claim.id == named)?;
    let part = lacking.iter().find(|part| part.leaves_open(judgement))?;
    Some(format!("for want of {}: {}", part.name(), judgement.verdict.why()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aiclipx_judge::claims::Claim;
    use aiclipx_judge::claims::counters_equal_ledger::CountersEqualLedger;
    use aiclipx_judge::reconcile::Family;

    fn judged(verdict: Verdict) -> Judgement {
        let claim = Claim {
            id: "quiet/up".to_owned(),
            experiment: "quiet".to_owned(),
            says: String::new(),
            kind: Kind::CountersEqualLedger(CountersEqualLedger { family: Family::Requests }),
        };
        let (expected, observed) = (String::new(), String::new());
        Judgement { claim, population: 0, expected, observed, artifacts: Vec::new(), verdict }
    }

    /// A component that is optional, and left out here, would let a mutant that it must find survive.
    #[test]
    fn every_component_that_a_stack_may_do_without_is_a_part_and_leaves_open_what_rests_on_it() {
        for component in Component::ALL.into_iter().filter(|one| one.is_optional() && *one != Component::Viewer) {
            let parts: Vec<Part> = absent(|one| one != component).collect();
            let [part] = parts[..] else { panic!("without {component} a stack lacks {parts:?}") };
            let left_open = |why: String| part.leaves_open(&judged(Verdict::NotProven(why)));
            assert!(left_open(not_part_of_the_stack(component.name())), "{component}");
            assert!(!left_open(not_part_of_the_stack("another")), "{component}");
            assert!(!left_open(format!("{component} was there to be scraped and never answered")), "{component}");
        }
        assert_eq!(absent(|_| true).count(), 0);
    }

    #[test]
    fn what_an_absent_part_would_read_is_not_tried() {
        let unread = |file: &str, lacking: &[Part]| unread(Path::new(file), lacking);
        let both = [Part::Vector, Part::Loki];
        let told = "for want of Vector: nobody reads vector/vector.yaml";
        assert_eq!(unread("vector/vector.yaml", &both).as_deref(), Some(told));
        let told = "for want of the blackbox exporter: nobody reads blackbox/blackbox.yml";
        assert_eq!(unread("blackbox/blackbox.yml", &[Part::Probe]).as_deref(), Some(told));
        assert_eq!(unread("blackbox/blackbox.yml", &both), None);
        assert!(unread("loki/loki.yaml", &both).unwrap().starts_with("for want of Loki"));
        assert_eq!(unread("loki/loki.yaml", &[Part::Grafana]), None);
        assert_eq!(unread("prometheus/targets/vector.json", &both), None);
    }
}

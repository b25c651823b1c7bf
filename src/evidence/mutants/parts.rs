//! What a stack may lack. A claim that rests on it is not proven there, so a mutant that it must find can't be tried there:
//! that says nothing against the mutant, nor against the claim.

use std::path::Path;

use super::table::Mutant;
use crate::browser::Browser;
use crate::browser::prometheus::PrometheusPages;
use crate::evidence::claims::Kind;
use crate::evidence::ground::Ground;
use crate::evidence::judge::{Judgement, Verdict, not_part_of_the_stack};
use crate::stack::{Component, Stack};

/// A part that is optional.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Chromium.
    Browser,
    /// Prometheus' own pages, which some builds leave out.
    Pages,
    Grafana,
    /// The blackbox exporter.
    Probe,
    Vector,
    Loki,
}

impl Part {
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
            (Part::Browser, Kind::Pictured { .. } | Kind::DashboardPictured { .. })
            | (Part::Pages, Kind::Pictured { .. })
            | (Part::Grafana, Kind::DashboardPictured { .. }) => true,
            (Part::Probe, _) => *why == not_part_of_the_stack(Component::Probe.name()),
            (Part::Vector, _) => *why == not_part_of_the_stack(Component::Vector.name()),
            (Part::Loki, _) => *why == not_part_of_the_stack(Component::Loki.name()),
            (Part::Browser | Part::Pages | Part::Grafana, _) => false,
        }
    }
}

/// What a stack lacks while it runs.
pub(super) async fn lacking(stack: &Stack) -> Vec<Part> {
    let has = |component| stack.programs().contains_key(&component);
    let ground = Ground::Ours(stack);
    let is_there = [
        (Part::Browser, Browser::find().is_some()),
        // One that does not answer in time may have them.
        (Part::Pages, !matches!(PrometheusPages::probe(ground.prometheus()).await, Ok(None))),
        (Part::Grafana, ground.grafana().is_some()),
        (Part::Probe, has(Component::Probe)),
        (Part::Vector, has(Component::Vector)),
        (Part::Loki, has(Component::Loki)),
    ];
    is_there.into_iter().filter(|(_, is_there)| !is_there).map(|(part, _)| part).collect()
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

    /// A component that is optional, and left out here, would let a mutant that it must find survive.
    #[test]
    fn every_component_that_a_stack_may_do_without_is_a_part() {
        let told = |part: Part, component: Component| part.name().to_lowercase().contains(component.name());
        let parts = [Part::Grafana, Part::Vector, Part::Loki];
        // The viewer is ours, and there wherever Grafana is not.
        let others = Component::ALL.into_iter().filter(|one| one.is_optional() && *one != Component::Viewer);
        for component in others.filter(|one| *one != Component::Probe) {
            assert!(parts.iter().any(|part| told(*part, component)), "{}", component.name());
        }
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

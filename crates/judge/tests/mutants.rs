//! The table of mutants without a stack: every mutant applies to the monitoring as a stack gets it, names a scenario and a
//! claim that is derived for it, and no kind of claim is without one. Trying them is `just mutants`' work.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests: what they can't have ends the test")]

use std::collections::BTreeSet;
use std::path::Path;

use aiclipx_base::duration::Speed;
use aiclipx_judge::mutants::kinds;
use aiclipx_judge::mutants::table::{Edit, FoundBy, Table};
use aiclipx_judge::tree::{Rendered, Tree};
use aiclipx_model::monitoring::addresses::Addresses;

struct Known {
    tree: Tree,
    table: Table,
    rendered: Rendered,
    speed: Speed,
}

fn known_at(speed: &str) -> Known {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let (tree, table) = (Tree::read(root).unwrap(), Table::read(root).unwrap());
    let speed: Speed = speed.parse().unwrap();
    let rendered = tree.monitoring.render(&Addresses::canonical(), speed).unwrap();
    Known { tree, table, rendered, speed }
}

fn known() -> Known {
    known_at("30")
}

#[test]
fn every_mutant_applies_and_names_a_claim_that_is_derived() {
    for speed in ["30", "1"] {
        let Known { tree, table, rendered, speed } = known_at(speed);
        let wrong: Vec<String> = table
            .mutants
            .iter()
            .filter_map(|mutant| Some(format!("{}: {}", mutant.id, mutant.check(&tree, &rendered, speed).err()?)))
            .collect();
        assert_eq!(wrong, Vec::<String>::new(), "at speed {speed}");
    }
}

#[test]
fn every_kind_of_claim_has_a_mutant_or_a_reason() {
    let Known { tree, table, rendered, speed } = known();
    assert_eq!(kinds::uncovered(&table, &tree, &rendered, speed), Vec::<String>::new());
}

#[test]
fn a_kind_that_loses_its_mutant_is_told() {
    let Known { tree, table, rendered, speed } = known();
    // What no mutant can break has a reason in its place.
    for kind in kinds::derived(&tree, speed).into_iter().filter(|kind| !table.exempt.contains_key(*kind)) {
        let mut poorer = table.clone();
        poorer.mutants.retain(|mutant| {
            let claim = mutant.check(&tree, &rendered, speed).unwrap();
            claim.is_none_or(|claim| claim.kind.rules().name() != kind)
        });
        let told = kinds::uncovered(&poorer, &tree, &rendered, speed);
        assert_eq!(told, [format!("no mutant shows that a claim of the kind {kind} can fail")]);
        poorer.exempt.insert(kind.to_owned(), "A reason.".to_owned());
        assert_eq!(kinds::uncovered(&poorer, &tree, &rendered, speed), Vec::<String>::new());
        let mut excused = table.clone();
        excused.exempt.insert(kind.to_owned(), "A reason.".to_owned());
        assert_eq!(
            kinds::uncovered(&excused, &tree, &rendered, speed),
            [format!("{kind} is exempt, and has a mutant")]
        );
    }
}

#[test]
fn rules_alertmanager_scrapes_dashboards_and_exposition_all_have_some() {
    let table = known().table;
    let claims = table.mutants.iter().filter(|mutant| matches!(mutant.found_by, FoundBy::Claim(_)));
    assert!(claims.count() >= 15);
    let places: BTreeSet<&str> = table
        .mutants
        .iter()
        .map(|mutant| match &mutant.edit {
            Edit::Configuration(change) if change.file.starts_with("prometheus/rules") => "rules",
            Edit::Configuration(change) if change.file.starts_with("alertmanager") => "Alertmanager",
            Edit::Configuration(_) => "scrape configuration",
            Edit::Dashboard { .. } => "dashboards",
            Edit::Exposition(_) => "exposition",
            Edit::Record(_) | Edit::Loss(_) => "record",
            Edit::Setting { .. } => "service",
        })
        .collect();
    let all = ["Alertmanager", "dashboards", "exposition", "record", "rules", "scrape configuration", "service"];
    assert_eq!(places, BTreeSet::from(all));
}

#[test]
fn a_mutant_that_names_what_is_not_there_is_told() {
    let Known { tree, table, rendered, speed } = known();
    let why = |change: &dyn Fn(&mut aiclipx_judge::mutants::table::Mutant)| {
        let mut mutant = table.mutants.iter().find(|mutant| mutant.id == "alert-renamed").unwrap().clone();
        change(&mut mutant);
        mutant.check(&tree, &rendered, speed).unwrap_err()
    };
    let claim = |id: &str| FoundBy::Claim(id.to_owned());
    assert!(why(&|mutant| mutant.found_by = claim("quiet/alert-fires/AppDown")).contains("no claim"));
    assert!(why(&|mutant| mutant.found_by = claim("noise/loaded")).contains("no scenario noise"));
    assert!(why(&|mutant| mutant.id = "quiet".to_owned()).contains("called like a scenario"));
    let edited = |edit: &dyn Fn(&mut aiclipx_judge::mutants::table::Change)| {
        why(&|mutant| {
            let Edit::Configuration(change) = &mut mutant.edit else { panic!("it changes the configuration") };
            edit(change);
        })
    };
    assert!(edited(&|change| change.text = "alert: AppUp".to_owned()).contains("does not hold the text"));
    assert!(edited(&|change| change.text = "severity: critical".to_owned()).contains("times"));
    assert!(edited(&|change| change.file = "prometheus/rules/gone.yml".into()).contains("there is no"));
}

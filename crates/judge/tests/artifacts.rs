//! The tables of evidence/README.md say what the table of artifacts says.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test file throughout: what can't be read fails the test

use std::path::Path;

use aiclipx_judge::artifacts::{Artifact, BROKEN_OFF, Needed, OF_A_BUNDLE, OF_AN_EXPERIMENT, PACKED, WrittenBy};
use aiclipx_judge::bundle::{SIGNATURE, SUMS};
use aiclipx_judge::mutants;
use aiclipx_judge::report;

fn row(artifact: &Artifact) -> String {
    let path = artifact.path.replace('*', "NAME");
    let packed = if artifact.packed { PACKED } else { "" };
    let written = match artifact.written_by {
        WrittenBy::Enact => "enacting",
        WrittenBy::Collect => "collecting",
        WrittenBy::Report => "reporting",
    };
    let needed = match artifact.needed_by {
        Needed::ByClaims(which) => which,
        Needed::ByPeople => "none: for people",
    };
    format!("| `{path}{packed}` | {} | {written} | {needed} |", artifact.holds)
}

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../evidence/README.md")).unwrap()
}

#[test]
fn the_readme_has_the_table_of_an_experiments_artifacts() {
    let rows: Vec<String> = OF_AN_EXPERIMENT.iter().map(row).collect();
    let table =
        format!("| file | what it holds | written | claims that need it |\n|---|---|---|---|\n{}\n\n", rows.join("\n"));
    assert!(readme().contains(&table), "evidence/README.md must have this table:\n{table}");
}

#[test]
fn the_readme_names_every_file_of_a_bundle_and_none_more() {
    let readme = readme();
    let (_, table) = readme.split_once("| file | what it is |\n|---|---|\n").expect("the table of a bundle");
    let (table, _) = table.split_once("\n\n").unwrap();
    let named: Vec<&str> = table.lines().map(|line| line.split('`').nth(1).expect("a name in backquotes")).collect();
    let mut known: Vec<String> = OF_A_BUNDLE.map(str::to_owned).into();
    known.extend([SUMS, SIGNATURE].map(str::to_owned));
    // Of a folder with a folder for each run the README names one.
    let plain: Vec<String> = named.iter().map(|name| name.replace("NAME-try-1/", "").replace("NAME/", "")).collect();
    let missing: Vec<&String> = known.iter().filter(|file| !plain.contains(file)).collect();
    assert!(missing.is_empty(), "evidence/README.md has no row for {missing:?} in its table of a bundle");
    let unknown: Vec<&String> = plain.iter().filter(|file| !known.contains(file)).collect();
    assert!(unknown.is_empty(), "evidence/README.md, the table of a bundle: {unknown:?} lies in none (OF_A_BUNDLE)");
    assert_eq!(
        plain, known,
        "the rows of a bundle's table in evidence/README.md stand in another order than OF_A_BUNDLE"
    );
    for file in [report::PDF, mutants::outcome::FILE, &format!("{BROKEN_OFF}/")] {
        assert!(known.iter().any(|known| known == file), "{file}");
    }
}

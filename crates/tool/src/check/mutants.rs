//! monitoring/mutants.toml with what it breaks: each mutant still applies, and the claim that must find it is still derived. Who
//! changes a rule or a panel changes what a mutant is a change of; `just mutants` would tell so after half an hour of stacks.

use std::path::Path;

use super::finding::Findings;
use super::tree::line_with;
use aiclipx_base::duration::Speed;
use aiclipx_judge::mutants::table::{FILE, Table};
use aiclipx_judge::tree::Tree;
use aiclipx_model::monitoring::addresses::Addresses;

/// What can't be read or rendered is found where it is read; a repository need not have mutants.
pub(super) fn check(root: &Path, speeds: &[u32], findings: &mut Findings) {
    let Ok(text) = std::fs::read_to_string(root.join(FILE)) else { return };
    let table = match Table::read(root) {
        Ok(table) => table,
        Err(failure) => {
            let remedy = "its head says how it is written";
            return findings.find("mutant/file", FILE, 0, failure.to_string(), remedy);
        }
    };
    let Ok(tree) = Tree::read(root) else { return };
    for speed in speeds.iter().filter_map(|k| Speed::new(*k).ok()) {
        let Ok(rendered) = tree.monitoring.render(&Addresses::canonical(), speed) else { return };
        for mutant in &table.mutants {
            if let Err(why) = mutant.check(&tree, &rendered, speed) {
                let line = line_with(&text, &format!("id = \"{}\"", mutant.id));
                let what = format!("the mutant {} does not apply: {why}", mutant.id);
                let remedy = "it is a text that is there once, in the panel that it names, and a claim that is derived";
                findings.about("mutant/applies", &mutant.id, FILE, line, what, remedy);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use aiclipx_judge::tree::{FOLDERS, copy_folder};

    /// What is found where one text of one file of this repository is another.
    fn found(file: &str, from: &str, to: &str) -> Vec<String> {
        let root = tempfile::tempdir().expect("a folder is made");
        for folder in FOLDERS {
            let ours = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(folder);
            copy_folder(&ours, &root.path().join(folder)).expect("it is copied");
        }
        let path = root.path().join(file);
        let text = fs::read_to_string(&path).expect("it is there");
        assert!(text.contains(from), "{file} does not hold {from}");
        fs::write(&path, text.replacen(from, to, 1)).expect("it is written");
        let mut findings = Findings::default();
        check(root.path(), &[30], &mut findings);
        let mut found: Vec<String> = findings.0.iter().map(ToString::to_string).collect();
        found.dedup();
        found
    }

    #[test]
    fn a_mutant_of_a_rule_that_is_gone_is_found_at_its_line() {
        assert_eq!(found("monitoring/README.md", "alerts", "Alerts"), Vec::<String>::new(), "as they stand");
        let found = found("monitoring/prometheus/rules/app.yml", "alert: AppDown\n", "alert: AppIsGone\n");
        let line = line_with(
            &fs::read_to_string(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(FILE))
                .expect("it is there"),
            "id = \"alert-renamed\"",
        );
        let at = format!(
            "{FILE}:{line}: the mutant alert-renamed does not apply: prometheus/rules/app.yml does not hold the text (mutant/applies)"
        );
        assert!(found.iter().any(|found| found.starts_with(&at)), "{found:#?}");
    }

    #[test]
    fn a_claim_that_is_not_derived_any_more_and_a_table_that_is_none_are_found() {
        let gone = found(FILE, "claim = \"quiet/watchdog\"", "claim = \"quiet/watchman\"");
        assert!(gone[0].contains("no claim quiet/watchman is derived (mutant/applies)"), "{gone:#?}");
        let none = found(FILE, "breaks = ", "brakes = ");
        assert!(none.len() == 1 && none[0].contains("(mutant/file)"), "{none:#?}");
    }
}

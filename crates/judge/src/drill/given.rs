//! What a drill is given: rules, their unit tests, and Alertmanager's configuration, read from wherever they lie.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aiclipx_model::drill::alertmanager::Configuration;
use aiclipx_model::drill::expected::{self, ExpectedReceivers};
use aiclipx_model::drill::rules::{self, Rule};
use aiclipx_model::drill::tests::{self, TestFile};
use aiclipx_model::failure::{Failure, Finding};
use aiclipx_model::monitoring::located;

/// Everything that a drill is about.
#[derive(Debug)]
pub struct Given {
    /// By path relative to what is drilled.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    pub tests: Vec<TestFile>,
    /// The rules of each file.
    pub rules: BTreeMap<PathBuf, Vec<Rule>>,
    pub configuration: Configuration,
    /// Whom alerts are meant for, where somebody says it.
    pub expected: Vec<ExpectedReceivers>,
    /// Where that lies.
    pub alertmanager: PathBuf,
}

/// What a file is to a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Tests,
    Rules,
    Alertmanager,
    Templates,
    /// Whom alerts are meant for.
    Expected,
    /// Nothing.
    None,
}

/// What a file is, by what stands in it: names say nothing, but that of a `drill.yaml`.
pub fn role(path: &Path, bytes: &[u8]) -> Role {
    match by_what_stands_in_it(path, bytes) {
        Role::None if expected::is_called_so(path) => Role::Expected,
        role => role,
    }
}

fn by_what_stands_in_it(path: &Path, bytes: &[u8]) -> Role {
    if path.extension().is_some_and(|ending| ending == "tmpl" || ending == "gotmpl") {
        return Role::Templates;
    }
    let Ok(document) = located::read(bytes) else {
        // What is meant for one and can't be read is told; what is somebody else's is not.
        let says = |key: &str| bytes.split(|byte| *byte == b'\n').any(|line| line.starts_with(key.as_bytes()));
        return if says("tests:") && says("rule_files:") {
            Role::Tests
        } else if says("groups:") {
            Role::Rules
        } else {
            Role::None
        };
    };
    if tests::is_test_file(&document) {
        Role::Tests
    } else if rules::holds_rules(&document) {
        Role::Rules
    } else if document.get("route").is_some() && document.get("receivers").is_some() {
        Role::Alertmanager
    } else {
        Role::None
    }
}

impl Given {
    /// Understands files; all that is wrong in them is told.
    pub fn from_files(files: BTreeMap<PathBuf, Vec<u8>>, alertmanager: &Path) -> Result<Given, Failure> {
        let mut findings: Vec<Finding> = Vec::new();
        let (mut tests, mut rules, mut meant) = (Vec::new(), BTreeMap::new(), Vec::new());
        for (path, bytes) in &files {
            match role(path, bytes) {
                Role::Tests => match TestFile::read(path, bytes) {
                    Ok(read) => tests.push(read),
                    Err(found) => findings.extend(found),
                },
                Role::Rules => match rules::read(path, bytes) {
                    Ok(read) => drop(rules.insert(path.clone(), read)),
                    Err(found) => findings.extend(found),
                },
                Role::Expected => match expected::read(path, bytes) {
                    Ok(read) => meant.extend(read),
                    Err(found) => findings.extend(found),
                },
                Role::Alertmanager | Role::Templates | Role::None => {}
            }
        }
        let bytes = files.get(alertmanager).map_or(&[][..], Vec::as_slice);
        let configuration = Configuration::read(alertmanager, bytes).map_err(|found| findings.extend(found));
        match configuration {
            Ok(configuration) if findings.is_empty() => {
                let alertmanager = alertmanager.to_owned();
                let given = Given { files, tests, rules, configuration, expected: meant, alertmanager };
                let rules: Vec<&Rule> = given.alerts().collect();
                let unknown = expected::unknown(&given.expected, &rules, Some(&given.configuration));
                if unknown.is_empty() { Ok(given) } else { Err(unknown.into()) }
            }
            _ => {
                findings.sort();
                Err(findings.into())
            }
        }
    }

    /// The rules of a test file, in the order in which they are evaluated.
    pub fn rules_of(&self, tests: &TestFile) -> Vec<Rule> {
        let all: Vec<&Path> = self.rules.keys().map(PathBuf::as_path).collect();
        let named = tests.rule_files(&all);
        let rules = named.into_iter().flat_map(|path| self.rules[path].iter().cloned()).collect();
        rules::in_order(rules, &tests.group_order)
    }

    /// Files of rules in the form that Prometheus and promtool read, which is not that of Kubernetes' `PrometheusRule`.
    pub fn rule_files(&self) -> impl Iterator<Item = &PathBuf> {
        let is_plain = |path: &&PathBuf| {
            let document = self.files.get(*path).and_then(|bytes| located::read(bytes).ok());
            document.is_some_and(|document| document.get("groups").is_some())
        };
        self.rules.keys().filter(is_plain)
    }

    /// Every alerting rule, by file and line.
    pub fn alerts(&self) -> impl Iterator<Item = &Rule> {
        self.rules.values().flatten().filter(|rule| rule.alert.is_some())
    }

    /// The templates of messages that are among the files, of those that the configuration names.
    pub fn templates(&self) -> Vec<&Path> {
        let folder = self.alertmanager.parent().unwrap_or(Path::new(""));
        let is_named = |path: &Path| self.configuration.templates.iter().any(|pattern| names(folder, pattern, path));
        let is_template = |path: &&PathBuf| role(path, &[]) == Role::Templates && is_named(path);
        self.files.keys().filter(is_template).map(PathBuf::as_path).collect()
    }
}

/// Whether a pattern of a configuration in that folder names a file. Where it is absolute it says where files lie on another
/// machine: then by the file's own name.
fn names(folder: &Path, pattern: &str, path: &Path) -> bool {
    let pattern = Path::new(pattern);
    let of = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if pattern.is_absolute() {
        return tests::matches(&of(pattern), &of(path));
    }
    tests::matches(&tests::plain(&folder.join(pattern)).to_string_lossy(), &path.to_string_lossy())
}

#[cfg(test)]
mod of_itself {
    use super::*;

    #[test]
    fn whom_an_alert_is_meant_for_is_read_and_names_that_nothing_has_are_told() {
        let am = "route: {receiver: oncall}\nreceivers: [{name: oncall}, {name: tickets}]\n";
        let rules = "groups: [{name: g, rules: [{alert: ShopDown, expr: up == 0, labels: {severity: page}}]}]";
        let of = |meant: &str| {
            let files = [("am.yml", am), ("r.yml", rules), ("drill.yaml", meant)];
            let files = files.map(|(path, text)| (PathBuf::from(path), text.into())).into_iter().collect();
            Given::from_files(files, Path::new("am.yml"))
        };
        let given = of("expected:\n  - {alertname: ShopDown, receivers: [oncall]}\n").unwrap();
        assert_eq!(given.expected[0].receivers, ["oncall"]);
        for (meant, says) in [
            (
                "expected:\n  - {alertname: ShopDwn, receivers: [oncall]}\n",
                ["drill.yaml:2: no alert is called ShopDwn", "ShopDown"],
            ),
            (
                "expected:\n  - {alertname: ShopDown, receivers: [on-call]}\n",
                ["drill.yaml:2: no receiver is called on-call", "oncall"],
            ),
            ("expected:\n  - {alertname: ShopDown}\n", ["drill.yaml:2", "expects nothing"]),
            (
                "expected:\n  - {alertname: ShopDown, labels: {severity: critical}, receivers: [oncall]}\n",
                ["drill.yaml:2: no rule of ShopDown gives an alert", "severity"],
            ),
            (
                "expected: [{alertname: ShopDown, receivers: [oncall]}]\n---\nexpected: []\n",
                ["drill.yaml:2", "a second document"],
            ),
            ("expects: 1", ["drill.yaml:1", "none of expected"]),
            ("a: [", ["drill.yaml:1", ""]),
        ] {
            let told = of(meant).unwrap_err();
            let told = format!("{told} {told:?}");
            assert!(says.iter().all(|one| told.contains(one)), "{meant}: {told}");
        }
    }

    #[test]
    fn templates_are_those_that_the_configuration_names() {
        let am =
            "route: {receiver: a}\nreceivers: [{name: a}]\ntemplates: [t/*.tmpl, ../one.tmpl, /etc/am/far*.tmpl]\n";
        let paths =
            ["am/am.yml", "am/t/a.tmpl", "am/t/deep/b.tmpl", "am/c.tmpl", "one.tmpl", "x/far1.tmpl", "x/t/a.tmpl"];
        let file = |path: &&str| (PathBuf::from(*path), if *path == "am/am.yml" { am.into() } else { Vec::new() });
        let given = Given::from_files(paths.iter().map(file).collect(), Path::new("am/am.yml")).unwrap();
        assert_eq!(given.templates(), ["am/t/a.tmpl", "one.tmpl", "x/far1.tmpl"].map(Path::new));
    }
}

//! monitoring/exceptions.toml: findings that are no fault here, each with its reason. A table is called by the finding's name,
//! an entry by what the finding is about: a file, or what [`Finding::subject`] may be.
//!
//! The list may not outlive what it excuses: an entry that excepts nothing is a finding like what it would have hidden.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::finding::{Finding, Findings};
use super::names;
use super::pasted;
use super::tree::Tree;
use aiclipx_model::monitoring::Monitoring;

/// Below monitoring/.
const FILE: &str = "exceptions.toml";

struct Entry {
    /// The finding's name.
    name: String,
    about: String,
    line: usize,
    /// Whether it has excepted something.
    is_used: Cell<bool>,
}

#[derive(Default)]
pub(super) struct Exceptions(Vec<Entry>);

impl Exceptions {
    /// Reads the list; without a file nothing is excepted.
    pub(super) fn read(monitoring: &Monitoring, findings: &mut Findings) -> Exceptions {
        let mut exceptions = Exceptions::default();
        let Some(bytes) = monitoring.files().get(Path::new(FILE)) else { return exceptions };
        let text = String::from_utf8_lossy(bytes);
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        let (tables, errors) = DeTable::parse_recoverable(&text);
        for error in errors {
            let at = error.span().map_or(0, |span| line(span.start));
            findings.find("exception/file", file(), at, format!("not TOML: {}", error.message()), "");
        }
        for (name, table) in tables.get_ref() {
            let at = line(name.span().start);
            let name = name.get_ref().as_ref();
            if may_not_be_excepted(name) {
                let what = format!("`{name}` hides others, and can't be excepted");
                findings.find("exception/name", file(), at, what, "take it off the list, and mend what it says");
            }
            if names::of(name).is_none() {
                let what = format!("no finding is called `{name}`");
                findings.find("exception/name", file(), at, what, "`aiclipx check --names` lists them");
            }
            let DeValue::Table(table) = table.get_ref() else {
                let what = format!("`{name}` is no table");
                findings.find(
                    "exception/file",
                    file(),
                    at,
                    what,
                    "[\"name\"], and lines of: \"file or subject\" = \"why\"",
                );
                continue;
            };
            for (about, reason) in table {
                let at = line(about.span().start);
                let about = about.get_ref().as_ref();
                if about.is_empty() {
                    let what = format!("`{name}` is excepted of nothing");
                    findings.find("exception/file", file(), at, what, "name a file, or what the finding is about");
                    continue;
                }
                if reason.get_ref().as_str().is_none_or(|reason| reason.trim().is_empty()) {
                    let what = format!("`{about}` has no reason");
                    findings.find("exception/reason", file(), at, what, "write why, in a sentence");
                }
                let (name, about) = (name.to_owned(), about.to_owned());
                exceptions.0.push(Entry { name, about, line: at, is_used: Cell::default() });
            }
        }
        exceptions
    }

    pub(super) fn excepts(&self, finding: &Finding) -> bool {
        self.0.iter().any(|entry| entry.excepts(finding))
    }

    /// What is left of these.
    pub(super) fn leave(&self, findings: Vec<Finding>) -> Vec<Finding> {
        findings.into_iter().filter(|finding| !self.excepts(finding)).collect()
    }

    /// Entries for an error that a running stack did not show. Whether something is empty depends on what runs, and on when it
    /// is asked, so that entries for it stay.
    pub(super) fn idle_on_a_stack(&self, has_grafana: bool) -> Findings {
        let mut names = vec!["panel/answer", "runbook/answer", "rule/absent", "rule/health"];
        names.extend(has_grafana.then_some("panel/grafana"));
        let mut idle = Findings::default();
        for entry in self.0.iter().filter(|entry| names.contains(&entry.name.as_str()) && !entry.is_used.get()) {
            let what = format!("`{}` excepts nothing: this stack shows no {} of it", entry.about, entry.name);
            idle.find("exception/idle", file(), entry.line, what, "take it off the list, if its name is right");
        }
        idle
    }

    /// Every entry excepts something of what was found; one of what only a running stack shows is of a panel or a page that
    /// there is.
    pub(super) fn check(&self, tree: &Tree, found: &[Finding]) -> Findings {
        let mut idle = Findings::default();
        for entry in self.0.iter().filter(|entry| names::of(&entry.name).is_some()) {
            let Entry { name, about, line, .. } = entry;
            if names::is_of_a_stack(name) {
                if !asked(name, tree).iter().any(|finding| entry.excepts(finding)) {
                    let what = format!("there is nothing called `{about}` that `{name}` could be of");
                    let remedy = "a panel as uid/id, a dashboard's uid, a query as a runbook has it, or a file";
                    idle.find("exception/idle", file(), *line, what, remedy);
                }
            } else if !found.iter().any(|finding| entry.excepts(finding)) {
                let what = format!("`{about}` excepts nothing: there is no {name} of it");
                idle.find("exception/idle", file(), *line, what, "take it off the list, if its name is right");
            }
        }
        idle
    }
}

impl Entry {
    fn excepts(&self, finding: &Finding) -> bool {
        let excepts = self.name == finding.name && !may_not_be_excepted(&self.name) && finding.is_about(&self.about);
        self.is_used.set(self.is_used.get() || excepts);
        excepts
    }
}

/// Findings about this list itself, and those at which a check of the rest ends.
fn may_not_be_excepted(name: &str) -> bool {
    name.starts_with("exception/") || ["rule/none", "test/none"].contains(&name)
}

pub(super) fn file() -> PathBuf {
    Path::new("monitoring").join(FILE)
}

/// What a running stack would be asked, each as if it were found.
fn asked(name: &str, tree: &Tree) -> Vec<Finding> {
    let mut findings = Findings::default();
    let Some(name) = names::of(name) else { return findings.0 };
    for (panel, dashboard, _) in tree.panels() {
        findings.about(name, &panel, &dashboard.file, 0, "", "");
    }
    for query in pasted::queries(&tree.monitoring) {
        findings.about(name, &query.expr, query.file, query.line, "", "");
    }
    for alert in tree.monitoring.alerts() {
        findings.at(name, alert, "", "");
    }
    for rule in tree.monitoring.recordings() {
        findings.about(name, &rule.name, &rule.file, rule.line, "", "");
    }
    findings.0
}

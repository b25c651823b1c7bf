//! What a check finds: where, what, what helps, and by which name it can be excepted.

use std::fmt;
use std::path::{Path, PathBuf};

use aiclipx_model::failure::{self, Failure};
use aiclipx_model::monitoring::Alert;

/// Something wrong in a file, by its name in [`super::names`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, relative to the repository's root.
    pub file: PathBuf,
    /// One-based; 0 when the whole file is meant.
    pub line: usize,
    pub what: String,
    /// What to do, or empty.
    pub remedy: String,
    pub name: &'static str,
    /// An alert, a panel (`uid/id`), a recorded name, a service of compose.yaml; or empty.
    pub subject: String,
}

impl Finding {
    /// What a reader of files refuses.
    pub(super) fn of_reader(name: &'static str, read: failure::Finding) -> Finding {
        let failure::Finding { file, line, what, remedy } = read;
        Finding { file, line, what, remedy, name, subject: String::new() }
    }

    /// Whether it is about this: its file, its subject, or the dashboard of the panel that is its subject.
    pub(super) fn is_about(&self, key: &str) -> bool {
        let of_its_dashboard = || self.subject.split_once('/').is_some_and(|(uid, _)| uid == key);
        self.file == Path::new(key) || self.subject == key || of_its_dashboard()
    }

    /// One line, for editors.
    pub fn to_json(&self) -> String {
        let Finding { file, line, what, remedy, name, subject } = self;
        serde_json::json!({
            "file": file.to_string_lossy(), "line": line, "name": name, "subject": subject, "what": what, "remedy": remedy,
        })
        .to_string()
    }
}

/// `file:line: what (name)`, as editors and terminals link it; what to do in a line of its own.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        named(self.clone()).fmt(f)
    }
}

/// As a command tells it, with its name.
fn named(finding: Finding) -> failure::Finding {
    let Finding { file, line, what, remedy, name, .. } = finding;
    // What a parser says may have several lines.
    let (first, rest) = what.find('\n').map_or((what.as_str(), ""), |at| what.split_at(at));
    let what = format!("{} ({name}){rest}", first.trim_end());
    failure::Finding { file, line, what, remedy }
}

/// Findings that stop a command.
pub fn refusal(findings: Vec<Finding>) -> Failure {
    findings.into_iter().map(named).collect::<Vec<_>>().into()
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn find(
        &mut self,
        name: &'static str,
        file: impl Into<PathBuf>,
        line: usize,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.about(name, "", file, line, what, remedy);
    }

    /// Of an alert, at its rule.
    pub(super) fn at(&mut self, name: &'static str, alert: &Alert, what: impl Into<String>, remedy: impl Into<String>) {
        self.about(name, &alert.name, &alert.file, alert.line, what, remedy);
    }

    /// Of a subject that can be excepted by itself.
    pub(super) fn about(
        &mut self,
        name: &'static str,
        subject: &str,
        file: impl Into<PathBuf>,
        line: usize,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (file, what, remedy) = (file.into(), what.into(), remedy.into());
        self.0.push(Finding { file, line, what, remedy, name, subject: subject.to_owned() });
    }

    /// What a reader found, by one name.
    pub(super) fn read(&mut self, name: &'static str, read: Vec<failure::Finding>) {
        self.0.extend(read.into_iter().map(|finding| Finding::of_reader(name, finding)));
    }
}

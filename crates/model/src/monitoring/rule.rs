//! A rule as its file has it: in production time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// An alerting rule, as its file has it: production time.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Its name, `AppDown`. Several rules may share one.
    pub name: String,
    /// The expression's text.
    pub expr: String,
    /// How long it must hold before the alert fires.
    pub hold: Duration,
    /// How long it keeps firing after it stopped holding.
    pub keep_firing_for: Duration,
    /// Static labels, the name not among them.
    pub labels: BTreeMap<String, String>,
    /// Annotations, templates unexpanded.
    pub annotations: BTreeMap<String, String>,
    /// The group it is evaluated in.
    pub group: String,
    /// How often it is evaluated.
    pub evaluation_interval: Duration,
    /// The file, relative to the repository's root.
    pub file: PathBuf,
    /// The line the rule begins at.
    pub line: usize,
}

/// A recording rule, as its file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// `level:metric:operations`.
    pub name: String,
    /// The expression's text.
    pub expr: String,
    /// Labels that it adds.
    pub labels: BTreeMap<String, String>,
    /// The file, relative to the repository's root.
    pub file: PathBuf,
    /// The line the rule begins at.
    pub line: usize,
}

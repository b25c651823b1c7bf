//! What `$name` stands for in a dashboard.

use aiclipx_base::duration::{DurationError, Speed};
use aiclipx_model::monitoring::length_at;

/// How a choice of all values is written, in files and addresses.
pub const ALL: &str = "$__all";

/// A template variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Without the `$`.
    pub name: String,
    /// Shown beside it; the name when there is none.
    pub label: String,
    /// Where its values come from.
    pub kind: VariableKind,
    /// What is chosen by default; `$__all` for all, nothing where the first there is.
    pub current: Vec<String>,
    /// What "all" stands for; without it, all values as one regular expression.
    pub all_value: Option<String>,
    /// "All" can be chosen.
    pub include_all: bool,
    /// Several values can be chosen at once.
    pub multi: bool,
    /// Of an interval that Grafana can compute: of how many steps the range is made, and how short they are at least.
    pub auto: Option<(u32, String)>,
    /// Out of sight: it is what it is by default, or what an address says.
    pub hidden: bool,
    /// What of each value that is found is taken; all of it when empty.
    pub regex: String,
    /// Grafana's number of the order in which the values stand.
    pub sort: u32,
}

/// Where a variable's values come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VariableKind {
    /// `label_values(metric, label)` or `label_values(label)`.
    LabelValues {
        /// The selector, or none for all series.
        metric: Option<String>,
        /// The label.
        label: String,
    },
    /// `label_names()`, or of the series that a selector finds.
    LabelNames(Option<String>),
    /// `metrics(expression)`: the metrics whose names it finds.
    Metrics(String),
    /// `query_result(PromQL)`: each of the answer's series as a text.
    QueryResult(String),
    /// The series that a selector finds, as texts.
    Series(String),
    /// A fixed list: what each value is called, and what it is.
    Listed(Vec<(String, String)>),
    /// A fixed list of durations.
    Interval(Vec<String>),
    /// One value that nobody chooses.
    Constant(String),
    /// Whatever somebody writes.
    Text,
    /// One of the data sources of a type.
    Datasource(String),
    /// Conditions that are put into every selector: label, operator, value.
    Filters(Vec<(String, String, String)>),
    /// Asked of something that is not Prometheus, or of a kind we don't know: by Grafana's name.
    Other(String),
}

impl VariableKind {
    /// Whether its values stand in the file, and need not be asked for.
    pub fn is_fixed(&self) -> bool {
        matches!(
            self,
            VariableKind::Listed(_)
                | VariableKind::Interval(_)
                | VariableKind::Constant(_)
                | VariableKind::Text
                | VariableKind::Datasource(_)
        )
    }

    /// What is asked of Prometheus for its values.
    pub fn question(&self) -> Option<&str> {
        match self {
            VariableKind::LabelValues { metric, .. } => metric.as_deref(),
            VariableKind::LabelNames(selector) => selector.as_deref(),
            VariableKind::Metrics(asked) | VariableKind::QueryResult(asked) | VariableKind::Series(asked) => {
                Some(asked)
            }
            _ => None,
        }
    }

    /// The values that stand in the file.
    pub fn listed(&self) -> Vec<String> {
        match self {
            VariableKind::Listed(values) => values.iter().map(|(_, value)| value.clone()).collect(),
            VariableKind::Interval(values) => values.clone(),
            VariableKind::Constant(value) => vec![value.clone()],
            _ => Vec::new(),
        }
    }
}

impl Variable {
    /// Lengths among its values as they are at a speed.
    pub(super) fn divide(&mut self, speed: Speed) -> Result<(), DurationError> {
        let real = |value: &mut String| {
            *value = length_at(value.trim(), speed)?;
            Ok(())
        };
        match &mut self.kind {
            VariableKind::Listed(values) => values.iter_mut().try_for_each(|(_, value)| real(value))?,
            VariableKind::Interval(values) => values.iter_mut().try_for_each(real)?,
            VariableKind::Constant(value) => real(value)?,
            VariableKind::Text => {}
            _ => return Ok(()),
        }
        self.current.iter_mut().try_for_each(real)
    }
}

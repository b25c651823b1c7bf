//! Names of labels, annotations and series: which every release takes, and which Prometheus takes from 3.0 on, where any letters
//! may stand in one. That a name is of the second kind is a remark; Prometheus 2 refuses its file.

use super::Walk;
use crate::monitoring::located::{Entry, Node};
use crate::monitoring::promql::is_name;
use crate::monitoring::shape::Shape;

const PLAIN: &str = "letters, digits and _, no digit first";

impl Walk<'_> {
    /// Labels, annotations: names that who reads them takes, and texts.
    pub(super) fn texts(&mut self, shape: &Shape, entries: &[Entry]) {
        let is_of_alertmanager = matches!(shape, Shape::PlainLabels | Shape::Regexes);
        let is_of_annotations = matches!(shape, Shape::Annotations | Shape::ExpectedAnnotations);
        for entry in entries {
            let name = entry.key.as_str();
            let is_reserved = name == "__name__" && !is_of_annotations;
            if name.is_empty() || is_reserved || (is_of_alertmanager && !is_label(name)) {
                self.find(entry.line, format!("`{name}` is no name of a label"), PLAIN);
            } else if !is_label(name) {
                self.newer_name(entry.line, name);
            }
            if entry.node.as_text().is_none() {
                let what = format!("`{name}` is {}, not a text", entry.node.kind());
                self.find(entry.line, what, "write it in quotes");
            }
        }
    }

    /// What a recording rule records. Braces are those of an expression in the wrong place.
    pub(super) fn series_name(&mut self, line: usize, name: &str) {
        if name.is_empty() || name.contains(['{', '}']) {
            self.find(line, format!("`{name}` is no name of a series"), "letters, digits, _ and :, no digit first");
        } else if !is_name(name) {
            self.newer_name(line, name);
        }
    }

    /// The labels that a step of a relabelling names; one that captures fill in may become any.
    pub(super) fn relabelled_names(&mut self, step: &Node, target: &str) {
        let sources = step.items_of("source_labels").iter().filter_map(|node| Some((node.line, node.as_text()?)));
        let target = Some((step.line_of("target_label"), target)).filter(|(_, name)| !name.contains('$'));
        for (line, name) in sources.chain(target).filter(|(_, name)| !name.is_empty() && !is_label(name)) {
            self.newer_name(line, name);
        }
    }

    fn newer_name(&mut self, line: usize, name: &str) {
        let what = format!("Prometheus takes the name `{name}` from 3.0 on, and 2 refuses the file");
        self.remark("name/version", line, what, PLAIN);
    }
}

fn is_label(name: &str) -> bool {
    is_name(name) && !name.contains(':')
}

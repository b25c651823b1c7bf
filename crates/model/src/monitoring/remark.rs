//! What is found in a file that its program reads all the same: `check` tells it, by a name that can be switched off.

use std::path::{Path, PathBuf};

use crate::failure::Finding;

/// A finding with the name that `check` knows it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    pub name: &'static str,
    pub finding: Finding,
}

/// What was found while files were read: what stops, and what is only said.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) refused: Vec<Finding>,
    pub(super) remarks: Vec<Remark>,
}

impl Found {
    pub(super) fn refuse(&mut self, file: impl Into<PathBuf>, line: usize, what: impl Into<String>, remedy: &str) {
        let (file, what, remedy) = (file.into(), what.into(), remedy.to_owned());
        self.refused.push(Finding { file, line, what, remedy });
    }

    pub(super) fn remark(
        &mut self,
        name: &'static str,
        file: &Path,
        line: usize,
        what: impl Into<String>,
        remedy: &str,
    ) {
        let (file, what, remedy) = (file.to_owned(), what.into(), remedy.to_owned());
        self.remarks.push(Remark { name, finding: Finding { file, line, what, remedy } });
    }
}

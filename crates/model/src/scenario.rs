//! What happens and what the monitoring must say about it: `scripts/traffic/NN-name.toml` as types.
//!
//! Times are production time; a stack of speed k lives them k times faster. Rates are real. The format, key by key, is
//! in scripts/README.md; [`file`](mod@file) reads it. Whether an alert or a panel named here exists is not known here.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::failure::{Failure, Finding};
use crate::files;

mod file;
mod types;

pub use types::{Action, Arrival, Expect, FaultQuota, Measure, Phase, RequestTemplate, Scenario, Step, Volume};

impl Scenario {
    /// Reads one scenario file; everything wrong in it is reported at once.
    pub fn read(file: &Path) -> Result<Scenario, Failure> {
        let text = files::read_to_string(file)
            .with_context(|| format!("cannot read the scenario {}", file.display()))
            .map_err(Failure::usage)?;
        Ok(Scenario::from_text(file, &text)?)
    }

    /// Reads a scenario's text; `file` gives number and name (`02-error-rate.toml`) and stands in every finding.
    pub fn from_text(file: &Path, text: &str) -> Result<Scenario, Vec<Finding>> {
        file::read(file, text)
    }
}

/// Every scenario of a folder, by number. All that is wrong in any of them is reported at once.
pub fn all(folder: &Path) -> Result<Vec<Scenario>, Failure> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    let mut findings = Vec::new();
    let mut unread = None;
    for file in files(folder)? {
        match files::read_to_string(&file) {
            Ok(text) => match Scenario::from_text(&file, &text) {
                Ok(scenario) => scenarios.push(scenario),
                Err(found) => findings.extend(found),
            },
            Err(error) => {
                findings.push(files::unread(&file, &error));
                unread.get_or_insert((file, error));
            }
        }
    }
    if let Some((file, error)) = unread {
        // Whether it is the system that says no, its own error tells.
        let error = anyhow::Error::new(error).context(format!("cannot read the scenario {}", file.display()));
        return Err(Failure::usage(error).of_files(findings));
    }
    scenarios.sort_by_key(|scenario| scenario.number);
    for (index, scenario) in scenarios.iter().enumerate() {
        let earlier = &scenarios[..index];
        if let Some(other) = earlier.iter().find(|other| other.number == scenario.number || other.name == scenario.name)
        {
            findings.push(Finding {
                file: scenario.file.clone(),
                line: 0,
                what: format!("{} has the same number or name", other.file.display()),
                remedy: "give every scenario a number and a name of its own".to_owned(),
            });
        }
    }
    if findings.is_empty() { Ok(scenarios) } else { Err(findings.into()) }
}

/// The scenario a user named: by number (`02`, `2`), name (`error-rate`), id (`02-error-rate`) or path.
///
/// A name is a path when it ends in `.toml` or holds a slash. Other files of the folder need not be right.
pub fn find(folder: &Path, name: &str) -> Result<Scenario, Failure> {
    if name.contains('/') || Path::new(name).extension().is_some_and(|extension| extension == "toml") {
        return Scenario::read(Path::new(name));
    }
    let files = files(folder)?;
    let mut ids = Vec::new();
    for file in &files {
        let Ok((number, called)) = file::number_and_name(file) else { continue };
        let id = format!("{number:02}-{called}");
        if id == name || called == name || name.parse() == Ok(number) {
            return Scenario::read(file);
        }
        ids.push(id);
    }
    let there_is = if ids.is_empty() { "there is none".to_owned() } else { format!("there is {}", ids.join(", ")) };
    Err(Failure::usage(format!("no scenario `{name}` in {}: {there_is}", folder.display()))
        .remedy("name one by number, name or path, like 02, error-rate or ./mine/09-mine.toml"))
}

/// The `.toml` files of a folder, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let look = || -> std::io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    };
    look()
        .with_context(|| format!("cannot list the scenarios in {}", folder.display()))
        .map_err(|error| Failure::usage(error).remedy("scenarios are scripts/traffic/NN-name.toml"))
}

#[cfg(test)]
mod tests;

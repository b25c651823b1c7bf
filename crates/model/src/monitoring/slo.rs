//! slo.toml into prometheus/rules/slo.yml: the rules of all objectives, which differ only in their names and numbers.
//!
//! Pure, like [`render`](super::Monitoring::render): (slo.toml, rules/app.yml) → the file, byte for byte. `check` holds the
//! committed file to it. It is read by people, at three in the morning: each form of a rule stands there with why it is so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::failure::Finding;
pub use table::TABLE;
use table::{RECORDS, Slo};

mod table;
mod written;

/// What is made of it, below monitoring/.
pub const MADE: &str = "prometheus/rules/slo.yml";
/// What is read for it: the table, and how often what it counts is recorded.
pub const SOURCES: [&str; 2] = [TABLE, RECORDS];

/// The rules, from the files of monitoring/; none where there is no table. All that is wrong with it is found at once.
pub fn rules(files: &BTreeMap<PathBuf, Vec<u8>>) -> Result<Option<String>, Vec<Finding>> {
    let Some(table) = files.get(Path::new(TABLE)) else { return Ok(None) };
    let text = String::from_utf8_lossy(table);
    let (slo, times) = Slo::read(&text, files.get(Path::new(RECORDS)))?;
    Ok(Some(slo.written(times)))
}

/// The first line in which two texts differ, from 1; none where they are the same.
pub fn differs(one: &str, other: &str) -> Option<usize> {
    let lines = |text: &str| -> Vec<String> { text.split('\n').map(str::to_owned).collect() };
    let (one, other) = (lines(one), lines(other));
    (0..one.len().max(other.len())).find(|at| one.get(*at) != other.get(*at)).map(|at| at + 1)
}

#[cfg(test)]
mod tests;

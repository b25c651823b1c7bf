//! What people read: report.html (self-contained, no script) and report.md, out of what was judged; and report.pdf, the
//! first of them printed.
//!
//! Pure but for the print, and deterministic: `verify` writes the reports again and compares, so a number in them that no artifact gives
//! rise to is found. Nothing is said here that was not recorded in this run.

mod breaks;
mod experiment;
mod html;
pub(crate) mod judgements;
mod markdown;
mod mutants;
mod prometheus;
mod strip;
pub(crate) mod words;

use super::artifacts::panel_drawing;
use super::outcome::Outcome;
use super::panels::{Drawings, drawings};

/// A form of the report: its text, of what was judged and of every experiment's panels.
type Page = fn(&Outcome, &[Drawings]) -> anyhow::Result<String>;

/// Every form that is text.
const FORMATS: [(&str, Page); 2] = [("report.html", html::page), ("report.md", |outcome, _| markdown::page(outcome))];

/// The files of all of them.
pub(crate) fn written() -> [&'static str; FORMATS.len()] {
    FORMATS.map(|(file, _)| file)
}

/// report.html as a browser prints it, beside it.
pub const PDF: &str = "report.pdf";

/// The reports and drawings: path below the bundle, and text.
pub(crate) fn write(outcome: &Outcome) -> anyhow::Result<Vec<(String, String)>> {
    let drawn = |experiment| drawings(experiment, &outcome.tree);
    let drawings: Vec<Drawings> = outcome.experiments.iter().map(drawn).collect::<anyhow::Result<_>>()?;
    let mut files = Vec::new();
    for (file, page) in FORMATS {
        files.push((file.to_owned(), page(outcome, &drawings)?));
    }
    for (experiment, drawings) in outcome.experiments.iter().zip(drawings) {
        for (panel, svg) in drawings {
            files.push((format!("experiments/{}/{}", experiment.name, panel_drawing(&panel)), svg));
        }
    }
    Ok(files)
}

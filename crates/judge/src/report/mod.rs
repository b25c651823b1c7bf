//! What people read: report.html (self-contained, no script) and report.md, out of what was judged; and report.pdf, the
//! first of them printed.
//!
//! Pure but for the print, and deterministic: `verify` writes the reports again and compares, so a number in them that no artifact gives
//! rise to is found. Nothing is said here that was not recorded in this run.

mod html;
mod markdown;
mod mutants;
mod prometheus;
mod strip;
mod words;

use super::artifacts::panel_drawing;
use super::outcome::Outcome;

/// report.html as a browser prints it, beside it.
pub const PDF: &str = "report.pdf";

/// The files that tell people: path below the bundle, and text.
pub fn write(outcome: &Outcome) -> anyhow::Result<Vec<(String, String)>> {
    let mut files =
        vec![("report.html".to_owned(), html::page(outcome)?), ("report.md".to_owned(), markdown::page(outcome)?)];
    for experiment in &outcome.experiments {
        for (panel, svg) in super::panels::drawings(experiment, &outcome.tree)? {
            files.push((format!("experiments/{}/{}", experiment.name, panel_drawing(&panel)), svg));
        }
    }
    Ok(files)
}

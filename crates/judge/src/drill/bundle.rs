//! The folder of a drill: judged and reported, sealed like any bundle, and verified by judging again.

use std::path::Path;

use anyhow::{Context, bail, ensure};

use super::given::Given;
use super::layout::{GIVEN, RUN, VERDICTS};
use super::outcome::{KIND, Made, OLDEST, Outcome, SCHEMA};
use super::report;
use super::tally::Cell;
use crate::bundle::{Bundle, Draft};
use crate::files::{json_text, read_json, read_text, write, write_json};
use crate::provenance;
use aiclipx_model::failure::{self, Failure, Kind};

/// Whether a folder is a drill's, by what it says of itself.
pub fn is_drill(folder: &Path) -> bool {
    read_json::<serde_json::Value>(&folder.join(RUN)).is_ok_and(|told| told["kind"] == KIND)
}

/// Writes what was given where the drill keeps it.
pub fn take(draft: &Draft, given: &Given) -> anyhow::Result<()> {
    lay_out(given, &draft.folder().join(GIVEN))
}

/// Writes what was given below a folder: programs of others read it as it is.
pub fn lay_out(given: &Given, folder: &Path) -> anyhow::Result<()> {
    given.files.iter().try_for_each(|(path, bytes)| write(&folder.join(path), bytes))
}

/// Judges everything in a draft and writes the reports.
pub fn conclude(draft: &Draft, made: &Made) -> Result<Outcome, Failure> {
    write_json(&draft.folder().join(RUN), made)?;
    let outcome = Outcome::derive(draft.folder())?;
    write_json(&draft.folder().join(VERDICTS), &outcome.cells)?;
    for (file, text) in report::write(&outcome)? {
        write(&draft.folder().join(file), text.as_bytes())?;
    }
    Ok(outcome)
}

/// L0 and L1, as of any bundle; with the reports that another program wrote otherwise than this one would.
pub fn verify(bundle: &Bundle) -> Result<(Outcome, Vec<String>), Failure> {
    bundle.integrity().map_err(|error| bundle.refused(error, "L0, integrity"))?;
    is_judged_here(bundle)?;
    derivation(bundle).map_err(|error| match bundle.refused(error, "L1, derivation") {
        failure if failure.kind() == Kind::InvalidBundle => {
            failure.remedy("if another revision of this tool made it, verify it with that one")
        }
        failure => failure,
    })
}

/// Whether its statement is of a version that can be judged here. What says nothing of a version is no statement.
fn is_judged_here(bundle: &Bundle) -> Result<(), Failure> {
    let made = read_json::<serde_json::Value>(&bundle.folder().join(RUN)).unwrap_or_default();
    let Some(schema) = made["schema"].as_u64() else { return Ok(()) };
    let (is_older, is_newer) = (schema < u64::from(OLDEST), schema > u64::from(SCHEMA));
    if !is_older && !is_newer {
        return Ok(());
    }
    let versions = if OLDEST == SCHEMA { SCHEMA.to_string() } else { format!("{OLDEST} to {SCHEMA}") };
    let what = format!(
        "{} is a drill of version {schema}, {} than this tool judges ({versions}); L0, integrity, holds",
        bundle.folder().display(),
        if is_older { "older" } else { "newer" }
    );
    let by = made["tool"].as_str().unwrap_or("of its time");
    Err(Failure::usage(what).remedy(if is_older {
        format!("verify it with the tool that made it, {by}, or drill again: given/ holds what was drilled")
    } else {
        format!("verify it with the tool that made it, {by}, or a later one")
    }))
}

fn derivation(bundle: &Bundle) -> anyhow::Result<(Outcome, Vec<String>)> {
    let folder = bundle.folder();
    let outcome = Outcome::derive(folder).map_err(Failure::into_chain)?;
    let text = read_text(&folder.join(VERDICTS))?;
    let stored: Vec<Cell> = serde_json::from_str(&text).context(VERDICTS)?;
    for derived in &outcome.cells {
        let Some(told) = stored.iter().find(|told| told.id == derived.id) else {
            bail!("the claim {} was removed from {VERDICTS}", derived.id);
        };
        let (says, is) = (told.verdict.word(), derived.verdict.word());
        ensure!(
            told == derived,
            "{}: {VERDICTS} says {says}, the artifacts say {is} {}",
            derived.id,
            derived.verdict.why()
        );
    }
    ensure!(text == json_text(&outcome.cells)?, "{VERDICTS} says more than the artifacts give rise to");
    let mut others = Vec::new();
    for (file, text) in report::write(&outcome)? {
        match read_text(&folder.join(&file)) {
            Ok(stored) if stored == text => {}
            Err(error) if failure::is_of_the_system(&error) => return Err(error),
            _ => others.push(file),
        }
    }
    if let Some(file) = others.first() {
        let is_by_us = outcome.made.program.is_some() && outcome.made.program == provenance::program();
        ensure!(!is_by_us, "{file} does not say what the artifacts say");
    }
    Ok((outcome, others))
}

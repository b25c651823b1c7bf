//! What programs are told beside people: events as JSON lines, verdicts as JUnit's XML.

use std::path::{Path, PathBuf};

use aiclipx_judge::bundle::Bundle;
use aiclipx_judge::mutants;
use aiclipx_judge::outcome::Outcome;
use aiclipx_model::failure::{Failure, tell};
use aiclipx_model::files::{self, Reserved};
use aiclipx_runner::{events, junit};
use anyhow::Context;
use clap::Args;

/// Of what goes on.
#[derive(Args)]
pub struct Events {
    /// Write what happens as JSON lines, while it happens.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
}

impl Events {
    pub fn open(&self) -> Result<events::Events, Failure> {
        events::Events::open(self.events.as_deref())
    }
}

/// Of what came of it.
#[derive(Args)]
pub struct Verdicts {
    /// Write the verdicts as JUnit's XML, which CI systems show: a suite an experiment, a case a claim (or a mutant).
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

impl Verdicts {
    /// Asked for before anything starts, and not when it ran for minutes.
    pub fn reserve(&self, beside: Option<&Events>) -> Result<Place<'_>, Failure> {
        let Some(file) = &self.junit else { return Ok(Place(None)) };
        if let Some(Events { events: Some(events) }) = beside
            && files::are_one(events, file)
        {
            return Err(Failure::usage("--events and --junit name the same file").remedy("name two"));
        }
        let reserved = files::reserve(file).map_err(|error| {
            Failure::usage(format!("cannot write {}: {error}", file.display()))
                .remedy("--junit names a file in a folder that is there and can be written, or a pipe that is read")
        });
        Ok(Place(Some((file, reserved?))))
    }
}

/// Where the verdicts go, if anywhere.
pub struct Place<'a>(Option<(&'a Path, Reserved)>);

impl Place<'_> {
    /// Writes what a bundle shows, or what kept it from being made or trusted.
    pub fn of_bundle(
        &self,
        judged: Result<(Bundle, Outcome), Failure>,
        require: &[String],
    ) -> Result<(Bundle, Outcome), Failure> {
        self.of(judged, |(_, outcome)| junit::of_bundle(outcome, require))
    }

    /// Writes what came of mutants, or what kept them from being tried.
    pub fn of_mutants(
        &self,
        tried: Result<(PathBuf, mutants::outcome::Outcome), Failure>,
    ) -> Result<(PathBuf, mutants::outcome::Outcome), Failure> {
        self.of(tried, |(_, outcome)| junit::of_mutants(outcome))
    }

    fn of<T>(&self, came: Result<T, Failure>, report: impl Fn(&T) -> anyhow::Result<String>) -> Result<T, Failure> {
        let Some((file, _)) = &self.0 else { return came };
        let text = came.as_ref().map_or_else(junit::of_failure, report)?;
        let written = files::replace(file, |to| to.write_all(text.as_bytes()));
        let written = written.with_context(|| format!("cannot write {}", file.display())).map_err(Failure::usage);
        match (came, written) {
            (Ok(came), Ok(())) => Ok(came),
            (Ok(_), Err(failure)) => Err(failure),
            // What stopped it is the news.
            (Err(failure), written) => {
                if let Err(unwritten) = written {
                    tell(&format!("  ! {unwritten}"));
                }
                Err(failure)
            }
        }
    }
}

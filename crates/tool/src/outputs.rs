//! Output for programs: events as JSON lines, verdicts as JUnit's XML.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aiclipx_judge::bundle::Bundle;
use aiclipx_judge::outcome::Outcome;
use aiclipx_judge::summary::Verified;
use aiclipx_judge::{mutants, summary};
use aiclipx_model::failure::{Failure, print, tell};
use aiclipx_model::files::{self, Reserved};
use aiclipx_runner::{events, junit};
use aiclipx_stack::interrupt::Signals;
use anyhow::Context;
use clap::Args;

/// The option for events.
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

/// The option for verdicts.
#[derive(Args)]
pub struct Verdicts {
    /// Write the verdicts as JUnit's XML, which CI systems show: a suite an experiment, a case a claim (or a mutant).
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

impl Verdicts {
    /// Opens the place before anything starts, not after minutes of work. It must lie outside the bundle that is judged, whose
    /// files are exactly those of its sums.
    pub fn reserve(&self, beside: Option<&Events>, bundle: Option<&Path>) -> Result<Place<'_>, Failure> {
        let Some(file) = &self.junit else { return Ok(Place(None)) };
        if bundle.is_some_and(|bundle| files::is_in(file, bundle)) {
            return Err(Failure::usage(format!(
                "{} is in the bundle, which one file more would spoil",
                file.display()
            ))
            .remedy("--junit names a file elsewhere"));
        }
        if let Some(Events { events: Some(events) }) = beside
            && files::are_one(events, file)
        {
            return Err(Failure::usage("--events and --junit name the same file").remedy("name two"));
        }
        let reserved = files::reserve(file).map_err(|error| {
            Failure::usage(format!("cannot write {}: {error}", file.display()))
                .remedy("--junit names a file in a folder that is there and can be written, or a pipe that is read")
        })?;
        let place = Place(Some((file, reserved)));
        // What ends the command at once, a second Ctrl-C or a kill, must not leave an earlier report to be taken for this
        // one's.
        if !std::fs::metadata(file).is_ok_and(|there| !there.is_file()) {
            let unfinished = Failure::infrastructure("the command did not come to its end");
            place.write(&junit::of_failure(&unfinished)?)?;
        }
        Ok(place)
    }
}

/// Where the verdicts go, if anywhere.
pub struct Place<'a>(Option<(&'a Path, Reserved)>);

impl Place<'_> {
    /// Says what a bundle shows, and writes it as well; or what kept it from being made or trusted.
    pub fn of_bundle(
        &self,
        judged: Result<(Bundle, Outcome), Failure>,
        require: &[String],
        signals: &Signals,
    ) -> Result<ExitCode, Failure> {
        let conclude = |(bundle, outcome): &(Bundle, Outcome)| summary::conclude(bundle, outcome, require);
        self.of(judged, conclude, |(_, outcome)| junit::of_bundle(outcome, require), signals)
    }

    /// The same of a bundle of either kind, as `verify` opens it.
    pub fn of_verified(
        &self,
        verified: Result<Verified, Failure>,
        require: &[String],
        signals: &Signals,
    ) -> Result<ExitCode, Failure> {
        let report = |verified: &Verified| match verified {
            Verified::Evidence(_, outcome) => junit::of_bundle(outcome, require),
            Verified::Drill(_, outcome) => junit::of_drill(outcome, require),
        };
        self.of(verified, |verified| verified.conclude(require), report, signals)
    }

    /// The same of mutants.
    pub fn of_mutants(
        &self,
        tried: Result<(PathBuf, mutants::outcome::Outcome), Failure>,
        signals: &Signals,
    ) -> Result<ExitCode, Failure> {
        let conclude = |(folder, outcome): &(PathBuf, mutants::outcome::Outcome)| {
            print(outcome.table().trim_end())?;
            tell(&format!("{}.", outcome.tally()));
            print(&folder.join(mutants::outcome::FILE).display().to_string())?;
            Ok(ExitCode::from(outcome.exit_code()))
        };
        self.of(tried, conclude, |(_, outcome)| junit::of_mutants(outcome), signals)
    }

    /// Tells people first: if that fails, the report shows it, for it is green only where the exit code is 0.
    fn of<T>(
        &self,
        came: Result<T, Failure>,
        conclude: impl FnOnce(&T) -> Result<ExitCode, Failure>,
        report: impl Fn(&T) -> anyhow::Result<String>,
        signals: &Signals,
    ) -> Result<ExitCode, Failure> {
        let came = came.and_then(|came| conclude(&came).map(|code| (code, came)));
        let came = if signals.were_heard() { came.and_then(|_| Err(Failure::interrupted())) } else { came };
        if self.0.is_none() {
            return came.map(|(code, _)| code);
        }
        let text = came.as_ref().map_or_else(junit::of_failure, |(_, came)| report(came))?;
        match (came, self.write(&text)) {
            (Ok((code, _)), Ok(())) => Ok(code),
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

    fn write(&self, text: &str) -> Result<(), Failure> {
        let Some((file, _)) = &self.0 else { return Ok(()) };
        let written = files::replace(file, |to| to.write_all(text.as_bytes()));
        let written = written.with_context(|| format!("cannot write {}", file.display()));
        written.map_err(|error| Failure::usage(error).remedy("--junit names a file that can be written"))
    }
}

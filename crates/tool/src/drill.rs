//! `drill`: what to drill, and where its bundle goes.

use std::path::PathBuf;
use std::process::ExitCode;

use aiclipx_base::duration::Speed;
use aiclipx_judge::summary::Verified;
use aiclipx_model::failure::Failure;
use aiclipx_runner::drill::{self, found};
use aiclipx_stack::bundles_folder;
use aiclipx_stack::find_tree;
use aiclipx_stack::interrupt::Signals;
use aiclipx_tool::outputs::{Events, Verdicts};
use clap::Args;

/// Scenes side by side: each waits nearly all of its time.
const JOBS: u8 = 4;

/// What to drill, and how.
#[derive(Args)]
pub(super) struct Drill {
    /// The folder that holds rules, unit tests and Alertmanager's configuration [default: monitoring/ of the tree].
    folder: Option<PathBuf>,
    /// Unit tests, and the rules that they name: instead of all in the folder. A pattern (`'tests/*.yml'`) may be given.
    #[arg(long, value_name = "GLOB")]
    tests: Vec<String>,
    /// Alertmanager's configuration, if it is not the one in the folder.
    #[arg(long, value_name = "FILE")]
    alertmanager: Option<PathBuf>,
    /// Only these alerts.
    #[arg(long, value_name = "ALERT")]
    only: Vec<String>,
    /// Scenes side by side.
    #[arg(long, default_value_t = JOBS, value_parser = clap::value_parser!(u8).range(1..=32))]
    jobs: u8,
    /// How many times faster than it is written every test is lived [default: for each the slowest that takes less than a minute].
    #[arg(long)]
    speed: Option<Speed>,
    /// Print the report as report.pdf, too, where Chromium is on PATH.
    #[arg(long)]
    pdf: bool,
    /// Where the bundle gets a folder of its own [default: evidence/runs at the repository's root,
    /// ./aiclipx-evidence where that can't be written].
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    told: Events,
    #[command(flatten)]
    verdicts: Verdicts,
    /// Claims (by a part of their id) that must be proven, else exit 1.
    #[arg(long, value_name = "CLAIM", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    require: Vec<String>,
}

impl Drill {
    pub(super) async fn run(&self, signals: &Signals) -> Result<ExitCode, Failure> {
        let (verdicts, events) = (self.verdicts.reserve(Some(&self.told), None)?, self.told.open()?);
        let drilled = async {
            let mut tests = Vec::new();
            for pattern in &self.tests {
                tests.extend(found::matching(pattern)?);
            }
            let folder = match &self.folder {
                Some(folder) => Some(folder.clone()),
                // Tests that are named, and a configuration, are all that is needed.
                None if !tests.is_empty() && self.alertmanager.is_some() => None,
                None => Some(find_tree()?.join("monitoring")),
            };
            let found = found::look(folder.as_deref(), &tests, self.alertmanager.as_deref())?;
            let out = match &self.out {
                Some(out) => out.clone(),
                None => find_tree().map_or_else(|_| PathBuf::from("aiclipx-evidence"), |root| bundles_folder(&root)),
            };
            let options = drill::Options {
                only: self.only.clone(),
                require: self.require.clone(),
                speed: self.speed,
                jobs: usize::from(self.jobs),
                pdf: self.pdf,
                out,
            };
            drill::drill(found, &options, &events, &signals.held()).await
        };
        let drilled = drilled.await.map(|(bundle, outcome)| Verified::Drill(bundle, Box::new(outcome)));
        verdicts.of_verified(drilled, &self.require, signals)
    }
}

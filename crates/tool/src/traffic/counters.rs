//! `traffic check`: a service's own counters, scraped before and after, against a ledger. For a service that runs elsewhere, of
//! which nothing is known but its metrics.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aiclipx_model::failure::{Failure, Finding, print};
use aiclipx_model::files;
use aiclipx_model::prom::exposition::{self, Exposition};
use aiclipx_model::service;
use aiclipx_model::traffic::ledger::Ledger;
use aiclipx_runner::counted::{Counted, Told};
use aiclipx_stack::find_tree;

/// Sums the counters of all replicas, each scraped once before the first request and once after the last.
pub(super) fn check(ledger: &Path, before: &[PathBuf], after: &[PathBuf]) -> Result<ExitCode, Failure> {
    if before.len() != after.len() {
        let what = format!("{} scraped before, and {} after", files_of(before), files_of(after));
        return Err(Failure::usage(what).remedy(
            "name a file of each replica with --metrics-before and with --metrics-after, in the same order; an empty one stands \
             before for a replica that came up meanwhile",
        ));
    }
    let ledger = Ledger::read(ledger)?;
    let service = service::of_tree(&find_tree()?)?;
    let told = Told::of_expositions(&ledger, &service, &exposed(before)?, &exposed(after)?);
    print(&told.to_string())?;
    match told.counted() {
        Counted::Same => Ok(ExitCode::SUCCESS),
        Counted::Otherwise(_) => Ok(ExitCode::FAILURE),
        Counted::NotCompared(why) => Err(Failure::infrastructure(format!("inconclusive: {why}")).remedy(
            "are each replica's two files at the same place in both lists? if so, it takes a run that ends undisturbed",
        )),
    }
}

fn files_of(paths: &[PathBuf]) -> String {
    aiclipx_model::counted::counted(paths.len(), "replica")
}

fn exposed(paths: &[PathBuf]) -> Result<Vec<Exposition>, Failure> {
    let read = |path: &PathBuf| {
        let text = files::read_to_string(path).map_err(|error| vec![files::unread(path, &error)])?;
        let wrong = |error: anyhow::Error| Finding {
            file: path.clone(),
            line: 0,
            what: format!("not what a service exposes: {error:#}"),
            remedy: "it is what /metrics answers, as it stands: `curl -fsS http://HOST:8081/metrics > FILE`".to_owned(),
        };
        exposition::parse(&text).map_err(|error| Failure::from(vec![wrong(error)]))
    };
    paths.iter().map(read).collect()
}

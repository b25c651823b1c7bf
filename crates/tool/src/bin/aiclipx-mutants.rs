//! `aiclipx-mutants`: breaks the monitoring on purpose, one thing at a time on private stacks, and holds each mutant to the claim
//! that must find it. For who develops the stack: it is in no package.

use std::process::ExitCode;

use aiclipx_runner::mutants::run::try_all;
use aiclipx_stack::find_tree;
use aiclipx_tool::outputs::{Events, Verdicts};
use aiclipx_tool::program::{self, OnPrivateStacks};
use clap::Parser;

/// Break the monitoring on purpose, one thing at a time on private stacks: a named claim must find each.
///
/// Exit codes: 0 every mutant that could be tried is found; 1 one is not; 2 bad input or a missing precondition; 3 the run is
/// inconclusive; 130 interrupted.
#[derive(Parser)]
#[command(name = "aiclipx-mutants", version)]
struct Arguments {
    /// Only these mutants, by their id in monitoring/mutants.toml.
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    #[command(flatten)]
    how: OnPrivateStacks,
    #[command(flatten)]
    told: Events,
    #[command(flatten)]
    verdicts: Verdicts,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { only, how, told, verdicts } = Arguments::parse();
    program::run("aiclipx-mutants", async |signals| {
        let (verdicts, events) = (verdicts.reserve(Some(&told), None)?, told.open()?);
        let root = find_tree()?;
        let tried = try_all(&root, &how.options(&root, only), &events, &signals.held()).await;
        verdicts.of_mutants(tried, signals)
    })
    .await
}

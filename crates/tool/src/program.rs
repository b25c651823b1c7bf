//! What `aiclipx` and `aiclipx-mutants` share: options of private stacks, and how a program ends.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aiclipx_base::duration::Speed;
use aiclipx_model::failure::{Failure, Kind, tell, without_just};
use aiclipx_runner::runner;
use aiclipx_stack::bundles_folder;
use aiclipx_stack::find_tree;
use aiclipx_stack::interrupt::Signals;
use clap::Args;

/// Any number does; the same one for everybody makes runs comparable.
pub const SEED: u64 = 42;
/// Stacks side by side: on two idle processors three keep a whole `prove` under three minutes, and requests leave on time.
pub const JOBS: u8 = 3;

/// Options of what is done on private stacks.
#[derive(Args)]
pub struct OnPrivateStacks {
    /// What the schedules are computed from.
    #[arg(long, default_value_t = SEED, value_parser = seed)]
    pub seed: u64,
    /// How many times faster than production.
    #[arg(long, default_value = "30")]
    pub speed: Speed,
    /// Stacks side by side.
    #[arg(long, default_value_t = JOBS, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub jobs: u8,
    /// Where the outcome gets a folder of its own [default: evidence/runs at the repository's root,
    /// ./aiclipx-evidence where that can't be written].
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Give every stack a PostgreSQL for the items, as `up --database`.
    #[arg(long)]
    pub database: bool,
}

impl Default for OnPrivateStacks {
    fn default() -> OnPrivateStacks {
        let speed = "30".parse().expect("the default speed is one");
        OnPrivateStacks { seed: SEED, speed, jobs: JOBS, out: None, database: false }
    }
}

impl OnPrivateStacks {
    /// Only these experiments, or mutants; all where none is named.
    pub fn options(self, root: &Path, only: Vec<String>) -> runner::Options {
        let OnPrivateStacks { seed, speed, jobs, out, database } = self;
        let out = out.unwrap_or_else(|| bundles_folder(root));
        runner::Options { only, seed, speed, jobs: usize::from(jobs), out, database }
    }
}

/// As `--seed` takes it.
pub fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a seed; write a whole number like {SEED}"))
}

/// Does a program's work, and says how it ended.
pub async fn run(name: &str, work: impl AsyncFnOnce(&Signals) -> Result<ExitCode, Failure>) -> ExitCode {
    let (code, was_interrupted) = match Signals::listen() {
        Ok(signals) => (work(&signals).await, signals.were_heard()),
        Err(failure) => (Err(failure), false),
    };
    let code = code.unwrap_or_else(|failure| {
        tell(&as_called_here(&format!("{name}: {failure}")));
        failure.exit_code()
    });
    // Whatever it came to in the moment that was left.
    if was_interrupted { ExitCode::from(Kind::Interrupted as u8) } else { code }
}

/// Messages name commands by their recipes; where the tree has no justfile, the tool's own commands take their place.
pub fn as_called_here(text: &str) -> String {
    let has_recipes = find_tree().is_ok_and(|root| root.join("justfile").is_file());
    if has_recipes { text.to_owned() } else { without_just(text) }
}

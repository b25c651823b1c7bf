//! `aiclipx-verify`: judges a bundle again by what lies in it. What `aiclipx verify` does, without the rest of the tool; but the
//! program that made a bundle holds its reports to what it writes itself, and this one is another: to it they are bound by their
//! sums alone, as the claims and verdicts are not.

use std::path::PathBuf;
use std::process::ExitCode;

use aiclipx_judge::summary;
use aiclipx_model::failure::{tell, without_just};
use clap::Parser;

/// Check a bundle of evidence, offline: that nothing changed, and that its verdicts follow from its artifacts.
///
/// Exit codes: 0 every claim that could be shown holds; 1 a claim fails; 2 bad input; 3 the run is inconclusive; 4 a bundle that
/// can't be trusted.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The bundle's folder.
    bundle: PathBuf,
    /// A clone of the repository: the bundle's tree must be that of its revision.
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// Who may have signed it, in OpenSSH's form of allowed signers.
    #[arg(long, value_name = "FILE")]
    signers: Option<PathBuf>,
    /// Claims (by a part of their id) that must be proven, else exit 1.
    #[arg(long, value_name = "CLAIM", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    require: Vec<String>,
}

fn main() -> ExitCode {
    let Arguments { bundle, repo, signers, require } = Arguments::parse();
    summary::verify(&bundle, repo.as_deref(), signers.as_deref(), &require).unwrap_or_else(|failure| {
        tell(&without_just(&format!("aiclipx-verify: {failure}")));
        failure.exit_code()
    })
}

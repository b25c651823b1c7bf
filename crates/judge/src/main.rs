//! `aiclipx-verify`: judges a bundle again by what lies in it. What `aiclipx verify` does, without the rest of the tool; but the
//! program that made a bundle holds its reports to what it writes itself, and this one is another: to it they are bound by their
//! sums alone, as the claims and verdicts are not.

use std::process::ExitCode;

use aiclipx_judge::summary::{self, Asked};
use aiclipx_model::failure::{tell, without_just};
use clap::Parser;

/// Check a bundle of evidence, offline: that nothing changed, and that its verdicts follow from its artifacts.
///
/// Exit codes: 0 every claim that could be shown holds; 1 a claim fails; 2 bad input; 3 the run is inconclusive; 4 a bundle that
/// can't be trusted.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    asked: Asked,
}

fn main() -> ExitCode {
    let Arguments { asked } = Arguments::parse();
    let concluded = summary::verified(&asked).and_then(|verified| verified.conclude(&asked.require));
    concluded.unwrap_or_else(|failure| {
        tell(&without_just(&format!("aiclipx-verify: {failure}")));
        failure.exit_code()
    })
}

//! Evidence of what ran on a stack that is up.

use std::path::Path;
use std::process::ExitCode;

use aiclipx_judge::summary::conclude;
use aiclipx_judge::tree::Tree;
use aiclipx_model::failure::{self, Failure, tell};
use aiclipx_runner::ground::Ground;
use aiclipx_runner::{asked, attached};
use aiclipx_stack::interrupt::Signals;

use super::as_called_here;

/// Evidence of what ran on a stack. That its tree was edited meanwhile is said first, and judged all the same.
pub(super) async fn collect(
    root: &Path,
    ground: Ground<'_>,
    out: &Path,
    require: &[String],
    signals: &Signals,
) -> Result<ExitCode, Failure> {
    match asked::is_the_tree(ground, &Tree::read(root)?).await {
        Err(failure) if failure.kind() == failure::Kind::Usage => {
            tell(&as_called_here(&format!("  ! {failure}, `just traffic` runs on it")));
        }
        loaded => loaded?,
    }
    let (bundle, outcome) = attached::collect(root, ground, out, &signals.held()).await?;
    conclude(&bundle, &outcome, require)
}

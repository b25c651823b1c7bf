//! Evidence of what ran on a stack that is up.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use aiclipx_judge::summary::conclude;
use aiclipx_judge::tree::Tree;
use aiclipx_model::failure::{self, Failure, tell};
use aiclipx_runner::events::Events;
use aiclipx_runner::ground::Held;
use aiclipx_runner::{asked, attached};
use aiclipx_stack::interrupt::Signals;

use super::as_called_here;

/// Evidence of what ran on a stack. That its tree was edited meanwhile is said first, and judged all the same.
pub(super) async fn collect(
    root: &Path,
    held: Arc<Held>,
    out: &Path,
    require: &[String],
    events: &Events,
    signals: &Signals,
) -> Result<ExitCode, Failure> {
    match asked::is_the_tree(held.ground(), &Tree::read(root)?).await {
        Err(failure) if failure.kind() == failure::Kind::Usage => {
            tell(&as_called_here(&format!("  ! {failure}, `just traffic` runs on it")));
        }
        loaded => loaded?,
    }
    let (bundle, outcome) = attached::collect(root, held, out, events, &signals.held()).await?;
    conclude(&bundle, &outcome, require)
}

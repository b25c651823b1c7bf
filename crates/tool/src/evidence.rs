//! Evidence of what ran on a stack that is up.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aiclipx_judge::bundle::Bundle;
use aiclipx_judge::outcome::Outcome;
use aiclipx_judge::tree::Tree;
use aiclipx_model::failure::{self, Failure, tell};
use aiclipx_model::service;
use aiclipx_runner::environment::Held;
use aiclipx_runner::events::Events;
use aiclipx_runner::{asked, attached, prove};
use aiclipx_stack::interrupt::Signals;
use aiclipx_stack::{Endpoints, ExternalStack, Found, Stack};

use super::stack;
use aiclipx_tool::program::{OnPrivateStacks, as_called_here};

/// Collects evidence from somebody else's stack or from ours; where none is up, from private ones.
pub(super) async fn collect(
    root: &Path,
    attach: Option<&Endpoints>,
    state: &dyn Fn() -> Result<PathBuf, Failure>,
    out: &Path,
    events: &Events,
    signals: &Signals,
) -> Result<(Bundle, Outcome), Failure> {
    let held = match attach {
        Some(endpoints) => {
            let service = service::of_tree(root)?;
            Held::External(Box::new(ExternalStack::find(endpoints, &service, &state()?).await?))
        }
        None => match Stack::find(&state()?).await? {
            Found::Running(stack) => Held::Managed(stack),
            Found::Stale(_) => return Err(stack::killed(&state()?)),
            Found::Absent => {
                tell("No stack is up: every experiment runs on a private stack.");
                let how = OnPrivateStacks { out: Some(out.to_owned()), ..OnPrivateStacks::default() };
                return prove::prove(root, &how.options(root, Vec::new()), events, &signals.held()).await;
            }
        },
    };
    // That its tree was edited meanwhile is said first, and judged all the same.
    match asked::is_the_tree(held.environment(), &Tree::read(root)?).await {
        Err(failure) if failure.kind() == failure::Kind::Usage => {
            tell(&as_called_here(&format!("  ! {failure}, `just traffic` runs on it")));
        }
        loaded => loaded?,
    }
    attached::collect(root, Arc::new(held), out, events, &signals.held()).await
}

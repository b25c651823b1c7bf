//! `check`: findings go to standard output, their number to standard error.

use std::path::Path;
use std::process::ExitCode;

use aiclipx_model::counted::counted;
use aiclipx_model::failure::{Failure, print, tell};
use aiclipx_stack::find_tree;
use aiclipx_stack::{Component, Stack};
use aiclipx_tool::check::{self, Finding};

use aiclipx_tool::program::as_called_here;

/// How findings are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    /// An object a line.
    Json,
}

/// What is looked at.
pub(super) enum What<'a> {
    /// Our own tree.
    Tree,
    /// The stack of this state directory.
    Stack(&'a Path),
    /// Somebody else's folder.
    Folder(&'a Path),
}

pub(super) async fn run(what: What<'_>, form: Form) -> Result<ExitCode, Failure> {
    let root = match what {
        What::Folder(folder) => folder.to_owned(),
        What::Tree | What::Stack(_) => find_tree()?,
    };
    let found = match what {
        What::Tree => check::check(&root),
        What::Stack(state) => live(&root, state).await,
        What::Folder(folder) => check::check_anybodys(folder),
    };
    // As it can be opened from here.
    let placed = |finding: Finding| match what {
        What::Folder(folder) => Finding { file: folder.join(&finding.file), ..finding },
        What::Tree | What::Stack(_) => finding,
    };
    let findings: Vec<Finding> = match found {
        Ok(findings) => findings.into_iter().map(placed).collect(),
        // Files that can't be read stop it, and are what is found all the same.
        Err(failure) => {
            let mut refused: Vec<Finding> = check::refused(&failure).into_iter().map(placed).collect();
            if refused.is_empty() {
                return Err(failure);
            }
            for finding in refused.iter_mut().filter(|_| !matches!(what, What::Folder(_))) {
                finding.file = finding.file.strip_prefix(&root).unwrap_or(&finding.file).to_owned();
            }
            if form == Form::Json {
                tell_all(&refused, form)?;
            }
            return Err(check::refusal(refused));
        }
    };
    tell_all(&findings, form)?;
    tell(&match findings.len() {
        0 => "Nothing found.".to_owned(),
        found => counted(found, "finding"),
    });
    Ok(ExitCode::from(u8::from(!findings.is_empty())))
}

async fn live(root: &Path, state: &Path) -> Result<Vec<Finding>, Failure> {
    let stack = Stack::attach(state).await?;
    let plan = stack.plan();
    let has_grafana = stack.programs().contains_key(&Component::Grafana);
    let grafana = has_grafana.then_some(&plan.addresses.dashboards);
    check::live::check(root, &plan.addresses.prometheus, grafana, plan.speed).await
}

fn tell_all(findings: &[Finding], form: Form) -> Result<(), Failure> {
    for finding in findings {
        print(&match form {
            Form::Text => as_called_here(&finding.to_string()),
            Form::Json => finding.to_json(),
        })?;
    }
    Ok(())
}

/// Every name that a finding may have, with what it says.
pub(super) fn names() -> Result<ExitCode, Failure> {
    for (name, says) in check::names::ALL {
        print(&format!("{name:<22} {says}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

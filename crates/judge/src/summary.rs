//! What `aiclipx verify` and `aiclipx-verify` print of a bundle: the levels that were checked, what does not hold, the summary
//! line, and on stdout the bundle's path.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use aiclipx_model::failure::{Failure, print, tell};
use clap::Args;

use crate::attest;
use crate::bundle::{Bundle, SIGNATURE};
use crate::drill;
use crate::judge::{Judgement, Verdict};
use crate::outcome::Outcome;
use crate::report;
use crate::run::SCHEMA;

/// What is to be verified, and by what: the options of both programs.
#[derive(Debug, Args)]
pub struct Asked {
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// A clone of the repository: the bundle's tree must be that of its revision.
    #[arg(long, value_name = "DIR")]
    pub repo: Option<PathBuf>,
    /// Who may have signed it, in OpenSSH's form of allowed signers.
    #[arg(long, value_name = "FILE")]
    pub signers: Option<PathBuf>,
    /// Claims (by a part of their id) that must be proven, else exit 1.
    #[arg(long, value_name = "CLAIM", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub require: Vec<String>,
}

/// A bundle of either kind, verified.
#[derive(Debug)]
pub enum Verified {
    Evidence(Bundle, Box<Outcome>),
    Drill(Bundle, Box<drill::outcome::Outcome>),
}

/// Each level that was asked for, in order; the first that fails ends it, exit 4.
pub fn verified(asked: &Asked) -> Result<Verified, Failure> {
    let bundle = Bundle::open(&asked.bundle)?;
    if drill::bundle::is_drill(bundle.folder()) {
        let outcome = of_drill(&bundle, asked)?;
        return Ok(Verified::Drill(bundle, Box::new(outcome)));
    }
    let outcome = of_evidence(&bundle, asked)?;
    Ok(Verified::Evidence(bundle, Box::new(outcome)))
}

fn of_drill(bundle: &Bundle, asked: &Asked) -> Result<drill::outcome::Outcome, Failure> {
    let (outcome, others) = drill::bundle::verify(bundle)?;
    tell("L0 integrity: every file is as it was sealed, none is missing, none is extra.");
    tell(&format!(
        "L1 derivation: what was loaded and sent follows from what was given, claims and verdicts from the artifacts. {}",
        presentation(&outcome.made.tool, &others, &[])
    ));
    tell("L2 binding: a drill is of files, and not of a revision: given/ holds them.");
    signature(bundle, asked)?;
    Ok(outcome)
}

fn of_evidence(bundle: &Bundle, asked: &Asked) -> Result<Outcome, Failure> {
    let outcome = bundle.verify()?;
    tell("L0 integrity: every file is as it was sealed, none is missing, none is extra.");
    tell(&format!(
        "L1 derivation: claims and verdicts follow from the artifacts. {}",
        presentation(&outcome.provenance.tool, &outcome.others, &outcome.lacking)
    ));
    let (version, newest) = (outcome.provenance.schema, SCHEMA);
    if version < newest {
        tell(&format!(
            "   Its statement is of version {version}, and was judged by what that version asks for: one of version {newest}, as \
             this tool makes them, is asked for more."
        ));
    }
    tell(
        "   By the sums alone are bound: report.pdf, pictures, tsdb.tar.gz, the logs of all but the service, what is left of tries",
    );
    tell("   that were broken off, and what of tree/ no claim reads (runbooks, tests of rules, titles).");
    match &asked.repo {
        Some(repo) => {
            let files = attest::bound_to(bundle, &outcome.provenance, repo)?;
            let revision = outcome.provenance.revision.as_deref().unwrap_or_default();
            tell(&format!("L2 binding: the {files} files of tree/ are those of {revision}."));
        }
        None => tell("L2 binding: not attempted; --repo DIR names a clone."),
    }
    signature(bundle, asked)?;
    Ok(outcome)
}

fn signature(bundle: &Bundle, asked: &Asked) -> Result<(), Failure> {
    match &asked.signers {
        Some(signers) => tell(&format!("L3 signature: by {}.", attest::signed_by(bundle, signers)?)),
        None if bundle.folder().join(SIGNATURE).exists() => {
            tell("L3 signature: there is one; by whom was not looked at; --signers FILE names who may sign.");
        }
        None => tell(
            "L3 signature: not attempted; the bundle is not signed. Whoever had it could make it anew, and leave out a try that was \
             put aside, or a death that Prometheus did not record.",
        ),
    }
    Ok(())
}

/// What is known of what people read first: what this program writes of it, and what it can't vouch for.
fn presentation(tool: &str, others: &[String], lacking: &[String]) -> String {
    if others.is_empty() && lacking.is_empty() {
        return format!("{} and the drawings are what this tool writes of them.", report::written().join(", "));
    }
    let mut told = format!("Version {tool} of the tool made it, another program than this one");
    if let Some(files) = listed(others) {
        told.extend(["; by the sums alone are bound ", &files, ", which this one writes otherwise"]);
    }
    if let Some(files) = listed(lacking) {
        told.extend(["; it has no ", &files, ", which this one writes too"]);
    }
    told + "."
}

/// The first of these files, and how many there are beside it.
fn listed(files: &[String]) -> Option<String> {
    match files {
        [] => None,
        [first] => Some(first.clone()),
        [first, other] => Some(format!("{first} and {other}")),
        [first, others @ ..] => Some(format!("{first} and {} others", others.len())),
    }
}

impl Verified {
    /// Says what came of it; the bundle's path is the last line on stdout.
    pub fn conclude(&self, require: &[String]) -> Result<ExitCode, Failure> {
        match self {
            Verified::Evidence(bundle, outcome) => conclude(bundle, outcome, require),
            Verified::Drill(bundle, outcome) => conclude_drill(bundle, outcome, require),
        }
    }
}

/// The same of a drill, by alert.
pub fn conclude_drill(
    bundle: &Bundle,
    outcome: &drill::outcome::Outcome,
    require: &[String],
) -> Result<ExitCode, Failure> {
    let claims = outcome.cells.iter().map(|cell| (false, &cell.verdict, cell.id.as_str()));
    tell_open(claims);
    for name in &outcome.made.repeated {
        tell(&format!("! {name}: was disturbed, and lived again"));
    }
    for remark in outcome.remarks() {
        tell(&format!("! {remark}"));
    }
    tell(&format!("{}. {}.", outcome.headline(), outcome.tally()));
    are_named(bundle, &outcome.unmatched(require))?;
    print(&bundle.folder().display().to_string())?;
    Ok(ExitCode::from(outcome.exit_code(require)))
}

/// Says what came of it; the bundle's path is the last line on stdout.
pub fn conclude(bundle: &Bundle, outcome: &Outcome, require: &[String]) -> Result<ExitCode, Failure> {
    // Where something else was loaded than is judged by, that explains the rest: it comes first.
    let explains = |judgement: &Judgement| judgement.claim.kind.rules().explains_others();
    tell_open(outcome.counting().map(|one| (explains(one), &one.verdict, one.claim.id.as_str())));
    for name in &outcome.provenance.superseded {
        tell(&format!("! {name}: invalid, repeated and put aside"));
    }
    tell(&format!("{}. {}.", outcome.headline(), outcome.tally()));
    are_named(bundle, &outcome.unmatched(require))?;
    print(&bundle.folder().display().to_string())?;
    Ok(ExitCode::from(outcome.exit_code(require)))
}

/// Every claim that does not hold; those that explain others first.
fn tell_open<'a>(claims: impl Iterator<Item = (bool, &'a Verdict, &'a str)>) {
    // One reason often covers many claims: it is told once.
    let mut told: BTreeMap<(bool, &str, &str), Vec<&str>> = BTreeMap::new();
    for (explains, verdict, id) in claims.filter(|(_, verdict, _)| **verdict != Verdict::Holds) {
        let sign = match verdict {
            Verdict::NotProven(_) => "○",
            Verdict::Invalid(_) => "!",
            Verdict::Holds | Verdict::Fails(_) => "✗",
        };
        told.entry((!explains, sign, verdict.why())).or_default().push(id);
    }
    for ((_, sign, why), claims) in told {
        let claims =
            if claims.len() > 4 { format!("{} and {} more", claims[0], claims.len() - 1) } else { claims.join(", ") };
        tell(&format!("{sign} {claims}: {why}"));
    }
}

/// Whether there is a claim for each name that --require gives.
fn are_named(bundle: &Bundle, unmatched: &[&str]) -> Result<(), Failure> {
    if unmatched.is_empty() {
        return Ok(());
    }
    print(&bundle.folder().display().to_string())?;
    Err(Failure::usage(format!("no claim here is called {}, which --require names", unmatched.join(", or ")))
        .remedy("verdicts.json of the bundle has the ids of all claims"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_by_the_first_and_a_number() {
        let files: Vec<String> = ["a", "b", "c"].map(str::to_owned).into();
        let told: Vec<_> = (0..=3).map(|many| listed(&files[..many])).collect();
        let expected = [None, Some("a"), Some("a and b"), Some("a and 2 others")].map(|one| one.map(str::to_owned));
        assert_eq!(told, expected);
    }
}

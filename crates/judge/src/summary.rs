//! What `aiclipx verify` and `aiclipx-verify` print of a bundle: the levels that were checked, what does not hold, the summary
//! line, and on stdout the bundle's path.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use aiclipx_model::failure::{Failure, print, tell};
use clap::Args;

use crate::attest;
use crate::bundle::{Bundle, SIGNATURE};
use crate::judge::Verdict;
use crate::outcome::Outcome;
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

/// Each level that was asked for, in order; the first that fails ends it, exit 4.
pub fn verified(asked: &Asked) -> Result<(Bundle, Outcome), Failure> {
    let bundle = Bundle::open(&asked.bundle)?;
    let outcome = bundle.verify()?;
    tell("L0 integrity: every file is as it was sealed, none is missing, none is extra.");
    tell(&format!("L1 derivation: claims and verdicts follow from the artifacts. {}", presentation(&outcome)));
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
            let files = attest::bound_to(&bundle, &outcome.provenance, repo)?;
            let revision = outcome.provenance.revision.as_deref().unwrap_or_default();
            tell(&format!("L2 binding: the {files} files of tree/ are those of {revision}."));
        }
        None => tell("L2 binding: not attempted; --repo DIR names a clone."),
    }
    match &asked.signers {
        Some(signers) => tell(&format!("L3 signature: by {}.", attest::signed_by(&bundle, signers)?)),
        None if bundle.folder().join(SIGNATURE).exists() => {
            tell("L3 signature: there is one; by whom was not looked at; --signers FILE names who may sign.");
        }
        None => tell(
            "L3 signature: not attempted; the bundle is not signed. Whoever had it could make it anew, and leave out a try that was \
             put aside, or a death that Prometheus did not record.",
        ),
    }
    Ok((bundle, outcome))
}

/// What is known of what people read first.
fn presentation(outcome: &Outcome) -> String {
    match &outcome.others[..] {
        [] => "report.html, report.md and the drawings are what this tool writes of them.".to_owned(),
        [first, others @ ..] => {
            let others = match others {
                [] => String::new(),
                [other] => format!(" and {other}"),
                others => format!(" and {} others", others.len()),
            };
            format!(
                "Version {} of the tool wrote the reports, another program than this one: by the sums alone are bound \
                 {first}{others}, which this one writes otherwise.",
                outcome.provenance.tool
            )
        }
    }
}

/// Says what came of it; the bundle's path is the last line on stdout.
pub fn conclude(bundle: &Bundle, outcome: &Outcome, require: &[String]) -> Result<ExitCode, Failure> {
    // One reason often covers many claims: it is printed once.
    let mut told: BTreeMap<(bool, &str, &str), Vec<&str>> = BTreeMap::new();
    for judgement in outcome.counting().filter(|judgement| judgement.verdict != Verdict::Holds) {
        let sign = match judgement.verdict {
            Verdict::NotProven(_) => "○",
            Verdict::Invalid(_) => "!",
            Verdict::Holds | Verdict::Fails(_) => "✗",
        };
        // Where something else was loaded than is judged by, that explains the rest: it comes first.
        let explains = judgement.claim.kind.rules().explains_others();
        told.entry((!explains, sign, judgement.verdict.why())).or_default().push(&judgement.claim.id);
    }
    for ((_, sign, why), claims) in told {
        let claims =
            if claims.len() > 4 { format!("{} and {} more", claims[0], claims.len() - 1) } else { claims.join(", ") };
        tell(&format!("{sign} {claims}: {why}"));
    }
    for name in &outcome.provenance.superseded {
        tell(&format!("! {name}: invalid, repeated and put aside"));
    }
    tell(&format!("{}. {}.", outcome.headline(), outcome.tally()));
    let unmatched = outcome.unmatched(require);
    if !unmatched.is_empty() {
        print(&bundle.folder().display().to_string())?;
        return Err(Failure::usage(format!(
            "no claim here is called {}, which --require names",
            unmatched.join(", or ")
        ))
        .remedy("verdicts.json of the bundle has the ids of all claims"));
    }
    print(&bundle.folder().display().to_string())?;
    Ok(ExitCode::from(outcome.exit_code(require)))
}

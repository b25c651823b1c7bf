//! What went wrong, what to do about it, and the exit code that says so.
//!
//! A [`Failure`] stops a command. It is an [`anyhow`] chain (what was attempted, on what, why it failed) with a kind
//! that fixes the exit code and, where we know one, a remedy: one line the reader can act on. A static check that
//! finds something is no failure but a [`Finding`], a value; a claim that does not hold is a verdict.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use rustix::io::Errno;

/// Prints a line on stderr. A terminal that has gone away is no reason to stop; `eprintln!` would panic.
pub fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{}", harmless(text));
}

/// Prints on stdout. A reader that has gone away (`| head`) is no error.
pub fn print(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::usage(format!("cannot write to standard output: {error}"))
                .remedy("let it go where there is room"))
        }
        _ => Ok(()),
    }
}

/// The same for a text of several lines.
fn harmless(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// A text that is not ours, in one line, with what would move a terminal's cursor, change its colours or turn the direction
/// of its text written out: `\u{1b}`. A tab stays.
pub fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for char in text.chars() {
        if char != '\t' && (char.is_control() || turns(char)) {
            visible.extend(char.escape_default());
        } else {
            visible.push(char);
        }
    }
    visible
}

/// Whether it is no sign itself, and breaks the line or turns the direction in which the others are read.
fn turns(char: char) -> bool {
    matches!(char, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The commands a message names as a clone's justfile has them, and what they are to the tool itself.
const COMMANDS: [(&str, &str); 8] = [
    ("just up", "aiclipx up"),
    ("just down", "aiclipx down"),
    ("just status", "aiclipx status"),
    ("just logs", "aiclipx logs"),
    ("just traffic", "aiclipx traffic"),
    ("just evidence", "aiclipx evidence"),
    ("just prove", "aiclipx prove"),
    ("just slo", "aiclipx render --slo"),
];

/// A message for who has the tool and no justfile, as after `nix run`: its commands by the tool's own name.
pub fn without_just(text: &str) -> String {
    COMMANDS.iter().fold(text.to_owned(), |text, (recipe, command)| text.replace(recipe, command))
}

/// A folder for a while that nobody but this user may look into, whatever the umask: what lies there may be secret, and after a kill
/// it stays.
pub fn temporary_folder() -> Result<tempfile::TempDir, Failure> {
    let ours_alone = std::fs::Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().prefix("aiclipx-").permissions(ours_alone).tempdir();
    folder.map_err(|error| no_temporary_folder(&error))
}

/// No temporary folder can be made; the user has to mend that (exit 2).
pub fn no_temporary_folder(error: &io::Error) -> Failure {
    let folder = std::env::temp_dir();
    Failure::usage(format!("cannot make a temporary folder in {}: {error}", folder.display()))
        .remedy("let TMPDIR name a folder that exists, can be written, and has room")
}

/// Whether a folder takes no more: then who writes there dies, and says little of why.
pub fn is_full(folder: &std::path::Path) -> bool {
    // More than one page, so that the last free one of a block does not pass for room.
    let written = tempfile::tempfile_in(folder).and_then(|mut file| file.write_all(&vec![0; 64 * 1024]));
    written.is_err_and(|error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

/// Whether it is the system that says no, and to what is there: nothing is known then of what it holds. A name that leads
/// nowhere is not the system's fault but that of who wrote the name, and what a program calls wrong is wrong.
pub fn is_of_the_system(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    let refused = causes.find_map(Errno::from_io_error);
    let of_the_name = [Errno::NOENT, Errno::NOTDIR, Errno::ISDIR, Errno::LOOP, Errno::NAMETOOLONG];
    refused.is_some_and(|refused| !of_the_name.contains(&refused))
}

/// Why a command stopped. The numbers are the exit codes, the same for every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bad input, a missing tool, a busy port, a folder that can't be written.
    Usage = 2,
    /// The run is inconclusive: a component died, a scrape was missed, the generator could not keep up.
    Infrastructure = 3,
    /// A bundle that can't be trusted.
    InvalidBundle = 4,
    Interrupted = 130,
}

/// What stops a command.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    error: anyhow::Error,
    remedy: Option<String>,
    /// Where files are why.
    findings: Vec<Finding>,
}

impl Failure {
    /// Bad input or a missing precondition: exit 2.
    pub fn usage(error: impl Into<Message>) -> Failure {
        Failure { kind: Kind::Usage, error: error.into().0, remedy: None, findings: Vec::new() }
    }

    /// The environment let us down: exit 3.
    pub fn infrastructure(error: impl Into<Message>) -> Failure {
        Failure { kind: Kind::Infrastructure, error: error.into().0, remedy: None, findings: Vec::new() }
    }

    /// A bundle that can't be trusted: exit 4.
    pub fn invalid_bundle(error: impl Into<Message>) -> Failure {
        Failure { kind: Kind::InvalidBundle, error: error.into().0, remedy: None, findings: Vec::new() }
    }

    /// The user pressed Ctrl-C or sent SIGTERM: exit 130.
    pub fn interrupted() -> Failure {
        Failure { kind: Kind::Interrupted, error: anyhow::anyhow!("interrupted"), remedy: None, findings: Vec::new() }
    }

    /// Adds what the reader can do about it, one line.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Failure {
        self.remedy = Some(remedy.into());
        self
    }

    /// Says what was attempted when it happened; kind and remedy stay.
    #[must_use]
    pub fn context(self, what: impl fmt::Display + Send + Sync + 'static) -> Failure {
        Failure { error: self.error.context(what), ..self }
    }

    /// Which files it is about, for who lists what is wrong in each.
    #[must_use]
    pub fn of_files(self, findings: Vec<Finding>) -> Failure {
        Failure { findings, ..self }
    }

    /// The chain alone, in one line: without the remedy, and without what a program said while it died.
    pub fn in_one_line(&self) -> String {
        let told = format!("{:#}", self.error);
        told.lines().next().unwrap_or_default().to_owned()
    }

    /// The chain alone, for who says more of it.
    pub fn into_chain(self) -> anyhow::Error {
        self.error
    }

    /// Whether it is that a file may not be read or written by who asks.
    pub fn is_denied(&self) -> bool {
        cause(&self.error) == Some(io::ErrorKind::PermissionDenied)
    }

    /// What is wrong in files, where that is why it stopped.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }
}

/// The whole chain in one line, the remedy in a second.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n  → {remedy}"),
            None => Ok(()),
        }
    }
}

/// What the system said, where it said anything.
fn cause(error: &anyhow::Error) -> Option<io::ErrorKind> {
    error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// An error with context is an infrastructure failure, unless it is a disk that is full or can't be written, or a file that
/// this user may not touch: that is the user's to mend.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        match cause(&error) {
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                Failure::usage(error).remedy("make room there, or choose another place with --out or --state")
            }
            Some(io::ErrorKind::ReadOnlyFilesystem) => {
                Failure::usage(error).remedy("choose a place that can be written, with --out or --state")
            }
            Some(io::ErrorKind::PermissionDenied) => {
                Failure::usage(error).remedy("let this user read and write it, or ask as one who may")
            }
            _ => Failure { kind: Kind::Infrastructure, error, remedy: None, findings: Vec::new() },
        }
    }
}

/// What a failure is made from: a text, or an error chain.
#[derive(Debug)]
pub struct Message(anyhow::Error);

impl From<&str> for Message {
    fn from(text: &str) -> Message {
        Message(anyhow::Error::msg(text.to_owned()))
    }
}

impl From<String> for Message {
    fn from(text: String) -> Message {
        Message(anyhow::Error::msg(text))
    }
}

impl From<anyhow::Error> for Message {
    fn from(error: anyhow::Error) -> Message {
        Message(error)
    }
}

/// Something wrong in a file, found without running anything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, relative to the repository's root.
    pub file: PathBuf,
    /// One-based; 0 when the whole file is meant.
    pub line: usize,
    /// What is wrong, in words.
    pub what: String,
    /// What to do, or empty.
    pub remedy: String,
}

/// `file:line: what (remedy)`, as editors and terminals link it.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.what)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "\n  → {}", self.remedy) }
    }
}

/// So many are read; a speed that divides nothing finds a hundred.
const FINDINGS_TOLD: usize = 12;

/// Findings that stop a command are a usage failure which lists them, the first of very many.
impl From<Vec<Finding>> for Failure {
    fn from(found: Vec<Finding>) -> Failure {
        let mut findings = found.clone();
        let more = findings.len().saturating_sub(FINDINGS_TOLD);
        // A remedy that all of them share stands once, at the end.
        let remedy = findings.first().map(|finding| finding.remedy.clone()).unwrap_or_default();
        let is_shared = !remedy.is_empty() && findings.iter().all(|finding| finding.remedy == remedy);
        if is_shared {
            for finding in &mut findings {
                finding.remedy.clear();
            }
        }
        let mut lines: Vec<String> = findings.iter().take(FINDINGS_TOLD).map(ToString::to_string).collect();
        if more > 0 {
            lines.push(format!("… and {more} more"));
        }
        let failure = Failure { findings: found, ..Failure::usage(lines.join("\n")) };
        if is_shared { failure.remedy(remedy) } else { failure }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_temporary_folder_is_closed_to_everybody_else() {
        let mode = temporary_folder().unwrap().path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_text_gives_a_terminal_no_orders() {
        assert_eq!(harmless("of \u{1b}[2Jy\r\n  → \u{9b}8m"), "of \\u{1b}[2Jy\\r\n  → \\u{9b}8m");
        assert_eq!(
            visible("a\tb\n\u{61c}\u{200f}\u{2029}\u{202e}\u{2066}é"),
            "a\tb\\n\\u{61c}\\u{200f}\\u{2029}\\u{202e}\\u{2066}é"
        );
    }

    #[test]
    fn a_failure_tells_the_chain_and_the_remedy() {
        let cause: Result<(), _> = Err(io::Error::other("no such file"));
        let failure: Failure = cause.context("cannot read rules.yml").expect_err("it is an error").into();
        let failure = failure.remedy("run `just up` first").context("collecting");
        assert_eq!(failure.to_string(), "collecting: cannot read rules.yml: no such file\n  → run `just up` first");
        assert_eq!(failure.kind(), Kind::Infrastructure);
    }

    #[test]
    fn in_one_line_there_is_no_remedy_and_none_of_what_a_program_said() {
        let failure =
            Failure::infrastructure("Chromium died\n  its last lines:\n  [7:7] ERROR bus.cc").remedy("try again");
        assert_eq!(failure.context("starting chromium").in_one_line(), "starting chromium: Chromium died");
    }

    #[test]
    fn a_full_disk_is_the_users_to_mend() {
        let full: Result<(), _> = Err(io::Error::from(io::ErrorKind::StorageFull));
        let failure: Failure = full.context("cannot write ledger.jsonl").expect_err("it is an error").into();
        assert_eq!(failure.kind(), Kind::Usage);
        assert!(failure.to_string().contains("make room"), "{failure}");
    }

    #[test]
    fn what_this_user_may_not_touch_is_the_users_to_mend() {
        let denied: Result<(), _> = Err(io::Error::from(io::ErrorKind::PermissionDenied));
        let failure: Failure = denied.context("cannot read run.json").expect_err("it is an error").into();
        assert_eq!(failure.kind(), Kind::Usage);
        assert!(failure.is_denied() && failure.to_string().contains("ask as one who may"), "{failure}");
    }

    #[test]
    fn what_the_system_refuses_is_told_from_what_is_wrong_in_itself() {
        let told = |error: io::Error| is_of_the_system(&anyhow::Error::new(error).context("cannot read a file"));
        for refused in [Errno::ACCESS, Errno::PERM, Errno::IO, Errno::MFILE, Errno::STALE, Errno::NOMEM] {
            assert!(told(refused.into()), "{refused}");
        }
        for named in [Errno::NOENT, Errno::NOTDIR, Errno::ISDIR, Errno::LOOP, Errno::NAMETOOLONG] {
            assert!(!told(named.into()), "{named}");
        }
        for kind in [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof, io::ErrorKind::Other] {
            assert!(!told(kind.into()), "{kind}");
        }
        assert!(!is_of_the_system(&anyhow::anyhow!("run.json is not what it should be")));
    }

    #[test]
    fn without_just_a_message_names_the_tools_own_commands() {
        let failure = Failure::usage("no stack").remedy("`just up` starts one, `just traffic` runs on it");
        let told = "no stack\n  → `aiclipx up` starts one, `aiclipx traffic` runs on it";
        assert_eq!(without_just(&failure.to_string()), told);
    }

    #[test]
    fn findings_are_told_the_first_of_very_many() {
        let finding = |line| Finding { file: "a.yml".into(), line, what: "wrong".into(), remedy: String::new() };
        let failure = Failure::from(vec![finding(3), finding(0)]);
        assert_eq!(failure.to_string(), "a.yml:3: wrong\na.yml: wrong");
        assert_eq!(failure.kind(), Kind::Usage);
        let helped = |line| Finding { remedy: "mend it".into(), ..finding(line) };
        let shared = Failure::from(vec![helped(3), helped(4)]).to_string();
        assert_eq!(shared, "a.yml:3: wrong\na.yml:4: wrong\n  → mend it");
        assert_eq!(
            Failure::from(vec![helped(3), finding(4)]).to_string(),
            "a.yml:3: wrong\n  → mend it\na.yml:4: wrong"
        );
        let many = Failure::from((1..=98).map(finding).collect::<Vec<_>>()).to_string();
        assert_eq!(many.lines().count(), FINDINGS_TOLD + 1, "{many}");
        assert!(many.ends_with("\n… and 86 more"), "{many}");
    }
}

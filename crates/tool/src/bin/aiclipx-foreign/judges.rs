//! promtool and amtool: what they say of a file is what is right.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aiclipx_model::failure::Failure;

/// Those that are asked, the one on PATH first.
pub(crate) struct Judges {
    promtool: Vec<PathBuf>,
    amtool: Vec<PathBuf>,
}

/// What promtool says of a file of unit tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tested {
    Refused,
    /// It is read, and not every test passes, or the rules it is for are not there.
    Read,
    Passed,
}

impl Judges {
    pub(crate) fn find(promtool: &[PathBuf], amtool: &[PathBuf]) -> Result<Judges, Failure> {
        let all = |first: &str, more: &[PathBuf]| [vec![PathBuf::from(first)], more.to_vec()].concat();
        let judges = Judges { promtool: all("promtool", promtool), amtool: all("amtool", amtool) };
        for program in judges.promtool.iter().chain(&judges.amtool) {
            let run = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            if !run.is_ok_and(|status| status.success()) {
                return Err(Failure::usage(format!("cannot run {}", program.display()))
                    .remedy("`./dev just foreign DIR` brings it"));
            }
        }
        Ok(judges)
    }

    pub(crate) fn takes_rules(&self, file: &Path) -> Result<bool, Failure> {
        any(&self.promtool, &["check", "rules", "--lint=none"], file)
    }

    pub(crate) fn takes_prometheus(&self, file: &Path) -> Result<bool, Failure> {
        any(&self.promtool, &["check", "config", "--syntax-only", "--lint=none"], file)
    }

    pub(crate) fn takes_alertmanager(&self, file: &Path) -> Result<bool, Failure> {
        any(&self.amtool, &["check-config"], file)
    }

    /// The best that any of them says.
    pub(crate) fn tests(&self, file: &Path) -> Result<Tested, Failure> {
        let mut best = Tested::Refused;
        for program in &self.promtool {
            match tested(program, file)?.0 {
                Tested::Passed => return Ok(Tested::Passed),
                Tested::Read => best = Tested::Read,
                Tested::Refused => {}
            }
        }
        Ok(best)
    }

    /// What each of them says, and in which words.
    pub(crate) fn each_tests(&self, file: &Path) -> Result<Vec<(Tested, String)>, Failure> {
        self.promtool.iter().map(|program| tested(program, file)).collect()
    }
}

fn tested(program: &Path, file: &Path) -> Result<(Tested, String), Failure> {
    let (passed, said) = ask(program, &["test", "rules"], file)?;
    // It reads one file before it does anything with it; what it says then is of the file.
    let refused = ["unmarshal", "yaml:", "parse error", "not a valid duration", "not found in type"];
    let tested = if passed {
        Tested::Passed
    } else if refused.iter().any(|word| said.contains(word)) {
        Tested::Refused
    } else {
        Tested::Read
    };
    Ok((tested, said))
}

fn any(programs: &[PathBuf], arguments: &[&str], file: &Path) -> Result<bool, Failure> {
    for program in programs {
        if ask(program, arguments, file)?.0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether it ends well, and what it says. In the file's folder: what it names lies there.
fn ask(program: &Path, arguments: &[&str], file: &Path) -> Result<(bool, String), Failure> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let name = file.file_name().unwrap_or_default();
    let output = Command::new(program)
        .args(arguments)
        .arg(name)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::usage(format!("cannot run {}: {error}", program.display())))?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

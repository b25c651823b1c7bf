//! Secrets of one stack: files only their owner can read, made on first use.
//!
//! They are never printed, never passed in an environment or on a command line, and never part of a bundle. A local stack makes
//! them on its way up; compose.yaml has a step of its own for it, which is this same code: `.env` has one reader.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use anyhow::Context;

use super::plan::Plan;
use aiclipx_model::failure::Failure;
use aiclipx_model::monitoring::remote_write::Credentials;
use aiclipx_model::sum;

/// The file with the password of Grafana's `admin`.
pub(super) const GRAFANA_ADMIN_PASSWORD: &str = "grafana_admin_password";
/// The file with the key Grafana encrypts its own secrets with.
pub(super) const GRAFANA_SECRET_KEY: &str = "grafana_secret_key";
/// The file with the password of the service's role in the database, and the same as `.pgpass` has one.
const DATABASE_PASSWORD: &str = "database_password";
pub(super) const DATABASE_PASSFILE: &str = "database_passfile";
/// The seed's name for the password in `.env`.
const PASSWORD_VARIABLE: &str = "GF_SECURITY_ADMIN_PASSWORD";

/// Makes the plan's folder and what is missing in it.
pub(super) fn prepare(plan: &Plan) -> Result<(), Failure> {
    make(&plan.tree.join(".env"), &plan.secrets(), None)
}

/// Makes the folder and what is missing in it; a password in the environment file wins over a generated one. With an owner (a
/// user's number) all of it is theirs.
pub fn make(environment: &Path, folder: &Path, owner: Option<u32>) -> Result<(), Failure> {
    let what = || format!("cannot prepare {}", folder.display());
    DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(what)?;
    // The folder may be older than we are, and not ours any more: then it is as we left it.
    let opened = File::open(folder).with_context(what)?;
    if opened.metadata().with_context(what)?.permissions().mode() & 0o777 != 0o700 {
        opened.set_permissions(PermissionsExt::from_mode(0o700)).with_context(what)?;
    }
    fchown(&opened, owner, None).with_context(what)?;

    let unusable = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("cannot read {}: {why}", environment.display()))
            .remedy("mend it as .env.example shows, or take it away: then a password is generated")
    };
    let chosen = match environment.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(unusable(&error)),
        // A pipe would be waited for.
        Ok(file) if !file.is_file() => return Err(unusable(&"it is no regular file")),
        Ok(file) if file.len() > LARGEST_ENVIRONMENT => return Err(unusable(&"it is larger than 64 KiB")),
        Ok(_) => {
            let text = std::fs::read_to_string(environment).map_err(|error| unusable(&error))?;
            // What some editors begin a file with.
            setting(text.trim_start_matches('\u{feff}'), PASSWORD_VARIABLE).map_err(|why| unusable(&why))?
        }
    };
    let password = folder.join(GRAFANA_ADMIN_PASSWORD);
    match chosen {
        Some(chosen) => write(&password, &chosen, owner)?,
        None if !password.exists() => write(&password, &random()?, owner)?,
        None => {}
    }
    let key = folder.join(GRAFANA_SECRET_KEY);
    if !key.exists() {
        write(&key, &random()?, owner)?;
    }
    Ok(())
}

/// The password of the service's role, made on first use; beside it the file that the service reads, which begins with `whose`.
pub(super) fn database_password(plan: &Plan, whose: &str) -> Result<String, Failure> {
    let folder = plan.secrets();
    let what = || format!("cannot prepare {}", folder.display());
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).with_context(what)?;
    let file = folder.join(DATABASE_PASSWORD);
    if !file.exists() {
        write(&file, &random()?, None)?;
    }
    let password = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    write(&folder.join(DATABASE_PASSFILE), &format!("{whose}:{password}\n"), None)?;
    Ok(password)
}

/// The same in containers, a folder that two users come into: the password for the server's, the file beside it for the service's.
pub fn make_for_database(folder: &Path, server: u32, service: u32) -> Result<(), Failure> {
    let what = || format!("cannot prepare {}", folder.display());
    DirBuilder::new().recursive(true).mode(0o711).create(folder).with_context(what)?;
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o711)).with_context(what)?;
    let file = folder.join(DATABASE_PASSWORD);
    if !file.exists() {
        write(&file, &random()?, Some(server))?;
    }
    let password = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    write(&folder.join(DATABASE_PASSFILE), &format!("*:*:aiclipx:aiclipx:{password}\n"), Some(service))
}

/// Bytes: settings of a few lines.
const LARGEST_ENVIRONMENT: u64 = 64 * 1024;

/// The texts themselves: for making sure that they are nowhere else.
pub(super) fn texts(plan: &Plan) -> Result<Vec<String>, Failure> {
    let mut texts = Vec::new();
    for name in [GRAFANA_ADMIN_PASSWORD, GRAFANA_SECRET_KEY, DATABASE_PASSWORD] {
        let file = plan.secrets().join(name);
        if file.exists() {
            texts.push(std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?);
        }
    }
    // Somebody else's file: it may have been taken away since.
    let remote = plan.addresses.remote_write.as_ref().and_then(|remote| remote.credentials.as_ref());
    if let Some(file) = remote.map(Credentials::file).filter(|file| file.exists()) {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        texts.push(text.trim().to_owned());
    }
    Ok(texts)
}

/// Written aside and renamed: no moment at which others could read it, none at which it is half there. Not as
/// [`files::replace`](aiclipx_model::files::replace) does it, which keeps who could read the old one, and writes where a link leads.
fn write(file: &Path, secret: &str, owner: Option<u32>) -> Result<(), Failure> {
    let aside = file.with_extension("new");
    let written = || -> std::io::Result<()> {
        let _ = std::fs::remove_file(&aside);
        let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        open.write_all(secret.as_bytes())?;
        fchown(&open, owner, None)?;
        std::fs::rename(&aside, file)
    };
    Ok(written().with_context(|| format!("cannot write {}", file.display()))?)
}

/// 192 bits of the kernel's randomness in hexadecimal digits.
pub(super) fn random() -> Result<String, Failure> {
    let mut bytes = [0; 24];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(sum::hex(&bytes))
}

/// `NAME=value` of an environment file, as compose reads one; empty counts as not set, and the last line of a name wins. What
/// compose refuses, or reads as something that we don't, is refused here, too: the error names the line, and nothing that stands
/// in it.
///
/// Blanks around the name and the value, `export ` in front, and a comment after the value (a `#` behind a blank) are no part of
/// them; neither are quotes around the value, inside of which everything is. No `$` is expanded and no `\` undone.
fn setting(text: &str, name: &str) -> Result<Option<String>, String> {
    let mut found = None;
    for (index, line) in text.lines().enumerate() {
        let (key, value) = assignment(line).map_err(|why| format!("line {}: {why}", index + 1))?;
        // A name alone is what compose takes from its own environment.
        if key == name && value.is_some() {
            found = value;
        }
    }
    Ok(found.filter(|value| !value.is_empty()).map(str::to_owned))
}

/// The name and the value of a line; a name without one, and no name where there is none.
fn assignment(line: &str) -> Result<(&str, Option<&str>), &'static str> {
    if line.contains(['\0', '\r']) {
        return Err("it holds a NUL or a carriage return");
    }
    if line.trim_start().starts_with('#') || line.trim().is_empty() {
        return Ok(("", None));
    }
    let (key, value) = line.split_once('=').map_or((line, None), |(key, value)| (key, Some(value)));
    let key = key.trim();
    let key = key.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(key).trim();
    if key.is_empty() || !key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']')) {
        return Err("it is not NAME=value");
    }
    Ok((key, value.map(bare).transpose()?))
}

/// A value without the quotes around it, or without what stands behind it.
fn bare(value: &str) -> Result<&str, &'static str> {
    let trimmed = value.trim();
    let Some(quote) = trimmed.chars().next().filter(|first| ['"', '\''].contains(first)) else {
        let comment = value.match_indices('#').find(|(at, _)| value[..*at].ends_with(char::is_whitespace));
        return Ok(comment.map_or(value, |(at, _)| &value[..at]).trim());
    };
    let mut escaped = false;
    let ends = |c: char| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    };
    let (inside, behind) = trimmed[1..].split_once(ends).ok_or("its quote is not closed")?;
    if behind.trim_start().is_empty() || behind.trim_start().starts_with('#') {
        Ok(inside)
    } else {
        Err("something stands behind its closing quote")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aiclipx_base::duration::Speed;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_password_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::attached(folder.path(), &folder.path().join("state"), Speed::PRODUCTION).unwrap();
        prepare(&plan).unwrap();
        let file = plan.secrets().join(GRAFANA_ADMIN_PASSWORD);
        let first = std::fs::read_to_string(&file).unwrap();
        prepare(&plan).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
        assert_eq!(first.len(), 48);
        assert_eq!((mode(&plan.secrets()), mode(&file)), (0o700, 0o600));
    }

    #[test]
    fn a_password_chosen_in_the_env_file_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::attached(folder.path(), &folder.path().join("state"), Speed::PRODUCTION).unwrap();
        prepare(&plan).unwrap();
        std::fs::write(folder.path().join(".env"), "# mine\nexport GF_SECURITY_ADMIN_PASSWORD=\"se=cret #1\"\n")
            .unwrap();
        prepare(&plan).unwrap();
        let file = plan.secrets().join(GRAFANA_ADMIN_PASSWORD);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "se=cret #1");
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn a_value_ends_where_compose_says_it_does() {
        for (line, value) in [
            ("A=plain", "plain"),
            ("  export A = spaced out \t", "spaced out"),
            ("export\tA='single $x \\ # kept'", "single $x \\ # kept"),
            ("A=\"double # kept\"   # gone", "double # kept"),
            ("A=\"a\" # \"b\"", "a"),
            ("A=\"a\"# gone", "a"),
            ("A=\"a\\\"b\"", "a\\\"b"),
            ("A=se#cret # gone", "se#cret"),
            ("A=#secret", "#secret"),
            ("A=a=b", "a=b"),
            ("A=it's", "it's"),
            ("A=b\nA", "b"),
            ("# \"\nA=first\n\nB.b-b=:\nA=last\r\n", "last"),
        ] {
            assert_eq!(setting(line, "A").unwrap().as_deref(), Some(value), "{line}");
        }
        for line in ["A=", "A= # to be filled in", "A=''", "#A=b", "exportA=b", "AA=b", "A", "export A"] {
            assert_eq!(setting(line, "A"), Ok(None), "{line}");
        }
    }

    /// Of compose's own reader (compose-go 2.16): it refuses most, and of the others it makes settings that nobody meant.
    #[test]
    fn a_line_that_compose_refuses_is_refused_with_its_number_and_without_what_it_holds() {
        for line in [
            "A=\"unclosed secret",
            "A='unclosed secret",
            "A='closed by no \\'",
            "A='it's a secret'",
            "A=\"secret\" B=c",
            ":",
            "A: secret",
            "A secret=b",
            "=secret",
            "A=secret\rB=c",
            "A=secret\0",
            "{secret}",
        ] {
            for text in [format!("# first\n{line}"), format!("# first\n{line}\nA=b\n")] {
                let why = setting(&text, "A").expect_err(line);
                assert!(why.starts_with("line 2: ") && !why.contains("secret"), "{line}: {why}");
            }
        }
    }

    #[test]
    fn an_environment_file_that_cannot_be_read_is_no_missing_one() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join(".env");
        std::fs::create_dir(&file).unwrap();
        let failed = make(&file, &place.path().join("secrets"), None).unwrap_err();
        assert!(failed.to_string().contains(".env"), "{failed}");
    }
}

//! Secrets of one stack: files only their owner can read, made on first use.
//!
//! They are never printed, never passed in an environment or on a command line, and never part of a bundle.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;

use super::plan::Plan;
use crate::failure::Failure;

/// The file with the password of Grafana's `admin`.
pub(super) const GRAFANA_ADMIN_PASSWORD: &str = "grafana_admin_password";
/// The file with the key Grafana encrypts its own secrets with.
pub(super) const GRAFANA_SECRET_KEY: &str = "grafana_secret_key";
/// The seed's name for the password in `.env`.
const PASSWORD_VARIABLE: &str = "GF_SECURITY_ADMIN_PASSWORD";

/// Makes the folder and what is missing in it; a password in the tree's `.env` wins over a generated one.
pub(super) fn prepare(plan: &Plan) -> Result<(), Failure> {
    let folder = plan.secrets();
    let what = || format!("cannot prepare {}", folder.display());
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).with_context(what)?;
    // The folder may be older than we are.
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).with_context(what)?;

    let chosen =
        std::fs::read_to_string(plan.tree.join(".env")).ok().and_then(|text| setting(&text, PASSWORD_VARIABLE));
    let password = folder.join(GRAFANA_ADMIN_PASSWORD);
    match chosen {
        Some(chosen) => write(&password, &chosen)?,
        None if !password.exists() => write(&password, &random()?)?,
        None => {}
    }
    let key = folder.join(GRAFANA_SECRET_KEY);
    if !key.exists() {
        write(&key, &random()?)?;
    }
    Ok(())
}

/// The texts themselves: for making sure that they are nowhere else.
pub(super) fn texts(plan: &Plan) -> Result<Vec<String>, Failure> {
    let mut texts = Vec::new();
    for name in [GRAFANA_ADMIN_PASSWORD, GRAFANA_SECRET_KEY] {
        let file = plan.secrets().join(name);
        if file.exists() {
            texts.push(std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?);
        }
    }
    Ok(texts)
}

/// Written aside and renamed: no moment at which others could read it, none at which it is half there.
fn write(file: &Path, secret: &str) -> Result<(), Failure> {
    let aside = file.with_extension("new");
    let written = || -> std::io::Result<()> {
        let _ = std::fs::remove_file(&aside);
        let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        open.write_all(secret.as_bytes())?;
        std::fs::rename(&aside, file)
    };
    Ok(written().with_context(|| format!("cannot write {}", file.display()))?)
}

/// 192 bits of the kernel's randomness in hexadecimal digits.
fn random() -> Result<String, Failure> {
    let mut bytes = [0; 24];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(bytes.map(|byte| format!("{byte:02x}")).concat())
}

/// `NAME=value` of an environment file, without the quotes around it; empty counts as not set.
fn setting(text: &str, name: &str) -> Option<String> {
    let line = |line: &str| {
        let (key, value) = line.trim().split_once('=')?;
        let key = key.trim().strip_prefix("export ").unwrap_or(key).trim();
        (key == name).then(|| value.trim().to_owned())
    };
    let value = text.lines().filter_map(line).next_back()?;
    let quoted = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(&value);
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duration::Speed;

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
    fn an_empty_setting_is_none() {
        assert_eq!(setting("A=\nB=1", "A"), None);
        assert_eq!(setting("A='x'\nA=y", "A"), Some("y".to_owned()));
    }
}

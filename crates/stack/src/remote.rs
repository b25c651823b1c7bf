//! What a stack that writes to a store elsewhere needs of this machine: a name of its own there, a secret that is in its file.

use std::path::Path;

use anyhow::Context;

use super::layout;
use super::secrets::random;
use aiclipx_model::failure::{Failure, tell};
use aiclipx_model::files;
use aiclipx_model::monitoring::remote_write::{RemoteWrite, STACK_LABEL};

/// What is shorter is found everywhere, and so in every bundle that is searched for it.
const SHORTEST_SECRET: usize = 8;
/// Bytes: a token.
const LARGEST_SECRET: u64 = 64 * 1024;

/// Makes what was asked for this stack's own, whose state directory is ours and whose tree lies there.
pub fn settled(mut remote: RemoteWrite, tree: &Path, state: &Path) -> Result<RemoteWrite, Failure> {
    if let Some(credentials) = &mut remote.credentials {
        let file = credentials.file_mut();
        *file = std::path::absolute(&*file).with_context(|| format!("{} is no usable path", file.display()))?;
        looked_at(file, tree)?;
    }
    if !remote.labels.contains_key(STACK_LABEL) {
        remote.labels.insert(STACK_LABEL.to_owned(), name(state)?);
    }
    Ok(remote)
}

/// A secret that Prometheus could not use, or that a bundle would hold, is told before anything starts.
fn looked_at(file: &Path, tree: &Path) -> Result<(), Failure> {
    let refused = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("{} holds no secret to write to a store with: {why}", file.display()))
            .remedy("put the password or the token into it, and nothing else")
    };
    let held = file.metadata().map_err(|error| refused(&error))?;
    if !held.is_file() {
        return Err(refused(&"it is no regular file"));
    }
    if held.len() > LARGEST_SECRET {
        return Err(refused(&"it is larger than 64 KiB"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| refused(&error))?;
    if text.trim().len() < SHORTEST_SECRET {
        return Err(refused(&format!(
            "it has fewer than {SHORTEST_SECRET} characters, and can't be looked for in a bundle"
        )));
    }
    let kept = tree.join("monitoring");
    let lies_in = |folder: &Path| Some(file.canonicalize().ok()?.starts_with(folder.canonicalize().ok()?));
    if lies_in(&kept) == Some(true) {
        return Err(Failure::usage(format!("{} lies in {}, which every bundle holds", file.display(), kept.display()))
            .remedy("move it elsewhere"));
    }
    if std::os::unix::fs::PermissionsExt::mode(&held.permissions()) & 0o044 != 0 {
        tell(&format!("Others on this machine can read {}: chmod 600 keeps them out.", file.display()));
    }
    Ok(())
}

/// What tells this stack's samples from any other's: made on first use, and the same until `clean`.
fn name(state: &Path) -> Result<String, Failure> {
    let file = state.join(layout::NAME);
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
    match std::fs::read_to_string(&file) {
        Ok(text) if is_name(text.trim()) => return Ok(text.trim().to_owned()),
        Ok(_) => {
            return Err(Failure::usage(format!("{} holds no name", file.display()))
                .remedy("remove it, or name the stack with --external-label stack=NAME"));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::usage(format!("cannot read {}: {error}", file.display()))),
    }
    let made: String = random()?.chars().take(8).collect();
    files::replace(&file, |to| to.write_all(made.as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aiclipx_model::monitoring::remote_write::Credentials;
    use std::collections::BTreeMap;

    fn remote(file: Option<&Path>) -> RemoteWrite {
        RemoteWrite {
            url: "http://a:1/write".parse().unwrap(),
            credentials: file.map(|file| Credentials::Bearer { token_file: file.to_owned() }),
            labels: BTreeMap::new(),
        }
    }

    #[test]
    fn a_stack_has_one_name_until_it_is_removed_and_no_other_stack_has_it() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let of = |state: &tempfile::TempDir| {
            settled(remote(None), Path::new("/tree"), state.path()).unwrap().labels.remove(STACK_LABEL).unwrap()
        };
        let first = of(&one);
        assert_eq!((first.len(), of(&one)), (8, first.clone()));
        assert_ne!(of(&other), first);
        let mut named = remote(None);
        named.labels.insert(STACK_LABEL.to_owned(), "shop".to_owned());
        assert_eq!(settled(named, Path::new("/tree"), one.path()).unwrap().labels[STACK_LABEL], "shop");
        std::fs::write(one.path().join(layout::NAME), "a/b").unwrap();
        assert!(settled(remote(None), Path::new("/tree"), one.path()).unwrap_err().to_string().contains("no name"));
    }

    #[test]
    fn a_secret_is_in_a_file_of_its_own_where_no_bundle_takes_it_from() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        std::fs::create_dir(at("monitoring")).unwrap();
        for (name, text) in
            [("good", "hunter2hunter2\n"), ("short", "hunter2\n\n"), ("monitoring/in", "hunter2hunter2")]
        {
            std::fs::write(at(name), text).unwrap();
        }
        let with = |name: &str| settled(remote(Some(&at(name))), place.path(), place.path());
        assert!(with("good").unwrap().credentials.unwrap().file().is_absolute());
        for (name, says) in [
            ("short", "fewer than 8"),
            ("none", "No such file"),
            ("monitoring", "no regular file"),
            ("monitoring/in", "every bundle holds"),
        ] {
            let refused = with(name).unwrap_err().to_string();
            assert!(refused.contains(says) && !refused.contains("hunter2"), "{name}: {refused}");
        }
    }
}

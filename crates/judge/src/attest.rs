//! What a bundle can't say of itself: that its tree is a revision's (L2), and who sealed it (L3).
//!
//! Both are other programs' work, and well known: git names the blobs of a revision, `ssh-keygen -Y` signs `SHA256SUMS`,
//! which names every other file. The signature lies beside SHA256SUMS and is not listed in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::Context;

use super::bundle::{Bundle, SIGNATURE, SUMS};
use super::provenance::Provenance;
use super::tree::FOLDERS;
use aiclipx_model::failure::{Failure, no_temporary_folder};
use aiclipx_model::files;
use aiclipx_model::revision::git;

/// What the signature is for: one given for another purpose is refused.
const NAMESPACE: &str = "aiclipx-evidence";

/// L2: every file of `tree/` is the revision's in a repository, and none of the revision's is missing.
///
/// The number of files. Usage failures say that the repository can't answer; others that the bundle is not of it.
pub fn bound_to(bundle: &Bundle, provenance: &Provenance, repo: &Path) -> Result<usize, Failure> {
    let unbound = |why: anyhow::Error| {
        Failure::invalid_bundle(why.context(format!("{} can't be trusted: L2, binding", bundle.folder().display())))
    };
    let Some(revision) = provenance.revision.as_deref() else {
        return Err(unbound(anyhow::anyhow!("it was made outside a repository and names no revision")));
    };
    let is_hash = [40, 64].contains(&revision.len()) && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash {
        return Err(unbound(anyhow::anyhow!("{revision:?} is no commit's name")));
    }
    let known = blobs(repo, revision)?;
    let tree = bundle.folder().join("tree");
    let files: Vec<PathBuf> =
        bundle.files()?.iter().filter_map(|file| file.strip_prefix("tree/").map(PathBuf::from)).collect();
    let hashed = hashed(repo, &tree, &files)?;
    let mut differing: Vec<String> = hashed
        .iter()
        .filter(|(file, blob)| known.get(*file) != Some(*blob))
        .map(|(file, _)| file.display().to_string())
        .collect();
    differing.extend(
        known.keys().filter(|file| !hashed.contains_key(*file)).map(|file| format!("{} (missing)", file.display())),
    );
    if differing.is_empty() && provenance.dirty.is_none() {
        return Ok(hashed.len());
    }
    let what = if differing.is_empty() { "no file of tree/".to_owned() } else { differing.join(", ") };
    Err(unbound(match &provenance.dirty {
        Some(_) => anyhow::anyhow!("it was made with uncommitted changes to {revision}; what differs from it: {what}"),
        None => anyhow::anyhow!("tree/ is not that of {revision}; what differs: {what}"),
    }))
}

/// The blobs of a revision below [`FOLDERS`], by path.
fn blobs(repo: &Path, revision: &str) -> Result<BTreeMap<PathBuf, String>, Failure> {
    // A tree has such a name, too, and no history.
    let commit = format!("{revision}^{{commit}}");
    let listed = asked(git(repo).args(["ls-tree", "-r", "-z", "--full-tree", &commit, "--"]).args(FOLDERS))?;
    if !listed.status.success() {
        let why = String::from_utf8_lossy(&listed.stderr).trim().to_owned();
        return Err(Failure::usage(format!("{} has no revision {revision}: {why}", repo.display()))
            .remedy("--repo names a clone that holds the commit the bundle was made from"));
    }
    // mode SP type SP blob TAB path NUL
    let entries = String::from_utf8_lossy(&listed.stdout).into_owned();
    let entry = |entry: &str| {
        let (head, path) = entry.split_once('\t')?;
        Some((PathBuf::from(path), head.rsplit(' ').next()?.to_owned()))
    };
    Ok(entries.split('\0').filter_map(entry).collect())
}

/// What git would call the contents of files below a folder.
fn hashed(repo: &Path, folder: &Path, files: &[PathBuf]) -> Result<BTreeMap<PathBuf, String>, Failure> {
    let folder = folder.canonicalize().with_context(|| format!("cannot find {}", folder.display()))?;
    let mut named = BTreeMap::new();
    // Some hundred at a time, for a command line is finite.
    for some in files.chunks(200) {
        let paths = some.iter().map(|file| folder.join(file));
        let answer = asked(git(repo).args(["hash-object", "--no-filters", "--"]).args(paths))?;
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        if !answer.status.success() {
            let why = String::from_utf8_lossy(&answer.stderr).trim().to_owned();
            return Err(anyhow::anyhow!("git hash-object: {why}").into());
        }
        named.extend(some.iter().cloned().zip(text.lines().map(str::to_owned)));
    }
    Ok(named)
}

fn asked(git: &mut Command) -> Result<Output, Failure> {
    git.output().map_err(|error| Failure::usage(format!("cannot run git: {error}")))
}

/// Signs a bundle with an SSH key. A signature by another key is replaced only where `force` says so.
pub fn sign(bundle: &Bundle, key: &Path, force: bool) -> Result<PathBuf, Failure> {
    // Signing what can't be trusted would make it look as if it could.
    bundle.verify()?;
    let cannot = |why: &str| {
        Failure::usage(format!("cannot sign with {}: {why}", key.display()))
            .remedy("--key names a private key, or the public one of a key that the agent holds")
    };
    // For a pipe's other end ssh-keygen would wait for good.
    if fs::metadata(key).is_ok_and(|is| !is.is_file()) {
        return Err(cannot("it is no regular file"));
    }
    let mut command = Command::new("ssh-keygen");
    // What it is given on its standard input it signs on its standard output.
    command.args(["-Y", "sign", "-n", NAMESPACE, "-f"]).arg(key);
    let answer = run(command.stdin(sums(bundle)?))?;
    if !answer.status.success() || !answer.stdout.starts_with(b"-----BEGIN SSH SIGNATURE-----") {
        return Err(cannot(String::from_utf8_lossy(&answer.stderr).trim()));
    }
    let signature = bundle.folder().join(SIGNATURE);
    if signature.exists() && !force {
        let new = tempfile::NamedTempFile::new().map_err(|error| no_temporary_folder(&error))?;
        fs::write(new.path(), &answer.stdout).map_err(|error| no_temporary_folder(&error))?;
        let (before, now) = (key_of(bundle, &signature)?, key_of(bundle, new.path())?);
        if before != now {
            let by = before.unwrap_or_else(|| "by a signature that is not of these sums".to_owned());
            return Err(Failure::usage(format!("{} is signed already, {by}", bundle.folder().display()))
                .remedy("--force puts a signature with this key in its place"));
        }
    }
    let written = files::replace(&signature, |out| out.write_all(&answer.stdout));
    written.map_err(|error| Failure::usage(format!("cannot write {}: {error}", signature.display())))?;
    Ok(signature)
}

fn sums(bundle: &Bundle) -> anyhow::Result<File> {
    let sums = bundle.folder().join(SUMS);
    File::open(&sums).with_context(|| format!("cannot read {}", sums.display()))
}

/// `with ED25519 key SHA256:…`: the key that made a signature of the bundle's sums; none where it is none of them.
fn key_of(bundle: &Bundle, signature: &Path) -> Result<Option<String>, Failure> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "check-novalidate", "-n", NAMESPACE, "-s"]).arg(signature);
    let checked = run(command.stdin(sums(bundle)?))?;
    let said = String::from_utf8_lossy(&checked.stdout).trim().to_owned();
    Ok(said.rsplit_once(" with ").filter(|_| checked.status.success()).map(|(_, key)| format!("with {key}")))
}

/// L3: who signed the bundle, and with which key, of those that a file of allowed signers names (`man ssh-keygen`, ALLOWED SIGNERS).
pub fn signed_by(bundle: &Bundle, signers: &Path) -> Result<String, Failure> {
    let unsigned = |why: String| {
        let what = format!("{} can't be trusted: L3, signature", bundle.folder().display());
        Failure::invalid_bundle(anyhow::anyhow!(why).context(what))
    };
    let signature = bundle.folder().join(SIGNATURE);
    if !signature.is_file() {
        return Err(unsigned("it is not signed".to_owned()));
    }
    // Of a file that it can't read ssh-keygen says that no principal matches.
    File::open(&signature).with_context(|| format!("cannot read {}", signature.display()))?;
    if !signers.is_file() {
        return Err(Failure::usage(format!("there is no file {}", signers.display()))
            .remedy("a line of it is: NAME ssh-ed25519 AAAA…, as `man ssh-keygen` has it"));
    }
    let mut why = format!("nobody in {} signed it", signers.display());
    if principals(&signature, signers)?.is_empty() {
        return Err(unsigned(why));
    }
    let unreadable = |error| Failure::usage(format!("cannot read {}: {error}", signers.display()));
    let lines = files::read(signers).map_err(unreadable)?;
    // A key may stand there several times, each for a purpose of its own, and ssh-keygen looks at the first line alone.
    for (number, line) in (1..).zip(lines.split_inclusive(|byte| *byte == b'\n')) {
        let alone = tempfile::NamedTempFile::new().map_err(|error| no_temporary_folder(&error))?;
        fs::write(alone.path(), line).map_err(|error| no_temporary_folder(&error))?;
        for name in principals(&signature, alone.path())? {
            let mut command = Command::new("ssh-keygen");
            command.args(["-Y", "verify", "-n", NAMESPACE, "-I", &name, "-s"]).arg(&signature);
            let verified = run(command.arg("-f").arg(alone.path()).stdin(sums(bundle)?))?;
            if verified.status.success() {
                // A name may be a pattern, or an organisation's: the key is who it was.
                let said = String::from_utf8_lossy(&verified.stdout).trim().to_owned();
                let key = said.rsplit_once(" with ").map_or("a key that ssh-keygen does not name", |(_, key)| key);
                let allowed = if name.contains(['*', '?']) { "somebody allowed as " } else { "" };
                return Ok(format!("{allowed}{name}, {key}"));
            }
            let said = String::from_utf8_lossy(&verified.stderr).trim().to_owned();
            let place = format!("{}:{number}", signers.display());
            why = said.replace(&format!("{}:1", alone.path().display()), &place);
        }
    }
    Err(unsigned(why))
}

/// Those whom a file of allowed signers names for the key that made a signature, whatever for.
fn principals(signature: &Path, signers: &Path) -> Result<Vec<String>, Failure> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "find-principals", "-s"]).arg(signature).arg("-f").arg(signers);
    let found = run(command.stdin(Stdio::null()))?;
    let names = String::from_utf8_lossy(&found.stdout).into_owned();
    let names = names.split([',', '\n']).map(str::trim).filter(|name| found.status.success() && !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

fn run(command: &mut Command) -> Result<Output, Failure> {
    command.output().map_err(|error| {
        Failure::usage(format!("cannot run ssh-keygen: {error}"))
            .remedy("install OpenSSH's client (Debian: openssh-client)")
    })
}

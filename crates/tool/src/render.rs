//! The configuration as a stack gets it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aiclipx_base::duration::Speed;
use aiclipx_model::counted::counted;
use aiclipx_model::failure::{Failure, print, tell};
use aiclipx_model::files;
use aiclipx_model::monitoring::Monitoring;
use aiclipx_model::monitoring::addresses::{Addresses, ExternalUrl};
use aiclipx_model::monitoring::kubernetes::{Cluster, DEPLOYMENT, Namespace};
use aiclipx_model::monitoring::slo;
use aiclipx_stack::Mark;
use aiclipx_stack::find_tree;
use anyhow::Context;

use crate::remote::RemoteOptions;

pub(super) fn render(
    speed: Speed,
    out: Option<&Path>,
    external: Option<ExternalUrl>,
    remote: &RemoteOptions,
) -> Result<ExitCode, Failure> {
    let root = find_tree()?;
    let source = root.join("monitoring");
    let addresses = Addresses { external, remote_write: remote.rendered()?.map(Box::new), ..Addresses::canonical() };
    let files = Monitoring::read(&source)?.render(&addresses, speed)?;
    match out {
        Some(out) => write(out, &files, &source)?,
        None => {
            for (path, bytes) in &files {
                print(&format!("# {}\n{}", path.display(), String::from_utf8_lossy(bytes).trim_end()))?;
            }
        }
    }
    tell(&format!("{} at speed {speed}", counted(files.len(), "file")));
    Ok(ExitCode::SUCCESS)
}

/// Writes the rules of the objectives. Reads nothing but their two sources, since other files may be what has to be mended.
pub(super) fn slo() -> Result<ExitCode, Failure> {
    let folder = find_tree()?.join("monitoring");
    let mut read = BTreeMap::new();
    for path in slo::SOURCES {
        let bytes = files::read(&folder.join(path)).with_context(|| format!("cannot read monitoring/{path}"));
        read.insert(PathBuf::from(path), bytes.map_err(Failure::usage)?);
    }
    let rules = slo::rules(&read)?.unwrap_or_default();
    let made = folder.join(slo::MADE);
    files::replace(&made, |to| to.write_all(rules.as_bytes()))
        .with_context(|| format!("cannot write {}", made.display()))
        .map_err(Failure::usage)?;
    tell(&format!("monitoring/{} is what monitoring/{} gives", slo::MADE, slo::TABLE));
    Ok(ExitCode::SUCCESS)
}

/// Writes what a cluster can't take of monitoring/ as it is: what the tree has of it, or what a cluster of the user's has.
pub(super) fn kubernetes(
    out: Option<&Path>,
    namespace: Option<Namespace>,
    external: Option<ExternalUrl>,
    remote: &RemoteOptions,
) -> Result<ExitCode, Failure> {
    let root = find_tree()?;
    let source = root.join("monitoring");
    let remote_write = remote.rendered()?;
    let is_theirs = external.is_some() || remote_write.is_some();
    let cluster = Cluster { namespace: namespace.unwrap_or_default(), external, remote_write };
    let monitoring = Monitoring::read(&source)?;
    let (folder, made) = match out {
        Some(out) => {
            let made = monitoring.for_cluster(&cluster)?;
            write(out, &made, &source)?;
            (out.display().to_string(), made.len())
        }
        None if is_theirs => {
            return Err(Failure::usage(
                "--external-url and --remote-write are of one cluster, and deploy/kubernetes is of none",
            )
            .remedy(
                "name a folder beside your kustomization.yaml with --out, and list what is in it as `components`",
            ));
        }
        None => {
            let made = monitoring.for_kubernetes()?;
            for (path, text) in &made {
                put(&root.join(DEPLOYMENT).join(path), text.as_bytes())?;
            }
            (DEPLOYMENT.to_owned(), made.len())
        }
    };
    tell(&format!("{} in {folder}", counted(made, "file")));
    Ok(ExitCode::SUCCESS)
}

/// Writes files into a folder that is empty, or ours, and does not lie in what they are made of.
fn write<T: AsRef<[u8]>>(out: &Path, files: &BTreeMap<PathBuf, T>, source: &Path) -> Result<(), Failure> {
    if is_within(out, source) || is_within(source, out) {
        return Err(Failure::usage(format!("{} holds what is rendered, or lies in it", out.display()))
            .remedy("choose another folder with --out"));
    }
    Mark::Rendered.claim(out)?;
    for (path, bytes) in files {
        // The mark says that the folder is ours, and nothing of what a link in it leads to.
        let inside = path.ancestors().filter(|inside| !inside.as_os_str().is_empty());
        if let Some(link) = inside.map(|inside| out.join(inside)).find(|inside| inside.is_symlink()) {
            return Err(Failure::usage(format!("{} is a link, and what it leads to is not ours", link.display()))
                .remedy("remove the link, or choose another folder with --out"));
        }
        put(&out.join(path), bytes.as_ref())?;
    }
    Ok(())
}

fn put(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::create_dir_all(file.parent().unwrap_or(file))
        .and_then(|()| files::replace(file, |to| to.write_all(bytes)))
        .with_context(|| format!("cannot write {}", file.display()))
        .map_err(Failure::usage)
}

/// Whether a path is this folder or lies in it, links followed; the path's end need not exist.
fn is_within(path: &Path, folder: &Path) -> bool {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = path.ancestors().find_map(|above| above.canonicalize().ok());
    folder.canonicalize().is_ok_and(|folder| there.is_some_and(|there| there.starts_with(folder)))
}

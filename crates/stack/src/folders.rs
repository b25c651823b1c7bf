//! Where things lie: the tree, a stack's state directory, bundles. Asks the environment.

use std::path::{Path, PathBuf};

use anyhow::Context;

use aiclipx_model::failure::Failure;

/// Names the state directory when no flag does.
const STATE_VARIABLE: &str = "AICLIPX_STATE";
/// Names the repository's root when the working directory lies elsewhere.
const HOME_VARIABLE: &str = "AICLIPX_HOME";

/// The repository's root: `AICLIPX_HOME`, else the nearest folder upward that holds monitoring/.
pub fn find_tree() -> Result<PathBuf, Failure> {
    let is_tree = |folder: &Path| folder.join("monitoring/prometheus/prometheus.yml").is_file();
    if let Some(home) = std::env::var_os(HOME_VARIABLE) {
        let home = PathBuf::from(home);
        return if is_tree(&home) {
            Ok(home)
        } else {
            Err(Failure::usage(format!("{HOME_VARIABLE} is {}, which holds no monitoring/", home.display())))
        };
    }
    let here = std::env::current_dir().context("cannot tell the working directory")?;
    here.ancestors().find(|folder| is_tree(folder)).map(Path::to_owned).ok_or_else(|| {
        Failure::usage(format!("no monitoring/ in {} or above it", here.display()))
            .remedy(format!("work inside the repository, or let {HOME_VARIABLE} name its root"))
    })
}

/// The state directory, unless an option says otherwise: what `AICLIPX_STATE` names; else `state/` of the repository, so that a
/// clone holds all that is its own; where that can't be written, as in the Nix store, where the user's programs keep such things:
/// the same one from whatever folder a command is called, so that `down` finds what `up` started.
pub fn state_folder() -> Result<PathBuf, Failure> {
    state_folder_told(find_tree, |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
}

fn state_folder_told(
    tree: impl FnOnce() -> Result<PathBuf, Failure>,
    variable: impl Fn(&str) -> Option<PathBuf>,
) -> Result<PathBuf, Failure> {
    if let Some(state) = variable(STATE_VARIABLE) {
        return Ok(state);
    }
    let tree = tree()?;
    if can_be_written(&tree) {
        return Ok(tree.join("state"));
    }
    // The XDG Base Directory Specification: a relative path there is to be ignored. One of HOME would be another one from
    // every folder.
    let absolute = |name: &str| variable(name).filter(|folder| folder.is_absolute());
    let states = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    let states = states.ok_or_else(|| {
        Failure::usage(format!("{} can't be written, and HOME names no folder for a stack's state", tree.display()))
            .remedy(format!("name one with --state or {STATE_VARIABLE}"))
    })?;
    Ok(states.join("aiclipx"))
}

/// Where bundles go, unless an option says otherwise: `evidence/runs/` of the repository, else `aiclipx-evidence/` of the
/// working directory.
pub fn bundles_folder(tree: &Path) -> PathBuf {
    if can_be_written(tree) { tree.join("evidence/runs") } else { PathBuf::from("aiclipx-evidence") }
}

/// Whether the tree is a place to write to. Its permissions speak first, for to root everything else seems writable: the
/// Nix store is a matter of convention.
fn can_be_written(tree: &Path) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    if tree.metadata().is_ok_and(|tree| tree.permissions().readonly()) {
        return false;
    }
    // A state directory that is there counts, whoever owns the tree. A full disk does not move it elsewhere.
    tree.join("state").is_dir()
        || tempfile::tempfile_in(tree)
            .map_or_else(|error| !matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem), |_| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder whose permissions are a store path's.
    fn store() -> tempfile::TempDir {
        let store = tempfile::tempdir().unwrap();
        std::fs::set_permissions(store.path(), std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
        store
    }

    fn state(tree: &Path, variables: &[(&str, &str)]) -> Result<PathBuf, Failure> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        state_folder_told(|| Ok(tree.to_owned()), find)
    }

    #[test]
    fn a_clone_holds_what_its_commands_write() {
        let clone = tempfile::tempdir().unwrap();
        let told = state(clone.path(), &[("HOME", "/me"), ("XDG_STATE_HOME", "/states")]).unwrap();
        assert_eq!(told, clone.path().join("state"));
        assert_eq!(bundles_folder(clone.path()), clone.path().join("evidence/runs"));
        assert_eq!(std::fs::read_dir(clone.path()).unwrap().count(), 0, "asking leaves nothing");
    }

    #[test]
    fn beside_a_tree_in_the_store_state_is_the_users_and_bundles_lie_where_one_stands() {
        let store = store();
        let state = |variables: &[(&str, &str)]| state(store.path(), variables);
        assert_eq!(state(&[("HOME", "/me"), ("XDG_STATE_HOME", "/states")]).unwrap(), Path::new("/states/aiclipx"));
        assert_eq!(
            state(&[("HOME", "/h"), ("XDG_STATE_HOME", "states")]).unwrap(),
            Path::new("/h/.local/state/aiclipx")
        );
        assert_eq!(state(&[("HOME", "/h")]).unwrap(), Path::new("/h/.local/state/aiclipx"));
        assert_eq!(bundles_folder(store.path()), Path::new("aiclipx-evidence"));
        // A folder that is another one wherever one stands would hide a stack that runs.
        for variables in [&[][..], &[("HOME", "h")], &[("HOME", "h"), ("XDG_STATE_HOME", "states")]] {
            let failure = state(variables).unwrap_err();
            assert!(failure.to_string().contains("--state or AICLIPX_STATE"), "{failure}");
        }
    }

    #[test]
    fn the_variable_names_the_state_wherever_the_tree_lies_and_where_there_is_none() {
        let (clone, store) = (tempfile::tempdir().unwrap(), store());
        for tree in [clone.path(), store.path()] {
            assert_eq!(state(tree, &[("HOME", "/h"), (STATE_VARIABLE, "/mine")]).unwrap(), Path::new("/mine"));
        }
        let variable = |name: &str| (name == STATE_VARIABLE).then(|| "/mine".into());
        let told = state_folder_told(|| Err(Failure::usage("no tree here")), variable);
        assert_eq!(told.unwrap(), Path::new("/mine"));
    }
}

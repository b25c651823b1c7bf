//! Looking before starting: the programs there are, what is absent, the ports that are free.
//!
//! Reads the world and changes nothing; all that is wrong is told at once.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;

use super::component::{Component, Source};
use super::database;
use super::holder;
use super::plan::{APP_VARIABLE, Plan, Process, shared_ports};
use super::ports::Listener;
use super::supervisor::{self, SUPERVISORD};
use super::tools::{Tool, Wanted, executables, find, helper, is_executable};
use aiclipx_http::client;
use aiclipx_model::failure::Failure;
use aiclipx_model::revision::Revision;
use aiclipx_model::service::FILE;

/// What looking before starting found.
pub(super) struct Preflight {
    /// What is wanted, and what stands in for what is absent of it.
    pub(super) components: Vec<Component>,
    /// By component.
    pub(super) programs: BTreeMap<Component, Tool>,
    /// With what is missed and what brings it.
    pub(super) absent: BTreeMap<Component, String>,
    pub(super) supervisord: Tool,
    /// Put before a command, it makes that command die with its parent; empty where nothing does.
    pub(super) death_prefix: Vec<String>,
    /// The tree's commit.
    pub(super) revision: String,
}

/// A service that runs answers whether it is ready by then.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// What supervisord asks for before it starts anything; up to the hard limit it raises its own.
const DESCRIPTORS: u64 = 1024;

/// Looks at everything a start needs; all that is wrong is told at once, as a usage failure.
pub(super) async fn preflight(plan: &Plan) -> Result<Preflight, Failure> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    if let Some(limit) = limit.filter(|limit| *limit < DESCRIPTORS) {
        let what =
            format!("nothing was started: {limit} files may be open at once, and supervisord wants {DESCRIPTORS}");
        return Err(Failure::usage(what).remedy(format!("`ulimit -n {DESCRIPTORS}`, where that was lowered")));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let programs = join_all(plan.components.iter().map(|&component| program(component, plan, &path)));
    let (programs, supervisord, death_prefix, revision) =
        tokio::join!(programs, find(&SUPERVISORD, &path), supervisor::death_prefix(), revision(plan));
    let mut found = BTreeMap::new();
    let mut absent = BTreeMap::new();
    let mut problems = Vec::new();
    for (&component, program) in plan.components.iter().zip(programs) {
        match (program, component.missed_without()) {
            (Ok(tool), _) => drop(found.insert(component, tool)),
            (Err(why), Some(missed)) => drop(absent.insert(component, format!("{missed} ({why})"))),
            (Err(why), None) => problems.push(format!("{component}: {why}")),
        }
    }
    leave_out_halves(&mut found, &mut absent);
    let mut components = plan.components.clone();
    for stand_in in Component::ALL {
        if stand_in.stands_in_for().is_some_and(|component| absent.contains_key(&component)) {
            match program(stand_in, plan, &path).await {
                Ok(tool) => drop(found.insert(stand_in, tool)),
                Err(why) => problems.push(format!("{stand_in}: {why}")),
            }
            components.push(stand_in);
        }
    }
    problems.extend(unreached(plan).await);
    problems.extend(without_postgres(plan, &found).await);
    if supervisord.is_none() {
        problems.push(format!("supervisord: {}", not_found(&SUPERVISORD, &path, &plan.tree)));
    }
    let processes = present(&Plan { components: components.clone(), ..plan.clone() }, &absent);
    for (port, one, other) in shared_ports(&processes) {
        problems.push(format!("port {port} is given to both {one} and {other}"));
    }
    let taken = taken(&processes, &mut problems);
    match supervisord {
        Some(supervisord) if problems.is_empty() => {
            Ok(Preflight { components, programs: found, absent, supervisord, death_prefix, revision })
        }
        _ => Err(refused("nothing was started", &problems, taken)),
    }
}

/// Why a service that is ours can't use the database that was asked for.
async fn without_postgres(plan: &Plan, found: &BTreeMap<Component, Tool>) -> Option<String> {
    let app = found.get(&Component::App).filter(|_| plan.components.contains(&Component::Database))?;
    if !plan.service.is_ours() {
        return None;
    }
    let asked = tokio::time::timeout(ANSWER_LIMIT, helper(&app.path).arg("--version").output()).await;
    let told = asked.ok().and_then(Result::ok).map(|output| output.stdout).unwrap_or_default();
    let knows = String::from_utf8_lossy(&told).contains("postgres");
    (!knows).then(|| {
        format!(
            "app: {} is built without PostgreSQL; `just up --database` builds one with it, as does `cargo build --package \
             aiclipx-app --features postgres --target-dir target/postgres`, and {APP_VARIABLE} names it",
            app.path.display()
        )
    })
}

/// Why a service that somebody else starts can't be asked.
async fn unreached(plan: &Plan) -> Option<String> {
    let address = plan.addresses.scraped_app().first().filter(|_| plan.service.start.is_none())?;
    let answer = client::get(address, &plan.service.ready, ANSWER_LIMIT).await;
    let why = match answer {
        Ok(answer) if answer.status.is_success() => return None,
        Ok(answer) => format!("{} answers {}", address.url(&plan.service.ready), answer.status),
        Err(error) => error.to_string(),
    };
    Some(format!("the service: {why}; {FILE} says that it runs there: start it, or say with [start] how"))
}

/// The ports of processes that were not started, or are gone, if somebody holds them: a usage failure that says `how` it is now.
pub(super) fn held_by_others(how: &str, processes: &[Process]) -> Option<Failure> {
    let mut problems = Vec::new();
    let taken = taken(processes, &mut problems)?;
    Some(refused(how, &problems, Some(taken)))
}

/// Where processes could not listen now; the first port that somebody holds.
fn taken(processes: &[Process], problems: &mut Vec<String>) -> Option<(Listener, u16)> {
    let mut taken = None;
    for (listener, name, address) in processes.iter().flat_map(Process::listeners) {
        let port = address.port;
        match holder::refusal(address) {
            Some(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                problems.push(format!("port {port}, wanted by {name}, is held by {}", holder::holder(port)));
                taken.get_or_insert((listener, port));
            }
            Some(error) => problems.push(format!("{name} cannot listen on {address}: {error}")),
            None => {}
        }
    }
    taken
}

fn refused(how: &str, problems: &[String], taken: Option<(Listener, u16)>) -> Failure {
    let failure = Failure::usage(format!("{how}:\n  {}", problems.join("\n  ")));
    match taken {
        Some((listener, port)) => failure.remedy(format!(
            "end the holder, or move one with --port {listener}={}, or all with --free-ports",
            port.checked_add(100).unwrap_or(port - 100)
        )),
        None => failure,
    }
}

/// Makes what is nothing without another one as absent as that one.
fn leave_out_halves(found: &mut BTreeMap<Component, Tool>, absent: &mut BTreeMap<Component, String>) {
    for (half, other) in Component::PAIRS {
        if absent.contains_key(&other)
            && let Some(missed) = half.missed_without()
            && found.remove(&half).is_some()
        {
            absent.insert(half, format!("{missed} (it is left out, for {other} is absent)"));
        }
    }
}

/// The program of a component, or what is missing and the command that brings it.
async fn program(component: Component, plan: &Plan, path: &OsStr) -> Result<Tool, String> {
    let ours = |file: &Path| {
        if is_executable(file) {
            let is_ours = component != Component::App || plan.service.is_ours();
            // Of somebody's own program nobody knows how it tells its version.
            let version = if is_ours { env!("CARGO_PKG_VERSION") } else { "unknown" };
            return Ok(Tool { path: file.to_owned(), version: version.to_owned() });
        }
        let how = if plan.service.is_ours() { "`cargo build` makes it" } else { "monitoring/service.toml names it" };
        Err(format!("{} is no program; {how}, or let {APP_VARIABLE} name one", file.display()))
    };
    // A tree that has no configuration of an optional component does without it.
    let monitoring = plan.tree.join("monitoring");
    if let Some(file) = component.configuration().filter(|file| monitoring.is_dir() && !monitoring.join(file).is_file())
    {
        return Err(format!("monitoring/{file} is not there: this tree does without"));
    }
    match component.source() {
        Source::Service => ours(&plan.app_program),
        Source::Tool => ours(&plan.tool_program),
        Source::Path(wanted) => {
            let found = match find(wanted, path).await {
                None if component == Component::Database => {
                    let besides = std::env::join_paths(database::folders()).unwrap_or_default();
                    find(wanted, &besides).await
                }
                found => found,
            };
            found.ok_or_else(|| not_found(wanted, path, &plan.tree))
        }
    }
}

/// Where `./dev` puts what it brings to a clone; of a command that was not typed after it nothing looks there.
const BROUGHT: &str = ".tools/bin";

fn not_found(wanted: &Wanted, path: &OsStr, tree: &Path) -> String {
    let names: Vec<&str> = wanted.spellings().map(|(name, ..)| name).collect();
    if names.iter().any(|name| is_executable(&tree.join(BROUGHT).join(name))) {
        return format!(
            "not on PATH, but in {BROUGHT} of this clone; typed after `./dev`, as in `./dev just up`, a command finds it"
        );
    }
    let namesake = names.iter().find_map(|name| executables(name, path).into_iter().next());
    let closed = std::env::split_paths(path).find(|folder| {
        folder.join("x").metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
    });
    let mut why = match namesake {
        // As that of a script does whose interpreter is another user's alone.
        Some(other) => match helper(&other).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(_) => format!("{} is another program", other.display()),
            Err(error) => format!("{} can't be run: {error}", other.display()),
        },
        None if names.len() > 1 => format!("not on PATH as {}", names.join(" or ")),
        None => "not on PATH".to_owned(),
    };
    if let Some(folder) = closed {
        why = format!("{why} ({}, which is on it, is closed to this user)", folder.display());
    }
    format!("{why}; {} brings it", wanted.remedy())
}

/// What the plan says; else the tree's commit, with `-dirty` when the tree differs from it.
async fn revision(plan: &Plan) -> String {
    if let Some(revision) = &plan.settled_revision {
        return revision.clone();
    }
    let tree = plan.tree.clone();
    let asked = tokio::task::spawn_blocking(move || Revision::of(&tree)).await;
    asked.unwrap_or_default().label()
}

/// What runs of a plan when this is absent.
pub(super) fn present(plan: &Plan, absent: &BTreeMap<Component, String>) -> Vec<Process> {
    let mut processes = plan.processes();
    processes.retain(|process| !absent.contains_key(&process.component));
    processes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executable;

    #[test]
    fn of_the_path_of_logs_there_is_no_half() {
        let tool = |name: &str| Tool { path: name.into(), version: "1.0".to_owned() };
        for (there, gone) in Component::PAIRS {
            let mut found = BTreeMap::from([(Component::App, tool("app")), (there, tool("half"))]);
            let mut absent = BTreeMap::from([(gone, "not on PATH".to_owned())]);
            leave_out_halves(&mut found, &mut absent);
            assert_eq!(found.into_keys().collect::<Vec<_>>(), [Component::App]);
            assert!(absent[&there].contains(&format!("for {gone} is absent")), "{absent:?}");
        }
        let mut both = BTreeMap::from([Component::Vector, Component::Loki].map(|one| (one, tool("one"))));
        leave_out_halves(&mut both, &mut BTreeMap::new());
        assert_eq!(both.len(), 2);
    }

    #[tokio::test]
    async fn a_program_of_that_name_that_is_another_or_cannot_run_is_named_and_not_called_absent() {
        let folder = tempfile::tempdir().expect("a folder");
        let wanted = Wanted {
            names: &["loki"],
            marker: "loki, version ",
            elder: None,
            nix: "nix shell nixpkgs#loki",
            debian: None,
        };
        let path = folder.path().as_os_str();
        let not_found = |wanted: &Wanted, path: &OsStr| not_found(wanted, path, Path::new("/no/clone"));
        assert_eq!(not_found(&wanted, path), "not on PATH; `nix shell nixpkgs#loki` brings it");
        let other = folder.path().join("loki");
        let told = |is: &str| format!("{} {is}; `nix shell nixpkgs#loki` brings it", other.display());
        executable::script(&other, "");
        assert_eq!(not_found(&wanted, path), told("is another program"));
        // It was executable, and what is in it now is nothing that can be.
        std::fs::write(&other, "#!/no/such/interpreter\n").expect("a file is written");
        assert_eq!(not_found(&wanted, path), told("can't be run: No such file or directory (os error 2)"));
    }

    #[test]
    fn what_the_clone_has_and_path_does_not_is_told_with_the_command_that_finds_it() {
        let clone = tempfile::tempdir().expect("a folder");
        let told = || not_found(&SUPERVISORD, OsStr::new(""), clone.path());
        assert_eq!(told(), "not on PATH; `nix develop`, or on Debian `./dev just up` brings it");
        let brought = clone.path().join(BROUGHT);
        std::fs::create_dir_all(&brought).expect("a folder is made");
        executable::script(&brought.join("supervisord"), "");
        assert!(
            told().starts_with(
                "not on PATH, but in .tools/bin of this clone; typed after `./dev`, as in `./dev just up`"
            )
        );
    }
}

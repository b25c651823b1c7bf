//! The database of a stack that asked for one (`up --database`): a PostgreSQL server of the distribution's, with a folder of its own
//! in the stack's, for the service alone.
//!
//! The server refuses to run as root: there it runs as an unprivileged user, who has its folder and nothing else of the stack's.
//! Its password is random, and lies in files that only the user of the stack reads.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::component::Component;
use super::plan::{DATABASE as NAME, Lifetime, Plan};
use super::secrets;
use super::tools::Tool;
use aiclipx_base::address::Address;
use aiclipx_model::failure::Failure;

/// Where Debian has it, away from PATH: a folder for each release.
const OF_DEBIAN: &str = "/usr/lib/postgresql";

/// Who runs the server where the tool is root, the first there is: Debian's package makes one, and every system has the other.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// Folders in which the server's program may lie besides PATH, the newest release first.
pub(super) fn folders() -> Vec<PathBuf> {
    let releases = std::fs::read_dir(OF_DEBIAN).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = releases.map(|release| release.path().join("bin")).collect();
    folders.sort_by_key(|folder| std::cmp::Reverse(release_of(folder)));
    folders
}

fn release_of(folder: &Path) -> u32 {
    let name = folder.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    name.and_then(|name| name.parse().ok()).unwrap_or(0)
}

/// What the path of a file has in a URL as `%XX`.
const NOT_OF_A_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'_').remove(b'-');

/// What the service is told: where the database is, and which file has the password. Nothing of a stack without one.
pub(super) fn url(plan: &Plan) -> String {
    if !plan.components.contains(&Component::Database) {
        return String::new();
    }
    let passfile = plan.secrets().join(secrets::DATABASE_PASSFILE);
    let passfile = percent_encode(passfile.as_os_str().as_bytes(), NOT_OF_A_PATH);
    format!("postgres://{NAME}@{}/{NAME}?sslmode=disable&passfile={passfile}", plan.database)
}

/// The server's command line.
pub(super) fn arguments(plan: &Plan, tool: &Tool) -> Vec<String> {
    let data = data(plan, tool).to_string_lossy().into_owned();
    let settings = [
        format!("listen_addresses={}", plan.database.host),
        format!("port={}", plan.database.port),
        // No socket: in a folder that everybody shares another server's would lie.
        "unix_socket_directories=".to_owned(),
        "log_line_prefix=%m [%p] ".to_owned(),
    ];
    let settings = settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]);
    ["-D".to_owned(), data].into_iter().chain(settings).collect()
}

/// What one release keeps, another can't read.
fn data(plan: &Plan, tool: &Tool) -> PathBuf {
    plan.data(Component::Database).join(format!("v{}", tool.major()))
}

/// What stands before the server's command, so that it ends with its parent and is not root.
pub(super) fn prefix(death_prefix: &[String]) -> Vec<String> {
    let Some(user) = unprivileged() else { return death_prefix.to_vec() };
    // Whoever becomes another user has to ask anew to end with the parent: in one go, in this order.
    let (setpriv, dies) = death_prefix.split_first().map_or(("setpriv", &[][..]), |(one, rest)| (one.as_str(), rest));
    let (user, group) = (user.id.to_string(), user.group.to_string());
    let mut words = [setpriv, "--reuid", &user, "--regid", &group, "--clear-groups"].map(str::to_owned).to_vec();
    words.extend(if dies.is_empty() { vec!["--".to_owned()] } else { dies.to_vec() });
    words
}

struct User {
    name: String,
    id: u32,
    group: u32,
}

/// Who runs the server; nobody else where the tool is not root.
fn unprivileged() -> Option<User> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    UNPRIVILEGED.into_iter().find_map(|name| user_of(&users, name))
}

/// `NAME:x:ID:GROUP:…`
fn user_of(users: &str, name: &str) -> Option<User> {
    let mut fields = users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.split(':').skip(1);
    let (id, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(User { name: name.to_owned(), id, group })
}

/// Makes the server's folder at the first start, with the role, its password and the database in it. Half of one is never there.
pub(super) fn prepare(plan: &Plan, tool: &Tool, death_prefix: &[String]) -> Result<(), Failure> {
    let password = secrets::database_password(plan, &format!("{}:*:{NAME}:{NAME}", plan.database.host))?;
    let (folder, data) = (plan.data(Component::Database), data(plan, tool));
    let user = unprivileged();
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    if let Some(user) = &user {
        let owned = chown(&folder, Some(user.id), Some(user.group));
        owned.with_context(|| format!("cannot give {} to {}", folder.display(), user.name))?;
        open_the_way(plan, &folder, user)?;
    }
    let private = std::fs::set_permissions(&folder, Permissions::from_mode(0o700));
    private.with_context(|| format!("cannot close {}", folder.display()))?;
    if data.is_dir() {
        return Ok(());
    }
    let aside = folder.join("new");
    if aside.exists() {
        std::fs::remove_dir_all(&aside).with_context(|| format!("cannot remove {}", aside.display()))?;
    }
    let place = aside.to_string_lossy().into_owned();
    // Where the program is a link, its neighbours are where that leads.
    let program = tool.path.canonicalize().unwrap_or_else(|_| tool.path.clone());
    let initdb = program.with_file_name("initdb");
    let habits = ["--encoding=UTF8", "--locale=C", "--auth=reject", "--username=postgres", "--pgdata"];
    run(&initdb, habits.into_iter().chain([place.as_str()]), death_prefix, "")?;
    // Nobody but the service's role comes in, and that one with its password.
    let who = format!("# TYPE DATABASE USER ADDRESS METHOD\nhost {NAME} {NAME} samehost scram-sha-256\n");
    std::fs::write(aside.join("pg_hba.conf"), who)
        .with_context(|| format!("cannot write below {}", aside.display()))?;
    let orders = format!("CREATE ROLE {NAME} LOGIN PASSWORD '{password}';\nCREATE DATABASE {NAME} OWNER {NAME};\n");
    run(&tool.path, ["--single", "-D", &place, "postgres"], death_prefix, &orders)?;
    std::fs::rename(&aside, &data).with_context(|| format!("cannot rename {}", aside.display()))?;
    Ok(())
}

/// Folders of the stack's own are opened to who only passes through; one above them is not ours to open.
fn open_the_way(plan: &Plan, folder: &Path, user: &User) -> Result<(), Failure> {
    for above in folder.ancestors().skip(1) {
        let Ok(metadata) = above.metadata() else { continue };
        let mode = metadata.mode();
        if mode & 0o001 != 0 || metadata.uid() == user.id {
            continue;
        }
        // Of a private stack the folder around it, too, which was made for it.
        let was_made_for_it = plan.lifetime == Lifetime::Private && above.parent() == Some(&*std::env::temp_dir());
        if above.starts_with(&plan.state) || was_made_for_it {
            let opened = std::fs::set_permissions(above, Permissions::from_mode(mode & 0o7777 | 0o001));
            opened.with_context(|| format!("cannot open {}", above.display()))?;
        } else {
            let what = format!(
                "nothing was started: the database can't run as root, and {}, who runs it, can't come to its data: {} is closed",
                user.name,
                above.display()
            );
            return Err(
                Failure::usage(what).remedy("take another folder, as --state /var/lib/aiclipx, or another user")
            );
        }
    }
    Ok(())
}

/// Runs a program of the server's to its end.
fn run<'a>(
    program: &Path,
    arguments: impl IntoIterator<Item = &'a str>,
    death_prefix: &[String],
    input: &str,
) -> Result<(), Failure> {
    let prefix = prefix(death_prefix);
    let mut words = prefix.iter().map(std::ffi::OsStr::new).chain([program.as_os_str()]);
    let first = words.next().expect("the program itself is a word");
    let mut command = Command::new(first);
    command.args(words).args(arguments).current_dir("/").env("LC_ALL", "C");
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let cannot = || format!("cannot run {}", program.display());
    let mut child = spawned.with_context(cannot)?;
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).with_context(cannot)?;
    drop(stdin);
    let output = child.wait_with_output().with_context(cannot)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(Failure::infrastructure(format!("{} failed: {}\n  {}", program.display(), output.status, last.join("\n  "))))
}

/// Whether it takes connections: it asks for a password then, and before says that it is starting.
pub(super) async fn answers(address: &Address, limit: Duration) -> Result<(), String> {
    let asking = async {
        let mut stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        let mut hello = vec![0, 0, 0, 0, 0, 3, 0, 0];
        for word in ["user", NAME, "database", NAME, ""] {
            hello.extend_from_slice(word.as_bytes());
            hello.push(0);
        }
        let length = u32::try_from(hello.len()).expect("a few words are no gigabytes").to_be_bytes();
        hello[..4].copy_from_slice(&length);
        stream.write_all(&hello).await?;
        stream.read_u8().await
    };
    match tokio::time::timeout(limit, asking).await {
        Ok(Ok(b'R')) => Ok(()),
        Ok(Ok(_)) => Err("it takes no connections yet".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aiclipx_base::duration::Speed;

    fn plan() -> Plan {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        Plan::attached(root, Path::new("/a b%"), Speed::PRODUCTION).unwrap()
    }

    #[test]
    fn only_a_stack_that_asked_has_a_database_and_its_url_has_no_password() {
        let mut plan = plan();
        assert_eq!(url(&plan), "");
        assert!(!plan.components.contains(&Component::Database));
        plan.add_database();
        let expected =
            "postgres://aiclipx@127.0.0.1:5432/aiclipx?sslmode=disable&passfile=/a%20b%25/secrets/database_passfile";
        assert_eq!(url(&plan), expected);
        assert_eq!(plan.processes().last().map(|one| one.name.clone()).as_deref(), Some("database"));
    }

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users =
            "root:x:0:0::/:/bin/sh\npostgres-x:x:1:1::/:\npostgres:x:103:107:,,,:/var/lib/postgresql:/bin/bash\n";
        let user = user_of(users, "postgres").unwrap();
        assert_eq!((user.id, user.group), (103, 107));
        assert!(user_of(users, "nobody").is_none());
    }

    #[test]
    fn who_becomes_another_user_ends_with_its_parent_all_the_same() {
        let dies: Vec<String> = ["/bin/setpriv", "--pdeathsig", "KILL", "--"].map(str::to_owned).to_vec();
        let words = prefix(&dies);
        assert_eq!(words[0], "/bin/setpriv");
        assert_eq!(words[words.len() - 3..], dies[1..]);
        let is_root = rustix::process::geteuid().is_root();
        assert_eq!(words.contains(&"--reuid".to_owned()), is_root);
    }
}

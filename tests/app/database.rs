//! A PostgreSQL server of the tests' own: the distribution's programs, in a temporary folder, behind a Unix socket, as a user that
//! may run one, ended with the process that started it.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tempfile::TempDir;

/// For a server to start, or to end.
const LIMIT: Duration = Duration::from_mins(1);

const USER: &str = "tester";
/// Set where tests that find no server are no tests: by `just postgres`.
const NEEDED: &str = "AICLIPX_NEEDS_POSTGRES";
pub(crate) const PASSWORD: &str = "a-pass:w/rd@of the %tests";

pub(crate) struct Server {
    folder: TempDir,
    programs: PathBuf,
    /// `None` while it is down.
    child: Mutex<Option<Child>>,
    settings: Vec<String>,
    databases: AtomicU32,
    /// Removes the folder when this process is gone, for nobody drops what all tests share.
    _sweeper: Child,
}

/// The one that all tests of a process share, which nobody stops; `None` where no server is installed, which is said.
pub(crate) fn shared() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&[])).as_ref()
}

/// The folder of `initdb` and `postgres`, which Debian keeps off PATH.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

impl Server {
    /// A server that speaks TLS on a port of this machine, with a certificate for `localhost` alone.
    pub(crate) fn with_tls(port: u16) -> Option<Server> {
        let port = format!("port={port}");
        Server::started(&["listen_addresses=127.0.0.1", &port, "ssl=on"], |data| {
            for (name, subject, extension) in [
                ("root", "/CN=a root", "basicConstraints=critical,CA:TRUE"),
                ("other", "/CN=another root", "basicConstraints=critical,CA:TRUE"),
            ] {
                openssl(
                    data,
                    &[
                        "req",
                        "-x509",
                        "-newkey",
                        "ec",
                        "-pkeyopt",
                        "ec_paramgen_curve:prime256v1",
                        "-nodes",
                        "-days",
                        "2",
                        "-keyout",
                        &format!("{name}.key"),
                        "-out",
                        &format!("{name}.crt"),
                        "-subj",
                        subject,
                        "-addext",
                        extension,
                    ],
                );
            }
            openssl(
                data,
                &[
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:prime256v1",
                    "-nodes",
                    "-days",
                    "2",
                    "-CA",
                    "root.crt",
                    "-CAkey",
                    "root.key",
                    "-keyout",
                    "server.key",
                    "-out",
                    "server.crt",
                    "-subj",
                    "/CN=localhost",
                    "-addext",
                    "subjectAltName=DNS:localhost",
                    "-addext",
                    "basicConstraints=critical,CA:FALSE",
                ],
            );
        })
    }

    /// A server with these settings besides; `None` where none is installed.
    pub(crate) fn start(settings: &[&str]) -> Option<Server> {
        Server::started(settings, |_| {})
    }

    /// The same, with more in its folder.
    fn started(settings: &[&str], more: impl Fn(&Path)) -> Option<Server> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os(NEEDED).is_none(), "no PostgreSQL server is installed here, and {NEEDED} is set");
            let _ = writeln!(
                std::io::stderr(),
                "skipped: no PostgreSQL server is installed here (apt-get install postgresql)"
            );
            return None;
        };
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut sweeper = Command::new("sh");
        // Its server, which ends with the process, too, may still write.
        let sweep = "cat; for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf \"$0\" && break; sleep 1; done";
        sweeper.args(["-c", sweep]).arg(folder.path());
        let sweeper =
            sweeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn();
        let server = Server {
            folder,
            programs,
            child: Mutex::new(None),
            settings,
            databases: AtomicU32::new(0),
            _sweeper: sweeper.unwrap(),
        };
        server.make();
        more(&server.folder.path().join("data"));
        server.own();
        server.run();
        Some(server)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server runs as a user of its own where the tests run as root, which it refuses; and ends with them.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new("setpriv");
        if rustix::process::geteuid().is_root() {
            command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
        }
        command.args(["--pdeathsig", "QUIT", "--"]).arg(self.programs.join(name)).current_dir("/");
        command
    }

    fn make(&self) {
        let folder = self.folder.path();
        std::fs::write(folder.join("password"), PASSWORD).unwrap();
        self.own();
        let mut made = self.program("initdb");
        made.args(["--no-sync", "--locale", "C", "--encoding", "UTF8", "--auth", "scram-sha-256", "--username", USER]);
        made.arg("--pwfile").arg(folder.join("password")).arg("--pgdata").arg(folder.join("data"));
        let made = made.output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    }

    /// What lies in its folder is the server's.
    fn own(&self) {
        if rustix::process::geteuid().is_root() {
            let owned = Command::new("chown").args(["-R", "nobody:nogroup"]).arg(self.folder.path()).status().unwrap();
            assert!(owned.success());
        }
    }

    /// Starts it, and waits until it takes connections.
    pub(crate) fn run(&self) {
        let folder = self.folder.path();
        let mut command = self.program("postgres");
        command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
        for setting in ["listen_addresses=", "fsync=off", "max_connections=300"]
            .into_iter()
            .chain(self.settings.iter().map(String::as_str))
        {
            command.args(["-c", setting]);
        }
        let log = std::fs::File::create(folder.join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = spawned_for_life(command);
        *self.child.lock().unwrap() = Some(child);
        let until = Instant::now() + LIMIT;
        // It writes so when it takes connections; before, whoever asks is told that it is starting.
        while !self.log().contains("ready to accept connections") {
            assert!(Instant::now() < until, "the database does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Ends it: sessions are told, and what they have under way is undone.
    pub(crate) fn stop(&self) {
        self.end("INT");
    }

    /// Ends it at once: nobody is told anything.
    pub(crate) fn kill(&self) {
        self.end("QUIT");
    }

    /// Stands still, or goes on.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.lock().unwrap().as_ref().map(Child::id).unwrap();
        let mut all = vec![pid.to_string()];
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        all.extend(children.split_whitespace().map(str::to_owned));
        Command::new("kill").arg(format!("-{name}")).args(all).status().unwrap();
    }

    fn end(&self, signal: &str) {
        let Some(mut child) = self.child.lock().unwrap().take() else { return };
        Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status().unwrap();
        let until = Instant::now() + LIMIT;
        while child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the database does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The URL of a database of this server's.
    pub(crate) fn url(&self, name: &str) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let folder = self.folder.path().to_str().unwrap();
        format!("postgres://{USER}:{}@{}/{name}", encoded(PASSWORD), encoded(folder))
    }

    /// A session to look with.
    pub(crate) async fn session(&self, name: &str) -> tokio_postgres::Client {
        let mut config = tokio_postgres::Config::new();
        let port = self.settings.iter().find_map(|setting| setting.strip_prefix("port=")).unwrap_or("5432");
        config.port(port.parse().unwrap());
        config.host_path(self.folder.path()).user(USER).password(PASSWORD).dbname(name);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// A new empty database: its name.
    pub(crate) async fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::SeqCst));
        self.session("postgres").await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        name
    }
}

/// Gone with the process, and with whoever has it.
impl Drop for Server {
    fn drop(&mut self) {
        if self.child.lock().unwrap().is_some() {
            self.signal("CONT"); // who stands still takes no other
        }
        self.end("QUIT");
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let made = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
}

/// Starts a program that the kernel ends with whoever started it. It looks at the thread and not at the process: this one lives
/// as long.
fn spawned_for_life(command: Command) -> Child {
    type Order = (Command, mpsc::Sender<Child>);
    static ORDERS: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (orders, taken) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in taken {
                answer.send(command.spawn().unwrap()).unwrap();
            }
        });
        orders
    });
    let (answer, child) = mpsc::channel();
    orders.send((command, answer)).unwrap();
    child.recv().unwrap()
}

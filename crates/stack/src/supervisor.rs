//! supervisord: its configuration from the component table, starting it, and control by supervisorctl.
//!
//! It restarts, signals, keeps log files and rotates them; nothing of that is done here. It runs in the state
//! directory and is told relative paths wherever it takes them literally, so that no character of the state
//! directory's own path can be misread.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::Component;
use super::layout::{self, SUPERVISORD_PID};
use super::life::is_paused;
use super::mark::RENDERED_LINE;
use super::plan::{Lifetime, Plan, Process};
use super::tools::{Wanted, executables, helper};
use aiclipx_model::failure::{Failure, no_temporary_folder};

/// supervisord says its bare version.
pub(super) const SUPERVISORD: Wanted =
    Wanted { names: &["supervisord"], marker: "", elder: None, nix: "nix develop", debian: Some("./dev just up") };

/// supervisorctl waits for a program's end as long as supervisord does; beyond that it hangs.
const CONTROL_LIMIT: Duration = Duration::from_mins(1);

/// A path of a unix socket takes 107 bytes; a temporary folder this long leaves room for ours and the socket's name.
const MAX_TEMPORARY_BYTES: usize = 60;

/// Set in the programs' environment if it is set in ours: what programs need to run, and the service's settings.
/// Everything else stays out, because an environment is readable in /proc and ours may hold secrets.
const PASSED: [&str; 13] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "GOMEMLIMIT",
    "GOMAXPROCS",
    "GOGC",
    "RUST_BACKTRACE",
];
const PASSED_PREFIXES: [&str; 5] = ["APP_", "LC_", "NIX_", "PYENV_", "PYTHON"];

/// One program of supervisord's.
pub(super) struct Program {
    /// The process's, or that of its front.
    pub(super) name: String,
    /// The program and its arguments, with whatever is put before them.
    pub(super) command: Vec<String>,
}

/// The name of the front that stands before a process.
pub(super) fn front_of(process: &Process) -> Option<String> {
    process.component.is_guarded().then(|| format!("{}{FRONT}", process.name))
}

const FRONT: &str = "-front";

/// The words that start a program with settings of its own: through `env`, because supervisord's `environment=` can't
/// carry every value and `command=` can.
pub(super) fn command(
    death_prefix: &[String],
    environment: Vec<(&'static str, String)>,
    program: &Path,
    arguments: Vec<String>,
) -> Vec<String> {
    let mut words = death_prefix.to_vec();
    let program = program.to_string_lossy().into_owned();
    if !environment.is_empty() {
        words.push("env".to_owned());
        words.extend(environment.into_iter().map(|(name, value)| format!("{name}={value}")));
        // env would take such a path for one more setting.
        if program.contains('=') {
            words.extend(["sh", "-c", r#"exec "$0" "$@""#].map(str::to_owned));
        }
    }
    words.push(program);
    words.extend(arguments);
    words
}

/// The text of supervisord.conf.
pub(super) fn configuration(plan: &Plan, programs: &[Program], socket: &Path) -> String {
    let socket = literal(&socket.to_string_lossy());
    let mut text = format!(
        "{RENDERED_LINE}\n\
         [unix_http_server]\nfile={socket}\nchmod=0700\n\n\
         [supervisord]\nlogfile=logs/supervisord.log\nlogfile_maxbytes=10MB\nlogfile_backups=1\nloglevel=info\n\
         pidfile={SUPERVISORD_PID}\nnocleanup=true\n\n\
         [rpcinterface:supervisor]\n\
         supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\n\
         [supervisorctl]\nserverurl=unix://{socket}\n"
    );
    // A program that dies within `startsecs` is retried by its own count, whatever `autorestart` says; and without
    // `startsecs` one that always dies would be restarted in a busy loop.
    for program in programs {
        let name = &program.name;
        // What a front that died has cost is seen where it was asked; that it stays away would end the run.
        let (restart, settles, retries) = match plan.lifetime {
            Lifetime::Private if !name.ends_with(FRONT) => ("false", 0, 0),
            Lifetime::Attached | Lifetime::Private => ("true", 1, 3),
        };
        // Vector ends within a second of being asked (`--graceful-shutdown-limit-secs`), or hangs, as where a log is a pipe: what it
        // holds is on its disk.
        let patience = if name == Component::Vector.name() { 3 } else { 20 };
        let command: Vec<String> = program.command.iter().map(|word| quote(word)).collect();
        let _ = write!(
            text,
            "\n[program:{name}]\ncommand={}\n\
             autorestart={restart}\nstartsecs={settles}\nstartretries={retries}\n\
             stopsignal=TERM\nstopwaitsecs={patience}\n\
             redirect_stderr=true\nstdout_logfile=logs/{name}.log\n\
             stdout_logfile_maxbytes=20MB\nstdout_logfile_backups=4\n",
            command.join(" "),
        );
    }
    text
}

/// A word as supervisord's `command=` gives it back: the value is cut at a `;` or `#` behind white space, then `%`
/// is expanded, then the shell's quoting is undone.
fn quote(word: &str) -> String {
    let mut quoted = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' => quoted.push_str("%%"),
            // Closing and opening the quotes changes nothing for the shell and parts the sign from a space before it.
            ';' | '#' => quoted.extend(['"', '"', c]),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A value taken literally, but for `%`.
fn literal(value: &str) -> String {
    value.replace('%', "%%")
}

/// A short temporary folder for the socket, which only we may enter.
pub(super) fn socket_folder() -> Result<tempfile::TempDir, Failure> {
    let usual = std::env::temp_dir();
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"/._-+".contains(&c);
    let bytes = usual.as_os_str().as_encoded_bytes();
    let parent = if bytes.len() <= MAX_TEMPORARY_BYTES && bytes.iter().copied().all(is_plain) {
        usual
    } else {
        PathBuf::from("/tmp")
    };
    let folder = tempfile::Builder::new().prefix(SOCKET_FOLDER_PREFIX).tempdir_in(&parent);
    folder.map_err(|error| no_temporary_folder(&error))
}

/// What the socket's folder is called, so that only such a one is ever removed.
pub(super) const SOCKET_FOLDER_PREFIX: &str = "aiclipx-";
/// The socket's name in its folder.
pub(super) const SOCKET: &str = "supervisor.sock";

/// `setpriv --pdeathsig KILL --`, where it works: what follows is then killed when its parent dies, even by SIGKILL.
pub(super) async fn death_prefix() -> Vec<String> {
    if !cfg!(target_os = "linux") {
        return Vec::new();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    for setpriv in executables("setpriv", &path) {
        // Busybox has a setpriv that does not know the option.
        let tried = helper(&setpriv)
            .args(["--pdeathsig", "KILL", "--", "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if tried.await.is_ok_and(|status| status.success()) {
            let words = ["--pdeathsig", "KILL", "--"].map(str::to_owned);
            return std::iter::once(setpriv.to_string_lossy().into_owned()).chain(words).collect();
        }
    }
    Vec::new()
}

pub(super) fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        PASSED.contains(&&*name) || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

/// Starts a supervisord that outlives us. It has detached itself and opened its socket when this returns.
pub(super) async fn start_attached(supervisord: &Path, plan: &Plan) -> Result<(), Failure> {
    let output = helper(supervisord)
        .arg("-c")
        .arg(configuration_file(plan))
        .current_dir(&plan.state)
        .env_clear()
        .envs(environment())
        .output()
        .await
        .with_context(|| format!("cannot run {}", supervisord.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(Failure::infrastructure(format!("supervisord did not start: {}", String::from_utf8_lossy(&said).trim())))
}

/// Starts a supervisord that dies with us: killed when dropped, and on Linux when this *thread* ends, so this must
/// run on a thread that lives as long as the stack (a runtime's worker or its `block_on`, not `spawn_blocking`).
pub(super) fn start_private(supervisord: &Path, plan: &Plan, death_prefix: &[String]) -> Result<Child, Failure> {
    let complaints = plan.logs().join("supervisord.err");
    let complaints = File::create(&complaints).with_context(|| format!("cannot write {}", complaints.display()))?;
    let program = supervisord.to_string_lossy().into_owned();
    let mut words = death_prefix.iter().chain(std::iter::once(&program));
    let first = words.next().expect("the program itself is a word");
    let child = Command::new(first)
        .args(words)
        .arg("-n")
        .arg("-c")
        .arg(configuration_file(plan))
        .current_dir(&plan.state)
        .env_clear()
        .envs(environment())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(complaints)
        // Ctrl-C goes to the whole foreground group; ours to handle, in our order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    Ok(child.with_context(|| format!("cannot run {first}"))?)
}

/// Where the configuration lies.
pub(super) fn configuration_file(plan: &Plan) -> PathBuf {
    plan.state.join(layout::SUPERVISORD_CONF)
}

/// The process id of this plan's supervisord, if it is alive.
pub(super) async fn running(plan: &Plan) -> Option<u32> {
    running_in(&plan.state, plan).await
}

/// The same, where the state directory lies elsewhere now than when it was started.
pub(super) async fn running_in(state: &Path, plan: &Plan) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(state.join(SUPERVISORD_PID)).ok()?.trim().parse().ok()?;
    // Process ids are used again: it is ours if it was started with our configuration.
    let command_line = command_line(pid).await?;
    command_line.contains(&*configuration_file(plan).to_string_lossy()).then_some(pid)
}

async fn command_line(pid: u32) -> Option<String> {
    if Path::new("/proc/self/cmdline").exists() {
        return std::fs::read(format!("/proc/{pid}/cmdline"))
            .ok()
            .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
    }
    let output = helper("ps").args(["-o", "command=", "-p", &pid.to_string()]).output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whose process this is, if it is neither ours nor ours to stop. Known where there is a /proc.
pub(super) fn foreign_owner(pid: u32) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let owner = |process: &str| std::fs::metadata(Path::new("/proc").join(process)).ok().map(|meta| meta.uid());
    let (ours, theirs) = (owner("self")?, owner(&pid.to_string())?);
    (ours != 0 && ours != theirs).then_some(theirs)
}

/// Whether a process of this id exists (a zombie counts as gone).
pub(super) async fn is_alive(pid: u32) -> bool {
    command_line(pid).await.is_some_and(|line| !line.trim().is_empty())
}

/// Sends a signal to processes. Those that are gone are passed over, and those of somebody else are told by who waits for them.
pub(super) fn signal(signal: Signal, pids: &[u32]) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?)) {
        let _ = kill_process(pid, signal);
    }
}

/// A program as supervisord sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProgramState {
    /// The process's name in the plan.
    pub(super) name: String,
    /// `RUNNING`, `STARTING`, `STOPPED`, `EXITED`, `BACKOFF`, `FATAL`, ….
    pub(super) state: String,
    /// While it runs.
    pub(super) pid: Option<u32>,
    /// `0:01:07`, while it runs.
    pub(super) uptime: Option<String>,
}

/// supervisorctl for one stack.
pub(super) struct Control<'a> {
    /// The supervisord it belongs to.
    pub(super) supervisord: &'a Path,
    /// Whose configuration names the socket.
    pub(super) plan: &'a Plan,
}

impl Control<'_> {
    async fn run(&self, arguments: &[&str]) -> Result<Output, Failure> {
        if let Some(pid) = running(self.plan).await.filter(|pid| is_paused(*pid)) {
            return Err(Failure::infrastructure(format!(
                "supervisord ({pid}) was stopped in its tracks, and hears nothing"
            ))
            .remedy(format!("`kill -CONT {pid}` lets it go on, `just down` ends it")));
        }
        // The two come together, under Nix and from PyPI alike.
        let beside = self.supervisord.with_file_name("supervisorctl");
        let program = if beside.is_file() { beside } else { PathBuf::from("supervisorctl") };
        let output = helper(&program).arg("-c").arg(configuration_file(self.plan)).args(arguments).output();
        let output = tokio::time::timeout(CONTROL_LIMIT, output).await;
        let what = || format!("supervisorctl {}", arguments.join(" "));
        Ok(output
            .with_context(|| format!("{} did not end within {CONTROL_LIMIT:?}", what()))?
            .with_context(|| format!("cannot run {}", program.display()))?)
    }

    /// Does something to a program; an error says what supervisorctl said.
    pub(super) async fn order(&self, arguments: &[&str]) -> Result<(), Failure> {
        let output = self.run(arguments).await?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if output.status.success() && !said.contains("ERROR") {
            return Ok(());
        }
        Err(Failure::infrastructure(format!("supervisorctl {}: {}", arguments.join(" "), said.trim())))
    }

    /// Every program and how it is.
    pub(super) async fn states(&self) -> Result<Vec<ProgramState>, Failure> {
        let output = self.run(&["status"]).await?;
        let said = String::from_utf8_lossy(&output.stdout);
        // 3 says that not all are running; more is that nobody answered.
        match output.status.code() {
            Some(0 | 3) => Ok(said.lines().filter_map(program_state).collect()),
            code => {
                let said = [said.trim(), String::from_utf8_lossy(&output.stderr).trim()].join(" ");
                let code = code.map_or_else(String::new, |code| format!(" (supervisorctl ended with {code})"));
                Err(Failure::infrastructure(format!("supervisord does not answer{code}: {}", said.trim())))
            }
        }
    }
}

/// Reads `app    RUNNING   pid 4711, uptime 0:01:07`.
fn program_state(line: &str) -> Option<ProgramState> {
    let mut words = line.split_whitespace();
    let (name, state) = (words.next()?.to_owned(), words.next()?.to_owned());
    let rest = words.collect::<Vec<_>>().join(" ");
    let running = rest.strip_prefix("pid ").and_then(|rest| rest.split_once(", uptime "));
    Some(ProgramState {
        name,
        state,
        pid: running.and_then(|(pid, _)| pid.parse().ok()),
        uptime: running.map(|(_, uptime)| uptime.to_owned()),
    })
}

/// supervisord's own log from a point on: the cheapest way to hear of a start or a death at once.
pub(super) struct SupervisorLogTail {
    file: PathBuf,
    read: u64,
}

impl SupervisorLogTail {
    /// From now on.
    pub(super) fn from_now(plan: &Plan) -> SupervisorLogTail {
        let file = plan.log("supervisord");
        let read = file.metadata().map_or(0, |meta| meta.len());
        SupervisorLogTail { file, read }
    }

    /// What was told since the last call.
    pub(super) fn news(&mut self) -> Vec<(String, News)> {
        let mut bytes = Vec::new();
        let read = File::open(&self.file).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.read))?;
            file.read_to_end(&mut bytes)
        });
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if read.is_err() || whole == 0 {
            return Vec::new();
        }
        self.read += whole as u64;
        // A name of a program's is in ASCII; what else it logs may be in anything.
        String::from_utf8_lossy(&bytes[..whole]).lines().filter_map(news).collect()
    }
}

/// What supervisord tells of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// It has stayed up long enough to count as running.
    Running,
    /// It ended by itself; why.
    Died(String),
}

/// Reads `2026-11-24 03:00:00,123 INFO exited: app (exit status 2; not expected)` and its like.
fn news(line: &str) -> Option<(String, News)> {
    let message = line.splitn(4, ' ').nth(3)?;
    if let Some(exited) = message.strip_prefix("exited: ") {
        let (name, why) = exited.split_once(" (")?;
        let why = why.trim_end_matches(')');
        let why = why.split_once(';').map_or(why, |(why, _)| why);
        return Some((name.to_owned(), News::Died(why.to_owned())));
    }
    if let Some(success) = message.strip_prefix("success: ") {
        return Some((success.split_whitespace().next()?.to_owned(), News::Running));
    }
    let name = message.strip_prefix("gave up: ")?.split_whitespace().next()?;
    Some((name.to_owned(), News::Died("it could not be started".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aiclipx_base::duration::Speed;

    #[test]
    fn words_come_back_from_supervisord_as_they_went_in() {
        // What supervisord does, step by step, with Python where it matters: configparser cuts, `%` expands, shlex splits.
        let words = ["plain", "/a b/c", "50%", "say \"x\"", "back\\slash", "a #b", "c ;d", "$__file{/x y}", "it's", ""];
        let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
        let line = quoted.join(" ");
        let cut = [" ;", " #"].iter().any(|comment| line.contains(comment));
        assert!(!cut, "{line}");
        let expanded = line.replace("%%", "%");
        assert_eq!(split(&expanded), words);
    }

    /// The shell's quoting undone, for double quotes, as Python's shlex does.
    fn split(line: &str) -> Vec<String> {
        let (mut words, mut word, mut inside) = (Vec::new(), None::<String>, false);
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => {
                    inside = !inside;
                    word.get_or_insert_default();
                }
                '\\' if inside => word.get_or_insert_default().extend(chars.next()),
                ' ' if !inside => words.extend(word.take()),
                _ => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    #[test]
    fn a_private_stack_restarts_nothing_and_an_attached_one_does() {
        let mut plan = Plan::attached(Path::new("/t"), Path::new("/s p/100%"), Speed::PRODUCTION).unwrap();
        let render = |plan: &Plan| {
            let processes = plan.processes();
            let environment = vec![("APP_LISTEN", "127.0.0.1:8080".to_owned())];
            let command = command(&[], environment, Path::new("/opt/the app"), vec!["--100%".to_owned()]);
            let program = Program { name: processes[0].name.clone(), command };
            configuration(plan, &[program], Path::new("/tmp/aiclipx-x/supervisor.sock"))
        };
        let attached = render(&plan);
        assert!(attached.contains("autorestart=true\n") && attached.contains("startretries=3\n"), "{attached}");
        plan.lifetime = Lifetime::Private;
        let private = render(&plan);
        assert!(private.contains("autorestart=false\n") && private.contains("startretries=0\n"), "{private}");
        let command = "command=\"env\" \"APP_LISTEN=127.0.0.1:8080\" \"/opt/the app\" \"--100%%\"\n";
        assert!(private.contains(command), "{private}");
        assert!(private.contains("stdout_logfile=logs/app.log\n"), "{private}");
        assert!(!private.contains("/s p"), "the state directory's path must not appear literally: {private}");
    }

    #[test]
    fn states_read_as_supervisorctl_prints_them() {
        assert_eq!(
            program_state("app                              RUNNING   pid 4711, uptime 1 day, 0:01:07"),
            Some(ProgramState {
                name: "app".to_owned(),
                state: "RUNNING".to_owned(),
                pid: Some(4711),
                uptime: Some("1 day, 0:01:07".to_owned()),
            })
        );
        let stopped = program_state("app                              STOPPED   Nov 24 03:00 AM").unwrap();
        assert_eq!((stopped.state.as_str(), stopped.pid), ("STOPPED", None));
    }

    #[test]
    fn news_read_as_supervisord_logs_them() {
        let told = |message: &str| news(&format!("2026-11-24 03:00:00,123 {message}"));
        let died = |why: &str| Some(("app".to_owned(), News::Died(why.to_owned())));
        assert_eq!(told("INFO exited: app (exit status 2; not expected)"), died("exit status 2"));
        assert_eq!(told("WARN exited: app (terminated by SIGKILL; not expected)"), died("terminated by SIGKILL"));
        assert_eq!(
            told("INFO gave up: app entered FATAL state, too many start retries too quickly"),
            died("it could not be started")
        );
        assert_eq!(
            told("INFO success: app entered RUNNING state, process has stayed up for > than 1 seconds (startsecs)"),
            Some(("app".to_owned(), News::Running))
        );
        assert_eq!(told("INFO spawned: 'app' with pid 12"), None);
        assert_eq!(told("INFO stopped: app (exit status 0)"), None);
    }

    #[test]
    fn a_byte_that_is_no_text_does_not_hide_what_comes_behind_it() {
        let state = tempfile::tempdir().unwrap();
        let plan = Plan::attached(Path::new("/t"), state.path(), Speed::PRODUCTION).unwrap();
        std::fs::create_dir(plan.logs()).unwrap();
        let mut journal = SupervisorLogTail::from_now(&plan);
        let log = b"2026-11-24 03:00:00,123 WARN what \xff is\n2026-11-24 03:00:00,124 INFO exited: app (exit status 2)\nhalf";
        std::fs::write(plan.log("supervisord"), log).unwrap();
        assert_eq!(journal.news(), [("app".to_owned(), News::Died("exit status 2".to_owned()))]);
        assert_eq!(journal.news(), []);
    }

    #[tokio::test]
    async fn the_sockets_path_is_short() {
        let folder = socket_folder().unwrap();
        assert!(folder.path().join(SOCKET).as_os_str().len() < 107);
    }
}

//! supervisord's configuration, from the component table.
//!
//! supervisord runs in the state directory and is told relative paths wherever it takes them literally, so that no character of
//! the state directory's own path can be misread.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::component::Component;
use crate::layout::{self, SUPERVISORD_PID};
use crate::mark::RENDERED_LINE;
use crate::plan::{Lifetime, Plan, Process};
use aiclipx_model::failure::{Failure, no_temporary_folder};
use aiclipx_model::replica;

/// A path of a unix socket takes 107 bytes; a temporary folder this long leaves room for ours and the socket's name.
const MAX_TEMPORARY_BYTES: usize = 60;

/// One program of supervisord's.
pub(crate) struct Program {
    /// The process's, or that of its front.
    pub(crate) name: String,
    /// The program and its arguments, with whatever is put before them.
    pub(crate) command: Vec<String>,
}

/// The name of the front that stands before a process.
pub(crate) fn front_of(process: &Process) -> Option<String> {
    process.component.is_guarded().then(|| format!("{}{FRONT}", process.name))
}

const FRONT: &str = "-front";

/// A program, and how it is called.
pub(crate) struct ProgramWords<'a> {
    /// Where it runs; none for supervisord's own folder.
    pub(crate) folder: Option<&'a Path>,
    pub(crate) program: &'a Path,
    pub(crate) arguments: Vec<String>,
}

/// The words that start a program with settings of its own: through `env`, because supervisord's `environment=` can't
/// carry every value and `command=` can.
pub(crate) fn command(
    death_prefix: &[String],
    environment: Vec<(String, String)>,
    program: ProgramWords<'_>,
) -> Vec<String> {
    let ProgramWords { folder, program, arguments } = program;
    let mut words = death_prefix.to_vec();
    let program = program.to_string_lossy().into_owned();
    if !environment.is_empty() {
        words.push("env".to_owned());
        words.extend(environment.into_iter().map(|(name, value)| format!("{name}={value}")));
        // env would take such a path for one more setting.
        if program.contains('=') && folder.is_none() {
            words.extend(["sh", "-c", r#"exec "$0" "$@""#].map(str::to_owned));
        }
    }
    if let Some(folder) = folder {
        words.extend(["sh", "-c", r#"cd "$0" && exec "$@""#].map(str::to_owned));
        words.push(folder.to_string_lossy().into_owned());
    }
    words.push(program);
    words.extend(arguments);
    words
}

/// The text of supervisord.conf.
pub(crate) fn text(plan: &Plan, programs: &[Program], socket: &Path) -> String {
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
        let patience = if name == Component::Vector.name() {
            3
        } else if replica::is_of(name, Component::App.name()) {
            20 + plan.drain().as_secs()
        } else {
            20
        };
        // Told to end, it waits until its clients have left; this ends their sessions.
        let signal = if name == Component::Database.name() { "INT" } else { "TERM" };
        // What somebody's own program has started is stopped with it.
        let group = name.starts_with(Component::App.name()) && !plan.service.is_ours();
        let command: Vec<String> = program.command.iter().map(|word| quote(word)).collect();
        let _ = write!(
            text,
            "\n[program:{name}]\ncommand={}\n\
             autorestart={restart}\nstartsecs={settles}\nstartretries={retries}\n\
             stopsignal={signal}\nstopwaitsecs={patience}\nstopasgroup={group}\nkillasgroup={group}\n\
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
pub(crate) fn socket_folder() -> Result<tempfile::TempDir, Failure> {
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
pub(crate) const SOCKET_FOLDER_PREFIX: &str = "aiclipx-";
/// The socket's name in its folder.
pub(crate) const SOCKET: &str = "supervisor.sock";

/// Where the configuration lies.
pub(crate) fn file(plan: &Plan) -> PathBuf {
    plan.state.join(layout::SUPERVISORD_CONF)
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
            let environment = vec![("APP_LISTEN".to_owned(), "127.0.0.1:8080".to_owned())];
            let arguments = vec!["--100%".to_owned()];
            let program = ProgramWords { folder: None, program: Path::new("/opt/the app"), arguments };
            let command = command(&[], environment, program);
            let program = Program { name: processes[0].name.clone(), command };
            text(plan, &[program], Path::new("/tmp/aiclipx-x/supervisor.sock"))
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
    fn the_sockets_path_is_short() {
        let folder = socket_folder().unwrap();
        assert!(folder.path().join(SOCKET).as_os_str().len() < 107);
    }
}

//! The shell scripts beside stand-ins for what they call: what they do with an exit code, what they show, what they tell a
//! person to type. Nothing is installed and no stack is started.

#![expect(clippy::unwrap_used, reason = "a test file throughout: what can't be written fails the test")]

#[path = "../../stack/tests/executable/mod.rs"]
mod executable;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A folder whose path holds what usually breaks, with programs that stand where others should.
struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Stage {
        Stage { folder: tempfile::Builder::new().prefix("a \"b\" 'c' $d ").tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, script: &str) -> PathBuf {
        let file = self.path("bin").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        executable::script(&file, script);
        file
    }

    /// Every program of this machine, but for those of these names and those that stand here already.
    fn all_but(&self, hidden: &[&str]) {
        std::fs::create_dir_all(self.path("bin")).unwrap();
        for folder in std::env::split_paths(&std::env::var_os("PATH").unwrap()) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if !hidden.contains(&name.as_str()) {
                    // Of two of one name the first on PATH counts.
                    let _ = symlink(entry.path(), self.path("bin").join(name));
                }
            }
        }
    }
}

fn repository(file: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(file)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// As from a terminal: whoever runs these tests in the background ignores Ctrl-C, and so would all that they start.
fn demo(tool: &Path) -> Command {
    let mut demo = if cfg!(target_os = "linux") {
        let mut env = Command::new("env");
        env.args(["--default-signal=INT,HUP,TERM", "bash"]);
        env
    } else {
        Command::new("bash")
    };
    demo.arg(repository("scripts/demo.sh")).arg(tool);
    demo
}

/// With a tool that only writes down what it was told, and whose traffic never ends by itself.
#[test]
fn the_demo_passes_on_every_signal_and_takes_down_what_it_started() {
    for signal in [Signal::Term, Signal::Int, Signal::Hup] {
        let stage = Stage::new();
        let tool = stage.program(
            "tool",
            r#"trap 'kill $!; echo "$1 was interrupted" >>"$0.told"; exit 130' TERM INT HUP
            echo "$1" >>"$0.told"
            [ "$1" != traffic ] || { sleep 600 & wait; }"#,
        );
        let mut demo = demo(&tool).stdout(Stdio::null()).spawn().unwrap();
        let said = || std::fs::read_to_string(tool.with_extension("told")).unwrap_or_default();
        let deadline = Instant::now() + Duration::from_mins(1);
        while !said().contains("traffic") {
            assert!(Instant::now() < deadline, "traffic never ran");
            std::thread::sleep(Duration::from_millis(50));
        }
        kill_process(Pid::from_child(&demo), signal).unwrap();
        let code = loop {
            if let Some(status) = demo.try_wait().unwrap() {
                break status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(50));
        };
        assert_eq!(code, Some(130), "{signal:?}");
        assert_eq!(said(), "up\ntraffic\ntraffic was interrupted\ndown\n", "{signal:?}");
    }
}

#[test]
fn the_demo_reports_traffic_that_says_nothing_and_ends_with_what_weighs_most() {
    // What `traffic` and `evidence` end with, the demo's own code, and whether there is a report.
    for (traffic, evidence, code, reported) in [
        (0, 0, 0, true),
        (0, 1, 1, true),
        (3, 3, 3, true),
        (3, 0, 3, true),
        (3, 1, 1, true),
        // Nothing ran to its end: the reason is the traffic's.
        (3, 2, 3, false),
        (2, 0, 2, false),
    ] {
        let stage = Stage::new();
        let bundle = stage.path("bundle");
        std::fs::create_dir(&bundle).unwrap();
        std::fs::write(bundle.join("report.html"), "").unwrap();
        let tool = stage.program(
            "tool",
            &format!(
                r#"echo "$1" >>"$0.told"
                case $1 in
                  traffic) exit {traffic} ;;
                  evidence) [ {evidence} = 2 ] || echo "${{0%/*}}/../bundle"; exit {evidence} ;;
                esac"#
            ),
        );
        let Output { status, stdout, stderr } = demo(&tool).output().unwrap();
        let (stdout, stderr) = (text(&stdout), text(&stderr));
        let case = format!("traffic {traffic}, evidence {evidence}: {stdout}{stderr}");
        assert_eq!(status.code(), Some(code), "{case}");
        assert_eq!(stdout.lines().last().is_some_and(|line| line.ends_with("/report.html")), reported, "{case}");
        let told = std::fs::read_to_string(tool.with_extension("told")).unwrap();
        let steps = if traffic == 2 { "up\ntraffic\ndown\n" } else { "up\ntraffic\nevidence\ndown\n" };
        assert_eq!(told, steps, "{case}");
        assert!(stderr.contains("step 3 of 5: traffic\n"), "{case}");
    }
}

/// What rustc says, which must come as it is.
const DIAGNOSTICS: &str = "warning: unused import\n --> src/lib.rs:1:1\n  |\n1 | use a; // Compiling b\n  | ^^^^^^\n\n\
                           error: could not compile `a` (lib)\n";

#[test]
fn a_build_shows_few_lines_for_hundreds_of_crates_and_whole_what_the_compiler_says() {
    let stage = Stage::new();
    std::fs::write(stage.path("diagnostics"), DIAGNOSTICS).unwrap();
    stage.program(
        "cargo",
        r#"echo "$*" >"$0.told"
        { echo " Downloading crates ..."
          for n in 1 2 3 4 5 6 7 8 9; do for m in 1 2 3 4 5 6 7 8 9; do echo "  Downloaded c$n$m v1.0.0"; done; done
          for n in 1 2 3 4 5 6 7 8 9; do for m in 1 2 3 4 5 6 7 8 9; do echo "   Compiling c$n$m v1.0.0"; done; done
          cat "${0%/*}/../diagnostics"; } >&2
        exit 101"#,
    );
    stage.all_but(&[]);
    let build =
        Command::new("bash").arg(repository("scripts/build.sh")).env("PATH", stage.path("bin")).output().unwrap();
    let said = text(&build.stderr);
    assert_eq!(build.status.code(), Some(101), "{said}");
    assert_eq!(std::fs::read_to_string(stage.path("bin/cargo.told")).unwrap(), "build --locked\n");
    let lines = |of: &str| said.lines().filter(|line| line.starts_with("  cargo: ") && line.contains(of)).count();
    assert!((1..9).contains(&lines("Download")) && lines("Compiling") < 9, "{said}");
    assert!(said.ends_with(DIAGNOSTICS), "{said}");
}

/// `./dev true` of a copy, as a user who is not root, on a machine that has all but a browser. `index` is what apt's holds;
/// `needed` are rows more in the table of tools.
fn dev(stage: &Stage, index: &str, needed: &str) -> (Option<i32>, String) {
    for (name, version) in [
        ("just", "just 1.51.0"),
        ("git", "git version 2.50.1"),
        ("cargo", "cargo 1.95.0"),
        ("rustc", "rustc 1.95.0"),
        ("cc", "cc 14.2.0"),
        ("setpriv", "setpriv from util-linux 2.41"),
        ("supervisord", "4.3.0"),
        ("prometheus", "prometheus, version 3.5.3"),
        ("alertmanager", "alertmanager, version 0.33.1"),
    ] {
        stage.program(name, &format!("echo '{version}'"));
    }
    stage.program("id", "echo 1000");
    stage.program("apt-get", "exit 1");
    stage.program(
        "apt-cache",
        &format!(
            r#"[ $# != 1 ] || {{ echo " 500 http://archive.example main amd64 Packages"; exit; }}
            case " {index} " in *" $3 "*) printf '%s:\n  Installed: (none)\n  Candidate: 1.0-1\n' "$3" ;; esac"#
        ),
    );
    stage.all_but(&["chromium", "chromium-browser", "google-chrome", "sudo", "su", "snap", "nix"]);
    let copy = stage.path("copy");
    std::fs::create_dir_all(copy.join("scripts")).unwrap();
    for file in ["dev", "scripts/tools.sh", "scripts/progress.sh"] {
        std::fs::copy(repository(file), copy.join(file)).unwrap();
    }
    let table = std::fs::read_to_string(repository("scripts/tools.tsv")).unwrap();
    std::fs::write(copy.join("scripts/tools.tsv"), table + needed).unwrap();
    let dev = Command::new("bash")
        .arg(copy.join("dev"))
        .arg("true")
        .envs([("PATH", stage.path("bin").as_os_str()), ("AICLIPX_TOOLS", "debian".as_ref())])
        .output()
        .unwrap();
    (dev.status.code(), text(&dev.stderr))
}

#[test]
fn cleaning_is_the_tools_which_is_not_built_for_a_state_that_was_never_there_and_need_not_be_new() {
    for (there, builds, told, code) in [(false, false, "", 0), (true, true, "clean\n", 2), (true, false, "clean\n", 2)]
    {
        let stage = Stage::new();
        let tool = stage.program("tool", r#"echo "$*" >>"$0.told"; exit 2"#);
        stage.program("cargo", &format!(r#"echo built >>"$0.told"; {builds}"#));
        let kept = stage.path("state");
        if there {
            std::fs::create_dir(&kept).unwrap();
        }
        let path = std::env::var_os("PATH").unwrap();
        let path = std::iter::once(stage.path("bin")).chain(std::env::split_paths(&path));
        let clean = Command::new("bash")
            .arg(repository("scripts/clean.sh"))
            .arg(&tool)
            .envs([("AICLIPX_STATE", kept.as_os_str()), ("PATH", &std::env::join_paths(path).unwrap())])
            .output()
            .unwrap();
        let said = |program: &str| std::fs::read_to_string(stage.path("bin").join(program)).unwrap_or_default();
        assert_eq!(clean.status.code(), Some(code), "{}", text(&clean.stderr));
        assert_eq!((said("tool.told").as_str(), said("cargo.told").is_empty()), (told, !there));
    }
}

/// What the documents call `aiclipx` is this clone's, and is built where it is not yet.
#[test]
fn the_tool_is_on_path_and_built_when_it_is_called() {
    let stage = Stage::new();
    let copy = stage.path("copy");
    std::fs::create_dir_all(copy.join("scripts/bin")).unwrap();
    for file in ["dev", "scripts/tools.sh", "scripts/progress.sh", "scripts/bin/aiclipx"] {
        std::fs::copy(repository(file), copy.join(file)).unwrap();
    }
    std::fs::write(copy.join("scripts/tools.tsv"), "command\tleast\tmarker\tdebian\tregistry\tnix\tdemo\n").unwrap();
    let built = r#"echo built >&2; mkdir -p target/debug
        printf '#!%s\necho "$AICLIPX_HOME: $*"\n' "$(command -v sh)" >target/debug/aiclipx; chmod +x target/debug/aiclipx"#;
    executable::script(&copy.join("scripts/build.sh"), built);
    let called = Command::new("bash")
        .arg(copy.join("dev"))
        .args(["aiclipx", "status", "two words"])
        .current_dir("/")
        .env("AICLIPX_TOOLS", "path")
        .env_remove("AICLIPX_HOME")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    let (stdout, stderr) = (text(&called.stdout), text(&called.stderr));
    assert_eq!(called.status.code(), Some(0), "{stderr}");
    assert_eq!(stdout, format!("{}: status two words\n", copy.canonicalize().unwrap().display()), "{stderr}");
    assert!(stderr.contains("built"), "{stderr}");
}

#[test]
fn who_is_not_root_is_told_one_command_to_type() {
    for (becomes, asks) in [("sudo", r#"[ "$1" != -n ] || exit 1"#), ("su", r#"eval "set -- $2""#)] {
        let stage = Stage::new();
        stage.program(becomes, &format!("{asks}\nprintf '%s\\n' \"$@\" >\"$0.told\""));
        // Another program of the browser's package: it is asked for once.
        let another = "chromedriver-of-ours\t-\tdriver\tchromium\t-\t-\tneeded\tneeded\tneeded\n";
        let (code, said) = dev(&stage, "chromium fonts-dejavu-core", another);
        assert_eq!(code, Some(2), "{said}");
        let typed: Vec<&str> = said.lines().filter(|line| line.starts_with("  ")).collect();
        let [line] = typed[..] else { panic!("more than one line to type: {said}") };
        assert!(line.trim_start().starts_with(&format!("{becomes} ")), "{said}");
        // As the shell takes it.
        let typed = Command::new("bash").args(["-c", line]).env("PATH", stage.path("bin")).status().unwrap();
        assert!(typed.success(), "{line}");
        let told = std::fs::read_to_string(stage.path("bin").join(format!("{becomes}.told"))).unwrap();
        let script = stage.path("copy/scripts").canonicalize().unwrap().join("install-debian.sh");
        assert_eq!(told, format!("{}\nchromium\nfonts-dejavu-core\n", script.display()), "{said}");
    }
}

/// Ubuntu has Chromium as a snap alone, and a program of its name that says so.
#[test]
fn what_the_distribution_does_not_have_is_named_with_what_brings_it_there_and_a_demo_goes_on_without_a_browser() {
    for (has_snap, remedies) in [(true, 2), (false, 1)] {
        let stage = Stage::new();
        stage.program(
            "chromium-browser",
            r#"printf 'Command %s requires the chromium snap to be installed.\nPlease install it with:\n\nsnap install chromium\n' "$0"
            exit 1"#,
        );
        stage.program("sudo", "exit 1");
        if has_snap {
            stage.program("snap", "");
        }
        let (code, said) = dev(&stage, "fonts-dejavu-core", "");
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("what needs it is left out") && !said.contains("installing"), "{said}");
        assert!(said.contains("chromium 112 or later") && said.contains("only calls its snap"), "{said}");
        assert_eq!(said.contains("sudo snap install chromium"), has_snap, "{said}");
        assert!(said.contains("Google Chrome's package") && !said.contains("install-debian.sh"), "{said}");
        // Where there is Nix, that brings it, too.
        let remedies = remedies + usize::from(said.contains("nix shell"));
        assert_eq!(said.matches("  or: ").count() + 1, remedies, "{said}");
        let needed = "of-nobody\t-\tours\t-\tsnap:of-nobody\t-\tneeded\tneeded\tneeded\n";
        let (code, said) = dev(&stage, "fonts-dejavu-core", needed);
        assert!(code == Some(2) && said.contains("of-nobody") && !said.contains("left out"), "{said}");
    }
}

#[test]
fn a_fresh_machine_of_an_unknown_suite_is_refused_with_those_there_are() {
    let fresh = Command::new("bash").arg(repository("scripts/fresh.sh")).args(["trixie", "hoary"]).output().unwrap();
    let said = text(&fresh.stderr);
    assert_eq!(fresh.status.code(), Some(2), "{said}");
    assert!(said.contains("'hoary'") && said.contains("trixie, bookworm, sid, resolute and noble"), "{said}");
}

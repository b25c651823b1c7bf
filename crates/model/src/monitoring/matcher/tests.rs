//! What is read, and whom it matches, is what amtool says.

use std::fmt::Write;
use std::process::{Command, Output};

use super::*;

/// Each is one item of `matchers`.
const READ: [&str; 44] = [
    r#"severity="critical""#,
    "severity=critical",
    "severity = critical",
    "\t severity\n=\n critical ",
    "severity='critical'",
    r#"severity=~"warning|info""#,
    "severity=~warning|info",
    "severity=~(warning|info)",
    "severity!=critical",
    r#"severity!~"warn.*""#,
    "severity!~warn",
    "severity=~warn",
    "severity=~.*",
    "severity=~.+",
    "severity=~.",
    "severity=",
    "severity!=",
    r#"severity="""#,
    "severity=~",
    "severity!~",
    "severity==b",
    "severity=b c",
    r#"severity="b c""#,
    "severity=b,job=app",
    r#"severity="b,c",job="app""#,
    "severity=b , job=app ,",
    r#"{severity="critical"}"#,
    "{severity=critical",
    "severity=critical}",
    "{severity=critical,job=app}",
    "{}",
    "",
    " ",
    r#"job=~"x\.y""#,
    r"job=~x\.y",
    r#"job="x\\y""#,
    r"job=x\y",
    r"job=x\",
    r#"job="a\"b""#,
    r#"job=a\"b"#,
    r"job=a\nb",
    "a:b=c",
    "_x=~5..",
    r#"job=~"a{2}|{b}""#,
];

/// By the grammar that 0.27 brought, and by no release before.
const NEWER: [&str; 5] =
    ["5x=critical", r#""severity"="critical""#, "größe=x", r#"{"größe"=~"x|y",severity=b}"#, "job-name=a"];

const REFUSED: [&str; 14] = [
    "severity",
    "=critical",
    "se verity=critical",
    "severity>critical",
    "severity!critical",
    r#"severity="critical"#,
    r#"severity=critical""#,
    r#"severity=cri"tical"#,
    r#"severity="cri"tical""#,
    r#"severity="critical\"#,
    r#"severity="a"b"#,
    "severity=~(",
    "severity=~[z-a]",
    "a=b,,c=d",
];

/// As a person tells them to amtool.
const LABELS: [&[(&str, &str)]; 18] = [
    &[],
    &[("severity", "critical")],
    &[("severity", "'critical'")],
    &[("severity", "warning")],
    &[("severity", "warn")],
    &[("severity", "info")],
    &[("severity", "b")],
    &[("severity", "=b")],
    &[("severity", "b c")],
    &[("severity", "b,c"), ("job", "app")],
    &[("severity", "critical"), ("job", "app")],
    &[("severity", "b"), ("job", "app")],
    &[("job", "x.y")],
    &[("job", "x\\y")],
    &[("job", "x\\")],
    &[("job", "a\"b")],
    &[("job", "a\nb"), ("a:b", "c")],
    &[("_x", "503"), ("job", "aa")],
];

fn amtool(arguments: &[&str]) -> Output {
    Command::new("amtool").args(arguments).output().unwrap_or_else(|error| {
        panic!("cannot run amtool ({error}); it comes with Debian's prometheus-alertmanager, or `nix develop`")
    })
}

/// One route a matcher, each with a receiver of its own, and all are asked.
fn configuration(matchers: &[&str]) -> String {
    let mut routes = String::new();
    let mut receivers = String::new();
    for (number, matcher) in matchers.iter().enumerate() {
        // JSON's quoting is YAML's too.
        let matcher = serde_json::to_string(matcher).expect("a text");
        writeln!(routes, "  - {{receiver: r{number}, continue: true, matchers: [{matcher}]}}").expect("memory");
        writeln!(receivers, "- name: r{number}").expect("memory");
    }
    format!("route:\n  receiver: nobody\n  routes:\n{routes}receivers:\n- name: nobody\n{receivers}")
}

#[test]
fn matchers_match_whom_amtool_says_they_match() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("alertmanager.yml");
    std::fs::write(&file, configuration(&READ)).expect("a file is written");
    let file = format!("--config.file={}", file.display());
    let read: Vec<Vec<Matcher>> =
        READ.iter().map(|text| parse(text).unwrap_or_else(|error| panic!("{error}"))).collect();
    for labels in LABELS {
        let quoted = |value: &str| value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        let told: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", quoted(value))).collect();
        let mut arguments = vec!["config", "routes", "test", &file];
        arguments.extend(told.iter().map(String::as_str));
        let output = amtool(&arguments);
        assert!(output.status.success(), "{labels:?}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // From 0.27 on, lines on what its two grammars read differently come before it.
        let reached: Vec<&str> = text.trim().lines().next_back().unwrap_or_default().split(',').collect();
        let of = |name: &str| labels.iter().find(|(label, _)| *label == name).map_or("", |(_, value)| *value);
        for (number, matchers) in read.iter().enumerate() {
            let ours = matchers.iter().all(|matcher| matcher.is_match(of(&matcher.name)));
            let theirs = reached.contains(&format!("r{number}").as_str());
            assert_eq!(ours, theirs, "`{}` of {labels:?}: {text}", READ[number]);
        }
    }
}

#[test]
fn what_amtool_refuses_is_refused() {
    // From 0.27 on it reads a second grammar where this one fails.
    let version = String::from_utf8_lossy(&amtool(&["--version"]).stdout).into_owned();
    let is_classic = ["version 0.25", "version 0.26"].iter().any(|classic| version.contains(classic));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("alertmanager.yml");
    for text in REFUSED {
        assert!(parse(text).is_err(), "{text}");
        if is_classic {
            std::fs::write(&file, configuration(&[text])).expect("a file is written");
            let output = amtool(&["check-config", file.to_str().expect("UTF-8")]);
            assert!(!output.status.success(), "amtool reads `{text}`");
        }
    }
    for text in NEWER {
        assert!(is_newer(text) && parse(text).is_ok(), "{text}");
        std::fs::write(&file, configuration(&[text])).expect("a file is written");
        let output = amtool(&["check-config", file.to_str().expect("UTF-8")]);
        assert_eq!(output.status.success(), !is_classic, "{text}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(!is_newer("severity=critical") && !is_newer("a=b,,c=d"));
}

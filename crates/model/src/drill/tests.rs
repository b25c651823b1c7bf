//! promtool's unit tests of rules: a test file as types.
//!
//! What promtool asks of expressions (`promql_expr_test`) is not of a drill, and left to it.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::reading::{Reading, Texts, scalar, text_of};
use super::series::InputSeries;
use crate::failure::Finding;
use crate::monitoring::located::Node;

/// A test file.
#[derive(Debug, Clone)]
pub struct TestFile {
    /// Where it lies, relative to what is drilled.
    pub path: PathBuf,
    /// Patterns of rule files, as it names them.
    pub rule_files: Vec<String>,
    pub evaluation_interval: Duration,
    /// Names of groups, in the order in which they are evaluated.
    pub group_order: Vec<String>,
    pub tests: Vec<TestGroup>,
}

/// One test of a file: series, and what alerts must come of them.
#[derive(Debug, Clone)]
pub struct TestGroup {
    pub name: String,
    pub line: usize,
    /// From one sample to the next.
    pub interval: Duration,
    /// An error is why the series can't be sent.
    pub series: Vec<Result<InputSeries, String>>,
    pub alerts: Vec<AlertTest>,
    pub external_labels: Texts,
    pub external_url: String,
}

/// What must be of an alert at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertTest {
    pub line: usize,
    pub alert: String,
    pub at: Duration,
    /// Those that fire; none of them where none may.
    pub expected: Vec<Expected>,
}

/// An alert as it must fire: its name is among the labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expected {
    pub labels: Texts,
    pub annotations: Texts,
}

/// What promtool takes where nothing is said.
const INTERVAL: Duration = Duration::from_mins(1);

/// Whether a document is a test file. Others have `tests`, too (Vector's): promtool's name rules, or ask something of series.
pub fn is_test_file(document: &Node) -> bool {
    let asks =
        |test: &Node| ["input_series", "alert_rule_test", "promql_expr_test"].iter().any(|key| test.get(key).is_some());
    let is_promtools = document.get("rule_files").is_some() || document.items_of("tests").iter().any(asks);
    document.get("tests").is_some() && document.get("groups").is_none() && is_promtools
}

impl TestFile {
    /// Reads one.
    pub fn read(path: &Path, bytes: &[u8]) -> Result<TestFile, Vec<Finding>> {
        let (mut reading, document) = Reading::of_texts(path, bytes);
        let read = document.map(|document| {
            let named = |key| document.items_of(key).iter().filter_map(scalar).collect();
            let evaluation_interval =
                reading.duration(&document, "evaluation_interval").filter(|one| !one.is_zero()).unwrap_or(INTERVAL);
            let tests = document.items_of("tests").iter().enumerate();
            TestFile {
                path: path.to_owned(),
                rule_files: named("rule_files"),
                evaluation_interval,
                group_order: named("group_eval_order"),
                tests: tests.map(|(index, node)| group(&mut reading, index, node, evaluation_interval)).collect(),
            }
        });
        reading.done(read)
    }

    /// The rule files that it names, relative to what is drilled, of those that there are.
    pub fn rule_files<'a>(&self, all: &[&'a Path]) -> Vec<&'a Path> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let mut named: Vec<&Path> = Vec::new();
        for pattern in &self.rule_files {
            let pattern = plain(&folder.join(pattern));
            for path in all.iter().copied().filter(|path| matches(&pattern.to_string_lossy(), &path.to_string_lossy()))
            {
                if !named.contains(&path) {
                    named.push(path);
                }
            }
        }
        named
    }
}

/// A path without `.` and `..`, as far as it can be told without looking.
pub fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

/// Go's `filepath.Match`, without its classes of characters: `*` and `?` stop at a slash.
pub fn matches(pattern: &str, path: &str) -> bool {
    let (mut asked, mut told) = (pattern.split('/'), path.split('/'));
    loop {
        match (asked.next(), told.next()) {
            (None, None) => return true,
            (Some(asked), Some(told)) if is_called(asked, told) => {}
            _ => return false,
        }
    }
}

/// The same of one name. Only the last star is ever given more: what an earlier one could take instead, that one can, too.
fn is_called(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut asked, mut told) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while told < name.len() {
        match (pattern.get(asked), star) {
            (Some('*'), _) => {
                star = Some((asked, told));
                asked += 1;
            }
            (Some(one), _) if *one == '?' || *one == name[told] => {
                asked += 1;
                told += 1;
            }
            (_, Some((at, taken))) => {
                star = Some((at, taken + 1));
                (asked, told) = (at + 1, taken + 1);
            }
            _ => return false,
        }
    }
    pattern[asked..].iter().all(|rest| *rest == '*')
}

fn group(reading: &mut Reading, index: usize, node: &Node, evaluation_interval: Duration) -> TestGroup {
    let interval = reading.duration(node, "interval").filter(|one| !one.is_zero()).unwrap_or(evaluation_interval);
    let series = node.items_of("input_series").iter().map(|one| {
        let told = |key| text_of(one, key).unwrap_or_default();
        InputSeries::read(&told("series"), &told("values")).map_err(|why| format!("line {}: {why}", one.line))
    });
    let series = series.collect();
    let external_url = text_of(node, "external_url").unwrap_or_default();
    if let Err(why) = is_url(&external_url) {
        reading.find(node.line_of("external_url"), format!("external_url: `{external_url}` {why}"));
    }
    let alerts = node.items_of("alert_rule_test").iter().map(|one| alert_test(reading, one)).collect();
    TestGroup {
        name: text_of(node, "name").filter(|name| !name.is_empty()).unwrap_or_else(|| format!("test {}", index + 1)),
        line: node.line,
        interval,
        series,
        alerts,
        external_labels: reading.texts(node, "external_labels"),
        external_url,
    }
}

/// Whether Prometheus takes a text as its own address, which is Go's `url.Parse`; else why not. With another it would not start.
fn is_url(text: &str) -> Result<(), String> {
    let no = |why: &str| Err(why.to_owned());
    if text.starts_with(['"', '\'']) || text.ends_with(['"', '\'']) {
        return no("begins or ends with a quote");
    }
    if text.chars().any(|c| c.is_ascii_control()) {
        return no("holds a control character");
    }
    let before_query = text.split(['?', '#']).next().unwrap_or_default();
    let escapes = before_query.split('%').skip(1);
    if !escapes.clone().all(|rest| rest.len() > 1 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())) {
        return no("holds a % that is no escape");
    }
    let is_of_a_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let rest = match before_query.split_once(':') {
        Some((scheme, rest)) if is_of_a_scheme(scheme) => rest,
        Some((scheme, _)) if !scheme.contains('/') => return no("has no scheme before its colon"),
        _ => before_query,
    };
    let Some(authority) = rest.strip_prefix("//") else { return Ok(()) };
    let authority = authority.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port = match host.strip_prefix('[') {
        Some(inner) => match inner.split_once(']') {
            Some((_, behind)) if behind.is_empty() || behind.starts_with(':') => behind.get(1..).unwrap_or_default(),
            Some(_) => return no("has something between its host and its port"),
            None => return no("has no ] behind its host"),
        },
        None => host.rsplit_once(':').map_or("", |(_, port)| port),
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return no("has a port that is no number");
    }
    if host.contains([' ', '\\', '^', '`', '{', '|', '}']) {
        return no("has a character in its host that no host has");
    }
    Ok(())
}

fn alert_test(reading: &mut Reading, node: &Node) -> AlertTest {
    let alert = text_of(node, "alertname").unwrap_or_default();
    if alert.is_empty() {
        reading.find(node.line, "a test of no alert: `alertname` is missing");
    }
    let expected = node.items_of("exp_alerts").iter().map(|one| {
        let mut labels = reading.texts(one, "exp_labels");
        labels.insert("alertname".to_owned(), alert.clone());
        // A label without a value is none.
        labels.retain(|_, value| !value.is_empty());
        Expected { labels, annotations: reading.texts(one, "exp_annotations") }
    });
    let mut expected: Vec<Expected> = expected.collect();
    expected.sort();
    AlertTest { line: node.line, at: reading.duration(node, "eval_time").unwrap_or_default(), expected, alert }
}

#[cfg(test)]
mod of_itself {
    use super::*;

    const FILE: &str = "\
rule_files: [../rules/*.yml, a.yml]
evaluation_interval: 30s
group_eval_order: [b, a]
tests:
  - input_series:
      - {series: 'up{job=\"a\"}', values: 1 0x9}
      - {series: h, values: '{{schema:1}}'}
    alert_rule_test:
      - {eval_time: 5m, alertname: Down, exp_alerts: [{exp_labels: {n: 1, none: ''}, exp_annotations: {summary: it}}]}
      - {alertname: Down}
  - {name: named, interval: 10s}
";

    #[test]
    fn a_test_file_is_read_with_what_promtool_takes_where_nothing_is_said() {
        let file = TestFile::read(Path::new("t/x_test.yml"), FILE.as_bytes()).unwrap();
        let [first, second] = &file.tests[..] else { panic!("{file:?}") };
        assert_eq!((first.name.as_str(), first.interval, first.line), ("test 1", Duration::from_secs(30), 5));
        assert_eq!((second.name.as_str(), second.interval), ("named", Duration::from_secs(10)));
        assert!(first.series[0].is_ok() && first.series[1].as_ref().unwrap_err().starts_with("line 7: native"));
        let labels: Vec<_> = first.alerts[0].expected[0].labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(labels, ["alertname=Down", "n=1"]);
        assert!(first.alerts[1].expected.is_empty() && first.alerts[1].at.is_zero());
        assert_eq!(file.group_order, ["b", "a"]);
    }

    #[test]
    fn what_a_test_expects_is_the_text_that_was_written() {
        let text = "tests: [{alert_rule_test: [{alertname: Off, exp_alerts: [{exp_labels: {v: 1.10, r: no}, exp_annotations: {a: 1e3}}]}]}]";
        let file = TestFile::read(Path::new("t.yml"), text.as_bytes()).unwrap();
        let expected = &file.tests[0].alerts[0].expected[0];
        let of = |name: &str| expected.labels[name].as_str();
        assert_eq!((of("alertname"), of("v"), of("r")), ("Off", "1.10", "no"));
        assert_eq!(expected.annotations["a"], "1e3");
    }

    #[test]
    fn a_test_file_is_told_from_others_that_have_tests() {
        let is_one = |text: &str| is_test_file(&crate::monitoring::located::read(text.as_bytes()).unwrap());
        assert!(is_one(FILE) && is_one("tests: [{alert_rule_test: []}]") && is_one("{rule_files: [], tests: []}"));
        assert!(!is_one("tests: [{name: of Vector, inputs: []}]") && !is_one("groups: []"));
    }

    #[test]
    fn rule_files_are_found_beside_the_test() {
        let file = TestFile::read(Path::new("t/x_test.yml"), FILE.as_bytes()).unwrap();
        let all = ["rules/b.yml", "rules/deep/c.yml", "t/a.yml", "a.yml", "rules/d.yaml"].map(PathBuf::from);
        let all: Vec<&Path> = all.iter().map(PathBuf::as_path).collect();
        assert_eq!(file.rule_files(&all), [Path::new("rules/b.yml"), Path::new("t/a.yml")]);
    }

    #[test]
    fn a_pattern_stops_at_slashes_and_takes_no_longer_for_many_stars() {
        for (pattern, path) in [
            ("*.yml", "a.yml"),
            ("*/*.yml", "r/a.yml"),
            ("a*b*c", "aXbYbZc"),
            ("a?c", "aßc"),
            ("*", ""),
            ("**", "a"),
            ("*ab", "aab"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in
            [("*.yml", "r/a.yml"), ("a?c", "ac"), ("?", "/"), ("*/b", "b"), ("a", "a/"), ("a*", "b"), ("", "a")]
        {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
        // Trying every length for every star would take longer than anybody lives.
        assert!(!matches(&format!("{}b", "*a".repeat(100)), &"a".repeat(250)));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let text = "tests:\n  - alert_rule_test:\n      - {eval_time: five}\n";
        let findings = TestFile::read(Path::new("t.yml"), text.as_bytes()).unwrap_err();
        assert_eq!(findings.iter().map(|one| one.line).collect::<Vec<_>>(), [3, 3]);
        assert!(TestFile::read(Path::new("t.yml"), b"a: [").is_err());
    }

    #[test]
    fn an_address_with_which_no_prometheus_starts_is_told_with_its_line() {
        for address in [
            "",
            "http://prometheus:9090/a/b?x=%#y",
            "https://u:p@[::1]:9090/",
            "http://[fe80::1%25en0]/",
            "/behind/a/proxy",
            "prometheus",
            "localhost:9090",
            "http://h:",
            "http://h/a b",
        ] {
            assert_eq!(is_url(address), Ok(()), "{address}");
        }
        for address in [
            "http://[bad",
            "http://[::1]9",
            "http://h:port",
            "http://h h/",
            "http://h/%zz",
            "1h:9",
            ":9090",
            "'http://h'",
            "http://h\u{7f}",
        ] {
            assert!(is_url(address).is_err(), "{address}");
        }
        let text = "tests:\n  - interval: 1m\n    external_url: 'http://[bad'\n";
        let found = TestFile::read(Path::new("t.yml"), text.as_bytes()).unwrap_err();
        assert!(found[0].line == 3 && found[0].what.contains("http://[bad"), "{found:?}");
    }
}

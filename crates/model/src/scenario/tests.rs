//! What a scenario file may say, what it may not, and where each mistake is pointed at.

use std::time::Duration;

use super::*;
use crate::failure::Kind;

const GOOD: &str = r#"title = "All there is"
requests = [{ path = "/" }]

[[phase]]
name = "calm"
duration = "3m"
rate = 2.5

[[phase]]
name = "storm"
duration = "1m30s"
rate = 1_000
arrival = "poisson"
requests = [
  { weight = 3, path = "/items?limit=5" },
  { weight = 1, method = "POST", path = "/items", body = '{"name":"n{seq}"}' },
  { path = "/items/{seq}", endpoint = "/items/{id}" },
]
faults = [
  { fault = "error", count = 3, per = 10 },
  { fault = "delay=750ms,panic", count = 7, per = 10 },
]

[[phase]]
name = "bursts"
duration = "1m"
rate = 20
arrival = "bursts"
burst = 10

[[phase]]
name = "silence"
duration = "1m"
silent = true
provokes = true

[expect]
fires = ["AppHigh5xxErrorRate"]
may_fire = ["AppTrafficDrop"]
within = "7m"
panels = { "app-overview/1" = "request_rate" }
"#;

fn read(text: &str) -> Result<Scenario, Vec<Finding>> {
    Scenario::from_text(Path::new("02-error-rate.toml"), text)
}

/// The good file with one text replaced: what is found then, as `line: what`.
fn findings_with(old: &str, new: &str) -> Vec<String> {
    assert!(GOOD.contains(old), "the good file has no {old}");
    match read(&GOOD.replacen(old, new, 1)) {
        Ok(_) => Vec::new(),
        Err(findings) => findings.iter().map(|finding| format!("{}: {}", finding.line, finding.what)).collect(),
    }
}

#[test]
fn a_file_is_read_as_it_is_written() {
    let scenario = read(GOOD).unwrap();
    assert_eq!(scenario.id(), "02-error-rate");
    assert_eq!(scenario.text, GOOD);
    let [calm, storm, bursts, silence] = scenario.phases.as_slice() else { panic!("four phases") };
    assert_eq!(
        (calm.volume, calm.arrival, calm.duration),
        (Volume::Rate(2_500), Arrival::Uniform, Duration::from_mins(3))
    );
    assert_eq!(calm.requests.len(), 1, "the mix before the first phase");
    assert_eq!((storm.volume, storm.arrival), (Volume::Rate(1_000_000), Arrival::Poisson));
    assert_eq!(storm.requests[0].endpoint, "/items", "without its query");
    assert_eq!(storm.requests[2].endpoint, "/items/{id}");
    assert_eq!(storm.faults.iter().map(|quota| quota.count).sum::<u32>(), 10);
    assert_eq!(bursts.arrival, Arrival::Bursts(10));
    assert_eq!((silence.volume, silence.requests.len()), (Volume::Silent, 0));
    assert_eq!(scenario.phases.iter().map(Phase::is_faulty).collect::<Vec<_>>(), [false, true, false, true]);
    assert_eq!(scenario.expect.within, Some(Duration::from_mins(7)));
    assert_eq!(scenario.expect.panels["app-overview/1"], Measure::RequestRate);
}

#[test]
fn every_mistake_is_told_with_its_line_and_what_was_expected() {
    let mut missed = Vec::new();
    for (old, new, line, says) in [
        ("title = \"All there is\"", "", 1, "a scenario needs `title`"),
        ("title =", "titel =", 1, "a scenario has no key `titel`; it has expect, phase, replicas, requests, title"),
        ("name = \"calm\"", "name = \"Calm\"", 5, "lower-case"),
        ("name = \"calm\"", "", 4, "a phase needs `name`"),
        ("name = \"storm\"", "name = \"calm\"", 10, "already a phase `calm`"),
        ("duration = \"3m\"", "duration = \"-3m\"", 6, "not a duration"),
        ("duration = \"3m\"", "duration = \"0\"", 6, "longer than nothing"),
        ("duration = \"3m\"", "duration = 3", 6, "a duration in quotes"),
        ("rate = 2.5", "rate = 0", 7, "above 0"),
        ("rate = 2.5", "rate = 0.0", 7, "above 0"),
        ("rate = 2.5", "rate = -1", 7, "above 0"),
        ("rate = 2.5", "rate = 2.0005", 7, "at most three decimals"),
        ("rate = 2.5", "rate = 1e3", 7, "at most three decimals"),
        ("rate = 2.5", "rate = inf", 7, "a rate is a number"),
        ("rate = 2.5", "rate = 100001", 7, "up to 100000"),
        ("rate = 2.5", "rate = \"2\"", 7, "a rate is a number"),
        ("rate = 2.5", "", 4, "a phase has a `rate`"),
        ("rate = 2.5", "count = 0", 7, "at least one request"),
        ("rate = 2.5", "count = 2.5", 7, "a whole number"),
        ("rate = 2.5", "rate = 2.5\ncount = 9", 8, "a `rate` or a `count`"),
        ("rate = 1_000", "count = 9", 13, "poisson goes with a `rate`"),
        ("silent = true", "silent = true\ncount = 5", 35, "has no `count`"),
        ("silent = true", "silent = true\nstop = \"app\"", 35, "a list of texts"),
        ("silent = true", "silent = true\nstop = [\"The app\"]", 35, "is no component"),
        ("[\"AppTrafficDrop\"]", "[]\ninhibits = [\"AppHigh5xxErrorRate\"]", 40, "named twice"),
        ("rate = 2.5", "rate = 2.5\nspeed = 4", 8, "a phase has no key `speed`"),
        ("arrival = \"poisson\"", "arrival = \"random\"", 13, "there is uniform, poisson, bursts"),
        ("burst = 10", "", 28, "bursts need their size"),
        ("arrival = \"bursts\"\n", "", 28, "`burst` goes with"),
        ("burst = 10", "burst = 1", 29, "a burst is 2 to"),
        ("requests = [{ path = \"/\" }]", "", 4, "nothing says what this phase sends"),
        ("weight = 3", "weight = 0", 15, "at least 1"),
        ("weight = 3", "weight = 10000", 14, "the weights add up to 10002"),
        ("method = \"POST\"", "method = \"post\"", 16, "`post` is no method"),
        ("path = \"/items?limit=5\"", "path = \"items\"", 15, "begins with a slash"),
        ("path = \"/items?limit=5\"", "path = \"/a b\"", 15, "is no path"),
        (", endpoint = \"/items/{id}\"", "", 17, "which `endpoint` names"),
        ("'{\"name\":\"n{seq}\"}'", "'{name}'", 16, "`body` is JSON"),
        ("method = \"POST\", ", "", 16, "a GET carries no body"),
        ("fault = \"error\"", "fault = \"erorr\"", 20, "`erorr` is no fault"),
        ("delay=750ms,panic", "delay=soon", 21, "is no fault"),
        ("count = 3, per = 10", "count = 11, per = 10", 20, "11 of every 10 cannot be"),
        ("count = 3, per = 10", "count = 0, per = 10", 20, "0 of every 10 cannot be"),
        ("count = 3, per = 10", "per = 10", 20, "a fault needs `count`"),
        ("count = 7, per = 10", "count = 7, per = 100", 21, "the same `per`"),
        ("count = 7, per = 10", "count = 8, per = 10", 21, "3 of 10 are taken already"),
        ("silent = true", "silent = true\nrate = 5", 35, "has no `rate`"),
        ("silent = true", "silent = 1", 34, "true or false"),
        ("within = \"7m\"\n", "", 38, "`fires` needs `within`"),
        ("fires = [\"AppHigh5xxErrorRate\"]", "", 40, "`within` goes with `fires`"),
        ("[\"AppTrafficDrop\"]", "[\"AppHigh5xxErrorRate\"]", 39, "named twice"),
        ("[\"AppTrafficDrop\"]", "[\"app down\"]", 39, "is no alert's name"),
        ("[\"AppTrafficDrop\"]", "\"AppTrafficDrop\"", 39, "a list of texts"),
        ("\"request_rate\"", "\"requests\"", 41, "`requests` is no measure; there is request_rate"),
        ("app-overview/1", "app-overview", 41, "is no panel"),
        ("title =", "replicas = 0\ntitle =", 1, "there can be 1 to 16"),
        ("title =", "replicas = 17\ntitle =", 1, "there can be 1 to 16"),
        ("title =", "replicas = \"three\"\ntitle =", 1, "a whole number"),
        ("[expect]", "[expected]", 37, "no key `expected`"),
        ("[expect]", "[expect", 37, "not TOML"),
    ] {
        let found = findings_with(old, new);
        let wanted = |finding: &String| finding.starts_with(&format!("{line}: ")) && finding.contains(says);
        if !found.iter().any(wanted) {
            missed.push(format!("`{old}` → `{new}` should say, on line {line}, {says:?}; it says {found:#?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn a_phase_orders_components_about_and_what_starts_comes_last() {
    let text = GOOD.replace("silent = true", "silent = true\nstart = [\"app\"]\nkill = [\"prometheus\", \"receiver\"]");
    let scenario = read(&text).unwrap();
    assert!(scenario.orders_components() && !read(GOOD).unwrap().orders_components());
    let steps = &scenario.phases.iter().find(|phase| !phase.steps.is_empty()).unwrap().steps;
    let told: Vec<String> = steps.iter().map(|step| format!("{} {}", step.action.name(), step.component)).collect();
    assert_eq!(told, ["kill prometheus", "kill receiver", "start app"]);
}

#[test]
fn an_alert_needs_a_reason_to_fire() {
    let text = "title = \"t\"\nrequests = [{ path = \"/\" }]\n[[phase]]\nname = \"a\"\nduration = \"1m\"\nrate = 1\n\
                [expect]\nfires = [\"AppDown\"]\nwithin = \"1m\"\n";
    let findings = read(text).unwrap_err();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].line, 8);
    assert!(findings[0].what.contains("no phase gives an alert a reason"), "{}", findings[0]);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let findings = read("[[phase]]\nrate = 0\nnonsense = 1\n").unwrap_err();
    assert!(findings.len() >= 4, "{findings:#?}");
}

#[test]
fn the_file_name_gives_number_and_name() {
    for name in ["error-rate.toml", "2-error-rate.toml", "02_error.toml", "02-.toml", "02-Error.toml", "02-error.yml"] {
        let findings = Scenario::from_text(Path::new(name), GOOD).unwrap_err();
        assert!(findings[0].what.contains("02-error-rate.toml"), "{name}: {findings:?}");
    }
}

/// A folder whose path has a space, with scenarios of these names.
fn folder(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("two words").tempdir().unwrap();
    for name in names {
        std::fs::write(folder.path().join(name), GOOD).unwrap();
    }
    folder
}

#[test]
fn a_scenario_is_found_by_number_name_id_or_path() {
    let folder = folder(&["02-error-rate.toml", "03-latency-p95.toml"]);
    let path = folder.path().join("02-error-rate.toml");
    for name in ["02", "2", "error-rate", "02-error-rate", path.to_str().unwrap()] {
        assert_eq!(find(folder.path(), name).unwrap().id(), "02-error-rate", "{name}");
    }
}

#[test]
fn an_unknown_scenario_is_a_usage_failure_that_lists_what_there_is() {
    let folder = folder(&["02-error-rate.toml", "03-latency-p95.toml"]);
    let failure = find(folder.path(), "errors").unwrap_err();
    assert_eq!(failure.kind(), Kind::Usage);
    assert!(failure.to_string().contains("there is 02-error-rate, 03-latency-p95"), "{failure}");
    assert_eq!(find(folder.path(), "./07-none.toml").unwrap_err().kind(), Kind::Usage);
}

#[test]
fn all_come_by_number_and_no_two_share_one() {
    let folder = folder(&["03-a.toml", "01-b.toml"]);
    let ids: Vec<String> = all(folder.path()).unwrap().iter().map(Scenario::id).collect();
    assert_eq!(ids, ["01-b", "03-a"]);
    std::fs::write(folder.path().join("03-c.toml"), GOOD).unwrap();
    assert!(all(folder.path()).unwrap_err().to_string().contains("number"));
}

#[test]
fn the_scenarios_of_the_repository_are_right() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("scripts/traffic");
    let scenarios = all(&folder).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(scenarios[2].id(), "02-error-rate");
    for scenario in scenarios.iter().filter(|scenario| !scenario.expect.fires.is_empty()) {
        let fault: Duration =
            scenario.phases.iter().filter(|phase| phase.is_faulty()).map(|phase| phase.duration).sum();
        assert!(scenario.expect.within < Some(fault), "{}: alerts fire before the fault ends", scenario.id());
    }
}

#[test]
fn the_examples_of_the_format_s_page_are_right() {
    let page =
        std::fs::read_to_string(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("scripts/README.md"))
            .unwrap();
    let examples: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 3, "requests, faults, expect");
    let text = format!("title = \"t\"\n[[phase]]\nname = \"p\"\nduration = \"1m\"\nrate = 1\n{}", examples.concat());
    let scenario = read(&text).unwrap_or_else(|findings| panic!("{}", Failure::from(findings)));
    assert_eq!((scenario.phases[0].requests.len(), scenario.phases[0].faults.len()), (4, 2));
    assert_eq!(scenario.expect.panels.len(), 2);
    for measure in Measure::ALL {
        assert!(page.contains(&format!("`{}`", measure.name())), "{measure:?}");
    }
}

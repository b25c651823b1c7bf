//! Whether what one file asks another for is there, and whether what it says of time can be so: patterns of files, jobs, routes,
//! receivers, names of alerts in matchers, the forwarder's inputs. Each of these loads without a word, and does nothing.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token::T_EQL_REGEX;

use super::alerts::ALERTMANAGER;
use super::finding::Findings;
use aiclipx_app::endpoint::Endpoint;
use aiclipx_base::duration;
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::monitoring::located::{Entry, Node, Value};
use aiclipx_model::monitoring::{Alert, GroupTimings, Monitoring, WATCHDOG, matcher};

const PROMETHEUS: &str = "prometheus/prometheus.yml";
const RULES: &str = "prometheus/rules";
const TESTS: &str = "prometheus/rules/tests";
const VECTOR: &str = "vector/vector.yaml";

/// For how long Prometheus takes a sample for the present one.
const LOOKBACK: Duration = Duration::from_mins(5);

pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    patterns(monitoring, findings);
    scrapes(monitoring, findings);
    targets(monitoring, findings);
    probes(monitoring, findings);
    if let Some(document) = monitoring.document(Path::new(ALERTMANAGER)) {
        let watchdog = monitoring.alert(WATCHDOG).map(|alert| monitoring.group_timings(alert).receiver.as_str());
        if let Some(route) = document.get("route") {
            routes(route, &GroupTimings::default(), watchdog, findings);
        }
        receivers(document, findings);
        inhibitions(document, monitoring, findings);
        for line_and_text in matchers_of(document) {
            names(monitoring, line_and_text, findings);
        }
    }
    inputs(monitoring, findings);
}

fn file_of(path: impl AsRef<Path>) -> PathBuf {
    Path::new("monitoring").join(path)
}

/// Every pattern of files finds one, and every file of rules is found.
fn patterns(monitoring: &Monitoring, findings: &mut Findings) {
    let mut look = |path: &Path, patterns: &[Node], what: &str| {
        let mut all = BTreeSet::new();
        for pattern in patterns {
            let Some(text) = pattern.as_text() else { continue };
            let wanted = plain(&path.with_file_name(text));
            let found: Vec<&PathBuf> = monitoring.files().keys().filter(|file| finds(&wanted, file)).collect();
            if found.is_empty() {
                let remedy = format!("it is looked for from {}", file_of(path).with_file_name("").display());
                findings.find(
                    "files/pattern",
                    file_of(path),
                    pattern.line,
                    format!("`{text}` finds no file: {what}"),
                    remedy,
                );
            }
            all.extend(found.into_iter().cloned());
        }
        all
    };
    let mut loaded = BTreeSet::new();
    if let Some(document) = monitoring.document(Path::new(PROMETHEUS)) {
        loaded = look(Path::new(PROMETHEUS), document.items_of("rule_files"), "no rule would be loaded");
        let alertmanagers = document.get("alerting").map_or(&[][..], |node| node.items_of("alertmanagers"));
        for job in document.items_of("scrape_configs").iter().chain(alertmanagers) {
            for files in job.items_of("file_sd_configs") {
                // A plain name that is not there is the reader's to refuse.
                let is_pattern = |node: &&Node| node.as_text().is_some_and(|text| text.contains(['*', '?', '[']));
                let patterns: Vec<Node> = files.items_of("files").iter().filter(is_pattern).cloned().collect();
                look(Path::new(PROMETHEUS), &patterns, "nobody would be scraped");
            }
        }
    }
    if let Some(document) = monitoring.document(Path::new(ALERTMANAGER)) {
        look(Path::new(ALERTMANAGER), document.items_of("templates"), "messages would be without it");
    }
    let mut elsewhere = Vec::new();
    for (path, document) in monitoring.documents_in(TESTS) {
        let tested = look(path, document.items_of("rule_files"), "what it tests is not there");
        // What is not loaded is not there, and a test that it does not fire passes.
        for question in document.items_of("tests").iter().flat_map(|test| test.items_of("alert_rule_test")) {
            let Some(alert) = question.text_of("alertname").and_then(|name| monitoring.alert(name)) else { continue };
            if !tested.iter().any(|file| alert.file.ends_with(file)) {
                elsewhere.push((file_of(path), question.line_of("alertname"), alert));
            }
        }
    }
    for (file, line, alert) in elsewhere {
        let what = format!("{} is asked for, and is in {}, which is not loaded here", alert.name, alert.file.display());
        findings.find("test/not-loaded", file, line, what, "name it in `rule_files`");
    }
    for (path, _) in monitoring.documents_in(RULES).filter(|(path, _)| !loaded.contains(*path)) {
        findings.find(
            "rule/not-loaded",
            file_of(path),
            0,
            "no `rule_files` finds this file: nobody loads it",
            "name it, or remove it",
        );
    }
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
        plain
    })
}

/// Whether a pattern finds a file, as Go's `filepath.Match` has it: a star takes no slash.
fn finds(pattern: &Path, file: &Path) -> bool {
    let parts = |path: &Path| path.iter().map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>();
    let (pattern, file) = (parts(pattern), parts(file));
    pattern.len() == file.len() && pattern.iter().zip(&file).all(|(pattern, name)| fits(pattern, name))
}

/// Of all stars only the last is tried anew, for what an earlier one took cannot matter any more.
fn fits(pattern: &str, name: &str) -> bool {
    let (mut rest, mut left) = (pattern, name);
    let mut star: Option<(&str, &str)> = None;
    loop {
        if let Some(after) = rest.strip_prefix('*') {
            (rest, star) = (after, Some((after, left)));
        } else if left.is_empty() && rest.is_empty() {
            return true;
        } else if let Some(after) = one(rest, left) {
            (rest, left) = after;
        } else {
            let Some((after, taken)) = star else { return false };
            let Some(c) = taken.chars().next() else { return false };
            left = &taken[c.len_utf8()..];
            (rest, star) = (after, Some((after, left)));
        }
    }
}

/// What is left of both once the pattern's first part has taken one letter.
fn one<'a>(pattern: &'a str, name: &'a str) -> Option<(&'a str, &'a str)> {
    let c = name.chars().next()?;
    let after = &name[c.len_utf8()..];
    let mut rest = pattern.chars();
    match rest.next()? {
        '?' => Some((rest.as_str(), after)),
        '\\' => (rest.next()? == c).then_some((rest.as_str(), after)),
        '[' => rest.as_str().split_once(']').filter(|(class, _)| is_of(class, c)).map(|(_, rest)| (rest, after)),
        first => (first == c).then_some((rest.as_str(), after)),
    }
}

/// Whether a letter is of a class: `a-z_`, `^0-9`.
fn is_of(class: &str, c: char) -> bool {
    let (class, negated) = class.strip_prefix('^').map_or((class, false), |class| (class, true));
    let letters: Vec<char> = class.chars().collect();
    let mut at = 0;
    let mut is_in = false;
    while at < letters.len() {
        let to = if letters.get(at + 1) == Some(&'-') { letters.get(at + 2) } else { None };
        is_in |= (letters[at]..=*to.unwrap_or(&letters[at])).contains(&c);
        at += if to.is_some() { 3 } else { 1 };
    }
    is_in != negated
}

/// A key's duration and its line.
fn timing(node: &Node, key: &str) -> Option<(Duration, usize)> {
    Some((duration::parse(node.text_of(key)?).ok()?, node.line_of(key)))
}

/// Jobs have names of their own, and intervals at which there is always a sample.
fn scrapes(monitoring: &Monitoring, findings: &mut Findings) {
    let Some(document) = monitoring.document(Path::new(PROMETHEUS)) else { return };
    let global = document.get("global");
    let mut names = BTreeSet::new();
    let of_all =
        global.and_then(|node| timing(node, "scrape_interval")).map_or(Duration::ZERO, |(interval, _)| interval);
    for node in global.into_iter().chain(document.items_of("scrape_configs")) {
        let (interval, line) = timing(node, "scrape_interval").unwrap_or((of_all, node.line));
        if interval >= LOOKBACK && node.get("scrape_interval").is_some() {
            let what = format!(
                "scraped every {}: a sample counts for {}, and between two of them there is none",
                duration::print(interval),
                duration::print(LOOKBACK)
            );
            findings.find("scrape/interval", file_of(PROMETHEUS), line, what, "scrape at least every two minutes");
        }
        if interval.is_zero() {
            findings.find("scrape/interval", file_of(PROMETHEUS), line, "a scrape interval of nothing", "");
        }
        if let Some((timeout, line)) = timing(node, "scrape_timeout")
            && timeout > interval
        {
            let (timeout, interval) = (duration::print(timeout), duration::print(interval));
            let what = format!("a scrape may take {timeout}, and the next begins after {interval}");
            findings.find("scrape/timeout", file_of(PROMETHEUS), line, what, "Prometheus refuses it");
        }
        if let Some(name) = node.text_of("job_name")
            && !names.insert(name)
        {
            findings.find(
                "scrape/job",
                file_of(PROMETHEUS),
                node.line_of("job_name"),
                format!("a second job of the name {name}"),
                "",
            );
        }
    }
}

/// The components that every stack has, each a job of its own.
const NEEDED: [&str; 4] = ["app", "prometheus", "alertmanager", "receiver"];

/// Whether a job of this name is one of this stack's components.
pub(super) fn is_component(name: &str) -> bool {
    places().iter().any(|(known, _)| *known == name)
}

/// A component's job asks for the targets of its own name, and a component that is named there is asked where it answers.
fn targets(monitoring: &Monitoring, findings: &mut Findings) {
    let Some(document) = monitoring.document(Path::new(PROMETHEUS)) else { return };
    let jobs = document.items_of("scrape_configs");
    for name in NEEDED.into_iter().filter(|name| jobs.iter().all(|job| job.text_of("job_name") != Some(name))) {
        findings.find(
            "scrape/missing",
            file_of(PROMETHEUS),
            document.line_of("scrape_configs"),
            format!("no job is for {name}"),
            "",
        );
    }
    let alertmanagers = document.get("alerting").map_or(&[][..], |node| node.items_of("alertmanagers"));
    let named = jobs.iter().map(|job| (job.text_of("job_name").unwrap_or_default(), job));
    let named = named.filter(|(name, _)| is_component(name));
    for (name, asking) in named.chain(alertmanagers.iter().map(|node| ("alertmanager", node))) {
        for file in asking.items_of("file_sd_configs").iter().flat_map(|files| files.items_of("files")) {
            let text = file.as_text().unwrap_or_default();
            if !finds(Path::new(text), Path::new(&format!("targets/{name}.json"))) {
                let what = format!("the targets of {name} are asked for in `{text}`");
                findings.find("scrape/targets", file_of(PROMETHEUS), file.line, what, format!("targets/{name}.json"));
            }
        }
    }
    let places = places();
    for (path, document) in monitoring.documents_in("prometheus/targets") {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        for target in document.items().iter().flat_map(|group| group.items_of("targets")) {
            let text = target.as_text().unwrap_or_default();
            let host = text.split(':').next().unwrap_or_default();
            let is_ours = places.iter().any(|(known, _)| *known == host);
            // Without a place of its own for it the service answers where it serves.
            let is_served = name == "app" && text == Addresses::canonical().app[0].to_string();
            if is_ours && !is_served && !places.iter().any(|(known, at)| *known == name && at == text) {
                findings.find(
                    "target/address",
                    file_of(path),
                    target.line,
                    format!("{name} does not answer at {text}"),
                    "",
                );
            }
        }
    }
}

/// Whom the exporter is told to ask, and how: the service, at a path that is not among its clients' requests (counters would no
/// longer be theirs alone), each replica by a name of its own, and for a job that is there.
fn probes(monitoring: &Monitoring, findings: &mut Findings) {
    let path = Path::new("prometheus/targets/probe.json");
    let Some(document) = monitoring.document(path) else { return };
    let modules = monitoring.document(Path::new("blackbox/blackbox.yml")).and_then(|document| document.get("modules"));
    let modules: Vec<&str> = modules.map_or(&[][..], Node::entries).iter().map(|entry| entry.key.as_str()).collect();
    let jobs = monitoring.document(Path::new(PROMETHEUS)).map_or(&[][..], |node| node.items_of("scrape_configs"));
    let jobs: Vec<&str> = jobs.iter().filter_map(|job| job.text_of("job_name")).collect();
    for group in document.items().iter().filter(|group| !group.items_of("targets").is_empty()) {
        let labels = group.get("labels");
        let label = |name: &str| labels.and_then(|labels| labels.text_of(name)).unwrap_or_default();
        let mut find = |name, key: &str, what: &str, remedy: String| {
            let line = labels.filter(|labels| labels.get(key).is_some()).map_or(group.line, |one| one.line_of(key));
            findings.find(name, file_of(path), line, format!("`{key}` is `{}`: {what}", label(key)), remedy);
        };
        let (host, asked) = label("__param_target").trim_start_matches("http://").split_once('/').unwrap_or_default();
        if !Endpoint::of(&format!("/{asked}")).is_monitoring() {
            find(
                "probe/target",
                "__param_target",
                "what is asked there counts as a client's",
                "http://app:8080/health/live".to_owned(),
            );
        }
        if label("instance") != host {
            find("probe/target", "instance", "of two replicas the answers would be one series", host.to_owned());
        }
        if !modules.contains(&label("__param_module")) {
            find("probe/target", "__param_module", "blackbox.yml has no such module", modules.join(", "));
        }
        if !jobs.contains(&label("probed")) {
            find(
                "probe/target",
                "probed",
                "there is no such job, and rules ask for the answers by it",
                jobs.join(", "),
            );
        }
    }
}

/// Where compose.yaml's components are scraped, by their names.
fn places() -> [(&'static str, String); 7] {
    let at = Addresses::canonical();
    [
        ("app", at.scraped_app()[0].to_string()),
        ("prometheus", at.prometheus.to_string()),
        ("alertmanager", at.alertmanager.to_string()),
        ("receiver", at.receiver.to_string()),
        ("probe", at.probe.to_string()),
        ("vector", at.logging.vector_metrics.to_string()),
        ("loki", at.logging.loki.to_string()),
    ]
}

/// The Watchdog is never inhibited.
fn inhibitions(document: &Node, monitoring: &Monitoring, findings: &mut Findings) {
    for rule in document.items_of("inhibit_rules") {
        let of = |key: &str| -> Vec<&Alert> {
            let matchers = rule.items_of(key).iter().filter_map(Node::as_text);
            let matchers: Vec<Matcher> = matchers.flat_map(|text| matcher::parse(text).unwrap_or_default()).collect();
            let value = |alert: &Alert, label: &str| match label {
                "alertname" => alert.name.clone(),
                label => alert.labels.get(label).cloned().unwrap_or_default(),
            };
            let fits = |alert: &&Alert| matchers.iter().all(|one| one.is_match(&value(alert, &one.name)));
            monitoring.alerts().iter().filter(fits).collect()
        };
        let (sources, targets) = (of("source_matchers"), of("target_matchers"));
        // A label that a rule does not give may come with the series.
        let is_same = |one: &Alert, other: &Alert, label: &str| {
            let given = |alert: &Alert| alert.labels.get(label).cloned();
            given(one).zip(given(other)).is_none_or(|(one, other)| one == other)
        };
        let equal: Vec<&str> = rule.items_of("equal").iter().filter_map(Node::as_text).collect();
        let is_met = |target: &Alert| {
            sources
                .iter()
                .any(|source| source.name != target.name && equal.iter().all(|label| is_same(source, target, label)))
        };
        if targets.iter().any(|alert| alert.name == WATCHDOG && is_met(alert)) {
            let what = "the Watchdog is inhibited, and its silence is an alarm";
            findings.find("inhibition/watchdog", file_of(ALERTMANAGER), rule.line_of("target_matchers"), what, "");
        }
    }
}

/// No route's rhythm is one that Alertmanager refuses or does not keep, and each alert goes to one receiver.
fn routes(route: &Node, parent: &GroupTimings, watchdog: Option<&str>, findings: &mut Findings) {
    let of = |key, inherited| timing(route, key).unwrap_or((inherited, route.line));
    let (group_interval, group_line) = of("group_interval", parent.group_interval);
    let (repeat_interval, repeat_line) = of("repeat_interval", parent.repeat_interval);
    let receiver = route.text_of("receiver").unwrap_or(&parent.receiver).to_owned();
    for (key, interval, line) in
        [("group_interval", group_interval, group_line), ("repeat_interval", repeat_interval, repeat_line)]
    {
        if interval.is_zero() {
            findings.find(
                "route/interval",
                file_of(ALERTMANAGER),
                line,
                format!("a `{key}` of nothing"),
                "Alertmanager refuses it",
            );
        }
    }
    if repeat_interval < group_interval && watchdog != Some(receiver.as_str()) {
        let (repeat, group) = (duration::print(repeat_interval), duration::print(group_interval));
        let what = format!("repeated every {repeat}, and looked at every {group} only");
        findings.find(
            "route/repeat",
            file_of(ALERTMANAGER),
            repeat_line,
            what,
            "a repeat is not shorter than the group's interval",
        );
    }
    if route.get("continue").is_some_and(|node| node.value == Value::Switch(true)) {
        let what = "a route that continues: an alert would go to several receivers, and each claim is about one";
        findings.find(
            "route/continue",
            file_of(ALERTMANAGER),
            route.line_of("continue"),
            what,
            "give the receiver several channels",
        );
    }
    let timings = GroupTimings { receiver, group_interval, repeat_interval, ..parent.clone() };
    for child in route.items_of("routes") {
        routes(child, &timings, watchdog, findings);
    }
}

/// Each receiver tells somebody, of the end, too.
fn receivers(document: &Node, findings: &mut Findings) {
    for receiver in document.items_of("receivers") {
        let name = receiver.text_of("name").unwrap_or_default();
        let channels = receiver.items_of("webhook_configs");
        if channels.is_empty() {
            findings.find(
                "receiver/silent",
                file_of(ALERTMANAGER),
                receiver.line,
                format!("the receiver `{name}` tells nobody"),
                "",
            );
        }
        for channel in channels {
            if channel.get("send_resolved").is_some_and(|node| node.value == Value::Switch(false)) {
                let what = format!("the receiver `{name}` is not told when an alert ends");
                findings.find(
                    "receiver/resolved",
                    file_of(ALERTMANAGER),
                    channel.line_of("send_resolved"),
                    what,
                    "send_resolved: true",
                );
            }
        }
    }
}

/// Every matcher of routes and inhibitions, with its line.
fn matchers_of(document: &Node) -> Vec<(usize, &str)> {
    fn of_route<'a>(route: &'a Node, found: &mut Vec<&'a Node>) {
        found.extend(route.items_of("matchers"));
        route.items_of("routes").iter().for_each(|child| of_route(child, found));
    }
    let mut found = Vec::new();
    document.get("route").into_iter().for_each(|route| of_route(route, &mut found));
    for rule in document.items_of("inhibit_rules") {
        found.extend(rule.items_of("source_matchers").iter().chain(rule.items_of("target_matchers")));
    }
    found.into_iter().filter_map(|node| Some((node.line, node.as_text()?))).collect()
}

/// A matcher asks for what some alert has. Of the name that is known, and of a label that each rule has; another may come with
/// the series.
fn names(monitoring: &Monitoring, (line, text): (usize, &str), findings: &mut Findings) {
    for matcher in matcher::parse(text).unwrap_or_default() {
        let values: Option<Vec<&str>> = match matcher.name.as_str() {
            "alertname" => Some(monitoring.alerts().iter().map(|alert| alert.name.as_str()).collect()),
            label => monitoring.alerts().iter().map(|alert| alert.labels.get(label).map(String::as_str)).collect(),
        };
        let Some(values) = values else { continue };
        let is_of_none = |wanted: &String| {
            let pattern = Matcher::new_matcher(T_EQL_REGEX, matcher.name.clone(), wanted.clone());
            match matcher.op {
                MatchOp::Equal | MatchOp::NotEqual => !values.contains(&wanted.as_str()),
                _ => pattern.is_ok_and(|pattern| !values.iter().any(|value| pattern.is_match(value))),
            }
        };
        let alternatives = match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => vec![matcher.value.clone()],
            _ => alternatives(&matcher.value).unwrap_or_else(|| vec![matcher.value.clone()]),
        };
        for wanted in alternatives.iter().filter(|wanted| is_of_none(wanted)) {
            let remedy = if wanted.starts_with('\'') {
                "Alertmanager takes single quotes for a part of the value: write double ones".to_owned()
            } else {
                format!(
                    "the alerts have {}",
                    values.iter().collect::<BTreeSet<_>>().into_iter().copied().collect::<Vec<_>>().join(", ")
                )
            };
            let what = format!("no alert has the {} `{wanted}` of `{text}`", matcher.name);
            findings.find("route/matcher", file_of(ALERTMANAGER), line, what, remedy);
        }
    }
}

/// What a pattern stands for, its alternatives one by one: of `A(b|c)|D.+` that is `Ab`, `Ac`, `D.+`. None where more than that is in
/// it.
fn alternatives(pattern: &str) -> Option<Vec<String>> {
    if pattern.contains(['\\', '[', '{']) || pattern.contains("(?") {
        return None;
    }
    let (found, rest) = either(pattern)?;
    rest.is_empty().then_some(found)
}

/// Alternatives up to a `)` or the end.
fn either(mut rest: &str) -> Option<(Vec<String>, &str)> {
    let mut found = Vec::new();
    let mut begun = vec![String::new()];
    loop {
        let Some(c) = rest.chars().next().filter(|c| *c != ')') else {
            found.append(&mut begun);
            return Some((found, rest));
        };
        rest = &rest[c.len_utf8()..];
        match c {
            '|' => found.append(&mut std::mem::replace(&mut begun, vec![String::new()])),
            '(' => {
                let (inner, after) = either(rest)?;
                rest = after.strip_prefix(')')?;
                if rest.starts_with(['*', '+', '?']) {
                    return None;
                }
                if begun.len() * inner.len() > 1000 {
                    return None;
                }
                begun = begun.iter().flat_map(|one| inner.iter().map(move |other| format!("{one}{other}"))).collect();
            }
            c => begun.iter_mut().for_each(|one| one.push(c)),
        }
    }
}

/// The forwarder's transforms by their types, and the keys that are ours to know, beside `type` and `inputs`.
const TRANSFORMS: [(&str, &[&str]); 5] = [
    ("filter", &["condition"]),
    ("log_to_metric", &["metrics"]),
    (
        "remap",
        &["drop_on_abort", "drop_on_error", "file", "metric_tag_values", "reroute_dropped", "source", "timezone"],
    ),
    ("route", &["reroute_unmatched", "route"]),
    ("sample", &["exclude", "group_by", "key_field", "rate", "ratio", "sample_rate_key"]),
];

/// What the forwarder's transforms are, and what each of its parts takes from, is there.
fn inputs(monitoring: &Monitoring, findings: &mut Findings) {
    let Some(document) = monitoring.document(Path::new(VECTOR)) else { return };
    let entries = |key| document.get(key).map_or(&[][..], Node::entries);
    let makers: BTreeSet<&str> =
        ["sources", "transforms"].into_iter().flat_map(entries).map(|entry| entry.key.as_str()).collect();
    for entry in entries("transforms") {
        let Some((_, keys)) = TRANSFORMS.iter().find(|(name, _)| entry.node.text_of("type") == Some(name)) else {
            let known: Vec<&str> = TRANSFORMS.iter().map(|(name, _)| *name).collect();
            let what = format!("the `type` of `{}` is none that we know", entry.key);
            findings.find("vector/type", file_of(VECTOR), entry.line, what, format!("known are {}", known.join(", ")));
            continue;
        };
        let is_unknown = |key: &str| !["type", "inputs"].contains(&key) && !keys.contains(&key);
        for unknown in entry.node.entries().iter().filter(|part| is_unknown(&part.key)) {
            let what = format!("`{}` has an unknown key `{}`", entry.key, unknown.key);
            findings.find(
                "vector/key",
                file_of(VECTOR),
                unknown.line,
                what,
                format!("known here: {}", keys.join(", ")),
            );
        }
    }
    for entry in ["transforms", "sinks"].into_iter().flat_map(entries) {
        if entry.node.items_of("inputs").is_empty() {
            findings.find(
                "vector/input",
                file_of(VECTOR),
                entry.line,
                format!("`{}` takes from nobody", entry.key),
                "name its `inputs`",
            );
        }
        for input in entry.node.items_of("inputs") {
            let name = input.as_text().unwrap_or_default();
            let (maker, output) = name.split_once('.').map_or((name, None), |(maker, output)| (maker, Some(output)));
            if name.contains('*') {
                continue;
            }
            if !makers.contains(maker) {
                let what = format!("`{}` takes from `{name}`, which is neither a source nor a transform", entry.key);
                findings.find("vector/input", file_of(VECTOR), input.line, what, "");
            } else if !outputs(document, maker).contains(&output) {
                let what = format!("`{}` takes from `{name}`, and `{maker}` has no such output", entry.key);
                findings.find("vector/input", file_of(VECTOR), input.line, what, "");
            }
        }
    }
    let takes = |entry: &Entry| -> Vec<String> {
        let inputs = entry.node.items_of("inputs").iter().filter_map(Node::as_text);
        inputs.map(|name| name.split('.').next().unwrap_or_default().to_owned()).collect()
    };
    let asked_for: Vec<String> = ["transforms", "sinks"].into_iter().flat_map(entries).flat_map(takes).collect();
    let mut fed: BTreeSet<&str> = entries("sources").iter().map(|entry| entry.key.as_str()).collect();
    for _ in entries("transforms") {
        let more = entries("transforms")
            .iter()
            .filter(|entry| takes(entry).iter().any(|name| fed.iter().any(|fed| fits(name, fed))));
        let more: Vec<&str> = more.map(|entry| entry.key.as_str()).collect();
        fed.extend(more);
    }
    for entry in ["sources", "transforms"].into_iter().flat_map(entries) {
        if !asked_for.iter().any(|pattern| fits(pattern, &entry.key)) {
            findings.find(
                "vector/unread",
                file_of(VECTOR),
                entry.line,
                format!("nobody takes from `{}`", entry.key),
                "",
            );
        }
        if !fed.contains(entry.key.as_str()) {
            findings.find(
                "vector/unfed",
                file_of(VECTOR),
                entry.line,
                format!("no source leads to `{}`", entry.key),
                "",
            );
        }
    }
}

/// What a part of the forwarder gives, by name: without one its main output.
fn outputs<'a>(document: &'a Node, maker: &str) -> Vec<Option<&'a str>> {
    let Some(node) = document.get("transforms").and_then(|node| node.get(maker)) else { return vec![None] };
    match node.text_of("type") {
        Some("route") => {
            let routes = node.get("route").map_or(&[][..], Node::entries).iter().map(|entry| Some(entry.key.as_str()));
            routes.chain([Some("_unmatched")]).collect()
        }
        Some("remap") if node.get("reroute_dropped").is_some_and(|node| node.value == Value::Switch(true)) => {
            vec![None, Some("dropped")]
        }
        _ => vec![None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_find_what_go_finds() {
        for (pattern, name, found) in [
            ("rules/*.yml", "rules/app.yml", true),
            ("rules/*.yml", "rules/tests/app.yml", false),
            ("rules/*.yml", "rules/app.yaml", false),
            ("rules/*", "rules/.hidden", true),
            ("rules/a?p.yml", "rules/app.yml", true),
            ("rules/[a-c]*.yml", "rules/app.yml", true),
            ("rules/[^a-c]*.yml", "rules/app.yml", false),
            ("rules/[xa]pp.yml", "rules/app.yml", true),
            ("rules/\\*.yml", "rules/app.yml", false),
            ("**/app.yml", "rules/app.yml", true),
            ("**/app.yml", "a/b/app.yml", false),
            ("rules/[", "rules/[", false),
            (
                "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                false,
            ),
            ("a*b*c", "a-b-b-c", true),
        ] {
            assert_eq!(finds(Path::new(pattern), Path::new(name)), found, "{pattern} {name}");
        }
        assert_eq!(plain(Path::new("prometheus/rules/tests/../app.yml")), Path::new("prometheus/rules/app.yml"));
    }

    #[test]
    fn a_pattern_s_alternatives_are_looked_at_one_by_one() {
        let of = |pattern| alternatives(pattern).map(|found| found.join(" "));
        assert_eq!(of("A"), Some("A".to_owned()));
        assert_eq!(of("A(b|c(d|e))|F.+"), Some("Ab Acd Ace F.+".to_owned()));
        assert_eq!(of("(A|B)(c|)"), Some("Ac A Bc B".to_owned()));
        for pattern in ["(A|B)+", "[AB]", "A{2}", "\\(A", "(?:A|B)", "(A", "A)"] {
            assert_eq!(of(pattern), None, "{pattern}");
        }
    }
}

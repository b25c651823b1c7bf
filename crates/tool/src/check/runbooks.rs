//! Runbooks: whatever a tired reader pastes from a page names services, recipes, settings, alerts, panels, scenarios and pages
//! that exist. No command is run, and no prose is checked.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use promql_parser::label::Matcher;
use promql_parser::parser::token::{T_EQL, T_EQL_REGEX};

use super::alerts;
use super::alerts::SEVERITIES;
use super::finding::Findings;
use super::pasted::{Page, blocks, pages};
use super::tree::{COMPOSE, DashboardFile, SCENARIOS};
use aiclipx_app::config;
use aiclipx_base::duration;
use aiclipx_model::files;
use aiclipx_model::monitoring::located::{self, Node};
use aiclipx_model::monitoring::{Alert, Monitoring, WATCHDOG};

const RECIPES: &str = "justfile";
/// The places that the first section has commands for: the comment that begins each, and the programs that only that place has.
const PLACES: [(&str, &[&str]); 4] = [
    ("# compose", &["docker "]),
    ("# systemd", &["systemctl ", "journalctl "]),
    ("# Kubernetes", &["kubectl "]),
    ("# a local stack", &["just "]),
];
/// Options of docker and compose that take a value.
const WITH_VALUE: [&str; 8] = ["--profile", "--since", "--tail", "--signal", "--index", "--timeout", "--env", "--user"];

/// What commands can name.
#[derive(Default)]
struct There {
    services: BTreeSet<String>,
    /// What compose.yaml takes from the environment.
    variables: BTreeSet<String>,
    recipes: BTreeSet<String>,
    scenarios: BTreeSet<String>,
    panels: BTreeSet<String>,
}

/// Checks the pages. Where compose.yaml or the justfile is not there, nothing is known of what they name.
pub(super) fn check(root: &Path, monitoring: &Monitoring, dashboards: &[DashboardFile], findings: &mut Findings) {
    of(monitoring, &There::read(root, dashboards, findings), findings);
}

impl There {
    fn read(root: &Path, dashboards: &[DashboardFile], findings: &mut Findings) -> There {
        // One that can't be read is found by who checks the file itself.
        let read = |file: &str| files::read(&root.join(file));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let compose = read(COMPOSE).map(text).unwrap_or_default();
        let recipes = read(RECIPES).map(text);
        if let Err(error) = recipes.as_ref()
            && error.kind() != ErrorKind::NotFound
        {
            findings.read("runbook/recipe", vec![files::unread(Path::new(RECIPES), error)]);
        }
        let recipes = recipes.unwrap_or_default();
        let mut there = There::default();
        if let Ok(document) = located::read(compose.as_bytes()) {
            there.services =
                document.get("services").map_or(&[][..], Node::entries).iter().map(|entry| entry.key.clone()).collect();
        }
        let variables = compose.split("${").skip(1).filter_map(|rest| rest.split(['}', ':']).next());
        there.variables = variables.map(str::to_owned).collect();
        let is_recipe = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase()) && line.contains(':');
        let name = |line: &str| line.split([' ', ':']).next().unwrap_or_default().to_owned();
        there.recipes = recipes.lines().filter(is_recipe).map(name).collect();
        if let Ok(listed) = std::fs::read_dir(root.join(SCENARIOS)) {
            let stem =
                |entry: std::fs::DirEntry| entry.path().file_stem().map(|stem| stem.to_string_lossy().into_owned());
            there.scenarios = listed.flatten().filter_map(stem).collect();
        }
        let panels = dashboards.iter().flat_map(|dashboard| dashboard.panels());
        there.panels = panels.filter_map(|panel| panel.text_of("title")).map(str::to_owned).collect();
        there
    }
}

fn of(monitoring: &Monitoring, there: &There, findings: &mut Findings) {
    let names: BTreeSet<String> = pages(monitoring).map(|page| page.name).collect();
    for page in pages(monitoring) {
        let mut find =
            |name, line: usize, what: String, remedy: &str| findings.find(name, &page.file, line, what, remedy);
        commands_for_every_place(&page, &mut find);
        for (line, command) in page.commands() {
            services(&command, there, |what| find("runbook/service", line, what, "compose.yaml has the services"));
            recipe(&command, there, |what| find("runbook/recipe", line, what, "`just` lists what there is"));
            for name in settings(&command) {
                let is_known = config::SETTINGS.iter().any(|setting| setting.name == name);
                // Without compose.yaml nobody knows which are its own.
                let is_of_compose = there.services.is_empty() || there.variables.contains(name);
                if !is_known && !is_of_compose {
                    find(
                        "runbook/setting",
                        line,
                        format!("there is no setting {name}"),
                        "`aiclipx-app --help` lists them",
                    );
                }
            }
        }
        for (index, line) in page.text.lines().enumerate() {
            for title in panels(line).into_iter().filter(|title| !there.panels.contains(*title)) {
                find(
                    "runbook/panel",
                    index + 1,
                    format!("there is no panel *{title}*"),
                    "a panel is named by its title",
                );
            }
            for linked in line.split("](").skip(1).filter_map(|rest| rest.split_once(".md)").map(|(name, _)| name)) {
                if !linked.contains('/') && !names.contains(linked) {
                    find("runbook/page", index + 1, format!("there is no page {linked}.md"), "");
                }
            }
            let scenario = line.split("(scenario `").nth(1).and_then(|rest| rest.split('`').next());
            if let Some(scenario) = scenario.filter(|name| !there.scenarios.contains(*name)) {
                find("runbook/scenario", index + 1, format!("there is no scenario {scenario}"), "");
            }
        }
        silences(&page, monitoring, &mut find);
        let severities =
            monitoring.alerts().iter().filter(|alert| is_of(alert, &page) && !says_severity(alert, &page.text));
        for alert in severities {
            let what = format!("this page does not say that {} is {}", alert.name, severity(alert));
            find(
                "runbook/severity",
                1,
                what,
                "`Severity: …`, or a table whose row begins with the alert's name and ends with its severity",
            );
        }
    }
    rows(monitoring, findings);
}

fn is_of(alert: &Alert, page: &Page) -> bool {
    alert.annotations.get("runbook_url").is_some_and(|url| Path::new(url) == page.file)
}

fn severity(alert: &Alert) -> &str {
    alert.labels.get("severity").map_or("", String::as_str)
}

fn says_severity(alert: &Alert, text: &str) -> bool {
    let severity = severity(alert);
    let row = |line: &str| line.starts_with(&format!("| {} |", alert.name));
    match text.lines().find(|line| row(line)) {
        Some(row)
            if row.matches('|').count() > 2 && SEVERITIES.iter().any(|one| row.ends_with(&format!("| {one} |"))) =>
        {
            row.ends_with(&format!("| {severity} |"))
        }
        _ => severity == "none" || text.contains(&format!("Severity: {severity}.")),
    }
}

/// The row of an alert in the table of all says its severity and its `for`.
fn rows(monitoring: &Monitoring, findings: &mut Findings) {
    let Some(bytes) = monitoring.files().get(Path::new("README.md")) else { return };
    let text = String::from_utf8_lossy(bytes);
    for alert in monitoring.alerts() {
        let Some((index, row)) = text.lines().enumerate().find(|(_, line)| alerts::is_row_of(alert, line)) else {
            continue;
        };
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let hold = if alert.hold.is_zero() { "–".to_owned() } else { duration::print(alert.hold) };
        let says =
            |cell: usize, what: &str| cells.get(cell).is_some_and(|cell| cell.split(" · ").any(|one| one == what));
        for (cell, what) in [(1, severity(alert)), (3, hold.as_str())] {
            if !says(cell, what) {
                let told = format!("the row of {} does not say {what}, as its rule does", alert.name);
                findings.find("alert/overview", "monitoring/README.md", index + 1, told, "");
            }
        }
    }
}

/// The first section has commands for every place the stack runs in.
fn commands_for_every_place(page: &Page, find: &mut impl FnMut(&'static str, usize, String, &str)) {
    let first = page.text.split("**Stop the bleeding").nth(1).and_then(|rest| rest.split("**Meaning").next());
    let lines = blocks(first.unwrap_or_default(), "sh");
    let place_of = |line: &str| PLACES.iter().find(|(place, _)| line.starts_with(place));
    let has_one = |place: &str, programs: &[&str]| {
        let Some(at) = lines.iter().position(|(_, line)| line.starts_with(place)) else { return false };
        // As far as the next place, or the end of the block.
        let mut own =
            lines[at..].windows(2).take_while(|pair| pair[1].0 == pair[0].0 + 1 && place_of(&pair[1].1).is_none());
        own.any(|pair| !pair[1].1.starts_with('#') && programs.iter().any(|program| pair[1].1.contains(program)))
    };
    for (place, _) in PLACES.iter().filter(|(place, programs)| !has_one(place, programs)) {
        find(
            "runbook/place",
            1,
            format!("no command is for `{place}`"),
            "whoever is woken runs it in one of four ways, and pastes",
        );
    }
}

/// The services that a command of compose's names.
fn services(command: &str, there: &There, mut find: impl FnMut(String)) {
    if there.services.is_empty() {
        return;
    }
    for rest in command.split("docker compose ").skip(1) {
        let end = rest.find(['|', '#', '&', ';', ')', '`', '>']).unwrap_or(rest.len());
        let mut words = rest[..end].split_whitespace();
        let mut plain = Vec::new();
        while let Some(word) = words.next() {
            if WITH_VALUE.contains(&word) {
                words.next();
            } else if !word.starts_with('-') {
                plain.push(word);
            }
        }
        let Some((verb, named)) = plain.split_first() else { continue };
        let named = match *verb {
            "exec" | "port" | "run" => &named[..named.len().min(1)],
            "logs" | "restart" | "kill" | "ps" | "up" | "stop" | "start" => named,
            _ => continue,
        };
        for name in named.iter().map(|name| name.trim_matches('"')) {
            if !there.services.contains(name) {
                find(format!("compose.yaml has no service `{name}`"));
            }
        }
    }
}

/// The recipe that a command names.
fn recipe(command: &str, there: &There, mut find: impl FnMut(String)) {
    let called = command.split("&&").filter_map(|part| part.trim().strip_prefix("just "));
    for name in called.filter_map(|rest| rest.split_whitespace().next()) {
        if !there.recipes.is_empty() && !there.recipes.contains(name) {
            find(format!("there is no recipe `{name}`"));
        }
    }
}

/// Words that look like settings of the service's.
fn settings(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
    words.filter(|word| word.strip_prefix("APP_").is_some_and(|rest| rest.len() > 1)).collect()
}

/// Titles in *emphasis* behind the word panel, and those that are listed after one.
fn panels(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut is_listed = false;
    let parts: Vec<&str> = line.split('*').collect();
    // Two stars leave an empty part: what is bold is no title.
    for index in (1..parts.len().saturating_sub(1)).step_by(2) {
        let before = parts[index - 1].trim_end();
        let is_named = ["panel", "panels"].iter().any(|word| before.ends_with(word));
        is_listed = !parts[index].is_empty() && (is_named || (is_listed && [",", "and"].contains(&before.trim())));
        if is_listed {
            found.push(parts[index]);
        }
    }
    found
}

/// A page's commands silence its own alerts, all of them and no others, and never the Watchdog.
fn silences(page: &Page, monitoring: &Monitoring, find: &mut impl FnMut(&'static str, usize, String, &str)) {
    let own = |name: &str| monitoring.alert(name).is_some_and(|alert| is_of(alert, page));
    let mut silenced = BTreeSet::new();
    for (line, command) in blocks(&page.text, "sh") {
        let Some(matcher) = command.split("silence add alertname=").nth(1) else { continue };
        let (kind, rest) = matcher.strip_prefix('~').map_or((T_EQL, matcher), |rest| (T_EQL_REGEX, rest));
        let value = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split('\'').next(),
            None => rest.split_whitespace().next(),
        };
        let Ok(matcher) = Matcher::new_matcher(kind, "alertname".to_owned(), value.unwrap_or_default().to_owned())
        else {
            find("runbook/silence", line, format!("`{}` is no pattern", value.unwrap_or_default()), "");
            continue;
        };
        let fitting: Vec<&str> = monitoring.alerts().iter().map(|alert| alert.name.as_str()).collect();
        let fitting: Vec<&str> = fitting.into_iter().filter(|name| matcher.is_match(name)).collect();
        for name in fitting.iter().filter(|name| !own(name)) {
            find(
                "runbook/silence",
                line,
                format!("this silences {name}, whose page is another"),
                "a page silences its own alerts",
            );
        }
        silenced.extend(fitting);
    }
    for alert in monitoring.alerts().iter().filter(|alert| own(&alert.name)) {
        let is_silenced = silenced.contains(alert.name.as_str());
        if is_silenced == (alert.name == WATCHDOG) {
            let what = if is_silenced {
                format!("{} is silenced: nothing would tell that no alert arrives", alert.name)
            } else {
                format!("no command silences {}", alert.name)
            };
            find("runbook/silence", 1, what, "amtool … silence add alertname=…");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::check::pasted::FOLDER;
    use crate::check::tree::read_dashboards;

    /// What a change of a page adds to the findings.
    fn found(page: &str, from: &str, to: &str) -> Vec<String> {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let before = Monitoring::read(&root.join("monitoring")).unwrap_or_else(|failure| panic!("{failure}"));
        let mut files = before.files().clone();
        let path = page.strip_prefix("../").map_or_else(|| Path::new(FOLDER).join(page), PathBuf::from);
        let bytes = files.get_mut(&path).unwrap_or_else(|| panic!("{page} is not there"));
        let text = String::from_utf8_lossy(bytes).into_owned();
        assert!(text.contains(from), "{page} does not contain {from}");
        *bytes = text.replacen(from, to, 1).into_bytes();
        let after = Monitoring::from_files(files).unwrap_or_else(|findings| panic!("{findings:#?}"));
        let there = There::read(root, &read_dashboards(&before, &mut Findings::default()), &mut Findings::default());
        let all = |monitoring: &Monitoring| -> Vec<String> {
            let mut findings = Findings::default();
            of(monitoring, &there, &mut findings);
            findings.0.into_iter().map(|finding| finding.what).collect()
        };
        let known = all(&before);
        all(&after).into_iter().filter(|what| !known.contains(what)).collect()
    }

    #[test]
    fn what_a_command_names_is_there() {
        for (page, from, to, what) in [
            (
                "AppDown.md",
                "docker compose restart app",
                "docker compose restart ap",
                "compose.yaml has no service `ap`",
            ),
            ("AppDown.md", "--tail 40 app", "--tail 40 --since 1h ap", "compose.yaml has no service `ap`"),
            ("AppDown.md", "compose exec app", "compose exec ap", "compose.yaml has no service `ap`"),
            ("AppDown.md", "just status", "just state", "there is no recipe `state`"),
            ("AppDown.md", "just down && just up", "just down && just begin", "there is no recipe `begin`"),
            ("AppDown.md", "just traffic 07", "just traffics 07", "there is no recipe `traffics`"),
            ("AppDown.md", "`APP_ADMIN_LISTEN`", "`APP_LISTEN_ADMIN`", "there is no setting APP_LISTEN_ADMIN"),
            ("AppDown.md", "APP_IMAGE=", "APP_PICTURE=", "there is no setting APP_PICTURE"),
            ("AppDown.md", "(AppSaturation.md)", "(AppSatiation.md)", "there is no page AppSatiation.md"),
            ("AppDown.md", "(scenario `07-app-down`)", "(scenario `07-app-up`)", "there is no scenario 07-app-up"),
            ("AppHigh5xxErrorRate.md", "panel *Exceptions rate*", "panel *Faults*, *Rate*", "there is no panel *Rate*"),
            ("AppDown.md", "# systemd, the unit", "# the unit", "no command is for `# systemd`"),
            (
                "AppDown.md",
                "# a local stack\n",
                "# a local stack\n```\n\n**Meaning.**\n\n```sh\n",
                "no command is for `# a local stack`",
            ),
            // What stands under a place's name is run there.
            (
                "MonitoringLogsNotShipped.md",
                "systemctl status loki\njournalctl --unit loki --lines 40\nsystemctl restart loki\n",
                "kubectl get pods\n",
                "no command is for `# systemd`",
            ),
            (
                "MonitoringLogsNotShipped.md",
                "# systemd\nsystemctl",
                "# systemd\n```\n\n```sh\nsystemctl",
                "no command is for `# systemd`",
            ),
        ] {
            assert_eq!(found(page, from, to), [what], "{page}: {to}");
        }
    }

    #[test]
    fn a_page_silences_its_own_alerts_and_the_watchdog_is_never_silenced() {
        let of_another = found("AppDown.md", "add alertname=AppDown", "add alertname=~'AppDown|AppHigh5.+'");
        assert_eq!(of_another, ["this silences AppHigh5xxErrorRate, whose page is another"]);
        assert_eq!(
            found("AppDown.md", "add alertname=AppDown", "add alertname=AppDwon"),
            ["no command silences AppDown"]
        );
        let unreadable = found("AppDown.md", "add alertname=AppDown", "add alertname=~'(App'");
        assert_eq!(unreadable, ["`(App` is no pattern", "no command silences AppDown"]);
        let silenced = found("Watchdog.md", "silence query alertname=Watchdog", "silence add alertname=Watchdog");
        assert_eq!(silenced, ["Watchdog is silenced: nothing would tell that no alert arrives"]);
    }

    #[test]
    fn a_page_and_the_table_say_the_severity_and_the_table_how_long() {
        for (page, from, to, what) in [
            (
                "AppDown.md",
                "Severity: critical.",
                "Severity: warning.",
                "this page does not say that AppDown is critical",
            ),
            (
                "AppErrorBudgetBurn.md",
                "| 6 | a twentieth in six hours | 5m | critical |",
                "| 6 | a twentieth in six hours | 5m | warning |",
                "this page does not say that AppErrorBudgetBurn6h is critical",
            ),
            (
                "../README.md",
                "(runbooks/AppDown.md) | critical |",
                "(runbooks/AppDown.md) | warning |",
                "the row of AppDown does not say critical, as its rule does",
            ),
            (
                "../README.md",
                "| 2m · 5m |",
                "| 2m |",
                "the row of AppErrorBudgetBurn6h does not say 5m, as its rule does",
            ),
        ] {
            assert_eq!(found(page, from, to), [what], "{page}: {to}");
        }
    }

    #[test]
    fn what_is_no_command_names_nothing() {
        assert_eq!(found("AppDown.md", "**Likely causes.**", "**Likely causes.** It is just a *guess*."), [""; 0]);
        let comment = "docker compose ps --all app   # or: just look at AppDown, docker compose ps --all";
        assert_eq!(found("AppDown.md", "docker compose ps --all app", comment), [""; 0]);
    }
}

//! check.toml: which findings are looked for, and which of those found are no fault here.
//!
//! `[findings]` switches a finding on or off by its name, or all of a group by what stands before the slash; the longer name
//! decides. What it does not name goes by whose it is: of our own tree all are on; of the tree of another service
//! (monitoring/service.toml) all but the habits of this repository ([`names::OF_OURS`]); of anybody's folder those that hold of
//! any monitoring ([`names::ANYWHERE`]).
//!
//! Any other table is called by a finding's name: exceptions, each with its reason. An entry is called by what the finding is
//! about: a file, or what [`Finding::subject`] may be. The list may not outlive what it excuses: an entry that excepts nothing is
//! a finding like what it would have hidden.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::finding::{Finding, Findings};
use super::names;
use super::pasted;
use super::tree::Tree;
use aiclipx_model::monitoring::Monitoring;

/// Below monitoring/, or in somebody's folder.
pub(super) const FILE: &str = "check.toml";

/// The table of what is on and off.
const SWITCHES: &str = "findings";

/// Whose monitoring it is: what is on where nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Ours,
    /// A tree as ours is, around another service.
    OfAnotherService,
    Anybodys,
}

impl Whose {
    /// Whose tree it is.
    pub(super) fn tree(monitoring: &Monitoring) -> Whose {
        if monitoring.service().is_ours() { Whose::Ours } else { Whose::OfAnotherService }
    }

    /// Whether findings of this name are told where nothing is said.
    fn wants(self, name: &str, group: &str) -> bool {
        match self {
            Whose::Ours => true,
            Whose::OfAnotherService => !names::OF_OURS.contains(&name) && !names::OF_OURS.contains(&group),
            Whose::Anybodys => names::ANYWHERE.contains(&name),
        }
    }
}

pub(super) struct Profile {
    whose: Whose,
    /// By a finding's name, or by a group's.
    switches: BTreeMap<String, bool>,
    exceptions: Vec<Entry>,
}

struct Entry {
    /// The finding's name.
    name: String,
    about: String,
    line: usize,
    /// Whether it has excepted something.
    is_used: Cell<bool>,
}

impl Profile {
    /// Reads the file; without one nothing is switched, and nothing excepted.
    pub(super) fn read(monitoring: &Monitoring, whose: Whose, findings: &mut Findings) -> Profile {
        let mut profile = Profile { whose, switches: BTreeMap::new(), exceptions: Vec::new() };
        let Some(bytes) = monitoring.files().get(Path::new(FILE)) else { return profile };
        let text = String::from_utf8_lossy(bytes);
        let (tables, errors) = DeTable::parse_recoverable(&text);
        for error in errors {
            let at = error.span().map_or(0, |span| line(&text, span.start));
            findings.find("check/file", file(whose), at, format!("not TOML: {}", error.message()), "");
        }
        for (name, table) in tables.get_ref() {
            let at = line(&text, name.span().start);
            let name = name.get_ref().as_ref();
            match table.get_ref() {
                DeValue::Table(table) if name == SWITCHES => profile.switch(table, &text, findings),
                DeValue::Table(table) => profile.except(name, at, table, &text, findings),
                _ => {
                    let remedy = "[\"name\"], and lines of: \"file or subject\" = \"why\"";
                    findings.find("check/file", file(whose), at, format!("`{name}` is no table"), remedy);
                }
            }
        }
        profile
    }

    fn switch(&mut self, table: &DeTable, text: &str, findings: &mut Findings) {
        for (name, value) in table {
            let at = line(text, name.span().start);
            let name = name.get_ref().as_ref();
            if !names::is_group(name) && names::of(name).is_none() {
                let what = format!("no finding is called `{name}`, and no group of them");
                findings.find("check/switch", file(self.whose), at, what, "`aiclipx check --names` lists them");
            } else if is_always_on(name) {
                let what = format!("`{name}` hides others, and can't be switched");
                findings.find(
                    "check/switch",
                    file(self.whose),
                    at,
                    what,
                    "take it off the list, and mend what it says",
                );
            }
            if let Some(word @ ("on" | "off")) = value.get_ref().as_str() {
                self.switches.insert(name.to_owned(), word == "on");
            } else {
                let what = format!("`{name}` is neither \"on\" nor \"off\"");
                findings.find("check/switch", file(self.whose), at, what, "");
            }
        }
    }

    fn except(&mut self, name: &str, at: usize, table: &DeTable, text: &str, findings: &mut Findings) {
        let file = || file(self.whose);
        if is_always_on(name) {
            let what = format!("`{name}` hides others, and can't be excepted");
            findings.find("exception/name", file(), at, what, "take it off the list, and mend what it says");
        }
        if names::of(name).is_none() {
            let what = format!("no finding is called `{name}`");
            findings.find("exception/name", file(), at, what, "`aiclipx check --names` lists them");
        }
        for (about, reason) in table {
            let line = line(text, about.span().start);
            let about = about.get_ref().as_ref();
            if about.is_empty() {
                let what = format!("`{name}` is excepted of nothing");
                findings.find("check/file", file(), line, what, "name a file, or what the finding is about");
                continue;
            }
            if reason.get_ref().as_str().is_none_or(|reason| reason.trim().is_empty()) {
                let what = format!("`{about}` has no reason");
                findings.find("exception/reason", file(), line, what, "write why, in a sentence");
            }
            let (name, about) = (name.to_owned(), about.to_owned());
            self.exceptions.push(Entry { name, about, line, is_used: Cell::default() });
        }
    }

    /// Whether findings of this name are told.
    fn is_on(&self, name: &str) -> bool {
        let group = name.split('/').next().unwrap_or_default();
        let said = self.switches.get(name).or_else(|| self.switches.get(group)).copied();
        is_always_on(name) || said.unwrap_or_else(|| self.whose.wants(name, group))
    }

    /// What is left of these.
    pub(super) fn leave(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let is_excepted = |finding: &Finding| self.exceptions.iter().any(|entry| entry.excepts(finding));
        findings.into_iter().filter(|finding| self.is_on(finding.name) && !is_excepted(finding)).collect()
    }

    /// Entries for an error that a running stack did not show. Whether something is empty depends on what runs, and on when it
    /// is asked, so that entries for it stay.
    pub(super) fn idle_on_a_stack(&self, has_grafana: bool) -> Findings {
        let mut names = vec!["panel/answer", "runbook/answer", "rule/absent", "rule/health"];
        names.extend(has_grafana.then_some("panel/grafana"));
        let mut idle = Findings::default();
        let is_idle = |entry: &&Entry| names.contains(&entry.name.as_str()) && !entry.is_used.get();
        for entry in self.exceptions.iter().filter(is_idle) {
            let what = format!("`{}` excepts nothing: this stack shows no {} of it", entry.about, entry.name);
            let remedy = "take it off the list, if its name is right";
            idle.find("exception/idle", file(self.whose), entry.line, what, remedy);
        }
        idle
    }

    /// Every entry excepts something of what was found; one of what only a running stack shows is of a panel or a page that
    /// there is.
    pub(super) fn check(&self, tree: &Tree, found: &[Finding]) -> Findings {
        let mut idle = Findings::default();
        for entry in self.exceptions.iter().filter(|entry| names::of(&entry.name).is_some()) {
            let Entry { name, about, line, .. } = entry;
            if !self.is_on(name) {
                let what = format!("`{about}` excepts nothing: {name} is off");
                idle.find("exception/idle", file(self.whose), *line, what, "take it off the list, or switch it on");
            } else if names::is_of_a_stack(name) {
                if !asked(name, tree).iter().any(|finding| entry.excepts(finding)) {
                    let what = format!("there is nothing called `{about}` that `{name}` could be of");
                    let remedy = "a panel as uid/id, a dashboard's uid, a query as a runbook has it, or a file";
                    idle.find("exception/idle", file(self.whose), *line, what, remedy);
                }
            } else if !found.iter().any(|finding| entry.excepts(finding)) {
                let what = format!("`{about}` excepts nothing: there is no {name} of it");
                let remedy = "take it off the list, if its name is right";
                idle.find("exception/idle", file(self.whose), *line, what, remedy);
            }
        }
        idle
    }
}

impl Entry {
    fn excepts(&self, finding: &Finding) -> bool {
        let excepts = self.name == finding.name && !is_always_on(&self.name) && finding.is_about(&self.about);
        self.is_used.set(self.is_used.get() || excepts);
        excepts
    }
}

/// Findings about this file itself, what can't be read, and those at which a check of the rest ends.
fn is_always_on(name: &str) -> bool {
    let is_of = |group: &str| name == group || name.strip_prefix(group).is_some_and(|rest| rest.starts_with('/'));
    is_of("check") || is_of("exception") || ["monitoring/file", "rule/none", "test/none"].contains(&name)
}

fn line(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

fn file(whose: Whose) -> PathBuf {
    match whose {
        Whose::Ours | Whose::OfAnotherService => Path::new("monitoring").join(FILE),
        Whose::Anybodys => PathBuf::from(FILE),
    }
}

/// What a running stack would be asked, each as if it were found.
fn asked(name: &str, tree: &Tree) -> Vec<Finding> {
    let mut findings = Findings::default();
    let Some(name) = names::of(name) else { return findings.0 };
    for (panel, dashboard, _) in tree.panels() {
        findings.about(name, &panel, &dashboard.file, 0, "", "");
    }
    for query in pasted::queries(&tree.monitoring) {
        findings.about(name, &query.expr, query.file, query.line, "", "");
    }
    for alert in tree.monitoring.alerts() {
        findings.at(name, alert, "", "");
    }
    for rule in tree.monitoring.recordings() {
        findings.about(name, &rule.name, &rule.file, rule.line, "", "");
    }
    findings.0
}

#[cfg(test)]
mod tests {
    use super::names;
    use crate::check::check_anybodys;

    const RULES: &str = "\
groups:
  - name: shop
    rules:
      - record: shop:rate
        expr: rate(shop:all[5m])
      - alert: ShopOrderLost
        expr: increase(shop_orders_lost_total[5m]) > 0
        for: 1m
      - record: shop:all
        expr: sum by (job) (http_requests_total)
";

    /// File, line and name of what is found in a folder of somebody's, with this check.toml.
    fn found(profile: &str) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in [("shop.yml", RULES), ("check.toml", profile)] {
            std::fs::write(folder.path().join(name), text).expect("it is written");
        }
        let found = check_anybodys(folder.path()).unwrap_or_else(|failure| panic!("{failure}"));
        found.iter().map(|one| format!("{}:{} {}", one.file.display(), one.line, one.name)).collect()
    }

    #[test]
    fn of_anybodys_a_finding_or_a_group_is_switched_off_and_the_longer_name_decides() {
        const BOTH: [&str; 2] = ["shop.yml:4 recording/rate", "shop.yml:6 alert/one-event"];
        let mut all = found("");
        all.sort();
        assert_eq!(all, BOTH);
        assert_eq!(found("[findings]\n\"recording/rate\" = \"off\"\n"), BOTH[1..]);
        assert_eq!(found("[findings]\nalert = \"off\"\n"), BOTH[..1]);
        assert_eq!(
            found("[findings]\nalert = \"off\"\n\"alert/one-event\" = \"on\"\nrecording = \"off\"\n"),
            BOTH[1..]
        );
    }

    #[test]
    fn what_is_on_and_what_is_off_are_names_that_there_are() {
        for name in names::ANYWHERE {
            assert!(names::of(name).is_some(), "{name}");
        }
        for name in names::OF_OURS {
            assert!(names::is_group(name) || names::of(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_switch_of_no_finding_is_refused_with_its_line() {
        let off = "[findings]\nalert = \"off\"\nrecording = \"off\"\n";
        assert_eq!(found(&format!("{off}\"alert/no-such\" = \"off\"\n")), ["check.toml:4 check/switch"]);
        assert_eq!(found(&format!("{off}query = \"maybe\"\n")), ["check.toml:4 check/switch"]);
    }

    #[test]
    fn an_exception_is_of_one_alert_and_one_that_excepts_nothing_is_found() {
        let with = |alert: &str| {
            found(&format!("[\"alert/one-event\"]\n{alert} = \"We want each.\"\n[findings]\nrecording = \"off\"\n"))
        };
        assert_eq!(with("ShopOrderLost"), [""; 0]);
        let mut idle = with("ShopDown");
        idle.sort();
        assert_eq!(idle, ["check.toml:2 exception/idle", "shop.yml:6 alert/one-event"]);
    }
}

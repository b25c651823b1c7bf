//! Whether the configuration that Prometheus or Alertmanager says it runs is the rendered copy it was given.
//!
//! Both answer with their own print: defaults written out, paths made absolute, durations in their own notation,
//! secrets hidden. So the file must be *contained* in the answer: every key with the same value, every list with the
//! same items in the same order (but matchers, which have none). What the answer has beyond the file may only be defaults, which are no lists; a list
//! that is in no file (a relabelling, a silence by time) is a difference.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::{ALERTMANAGER, PROMETHEUS, prometheus_flags};
use super::located::{self, Node, Value};
use super::matcher;
use aiclipx_base::duration::{self, Speed};

/// Lists that newer versions write out where the file has none.
const DEFAULT_LISTS: [&str; 1] = ["scrape_protocols"];
/// What stands in an answer in the place of a secret; newer Alertmanagers hide a webhook's whole URL.
const HIDDEN: &str = "<secret>";

/// Whose configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loader {
    /// Prometheus: what it scrapes and whom it tells.
    Prometheus,
    /// Alertmanager: routing.
    Alertmanager,
}

impl Loader {
    /// Both.
    pub const ALL: [Loader; 2] = [Loader::Prometheus, Loader::Alertmanager];

    /// As in paths and ids.
    pub fn name(self) -> &'static str {
        match self {
            Loader::Prometheus => "prometheus",
            Loader::Alertmanager => "alertmanager",
        }
    }

    /// Its file among those that [`render`](super::Monitoring::render) made.
    fn file(self) -> &'static str {
        match self {
            Loader::Prometheus => PROMETHEUS,
            Loader::Alertmanager => ALERTMANAGER,
        }
    }
}

/// What was held against each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Values that the file has.
    pub values: usize,
    /// Every difference, in words.
    pub differences: Vec<String>,
}

/// Compares the text a component answered with the file it was given.
pub fn config_equal(whose: Loader, answer: &str, files: &BTreeMap<PathBuf, Vec<u8>>) -> Compared {
    let mut compared = Compared { values: 0, differences: Vec::new() };
    let file = files.get(Path::new(whose.file())).map_or(&[][..], Vec::as_slice);
    match (located::read(answer.as_bytes()), located::read(file)) {
        (Ok(answer), Ok(file)) => compared.nodes("", &answer, &file),
        (Err((_, error)), _) => compared.differences.push(format!("the answer can't be read: {error}")),
        (_, Err((_, error))) => compared.differences.push(format!("{} can't be read: {error}", whose.file())),
    }
    compared
}

/// How many times faster than production a Prometheus says that it lives, in the configuration it answers: every copy of
/// ours has it as an external label. The error says what was found in its place.
pub fn speed_of(answer: &str) -> Result<Speed, String> {
    let node =
        located::read(answer.as_bytes()).map_err(|(_, error)| format!("its configuration can't be read: {error}"))?;
    let label = node.get("global").and_then(|global| global.get("external_labels")?.get("speed"));
    let label = label.ok_or("its configuration is not ours: it has no external label `speed`")?;
    label.value.plain().parse().map_err(|error| format!("its external label `speed` is no speed: {error}"))
}

impl Compared {
    /// Compares the flags that Prometheus says it was started with, by name, with those it must be told at a speed.
    pub fn flags(&mut self, answer: &serde_json::Value, speed: Speed) {
        for flag in prometheus_flags(speed) {
            let (name, wanted) = flag.trim_start_matches("--").split_once('=').unwrap_or_default();
            let loaded = answer[name].as_str().unwrap_or("not told");
            self.values += 1;
            if !is_same(loaded, wanted) {
                self.differences.push(format!("--{name} is {loaded}, must be {wanted}"));
            }
        }
    }

    fn nodes(&mut self, place: &str, loaded: &Node, file: &Node) {
        match (&loaded.value, &file.value) {
            (Value::Map(_), Value::Map(entries)) => {
                for entry in entries {
                    let place = if place.is_empty() { entry.key.clone() } else { format!("{place}.{}", entry.key) };
                    match loaded.get(&entry.key) {
                        Some(loaded) => self.nodes(&place, loaded, &entry.node),
                        None => self.differences.push(format!("`{place}` is not loaded")),
                    }
                }
                let only_loaded = loaded.entries().iter().filter(|entry| file.get(&entry.key).is_none());
                for entry in only_loaded.filter(|entry| !DEFAULT_LISTS.contains(&entry.key.as_str())) {
                    if !entry.node.items().is_empty() {
                        self.differences.push(format!("`{place}.{}` is loaded and not in the file", entry.key));
                    }
                }
            }
            // An Alertmanager prints them by name, whichever way they were written.
            (Value::List(loaded), Value::List(file)) if place.ends_with("matchers") => {
                self.values += file.len();
                let (loaded, file) = (matcher::written_one_way(loaded), matcher::written_one_way(file));
                if loaded != file {
                    let (loaded, file) = (loaded.join(", "), file.join(", "));
                    self.differences.push(format!("`{place}` are `{loaded}`, in the file `{file}`"));
                }
            }
            (Value::List(loaded), Value::List(file)) if loaded.len() == file.len() => {
                for (index, (loaded, file)) in loaded.iter().zip(file).enumerate() {
                    self.nodes(&format!("{place}[{index}]"), loaded, file);
                }
            }
            (Value::List(loaded), Value::List(file)) => {
                let (loaded, file) = (loaded.len(), file.len());
                self.differences.push(format!("`{place}` has {loaded} items loaded and {file} in the file"));
            }
            (loaded, file) => {
                self.values += 1;
                let (loaded, file) = (loaded.plain(), file.plain());
                if !is_same(&loaded, &file) {
                    self.differences.push(format!("`{place}` is `{loaded}`, in the file `{file}`"));
                }
            }
        }
    }
}

fn is_same(loaded: &str, file: &str) -> bool {
    let is_path_of = || loaded.starts_with('/') && loaded.ends_with(&format!("/{file}"));
    let is_duration_of = || duration::parse(loaded).is_ok_and(|loaded| duration::parse(file) == Ok(loaded));
    loaded == file || loaded == HIDDEN || is_duration_of() || is_path_of()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "route:\n  receiver: page\n  group_wait: 1500ms\n  routes:\n  - matchers: [c!=d, 'a=\"b\"']\n\
        receivers:\n- name: page\n  webhook_configs:\n  - url: http://x/alerts\n    send_resolved: true\ntemplates: [t/*.tmpl]\n";
    const LOADED: &str = "global:\n  resolve_timeout: 5m\nroute:\n  receiver: page\n  continue: false\n\
        \x20 group_wait: 1s500ms\n  routes:\n  - matchers:\n    - a=\"b\"\n    - c!=\"d\"\nreceivers:\n- name: page\n  webhook_configs:\n\
        \x20 - send_resolved: true\n    url: http://x/alerts\n    max_alerts: 0\ntemplates:\n- /etc/am/t/*.tmpl\n";

    fn differences(loaded: &str) -> Vec<String> {
        let files = BTreeMap::from([(PathBuf::from(ALERTMANAGER), FILE.as_bytes().to_vec())]);
        config_equal(Loader::Alertmanager, loaded, &files).differences
    }

    #[test]
    fn flags_are_held_to_the_speed() {
        let speed = "30".parse().unwrap();
        let answer = |lookback: &str| {
            serde_json::json!({"query.lookback-delta": lookback, "rules.alert.resend-delay": "2s",
                "rules.alert.for-grace-period": "20s", "web.enable-admin-api": "true"})
        };
        let compared = |answer| {
            let mut compared = Compared { values: 0, differences: Vec::new() };
            compared.flags(&answer, speed);
            (compared.values, compared.differences)
        };
        assert_eq!(compared(answer("10s")), (3, Vec::new()));
        assert_eq!(compared(answer("5m")).1, ["--query.lookback-delta is 5m, must be 10s"]);
        assert_eq!(compared(serde_json::Value::Null).1.len(), 3);
    }

    #[test]
    fn the_speed_is_what_the_label_says() {
        let of = |labels: &str| speed_of(&format!("global:\n  scrape_interval: 15s\n{labels}"));
        assert_eq!(of("  external_labels:\n    speed: \"30\"\n").unwrap().factor(), 30);
        assert!(of("  external_labels:\n    site: x\n").unwrap_err().contains("not ours"));
        assert!(of("  external_labels:\n    speed: fast\n").is_err());
        assert!(speed_of("a: [").unwrap_err().contains("can't be read"));
    }

    #[test]
    fn a_print_with_its_defaults_is_the_file_it_came_from() {
        assert_eq!(differences(LOADED), [""; 0]);
        assert_eq!(differences(&LOADED.replace("http://x/alerts", HIDDEN)), [""; 0], "newer ones hide it");
    }

    #[test]
    fn every_other_difference_is_told_with_its_place() {
        let rows = [
            ("1s500ms", "15s", "`route.group_wait` is `15s`, in the file `1500ms`"),
            (
                "a=\"b\"",
                "a=\"c\"",
                "`route.routes[0].matchers` are `a=\"c\", c!=\"d\"`, in the file `a=\"b\", c!=\"d\"`",
            ),
            ("    - c!=\"d\"\n", "", "`route.routes[0].matchers` are `a=\"b\"`, in the file"),
            ("send_resolved: true", "send_resolved: false", "send_resolved` is `false`"),
            ("http://x/", "http://y/", "url` is `http://y/alerts`"),
            ("/etc/am/t/*.tmpl", "/etc/am/other/*.tmpl", "`templates[0]` is"),
            ("receivers:\n", "receivers:\n- name: more\n", "`receivers` has 2 items loaded and 1 in the file"),
            ("  group_wait: 1s500ms\n", "", "`route.group_wait` is not loaded"),
            (
                "    max_alerts: 0",
                "    mute_time_intervals: [night]",
                "mute_time_intervals` is loaded and not in the file",
            ),
        ];
        for (from, to, told) in rows {
            assert!(LOADED.contains(from), "{from}");
            let found = differences(&LOADED.replacen(from, to, 1));
            assert!(found.len() == 1 && found[0].contains(told), "{from} → {to}: {found:?}");
        }
        assert!(differences("a: [").join("").contains("can't be read"));
    }
}

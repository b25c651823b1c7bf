//! What was recorded of a scene: its folder as types.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::layout::{ALERTMANAGER, ALERTS, AMTOOL, LOADED, NOTIFICATIONS, PROMETHEUS, RULES, RUN, SENT, STATES};
use crate::files::{read_bytes, read_json, read_text};
use crate::run::is_a_time;
use aiclipx_base::address::Address;
use aiclipx_model::drill::messages::Text;
use aiclipx_model::drill::reading::Texts;
use aiclipx_model::drill::scene::{EVALUATED, Sent, Stretch};
use aiclipx_model::drill::secrets::is_secret;
use aiclipx_model::notification::Status;
use aiclipx_model::prom::answer;

/// `run.json` of a scene: what can't be planned. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The version of the drill's statement.
    pub schema: u32,
    pub stretch: Stretch,
    /// What the group of all rules was called.
    pub group: String,
    /// When the test's time was zero.
    pub origin_ms: i64,
    pub began_ms: i64,
    pub ended_ms: i64,
    pub alertmanager: Address,
    pub receiver: Address,
    /// What the machine did that nobody asked for.
    pub disturbances: Vec<String>,
}

/// What amtool says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amtool {
    /// Whether it has the templates that Alertmanager has of itself.
    pub knows_own_texts: bool,
    /// Of each alert that was expected or told, who is to be told.
    pub routes: Vec<Routed>,
    /// Of each text of a receiver's messages, what became of it with what the receiver was sent.
    pub messages: Vec<Message>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routed {
    pub labels: Texts,
    pub receivers: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub receiver: String,
    /// Where the text stands in the receiver's configuration.
    pub place: String,
    /// Which of the notifications it was filled in with, from 0.
    pub notification: usize,
    /// The text that came of it, or what amtool said instead.
    pub came: Result<String, String>,
}

/// A scene, read.
#[derive(Debug)]
pub struct Record {
    pub name: String,
    pub run: Run,
    /// The files that were loaded: rules, Prometheus' and Alertmanager's configuration.
    pub files: [String; 3],
    /// The rules as Prometheus told them: names, and expressions.
    pub loaded: Vec<(String, String)>,
    pub sent: Vec<Sent>,
    /// When rules were evaluated, in the test's time.
    pub evaluated: BTreeSet<i64>,
    /// `ALERTS`: labels, state, and when, in the test's time.
    pub alerts: Vec<Samples>,
    /// What Prometheus said at the times that are asked about.
    pub states: BTreeMap<i64, Vec<State>>,
    pub notifications: Vec<Notification>,
    pub amtool: Amtool,
}

/// A series of `ALERTS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    /// Name and state not among them.
    pub labels: Texts,
    pub is_firing: bool,
    pub times: BTreeSet<i64>,
}

/// An alert as `/api/v1/rules` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct State {
    pub labels: Texts,
    #[serde(default)]
    pub annotations: Texts,
    pub state: String,
}

/// What the receiver was sent, once.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Notification {
    pub received_ms: i64,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Body {
    /// Whom it is for, in Alertmanager's words.
    pub receiver: String,
    pub alerts: Vec<Told>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Told {
    pub status: Status,
    pub labels: Texts,
    #[serde(default)]
    pub annotations: Texts,
}

/// A line of `states.jsonl`.
#[derive(Debug, Deserialize)]
struct Seen {
    test_ms: i64,
    body: Rules,
}

#[derive(Debug, Deserialize)]
struct Rules {
    data: Groups,
}

#[derive(Debug, Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    rules: Vec<LoadedRule>,
}

#[derive(Debug, Deserialize)]
struct LoadedRule {
    name: String,
    query: String,
    #[serde(default)]
    alerts: Vec<State>,
}

impl Record {
    /// Reads the folder of a scene.
    pub fn read(folder: &Path) -> anyhow::Result<Record> {
        let name = folder.file_name().and_then(|name| name.to_str()).context("a folder without a name")?.to_owned();
        let run: Run = read_json(&folder.join(RUN))?;
        ensure!(
            [run.origin_ms, run.began_ms, run.ended_ms].into_iter().all(is_a_time),
            "run.json holds no time of a drill"
        );
        ensure!(run.stretch.step_ms > 0, "run.json holds no interval of a drill");
        let text = |file| read_text(&folder.join(file));
        let loaded: Rules = read_json(&folder.join(LOADED))?;
        let loaded = loaded.data.groups.into_iter().flat_map(|group| group.rules).map(|rule| (rule.name, rule.query));
        let answered = answer::parse(&read_bytes(&folder.join(ALERTS))?).context(ALERTS)?.data.into_series();
        let (mut evaluated, mut alerts) = (BTreeSet::new(), Vec::new());
        for series in answered {
            let times = series.samples.iter().map(|sample| shown(&run, sample.seconds)).collect();
            let mut labels = series.labels;
            match labels.remove("__name__").as_deref() {
                Some(EVALUATED) => evaluated = times,
                Some("ALERTS") => {
                    let is_firing = labels.remove("alertstate").is_some_and(|state| state == "firing");
                    alerts.push(Samples { labels, is_firing, times });
                }
                _ => anyhow::bail!("{ALERTS} holds what nobody asked for"),
            }
        }
        let states = text(STATES)?;
        let states = states.lines().map(|line| {
            let seen: Seen = serde_json::from_str(line).context(STATES)?;
            ensure!(is_a_time(seen.test_ms.saturating_abs()), "{STATES} holds a time that is none");
            let rules = seen.body.data.groups.into_iter().flat_map(|group| group.rules);
            Ok((seen.test_ms, rules.flat_map(|rule| rule.alerts).collect()))
        });
        let notifications = text(NOTIFICATIONS)?;
        let notifications = notifications.lines().map(|line| {
            let one: Notification = serde_json::from_str(line).context(NOTIFICATIONS)?;
            ensure!(is_a_time(one.received_ms), "{NOTIFICATIONS} holds a time that is none");
            Ok(one)
        });
        Ok(Record {
            files: [text(RULES)?, text(PROMETHEUS)?, text(ALERTMANAGER)?],
            loaded: loaded.collect(),
            sent: read_json(&folder.join(SENT))?,
            evaluated,
            alerts,
            states: states.collect::<anyhow::Result<_>>()?,
            notifications: notifications.collect::<anyhow::Result<_>>()?,
            amtool: read_json(&folder.join(AMTOOL))?,
            name,
            run,
        })
    }

    /// A file of it, as claims name it.
    pub fn file(&self, file: &str) -> String {
        format!("{}/{}/{file}", super::layout::SCENES, self.name)
    }

    /// Why a text of a receiver's messages shows too little of these alerts; none where it was rendered with each of them, as it
    /// fired and as it was over, of which the receiver was told.
    pub fn unrendered(&self, receiver: &str, text: &Text, own: &[Texts]) -> Option<String> {
        let place = &text.place;
        let of = |notification: &Notification| -> BTreeSet<(Texts, bool)> {
            let told = notification.body.alerts.iter().filter(|alert| own.contains(&alert.labels));
            told.map(|alert| (alert.labels.clone(), alert.status == Status::Firing)).collect()
        };
        let told: BTreeSet<_> =
            self.notifications.iter().filter(|one| one.body.receiver == receiver).flat_map(of).collect();
        let messages = self.amtool.messages.iter().filter(|one| one.receiver == receiver && one.place == *place);
        let rendered: BTreeSet<_> =
            messages.filter_map(|one| self.notifications.get(one.notification)).flat_map(of).collect();
        if told.is_subset(&rendered) {
            None
        } else if is_secret(place) {
            Some(format!("{place} of {receiver} is secret, and so is not rendered"))
        } else if text.asks_for_own() && !self.amtool.knows_own_texts {
            Some(format!("{place} of {receiver} needs Alertmanager's own templates, which amtool has from 0.26 on"))
        } else {
            Some(format!("amtool did not render {place} of {receiver} with every alert that it was told of"))
        }
    }

    /// What the machine did that makes it say nothing; none where it is sound.
    pub fn disturbances(&self, asked: impl Iterator<Item = i64>) -> Vec<String> {
        let stretch = &self.run.stretch;
        let mut found = self.run.disturbances.clone();
        let missed: Vec<i64> = stretch.evaluations().filter(|at| !self.evaluated.contains(at)).collect();
        if let Some(first) = missed.first() {
            found.push(format!("{} of its evaluations were missed, the first at {}", missed.len(), time(*first)));
        }
        for at in asked.map(|at| stretch.evaluation_of(at)).collect::<BTreeSet<_>>() {
            if !self.states.contains_key(&at) {
                found.push(format!("what Prometheus said at {} was not seen in time", time(at)));
            }
        }
        found
    }
}

/// A moment in the test's time.
fn shown(run: &Run, seconds: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation)] // this century's milliseconds
    run.stretch.test_ms((seconds * 1000.0).round() as i64 - run.origin_ms)
}

/// A time of a test, as test files write it.
pub fn time(test_ms: i64) -> String {
    aiclipx_base::duration::print(std::time::Duration::from_millis(test_ms.unsigned_abs()))
}

//! Anybody's Alertmanager configuration: whom an alert is routed to, what inhibits it, what is written in messages; and the same
//! configuration as a drill loads it, with a webhook in the place of every integration.

use std::path::Path;
use std::time::Duration;

use promql_parser::label::Matcher;
use promql_parser::parser::token::{T_EQL, T_EQL_REGEX};
use serde_json::{Value, json};

use super::calendar::{self, Calendar, Intervals};
use super::messages::{self, Text};
use super::reading::{Reading, Texts, is_on, scalar, text_of};
use crate::failure::Finding;
use crate::monitoring::located::{self, Node};
use crate::monitoring::matcher;
use aiclipx_base::address::Address;
use aiclipx_base::duration::{self, Speed};

/// Who is told, as the file has it; production time.
#[derive(Debug, Clone)]
pub struct Configuration {
    route: Route,
    inhibitions: Vec<Inhibition>,
    receivers: Vec<Receiver>,
    /// Patterns of files, as it names them.
    pub templates: Vec<String>,
    document: Node,
}

/// A node of the routing tree, with what it inherits filled in.
#[derive(Debug, Clone)]
struct Route {
    matchers: Vec<Matcher>,
    goes_on: bool,
    place: Place,
    routes: Vec<Route>,
}

/// Where an alert ends up: who is told, and in which rhythm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub receiver: String,
    pub group_wait: Duration,
    pub group_interval: Duration,
    pub repeat_interval: Duration,
    /// When it tells, where that is not always.
    pub calendar: Option<Calendar>,
}

#[derive(Debug, Clone)]
struct Inhibition {
    source: Vec<Matcher>,
    target: Vec<Matcher>,
    equal: Vec<String>,
}

/// A receiver, and the texts of its messages that are templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    pub name: String,
    /// Whether it has any integration: else an alert ends there, and nobody is told.
    pub tells: bool,
    /// Whether one of them is told that an alert is over: `send_resolved`, and where nothing is said, what Alertmanager takes.
    pub tells_of_ends: bool,
    /// Of how many alerts of a group it is told at most, where that is bounded.
    pub most_alerts: Option<u64>,
    /// The texts of what it is sent.
    pub texts: Vec<Text>,
    /// Of each integration, the places of texts of which one at least must say something.
    pub worded: Vec<Vec<String>>,
}

/// Integrations that tell of no end unless they are asked to.
const OF_NO_END: [&str; 4] = ["email_configs", "rocketchat_configs", "slack_configs", "wechat_configs"];

/// Below these stand labels and matchers, which are texts whatever they look like: `v: 1.10` is not `1.1`.
const OF_LABELS: [&str; 11] = [
    "match",
    "match_re",
    "matchers",
    "source_match",
    "source_match_re",
    "source_matchers",
    "target_match",
    "target_match_re",
    "target_matchers",
    "equal",
    "group_by",
];

/// A configuration as YAML, its labels as they were written.
pub(super) fn document(bytes: &[u8]) -> Result<Node, (usize, String)> {
    located::read_texts_below(&OF_LABELS, bytes)
}

impl Configuration {
    /// Reads one.
    pub fn read(path: &Path, bytes: &[u8]) -> Result<Configuration, Vec<Finding>> {
        let (mut reading, document) = Reading::by(document, path, bytes);
        let read = document.and_then(|document| {
            let receivers = document.items_of("receivers").iter().map(receiver).collect::<Vec<_>>();
            let defaults = Place {
                receiver: String::new(),
                group_wait: Duration::from_secs(30),
                group_interval: Duration::from_mins(5),
                repeat_interval: Duration::from_hours(4),
                calendar: None,
            };
            let intervals = calendar::intervals(&document);
            let Some(root) = document.get("route") else {
                reading.find(0, "no `route`: nobody is told");
                return None;
            };
            let route = route(&mut reading, root, &defaults, (&receivers, &intervals));
            let inhibitions =
                document.items_of("inhibit_rules").iter().map(|one| inhibition(&mut reading, one)).collect();
            let templates = document.items_of("templates").iter().filter_map(scalar).collect();
            Some(Configuration { route, inhibitions, receivers, templates, document })
        });
        reading.done(read)
    }

    /// Where an alert of these labels ends up, in the order of the tree.
    pub fn places(&self, labels: &Texts) -> Vec<&Place> {
        let mut places = Vec::new();
        self.route.find(labels, &mut places);
        places
    }

    /// The names of those whom it is routed to, each once.
    pub fn receivers_of(&self, labels: &Texts) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for place in self.places(labels) {
            if !names.contains(&place.receiver.as_str()) {
                names.push(&place.receiver);
            }
        }
        names
    }

    /// Whether an alert that fires keeps another quiet.
    pub fn inhibits(&self, source: &Texts, target: &Texts) -> bool {
        self.inhibitions.iter().any(|one| one.holds(source, target))
    }

    /// The names of all receivers.
    pub fn receivers(&self) -> impl Iterator<Item = &str> {
        self.receivers.iter().map(|receiver| receiver.name.as_str())
    }

    /// A receiver of a name.
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.iter().find(|receiver| receiver.name == name)
    }

    /// The configuration as a drill of that speed loads it, every integration replaced by one webhook to `to`, which is told the
    /// receiver's name; all that can't be divided is told. Templates lie where `templates` says.
    pub fn lived(&self, speed: Speed, to: &Address, templates: &[String]) -> Result<String, Vec<String>> {
        let mut refused = Vec::new();
        let mut route = json_of(self.document.get("route"));
        divide(&mut route, true, speed, &mut refused);
        let mut lived = json!({
            "route": route,
            "receivers": self.receivers.iter().map(|one| json!({
                "name": one.name,
                "webhook_configs": [{
                    "url": to.url(&format!("/alerts?receiver={}", encoded(&one.name))),
                    // Of who is no receiver at all the end is told as well: it is seen then who was told.
                    "send_resolved": one.tells_of_ends || !one.tells,
                    "max_alerts": one.most_alerts.unwrap_or(0),
                }],
            })).collect::<Vec<_>>(),
            "templates": templates,
        });
        if let Some(inhibitions) = self.document.get("inhibit_rules") {
            lived["inhibit_rules"] = json_of(Some(inhibitions));
        }
        let timeout = self.document.get("global").and_then(|global| text_of(global, "resolve_timeout"));
        let timeout = timeout.unwrap_or_else(|| "5m".to_owned());
        lived["global"] = json!({ "resolve_timeout": divided("resolve_timeout", &timeout, speed, &mut refused) });
        // JSON is YAML, and leaves nothing to be taken for something else.
        let text = serde_json::to_string_pretty(&lived).map_err(|error| vec![error.to_string()])?;
        if refused.is_empty() { Ok(text + "\n") } else { Err(refused) }
    }
}

impl Route {
    /// Depth first, the first child that matches, and those behind it where it goes on; the node itself where none does.
    fn find<'a>(&'a self, labels: &Texts, places: &mut Vec<&'a Place>) {
        let before = places.len();
        for route in self.routes.iter().filter(|route| is_met(&route.matchers, labels)) {
            route.find(labels, places);
            if !route.goes_on {
                break;
            }
        }
        if places.len() == before {
            places.push(&self.place);
        }
    }
}

impl Inhibition {
    fn holds(&self, source: &Texts, target: &Texts) -> bool {
        let of = |labels: &Texts, name: &String| labels.get(name).cloned().unwrap_or_default();
        let is_equal = self.equal.iter().all(|name| of(source, name) == of(target, name));
        // What is on both sides inhibits nothing that is on both sides: nor itself.
        let both = is_met(&self.target, source) && is_met(&self.source, target);
        is_equal && is_met(&self.source, source) && is_met(&self.target, target) && !both
    }
}

fn is_met(matchers: &[Matcher], labels: &Texts) -> bool {
    matchers.iter().all(|matcher| matcher.is_match(labels.get(&matcher.name).map_or("", String::as_str)))
}

fn route(reading: &mut Reading, node: &Node, parent: &Place, known: (&[Receiver], &Intervals)) -> Route {
    let (receivers, intervals) = known;
    let place = Place {
        receiver: text_of(node, "receiver").unwrap_or_else(|| parent.receiver.clone()),
        group_wait: reading.duration(node, "group_wait").unwrap_or(parent.group_wait),
        group_interval: reading.duration(node, "group_interval").unwrap_or(parent.group_interval),
        repeat_interval: reading.duration(node, "repeat_interval").unwrap_or(parent.repeat_interval),
        // What a route says of times none below it inherits.
        calendar: Calendar::of(node, intervals),
    };
    if !receivers.iter().any(|one| one.name == place.receiver) {
        reading.find(node.line_of("receiver"), format!("no receiver is called `{}`", place.receiver));
    }
    let routes = node.items_of("routes").iter().map(|child| route(reading, child, &place, known)).collect();
    Route { matchers: matchers(reading, node, ""), goes_on: is_on(node, "continue"), routes, place }
}

fn inhibition(reading: &mut Reading, node: &Node) -> Inhibition {
    Inhibition {
        source: matchers(reading, node, "source_"),
        target: matchers(reading, node, "target_"),
        equal: node.items_of("equal").iter().filter_map(scalar).collect(),
    }
}

/// All that a node asks of labels: `match`, `match_re` and `matchers`, with whatever stands before them.
fn matchers(reading: &mut Reading, node: &Node, before: &str) -> Vec<Matcher> {
    let mut all = Vec::new();
    for (key, operator) in [("match", T_EQL), ("match_re", T_EQL_REGEX)] {
        for entry in node.get(&format!("{before}{key}")).map_or(&[][..], Node::entries) {
            let value = scalar(&entry.node).unwrap_or_default();
            match Matcher::new_matcher(operator, entry.key.clone(), value) {
                Ok(matcher) => all.push(matcher),
                Err(why) => reading.find(entry.line, why),
            }
        }
    }
    for item in node.items_of(&format!("{before}matchers")) {
        match matcher::parse(&scalar(item).unwrap_or_default()) {
            Ok(read) => all.extend(read),
            Err(why) => reading.find(item.line, why),
        }
    }
    all
}

fn receiver(node: &Node) -> Receiver {
    let (mut texts, mut worded) = (Vec::new(), Vec::new());
    let (mut tells, mut tells_of_ends) = (false, false);
    let mut bounds = Vec::new();
    for entry in node.entries().iter().filter(|entry| entry.key.ends_with("_configs")) {
        for (index, integration) in entry.node.items().iter().enumerate() {
            tells = true;
            let says = text_of(integration, "send_resolved").is_some();
            tells_of_ends |= if says { is_on(integration, "send_resolved") } else { !OF_NO_END.contains(&&*entry.key) };
            bounds.push(text_of(integration, "max_alerts").and_then(|text| text.parse().ok()).filter(|most| *most > 0));
            let place = format!("{}/{index}", entry.key);
            texts.extend(messages::texts(&entry.key, &place, integration));
            worded.extend(messages::worded(&entry.key, &place, integration));
        }
    }
    // One that is bounded among others that are not is told less than they are, and not who is told.
    let most_alerts = bounds.into_iter().collect::<Option<Vec<u64>>>().and_then(|all| all.into_iter().max());
    Receiver { name: text_of(node, "name").unwrap_or_default(), tells, tells_of_ends, most_alerts, texts, worded }
}

fn json_of(node: Option<&Node>) -> Value {
    node.and_then(|node| serde_json::to_value(node).ok()).unwrap_or(Value::Null)
}

/// The timings of a route and those below it. When nobody may be told, and when alone, is of the calendar, which no drill waits
/// for: it is left out.
fn divide(route: &mut Value, is_root: bool, speed: Speed, refused: &mut Vec<String>) {
    let Some(route) = route.as_object_mut() else { return };
    for key in ["mute_time_intervals", "active_time_intervals"] {
        route.remove(key);
    }
    for (key, default) in [("group_wait", "30s"), ("group_interval", "5m"), ("repeat_interval", "4h")] {
        let text = route.get(key).and_then(Value::as_str).map(str::to_owned);
        if let Some(text) = text.or_else(|| is_root.then(|| default.to_owned())) {
            let told = divided(key, &text, speed, refused);
            route.insert(key.to_owned(), told);
        }
    }
    for child in route.get_mut("routes").and_then(Value::as_array_mut).into_iter().flatten() {
        divide(child, false, speed, refused);
    }
}

fn divided(key: &str, text: &str, speed: Speed, refused: &mut Vec<String>) -> Value {
    let real = duration::parse(text).and_then(|duration| speed.real(duration));
    let real = real.map_err(|error| refused.push(format!("Alertmanager's {key}: {error}")));
    real.map_or(Value::Null, |real| Value::String(duration::print(real)))
}

/// A name as it may stand in a query.
fn encoded(name: &str) -> String {
    crate::prom::answer::percent_encoded(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::secrets::without_secrets;

    const FILE: &str = r#"
global: {resolve_timeout: 10m, slack_api_url: https://secret.example/x}
templates: [/etc/am/*.tmpl]
route:
  receiver: all
  group_wait: 10s
  routes:
    - {receiver: null-one, match: {severity: none}}
    - receiver: page
      matchers: [severity="critical", 'team=~"a|b"']
      continue: true
      routes: [{receiver: night, match_re: {job: "db.*"}, group_interval: 1m}]
    - {receiver: chat, matchers: ['severity!="critical"'], mute_time_intervals: [weekend]}
inhibit_rules:
  - {source_match: {severity: critical}, target_match_re: {severity: "warn.*"}, equal: [job]}
  - {source_matchers: [a="1"], target_matchers: [a="1"]}
receivers:
  - {name: all, webhook_configs: [{url: http://x}]}
  - {name: null-one}
  - {name: page, pagerduty_configs: [{routing_key: s, description: '{{ template "p" . }}', details: {n: '{{ .Status }}'}}]}
  - {name: night}
  - {name: chat, slack_configs: [{channel: '#c'}]}
"#;

    #[test]
    fn labels_are_what_was_written_and_switches_stay_switches() {
        let file = br"route: {receiver: a, routes: [{receiver: b, match: {region: no, v: 1.10}, continue: true}, {receiver: c}]}
receivers: [{name: a}, {name: b}, {name: c}]
";
        let of = |bytes: &[u8]| Configuration::read(Path::new("am.yml"), bytes).unwrap();
        let labels = Texts::from([("region", "no"), ("v", "1.10")].map(|(name, value)| (name.into(), value.into())));
        assert_eq!(of(file).receivers_of(&labels), ["b", "c"]);
        // As a bundle keeps it, too.
        assert_eq!(of(&without_secrets(file).unwrap()).receivers_of(&labels), ["b", "c"]);
        let lived = of(file).lived(Speed::PRODUCTION, &Address::loopback(1), &[]).unwrap();
        let lived: Value = serde_json::from_str(&lived).unwrap();
        assert_eq!(lived["route"]["routes"][0]["continue"], true);
        assert_eq!(lived["route"]["routes"][0]["match"]["v"], "1.10");
    }

    fn read() -> Configuration {
        Configuration::read(Path::new("am.yml"), FILE.as_bytes()).unwrap()
    }

    fn labels(text: &str) -> Texts {
        text.split(',').filter_map(|one| one.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    #[test]
    fn an_alert_is_routed_as_alertmanager_does_it() {
        let configuration = read();
        for (of, to) in [
            ("severity=none", vec!["null-one"]),
            ("severity=critical,team=a", vec!["page"]),
            ("severity=critical,team=a,job=db1", vec!["night"]),
            ("severity=critical,team=c", vec!["all"]),
            ("severity=warning", vec!["chat"]),
            ("", vec!["chat"]),
        ] {
            assert_eq!(configuration.receivers_of(&labels(of)), to, "{of}");
        }
        let place = configuration.places(&labels("severity=critical,team=b,job=db"))[0];
        assert_eq!((place.group_wait.as_secs(), place.group_interval.as_secs()), (10, 60));
    }

    #[test]
    fn what_fires_keeps_quiet_what_its_rule_says_and_never_itself() {
        let configuration = read();
        let inhibits = |source: &str, target: &str| configuration.inhibits(&labels(source), &labels(target));
        assert!(inhibits("severity=critical,job=a", "severity=warning,job=a"));
        assert!(!inhibits("severity=critical,job=a", "severity=warning,job=b"));
        assert!(inhibits("severity=critical", "severity=warn"), "a label that both lack is equal");
        assert!(!inhibits("a=1", "a=1"));
    }

    #[test]
    fn as_it_is_lived_it_is_divided_keeps_its_tree_and_tells_us_alone() {
        let (speed, to) = (Speed::new(125).unwrap(), "127.0.0.1:9".parse().unwrap());
        let text = read().lived(speed, &to, &["t/*.tmpl".to_owned()]).unwrap();
        let lived: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(lived["route"]["group_wait"], "80ms");
        assert_eq!(lived["route"]["group_interval"], "2s400ms");
        assert_eq!(lived["route"]["routes"][1]["routes"][0]["group_interval"], "480ms");
        assert_eq!(lived["receivers"][2]["webhook_configs"][0]["url"], "http://127.0.0.1:9/alerts?receiver=page");
        assert!(!text.contains("secret") && !text.contains("weekend") && !text.contains("pagerduty"), "{text}");
        assert_eq!(lived["inhibit_rules"][0]["equal"][0], "job");
        assert!(read().lived(Speed::new(7).unwrap(), &to, &[]).unwrap_err().len() > 3);
    }

    #[test]
    fn who_is_told_of_an_end_is_as_the_file_or_alertmanager_says() {
        for (integrations, (ends, most)) in [
            ("webhook_configs: [{url: http://x}]", (true, 0)),
            ("webhook_configs: [{url: http://x, send_resolved: false, max_alerts: 3}]", (false, 3)),
            ("slack_configs: [{channel: c}]", (false, 0)),
            ("slack_configs: [{channel: c, send_resolved: true}]", (true, 0)),
            ("email_configs: [{to: a}], webhook_configs: [{url: http://x, max_alerts: 3}]", (true, 0)),
        ] {
            let file = format!("route: {{receiver: a}}\nreceivers: [{{name: a, {integrations}}}]\n");
            let kept = without_secrets(file.as_bytes()).unwrap();
            for bytes in [file.as_bytes(), &kept[..]] {
                let read = Configuration::read(Path::new("am.yml"), bytes).unwrap();
                let lived = read.lived(Speed::PRODUCTION, &"127.0.0.1:9".parse().unwrap(), &[]).unwrap();
                let lived: Value = serde_json::from_str(&lived).unwrap();
                let webhook = &lived["receivers"][0]["webhook_configs"][0];
                assert_eq!(webhook["send_resolved"], ends, "{integrations}");
                assert_eq!(webhook["max_alerts"], most, "{integrations}");
            }
        }
    }

    #[test]
    fn the_templates_of_a_receiver_are_found_wherever_they_stand() {
        let texts = read().receiver("page").unwrap().texts.clone();
        let places: Vec<&str> = texts.iter().map(|text| text.place.as_str()).collect();
        assert_eq!(places[..2], ["pagerduty_configs/0/description", "pagerduty_configs/0/details/n"]);
        assert!(places.len() == 3 && texts[2].text.contains("pagerduty.default.clientURL"), "{texts:?}");
        assert!(!read().receiver("null-one").unwrap().tells && read().receiver("chat").unwrap().tells);
    }

    #[test]
    fn what_is_kept_holds_no_secret_and_means_the_same() {
        let text = FILE.replace(
            "routing_key: s,",
            "routing_key: '{{ secret }}', username: '{{ .Status }}', description2: hush, port: 5,",
        );
        let kept = without_secrets(text.as_bytes()).unwrap();
        let shown = String::from_utf8(kept.clone()).unwrap();
        for secret in ["{{ secret", "secret.example", "hush", "http://x", "#c", "5,"] {
            assert!(!shown.contains(secret), "{secret}: {shown}");
        }
        let kept = Configuration::read(Path::new("am.yml"), &kept).unwrap();
        let places = |one: &Configuration| {
            let texts = one.receivers.iter().flat_map(|one| &one.texts);
            texts.map(|text| text.place.clone()).collect::<std::collections::BTreeSet<_>>()
        };
        let given = Configuration::read(Path::new("am.yml"), text.as_bytes()).unwrap();
        assert_eq!(places(&kept), places(&given), "that there is a text is known of every one");
        let lived = |one: &Configuration| one.lived(Speed::PRODUCTION, &"127.0.0.1:9".parse().unwrap(), &[]).unwrap();
        assert_eq!(lived(&kept), lived(&given));
        assert!(without_secrets(b"a: [").is_none());
    }

    #[test]
    fn a_receiver_that_is_not_there_is_told_with_its_line() {
        let text = "route:\n  receiver: x\nreceivers: []\n";
        assert_eq!(Configuration::read(Path::new("am.yml"), text.as_bytes()).unwrap_err()[0].line, 2);
    }
}

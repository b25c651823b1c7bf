//! The texts of an integration's messages: those that its configuration has, and those that Alertmanager has of itself for what
//! the configuration leaves out. The latter are templates too, and anybody's `.tmpl` may define them anew.

use super::reading::{is_on, text_of};
use crate::monitoring::located::{Node, Value as Kind};

/// A text that is a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Where it stands: `slack_configs/0/title`.
    pub place: String,
    pub text: String,
    /// Whether Alertmanager fills it in as HTML.
    pub is_html: bool,
}

/// What stands in the place of several of Alertmanager's own.
const OF_ITSELF: &str = "defaults";

/// By integration: the keys that have a text of Alertmanager's where they are left out, and the template in it. Not every version
/// has every one of them.
const OWN: [(&str, &[(&str, &str)]); 17] = [
    ("discord_configs", &[("title", "discord.default.title"), ("message", "discord.default.message")]),
    ("email_configs", &[("html", "email.default.html"), ("headers/Subject", "email.default.subject")]),
    (
        "jira_configs",
        &[
            ("summary", "jira.default.summary"),
            ("description", "jira.default.description"),
            ("priority", "jira.default.priority"),
        ],
    ),
    (
        "mattermost_configs",
        &[
            ("username", "mattermost.default.username"),
            ("color", "mattermost.default.color"),
            ("text", "mattermost.default.text"),
            ("title", "mattermost.default.title"),
            ("title_link", "mattermost.default.titlelink"),
            ("fallback", "mattermost.default.fallback"),
        ],
    ),
    (
        "msteams_configs",
        &[("title", "msteams.default.title"), ("summary", "msteams.default.summary"), ("text", "msteams.default.text")],
    ),
    ("msteamsv2_configs", &[("title", "msteamsv2.default.title"), ("text", "msteamsv2.default.text")]),
    (
        "opsgenie_configs",
        &[
            ("message", "opsgenie.default.message"),
            ("description", "opsgenie.default.description"),
            ("source", "opsgenie.default.source"),
        ],
    ),
    (
        "pagerduty_configs",
        &[
            ("description", "pagerduty.default.description"),
            ("client", "pagerduty.default.client"),
            ("client_url", "pagerduty.default.clientURL"),
            ("details/firing", "pagerduty.default.instances"),
            ("details/resolved", "pagerduty.default.instances"),
        ],
    ),
    (
        "pushover_configs",
        &[
            ("title", "pushover.default.title"),
            ("message", "pushover.default.message"),
            ("url", "pushover.default.url"),
        ],
    ),
    (
        "rocketchat_configs",
        &[
            ("emoji", "rocketchat.default.emoji"),
            ("icon_url", "rocketchat.default.iconurl"),
            ("text", "rocketchat.default.text"),
            ("title", "rocketchat.default.title"),
            ("title_link", "rocketchat.default.titlelink"),
        ],
    ),
    (
        "slack_configs",
        &[
            ("color", "slack.default.color"),
            ("username", "slack.default.username"),
            ("title", "slack.default.title"),
            ("title_link", "slack.default.titlelink"),
            ("icon_emoji", "slack.default.iconemoji"),
            ("icon_url", "slack.default.iconurl"),
            ("pretext", "slack.default.pretext"),
            ("text", "slack.default.text"),
            ("fallback", "slack.default.fallback"),
            ("callback_id", "slack.default.callbackid"),
            ("footer", "slack.default.footer"),
        ],
    ),
    ("sns_configs", &[("subject", "sns.default.subject"), ("message", "sns.default.message")]),
    ("telegram_configs", &[("message", "telegram.default.message")]),
    (
        "victorops_configs",
        &[
            ("state_message", "victorops.default.state_message"),
            ("entity_display_name", "victorops.default.entity_display_name"),
            ("monitoring_tool", "victorops.default.monitoring_tool"),
        ],
    ),
    ("webex_configs", &[("message", "webex.default.message")]),
    (
        "wechat_configs",
        &[
            ("message", "wechat.default.message"),
            ("to_user", "wechat.default.to_user"),
            ("to_party", "wechat.default.to_party"),
            ("to_tag", "wechat.default.to_tag"),
            ("agent_id", "wechat.default.agent_id"),
        ],
    ),
    ("webhook_configs", &[]),
];

/// The texts of an integration at a place (`slack_configs/0`) that are templates. Of Alertmanager's own, those that are filled
/// in alike are one: each costs a process.
pub(super) fn texts(kind: &str, place: &str, integration: &Node) -> Vec<Text> {
    let mut texts = Vec::new();
    written(integration, place, &mut texts);
    for text in &mut texts {
        text.is_html = is_html(kind, text.place.trim_start_matches(place).trim_start_matches('/'), integration);
    }
    let own = OWN.iter().find(|(of, _)| *of == kind).map_or(&[][..], |(_, own)| own);
    let mut together = String::new();
    for (key, name) in own.iter().filter(|(key, _)| !is_there(integration, key)) {
        let of = match *key {
            "details/firing" => ".Alerts.Firing",
            "details/resolved" => ".Alerts.Resolved",
            _ => ".",
        };
        let text = format!("{{{{ template \"{name}\" {of} }}}}");
        if MAY_BE_HTML.contains(&(kind, key)) {
            texts.push(Text { place: format!("{place}/{key}"), text, is_html: is_html(kind, key, integration) });
        } else {
            together.push_str(&text);
        }
    }
    if !together.is_empty() {
        texts.push(Text { place: format!("{place}/{OF_ITSELF}"), text: together, is_html: false });
    }
    texts
}

/// By integration: the keys in which a message says what it is about, and whether Alertmanager's own text of it says something where
/// it is left out. What else there is (a colour, a link, a field) is no message. Of an empty one Pushover's says "(no details)".
const SAYS: [(&str, &[(&str, bool)]); 15] = [
    ("discord_configs", &[("title", true), ("message", true), ("content", false)]),
    ("email_configs", &[("html", true), ("text", false)]),
    ("jira_configs", &[("summary", true)]),
    ("mattermost_configs", &[("title", true), ("text", true), ("pretext", false), ("attachments", false)]),
    ("msteams_configs", &[("title", true), ("text", true)]),
    ("msteamsv2_configs", &[("title", true), ("text", true)]),
    ("opsgenie_configs", &[("message", true)]),
    ("pagerduty_configs", &[("description", true)]),
    ("rocketchat_configs", &[("title", true), ("text", true), ("fields", false)]),
    ("slack_configs", &[("title", true), ("text", false), ("pretext", false), ("fields", false), ("image_url", false)]),
    ("sns_configs", &[("message", true)]),
    ("telegram_configs", &[("message", true)]),
    ("victorops_configs", &[("state_message", true), ("entity_display_name", true)]),
    ("webex_configs", &[("message", true)]),
    ("wechat_configs", &[("message", true)]),
];

/// The places of an integration's texts (`slack_configs/0/title`) of which one at least must say something, or its message is
/// empty; none of one in which something is said anyway, and of one that says nothing in words.
pub(super) fn worded(kind: &str, place: &str, integration: &Node) -> Option<Vec<String>> {
    let (_, keys) = SAYS.iter().find(|(of, _)| *of == kind)?;
    let mut places = Vec::new();
    for (key, is_said) in *keys {
        match integration.get(key).map(|node| &node.value) {
            None if *is_said => return None,
            None | Some(Kind::Null) => {}
            Some(Kind::Text(text)) if text.contains("{{") => places.push(format!("{place}/{key}")),
            Some(Kind::Text(text)) if text.trim().is_empty() => {}
            Some(Kind::List(items)) if items.is_empty() => {}
            Some(_) => return None,
        }
    }
    Some(places)
}

const MAY_BE_HTML: [(&str, &str); 3] =
    [("email_configs", "html"), ("pushover_configs", "message"), ("telegram_configs", "message")];

fn is_html(kind: &str, key: &str, integration: &Node) -> bool {
    match (kind, key) {
        ("email_configs", "html") => true,
        ("pushover_configs", "message") => is_on(integration, "html"),
        ("telegram_configs", "message") => text_of(integration, "parse_mode").is_none_or(|mode| mode == "HTML"),
        _ => false,
    }
}

/// Whether a key, or one within it, is there. Names of headers are of any case.
fn is_there(integration: &Node, key: &str) -> bool {
    match key.split_once('/') {
        Some((map, name)) => {
            let entries = integration.get(map).map_or(&[][..], Node::entries);
            entries.iter().any(|entry| entry.key == name || map == "headers" && entry.key.eq_ignore_ascii_case(name))
        }
        None => integration.get(key).is_some(),
    }
}

/// Every text below a node that is a template.
fn written(node: &Node, place: &str, texts: &mut Vec<Text>) {
    match &node.value {
        Kind::Text(text) if text.contains("{{") => {
            texts.push(Text { place: place.to_owned(), text: text.clone(), is_html: false });
        }
        Kind::List(items) => {
            for (index, item) in items.iter().enumerate() {
                written(item, &format!("{place}/{index}"), texts);
            }
        }
        Kind::Map(entries) => {
            for entry in entries {
                written(&entry.node, &format!("{place}/{}", entry.key), texts);
            }
        }
        _ => {}
    }
}

impl Text {
    /// The same without a template that is asked for in it by this name; none where nothing is left, or it is not asked for so.
    pub fn without(&self, name: &str) -> Option<Text> {
        let asks = |action: &&str| action.starts_with(&format!("{{{{ template \"{name}\" ."));
        let (gone, kept): (Vec<&str>, Vec<&str>) = self.text.split_inclusive("}}").partition(asks);
        let is_own = self.place.ends_with(OF_ITSELF);
        (is_own && !gone.is_empty()).then(|| Text { text: kept.concat(), ..self.clone() })
    }

    /// Whether it asks for one of the templates that Alertmanager has of itself.
    pub fn asks_for_own(&self) -> bool {
        self.text.contains(".default.") || self.text.contains("\"__")
    }
}

#[cfg(test)]
mod of_itself {
    use super::*;
    use crate::monitoring::located;

    fn of(kind: &str, integration: &str) -> Vec<(String, String, bool)> {
        let node = located::read(integration.as_bytes()).unwrap();
        let told = |one: Text| (one.place.replace("x_configs/0/", ""), one.text, one.is_html);
        texts(kind, "x_configs/0", &node).into_iter().map(told).collect()
    }

    #[test]
    fn what_is_left_out_is_alertmanagers_own() {
        let own = |text: &str| (OF_ITSELF.to_owned(), text.to_owned(), false);
        assert_eq!(
            of("opsgenie_configs", "{message: '{{ .Status }}', description: '', api_key: k}"),
            [("message".into(), "{{ .Status }}".into(), false), own("{{ template \"opsgenie.default.source\" . }}")]
        );
        assert_eq!(of("webhook_configs", "{url: http://x}"), []);
        let instances = |of: &str| format!("{{{{ template \"pagerduty.default.instances\" {of} }}}}");
        let [(_, text, _)] = &of("pagerduty_configs", "{details: {firing: x}, client: ''}")[..] else { panic!() };
        assert!(
            text.contains(&instances(".Alerts.Resolved")) && !text.contains(&instances(".Alerts.Firing")),
            "{text}"
        );
        assert!(text.contains("default.clientURL") && !text.contains("default.client\""), "{text}");
    }

    #[test]
    fn what_must_say_something_is_what_nothing_else_says() {
        let of = |kind: &str, integration: &str| {
            worded(kind, "x/0", &located::read(integration.as_bytes()).unwrap()).map(|all| all.join(" "))
        };
        let said = |places: &str| Some(places.to_owned());
        assert_eq!(of("slack_configs", "{title: '{{ .A }}', text: '{{ .B }}'}"), said("x/0/title x/0/text"));
        assert_eq!(of("opsgenie_configs", "{message: '{{ .A }}', description: long}"), said("x/0/message"));
        assert_eq!(of("opsgenie_configs", "{message: ' '}"), said(""));
        for (kind, integration) in [
            ("slack_configs", "{title: '{{ .A }}', text: Look}"),
            ("slack_configs", "{text: '{{ .A }}'}"),
            ("slack_configs", "{title: '{{ .A }}', fields: [{title: a, value: b}]}"),
            ("email_configs", "{text: '{{ .A }}'}"),
            ("webhook_configs", "{url: '{{ .A }}'}"),
        ] {
            assert_eq!(of(kind, integration), None, "{kind} {integration}");
        }
    }

    #[test]
    fn what_is_filled_in_as_html_is_known() {
        let html = |kind: &str, integration: &str| -> Vec<(String, bool)> {
            of(kind, integration).into_iter().map(|(place, _, is_html)| (place, is_html)).collect()
        };
        assert_eq!(html("email_configs", "{headers: {subject: x}}"), [("html".into(), true)]);
        assert_eq!(html("email_configs", "{html: '{{ . }}'}"), [("html".into(), true), (OF_ITSELF.into(), false)]);
        assert_eq!(html("telegram_configs", "{}"), [("message".into(), true)]);
        assert_eq!(html("telegram_configs", "{parse_mode: MarkdownV2}"), [("message".into(), false)]);
        let pushover = "{title: '', url: '', html: true}";
        assert_eq!(html("pushover_configs", pushover), [("message".into(), true)]);
        assert_eq!(html("pushover_configs", &pushover.replace("true", "false")), [("message".into(), false)]);
    }

    #[test]
    fn a_template_that_a_version_has_not_is_taken_out_of_its_own_texts_alone() {
        let node = located::read(b"{title: '{{ template \"slack.default.color\" . }}'}").unwrap();
        let all = texts("slack_configs", "slack_configs/0", &node);
        let [written, own] = &all[..] else { panic!("{all:?}") };
        assert_eq!(written.without("slack.default.color"), None);
        let less = own.without("slack.default.color").unwrap();
        assert!(!less.text.contains("color") && less.text.contains("slack.default.footer"), "{less:?}");
        assert_eq!(less.without("slack.default.color"), None);
        assert!(own.asks_for_own() && written.asks_for_own());
    }
}

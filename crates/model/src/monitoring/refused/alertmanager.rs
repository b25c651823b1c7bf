//! Alertmanager's configuration.

use std::collections::BTreeSet;

use super::Refuse;
use super::prometheus::caller;
use crate::monitoring::layout::duration_of;
use crate::monitoring::located::Node;

/// Of what is given to all integrations of a kind: one of each, not both.
const ALONE_FOR_ALL: [(&str, &str); 9] = [
    ("mattermost_webhook_url", "mattermost_webhook_url_file"),
    ("opsgenie_api_key", "opsgenie_api_key_file"),
    ("rocketchat_token", "rocketchat_token_file"),
    ("rocketchat_token_id", "rocketchat_token_id_file"),
    ("slack_api_url", "slack_api_url_file"),
    ("slack_app_token", "slack_app_token_file"),
    ("smtp_auth_password", "smtp_auth_password_file"),
    ("telegram_bot_token", "telegram_bot_token_file"),
    ("victorops_api_key", "victorops_api_key_file"),
];

pub(in crate::monitoring) fn check(document: &Node, refuse: &mut Refuse) {
    let given = |key: &str| document.get("global").and_then(|global| global.get(key));
    for (one, other) in ALONE_FOR_ALL {
        if let (Some(_), Some(other_node)) = (given(one), given(other)) {
            refuse(other_node.line, format!("`{one}` and `{other}` together"), "");
        }
    }
    let mut intervals = BTreeSet::new();
    for interval in ["time_intervals", "mute_time_intervals"].iter().flat_map(|key| document.items_of(key)) {
        let name = interval.text_of("name").unwrap_or_default();
        if !intervals.insert(name) {
            refuse(interval.line, format!("a second time interval of the name `{name}`"), "");
        }
    }
    let mut receivers = BTreeSet::new();
    for receiver in document.items_of("receivers") {
        let name = receiver.text_of("name").unwrap_or_default();
        if !receivers.insert(name) {
            refuse(receiver.line, format!("a second receiver of the name `{name}`"), "");
        }
        integrations(receiver, document.get("global"), refuse);
    }
    let known = Known { receivers, intervals };
    if let Some(route) = document.get("route") {
        if route.text_of("receiver").is_none_or(str::is_empty) {
            refuse(route.line, "the first route has no receiver, so that some alerts would have none".to_owned(), "");
        }
        for key in ["match", "match_re", "matchers", "mute_time_intervals", "active_time_intervals"] {
            let is_there = route.get(key).is_some_and(|node| !(node.items().is_empty() && node.entries().is_empty()));
            if is_there {
                refuse(route.line_of(key), format!("the first route has `{key}`, and is for every alert"), "");
            }
        }
        if route.get("continue").is_some_and(|node| !node.value.is_zero()) {
            refuse(route.line_of("continue"), "the first route has nothing behind it to go on to".to_owned(), "");
        }
        known.route(route, refuse);
    }
}

/// Names that routes may ask for.
struct Known<'a> {
    receivers: BTreeSet<&'a str>,
    intervals: BTreeSet<&'a str>,
}

impl Known<'_> {
    fn route(&self, route: &Node, refuse: &mut Refuse) {
        if let Some(name) = route.text_of("receiver").filter(|name| !name.is_empty() && !self.receivers.contains(name))
        {
            refuse(route.line_of("receiver"), format!("no receiver is called `{name}`"), "");
        }
        for key in ["mute_time_intervals", "active_time_intervals"] {
            for name in route.items_of(key) {
                if let Some(text) = name.as_text().filter(|text| !self.intervals.contains(text)) {
                    refuse(name.line, format!("no time interval is called `{text}`"), "");
                }
            }
        }
        for key in ["group_interval", "repeat_interval"] {
            if route.get(key).is_some() && duration_of(route, key).is_zero() {
                refuse(route.line_of(key), format!("`{key}` is nothing"), "");
            }
        }
        let by: Vec<&str> = route.items_of("group_by").iter().filter_map(Node::as_text).collect();
        if by.contains(&"...") && by.len() > 1 {
            refuse(route.line_of("group_by"), "`...` is every label, and stands alone".to_owned(), "");
        }
        if by.iter().collect::<BTreeSet<_>>().len() < by.len() {
            refuse(route.line_of("group_by"), "a label stands twice in `group_by`".to_owned(), "");
        }
        route.items_of("routes").iter().for_each(|route| self.route(route, refuse));
    }
}

/// For each kind of integration what it needs: one of these of its own, or one of those of all.
const NEEDED: [(&str, &[&str], &[&str]); 24] = [
    ("discord_configs", &["webhook_url", "webhook_url_file"], &[]),
    ("email_configs", &["to"], &[]),
    ("email_configs", &["smarthost"], &["smtp_smarthost"]),
    ("email_configs", &["from"], &["smtp_from"]),
    ("incidentio_configs", &["url", "url_file"], &[]),
    ("jira_configs", &["api_url"], &["jira_api_url"]),
    (
        "mattermost_configs",
        &["webhook_url", "webhook_url_file"],
        &["mattermost_webhook_url", "mattermost_webhook_url_file"],
    ),
    ("msteams_configs", &["webhook_url", "webhook_url_file"], &[]),
    ("msteamsv2_configs", &["webhook_url", "webhook_url_file"], &[]),
    ("opsgenie_configs", &["api_key", "api_key_file"], &["opsgenie_api_key", "opsgenie_api_key_file"]),
    ("pagerduty_configs", &["routing_key", "routing_key_file", "service_key", "service_key_file"], &[]),
    ("pushover_configs", &["user_key", "user_key_file"], &[]),
    ("pushover_configs", &["token", "token_file"], &[]),
    ("rocketchat_configs", &["token", "token_file"], &["rocketchat_token", "rocketchat_token_file"]),
    ("rocketchat_configs", &["token_id", "token_id_file"], &["rocketchat_token_id", "rocketchat_token_id_file"]),
    (
        "slack_configs",
        &["api_url", "api_url_file", "app_token", "app_token_file"],
        &["slack_api_url", "slack_api_url_file", "slack_app_token", "slack_app_token_file"],
    ),
    ("sns_configs", &["topic_arn", "phone_number", "target_arn"], &[]),
    ("telegram_configs", &["chat_id", "chat_id_file"], &[]),
    ("telegram_configs", &["bot_token", "bot_token_file"], &["telegram_bot_token", "telegram_bot_token_file"]),
    ("victorops_configs", &["routing_key"], &[]),
    ("victorops_configs", &["api_key", "api_key_file"], &["victorops_api_key", "victorops_api_key_file"]),
    ("webex_configs", &["room_id"], &[]),
    ("webhook_configs", &["url", "url_file"], &[]),
    ("wechat_configs", &["corp_id"], &["wechat_api_corp_id"]),
];

/// One of each, not both.
const ALONE: [(&str, &str, &str); 14] = [
    ("discord_configs", "webhook_url", "webhook_url_file"),
    ("email_configs", "auth_password", "auth_password_file"),
    ("mattermost_configs", "webhook_url", "webhook_url_file"),
    ("msteams_configs", "webhook_url", "webhook_url_file"),
    ("opsgenie_configs", "api_key", "api_key_file"),
    ("pagerduty_configs", "routing_key", "routing_key_file"),
    ("pagerduty_configs", "service_key", "service_key_file"),
    ("rocketchat_configs", "token", "token_file"),
    ("rocketchat_configs", "token_id", "token_id_file"),
    ("slack_configs", "api_url", "api_url_file"),
    ("slack_configs", "app_token", "app_token_file"),
    ("telegram_configs", "bot_token", "bot_token_file"),
    ("victorops_configs", "api_key", "api_key_file"),
    ("webhook_configs", "url", "url_file"),
];

fn integrations(receiver: &Node, global: Option<&Node>, refuse: &mut Refuse) {
    let has = |node: &Node, key: &str| node.get(key).is_some_and(|node| !node.value.is_zero());
    for (kind, own, of_all) in NEEDED {
        for integration in receiver.items_of(kind) {
            let is_given = own.iter().any(|key| has(integration, key))
                || global.is_some_and(|global| of_all.iter().any(|key| has(global, key)));
            if !is_given {
                let (own, all) = (own.join("` or `"), of_all.join("` or `global."));
                let remedy = if all.is_empty() { String::new() } else { format!("or `global.{all}`") };
                refuse(integration.line, format!("one of `{kind}` has no `{own}`"), &remedy);
            }
        }
    }
    for (kind, one, other) in ALONE {
        for integration in receiver.items_of(kind).iter().filter(|node| has(node, one) && has(node, other)) {
            refuse(integration.line, format!("one of `{kind}` has `{one}` and `{other}`"), "");
        }
    }
    for entry in receiver.entries().iter().filter(|entry| entry.key.ends_with("_configs")) {
        let clients = entry.node.items().iter().filter_map(|integration| integration.get("http_config"));
        clients.for_each(|client| caller(client, refuse));
    }
}

//! Alertmanager's receivers: every kind of integration there is in a release from 0.25 on.

use super::http::{CLIENT, SIGV4, TLS};
use super::{Field, Shape, TEXTS, each, may, must, numbers, switches, texts};
use crate::monitoring::addresses::Place;

pub(super) static RECEIVER: &[Field] = &[
    must("name", &Shape::Name),
    may("labels", &Shape::PlainLabels),
    may("discord_configs", &Shape::List(&Shape::Record(&[COMMON, DISCORD]))),
    may("email_configs", &Shape::List(&Shape::Record(&[&[may("send_resolved", &Shape::Switch)], EMAIL]))),
    may("incidentio_configs", &Shape::List(&Shape::Record(&[COMMON, INCIDENTIO]))),
    may("jira_configs", &Shape::List(&Shape::Record(&[COMMON, JIRA]))),
    may("mattermost_configs", &Shape::List(&Shape::Record(&[COMMON, MATTERMOST]))),
    may("msteams_configs", &Shape::List(&Shape::Record(&[COMMON, MSTEAMS]))),
    may("msteamsv2_configs", &Shape::List(&Shape::Record(&[COMMON, MSTEAMS]))),
    may("opsgenie_configs", &Shape::List(&Shape::Record(&[COMMON, OPSGENIE]))),
    may("pagerduty_configs", &Shape::List(&Shape::Record(&[COMMON, PAGERDUTY]))),
    may("pushover_configs", &Shape::List(&Shape::Record(&[COMMON, PUSHOVER]))),
    may("rocketchat_configs", &Shape::List(&Shape::Record(&[COMMON, ROCKETCHAT]))),
    may("slack_configs", &Shape::List(&Shape::Record(&[COMMON, SLACK]))),
    may("sns_configs", &Shape::List(&Shape::Record(&[COMMON, SNS]))),
    may("telegram_configs", &Shape::List(&Shape::Record(&[COMMON, TELEGRAM]))),
    may("victorops_configs", &Shape::List(&Shape::Record(&[COMMON, VICTOROPS]))),
    may("webex_configs", &Shape::List(&Shape::Record(&[COMMON, WEBEX]))),
    may("webhook_configs", &Shape::List(&Shape::Record(&[COMMON, WEBHOOK]))),
    may("wechat_configs", &Shape::List(&Shape::Record(&[COMMON, WECHAT]))),
];

/// Of all that call an address.
static COMMON: &[Field] = &[may("send_resolved", &Shape::Switch), may("http_config", &Shape::Record(&[CLIENT]))];

static WEBHOOK: &[Field] = &[
    may("url", &Shape::Url(Place::Receiver)),
    texts(&["url_file"]),
    numbers(&["max_alerts"]),
    may("timeout", &Shape::GoTime),
    may("payload", &Shape::Own),
];

static EMAIL: &[Field] = &[
    must("to", &Shape::Text),
    may("smarthost", &Shape::HostPort),
    texts(&[
        "from",
        "hello",
        "auth_username",
        "auth_password",
        "auth_password_file",
        "auth_secret",
        "auth_secret_file",
        "auth_identity",
        "html",
        "text",
    ]),
    may("headers", &Shape::Map(&Shape::Text)),
    switches(&["require_tls", "force_implicit_tls"]),
    may("tls_config", &TLS),
    may("threading", &Shape::Own),
];

static DISCORD: &[Field] = &[
    may("webhook_url", &Shape::WebUrl),
    texts(&["webhook_url_file", "content", "title", "message", "username", "avatar_url"]),
];

static INCIDENTIO: &[Field] = &[
    may("url", &Shape::WebUrl),
    texts(&["url_file", "alert_source_token", "alert_source_token_file"]),
    numbers(&["max_alerts"]),
    may("timeout", &Shape::GoTime),
];

static JIRA: &[Field] = &[
    may("api_url", &Shape::WebUrl),
    must("project", &Shape::Text),
    must("issue_type", &Shape::Text),
    // A text, or one with whether it is written again.
    each(&Shape::Own, &["summary", "description", "fields", "custom_fields"]),
    may("labels", &TEXTS),
    texts(&["api_type", "priority", "reopen_transition", "resolve_transition", "wont_fix_resolution"]),
    may("reopen_duration", &Shape::RealTime),
];

/// What is shown beside a text, as Slack and those like it have it.
static SHOWN: &[Field] = &[
    texts(&["fallback", "color", "pretext", "title", "title_link", "text", "footer", "image_url", "thumb_url"]),
    may("fields", &Shape::List(&Shape::Record(&[&[texts(&["title", "value"]), may("short", &Shape::Switch)]]))),
];

static OF_AUTHORS: &[Field] = &[texts(&["author_name", "author_link", "author_icon", "footer_icon"])];

static MATTERMOST: &[Field] = &[
    may("webhook_url", &Shape::WebUrl),
    texts(&[
        "webhook_url_file",
        "channel",
        "username",
        "text",
        "icon_url",
        "icon_emoji",
        "type",
        "fallback",
        "color",
        "pretext",
        "author_name",
        "author_link",
        "author_icon",
        "title",
        "title_link",
        "thumb_url",
        "footer",
        "footer_icon",
        "image_url",
    ]),
    each(&Shape::Own, &["props", "priority", "fields"]),
    may("attachments", &Shape::List(&Shape::Record(&[SHOWN, OF_AUTHORS]))),
];

static MSTEAMS: &[Field] =
    &[may("webhook_url", &Shape::WebUrl), texts(&["webhook_url_file", "title", "summary", "text"])];

static OPSGENIE: &[Field] = &[
    texts(&[
        "api_key",
        "api_key_file",
        "message",
        "description",
        "source",
        "entity",
        "actions",
        "tags",
        "note",
        "priority",
    ]),
    may("api_url", &Shape::WebUrl),
    may("details", &Shape::Map(&Shape::Text)),
    may("responders", &Shape::List(&Shape::Record(&[&[texts(&["id", "name", "username", "type"])]]))),
    may("update_alerts", &Shape::Switch),
];

static PAGERDUTY: &[Field] = &[
    texts(&[
        "service_key",
        "service_key_file",
        "routing_key",
        "routing_key_file",
        "client",
        "client_url",
        "description",
        "source",
        "severity",
        "class",
        "component",
        "group",
    ]),
    may("url", &Shape::WebUrl),
    may("details", &Shape::Map(&Shape::Own)),
    may("images", &Shape::List(&Shape::Record(&[&[texts(&["src", "alt", "href"])]]))),
    may("links", &Shape::List(&Shape::Record(&[&[texts(&["href", "text"])]]))),
    may("timeout", &Shape::GoTime),
];

static PUSHOVER: &[Field] = &[
    texts(&[
        "user_key",
        "user_key_file",
        "token",
        "token_file",
        "title",
        "message",
        "url",
        "url_title",
        "device",
        "sound",
        "priority",
    ]),
    each(&Shape::GoTime, &["retry", "expire", "ttl"]),
    switches(&["html", "monospace"]),
];

static ROCKETCHAT: &[Field] = &[
    may("api_url", &Shape::WebUrl),
    texts(&[
        "token_id",
        "token_id_file",
        "token",
        "token_file",
        "channel",
        "color",
        "title",
        "title_link",
        "text",
        "emoji",
        "icon_url",
        "image_url",
        "thumb_url",
    ]),
    switches(&["short_fields", "link_names"]),
    each(&Shape::Own, &["fields", "actions"]),
];

static SLACK: &[Field] = &[
    each(&Shape::WebUrl, &["api_url", "app_url"]),
    texts(&[
        "api_url_file",
        "app_token",
        "app_token_file",
        "channel",
        "username",
        "color",
        "title",
        "title_link",
        "pretext",
        "text",
        "message_text",
        "footer",
        "fallback",
        "callback_id",
        "icon_emoji",
        "icon_url",
        "image_url",
        "thumb_url",
    ]),
    may(
        "fields",
        &Shape::List(&Shape::Record(&[&[
            must("title", &Shape::Name),
            must("value", &Shape::Name),
            may("short", &Shape::Switch),
        ]])),
    ),
    may(
        "actions",
        &Shape::List(&Shape::Record(&[&[
            must("type", &Shape::Name),
            must("text", &Shape::Name),
            texts(&["url", "style", "name", "value"]),
            may("confirm", &Shape::Record(&[&[texts(&["text", "title", "ok_text", "dismiss_text"])]])),
        ]])),
    ),
    may("mrkdwn_in", &TEXTS),
    switches(&["short_fields", "link_names", "update_message"]),
    may("timeout", &Shape::GoTime),
];

static SNS: &[Field] = &[
    texts(&["api_url", "topic_arn", "phone_number", "target_arn", "subject", "message"]),
    may("sigv4", &SIGV4),
    may("attributes", &Shape::Map(&Shape::Text)),
    may("use_aws_http_client", &Shape::Switch),
];

static TELEGRAM: &[Field] = &[
    may("api_url", &Shape::WebUrl),
    texts(&["bot_token", "bot_token_file", "chat_id_file", "message", "parse_mode"]),
    numbers(&["chat_id", "message_thread_id"]),
    may("disable_notifications", &Shape::Switch),
];

static VICTOROPS: &[Field] = &[
    texts(&[
        "api_key",
        "api_key_file",
        "routing_key",
        "message_type",
        "state_message",
        "entity_display_name",
        "monitoring_tool",
    ]),
    may("api_url", &Shape::WebUrl),
    may("custom_fields", &Shape::Map(&Shape::Text)),
];

static WEBEX: &[Field] = &[may("api_url", &Shape::WebUrl), texts(&["message", "room_id"])];

static WECHAT: &[Field] = &[
    texts(&[
        "api_secret",
        "api_secret_file",
        "corp_id",
        "message",
        "to_user",
        "to_party",
        "to_tag",
        "agent_id",
        "message_type",
    ]),
    may("api_url", &Shape::WebUrl),
];

//! Alertmanager's configuration.
//!
//! Divided is the rhythm in which groups of alerts are told, and after how long one that nobody sends again is resolved. Not
//! divided are time-outs of calls, and what a receiver's service is asked to wait (a pager's retries): others live in real time.
//! Intervals by the calendar nobody can divide: a route that names one is refused at a speed.

use super::http::{CLIENT, TLS, TRACING};
use super::receivers::RECEIVER;
use super::{Calendar, Shape, TEXTS, each, may, must, switches, texts};

pub(in crate::monitoring) static ALERTMANAGER: Shape = Shape::Record(&[&[
    may("global", &GLOBAL),
    may("templates", &TEXTS),
    must("route", &ROUTE),
    may("receivers", &Shape::List(&Shape::Record(&[RECEIVER]))),
    may("inhibit_rules", &Shape::List(&INHIBITION)),
    each(&INTERVALS, &["time_intervals", "mute_time_intervals"]),
    may("tracing", &TRACING),
    may("event_recorder", &Shape::Own),
]]);

static GLOBAL: Shape = Shape::Record(&[&[
    may("resolve_timeout", &Shape::Duration),
    may("http_config", &Shape::Record(&[CLIENT])),
    may("smtp_smarthost", &Shape::HostPort),
    may("smtp_tls_config", &TLS),
    switches(&["smtp_require_tls", "smtp_force_implicit_tls"]),
    texts(&[
        "smtp_from",
        "smtp_hello",
        "smtp_auth_username",
        "smtp_auth_password",
        "smtp_auth_password_file",
        "smtp_auth_secret",
        "smtp_auth_secret_file",
        "smtp_auth_identity",
        "slack_api_url_file",
        "slack_app_token",
        "slack_app_token_file",
        "opsgenie_api_key",
        "opsgenie_api_key_file",
        "wechat_api_secret",
        "wechat_api_secret_file",
        "wechat_api_corp_id",
        "victorops_api_key",
        "victorops_api_key_file",
        "telegram_bot_token",
        "telegram_bot_token_file",
        "rocketchat_token",
        "rocketchat_token_file",
        "rocketchat_token_id",
        "rocketchat_token_id_file",
        "mattermost_webhook_url_file",
    ]),
    each(
        &Shape::WebUrl,
        &[
            "jira_api_url",
            "slack_api_url",
            "slack_app_url",
            "pagerduty_url",
            "opsgenie_api_url",
            "wechat_api_url",
            "victorops_api_url",
            "telegram_api_url",
            "webex_api_url",
            "rocketchat_api_url",
            "mattermost_webhook_url",
        ],
    ),
]]);

static MATCHERS: Shape = Shape::List(&Shape::Matcher);

static ROUTE: Shape = Shape::Record(&[&[
    may("receiver", &Shape::Text),
    may("match", &Shape::PlainLabels),
    may("match_re", &Shape::Regexes),
    may("matchers", &MATCHERS),
    may("continue", &Shape::Switch),
    may("group_by", &TEXTS),
    each(&Shape::Duration, &["group_wait", "group_interval", "repeat_interval"]),
    each(&Shape::OfCalendar, &["mute_time_intervals", "active_time_intervals"]),
    may("labels", &Shape::PlainLabels),
    may("routes", &ROUTES),
]]);
static ROUTES: Shape = Shape::List(&ROUTE);

static INHIBITION: Shape = Shape::Record(&[&[
    may("name", &Shape::Text),
    each(&Shape::PlainLabels, &["source_match", "target_match"]),
    each(&Shape::Regexes, &["source_match_re", "target_match_re"]),
    each(&MATCHERS, &["source_matchers", "target_matchers"]),
    may("equal", &TEXTS),
]]);

static INTERVALS: Shape = Shape::List(&Shape::Record(&[&[
    must("name", &Shape::Name),
    may(
        "time_intervals",
        &Shape::List(&Shape::Record(&[&[
            may(
                "times",
                &Shape::List(&Shape::Record(&[&[
                    must("start_time", &Shape::ClockTime),
                    must("end_time", &Shape::ClockTime),
                ]])),
            ),
            may("weekdays", &Shape::List(&Shape::CalendarRange(Calendar::Weekdays))),
            may("days_of_month", &Shape::List(&Shape::CalendarRange(Calendar::DaysOfMonth))),
            may("months", &Shape::List(&Shape::CalendarRange(Calendar::Months))),
            may("years", &Shape::List(&Shape::CalendarRange(Calendar::Years))),
            may("location", &Shape::Text),
        ]])),
    ),
]]));

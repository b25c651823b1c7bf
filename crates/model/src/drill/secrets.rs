//! What is secret in Alertmanager's configuration: where it stands, and the configuration without it, for what a drill keeps and
//! for the programs that are asked about it.

use serde_json::Value;

use super::alertmanager;
use crate::monitoring::located::{self, Entry, Node, Value as Kind};

/// The keys at which Alertmanager itself hides what stands there, as its own types `Secret` and `SecretURL` do; and those that
/// are as good as one.
const SECRETS: [&str; 28] = [
    "access_key",
    "alert_source_token",
    "api_key",
    "api_secret",
    "app_token",
    "auth_password",
    "auth_secret",
    "bearer_token",
    "bot_token",
    "client_secret",
    "credentials",
    "opsgenie_api_key",
    "password",
    "proxy_connect_header",
    "rocketchat_token",
    "rocketchat_token_id",
    "routing_key",
    "secret_key",
    "secrets",
    "service_key",
    "slack_app_token",
    "smtp_auth_password",
    "smtp_auth_secret",
    "token",
    "token_id",
    "user_key",
    "victorops_api_key",
    "wechat_api_secret",
];
/// The same, of addresses: who has one may write to it.
const SECRET_URLS: [&str; 3] = ["api_url", "slack_api_url", "webhook_url"];

const LEFT_OUT: &str = "left out";
/// In the place of a template that is not shown: still one, so that it is known that there is a text.
const TEMPLATE_LEFT_OUT: &str = "{{/* left out */}}";

/// Whether what stands at a place of an integration (`slack_configs/0/title`) is secret.
pub fn is_secret(place: &str) -> bool {
    let whose = place.split('/').next().unwrap_or_default();
    let is_address_to_write_to =
        matches!(whose, "webhook_configs" | "incidentio_configs") && place.split('/').nth(2) == Some("url");
    let is_one = |key: &str| SECRETS.contains(&key) || SECRET_URLS.contains(&key);
    is_address_to_write_to || place.contains("tls_config/key") || place.split('/').any(is_one)
}

/// What is secret, as it stands there: nobody may be told it. Nothing where the file can't be read.
pub fn secrets(bytes: &[u8]) -> Vec<String> {
    let Ok(document) = located::read(bytes) else { return Vec::new() };
    let mut all = Vec::new();
    texts(&document, &mut |place, text, _| {
        if is_secret(place) {
            all.push(text.to_owned());
        } else if let Some((_, hidden, _)) = credentials(text) {
            all.push(hidden.to_owned());
            all.extend(hidden.split_once(':').map(|(_, password)| password.to_owned()));
        }
    });
    // The longest first, so that none is left of which another is a part. What is as short as a word says nothing.
    all.retain(|one| one.len() > 3);
    all.sort_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
    all.dedup();
    all
}

/// What a program said, without what is secret.
pub fn without(secrets: &[String], said: &str) -> String {
    secrets.iter().fold(said.to_owned(), |said, secret| said.replace(secret, "<secret>"))
}

/// The configuration for a program that checks it: what is secret is replaced by something of its form, and all else stands where
/// it stood, so that what is refused is what was wrong. None where it can't be read.
pub fn to_be_checked(bytes: &[u8]) -> Option<Vec<u8>> {
    let document = alertmanager::document(bytes).ok()?;
    let mut replaced: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    texts(&document, &mut |place, text, node| {
        let instead = harmless(place, text);
        if instead != text {
            replaced.push((node.span.clone(), instead));
        }
    });
    let mut scalars = Vec::new();
    spans(&document, &mut scalars);
    replaced.extend(comments(bytes, &scalars).into_iter().map(|span| (span, String::new())));
    replaced.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut written = bytes.to_vec();
    for (span, instead) in replaced {
        let quoted = if instead.is_empty() { instead } else { Value::String(instead).to_string() };
        if span.end > written.len() || span.start > span.end {
            return as_json(&document);
        }
        written.splice(span, quoted.into_bytes());
    }
    // What stood in no place of its own (a block of lines, an alias) may not have gone.
    let clean = secrets(bytes).iter().all(|secret| !contains(&written, secret.as_bytes()));
    let is_same = as_json(&document).is_some()
        && alertmanager::document(&written).ok().and_then(|one| as_json(&one)) == as_json(&document);
    if clean && is_same { Some(written) } else { as_json(&document) }
}

/// The same as JSON, which is YAML: without the lines of its author.
fn as_json(document: &Node) -> Option<Vec<u8>> {
    let mut value = serde_json::to_value(document).ok()?;
    if let Some(global) = value.get_mut("global") {
        replace("global", global);
    }
    for receiver in value.get_mut("receivers").and_then(Value::as_array_mut).into_iter().flatten() {
        for (key, value) in receiver.as_object_mut().into_iter().flatten().filter(|(key, _)| *key != "name") {
            replace(key, value);
        }
    }
    serde_json::to_vec_pretty(&value).ok()
}

fn replace(place: &str, value: &mut Value) {
    match value {
        Value::String(text) => *text = harmless(place, text),
        Value::Array(items) => (0..).zip(items).for_each(|(at, item)| replace(&format!("{place}/{at}"), item)),
        Value::Object(entries) => entries.iter_mut().for_each(|(key, one)| replace(&format!("{place}/{key}"), one)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text of that place's form that holds nothing secret; the text itself where it holds nothing.
fn harmless(place: &str, text: &str) -> String {
    if is_secret(place) {
        let scheme = ["https://", "http://"].into_iter().find(|scheme| text.starts_with(scheme));
        return match (text, scheme) {
            ("" | "<secret>", _) => text.to_owned(),
            // An address without a host is refused, and stays so.
            (_, Some(scheme)) if text.len() == scheme.len() => text.to_owned(),
            (_, Some(scheme)) => format!("{scheme}left-out.invalid/"),
            _ => LEFT_OUT.to_owned(),
        };
    }
    match credentials(text) {
        Some((before, _, behind)) => format!("{before}left:out{behind}"),
        None => text.to_owned(),
    }
}

/// `user:password` in `http://user:password@host`, with or without what stands before it.
fn credentials(text: &str) -> Option<(&str, &str, &str)> {
    let (head, _) = text.rsplit_once('@')?;
    let begins = head.rfind("://").map_or(0, |at| at + 3);
    let (before, hidden) = head.split_at(begins);
    hidden.contains(':').then(|| (before, hidden, &text[head.len()..]))
}

/// Every text of what is common to all receivers, and of each integration, with its place there.
fn texts(document: &Node, see: &mut dyn FnMut(&str, &str, &Node)) {
    if let Some(global) = document.get("global") {
        texts_below(global, "global", see);
    }
    for receiver in document.items_of("receivers") {
        for entry in receiver.entries().iter().filter(|entry| entry.key != "name") {
            texts_below(&entry.node, &entry.key, see);
        }
    }
}

fn texts_below(node: &Node, place: &str, see: &mut dyn FnMut(&str, &str, &Node)) {
    match &node.value {
        Kind::Text(text) => see(place, text, node),
        // Of a number the letters count: an app's token may be one.
        Kind::Number(number) if is_secret(place) => see(place, &number.to_string(), node),
        Kind::List(items) => {
            (0..).zip(items).for_each(|(at, item)| texts_below(item, &format!("{place}/{at}"), see));
        }
        Kind::Map(entries) => {
            for entry in entries {
                texts_below(&entry.node, &format!("{place}/{}", entry.key), see);
            }
        }
        _ => {}
    }
}

/// Where scalars stand.
fn spans(node: &Node, all: &mut Vec<std::ops::Range<usize>>) {
    match &node.value {
        Kind::List(items) => items.iter().for_each(|item| spans(item, all)),
        Kind::Map(entries) => entries.iter().for_each(|entry| spans(&entry.node, all)),
        _ => all.push(node.span.clone()),
    }
}

/// Where comments stand: a password that was the last one is often in one.
fn comments(bytes: &[u8], scalars: &[std::ops::Range<usize>]) -> Vec<std::ops::Range<usize>> {
    let mut all: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'#') {
        let begins_a_word = at == 0 || bytes[at - 1].is_ascii_whitespace();
        let is_inside =
            scalars.iter().any(|span| span.contains(&at)) || all.last().is_some_and(|one| one.contains(&at));
        if begins_a_word && !is_inside {
            let end = bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length);
            all.push(at..end);
        }
    }
    all
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The configuration without what is secret in it, or may be: of `global` how long an alert lasts that nobody ends, of each
/// integration the templates of its texts. What a drill keeps, every key on the line that its author knows; nothing when it can't
/// be read.
pub fn without_secrets(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut document = alertmanager::document(bytes).ok()?;
    for entry in entries_of(&mut document) {
        match entry.key.as_str() {
            "global" => {
                if let Kind::Map(entries) = &mut entry.node.value {
                    entries.retain(|one| one.key == "resolve_timeout");
                }
            }
            "receivers" => {
                if let Kind::List(receivers) = &mut entry.node.value {
                    let all = receivers.iter_mut().flat_map(entries_of);
                    all.filter(|one| one.key != "name").for_each(|one| leave_out(&one.key, &mut one.node));
                }
            }
            _ => {}
        }
    }
    let mut written = OnLines { text: String::new(), line: 1 };
    written.node(&document, 0);
    Some(format!("{}\n# As it was given, but for what may be secret.\n", written.text).into_bytes())
}

fn entries_of(node: &mut Node) -> impl Iterator<Item = &mut Entry> {
    let entries = if let Kind::Map(entries) = &mut node.value { &mut entries[..] } else { &mut [] };
    entries.iter_mut()
}

/// Every text that is no template; and every template under a name that secrets have, of which stays that there is one. That a
/// text is empty is no secret.
fn leave_out(key: &str, node: &mut Node) {
    let names = ["url", "key", "token", "secret", "password", "auth", "credentials", "file", "user"];
    match &mut node.value {
        Kind::Text(_) | Kind::Number(_) if key == "max_alerts" || key == "send_resolved" => {}
        Kind::Text(text) => {
            let may_be_secret = names.iter().any(|name| key.to_ascii_lowercase().contains(name));
            if !text.is_empty() && !text.contains("{{") {
                LEFT_OUT.clone_into(text);
            } else if may_be_secret || credentials(text).is_some() {
                TEMPLATE_LEFT_OUT.clone_into(text);
            }
        }
        Kind::Number(_) => node.value = Kind::Text(LEFT_OUT.to_owned()),
        Kind::List(items) => items.iter_mut().for_each(|item| leave_out(key, item)),
        Kind::Map(entries) => entries.iter_mut().for_each(|entry| leave_out(&entry.key, &mut entry.node)),
        Kind::Null | Kind::Switch(_) | Kind::Infinite(_) => {}
    }
}

/// JSON, which is YAML, of which each key and item stands on its line, or on a later one.
struct OnLines {
    text: String,
    line: usize,
}

impl OnLines {
    fn node(&mut self, node: &Node, depth: usize) {
        let (open, close, length) = match &node.value {
            Kind::List(items) => ('[', ']', items.len()),
            Kind::Map(entries) => ('{', '}', entries.len()),
            _ => {
                self.text += &serde_json::to_string(node).unwrap_or_default();
                return;
            }
        };
        self.text.push(open);
        for at in 0..length {
            if at > 0 {
                self.text.push(',');
            }
            let (key, line, inner) = match &node.value {
                Kind::Map(entries) => (Some(&entries[at].key), entries[at].line, &entries[at].node),
                _ => (None, node.items()[at].line, &node.items()[at]),
            };
            self.go_to(line, depth + 1);
            if let Some(key) = key {
                self.text += &Value::from(key.as_str()).to_string();
                self.text += ": ";
            }
            self.node(inner, depth + 1);
        }
        self.text.push(close);
    }

    fn go_to(&mut self, line: usize, depth: usize) {
        if line > self.line {
            self.text += &"\n".repeat(line - self.line);
            self.text += &"  ".repeat(depth);
            self.line = line;
        } else if self.text.ends_with(',') {
            self.text.push(' ');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"global:
  smtp_smarthost: 'me:hunter2@mail.example:25' # was hunter1
  slack_api_url: https://hooks.example/T0/B0/xyzzy
receivers:
  - name: page
    pagerduty_configs: [{routing_key: s3cr3tkey, client_url: 'http://x/{{ .Status }}'}]
    email_configs: [{to: me@mail.example, tls_config: {key: "PRIVATE"}}]
    webhook_configs:
      - url: https://u:passw0rd@hook.example/abc
        http_config: {proxy_url: 'http://p:proxyword@proxy:3128', authorization: {credentials: "bear"}}
"#;

    #[test]
    fn what_a_program_checks_holds_no_secret_and_stands_on_the_same_lines() {
        let checked = String::from_utf8(to_be_checked(FILE.as_bytes()).unwrap()).unwrap();
        for secret in ["hunter1", "hunter2", "xyzzy", "s3cr3tkey", "PRIVATE", "passw0rd", "proxyword", "bear", "abc"] {
            assert!(!checked.contains(secret), "{secret}: {checked}");
        }
        assert_eq!(checked.lines().count(), FILE.lines().count());
        for stays in
            ["left:out@mail.example:25\"", "\"https://left-out.invalid/\"", "http://x/{{ .Status }}", "me@mail"]
        {
            assert!(checked.contains(stays), "{stays}: {checked}");
        }
    }

    #[test]
    fn what_is_kept_stands_on_the_lines_of_its_author() {
        let file = "# whom\nglobal:\n  smtp_smarthost: mail\n  resolve_timeout: 5m\nroute:\n  receiver: a # the one\n  routes:\n\n  - {receiver: b, \
                    match: {v: 1.10}}\n  - receiver: c\n    match:\n      team: &team x\nreceivers:\n- name: a\n  slack_configs:\n  - title: ''\n    \
                    text: |\n      {{ .Status }}\n      {{ .Alerts }}\n- name: b\n";
        let kept = without_secrets(file.as_bytes()).unwrap();
        let [given, kept] = [file.as_bytes(), &kept].map(|bytes| alertmanager::document(bytes).unwrap());
        let lines = |node: &Node| {
            let mut all = Vec::new();
            places(node, "", &mut all);
            all
        };
        let of_given: Vec<_> = lines(&given).into_iter().filter(|(place, _)| !place.contains("smtp")).collect();
        assert_eq!(lines(&kept), of_given);
        assert_eq!(kept.items_of("receivers")[0].items_of("slack_configs")[0].text_of("title"), Some(""));
    }

    /// Every key with its line.
    fn places(node: &Node, place: &str, all: &mut Vec<(String, usize)>) {
        for (at, item) in node.items().iter().enumerate() {
            places(item, &format!("{place}/{at}"), all);
        }
        for entry in node.entries() {
            let place = format!("{place}/{}", entry.key);
            all.push((place.clone(), entry.line));
            places(&entry.node, &place, all);
        }
    }

    #[test]
    fn a_secret_of_many_lines_goes_too_and_what_is_wrong_stays_wrong() {
        let file = "receivers:\n  - name: a\n    slack_configs:\n      - api_url: |\n          not an address\n          hush hush\n        channel: c\n";
        let checked = String::from_utf8(to_be_checked(file.as_bytes()).unwrap()).unwrap();
        assert!(!checked.contains("hush") && checked.contains(LEFT_OUT) && checked.contains("channel"), "{checked}");
        assert_eq!(harmless("global/slack_api_url", ""), "");
        assert_eq!(harmless("global/slack_api_url", "no scheme"), LEFT_OUT);
    }

    #[test]
    fn what_a_program_says_is_told_without_them() {
        let said =
            without(&secrets(FILE.as_bytes()), "address me:hunter2@mail.example:25 or hunter2 or s3cr3tkey is wrong");
        assert_eq!(said, "address <secret>@mail.example:25 or <secret> or <secret> is wrong");
    }

    #[test]
    fn a_name_that_sounds_like_a_secret_is_none() {
        for place in [
            "slack_configs/0/username",
            "slack_configs/0/icon_url",
            "pagerduty_configs/0/client_url",
            "pushover_configs/0/url",
        ] {
            assert!(!is_secret(place), "{place}");
        }
        for place in ["webhook_configs/0/url", "pagerduty_configs/1/routing_key", "pushover_configs/0/token"] {
            assert!(is_secret(place), "{place}");
        }
    }
}

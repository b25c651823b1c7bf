//! Prometheus' configuration.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Refuse;
use crate::monitoring::layout::duration_of;
use crate::monitoring::located::Node;
use aiclipx_base::duration;

pub(in crate::monitoring) fn check(document: &Node, refuse: &mut Refuse) {
    let global = document.get("global");
    let of_all =
        |key, default| global.filter(|node| node.get(key).is_some()).map_or(default, |node| duration_of(node, key));
    let every = of_all("scrape_interval", Duration::from_mins(1));
    let at_most = of_all("scrape_timeout", Duration::from_secs(10).min(every));
    if at_most > every {
        let line = global.map_or(0, |global| global.line_of("scrape_timeout"));
        refuse(line, too_long(at_most, every), "");
    }
    if let Some(global) = global {
        protocols(global, refuse);
    }
    let mut names = BTreeSet::new();
    for job in document.items_of("scrape_configs") {
        let name = job.text_of("job_name").unwrap_or_default();
        if !names.insert(name) {
            refuse(job.line_of("job_name"), format!("a second job of the name `{name}`"), "");
        }
        let every = if is_set(job, "scrape_interval") { duration_of(job, "scrape_interval") } else { every };
        let waits = if is_set(job, "scrape_timeout") { duration_of(job, "scrape_timeout") } else { at_most.min(every) };
        if waits > every {
            refuse(job.line_of("scrape_timeout"), too_long(waits, every), "");
        }
        protocols(job, refuse);
        caller(job, refuse);
        asked(job, refuse);
        relabelled(job, &["relabel_configs", "metric_relabel_configs"], refuse);
    }
    let alerting = document.get("alerting");
    for alertmanager in alerting.map_or(&[][..], |alerting| alerting.items_of("alertmanagers")) {
        caller(alertmanager, refuse);
        asked(alertmanager, refuse);
        relabelled(alertmanager, &["relabel_configs", "alert_relabel_configs"], refuse);
    }
    if let Some(alerting) = alerting {
        relabelled(alerting, &["alert_relabel_configs"], refuse);
    }
    for kind in ["remote_write", "remote_read"] {
        let mut names = BTreeSet::new();
        for remote in document.items_of(kind) {
            if remote.text_of("url").is_none_or(str::is_empty) {
                refuse(remote.line, "`url` is missing".to_owned(), "");
            }
            let name = remote.text_of("name").unwrap_or_default();
            if !name.is_empty() && !names.insert(name) {
                refuse(remote.line_of("name"), format!("a second one of the name `{name}`"), "");
            }
            caller(remote, refuse);
            relabelled(remote, &["write_relabel_configs"], refuse);
        }
    }
}

fn is_set(node: &Node, key: &str) -> bool {
    node.get(key).is_some() && !duration_of(node, key).is_zero()
}

fn too_long(timeout: Duration, interval: Duration) -> String {
    let (timeout, interval) = (duration::print(timeout), duration::print(interval));
    format!("a scrape may last {timeout}, and comes every {interval}")
}

/// Each once.
fn protocols(node: &Node, refuse: &mut Refuse) {
    let mut seen = BTreeSet::new();
    for protocol in node.items_of("scrape_protocols") {
        if !seen.insert(protocol.as_text()) {
            refuse(protocol.line, "a protocol stands twice".to_owned(), "");
        }
    }
}

/// One way to say who we are, and no more.
pub(super) fn caller(node: &Node, refuse: &mut Refuse) {
    let ways =
        [&["basic_auth"][..], &["authorization"], &["oauth2"], &["bearer_token", "bearer_token_file"], &["sigv4"]];
    let is_there = |keys: &&&[&str]| keys.iter().any(|key| node.get(key).is_some());
    let named: Vec<&str> = ways.iter().filter(is_there).map(|keys| keys[0]).collect();
    if named.len() > 1 {
        refuse(
            node.line_of(named[1]),
            format!("{} together: there is one way to sign a request", named.join(" and ")),
            "",
        );
    }
    for (one, other) in [("bearer_token", "bearer_token_file"), ("proxy_url", "proxy_from_environment")] {
        if node.text_of(one).is_some_and(|text| !text.is_empty())
            && node.get(other).is_some_and(|node| !node.value.is_zero())
        {
            refuse(node.line_of(other), format!("`{one}` and `{other}` together"), "");
        }
    }
    let both = |node: &Node, one: &str, other: &str| {
        let has = |key: &str| node.text_of(key).is_some_and(|text| !text.is_empty());
        has(one) && has(other)
    };
    if let Some(basic) = node.get("basic_auth").filter(|basic| both(basic, "password", "password_file")) {
        refuse(basic.line, "`password` and `password_file` together".to_owned(), "");
    }
    if let Some(authorization) = node.get("authorization") {
        if both(authorization, "credentials", "credentials_file") {
            refuse(authorization.line, "`credentials` and `credentials_file` together".to_owned(), "");
        }
        if authorization.text_of("type").is_some_and(|kind| kind.trim().eq_ignore_ascii_case("basic")) {
            refuse(authorization.line, "authorization of the type basic".to_owned(), "write basic_auth");
        }
    }
}

/// Who is asked for targets.
fn asked(node: &Node, refuse: &mut Refuse) {
    // What a relabelling makes of it nobody knows.
    let as_they_stand = node.items_of("relabel_configs").is_empty();
    for group in node.items_of("static_configs").iter().filter(|_| as_they_stand) {
        for target in group.items_of("targets") {
            if let Some(text) = target.as_text().filter(|text| text.contains('/')) {
                refuse(
                    target.line,
                    format!("`{text}` is no host and port"),
                    "a path is `metrics_path`, http or https `scheme`",
                );
            }
        }
    }
    for discovery in node.items_of("file_sd_configs") {
        if discovery.items_of("files").is_empty() {
            refuse(discovery.line, "no file of targets is named".to_owned(), "");
        }
        for file in discovery.items_of("files") {
            let is_one = |text: &str| {
                let ending = text.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
                let stars = text.rsplit_once('/').map_or(text, |(_, name)| name).matches('*').count();
                ending.is_some_and(|ending| ["json", "yml", "yaml"].contains(&ending.as_str())) && stars <= 1
            };
            if let Some(text) = file.as_text().filter(|text| !is_one(text)) {
                refuse(file.line, format!("`{text}` names no file of targets"), "it ends in .json, .yml or .yaml");
            }
        }
    }
    node.items_of("kubernetes_sd_configs").iter().for_each(|discovery| kubernetes(discovery, refuse));
}

/// What may be selected for the targets of a role.
const SELECTED: [(&str, &[&str]); 6] = [
    ("pod", &["pod", "node"]),
    ("service", &["service"]),
    ("endpoints", &["pod", "service", "endpoints", "node"]),
    ("endpointslice", &["pod", "service", "endpointslice", "node"]),
    ("node", &["node"]),
    ("ingress", &["ingress"]),
];

fn kubernetes(discovery: &Node, refuse: &mut Refuse) {
    let role = discovery.text_of("role").unwrap_or_default();
    let Some((_, selected)) = SELECTED.iter().find(|(known, _)| *known == role) else {
        let roles: Vec<&str> = SELECTED.iter().map(|(role, _)| *role).collect();
        return refuse(discovery.line_of("role"), format!("`role` is none of {}", roles.join(", ")), "");
    };
    let mut seen = BTreeSet::new();
    for selector in discovery.items_of("selectors") {
        let of = selector.text_of("role").unwrap_or_default();
        if !selected.contains(&of) {
            refuse(selector.line, format!("targets of the role {role} are not selected by {of}"), "");
        } else if !seen.insert(of) {
            refuse(selector.line, format!("a second selector by {of}"), "");
        }
    }
    let has = |key: &str| discovery.get(key).is_some_and(|node| !node.value.is_zero());
    let of_own = discovery.get("namespaces").and_then(|node| node.get("own_namespace"));
    let of_own = of_own.is_some_and(|node| !node.value.is_zero());
    let calls_its_way = ["basic_auth", "authorization", "oauth2", "bearer_token", "bearer_token_file", "tls_config"];
    let calls_its_way = calls_its_way.iter().any(|key| has(key));
    for (is_wrong, what) in [
        (has("kubeconfig_file") && has("api_server"), "`kubeconfig_file` and `api_server` together"),
        (has("kubeconfig_file") && calls_its_way, "`kubeconfig_file`, and beside it how to call"),
        (!has("kubeconfig_file") && !has("api_server") && calls_its_way, "how to call, and no `api_server`"),
        (has("kubeconfig_file") && of_own, "`kubeconfig_file` and `own_namespace` together"),
        (has("api_server") && of_own, "`api_server` and `own_namespace` together"),
    ] {
        if is_wrong {
            refuse(discovery.line, what.to_owned(), "");
        }
    }
    caller(discovery, refuse);
}

const ACTIONS: [&str; 11] = [
    "replace",
    "keep",
    "drop",
    "keepequal",
    "dropequal",
    "hashmod",
    "labelmap",
    "labeldrop",
    "labelkeep",
    "lowercase",
    "uppercase",
];

fn relabelled(node: &Node, keys: &[&str], refuse: &mut Refuse) {
    for step in keys.iter().flat_map(|key| node.items_of(key)) {
        let action = step.text_of("action").unwrap_or("replace").to_ascii_lowercase();
        if !ACTIONS.contains(&action.as_str()) {
            refuse(step.line_of("action"), format!("`{action}` is none of {}", ACTIONS.join(", ")), "");
        }
        let has = |key: &str| step.get(key).is_some_and(|node| !node.value.is_zero());
        let target = step.text_of("target_label").unwrap_or_default();
        let needs_target = ["replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"];
        if needs_target.contains(&action.as_str()) && target.is_empty() {
            refuse(step.line, format!("`{action}` needs a `target_label`"), "");
        }
        if action == "hashmod" && !has("modulus") {
            refuse(step.line, "`hashmod` needs a `modulus`".to_owned(), "");
        }
        let foreign: &[&str] = match action.as_str() {
            "labeldrop" | "labelkeep" => &["source_labels", "target_label", "modulus", "separator", "replacement"],
            "keepequal" | "dropequal" => &["regex", "modulus", "separator", "replacement"],
            "lowercase" | "uppercase" => &["replacement"],
            _ => &[],
        };
        if let Some(key) = foreign.iter().find(|key| has(key) && !is_default(step, key)) {
            refuse(step.line_of(key), format!("`{action}` takes no `{key}`"), "");
        }
        for label in step.items_of("source_labels").iter().filter(|label| label.as_text() == Some("")) {
            refuse(label.line, "a label without a name".to_owned(), "");
        }
    }
}

fn is_default(step: &Node, key: &str) -> bool {
    matches!((key, step.text_of(key)), ("separator", Some(";")) | ("replacement", Some("$1")) | ("regex", Some("(.*)")))
}

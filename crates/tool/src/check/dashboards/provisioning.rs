//! What Grafana is given beside its dashboards: its own settings, and its datasources.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::finding::Findings;
use super::super::tree::{Tree, file_of};
use aiclipx_base::duration;
use aiclipx_model::monitoring::{DATASOURCES, Monitoring, holds_logs};

/// Settings whose loss would let Grafana fetch, report, or let strangers in.
const SETTINGS: [(&str, &str, &str); 16] = [
    ("paths", "provisioning", "/etc/grafana/provisioning"),
    ("auth.anonymous", "enabled", "true"),
    ("dashboards", "default_home_dashboard_path", "/etc/grafana/dashboards/app-overview.json"),
    ("security", "admin_password", "$__file{/run/secrets/grafana_admin_password}"),
    ("security", "disable_gravatar", "true"),
    ("users", "allow_sign_up", "false"),
    ("server", "http_addr", "127.0.0.1"),
    ("auth.anonymous", "org_role", "Viewer"),
    ("analytics", "reporting_enabled", "false"),
    ("analytics", "check_for_updates", "false"),
    ("analytics", "check_for_plugin_updates", "false"),
    ("plugins", "preinstall_disabled", "true"),
    ("plugins", "preinstall_auto_update", "false"),
    ("plugins", "plugin_admin_enabled", "false"),
    ("plugins", "public_key_retrieval_disabled", "true"),
    ("news", "news_feed_enabled", "false"),
];

pub(super) fn check(tree: &Tree, findings: &mut Findings) {
    linked(tree, findings);
    steps(&tree.monitoring, findings);
    settings(&tree.monitoring, findings);
}

/// What a line of a log leads to is there, where that is one of our dashboards.
fn linked(tree: &Tree, findings: &mut Findings) {
    for (path, document) in tree.monitoring.documents_in(DATASOURCES) {
        let data = document.items_of("datasources").iter().filter_map(|source| source.get("jsonData"));
        for field in data.flat_map(|data| data.items_of("derivedFields")) {
            let url = field.text_of("url").unwrap_or_default();
            let (page, query) = url.split_once('?').unwrap_or((url, ""));
            let Some(uid) = page.strip_prefix("/d/") else { continue };
            let dashboard = tree.dashboards.iter().find(|one| one.node.text_of("uid") == Some(uid));
            let made =
                dashboard.and_then(|one| one.node.get("templating")).map_or(&[][..], |node| node.items_of("list"));
            let asked = query.split('&').filter_map(|pair| pair.strip_prefix("var-")?.split('=').next());
            let strange =
                asked.into_iter().find(|name| made.iter().all(|variable| variable.text_of("name") != Some(name)));
            if dashboard.is_none() || strange.is_some() {
                findings.find(
                    "datasource/link",
                    file_of(path),
                    field.line_of("url"),
                    format!("`{url}` leads nowhere"),
                    "",
                );
            }
        }
    }
}

/// `$__rate_interval` is at least four times a datasource's `timeInterval`: enough for a rate of what is scraped that
/// often, and no less often.
fn steps(monitoring: &Monitoring, findings: &mut Findings) {
    for (path, document) in monitoring.documents_in(DATASOURCES) {
        let sources = document.items_of("datasources").iter();
        for settings in sources.filter(|source| !holds_logs(source.text_of("type").unwrap_or_default())) {
            let Some(settings) = settings.get("jsonData") else { continue };
            let Some(written) = settings.text_of("timeInterval") else { continue };
            let slowest = monitoring.slowest_scrape();
            if duration::parse(written).is_ok_and(|interval| interval < slowest) {
                let what = format!("a panel's rate is taken every {written}, and some targets are scraped more rarely");
                let remedy = format!("`timeInterval` must be at least {}", duration::print(slowest));
                findings.find("datasource/interval", file_of(path), settings.line_of("timeInterval"), what, remedy);
            }
        }
    }
}

fn settings(monitoring: &Monitoring, findings: &mut Findings) {
    let path = Path::new("grafana/grafana.ini");
    let Some(bytes) = monitoring.files().get(path) else { return };
    let text = String::from_utf8_lossy(bytes);
    let mut section = "";
    let mut there = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with(';')) {
            there.insert((section, key.trim()), (value.trim(), index + 1));
        }
    }
    for (section, key, value) in SETTINGS {
        let (is, line) = there.get(&(section, key)).copied().unwrap_or(("missing", 0));
        if is != value {
            let what = format!("[{section}] {key} is {is}");
            findings.find("grafana/setting", file_of(path), line, what, format!("it must be {value}"));
        }
    }
}

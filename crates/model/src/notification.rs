//! A line of `notifications.jsonl`: a notification as the receiver got it.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Notification {
    /// When it came, Unix milliseconds.
    pub received_ms: i64,
    /// Alertmanager's webhook payload.
    pub body: Webhook,
}

/// As much of Alertmanager's payload as anybody here must understand. What else it holds may be of any shape, however deep.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Webhook {
    /// Whether any of the alerts fires.
    pub status: Status,
    pub alerts: Vec<Alert>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Firing,
    Resolved,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Alert {
    pub status: Status,
    /// Its name among them, as `alertname`.
    pub labels: BTreeMap<String, String>,
}

impl Notification {
    pub fn read(line: &str) -> serde_json::Result<Notification> {
        serde_json::from_str(line)
    }

    /// Whether it reports an alert of this name in this status: `firing`, `resolved`.
    pub fn says(&self, alert: &str, status: &str) -> bool {
        let is_it = |told: &Alert| {
            told.status.word() == status && told.labels.get("alertname").is_some_and(|name| name == alert)
        };
        self.body.alerts.iter().any(is_it)
    }
}

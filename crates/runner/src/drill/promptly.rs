//! Whether Alertmanager told in time: one that stood still, or waited for the receiver, shows nothing of a configuration.

use std::convert::Infallible;
use std::time::Duration;

use aiclipx_base::address::Address;
use aiclipx_http::client;
use aiclipx_stack::prom::client::Api;
use tokio::time::sleep;

/// It answers at once. One that does not for that long has told of nothing meanwhile.
const STALLED: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(200);

/// Something done while it is asked again and again: what came of it, and what was found.
pub(super) async fn watched<T>(alertmanager: &Address, doing: impl Future<Output = T>) -> (T, Option<String>) {
    let mut found = None;
    let came = tokio::select! {
        came = doing => came,
        never = ask(alertmanager, &mut found) => match never {},
    };
    (came, found)
}

async fn ask(alertmanager: &Address, found: &mut Option<String>) -> Infallible {
    loop {
        if client::get(alertmanager, "/-/healthy", STALLED).await.is_err() {
            found.get_or_insert_with(|| format!("Alertmanager did not answer within {STALLED:?}"));
        }
        sleep(LOOK).await;
    }
}

/// What it says itself of its notifications, once all are sent.
pub(super) async fn late(alertmanager: &Address) -> anyhow::Result<Option<String>> {
    let metrics = Api::new(alertmanager).get("/metrics").await?;
    Ok(late_by(&String::from_utf8_lossy(&metrics)))
}

fn late_by(metrics: &str) -> Option<String> {
    let sum = |name: &str, label: &str| -> f64 {
        let lines = metrics.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(label));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    let webhook = "integration=\"webhook\"";
    let all = sum("alertmanager_notification_latency_seconds_count", webhook);
    let prompt: f64 = {
        let of_a_second = metrics.lines().filter(|line| {
            line.starts_with("alertmanager_notification_latency_seconds_bucket{")
                && line.contains(webhook)
                && line.contains("le=\"1\"")
        });
        of_a_second.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    let failed = sum("alertmanager_notification_requests_failed_total", webhook);
    if failed > 0.0 {
        return Some(format!("{failed} of Alertmanager's notifications were not taken at once"));
    }
    (all > prompt).then(|| format!("{} of {all} notifications took Alertmanager longer than a second", all - prompt))
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = r#"# TYPE alertmanager_notification_latency_seconds histogram
alertmanager_notification_latency_seconds_bucket{integration="email",le="1"} 0
alertmanager_notification_latency_seconds_bucket{integration="webhook",le="1"} 7
alertmanager_notification_latency_seconds_bucket{integration="webhook",le="10"} 9
alertmanager_notification_latency_seconds_count{integration="webhook"} 9
alertmanager_notification_requests_failed_total{integration="webhook"} 0
"#;

    #[test]
    fn what_was_told_late_or_not_at_once_is_found() {
        assert_eq!(late_by(METRICS).unwrap(), "2 of 9 notifications took Alertmanager longer than a second");
        assert_eq!(late_by(&METRICS.replace("le=\"1\"} 7", "le=\"1\"} 9")), None);
        let failed = METRICS.replace("webhook\"} 0", "webhook\"} 3");
        assert_eq!(late_by(&failed).unwrap(), "3 of Alertmanager's notifications were not taken at once");
        assert_eq!(late_by(""), None);
    }
}

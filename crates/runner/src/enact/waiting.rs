//! What a run waits for before its first request and after its last: quiet, scrapes, alerts.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::{Instant, sleep, timeout};

use super::spec::{RunSpec, Say};
use crate::events::Doing;
use crate::surroundings::now_ms;
use aiclipx_judge::timeline::millis;
use aiclipx_model::failure::Failure;
use aiclipx_model::monitoring::WATCHDOG;
use aiclipx_model::prom::answer::Sample;
use aiclipx_model::traffic::ledger::Head;
use aiclipx_stack::prom::client::{ActiveAlert, Api};

/// How often we look while waiting.
const LOOK: Duration = Duration::from_millis(100);
/// Prometheus scrapes a new target about five seconds after its start, whatever the interval (2.42, measured).
const FIRST_SCRAPE: Duration = Duration::from_secs(20);
/// A wait is told again after this long.
const MUTE: Duration = Duration::from_secs(5);

/// What a run waits for, and who is told so.
pub(super) struct Waiting<'a> {
    what: RunSpec<'a>,
    prometheus: Api,
    say: &'a Say<'a>,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(what: RunSpec<'a>, say: &'a Say<'a>) -> Waiting<'a> {
        Waiting { what, prometheus: Api::new(what.environment.prometheus()), say }
    }

    /// Waits until the stack is quiet, if it shall be, and then until it was scraped: since when that is so.
    pub(super) async fn until_baseline(&self) -> Result<(Instant, i64), Failure> {
        if self.what.from_quiet {
            self.until_quiet().await?;
        }
        let limit = FIRST_SCRAPE + self.real(self.what.tree.monitoring.scrape_interval(), "the scrape interval")?;
        // A new stack's first scrape comes seconds after its start: a window that began before would look like one missed.
        (self.say)(Doing::WaitingForFirstScrapes);
        self.until_scraped(0, limit).await?;
        let (quiet, quiet_ms) = (Instant::now(), now_ms());
        self.until_scraped(quiet_ms, limit).await?;
        Ok((quiet, quiet_ms))
    }

    /// Waits until no alert but the watchdog is active: what fires later is then this scenario's doing.
    async fn until_quiet(&self) -> Result<(), Failure> {
        // The longest memory of those that are waited for: half an hour, of AppTrafficDrop and of the pairs of six hours.
        let longest = self.real(Duration::from_mins(45), "waiting for quiet")?;
        let began = Instant::now();
        let (mut told, mut spoke) = (String::new(), began);
        loop {
            let active = active_alerts(&self.prometheus).await?;
            let names: Vec<&str> = active.iter().map(String::as_str).filter(|name| *name != WATCHDOG).collect();
            if names.is_empty() {
                return Ok(());
            }
            let names = names.join(", ");
            if began.elapsed() > longest + FIRST_SCRAPE {
                // A rule that fires at everything is the monitoring's fault, and a claim's to find.
                (self.say)(Doing::NotQuiet { alerts: names, seconds: began.elapsed().as_secs() });
                return Ok(());
            }
            if names != told || spoke.elapsed() >= MUTE {
                let seconds = (names == told).then(|| began.elapsed().as_secs());
                (self.say)(Doing::WaitingForQuiet { alerts: names.clone(), seconds });
                (told, spoke) = (names, Instant::now());
            }
            sleep(LOOK * 3).await;
        }
    }

    /// Waits until every target has been scraped by a scrape that began after `after_ms`.
    async fn until_scraped(&self, after_ms: i64, limit: Duration) -> anyhow::Result<()> {
        // The service's replicas, Prometheus, Alertmanager, the receiver.
        let targets = self.what.environment.app().len() + 3;
        let scraped = async {
            loop {
                let series = self.prometheus.query("timestamp(up)", None).await?.into_series();
                let is_fresh = |sample: &Sample| millis(sample.value) > after_ms;
                let fresh = series.iter().filter(|series| series.samples.last().is_some_and(is_fresh)).count();
                if fresh >= targets && fresh == series.len() {
                    return Ok(());
                }
                sleep(LOOK).await;
            }
        };
        match timeout(limit, scraped).await {
            Ok(scraped) => scraped,
            Err(_) => bail!("Prometheus did not scrape all {targets} targets within {limit:?}"),
        }
    }

    /// Waits for the last notification and the final scrape; what did not come in time is told, and judged later.
    pub(super) async fn until_over(&self, sent: &Head) -> Result<Vec<String>, Failure> {
        let monitoring = &self.what.tree.monitoring;
        let mut disturbances = Vec::new();
        let ended_ms = i64::try_from(sent.ended_unix_us.div_ceil(1000)).unwrap_or(i64::MAX);
        (self.say)(Doing::WaitingForFinalScrape);
        let limit = self.real(monitoring.scrape_interval(), "the scrape interval")? * 3 + Duration::from_secs(2);
        if let Err(error) = self.until_scraped(ended_ms, limit).await {
            disturbances.push(format!("no scrape after the last request: {error:#}"));
        }
        // What a shortened run could not make fire is not waited for, nor what was not done to a component that is not there:
        // it is not proven anyway.
        let mut steps = self.what.scenario.phases.iter().flat_map(|phase| &phase.steps);
        let is_whole = self.what.length.is_none() && !steps.any(|step| self.what.environment.lacks(&step.component));
        let awaited = self.what.scenario.expect.fires.iter().filter(|_| is_whole);
        for alert in awaited {
            let share = self.what.scenario.fault_share();
            let Some(bounds) = monitoring.alert(alert).map(|alert| monitoring.bounds(alert, share)) else { continue };
            let speed = self.what.environment.speed();
            let limit = bounds.latest_resolved_notified / speed.factor() + Duration::from_secs(2);
            // Not in time is not our verdict: the claim says so from what was recorded.
            let _ = timeout(limit, self.until_resolved(alert, sent)).await;
        }
        // So that the evaluation after the last firing one lies inside the window.
        sleep(self.real(monitoring.evaluation_interval(), "the evaluation interval")? * 2).await;
        Ok(disturbances)
    }

    async fn until_resolved(&self, alert: &str, sent: &Head) {
        let environment = self.what.environment;
        let waiting = |seconds| Doing::WaitingUntilResolved { alert: alert.to_owned(), seconds };
        (self.say)(waiting(None));
        let (began, mut spoke) = (Instant::now(), Instant::now());
        let began_ms = i64::try_from(sent.started_unix_us / 1000).unwrap_or(i64::MAX);
        loop {
            // Who does not answer says nothing yet. The receiver is asked only when there is something to be told.
            if active_alerts(&self.prometheus).await.is_ok_and(|active| !active.contains(alert))
                && (environment.receiver().is_none()
                    || environment.notifications(began_ms).await.is_ok_and(|lines| tells_resolved(&lines, alert)))
            {
                return;
            }
            if spoke.elapsed() >= MUTE {
                (self.say)(waiting(Some(began.elapsed().as_secs())));
                spoke = Instant::now();
            }
            sleep(LOOK).await;
        }
    }

    /// So long on this stack.
    fn real(&self, production: Duration, what: &'static str) -> anyhow::Result<Duration> {
        self.what.environment.speed().real(production).context(what)
    }
}

/// Names of active alerts. Those that look back over days are left out: they end hours after their reason, and nobody can wait
/// for that. The pair of six hours ends with its half hour.
async fn active_alerts(prometheus: &Api) -> anyhow::Result<BTreeSet<String>> {
    let looks_back_for_days =
        |alert: &ActiveAlert| alert.labels.get("long_window").is_some_and(|window| window.ends_with('d'));
    let active = prometheus.active_alerts().await?;
    Ok(active.iter().filter(|alert| !looks_back_for_days(alert)).map(|alert| alert.name().to_owned()).collect())
}

fn tells_resolved(lines: &str, alert: &str) -> bool {
    let mut notifications = lines.lines().rev().filter_map(|line| serde_json::from_str(line).ok());
    notifications.any(|notification: aiclipx_model::notification::Notification| {
        aiclipx_judge::timeline::says(&notification, alert, "resolved")
    })
}

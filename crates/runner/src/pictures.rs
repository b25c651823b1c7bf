//! Takes pictures of Prometheus' pages as soon as an expected alert fires.
//!
//! A picture is optional, and can cost nothing but its own claim: each is kept by itself when it is taken, no page waits for
//! another, a page that shows too late or never leaves a reason in its place. When the work is done, every page of every
//! expected alert is one or the other, a [`Picture`] or a [`MissingPicture`]; nothing lies in the run's folder but pictures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::browser::Browser;
use crate::browser::page::PageOptions;
use crate::browser::prometheus::{PrometheusPages, Shot};
use crate::surroundings::{look_for_a_browser, now_ms};
use aiclipx_base::address::Address;
use aiclipx_judge::alert_graph;
use aiclipx_judge::artifacts;
use aiclipx_judge::claims::pictured;
use aiclipx_judge::files::write;
use aiclipx_judge::run::{MissingPicture, Picture};
use aiclipx_model::failure::Failure;
use aiclipx_stack::prom::client::Api;

/// How often Prometheus is asked whether an alert fires.
const LOOK: Duration = Duration::from_millis(200);
/// A page shows what it must by then …
pub const PATIENCE: Duration = Duration::from_secs(15);
/// … and stands still for its picture so much later, or there is none.
const SETTLE_LIMIT: Duration = Duration::from_secs(10);
/// What a picture shows; the height grows with the page.
const SIZE: PageOptions = PageOptions { width: 1200, height: 700, scale: 1.0 };
/// A graph shows at least so much.
const SHORTEST_GRAPH: Duration = Duration::from_secs(30);

/// What is to be pictured, and with what.
pub struct Screenshots {
    patience: Duration,
    equipment: Option<(Browser, PrometheusPages)>,
    prometheus: Api,
    expressions: BTreeMap<String, String>,
    began_ms: i64,
    /// Alerts that were not seen firing yet.
    awaited: Vec<String>,
    album: Album,
}

/// What became of every page.
#[derive(Debug, Default)]
pub struct Album {
    /// Those that were taken.
    pub pictures: Vec<Picture>,
    /// Those that could not be.
    pub missing: Vec<MissingPicture>,
}

impl Album {
    fn miss(&mut self, alert: &str, page: &str, why: &str) {
        self.missing.push(MissingPicture { alert: alert.to_owned(), page: page.to_owned(), why: why.to_owned() });
    }
}

/// A screenshots at work, on a task of its own: pictures must not make requests late. Dropped, it stops.
pub struct AtWork {
    task: JoinSet<Album>,
    over: Option<oneshot::Sender<()>>,
}

impl Screenshots {
    /// Starts a browser where there is something to picture. Without one the run goes on, and says why.
    /// A page has `patience` to show what it must; [`PATIENCE`] outside of tests.
    pub async fn open(alerts: &[String], prometheus: &Address, patience: Duration) -> Screenshots {
        let mut screenshots = Screenshots {
            patience,
            equipment: None,
            prometheus: Api::new(prometheus),
            expressions: BTreeMap::new(),
            began_ms: now_ms(),
            awaited: alerts.to_vec(),
            album: Album::default(),
        };
        if alerts.is_empty() {
            return screenshots;
        }
        match equipment(prometheus).await {
            Ok(equipment) => screenshots.equipment = Some(equipment),
            Err(why) => screenshots.give_up(|_| why.clone()),
        }
        let rules = screenshots.prometheus.json("/api/v1/rules?type=alert").await.unwrap_or_default();
        let expressions =
            alerts.iter().filter_map(|alert| Some((alert.clone(), alert_graph::expression(&rules, alert)?)));
        screenshots.expressions = expressions.collect();
        screenshots
    }

    /// Of what is still awaited there will be no picture.
    fn give_up(&mut self, why: impl Fn(&str) -> String) {
        for alert in std::mem::take(&mut self.awaited) {
            for page in pictured::PAGES {
                self.album.miss(&alert, page, &why(&alert));
            }
        }
    }

    /// Begins to look out for alerts.
    pub fn start(self, folder: PathBuf) -> AtWork {
        let (over, until_over) = oneshot::channel();
        let mut task = JoinSet::new();
        task.spawn(self.work(folder, until_over));
        AtWork { task, over: Some(over) }
    }

    async fn work(mut self, folder: PathBuf, mut until_over: oneshot::Receiver<()>) -> Album {
        if let Some((browser, pages)) = self.equipment.take() {
            self.look_out(&browser, &pages, &folder, &mut until_over).await;
            // Its process is killed with the value anyway; a browser that ends badly takes no picture back.
            let _ = browser.close().await;
        }
        self.give_up(|alert| format!("{alert} was not seen firing while enacting"));
        self.album
    }

    /// Until every awaited alert was pictured, or the traffic is over and every page that was begun has ended.
    async fn look_out(
        &mut self,
        browser: &Browser,
        pages: &PrometheusPages,
        folder: &Path,
        until_over: &mut oneshot::Receiver<()>,
    ) {
        type Taken = (String, &'static str, String, Result<Vec<u8>, String>);
        let mut begun: FuturesUnordered<BoxFuture<Taken>> = FuturesUnordered::new();
        let mut looking = true;
        while (looking && !self.awaited.is_empty()) || !begun.is_empty() {
            tokio::select! {
                // In this order: pages that are always ready must not keep an alert from being seen.
                biased;
                _ = &mut *until_over, if looking => looking = false,
                () = sleep(LOOK), if looking && !self.awaited.is_empty() => {
                    for alert in self.firing().await {
                        for (page, shot) in self.shots(pages, &alert) {
                            let (alert, patience) = (alert.clone(), self.patience);
                            begun.push(Box::pin(async move {
                                let (url, taken) = match shot {
                                    Ok(shot) => (shot.url.clone(), take(browser, &shot, patience).await),
                                    Err(failure) => (String::new(), Err(failure.in_one_line())),
                                };
                                (alert, page, url, taken)
                            }));
                        }
                    }
                }
                Some((alert, page, url, taken)) = begun.next() => {
                    let kept = match taken {
                        Ok(png) => self.keep(&alert, page, url, &png, folder).await,
                        Err(why) => Err(why),
                    };
                    match kept {
                        Ok(picture) => self.album.pictures.push(picture),
                        Err(why) => self.album.miss(&alert, page, &why),
                    }
                }
            }
        }
    }

    /// Awaited alerts that fire now; they are awaited no more.
    async fn firing(&mut self) -> Vec<String> {
        // A Prometheus that is away for a moment is asked again.
        let active = self.prometheus.active_alerts().await.unwrap_or_default();
        let fires = |alert: &String| active.iter().any(|active| active.name() == alert && active.state == "firing");
        let (firing, awaited) = std::mem::take(&mut self.awaited).into_iter().partition(fires);
        self.awaited = awaited;
        firing
    }

    fn shots(&self, pages: &PrometheusPages, alert: &str) -> Vec<(&'static str, Result<Shot, Failure>)> {
        let expression = self.expressions.get(alert).cloned();
        let expression = expression.unwrap_or_else(|| format!("ALERTS{{alertname=\"{alert}\"}}"));
        let now = now_ms();
        let range = Duration::from_secs(u64::try_from((now - self.began_ms) / 1000).unwrap_or(0)).max(SHORTEST_GRAPH);
        let shot = |page| match page {
            "alerts" => Ok(pages.alerts(&[alert])),
            "targets" => Ok(pages.targets()),
            _ => pages.graph(&expression, range, now / 1000),
        };
        pictured::PAGES.iter().map(|page| (*page, shot(page))).collect()
    }

    /// Keeps a picture if the alert fires still: one that came too late shows something else.
    async fn keep(&self, alert: &str, page: &str, url: String, png: &[u8], folder: &Path) -> Result<Picture, String> {
        let taken_ms = now_ms();
        let active = self.prometheus.active_alerts().await.map_err(|error| format!("{error:#}"))?;
        if !active.iter().any(|active| active.name() == alert && active.state == "firing") {
            return Err(format!("Prometheus' {page} page was ready only when {alert} no longer fired"));
        }
        let file = artifacts::picture(alert, page);
        write(&folder.join(&file), png).map_err(|error| format!("{error:#}"))?;
        Ok(Picture { file, page: page.to_owned(), url, alert: alert.to_owned(), taken_ms })
    }
}

impl AtWork {
    /// The traffic is over: what does not fire by now is not this scenario's doing.
    pub fn traffic_is_over(&mut self) {
        if let Some(over) = self.over.take() {
            // Who has nothing to wait for has ended already.
            let _ = over.send(());
        }
    }

    /// Waits for the pages that were begun, and gives what became of all.
    pub async fn done(mut self) -> anyhow::Result<Album> {
        self.traffic_is_over();
        let album = self.task.join_next().await.context("nobody took pictures")?;
        album.context("taking pictures")
    }
}

async fn equipment(prometheus: &Address) -> Result<(Browser, PrometheusPages), String> {
    let pages = PrometheusPages::probe(prometheus).await.map_err(|failure| failure.in_one_line())?;
    let pages = pages.ok_or("this Prometheus serves no pages of its own")?;
    look_for_a_browser().await;
    let program = Browser::find().ok_or("Chromium is not on PATH (Debian: apt install chromium)")?;
    let browser = Browser::start(&program).await.map_err(|failure| failure.in_one_line())?;
    Ok((browser, pages))
}

async fn take(browser: &Browser, shot: &Shot, patience: Duration) -> Result<Vec<u8>, String> {
    let limit = patience + SETTLE_LIMIT;
    let taken = async {
        let mut page = browser.page(SIZE).await?;
        shot.show(&mut page, patience).await?;
        page.png(shot.whole).await
    };
    match timeout(limit, taken).await {
        Ok(taken) => taken.map_err(|failure| failure.in_one_line()),
        Err(_) => Err(format!("Prometheus' {} page was not drawn within {} s", shot.name, limit.as_secs())),
    }
}

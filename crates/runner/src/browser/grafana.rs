//! A dashboard's page as Grafana shows it, and the data it was given.
//!
//! Grafana says nothing of when a page is done: it is when its queries are, when none follows, and when no panel says that
//! it is loading. The answers are kept, for they are what the pixels show. The parts are known by the names Grafana gives
//! them for tests: since 8.5 a panel's head, loading bar and status are what these selectors say (held against 12's and
//! 13's own list of names), before they were others (run on 7.5.17). It fails closed: what is not understood gives no
//! picture, and a sentence why.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::Browser;
use super::page::{Page, PageOptions};
use aiclipx_base::address::Address;
use aiclipx_judge::grafana::Exchange;
use aiclipx_model::failure::Failure;
use aiclipx_model::prom::answer::percent_encoded;

/// Where Grafana's pages ask for data: at Grafana, which some day asks the second way; before 8.3, through its proxy.
const QUERIES: &[&str] = &["/api/ds/query", "/apis/query.grafana.app/", "/api/v1/query"];
/// What hangs on a curve, asked for beside it and in a form of its own.
const EXEMPLARS: &str = "/query_exemplars";
/// After a query's answer, so long may the next one take to begin.
const QUIET: Duration = Duration::from_millis(1500);
/// A row of the grid with its gap, and what stands above the grid, in CSS pixels.
const ROW: u32 = 38;
const ABOVE: u32 = 200;

/// A panel's head, what turns while it loads, and what tells that it failed: as newer pages have it, and older ones.
const HEADS: &str = "[data-testid^=\"data-testid Panel header\"], [aria-label^=\"Panel header title item\"]";
const LOADING: &str = "[aria-label=\"Panel loading bar\"], .panel-loading";
const FAILED: &str = "[data-testid=\"data-testid Panel status error\"], [aria-label=\"Panel header error\"]";

/// What a page shows, given back with what a panel says that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// What its panels asked and were answered.
    pub exchanges: Vec<Exchange>,
    /// The headlines of panels that show an error, whatever became of their queries.
    pub failed: Vec<String>,
}

/// A dashboard over a time that has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DashboardPage<'a> {
    pub address: &'a Address,
    pub uid: &'a str,
    /// Rows of its grid: panels below the window's edge are not asked for.
    pub rows: u32,
    pub from_ms: i64,
    pub to_ms: i64,
    /// How long its queries may take, and then its panels.
    pub patience: Duration,
}

impl DashboardPage<'_> {
    /// Its address: light, in UTC, over these times, without menus and without a refresh.
    pub fn url(&self) -> String {
        let path = format!(
            "/d/{}?orgId=1&from={}&to={}&timezone=utc&theme=light&kiosk&_dash.hideTimePicker=true&_dash.hideVariables=true",
            percent_encoded(self.uid),
            self.from_ms,
            self.to_ms
        );
        self.address.url(&path)
    }

    /// Takes its picture, and gives back what its panels asked and were answered.
    pub async fn picture(&self, browser: &Browser, file: &Path) -> Result<Shown, Failure> {
        let options = PageOptions { width: 1280, height: self.rows * ROW + ABOVE, scale: 1.0 };
        let mut page = browser.page(options).await?;
        let taken = self.take(&mut page, file).await;
        let closed = page.close().await;
        taken.and_then(|shown| closed.map(|()| shown))
    }

    async fn take(&self, page: &mut Page, file: &Path) -> Result<Shown, Failure> {
        page.listen_for(QUERIES);
        page.open(&self.url()).await?;
        let mut exchanges = match page.exchanges(QUIET, self.patience).await {
            Ok(exchanges) => exchanges,
            Err(failure) => return Err(self.why_not(page, failure).await),
        };
        exchanges.retain(|exchange| !exchange.url.contains(EXEMPLARS));
        if let Err(failure) = page.wait_until(&ready(), self.patience).await {
            return Err(self.why_not(page, failure).await);
        }
        let titles = format!(
            "[...document.querySelectorAll('{FAILED}')].map(mark => {{ \
               const panel = mark.closest('section, .panel-container, [data-panelid]') ?? mark.parentElement; \
               return (panel.innerText ?? '').trim().split('\\n')[0]; }})"
        );
        let failed = match page.evaluate(&titles).await? {
            Ok(Value::Array(titles)) => titles.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => return Err(page.failure("what its panels say can't be read")),
        };
        page.picture(file, false).await?;
        Ok(Shown { exchanges, failed })
    }

    /// What a person in front of the page would say, and what was waited for in vain.
    async fn why_not(&self, page: &mut Page, failure: Failure) -> Failure {
        let script = format!(
            "[location.pathname, document.querySelectorAll('{HEADS}').length, \
              document.querySelectorAll('{LOADING}').length, \
              document.body.innerText.match(/Panel plugin not found: \\S+|failed to load its application files/)?.[0] ?? '']"
        );
        let Ok(Ok(seen)) = page.evaluate(&script).await else { return failure };
        let (path, heads, loading) = (seen[0].as_str().unwrap_or_default(), &seen[1], &seen[2]);
        let why = match seen[3].as_str().unwrap_or_default() {
            missing if missing.starts_with("Panel plugin") => format!("this Grafana can't draw all panels: {missing}"),
            "" if !path.starts_with("/d/") => format!("Grafana sent the page to {path}"),
            "" if *heads == 0 => {
                "no panel is on the page, or this Grafana marks its panels in a way that isn't known".to_owned()
            }
            "" if *loading != 0 => format!("after {:?}, {loading} of {heads} panels were still loading", self.patience),
            "" => return failure,
            _ => "Grafana could not load its own page".to_owned(),
        };
        failure.context(why)
    }
}

/// Nobody was sent to a login; there are panels, each of a kind that this Grafana has, and none of them is loading.
fn ready() -> String {
    format!(
        "location.pathname.startsWith('/d/') && document.querySelectorAll('{HEADS}').length > 0 \
         && document.querySelector('{LOADING}') === null && !document.body.innerText.includes('Panel plugin not found')"
    )
}

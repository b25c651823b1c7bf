//! A dashboard's page as Grafana shows it, and the data it was given.
//!
//! Grafana says nothing of when a page is done: it is when its queries are, when none follows, and when no panel says that
//! it is loading. The answers are kept, for they are what the pixels show. Written from Grafana's sources and the names it
//! gives its parts for tests, and tried on a page that behaves like it; **no Grafana was at hand**. It fails closed: what
//! is not understood gives no picture.

use std::path::Path;
use std::time::Duration;

use super::{Browser, Exchange, PageOptions};
use crate::failure::Failure;
use crate::http::client::Address;
use crate::prom::answer::percent_encoded;

/// Where Grafana's pages ask for data; newer ones may take the second way.
const QUERIES: &[&str] = &["/api/ds/query", "/apis/query.grafana.app/"];
/// After a query's answer, so long may the next one take to begin.
const QUIET: Duration = Duration::from_millis(1500);
/// A row of the grid with its gap, and what stands above the grid, in CSS pixels.
const ROW: u32 = 38;
const ABOVE: u32 = 200;

/// Nobody was sent to a login; there are panels, and none of them is loading.
const READY: &str = "location.pathname.startsWith('/d/') \
    && document.querySelectorAll('[data-testid^=\"data-testid Panel header\"]').length > 0 \
    && document.querySelector('[aria-label=\"Panel loading bar\"]') === null";

/// A dashboard over a time that has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DashboardPage<'a> {
    /// Grafana.
    pub address: &'a Address,
    /// The dashboard.
    pub uid: &'a str,
    /// Rows of its grid: panels below the window's edge are not asked for.
    pub rows: u32,
    /// From, Unix milliseconds.
    pub from_ms: i64,
    /// To, Unix milliseconds.
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
    pub async fn picture(&self, browser: &Browser, file: &Path) -> Result<Vec<Exchange>, Failure> {
        let options = PageOptions { width: 1280, height: self.rows * ROW + ABOVE, scale: 1.0 };
        let mut page = browser.page(options).await?;
        page.listen_for(QUERIES);
        page.open(&self.url()).await?;
        let exchanges = page.exchanges(QUIET, self.patience).await?;
        page.wait_until(READY, self.patience).await?;
        page.picture(file, false).await?;
        page.close().await?;
        Ok(exchanges)
    }
}

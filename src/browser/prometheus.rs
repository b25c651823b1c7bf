//! Prometheus' own pages, and when each of them shows what it is for.
//!
//! Three user interfaces answer to the same questions: Debian's package (2.42) serves the `/classic/` templates alone,
//! upstream's 2.x a React application, 3.x a Mantine one. [`PrometheusPages::probe`] asks once which is there. The
//! classic pages were run and looked at; the predicates of the other two are written from their sources' texts and
//! class names and **were not run**: no such Prometheus was at hand. They fail closed: a wrong one gives no picture.

use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::Page;
use crate::duration;
use crate::failure::Failure;
use crate::http::client::{self, Address};
use crate::prom::answer::percent_encoded;

const PROBE_LIMIT: Duration = Duration::from_secs(5);
/// What a page may need to ask for its data and draw it; what it does not show by then, it may show when loaded again.
const RELOAD_AFTER: Duration = Duration::from_secs(3);

/// Which user interface a Prometheus serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interface {
    /// `/classic/targets`, …: server-side templates, up to 2.x; the only one in Debian's package.
    Classic,
    /// `/targets`, …, `/graph`: upstream's 2.x.
    React,
    /// `/targets`, …, `/query`: 3.x.
    Mantine,
}

/// The pages of one Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrometheusPages {
    address: Address,
    /// As `/api/v1/status/buildinfo` says it: `2.42.0+ds`.
    pub version: String,
    /// Which set of pages it is.
    pub interface: Interface,
}

/// One page to take a picture of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shot {
    /// `targets`, `rules`, `alerts`, `graph`: good for a file name.
    pub name: &'static str,
    /// What to open.
    pub url: String,
    /// JavaScript that unfolds or sets what the address can't, to run once the page is loaded; may be empty.
    pub unfold: String,
    /// JavaScript that is true when the page is loaded and shows data.
    pub ready: String,
    /// Whether the whole page is pictured, however long; else what the window shows once unfolded.
    pub whole: bool,
}

impl Shot {
    /// Opens the page until it shows data: the classic pages are made by the server and never change once loaded.
    pub async fn show(&self, page: &mut Page, limit: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + limit;
        loop {
            page.open(&self.url).await?;
            if !self.unfold.is_empty() {
                page.run(&self.unfold).await?;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match page.wait_until(&self.ready, left.min(RELOAD_AFTER)).await {
                Err(_) if left > RELOAD_AFTER => {}
                shown => return shown,
            }
        }
    }
}

impl PrometheusPages {
    /// Asks a running Prometheus for its version, and whether it serves the new pages.
    pub async fn probe(address: &Address) -> Result<PrometheusPages, Failure> {
        let build = client::get(address, "/api/v1/status/buildinfo", PROBE_LIMIT).await;
        let build = build.context("cannot ask Prometheus for its version")?;
        let build: Value = serde_json::from_slice(&build.body).context("Prometheus' build information is no JSON")?;
        let version = build["data"]["version"].as_str().context("Prometheus' build information names no version")?;
        let targets =
            client::get(address, "/targets", PROBE_LIMIT).await.context("cannot ask for Prometheus' pages")?;
        PrometheusPages::new(address.clone(), version, targets.status.is_success())
    }

    /// The pages of a version, given whether `/targets` (without `/classic`) is served.
    pub fn new(address: Address, version: &str, serves_targets: bool) -> Result<PrometheusPages, Failure> {
        let major: Option<u32> = version.split('.').next().and_then(|major| major.parse().ok());
        let interface = match (major, serves_targets) {
            (Some(2), false) => Interface::Classic,
            (Some(2), true) => Interface::React,
            (Some(3..), true) => Interface::Mantine,
            _ => {
                return Err(Failure::usage(format!(
                    "Prometheus {version} at {address} serves no pages this tool knows; 2.x and 3.x do"
                )));
            }
        };
        Ok(PrometheusPages { address, version: version.to_owned(), interface })
    }

    /// Every target with its state, none of them still unknown.
    pub fn targets(&self) -> Shot {
        let ready = match self.interface {
            Interface::Classic => {
                "(rows => rows.length > 0 && rows.every(row => /^(up|down)$/i.test(row.innerText.trim())))\
                 ([...document.querySelectorAll('.table-container td.state')])"
            }
            // The pool's headline: "app (1/1 up)".
            Interface::React => r"/\(\d+\/\d+ up\)/.test(document.body.innerText)",
            // The pool's accordion: "app" and "1 / 1 up".
            Interface::Mantine => r"/\d+ ?\/ ?\d+ up/i.test(document.body.innerText)",
        };
        self.shot("targets", "/targets", String::new(), ready.to_owned())
    }

    /// Every rule, evaluated at least once and without an error.
    pub fn rules(&self) -> Shot {
        let ready = match self.interface {
            Interface::Classic => {
                "(states => states.length > 0 && states.every(state => /^ok$/i.test(state.innerText.trim())))\
                 ([...document.querySelectorAll('td.state')])"
            }
            Interface::React | Interface::Mantine => {
                r"/\bok\b/i.test(document.body.innerText) && !/\b(err|unknown)\b/i.test(document.body.innerText)"
            }
        };
        self.shot("rules", "/rules", String::new(), ready.to_owned())
    }

    /// The alerts, every one named shown as firing; with none named, the list of alerts.
    pub fn alerts(&self, firing: &[&str]) -> Shot {
        let names = script_text(firing);
        let (unfold, ready) = match self.interface {
            Interface::Classic => (
                // A click on the headline unfolds the instances, which carry the state in words.
                format!(
                    "for (const head of document.querySelectorAll('tr.alert_header'))\
                     if ({names}.includes(head.querySelector('b')?.innerText)) {{\
                     if (!head.nextElementSibling.checkVisibility()) head.click();\
                     head.previousElementSibling?.scrollIntoView() }}"
                ),
                format!(
                    "document.querySelectorAll('tr.alert_header').length > 0 && {names}.every(name => \
                     [...document.querySelectorAll('tr.alert_header')].some(head => \
                     head.querySelector('b')?.innerText === name && /firing/i.test(head.nextElementSibling.innerText)))"
                ),
            ),
            Interface::React | Interface::Mantine => (
                String::new(),
                format!(
                    "(text => text.length > 0 && /inactive/i.test(text) && ({names}.length === 0 || /firing/i.test(text))\
                     && {names}.every(name => text.includes(name)))(document.body.innerText)"
                ),
            ),
        };
        // Two dozen alerts that are quiet make a long page of little interest; where one can scroll, one need not see them.
        let whole = self.interface != Interface::Classic || firing.is_empty();
        Shot { whole, ..self.shot("alerts", "/alerts", unfold, ready) }
    }

    /// A graph of an expression over `range`, pinned to its end (Unix seconds), with at least one series drawn.
    pub fn graph(&self, expression: &str, range: Duration, end_seconds: i64) -> Result<Shot, Failure> {
        let end = jiff::Timestamp::from_second(end_seconds)
            .map_err(|_| Failure::usage(format!("{end_seconds} is no time a graph could end at")))?;
        let end = end.strftime("%Y-%m-%d %H:%M:%S").to_string();
        let (path, tab, ready) = match self.interface {
            Interface::Classic => (
                "/graph",
                "0",
                "document.querySelectorAll('.rickshaw_graph svg path').length > 0 \
                 && document.querySelectorAll('.legend .line').length > 0 \
                 && [...document.querySelectorAll('.error.alert')].every(box => !box.checkVisibility()) \
                 && [...document.querySelectorAll('.spinner')].every(image => !image.checkVisibility())",
            ),
            Interface::React => (
                "/graph",
                "0",
                "document.querySelector('.graph-chart canvas') !== null \
                 && document.querySelectorAll('.graph-legend .legend-item').length > 0",
            ),
            Interface::Mantine => (
                "/query",
                "graph",
                "document.querySelector('.uplot canvas') !== null \
                 && document.querySelectorAll('.u-legend .u-series').length > 1",
            ),
        };
        let path = format!(
            "{path}?g0.expr={}&g0.tab={tab}&g0.stacked=0&g0.range_input={}&g0.end_input={}",
            percent_encoded(expression),
            duration::print(range),
            percent_encoded(&end)
        );
        // The classic page reads its address to the minute; its date picker, which comes after the load, takes the second.
        let unfold = match self.interface {
            Interface::Classic => {
                format!(
                    "new Promise(done => {{ let tries = 0; const set = () => {{ \
                     const picker = jQuery('input[name=end_input]').data('DateTimePicker'); \
                     if (picker) {{ picker.date(moment({end_seconds}000)); done(true) }} \
                     else if (++tries < 200) setTimeout(set, 20); else done(false) }}; set() }})"
                )
            }
            Interface::React | Interface::Mantine => String::new(),
        };
        Ok(self.shot("graph", &path, unfold, ready.to_owned()))
    }

    fn shot(&self, name: &'static str, path: &str, unfold: String, ready: String) -> Shot {
        let prefix = if self.interface == Interface::Classic { "/classic" } else { "" };
        Shot { name, url: self.address.url(&format!("{prefix}{path}")), unfold, ready, whole: true }
    }
}

/// Names as a JavaScript list. JSON is one, but for two line separators which are no names.
fn script_text(names: &[&str]) -> String {
    Value::from(names.to_vec()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(version: &str, serves_targets: bool) -> Result<PrometheusPages, Failure> {
        PrometheusPages::new(Address::loopback(9090), version, serves_targets)
    }

    #[test]
    fn the_version_and_one_probe_choose_the_pages() {
        assert_eq!(pages("2.42.0+ds", false).unwrap().interface, Interface::Classic);
        assert_eq!(pages("2.53.1", true).unwrap().interface, Interface::React);
        assert_eq!(pages("3.12.0", true).unwrap().interface, Interface::Mantine);
        assert!(pages("1.8.2", true).is_err());
        assert!(pages("3.12.0", false).is_err());
        assert!(pages("", true).is_err());
    }

    #[test]
    fn a_graph_is_pinned_to_its_end() {
        let shot = pages("2.42.0+ds", false).unwrap().graph("a{b=\"c\"}", Duration::from_mins(5), 1_790_000_000);
        assert_eq!(
            shot.unwrap().url,
            "http://127.0.0.1:9090/classic/graph?g0.expr=a%7Bb%3D%22c%22%7D&g0.tab=0&g0.stacked=0\
             &g0.range_input=5m&g0.end_input=2026-09-21%2014%3A13%3A20"
        );
    }

    #[test]
    fn a_name_can_not_leave_its_quotes() {
        let shot = pages("3.12.0", true).unwrap().alerts(&["a\"]); alert(1); ([\""]);
        assert!(shot.ready.contains(r#"["a\"]); alert(1); ([\""]"#), "{}", shot.ready);
    }
}

//! Prometheus' own pages, and when each of them shows what it is for.
//!
//! Three user interfaces answer to the same questions: the `/classic/` templates (Debian's packages up to 2.53), upstream's
//! React application (2.x) and its Mantine one (3.x). Which of them is there is decided by what is served, never by a
//! version: Debian's 2.53 and 3.5 answer `/targets` with 200 and a page that says that there is none. The predicates fail
//! closed: a wrong one gives no picture.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::page::Page;
use aiclipx_base::address::Address;
use aiclipx_base::duration;
use aiclipx_http::client;
use aiclipx_model::failure::Failure;
use aiclipx_model::prom::answer::percent_encoded;

const PROBE_LIMIT: Duration = Duration::from_secs(5);
/// What the server did not put into a classic page, it may put into the next: it never changes once loaded …
const RELOAD_CLASSIC: Duration = Duration::from_secs(3);
/// … and an application needs longer to ask for its data, draw it and unfold it; loaded again, it begins anew.
const RELOAD_APPLICATION: Duration = Duration::from_secs(10);

/// Which user interface a Prometheus serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interface {
    /// `/classic/targets`, …: server-side templates; the only one in Debian's packages of 2.x.
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
    pub url: String,
    /// JavaScript that unfolds or sets what the address can't, to run once the page is loaded; may be empty.
    pub unfold: String,
    /// What the page must show, to be read behind "it did not show".
    pub shows: String,
    /// JavaScript that is true when it does.
    pub ready: String,
    /// When it is loaded again if it does not show that yet.
    pub reload_after: Duration,
    /// Whether the whole page is pictured, however long; else what the window shows once unfolded.
    pub whole: bool,
}

impl Shot {
    /// Opens the page until it shows what it must, again after a while.
    pub async fn show(&self, page: &mut Page, limit: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + limit;
        loop {
            page.open(&self.url).await.map_err(|failure| failure.context(format!("Prometheus' {} page", self.name)))?;
            if !self.unfold.is_empty() {
                page.run(&self.unfold).await?;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match page.shows_within(&self.ready, left.min(self.reload_after)).await? {
                Err(_) if left > self.reload_after => {}
                Ok(()) => return Ok(()),
                Err(_) => {
                    let (name, shows, says) = (self.name, &self.shows, page.excerpt().await);
                    return Err(Failure::infrastructure(format!(
                        "Prometheus' {name} page did not show {shows} within {} s; it said: {says}",
                        limit.as_secs()
                    )));
                }
            }
        }
    }
}

impl PrometheusPages {
    /// Asks a running Prometheus which pages it serves; none of one that has none. One that does not answer is a failure.
    pub async fn probe(address: &Address) -> Result<Option<PrometheusPages>, Failure> {
        let ask = async |path: &str| {
            let answer = client::get(address, path, PROBE_LIMIT).await;
            answer.with_context(|| format!("cannot ask Prometheus for {path}"))
        };
        let build: Value = serde_json::from_slice(&ask("/api/v1/status/buildinfo").await?.body)
            .context("Prometheus' build information is no JSON")?;
        let version = build["data"]["version"].as_str().context("Prometheus' build information names no version")?;
        let mut served = Vec::new();
        for path in ["/classic/targets", "/query", "/graph"] {
            let answer = ask(path).await?;
            served.push(if answer.status.is_success() { answer.body } else { Bytes::new() });
        }
        let interface = recognised(&served[0], &served[1], &served[2]);
        Ok(interface.map(|interface| PrometheusPages {
            address: address.clone(),
            version: version.to_owned(),
            interface,
        }))
    }

    /// Every target with its state, none of them still unknown.
    pub fn targets(&self) -> Shot {
        let ready = match self.interface {
            Interface::Classic => {
                "(rows => rows.length > 0 && rows.every(row => /^(up|down)$/i.test(row.innerText.trim())))\
                 ([...document.querySelectorAll('.table-container td.state')])"
            }
            Interface::React => {
                "(states => states.length > 0 && states.every(state => /^(up|down)$/i.test(state.innerText.trim())))\
                 ([...document.querySelectorAll('tbody td:nth-child(2) .badge')])"
            }
            Interface::Mantine => {
                "(states => states.length > 0 && states.every(state => /^(up|down)$/i.test(state.innerText.trim())))\
                 ([...document.querySelectorAll('.mantine-Accordion-panel td:last-child .mantine-Badge-label')])"
            }
        };
        self.shot("targets", "/targets", "the state of every target", String::new(), ready.to_owned())
    }

    /// Every rule, evaluated at least once and without an error.
    pub fn rules(&self) -> Shot {
        let ready = match self.interface {
            Interface::Classic => {
                "(states => states.length > 0 && states.every(state => /^ok$/i.test(state.innerText.trim())))\
                 ([...document.querySelectorAll('td.state')])"
            }
            // The words alone would not do: expressions and annotations are on the page, too.
            Interface::React => {
                "(states => states.length > 0 && states.every(state => /^ok$/i.test(state?.innerText.trim())))\
                 ([...document.querySelectorAll('td.rule-cell')]\
                 .map(rule => rule.parentElement.querySelector('td:nth-child(2) .badge')))"
            }
            // The last badge of a rule's headline is its health.
            Interface::Mantine => {
                "(states => states.length > 0 && states.every(state => /^ok$/i.test(state?.innerText.trim())))\
                 ([...document.querySelectorAll('.mantine-Accordion-control')]\
                 .map(head => [...head.querySelectorAll('.mantine-Badge-label')].at(-1)))"
            }
        };
        self.shot("rules", "/rules", "every rule without an error", String::new(), ready.to_owned())
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
            // A click on the headline unfolds the instances, once; the page is drawn late, so it is the predicate that clicks.
            Interface::React => (
                String::new(),
                format!(
                    "(heads => heads.length > 0 && {names}.every(name => heads.some(head => {{ \
                     if (head.querySelector(':scope > strong').innerText !== name) return false; \
                     if (!head.classList.contains('alert-danger')) return false; \
                     const body = head.nextElementSibling; \
                     if (body?.querySelector('pre.alert-cell') == null) {{ head.click(); return false }} \
                     return body.matches('.collapse.show') && [...body.querySelectorAll('td:nth-child(2) .badge')]\
                     .some(badge => /^firing$/i.test(badge.innerText.trim())) }})))\
                     ([...document.querySelectorAll('div.alert')].filter(head => head.querySelector(':scope > strong')))"
                ),
            ),
            Interface::Mantine => (
                String::new(),
                format!(
                    "(items => items.length > 0 && {names}.every(name => items.some(item => {{ \
                     const head = item.querySelector('.mantine-Accordion-control'); \
                     const words = (head?.innerText ?? '').split('\\n').map(word => word.trim()); \
                     if (words[0] !== name || !words.some(word => /^firing \\(\\d+\\)$/i.test(word))) return false; \
                     if (head.getAttribute('aria-expanded') !== 'true') {{ head.click(); return false }} \
                     const panel = item.querySelector('.mantine-Accordion-panel'); \
                     return panel !== null && panel.offsetHeight > 0 && item.getAnimations({{ subtree: true }}).length === 0 \
                     && [...panel.querySelectorAll('td:nth-child(2) .mantine-Badge-label')]\
                     .some(badge => /^firing$/i.test(badge.innerText.trim())) }})))\
                     ([...document.querySelectorAll('.mantine-Accordion-item')])"
                ),
            ),
        };
        // Two dozen alerts that are quiet make a long page of little interest; where one can scroll, one need not see them.
        let whole = self.interface != Interface::Classic || firing.is_empty();
        let shows = if firing.is_empty() { "any alert".to_owned() } else { format!("{} firing", firing.join(" and ")) };
        Shot { whole, ..self.shot("alerts", "/alerts", &shows, unfold, ready) }
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
                // The legend has a row a series, and none for the time axis.
                "document.querySelector('.uplot canvas') !== null \
                 && document.querySelectorAll('.u-legend .u-series').length > 0",
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
                     else if (++tries < 200) setTimeout(set, 20); else done(Promise.reject(new Error('the page has no date picker'))) }}; set() }})"
                )
            }
            Interface::React | Interface::Mantine => String::new(),
        };
        Ok(self.shot("graph", &path, "a series", unfold, ready.to_owned()))
    }

    fn shot(&self, name: &'static str, path: &str, shows: &str, unfold: String, ready: String) -> Shot {
        let prefix = if self.interface == Interface::Classic { "/classic" } else { "" };
        let url = self.address.url(&format!("{prefix}{path}"));
        let reload_after = if self.interface == Interface::Classic { RELOAD_CLASSIC } else { RELOAD_APPLICATION };
        Shot { name, url, unfold, shows: shows.to_owned(), ready, reload_after, whole: true }
    }
}

/// The user interface behind three answers, each empty where there was none: the template of the targets, the page for
/// queries of Mantine's application and that of React's. A page that only says that there is none is none of them.
fn recognised(classic_targets: &[u8], query: &[u8], graph: &[u8]) -> Option<Interface> {
    let holds = |page: &[u8], text: &str| page.windows(text.len()).any(|part| part == text.as_bytes());
    // An application is an empty element and the script that fills it.
    let is_application = |page: &[u8]| holds(page, "<script") && holds(page, r#"id="root""#);
    if holds(classic_targets, "/classic/static/") {
        Some(Interface::Classic)
    } else if is_application(query) {
        Some(Interface::Mantine)
    } else if is_application(graph) {
        Some(Interface::React)
    } else {
        None
    }
}

/// Names as a JavaScript list. JSON is one, but for two line separators which are no names.
fn script_text(names: &[&str]) -> String {
    Value::from(names.to_vec()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(interface: Interface) -> PrometheusPages {
        PrometheusPages { address: Address::loopback(9090), version: "9.9.9".to_owned(), interface }
    }

    #[test]
    fn what_is_served_chooses_the_pages() {
        const CLASSIC: &[u8] = br#"<script src="/classic/static/js/targets.js"></script>"#;
        const APPLICATION: &[u8] = br#"<script type="module" src="./a.js"></script><div id="root"></div>"#;
        const PLACEHOLDER: &[u8] = b"<title>No user interface</title><p>This package has no modern pages.</p>";
        assert_eq!(recognised(CLASSIC, b"", b""), Some(Interface::Classic), "2.42 of Debian 12");
        assert_eq!(recognised(CLASSIC, b"", PLACEHOLDER), Some(Interface::Classic), "2.53 of Debian 13");
        assert_eq!(recognised(b"", b"", APPLICATION), Some(Interface::React), "2.x of upstream");
        assert_eq!(recognised(b"", APPLICATION, b""), Some(Interface::Mantine), "3.x of upstream");
        assert_eq!(recognised(b"", PLACEHOLDER, PLACEHOLDER), None, "3.5 of Debian");
        assert_eq!(recognised(PLACEHOLDER, PLACEHOLDER, PLACEHOLDER), None);
        assert_eq!(recognised(b"", b"", b""), None);
    }

    #[test]
    fn a_graph_is_pinned_to_its_end() {
        let shot = pages(Interface::Classic).graph("a{b=\"c\"}", Duration::from_mins(5), 1_790_000_000);
        assert_eq!(
            shot.unwrap().url,
            "http://127.0.0.1:9090/classic/graph?g0.expr=a%7Bb%3D%22c%22%7D&g0.tab=0&g0.stacked=0\
             &g0.range_input=5m&g0.end_input=2026-09-21%2014%3A13%3A20"
        );
    }

    #[test]
    fn a_name_can_not_leave_its_quotes() {
        let shot = pages(Interface::Mantine).alerts(&["a\"]); alert(1); ([\""]);
        assert!(shot.ready.contains(r#"["a\"]); alert(1); ([\""]"#), "{}", shot.ready);
    }
}

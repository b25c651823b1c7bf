//! The pages: where each panel stands, what is around it, and what stands in its place when it can't be shown.
//!
//! Grafana's grid: 24 columns, rows of 30 pixels, 8 between. Where the window is narrow, panels stand one below the
//! other, each as wide as the window. Places are written as a style of the page's own, let in by its hash.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{COOKIE, HeaderMap};
use hyper::{Response, StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::answer::respond;
use super::controls::{is_chosen, range_controls, shown_range, variables};
use super::lines::{self, Line};
use super::provisioned::Provisioned;
use super::view_params::ViewParams;
use aiclipx_dashboard::draw::written;
use aiclipx_dashboard::model::{Dashboard, Kind, Panel, Variable};

/// Until the script has told: the width most desktops give.
const USUAL_WIDTH: u32 = 1200;
/// From here downwards panels stand one below the other; style.css says the same.
const NARROW: u32 = 700;
/// Grafana's grid, in pixels.
const ROW_HEIGHT: u32 = 30;
const GAP: u32 = 8;
const COLUMNS: u32 = 24;
/// A panel by itself.
const ALONE_HEIGHT: u32 = 480;

/// A page with its status.
pub(super) struct Page {
    status: StatusCode,
    /// Rules of this page alone.
    style: String,
    html: String,
}

impl From<Page> for Response<Full<Bytes>> {
    fn from(page: Page) -> Response<Full<Bytes>> {
        let hash = STANDARD.encode(Sha256::digest(page.style.as_bytes()));
        respond(page.status, "text/html; charset=utf-8", &format!(" 'sha256-{hash}'"), page.html)
    }
}

/// A panel and where it stands.
pub(super) struct Placed<'a> {
    pub(super) panel: &'a Panel,
    /// Pixels.
    pub(super) width: u32,
    /// Pixels.
    pub(super) height: u32,
    /// In its section, from 1: row, column, rows, columns.
    area: (u32, u32, u32, u32),
}

/// A headline and what stands under it.
struct Block<'a> {
    row: Option<&'a Panel>,
    folded: bool,
    placed: Vec<Placed<'a>>,
}

/// Where everything stands.
pub(super) struct Layout<'a> {
    /// The room between the page's margins, in pixels.
    pub(super) width: u32,
    blocks: Vec<Block<'a>>,
}

impl<'a> Layout<'a> {
    /// For a window so many pixels wide.
    pub(super) fn new(dashboard: &'a Dashboard, params: &ViewParams, window: u32) -> Layout<'a> {
        let is_narrow = window <= NARROW;
        let width = window.saturating_sub(if is_narrow { 16 } else { 32 }).max(240);
        if let Some(panel) = params.panel.and_then(|id| dashboard.panel(id)) {
            let height = if is_narrow { ALONE_HEIGHT * 3 / 4 } else { ALONE_HEIGHT };
            let placed = vec![Placed { panel, width, height, area: (1, 1, 1, COLUMNS) }];
            return Layout { width, blocks: vec![Block { row: None, folded: false, placed }] };
        }
        let column = f64::from(width - GAP * (COLUMNS - 1)) / f64::from(COLUMNS);
        let blocks = dashboard.sections().into_iter().map(|section| {
            let folded = section.row.is_some_and(|row| params.is_folded(row));
            let top = section.panels.iter().map(|panel| panel.grid.y).min().unwrap_or(0);
            let place = |panel: &'a Panel| {
                // What says no size gets the grid's whole width, and a usual height.
                let columns = if panel.grid.w == 0 { COLUMNS } else { panel.grid.w };
                let rows = if panel.grid.h == 0 { 8 } else { panel.grid.h };
                let x = panel.grid.x.min(COLUMNS - 1);
                let columns = columns.min(COLUMNS - x);
                // Whole pixels of a window.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let own = (column * f64::from(columns)) as u32 + GAP * (columns - 1);
                // Browsers know no grids of any length; a file that asks for one gets its panels close by.
                let y = (panel.grid.y - top).min(5_000);
                Placed {
                    panel,
                    width: if is_narrow { width } else { own },
                    height: rows * ROW_HEIGHT + (rows - 1) * GAP,
                    area: (y + 1, x + 1, rows, columns),
                }
            };
            let placed = if folded { Vec::new() } else { section.panels.into_iter().map(place).collect() };
            Block { row: section.row, folded, placed }
        });
        Layout { width, blocks: blocks.collect() }
    }

    /// Every panel that is to be shown, in the page's order.
    pub(super) fn panels(&self) -> impl Iterator<Item = &Placed<'a>> {
        self.blocks.iter().flat_map(|block| &block.placed)
    }

    fn style(&self) -> String {
        let mut style = String::new();
        for Placed { panel, area: (row, column, rows, columns), .. } in self.panels() {
            let area = format!("{row}/{column}/span {rows}/span {columns}");
            write!(style, "#panel-{}{{grid-area:{area}}}", panel.id).expect("writing to a String does not fail");
        }
        style
    }
}

/// What stands in a panel's place.
pub(super) enum Shown {
    /// Its picture.
    Drawn(String),
    /// It holds what is not drawn here: what, in words.
    Refused(Vec<String>),
    /// It was asked for in vain: why, in words.
    Failed(Vec<String>),
    /// Lines of logs, the newest first, and what is to be said of them as a whole.
    Lines { note: String, lines: Vec<Line> },
    /// Of what to show lines has to be chosen first: how, in words.
    Unasked(String),
    /// Its lines are not to be had here: why, in words.
    Elsewhere(String),
}

/// The width of the window as `view.js` told it, or the usual one.
pub(super) fn told_width(headers: &HeaderMap) -> u32 {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let told =
        cookies.flat_map(|value| value.split(';')).find_map(|pair| pair.trim().strip_prefix("width=")?.parse().ok());
    told.map_or(USUAL_WIDTH, |width: u32| width.clamp(280, 4_000))
}

/// The frame all pages share. `head` is what only some need.
fn page(status: StatusCode, title: &str, style: String, head: &Markup, body: &Markup) -> Page {
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · aiclipx" }
                link rel="icon" href="/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/style.css";
                style { (PreEscaped(&style)) }
                (head)
            }
            body { (body) }
        }
    };
    Page { status, style, html: html.into_string() }
}

/// A page that says why there is none.
pub(super) fn trouble(status: StatusCode, why: &str) -> Page {
    let body = html! {
        header { a.home href="/" { "Dashboards" } }
        main { p.problem role="alert" { (why) } }
    };
    page(status, status.canonical_reason().unwrap_or("Error"), String::new(), &html! {}, &body)
}

/// A runbook, as it was drawn.
pub(super) fn runbook(name: &str, drawn: &Markup) -> Page {
    let body = html! {
        header { a.home href="/" { "Dashboards" } }
        main.page { (drawn) }
    };
    page(StatusCode::OK, name, String::new(), &html! {}, &body)
}

/// There is no such dashboard; or it is refused whole, and this is why.
pub(super) fn unknown(uid: &str, provisioned: &Provisioned) -> Page {
    let refused = provisioned.dashboards.iter().filter_map(|entry| entry.read.as_ref().err().map(|told| (entry, told)));
    let body = html! {
        header { a.home href="/" { "Dashboards" } }
        main {
            p.problem role="alert" { "There is no dashboard “" (uid) "” that could be read." }
            @for (entry, findings) in refused {
                h2 { (entry.file) }
                ul.findings { @for finding in findings { li { (finding) } } }
            }
        }
    };
    page(StatusCode::NOT_FOUND, "Not Found", String::new(), &html! {}, &body)
}

/// What there is.
pub(super) fn list(provisioned: &Provisioned) -> Page {
    let source = provisioned.source(None).map(|source| source.address.url(""));
    let body = html! {
        header { h1 { "Dashboards" } }
        main {
            @for trouble in &provisioned.troubles { p.problem role="alert" { (trouble) } }
            ul.list {
                @for entry in &provisioned.dashboards {
                    li {
                        @match &entry.read {
                            Ok(dashboard) => {
                                @let uid = aiclipx_model::prom::answer::percent_encoded(&dashboard.uid);
                                a href={ "/d/" (uid) } {
                                    strong { (dashboard.title) }
                                    span { (dashboard.description) }
                                }
                            }
                            Err(findings) => {
                                strong { (entry.file) }
                                ul.findings { @for finding in findings { li { (finding) } } }
                            }
                        }
                    }
                }
            }
            p.foot {
                "Drawn by aiclipx from Grafana’s dashboards"
                @if let Ok(url) = &source { ", with the answers of " a href=(url) { (url) } }
                ". Times are UTC."
            }
        }
    };
    page(StatusCode::OK, "Dashboards", String::new(), &html! {}, &body)
}

/// A dashboard; `shown` goes with the layout's panels.
pub(super) fn dashboard(
    dashboard: &Dashboard,
    params: &ViewParams,
    layout: &Layout,
    shown: &[Shown],
    possible: &BTreeMap<String, Vec<String>>,
    problem: Option<&str>,
) -> Page {
    let uid = &dashboard.uid;
    let seconds = params.refresh.map(|refresh| refresh.as_secs().max(1));
    let head = html! {
        script src="/view.js" defer {}
        @if let Some(seconds) = seconds { noscript { meta http-equiv="refresh" content=(seconds); } }
    };
    let mut rest = shown;
    let body = html! {
        header {
            div.title {
                a.home href="/" { "Dashboards" }
                h1 { a href=(params.address(uid, &[("viewPanel", "")])) { (dashboard.title) } }
                @if let Some(panel) = params.panel.and_then(|id| dashboard.panel(id)) { span { (panel.title) } }
            }
            (range_controls(dashboard, params))
        }
        @let has_lines = shown.iter().any(|shown| matches!(shown, Shown::Lines { .. }));
        @let chosen: Vec<&Variable> = dashboard.variables.iter().filter(|one| is_chosen(one, dashboard, has_lines)).collect();
        @if !chosen.is_empty() { (variables(dashboard, params, &chosen, possible)) }
        p.lost role="alert" hidden { "The viewer does not answer; what you see is old." }
        main data-width=(layout.width) data-refresh=[params.refresh.map(|refresh| refresh.as_millis())] {
            p.shown {
                (shown_range(params))
                @if let Some(own) = &params.shortened_from {
                    " · there is nothing before it: " a href=(params.address(uid, &[("from", own), ("to", "now")])) {
                        "the dashboard’s own range"
                    }
                }
            }
            @if let Some(problem) = problem { p.problem role="alert" { (problem) } }
            @for block in &layout.blocks {
                @let shown = rest.split_off(..block.placed.len()).unwrap_or_default();
                @let elsewhere = elsewhere(shown);
                @if let Some(row) = block.row {
                    @let other = if block.folded { "open" } else { "folded" };
                    h2 {
                        a href=(params.address(uid, &[(&format!("row-{}", row.id), other)]))
                            aria-expanded=(if block.folded { "false" } else { "true" }) { (row.title) }
                        @if let Some(why) = elsewhere { " " span { (why) (ELSEWHERE) } }
                    }
                }
                @if elsewhere.is_none() || block.row.is_none() {
                    section.grid {
                        @for (placed, shown) in block.placed.iter().zip(shown) { (panel(dashboard, params, placed, shown)) }
                    }
                }
            }
            (left_out(dashboard))
        }
    };
    page(StatusCode::OK, &dashboard.title, layout.style(), &head, &body)
}

/// Behind the reason for which lines are not to be had here.
const ELSEWHERE: &str = ". `aiclipx logs` shows the lines.";

/// Why there is nothing under a headline but panels of logs that are not to be had.
fn elsewhere(shown: &[Shown]) -> Option<&str> {
    let is_none = |shown: &Shown| matches!(shown, Shown::Unasked(_) | Shown::Elsewhere(_));
    shown.iter().all(is_none).then(|| {
        shown.iter().find_map(|shown| match shown {
            Shown::Elsewhere(why) => Some(why.as_str()),
            _ => None,
        })
    })?
}

fn panel(dashboard: &Dashboard, params: &ViewParams, placed: &Placed, shown: &Shown) -> Markup {
    let uid = &dashboard.uid;
    let Placed { panel, width, height, .. } = placed;
    let id = panel.id.to_string();
    let (state, why, told) = match shown {
        Shown::Drawn(_) => ("drawn", "", &[][..]),
        Shown::Refused(told) => ("refused", "This panel can’t be drawn here:", &told[..]),
        Shown::Failed(told) => ("failed", "This panel’s query failed:", &told[..]),
        Shown::Lines { .. } => ("lines", "", &[][..]),
        Shown::Unasked(_) => ("unasked", "", &[][..]),
        Shown::Elsewhere(_) => ("elsewhere", "", &[][..]),
    };
    let href = params.address(uid, &[("viewPanel", if params.panel.is_some() { "" } else { &id })]);
    let (verb, sign) = if params.panel.is_some() { ("Back to all panels", "×") } else { ("Show alone", "⤢") };
    html! {
        article id={ "panel-" (id) } data-state=(state) {
            @if let Shown::Drawn(svg) = shown { (PreEscaped(svg)) } @else {
                // As tall as the picture would have been.
                svg.place viewBox={ "0 0 " (width) " " (height) } aria-hidden="true" {}
                @match shown {
                    Shown::Lines { note, lines } => (of_logs(dashboard, params, panel, note, lines)),
                    Shown::Unasked(how) => div.why { h3 { (panel.title) } (how) },
                    Shown::Elsewhere(why) => div.why { h3 { (panel.title) } (why) (ELSEWHERE) },
                    _ => div.why role="alert" {
                        h3 { (panel.title) }
                        p { (why) }
                        ul { @for one in told { li { (one) } } }
                    },
                }
            }
            a.alone href=(href) title=(panel.description) aria-label={ (verb) ": " (panel.title) } { span { (sign) } }
            @if params.panel.is_some() && !panel.description.is_empty() { p.told { (panel.description) } }
            @if !panel.links.is_empty() {
                nav.links aria-label={ "From " (panel.title) } {
                    @for link in &panel.links { a href=(params.filled_in(&link.url)) { (link.title) } }
                }
            }
        }
    }
}

/// The lines of a panel of logs. A request's id leads to the panel that asks for one.
fn of_logs(dashboard: &Dashboard, params: &ViewParams, panel: &Panel, note: &str, lines: &[Line]) -> Markup {
    let request = dashboard.panels.iter().find(|panel| match &panel.kind {
        Kind::Logs(queries) => queries.iter().any(|query| lines::asks_for(query, REQUEST)),
        _ => false,
    });
    let to = |id: &str| {
        let changes = [(&format!("var-{REQUEST}")[..], id), ("viewPanel", "")];
        request.map(|panel| format!("{}#panel-{}", params.address(&dashboard.uid, &changes), panel.id))
    };
    let day = |millis| written(millis, "%Y-%m-%d");
    let is_dated = day(params.range.from_millis) != day(params.range.to_millis);
    let time = if is_dated { "%m-%d %H:%M:%S%.3f" } else { "%H:%M:%S%.3f" };
    html! {
        div.lines data-dated[is_dated] {
            h3 { (panel.title) }
            @if !note.is_empty() { p { (note) } }
            ol tabindex="0" aria-label=(panel.title) {
                @for line in lines {
                    li data-level=(line.level) {
                        time { (written(line.at_millis, time)) } " "
                        b { (line.level) } " "
                        span { (line.component) } " "
                        div {
                            (line.message)
                            @if !line.rest.is_empty() { " " i { (line.rest) } }
                            @if !line.request.is_empty() {
                                " "
                                @match to(&line.request) {
                                    Some(href) => a href=(href) title="Every line of this request" { (line.request) },
                                    None => i { (line.request) },
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The variable that stands for a request's id.
const REQUEST: &str = "request_id";

/// What of the dashboard as a whole is not shown here.
fn left_out(dashboard: &Dashboard) -> Markup {
    html! {
        @if !dashboard.undrawn.is_empty() {
            details.undrawn {
                summary { "What Grafana would show beside these panels, and this page does not" }
                ul.findings { @for finding in &dashboard.undrawn { li { (finding.what) } } }
            }
        }
    }
}

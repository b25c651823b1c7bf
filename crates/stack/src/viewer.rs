//! The provisioned dashboards, live, in Grafana's place: plain pages, drawn here.
//!
//! | route | answers |
//! |---|---|
//! | `GET /` | the dashboards there are |
//! | `GET /d/UID` | a dashboard; `from`, `to`, `refresh`, `viewPanel`, `var-NAME` mean what they mean in Grafana |
//! | `GET /monitoring/runbooks/NAME.md` | a runbook, to which alerts and panels link |
//! | `GET /explore` | leads a panel's query to Prometheus' own page, in the place of Grafana's |
//! | `GET /api/health` | 200 |
//! | `GET /style.css`, `/view.js`, `/icon.svg` | what the pages are made with |
//!
//! Files are read and Prometheus is asked anew for every page; nothing is kept. A page says in a panel's place why it
//! can't be shown. Loki is asked for what panels of logs ask, and where it is not there their row takes one line. It needs nothing from outside and runs nothing but `view.js`, which tells us the window's width (the
//! step of a query depends on it) and draws anew in place; without it the page reloads itself. Labels are text: the
//! policy of every answer forbids whatever escaping might have missed. Only this machine may ask, by a name of its own,
//! so that no page of somebody else's can read along ([`gate`](aiclipx_http::gate)).

mod answer;
mod ask;
mod lines;
mod page;
mod provisioned;
mod runbook;
mod view_params;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use tokio::net::TcpListener;

use aiclipx_base::address::Address;
use aiclipx_dashboard::draw::theme::{self, Theme};
use aiclipx_dashboard::draw::{self, Canvas};
use aiclipx_dashboard::model::{Dashboard, Kind, Marking, Panel, VariableKind};
use aiclipx_dashboard::query::{self, Filling, PlannedQuery, TimeRange, View};
use aiclipx_http::gate::{Gate, is_read};
use aiclipx_http::serve::{Incoming, Limits, Plain, serve};
use aiclipx_model::failure::Failure;
use aiclipx_model::files;
use aiclipx_model::prom::answer::percent_encoded;
use answer::respond;
use ask::QueryError;
use page::{Layout, Shown};
use provisioned::Provisioned;
use view_params::ViewParams;

/// A few browsers with a few connections each.
const MAX_CONNECTIONS: usize = 64;
/// For a request's head, also between two requests of a connection.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// For a whole page; each question to Prometheus has its own, shorter one.
const PAGE_LIMIT: Duration = Duration::from_secs(45);
/// For the pages in hand once the end was asked for.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// What the viewer shows.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The folder Grafana would be provisioned from: `dashboards/`, `provisioning/datasources/`.
    pub folder: PathBuf,
    /// Where Prometheus is, if not where the folder says.
    pub prometheus: Option<Address>,
}

/// Serves until `shutdown`; the caller owns the listener, which must be of this machine's loopback.
pub async fn run(listener: TcpListener, sources: Sources, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
    let address = listener.local_addr().context("cannot tell the viewer's own address")?;
    if !address.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "{address} can be reached from elsewhere, and the viewer asks for no password"
        ))
        .remedy("listen on 127.0.0.1 and let ssh forward the port"));
    }
    let shared = Arc::new((sources, Gate::of(address, Vec::new())));
    let service = Plain::new(PAGE_LIMIT, move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { answer(&shared.0, &shared.1, &request.into_parts().0).await }
    });
    let limits = Limits { connections: MAX_CONNECTIONS, patience: HEAD_LIMIT, crowded: None, drain: DRAIN_LIMIT };
    serve(listener, limits, Arc::new(service), shutdown).await;
    Ok(())
}

async fn answer(sources: &Sources, gate: &Gate, request: &Parts) -> Response<Full<Bytes>> {
    if let Err((status, why)) = gate.admits(request) {
        return page::trouble(status, &format!("This viewer answers this machine's own pages only: {why}.")).into();
    }
    if !is_read(&request.method) {
        let mut response: Response<_> =
            page::trouble(StatusCode::METHOD_NOT_ALLOWED, "There is nothing to do here but look.").into();
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let path = request.uri.path();
    match path {
        "/" => page::list(&read(sources).await).into(),
        "/api/health" => respond(StatusCode::OK, "application/json", "", r#"{"status":"ok"}"#),
        "/style.css" => respond(StatusCode::OK, "text/css; charset=utf-8", "", style()),
        "/view.js" => respond(StatusCode::OK, "text/javascript; charset=utf-8", "", include_str!("viewer/view.js")),
        "/icon.svg" => respond(StatusCode::OK, "image/svg+xml", "", include_str!("viewer/icon.svg")),
        "/explore" => explore(sources, request.uri.query().unwrap_or_default()).await,
        _ => match (path.strip_prefix("/d/"), path.strip_prefix("/monitoring/runbooks/")) {
            // Grafana puts the title behind the uid.
            (Some(rest), _) => {
                let uid = view_params::decoded(rest.split('/').next().unwrap_or_default());
                dashboard(sources, &uid, request.uri.query().unwrap_or_default(), &request.headers).await.into()
            }
            (None, Some(name)) => runbook_page(sources, name).await.into(),
            (None, None) => page::trouble(StatusCode::NOT_FOUND, "There is no such page.").into(),
        },
    }
}

/// A runbook, which lies beside the folder of Grafana's as it does in monitoring/.
async fn runbook_page(sources: &Sources, name: &str) -> page::Page {
    let is_name = name.strip_suffix(".md").is_some_and(|stem| stem.chars().all(|c| c.is_ascii_alphanumeric()));
    let file = sources.folder.parent().map(|monitoring| monitoring.join("runbooks").join(name)).filter(|_| is_name);
    let read = tokio::task::spawn_blocking(move || file.and_then(|file| files::read_to_string(&file).ok()));
    match read.await.expect("reading does not panic, and nobody cancels it") {
        Some(text) => page::runbook(name.trim_end_matches(".md"), &runbook::drawn(&text)),
        None => page::trouble(StatusCode::NOT_FOUND, &format!("There is no runbook {name} beside these dashboards.")),
    }
}

/// What of a link to Grafana's Explore is told on.
#[derive(serde::Deserialize)]
struct Explored {
    queries: Vec<ExploredQuery>,
    range: ExploredRange,
}

#[derive(serde::Deserialize)]
struct ExploredQuery {
    expr: String,
}

/// Unix milliseconds.
#[derive(serde::Deserialize)]
struct ExploredRange {
    from: String,
    to: String,
}

/// What a link to Grafana's Explore, or the query of one, has it look at: JSON.
pub fn explored(link: &str) -> Option<String> {
    link.split(['?', '&']).find_map(|pair| pair.strip_prefix("left=")).map(view_params::decoded)
}

/// Leads on to Prometheus' page of graphs, with the same queries over the same time.
async fn explore(sources: &Sources, query: &str) -> Response<Full<Bytes>> {
    let left = explored(query).unwrap_or_default();
    let explored = serde_json::from_str::<Explored>(&left).ok().and_then(|explored| {
        let (from, to) = (explored.range.from.parse::<i64>().ok()?, explored.range.to.parse::<i64>().ok()?);
        Some((explored.queries, to.checked_sub(from)?.max(0) / 1000, draw::written(to, "%Y-%m-%d %H:%M:%S")))
    });
    let Some((queries, seconds, end)) = explored else {
        return page::trouble(StatusCode::BAD_REQUEST, "This link names no query and no time.").into();
    };
    let provisioned = read(sources).await;
    let source = match provisioned.source(None) {
        Ok(source) => source,
        Err(why) => return page::trouble(StatusCode::INTERNAL_SERVER_ERROR, &format!("{why}.")).into(),
    };
    let end = percent_encoded(&end);
    let graphs: Vec<String> = (0..)
        .zip(&queries)
        .map(|(at, query)| {
            let expr = percent_encoded(&query.expr);
            format!("g{at}.expr={expr}&g{at}.tab=0&g{at}.range_input={seconds}s&g{at}.end_input={end}")
        })
        .collect();
    let mut response = respond(StatusCode::FOUND, "text/plain; charset=utf-8", "", "");
    match HeaderValue::try_from(source.address.url(&format!("/graph?{}", graphs.join("&")))) {
        Ok(address) => drop(response.headers_mut().insert(header::LOCATION, address)),
        Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}

/// Others' pages don't wait for the disk.
async fn read(sources: &Sources) -> Provisioned {
    let (folder, prometheus) = (sources.folder.clone(), sources.prometheus.clone());
    let read = tokio::task::spawn_blocking(move || Provisioned::read(&folder, prometheus.as_ref()));
    read.await.expect("reading does not panic, and nobody cancels it")
}

/// A dashboard as a page: read, asked, drawn.
async fn dashboard(sources: &Sources, uid: &str, query: &str, headers: &HeaderMap) -> page::Page {
    let provisioned = read(sources).await;
    let Some(dashboard) = provisioned.dashboard(uid) else {
        return page::unknown(uid, &provisioned);
    };
    let params = match ViewParams::read(query, dashboard, jiff::Timestamp::now().as_millisecond()) {
        Ok(params) => params,
        Err(why) => return page::trouble(StatusCode::BAD_REQUEST, &format!("{why}.")),
    };
    let source = match provisioned.source(None) {
        Ok(source) => source,
        Err(why) => {
            let told: Vec<String> = std::iter::once(why).chain(provisioned.troubles.iter().cloned()).collect();
            return page::trouble(StatusCode::INTERNAL_SERVER_ERROR, &format!("{}.", told.join("; ")));
        }
    };
    let (possible, chosen) = ask::values(&source.address, dashboard, params.range, &params.chosen).await;
    let dashboard = &filled_in(dashboard, &chosen, params.range);
    if let Some(id) = params.panel.filter(|id| dashboard.panel(*id).is_none()) {
        return page::trouble(StatusCode::BAD_REQUEST, &format!("The dashboard `{uid}` has no panel {id}."));
    }
    let layout = Layout::new(dashboard, &params, page::told_width(headers));

    // One list of questions, so that they are asked side by side: every panel's, then the annotations'.
    let mut questions = Vec::new();
    let mut planned = Vec::new();
    for placed in layout.panels() {
        let range = own_range(dashboard, placed.panel, &params, &chosen);
        let view = |min_interval| View { range, width: placed.width, min_interval, chosen: &chosen };
        planned.push(plan(&provisioned, dashboard, placed.panel, &view).map(|queries| {
            let count = queries.len();
            questions.extend(queries);
            count
        }));
    }
    let of_panels = questions.len();
    if layout.panels().any(|placed| placed.panel.kind == Kind::Timeseries) {
        let view =
            View { range: params.range, width: layout.width, min_interval: source.min_interval, chosen: &chosen };
        let annotations = dashboard.annotations.iter().map(|one| query::plan_annotation(dashboard, one, &view));
        questions.extend(annotations.map(|query| (source.address.clone(), query)));
    }
    let (mut answers, lines) = tokio::join!(
        ask::all(questions),
        futures_util::future::join_all(layout.panels().map(|placed| async {
            let Kind::Logs(queries) = &placed.panel.kind else { return None };
            let view =
                View { range: params.range, width: placed.width, min_interval: source.min_interval, chosen: &chosen };
            Some(of_logs(&provisioned, dashboard, placed.panel, queries, &params, &view).await)
        }))
    );
    let of_annotations = answers.split_off(of_panels);
    let windows = |marking| ask::windows(dashboard, &of_annotations, marking);
    let (phases, faults, alerts) = (windows(Marking::Phases), windows(Marking::Faults), windows(Marking::Alerts));

    let unreachable = answers.iter().chain(&of_annotations).find_map(|answer| match answer {
        Err(QueryError::Unreachable(why)) => Some(why.clone()),
        _ => None,
    });
    let mut answers = answers.into_iter();
    let mut shown = Vec::new();
    for ((placed, plan), lines) in layout.panels().zip(planned).zip(lines) {
        if let Some(lines) = lines.filter(|_| placed.panel.undrawn.is_empty()) {
            shown.push(lines);
            continue;
        }
        let count = match plan {
            Err(why) => {
                shown.push(Shown::Refused(vec![why]));
                continue;
            }
            Ok(count) => count,
        };
        let mut frames = Vec::new();
        let mut failed = Vec::new();
        for answer in answers.by_ref().take(count) {
            match answer {
                Ok(frame) => frames.push(frame),
                Err(QueryError::Unreachable(_)) => failed.push("Prometheus did not answer.".to_owned()),
                Err(QueryError::Refused(why)) => failed.push(why),
            }
        }
        failed.dedup();
        let canvas = Canvas {
            width: placed.width,
            height: placed.height,
            theme: Theme::Page,
            range: own_range(dashboard, placed.panel, &params, &chosen),
            dated: false,
            phases: &phases,
            faults: &faults,
            alerts: &alerts,
        };
        let undrawn = &placed.panel.undrawn;
        shown.push(match (undrawn.is_empty(), failed.is_empty()) {
            (false, _) => Shown::Refused(undrawn.iter().map(|finding| finding.what.clone()).collect()),
            (true, false) => Shown::Failed(failed),
            (true, true) => Shown::Drawn(draw::panel_svg(placed.panel, &frames, &canvas)),
        });
    }
    let problem = unreachable.map(|why| format!("Prometheus at {} does not answer: {why}", source.address.url("")));
    page::dashboard(dashboard, &params, &layout, &shown, &possible, problem.as_deref())
}

/// A dashboard as it is seen with these values: repeated for each that is chosen, its headlines with them in it.
fn filled_in(dashboard: &Dashboard, chosen: &BTreeMap<String, Vec<String>>, range: TimeRange) -> Dashboard {
    let mut repeated = dashboard.repeated(chosen);
    for panel in &mut repeated.panels {
        let filling = Filling::of(dashboard, panel, chosen, range);
        (panel.title, panel.description) = (filling.words(&panel.title), filling.words(&panel.description));
    }
    repeated
}

/// The time a panel shows: its own, where the page's goes with the clock.
fn own_range(
    dashboard: &Dashboard,
    panel: &Panel,
    params: &ViewParams,
    chosen: &BTreeMap<String, Vec<String>>,
) -> TimeRange {
    if params.is_live() { query::own_range(dashboard, panel, chosen, params.range) } else { params.range }
}

/// Whom to ask what for a panel, or why nobody can be.
fn plan<'a>(
    provisioned: &Provisioned,
    dashboard: &Dashboard,
    panel: &Panel,
    view: &dyn Fn(Duration) -> View<'a>,
) -> Result<Vec<(Address, PlannedQuery)>, String> {
    let mut queries = Vec::new();
    if !panel.undrawn.is_empty() || matches!(panel.kind, Kind::Undrawn(_)) {
        return Ok(queries);
    }
    for target in query::targets(dashboard, panel) {
        let source = provisioned.source(target.datasource.as_deref())?;
        let planned = query::plan_target(dashboard, panel, target, &view(source.min_interval));
        queries.extend(planned.into_iter().map(|query| (source.address.clone(), query)));
    }
    Ok(queries)
}

/// What stands in the place of a panel of logs.
async fn of_logs(
    provisioned: &Provisioned,
    dashboard: &Dashboard,
    panel: &Panel,
    queries: &[String],
    params: &ViewParams,
    view: &View<'_>,
) -> Shown {
    let store = match provisioned.store(panel.datasource.as_deref()) {
        Ok(store) => store,
        Err(why) => return Shown::Elsewhere(why),
    };
    let texts = dashboard.variables.iter().filter(|variable| variable.kind == VariableKind::Text);
    let mut chosen: BTreeMap<String, Vec<String>> = view.chosen.clone();
    for variable in texts {
        let value = params.chosen.get(&variable.name).and_then(|asked| asked.last()).or(variable.current.first());
        let value = value.cloned().unwrap_or_default();
        if value.is_empty() && queries.iter().any(|query| lines::asks_for(query, &variable.name)) {
            let note = format!("Of which? Write it above, as {}, or follow a line’s link.", variable.label);
            return Shown::Unasked(note);
        }
        chosen.insert(variable.name.clone(), vec![value]);
    }
    let view = View { chosen: &chosen, ..*view };
    let mut all = Vec::new();
    for query in queries {
        match lines::ask(store, &query::plan_lines(dashboard, query, &view, lines::MOST)).await {
            Ok(lines) => all.extend(lines),
            Err(QueryError::Unreachable(why)) => return Shown::Elsewhere(why),
            Err(QueryError::Refused(why)) => return Shown::Failed(vec![why]),
        }
    }
    let note = match all.len() {
        0 => "No lines.".to_owned(),
        lines::MOST.. => format!("The last {}; a shorter range shows those before.", lines::MOST),
        _ => String::new(),
    };
    all.sort_by_key(|line| std::cmp::Reverse(line.at_millis));
    all.truncate(lines::MOST);
    Shown::Lines { note, lines: all }
}

fn style() -> String {
    let rules = include_str!("viewer/style.css");
    let (light, dark) = (theme::variables(Theme::Light), theme::variables(Theme::Dark));
    format!(":root{{color-scheme:light dark;{light}}}\n@media(prefers-color-scheme:dark){{:root{{{dark}}}}}\n{rules}")
}

//! A dashboard as a page: read, asked, drawn.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use hyper::StatusCode;
use hyper::header::HeaderMap;

use super::absent::Absent;
use super::ask::{self, QueryError};
use super::controls;
use super::lines;
use super::opening;
use super::page::{self, Layout, Page, Placed, Shown};
use super::provisioned::{Provisioned, Source};
use super::view_params::ViewParams;
use aiclipx_base::address::Address;
use aiclipx_dashboard::draw::theme::Theme;
use aiclipx_dashboard::draw::{self, Canvas, Frame, Mark};
use aiclipx_dashboard::model::{Dashboard, Kind, Marking, Panel, VariableKind};
use aiclipx_dashboard::query::{self, Filling, PlannedQuery, TimeRange, View};

/// The page of the dashboard of this uid.
pub(super) async fn dashboard(provisioned: &Provisioned, uid: &str, query: &str, headers: &HeaderMap) -> Page {
    let Some(dashboard) = provisioned.dashboard(uid) else { return page::unknown(uid, provisioned) };
    let now_millis = jiff::Timestamp::now().as_millisecond();
    let params = match ViewParams::read(query, dashboard, now_millis) {
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
    let params = opening::opened(&source.address, params, &controls::RANGES, now_millis).await;
    let (possible, chosen) = ask::values(&source.address, dashboard, params.range, &params.chosen).await;
    let dashboard = &filled_in(dashboard, &chosen, params.range);
    if let Some(id) = params.panel.filter(|id| dashboard.panel(*id).is_none()) {
        return page::trouble(StatusCode::BAD_REQUEST, &format!("The dashboard `{uid}` has no panel {id}."));
    }
    let layout = Layout::new(dashboard, &params, page::told_width(headers));
    let looked_at = LookedAt { provisioned, dashboard, params: &params, chosen };

    // One list of questions, so that they are asked side by side: every panel's, then the annotations'.
    let mut questions = Vec::new();
    let mut counts = Vec::new();
    for placed in layout.panels() {
        let of_panel = looked_at.questions(placed);
        counts.push(of_panel.as_ref().map(Vec::len).map_err(Clone::clone));
        questions.extend(of_panel.unwrap_or_default());
    }
    let of_panels = questions.len();
    if layout.panels().any(|placed| placed.panel.kind == Kind::Timeseries) {
        questions.extend(looked_at.annotations(source, layout.width));
    }
    let lines = layout.panels().map(|placed| looked_at.lines(placed, source.min_interval));
    let (mut answers, lines) = tokio::join!(ask::all(questions), join_all(lines));
    let of_annotations = answers.split_off(of_panels);
    let unreachable = answers.iter().chain(&of_annotations).find_map(|answer| match answer {
        Err(QueryError::Unreachable(why)) => Some(why.clone()),
        _ => None,
    });

    let windows = |marking| ask::windows(dashboard, &of_annotations, marking);
    let marks = [windows(Marking::Phases), windows(Marking::Faults), windows(Marking::Alerts)];
    let absent = Absent::of(&source.address, params.range, &answers).await;
    let mut answers = answers.into_iter();
    let mut shown = Vec::new();
    for ((placed, count), lines) in layout.panels().zip(counts).zip(lines) {
        shown.push(match (lines, count) {
            (Some(lines), _) => lines,
            (None, Err(why)) => Shown::Refused(vec![why]),
            (None, Ok(count)) => looked_at.shown(placed, answers.by_ref().take(count), &marks, &absent),
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

/// A dashboard, and how it is looked at.
struct LookedAt<'a> {
    provisioned: &'a Provisioned,
    dashboard: &'a Dashboard,
    params: &'a ViewParams,
    /// What is chosen for each variable.
    chosen: BTreeMap<String, Vec<String>>,
}

impl LookedAt<'_> {
    fn view(&self, width: u32, min_interval: Duration) -> View<'_> {
        View { range: self.params.range, width, min_interval, chosen: &self.chosen }
    }

    /// The time a panel shows: its own, where the page's goes with the clock.
    fn range(&self, panel: &Panel) -> TimeRange {
        let range = self.params.range;
        if self.params.is_live() { query::own_range(self.dashboard, panel, &self.chosen, range) } else { range }
    }

    /// Whom to ask what for a panel, or why nobody can be.
    fn questions(&self, placed: &Placed) -> Result<Vec<(Address, PlannedQuery)>, String> {
        let panel = placed.panel;
        let mut queries = Vec::new();
        if !panel.undrawn.is_empty() || matches!(panel.kind, Kind::Undrawn(_)) {
            return Ok(queries);
        }
        for target in query::targets(self.dashboard, panel) {
            let source = self.provisioned.source(target.datasource.as_deref())?;
            let view = View { range: self.range(panel), ..self.view(placed.width, source.min_interval) };
            let planned = query::plan_target(self.dashboard, panel, target, &view).into_iter();
            queries.extend(planned.map(|query| (source.address.clone(), query)));
        }
        Ok(queries)
    }

    fn annotations(&self, source: &Source, width: u32) -> impl Iterator<Item = (Address, PlannedQuery)> {
        let (dashboard, view) = (self.dashboard, self.view(width, source.min_interval));
        let planned = dashboard.annotations.iter().map(move |one| query::plan_annotation(dashboard, one, &view));
        planned.map(|query| (source.address.clone(), query))
    }

    /// What stands in a panel's place that was asked for; phases, faults and alerts are marked.
    fn shown(
        &self,
        placed: &Placed,
        answers: impl Iterator<Item = Result<Frame, QueryError>>,
        [phases, faults, alerts]: &[Vec<Mark>; 3],
        absent: &Absent,
    ) -> Shown {
        let undrawn = &placed.panel.undrawn;
        if !undrawn.is_empty() {
            return Shown::Refused(undrawn.iter().map(|finding| finding.what.clone()).collect());
        }
        let mut frames = Vec::new();
        let mut failed = Vec::new();
        for answer in answers {
            match answer {
                Ok(frame) => frames.push(frame),
                Err(QueryError::Unreachable(_)) => failed.push("Prometheus did not answer.".to_owned()),
                Err(QueryError::Refused(why)) => failed.push(why),
            }
        }
        failed.dedup();
        if !failed.is_empty() {
            return Shown::Failed(failed);
        }
        let canvas = Canvas {
            width: placed.width,
            height: placed.height,
            theme: Theme::Page,
            range: self.range(placed.panel),
            dated: false,
            phases,
            faults,
            alerts,
        };
        let mut panel = placed.panel.clone();
        panel.defaults.no_value = absent.why(&frames).or(panel.defaults.no_value);
        Shown::Drawn(draw::panel_svg(&panel, &frames, &canvas))
    }

    /// What stands in the place of a panel of logs; nothing for another panel.
    async fn lines(&self, placed: &Placed<'_>, min_interval: Duration) -> Option<Shown> {
        match &placed.panel.kind {
            Kind::Logs(queries) if placed.panel.undrawn.is_empty() => {
                let store = self.provisioned.store(placed.panel.datasource.as_deref());
                Some(match store {
                    Ok(store) => self.lines_of(store, queries, self.view(placed.width, min_interval)).await,
                    Err(why) => Shown::Elsewhere(why),
                })
            }
            _ => None,
        }
    }

    async fn lines_of(&self, store: &Address, queries: &[String], view: View<'_>) -> Shown {
        let dashboard = self.dashboard;
        let texts = dashboard.variables.iter().filter(|variable| variable.kind == VariableKind::Text);
        let mut chosen: BTreeMap<String, Vec<String>> = view.chosen.clone();
        for variable in texts {
            let value =
                self.params.chosen.get(&variable.name).and_then(|asked| asked.last()).or(variable.current.first());
            let value = value.cloned().unwrap_or_default();
            if value.is_empty() && queries.iter().any(|query| lines::asks_for(query, &variable.name)) {
                let note = format!("Of which? Write it above, as {}, or follow a line’s link.", variable.label);
                return Shown::Unasked(note);
            }
            chosen.insert(variable.name.clone(), vec![value]);
        }
        let view = View { chosen: &chosen, ..view };
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
}

//! What a reader can choose on a dashboard's page: the range, how often it is asked anew, the values of variables.

use std::collections::BTreeMap;
use std::time::Duration;

use maud::{Markup, html};

use super::view_params::ViewParams;
use aiclipx_base::duration;
use aiclipx_dashboard::draw::written;
use aiclipx_dashboard::model::{ALL, Dashboard, Variable, VariableKind};
use aiclipx_model::monitoring::variables::names;

/// The ranges people ask for.
pub(super) const RANGES: [&str; 6] = ["5m", "15m", "1h", "6h", "24h", "7d"];
/// How often they want it anew.
const REFRESHES: [&str; 4] = ["off", "5s", "30s", "1m"];

pub(super) fn range_controls(dashboard: &Dashboard, params: &ViewParams) -> Markup {
    let uid = &dashboard.uid;
    let ago = params.from.strip_prefix("now-").filter(|_| params.to == "now").unwrap_or_default();
    let with = |listed: &[&str], own: &str| {
        let mut all: Vec<String> = listed.iter().map(|one| (*one).to_owned()).collect();
        if !own.is_empty() && !all.iter().any(|one| one == own) {
            all.push(own.to_owned());
        }
        all.sort_by_key(|one| duration::parse(one).unwrap_or(Duration::ZERO));
        all
    };
    let refresh = params.refresh.map_or_else(|| "off".to_owned(), |refresh| spelt(refresh, &REFRESHES));
    html! {
        nav aria-label="Time" {
            span.group {
                span { "Last" }
                @for one in with(&RANGES, ago) {
                    a href=(params.address(uid, &[("from", &format!("now-{one}")), ("to", "now")]))
                        aria-current=[(one == ago).then_some("true")] { (one) }
                }
            }
            span.group {
                a href=(params.moved(uid, -0.5)) aria-label="Earlier" title="Earlier" { "‹" }
                a href=(params.wider(uid)) aria-label="Wider" title="Twice the range" { "−" }
                a href=(params.moved(uid, 0.5)) aria-label="Later" title="Later" { "›" }
            }
            @if params.is_live() {
                span.group {
                    span { "Refresh" }
                    @for one in with(&REFRESHES, &refresh) {
                        a href=(params.address(uid, &[("refresh", &one)])) aria-current=[(one == refresh).then_some("true")] {
                            (one)
                        }
                    }
                }
            } @else {
                span.group { a href=(params.address(uid, &[("from", ""), ("to", "")])) { "Back to now" } }
            }
        }
    }
}

/// A duration as one of a list writes it, else as we do.
fn spelt(duration: Duration, listed: &[&str]) -> String {
    let same = listed.iter().find(|one| duration::parse(one) == Ok(duration));
    same.map_or_else(|| duration::print(duration), |one| (*one).to_owned())
}

/// Whether a variable is chosen on a page: a text of logs where there are lines.
pub(super) fn is_chosen(variable: &Variable, dashboard: &Dashboard, has_lines: bool) -> bool {
    let is_asked = || {
        let targets = dashboard.panels.iter().flat_map(|panel| &panel.targets);
        targets.flat_map(|target| names(&target.expr)).any(|name| name == variable.name)
    };
    match &variable.kind {
        VariableKind::Text => has_lines || is_asked(),
        VariableKind::Constant(_) | VariableKind::Datasource(_) | VariableKind::Filters(_) | VariableKind::Other(_) => {
            false
        }
        _ => !variable.hidden,
    }
}

pub(super) fn variables(
    dashboard: &Dashboard,
    params: &ViewParams,
    chosen: &[&Variable],
    possible: &BTreeMap<String, Vec<String>>,
) -> Markup {
    html! {
        form.variables action={ "/d/" (aiclipx_model::prom::answer::percent_encoded(&dashboard.uid)) } {
            @for (name, value) in params.carried() { input type="hidden" name=(name) value=(value); }
            @for variable in chosen { (choice(variable, params, possible)) }
            button { "Show" }
        }
    }
}

fn choice(variable: &Variable, params: &ViewParams, possible: &BTreeMap<String, Vec<String>>) -> Markup {
    let asked = params.chosen.get(&variable.name).unwrap_or(&variable.current);
    let values = possible.get(&variable.name).map_or(&[][..], Vec::as_slice);
    let is_asked = |value: &str| asked.iter().any(|one| one == value);
    if variable.kind == VariableKind::Text {
        let value = asked.last().map_or("", String::as_str);
        return html! { label { (variable.label) input name={ "var-" (variable.name) } value=(value) size="36"; } };
    }
    // What is chosen stays to be seen, also where nothing is called so any more.
    let gone = asked.iter().filter(|one| *one != ALL && !values.contains(one));
    html! {
        label {
            (variable.label)
            select name={ "var-" (variable.name) } multiple[variable.multi] size=[variable.multi.then_some("1")] {
                @if variable.include_all { option value=(ALL) selected[is_asked(ALL)] { "All" } }
                @for value in values.iter().chain(gone) {
                    option value=(value) selected[is_asked(value)] { (called(variable, value)) }
                }
            }
        }
    }
}

/// What a value is called on its list.
fn called<'a>(variable: &'a Variable, value: &'a str) -> &'a str {
    match &variable.kind {
        VariableKind::Listed(listed) => listed.iter().find(|(_, own)| own == value).map_or(value, |(text, _)| text),
        VariableKind::Interval(_) if value.starts_with("$__auto") => "auto",
        _ => value,
    }
}

/// From when to when, in UTC.
pub(super) fn shown_range(params: &ViewParams) -> String {
    let (from, to) = (params.range.from_millis, params.range.to_millis);
    let day = |millis| written(millis, "%Y-%m-%d");
    let end = if day(from) == day(to) { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    format!("{} – {} UTC", written(from, "%Y-%m-%d %H:%M:%S"), written(to, end))
}

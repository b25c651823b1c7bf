//! Asks Prometheus what the page shows: variables' values first, then every panel's queries and the annotations, side by
//! side.
//!
//! A question that got no answer is told in the words of who refused it; nothing is asked twice.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde::Deserialize;

use aiclipx_base::address::Address;
use aiclipx_dashboard::draw::{Frame, Mark};
use aiclipx_dashboard::marks;
use aiclipx_dashboard::model::{ALL, Dashboard, Marking, Variable, VariableKind};
use aiclipx_dashboard::query::{self, PlannedQuery, TimeRange};
use aiclipx_http::client;
use aiclipx_model::monitoring::variables;
use aiclipx_model::prom::answer::{self, percent_encoded};

/// A page that waits longer is of no use to anybody.
const LIMIT: Duration = Duration::from_secs(10);
/// Prometheus runs twenty queries at once; others want to ask, too.
const AT_ONCE: usize = 8;

/// Windows of a kind that a page marks. In a picture a few hundred pixels wide nobody tells more apart.
const MOST_WINDOWS: usize = 200;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum QueryError {
    /// Nobody is there.
    Unreachable(String),
    /// Refused, or what came was no answer.
    Refused(String),
}

/// All questions of a page at once, the answers in their order.
pub(super) async fn all(questions: Vec<(Address, PlannedQuery)>) -> Vec<Result<Frame, QueryError>> {
    let answers = questions.into_iter().map(|(address, query)| async move {
        let body = get(&address, &query.path_and_query).await?;
        let answer = answer::parse(&body).map_err(|error| QueryError::Refused(error.to_string()))?;
        Ok(Frame { query, series: answer.data.into_series() })
    });
    stream::iter(answers).buffered(AT_ONCE).collect().await
}

/// The jobs that were scraped in a time.
pub(super) async fn jobs(address: &Address, range: TimeRange) -> Result<Vec<String>, QueryError> {
    let (start, end) = (range.from_millis.div_euclid(1000), range.to_millis.div_euclid(1000) + 1);
    let body = get(address, &format!("/api/v1/label/job/values?start={start}&end={end}&match%5B%5D=up")).await?;
    let values: Values = serde_json::from_slice(&body).map_err(|error| QueryError::Refused(error.to_string()))?;
    Ok(values.data)
}

/// What an expression is at the end of a time; nothing where it has no value.
pub(super) async fn number(address: &Address, expr: &str, range: TimeRange) -> Result<Option<f64>, QueryError> {
    let body = get(address, &query::at_end(expr, range).path_and_query).await?;
    let answer = answer::parse(&body).map_err(|error| QueryError::Refused(error.to_string()))?;
    Ok(answer.data.into_series().first().and_then(|series| Some(series.samples.last()?.value)))
}

/// What annotations tell, by what they mark, each in the order of time: of more than a picture can show, the last.
pub(super) fn windows(dashboard: &Dashboard, answers: &[Result<Frame, QueryError>], marking: Marking) -> Vec<Mark> {
    let told = dashboard.annotations.iter().zip(answers).filter(|(annotation, _)| annotation.marking() == marking);
    let mut windows: Vec<Mark> = told.filter_map(|(_, answer)| answer.as_ref().ok()).flat_map(marks::marks).collect();
    windows.sort_by_key(|mark| mark.from_millis);
    windows.drain(..windows.len().saturating_sub(MOST_WINDOWS));
    windows
}

/// What each variable can be, and what it is. What is chosen of one is what there is to choose of the next, in whatever order they
/// stand in the file.
pub(super) async fn values(
    address: &Address,
    dashboard: &Dashboard,
    range: TimeRange,
    asked: &BTreeMap<String, Vec<String>>,
) -> (BTreeMap<String, Vec<String>>, BTreeMap<String, Vec<String>>) {
    let (mut possible, mut chosen) = (BTreeMap::new(), BTreeMap::new());
    for variable in in_order(&dashboard.variables) {
        let found = if variable.kind.is_fixed() {
            Vec::new()
        } else {
            let filled = |text: &str| query::filled_in(text, dashboard, &chosen, range);
            found(address, variable, range, &filled).await.unwrap_or_default()
        };
        let values = query::possible(variable, found);
        // For logs, whose pages ask for it by themselves, where nothing is asked for.
        if variable.kind != VariableKind::Text || asked.contains_key(&variable.name) {
            chosen.insert(variable.name.clone(), choice(variable, &values, asked.get(&variable.name)));
        }
        possible.insert(variable.name.clone(), values);
    }
    (possible, chosen)
}

/// Each variable behind those that it is asked with; where they go in a circle, as they stand.
fn in_order(variables: &[Variable]) -> Vec<&Variable> {
    let mut rest: Vec<&Variable> = variables.iter().collect();
    let mut ordered = Vec::new();
    while !rest.is_empty() {
        let waits = |one: &Variable| {
            let asked = one.kind.question().unwrap_or_default();
            variables::names(asked).any(|name| name != one.name && rest.iter().any(|other| other.name == name))
        };
        let next = rest.iter().position(|one| !waits(one)).unwrap_or(0);
        ordered.push(rest.remove(next));
    }
    ordered
}

/// What is asked for, else the dashboard's own choice, else the first there is. "All" without a value of its own is
/// every value, as in Grafana.
fn choice(variable: &Variable, values: &[String], asked: Option<&Vec<String>>) -> Vec<String> {
    // An interval is no text in quotes: what is not on its list could be any expression.
    let is_bound =
        matches!(variable.kind, VariableKind::Interval(_) | VariableKind::Listed(_) | VariableKind::Constant(_));
    let is_known = |one: &String| values.contains(one) || one == ALL && variable.include_all;
    let choice = match asked.filter(|asked| !is_bound || asked.iter().all(is_known)) {
        Some(asked) => asked.clone(),
        None if variable.current.is_empty() => values.first().cloned().into_iter().collect(),
        None => variable.current.clone(),
    };
    if choice == [ALL] && variable.all_value.is_none() && !values.is_empty() { values.to_vec() } else { choice }
}

#[derive(Deserialize)]
struct Values {
    data: Vec<String>,
}

#[derive(Deserialize)]
struct FoundSeries {
    data: Vec<BTreeMap<String, String>>,
}

/// What Prometheus has for a variable.
async fn found(
    address: &Address,
    variable: &Variable,
    range: TimeRange,
    filled: &(dyn Fn(&str) -> String + Sync),
) -> Result<Vec<String>, QueryError> {
    let matching = |selector: &str| format!("&match%5B%5D={}", percent_encoded(&filled(selector)));
    let (start, end) = (range.from_millis.div_euclid(1000), range.to_millis.div_euclid(1000) + 1);
    let range_of = format!("?start={start}&end={end}");
    let refused = |error: serde_json::Error| QueryError::Refused(error.to_string());
    let texts = |path: String| async move {
        let body = get(address, &path).await?;
        Ok(serde_json::from_slice::<Values>(&body).map_err(refused)?.data)
    };
    match &variable.kind {
        VariableKind::LabelValues { metric, label } => {
            let metric = metric.as_deref().map(&matching).unwrap_or_default();
            texts(format!("/api/v1/label/{}/values{range_of}{metric}", percent_encoded(&filled(label)))).await
        }
        VariableKind::LabelNames(selector) => {
            let selector = selector.as_deref().map(&matching).unwrap_or_default();
            texts(format!("/api/v1/labels{range_of}{selector}")).await
        }
        VariableKind::Metrics(pattern) => {
            let selector = format!("{{__name__=~\".*(?:{}).*\"}}", filled(pattern));
            texts(format!("/api/v1/label/__name__/values{range_of}&match%5B%5D={}", percent_encoded(&selector))).await
        }
        VariableKind::Series(selector) => {
            let body = get(address, &format!("/api/v1/series{range_of}{}", matching(selector))).await?;
            let series: FoundSeries = serde_json::from_slice(&body).map_err(refused)?;
            Ok(series.data.iter().map(|labels| query::series_text(labels, None)).collect())
        }
        VariableKind::QueryResult(expr) => {
            let body = get(address, &query::at_end(&filled(expr), range).path_and_query).await?;
            let answer = answer::parse(&body).map_err(|error| QueryError::Refused(error.to_string()))?;
            let text = |series: &answer::Series| {
                let last = series.samples.last().map(|sample| (sample.seconds, sample.value));
                query::series_text(&series.labels, last)
            };
            Ok(answer.data.into_series().iter().map(text).collect())
        }
        _ => Ok(Vec::new()),
    }
}

async fn get(address: &Address, path_and_query: &str) -> Result<bytes::Bytes, QueryError> {
    let answer = client::get(address, path_and_query, LIMIT)
        .await
        .map_err(|error| QueryError::Unreachable(error.to_string()))?;
    // A refusal is JSON with its reason; anything else but 200 comes from nobody we know.
    if answer.status.is_success() || answer.body.starts_with(b"{") {
        return Ok(answer.body);
    }
    let words = String::from_utf8_lossy(&answer.body).trim().chars().take(200).collect::<String>();
    Err(QueryError::Unreachable(format!("{address} answered {}: {words}", answer.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_what_was_asked_for_else_what_the_dashboard_says() {
        let mut variable = Variable {
            name: "job".to_owned(),
            label: "Job".to_owned(),
            kind: VariableKind::LabelValues { metric: None, label: "job".to_owned() },
            current: vec![ALL.to_owned()],
            all_value: Some(".+".to_owned()),
            include_all: true,
            multi: true,
            auto: None,
            hidden: false,
            regex: String::new(),
            sort: 0,
        };
        let values = ["app".to_owned(), "receiver".to_owned()];
        assert_eq!(choice(&variable, &values, None), [ALL]);
        assert_eq!(choice(&variable, &values, Some(&vec!["app".to_owned()])), ["app"]);
        variable.all_value = None;
        assert_eq!(choice(&variable, &values, None), values);
        let intervals = Variable { kind: VariableKind::Interval(values.to_vec()), ..variable.clone() };
        assert_eq!(choice(&intervals, &values, Some(&vec!["5m] or up[1m".to_owned()])), values);
        assert_eq!(choice(&variable, &[], None), [ALL]);
        variable.current.clear();
        assert_eq!(choice(&variable, &values, None), ["app"]);
    }

    #[test]
    fn a_variable_is_asked_for_behind_those_that_it_is_asked_with() {
        let asked = |name: &str, metric: &str| Variable {
            name: name.to_owned(),
            label: name.to_owned(),
            kind: VariableKind::LabelValues { metric: Some(metric.to_owned()), label: "x".to_owned() },
            current: Vec::new(),
            all_value: None,
            include_all: false,
            multi: false,
            auto: None,
            hidden: false,
            regex: String::new(),
            sort: 0,
        };
        let variables = [asked("c", "up{a=\"$a\",b=\"${b:regex}\"}"), asked("b", "up{a=\"[[a]]\"}"), asked("a", "up")];
        let names = |variables: &[Variable]| in_order(variables).iter().map(|one| one.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&variables), ["a", "b", "c"]);
        assert_eq!(names(&[asked("a", "$b"), asked("b", "$a"), asked("c", "$c")]), ["c", "a", "b"]);
    }
}

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

/// What annotations tell, by what they mark, each in the order of time: of more than a picture can show, the last.
pub(super) fn windows(dashboard: &Dashboard, answers: &[Result<Frame, QueryError>], marking: Marking) -> Vec<Mark> {
    let told = dashboard.annotations.iter().zip(answers).filter(|(annotation, _)| annotation.marking() == marking);
    let mut windows: Vec<Mark> = told.filter_map(|(_, answer)| answer.as_ref().ok()).flat_map(marks::marks).collect();
    windows.sort_by_key(|mark| mark.from_millis);
    windows.drain(..windows.len().saturating_sub(MOST_WINDOWS));
    windows
}

/// What each variable can be, and what it is.
pub(super) async fn values(
    address: &Address,
    dashboard: &Dashboard,
    range: TimeRange,
    asked: &BTreeMap<String, Vec<String>>,
) -> (BTreeMap<String, Vec<String>>, BTreeMap<String, Vec<String>>) {
    let (mut possible, mut chosen) = (BTreeMap::new(), BTreeMap::new());
    for variable in &dashboard.variables {
        let values = match &variable.kind {
            VariableKind::Interval(values) => values.clone(),
            // For logs; whoever asks Prometheus leaves it alone, where it could be any expression.
            VariableKind::Text => continue,
            VariableKind::LabelValues { metric, label } => {
                // What is chosen of one is what there is to choose of the next.
                let metric = metric.as_deref().map(|metric| query::filled_in(metric, &dashboard.variables, &chosen));
                label_values(address, metric.as_deref(), label, range).await.unwrap_or_default()
            }
        };
        chosen.insert(variable.name.clone(), choice(variable, &values, asked.get(&variable.name)));
        possible.insert(variable.name.clone(), values);
    }
    (possible, chosen)
}

/// What is asked for, else the dashboard's own choice, else the first there is. "All" without a value of its own is
/// every value, as in Grafana.
fn choice(variable: &Variable, values: &[String], asked: Option<&Vec<String>>) -> Vec<String> {
    // An interval is no text in quotes: what is not on its list could be any expression.
    let known = |asked: &&Vec<String>| {
        matches!(variable.kind, VariableKind::LabelValues { .. }) || asked.iter().all(|one| values.contains(one))
    };
    let choice = match asked.filter(known) {
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

async fn label_values(
    address: &Address,
    metric: Option<&str>,
    label: &str,
    range: TimeRange,
) -> Result<Vec<String>, QueryError> {
    let (start, end) = (range.from_millis.div_euclid(1000), range.to_millis.div_euclid(1000) + 1);
    let mut path = format!("/api/v1/label/{}/values?start={start}&end={end}", percent_encoded(label));
    if let Some(metric) = metric {
        path.extend(["&match%5B%5D=", &percent_encoded(metric)]);
    }
    let body = get(address, &path).await?;
    let values: Values = serde_json::from_slice(&body).map_err(|error| QueryError::Refused(error.to_string()))?;
    Ok(values.data)
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
}

//! Prometheus' pages in the report: drawn from recorded answers where they could not be pictured, and from nothing else.

use std::time::Duration;

use aiclipx_dashboard::query::{TimeRange, over};
use aiclipx_judge::run::{MissingPicture, Run};
use serde_json::json;

use crate::bundle::Archive;
use crate::fixture::Fixture;
use crate::kills::{evaluation_at, fault, went_down};
use crate::world;

const ALERT: &str = "AppHigh5xxErrorRate";
/// What the loaded rule compares with its threshold.
const EXPRESSION: &str = "job:app_requests_failed_per_answered:ratio_rate5m";
const GRAPH: &str = "graphs/AppHigh5xxErrorRate.json";
const DRAWN: &str = "What Prometheus answered when AppHigh5xxErrorRate began to fire";

/// A run without a picture of those pages, with the graph that was asked of this expression.
fn without_pictures(pages: &[&str], expression: &str) -> Fixture {
    let fixture = Fixture::with_errors().run(|run| {
        run.pictures.retain(|picture| !pages.contains(&picture.page.as_str()));
        run.missing_pictures = world::missing_pictures(ALERT, "this Prometheus has no pages");
        run.missing_pictures.retain(|missing| pages.contains(&missing.page.as_str()));
    });
    let run = fixture.experiment().run;
    let plan =
        over(expression, TimeRange { from_millis: run.quiet_ms, to_millis: run.end_ms }, Duration::from_millis(500));
    let at = run.quiet_ms / 1000;
    let answer = json!({"status": "success", "data": {"resultType": "matrix", "result": [
        {"metric": {"job": "app"}, "values": [[at + 1, "0.1"], [at + 2, "0.3"]]}]}});
    let pictures = pages.iter().map(|page| format!("screens/{ALERT}-{page}.png"));
    pictures
        .fold(fixture, |fixture, file| fixture.without(&file))
        .with(GRAPH, &json!({"plan": plan, "answer": answer}).to_string())
}

fn report(fixture: &Fixture) -> String {
    let sealed = Archive::new().with("error-rate", fixture).sealed();
    sealed.verify().unwrap_or_else(|failure| panic!("{failure}"));
    std::fs::read_to_string(sealed.path("report.html")).unwrap()
}

#[test]
fn where_there_are_no_pages_the_report_draws_targets_alerts_and_graph_from_what_was_answered() {
    let report = report(&without_pictures(&["targets", "alerts", "graph"], EXPRESSION));
    let drawn = report.split(DRAWN).nth(1).expect("a section");
    let drawn = drawn.split("<h2").next().unwrap();
    assert!(drawn.contains("no picture of targets, alerts, graph: this Prometheus has no pages."), "{drawn}");
    assert!(drawn.contains("<td>app</td><td>127.0.0.1:18000</td><td>up</td>"), "the targets: {drawn}");
    assert!(drawn.contains("<td>AppHigh5xxErrorRate</td><td><span class=\"mark fails\">firing</span>"), "{drawn}");
    assert!(drawn.contains("<td>Watchdog</td>"), "what else was active: {drawn}");
    assert!(
        drawn.contains("<svg") && drawn.contains(">0.300</text>"),
        "the graph, its highest value in the legend: {drawn}"
    );
}

#[test]
fn what_is_wrong_stands_in_its_own_place_and_the_matrix_says_no_more_than_the_verdict() {
    let late = went_down(Fixture::with_errors()).alert_lived(|life| {
        life.firing = Some(evaluation_at(fault().0 + 16_200));
        life.notified = life.firing.map(|firing| firing + 510);
    });
    let report = report(&late);
    let requests = report.split("<h3>Requests, client and Prometheus</h3>").nth(1).expect("the heading stays");
    assert!(
        requests.starts_with("<p>There is no table") && requests.contains("the counter went down"),
        "{requests:.200}"
    );
    let matrix = report.split("id=\"alerts\"").nth(1).expect("a matrix").split("</table>").next().unwrap();
    assert!(matrix.contains("<span class=\"mark fails\">fired, not in time</span>"), "{matrix}");
    assert!(!matrix.contains("<span class=\"mark holds\">fired</span>"), "{matrix}");
    let sound = Archive::new().with("error-rate", &Fixture::with_errors()).sealed();
    let sound = std::fs::read_to_string(sound.path("report.html")).unwrap();
    assert!(sound.contains("<span class=\"mark holds\">fired</span>"));
}

#[test]
fn a_page_that_was_pictured_is_not_drawn_again() {
    let report = report(&without_pictures(&["graph"], EXPRESSION));
    let drawn = report.split(DRAWN).nth(1).expect("a section").split("<h2").next().unwrap();
    assert!(drawn.contains("no picture of graph:") && drawn.contains("<svg"), "{drawn}");
    assert!(!drawn.contains("<td>app</td>") && !drawn.contains("<td>Watchdog</td>"), "{drawn}");
    let sound = Archive::new().with("error-rate", &Fixture::with_errors()).sealed();
    assert!(!std::fs::read_to_string(sound.path("report.html")).unwrap().contains(DRAWN));
}

#[test]
fn the_answer_to_another_question_is_not_drawn_as_the_alerts_graph() {
    // Nor kept as such where the page was pictured, and nothing is drawn of it.
    for pages in [&["graph"][..], &[]] {
        let failure = refused(&without_pictures(pages, "vector(1)"));
        assert!(
            failure.contains("graphs/AppHigh5xxErrorRate.json is not the graph of AppHigh5xxErrorRate"),
            "{failure}"
        );
    }
}

/// What is told of the graph's page, and how a run comes to tell it.
type Case = (&'static str, fn(&mut Run, MissingPicture));

#[test]
fn a_run_tells_of_every_page_that_was_to_be_pictured_once_and_of_no_other() {
    let missing = |page: &str| world::missing_pictures(ALERT, "why").into_iter().find(|one| one.page == page).unwrap();
    let cases: [Case; 4] = [
        ("pictured and missing", |run, graph| run.missing_pictures.push(graph)),
        ("neither", |run, _| drop(run.pictures.pop())),
        ("another alert's", |run, graph| {
            run.missing_pictures.push(MissingPicture { alert: "../../x".to_owned(), ..graph });
        }),
        ("missing twice", |run, graph| {
            run.pictures.retain(|picture| picture.page != "graph");
            run.missing_pictures = vec![graph.clone(), graph];
        }),
    ];
    for (what, edit) in cases {
        let failure = refused(&Fixture::with_errors().run(|run| edit(run, missing("graph"))));
        assert!(failure.contains("it tells of the pages"), "{what}: {failure}");
    }
    let elsewhere = Fixture::with_errors().run(|run| "http://evil.example/x".clone_into(&mut run.pictures[0].url));
    assert!(refused(&elsewhere).contains("is told to be of http://evil.example/x"));
}

fn refused(fixture: &Fixture) -> String {
    let (_place, sealed) = Archive::new().with("error-rate", fixture).seal(&[]);
    sealed.expect_err("it must not be sealed").to_string()
}

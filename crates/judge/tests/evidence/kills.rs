//! For every kind of claim, one thing that goes wrong and the claims it must kill: those, and no other.

use aiclipx_judge::judge::Verdict;
use aiclipx_model::traffic::ledger::Ledger;
use serde_json::{Value, json};

use crate::fixture::{Fixture, has};
use crate::world::{self, ERROR_RATE, INTERVAL, Life, WITH_ERRORS, World};

const ALERT: &str = "AppHigh5xxErrorRate";
pub(crate) const ITEMS_GOOD: [(&str, &str); 3] = [("method", "GET"), ("endpoint", "/items"), ("http_status", "200")];

/// What went wrong, how, and the claims that must fail of it.
type Case = (&'static str, fn(Fixture) -> Fixture, &'static [&'static str]);

/// How the expected alert lived, and the claims that must fail of it.
type Lived = (&'static str, fn(&mut Life), &'static [&'static str]);

/// What the client sent otherwise than scheduled.
pub(crate) type Sent = (&'static str, fn(&mut Ledger));

fn kill(cases: &[Case]) {
    for (what, edit, claims) in cases {
        edit(Fixture::with_errors()).judged().fails_exactly(what, claims);
    }
}

/// Of several processes behind one address, say.
pub(crate) fn went_down(fixture: Fixture) -> Fixture {
    fixture.series("requests", |all| {
        let series = all.iter_mut().find(|series| has(series, &ITEMS_GOOD)).unwrap();
        series["values"][20][1] = json!("0");
    })
}

#[test]
fn what_was_counted_otherwise_than_sent_is_found() {
    kill(&[
        (
            "one request counted twice",
            |fixture| {
                let series = r#"app_requests_total{endpoint="/items",http_status="200",method="GET"}"#;
                fixture.stored("requests", &ITEMS_GOOD, 1.0).exposed(series, 1.0)
            },
            &["counters/requests"],
        ),
        (
            "one request never counted",
            |fixture| {
                let series = r#"app_requests_total{endpoint="/items",http_status="200",method="GET"}"#;
                fixture.stored("requests", &ITEMS_GOOD, -1.0).exposed(series, -1.0)
            },
            &["counters/requests"],
        ),
        (
            "a request counted under another status",
            |fixture| {
                let other = [("method", "GET"), ("endpoint", "/items"), ("http_status", "500")];
                let series = r#"app_requests_total{endpoint="/items",http_status="200",method="GET"}"#;
                let another = r#"app_requests_total{endpoint="/items",http_status="500",method="GET"}"#;
                fixture
                    .stored("requests", &ITEMS_GOOD, -1.0)
                    .exposed(series, -1.0)
                    .stored("requests", &other, 1.0)
                    .exposed(another, 1.0)
            },
            &["counters/requests"],
        ),
        (
            "a request nobody sent, under a path no route has",
            |fixture| {
                let series = r#"app_requests_total{endpoint="unmatched",http_status="404",method="GET"}"#;
                fixture.stored("requests", &[("endpoint", "unmatched")], 1.0).exposed(series, 1.0)
            },
            &["counters/requests"],
        ),
        (
            "a series lost, in the service and in Prometheus",
            |fixture| {
                let series = r#"app_requests_total{endpoint="/items",http_status="200",method="GET"}"#;
                fixture
                    .series("requests", |all| all.retain(|series| !has(series, &ITEMS_GOOD)))
                    .lines("exposition/after-0.prom", |lines| lines.retain(|line| !line.starts_with(series)))
            },
            &["counters/requests"],
        ),
        (
            "a series lost in Prometheus only",
            |fixture| fixture.series("requests", |all| all.retain(|series| !has(series, &ITEMS_GOOD))),
            &["counters/requests", "exposed"],
        ),
        ("a counter that went down in between", went_down, &["counters/requests"]),
        (
            "an observation too many in the histogram",
            |fixture| fixture.stored("latency_count", &[("endpoint", "/")], 1.0),
            &["counters/latency-count"],
        ),
        (
            "an observation that fell in no bucket",
            |fixture| fixture.stored("latency_inf", &[("endpoint", "/")], -1.0),
            &["counters/latency-inf"],
        ),
        ("a fault counted twice", |fixture| fixture.stored("errors", &[], 1.0), &["counters/errors"]),
        ("a fault not counted", |fixture| fixture.stored("errors", &[], -1.0), &["counters/errors"]),
        (
            "an exposition that says more than was stored",
            |fixture| fixture.exposed(r#"app_requests_total{endpoint="/",http_status="200",method="GET"}"#, 1.0),
            &["exposed"],
        ),
        (
            "an exposition with a series that was not stored",
            |fixture| {
                fixture.lines("exposition/after-0.prom", |lines| {
                    let new = r#"app_requests_total{endpoint="/new",http_status="200",method="GET"} 0"#;
                    lines.insert(1, new.to_owned());
                })
            },
            &["exposed"],
        ),
        (
            "no exposition",
            |fixture| fixture.without("exposition/after-0.prom"),
            &["buckets", "exposed", "panel-shows/app-overview/2"],
        ),
        (
            "a bucket with less than the client saw answered in its time",
            |fixture| fixture.exposed(r#"app_request_latency_seconds_bucket{endpoint="/",le="0.022"}"#, -1.0),
            &["buckets"],
        ),
        (
            "a bucket with more than the one above it",
            |fixture| fixture.exposed(r#"app_request_latency_seconds_bucket{endpoint="/",le="0.018"}"#, 10_000.0),
            &["buckets"],
        ),
        (
            "a last bucket that is not everything",
            |fixture| fixture.exposed(r#"app_request_latency_seconds_count{endpoint="/"}"#, 1.0),
            &["buckets"],
        ),
    ]);
}

#[test]
fn a_counter_that_went_down_is_told_as_that_with_times_for_people() {
    let judged = went_down(Fixture::with_errors()).judged();
    let judgement = judged.of("counters/requests");
    assert_eq!(judgement.observed, "the counter went down");
    let why = judgement.verdict.why();
    assert!(why.starts_with("GET /items 200: the counter went down between the scrapes of 20"), "{why}");
    assert_eq!(why.matches(" UTC").count(), 2, "{why}");
}

/// A bundle is judged by the words of its version: by others what was sealed then would not be what is derived now.
#[test]
fn counters_that_are_wrong_are_told_in_the_words_of_the_statement_s_version() {
    let told = |fixture: Fixture, schema| {
        let judged = fixture.run(|run| run.schema = schema).judged();
        let judgement = judged.of("counters/requests");
        (judgement.observed.clone(), judgement.verdict.why().to_owned())
    };
    let (observed, why) = told(went_down(Fixture::with_errors()), 5);
    assert_eq!(observed, "the exhibits can't be read");
    let seconds = why.strip_prefix("GET /items 200: the counter went down between ").unwrap_or_else(|| panic!("{why}"));
    assert!(seconds.split(" and ").all(|seconds| seconds.parse::<f64>().is_ok()), "{why}");
    let all_wrong = || {
        Fixture::with_errors().series("requests", |all| {
            for series in all {
                let samples = series["values"].as_array_mut().unwrap();
                let middle = samples.len() / 2;
                samples[middle..].iter_mut().for_each(|sample| sample[1] = json!("1000000"));
            }
        })
    };
    let (before, now) = (told(all_wrong(), 5).1, told(all_wrong(), 6).1);
    let rows: Vec<&str> = before.split("; ").collect();
    assert!(rows.len() > 4 && rows.iter().all(|row| row.contains(": client ")), "{before}");
    assert!(now.starts_with(&format!("{}; and {} more", rows[..3].join("; "), rows.len() - 3)), "{now}");
}

#[test]
fn scrapes_and_probes_are_nobodys_requests() {
    let series = r#"app_requests_total{endpoint="/metrics",http_status="200",method="GET"}"#;
    let fixture = Fixture::with_errors().exposed(series, 3.0).stored("requests", &[("endpoint", "/metrics")], 1.0);
    fixture.judged().fails_exactly("scraped once more", &[]);
}

#[test]
fn a_log_that_is_not_the_ledgers_is_found() {
    const LOG: &str = "logs/app.log";
    kill(&[
        ("a line missing", |fixture| fixture.lines(LOG, |lines| drop(lines.remove(100))), &["log"]),
        ("a line twice", |fixture| fixture.lines(LOG, |lines| lines.push(lines[100].clone())), &["log"]),
        (
            "another status",
            |fixture| fixture.lines(LOG, |lines| lines[2] = lines[2].replace("\"status\":200", "\"status\":404")),
            &["log"],
        ),
        ("a line of junk", |fixture| fixture.lines(LOG, |lines| lines.insert(7, "panicked at".to_owned())), &["log"]),
        ("half a line", |fixture| fixture.lines(LOG, |lines| lines.last_mut().unwrap().truncate(30)), &["log"]),
        (
            "a request of this run that nobody sent",
            |fixture| {
                fixture.lines(LOG, |lines| {
                    let id = format!("{}-999999", WITH_ERRORS.run.id);
                    lines.push(json!({"msg": "request", "status": 200, "request_id": id}).to_string());
                })
            },
            &["log"],
        ),
    ]);
}

#[test]
fn lines_that_did_not_reach_the_store_of_logs_are_found() {
    let fixture = |held: &dyn Fn(usize) -> Value| {
        let fixture = Fixture::with_errors();
        let prefix = format!("{}-", WITH_ERRORS.run.id);
        let log = std::fs::read_to_string(fixture.folder.join("logs/app.log")).unwrap();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let written =
            lines.filter(|line| line["request_id"].as_str().is_some_and(|id| id.starts_with(&prefix))).count();
        let answer = json!({"status": "success", "data": {"resultType": "vector", "result": held(written)}});
        aiclipx_judge::files::write(&fixture.folder.join("loki/requests.json"), answer.to_string().as_bytes()).unwrap();
        fixture.judged()
    };
    let sum = |count: usize| json!([{"metric": {}, "value": [1_795_000_000, count.to_string()]}]);
    fixture(&sum).fails_exactly("all of them", &[]);
    fixture(&|written| sum(written - 1)).fails_exactly("one fewer", &["log"]);
    fixture(&|written| sum(written + 1)).fails_exactly("one twice", &["log"]);
    fixture(&|_| json!([])).fails_exactly("none", &["log"]);
}

#[test]
fn a_store_of_logs_that_says_nothing_leaves_the_claim_on_logs_open_and_no_other() {
    let with_loki = || {
        Fixture::with_errors().series("up", |all| {
            let mut loki = all[0].clone();
            loki["metric"]["job"] = "loki".into();
            all.push(loki);
        })
    };
    with_loki().judged().leaves_open(&["log"], "Loki did not say");
    let lost = with_loki().lines("logs/app.log", |lines| drop(lines.pop()));
    lost.judged().fails_exactly("a line is lost, too", &["log"]);
}

#[test]
fn a_panics_line_bears_its_requests_name_and_is_no_second_answer() {
    let fixture = Fixture::with_errors().lines("logs/app.log", |lines| {
        let of_run = |line: &Value| Some(line["request_id"].as_str()?.starts_with(&format!("{}-", WITH_ERRORS.run.id)));
        let mut told = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let request = told.find(|line| of_run(line) == Some(true)).unwrap();
        lines.push(json!({"msg": "Panicked.", "request_id": request["request_id"]}).to_string());
    });
    fixture.judged().fails_exactly("a panic", &[]);
}

#[test]
fn a_log_line_of_another_run_is_no_matter() {
    let fixture = Fixture::with_errors().lines("logs/app.log", |lines| {
        lines.push(json!({"msg": "request", "status": 200, "request_id": "someone-else-1"}).to_string());
    });
    fixture.judged().fails_exactly("somebody else's request", &[]);
}

#[test]
fn a_configuration_loaded_otherwise_than_written_is_found() {
    kill(&[
        (
            "a scrape every second",
            |fixture| fixture.text("loaded/config.json", |text| text.replacen("500ms", "1s", 1)),
            &["config/prometheus"],
        ),
        (
            "a target more",
            |fixture| {
                fixture.text("loaded/config.json", |text| {
                    text.replacen("scrape_configs:\\n", "scrape_configs:\\n- job_name: more\\n", 1)
                })
            },
            &["config/prometheus"],
        ),
        (
            "nobody told of what is critical",
            |fixture| fixture.text("loaded/alertmanager.json", |text| text.replacen("critical", "severe", 1)),
            &["config/alertmanager"],
        ),
        (
            "no word of its end",
            |fixture| {
                fixture.text("loaded/alertmanager.json", |text| {
                    text.replacen("send_resolved: true", "send_resolved: false", 1)
                })
            },
            &["config/alertmanager"],
        ),
    ]);
}

/// The loaded rule of a name.
fn rule<'a>(answer: &'a mut Value, name: &str) -> &'a mut Value {
    let groups = answer["data"]["groups"].as_array_mut().unwrap();
    let mut rules = groups.iter_mut().flat_map(|group| group["rules"].as_array_mut().unwrap());
    rules.find(|rule| rule["name"] == name).expect("it is loaded")
}

#[test]
fn rules_loaded_otherwise_than_written_are_found() {
    const RULES: &str = "loaded/rules.json";
    kill(&[
        (
            "another threshold",
            |fixture| {
                fixture.json(RULES, |answer| {
                    let query = &mut rule(answer, ALERT)["query"];
                    *query = query.as_str().unwrap().replace("0.05", "0.04").into();
                })
            },
            &["loaded"],
        ),
        (
            "a shorter `for`",
            |fixture| fixture.json(RULES, |answer| rule(answer, ALERT)["duration"] = json!(2)),
            &["loaded"],
        ),
        (
            "`for` at production speed",
            |fixture| fixture.json(RULES, |answer| rule(answer, ALERT)["duration"] = json!(120)),
            &["loaded"],
        ),
        (
            "another severity",
            |fixture| fixture.json(RULES, |answer| rule(answer, ALERT)["labels"]["severity"] = json!("info")),
            &["loaded"],
        ),
        (
            "a group too few",
            |fixture| fixture.json(RULES, |answer| drop(answer["data"]["groups"].as_array_mut().unwrap().pop())),
            &["loaded"],
        ),
        (
            "a rule too many",
            |fixture| {
                fixture.json(RULES, |answer| {
                    let rules = answer["data"]["groups"][0]["rules"].as_array_mut().unwrap();
                    rules.push(rules[0].clone());
                })
            },
            &["loaded"],
        ),
        (
            "a slower evaluation",
            |fixture| fixture.json(RULES, |answer| answer["data"]["groups"][0]["interval"] = json!(1)),
            &["loaded"],
        ),
    ]);
}

/// Where the sound alert's times lie.
fn sound() -> Life {
    WITH_ERRORS.lives[ALERT]
}

pub(crate) fn fault() -> (i64, i64) {
    let phase = &WITH_ERRORS.run.phases[1];
    (phase.start_ms, phase.end_ms)
}

/// The first evaluation not before a time.
pub(crate) fn evaluation_at(at: i64) -> i64 {
    world::evaluations(at, at + 2 * INTERVAL).next().unwrap()
}

const PENDING: &str = "alert-pending/AppHigh5xxErrorRate";
const FIRES: &str = "alert-fires/AppHigh5xxErrorRate";
const NOTIFIED: &str = "alert-notified/AppHigh5xxErrorRate";
const RESOLVES: &str = "alert-resolves/AppHigh5xxErrorRate";
const RESOLVED_NOTIFIED: &str = "alert-resolved-notified/AppHigh5xxErrorRate";

#[test]
fn an_alert_that_does_not_live_as_it_must_is_found() {
    let cases: &[Lived] = &[
        ("never active", |life| *life = Life::default(), &[PENDING, FIRES, NOTIFIED, RESOLVES, RESOLVED_NOTIFIED]),
        (
            "pending and never firing",
            |life| *life = Life { pending: life.pending, ..Life::default() },
            &[FIRES, NOTIFIED, RESOLVES, RESOLVED_NOTIFIED],
        ),
        ("pending before the fault", |life| life.pending = Some(evaluation_at(fault().0 - 2 * INTERVAL)), &[PENDING]),
        (
            "firing before its `for` has passed",
            |life| life.firing = life.firing.map(|firing| firing - INTERVAL),
            &[FIRES],
        ),
        (
            "firing before its `for`, counted from the fault",
            |life| {
                life.pending = Some(evaluation_at(fault().0 + 100));
                life.firing = Some(evaluation_at(fault().0 + 3000));
                life.notified = Some(evaluation_at(fault().0 + 3500));
            },
            &[FIRES],
        ),
        (
            "firing later than promised, while the fault lasts",
            |life| {
                life.firing = Some(evaluation_at(fault().0 + 16_200));
                life.notified = life.firing.map(|firing| firing + 510);
            },
            &[FIRES],
        ),
        (
            "firing when the fault is over",
            |life| {
                life.firing = Some(evaluation_at(fault().1 + 100));
                life.notified = life.firing.map(|firing| firing + 510);
            },
            &[FIRES],
        ),
        ("nobody told", |life| life.notified = None, &[NOTIFIED]),
        ("told before it fired", |life| life.notified = life.firing.map(|firing| firing - 100), &[NOTIFIED]),
        ("told late", |life| life.notified = life.firing.map(|firing| firing + 3100), &[NOTIFIED]),
        (
            "never resolved",
            |life| (life.last, life.told_resolved) = (Some(WITH_ERRORS.run.end_ms), None),
            &[RESOLVES, RESOLVED_NOTIFIED],
        ),
        (
            "resolved while the fault lasts",
            |life| {
                life.last = Some(evaluation_at(fault().1 - 4 * INTERVAL));
                life.told_resolved = life.last.map(|last| last + 1200);
            },
            &[RESOLVES],
        ),
        (
            "resolved late",
            |life| {
                // 11m of them it is kept.
                life.last = Some(evaluation_at(fault().1 + 9_800 + 22_000));
                life.told_resolved = life.last.map(|last| last + INTERVAL + 100);
            },
            &[RESOLVES],
        ),
        ("nobody told that it is resolved", |life| life.told_resolved = None, &[RESOLVED_NOTIFIED]),
        (
            "told resolved before it was",
            |life| life.told_resolved = life.last.map(|last| last - 100),
            &[RESOLVED_NOTIFIED],
        ),
    ];
    for (what, change, claims) in cases {
        let fixture = Fixture::with_errors().alert_lived(change);
        let fired = fixture.experiment().run.pictures.len() == 3;
        if fired {
            fixture.judged().fails_exactly(what, claims);
        } else {
            // What never fired can't be pictured, which is no failure of the pictures.
            let judged = fixture.judged();
            for claim in [PENDING, FIRES, NOTIFIED, RESOLVES, RESOLVED_NOTIFIED] {
                let fails = matches!(judged.of(claim).verdict, Verdict::Fails(_));
                assert_eq!(fails, claims.contains(&claim), "{what}: {}", judged.whys());
            }
        }
    }
}

#[test]
fn firing_within_the_promise_but_after_the_fault_is_no_proof() {
    let long = ERROR_RATE.replace("within = \"8m\"", "within = \"8m30s\"");
    let mut world = World::new("02-error-rate", &long, |_| {});
    // The fault ends at the very evaluation at which the alert fires, and less after its begin than was promised.
    let at = evaluation_at(world.run.phases[1].end_ms - INTERVAL);
    world.run.phases[1].end_ms = at;
    let life = world.lives.get_mut(ALERT).unwrap();
    (life.firing, life.notified) = (Some(at), Some(at + 510));
    world.run.pictures = world::pictures(ALERT, at + 60);
    let judged = Fixture::of("error-rate", &world.files()).judged();
    let why = judged.of(FIRES).verdict.why();
    assert_eq!(why, "it fired only when the fault was over", "{}", judged.whys());
}

#[test]
fn rules_that_allow_a_later_alert_than_the_scenario_promises_are_found_even_when_it_was_in_time() {
    // The repository's rules allow 7.2 s at this speed, and this time it took less than 7.
    let hasty = ERROR_RATE.replace("within = \"8m\"", "within = \"3m30s\"");
    let fixture = Fixture::of("error-rate", &World::new("02-error-rate", &hasty, |_| {}).files());
    let judged = fixture.judged();
    judged.fails_exactly("a promise the rules can't keep", &["scenario", FIRES]);
    assert!(judged.of(FIRES).verdict.why().contains("allows it to fire as late as"), "{}", judged.whys());
}

#[test]
fn an_expected_alert_that_no_rule_defines_fails() {
    let text = ERROR_RATE.replace("fires = [", "fires = [\"AppOnFire\", ");
    let fixture = Fixture::with_errors().text("scenario.toml", |_| text);
    fixture.judged().fails_exactly("an alert without a rule", &["scenario", "alert-fires/AppOnFire"]);
}

#[test]
fn an_alert_nobody_expects_is_found_by_its_samples_or_by_its_notification() {
    let firing = |state: &'static str| {
        move |all: &mut Vec<Value>| {
            let mut series = all[0].clone();
            series["metric"]["alertname"] = json!("AppDown");
            series["metric"]["alertstate"] = json!(state);
            series["values"].as_array_mut().unwrap().truncate(1);
            all.push(series);
        }
    };
    let quiet = "alert-quiet/AppDown";
    Fixture::with_errors().series("alerts", firing("firing")).judged().fails_exactly("fired once", &[quiet]);
    Fixture::silent().series("alerts", firing("firing")).judged().fails_exactly("fired once, in silence", &[quiet]);
    Fixture::with_errors().series("alerts", firing("pending")).judged().fails_exactly("pending only", &[]);
    let told = Fixture::with_errors().lines("notifications.jsonl", |lines| {
        lines.push(lines[0].replace("Watchdog", "AppDown"));
    });
    told.judged().fails_exactly("told only", &[quiet]);
}

#[test]
fn a_watchdog_with_gaps_or_without_a_voice_is_found() {
    kill(&[
        (
            "evaluations missing",
            |fixture| {
                fixture.series("alerts", |all| {
                    let watchdog = all.iter_mut().find(|series| has(series, &[("alertname", "Watchdog")])).unwrap();
                    watchdog["values"].as_array_mut().unwrap().drain(10..15);
                })
            },
            &["watchdog"],
        ),
        (
            "no notification of it",
            |fixture| fixture.lines("notifications.jsonl", |lines| lines.retain(|line| !line.contains("Watchdog"))),
            &["watchdog"],
        ),
    ]);
}

/// Every value that a panel was answered, changed.
fn answered(fixture: Fixture, file: &str, change: impl Fn(f64) -> f64) -> Fixture {
    fixture.json(file, |kept| {
        for series in kept["answer"]["data"]["result"].as_array_mut().unwrap() {
            let instant = series["value"].is_array();
            let samples: Vec<&mut Value> = if instant {
                vec![&mut series["value"]]
            } else {
                series["values"].as_array_mut().unwrap().iter_mut().collect()
            };
            for sample in samples {
                let value: f64 = sample[1].as_str().unwrap().parse().unwrap();
                sample[1] = change(value).to_string().into();
            }
        }
    })
}

#[test]
fn a_panel_that_shows_a_third_more_or_less_is_found_whatever_it_measures() {
    for panel in 1..=5 {
        let kind = if panel == 4 { "-instant" } else { "" };
        let file = format!("panels/app-overview-{panel}-A{kind}.json");
        let claim = format!("panel-shows/app-overview/{panel}");
        for factor in [0.7, 1.3] {
            let fixture = answered(Fixture::with_errors(), &file, |value| value * factor);
            fixture.judged().fails_exactly(&format!("panel {panel} times {factor}"), &[&claim]);
        }
        let fixture = answered(Fixture::with_errors(), &file, |_| f64::NAN);
        fixture.judged().fails_exactly(&format!("panel {panel} shows no number"), &[&claim]);
        let fixture = answered(Fixture::with_errors(), &file, |value| value * 1.02);
        fixture.judged().fails_exactly(&format!("panel {panel} two hundredths off"), &[]);
    }
}

#[test]
fn a_panel_that_is_not_answered_is_found() {
    const FILE: &str = "panels/app-overview-3-A.json";
    const BOTH: &[&str] = &["panel-answers/app-overview/3", "panel-shows/app-overview/3"];
    kill(&[
        (
            "refused",
            |fixture| {
                fixture.json(FILE, |kept| {
                    kept["answer"] = json!({"status": "error", "errorType": "bad_data", "error": "parse error"});
                })
            },
            BOTH,
        ),
        (
            "no answer of Prometheus",
            |fixture| fixture.json(FILE, |kept| kept["answer"] = json!("404 page not found")),
            BOTH,
        ),
        ("never asked", |fixture| fixture.without(FILE), BOTH),
        (
            "answered with nothing",
            |fixture| fixture.json(FILE, |kept| kept["answer"]["data"]["result"] = json!([])),
            &["panel-shows/app-overview/3"],
        ),
        (
            "asked without a window",
            |fixture| fixture.json(FILE, |kept| kept["plan"]["expr"] = json!("vector(0.3)")),
            &["panel-shows/app-overview/3"],
        ),
    ]);
}

#[test]
fn a_picture_that_is_none_is_found() {
    const GRAPH: &str = "screens/AppHigh5xxErrorRate-graph.png";
    const CLAIM: &[&str] = &["pictured-graph/AppHigh5xxErrorRate"];
    kill(&[
        (
            "taken before it fired",
            |fixture| fixture.run(|run| run.pictures[2].taken_ms = sound().firing.unwrap() - 1),
            CLAIM,
        ),
        ("no file", |fixture| fixture.without(GRAPH), CLAIM),
        (
            "no picture in the file",
            |fixture| fixture.text("run.json", |text| text.replace("-graph.png", "-../run.json")),
            CLAIM,
        ),
    ]);
}

#[test]
fn a_picture_that_was_not_taken_leaves_its_claim_open_and_says_why() {
    let all: Vec<String> = ["targets", "alerts", "graph"].map(|page| format!("pictured-{page}/{ALERT}")).into();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let fixture = Fixture::with_errors().run(|run| {
        run.pictures.clear();
        run.missing_pictures = world::missing_pictures(ALERT, "Chromium is not on PATH");
    });
    fixture.judged().leaves_open(&all, "Chromium is not on PATH");
    // One that is late costs itself, and its reason is its own.
    let fixture = Fixture::with_errors().run(|run| {
        run.pictures.retain(|picture| picture.page != "graph");
        run.missing_pictures = world::missing_pictures(ALERT, "the graph came late");
        run.missing_pictures.retain(|missing| missing.page == "graph");
    });
    fixture.judged().leaves_open(&["pictured-graph/AppHigh5xxErrorRate"], "the graph came late");
    let fixture = Fixture::with_errors().run(|run| drop(run.pictures.pop()));
    fixture.judged().leaves_open(&["pictured-graph/AppHigh5xxErrorRate"], "nothing tells what became of it");
    // A browser that is slow on a busy machine is no fault of the monitoring's.
    let fixture = Fixture::with_errors().run(|run| run.pictures[2].taken_ms = sound().last.unwrap() + 2 * INTERVAL);
    fixture.judged().leaves_open(&["pictured-graph/AppHigh5xxErrorRate"], "not taken while the alert fired");
}

/// While the tool waits for a notification that never comes nobody calls, and `AppTrafficDrop` says so.
#[test]
fn what_fires_when_the_scenario_is_over_is_not_its_doing() {
    let over = Fixture::with_errors().experiment().over_ms();
    let fires_at = |at: i64| {
        let evaluation = evaluation_at(at);
        let fixture = Fixture::with_errors().series("alerts", |all| {
            let mut series = all[0].clone();
            series["metric"]["alertname"] = json!("AppTrafficDrop");
            series["values"] = json!([[evaluation as f64 / 1000.0, "1"]]);
            all.push(series);
        });
        let told = fixture.lines("notifications.jsonl", |lines| {
            let mut told: Value = serde_json::from_str(&lines[0].replace("Watchdog", "AppTrafficDrop")).unwrap();
            told["received_ms"] = json!(evaluation + 20);
            lines.push(told.to_string());
        });
        told.judged()
    };
    assert!(over + INTERVAL < WITH_ERRORS.run.end_ms, "the window goes on for a while");
    fires_at(over + 1).fails_exactly("fired when all was over", &[]);
    fires_at(over - 2 * INTERVAL).fails_exactly("fired in time", &["alert-quiet/AppTrafficDrop"]);
}

/// Names of metrics that Prometheus never had.
fn never_had(fixture: Fixture, name: &str) -> Fixture {
    fixture.json("loaded/names.json", |names| names["data"].as_array_mut().unwrap().retain(|known| known != name))
}

#[test]
fn a_query_about_a_metric_that_never_was_is_not_answered_by_nothing() {
    const ERRORS: &str = "panels/app-overview-5-A.json";
    const SHOWS: &str = "panel-shows/app-overview/5";
    let nothing =
        |fixture: Fixture, file: &str| fixture.json(file, |kept| kept["answer"]["data"]["result"] = json!([]));
    let judged = nothing(Fixture::with_errors(), ERRORS).judged();
    judged.fails_exactly("no errors", &[SHOWS]);
    assert!(judged.of(SHOWS).verdict.why().contains("sum by (job) (rate(app_errors_total{job=~"), "{}", judged.whys());
    let judged = never_had(nothing(Fixture::with_errors(), ERRORS), "app_errors_total").judged();
    judged.fails_exactly("a metric renamed", &[SHOWS, "panel-answers/app-overview/5"]);
    let why = judged.of("panel-answers/app-overview/5").verdict.why();
    assert_eq!(why, "query A: Prometheus has no metric app_errors_total");
    // What another component counts only when it happens has not happened.
    let fixture = never_had(nothing(Fixture::with_errors(), "panels/logs-4-A.json"), "vector_component_errors_total");
    fixture.judged().leaves_open(&["panel-answers/logs/4"], "has no metric vector_component_errors_total");
    // What a rule records comes when there is something to record.
    let fixture =
        never_had(nothing(Fixture::with_errors(), "panels/slo-1-A-instant.json"), "job:app_error_budget:remaining30d");
    fixture.judged().fails_exactly("nothing to record yet", &[]);
    let judged = nothing(Fixture::with_errors().without("loaded/names.json"), ERRORS).judged();
    let why = judged.of("panel-answers/app-overview/5").verdict.why();
    assert!(why.contains("cannot read loaded/names.json"), "{}", judged.whys());
}

/// Seen at a load of 26 on two cores: a panel two requests off, and a claim that failed.
#[test]
fn a_panel_that_a_late_scrape_puts_off_disturbs_the_run() {
    let off = |fixture: Fixture| answered(fixture, "panels/app-overview-1-A.json", |value| value * 0.88);
    off(Fixture::with_errors()).judged().fails_exactly("an eighth off", &["panel-shows/app-overview/1"]);
    let slow = |fixture: Fixture| {
        fixture.series("scrape_duration", |all| {
            let samples = all.iter_mut().flat_map(|series| series["values"].as_array_mut().unwrap());
            samples.for_each(|sample| sample[1] = json!("0.3"));
        })
    };
    assert_eq!(slow(Fixture::with_errors()).disturbances(), []);
    let disturbances = off(slow(Fixture::with_errors())).disturbances();
    let [aiclipx_judge::validity::Disturbance::Noise(told)] = &disturbances[..] else { panic!("{disturbances:?}") };
    assert!(told.contains("points of panel app-overview/1 differ by no more than was late"), "{told}");
    // What no scrape explains fails, however late they are.
    let wrong = answered(slow(Fixture::with_errors()), "panels/app-overview-1-A.json", |value| value * 3.0);
    wrong.judged().fails_exactly("three times", &["panel-shows/app-overview/1"]);
}

#[test]
fn traffic_that_is_not_what_scenario_and_seed_give_rise_to_is_found() {
    // The whole world follows what the client did; only the schedule tells that it was not asked to.
    let cases: &[Sent] = &[
        ("the last request never scheduled", |ledger| {
            ledger.entries.pop();
            ledger.head.scheduled -= 1;
        }),
        ("another path", |ledger| ledger.entries[5].path = "/?elsewhere".to_owned()),
        ("another time", |ledger| ledger.entries[5].intended_us += 1),
        ("another phase", |ledger| ledger.entries[0].phase = "errors".to_owned()),
        ("a fault that was not asked for", |ledger| {
            let unfaulted = ledger.entries.iter().rposition(|entry| entry.fault.is_none()).unwrap();
            ledger.entries[unfaulted].fault = Some("delay=1ms".to_owned());
        }),
        ("another seed", |ledger| ledger.head.seed += 1),
        ("another schedule", |ledger| ledger.head.schedule_sha256 = "0".repeat(64)),
        ("another length", |ledger| ledger.head.length_us += 1_000_000),
    ];
    for (what, change) in cases {
        let world = World::new("02-error-rate", ERROR_RATE, change);
        Fixture::of("error-rate", &world.files()).judged().fails_exactly(what, &["schedule"]);
    }
}

#[test]
fn a_ledger_line_that_is_gone_is_no_ledger() {
    let fixture = Fixture::with_errors().lines("ledger.jsonl", |lines| drop(lines.remove(40)));
    let error = aiclipx_judge::experiment::Experiment::read(&fixture.folder).expect_err("it is not whole");
    assert!(format!("{error:#}").contains("ledger.jsonl:41"), "{error:#}");
}

#[test]
fn a_scenario_edited_after_the_run_is_found() {
    let fixture = Fixture::with_errors().text("scenario.toml", |text| text.replacen("rate = 40", "rate = 41", 1));
    fixture.judged().fails_exactly("another rate", &["scenario", "schedule"]);
}

#[test]
fn a_scenario_that_expects_less_than_the_trees_is_found() {
    let fixture = Fixture::with_errors().text("scenario.toml", |text| {
        text.replace("fires = [\"AppHigh5xxErrorRate\"]\n", "")
            .replace("within = \"8m\"\n", "")
            .replace("[\"AppHighExceptionRate\"]", "[\"AppHighExceptionRate\", \"AppHigh5xxErrorRate\"]")
    });
    fixture.judged().fails_exactly("nothing need fire", &["scenario"]);
}

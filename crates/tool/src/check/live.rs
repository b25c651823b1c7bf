//! What no file knows: whether a running stack answers every query of every panel and of every runbook with something, and
//! evaluates every rule. Meant for a stack under traffic: `just traffic 01` in another terminal.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;

use super::finding::{Finding, Findings};
use super::pasted;
use super::profile::{self, Profile, Whose};
use super::tree::{Tree, read_dashboards};
use aiclipx_base::address::Address;
use aiclipx_base::duration::Speed;
use aiclipx_dashboard::query::{self, PlannedQuery, QueryKind, TimeRange, View};
use aiclipx_model::failure::{Failure, tell};
use aiclipx_model::monitoring::{Monitoring, panel_query_at};
use aiclipx_model::prom::answer::{self, Series};
use aiclipx_model::service::Service;
use aiclipx_stack::prom::client::Api;
use aiclipx_stack::prom::source::{Question, Source};

/// What a dashboard shows by default, in production time.
const SHOWN: Duration = Duration::from_mins(15);
/// Pixels: Grafana's step depends on the width.
const WIDTH: u32 = 800;

/// Longer looks at a Grafana, whose steps grow with them.
const LONGER: [Duration; 3] = [Duration::from_mins(15), Duration::from_hours(1), Duration::from_hours(24)];
/// A panel's rate asks for a window of four scrapes: that many, and the one before.
const SCRAPES: u32 = 5;
/// Prometheus scrapes a new target some five seconds after its start, whatever the interval.
const FIRST_SCRAPE: Duration = Duration::from_secs(20);
/// How often we look while waiting.
const LOOK: Duration = Duration::from_millis(200);
/// A query over a day of a small stack takes milliseconds.
const LIMIT: Duration = Duration::from_secs(20);

/// Asks the Prometheus at an address, of a stack of that speed, for everything the dashboards of the tree at `root` show and
/// its runbooks ask; and a Grafana, where there is one, as its pages would ask it.
pub async fn check(
    root: &Path,
    prometheus: &Address,
    grafana: Option<&Address>,
    speed: Speed,
) -> Result<Vec<Finding>, Failure> {
    let monitoring = Monitoring::read(&root.join("monitoring"))?;
    let mut findings = Findings::default();
    let listed = Profile::read(&monitoring, Whose::tree(&monitoring), &mut findings);
    let mut dashboards = read_dashboards(&monitoring, &mut findings);
    for model in dashboards.iter_mut().filter_map(|dashboard| dashboard.model.as_mut()) {
        *model = model.at(speed).map_err(|refused| anyhow::anyhow!(refused.join("; ")))?;
    }
    let tree = Tree { monitoring, dashboards };
    let api = Api::new(prometheus);
    until_scraped(&api, speed.real(tree.monitoring.scrape_interval()).context("the scrape interval")?).await?;
    rules(&api, &tree, &mut findings).await?;
    let view = View {
        range: last(speed.real(SHOWN).context("the range shown")?)?,
        width: WIDTH,
        min_interval: tree.monitoring.panel_interval(speed).context("the panels' interval")?,
        chosen: &BTreeMap::new(),
    };
    let is_called = is_called(&api, tree.monitoring.service(), view.range).await?;
    let mut mute = panels(&api, &tree, &view, &listed, is_called, &mut findings).await?;
    mute += pages(&api, &tree, &listed, speed, is_called, &mut findings).await;
    if mute > 0 {
        let what = format!(
            "{mute} queries answer nothing, and nobody called the service in what they show, {}",
            in_words(view.range)?
        );
        findings.find("live/no-traffic", "monitoring", 0, what, "`just traffic 01`, and ask meanwhile");
    }
    if let Some(grafana) = grafana {
        for length in [view.range.length()].into_iter().chain(LONGER) {
            through(grafana, &tree, &View { range: last(length)?, ..view }, &mut findings).await?;
        }
    }
    let mut left = listed.leave(findings.0);
    left.append(&mut listed.idle_on_a_stack(grafana.is_some()).0);
    Ok(left)
}

/// Every query of every panel is answered, and with a value. With how many were not, of a service that nobody called.
async fn panels(
    api: &Api,
    tree: &Tree,
    view: &View<'_>,
    listed: &Profile,
    is_called: bool,
    findings: &mut Findings,
) -> anyhow::Result<usize> {
    let mut mute = 0;
    let drawn = tree.dashboards.iter().filter_map(|dashboard| Some((dashboard, dashboard.model.as_ref()?)));
    for (dashboard, model) in drawn {
        for panel in &model.panels {
            let name = format!("{}/{}", model.uid, panel.id);
            let targets = dashboard.panel(&panel.id.to_string()).map_or(&[][..], |node| node.items_of("targets"));
            for planned in query::plan(model, panel, view) {
                let empty = is_empty(api, &planned).await;
                let (title, shown) = (&panel.title, in_words(view.range)?);
                let what = format!("panel {name} \"{title}\", query {}, {shown}: {}", planned.ref_id, planned.expr);
                let target = targets.iter().find(|target| target.text_of("refId") == Some(&planned.ref_id));
                let line = target.map_or(0, |target| target.line_of("expr"));
                let asked = Asked { subject: &name, file: &dashboard.file, line, what };
                mute += asked.hold(["panel/empty", "panel/answer"], empty, listed, is_called, findings);
            }
        }
    }
    Ok(mute)
}

/// Waits until Prometheus has scraped every target so often that every rate of a panel is one. Before that a new stack would
/// answer nearly every query with nothing, and none of that would be wrong.
async fn until_scraped(api: &Api, scrape: Duration) -> Result<(), Failure> {
    let since = (scrape * SCRAPES * 4).as_millis();
    let (began, mut told) = (Instant::now(), false);
    loop {
        let targets = api.json("/api/v1/targets?state=active").await?;
        let targets = targets["data"]["activeTargets"].as_array().map_or(0, Vec::len);
        let series = api.query(&format!("count_over_time(up[{since}ms])"), None).await?.into_series();
        let often = |series: &&Series| series.samples.last().is_some_and(|last| last.value >= f64::from(SCRAPES));
        let scraped = series.iter().filter(often).count();
        if targets > 0 && scraped >= targets {
            return Ok(());
        }
        if began.elapsed() > FIRST_SCRAPE + scrape * SCRAPES * 2 {
            let what = format!("Prometheus has scraped {scraped} of {targets} targets {SCRAPES} times by now");
            return Err(Failure::infrastructure(what).remedy("see `just status`, and its page of targets"));
        }
        if !std::mem::replace(&mut told, true) {
            tell(&format!("  · waiting until Prometheus has scraped every target {SCRAPES} times"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether the service was called by somebody else than its watchers.
async fn is_called(api: &Api, service: &Service, range: TimeRange) -> anyhow::Result<bool> {
    let length = range.length().as_millis();
    // Of a service that counts nothing nobody can tell.
    let Some(requests) = &service.requests else { return Ok(true) };
    let internal: Vec<String> = service.internal.iter().map(|route| route.replace('*', ".*")).collect();
    let clients = requests.route.as_ref().map(|route| format!("{route}!~\"{}\"", internal.join("|")));
    let only = requests.only.iter().map(|(name, value)| format!("{name}={value:?}"));
    let labels: Vec<String> = only.chain(clients).collect();
    let calls = format!("sum(increase({}{{{}}}[{length}ms]))", requests.name, labels.join(","));
    #[allow(clippy::cast_precision_loss)] // milliseconds of this century lie far below 2^53
    let end = range.to_millis as f64 / 1000.0;
    let series = api.query(&calls, Some(end)).await?.into_series();
    Ok(series.iter().flat_map(|series| &series.samples).any(|sample| sample.value > 0.0))
}

/// Every panel's every query is answered through Grafana. Whether with something is what Prometheus tells.
async fn through(grafana: &Address, tree: &Tree, view: &View<'_>, findings: &mut Findings) -> Result<(), Failure> {
    for dashboard in &tree.dashboards {
        let Some(model) = &dashboard.model else { continue };
        for panel in model.panels.iter().filter(|panel| !panel.targets.is_empty()) {
            let line = dashboard.panel(&panel.id.to_string()).map_or(0, |node| node.line);
            let subject = format!("{}/{}", model.uid, panel.id);
            let name = format!("panel {subject} \"{}\"", panel.title);
            let source = match Source::find(grafana, panel.datasource.as_deref(), LIMIT).await {
                Ok(source) => source,
                Err(error) => {
                    findings.about(
                        "panel/grafana",
                        &subject,
                        &dashboard.file,
                        line,
                        format!("{name}: {error:#}"),
                        "what does Grafana's log say?",
                    );
                    continue;
                }
            };
            for planned in query::plan(model, panel, view) {
                let target = panel.targets.iter().find(|target| target.ref_id == planned.ref_id);
                let target = target.context("a query that no target asks for")?;
                let (instant, interval_ms) = match planned.kind {
                    QueryKind::Instant { .. } => (true, 1000),
                    QueryKind::Range { step_millis, .. } => (false, step_millis),
                };
                let question = Question {
                    template: &query::template(model, target, view),
                    filled_in: &planned.path_and_query,
                    instant,
                    range_ms: (view.range.from_millis, view.range.to_millis),
                    interval_ms,
                    points: view.width,
                };
                if let Err(error) = source.ask(&question, LIMIT).await {
                    let what = format!(
                        "{name}, query {}, through Grafana {}, {}: {error:#}",
                        planned.ref_id,
                        source.version,
                        in_words(view.range)?
                    );
                    findings.about("panel/grafana", &subject, &dashboard.file, line, what, "");
                }
            }
        }
    }
    Ok(())
}

/// Every rule is evaluated, and without an error.
async fn rules(api: &Api, tree: &Tree, findings: &mut Findings) -> Result<(), Failure> {
    let answer = api.json("/api/v1/rules").await?;
    let groups = answer["data"]["groups"].as_array().context("Prometheus' list of rule groups is no list")?;
    let loaded = || groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
    let alerts = tree.monitoring.alerts().iter().map(|alert| (&alert.name, &alert.file, alert.line));
    let recordings = tree.monitoring.recordings().iter().map(|rule| (&rule.name, &rule.file, rule.line));
    for (name, file, line) in recordings.chain(alerts) {
        match loaded().find(|rule| rule["name"] == name.as_str()) {
            None => findings.about(
                "rule/absent",
                name,
                file,
                line,
                format!("{name} is not loaded"),
                "start the stack anew: `just down`, `just up`",
            ),
            Some(rule) if rule["health"] == "err" => {
                findings.about(
                    "rule/health",
                    name,
                    file,
                    line,
                    format!("{name} can't be evaluated: {}", rule["lastError"]),
                    "",
                );
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Whether a query is answered with no sample that is a number.
async fn is_empty(api: &Api, planned: &PlannedQuery) -> anyhow::Result<bool> {
    Ok(!has_a_number(&answer::parse(&api.get(&planned.path_and_query).await?)?.data.into_series()))
}

fn has_a_number(answer: &[Series]) -> bool {
    answer.iter().flat_map(|series| &series.samples).any(|sample| sample.value.is_finite())
}

/// What a runbook has one paste is answered, and with a value. With how many were not, of a service that nobody called.
async fn pages(
    api: &Api,
    tree: &Tree,
    listed: &Profile,
    speed: Speed,
    is_called: bool,
    findings: &mut Findings,
) -> usize {
    let mut mute = 0;
    for query in pasted::queries(&tree.monitoring) {
        let empty = is_empty_now(api, &query.expr, speed).await;
        let what = format!("the query {} of the runbook {}", query.expr, query.page);
        let asked = Asked { subject: &query.expr, file: &query.file, line: query.line, what };
        mute += asked.hold(["runbook/empty", "runbook/answer"], empty, listed, is_called, findings);
    }
    mute
}

/// What was asked.
struct Asked<'a> {
    subject: &'a str,
    file: &'a Path,
    line: usize,
    what: String,
}

impl Asked<'_> {
    /// Whether it was answered: with nothing (the first name), or with an error (the second). 1 where that is since nobody
    /// called the service, which is one thing to know and not one for every query.
    fn hold(
        self,
        [empty, error]: [&'static str; 2],
        is_empty: anyhow::Result<bool>,
        listed: &Profile,
        is_called: bool,
        findings: &mut Findings,
    ) -> usize {
        let (name, answer) = match is_empty {
            Ok(false) => return 0,
            Ok(true) => (empty, "nothing".to_owned()),
            Err(failed) => (error, format!("{failed:#}")),
        };
        let remedy = format!("is there traffic? what may be empty stands in monitoring/{}", profile::FILE);
        let mut found = Findings::default();
        found.about(name, self.subject, self.file, self.line, format!("{} answers {answer}", self.what), remedy);
        let left = listed.leave(found.0);
        if name == empty && !is_called {
            return left.len();
        }
        findings.0.extend(left);
        0
    }
}

/// Whether this, divided as the stack's rules are, is answered with no sample that is a number.
async fn is_empty_now(api: &Api, expr: &str, speed: Speed) -> anyhow::Result<bool> {
    let expr = panel_query_at(expr, speed).map_err(|refused| anyhow::Error::msg(refused.join("; ")))?;
    Ok(!has_a_number(&api.query(&expr, None).await?.into_series()))
}

/// The time until now.
fn last(length: Duration) -> anyhow::Result<TimeRange> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock")?;
    let millis = |time: Duration| i64::try_from(time.as_millis()).context("the clock");
    Ok(TimeRange { from_millis: millis(now.saturating_sub(length))?, to_millis: millis(now)? })
}

fn in_words(range: TimeRange) -> anyhow::Result<String> {
    let moment = |millis| jiff::Timestamp::from_millisecond(millis).context("the clock");
    let (from, to) = (moment(range.from_millis)?, moment(range.to_millis)?);
    Ok(format!("{} to {} UTC", from.strftime("%H:%M:%S"), to.strftime("%H:%M:%S")))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use aiclipx_judge::tree::copy_folder;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    /// How often a stand-in was asked.
    #[derive(Default)]
    struct Looks {
        /// For its scrapes.
        scrapes: AtomicU32,
        /// For a value that it knows.
        values: AtomicU32,
        /// As Grafana is.
        grafana: AtomicU32,
    }

    /// The whole of a request.
    fn request(stream: &mut TcpStream) -> String {
        let (mut read, mut part) = (Vec::new(), [0; 8192]);
        loop {
            let taken = stream.read(&mut part).unwrap_or(0);
            read.extend(&part[..taken]);
            let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
            let length = text.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
            let is_whole = text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length.unwrap_or(0));
            if is_whole || taken == 0 {
                return String::from_utf8_lossy(&read).into_owned();
            }
        }
    }

    /// A Prometheus of two targets that has loaded the tree's rules, has scraped once more with every look, and has nothing to
    /// show but so many calls of the service; one query it refuses, and one it knows. A Grafana that answers everything, too.
    fn stand_in(calls: u32, refused: &'static str, known: &'static str) -> (Address, Arc<Looks>) {
        let monitoring = Monitoring::read(&root().join("monitoring")).unwrap_or_else(|failure| panic!("{failure}"));
        let alerts = monitoring.alerts().iter().map(|alert| alert.name.clone());
        let names: Vec<String> = alerts.chain(monitoring.recordings().iter().map(|rule| rule.name.clone())).collect();
        let rules: Vec<_> = names.iter().map(|name| serde_json::json!({"name": name, "health": "ok"})).collect();
        let vector = |values: &[u32]| {
            let series = |value| serde_json::json!({"metric": {}, "value": [1.0, format!("{value}")]});
            let series: Vec<_> = values.iter().map(series).collect();
            serde_json::json!({"resultType": "vector", "result": series})
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = Address::loopback(listener.local_addr().expect("an address").port());
        let looks = Arc::new(Looks::default());
        let counted = Arc::clone(&looks);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let request = request(&mut stream);
                let path = request.split(' ').nth(1).unwrap_or_default();
                let data = if path.starts_with("/api/v1/targets") {
                    serde_json::json!({"activeTargets": [{}, {}]})
                } else if path == "/api/v1/rules" {
                    serde_json::json!({"groups": [{"rules": rules}]})
                } else if path.contains("count_over_time%28up") {
                    let scrapes = counted.scrapes.fetch_add(1, Ordering::Relaxed) + 1;
                    vector(&[scrapes + 3, scrapes])
                } else if path.contains("query=sum%28increase%28app_requests_total") {
                    vector(&[calls])
                } else if path.starts_with(known) {
                    counted.values.fetch_add(1, Ordering::Relaxed);
                    vector(&[1])
                } else {
                    vector(&[])
                };
                let status = if path.starts_with(refused) { "error" } else { "success" };
                let mut body = serde_json::json!({"status": status, "error": "no", "data": data});
                if path == "/api/frontend/settings" {
                    let source = serde_json::json!({"type": "prometheus", "uid": "prometheus", "id": 1});
                    body = serde_json::json!({"buildInfo": {"version": "13.0.7"}, "datasources": {"one": source}});
                } else if path == "/api/ds/query" {
                    counted.grafana.fetch_add(1, Ordering::Relaxed);
                    let frame = serde_json::json!({"schema": {"fields": []}, "data": {"values": [[1], [1]]}});
                    body = serde_json::json!({"results": {"A": {"status": 200, "frames": [frame]}}});
                }
                let body = body.to_string();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all((head + &body).as_bytes());
            }
        });
        (address, looks)
    }

    async fn found_of(root: &Path, prometheus: &Address, grafana: Option<&Address>) -> Vec<Finding> {
        let speed = "30".parse().expect("a speed");
        check(root, prometheus, grafana, speed).await.unwrap_or_else(|failure| panic!("{failure}"))
    }

    async fn found(calls: u32, refused: &'static str, known: &'static str) -> (Vec<Finding>, u32) {
        let (address, looks) = stand_in(calls, refused, known);
        let findings = found_of(root(), &address, None).await;
        (findings, looks.scrapes.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn of_a_stack_that_answers_everything_nothing_is_found() {
        let (address, looks) = stand_in(1, "-", "/api/v1/query");
        assert_eq!(found_of(root(), &address, Some(&address)).await, []);
        let [values, grafana] = [&looks.values, &looks.grafana].map(|asked| asked.load(Ordering::Relaxed));
        assert!(values > 100 && grafana > 4 * 50, "{values} of Prometheus, {grafana} of Grafana");
    }

    /// What may be empty depends on what runs, and its entries stay; an error depends on nothing but what is asked.
    #[tokio::test]
    async fn an_entry_for_an_error_that_a_stack_does_not_show_is_idle() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy_folder(&root().join("monitoring"), &folder.path().join("monitoring")).expect("a copy");
        let list = folder.path().join("monitoring").join(profile::FILE);
        let mut text = std::fs::read_to_string(&list).expect("a list");
        let line = text.lines().count() + 2;
        text += "[\"panel/answer\"]\n\"app-overview/1\" = \"Refused once.\"\n";
        text += "[\"panel/grafana\"]\nslo = \"Grafana did not know it.\"\n";
        std::fs::write(&list, text).expect("it is written");
        let idle = |findings: &[Finding]| -> Vec<(usize, &'static str)> {
            findings.iter().map(|finding| (finding.line, finding.name)).collect()
        };
        let (well, _) = stand_in(1, "-", "/api/v1/query");
        // Nobody asked a Grafana.
        assert_eq!(idle(&found_of(folder.path(), &well, None).await), [(line, "exception/idle")]);
        let both = [(line, "exception/idle"), (line + 2, "exception/idle")];
        assert_eq!(idle(&found_of(folder.path(), &well, Some(&well)).await), both);
        let (ill, _) = stand_in(1, "/api/v1/query_range", "/api/v1/query");
        let findings = found_of(folder.path(), &ill, None).await;
        assert!(findings.iter().all(|finding| finding.name != "exception/idle"), "{findings:#?}");
    }

    #[tokio::test]
    async fn a_stack_that_nobody_has_called_yet_is_one_finding_once_it_is_scraped() {
        let (findings, looks) = found(0, "-", "-").await;
        assert_eq!(looks, SCRAPES, "it was waited for the last target");
        let [finding] = &findings[..] else { panic!("{findings:#?}") };
        assert!(finding.what.contains("queries answer nothing, and nobody called the service"), "{finding}");
    }

    #[tokio::test]
    async fn a_panel_that_shows_nothing_of_a_service_that_is_called_is_a_finding_of_its_own() {
        let (findings, _) = found(1, "-", "-").await;
        assert!(findings.len() > 20, "{findings:#?}");
        assert!(findings.iter().all(|finding| finding.what.ends_with("answers nothing")), "{findings:#?}");
    }

    #[tokio::test]
    async fn every_query_of_a_runbook_is_answered_divided_and_has_a_value_unless_it_is_excepted() {
        // At speed 30 five minutes are ten seconds.
        let known = "/api/v1/query?query=avg_over_time%28up%7Bjob%3D~%22app%28-.%2B%29%3F%22%7D%5B10s%5D%29";
        let (findings, _) = found(1, "/api/v1/query?query=app_build_info", known).await;
        let at = |page: &str, expr: &str| {
            let is_it = |finding: &&Finding| {
                finding.file.ends_with(page) && finding.what.contains(&format!("query {expr} of")) && finding.line > 0
            };
            findings.iter().find(is_it).map(|finding| finding.what.rsplit("answers ").next().unwrap_or_default())
        };
        assert_eq!(at("AppDown.md", "up{job=~\"app(-.+)?\"}"), Some("nothing"));
        assert!(at("AppDown.md", "app_build_info").is_some_and(|told| told.contains("no")), "{findings:#?}");
        assert_eq!(at("AppInstanceDown.md", "avg_over_time(up{job=~\"app(-.+)?\"}[5m])"), None);
        // On the list: by itself, and by its page.
        assert_eq!(at("AppTargetMissing.md", "absent(up{job=\"app\"})"), None);
        assert_eq!(at("MonitoringLogsNotShipped.md", "vector_buffer_size_bytes"), None);
    }
}

//! Lives one scene: starts the two programs, sends the test's samples, waits its time, and keeps what was recorded.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::feed;
use super::ground::Ground;
use super::promptly;
use crate::events::{Doing, STILL_AT_IT};
use crate::surroundings::now_ms;
use aiclipx_base::address::Address;
use aiclipx_http::client;
use aiclipx_judge::drill::bundle::lay_out;
use aiclipx_judge::drill::course::as_told;
use aiclipx_judge::drill::layout::{
    ALERTMANAGER, ALERTS, AMTOOL, LOADED, NOTIFICATIONS, PROMETHEUS, RECORDED, RULES, RUN, SENT, STATES,
};
use aiclipx_judge::drill::outcome::SCHEMA;
use aiclipx_judge::drill::plan::Scene;
use aiclipx_judge::drill::record::{Amtool, Notification, Run};
use aiclipx_judge::files::{write, write_json};
use aiclipx_model::drill::grid::{self, VARIANTS};
use aiclipx_model::drill::reading::Texts;
use aiclipx_model::drill::rules::Rule;
use aiclipx_model::drill::scene::{self, EVALUATED, Number, Sent, Stretch, millis};
use aiclipx_model::failure::{Failure, temporary_folder};
use aiclipx_model::monitoring::promql;
use aiclipx_model::prom::answer::percent_encoded;
use aiclipx_stack::pair::{Pair, Places, asked};
use aiclipx_stack::prom::client::Api;
use aiclipx_stack::receiver;

/// From the choice of the moment to the first evaluation: samples are sent meanwhile, and what was recorded of history is computed.
const LEAD_MS: i64 = 1_500;
/// How long a machine may take for that where it was too slow at first.
const LONGER_LEAD_MS: i64 = 10_000;
/// Prometheus looks for Alertmanagers every five seconds.
const DISCOVERY_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Points of one answer: Prometheus gives 11,000.
const MOST_POINTS: i64 = 10_000;
const LIMIT: Duration = Duration::from_secs(20);
/// Connections to the receiver: one for each group that is told at once. Each has a buffer of some kilobytes and a descriptor, of
/// which a process has a thousand at least; more are told of as late.
const GROUPS: usize = 512;
/// A day in silence raises no alarm: a drill has no Watchdog.
const PATIENCE: Duration = Duration::from_hours(24);

/// Lives a scene, and leaves its folder.
pub(super) async fn live(
    ground: &Ground,
    scene: &Scene,
    folder: &Path,
    takes_its_time: bool,
    say: &(dyn Fn(Doing) + Send + Sync),
) -> Result<(), Failure> {
    let place = temporary_folder()?;
    let rules = ground.given.rules_of(&ground.given.tests[scene.file]);
    let listener = TcpListener::bind("127.0.0.1:0").await.context("no free port on loopback")?;
    let receiver = Address::loopback(listener.local_addr().context("the receiver's own address")?.port());
    let places = Places::free()?;
    let kept = place.path().join(NOTIFICATIONS);
    let alertmanager = places.alertmanager.clone();
    lay_out(&ground.given, place.path())?;
    let (stop, stopped) = oneshot::channel::<()>();
    let receiving = {
        let kept = kept.clone();
        tokio::spawn(async move {
            receiver::run(listener, &kept, PATIENCE, Vec::new(), GROUPS, async { drop(stopped.await) }).await
        })
    };
    say(Doing::StartingAStack);
    let flags = scene::prometheus_arguments(scene.group(&ground.given), &scene.stretch);
    let began_ms = now_ms();
    let setting =
        Setting { ground, scene, rules: &rules, state: place.path(), folder, places, receiver: &receiver, flags };
    let lived = async {
        let (mut pair, group) = setting.on_the_grid().await?;
        let lived = lived(ground, scene, &rules, &mut pair, folder, takes_its_time, say);
        let (lived, stalls) = promptly::watched(&alertmanager, Box::pin(ground.interrupt.or(lived))).await;
        // Until they are gone they write where nothing may be left.
        pair.stop().await;
        lived.map(|(origin_ms, found)| (group, origin_ms, found.into_iter().chain(stalls).collect()))
    };
    let lived = lived.await;
    let _ = stop.send(());
    let heard = receiving.await.context("the receiver")?;
    let (group, origin_ms, disturbances) = lived?;
    heard?;
    let told = std::fs::read_to_string(&kept).unwrap_or_default();
    write(&folder.join(NOTIFICATIONS), told.as_bytes())?;
    let run = Run {
        schema: SCHEMA,
        stretch: scene.stretch,
        group,
        origin_ms,
        began_ms,
        ended_ms: now_ms(),
        alertmanager,
        receiver,
        disturbances,
    };
    let amtool = ground.interrupt.or(async { Ok(asked_of_amtool(ground, scene, &told).await?) }).await?;
    write_json(&folder.join(AMTOOL), &amtool)?;
    // Last: a folder without it is none of a scene.
    write_json(&folder.join(RUN), &run)?;
    Ok(())
}

/// Where a scene is lived, before it begins.
struct Setting<'a> {
    ground: &'a Ground,
    scene: &'a Scene,
    rules: &'a [Rule],
    state: &'a Path,
    folder: &'a Path,
    places: Places,
    receiver: &'a Address,
    flags: Vec<String>,
}

impl Setting<'_> {
    /// Both programs, with the rules in a group of that name.
    async fn start(&self, group: &str) -> Result<Pair, Failure> {
        for (name, text) in files(self.ground, self.scene, self.rules, group, &self.places.alertmanager, self.receiver)?
        {
            write(&self.state.join(name), text.as_bytes())?;
            write(&self.folder.join(name), text.as_bytes())?;
        }
        are_accepted(self.ground, self.scene, &self.state.join(RULES)).await?;
        Ok(Pair::start(&self.ground.programs, self.places.clone(), self.state, &self.flags)?)
    }

    /// When it evaluates, once it is ready.
    async fn evaluates(&self, pair: &mut Pair) -> Result<i64, Failure> {
        pair.ready().await?;
        let prometheus = Api::new(&pair.places.prometheus);
        evaluated(pair, &prometheus, &self.scene.stretch).await
    }

    /// A Prometheus whose evaluations come at whole multiples of their interval, and the name of the group that makes it so: of
    /// the names for each way of hashing, the first that does. Where none does, subqueries see other points than the test's.
    async fn on_the_grid(&self) -> Result<(Pair, String), Failure> {
        let stretch = &self.scene.stretch;
        let step_ms = stretch.real_ms(stretch.step_ms);
        let first = self.ground.hashing.load(Ordering::Relaxed);
        for way in (0..VARIANTS).map(|way| (first + way) % VARIANTS) {
            let group = grid::name(RULES, step_ms, way);
            let mut pair = self.start(&group).await?;
            let evaluated_ms = self.ground.interrupt.or(self.evaluates(&mut pair)).await;
            let is_last = way == (first + VARIANTS - 1) % VARIANTS;
            match evaluated_ms {
                Ok(at) if at.rem_euclid(step_ms) == 0 || is_last => {
                    self.ground.hashing.store(way, Ordering::Relaxed);
                    return Ok((pair, group));
                }
                Ok(_) => pair.stop().await,
                Err(failure) => {
                    pair.stop().await;
                    return Err(failure);
                }
            }
        }
        Err(Failure::infrastructure("Prometheus hashes labels in no way that is known"))
    }
}

/// The three files that are loaded.
fn files(
    ground: &Ground,
    scene: &Scene,
    rules: &[Rule],
    group: &str,
    alertmanager: &Address,
    receiver: &Address,
) -> Result<[(&'static str, String); 3], Failure> {
    let refused = |why: Vec<String>| Failure::usage(why.join("; "));
    let templates: Vec<String> = ground.given.templates().iter().map(|path| path.display().to_string()).collect();
    let speed = scene.stretch.speed;
    Ok([
        (RULES, scene::rules_file(rules, &scene.stretch, group)),
        (PROMETHEUS, scene::prometheus_file(scene.group(&ground.given), &scene.stretch, RULES, alertmanager)),
        (ALERTMANAGER, ground.given.configuration.lived(speed, receiver, &templates).map_err(refused)?),
    ])
}

/// Rules that Prometheus would refuse are told as promtool tells it, and not by a Prometheus that does not start.
async fn are_accepted(ground: &Ground, scene: &Scene, rules: &Path) -> Result<(), Failure> {
    let arguments = ["check".to_owned(), "rules".to_owned(), rules.to_string_lossy().into_owned()];
    let (is_content, out, err) = asked(&ground.programs.promtool.path, &arguments, LIMIT).await?;
    if is_content {
        return Ok(());
    }
    let here = format!("{}/", rules.parent().unwrap_or(rules).display());
    let said = [out, err].join("\n").replace(&here, "");
    let said = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    Err(Failure::usage(format!("{}: Prometheus refuses the rules: {said}", scene.place(&ground.given))))
}

/// All that happens while both programs run; when the test's time was zero, and what went wrong on the way.
async fn lived(
    ground: &Ground,
    scene: &Scene,
    rules: &[Rule],
    pair: &mut Pair,
    folder: &Path,
    takes_its_time: bool,
    say: &(dyn Fn(Doing) + Send + Sync),
) -> Result<(i64, Vec<String>), Failure> {
    let stretch = &scene.stretch;
    let prometheus = Api::new(&pair.places.prometheus);
    connected(pair, &prometheus).await?;
    let evaluated_ms = evaluated(pair, &prometheus, stretch).await?;
    let alerts = scene.alerts.iter().map(String::as_str).collect();
    let period_ms = grid::period(rules, &alerts, stretch).map_err(Failure::usage)?;
    let step_ms = stretch.real_ms(stretch.step_ms);
    let lead = if takes_its_time { LONGER_LEAD_MS } else { LEAD_MS };
    let soonest = now_ms() + lead;
    // The test's time is laid on the moments at which Prometheus evaluates, and begins at one that suits every subquery.
    let phase = evaluated_ms.rem_euclid(step_ms);
    let begins = stretch.real_ms(stretch.begins_ms);
    let origin_ms = phase + (soonest - begins - phase).div_euclid(period_ms) * period_ms + period_ms;
    let begins = origin_ms + begins;
    let sent = scene::sent(scene.group(&ground.given), rules, stretch, origin_ms);
    feed::send(&pair.places.prometheus, &sent).await?;
    write(&folder.join(SENT), &serde_json::to_vec(&sent).context(SENT)?)?;
    let recorded = history(&prometheus, &pair.places.prometheus, rules, stretch, origin_ms).await?;
    write(&folder.join(RECORDED), &serde_json::to_vec(&recorded).context(RECORDED)?)?;
    let mut disturbances = Vec::new();
    let late = now_ms() - (begins - 10);
    if late > 0 {
        disturbances.push(format!("its samples came {late} ms after it began"));
    }
    let states = tokio::select! {
        states = watched(ground, scene, &prometheus, pair, origin_ms) => states?,
        never = still_at_it(stretch, say) => match never {},
    };
    write(&folder.join(STATES), states.as_bytes())?;
    say(Doing::Collecting);
    let seconds = (now_ms() - begins) / 1000 + 2;
    let names = format!("{{__name__=~\"ALERTS|{EVALUATED}\"}}[{seconds}s]");
    let alerts = prometheus.get(&format!("/api/v1/query?query={}", percent_encoded(&names))).await?;
    write(&folder.join(ALERTS), &alerts)?;
    write(&folder.join(LOADED), &prometheus.get("/api/v1/rules").await?)?;
    disturbances.extend(promptly::late(&pair.places.alertmanager).await?);
    pair.lives()?;
    Ok((origin_ms, disturbances))
}

/// The scene's own time, to its end: what Prometheus says at the times that the test asks about, line by line.
async fn watched(
    ground: &Ground,
    scene: &Scene,
    prometheus: &Api,
    pair: &mut Pair,
    origin_ms: i64,
) -> Result<String, Failure> {
    let stretch = &scene.stretch;
    let step_ms = stretch.real_ms(stretch.step_ms);
    let mut states = String::new();
    let asked: BTreeSet<i64> = scene.asked(&ground.given).map(|one| stretch.evaluation_of(millis(one.at))).collect();
    for test_ms in asked {
        until(stretch.at(origin_ms, test_ms), pair).await?;
        if let Some(body) = state(prometheus, stretch.at(origin_ms, test_ms), step_ms).await? {
            let line = json!({ "test_ms": test_ms, "asked_ms": now_ms(), "body": body });
            states.push_str(&line.to_string());
            states.push('\n');
        }
    }
    until(stretch.at(origin_ms, stretch.ends_ms) + 5, pair).await?;
    if stretch.forgets {
        forget(&pair.places.prometheus, stretch.at(origin_ms, stretch.ends_ms)).await?;
    }
    // One evaluation more, so that the last that counts is written down.
    until(stretch.at(origin_ms, stretch.over_ms + stretch.step_ms), pair).await?;
    Ok(states)
}

/// Says again and again how far it is.
async fn still_at_it(stretch: &Stretch, say: &(dyn Fn(Doing) + Send + Sync)) -> Infallible {
    let of_seconds = (stretch.real_ms(stretch.over_ms - stretch.begins_ms) / 1000).unsigned_abs();
    let began = Instant::now();
    loop {
        let seconds = began.elapsed().as_secs().min(of_seconds);
        say(Doing::InPhase { phase: "lived".to_owned(), seconds, of_seconds });
        sleep(STILL_AT_IT).await;
    }
}

/// Waits until rules have been evaluated: when, at last.
async fn evaluated(pair: &mut Pair, prometheus: &Api, stretch: &Stretch) -> Result<i64, Failure> {
    let began = Instant::now();
    let window = (stretch.real_ms(stretch.step_ms) * 4 / 1000).max(10);
    loop {
        pair.lives()?;
        let answered = prometheus.query(&format!("{EVALUATED}[{window}s]"), None).await?.into_series();
        if let Some(sample) = answered.first().and_then(|series| series.samples.last()) {
            #[allow(clippy::cast_possible_truncation)] // this century's milliseconds
            return Ok((sample.seconds * 1000.0).round() as i64);
        }
        is_in_time("evaluated no rule", began)?;
        sleep(LOOK).await;
    }
}

/// Waits until Prometheus has found its Alertmanager.
async fn connected(pair: &mut Pair, prometheus: &Api) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        pair.lives()?;
        let found = prometheus.json("/api/v1/alertmanagers").await?;
        if found["data"]["activeAlertmanagers"].as_array().is_some_and(|all| !all.is_empty()) {
            return Ok(());
        }
        is_in_time("found no Alertmanager", began)?;
        sleep(LOOK).await;
    }
}

fn is_in_time(what: &str, began: Instant) -> Result<(), Failure> {
    if began.elapsed() > DISCOVERY_LIMIT {
        return Err(Failure::infrastructure(format!("Prometheus {what} within {DISCOVERY_LIMIT:?}")));
    }
    Ok(())
}

/// What recording rules made of the history: asked as they would have been, one after the other, and sent as they would have
/// recorded it.
async fn history(
    prometheus: &Api,
    to: &Address,
    rules: &[Rule],
    stretch: &Stretch,
    origin_ms: i64,
) -> Result<Vec<Sent>, Failure> {
    let mut all = Vec::new();
    if stretch.begins_ms == 0 {
        return Ok(all);
    }
    let (step_ms, last) = (stretch.real_ms(stretch.step_ms), stretch.begins_ms - stretch.step_ms);
    for rule in rules.iter().filter(|rule| rule.alert.is_none()) {
        // What can't be lived is not loaded either.
        let Ok(expr) = scene::lived_expr(rule, stretch.speed) else { continue };
        let expr = promql::print(&expr);
        let mut recorded: Vec<Sent> = Vec::new();
        let mut from = 0;
        while from <= last {
            let until = last.min(from + stretch.step_ms * MOST_POINTS);
            let seconds = |test_ms: i64| {
                let at = stretch.at(origin_ms, test_ms);
                format!("{}.{:03}", at.div_euclid(1000), at.rem_euclid(1000))
            };
            let path = format!(
                "/api/v1/query_range?query={}&start={}&end={}&step={}.{:03}",
                percent_encoded(&expr),
                seconds(from),
                seconds(until),
                step_ms / 1000,
                step_ms % 1000
            );
            let body = prometheus.get(&path).await?;
            let answer =
                aiclipx_model::prom::answer::parse(&body).with_context(|| format!("the history of {}", rule.name))?;
            for series in answer.data.into_series() {
                add(&mut recorded, rule, &series, step_ms);
            }
            from = until + stretch.step_ms;
        }
        feed::send(to, &recorded).await?;
        all.extend(recorded);
    }
    Ok(all)
}

/// What a recording rule records of a series that its expression gives: a gap ends it, as it would have.
fn add(recorded: &mut Vec<Sent>, rule: &Rule, series: &aiclipx_model::prom::answer::Series, step_ms: i64) {
    let mut labels: Texts = series.labels.clone();
    labels.extend(rule.labels.clone());
    labels.insert("__name__".to_owned(), rule.name.clone());
    labels.retain(|_, value| !value.is_empty());
    let index = recorded.iter().position(|one| one.labels == labels).unwrap_or_else(|| {
        recorded.push(Sent { labels, samples: Vec::new() });
        recorded.len() - 1
    });
    let samples = &mut recorded[index].samples;
    for sample in &series.samples {
        #[allow(clippy::cast_possible_truncation)] // this century's milliseconds
        let at = (sample.seconds * 1000.0).round() as i64;
        if let Some((last, Some(_))) = samples.last()
            && at - last > step_ms
        {
            let ended = last + step_ms;
            samples.push((ended, None));
        }
        samples.push((at, Some(Number::of(sample.value))));
    }
}

/// What Prometheus says of its alerts after the evaluation of a moment, and before the next; none where that was missed.
async fn state(prometheus: &Api, at_ms: i64, step_ms: i64) -> Result<Option<Value>, Failure> {
    while now_ms() < at_ms + step_ms {
        let told = prometheus.json("/api/v1/rules?type=alert").await?;
        let evaluated = told["data"]["groups"][0]["lastEvaluation"].as_str().and_then(|text| text.parse().ok());
        let evaluated = evaluated.map_or(0, |at: jiff::Timestamp| at.as_millisecond());
        if evaluated >= at_ms + step_ms {
            return Ok(None);
        }
        if evaluated >= at_ms {
            return Ok(Some(told));
        }
        sleep(LOOK).await;
    }
    Ok(None)
}

/// Deletes what was of the test's series: as if the longest window of the rules had passed.
async fn forget(prometheus: &Address, until_ms: i64) -> anyhow::Result<()> {
    let all = percent_encoded(r#"{__name__!~"ALERTS.*|drill:.*"}"#);
    let end = format!("{}.{:03}", until_ms.div_euclid(1000), until_ms.rem_euclid(1000));
    let path = format!("/api/v1/admin/tsdb/delete_series?match[]={all}&end={end}");
    let answer = client::post(prometheus, &path, &[], Vec::new(), LIMIT).await.context("deleting the series")?;
    ensure!(answer.status.is_success(), "Prometheus deletes nothing: {}", String::from_utf8_lossy(&answer.body).trim());
    Ok(())
}

/// Waits for a moment; a program that dies meanwhile ends the wait.
async fn until(at_ms: i64, pair: &mut Pair) -> Result<(), Failure> {
    loop {
        pair.lives()?;
        let left = at_ms - now_ms();
        if left <= 0 {
            return Ok(());
        }
        sleep(Duration::from_millis(left.unsigned_abs()).min(Duration::from_millis(500))).await;
    }
}

/// What amtool says of the alerts that were expected and told, and of the messages.
async fn asked_of_amtool(ground: &Ground, scene: &Scene, told: &str) -> anyhow::Result<Amtool> {
    let external = &scene.group(&ground.given).external_labels;
    let read = |line: &str| serde_json::from_str::<Notification>(line).context(NOTIFICATIONS);
    let told: Vec<(Notification, String)> =
        told.lines().map(|line| Ok((read(line)?, line.to_owned()))).collect::<anyhow::Result<_>>()?;
    let expected = scene.asked(&ground.given).flat_map(|one| &one.expected).map(|one| as_told(&one.labels, external));
    let labels: BTreeSet<Texts> = expected.collect();
    let mut amtool = Amtool { knows_own_texts: ground.amtool.knows_own_texts(), ..Amtool::default() };
    for labels in labels {
        amtool.routes.push(ground.amtool.route(&labels).await?);
    }
    amtool.messages = ground.amtool.messages(&ground.given, &told).await?;
    Ok(amtool)
}

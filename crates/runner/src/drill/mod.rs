//! Fire drills: every alert of anybody's rules that has a unit test, lived on a real Prometheus and a real Alertmanager.
//!
//! [`found`] gathers what is drilled, [`feed`] sends a test's samples, [`live`] lives one scene and keeps what was recorded,
//! [`amtool`] is asked for a second opinion on routes and messages; [`drill`] does it all and seals. What a scene is, and what it
//! shows, is `aiclipx-judge`'s `drill` to say.

mod amtool;
mod feed;
pub mod found;
mod ground;
mod live;
mod promptly;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::events::{self, Event, Events};
use crate::publish::{in_a_second_of_its_own, print};
use crate::runner::{self, Ended, Job, Try, Which, gravest, invalid};
use crate::surroundings::{machine, now_ms};
use aiclipx_base::duration::Speed;
use aiclipx_judge::bundle::{Bundle, Draft};
use aiclipx_judge::drill::bundle::{conclude, take};
use aiclipx_judge::drill::given::Given;
use aiclipx_judge::drill::layout::{SCENES, packed};
use aiclipx_judge::drill::outcome::{KIND, Made, Outcome, SCHEMA, unmatched};
use aiclipx_judge::drill::plan::{Plan, Scene, Wanted, no_rule};
use aiclipx_judge::drill::record::Record;
use aiclipx_judge::files;
use aiclipx_judge::provenance::{self, compact_utc};
use aiclipx_model::counted::counted;
use aiclipx_model::drill::scene::millis;
use aiclipx_model::failure::{Failure, Kind};
use aiclipx_stack::interrupt::Interrupt;
use aiclipx_stack::pair::Programs;
use amtool::Amtool;
use found::Found;
use ground::Ground;

/// What to drill, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only these alerts; all where empty.
    pub only: Vec<String>,
    /// Claims, by a part of their ids, that must be proven.
    pub require: Vec<String>,
    /// The speed of every scene; else each has the slowest at which it takes less than a minute.
    pub speed: Option<Speed>,
    /// Scenes side by side.
    pub jobs: usize,
    /// Whether its report is printed, too; that takes a browser, and some seconds.
    pub pdf: bool,
    /// The folder in which the bundle gets a folder of its own.
    pub out: PathBuf,
}

/// Drills what was found, and seals.
pub async fn drill(
    found: Found,
    options: &Options,
    events: &Events,
    interrupt: &Interrupt,
) -> Result<(Bundle, Outcome), Failure> {
    let Found { files, alertmanager, configuration, passed_over } = found;
    let given = Given::from_files(files, &alertmanager)?;
    let plan = Plan::of(&given, &Wanted { only: options.only.clone(), speed: options.speed });
    is_about_something(&given, &plan, options)?;
    announce(&given, &plan, options.jobs, events);
    let programs = Programs::find().await?;
    let amtool = Amtool::of(&programs, &given, &configuration).await?;
    amtool.accepts().await?;
    let (began_ms, id, draft) = in_a_second_of_its_own(|now_ms| {
        let id = format!("{}-drill", compact_utc(now_ms)?);
        Ok(Draft::begin(&options.out, &id)?.map(|draft| (now_ms, id, draft)))
    })
    .await?;
    take(&draft, &given)?;
    let ground = Arc::new(Ground {
        given,
        programs,
        amtool,
        events: events.clone(),
        interrupt: interrupt.clone(),
        hashing: AtomicUsize::new(0),
    });
    let Lived { promtool, unfinished, repeated } = live_all(&ground, &plan, &draft, options.jobs).await?;
    let made = Made {
        kind: KIND.to_owned(),
        schema: SCHEMA,
        id,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        program: provenance::program(),
        alertmanager: ground.given.alertmanager.clone(),
        only: options.only.clone(),
        speed: options.speed,
        began_ms,
        ended_ms: now_ms(),
        versions: versions(&ground.programs),
        machine: machine(),
        unfinished,
        repeated,
        promtool,
        passed_over,
    };
    events.tell_all(Event::Concluding { work: "judging", seconds: None });
    events.settle();
    sealed(draft, made, options.pdf, events, interrupt).await
}

/// What is ahead, and what is odd about it: the first that is told, before anything is started.
fn announce(given: &Given, plan: &Plan, at_once: usize, events: &Events) {
    let scenes = plan.scenes.len();
    let real_ms: i64 =
        plan.scenes.iter().map(|one| one.stretch.real_ms(one.stretch.over_ms - one.stretch.begins_ms)).sum();
    let real = Duration::from_millis(real_ms.unsigned_abs()) + STARTING * u32::try_from(scenes).unwrap_or(u32::MAX);
    let seconds = (real / u32::try_from(at_once.clamp(1, scenes.max(1))).unwrap_or(1)).as_secs();
    events.tell_all(Event::Planned { alerts: plan.alerts.len(), scenes, at_once: at_once.min(scenes), seconds });
    for why in plan.rows.iter().filter_map(|row| no_rule(given, row)) {
        events.tell_all(Event::Warning { why });
    }
}

/// What a scene takes beside its own time: two programs start, find each other, and are asked at the end.
const STARTING: Duration = Duration::from_secs(8);

fn versions(programs: &Programs) -> BTreeMap<String, String> {
    let named =
        [("prometheus", &programs.prometheus), ("alertmanager", &programs.alertmanager), ("amtool", &programs.amtool)];
    named.into_iter().map(|(name, tool)| (name.to_owned(), tool.version.clone())).collect()
}

/// What came of all scenes, beside their folders.
struct Lived {
    promtool: BTreeMap<PathBuf, String>,
    unfinished: BTreeMap<String, String>,
    repeated: Vec<String>,
}

/// Lives every scene, while promtool is asked; fails where nothing came of any.
async fn live_all(ground: &Arc<Ground>, plan: &Plan, draft: &Draft, at_once: usize) -> Result<Lived, Failure> {
    let events = &ground.events;
    let (enough, is_enough) = oneshot::channel();
    let promtool = tokio::spawn({
        let ground = Arc::clone(ground);
        async move { ground.amtool.promtool_fails(&ground.programs, &ground.given, is_enough).await }
    });
    let jobs = plan.scenes.iter().map(|scene| Living::new(ground, scene, draft)).collect();
    let told = |ended: &Ended<Living>, _| tell(ended, events);
    let ended = runner::run(jobs, at_once, events, &ground.interrupt, told).await;
    let is_over = |one: &Ended<Living>| matches!(&one.came, Err(failure) if failure.kind() == Kind::Interrupted);
    let promtool = said_in_time(promtool, enough, ended.iter().any(is_over), events).await?;
    for (file, said) in &promtool {
        let first: Vec<&str> = said.lines().take(3).collect();
        let why = format!("promtool itself fails {}: {}", file.display(), first.join(" "));
        events.tell_all(Event::Warning { why });
    }
    let (mut unfinished, mut repeated, mut failures) = (BTreeMap::new(), Vec::new(), Vec::new());
    for Ended { job, came } in ended {
        if job.was_repeated {
            repeated.push(job.scene.name.clone());
        }
        if let Err(failure) = came {
            unfinished.insert(job.scene.name.clone(), failure.to_string());
            failures.push(failure.context(job.scene.place(&job.ground.given)));
        }
    }
    let nothing = files::files_in(&draft.folder().join(SCENES), "")?.is_empty();
    if let Some(failure) = gravest(failures.into_iter())
        && (failure.kind() != Kind::Infrastructure || nothing)
    {
        events.settle();
        return Err(failure);
    }
    Ok(Lived { promtool, unfinished, repeated })
}

/// Packs, judges, prints where that is asked for, and seals.
async fn sealed(
    draft: Draft,
    made: Made,
    pdf: bool,
    events: &Events,
    interrupt: &Interrupt,
) -> Result<(Bundle, Outcome), Failure> {
    let title = made.id.clone();
    let judged = tokio::task::spawn_blocking(move || {
        for folder in files::files_in(&draft.folder().join(SCENES), "")? {
            files::pack_all(packed(&folder))?;
        }
        let outcome = conclude(&draft, &made)?;
        Ok::<_, Failure>((draft, outcome))
    });
    let (draft, outcome) = judged.await.context("judging")??;
    if pdf {
        print(&draft, &title, events, interrupt).await?;
    }
    let sealed = tokio::task::spawn_blocking(move || draft.seal(&[])).await.context("sealing")??;
    Ok((sealed, outcome))
}

/// What promtool said. It is done long before the scenes are, as a rule, and waited for a while where it is not.
async fn said_in_time(
    mut promtool: JoinHandle<anyhow::Result<BTreeMap<PathBuf, String>>>,
    enough: oneshot::Sender<()>,
    is_interrupted: bool,
    events: &Events,
) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    if !is_interrupted {
        match tokio::time::timeout(WAITED, &mut promtool).await {
            Ok(said) => return said.context("asking promtool")?,
            Err(_) => {
                events.tell_all(Event::Warning { why: "promtool does not come to an end; it is not heard".to_owned() });
            }
        }
    }
    drop(enough);
    promtool.await.context("asking promtool")?
}

/// For promtool, behind the last scene.
const WAITED: Duration = Duration::from_mins(1);

/// A drill over nothing is none.
fn is_about_something(given: &Given, plan: &Plan, options: &Options) -> Result<(), Failure> {
    let Options { only, require, .. } = options;
    let unknown: Vec<&str> = only.iter().filter(|name| !plan.alerts.contains_key(*name)).map(String::as_str).collect();
    if !unknown.is_empty() {
        let known: std::collections::BTreeSet<&str> = given.alerts().map(|rule| rule.name.as_str()).collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Failure::usage(format!("no alert is called {}", unknown.join(", or ")))
            .remedy(format!("--only names one of them: {known}")));
    }
    if plan.alerts.is_empty() {
        return Err(Failure::usage("there is no alerting rule here: nothing to drill")
            .remedy("name the folder that holds the rules"));
    }
    let unmatched = unmatched(plan, require);
    if !unmatched.is_empty() {
        let what = format!("no claim of this drill would be called {}, which --require names", unmatched.join(", or "));
        return Err(Failure::usage(what).remedy("claims are called like fires/NodeDown, told-to/NodeDown"));
    }
    if let (true, Some(first)) = (plan.scenes.is_empty(), plan.refused.first()) {
        return Err(Failure::usage(format!("none of the unit tests can be lived: {}", first.why)));
    }
    if plan.scenes.is_empty() {
        return Err(Failure::usage(format!(
            "none of these {} alerts has a unit test: nothing to drill",
            plan.alerts.len()
        ))
        .remedy("write an `alert_rule_test` for promtool, or name its file with --tests"));
    }
    Ok(())
}

/// Tells how a scene ended.
fn tell(ended: &Ended<Living>, events: &Events) {
    let seconds = ended.job.began.elapsed().as_secs();
    let event = match &ended.came {
        Ok(lived) => Event::Lived { what: lived.clone(), seconds },
        Err(failure) if failure.kind() == Kind::Interrupted => return,
        Err(failure) => Event::Unfinished { why: failure.to_string() },
    };
    events.tell(ended.job.name(), event);
}

/// A scene, and where it is kept.
struct Living {
    ground: Arc<Ground>,
    scene: Scene,
    name: String,
    folder: PathBuf,
    began: Instant,
    was_repeated: bool,
}

impl Living {
    fn new(ground: &Arc<Ground>, scene: &Scene, draft: &Draft) -> Living {
        Living {
            ground: Arc::clone(ground),
            name: scene.shown(),
            scene: scene.clone(),
            folder: draft.folder().join(SCENES).join(&scene.name),
            began: Instant::now(),
            was_repeated: false,
        }
    }
}

impl Job for Living {
    /// What was lived, in words.
    type Came = String;

    fn name(&self) -> &str {
        &self.name
    }

    async fn attempt(&mut self, which: Which) -> Result<Try<String>, Failure> {
        if which == Which::First {
            self.began = Instant::now();
        } else {
            self.was_repeated = true;
            self.clear();
        }
        let say = |step: events::Doing| self.ground.events.tell(&self.name, Event::Doing(step));
        Box::pin(live::live(&self.ground, &self.scene, &self.folder, which == Which::Second, &say)).await?;
        let record = Record::read(&self.folder)?;
        let asked = self.scene.asked(&self.ground.given).map(|one| millis(one.at));
        let disturbed = invalid(record.disturbances(asked).into_iter());
        let stretch = &record.run.stretch;
        let firing = record.alerts.iter().filter(|one| one.is_firing).count();
        let came = format!(
            "{} at speed {}, {} fired, {}",
            counted(stretch.evaluations().count(), "evaluation"),
            stretch.speed,
            counted(firing, "alert"),
            counted(record.notifications.len(), "notification")
        );
        Ok(Try { came, disturbed })
    }

    fn clear(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

//! A world without a stack: what the service, Prometheus, Alertmanager and the receiver would have recorded of a
//! schedule that was answered as its faults say.
//!
//! Counters grow when requests end, are scraped every 500 ms and rated as Prometheus 2.42 rates them; alerts are
//! evaluated on those rates with the threshold, window and `for` of the repository's own rules. Nothing of the judge's
//! arithmetic is used, so that a mistake there can't hide here.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use aiclipx_base::address::Address;
use aiclipx_base::duration::Speed;
use aiclipx_judge::run::{MissingPicture, PhaseTime, Picture, Process, Run, SCHEMA};
use aiclipx_judge::tree::{FOLDERS, Tree, copy_folder};
use aiclipx_model::monitoring::addresses::{Addresses, Logging};
use aiclipx_model::process_identity::ProcessIdentity;
use aiclipx_model::scenario::Scenario;
use aiclipx_model::traffic::ledger::{Entry, Head, Ledger, Outcome};
use aiclipx_model::traffic::schedule::Schedule;

use crate::artifacts::Files;

/// When nothing was in flight any more, Unix milliseconds; everything is counted from here.
pub(crate) const QUIET: i64 = 1_795_000_000_000;
/// Scrapes and evaluations at speed 30.
pub(crate) const INTERVAL: i64 = 500;
pub(crate) const SPEED: u32 = 30;
pub(crate) const SEED: u64 = 42;
/// What the service takes for an answer.
pub(crate) const SERVICE_TIME_US: u64 = 20_000;
const ALERTS_LIVED: [&str; 2] = ["AppHigh5xxErrorRate", "AppHighExceptionRate"];

/// Three requests of ten fail; every measure a panel can be held to.
pub(crate) const ERROR_RATE: &str = r#"title = "Three requests of ten fail: the 5xx alert fires, and resolves when they stop"

requests = [
  { weight = 6, path = "/" },
  { weight = 3, path = "/items" },
  { weight = 1, method = "POST", path = "/items", body = '{"name":"item-{seq}"}' },
]

[[phase]]
name = "baseline"
duration = "2m"
rate = 40

[[phase]]
name = "errors"
duration = "8m30s"
rate = 40
faults = [{ fault = "error", count = 3, per = 10 }]

[[phase]]
name = "recovery"
duration = "18m"
rate = 40

[expect]
fires = ["AppHigh5xxErrorRate"]
may_fire = ["AppHighExceptionRate"]
within = "8m"

[expect.panels]
"app-overview/1" = "request_rate"
"app-overview/2" = "latency_p95"
"app-overview/3" = "error_share"
"app-overview/4" = "top_endpoint"
"app-overview/5" = "error_rate"
"#;

/// Nobody calls.
pub(crate) const SILENT: &str = r#"title = "Nobody calls: nothing may fire"

[[phase]]
name = "quiet"
duration = "3m"
silent = true

[expect]
"#;

/// The repository's own monitoring and scenarios, with ours in the place of two of them; a folder of this process's own, for as long as
/// it holds the lock.
static TREE: LazyLock<(PathBuf, File)> = LazyLock::new(|| {
    let trees = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trees of the evidence tests");
    std::fs::create_dir_all(&trees).unwrap();
    // Nothing is dropped at a process's end: what an earlier one left goes.
    for left in std::fs::read_dir(&trees).unwrap().filter_map(Result::ok).map(|entry| entry.path()) {
        if left.extension().is_some_and(|kind| kind == "lock")
            && File::open(&left).is_ok_and(|lock| lock.try_lock().is_ok())
        {
            let _ = std::fs::remove_dir_all(left.with_extension("")).and_then(|()| std::fs::remove_file(&left));
        }
    }
    let (lock, name) = tempfile::Builder::new().suffix(".lock").tempfile_in(&trees).unwrap().keep().unwrap();
    lock.lock().unwrap();
    let root = name.with_extension("");
    for folder in FOLDERS {
        copy_folder(&Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(folder), &root.join(folder))
            .unwrap();
    }
    for (id, text) in [("02-error-rate", ERROR_RATE), ("00-quiet", SILENT)] {
        std::fs::write(root.join(format!("scripts/traffic/{id}.toml")), text).unwrap();
    }
    (root, lock)
});

/// The tree that the worlds are about: read once, for nobody changes it.
pub(crate) fn tree() -> &'static Tree {
    static READ: LazyLock<Tree> = LazyLock::new(|| Tree::read(&TREE.0).unwrap_or_else(|failure| panic!("{failure}")));
    &READ
}

/// The sound world of [`ERROR_RATE`].
pub(crate) static WITH_ERRORS: LazyLock<World> = LazyLock::new(|| World::new("02-error-rate", ERROR_RATE, |_| {}));
/// Its files.
pub(crate) static WITH_ERRORS_FILES: LazyLock<Files> = LazyLock::new(|| WITH_ERRORS.files());
/// The files of the sound world of [`SILENT`].
pub(crate) static SILENT_FILES: LazyLock<Files> = LazyLock::new(|| World::new("00-quiet", SILENT, |_| {}).files());

/// An alert's life, Unix milliseconds; what is absent did not happen.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Life {
    pub(crate) pending: Option<i64>,
    pub(crate) firing: Option<i64>,
    /// The last evaluation at which it fired.
    pub(crate) last: Option<i64>,
    pub(crate) notified: Option<i64>,
    pub(crate) told_resolved: Option<i64>,
}

/// One counter of the service: what it stood at before, and when it grew.
pub(crate) struct Counter {
    pub(crate) name: &'static str,
    pub(crate) labels: BTreeMap<&'static str, String>,
    before: u32,
    grew_us: Vec<u64>,
}

impl Counter {
    pub(crate) fn at(&self, millis: i64) -> f64 {
        f64::from(self.before) + self.grew_us.iter().filter(|us| **us <= millis as u64 * 1000).count() as f64
    }

    pub(crate) fn is(&self, label: &str, value: &str) -> bool {
        self.labels.get(label).is_some_and(|found| found == value)
    }

    pub(crate) fn is_internal(&self) -> bool {
        self.is("endpoint", "/metrics") || self.is("endpoint", "/health/ready")
    }
}

/// What happened, before it is written down.
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) ledger: Ledger,
    pub(crate) run: Run,
    /// By alert.
    pub(crate) lives: BTreeMap<String, Life>,
    pub(crate) counters: Vec<Counter>,
    pub(crate) tree: &'static Tree,
}

impl World {
    /// Enacts a scenario; `change` says what the client did otherwise than scheduled, and the world follows.
    pub(crate) fn new(id: &str, text: &str, change: impl FnOnce(&mut Ledger)) -> World {
        let scenario = Scenario::from_text(Path::new(&format!("{id}.toml")), text).expect("a good scenario");
        let speed = Speed::new(SPEED).unwrap();
        let schedule = Schedule::new(&scenario, SEED, speed, None).expect("it can be scheduled");
        let mut ledger = enacted(&schedule);
        change(&mut ledger);
        let run = run(&scenario, &schedule, &ledger);
        let mut world =
            World { counters: counters(&ledger), scenario, ledger, run, lives: BTreeMap::new(), tree: tree() };
        let far = world.run.end_ms;
        for alert in ALERTS_LIVED {
            let life = world.live(alert, far);
            world.lives.insert(alert.to_owned(), life);
        }
        let told = world.scenario.expect.fires.iter().filter_map(|alert| world.lives[alert].told_resolved).max();
        let ended = i64::try_from(world.ledger.head.ended_unix_us / 1000).unwrap();
        world.run.end_ms = told.unwrap_or(ended).max(ended) + 2 * INTERVAL + 100;
        for alert in &world.scenario.expect.fires {
            let Some(firing) = world.lives[alert].firing else { continue };
            world.run.pictures = pictures(alert, firing + 400);
        }
        world
    }

    /// Evaluates one of the two alerts that a share of errors moves.
    fn live(&self, alert: &str, until: i64) -> Life {
        let monitoring = &self.tree.monitoring;
        let rule = monitoring.alert(alert).expect("the rules have it");
        let real = |duration: std::time::Duration| duration.as_millis() as i64 / i64::from(SPEED);
        let (window, hold) = (real(monitoring.window_of(rule)), real(rule.hold));
        let keep = real(rule.keep_firing_for);
        let threshold = monitoring.threshold_of(rule).expect("it compares");
        let mut life = Life::default();
        let mut above_at = None;
        for at in evaluations(QUIET, until) {
            let value = match alert {
                "AppHigh5xxErrorRate" => self.error_share(at - window, at),
                _ => self.rate(at - window, at, |counter| counter.name == "app_errors_total"),
            };
            above_at = if value > threshold { Some(at) } else { above_at };
            match (value > threshold, life.pending) {
                (true, None) => life.pending = Some(at),
                (true, Some(since)) if at - since >= hold => {
                    life.firing.get_or_insert(at);
                    life.last = Some(at);
                }
                (true, Some(_)) => {}
                (false, _) if life.firing.is_some() && above_at.is_some_and(|above_at| at - above_at < keep) => {
                    life.last = Some(at);
                }
                (false, _) if life.firing.is_some() => break,
                (false, _) => life.pending = None,
            }
        }
        // group_wait, and then the first end of a group_interval after the resolution.
        life.notified = life.firing.map(|firing| firing + 510);
        life.told_resolved = life.notified.zip(life.last).map(|(notified, last)| {
            let intervals = (last + INTERVAL - notified).div_euclid(2000) + 1;
            notified + intervals * 2000 + 7
        });
        life
    }

    pub(crate) fn error_share(&self, from: i64, to: i64) -> f64 {
        let requests = |counter: &Counter| counter.name == "app_requests_total" && !counter.is_internal();
        let failed = self.rate(from, to, |counter| requests(counter) && counter.labels["http_status"].starts_with('5'));
        failed / self.rate(from, to, |counter| requests(counter) && !counter.is("http_status", "499"))
    }

    /// `sum(rate(…))` over the counters chosen.
    pub(crate) fn rate(&self, from: i64, to: i64, chosen: impl Fn(&Counter) -> bool) -> f64 {
        self.counters.iter().filter(|counter| chosen(counter)).map(|counter| rate(counter, from, to)).sum()
    }
}

/// The ledger of a schedule that was answered as its faults say.
fn enacted(schedule: &Schedule) -> Ledger {
    let run = format!("20261118T101320Z-{}-s{SEED}", schedule.scenario);
    let entries: Vec<Entry> = schedule
        .requests
        .iter()
        .map(|intended| {
            let intended_us = intended.at.as_micros() as u64;
            let good = if intended.method == "POST" { 201 } else { 200 };
            Entry {
                seq: intended.seq,
                id: format!("{run}-{}", intended.seq),
                phase: schedule.phases[intended.phase].name.clone(),
                method: intended.method.clone(),
                path: intended.path.clone(),
                endpoint: intended.endpoint.clone(),
                fault: intended.fault.clone(),
                replica: None,
                intended_us,
                sent_us: Some(intended_us + 200),
                ended_us: Some(intended_us + 200 + SERVICE_TIME_US),
                outcome: Outcome::Answered { status: if intended.fault.is_some() { 500 } else { good } },
            }
        })
        .collect();
    let length_us = schedule.length().as_micros() as u64;
    let elapsed_us = length_us.max(entries.iter().filter_map(|entry| entry.ended_us).max().unwrap_or(0)) + 800;
    let started_unix_us = (QUIET as u64 + 2000) * 1000 + 300;
    Ledger {
        head: Head {
            run,
            scenario: schedule.scenario.clone(),
            seed: SEED,
            speed: schedule.speed,
            length_us,
            schedule_sha256: schedule.sha256(),
            scheduled: entries.len() as u64,
            started_unix_us,
            ended_unix_us: started_unix_us + elapsed_us + 40,
            elapsed_us,
            limited: None,
            interrupted: false,
            starts_unix_us: Vec::new(),
        },
        entries,
    }
}

fn run(scenario: &Scenario, schedule: &Schedule, ledger: &Ledger) -> Run {
    let wall = |us: u64| ((ledger.head.started_unix_us + us) / 1000) as i64;
    let at = |index: usize| Address { host: "127.0.0.1".to_owned(), port: 18_000 + index as u16 };
    // Beside the targets a database, which nobody scrapes.
    let components = targets().into_iter().map(|(job, _)| job).chain(["database".to_owned()]);
    let process = |(index, component)| {
        let identity = ProcessIdentity { pid: Some(4000 + index as u32), started_ms: Some(9_000_000 + index as u64) };
        Process { component, at_start: identity, at_end: identity }
    };
    Run {
        schema: SCHEMA,
        id: ledger.head.run.clone(),
        scenario: scenario.id(),
        addresses: Addresses {
            app: vec![at(0)],
            app_admin: vec![at(5)],
            prometheus: at(1),
            alertmanager: at(2),
            receiver: at(3),
            dashboards: at(4),
            probe: at(6),
            folder: "/tmp/a place/etc".into(),
            external: None,
            remote_write: None,
            logging: Logging::loopback("/tmp/a place/logs".into(), "/tmp/a place/data".into()),
        },
        quiet_ms: QUIET,
        // Until the alerts' lives are known.
        end_ms: wall(ledger.head.length_us) + 30_000,
        phases: schedule
            .phases
            .iter()
            .map(|phase| PhaseTime {
                name: phase.name.clone(),
                faulty: phase.faulty,
                start_ms: wall(phase.start_us),
                end_ms: wall(phase.end_us),
            })
            .collect(),
        processes: components.enumerate().map(process).collect(),
        pictures: Vec::new(),
        missing_pictures: Vec::new(),
        steps: Vec::new(),
        disturbances: Vec::new(),
        unseen: BTreeMap::new(),
    }
}

/// The commit that the service says it is built from.
pub(crate) const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

/// Pictures of the three pages, the first taken then.
pub(crate) fn pictures(alert: &str, first_ms: i64) -> Vec<Picture> {
    let picture = |(page, later): (&str, i64)| Picture {
        file: format!("screens/{alert}-{page}.png"),
        page: page.to_owned(),
        url: format!("http://127.0.0.1:18001/classic/{page}"),
        alert: alert.to_owned(),
        taken_ms: first_ms + later,
    };
    [("alerts", 0), ("targets", 30), ("graph", 60)].map(picture).into()
}

/// None of the three pages could be pictured.
pub(crate) fn missing_pictures(alert: &str, why: &str) -> Vec<MissingPicture> {
    let missing = |page: &str| MissingPicture { alert: alert.to_owned(), page: page.to_owned(), why: why.to_owned() };
    ["alerts", "targets", "graph"].map(missing).into()
}

/// Everything the service counts, out of what the client saw.
fn counters(ledger: &Ledger) -> Vec<Counter> {
    let scraped: Vec<u64> = scrapes(0, QUIET - 30_000, QUIET + 120_000).map(|at| (at as u64 + 4) * 1000).collect();
    let grew = |chosen: &dyn Fn(&Entry) -> bool| -> Vec<u64> {
        let answered = ledger.entries.iter().filter(|entry| entry.status().is_some() && chosen(entry));
        answered.map(|entry| ledger.head.started_unix_us + entry.ended_us.unwrap() - 500).collect()
    };
    let labels = |pairs: &[(&'static str, &str)]| {
        let of_target = [("job", "app"), ("instance", "127.0.0.1:18000")];
        pairs.iter().chain(&of_target).map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    let mut counters = Vec::new();
    for (method, endpoint, good) in [("GET", "/", 200), ("GET", "/items", 200), ("POST", "/items", 201)] {
        for (status, before) in [(good, 7), (499, 0), (500, 2)] {
            counters.push(Counter {
                name: "app_requests_total",
                labels: labels(&[("method", method), ("endpoint", endpoint), ("http_status", &status.to_string())]),
                before,
                grew_us: grew(&|entry| {
                    entry.method == method && entry.endpoint == endpoint && entry.status() == Some(status)
                }),
            });
        }
    }
    for (endpoint, status, grew_us) in
        [("unmatched", "404", vec![]), ("/metrics", "200", scraped.clone()), ("/health/ready", "200", vec![])]
    {
        let labels = labels(&[("method", "GET"), ("endpoint", endpoint), ("http_status", status)]);
        counters.push(Counter { name: "app_requests_total", labels, before: 3, grew_us });
    }
    for endpoint in ["/", "/items", "unmatched", "/metrics"] {
        let grew_us = if endpoint == "/metrics" { scraped.clone() } else { grew(&|entry| entry.endpoint == endpoint) };
        for (name, le) in
            [("app_request_latency_seconds_bucket", Some("+Inf")), ("app_request_latency_seconds_count", None)]
        {
            let mut labels = labels(&[("endpoint", endpoint)]);
            labels.extend(le.map(|le| ("le", le.to_owned())));
            counters.push(Counter { name, labels, before: 9, grew_us: grew_us.clone() });
        }
    }
    let grew_us = grew(&|entry| entry.status() >= Some(500));
    counters.push(Counter { name: "app_errors_total", labels: labels(&[]), before: 2, grew_us });
    counters
}

/// Job and instance, in the order of their ports.
pub(crate) fn targets() -> Vec<(String, String)> {
    let jobs = ["app", "prometheus", "alertmanager", "receiver", "vector", "probe"];
    jobs.iter().enumerate().map(|(index, job)| ((*job).to_owned(), format!("127.0.0.1:{}", 18_000 + index))).collect()
}

/// When a target is scraped, within a window: each at an offset of its own.
pub(crate) fn scrapes(target: usize, from: i64, to: i64) -> impl Iterator<Item = i64> {
    let offset = [130, 250, 330, 410, 450, 470][target];
    let first = (from - offset).div_euclid(INTERVAL) * INTERVAL + offset;
    (0..).map(move |n| first + n * INTERVAL).skip_while(move |at| *at < from).take_while(move |at| *at <= to)
}

/// When rules are evaluated, within a window.
pub(crate) fn evaluations(from: i64, to: i64) -> impl Iterator<Item = i64> {
    let first = from.div_euclid(INTERVAL) * INTERVAL + 60;
    (0..).map(move |n| first + n * INTERVAL).skip_while(move |at| *at < from).take_while(move |at| *at <= to)
}

/// `rate()` as `extrapolatedRate` in Prometheus 2.42 has it, on a counter that is never reset; per second.
fn rate(counter: &Counter, from: i64, to: i64) -> f64 {
    let samples: Vec<(i64, f64)> = scrapes(0, from, to).map(|at| (at, counter.at(at))).collect();
    let [(first, before), .., (last, after)] = samples[..] else { return f64::NAN };
    let (span, increase) = ((last - first) as f64, after - before);
    let distance = span / (samples.len() - 1) as f64;
    let mut to_start = (first - from) as f64;
    if increase > 0.0 {
        // A counter is never below zero: no stretching to before its birth.
        to_start = to_start.min(span * (before / increase));
    }
    let stretched = |edge: f64| if edge < distance * 1.1 { edge } else { distance / 2.0 };
    let over = span + stretched(to_start) + stretched((to - last) as f64);
    increase * (over / span) / ((to - from) as f64 / 1000.0)
}

//! Sends a schedule, open loop: every request leaves at its time, whatever is still outstanding.
//!
//! Latency counts from the intended time, so a server that stalls is seen by everyone who would have called meanwhile.
//! A request is sent at most once: no retries, no redirects; a kept-alive connection that turns out to be closed is
//! replaced only while nothing of the request was written. Requests in flight are bounded by a declared cap; a
//! generator that hits it, or falls behind by more than it declared, stops and says so (`GENERATOR_LIMITED`): it never
//! slows down quietly. Of several replicas [`balance`](super::balance) says whom each goes to. The clock is tokio's and
//! the connector the caller's, so all of this is tested on a paused clock over memory.
//!
//! It does not judge: what answers mean is for readers of the [`Ledger`].

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, header};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::balance::{Balanced, Member};
use super::connection::{Connect, Connection, locked};
use super::precise_timer::PreciseTimer;
use super::progress::Progress;
use aiclipx_model::failure::Failure;
use aiclipx_model::service::Service;
use aiclipx_model::traffic::ledger::{Entry, FailureKind, Head, Ledger, Outcome, Quantiles, request_id};
use aiclipx_model::traffic::schedule::{Intended, PlannedPhase, Schedule, micros};
use aiclipx_model::traffic::shard::{Shard, Share};

/// How long an interrupted run waits for answers that are under way.
const GRACE: Duration = Duration::from_secs(1);
/// Longest run name: with a dash and a number an id has 64 characters at most.
const MAX_RUN_NAME: usize = 50;

/// What a generator declares about itself before it starts.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From leaving to the last byte of the answer, connecting included.
    pub timeout: Duration,
    /// Requests outstanding at once. Below the service's own cap on connections (1024).
    pub max_in_flight: u64,
    /// How far behind its intended time a request may leave. A scrape interval at speed 30: traffic that is later than
    /// that is not the traffic the scenario describes.
    pub max_lag: Duration,
    /// What wakes the sender.
    pub pacing: Pacing,
}

/// What wakes the sender when a request is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pacing {
    /// The runtime's timer, which ticks once a millisecond; the only one that knows of a paused clock.
    Runtime,
    /// A thread of its own bridges the last milliseconds, to some 0.1 ms.
    Thread,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            timeout: Duration::from_secs(30),
            max_in_flight: 800,
            max_lag: Duration::from_millis(500),
            pacing: Pacing::Thread,
        }
    }
}

/// What every request of a run is called by, and by which names the service knows it.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// Begins every request's id: 1 to 50 of `[A-Za-z0-9._-]`, else sending is a usage failure.
    pub run: &'a str,
    /// Whose headers carry the id and the fault, and where its paths begin.
    pub service: &'a Service,
}

/// A schedule that was sent.
#[derive(Debug)]
pub struct Sent {
    /// One line for every scheduled request, of a shard for every one of its own; its head says whether the run was limited or
    /// interrupted.
    pub ledger: Ledger,
    /// How late requests left, against their intended time: the generator's own error.
    pub lag: Quantiles,
}

impl Sent {
    /// The failure to end with, if the run was limited (exit 3) or interrupted (exit 130).
    pub fn failure(&self) -> Option<Failure> {
        match &self.ledger.head {
            Head { interrupted: true, .. } => Some(Failure::interrupted()),
            Head { limited: Some(why), .. } => Some(
                Failure::infrastructure(format!("GENERATOR_LIMITED: {why}"))
                    .remedy("lower the scenario's rate, or give the machine less else to do"),
            ),
            _ => None,
        }
    }
}

/// Sends every request of the schedule at its time, or those of one shard, and waits for what is outstanding.
///
/// `on_phase` is called when a phase begins and must return at once. When `stop` ends, nothing more is sent, what is under way has a second to end,
/// and the ledger is as complete as ever. What goes wrong with requests is in the ledger, not in the result.
pub async fn send<'a, C: Connect>(
    share: impl Into<Share<'a>>,
    named: &Named<'_>,
    to: impl Into<Balanced<C>>,
    limits: &Limits,
    progress: &Arc<Progress>,
    mut on_phase: impl FnMut(&PlannedPhase),
    stop: impl Future<Output = ()>,
) -> Result<Sent, Failure> {
    let run = named.run;
    let is_part_of_an_id = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if run.is_empty() || run.len() > MAX_RUN_NAME || !run.chars().all(is_part_of_an_id) {
        return Err(Failure::usage(format!("`{run}` is no run name; write up to {MAX_RUN_NAME} of [A-Za-z0-9._-]")));
    }
    let balanced = to.into();
    let _watchers = balanced.watched(named.service).await;
    let share = share.into();
    let traffic = Arc::new(Traffic {
        run: run.to_owned(),
        service: named.service.clone(),
        balanced,
        limits: limits.clone(),
        progress: Arc::clone(progress),
        origin: Instant::now(),
        in_flight: AtomicU64::new(0),
        shard: share.shard,
        records: Mutex::new(vec![Record::default(); share.requests().count()]),
    });
    let started_unix_us = unix_us();
    let mut tasks = JoinSet::new();
    tokio::pin!(stop);

    let mut ending = tokio::select! {
        biased;
        () = &mut stop => Ending::Interrupted,
        ending = pace(&share, &traffic, &mut tasks, &mut on_phase) => ending,
    };
    if !matches!(ending, Ending::Interrupted) {
        tokio::select! {
            biased;
            () = &mut stop => ending = Ending::Interrupted,
            () = join(&mut tasks) => {}
        }
    }
    if matches!(ending, Ending::Interrupted) {
        // What has not ended by then is cut off below.
        let _ = timeout(GRACE, join(&mut tasks)).await;
    }
    tasks.shutdown().await;

    Ok(traffic.sent(&share, started_unix_us, ending))
}

enum Ending {
    Complete,
    Limited(String),
    Interrupted,
}

/// Launches every request at its time, and ends with the last phase.
async fn pace<C: Connect>(
    share: &Share<'_>,
    traffic: &Arc<Traffic<C>>,
    tasks: &mut JoinSet<()>,
    on_phase: &mut impl FnMut(&PlannedPhase),
) -> Ending {
    let timer = match traffic.limits.pacing {
        Pacing::Runtime => None,
        Pacing::Thread => Some(PreciseTimer::new()),
    };
    let due = async |offset: Duration| {
        let at = traffic.origin + offset;
        match &timer {
            Some(timer) => timer.wait(at).await,
            None => sleep_until(at).await,
        }
    };
    let mut requests = share.requests().peekable();
    for (index, phase) in share.schedule.phases.iter().enumerate() {
        due(Duration::from_micros(phase.start_us)).await;
        traffic.progress.phase_began(phase);
        on_phase(phase);
        while let Some(intended) = requests.next_if(|intended| intended.phase == index) {
            due(intended.at).await;
            while let Some(ended) = tasks.try_join_next() {
                passed_on(ended);
            }
            let lag_us = traffic.now_us().saturating_sub(micros(intended.at));
            if let Some(why) = traffic.late_by(lag_us) {
                return Ending::Limited(why);
            }
            let in_flight = traffic.in_flight.load(Ordering::Relaxed);
            if in_flight >= traffic.limits.max_in_flight {
                return Ending::Limited(format!(
                    "{in_flight} requests in flight, as many as declared, when request {} was due",
                    intended.seq
                ));
            }
            traffic.in_flight.fetch_add(1, Ordering::Relaxed);
            traffic.progress.launched();
            tasks.spawn(deliver(Arc::clone(traffic), intended.clone()));
        }
    }
    sleep_until(traffic.origin + share.schedule.length()).await;
    Ending::Complete
}

/// Waits for every request under way.
async fn join(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        passed_on(ended);
    }
}

/// A panic in a request's task is a bug of ours and must not look like an unanswered request.
fn passed_on(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

/// What all requests of a run share.
struct Traffic<C> {
    run: String,
    service: Service,
    balanced: Balanced<C>,
    limits: Limits,
    progress: Arc<Progress>,
    origin: Instant,
    in_flight: AtomicU64,
    shard: Shard,
    /// By the place among the shard's requests. Kept here and not returned by the tasks: a task that is cut off leaves what it had.
    records: Mutex<Vec<Record>>,
}

/// What is known of one request so far.
#[derive(Debug, Clone, Default)]
struct Record {
    /// Whom it went to, of several.
    replica: Option<u32>,
    lag_us: Option<u64>,
    sent_us: Option<u64>,
    ended: Option<(u64, Outcome)>,
}

/// One request's whole life.
async fn deliver<C: Connect>(traffic: Arc<Traffic<C>>, intended: Intended) {
    let started = Instant::now();
    let seq = intended.seq;
    let lag_us = traffic.now_us().saturating_sub(micros(intended.at));
    traffic.record(seq, |record| record.lag_us = Some(lag_us));
    let deadline = started + traffic.limits.timeout;
    let (member, replica) = traffic.balanced.pick(&intended);
    traffic.record(seq, |record| record.replica = replica);
    let exchanged = timeout_at(deadline, traffic.exchange(&intended, member)).await;
    let now_us = traffic.now_us();
    let (outcome, connection) = match exchanged {
        Ok(Ok((status, connection))) => (Outcome::Answered { status }, Some(connection)),
        Ok(Err(kind)) => (Outcome::Failed { kind }, None),
        Err(_) => (Outcome::Failed { kind: traffic.cut_off(seq) }, None),
    };
    traffic.ended(&intended, now_us, outcome);
    // The connection is ready for the next request once its driver has seen the end of this one, if it lives on.
    if let Some(mut connection) = connection
        && let Ok(Ok(())) = timeout_at(deadline, connection.sender.ready()).await
    {
        member.idle.keep(connection);
    }
}

impl<C: Connect> Traffic<C> {
    /// What came of all, once nothing is under way any more.
    fn sent(&self, share: &Share<'_>, started_unix_us: u64, ending: Ending) -> Sent {
        let records = std::mem::take(&mut *locked(&self.records));
        let elapsed_us = self.now_us();
        let lag = Quantiles::of(records.iter().filter_map(|record| record.lag_us));
        let (interrupted, limited) = match ending {
            Ending::Limited(why) => (false, Some(why)),
            Ending::Interrupted => (true, None),
            // A task may start later than the pacer asked it to.
            Ending::Complete => (false, self.late_by(lag.max_us)),
        };
        let why = if interrupted { "interrupted" } else { "generator limited" };
        let schedule = share.schedule;
        let lines = share.requests().zip(records);
        let entry =
            |(intended, record): (&Intended, Record)| record.into_entry(intended, schedule, &self.run, elapsed_us, why);
        let entries: Vec<Entry> = lines.map(entry).collect();
        let head = Head {
            run: self.run.clone(),
            scenario: schedule.scenario.clone(),
            seed: schedule.seed,
            speed: schedule.speed,
            length_us: micros(schedule.length()),
            schedule_sha256: share.schedule_sha256.clone(),
            scheduled: entries.len() as u64,
            started_unix_us,
            ended_unix_us: unix_us(),
            elapsed_us,
            limited,
            interrupted,
            starts_unix_us: Vec::new(),
        };
        Sent { ledger: Ledger { head, entries }, lag }
    }

    /// Sends one request on an idle connection or a new one, and reads the whole answer.
    async fn exchange(&self, intended: &Intended, to: &Member<C>) -> Result<(u16, Connection), FailureKind> {
        let mut request = self.request(intended, to.connect.host());
        loop {
            let (mut connection, is_new) = match to.idle.take() {
                Some(connection) => (connection, false),
                None => (Connection::open(&to.connect).await.map_err(|_| FailureKind::Refused)?, true),
            };
            let now_us = self.now_us();
            self.record(intended.seq, |record| record.sent_us = Some(now_us));
            match connection.sender.try_send_request(request).await {
                Ok(answer) => {
                    let (head, mut body) = answer.into_parts();
                    while let Some(frame) = body.frame().await {
                        frame.map_err(|_| FailureKind::Broken)?;
                    }
                    return Ok((head.status.as_u16(), connection));
                }
                Err(mut error) => {
                    // Hyper hands the request back only when none of it was written: the service has not seen it.
                    let Some(unsent) = error.take_message() else { return Err(FailureKind::Broken) };
                    self.record(intended.seq, |record| record.sent_us = None);
                    if is_new {
                        return Err(FailureKind::Refused);
                    }
                    request = unsent;
                }
            }
        }
    }

    fn request(&self, intended: &Intended, host: &str) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(intended.method.as_str())
            .uri(format!("{}{}", self.service.base, intended.path))
            .header(header::HOST, host);
        if let Some(name) = &self.service.request_id {
            request = request.header(name, request_id(&self.run, intended.seq));
        }
        if let (Some(fault), Some(faults)) = (&intended.fault, &self.service.faults) {
            request = request.header(&faults.header, fault);
        }
        if intended.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = Full::from(intended.body.clone().unwrap_or_default());
        request.body(body).expect("a scenario's methods, paths and faults were checked when it was read")
    }

    /// Why an attempt that ran out of time has no answer.
    fn cut_off(&self, seq: u64) -> FailureKind {
        let mut kind = FailureKind::Refused;
        self.record(seq, |record| {
            if record.sent_us.is_some() {
                kind = FailureKind::TimedOut;
            }
        });
        kind
    }

    fn ended(&self, intended: &Intended, now_us: u64, outcome: Outcome) {
        let latency_us = outcome.has_latency().then(|| now_us.saturating_sub(micros(intended.at)));
        let is_error = !matches!(outcome, Outcome::Answered { status: ..500 });
        self.record(intended.seq, |record| record.ended = Some((now_us, outcome)));
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.progress.ended(latency_us, is_error);
    }

    fn record(&self, seq: u64, change: impl FnOnce(&mut Record)) {
        let index = usize::try_from(self.shard.place(seq)).expect("a place among what is sent is an index");
        change(&mut locked(&self.records)[index]);
    }

    fn now_us(&self) -> u64 {
        micros(self.origin.elapsed())
    }

    /// What to say of a generator that is late by this much, if that is more than it declared.
    fn late_by(&self, lag_us: u64) -> Option<String> {
        let lag = Duration::from_micros(lag_us);
        let max = self.limits.max_lag;
        (lag > max).then(|| format!("a request left {} ms late, {} ms declared", lag.as_millis(), max.as_millis()))
    }
}

impl Record {
    /// The ledger's line; `why` says why it was not sent, if it was not.
    fn into_entry(self, intended: &Intended, schedule: &Schedule, run: &str, now_us: u64, why: &str) -> Entry {
        let (ended_us, outcome) = match (self.ended, self.sent_us) {
            (Some((ended_us, outcome)), _) => (Some(ended_us), outcome),
            // Cut off in the middle: the service may have counted it.
            (None, Some(_)) => (Some(now_us), Outcome::Failed { kind: FailureKind::Broken }),
            (None, None) => (None, Outcome::NotSent { why: why.to_owned() }),
        };
        Entry {
            seq: intended.seq,
            id: request_id(run, intended.seq),
            phase: schedule.phases[intended.phase].name.clone(),
            method: intended.method.clone(),
            path: intended.path.clone(),
            endpoint: intended.endpoint.clone(),
            fault: intended.fault.clone(),
            replica: self.replica,
            intended_us: micros(intended.at),
            sent_us: self.sent_us,
            ended_us,
            outcome,
        }
    }
}

fn unix_us() -> u64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

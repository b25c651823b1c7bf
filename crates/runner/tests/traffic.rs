//! The generator against servers whose faults are known: on tokio's paused clock over memory, exact to the timer's
//! millisecond, and twice over real sockets, where nothing is said about time.
//!
//! The stall oracle is the heart: a server that stalls a known share of the time has known quantiles, which only an
//! open loop sees. It is shown here to kill a closed loop.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, but does not see that these helpers are such")]

#[path = "../../stack/tests/executable/mod.rs"]
mod executable;
mod shards;

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aiclipx_base::address::Address;
use aiclipx_base::duration::Speed;
use aiclipx_model::failure::Kind;
use aiclipx_model::scenario::{Scenario, Volume};
use aiclipx_model::service::Service;
use aiclipx_model::traffic::ledger::{Entry, FailureKind, Ledger, Outcome, Quantiles};
use aiclipx_model::traffic::schedule::Schedule;
use aiclipx_runner::traffic::connection::{Connect, Tcp};
use aiclipx_runner::traffic::progress::Progress;
use aiclipx_runner::traffic::send::{Limits, Named, Pacing, Sent, send};
use aiclipx_runner::traffic::table::Summary;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

fn named(run: &str) -> Named<'_> {
    Named { run, service: Service::ours() }
}

/// A steady schedule of `GET /` and whatever `more` says of its one phase.
fn schedule(rate: &str, duration: &str, more: &str) -> Schedule {
    let text = format!(
        "title = \"t\"\n[[phase]]\nname = \"steady\"\nduration = \"{duration}\"\nrate = {rate}\n\
         requests = [{{ path = \"/\" }}]\n{more}\n"
    );
    let scenario = Scenario::from_text(Path::new("90-test.toml"), &text).expect("the scenario is right");
    Schedule::new(&scenario, 1, Speed::PRODUCTION, None).expect("the schedule can be made")
}

/// For a paused clock: only the runtime's own timer knows of it.
fn at_runtime_pace() -> Limits {
    Limits { pacing: Pacing::Runtime, ..Limits::default() }
}

/// A server on the other end of a memory pipe.
#[derive(Clone)]
struct Memory {
    serve: Arc<dyn Fn(DuplexStream) + Send + Sync>,
    connections: Arc<AtomicU64>,
}

impl Memory {
    /// Each connection goes to `serve`.
    fn raw(serve: impl Fn(DuplexStream) + Send + Sync + 'static) -> Memory {
        Memory { serve: Arc::new(serve), connections: Arc::default() }
    }

    /// An HTTP/1.1 server with this handler.
    fn http<H, F>(handler: H) -> Memory
    where
        H: Fn(u64) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        Memory::raw(move |stream| {
            let handler = handler.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = handler(sequence(&request));
                    async move {
                        request.into_body().collect().await.expect("the client sends whole bodies");
                        Ok::<_, Infallible>(answer.await)
                    }
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                drop(connection.await);
            });
        })
    }
}

impl Connect for Memory {
    type Stream = DuplexStream;

    async fn connect(&self) -> io::Result<DuplexStream> {
        let (client, server) = tokio::io::duplex(16 << 10);
        self.connections.fetch_add(1, Ordering::Relaxed);
        (self.serve)(server);
        Ok(client)
    }

    fn host(&self) -> &'static str {
        "memory"
    }
}

/// Nobody listens.
struct Nobody;

impl Connect for Nobody {
    type Stream = DuplexStream;

    async fn connect(&self) -> io::Result<DuplexStream> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    fn host(&self) -> &'static str {
        "nobody"
    }
}

/// The number at the end of `x-request-id: <run>-<seq>`.
fn sequence<B>(request: &Request<B>) -> u64 {
    let id = request.headers().get("x-request-id").expect("every request has an id").to_str().expect("in ASCII");
    id.strip_prefix("run-").expect("it begins with the run").parse().expect("it ends with a number")
}

fn answer(status: u16) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::from("{}")).expect("a response")
}

/// Sends with default limits, to the end.
async fn sent(schedule: &Schedule, connect: impl Connect) -> Sent {
    sent_with(schedule, connect, &at_runtime_pace(), pending()).await
}

async fn sent_with(
    schedule: &Schedule,
    connect: impl Connect,
    limits: &Limits,
    stop: impl Future<Output = ()>,
) -> Sent {
    let progress = Progress::new(schedule);
    let sent =
        send(schedule, &named("run"), connect, limits, &progress, |_| {}, stop).await.expect("the run has a good name");
    let totals = sent.ledger.totals();
    assert_eq!(totals.scheduled, schedule.requests.len() as u64);
    assert_eq!(totals.scheduled, totals.sent + totals.not_sent);
    assert_eq!(totals.sent, totals.answered + totals.failed.values().sum::<u64>());
    // A ledger that cannot be read again is no ledger.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.jsonl");
    sent.ledger.write(&path).expect("it can be written");
    assert_eq!(Ledger::read(&path).unwrap_or_else(|failure| panic!("{failure}")), sent.ledger);
    sent
}

fn latencies(ledger: &Ledger) -> Quantiles {
    Quantiles::of(ledger.entries.iter().filter_map(Entry::latency_us))
}

fn failed(ledger: &Ledger, kind: FailureKind) -> u64 {
    ledger.totals().failed.get(&kind).copied().unwrap_or(0)
}

/// Statuses by sequence number.
fn statuses(ledger: &Ledger) -> Vec<Option<u16>> {
    ledger.entries.iter().map(Entry::status).collect()
}

// ——— The stall oracle ———

/// A server that stands still for the first second of every ten.
fn stalling() -> Memory {
    let origin = Instant::now();
    Memory::http(move |_| async move {
        let into_period = Duration::from_micros((origin.elapsed().as_micros() % 10_000_000) as u64);
        sleep(Duration::from_secs(1).saturating_sub(into_period)).await;
        answer(200)
    })
}

/// What a caller sees of that server at 100/s: P(latency > x) = (1 s − x) / 10 s. Within the timer's millisecond or two.
fn agrees_with_the_oracle(latency: &Quantiles) -> bool {
    let near = |us: u64, ms: u64| us.abs_diff(ms * 1000) <= 2_000;
    near(latency.p95_us, 500) && near(latency.p99_us, 900) && near(latency.max_us, 1000)
}

#[tokio::test(start_paused = true)]
async fn a_stall_is_seen_by_everyone_who_would_have_called_meanwhile() {
    let schedule = schedule("100", "100s", "");
    let sent = sent(&schedule, stalling()).await;
    let latency = latencies(&sent.ledger);
    assert!(agrees_with_the_oracle(&latency), "{latency:?}");
    assert_eq!(sent.ledger.totals().answered, 10_000);
    assert!(sent.lag.max_us <= 1_000, "{:?}", sent.lag);
    assert!(sent.failure().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_oracle_kills_a_closed_loop() {
    let schedule = schedule("100", "100s", "");
    let server = stalling();
    let origin = Instant::now();
    let stream = server.connect().await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut latencies = Vec::new();
    for intended in &schedule.requests {
        // What most load generators do: wait for the answer before the next request, count from sending it.
        sleep_until(origin + intended.at).await;
        let sent = Instant::now();
        let request = Request::get("/").header("x-request-id", format!("run-{}", intended.seq));
        let answer = sender.send_request(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
        answer.into_body().collect().await.unwrap();
        latencies.push(u64::try_from(sent.elapsed().as_micros()).unwrap());
    }
    let latency = Quantiles::of(latencies);
    assert!(!agrees_with_the_oracle(&latency), "a closed loop sees nothing of a stall: {latency:?}");
    assert!(latency.p99_us < 10_000, "{latency:?}");
}

// ——— Servers with one known property ———

#[tokio::test(start_paused = true)]
async fn a_fixed_delay_is_measured_to_the_millisecond() {
    let server = Memory::http(|_| async {
        sleep(Duration::from_millis(250)).await;
        answer(200)
    });
    let sent = sent(&schedule("50", "10s", ""), server).await;
    let latency = latencies(&sent.ledger);
    assert!((250_000..=252_000).contains(&latency.p50_us), "{latency:?}");
    assert!((250_000..=252_000).contains(&latency.max_us), "{latency:?}");
}

#[tokio::test(start_paused = true)]
async fn each_answer_is_in_the_line_of_its_request() {
    let pattern = |seq: u64| [200, 201, 404, 500, 503][usize::try_from(seq % 5).unwrap()];
    // The earlier the request the later its answer: order must come from the id, not from arrival.
    let server = Memory::http(move |seq| async move {
        sleep(Duration::from_millis(300 - seq % 300)).await;
        answer(pattern(seq))
    });
    let sent = sent(&schedule("200", "2s", ""), server).await;
    let expected: Vec<Option<u16>> = (0..400).map(|seq| Some(pattern(seq))).collect();
    assert_eq!(statuses(&sent.ledger), expected);
    assert_eq!(sent.ledger.counts()[&("GET", "/", 404)], 80);
}

/// What a server reads of a request: its line with the id, `x-fault`, `content-type`, body.
type Read = (String, Option<String>, Option<String>, String);

#[tokio::test(start_paused = true)]
async fn requests_carry_what_the_scenario_says() {
    let seen: Arc<Mutex<Vec<Read>>> = Arc::default();
    let keep = Arc::clone(&seen);
    let server = Memory::raw(move |stream| {
        let keep = Arc::clone(&keep);
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let keep = Arc::clone(&keep);
                async move {
                    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
                    let line = format!("{} {} {}", request.method(), request.uri(), header("x-request-id").unwrap());
                    let (fault, kind) = (header("x-fault"), header("content-type"));
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    keep.lock().unwrap().push((line, fault, kind, String::from_utf8(body.to_vec()).unwrap()));
                    Ok::<_, Infallible>(answer(201))
                }
            });
            drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    });
    let text = r#"
        title = "t"
        [[phase]]
        name = "one"
        duration = "2s"
        rate = 1
        requests = [{ method = "POST", path = "/items?n={seq}", endpoint = "/items", body = '{"name":"n{seq}"}' }]
        faults = [{ fault = "error", count = 1, per = 1 }]
    "#;
    let scenario = Scenario::from_text(Path::new("90-test.toml"), text).unwrap();
    let schedule = Schedule::new(&scenario, 1, Speed::PRODUCTION, None).unwrap();
    sent(&schedule, server).await;
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    let (line, fault, kind, body) = &seen[1];
    assert_eq!(line, "POST /items?n=1 run-1");
    assert_eq!((fault.as_deref(), kind.as_deref()), (Some("error"), Some("application/json")));
    assert_eq!(body, r#"{"name":"n1"}"#);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_used_again() {
    let server = Memory::http(|_| async { answer(200) });
    let sent = sent(&schedule("100", "2s", ""), server.clone()).await;
    assert_eq!(sent.ledger.totals().answered, 200);
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_idled_for_long_is_not_used_again() {
    let server = Memory::http(|_| async { answer(200) });
    let sent = sent(&schedule("0.1", "30s", ""), server.clone()).await;
    assert_eq!(sent.ledger.totals().answered, 3);
    assert_eq!(server.connections.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn connections_that_the_server_closes_politely_cost_no_request() {
    // Every 7th answer says `Connection: close`.
    let server = Memory::http(|seq| async move {
        let mut answer = answer(200);
        if seq % 7 == 6 {
            answer.headers_mut().insert("connection", "close".parse().unwrap());
        }
        answer
    });
    let sent = sent(&schedule("100", "7s", ""), server.clone()).await;
    assert_eq!(sent.ledger.totals().answered, 700);
    assert_eq!(server.connections.load(Ordering::Relaxed), 100);
}

#[tokio::test(start_paused = true)]
async fn a_connection_closed_in_silence_is_replaced_and_no_request_is_sent_twice() {
    // Every connection is closed after its 5th answer, unannounced; what a connection read is counted.
    let arrived = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&arrived);
    let server = Memory::raw(move |mut stream| {
        let count = Arc::clone(&count);
        tokio::spawn(async move {
            for _ in 0..5 {
                if read_head(&mut stream).await.is_none() {
                    return;
                }
                count.fetch_add(1, Ordering::Relaxed);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            }
        });
    });
    let sent = sent(&schedule("100", "5s", ""), server.clone()).await;
    assert_eq!(sent.ledger.totals().answered, 500);
    assert_eq!(arrived.load(Ordering::Relaxed), 500);
    assert_eq!(server.connections.load(Ordering::Relaxed), 100);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_connection_breaks_is_not_sent_again() {
    // Every 10th request is read and its connection cut without an answer.
    let arrived = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&arrived);
    let server = Memory::raw(move |mut stream| {
        let count = Arc::clone(&count);
        tokio::spawn(async move {
            while let Some(head) = read_head(&mut stream).await {
                count.fetch_add(1, Ordering::Relaxed);
                if seq_of(&head).is_multiple_of(10) {
                    return;
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            }
        });
    });
    let sent = sent(&schedule("100", "5s", ""), server).await;
    assert_eq!(arrived.load(Ordering::Relaxed), 500, "each exactly once");
    assert_eq!(sent.ledger.totals().answered, 450);
    assert_eq!(failed(&sent.ledger, FailureKind::Broken), 50);
    assert!(sent.ledger.unsettled().all(|entry| entry.seq % 10 == 0));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_never_answers_is_a_time_out_each() {
    let server = Memory::raw(|stream| {
        tokio::spawn(async move {
            let _held = stream;
            pending::<()>().await;
        });
    });
    let limits = Limits { timeout: Duration::from_secs(2), ..at_runtime_pace() };
    let sent = sent_with(&schedule("20", "5s", ""), server, &limits, pending()).await;
    assert_eq!(failed(&sent.ledger, FailureKind::TimedOut), 100);
    let latency = latencies(&sent.ledger);
    assert!(
        latency.p50_us >= 2_000_000 && latency.max_us <= 2_002_000,
        "recorded as at least the time-out: {latency:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_up_at_once_has_seen_nothing_twice() {
    let server = Memory::raw(drop);
    let sent = sent(&schedule("20", "5s", ""), server.clone()).await;
    assert_eq!(sent.ledger.totals().answered, 0);
    assert_eq!(sent.ledger.totals().failed.values().sum::<u64>(), 100);
    assert_eq!(server.connections.load(Ordering::Relaxed), 100, "one attempt each");
}

#[tokio::test(start_paused = true)]
async fn refused_connections_were_never_seen_by_the_service() {
    let sent = sent(&schedule("20", "5s", ""), Nobody).await;
    assert_eq!(failed(&sent.ledger, FailureKind::Refused), 100);
    assert!(sent.ledger.entries.iter().all(|entry| entry.sent_us.is_none()));
    assert_eq!(sent.ledger.unsettled().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_stopped_for_two_seconds_delays_and_loses_nothing() {
    let (run, running) = watch::channel(true);
    let server = Memory::http(move |_| {
        let mut running = running.clone();
        async move {
            running.wait_for(|running| *running).await.unwrap();
            answer(200)
        }
    });
    tokio::spawn(async move {
        sleep(Duration::from_secs(3)).await;
        run.send(false).unwrap();
        sleep(Duration::from_secs(2)).await;
        run.send(true).unwrap();
        pending::<()>().await;
    });
    let sent = sent(&schedule("100", "10s", ""), server).await;
    assert_eq!(sent.ledger.totals().answered, 1000);
    let latency = latencies(&sent.ledger);
    assert!((1_989_000..=2_002_000).contains(&latency.max_us), "{latency:?}");
    assert!(sent.lag.max_us <= 1_000, "it kept sending meanwhile: {:?}", sent.lag);
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_counts_to_its_last_byte() {
    let server = Memory::raw(|mut stream| {
        tokio::spawn(async move {
            while read_head(&mut stream).await.is_some() {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n").await.unwrap();
                for _ in 0..10 {
                    sleep(Duration::from_millis(40)).await;
                    stream.write_all(b"x").await.unwrap();
                }
            }
        });
    });
    let sent = sent(&schedule("20", "5s", ""), server).await;
    let latency = latencies(&sent.ledger);
    assert_eq!(sent.ledger.totals().answered, 100);
    assert!((400_000..=402_000).contains(&latency.p50_us), "{latency:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_cut_short_is_no_answer() {
    let server = Memory::raw(|mut stream| {
        tokio::spawn(async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
        });
    });
    let sent = sent(&schedule("20", "1s", ""), server).await;
    assert_eq!(failed(&sent.ledger, FailureKind::Broken), 20);
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_an_answer_like_any_other() {
    let server = Memory::http(|_| async {
        let mut answer = answer(302);
        answer.headers_mut().insert("location", "/elsewhere".parse().unwrap());
        answer
    });
    let sent = sent(&schedule("20", "1s", ""), server).await;
    assert_eq!(statuses(&sent.ledger), vec![Some(302); 20]);
}

// ——— Stopping, limits, phases ———

#[tokio::test(start_paused = true)]
async fn an_interrupted_run_leaves_a_whole_ledger() {
    let server = Memory::http(|seq| async move {
        // Some answer within the grace, the last ones do not.
        sleep(Duration::from_millis(if seq < 250 { 5 } else { 60_000 })).await;
        answer(200)
    });
    let stop = sleep(Duration::from_millis(2_555));
    let sent = sent_with(&schedule("100", "10s", ""), server, &at_runtime_pace(), stop).await;
    assert!(sent.ledger.head.interrupted);
    let totals = sent.ledger.totals();
    assert_eq!((totals.answered, failed(&sent.ledger, FailureKind::Broken), totals.not_sent), (250, 6, 744));
    assert_eq!(sent.ledger.entries[999].outcome, Outcome::NotSent { why: "interrupted".to_owned() });
    assert_eq!(sent.failure().unwrap().kind(), Kind::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn a_generator_at_its_cap_says_so_and_stops() {
    let server = Memory::http(|_| async {
        sleep(Duration::from_secs(5)).await;
        answer(200)
    });
    let limits = Limits { max_in_flight: 50, ..at_runtime_pace() };
    let sent = sent_with(&schedule("100", "10s", ""), server, &limits, pending()).await;
    let failure = sent.failure().expect("it was limited");
    assert_eq!(failure.kind(), Kind::Infrastructure);
    assert!(failure.to_string().contains("GENERATOR_LIMITED: 50 requests in flight"), "{failure}");
    let totals = sent.ledger.totals();
    assert_eq!((totals.answered, totals.not_sent), (50, 950));
}

#[tokio::test(start_paused = true)]
async fn a_generator_that_falls_behind_says_so_and_stops() {
    let server = Memory::http(|_| async { answer(200) });
    let progress = Progress::new(&schedule("100", "10s", ""));
    let schedule = schedule("100", "10s", "");
    let limits = Limits { max_lag: Duration::from_millis(20), ..at_runtime_pace() };
    // A machine that has no time for us: the clock moves on by 100 ms at once.
    let stalled = async {
        sleep(Duration::from_millis(995)).await;
        tokio::time::advance(Duration::from_millis(100)).await;
        pending::<()>().await;
    };
    let named = named("run");
    let sent = tokio::select! {
        sent = send(&schedule, &named, server, &limits, &progress, |_| {}, pending()) => sent.unwrap(),
        () = stalled => unreachable!(),
    };
    let why = sent.ledger.head.limited.clone().expect("it was limited");
    assert!(why.contains("20 ms declared"), "{why}");
    assert_eq!(sent.ledger.totals().answered, 100);
    assert!(Summary::new(&sent.ledger, sent.lag).to_string().contains("GENERATOR_LIMITED"));
}

#[tokio::test(start_paused = true)]
async fn phases_are_told_at_their_time_and_the_run_lasts_to_the_end_of_the_last() {
    let text = "title = \"t\"\nrequests = [{ path = \"/\" }]\n\
                [[phase]]\nname = \"a\"\nduration = \"3s\"\nrate = 10\n\
                [[phase]]\nname = \"b\"\nduration = \"4s\"\nsilent = true\n\
                [[phase]]\nname = \"c\"\nduration = \"5s\"\nsilent = true\n";
    let scenario = Scenario::from_text(Path::new("90-test.toml"), text).unwrap();
    let schedule = Schedule::new(&scenario, 1, Speed::PRODUCTION, None).unwrap();
    let server = Memory::http(|_| async { answer(200) });
    let origin = Instant::now();
    let mut told = Vec::new();
    let progress = Progress::new(&schedule);
    let hook = |phase: &aiclipx_model::traffic::schedule::PlannedPhase| {
        told.push((phase.name.clone(), origin.elapsed().as_millis()));
    };
    let sent = send(&schedule, &named("run"), server, &at_runtime_pace(), &progress, hook, pending()).await.unwrap();
    let near = |ms: u128, expected: u128| ms.abs_diff(expected) <= 1;
    assert!(near(told[0].1, 0) && near(told[1].1, 3000) && near(told[2].1, 7000), "{told:?}");
    assert!(near(origin.elapsed().as_millis(), 12_000));
    assert_eq!(sent.ledger.head.elapsed_us / 10_000, 1200);
    assert_eq!(progress.snapshot().launched, 30);
}

#[tokio::test(start_paused = true)]
async fn a_run_name_that_makes_no_request_id_is_refused() {
    let schedule = schedule("1", "1s", "");
    let progress = Progress::new(&schedule);
    for run in ["", "two words", "a/b", &"x".repeat(51)] {
        let failure =
            send(&schedule, &named(run), Nobody, &at_runtime_pace(), &progress, |_| {}, pending()).await.unwrap_err();
        assert_eq!(failure.kind(), Kind::Usage, "{run}");
    }
}

#[tokio::test(start_paused = true)]
async fn progress_counts_what_the_ledger_says() {
    let server = Memory::http(|seq| async move {
        sleep(Duration::from_millis(20)).await;
        answer(if seq.is_multiple_of(4) { 500 } else { 200 })
    });
    let schedule = schedule("100", "10s", "");
    let progress = Progress::new(&schedule);
    let sent = send(&schedule, &named("run"), server, &at_runtime_pace(), &progress, |_| {}, pending()).await.unwrap();
    let shown = progress.snapshot();
    assert_eq!((shown.launched, shown.in_flight, shown.failed), (1000, 0, 250));
    assert_eq!(shown.p95_us.unwrap(), latencies(&sent.ledger).p95_us);
    let line = shown.line(99.96);
    assert!(line.starts_with("steady · 10/10 s · 100.0/s · 0 in flight · 250 failed · p95 2"), "{line}");
    assert!(Progress::new(&schedule).snapshot().line(0.0).ends_with("p95 –"), "nothing has ended, nothing is told");
}

// ——— The scenarios of the repository ———

fn scenarios() -> Vec<Scenario> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("scripts/traffic");
    aiclipx_model::scenario::all(&folder).unwrap_or_else(|failure| panic!("{failure}"))
}

/// What one of the original's scripts makes of its variables and argument: the scenario, and the options it runs with.
fn original(number: &str, argument: &str, variables: &[(&str, &str)]) -> Result<(Scenario, String), String> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let place = tempfile::tempdir().unwrap();
    let tool = place.path().join("tool");
    // No stack is up; what would be run is kept.
    let keep = "[ \"$1\" = status ] && exit 3\ncp \"$2\" \"$(dirname \"$0\")\"; shift 2; echo \"$*\"\n";
    executable::script(&tool, keep);
    // By name, not by its first line: a Nix sandbox has no /usr/bin/env.
    let mut script = std::process::Command::new("bash");
    let script = script.arg(root.join("scripts/original.sh")).arg(&tool).args([number, argument]);
    let script = script.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let output = script.envs(variables.iter().copied()).output().unwrap();
    if !output.status.success() {
        assert_eq!(output.status.code(), Some(2));
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let scenario =
        Scenario::read(&place.path().join(format!("90-original-{number}.toml"))).map_err(|f| f.to_string())?;
    Ok((scenario, String::from_utf8(output.stdout).unwrap()))
}

#[test]
fn the_originals_scripts_keep_their_variables_and_arguments() {
    let seconds = |scenario: &Scenario| scenario.phases.iter().map(|phase| phase.duration).sum::<Duration>().as_secs();
    for (number, argument, length) in
        [("01", "", 300), ("02", "", 300), ("03", "", 300), ("04", "", 300), ("05", "", 300), ("06", "", 780)]
    {
        let (scenario, options) = original(number, argument, &[]).unwrap();
        assert_eq!(seconds(&scenario), length, "{number}");
        assert_eq!(options, format!("--duration {length}s --base-url http://localhost:8080\n"), "{number}");
    }
    let (errors, options) =
        original("02", "", &[("ERROR_PCT", "15"), ("DURATION", "20"), ("BASE_URL", "http://x:1")]).unwrap();
    assert_eq!((errors.phases[0].faults[0].count, errors.phases[0].faults[0].per), (15, 100));
    assert_eq!(options, "--duration 20s --base-url http://x:1\n");
    assert!(original("02", "", &[("ERROR_PCT", "0")]).unwrap().0.phases[0].faults.is_empty());
    let (faults, _) = original("05", "", &[("TARGET_EPS", "0.5")]).unwrap();
    assert_eq!(faults.phases[0].volume, Volume::Rate(500));
    let bursts =
        [("BURST_EVERY", "5"), ("BURST_MIN", "7"), ("BURST_MAX", "7"), ("DURATION", "12"), ("SLEEP_MAX", "0.35")];
    let (hot, _) = original("04", "/items", &bursts).unwrap();
    assert_eq!((seconds(&hot), hot.phases.len()), (12, 6));
    assert_eq!((hot.phases[0].volume, hot.phases[1].volume), (Volume::Rate(5_000), Volume::Count(7)));
    assert!(hot.phases.iter().flat_map(|phase| &phase.requests).all(|request| request.endpoint == "/items"));
    for (mode, length) in [("baseline", 60), ("5xx", 120), ("latency", 120), ("exceptions", 120), ("drop", 360)] {
        assert_eq!(seconds(&original("06", mode, &[]).unwrap().0), length, "{mode}");
    }
    for (number, argument, variable, says) in [
        ("02", "", ("ERROR_PCT", "101"), "ERROR_PCT=101"),
        ("02", "", ("DURATION", "5m"), "DURATION=5m"),
        ("01", "", ("DURATION", "0"), "longer than nothing"),
        ("04", "", ("BURST_MIN", "90"), "BURST_MIN"),
        ("06", "everything", ("X", ""), "all, baseline, 5xx"),
    ] {
        let error = original(number, argument, &[variable]).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn every_scenario_can_be_sent_at_the_speeds_in_use() {
    for scenario in scenarios() {
        for speed in [1, 15, 30] {
            let schedule = Schedule::new(&scenario, 42, Speed::new(speed).unwrap(), None).unwrap();
            for (planned, phase) in schedule.phases.iter().zip(&scenario.phases) {
                assert_eq!(planned.requests == 0, phase.volume == Volume::Silent, "{planned:?}");
            }
        }
    }
}

#[test]
fn no_scenario_fills_the_store() {
    let posts = |scenario: &Scenario, speed: u32| {
        let schedule = Schedule::new(scenario, 42, Speed::new(speed).unwrap(), None).unwrap();
        schedule.requests.iter().filter(|request| request.method == "POST").count()
    };
    // The service holds 10 000 items. One at production speed fits, and ten rounds of all at speed 30.
    assert!(scenarios().iter().all(|scenario| posts(scenario, 1) < 10_000));
    // A stack of so many replicas runs those that are about as many, or any number; each replica has a store of its own, and its share.
    for replicas in [1, 3] {
        let is_run = |scenario: &&Scenario| scenario.replicas.is_none_or(|wanted| wanted.count() == replicas);
        let of_a_round: usize = scenarios().iter().filter(is_run).map(|scenario| posts(scenario, 30)).sum();
        assert!(of_a_round.div_ceil(replicas) < 1_000, "{of_a_round} over {replicas}");
    }
}

#[test]
fn in_the_error_phase_exactly_seven_of_each_hundred_carry_the_fault() {
    let scenarios = scenarios();
    let scenario = scenarios.iter().find(|scenario| scenario.id() == "02-error-rate").unwrap();
    let schedule = Schedule::new(scenario, 42, Speed::new(30).unwrap(), None).unwrap();
    let (faulty, of) = schedule
        .requests
        .iter()
        .filter(|request| schedule.phases[request.phase].faulty)
        .fold((0, 0), |(faulty, of), request| {
            (faulty + usize::from(request.fault.as_deref() == Some("error")), of + 1)
        });
    // Seven hundreds, the last one not whole.
    assert_eq!((faulty, of), (49, 680));
    assert!(schedule.requests.iter().all(|request| request.fault.is_none() || schedule.phases[request.phase].faulty));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_leads_back_to_its_schedule_and_to_no_other() {
    let scenarios = scenarios();
    let scenario = scenarios.iter().find(|scenario| scenario.id() == "02-error-rate").unwrap();
    let schedule = Schedule::new(scenario, 42, Speed::new(30).unwrap(), None).unwrap();
    let sent = sent(&schedule, Memory::http(|_| async { answer(200) })).await;
    assert_eq!(sent.ledger.schedule(scenario).unwrap(), schedule);

    let mut other_seed = sent.ledger.clone();
    other_seed.head.seed = 43;
    assert!(other_seed.schedule(scenario).unwrap_err().to_string().contains("its schedule is"));
    let mut without_fault = sent.ledger.clone();
    let faulty = without_fault.entries.iter_mut().find(|entry| entry.fault.is_some()).unwrap();
    faulty.fault = None;
    let failure = without_fault.schedule(scenario).unwrap_err().to_string();
    assert!(failure.contains("is not the one that was scheduled"), "{failure}");
}

// ——— Over real sockets; nothing is said about time ———

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp_every_request_is_answered_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let arrived = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&arrived);
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let seq = sequence(&request);
                    count.fetch_add(1, Ordering::Relaxed);
                    async move { Ok::<_, Infallible>(answer(if seq.is_multiple_of(10) { 500 } else { 200 })) }
                });
                drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    let connect = Tcp::resolve(&Address::loopback(port)).await.unwrap();
    let limits = Limits { max_lag: Duration::from_mins(1), ..Limits::default() };
    let sent = sent_with(&schedule("500", "1s", ""), connect, &limits, pending()).await;
    server.abort();
    assert_eq!(arrived.load(Ordering::Relaxed), 500);
    assert_eq!(sent.ledger.counts()[&("GET", "/", 500)], 50);
    assert_eq!(sent.ledger.counts()[&("GET", "/", 200)], 450);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp_a_port_nobody_listens_on_refuses_each() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let connect = Tcp::resolve(&Address::loopback(port)).await.unwrap();
    let limits = Limits { max_lag: Duration::from_mins(1), ..Limits::default() };
    let sent = sent_with(&schedule("100", "1s", ""), connect, &limits, pending()).await;
    assert_eq!(failed(&sent.ledger, FailureKind::Refused), 100);
}

/// A run to look at: its progress and its table. Without `ADDRESS`, against a server of its own whose answers take
/// `DELAY_MS`; with it, a scenario at speed 30 against what listens there.
///
/// `RATE=5000 SECONDS=10 cargo test --test traffic -- --ignored --nocapture look`
/// `ADDRESS=127.0.0.1:8080 SCENARIO=02 cargo test --test traffic -- --ignored --nocapture look`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "to be looked at; it takes real time and claims nothing"]
async fn look_at_a_run() {
    let setting = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let (address, schedule) = if let Ok(address) = std::env::var("ADDRESS") {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("scripts/traffic");
        let scenario = aiclipx_model::scenario::find(&folder, &setting("SCENARIO", "01")).unwrap();
        (address.parse().unwrap(), Schedule::new(&scenario, 42, Speed::new(30).unwrap(), None).unwrap())
    } else {
        let duration = format!("{}s", setting("SECONDS", "10"));
        let faults = "faults = [{ fault = \"error\", count = 3, per = 10 }]";
        let delay = Duration::from_millis(setting("DELAY_MS", "5").parse().unwrap());
        (answering_after(delay).await, schedule(&setting("RATE", "500"), &duration, faults))
    };
    let connect = Tcp::resolve(&address).await.unwrap();
    let progress = Progress::new(&schedule);
    let shown = tokio::spawn(Arc::clone(&progress).show());
    let stop = async { tokio::signal::ctrl_c().await.unwrap() };
    let sent = send(&schedule, &named("look"), connect, &Limits::default(), &progress, |_| {}, stop).await.unwrap();
    shown.abort();
    drop(shown.await);
    println!("{}", Summary::new(&sent.ledger, sent.lag));
    let between = |from: Option<&Entry>, to: Option<&Entry>| Some(to?.sent_us? - from?.sent_us?);
    if let Some(us) = between(sent.ledger.entries.first(), sent.ledger.entries.last()) {
        let per_second = (sent.ledger.entries.len() as u64 - 1) * 1_000_000_000 / us;
        println!("{}.{:03}/s between the first and the last", per_second / 1000, per_second % 1000);
    }
}

/// A server on a real socket that answers after a delay, and fails what asks for it.
async fn answering_after(delay: Duration) -> Address {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = Address::loopback(listener.local_addr().expect("a bound socket").port());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("a socket");
            let service = service_fn(move |request: Request<Incoming>| async move {
                sleep(delay).await;
                Ok::<_, Infallible>(answer(if request.headers().contains_key("x-fault") { 500 } else { 200 }))
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

/// Reads to the end of a request's head (these have no body); None at the end of the connection.
async fn read_head(stream: &mut DuplexStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).expect("a request's head is ASCII"))
}

fn seq_of(head: &str) -> u64 {
    let line = head.lines().find_map(|line| line.strip_prefix("x-request-id: run-")).expect("every request has an id");
    line.parse().expect("it ends with a number")
}

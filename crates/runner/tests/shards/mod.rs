//! Four generators that share a schedule: together they send what one sends, and their parts make its ledger.

use aiclipx_app::Listeners;
use aiclipx_app::config::Config;
use aiclipx_app::metrics::Metrics;
use aiclipx_app::store::Store;
use aiclipx_http::client;
use aiclipx_model::prom::exposition::{self, Exposition};
use aiclipx_model::traffic::ledger::Head;
use aiclipx_model::traffic::merge::merge;
use aiclipx_model::traffic::part::Part;
use aiclipx_model::traffic::shard::{Shard, Share};
use aiclipx_runner::counted::{Counted, Told};
use futures_util::future::join_all;
use tokio::net::TcpListener;

use super::*;

/// Everything a request is made of, and answers of many kinds; none of them rests on what was sent before.
fn everything() -> Schedule {
    let text = r#"
        title = "t"
        requests = [
          { weight = 3, path = "/" },
          { weight = 2, method = "POST", path = "/items?n={seq}", endpoint = "/items", body = '{"name":"n{seq}"}' },
          { weight = 1, method = "POST", path = "/items", body = '{"name":" "}' },
          { weight = 1, path = "/items/9000{seq}", endpoint = "/items/{id}" },
          { weight = 1, method = "DELETE", path = "/items/9000{seq}", endpoint = "/items/{id}" },
          { weight = 1, path = "/nowhere/{seq}", endpoint = "unmatched" },
        ]
        [[phase]]
        name = "steady"
        duration = "1s"
        rate = 101
        [[phase]]
        name = "random"
        duration = "1s"
        rate = 90
        arrival = "poisson"
        faults = [{ fault = "error", count = 2, per = 10 }, { fault = "delay=5ms", count = 1, per = 10 }]
    "#;
    let scenario = Scenario::from_text(Path::new("90-test.toml"), text).unwrap();
    Schedule::new(&scenario, 7, Speed::PRODUCTION, None).unwrap()
}

/// Sends it with so many generators at once, each to its own place, and merges what they leave.
async fn shared<C: Connect>(schedule: &Schedule, to: Vec<C>, limits: &Limits) -> Ledger {
    let of = to.len();
    let progress = Progress::new(schedule);
    let sending = (0..of).zip(to).map(|(index, connect)| {
        let progress = &progress;
        let shard: Shard = format!("{index}/{of}").parse().unwrap();
        let own = Share::new(schedule, shard);
        async move { (shard, send(own, &named("run"), connect, limits, progress, |_| {}, pending()).await.unwrap()) }
    });
    let folder = tempfile::tempdir().unwrap();
    let mut parts = Vec::new();
    for (shard, sent) in join_all(sending).await {
        assert!(sent.failure().is_none(), "{:?}", sent.ledger.head.limited);
        let path = folder.path().join(shard.to_string().replace('/', "-of-"));
        let scheduled = schedule.requests.len() as u64;
        Part { shard, start_at_unix_us: None, scheduled, sent: &sent.ledger }.write(&path).unwrap();
        parts.push(path);
    }
    let ledger = folder.path().join("ledger.jsonl");
    let merged = merge(&parts, &ledger).unwrap_or_else(|failure| panic!("{failure}"));
    let read = Ledger::read(&ledger).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(merged.totals, read.totals());
    assert_eq!(read.head.starts_unix_us.len(), of);
    read
}

/// All but when it was sent and ended; when it was to be sent stays.
fn without_times(ledger: &Ledger) -> Ledger {
    let head =
        Head { started_unix_us: 0, ended_unix_us: 0, elapsed_us: 0, starts_unix_us: Vec::new(), ..ledger.head.clone() };
    let timeless = |entry: &Entry| Entry {
        sent_us: entry.sent_us.map(|_| 0),
        ended_us: entry.ended_us.map(|_| 0),
        ..entry.clone()
    };
    Ledger { head, entries: ledger.entries.iter().map(timeless).collect() }
}

fn patient() -> Limits {
    Limits { max_lag: Duration::from_mins(1), ..Limits::default() }
}

/// What a server read of a request, and when: its line, id, fault, content type and body.
type Arrived = (u64, String);

/// Keeps what arrives.
fn keeping(seen: &Arc<Mutex<Vec<Arrived>>>) -> Memory {
    let (seen, origin) = (Arc::clone(seen), Instant::now());
    Memory::raw(move |stream| {
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let seen = Arc::clone(&seen);
                async move {
                    let at = u64::try_from(origin.elapsed().as_micros()).unwrap();
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    let said = format!("{} {} {:?} {body:?}", head.method, head.uri, head.headers);
                    seen.lock().unwrap().push((at, said));
                    Ok::<_, Infallible>(answer(200))
                }
            });
            drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    })
}

#[tokio::test(start_paused = true)]
async fn four_generators_send_what_one_sends_each_request_once_and_at_its_time() {
    let schedule = everything();
    let [by_one, by_four]: [Arc<Mutex<Vec<Arrived>>>; 2] = Default::default();
    let one = sent(&schedule, keeping(&by_one)).await;
    let server = keeping(&by_four);
    let four =
        shared(&schedule, vec![server.clone(), server.clone(), server.clone(), server], &at_runtime_pace()).await;
    assert_eq!(without_times(&four), without_times(&one.ledger));

    let [one, four] = [by_one, by_four].map(|seen| {
        let mut seen = std::mem::take(&mut *seen.lock().unwrap());
        seen.sort_by(|one, other| one.1.cmp(&other.1));
        seen
    });
    assert_eq!(four.len(), schedule.requests.len());
    for (one, four) in one.iter().zip(&four) {
        assert_eq!(one.1, four.1, "headers and body, too");
        assert!(one.0.abs_diff(four.0) <= 2_000, "to the clock's millisecond or two: {one:?} {four:?}");
    }
}

/// The service itself, with faults; what its clients and its monitoring ask.
async fn service() -> (Address, Address) {
    let (clients, admin) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let [to, scraped] = [&clients, &admin].map(|listener| Address::loopback(listener.local_addr().unwrap().port()));
    let metrics = Arc::new(Metrics::new("0", "0").unwrap());
    let config = Config { faults: true, ..Config::default() };
    let store = Store::open(&config, &metrics).unwrap();
    tokio::spawn(aiclipx_app::run(Listeners { clients, admin }, config, store, metrics, pending()));
    (to, scraped)
}

async fn scrapes(of: &[Address]) -> Vec<Exposition> {
    let mut scraped = Vec::new();
    for address in of {
        let answer = client::get(address, "/metrics", Duration::from_mins(1)).await.unwrap();
        scraped.push(exposition::parse(std::str::from_utf8(&answer.body).unwrap()).unwrap());
    }
    scraped
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_of_four_generators_merges_to_the_very_ledger_of_one_and_two_replicas_counted_it_together() {
    let schedule = everything();
    let (alone, _) = service().await;
    let one = sent_with(&schedule, Tcp::resolve(&alone).await.unwrap(), &patient(), pending()).await;

    let ((first, its), (second, others)) = (service().await, service().await);
    let replicas = [its, others];
    let [first, second] = [Tcp::resolve(&first).await.unwrap(), Tcp::resolve(&second).await.unwrap()];
    let before = scrapes(&replicas).await;
    let four = shared(&schedule, vec![first.clone(), first, second.clone(), second], &patient()).await;
    let after = scrapes(&replicas).await;

    assert_eq!(without_times(&four), without_times(&one.ledger));
    let statuses: std::collections::BTreeSet<u16> = four.entries.iter().filter_map(Entry::status).collect();
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [200, 201, 400, 404, 500]);

    let counted = |before: &[Exposition], after: &[Exposition]| {
        Told::of_expositions(&four, Service::ours(), before, after).counted().clone()
    };
    assert_eq!(counted(&before, &after), Counted::Same);
    // One replica alone has not counted all; and what was counted before is not of this run.
    assert!(matches!(counted(&before[..1], &after[..1]), Counted::Otherwise(_)));
    assert!(matches!(counted(&after, &after), Counted::Otherwise(_)));
    // A replica that came up meanwhile counted from nothing.
    assert_eq!(counted(&[before[0].clone(), Exposition::new()], &after), Counted::Same);
}

#[tokio::test(start_paused = true)]
async fn a_merged_ledger_leads_back_to_its_schedule_as_any_other() {
    let scenarios = scenarios();
    let scenario = scenarios.iter().find(|scenario| scenario.id() == "02-error-rate").unwrap();
    let schedule = Schedule::new(scenario, 42, Speed::new(30).unwrap(), None).unwrap();
    let server = Memory::http(|_| async { answer(200) });
    let ledger = shared(&schedule, vec![server.clone(), server.clone(), server], &at_runtime_pace()).await;
    assert_eq!(ledger.head.schedule_sha256, schedule.sha256());
    assert_eq!(ledger.schedule(scenario).unwrap(), schedule);
}

//! Replicas over memory, on a paused clock: who gets what, while they are ready and while they are not.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::time::Instant;

use super::*;
use crate::traffic::progress::Progress;
use crate::traffic::send::{Limits, Named, Pacing, Sent, send};
use aiclipx_base::duration::Speed;
use aiclipx_model::scenario::Scenario;
use aiclipx_model::traffic::ledger::Outcome;
use aiclipx_model::traffic::schedule::Schedule;

/// What a replica says of itself at a time of the run.
type Says = fn(Duration) -> Readiness;

#[derive(Clone, Copy, PartialEq)]
enum Readiness {
    Ready,
    Not,
    Mute,
    /// Nobody listens.
    Gone,
}

use Readiness::{Gone, Mute, Not, Ready};

/// A replica over memory.
#[derive(Clone)]
struct Replica {
    says: Says,
    origin: Instant,
    asked: Arc<AtomicU64>,
}

fn replica(says: Says) -> Replica {
    Replica { says, origin: Instant::now(), asked: Arc::default() }
}

impl Connect for Replica {
    type Stream = DuplexStream;

    async fn connect(&self) -> io::Result<DuplexStream> {
        if (self.says)(self.origin.elapsed()) == Gone {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (client, server) = tokio::io::duplex(16 << 10);
        let replica = self.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let replica = replica.clone();
                async move { Ok::<_, Infallible>(replica.answer(&request).await) }
            });
            drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service).await);
        });
        Ok(client)
    }

    fn host(&self) -> &'static str {
        "memory"
    }
}

impl Replica {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let mut answer = Response::new(Full::default());
        if request.uri().path() == Service::ours().ready {
            self.asked.fetch_add(1, Ordering::Relaxed);
            match (self.says)(self.origin.elapsed()) {
                Mute => pending().await,
                Ready => {}
                Not | Gone => *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
            }
        }
        answer
    }
}

fn schedule(requests: &str) -> Schedule {
    let text = format!(
        "title = \"t\"\n[[phase]]\nname = \"steady\"\nduration = \"9s\"\nrate = 100\nrequests = [{requests}]\n"
    );
    let scenario = Scenario::from_text(Path::new("90-test.toml"), &text).expect("the scenario is right");
    Schedule::new(&scenario, 1, Speed::PRODUCTION, None).expect("the schedule can be made")
}

const ROOT: &str = r#"{ path = "/" }"#;

async fn sent(schedule: &Schedule, to: impl IntoIterator<Item = Replica>) -> Sent {
    let (limits, progress) = (Limits { pacing: Pacing::Runtime, ..Limits::default() }, Progress::new(schedule));
    let named = Named { run: "run", service: Service::ours() };
    send(schedule, &named, Balanced::over(to), &limits, &progress, |_| {}, pending())
        .await
        .expect("the run has a good name")
}

/// How many each of three got, of those that `which` says by their number.
fn got(sent: &Sent, which: impl Fn(u64) -> bool) -> [u64; 3] {
    let mut got = [0; 3];
    for entry in sent.ledger.entries.iter().filter(|entry| which(entry.seq)) {
        got[entry.replica.expect("there are several") as usize - 1] += 1;
    }
    got
}

fn is_answered(sent: &Sent) -> bool {
    sent.ledger.entries.iter().all(|entry| entry.outcome == Outcome::Answered { status: 200 })
}

#[tokio::test(start_paused = true)]
async fn while_all_are_ready_each_gets_a_third_and_the_same_each_time() {
    let schedule = schedule(ROOT);
    let replicas = || [(); 3].map(|()| replica(|_| Ready));
    let (first, second) = (sent(&schedule, replicas()).await, sent(&schedule, replicas()).await);
    assert!(is_answered(&first));
    assert_eq!(got(&first, |_| true), [300; 3]);
    assert_eq!(got(&first, |seq| seq < 3), [1; 3], "in each block of three each has one");
    let replicas = |sent: &Sent| sent.ledger.entries.iter().map(|entry| entry.replica).collect::<Vec<_>>();
    assert_eq!(replicas(&first), replicas(&second));
    // A shard of three has all of them before it, and not one.
    for shard in 0..3 {
        let got = got(&first, |seq| seq % 3 == shard);
        assert!(got.iter().all(|count| (70..=130).contains(count)), "shard {shard}: {got:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_not_ready_gets_nothing_and_the_others_all() {
    for says in [(|_| Not) as Says, |_| Gone, |_| Mute] {
        let sent = sent(&schedule(ROOT), [replica(|_| Ready), replica(says), replica(|_| Ready)]).await;
        let [first, second, third] = got(&sent, |_| true);
        assert!(is_answered(&sent));
        assert_eq!((first + third, second), (900, 0));
        assert!(first.abs_diff(third) < 90, "{first} and {third}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_drains_gets_nothing_from_the_next_look_on_and_who_is_back_its_share() {
    // Gone a second and a half after it began to drain, as a restart has it.
    let restarts: Says = |at| match at.as_millis() {
        ..3_000 | 6_000.. => Ready,
        3_000..4_500 => Not,
        4_500..6_000 => Gone,
    };
    let sent = sent(&schedule(ROOT), [replica(|_| Ready), replica(restarts), replica(|_| Ready)]).await;
    assert!(is_answered(&sent), "no request is lost");
    let of_second = |from: u64, to: u64| {
        let sent = &sent.ledger.entries;
        sent.iter()
            .filter(|entry| entry.replica == Some(2) && (from * 1000..to * 1000).contains(&entry.intended_us))
            .count()
    };
    assert_eq!((of_second(0, 3_000), of_second(3_201, 6_000)), (100, 0));
    assert!(of_second(6_201, 9_000) > 90);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_is_ready_each_gets_what_is_its_own() {
    let sent = sent(&schedule(ROOT), [(); 3].map(|()| replica(|_| Not))).await;
    assert!(is_answered(&sent));
    assert_eq!(got(&sent, |_| true), [300; 3]);
}

#[tokio::test(start_paused = true)]
async fn what_is_one_thing_is_asked_of_the_same_replica() {
    let one = |id: u64, more: &str| format!(r#"{{ path = "/items/{id}{more}", endpoint = "/items/{{id}}" }}"#);
    let requests: Vec<String> = (1..=9).flat_map(|id| [one(id, ""), one(id, "?again")]).collect();
    let sent = sent(&schedule(&requests.join(", ")), [(); 3].map(|()| replica(|_| Ready))).await;
    let mut asked: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for entry in &sent.ledger.entries {
        let path = entry.path.split('?').next().unwrap_or_default();
        asked.entry(path).or_default().extend(entry.replica);
    }
    let mut replicas: Vec<u32> = Vec::new();
    for (path, mut of) in asked {
        of.dedup();
        assert_eq!(of.len(), 1, "{path}: {of:?}");
        replicas.extend(of);
    }
    replicas.sort_unstable();
    replicas.dedup();
    assert_eq!(replicas, [1, 2, 3], "and not all of one");
}

#[tokio::test(start_paused = true)]
async fn a_single_one_is_not_looked_at_and_gets_all() {
    let alone = replica(|_| Not);
    let sent = sent(&schedule(ROOT), [alone.clone()]).await;
    assert!(is_answered(&sent));
    assert!(sent.ledger.entries.iter().all(|entry| entry.replica.is_none()));
    assert_eq!(alone.asked.load(Ordering::Relaxed), 0);
}

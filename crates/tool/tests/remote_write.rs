//! A real Prometheus with the configuration that `--remote-write` makes, and a store of ours that it writes to: which goes away,
//! comes back, and asks for patience. Every sample that Prometheus has arrives. A real store: `just remote-write`.

#![expect(clippy::unwrap_used, reason = "a test file throughout: what can't be had fails the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aiclipx_base::address::Address;
use aiclipx_base::duration::Speed;
use aiclipx_http::client;
use aiclipx_http::serve::{Incoming, Limits, Plain, serve};
use aiclipx_model::monitoring::addresses::{Addresses, Logging};
use aiclipx_model::monitoring::remote_write::{Credentials, RemoteWrite};
use aiclipx_model::monitoring::{Monitoring, prometheus_flags};
use aiclipx_model::prom::answer::{Data, Series};
use aiclipx_runner::remote_write::WriteRequest;
use aiclipx_stack::prom::client::Api;
use aiclipx_tool::check::metrics::OF_REMOTE_WRITE;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Tenths of a second until whatever is waited for has come; reaching it is a failure, not a measurement.
const PATIENCE: u32 = 900;
const TOKEN: &str = "hunter2-hunter2";

/// By labels, by time: the value's bits.
type Samples = BTreeMap<BTreeMap<String, String>, BTreeMap<i64, u64>>;

/// What a store has been told, and how it answers.
#[derive(Default)]
struct Told {
    samples: Samples,
    /// What did not say who it was.
    strangers: usize,
    /// Requests that were asked for patience.
    put_off: usize,
    asks_for_patience: bool,
}

impl Told {
    fn take(&mut self, body: &[u8]) {
        for series in WriteRequest::unpacked(body).unwrap().timeseries {
            let labels = series.labels.into_iter().map(|label| (label.name, label.value)).collect();
            let samples = self.samples.entry(labels).or_default();
            samples.extend(series.samples.iter().map(|sample| (sample.timestamp, sample.value.to_bits())));
        }
    }

    /// Those of a name, which came from one place.
    fn of(&self, name: &str) -> BTreeMap<i64, u64> {
        let of_it = self.samples.iter().filter(|(labels, _)| labels["__name__"] == name);
        of_it.flat_map(|(_, samples)| samples.clone()).collect()
    }
}

fn limits() -> Limits {
    let second = Duration::from_secs(1);
    Limits { connections: 16, patience: 30 * second, crowded: None, drain: second }
}

/// A server that is there until it is dropped.
struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The store, at an address that it comes back to.
struct Store {
    address: Address,
    told: Arc<Mutex<Told>>,
    server: Option<Server>,
}

impl Store {
    async fn open(address: Address) -> Store {
        let mut store = Store { address, told: Arc::default(), server: None };
        store.comes_back().await;
        store
    }

    async fn comes_back(&mut self) {
        let listener = TcpListener::bind(self.address.to_string()).await.unwrap();
        let told = Arc::clone(&self.told);
        let service = Plain::new(Duration::from_secs(20), move |request: Request<Incoming>| {
            let told = Arc::clone(&told);
            async move {
                let is_known =
                    request.headers().get(AUTHORIZATION).is_some_and(|who| who == &format!("Bearer {TOKEN}"));
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let mut told = told.lock().unwrap();
                let status = if !is_known {
                    told.strangers += 1;
                    StatusCode::UNAUTHORIZED
                } else if told.asks_for_patience {
                    told.put_off += 1;
                    StatusCode::TOO_MANY_REQUESTS
                } else {
                    told.take(&body);
                    StatusCode::NO_CONTENT
                };
                let mut response = Response::new(Full::new(Bytes::new()));
                *response.status_mut() = status;
                response
            }
        });
        self.server = Some(Server(tokio::spawn(async move {
            serve(listener, limits(), Arc::new(service), std::future::pending()).await;
        })));
    }

    /// Nobody listens there any more, and who was connected is cut off.
    async fn goes_away(&mut self) {
        self.server = None;
        until("nobody listens there", async || std::net::TcpListener::bind(self.address.to_string()).is_ok()).await;
    }

    fn told<T>(&self, of: impl FnOnce(&mut Told) -> T) -> T {
        of(&mut self.told.lock().unwrap())
    }
}

/// A service whose counter grows by one with each scrape.
async fn target() -> (Address, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::loopback(listener.local_addr().unwrap().port());
    let scraped = std::sync::atomic::AtomicU64::new(0);
    let service = Plain::new(Duration::from_secs(20), move |_: Request<Incoming>| {
        let count = scraped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut response = Response::new(Full::from(format!("# TYPE x_total counter\nx_total {count}\n")));
        response.headers_mut().insert(CONTENT_TYPE, "text/plain; version=0.0.4".parse().unwrap());
        async move { response }
    });
    let server = tokio::spawn(async move {
        serve(listener, limits(), Arc::new(service), std::future::pending()).await;
    });
    (address, Server(server))
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..PATIENCE {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not within {} s: {what}", PATIENCE / 10);
}

fn free_address() -> Address {
    Address::loopback(std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port())
}

/// A Prometheus that lives by our files at speed 30, scrapes that target and itself, and writes to that store.
struct Prometheus {
    address: Address,
    api: Api,
    log: PathBuf,
    _process: tokio::process::Child,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(target: &Address, store: &Address) -> Prometheus {
        let folder = tempfile::tempdir().unwrap();
        let etc = folder.path().join("a stack");
        let address = free_address();
        let token_file = folder.path().join("a token");
        std::fs::write(&token_file, format!("{TOKEN}\n")).unwrap();
        let nobody = free_address();
        let labels = [("stack", "here"), ("replica", "a")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let addresses = Addresses {
            app_admin: vec![target.clone()],
            prometheus: address.clone(),
            alertmanager: nobody.clone(),
            receiver: nobody.clone(),
            probe: nobody.clone(),
            logging: Logging { vector_metrics: nobody.clone(), loki: nobody.clone(), ..Addresses::canonical().logging },
            remote_write: Some(Box::new(RemoteWrite {
                url: format!("http://{store}/api/v1/write").parse().unwrap(),
                credentials: Some(Credentials::Bearer { token_file }),
                labels: labels.into(),
            })),
            ..Addresses::canonical()
        };
        let speed: Speed = "30".parse().unwrap();
        let ours =
            Monitoring::read(&Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("monitoring")).unwrap();
        for (path, bytes) in ours.render(&addresses, speed).unwrap() {
            let path = etc.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let log = folder.path().join("log");
        let process = tokio::process::Command::new("prometheus")
            .arg(format!("--config.file={}", etc.join("prometheus/prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(prometheus_flags(speed))
            .stderr(std::fs::File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run prometheus ({error}); Debian's package is prometheus"));
        Prometheus { api: Api::new(&address), address, log, _process: process, _folder: folder }
    }

    async fn query(&self, expr: &str) -> Vec<Series> {
        self.api.query(expr, None).await.map(Data::into_series).unwrap_or_default()
    }

    async fn value(&self, expr: &str) -> f64 {
        self.query(expr).await.first().and_then(|series| series.samples.last()).map_or(0.0, |sample| sample.value)
    }

    /// The samples of a series, as they are stored.
    async fn stored(&self, selector: &str) -> BTreeMap<i64, u64> {
        let series = self.query(&format!("{selector}[10m]")).await;
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this century lie far below 2^53")]
        let ms = |seconds: f64| (seconds * 1000.0).round() as i64;
        let samples = series.iter().flat_map(|series| &series.samples);
        samples.map(|sample| (ms(sample.seconds), sample.value.to_bits())).collect()
    }

    /// Waits until it has stored so many more samples of the target's counter.
    async fn scrapes(&self, more: usize) {
        let before = self.stored("x_total").await.len();
        until("it goes on scraping", async || self.stored("x_total").await.len() >= before + more).await;
    }
}

/// The store has, of that series, all that Prometheus has, and nothing else.
async fn arrives(prometheus: &Prometheus, store: &Store, name: &str) {
    let stored = prometheus.stored(name).await;
    let has_all = || store.told(|told| told.of(name)).keys().copied().collect::<Vec<_>>();
    let last = *stored.keys().next_back().unwrap();
    until("the last sample arrives", async || has_all().contains(&last)).await;
    let mut told = store.told(|told| told.of(name));
    told.retain(|at, _| *at <= last);
    assert_eq!(told, stored, "of {name}; Prometheus says {}", std::fs::read_to_string(&prometheus.log).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_samples_arrive_from_before_while_and_after_the_store_was_away() {
    let (target, _serving) = target().await;
    let mut store = Store::open(free_address()).await;
    let prometheus = Prometheus::start(&target, &store.address);
    until("the first sample arrives", async || !store.told(|told| told.of("x_total")).is_empty()).await;

    store.goes_away().await;
    prometheus.scrapes(10).await;
    assert!(prometheus.stored("x_total").await.len() > store.told(|told| told.of("x_total")).len() + 5);
    store.comes_back().await;
    arrives(&prometheus, &store, "x_total").await;

    // It is there, and overwhelmed: that is no refusal.
    store.told(|told| told.asks_for_patience = true);
    prometheus.scrapes(10).await;
    until("it was asked for patience", async || store.told(|told| told.put_off) > 0).await;
    store.told(|told| told.asks_for_patience = false);
    arrives(&prometheus, &store, "x_total").await;
    // No whole numbers.
    arrives(&prometheus, &store, "process_cpu_seconds_total").await;

    let refused = "prometheus_remote_storage_samples_failed_total";
    until("it counts what was refused", async || !prometheus.query(refused).await.is_empty()).await;
    assert_eq!(prometheus.value(refused).await.to_bits(), 0.0_f64.to_bits(), "samples were refused");
    assert_eq!(store.told(|told| told.strangers), 0, "it did not say who it was");
    told_apart(&store);
    what_rules_ask_for_is_there(&prometheus).await;
}

/// Each series has the labels by which nobody takes it for another stack's.
fn told_apart(store: &Store) {
    let series: Vec<BTreeMap<String, String>> = store.told(|told| told.samples.keys().cloned().collect());
    assert!(series.len() > 100, "{} series", series.len());
    for labels in series {
        let own = ["stack", "replica", "speed"].map(|name| labels.get(name).map(String::as_str));
        assert_eq!(own, [Some("here"), Some("a"), Some("30")], "{labels:?}");
    }
}

/// By the names that the static check believes in; and the rules make something of them.
async fn what_rules_ask_for_is_there(prometheus: &Prometheus) {
    let metrics = client::get(&prometheus.address, "/metrics", Duration::from_secs(20)).await.unwrap();
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    let has = |name: &str| {
        metrics.lines().any(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} ")))
    };
    let (lost, always) = OF_REMOTE_WRITE.split_last().unwrap();
    let missing: Vec<_> = always.iter().filter(|name| !has(name)).collect();
    assert!(missing.is_empty(), "not exposed: {missing:?}");
    assert_eq!(*lost, "prometheus_remote_storage_samples_dropped_total");
    until("it is recorded when it sent", async || {
        !prometheus.query("queue:prometheus_remote_write_sent:timestamp{remote_name=\"remote\"}").await.is_empty()
    })
    .await;
    assert!(prometheus.query("ALERTS{alertname=~\"PrometheusRemote.+\",alertstate=\"firing\"}").await.is_empty());
}

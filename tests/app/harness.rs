//! Starting the service, and a client that sends what it is told, byte by byte.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aiclipx_app::Listeners;
use aiclipx_app::config::Config;
#[cfg(feature = "postgres")]
use aiclipx_app::database_url::DatabaseUrl;
use aiclipx_app::metrics::Metrics;
use aiclipx_app::store::Store;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::exposition::Exposition;

/// For anything that must happen: long enough for a busy machine, short enough to notice that it does not.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A service on a free port.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    /// Where the monitoring asks.
    pub(crate) admin: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), String>>,
}

impl App {
    pub(crate) async fn start() -> App {
        App::with(|_| {}).await
    }

    /// A service with faults on.
    pub(crate) async fn with_faults() -> App {
        App::with(|config| config.faults = true).await
    }

    /// A service that is ready.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> App {
        let app = App::begun(change).await;
        eventually("it is ready", || app.is_ready()).await;
        app
    }

    /// A service that has its listeners, and may have no database.
    pub(crate) async fn begun(change: impl FnOnce(&mut Config)) -> App {
        let mut config = Config::default();
        #[cfg(feature = "postgres")]
        if let Some(server) = crate::database::shared() {
            config.database = Some(DatabaseUrl::parse(&server.url(&server.database().await)).unwrap());
            // However busy the machine is.
            (config.database_wait, config.database_timeout) = (LIMIT, LIMIT);
        }
        change(&mut config);
        let [clients, admin] =
            [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
        let addresses = [&clients, &admin].map(|listener| listener.local_addr().unwrap());
        let metrics = Arc::new(Metrics::new("0.0.0", "test").unwrap());
        let (stop, stopped) = oneshot::channel();
        let told = async { drop(stopped.await) };
        let store = Store::open(&config, &metrics).unwrap();
        let listeners = Listeners { clients, admin };
        let running = tokio::spawn(aiclipx_app::run(listeners, config, store, Arc::clone(&metrics), told));
        App { address: addresses[0], admin: addresses[1], metrics, stop: Some(stop), running }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn send(&self, method: &str, target: &str, headers: &[&str], body: &str) -> Answer {
        self.connect().await.ask(method, target, headers, body).await
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], "").await
    }

    /// The metrics, read in the process, so that reading changes none.
    pub(crate) fn metrics(&self) -> Exposition {
        Exposition::parse(&self.metrics.encode()).unwrap()
    }

    /// All series of `app_requests_total` above zero, as `METHOD endpoint status`.
    pub(crate) fn counted(&self) -> BTreeMap<String, u64> {
        self.metrics().requests()
    }

    pub(crate) fn is_ready(&self) -> bool {
        crate::exposition::whole(self.metrics().value("app_ready", &[])) == 1
    }

    pub(crate) fn in_flight(&self) -> f64 {
        self.metrics().value("app_requests_in_flight", &[])
    }

    pub(crate) fn connections(&self, outcome: &str) -> f64 {
        self.metrics().value("app_connections_total", &[("outcome", outcome)])
    }

    pub(crate) fn tell_to_stop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
    }

    /// Waits until it has stopped by itself.
    pub(crate) async fn stopped(self) {
        soon(self.running).await.unwrap().unwrap();
    }
}

/// The tally that [`App::counted`] must equal.
pub(crate) fn tally<const N: usize>(entries: [(&str, u64); N]) -> BTreeMap<String, u64> {
    entries.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// What must happen, within the limit.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("it did not happen")
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, waiting).await.is_ok(), "never: {what}");
}

/// A connection that stays open.
pub(crate) struct Client {
    pub(crate) stream: BufReader<TcpStream>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Client {
        Client { stream: BufReader::new(soon(TcpStream::connect(address)).await.unwrap()) }
    }

    pub(crate) async fn write(&mut self, bytes: &str) {
        soon(self.stream.write_all(bytes.as_bytes())).await.unwrap();
    }

    /// Sends a request, with a `content-length` if it has a body, and reads its answer.
    pub(crate) async fn ask(&mut self, method: &str, target: &str, headers: &[&str], body: &str) -> Answer {
        self.write(&request(method, target, headers, body)).await;
        self.answer(method).await
    }

    /// The answer to a request with this method.
    pub(crate) async fn answer(&mut self, method: &str) -> Answer {
        soon(self.try_answer(method)).await.expect("the connection ended before the answer did")
    }

    /// The same, or nothing if the connection ends first.
    pub(crate) async fn try_answer(&mut self, method: &str) -> Option<Answer> {
        let status_line = self.line().await?;
        let status = status_line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let mut headers = BTreeMap::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ")?;
            assert!(headers.insert(name.to_ascii_lowercase(), value.to_owned()).is_none(), "{name} twice");
        }
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; if method == "HEAD" { 0 } else { length }];
        self.stream.read_exact(&mut body).await.ok()?;
        Some(Answer { status, headers, body: String::from_utf8(body).unwrap() })
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.ok()?;
        line.strip_suffix("\r\n").map(str::to_owned)
    }

    /// Everything until the other side ends the connection, however it does.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let _ = soon(self.stream.read_to_end(&mut rest)).await;
        String::from_utf8_lossy(&rest).into_owned()
    }
}

/// A request as bytes.
pub(crate) fn request(method: &str, target: &str, headers: &[&str], body: &str) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: test\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    text + &length + "\r\n" + body
}

/// The header of a JSON body.
pub(crate) const JSON: &str = "content-type: application/json";

//! How a connection is made: who, where, with which encryption, and what every session is told first.

use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failures::LookError;
use super::named::{is_open_to_others, read};
use super::statements::{LOOK, PREPARED};
use crate::database_url::{DatabaseUrl, TlsMode};

mod passfile;
mod tls;

/// A silent peer is noticed after this long, and some seconds.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Makes connections.
pub(super) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
    session: String,
    place: String,
    timeout: Duration,
}

impl Connector {
    /// Reads the files that the URL names.
    pub(super) fn new(url: &DatabaseUrl, wait: Duration, statement: Duration) -> Result<Connector, String> {
        let mut config = Config::new();
        config.host(&url.host).port(url.port).user(&url.user).dbname(&url.name);
        if let Some(password) = password(url)? {
            config.password(password);
        }
        config
            .application_name("aiclipx-app")
            .connect_timeout(wait)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE)
            .keepalives_interval(Duration::from_secs(2))
            .keepalives_retries(3)
            .tcp_user_timeout(wait + statement + KEEPALIVE)
            .ssl_mode(match url.tls {
                // Nobody listens to a socket of this machine's.
                _ if url.host.starts_with('/') => SslMode::Disable,
                TlsMode::Disable => SslMode::Disable,
                TlsMode::Prefer => SslMode::Prefer,
                TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
            });
        let tls = MakeRustlsConnect::new(tls::client(url)?);
        // A database may have other habits: who waits for a locked row has to see it as it is then.
        let session = format!(
            "SET statement_timeout = {}; SET default_transaction_isolation = 'read committed'",
            statement.as_millis()
        );
        let place = format!("{}:{}", url.host, url.port);
        Ok(Connector { config, tls, session, place, timeout: wait + statement })
    }

    /// Host and port.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// A pool of sessions with all statements prepared. Whoever asks it for one says how long that may take.
    pub(super) fn pool(&self, size: usize) -> Result<Pool, String> {
        // What was lost is known: no round is spent on asking.
        let habits = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(self.config.clone(), self.tls.clone(), habits);
        let session = self.session.clone();
        let hook = Hook::async_fn(move |client: &mut ClientWrapper, _| {
            let session = session.clone();
            Box::pin(async move {
                client.batch_execute(&session).await.map_err(HookError::Backend)?;
                for text in PREPARED {
                    client.prepare_cached(text).await.map_err(HookError::Backend)?;
                }
                Ok(())
            })
        });
        let pool = Pool::builder(manager).max_size(size).post_create(hook).build();
        pool.map_err(|error| format!("no pool of connections can be made: {error}"))
    }

    /// A session of its own.
    pub(super) async fn connect(&self) -> Result<Connection, LookError> {
        let connected = async {
            let (client, connection) = self.config.connect(self.tls.clone()).await?;
            let driver = tokio::spawn(async move { drop(connection.await) });
            let connection = Connection { client, driver };
            connection.run(&self.session).await?;
            Ok(connection)
        };
        tokio::time::timeout(self.timeout, connected).await.map_err(|_| LookError::Silent)?
    }
}

/// Of the URL, or of the file that it names.
fn password(url: &DatabaseUrl) -> Result<Option<String>, String> {
    let (None, Some(path)) = (&url.password, &url.passfile) else { return Ok(url.password.clone()) };
    let text = read(path, "passfile")?;
    if is_open_to_others(path) {
        log::warn!(file = path.display().to_string(); "Others than its owner can read the passfile of APP_DATABASE_URL: chmod 600 keeps them out.");
    }
    passfile::find(&text, url).map(Some).ok_or_else(|| {
        format!(
            "APP_DATABASE_URL: its passfile {} has no line HOST:PORT:NAME:USER:PASSWORD for this database and user",
            path.display()
        )
    })
}

/// A session that is nobody else's.
pub(super) struct Connection {
    client: tokio_postgres::Client,
    driver: tokio::task::JoinHandle<()>,
}

impl Connection {
    pub(super) fn is_alive(&self) -> bool {
        !self.client.is_closed()
    }

    /// The number of items, and the next id.
    pub(super) async fn look(&self) -> Result<(i64, i64), LookError> {
        let row = self.client.query_one(LOOK, &[]).await?;
        if row.get(2) { Err(LookError::ReadOnly) } else { Ok((row.get(0), row.get(1))) }
    }

    pub(super) async fn run(&self, statements: &str) -> Result<(), LookError> {
        Ok(self.client.batch_execute(statements).await?)
    }

    /// The one text that a query answers.
    pub(super) async fn text(&self, query: &str) -> Result<String, LookError> {
        let answer = self.client.simple_query(query).await?;
        let row = answer.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        });
        Ok(row.unwrap_or_default())
    }
}

/// Nobody waits for what is under way.
impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

//! Items in PostgreSQL, which several instances share.
//!
//! - Whatever it is asked takes a bounded time: one wait for a connection, and a statement that the database itself cancels. What
//!   can't be done in it is refused and counted by its [`Failure`], once.
//! - A statement that was begun is finished, even if its client has left: no connection goes back with something under way.
//! - A connection of its own asks once a second how the database is (`watch`). While it is away, requests are refused at once, and
//!   the service is not ready; it is asked again after a wait that no two instances share (`backoff`).
//! - The items are as many as one row of `aiclipx_store` says: whoever adds or removes one has that row locked until it is done.
//!   So the capacity holds exactly, however many instances there are, ids are in the order in which items came, and no page
//!   misses one. It costs that additions and removals of all instances happen one after the other.

mod backoff;
mod connect;
mod failures;
mod named;
mod schema;
mod statements;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_postgres::{HookError, Object, Pool, PoolError};
use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::item::StoreError;
use super::page::Page;
use crate::config::{Config, GRACE};
use crate::database_metrics::{DatabaseMetrics, Failure, Statement};
use crate::database_url::DatabaseUrl;
use crate::metrics::NOT_KNOWN;
use crate::phase::Lifecycle;
use backoff::Backoff;
use connect::{Connection, Connector};
use failures::LookError;
use statements::{Answer, Ask, id};

/// What a line of the log calls a connection that was refused, beside the statements.
const CONNECTION: &str = "connection";

/// Between two looks at a database that is there.
const LOOK: Duration = Duration::from_secs(1);

pub(super) struct Postgres(Arc<Shared>);

struct Shared {
    pool: Pool,
    /// One for each connection of the pool's: so who waits for one of these is told from who waits for the database.
    seats: Arc<Semaphore>,
    connector: Connector,
    capacity: i64,
    wait: Duration,
    timeout: Duration,
    metrics: DatabaseMetrics,
    /// The database answers, and the tables are there.
    up: AtomicBool,
    stock: Mutex<Stock>,
    /// Why each statement, and a new connection, was refused last, until one is answered: a table that is gone fails each, and is
    /// told once.
    refused: Mutex<BTreeMap<&'static str, String>>,
}

/// Of a database of which nothing is known: fewer than any has.
const NO_CHANGES: i64 = -1;

/// A connection that a request has.
struct Held {
    connection: Object,
    /// Given up after the connection.
    seat: OwnedSemaphorePermit,
}

/// What is known of the row that counts the items, and the gauge that shows it.
struct Stock {
    /// Of whatever was changed ever; the row with more is the newer.
    changes: i64,
    count: IntGauge,
}

impl Postgres {
    /// Fails if a file that the URL names is wrong. Asks nobody yet.
    pub(super) fn open(
        url: &DatabaseUrl,
        config: &Config,
        metrics: DatabaseMetrics,
        count: IntGauge,
    ) -> Result<Postgres, String> {
        let connector = Connector::new(url, config.database_wait, config.database_timeout)?;
        count.set(NOT_KNOWN);
        Ok(Postgres(Arc::new(Shared {
            pool: connector.pool(config.database_pool)?,
            seats: Arc::new(Semaphore::new(config.database_pool)),
            connector,
            capacity: i64::try_from(config.max_items).unwrap_or(i64::MAX),
            wait: config.database_wait,
            timeout: config.database_timeout,
            metrics,
            up: AtomicBool::new(false),
            stock: Mutex::new(Stock { changes: NO_CHANGES, count }),
            refused: Mutex::new(BTreeMap::new()),
        })))
    }

    pub(super) fn is_up(&self) -> bool {
        self.0.is_up()
    }

    /// Asks how the database is, and lets readiness follow; makes the tables where they are missing. Ends only if the database
    /// says, when it is asked first, that the URL is wrong: why.
    pub(super) async fn watch(&self, lifecycle: &Lifecycle) -> String {
        let shared = &self.0;
        let (mut connection, mut backoff) = (None, Backoff::new());
        // Why it is away, as it was told last: another reason is another fault, as where it is back and refuses the password.
        let mut reason = None;
        let mut looked = shared.look(&mut connection).await;
        if let Some(why) = looked.as_ref().err().and_then(failures::refused) {
            return format!("APP_DATABASE_URL: {why}");
        }
        loop {
            shared.tell(&looked, &mut reason);
            shared.set_up(looked.is_ok());
            lifecycle.store_available(looked.is_ok());
            let wait = if looked.is_ok() {
                backoff.reset();
                LOOK
            } else {
                backoff.wait()
            };
            tokio::time::sleep(wait).await;
            looked = shared.look(&mut connection).await;
        }
    }

    pub(super) fn show(&self) {
        let status = self.0.pool.status();
        let idle = status.available.min(status.size);
        self.0.metrics.connections(idle, status.size - idle, status.max_size);
    }

    pub(super) async fn page(&self, after: u64, limit: usize, page: Page) -> Result<Vec<u8>, StoreError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        // One more, which says that there is a next page.
        let limit = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        Ok(self.ask(Ask::Page { after, limit, page }).await?.page())
    }

    pub(super) async fn get(&self, id: u64) -> Result<Option<String>, StoreError> {
        let Ok(id) = i64::try_from(id) else { return Ok(None) };
        Ok(self.ask(Ask::Get { id }).await?.row().map(|row| row.get(0)))
    }

    pub(super) async fn insert(&self, name: &str) -> Result<u64, StoreError> {
        let kept = self.ask(Ask::Insert { name: name.to_owned(), capacity: self.0.capacity }).await?;
        kept.row().map(id).ok_or(StoreError::Full)
    }

    pub(super) async fn remove(&self, id: u64) -> Result<bool, StoreError> {
        let Ok(id) = i64::try_from(id) else { return Ok(false) };
        Ok(self.ask(Ask::Remove { id }).await?.row().is_some())
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, StoreError> {
        let held = self.0.connection().await.map_err(|failure| self.0.failed(failure))?;
        let (shared, statement) = (Arc::clone(&self.0), ask.statement());
        // On a task of its own: whoever asked may leave, and what was begun is finished, and counted, all the same.
        let answered = tokio::spawn(async move {
            let answered = shared.answer(held, ask).await;
            answered.map_err(|failure| shared.failed(failure))
        });
        answered.await.unwrap_or_else(|_| Err(self.0.failed(failures::lost(statement))))
    }
}

impl Shared {
    fn is_up(&self) -> bool {
        self.up.load(Ordering::SeqCst)
    }

    fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::SeqCst);
        self.metrics.up(up);
    }

    /// Counts what is refused, which is done here and nowhere else.
    fn failed(&self, failure: Failure) -> StoreError {
        self.metrics.failed(failure);
        match failure {
            Failure::Unknown => StoreError::Unknown,
            _ => StoreError::Unavailable,
        }
    }

    /// Logs what a look changed, before that is known to anybody; `reason` is why the database is away, as it was told last.
    fn tell(&self, looked: &Result<(), LookError>, reason: &mut Option<String>) {
        let place = self.connector.place();
        match looked.as_ref().map_err(failures::told) {
            Ok(()) => {
                if reason.take().is_some() {
                    log::info!(database = place; "The database is there.");
                }
            }
            Err(why) if reason.as_ref() == Some(&why) => {}
            Err(why) => {
                if self.is_up() {
                    log::error!(
                        database = place, error = why;
                        "The database is away: not ready until it is back, and requests for items are answered 503."
                    );
                } else if reason.is_some() {
                    log::warn!(database = place, error = why; "The database is still away.");
                } else {
                    log::warn!(
                        database = place, error = why;
                        "The database is not there yet: not ready until it is. APP_DATABASE_URL names its host and port."
                    );
                }
                *reason = Some(why);
            }
        }
    }

    fn refused(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs why the database, which is up, refuses a statement or a connection, once for each reason. Each failure is counted.
    fn tell_refused(&self, what: &'static str, why: String) {
        let mut refused = self.refused();
        if refused.get(what) != Some(&why) {
            log::error!(
                database = self.connector.place(), refused = what, error = why.as_str();
                "The database is there, and refuses what it is asked."
            );
            refused.insert(what, why);
        }
    }

    /// A connection of the pool's that is not known to be broken.
    async fn connection(&self) -> Result<Held, Failure> {
        if !self.is_up() {
            return Err(Failure::Unreachable);
        }
        let since = Instant::now();
        let held = self.held(since + self.wait).await;
        self.metrics.waited(since.elapsed().as_secs_f64());
        held
    }

    /// One that is free until then, or can be made until then.
    async fn held(&self, until: Instant) -> Result<Held, Failure> {
        let seat = timeout_at(until, Arc::clone(&self.seats).acquire_owned()).await.map_err(|_| Failure::Pool)?;
        let seat = seat.expect("nobody closes it");
        let why = match timeout_at(until, self.pool.get()).await {
            Ok(Ok(connection)) => return Ok(Held { connection, seat }),
            // What the database said, and not that it can't be reached: that is the look's to tell.
            Ok(Err(PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error))))
                if error.code().is_some() =>
            {
                self.tell_refused(CONNECTION, failures::told(&error));
                return Err(Failure::Unreachable);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it was not made in time".to_owned(),
        };
        log::debug!(error = why; "No connection to the database.");
        Err(Failure::Unreachable)
    }

    async fn answer(&self, held: Held, ask: Ask) -> Result<Answer, Failure> {
        let Held { seat: _until_the_end, connection } = held;
        let (statement, since) = (ask.statement(), Instant::now());
        let answered = timeout(self.timeout + GRACE, ask.put(&connection)).await;
        self.metrics.asked(statement, since.elapsed().as_secs_f64());
        match answered {
            Ok(Ok(answer)) => {
                self.refused().retain(|what, _| *what != statement.label() && *what != CONNECTION);
                if statement.changes() {
                    answer.row().into_iter().for_each(|row| self.counted(row.get(1), row.get(2)));
                }
                Ok(answer)
            }
            Ok(Err(error)) => {
                let failure = failures::of(error.code(), statement);
                if failure == Failure::Error {
                    self.tell_refused(statement.label(), failures::told(&error));
                } else {
                    log::debug!(error = failures::told(&error); "A statement failed.");
                }
                if connection.is_closed() {
                    drop(Object::take(connection));
                }
                Err(failure)
            }
            // Not even that it was cancelled: nobody answers on this connection, and hardly on those that are as old.
            Err(_) => {
                drop(Object::take(connection));
                self.pool.retain(|_, _| false);
                Err(failures::lost(statement))
            }
        }
    }

    /// Asks how many items there are, on a connection of its own; a new one, with the tables made where they are missing, if
    /// there is none or it was lost.
    async fn look(&self, connection: &mut Option<Connection>) -> Result<(), LookError> {
        let since = Instant::now();
        let looked = self.look_on(connection).await;
        self.metrics.asked(Statement::Look, since.elapsed().as_secs_f64());
        let (items, next_id) = looked.inspect_err(|_| *connection = None)?;
        self.counted(items, next_id);
        Ok(())
    }

    async fn look_on(&self, connection: &mut Option<Connection>) -> Result<(i64, i64), LookError> {
        if let Some(before) = connection.take()
            && before.is_alive()
            && let Ok(stock) = self.in_time(before.look()).await
        {
            *connection = Some(before);
            return Ok(stock);
        }
        let new = self.connector.connect().await?;
        self.in_time(schema::make(&new)).await?;
        // It may be another database than before: one that was restored, or a standby that lagged behind. Forgotten before it is
        // asked: what is counted meanwhile is newer than its answer.
        self.stock.lock().unwrap_or_else(PoisonError::into_inner).changes = NO_CHANGES;
        let stock = self.in_time(new.look()).await?;
        *connection = Some(new);
        Ok(stock)
    }

    async fn in_time<T, E: Into<LookError>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, LookError> {
        timeout(self.timeout + GRACE, work).await.map_err(|_| LookError::Silent)?.map_err(Into::into)
    }

    /// What the row that counts said. Two may be told in another order than they happened: the one with more changes holds.
    fn counted(&self, items: i64, next_id: i64) {
        // Every id was given once, and what is not there any more was removed once.
        let changes = 2 * (next_id - 1) - items;
        let mut stock = self.stock.lock().unwrap_or_else(PoisonError::into_inner);
        if changes >= stock.changes {
            stock.changes = changes;
            stock.count.set(items);
        }
    }
}

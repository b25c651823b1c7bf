//! Items in PostgreSQL, which several instances share.
//!
//! - Whatever it is asked takes a bounded time: a wait for a connection, and a statement that the database itself cancels. What
//!   can't be done in it is refused and counted by its [`Failure`], once.
//! - A statement that was begun is finished, even if its client has left: no connection goes back with something under way.
//! - A connection of its own asks once a second how the database is (`watch`). While it is away, requests are refused at once, and
//!   the service is not ready.
//! - The items are as many as one row of `aiclipx_store` says: whoever adds or removes one has that row locked until it is done.
//!   So the capacity holds exactly, however many instances there are, ids are in the order in which items came, and no page
//!   misses one. It costs that additions and removals of all instances happen one after the other.

mod connect;
mod failures;
mod named;
mod schema;
mod statements;

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Object, Pool, PoolError, Timeouts};
use prometheus::IntGauge;
use tokio::time::{Instant, timeout};
use tokio_postgres::Row;

use super::item::{Item, StoreError};
use super::page::Page;
use crate::config::Config;
use crate::database_metrics::{DatabaseMetrics, Failure, Statement};
use crate::database_url::DatabaseUrl;
use crate::phase::Lifecycle;
use connect::{Connection, Connector};
use statements::Ask;

/// Between two looks at the database; while it is away, who waits for it is served the sooner.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_FOR: Duration = Duration::from_millis(250);

/// What a statement gets on top of its time: the database cancels it first, and then says that nothing was changed.
const GRACE: Duration = Duration::from_millis(500);

pub(super) struct Postgres(Arc<Shared>);

struct Shared {
    pool: Pool,
    connector: Connector,
    capacity: i64,
    wait: Duration,
    timeout: Duration,
    metrics: DatabaseMetrics,
    /// The database answers, and the tables are there.
    up: AtomicBool,
    stock: Mutex<Stock>,
}

const NOTHING_KNOWN: i64 = -1;

/// What is known of the row that counts the items, and the gauge that shows it.
struct Stock {
    /// Of whatever was changed ever; the row with more is the newer.
    changes: i64,
    count: IntGauge,
}

impl Postgres {
    /// Makes the tables where they are missing. Fails if the database says that the URL is wrong, or a file that it names is.
    pub(super) async fn open(
        url: &DatabaseUrl,
        config: &Config,
        metrics: DatabaseMetrics,
        count: IntGauge,
    ) -> Result<Postgres, String> {
        let connector = Connector::new(url, config.database_wait, config.database_timeout)?;
        count.set(0);
        let shared = Shared {
            pool: connector.pool(config.database_pool, config.database_wait)?,
            connector,
            capacity: i64::try_from(config.max_items).unwrap_or(i64::MAX),
            wait: config.database_wait,
            timeout: config.database_timeout,
            metrics,
            up: AtomicBool::new(false),
            stock: Mutex::new(Stock { changes: NOTHING_KNOWN, count }),
        };
        match shared.look(&mut None).await {
            Ok(()) => shared.set_up(true),
            Err(error) => match failures::refused(&error) {
                Some(why) => return Err(format!("APP_DATABASE_URL: {why}")),
                None => log::warn!(
                    database = shared.connector.place(), error = failures::told(&error);
                    "The database is not there yet: not ready until it is. APP_DATABASE_URL names its host and port."
                ),
            },
        }
        Ok(Postgres(Arc::new(shared)))
    }

    /// Asks how the database is, and lets readiness follow.
    pub(super) async fn watch(&self, lifecycle: &Lifecycle) -> Infallible {
        let mut connection = None;
        // Why it is away, as it was told last: another reason is another fault, as where it is back and refuses the password.
        let mut reason = String::new();
        lifecycle.store_available(self.0.is_up());
        loop {
            tokio::time::sleep(if self.0.is_up() { LOOK } else { LOOK_FOR }).await;
            let looked = self.0.look(&mut connection).await;
            let place = self.0.connector.place();
            match looked.as_ref().map_err(failures::told) {
                Ok(()) if self.0.is_up() => {}
                Ok(()) => log::info!(database = place; "The database is there."),
                Err(why) if self.0.is_up() => {
                    log::error!(
                        database = place, error = why;
                        "The database is away: not ready until it is back, and requests for items are answered 503."
                    );
                    reason = why;
                }
                Err(why) if why != reason => {
                    log::warn!(database = place, error = why; "The database is still away.");
                    reason = why;
                }
                Err(_) => {}
            }
            self.0.set_up(looked.is_ok());
            lifecycle.store_available(looked.is_ok());
        }
    }

    pub(super) fn show(&self) {
        let status = self.0.pool.status();
        let idle = status.available.min(status.size);
        self.0.metrics.connections(idle, status.size - idle, status.max_size);
    }

    pub(super) async fn page(&self, after: u64, limit: usize, mut page: Page) -> Result<Vec<u8>, StoreError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        // One more, which says that there is a next page.
        let limit = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        for row in self.ask(Ask::Page { after, limit }).await? {
            if !page.push(&Item { id: id(&row), name: row.get(1) }) {
                break;
            }
        }
        Ok(page.finish())
    }

    pub(super) async fn get(&self, id: u64) -> Result<Option<String>, StoreError> {
        let Ok(id) = i64::try_from(id) else { return Ok(None) };
        Ok(self.ask(Ask::Get { id }).await?.first().map(|row| row.get(0)))
    }

    pub(super) async fn insert(&self, name: &str) -> Result<u64, StoreError> {
        let rows = self.ask(Ask::Insert { name: name.to_owned(), capacity: self.0.capacity }).await?;
        rows.first().map(id).ok_or(StoreError::Full)
    }

    pub(super) async fn remove(&self, id: u64) -> Result<bool, StoreError> {
        let Ok(id) = i64::try_from(id) else { return Ok(false) };
        Ok(!self.ask(Ask::Remove { id }).await?.is_empty())
    }

    async fn ask(&self, ask: Ask) -> Result<Vec<Row>, StoreError> {
        let connection = self.0.connection().await.map_err(|failure| self.0.failed(failure))?;
        let (shared, statement) = (Arc::clone(&self.0), ask.statement());
        // On a task of its own: whoever asked may leave, and what was begun is finished, and counted, all the same.
        let answered = tokio::spawn(async move {
            let answered = shared.answer(connection, ask).await;
            answered.map_err(|failure| shared.failed(failure))
        });
        answered.await.unwrap_or_else(|_| Err(self.0.failed(failures::lost(statement))))
    }
}

/// The id of an item, in a row's first column.
fn id(row: &Row) -> u64 {
    u64::try_from(row.get::<_, i64>(0)).expect("ids are counted from 1")
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

    /// A connection of the pool's that is not known to be broken.
    async fn connection(&self) -> Result<Object, Failure> {
        if !self.is_up() {
            return Err(Failure::Unreachable);
        }
        let since = Instant::now();
        let limits = Timeouts { wait: Some(self.wait), create: Some(self.wait), recycle: Some(self.wait) };
        let connection = self.pool.timeout_get(&limits).await;
        self.metrics.waited(since.elapsed().as_secs_f64());
        connection.map_err(|error| {
            log::debug!(error = error.to_string(); "No connection to the database.");
            if matches!(error, PoolError::Timeout(deadpool_postgres::TimeoutType::Wait)) {
                Failure::Pool
            } else {
                Failure::Unreachable
            }
        })
    }

    async fn answer(&self, connection: Object, ask: Ask) -> Result<Vec<Row>, Failure> {
        let (statement, since) = (ask.statement(), Instant::now());
        let answered = timeout(self.timeout + GRACE, ask.put(&connection)).await;
        self.metrics.asked(statement, since.elapsed().as_secs_f64());
        match answered {
            Ok(Ok(rows)) => {
                if statement.changes() {
                    rows.first().into_iter().for_each(|row| self.counted(row.get(1), row.get(2)));
                }
                Ok(rows)
            }
            Ok(Err(error)) => {
                log::debug!(error = failures::told(&error); "A statement failed.");
                if connection.is_closed() {
                    drop(Object::take(connection));
                }
                Err(failures::of(error.code(), statement))
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
    async fn look(&self, connection: &mut Option<Connection>) -> Result<(), failures::LookError> {
        let since = Instant::now();
        let looked = self.look_on(connection).await;
        self.metrics.asked(Statement::Look, since.elapsed().as_secs_f64());
        let (items, next_id) = looked.inspect_err(|_| *connection = None)?;
        self.counted(items, next_id);
        Ok(())
    }

    async fn look_on(&self, connection: &mut Option<Connection>) -> Result<(i64, i64), failures::LookError> {
        if let Some(before) = connection.take()
            && before.is_alive()
            && let Ok(stock) = self.in_time(before.look()).await
        {
            *connection = Some(before);
            return Ok(stock);
        }
        let new = self.connector.connect().await?;
        self.in_time(schema::make(&new)).await?;
        let stock = self.in_time(new.look()).await?;
        // It may be another database than before: one that was restored, or a standby that lagged behind.
        self.stock.lock().unwrap_or_else(PoisonError::into_inner).changes = NOTHING_KNOWN;
        *connection = Some(new);
        Ok(stock)
    }

    async fn in_time<T, E: Into<failures::LookError>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, failures::LookError> {
        timeout(self.timeout + GRACE, work).await.map_err(|_| failures::LookError::Silent)?.map_err(Into::into)
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

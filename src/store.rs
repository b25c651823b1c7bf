//! The items, behind one type: in memory, or in a PostgreSQL that several instances share (`APP_DATABASE_URL`, feature
//! `postgres`). What holds of both, `store/tests.rs` asks of both: ids from 1 and never reused, in the order in which items came;
//! never more items than the capacity; pages by id, bounded in bytes; `app_items` the number there is.

pub(super) mod item;
mod memory;
mod page;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(test)]
mod tests;

use super::config::Config;
use super::metrics::Metrics;
use super::phase::Lifecycle;
use item::{Item, StoreError};
use memory::Memory;
use page::Page;
#[cfg(feature = "postgres")]
use postgres::Postgres;

/// The items, wherever they are.
pub struct Store(Backend);

enum Backend {
    Memory(Memory),
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
}

/// What is awaited is the database's alone.
#[cfg_attr(not(feature = "postgres"), expect(clippy::unused_async, reason = "memory makes nobody wait"))]
impl Store {
    /// The store that the configuration names, at most `max_items` large; its metrics are among `metrics`. Fails if a file that the
    /// database's URL names is wrong; the database itself is asked by `watch`, and nobody before.
    pub fn open(config: &Config, metrics: &Metrics) -> Result<Store, String> {
        let count = metrics.items(config.max_items);
        #[cfg(feature = "postgres")]
        if let Some(url) = &config.database {
            return Ok(Store(Backend::Postgres(Postgres::open(url, config, metrics.database(), count)?)));
        }
        Ok(Store(Backend::Memory(Memory::new(config.max_items, count))))
    }

    /// Whether it can do its work.
    pub(super) fn is_available(&self) -> bool {
        match &self.0 {
            Backend::Memory(_) => true,
            #[cfg(feature = "postgres")]
            Backend::Postgres(postgres) => postgres.is_up(),
        }
    }

    /// Looks after it, and tells whether it can do its work, for as long as the service runs; ends only if the database says, when
    /// it is asked first, that the URL is wrong: why. One that does not answer is waited for.
    pub(super) async fn watch(&self, lifecycle: &Lifecycle) -> String {
        match &self.0 {
            Backend::Memory(_) => {
                let _ = lifecycle;
                std::future::pending().await
            }
            #[cfg(feature = "postgres")]
            Backend::Postgres(postgres) => postgres.watch(lifecycle).await,
        }
    }

    /// Sets the gauges that are asked for and not followed.
    pub(super) fn show(&self) {
        match &self.0 {
            Backend::Memory(_) => {}
            #[cfg(feature = "postgres")]
            Backend::Postgres(postgres) => postgres.show(),
        }
    }

    /// A page as JSON: at most `limit` items with ids above `after` in their order, as many as fit in `bytes` but at least
    /// one, and what to ask the next page `after`, if there is one.
    pub(super) async fn page(&self, after: u64, limit: usize, bytes: usize) -> Result<Vec<u8>, StoreError> {
        let page = Page::new(limit, bytes);
        match &self.0 {
            Backend::Memory(memory) => Ok(memory.page(after, page)),
            #[cfg(feature = "postgres")]
            Backend::Postgres(postgres) => Box::pin(postgres.page(after, limit, page)).await,
        }
    }

    /// What `as_json` makes of one item.
    pub(super) async fn get<T>(&self, id: u64, as_json: impl FnOnce(&Item) -> T) -> Result<Option<T>, StoreError> {
        match &self.0 {
            Backend::Memory(memory) => Ok(memory.get(id, as_json)),
            #[cfg(feature = "postgres")]
            Backend::Postgres(postgres) => {
                let name = Box::pin(postgres.get(id)).await?;
                Ok(name.map(|name| as_json(&Item { id, name: &name })))
            }
        }
    }

    /// Keeps a new item, and returns its id.
    pub(super) async fn insert(&self, name: &str) -> Result<u64, StoreError> {
        match &self.0 {
            Backend::Memory(memory) => memory.insert(name),
            #[cfg(feature = "postgres")]
            Backend::Postgres(postgres) => Box::pin(postgres.insert(name)).await,
        }
    }

    /// Removes an item; `false` if there is none.
    pub(super) async fn remove(&self, id: u64) -> Result<bool, StoreError> {
        match &self.0 {
            Backend::Memory(memory) => Ok(memory.remove(id)),
            #[cfg(feature = "postgres")]
            Backend::Postgres(postgres) => Box::pin(postgres.remove(id)).await,
        }
    }
}

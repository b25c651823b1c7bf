//! Items in memory, bounded, of this process alone.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use prometheus::IntGauge;

use super::page::Page;
use super::{Item, StoreError};

pub(super) struct Memory {
    capacity: usize,
    /// Held for as long as it takes to look at a page, and never across an await.
    stock: RwLock<Stock>,
    /// `app_items`, set under the lock that changes their number.
    count: IntGauge,
}

struct Stock {
    items: BTreeMap<u64, String>,
    next_id: u64,
}

impl Memory {
    pub(super) fn new(capacity: usize, count: IntGauge) -> Memory {
        count.set(0);
        Memory { capacity, stock: RwLock::new(Stock { items: BTreeMap::new(), next_id: 1 }), count }
    }

    pub(super) fn page(&self, after: u64, mut page: Page) -> Vec<u8> {
        let stock = self.read();
        for (&id, name) in stock.items.range((Bound::Excluded(after), Bound::Unbounded)) {
            if !page.push(&Item { id, name }) {
                break;
            }
        }
        page.finish()
    }

    pub(super) fn get<T>(&self, id: u64, as_json: impl FnOnce(&Item) -> T) -> Option<T> {
        self.read().items.get(&id).map(|name| as_json(&Item { id, name }))
    }

    pub(super) fn insert(&self, name: &str) -> Result<u64, StoreError> {
        let mut stock = self.write();
        if stock.items.len() >= self.capacity {
            return Err(StoreError::Full);
        }
        let id = stock.next_id;
        stock.next_id += 1;
        stock.items.insert(id, name.to_owned());
        self.show(&stock);
        Ok(id)
    }

    pub(super) fn remove(&self, id: u64) -> bool {
        let mut stock = self.write();
        let was_there = stock.items.remove(&id).is_some();
        self.show(&stock);
        was_there
    }

    // A panic can't leave the map half-changed.
    fn read(&self) -> RwLockReadGuard<'_, Stock> {
        self.stock.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Stock> {
        self.stock.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, stock: &Stock) {
        self.count.set(i64::try_from(stock.items.len()).unwrap_or(i64::MAX));
    }
}

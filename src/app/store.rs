//! Where items are kept: in memory, bounded, behind one async type, so that what keeps them can change and no handler
//! with it.

use std::collections::BTreeMap;
use std::ops::Bound;

use prometheus::IntGauge;
use serde::Serialize;
use tokio::sync::RwLock;

/// A kept item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Item {
    /// From 1, never given twice.
    pub id: u64,
    /// As given, without the blanks around it.
    pub name: String,
}

/// A stretch of items in the order of their ids.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Page {
    /// The items.
    pub items: Vec<Item>,
    /// What to ask the next page `after`, if there is one.
    pub next: Option<u64>,
}

/// There is no room for another item.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The items.
pub(super) struct Store {
    capacity: usize,
    stock: RwLock<Stock>,
    /// `app_items`, set under the lock that changes their number.
    count: IntGauge,
}

struct Stock {
    items: BTreeMap<u64, String>,
    next_id: u64,
}

impl Store {
    /// An empty store of at most `capacity` items, whose number `count` shows.
    pub(super) fn new(capacity: usize, count: IntGauge) -> Store {
        count.set(0);
        Store { capacity, stock: RwLock::new(Stock { items: BTreeMap::new(), next_id: 1 }), count }
    }

    /// At most `limit` items with ids above `after`.
    pub(super) async fn page(&self, after: u64, limit: usize) -> Page {
        let stock = self.stock.read().await;
        let mut rest = stock.items.range((Bound::Excluded(after), Bound::Unbounded));
        let items: Vec<Item> = rest.by_ref().take(limit).map(|(&id, name)| Item { id, name: name.clone() }).collect();
        let next = rest.next().and_then(|_| items.last()).map(|item| item.id);
        Page { items, next }
    }

    /// One item.
    pub(super) async fn get(&self, id: u64) -> Option<Item> {
        self.stock.read().await.items.get(&id).map(|name| Item { id, name: name.clone() })
    }

    /// Keeps a new item.
    pub(super) async fn insert(&self, name: String) -> Result<Item, Full> {
        let mut stock = self.stock.write().await;
        if stock.items.len() >= self.capacity {
            return Err(Full);
        }
        let id = stock.next_id;
        stock.next_id += 1;
        stock.items.insert(id, name.clone());
        self.show(&stock);
        Ok(Item { id, name })
    }

    /// Removes an item; `false` if there is none.
    pub(super) async fn remove(&self, id: u64) -> bool {
        let mut stock = self.stock.write().await;
        let was_there = stock.items.remove(&id).is_some();
        self.show(&stock);
        was_there
    }

    fn show(&self, stock: &Stock) {
        self.count.set(i64::try_from(stock.items.len()).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(capacity: usize) -> (Store, IntGauge) {
        let count = IntGauge::new("items", "items").unwrap();
        (Store::new(capacity, count.clone()), count)
    }

    #[tokio::test]
    async fn pages_follow_each_other_without_gap_or_overlap() {
        let (store, _) = store(10);
        for name in ["a", "b", "c", "d", "e"] {
            store.insert(name.to_owned()).await.unwrap();
        }
        store.remove(2).await;
        let first = store.page(0, 2).await;
        assert_eq!((first.items.iter().map(|item| item.id).collect::<Vec<_>>(), first.next), (vec![1, 3], Some(3)));
        let last = store.page(3, 2).await;
        assert_eq!((last.items.iter().map(|item| item.id).collect::<Vec<_>>(), last.next), (vec![4, 5], None));
    }

    #[tokio::test]
    async fn a_full_store_takes_no_more_until_one_is_removed_and_ids_are_not_given_twice() {
        let (store, count) = store(1);
        assert_eq!(store.insert("a".to_owned()).await.unwrap().id, 1);
        assert_eq!(store.insert("b".to_owned()).await, Err(Full));
        assert!(store.remove(1).await);
        assert!(!store.remove(1).await);
        assert_eq!(count.get(), 0);
        assert_eq!(store.insert("c".to_owned()).await.unwrap().id, 2);
        assert_eq!(count.get(), 1);
    }
}

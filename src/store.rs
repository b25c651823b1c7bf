//! The items: in memory, bounded, behind one type, so that the storage can change without the handlers.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use prometheus::IntGauge;
use serde::Serialize;

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Item<'a> {
    /// From 1, and never reused.
    pub id: u64,
    /// Trimmed.
    pub name: &'a str,
}

/// The longest that a page may end with.
const LONGEST_END: &str = r#"],"next":18446744073709551615}"#;

/// The store is full.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

pub(super) struct Store {
    capacity: usize,
    /// Held for as long as it takes to look at a page, and never across an await.
    stock: RwLock<StoreInner>,
    /// `app_items`, set under the lock that changes their number.
    count: IntGauge,
}

struct StoreInner {
    items: BTreeMap<u64, String>,
    next_id: u64,
}

impl Store {
    /// An empty store of at most `capacity` items, whose number `count` shows.
    pub(super) fn new(capacity: usize, count: IntGauge) -> Store {
        count.set(0);
        Store { capacity, stock: RwLock::new(StoreInner { items: BTreeMap::new(), next_id: 1 }), count }
    }

    /// A page as JSON: at most `limit` items with ids above `after` in their order, as many as fit in `bytes` but at least
    /// one, and what to ask the next page `after`, if there is one.
    pub(super) fn page(&self, after: u64, limit: usize, bytes: usize) -> Vec<u8> {
        let stock = self.read();
        let mut page = br#"{"items":["#.to_vec();
        let mut last = None;
        let mut next = None;
        for (count, (&id, name)) in stock.items.range((Bound::Excluded(after), Bound::Unbounded)).enumerate() {
            let before = page.len();
            if last.is_some() {
                page.push(b',');
            }
            let room = bytes.saturating_sub(LONGEST_END.len());
            if count < limit {
                serde_json::to_writer(&mut page, &Item { id, name }).expect("a vector takes every write");
            }
            if count == limit || (page.len() > room && last.is_some()) {
                page.truncate(before);
                next = last;
                break;
            }
            last = Some(id);
        }
        match next {
            Some(next) => write!(page, r#"],"next":{next}}}"#).expect("a vector takes every write"),
            None => page.extend_from_slice(br#"],"next":null}"#),
        }
        page.shrink_to_fit();
        page
    }

    /// What `as_json` makes of one item.
    pub(super) fn get<T>(&self, id: u64, as_json: impl FnOnce(&Item) -> T) -> Option<T> {
        self.read().items.get(&id).map(|name| as_json(&Item { id, name }))
    }

    /// Keeps a new item, and returns its id.
    pub(super) fn insert(&self, name: String) -> Result<u64, Full> {
        let mut stock = self.write();
        if stock.items.len() >= self.capacity {
            return Err(Full);
        }
        let id = stock.next_id;
        stock.next_id += 1;
        stock.items.insert(id, name);
        self.show(&stock);
        Ok(id)
    }

    /// Removes an item; `false` if there is none.
    pub(super) fn remove(&self, id: u64) -> bool {
        let mut stock = self.write();
        let was_there = stock.items.remove(&id).is_some();
        self.show(&stock);
        was_there
    }

    // A panic can't leave the map half-changed.
    fn read(&self) -> RwLockReadGuard<'_, StoreInner> {
        self.stock.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, StoreInner> {
        self.stock.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, stock: &StoreInner) {
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

    fn page(store: &Store, after: u64, limit: usize, bytes: usize) -> (Vec<u64>, Option<u64>) {
        let page = store.page(after, limit, bytes);
        let page: serde_json::Value = serde_json::from_slice(&page).unwrap();
        let ids = page["items"].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()).collect();
        (ids, page["next"].as_u64())
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let (store, _) = store(10);
        assert_eq!(page(&store, 0, 2, usize::MAX), (vec![], None));
        for name in ["a", "b", "c", "d", "e"] {
            store.insert(name.to_owned()).unwrap();
        }
        store.remove(2);
        assert_eq!(page(&store, 0, 2, usize::MAX), (vec![1, 3], Some(3)));
        assert_eq!(page(&store, 3, 2, usize::MAX), (vec![4, 5], None));
        assert_eq!(page(&store, 5, 2, usize::MAX), (vec![], None));
    }

    #[test]
    fn a_page_is_never_longer_than_it_may_be_and_never_empty_while_there_are_items() {
        let (store, _) = store(100);
        for _ in 0..20 {
            store.insert("\u{1}".repeat(10)).unwrap();
        }
        for bytes in [0, 100, 200, 300, 500, 1000, 10_000] {
            let (mut after, mut seen) = (0, Vec::new());
            loop {
                let length = store.page(after, 100, bytes).len();
                let (ids, next) = page(&store, after, 100, bytes);
                assert!(length <= bytes || ids.len() == 1, "{length} of {bytes}");
                seen.extend(ids);
                let Some(next) = next else { break };
                after = next;
            }
            assert_eq!(seen, (1..=20).collect::<Vec<_>>(), "{bytes}");
        }
    }

    #[test]
    fn a_full_store_takes_no_more_until_one_is_removed_and_ids_are_not_given_twice() {
        let (store, count) = store(1);
        assert_eq!(store.insert("a".to_owned()), Ok(1));
        assert_eq!(store.insert("b".to_owned()), Err(Full));
        assert!(store.remove(1));
        assert!(!store.remove(1));
        assert_eq!(count.get(), 0);
        assert_eq!(store.insert("c".to_owned()), Ok(2));
        assert_eq!(count.get(), 1);
    }
}

//! What holds of a store, wherever it is: each test asks one in memory and, with the feature `postgres`, one in a database.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::*;

#[cfg(feature = "postgres")]
#[path = "../../tests/app/database.rs"]
#[allow(dead_code, clippy::pedantic)] // the other tests' needs are more
mod database;

/// For anything that must happen.
const LIMIT: Duration = Duration::from_mins(1);

/// A store with its metrics.
struct Kept {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    watching: JoinHandle<String>,
}

/// Nobody looks after what nobody has.
impl Drop for Kept {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Kept {
    /// A store of at most so many, in memory or in this database.
    async fn open(capacity: usize, database: Option<&str>) -> Kept {
        let config = Config {
            max_items: capacity,
            // However busy the machine is.
            database_wait: LIMIT,
            database_timeout: LIMIT,
            database: database.map(|url| crate::database_url::DatabaseUrl::parse(url).unwrap()),
            ..Config::default()
        };
        let metrics = Arc::new(Metrics::new("0", "test").unwrap());
        let store = Arc::new(Store::open(&config, &metrics).unwrap());
        let lifecycle = Lifecycle::starting(metrics.ready(), store.is_available());
        let watched = Arc::clone(&store);
        let watching = tokio::spawn(async move { watched.watch(&lifecycle).await });
        let there = async {
            while !store.is_available() {
                assert!(!watching.is_finished(), "it was refused");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(LIMIT, there).await.expect("it is there");
        Kept { store, metrics, watching }
    }

    fn count(&self) -> i64 {
        let text = self.metrics.encode();
        text.lines().find_map(|line| line.strip_prefix("app_items ")).unwrap().parse().unwrap()
    }

    async fn insert(&self, name: &str) -> Result<u64, StoreError> {
        self.store.insert(name).await
    }

    async fn page(&self, after: u64, limit: usize, bytes: usize) -> (Vec<u64>, Option<u64>) {
        let page = self.store.page(after, limit, bytes).await.unwrap();
        let page: serde_json::Value = serde_json::from_slice(&page).unwrap();
        let ids = page["items"].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()).collect();
        (ids, page["next"].as_u64())
    }
}

type Test<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Asks both the same.
async fn of_both(capacity: usize, test: impl for<'a> Fn(&'a Kept) -> Test<'a>) {
    test(&Kept::open(capacity, None).await).await;
    #[cfg(feature = "postgres")]
    if let Some(server) = database::shared() {
        let url = server.url(&server.database().await);
        test(&Kept::open(capacity, Some(&url)).await).await;
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_overlap() {
    of_both(10, |kept| {
        Box::pin(async {
            assert_eq!(kept.page(0, 2, usize::MAX).await, (vec![], None));
            for name in ["a", "b", "c", "d", "e"] {
                kept.insert(name).await.unwrap();
            }
            kept.store.remove(2).await.unwrap();
            assert_eq!(kept.page(0, 2, usize::MAX).await, (vec![1, 3], Some(3)));
            assert_eq!(kept.page(3, 2, usize::MAX).await, (vec![4, 5], None));
            assert_eq!(kept.page(5, 2, usize::MAX).await, (vec![], None));
            assert_eq!(kept.page(u64::MAX, 2, usize::MAX).await, (vec![], None));
        })
    })
    .await;
}

#[tokio::test]
async fn a_page_is_never_longer_than_it_may_be_and_never_empty_while_there_are_items() {
    of_both(100, |kept| {
        Box::pin(async {
            for _ in 0..20 {
                kept.insert(&"\u{1}".repeat(10)).await.unwrap();
            }
            for bytes in [0, 100, 200, 300, 500, 1000, 10_000] {
                let (mut after, mut seen) = (0, Vec::new());
                loop {
                    let length = kept.store.page(after, 100, bytes).await.unwrap().len();
                    let (ids, next) = kept.page(after, 100, bytes).await;
                    assert!(length <= bytes || ids.len() == 1, "{length} of {bytes}");
                    seen.extend(ids);
                    let Some(next) = next else { break };
                    after = next;
                }
                assert_eq!(seen, (1..=20).collect::<Vec<_>>(), "{bytes}");
            }
        })
    })
    .await;
}

#[tokio::test]
async fn a_full_store_takes_no_more_until_one_is_removed_and_ids_are_not_given_twice() {
    of_both(1, |kept| {
        Box::pin(async {
            assert_eq!(kept.count(), 0);
            assert_eq!(kept.insert("a").await, Ok(1));
            assert_eq!(kept.count(), 1);
            assert_eq!(kept.insert("b").await, Err(StoreError::Full));
            assert_eq!(kept.store.remove(1).await, Ok(true));
            assert_eq!(kept.store.remove(1).await, Ok(false));
            assert_eq!(kept.count(), 0);
            assert_eq!(kept.insert("c").await, Ok(2));
            assert_eq!(kept.count(), 1);
        })
    })
    .await;
}

#[tokio::test]
async fn a_name_comes_back_as_it_was_and_no_item_has_an_id_that_was_not_given() {
    of_both(10, |kept| {
        Box::pin(async {
            let names = ["tea", "'; DROP TABLE aiclipx_items; --", "\\ \" \u{1}\u{7f}", "茶 🍵 \u{202e}"];
            for (name, id) in names.into_iter().zip(1..) {
                assert_eq!(kept.insert(name).await, Ok(id));
                assert_eq!(kept.store.get(id, |item| item.name.to_owned()).await, Ok(Some(name.to_owned())));
            }
            for id in [5, u64::MAX] {
                assert_eq!(kept.store.get(id, |item| item.id).await, Ok(None));
                assert_eq!(kept.store.remove(id).await, Ok(false));
            }
        })
    })
    .await;
}

#[cfg(feature = "postgres")]
mod shared_by_three {
    use super::*;

    /// Three instances' stores on one database, opened at the same moment; and the database.
    async fn three(capacity: usize) -> Option<(Vec<Arc<Kept>>, tokio_postgres::Client)> {
        let server = database::shared()?;
        let name = server.database().await;
        let url = server.url(&name);
        let opened = (0..3).map(|_| {
            let url = url.clone();
            tokio::spawn(async move { Arc::new(Kept::open(capacity, Some(&url)).await) })
        });
        let mut kept = Vec::new();
        for one in opened.collect::<Vec<_>>() {
            let one: Arc<Kept> = one.await.unwrap();
            assert!(one.metrics.encode().contains("app_database_up 1"), "none was refused");
            kept.push(one);
        }
        Some((kept, server.session(&name).await))
    }

    /// Rows, what the row that counts says, and the next id.
    async fn stock(session: &tokio_postgres::Client) -> (i64, i64, i64) {
        let row = "SELECT (SELECT count(*) FROM aiclipx_items), items, next_id FROM aiclipx_store";
        let row = session.query_one(row, &[]).await.unwrap();
        (row.get(0), row.get(1), row.get(2))
    }

    /// Does something many times with each store at once.
    async fn each<T: Send + 'static, F: Future<Output = T> + Send>(
        stores: &[Arc<Kept>],
        times: usize,
        work: impl Fn(Arc<Kept>, usize) -> F + Clone + Send + 'static,
    ) -> Vec<T> {
        let tasks = (0..times * stores.len()).map(|turn| {
            let (store, work) = (Arc::clone(&stores[turn % stores.len()]), work.clone());
            tokio::spawn(async move { work(store, turn).await })
        });
        let mut done = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            done.push(task.await.unwrap());
        }
        done
    }

    /// Somebody else is at it: they wait, and then find the tables, or make them one after the other.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_tables_are_made_once_by_three_that_start_together() {
        let Some(server) = database::shared() else { return };
        let name = server.database().await;
        let (url, session) = (server.url(&name), server.session(&name).await);
        session.execute("SELECT pg_advisory_lock(27418948482461816)", &[]).await.unwrap();
        let opened: Vec<_> = (0..3)
            .map(|_| {
                let url = url.clone();
                tokio::spawn(async move { Kept::open(10, Some(&url)).await })
            })
            .collect();
        let waiting = "SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database
                       WHERE datname = $1 AND locktype = 'advisory' AND NOT granted";
        let all_wait = async { while session.query_one(waiting, &[&name]).await.unwrap().get::<_, i64>(0) < 3 {} };
        tokio::time::timeout(LIMIT, all_wait).await.expect("each of them waits for its turn");
        session.execute("SELECT pg_advisory_unlock(27418948482461816)", &[]).await.unwrap();
        for one in opened {
            let store = one.await.unwrap();
            assert!(store.metrics.encode().contains("app_database_up 1"), "none was refused");
        }
        assert_eq!(stock(&session).await, (0, 0, 1));
    }

    /// Somebody has a hand in the database: no name takes more of the service's memory than one that it would have kept.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_name_that_was_put_in_by_hand_is_never_longer_than_one_may_be() {
        let Some((stores, session)) = three(10).await else { return };
        let put = "INSERT INTO aiclipx_items SELECT id, repeat('é', 10000000) FROM generate_series(1, 3) AS id";
        session.batch_execute(put).await.unwrap();
        let longest = "é".repeat(item::MAX_NAME_BYTES);
        assert_eq!(stores[0].store.get(2, |item| item.name.to_owned()).await, Ok(Some(longest)));
        assert_eq!(stores[0].page(0, 10, 1500).await, (vec![1, 2], Some(2)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn together_they_hold_exactly_as_many_as_one_may() {
        let Some((stores, session)) = three(50).await else { return };
        let kept = each(&stores, 40, |store, _| async move { store.insert("x").await }).await;
        let mut ids: Vec<u64> = kept.iter().filter_map(|kept| (*kept).ok()).collect();
        ids.sort_unstable();
        assert_eq!(ids, (1..=50).collect::<Vec<_>>());
        assert_eq!(kept.iter().filter(|kept| **kept == Err(StoreError::Full)).count(), 70);
        assert_eq!(stock(&session).await, (50, 50, 51));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_adds_and_removes_at_once_the_count_is_that_of_the_rows() {
        let Some((stores, session)) = three(60).await else { return };
        // Two of three add; one of three removes what may be there, which others remove as well.
        let done = each(&stores, 100, |store, turn| async move {
            match turn % 7 {
                0..=3 => i64::from(store.insert("x").await.is_ok()),
                _ => -i64::from(store.store.remove(1 + turn as u64 % 40).await.unwrap()),
            }
        })
        .await;
        let (rows, counted, next_id) = stock(&session).await;
        assert_eq!(rows, done.iter().sum::<i64>());
        assert_eq!(rows, counted);
        assert_eq!(next_id - 1, done.iter().filter(|change| **change > 0).sum::<i64>());
        assert!(done.iter().any(|change| *change < 0), "something was removed");
        // Whoever was the last to change something shows it.
        assert!(stores.iter().any(|store| store.count() == rows));
    }

    /// Ids come in the order in which items do: a reader who goes on from where it was misses none.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_reader_who_follows_sees_every_item_that_others_add_meanwhile() {
        const EACH: usize = 60;
        let Some((stores, _)) = three(1000).await else { return };
        let reader = Arc::clone(&stores[0]);
        let reading = tokio::spawn(async move {
            let (mut after, mut seen) = (0, Vec::new());
            while seen.len() < EACH * 3 {
                let (ids, _) = reader.page(after, 5, usize::MAX).await;
                after = ids.last().copied().unwrap_or(after);
                seen.extend(ids);
            }
            seen
        });
        each(&stores, EACH, |store, _| async move { store.insert("x").await.unwrap() }).await;
        let seen = tokio::time::timeout(LIMIT, reading).await.unwrap().unwrap();
        assert_eq!(seen, (1..=EACH as u64 * 3).collect::<Vec<_>>());
    }
}

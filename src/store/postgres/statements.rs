//! What is asked of the database: each statement is one round, and its own transaction.

use std::pin::pin;

use deadpool_postgres::ClientWrapper;
use futures_util::TryStreamExt;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::super::item::{Item, MAX_NAME_BYTES};
use super::super::page::Page;
use crate::database_metrics::Statement;

/// A question with its values.
pub(super) enum Ask {
    /// Answered with the page, filled with the items whose ids are greater.
    Page { after: i64, limit: i64, page: Page },
    /// Answered with the name.
    Get { id: i64 },
    /// Answered with the id, and the number of items and the next id after it; with nothing where it would be one too many.
    Insert { name: String, capacity: i64 },
    /// Answered with the id, and the number of items and the next id after it; with nothing where there is none.
    Remove { id: i64 },
}

/// What the database answered.
pub(super) enum Answer {
    Page(Page),
    /// If there was one.
    Row(Option<Row>),
}

/// No name is longer than the service takes, whoever put it there.
const PAGE: &str = "SELECT id, left(name, $3) FROM aiclipx_items WHERE id > $1 ORDER BY id LIMIT $2";

const GET: &str = "SELECT left(name, $2) FROM aiclipx_items WHERE id = $1";

/// In characters, of which none of a shorter one is missing.
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "it is a few hundred")]
const LONGEST_NAME: i32 = MAX_NAME_BYTES as i32;

/// The row that counts is locked first; who waits for it looks at it again, as the one before left it.
const INSERT: &str = "
    WITH counted AS (
        UPDATE aiclipx_store SET items = items + 1, next_id = next_id + 1 WHERE items < $2
        RETURNING items, next_id
    ), kept AS (
        INSERT INTO aiclipx_items (id, name) SELECT next_id - 1, $1::text FROM counted RETURNING id
    )
    SELECT kept.id, counted.items, counted.next_id FROM kept, counted";

/// The item first, then the row that counts: of two that remove one item, the second finds none. Nobody who has that row locked
/// waits for an item.
const REMOVE: &str = "
    WITH gone AS (
        DELETE FROM aiclipx_items WHERE id = $1 RETURNING id
    ), counted AS (
        UPDATE aiclipx_store SET items = items - 1 FROM gone RETURNING gone.id, items, next_id
    )
    SELECT id, items, next_id FROM counted";

/// The number of items, the next id, and whether nothing can be changed: after a failover a standby that was not promoted answers.
pub(super) const LOOK: &str =
    "SELECT items, next_id, current_setting('transaction_read_only')::boolean FROM aiclipx_store";

/// Prepared as soon as there is a connection.
pub(super) const PREPARED: [&str; 4] = [PAGE, GET, INSERT, REMOVE];

impl Ask {
    pub(super) fn statement(&self) -> Statement {
        match self {
            Ask::Page { .. } => Statement::Page,
            Ask::Get { .. } => Statement::Get,
            Ask::Insert { .. } => Statement::Insert,
            Ask::Remove { .. } => Statement::Remove,
        }
    }

    pub(super) async fn put(self, connection: &ClientWrapper) -> Result<Answer, Error> {
        match self {
            Ask::Page { after, limit, page } => filled(connection, after, limit, page).await,
            Ask::Get { id } => row(connection, GET, &[&id, &LONGEST_NAME]).await,
            Ask::Insert { name, capacity } => row(connection, INSERT, &[&name, &capacity]).await,
            Ask::Remove { id } => row(connection, REMOVE, &[&id]).await,
        }
    }
}

async fn row(connection: &ClientWrapper, text: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Answer, Error> {
    Ok(Answer::Row(connection.query_opt(&connection.prepare_cached(text).await?, values).await?))
}

/// Row by row: nothing but the page itself is kept, and what does not fit is left on the way.
async fn filled(connection: &ClientWrapper, after: i64, limit: i64, mut page: Page) -> Result<Answer, Error> {
    let values: [&(dyn ToSql + Sync); 3] = [&after, &limit, &LONGEST_NAME];
    let mut rows = pin!(connection.query_raw(&connection.prepare_cached(PAGE).await?, values).await?);
    while let Some(row) = rows.try_next().await? {
        if !page.push(&Item { id: id(&row), name: row.get(1) }) {
            break;
        }
    }
    Ok(Answer::Page(page))
}

/// The id of an item, in a row's first column.
pub(super) fn id(row: &Row) -> u64 {
    u64::try_from(row.get::<_, i64>(0)).expect("ids are counted from 1")
}

impl Answer {
    pub(super) fn row(&self) -> Option<&Row> {
        match self {
            Answer::Row(row) => row.as_ref(),
            Answer::Page(_) => None,
        }
    }

    /// The page as JSON, of a question for one.
    pub(super) fn page(self) -> Vec<u8> {
        match self {
            Answer::Page(page) => page.finish(),
            Answer::Row(_) => unreachable!("a page is answered with a page"),
        }
    }
}

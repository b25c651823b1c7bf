//! What is asked of the database: each statement is one round, and its own transaction.

use deadpool_postgres::ClientWrapper;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use crate::database_metrics::Statement;

/// A question with its values.
pub(super) enum Ask {
    /// Answered with id and name of each.
    Page { after: i64, limit: i64 },
    /// Answered with the name.
    Get { id: i64 },
    /// Answered with the id, and the number of items and the next id after it; with nothing where it would be one too many.
    Insert { name: String, capacity: i64 },
    /// Answered with the id, and the number of items and the next id after it; with nothing where there is none.
    Remove { id: i64 },
}

const PAGE: &str = "SELECT id, name FROM aiclipx_items WHERE id > $1 ORDER BY id LIMIT $2";

const GET: &str = "SELECT name FROM aiclipx_items WHERE id = $1";

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

    pub(super) async fn put(&self, connection: &ClientWrapper) -> Result<Vec<Row>, Error> {
        let values: (&str, Vec<&(dyn ToSql + Sync)>) = match self {
            Ask::Page { after, limit } => (PAGE, vec![after, limit]),
            Ask::Get { id } => (GET, vec![id]),
            Ask::Insert { name, capacity } => (INSERT, vec![name, capacity]),
            Ask::Remove { id } => (REMOVE, vec![id]),
        };
        let (text, values) = values;
        connection.query(&connection.prepare_cached(text).await?, &values).await
    }
}

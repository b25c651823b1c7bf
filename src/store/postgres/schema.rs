//! The tables, made at the first start: by one instance, while others that start at the same moment wait.

use super::connect::Connection;
use super::failures::LookError;

/// Of the tables as they are here. A later release that changes them counts on, and knows how to come from the one before.
const VERSION: i32 = 1;

/// What the instances of every release lock while one of them makes tables: any number that nobody else is likely to take.
const LOCK: i64 = 0x61_69_63_6c_69_70_78; // "aiclipx"

const MAKE: &str = "
    CREATE TABLE aiclipx_items (
        id bigint PRIMARY KEY,
        name text NOT NULL
    );
    CREATE TABLE aiclipx_store (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        version integer NOT NULL,
        items bigint NOT NULL CHECK (items >= 0),
        next_id bigint NOT NULL CHECK (next_id > 0)
    ) WITH (fillfactor = 10);
    COMMENT ON TABLE aiclipx_items IS 'The items of aiclipx-app.';
    COMMENT ON TABLE aiclipx_store IS 'How many rows aiclipx_items has, and the next id: whoever changes one changes the other.';";

/// Makes the tables unless they are there. A user who may use them and not make any can live with tables that are.
pub(super) async fn make(connection: &Connection) -> Result<(), LookError> {
    let encoding = connection.text("SHOW server_encoding").await?;
    if encoding != "UTF8" {
        return Err(LookError::Encoding(encoding));
    }
    if let Some(version) = there(connection).await? {
        return known(version);
    }
    // Not in one transaction with the look: that would go by what the session knew before it waited. If anything fails, the lock ends
    // with the connection.
    connection.run(&format!("SELECT pg_advisory_lock({LOCK})")).await?;
    if let Some(version) = there(connection).await? {
        known(version)?;
    } else {
        // What is sent in one piece is one transaction.
        let row = format!("INSERT INTO aiclipx_store (version, items, next_id) VALUES ({VERSION}, 0, 1)");
        connection.run(&format!("{MAKE} {row}")).await?;
    }
    connection.run(&format!("SELECT pg_advisory_unlock({LOCK})")).await
}

fn known(version: i32) -> Result<(), LookError> {
    if version == VERSION { Ok(()) } else { Err(LookError::Version(version)) }
}

/// The version of the tables, if there are any.
async fn there(connection: &Connection) -> Result<Option<i32>, LookError> {
    let name = connection.text("SELECT coalesce(to_regclass('aiclipx_store')::text, '')").await?;
    if name.is_empty() {
        return Ok(None);
    }
    let version = connection.text("SELECT version::text FROM aiclipx_store").await?;
    version.parse().map(Some).map_err(|_| LookError::Version(0))
}

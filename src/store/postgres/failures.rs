//! What a failure means: for a request, and at the start.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::database_metrics::{Failure, Statement};

/// Why a look at the database failed.
#[derive(Debug)]
pub(super) enum LookError {
    Database(Error),
    /// It did not answer in time.
    Silent,
    /// It keeps text otherwise.
    Encoding(String),
    /// The tables are of another release.
    Version(i32),
    /// It answers, and takes no changes.
    ReadOnly,
}

impl From<Error> for LookError {
    fn from(error: Error) -> LookError {
        LookError::Database(error)
    }
}

/// What it was, for a log line: no error of the client's holds a password.
pub(super) fn told<'a>(error: impl Into<Told<'a>>) -> String {
    match error.into() {
        Told::Database(error) => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(error) = source {
                let said = error.to_string();
                if !text.contains(&said) {
                    let _ = write!(text, ": {said}");
                }
                source = error.source();
            }
            text
        }
        Told::Other(text) => text.to_owned(),
    }
}

/// What can be told.
pub(super) enum Told<'a> {
    Database(&'a Error),
    Other(&'static str),
}

impl<'a> From<&'a Error> for Told<'a> {
    fn from(error: &'a Error) -> Told<'a> {
        Told::Database(error)
    }
}

impl<'a> From<&'a LookError> for Told<'a> {
    fn from(error: &'a LookError) -> Told<'a> {
        match error {
            LookError::Database(error) => Told::Database(error),
            LookError::Silent => Told::Other("no answer in time"),
            LookError::Encoding(_) => Told::Other("the database's encoding is not UTF8"),
            LookError::Version(_) => Told::Other("the tables are of another release"),
            LookError::ReadOnly => {
                Told::Other("it takes no changes: a standby, or default_transaction_read_only is on")
            }
        }
    }
}

/// What no answer means: who wanted a change does not know whether it was made.
pub(super) fn lost(statement: Statement) -> Failure {
    if statement.changes() { Failure::Unknown } else { Failure::Lost }
}

/// What the failure of a statement means to the request that needed it, by its code; without one nobody answered.
pub(super) fn of(code: Option<&SqlState>, statement: Statement) -> Failure {
    match code {
        Some(&SqlState::QUERY_CANCELED) => Failure::Timeout,
        // It says so before it does anything more, and never while it commits.
        Some(&SqlState::ADMIN_SHUTDOWN) => Failure::Lost,
        Some(&SqlState::CANNOT_CONNECT_NOW) => Failure::Unreachable,
        // Another session broke down, and took this one along wherever it was; or nothing was said at all.
        Some(&SqlState::CRASH_SHUTDOWN | &SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN) | None => lost(statement),
        // A pooler between says so of the server that it lost.
        Some(code) if code.code().starts_with(OF_CONNECTIONS) => lost(statement),
        Some(_) => Failure::Error,
    }
}

/// The class of codes that are about the connection.
const OF_CONNECTIONS: &str = "08";

/// If it is the settings that are wrong, which part, and what to do; `None` if the database may just not be there yet.
pub(super) fn refused(error: &LookError) -> Option<String> {
    let error = match error {
        LookError::Silent | LookError::ReadOnly => return None,
        LookError::Encoding(encoding) => {
            return Some(format!(
                "its database keeps text as {encoding}; make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            ));
        }
        LookError::Version(version) => {
            return Some(format!(
                "the tables in its database are of version {version}, which this release does not know; take the release that \
                 made them, or another database"
            ));
        }
        LookError::Database(error) => error,
    };
    let said = told(error);
    let why = match error.code() {
        Some(&SqlState::INVALID_PASSWORD) => {
            "its user or its password is wrong; percent-encode what is special in them"
        }
        Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
            "its user, or its sslmode, is not let in; create the user, or let pg_hba.conf take it from here"
        }
        Some(&SqlState::INVALID_CATALOG_NAME) => "its database's name is none that exists; create it with createdb",
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            "its user may not do what is needed; GRANT CREATE ON SCHEMA public to it, or ALL on the tables that are there"
        }
        None if said.contains("password missing") => {
            "it has no password, and the database asks for one; add it, or a passfile"
        }
        None if said.contains("server does not support TLS") => {
            "its sslmode asks for TLS, which the database does not speak; let it, or choose prefer or disable"
        }
        None if is_certificate(error) => {
            "its sslmode verifies the database's certificate, which is not good; give the sslrootcert that it comes from, and \
             for verify-full the host that it is made out to"
        }
        _ => return None,
    };
    Some(format!("{why}\nThe database says: {said}"))
}

/// Whether it was the TLS library that refused the other side.
fn is_certificate(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if error.is::<rustls::Error>() || inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
        {
            return true;
        }
        source = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_lost_server_left_of_a_change_is_unknown_whoever_says_so() {
        for (code, changed, read) in [
            (None, Failure::Unknown, Failure::Lost),
            (Some(SqlState::CRASH_SHUTDOWN), Failure::Unknown, Failure::Lost),
            (Some(SqlState::PROTOCOL_VIOLATION), Failure::Unknown, Failure::Lost),
            (Some(SqlState::CONNECTION_FAILURE), Failure::Unknown, Failure::Lost),
            (Some(SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN), Failure::Unknown, Failure::Lost),
            (Some(SqlState::ADMIN_SHUTDOWN), Failure::Lost, Failure::Lost),
            (Some(SqlState::QUERY_CANCELED), Failure::Timeout, Failure::Timeout),
            (Some(SqlState::READ_ONLY_SQL_TRANSACTION), Failure::Error, Failure::Error),
        ] {
            assert_eq!(of(code.as_ref(), Statement::Insert), changed, "{code:?}");
            assert_eq!(of(code.as_ref(), Statement::Page), read, "{code:?}");
        }
    }
}

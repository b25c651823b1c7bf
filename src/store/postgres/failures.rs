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
        }
    }
}

/// What the failure of a statement means to the request that needed it.
pub(super) fn of(error: &Error, statement: Statement) -> Failure {
    let lost = if statement.changes() { Failure::Unknown } else { Failure::Lost };
    match error.code() {
        Some(&SqlState::QUERY_CANCELED) => Failure::Timeout,
        // It says so before it does anything more, and never while it commits.
        Some(&SqlState::ADMIN_SHUTDOWN) => Failure::Lost,
        Some(&SqlState::CANNOT_CONNECT_NOW) => Failure::Unreachable,
        // Another session broke down, and took this one along wherever it was; or nothing was said at all.
        Some(&SqlState::CRASH_SHUTDOWN) | None => lost,
        Some(_) => Failure::Error,
    }
}

/// If it is the settings that are wrong, which part, and what to do; `None` if the database may just not be there yet.
pub(super) fn refused(error: &LookError) -> Option<String> {
    let error = match error {
        LookError::Silent => return None,
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

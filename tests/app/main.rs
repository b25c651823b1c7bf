//! The service from outside: real sockets, port 0, a registry of its own for every test.
//!
//! Builds and runs without the tool: `cargo test --package aiclipx-app --test app`. With `--features postgres` every service keeps
//! its items in a database, so that the same tests hold of both stores. What a client sees is read by a
//! client of our own, and the exposition by a parser of our own, so that no code is its own judge.
#![allow(clippy::unwrap_used)] // a helper that can't go on fails its test

/// A database that is slow, crowded, gone and back.
#[cfg(feature = "postgres")]
mod away;
/// Slow, silent, greedy and broken clients; draining.
mod connections;
/// What each route answers, to the header.
mod contract;
/// Every request exactly once, whatever happens to it; the number of series a constant.
mod counting;
/// A server of PostgreSQL for a test.
#[cfg(feature = "postgres")]
mod database;
/// Who the database is, and who listens.
#[cfg(feature = "postgres")]
mod encrypted;
/// A strict reader of Prometheus' text format.
mod exposition;
/// Starting the service, and a client that sends what it is told, byte by byte.
mod harness;
/// Clients that send and leave, and answers that must arrive.
mod leaving;
/// What becomes of the log where stdout takes no more.
mod log;
/// What the program may take, and what clients can make it take.
mod memory;
/// The program itself: logs, signals, exit codes.
mod program;

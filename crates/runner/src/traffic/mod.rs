//! Sends a schedule open loop, and shows how far it is.

pub mod balance;
pub mod connection;
mod precise_timer;
pub mod progress;
pub mod send;
pub mod table;

//! Sends a schedule open loop, and shows how far it is.

pub mod progress;
pub mod send;
pub mod table;

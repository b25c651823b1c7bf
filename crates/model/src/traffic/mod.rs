//! Seeded traffic: a scenario and a seed become a [`schedule`], and the [`ledger`] holds what became of every request. Where
//! several generators share a schedule ([`shard`]), each leaves a [`part`] of the ledger, and [`merge`] makes one of them. Who
//! sends it, and says it in numbers, is `aiclipx-runner`.

pub mod ledger;
pub mod merge;
pub mod part;
pub mod schedule;
pub mod shard;
